//! Containers read or simulated by the library, as dictionaries that `brodmann._containers` makes AnnData of.
//!
//! Matrices and arrays are moved, not copied.

use brodmann::simulate::{SimModality, Simulation, SimulationOptions, simulate};
use brodmann_data::{
    AnnData, Array, Bin, Categorical, CategoryKind, Column, Container, DataError, DataFrame, Matrix, MuData,
    OpenOptions, Orientation, TableOptions, Value, read_any, read_table, read_tenx_h5, read_tenx_mtx,
};
use brodmann_kernels::{Monitor, Seed};
use indexmap::IndexMap;
use numpy::{IntoPyArray, ToPyArray};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std::path::PathBuf;

use crate::arrays::csr_arrays;
use crate::errors::Raise;
use crate::monitor::run;

type Object<'py> = Bound<'py, PyAny>;

/// Dense: an array. Sparse: `("csr", data, indices, indptr, shape)`.
pub fn matrix(py: Python<'_>, matrix: Matrix) -> PyResult<Object<'_>> {
    Ok(match matrix {
        Matrix::DenseF32(a) => a.into_pyarray(py).into_any(),
        Matrix::DenseF64(a) => a.into_pyarray(py).into_any(),
        Matrix::DenseI64(a) => a.into_pyarray(py).into_any(),
        Matrix::CsrF32(m) => {
            let (data, indices, indptr, shape) = csr_arrays(py, m);
            ("csr", data, indices, indptr, shape).into_pyobject(py)?.into_any()
        }
        Matrix::CsrF64(m) => {
            let (data, indices, indptr, shape) = csr_arrays(py, m);
            ("csr", data, indices, indptr, shape).into_pyobject(py)?.into_any()
        }
    })
}

fn array(py: Python<'_>, array: Array) -> PyResult<Object<'_>> {
    macro_rules! moved {
        ($($kind:ident),*) => {
            match array {
                $(Array::$kind(a) => a.into_pyarray(py).into_any(),)*
                Array::String(a) => {
                    let shape = a.shape().to_vec();
                    let flat: Vec<String> = a.into_iter().collect();
                    let made = py.import("numpy")?.call_method1("array", (flat, "object"))?;
                    made.call_method1("reshape", (shape,))?
                }
            }
        };
    }
    Ok(moved!(F32, F64, I8, I16, I32, I64, U8, U16, U32, U64, Bool))
}

pub fn column(py: Python<'_>, column: Column) -> PyResult<Object<'_>> {
    let pandas = || py.import("pandas");
    Ok(match column {
        Column::Float64(v) => v.into_pyarray(py).into_any(),
        Column::Float32(v) => v.into_pyarray(py).into_any(),
        Column::Int(v) => v.into_pyarray(py).into_any(),
        Column::Bool(v) => v.into_pyarray(py).into_any(),
        Column::String(v) => py.import("numpy")?.call_method1("array", (v, "object"))?,
        Column::Categorical(c) => categorical(py, c)?,
        Column::NullableInt(v) => pandas()?.call_method1("array", (v, "Int64"))?,
        Column::NullableBool(v) => pandas()?.call_method1("array", (v, "boolean"))?,
        // No platform reader makes these.
        Column::Opaque { .. } => py.None().into_bound(py),
    })
}

fn categorical(py: Python<'_>, c: Categorical) -> PyResult<Object<'_>> {
    let categories = match c.kind {
        CategoryKind::Int => c
            .categories
            .iter()
            .map(|s| s.parse::<i64>())
            .collect::<Result<Vec<_>, _>>()
            .map(|v| v.to_pyarray(py).into_any())
            .ok(),
        CategoryKind::Float => c
            .categories
            .iter()
            .map(|s| s.parse::<f64>())
            .collect::<Result<Vec<_>, _>>()
            .map(|v| v.to_pyarray(py).into_any())
            .ok(),
        CategoryKind::String | CategoryKind::Bool => None,
    };
    let categories = match categories {
        Some(numbers) => numbers,
        None => PyList::new(py, c.categories)?.into_any(),
    };
    let options = PyDict::new(py);
    options.set_item("categories", categories)?;
    options.set_item("ordered", c.ordered)?;
    let kind = py.import("pandas")?.getattr("Categorical")?;
    kind.call_method("from_codes", (c.codes.into_pyarray(py),), Some(&options))
}

/// `(index, {column: values})`.
fn frame(py: Python<'_>, frame: DataFrame) -> PyResult<Object<'_>> {
    let columns = PyDict::new(py);
    for (key, values) in frame.columns {
        columns.set_item(key, column(py, values)?)?;
    }
    Ok((PyList::new(py, frame.index)?, columns).into_pyobject(py)?.into_any())
}

pub fn value(py: Python<'_>, v: Value) -> PyResult<Object<'_>> {
    Ok(match v {
        Value::Null | Value::Opaque { .. } => py.None().into_bound(py),
        Value::Bool(b) => b.into_pyobject(py)?.to_owned().into_any(),
        Value::Int(i) => i.into_pyobject(py)?.into_any(),
        Value::Float(f) => f.into_pyobject(py)?.into_any(),
        Value::String(s) => s.into_pyobject(py)?.into_any(),
        Value::Array(a) => array(py, a)?,
        Value::Sparse(m) => matrix(py, m)?,
        Value::Frame(f) => frame(py, f)?,
        Value::Column(c) => column(py, c)?,
        Value::Records(fields) => records(py, fields)?,
        Value::Dict(entries) => values(py, entries)?,
    })
}

/// A numpy record array.
fn records(py: Python<'_>, fields: IndexMap<String, Array>) -> PyResult<Object<'_>> {
    let names: Vec<String> = fields.keys().cloned().collect();
    let arrays = fields.into_values().map(|a| array(py, a)).collect::<PyResult<Vec<_>>>()?;
    let options = PyDict::new(py);
    options.set_item("names", names)?;
    py.import("numpy")?.getattr("rec")?.call_method("fromarrays", (arrays,), Some(&options))
}

fn values(py: Python<'_>, entries: IndexMap<String, Value>) -> PyResult<Object<'_>> {
    let dict = PyDict::new(py);
    for (key, entry) in entries {
        dict.set_item(key, value(py, entry)?)?;
    }
    Ok(dict.into_any())
}

fn matrices(py: Python<'_>, entries: IndexMap<String, Matrix>) -> PyResult<Object<'_>> {
    let dict = PyDict::new(py);
    for (key, entry) in entries {
        dict.set_item(key, matrix(py, entry)?)?;
    }
    Ok(dict.into_any())
}

fn anndata(py: Python<'_>, adata: AnnData) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("X", adata.x.map(|x| matrix(py, x)).transpose()?)?;
    dict.set_item("obs", frame(py, adata.obs)?)?;
    dict.set_item("var", frame(py, adata.var)?)?;
    dict.set_item("layers", matrices(py, adata.layers)?)?;
    dict.set_item("obsm", values(py, adata.obsm)?)?;
    dict.set_item("varm", values(py, adata.varm)?)?;
    dict.set_item("uns", values(py, adata.uns)?)?;
    Ok(dict)
}

fn mudata(py: Python<'_>, mdata: MuData) -> PyResult<Bound<'_, PyDict>> {
    let modalities = PyDict::new(py);
    for (name, adata) in mdata.modalities {
        modalities.set_item(name, anndata(py, adata)?)?;
    }
    let dict = PyDict::new(py);
    dict.set_item("modalities", modalities)?;
    dict.set_item("obs", frame(py, mdata.obs)?)?;
    dict.set_item("obsm", values(py, mdata.obsm)?)?;
    dict.set_item("uns", values(py, mdata.uns)?)?;
    Ok(dict)
}

fn container(py: Python<'_>, container: Container) -> PyResult<Bound<'_, PyDict>> {
    match container {
        Container::AnnData(adata) => anndata(py, adata),
        Container::MuData(mdata) => mudata(py, mdata),
    }
}

fn read<'py>(
    py: Python<'py>,
    reader: impl FnOnce() -> Result<Container, DataError> + Send,
) -> PyResult<Bound<'py, PyDict>> {
    let found = run(py, |_: &dyn Monitor| reader())?;
    container(py, found)
}

/// A folder or file of a platform; `bin`: the side of squares as a text, or `"cells"`.
#[pyfunction]
#[pyo3(name = "read_any", signature = (path, *, format, library_id, bin, table_name, coordinate_system))]
fn any<'py>(
    py: Python<'py>,
    path: PathBuf,
    format: Option<String>,
    library_id: Option<String>,
    bin: Option<String>,
    table_name: Option<String>,
    coordinate_system: Option<String>,
) -> PyResult<Bound<'py, PyDict>> {
    let bin = bin.map(|text| text.parse::<Bin>()).transpose().map_err(DataError::from);
    let found = run(py, |monitor: &dyn Monitor| {
        let bin = bin?;
        let options =
            OpenOptions { format, library_id, bin, table_name, coordinate_system, ..OpenOptions::default() };
        read_any(path, &options, monitor)
    })?;
    container(py, found)
}

/// A 10x `.h5`.
#[pyfunction]
#[pyo3(name = "read_tenx_h5", signature = (path, *, genome))]
fn tenx_h5<'py>(py: Python<'py>, path: PathBuf, genome: Option<String>) -> PyResult<Bound<'py, PyDict>> {
    read(py, || read_tenx_h5(path, genome.as_deref()))
}

/// A 10x folder of text files.
#[pyfunction]
#[pyo3(name = "read_tenx_mtx")]
fn tenx_mtx(py: Python<'_>, folder: PathBuf) -> PyResult<Bound<'_, PyDict>> {
    read(py, || read_tenx_mtx(folder))
}

/// Tables of counts and coordinates; `orientation`: `"auto"`, `"spots"` or `"genes"` in rows.
#[pyfunction]
#[pyo3(name = "read_table", signature = (counts, *, coordinates, orientation, coordinate_columns))]
fn table<'py>(
    py: Python<'py>,
    counts: PathBuf,
    coordinates: Option<PathBuf>,
    orientation: &str,
    coordinate_columns: Option<Vec<String>>,
) -> PyResult<Bound<'py, PyDict>> {
    let orientation = match orientation {
        "spots" => Orientation::SpotsInRows,
        "genes" => Orientation::GenesInRows,
        _ => Orientation::Auto,
    };
    let options = TableOptions { coordinates, orientation, coordinate_columns };
    read(py, || read_table(counts, &options).map(Container::AnnData))
}

/// A tissue whose truth is known; `image`: strength, blur in pixels and drift of the stain, where there is to be one.
#[pyfunction]
#[pyo3(signature = (*, side, random_state, noise, modalities, slices, batch_effect, image, n_genes, n_proteins, n_peaks))]
fn simulated<'py>(
    py: Python<'py>,
    side: usize,
    random_state: u64,
    noise: f64,
    modalities: Vec<String>,
    slices: usize,
    batch_effect: f64,
    image: Option<[f64; 3]>,
    n_genes: usize,
    n_proteins: usize,
    n_peaks: usize,
) -> PyResult<Bound<'py, PyDict>> {
    let modalities: Vec<SimModality> =
        modalities.iter().map(|name| name.parse()).collect::<Result<_, _>>().map_err(Raise::raise)?;
    let defaults = SimulationOptions::default();
    let options = SimulationOptions {
        side,
        seed: Seed(random_state),
        noise,
        modalities,
        slices,
        batch_effect,
        image: image.is_some(),
        image_strength: image.map_or(defaults.image_strength, |[strength, ..]| strength),
        image_blur_px: image.map_or(defaults.image_blur_px, |[_, blur, _]| blur),
        stain_drift: image.map_or(defaults.stain_drift, |[.., drift]| drift),
        n_genes,
        n_proteins,
        n_peaks,
        ..defaults
    };
    let tissue: Simulation = run(py, |monitor| simulate(&options, monitor))?;
    let made = brodmann::pipeline::simulated::to_mudata(tissue).map_err(Raise::raise)?;
    mudata(py, made)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(any, module)?)?;
    module.add_function(wrap_pyfunction!(tenx_h5, module)?)?;
    module.add_function(wrap_pyfunction!(tenx_mtx, module)?)?;
    module.add_function(wrap_pyfunction!(table, module)?)?;
    module.add_function(wrap_pyfunction!(simulated, module)?)?;
    Ok(())
}
