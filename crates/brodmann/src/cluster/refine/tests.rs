//! Votes worked by hand, and their laws.

use brodmann_kernels::Seed;
use brodmann_kernels::proofread::flaw;
use ndarray::{Array2, array};

use super::*;

#[test]
fn votes_by_hand() {
    // On a line 0 1 2 3 4, two neighbours each, nearest first, ties to the lower index.
    let x = array![[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [4.0, 0.0]];
    // Neighbours: 0: 1 2; 1: 0 2; 2: 1 3; 3: 2 4; 4: 3 2.
    let labels = [7, 7, 9, 7, 9];
    // 0: 7 9 → the nearest, 7. 1: 7 9 → 7. 2: 7 7 → 7. 3: 9 9 → 9. 4: 7 9 → 7.
    assert_eq!(refine_labels(&labels, x.view(), None, 2).expect("valid"), [7, 7, 7, 9, 7]);
}

#[test]
fn the_spot_itself_has_no_vote() {
    let x = array![[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]];
    assert_eq!(refine_labels(&[5, 1, 1], x.view(), None, 1).expect("valid")[0], 1);
}

#[test]
fn ties_go_to_the_nearest_among_the_tied() {
    // Frequencies: 1 twice, 2 twice, 3 once and nearest of all: 3 is out, and of 1 and 2 the nearer wins.
    let labels = [0, 3, 2, 1, 1, 2];
    let mut rows = vec![NO_NEIGHBOR; 30];
    rows[..5].copy_from_slice(&[1, 2, 3, 4, 5]);
    let refined = majority_vote(&labels, &rows, 5).expect("valid");
    assert_eq!(refined, [2, 3, 2, 1, 1, 2]);
}

#[test]
fn no_vote_crosses_a_slice() {
    // Two slices on the same places, interleaved.
    let x = Array2::from_shape_fn((20, 2), |(i, j)| if j == 0 { (i / 2) as f64 } else { 0.0 });
    let slices: Vec<u32> = (0..20).map(|i| 10 + i % 2).collect();
    let labels: Vec<u32> = (0..20).map(|i| i % 2).collect();
    assert_eq!(
        refine_labels(&labels, x.view(), Some(&Slices::from_codes(&slices, &[])), 5).expect("valid"),
        labels
    );
    // A slice refined with another is a slice refined alone.
    let noisy: Vec<u32> = (0..20).map(|i| Seed(1).word(i) as u32 % 3).collect();
    let both = refine_labels(&noisy, x.view(), Some(&Slices::from_codes(&slices, &[])), 4).expect("valid");
    for s in 0..2 {
        let rows: Vec<usize> = (s..20).step_by(2).collect();
        let own: Vec<u32> = rows.iter().map(|&i| noisy[i]).collect();
        let alone = refine_labels(&own, x.select(ndarray::Axis(0), &rows).view(), None, 4).expect("valid");
        assert_eq!(rows.iter().map(|&i| both[i]).collect::<Vec<_>>(), alone);
    }
}

#[test]
fn stray_spots_join_the_domain_around_them() {
    let side = 30;
    let x =
        Array2::from_shape_fn((side * side, 2), |(i, j)| (if j == 0 { i % side } else { i / side }) as f64);
    let truth: Vec<u32> = (0..side * side).map(|i| u32::from(i % side >= 15)).collect();
    let noisy: Vec<u32> = truth
        .iter()
        .enumerate()
        .map(|(i, &t)| if Seed(2).word(i as u64).is_multiple_of(10) { 1 - t } else { t })
        .collect();
    let wrong = |labels: &[u32]| labels.iter().zip(&truth).filter(|(a, b)| a != b).count();
    let refined = refine_labels(&noisy, x.view(), None, 15).expect("valid");
    assert!(wrong(&noisy) > 60 && wrong(&refined) < 15, "{} {}", wrong(&noisy), wrong(&refined));
}

#[test]
fn threads_do_not_matter() {
    let n = 5000;
    let x = Array2::from_shape_fn((n, 2), |(i, j)| Seed(3).word((2 * i + j) as u64) as f64);
    let labels: Vec<u32> = (0..n as u64).map(|i| Seed(4).word(i) as u32 % 6).collect();
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
        pool.install(|| refine_labels(&labels, x.view(), None, 15).expect("valid"))
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn few_spots_and_bad_input() {
    for n in 0..4u32 {
        let x = Array2::from_shape_fn((n as usize, 2), |(i, _)| i as f64);
        let labels: Vec<u32> = (0..n).collect();
        let refined = refine_labels(&labels, x.view(), None, 15).expect("valid");
        assert_eq!(refined.len(), n as usize);
        if n == 1 {
            assert_eq!(refined, labels);
        }
    }
    let x = Array2::zeros((3, 2));
    let errors = [
        refine_labels(&[0, 1], x.view(), None, 2).expect_err("length"),
        refine_labels(&[0, 1, 2], x.view(), Some(&Slices::from_codes(&[0], &[])), 2).expect_err("slices"),
        refine_labels(&[0, 1, 2], x.view(), None, 0).expect_err("no neighbours"),
        majority_vote(&[0, 1, 2], &[0, 1], 2).expect_err("count"),
        majority_vote(&[0, 1], &[1, 7], 1).expect_err("unknown"),
    ];
    for error in errors {
        assert_eq!(flaw(&error), None);
    }
}
