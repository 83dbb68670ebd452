//! Drop variables that are hardly ever seen.

use brodmann_kernels::{CsrView, OptionError};
use serde::{Deserialize, Serialize};

use super::column_stats::{fold_columns, row_totals};
use super::error::PreprocessError;

/// Thresholds of [`filter_genes()`]; a gene must pass all that are set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilterGenesOptions {
    /// Spots in which the gene must be seen (value above 0).
    pub min_cells: usize,
    /// Total over all spots that the gene must reach.
    pub min_counts: Option<f64>,
}

impl Default for FilterGenesOptions {
    fn default() -> Self {
        Self { min_cells: 3, min_counts: None }
    }
}

/// Which genes pass, and the numbers this rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct FilteredGenes {
    /// One flag per gene.
    pub keep: Vec<bool>,
    /// Spots in which each gene is seen.
    pub n_cells: Vec<usize>,
    /// Total of each gene.
    pub total_counts: Vec<f64>,
}

impl FilteredGenes {
    /// Genes that pass.
    pub fn n_kept(&self) -> usize {
        self.keep.iter().filter(|k| **k).count()
    }
}

/// Marks the genes seen in at least `min_cells` spots.
///
/// # Inputs
/// `x`: `(n_obs, n_vars)` counts (or anything of 0 or more). Stored zeros do not count as seen.
/// # Returns
/// A mask with each gene's number of spots and total; no gene is removed here.
/// # Errors
/// `Option` when `min_counts` is not a finite number of 0 or more.
/// # Cost
/// One pass over the stored entries.
/// # Source
/// scanpy's `pp.filter_genes`.
///
/// # Example
///
/// ```
/// use brodmann::preprocess::{FilterGenesOptions, filter_genes};
/// use brodmann_kernels::CsrMatrix;
/// use ndarray::array;
///
/// let x = CsrMatrix::from_dense(array![[1.0f32, 0.0], [2.0, 3.0]].view());
/// let genes = filter_genes(x.view(), &FilterGenesOptions { min_cells: 2, min_counts: None })?;
/// assert_eq!(genes.keep, [true, false]);
/// assert_eq!(genes.n_cells, [2, 1]);
/// # Ok::<(), brodmann::preprocess::PreprocessError>(())
/// ```
pub fn filter_genes(
    x: CsrView<'_, f32>,
    options: &FilterGenesOptions,
) -> Result<FilteredGenes, PreprocessError> {
    if let Some(m) = options.min_counts.filter(|m| !m.is_finite() || *m < 0.0) {
        return Err(OptionError::new("min_counts", m, "a finite number of 0 or more").into());
    }
    let sums = fold_columns(x, |_, _, v| [f64::from(v), if v > 0.0 { 1.0 } else { 0.0 }]);
    let n_cells: Vec<usize> = sums.iter().map(|s| s[1] as usize).collect();
    let total_counts: Vec<f64> = sums.iter().map(|s| s[0]).collect();
    let keep = n_cells
        .iter()
        .zip(&total_counts)
        .map(|(&n, &t)| n >= options.min_cells && options.min_counts.is_none_or(|m| t >= m))
        .collect();
    Ok(FilteredGenes { keep, n_cells, total_counts })
}

/// Thresholds of [`filter_cells`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilterCellsOptions {
    /// Genes that must be seen in the spot.
    pub min_genes: usize,
    /// Total that the spot must reach.
    pub min_counts: f64,
}

/// Marks the spots with enough genes and counts.
///
/// The pipeline never calls this: a tissue with holes has another spatial graph, so spots stay unless the user
/// asks for it, and a spot without counts is kept and labelled.
///
/// # Inputs
/// `x`: `(n_obs, n_vars)` counts.
/// # Returns
/// One flag per spot.
/// # Cost
/// One pass over the stored entries.
/// # Source
/// scanpy's `pp.filter_cells`.
pub fn filter_cells(x: CsrView<'_, f32>, options: &FilterCellsOptions) -> Vec<bool> {
    row_totals(x, None)
        .into_iter()
        .enumerate()
        .map(|(i, total)| {
            let seen = x.row(i).1.iter().filter(|v| **v > 0.0).count();
            seen >= options.min_genes && total >= options.min_counts
        })
        .collect()
}
