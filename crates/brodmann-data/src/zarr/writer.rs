//! Writing: [`StoreWriter`] on a Zarr folder, new or existing.
//!
//! No file is ever written into: one that is there is removed first, since it may be a link to the store that is
//! edited.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use indexmap::IndexMap;
use rayon::prelude::*;
use serde_json::{Map, Value, json};

use super::place::{NODE_FILES, is_safe};
use super::{consolidated, json as documents};
use crate::store::{ArrayData, Attribute, GrowingData, GrowingKind, NodeKind, StoreWriter};
use crate::{Array, DataError};

/// Elements per chunk: a megabyte of single-precision numbers. A chunk is a file, so they are larger than in HDF5.
const CHUNK_ELEMENTS: usize = 1 << 18;
/// Arrays of fewer elements are stored plain.
const COMPRESS_FROM: usize = 256;
/// Chunks compressed at once.
const BATCH: usize = 32;

/// The two formats of metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V2,
    V3,
}

/// A Zarr folder open for writing.
pub(crate) struct ZarrWriter {
    folder: PathBuf,
    /// What it will be called, for errors.
    name: PathBuf,
    /// The group that paths begin at.
    root: String,
    version: Version,
    /// What was written, and whether with all below it.
    changed: Mutex<BTreeMap<String, bool>>,
}

/// A vector whose length is known only at its end.
pub(crate) struct Growing {
    key: String,
    kind: GrowingKind,
    gzip: u8,
    waiting: Vec<u8>,
    n_chunks: usize,
    len: usize,
}

impl ZarrWriter {
    /// A new store in the empty folder `place`, called `name` in errors.
    pub(crate) fn create(place: &Path, name: &Path, version: Version) -> Result<Self, DataError> {
        let this = Self::edit(place, name, "", version);
        this.put_group("")?;
        this.note("", true);
        consolidated::begin(place, version).map_err(|e| DataError::write(name, e))?;
        Ok(this)
    }

    /// The store at `place`, called `name` in errors, with paths that begin at the group `root`.
    pub(crate) fn edit(place: &Path, name: &Path, root: &str, version: Version) -> Self {
        Self {
            folder: place.to_path_buf(),
            name: name.to_path_buf(),
            root: root.to_owned(),
            version,
            changed: Mutex::default(),
        }
    }

    /// Brings consolidated metadata up to date; the store is complete afterwards.
    pub(crate) fn close(self) -> Result<(), DataError> {
        let changed = std::mem::take(&mut *self.changed());
        consolidated::update(&self.folder, &changed).map_err(|e| self.error(e))
    }

    fn error(&self, e: std::io::Error) -> DataError {
        DataError::write(&self.name, e)
    }

    // A poisoned lock only means another thread panicked: the list is still right.
    fn changed(&self) -> MutexGuard<'_, BTreeMap<String, bool>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, key: &str, whole: bool) {
        *self.changed().entry(key.to_owned()).or_default() |= whole;
    }

    /// The key of a path; names that a store cannot hold are refused.
    fn key(&self, path: &str) -> Result<String, DataError> {
        let key = match (self.root.is_empty(), path.is_empty()) {
            (_, true) => self.root.clone(),
            (true, false) => path.to_owned(),
            (false, false) => format!("{}/{path}", self.root),
        };
        let reserved = |part: &str| NODE_FILES.contains(&part) || part.starts_with(".z");
        if is_safe(&key) && !key.split('/').any(reserved) {
            return Ok(key);
        }
        Err(DataError::Kind {
            element: path.to_owned(),
            found: "under a name that Zarr keeps for itself".to_owned(),
            expected: "a name a Zarr store can hold".to_owned(),
        })
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), DataError> {
        put(&self.folder, key, bytes).map_err(|e| self.error(e))
    }

    fn put_document(&self, key: &str, name: &str, document: &Value) -> Result<(), DataError> {
        self.put(&below(key, name), &documents::to_bytes(document))
    }

    fn put_group(&self, key: &str) -> Result<(), DataError> {
        match self.version {
            Version::V2 => self.put_document(key, ".zgroup", &json!({"zarr_format": 2})),
            Version::V3 => self.put_document(
                key,
                "zarr.json",
                &json!({"attributes": {}, "zarr_format": 3, "node_type": "group"}),
            ),
        }
    }

    fn put_array(&self, key: &str, form: &Form, attributes: &[(&str, Attribute)]) -> Result<(), DataError> {
        let attributes: Map<String, Value> =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), attribute(value))).collect();
        let Form { shape, chunk, stored, gzip } = form;
        match self.version {
            Version::V2 => {
                let document = json!({
                    "zarr_format": 2,
                    "shape": shape,
                    "chunks": chunk,
                    "dtype": stored.v2(),
                    "fill_value": stored.fill(),
                    "order": "C",
                    "filters": if *stored == Stored::Text { json!([{"id": "vlen-utf8"}]) } else { Value::Null },
                    "dimension_separator": ".",
                    "compressor": gzip.map_or(Value::Null, |level| json!({"id": "zlib", "level": level})),
                });
                self.put_document(key, ".zarray", &document)?;
                self.put_document(key, ".zattrs", &Value::Object(attributes))
            }
            Version::V3 => {
                let mut codecs = vec![if *stored == Stored::Text {
                    json!({"name": "vlen-utf8", "configuration": {}})
                } else {
                    json!({"name": "bytes", "configuration": {"endian": "little"}})
                }];
                codecs.extend(gzip.map(|level| json!({"name": "gzip", "configuration": {"level": level}})));
                let document = json!({
                    "zarr_format": 3,
                    "node_type": "array",
                    "shape": shape,
                    "data_type": stored.v3(),
                    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
                    "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
                    "fill_value": stored.fill(),
                    "codecs": codecs,
                    "attributes": attributes,
                    "storage_transformers": [],
                });
                self.put_document(key, "zarr.json", &document)
            }
        }
    }

    /// The file of the `i`-th chunk along the first axis.
    fn chunk_key(&self, key: &str, i: usize, rank: usize) -> String {
        let (start, separator) = match self.version {
            Version::V2 => (String::new(), '.'),
            Version::V3 => ("c".to_owned(), '/'),
        };
        let mut name = start;
        for axis in 0..rank {
            if !name.is_empty() {
                name.push(separator);
            }
            name.push_str(&if axis == 0 { i } else { 0 }.to_string());
        }
        below(key, if name.is_empty() { "0" } else { &name })
    }

    fn packed(&self, bytes: Vec<u8>, gzip: Option<u8>) -> std::io::Result<Vec<u8>> {
        let Some(level) = gzip.map(|level| Compression::new(u32::from(level))) else { return Ok(bytes) };
        match self.version {
            Version::V2 => {
                let mut encoder = ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(&bytes)?;
                encoder.finish()
            }
            Version::V3 => {
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(&bytes)?;
                encoder.finish()
            }
        }
    }

    /// Writes the chunks of an array, each by `encode(first element, elements, elements to fill up with)`.
    fn put_chunks(
        &self,
        key: &str,
        form: &Form,
        encode: &(dyn Fn(std::ops::Range<usize>, usize) -> Vec<u8> + Sync),
    ) -> Result<(), DataError> {
        let len: usize = form.shape.iter().product();
        let chunk_len: usize = form.chunk.iter().product();
        if len == 0 {
            return Ok(());
        }
        let starts: Vec<usize> = (0..len).step_by(chunk_len).collect();
        for (batch, starts) in starts.chunks(BATCH).enumerate() {
            starts.par_iter().enumerate().try_for_each(|(i, &start)| {
                let end = len.min(start + chunk_len);
                let bytes = encode(start..end, chunk_len - (end - start));
                let bytes = self.packed(bytes, form.gzip).map_err(|e| self.error(e))?;
                self.put(&self.chunk_key(key, batch * BATCH + i, form.shape.len()), &bytes)
            })?;
        }
        Ok(())
    }
}

impl StoreWriter for ZarrWriter {
    type Growing = Growing;

    fn grow(&self, path: &str, kind: GrowingKind, gzip: u8) -> Growing {
        Growing { key: path.to_owned(), kind, gzip, waiting: Vec::new(), n_chunks: 0, len: 0 }
    }

    fn append(&self, growing: &mut Growing, data: GrowingData<'_>) -> Result<(), DataError> {
        match data {
            GrowingData::F32(v) => v.iter().for_each(|x| growing.waiting.extend(x.to_le_bytes())),
            GrowingData::U32(v) => v.iter().for_each(|x| growing.waiting.extend(x.to_le_bytes())),
        }
        growing.len += match data {
            GrowingData::F32(v) => v.len(),
            GrowingData::U32(v) => v.len(),
        };
        let full = CHUNK_ELEMENTS * growing.kind.size();
        let key = self.key(&growing.key)?;
        let n = growing.waiting.len() / full;
        for batch in growing.waiting[..n * full].chunks(full * BATCH) {
            let first = growing.n_chunks;
            batch.par_chunks(full).enumerate().try_for_each(|(i, bytes)| {
                let bytes = self.packed(bytes.to_vec(), level(growing.gzip)).map_err(|e| self.error(e))?;
                self.put(&self.chunk_key(&key, first + i, 1), &bytes)
            })?;
            growing.n_chunks += batch.len() / full;
        }
        growing.waiting.drain(..n * full);
        Ok(())
    }

    fn finish_growing(
        &self,
        mut growing: Growing,
        attributes: &[(&str, Attribute)],
    ) -> Result<(), DataError> {
        let key = self.key(&growing.key)?;
        let chunk = if growing.n_chunks == 0 { growing.len.max(1) } else { CHUNK_ELEMENTS };
        if !growing.waiting.is_empty() {
            growing.waiting.resize(chunk * growing.kind.size(), 0);
            let bytes = self.packed(growing.waiting, level(growing.gzip)).map_err(|e| self.error(e))?;
            self.put(&self.chunk_key(&key, growing.n_chunks, 1), &bytes)?;
        }
        let stored = match growing.kind {
            GrowingKind::F32 => Stored::F32,
            GrowingKind::I32 => Stored::I32,
            GrowingKind::U32 => Stored::U32,
        };
        self.note(&key, true);
        let form = Form { shape: vec![growing.len], chunk: vec![chunk], stored, gzip: level(growing.gzip) };
        self.put_array(&key, &form, attributes)
    }

    fn create_group(&self, path: &str) -> Result<(), DataError> {
        let key = self.key(path)?;
        self.note(&key, true);
        self.put_group(&key)
    }

    fn remove(&self, path: &str, _: NodeKind) -> Result<(), DataError> {
        let key = self.key(path)?;
        self.note(&key, true);
        let at = self.folder.join(&key);
        let is_link = fs::symlink_metadata(&at).is_ok_and(|m| m.is_symlink());
        let removed = if is_link { fs::remove_file(&at) } else { fs::remove_dir_all(&at) };
        removed.map_err(|e| self.error(e))
    }

    fn group_attribute(&self, path: &str, name: &str, value: &Attribute) -> Result<(), DataError> {
        let key = self.key(path)?;
        self.note(&key, false);
        let document = match self.version {
            Version::V2 => ".zattrs",
            Version::V3 => "zarr.json",
        };
        let at = self.folder.join(below(&key, document));
        let mut whole = match fs::read(&at) {
            Ok(bytes) => documents::parse(&bytes).map_err(|e| DataError::damaged(&self.name, e))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && self.version == Version::V2 => json!({}),
            Err(e) => return Err(self.error(e)),
        };
        let attributes = match self.version {
            Version::V2 => whole.as_object_mut(),
            Version::V3 => whole
                .as_object_mut()
                .and_then(|w| w.entry("attributes").or_insert_with(|| json!({})).as_object_mut()),
        };
        match attributes {
            Some(attributes) => attributes.insert(name.to_owned(), attribute(value)),
            None => return Err(DataError::damaged(&self.name, format!("{key}/{document} is no dictionary"))),
        };
        self.put_document(&key, document, &whole)
    }

    fn write_array(
        &self,
        path: &str,
        data: ArrayData<'_>,
        shape: &[usize],
        gzip: u8,
        attributes: &[(&str, Attribute)],
    ) -> Result<(), DataError> {
        let key = self.key(path)?;
        self.note(&key, true);
        let len: usize = shape.iter().product();
        let gzip = if len >= COMPRESS_FROM { level(gzip) } else { None };
        macro_rules! numbers {
            ($v:expr, $stored:ident) => {
                numbers!($v, $stored, |x| x)
            };
            ($v:expr, $stored:ident, $convert:expr) => {{
                let form = Form::new(shape, Stored::$stored, gzip);
                let encode = |range: std::ops::Range<usize>, padding: usize| {
                    let convert = $convert;
                    let mut bytes = Vec::new();
                    let values = $v.get(range).unwrap_or_default();
                    for &x in values {
                        bytes.extend(convert(x).to_le_bytes());
                    }
                    bytes.resize(bytes.len() + padding * Stored::$stored.width(), 0);
                    bytes
                };
                self.put_chunks(&key, &form, &encode)?;
                form
            }};
        }
        let form = match data {
            ArrayData::F32(v) => numbers!(v, F32),
            ArrayData::F64(v) => numbers!(v, F64),
            ArrayData::I8(v) => numbers!(v, I8),
            ArrayData::I16(v) => numbers!(v, I16),
            ArrayData::I32(v) => numbers!(v, I32),
            ArrayData::I64(v) => numbers!(v, I64),
            ArrayData::U8(v) => numbers!(v, U8),
            ArrayData::U16(v) => numbers!(v, U16),
            ArrayData::U32(v) => numbers!(v, U32),
            ArrayData::U64(v) => numbers!(v, U64),
            ArrayData::Bool(v) => numbers!(v, Bool, u8::from),
            ArrayData::IndicesI32(v) => numbers!(v, I32, |x: u32| x as i32),
            ArrayData::StartsI32(v) => numbers!(v, I32, |x: usize| x as i32),
            ArrayData::StartsI64(v) => numbers!(v, I64, |x: usize| x as i64),
            // As anndata writes it: a truth value that its encoding says is none.
            ArrayData::Null => numbers!([false], Bool, u8::from),
            ArrayData::String(v) => {
                let form = Form::new(shape, Stored::Text, gzip);
                let encode = |range: std::ops::Range<usize>, padding: usize| {
                    let texts = v.get(range).unwrap_or_default();
                    let mut bytes = ((texts.len() + padding) as u32).to_le_bytes().to_vec();
                    for text in texts {
                        bytes.extend((text.len() as u32).to_le_bytes());
                        bytes.extend(text.as_bytes());
                    }
                    bytes.resize(bytes.len() + 4 * padding, 0);
                    bytes
                };
                self.put_chunks(&key, &form, &encode)?;
                form
            }
        };
        // After its chunks: an array is not there before its metadata are.
        self.put_array(&key, &form, attributes)
    }

    /// Version 3 has no records that more than one library knows, and version 2 no texts of any length in them.
    fn write_records(
        &self,
        _: &str,
        _: &IndexMap<String, Array>,
        _: &[(&str, Attribute)],
    ) -> Result<bool, DataError> {
        Ok(false)
    }
}

/// How an array is laid out.
struct Form {
    shape: Vec<usize>,
    chunk: Vec<usize>,
    stored: Stored,
    gzip: Option<u8>,
}

impl Form {
    /// Chunks are rows, cut to about equal numbers of elements.
    fn new(shape: &[usize], stored: Stored, gzip: Option<u8>) -> Self {
        let mut chunk: Vec<usize> = shape.iter().map(|&n| n.max(1)).collect();
        if let Some(rows) = chunk.first().copied() {
            let row_len: usize = chunk.iter().skip(1).product();
            let n_chunks = rows.div_ceil((CHUNK_ELEMENTS / row_len).max(1));
            chunk[0] = rows.div_ceil(n_chunks);
        }
        Self { shape: shape.to_vec(), chunk, stored, gzip }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stored {
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
    Text,
}

impl Stored {
    fn v2(self) -> &'static str {
        match self {
            Self::F32 => "<f4",
            Self::F64 => "<f8",
            Self::I8 => "|i1",
            Self::I16 => "<i2",
            Self::I32 => "<i4",
            Self::I64 => "<i8",
            Self::U8 => "|u1",
            Self::U16 => "<u2",
            Self::U32 => "<u4",
            Self::U64 => "<u8",
            Self::Bool => "|b1",
            Self::Text => "|O",
        }
    }

    fn v3(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::I8 => "int8",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::U32 => "uint32",
            Self::U64 => "uint64",
            Self::Bool => "bool",
            Self::Text => "string",
        }
    }

    fn width(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::Text => 0,
        }
    }

    fn fill(self) -> Value {
        match self {
            Self::F32 | Self::F64 => json!(0.0),
            Self::Bool => json!(false),
            Self::Text => json!(""),
            _ => json!(0),
        }
    }
}

fn level(gzip: u8) -> Option<u8> {
    (gzip > 0).then_some(gzip.min(9))
}

fn attribute(value: &Attribute) -> Value {
    match value {
        Attribute::String(s) => json!(s),
        Attribute::Strings(v) => json!(v),
        Attribute::Ints(v) => match v[..] {
            [one] => json!(one),
            _ => json!(v),
        },
        Attribute::Floats(v) => json!(v),
        Attribute::Bool(b) => json!(b),
        Attribute::Empty | Attribute::Other => Value::Null,
    }
}

pub(super) fn below(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}/{name}") }
}

/// Writes a file anew, with the folders above it.
pub(super) fn put(folder: &Path, key: &str, bytes: &[u8]) -> std::io::Result<()> {
    let at = folder.join(key);
    match fs::remove_file(&at) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let create = || File::create_new(&at);
    let mut file = match create() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            // The root itself is not made: it is gone where an interruption removed it.
            if let Some(parent) = Path::new(key).parent() {
                let mut path = folder.to_path_buf();
                for part in parent {
                    path.push(part);
                    match fs::create_dir(&path) {
                        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => return Err(e),
                        _ => {}
                    }
                }
            }
            create()?
        }
        other => other?,
    };
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::zarr::ZarrReader;

    #[test]
    fn vectors_that_grow_read_back_in_both_versions() {
        let folder = tempfile::tempdir().expect("folder");
        for (version, name) in [(Version::V2, "2"), (Version::V3, "3")] {
            let place = folder.path().join(name);
            fs::create_dir(&place).expect("made");
            let writer = ZarrWriter::create(&place, &place, version).expect("made");
            let mut wanted: Vec<(String, Vec<u32>)> = Vec::new();
            for n in [0usize, 1, CHUNK_ELEMENTS, 2 * CHUNK_ELEMENTS + 5] {
                let path = format!("v{n}");
                let values: Vec<u32> = (0..n as u32).collect();
                let mut growing = writer.grow(&path, GrowingKind::I32, 1);
                for part in values.chunks(70_001) {
                    writer.append(&mut growing, GrowingData::U32(part)).expect("appended");
                }
                writer.finish_growing(growing, &[]).expect("finished");
                wanted.push((path, values));
            }
            writer.create_group("g").expect("made");
            writer.group_attribute("g", "names", &Attribute::Strings(vec!["a".into()])).expect("set");
            writer.write_array("g/texts", ArrayData::String(&["", "ä"]), &[2], 1, &[]).expect("written");
            writer.close().expect("closed");
            let store = ZarrReader::open(&place).expect("opens");
            assert_eq!(store.version().expect("known"), version);
            for (path, values) in &wanted {
                assert!(store.numbers::<u32>(path).expect("reads") == *values, "{path}");
            }
            let texts = store.array("g/texts").expect("reads").to_strings();
            assert_eq!(texts, Some(vec![String::new(), "ä".to_owned()]));
            assert_eq!(
                store.attribute("g", "names").expect("reads").and_then(|a| a.strings()),
                Some(vec!["a".into()])
            );
        }
    }
}
