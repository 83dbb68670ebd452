//! Named arrays with a JSON card in one safetensors file: models and checkpoints.
//!
//! Everything in such a file may come from elsewhere: nothing here trusts a shape, a name or a number.

use brodmann_kernels::Diagnosis;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use ndarray::Array2;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::Serialize;
use serde::de::DeserializeOwned;

use brodmann_data::DataError;

/// Metadata entry that holds the card.
const CARD: &str = "brodmann";

/// Why a file of tensors cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TensorFileError {
    /// Not a safetensors file, or a damaged one.
    #[error("{} is not a safetensors file or is damaged ({detail}); expected {expected}", path.display())]
    Unreadable {
        /// The path as given.
        path: PathBuf,
        /// What the parser found.
        detail: String,
        /// What was to be read.
        expected: &'static str,
    },
    /// A safetensors file of someone else.
    #[error("{} is a safetensors file, but {found}; expected {expected}", path.display())]
    Foreign {
        /// The path as given.
        path: PathBuf,
        /// What it is instead.
        found: String,
        /// What was to be read.
        expected: &'static str,
    },
    /// A tensor is missing or of another shape or type.
    #[error("{} holds {found} under {name:?}; expected {expected}", path.display())]
    Tensor {
        /// The path as given.
        path: PathBuf,
        /// Its name.
        name: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// The file cannot be read or written.
    #[error(transparent)]
    Data(#[from] DataError),
}

impl Diagnosis for TensorFileError {
    fn origin(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Data(e) => Some(e),
            _ => None,
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable { .. } => "name another file or write it again".to_owned(),
            Self::Foreign { .. } => "name a file that brodmann wrote".to_owned(),
            Self::Tensor { .. } => "write the file again with this version".to_owned(),
            Self::Data(e) => return e.advice(),
        })
    }
}

/// The card's file beside a model, for people.
pub(super) fn card_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".json");
    PathBuf::from(name)
}

/// Refuses a place that a model cannot be written to, before any work.
pub(super) fn check_model_place(path: &Path) -> Result<(), DataError> {
    brodmann_data::check_writable(path)?;
    brodmann_data::check_writable(&card_path(path))
}

/// One array of rank 2 (a vector is a single row).
#[derive(Clone, Debug, PartialEq)]
pub enum Tensor {
    /// 32-bit floats.
    F32(Array2<f32>),
    /// 64-bit floats.
    F64(Array2<f64>),
}

/// A card and named arrays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TensorFile {
    /// What the arrays are.
    pub card: serde_json::Value,
    /// The arrays.
    pub tensors: BTreeMap<String, Tensor>,
    /// Where it was read from, for messages.
    path: PathBuf,
    expected: &'static str,
}

impl TensorFile {
    /// An empty file with a card.
    pub fn new(card: serde_json::Value) -> Self {
        Self { card, ..Self::default() }
    }

    /// Adds an array of 32-bit floats.
    pub fn insert_f32(&mut self, name: impl Into<String>, values: Array2<f32>) {
        self.tensors.insert(name.into(), Tensor::F32(values));
    }

    /// Adds an array of 64-bit floats.
    pub fn insert_f64(&mut self, name: impl Into<String>, values: Array2<f64>) {
        self.tensors.insert(name.into(), Tensor::F64(values));
    }

    /// Adds a vector of 64-bit floats, stored as one row.
    pub fn insert_vector(&mut self, name: impl Into<String>, values: &[f64]) {
        let row = Array2::from_shape_fn((1, values.len()), |(_, j)| values[j]);
        self.insert_f64(name, row);
    }

    /// The bytes of the file; the same card and arrays give the same bytes.
    ///
    /// # Errors
    /// [`TensorFileError::Unreadable`] when the format cannot hold it (a card beyond 100 MB).
    pub fn to_bytes(&self, path: &Path) -> Result<Vec<u8>, TensorFileError> {
        let fail = |detail: String| TensorFileError::Unreadable {
            path: path.to_path_buf(),
            detail: detail.replace("; ", ", "),
            expected: "a file this format can hold",
        };
        let mut buffers: Vec<(&str, Dtype, Vec<usize>, Vec<u8>)> = Vec::with_capacity(self.tensors.len());
        for (name, tensor) in &self.tensors {
            buffers.push(match tensor {
                Tensor::F32(a) => {
                    (name, Dtype::F32, a.shape().to_vec(), a.iter().flat_map(|v| v.to_le_bytes()).collect())
                }
                Tensor::F64(a) => {
                    (name, Dtype::F64, a.shape().to_vec(), a.iter().flat_map(|v| v.to_le_bytes()).collect())
                }
            });
        }
        let views = buffers
            .iter()
            .map(|(name, dtype, shape, bytes)| {
                TensorView::new(*dtype, shape.clone(), bytes).map(|view| (*name, view))
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| fail(e.to_string()))?;
        let metadata = HashMap::from([(CARD.to_owned(), self.card.to_string())]);
        safetensors::serialize(views, Some(metadata)).map_err(|e| fail(e.to_string()))
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// [`DataError::Write`]; as [`TensorFile::to_bytes`].
    pub fn write(&self, path: &Path) -> Result<(), TensorFileError> {
        Ok(brodmann_data::write_bytes(path, &self.to_bytes(path)?)?)
    }

    /// Reads a file whose card says `"kind": kind`.
    ///
    /// # Errors
    /// [`TensorFileError`]; never a panic, whatever the file holds.
    pub fn read(path: &Path, kind: &str, expected: &'static str) -> Result<Self, TensorFileError> {
        let bytes = std::fs::read(path).map_err(|source| {
            TensorFileError::Data(if source.kind() == std::io::ErrorKind::NotFound {
                DataError::Missing { path: path.to_path_buf() }
            } else {
                DataError::Read { path: path.to_path_buf(), source }
            })
        })?;
        let unreadable = |detail: String| TensorFileError::Unreadable {
            path: path.to_path_buf(),
            detail: detail.replace("; ", ", "),
            expected,
        };
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| unreadable(e.to_string()))?;
        let foreign = |found: String| TensorFileError::Foreign { path: path.to_path_buf(), found, expected };
        let card = header
            .metadata()
            .as_ref()
            .and_then(|m| m.get(CARD))
            .ok_or_else(|| foreign("it has no card of this program".to_owned()))?;
        let card: serde_json::Value =
            serde_json::from_str(card).map_err(|e| unreadable(format!("its card is not JSON: {e}")))?;
        match card["kind"].as_str() {
            Some(found) if found == kind => {}
            Some(found) => return Err(foreign(format!("it holds {found:?}"))),
            None => return Err(foreign("its card does not say what it is".to_owned())),
        }
        let parsed = SafeTensors::deserialize(&bytes).map_err(|e| unreadable(e.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in parsed.iter() {
            let shape = match *view.shape() {
                [rows, columns] => (rows, columns),
                [columns] => (1, columns),
                _ => return Err(unreadable(format!("{name} has rank {}", view.shape().len()))),
            };
            let wrong = |_| unreadable(format!("{name} has fewer numbers than its shape says"));
            let tensor = match view.dtype() {
                Dtype::F32 => {
                    let (numbers, _) = view.data().as_chunks::<4>();
                    let values = numbers.iter().map(|b| f32::from_le_bytes(*b)).collect();
                    Tensor::F32(Array2::from_shape_vec(shape, values).map_err(wrong)?)
                }
                Dtype::F64 => {
                    let (numbers, _) = view.data().as_chunks::<8>();
                    let values = numbers.iter().map(|b| f64::from_le_bytes(*b)).collect();
                    Tensor::F64(Array2::from_shape_vec(shape, values).map_err(wrong)?)
                }
                other => return Err(unreadable(format!("{name} holds {other:?}"))),
            };
            tensors.insert(name.to_owned(), tensor);
        }
        Ok(Self { card, tensors, path: path.to_path_buf(), expected })
    }

    /// The file is not what its card says.
    pub fn invalid(&self, detail: impl Into<String>) -> TensorFileError {
        TensorFileError::Unreadable {
            path: self.path.clone(),
            detail: detail.into().replace("; ", ", "),
            expected: self.expected,
        }
    }

    /// The options a card holds. Every one must be there: what a card does not say is no default but damage.
    ///
    /// # Errors
    /// [`TensorFileError::Unreadable`] naming what is missing, unknown or of another type.
    pub(super) fn options<T: Serialize + DeserializeOwned>(
        &self,
        card: &serde_json::Value,
    ) -> Result<T, TensorFileError> {
        let options =
            T::deserialize(card).map_err(|e| self.invalid(format!("the options of its card: {e}")))?;
        let whole = serde_json::to_value(&options).unwrap_or_default();
        let missing = whole.as_object().into_iter().flatten().find(|(key, _)| card.get(key).is_none());
        match missing {
            Some((key, _)) => Err(self.invalid(format!("its card does not say {key}"))),
            None => Ok(options),
        }
    }

    fn wrong(&self, name: &str, expected: String) -> TensorFileError {
        let found = match self.tensors.get(name) {
            None => "nothing".to_owned(),
            Some(Tensor::F32(a)) => format!("32-bit floats of shape {:?}", a.dim()),
            Some(Tensor::F64(a)) => format!("64-bit floats of shape {:?}", a.dim()),
        };
        TensorFileError::Tensor { path: self.path.clone(), name: name.to_owned(), found, expected }
    }

    /// An array of 64-bit floats with this many rows (any number for `None`).
    ///
    /// # Errors
    /// [`TensorFileError::Tensor`] when it is missing, of another shape, or not finite.
    pub fn f64(&self, name: &str, n_rows: Option<usize>) -> Result<&Array2<f64>, TensorFileError> {
        let expected = || match n_rows {
            Some(n) => format!("{n} rows of finite 64-bit floats"),
            None => "finite 64-bit floats".to_owned(),
        };
        match self.tensors.get(name) {
            Some(Tensor::F64(a))
                if n_rows.is_none_or(|n| n == a.nrows()) && a.iter().all(|v| v.is_finite()) =>
            {
                Ok(a)
            }
            _ => Err(self.wrong(name, expected())),
        }
    }

    /// A vector of 64-bit floats of this length (any for `None`).
    ///
    /// # Errors
    /// As [`TensorFile::f64`].
    pub fn vector(&self, name: &str, len: Option<usize>) -> Result<Vec<f64>, TensorFileError> {
        let row = self.f64(name, Some(1))?;
        if len.is_some_and(|n| n != row.ncols()) {
            return Err(self.wrong(name, format!("{} numbers", len.unwrap_or(0))));
        }
        Ok(row.iter().copied().collect())
    }

    /// The arrays of 32-bit floats whose name begins with `prefix`, by the rest of the name.
    pub fn f32_below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Array2<f32>)> {
        self.tensors.iter().filter_map(move |(name, tensor)| match tensor {
            Tensor::F32(a) => Some((name.strip_prefix(prefix)?, a)),
            Tensor::F64(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use brodmann_kernels::proofread::flaw;

    use super::*;

    fn example() -> TensorFile {
        let mut file = TensorFile::new(serde_json::json!({ "kind": "test", "x": 1 }));
        file.insert_f32("weights.a", ndarray::array![[1.0f32, -2.5], [f32::MIN_POSITIVE, 1e30]]);
        file.insert_f64("mean", ndarray::array![[0.1f64, 1.0 / 3.0]]);
        file.insert_f32("empty", Array2::zeros((0, 3)));
        file
    }

    #[test]
    fn what_is_written_reads_back_to_the_bit() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.safetensors");
        example().write(&path).expect("written");
        let back = TensorFile::read(&path, "test", "a test").expect("readable");
        assert_eq!(back.tensors, example().tensors);
        assert_eq!(back.card, example().card);
        assert_eq!(back.vector("mean", Some(2)).expect("there"), vec![0.1, 1.0 / 3.0]);
        assert_eq!(back.f32_below("weights.").count(), 1);
        assert_eq!(example().to_bytes(&path).expect("bytes"), std::fs::read(&path).expect("bytes"));
    }

    #[test]
    fn other_files_are_refused_with_a_finding_and_an_advice() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.safetensors");
        let refused = |bytes: &[u8], kind: &str| {
            std::fs::write(&path, bytes).expect("written");
            let message = TensorFile::read(&path, kind, "a model").expect_err("refused");
            assert_eq!(flaw(&message), None);
            message
        };
        let whole = example().to_bytes(&path).expect("bytes");
        for bytes in [&b""[..], b"not a model", &[0xff; 64], &whole[..whole.len() - 1], &whole[..20]] {
            assert!(refused(bytes, "test").to_string().contains("damaged"));
        }
        assert!(refused(&whole, "model").to_string().contains("\"test\""));
        let mut foreign =
            safetensors::serialize(Vec::<(String, TensorView<'_>)>::new(), None).expect("bytes");
        assert!(refused(&foreign, "model").to_string().contains("no card"));
        foreign.push(0);
        refused(&foreign, "model");
        assert!(TensorFile::read(&folder.path().join("none"), "test", "a model").is_err());
    }

    #[test]
    fn missing_and_misshapen_tensors_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.safetensors");
        let mut file = example();
        file.insert_vector("bad", &[f64::NAN]);
        file.write(&path).expect("written");
        let back = TensorFile::read(&path, "test", "a test").expect("readable");
        for (name, n_rows) in [("none", None), ("mean", Some(3)), ("weights.a", None), ("bad", None)] {
            let message = back.f64(name, n_rows).expect_err("refused");
            assert!(message.to_string().contains(name) && flaw(&message).is_none(), "{message}");
        }
        assert!(back.vector("mean", Some(3)).is_err());
    }
}
