//! Centred log-ratio of protein (antibody) counts, per spot.

use brodmann_kernels::CsrMatrix;

/// Centred log-ratio, in place.
///
/// `x_ij ← log1p(x_ij / exp(Σ_j log1p(x_ij) / n_vars))`: each spot is divided by its geometric mean, taken over
/// *all* features, so that a spot with many unseen proteins is not divided by the mean of the few it has. Zeros
/// stay zero, so the matrix stays sparse.
///
/// # Inputs
/// `x`: `(n_obs, n_vars)` counts of 0 or more.
/// # Cost
/// One pass; sums in f64.
/// # Source
/// SpaMI (Gao et al. 2025); Seurat's `NormalizeData(method = "CLR", margin = 2)`.
///
/// # Example
///
/// ```
/// use brodmann::preprocess::clr;
/// use brodmann_kernels::CsrMatrix;
/// use ndarray::array;
///
/// // exp(ln(1 + 3) / 2) = 2, so 3 becomes ln(1 + 3 / 2).
/// let mut x = CsrMatrix::from_dense(array![[3.0f32, 0.0]].view());
/// clr(&mut x);
/// assert!((x.view().to_dense()[[0, 0]] - 2.5f32.ln()).abs() < 1e-6);
/// ```
pub fn clr(x: &mut CsrMatrix<f32>) {
    let n_vars = x.n_cols().max(1) as f64;
    x.for_each_row_mut(|_, _, values| {
        let log_sum: f64 = values.iter().filter(|v| **v > 0.0).map(|&v| f64::from(v).ln_1p()).sum();
        let shrink = (-log_sum / n_vars).exp();
        for v in values {
            *v = (f64::from(*v) * shrink).ln_1p() as f32;
        }
    });
}
