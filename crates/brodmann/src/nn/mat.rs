//! A borrowed row-major matrix, and loops over its rows in fixed blocks.

use brodmann_kernels::ParallelLoop;
use brodmann_kernels::matmul::Float;
use ndarray::{ArrayView2, ArrayViewMut2};
use rayon::prelude::*;

/// Rows handled by one task: fixed, so that sums never depend on the number of threads.
pub const BLOCK_ROWS: usize = 128;

/// A row-major matrix.
#[derive(Clone, Copy, Debug)]
pub struct Mat<'a, T> {
    /// `rows · cols` elements.
    pub data: &'a [T],
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

impl<'a, T> Mat<'a, T> {
    /// A view of `data`.
    ///
    /// # Panics
    /// When `data` does not hold `rows · cols` elements.
    pub fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "a matrix of {rows} x {cols} holds that many elements");
        Self { data, rows, cols }
    }

    /// One row.
    pub fn row(&self, i: usize) -> &'a [T] {
        &self.data[i * self.cols..(i + 1) * self.cols]
    }

    /// `count` rows from `first`.
    #[must_use]
    pub fn block(&self, first: usize, count: usize) -> Self {
        Self {
            data: &self.data[first * self.cols..(first + count) * self.cols],
            rows: count,
            cols: self.cols,
        }
    }

    /// As an ndarray view.
    pub fn view(&self) -> ArrayView2<'a, T> {
        ArrayView2::from_shape((self.rows, self.cols), self.data).expect("the length was checked")
    }
}

/// A mutable ndarray view of a row-major slice.
///
/// # Panics
/// When `data` does not hold `rows · cols` elements.
pub fn view_mut<T>(data: &mut [T], rows: usize, cols: usize) -> ArrayViewMut2<'_, T> {
    ArrayViewMut2::from_shape((rows, cols), data).expect("the length is rows · cols")
}

/// `out (+)= a · b` on this thread.
pub fn gemm<T: Float>(out: &mut [T], a: Mat<'_, T>, b: Mat<'_, T>, accumulate: bool) {
    T::gemm(view_mut(out, a.rows, b.cols), a.view(), b.view(), accumulate, 1);
}

/// `out (+)= a · bᵀ` on this thread.
pub fn gemm_nt<T: Float>(out: &mut [T], a: Mat<'_, T>, b: Mat<'_, T>, accumulate: bool) {
    T::gemm(view_mut(out, a.rows, b.rows), a.view(), b.view().reversed_axes(), accumulate, 1);
}

/// `out (+)= aᵀ · b` on this thread.
pub fn gemm_tn<T: Float>(out: &mut [T], a: Mat<'_, T>, b: Mat<'_, T>, accumulate: bool) {
    T::gemm(view_mut(out, a.cols, b.cols), a.view().reversed_axes(), b.view(), accumulate, 1);
}

/// Calls `body(first_row, rows)` for every block of [`BLOCK_ROWS`] rows of `out`, in parallel.
pub fn for_blocks<T: Send>(out: &mut [T], cols: usize, body: impl Fn(usize, &mut [T]) + Sync) {
    if cols == 0 || out.is_empty() {
        return;
    }
    out.par_chunks_mut(BLOCK_ROWS * cols).enumerate().each(|(b, rows)| body(b * BLOCK_ROWS, rows));
}

/// Calls `body(i, row)` for every row of `out`, in parallel blocks.
pub fn for_rows<T: Send>(out: &mut [T], cols: usize, body: impl Fn(usize, &mut [T]) + Sync) {
    for_blocks(out, cols, |first, rows| {
        for (k, row) in rows.chunks_exact_mut(cols).enumerate() {
            body(first + k, row);
        }
    });
}
