//! Calinski–Harabasz index.

use ndarray::ArrayView2;

use super::MetricsError;
use super::centroids::Centroids;

/// Calinski–Harabasz index: variance between clusters over variance within; higher is better.
///
/// `CH = (B / (k − 1)) / (W / (n − k))`; 1 when `W = 0`, as in scikit-learn.
///
/// # Inputs
/// `embedding`: `(n_obs, d)`, finite. `labels`: one per observation.
/// # Errors
/// [`MetricsError::ClusterCount`] unless `2 <= clusters < n_obs`; `NonFinite`; `LengthMismatch`.
/// # Cost
/// O(n d).
/// # Source
/// Caliński & Harabasz 1974, Commun. Stat. 3:1.
///
/// # Example
///
/// ```
/// use brodmann::metrics::calinski_harabasz;
/// use ndarray::array;
///
/// // Between 100 on 1 degree of freedom, within 4 on 2.
/// let x = array![[0.0], [2.0], [10.0], [12.0]];
/// assert!((calinski_harabasz(x.view(), &[0, 0, 1, 1])? - 50.0).abs() < 1e-9);
/// # Ok::<(), brodmann::metrics::MetricsError>(())
/// ```
pub fn calinski_harabasz(embedding: ArrayView2<'_, f64>, labels: &[u32]) -> Result<f64, MetricsError> {
    Ok(calinski_harabasz_of(&Centroids::new(embedding, labels)?))
}

pub(crate) fn calinski_harabasz_of(clusters: &Centroids) -> f64 {
    let (k, n) = (clusters.codes.n() as f64, clusters.codes.of.len() as f64);
    let within: f64 = clusters.squared_distances.iter().sum();
    let between: f64 = clusters
        .centers
        .outer_iter()
        .zip(&clusters.codes.counts)
        .map(|(center, &count)| {
            let squared: f64 = center.iter().zip(&clusters.mean).map(|(c, m)| (c - m) * (c - m)).sum();
            count as f64 * squared
        })
        .sum();
    if within > 0.0 { between * (n - k) / (within * (k - 1.0)) } else { 1.0 }
}
