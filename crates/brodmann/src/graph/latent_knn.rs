//! The k nearest observations in feature space, exactly.

use brodmann_kernels::{Interrupted, Monitor, OptionError, ParallelLoop};
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::blocked_distances::{BlockedPoints, Candidates};
use super::cells::gather;
use super::error::GraphError;
use super::slices::check_finite;

/// Queries of one product; fixed.
const BLOCK: usize = 128;

/// The nearest observations of each observation, itself excluded, by rising `(distance, index)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbors {
    /// `(n_obs, k)`.
    pub indices: Array2<u32>,
    /// `(n_obs, k)`, Euclidean.
    pub distances: Array2<f64>,
    /// Share of true neighbours found, measured on a sample; `None` where the search was exact.
    pub recall: Option<f64>,
}

/// The k nearest by brute force: blocked f32 products find candidates, exact f64 distances rank them.
///
/// The result is that of computing all distances in f64 and sorting by `(distance, index)`; it is the same
/// bits on any thread count.
///
/// # Inputs
/// `embedding`: `(n_obs, d)`, finite, d ≥ 1. `k`: neighbours, the observation itself not counted.
/// # Returns
/// `(n_obs, min(k, n_obs − 1))` indices and distances.
/// # Errors
/// `NonFinite`, `NoColumns`, `Option` when `k` = 0, `Interrupted`.
/// # Cost
/// O(n² d) time; O(n (d + k)) memory and half a megabyte per thread.
///
/// # Example
///
/// ```
/// use brodmann::graph::exact_knn;
/// use brodmann_kernels::Silent;
/// use ndarray::array;
///
/// let nearest = exact_knn(array![[0.0], [1.0], [3.0]].view(), 1, &Silent)?;
/// assert_eq!(nearest.indices, array![[1], [0], [1]]);
/// assert_eq!(nearest.distances, array![[1.0], [1.0], [2.0]]);
/// # Ok::<(), brodmann::graph::GraphError>(())
/// ```
pub fn exact_knn(
    embedding: ArrayView2<'_, f64>,
    k: usize,
    monitor: &dyn Monitor,
) -> Result<Neighbors, GraphError> {
    check_embedding(embedding, k)?;
    let n_obs = embedding.nrows();
    let k = k.min(n_obs.saturating_sub(1));
    let points = BlockedPoints::new(embedding);
    monitor.stage("nearest neighbours", n_obs as u64);
    let all: Vec<u32> = (0..n_obs as u32).collect();
    let rows = exact_rows(&points, n_obs, &all, k, None, monitor)?;
    Ok(Neighbors::from_rows(n_obs, k, &rows))
}

pub(crate) fn check_embedding(embedding: ArrayView2<'_, f64>, k: usize) -> Result<(), GraphError> {
    if k == 0 {
        return Err(OptionError::new("n_neighbors", 0, "at least 1").into());
    }
    if embedding.nrows() > u32::MAX as usize {
        return Err(GraphError::TooManyObs { found: embedding.nrows() });
    }
    if embedding.ncols() == 0 && embedding.nrows() > 0 {
        return Err(GraphError::NoColumns);
    }
    check_finite("the embedding", embedding)
}

/// The k nearest of the given queries among the first `n_targets` points, numbered and tied as `originals` says.
pub(crate) fn exact_rows(
    points: &BlockedPoints,
    n_targets: usize,
    queries: &[u32],
    k: usize,
    originals: Option<&[u32]>,
    monitor: &dyn Monitor,
) -> Result<Vec<Vec<(f64, u32)>>, Interrupted> {
    if k == 0 {
        return Ok(vec![Vec::new(); queries.len()]);
    }
    let blocks: Vec<Vec<Vec<(f64, u32)>>> = queries
        .par_chunks(BLOCK)
        .map(|block| {
            let rows = gather(points.queries.view(), block);
            let mut candidates: Vec<Candidates> =
                block.iter().map(|&i| Candidates::new(i as usize, k)).collect();
            let mut open: Vec<&mut Candidates> = candidates.iter_mut().collect();
            let mut scratch = Vec::new();
            // Large stripes, so that an interruption is seen within a second at any n.
            for start in (0..n_targets).step_by(1 << 18) {
                monitor.check()?;
                let end = n_targets.min(start + (1 << 18));
                points.offer(rows.view(), &mut open, start..end, &mut scratch);
            }
            monitor.advance(block.len() as u64);
            Ok(candidates.into_iter().map(|c| c.finish(points, originals)).collect())
        })
        .try_collect_vec::<_, Interrupted>()?;
    Ok(blocks.into_iter().flatten().collect())
}

impl Neighbors {
    pub(crate) fn from_rows(n_obs: usize, k: usize, rows: &[Vec<(f64, u32)>]) -> Self {
        let mut indices = Array2::zeros((n_obs, k));
        let mut distances = Array2::zeros((n_obs, k));
        for (i, row) in rows.iter().enumerate() {
            for (slot, &(d2, j)) in row.iter().enumerate() {
                indices[[i, slot]] = j;
                distances[[i, slot]] = d2.sqrt();
            }
        }
        Self { indices, distances, recall: None }
    }

    /// The directed graph whose row i holds the distances to i's neighbours; zeros are stored.
    pub fn to_distances(&self) -> brodmann_kernels::CsrMatrix<f64> {
        let (n_obs, k) = self.indices.dim();
        super::spatial_knn::NearestRows {
            k,
            indices: self.indices.iter().copied().collect(),
            distances: self.distances.iter().copied().collect(),
        }
        .into_graph(n_obs)
    }
}
