//! Products of sparse features with two differently masked copies of one weight matrix, in one pass over the features.
//!
//! Two views of the same data lack different features. As most features are in both, the sum over those is formed once
//! and the few of one view alone are added; on the way back the same holds for the two gradients.

use crate::csr::CsrView;
use crate::simd::{Simd, active};

/// The feature is in view 1.
pub const FIRST: u8 = 1;
/// The feature is in view 2.
pub const SECOND: u8 = 2;
/// The feature is in both views.
pub const BOTH: u8 = FIRST | SECOND;

/// The loops, per element type.
pub trait MaskedKernels: Copy + Send + Sync + Sized {
    /// For the rows of `a` from `first_row` that the outputs have room for: `outᵥ = Σⱼ a_ij · [j in view v] · wⱼ`.
    /// `scratch` holds `3 · width` elements.
    ///
    /// # Panics
    /// When `weights` has not `width` elements, or `masks` not one, per column of `a`, or the outputs differ in length.
    fn masked_rows(
        a: CsrView<'_, Self>,
        first_row: usize,
        weights: &[Self],
        masks: &[u8],
        outs: [&mut [Self]; 2],
        width: usize,
        scratch: &mut [Self],
    );

    /// `gradientⱼ += Σᵢ a_ij · Σᵥ [j in view v] · upstreamᵥᵢ` over the rows of `a` from `first_row` that `upstreams` hold.
    ///
    /// # Panics
    /// As above.
    fn masked_scatter(
        a: CsrView<'_, Self>,
        first_row: usize,
        upstreams: [&[Self]; 2],
        masks: &[u8],
        gradient: &mut [Self],
        width: usize,
        scratch: &mut [Self],
    );
}

macro_rules! masked_kernels {
    ($t:ident) => {
        mod $t {
            use super::*;

            /// `out += a · x`.
            #[inline(always)]
            fn add<const FUSED: bool>(out: &mut [$t], a: $t, x: &[$t]) {
                for (o, &x) in out.iter_mut().zip(x) {
                    *o = if FUSED { a.mul_add(x, *o) } else { *o + a * x };
                }
            }

            #[inline(always)]
            pub(super) fn rows_body<const FUSED: bool>(
                a: CsrView<'_, $t>,
                first_row: usize,
                weights: &[$t],
                masks: &[u8],
                outs: [&mut [$t]; 2],
                width: usize,
                scratch: &mut [$t],
            ) {
                let [out1, out2] = outs;
                let scratch = &mut scratch[..3 * width];
                let rows = out1.chunks_exact_mut(width).zip(out2.chunks_exact_mut(width));
                for (k, (row1, row2)) in rows.enumerate() {
                    scratch.fill(0.0);
                    let (columns, values) = a.row(first_row + k);
                    for (&j, &v) in columns.iter().zip(values) {
                        let j = j as usize;
                        let mask = usize::from(masks[j] & BOTH);
                        if mask > 0 {
                            let sum = &mut scratch[(mask - 1) * width..mask * width];
                            add::<FUSED>(sum, v, &weights[j * width..(j + 1) * width]);
                        }
                    }
                    let (first, rest) = scratch.split_at(width);
                    let (second, both) = rest.split_at(width);
                    for ((o, &own), &b) in row1.iter_mut().zip(first).zip(both) {
                        *o = own + b;
                    }
                    for ((o, &own), &b) in row2.iter_mut().zip(second).zip(both) {
                        *o = own + b;
                    }
                }
            }

            #[inline(always)]
            pub(super) fn scatter_body<const FUSED: bool>(
                a: CsrView<'_, $t>,
                first_row: usize,
                upstreams: [&[$t]; 2],
                masks: &[u8],
                gradient: &mut [$t],
                width: usize,
                scratch: &mut [$t],
            ) {
                let scratch = &mut scratch[..3 * width];
                let rows = upstreams[0].chunks_exact(width).zip(upstreams[1].chunks_exact(width));
                for (k, (up1, up2)) in rows.enumerate() {
                    scratch[..width].copy_from_slice(up1);
                    scratch[width..2 * width].copy_from_slice(up2);
                    for ((sum, &x), &y) in scratch[2 * width..].iter_mut().zip(up1).zip(up2) {
                        *sum = x + y;
                    }
                    let (columns, values) = a.row(first_row + k);
                    for (&j, &v) in columns.iter().zip(values) {
                        let j = j as usize;
                        let mask = usize::from(masks[j] & BOTH);
                        if mask > 0 {
                            let source = &scratch[(mask - 1) * width..mask * width];
                            add::<FUSED>(&mut gradient[j * width..(j + 1) * width], v, source);
                        }
                    }
                }
            }
        }

        impl MaskedKernels for $t {
            fn masked_rows(
                a: CsrView<'_, Self>,
                first_row: usize,
                weights: &[Self],
                masks: &[u8],
                outs: [&mut [Self]; 2],
                width: usize,
                scratch: &mut [Self],
            ) {
                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
                fn avx512(
                    a: CsrView<'_, $t>,
                    first_row: usize,
                    weights: &[$t],
                    masks: &[u8],
                    outs: [&mut [$t]; 2],
                    width: usize,
                    scratch: &mut [$t],
                ) {
                    $t::rows_body::<true>(a, first_row, weights, masks, outs, width, scratch);
                }
                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = "avx2,fma")]
                fn avx2(
                    a: CsrView<'_, $t>,
                    first_row: usize,
                    weights: &[$t],
                    masks: &[u8],
                    outs: [&mut [$t]; 2],
                    width: usize,
                    scratch: &mut [$t],
                ) {
                    $t::rows_body::<true>(a, first_row, weights, masks, outs, width, scratch);
                }
                check(a.n_cols(), weights.len(), masks.len(), width);
                assert_eq!(outs[0].len(), outs[1].len(), "both views have the same rows");
                if width == 0 {
                    return;
                }
                match active() {
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: `active` names what was detected on this processor.
                    Simd::Avx512 => unsafe { avx512(a, first_row, weights, masks, outs, width, scratch) },
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: as above.
                    Simd::Avx2 => unsafe { avx2(a, first_row, weights, masks, outs, width, scratch) },
                    _ => $t::rows_body::<false>(a, first_row, weights, masks, outs, width, scratch),
                }
            }

            fn masked_scatter(
                a: CsrView<'_, Self>,
                first_row: usize,
                upstreams: [&[Self]; 2],
                masks: &[u8],
                gradient: &mut [Self],
                width: usize,
                scratch: &mut [Self],
            ) {
                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
                fn avx512(
                    a: CsrView<'_, $t>,
                    first_row: usize,
                    upstreams: [&[$t]; 2],
                    masks: &[u8],
                    gradient: &mut [$t],
                    width: usize,
                    scratch: &mut [$t],
                ) {
                    $t::scatter_body::<true>(a, first_row, upstreams, masks, gradient, width, scratch);
                }
                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = "avx2,fma")]
                fn avx2(
                    a: CsrView<'_, $t>,
                    first_row: usize,
                    upstreams: [&[$t]; 2],
                    masks: &[u8],
                    gradient: &mut [$t],
                    width: usize,
                    scratch: &mut [$t],
                ) {
                    $t::scatter_body::<true>(a, first_row, upstreams, masks, gradient, width, scratch);
                }
                check(a.n_cols(), gradient.len(), masks.len(), width);
                assert_eq!(upstreams[0].len(), upstreams[1].len(), "both views have the same rows");
                if width == 0 {
                    return;
                }
                match active() {
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: `active` names what was detected on this processor.
                    Simd::Avx512 => unsafe {
                        avx512(a, first_row, upstreams, masks, gradient, width, scratch);
                    },
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: as above.
                    Simd::Avx2 => unsafe {
                        avx2(a, first_row, upstreams, masks, gradient, width, scratch);
                    },
                    _ => $t::scatter_body::<false>(a, first_row, upstreams, masks, gradient, width, scratch),
                }
            }
        }
    };
}
masked_kernels!(f32);
masked_kernels!(f64);

fn check(n_cols: usize, weights: usize, masks: usize, width: usize) {
    assert_eq!(weights, n_cols * width, "one row of weights per feature");
    assert_eq!(masks, n_cols, "one mask per feature");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csr::CsrMatrix;

    fn dense(n: usize, d: usize, salt: usize) -> ndarray::Array2<f64> {
        ndarray::Array2::from_shape_fn((n, d), |(i, j)| {
            let x = (i * 31 + j * 17 + salt * 7) % 11;
            if x < 5 { 0.0 } else { x as f64 - 7.0 }
        })
    }

    #[test]
    fn both_views_equal_products_with_masked_weights() {
        let (n, f, width) = (13, 10, 19);
        let x = dense(n, f, 1);
        let a = CsrMatrix::from_dense(x.view());
        let w = dense(f, width, 2);
        let masks: Vec<u8> = (0..f).map(|j| (j % 4) as u8).collect();
        let masked = |view: u8, m: &ndarray::Array2<f64>| {
            let mut m = m.clone();
            for (mut row, mask) in m.rows_mut().into_iter().zip(&masks) {
                if mask & view == 0 {
                    row.fill(0.0);
                }
            }
            m
        };
        let mut outs = [vec![9.0; 11 * width], vec![9.0; 11 * width]];
        let mut scratch = vec![7.0; 3 * width];
        let [o1, o2] = &mut outs;
        f64::masked_rows(a.view(), 2, w.as_slice().unwrap(), &masks, [o1, o2], width, &mut scratch);
        for (out, view) in outs.iter().zip([FIRST, SECOND]) {
            let expected = x.dot(&masked(view, &w));
            let expected: Vec<f64> = expected.iter().skip(2 * width).copied().collect();
            assert_eq!(*out, expected);
        }

        let ups = [dense(n, width, 3), dense(n, width, 4)];
        let mut gradient = vec![1.0; f * width];
        let slices = [0, 1].map(|v: usize| ups[v].as_slice().unwrap());
        f64::masked_scatter(a.view(), 0, slices, &masks, &mut gradient, width, &mut scratch);
        let expected = 1.0 + masked(FIRST, &x.t().dot(&ups[0])) + masked(SECOND, &x.t().dot(&ups[1]));
        assert_eq!(gradient, expected.into_raw_vec_and_offset().0);
    }
}
