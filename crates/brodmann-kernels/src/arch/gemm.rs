//! The `gemm` crate behind a shape-checked call.

use ndarray::{ArrayView2, ArrayViewMut2};

/// Element types the dense kernels exist for.
pub trait Float: Copy + Send + Sync + 'static + std::ops::AddAssign {
    /// `0`.
    const ZERO: Self;

    /// `out = a · b`, or `out += a · b` when `accumulate`; see [`matmul`](crate::matmul).
    ///
    /// # Panics
    /// When the shapes do not chain.
    fn gemm(
        out: ArrayViewMut2<'_, Self>,
        a: ArrayView2<'_, Self>,
        b: ArrayView2<'_, Self>,
        accumulate: bool,
        threads: usize,
    );
}

/// One concrete product per element type, so that the `gemm` crate is compiled here once and not again in every
/// crate that multiplies.
///
/// The crate never splits the inner dimension, so the bits do not depend on the thread count.
macro_rules! float {
    ($t:ty) => {
        impl Float for $t {
            const ZERO: Self = 0.0;

            fn gemm(
                mut out: ArrayViewMut2<'_, Self>,
                a: ArrayView2<'_, Self>,
                b: ArrayView2<'_, Self>,
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
                let parallelism =
                    if threads <= 1 { gemm::Parallelism::None } else { gemm::Parallelism::Rayon(threads) };
                let (out_rs, out_cs) = (out.strides()[0], out.strides()[1]);
                // SAFETY: pointers and strides come from live ndarray views whose shapes were checked above; `out`
                // is a unique borrow, so it cannot alias `a` or `b`.
                unsafe {
                    gemm::gemm::<$t>(
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
                        1.0,
                        1.0,
                        false,
                        false,
                        false,
                        parallelism,
                    );
                }
            }
        }
    };
}
float!(f32);
float!(f64);
