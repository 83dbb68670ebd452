//! Spatial statistics against hand-worked cases, squidpy, exact enumeration, and their own laws.

use brodmann_kernels::proofread::flaw;
use std::fs::File;

use brodmann_kernels::{CsrMatrix, Interrupted, Monitor, Seed, Silent};
use ndarray::{Array0, Array1, Array2, array};
use ndarray_npy::NpzReader;

use super::*;

const SEED: Seed = Seed(5);

fn oracle() -> NpzReader<File> {
    crate::oracles::open("metrics")
}

fn weights(npz: &mut NpzReader<File>, name: &str) -> CsrMatrix<f64> {
    let w: Array2<f32> = npz.by_name(name).expect(name);
    CsrMatrix::from_dense(w.mapv(f64::from).view())
}

fn close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance * expected.abs().max(1.0), "{found} instead of {expected}");
}

fn plain() -> AutocorrelationOptions {
    AutocorrelationOptions::default()
}

fn moran(x: &Array2<f64>, w: &CsrMatrix<f64>, options: &AutocorrelationOptions) -> Autocorrelation {
    morans_i(Variables::Dense(x.view()), w.view(), options, SEED, &Silent).expect("valid")
}

fn geary(x: &Array2<f64>, w: &CsrMatrix<f64>, options: &AutocorrelationOptions) -> Autocorrelation {
    gearys_c(Variables::Dense(x.view()), w.view(), options, SEED, &Silent).expect("valid")
}

/// A path graph of `n` places.
fn path(n: usize) -> CsrMatrix<f64> {
    let rows: Vec<Vec<(u32, f64)>> = (0..n)
        .map(|i| {
            [i.checked_sub(1), Some(i + 1).filter(|&j| j < n)]
                .into_iter()
                .flatten()
                .map(|j| (j as u32, 1.0))
                .collect()
        })
        .collect();
    CsrMatrix::from_rows(n, &rows)
}

#[test]
fn statistics_and_p_values_equal_squidpy() {
    let mut npz = oracle();
    let x: Array2<f64> = npz.by_name("moran_X").expect("moran_X");
    let (w8, w6) = (weights(&mut npz, "moran_W8"), weights(&mut npz, "moran_W6"));
    let mut vector = |name: &str| -> Array1<f64> { npz.by_name(name).expect(name) };
    // squidpy works in f32 here: seven digits is all the oracle has.
    let found = moran(&x, &w8, &plain());
    for (found, expected) in found.statistic.iter().zip(vector("moran_I")) {
        close(*found, expected, 1e-6);
    }
    for (found, expected) in found.p_value.iter().zip(vector("moran_pval_norm")) {
        close(*found, expected, 1e-6);
    }
    for (found, expected) in moran(&x, &w6, &plain()).statistic.iter().zip(vector("moran_I6")) {
        close(*found, expected, 1e-6);
    }
    for (found, expected) in geary(&x, &w6, &plain()).statistic.iter().zip(vector("geary_C6")) {
        close(*found, expected, 1e-6);
    }
    // squidpy 1.8.2: gr.spatial_autocorr(moran_X on moran_W6, mode="geary")["pval_norm"], ["var_norm"].
    let geary_p = [4.255554e-01, 9.573758e-09, 2.184354e-16, 1.473678e-27, 2.840351e-51, 1.379195e-56];
    let geary = geary(&x, &w6, &plain());
    close(geary.variance[0], 0.002223, 1e-6);
    for (found, expected) in geary.p_value.iter().zip(geary_p) {
        // Its f32 statistic leaves five digits of a tail probability.
        assert!((found / expected - 1.0).abs() < 1e-3, "{found} instead of {expected}");
    }
    let variance: Array1<f32> = npz.by_name("moran_var_norm").expect("moran_var_norm");
    close(found.variance[0], f64::from(variance[0]), 1e-6);
}

#[test]
fn a_path_of_four_by_hand() {
    // z = (−1.5, −0.5, 0.5, 1.5), Σz² = 5; over the three edges, both ways, Σ wzz = 2 (0.75 − 0.25 + 0.75) = 2.5
    // and Σ w(Δ)² = 6; Σw = 6.
    let x = array![[1.0], [2.0], [3.0], [4.0]];
    let options = AutocorrelationOptions { row_normalize: false, ..plain() };
    let found = moran(&x, &path(4), &options);
    close(found.statistic[0], 4.0 / 6.0 * 2.5 / 5.0, 1e-15);
    close(found.expected, -1.0 / 3.0, 1e-15);
    close(geary(&x, &path(4), &options).statistic[0], 3.0 / 12.0 * 6.0 / 5.0, 1e-15);
}

#[test]
fn randomization_moments_equal_the_enumeration_of_all_arrangements() {
    let values = [0.0, 1.0, 1.5, 7.0, 2.0, -1.0];
    // A directed, weighted graph, so that S₁ and S₂ take their general form.
    let w = CsrMatrix::from_dense(
        array![
            [0.0, 1.0, 0.0, 0.0, 2.0, 0.0],
            [0.5, 0.0, 1.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 3.0, 0.0, 0.0],
            [0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            [1.0, 0.0, 0.0, 2.0, 0.0, 0.0],
        ]
        .view(),
    );
    let mut arrangements = Vec::new();
    permute(&mut values.to_vec(), 0, &mut |p| arrangements.extend_from_slice(p));
    // 720 arrangements as 720 variables.
    let x = Array2::from_shape_vec((720, 6), arrangements).expect("6! rows").reversed_axes();
    for row_normalize in [false, true] {
        let options =
            AutocorrelationOptions { row_normalize, null_model: NullModel::Randomization, ..plain() };
        for found in [moran(&x, &w, &options), geary(&x, &w, &options)] {
            let mean = found.statistic.iter().sum::<f64>() / 720.0;
            let variance = found.statistic.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / 720.0;
            close(found.expected, mean, 1e-12);
            close(found.variance[0], variance, 1e-12);
        }
    }
}

/// All arrangements of the items from `fixed` on.
pub(super) fn permute<T>(items: &mut Vec<T>, fixed: usize, visit: &mut dyn FnMut(&[T])) {
    if fixed == items.len() {
        visit(items);
        return;
    }
    for i in fixed..items.len() {
        items.swap(fixed, i);
        permute(items, fixed + 1, visit);
        items.swap(fixed, i);
    }
}

#[test]
fn normality_moments_equal_a_simulation() {
    // 40 000 normal draws on a path of 12: the standard error of a variance is 0.7 %.
    let normal = |i: u64| {
        let uniform = |salt: u64| (Seed(salt).word(i) as f64 + 1.0) / 2.0_f64.powi(64);
        (-2.0 * uniform(1).ln()).sqrt() * (std::f64::consts::TAU * uniform(2)).cos()
    };
    let x = Array2::from_shape_fn((12, 40_000), |(i, j)| normal((i * 40_000 + j) as u64));
    for found in [moran(&x, &path(12), &plain()), geary(&x, &path(12), &plain())] {
        let mean = found.statistic.iter().sum::<f64>() / 40_000.0;
        let variance = found.statistic.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / 40_000.0;
        close(mean, found.expected, 0.01);
        assert!((variance / found.variance[0] - 1.0).abs() < 0.04, "{variance} {}", found.variance[0]);
    }
}

#[test]
fn sparse_single_and_double_precision_agree() {
    let x = Array2::from_shape_fn((3000, 37), |(i, j)| {
        let word = Seed(9).word((i * 37 + j) as u64);
        match j {
            // No zeros, and none but zeros; a mean of a million standard deviations; hardly a value; a NaN.
            0 => 1.5,
            1 => 0.0,
            2 => 1e6 + (word % 3) as f32,
            3 => f32::from(u8::from(word.is_multiple_of(700))),
            4 if i == 7 => f32::NAN,
            _ if word.is_multiple_of(3) => (word % 1000) as f32 / 8.0 - 20.0,
            _ => 0.0,
        }
    });
    let double = x.mapv(f64::from);
    let sparse = CsrMatrix::from_dense(x.view());
    let w = path(3000);
    for null_model in [NullModel::Normality, NullModel::Randomization] {
        let options = AutocorrelationOptions { n_permutations: 19, null_model, ..plain() };
        for test in [morans_i, gearys_c] {
            let run = |x: Variables<'_>| test(x, w.view(), &options, SEED, &Silent).expect("valid");
            let expected = run(Variables::Dense(double.view()));
            assert!(expected.statistic[0].is_nan() && expected.statistic[1].is_nan());
            assert!(expected.statistic[4].is_nan() && !expected.statistic[2].is_nan());
            // Compared as text, where NaN is NaN.
            assert_eq!(format!("{:?}", run(Variables::DenseF32(x.view()))), format!("{expected:?}"));
            let found = run(Variables::Sparse(sparse.view()));
            let columns = |a: &Autocorrelation| {
                let p = a.p_permutation.clone().expect("asked for");
                [&a.statistic, &a.variance, &a.z_score, &a.p_value, &a.p_adjusted, &p].map(Vec::clone)
            };
            for (found, expected) in columns(&found).iter().zip(columns(&expected)) {
                for (&found, &expected) in found.iter().zip(&expected) {
                    assert_eq!(found.is_nan(), expected.is_nan());
                    if !found.is_nan() {
                        close(found, expected, 1e-10);
                    }
                }
            }
        }
    }
}

#[test]
fn sparse_bits_do_not_depend_on_the_number_of_threads() {
    let x = Array2::from_shape_fn((5000, 20), |(i, j)| {
        let word = Seed(8).word((i * 20 + j) as u64);
        if word.is_multiple_of(4) { (word >> 40) as f32 } else { 0.0 }
    });
    let (x, w) = (CsrMatrix::from_dense(x.view()), path(5000));
    let options = AutocorrelationOptions { n_permutations: 9, ..plain() };
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
        let x = Variables::Sparse(x.view());
        pool.install(|| {
            [morans_i, gearys_c].map(|test| test(x, w.view(), &options, SEED, &Silent).expect("valid"))
        })
    };
    assert_eq!(run(1), run(4));
}

#[test]
fn genes_are_ranked_as_by_the_formula_in_numpy() {
    let mut npz = crate::oracles::open("gene_selection");
    let x: Array2<f64> = npz.by_name("sde_resid").expect("sde_resid");
    let edges: Array2<i64> = npz.by_name("mor_edges").expect("mor_edges");
    let mut rows = vec![Vec::new(); x.nrows()];
    for edge in edges.rows() {
        rows[edge[0] as usize].push((edge[1] as u32, 1.0));
    }
    for row in &mut rows {
        row.sort_by_key(|entry| entry.0);
    }
    let w = CsrMatrix::from_rows(x.nrows(), &rows);
    let found = moran(&x, &w, &plain());
    let mut vector = |name: &str| -> Array1<f64> { npz.by_name(name).expect(name) };
    let (statistic, z, p) = (vector("mor_I"), vector("mor_z"), vector("mor_p"));
    let adjusted = vector("mor_padj");
    for v in 0..x.ncols() {
        close(found.statistic[v], statistic[v], 1e-12);
        close(found.z_score[v], z[v], 1e-11);
        assert!((found.p_value[v] / p[v] - 1.0).abs() < 1e-9, "{} {}", found.p_value[v], p[v]);
        assert!((found.p_adjusted[v] / adjusted[v] - 1.0).abs() < 1e-9);
    }
    let (expected, variance): (Array0<f64>, Array0<f64>) =
        (npz.by_name("mor_EI").expect("mor_EI"), npz.by_name("mor_VI").expect("mor_VI"));
    close(found.expected, expected.into_scalar(), 1e-15);
    close(found.variance[0], variance.into_scalar(), 1e-15);
    let mut order: Vec<i64> = (0..x.ncols() as i64).collect();
    order.sort_by(|&a, &b| found.statistic[b as usize].total_cmp(&found.statistic[a as usize]));
    let rank: Array1<i64> = npz.by_name("mor_rank").expect("mor_rank");
    assert_eq!(order, rank.to_vec());
}

#[test]
fn constant_and_nan_variables_are_nan_and_no_test() {
    // 0.1 repeated has a mean that is not 0.1: only an exact check sees it is constant.
    let x = array![[0.1, 1.0, f64::NAN], [0.1, 2.0, 1.0], [0.1, 3.0, 2.0], [0.1, 5.0, 3.0], [0.1, 4.0, 4.0]];
    let options = AutocorrelationOptions { n_permutations: 9, ..plain() };
    for found in [moran(&x, &path(5), &options), geary(&x, &path(5), &options)] {
        for v in [0, 2] {
            assert!(found.statistic[v].is_nan() && found.z_score[v].is_nan() && found.p_value[v].is_nan());
            assert!(found.p_adjusted[v].is_nan() && found.variance[v].is_nan());
            assert!(found.p_permutation.as_ref().expect("asked for")[v].is_nan());
        }
        assert_eq!(found.p_adjusted[1], found.p_value[1]);
    }
}

#[test]
fn the_order_of_the_rows_does_not_matter() {
    let x =
        Array2::from_shape_fn((60, 3), |(i, j)| Seed(6).word((i * 3 + j) as u64) as f64 / u64::MAX as f64);
    // Row i moves to row 59 − i; a path read backwards is the same path.
    let reversed = Array2::from_shape_fn((60, 3), |(i, j)| x[[59 - i, j]]);
    let pairs = [
        (moran(&x, &path(60), &plain()), moran(&reversed, &path(60), &plain())),
        (geary(&x, &path(60), &plain()), geary(&reversed, &path(60), &plain())),
    ];
    for (one, two) in pairs {
        for v in 0..3 {
            close(one.statistic[v], two.statistic[v], 1e-12);
            close(one.p_adjusted[v], two.p_adjusted[v], 1e-12);
        }
    }
}

#[test]
fn isolated_places_count_as_places_but_have_no_weight() {
    let x = array![[1.0], [2.0], [4.0], [9.0]];
    let w = CsrMatrix::from_rows(4, &[vec![(1, 2.0)], vec![(0, 5.0)], Vec::new(), Vec::new()]);
    let found = moran(&x, &w, &plain());
    // Row-normalised: Σw = 2; z = (−3, −2, 0, 5), Σz² = 38, Σ wzz = 12.
    close(found.statistic[0], 4.0 / 2.0 * 12.0 / 38.0, 1e-15);
}

#[test]
fn permutation_p_values_are_seeded_and_near_the_normal_ones() {
    let x = Array2::from_shape_fn((100, 2), |(i, j)| {
        if j == 0 { i as f64 } else { Seed(4).word(i as u64) as f64 / u64::MAX as f64 }
    });
    let options = AutocorrelationOptions { n_permutations: 999, tail: Tail::Positive, ..plain() };
    for found in [moran(&x, &path(100), &options), geary(&x, &path(100), &options)] {
        let p = found.p_permutation.expect("asked for");
        assert_eq!(p[0], 1.0 / 1000.0);
        assert!((p[1] - found.p_value[1]).abs() < 0.05, "{} {}", p[1], found.p_value[1]);
        assert!(found.p_value[0] < 1e-15 && found.p_value[0] > 0.0);
    }
    let run = |seed| {
        morans_i(Variables::Dense(x.view()), path(100).view(), &options, Seed(seed), &Silent).expect("valid")
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).p_permutation, run(2).p_permutation);
}

#[test]
fn tails_are_what_they_say() {
    // A chessboard on a path: as negative as it gets.
    let x = Array2::from_shape_fn((40, 1), |(i, _)| if i % 2 == 0 { 1.0 } else { -1.0 });
    let p = |tail| {
        let options = AutocorrelationOptions { tail, ..plain() };
        (moran(&x, &path(40), &options).p_value[0], geary(&x, &path(40), &options).p_value[0])
    };
    let (positive, nearer, both) = (p(Tail::Positive), p(Tail::Nearer), p(Tail::TwoSided));
    assert!(positive.0 > 0.99 && positive.1 > 0.99);
    assert!(nearer.0 < 1e-6 && nearer.1 < 1e-6);
    assert_eq!(both, (2.0 * nearer.0, 2.0 * nearer.1));
}

#[test]
fn labels_are_scored_by_their_indicators() {
    let labels = [7, 7, 7, 2, 2, 2];
    let (names, found) = morans_i_of_labels(&labels, path(6).view(), &plain(), SEED, &Silent).expect("valid");
    assert_eq!(names, [2, 7]);
    let indicator = Array2::from_shape_fn((6, 1), |(i, _)| f64::from(u8::from(i < 3)));
    close(found.statistic[1], moran(&indicator, &path(6), &plain()).statistic[0], 1e-15);
    close(found.statistic[0], found.statistic[1], 1e-15);
    let (_, one) = morans_i_of_labels(&[4; 6], path(6).view(), &plain(), SEED, &Silent).expect("valid");
    assert!(one.statistic[0].is_nan());
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let x = Array2::from_shape_fn((5000, 20), |(i, j)| Seed(8).word((i * 20 + j) as u64) as f64);
    let w = path(5000);
    let options = AutocorrelationOptions { n_permutations: 7, ..plain() };
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
        pool.install(|| (moran(&x, &w, &options), geary(&x, &w, &options)))
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn bad_graphs_are_refused() {
    let x = array![[1.0], [2.0], [3.0]];
    let run = |w: &CsrMatrix<f64>| {
        morans_i(Variables::Dense(x.view()), w.view(), &plain(), SEED, &Silent).map(|_| ())
    };
    assert_eq!(run(&path(4)), Err(StatsError::ShapeMismatch { rows: 4, columns: 4, n_obs: 3 }));
    let empty = CsrMatrix::from_rows(3, &[Vec::new(), Vec::new(), Vec::new()]);
    assert_eq!(run(&empty), Err(StatsError::EmptyGraph { n_obs: 3 }));
    for bad in [f64::NAN, f64::INFINITY, -1.0] {
        let w = CsrMatrix::from_rows(3, &[vec![(1, 1.0)], vec![(2, bad)], Vec::new()]);
        let error = run(&w).expect_err("bad weight");
        assert!(matches!(error, StatsError::BadWeight { row: 1, .. }));
        assert_eq!(flaw(&error), None);
    }
    let none = Array2::<f64>::zeros((0, 2));
    let no_rows = CsrMatrix::from_rows(0, &[]);
    assert!(morans_i(Variables::Dense(none.view()), no_rows.view(), &plain(), SEED, &Silent).is_err());
    let no_variables = Array2::<f64>::zeros((4, 0));
    assert!(moran(&no_variables, &path(4), &plain()).statistic.is_empty());
}

#[test]
fn an_interruption_ends_the_work() {
    struct Stop;
    impl Monitor for Stop {
        fn is_interrupted(&self) -> bool {
            true
        }
    }
    let x = array![[1.0], [2.0], [3.0]];
    let stopped = morans_i(Variables::Dense(x.view()), path(3).view(), &plain(), SEED, &Stop);
    assert_eq!(stopped, Err(StatsError::Interrupted(Interrupted)));
}
