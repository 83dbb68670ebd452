use brodmann_kernels::proofread::flaw;
use brodmann_kernels::{Interrupted, Seed, Silent};
use ndarray::{Array1, Array2, Axis};

use super::*;

fn uniform(i: usize, axis: usize) -> f64 {
    Seed(axis as u64).word(i as u64) as f64 / u64::MAX as f64
}

fn random_spots(n: usize, columns: usize) -> Array2<f64> {
    Array2::from_shape_fn((n, columns), |(i, axis)| 100.0 * uniform(i, axis))
}

fn labels_of(n: usize, k: u64) -> Vec<Option<u32>> {
    (0..n).map(|i| (i % 13 > 0).then_some((Seed(99).word(i as u64) % k) as u32)).collect()
}

fn run(x: &Array2<f64>, codes: &[Option<u32>], k: usize, edges: &[f64], reach: Reach) -> CoOccurrence {
    let labels = Labels { codes, n_groups: k };
    co_occurrence(x.view(), labels, None, &Intervals::Edges(edges.to_vec()), reach, &Silent).expect("valid")
}

fn by_all_pairs(
    x: &Array2<f64>,
    codes: &[Option<u32>],
    slices: &[u32],
    k: usize,
    edges: &[f64],
    reach: Reach,
) -> Array3<u64> {
    let mut pairs = Array3::zeros((k, k, edges.len() - 1));
    for i in 0..x.nrows() {
        for j in (0..x.nrows()).filter(|&j| j != i && slices[i] == slices[j]) {
            let (Some(a), Some(b)) = (codes[i], codes[j]) else { continue };
            let distance = (&x.row(i) - &x.row(j)).mapv(|d| d * d).sum().sqrt();
            for step in 0..edges.len() - 1 {
                let beyond = distance > edges[step] || (step == 0 && distance >= edges[0]);
                if distance <= edges[step + 1] && (beyond || reach == Reach::Cumulative) {
                    pairs[[a as usize, b as usize, step]] += 1;
                }
            }
        }
    }
    pairs
}

#[test]
fn ratios_equal_squidpy_and_the_formula_in_numpy() {
    let mut npz = crate::oracles::open("explain");
    let xy: Array2<f64> = npz.by_name("sp_xy").expect("sp_xy");
    let labels: Array1<i64> = npz.by_name("sp_label").expect("sp_label");
    let edges: Array1<f64> = npz.by_name("co_interval").expect("co_interval");
    let codes: Vec<Option<u32>> = labels.iter().map(|&l| Some(l as u32)).collect();
    let found = run(&xy, &codes, 3, edges.as_slice().expect("contiguous"), Reach::Cumulative);
    // squidpy in single precision: seven digits.
    for (name, tolerance) in [("co_formula", 1e-12), ("co_squidpy", 1e-5)] {
        let expected: Array3<f64> = npz.by_name(name).expect(name);
        for (f, e) in found.ratio.iter().zip(&expected) {
            assert!((f - e).abs() <= tolerance, "{name}: {f} instead of {e}");
        }
    }
}

#[test]
fn counts_equal_those_over_all_pairs_in_plane_and_space_and_by_slice() {
    for columns in [2, 3] {
        let x = random_spots(260, columns);
        let codes = labels_of(260, 4);
        let slices: Vec<u32> = (0..260).map(|i| (i / 7 % 3) as u32).collect();
        let grouped = Slices::from_codes(&slices, &[]);
        for edges in [vec![0.0, 5.0, 10.0, 40.0], vec![3.0, 4.0], vec![0.5, 1.0, 1000.0]] {
            for reach in [Reach::Cumulative, Reach::Ring] {
                let expected = by_all_pairs(&x, &codes, &[0; 260], 4, &edges, reach);
                assert_eq!(run(&x, &codes, 4, &edges, reach).pairs, expected);
                let labels = Labels { codes: &codes, n_groups: 4 };
                let intervals = Intervals::Edges(edges.clone());
                let found = co_occurrence(x.view(), labels, Some(&grouped), &intervals, reach, &Silent);
                let expected = by_all_pairs(&x, &codes, &slices, 4, &edges, reach);
                assert_eq!(found.expect("valid").pairs, expected);
            }
        }
    }
}

#[test]
fn a_lattice_has_its_distances_in_the_right_rings() {
    let x = Array2::from_shape_fn((100, 2), |(i, axis)| if axis == 0 { i % 10 } else { i / 10 } as f64);
    // 1, √2, 2, √5: each edge is itself a distance.
    let edges = [0.0, 1.0, 2.0_f64.sqrt(), 2.0, 5.0_f64.sqrt()];
    let found = run(&x, &[Some(0); 100], 1, &edges, Reach::Ring);
    assert_eq!(found.pairs.as_slice(), Some(&[360, 324, 320, 576][..]));
    assert!(found.ratio.iter().all(|&r| r == 1.0));
}

#[test]
fn spots_in_one_place_are_a_pair_at_distance_zero() {
    let x = Array2::zeros((3, 2));
    let codes = [Some(0), Some(0), Some(1)];
    assert_eq!(run(&x, &codes, 2, &[0.0, 1.0], Reach::Ring).pairs.as_slice(), Some(&[2, 2, 2, 0][..]));
    // Below the first edge: in no ring, but within every reach.
    assert_eq!(run(&x, &codes, 2, &[0.5, 1.0], Reach::Ring).pairs.sum(), 0);
    assert_eq!(run(&x, &codes, 2, &[0.5, 1.0], Reach::Cumulative).pairs.sum(), 6);
}

#[test]
fn labels_without_a_pair_have_no_ratio() {
    let x = random_spots(4, 2);
    let found = run(&x, &[Some(0), Some(0), None, Some(2)], 3, &[0.0, 1000.0], Reach::Cumulative);
    assert!(found.ratio[[1, 0, 0]].is_nan() && found.ratio[[0, 1, 0]].is_nan());
    assert!(!found.ratio[[0, 2, 0]].is_nan());
    for codes in [&[None; 4][..], &[Some(0), None, None, None]] {
        assert!(run(&x, codes, 1, &[0.0, 1.0], Reach::Ring).ratio[[0, 0, 0]].is_nan());
    }
    let none = Array2::zeros((0, 2));
    assert_eq!(run(&none, &[], 0, &[0.0, 1.0], Reach::Ring).ratio.dim(), (0, 0, 1));
}

#[test]
fn neither_the_order_of_spots_nor_the_number_of_threads_matters() {
    let (x, codes) = (random_spots(6000, 2), labels_of(6000, 5));
    let edges: Vec<f64> = (0..20).map(f64::from).collect();
    let threads = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("pool");
    let one = threads(1).install(|| run(&x, &codes, 5, &edges, Reach::Cumulative));
    assert_eq!(one, threads(4).install(|| run(&x, &codes, 5, &edges, Reach::Cumulative)));
    let order: Vec<usize> = (0..6000).rev().collect();
    let turned: Vec<Option<u32>> = order.iter().map(|&i| codes[i]).collect();
    assert_eq!(one, run(&x.select(Axis(0), &order), &turned, 5, &edges, Reach::Cumulative));
}

#[test]
fn steps_are_chosen_where_none_are_given() {
    let (x, codes) = (random_spots(500, 2), labels_of(500, 2));
    let labels = Labels { codes: &codes, n_groups: 2 };
    let with =
        |intervals: Intervals| co_occurrence(x.view(), labels, None, &intervals, Reach::Cumulative, &Silent);
    let found = with(Intervals::default()).expect("valid");
    assert_eq!((found.interval.len(), found.ratio.dim()), (50, (2, 2, 49)));
    // Half the diagonal of 100 × 100.
    assert!((found.interval[49] - 70.7).abs() < 1.0 && found.interval[0] == 0.0);
    let given = with(Intervals::Even { n_edges: 3, longest: Some(8.0) }).expect("valid");
    assert_eq!(given.interval, [0.0, 4.0, 8.0]);
    let pile = Array2::zeros((5, 2));
    let labels = Labels { codes: &[Some(0); 5], n_groups: 1 };
    let found = co_occurrence(pile.view(), labels, None, &Intervals::default(), Reach::Ring, &Silent);
    assert_eq!(found.expect("valid").interval[49], 1.0);
    // A million spots on 1000 × 1000: 20 000 in a disc of radius 80.
    let many =
        Array2::from_shape_fn((1_000_000, 2), |(i, axis)| if axis == 0 { i % 1000 } else { i / 1000 } as f64);
    assert!((usual_reach(many.view(), &Slices::one(1_000_000)) - 79.8).abs() < 0.2);
}

#[test]
fn what_is_no_interval_is_refused() {
    let (x, codes) = (random_spots(6, 2), labels_of(6, 2));
    let with = |intervals: Intervals, n_groups: usize| {
        let labels = Labels { codes: &codes, n_groups };
        let error = co_occurrence(x.view(), labels, None, &intervals, Reach::Ring, &Silent);
        let error = error.expect_err("no interval");
        assert_eq!(flaw(&error), None);
        error
    };
    for edges in [
        vec![],
        vec![1.0],
        vec![0.0, 0.0],
        vec![2.0, 1.0],
        vec![-1.0, 1.0],
        vec![0.0, f64::NAN],
        vec![f64::NAN, 1.0],
        vec![0.0, f64::INFINITY],
    ] {
        assert!(matches!(with(Intervals::Edges(edges), 2), StatsError::Option(_)));
    }
    for longest in [Some(0.0), Some(f64::NAN), Some(f64::INFINITY)] {
        assert!(matches!(with(Intervals::Even { n_edges: 5, longest }, 2), StatsError::Option(_)));
    }
    assert!(matches!(with(Intervals::Even { n_edges: 1, longest: None }, 2), StatsError::Option(_)));
    assert!(matches!(with(Intervals::default(), 4000), StatsError::TooManyGroups { limit: 573, .. }));
    assert!(matches!(with(Intervals::default(), 1), StatsError::LabelOutOfRange { .. }));
    let labels = Labels { codes: &codes, n_groups: 2 };
    let bad = Array2::from_elem((6, 2), f64::NAN);
    let refused = co_occurrence(bad.view(), labels, None, &Intervals::default(), Reach::Ring, &Silent);
    assert!(matches!(refused, Err(StatsError::Graph(_))));
    struct Stop;
    impl Monitor for Stop {
        fn is_interrupted(&self) -> bool {
            true
        }
    }
    let stopped = co_occurrence(x.view(), labels, None, &Intervals::default(), Reach::Ring, &Stop);
    assert_eq!(stopped, Err(StatsError::Interrupted(Interrupted)));
}
