//! The kernels of the `gemm` crate behind a shape-checked call.

use gemm_common::Parallelism;
use ndarray::{ArrayView2, ArrayViewMut2, Axis};

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

/// One concrete product per element type, so that the kernels are compiled here once and not again in every
/// crate that multiplies.
///
/// The crate never splits the inner dimension, so the bits do not depend on the thread count.
macro_rules! float {
    ($t:ty, $kernel:path) => {
        impl Float for $t {
            const ZERO: Self = 0.0;

            fn gemm(
                out: ArrayViewMut2<'_, Self>,
                a: ArrayView2<'_, Self>,
                b: ArrayView2<'_, Self>,
                accumulate: bool,
                threads: usize,
            ) {
                assert_eq!(b.nrows(), a.ncols(), "matmul: inner dimensions differ");
                assert_eq!(out.dim(), (a.nrows(), b.ncols()), "matmul: output shape differs");
                if out.is_empty() {
                    return;
                }
                // The kernels write columns: a row-major product is that of the transposes, turned.
                let (mut out, mut a, mut b) = if out.strides()[1].abs() < out.strides()[0].abs() {
                    (out.reversed_axes(), b.reversed_axes(), a.reversed_axes())
                } else {
                    (out, a, b)
                };
                // They expect strides that are not negative, where walking an axis backwards is free to undo.
                if out.strides()[0] < 0 {
                    out.invert_axis(Axis(0));
                    a.invert_axis(Axis(0));
                }
                if out.strides()[1] < 0 {
                    out.invert_axis(Axis(1));
                    b.invert_axis(Axis(1));
                }
                if a.strides()[1] < 0 {
                    a.invert_axis(Axis(1));
                    b.invert_axis(Axis(0));
                }
                let parallelism = if threads <= 1 { Parallelism::None } else { Parallelism::Rayon(threads) };
                let (out_rs, out_cs) = (out.strides()[0], out.strides()[1]);
                // SAFETY: pointers and strides come from live ndarray views whose shapes were checked above; `out`
                // is a unique borrow, so it cannot alias `a` or `b`.
                unsafe {
                    $kernel()(
                        a.nrows(),
                        b.ncols(),
                        a.ncols(),
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
                        // No conjugates: the numbers are real.
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
float!(f32, gemm_f32::gemm::f32::get_gemm_fn);
float!(f64, gemm_f64::gemm::f64::get_gemm_fn);
