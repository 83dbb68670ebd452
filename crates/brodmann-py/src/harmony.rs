//! `brodmann.pp.harmony`.

use brodmann::embedding::{HarmonyOptions, harmony as integrate};
use brodmann_kernels::Seed;
use numpy::{IntoPyArray, PyArray2};
use pyo3::prelude::*;

use crate::arrays::Dense;
use crate::monitor::run;

/// `(embedding, objective, converged)`.
type Found<'py> = (Bound<'py, PyArray2<f64>>, Vec<f64>, bool);

/// The embedding without what tells the levels of the covariates apart.
#[pyfunction]
#[pyo3(signature = (x, covariates, *, n_clusters, theta, lamb, sigma, block_size, max_iterations, max_passes, tolerance_passes, tolerance, random_state))]
#[expect(clippy::too_many_arguments)]
fn harmony<'py>(
    py: Python<'py>,
    x: Dense<'py, f64>,
    covariates: Vec<Vec<u32>>,
    n_clusters: Option<usize>,
    theta: f64,
    lamb: f64,
    sigma: f64,
    block_size: f64,
    max_iterations: usize,
    max_passes: usize,
    tolerance_passes: f64,
    tolerance: f64,
    random_state: u64,
) -> PyResult<Found<'py>> {
    let options = HarmonyOptions {
        n_clusters,
        theta,
        lambda: lamb,
        sigma,
        block_size,
        max_iterations,
        max_passes,
        tolerance_passes,
        tolerance,
    };
    let view = x.view();
    let found = run(py, |monitor| {
        let levels: Vec<&[u32]> = covariates.iter().map(Vec::as_slice).collect();
        integrate(view, &levels, &options, Seed(random_state), monitor)
    })?;
    Ok((found.embedding.into_pyarray(py), found.objective, found.converged))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(harmony, module)?)
}
