//! `brodmann.dist`: slices that lie in several processes, and what puts them together.
//!
//! What travels between the two are numpy arrays, numbers and texts, which Python sends where it likes.

mod spami;
mod staig;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use brodmann::pipeline::PipelineError;
use brodmann::pipeline::apart::{SliceFacts, write_copy};
use brodmann_data::Additions;
use brodmann_kernels::Monitor;
use numpy::IntoPyArray;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::Dense;

/// What a slice tells of its spots.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Facts<'py> {
    n_all: usize,
    kept: Option<Vec<usize>>,
    obs_names: Vec<String>,
    coordinates: Dense<'py, f64>,
    truth: Vec<(String, Vec<Option<String>>)>,
    data_hash: String,
}

impl From<Facts<'_>> for SliceFacts {
    fn from(facts: Facts<'_>) -> Self {
        Self {
            n_all: facts.n_all,
            kept: facts.kept,
            obs_names: facts.obs_names,
            coordinates: facts.coordinates.view().to_owned(),
            truth: facts.truth,
            data_hash: facts.data_hash,
        }
    }
}

fn facts_out(py: Python<'_>, facts: SliceFacts) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("n_all", facts.n_all)?;
    dict.set_item("kept", facts.kept)?;
    dict.set_item("obs_names", facts.obs_names)?;
    dict.set_item("coordinates", facts.coordinates.into_pyarray(py))?;
    dict.set_item("truth", facts.truth)?;
    dict.set_item("data_hash", facts.data_hash)?;
    Ok(dict)
}

// A panic elsewhere ended its call; what it left is replaced by the next step, or refused by it.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a copy of the file of a slice with what was found, if it is known.
fn write(
    found: &[Additions],
    index: usize,
    (path, out): (&Path, &Path),
    monitor: &dyn Monitor,
) -> Result<(), PipelineError> {
    found.get(index).map_or(Ok(()), |own| write_copy(path, out, own, monitor))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    staig::register(module)?;
    spami::register(module)
}
