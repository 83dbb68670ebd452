//! One array of numbers, piece by piece: for matrices that are not held whole.

use super::grid::Grid;
use crate::DataError;
use crate::store::Number;

/// The rows of one array (the elements of a vector), taken in order.
///
/// Bands of chunks are decoded as they are needed; what lies beyond a piece is kept for the next, so none is decoded
/// twice.
pub(crate) struct Sequence<T> {
    grid: Grid,
    /// First row that was not decoded yet.
    next: usize,
    /// Rows decoded but not taken.
    ahead: Vec<T>,
}

impl<T: Number> Sequence<T> {
    pub(super) fn new(grid: Grid) -> Self {
        Self { grid, next: 0, ahead: Vec::new() }
    }

    /// The next `rows` rows.
    ///
    /// # Errors
    /// [`DataError::Damaged`] when the array ends before, or its bytes cannot be decoded.
    pub(crate) fn take(&mut self, rows: usize) -> Result<Vec<T>, DataError> {
        let grid = &self.grid;
        let damaged = |e: String| DataError::damaged(grid.path(), e);
        let wanted = rows * grid.row_len;
        let missing = wanted.saturating_sub(self.ahead.len()).div_ceil(grid.row_len.max(1));
        if missing > grid.n_rows() - self.next {
            return Err(damaged("an array shorter than its shape".to_owned()));
        }
        if missing > 0 {
            // All bands before `next` are decoded, so it is the first row of one.
            let first = self.next / grid.band_rows();
            let last = first + missing.div_ceil(grid.band_rows());
            let fill = grid.meta.fill_number::<T>().map_err(damaged)?;
            let fresh = grid.decode_bands(first..last, &fill, |b, n| grid.meta.unpack_numbers(&b, n))?;
            self.next = grid.n_rows().min(last.saturating_mul(grid.band_rows()));
            if self.ahead.is_empty() {
                self.ahead = fresh;
            } else {
                self.ahead.extend_from_slice(&fresh);
            }
        }
        let later = self.ahead.split_off(wanted);
        Ok(std::mem::replace(&mut self.ahead, later))
    }
}
