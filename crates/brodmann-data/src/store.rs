//! What a container needs of a hierarchical file: groups, arrays, attributes, by path.
//!
//! [`crate::hdf5`] and [`crate::zarr`] implement it, and [`crate::backend`] is whichever of both a path leads to. Reading
//! and writing of elements is said in these traits; whoever opens files or copies them names the implementation. Paths
//! are `a/b/c`, the root is the empty path.

use std::path::Path;

use indexmap::IndexMap;

use crate::{Array, DataError};

/// The kinds of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeKind {
    /// Holds others.
    Group,
    /// Holds an array.
    Array,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Attribute {
    /// One text.
    String(String),
    /// Texts.
    Strings(Vec<String>),
    /// Whole numbers (one for a scalar).
    Ints(Vec<i64>),
    /// Numbers.
    Floats(Vec<f64>),
    /// A truth value.
    Bool(bool),
    /// No value (an empty dataspace).
    Empty,
    /// Present, of a type that is not needed (references, records).
    Other,
}

impl Attribute {
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(s) => Some(s),
            Self::Strings(v) if v.len() == 1 => v.first().map(String::as_str),
            _ => None,
        }
    }

    pub(crate) fn strings(&self) -> Option<Vec<String>> {
        match self {
            Self::String(s) => Some(vec![s.clone()]),
            Self::Strings(v) => Some(v.clone()),
            // h5py writes an empty list of names as an empty array of floats.
            Self::Floats(v) if v.is_empty() => Some(Vec::new()),
            Self::Empty => Some(Vec::new()),
            _ => None,
        }
    }

    pub(crate) fn ints(&self) -> Option<Vec<i64>> {
        match self {
            Self::Ints(v) => Some(v.clone()),
            Self::Bool(b) => Some(vec![i64::from(*b)]),
            _ => None,
        }
    }

    pub(crate) fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(b) => Some(*b),
            Self::Ints(v) if v.len() == 1 => v.first().map(|v| *v != 0),
            _ => None,
        }
    }
}

/// The type of an array's elements.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Element {
    F16,
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
    String,
    /// Records of named fields.
    Record(Vec<String>),
    /// Anything else, in words.
    Other(String),
}

/// Shape and type of an array.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ArrayInfo {
    pub(crate) shape: Vec<usize>,
    pub(crate) element: Element,
    /// An empty dataspace: no value at all.
    pub(crate) is_null: bool,
}

impl ArrayInfo {
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().fold(1, |n: usize, &d| n.saturating_mul(d))
    }
}

/// Reads a hierarchical file.
pub(crate) trait Store {
    /// Where it lies, for messages.
    fn path(&self) -> &Path;
    /// What its format is called, for messages.
    fn format(&self) -> &'static str;
    /// One reading of the container begins: what was read before is no longer held against what the file can hold.
    fn begin(&self);
    /// What lies at `path` keeps the rules that other readers open arrays by.
    ///
    /// # Errors
    /// [`DataError::Damaged`] naming the first array that breaks one.
    fn check_rules(&self, path: &str) -> Result<(), DataError>;
    /// What lies at `path`; `None` for nothing.
    fn node(&self, path: &str) -> Result<Option<NodeKind>, DataError>;
    /// Names under the group `path`, sorted.
    fn children(&self, path: &str) -> Result<Vec<String>, DataError>;
    /// The attribute `name` of `path`; `None` when absent.
    fn attribute(&self, path: &str, name: &str) -> Result<Option<Attribute>, DataError>;
    /// Shape and type of the array `path`.
    fn info(&self, path: &str) -> Result<ArrayInfo, DataError>;
    /// The whole array, in its own type (half floats become `f32`).
    fn array(&self, path: &str) -> Result<Array, DataError>;
    /// The whole array of numbers as `T`, without a second copy of it in memory.
    fn numbers<T: Number>(&self, path: &str) -> Result<Vec<T>, DataError>;
    /// One field of an array of records; `None` when the field is of no known type.
    fn field(&self, path: &str, name: &str) -> Result<Option<Array>, DataError>;
}

/// The number types arrays are read as. Conversions are those of `as`, except that a whole number that `T` cannot
/// hold is `None`.
pub(crate) trait Number: Copy + Default + Send + Sync + 'static {
    fn from_f64(v: f64) -> Option<Self>;
    fn from_i64(v: i64) -> Option<Self>;
    fn from_u64(v: u64) -> Option<Self>;
    /// Decodes one element exactly where the file's type is `Self`'s.
    const NATIVE: Element;
    fn from_le(bytes: &[u8]) -> Self;
}

macro_rules! whole_number {
    ($($t:ty => $native:expr),*) => {$(
        impl Number for $t {
            fn from_f64(v: f64) -> Option<Self> {
                // Indices are sometimes saved as floats; only whole ones are accepted.
                (v.fract() == 0.0 && v >= <$t>::MIN as f64 && v <= <$t>::MAX as f64).then_some(v as Self)
            }
            fn from_i64(v: i64) -> Option<Self> {
                Self::try_from(v).ok()
            }
            fn from_u64(v: u64) -> Option<Self> {
                Self::try_from(v).ok()
            }
            const NATIVE: Element = $native;
            fn from_le(bytes: &[u8]) -> Self {
                bytes.try_into().map(Self::from_le_bytes).unwrap_or_default()
            }
        }
    )*};
}
whole_number!(i8 => Element::I8, i16 => Element::I16, i32 => Element::I32, i64 => Element::I64, u8 => Element::U8,
    u16 => Element::U16, u32 => Element::U32, u64 => Element::U64, usize => Element::U64);

macro_rules! float_number {
    ($($t:ty => $native:expr),*) => {$(
        impl Number for $t {
            fn from_f64(v: f64) -> Option<Self> {
                Some(v as Self)
            }
            fn from_i64(v: i64) -> Option<Self> {
                Some(v as Self)
            }
            fn from_u64(v: u64) -> Option<Self> {
                Some(v as Self)
            }
            const NATIVE: Element = $native;
            fn from_le(bytes: &[u8]) -> Self {
                bytes.try_into().map(Self::from_le_bytes).unwrap_or_default()
            }
        }
    )*};
}
float_number!(f32 => Element::F32, f64 => Element::F64);

/// Converts stored elements to `T`; whole numbers that do not fit are refused.
pub(crate) fn convert<T: Number>(
    element: &Element,
    big_endian: bool,
    bytes: &[u8],
    out: &mut [T],
) -> Result<(), String> {
    macro_rules! each {
        ($t:ty, $via:ident) => {{
            const WIDTH: usize = size_of::<$t>();
            for (b, o) in bytes.chunks_exact(WIDTH).zip(out.iter_mut()) {
                let mut raw = [0u8; WIDTH];
                raw.copy_from_slice(b);
                if big_endian {
                    raw.reverse();
                }
                let value = <$t>::from_le_bytes(raw);
                *o = T::$via(value.into()).ok_or_else(|| out_of_range(&value))?;
            }
        }};
    }
    if !big_endian && *element == T::NATIVE {
        for (b, o) in bytes.chunks_exact(size_of::<T>()).zip(out.iter_mut()) {
            *o = T::from_le(b);
        }
        return Ok(());
    }
    match element {
        Element::F32 => each!(f32, from_f64),
        Element::F64 => each!(f64, from_f64),
        Element::I8 => each!(i8, from_i64),
        Element::I16 => each!(i16, from_i64),
        Element::I32 => each!(i32, from_i64),
        Element::I64 => each!(i64, from_i64),
        Element::U8 | Element::Bool => each!(u8, from_i64),
        Element::U16 => each!(u16, from_i64),
        Element::U32 => each!(u32, from_i64),
        Element::U64 => each!(u64, from_u64),
        Element::F16 => {
            for (b, o) in bytes.chunks_exact(2).zip(out.iter_mut()) {
                let raw = if big_endian { [b[1], b[0]] } else { [b[0], b[1]] };
                let value = half(u16::from_le_bytes(raw));
                *o = T::from_f64(value).ok_or_else(|| out_of_range(&value))?;
            }
        }
        Element::String | Element::Record(_) | Element::Other(_) => {
            return Err("an array that is not of numbers".to_owned());
        }
    }
    Ok(())
}

fn out_of_range(value: &dyn std::fmt::Display) -> String {
    format!("the number {value} where a smaller or whole one belongs")
}

/// IEEE 754 half precision.
fn half(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from((bits >> 10) & 0x1F);
    let fraction = f64::from(bits & 0x3FF);
    match exponent {
        0 => sign * fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => sign * f64::INFINITY,
        31 => f64::NAN,
        e => sign * (1.0 + fraction / 1024.0) * 2f64.powi(e - 15),
    }
}

/// The type of the elements of a vector that grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GrowingKind {
    F32,
    I32,
    U32,
}

impl GrowingKind {
    pub(crate) fn size(self) -> usize {
        match self {
            Self::F32 | Self::I32 | Self::U32 => 4,
        }
    }
}

/// Elements to be appended; `U32` also to a vector of `I32`, where the caller has made sure that they fit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum GrowingData<'a> {
    F32(&'a [f32]),
    U32(&'a [u32]),
}

/// Writes a hierarchical file.
pub(crate) trait StoreWriter {
    /// A vector whose length is known only at its end.
    type Growing;

    /// Begins a vector at `path`; its group exists.
    fn grow(&self, path: &str, kind: GrowingKind, gzip: u8) -> Self::Growing;
    /// Adds to its end.
    fn append(&self, growing: &mut Self::Growing, data: GrowingData<'_>) -> Result<(), DataError>;
    /// Writes what is left of it, its length and its attributes.
    fn finish_growing(
        &self,
        growing: Self::Growing,
        attributes: &[(&str, Attribute)],
    ) -> Result<(), DataError>;
    /// Makes the group `path`; its parent exists.
    fn create_group(&self, path: &str) -> Result<(), DataError>;
    /// Removes the object at `path` with all below it.
    fn remove(&self, path: &str, kind: NodeKind) -> Result<(), DataError>;
    /// Sets an attribute of a group.
    fn group_attribute(&self, path: &str, name: &str, value: &Attribute) -> Result<(), DataError>;
    /// Writes an array with attributes; `gzip` 0 stores it plain.
    fn write_array(
        &self,
        path: &str,
        data: ArrayData<'_>,
        shape: &[usize],
        gzip: u8,
        attributes: &[(&str, Attribute)],
    ) -> Result<(), DataError>;
    /// Writes vectors of one length as an array of records.
    ///
    /// # Returns
    /// `false`, and nothing is written, where the format has no records of this kind that every reader opens.
    fn write_records(
        &self,
        path: &str,
        fields: &IndexMap<String, Array>,
        attributes: &[(&str, Attribute)],
    ) -> Result<bool, DataError>;
}

/// Elements to be written, row-major.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ArrayData<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
    I8(&'a [i8]),
    I16(&'a [i16]),
    I32(&'a [i32]),
    I64(&'a [i64]),
    U8(&'a [u8]),
    U16(&'a [u16]),
    U32(&'a [u32]),
    U64(&'a [u64]),
    Bool(&'a [bool]),
    String(&'a [&'a str]),
    /// Column indices, stored as `int32`.
    IndicesI32(&'a [u32]),
    /// Row starts, stored as `int32`.
    StartsI32(&'a [usize]),
    /// Row starts, stored as `int64`.
    StartsI64(&'a [usize]),
    /// No value: an empty dataspace.
    Null,
}
