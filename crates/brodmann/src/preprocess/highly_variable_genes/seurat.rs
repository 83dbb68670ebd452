//! Dispersion standardised within bins of the mean (Seurat's first recipe, "MVP").

/// Standardised dispersions, and the transformed means and dispersions they rest on.
///
/// `d = ln(variance / mean)`, `m = ln(1 + mean)`; genes are cut into `n_bins` bins of equal width in `m`, and
/// `(d − mean of the bin) / sd of the bin` (ddof 1) is returned. A gene alone in its bin gets 1. Genes without
/// dispersion (never seen, or constant) get NaN and do not enter a bin's statistics.
///
/// # Inputs
/// `mean`, `variance`: of the normalised values, per gene. `n_bins`: at least 1.
/// # Returns
/// `(m, d, standardised d)`.
/// # Cost
/// O(n_vars).
/// # Source
/// Satija et al. 2015, Nat Biotechnol 33:495; scanpy's flavour `seurat`.
pub fn seurat(mean: &[f64], variance: &[f64], n_bins: usize) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let means: Vec<f64> = mean.iter().map(|&m| floor_mean(m).ln_1p()).collect();
    let dispersions: Vec<f64> = mean
        .iter()
        .zip(variance)
        .map(|(&m, &v)| {
            let d = v / floor_mean(m);
            if d == 0.0 { f64::NAN } else { d.ln() }
        })
        .collect();
    let bin = equal_width_bins(&means, n_bins);
    let mut members: Vec<Vec<f64>> = vec![Vec::new(); n_bins];
    for (&b, &d) in bin.iter().zip(&dispersions) {
        if !d.is_nan() {
            members[b].push(d);
        }
    }
    let statistics: Vec<(f64, f64)> = members
        .iter()
        .map(|d| {
            let n = d.len() as f64;
            let average = d.iter().sum::<f64>() / n;
            if d.len() < 2 {
                // One gene: average 0 and deviation = its dispersion, so that it scores 1.
                return (0.0, average);
            }
            let squares: f64 = d.iter().map(|v| (v - average).powi(2)).sum();
            (average, (squares / (n - 1.0)).sqrt())
        })
        .collect();
    let normalized =
        bin.iter().zip(&dispersions).map(|(&b, &d)| (d - statistics[b].0) / statistics[b].1).collect();
    (means, dispersions, normalized)
}

/// The reference replaces a mean of zero, so that its ratio is 0 and not NaN.
pub(super) fn floor_mean(mean: f64) -> f64 {
    if mean == 0.0 { 1e-12 } else { mean }
}

/// Bins of equal width over the range, each closed on its right, the first on both sides.
fn equal_width_bins(values: &[f64], n_bins: usize) -> Vec<usize> {
    let (mut min, mut max) =
        values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &v| (a.min(v), b.max(v)));
    if min == max {
        let pad = if min == 0.0 { 0.001 } else { 0.001 * min.abs() };
        (min, max) = (min - pad, max + pad);
    }
    let edges: Vec<f64> = (1..=n_bins)
        .map(|k| if k == n_bins { max } else { k as f64 * ((max - min) / n_bins as f64) + min })
        .collect();
    values.iter().map(|&v| edges.partition_point(|&e| e < v).min(n_bins - 1)).collect()
}
