//! Adjusted Rand index.

use super::{Contingency, MetricsError};

/// Adjusted Rand index: agreement of two partitions on pairs of observations, corrected for chance.
///
/// With `tp, tn, fp, fn` counted over pairs, `ARI = 2 (tp·tn − fn·fp) / ((tp+fn)(fn+tn) + (tp+fp)(fp+tn))`:
/// 1 for identical partitions, 0 expected at random, −0.5 at worst.
///
/// # Inputs
/// `truth`, `pred`: one label per observation; the names of labels do not matter.
/// # Errors
/// [`MetricsError::LengthMismatch`], [`MetricsError::Empty`].
/// # Cost
/// O(n log n).
/// # Source
/// Hubert & Arabie 1985, J. Classif. 2:193.
///
/// # Example
///
/// ```
/// use brodmann::metrics::adjusted_rand_index;
///
/// assert!((adjusted_rand_index(&[0, 0, 1, 1], &[0, 0, 1, 2])? - 4.0 / 7.0).abs() < 1e-12);
/// // The names of labels do not matter.
/// assert_eq!(adjusted_rand_index(&[0, 0, 1, 1], &[5, 5, 3, 3])?, 1.0);
/// # Ok::<(), brodmann::metrics::MetricsError>(())
/// ```
pub fn adjusted_rand_index(truth: &[u32], pred: &[u32]) -> Result<f64, MetricsError> {
    Ok(adjusted_rand_index_of(&Contingency::new(truth, pred)?))
}

/// [`adjusted_rand_index()`] from a table at hand.
pub fn adjusted_rand_index_of(table: &Contingency) -> f64 {
    // Ordered pairs in i128: products of pair counts pass 2^64 beyond some 10^5 observations.
    let pairs = |n: u64| i128::from(n) * (i128::from(n) - 1);
    let together: i128 = table.cells.iter().map(|c| pairs(c.2)).sum();
    let same_class: i128 = table.class_sizes.iter().map(|&s| pairs(s)).sum();
    let same_cluster: i128 = table.cluster_sizes.iter().map(|&s| pairs(s)).sum();
    let (tp, fn_, fp) = (together, same_class - together, same_cluster - together);
    let tn = pairs(table.n_obs) - same_class - same_cluster + together;
    if fn_ == 0 && fp == 0 {
        return 1.0;
    }
    // Exact while products of pair counts fit; beyond, the round-off of f64 is far below any effect.
    if table.n_obs < 1 << 31 {
        let numerator = tp * tn - fn_ * fp;
        let denominator = (tp + fn_) * (fn_ + tn) + (tp + fp) * (fp + tn);
        return 2.0 * numerator as f64 / denominator as f64;
    }
    let (tp, fn_, fp, tn) = (tp as f64, fn_ as f64, fp as f64, tn as f64);
    2.0 * (tp * tn - fn_ * fp) / ((tp + fn_) * (fn_ + tn) + (tp + fp) * (fp + tn))
}
