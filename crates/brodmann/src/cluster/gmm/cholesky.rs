//! Triangular factors of covariance matrices.

use ndarray::{Array2, ArrayView2};

/// A pivot below this share of its diagonal entry is rounding: the matrix is singular.
const SINGULAR: f64 = 1e-12;

/// What a covariance `Σ = L Lᵀ` is used for.
pub(super) struct Factor {
    /// `L⁻ᵀ`: rows times this have covariance 1.
    pub(super) whiten: Array2<f64>,
    /// `ln det Σ`.
    pub(super) log_det: f64,
}

/// The lower triangular factor, or `None` where the matrix is singular to rounding (or holds NaN).
fn cholesky(matrix: ArrayView2<'_, f64>) -> Option<Array2<f64>> {
    let d = matrix.nrows();
    let mut lower = Array2::<f64>::zeros((d, d));
    for i in 0..d {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|t| lower[[i, t]] * lower[[j, t]]).sum();
            let rest = matrix[[i, j]] - dot;
            if i == j {
                // Written so that NaN fails, too.
                if !(rest > SINGULAR * matrix[[i, i]] && rest.is_finite()) {
                    return None;
                }
                lower[[i, i]] = rest.sqrt();
            } else {
                lower[[i, j]] = rest / lower[[j, j]];
            }
        }
    }
    Some(lower)
}

/// `ln det` of a positive definite matrix; `None` where it is singular.
pub(super) fn log_det(matrix: ArrayView2<'_, f64>) -> Option<f64> {
    let lower = cholesky(matrix)?;
    Some(2.0 * lower.diag().iter().map(|v| v.ln()).sum::<f64>())
}

impl Factor {
    /// Of a symmetric matrix; `None` where it is singular.
    pub(super) fn new(covariance: ArrayView2<'_, f64>) -> Option<Self> {
        let d = covariance.nrows();
        let lower = cholesky(covariance)?;
        let log_det = 2.0 * lower.diag().iter().map(|v| v.ln()).sum::<f64>();
        // L⁻¹ by forward substitution, written transposed.
        let mut whiten = Array2::<f64>::zeros((d, d));
        for column in 0..d {
            for i in column..d {
                let dot: f64 = (column..i).map(|t| lower[[i, t]] * whiten[[column, t]]).sum();
                let unit = if i == column { 1.0 } else { 0.0 };
                whiten[[column, i]] = (unit - dot) / lower[[i, i]];
            }
        }
        Some(Self { whiten, log_det })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whitening_undoes_the_covariance() {
        let sigma = ndarray::array![[4.0, 2.0, 0.4], [2.0, 3.0, 0.1], [0.4, 0.1, 0.5]];
        let factor = Factor::new(sigma.view()).expect("positive definite");
        let unit = factor.whiten.t().dot(&sigma).dot(&factor.whiten);
        let off = (&unit - &Array2::<f64>::eye(3)).iter().fold(0.0f64, |m, v| m.max(v.abs()));
        assert!(off < 1e-12, "{unit}");
        // By hand: 4 (1.5 − .01) − 2 (1 − .04) + .4 (.2 − 1.2).
        assert!((factor.log_det.exp() - 3.64).abs() < 1e-12);
        assert!((log_det(sigma.view()).expect("regular") - factor.log_det).abs() < 1e-15);
    }

    #[test]
    fn singular_and_broken_matrices_are_told() {
        assert!(Factor::new(ndarray::array![[1.0, 2.0], [2.0, 4.0]].view()).is_none());
        assert!(Factor::new(ndarray::array![[0.0]].view()).is_none());
        assert!(Factor::new(ndarray::array![[f64::NAN]].view()).is_none());
        assert!(Factor::new(ndarray::array![[1.0, 2.0], [2.0, 1.0]].view()).is_none());
    }
}
