//! Percentage of abnormal spots.

use brodmann_kernels::CsrView;
use rayon::prelude::*;

use super::MetricsError;
use super::paired_labels::same_length;

/// PAS, as a share: spots whose label differs from more than half of their spatial neighbours.
///
/// 0 for domains without a stray spot; needs no truth. Spots without neighbours are not counted.
///
/// # Inputs
/// `labels`: one per spot. `graph`: `(n_obs, n_obs)` CSR, row `i` the neighbours of spot `i`; weights
/// are ignored. The papers use the 10 nearest.
/// # Errors
/// [`MetricsError::LengthMismatch`]; `Empty` when no spot has a neighbour.
/// # Cost
/// O(nnz).
/// # Source
/// Shang & Zhou 2022, Nat. Commun. 13:7203 (there: at least 6 of 10).
///
/// # Example
///
/// ```
/// use brodmann::metrics::percentage_of_abnormal_spots;
/// use brodmann_kernels::CsrMatrix;
/// use ndarray::array;
///
/// // In a row of four, both neighbours of spot 2 and the only one of spot 3 have another label.
/// let path = array![[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]];
/// let path = CsrMatrix::from_dense(path.view());
/// assert_eq!(percentage_of_abnormal_spots(&[0, 0, 1, 0], path.view())?, 0.5);
/// # Ok::<(), brodmann::metrics::MetricsError>(())
/// ```
pub fn percentage_of_abnormal_spots(labels: &[u32], graph: CsrView<'_, f64>) -> Result<f64, MetricsError> {
    same_length("graph", graph.n_rows(), labels.len())?;
    same_length("graph columns", graph.n_cols(), labels.len())?;
    let (abnormal, counted) = (0..labels.len())
        .into_par_iter()
        .map(|i| {
            let (neighbors, _) = graph.row(i);
            let others = neighbors.iter().filter(|&&j| j as usize != i);
            let (mut n, mut differ) = (0usize, 0usize);
            for &j in others {
                n += 1;
                differ += usize::from(labels[j as usize] != labels[i]);
            }
            (usize::from(2 * differ > n), usize::from(n > 0))
        })
        .reduce(|| (0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    if counted == 0 { Err(MetricsError::Empty) } else { Ok(abnormal as f64 / counted as f64) }
}
