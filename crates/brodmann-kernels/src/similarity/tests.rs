use std::collections::BTreeSet;

use ndarray::{Array2, Axis};

use super::*;
use crate::monitor::Silent;
use crate::rng::Seed;

/// Unit rows without structure.
fn unit_rows(n: usize, d: usize) -> Array2<f64> {
    let mut rows = Array2::from_shape_fn((n, d), |(i, j)| {
        (Seed(7).word((i * d + j) as u64) >> 11) as f64 / (1u64 << 53) as f64 - 0.4
    });
    for mut row in rows.axis_iter_mut(Axis(0)) {
        let norm = row.dot(&row).sqrt();
        row /= norm;
    }
    rows
}

/// Three groups, one of a single row; each row excludes itself and a range of its own group.
fn example() -> (Array2<f64>, Vec<Range<usize>>, Vec<[u32; 4]>) {
    let groups = vec![0..300, 300..301, 301..700];
    let excluded = (0..700u32)
        .map(|i| if (310..450).contains(&i) { [310, 380, 380, 450] } else { [i, i + 1, 0, 0] })
        .collect();
    (unit_rows(700, 9), groups, excluded)
}

fn counts(i: usize, j: usize, groups: &[Range<usize>], excluded: &[[u32; 4]]) -> bool {
    let e = excluded[i].map(|x| x as usize);
    groups.iter().any(|g| g.contains(&i) && g.contains(&j))
        && !(e[0]..e[1]).contains(&j)
        && !(e[2]..e[3]).contains(&j)
}

#[test]
fn in_a_tournament_everybody_meets_everybody_once_and_nobody_plays_twice_in_a_round() {
    for n in 0..12 {
        let mut met = BTreeSet::new();
        for round in 0..n_meetings(n) {
            let mut playing = BTreeSet::new();
            for (a, b) in meetings(n, round) {
                assert!(a != b && a < n && b < n);
                assert!(playing.insert(a) && playing.insert(b), "n = {n}, round {round}");
                assert!(met.insert((a.min(b), a.max(b))));
            }
        }
        assert_eq!(met.len(), n * n.saturating_sub(1) / 2);
    }
}

#[test]
fn row_sums_equal_the_definition() {
    let (rows, groups, excluded) = example();
    let pairs = Pairs { groups: &groups, excluded: &excluded };
    let sums = exp_row_sums(rows.view(), pairs, 0.7, &Silent).unwrap();
    #[allow(clippy::needless_range_loop)] // two arrays and a matrix run beside it
    for i in 0..700 {
        let expected: f64 = (0..700)
            .filter(|&j| counts(i, j, &groups, &excluded))
            .map(|j| (0.7 * (rows.row(i).dot(&rows.row(j)) - 1.0)).exp())
            .sum();
        assert!((sums[i] - expected).abs() <= 1e-12 * expected, "row {i}: {} {expected}", sums[i]);
    }
}

#[test]
fn the_gradient_equals_the_definition() {
    let (rows, groups, excluded) = example();
    let pairs = Pairs { groups: &groups, excluded: &excluded };
    let weights: Vec<f64> = (0..700).map(|i| 1.0 + f64::from(i % 13)).collect();
    let mut gradient = Array2::from_elem(rows.dim(), 1.0);
    exp_gradient(rows.view(), pairs, 2.0, &weights, gradient.view_mut(), &Silent).unwrap();
    for i in 0..700 {
        let mut expected = ndarray::Array1::from_elem(9, 1.0);
        for j in (0..700).filter(|&j| counts(i, j, &groups, &excluded)) {
            let e = (2.0 * (rows.row(i).dot(&rows.row(j)) - 1.0)).exp();
            expected.scaled_add((weights[i] + weights[j]) * e, &rows.row(j));
        }
        let difference = &gradient.row(i) - &expected;
        assert!(difference.iter().all(|x| x.abs() < 1e-9), "row {i}: {difference}");
    }
}

#[test]
fn single_precision_agrees_with_double() {
    let (rows, groups, excluded) = example();
    let pairs = Pairs { groups: &groups, excluded: &excluded };
    let single = rows.mapv(|x| x as f32);
    let double_sums = exp_row_sums(rows.view(), pairs, 1.0, &Silent).unwrap();
    let single_sums = exp_row_sums(single.view(), pairs, 1.0, &Silent).unwrap();
    for (a, b) in double_sums.iter().zip(&single_sums) {
        assert!((a - b).abs() <= 2e-6 * a, "{a} {b}");
    }
}

#[test]
fn the_bits_do_not_depend_on_the_thread_count() {
    let (rows, groups, excluded) = example();
    let rows = rows.mapv(|x| x as f32);
    let pairs = Pairs { groups: &groups, excluded: &excluded };
    let weights: Vec<f32> = (0..700).map(|i| 1.0 + i as f32).collect();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
        pool.install(|| {
            let sums = exp_row_sums(rows.view(), pairs, 0.1, &Silent).unwrap();
            let mut gradient = Array2::zeros(rows.dim());
            exp_gradient(rows.view(), pairs, 0.1, &weights, gradient.view_mut(), &Silent).unwrap();
            (sums, gradient)
        })
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(5));
}

#[test]
fn no_rows_and_interruption() {
    struct Stop;
    impl Monitor for Stop {
        fn is_interrupted(&self) -> bool {
            true
        }
    }
    let none = Pairs { groups: &[], excluded: &[] };
    let rows = Array2::<f32>::zeros((0, 4));
    assert_eq!(exp_row_sums(rows.view(), none, 1.0, &Silent).unwrap(), Vec::<f64>::new());
    assert!(exp_row_sums(rows.view(), none, 1.0, &Stop).is_err());
}
