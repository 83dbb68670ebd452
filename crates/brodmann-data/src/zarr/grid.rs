//! Which chunk of an array lies where, and chunks decoded in parallel.
//!
//! A band is one row of chunks: all that hold the same rows of the array. Bands are decoded side by side, each into its
//! own slice of the result; the stored bytes of one chunk per thread are held meanwhile.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::codec::{self, Codec};
use super::meta::{ArrayMeta, Kind};
use super::place::Place;
use crate::DataError;
use crate::memory::{Budget, FREE_BYTES};
use crate::store::{Number, convert};

/// No codec expands more than this on real data; a chunk that asks for more is damaged.
const MAX_EXPANSION: u64 = 20_000;
/// Grids up to this size may consist of missing chunks alone.
const FREE_CHUNKS: usize = 1 << 20;
/// Indices of shards held at once.
const HELD_INDICES: usize = 64;

type Index = Arc<Vec<(u64, u64)>>;

/// The chunks of one array.
pub(super) struct Grid {
    place: Arc<Place>,
    /// Path of the array in the store.
    key: String,
    pub(super) meta: ArrayMeta,
    /// As the metadata have it; a single number is a vector of one here.
    shape: Vec<usize>,
    chunk: Vec<usize>,
    chunk_len: usize,
    /// Chunks along each axis.
    counts: Vec<usize>,
    /// Elements in one row.
    pub(super) row_len: usize,
    /// For each axis, how far apart neighbours along it lie in a chunk.
    strides: Vec<usize>,
    shards: Mutex<HashMap<String, Option<Index>>>,
}

impl Grid {
    /// # Errors
    /// [`DataError::Damaged`] for an array that its store cannot hold.
    pub(super) fn new(
        place: Arc<Place>,
        key: &str,
        meta: ArrayMeta,
        budget: Option<&Budget>,
    ) -> Result<Self, DataError> {
        let damaged = |what: &str| DataError::damaged(place.path(), format!("{key}: {what}"));
        let (shape, chunk) =
            if meta.shape.is_empty() { (vec![1], vec![1]) } else { (meta.shape.clone(), meta.chunk.clone()) };
        let product = |sizes: &[usize]| sizes.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        let too_large = "an array shape larger than the store can hold";
        // What an element takes in memory, at the least.
        let each = meta.width.max(if meta.width == 0 { size_of::<String>() } else { 8 });
        let len =
            product(&shape).filter(|n| n.checked_mul(each).is_some()).ok_or_else(|| damaged(too_large))?;
        let chunk_len = product(&chunk)
            .filter(|n| n.checked_mul(each).is_some_and(|b| isize::try_from(b).is_ok()))
            .ok_or_else(|| damaged("chunks larger than any machine's memory"))?;
        let counts: Vec<usize> = shape.iter().zip(&chunk).map(|(s, c)| s.div_ceil(*c)).collect();
        let n_chunks = product(&counts).ok_or_else(|| damaged(too_large))?;
        let bytes = (len as u64).saturating_mul(each as u64);
        if let Some(budget) = budget {
            // All of it is about to be read: what the whole store may become counts.
            budget.take(place.path(), key, (len, each), || place.weigh("").1)?;
        }
        if bytes > FREE_BYTES || n_chunks > FREE_CHUNKS {
            let (files, stored) = place.weigh(key);
            // An index names each chunk of a shard in sixteen bytes.
            let named = files as u64 + if meta.sharding.is_some() { stored / 16 } else { 0 };
            if bytes > FREE_BYTES.saturating_add(stored.saturating_mul(MAX_EXPANSION))
                || n_chunks as u64 > (FREE_CHUNKS as u64).saturating_add(named.saturating_mul(64))
            {
                return Err(damaged(too_large));
            }
        }
        let rank = shape.len();
        let mut strides = vec![1; rank];
        let order = meta.order.clone().unwrap_or_else(|| (0..rank).collect());
        let mut stride = 1;
        for &axis in order.iter().rev() {
            strides[axis] = stride;
            stride *= chunk[axis];
        }
        let row_len = shape.iter().skip(1).product();
        Ok(Self {
            place,
            key: key.to_owned(),
            meta,
            shape,
            chunk,
            chunk_len,
            counts,
            row_len,
            strides,
            shards: Mutex::default(),
        })
    }

    pub(super) fn path(&self) -> &std::path::Path {
        self.place.path()
    }

    fn damaged(&self, what: impl std::fmt::Display) -> DataError {
        DataError::damaged(self.place.path(), format!("{}: {what}", self.key))
    }

    pub(super) fn n_rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    pub(super) fn band_rows(&self) -> usize {
        self.chunk.first().copied().unwrap_or(1)
    }

    /// All elements, as `unpack(bytes, n)` makes them of a chunk's bytes.
    pub(super) fn decode<T, U>(&self, fill: &T, unpack: U) -> Result<Vec<T>, DataError>
    where
        T: Clone + Default + Send + Sync,
        U: Fn(Vec<u8>, usize) -> Result<Vec<T>, String> + Sync,
    {
        let bands = self.counts.first().copied().unwrap_or(0);
        self.decode_bands(0..bands, fill, unpack)
    }

    /// The elements of some bands.
    pub(super) fn decode_bands<T, U>(
        &self,
        bands: Range<usize>,
        fill: &T,
        unpack: U,
    ) -> Result<Vec<T>, DataError>
    where
        T: Clone + Default + Send + Sync,
        U: Fn(Vec<u8>, usize) -> Result<Vec<T>, String> + Sync,
    {
        let rows = |band: usize| band.saturating_mul(self.band_rows()).min(self.n_rows());
        let len = (rows(bands.end) - rows(bands.start)) * self.row_len;
        let mut out: Vec<T> = Vec::new();
        out.try_reserve_exact(len).map_err(|_| self.damaged("an array larger than this machine's memory"))?;
        out.resize(len, fill.clone());
        if len == 0 {
            return Ok(out);
        }
        let band_len = self.band_rows().saturating_mul(self.row_len).min(len);
        out.par_chunks_mut(band_len)
            .enumerate()
            .try_for_each(|(i, band)| self.decode_band(bands.start + i, band, &unpack))?;
        Ok(out)
    }

    fn decode_band<T, U>(&self, band: usize, out: &mut [T], unpack: &U) -> Result<(), DataError>
    where
        T: Default,
        U: Fn(Vec<u8>, usize) -> Result<Vec<T>, String>,
    {
        let mut at = vec![0; self.shape.len()];
        at[0] = band;
        loop {
            if let Some(bytes) = self.chunk_bytes(&at)? {
                let what = |e: String| self.damaged(format!("the chunk {}: {e}", self.meta.chunk_key(&at)));
                let mut image = unpack(bytes, self.chunk_len).map_err(what)?;
                if image.len() != self.chunk_len {
                    return Err(what(format!("{} elements instead of {}", image.len(), self.chunk_len)));
                }
                self.scatter(&mut image, &at, out);
            }
            // The next chunk of the band.
            let mut axis = at.len();
            loop {
                axis -= 1;
                if axis == 0 {
                    return Ok(());
                }
                at[axis] += 1;
                if at[axis] < self.counts[axis] {
                    break;
                }
                at[axis] = 0;
            }
        }
    }

    /// The elements within `ranges`, one range for each axis, of the chunks that hold them.
    pub(super) fn decode_box<T, U>(
        &self,
        ranges: &[Range<usize>],
        fill: &T,
        unpack: U,
    ) -> Result<Vec<T>, DataError>
    where
        T: Copy,
        U: Fn(Vec<u8>, usize) -> Result<Vec<T>, String>,
    {
        let rank = self.shape.len();
        let fits = ranges.len() == rank
            && ranges.iter().zip(&self.shape).all(|(r, len)| r.start <= r.end && r.end <= *len);
        if !fits {
            return Err(self.damaged(format!("{ranges:?} of an array of the shape {:?}", self.shape)));
        }
        let len = ranges.iter().map(Range::len).product();
        let mut out: Vec<T> = Vec::new();
        out.try_reserve_exact(len).map_err(|_| self.damaged("a part larger than this machine's memory"))?;
        out.resize(len, *fill);
        if len == 0 {
            return Ok(out);
        }
        let chunks: Vec<Range<usize>> =
            ranges.iter().zip(&self.chunk).map(|(r, c)| r.start / c..(r.end - 1) / c + 1).collect();
        let mut at: Vec<usize> = chunks.iter().map(|c| c.start).collect();
        loop {
            if let Some(bytes) = self.chunk_bytes(&at)? {
                let what = |e: String| self.damaged(format!("the chunk {}: {e}", self.meta.chunk_key(&at)));
                let image = unpack(bytes, self.chunk_len).map_err(what)?;
                if image.len() != self.chunk_len {
                    return Err(what(format!("{} elements instead of {}", image.len(), self.chunk_len)));
                }
                // What the chunk and the box share.
                let shared: Vec<Range<usize>> = (0..rank)
                    .map(|d| {
                        let start = at[d] * self.chunk[d];
                        ranges[d].start.max(start)..ranges[d].end.min(start.saturating_add(self.chunk[d]))
                    })
                    .collect();
                let mut index: Vec<usize> = shared.iter().map(|s| s.start).collect();
                loop {
                    let (mut from, mut to) = (0, 0);
                    for d in 0..rank {
                        from += (index[d] - at[d] * self.chunk[d]) * self.strides[d];
                        to = to * ranges[d].len() + index[d] - ranges[d].start;
                    }
                    let step = self.strides[rank - 1];
                    for k in 0..shared[rank - 1].len() {
                        out[to + k] = image[from + k * step];
                    }
                    if !next_index(&mut index[..rank - 1], &shared) {
                        break;
                    }
                }
            }
            if !next_index(&mut at, &chunks) {
                return Ok(out);
            }
        }
    }

    pub(super) fn chunk(&self) -> &[usize] {
        &self.chunk
    }

    /// Moves a chunk into its band, leaving out what lies beyond the array.
    fn scatter<T>(&self, image: &mut [T], at: &[usize], band: &mut [T]) {
        let rank = self.shape.len();
        let last = rank - 1;
        let start: Vec<usize> = at.iter().zip(&self.chunk).map(|(a, c)| a * c).collect();
        let extent: Vec<usize> = (0..rank).map(|d| self.chunk[d].min(self.shape[d] - start[d])).collect();
        let mut index = vec![0; rank];
        loop {
            let (mut from, mut to) = (0, 0);
            for d in 0..rank {
                from += index[d] * self.strides[d];
                // The band begins at this chunk's first row.
                to = to * if d == 0 { 1 } else { self.shape[d] }
                    + if d == 0 { index[0] } else { start[d] + index[d] };
            }
            if self.strides[last] == 1 {
                band[to..to + extent[last]].swap_with_slice(&mut image[from..from + extent[last]]);
            } else {
                for k in 0..extent[last] {
                    std::mem::swap(&mut band[to + k], &mut image[from + k * self.strides[last]]);
                }
            }
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

    /// The decoded bytes of a chunk; `None` where it is not stored.
    fn chunk_bytes(&self, at: &[usize]) -> Result<Option<Vec<u8>>, DataError> {
        let key = |at: &[usize]| join(&self.key, &self.meta.chunk_key(at));
        let stored = match &self.meta.sharding {
            None => self.place.bytes(&key(at))?,
            Some(sharding) => {
                let shard: Vec<usize> = at.iter().zip(&sharding.per_shard).map(|(a, n)| a / n).collect();
                let inside = at.iter().zip(&sharding.per_shard).fold(0, |i, (a, n)| i * n + a % n);
                let key = key(&shard);
                match self.index(&key)?.and_then(|index| index.get(inside).copied()) {
                    None | Some((u64::MAX, u64::MAX)) => None,
                    Some((from, len)) => self.place.range(&key, from, len)?,
                }
            }
        };
        let Some(stored) = stored else { return Ok(None) };
        let possible = (stored.len() as u64).saturating_mul(MAX_EXPANSION).saturating_add(1 << 16);
        let possible = usize::try_from(possible).unwrap_or(usize::MAX);
        let wanted = self.chunk_len * self.meta.width;
        let limit = if self.meta.width == 0 { possible } else { wanted.min(possible) };
        let what = |e: String| self.damaged(format!("the chunk {}: {e}", self.meta.chunk_key(at)));
        let bytes = codec::decode(&self.meta.codecs, stored, limit).map_err(what)?;
        if self.meta.width > 0 && bytes.len() != wanted {
            return Err(what(format!("{} bytes instead of {wanted}", bytes.len())));
        }
        Ok(Some(bytes))
    }

    /// Where the inner chunks of a shard lie in its file; `None` where there is no such file.
    fn index(&self, key: &str) -> Result<Option<Index>, DataError> {
        let held = || self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = held().get(key) {
            return Ok(index.clone());
        }
        let index = self.read_index(key)?;
        let mut held = held();
        if held.len() >= HELD_INDICES {
            held.clear();
        }
        held.insert(key.to_owned(), index.clone());
        Ok(index)
    }

    fn read_index(&self, key: &str) -> Result<Option<Index>, DataError> {
        let Some(sharding) = &self.meta.sharding else { return Ok(None) };
        let Some(size) = self.place.size(key)? else { return Ok(None) };
        let n = sharding.per_shard.iter().try_fold(1u64, |n, &d| n.checked_mul(d as u64));
        let sum = if sharding.checksum { 4 } else { 0 };
        let len = n
            .and_then(|n| n.checked_mul(16)?.checked_add(sum))
            .filter(|len| *len <= size)
            .ok_or_else(|| self.damaged(format!("the shard {key} is shorter than its index")))?;
        let from = if sharding.index_at_end { size - len } else { 0 };
        let Some(bytes) = self.place.range(key, from, len)? else { return Ok(None) };
        let codecs: &[Codec] = if sharding.checksum { &[Codec::Crc32c] } else { &[] };
        let bytes = codec::decode(codecs, bytes, len as usize)
            .map_err(|e| self.damaged(format!("the index of the shard {key}: {e}")))?;
        let number = |b: &[u8]| b.try_into().map_or(u64::MAX, u64::from_le_bytes);
        Ok(Some(Arc::new(bytes.chunks_exact(16).map(|e| (number(&e[..8]), number(&e[8..]))).collect())))
    }
}

impl ArrayMeta {
    /// Numbers of a chunk.
    pub(super) fn unpack_numbers<T: Number>(&self, bytes: &[u8], n: usize) -> Result<Vec<T>, String> {
        let Kind::Number(element) = &self.kind else {
            return Err("an array that is not of numbers".to_owned());
        };
        let mut out = vec![T::default(); n.min(bytes.len() / self.width.max(1))];
        convert(element, self.big_endian, bytes, &mut out)?;
        Ok(out)
    }

    /// The fill value as a number.
    pub(super) fn fill_number<T: Number>(&self) -> Result<T, String> {
        let fill = self.unpack_numbers::<T>(&self.fill, 1);
        match fill {
            Ok(v) => Ok(v.first().copied().unwrap_or_default()),
            // NaN is no whole number: an error only where an element is missing, which a reader of whole numbers
            // cannot tell before.
            Err(_) if matches!(&self.kind, Kind::Number(_)) => Ok(T::default()),
            Err(e) => Err(e),
        }
    }

    /// Texts of a chunk.
    pub(super) fn unpack_texts(&self, bytes: &[u8], n: usize) -> Result<Vec<String>, String> {
        let fixed =
            |one: &dyn Fn(&[u8]) -> String| Ok(bytes.chunks_exact(self.width.max(1)).map(one).collect());
        match &self.kind {
            Kind::Texts => variable_texts(bytes, n),
            Kind::Bytes => fixed(&|b| {
                let end = b.iter().rposition(|b| *b != 0).map_or(0, |p| p + 1);
                String::from_utf8_lossy(&b[..end]).into_owned()
            }),
            Kind::Utf32 => fixed(&|b| {
                let code = |c: &[u8]| {
                    let c: [u8; 4] = c.try_into().unwrap_or_default();
                    if self.big_endian { u32::from_be_bytes(c) } else { u32::from_le_bytes(c) }
                };
                let codes: Vec<u32> = b.chunks_exact(4).map(code).collect();
                let end = codes.iter().rposition(|c| *c != 0).map_or(0, |p| p + 1);
                codes[..end]
                    .iter()
                    .map(|c| char::from_u32(*c).unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect()
            }),
            _ => Err("an array that is not of texts".to_owned()),
        }
    }
}

/// The number of texts, then each with its size before it.
fn variable_texts(bytes: &[u8], n: usize) -> Result<Vec<String>, String> {
    let short = || "texts that end before their size says".to_owned();
    let (count, mut rest) = bytes.split_first_chunk::<4>().ok_or_else(short)?;
    let count = u32::from_le_bytes(*count) as usize;
    if count != n || count > rest.len() / 4 {
        return Err(format!("{count} texts where {n} belong"));
    }
    let mut texts = Vec::with_capacity(count);
    for _ in 0..count {
        let (size, after) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let (text, after) = after.split_at_checked(u32::from_le_bytes(*size) as usize).ok_or_else(short)?;
        texts.push(String::from_utf8_lossy(text).into_owned());
        rest = after;
    }
    Ok(texts)
}

/// Steps to the next place within `ranges`, the last axis first; `false` after the last one.
fn next_index(index: &mut [usize], ranges: &[Range<usize>]) -> bool {
    for (i, range) in index.iter_mut().zip(ranges).rev() {
        *i += 1;
        if *i < range.end {
            return true;
        }
        *i = range.start;
    }
    false
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") }
}
