//! Any part of one array of numbers: for pictures that are not held whole.

use std::ops::Range;

use super::grid::Grid;
use crate::DataError;
use crate::store::Number;

/// An array, read by the chunks that a part of it lies in.
pub(crate) struct Blocks {
    grid: Grid,
}

impl Blocks {
    pub(super) fn new(grid: Grid) -> Self {
        Self { grid }
    }

    /// Shape of what is decoded at once.
    pub(crate) fn chunk(&self) -> &[usize] {
        self.grid.chunk()
    }

    /// The elements within `ranges`, one range for each axis, the last axis first to change.
    ///
    /// # Errors
    /// [`DataError::Damaged`] for ranges beyond the array, or bytes that cannot be decoded.
    pub(crate) fn read<T: Number>(&self, ranges: &[Range<usize>]) -> Result<Vec<T>, DataError> {
        let meta = &self.grid.meta;
        let fill = meta.fill_number::<T>().map_err(|e| DataError::damaged(self.grid.path(), e))?;
        self.grid.decode_box(ranges, &fill, |bytes, n| meta.unpack_numbers(&bytes, n))
    }
}
