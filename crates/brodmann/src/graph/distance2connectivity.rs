//! Distances as similarities.

use brodmann_kernels::{CsrMatrix, CsrView};

use super::error::GraphError;

/// `1 − d / d_max` on every stored entry, `d_max` the largest of them.
///
/// A stored 0 (spots in one place) becomes 1. The longest edge becomes a stored 0 and keeps its place in the
/// pattern, as in the `spatialleiden` package.
///
/// # Inputs
/// `distances`: `(n_obs, n_obs)`, stored entries finite and at least 0.
/// # Returns
/// The same pattern.
/// # Errors
/// `NonFiniteWeight` or `NegativeWeight`, naming `key`.
/// # Cost
/// O(nnz).
/// # Source
/// docs/methods.md §2; Müller-Bötticher et al. 2025.
///
/// # Differences
/// Where every distance is 0 the ratio is undefined and the reference gives NaN: here all become 1. An empty
/// graph stays empty.
///
/// # Example
///
/// ```
/// use brodmann::graph::distance2connectivity;
/// use brodmann_kernels::CsrMatrix;
/// use ndarray::array;
///
/// let distances = CsrMatrix::from_dense(array![[0.0, 1.0], [4.0, 0.0]].view());
/// let weights = distance2connectivity(distances.view(), "distances")?;
/// assert_eq!(weights.view().get(0, 1), Some(0.75));
/// assert_eq!(weights.view().get(1, 0), Some(0.0));
/// # Ok::<(), brodmann::graph::GraphError>(())
/// ```
pub fn distance2connectivity(distances: CsrView<'_, f64>, key: &str) -> Result<CsrMatrix<f64>, GraphError> {
    super::validate::check_weights(distances, key)?;
    let largest = distances.data().iter().copied().fold(0.0f64, f64::max);
    let mut connectivities = distances.to_owned();
    for value in connectivities.data_mut() {
        *value = if largest > 0.0 { 1.0 - *value / largest } else { 1.0 };
    }
    Ok(connectivities)
}
