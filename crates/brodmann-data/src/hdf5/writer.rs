//! Writing: [`StoreWriter`] on an HDF5 file, new or existing.

use std::path::{Path, PathBuf};

use brodmann_kernels::ParallelLoop;
use indexmap::IndexMap;
use rayon::prelude::*;
use rust_hdf5::format::messages::filter::{FilterPipeline, apply_filters};
use rust_hdf5::types::VarLenUnicode;
use rust_hdf5::{CompoundType, DatatypeMessage, H5Dataset, H5File, H5Group, H5Type, HBool, Hdf5Error};

use crate::store::{ArrayData, Attribute, GrowingData, GrowingKind, NodeKind, StoreWriter};
use crate::{Array, DataError};

/// Elements per chunk of a vector; rows of a matrix are cut to about as many bytes.
const CHUNK_ELEMENTS: usize = 1 << 16;
/// Arrays of fewer elements are stored plain: a chunk index would cost more than compression saves.
const COMPRESS_FROM: usize = 4096;
/// Elements converted at once.
const BLOCK: usize = 1 << 20;
/// Chunks compressed at once.
const BATCH: usize = 64;
/// Chunks of a growing vector that wait for one another, to be compressed at once: 4 MB.
const GROWING_BATCH: usize = 16;

/// An HDF5 file open for writing.
pub(crate) struct Hdf5Writer {
    path: PathBuf,
    /// `None` once closed.
    file: Option<H5File>,
}

impl Drop for Hdf5Writer {
    fn drop(&mut self) {
        // Only after an error, which is told already: left to itself the library would print another, in its words.
        if let Some(file) = self.file.take() {
            let _ = file.close_no_sync();
        }
    }
}

impl Hdf5Writer {
    /// A new, empty file at `place`, called `name` in errors. `userblock` bytes come before it (mudata writes its
    /// name there).
    pub(crate) fn create(place: &Path, name: &Path, userblock: u64) -> Result<Self, DataError> {
        let options = H5File::options().no_locking();
        let options = if userblock > 0 { options.userblock(userblock) } else { options };
        let file = options.create(place).map_err(|e| write_error(name, e))?;
        Ok(Self { path: name.to_path_buf(), file: Some(file) })
    }

    /// An existing file at `place`, called `name` in errors, to be added to.
    pub(crate) fn edit(place: &Path, name: &Path) -> Result<Self, DataError> {
        let file = H5File::options().no_locking().open_rw(place).map_err(|e| write_error(name, e))?;
        Ok(Self { path: name.to_path_buf(), file: Some(file) })
    }

    /// Writes everything out; the file on disk is complete afterwards.
    pub(crate) fn close(mut self) -> Result<(), DataError> {
        self.file.take().map_or(Ok(()), H5File::close).map_err(|e| write_error(&self.path, e))
    }

    fn file(&self) -> Result<&H5File, DataError> {
        self.file
            .as_ref()
            .ok_or_else(|| DataError::write(&self.path, std::io::ErrorKind::NotConnected.into()))
    }

    fn error(&self, error: Hdf5Error) -> DataError {
        write_error(&self.path, error)
    }

    fn group(&self, path: &str) -> Result<H5Group, DataError> {
        let root = self.file()?.root_group();
        if path.is_empty() { Ok(root) } else { root.group(path).map_err(|e| self.error(e)) }
    }

    /// A vector stored as another type, converted block by block: no second copy of it in memory.
    fn cast<S: Copy + Sync, T: Bytes>(
        &self,
        group: &H5Group,
        name: &str,
        values: &[S],
        gzip: u8,
        convert: impl Fn(S) -> T + Sync,
    ) -> Result<H5Dataset, DataError> {
        let fail = |e: Hdf5Error| self.error(e);
        let shape = [values.len()];
        if gzip > 0 && values.len() >= COMPRESS_FROM {
            let encode = |v: &[S], bytes: &mut Vec<u8>| v.iter().for_each(|&x| convert(x).extend(bytes));
            return self.compressed::<S, T>(group, name, values, &shape, gzip, encode);
        }
        let dataset = group.new_dataset::<T>().shape(shape).create(name).map_err(fail)?;
        for (i, block) in values.chunks(BLOCK).enumerate() {
            let block: Vec<T> = block.iter().map(|&x| convert(x)).collect();
            dataset.write_slice(&[i * BLOCK], &[block.len()], &block).map_err(fail)?;
        }
        Ok(dataset)
    }

    fn numbers<T: H5Type + Sync>(
        &self,
        group: &H5Group,
        name: &str,
        values: &[T],
        shape: &[usize],
        gzip: u8,
        encode: impl Fn(&[T], &mut Vec<u8>) + Sync,
    ) -> Result<H5Dataset, DataError> {
        let fail = |e: Hdf5Error| self.error(e);
        if shape.is_empty() {
            let dataset = group.new_dataset::<T>().scalar().create(name).map_err(fail)?;
            dataset.write_raw(values).map_err(fail)?;
            return Ok(dataset);
        }
        if gzip == 0 || values.len() < COMPRESS_FROM {
            let dataset = group.new_dataset::<T>().shape(shape).create(name).map_err(fail)?;
            if !values.is_empty() {
                dataset.write_raw(values).map_err(fail)?;
            }
            return Ok(dataset);
        }
        self.compressed::<T, T>(group, name, values, shape, gzip, encode)
    }

    fn dataset_attributes(
        &self,
        dataset: &H5Dataset,
        attributes: &[(&str, Attribute)],
    ) -> Result<(), DataError> {
        let fail = |e: Hdf5Error| self.error(e);
        for (key, value) in attributes {
            match value {
                Attribute::String(s) => dataset
                    .new_attr::<VarLenUnicode>()
                    .shape(())
                    .create(key)
                    .and_then(|a| a.write_string(s))
                    .map_err(fail)?,
                Attribute::Bool(b) => dataset
                    .new_attr::<HBool>()
                    .shape(())
                    .create(key)
                    .and_then(|a| a.write_numeric(&HBool(u8::from(*b))))
                    .map_err(fail)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Counts `n` values in, and writes once a batch is full.
    fn write_batch(&self, growing: &mut Growing, n: usize) -> Result<(), DataError> {
        growing.len += n;
        if growing.pending.len() >= GROWING_BATCH * CHUNK_ELEMENTS * growing.kind.size() {
            self.write_chunks(growing, false)?;
        }
        Ok(())
    }

    /// Writes the chunks that are full; with `last`, what is left as one more, filled up with zeros.
    fn write_chunks(&self, growing: &mut Growing, last: bool) -> Result<(), DataError> {
        let fail = |e: Hdf5Error| self.error(e);
        let chunk_bytes = CHUNK_ELEMENTS * growing.kind.size();
        if last {
            // What lies beyond the array is never read.
            let whole = growing.pending.len().next_multiple_of(chunk_bytes);
            growing.pending.resize(whole, 0);
        }
        let n_full = growing.pending.len() / chunk_bytes;
        if n_full == 0 {
            return Ok(());
        }
        let dataset = match growing.dataset.take() {
            Some(dataset) => dataset,
            None => self.create_growing(growing)?,
        };
        let full = &growing.pending[..n_full * chunk_bytes];
        if growing.gzip == 0 {
            for (i, bytes) in full.chunks_exact(chunk_bytes).enumerate() {
                dataset.write_chunk(growing.n_chunks + i, bytes).map_err(fail)?;
            }
        } else {
            let pipeline = FilterPipeline::deflate(u32::from(growing.gzip));
            let compressed: Result<Vec<Vec<u8>>, _> = full
                .par_chunks_exact(chunk_bytes)
                .map(|bytes| apply_filters(&pipeline, bytes))
                .try_collect_vec();
            for (i, bytes) in compressed.map_err(|e| fail(e.into()))?.iter().enumerate() {
                dataset.write_chunk_raw(growing.n_chunks + i, bytes, 0).map_err(fail)?;
            }
        }
        growing.n_chunks += n_full;
        growing.pending.drain(..n_full * chunk_bytes);
        growing.dataset = Some(dataset);
        Ok(())
    }

    fn create_growing(&self, growing: &Growing) -> Result<H5Dataset, DataError> {
        let (parent, name) = split(&growing.path);
        let group = self.group(parent)?;
        macro_rules! create {
            ($t:ty) => {{
                let builder =
                    group.new_dataset::<$t>().shape([0]).chunk(&[CHUNK_ELEMENTS]).max_shape(&[None]);
                let builder = match growing.gzip {
                    0 => builder,
                    level => builder.deflate(u32::from(level)),
                };
                builder.create(name)
            }};
        }
        match growing.kind {
            GrowingKind::F32 => create!(f32),
            GrowingKind::I32 => create!(i32),
            GrowingKind::U32 => create!(u32),
        }
        .map_err(|e| self.error(e))
    }

    /// Values of type `S` stored as `T`, in chunks compressed in parallel.
    fn compressed<S: Sync, T: H5Type>(
        &self,
        group: &H5Group,
        name: &str,
        values: &[S],
        shape: &[usize],
        gzip: u8,
        encode: impl Fn(&[S], &mut Vec<u8>) + Sync,
    ) -> Result<H5Dataset, DataError> {
        let fail = |e: Hdf5Error| self.error(e);
        // Chunks of whole rows: each is a run of the array, so bands of the first axis are the chunks.
        let row_len = values.len() / shape[0];
        let rows = (CHUNK_ELEMENTS / row_len).clamp(1, shape[0]);
        let mut chunk = shape.to_vec();
        chunk[0] = rows;
        let dataset = group
            .new_dataset::<T>()
            .shape(shape)
            .chunk(&chunk)
            .deflate(u32::from(gzip))
            .create(name)
            .map_err(fail)?;
        let pipeline = FilterPipeline::deflate(u32::from(gzip));
        let chunk_bytes = rows * row_len * size_of::<T>();
        for (batch, part) in values.chunks(rows * row_len * BATCH).enumerate() {
            let compressed: Result<Vec<Vec<u8>>, _> = part
                .par_chunks(rows * row_len)
                .map(|values| {
                    let mut bytes = Vec::with_capacity(chunk_bytes);
                    encode(values, &mut bytes);
                    // The last chunk is stored whole; what lies beyond the array is never read.
                    bytes.resize(chunk_bytes, 0);
                    apply_filters(&pipeline, &bytes)
                })
                .try_collect_vec();
            for (i, bytes) in compressed.map_err(|e| fail(e.into()))?.iter().enumerate() {
                dataset.write_chunk_raw(batch * BATCH + i, bytes, 0).map_err(fail)?;
            }
        }
        Ok(dataset)
    }
}

/// A vector that grows at its end: whole chunks go to the file as they fill, compressed in parallel.
pub(crate) struct Growing {
    path: String,
    kind: GrowingKind,
    gzip: u8,
    /// Made when the first batch of chunks is full: short vectors are stored as all short vectors are.
    dataset: Option<H5Dataset>,
    n_chunks: usize,
    len: usize,
    /// Little-endian bytes that await the file, less than one batch.
    pending: Vec<u8>,
}

/// Little-endian bytes of a number.
trait Bytes: H5Type + Sync {
    fn extend(self, bytes: &mut Vec<u8>);
}
impl Bytes for i32 {
    fn extend(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.to_le_bytes());
    }
}
impl Bytes for i64 {
    fn extend(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.to_le_bytes());
    }
}

/// Finds the system's answer inside the library's error.
fn write_error(path: &Path, error: Hdf5Error) -> DataError {
    let text = error.to_string();
    if let Hdf5Error::Io(e) = error {
        DataError::write(path, e)
    } else {
        // The library wraps some system errors as text; a full disk must still be told as such.
        let kind = if text.contains("os error 28") || text.contains("No space left") {
            std::io::ErrorKind::StorageFull
        } else if text.contains("os error 13") {
            std::io::ErrorKind::PermissionDenied
        } else if text.contains("os error 27") {
            std::io::ErrorKind::FileTooLarge
        } else if text.contains("os error 2)") {
            std::io::ErrorKind::NotFound
        } else {
            std::io::ErrorKind::Other
        };
        DataError::write(path, std::io::Error::new(kind, text))
    }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

impl StoreWriter for Hdf5Writer {
    type Growing = Growing;

    fn grow(&self, path: &str, kind: GrowingKind, gzip: u8) -> Growing {
        Growing { path: path.to_owned(), kind, gzip, dataset: None, n_chunks: 0, len: 0, pending: Vec::new() }
    }

    fn append(&self, growing: &mut Growing, data: GrowingData<'_>) -> Result<(), DataError> {
        let batch = GROWING_BATCH * CHUNK_ELEMENTS;
        // In parts, so that the pending bytes stay below two batches however long `data` is.
        match data {
            GrowingData::F32(values) => {
                for part in values.chunks(batch) {
                    growing.pending.extend(part.iter().flat_map(|v| v.to_le_bytes()));
                    self.write_batch(growing, part.len())?;
                }
            }
            GrowingData::U32(values) => {
                for part in values.chunks(batch) {
                    growing.pending.extend(part.iter().flat_map(|v| v.to_le_bytes()));
                    self.write_batch(growing, part.len())?;
                }
            }
        }
        Ok(())
    }

    fn finish_growing(
        &self,
        mut growing: Growing,
        attributes: &[(&str, Attribute)],
    ) -> Result<(), DataError> {
        if growing.dataset.is_none() && growing.len < COMPRESS_FROM {
            let words = growing.pending.as_chunks::<4>().0;
            let shape = [growing.len];
            let path = growing.path.as_str();
            return match growing.kind {
                GrowingKind::F32 => {
                    let values: Vec<f32> = words.iter().map(|b| f32::from_le_bytes(*b)).collect();
                    self.write_array(path, ArrayData::F32(&values), &shape, 0, attributes)
                }
                GrowingKind::I32 => {
                    let values: Vec<u32> = words.iter().map(|b| u32::from_le_bytes(*b)).collect();
                    self.write_array(path, ArrayData::IndicesI32(&values), &shape, 0, attributes)
                }
                GrowingKind::U32 => {
                    let values: Vec<u32> = words.iter().map(|b| u32::from_le_bytes(*b)).collect();
                    self.write_array(path, ArrayData::U32(&values), &shape, 0, attributes)
                }
            };
        }
        self.write_chunks(&mut growing, true)?;
        if let Some(dataset) = &growing.dataset {
            dataset.set_extent(&[growing.len]).map_err(|e| self.error(e))?;
            self.dataset_attributes(dataset, attributes)?;
        }
        Ok(())
    }

    fn create_group(&self, path: &str) -> Result<(), DataError> {
        let (parent, name) = split(path);
        self.group(parent)?.create_group(name).map(|_| ()).map_err(|e| self.error(e))
    }

    fn remove(&self, path: &str, kind: NodeKind) -> Result<(), DataError> {
        match kind {
            NodeKind::Group => self.file()?.delete_group(path),
            NodeKind::Array => self.file()?.delete_dataset(path),
        }
        .map_err(|e| self.error(e))
    }

    fn group_attribute(&self, path: &str, name: &str, value: &Attribute) -> Result<(), DataError> {
        let group = self.group(path)?;
        match value {
            Attribute::String(s) => group.set_attr_string(name, s),
            Attribute::Strings(v) if v.is_empty() => group.set_attr_array_numeric::<f64>(name, &[]),
            Attribute::Strings(v) => {
                group.set_attr_string_array(name, &v.iter().map(String::as_str).collect::<Vec<_>>())
            }
            Attribute::Ints(v) if v.len() == 1 => group.set_attr_numeric(name, &v[0]),
            Attribute::Ints(v) => group.set_attr_array_numeric(name, v),
            Attribute::Floats(v) => group.set_attr_array_numeric(name, v),
            Attribute::Bool(b) => group.set_attr_numeric(name, &HBool(u8::from(*b))),
            Attribute::Empty | Attribute::Other => Ok(()),
        }
        .map_err(|e| self.error(e))
    }

    fn write_array(
        &self,
        path: &str,
        data: ArrayData<'_>,
        shape: &[usize],
        gzip: u8,
        attributes: &[(&str, Attribute)],
    ) -> Result<(), DataError> {
        let (parent, name) = split(path);
        let group = self.group(parent)?;
        macro_rules! numbers {
            ($values:expr) => {
                self.numbers(&group, name, $values, shape, gzip, |v, bytes| {
                    bytes.extend(v.iter().flat_map(|x| x.to_le_bytes()))
                })?
            };
        }
        let fail = |e: Hdf5Error| self.error(e);
        let dataset = match data {
            ArrayData::F32(v) => numbers!(v),
            ArrayData::F64(v) => numbers!(v),
            ArrayData::I8(v) => numbers!(v),
            ArrayData::I16(v) => numbers!(v),
            ArrayData::I32(v) => numbers!(v),
            ArrayData::I64(v) => numbers!(v),
            ArrayData::U8(v) => numbers!(v),
            ArrayData::U16(v) => numbers!(v),
            ArrayData::U32(v) => numbers!(v),
            ArrayData::U64(v) => numbers!(v),
            ArrayData::Bool(v) => {
                let v: Vec<HBool> = v.iter().map(|&b| HBool(u8::from(b))).collect();
                self.numbers(&group, name, &v, shape, gzip, |v, bytes| bytes.extend(v.iter().map(|b| b.0)))?
            }
            // Below 2^31 the bytes of u32 and i32 are the same; the caller makes sure of that.
            ArrayData::IndicesI32(v) => self.cast::<u32, i32>(&group, name, v, gzip, |i| i as i32)?,
            ArrayData::StartsI32(v) => self.cast::<usize, i32>(&group, name, v, gzip, |i| i as i32)?,
            ArrayData::StartsI64(v) => self.cast::<usize, i64>(&group, name, v, gzip, |i| i as i64)?,
            ArrayData::String(v) => {
                if shape == [0] {
                    // Without a place in the file, as every array of nothing: the library's own way gives it one, and
                    // the C library refuses an array that has a place but no size.
                    let datatype = DatatypeMessage::VarLenString { padding: 0, charset: 1 };
                    group.new_dataset::<u8>().datatype(datatype).shape([0]).create(name).map_err(fail)?
                } else if shape.len() == 1 {
                    group.write_vlen_strings(name, v).map_err(fail)?
                } else {
                    // The library writes texts of variable length as vectors only: a single text, or a matrix of
                    // them, gets the width of the longest.
                    let width = v.iter().map(|s| s.len()).max().unwrap_or(0).max(1);
                    let mut bytes = vec![0u8; width * v.len()];
                    for (text, place) in v.iter().zip(bytes.chunks_exact_mut(width)) {
                        place[..text.len()].copy_from_slice(text.as_bytes());
                    }
                    let datatype =
                        DatatypeMessage::FixedString { size: width as u32, padding: 1, charset: 1 };
                    let builder = group.new_dataset::<u8>().datatype(datatype);
                    let builder = if shape.is_empty() { builder.scalar() } else { builder.shape(shape) };
                    let dataset = builder.create(name).map_err(fail)?;
                    if !bytes.is_empty() {
                        dataset.write_raw_bytes(&bytes).map_err(fail)?;
                    }
                    dataset
                }
            }
            ArrayData::Null => group.new_dataset::<f32>().null().create(name).map_err(fail)?,
        };
        self.dataset_attributes(&dataset, attributes)?;
        Ok(())
    }

    /// Texts have the width of the longest; anndata takes those of fixed width for ASCII, and cannot open others.
    fn write_records(
        &self,
        path: &str,
        fields: &IndexMap<String, Array>,
        attributes: &[(&str, Attribute)],
    ) -> Result<bool, DataError> {
        let Some(members) = fields.values().map(Member::of).collect::<Option<Vec<_>>>() else {
            return Ok(false);
        };
        let n = fields.values().map(Array::len).min().unwrap_or(0);
        let width: usize = members.iter().map(|m| m.width).sum();
        let mut bytes = vec![0u8; n * width];
        let mut layout =
            CompoundType { members: Vec::with_capacity(members.len()), total_size: width as u32 };
        let mut start = 0;
        for (name, member) in fields.keys().zip(&members) {
            layout.members.push((name.clone(), member.datatype.clone(), start as u32));
            for (record, own) in
                bytes.chunks_exact_mut(width.max(1)).zip(member.bytes.chunks_exact(member.width))
            {
                record[start..start + member.width].copy_from_slice(own);
            }
            start += member.width;
        }
        let (parent, name) = split(path);
        let fail = |e: Hdf5Error| self.error(e);
        let builder = self.group(parent)?.new_dataset::<u8>().datatype(layout.to_datatype()).shape([n]);
        let dataset = builder.create(name).map_err(fail)?;
        if !bytes.is_empty() {
            dataset.write_raw_bytes(&bytes).map_err(fail)?;
        }
        self.dataset_attributes(&dataset, attributes)?;
        Ok(true)
    }
}

/// One field of all records.
struct Member {
    datatype: DatatypeMessage,
    width: usize,
    bytes: Vec<u8>,
}

impl Member {
    /// `None` for what records cannot hold: a matrix, and texts that are not ASCII.
    fn of(array: &Array) -> Option<Self> {
        if array.shape().len() != 1 {
            return None;
        }
        macro_rules! numbers {
            ($a:expr, $t:ty) => {
                Self {
                    datatype: <$t>::hdf5_type(),
                    width: size_of::<$t>(),
                    bytes: $a.iter().flat_map(|v| v.to_le_bytes()).collect(),
                }
            };
        }
        Some(match array {
            Array::F32(a) => numbers!(a, f32),
            Array::F64(a) => numbers!(a, f64),
            Array::I8(a) => numbers!(a, i8),
            Array::I16(a) => numbers!(a, i16),
            Array::I32(a) => numbers!(a, i32),
            Array::I64(a) => numbers!(a, i64),
            Array::U8(a) => numbers!(a, u8),
            Array::U16(a) => numbers!(a, u16),
            Array::U32(a) => numbers!(a, u32),
            Array::U64(a) => numbers!(a, u64),
            Array::Bool(a) => Self {
                datatype: HBool::hdf5_type(),
                width: 1,
                bytes: a.iter().map(|v| u8::from(*v)).collect(),
            },
            Array::String(a) => {
                if !a.iter().all(|text| text.is_ascii()) {
                    return None;
                }
                let width = a.iter().map(String::len).max().unwrap_or(0).max(1);
                let mut bytes = vec![0u8; width * a.len()];
                for (text, place) in a.iter().zip(bytes.chunks_exact_mut(width)) {
                    place[..text.len()].copy_from_slice(text.as_bytes());
                }
                let datatype = DatatypeMessage::FixedString { size: width as u32, padding: 1, charset: 0 };
                Self { datatype, width, bytes }
            }
        })
    }
}
