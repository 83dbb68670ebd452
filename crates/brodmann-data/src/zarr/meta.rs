//! What the metadata of an array say: shape, type, chunks, codecs, in versions 2 and 3.

use serde_json::{Map, Value};

use super::codec::Codec;
use super::json::number;
use crate::store::Element;

/// How one element is stored.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// A number or truth value.
    Number(Element),
    /// UCS-4, padded with zeros.
    Utf32,
    /// Bytes, padded with zeros.
    Bytes,
    /// Texts of any length, each with its size before it.
    Texts,
    /// Records of these fields.
    Record(Vec<String>),
    /// Anything else, in words.
    Other(String),
}

/// How inner chunks lie in the file of an outer one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sharding {
    /// Inner chunks of a shard, along each axis.
    pub(super) per_shard: Vec<usize>,
    /// The index ends with a checksum.
    pub(super) checksum: bool,
    pub(super) index_at_end: bool,
}

/// One array.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ArrayMeta {
    pub(super) shape: Vec<usize>,
    pub(super) kind: Kind,
    /// Bytes of an element; 0 for texts of any length.
    pub(super) width: usize,
    pub(super) big_endian: bool,
    /// Shape of what is decoded at once: of a chunk, or of an inner chunk of a shard.
    pub(super) chunk: Vec<usize>,
    pub(super) sharding: Option<Sharding>,
    /// In the order in which they are undone.
    pub(super) codecs: Vec<Codec>,
    /// The axes in the order in which a chunk stores them, slowest first; `None` for their own order.
    pub(super) order: Option<Vec<usize>>,
    /// Stored bytes of an element that is not there.
    pub(super) fill: Vec<u8>,
    pub(super) fill_text: String,
    pub(super) separator: char,
    /// Keys of chunks begin with `c`.
    pub(super) prefixed: bool,
    /// What of it is not supported; its elements cannot be read then.
    pub(super) unsupported: Option<String>,
}

type Parsed<T> = Result<T, String>;

fn sizes(value: Option<&Value>, what: &str) -> Parsed<Vec<usize>> {
    let bad = || format!("{what} that is no list of sizes");
    let list = value.and_then(Value::as_array).ok_or_else(bad)?;
    let size = |v: &Value| v.as_u64().and_then(|v| usize::try_from(v).ok());
    list.iter().map(|v| size(v).ok_or_else(bad)).collect()
}

impl ArrayMeta {
    pub(super) fn v2(document: &Map<String, Value>) -> Parsed<Self> {
        let shape = sizes(document.get("shape"), "a shape")?;
        let chunk = sizes(document.get("chunks"), "chunks")?;
        let mut unsupported = None;
        let (kind, width, big_endian) = v2_type(document.get("dtype").unwrap_or(&Value::Null));
        let mut kind = kind;
        // Filters were applied first to last, then the compressor.
        let mut codecs = Vec::new();
        let id = |v: &Value| v.get("id").and_then(Value::as_str).unwrap_or("?").to_owned();
        match document.get("compressor") {
            None | Some(Value::Null) => {}
            Some(compressor) => match v2_codec(&id(compressor), compressor, width) {
                Some(codec) => codecs.push(codec),
                None => unsupported = Some(format!("the compressor {}", id(compressor))),
            },
        }
        for filter in document.get("filters").and_then(Value::as_array).into_iter().flatten().rev() {
            match id(filter).as_str() {
                "vlen-utf8" => kind = Kind::Texts,
                name => match v2_codec(name, filter, width) {
                    Some(codec) => codecs.push(codec),
                    None => unsupported = Some(format!("the filter {name}")),
                },
            }
        }
        if let Kind::Other(what) = &kind {
            unsupported = Some(what.clone());
        }
        let order = (document.get("order").and_then(Value::as_str) == Some("F") && shape.len() > 1)
            .then(|| (0..shape.len()).rev().collect());
        let separator = document.get("dimension_separator").and_then(Value::as_str).unwrap_or(".");
        let meta = Self {
            shape,
            kind,
            width,
            big_endian,
            chunk,
            sharding: None,
            codecs,
            order,
            fill: Vec::new(),
            fill_text: String::new(),
            separator: if separator == "/" { '/' } else { '.' },
            prefixed: false,
            unsupported,
        };
        meta.complete(document.get("fill_value"))
    }

    pub(super) fn v3(document: &Map<String, Value>) -> Parsed<Self> {
        let shape = sizes(document.get("shape"), "a shape")?;
        let named = |key: &str| document.get(key).map(name_and_configuration);
        let (grid, configuration) = named("chunk_grid").ok_or("an array without chunk_grid")?;
        let mut chunk = sizes(configuration.and_then(|c| c.get("chunk_shape")), "chunk_shape")?;
        let mut unsupported = (grid != "regular").then(|| format!("the chunk grid {grid:?}"));
        let (encoding, configuration) = named("chunk_key_encoding").unwrap_or(("default", None));
        let separator = configuration.and_then(|c| c.get("separator")).and_then(Value::as_str);
        let prefixed = encoding != "v2";
        let separator = match separator {
            Some("/") => '/',
            Some(".") => '.',
            _ if prefixed => '/',
            _ => '.',
        };
        let (kind, width) = v3_type(document.get("data_type").unwrap_or(&Value::Null));
        if let Kind::Other(what) = &kind {
            unsupported = Some(what.clone());
        }
        if document.get("storage_transformers").and_then(Value::as_array).is_some_and(|t| !t.is_empty()) {
            unsupported = Some("storage transformers".to_owned());
        }
        let list = document.get("codecs").and_then(Value::as_array).ok_or("an array without codecs")?;
        let mut chain = Chain::parse(list, shape.len(), width);
        let mut sharding = None;
        if let Some(configuration) = chain.shard {
            let inner = sizes(configuration.get("chunk_shape"), "chunk_shape of a shard")?;
            if inner.len() != chunk.len() || inner.contains(&0) {
                return Err("inner chunks that do not fit their shard".to_owned());
            }
            let per_shard: Vec<usize> = chunk.iter().zip(&inner).map(|(c, i)| c / i).collect();
            if chunk.iter().zip(&inner).any(|(c, i)| c % i != 0) || per_shard.contains(&0) {
                return Err("inner chunks that do not divide their shard".to_owned());
            }
            let index = configuration.get("index_codecs").and_then(Value::as_array);
            let index = Chain::parse(index.map_or(&[][..], Vec::as_slice), 1, 8);
            let checksum = index.codecs == [Codec::Crc32c];
            if index.unsupported.is_some() || index.big_endian || !(checksum || index.codecs.is_empty()) {
                unsupported = Some("the index of its shards".to_owned());
            }
            let at = configuration.get("index_location").and_then(Value::as_str);
            sharding = Some(Sharding { per_shard, checksum, index_at_end: at != Some("start") });
            let inner_codecs = configuration.get("codecs").and_then(Value::as_array);
            // A codec around a whole shard would have to be undone before any part of it is read.
            if !chain.codecs.is_empty() || chain.order.is_some() {
                unsupported = Some("codecs around shards".to_owned());
            }
            chain = Chain::parse(inner_codecs.map_or(&[][..], Vec::as_slice), shape.len(), width);
            if chain.shard.is_some() {
                unsupported = Some("shards in shards".to_owned());
            }
            chunk = inner;
        }
        let meta = Self {
            shape,
            kind,
            width,
            big_endian: chain.big_endian,
            chunk,
            sharding,
            codecs: chain.codecs,
            order: chain.order,
            fill: Vec::new(),
            fill_text: String::new(),
            separator,
            prefixed,
            unsupported: chain.unsupported.or(unsupported),
        };
        meta.complete(document.get("fill_value"))
    }

    /// Checks that the parts fit one another, and adds the fill value.
    fn complete(mut self, fill: Option<&Value>) -> Parsed<Self> {
        let rank = self.shape.len();
        if self.chunk.len() != rank {
            return Err(format!("chunks of {} axes in an array of {rank}", self.chunk.len()));
        }
        for (chunk, len) in self.chunk.iter_mut().zip(&self.shape) {
            // Some writers give an empty array empty chunks.
            if *chunk == 0 && *len == 0 {
                *chunk = 1;
            }
        }
        if self.chunk.contains(&0) {
            return Err("chunks of no size".to_owned());
        }
        let fits = |order: &Vec<usize>| {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            sorted.into_iter().eq(0..rank)
        };
        if !self.order.as_ref().is_none_or(fits) {
            return Err("an order of axes that leaves one out".to_owned());
        }
        if self.width == 0 && !matches!(self.kind, Kind::Texts | Kind::Other(_) | Kind::Record(_)) {
            return Err("elements of no width".to_owned());
        }
        let fill = fill.unwrap_or(&Value::Null);
        if let Value::String(text) = fill {
            self.fill_text.clone_from(text);
        }
        self.fill = match &self.kind {
            Kind::Number(element) => {
                let mut bytes = fill_bytes(element, fill, self.width);
                if self.big_endian {
                    bytes.reverse();
                }
                bytes
            }
            // The element's size is a claim that nothing backs yet.
            _ => Vec::new(),
        };
        Ok(self)
    }

    /// The element type as readers see it.
    pub(super) fn element(&self) -> Element {
        if let Some(what) = &self.unsupported {
            return Element::Other(what.clone());
        }
        match &self.kind {
            Kind::Number(element) => element.clone(),
            Kind::Utf32 | Kind::Bytes | Kind::Texts => Element::String,
            Kind::Record(names) => Element::Record(names.clone()),
            Kind::Other(what) => Element::Other(what.clone()),
        }
    }

    /// The key of a chunk or shard below the array's.
    pub(super) fn chunk_key(&self, at: &[usize]) -> String {
        let mut key = String::new();
        if self.prefixed {
            key.push('c');
        }
        for index in at.iter().take(self.shape.len()) {
            if !key.is_empty() {
                key.push(self.separator);
            }
            key.push_str(&index.to_string());
        }
        if key.is_empty() {
            key.push('0');
        }
        key
    }
}

/// Codecs of version 3, from the array to the bytes.
struct Chain<'a> {
    codecs: Vec<Codec>,
    order: Option<Vec<usize>>,
    big_endian: bool,
    shard: Option<&'a Map<String, Value>>,
    unsupported: Option<String>,
}

impl<'a> Chain<'a> {
    fn parse(list: &'a [Value], rank: usize, width: usize) -> Self {
        let mut chain =
            Self { codecs: Vec::new(), order: None, big_endian: false, shard: None, unsupported: None };
        for codec in list {
            let (name, configuration) = name_and_configuration(codec);
            match name {
                "bytes" | "endian" => {
                    let endian = configuration.and_then(|c| c.get("endian")).and_then(Value::as_str);
                    chain.big_endian = endian == Some("big");
                }
                "transpose" => {
                    let order = configuration.and_then(|c| c.get("order"));
                    let order = match order.and_then(Value::as_str) {
                        Some("C") => Some((0..rank).collect()),
                        Some("F") => Some((0..rank).rev().collect()),
                        _ => sizes(order, "order").ok(),
                    };
                    if order.is_none() || chain.order.is_some() {
                        chain.unsupported = Some("the order of its axes".to_owned());
                    }
                    chain.order = order;
                }
                "vlen-utf8" => {}
                "sharding_indexed" => chain.shard = configuration,
                name => {
                    let plain = name.strip_prefix("numcodecs.").unwrap_or(name);
                    let empty = Value::Null;
                    let configuration = codec.get("configuration").unwrap_or(&empty);
                    match v2_codec(plain, configuration, width) {
                        Some(codec) => chain.codecs.insert(0, codec),
                        None => chain.unsupported = Some(format!("the codec {name}")),
                    }
                }
            }
        }
        chain
    }
}

/// An extension point of version 3: a name, or a name with its configuration.
fn name_and_configuration(value: &Value) -> (&str, Option<&Map<String, Value>>) {
    match value {
        Value::String(name) => (name, None),
        other => (
            other.get("name").and_then(Value::as_str).unwrap_or("?"),
            other.get("configuration").and_then(Value::as_object),
        ),
    }
}

fn v2_codec(id: &str, configuration: &Value, width: usize) -> Option<Codec> {
    Some(match id {
        "gzip" => Codec::Gzip,
        "zlib" => Codec::Zlib,
        "zstd" => Codec::Zstd,
        "blosc" => Codec::Blosc,
        "lz4" => Codec::Lz4,
        "crc32c" => Codec::Crc32c,
        "shuffle" => {
            let size = configuration.get("elementsize").and_then(Value::as_u64);
            match size.map_or(width.max(1), |s| s as usize) {
                size @ 1..=4096 => Codec::Shuffle(size),
                _ => return None,
            }
        }
        _ => return None,
    })
}

/// Widths beyond this are no type of a table or matrix.
const MAX_WIDTH: usize = 1 << 20;

fn v2_type(dtype: &Value) -> (Kind, usize, bool) {
    let other = |what: String| (Kind::Other(what), 0, false);
    if let Some(fields) = dtype.as_array() {
        let name = |field: &Value| field.get(0).and_then(Value::as_str).map(str::to_owned);
        let names: Option<Vec<String>> = fields.iter().map(name).collect();
        return names.map_or_else(|| other("records".to_owned()), |names| (Kind::Record(names), 0, false));
    }
    let text = dtype.as_str().unwrap_or_default();
    let unknown = || other(format!("the type {text:?}"));
    let Some((order, code)) = text.split_at_checked(1) else { return unknown() };
    let Some((kind, size)) = code.split_at_checked(1) else { return unknown() };
    let big_endian = order == ">";
    if kind == "O" {
        return other("Python objects".to_owned());
    }
    let Ok(size) = size.parse::<usize>() else { return unknown() };
    let number = |element: Element| (Kind::Number(element), size, big_endian);
    match (kind, size) {
        ("b", 1) => number(Element::Bool),
        ("i", 1) => number(Element::I8),
        ("i", 2) => number(Element::I16),
        ("i", 4) => number(Element::I32),
        ("i", 8) => number(Element::I64),
        ("u", 1) => number(Element::U8),
        ("u", 2) => number(Element::U16),
        ("u", 4) => number(Element::U32),
        ("u", 8) => number(Element::U64),
        ("f", 2) => number(Element::F16),
        ("f", 4) => number(Element::F32),
        ("f", 8) => number(Element::F64),
        // numpy has texts of no length; one zero character is stored for each.
        ("U", 0..=MAX_WIDTH) => (Kind::Utf32, size.max(1) * 4, big_endian),
        ("S", 0..=MAX_WIDTH) => (Kind::Bytes, size.max(1), false),
        _ => unknown(),
    }
}

fn v3_type(data_type: &Value) -> (Kind, usize) {
    let (name, configuration) = name_and_configuration(data_type);
    let number = |element: Element, width: usize| (Kind::Number(element), width);
    let length = configuration.and_then(|c| c.get("length_bytes")).and_then(Value::as_u64);
    let length = length.and_then(|l| usize::try_from(l).ok()).filter(|l| *l <= 4 * MAX_WIDTH);
    match (name, length) {
        ("bool", _) => number(Element::Bool, 1),
        ("int8", _) => number(Element::I8, 1),
        ("int16", _) => number(Element::I16, 2),
        ("int32", _) => number(Element::I32, 4),
        ("int64", _) => number(Element::I64, 8),
        ("uint8", _) => number(Element::U8, 1),
        ("uint16", _) => number(Element::U16, 2),
        ("uint32", _) => number(Element::U32, 4),
        ("uint64", _) => number(Element::U64, 8),
        ("float16", _) => number(Element::F16, 2),
        ("float32", _) => number(Element::F32, 4),
        ("float64", _) => number(Element::F64, 8),
        ("string", _) => (Kind::Texts, 0),
        ("fixed_length_utf32", Some(length)) if length % 4 == 0 => (Kind::Utf32, length.max(4)),
        ("null_terminated_bytes", Some(length)) => (Kind::Bytes, length.max(1)),
        ("structured" | "struct", _) => {
            let fields = configuration.and_then(|c| c.get("fields")).and_then(Value::as_array);
            let name = |f: &Value| {
                f.get(0).or_else(|| f.get("name")).and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            (Kind::Record(fields.into_iter().flatten().map(name).collect()), 0)
        }
        _ => (Kind::Other(format!("the type {name:?}")), 0),
    }
}

/// A fill value in little-endian bytes.
fn fill_bytes(element: &Element, fill: &Value, width: usize) -> Vec<u8> {
    let hex = fill.as_str().and_then(|s| s.strip_prefix("0x")).and_then(|h| u64::from_str_radix(h, 16).ok());
    let float = || number(fill).unwrap_or(0.0);
    let bits = match (element, hex) {
        (_, Some(bits)) => bits,
        (Element::F32, _) => u64::from((float() as f32).to_bits()),
        (Element::F64, _) => float().to_bits(),
        (Element::F16, _) => match float() {
            v if v.is_nan() => 0x7E00,
            v if v == f64::INFINITY => 0x7C00,
            v if v == f64::NEG_INFINITY => 0xFC00,
            // Writers use zero; another number of this type is met nowhere.
            _ => 0,
        },
        _ => match (fill.as_u64(), fill.as_i64(), fill.as_bool()) {
            (Some(v), _, _) => v,
            (None, Some(v), _) => v as u64,
            (None, None, Some(v)) => u64::from(v),
            _ => 0,
        },
    };
    bits.to_le_bytes()[..width.min(8)].to_vec()
}
