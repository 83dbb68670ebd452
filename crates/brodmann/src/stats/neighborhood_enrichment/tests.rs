use brodmann_kernels::proofread::flaw;
use brodmann_kernels::{CsrMatrix, Interrupted, Monitor, Seed, Silent};
use ndarray::Array1;

use super::*;
use crate::stats::tests::permute;

/// A directed weighted graph of `n` spots without loops, weights 1 to 3 or 1 alone.
fn random_graph(n: usize, one_in: u64, weighted: bool, salt: u64) -> CsrMatrix<f64> {
    let word = |i: usize, j: usize| Seed(salt).word((i * n + j) as u64);
    let dense = Array2::from_shape_fn((n, n), |(i, j)| {
        if i == j || !word(i, j).is_multiple_of(one_in) {
            return 0.0;
        }
        if weighted { 1.0 + (word(i, j) >> 40) as f64 % 5.0 / 2.0 } else { 1.0 }
    });
    CsrMatrix::from_dense(dense.view())
}

fn some(labels: &[u32]) -> Vec<Option<u32>> {
    labels.iter().map(|&l| Some(l)).collect()
}

fn run(graph: &CsrMatrix<f64>, codes: &[Option<u32>], n_groups: usize) -> NeighborhoodEnrichment {
    neighborhood_enrichment(graph.view(), Labels { codes, n_groups }, None, &Silent).expect("valid")
}

fn close(found: &Array2<f64>, expected: &Array2<f64>, tolerance: f64) {
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() <= tolerance * e.abs().max(1.0), "{f} instead of {e}");
    }
}

/// Mean and variance of the contacts over all `arrangements`.
fn enumerated(
    graph: &CsrMatrix<f64>,
    arrangements: &[Vec<Option<u32>>],
    k: usize,
) -> (Array2<f64>, Array2<f64>) {
    let (mut sum, mut squares) = (Array2::zeros((k, k)), Array2::<f64>::zeros((k, k)));
    for labels in arrangements {
        let mut table = Array2::<f64>::zeros((k, k));
        for i in 0..labels.len() {
            let (columns, weights) = graph.view().row(i);
            for (&j, &w) in columns.iter().zip(weights) {
                if let (Some(a), Some(b)) = (labels[i], labels[j as usize]) {
                    table[[a as usize, b as usize]] += w;
                }
            }
        }
        squares += &table.mapv(|c| c * c);
        sum += &table;
    }
    let n = arrangements.len() as f64;
    let mean = sum / n;
    let variance = squares / n - mean.mapv(|m| m * m);
    (mean, variance)
}

#[test]
fn counts_and_moments_equal_the_formula_in_numpy_and_squidpy() {
    let mut npz = crate::oracles::open("explain");
    let labels: Array1<i64> = npz.by_name("sp_label").expect("sp_label");
    let codes: Vec<Option<u32>> = labels.iter().map(|&l| Some(l as u32)).collect();
    for (edges, names) in [
        ("sp_edges", ["nh_counts", "nh_mean", "nh_var"]),
        ("nh_dir_edges", ["nh_dir_counts", "nh_dir_mean", "nh_dir_var"]),
    ] {
        let edges: Array2<i64> = npz.by_name(edges).expect(edges);
        let mut rows = vec![Vec::new(); codes.len()];
        for edge in edges.rows() {
            rows[edge[0] as usize].push((edge[1] as u32, 1.0));
        }
        for row in &mut rows {
            row.sort_by_key(|entry| entry.0);
        }
        let found = run(&CsrMatrix::from_rows(codes.len(), &rows), &codes, 3);
        let mut table = |name: &str| -> Array2<f64> { npz.by_name(name).expect(name) };
        assert_eq!(found.counts, table(names[0]));
        close(&found.expected, &table(names[1]), 1e-12);
        close(&found.variance, &table(names[2]), 1e-11);
        if names[0] == "nh_counts" {
            close(&found.z_score, &table("nh_z_analytic"), 1e-11);
            // 1000 permutations: the deviation is known to 2 %, the mean to 3 % of it.
            for (ours, theirs) in found.z_score.iter().zip(&table("nh_z_squidpy")) {
                assert!((ours - theirs).abs() < 0.12 * ours.abs() + 0.1, "{ours} {theirs}");
            }
        }
    }
}

#[test]
fn moments_equal_the_enumeration_of_all_arrangements() {
    for (salt, weighted) in [(1, false), (2, true)] {
        let graph = random_graph(7, 2, weighted, salt);
        // One spot without a label keeps its place and drops out with its edges.
        let labels = [Some(0), Some(0), Some(1), None, Some(1), Some(1), Some(2)];
        let places: Vec<usize> = (0..7).filter(|&i| labels[i].is_some()).collect();
        let mut arrangements = Vec::new();
        let mut items: Vec<u32> = labels.iter().flatten().copied().collect();
        permute(&mut items, 0, &mut |order| {
            let mut arranged = vec![None; 7];
            for (&place, &label) in places.iter().zip(order) {
                arranged[place] = Some(label);
            }
            arrangements.push(arranged);
        });
        let (mean, variance) = enumerated(&graph, &arrangements, 4);
        // Group 3 has no spot.
        let found = run(&graph, &labels, 4);
        close(&found.expected, &mean, 1e-12);
        close(&found.variance, &variance, 1e-11);
        assert!(found.z_score[[3, 0]].is_nan() && found.p_adjusted[[3, 3]].is_nan());
    }
}

#[test]
fn labels_stay_in_their_slice() {
    // Slices of 4, 3 and 1 spots, interleaved.
    let slices = Slices::from_codes(&[0, 1, 0, 1, 0, 1, 0, 2], &[]);
    let full = random_graph(8, 2, true, 3);
    let rows: Vec<Vec<(u32, f64)>> = (0..8)
        .map(|i| {
            let (columns, weights) = full.view().row(i);
            let edges = columns.iter().copied().zip(weights.iter().copied());
            edges.filter(|&(j, _)| slices.of(j as usize) == slices.of(i)).collect()
        })
        .collect();
    let graph = CsrMatrix::from_rows(8, &rows);
    let labels = [0, 1, 0, 0, 1, 1, 1, 0];
    let mut arrangements = Vec::new();
    permute(&mut vec![0, 0, 1, 1], 0, &mut |first| {
        let first = first.to_vec();
        permute(&mut vec![1, 0, 1], 0, &mut |second| {
            let arranged =
                [first[0], second[0], first[1], second[1], first[2], second[2], first[3], labels[7]];
            arrangements.push(some(&arranged));
        });
    });
    assert_eq!(arrangements.len(), 24 * 6);
    let (mean, variance) = enumerated(&graph, &arrangements, 2);
    let codes = some(&labels);
    let labels = Labels { codes: &codes, n_groups: 2 };
    let found = neighborhood_enrichment(graph.view(), labels, Some(&slices), &Silent).expect("valid");
    close(&found.expected, &mean, 1e-12);
    close(&found.variance, &variance, 1e-11);
    let crossing = neighborhood_enrichment(full.view(), labels, Some(&slices), &Silent);
    let error = crossing.expect_err("slices are joined");
    assert!(matches!(error, StatsError::CrossingEdge { .. }), "{error}");
    assert_eq!(flaw(&error), None);
}

#[test]
fn what_no_arrangement_changes_has_no_z_score() {
    // All spots alike; and a complete graph, where rounding alone would make a variance.
    let complete = CsrMatrix::from_dense(
        Array2::from_shape_fn((9, 9), |(i, j)| 0.3 * f64::from(u8::from(i != j))).view(),
    );
    for (graph, labels) in
        [(&random_graph(9, 3, true, 4), vec![0; 9]), (&complete, vec![0, 0, 1, 1, 1, 0, 1, 0, 1])]
    {
        let found = run(graph, &some(&labels), 2);
        assert!(found.variance.iter().all(|&v| v == 0.0), "{}", found.variance);
        assert!(found.z_score.iter().chain(&found.p_value).chain(&found.p_adjusted).all(|v| v.is_nan()));
        close(&found.counts, &found.expected, 1e-12);
    }
}

#[test]
fn loops_and_stored_zeros_are_no_contacts() {
    let graph = random_graph(12, 3, false, 5);
    let mut dense = graph.view().to_dense();
    dense.diag_mut().fill(7.0);
    let codes: Vec<Option<u32>> = (0..12).map(|i| Some(i % 3)).collect();
    assert_eq!(run(&CsrMatrix::from_dense(dense.view()), &codes, 3), run(&graph, &codes, 3));
}

#[test]
fn pairs_of_a_symmetric_graph_are_tested_once() {
    let half = random_graph(30, 5, false, 6).view().to_dense();
    let both = CsrMatrix::from_dense((&half + &half.t()).mapv(|v: f64| v.min(1.0)).view());
    let codes: Vec<Option<u32>> = (0..30).map(|i| Some(i / 10)).collect();
    let found = run(&both, &codes, 3);
    assert_eq!(found.p_adjusted, found.p_adjusted.t());
    let triangle = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)];
    let p_values: Vec<f64> = triangle.iter().map(|&at| found.p_value[at]).collect();
    let adjusted: Vec<f64> = triangle.iter().map(|&at| found.p_adjusted[at]).collect();
    assert_eq!(adjusted, benjamini_hochberg(&p_values));
}

#[test]
fn the_order_of_spots_and_the_number_of_threads_do_not_matter() {
    let n = 20_000;
    let rows: Vec<Vec<(u32, f64)>> = (0..n)
        .map(|i| {
            let mut to: Vec<u32> =
                (0..4).map(|e| (Seed(7).word(i * 4 + e) % n) as u32).filter(|&j| u64::from(j) != i).collect();
            to.sort_unstable();
            to.dedup();
            to.into_iter().map(|j| (j, 0.1 + (j % 7) as f64)).collect()
        })
        .collect();
    let graph = CsrMatrix::from_rows(n as usize, &rows);
    let codes: Vec<Option<u32>> =
        (0..n).map(|i| (i % 11 > 0).then_some((Seed(8).word(i) % 9) as u32)).collect();
    let threads = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("pool");
    let one = threads(1).install(|| run(&graph, &codes, 9));
    assert_eq!(one, threads(4).install(|| run(&graph, &codes, 9)));
    // Read backwards.
    let last = n as u32 - 1;
    let turned: Vec<Vec<(u32, f64)>> =
        rows.iter().rev().map(|row| row.iter().rev().map(|&(j, w)| (last - j, w)).collect()).collect();
    let turned = CsrMatrix::from_rows(n as usize, &turned);
    let codes: Vec<Option<u32>> = codes.into_iter().rev().collect();
    let found = run(&turned, &codes, 9);
    close(&found.counts, &one.counts, 1e-10);
    close(&found.z_score, &one.z_score, 1e-8);
}

#[test]
fn what_cannot_be_counted_is_refused() {
    let graph = random_graph(5, 2, false, 9);
    let run = |graph: &CsrMatrix<f64>, codes: &[Option<u32>], n_groups| {
        neighborhood_enrichment(graph.view(), Labels { codes, n_groups }, None, &Silent).map(|_| ())
    };
    let codes = some(&[0, 1, 0, 1, 0]);
    let fewer = run(&graph, &codes[..4], 2).expect_err("four labels");
    assert_eq!(fewer, StatsError::ShapeMismatch { rows: 5, columns: 5, n_obs: 4 });
    let mut errors = vec![fewer];
    errors.push(run(&graph, &codes, 1).expect_err("label 1 of one group"));
    assert_eq!(errors[1], StatsError::LabelOutOfRange { row: 1, label: 1, n_groups: 1 });
    errors.push(run(&graph, &codes, 5000).expect_err("too many groups"));
    assert_eq!(errors[2], StatsError::TooManyGroups { found: 5000, limit: 4096 });
    errors.push(run(&graph, &[None; 5], 2).expect_err("no labels"));
    assert_eq!(errors[3], StatsError::EmptyGraph { n_obs: 5 });
    let bad = CsrMatrix::from_rows(5, &[vec![], vec![], vec![(1, f64::NAN)], vec![], vec![]]);
    errors.push(run(&bad, &codes, 2).expect_err("NaN"));
    assert!(matches!(errors[4], StatsError::BadWeight { row: 2, .. }));
    let none = CsrMatrix::from_rows(0, &[]);
    errors.push(run(&none, &[], 0).expect_err("nothing"));
    errors.push(StatsError::LabelCount { found: 1, expected: 2 });
    errors.push(StatsError::NotPlanar { what: "Ripley's L" });
    errors.push(StatsError::NoArea { slice: 3 });
    for error in &errors {
        assert_eq!(flaw(error), None);
    }
    struct Stop;
    impl Monitor for Stop {
        fn is_interrupted(&self) -> bool {
            true
        }
    }
    let labels = Labels { codes: &codes, n_groups: 2 };
    let stopped = neighborhood_enrichment(graph.view(), labels, None, &Stop);
    assert_eq!(stopped, Err(StatsError::Interrupted(Interrupted)));
}
