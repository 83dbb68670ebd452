//! Adjusted mutual information.

use brodmann_kernels::ParallelLoop;
use rayon::prelude::*;

use super::{Contingency, MetricsError};

/// Terms below this share of the largest are left out of the expectation.
const NEGLIGIBLE: f64 = 1e-25;

/// Adjusted mutual information, arithmetic mean: mutual information corrected for chance.
///
/// `AMI = (I − E[I]) / ((H(T) + H(P))/2 − E[I])`, the expectation over random partitions with the same cluster
/// sizes: 1 for identical partitions, 0 expected at random.
///
/// # Inputs
/// `truth`, `pred`: one label per observation.
/// # Errors
/// [`MetricsError::LengthMismatch`], [`MetricsError::Empty`].
/// # Cost
/// O(n log n) for the table, then O(√(aᵢbⱼ/n)) for each pair of *distinct* cluster sizes.
/// # Source
/// Vinh, Epps & Bailey 2010, JMLR 11:2837.
///
/// # Example
///
/// ```
/// use brodmann::metrics::adjusted_mutual_information;
///
/// // Less than chance.
/// assert!((adjusted_mutual_information(&[0, 0, 1, 1], &[0, 1, 0, 1])? + 0.5).abs() < 1e-12);
/// # Ok::<(), brodmann::metrics::MetricsError>(())
/// ```
pub fn adjusted_mutual_information(truth: &[u32], pred: &[u32]) -> Result<f64, MetricsError> {
    Ok(adjusted_mutual_information_of(&Contingency::new(truth, pred)?))
}

/// [`adjusted_mutual_information()`] from a table at hand.
pub fn adjusted_mutual_information_of(table: &Contingency) -> f64 {
    // Also where the formula is 0/0: one cluster against one cluster, singletons against singletons.
    if table.is_identical() {
        return 1.0;
    }
    let expected = expected_mutual_information(table);
    let ceiling = 0.5 * (table.class_entropy() + table.cluster_entropy());
    let range = ceiling - expected;
    let gain = table.mutual_information() - expected;
    // Round-off over round-off: one side carries no information (one cluster, or only singletons).
    if gain.abs() <= 1e-14 * ceiling.max(1.0) {
        return 0.0;
    }
    gain / if range < 0.0 { range.min(-f64::EPSILON) } else { range.max(f64::EPSILON) }
}

/// Expected mutual information of random partitions with the cluster sizes of `table`, in nats.
pub fn expected_mutual_information(table: &Contingency) -> f64 {
    let (rows, columns) = (multiplicities(&table.class_sizes), multiplicities(&table.cluster_sizes));
    let pairs: Vec<(u64, u64, f64)> = rows
        .iter()
        .flat_map(|&(a, times_a)| columns.iter().map(move |&(b, times_b)| (a, b, times_a * times_b)))
        .collect();
    // Fixed chunks, added in order: the same bits on any number of threads.
    let parts: Vec<f64> = pairs
        .par_chunks(64)
        .map(|chunk| chunk.iter().map(|&(a, b, times)| times * expected_cell(a, b, table.n_obs)).sum())
        .collect_vec();
    parts.iter().sum()
}

/// Distinct sizes and how often each occurs: at most √(2n) of them.
fn multiplicities(sizes: &[u64]) -> Vec<(u64, f64)> {
    let mut sorted = sizes.to_vec();
    sorted.sort_unstable();
    sorted.chunk_by(|x, y| x == y).map(|run| (run[0], run.len() as f64)).collect()
}

/// `E[(X/n) ln(n X / (a b))]` for `X ~ Hypergeometric(n, a, b)`.
///
/// Walks the distribution outwards from its mode by the ratio of neighbouring probabilities and divides by the
/// sum walked, so no factorial is needed: `ln n!` loses about nine digits at a million observations.
fn expected_cell(a: u64, b: u64, n: u64) -> f64 {
    let (low, high) = ((a + b).saturating_sub(n), a.min(b));
    // (a+1)(b+1) fits: both are below 2^32 for any data that fits in memory; u128 makes it certain.
    let mode = (u128::from(a + 1) * u128::from(b + 1) / u128::from(n + 2)) as u64;
    let mode = mode.clamp(low, high);
    let (af, bf, nf) = (a as f64, b as f64, n as f64);
    let rest = nf - af - bf;
    let information = |x: f64| if x > 0.0 { x * ((x / af).ln() - (bf / nf).ln()) } else { 0.0 };
    let (mut total, mut sum) = (1.0, information(mode as f64));
    let mut weight = 1.0;
    for x in mode..high {
        let x = x as f64;
        weight *= (af - x) * (bf - x) / ((x + 1.0) * (rest + x + 1.0));
        if weight < NEGLIGIBLE {
            break;
        }
        total += weight;
        sum += weight * information(x + 1.0);
    }
    weight = 1.0;
    for x in (low..mode).rev() {
        let above = x as f64 + 1.0;
        weight *= above * (rest + above) / ((af - above + 1.0) * (bf - above + 1.0));
        if weight < NEGLIGIBLE {
            break;
        }
        total += weight;
        sum += weight * information(x as f64);
    }
    sum / (total * nf)
}
