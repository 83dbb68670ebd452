//! Fitting the map that leaves the selected columns as they are, sparse: normalised perhaps, scaled without centring.
//!
//! | | one slice | several slices |
//! |---|---|---|
//! | genes | variable ones | variable ones of each slice, those of all slices |
//! | values | total, `log1p` | the same |
//! | scale | standard deviation 1, not centred, at most 10 | the same, slice by slice |
//!
//! Small targeted panels are given as counts: their total is no measure of depth, and their genes were chosen by hand.

use brodmann_kernels::{CsrMatrix, CsrView, Monitor, OptionError, Seed, Slices};
use serde::{Deserialize, Serialize};

use super::{FeatureMap, FeatureScale, Projection, Values};
use crate::preprocess::column_stats::slices_of;
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
                select(counts, &by_slice, n_top, options, &all, monitor)?
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

/// Which kept genes one slice of several has to offer: the features rest on those that every slice selects.
///
/// # Inputs
/// `counts`: of the slice alone. `kept`: genes that all slices together are seen in often enough.
/// # Returns
/// One entry per kept gene.
/// # Errors
/// As [`FeatureMap::fit_on`]; `Option` for a selection that looks at all slices at once.
pub fn selected_by_slice(
    counts: CsrView<'_, f32>,
    kept: &[bool],
    options: &ScaledOptions,
    monitor: &dyn Monitor,
) -> Result<Vec<bool>, PreprocessError> {
    check(counts, options.values)?;
    let n_kept = kept.iter().filter(|k| **k).count();
    let Some(n_top) = options.n_top_genes.filter(|n| *n < n_kept) else { return Ok(vec![true; n_kept]) };
    if options.select.reads_expression() {
        let expected = "hvg or mvp, which judge each slice by itself,";
        return Err(OptionError::new("select", options.select.name(), expected).into());
    }
    let all = unscaled(options, kept.to_vec(), kept.to_vec());
    select(counts, &Slices::one(counts.n_rows()), n_top, options, &all, monitor)
}

/// The features of one slice of several, scaled by its own deviations, and the map they are made by.
///
/// # Errors
/// As [`FeatureMap::fit_on`].
pub fn features_of_slice(
    counts: CsrView<'_, f32>,
    (kept, selected): (&[bool], &[bool]),
    options: &ScaledOptions,
) -> Result<CsrMatrix<f32>, PreprocessError> {
    let map = map_of_slices(kept, selected, options);
    Ok(map.encode(counts, None)?.0.into_sparse())
}

/// The map of several slices with these genes.
pub fn map_of_slices(kept: &[bool], selected: &[bool], options: &ScaledOptions) -> FeatureMap {
    let mut map = unscaled(options, kept.to_vec(), selected.to_vec());
    if let Projection::Scaled { scale, .. } = &mut map.projection {
        *scale = FeatureScale::PerSlice;
    }
    map
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
    slices: &Slices,
    n_top: usize,
    of: &ScaledOptions,
    kept: &FeatureMap,
    monitor: &dyn Monitor,
) -> Result<Vec<bool>, PreprocessError> {
    monitor.stage("highly variable genes", 0);
    let n_slices = slices.count();
    if n_slices == 1 {
        let (table, n_vars, flavor) = variable(counts, None, n_top, of, kept, monitor)?;
        let n = table.n_selected();
        monitor.note(&format!("{n} of {n_vars} genes are highly variable ({})", flavor.name()));
        return Ok(table.highly_variable);
    }
    // Each slice by itself, so that the verdict is the same where it is alone.
    let mut selected: Vec<bool> = Vec::new();
    let mut flavor = of.flavor;
    for rows in slices.rows() {
        let rows: Vec<usize> = rows.iter().map(|&i| i as usize).collect();
        let (table, _, by) =
            variable(counts.select_rows(&rows).view(), None, n_top, of, kept, &Quiet(monitor))?;
        flavor = by;
        if selected.is_empty() {
            selected = table.highly_variable;
        } else {
            selected.iter_mut().zip(&table.highly_variable).for_each(|(all, own)| *all &= own);
        }
    }
    let n = selected.iter().filter(|s| **s).count();
    monitor.note(&format!(
        "{n} of {} genes are highly variable ({}, {n_top} of each of {n_slices} slices, intersected)",
        selected.len(),
        flavor.name()
    ));
    Ok(selected)
}

/// One slice of many: what is said of each would be said as often as there are slices.
pub(super) struct Quiet<'a>(pub(super) &'a dyn Monitor);

impl Monitor for Quiet<'_> {
    fn is_interrupted(&self) -> bool {
        self.0.is_interrupted()
    }
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
