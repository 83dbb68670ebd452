//! Labels smoothed by a vote of the nearest spots.

use brodmann::cluster::refine_labels as vote;
use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;

use crate::arrays::{Codes, Dense};
use crate::monitor::run;

/// The label most frequent among the `n_neighbors` nearest spots of the same slice.
#[pyfunction]
#[pyo3(signature = (labels, coordinates, slices, *, n_neighbors))]
fn refine_labels<'py>(
    py: Python<'py>,
    labels: Codes<'py>,
    coordinates: Dense<'py, f64>,
    slices: Option<Codes<'py>>,
    n_neighbors: usize,
) -> PyResult<Bound<'py, PyArray1<u32>>> {
    let (labels, places) = (labels.slice()?, coordinates.view());
    let slices = slices.as_ref().map(Codes::slices).transpose()?;
    Ok(run(py, |_| vote(labels, places, slices.as_ref(), n_neighbors))?.into_pyarray(py))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(refine_labels, module)?)
}
