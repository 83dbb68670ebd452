//! The power at which a network of genes is nearest to scale-free.

use brodmann_kernels::ParallelLoop;
use brodmann_kernels::solve::solve_positive;
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::network::{Network, raised};

/// Intervals of connectivity.
const INTERVALS: usize = 10;

/// How near the network of a power is to scale-free.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScaleFreeFit {
    /// The power.
    pub power: f64,
    /// R² of the line of log share of genes on log connectivity; NaN where all connectivities agree.
    pub r_squared: f64,
    /// Its slope.
    pub slope: f64,
    /// Adjusted R² with an exponential cut-off beside the line.
    pub truncated_r_squared: f64,
    /// Mean connectivity.
    pub mean_k: f64,
    /// Median connectivity.
    pub median_k: f64,
    /// Largest connectivity.
    pub max_k: f64,
}

impl ScaleFreeFit {
    /// R² with the sign of a falling line: 1 is scale-free, and below 0 genes of many links are the most frequent.
    pub fn index(&self) -> f64 {
        -self.slope.signum() * self.r_squared
    }
}

/// The scale-free fit of each power.
///
/// Connectivities `k_i = Σ_{j≠i} a_ij` are put into ten intervals of equal width; `log₁₀` of the share of genes in each
/// is fitted on `log₁₀` of their mean connectivity (the middle of an interval without genes).
///
/// # Inputs
/// `correlations`: `(n, n)`, symmetric. `powers`: any, above 0.
/// # Returns
/// One entry per power.
/// # Cost
/// O(n² · powers) time, O(n) memory per power.
/// # Source
/// Zhang & Horvath 2005; numbers as `pickSoftThreshold` of WGCNA 1.72.
///
/// # Example
///
/// ```
/// use brodmann::preprocess::coexpression::network::Network;
/// use brodmann::preprocess::coexpression::soft_threshold::pick_soft_threshold;
/// use ndarray::array;
///
/// let r = array![[1.0, 0.5, 0.0], [0.5, 1.0, 0.5], [0.0, 0.5, 1.0]];
/// let fit = &pick_soft_threshold(r.view(), Network::Unsigned, &[2.0])[0];
/// assert_eq!((fit.median_k, fit.max_k), (0.25, 0.5));
/// ```
pub fn pick_soft_threshold(
    correlations: ArrayView2<'_, f64>,
    network: Network,
    powers: &[f64],
) -> Vec<ScaleFreeFit> {
    let n = correlations.nrows();
    let sums = |i: usize| -> Vec<f64> {
        let mut sums = vec![0.0; powers.len()];
        for (j, &r) in correlations.row(i).iter().enumerate().filter(|(j, _)| *j != i) {
            debug_assert_ne!(i, j);
            let similarity = network.similarity(r);
            sums.iter_mut().zip(powers).for_each(|(sum, &power)| *sum += raised(similarity, power));
        }
        sums
    };
    let sums: Vec<Vec<f64>> = (0..n).into_par_iter().map(sums).collect_vec();
    let of = |(at, &power): (usize, &f64)| fit(power, sums.iter().map(|s| s[at]).collect());
    powers.iter().enumerate().map(of).collect()
}

fn fit(power: f64, mut k: Vec<f64>) -> ScaleFreeFit {
    k.sort_by(f64::total_cmp);
    let n = k.len();
    let mut found = ScaleFreeFit {
        power,
        r_squared: f64::NAN,
        slope: f64::NAN,
        truncated_r_squared: f64::NAN,
        mean_k: k.iter().sum::<f64>() / n as f64,
        median_k: if n == 0 { f64::NAN } else { f64::midpoint(k[(n - 1) / 2], k[n / 2]) },
        max_k: k.last().copied().unwrap_or(f64::NAN),
    };
    let (Some(&low), Some(&high)) = (k.first(), k.last()) else { return found };
    let range = high - low;
    if !(range > 0.0 && range.is_finite()) {
        return found;
    }
    // Closed on the right; the outer limits lie a little outside, so that the smallest is in the first.
    let limit = |b: usize| if b == INTERVALS { high + range / 1000.0 } else { at(low, range, b) };
    let mut rows = Vec::with_capacity(INTERVALS);
    let mut from = 0;
    for b in 0..INTERVALS {
        let to = from + k[from..].partition_point(|&v| v <= limit(b + 1));
        let members = &k[from..to];
        let mean = members.iter().sum::<f64>() / members.len() as f64;
        let x = if members.is_empty() || mean == 0.0 {
            f64::midpoint(at(low, range, b), at(low, range, b + 1))
        } else {
            mean
        };
        rows.push((x.log10(), (members.len() as f64 / n as f64 + 1e-9).log10()));
        from = to;
    }
    if let Some((beta, r_squared)) = least_squares(&rows, &[|_| 1.0, |x| x]) {
        (found.slope, found.r_squared) = (beta[1], r_squared);
    }
    if let Some((_, r_squared)) = least_squares(&rows, &[|_| 1.0, |x| x, |x| 10f64.powf(x)]) {
        let n = INTERVALS as f64;
        found.truncated_r_squared = 1.0 - (1.0 - r_squared) * (n - 1.0) / (n - 3.0);
    }
    found
}

fn at(low: f64, range: f64, b: usize) -> f64 {
    low + range * b as f64 / INTERVALS as f64
}

/// Coefficients and R² of `y` on some functions of `x`, the first of them 1.
fn least_squares(rows: &[(f64, f64)], terms: &[fn(f64) -> f64]) -> Option<(Vec<f64>, f64)> {
    let mean_y = rows.iter().map(|r| r.1).sum::<f64>() / rows.len() as f64;
    // Centred and scaled, so that the equations keep their digits.
    let columns: Vec<(Vec<f64>, f64)> = terms[1..]
        .iter()
        .map(|term| {
            let values: Vec<f64> = rows.iter().map(|r| term(r.0)).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let centred: Vec<f64> = values.iter().map(|v| v - mean).collect();
            let length = centred.iter().map(|v| v * v).sum::<f64>().sqrt();
            (centred.iter().map(|v| v / length).collect(), length)
        })
        .collect();
    let m = columns.len();
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(x, y)| x * y).sum() };
    let y: Vec<f64> = rows.iter().map(|r| r.1 - mean_y).collect();
    let a = Array2::from_shape_fn((m, m), |(i, j)| dot(&columns[i].0, &columns[j].0));
    let b = Array2::from_shape_fn((m, 1), |(i, _)| dot(&columns[i].0, &y));
    let beta = solve_positive(a.view(), b.view())?;
    let fitted = |row: usize| -> f64 { (0..m).map(|c| beta[[c, 0]] * columns[c].0[row]).sum() };
    let residual: f64 = y.iter().enumerate().map(|(i, v)| (v - fitted(i)).powi(2)).sum();
    let coefficients = std::iter::once(mean_y).chain((0..m).map(|c| beta[[c, 0]] / columns[c].1)).collect();
    Some((coefficients, 1.0 - residual / dot(&y, &y)))
}
