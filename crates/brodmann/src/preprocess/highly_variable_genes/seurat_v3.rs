//! Variance of standardised counts, the variance expected from the mean removed (VST).

use brodmann_kernels::{CsrView, Monitor};

use super::loess::loess_quadratic;
use super::{HvgOptions, HvgSelection, HvgTable};
use crate::preprocess::column_stats::{ColumnMoments, fold_columns, moments_by};
use crate::preprocess::error::PreprocessError;

/// Variance of the counts of each gene after standardising and clipping them.
///
/// 1. LOESS (degree 2) of `log10 variance` on `log10 mean` over the genes that vary gives the expected standard
///    deviation `s_j` (1 for constant genes).
/// 2. Counts are clipped at `mean_j + s_j √n`.
/// 3. `Σ_i (x_ij − mean_j)² / ((n − 1) s_j²)`, with `mean_j` of the counts before clipping.
///
/// # Inputs    `x`: `(n_obs, n_vars)` raw counts. `rows`: the spots of one slice (all with `None`).
///   `span`: share of genes in each local fit.
/// # Returns   The moments of the counts and the standardised variance.
/// # Cost      Three passes over the stored entries.
/// # Source    Stuart et al. 2019, Cell 177:1888; scanpy's flavour `seurat_v3`.
/// # Differences    Where the local fits are underdetermined (few spots) the reference stops; we fit a line or
///   a mean there.
pub fn standardized_variance(
    x: CsrView<'_, f32>,
    rows: Option<&[usize]>,
    span: f64,
) -> (ColumnMoments, Vec<f64>) {
    let n = rows.map_or(x.n_rows(), <[usize]>::len) as f64;
    let moments = moments_by(x, rows, |_, _, v| f64::from(v));
    let varying: Vec<usize> = (0..x.n_cols()).filter(|&j| moments.variance[j] > 0.0).collect();
    let log_of = |v: &[f64]| varying.iter().map(|&j| v[j].log10()).collect::<Vec<f64>>();
    let fitted = loess_quadratic(&log_of(&moments.mean), &log_of(&moments.variance), span);
    let mut sd = vec![1.0; x.n_cols()];
    varying.iter().zip(&fitted).for_each(|(&j, &f)| sd[j] = 10f64.powf(f).sqrt());
    let clip: Vec<f64> = sd.iter().zip(&moments.mean).map(|(s, m)| s * n.sqrt() + m).collect();
    let sums = fold_columns(x, rows, |_, j, v| {
        let v = f64::from(v).min(clip[j]);
        [v, v * v]
    });
    let standardized = (0..x.n_cols())
        .map(|j| {
            let (m, s) = (moments.mean[j], sd[j]);
            if n < 2.0 || moments.variance[j] == 0.0 {
                return 0.0;
            }
            (n * m * m + sums[j][1] - 2.0 * sums[j][0] * m) / ((n - 1.0) * s * s)
        })
        .collect();
    (moments, standardized)
}

pub(super) fn measure(
    x: CsrView<'_, f32>,
    groups: &[Option<Vec<usize>>],
    options: &HvgOptions,
    monitor: &dyn Monitor,
) -> Result<HvgTable, PreprocessError> {
    let n_vars = x.n_cols();
    let HvgSelection::Top(n_top) = options.selection else {
        return Err(PreprocessError::InvalidOption {
            option: "selection",
            found: "a cutoff".into(),
            expected: "a number of top genes with `seurat_v3`",
        });
    };
    let mut normalized = vec![0.0; n_vars];
    let mut ranks: Vec<Vec<u32>> = vec![Vec::new(); n_vars];
    let mut overall = None;
    for rows in groups {
        monitor.check()?;
        let (moments, standardized) = standardized_variance(x, rows.as_deref(), options.span);
        let mut order: Vec<usize> = (0..n_vars).collect();
        // Stable: equal variances keep the genes' order.
        order.sort_by(|&a, &b| standardized[b].total_cmp(&standardized[a]));
        for (rank, &j) in order.iter().take(n_top).enumerate() {
            ranks[j].push(rank as u32);
        }
        normalized.iter_mut().zip(&standardized).for_each(|(t, s)| *t += s / groups.len() as f64);
        overall = rows.is_none().then_some(moments);
    }
    let moments = overall.unwrap_or_else(|| moments_by(x, None, |_, _, v| f64::from(v)));
    let n_slices: Vec<u32> = ranks.iter().map(|r| r.len() as u32).collect();
    let rank: Vec<f64> = ranks.iter_mut().map(|r| median_rank(r)).collect();
    let mut order: Vec<usize> = (0..n_vars).collect();
    // NaN sorts last under the total order of positive NaN.
    order.sort_by(|&a, &b| rank[a].total_cmp(&rank[b]).then(n_slices[b].cmp(&n_slices[a])));
    let mut highly_variable = vec![false; n_vars];
    order.iter().take(n_top).for_each(|&j| highly_variable[j] = true);
    Ok(HvgTable {
        flavor: options.flavor,
        means: moments.mean,
        dispersions: moments.variance,
        normalized,
        rank: Some(rank),
        n_slices,
        highly_variable,
    })
}

fn median_rank(ranks: &mut [u32]) -> f64 {
    if ranks.is_empty() {
        return f64::NAN;
    }
    ranks.sort_unstable();
    let middle = ranks.len() / 2;
    if ranks.len() % 2 == 1 {
        f64::from(ranks[middle])
    } else {
        f64::midpoint(f64::from(ranks[middle - 1]), f64::from(ranks[middle]))
    }
}
