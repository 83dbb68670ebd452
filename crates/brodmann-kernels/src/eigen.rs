//! Eigenvalues of dense symmetric matrices.
//!
//! * `leading`: a few of many, by inverse iteration on the tridiagonal form.

mod leading;

use crate::diagnosis::Diagnosis;
use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::{Array2, ArrayView2};

/// Steps of the QR iteration allowed per eigenvalue; two or three are usual.
const STEPS_PER_VALUE: usize = 100;
/// From this many rows on, up to half of the eigenvectors are found quicker one by one than all together.
const FEW_OF: usize = 48;

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
/// `4/3 n³ + 4 n² k` operations for up to half of the pairs, about `9 n³` for more.
pub fn symmetric_eigen(
    matrix: ArrayView2<'_, f64>,
    k: usize,
) -> Result<(Vec<f64>, Array2<f64>), NotConverged> {
    let n = matrix.nrows();
    assert_eq!(matrix.ncols(), n, "symmetric_eigen: the matrix is not square");
    let k = k.min(n);
    if n >= FEW_OF
        && 2 * k <= n
        && let Some(found) = leading::leading(matrix, k)
    {
        return Ok(found);
    }
    let dense = DMatrix::from_fn(n, n, |i, j| matrix[[i.max(j), i.min(j)]]);
    // Not a number compares with nothing, so that the iteration would not see the end of its work.
    if dense.iter().any(|v| !v.is_finite()) {
        return Err(NotConverged { size: n });
    }
    let eigen = SymmetricEigen::try_new(dense, f64::EPSILON, STEPS_PER_VALUE * n.max(1))
        .ok_or(NotConverged { size: n })?;
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let values = order[..k].iter().map(|&t| eigen.eigenvalues[t]).collect();
    let vectors = Array2::from_shape_fn((n, k), |(i, t)| eigen.eigenvectors[(i, order[t])]);
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

    #[test]
    fn what_is_not_finite_is_refused_at_any_size() {
        for n in [2, 100] {
            let mut matrix = Array2::<f64>::eye(n);
            matrix[[1, 0]] = f64::NAN;
            assert_eq!(symmetric_eigen(matrix.view(), 1), Err(NotConverged { size: n }));
        }
    }
}
