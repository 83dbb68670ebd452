//! Eigenvalues of dense symmetric matrices.

use crate::diagnosis::Diagnosis;
use faer::{Mat, Side};
use ndarray::{Array2, ArrayView2};

/// The dense solver did not converge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the eigenvalue problem of size {size} did not converge; expected a finite symmetric matrix")]
pub struct NotConverged {
    /// Rows of the matrix.
    pub size: usize,
}

impl Diagnosis for NotConverged {
    fn advice(&self) -> Option<String> {
        Some("check the input for extreme values".to_owned())
    }
}

/// The `k` largest eigenvalues, falling, and their eigenvectors as columns.
///
/// # Inputs
/// `matrix`: `(n, n)`, symmetric; the lower triangle is read.
/// # Errors
/// [`NotConverged`].
/// # Panics
/// When the matrix is not square.
/// # Cost
/// O(n³) time.
pub fn symmetric_eigen(
    matrix: ArrayView2<'_, f64>,
    k: usize,
) -> Result<(Vec<f64>, Array2<f64>), NotConverged> {
    let n = matrix.nrows();
    assert_eq!(matrix.ncols(), n, "symmetric_eigen: the matrix is not square");
    let k = k.min(n);
    let dense = Mat::from_fn(n, n, |i, j| matrix[[i, j]]);
    let eigen = dense.self_adjoint_eigen(Side::Lower).map_err(|_| NotConverged { size: n })?;
    // faer sorts eigenvalues upwards.
    let (s, u) = (eigen.S(), eigen.U());
    let values = (0..k).map(|t| s[n - 1 - t]).collect();
    let vectors = Array2::from_shape_fn((n, k), |(i, t)| u[(i, n - 1 - t)]);
    Ok((values, vectors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenpairs_of_a_matrix_worked_by_hand() {
        let (values, vectors) =
            symmetric_eigen(ndarray::array![[2.0, 1.0], [1.0, 2.0]].view(), 2).expect("converges");
        assert!((values[0] - 3.0).abs() < 1e-12 && (values[1] - 1.0).abs() < 1e-12);
        assert!((vectors[[0, 0]] - vectors[[1, 0]]).abs() < 1e-12);
    }
}
