//! Markers against scanpy, hand-worked cases, the definitions taken literally, and their own laws.

use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};

use brodmann_kernels::proofread::flaw;
use brodmann_kernels::{CsrMatrix, Interrupted, Monitor, Seed, Silent};
use ndarray::{Array1, Array2, array};
use ndarray_npy::NpzReader;

use super::*;
use crate::graph::GraphError;

const WILCOXON: MarkerOptions = MarkerOptions {
    test: MarkerTest::Wilcoxon,
    tie_correct: false,
    min_spots_per_slice: 10,
    slice_log2_fold_change: 0.25,
};

fn rest(labels: &[Option<u32>]) -> MarkerGroups<'_> {
    MarkerGroups { labels, reference: Reference::Rest, slices: None }
}

fn run<V: Expression>(
    x: &CsrMatrix<V>,
    groups: &MarkerGroups<'_>,
    options: &MarkerOptions,
) -> Vec<GroupMarkers> {
    markers(&x.view(), groups, options, &Silent).expect("valid")
}

fn close(found: f64, expected: f64, tolerance: f64) {
    let same = found == expected || (found.is_nan() && expected.is_nan());
    let near = (found - expected).abs() <= tolerance * expected.abs().max(1e-300);
    assert!(same || near, "{found:e} instead of {expected:e}");
}

fn near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found:e} instead of {expected:e}");
}

/// Values with ties and zeros, some of them negative.
fn values(n_obs: usize, n_vars: usize, seed: u64) -> Array2<f64> {
    Array2::from_shape_fn((n_obs, n_vars), |(i, j)| {
        let word = Seed(seed).word((i * n_vars + j) as u64);
        match word % 8 {
            0..4 => 0.0,
            4 => -0.25 * ((word >> 8) % 5) as f64,
            5 => 0.5 * ((word >> 8) % 4) as f64,
            _ => ((word >> 8) % 10_000) as f64 / 3000.0 + 0.01 * j as f64,
        }
    })
}

fn random_labels(n_obs: usize, n_groups: u64) -> Vec<Option<u32>> {
    (0..n_obs)
        .map(|i| {
            let word = Seed(77).word(i as u64) % (n_groups * 7);
            (word != 0).then_some((word % n_groups) as u32 * 3 + 1)
        })
        .collect()
}

fn path(n: usize) -> CsrMatrix<f64> {
    // Each edge once, to see that it leads both ways.
    let rows: Vec<Vec<(u32, f64)>> =
        (0..n).map(|i| if i + 1 < n { vec![(i as u32 + 1, 1.0)] } else { Vec::new() }).collect();
    CsrMatrix::from_rows(n, &rows)
}

// ---------------------------------------------------------------------------------------------------------- scanpy

struct Scanpy {
    x: CsrMatrix<f64>,
    labels: Vec<Option<u32>>,
    sorted: NpzReader<File>,
    by_gene: NpzReader<File>,
}

fn scanpy() -> Scanpy {
    let mut sorted = crate::oracles::open("scanpy");
    let log: Array2<f64> = sorted.by_name("log").expect("log");
    let label: Array1<i64> = sorted.by_name("label").expect("label");
    Scanpy {
        x: CsrMatrix::from_dense(log.view()),
        labels: label.iter().map(|&l| Some(l as u32)).collect(),
        sorted,
        by_gene: crate::oracles::open("explain"),
    }
}

#[test]
fn all_tests_equal_scanpys_formulas() {
    let mut oracle = scanpy();
    let mut table = |name: &str| -> Array2<f64> { oracle.by_gene.by_name(name).expect(name) };
    let (pts, pts_rest, change) = (table("mk_pts"), table("mk_pts_rest"), table("mk_logfoldchanges"));
    for (key, test, tie_correct) in [
        ("wil", MarkerTest::Wilcoxon, false),
        ("wilt", MarkerTest::Wilcoxon, true),
        ("tov", MarkerTest::OverestimatedVariance, false),
        ("t", MarkerTest::Welch, false),
    ] {
        let options = MarkerOptions { test, tie_correct, ..WILCOXON };
        let found = run(&oracle.x, &rest(&oracle.labels), &options);
        let scores = table(&format!("mk_{key}_scores"));
        let p_values = table(&format!("mk_{key}_pvals"));
        let adjusted = table(&format!("mk_{key}_pvals_adj"));
        assert_eq!(found.iter().map(|f| f.group).collect::<Vec<_>>(), [0, 1, 2]);
        for (g, found) in found.iter().enumerate() {
            for j in 0..300 {
                near(found.score[j], scores[[g, j]], 1e-11);
                close(found.p_value[j], p_values[[g, j]], 1e-10);
                close(found.ln_p_value[j].exp(), p_values[[g, j]], 1e-10);
                close(found.p_adjusted[j], adjusted[[g, j]], 1e-10);
                near(found.log2_fold_change[j], change[[g, j]], 1e-11);
                assert_eq!(found.fraction[j], pts[[g, j]]);
                close(found.fraction_reference[j], pts_rest[[g, j]], 1e-15);
            }
        }
    }
}

#[test]
fn the_order_is_scanpys_up_to_ties() {
    let mut oracle = scanpy();
    for (key, tie_correct) in [("rgg", false), ("rggt", true)] {
        let options = MarkerOptions { tie_correct, ..WILCOXON };
        let found = run(&oracle.x, &rest(&oracle.labels), &options);
        let names: Array2<i64> = oracle.sorted.by_name(&format!("{key}_names")).expect("names");
        let scores: Array2<f32> = oracle.sorted.by_name(&format!("{key}_scores")).expect("scores");
        for (g, found) in found.iter().enumerate() {
            for (at, &gene) in found.order().iter().enumerate() {
                // Single precision is all that scanpy stores.
                let (theirs, score) = (names[[g, at]] as usize, f64::from(scores[[g, at]]));
                near(found.score[gene as usize], score, 1e-6 * (1.0 + score.abs()));
                assert!(theirs == gene as usize || found.score[theirs] == found.score[gene as usize]);
            }
        }
        if key == "rgg" {
            let mut table = |name: &str| -> Array2<f64> { oracle.sorted.by_name(name).expect(name) };
            let (p_values, adjusted) = (table("rgg_pvals"), table("rgg_pvals_adj"));
            let change: Array2<f32> = oracle.sorted.by_name("rgg_logfoldchanges").expect("changes");
            for (g, found) in found.iter().enumerate() {
                for at in 0..300 {
                    let gene = names[[g, at]] as usize;
                    close(found.p_value[gene], p_values[[g, at]], 1e-10);
                    close(found.p_adjusted[gene], adjusted[[g, at]], 1e-10);
                    let expected = f64::from(change[[g, at]]);
                    // scanpy takes expm1 of means in single precision: of small means six digits are left.
                    near(found.log2_fold_change[gene], expected, 2e-5 * (1.0 + expected.abs()));
                }
            }
        }
    }
}

// --------------------------------------------------------------------------------------------------- by definition

/// `2U` by comparing every pair, and the tie sum by counting every value.
fn pairs(own: &[f64], reference: &[f64]) -> (f64, f64) {
    let doubled_u = own
        .iter()
        .flat_map(|a| reference.iter().map(move |b| if a > b { 2.0 } else { f64::from(u8::from(a == b)) }))
        .sum();
    let mut all = [own, reference].concat();
    all.sort_by(f64::total_cmp);
    let ties = all.chunk_by(|a, b| a == b).map(|c| (c.len() as f64).powi(3) - c.len() as f64).sum();
    (doubled_u, ties)
}

fn mean_and_variance(x: &[f64]) -> (f64, f64) {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    (mean, x.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (x.len() as f64 - 1.0))
}

/// Every number of one group against spots chosen one by one.
fn check_by_definition(
    x: &Array2<f64>,
    found: &GroupMarkers,
    own: &[usize],
    reference: &[usize],
    options: &MarkerOptions,
) {
    assert_eq!((found.n_group, found.n_reference), (own.len(), reference.len()));
    for j in 0..x.ncols() {
        let take = |rows: &[usize]| -> Vec<f64> { rows.iter().map(|&i| x[[i, j]]).collect() };
        let (a, b) = (take(own), take(reference));
        let (n1, n2) = (a.len() as f64, b.len() as f64);
        let (doubled_u, ties) = pairs(&a, &b);
        close(found.auc[j], doubled_u / (2.0 * n1 * n2), 1e-15);
        let ((m1, v1), (m2, v2)) = (mean_and_variance(&a), mean_and_variance(&b));
        let score = match options.test {
            MarkerTest::Wilcoxon => {
                let n = n1 + n2;
                let t = if options.tie_correct { 1.0 - ties / (n * n * n - n) } else { 1.0 };
                (doubled_u - n1 * n2) / 2.0 / (t * n1 * n2 * (n + 1.0) / 12.0).sqrt()
            }
            MarkerTest::Welch => (m1 - m2) / (v1 / n1 + v2 / n2).sqrt(),
            MarkerTest::OverestimatedVariance => (m1 - m2) / (v1 / n1 + v2 / n1).sqrt(),
        };
        near(found.score[j], score, 1e-11 * (1.0 + score.abs()));
        near(found.mean[j], m1, 1e-13);
        near(found.mean_reference[j], m2, 1e-13);
        let expressed = |x: &[f64]| x.iter().filter(|v| **v != 0.0).count() as f64;
        close(found.fraction[j], expressed(&a) / n1, 1e-15);
        close(found.fraction_reference[j], expressed(&b) / n2, 1e-15);
        let change = ((m1.exp_m1() + 1e-9) / (m2.exp_m1() + 1e-9)).log2();
        assert!(change.is_nan() == found.log2_fold_change[j].is_nan());
        if change.is_finite() {
            near(found.log2_fold_change[j], change, 1e-9 * (1.0 + change.abs()));
        }
    }
}

fn all_options() -> Vec<MarkerOptions> {
    [MarkerTest::Wilcoxon, MarkerTest::Welch, MarkerTest::OverestimatedVariance]
        .into_iter()
        .flat_map(|test| [false, true].map(|tie_correct| MarkerOptions { test, tie_correct, ..WILCOXON }))
        .collect()
}

#[test]
fn every_reference_is_what_it_says() {
    let n = 150;
    let (x, labels) = (values(n, 23, 1), random_labels(n, 4));
    let (sparse, graph) = (CsrMatrix::from_dense(x.view()), path(n));
    let of = |code: u32| -> Vec<usize> { (0..n).filter(|&i| labels[i] == Some(code)).collect() };
    let codes = [1, 4, 7, 10];
    for options in all_options() {
        let found = run(&sparse, &rest(&labels), &options);
        assert_eq!(found.iter().map(|f| f.group).collect::<Vec<_>>(), codes);
        for found in &found {
            let others: Vec<usize> =
                (0..n).filter(|&i| labels[i].is_some_and(|l| l != found.group)).collect();
            check_by_definition(&x, found, &of(found.group), &others, &options);
        }

        let groups = MarkerGroups { reference: Reference::Group(7), ..rest(&labels) };
        let found = run(&sparse, &groups, &options);
        assert_eq!(found.iter().map(|f| f.group).collect::<Vec<_>>(), [1, 4, 10]);
        for found in &found {
            check_by_definition(&x, found, &of(found.group), &of(7), &options);
        }

        for n_hops in [1, 2] {
            let reference = Reference::Neighborhood { graph: graph.view(), n_hops };
            for found in &run(&sparse, &MarkerGroups { reference, ..rest(&labels) }, &options) {
                let own = of(found.group);
                let around: Vec<usize> = (0..n)
                    .filter(|&i| labels[i].is_some_and(|l| l != found.group))
                    .filter(|&i| own.iter().any(|&j| i.abs_diff(j) <= n_hops))
                    .collect();
                check_by_definition(&x, found, &own, &around, &options);
            }
        }
    }
}

#[test]
fn slices_hold_as_counted_one_by_one() {
    let n = 400;
    let mut x = values(n, 12, 3).mapv(f64::abs);
    let labels = random_labels(n, 3);
    let codes: Vec<u32> = (0..n).map(|i| (i % 7 / 2) as u32 * 5).collect();
    // The first gene is up in group 1, but in slice 5 it is not expressed there.
    for i in 0..n {
        if labels[i] == Some(1) {
            x[[i, 0]] = if codes[i] == 5 { 0.0 } else { x[[i, 0]] + 2.0 };
        }
    }
    let slices = Slices::from_codes(&codes, &[]);
    let options = MarkerOptions { min_spots_per_slice: 20, slice_log2_fold_change: 0.1, ..WILCOXON };
    let groups = MarkerGroups { slices: Some(&slices), ..rest(&labels) };
    let sparse = CsrMatrix::from_dense(x.view());
    let found = run(&sparse, &groups, &options);
    let without = run(&sparse, &rest(&labels), &options);
    for (found, without) in found.iter().zip(without) {
        assert_eq!(
            (&found.score, &found.auc, &found.fraction),
            (&without.score, &without.auc, &without.fraction)
        );
        let support = found.slices.as_ref().expect("slices were given");
        let mut n_judged = 0;
        for j in 0..12 {
            let (mut hold, mut differences) = (0, Vec::new());
            for code in [0, 5, 10, 15] {
                let take = |own: bool| -> Vec<f64> {
                    (0..n)
                        .filter(|&i| codes[i] == code && labels[i].is_some_and(|l| (l == found.group) == own))
                        .map(|i| x[[i, j]])
                        .collect()
                };
                let (a, b) = (take(true), take(false));
                if a.len() < 20 {
                    continue;
                }
                let (m1, m2) = (mean_and_variance(&a).0, mean_and_variance(&b).0);
                let change = ((m1.exp_m1() + 1e-9) / (m2.exp_m1() + 1e-9)).log2();
                hold += u32::from(change * found.log2_fold_change[j].signum() > 0.1);
                differences.push(m1 - m2);
            }
            n_judged = differences.len();
            assert_eq!(support.hold[j], hold);
            let (mean, variance) = mean_and_variance(&differences);
            let t = mean / (variance / n_judged as f64).sqrt();
            near(support.score[j], t, 1e-9 * (1.0 + t.abs()));
            assert_eq!(support.p_value[j], tails::student(support.score[j], n_judged as f64 - 1.0).p);
        }
        assert_eq!(support.n_judged, n_judged);
        assert_eq!(support.p_adjusted, benjamini_hochberg(&support.p_value));
    }
    let support = found[0].slices.as_ref().expect("slices were given");
    assert_eq!((support.n_judged, support.hold[0]), (3, 2), "the last slice is small, and one differs");
    assert!(found[0].select(&Thresholds::default()).contains(&0));
    assert!(!found[0].select(&Thresholds { slice_share: 0.7, ..Thresholds::default() }).contains(&0));
}

// ---------------------------------------------------------------------------------------------------------- by hand

#[test]
fn four_spots_by_hand() {
    // Group 0: −1, 2; group 1: 0, 2. Pairs won: −1 loses both; 2 beats 0 and ties with 2: U = 1.5 of 4.
    let x = CsrMatrix::from_dense(array![[-1.0_f32], [2.0], [0.0], [2.0]].view());
    let labels = [Some(0), Some(0), Some(1), Some(1)];
    let found = run(&x, &rest(&labels), &WILCOXON);
    assert_eq!((found[0].auc[0], found[1].auc[0]), (0.375, 0.625));
    // Variance 2·2·5/12; with ties (one of two spots: 6/60 less).
    close(found[0].score[0], -0.5 / (20.0_f64 / 12.0).sqrt(), 1e-15);
    let corrected = run(&x, &rest(&labels), &MarkerOptions { tie_correct: true, ..WILCOXON });
    close(corrected[0].score[0], -0.5 / (0.9 * 20.0_f64 / 12.0).sqrt(), 1e-15);
    assert_eq!((found[0].mean[0], found[0].mean_reference[0]), (0.5, 1.0));
    assert_eq!((found[0].fraction[0], found[0].fraction_reference[0]), (1.0, 0.5));
    // Welch: variances 4.5 and 2, t = −0.5/√(2.25 + 1), df = 3.25²/(2.25² + 1).
    let welch = run(&x, &rest(&labels), &MarkerOptions { test: MarkerTest::Welch, ..WILCOXON });
    close(welch[0].score[0], -0.5 / 3.25_f64.sqrt(), 1e-15);
    let expected = tails::student(0.5 / 3.25_f64.sqrt(), 3.25 * 3.25 / (2.25 * 2.25 + 1.0));
    close(welch[0].p_value[0], expected.p, 1e-14);
}

#[test]
fn neighborhoods_by_hand() {
    // A path: 0 0 – 1 1 2 (none) 2 2; within one edge of group 0 lies spot 3 only through the spot without a label.
    let labels = [Some(0), Some(0), None, Some(1), Some(1), Some(2), None, Some(2), Some(2)];
    let x = CsrMatrix::from_dense(Array2::from_shape_fn((9, 1), |(i, _)| i as f64).view());
    let graph = path(9);
    let sizes = |n_hops| -> Vec<usize> {
        let reference = Reference::Neighborhood { graph: graph.view(), n_hops };
        let found = run(&x, &MarkerGroups { reference, ..rest(&labels) }, &WILCOXON);
        // Nobody is left without an answer.
        assert!(found.iter().all(|f| !f.p_value[0].is_nan() && !f.p_adjusted[0].is_nan()));
        found.iter().map(|f| f.n_reference).collect()
    };
    assert_eq!(sizes(1), [0, 1, 1]);
    assert_eq!(sizes(2), [1, 2, 2]);
    assert_eq!(sizes(50), [5, 5, 4]);
}

// ------------------------------------------------------------------------------------------------------------- edges

#[test]
fn what_says_nothing_is_no_evidence() {
    // Constant (0.1, whose mean is not 0.1 by summing), all zero, constant within groups, one spot differs.
    let x = array![
        [0.1, 0.0, 0.7, 0.0],
        [0.1, 0.0, 0.7, 0.0],
        [0.1, 0.0, 0.7, 0.0],
        [0.1, 0.0, 0.1, 0.0],
        [0.1, 0.0, 0.1, 0.0],
        [0.1, 0.0, 0.1, 3.0],
    ];
    let x = CsrMatrix::from_dense(x.view());
    let labels = [Some(0), Some(0), Some(0), Some(1), Some(1), Some(1)];
    for options in all_options() {
        for (found, sign) in run(&x, &rest(&labels), &options).iter().zip([1.0, -1.0]) {
            assert_eq!((&found.score[..2], &found.p_value[..2]), (&[0.0; 2][..], &[1.0; 2][..]));
            assert_eq!((&found.log2_fold_change[..2], &found.auc[..2]), (&[0.0; 2][..], &[0.5; 2][..]));
            assert!(found.score[2] * sign > 0.0 && found.p_value[2] < 0.06);
            if options.test != MarkerTest::Wilcoxon {
                assert_eq!((found.score[2], found.p_value[2]), (f64::INFINITY * sign, 0.0));
            }
            assert!(found.p_value.iter().chain(&found.p_adjusted).all(|p| (0.0..=1.0).contains(p)));
        }
    }
}

#[test]
fn groups_of_one_spot_and_tissues_of_one_group_are_answered() {
    let x = CsrMatrix::from_dense(array![[3.0_f32, 0.0], [1.0, 0.0], [2.0, 1.0]].view());
    for options in all_options() {
        let found = run(&x, &rest(&[Some(5), Some(2), Some(2)]), &options);
        assert_eq!((found[1].group, found[1].n_group, found[1].auc[0]), (5, 1, 1.0));
        let no_variance = options.test != MarkerTest::Wilcoxon;
        assert_eq!(found[1].p_value[0] == 1.0, no_variance);
        let alone = run(&x, &rest(&[Some(5); 3]), &options);
        assert_eq!((alone[0].n_reference, &alone[0].p_adjusted), (0, &vec![1.0; 2]));
        assert!(alone[0].auc[0].is_nan() && alone[0].log2_fold_change[0].is_nan());
        assert_eq!((alone[0].mean[0], alone[0].fraction[1]), (2.0, 1.0 / 3.0));
    }
    let no_genes = CsrMatrix::<f32>::from_rows(0, &[vec![], vec![]]);
    assert!(run(&no_genes, &rest(&[Some(0), Some(1)]), &WILCOXON)[0].p_adjusted.is_empty());
}

#[test]
fn tiny_p_values_are_told_apart_by_their_logarithm() {
    let n = 20_000;
    let x = Array2::from_shape_fn((n, 2), |(i, j)| {
        let noise = (Seed(2).word(i as u64) % 1000) as f32 / 1000.0;
        if i < n / 2 { 5.0 + noise } else { noise * (1.0 + j as f32 * 5.5) }
    });
    let labels: Vec<Option<u32>> = (0..n).map(|i| Some(u32::from(i >= n / 2))).collect();
    for options in all_options() {
        let found = &run(&CsrMatrix::from_dense(x.view()), &rest(&labels), &options)[0];
        assert_eq!((found.p_value[0], found.p_adjusted[0]), (0.0, 0.0));
        assert!(found.ln_p_value[0] < found.ln_p_value[1] && found.ln_p_value[1] < -800.0);
        assert!(found.ln_p_value[0].is_finite() && found.order() == [0, 1]);
    }
}

#[test]
fn bad_input_is_refused() {
    let x = CsrMatrix::from_dense(array![[1.0_f32, 2.0], [3.0, 4.0], [5.0, f32::NAN]].view());
    let fails = |groups: &MarkerGroups<'_>, options: &MarkerOptions| {
        let error = markers(&x.view(), groups, options, &Silent).expect_err("unfit");
        assert_eq!(flaw(&error), None);
        error
    };
    let labels = [Some(0), Some(1), Some(1)];
    let found = StatsError::BadExpression { row: 2, column: 1, value: "NaN".to_owned() };
    assert_eq!(fails(&rest(&labels), &WILCOXON), found);
    let ignored = [Some(0), Some(1), None];
    assert_eq!(run(&x, &rest(&ignored), &WILCOXON).len(), 2, "the row of a spot without a label is not read");
    assert_eq!(fails(&rest(&labels[..2]), &WILCOXON), StatsError::LabelCount { found: 2, expected: 3 });
    assert_eq!(fails(&rest(&[None; 3]), &WILCOXON), StatsError::NoLabels { n_obs: 3 });
    let other = MarkerGroups { reference: Reference::Group(2), ..rest(&ignored) };
    assert!(matches!(fails(&other, &WILCOXON), StatsError::Option(e) if e.option.0 == "reference"));
    let (small, graph) = (path(2), path(3));
    let near = |graph: &CsrMatrix<f64>, n_hops| {
        let reference = Reference::Neighborhood { graph: graph.view(), n_hops };
        fails(&MarkerGroups { reference, ..rest(&ignored) }, &WILCOXON)
    };
    assert_eq!(near(&small, 1), StatsError::ShapeMismatch { rows: 2, columns: 2, n_obs: 3 });
    assert!(matches!(near(&graph, 0), StatsError::Option(e) if e.option.0 == "n_hops"));
    let slices = Slices::one(2);
    let sliced = MarkerGroups { slices: Some(&slices), ..rest(&ignored) };
    assert_eq!(
        fails(&sliced, &WILCOXON),
        StatsError::Graph(GraphError::SliceLength { found: 2, expected: 3 })
    );
    for options in [
        MarkerOptions { min_spots_per_slice: 0, ..WILCOXON },
        MarkerOptions { slice_log2_fold_change: f64::NAN, ..WILCOXON },
        MarkerOptions { slice_log2_fold_change: -1.0, ..WILCOXON },
    ] {
        assert!(matches!(fails(&rest(&ignored), &options), StatsError::Option(_)));
    }
}

#[test]
fn an_interruption_ends_the_work_and_genes_are_counted() {
    #[derive(Default)]
    struct Count {
        done: AtomicU64,
        stop: bool,
    }
    impl Monitor for Count {
        fn advance(&self, steps: u64) {
            self.done.fetch_add(steps, Ordering::Relaxed);
        }
        fn is_interrupted(&self) -> bool {
            self.stop
        }
    }
    let x = CsrMatrix::from_dense(values(20, 9, 4).view());
    let labels = random_labels(20, 2);
    let count = Count::default();
    assert!(markers(&x.view(), &rest(&labels), &WILCOXON, &count).is_ok());
    assert_eq!(count.done.into_inner(), 9);
    let stopped = markers(&x.view(), &rest(&labels), &WILCOXON, &Count { stop: true, ..Count::default() });
    assert_eq!(stopped, Err(StatsError::Interrupted(Interrupted)));
}

// -------------------------------------------------------------------------------------------------------------- laws

/// A matrix that arrives in blocks, few entries at a time.
struct Blocks<'a, V> {
    matrix: &'a CsrMatrix<V>,
    sizes: &'a [usize],
    entries_at_once: usize,
    in_memory: bool,
}

impl<V: Expression> ExpressionRows for Blocks<'_, V> {
    type Value = V;
    type Error = StatsError;

    fn n_obs(&self) -> usize {
        self.matrix.n_rows()
    }
    fn n_vars(&self) -> usize {
        self.matrix.n_cols()
    }
    fn nnz(&self) -> usize {
        self.matrix.nnz()
    }
    fn in_memory(&self) -> Option<CsrView<'_, V>> {
        self.in_memory.then(|| self.matrix.view())
    }
    fn entries_at_once(&self) -> usize {
        self.entries_at_once
    }
    fn for_each_block(&self, visit: &mut VisitRows<'_, V>) -> Result<(), StatsError> {
        let mut first = 0;
        for &n in self.sizes.iter().cycle() {
            let rows: Vec<usize> = (first..self.n_obs().min(first + n)).collect();
            if rows.is_empty() {
                return Ok(());
            }
            visit(first, self.matrix.view().select_rows(&rows).view())?;
            first += n;
        }
        Ok(())
    }
}

/// 9000 spots are more than are turned together, and some genes have more entries than are sorted by comparison.
fn large() -> (CsrMatrix<f32>, Vec<Option<u32>>, Slices) {
    let x = values(9000, 31, 9).mapv(|v| v as f32);
    let slices = Slices::from_codes(&(0..9000).map(|i| i / 1800).collect::<Vec<u32>>(), &[]);
    (CsrMatrix::from_dense(x.view()), random_labels(9000, 6), slices)
}

#[test]
fn blocks_and_memory_give_the_same_bits() {
    let (x, labels, slices) = large();
    let options = MarkerOptions { test: MarkerTest::Welch, ..WILCOXON };
    let groups = MarkerGroups { slices: Some(&slices), ..rest(&labels) };
    let expected = format!("{:?}", run(&x, &groups, &options));
    let sources: [(&[usize], usize, bool); 4] = [
        (&[9000], 1 << 25, false),
        (&[1, 700, 13], 40_000, false),
        (&[8192], 1, false),
        (&[1], 40_000, true),
    ];
    for (sizes, entries_at_once, in_memory) in sources {
        let source = Blocks { matrix: &x, sizes, entries_at_once, in_memory };
        let found = markers(&source, &groups, &options, &Silent).expect("valid");
        assert_eq!(format!("{found:?}"), expected, "{sizes:?} {entries_at_once}");
    }
}

#[test]
fn blocks_that_do_not_add_up_are_refused() {
    struct Odd<'a>(&'a [(usize, CsrMatrix<f32>)]);
    impl ExpressionRows for Odd<'_> {
        type Value = f32;
        type Error = StatsError;
        fn n_obs(&self) -> usize {
            4
        }
        fn n_vars(&self) -> usize {
            2
        }
        fn nnz(&self) -> usize {
            0
        }
        fn for_each_block(&self, visit: &mut VisitRows<'_, f32>) -> Result<(), StatsError> {
            self.0.iter().try_for_each(|(first, block)| visit(*first, block.view()))
        }
    }
    let block = |n_rows: usize, n_cols| CsrMatrix::<f32>::from_rows(n_cols, &vec![Vec::new(); n_rows]);
    let run = |blocks: &[(usize, CsrMatrix<f32>)]| {
        markers(&Odd(blocks), &rest(&[Some(0), Some(0), Some(1), Some(1)]), &WILCOXON, &Silent).map(|_| ())
    };
    assert_eq!(run(&[(0, block(4, 2))]), Ok(()));
    assert_eq!(run(&[(0, block(2, 2)), (2, block(2, 2))]), Ok(()));
    let rows = |found, expected| Err(StatsError::RowCount { found, expected });
    assert_eq!(run(&[(0, block(2, 2))]), rows(2, 4));
    assert_eq!(run(&[(0, block(2, 2)), (3, block(1, 2))]), rows(3, 2));
    assert_eq!(run(&[(0, block(3, 2)), (3, block(2, 2))]), rows(5, 4));
    assert_eq!(run(&[(usize::MAX, block(3, 2))]), rows(usize::MAX, 4));
    let columns = run(&[(0, block(4, 3))]).expect_err("three columns");
    assert_eq!(columns, StatsError::ColumnCount { found: 3, expected: 2 });
    for error in [columns, StatsError::RowCount { found: 2, expected: 4 }] {
        assert_eq!(flaw(&error), None);
    }
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let (x, labels, slices) = large();
    let graph = path(9000);
    let reference = Reference::Neighborhood { graph: graph.view(), n_hops: 2 };
    for reference in [Reference::Rest, Reference::Group(4), reference] {
        let groups = MarkerGroups { labels: &labels, reference, slices: Some(&slices) };
        let options = MarkerOptions { test: MarkerTest::Welch, tie_correct: true, ..WILCOXON };
        let on = |n| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("pool");
            pool.install(|| format!("{:?}", run(&x, &groups, &options)))
        };
        assert_eq!(on(1), on(4));
    }
}

#[test]
fn ranks_do_not_depend_on_the_order_of_the_spots_or_the_precision() {
    let (x, labels, _) = large();
    let order: Vec<usize> = (0..9000).map(|i| (i * 7919) % 9000).collect();
    let shuffled = x.view().select_rows(&order);
    let shuffled_labels: Vec<Option<u32>> = order.iter().map(|&i| labels[i]).collect();
    let double = x.view().map(f64::from);
    let options = MarkerOptions { tie_correct: true, ..WILCOXON };
    let found = run(&x, &rest(&labels), &options);
    for (found, other) in found.iter().zip(run(&shuffled, &rest(&shuffled_labels), &options)) {
        assert_eq!((&found.auc, &found.fraction), (&other.auc, &other.fraction));
        for (a, b) in found.score.iter().zip(&other.score) {
            near(*a, *b, 1e-12);
        }
    }
    let in_double = run(&double, &rest(&labels), &options);
    assert_eq!(format!("{found:?}"), format!("{in_double:?}"));
}

#[test]
fn stored_zeros_are_zeros() {
    let plain = CsrMatrix::from_rows(1, &[vec![(0, 1.0_f32)], vec![], vec![], vec![(0, 2.0)]]);
    let stored =
        CsrMatrix::from_rows(1, &[vec![(0, 1.0_f32)], vec![(0, 0.0)], vec![(0, -0.0)], vec![(0, 2.0)]]);
    let labels = [Some(0), Some(0), Some(1), Some(1)];
    for options in all_options() {
        assert_eq!(run(&stored, &rest(&labels), &options), run(&plain, &rest(&labels), &options));
    }
}

#[test]
fn two_groups_mirror_each_other() {
    let x = CsrMatrix::from_dense(values(200, 15, 6).view());
    let labels: Vec<Option<u32>> = random_labels(200, 2);
    for options in all_options().iter().filter(|o| o.test != MarkerTest::OverestimatedVariance) {
        let found = run(&x, &rest(&labels), options);
        let one = run(&x, &MarkerGroups { reference: Reference::Group(4), ..rest(&labels) }, options);
        for j in 0..15 {
            near(found[0].score[j], -found[1].score[j], 1e-13);
            close(found[0].p_value[j], found[1].p_value[j], 1e-12);
            near(found[0].auc[j], 1.0 - found[1].auc[j], 1e-15);
            near(one[0].score[j], found[0].score[j], 1e-13);
        }
    }
}

#[test]
fn thresholds_are_those_of_the_papers() {
    assert_eq!(Thresholds::preset("staig").map(|t| (t.log2_fold_change, t.p_value)), Some((0.25, 0.05)));
    assert_eq!(Thresholds::preset("spami").map(|t| t.log2_fold_change), Some(0.5));
    assert_eq!(Thresholds::preset("other"), None);
    let list = |values: [f64; 5]| values.to_vec();
    let found = GroupMarkers {
        group: 0,
        n_group: 10,
        n_reference: 10,
        score: list([2.5, 3.0, -4.0, 3.0, 9.0]),
        p_value: list([0.012, 0.003, 1e-4, 0.003, 1.0]),
        ln_p_value: vec![0.0; 5],
        p_adjusted: list([0.06, 0.01, 1e-3, 0.01, 1.0]),
        log2_fold_change: list([0.6, 0.3, -2.0, 0.7, f64::NAN]),
        mean: vec![0.0; 5],
        mean_reference: vec![0.0; 5],
        fraction: list([0.5, 0.5, 0.0, 0.05, 0.0]),
        fraction_reference: list([0.1, 0.1, 0.5, 0.1, 0.0]),
        auc: vec![0.5; 5],
        slices: None,
    };
    assert_eq!(found.order(), [4, 1, 3, 0, 2], "of equal scores the first gene leads");
    assert_eq!(found.select(&Thresholds::STAIG), [1, 3, 0, 2]);
    assert_eq!(found.select(&Thresholds::SPAMI), [3, 0, 2]);
    assert_eq!(found.select(&Thresholds::default()), [1, 3]);
    assert_eq!(found.select(&Thresholds { fraction: 0.1, ..Thresholds::STAIG }), [1, 0, 2]);
    let slices = SliceSupport {
        n_judged: 4,
        hold: vec![2, 3, 4, 0, 4],
        score: vec![0.0; 5],
        p_value: vec![1.0; 5],
        p_adjusted: vec![1.0; 5],
    };
    let sliced = GroupMarkers { slices: Some(slices.clone()), ..found.clone() };
    assert_eq!(sliced.select(&Thresholds::STAIG), [1, 2]);
    let unseen = SliceSupport { n_judged: 0, hold: vec![0; 5], ..slices };
    assert!(GroupMarkers { slices: Some(unseen), ..found }.select(&Thresholds::STAIG).is_empty());
}

#[test]
fn options_are_read_by_name() {
    let options: MarkerOptions =
        serde_json::from_str(r#"{"test": "overestimated-variance", "tie_correct": true}"#).expect("valid");
    assert_eq!((options.test, options.tie_correct), (MarkerTest::OverestimatedVariance, true));
    assert_eq!(options.min_spots_per_slice, MarkerOptions::default().min_spots_per_slice);
}
