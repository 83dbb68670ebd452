//! Tame the variance that grows with the mean.

use brodmann_kernels::diagnosis::OptionError;
use brodmann_kernels::{CsrMatrix, Real};

use super::error::PreprocessError;

/// `x ← ln(1 + x)`, in place; zeros stay zero, so the matrix stays sparse.
///
/// # Inputs
/// `x`: `(n_obs, n_vars)`, values above −1.
/// # Cost
/// One pass over the stored entries, computed in f64.
/// # Source
/// scanpy's `pp.log1p`.
///
/// # Example
///
/// ```
/// use brodmann::preprocess::log1p;
/// use brodmann_kernels::CsrMatrix;
/// use ndarray::array;
///
/// let mut x = CsrMatrix::from_dense(array![[0.0f32, 1.0]].view());
/// log1p(&mut x);
/// assert_eq!(x.view().to_dense(), array![[0.0, 2.0f32.ln()]]);
/// ```
pub fn log1p<T: Real>(x: &mut CsrMatrix<T>) {
    x.for_each_row_mut(|_, _, values| {
        for v in values {
            *v = T::from_f64((*v).into().ln_1p());
        }
    });
}

/// As [`log1p()`], to another base: `ln(1 + x) / ln(base)`, the division in the precision of `x`.
///
/// # Errors
/// `Option` unless `base` is finite, above 0 and not 1.
pub fn log1p_to_base<T: Real>(x: &mut CsrMatrix<T>, base: f64) -> Result<(), PreprocessError> {
    let divisor = natural(base)?;
    log1p(x);
    let divisor = T::from_f64(divisor);
    x.data_mut().iter_mut().for_each(|v| *v = *v / divisor);
    Ok(())
}

/// Logarithms to `base` made natural: `x · ln(base)`, in the precision of `x`.
///
/// # Errors
/// As [`log1p_to_base`].
pub fn to_natural<T: Real>(x: &mut CsrMatrix<T>, base: f64) -> Result<(), PreprocessError> {
    let factor = T::from_f64(natural(base)?);
    x.data_mut().iter_mut().for_each(|v| *v *= factor);
    Ok(())
}

fn natural(base: f64) -> Result<f64, PreprocessError> {
    if base.is_finite() && base > 0.0 && base != 1.0 {
        return Ok(base.ln());
    }
    Err(OptionError::new("base", base, "a number above 0, not 1").into())
}

/// The stored form of `ln(1 + x)`.
#[inline]
pub(crate) fn log1p_f32(x: f64) -> f32 {
    x.ln_1p() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> CsrMatrix<f64> {
        CsrMatrix::from_rows(3, &[vec![(0, 1.0), (2, 7.0)], vec![], vec![(1, 0.25)]])
    }

    #[test]
    fn a_base_divides_by_its_logarithm() {
        let mut x = small();
        log1p_to_base(&mut x, 2.0).expect("base 2");
        for (found, expected) in x.data().iter().zip([1.0, 3.0, 1.25f64.log2()]) {
            assert!((found - expected).abs() < 1e-15, "{found}, {expected}");
        }
        to_natural(&mut x, 2.0).expect("base 2");
        let mut natural = small();
        log1p(&mut natural);
        for (found, expected) in x.data().iter().zip(natural.data()) {
            assert!((found - expected).abs() < 1e-15);
        }
    }

    #[test]
    fn single_precision_is_double_precision_rounded() {
        let (mut wide, mut narrow) = (small(), small().view().map(|v| v as f32));
        log1p(&mut wide);
        log1p(&mut narrow);
        assert_eq!(wide.view().map(|v| v as f32), narrow);
    }

    #[test]
    fn bases_without_a_logarithm_are_refused() {
        for base in [0.0, -2.0, 1.0, f64::NAN, f64::INFINITY] {
            assert!(log1p_to_base(&mut small(), base).is_err(), "{base}");
        }
    }
}
