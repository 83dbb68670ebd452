//! An array of records, piece by piece: for files of hundreds of millions of molecules.

use std::path::PathBuf;

use rust_hdf5::format::FormatResult;

use super::chunks;
use super::sequence::Sequence;
use crate::DataError;
use crate::store::Element;

/// The records of one array, taken in order, some of their fields as numbers.
pub(crate) struct Records {
    pub(super) file: PathBuf,
    /// Path of the array, for messages.
    pub(super) array: String,
    pub(super) bytes: Bytes,
    /// Bytes of one record.
    pub(super) record: usize,
    pub(super) fields: Vec<Field>,
    /// Records that were not taken yet.
    pub(super) left: usize,
}

/// Where the bytes come from.
pub(super) enum Bytes {
    Pieces(Box<Sequence<u8>>),
    /// Of a layout that can only be read whole; and how many were taken.
    Whole(Vec<u8>, usize),
}

/// Where a field lies in each record, and what it is.
pub(super) struct Field {
    pub(super) start: usize,
    pub(super) width: usize,
    pub(super) element: Element,
    pub(super) big_endian: bool,
}

/// Records of `record` bytes that are held at a time, however many are asked for.
pub(super) fn most_of(record: usize) -> usize {
    ((32 << 20) / record.max(1)).max(1)
}

impl Records {
    /// The next records, at most `most` of them: by field, as asked for, their values. Nothing at the end.
    ///
    /// # Errors
    /// [`DataError::Damaged`] when the array ends before its time, or its bytes cannot be decoded.
    pub(crate) fn take(&mut self, most: usize) -> Result<Option<Vec<Vec<f64>>>, DataError> {
        let n = most.min(self.left).min(most_of(self.record));
        if n == 0 {
            return Ok(None);
        }
        self.left -= n;
        let fields = match &mut self.bytes {
            Bytes::Pieces(sequence) => decode(&self.fields, self.record, &sequence.take(n)?),
            Bytes::Whole(bytes, taken) => {
                let from = *taken * self.record;
                *taken += n;
                decode(&self.fields, self.record, &bytes[from..*taken * self.record])
            }
        };
        fields.map(Some).map_err(|e| DataError::damaged(&self.file, format!("{}: {e}", self.array)))
    }
}

fn decode(fields: &[Field], record: usize, bytes: &[u8]) -> FormatResult<Vec<Vec<f64>>> {
    let mut own = Vec::new();
    fields
        .iter()
        .map(|field| {
            own.clear();
            let place = field.start..field.start + field.width;
            own.extend(bytes.chunks_exact(record).flat_map(|r| &r[place.clone()]));
            let mut values = chunks::try_zeros(own.len() / field.width)?;
            chunks::convert(&field.element, field.big_endian, &own, &mut values)?;
            Ok(values)
        })
        .collect()
}
