//! Fitting the map that leaves the selected columns as they are, sparse: normalised perhaps, scaled without centring.
//!
//! | | one slice | several slices |
//! |---|---|---|
//! | genes | variable ones | variable ones of each slice, those of all slices |
//! | values | total, `log1p` | the same |
//! | scale | standard deviation 1, not centred, at most 10 | the same, slice by slice |
//!
//! Small targeted panels are given as counts: their total is no measure of depth, and their genes were chosen by hand.

use brodmann_kernels::{CsrMatrix, CsrView, Monitor, Seed, Slices};
use serde::{Deserialize, Serialize};

use super::{FeatureMap, FeatureScale, Projection, Values};
use crate::preprocess::column_stats::slices_of;
use crate::preprocess::highly_variable_genes::intersect;
use crate::preprocess::select_genes::nonredundant::n_candidates;
use crate::preprocess::{
    Evidence, FilterGenesOptions, GeneSelection, HvgFlavor, HvgOptions, HvgSelection, HvgTable, Modality,
    PreprocessError, ScaleOptions, Scaling, check_counts, check_finite, check_non_negative, filter_genes,
    highly_variable_genes, scale, select_genes,
};

/// How features that stay sparse are made; the defaults are those of one slice in STAIG.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScaledOptions {
    /// What is done to the values.
    pub values: Values,
    /// Variable genes to keep; `None` keeps all.
    pub n_top_genes: Option<usize>,
    /// How they are selected.
    pub select: GeneSelection,
    /// How variability is measured.
    pub flavor: HvgFlavor,
    /// Total of each spot.
    pub target_sum: f64,
    /// Spots a gene must be seen in.
    pub min_cells: usize,
}

impl Default for ScaledOptions {
    fn default() -> Self {
        Self {
            values: Values::Log,
            n_top_genes: Some(3000),
            select: GeneSelection::Hvg,
            flavor: HvgFlavor::SeuratV3,
            target_sum: 1e4,
            min_cells: 3,
        }
    }
}

/// Fits the map and makes the features, which are at hand by then.
///
/// # Source
/// Yang et al. 2025 (STAIG), Methods, data preprocessing and integration of slices. Values are not centred, as in
/// the authors' code: the text centres, which would fill the matrix.
pub(super) fn fit(
    counts: CsrView<'_, f32>,
    slices: Option<&Slices>,
    graph: Option<CsrView<'_, f64>>,
    options: &ScaledOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<(FeatureMap, CsrMatrix<f32>), PreprocessError> {
    let (n_obs, n_vars) = (counts.n_rows(), counts.n_cols());
    if n_obs == 0 || n_vars == 0 {
        return Err(PreprocessError::Empty { n_obs, n_vars });
    }
    check(counts, options.values)?;
    let n_seen = (0..n_obs).filter(|&i| counts.row(i).1.iter().any(|v| *v > 0.0)).count();
    let min_cells = options.min_cells.min(n_seen.max(1));
    let filtered = filter_genes(counts, &FilterGenesOptions { min_cells, min_counts: None })?;
    let (n_kept, kept) = (filtered.n_kept(), filtered.keep);
    if n_kept == 0 {
        return Err(PreprocessError::NothingLeft { n_vars, n_obs, min_cells });
    }
    if n_kept < n_vars {
        monitor.note(&format!(
            "left out {} of {n_vars} genes seen in fewer than {min_cells} spots",
            n_vars - n_kept
        ));
    }
    monitor.check()?;
    let by_slice = slices_of(n_obs, slices)?;
    let n_slices = by_slice.count();
    let selected = match options.n_top_genes {
        Some(n_top) if n_top < n_kept => {
            // All kept columns, not scaled: what the selection measures.
            let all = unscaled(options, kept.clone(), kept.clone());
            let chosen = if options.select.reads_expression() {
                choose(counts, (&by_slice, graph), n_top, options, &all, seed, monitor)?
            } else {
                select(counts, slices, n_slices, n_top, options, &all, monitor)?
            };
            let mut chosen = chosen.into_iter();
            kept.iter().map(|&k| k && chosen.next().unwrap_or(false)).collect()
        }
        _ => kept.clone(),
    };
    monitor.check()?;
    let n_selected = selected.iter().filter(|s| **s).count();
    let wants_scale = options.values != Values::Counts || n_slices > 1;
    let mut map = unscaled(options, kept, selected);
    let mut values = map.normalised(counts)?;
    let scale = match (wants_scale, n_slices) {
        (false, _) => FeatureScale::None,
        (true, 1) => {
            let scaling = scale(values.view(), &SCALE)?;
            scaling.apply(&mut values)?;
            FeatureScale::Fixed(scaling.sd)
        }
        (true, _) => {
            scale_slices(&mut values, &by_slice)?;
            FeatureScale::PerSlice
        }
    };
    monitor.note(&in_words(options, &scale, n_selected, n_slices));
    if let Projection::Scaled { scale: fitted, .. } = &mut map.projection {
        *fitted = scale;
    }
    Ok((map, values))
}

fn unscaled(options: &ScaledOptions, kept: Vec<bool>, selected: Vec<bool>) -> FeatureMap {
    let projection = Projection::Scaled {
        values: options.values,
        target_sum: options.target_sum,
        scale: FeatureScale::None,
    };
    FeatureMap { kind: Modality::Rna, kept, selected, projection }
}

/// Standard deviations at which values are cut.
const MAX_VALUE: f64 = 10.0;
pub(super) const SCALE: ScaleOptions = ScaleOptions { zero_center: false, max_value: Some(MAX_VALUE) };

pub(super) fn check(counts: CsrView<'_, f32>, values: Values) -> Result<(), PreprocessError> {
    match values {
        Values::Log => check_counts(counts),
        Values::Logged => check_finite(counts),
        // Some panels come corrected for cell volume: fractions, but no logarithms.
        Values::Counts => check_non_negative(counts),
    }
}

/// The verdict on each kept gene.
fn select(
    counts: CsrView<'_, f32>,
    slices: Option<&Slices>,
    n_slices: usize,
    n_top: usize,
    of: &ScaledOptions,
    kept: &FeatureMap,
    monitor: &dyn Monitor,
) -> Result<Vec<bool>, PreprocessError> {
    monitor.stage("highly variable genes", 0);
    let (mut table, n_vars, flavor) = variable(counts, slices, n_top, of, kept, monitor)?;
    if n_slices > 1 {
        intersect(&mut table, n_slices);
    }
    let how = if n_slices > 1 {
        format!(", {n_top} of each of {n_slices} slices, intersected")
    } else {
        String::new()
    };
    monitor.note(&format!(
        "{} of {n_vars} genes are highly variable ({}{how})",
        table.n_selected(),
        flavor.name()
    ));
    Ok(table.highly_variable)
}

/// How variable each kept gene is, their number, and by which flavour.
fn variable(
    counts: CsrView<'_, f32>,
    slices: Option<&Slices>,
    n_top: usize,
    of: &ScaledOptions,
    kept: &FeatureMap,
    monitor: &dyn Monitor,
) -> Result<(HvgTable, usize, HvgFlavor), PreprocessError> {
    let wanted = if of.select == GeneSelection::Mvp { HvgFlavor::Seurat } else { of.flavor };
    // seurat_v3 reads counts; its siblings read logarithms, and so does whoever gave us logarithms.
    let on_counts = wanted == HvgFlavor::SeuratV3 && of.values != Values::Logged;
    let matrix = if on_counts { counts.select_columns(&kept.kept) } else { kept.normalised(counts)? };
    let flavor = if on_counts || wanted != HvgFlavor::SeuratV3 { wanted } else { HvgFlavor::Seurat };
    let options = HvgOptions { flavor, selection: HvgSelection::Top(n_top), ..HvgOptions::default() };
    let table = highly_variable_genes(matrix.view(), slices, &options, monitor)?;
    Ok((table, matrix.n_cols(), flavor))
}

/// The verdict on each kept gene by its values, not scaled yet.
fn choose(
    counts: CsrView<'_, f32>,
    (slices, graph): (&Slices, Option<CsrView<'_, f64>>),
    n_top: usize,
    of: &ScaledOptions,
    kept: &FeatureMap,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Vec<bool>, PreprocessError> {
    monitor.stage("selection of genes", 0);
    let variability = if of.select == GeneSelection::Nonredundant {
        let n_kept = kept.kept.iter().filter(|k| **k).count();
        let n = n_candidates(n_top).min(n_kept);
        Some(variable(counts, Some(slices), n, of, kept, monitor)?.0.normalized)
    } else {
        None
    };
    let values = kept.normalised(counts)?;
    let evidence = Evidence { graph, slices: Some(slices), variability, flavor: of.flavor };
    let mut found = select_genes(values.view(), of.select, n_top, &evidence, seed, monitor)?;
    let n = found.selected.iter().filter(|s| **s).count();
    if n == 0 {
        found.selected.fill(true);
        monitor.note(&format!("no genes are {}: all are used", of.select.in_words()));
    } else {
        monitor.note(&format!("{n} of {} genes are {}", values.n_cols(), of.select.in_words()));
    }
    Ok(found.selected)
}

/// Scales every slice by its own standard deviations.
pub(super) fn scale_slices(values: &mut CsrMatrix<f32>, slices: &Slices) -> Result<(), PreprocessError> {
    let mut scalings: Vec<Scaling> = Vec::with_capacity(slices.count());
    for rows in slices.rows() {
        let rows: Vec<usize> = rows.iter().map(|&i| i as usize).collect();
        scalings.push(scale(values.view().select_rows(&rows).view(), &SCALE)?);
    }
    values.for_each_row_mut(|i, columns, stored| {
        let scaling = &scalings[slices.of(i)];
        for (&j, v) in columns.iter().zip(stored) {
            *v = scaling.value(j as usize, f64::from(*v)) as f32;
        }
    });
    Ok(())
}

fn in_words(options: &ScaledOptions, scale: &FeatureScale, n_selected: usize, n_slices: usize) -> String {
    let values = match options.values {
        Values::Log => format!("total {} per spot, log1p", options.target_sum),
        Values::Logged => "logarithms as they are".to_owned(),
        Values::Counts => "counts as they are, without normalising".to_owned(),
    };
    let scale = match scale {
        FeatureScale::None => String::new(),
        FeatureScale::Fixed(_) => ", scaled without centring".to_owned(),
        FeatureScale::PerSlice => format!(", scaled without centring in each of {n_slices} slices"),
    };
    format!("{n_selected} genes for the network: {values}{scale}")
}
