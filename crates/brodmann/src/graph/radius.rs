//! All spots within a radius.

use std::sync::atomic::{AtomicUsize, Ordering};

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
/// # Inputs    `coordinates`: `(n_obs, 2 or 3)`, finite. `slices`: one code per spot. `radius`: above 0, in the coordinates' unit.
/// # Returns   A symmetric graph: weight 1 and the Euclidean distance per edge.
/// # Errors    `InvalidOption` when `radius` is not above 0; `TooManyEdges`; `NonFinite`; `CoordinateColumns`; `SliceLength`.
/// # Cost      O(n log n + edges) time, O(edges) memory.
pub fn radius_neighbors(
    coordinates: ArrayView2<'_, f64>,
    slices: Option<&[u32]>,
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
    Err(GraphError::InvalidOption { name, found: length.to_string(), expected: "a number above 0" })
}

fn radius_graph<const D: usize>(points: &[[f64; D]], radius: f64) -> Result<SliceGraph, GraphError> {
    let n_obs = points.len();
    let tree = KdTree::new(points);
    // Whether the limit is passed does not depend on the order of these additions.
    let n_edges = AtomicUsize::new(0);
    type Chunk = (Vec<u32>, Vec<u32>, Vec<f64>);
    let chunks: Option<Vec<Chunk>> = (0..n_obs.div_ceil(QUERY_CHUNK))
        .into_par_iter()
        .map(|chunk| {
            let (mut lengths, mut indices, mut data) = (Vec::new(), Vec::new(), Vec::new());
            let mut row: Vec<(u32, f64)> = Vec::new();
            for i in chunk * QUERY_CHUNK..n_obs.min((chunk + 1) * QUERY_CHUNK) {
                row.clear();
                tree.within(&points[i], i as u32, radius, &mut |j, distance| row.push((j, distance)));
                if n_edges.fetch_add(row.len(), Ordering::Relaxed) + row.len() > MAX_EDGES {
                    return None;
                }
                row.sort_unstable_by_key(|entry| entry.0);
                lengths.push(row.len() as u32);
                indices.extend(row.iter().map(|entry| entry.0));
                data.extend(row.iter().map(|entry| entry.1));
            }
            Some((lengths, indices, data))
        })
        .collect();
    let chunks = chunks.ok_or(GraphError::TooManyEdges { limit: MAX_EDGES })?;
    let nnz = chunks.iter().map(|chunk| chunk.1.len()).sum();
    let mut indptr = Vec::with_capacity(n_obs + 1);
    let (mut indices, mut data) = (Vec::with_capacity(nnz), Vec::with_capacity(nnz));
    let mut end = 0;
    indptr.push(0);
    for (lengths, chunk_indices, chunk_data) in chunks {
        for length in lengths {
            end += length as usize;
            indptr.push(end);
        }
        indices.extend(chunk_indices);
        data.extend(chunk_data);
    }
    let isolated = indptr.windows(2).filter(|w| w[0] == w[1]).count();
    let mut notes = Vec::new();
    if isolated > 0 {
        notes.push(format!("{isolated} of {n_obs} spots have no neighbour within {radius}"));
    }
    Ok(SliceGraph { distances: assemble(n_obs, indptr, indices, data), notes })
}
