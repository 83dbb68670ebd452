//! UMAP's fuzzy-set weights of a nearest-neighbour graph.

use brodmann_kernels::{CsrMatrix, ParallelLoop};
use rayon::prelude::*;

use super::latent_knn::Neighbors;
use super::slices::{assemble, with_transpose};

/// Bisection steps for a bandwidth.
const N_ITERATIONS: usize = 64;
/// Bisection stops when the sum is this close to its target.
const SUM_TOLERANCE: f64 = 1e-5;
/// Smallest bandwidth, as a share of the mean distance.
const MIN_K_DIST_SCALE: f64 = 1e-3;
/// Observations handled together; fixed.
const CHUNK: usize = 4096;

/// The weights `scanpy.pp.neighbors(method="umap")` stores as `obsp["connectivities"]`.
///
/// 1. ρᵢ = i's smallest distance above 0 (local connectivity 1).
/// 2. σᵢ solves `Σⱼ exp(−max(dᵢⱼ − ρᵢ, 0)/σᵢ) = log₂(k + 1)` over i's k neighbours, by bisection; at least
///    10⁻³ of i's mean distance (of the overall mean where ρᵢ = 0).
/// 3. Directed weight `aᵢⱼ = exp(−max(dᵢⱼ − ρᵢ, 0)/σᵢ)`; fuzzy union `aᵢⱼ + aⱼᵢ − aᵢⱼaⱼᵢ`.
///
/// # Inputs
/// `neighbors`: k per observation, itself excluded.
/// # Returns
/// A symmetric graph with weights in (0, 1].
/// # Panics
/// When a neighbour's number is not below `n_obs`; no function of this module makes such.
/// # Cost
/// O(n k) time and memory.
/// # Source
/// McInnes, Healy & Melville 2018, arXiv:1802.03426, algorithms 2 and 3.
///
/// # Differences
/// umap-learn bisects in f32; this is f64. Weights agree to about 1e-5, the tolerance of the bisection itself.
/// Weights that f32 cannot tell from 0 are not stored, so that the pattern agrees.
///
/// # Example
///
/// ```
/// use brodmann::graph::{exact_knn, fuzzy_connectivities};
/// use brodmann_kernels::Silent;
/// use ndarray::array;
///
/// let nearest = exact_knn(array![[0.0], [1.0], [3.0], [3.5]].view(), 2, &Silent)?;
/// let weights = fuzzy_connectivities(&nearest);
/// // The nearest neighbour always has weight 1.
/// assert!((weights.view().get(0, 1).unwrap_or(0.0) - 1.0).abs() < 1e-6);
/// assert_eq!(weights.view().get(1, 3), weights.view().get(3, 1));
/// # Ok::<(), brodmann::graph::GraphError>(())
/// ```
pub fn fuzzy_connectivities(neighbors: &Neighbors) -> CsrMatrix<f64> {
    let (n_obs, k) = neighbors.indices.dim();
    if k == 0 {
        return assemble(n_obs, vec![0; n_obs + 1], Vec::new(), Vec::new());
    }
    // Means count the observation itself, at distance 0.
    let overall_mean = brodmann_kernels::reduce::sum_by(n_obs, |i| neighbors.distances.row(i).sum())
        / (n_obs * (k + 1)) as f64;
    let mut directed = neighbors.to_distances();
    let bandwidths: Vec<(f64, f64)> = (0..n_obs)
        .into_par_iter()
        .with_min_len(CHUNK)
        .map(|i| bandwidth(&neighbors.distances.row(i).to_vec(), overall_mean))
        .collect_vec();
    directed.data_mut().par_chunks_mut(CHUNK * k).enumerate().each(|(chunk, values)| {
        for (value, (rho, sigma)) in values
            .chunks_exact_mut(k)
            .zip(&bandwidths[chunk * CHUNK..])
            .flat_map(|(row, bandwidth)| row.iter_mut().map(move |value| (value, bandwidth)))
        {
            let excess = *value - rho;
            *value = if excess <= 0.0 || *sigma == 0.0 { 1.0 } else { (-excess / sigma).exp() };
        }
    });
    with_transpose(directed.view(), |own, mirrored| {
        let (a, b) = (own.unwrap_or(0.0), mirrored.unwrap_or(0.0));
        let weight = a + b - a * b;
        // What f32 cannot tell from 0, scanpy does not store.
        (weight as f32 > 0.0).then_some(weight)
    })
}

/// `(ρ, σ)` of one observation from its rising distances.
fn bandwidth(distances: &[f64], overall_mean: f64) -> (f64, f64) {
    let rho = distances.iter().copied().find(|&d| d > 0.0).unwrap_or(0.0);
    let target = ((distances.len() + 1) as f64).log2();
    let (mut low, mut high, mut sigma) = (0.0f64, f64::INFINITY, 1.0f64);
    for _ in 0..N_ITERATIONS {
        let sum: f64 = distances
            .iter()
            .map(|d| {
                let excess = d - rho;
                if excess > 0.0 { (-excess / sigma).exp() } else { 1.0 }
            })
            .sum();
        if (sum - target).abs() < SUM_TOLERANCE {
            break;
        }
        if sum > target {
            high = sigma;
            sigma = f64::midpoint(low, high);
        } else {
            low = sigma;
            sigma = if high.is_infinite() { sigma * 2.0 } else { f64::midpoint(low, high) };
        }
    }
    let mean =
        if rho > 0.0 { distances.iter().sum::<f64>() / (distances.len() + 1) as f64 } else { overall_mean };
    (rho, sigma.max(MIN_K_DIST_SCALE * mean))
}
