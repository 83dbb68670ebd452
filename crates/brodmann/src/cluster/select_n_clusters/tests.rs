//! Known numbers are found; the table is what it says.

use brodmann_kernels::Silent;
use brodmann_kernels::proofread::flaw;
use ndarray::Array2;

use super::*;
use crate::cluster::gmm::{CovarianceModel, GmmInit};

/// `k` round groups in 5 dimensions, group = index modulo `k`.
fn groups(n: usize, k: usize, apart: f64) -> Array2<f64> {
    let unit = |counter: usize| 2.0 * Seed(21).word(counter as u64) as f64 / u64::MAX as f64 - 1.0;
    Array2::from_shape_fn((n, 5), |(i, j)| {
        apart * unit(9_000_000 + i % k * 5 + j) + (0..4).map(|t| unit(4 * (i * 5 + j) + t)).sum::<f64>()
    })
}

fn options(criterion: SelectionCriterion, clusterer: Clusterer) -> SelectOptions {
    SelectOptions { max_clusters: 8, criterion, clusterer, ..SelectOptions::default() }
}

fn mixtures(model: CovarianceModel) -> Clusterer {
    Clusterer::Gmm(GmmOptions { model, n_init: 2, subset: 300, ..GmmOptions::default() })
}

#[test]
fn clear_groups_are_counted_by_every_criterion() {
    let criteria = [SelectionCriterion::Stability, SelectionCriterion::Silhouette, SelectionCriterion::Bic];
    for k in [3, 5] {
        let x = groups(400, k, 12.0);
        for criterion in criteria {
            for clusterer in [mixtures(CovarianceModel::Eee), Clusterer::KMeans(KMeansOptions::default())] {
                if criterion == SelectionCriterion::Bic && matches!(clusterer, Clusterer::KMeans(_)) {
                    continue;
                }
                let found = select_n_clusters(x.view(), &options(criterion, clusterer), Seed(0), &Silent)
                    .expect("valid");
                assert_eq!(found.n_clusters, k, "{criterion:?} {:?}", found.table);
                let truth: Vec<u32> = (0..400).map(|i| (i % k) as u32).collect();
                assert_eq!(adjusted_rand_index(&truth, &found.labels), Ok(1.0));
                assert!(found.notes.is_empty(), "{:?}", found.notes);
            }
        }
    }
}

#[test]
fn the_table_holds_every_number_and_scores_in_range() {
    let x = groups(300, 4, 3.0);
    let found = select_n_clusters(
        x.view(),
        &options(SelectionCriterion::Silhouette, mixtures(CovarianceModel::Vvi)),
        Seed(0),
        &Silent,
    )
    .expect("valid");
    assert_eq!(found.table.iter().map(|c| c.n_clusters).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7, 8]);
    for c in &found.table {
        assert!(c.stability <= 1.0 && c.stability > -0.5);
        assert!(c.silhouette.is_none_or(|s| (-1.0..=1.0).contains(&s)));
        assert!(c.n_found <= c.n_clusters);
    }
    assert_eq!((found.silhouette_obs, found.run_obs), (300, 240));
    let best = found.table.iter().filter_map(|c| c.silhouette).fold(f64::NEG_INFINITY, f64::max);
    let chosen = found.table.iter().find(|c| c.n_clusters == found.n_clusters).expect("listed");
    assert_eq!(chosen.silhouette, Some(best));
}

#[test]
fn the_most_clusters_that_are_stable_are_taken() {
    let row = |n_clusters, stability, silhouette, bic| Candidate {
        n_clusters,
        n_found: n_clusters,
        silhouette,
        stability,
        bic,
    };
    let table = [
        row(2, 1.0, Some(0.3), None),
        row(3, 0.8, Some(0.5), Some(-10.0)),
        row(4, 0.96, Some(0.5), Some(-8.0)),
        row(5, 0.7, None, None),
    ];
    assert_eq!(choose(&table, SelectionCriterion::Stability), Some(2));
    assert_eq!(choose(&table, SelectionCriterion::Silhouette), Some(1));
    assert_eq!(choose(&table, SelectionCriterion::Bic), Some(2));
    assert_eq!(choose(&table[..1], SelectionCriterion::Bic), None);
}

#[test]
fn samples_are_said_and_threads_do_not_matter() {
    let x = groups(900, 3, 8.0);
    let options = SelectOptions {
        sample_size: 200,
        max_clusters: 5,
        n_runs: 3,
        clusterer: Clusterer::Gmm(GmmOptions {
            n_init: 2,
            subset: 100,
            init: GmmInit::Mixed,
            ..GmmOptions::default()
        }),
        ..SelectOptions::default()
    };
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
        pool.install(|| select_n_clusters(x.view(), &options, Seed(5), &Silent).expect("valid"))
    };
    let found = on(1);
    assert_eq!(found, on(3));
    assert_eq!((found.n_clusters, found.silhouette_obs, found.run_obs), (3, 200, 200));
    assert!(found.notes.iter().any(|n| n.contains("200 of 900")), "{:?}", found.notes);
    assert_eq!(found.labels.len(), 900);
}

#[test]
fn equal_rows_and_bad_options_are_answered() {
    let same = Array2::from_elem((40, 2), 1.5);
    for clusterer in [mixtures(CovarianceModel::Eee), Clusterer::KMeans(KMeansOptions::default())] {
        let plain = options(SelectionCriterion::Silhouette, clusterer);
        let found = select_n_clusters(same.view(), &plain, Seed(0), &Silent).expect("valid");
        assert_eq!(found.labels.len(), 40);
    }
    let x = groups(20, 2, 5.0);
    let plain = options(SelectionCriterion::Stability, mixtures(CovarianceModel::Eee));
    for bad in [
        SelectOptions { min_clusters: 1, ..plain },
        SelectOptions { min_clusters: 9, ..plain },
        SelectOptions { max_clusters: 16, ..plain },
        SelectOptions { n_runs: 1, ..plain },
        SelectOptions { sample_size: 1, ..plain },
        options(SelectionCriterion::Bic, Clusterer::KMeans(KMeansOptions::default())),
    ] {
        let error = select_n_clusters(x.view(), &bad, Seed(0), &Silent).expect_err("refused");
        assert_eq!(flaw(&error), None);
    }
    let mut nan = x.clone();
    nan[[7, 1]] = f64::NAN;
    for clusterer in [mixtures(CovarianceModel::Eee), Clusterer::KMeans(KMeansOptions::default())] {
        // The row is one of the data's, not of a subset's.
        let error = select_n_clusters(nan.view(), &SelectOptions { clusterer, ..plain }, Seed(0), &Silent);
        assert_eq!(error, Err(SelectError::Gmm(GmmError::NonFinite { row: 7, column: 1 })));
    }
}
