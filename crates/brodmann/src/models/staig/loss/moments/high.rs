//! The third and fourth power of the similarity, in the few directions in which the rows vary most.
//!
//! Exactly, the fourth power needs moments of order 4, of which there are `O(d⁴)`. But networks spread their rows over
//! few directions (ten of 64 hold 99 % of the squared length on real tissue), and the high powers are small
//! corrections: they are formed of rows projected to [`RANK`] directions, `s̃ = z̃ᵢ·z̃ⱼ`. With `w(z̃)` the products of
//! pairs of entries, scaled so that `w(a)·w(b) = (a·b)²`,
//!
//! ```text
//! Σⱼ s̃³ = wᵢᵀ (Σ wⱼ z̃ⱼᵀ) z̃ᵢ,   Σⱼ s̃⁴ = wᵢᵀ (Σ wⱼ wⱼᵀ) wᵢ
//! ```
//!
//! What the projection loses is bounded by the lengths it cuts off: `|s − s̃| ≤ |zᵢ − z̃ᵢ| |zⱼ − z̃ⱼ|`. The directions
//! count as constants in the gradient.

use std::ops::Range;

use brodmann_kernels::matmul::matmul;
use brodmann_kernels::{ParallelLoop, Real};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::polynomial::Polynomial;
use super::{PRODUCTS, ROWS, rows_of};

/// Directions at most: with 12 the 78 products cost about as much as the second power of 64 columns.
const RANK: usize = 12;
/// Steps towards the leading directions. Any directions are valid, so they need not have converged.
const STEPS: usize = 8;

/// The directions of one slice, as columns.
pub(in super::super) struct Basis<T> {
    directions: Array2<T>,
}

/// `Σ ω w qᵀ` over rows, with `q = [z̃, w]`: `(p, r + p)`.
#[derive(Clone)]
pub(super) struct HighMoments(Array2<f64>);

/// Work space for one block of rows.
pub(super) struct Block<T> {
    /// `[z̃, w]` of each row.
    lifted: Array2<T>,
    /// Derivatives by the same.
    slopes: Array2<T>,
    /// Derivatives by `z̃`, `w` followed through.
    projected: Array2<T>,
}

impl<T: Real> Basis<T> {
    /// The directions in which rows with these second moments vary most, by orthogonal iteration from a fixed start.
    pub(super) fn new(second: ArrayView2<'_, f64>) -> Self {
        let d = second.nrows();
        if d <= RANK {
            let directions = Array2::from_shape_fn((d, d), |(i, j)| T::from_f64(f64::from(u8::from(i == j))));
            return Self { directions };
        }
        // The columns of largest variance, so that the start meets the leading directions.
        let mut order: Vec<usize> = (0..d).collect();
        order.sort_by(|&a, &b| second[[b, b]].total_cmp(&second[[a, a]]));
        let mut v = second.select(Axis(1), &order[..RANK]);
        for _ in 0..STEPS {
            orthonormalise(&mut v);
            v = matmul(second.view(), v.view());
        }
        orthonormalise(&mut v);
        Self { directions: v.mapv(T::from_f64) }
    }

    fn rank(&self) -> usize {
        self.directions.ncols()
    }

    fn n_products(&self) -> usize {
        self.rank() * (self.rank() + 1) / 2
    }

    /// Work space for blocks of [`ROWS`].
    pub(super) fn block(&self) -> Block<T> {
        let (r, p) = (self.rank(), self.n_products());
        let zeros = |cols| Array2::from_elem((ROWS, cols), T::ZERO);
        Block { lifted: zeros(r + p), slopes: zeros(r + p), projected: zeros(r) }
    }

    /// Fills `lifted` with `[z̃, w]` of the rows.
    fn lift(&self, rows: ArrayView2<'_, T>, block: &mut Block<T>) {
        let r = self.rank();
        let root_two = T::from_f64(std::f64::consts::SQRT_2);
        let (mut projected, _) = block.projected.view_mut().split_at(Axis(0), rows.nrows());
        T::gemm(projected.view_mut(), rows, self.directions.view(), false, 1);
        for (z, mut q) in projected.rows().into_iter().zip(block.lifted.rows_mut()) {
            let (z, q) = (z.to_slice().expect("row-major"), q.as_slice_mut().expect("row-major"));
            q[..r].copy_from_slice(z);
            let mut at = r;
            for a in 0..r {
                q[at] = z[a] * z[a];
                let scaled = root_two * z[a];
                for (w, &b) in q[at + 1..].iter_mut().zip(&z[a + 1..]) {
                    *w = scaled * b;
                }
                at += r - a;
            }
        }
    }

    /// The moments of a range of rows, weighted or not.
    pub(super) fn moments(
        &self,
        rows: ArrayView2<'_, T>,
        range: Range<usize>,
        weights: Option<&[f64]>,
    ) -> HighMoments {
        let (r, p) = (self.rank(), self.n_products());
        let starts: Vec<usize> = range.clone().step_by(ROWS * PRODUCTS).collect();
        let parts: Vec<Array2<f64>> = starts
            .into_par_iter()
            .map(|start| {
                let mut total = Array2::zeros((p, r + p));
                let mut product = Array2::from_elem((p, r + p), T::ZERO);
                let mut weighted = Array2::from_elem((ROWS, p), T::ZERO);
                let mut block = self.block();
                let end = range.end.min(start + ROWS * PRODUCTS);
                for first in (start..end).step_by(ROWS) {
                    let last = end.min(first + ROWS);
                    self.lift(rows_of(rows, &(first..last)), &mut block);
                    let (lifted, _) = block.lifted.view().split_at(Axis(0), last - first);
                    let (mut left, _) = weighted.view_mut().split_at(Axis(0), last - first);
                    for (k, (mut left, q)) in left.rows_mut().into_iter().zip(lifted.rows()).enumerate() {
                        let weight = T::from_f64(weights.map_or(1.0, |w| w[first + k]));
                        for (l, &w) in left.iter_mut().zip(q.iter().skip(r)) {
                            *l = weight * w;
                        }
                    }
                    T::gemm(product.view_mut(), left.t(), lifted, false, 1);
                    total.zip_mut_with(&product, |t, &x| *t += x.into());
                }
                total
            })
            .collect_vec();
        let mut total = Array2::zeros((p, r + p));
        for part in &parts {
            total += part;
        }
        HighMoments(total)
    }

    /// What the high powers need of a set's moments: `[z̃, w] ·` this is the derivative by `[z̃, w]`.
    pub(super) fn operator(&self, moments: &HighMoments, polynomial: &Polynomial) -> Array2<T> {
        let (r, p) = (self.rank(), self.n_products());
        let [.., cubic, quartic] = polynomial.coefficients;
        Array2::from_shape_fn((r + p, r + p), |(i, j)| {
            T::from_f64(match (i < r, j < r) {
                (true, true) => 0.0,
                (true, false) => cubic * moments.0[[j - r, i]],
                (false, true) => cubic * moments.0[[i - r, j]],
                (false, false) => 2.0 * quartic * moments.0[[i - r, j]],
            })
        })
    }

    /// For each row the sum over partners of the high powers (into `values`, added), the length that projection cuts
    /// off (into `lost`), and the derivative by the row (added to `slopes`).
    pub(super) fn add(
        &self,
        rows: ArrayView2<'_, T>,
        operator: ArrayView2<'_, T>,
        slopes: ArrayViewMut2<'_, T>,
        values: Option<(&mut [f64], &mut [f64])>,
        block: &mut Block<T>,
    ) {
        let (n, r) = (rows.nrows(), self.rank());
        self.lift(rows, block);
        let (lifted, _) = block.lifted.view().split_at(Axis(0), n);
        let (mut derivative, _) = block.slopes.view_mut().split_at(Axis(0), n);
        T::gemm(derivative.view_mut(), lifted, operator, false, 1);
        if let Some((sums, lost)) = values {
            let each = rows.rows().into_iter().zip(lifted.rows()).zip(derivative.rows());
            for (((z, q), y), (sum, lost)) in each.zip(sums.iter_mut().zip(lost)) {
                // Of third and fourth order, derivatives by z̃ and w: half of their product with (z̃, w) is the value.
                let value: f64 = q.iter().zip(y).map(|(&q, &y)| q.into() * y.into()).sum();
                *sum += 0.5 * value;
                let squares: f64 = z.iter().map(|&z| z.into() * z.into()).sum();
                let kept: f64 = q.iter().take(r).map(|&q| q.into() * q.into()).sum();
                *lost = (squares - kept).max(0.0).sqrt();
            }
        }
        // Through w to z̃.
        let root_two = T::from_f64(std::f64::consts::SQRT_2);
        let (mut projected, _) = block.projected.view_mut().split_at(Axis(0), n);
        for ((q, y), mut out) in lifted.rows().into_iter().zip(derivative.rows()).zip(projected.rows_mut()) {
            let (q, y) = (q.to_slice().expect("row-major"), y.to_slice().expect("row-major"));
            let out = out.as_slice_mut().expect("row-major");
            out.copy_from_slice(&y[..r]);
            let mut at = r;
            for a in 0..r {
                out[a] += (T::ONE + T::ONE) * q[a] * y[at];
                let row = &y[at + 1..at + r - a];
                let mut own = T::ZERO;
                for ((o, &dw), &b) in out[a + 1..].iter_mut().zip(row).zip(&q[a + 1..r]) {
                    *o += root_two * q[a] * dw;
                    own += b * dw;
                }
                out[a] += root_two * own;
                at += r - a;
            }
        }
        T::gemm(slopes, projected.view(), self.directions.t(), true, 1);
    }
}

impl HighMoments {
    /// Takes a part of the rows out.
    pub(super) fn subtract(&mut self, other: &Self) {
        self.0 -= &other.0;
    }
}

/// Gram–Schmidt, twice for accuracy; a column within the span of those before becomes zero.
fn orthonormalise(v: &mut Array2<f64>) {
    for j in 0..v.ncols() {
        let before = v.column(j).dot(&v.column(j)).sqrt();
        for _ in 0..2 {
            for k in 0..j {
                let along = v.column(k).dot(&v.column(j));
                let other = v.column(k).to_owned();
                v.column_mut(j).scaled_add(-along, &other);
            }
        }
        let norm = v.column(j).dot(&v.column(j)).sqrt();
        let scale = if norm > 1e-10 * before && norm > 0.0 { 1.0 / norm } else { 0.0 };
        v.column_mut(j).mapv_inplace(|x| x * scale);
    }
}
