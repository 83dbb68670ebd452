//! Elementwise work on a tile of similarities: exponential, exclusions, and sums or weights, in one pass per row.

use std::ops::Range;

use crate::simd::Simd;

/// Lanes of partial row sums: fixed, so that a sum is the same on every instruction set of equal rounding.
const LANES: usize = 16;

/// A tile of `n_rows × n_cols` similarities, the rows one behind the other.
pub struct Tile<'a, T> {
    /// Similarities in, results out.
    pub values: &'a mut [T],
    /// Columns of a row.
    pub n_cols: usize,
    /// First column in the whole matrix: exclusions are given in its numbering.
    pub first_col: u32,
    /// Excluded columns of each row, at most two ranges.
    pub excluded: &'a [[u32; 4]],
    /// 1/τ.
    pub beta: T,
}

macro_rules! tiles {
    ($t:ident) => {
        pub(crate) mod $t {
            use super::{LANES, Range, Simd, Tile};
            use crate::arch::elementary::$t::exp_shifted;

            /// `row = exp(β (row − 1))`, zero in the excluded columns.
            #[inline(always)]
            fn exponentials<const FUSED: bool>(row: &mut [$t], beta: $t, first: u32, excluded: &[u32; 4]) {
                for x in row.iter_mut() {
                    *x = exp_shifted::<FUSED>(*x, beta);
                }
                let n = row.len();
                for range in [excluded[0]..excluded[1], excluded[2]..excluded[3]] {
                    row[local(&range, first, n)].fill(0.0);
                }
            }

            #[inline(always)]
            fn local(range: &Range<u32>, first: u32, n: usize) -> Range<usize> {
                let start = (range.start.saturating_sub(first) as usize).min(n);
                let end = (range.end.saturating_sub(first) as usize).min(n);
                start..end.max(start)
            }

            #[inline(always)]
            fn sums_body<const FUSED: bool>(tile: Tile<'_, $t>, row_sums: &mut [f64], col_sums: &mut [$t]) {
                let n = tile.n_cols;
                let rows = tile.values.chunks_exact_mut(n).zip(tile.excluded).zip(row_sums);
                for ((row, excluded), row_sum) in rows {
                    exponentials::<FUSED>(row, tile.beta, tile.first_col, excluded);
                    let mut lanes = [0.0; LANES];
                    let mut chunks = row.chunks_exact(LANES);
                    for chunk in &mut chunks {
                        for (lane, x) in lanes.iter_mut().zip(chunk) {
                            *lane += x;
                        }
                    }
                    for (lane, x) in lanes.iter_mut().zip(chunks.remainder()) {
                        *lane += x;
                    }
                    *row_sum += f64::from(lanes.iter().sum::<$t>());
                    for (col, x) in col_sums.iter_mut().zip(&*row) {
                        *col += x;
                    }
                }
            }

            #[inline(always)]
            fn weights_body<const FUSED: bool>(tile: Tile<'_, $t>, row_weights: &[$t], col_weights: &[$t]) {
                let n = tile.n_cols;
                let rows = tile.values.chunks_exact_mut(n).zip(tile.excluded).zip(row_weights);
                for ((row, excluded), &weight) in rows {
                    exponentials::<FUSED>(row, tile.beta, tile.first_col, excluded);
                    for (x, &other) in row.iter_mut().zip(col_weights) {
                        *x *= weight + other;
                    }
                }
            }

            /// Turns similarities into `exp(β (s − 1))` and adds them to the sums of their rows and columns;
            /// `col_sums` may be empty.
            pub(crate) fn sums(simd: Simd, tile: Tile<'_, $t>, row_sums: &mut [f64], col_sums: &mut [$t]) {
                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
                fn avx512(tile: Tile<'_, $t>, row_sums: &mut [f64], col_sums: &mut [$t]) {
                    sums_body::<true>(tile, row_sums, col_sums);
                }
                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = "avx2,fma")]
                fn avx2(tile: Tile<'_, $t>, row_sums: &mut [f64], col_sums: &mut [$t]) {
                    sums_body::<true>(tile, row_sums, col_sums);
                }
                match simd {
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: the features were detected on this processor.
                    Simd::Avx512 if crate::simd::has(simd) => unsafe { avx512(tile, row_sums, col_sums) },
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: as above.
                    Simd::Avx2 if crate::simd::has(simd) => unsafe { avx2(tile, row_sums, col_sums) },
                    _ => sums_body::<false>(tile, row_sums, col_sums),
                }
            }

            /// Turns similarities into `exp(β (s − 1)) · (row weight + column weight)`.
            pub(crate) fn weights(simd: Simd, tile: Tile<'_, $t>, row_weights: &[$t], col_weights: &[$t]) {
                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
                fn avx512(tile: Tile<'_, $t>, row_weights: &[$t], col_weights: &[$t]) {
                    weights_body::<true>(tile, row_weights, col_weights);
                }
                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = "avx2,fma")]
                fn avx2(tile: Tile<'_, $t>, row_weights: &[$t], col_weights: &[$t]) {
                    weights_body::<true>(tile, row_weights, col_weights);
                }
                match simd {
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: the features were detected on this processor.
                    Simd::Avx512 if crate::simd::has(simd) => unsafe {
                        avx512(tile, row_weights, col_weights);
                    },
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: as above.
                    Simd::Avx2 if crate::simd::has(simd) => unsafe { avx2(tile, row_weights, col_weights) },
                    _ => weights_body::<false>(tile, row_weights, col_weights),
                }
            }
        }
    };
}
tiles!(f32);
tiles!(f64);
