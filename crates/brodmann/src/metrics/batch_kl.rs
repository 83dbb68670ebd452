//! Batch mixing by Kullback–Leibler divergence.

use brodmann_kernels::{Monitor, ParallelLoop};
use ndarray::ArrayView2;
use rayon::prelude::*;

use super::lisi::check_indices;
use super::paired_labels::{Codes, same_length};
use super::{MetricsError, Neighbors, exact_neighbors};

/// BatchKL of each observation, and its mean.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchKl {
    /// Per observation, in bits; 0 is perfect mixing.
    pub per_obs: Vec<f64>,
    /// Mean over observations.
    pub mean: f64,
}

/// BatchKL: how far the batches around an observation are from the batches overall; lower is better mixed.
///
/// `KL = Σ_b p_b log₂(p_b / q_b)`, with `p` the shares of the batches among the observation and its nearest
/// neighbours, `k = min(5 · n_batches, 100)` in all, and `q` the shares among all observations.
///
/// # Inputs
/// `neighbors`: nearest first, without the observation itself; `k − 1` columns are used.
/// `batch`: batch of every observation.
/// # Returns
/// One value per query, and the mean.
/// # Errors
/// [`MetricsError::NeighborOutOfRange`], `LengthMismatch`, `Empty`.
/// # Cost
/// O(n_queries · k).
/// # Source
/// Li et al. 2020, Nat. Commun. 11:2338 (DESC); settings as used for STAIG (Yang et al. 2025).
/// # Differences
/// The papers average 200 draws of 100 random cells, an estimate of the mean that is returned
/// here exactly; the two agree up to that sampling error.
pub fn batch_kl(neighbors: &Neighbors, batch: &[u32]) -> Result<BatchKl, MetricsError> {
    same_length("neighbors.indices", neighbors.indices.nrows(), neighbors.queries.len())?;
    if neighbors.queries.is_empty() {
        return Err(MetricsError::Empty);
    }
    check_indices(neighbors.indices.view(), batch.len())?;
    if let Some((row, &neighbor)) =
        neighbors.queries.iter().enumerate().find(|(_, q)| **q as usize >= batch.len())
    {
        return Err(MetricsError::NeighborOutOfRange { row, neighbor, n_obs: batch.len() });
    }
    let codes = Codes::new(batch);
    let others = n_batch_kl_neighbors(codes.n()).min(neighbors.indices.ncols());
    let size = (others + 1) as f64;
    let global: Vec<f64> = codes.counts.iter().map(|&c| c as f64 / batch.len() as f64).collect();
    let per_obs: Vec<f64> = (0..neighbors.queries.len())
        .into_par_iter()
        .map_init(
            || vec![0u32; codes.n()],
            |counts, i| {
                counts.fill(0);
                counts[codes.of[neighbors.queries[i] as usize] as usize] += 1;
                for &j in neighbors.indices.row(i).iter().take(others) {
                    counts[codes.of[j as usize] as usize] += 1;
                }
                counts
                    .iter()
                    .zip(&global)
                    .filter(|(c, _)| **c > 0)
                    .map(|(&c, q)| {
                        let p = f64::from(c) / size;
                        p * (p / q).log2()
                    })
                    .sum()
            },
        )
        .collect_vec();
    let mean = per_obs.iter().sum::<f64>() / per_obs.len() as f64;
    Ok(BatchKl { per_obs, mean })
}

/// [`batch_kl()`] from an embedding: finds the exact neighbours first.
///
/// # Inputs
/// `embedding`: `(n_obs, d)`, finite. `batch`: one per observation.
/// # Errors
/// As [`batch_kl()`] and [`exact_neighbors()`].
/// # Cost
/// O(n² d) time, O(n · k) memory.
///
/// # Example
///
/// ```
/// use brodmann::metrics::batch_kl_of_embedding;
/// use brodmann_kernels::Silent;
/// use ndarray::Array2;
///
/// // Two batches far apart: every neighbourhood holds one of two, log₂(1 / 0.5) = 1 bit.
/// let apart = Array2::from_shape_fn((40, 1), |(i, _)| i as f64 + if i < 20 { 0.0 } else { 1e3 });
/// let batch: Vec<u32> = (0..40).map(|i| i / 20).collect();
/// assert!((batch_kl_of_embedding(apart.view(), &batch, &Silent)?.mean - 1.0).abs() < 1e-12);
/// # Ok::<(), brodmann::metrics::MetricsError>(())
/// ```
pub fn batch_kl_of_embedding(
    embedding: ArrayView2<'_, f64>,
    batch: &[u32],
    monitor: &dyn Monitor,
) -> Result<BatchKl, MetricsError> {
    same_length("batch", batch.len(), embedding.nrows())?;
    let k = n_batch_kl_neighbors(Codes::new(batch).n());
    batch_kl(&exact_neighbors(embedding, None, k, monitor)?, batch)
}

/// Neighbours beside the observation itself.
pub(crate) fn n_batch_kl_neighbors(n_batches: usize) -> usize {
    (5 * n_batches).min(100).saturating_sub(1)
}
