//! Against scanpy, by hand, and the edges.

use brodmann_kernels::proofread::flaw;
use brodmann_kernels::{CsrMatrix, Interrupted, Silent};
use ndarray::{Array1, array};

use super::*;

fn one_set(n_genes: usize, genes: &[u32]) -> MatchedSets {
    MatchedSets::from_indices(n_genes, [("s", genes)]).expect("in range")
}

#[test]
fn scores_and_controls_equal_scanpy() {
    let log: Array2<f64> = crate::oracles::open("scanpy").by_name("log").expect("log");
    let x = CsrMatrix::from_dense(log.view());
    let mut npz = crate::oracles::open("explain");
    let mut lists = Vec::new();
    for set in ["s0", "s1"] {
        let genes: Array1<i64> = npz.by_name(&format!("gs_{set}_genes")).expect("genes");
        lists.push(genes.iter().map(|&g| g as u32).collect::<Vec<_>>());
    }
    let sets =
        MatchedSets::from_indices(300, [("s0", &lists[0][..]), ("s1", &lists[1][..])]).expect("in range");
    let options = ScoreGenesOptions::default();
    let scores = score_genes(x.view(), &sets, &options, Seed(0), &Silent).expect("valid");
    let means = means(x.view(), &Silent).expect("finite");
    let bins: Array1<i64> = npz.by_name("gs_bin").expect("gs_bin");
    let found = Bins::new(&means, options.n_bins, Seed(0));
    assert!(found.bin_of.iter().zip(&bins).all(|(&f, &e)| i64::from(f) == e));
    let scorer = GeneScorer::new(&means, &sets, &options, Seed(0)).expect("valid");
    for (s, set) in ["s0", "s1"].into_iter().enumerate() {
        let mut controls: Array1<i64> = npz.by_name(&format!("gs_{set}_controls")).expect("controls");
        controls.as_slice_mut().expect("contiguous").sort_unstable();
        assert!(scorer.controls(s).iter().map(|&g| i64::from(g)).eq(controls), "{set}");
        let expected: Array1<f64> = npz.by_name(&format!("gs_{set}_score")).expect("score");
        for (f, e) in scores.column(s).iter().zip(expected) {
            // Sums of about a hundred numbers, in another order.
            assert!((f - e).abs() < 1e-12, "{set}: {f} {e}");
        }
    }
    // Single precision: seven digits of values up to ten.
    let single = log.mapv(|v| v as f32);
    let single = CsrMatrix::from_dense(single.view());
    let rounded = scorer.score(single.view(), &Silent).expect("valid");
    assert!(rounded.iter().zip(&scores).all(|(a, b)| (a - b).abs() < 1e-5));
}

#[test]
fn a_small_case_by_hand() {
    // Means 1, 1, 2, 3, 8: lowest ranks 1, 1, 3, 4, 5; two genes to a bin (5 / 2 = 2.5, to even): bins 0, 0, 1, 2, 2.
    let x = array![[0.0, 2.0, 1.0, 5.0, 9.0], [2.0, 0.0, 3.0, 1.0, 7.0]];
    let x = CsrMatrix::from_dense(x.view());
    let options = ScoreGenesOptions { ctrl_size: 50, n_bins: 3 };
    let scores = score_genes(x.view(), &one_set(5, &[0, 3]), &options, Seed(0), &Silent).expect("valid");
    // (0 + 5) / 2 − (2 + 9) / 2 and (2 + 1) / 2 − (0 + 7) / 2.
    assert_eq!(scores, array![[-3.0], [-2.0]]);
}

#[test]
fn drawn_controls_do_not_depend_on_the_other_sets() {
    let means: Vec<f64> = (0..1000).map(f64::from).collect();
    let options = ScoreGenesOptions { ctrl_size: 7, n_bins: 5 };
    let (a, b): (Vec<u32>, Vec<u32>) = ((0..30).collect(), (500..520).collect());
    let both = MatchedSets::from_indices(1000, [("a", &a[..]), ("b", &b[..])]).expect("in range");
    let both = GeneScorer::new(&means, &both, &options, Seed(1)).expect("valid");
    let alone = GeneScorer::new(&means, &one_set(1000, &b), &options, Seed(1)).expect("valid");
    assert_eq!(both.controls(1), alone.controls(0));
    // Seven of the bin of genes 499 to 748, none of them in the set.
    assert_eq!(alone.controls(0).len(), 7);
    assert!(alone.controls(0).iter().all(|&g| (499..749).contains(&g) && !b.contains(&g)));
    let other = GeneScorer::new(&means, &one_set(1000, &b), &options, Seed(2)).expect("valid");
    assert_ne!(other.controls(0), alone.controls(0));
}

#[test]
fn blocks_of_rows_and_threads_give_the_same_bits() {
    let x = Array2::from_shape_fn((1500, 40), |(i, j)| {
        let word = Seed(9).word((i * 40 + j) as u64);
        if word.is_multiple_of(3) { (word % 1000) as f32 / 80.0 } else { 0.0 }
    });
    let x = CsrMatrix::from_dense(x.view());
    let sets =
        MatchedSets::from_indices(40, [("a", &[1_u32, 5][..]), ("b", &[7, 30, 31])]).expect("in range");
    let options = ScoreGenesOptions { ctrl_size: 3, n_bins: 5 };
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
        pool.install(|| score_genes(x.view(), &sets, &options, Seed(0), &Silent).expect("valid"))
    };
    let whole = run(1);
    assert_eq!(whole, run(4));
    let means = means(x.view(), &Silent).expect("finite");
    let scorer = GeneScorer::new(&means, &sets, &options, Seed(0)).expect("valid");
    let block: Vec<usize> = (700..1500).collect();
    let found = scorer.score(x.view().select_rows(&block).view(), &Silent).expect("valid");
    assert_eq!(found, whole.slice_axis(ndarray::Axis(0), (700..).into()));
}

#[test]
fn bad_input_is_refused() {
    let x = CsrMatrix::from_dense(array![[1.0, 2.0, 0.0], [0.0, 1.0, 5.0]].view());
    let run = |x: &CsrMatrix<f64>, sets: &MatchedSets, options: &ScoreGenesOptions| {
        let error = score_genes(x.view(), sets, options, Seed(0), &Silent).expect_err("refused");
        assert_eq!(flaw(&error), None);
        error
    };
    let plain = ScoreGenesOptions::default();
    let set = one_set(3, &[0]);
    assert_eq!(run(&x, &one_set(3, &[]), &plain), GeneSetError::EmptySet { set: "s".to_owned() });
    assert_eq!(run(&x, &one_set(3, &[0, 1, 2]), &plain), GeneSetError::NoControls { set: "s".to_owned() });
    assert!(matches!(run(&x, &one_set(4, &[0]), &plain), GeneSetError::Length { found: 3, expected: 4, .. }));
    assert_eq!(run(&CsrMatrix::from_rows(3, &[]), &set, &plain), GeneSetError::NoSpots);
    let nan = CsrMatrix::from_rows(3, &[vec![(0, 1.0)], vec![(2, f64::NAN)]]);
    assert!(matches!(run(&nan, &set, &plain), GeneSetError::NonFinite { at, .. } if at == "spot 1, gene 2"));
    for options in [ScoreGenesOptions { ctrl_size: 0, ..plain }, ScoreGenesOptions { n_bins: 1, ..plain }] {
        assert!(matches!(run(&x, &set, &options), GeneSetError::Option(_)));
    }
    let none = MatchedSets::from_indices(3, []).expect("no sets");
    assert_eq!(score_genes(x.view(), &none, &plain, Seed(0), &Silent).expect("valid").dim(), (2, 0));
}

#[test]
fn an_interruption_ends_the_work() {
    struct Stop;
    impl Monitor for Stop {
        fn is_interrupted(&self) -> bool {
            true
        }
    }
    let x = CsrMatrix::from_dense(array![[1.0, 2.0]].view());
    let stopped = score_genes(x.view(), &one_set(2, &[0]), &ScoreGenesOptions::default(), Seed(0), &Stop);
    assert_eq!(stopped, Err(GeneSetError::Interrupted(Interrupted)));
}
