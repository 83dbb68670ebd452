//! Neighbours in space and in feature space, and what varies over them: [`brodmann::graph`], [`brodmann::stats`].

use brodmann::graph::{
    GraphError, NeighborsOptions, SpatialGraph, SpatialGraphOptions, Transform, detect_lattice, with_loops,
};
use brodmann::stats::{Autocorrelation, AutocorrelationOptions, NullModel, StatsError, Tail, Variables};
use brodmann_kernels::{CsrMatrix, CsrView, Monitor, Seed};
use numpy::IntoPyArray;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{Codes, Csr, CsrArrays, Dense, DenseF32, csr_arrays};
use crate::errors::Raise;
use crate::monitor::{run, run_infallible};

/// k nearest neighbours of an embedding and their UMAP weights, as a dictionary.
#[pyfunction]
#[pyo3(signature = (embedding, *, n_neighbors, random_state))]
fn neighbors<'py>(
    py: Python<'py>,
    embedding: Dense<'py, f64>,
    n_neighbors: usize,
    random_state: u64,
) -> PyResult<Bound<'py, PyDict>> {
    let embedding = embedding.view();
    let options = NeighborsOptions { n_neighbors, ..NeighborsOptions::default() };
    let found =
        run(py, |monitor| brodmann::graph::neighbors(embedding, &options, Seed(random_state), monitor))?;
    let result = PyDict::new(py);
    result.set_item("connectivities", csr_arrays(py, found.connectivities))?;
    result.set_item("distances", csr_arrays(py, found.distances))?;
    result.set_item("n_neighbors", found.n_neighbors)?;
    result.set_item("recall", found.recall)?;
    result.set_item("notes", found.notes)?;
    Ok(result)
}

/// `(connectivities, distances, notes)` of a spatial graph; each note with the code of its slice, or None.
#[pyfunction]
#[pyo3(signature = (coordinates, *, slices, kind, n_neighbors, radius, n_rings, symmetrise, lengths, percentile))]
fn spatial_neighbors<'py>(
    py: Python<'py>,
    coordinates: Dense<'py, f64>,
    slices: Option<Codes<'py>>,
    kind: &str,
    n_neighbors: Option<usize>,
    radius: Option<f64>,
    n_rings: usize,
    symmetrise: bool,
    lengths: Option<[f64; 2]>,
    percentile: Option<f64>,
) -> PyResult<(CsrArrays<'py, f64>, CsrArrays<'py, f64>, Vec<(Option<u32>, String)>)> {
    let options = SpatialGraphOptions {
        kind: kind.parse().map_err(<GraphError as Raise>::raise)?,
        n_neighbors,
        radius,
        n_rings,
        max_length: None,
        symmetrise,
        lengths,
        percentile,
    };
    let slices = slices.as_ref().map(Codes::slices).transpose()?;
    let coordinates = coordinates.view();
    let SpatialGraph { connectivities, distances, notes, .. } =
        run(py, |_| brodmann::graph::spatial_neighbors(coordinates, slices.as_ref(), &options))?;
    let notes = notes.into_iter().map(|note| (note.slice, note.text)).collect();
    Ok((csr_arrays(py, connectivities), csr_arrays(py, distances), notes))
}

/// A spatial graph with a diagonal of ones (`set_diag`), then transformed: `"spectral"` or `"cosine"`.
#[pyfunction]
#[pyo3(signature = (graph, *, set_diag, transform))]
fn transform_graph<'py>(
    py: Python<'py>,
    graph: Csr<'py, f32>,
    set_diag: bool,
    transform: Option<&str>,
) -> PyResult<CsrArrays<'py, f32>> {
    let graph = graph.view(py)?;
    let kind = transform.map(str::parse::<Transform>).transpose().map_err(Raise::raise)?;
    let made = run_infallible(py, || {
        let looped = set_diag.then(|| with_loops(graph));
        let graph = looped.as_ref().map_or(graph, CsrMatrix::view);
        kind.map_or_else(|| graph.to_owned(), |kind| brodmann::graph::transform(graph, kind))
    })?;
    Ok(csr_arrays(py, made))
}

/// The lattice neighbours of each spot where `n_neighbors` are asked for; `None` without a lattice that has them.
#[pyfunction]
fn lattice_neighbors<'py>(
    py: Python<'py>,
    coordinates: Dense<'py, f64>,
    slices: Option<Codes<'py>>,
    n_neighbors: Option<usize>,
) -> PyResult<Option<usize>> {
    let slices = slices.as_ref().map(Codes::slices).transpose()?;
    let coordinates = coordinates.view();
    let found = run(py, |_| detect_lattice(coordinates, slices.as_ref()))?;
    Ok(found.and_then(|lattice| lattice.n_neighbors(n_neighbors)))
}

/// Refuses a graph that is not `n_obs × n_obs` with finite weights of 0 or more.
#[pyfunction]
#[pyo3(signature = (graph, *, n_obs, key))]
fn validate_graph<'py>(py: Python<'py>, graph: Csr<'py, f64>, n_obs: usize, key: &str) -> PyResult<()> {
    let graph = graph.view(py)?;
    run(py, |_| brodmann::graph::validate_graph(graph, n_obs, key))
}

/// Variables of Moran's I and Geary's C: sparse or dense, single or double precision.
#[derive(FromPyObject)]
enum Values<'py> {
    Sparse(Csr<'py, f32>),
    DenseF32(DenseF32<'py>),
    Dense(Dense<'py, f64>),
}

/// Moran's I (`statistic="moran"`) or Geary's C (`"geary"`) of each column, as a dictionary.
#[pyfunction]
#[pyo3(signature = (values, weights, *, statistic, row_normalize, two_tailed, randomization, n_perms, random_state))]
fn autocorrelation<'py>(
    py: Python<'py>,
    values: Values<'py>,
    weights: Csr<'py, f64>,
    statistic: &str,
    row_normalize: bool,
    two_tailed: bool,
    randomization: bool,
    n_perms: usize,
    random_state: u64,
) -> PyResult<Bound<'py, PyDict>> {
    let weights = weights.view(py)?;
    let variables = match &values {
        Values::Sparse(x) => Variables::Sparse(x.view(py)?),
        Values::DenseF32(x) => Variables::DenseF32(x.view()),
        Values::Dense(x) => Variables::Dense(x.view()),
    };
    let options = AutocorrelationOptions {
        row_normalize,
        null_model: if randomization { NullModel::Randomization } else { NullModel::Normality },
        tail: if two_tailed { Tail::TwoSided } else { Tail::Nearer },
        n_permutations: n_perms,
    };
    type Function = fn(
        Variables<'_>,
        CsrView<'_, f64>,
        &AutocorrelationOptions,
        Seed,
        &dyn Monitor,
    ) -> Result<Autocorrelation, StatsError>;
    let function: Function = match statistic {
        "moran" => brodmann::stats::morans_i,
        _ => brodmann::stats::gearys_c,
    };
    let found = run(py, |monitor| function(variables, weights, &options, Seed(random_state), monitor))?;
    let result = PyDict::new(py);
    result.set_item("statistic", found.statistic.into_pyarray(py))?;
    result.set_item("expected", found.expected)?;
    result.set_item("variance", found.variance.into_pyarray(py))?;
    result.set_item("p_value", found.p_value.into_pyarray(py))?;
    result.set_item("p_adjusted", found.p_adjusted.into_pyarray(py))?;
    result.set_item("p_permutation", found.p_permutation.map(|p| p.into_pyarray(py)))?;
    result.set_item("p_permutation_adjusted", found.p_permutation_adjusted.map(|p| p.into_pyarray(py)))?;
    Ok(result)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(neighbors, module)?)?;
    module.add_function(wrap_pyfunction!(spatial_neighbors, module)?)?;
    module.add_function(wrap_pyfunction!(transform_graph, module)?)?;
    module.add_function(wrap_pyfunction!(lattice_neighbors, module)?)?;
    module.add_function(wrap_pyfunction!(validate_graph, module)?)?;
    module.add_function(wrap_pyfunction!(autocorrelation, module)?)?;
    Ok(())
}
