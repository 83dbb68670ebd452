use brodmann_kernels::Silent;
use ndarray::{Ix1, OwnedRepr};

use super::*;

/// Whole runs of harmonypy, from its centroids and in its order of the observations.
#[test]
fn runs_agree_with_harmonypy() {
    let mut o = crate::oracles::open("harmony");
    let z: Array2<f64> = o.by_name("Z").expect("Z");
    let batch: Vec<u32> =
        o.by_name::<OwnedRepr<i64>, Ix1>("batch").expect("batch").iter().map(|b| *b as u32).collect();
    for (run, theta, lambda, sigma) in [("a", 1.0, 1.0, 0.1), ("b", 1.0, 0.5, 0.2), ("c", 2.0, 1.0, 0.1)] {
        let name = |what: &str| format!("{run}_{what}");
        let centroids: Array2<f64> = o.by_name(&name("init_Y")).expect("centroids");
        let orders: Array2<i16> = o.by_name(&name("update_orders")).expect("orders");
        let objective =
            o.by_name::<OwnedRepr<f64>, Ix1>(&name("objective_harmony")).expect("objective").to_vec();
        let expected: Array2<f64> = o.by_name(&name("Z_corr")).expect("the result");
        let options = HarmonyOptions { theta, lambda, sigma, ..HarmonyOptions::default() };
        let levels = Levels::new(z.nrows(), &[&batch]).expect("one level each");
        let order = |pass: usize| orders.row(pass).iter().map(|i| *i as u32).collect();
        let found = Mixing::new(z.view(), of_unit_length(z.clone()), levels, centroids, &options)
            .run(order, &Silent)
            .expect("valid");
        assert_eq!(found.objective.len(), objective.len(), "{run}");
        for (ours, theirs) in found.objective.iter().zip(&objective) {
            assert!((ours - theirs).abs() < 1e-9 * theirs.abs(), "{run}: {ours} {theirs}");
        }
        let worst = found.embedding.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-9, "{run}: {worst}");
    }
}

/// Two kinds of observations in each batch; the second batch is moved, more for one kind.
fn shifted() -> (Array2<f64>, Vec<u32>, Vec<u32>) {
    let kind: Vec<u32> = (0..600).map(|i| i % 2).collect();
    let batch: Vec<u32> = (0..600).map(|i| i / 300).collect();
    let noise = |i: usize, j: usize| ((i * 7919 + j * 104_729) % 1000) as f64 / 1000.0 - 0.5;
    let z = Array2::from_shape_fn((600, 4), |(i, j)| {
        let of_kind = if kind[i] == 0 { 4.0 } else { -4.0 };
        let of_batch = if batch[i] == 0 { 0.0 } else { 2.0 + f64::from(kind[i]) };
        noise(i, j) + if j == 0 { of_kind } else { 0.0 } + if j == 1 { of_batch } else { 0.0 }
    });
    (z, batch, kind)
}

/// Distance of the batches' means, kind by kind.
fn gap(z: &Array2<f64>, batch: &[u32], kind: &[u32], of: u32) -> f64 {
    let mean = |b: u32| {
        let rows: Vec<usize> = (0..z.nrows()).filter(|&i| batch[i] == b && kind[i] == of).collect();
        z.select(Axis(0), &rows).mean_axis(Axis(0)).expect("rows")
    };
    (mean(0) - mean(1)).mapv(|v| v * v).sum().sqrt()
}

#[test]
fn batches_meet_and_kinds_stay_apart() {
    let (z, batch, kind) = shifted();
    let found = harmony(z.view(), &[&batch], &HarmonyOptions::default(), Seed(1), &Silent).expect("valid");
    for of in [0, 1] {
        let (before, after) = (gap(&z, &batch, &kind, of), gap(&found.embedding, &batch, &kind, of));
        assert!(after < 0.1 * before, "{of}: {before} {after}");
    }
    assert!(gap(&found.embedding, &kind, &batch, 0) > 6.0);
}

#[test]
fn every_covariate_is_taken_out() {
    let (mut z, batch, kind) = shifted();
    let donor: Vec<u32> = (0..600).map(|i| 5 + (i / 2) % 3).collect();
    for i in 0..600 {
        z[[i, 2]] += f64::from(donor[i]);
    }
    let found =
        harmony(z.view(), &[&batch, &donor], &HarmonyOptions::default(), Seed(1), &Silent).expect("valid");
    assert!(gap(&found.embedding, &batch, &kind, 0) < 0.3 * gap(&z, &batch, &kind, 0));
    let same: Vec<u32> = vec![0; 600];
    let of_donors = |z: &Array2<f64>| {
        let two: Vec<u32> = donor.iter().map(|d| u32::from(*d == 7)).collect();
        gap(z, &two, &same, 0)
    };
    assert!(of_donors(&found.embedding) < 0.3 * of_donors(&z));
}

#[test]
fn threads_do_not_matter_and_one_batch_changes_nothing() {
    let (z, batch, _) = shifted();
    let of = |batch: &[u32]| {
        harmony(z.view(), &[batch], &HarmonyOptions::default(), Seed(1), &Silent).expect("valid").embedding
    };
    let many = of(&batch);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    assert_eq!(pool.install(|| of(&batch)), many);
    let alone = of(&vec![3; 600]);
    assert!(alone.iter().zip(&z).all(|(a, b)| (a - b).abs() < 1e-9));
}

#[test]
fn what_cannot_be_is_refused() {
    let (z, batch, _) = shifted();
    let base = HarmonyOptions::default();
    let of = |z: &Array2<f64>, covariates: &[&[u32]], options: HarmonyOptions| {
        harmony(z.view(), covariates, &options, Seed(0), &Silent)
    };
    assert!(matches!(of(&z, &[], base), Err(HarmonyError::NoCovariates)));
    let short = of(&z, &[&batch, &batch[..9]], base);
    assert!(matches!(short, Err(HarmonyError::LengthMismatch { covariate: 1, found: 9, expected: 600 })));
    let mut holed = z.clone();
    holed[[7, 2]] = f64::NAN;
    assert!(matches!(of(&holed, &[&batch], base), Err(HarmonyError::NonFinite { row: 7, column: 2, .. })));
    for options in [
        HarmonyOptions { theta: -1.0, ..base },
        HarmonyOptions { sigma: 0.0, ..base },
        HarmonyOptions { lambda: f64::NAN, ..base },
        HarmonyOptions { block_size: 2.0, ..base },
        HarmonyOptions { n_clusters: Some(0), ..base },
        HarmonyOptions { max_passes: 0, ..base },
    ] {
        assert!(matches!(of(&z, &[&batch], options), Err(HarmonyError::Option(_))), "{options:?}");
    }
    let nothing = Array2::<f64>::zeros((0, 3));
    assert_eq!(of(&nothing, &[&[]], base).expect("nothing to do").embedding.dim(), (0, 3));
}
