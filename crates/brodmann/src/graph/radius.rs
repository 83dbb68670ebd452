//! All spots within a radius.

use brodmann_kernels::{OptionError, ParallelLoop, Slices};
use ndarray::ArrayView2;
use rayon::prelude::*;

use super::SpatialGraph;
use super::error::GraphError;
use super::kd_tree::KdTree;
use super::slices::{Points, SliceGraph, assemble, by_slice};
use super::spatial_knn::MAX_EDGES;

/// Spots handled together; fixed.
const QUERY_CHUNK: usize = 1024;

/// Every pair of spots of one slice at most `radius` apart, the bound included.
///
/// # Inputs
/// `coordinates`: `(n_obs, 2 or 3)`, finite. `slices`: one code per spot. `radius`: above 0, in the coordinates' unit.
/// # Returns
/// A symmetric graph: weight 1 and the Euclidean distance per edge.
/// # Errors
/// `Option` when `radius` is not above 0; `TooManyEdges`; `NonFinite`; `CoordinateColumns`; `SliceLength`.
/// # Cost
/// O(n log n + edges) time, O(edges) memory.
///
/// # Example
///
/// ```
/// use brodmann::graph::radius_neighbors;
/// use ndarray::array;
///
/// let spots = array![[0.0, 0.0], [1.0, 0.0], [3.0, 0.0]];
/// let graph = radius_neighbors(spots.view(), None, 1.5)?;
/// assert_eq!(graph.connectivities.nnz(), 2);
/// assert_eq!(graph.distances.view().get(0, 1), Some(1.0));
/// # Ok::<(), brodmann::graph::GraphError>(())
/// ```
pub fn radius_neighbors(
    coordinates: ArrayView2<'_, f64>,
    slices: Option<&Slices>,
    radius: f64,
) -> Result<SpatialGraph, GraphError> {
    check_length("radius", radius)?;
    let built = match Points::try_new(coordinates)? {
        Points::Plane(points) => by_slice(&points, slices, |p| radius_graph(p, radius))?,
        Points::Space(points) => by_slice(&points, slices, |p| radius_graph(p, radius))?,
    };
    Ok(SpatialGraph::from_distances(built.distances, built.notes))
}

/// Refuses a length that is not above 0.
pub(crate) fn check_length(name: &'static str, length: f64) -> Result<(), GraphError> {
    if length > 0.0 {
        return Ok(());
    }
    Err(OptionError::new(name, length, "a number above 0").into())
}

fn radius_graph<const D: usize>(points: &[[f64; D]], radius: f64) -> Result<SliceGraph, GraphError> {
    let n_obs = points.len();
    let tree = KdTree::new(points);
    // Counted before anything is stored: a radius in the wrong unit must not fill the memory. Spots are taken
    // in the tree's order, where one query's path through the tree is still in cache for the next.
    let counts: Vec<usize> = (0..n_obs)
        .into_par_iter()
        .with_min_len(QUERY_CHUNK)
        .map(|at| tree.count_within(&tree.entry(at).0, radius).saturating_sub(1))
        .collect_vec();
    let tree_indptr = running_sum(counts.iter().copied());
    let nnz = tree_indptr[n_obs];
    if nnz > MAX_EDGES {
        return Err(GraphError::TooManyEdges { limit: MAX_EDGES });
    }
    let (mut tree_indices, mut tree_data) = (vec![0u32; nnz], vec![0.0f64; nnz]);
    let chunks = row_chunks(&tree_indptr, &mut tree_indices, &mut tree_data);
    chunks.into_par_iter().each(|(start, indices, data)| {
        let mut row: Vec<(u32, f64)> = Vec::new();
        let mut slots = indices.iter_mut().zip(data);
        for at in start..n_obs.min(start + QUERY_CHUNK) {
            let (point, id) = tree.entry(at);
            row.clear();
            tree.within(&point, id, radius, &mut |j, distance| row.push((j, distance)));
            row.sort_unstable_by_key(|entry| entry.0);
            for (&(j, distance), (index, value)) in row.iter().zip(&mut slots) {
                (*index, *value) = (j, distance);
            }
        }
    });

    let position = tree.positions();
    let indptr = running_sum(position.iter().map(|&at| counts[at as usize]));
    let (mut indices, mut data) = (vec![0u32; nnz], vec![0.0f64; nnz]);
    row_chunks(&indptr, &mut indices, &mut data).into_par_iter().each(|(start, indices, data)| {
        for i in start..n_obs.min(start + QUERY_CHUNK) {
            let at = position[i] as usize;
            let from = tree_indptr[at]..tree_indptr[at + 1];
            let to = indptr[i] - indptr[start]..indptr[i + 1] - indptr[start];
            indices[to.clone()].copy_from_slice(&tree_indices[from.clone()]);
            data[to].copy_from_slice(&tree_data[from]);
        }
    });
    let isolated = indptr.windows(2).filter(|w| w[0] == w[1]).count();
    let mut notes = Vec::new();
    if isolated > 0 {
        notes.push(format!("{isolated} of {n_obs} spots have no neighbour within {radius}").into());
    }
    Ok(SliceGraph { distances: assemble(n_obs, indptr, indices, data), notes })
}

/// `[0, c₀, c₀ + c₁, …]`.
fn running_sum(counts: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut sums = vec![0];
    let mut total = 0;
    sums.extend(counts.map(|count| {
        total += count;
        total
    }));
    sums
}

/// First row, columns and values of some consecutive rows.
type RowChunk<'a> = (usize, &'a mut [u32], &'a mut [f64]);

/// Cuts the arrays of a sparse matrix into chunks of `QUERY_CHUNK` rows.
fn row_chunks<'a>(
    indptr: &[usize],
    mut indices: &'a mut [u32],
    mut data: &'a mut [f64],
) -> Vec<RowChunk<'a>> {
    let n_rows = indptr.len() - 1;
    let mut chunks = Vec::with_capacity(n_rows.div_ceil(QUERY_CHUNK));
    for start in (0..n_rows).step_by(QUERY_CHUNK) {
        let length = indptr[n_rows.min(start + QUERY_CHUNK)] - indptr[start];
        let (chunk_indices, rest_indices) = indices.split_at_mut(length);
        let (chunk_data, rest_data) = data.split_at_mut(length);
        chunks.push((start, chunk_indices, chunk_data));
        (indices, data) = (rest_indices, rest_data);
    }
    chunks
}
