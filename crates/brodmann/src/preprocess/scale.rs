//! Give every gene the same weight: unit variance, with or without centring.
//!
//! Centring turns every zero into `−mean/sd` and so would fill the matrix. [`Scaling`] therefore only *describes*
//! the scaled matrix; [`pca`](super::pca()) works on the sparse one through it, and [`Scaling::to_dense`] writes
//! it out where it is small enough.

use brodmann_kernels::{CsrMatrix, CsrView, OptionError, ParallelLoop, Slices};
use ndarray::Array2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::column_stats::{ColumnMoments, column_moments, moments_by_slice};
use super::error::PreprocessError;

/// Options of [`scale()`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScaleOptions {
    /// Subtract the mean first. `false` keeps zeros zero (STAIG).
    pub zero_center: bool,
    /// Clip at this many standard deviations: both sides when centred, above only otherwise.
    pub max_value: Option<f64>,
}

impl Default for ScaleOptions {
    fn default() -> Self {
        Self { zero_center: true, max_value: Some(10.0) }
    }
}

impl ScaleOptions {
    fn validate(&self) -> Result<(), PreprocessError> {
        match self.max_value.filter(|m| m.is_nan() || *m <= 0.0) {
            Some(m) => Err(OptionError::new("max_value", m, "a positive number").into()),
            None => Ok(()),
        }
    }
}

/// How each column is scaled: `z = clip((x − mean) / sd)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    /// Mean of each column.
    pub mean: Vec<f64>,
    /// Standard deviation (ddof 1) of each column; 1 for constant columns.
    pub sd: Vec<f64>,
    /// The options it was made with.
    pub options: ScaleOptions,
}

/// Measures means and standard deviations; the matrix is left as it is.
///
/// # Inputs
/// `x`: `(n_obs, n_vars)`, finite.
/// # Returns
/// The scaling, to be applied by [`Scaling::to_dense`], [`Scaling::apply`] or within the PCA.
/// # Errors
/// `Option` when `max_value` is not a positive number.
/// # Cost
/// Two passes over the stored entries.
/// # Source
/// scanpy's `pp.scale`.
///
/// # Example
///
/// ```
/// use brodmann::preprocess::{ScaleOptions, scale};
/// use brodmann_kernels::CsrMatrix;
/// use ndarray::array;
///
/// let x = CsrMatrix::from_dense(array![[0.0f32], [2.0], [4.0]].view());
/// let scaling = scale(x.view(), &ScaleOptions::default())?;
/// assert_eq!((scaling.mean[0], scaling.sd[0]), (2.0, 2.0));
/// assert_eq!(scaling.to_dense(x.view()), array![[-1.0], [0.0], [1.0]]);
/// # Ok::<(), brodmann::preprocess::PreprocessError>(())
/// ```
pub fn scale(x: CsrView<'_, f32>, options: &ScaleOptions) -> Result<Scaling, PreprocessError> {
    options.validate()?;
    Ok(Scaling::of(column_moments(x), options))
}

/// [`scale()`] of each slice on its own.
pub(crate) fn scale_by_slice(
    x: CsrView<'_, f32>,
    slices: &Slices,
    options: &ScaleOptions,
) -> Result<Vec<Scaling>, PreprocessError> {
    options.validate()?;
    let moments = moments_by_slice(x, slices, |_, _, v| f64::from(v));
    Ok(moments.into_iter().map(|m| Scaling::of(m, options)).collect())
}

impl Scaling {
    /// By moments that are known.
    pub(crate) fn of(moments: ColumnMoments, options: &ScaleOptions) -> Self {
        let sd = moments.variance.iter().map(|&v| if v == 0.0 { 1.0 } else { v.sqrt() }).collect();
        Self { mean: moments.mean, sd, options: *options }
    }

    /// The scaled value of `x` in column `j`.
    #[inline]
    pub fn value(&self, j: usize, x: f64) -> f64 {
        let clip = self.options.max_value.unwrap_or(f64::INFINITY);
        if self.options.zero_center {
            ((x - self.mean[j]) / self.sd[j]).max(-clip).min(clip)
        } else {
            (x / self.sd[j]).min(clip)
        }
    }

    /// The scaled matrix, written out: `n_obs · n_vars` values.
    ///
    /// # Panics
    /// When `x` has other columns than the matrix measured.
    pub fn to_dense(&self, x: CsrView<'_, f32>) -> Array2<f32> {
        assert_eq!(x.n_cols(), self.mean.len(), "to_dense: column counts differ");
        let zero: Vec<f32> = (0..x.n_cols()).map(|j| self.value(j, 0.0) as f32).collect();
        let mut dense = Array2::zeros((x.n_rows(), x.n_cols()));
        if x.n_cols() == 0 {
            return dense;
        }
        let rows = dense.as_slice_mut().expect("freshly allocated");
        rows.par_chunks_mut(x.n_cols()).enumerate().each(|(i, row)| {
            row.copy_from_slice(&zero);
            let (columns, values) = x.row(i);
            for (&j, &v) in columns.iter().zip(values) {
                row[j as usize] = self.value(j as usize, f64::from(v)) as f32;
            }
        });
        dense
    }

    /// Scales in place; only without centring, which keeps zeros zero.
    ///
    /// # Errors
    /// `Option` when the scaling centres, `ShapeMismatch` when columns differ.
    pub fn apply(&self, x: &mut CsrMatrix<f32>) -> Result<(), PreprocessError> {
        if self.options.zero_center {
            return Err(OptionError::new(
                "zero_center",
                "true",
                "false, because centring a sparse matrix would fill it,",
            )
            .into());
        }
        if x.n_cols() != self.mean.len() {
            return Err(PreprocessError::ShapeMismatch {
                what: "the scaling",
                found: self.mean.len(),
                expected: x.n_cols(),
                per: "variable",
            });
        }
        x.for_each_row_mut(|_, columns, values| {
            for (&j, v) in columns.iter().zip(values) {
                *v = self.value(j as usize, f64::from(*v)) as f32;
            }
        });
        Ok(())
    }

    /// The scaled matrix as "sparse + the same row everywhere": `z_ij = b_ij + offset_j` with `b_ij = 0` where
    /// `x_ij = 0`. Exact with clipping too, because a clipped zero is the same number in the whole column.
    pub(crate) fn split(&self) -> ColumnMap {
        let offset: Vec<f64> = (0..self.mean.len()).map(|j| self.value(j, 0.0)).collect();
        let inverse_sd: Vec<f64> = self.sd.iter().map(|s| 1.0 / s).collect();
        let clip = self.options.max_value.unwrap_or(f64::INFINITY);
        // With t = x / sd and m = mean / sd: b = clamp(t − m, ±clip) − offset = clamp(t, m ± clip) − m − offset.
        let (mut low, mut high, mut shift) = (Vec::new(), Vec::new(), Vec::new());
        for (j, &zero) in offset.iter().enumerate() {
            let m = if self.options.zero_center { self.mean[j] * inverse_sd[j] } else { 0.0 };
            low.push(if self.options.zero_center { m - clip } else { f64::NEG_INFINITY });
            high.push(m + clip);
            // Unclipped zeros: exactly 0, not the rounding of m − m.
            shift.push(if m.abs() <= clip { 0.0 } else { m + zero });
        }
        ColumnMap { inverse_sd, low, high, shift, offset }
    }
}

/// `b = clamp(x / sd, low, high) − shift`, and the row `offset` that completes it.
pub(crate) struct ColumnMap {
    inverse_sd: Vec<f64>,
    low: Vec<f64>,
    high: Vec<f64>,
    shift: Vec<f64>,
    /// The scaled value of zero in each column.
    pub(crate) offset: Vec<f64>,
}

impl ColumnMap {
    #[inline]
    pub(crate) fn value(&self, j: usize, x: f32) -> f64 {
        // Not `clamp`, which panics on NaN bounds.
        (f64::from(x) * self.inverse_sd[j]).max(self.low[j]).min(self.high[j]) - self.shift[j]
    }
}
