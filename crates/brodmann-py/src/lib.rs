//! Python binding: arrays in, arrays out, no maths; the GIL is released while Rust works.
//!
//! The package `brodmann` (AnnData and MuData in, results under their keys) builds on these functions.
//!
//! * `arrays`: numpy and scipy as views.
//! * `monitor`: GIL released, Ctrl-C heard, progress shown.
//! * `threads`: how many threads.
//! * `errors`: Rust errors as Python exceptions.
//! * `tissue`: AnnData and MuData for the pipelines, and results on their way back.
//! * `apart`: slices that lie in several processes.
//! * `clustering`: options by name, and those of a pipeline's last step.
//! * one file for each part of the library: `preprocess`, `graph`, `leiden`, `kmeans`, `gmm`, `umap`, `refine`, `spami`, `staig`,
//!   `metrics`, `colors`, `containers`.

mod apart;
mod arrays;
mod clustering;
mod colors;
mod containers;
mod errors;
mod gmm;
mod graph;
mod harmony;
mod kmeans;
mod leiden;
mod methods;
mod metrics;
mod monitor;
mod preprocess;
mod refine;
mod threads;
mod tissue;
mod umap;

use pyo3::prelude::*;

/// The compiled part of the package `brodmann`.
#[pymodule]
fn _brodmann(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // For every thread: errors and notes are worded where they arise.
    brodmann_kernels::diagnosis::speak(&errors::Python);
    brodmann_data::silence_guarded_panics();
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    threads::register(module)?;
    preprocess::register(module)?;
    graph::register(module)?;
    leiden::register(module)?;
    harmony::register(module)?;
    umap::register(module)?;
    kmeans::register(module)?;
    gmm::register(module)?;
    refine::register(module)?;
    methods::register(module)?;
    metrics::register(module)?;
    colors::register(module)?;
    containers::register(module)?;
    apart::register(module)?;
    Ok(())
}
