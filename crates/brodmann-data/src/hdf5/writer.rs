//! Writing: [`StoreWriter`] on an HDF5 file, new or existing.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rust_hdf5::format::messages::filter::{FilterPipeline, apply_filters};
use rust_hdf5::types::VarLenUnicode;
use rust_hdf5::{DatatypeMessage, H5Dataset, H5File, H5Group, HBool, Hdf5Error};

use crate::DataError;
use crate::store::{ArrayData, Attribute, NodeKind, StoreWriter};

/// Elements per chunk of a vector; rows of a matrix are cut to about as many bytes.
const CHUNK_ELEMENTS: usize = 1 << 16;
/// Arrays of fewer elements are stored plain: a chunk index would cost more than compression saves.
const COMPRESS_FROM: usize = 4096;
/// Elements converted at once.
const BLOCK: usize = 1 << 20;
/// Chunks compressed at once.
const BATCH: usize = 64;

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

    fn numbers<T: rust_hdf5::H5Type + Sync>(
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

    /// Values of type `S` stored as `T`, in chunks compressed in parallel.
    fn compressed<S: Sync, T: rust_hdf5::H5Type>(
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
                .collect();
            for (i, bytes) in compressed.map_err(|e| fail(e.into()))?.iter().enumerate() {
                dataset.write_chunk_raw(batch * BATCH + i, bytes, 0).map_err(fail)?;
            }
        }
        Ok(dataset)
    }
}

/// Little-endian bytes of a number.
trait Bytes: rust_hdf5::H5Type + Sync {
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
        DataError::write(path, std::io::Error::new(kind, text.replace("; ", ", ")))
    }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

impl StoreWriter for Hdf5Writer {
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
            // Below 2^31 the bytes of u32 and i32 are the same; the caller has seen to that.
            ArrayData::IndicesI32(v) => self.cast::<u32, i32>(&group, name, v, gzip, |i| i as i32)?,
            ArrayData::StartsI32(v) => self.cast::<usize, i32>(&group, name, v, gzip, |i| i as i32)?,
            ArrayData::StartsI64(v) => self.cast::<usize, i64>(&group, name, v, gzip, |i| i as i64)?,
            ArrayData::String(v) => {
                if shape.len() == 1 {
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
                    dataset.write_raw_bytes(&bytes).map_err(fail)?;
                    dataset
                }
            }
            ArrayData::Null => group.new_dataset::<f32>().null().create(name).map_err(fail)?,
        };
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
}
