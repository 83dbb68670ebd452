//! Linear equations with a symmetric positive definite matrix.

use nalgebra::DMatrix;
use ndarray::{Array2, ArrayView2};

/// `A⁻¹ B` by Cholesky's factors; `None` where `A` is not positive definite.
///
/// # Inputs
/// `a`: `(n, n)`, symmetric; the lower triangle is read. `b`: `(n, m)`.
/// # Panics
/// When the shapes do not fit.
/// # Cost
/// O(n³ + n² m) time.
///
/// # Example
///
/// ```
/// use brodmann_kernels::solve::solve_positive;
/// use ndarray::array;
///
/// let x = solve_positive(array![[4.0, 2.0], [2.0, 3.0]].view(), array![[8.0], [7.0]].view()).expect("positive");
/// assert!((x[[0, 0]] - 1.25).abs() < 1e-12 && (x[[1, 0]] - 1.5).abs() < 1e-12);
/// ```
pub fn solve_positive(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Option<Array2<f64>> {
    let n = a.nrows();
    assert_eq!(a.ncols(), n, "solve_positive: the matrix is not square");
    assert_eq!(b.nrows(), n, "solve_positive: the right side has other rows");
    let mut x = DMatrix::from_fn(n, b.ncols(), |i, j| b[[i, j]]);
    DMatrix::from_fn(n, n, |i, j| a[[i, j]]).cholesky()?.solve_mut(&mut x);
    Some(Array2::from_shape_fn(b.dim(), |(i, j)| x[(i, j)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_solution_solves_and_singular_matrices_have_none() {
        let a = ndarray::array![[5.0, 1.0, 0.5], [1.0, 3.0, -1.0], [0.5, -1.0, 2.0]];
        let b = ndarray::array![[1.0, 0.0], [2.0, -3.0], [0.0, 4.0]];
        let x = solve_positive(a.view(), b.view()).expect("positive definite");
        assert!((a.dot(&x) - &b).iter().all(|v| v.abs() < 1e-12));
        for not in [ndarray::array![[0.0, 0.0], [0.0, 1.0]], ndarray::array![[1.0, 2.0], [2.0, 1.0]]] {
            assert!(solve_positive(not.view(), b.slice_axis(ndarray::Axis(0), (..2).into())).is_none());
        }
    }
}
