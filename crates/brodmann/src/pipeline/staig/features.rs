//! Counts to what STAIG's network sees: sparse rows, on arrays, without any container.
//!
//! | | one slice | several slices |
//! |---|---|---|
//! | genes | 3000 variable ones | 5000 variable ones of each slice, those of all slices |
//! | values | total 1e4, `log1p` | the same |
//! | scale | standard deviation 1, not centred, at most 10 | the same, slice by slice |
//!
//! Small targeted panels are given as counts: their total is no measure of depth, and their genes were chosen by hand.

use brodmann_kernels::{CsrMatrix, CsrView, Monitor};

use crate::preprocess::highly_variable_genes::{count_slices, intersect};
use crate::preprocess::{
    FilterGenesOptions, HvgFlavor, HvgOptions, HvgSelection, NormalizeTotalOptions, PreprocessError,
    ScaleOptions, Scaling, check_counts, check_finite, check_non_negative, filter_genes,
    highly_variable_genes, log1p, row_totals, scale, size_factors,
};

/// Genes selected of one slice.
pub const N_TOP_GENES: usize = 3000;
/// Genes selected of each of several slices.
pub const N_TOP_GENES_PER_SLICE: usize = 5000;
/// Panels up to this size are taken as counts: the largest of the released runs on counts has 1020 genes.
pub const PANEL_GENES: usize = 1200;
/// Total of each spot.
pub const TARGET_SUM: f64 = 1e4;
/// Standard deviations at which values are cut.
pub const MAX_VALUE: f64 = 10.0;

/// What is done to the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Counts: total, `log1p`, scale.
    Log,
    /// Logarithms already: scale.
    Logged,
    /// Counts of a small panel: nothing; with several slices, scale.
    Counts,
}

impl Values {
    /// The name in options and records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Logged => "logged",
            Self::Counts => "counts",
        }
    }

    /// By name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Log, Self::Logged, Self::Counts].into_iter().find(|v| v.name() == name)
    }
}

/// How features are made.
#[derive(Clone, Debug, PartialEq)]
pub struct StaigFeatureOptions {
    /// What is done to the values.
    pub values: Values,
    /// Variable genes to keep; `None` keeps all.
    pub n_top_genes: Option<usize>,
    /// How they are found.
    pub flavor: HvgFlavor,
    /// Total of each spot.
    pub target_sum: f64,
    /// Spots a gene must be seen in.
    pub min_cells: usize,
}

impl Default for StaigFeatureOptions {
    fn default() -> Self {
        Self {
            values: Values::Log,
            n_top_genes: Some(N_TOP_GENES),
            flavor: HvgFlavor::SeuratV3,
            target_sum: TARGET_SUM,
            min_cells: 3,
        }
    }
}

/// How counts become features, fitted once: what a saved model carries.
#[derive(Clone, Debug, PartialEq)]
pub struct StaigFeatureMap {
    /// What is done to the values.
    pub values: Values,
    /// Total of each spot.
    pub target_sum: f64,
    /// Per column of the counts: whether it counts in the total.
    pub kept: Vec<bool>,
    /// Per column of the counts: whether it is a feature; a subset of `kept`.
    pub selected: Vec<bool>,
    /// How features are scaled.
    pub scale: FeatureScale,
}

/// How features are scaled.
#[derive(Clone, Debug, PartialEq)]
pub enum FeatureScale {
    /// Not at all.
    None,
    /// By these standard deviations.
    Fixed(Vec<f64>),
    /// Each slice by its own, so that slices of different depth or platform meet.
    PerSlice,
}

/// Features of a tissue, and how they were made.
#[derive(Clone, Debug, PartialEq)]
pub struct StaigFeatures {
    /// `(n_obs, n_features)`, 0 or more.
    pub values: CsrMatrix<f32>,
    /// How they were made.
    pub map: StaigFeatureMap,
}

/// Makes STAIG's features from counts.
///
/// # Inputs
/// `counts`: `(n_obs, n_vars)`. `slices`: slice of each spot; with more than one, genes are selected and
/// values scaled slice by slice.
/// # Returns
/// Features, and the map that makes the same of other counts ([`StaigFeatureMap::encode`]).
/// # Errors
/// `NonFinite`, `Negative`, `NotCounts`, `CountsWhereLogNeeded`, `NothingLeft`, `Empty`, `ShapeMismatch`,
/// `InvalidOption`, `Interrupted`.
/// # Cost
/// About ten passes and two copies of the selected columns.
/// # Source
/// Yang et al. 2025, Methods, data preprocessing and integration of slices. Values are not centred, as in
/// the authors' code: the text centres, which would fill the matrix.
pub fn prepare(
    counts: CsrView<'_, f32>,
    slices: Option<&[u32]>,
    options: &StaigFeatureOptions,
    monitor: &dyn Monitor,
) -> Result<StaigFeatures, PreprocessError> {
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
    let n_slices = count_slices(slices);
    let selected = match options.n_top_genes {
        Some(n_top) if n_top < n_kept => {
            let map = StaigFeatureMap {
                values: options.values,
                target_sum: options.target_sum,
                kept: kept.clone(),
                selected: kept.clone(),
                scale: FeatureScale::None,
            };
            let chosen = select(counts, slices, n_top, options.flavor, &map, monitor)?;
            let mut chosen = chosen.into_iter();
            kept.iter().map(|&k| k && chosen.next().unwrap_or(false)).collect()
        }
        _ => kept.clone(),
    };
    monitor.check()?;
    let n_selected = selected.iter().filter(|s| **s).count();
    let wants_scale = options.values != Values::Counts || n_slices > 1;
    let mut map = StaigFeatureMap {
        values: options.values,
        target_sum: options.target_sum,
        kept,
        selected,
        scale: if wants_scale && n_slices > 1 { FeatureScale::PerSlice } else { FeatureScale::None },
    };
    let mut values = map.normalised(counts)?;
    if wants_scale && n_slices == 1 {
        let scaling = scale(values.view(), &SCALE)?;
        scaling.apply(&mut values)?;
        map.scale = FeatureScale::Fixed(scaling.sd);
    } else if wants_scale {
        scale_slices(&mut values, slices)?;
    }
    monitor.note(&map.in_words(n_selected, n_slices));
    Ok(StaigFeatures { values, map })
}

const SCALE: ScaleOptions = ScaleOptions { zero_center: false, max_value: Some(MAX_VALUE) };

fn check(counts: CsrView<'_, f32>, values: Values) -> Result<(), PreprocessError> {
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
    slices: Option<&[u32]>,
    n_top: usize,
    flavor: HvgFlavor,
    kept: &StaigFeatureMap,
    monitor: &dyn Monitor,
) -> Result<Vec<bool>, PreprocessError> {
    monitor.stage("highly variable genes", 0);
    // seurat_v3 reads counts; its siblings read logarithms, and so does whoever gave us logarithms.
    let on_counts = flavor == HvgFlavor::SeuratV3 && kept.values != Values::Logged;
    let matrix = if on_counts { counts.select_columns(&kept.kept) } else { kept.normalised(counts)? };
    let flavor = if on_counts || flavor != HvgFlavor::SeuratV3 { flavor } else { HvgFlavor::Seurat };
    let options = HvgOptions { flavor, selection: HvgSelection::Top(n_top), ..HvgOptions::default() };
    let mut table = highly_variable_genes(matrix.view(), slices, &options, monitor)?;
    let n_slices = count_slices(slices);
    if n_slices > 1 {
        intersect(&mut table, n_slices);
    }
    let how = if n_slices > 1 {
        format!(", {n_top} of each of {n_slices} slices, intersected")
    } else {
        String::new()
    };
    monitor.note(&format!(
        "{} of {} genes are highly variable ({}{how})",
        table.n_selected(),
        matrix.n_cols(),
        flavor.name()
    ));
    Ok(table.highly_variable)
}

/// Scales every slice by its own standard deviations.
fn scale_slices(values: &mut CsrMatrix<f32>, slices: Option<&[u32]>) -> Result<(), PreprocessError> {
    let n_obs = values.n_rows();
    let same;
    let slices = if let Some(slices) = slices {
        slices
    } else {
        same = vec![0; n_obs];
        &same
    };
    if slices.len() != n_obs {
        return Err(PreprocessError::ShapeMismatch {
            what: "the list of slices",
            found: slices.len(),
            expected: n_obs,
            per: "spot",
        });
    }
    let mut rows = std::collections::BTreeMap::<u32, Vec<usize>>::new();
    for (i, &s) in slices.iter().enumerate() {
        rows.entry(s).or_default().push(i);
    }
    let mut scalings = std::collections::BTreeMap::<u32, Scaling>::new();
    for (slice, rows) in rows {
        scalings.insert(slice, scale(values.view().select_rows(&rows).view(), &SCALE)?);
    }
    values.for_each_row_mut(|i, columns, stored| {
        let scaling = &scalings[&slices[i]];
        for (&j, v) in columns.iter().zip(stored) {
            *v = scaling.value(j as usize, f64::from(*v)) as f32;
        }
    });
    Ok(())
}

impl StaigFeatureMap {
    /// Columns of the counts it was fitted on.
    pub fn n_vars(&self) -> usize {
        self.kept.len()
    }

    /// Columns of the features.
    pub fn n_features(&self) -> usize {
        self.selected.iter().filter(|s| **s).count()
    }

    /// The map on the columns it keeps alone.
    #[must_use]
    pub fn compact(&self) -> Self {
        let selected: Vec<bool> =
            self.selected.iter().zip(&self.kept).filter(|(_, k)| **k).map(|(s, _)| *s).collect();
        Self { kept: vec![true; selected.len()], selected, ..self.clone() }
    }

    /// The features of counts with the columns the map was fitted on.
    ///
    /// # Inputs
    /// `counts`: `(n_obs, n_vars)`. `slices`: of the new spots; used where the map scales per slice.
    /// # Errors
    /// `ShapeMismatch` for other columns; `NonFinite`, `Negative`, `NotCounts`.
    /// # Cost
    /// Two copies of the selected columns.
    pub fn encode(
        &self,
        counts: CsrView<'_, f32>,
        slices: Option<&[u32]>,
    ) -> Result<CsrMatrix<f32>, PreprocessError> {
        if counts.n_cols() != self.n_vars() {
            return Err(PreprocessError::ShapeMismatch {
                what: "the list of features of the model",
                found: self.n_vars(),
                expected: counts.n_cols(),
                per: "variable",
            });
        }
        check(counts, self.values)?;
        let mut values = self.normalised(counts)?;
        match &self.scale {
            FeatureScale::None => {}
            FeatureScale::PerSlice => scale_slices(&mut values, slices)?,
            FeatureScale::Fixed(sd) => {
                let scaling = Scaling { mean: vec![0.0; sd.len()], sd: sd.clone(), options: SCALE };
                scaling.apply(&mut values)?;
            }
        }
        Ok(values)
    }

    /// The selected columns, normalised but not scaled.
    ///
    /// # Errors
    /// `ShapeMismatch`, `Empty`.
    pub(super) fn normalised(&self, counts: CsrView<'_, f32>) -> Result<CsrMatrix<f32>, PreprocessError> {
        let mut few = counts.select_columns(&self.selected);
        if self.values == Values::Log {
            let totals = row_totals(counts, Some(&self.kept));
            let options = NormalizeTotalOptions { target_sum: Some(self.target_sum) };
            let factors = size_factors(totals, &options)?.factors;
            few.for_each_row_mut(|i, _, values| {
                for v in values {
                    *v = (f64::from(*v) * factors[i]) as f32;
                }
            });
            log1p(&mut few);
        }
        Ok(few)
    }

    fn in_words(&self, n_selected: usize, n_slices: usize) -> String {
        let values = match self.values {
            Values::Log => format!("total {} per spot, log1p", self.target_sum),
            Values::Logged => "logarithms as they are".to_owned(),
            Values::Counts => "counts as they are, without normalising".to_owned(),
        };
        let scale = match self.scale {
            FeatureScale::None => String::new(),
            FeatureScale::Fixed(_) => ", scaled without centring".to_owned(),
            FeatureScale::PerSlice => format!(", scaled without centring in each of {n_slices} slices"),
        };
        format!("{n_selected} genes for the network: {values}{scale}")
    }
}

#[cfg(test)]
mod tests;
