//! Sums of `exp(β (zᵢ·zⱼ − 1))` over all pairs of unit rows, and their gradient, without ever holding all pairs.
//!
//! The matrix of similarities is cut into tiles of `TILE` rows and columns. It is symmetric, so each tile above the
//! diagonal is computed once and used for its rows and for its columns. Within a *round* no block of rows takes part in
//! two tiles (the pairing of a round-robin tournament), so the tiles of a round run in parallel, write straight to
//! their own rows, and each row receives its contributions in the order of the rounds: the same bits on any number of
//! threads, without a buffer per thread. Memory is O(n · d).
//!
//! The factor `exp(−β)` keeps every term at most 1, whatever the temperature.

use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2};
use rayon::prelude::*;

use crate::arch::similarity::Tile;
use crate::monitor::{Interrupted, Monitor};
use crate::real::Real;
use crate::simd::active;

/// Rows of a tile: a tile of f32 takes 64 KiB, so it stays in the second-level cache with its rows. Fixed, because it
/// decides the order of the sums.
const TILE: usize = 128;

/// Which pairs of rows count.
#[derive(Clone, Copy, Debug)]
pub struct Pairs<'a> {
    /// Ranges of rows; only pairs within a range count.
    pub groups: &'a [Range<usize>],
    /// For each row two ranges of rows (`[start, end, start, end]`) that do not count as its partners: itself at
    /// least, unless that pair is wanted. Must be symmetric: when `i` excludes `j`, `j` excludes `i`.
    pub excluded: &'a [[u32; 4]],
}

/// `Σⱼ exp(β (zᵢ·zⱼ − 1))` for each row, over the pairs that count.
///
/// # Inputs
/// `rows`: `(n, d)`, row-major, rows of length 1 (or 0). `beta`: 1/τ.
/// # Returns
/// `(n)`.
/// # Errors
/// `Interrupted` when the monitor says so.
/// # Cost
/// `Σ nₛ² (d + 1)` multiply-adds over groups of `nₛ` rows, halved by symmetry; O(n) memory.
/// # Panics
/// When `excluded` has not one entry per row or `rows` is not row-major.
pub fn exp_row_sums<T: Real>(
    rows: ArrayView2<'_, T>,
    pairs: Pairs<'_>,
    beta: f64,
    monitor: &dyn Monitor,
) -> Result<Vec<f64>, Interrupted> {
    assert_eq!(pairs.excluded.len(), rows.nrows(), "one exclusion per row");
    let blocks = Blocks::new(pairs.groups);
    let mut sums = vec![0.0f64; rows.nrows()];
    let (simd, beta) = (active(), T::from_f64(beta));
    for round in 0..blocks.n_rounds() {
        monitor.check()?;
        let tiles = blocks.round(round, &mut sums, 1);
        tiles.into_par_iter().for_each_init(Scratch::default, |scratch, work| {
            let Work { left, right, left_out, right_out } = work;
            let values = scratch.similarities(rows, &left, right.as_ref().unwrap_or(&left));
            let columns = right.as_ref().unwrap_or(&left);
            let tile = Tile {
                values,
                n_cols: columns.len(),
                first_col: columns.start as u32,
                excluded: &pairs.excluded[left.clone()],
                beta,
            };
            let mut column_sums = [T::ZERO; TILE];
            let used = if right.is_some() { columns.len() } else { 0 };
            T::tile_sums(simd, tile, left_out, &mut column_sums[..used]);
            for (sum, &part) in right_out.iter_mut().zip(&column_sums[..used]) {
                *sum += part.into();
            }
        });
    }
    Ok(sums)
}

/// `gᵢ += Σⱼ (wᵢ + wⱼ) exp(β (zᵢ·zⱼ − 1)) zⱼ`: with `wᵢ = β ∂L/∂sumᵢ`, the gradient of a function of
/// [`exp_row_sums`].
///
/// # Inputs
/// `rows`, `pairs`, `beta` as for the sums. `weights`: `(n)`. `gradient`: `(n, d)`, row-major.
/// # Errors
/// `Interrupted` when the monitor says so; `gradient` is then part-way.
/// # Cost
/// `3 Σ nₛ² d` multiply-adds, the exponentials computed anew; a tile per thread of memory.
/// # Panics
/// When shapes differ or an array is not row-major.
pub fn exp_gradient<T: Real>(
    rows: ArrayView2<'_, T>,
    pairs: Pairs<'_>,
    beta: f64,
    weights: &[T],
    mut gradient: ArrayViewMut2<'_, T>,
    monitor: &dyn Monitor,
) -> Result<(), Interrupted> {
    assert_eq!(pairs.excluded.len(), rows.nrows(), "one exclusion per row");
    assert_eq!(weights.len(), rows.nrows(), "one weight per row");
    assert_eq!(gradient.dim(), rows.dim(), "the gradient has the shape of the rows");
    let blocks = Blocks::new(pairs.groups);
    let d = rows.ncols();
    if d == 0 {
        return Ok(());
    }
    let (simd, beta) = (active(), T::from_f64(beta));
    let out = gradient.as_slice_mut().expect("the gradient is row-major");
    for round in 0..blocks.n_rounds() {
        monitor.check()?;
        let tiles = blocks.round(round, out, d);
        tiles.into_par_iter().for_each_init(Scratch::default, |scratch, work| {
            let Work { left, right, left_out, right_out } = work;
            let columns = right.clone().unwrap_or_else(|| left.clone());
            let values = scratch.similarities(rows, &left, &columns);
            let tile = Tile {
                values: &mut *values,
                n_cols: columns.len(),
                first_col: columns.start as u32,
                excluded: &pairs.excluded[left.clone()],
                beta,
            };
            T::tile_weights(simd, tile, &weights[left.clone()], &weights[columns.clone()]);
            let weighted = ArrayView2::from_shape((left.len(), columns.len()), values).expect("tile shape");
            let add = |out: &mut [T], tile: ArrayView2<'_, T>, other: &Range<usize>| {
                let out = ArrayViewMut2::from_shape((tile.nrows(), d), out).expect("block shape");
                T::gemm(out, tile, row_range(rows, other), true, 1);
            };
            add(left_out, weighted, &columns);
            if right.is_some() {
                add(right_out, weighted.t(), &left);
            }
        });
    }
    Ok(())
}

fn row_range<'a, T: Real>(rows: ArrayView2<'a, T>, range: &Range<usize>) -> ArrayView2<'a, T> {
    let (above, _) = rows.split_at(ndarray::Axis(0), range.end);
    above.split_at(ndarray::Axis(0), range.start).1
}

/// The tile of one thread.
#[derive(Default)]
struct Scratch<T> {
    values: Vec<T>,
}

impl<T: Real> Scratch<T> {
    /// `z_left · z_rightᵀ`.
    fn similarities(
        &mut self,
        rows: ArrayView2<'_, T>,
        left: &Range<usize>,
        right: &Range<usize>,
    ) -> &mut [T] {
        let (m, n) = (left.len(), right.len());
        self.values.resize(TILE * TILE, T::ZERO);
        let values = &mut self.values[..m * n];
        let out = ArrayViewMut2::from_shape((m, n), &mut *values).expect("tile shape");
        T::gemm(out, row_range(rows, left), row_range(rows, right).t(), false, 1);
        values
    }
}

/// One tile: rows, columns (`None`: on the diagonal), and where their results go.
struct Work<'a, U> {
    left: Range<usize>,
    right: Option<Range<usize>>,
    left_out: &'a mut [U],
    right_out: &'a mut [U],
}

/// All blocks of rows, and which group each belongs to.
struct Blocks {
    /// Rows of each block, in order.
    rows: Vec<Range<usize>>,
    /// Blocks of each group.
    groups: Vec<Range<usize>>,
}

impl Blocks {
    fn new(groups: &[Range<usize>]) -> Self {
        let mut blocks = Self { rows: Vec::new(), groups: Vec::new() };
        for group in groups {
            let first = blocks.rows.len();
            let starts = group.clone().step_by(TILE);
            blocks.rows.extend(starts.map(|start| start..group.end.min(start + TILE)));
            blocks.groups.push(first..blocks.rows.len());
        }
        blocks
    }

    /// The diagonal, then one round for each partner a block of the largest group meets.
    fn n_rounds(&self) -> usize {
        1 + self.groups.iter().map(|g| n_meetings(g.len())).max().unwrap_or(0)
    }

    /// The tiles of a round, with `width` results per row taken from `out`.
    fn round<'a, U>(&self, round: usize, out: &'a mut [U], width: usize) -> Vec<Work<'a, U>> {
        let mut places: Vec<Option<&'a mut [U]>> = Vec::with_capacity(self.rows.len());
        let (mut rest, mut at) = (out, 0);
        for rows in &self.rows {
            let (_, tail) = rest.split_at_mut((rows.start - at) * width);
            let (block, tail) = tail.split_at_mut(rows.len() * width);
            places.push(Some(block));
            (rest, at) = (tail, rows.end);
        }
        let mut work = Vec::with_capacity(self.rows.len());
        for group in &self.groups {
            if round == 0 {
                for block in group.clone() {
                    work.push(Work {
                        left: self.rows[block].clone(),
                        right: None,
                        left_out: places[block].take().expect("each block once"),
                        right_out: &mut [],
                    });
                }
                continue;
            }
            for (a, b) in meetings(group.len(), round - 1) {
                let (a, b) = (group.start + a.min(b), group.start + a.max(b));
                work.push(Work {
                    left: self.rows[a].clone(),
                    right: Some(self.rows[b].clone()),
                    left_out: places[a].take().expect("a block meets one other per round"),
                    right_out: places[b].take().expect("a block meets one other per round"),
                });
            }
        }
        work
    }
}

/// Rounds of a tournament of `n`.
fn n_meetings(n: usize) -> usize {
    match n {
        0 | 1 => 0,
        _ => n - 1 + n % 2,
    }
}

/// Who meets whom in one round of a tournament of `n`, by the circle method: the last player stays, the others turn.
fn meetings(n: usize, round: usize) -> impl Iterator<Item = (usize, usize)> {
    let rounds = n_meetings(n);
    let playing = if round < rounds { rounds.div_ceil(2) } else { 0 };
    (0..playing).filter_map(move |k| {
        let pair =
            if k == 0 { (rounds, round) } else { ((round + k) % rounds, (round + rounds - k) % rounds) };
        // With an odd number of players the one drawn against the missing last rests.
        (pair.0 < n && pair.1 < n).then_some(pair)
    })
}

#[cfg(test)]
mod tests;
