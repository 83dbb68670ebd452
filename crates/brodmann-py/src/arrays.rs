//! numpy arrays and scipy matrices seen from Rust, without a copy wherever their layout allows it.
//!
//! | Python | Rust | copied |
//! |---|---|---|
//! | C-contiguous or strided array of the right dtype | `ArrayView` | nothing |
//! | CSR, int32 indices, canonical | [`CsrView`] | `indptr` alone, n + 1 numbers |
//! | CSR, int64 indices, canonical | [`CsrView`] | `indices` |
//! | values of another dtype | | the values |
//! | CSR with unsorted or repeated columns | | everything, sorted and summed; the caller's arrays stay as they are |
//!
//! int32 indices are read as `u32`: the bits are those of any index that is valid, and what was negative becomes
//! too large for every column count and is refused.

use std::cell::OnceCell;

use brodmann_kernels::{CsrMatrix, CsrView, Slices};
use ndarray::{ArrayView1, ArrayView2, Dimension, Ix1};
use numpy::{
    Element, IntoPyArray, PyArray1, PyReadonlyArray, PyReadonlyArray1, PyReadonlyArray2,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::Raise;

/// Values the library computes with.
pub trait Value: Element + Copy + Send + Sync + std::ops::Add<Output = Self> {
    /// numpy's name of the type.
    const DTYPE: &'static str;
}
impl Value for f32 {
    const DTYPE: &'static str = "float32";
}
impl Value for f64 {
    const DTYPE: &'static str = "float64";
}

/// `object` as a C-contiguous numpy array of `dtype` whose elements lie where Rust expects them; itself when it is one.
fn contiguous<'py>(object: &Bound<'py, PyAny>, dtype: &str) -> PyResult<Bound<'py, PyAny>> {
    let numpy = object.py().import("numpy")?;
    let array = numpy.call_method1("ascontiguousarray", (object, dtype))?;
    numpy.call_method1("require", (array, dtype, ["C", "ALIGNED"]))
}

/// `object` as it is, where it is a numpy array of `T` that Rust may look at: numpy also has arrays that begin, or step,
/// between multiples of an element's alignment (fields of packed records, views of bytes).
fn borrowed<'py, T: Element, D: Dimension>(object: &Bound<'py, PyAny>) -> Option<PyReadonlyArray<'py, T, D>> {
    let array = object.extract::<PyReadonlyArray<'py, T, D>>().ok()?;
    let aligned = object.getattr("flags").and_then(|flags| flags.getattr("aligned")?.extract::<bool>());
    aligned.is_ok_and(|aligned| aligned).then_some(array)
}

/// A vector of `T`, borrowed where possible.
pub struct Vector<'py, T: Value>(PyReadonlyArray1<'py, T>);

impl<'py, T: Value> FromPyObject<'_, 'py> for Vector<'py, T> {
    type Error = PyErr;
    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Some(array) = borrowed(&object) {
            return Ok(Self(array));
        }
        Ok(Self(contiguous(&object, T::DTYPE)?.extract()?))
    }
}

impl<T: Value> Vector<'_, T> {
    pub fn view(&self) -> ArrayView1<'_, T> {
        self.0.as_array()
    }
}

/// A dense matrix of `T`, borrowed where possible: any strides, C or Fortran order.
pub struct Dense<'py, T: Value>(PyReadonlyArray2<'py, T>);

impl<'py, T: Value> FromPyObject<'_, 'py> for Dense<'py, T> {
    type Error = PyErr;
    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Some(array) = borrowed(&object) {
            return Ok(Self(array));
        }
        Ok(Self(contiguous(&object, T::DTYPE)?.extract()?))
    }
}

impl<T: Value> Dense<'_, T> {
    pub fn view(&self) -> ArrayView2<'_, T> {
        self.0.as_array()
    }
}

/// A [`Dense`] matrix that is of `f32` already; others are refused, not rounded.
pub struct DenseF32<'py>(Dense<'py, f32>);

impl<'py> FromPyObject<'_, 'py> for DenseF32<'py> {
    type Error = PyErr;
    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        object.extract::<PyReadonlyArray2<'py, f32>>()?;
        Ok(Self(object.extract()?))
    }
}

impl DenseF32<'_> {
    pub fn view(&self) -> ArrayView2<'_, f32> {
        self.0.view()
    }
}

/// Codes (labels, slices): `u32`, borrowed from uint32 or int32 arrays without negative entries.
pub struct Codes<'py>(Indices<'py>);

impl<'py> FromPyObject<'_, 'py> for Codes<'py> {
    type Error = PyErr;
    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let codes = Indices::extract(&object, "codes")?;
        if let Indices::Int32(array) = &codes
            && array.as_slice()?.iter().any(|&c| c < 0)
        {
            return Err(PyValueError::new_err(
                "a code is below 0; expected 0 or more. Hint: drop what has no label",
            ));
        }
        Ok(Self(codes))
    }
}

impl Codes<'_> {
    pub fn slice(&self) -> PyResult<&[u32]> {
        self.0.slice()
    }

    /// The slices that the codes tell apart.
    pub fn slices(&self) -> PyResult<Slices> {
        Ok(Slices::from_codes(self.slice()?, &[]))
    }
}

/// Numbers that index: int32 and uint32 borrowed, anything else copied.
enum Indices<'py> {
    Int32(PyReadonlyArray1<'py, i32>),
    Uint32(PyReadonlyArray1<'py, u32>),
    Copied(Vec<u32>),
}

impl<'py> Indices<'py> {
    fn extract(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Self> {
        if let Some(array) = borrowed::<i32, Ix1>(object)
            && array.is_c_contiguous()
        {
            return Ok(Self::Int32(array));
        }
        if let Some(array) = borrowed::<u32, Ix1>(object)
            && array.is_c_contiguous()
        {
            return Ok(Self::Uint32(array));
        }
        let wide: PyReadonlyArray1<'py, i64> = contiguous(object, "int64")?.extract()?;
        let copied = wide.as_array().iter().map(|&v| u32::try_from(v)).collect::<Result<Vec<u32>, _>>();
        copied.map(Self::Copied).map_err(|_| {
            PyValueError::new_err(format!(
                "{name} hold a number below 0 or above 4294967295; expected others. Hint: rebuild the array"
            ))
        })
    }

    fn slice(&self) -> PyResult<&[u32]> {
        Ok(match self {
            Self::Int32(array) => bytemuck::cast_slice(array.as_slice()?),
            Self::Uint32(array) => array.as_slice()?,
            Self::Copied(values) => values,
        })
    }
}

/// Row starts: int64 borrowed on 64-bit machines, anything else copied.
enum Starts<'py> {
    Int64(PyReadonlyArray1<'py, i64>),
    Copied(Vec<usize>),
}

impl<'py> Starts<'py> {
    fn extract(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        let array: PyReadonlyArray1<'py, i64> = match borrowed::<i64, Ix1>(object) {
            Some(array) if array.is_c_contiguous() => array,
            _ => contiguous(object, "int64")?.extract()?,
        };
        if array.as_slice()?.iter().any(|&start| start < 0) {
            return Err(PyValueError::new_err(
                "indptr holds a negative number; expected 0 or more. Hint: rebuild the matrix",
            ));
        }
        if size_of::<usize>() == size_of::<i64>() {
            return Ok(Self::Int64(array));
        }
        Ok(Self::Copied(array.as_slice()?.iter().map(|&start| start as usize).collect()))
    }

    fn slice(&self) -> PyResult<&[usize]> {
        Ok(match self {
            Self::Int64(array) => bytemuck::cast_slice(array.as_slice()?),
            Self::Copied(values) => values,
        })
    }
}

/// A scipy CSR matrix or array with values of `T`.
pub struct Csr<'py, T: Value> {
    shape: (usize, usize),
    starts: Starts<'py>,
    indices: Indices<'py>,
    data: PyReadonlyArray1<'py, T>,
    /// Filled where rows are unsorted or repeat a column.
    sorted: OnceCell<CsrMatrix<T>>,
}

impl<'py, T: Value> FromPyObject<'_, 'py> for Csr<'py, T> {
    type Error = PyErr;
    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let format: Option<String> = object.getattr("format").and_then(|f| f.extract()).ok();
        if format.as_deref() != Some("csr") {
            return Err(PyValueError::new_err(format!(
                "the matrix is a {}; expected a scipy CSR matrix. Hint: convert it with scipy.sparse.csr_matrix(x)",
                object.get_type().name()?
            )));
        }
        let data = object.getattr("data")?;
        let data = match borrowed::<T, Ix1>(&data) {
            Some(array) if array.is_c_contiguous() => array,
            _ => contiguous(&data, T::DTYPE)?.extract()?,
        };
        Ok(Self {
            shape: object.getattr("shape")?.extract()?,
            starts: Starts::extract(&object.getattr("indptr")?)?,
            indices: Indices::extract(&object.getattr("indices")?, "indices")?,
            data,
            sorted: OnceCell::new(),
        })
    }
}

impl<T: Value> Csr<'_, T> {
    /// The matrix, checked; sorted into a copy where its rows are not.
    pub fn view(&self, py: Python<'_>) -> PyResult<CsrView<'_, T>> {
        if let Some(sorted) = self.sorted.get() {
            return Ok(sorted.view());
        }
        let (starts, indices, data) = (self.starts.slice()?, self.indices.slice()?, self.data.as_slice()?);
        // scipy allows arrays longer than nnz.
        let nnz = starts.last().copied().unwrap_or(0);
        let (indices, data) = (indices.get(..nnz).unwrap_or(indices), data.get(..nnz).unwrap_or(data));
        let (n_rows, n_cols) = self.shape;
        py.detach(|| {
            if let Ok(view) = CsrView::try_new(n_rows, n_cols, starts, indices, data) {
                return Ok(Ok(view));
            }
            CsrMatrix::try_new(n_rows, n_cols, starts.to_vec(), indices.to_vec(), data.to_vec()).map(Err)
        })
        .map(|found| found.unwrap_or_else(|owned| self.sorted.get_or_init(|| owned).view()))
        .map_err(Raise::raise)
    }
}

/// The arrays of a CSR matrix, moved to Python without a copy.
pub type CsrArrays<'py, T> = (Bound<'py, PyArray1<T>>, Bound<'py, PyAny>, Bound<'py, PyAny>, (usize, usize));

/// `(data, indices, indptr, shape)`: what `scipy.sparse.csr_matrix((data, indices, indptr), shape)` takes.
///
/// Indices are int32, as scipy prefers, where the number of columns and of entries allows it, else int64.
pub fn csr_arrays<T: Value>(py: Python<'_>, matrix: CsrMatrix<T>) -> CsrArrays<'_, T> {
    let shape = (matrix.n_rows(), matrix.n_cols());
    let (starts, indices, data) = matrix.into_parts();
    let limit = i32::MAX as usize;
    // scipy wants one dtype for both; the bits of an index below 2^31 are those of an int32.
    let (indices, starts) = if shape.1 <= limit && data.len() <= limit {
        let starts: Vec<i32> = starts.into_iter().map(|s| s as i32).collect();
        (
            bytemuck::cast_vec::<u32, i32>(indices).into_pyarray(py).into_any(),
            starts.into_pyarray(py).into_any(),
        )
    } else {
        let wide = |v: Vec<i64>| v.into_pyarray(py).into_any();
        (
            wide(indices.into_iter().map(i64::from).collect()),
            wide(starts.into_iter().map(|s| s as i64).collect()),
        )
    };
    (data.into_pyarray(py), indices, starts, shape)
}
