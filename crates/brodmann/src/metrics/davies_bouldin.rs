//! Davies–Bouldin index.

use ndarray::ArrayView2;
use rayon::prelude::*;

use super::MetricsError;
use super::centroids::Centroids;

/// Davies–Bouldin index: how wide clusters are against how far apart; lower is better.
///
/// `DB = mean over i of max over j≠i of (σᵢ + σⱼ) / ‖cᵢ − cⱼ‖`, with `σ` the mean distance of a cluster's
/// members to its centre `c`. Clusters with the same centre are not compared; 0 when nothing has any width.
///
/// # Inputs
/// `embedding`: `(n_obs, d)`, finite. `labels`: one per observation.
/// # Errors
/// [`MetricsError::ClusterCount`] unless `2 <= clusters < n_obs`; `NonFinite`; `LengthMismatch`.
/// # Cost
/// O(n d + k² d).
/// # Source
/// Davies & Bouldin 1979, IEEE TPAMI 1:224; conventions of scikit-learn.
///
/// # Example
///
/// ```
/// use brodmann::metrics::davies_bouldin;
/// use ndarray::array;
///
/// // Spreads of 1 around centres 10 apart.
/// let x = array![[0.0], [2.0], [10.0], [12.0]];
/// assert!((davies_bouldin(x.view(), &[0, 0, 1, 1])? - 0.2).abs() < 1e-12);
/// # Ok::<(), brodmann::metrics::MetricsError>(())
/// ```
pub fn davies_bouldin(embedding: ArrayView2<'_, f64>, labels: &[u32]) -> Result<f64, MetricsError> {
    Ok(davies_bouldin_of(&Centroids::new(embedding, labels)?))
}

pub(crate) fn davies_bouldin_of(clusters: &Centroids) -> f64 {
    let k = clusters.codes.n();
    let widths: Vec<f64> =
        clusters.distances.iter().zip(&clusters.codes.counts).map(|(s, &n)| s / n as f64).collect();
    let worst: Vec<f64> = (0..k)
        .into_par_iter()
        .map(|i| {
            let center = clusters.centers.row(i);
            (0..k)
                .filter(|&j| j != i)
                .map(|j| {
                    let squared: f64 =
                        center.iter().zip(clusters.centers.row(j)).map(|(a, b)| (a - b) * (a - b)).sum();
                    if squared > 0.0 { (widths[i] + widths[j]) / squared.sqrt() } else { 0.0 }
                })
                .fold(0.0, f64::max)
        })
        .collect();
    worst.iter().sum::<f64>() / k as f64
}
