//! Edges taken out by length: by hand, and what must hold of any cut.

use brodmann_kernels::Slices;
use ndarray::{Array2, array};

use super::noise;
use crate::graph::{GraphError, SpatialGraph, SpatialGraphOptions, SpatialKind, spatial_neighbors};

fn cut(
    coordinates: &Array2<f64>,
    slices: Option<&[u32]>,
    lengths: Option<[f64; 2]>,
    percentile: Option<f64>,
) -> Result<SpatialGraph, GraphError> {
    let options = SpatialGraphOptions {
        kind: SpatialKind::Knn,
        n_neighbors: Some(2),
        symmetrise: false,
        lengths,
        percentile,
        ..SpatialGraphOptions::default()
    };
    spatial_neighbors(coordinates.view(), slices.map(|s| Slices::from_codes(s, &[])).as_ref(), &options)
}

/// Four spots on a line, at 0, 1, 3 and 7. Lengths of the two nearest: 1 3, 1 2, 2 3, 4 6.
fn line() -> Array2<f64> {
    array![[0.0, 0.0], [1.0, 0.0], [3.0, 0.0], [7.0, 0.0]]
}

fn lengths(graph: &SpatialGraph) -> Vec<f64> {
    assert_eq!(graph.connectivities.indices(), graph.distances.indices());
    assert_eq!(graph.connectivities.indptr(), graph.distances.indptr());
    assert!(graph.connectivities.data().iter().all(|w| *w == 1.0));
    graph.distances.data().to_vec()
}

#[test]
fn lengths_are_kept_with_both_ends() {
    let found = cut(&line(), None, Some([2.0, 4.0]), None).expect("cut");
    assert_eq!(lengths(&found), [3.0, 2.0, 3.0, 2.0, 4.0]);
}

#[test]
fn the_percentile_counts_each_spot_s_distance_to_itself() {
    // 0 0 0 0 1 1 2 2 3 3 4 6: the median lies between 1 and 2, at 1.5.
    let found = cut(&line(), None, None, Some(50.0)).expect("cut");
    assert_eq!(lengths(&found), [1.0, 1.0]);
    // At 9 of 11 the value is the tenth, 3, and edges as long stay.
    let found = cut(&line(), None, None, Some(900.0 / 11.0)).expect("cut");
    assert_eq!(lengths(&found), [1.0, 3.0, 1.0, 2.0, 3.0, 2.0]);
}

#[test]
fn each_slice_has_a_percentile_of_its_own() {
    let near = Array2::from_shape_fn((20, 2), |(i, axis)| noise(1, 2 * i + axis));
    let both =
        Array2::from_shape_fn((40, 2), |(i, axis)| near[[i % 20, axis]] * if i < 20 { 1.0 } else { 1024.0 });
    let slices: Vec<u32> = (0..40).map(|i| if i < 20 { 5 } else { 2 }).collect();
    let alone = cut(&near, None, None, Some(40.0)).expect("cut");
    let found = cut(&both, Some(&slices), None, Some(40.0)).expect("cut");
    assert_eq!(found.distances.nnz(), 2 * alone.distances.nnz());
    assert_eq!(found.distances.data()[..alone.distances.nnz()], *alone.distances.data());
}

#[test]
fn a_higher_percentile_keeps_all_that_a_lower_one_keeps() {
    let spots = Array2::from_shape_fn((50, 2), |(i, axis)| noise(2, 2 * i + axis));
    let whole = cut(&spots, None, None, None).expect("whole");
    let mut before = 0;
    for percentile in [0.0, 10.0, 35.5, 70.0, 99.0, 100.0] {
        let found = lengths(&cut(&spots, None, None, Some(percentile)).expect("cut"));
        assert!(found.len() >= before);
        before = found.len();
    }
    assert_eq!(before, whole.distances.nnz(), "100 keeps every edge");
}

#[test]
fn cuts_out_of_range_are_refused() {
    for percentile in [-1.0, 100.5, f64::NAN] {
        let found = cut(&line(), None, None, Some(percentile));
        assert!(matches!(found, Err(GraphError::Option(e)) if e.option.0 == "percentile"));
    }
    for lengths in [[2.0, 1.0], [-1.0, 1.0], [0.0, f64::INFINITY], [f64::NAN, 1.0]] {
        let found = cut(&line(), None, Some(lengths), None);
        assert!(matches!(found, Err(GraphError::Option(e)) if e.option.0 == "lengths"));
    }
}
