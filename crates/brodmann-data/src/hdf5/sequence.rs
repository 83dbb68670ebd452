//! One array of numbers, piece by piece: for matrices that are not held whole.

use std::path::PathBuf;

use rust_hdf5::format::messages::data_layout::DataLayoutMessage;
use rust_hdf5::format::{FormatResult, UNDEF_ADDR};

use super::chunks::{self, Grid, Layout};
use super::headers::Blocks;
use crate::DataError;
use crate::store::{Element, Number};

/// The rows of one array (the elements of a vector), taken in order.
///
/// It shares the reader's descriptor, each read naming its place, so it can work on another thread than the reader it came from. Chunks are
/// decoded whole and in parallel; what lies beyond a piece is kept for the next, so none is decoded twice.
pub(crate) struct Sequence<T> {
    file: PathBuf,
    /// Path of the array, for messages.
    array: String,
    blocks: Blocks,
    layout: Layout,
    place: Place,
    element: Element,
    big_endian: bool,
    row_len: usize,
    n_rows: usize,
    /// First row that was not decoded yet.
    next: usize,
    /// Rows decoded but not taken.
    ahead: Vec<T>,
}

/// Where the elements lie.
pub(super) enum Place {
    /// One after another, from this address on.
    Contiguous(u64),
    /// In chunks.
    Chunked(Grid),
}

/// What a reader knows of an array.
pub(super) struct Origin {
    pub(super) file: PathBuf,
    pub(super) array: String,
    pub(super) blocks: Blocks,
    pub(super) layout: Layout,
    pub(super) element: Element,
    pub(super) big_endian: bool,
}

impl<T: Number> Sequence<T> {
    pub(super) fn new(origin: Origin, place: Place) -> Self {
        let Origin { file, array, blocks, layout, element, big_endian } = origin;
        let n_rows = layout.shape.first().copied().unwrap_or(0);
        let row_len = layout.shape.iter().skip(1).product();
        Self {
            file,
            array,
            blocks,
            layout,
            place,
            element,
            big_endian,
            row_len,
            n_rows,
            next: 0,
            ahead: Vec::new(),
        }
    }

    /// The next `rows` rows.
    ///
    /// # Errors
    /// [`DataError::Damaged`] when the array ends before, or its bytes cannot be decoded.
    pub(crate) fn take(&mut self, rows: usize) -> Result<Vec<T>, DataError> {
        self.decode(rows).map_err(|e| DataError::damaged(&self.file, format!("{}: {e}", self.array)))
    }

    fn decode(&mut self, rows: usize) -> FormatResult<Vec<T>> {
        let wanted = rows * self.row_len;
        let missing = wanted.saturating_sub(self.ahead.len()).div_ceil(self.row_len.max(1));
        if missing > self.n_rows - self.next {
            return Err(rust_hdf5::format::FormatError::InvalidData(
                "an array shorter than its shape".into(),
            ));
        }
        if missing == 0 {
            let later = self.ahead.split_off(wanted);
            return Ok(std::mem::replace(&mut self.ahead, later));
        }
        let convert =
            |bytes: &[u8], out: &mut [T]| chunks::convert(&self.element, self.big_endian, bytes, out);
        let mut fresh: Vec<T>;
        match &self.place {
            Place::Contiguous(address) => {
                fresh = chunks::try_zeros(missing * self.row_len)?;
                let at = address + (self.next * self.row_len * self.layout.width) as u64;
                let bytes = self.blocks.exact(at, fresh.len() * self.layout.width)?;
                convert(&bytes, &mut fresh)?;
                self.next += missing;
            }
            Place::Chunked(grid) => {
                // All bands before `next` are decoded, so it is the first row of one.
                let first = self.next / grid.band_rows;
                let last = first + missing.div_ceil(grid.band_rows);
                let end = self.n_rows.min(last * grid.band_rows);
                fresh = chunks::try_zeros((end - self.next) * self.row_len)?;
                let blocks = &self.blocks;
                grid.decode(
                    |at, size| blocks.exact(at, size),
                    &self.layout,
                    first..last,
                    &mut fresh,
                    convert,
                )?;
                self.next = end;
            }
        }
        if self.ahead.is_empty() {
            self.ahead = fresh.split_off(wanted);
            return Ok(fresh);
        }
        let from_fresh = wanted - self.ahead.len();
        let mut out = std::mem::take(&mut self.ahead);
        out.extend_from_slice(&fresh[..from_fresh]);
        fresh.drain(..from_fresh);
        self.ahead = fresh;
        Ok(out)
    }
}

/// Where an array can be read in order; `None` when that is left to the library.
pub(super) fn place_of(headers: &super::headers::Headers, layout: &Layout) -> FormatResult<Option<Place>> {
    let len = chunks::checked_len(&layout.shape, layout.width, headers.file_size())?;
    match &layout.message {
        DataLayoutMessage::Contiguous { address, .. } if *address != UNDEF_ADDR => {
            let fits = (len * layout.width) as u64 <= headers.file_size();
            Ok(fits.then_some(Place::Contiguous(*address)))
        }
        DataLayoutMessage::ChunkedV3 { .. } | DataLayoutMessage::ChunkedV4 { .. } => {
            Ok(Grid::follow(headers, layout)?.map(Place::Chunked))
        }
        _ => Ok(None),
    }
}
