//! What the two dispersion flavours share: moments per slice, selection, combination over slices.

use brodmann_kernels::Monitor;

use super::cell_ranger::cell_ranger;
use super::seurat::seurat;
use super::{HvgFlavor, HvgOptions, HvgSelection, HvgTable, Matrix};
use crate::preprocess::column_stats::moments_of;
use crate::preprocess::error::PreprocessError;

/// One slice: means, dispersions, standardised dispersions, verdicts.
struct Measured {
    means: Vec<f64>,
    dispersions: Vec<f64>,
    normalized: Vec<f64>,
    selected: Vec<bool>,
}

pub(super) fn measure<E: From<PreprocessError>>(
    matrix: &Matrix<'_, E>,
    options: &HvgOptions,
    value: impl Fn(usize, f32) -> f64 + Sync + Send,
    monitor: &dyn Monitor,
) -> Result<HvgTable, E> {
    let all = moments_of(matrix.source, matrix.slices, |i, _, v| value(i, v), monitor)?;
    let several = all.len() > 1;
    let mut slices: Vec<Measured> = all
        .iter()
        .map(|m| one_slice(&matrix.pick(&m.mean), &matrix.pick(&m.variance), options, several))
        .collect();
    let n_vars = matrix.genes.len();
    let n_slices: Vec<u32> =
        (0..n_vars).map(|j| slices.iter().map(|s| u32::from(s.selected[j])).sum()).collect();
    if let [only] = &mut slices[..] {
        return Ok(HvgTable {
            flavor: options.flavor,
            means: std::mem::take(&mut only.means),
            dispersions: std::mem::take(&mut only.dispersions),
            normalized: std::mem::take(&mut only.normalized),
            rank: None,
            n_slices,
            highly_variable: std::mem::take(&mut only.selected),
        });
    }
    let mean_over = |f: fn(&Measured) -> &Vec<f64>| -> Vec<f64> {
        (0..n_vars).map(|j| mean_of_defined(slices.iter().map(|s| f(s)[j]))).collect()
    };
    let means = mean_over(|s| &s.means);
    let dispersions = mean_over(|s| &s.dispersions);
    let normalized = mean_over(|s| &s.normalized);
    let highly_variable = match options.selection {
        HvgSelection::Top(n_top) => best(&normalized, &n_slices, n_top),
        HvgSelection::Cutoff { .. } => within(&means, &normalized, options.selection),
    };
    Ok(HvgTable {
        flavor: options.flavor,
        means,
        dispersions,
        normalized,
        rank: None,
        n_slices,
        highly_variable,
    })
}

/// The genes that most slices select, by their mean score among equals.
fn best(normalized: &[f64], n_slices: &[u32], n_top: usize) -> Vec<bool> {
    let mut order: Vec<usize> = (0..normalized.len()).collect();
    let score = |j: usize| if normalized[j].is_nan() { f64::NEG_INFINITY } else { normalized[j] };
    order.sort_by(|&a, &b| n_slices[b].cmp(&n_slices[a]).then(score(b).total_cmp(&score(a))));
    let mut selected = vec![false; normalized.len()];
    order.iter().take(n_top).for_each(|&j| selected[j] = true);
    selected
}

/// One slice of several, where it is alone: scores, and the genes it selects.
pub(super) fn scores<E: From<PreprocessError>>(
    matrix: &Matrix<'_, E>,
    options: &HvgOptions,
    value: impl Fn(usize, f32) -> f64 + Sync + Send,
    monitor: &dyn Monitor,
) -> Result<(Vec<f64>, Vec<bool>), E> {
    let moments = moments_of(matrix.source, matrix.slices, |i, _, v| value(i, v), monitor)?.remove(0);
    let found = one_slice(&matrix.pick(&moments.mean), &matrix.pick(&moments.variance), options, true);
    Ok((found.normalized, found.selected))
}

/// The best genes of slices that have each been measured by [`scores`].
pub(super) fn best_of_slices(slices: &[(Vec<f64>, Vec<bool>)], n_top: usize) -> Vec<bool> {
    let n_vars = slices.first().map_or(0, |s| s.0.len());
    let n_slices: Vec<u32> = (0..n_vars).map(|j| slices.iter().map(|s| u32::from(s.1[j])).sum()).collect();
    let normalized: Vec<f64> = (0..n_vars).map(|j| mean_of_defined(slices.iter().map(|s| s.0[j]))).collect();
    best(&normalized, &n_slices, n_top)
}

/// Measures one slice. Of several slices, genes unseen in this one are left out of the bins and score 0.
fn one_slice(mean: &[f64], variance: &[f64], options: &HvgOptions, drop_unseen: bool) -> Measured {
    let kept: Vec<usize> = (0..mean.len()).filter(|&j| !drop_unseen || mean[j] > 0.0).collect();
    let pick = |v: &[f64]| kept.iter().map(|&j| v[j]).collect::<Vec<f64>>();
    let (kept_mean, kept_variance) = (pick(mean), pick(variance));
    let (means, dispersions, normalized) = if kept.is_empty() {
        (Vec::new(), Vec::new(), Vec::new())
    } else if options.flavor == HvgFlavor::Seurat {
        seurat(&kept_mean, &kept_variance, options.n_bins)
    } else {
        cell_ranger(&kept_mean, &kept_variance)
    };
    let selected = match options.selection {
        HvgSelection::Top(n_top) => top(&normalized, n_top),
        HvgSelection::Cutoff { .. } => within(&means, &normalized, options.selection),
    };
    let spread = |v: &[f64]| {
        let mut full = vec![0.0; mean.len()];
        kept.iter().zip(v).for_each(|(&j, &v)| full[j] = v);
        full
    };
    let mut full_selected = vec![false; mean.len()];
    kept.iter().zip(&selected).for_each(|(&j, &s)| full_selected[j] = s);
    Measured {
        means: spread(&means),
        dispersions: spread(&dispersions),
        normalized: spread(&normalized),
        selected: full_selected,
    }
}

/// Genes at or above the `n`-th highest score; ties at the edge are all taken, as in the reference.
fn top(normalized: &[f64], n: usize) -> Vec<bool> {
    let mut sorted: Vec<f64> = normalized.iter().copied().filter(|v| !v.is_nan()).collect();
    if sorted.is_empty() {
        return vec![false; normalized.len()];
    }
    sorted.sort_by(|a, b| b.total_cmp(a));
    let edge = sorted[n.min(sorted.len()) - 1];
    normalized.iter().map(|&v| v >= edge).collect()
}

fn within(means: &[f64], normalized: &[f64], selection: HvgSelection) -> Vec<bool> {
    let HvgSelection::Cutoff { min_mean, max_mean, min_disp, max_disp } = selection else {
        return vec![false; means.len()];
    };
    means
        .iter()
        .zip(normalized)
        .map(|(&m, &d)| {
            let d = if d.is_nan() { 0.0 } else { d };
            m > min_mean && m < max_mean && d > min_disp && d < max_disp
        })
        .collect()
}

fn mean_of_defined(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.filter(|v| !v.is_nan()).fold((0.0, 0.0), |(s, n), v| (s + v, n + 1.0));
    sum / n
}
