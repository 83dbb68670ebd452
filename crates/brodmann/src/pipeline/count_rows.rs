//! The counts of a file as a source of rows: read, decompressed and used block by block.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use brodmann_data::{DataError, MatrixRows};

use super::memory::available_bytes;
use crate::preprocess::{PreprocessError, RowBlock, RowSource, Visit};

/// Bytes of a stored entry in memory: a column and a value.
const ENTRY_BYTES: u64 = 8;
/// Counts that take at most this share of the free memory are kept after the first pass.
const KEPT_SHARE: u64 = 4;

/// Why counts could not be made into features.
#[derive(Debug)]
pub(super) enum CountRowsError {
    /// The file could not be read.
    Data(DataError),
    /// Its values, or the options, are not what a step needs.
    Preprocess(PreprocessError),
}

impl From<DataError> for CountRowsError {
    fn from(error: DataError) -> Self {
        Self::Data(error)
    }
}

impl From<PreprocessError> for CountRowsError {
    fn from(error: PreprocessError) -> Self {
        Self::Preprocess(error)
    }
}

/// Rows of `X` or a layer, straight from the file. While a block is worked on, the next one is decompressed.
pub(super) struct CountRows {
    matrix: MatrixRows,
    /// Those that take part, rising; `None` for all.
    rows: Option<Vec<usize>>,
    kept: bool,
    /// Nanoseconds in which nothing could be done but wait for rows.
    waited: AtomicU64,
}

impl CountRows {
    pub(super) fn new(matrix: MatrixRows, rows: Option<Vec<usize>>) -> Self {
        let bytes = ENTRY_BYTES * matrix.nnz() as u64;
        let kept = available_bytes().is_some_and(|free| bytes <= free / KEPT_SHARE);
        Self { matrix, rows, kept, waited: AtomicU64::new(0) }
    }

    /// Seconds spent waiting for rows so far.
    pub(super) fn seconds_waited(&self) -> f64 {
        Duration::from_nanos(self.waited.load(Ordering::Relaxed)).as_secs_f64()
    }
}

impl RowSource for CountRows {
    type Error = CountRowsError;

    fn n_rows(&self) -> usize {
        self.rows.as_ref().map_or(self.matrix.n_rows(), Vec::len)
    }

    fn n_cols(&self) -> usize {
        self.matrix.n_cols()
    }

    fn nnz(&self) -> usize {
        self.matrix.nnz()
    }

    fn may_be_kept(&self) -> bool {
        self.kept
    }

    fn for_each_block(&self, visit: &mut Visit<'_>) -> Result<(), CountRowsError> {
        let start = Instant::now();
        let mut blocks = self.matrix.blocks()?;
        let mut next = blocks.next();
        let mut waited = start.elapsed();
        let mut passed = 0;
        while let Some(mut block) = next.transpose()? {
            if let Some(rows) = &self.rows {
                let end = block.first + block.rows.n_rows();
                let n = rows[passed..].iter().take_while(|row| **row < end).count();
                let own: Vec<usize> = rows[passed..passed + n].iter().map(|row| row - block.first).collect();
                block = brodmann_data::RowBlock { first: passed, rows: block.rows.view().select_rows(&own) };
                passed += n;
                if n == 0 {
                    next = blocks.next();
                    continue;
                }
            }
            let both = Instant::now();
            let (read, (visited, visiting)) = rayon::join(
                || blocks.next(),
                || {
                    let start = Instant::now();
                    let flow = visit(RowBlock { first: block.first, rows: block.rows.view() });
                    (flow, start.elapsed())
                },
            );
            waited += both.elapsed().saturating_sub(visiting);
            if visited? == ControlFlow::Break(()) {
                break;
            }
            next = read;
        }
        let nanoseconds = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        self.waited.fetch_add(nanoseconds, Ordering::Relaxed);
        Ok(())
    }
}
