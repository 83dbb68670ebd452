//! Exact nearest neighbours, for the scores that look at neighbourhoods.

use brodmann_kernels::{Monitor, ParallelLoop};
use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::MetricsError;
use super::points::{Points, TILE_COLUMNS, TILE_ROWS};

/// Nearest neighbours of some observations, nearest first, without the observation itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbors {
    /// The observations whose neighbours these are, in row order.
    pub queries: Vec<u32>,
    /// `(n_queries, n_neighbors)` indices of observations.
    pub indices: Array2<u32>,
    /// `(n_queries, n_neighbors)` Euclidean distances, rising.
    pub distances: Array2<f64>,
}

/// The `n_neighbors` nearest observations of each query, by Euclidean distance, ties by index.
///
/// Duplicates of a query count as neighbours at distance 0; the query itself does not.
///
/// # Inputs
/// `embedding`: `(n_obs, d)`, finite. `queries`: rows to search for; `None`: all.
/// # Returns
/// [`Neighbors`] with `min(n_neighbors, n_obs − 1)` columns.
/// # Errors
/// [`MetricsError::NonFinite`]; `NeighborOutOfRange` for a query outside the embedding.
/// # Cost
/// O(n_queries · n_obs · d) time by blocked products, O(n_obs · d) memory plus one tile per thread.
pub fn exact_neighbors(
    embedding: ArrayView2<'_, f64>,
    queries: Option<&[u32]>,
    n_neighbors: usize,
    monitor: &dyn Monitor,
) -> Result<Neighbors, MetricsError> {
    let n = embedding.nrows();
    let points = Points::new(embedding, None)?;
    let queries = queries.map_or_else(|| (0..n as u32).collect(), <[u32]>::to_vec);
    if let Some(row) = queries.iter().position(|&q| q as usize >= n) {
        return Err(MetricsError::NeighborOutOfRange { row, neighbor: queries[row], n_obs: n });
    }
    let k = n_neighbors.min(n.saturating_sub(1));
    let blocks: Vec<Vec<(f64, u32)>> = queries
        .par_chunks(TILE_ROWS)
        .map(|block| {
            monitor.check()?;
            Ok(nearest(&points, block, k))
        })
        .try_collect_vec::<_, MetricsError>()?;
    let mut indices = Vec::with_capacity(queries.len() * k);
    let mut distances = Vec::with_capacity(queries.len() * k);
    for (squared, index) in blocks.into_iter().flatten() {
        indices.push(index);
        distances.push(squared.sqrt());
    }
    let shape = (queries.len(), k);
    Ok(Neighbors {
        indices: Array2::from_shape_vec(shape, indices).expect("k neighbours were found for each query"),
        distances: Array2::from_shape_vec(shape, distances).expect("k neighbours were found for each query"),
        queries,
    })
}

/// `k` neighbours of each row of a block, one after the other.
fn nearest(points: &Points, block: &[u32], k: usize) -> Vec<(f64, u32)> {
    let n = points.n();
    if k == 0 {
        return Vec::new();
    }
    let gathered = points.gather(block);
    let mut tile = Array2::<f64>::zeros((block.len(), TILE_COLUMNS));
    let mut candidates: Vec<Candidates> = block.iter().map(|_| Candidates::new(k)).collect();
    for first in (0..n).step_by(TILE_COLUMNS) {
        let end = n.min(first + TILE_COLUMNS);
        points.products(gathered.view(), first..end, tile.slice_axis_mut(Axis(1), (..end - first).into()));
        for ((mut row, &query), found) in tile.outer_iter_mut().zip(block).zip(&mut candidates) {
            let row = row.as_slice_mut().expect("rows of a fresh array are contiguous");
            let row = &mut row[..end - first];
            points.squared_distances(query as usize, first, row);
            for (offset, &squared) in row.iter().enumerate() {
                if squared <= found.limit && first + offset != query as usize {
                    found.push(squared, (first + offset) as u32);
                }
            }
        }
    }
    candidates
        .into_iter()
        .zip(block)
        .flat_map(|(found, &query)| found.finish(points, query as usize))
        .collect()
}

/// The best candidates so far, cut back whenever they become many.
struct Candidates {
    k: usize,
    /// A squared distance that at least `k` candidates do not exceed, widened by the round-off of products.
    limit: f64,
    found: Vec<(f64, u32)>,
    capacity: usize,
}

/// Relative slack: two equal distances may differ by this much after a product.
const SLACK: f64 = 1e-8;

impl Candidates {
    fn new(k: usize) -> Self {
        Self { k, limit: f64::INFINITY, found: Vec::new(), capacity: 4 * k + 32 }
    }

    fn push(&mut self, squared: f64, index: u32) {
        self.found.push((squared, index));
        if self.found.len() >= self.capacity {
            self.cut();
            // Many ties survive the cut; the growing capacity keeps the cost linear all the same.
            self.capacity = (4 * self.k + 32).max(2 * self.found.len());
        }
    }

    fn cut(&mut self) {
        if self.found.len() <= self.k {
            return;
        }
        let (_, kth, _) = self.found.select_nth_unstable_by(self.k - 1, |a, b| a.0.total_cmp(&b.0));
        self.limit = kth.0 + SLACK * kth.0;
        let limit = self.limit;
        self.found.retain(|c| c.0 <= limit);
    }

    /// The `k` nearest by distances computed from differences, so that ties are exact ties.
    fn finish(mut self, points: &Points, query: usize) -> Vec<(f64, u32)> {
        self.cut();
        for candidate in &mut self.found {
            candidate.0 = points.squared_distance(query, candidate.1 as usize);
        }
        self.found.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        self.found.truncate(self.k);
        self.found
    }
}
