//! The kernels of the `gemm` crate behind a shape-checked call that gives the same bits on every processor that can fuse a
//! multiplication with an addition.
//!
//! Those kernels differ in width from one instruction set to the next, but each element is summed by itself and in order.
//! What would differ is kept from them: where the inner dimension is cut depends on the processor's caches beyond 512,
//! and vectors, inner dimensions of one or two, and small products of contiguous rows and columns have ways of their own.
//!
//! ```text
//! out_ij (+)= Σ over chunks of 512 of l:  s = 0;  for l in chunk:  s = fma(a_il, b_lj, s)
//! ```

use gemm_common::Parallelism;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, ShapeBuilder, Slice};

/// Most of the inner dimension that the kernels sum in one go on any processor …
const INNER: usize = 512;
/// … and least.
const INNER_MIN: usize = 3;
/// Elements up to which a product of contiguous rows and columns would go its own way.
const SMALL: usize = 256;

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

/// A copy, column by column, with columns of zeros behind it.
fn padded<T: Float>(a: ArrayView2<'_, T>, n_columns: usize) -> Array2<T> {
    let mut out = Array2::from_elem((a.nrows(), n_columns).f(), T::ZERO);
    out.slice_axis_mut(Axis(1), Slice::from(..a.ncols())).assign(&a);
    out
}

/// Where the inner dimension is cut.
fn chunks(k: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let left = k - start;
        let take = match left {
            0 => return None,
            1..=INNER => left,
            // No end of one or two.
            _ if left - INNER < INNER_MIN => INNER - INNER_MIN,
            _ => INNER,
        };
        start += take;
        Some(start - take..start)
    })
}

/// One concrete product per element type, so that the kernels are compiled here once and not again in every
/// crate that multiplies.
///
/// Threads share out rows and columns, never the inner dimension, so the bits do not depend on their number.
macro_rules! float {
    ($t:ty, $kernel:path) => {
        impl Float for $t {
            const ZERO: Self = 0.0;

            fn gemm(
                mut out: ArrayViewMut2<'_, Self>,
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
                if a.ncols() == 0 {
                    if !accumulate {
                        out.fill(0.0);
                    }
                    return;
                }
                if b.ncols() == 1 {
                    // A second column, so that a vector is multiplied as any matrix.
                    let mut wide = padded(out.view(), 2);
                    Self::gemm(wide.view_mut(), a, padded(b, 2).view(), accumulate, threads);
                    return out.column_mut(0).assign(&wide.column(0));
                }
                if a.nrows() == 1 {
                    let (out, a, b) = (out.reversed_axes(), b.reversed_axes(), a.reversed_axes());
                    return Self::gemm(out, a, b, accumulate, threads);
                }
                if (1..INNER_MIN).contains(&a.ncols()) {
                    let (a, b) = (padded(a, INNER_MIN), padded(b.reversed_axes(), INNER_MIN));
                    return Self::gemm(out, a.view(), b.t(), accumulate, threads);
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
                // Contiguous rows times contiguous columns would go their own way.
                let copy;
                if out.len() <= SMALL && a.strides()[1] == 1 && b.strides()[0] == 1 {
                    copy = padded(a, a.ncols());
                    a = copy.view();
                }
                let parallelism = if threads <= 1 { Parallelism::None } else { Parallelism::Rayon(threads) };
                let (out_rs, out_cs) = (out.strides()[0], out.strides()[1]);
                let mut accumulate = accumulate;
                for inner in chunks(a.ncols()) {
                    let a = a.slice_axis(Axis(1), Slice::from(inner.clone()));
                    let b = b.slice_axis(Axis(0), Slice::from(inner));
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
                    accumulate = true;
                }
            }
        }
    };
}
float!(f32, gemm_f32::gemm::f32::get_gemm_fn);
float!(f64, gemm_f64::gemm::f64::get_gemm_fn);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Simd, has};

    fn value(at: usize) -> f64 {
        crate::Seed(11).word(at as u64) as f64 / u64::MAX as f64 - 0.5
    }

    /// Rows or columns one behind the other.
    fn matrix<T: Float>((m, n): (usize, usize), by_column: bool, salt: usize, of: fn(f64) -> T) -> Array2<T> {
        let shape = (m, n).set_f(by_column);
        let mut out = Array2::from_elem(shape, T::ZERO);
        out.indexed_iter_mut().for_each(|((i, j), v)| *v = of(value(salt + i * 7919 + j)));
        out
    }

    /// Rows and columns of the result from the last to the first, and every other place of larger matrices.
    fn walks_backwards_and_skips<T: Float + PartialEq + std::fmt::Debug>(
        a: &Array2<T>,
        b: &Array2<T>,
        before: &Array2<T>,
    ) {
        let spread = |m: &Array2<T>, backwards: &[usize]| {
            let mut out = Array2::from_elem((2 * m.nrows(), 2 * m.ncols()), T::ZERO);
            every_other(&mut out, backwards).assign(m);
            out
        };
        let (mut a_spread, mut b_spread) = (spread(a, &[0]), spread(b, &[1]));
        let mut found = spread(before, &[0, 1]);
        let (left, right) = (every_other(&mut a_spread, &[0]), every_other(&mut b_spread, &[1]));
        T::gemm(every_other(&mut found, &[0, 1]), left.view(), right.view(), true, 1);
        let mut plain = before.clone();
        T::gemm(plain.view_mut(), a.view(), b.view(), true, 1);
        assert_eq!(every_other(&mut found, &[0, 1]), plain);
    }

    fn every_other<'a, T>(m: &'a mut Array2<T>, backwards: &[usize]) -> ArrayViewMut2<'a, T> {
        let rows = m.view_mut().slice_axis_move(Axis(0), Slice::new(0, None, 2));
        let mut by_two = rows.slice_axis_move(Axis(1), Slice::new(0, None, 2));
        for axis in backwards {
            by_two.invert_axis(Axis(*axis));
        }
        by_two
    }

    macro_rules! definition {
        ($name:ident, $t:ty, $of:expr) => {
            /// Whatever the processor, so that all give the same bits.
            #[test]
            fn $name() {
                if cfg!(target_arch = "x86_64") && !has(Simd::Avx2) {
                    eprintln!("skipped: this processor cannot fuse a multiplication with an addition");
                    return;
                }
                let inner = [1, 2, 3, 4, 7, 31, 100, 512, 513, 514, 515, 1025, 1030, 1600];
                for (m, n) in [
                    (1, 1),
                    (1, 40),
                    (70, 1),
                    (2, 2),
                    (2, 9),
                    (3, 85),
                    (16, 16),
                    (16, 17),
                    (33, 7),
                    (65, 64),
                    (130, 70),
                ] {
                    for k in inner.into_iter().filter(|k| k * m * n < 3_000_000) {
                        for layout in 0..9 {
                            let a = matrix::<$t>((m, k), layout & 1 > 0, 1, $of);
                            let b = matrix::<$t>((k, n), layout & 2 > 0, 2, $of);
                            let before = matrix::<$t>((m, n), layout & 4 > 0, 3, $of);
                            if layout == 8 {
                                walks_backwards_and_skips(&a, &b, &before);
                                continue;
                            }
                            for (accumulate, threads) in [(false, 1), (true, 1), (true, 3)] {
                                let mut out = before.clone();
                                <$t>::gemm(out.view_mut(), a.view(), b.view(), accumulate, threads);
                                for ((i, j), found) in out.indexed_iter() {
                                    let start = if accumulate { before[[i, j]] } else { 0.0 };
                                    let expected = chunks(k).fold(start, |sum, inner| {
                                        sum + inner.fold(0.0, |s: $t, l| a[[i, l]].mul_add(b[[l, j]], s))
                                    });
                                    assert_eq!(
                                        *found, expected,
                                        "{m} {k} {n} {layout} {accumulate}: {i} {j}"
                                    );
                                }
                            }
                        }
                    }
                }
            }
        };
    }
    definition!(products_are_fused_sums_in_order_f64, f64, |v| v);
    definition!(products_are_fused_sums_in_order_f32, f32, |v| v as f32);

    #[test]
    fn nothing_adds_up_to_zero() {
        let (a, b) = (Array2::from_elem((3, 0), 0.0), Array2::from_elem((0, 4), 0.0));
        let mut out = Array2::from_elem((3, 4), 1.0);
        f64::gemm(out.view_mut(), a.view(), b.view(), true, 1);
        assert!(out.iter().all(|v| *v == 1.0));
        f64::gemm(out.view_mut(), a.view(), b.view(), false, 1);
        assert!(out.iter().all(|v| *v == 0.0));
    }

    #[test]
    fn chunks_are_of_three_to_512() {
        for k in [0, 1, 2, 3, 511, 512, 513, 514, 515, 1023, 1024, 1025, 1026, 5000, 512 * 601 + 1] {
            let all: Vec<_> = chunks(k).collect();
            assert_eq!(all.iter().map(ExactSizeIterator::len).sum::<usize>(), k);
            assert!(all.windows(2).all(|w| w[0].end == w[1].start));
            assert!(all.iter().all(|c| c.len() <= INNER && (k < INNER_MIN || c.len() >= INNER_MIN)), "{k}");
        }
    }
}
