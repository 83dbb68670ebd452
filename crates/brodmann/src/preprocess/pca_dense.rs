//! Principal components of a dense, narrow table: an embedding of some dozens of columns.

use brodmann_kernels::OptionError;
use brodmann_kernels::eigen::symmetric_eigen;
use brodmann_kernels::matmul::{matmul, matmul_tn};
use ndarray::{Array2, ArrayView1, ArrayView2, Axis};

use super::error::PreprocessError;
use super::pca::fix_signs;
use super::pca_sums::PcaAxes;

/// Scores of the first `n_components` principal components of a dense table.
///
/// 1. Centre each column. 2. `C = XᵀX`, `(d, d)`. 3. Eigenvectors of `C` by falling eigenvalue, the largest
///    absolute entry of each positive. 4. Scores `X V`.
///
/// # Inputs
/// `x`: `(n_obs, d)`, finite; `d` in the hundreds at most.
/// # Returns
/// `(n_obs, min(n_components, d))`; the centred table itself, turned, where all components are kept.
/// # Errors
/// `Option` (no components asked for), `Empty`, `NonFinite`, `Eigen`.
/// # Cost
/// O(n_obs · d² + d³) time, one copy of the table.
///
/// # Example
///
/// ```
/// use brodmann::preprocess::pca_dense;
/// use ndarray::array;
///
/// let scores = pca_dense(array![[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]].view(), 1)?;
/// assert!((scores[[0, 0]].abs() - 2.0f64.sqrt()).abs() < 1e-9);
/// assert!(scores[[1, 0]].abs() < 1e-9);
/// # Ok::<(), brodmann::preprocess::PreprocessError>(())
/// ```
pub fn pca_dense(x: ArrayView2<'_, f64>, n_components: usize) -> Result<Array2<f64>, PreprocessError> {
    Ok(PcaAxes::of_dense(x, n_components)?.dense_scores(x))
}

impl PcaAxes {
    /// The first `n_components` axes of a dense table, for rows that were not there too.
    ///
    /// # Errors
    /// As [`pca_dense`].
    /// # Cost
    /// As [`pca_dense`].
    pub fn of_dense(x: ArrayView2<'_, f64>, n_components: usize) -> Result<Self, PreprocessError> {
        let (n_obs, d) = x.dim();
        if n_components == 0 {
            return Err(OptionError::new("n_pcs", 0, "at least 1").into());
        }
        let Some(mean) = x.mean_axis(Axis(0)).filter(|_| d > 0) else {
            return Err(PreprocessError::Empty { n_obs, n_vars: d });
        };
        if let Some(((row, column), &value)) = x.indexed_iter().find(|(_, v)| !v.is_finite()) {
            return Err(PreprocessError::NonFinite { row, column, value: value as f32 });
        }
        let centred = &x - &mean;
        let gram = matmul_tn(centred.view(), centred.view());
        let (_, mut components) = symmetric_eigen(gram.view(), n_components)
            .map_err(|e| PreprocessError::Eigen { size: e.size })?;
        let mut nothing = Array2::zeros((0, components.ncols()));
        fix_signs(&mut components, &mut nothing);
        Ok(Self { mean: mean.to_vec(), components })
    }

    /// Scores of dense rows, `(n_obs, k)`.
    ///
    /// # Panics
    /// When `x` has another number of columns.
    pub fn dense_scores(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        let mean = ArrayView1::from(&self.mean);
        matmul((&x - &mean).view(), self.components.view())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_columns_worked_by_hand() {
        // All variance lies along (1, 1).
        let x = ndarray::array![[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]];
        let scores = pca_dense(x.view(), 1).expect("finite");
        let expected = [-(2f64.sqrt()), 0.0, 2f64.sqrt()];
        assert!(scores.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{scores}");
    }

    #[test]
    fn it_agrees_with_the_sparse_one() {
        let x = Array2::from_shape_fn((30, 6), |(i, j)| ((i * 7 + j * 13 + i * j) % 11) as f32);
        let sparse = brodmann_kernels::CsrMatrix::from_dense(x.view());
        let options = super::super::PcaOptions { n_components: 3 };
        let expected = super::super::pca(
            sparse.view(),
            None,
            &options,
            brodmann_kernels::Seed(1),
            &brodmann_kernels::Silent,
        )
        .expect("finite")
        .scores;
        let found = pca_dense(x.mapv(f64::from).view(), 3).expect("finite");
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-8), "{found} {expected}");
    }

    #[test]
    fn what_cannot_be_decomposed_is_refused() {
        assert!(pca_dense(Array2::zeros((0, 3)).view(), 2).is_err());
        assert!(pca_dense(Array2::zeros((3, 0)).view(), 2).is_err());
        assert!(pca_dense(Array2::zeros((3, 2)).view(), 0).is_err());
        assert!(pca_dense(ndarray::array![[1.0], [f64::NAN]].view(), 1).is_err());
        // A constant table has components of no length, not none.
        assert!(pca_dense(Array2::ones((4, 2)).view(), 2).expect("finite").iter().all(|v| *v == 0.0));
    }
}
