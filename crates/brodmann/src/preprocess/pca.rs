//! Few axes that hold most of the variance.

use brodmann_kernels::{CsrView, Monitor, OptionError, Seed};
use ndarray::{Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use super::column_stats::moments_by;
use super::detect::check_finite;
use super::error::PreprocessError;
use super::scale::Scaling;
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
/// the components are exact to rounding; above, a block Krylov iteration stops at a residual of 1e-6 of the
/// largest eigenvalue.
///
/// # Inputs
/// `x`: `(n_obs, n_vars)`, finite. `scaling`: as [`scale`](super::scale()) made it of `x`.
/// # Returns
/// Components by falling variance, fewer than asked for when there are fewer.
/// # Errors
/// `NonFinite`, `Option` (no components asked for), `ShapeMismatch` (scaling of another
/// matrix), `Empty`, `Interrupted`.
/// # Cost
/// With `f = min(n_obs, n_vars) ≤ 5000`: one pass, `Σ nnz_i² / 2` multiply-adds, `8 f²` bytes.
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
    if options.n_components == 0 {
        return Err(OptionError::new("n_pcs", 0, "at least 1").into());
    }
    if n == 0 || f == 0 {
        return Err(PreprocessError::Empty { n_obs: n, n_vars: f });
    }
    if let Some(s) = scaling.filter(|s| s.mean.len() != f || s.sd.len() != f) {
        return Err(PreprocessError::ShapeMismatch {
            what: "the scaling",
            found: s.mean.len().min(s.sd.len()),
            expected: f,
            per: "variable",
        });
    }
    check_finite(x)?;
    monitor.check()?;
    let map = scaling.map(Scaling::split);
    let moments = match &map {
        Some(map) => moments_by(x, |_, j, v| map.value(j, v)),
        None => moments_by(x, |_, _, v| f64::from(v)),
    };
    let k = options.n_components.min(n - 1).min(f);
    let implicit = Implicit { x, map: map.as_ref(), mean: Some(&moments.mean) };
    let Svd { mut scores, singular_values, mut components, method, converged } =
        truncated_svd(implicit, k, seed, monitor)?;
    fix_signs(&mut components, &mut scores);
    let variance: Vec<f64> = singular_values.iter().map(|s| s * s / (n.max(2) - 1) as f64).collect();
    let total: f64 = moments.variance.iter().sum();
    let variance_ratio = variance.iter().map(|v| if total > 0.0 { v / total } else { 0.0 }).collect();
    let mean = match &map {
        Some(map) => moments.mean.iter().zip(&map.offset).map(|(m, o)| m + o).collect(),
        None => moments.mean,
    };
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
