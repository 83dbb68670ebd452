//! The graph on which the coherence of domains in space is judged.

use brodmann_kernels::{CsrMatrix, Slices};
use ndarray::ArrayView2;

use crate::graph::{GraphError, SpatialGraphOptions, SpatialKind, spatial_neighbors};

/// Neighbours of a spot in that graph, before edges are made mutual.
const N_NEIGHBORS: usize = 6;

/// The 6 nearest spots of each spot in its slice, every edge in both directions, weights 1: what Moran's I and PAS
/// of an evaluation rest on.
///
/// Always built from the coordinates, whatever graph the domains were found with. That graph is an option of the
/// method: scores taken on it could not be compared between methods, and would favour the one that smoothed over
/// the same edges.
///
/// # Inputs
/// `coordinates`: `(n_obs, 2 or 3)`, finite. `slices`: one code per spot.
/// # Errors
/// As [`spatial_neighbors()`].
/// # Cost
/// O(n log n).
pub fn coherence_graph(
    coordinates: ArrayView2<'_, f64>,
    slices: Option<&Slices>,
) -> Result<CsrMatrix<f64>, GraphError> {
    let options = SpatialGraphOptions {
        kind: SpatialKind::Knn,
        n_neighbors: Some(N_NEIGHBORS),
        ..SpatialGraphOptions::default()
    };
    Ok(spatial_neighbors(coordinates, slices, &options)?.connectivities)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    /// Twelve spots on a line of unit steps.
    fn line() -> Array2<f64> {
        Array2::from_shape_fn((12, 2), |(i, axis)| if axis == 0 { i as f64 } else { 0.0 })
    }

    #[test]
    fn edges_are_mutual_and_weigh_1() {
        let graph = coherence_graph(line().view(), None).expect("graph");
        assert!(crate::graph::is_symmetric(graph.view()));
        assert!(graph.data().iter().all(|w| *w == 1.0));
        // The end has its 6 nearest alone; the fourth spot, 3 on either side, is also among the first's.
        assert_eq!(graph.view().row(0).0, [1, 2, 3, 4, 5, 6]);
        assert_eq!(graph.view().row(6).0, [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11][..].to_vec());
    }

    #[test]
    fn no_edge_crosses_a_slice() {
        let slices: Vec<u32> = (0..12).map(|i| i % 2).collect();
        let graph = coherence_graph(line().view(), Some(&Slices::from_codes(&slices, &[]))).expect("graph");
        for i in 0..12 {
            assert_eq!(graph.view().row(i).0.len(), 5, "all others of its slice");
            assert!(graph.view().row(i).0.iter().all(|j| j % 2 == i as u32 % 2));
        }
    }
}
