//! Which genes differ more between spots than their mean explains?
//!
//! Between normalisation and PCA: the few thousand genes that carry structure are kept, the rest is noise.
//! `seurat` and `cell_ranger` read log-normalised values, `seurat_v3` reads raw counts. With several slices each
//! is judged on its own and the verdicts are combined, so that a difference between slices is not mistaken for
//! structure within them.
//!
//! * [`highly_variable_genes()`]: the three flavours behind one call, one slice or many.
//! * [mod@seurat]: dispersion, standardised within 20 bins of the mean.
//! * [mod@cell_ranger]: dispersion, standardised by median and MAD within 20 quantile bins.
//! * [mod@seurat_v3]: variance of counts standardised by a LOESS fit of variance on mean.
//! * [`intersect_highly_variable`]: genes selected in every slice, for integration.

pub mod cell_ranger;
mod dispersion;
mod loess;
pub mod seurat;
pub mod seurat_v3;
#[cfg(test)]
mod tests;

use brodmann_kernels::{CsrView, Monitor, OptionError, Slices};
use serde::{Deserialize, Serialize};

use super::column_stats::slices_of;
use super::error::PreprocessError;
use super::rows::RowSource;
use super::survey::{CountColumn, survey};

/// How variability is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HvgFlavor {
    /// Binned dispersion of log-normalised data (Satija et al. 2015).
    Seurat,
    /// Binned dispersion with robust statistics, log-normalised data (Zheng et al. 2017).
    CellRanger,
    /// Variance-stabilising transformation of raw counts (Stuart et al. 2019).
    #[default]
    SeuratV3,
}

impl HvgFlavor {
    /// scanpy's name of the flavour.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seurat => "seurat",
            Self::CellRanger => "cell_ranger",
            Self::SeuratV3 => "seurat_v3",
        }
    }
}

impl std::str::FromStr for HvgFlavor {
    type Err = PreprocessError;

    fn from_str(s: &str) -> Result<Self, PreprocessError> {
        match s {
            "seurat" => Ok(Self::Seurat),
            "cell_ranger" => Ok(Self::CellRanger),
            "seurat_v3" => Ok(Self::SeuratV3),
            _ => Err(OptionError::new("flavor", s, "one of seurat, cell_ranger, seurat_v3").into()),
        }
    }
}

/// Which genes are taken once they are measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HvgSelection {
    /// The `n` most variable; all genes with a score when there are fewer.
    Top(usize),
    /// Those strictly within the bounds, on the flavour's own scale; not for `seurat_v3`.
    Cutoff {
        /// Smallest mean.
        min_mean: f64,
        /// Largest mean.
        max_mean: f64,
        /// Smallest standardised dispersion.
        min_disp: f64,
        /// Largest standardised dispersion.
        max_disp: f64,
    },
}

impl HvgSelection {
    /// scanpy's default bounds.
    pub const DEFAULT_CUTOFF: Self =
        Self::Cutoff { min_mean: 0.0125, max_mean: 3.0, min_disp: 0.5, max_disp: f64::INFINITY };
}

/// Options of [`highly_variable_genes()`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HvgOptions {
    /// How variability is measured.
    pub flavor: HvgFlavor,
    /// Which genes are taken.
    pub selection: HvgSelection,
    /// Bins of the mean; `seurat` only.
    pub n_bins: usize,
    /// Share of genes in each local fit; `seurat_v3` only.
    pub span: f64,
}

impl Default for HvgOptions {
    fn default() -> Self {
        Self { flavor: HvgFlavor::SeuratV3, selection: HvgSelection::Top(2000), n_bins: 20, span: 0.3 }
    }
}

impl HvgOptions {
    fn validate(&self) -> Result<(), PreprocessError> {
        let invalid = |option, found: String, expected| Err(OptionError::new(option, found, expected).into());
        match self.selection {
            HvgSelection::Top(0) => return invalid("n_top_genes", "0".into(), "at least 1"),
            HvgSelection::Cutoff { .. } if self.flavor == HvgFlavor::SeuratV3 => {
                return invalid("selection", "a cutoff".into(), "a number of top genes with `seurat_v3`");
            }
            HvgSelection::Cutoff { min_mean, max_mean, min_disp, max_disp } => {
                if [min_mean, max_mean, min_disp, max_disp].iter().any(|v| v.is_nan()) {
                    return invalid("selection", "NaN".into(), "numbers as bounds");
                }
            }
            HvgSelection::Top(_) => {}
        }
        if self.n_bins == 0 {
            return invalid("n_bins", "0".into(), "at least 1");
        }
        if !(self.span > 0.0 && self.span <= 1.0) {
            return invalid("span", self.span.to_string(), "a share above 0 and at most 1");
        }
        Ok(())
    }
}

/// What was measured, one entry per gene; scanpy's columns of `var`.
#[derive(Clone, Debug, PartialEq)]
pub struct HvgTable {
    /// How variability was measured.
    pub flavor: HvgFlavor,
    /// Mean: of counts (`seurat_v3`), of logarithms (`cell_ranger`), or `ln(1 + mean)` of normalised values
    /// (`seurat`).
    pub means: Vec<f64>,
    /// Variance of counts (`seurat_v3`) or dispersion (the others; its logarithm for `seurat`).
    pub dispersions: Vec<f64>,
    /// Standardised variance or dispersion, mean over slices; NaN where it is not defined.
    pub normalized: Vec<f64>,
    /// Median rank over the slices that select the gene (`seurat_v3` only); NaN where none does.
    pub rank: Option<Vec<f64>>,
    /// Number of slices that select the gene.
    pub n_slices: Vec<u32>,
    /// The verdict.
    pub highly_variable: Vec<bool>,
}

impl HvgTable {
    /// Genes selected.
    pub fn n_selected(&self) -> usize {
        self.highly_variable.iter().filter(|h| **h).count()
    }
}

/// Measures every gene and selects the most variable.
///
/// With `slices`, each slice is measured alone. `seurat_v3` ranks genes within each slice and takes the best
/// median rank (ties: more slices, then gene order); the others take the genes that most slices select (ties:
/// higher mean standardised dispersion).
///
/// # Inputs
/// `x`: `(n_obs, n_vars)`; raw counts for `seurat_v3`, log-normalised for the others.
/// `slices`: slice of each spot, any numbers.
/// # Returns
/// One entry per gene.
/// # Errors
/// `NonFinite`, `Negative`, `NotCounts` (fractions for `seurat_v3`), `CountsWhereLogNeeded` (whole
/// numbers for the others), `ShapeMismatch`, `Option`, `Interrupted`.
/// # Cost
/// One pass over the stored entries for `seurat_v3` (two where counts must be clipped), three for the
/// others; O(n_vars) memory per slice and part.
/// # Source
/// scanpy's `pp.highly_variable_genes`; see the flavours.
///
/// # Example
///
/// ```
/// use brodmann::preprocess::{HvgOptions, HvgSelection, highly_variable_genes};
/// use brodmann_kernels::{CsrMatrix, Silent};
/// use ndarray::Array2;
///
/// // Thirty genes of like mean; gene 7 is on in every other spot, the rest hardly change.
/// let x = Array2::from_shape_fn((40, 30), |(i, j)| {
///     if j == 7 { 12.0 * (i % 2) as f32 } else { 5.0 + ((i * (j + 3)) % 3) as f32 }
/// });
/// let x = CsrMatrix::from_dense(x.view());
/// let options = HvgOptions { selection: HvgSelection::Top(1), ..Default::default() };
/// let table = highly_variable_genes(x.view(), None, &options, &Silent)?;
/// assert_eq!(table.highly_variable.iter().position(|selected| *selected), Some(7));
/// # Ok::<(), brodmann::preprocess::PreprocessError>(())
/// ```
pub fn highly_variable_genes(
    x: CsrView<'_, f32>,
    slices: Option<&Slices>,
    options: &HvgOptions,
    monitor: &dyn Monitor,
) -> Result<HvgTable, PreprocessError> {
    options.validate()?;
    if x.n_rows() == 0 || x.n_cols() == 0 {
        return Err(PreprocessError::Empty { n_obs: x.n_rows(), n_vars: x.n_cols() });
    }
    let slices = slices_of(x.n_rows(), slices)?;
    let surveyed = survey(&x, &slices, false, monitor)?;
    match options.flavor {
        HvgFlavor::SeuratV3 => surveyed.scan.check(&x, true)?,
        flavor => surveyed.scan.check_log_normalised(&x, flavor.name())?,
    }
    // As in scanpy, `seurat` looks at the values before the logarithm, `cell_ranger` at the logarithms.
    let linear = options.flavor == HvgFlavor::Seurat;
    let value = |_: usize, v: f32| if linear { f64::from(v).exp_m1() } else { f64::from(v) };
    let genes: Vec<usize> = (0..x.n_cols()).collect();
    let matrix = Matrix { source: &x, genes: &genes, slices: &slices, counts: &surveyed.columns };
    measure(&matrix, options, value, monitor)
}

/// What is measured.
pub(crate) struct Matrix<'a, E> {
    pub(crate) source: &'a dyn RowSource<Error = E>,
    /// The columns that take part, rising; the table has one entry for each.
    pub(crate) genes: &'a [usize],
    pub(crate) slices: &'a Slices,
    /// All columns of the first pass, slice by slice; `seurat_v3` rests on them.
    pub(crate) counts: &'a [Vec<CountColumn>],
}

impl<E> Matrix<'_, E> {
    /// The entries of the columns that take part.
    fn pick<T: Copy>(&self, all: &[T]) -> Vec<T> {
        self.genes.iter().map(|&j| all[j]).collect()
    }
}

/// [`highly_variable_genes()`] on input already checked; `value(row, stored)` is what the dispersion flavours
/// measure: normalised values for `seurat`, their logarithms for `cell_ranger`.
pub(crate) fn measure<E: From<PreprocessError>>(
    matrix: &Matrix<'_, E>,
    options: &HvgOptions,
    value: impl Fn(usize, f32) -> f64 + Sync + Send,
    monitor: &dyn Monitor,
) -> Result<HvgTable, E> {
    options.validate()?;
    match options.flavor {
        HvgFlavor::SeuratV3 => seurat_v3::measure(matrix, options, monitor),
        _ => dispersion::measure(matrix, options, value, monitor),
    }
}

/// How variable the genes of one slice are, where the others are elsewhere.
pub(crate) struct SliceScores {
    /// Standardised variance or dispersion.
    pub(crate) normalized: Vec<f64>,
    /// The genes that the slice selects; nobody asks with `seurat_v3`.
    pub(crate) selected: Vec<bool>,
}

/// [`measure`] of one slice of several; [`select_over_slices`] puts them together to the same verdicts.
pub(crate) fn measure_slice<E: From<PreprocessError>>(
    matrix: &Matrix<'_, E>,
    options: &HvgOptions,
    value: impl Fn(usize, f32) -> f64 + Sync + Send,
    monitor: &dyn Monitor,
) -> Result<SliceScores, E> {
    options.validate()?;
    if options.flavor == HvgFlavor::SeuratV3 {
        let normalized = seurat_v3::standardized(matrix, options.span, monitor)?.remove(0);
        return Ok(SliceScores { normalized, selected: Vec::new() });
    }
    let (normalized, selected) = dispersion::scores(matrix, options, value, monitor)?;
    Ok(SliceScores { normalized, selected })
}

/// The verdict on each gene of slices that lie apart.
pub(crate) fn select_over_slices(slices: Vec<SliceScores>, flavor: HvgFlavor, n_top: usize) -> Vec<bool> {
    if flavor == HvgFlavor::SeuratV3 {
        let scores: Vec<Vec<f64>> = slices.into_iter().map(|s| s.normalized).collect();
        return seurat_v3::ranked(&scores, n_top).highly_variable;
    }
    let scores: Vec<(Vec<f64>, Vec<bool>)> = slices.into_iter().map(|s| (s.normalized, s.selected)).collect();
    dispersion::best_of_slices(&scores, n_top)
}

/// Genes that every slice selects when each is measured alone.
///
/// Used for integration, where a gene silent in one slice cannot help to align it.
///
/// # Inputs
/// As [`highly_variable_genes()`]; `options.selection` applies to each slice.
/// # Returns
/// The table of the combined measure, its verdict replaced by the intersection.
/// # Errors
/// As [`highly_variable_genes()`].
/// # Cost
/// As [`highly_variable_genes()`].
/// # Source
/// STAIG (Yang et al. 2025), integration: 5000 genes per slice, intersected.
pub fn intersect_highly_variable(
    x: CsrView<'_, f32>,
    slices: &Slices,
    options: &HvgOptions,
    monitor: &dyn Monitor,
) -> Result<HvgTable, PreprocessError> {
    let mut table = highly_variable_genes(x, Some(slices), options, monitor)?;
    intersect(&mut table, slices_of(x.n_rows(), Some(slices))?.count());
    Ok(table)
}

/// Replaces the verdict by "selected in all `n_slices`".
pub(crate) fn intersect(table: &mut HvgTable, n_slices: usize) {
    for (hv, &n) in table.highly_variable.iter_mut().zip(&table.n_slices) {
        *hv = n as usize == n_slices;
    }
}
