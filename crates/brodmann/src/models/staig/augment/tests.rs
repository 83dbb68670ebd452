use brodmann_kernels::{CsrMatrix, CsrView, Seed};
use ndarray::Array2;

use super::super::error::StaigError;
use super::*;

/// A ring of `n` in which everybody knows the next `k` on both sides.
fn ring(n: usize, k: usize) -> CsrMatrix<f64> {
    let rows: Vec<Vec<(u32, f64)>> = (0..n)
        .map(|i| {
            let mut row: Vec<(u32, f64)> =
                (1..=k).flat_map(|s| [(i + s) % n, (i + n - s) % n]).map(|j| (j as u32, 1.0)).collect();
            row.sort_by_key(|e| e.0);
            row.dedup_by_key(|e| e.0);
            row
        })
        .collect();
    CsrMatrix::from_rows(n, &rows)
}

fn edges(view: CsrView<'_, f64>) -> Vec<(usize, usize)> {
    (0..view.n_rows())
        .flat_map(|i| view.row(i).0.iter().map(move |&j| (i, j as usize)))
        .filter(|(i, j)| i < j)
        .collect()
}

#[test]
fn probabilities_are_those_of_the_reference() {
    let mut oracle = crate::oracles::open("staig_edgeprob");
    let mut matrix = |name: &str| -> Array2<f64> { oracle.by_name(&format!("{name}.npy")).unwrap() };
    let close = |found: &CsrMatrix<f64>, expected: &Array2<f64>| {
        let difference = found.view().to_dense() - expected;
        assert!(difference.iter().all(|d| d.abs() < 1e-12), "{difference}");
    };
    let graph = CsrMatrix::from_dense(matrix("graph_neigh").view());
    let images = matrix("img_emb");
    close(&image_drop_probabilities(graph.view(), images.view()).unwrap(), &matrix("P_img"));
    close(&expression_drop_probabilities(graph.view(), images.view()).unwrap(), &matrix("P_cosine_of_img"));
    let graph = CsrMatrix::from_dense(matrix("graph_neigh90").view());
    let components = matrix("pca64");
    close(&expression_drop_probabilities(graph.view(), components.view()).unwrap(), &matrix("P_gene90"));
}

#[test]
fn identical_neighbors_and_empty_rows_have_probabilities_too() {
    let graph = ring(6, 1);
    let p = image_drop_probabilities(graph.view(), Array2::ones((6, 3)).view()).unwrap();
    assert!(p.data().iter().all(|&p| p == 0.5));
    let p = expression_drop_probabilities(graph.view(), Array2::zeros((6, 3)).view()).unwrap();
    assert!(p.data().iter().all(|&p| p == 0.5));
}

#[test]
fn normalisation_by_hand() {
    // A path of three: degrees with self 2, 3, 2.
    let graph =
        CsrMatrix::from_dense(ndarray::array![[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]].view());
    let a = 1.0 / 6f64.sqrt();
    let expected = ndarray::array![[0.5, a, 0.0], [a, 1.0 / 3.0, a], [0.0, a, 0.5]];
    let found = normalized_adjacency::<f64>(graph.view()).unwrap().view().to_dense();
    assert!((found - expected).iter().all(|d| d.abs() < 1e-15));
}

#[test]
fn views_are_symmetric_normalised_and_keep_their_memory() {
    let graph = ring(500, 3);
    let augmenter = GraphAugmenter::new(graph.view(), &EdgeDrop::Fixed(0.4), 1).unwrap();
    let mut view = augmenter.full_view::<f64>();
    let memory = view.adjacency().indices().as_ptr();
    for epoch in 0..5 {
        augmenter.draw(Seed(1), epoch, 0, &mut view);
        let a = view.adjacency();
        assert_eq!(a.indices().as_ptr(), memory, "no new memory");
        assert_eq!(*a, a.view().transpose());
        for i in 0..500 {
            let (columns, values) = a.view().row(i);
            let degree = |j: u32| a.view().row(j as usize).0.len() as f64;
            assert!(columns.contains(&(i as u32)));
            for (&j, &v) in columns.iter().zip(values) {
                assert!((v - 1.0 / (degree(i as u32) * degree(j)).sqrt()).abs() < 1e-15);
                assert!(j as usize == i || graph.view().get(i, j as usize).is_some());
            }
        }
    }
}

/// `|share − p|` in standard deviations of `n` independent draws.
fn deviation(count: usize, n: usize, p: f64) -> f64 {
    (count as f64 - n as f64 * p).abs() / (n as f64 * p * (1.0 - p)).sqrt()
}

#[test]
fn edges_go_with_their_probability() {
    let graph = ring(2000, 3);
    for (resamples, p, expected) in [
        (1, 0.2, 0.2),
        (1, 0.7, 0.7),
        // Three draws keep an edge when two keep it: dropped with 3p²(1−p) + p³.
        (3, 0.3, 3.0 * 0.09 * 0.7 + 0.027),
        // Two draws keep it when one does.
        (2, 0.5, 0.25),
    ] {
        let augmenter = GraphAugmenter::new(graph.view(), &EdgeDrop::Fixed(p), resamples).unwrap();
        let mut view = augmenter.full_view::<f64>();
        let (mut dropped, mut total) = (0, 0);
        for epoch in 0..10 {
            augmenter.draw(Seed(5), epoch, 0, &mut view);
            total += graph.nnz() / 2;
            dropped += (graph.nnz() - (view.adjacency().nnz() - 2000)) / 2;
        }
        assert!(deviation(dropped, total, expected) < 4.0, "{resamples} {p}: {dropped} of {total}");
    }
}

#[test]
fn of_an_edge_the_probability_of_the_lower_end_counts() {
    let graph = ring(4, 1);
    let mut probabilities = graph.clone();
    // Upper triangle: never dropped, but for 0–1, always; lower triangle: the opposite.
    probabilities.for_each_row_mut(|i, columns, values| {
        for (&j, p) in columns.iter().zip(values) {
            let first = i.min(j as usize) == 0 && i.max(j as usize) == 1;
            *p = f64::from(u8::from(((i as u32) < j) == first));
        }
    });
    let augmenter = GraphAugmenter::new(graph.view(), &EdgeDrop::PerEdge(probabilities), 1).unwrap();
    let mut view = augmenter.full_view::<f64>();
    for epoch in 0..20 {
        augmenter.draw(Seed(5), epoch, 1, &mut view);
        assert_eq!(edges(view.adjacency().view()), [(0, 3), (1, 2), (2, 3)]);
    }
}

#[test]
fn per_edge_probabilities_are_met_edge_by_edge() {
    let graph = ring(30, 2);
    let features = Array2::from_shape_fn((30, 4), |(i, j)| ((i * 13 + j * 7) % 11) as f64);
    let probabilities = image_drop_probabilities(graph.view(), features.view()).unwrap();
    let drop = EdgeDrop::PerEdge(probabilities.clone());
    let augmenter = GraphAugmenter::new(graph.view(), &drop, 1).unwrap();
    let mut view = augmenter.full_view::<f64>();
    let n = 4000;
    let all = edges(graph.view());
    let mut kept = vec![0; all.len()];
    for epoch in 0..n {
        augmenter.draw(Seed(8), epoch as u64, 0, &mut view);
        for (count, &(i, j)) in kept.iter_mut().zip(&all) {
            *count += usize::from(view.adjacency().view().get(i, j).is_some());
        }
    }
    for (&count, &(i, j)) in kept.iter().zip(&all) {
        let p = probabilities.view().get(i, j).unwrap();
        if p > 0.0 {
            assert!(deviation(n - count, n, p) < 4.5, "{i}–{j}: kept {count} of {n}, p = {p}");
        } else {
            assert_eq!(count, n);
        }
    }
}

/// The edges of the ring in or out, by view and epoch.
fn decisions(epoch: u64, view_index: u64) -> Vec<bool> {
    let graph = ring(3000, 3);
    let augmenter = GraphAugmenter::new(graph.view(), &EdgeDrop::Fixed(0.3), 1).unwrap();
    let mut view = augmenter.full_view::<f64>();
    augmenter.draw(Seed(11), epoch, view_index, &mut view);
    edges(graph.view()).iter().map(|&(i, j)| view.adjacency().view().get(i, j).is_some()).collect()
}

fn mask(seed: u64, epoch: u64, view: u64) -> Vec<bool> {
    let mut mask = vec![0f32; 9000];
    feature_mask(Seed(seed), epoch, view, 0.3, &mut mask);
    mask.iter().map(|&m| m == 1.0).collect()
}

fn independent(a: &[bool], b: &[bool], keep: f64) {
    assert_ne!(a, b);
    let both = a.iter().zip(b).filter(|(a, b)| **a && **b).count();
    assert!(deviation(both, a.len(), keep * keep) < 4.0, "{both} of {}", a.len());
}

#[test]
fn views_and_epochs_are_independent() {
    let base = decisions(3, 0);
    assert_eq!(base, decisions(3, 0));
    independent(&base, &decisions(3, 1), 0.7);
    independent(&base, &decisions(4, 0), 0.7);
    independent(&decisions(3, 1), &decisions(4, 0), 0.7);
    // Neighbouring edges of one draw as well.
    independent(&base[1..], &base[..base.len() - 1], 0.7);

    let base = mask(11, 3, 0);
    assert_eq!(base, mask(11, 3, 0));
    assert!(deviation(base.iter().filter(|&&k| !k).count(), base.len(), 0.3) < 4.0);
    independent(&base, &mask(11, 3, 1), 0.7);
    independent(&base, &mask(11, 4, 0), 0.7);
    independent(&base, &mask(12, 3, 0), 0.7);
}

#[test]
fn the_draw_does_not_depend_on_the_thread_count() {
    let graph = ring(5000, 3);
    let augmenter = GraphAugmenter::new(graph.view(), &EdgeDrop::Fixed(0.3), 5).unwrap();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
        pool.install(|| {
            let mut view = augmenter.full_view::<f32>();
            augmenter.draw(Seed(2), 7, 1, &mut view);
            view.adjacency().clone()
        })
    };
    assert_eq!(run(1), run(4));
}

#[test]
fn none_all_and_isolated() {
    let graph = ring(10, 1);
    let draw = |graph: &CsrMatrix<f64>, p| {
        let augmenter = GraphAugmenter::new(graph.view(), &EdgeDrop::Fixed(p), 1).unwrap();
        let mut view = augmenter.full_view::<f64>();
        augmenter.draw(Seed(2), 0, 0, &mut view);
        view.adjacency().clone()
    };
    assert_eq!(draw(&graph, 0.0), normalized_adjacency(graph.view()).unwrap());
    let identity = CsrMatrix::from_dense(Array2::<f64>::eye(10).view());
    assert_eq!(draw(&graph, 1.0), identity);
    let isolated = CsrMatrix::from_dense(Array2::zeros((10, 10)).view());
    assert_eq!(draw(&isolated, 0.5), identity);
    assert_eq!(draw(&CsrMatrix::from_rows(0, &[]), 0.5).n_rows(), 0);
}

#[test]
fn what_does_not_fit_is_refused() {
    let graph = ring(6, 1);
    let new = |drop: EdgeDrop, resamples| GraphAugmenter::new(graph.view(), &drop, resamples).map(|_| ());
    for p in [-0.1, 1.1, f64::NAN] {
        assert!(matches!(new(EdgeDrop::Fixed(p), 1), Err(StaigError::Option(_))));
    }
    for resamples in [0, 11] {
        assert!(matches!(new(EdgeDrop::default(), resamples), Err(StaigError::Option(_))));
    }
    let other = EdgeDrop::PerEdge(ring(5, 1));
    assert!(matches!(new(other, 1), Err(StaigError::RowCount { found: 5, expected: 6, .. })));
    let sparse = EdgeDrop::PerEdge(CsrMatrix::from_rows(6, &vec![Vec::new(); 6]));
    assert!(matches!(new(sparse, 1), Err(StaigError::MissingProbability { row: 0, column: 1 })));
    let directed = CsrMatrix::from_dense(ndarray::array![[0.0, 1.0], [0.0, 0.0]].view());
    let refused = GraphAugmenter::new(directed.view(), &EdgeDrop::default(), 1);
    assert!(matches!(refused, Err(StaigError::NotSymmetric { .. })));
    let mut features = Array2::zeros((6, 2));
    features[[3, 1]] = f64::NAN;
    assert!(matches!(
        image_drop_probabilities(graph.view(), features.view()),
        Err(StaigError::NonFinite { row: 3, column: 1, .. })
    ));
}
