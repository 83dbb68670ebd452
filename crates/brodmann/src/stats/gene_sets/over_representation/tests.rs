//! Against the oracle, and the edges.

use brodmann_kernels::Silent;
use brodmann_kernels::proofread::flaw;
use ndarray::{Array1, Array2};

use super::*;

fn all_sizes() -> OverRepresentationOptions {
    OverRepresentationOptions { min_size: 0, max_size: usize::MAX, ..Default::default() }
}

fn sets(n_measured: usize, lists: &[&[u32]]) -> MatchedSets {
    let name = ["a", "b", "c", "d"];
    MatchedSets::from_indices(n_measured, lists.iter().zip(name).map(|(l, n)| (n, *l))).expect("in range")
}

#[test]
fn results_equal_those_of_the_oracle() {
    let mut npz = crate::oracles::open("explain");
    let membership: Array2<bool> = npz.by_name("ora_sets").expect("ora_sets");
    let query: Array1<i64> = npz.by_name("ora_query").expect("ora_query");
    // Sets reach outside the background, and are cut to it.
    let lists: Vec<Vec<u32>> =
        membership.rows().into_iter().map(|row| (0..300).filter(|&g| row[g as usize]).collect()).collect();
    let names = ["s0", "s1", "s2", "s3", "s4"];
    let sets = MatchedSets::from_indices(300, names.iter().zip(&lists).map(|(n, l)| (*n, &l[..])))
        .expect("in range");
    let query: Vec<u32> = query.iter().map(|&g| g as u32).collect();
    let found = over_representation(&sets, &query, &all_sizes(), &Silent).expect("valid");
    let mut numbers = |name: &str| -> Vec<i64> {
        npz.by_name::<_, ndarray::Ix1>(name).map(|a: Array1<i64>| a.to_vec()).expect(name)
    };
    let overlap: Vec<i64> = found.genes.iter().map(|g| g.len() as i64).collect();
    assert_eq!(overlap, numbers("ora_overlap"));
    let size: Vec<i64> = found.size.iter().map(|&k| k as i64).collect();
    assert_eq!(size, numbers("ora_set_size_in_background"));
    let pairs = [
        ("ora_p", &found.p_value),
        ("ora_padj", &found.p_adjusted),
        ("ora_expected", &found.expected),
        ("ora_fold", &found.fold),
    ];
    for (name, found) in pairs {
        let expected: Array1<f64> = npz.by_name(name).expect(name);
        assert_eq!(found.len(), expected.len());
        for (f, e) in found.iter().zip(expected) {
            // Both compute in double precision.
            assert!((f - e).abs() <= 1e-12 * e.abs() || (f.is_nan() && e.is_nan()), "{name}: {f} {e}");
        }
    }
}

#[test]
fn the_background_may_be_cut_to_genes_in_sets() {
    let sets = sets(100, &[&[0, 1, 2], &[3, 4, 5, 6, 7, 8, 9]]);
    let options = OverRepresentationOptions { background: Background::InSets, ..all_sizes() };
    let found = over_representation(&sets, &[0, 1, 2, 3, 50, 60], &options, &Silent).expect("valid");
    assert_eq!((found.n_query, found.n_background), (4, 10));
    // 7 of C(10, 4) = 210 draws hold all three.
    assert!((found.p_value[0] - 7.0 / 210.0).abs() < 1e-15);
    let none = over_representation(&sets, &[50], &options, &Silent).expect_err("in no set");
    assert!(matches!(none, GeneSetError::EmptyQuery { .. }));
    assert_eq!(flaw(&none), None);
}

#[test]
fn repeated_genes_and_their_order_do_not_matter() {
    let sets = sets(50, &[&[4, 2, 4, 9], &[]]);
    let run = |query: &[u32]| over_representation(&sets, query, &all_sizes(), &Silent).expect("valid");
    assert_eq!(run(&[9, 4, 30]).p_value, run(&[30, 9, 4, 4, 9]).p_value);
    assert_eq!(run(&[9, 4, 30]).genes[0], [4, 9]);
    let empty = run(&[9]);
    assert_eq!((empty.p_value[1], empty.fold[1].is_nan()), (1.0, true));
}

#[test]
fn extreme_sets_are_ranked_by_logarithms() {
    let large: Vec<u32> = (0..2000).collect();
    let larger: Vec<u32> = (0..2001).collect();
    let sets = sets(60_000, &[&[5], &larger, &large]);
    let found = over_representation(&sets, &large, &all_sizes(), &Silent).expect("valid");
    assert_eq!(found.p_value[1..], [0.0, 0.0]);
    assert_eq!(found.ranked(), [2, 1, 0]);
}

#[test]
fn sizes_outside_the_limits_are_not_tested() {
    let sets = sets(50, &[&[1], &[1, 2], &[1, 2, 3]]);
    let options = OverRepresentationOptions { min_size: 2, max_size: 2, ..Default::default() };
    let found = over_representation(&sets, &[1], &options, &Silent).expect("valid");
    assert_eq!((found.set, found.size), (vec![1], vec![2]));
}

#[test]
fn bad_input_is_refused() {
    let sets = sets(50, &[&[1, 2]]);
    let run = |query: &[u32], options: &OverRepresentationOptions| {
        let error = over_representation(&sets, query, options, &Silent).expect_err("refused");
        assert_eq!(flaw(&error), None);
        error
    };
    assert!(matches!(run(&[50], &all_sizes()), GeneSetError::GeneRange { found: 50, n_measured: 50, .. }));
    assert_eq!(run(&[], &all_sizes()), GeneSetError::EmptyQuery { why: "" });
    let none = GeneSetError::NoneOfSize { n_sets: 1, min_size: 10, max_size: 500, largest: 2 };
    assert_eq!(run(&[1], &OverRepresentationOptions::default()), none);
    let crossed = OverRepresentationOptions { min_size: 5, max_size: 4, ..Default::default() };
    assert!(matches!(run(&[1], &crossed), GeneSetError::Option(_)));
    let outside = MatchedSets::from_indices(3, [("x", &[3_u32][..])]).expect_err("out of range");
    assert_eq!(flaw(&outside), None);
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let lists: Vec<Vec<u32>> =
        (0..300_u32).map(|s| (0..20 + s % 50).map(|i| (i * (s + 3) * 7) % 5000).collect()).collect();
    let names: Vec<String> = (0..300).map(|s| s.to_string()).collect();
    let sets = MatchedSets::from_indices(5000, names.iter().zip(&lists).map(|(n, l)| (n.as_str(), &l[..])))
        .expect("in range");
    let query: Vec<u32> = (0..900).map(|i| i * 5).collect();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
        pool.install(|| {
            over_representation(&sets, &query, &OverRepresentationOptions::default(), &Silent).expect("valid")
        })
    };
    assert_eq!(run(1), run(4));
}
