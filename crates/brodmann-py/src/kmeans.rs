//! k-means of an embedding.

use brodmann::cluster::{KMeansOptions, kmeans as cluster};
use brodmann_kernels::Seed;
use numpy::{IntoPyArray, PyArray1, PyArray2};
use pyo3::prelude::*;

use crate::arrays::Dense;
use crate::monitor::run;

/// `(labels, centers, inertia, n_iterations, converged)`.
type Found<'py> = (Bound<'py, PyArray1<u32>>, Bound<'py, PyArray2<f64>>, f64, usize, bool);

/// Labels by falling size, centres, inertia of the best of `n_init` starts.
#[pyfunction]
#[pyo3(signature = (x, *, n_clusters, n_init = 10, max_iterations = 300, tolerance = 1e-4, random_state = 42))]
fn kmeans<'py>(
    py: Python<'py>,
    x: Dense<'py, f64>,
    n_clusters: usize,
    n_init: usize,
    max_iterations: usize,
    tolerance: f64,
    random_state: u64,
) -> PyResult<Found<'py>> {
    let options = KMeansOptions { n_clusters, n_init, max_iterations, tolerance };
    let view = x.view();
    let found = run(py, |monitor| cluster(view, &options, Seed(random_state), monitor))?;
    Ok((
        found.labels.into_pyarray(py),
        found.centers.into_pyarray(py),
        found.inertia,
        found.n_iterations,
        found.converged,
    ))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(kmeans, module)?)
}
