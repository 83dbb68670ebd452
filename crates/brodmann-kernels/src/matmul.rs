//! Dense matrix products.

use crate::parallel_loop::ParallelLoop;
use ndarray::{Array2, ArrayView2, ArrayViewMut2};
use rayon::prelude::*;

pub use crate::arch::gemm::Float;

/// Rows summed together before chunks are added up: fixed, so that sums do not depend on the thread count.
const GRAM_CHUNK_ROWS: usize = 8192;

/// `a · b`, `(m, k) · (k, n) → (m, n)`, on the current rayon pool.
///
/// # Panics
/// When `a.ncols() != b.nrows()`.
pub fn matmul<T: Float>(a: ArrayView2<'_, T>, b: ArrayView2<'_, T>) -> Array2<T> {
    let mut out = Array2::from_elem((a.nrows(), b.ncols()), T::ZERO);
    matmul_into(out.view_mut(), a, b);
    out
}

/// `out = a · b` without allocating.
///
/// # Panics
/// When the shapes do not chain.
pub fn matmul_into<T: Float>(out: ArrayViewMut2<'_, T>, a: ArrayView2<'_, T>, b: ArrayView2<'_, T>) {
    T::gemm(out, a, b, false, rayon::current_num_threads());
}

/// `out = a · b` on the calling thread alone, for use inside an already parallel loop.
///
/// # Panics
/// When the shapes do not chain.
pub fn matmul_into_serial<T: Float>(out: ArrayViewMut2<'_, T>, a: ArrayView2<'_, T>, b: ArrayView2<'_, T>) {
    T::gemm(out, a, b, false, 1);
}

/// `out += a · b` on the calling thread alone, for use inside an already parallel loop.
///
/// # Panics
/// When the shapes do not chain.
pub fn matmul_add_into_serial<T: Float>(
    out: ArrayViewMut2<'_, T>,
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
) {
    T::gemm(out, a, b, true, 1);
}

/// `aᵀ · b` for tall `a (n, p)` and `b (n, q)`, summed over fixed row chunks in fixed order.
///
/// # Panics
/// When the row counts differ.
pub fn matmul_tn<T: Float>(a: ArrayView2<'_, T>, b: ArrayView2<'_, T>) -> Array2<T> {
    assert_eq!(a.nrows(), b.nrows(), "matmul_tn: row counts differ");
    let n = a.nrows();
    let n_chunks = n.div_ceil(GRAM_CHUNK_ROWS);
    let parts: Vec<Array2<T>> = (0..n_chunks)
        .into_par_iter()
        .map(|c| {
            let rows = c * GRAM_CHUNK_ROWS..n.min((c + 1) * GRAM_CHUNK_ROWS);
            let mut part = Array2::from_elem((a.ncols(), b.ncols()), T::ZERO);
            let at = a.slice(ndarray::s![rows.clone(), ..]);
            matmul_into_serial(part.view_mut(), at.t(), b.slice(ndarray::s![rows, ..]));
            part
        })
        .collect_vec();
    let mut total = Array2::from_elem((a.ncols(), b.ncols()), T::ZERO);
    for part in &parts {
        total.zip_mut_with(part, |t, &p| *t += p);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    fn example(rows: usize, cols: usize, salt: usize) -> Array2<f64> {
        Array2::from_shape_fn((rows, cols), |(i, j)| (((i * 31 + j * 17 + salt) % 97) as f64 - 48.0) / 7.0)
    }

    #[test]
    fn products_agree_with_the_definition() {
        let (a, b) = (example(13, 7, 1), example(7, 5, 2));
        let c = matmul(a.view(), b.view());
        let d = a.dot(&b);
        assert!(c.iter().zip(&d).all(|(x, y)| (x - y).abs() < 1e-10));
    }

    #[test]
    fn tall_transposed_products_are_the_same_bits_on_any_thread_count() {
        let (a, b) = (example(20_000, 6, 1), example(20_000, 4, 2));
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
            pool.install(|| matmul_tn(a.view(), b.view()))
        };
        assert_eq!(run(1), run(3));
    }
}
