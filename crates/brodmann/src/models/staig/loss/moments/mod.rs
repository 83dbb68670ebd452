//! Sums of exponentials over all rows in linear time.
//!
//! Between unit rows `exp(s/τ)` is needed for `|s| ≤ 1` alone, where the first terms of its Chebyshev series
//! `I₀(β) + 2 Σ Iₖ(β) Tₖ(s)`, `β = 1/τ`, suffice. With `p(s) = a₀ + a₁ s + a₂ s²`
//!
//! ```text
//! Σⱼ p(zᵢ·zⱼ) = a₀ n + a₁ zᵢ·m + a₂ zᵢᵀ M zᵢ,   m = Σ zⱼ,  M = Σ zⱼ zⱼᵀ
//! ```
//!
//! which costs O(n·d²) instead of O(n²·d), per slice, and with image classes once more per class to take it out. Below
//! τ = 5 two more powers are added in a few directions (`high`).
//!
//! The error of one term is largest at `s = 1`, where all `Tₖ` are 1: it is `exp(β) − p(1)`. A sum of `n` terms is
//! therefore at most `n` times that off, which [`super::ContrastValue::bound`] relates to the sums found.
//!
//! * `polynomial`: the coefficients.
//! * `high`: third and fourth power.

mod high;
mod polynomial;

use std::ops::Range;

use brodmann_kernels::{Interrupted, Monitor, ParallelLoop, Real};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

pub(super) use self::high::Basis;
use self::high::HighMoments;
pub use self::polynomial::Polynomial;
use super::pairs::ContrastPairs;

/// Rows of one product.
const ROWS: usize = 256;
/// Products summed by one task: fixed, so that sums do not depend on the thread count.
const PRODUCTS: usize = 32;

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
            .collect_vec();
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

/// A set of rows that shares its partners.
struct Set<'a, T> {
    /// Its rows in either view.
    ranges: [Range<usize>; 2],
    /// How many partners there are, and their moments.
    n_partners: usize,
    moments: &'a Moments,
    high: Option<(&'a Basis<T>, &'a HighMoments)>,
}

/// The dense part of the loss, approximated.
pub(super) struct Approximation<T> {
    /// `Σⱼ p(zᵢ·zⱼ)` for each row of the stack, over the rows that [`brodmann_kernels::similarity`] would sum.
    pub(super) sums: Vec<f64>,
    /// How much of each sum the projection of the high powers can have cost; empty without them.
    pub(super) projection_errors: Vec<f64>,
    /// The directions of each slice; empty without high powers.
    bases: Vec<Basis<T>>,
}

/// Calls `f` for each set. With a quartic polynomial the directions of each slice are found on the way if `bases` has
/// none yet.
///
/// Without classes a slice is one set: all its rows share all its rows as partners. With classes a row's partners are
/// the slice but its class, so each class is a set whose moments are those of the slice minus its own. Subtracting
/// costs O(rows of the class); summing the others would cost O(rows of the slice) for each of, say, 80 classes.
/// The sums are in f64, so what cancels is far below the rounding of their f32 products.
fn for_each_set<T: Real>(
    rows: ArrayView2<'_, T>,
    pairs: &ContrastPairs,
    polynomial: &Polynomial,
    bases: &mut Vec<Basis<T>>,
    weights: Option<&[f64]>,
    monitor: &dyn Monitor,
    mut f: impl FnMut(&Set<'_, T>),
) -> Result<(), Interrupted> {
    let mut classes = pairs.classes().map(|c| c.iter().peekable());
    for (s, slice) in pairs.slices().iter().enumerate() {
        monitor.check()?;
        // In the stack both views of a slice stand together, so that a slice is one range and its moments one sum.
        let stack = 2 * slice.start..2 * slice.end;
        let whole = Moments::of(rows, stack.clone(), weights);
        // The first pass finds the directions, from unweighted moments; the gradient's pass must project on the same.
        if polynomial.is_quartic() && bases.len() == s {
            bases.push(Basis::new(whole.second.view()));
        }
        let whole_high = bases.get(s).map(|basis| (basis, basis.moments(rows, stack, weights)));
        let stacked = |places: &Range<usize>| {
            [
                slice.start + places.start..slice.start + places.end,
                slice.end + places.start..slice.end + places.end,
            ]
        };
        let Some(classes) = classes.as_mut() else {
            f(&Set {
                ranges: stacked(slice),
                n_partners: 2 * slice.len(),
                moments: &whole,
                high: whole_high.as_ref().map(|(basis, high)| (*basis, high)),
            });
            continue;
        };
        // Classes are sorted by slice, so one walk over them serves the walk over slices.
        while let Some((_, places)) = classes.next_if(|(of, _)| *of as usize == s) {
            monitor.check()?;
            let ranges = stacked(places);
            let (mut others, mut high) = (whole.clone(), whole_high.clone());
            for range in &ranges {
                others.add(&Moments::of(rows, range.clone(), weights), -1.0);
                if let Some((basis, high)) = &mut high {
                    high.subtract(&basis.moments(rows, range.clone(), weights));
                }
            }
            f(&Set {
                ranges,
                n_partners: 2 * (slice.len() - places.len()),
                moments: &others,
                high: high.as_ref().map(|(basis, high)| (*basis, high)),
            });
        }
    }
    Ok(())
}

/// The sums over all rows, and in `slopes` the derivative of each by its own row.
pub(super) fn row_sums<T: Real>(
    rows: ArrayView2<'_, T>,
    pairs: &ContrastPairs,
    polynomial: &Polynomial,
    slopes: &mut Array2<T>,
    monitor: &dyn Monitor,
) -> Result<Approximation<T>, Interrupted> {
    let [a0, a1, a2, ..] = polynomial.coefficients;
    let without_self = pairs.classes().is_none();
    let mut sums = vec![0.0; rows.nrows()];
    let mut lost = vec![0.0; if polynomial.is_quartic() { rows.nrows() } else { 0 }];
    let mut bases = Vec::new();
    for_each_set(rows, pairs, polynomial, &mut bases, None, monitor, |set| {
        let linear: Vec<f64> = set.moments.first.iter().map(|m| a1 * m).collect();
        let quadratic = set.moments.second.mapv(|m| T::from_f64(a2 * m));
        for range in &set.ranges {
            let sums = &mut sums[range.clone()];
            each_block(
                rows,
                range,
                slopes,
                sums,
                || (),
                |(), block, slopes, sums| {
                    T::gemm(slopes.view_mut(), block, quadratic.view(), false, 1);
                    for ((z, mut y), sum) in block.rows().into_iter().zip(slopes.rows_mut()).zip(sums) {
                        let (mut total, mut norm) = (0.0, 0.0);
                        for ((&z, y), l) in z.iter().zip(y.iter_mut()).zip(&linear) {
                            let (z, q): (f64, f64) = (z.into(), (*y).into());
                            total += z * (l + q);
                            norm += z * z;
                            *y = T::from_f64(l + 2.0 * q);
                        }
                        *sum = a0 * set.n_partners as f64 + total;
                        if without_self {
                            *sum -= polynomial.at(norm);
                        }
                    }
                },
            );
            if let Some((basis, high)) = set.high {
                let operator = basis.operator(high, polynomial);
                let mut both: Vec<[f64; 2]> = sums.iter().map(|&s| [s, 0.0]).collect();
                each_block(
                    rows,
                    range,
                    slopes,
                    &mut both,
                    || basis.block(),
                    |scratch, block, slopes, both| {
                        let mut values: Vec<f64> = both.iter().map(|b| b[0]).collect();
                        let mut lost = vec![0.0; both.len()];
                        let wanted = Some((&mut values[..], &mut lost[..]));
                        basis.add(block, operator.view(), slopes.view_mut(), wanted, scratch);
                        for (b, value) in both.iter_mut().zip(values.into_iter().zip(lost)) {
                            *b = [value.0, value.1];
                        }
                    },
                );
                for ((sum, lost), b) in sums.iter_mut().zip(&mut lost[range.clone()]).zip(both) {
                    [*sum, *lost] = b;
                }
            }
        }
    })?;
    if !lost.is_empty() {
        for slice in pairs.slices() {
            let of_slice = &mut lost[2 * slice.start..2 * slice.end];
            let total = of_slice.iter().sum::<f64>() * polynomial.steepest_high_slope();
            for l in of_slice {
                *l *= total;
            }
        }
    }
    Ok(Approximation { sums, projection_errors: lost, bases })
}

/// With `pushᵢ = ∂L/∂sumᵢ`: turns the slopes of [`row_sums`] into the gradient by every row.
pub(super) fn gradient<T: Real>(
    rows: ArrayView2<'_, T>,
    pairs: &ContrastPairs,
    polynomial: &Polynomial,
    approximation: &mut Approximation<T>,
    push: &[f64],
    slopes: &mut Array2<T>,
    monitor: &dyn Monitor,
) -> Result<(), Interrupted> {
    let [_, a1, a2, ..] = polynomial.coefficients;
    // The diagonal pair is in these sums though not in the loss; its gradient points along the row and vanishes when
    // the row's length is taken out (but for what projection changes in that one pair).
    for_each_set(rows, pairs, polynomial, &mut approximation.bases, Some(push), monitor, |set| {
        let linear: Vec<T> = set.moments.first.iter().map(|m| T::from_f64(a1 * m)).collect();
        let quadratic = set.moments.second.mapv(|m| T::from_f64(2.0 * a2 * m));
        let operator = set.high.map(|(basis, high)| (basis, basis.operator(high, polynomial)));
        for range in &set.ranges {
            let mut push = push[range.clone()].to_vec();
            let scratch = || operator.as_ref().map(|(basis, _)| basis.block());
            each_block(rows, range, slopes, &mut push, scratch, |scratch, block, slopes, push| {
                for (mut y, &g) in slopes.rows_mut().into_iter().zip(push.iter()) {
                    let g = T::from_f64(g);
                    for (y, &l) in y.iter_mut().zip(&linear) {
                        *y = g * *y + l;
                    }
                }
                T::gemm(slopes.view_mut(), block, quadratic.view(), true, 1);
                if let (Some((basis, operator)), Some(scratch)) = (&operator, scratch) {
                    basis.add(block, operator.view(), slopes.view_mut(), None, scratch);
                }
            });
        }
    })
}

/// Calls `f(scratch, rows, rows of out, numbers)` on blocks of a range of rows, in parallel.
fn each_block<T: Real, N: Send, S>(
    rows: ArrayView2<'_, T>,
    range: &Range<usize>,
    out: &mut Array2<T>,
    numbers: &mut [N],
    scratch: impl Fn() -> S + Sync + Send,
    f: impl Fn(&mut S, ArrayView2<'_, T>, &mut ArrayViewMut2<'_, T>, &mut [N]) + Sync,
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
        .for_each_init(scratch, |scratch, (k, (out, numbers))| {
            let first = range.start + k * ROWS;
            let block = rows_of(rows, &(first..first + numbers.len()));
            let mut out = ArrayViewMut2::from_shape((numbers.len(), d), out).expect("whole rows");
            f(scratch, block, &mut out, numbers);
        });
}
