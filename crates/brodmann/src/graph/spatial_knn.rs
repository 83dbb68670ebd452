//! The k nearest spots in the plane or in space.

use brodmann_kernels::{CsrMatrix, OptionError, ParallelLoop, Slices};
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::SpatialGraph;
use super::error::GraphError;
use super::kd_tree::{KdTree, Nearest};
use super::latent_knn::Neighbors;
use super::slices::{Points, SliceGraph, assemble, by_slice, union_symmetric};

/// Queries handled together; fixed, and in tree order so that neighbouring queries share cache lines.
const QUERY_CHUNK: usize = 1024;
/// Edges a graph may have: 6 GB of indices and weights.
pub(crate) const MAX_EDGES: usize = 500_000_000;

/// Each spot's `n_neighbors` nearest spots of its own slice, ties to the lower index.
///
/// A slice of `n_neighbors` spots or fewer links each spot to all others, and `notes` says so. Duplicate
/// places are neighbours at distance 0, stored explicitly.
///
/// # Inputs
/// `coordinates`: `(n_obs, 2 or 3)`, finite. `slices`: one code per spot. `symmetrise`: add every edge's reverse.
/// # Returns
/// Weight 1 and the Euclidean distance per edge, same pattern; without `symmetrise`, row i holds i's own neighbours.
/// # Errors
/// `Option` when `n_neighbors` = 0; `NonFinite`; `CoordinateColumns`; `SliceLength`; `TooManyEdges`.
/// # Cost
/// O(n log n) time (about 1 µs per spot at k = 6), O(n·k) memory.
///
/// # Example
///
/// ```
/// use brodmann::graph::spatial_knn;
/// use ndarray::array;
///
/// let spots = array![[0.0, 0.0], [1.0, 0.0], [3.0, 0.0]];
/// let directed = spatial_knn(spots.view(), None, 1, false)?;
/// assert_eq!(directed.connectivities.nnz(), 3);
/// // The union adds 1 → 2, which 2 → 1 asks for.
/// let graph = spatial_knn(spots.view(), None, 1, true)?;
/// assert_eq!(graph.distances.view().get(1, 2), Some(2.0));
/// # Ok::<(), brodmann::graph::GraphError>(())
/// ```
pub fn spatial_knn(
    coordinates: ArrayView2<'_, f64>,
    slices: Option<&Slices>,
    n_neighbors: usize,
    symmetrise: bool,
) -> Result<SpatialGraph, GraphError> {
    check_n_neighbors(n_neighbors)?;
    let built = match Points::try_new(coordinates)? {
        Points::Plane(points) => by_slice(&points, slices, |p| knn_graph(p, n_neighbors))?,
        Points::Space(points) => by_slice(&points, slices, |p| knn_graph(p, n_neighbors))?,
    };
    let distances = if symmetrise { union_symmetric(built.distances.view()) } else { built.distances };
    Ok(SpatialGraph::from_distances(distances, built.notes))
}

/// Each spot's `n_neighbors` nearest spots in order of `(distance, index)`, slices ignored.
///
/// # Inputs
/// `coordinates`: `(n_obs, 2 or 3)`, finite.
/// # Returns
/// `(n_obs, min(n_neighbors, n_obs − 1))` indices and distances; `recall` is `None` (exact).
/// # Errors
/// As [`spatial_knn`].
/// # Cost
/// As [`spatial_knn`].
pub fn spatial_nearest(
    coordinates: ArrayView2<'_, f64>,
    n_neighbors: usize,
) -> Result<Neighbors, GraphError> {
    check_n_neighbors(n_neighbors)?;
    let n_obs = coordinates.nrows();
    let rows = match Points::try_new(coordinates)? {
        Points::Plane(points) => nearest_rows(&points, n_neighbors)?,
        Points::Space(points) => nearest_rows(&points, n_neighbors)?,
    };
    let shape = (n_obs, rows.k);
    let indices = Array2::from_shape_vec(shape, rows.indices).expect("k entries per spot by construction");
    let distances =
        Array2::from_shape_vec(shape, rows.distances).expect("k entries per spot by construction");
    Ok(Neighbors { indices, distances, recall: None })
}

fn check_n_neighbors(n_neighbors: usize) -> Result<(), GraphError> {
    if n_neighbors == 0 {
        return Err(OptionError::new("n_neighbors", 0, "at least 1").into());
    }
    Ok(())
}

/// `k` neighbours of every point, row by row, each row by rising `(distance, index)`.
pub(crate) struct NearestRows {
    pub(crate) k: usize,
    pub(crate) indices: Vec<u32>,
    pub(crate) distances: Vec<f64>,
}

/// The `min(k, n − 1)` nearest other points of every point.
pub(crate) fn nearest_rows<const D: usize>(
    points: &[[f64; D]],
    n_neighbors: usize,
) -> Result<NearestRows, GraphError> {
    let n_obs = points.len();
    let k = n_neighbors.min(n_obs.saturating_sub(1));
    if n_obs.saturating_mul(k) > MAX_EDGES {
        return Err(GraphError::TooManyEdges { limit: MAX_EDGES });
    }
    if k == 0 {
        return Ok(NearestRows { k, indices: Vec::new(), distances: Vec::new() });
    }
    let tree = KdTree::new(points);
    let mut in_tree_order = vec![(0.0f64, 0u32); n_obs * k];
    in_tree_order.par_chunks_mut(QUERY_CHUNK * k).enumerate().each(|(chunk, out)| {
        let mut nearest = Nearest::new(k);
        for (offset, row) in out.chunks_exact_mut(k).enumerate() {
            let (point, id) = tree.entry(chunk * QUERY_CHUNK + offset);
            tree.nearest(&point, id, &mut nearest);
            row.copy_from_slice(nearest.pairs());
        }
    });
    let position = tree.positions();
    let (mut indices, mut distances) = (vec![0u32; n_obs * k], vec![0.0f64; n_obs * k]);
    indices.par_chunks_mut(QUERY_CHUNK * k).zip(distances.par_chunks_mut(QUERY_CHUNK * k)).enumerate().each(
        |(chunk, (indices, distances))| {
            let rows = indices.chunks_exact_mut(k).zip(distances.chunks_exact_mut(k));
            for (offset, (row_indices, row_distances)) in rows.enumerate() {
                let at = position[chunk * QUERY_CHUNK + offset] as usize;
                for (slot, &(d2, id)) in in_tree_order[at * k..(at + 1) * k].iter().enumerate() {
                    row_indices[slot] = id;
                    row_distances[slot] = d2.sqrt();
                }
            }
        },
    );
    Ok(NearestRows { k, indices, distances })
}

fn knn_graph<const D: usize>(points: &[[f64; D]], n_neighbors: usize) -> Result<SliceGraph, GraphError> {
    let rows = nearest_rows(points, n_neighbors)?;
    let mut notes = Vec::new();
    if rows.k < n_neighbors {
        notes.push(too_few(points.len(), n_neighbors).into());
    }
    Ok(SliceGraph { distances: rows.into_graph(points.len()), notes })
}

/// What to say of a slice with fewer spots than neighbours asked for.
pub(crate) fn too_few(n_obs: usize, n_neighbors: usize) -> String {
    format!("{n_obs} spots are too few for {n_neighbors} neighbours each; every spot is linked to all others")
}

impl NearestRows {
    /// The graph whose row i holds i's neighbours.
    pub(crate) fn into_graph(self, n_obs: usize) -> CsrMatrix<f64> {
        let Self { k, mut indices, mut distances } = self;
        if k > 0 {
            indices.par_chunks_mut(QUERY_CHUNK * k).zip(distances.par_chunks_mut(QUERY_CHUNK * k)).each(
                |(indices, distances)| {
                    let mut row: Vec<(u32, f64)> = Vec::with_capacity(k);
                    for (columns, values) in indices.chunks_exact_mut(k).zip(distances.chunks_exact_mut(k)) {
                        row.clear();
                        row.extend(columns.iter().copied().zip(values.iter().copied()));
                        row.sort_unstable_by_key(|entry| entry.0);
                        for (slot, &(column, value)) in row.iter().enumerate() {
                            columns[slot] = column;
                            values[slot] = value;
                        }
                    }
                },
            );
        }
        assemble(n_obs, (0..=n_obs).map(|i| i * k).collect(), indices, distances)
    }
}
