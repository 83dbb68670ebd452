//! Loops over the lower triangle of a symmetric matrix, in one pass over it each.
//!
//! Rows are `stride` apart; row `r` holds the columns up to `r`. Sums are those of sixteen lanes, and the portable
//! copy rounds products, as everywhere (see [`simd`](crate::simd)).

use crate::simd::{Simd, active};

const LANES: usize = 16;

#[inline(always)]
fn fma<const FUSED: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

#[inline(always)]
fn times_body<const FUSED: bool>(triangle: &[f64], stride: usize, v: &[f64], out: &mut [f64]) {
    for (r, row) in triangle.chunks_exact(stride).enumerate().take(v.len()) {
        let factor = v[r];
        let (rows, row_rest) = row[..r].as_chunks::<LANES>();
        let (vs, v_rest) = v[..r].as_chunks::<LANES>();
        let (outs, out_rest) = out[..r].as_chunks_mut::<LANES>();
        let mut sums = [0.0; LANES];
        for ((row, v), out) in rows.iter().zip(vs).zip(outs) {
            for l in 0..LANES {
                sums[l] = fma::<FUSED>(row[l], v[l], sums[l]);
                out[l] = fma::<FUSED>(row[l], factor, out[l]);
            }
        }
        for (((row, v), out), sum) in row_rest.iter().zip(v_rest).zip(out_rest).zip(&mut sums) {
            *sum = fma::<FUSED>(*row, *v, *sum);
            *out = fma::<FUSED>(*row, factor, *out);
        }
        out[r] += row[r] * factor + sums.iter().sum::<f64>();
    }
}

#[inline(always)]
fn subtract_body<const FUSED: bool>(triangle: &mut [f64], stride: usize, v: &[f64], w: &[f64]) {
    for (r, row) in triangle.chunks_exact_mut(stride).enumerate().take(v.len()) {
        let (a, b) = (-v[r], -w[r]);
        for ((to, v), w) in row[..=r].iter_mut().zip(v).zip(w) {
            *to = fma::<FUSED>(a, *w, fma::<FUSED>(b, *v, *to));
        }
    }
}

macro_rules! dispatched {
    ($(#[$doc:meta])* $name:ident = $body:ident($($arg:ident: $ty:ty),*)) => {
        $(#[$doc])*
        pub(crate) fn $name($($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
            fn wide($($arg: $ty),*) {
                $body::<true>($($arg),*);
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn narrow($($arg: $ty),*) {
                $body::<true>($($arg),*);
            }
            match active() {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: `active` detected the features on this processor.
                Simd::Avx512 => unsafe { wide($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                Simd::Avx2 => unsafe { narrow($($arg),*) },
                _ => $body::<false>($($arg),*),
            }
        }
    };
}

dispatched!(
    /// `out = A v` for the symmetric `A` of as many rows as `v` has places.
    ///
    /// # Panics
    /// When `out` is shorter than `v`, or a row than `stride`.
    triangle_times = cleared_times(triangle: &[f64], stride: usize, v: &[f64], out: &mut [f64])
);
dispatched!(
    /// `A −= v wᵀ + w vᵀ`.
    ///
    /// # Panics
    /// When `w` is shorter than `v`, or a row than `stride`.
    triangle_subtract = subtract_body(triangle: &mut [f64], stride: usize, v: &[f64], w: &[f64])
);

#[inline(always)]
fn cleared_times<const FUSED: bool>(triangle: &[f64], stride: usize, v: &[f64], out: &mut [f64]) {
    out.fill(0.0);
    times_body::<FUSED>(triangle, stride, v, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_copy_follows_the_definition() {
        let stride = 50;
        for n in [1, 2, 15, 17, 33, 48] {
            let number = |i: usize, j: usize| ((i * 31 + j * 17) % 23) as f64 - 11.0;
            let triangle: Vec<f64> = (0..n * stride).map(|at| number(at / stride, at % stride)).collect();
            let at = |i: usize, j: usize| triangle[i.max(j) * stride + i.min(j)];
            let v: Vec<f64> = (0..n).map(|i| number(i, 3)).collect();
            let w: Vec<f64> = (0..n).map(|i| number(3, i)).collect();
            let product: Vec<f64> = (0..n).map(|i| (0..n).map(|j| at(i, j) * v[j]).sum()).collect();
            // Whole numbers: every order of summation is exact.
            let (mut fast, mut plain) = (vec![7.0; n], vec![7.0; n]);
            triangle_times(&triangle, stride, &v, &mut fast);
            cleared_times::<false>(&triangle, stride, &v, &mut plain);
            assert_eq!((&fast, &plain), (&product, &product));
            let (mut fast, mut plain) = (triangle.clone(), triangle.clone());
            triangle_subtract(&mut fast, stride, &v, &w);
            subtract_body::<false>(&mut plain, stride, &v, &w);
            assert_eq!(fast, plain);
            for i in 0..n {
                for j in 0..=i {
                    assert_eq!(fast[i * stride + j], at(i, j) - v[i] * w[j] - w[i] * v[j]);
                }
            }
        }
    }
}
