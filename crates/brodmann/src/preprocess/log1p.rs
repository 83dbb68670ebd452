//! Tame the variance that grows with the mean.

use brodmann_kernels::CsrMatrix;

/// `x ← ln(1 + x)`, in place; zeros stay zero, so the matrix stays sparse.
///
/// # Inputs
/// `x`: `(n_obs, n_vars)`, values above −1.
/// # Cost
/// One pass over the stored entries, computed in f64 and stored in f32.
/// # Source
/// scanpy's `pp.log1p`.
pub fn log1p(x: &mut CsrMatrix<f32>) {
    x.for_each_row_mut(|_, _, values| {
        for v in values {
            *v = log1p_f32(f64::from(*v));
        }
    });
}

/// The stored form of `ln(1 + x)`.
#[inline]
pub(crate) fn log1p_f32(x: f64) -> f32 {
    x.ln_1p() as f32
}
