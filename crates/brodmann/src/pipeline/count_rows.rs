//! The counts of a file as a source of rows: read, decompressed and used block by block.

use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use brodmann_data::{DataError, MatrixRows};

use super::memory::available_bytes;
use crate::preprocess::{PreprocessError, RowBlock, RowSource, Visit};

/// Bytes of a stored entry in memory: a column and a value.
const ENTRY_BYTES: u64 = 8;
/// Counts that take at most this share of the free memory are kept after the first pass.
const KEPT_SHARE: u64 = 4;

/// Rows of `X` or a layer, straight from the file. While a block is worked on, the next one is decompressed.
pub(super) struct CountRows {
    matrix: MatrixRows,
    kept: bool,
    outcome: Mutex<Outcome>,
}

#[derive(Default)]
struct Outcome {
    /// Why the rows could not be had.
    error: Option<DataError>,
    /// Seconds in which nothing could be done but wait for rows.
    waited: f64,
}

impl CountRows {
    pub(super) fn new(matrix: MatrixRows) -> Self {
        let bytes = ENTRY_BYTES * matrix.nnz() as u64;
        let kept = available_bytes().is_some_and(|free| bytes <= free / KEPT_SHARE);
        Self { matrix, kept, outcome: Mutex::default() }
    }

    fn outcome(&self) -> std::sync::MutexGuard<'_, Outcome> {
        // A panic elsewhere leaves nothing half done here.
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why reading failed, if it did.
    pub(super) fn take_error(&self) -> Option<DataError> {
        self.outcome().error.take()
    }

    /// Seconds spent waiting for rows so far.
    pub(super) fn seconds_waited(&self) -> f64 {
        self.outcome().waited
    }

    fn failed(&self, error: DataError) -> PreprocessError {
        let message = error.to_string();
        self.outcome().error = Some(error);
        PreprocessError::Rows { message }
    }
}

impl RowSource for CountRows {
    fn n_rows(&self) -> usize {
        self.matrix.n_rows()
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

    fn for_each_block(&self, visit: &mut Visit<'_>) -> Result<(), PreprocessError> {
        let start = Instant::now();
        let mut blocks = self.matrix.blocks().map_err(|e| self.failed(e))?;
        let mut next = blocks.next();
        let mut waited = start.elapsed().as_secs_f64();
        while let Some(block) = next.transpose().map_err(|e| self.failed(e))? {
            let both = Instant::now();
            let (read, (visited, seconds)) = rayon::join(
                || blocks.next(),
                || {
                    let visiting = Instant::now();
                    let flow = visit(RowBlock { first: block.first, rows: block.rows.view() });
                    (flow, visiting.elapsed().as_secs_f64())
                },
            );
            waited += (both.elapsed().as_secs_f64() - seconds).max(0.0);
            if visited? == ControlFlow::Break(()) {
                break;
            }
            next = read;
        }
        self.outcome().waited += waited;
        Ok(())
    }
}
