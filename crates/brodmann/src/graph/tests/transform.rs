//! Transformed weights: by hand, and what must hold of any graph.

use super::{csr, edges, noise, with_threads};
use crate::graph::{Transform, transform, with_loops};

/// 0 → 1, 0 → 2, 1 → 0, 2 → 1; in-degrees 1, 2, 1.
fn small() -> brodmann_kernels::CsrMatrix<f64> {
    csr(3, &[(0, 1, 1.0), (0, 2, 1.0), (1, 0, 1.0), (2, 1, 1.0)])
}

#[test]
fn spectral_divides_by_the_roots_of_both_degrees() {
    let half = 0.5f64.sqrt();
    let found = transform(small().view(), Transform::Spectral);
    let expected = [(0, 1, half), (0, 2, 1.0), (1, 0, half), (2, 1, half)];
    for (found, expected) in edges(found.view()).into_iter().zip(expected) {
        assert_eq!((found.0, found.1), (expected.0, expected.1));
        assert!((found.2 - expected.2).abs() < 1e-15, "{found:?}");
    }
}

#[test]
fn spectral_gives_0_where_no_edge_points_to_a_spot() {
    let found = transform(csr(2, &[(0, 1, 1.0)]).view(), Transform::Spectral);
    assert_eq!(edges(found.view()), [(0, 1, 0.0)]);
}

#[test]
fn cosine_compares_rows() {
    // Rows {1, 2}, {0}, {1}: the first and the last share one of two neighbours.
    let found = transform(small().view(), Transform::Cosine);
    let places: Vec<_> = edges(found.view()).iter().map(|e| (e.0, e.1)).collect();
    assert_eq!(places, [(0, 0), (0, 2), (1, 1), (2, 0), (2, 2)]);
    assert!((found.view().get(0, 2).expect("shared") - 0.5f64.sqrt()).abs() < 1e-15);
}

#[test]
fn cosines_are_symmetric_at_most_1_and_1_for_a_row_with_itself() {
    let n = 60;
    let entries: Vec<(usize, u32, f64)> = (0..n)
        .flat_map(|i| (0..n as u32).map(move |j| (i, j, noise(3, i * n + j as usize))))
        .filter(|e| e.2 > 0.8 && e.0 != 7)
        .collect();
    let graph = csr(n, &entries);
    let found = with_threads(1, || transform(graph.view(), Transform::Cosine));
    assert_eq!(found, with_threads(4, || transform(graph.view(), Transform::Cosine)));
    for (i, j, value) in edges(found.view()) {
        let mirrored = found.view().get(j as usize, i).expect("symmetric pattern");
        assert!((value - mirrored).abs() < 1e-12 && value > 0.0 && value < 1.0 + 1e-12);
        assert!(i != j as usize || (value - 1.0).abs() < 1e-12);
    }
    assert!(found.view().row(7).0.is_empty(), "a spot without neighbours is like none");
}

#[test]
fn single_precision_stays_single_precision() {
    let graph = small().view().map(|v| v as f32);
    let found = transform(graph.view(), Transform::Spectral);
    assert_eq!(found.data()[0], 1.0 / 1.0f32.sqrt() * (1.0 / 2.0f32.sqrt()));
}

#[test]
fn loops_are_added_once() {
    let found = with_loops(csr(3, &[(0, 1, 2.0), (1, 0, 2.0), (1, 1, 5.0), (1, 2, 3.0)]).view());
    assert_eq!(
        edges(found.view()),
        [(0, 0, 1.0), (0, 1, 2.0), (1, 0, 2.0), (1, 1, 1.0), (1, 2, 3.0), (2, 2, 1.0)]
    );
}

#[test]
fn names_are_read_back() {
    for kind in [Transform::Spectral, Transform::Cosine] {
        assert_eq!(kind.name().parse::<Transform>().expect("known"), kind);
    }
    assert!("laplace".parse::<Transform>().is_err());
}
