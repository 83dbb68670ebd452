//! What `uns`, `obsm` and `varm` may hold.

use brodmann_kernels::CsrMatrix;
use indexmap::IndexMap;
use ndarray::Array2;

use crate::{Array, Column, DataFrame, Matrix};

/// One element: a number, a text, an array, a table, a nested dictionary.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Python's `None`.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A text.
    String(String),
    /// A dense array.
    Array(Array),
    /// A sparse matrix.
    Sparse(Matrix),
    /// A table.
    Frame(DataFrame),
    /// A vector of categories, or one with missing entries.
    Column(Column),
    /// A numpy record array: vectors of one length by the name of their field, as scanpy keeps ranked genes.
    Records(IndexMap<String, Array>),
    /// A dictionary.
    Dict(IndexMap<String, Value>),
    /// Something this version does not read (awkward arrays, ...). It survives when a copy of its file
    /// is edited; it cannot be written from scratch.
    Opaque {
        /// Its `encoding-type` or datatype.
        encoding: String,
    },
}

impl Value {
    /// An empty dictionary.
    pub fn dict() -> Self {
        Self::Dict(IndexMap::new())
    }

    /// What it is, in words.
    pub fn kind(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(_) => "a truth value".to_owned(),
            Self::Int(_) => "a whole number".to_owned(),
            Self::Float(_) => "a number".to_owned(),
            Self::String(_) => "a text".to_owned(),
            Self::Array(a) => format!("a {} array of shape {:?}", a.dtype(), a.shape()),
            Self::Sparse(_) => "a sparse matrix".to_owned(),
            Self::Frame(_) => "a table".to_owned(),
            Self::Column(c) => format!("a vector of {}", c.kind()),
            Self::Records(fields) => format!("an array of records of {} fields", fields.len()),
            Self::Dict(_) => "a dictionary".to_owned(),
            Self::Opaque { encoding } => format!("{encoding} (not read)"),
        }
    }

    /// The entry of a dictionary.
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Self::Dict(entries) => entries.get(key),
            _ => None,
        }
    }

    /// The dictionary.
    pub fn as_dict(&self) -> Option<&IndexMap<String, Value>> {
        match self {
            Self::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// The array.
    pub fn as_array(&self) -> Option<&Array> {
        match self {
            Self::Array(a) => Some(a),
            _ => None,
        }
    }

    /// The text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(s) => Some(s),
            _ => None,
        }
    }

    /// The number, whole or not, or that of an array with a single element.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Float(v) => Some(*v),
            Self::Int(v) => Some(*v as f64),
            Self::Bool(v) => Some(f64::from(u8::from(*v))),
            Self::Array(a) if a.len() == 1 => a.to_f64().and_then(|a| a.first().copied()),
            _ => None,
        }
    }

    /// Rows of an aligned element; `None` where it has no rows.
    pub fn n_rows(&self) -> Option<usize> {
        match self {
            Self::Array(a) => a.shape().first().copied(),
            Self::Sparse(m) => Some(m.n_rows()),
            Self::Frame(f) => Some(f.n_rows()),
            Self::Column(c) => Some(c.len()),
            Self::Records(fields) => fields.values().map(Array::len).min(),
            _ => None,
        }
    }

    /// Shape of an aligned element.
    pub fn shape(&self) -> Option<Vec<usize>> {
        match self {
            Self::Array(a) => Some(a.shape().to_vec()),
            Self::Sparse(m) => Some(vec![m.n_rows(), m.n_cols()]),
            Self::Frame(f) => Some(vec![f.n_rows(), f.columns.len()]),
            Self::Column(c) => Some(vec![c.len()]),
            _ => None,
        }
    }

    /// Numbers as a matrix: arrays of rank 1 and 2, sparse matrices, tables of numbers.
    pub fn to_matrix_f64(&self) -> Option<Array2<f64>> {
        match self {
            Self::Array(a) => a.to_matrix_f64(),
            Self::Sparse(m) => Some(m.to_dense_f64().into_owned()),
            Self::Frame(f) => f.to_matrix_f64(),
            _ => None,
        }
    }

    /// Rows in the given order; elements without rows stay as they are.
    ///
    /// # Panics
    /// When a row is out of range.
    #[must_use]
    pub fn select_rows(&self, rows: &[usize]) -> Self {
        match self {
            Self::Array(a) if !a.shape().is_empty() => Self::Array(a.select_rows(rows)),
            Self::Sparse(m) => Self::Sparse(m.select_rows(rows)),
            Self::Frame(f) => Self::Frame(f.select_rows(rows)),
            Self::Column(c) => Self::Column(c.select_rows(rows)),
            Self::Records(fields) => {
                Self::Records(fields.iter().map(|(k, a)| (k.clone(), a.select_rows(rows))).collect())
            }
            other => other.clone(),
        }
    }
}

macro_rules! value_from {
    ($($t:ty => $make:expr),* $(,)?) => {$(
        impl From<$t> for Value {
            fn from(v: $t) -> Self {
                $make(v)
            }
        }
    )*};
}
value_from!(
    bool => Value::Bool,
    i64 => Value::Int,
    i32 => |v: i32| Value::Int(i64::from(v)),
    u32 => |v: u32| Value::Int(i64::from(v)),
    f64 => Value::Float,
    f32 => |v: f32| Value::Float(f64::from(v)),
    String => Value::String,
    &str => |v: &str| Value::String(v.to_owned()),
    Array => Value::Array,
    Matrix => Value::Sparse,
    DataFrame => Value::Frame,
    Column => Value::Column,
    IndexMap<String, Value> => Value::Dict,
    Array2<f32> => |v: Array2<f32>| Value::Array(v.into()),
    Array2<f64> => |v: Array2<f64>| Value::Array(v.into()),
    Vec<f64> => |v: Vec<f64>| Value::Array(v.into()),
    Vec<i64> => |v: Vec<i64>| Value::Array(v.into()),
    Vec<String> => |v: Vec<String>| Value::Array(v.into()),
    CsrMatrix<f32> => |v: CsrMatrix<f32>| Value::Sparse(v.into()),
    CsrMatrix<f64> => |v: CsrMatrix<f64>| Value::Sparse(v.into()),
);

impl From<usize> for Value {
    fn from(v: usize) -> Self {
        i64::try_from(v).map_or(Self::Float(v as f64), Self::Int)
    }
}

impl From<u64> for Value {
    fn from(v: u64) -> Self {
        i64::try_from(v).map_or(Self::Float(v as f64), Self::Int)
    }
}

impl<K: Into<String>, V: Into<Value>, const N: usize> From<[(K, V); N]> for Value {
    fn from(entries: [(K, V); N]) -> Self {
        Self::Dict(entries.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }
}

/// JSON into the nearest value; lists of numbers or of texts become arrays.
impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::Null,
            Json::Bool(b) => Self::Bool(b),
            Json::Number(n) => {
                n.as_i64().map_or_else(|| Self::Float(n.as_f64().unwrap_or(f64::NAN)), Self::Int)
            }
            Json::String(s) => Self::String(s),
            Json::Object(o) => Self::Dict(o.into_iter().map(|(k, v)| (k, v.into())).collect()),
            Json::Array(items) => {
                if let Some(whole) = items.iter().map(Json::as_i64).collect::<Option<Vec<i64>>>() {
                    return Self::Array(whole.into());
                }
                if let Some(numbers) = items.iter().map(Json::as_f64).collect::<Option<Vec<f64>>>() {
                    return Self::Array(numbers.into());
                }
                let texts: Vec<String> =
                    items.iter().map(|i| i.as_str().map_or_else(|| i.to_string(), str::to_owned)).collect();
                Self::Array(texts.into())
            }
        }
    }
}
