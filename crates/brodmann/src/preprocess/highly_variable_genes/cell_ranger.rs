//! Dispersion standardised by median and MAD within quantile bins of the mean (Cell Ranger's recipe).

use super::seurat::floor_mean;

/// 0.75 quantile of the standard normal: makes the MAD an estimate of the standard deviation.
const MAD_TO_SD: f64 = 0.674_489_750_196_081_7;

/// Standardised dispersions, and the means and dispersions they rest on.
///
/// `d = variance / mean`; genes are cut at the 10th, 15th, …, 100th percentile of the mean, and
/// `(d − median of the bin) / MAD of the bin` is returned, the MAD scaled to the standard deviation of a normal
/// distribution.
///
/// # Inputs
/// `mean`, `variance`: of the log-normalised values, per gene.
/// # Returns
/// `(means, d, standardised d)`; NaN or infinite where a bin's MAD is 0.
/// # Cost
/// O(n_vars log n_vars).
/// # Source
/// Zheng et al. 2017, Nat Commun 8:14049; scanpy's flavour `cell_ranger`.
pub fn cell_ranger(mean: &[f64], variance: &[f64]) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let means: Vec<f64> = mean.iter().map(|&m| floor_mean(m)).collect();
    let dispersions: Vec<f64> = means.iter().zip(variance).map(|(m, v)| v / m).collect();
    let mut sorted = means.clone();
    sorted.sort_by(f64::total_cmp);
    let edges: Vec<f64> = (2..=20).map(|k| percentile(&sorted, f64::from(5 * k))).collect();
    // Closed on the right: a gene on an edge belongs to the bin below it.
    let bin: Vec<usize> = means.iter().map(|&m| edges.partition_point(|&e| e < m)).collect();
    let mut members: Vec<Vec<f64>> = vec![Vec::new(); edges.len() + 1];
    for (&b, &d) in bin.iter().zip(&dispersions) {
        members[b].push(d);
    }
    let statistics: Vec<(f64, f64)> = members
        .into_iter()
        .map(|mut d| {
            let center = median(&mut d);
            let mut distance: Vec<f64> = d.iter().map(|v| (v - center).abs()).collect();
            (center, median(&mut distance) / MAD_TO_SD)
        })
        .collect();
    let normalized =
        bin.iter().zip(&dispersions).map(|(&b, &d)| (d - statistics[b].0) / statistics[b].1).collect();
    (means, dispersions, normalized)
}

/// Percentile with linear interpolation between ranks.
fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let at = percent / 100.0 * (sorted.len() - 1) as f64;
    let below = at.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let t = at - below as f64;
    let step = sorted[above] - sorted[below];
    // Interpolated from the nearer end, as the reference does, so that edges that coincide with a mean do so exactly.
    if t >= 0.5 { sorted[above] - step * (1.0 - t) } else { sorted[below] + step * t }
}

fn median(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}
