//! Sparse rows times 32 columns of a dense matrix, in single precision.
//!
//! ```text
//! out[i] += Σ_j a_ij · dense[j]          (out and dense: rows of 32)
//! ```
//!
//! A row of sums stays in registers until its last entry. 256 rows of `dense` are 32 KB, the first-level cache of a core.

use crate::csr::CsrView;
use crate::simd::{Simd, active};

/// Columns multiplied together.
pub const WIDTH: usize = 32;
/// Rows of the dense matrix that the first-level cache holds.
pub const ROWS: usize = 256;

#[inline(always)]
fn body<const FUSED: bool>(a: CsrView<'_, f32>, dense: &[[f32; WIDTH]], out: &mut [[f32; WIDTH]]) {
    for (i, out) in out.iter_mut().enumerate() {
        let (columns, values) = a.row(i);
        let mut sums = *out;
        for (&j, &v) in columns.iter().zip(values) {
            let row = &dense[j as usize];
            for l in 0..WIDTH {
                sums[l] = if FUSED { v.mul_add(row[l], sums[l]) } else { sums[l] + v * row[l] };
            }
        }
        *out = sums;
    }
}

/// `out += a · dense` for the first `out.len()` rows of `a`.
///
/// # Panics
/// When `a` has fewer rows, or more columns than `dense` has rows.
pub fn sparse_times(a: CsrView<'_, f32>, dense: &[[f32; WIDTH]], out: &mut [[f32; WIDTH]]) {
    on(active(), a, dense, out);
}

fn on(simd: Simd, a: CsrView<'_, f32>, dense: &[[f32; WIDTH]], out: &mut [[f32; WIDTH]]) {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
    fn wide(a: CsrView<'_, f32>, dense: &[[f32; WIDTH]], out: &mut [[f32; WIDTH]]) {
        body::<true>(a, dense, out);
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn narrow(a: CsrView<'_, f32>, dense: &[[f32; WIDTH]], out: &mut [[f32; WIDTH]]) {
        body::<true>(a, dense, out);
    }
    match simd {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the features were detected on this processor.
        Simd::Avx512 if crate::simd::has(simd) => unsafe { wide(a, dense, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Simd::Avx2 if crate::simd::has(simd) => unsafe { narrow(a, dense, out) },
        _ => body::<false>(a, dense, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CsrMatrix;

    #[test]
    fn rows_of_32_follow_the_definition_on_every_instruction_set() {
        let number = |i: usize, j: usize| (((i * 31 + j * 17) % 97) as f32 - 48.0) / 7.0;
        let rows: Vec<Vec<(u32, f32)>> = (0..9)
            .map(|i| (0..40).filter(|j| (i * j) % 3 == 1).map(|j| (j as u32, number(i, j))).collect())
            .collect();
        let a = CsrMatrix::from_rows(40, &rows);
        let dense: Vec<[f32; WIDTH]> = (0..40).map(|j| std::array::from_fn(|l| number(j + 5, l))).collect();
        let start: Vec<[f32; WIDTH]> = (0..7).map(|i| std::array::from_fn(|l| number(i, l + 3))).collect();
        let mut fused: Option<Vec<[f32; WIDTH]>> = None;
        for simd in crate::simd::available() {
            let mut out = start.clone();
            on(simd, a.view(), &dense, &mut out);
            for (i, (out, start)) in out.iter().zip(&start).enumerate() {
                for l in 0..WIDTH {
                    let sum: f32 = rows[i].iter().map(|(j, v)| v * dense[*j as usize][l]).sum();
                    assert!((out[l] - start[l] - sum).abs() < 1e-3, "{simd:?} {i} {l}");
                }
            }
            // A fused operation is the same on both sets that have it.
            assert!(simd == Simd::Portable || *fused.get_or_insert_with(|| out.clone()) == out, "{simd:?}");
        }
    }
}
