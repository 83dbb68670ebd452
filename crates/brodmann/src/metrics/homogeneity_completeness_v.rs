//! Homogeneity, completeness and V-measure.

use super::normalized_mutual_information::NO_INFORMATION;
use super::{Contingency, MetricsError};

/// Homogeneity, completeness and their harmonic mean, each in `[0, 1]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HomogeneityCompletenessV {
    /// 1 when every cluster holds members of one class only.
    pub homogeneity: f64,
    /// 1 when all members of a class are in one cluster.
    pub completeness: f64,
    /// Harmonic mean of the two.
    pub v_measure: f64,
}

/// Homogeneity `I/H(T)`, completeness `I/H(P)` and V-measure.
///
/// # Inputs
/// `truth`, `pred`: one label per observation.
/// # Errors
/// [`MetricsError::LengthMismatch`], [`MetricsError::Empty`].
/// # Cost
/// O(n log n).
/// # Source
/// Rosenberg & Hirschberg 2007, EMNLP-CoNLL 410.
///
/// # Example
///
/// ```
/// use brodmann::metrics::homogeneity_completeness_v;
///
/// let scores = homogeneity_completeness_v(&[0, 0, 1, 1], &[0, 0, 1, 2])?;
/// assert!((scores.homogeneity - 1.0).abs() < 1e-12);
/// assert!((scores.completeness - 2.0 / 3.0).abs() < 1e-12);
/// # Ok::<(), brodmann::metrics::MetricsError>(())
/// ```
pub fn homogeneity_completeness_v(
    truth: &[u32],
    pred: &[u32],
) -> Result<HomogeneityCompletenessV, MetricsError> {
    Ok(homogeneity_completeness_v_of(&Contingency::new(truth, pred)?))
}

/// [`homogeneity_completeness_v()`] from a table at hand.
pub fn homogeneity_completeness_v_of(table: &Contingency) -> HomogeneityCompletenessV {
    let information = table.mutual_information();
    let information = if information <= NO_INFORMATION { 0.0 } else { information };
    // Nothing to divide is divided perfectly.
    let share = |entropy: f64| if entropy > 0.0 { (information / entropy).min(1.0) } else { 1.0 };
    let (homogeneity, completeness) = (share(table.class_entropy()), share(table.cluster_entropy()));
    let sum = homogeneity + completeness;
    let v_measure = if sum > 0.0 { 2.0 * homogeneity * completeness / sum } else { 0.0 };
    HomogeneityCompletenessV { homogeneity, completeness, v_measure }
}
