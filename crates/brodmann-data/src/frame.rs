//! Tables with named rows: `obs`, `var`, and tables inside `obsm` and `uns`.

use std::collections::HashMap;

use indexmap::IndexMap;
use ndarray::Array2;

use crate::DataError;

/// A table: one name per row, one typed column per key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataFrame {
    /// Row names.
    pub index: Vec<String>,
    /// The name of the index, where it has one.
    pub index_name: Option<String>,
    /// Columns in order.
    pub columns: IndexMap<String, Column>,
}

/// One column of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// 64-bit floats; NaN is missing.
    Float64(Vec<f64>),
    /// 32-bit floats; NaN is missing.
    Float32(Vec<f32>),
    /// Whole numbers.
    Int(Vec<i64>),
    /// Truth values.
    Bool(Vec<bool>),
    /// Texts, some perhaps missing.
    String(Vec<Option<String>>),
    /// Categories.
    Categorical(Categorical),
    /// Whole numbers, some missing.
    NullableInt(Vec<Option<i64>>),
    /// Truth values, some missing.
    NullableBool(Vec<Option<bool>>),
    /// Something this version does not read; kept when a copy of its file is edited.
    Opaque {
        /// Number of rows.
        len: usize,
        /// Its `encoding-type` or datatype.
        encoding: String,
    },
}

/// What the categories were in the file; they are held as texts here and written back as they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CategoryKind {
    /// Texts.
    #[default]
    String,
    /// Whole numbers.
    Int,
    /// Floats.
    Float,
    /// Truth values.
    Bool,
}

/// Codes into a list of categories.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Categorical {
    /// One per row; -1 is missing.
    pub codes: Vec<i32>,
    /// The categories as texts.
    pub categories: Vec<String>,
    /// Whether the order of the categories means something.
    pub ordered: bool,
    /// What the categories are in the file.
    pub kind: CategoryKind,
}

impl Categorical {
    /// Categories from one text per row, sorted as numbers where all are numbers, else as texts.
    pub fn from_strings<S: AsRef<str>>(values: &[Option<S>]) -> Self {
        let mut categories: Vec<String> = values
            .iter()
            .flatten()
            .map(|s| s.as_ref().to_owned())
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect();
        if let Some(mut keyed) = categories
            .iter()
            .map(|c| c.parse::<i64>().ok().map(|n| (n, c.clone())))
            .collect::<Option<Vec<_>>>()
        {
            keyed.sort();
            categories = keyed.into_iter().map(|(_, c)| c).collect();
        }
        let place: HashMap<&str, i32> =
            categories.iter().enumerate().map(|(i, c)| (c.as_str(), i as i32)).collect();
        let codes = values.iter().map(|v| v.as_ref().map_or(-1, |s| place[s.as_ref()])).collect();
        Self { codes, categories, ordered: false, kind: CategoryKind::String }
    }

    /// Domains as scanpy writes them: categories `"0"`, `"1"`, ... in the order of the numbers.
    pub fn from_labels(labels: &[u32]) -> Self {
        let used: std::collections::BTreeSet<u32> = labels.iter().copied().collect();
        let place: HashMap<u32, i32> = used.iter().enumerate().map(|(i, &l)| (l, i as i32)).collect();
        Self {
            codes: labels.iter().map(|l| place[l]).collect(),
            categories: used.iter().map(u32::to_string).collect(),
            ordered: false,
            kind: CategoryKind::String,
        }
    }

    /// The category of row `i`; `None` where missing.
    pub fn get(&self, i: usize) -> Option<&str> {
        usize::try_from(*self.codes.get(i)?).ok().and_then(|c| self.categories.get(c)).map(String::as_str)
    }
}

impl Column {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Float64(v) => v.len(),
            Self::Float32(v) => v.len(),
            Self::Int(v) => v.len(),
            Self::Bool(v) => v.len(),
            Self::String(v) => v.len(),
            Self::Categorical(c) => c.codes.len(),
            Self::NullableInt(v) => v.len(),
            Self::NullableBool(v) => v.len(),
            Self::Opaque { len, .. } => *len,
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it is, in words.
    pub fn kind(&self) -> String {
        match self {
            Self::Float64(_) | Self::Float32(_) => "numbers".to_owned(),
            Self::Int(_) | Self::NullableInt(_) => "whole numbers".to_owned(),
            Self::Bool(_) | Self::NullableBool(_) => "truth values".to_owned(),
            Self::String(_) => "texts".to_owned(),
            Self::Categorical(c) => format!("{} categories", c.categories.len()),
            Self::Opaque { encoding, .. } => format!("{encoding} (not read)"),
        }
    }

    /// Numbers, missing as NaN; `None` for texts, and for categories that are texts.
    pub fn to_f64(&self) -> Option<Vec<f64>> {
        Some(match self {
            Self::Float64(v) => v.clone(),
            Self::Float32(v) => v.iter().copied().map(f64::from).collect(),
            Self::Int(v) => v.iter().map(|&v| v as f64).collect(),
            Self::Bool(v) => v.iter().map(|&v| f64::from(u8::from(v))).collect(),
            Self::NullableInt(v) => v.iter().map(|v| v.map_or(f64::NAN, |v| v as f64)).collect(),
            Self::NullableBool(v) => {
                v.iter().map(|v| v.map_or(f64::NAN, |v| f64::from(u8::from(v)))).collect()
            }
            Self::Categorical(c) if c.kind != CategoryKind::String => (0..c.codes.len())
                .map(|i| c.get(i).and_then(|s| s.parse().ok()).unwrap_or(f64::NAN))
                .collect(),
            _ => return None,
        })
    }

    /// One text per row; `None` where missing.
    pub fn to_strings(&self) -> Vec<Option<String>> {
        match self {
            Self::Float64(v) => v.iter().map(|v| (!v.is_nan()).then(|| v.to_string())).collect(),
            Self::Float32(v) => v.iter().map(|v| (!v.is_nan()).then(|| v.to_string())).collect(),
            Self::Int(v) => v.iter().map(|v| Some(v.to_string())).collect(),
            Self::Bool(v) => v.iter().map(|v| Some(python_bool(*v).to_owned())).collect(),
            Self::String(v) => v.clone(),
            Self::Categorical(c) => (0..c.codes.len()).map(|i| c.get(i).map(str::to_owned)).collect(),
            Self::NullableInt(v) => v.iter().map(|v| v.map(|v| v.to_string())).collect(),
            Self::NullableBool(v) => v.iter().map(|v| v.map(|v| python_bool(v).to_owned())).collect(),
            Self::Opaque { len, .. } => vec![None; *len],
        }
    }

    /// The column as categories, whatever it is: the form `evaluate` and `plot` want.
    pub fn to_categorical(&self) -> Categorical {
        match self {
            Self::Categorical(c) => c.clone(),
            other => Categorical::from_strings(&other.to_strings()),
        }
    }

    /// Rows in the given order.
    ///
    /// # Panics
    /// When a row is out of range.
    #[must_use]
    pub fn select_rows(&self, rows: &[usize]) -> Self {
        fn pick<T: Clone>(v: &[T], rows: &[usize]) -> Vec<T> {
            rows.iter().map(|&i| v[i].clone()).collect()
        }
        match self {
            Self::Float64(v) => Self::Float64(pick(v, rows)),
            Self::Float32(v) => Self::Float32(pick(v, rows)),
            Self::Int(v) => Self::Int(pick(v, rows)),
            Self::Bool(v) => Self::Bool(pick(v, rows)),
            Self::String(v) => Self::String(pick(v, rows)),
            Self::Categorical(c) => {
                Self::Categorical(Categorical { codes: pick(&c.codes, rows), ..c.clone() })
            }
            Self::NullableInt(v) => Self::NullableInt(pick(v, rows)),
            Self::NullableBool(v) => Self::NullableBool(pick(v, rows)),
            Self::Opaque { encoding, .. } => Self::Opaque { len: rows.len(), encoding: encoding.clone() },
        }
    }
}

pub(crate) fn python_bool(v: bool) -> &'static str {
    if v { "True" } else { "False" }
}

impl DataFrame {
    /// A table of row names alone.
    pub fn new(index: Vec<String>) -> Self {
        Self { index, index_name: None, columns: IndexMap::new() }
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.index.len()
    }

    /// The column `key`, named `axis[key]` in the error.
    ///
    /// # Errors
    /// [`DataError::MissingKey`].
    pub fn column(&self, axis: &str, key: &str) -> Result<&Column, DataError> {
        self.columns.get(key).ok_or_else(|| DataError::MissingKey {
            container: axis.to_owned(),
            key: key.to_owned(),
            place: axis.to_owned(),
            existing: self.columns.keys().cloned().collect(),
            named_by: None,
            otherwise: Vec::new(),
        })
    }

    /// All columns as numbers; `None` when one is not.
    pub fn to_matrix_f64(&self) -> Option<Array2<f64>> {
        let mut matrix = Array2::zeros((self.n_rows(), self.columns.len()));
        for (j, column) in self.columns.values().enumerate() {
            let values = column.to_f64()?;
            if values.len() != self.n_rows() {
                return None;
            }
            for (i, v) in values.into_iter().enumerate() {
                matrix[[i, j]] = v;
            }
        }
        Some(matrix)
    }

    /// Rows in the given order.
    ///
    /// # Panics
    /// When a row is out of range.
    #[must_use]
    pub fn select_rows(&self, rows: &[usize]) -> Self {
        Self {
            index: rows.iter().map(|&i| self.index[i].clone()).collect(),
            index_name: self.index_name.clone(),
            columns: self.columns.iter().map(|(k, c)| (k.clone(), c.select_rows(rows))).collect(),
        }
    }

    /// Refuses repeated row names; `axis` is `obs` or `var`.
    ///
    /// # Errors
    /// [`DataError::DuplicateNames`].
    pub fn require_unique(&self, axis: &str) -> Result<(), DataError> {
        let mut seen = std::collections::HashSet::with_capacity(self.index.len());
        let repeats: Vec<&String> = self.index.iter().filter(|n| !seen.insert(n.as_str())).collect();
        match repeats.first() {
            None => Ok(()),
            Some(example) => Err(DataError::DuplicateNames {
                axis: axis.to_owned(),
                count: repeats.len(),
                example: (*example).clone(),
            }),
        }
    }
}
