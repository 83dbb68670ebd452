//! Sums over the columns of a sparse matrix: the one loop behind gene filters, moments and dispersions.

use brodmann_kernels::{CsrView, Monitor, ParallelLoop, Real, SliceLength, Slices};
use rayon::prelude::*;

use super::error::PreprocessError;
use super::rows::{Fold, RowSource, fold_rows, fold_view};

/// Per-column moments.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnMoments {
    /// Mean of each column, implicit zeros included.
    pub mean: Vec<f64>,
    /// Variance with `n − 1` in the denominator; 0 with fewer than two rows.
    pub variance: Vec<f64>,
}

/// The slices of the rows, checked against their number.
pub(crate) fn slices_of(n_rows: usize, slices: Option<&Slices>) -> Result<Slices, PreprocessError> {
    Slices::or_one(slices, n_rows).map_err(|SliceLength { found, expected }| PreprocessError::ShapeMismatch {
        what: "the list of slices",
        found,
        expected,
        per: "spot",
    })
}

/// What is accumulated for one column.
pub(crate) trait Accumulator: Copy + Default + Send {
    /// Takes in what was accumulated over the rows that follow.
    fn absorb(&mut self, later: &Self);
}

impl<const K: usize> Accumulator for [f64; K]
where
    [f64; K]: Default,
{
    fn absorb(&mut self, later: &Self) {
        self.iter_mut().zip(later).for_each(|(a, b)| *a += b);
    }
}

/// Accumulators of every column, slice by slice; only slices met take room.
pub(crate) struct ColumnFold<'a, A, S> {
    n_cols: usize,
    slices: &'a Slices,
    step: &'a S,
    met: Vec<(usize, Vec<A>)>,
    /// Place in `met` of the slice of the last row.
    current: usize,
}

impl<'a, A: Accumulator, S> ColumnFold<'a, A, S> {
    pub(crate) fn new(n_cols: usize, slices: &'a Slices, step: &'a S) -> Self {
        Self { n_cols, slices, step, met: Vec::new(), current: 0 }
    }

    /// One list of accumulators per slice.
    pub(crate) fn into_slices(self) -> Vec<Vec<A>> {
        let mut all: Vec<Vec<A>> = vec![Vec::new(); self.slices.count()];
        for (slice, sums) in self.met {
            all[slice] = sums;
        }
        for sums in &mut all {
            sums.resize(self.n_cols, A::default());
        }
        all
    }
}

impl<A: Accumulator, S: Fn(&mut A, usize, usize, f32) + Sync> Fold for ColumnFold<'_, A, S> {
    #[inline]
    fn row(&mut self, i: usize, columns: &[u32], values: &[f32]) {
        let slice = self.slices.of(i);
        if self.met.get(self.current).is_none_or(|(s, _)| *s != slice) {
            self.current = self.met.iter().position(|(s, _)| *s == slice).unwrap_or_else(|| {
                self.met.push((slice, vec![A::default(); self.n_cols]));
                self.met.len() - 1
            });
        }
        let sums = &mut self.met[self.current].1;
        for (&j, &v) in columns.iter().zip(values) {
            (self.step)(&mut sums[j as usize], i, j as usize, v);
        }
    }

    fn absorb(&mut self, later: Self) {
        for (slice, sums) in later.met {
            match self.met.iter_mut().find(|(s, _)| *s == slice) {
                Some((_, total)) => total.iter_mut().zip(&sums).for_each(|(a, b)| a.absorb(b)),
                None => self.met.push((slice, sums)),
            }
        }
    }
}

/// Sums `f(row, column, value)` over the stored entries of each column, in f64 and in fixed order; `K` sums are
/// taken in one pass.
pub(crate) fn fold_columns<const K: usize>(
    x: CsrView<'_, f32>,
    f: impl Fn(usize, usize, f32) -> [f64; K] + Sync,
) -> Vec<[f64; K]>
where
    [f64; K]: Default,
{
    fold_slices(x, &Slices::one(x.n_rows()), f).remove(0)
}

/// The same slice by slice.
fn fold_slices<const K: usize>(
    x: CsrView<'_, f32>,
    slices: &Slices,
    f: impl Fn(usize, usize, f32) -> [f64; K] + Sync,
) -> Vec<Vec<[f64; K]>>
where
    [f64; K]: Default,
{
    let step = |sums: &mut [f64; K], i, j, v| sums.absorb(&f(i, j, v));
    fold_view(x, || ColumnFold::new(x.n_cols(), slices, &step)).into_slices()
}

/// The same over the rows of a source, slice by slice.
pub(crate) fn fold_source<const K: usize, E: From<PreprocessError>>(
    source: &dyn RowSource<Error = E>,
    slices: &Slices,
    f: impl Fn(usize, usize, f32) -> [f64; K] + Sync + Send,
    monitor: &dyn Monitor,
) -> Result<Vec<Vec<[f64; K]>>, E>
where
    [f64; K]: Default,
{
    let step = |sums: &mut [f64; K], i, j, v| sums.absorb(&f(i, j, v));
    let n_cols = source.n_cols();
    Ok(fold_rows(source, monitor, || ColumnFold::new(n_cols, slices, &step))?.into_slices())
}

/// Moments of `f(row, column, value)`, where `f` maps 0 to 0, slice by slice.
///
/// Two passes: the second sums squared distances from the mean, so that a constant column of f32 values gets
/// exactly zero (its sum is exact in f64) and a large mean does not drown a small variance.
pub(crate) fn moments_of<E: From<PreprocessError>>(
    source: &dyn RowSource<Error = E>,
    slices: &Slices,
    f: impl Fn(usize, usize, f32) -> f64 + Sync + Send,
    monitor: &dyn Monitor,
) -> Result<Vec<ColumnMoments>, E> {
    let sums = fold_source(source, slices, |i, j, v| [f(i, j, v), 1.0], monitor)?;
    let means: Vec<Vec<f64>> = sums.iter().zip(slices.sizes()).map(|(s, &n)| means(s, n)).collect();
    let squares = fold_source(
        source,
        slices,
        |i, j, v| {
            let d = f(i, j, v) - means[slices.of(i)][j];
            [d * d]
        },
        monitor,
    )?;
    let parts = means.into_iter().zip(sums.iter().zip(&squares)).zip(slices.sizes());
    Ok(parts.map(|((mean, (sums, squares)), &n)| finish(mean, sums, squares, n)).collect())
}

/// [`moments_of`] a matrix in memory.
pub(crate) fn moments_by_slice(
    x: CsrView<'_, f32>,
    slices: &Slices,
    f: impl Fn(usize, usize, f32) -> f64 + Sync,
) -> Vec<ColumnMoments> {
    let sums = fold_slices(x, slices, |i, j, v| [f(i, j, v), 1.0]);
    let means: Vec<Vec<f64>> = sums.iter().zip(slices.sizes()).map(|(s, &n)| means(s, n)).collect();
    let squares = fold_slices(x, slices, |i, j, v| {
        let d = f(i, j, v) - means[slices.of(i)][j];
        [d * d]
    });
    let parts = means.iter().zip(sums.iter().zip(&squares)).zip(slices.sizes());
    parts.map(|((mean, (sums, squares)), &n)| finish(mean.clone(), sums, squares, n)).collect()
}

fn means(sums: &[[f64; 2]], n: usize) -> Vec<f64> {
    sums.iter().map(|s| if n == 0 { 0.0 } else { s[0] / n as f64 }).collect()
}

/// `sums`: of values and of stored entries; `squares`: of their distances from the mean.
fn finish(mean: Vec<f64>, sums: &[[f64; 2]], squares: &[[f64; 1]], n: usize) -> ColumnMoments {
    if n < 2 {
        let variance = vec![0.0; mean.len()];
        return ColumnMoments { mean, variance };
    }
    let variance = squares
        .iter()
        .zip(sums)
        .zip(&mean)
        .map(|((q, s), m)| (q[0] + (n as f64 - s[1]) * m * m) / (n - 1) as f64)
        .collect();
    ColumnMoments { mean, variance }
}

/// Mean and variance (ddof 1) of every column, implicit zeros included.
///
/// # Inputs
/// `x`: `(n_obs, n_vars)`, finite.
/// # Returns
/// `n_vars` means and variances in f64; variances are 0 with fewer than two spots.
/// # Cost
/// Two passes over the stored entries; 32 partial sums of `n_vars`.
pub fn column_moments(x: CsrView<'_, f32>) -> ColumnMoments {
    moments_by_slice(x, &Slices::one(x.n_rows()), |_, _, v| f64::from(v)).remove(0)
}

/// The sum of a row over the columns where `keep` is true, in f64 and in order.
#[inline]
pub(crate) fn row_total<T: Real>(columns: &[u32], values: &[T], keep: Option<&[bool]>) -> f64 {
    let total: f64 = match keep {
        None => values.iter().map(|&v| v.into()).sum(),
        Some(keep) => {
            columns.iter().zip(values).filter(|&(&j, _)| keep[j as usize]).map(|(_, &v)| v.into()).sum()
        }
    };
    // The sum of nothing is −0.
    total + 0.0
}

/// The sum of every row over the columns where `keep` is true (all of them with `None`), in f64.
///
/// # Panics
/// When `keep` is shorter than the number of columns.
pub fn row_totals<T: Real>(x: CsrView<'_, T>, keep: Option<&[bool]>) -> Vec<f64> {
    (0..x.n_rows())
        .into_par_iter()
        .map(|i| {
            let (columns, values) = x.row(i);
            row_total(columns, values, keep)
        })
        .collect_vec()
}
