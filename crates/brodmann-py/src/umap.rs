//! `brodmann.tl.umap`.

use brodmann::embedding::{UmapInit, UmapOptions};
use brodmann_kernels::{OptionError, Seed};
use numpy::{IntoPyArray, PyArray2};
use pyo3::prelude::*;

use crate::arrays::{Csr, Dense};
use crate::errors::Raise;
use crate::monitor::run;

/// Positions in the plane, `(n_obs, 2)`, and the number of components of the graph.
#[pyfunction]
#[pyo3(signature = (connectivities, embedding, *, min_dist, spread, n_epochs, init, random_state))]
fn umap<'py>(
    py: Python<'py>,
    connectivities: Csr<'py, f64>,
    embedding: Option<Dense<'py, f64>>,
    min_dist: f64,
    spread: f64,
    n_epochs: Option<u32>,
    init: &str,
    random_state: u64,
) -> PyResult<(Bound<'py, PyArray2<f32>>, usize)> {
    let options = UmapOptions {
        min_dist,
        spread,
        n_epochs,
        init: match init {
            "spectral" => UmapInit::Spectral,
            "pca" => UmapInit::Pca,
            "random" => UmapInit::Random,
            other => return Err(OptionError::new("init", other, "spectral, pca or random").raise()),
        },
        ..UmapOptions::default()
    };
    let graph = connectivities.view(py)?;
    let embedding = embedding.as_ref().map(Dense::view);
    let found = run(py, |monitor| {
        brodmann::embedding::umap(graph, embedding, &options, Seed(random_state), monitor)
    })?;
    Ok((found.positions.into_pyarray(py), found.n_components))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(umap, module)?)
}
