//! UMAP's layout against umap-learn's constants, a graph worked by hand, and its own laws.

use brodmann_kernels::proofread::flaw;
use brodmann_kernels::{CsrMatrix, Interrupted, Monitor, Seed, Silent};
use ndarray::{Array2, Axis};

use super::*;
use crate::graph::{NeighborsOptions, neighbors};

/// `n` points in `k` far-apart groups in 10 dimensions; group = index modulo `k`.
fn groups(n: usize, k: usize, apart: f64) -> Array2<f64> {
    let unit = |counter: u64| Seed(5).word(counter) as f64 / u64::MAX as f64 - 0.5;
    Array2::from_shape_fn((n, 10), |(i, j)| {
        apart * unit(1_000_000 + (i % k * 10 + j) as u64) + unit((i * 10 + j) as u64)
    })
}

fn graph_of(data: &Array2<f64>) -> CsrMatrix<f64> {
    neighbors(data.view(), &NeighborsOptions::default(), Seed(0), &Silent).expect("valid").connectivities
}

fn run(graph: &CsrMatrix<f64>, seed: u64) -> Umap {
    umap(graph.view(), None, &UmapOptions::default(), Seed(seed), &Silent).expect("valid")
}

fn nearest(points: &Array2<f64>, k: usize) -> Vec<Vec<u32>> {
    let found = crate::graph::exact_knn(points.view(), k, &Silent).expect("valid");
    found.indices.outer_iter().map(|row| row.to_vec()).collect()
}

#[test]
fn the_curve_has_the_constants_of_umap_learn() {
    // umap-learn 0.5: find_ab_params(spread, min_dist).
    for (min_dist, spread, a, b) in [
        (0.5, 1.0, 0.5830300205483709, 1.334166992455648),
        (0.1, 1.0, 1.5769434601962196, 0.8950608779914887),
    ] {
        let (found_a, found_b) = curve::fit(min_dist, spread);
        assert!((found_a - a).abs() < 1e-5 && (found_b - b).abs() < 1e-5, "{found_a} {found_b}");
    }
    for (min_dist, spread) in [(0.0, 1.0), (1.0, 1.0), (0.0, 1e-3), (10.0, 100.0)] {
        let (a, b) = curve::fit(min_dist, spread);
        assert!(a > 0.0 && b > 0.0 && a.is_finite() && b.is_finite(), "{min_dist} {spread}: {a} {b}");
    }
}

#[test]
fn two_linked_points_without_a_push_come_together() {
    let graph = CsrMatrix::from_rows(2, &[vec![(1, 1.0)], vec![(0, 1.0)]]);
    let options = UmapOptions { negative_sample_rate: 0, ..UmapOptions::default() };
    let found = umap(graph.view(), None, &options, Seed(1), &Silent).expect("valid");
    let apart: f32 = (0..2).map(|t| (found.positions[[0, t]] - found.positions[[1, t]]).powi(2)).sum();
    assert!(apart.sqrt() < 0.5, "{apart}");
}

#[test]
fn a_path_starts_in_its_own_order() {
    // The second eigenvector of a path is monotone.
    let n = 60u32;
    let rows: Vec<Vec<(u32, f64)>> = (0..n)
        .map(|i| {
            [i.checked_sub(1), Some(i + 1).filter(|&j| j < n)]
                .into_iter()
                .flatten()
                .map(|j| (j, 1.0))
                .collect()
        })
        .collect();
    let path = CsrMatrix::from_rows(n as usize, &rows);
    let start = initial::positions(path.view(), None, UmapInit::Spectral, Seed(0), &Silent).expect("valid");
    let x: Vec<f32> = start.places.iter().map(|p| p[0]).collect();
    // The ends are flat: noise may swap them.
    let inner = &x[5..55];
    assert!(inner.windows(2).all(|w| w[0] < w[1]) || inner.windows(2).all(|w| w[0] > w[1]), "{x:?}");
}

#[test]
fn iterated_and_dense_eigenvectors_start_alike() {
    // A ring of 300 and one of 500 go to different solvers; a long rectangle has simple eigenvalues.
    let rectangle = |w: u32, h: u32| {
        let rows: Vec<Vec<(u32, f64)>> = (0..w * h)
            .map(|i| {
                let (x, y) = (i % w, i / w);
                let mut row = Vec::new();
                if y > 0 {
                    row.push((i - w, 1.0));
                }
                if x > 0 {
                    row.push((i - 1, 1.0));
                }
                if x + 1 < w {
                    row.push((i + 1, 1.0));
                }
                if y + 1 < h {
                    row.push((i + w, 1.0));
                }
                row
            })
            .collect();
        CsrMatrix::from_rows((w * h) as usize, &rows)
    };
    for (w, h) in [(30, 12), (36, 14)] {
        let graph = rectangle(w, h);
        let start =
            initial::positions(graph.view(), None, UmapInit::Spectral, Seed(0), &Silent).expect("valid");
        // x runs along the long side: correlation with the column is near 1.
        let pairs: Vec<(f64, f64)> =
            start.places.iter().enumerate().map(|(i, p)| ((i as u32 % w) as f64, f64::from(p[0]))).collect();
        let n = pairs.len() as f64;
        let (ma, mb) = pairs.iter().fold((0.0, 0.0), |s, p| (s.0 + p.0 / n, s.1 + p.1 / n));
        let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
        for (a, b) in pairs {
            ab += (a - ma) * (b - mb);
            aa += (a - ma).powi(2);
            bb += (b - mb).powi(2);
        }
        assert!((ab / (aa * bb).sqrt()).abs() > 0.97, "{w} x {h}");
    }
}

#[test]
fn groups_stay_groups() {
    let data = groups(600, 6, 6.0);
    let found = run(&graph_of(&data), 3);
    let plane = found.positions.mapv(f64::from);
    let rows = nearest(&plane, 10);
    let same: usize = rows
        .iter()
        .enumerate()
        .map(|(i, row)| row.iter().filter(|&&j| j as usize % 6 == i % 6).count())
        .sum();
    assert!(same as f64 / 6000.0 > 0.99, "{same} of 6000");
}

#[test]
fn neighbours_of_a_sheet_stay_neighbours() {
    let n = 900;
    let unit = |counter: usize| Seed(8).word(counter as u64) as f64 / u64::MAX as f64;
    let sheet = Array2::from_shape_fn((n, 6), |(i, j)| {
        let (s, t) = (unit(2 * i), unit(2 * i + 1));
        [s, 2.0 * t, 0.5 * (3.0 * s).sin(), 0.5 * (3.0 * t).cos(), 0.3 * s * t, 0.0][j]
    });
    for init in [UmapInit::Spectral, UmapInit::Pca] {
        let options = UmapOptions { init, ..UmapOptions::default() };
        let found =
            umap(graph_of(&sheet).view(), Some(sheet.view()), &options, Seed(0), &Silent).expect("valid");
        let truth = nearest(&sheet, 15);
        let seen = nearest(&found.positions.mapv(f64::from), 15);
        let kept: usize =
            truth.iter().zip(&seen).map(|(t, s)| t.iter().filter(|j| s.contains(j)).count()).sum();
        assert!(kept as f64 / (15 * n) as f64 > 0.6, "{init:?}: {kept} of {}", 15 * n);
    }
}

#[test]
fn the_bits_depend_on_the_seed_alone() {
    let graph = graph_of(&groups(1200, 4, 2.0));
    let on = |threads: usize, seed| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
        pool.install(|| run(&graph, seed))
    };
    let one = on(1, 7);
    assert_eq!(one, on(3, 7));
    assert_ne!(one.positions, on(1, 8).positions);
}

#[test]
fn pieces_are_set_apart_and_nothing_is_ever_not_a_number() {
    let data = groups(120, 3, 400.0);
    let graph = graph_of(&data);
    let found = run(&graph, 0);
    assert_eq!(found.n_components, 3);
    assert!(found.positions.iter().all(|v| v.is_finite()));
    let centre = |g: usize| {
        let rows: Vec<usize> = (g..120).step_by(3).collect();
        found.positions.select(Axis(0), &rows).mean_axis(Axis(0)).expect("members")
    };
    for (g, h) in [(0, 1), (0, 2), (1, 2)] {
        let d = &centre(g) - &centre(h);
        assert!(d.dot(&d).sqrt() > 2.0, "{g} {h}");
    }
    for n in 0..6 {
        for rows in [vec![Vec::new(); n], ring(n)] {
            let graph = CsrMatrix::from_rows(n, &rows);
            for init in [UmapInit::Spectral, UmapInit::Random, UmapInit::Pca] {
                let options = UmapOptions { init, ..UmapOptions::default() };
                let same = Array2::from_elem((n, 3), 2.0);
                let found = umap(graph.view(), Some(same.view()), &options, Seed(0), &Silent).expect("valid");
                assert_eq!(found.positions.dim(), (n, 2));
                assert!(found.positions.iter().all(|v| v.is_finite()));
            }
        }
    }
}

fn ring(n: usize) -> Vec<Vec<(u32, f64)>> {
    (0..n)
        .map(|i| {
            let mut row: Vec<u32> = vec![((i + 1) % n) as u32, ((i + n - 1) % n) as u32];
            row.retain(|&j| j as usize != i);
            row.sort_unstable();
            row.dedup();
            row.into_iter().map(|j| (j, 1.0)).collect()
        })
        .collect()
}

#[test]
fn duplicates_and_zero_weights_are_laid_out() {
    let data = Array2::from_shape_fn((40, 2), |(i, _)| (i / 10) as f64);
    assert!(run(&graph_of(&data), 0).positions.iter().all(|v| v.is_finite()));
    let zero = CsrMatrix::from_rows(6, &vec![vec![(0, 0.0), (3, 0.0)]; 6]);
    assert!(run(&zero, 0).positions.iter().all(|v| v.is_finite()));
}

#[test]
fn bad_input_is_refused() {
    let graph = CsrMatrix::from_rows(2, &[vec![(1, 1.0)], vec![(0, 1.0)]]);
    let plain = UmapOptions::default();
    let refused = |options: &UmapOptions, embedding: Option<&Array2<f64>>| {
        let error =
            umap(graph.view(), embedding.map(|e| e.view()), options, Seed(0), &Silent).expect_err("refused");
        assert_eq!(flaw(&error), None);
        error
    };
    for options in [
        UmapOptions { spread: 0.0, ..plain },
        UmapOptions { min_dist: 1.5, ..plain },
        UmapOptions { min_dist: f64::NAN, ..plain },
        UmapOptions { learning_rate: -1.0, ..plain },
        UmapOptions { repulsion_strength: f64::INFINITY, ..plain },
        UmapOptions { n_epochs: Some(0), ..plain },
        UmapOptions { negative_sample_rate: 5000, ..plain },
    ] {
        assert!(matches!(refused(&options, None), UmapError::Option(_)));
    }
    let pca = UmapOptions { init: UmapInit::Pca, ..plain };
    assert_eq!(refused(&pca, None), UmapError::MissingEmbedding);
    assert_eq!(
        refused(&plain, Some(&Array2::zeros((3, 2)))),
        UmapError::EmbeddingRows { found: 3, expected: 2 }
    );
    assert_eq!(refused(&plain, Some(&Array2::from_elem((2, 2), f64::NAN))), UmapError::NonFinite { row: 0 });
    let bad = CsrMatrix::from_rows(2, &[vec![(1, f64::NAN)], vec![(0, 1.0)]]);
    assert!(matches!(umap(bad.view(), None, &plain, Seed(0), &Silent), Err(UmapError::Graph(_))));
}

#[test]
fn an_interruption_ends_the_work() {
    struct Stop;
    impl Monitor for Stop {
        fn is_interrupted(&self) -> bool {
            true
        }
    }
    let graph = graph_of(&groups(50, 2, 1.0));
    let stopped = umap(graph.view(), None, &UmapOptions::default(), Seed(0), &Stop);
    assert_eq!(stopped, Err(UmapError::Interrupted(Interrupted)));
}
