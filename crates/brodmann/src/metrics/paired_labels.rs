//! Labels side by side, and labels as dense codes.

use brodmann_kernels::ParallelLoop;
use rayon::prelude::*;

use super::MetricsError;

/// Truth and prediction of the observations that have both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairedLabels {
    /// True labels.
    pub truth: Vec<u32>,
    /// Predicted labels, same order.
    pub pred: Vec<u32>,
    /// Observations left out because their truth is missing.
    pub n_missing: usize,
}

/// Leaves out the observations without truth, and counts them.
///
/// # Inputs
/// `truth`: one optional label per observation. `pred`: one label per observation.
/// # Returns
/// The pairs in the order given; possibly none.
/// # Errors
/// [`MetricsError::LengthMismatch`] when the lengths differ.
/// # Cost
/// O(n_obs).
pub fn paired(truth: &[Option<u32>], pred: &[u32]) -> Result<PairedLabels, MetricsError> {
    same_length("pred", pred.len(), truth.len())?;
    let (truth_kept, pred_kept): (Vec<u32>, Vec<u32>) =
        truth.iter().zip(pred).filter_map(|(t, &p)| t.map(|t| (t, p))).unzip();
    let n_missing = truth.len() - truth_kept.len();
    Ok(PairedLabels { truth: truth_kept, pred: pred_kept, n_missing })
}

/// [`MetricsError::LengthMismatch`] unless `found == expected`.
pub(crate) fn same_length(what: &'static str, found: usize, expected: usize) -> Result<(), MetricsError> {
    if found == expected { Ok(()) } else { Err(MetricsError::LengthMismatch { what, found, expected }) }
}

/// Labels renumbered `0..n` in rising order of the original label.
#[derive(Clone, Debug)]
pub(crate) struct Codes {
    /// The code of each observation.
    pub of: Vec<u32>,
    /// Members of each code.
    pub counts: Vec<usize>,
}

impl Codes {
    pub(crate) fn new(labels: &[u32]) -> Self {
        let mut distinct = labels.to_vec();
        distinct.par_sort_unstable();
        distinct.dedup();
        let of: Vec<u32> =
            labels.par_iter().map(|l| distinct.partition_point(|d| d < l) as u32).collect_vec();
        let mut counts = vec![0; distinct.len()];
        for &c in &of {
            counts[c as usize] += 1;
        }
        Self { of, counts }
    }

    pub(crate) fn n(&self) -> usize {
        self.counts.len()
    }

    /// As scikit-learn: geometric scores need `2 <= n_clusters <= n_obs - 1`.
    pub(crate) fn check_count(&self) -> Result<(), MetricsError> {
        let (found, n_obs) = (self.n(), self.of.len());
        if found >= 2 && found < n_obs { Ok(()) } else { Err(MetricsError::ClusterCount { found, n_obs }) }
    }
}
