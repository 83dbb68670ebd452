//! The first pass over the counts: everything the later steps ask of them that needs no other step first.

use std::ops::ControlFlow;

use brodmann_kernels::{CsrMatrix, Monitor, Slices};

use super::column_stats::{Accumulator, ColumnFold, ColumnMoments, row_total};
use super::detect::Scan;
use super::error::PreprocessError;
use super::rows::{Fold, Folding, RowSource};

/// Sums up to here are whole numbers exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// What one column of counts adds up to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CountColumn {
    pub(crate) sum: f64,
    pub(crate) squares: f64,
    pub(crate) max: f32,
    /// Rows with a value above 0.
    pub(crate) seen: u32,
}

impl Accumulator for CountColumn {
    fn absorb(&mut self, later: &Self) {
        self.sum += later.sum;
        self.squares += later.squares;
        self.max = self.max.max(later.max);
        self.seen += later.seen;
    }
}

impl CountColumn {
    /// Mean and variance (ddof 1) over `n` rows.
    ///
    /// Sums of whole numbers are exact, so `n Σx² − (Σx)²` is formed in whole numbers: a constant column has
    /// variance zero, and nothing cancels.
    fn moments(&self, n: usize) -> (f64, f64) {
        let mean = if n == 0 { 0.0 } else { self.sum / n as f64 };
        if n < 2 {
            return (mean, 0.0);
        }
        let pairs = n as f64 * (n - 1) as f64;
        if self.sum >= 0.0 && self.squares < EXACT && self.sum.fract() == 0.0 && self.squares.fract() == 0.0 {
            let spread = (n as u128 * self.squares as u128).saturating_sub((self.sum as u128).pow(2));
            return (mean, spread as f64 / pairs);
        }
        (mean, ((self.squares - self.sum * mean) / (n - 1) as f64).max(0.0))
    }
}

/// The moments of some columns over `n` rows.
pub(crate) fn moments_of_counts(columns: &[CountColumn], n: usize) -> ColumnMoments {
    let (mean, variance) = columns.iter().map(|c| c.moments(n)).unzip();
    ColumnMoments { mean, variance }
}

/// What the first pass finds.
pub(crate) struct Survey {
    /// Extremes and firsts, for the checks.
    pub(crate) scan: Scan,
    /// Columns, slice by slice.
    pub(crate) columns: Vec<Vec<CountColumn>>,
    /// Total of each row over all columns.
    pub(crate) totals: Vec<f64>,
    /// Rows with a value above 0.
    pub(crate) n_seen: usize,
    /// Rows whose values are all 0.
    pub(crate) n_empty: usize,
    /// The rows themselves, where they were to be kept.
    pub(crate) kept: Option<CsrMatrix<f32>>,
}

impl Survey {
    /// Columns over all slices.
    pub(crate) fn all_columns(&self) -> Vec<CountColumn> {
        let mut all = self.columns[0].clone();
        for slice in &self.columns[1..] {
            all.iter_mut().zip(slice).for_each(|(a, b)| a.absorb(b));
        }
        all
    }
}

struct Part<'a, S> {
    scan: Scan,
    columns: ColumnFold<'a, CountColumn, S>,
    totals: Vec<f64>,
    n_seen: usize,
    n_empty: usize,
}

impl<S: Fn(&mut CountColumn, usize, usize, f32) + Sync> Fold for Part<'_, S> {
    fn row(&mut self, i: usize, columns: &[u32], values: &[f32]) {
        self.scan.row(i, columns, values);
        self.columns.row(i, columns, values);
        self.totals.push(row_total(columns, values, None));
        self.n_seen += usize::from(values.iter().any(|v| *v > 0.0));
        self.n_empty += usize::from(values.iter().all(|v| *v == 0.0));
    }

    fn absorb(&mut self, later: Self) {
        self.scan.absorb(&later.scan);
        self.columns.absorb(later.columns);
        self.totals.extend(later.totals);
        self.n_seen += later.n_seen;
        self.n_empty += later.n_empty;
    }
}

/// Passes over all rows once; with `keep` they are kept.
///
/// # Cost
/// One pass; 24 bytes per column, slice and chunk alive, 8 per row.
pub(crate) fn survey<E: From<PreprocessError>>(
    source: &dyn RowSource<Error = E>,
    slices: &Slices,
    keep: bool,
    monitor: &dyn Monitor,
) -> Result<Survey, E> {
    let n_cols = source.n_cols();
    let step = |c: &mut CountColumn, _: usize, _: usize, v: f32| {
        let wide = f64::from(v);
        c.sum += wide;
        c.squares += wide * wide;
        c.max = c.max.max(v);
        c.seen += u32::from(v > 0.0);
    };
    let mut folding = Folding::new(|| Part {
        scan: Scan::default(),
        columns: ColumnFold::new(n_cols, slices, &step),
        totals: Vec::new(),
        n_seen: 0,
        n_empty: 0,
    });
    let mut kept = keep.then(|| CsrMatrix::with_capacity(n_cols, source.n_rows(), source.nnz()));
    source.for_each_block(&mut |block| {
        if let Some(kept) = &mut kept {
            kept.append(block.rows);
        }
        folding.add(block, monitor)?;
        Ok(ControlFlow::Continue(()))
    })?;
    let Part { scan, columns, totals, n_seen, n_empty } = folding.finish();
    Ok(Survey { scan, columns: columns.into_slices(), totals, n_seen, n_empty, kept })
}
