//! Components of a spot beside those of its surroundings, one hop further each: a cheap view of the neighbourhood.

use brodmann_kernels::CsrView;
use ndarray::{Array2, ArrayView2, Axis, concatenate};

use crate::graph::neighbor_means;
use crate::preprocess::PreprocessError;

/// `[X, S X, S² X, …, S^hops X]`, with `S` the mean over a spot and its neighbours.
///
/// # Inputs
/// `components`: `(n_obs, d)`. `graph`: `(n_obs, n_obs)`, stored entries are neighbours. `hops`: how far it reaches.
/// # Returns
/// `(n_obs, (hops + 1) · d)`.
/// # Errors
/// `ShapeMismatch`.
/// # Cost
/// O(hops · edges · d) time, two copies of the result.
/// # Source
/// Varrone et al. 2024 (CellCharter), Nature Genetics 56:74, whose rings of neighbours are here the means of means.
///
/// # Example
///
/// ```
/// use brodmann::models::hop_means;
/// use brodmann_kernels::CsrMatrix;
/// use ndarray::array;
///
/// // A path of three spots.
/// let path = CsrMatrix::from_dense(array![[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]].view());
/// let made = hop_means(array![[0.0], [3.0], [6.0]].view(), path.view(), 1)?;
/// assert_eq!(made, array![[0.0, 1.5], [3.0, 3.0], [6.0, 4.5]]);
/// # Ok::<(), brodmann::preprocess::PreprocessError>(())
/// ```
pub fn hop_means(
    components: ArrayView2<'_, f64>,
    graph: CsrView<'_, f64>,
    hops: usize,
) -> Result<Array2<f64>, PreprocessError> {
    let n_obs = components.nrows();
    if graph.n_rows() != n_obs {
        let (what, found) = ("the spatial graph", graph.n_rows());
        return Err(PreprocessError::ShapeMismatch { what, found, expected: n_obs, per: "spot" });
    }
    let mut all = components.to_owned();
    let mut last = components.as_standard_layout().into_owned();
    for _ in 0..hops {
        last = neighbor_means(last.view(), graph);
        all = concatenate![Axis(1), all, last].as_standard_layout().into_owned();
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use brodmann_kernels::CsrMatrix;

    use super::*;

    #[test]
    fn each_hop_is_the_mean_of_the_last() {
        let rows: Vec<Vec<(u32, f64)>> = (0..40)
            .map(|i| (0..40).filter(|j| (i + 1) % 40 == *j || (j + 1) % 40 == i).map(|j| (j, 1.0)).collect())
            .collect();
        let ring = CsrMatrix::from_rows(40, &rows);
        let x = Array2::from_shape_fn((40, 2), |(i, j)| ((i * 7 + j * 3) % 11) as f64);
        let made = hop_means(x.view(), ring.view(), 3).expect("valid");
        assert_eq!(made.dim(), (40, 8));
        for i in 0..40 {
            for j in 2..8 {
                let mean =
                    (made[[i, j - 2]] + made[[(i + 1) % 40, j - 2]] + made[[(i + 39) % 40, j - 2]]) / 3.0;
                assert!((made[[i, j]] - mean).abs() < 1e-12);
            }
        }
        assert_eq!(hop_means(x.view(), ring.view(), 0).expect("valid"), x);
        assert!(hop_means(x.view(), CsrMatrix::from_rows(1, &[vec![]]).view(), 1).is_err());
    }
}
