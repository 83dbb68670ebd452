//! Votes worked by hand, and the laws of a consensus.

use brodmann_kernels::proofread::flaw;
use brodmann_kernels::{Seed, Silent};

use super::*;

fn of(runs: &[Vec<u32>]) -> Consensus {
    let views: Vec<&[u32]> = runs.iter().map(Vec::as_slice).collect();
    consensus(&views, &Silent).expect("valid")
}

/// A truth of `k` clusters of falling size with a share of labels replaced at random.
fn noisy(n: usize, k: u32, share: f64, run: u64) -> Vec<u32> {
    (0..n as u64)
        .map(|i| {
            let truth = (Seed(1).word(i) % u64::from(k)).min(Seed(2).word(i) % u64::from(k)) as u32;
            let word = Seed(100 + run).word(i);
            if (word >> 11) as f64 / (1u64 << 53) as f64 > share {
                truth
            } else {
                (word % u64::from(k)) as u32
            }
        })
        .collect()
}

fn rename(labels: &[u32], shift: u32, k: u32) -> Vec<u32> {
    labels.iter().map(|l| 1000 - 3 * ((l + shift) % k)).collect()
}

#[test]
fn three_runs_by_hand() {
    let found = of(&[vec![0, 0, 0, 1, 1, 1, 1], vec![5, 5, 5, 5, 2, 2, 2], vec![1, 1, 0, 0, 0, 0, 0]]);
    // Names agree by overlap. Spot 2: 0 0 1 → first cluster; spot 3: 1 0 1 → second.
    assert_eq!(found.labels, [1, 1, 1, 0, 0, 0, 0]);
    let expected = [1.0, 1.0, 2.0 / 3.0, 2.0 / 3.0, 1.0, 1.0, 1.0];
    assert!(found.stability.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15));
    assert_eq!(found.aligned[1], [1, 1, 1, 1, 0, 0, 0]);
    assert!(found.converged);
}

#[test]
fn identical_runs_are_wholly_stable() {
    let run = noisy(500, 6, 0.0, 0);
    for r in 1..5 {
        let runs: Vec<Vec<u32>> = (0..r).map(|s| rename(&run, s, 6)).collect();
        let found = of(&runs);
        assert!(found.stability.iter().all(|&s| s == 1.0));
        assert_eq!(found.agreement, 1.0);
        assert!(found.run_agreement.iter().all(|&a| a == 1.0));
        assert_eq!(adjusted_rand_index(&run, &found.labels), Ok(1.0));
    }
}

#[test]
fn the_names_of_labels_do_not_matter() {
    let runs: Vec<Vec<u32>> = (0..7).map(|run| noisy(800, 5, 0.4, run)).collect();
    let renamed: Vec<Vec<u32>> = runs.iter().enumerate().map(|(s, run)| rename(run, s as u32, 5)).collect();
    assert_eq!(of(&runs), of(&renamed));
}

#[test]
fn a_consensus_is_nearer_the_truth_than_its_runs() {
    let truth = noisy(2000, 5, 0.0, 0);
    let runs: Vec<Vec<u32>> = (0..9).map(|run| rename(&noisy(2000, 5, 0.3, run), run as u32, 5)).collect();
    let found = of(&runs);
    let score = |labels: &[u32]| adjusted_rand_index(&truth, labels).expect("same length");
    let best = runs.iter().map(|run| score(run)).fold(0.0, f64::max);
    assert!(score(&found.labels) > 0.97 && best < 0.75, "{} {best}", score(&found.labels));
    // Doubtful spots are those that were voted on.
    let mean = |right: bool| {
        let of: Vec<f64> = (0..2000)
            .filter(|&i| {
                runs.iter().enumerate().all(|(s, run)| run[i] == rename(&truth, s as u32, 5)[i]) == right
            })
            .map(|i| found.stability[i])
            .collect();
        of.iter().sum::<f64>() / of.len() as f64
    };
    assert_eq!(mean(true), 1.0);
    assert!(mean(false) < 0.9);
}

#[test]
fn clusters_are_numbered_by_size_and_stability_is_a_share() {
    let runs: Vec<Vec<u32>> = (0..5).map(|run| noisy(600, 7, 0.5, run)).collect();
    let found = of(&runs);
    let mut sizes = vec![0; 7];
    found.labels.iter().for_each(|&l| sizes[l as usize] += 1);
    assert!(sizes.windows(2).all(|w| w[0] >= w[1]), "{sizes:?}");
    assert!(found.stability.iter().all(|s| (0.0..=1.0).contains(s)));
    for (i, s) in found.stability.iter().enumerate() {
        let share = found.aligned.iter().filter(|run| run[i] == found.labels[i]).count() as f64 / 5.0;
        assert_eq!(*s, share);
    }
}

#[test]
fn runs_of_different_numbers_of_clusters_agree_where_they_can() {
    // One run splits a cluster, one merges two.
    let base: Vec<u32> = (0..90).map(|i| i / 30).collect();
    let split: Vec<u32> = (0..90).map(|i| if i < 10 { 3 } else { i / 30 }).collect();
    let merged: Vec<u32> = (0..90).map(|i| (i / 30).min(1)).collect();
    let found = of(&[base.clone(), split, merged, base.clone()]);
    assert_eq!(adjusted_rand_index(&base, &found.labels), Ok(1.0));
    assert_eq!(found.stability[0], 1.0);
    assert_eq!(found.stability[89], 0.75);
}

#[test]
fn threads_do_not_matter() {
    let runs: Vec<Vec<u32>> = (0..6).map(|run| noisy(20_000, 9, 0.6, run)).collect();
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
        pool.install(|| of(&runs))
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn few_spots_and_bad_input() {
    for n in 0..3u32 {
        let run: Vec<u32> = (0..n).collect();
        let found = of(&[run.clone(), run.clone()]);
        assert_eq!(found.labels.len(), n as usize);
        assert!(found.stability.iter().all(|&s| s == 1.0));
    }
    let many: Vec<u32> = (0..5000).collect();
    let errors = [
        consensus(&[], &Silent).expect_err("none"),
        consensus(&[&[0, 1], &[0]], &Silent).expect_err("length"),
        consensus(&[&many], &Silent).expect_err("clusters"),
    ];
    for error in errors {
        assert_eq!(flaw(&error), None);
    }
}
