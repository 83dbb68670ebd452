//! Sparse times dense.

use crate::parallel_loop::ParallelLoop;
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use crate::csr::CsrView;

/// `a · b` for CSR `a (n, f)` and row-major dense `b (f, d)`, summed in f64, rows in parallel.
///
/// # Panics
/// When `a.n_cols() != b.nrows()`.
pub fn csr_dense<T: Copy + Into<f64> + Send + Sync>(
    a: CsrView<'_, T>,
    b: ArrayView2<'_, f64>,
) -> Array2<f64> {
    assert_eq!(a.n_cols(), b.nrows(), "csr_dense: inner dimensions differ");
    let d = b.ncols();
    let b = b.as_standard_layout();
    let mut out = Array2::<f64>::zeros((a.n_rows(), d));
    if d == 0 {
        return out;
    }
    let dense = b.as_slice().expect("standard layout was just made");
    out.as_slice_mut().expect("freshly allocated").par_chunks_mut(d).enumerate().each(|(i, row)| {
        let (columns, values) = a.row(i);
        for (&j, &v) in columns.iter().zip(values) {
            let v: f64 = v.into();
            let source = &dense[j as usize * d..(j as usize + 1) * d];
            for (o, s) in row.iter_mut().zip(source) {
                *o += v * s;
            }
        }
    });
    out
}

/// `aᵀ · b` for CSR `a (n, f)` and row-major dense `b (n, d)`: fixed row chunks, added in fixed order.
///
/// # Panics
/// When `a.n_rows() != b.nrows()`.
pub fn csr_t_dense<T: Copy + Into<f64> + Send + Sync>(
    a: CsrView<'_, T>,
    b: ArrayView2<'_, f64>,
) -> Array2<f64> {
    assert_eq!(a.n_rows(), b.nrows(), "csr_t_dense: row counts differ");
    let (n, d, f) = (a.n_rows(), b.ncols(), a.n_cols());
    let b = b.as_standard_layout();
    let dense = b.as_slice().expect("standard layout was just made");
    // At most 16 partial sums of size (f, d) are alive; the split depends on n alone.
    let chunk = n.div_ceil(16).max(4096);
    let parts: Vec<Array2<f64>> = (0..n.div_ceil(chunk))
        .into_par_iter()
        .map(|c| {
            let mut part = Array2::<f64>::zeros((f, d));
            let sums = part.as_slice_mut().expect("freshly allocated");
            for i in c * chunk..n.min((c + 1) * chunk) {
                let source = &dense[i * d..(i + 1) * d];
                let (columns, values) = a.row(i);
                for (&j, &v) in columns.iter().zip(values) {
                    let v: f64 = v.into();
                    for (o, s) in sums[j as usize * d..(j as usize + 1) * d].iter_mut().zip(source) {
                        *o += v * s;
                    }
                }
            }
            part
        })
        .collect_vec();
    let mut total = Array2::<f64>::zeros((f, d));
    for part in &parts {
        total += part;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csr::CsrMatrix;

    #[test]
    fn sparse_products_equal_the_dense_ones() {
        let a = ndarray::array![[0.0, 2.0, 0.0], [1.0, 0.0, 3.0], [0.0, 0.0, 0.0], [4.0, 5.0, 6.0]];
        let sparse = CsrMatrix::from_dense(a.view());
        let right = ndarray::array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]];
        assert_eq!(csr_dense(sparse.view(), right.view()), a.dot(&right));
        let left = ndarray::array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]];
        assert_eq!(csr_t_dense(sparse.view(), left.view()), a.t().dot(&left));
    }
}
