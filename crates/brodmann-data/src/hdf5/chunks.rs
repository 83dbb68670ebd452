//! Array layouts: from stored bytes to elements of the wanted type, in parallel, without a second copy.
//!
//! A chunked array is split into bands of its first axis. The stored bytes of a batch of bands are read in file
//! order; then each band is decompressed and converted into its own slice of the result.

use std::ops::Range;

use rayon::prelude::*;
use rust_hdf5::format::messages::data_layout::DataLayoutMessage;
use rust_hdf5::format::messages::filter::{FilterPipeline, reverse_filters_masked_bounded};
use rust_hdf5::format::{FormatError, FormatResult, UNDEF_ADDR};

use super::chunk_index::{Stored, stored_chunks};
use super::headers::Headers;
use crate::memory::{self, FREE_BYTES, max_memory};
use crate::store::{self, Element, Number};

/// Stored bytes held at once.
const BATCH_BYTES: usize = 32 << 20;
/// Elements of a contiguous array converted at once.
const BLOCK_ELEMENTS: usize = 1 << 20;
/// No filter expands more than this on real data; a shape that asks for more is damaged.
const MAX_EXPANSION: u64 = 20_000;

/// How one array is stored.
pub(super) struct Layout {
    pub(super) shape: Vec<usize>,
    pub(super) width: usize,
    pub(super) message: DataLayoutMessage,
    pub(super) filters: Option<FilterPipeline>,
    /// The last axis is the bytes of each element.
    pub(super) bytes: bool,
}

/// Refuses chunk sizes that no file of this size can hold, before the library makes room for them.
pub(super) fn check_chunks(message: &DataLayoutMessage, width: usize, file_size: u64) -> FormatResult<()> {
    let (DataLayoutMessage::ChunkedV3 { chunk_dims, .. } | DataLayoutMessage::ChunkedV4 { chunk_dims, .. }) =
        message
    else {
        return Ok(());
    };
    let dims: Vec<usize> = chunk_dims.iter().map(|&c| usize::try_from(c).unwrap_or(usize::MAX)).collect();
    let len = checked_len(&dims, 1, file_size)?;
    if len.saturating_mul(width) > u32::MAX as usize * 16 {
        return Err(damaged("a chunk larger than 4 GiB"));
    }
    Ok(())
}

fn damaged(what: &str) -> FormatError {
    FormatError::InvalidData(what.to_owned())
}

/// Number of elements, refused when it or its bytes cannot come from a file of this size.
pub(super) fn checked_len(shape: &[usize], width: usize, file_size: u64) -> FormatResult<usize> {
    let len = shape
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d))
        .filter(|n| {
            let bytes = n.checked_mul(width).map(|b| b as u64);
            bytes.is_some_and(|b| b <= file_size.saturating_mul(MAX_EXPANSION))
        })
        .ok_or_else(|| damaged("an array shape larger than the file can hold"))?;
    Ok(len)
}

/// A vector of defaults, or an error where memory is short.
pub(super) fn try_zeros<T: Copy + Default>(len: usize) -> FormatResult<Vec<T>> {
    let mut v = Vec::new();
    v.try_reserve_exact(len).map_err(|_| damaged("an array larger than this machine's memory"))?;
    v.resize(len, T::default());
    Ok(v)
}

/// Decodes the array into `T`s with `convert(bytes, out)`; `None` when this layout is left to the library.
pub(super) fn decode<T, C>(headers: &Headers, layout: &Layout, convert: C) -> FormatResult<Option<Vec<T>>>
where
    T: Copy + Default + Send + Sync,
    C: Fn(&[u8], &mut [T]) -> FormatResult<()> + Sync,
{
    let len = checked_len(&layout.shape, layout.width, headers.file_size())?;
    if len == 0 {
        return Ok(Some(Vec::new()));
    }
    match &layout.message {
        DataLayoutMessage::Compact { data } => {
            let mut out = try_zeros(len)?;
            let bytes =
                data.get(..len * layout.width).ok_or_else(|| damaged("an array shorter than its shape"))?;
            convert(bytes, &mut out)?;
            Ok(Some(out))
        }
        DataLayoutMessage::Contiguous { address, .. } if *address != UNDEF_ADDR => {
            if (len * layout.width) as u64 > headers.file_size() {
                return Err(damaged("an array larger than the file"));
            }
            let mut out = try_zeros(len)?;
            let mut at = *address;
            for block in out.chunks_mut(BLOCK_ELEMENTS) {
                let bytes = headers.exact(at, block.len() * layout.width)?;
                at += bytes.len() as u64;
                convert(&bytes, block)?;
            }
            Ok(Some(out))
        }
        DataLayoutMessage::ChunkedV3 { .. } | DataLayoutMessage::ChunkedV4 { .. } => {
            decode_chunked(headers, layout, len, convert)
        }
        _ => Ok(None),
    }
}

/// Where the chunks of an array lie. A band is one row of chunks: all that hold the same rows of the array.
pub(super) struct Grid {
    chunks: Vec<Stored>,
    chunk: Vec<usize>,
    chunk_len: usize,
    /// Elements in one row of the array.
    row_len: usize,
    /// Rows of the array in a full band.
    pub(super) band_rows: usize,
    per_band: usize,
}

impl Grid {
    /// Follows the index of a chunked array; `None` when this layout is left to the library.
    pub(super) fn follow(headers: &Headers, layout: &Layout) -> FormatResult<Option<Self>> {
        let (DataLayoutMessage::ChunkedV3 { chunk_dims, .. }
        | DataLayoutMessage::ChunkedV4 { chunk_dims, .. }) = &layout.message
        else {
            return Ok(None);
        };
        let len = checked_len(&layout.shape, layout.width, headers.file_size())?;
        // The message ends with the size of an element.
        let chunk = match chunk_dims.split_last() {
            Some(_) if layout.bytes => chunk_dims.as_slice(),
            Some((_, chunk)) => chunk,
            None => return Err(damaged("a chunked array without chunk sizes")),
        };
        let rank = layout.shape.len();
        if chunk.len() != rank || rank == 0 || chunk.contains(&0) {
            return Err(damaged("chunk sizes that do not fit the array"));
        }
        let chunk: Vec<usize> = chunk.iter().map(|&c| usize::try_from(c).unwrap_or(usize::MAX)).collect();
        let chunk_len = chunk
            .iter()
            .try_fold(1usize, |n, &c| n.checked_mul(c))
            .filter(|n| n.checked_mul(layout.width).is_some_and(|b| u32::try_from(b).is_ok()))
            .ok_or_else(|| damaged("a chunk larger than 4 GiB"))?;
        checked_len(&chunk, layout.width, headers.file_size())?;
        let most = FREE_BYTES.saturating_add(headers.file_size().saturating_mul(memory::MAX_EXPANSION));
        if (chunk_len * layout.width) as u64 > most && max_memory().is_none() {
            return Err(damaged("a chunk larger than the file can hold"));
        }
        let axes = rank - usize::from(layout.bytes);
        let found = stored_chunks(
            headers,
            &layout.message,
            &layout.shape[..axes],
            &chunk[..axes],
            chunk_len * layout.width,
            layout.filters.is_some(),
        )?;
        let Some(mut chunks) = found else { return Ok(None) };
        if layout.bytes {
            for s in &mut chunks {
                s.offsets.push(0);
            }
        }
        let expected: usize = layout.shape.iter().zip(&chunk).map(|(&n, &c)| n.div_ceil(c)).product();
        chunks.sort_by(|a, b| a.offsets.cmp(&b.offsets));
        let in_grid = chunks.iter().all(|s| {
            s.offsets
                .iter()
                .zip(&layout.shape)
                .zip(&chunk)
                .all(|((&o, &n), &c)| o < n as u64 && o % c as u64 == 0)
        });
        chunks.dedup_by(|a, b| a.offsets == b.offsets);
        if len == 0 || chunks.len() != expected || !in_grid {
            // Chunks never written hold the fill value: the library knows it.
            return Ok(None);
        }
        let row_len = len / layout.shape[0];
        let band_rows = chunk[0].min(layout.shape[0]);
        let per_band = expected / layout.shape[0].div_ceil(chunk[0]);
        Ok(Some(Self { chunks, chunk, chunk_len, row_len, band_rows, per_band }))
    }

    /// Number of bands.
    pub(super) fn n_bands(&self) -> usize {
        self.chunks.len() / self.per_band
    }

    /// The run of bands from `first` on whose stored bytes fill one batch; at least one band.
    fn batch(&self, first: usize) -> Range<usize> {
        let (mut last, mut bytes) = (first, 0usize);
        while last < self.n_bands() && (last == first || bytes < BATCH_BYTES) {
            let chunks = &self.chunks[last * self.per_band..(last + 1) * self.per_band];
            bytes += chunks.iter().map(|s| s.size).sum::<usize>();
            last += 1;
        }
        first..last
    }

    /// Decodes some bands, in parallel, into `out`, which holds their rows of the array and no more.
    pub(super) fn decode<T, C>(
        &self,
        mut read: impl FnMut(u64, usize) -> FormatResult<Vec<u8>>,
        layout: &Layout,
        bands: Range<usize>,
        out: &mut [T],
        convert: C,
    ) -> FormatResult<()>
    where
        T: Copy + Default + Send + Sync,
        C: Fn(&[u8], &mut [T]) -> FormatResult<()> + Sync,
    {
        let places = &self.chunks[bands.start * self.per_band..bands.end * self.per_band];
        let stored = places.iter().map(|s| read(s.address, s.size)).collect::<FormatResult<Vec<_>>>()?;
        out.par_chunks_mut(self.band_rows * self.row_len)
            .zip(places.par_chunks(self.per_band).zip(stored.par_chunks(self.per_band)))
            .try_for_each(|(band, (places, stored))| {
                let mut scratch: Vec<T> = Vec::new();
                for (place, raw) in places.iter().zip(stored) {
                    let image;
                    let bytes: &[u8] = match &layout.filters {
                        Some(filters) => {
                            image = reverse_filters_masked_bounded(
                                filters,
                                raw,
                                place.mask,
                                self.chunk_len * layout.width,
                            )?;
                            &image
                        }
                        None => raw,
                    };
                    let bytes = bytes
                        .get(..self.chunk_len * layout.width)
                        .ok_or_else(|| damaged("a chunk shorter than its size"))?;
                    if self.chunk[1..] == layout.shape[1..] {
                        // One chunk is the band; the last is cut where the array ends.
                        convert(&bytes[..band.len() * layout.width], band)?;
                        continue;
                    }
                    scratch.resize(self.chunk_len, T::default());
                    convert(bytes, &mut scratch)?;
                    scatter(&scratch, &self.chunk, &place.offsets, &layout.shape, band);
                }
                Ok::<(), FormatError>(())
            })
    }
}

fn decode_chunked<T, C>(
    headers: &Headers,
    layout: &Layout,
    len: usize,
    convert: C,
) -> FormatResult<Option<Vec<T>>>
where
    T: Copy + Default + Send + Sync,
    C: Fn(&[u8], &mut [T]) -> FormatResult<()> + Sync,
{
    let Some(grid) = Grid::follow(headers, layout)? else { return Ok(None) };
    let mut out: Vec<T> = try_zeros(len)?;
    let mut rest = out.as_mut_slice();
    let mut next = 0;
    while next < grid.n_bands() {
        let bands = grid.batch(next);
        next = bands.end;
        let take = rest.len().min(bands.len() * grid.band_rows * grid.row_len);
        let (now, later) = rest.split_at_mut(take);
        rest = later;
        grid.decode(|at, size| headers.exact(at, size), layout, bands, now, &convert)?;
    }
    Ok(Some(out))
}

/// Copies a chunk into its band, run by run along the last axis, leaving out what lies beyond the array.
fn scatter<T: Copy>(image: &[T], chunk: &[usize], offsets: &[u64], shape: &[usize], band: &mut [T]) {
    let rank = shape.len();
    let last = rank - 1;
    let start: Vec<usize> = offsets.iter().map(|&o| o as usize).collect();
    let extent: Vec<usize> = (0..rank).map(|d| chunk[d].min(shape[d] - start[d])).collect();
    let mut index = vec![0usize; rank];
    loop {
        let (mut from, mut to) = (0, 0);
        for d in 0..rank {
            from = from * chunk[d] + index[d];
            // The band begins at this chunk's first row.
            let at = if d == 0 { index[0] } else { start[d] + index[d] };
            to = to * if d == 0 { 1 } else { shape[d] } + at;
        }
        band[to..to + extent[last]].copy_from_slice(&image[from..from + extent[last]]);
        let mut d = last;
        loop {
            if d == 0 {
                return;
            }
            d -= 1;
            index[d] += 1;
            if index[d] < extent[d] {
                break;
            }
            index[d] = 0;
        }
    }
}

/// As [`store::convert`], with the library's error.
pub(super) fn convert<T: Number>(
    element: &Element,
    big_endian: bool,
    bytes: &[u8],
    out: &mut [T],
) -> FormatResult<()> {
    store::convert(element, big_endian, bytes, out).map_err(FormatError::InvalidData)
}
