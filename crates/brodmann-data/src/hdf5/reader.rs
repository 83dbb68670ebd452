//! Reading: [`Store`] on an HDF5 file.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ndarray::{ArrayD, IxDyn};
use rust_hdf5::format::UNDEF_ADDR;
use rust_hdf5::format::messages::attribute::AttributeMessage;
use rust_hdf5::format::messages::data_layout::DataLayoutMessage;
use rust_hdf5::format::messages::dataspace::DataspaceMessage;
use rust_hdf5::format::messages::datatype::fixed_string_content;
use rust_hdf5::format::messages::filter::FilterPipeline;
use rust_hdf5::{ByteOrder, DatatypeMessage, H5File, Hdf5Error};

use super::chunks::{self, Layout};
use super::headers::{
    DATASPACE, DATATYPE, EXTERNAL_FILES, FILTERS, Headers, LAYOUT, Message, OpenError, held,
};
use super::records::{self, Records};
use super::sequence::{self, Sequence};
use super::survey::{self, Tangle};
use crate::identity::Identity;
use crate::input::{follow_external, open_input};
use crate::memory::{Budget, MAX_EXPANSION, allow};
use crate::store::{ArrayInfo, Attribute, Element, NodeKind, Number, Store};
use crate::{Array, DataError};

/// An HDF5 file open for reading: one descriptor, however many look through it.
pub(crate) struct Hdf5Reader {
    path: PathBuf,
    headers: Headers,
    file: Arc<File>,
    identity: Identity,
    attributes: Mutex<HashMap<u64, Arc<Vec<AttributeMessage>>>>,
    budget: Budget,
}

/// What the headers say of one array.
struct Described {
    shape: Vec<usize>,
    is_null: bool,
    datatype: DatatypeMessage,
    layout: Option<DataLayoutMessage>,
    filters: Option<FilterPipeline>,
}

impl Hdf5Reader {
    /// Opens `path`.
    ///
    /// # Errors
    /// [`DataError::Missing`], [`DataError::Read`], [`DataError::NotHdf5`], [`DataError::Damaged`].
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        let file = Arc::new(open_input(path)?);
        let metadata = file.metadata().map_err(|e| DataError::read(path, e))?;
        if metadata.is_dir() {
            return Err(DataError::NotHdf5 { path: path.to_path_buf() });
        }
        let identity = Identity::of(&metadata);
        let headers = Headers::open(Arc::clone(&file)).map_err(|e| match e {
            OpenError::NotHdf5 => DataError::NotHdf5 { path: path.to_path_buf() },
            OpenError::Io(e) => DataError::read(path, e),
            OpenError::Format(e) => DataError::damaged(path, e),
            OpenError::Truncated { expected, found } => {
                DataError::damaged(path, format!("{found} of {expected} bytes are there"))
            }
        })?;
        if let Some(Tangle { element, found }) = survey::tangle(&headers) {
            return Err(DataError::Tangled { path: path.to_path_buf(), element, found });
        }
        Ok(Self {
            path: path.to_path_buf(),
            headers,
            file,
            identity,
            attributes: Mutex::default(),
            budget: Budget::default(),
        })
    }

    /// The opened file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Refuses to go on with a file that was written to, replaced or removed since it was opened.
    ///
    /// # Errors
    /// [`DataError::Changed`].
    pub(crate) fn check_unchanged(&self) -> Result<(), DataError> {
        self.identity.check(&self.file, &self.path)
    }

    /// The file as the library opens it, for the layouts that are left to it.
    fn library(&self) -> Result<H5File, DataError> {
        let fail = |e| DataError::damaged(&self.path, e);
        let options = || H5File::options().no_locking();
        #[cfg(target_os = "linux")]
        {
            use std::os::fd::AsRawFd;
            // Through the descriptor, whatever has taken the name since.
            let same = PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()));
            if same.exists() {
                return options().open(same).map_err(fail);
            }
        }
        let library = options().open(&self.path).map_err(fail)?;
        self.check_unchanged()?;
        Ok(library)
    }

    fn damaged(&self, what: &str, error: impl std::fmt::Display) -> DataError {
        DataError::damaged(&self.path, format!("{}: {error}", if what.is_empty() { "/" } else { what }))
    }

    fn locate(&self, path: &str) -> Result<u64, DataError> {
        self.headers
            .locate(path)
            .map_err(|e| self.damaged(path, e))?
            .ok_or_else(|| self.damaged(path, "missing"))
    }

    fn describe(&self, path: &str) -> Result<Described, DataError> {
        let address = self.locate(path)?;
        let messages = self.headers.messages(address).map_err(|e| self.damaged(path, e))?;
        let context = self.headers.context();
        let find = |kind: u16| messages.iter().find(|m| m.kind == kind && !m.is_shared());
        let space = find(DATASPACE).ok_or_else(|| self.damaged(path, "not an array"))?;
        let (space, _) = DataspaceMessage::decode(&space.data, context).map_err(|e| self.damaged(path, e))?;
        let datatype = match find(DATATYPE) {
            Some(m) => DatatypeMessage::decode(&m.data, context).map_err(|e| self.damaged(path, e))?.0,
            // A committed type is stored elsewhere.
            None => self.dataset(path)?.datatype().map_err(|e| self.damaged(path, e))?,
        };
        let layout = find(LAYOUT).and_then(|m| DataLayoutMessage::decode(&m.data, context).ok()).map(|l| l.0);
        // Shared or not: what names other files is not to be missed.
        let has_files = messages.iter().any(|m| m.kind == EXTERNAL_FILES);
        let is_virtual = matches!(layout, Some(DataLayoutMessage::Virtual { .. }));
        if (has_files || is_virtual) && !follow_external() {
            let found = if has_files {
                "keeps its values in another file"
            } else {
                "takes its values from other arrays, maybe of other files"
            };
            return Err(DataError::External {
                path: self.path.clone(),
                element: path.to_owned(),
                found: found.to_owned(),
            });
        }
        // What the library finds there is not laid out in this file.
        let layout = if has_files { None } else { layout };
        let filters = match find(FILTERS) {
            Some(m) => Some(FilterPipeline::decode(&m.data).map_err(|e| self.damaged(path, e))?.0),
            None => None,
        };
        Ok(Described {
            is_null: space.is_null(),
            shape: space.dims.iter().map(|&d| usize::try_from(d).unwrap_or(usize::MAX)).collect(),
            datatype,
            layout,
            filters,
        })
    }

    fn check_array(&self, path: &str) -> Result<(), DataError> {
        let Described { shape, is_null, datatype, layout, filters } = self.describe(path)?;
        let broken = |rule: &str| Err(self.damaged(path, rule));
        let width = match datatype {
            DatatypeMessage::VarLenString { .. } => self.headers.reference_size(),
            other => other.element_size() as usize,
        };
        if width == 0 {
            return broken("elements of no width");
        }
        let rank = shape.len();
        let len = if is_null { 0 } else { shape.iter().fold(1u64, |n, &d| n.saturating_mul(d as u64)) };
        let bytes = len.saturating_mul(width as u64);
        match layout {
            None => broken("an array without a layout"),
            Some(DataLayoutMessage::Contiguous { address: UNDEF_ADDR, .. }) if bytes == 0 => Ok(()),
            Some(DataLayoutMessage::Contiguous { .. }) if bytes == 0 => {
                broken("an array of nothing with a place")
            }
            Some(DataLayoutMessage::Contiguous { size, .. }) if size != bytes => {
                broken("an array of another size than its shape says")
            }
            Some(DataLayoutMessage::Contiguous { address, .. })
                if address.checked_add(bytes).is_none_or(|end| end > self.headers.file_size()) =>
            {
                broken("an array beyond the end of the file")
            }
            Some(DataLayoutMessage::Compact { data }) if data.len() as u64 != bytes => {
                broken("an array of another size than its shape says")
            }
            Some(
                DataLayoutMessage::ChunkedV3 { chunk_dims, .. }
                | DataLayoutMessage::ChunkedV4 { chunk_dims, .. },
            ) if chunk_dims.len() != rank + 1
                || chunk_dims.contains(&0)
                || chunk_dims.last() != Some(&(width as u64)) =>
            {
                broken("chunks that do not fit the array")
            }
            Some(DataLayoutMessage::Contiguous { .. } | DataLayoutMessage::Compact { .. })
                if filters.is_some() =>
            {
                broken("compression without chunks")
            }
            Some(_) => Ok(()),
        }
    }

    /// The array of numbers `path`, to be taken piece by piece; `None` where it can only be read whole.
    ///
    /// # Errors
    /// [`DataError::Damaged`] when its headers or its chunk index cannot be followed.
    pub(crate) fn sequence<T: Number>(&self, path: &str) -> Result<Option<Sequence<T>>, DataError> {
        let described = self.describe(path)?;
        let (element, big_endian, width) = element_of(&described.datatype);
        let of_numbers = !matches!(element, Element::String | Element::Record(_) | Element::Other(_));
        let Some(message) = described.layout.filter(|_| of_numbers && width > 0 && !described.is_null) else {
            return Ok(None);
        };
        let layout =
            Layout { shape: described.shape, width, message, filters: described.filters, bytes: false };
        let Some(place) = sequence::place_of(&self.headers, &layout).map_err(|e| self.damaged(path, e))?
        else {
            return Ok(None);
        };
        let origin = sequence::Origin {
            file: self.path.clone(),
            array: path.to_owned(),
            blocks: self.headers.blocks(),
            layout,
            element,
            big_endian,
        };
        Ok(Some(Sequence::new(origin, place)))
    }

    /// The records of the array `path`, to be taken piece by piece, with the fields `wanted` of each; `None` where it holds no
    /// records, or these fields are not all of them numbers.
    ///
    /// # Errors
    /// As [`Self::sequence`].
    pub(crate) fn records(&self, path: &str, wanted: &[&str]) -> Result<Option<Records>, DataError> {
        let described = self.describe(path)?;
        let DatatypeMessage::Compound { size, members } = described.datatype.clone() else { return Ok(None) };
        let record = size as usize;
        let field = |name: &&str| {
            let member = members.iter().find(|m| m.name == *name)?;
            let (element, big_endian, width) = element_of(&member.datatype);
            let start = member.offset as usize;
            let of_numbers = !matches!(element, Element::String | Element::Record(_) | Element::Other(_));
            let fits = width > 0 && start.checked_add(width).is_some_and(|end| end <= record);
            (of_numbers && fits).then_some(records::Field { start, width, element, big_endian })
        };
        let Some(fields) = wanted.iter().map(field).collect::<Option<Vec<_>>>() else { return Ok(None) };
        if described.shape.len() != 1 || described.is_null {
            return Ok(None);
        }
        let left = described.shape[0];
        let bytes = |n: usize| (n as u64).saturating_mul(record as u64);
        let held = bytes(left.min(records::most_of(record)));
        allow(&self.path, path, (bytes(left), held), MAX_EXPANSION, || self.headers.file_size())?;
        let mut shape = described.shape.clone();
        shape.push(record);
        let sequence = match &described.layout {
            None => None,
            Some(message) => {
                let (message, filters) = (message.clone(), described.filters.clone());
                let layout = Layout { shape, width: 1, message, filters, bytes: true };
                let place = sequence::place_of(&self.headers, &layout).map_err(|e| self.damaged(path, e))?;
                place.map(|place| {
                    let origin = sequence::Origin {
                        file: self.path.clone(),
                        array: path.to_owned(),
                        blocks: self.headers.blocks(),
                        layout,
                        element: Element::U8,
                        big_endian: false,
                    };
                    Sequence::new(origin, place)
                })
            }
        };
        let bytes = match sequence {
            Some(sequence) => records::Bytes::Pieces(Box::new(sequence)),
            None => records::Bytes::Whole(self.raw(path, &described, record)?, 0),
        };
        let (file, array) = (self.path.clone(), path.to_owned());
        Ok(Some(Records { file, array, bytes, record, fields, left }))
    }

    fn dataset(&self, path: &str) -> Result<rust_hdf5::H5Dataset, DataError> {
        self.library()?.dataset(path.trim_start_matches('/')).map_err(|e| match e {
            Hdf5Error::Unsupported(what) => DataError::Encoding { element: path.to_owned(), encoding: what },
            e => self.damaged(path, e),
        })
    }

    /// Decodes an array with `convert`, here or, for rarer layouts, by the library.
    fn decode<T, C>(
        &self,
        path: &str,
        described: Described,
        width: usize,
        convert: C,
    ) -> Result<Vec<T>, DataError>
    where
        T: Copy + Default + Send + Sync,
        C: Fn(&[u8], &mut [T]) -> rust_hdf5::format::FormatResult<()> + Sync,
    {
        self.decode_as(path, described, width, false, convert)
    }

    /// As `decode`; with `bytes` the last axis is the bytes of each element.
    fn decode_as<T, C>(
        &self,
        path: &str,
        described: Described,
        width: usize,
        bytes: bool,
        convert: C,
    ) -> Result<Vec<T>, DataError>
    where
        T: Copy + Default + Send + Sync,
        C: Fn(&[u8], &mut [T]) -> rust_hdf5::format::FormatResult<()> + Sync,
    {
        let fail = |e: &dyn std::fmt::Display| self.damaged(path, e);
        if width == 0 {
            return Err(self.damaged(path, "elements of no width"));
        }
        let shape = described.shape;
        // As many bytes as end up in memory, or are on their way there, whichever is more.
        let len = shape.iter().fold(1usize, |n, &d| n.saturating_mul(d));
        let (len, each) = if bytes { (len.div_ceil(8), 8) } else { (len, width.max(size_of::<T>())) };
        self.take(path, len, each)?;
        if let Some(layout) = described.layout {
            let layout =
                Layout { shape: shape.clone(), width, message: layout, filters: described.filters, bytes };
            if let Some(values) = chunks::decode(&self.headers, &layout, &convert).map_err(|e| fail(&e))? {
                return Ok(values);
            }
            chunks::check_chunks(&layout.message, width, self.headers.file_size()).map_err(|e| fail(&e))?;
        }
        let len = chunks::checked_len(&shape, width, self.headers.file_size()).map_err(|e| fail(&e))?;
        let bytes = self.dataset(path)?.read_raw_bytes().map_err(|e| fail(&e))?;
        let bytes = bytes.get(..len * width).ok_or_else(|| fail(&"an array shorter than its shape"))?;
        let mut out = chunks::try_zeros(len).map_err(|e| fail(&e))?;
        convert(bytes, &mut out).map_err(|e| fail(&e))?;
        Ok(out)
    }

    /// Counts what is about to be held against what this file can mean.
    fn take(&self, path: &str, len: usize, width: usize) -> Result<(), DataError> {
        self.budget.take(&self.path, path, (len, width), || self.headers.file_size())
    }

    /// The bytes of every element, `width` each.
    fn raw(&self, path: &str, described: &Described, width: usize) -> Result<Vec<u8>, DataError> {
        let mut shape = described.shape.clone();
        shape.push(width);
        let bytes = Described {
            shape,
            is_null: described.is_null,
            datatype: described.datatype.clone(),
            layout: described.layout.clone(),
            filters: described.filters.clone(),
        };
        self.decode_as(path, bytes, 1, true, |b, o: &mut [u8]| {
            o.copy_from_slice(b);
            Ok(())
        })
    }

    fn strings(&self, path: &str, described: &Described) -> Result<Vec<String>, DataError> {
        let fail = |e: &dyn std::fmt::Display| self.damaged(path, e);
        if let DatatypeMessage::FixedString { size, padding, .. } = &described.datatype {
            let (width, padding) = (*size as usize, *padding);
            if width == 0 {
                let len = chunks::checked_len(&described.shape, 1, self.headers.file_size());
                return Ok(vec![String::new(); len.map_err(|e| fail(&e))?]);
            }
            let bytes = self.raw(path, described, width)?;
            self.take(path, bytes.len() / width, width + size_of::<String>())?;
            Ok(bytes.chunks_exact(width).map(|b| fixed_string(b, padding)).collect())
        } else {
            let width = self.headers.reference_size();
            let references = self.raw(path, described, width)?;
            let mut strings = Vec::with_capacity(references.len() / width);
            for reference in references.chunks_exact(width) {
                let object = self.headers.heap_object(reference).map_err(|e| fail(&e))?;
                // Thousands of references may share one text of megabytes.
                self.take(path, TEXT_WEIGHT, object.len() + size_of::<String>())?;
                strings.push(match String::from_utf8(object) {
                    Ok(text) => text,
                    Err(e) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
                });
            }
            Ok(strings)
        }
    }

    fn shaped<T>(&self, path: &str, shape: &[usize], values: Vec<T>) -> Result<ArrayD<T>, DataError> {
        ArrayD::from_shape_vec(IxDyn(shape), values).map_err(|e| self.damaged(path, e))
    }

    fn attribute_value(&self, a: &AttributeMessage) -> Option<Attribute> {
        if a.dataspace.is_null() {
            return Some(Attribute::Empty);
        }
        let scalar = a.dataspace.dims.is_empty();
        let count = a.dataspace.element_count().and_then(|n| usize::try_from(n).ok())?;
        let (element, big_endian, width) = element_of(&a.datatype);
        if element == Element::String {
            let width = if matches!(a.datatype, DatatypeMessage::VarLenString { .. }) {
                self.headers.reference_size()
            } else {
                width
            };
            if width == 0 {
                return Some(Attribute::String(String::new()));
            }
            let mut strings = Vec::new();
            for bytes in a.data.chunks_exact(width).take(count) {
                strings.push(if let DatatypeMessage::FixedString { padding, .. } = &a.datatype {
                    fixed_string(bytes, *padding)
                } else {
                    let object = self.headers.heap_object(bytes).ok()?;
                    self.take(&a.name, 1, object.len()).ok()?;
                    String::from_utf8_lossy(&object).into_owned()
                });
            }
            return if scalar {
                strings.pop().map(Attribute::String)
            } else {
                Some(Attribute::Strings(strings))
            };
        }
        let bytes = a.data.get(..count.checked_mul(width)?)?;
        match element {
            Element::Bool if count == 1 => bytes.first().map(|b| Attribute::Bool(*b != 0)),
            Element::F16 | Element::F32 | Element::F64 => {
                let mut values = vec![0f64; count];
                chunks::convert(&element, big_endian, bytes, &mut values).ok()?;
                Some(Attribute::Floats(values))
            }
            Element::Record(_) | Element::Other(_) => Some(Attribute::Other),
            _ => {
                let mut values = vec![0i64; count];
                chunks::convert(&element, big_endian, bytes, &mut values).ok()?;
                Some(Attribute::Ints(values))
            }
        }
    }
}

/// A byte of text counts for so many of numbers: heaps of text are not packed, so that a file says little more than it holds.
const TEXT_WEIGHT: usize = 10;

impl Store for Hdf5Reader {
    fn path(&self) -> &Path {
        &self.path
    }

    fn format(&self) -> &'static str {
        "an HDF5 file"
    }

    fn begin(&self) {
        self.budget.begin();
    }

    // What lies at `path` keeps the rules that the C library opens arrays by: a reader of our own, which does not
    // look at bytes it has no need of, would find a file in order that nobody else can open.
    fn check_rules(&self, path: &str) -> Result<(), DataError> {
        match self.node(path)? {
            None => Err(self.damaged(path, "missing")),
            Some(NodeKind::Group) => {
                self.children(path)?.iter().try_for_each(|name| self.check_rules(&format!("{path}/{name}")))
            }
            Some(NodeKind::Array) => self.check_array(path),
        }
    }

    fn node(&self, path: &str) -> Result<Option<NodeKind>, DataError> {
        let fail = |e| self.damaged(path, e);
        let Some(address) = self.headers.locate(path).map_err(fail)? else { return Ok(None) };
        let messages = self.headers.messages(address).map_err(fail)?;
        let is_array = messages.iter().any(|m: &Message| m.kind == DATASPACE || m.kind == LAYOUT);
        Ok(Some(if is_array { NodeKind::Array } else { NodeKind::Group }))
    }

    fn children(&self, path: &str) -> Result<Vec<String>, DataError> {
        self.headers.names(self.locate(path)?).map_err(|e| self.damaged(path, e))
    }

    fn attribute(&self, path: &str, name: &str) -> Result<Option<Attribute>, DataError> {
        let address = self.locate(path)?;
        let known = held(&self.attributes).get(&address).cloned();
        let attributes = if let Some(attributes) = known {
            attributes
        } else {
            let read = Arc::new(self.headers.attributes(address).map_err(|e| self.damaged(path, e))?);
            held(&self.attributes).insert(address, Arc::clone(&read));
            read
        };
        match attributes.iter().find(|a| a.name == name) {
            None => Ok(None),
            Some(a) => self
                .attribute_value(a)
                .map(Some)
                .ok_or_else(|| self.damaged(path, format!("attribute {name} cannot be decoded"))),
        }
    }

    fn info(&self, path: &str) -> Result<ArrayInfo, DataError> {
        let described = self.describe(path)?;
        let (element, _, _) = element_of(&described.datatype);
        Ok(ArrayInfo { shape: described.shape, element, is_null: described.is_null })
    }

    fn array(&self, path: &str) -> Result<Array, DataError> {
        let described = self.describe(path)?;
        let shape = described.shape.clone();
        let (element, big_endian, width) = element_of(&described.datatype);
        macro_rules! typed {
            ($t:ty) => {{
                let convert = |b: &[u8], o: &mut [$t]| chunks::convert(&element, big_endian, b, o);
                let values = self.decode(path, described, width, convert)?;
                self.shaped(path, &shape, values)?.into()
            }};
        }
        Ok(match element {
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
                let convert = |b: &[u8], o: &mut [bool]| {
                    for (b, o) in b.iter().zip(o) {
                        *o = *b != 0;
                    }
                    Ok(())
                };
                if width != 1 {
                    return Err(DataError::Encoding {
                        element: path.to_owned(),
                        encoding: "a wide enum".into(),
                    });
                }
                let values = self.decode(path, described, width, convert)?;
                self.shaped(path, &shape, values)?.into()
            }
            Element::String => {
                let values = self.strings(path, &described)?;
                self.shaped(path, &shape, values)?.into()
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
        let described = self.describe(path)?;
        let (element, big_endian, width) = element_of(&described.datatype);
        self.decode(path, described, width, |b, o| chunks::convert(&element, big_endian, b, o))
    }

    fn field(&self, path: &str, name: &str) -> Result<Option<Array>, DataError> {
        let described = self.describe(path)?;
        let DatatypeMessage::Compound { size, members } = described.datatype.clone() else { return Ok(None) };
        let Some(member) = members.iter().find(|m| m.name == name) else { return Ok(None) };
        let (datatype, inner): (&DatatypeMessage, Vec<usize>) = match &member.datatype {
            DatatypeMessage::Array { dims, base } => (base, dims.iter().map(|&d| d as usize).collect()),
            other => (other, Vec::new()),
        };
        let (element, big_endian, width) = element_of(datatype);
        let is_reference = matches!(datatype, DatatypeMessage::VarLenString { .. });
        let width = if is_reference { self.headers.reference_size() } else { width };
        let mut shape = described.shape.clone();
        let (start, record) = (member.offset as usize, size as usize);
        let bytes_each = inner
            .iter()
            .try_fold(width, |n, &d| n.checked_mul(d))
            .filter(|n| *n > 0 && start.checked_add(*n).is_some_and(|end| end <= record));
        let Some(bytes_each) = bytes_each else { return Ok(None) };
        let bytes = self.raw(path, &described, record)?;
        shape.extend(&inner);
        let parts = bytes.chunks_exact(record).map(|r| &r[start..start + bytes_each]);
        let joined: Vec<u8> = parts.flatten().copied().collect();
        macro_rules! typed {
            ($t:ty) => {{
                let mut values = vec![<$t>::default(); joined.len() / width];
                chunks::convert(&element, big_endian, &joined, &mut values)
                    .map_err(|e| self.damaged(path, e))?;
                self.shaped(path, &shape, values)?.into()
            }};
        }
        Ok(Some(match element {
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
            Element::Bool if width == 1 => {
                self.shaped(path, &shape, joined.iter().map(|b| *b != 0).collect::<Vec<bool>>())?.into()
            }
            Element::String => {
                let mut strings = Vec::with_capacity(joined.len() / width);
                for b in joined.chunks_exact(width) {
                    strings.push(if let DatatypeMessage::FixedString { padding, .. } = datatype {
                        fixed_string(b, *padding)
                    } else {
                        let object = self.headers.heap_object(b).map_err(|e| self.damaged(path, e))?;
                        self.take(path, 1, object.len() + size_of::<String>())?;
                        String::from_utf8_lossy(&object).into_owned()
                    });
                }
                self.shaped(path, &shape, strings)?.into()
            }
            _ => return Ok(None),
        }))
    }
}

fn fixed_string(bytes: &[u8], padding: u8) -> String {
    // numpy pads with zeros whatever the type says.
    let content = fixed_string_content(bytes, padding).unwrap_or(bytes);
    let end = content.iter().rposition(|&b| b != 0).map_or(0, |p| p + 1);
    String::from_utf8_lossy(content.get(..end).unwrap_or_default()).into_owned()
}

/// The element type, whether it is big-endian, and its width in bytes.
fn element_of(datatype: &DatatypeMessage) -> (Element, bool, usize) {
    let width = datatype.element_size() as usize;
    match datatype {
        DatatypeMessage::FixedPoint { size, byte_order, signed, bit_offset, bit_precision } => {
            let element = match (size, signed) {
                _ if *bit_offset != 0 || u64::from(*bit_precision) != u64::from(*size) * 8 => {
                    Element::Other(format!("a {bit_precision}-bit integer"))
                }
                (1, true) => Element::I8,
                (2, true) => Element::I16,
                (4, true) => Element::I32,
                (8, true) => Element::I64,
                (1, false) => Element::U8,
                (2, false) => Element::U16,
                (4, false) => Element::U32,
                (8, false) => Element::U64,
                _ => Element::Other(format!("a {size}-byte integer")),
            };
            (element, *byte_order == ByteOrder::BigEndian, width)
        }
        DatatypeMessage::FloatingPoint { size, byte_order, mantissa_size, .. } => {
            let element = match (size, mantissa_size) {
                (2, 10) => Element::F16,
                (4, 23) => Element::F32,
                (8, 52) => Element::F64,
                _ => Element::Other(format!("a {size}-byte float")),
            };
            (element, *byte_order == ByteOrder::BigEndian, width)
        }
        DatatypeMessage::FixedString { .. } | DatatypeMessage::VarLenString { .. } => {
            (Element::String, false, width)
        }
        DatatypeMessage::Enum { base, members } => {
            let is_bool = members.len() == 2
                && members
                    .iter()
                    .all(|m| m.name.eq_ignore_ascii_case("true") || m.name.eq_ignore_ascii_case("false"));
            if is_bool && width == 1 { (Element::Bool, false, 1) } else { element_of(base) }
        }
        DatatypeMessage::Compound { members, .. } => {
            (Element::Record(members.iter().map(|m| m.name.clone()).collect()), false, width)
        }
        DatatypeMessage::BitField { .. } => (Element::Other("bit fields".to_owned()), false, width),
        DatatypeMessage::Opaque { .. } => (Element::Other("opaque bytes".to_owned()), false, width),
        DatatypeMessage::VarLenSequence { .. } => {
            (Element::Other("lists of unequal length".to_owned()), false, width)
        }
        DatatypeMessage::Array { .. } => (Element::Other("arrays of arrays".to_owned()), false, width),
        DatatypeMessage::Reference { .. } => (Element::Other("references".to_owned()), false, width),
    }
}
