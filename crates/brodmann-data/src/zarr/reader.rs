//! Reading: [`Store`] on a Zarr folder or archive, or on a group inside it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ndarray::{ArrayD, IxDyn};
use serde_json::{Map, Value};

use super::blocks::Blocks;
use super::grid::Grid;
use super::json;
use super::meta::{ArrayMeta, Kind};
use super::place::{NODE_FILES, Place, is_safe, is_store_folder, is_zip};
use super::sequence::Sequence;
use super::writer::Version;
use crate::memory::Budget;
use crate::store::{ArrayInfo, Attribute, Element, NodeKind, Number, Store};
use crate::{Array, DataError};

/// A Zarr store open for reading; clones and [`ZarrReader::below`] share what is known of it.
#[derive(Clone)]
pub(crate) struct ZarrReader {
    place: Arc<Place>,
    /// The group that paths begin at; empty for the whole store.
    root: String,
    nodes: Arc<Mutex<HashMap<String, Option<Arc<Node>>>>>,
    budget: Arc<Budget>,
}

/// What the documents of one node say.
struct Node {
    kind: NodeKind,
    version: Version,
    attributes: Map<String, Value>,
    /// Of an array; in words where they cannot be followed.
    array: Option<Result<ArrayMeta, String>>,
}

impl ZarrReader {
    /// Opens the folder or archive `path`.
    ///
    /// # Errors
    /// [`DataError::Missing`], [`DataError::Read`], [`DataError::UnknownFormat`], [`DataError::Damaged`].
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        let metadata = std::fs::metadata(path).map_err(|e| DataError::read(path, e))?;
        let place = if metadata.is_dir() && is_store_folder(path) {
            Place::folder(path)
        } else if !metadata.is_dir() && is_zip(path) {
            Place::archive(path)?
        } else {
            return Err(DataError::UnknownFormat {
                path: path.to_path_buf(),
                looked_for: "a Zarr store (.zgroup or zarr.json in a folder or a zip archive)".to_owned(),
            });
        };
        place.watch("");
        Ok(Self {
            place: Arc::new(place),
            root: String::new(),
            nodes: Arc::default(),
            budget: Arc::default(),
        })
    }

    /// The same store, with paths that begin at the group `path`.
    pub(crate) fn below(&self, path: &str) -> Self {
        Self { root: self.key(path), ..self.clone() }
    }

    /// The group that paths begin at.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Whether it is a folder, whose files can be edited.
    pub(crate) fn is_folder(&self) -> bool {
        matches!(*self.place, Place::Folder { .. })
    }

    /// # Errors
    /// [`DataError::Changed`].
    pub(crate) fn check_unchanged(&self) -> Result<(), DataError> {
        self.place.check_unchanged()
    }

    fn key(&self, path: &str) -> String {
        let path = path.trim_matches('/');
        match (self.root.is_empty(), path.is_empty()) {
            (_, true) => self.root.clone(),
            (true, false) => path.to_owned(),
            (false, false) => format!("{}/{path}", self.root),
        }
    }

    fn damaged(&self, path: &str, error: impl std::fmt::Display) -> DataError {
        let key = self.key(path);
        DataError::damaged(self.place.path(), format!("{}: {error}", if key.is_empty() { "/" } else { &key }))
    }

    fn nodes(&self) -> MutexGuard<'_, HashMap<String, Option<Arc<Node>>>> {
        // A poisoned lock only means another thread panicked: the table is still right.
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, path: &str) -> Result<Option<Arc<Node>>, DataError> {
        let key = self.key(path);
        // Names come from attributes too: none of them leads out of the store.
        if !is_safe(&key) {
            return Ok(None);
        }
        if let Some(known) = self.nodes().get(&key) {
            return Ok(known.clone());
        }
        let node = self.read_node(path, &key)?.map(Arc::new);
        self.nodes().insert(key, node.clone());
        Ok(node)
    }

    fn document(&self, path: &str, key: &str, name: &str) -> Result<Option<Map<String, Value>>, DataError> {
        let at = if key.is_empty() { name.to_owned() } else { format!("{key}/{name}") };
        let Some(bytes) = self.place.document(&at)? else { return Ok(None) };
        match json::parse(&bytes).map_err(|e| self.damaged(path, format!("{name}: {e}")))? {
            Value::Object(document) => Ok(Some(document)),
            _ => Err(self.damaged(path, format!("{name} that is no dictionary"))),
        }
    }

    fn read_node(&self, path: &str, key: &str) -> Result<Option<Node>, DataError> {
        if let Some(mut document) = self.document(path, key, "zarr.json")? {
            let attributes = match document.remove("attributes") {
                Some(Value::Object(attributes)) => attributes,
                _ => Map::new(),
            };
            let is_array = match document.get("node_type").and_then(Value::as_str) {
                Some("array") => true,
                Some("group") => false,
                _ => return Err(self.damaged(path, "zarr.json that is of no group or array")),
            };
            return Ok(Some(Node {
                kind: if is_array { NodeKind::Array } else { NodeKind::Group },
                version: Version::V3,
                attributes,
                array: is_array.then(|| ArrayMeta::v3(&document)),
            }));
        }
        let array = self.document(path, key, ".zarray")?;
        if array.is_none() && self.document(path, key, ".zgroup")?.is_none() {
            return Ok(None);
        }
        Ok(Some(Node {
            kind: if array.is_some() { NodeKind::Array } else { NodeKind::Group },
            version: Version::V2,
            attributes: self.document(path, key, ".zattrs")?.unwrap_or_default(),
            array: array.as_ref().map(ArrayMeta::v2),
        }))
    }

    fn found(&self, path: &str) -> Result<Arc<Node>, DataError> {
        self.look(path)?.ok_or_else(|| self.damaged(path, "missing"))
    }

    /// The version of the group that paths begin at.
    pub(crate) fn version(&self) -> Result<Version, DataError> {
        Ok(self.found("")?.version)
    }

    /// Every attribute of a node.
    pub(crate) fn attributes(&self, path: &str) -> Result<Map<String, Value>, DataError> {
        Ok(self.look(path)?.map(|node| node.attributes.clone()).unwrap_or_default())
    }

    fn meta(&self, path: &str) -> Result<ArrayMeta, DataError> {
        match &self.found(path)?.array {
            Some(Ok(meta)) => Ok(meta.clone()),
            Some(Err(e)) => Err(self.damaged(path, e)),
            None => Err(self.damaged(path, "not an array")),
        }
    }

    fn grid(&self, path: &str) -> Result<Grid, DataError> {
        self.grid_within(path, None)
    }

    /// Of an array that is read whole: it counts against what the store can hold.
    fn whole(&self, path: &str) -> Result<Grid, DataError> {
        self.grid_within(path, Some(&self.budget))
    }

    fn grid_within(&self, path: &str, budget: Option<&Budget>) -> Result<Grid, DataError> {
        let meta = self.meta(path)?;
        if let Some(encoding) = &meta.unsupported {
            return Err(DataError::Encoding { element: path.to_owned(), encoding: encoding.clone() });
        }
        let key = self.key(path);
        self.place.watch(&key);
        if meta.prefixed && meta.separator == '/' {
            self.place.watch(&format!("{key}/c"));
        }
        Grid::new(Arc::clone(&self.place), &key, meta, budget)
    }

    /// The array of numbers `path`, to be taken piece by piece; `None` where it can only be read whole.
    ///
    /// # Errors
    /// [`DataError::Damaged`] when its metadata cannot be followed.
    pub(crate) fn sequence<T: Number>(&self, path: &str) -> Result<Option<Sequence<T>>, DataError> {
        let meta = self.meta(path)?;
        if meta.unsupported.is_some() || !matches!(meta.kind, Kind::Number(_)) || meta.shape.is_empty() {
            return Ok(None);
        }
        self.grid(path).map(|grid| Some(Sequence::new(grid)))
    }

    /// The array of numbers `path`, any part of which can be read; `None` for what is no array of numbers.
    ///
    /// # Errors
    /// [`DataError::Damaged`] when its metadata cannot be followed.
    pub(crate) fn blocks(&self, path: &str) -> Result<Option<Blocks>, DataError> {
        let meta = self.meta(path)?;
        if meta.unsupported.is_some() || !matches!(meta.kind, Kind::Number(_)) || meta.shape.is_empty() {
            return Ok(None);
        }
        self.grid(path).map(|grid| Some(Blocks::new(grid)))
    }

    fn values<T: Number>(&self, path: &str) -> Result<Vec<T>, DataError> {
        let grid = self.whole(path)?;
        let fill = grid.meta.fill_number::<T>().map_err(|e| self.damaged(path, e))?;
        grid.decode(&fill, |bytes, n| grid.meta.unpack_numbers(&bytes, n))
    }

    fn shaped<T>(&self, path: &str, values: Vec<T>) -> Result<ArrayD<T>, DataError> {
        let shape = self.meta(path)?.shape;
        ArrayD::from_shape_vec(IxDyn(&shape), values).map_err(|e| self.damaged(path, e))
    }

    /// The files below `path`, for those that are no arrays.
    pub(crate) fn files(&self, path: &str) -> Result<Vec<String>, DataError> {
        let key = self.key(path);
        if is_safe(&key) { self.place.names(&key) } else { Ok(Vec::new()) }
    }

    /// Where a file below `path` lies, if it is one of its own.
    pub(crate) fn file_path(&self, path: &str) -> Option<PathBuf> {
        let key = self.key(path);
        if !is_safe(&key) || !self.is_folder() {
            return None;
        }
        self.place.watch(&key);
        Some(self.place.path().join(key))
    }

    /// The bytes of a file below `path` that is no array, remembered as it is; `None` where there is none.
    pub(crate) fn file_bytes(&self, path: &str) -> Result<Option<Vec<u8>>, DataError> {
        let key = self.key(path);
        if !is_safe(&key) {
            return Ok(None);
        }
        self.place.watch(&key);
        self.place.bytes(&key)
    }
}

impl Store for ZarrReader {
    fn path(&self) -> &Path {
        self.place.path()
    }

    fn format(&self) -> &'static str {
        "a Zarr store"
    }

    fn begin(&self) {
        self.budget.begin();
    }

    fn check_rules(&self, path: &str) -> Result<(), DataError> {
        match self.node(path)? {
            None => Err(self.damaged(path, "missing")),
            Some(NodeKind::Group) => {
                self.children(path)?.iter().try_for_each(|name| self.check_rules(&format!("{path}/{name}")))
            }
            Some(NodeKind::Array) => {
                let meta = self.meta(path)?;
                match meta.unsupported {
                    Some(what) => Err(self.damaged(path, what)),
                    None => self.grid(path).map(drop),
                }
            }
        }
    }

    fn node(&self, path: &str) -> Result<Option<NodeKind>, DataError> {
        Ok(self.look(path)?.map(|node| node.kind))
    }

    fn children(&self, path: &str) -> Result<Vec<String>, DataError> {
        let key = self.key(path);
        let mut names = Vec::new();
        for name in self.place.names(&key)? {
            if NODE_FILES.contains(&name.as_str()) || name.starts_with(".z") {
                continue;
            }
            let child = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            if self.look(&child)?.is_some() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn attribute(&self, path: &str, name: &str) -> Result<Option<Attribute>, DataError> {
        Ok(self.found(path)?.attributes.get(name).map(attribute))
    }

    fn info(&self, path: &str) -> Result<ArrayInfo, DataError> {
        let meta = self.meta(path)?;
        let encoding =
            self.found(path)?.attributes.get("encoding-type").and_then(Value::as_str) == Some("null");
        Ok(ArrayInfo { element: meta.element(), shape: meta.shape, is_null: encoding })
    }

    fn array(&self, path: &str) -> Result<Array, DataError> {
        macro_rules! typed {
            ($t:ty) => {
                self.shaped(path, self.values::<$t>(path)?)?.into()
            };
        }
        Ok(match self.meta(path)?.element() {
            Element::F16 | Element::F32 => typed!(f32),
            Element::F64 => typed!(f64),
            Element::I8 => typed!(i8),
            Element::I16 => typed!(i16),
            Element::I32 => typed!(i32),
            Element::I64 => typed!(i64),
            Element::U8 => typed!(u8),
            Element::U16 => typed!(u16),
            Element::U32 => typed!(u32),
            Element::U64 => typed!(u64),
            Element::Bool => {
                let values: Vec<bool> = self.values::<u8>(path)?.into_iter().map(|v| v != 0).collect();
                self.shaped(path, values)?.into()
            }
            Element::String => {
                let grid = self.whole(path)?;
                let fill = grid.meta.fill_text.clone();
                let texts = grid.decode(&fill, |bytes, n| grid.meta.unpack_texts(&bytes, n))?;
                self.shaped(path, texts)?.into()
            }
            Element::Record(_) => {
                return Err(DataError::Encoding { element: path.to_owned(), encoding: "records".to_owned() });
            }
            Element::Other(encoding) => {
                return Err(DataError::Encoding { element: path.to_owned(), encoding });
            }
        })
    }

    fn numbers<T: Number>(&self, path: &str) -> Result<Vec<T>, DataError> {
        self.values(path)
    }

    /// Zarr is younger than the layouts that keep tables in records.
    fn field(&self, _: &str, _: &str) -> Result<Option<Array>, DataError> {
        Ok(None)
    }
}

/// An attribute as the other backend has it.
fn attribute(value: &Value) -> Attribute {
    match value {
        Value::Null => Attribute::Empty,
        Value::Bool(b) => Attribute::Bool(*b),
        Value::Number(n) => n.as_i64().map_or_else(
            || Attribute::Floats(vec![n.as_f64().unwrap_or(f64::NAN)]),
            |i| Attribute::Ints(vec![i]),
        ),
        Value::String(s) => Attribute::String(s.clone()),
        Value::Array(items) => {
            let strings = || items.iter().map(|v| v.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
            let ints = || items.iter().map(Value::as_i64).collect::<Option<Vec<_>>>();
            let floats = || items.iter().map(json::number).collect::<Option<Vec<_>>>();
            strings()
                .map(Attribute::Strings)
                .or_else(|| ints().map(Attribute::Ints))
                .or_else(|| floats().map(Attribute::Floats))
                .unwrap_or(Attribute::Other)
        }
        Value::Object(_) => Attribute::Other,
    }
}
