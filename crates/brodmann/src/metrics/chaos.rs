//! CHAOS: spatial discontinuity of domains.

use brodmann_kernels::Monitor;
use ndarray::{Array2, ArrayView2, Axis};

use super::paired_labels::{Codes, same_length};
use super::{MetricsError, exact_neighbors};

/// CHAOS: mean distance from a spot to the nearest spot of its own domain, coordinates standardised per axis.
///
/// Lower is more continuous; needs no truth. Compare it between partitions of the *same* tissue only. Spots
/// alone in their domain are left out of the sum but not of the count, as in the source.
///
/// # Inputs
/// `coordinates`: `(n_obs, 2 or 3)`, finite. `labels`: one per spot.
/// # Errors
/// [`MetricsError::LengthMismatch`], `NonFinite`, `Empty`.
/// # Cost
/// O(Σ nₖ²) over domains of size `nₖ`.
/// # Source
/// Shang & Zhou 2022, Nat. Commun. 13:7203.
///
/// # Example
///
/// ```
/// use brodmann::metrics::chaos;
/// use brodmann_kernels::Silent;
/// use ndarray::array;
///
/// let square = array![[0.0, 0.0], [0.0, 1.0], [2.0, 0.0], [2.0, 1.0]];
/// let sides = chaos(square.view(), &[0, 0, 1, 1], &Silent)?;
/// let diagonals = chaos(square.view(), &[0, 1, 1, 0], &Silent)?;
/// assert!(sides < diagonals);
/// # Ok::<(), brodmann::metrics::MetricsError>(())
/// ```
pub fn chaos(
    coordinates: ArrayView2<'_, f64>,
    labels: &[u32],
    monitor: &dyn Monitor,
) -> Result<f64, MetricsError> {
    let n = coordinates.nrows();
    same_length("labels", labels.len(), n)?;
    if n == 0 {
        return Err(MetricsError::Empty);
    }
    super::points::check_finite(coordinates)?;
    let mut standardized: Array2<f64> = coordinates.to_owned();
    for mut axis in standardized.axis_iter_mut(Axis(1)) {
        let mean = axis.sum() / n as f64;
        let deviation = (axis.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n as f64).sqrt();
        let scale = if deviation > 0.0 { deviation } else { 1.0 };
        axis.mapv_inplace(|v| (v - mean) / scale);
    }
    let codes = Codes::new(labels);
    let mut members: Vec<Vec<usize>> = codes.counts.iter().map(|&c| Vec::with_capacity(c)).collect();
    for (i, &c) in codes.of.iter().enumerate() {
        members[c as usize].push(i);
    }
    let mut sum = 0.0;
    for domain in members.iter().filter(|m| m.len() > 1) {
        let points = standardized.select(Axis(0), domain);
        sum += exact_neighbors(points.view(), None, 1, monitor)?.distances.sum();
    }
    Ok(sum / n as f64)
}
