//! Few axes that hold most of the variance.

use brodmann_kernels::{CsrView, Monitor, OptionError, Seed, Slices};
use ndarray::{Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use super::column_stats::{moments_by_slice, slices_of};
use super::detect::check_finite;
use super::error::PreprocessError;
use super::scale::{ColumnMap, ScaleOptions, Scaling, scale_by_slice};
use super::svd::{Implicit, Svd, SvdMethod, truncated_svd};

/// Options of [`pca()`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PcaOptions {
    /// Components wanted; cut to `min(n_obs − 1, n_vars)`.
    pub n_components: usize,
}

impl Default for PcaOptions {
    fn default() -> Self {
        Self { n_components: 30 }
    }
}

/// Principal components.
#[derive(Clone, Debug, PartialEq)]
pub struct Pca {
    /// `(n_obs, k)`: each spot along each component (`obsm["X_pca"]`).
    pub scores: Array2<f64>,
    /// `(n_vars, k)`: orthonormal loadings (`varm["PCs"]`), largest absolute entry of each positive.
    pub components: Array2<f64>,
    /// Variance along each component.
    pub variance: Vec<f64>,
    /// The same as a share of the total; 0 when nothing varies.
    pub variance_ratio: Vec<f64>,
    /// Mean of each (scaled) variable, subtracted before projecting.
    pub mean: Vec<f64>,
    /// Components asked for; `scores.ncols()` is what there could be.
    pub n_requested: usize,
    /// How they were found.
    pub method: SvdMethod,
    /// Whether the residuals reached the tolerance; `false` makes the last components approximate.
    pub converged: bool,
}

impl Pca {
    /// Number of components.
    pub fn n_components(&self) -> usize {
        self.variance.len()
    }
}

/// Principal component analysis of a sparse matrix, centred (and scaled) implicitly.
///
/// `X − 1x̄ᵀ = U S Vᵀ`; scores `U S`, components `V`, variances `s² / (n − 1)`. With `scaling` the same for the
/// scaled and clipped matrix, which is never written out. Up to 5000 spots or variables (whichever are fewer)
/// the iteration stops at a residual of 1e-9 of the largest eigenvalue, so that variances are exact to rounding; above, at
/// 1e-6.
///
/// # Inputs
/// `x`: `(n_obs, n_vars)`, finite. `scaling`: as [`scale`](super::scale()) made it of `x`.
/// # Returns
/// Components by falling variance, fewer than asked for when there are fewer.
/// # Errors
/// `NonFinite`, `Option` (no components asked for), `ShapeMismatch` (scaling of another
/// matrix), `Empty`, `Interrupted`.
/// # Cost
/// With `f = min(n_obs, n_vars) ≤ 5000`, whichever is estimated to be quicker:
/// * about `1.5 k` passes of `16 · nnz` multiply-adds (`16 · n_obs · n_vars` where four fifths are stored), and
///   `1200 f` bytes of partial sums: few observations, few components;
/// * one pass of `Σ nnz_i² / 2` multiply-adds and `16 f²` bytes, then about `1.5 k` times `8 f²` multiply-adds: many.
///
/// Both keep a basis of about 12 vectors of `f` numbers per component.
///
/// Otherwise 4 to 20 passes of `2 · nnz · (k + 8)` and `8 f (k + 8)` numbers.
/// # Source
/// Halko, Martinsson & Tropp 2011; Musco & Musco 2015. Signs as scikit-learn's `svd_flip` on the
/// components.
///
/// # Example
///
/// ```
/// use brodmann::preprocess::{PcaOptions, pca};
/// use brodmann_kernels::{CsrMatrix, Seed, Silent};
/// use ndarray::array;
///
/// // Points on a diagonal: one axis holds all variance, 1 + 1.
/// let x = CsrMatrix::from_dense(array![[1.0f32, 1.0], [2.0, 2.0], [3.0, 3.0]].view());
/// let found = pca(x.view(), None, &PcaOptions { n_components: 1 }, Seed(0), &Silent)?;
/// assert!((found.variance[0] - 2.0).abs() < 1e-6);
/// assert!((found.variance_ratio[0] - 1.0).abs() < 1e-6);
/// assert!((found.components[[0, 0]] - 0.5f64.sqrt()).abs() < 1e-6);
/// # Ok::<(), brodmann::preprocess::PreprocessError>(())
/// ```
pub fn pca(
    x: CsrView<'_, f32>,
    scaling: Option<&Scaling>,
    options: &PcaOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Pca, PreprocessError> {
    let (n, f) = (x.n_rows(), x.n_cols());
    check_size(x, *options)?;
    if let Some(s) = scaling.filter(|s| s.mean.len() != f || s.sd.len() != f) {
        return Err(PreprocessError::ShapeMismatch {
            what: "the scaling",
            found: s.mean.len().min(s.sd.len()),
            expected: f,
            per: "variable",
        });
    }
    check_finite(x)?;
    let maps: Vec<ColumnMap> = scaling.map(Scaling::split).into_iter().collect();
    decompose(x, &maps, &Slices::one(n), *options, seed, monitor)
}

/// Principal component analysis of several slices, each centred (and scaled) on its own: what shifts all spots of a slice
/// has no part in the components.
///
/// # Inputs
/// `x`: `(n_obs, n_vars)`, finite. `slices`: of its rows; one is [`pca()`]. `scale`: scaled and clipped so, within each
/// slice; `None`: centred alone.
/// # Returns
/// As [`pca()`]; the mean is that of the slices' means, weighted by their spots.
/// # Errors
/// As [`pca()`]; `ShapeMismatch` when the slices are those of other rows.
/// # Cost
/// As [`pca()`], and O(n_slices · (n_vars or n_obs)) per vector.
///
/// # Example
///
/// ```
/// use brodmann::preprocess::{PcaOptions, pca_by_slice};
/// use brodmann_kernels::{CsrMatrix, Seed, Silent, Slices};
/// use ndarray::array;
///
/// // The second slice has 100 more of the gene everywhere.
/// let x = CsrMatrix::from_dense(array![[0.0f32], [2.0], [100.0], [102.0]].view());
/// let slices = Slices::from_codes(&[0, 0, 1, 1], &[]);
/// let options = PcaOptions { n_components: 1 };
/// let found = pca_by_slice(x.view(), &slices, None, &options, Seed(0), &Silent)?;
/// for (score, expected) in found.scores.iter().zip([-1.0, 1.0, -1.0, 1.0]) {
///     assert!((score - expected).abs() < 1e-6);
/// }
/// # Ok::<(), brodmann::preprocess::PreprocessError>(())
/// ```
pub fn pca_by_slice(
    x: CsrView<'_, f32>,
    slices: &Slices,
    scale: Option<&ScaleOptions>,
    options: &PcaOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Pca, PreprocessError> {
    let slices = slices_of(x.n_rows(), Some(slices))?;
    check_size(x, *options)?;
    check_finite(x)?;
    let scalings = scale.map_or_else(|| Ok(Vec::new()), |scale| scale_by_slice(x, &slices, scale))?;
    let maps: Vec<ColumnMap> = scalings.iter().map(Scaling::split).collect();
    decompose(x, &maps, &slices, *options, seed, monitor)
}

pub(crate) fn check_size(x: CsrView<'_, f32>, options: PcaOptions) -> Result<(), PreprocessError> {
    if options.n_components == 0 {
        return Err(OptionError::new("n_pcs", 0, "at least 1").into());
    }
    if x.n_rows() == 0 || x.n_cols() == 0 {
        return Err(PreprocessError::Empty { n_obs: x.n_rows(), n_vars: x.n_cols() });
    }
    Ok(())
}

/// The components of `x` as `maps` (one per slice, or none) see it.
fn decompose(
    x: CsrView<'_, f32>,
    maps: &[ColumnMap],
    slices: &Slices,
    options: PcaOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Pca, PreprocessError> {
    monitor.check()?;
    let (n, f) = (x.n_rows(), x.n_cols());
    let moments = match maps {
        [] => moments_by_slice(x, slices, |_, _, v| f64::from(v)),
        maps => moments_by_slice(x, slices, |i, j, v| maps[slices.of(i)].value(j, v)),
    };
    // Around the means of the slices, all columns together.
    let free = (n.max(2) - 1) as f64;
    let within = moments.iter().zip(slices.sizes());
    let total: f64 =
        within.map(|(m, &size)| size.saturating_sub(1) as f64 / free * m.variance.iter().sum::<f64>()).sum();
    let means: Vec<Vec<f64>> = moments.into_iter().map(|m| m.mean).collect();
    let k = options.n_components.min(n - 1).min(f);
    let implicit = Implicit { x, maps, means: &means, slices };
    let Svd { mut scores, singular_values, mut components, method, converged } =
        truncated_svd(implicit, k, seed, monitor)?;
    fix_signs(&mut components, &mut scores);
    let variance: Vec<f64> = singular_values.iter().map(|s| s * s / free).collect();
    let variance_ratio = variance.iter().map(|v| if total > 0.0 { v / total } else { 0.0 }).collect();
    let shares: Vec<f64> = slices.sizes().iter().map(|size| *size as f64 / n as f64).collect();
    let mean = (0..f)
        .map(|j| {
            let of = |s: usize| means[s][j] + maps.get(s).map_or(0.0, |map| map.offset[j]);
            shares.iter().enumerate().map(|(s, share)| share * of(s)).sum()
        })
        .collect();
    Ok(Pca {
        scores,
        components,
        variance,
        variance_ratio,
        mean,
        n_requested: options.n_components,
        method,
        converged,
    })
}

/// Turns each column of `reference` so that its largest absolute entry (the first of equals) is positive, and
/// the same column of `other` with it.
pub(crate) fn fix_signs(reference: &mut Array2<f64>, other: &mut Array2<f64>) {
    for t in 0..reference.ncols() {
        let extreme =
            reference.column(t).iter().fold(0.0f64, |best, &v| if v.abs() > best.abs() { v } else { best });
        if extreme < 0.0 {
            reference.column_mut(t).mapv_inplace(|v| -v);
            other.column_mut(t).mapv_inplace(|v| -v);
        }
    }
}

/// Loadings of selected variables spread over all of them, zero elsewhere, as `varm["PCs"]` wants them.
///
/// # Inputs
/// `components`: `(selected, k)`. `selected`: one flag per variable.
/// # Returns
/// `(n_vars, k)`.
/// # Errors
/// `ShapeMismatch` when the number of flags set differs from the rows of `components`.
pub fn pad_components(
    components: ArrayView2<'_, f64>,
    selected: &[bool],
) -> Result<Array2<f64>, PreprocessError> {
    let n_selected = selected.iter().filter(|s| **s).count();
    if n_selected != components.nrows() {
        return Err(PreprocessError::ShapeMismatch {
            what: "the loadings",
            found: components.nrows(),
            expected: n_selected,
            per: "variable",
        });
    }
    let mut padded = Array2::zeros((selected.len(), components.ncols()));
    let mut rows = components.axis_iter(Axis(0));
    for (mut row, _) in padded.rows_mut().into_iter().zip(selected).filter(|(_, s)| **s) {
        if let Some(source) = rows.next() {
            row.assign(&source);
        }
    }
    Ok(padded)
}
