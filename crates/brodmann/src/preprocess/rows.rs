//! The rows of a matrix, in order, as often as asked: from memory or from a file.
//!
//! Every statistic of preprocessing is a `Fold` over rows. Rows are folded in chunks of a fixed size, whatever
//! blocks they come in, and the chunks are put together in order. So a result depends on the matrix alone: not on
//! where it lies, not on the size of blocks, not on the number of threads.

use std::marker::PhantomData;
use std::ops::{ControlFlow, Range};

use brodmann_kernels::{CsrMatrix, CsrView, Interrupted, Monitor, ParallelLoop, Silent};
use rayon::prelude::*;

use super::error::PreprocessError;

#[cfg(test)]
mod tests;

/// Rows folded together.
const CHUNK: usize = 2048;
/// Chunks folded side by side: as many partial results are alive.
const ABREAST: usize = 32;
/// Rows whose columns are selected by one task.
const SELECT_ROWS: usize = 1024;

/// Some rows of a matrix.
#[derive(Clone, Copy, Debug)]
pub struct RowBlock<'a> {
    /// Row of the matrix that comes first.
    pub first: usize,
    /// The rows.
    pub rows: CsrView<'a, f32>,
}

/// What is done with each block; `Break` ends the pass.
pub type Visit<'v> = dyn FnMut(RowBlock<'_>) -> Result<ControlFlow<()>, PreprocessError> + Send + 'v;

/// A matrix whose rows can be passed over again and again.
///
/// What a pass can fail with is the source's own: a file that cannot be read says so in its own words, and what
/// preprocessing finds wrong in the values travels in the same error.
pub trait RowSource: Sync {
    /// Why a pass fails.
    type Error: From<PreprocessError>;

    /// Rows.
    fn n_rows(&self) -> usize;
    /// Columns.
    fn n_cols(&self) -> usize;
    /// Stored entries.
    fn nnz(&self) -> usize;
    /// The whole matrix, where it is in memory anyway.
    fn in_memory(&self) -> Option<CsrView<'_, f32>> {
        None
    }
    /// Whether the matrix is small enough to be kept after the first pass.
    fn may_be_kept(&self) -> bool {
        false
    }
    /// Calls `visit` with consecutive blocks, from the first row to the last.
    ///
    /// # Errors
    /// Those of `visit`, and the source's own when the rows cannot be had.
    fn for_each_block(&self, visit: &mut Visit<'_>) -> Result<(), Self::Error>;
}

impl RowSource for CsrView<'_, f32> {
    type Error = PreprocessError;

    fn n_rows(&self) -> usize {
        CsrView::n_rows(*self)
    }

    fn n_cols(&self) -> usize {
        CsrView::n_cols(*self)
    }

    fn nnz(&self) -> usize {
        CsrView::nnz(*self)
    }

    fn in_memory(&self) -> Option<CsrView<'_, f32>> {
        Some(*self)
    }

    fn for_each_block(&self, visit: &mut Visit<'_>) -> Result<(), PreprocessError> {
        visit(RowBlock { first: 0, rows: *self }).map(|_| ())
    }
}

/// A matrix in memory in the place of a source that can fail otherwise: what is left of it once it is kept.
pub(crate) struct Kept<'a, E> {
    rows: CsrView<'a, f32>,
    error: PhantomData<fn() -> E>,
}

impl<'a, E> Kept<'a, E> {
    pub(crate) fn new(rows: CsrView<'a, f32>) -> Self {
        Self { rows, error: PhantomData }
    }
}

impl<E: From<PreprocessError>> RowSource for Kept<'_, E> {
    type Error = E;

    fn n_rows(&self) -> usize {
        self.rows.n_rows()
    }

    fn n_cols(&self) -> usize {
        self.rows.n_cols()
    }

    fn nnz(&self) -> usize {
        self.rows.nnz()
    }

    fn in_memory(&self) -> Option<CsrView<'_, f32>> {
        Some(self.rows)
    }

    fn for_each_block(&self, visit: &mut Visit<'_>) -> Result<(), E> {
        Ok(self.rows.for_each_block(visit)?)
    }
}

/// A result built row by row, whose parts over consecutive rows can be put together.
pub(crate) trait Fold: Send {
    /// Takes in row `i`.
    fn row(&mut self, i: usize, columns: &[u32], values: &[f32]);
    /// Takes in the result over the rows that follow.
    fn absorb(&mut self, later: Self);
}

/// Folds blocks of rows as they come.
pub(crate) struct Folding<P, N> {
    new: N,
    total: P,
    /// The last chunk, while its rows are not complete.
    open: Option<P>,
}

impl<P: Fold, N: Fn() -> P + Sync> Folding<P, N> {
    pub(crate) fn new(new: N) -> Self {
        let total = new();
        Self { new, total, open: None }
    }

    /// Takes in the block that follows.
    ///
    /// A chunk is the same rows whatever blocks they come in, so a block's last chunk may be incomplete: it stays
    /// open and the next block goes on with it. Up to `ABREAST` chunks are folded side by side, each by one task,
    /// and absorbed in the order of their rows: the sums are the same bits on any number of threads.
    pub(crate) fn add(&mut self, block: RowBlock<'_>, monitor: &dyn Monitor) -> Result<(), Interrupted> {
        let end = block.first + block.rows.n_rows();
        let mut chunks: Vec<Range<usize>> = Vec::new();
        let mut at = block.first;
        while at < end {
            let next = end.min((at / CHUNK + 1) * CHUNK);
            chunks.push(at..next);
            at = next;
        }
        for chunks in chunks.chunks(ABREAST) {
            monitor.check()?;
            let mut parts: Vec<P> = chunks
                .iter()
                .map(|rows| self.open.take_if(|_| rows.start % CHUNK != 0).unwrap_or_else(&self.new))
                .collect();
            parts.par_iter_mut().zip(chunks).each(|(part, rows)| {
                for i in rows.clone() {
                    let (columns, values) = block.rows.row(i - block.first);
                    part.row(i, columns, values);
                }
            });
            for (part, rows) in parts.into_iter().zip(chunks) {
                if rows.end % CHUNK == 0 {
                    self.total.absorb(part);
                } else {
                    self.open = Some(part);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> P {
        if let Some(open) = self.open.take() {
            self.total.absorb(open);
        }
        self.total
    }
}

/// One pass over the rows of a source.
pub(crate) fn fold_rows<P: Fold, E: From<PreprocessError>>(
    source: &dyn RowSource<Error = E>,
    monitor: &dyn Monitor,
    new: impl Fn() -> P + Sync + Send,
) -> Result<P, E> {
    let mut folding = Folding::new(new);
    source.for_each_block(&mut |block| {
        folding.add(block, monitor)?;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(folding.finish())
}

/// One pass over a matrix in memory.
pub(crate) fn fold_view<P: Fold>(x: CsrView<'_, f32>, new: impl Fn() -> P + Sync) -> P {
    let mut folding = Folding::new(new);
    let done = folding.add(RowBlock { first: 0, rows: x }, &Silent);
    debug_assert!(done.is_ok(), "nobody interrupts");
    folding.finish()
}

/// The columns where `keep` is true of every row (all of them with `None`), and, where `totals` is given, the sum of
/// each row over the columns where that is true.
///
/// # Cost
/// One pass; the result, with room for `nnz` entries, and one block.
pub(crate) fn collect<E: From<PreprocessError>>(
    source: &dyn RowSource<Error = E>,
    keep: Option<&[bool]>,
    nnz: usize,
    totals: Option<&[bool]>,
    monitor: &dyn Monitor,
) -> Result<(CsrMatrix<f32>, Vec<f64>), E> {
    let mut renumbered: Vec<u32> = (0..source.n_cols() as u32).collect();
    let mut n_kept = source.n_cols();
    if let Some(keep) = keep {
        n_kept = 0;
        for (to, &k) in renumbered.iter_mut().zip(keep) {
            *to = if k { n_kept as u32 } else { u32::MAX };
            n_kept += usize::from(k);
        }
    }
    let mut kept = CsrMatrix::with_capacity(n_kept, source.n_rows(), nnz);
    let mut sums = Vec::with_capacity(totals.map_or(0, |_| source.n_rows()));
    source.for_each_block(&mut |block| {
        monitor.check()?;
        if let Some(over) = totals {
            sums.extend(super::column_stats::row_totals(block.rows, Some(over)));
        }
        if keep.is_none() {
            kept.append(block.rows);
            return Ok(ControlFlow::Continue(()));
        }
        let n = block.rows.n_rows();
        let starts: Vec<usize> = (0..n).step_by(SELECT_ROWS).collect();
        for starts in starts.chunks(ABREAST) {
            monitor.check()?;
            let parts: Vec<CsrMatrix<f32>> = starts
                .par_iter()
                .map(|&start| {
                    let end = n.min(start + SELECT_ROWS);
                    let mut part = CsrMatrix::with_capacity(n_kept, end - start, 0);
                    for i in start..end {
                        let (columns, values) = block.rows.row(i);
                        let entries = columns.iter().zip(values).filter_map(|(&j, &v)| {
                            let to = renumbered[j as usize];
                            (to != u32::MAX).then_some((to, v))
                        });
                        part.push_row(entries);
                    }
                    part
                })
                .collect();
            for part in &parts {
                kept.append(part.view());
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok((kept, sums))
}
