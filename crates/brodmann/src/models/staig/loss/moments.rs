//! Sums of exponentials over all rows in linear time.
//!
//! Between unit rows `exp(s/τ)` is needed for `|s| ≤ 1` alone, where the first terms of its Chebyshev series
//! `I₀(β) + 2 Σ Iₖ(β) Tₖ(s)`, `β = 1/τ`, suffice. With `p(s) = a₀ + a₁ s + a₂ s²`
//!
//! ```text
//! Σⱼ p(zᵢ·zⱼ) = a₀ n + a₁ zᵢ·m + a₂ zᵢᵀ M zᵢ,   m = Σ zⱼ,  M = Σ zⱼ zⱼᵀ
//! ```
//!
//! which costs O(n·d²) instead of O(n²·d), per slice, and with image classes once more per class to take it out.
//!
//! The error of one term is largest at `s = 1`, where all `Tₖ` are 1: it is `exp(β) − p(1)`. A sum of `n` terms is
//! therefore at most `n` times that off, which [`super::ContrastValue::bound`] relates to the sums found.

use std::ops::Range;

use brodmann_kernels::{Interrupted, Monitor, Real};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::pairs::ContrastPairs;

/// Rows of one product.
const ROWS: usize = 256;
/// Products summed by one task: fixed, so that sums do not depend on the thread count.
const PRODUCTS: usize = 32;

/// `exp(β (s − 1))` on [−1, 1], to the second power of `s`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Polynomial {
    coefficients: [f64; 3],
    /// Largest absolute error on [−1, 1].
    pub error: f64,
}

impl Polynomial {
    /// The truncated Chebyshev series at `beta` = 1/τ.
    pub fn new(beta: f64) -> Self {
        let scale = (-beta).exp();
        let c = [bessel(0, beta), 2.0 * bessel(1, beta), 2.0 * bessel(2, beta)].map(|c| c * scale);
        // T₂(s) = 2s² − 1.
        let coefficients = [c[0] - c[2], c[1], 2.0 * c[2]];
        // The series at s = 1 sums to exp(β), so its tail there is what is missing. Summed directly: the difference
        // of the two would be rounding alone for small β.
        let tail: f64 = (3..40).map(|k| 2.0 * bessel(k, beta)).sum();
        Self { coefficients, error: tail * scale }
    }

    /// `p(s)`.
    #[inline]
    pub fn at(&self, s: f64) -> f64 {
        let [a, b, c] = self.coefficients;
        a + s * (b + s * c)
    }

    /// `p′(s)`.
    #[inline]
    pub fn slope(&self, s: f64) -> f64 {
        self.coefficients[1] + 2.0 * s * self.coefficients[2]
    }
}

/// The modified Bessel function `Iₖ(x)` for x ≥ 0, by its power series.
fn bessel(k: u32, x: f64) -> f64 {
    let half = 0.5 * x;
    let mut term: f64 = (1..=k).map(|m| half / f64::from(m)).product();
    let mut sum = 0.0;
    let mut m = 1.0;
    while term > sum * 1e-18 && m < 2000.0 {
        sum += term;
        term *= half * half / (m * (m + f64::from(k)));
        m += 1.0;
    }
    sum
}

/// First and second moments of a set of rows.
#[derive(Clone)]
struct Moments {
    first: Vec<f64>,
    second: Array2<f64>,
}

impl Moments {
    fn zero(d: usize) -> Self {
        Self { first: vec![0.0; d], second: Array2::zeros((d, d)) }
    }

    fn add(&mut self, other: &Self, sign: f64) {
        for (a, b) in self.first.iter_mut().zip(&other.first) {
            *a += sign * b;
        }
        self.second.scaled_add(sign, &other.second);
    }

    /// `Σ wᵣ zᵣ` and `Σ wᵣ zᵣ zᵣᵀ` over a range of rows, products in `T`, sums of products in f64.
    fn of<T: Real>(rows: ArrayView2<'_, T>, range: Range<usize>, weights: Option<&[f64]>) -> Self {
        let d = rows.ncols();
        let starts: Vec<usize> = range.clone().step_by(ROWS * PRODUCTS).collect();
        let parts: Vec<Self> = starts
            .into_par_iter()
            .map(|start| {
                let mut total = Self::zero(d);
                let mut product = Array2::from_elem((d, d), T::ZERO);
                let mut weighted = Array2::from_elem((ROWS, d), T::ZERO);
                let end = range.end.min(start + ROWS * PRODUCTS);
                for first in (start..end).step_by(ROWS) {
                    let last = end.min(first + ROWS);
                    let plain = rows_of(rows, &(first..last));
                    let (mut left, _) = weighted.view_mut().split_at(Axis(0), last - first);
                    for (r, (mut l, z)) in left.rows_mut().into_iter().zip(plain.rows()).enumerate() {
                        let w = weights.map_or(1.0, |w| w[first + r]);
                        for ((l, &z), sum) in l.iter_mut().zip(z).zip(&mut total.first) {
                            let value = w * z.into();
                            *sum += value;
                            *l = T::from_f64(value);
                        }
                    }
                    T::gemm(product.view_mut(), left.t(), plain, false, 1);
                    total.second.zip_mut_with(&product, |t, &p| *t += p.into());
                }
                total
            })
            .collect();
        let mut total = Self::zero(d);
        for part in &parts {
            total.add(part, 1.0);
        }
        total
    }
}

fn rows_of<'a, T>(rows: ArrayView2<'a, T>, range: &Range<usize>) -> ArrayView2<'a, T> {
    rows.split_at(Axis(0), range.end).0.split_at(Axis(0), range.start).1
}

/// Calls `f` for each set of rows that shares its partners: the row ranges, how many partners, and their moments.
fn for_each_set<T: Real>(
    rows: ArrayView2<'_, T>,
    pairs: &ContrastPairs,
    weights: Option<&[f64]>,
    monitor: &dyn Monitor,
    mut f: impl FnMut([Range<usize>; 2], usize, &Moments),
) -> Result<(), Interrupted> {
    let mut classes = pairs.classes().map(|c| c.iter().peekable());
    for (s, slice) in pairs.slices().iter().enumerate() {
        monitor.check()?;
        let whole = Moments::of(rows, 2 * slice.start..2 * slice.end, weights);
        let stacked = |places: &Range<usize>| {
            [
                slice.start + places.start..slice.start + places.end,
                slice.end + places.start..slice.end + places.end,
            ]
        };
        let Some(classes) = classes.as_mut() else {
            f(stacked(slice), 2 * slice.len(), &whole);
            continue;
        };
        while let Some((_, places)) = classes.next_if(|(of, _)| *of as usize == s) {
            monitor.check()?;
            let ranges = stacked(places);
            let mut others = whole.clone();
            for range in &ranges {
                others.add(&Moments::of(rows, range.clone(), weights), -1.0);
            }
            f(ranges, 2 * (slice.len() - places.len()), &others);
        }
    }
    Ok(())
}

/// `Σⱼ p(zᵢ·zⱼ)` for each row of the stack over the rows that [`brodmann_kernels::similarity`] would sum, and in
/// `slopes` its derivative by `zᵢ` alone.
pub(super) fn row_sums<T: Real>(
    rows: ArrayView2<'_, T>,
    pairs: &ContrastPairs,
    polynomial: &Polynomial,
    slopes: &mut Array2<T>,
    monitor: &dyn Monitor,
) -> Result<Vec<f64>, Interrupted> {
    let [a0, a1, a2] = polynomial.coefficients;
    let without_self = pairs.classes().is_none();
    let mut sums = vec![0.0; rows.nrows()];
    for_each_set(rows, pairs, None, monitor, |ranges, count, moments| {
        let linear: Vec<f64> = moments.first.iter().map(|m| a1 * m).collect();
        let quadratic = moments.second.mapv(|m| T::from_f64(a2 * m));
        for range in ranges {
            let sums = &mut sums[range.clone()];
            each_block(rows, &range, slopes, sums, |block, slopes, sums| {
                T::gemm(slopes.view_mut(), block, quadratic.view(), false, 1);
                for ((z, mut y), sum) in block.rows().into_iter().zip(slopes.rows_mut()).zip(sums) {
                    let (mut total, mut norm) = (0.0, 0.0);
                    for ((&z, y), l) in z.iter().zip(y.iter_mut()).zip(&linear) {
                        let (z, q): (f64, f64) = (z.into(), (*y).into());
                        total += z * (l + q);
                        norm += z * z;
                        *y = T::from_f64(l + 2.0 * q);
                    }
                    *sum = a0 * count as f64 + total;
                    if without_self {
                        *sum -= polynomial.at(norm);
                    }
                }
            });
        }
    })?;
    Ok(sums)
}

/// With `pushᵢ = ∂L/∂sumᵢ`: turns the slopes of [`row_sums`] into the gradient by every row.
pub(super) fn gradient<T: Real>(
    rows: ArrayView2<'_, T>,
    pairs: &ContrastPairs,
    polynomial: &Polynomial,
    push: &[f64],
    slopes: &mut Array2<T>,
    monitor: &dyn Monitor,
) -> Result<(), Interrupted> {
    let [_, a1, a2] = polynomial.coefficients;
    // The diagonal pair is in these sums though not in the loss; its gradient points along the row and vanishes when
    // the row's length is taken out.
    for_each_set(rows, pairs, Some(push), monitor, |ranges, _, moments| {
        let linear: Vec<T> = moments.first.iter().map(|m| T::from_f64(a1 * m)).collect();
        let quadratic = moments.second.mapv(|m| T::from_f64(2.0 * a2 * m));
        for range in ranges {
            let mut push = push[range.clone()].to_vec();
            each_block(rows, &range, slopes, &mut push, |block, slopes, push| {
                for (mut y, &g) in slopes.rows_mut().into_iter().zip(push.iter()) {
                    let g = T::from_f64(g);
                    for (y, &l) in y.iter_mut().zip(&linear) {
                        *y = g * *y + l;
                    }
                }
                T::gemm(slopes.view_mut(), block, quadratic.view(), true, 1);
            });
        }
    })
}

/// Calls `f(rows, rows of out, numbers)` on blocks of a range of rows, in parallel.
fn each_block<T: Real>(
    rows: ArrayView2<'_, T>,
    range: &Range<usize>,
    out: &mut Array2<T>,
    numbers: &mut [f64],
    f: impl Fn(ArrayView2<'_, T>, &mut ArrayViewMut2<'_, T>, &mut [f64]) + Sync,
) {
    let d = rows.ncols();
    if d == 0 {
        return;
    }
    let values = out.as_slice_mut().expect("the stack is row-major");
    values[range.start * d..range.end * d]
        .par_chunks_mut(ROWS * d)
        .zip(numbers.par_chunks_mut(ROWS))
        .enumerate()
        .for_each(|(k, (out, numbers))| {
            let first = range.start + k * ROWS;
            let block = rows_of(rows, &(first..first + numbers.len()));
            let mut out = ArrayViewMut2::from_shape((numbers.len(), d), out).expect("whole rows");
            f(block, &mut out, numbers);
        });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bessel_functions_have_their_tabulated_values() {
        // Abramowitz & Stegun, table 9.8.
        assert!((bessel(0, 1.0) - 1.266_065_877_752_008_4).abs() < 1e-15);
        assert!((bessel(1, 1.0) - 0.565_159_103_992_485).abs() < 1e-15);
        assert!((bessel(2, 0.1) - 0.0012510419922417593).abs() < 1e-17);
    }

    #[test]
    fn the_error_is_reached_at_one_and_nowhere_exceeded() {
        for tau in [0.5, 1.0, 2.0, 5.0, 10.0, 35.0] {
            let beta = 1.0 / tau;
            let p = Polynomial::new(beta);
            assert!((1.0 - p.at(1.0) - p.error).abs() < 1e-13, "τ = {tau}: {} {}", 1.0 - p.at(1.0), p.error);
            for k in 0..=1000 {
                let s = f64::from(k) / 500.0 - 1.0;
                assert!(((beta * (s - 1.0)).exp() - p.at(s)).abs() <= p.error + 1e-14);
            }
        }
    }
}
