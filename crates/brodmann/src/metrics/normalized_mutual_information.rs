//! Normalised mutual information.

use super::{Contingency, MetricsError};

/// Mutual information below this is round-off of independence.
pub(crate) const NO_INFORMATION: f64 = f64::EPSILON;

/// Normalised mutual information, arithmetic mean: `NMI = I(T; P) / ((H(T) + H(P)) / 2)`, in `[0, 1]`.
///
/// Two partitions of one cluster each count as identical (1), as in scikit-learn.
///
/// # Inputs
/// `truth`, `pred`: one label per observation.
/// # Errors
/// [`MetricsError::LengthMismatch`], [`MetricsError::Empty`].
/// # Cost
/// O(n log n).
/// # Source
/// Vinh, Epps & Bailey 2010, JMLR 11:2837 (`NMI_sum`).
///
/// # Example
///
/// ```
/// use brodmann::metrics::normalized_mutual_information;
///
/// assert!((normalized_mutual_information(&[0, 0, 1, 1], &[0, 0, 1, 2])? - 0.8).abs() < 1e-12);
/// # Ok::<(), brodmann::metrics::MetricsError>(())
/// ```
pub fn normalized_mutual_information(truth: &[u32], pred: &[u32]) -> Result<f64, MetricsError> {
    Ok(normalized_mutual_information_of(&Contingency::new(truth, pred)?))
}

/// [`normalized_mutual_information()`] from a table at hand.
pub fn normalized_mutual_information_of(table: &Contingency) -> f64 {
    if table.is_identical() {
        return 1.0;
    }
    let information = table.mutual_information();
    if information <= NO_INFORMATION {
        return 0.0;
    }
    (information / (0.5 * (table.class_entropy() + table.cluster_entropy()))).min(1.0)
}
