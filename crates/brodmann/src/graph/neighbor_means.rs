//! Rows averaged over a spot and its neighbours.

use brodmann_kernels::{CsrView, ParallelLoop};
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

/// Rows averaged in one task; fixed.
const CHUNK: usize = 256;

/// Every row the mean of itself and its neighbours' rows.
///
/// # Inputs
/// `x`: `(n_obs, d)`. `graph`: `(n_obs, n_obs)`, stored entries are neighbours whatever their weight.
/// # Panics
/// When the graph is that of other observations.
/// # Cost
/// O(edges · d).
///
/// # Example
///
/// ```
/// use brodmann::graph::neighbor_means;
/// use brodmann_kernels::CsrMatrix;
/// use ndarray::array;
///
/// // A path of three spots.
/// let path = CsrMatrix::from_dense(array![[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]].view());
/// let means = neighbor_means(array![[0.0], [3.0], [9.0]].view(), path.view());
/// assert_eq!(means, array![[1.5], [4.0], [6.0]]);
/// ```
pub fn neighbor_means(x: ArrayView2<'_, f64>, graph: CsrView<'_, f64>) -> Array2<f64> {
    let (n_obs, d) = x.dim();
    assert_eq!(graph.n_rows(), n_obs, "neighbor_means: the graph is that of other observations");
    let mut out = Array2::zeros((n_obs, d));
    if d == 0 {
        return out;
    }
    let rows = out.as_slice_mut().expect("row-major");
    rows.par_chunks_mut(CHUNK * d).enumerate().each(|(chunk, rows)| {
        for (offset, sum) in rows.chunks_exact_mut(d).enumerate() {
            let i = chunk * CHUNK + offset;
            let neighbors = graph.row(i).0.iter().map(|&j| j as usize).filter(|&j| j != i);
            let mut n = 0.0;
            for j in std::iter::once(i).chain(neighbors) {
                n += 1.0;
                sum.iter_mut().zip(x.row(j)).for_each(|(s, v)| *s += v);
            }
            for s in sum.iter_mut() {
                *s /= n;
            }
        }
    });
    out
}
