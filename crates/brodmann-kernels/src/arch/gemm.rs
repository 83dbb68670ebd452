//! The `gemm` crate behind a shape-checked call.

use ndarray::{ArrayView2, ArrayViewMut2};

/// Element types the dense kernels exist for.
pub trait Float: Copy + Send + Sync + 'static + std::ops::AddAssign {
    /// `0`.
    const ZERO: Self;
    /// `1`.
    const ONE: Self;
}
impl Float for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
}
impl Float for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
}

/// `out = a · b` (or `out += a · b` when `accumulate`), any strides.
///
/// The crate never splits the inner dimension, so the bits do not depend on the thread count.
///
/// # Panics
/// When the shapes do not chain; callers pass shapes they built themselves.
pub(crate) fn gemm<T: Float>(
    mut out: ArrayViewMut2<'_, T>,
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    accumulate: bool,
    threads: usize,
) {
    let (m, k) = a.dim();
    let n = b.ncols();
    assert_eq!(b.nrows(), k, "matmul: inner dimensions differ");
    assert_eq!(out.dim(), (m, n), "matmul: output shape differs");
    if m == 0 || n == 0 {
        return;
    }
    let parallelism = if threads <= 1 { gemm::Parallelism::None } else { gemm::Parallelism::Rayon(threads) };
    let (out_rs, out_cs) = (out.strides()[0], out.strides()[1]);
    // SAFETY: pointers and strides come from live ndarray views whose shapes were checked above; `out` is a
    // unique borrow, so it cannot alias `a` or `b`.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            out_cs,
            out_rs,
            accumulate,
            a.as_ptr(),
            a.strides()[1],
            a.strides()[0],
            b.as_ptr(),
            b.strides()[1],
            b.strides()[0],
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            parallelism,
        );
    }
}
