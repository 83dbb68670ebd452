//! Local inverse Simpson's index.

use brodmann_kernels::{Monitor, OptionError};
use ndarray::{ArrayView1, ArrayView2};
use rayon::prelude::*;

use super::paired_labels::{Codes, same_length};
use super::{MetricsError, exact_neighbors};

/// Halvings of the kernel width search.
const MAX_STEPS: usize = 50;
/// Accepted error of the entropy, in nats.
const ENTROPY_TOLERANCE: f64 = 1e-5;
/// Rows per parallel task.
const CHUNK_ROWS: usize = 256;

/// How wide a neighbourhood is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LisiOptions {
    /// Effective number of neighbours; the `3 · perplexity` nearest, self included, are looked at.
    pub perplexity: f64,
}

impl Default for LisiOptions {
    fn default() -> Self {
        Self { perplexity: 30.0 }
    }
}

/// LISI of each observation, and its summaries.
#[derive(Clone, Debug, PartialEq)]
pub struct Lisi {
    /// Per observation, between 1 and the number of labels.
    pub per_obs: Vec<f64>,
    /// Median over observations: the value papers report.
    pub median: f64,
    /// Mean over observations.
    pub mean: f64,
}

/// Local inverse Simpson's index: the effective number of labels around each observation.
///
/// Neighbours are weighted by `p ∝ exp(−β d)`, with `β` such that the entropy of `p` is `ln(perplexity)`; then
/// `LISI = 1 / Σ_labels (Σ_{neighbours with the label} p)²`. With batch labels this is iLISI (high: well mixed),
/// with cell types or domains cLISI (1: pure).
///
/// # Inputs
/// `indices`, `distances`: `(n_queries, k)` neighbours without the observation itself, as
/// [`exact_neighbors()`] gives them; the usual `k` is `3 · perplexity − 1`. `labels`: of all observations.
/// # Returns
/// [`Lisi`]. With fewer neighbours the perplexity is lowered to `(k + 1) / 3` (at
/// least 1).
/// # Errors
/// [`MetricsError::NoNeighbors`], `NeighborOutOfRange`, `Perplexity`, `LengthMismatch`, `Empty`.
/// # Cost
/// O(n_queries · k) with about 20 evaluations of `exp` each.
/// # Source
/// Korsunsky et al. 2019, Nat. Methods 16:1289; the width search of van der Maaten & Hinton 2008.
/// # Differences
/// The weights use the distance, not its square, as the published implementations do. Distances
/// are shifted by the nearest before `exp`, so far outliers get weights instead of 0/0.
pub fn lisi(
    indices: ArrayView2<'_, u32>,
    distances: ArrayView2<'_, f64>,
    labels: &[u32],
    options: &LisiOptions,
) -> Result<Lisi, MetricsError> {
    check_perplexity(*options)?;
    let (n_queries, k) = indices.dim();
    same_length("distances", distances.len(), indices.len())?;
    if n_queries == 0 {
        return Err(MetricsError::Empty);
    }
    if k == 0 {
        return Err(MetricsError::NoNeighbors);
    }
    check_indices(indices, labels.len())?;
    let codes = Codes::new(labels);
    let perplexity = options.perplexity.min(((k + 1) as f64 / 3.0).max(1.0));
    let rows: Vec<usize> = (0..n_queries).collect();
    let per_obs: Vec<f64> = rows
        .par_chunks(CHUNK_ROWS)
        .flat_map_iter(|chunk| {
            let mut weights = vec![0.0; k];
            let mut shares = vec![0.0; codes.n()];
            let values: Vec<f64> = chunk
                .iter()
                .map(|&i| {
                    kernel_weights(distances.row(i), perplexity.ln(), &mut weights);
                    inverse_simpson(indices.row(i), &weights, &codes.of, &mut shares)
                })
                .collect();
            values
        })
        .collect();
    Ok(summarize(per_obs))
}

/// [`lisi()`] from an embedding: finds the exact neighbours first.
///
/// # Inputs
/// `embedding`: `(n_obs, d)`, finite. `labels`: one per observation.
/// # Errors
/// As [`lisi()`] and [`exact_neighbors()`]; [`MetricsError::TooFewObservations`] below 2.
/// # Cost
/// O(n² d) time, O(n · perplexity) memory.
///
/// # Example
///
/// ```
/// use brodmann::metrics::{LisiOptions, lisi_of_embedding};
/// use brodmann_kernels::Silent;
/// use ndarray::Array2;
///
/// // Two batches that take turns along a line: both of them around every observation.
/// let line = Array2::from_shape_fn((40, 1), |(i, _)| i as f64);
/// let batch: Vec<u32> = (0..40).map(|i| i % 2).collect();
/// let found = lisi_of_embedding(line.view(), &batch, &LisiOptions { perplexity: 5.0 }, &Silent)?;
/// assert!(found.median > 1.5 && found.median < 2.0);
/// # Ok::<(), brodmann::metrics::MetricsError>(())
/// ```
pub fn lisi_of_embedding(
    embedding: ArrayView2<'_, f64>,
    labels: &[u32],
    options: &LisiOptions,
    monitor: &dyn Monitor,
) -> Result<Lisi, MetricsError> {
    check_perplexity(*options)?;
    same_length("labels", labels.len(), embedding.nrows())?;
    if embedding.nrows() < 2 {
        return Err(MetricsError::TooFewObservations { found: embedding.nrows(), expected: 2 });
    }
    let neighbors = exact_neighbors(embedding, None, n_lisi_neighbors(*options), monitor)?;
    lisi(neighbors.indices.view(), neighbors.distances.view(), labels, options)
}

/// Neighbours looked at: `3 · perplexity` counting the observation itself, as the published implementation does.
pub(crate) fn n_lisi_neighbors(options: LisiOptions) -> usize {
    ((options.perplexity * 3.0) as usize - 1).max(1)
}

fn check_perplexity(options: LisiOptions) -> Result<(), MetricsError> {
    if options.perplexity.is_finite() && options.perplexity >= 1.0 {
        Ok(())
    } else {
        Err(OptionError::new("perplexity", options.perplexity, "a finite number of at least 1")
            .advise("start from 30, the usual value")
            .into())
    }
}

/// [`MetricsError::NeighborOutOfRange`] for the first bad neighbour.
pub(crate) fn check_indices(indices: ArrayView2<'_, u32>, n_obs: usize) -> Result<(), MetricsError> {
    for (row, neighbors) in indices.outer_iter().enumerate() {
        if let Some(&neighbor) = neighbors.iter().find(|&&j| j as usize >= n_obs) {
            return Err(MetricsError::NeighborOutOfRange { row, neighbor, n_obs });
        }
    }
    Ok(())
}

/// Writes the weights whose entropy is `target` nats, found by doubling and bisection of `β`.
fn kernel_weights(distances: ArrayView1<'_, f64>, target: f64, weights: &mut [f64]) {
    let nearest = distances.iter().copied().fold(f64::INFINITY, f64::min);
    let (mut beta, mut low, mut high) = (1.0, f64::NEG_INFINITY, f64::INFINITY);
    for step in 0..=MAX_STEPS {
        let (mut sum, mut weighted) = (0.0, 0.0);
        for (w, d) in weights.iter_mut().zip(distances) {
            let d = d - nearest;
            *w = (-beta * d).exp();
            sum += *w;
            weighted += d * *w;
        }
        for w in weights.iter_mut() {
            *w /= sum;
        }
        let excess = sum.ln() + beta * weighted / sum - target;
        if excess.abs() < ENTROPY_TOLERANCE || step == MAX_STEPS {
            return;
        }
        if excess > 0.0 {
            low = beta;
            beta = if high.is_finite() { f64::midpoint(beta, high) } else { beta * 2.0 };
        } else {
            high = beta;
            beta = if low.is_finite() { f64::midpoint(beta, low) } else { beta / 2.0 };
        }
    }
}

fn inverse_simpson(
    neighbors: ArrayView1<'_, u32>,
    weights: &[f64],
    codes: &[u32],
    shares: &mut [f64],
) -> f64 {
    for (&j, w) in neighbors.iter().zip(weights) {
        shares[codes[j as usize] as usize] += w;
    }
    let mut simpson = 0.0;
    for &j in neighbors {
        let share = &mut shares[codes[j as usize] as usize];
        simpson += *share * *share;
        // Each label counts once, and the buffer is clean for the next row.
        *share = 0.0;
    }
    1.0 / simpson
}

fn summarize(per_obs: Vec<f64>) -> Lisi {
    let mut sorted = per_obs.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let n = sorted.len();
    let median = f64::midpoint(sorted[(n - 1) / 2], sorted[n / 2]);
    let mean = per_obs.iter().sum::<f64>() / n as f64;
    Lisi { per_obs, median, mean }
}
