//! Python binding: arrays in, arrays out, no maths; the GIL is released while Rust works.
//!
//! The package `brodmann` (AnnData and MuData in, results under their keys) builds on these functions.

use brodmann::cluster::{GraphView, Layer, LeidenError, LeidenOptions, Quality, leiden_multiplex};
use brodmann_kernels::{CsrMatrix, Seed};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::exceptions::{PyKeyboardInterrupt, PyValueError};
use pyo3::prelude::*;

/// `(indptr, indices, data, directed, use_weights, quality, resolution, weight)` of one layer.
type LayerTuple<'py> = (
    PyReadonlyArray1<'py, i64>,
    PyReadonlyArray1<'py, i32>,
    PyReadonlyArray1<'py, f64>,
    bool,
    bool,
    String,
    f64,
    f64,
);

fn leiden_error(error: LeidenError) -> PyErr {
    match error {
        LeidenError::Interrupted => PyKeyboardInterrupt::new_err(error.to_string()),
        other => PyValueError::new_err(other.to_string()),
    }
}

fn quality(name: &str) -> PyResult<Quality> {
    match name {
        "rb" => Ok(Quality::RbConfiguration),
        "modularity" => Ok(Quality::Modularity),
        "cpm" => Ok(Quality::Cpm),
        "rber" => Ok(Quality::Rber),
        other => Err(PyValueError::new_err(format!(
            "quality is {other:?}, one of 'rb', 'modularity', 'cpm', 'rber' was expected; choose one of these"
        ))),
    }
}

fn negative(what: &str) -> PyErr {
    PyValueError::new_err(format!("{what} holds a negative entry, 0 or more was expected; rebuild the graph"))
}

/// Multiplex Leiden over layers given as CSR arrays.
///
/// Returns `(membership, quality, layer_quality, n_iterations, converged)`; labels are numbered by size.
/// Raises `ValueError` for arrays or options that do not describe layers of one graph.
#[pyfunction]
#[pyo3(signature = (layers, *, n_iterations = -1, random_state = 42))]
#[allow(clippy::type_complexity)]
fn multiplex_leiden<'py>(
    py: Python<'py>,
    layers: Vec<LayerTuple<'py>>,
    n_iterations: i64,
    random_state: u64,
) -> PyResult<(Bound<'py, PyArray1<u32>>, f64, Vec<f64>, u32, bool)> {
    let mut graphs = Vec::with_capacity(layers.len());
    for (indptr, indices, data, ..) in &layers {
        let indptr: Vec<usize> = indptr
            .as_array()
            .iter()
            .map(|&p| usize::try_from(p))
            .collect::<Result<_, _>>()
            .map_err(|_| negative("indptr"))?;
        let indices: Vec<u32> = indices
            .as_array()
            .iter()
            .map(|&j| u32::try_from(j))
            .collect::<Result<_, _>>()
            .map_err(|_| negative("indices"))?;
        let n = indptr.len().saturating_sub(1);
        let graph = CsrMatrix::try_new(n, n, indptr, indices, data.as_array().to_vec())
            .map_err(|e| PyValueError::new_err(e.to_string()))?;
        graphs.push(graph);
    }
    let mut rust_layers = Vec::with_capacity(layers.len());
    for (graph, (_, _, _, directed, use_weights, name, resolution, weight)) in graphs.iter().zip(&layers) {
        rust_layers.push(Layer {
            graph: GraphView::F64(graph.view()),
            directed: *directed,
            use_weights: *use_weights,
            quality: quality(name)?,
            resolution: *resolution,
            weight: *weight,
        });
    }
    let n_iterations = match n_iterations {
        n if n < 0 => None,
        n => Some(u32::try_from(n).unwrap_or(u32::MAX)),
    };
    let options = LeidenOptions { n_iterations, ..LeidenOptions::default() };
    let found =
        py.detach(|| leiden_multiplex(&rust_layers, &options, Seed(random_state))).map_err(leiden_error)?;
    Ok((
        found.membership.into_pyarray(py),
        found.quality,
        found.layer_quality,
        found.n_iterations,
        found.converged,
    ))
}

/// The compiled part of the package `brodmann`.
#[pymodule]
fn _brodmann(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(multiplex_leiden, module)?)?;
    Ok(())
}
