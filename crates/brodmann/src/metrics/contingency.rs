//! The contingency table of two labelings, stored sparsely.

use brodmann_kernels::ParallelLoop;
use rayon::prelude::*;

use super::MetricsError;
use super::paired_labels::same_length;

/// How often each true class meets each predicted cluster. Everything label-based is computed from it.
///
/// Only cells that occur are stored, so two labelings of a million singletons cost O(n_obs), not O(n_obs²).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contingency {
    /// Number of observations.
    pub n_obs: u64,
    /// Size of each true class, by rising label.
    pub class_sizes: Vec<u64>,
    /// Size of each predicted cluster, by rising label.
    pub cluster_sizes: Vec<u64>,
    /// `(class, cluster, count)` of the occupied cells, rising.
    pub cells: Vec<(u32, u32, u64)>,
}

impl Contingency {
    /// Counts the pairs `(truth[i], pred[i])`.
    ///
    /// # Inputs
    /// `truth`, `pred`: one label per observation; any `u32` values.
    /// # Errors
    /// [`MetricsError::LengthMismatch`]; [`MetricsError::Empty`] without observations.
    /// # Cost
    /// O(n log n) time for the sort, O(n) memory.
    pub fn new(truth: &[u32], pred: &[u32]) -> Result<Self, MetricsError> {
        same_length("pred", pred.len(), truth.len())?;
        if truth.is_empty() {
            return Err(MetricsError::Empty);
        }
        let mut pairs: Vec<u64> =
            truth.par_iter().zip(pred).map(|(&t, &p)| (u64::from(t) << 32) | u64::from(p)).collect_vec();
        pairs.par_sort_unstable();
        let mut runs: Vec<(u32, u32, u64)> = Vec::new();
        for run in pairs.chunk_by(|a, b| a == b) {
            runs.push(((run[0] >> 32) as u32, run[0] as u32, run.len() as u64));
        }
        let (class_of, class_sizes) = renumber(runs.iter().map(|r| (r.0, r.2)));
        let (cluster_of, cluster_sizes) = renumber(runs.iter().map(|r| (r.1, r.2)));
        let cells =
            runs.iter().zip(class_of.iter().zip(&cluster_of)).map(|(r, (&i, &j))| (i, j, r.2)).collect();
        Ok(Self { n_obs: truth.len() as u64, class_sizes, cluster_sizes, cells })
    }

    /// The two labelings are the same up to the names.
    pub fn is_identical(&self) -> bool {
        self.cells.len() == self.class_sizes.len() && self.cells.len() == self.cluster_sizes.len()
    }

    /// Entropy of the true classes, in nats.
    pub fn class_entropy(&self) -> f64 {
        entropy(&self.class_sizes, self.n_obs)
    }

    /// Entropy of the predicted clusters, in nats.
    pub fn cluster_entropy(&self) -> f64 {
        entropy(&self.cluster_sizes, self.n_obs)
    }

    /// Mutual information `Σᵢⱼ (nᵢⱼ/n) ln(n nᵢⱼ / (aᵢ bⱼ))`, in nats, never negative.
    pub fn mutual_information(&self) -> f64 {
        let n = self.n_obs as f64;
        let sum: f64 = self
            .cells
            .iter()
            .map(|&(i, j, count)| {
                let (a, b) = (self.class_sizes[i as usize] as f64, self.cluster_sizes[j as usize] as f64);
                let count = count as f64;
                // The two ratios stay near 1, where one logarithm of a huge product would lose digits.
                count / n * ((count / a).ln() - (b / n).ln())
            })
            .sum();
        sum.max(0.0)
    }
}

/// Codes by rising label, and the total weight of each.
fn renumber(labels: impl Iterator<Item = (u32, u64)> + Clone) -> (Vec<u32>, Vec<u64>) {
    let mut distinct: Vec<u32> = labels.clone().map(|l| l.0).collect();
    distinct.sort_unstable();
    distinct.dedup();
    let codes: Vec<u32> = labels.clone().map(|(l, _)| distinct.partition_point(|&d| d < l) as u32).collect();
    let mut totals = vec![0; distinct.len()];
    for (&code, (_, weight)) in codes.iter().zip(labels) {
        totals[code as usize] += weight;
    }
    (codes, totals)
}

fn entropy(sizes: &[u64], n_obs: u64) -> f64 {
    let n = n_obs as f64;
    // `0.0 -` rather than negation: one class has entropy 0, not -0.
    0.0 - sizes.iter().map(|&s| s as f64 / n).map(|p| p * p.ln()).sum::<f64>()
}
