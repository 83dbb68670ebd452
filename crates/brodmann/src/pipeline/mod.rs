//! Where containers meet algorithms: from a file to domains and back into a file.
//!
//! Everything else in this crate takes arrays. Here, and only here, keys of AnnData and MuData are read and written,
//! defaults that depend on the data are chosen (and said), and stages are timed.
//!
//! ```text
//! Tissue (read) → features (preprocess) → graphs → domains (Leiden) → evaluation → Additions (write)
//! ```
//!
//! * [`request`]: what a caller asks for.
//! * [`tissue`]: a file opened, whatever its format, and where results go.
//! * [`describe`]: what a file holds, for a person.
//! * [`features`]: counts to an embedding, modality by modality.
//! * [`graphs`]: latent and spatial neighbour graphs.
//! * [`domains`]: Leiden and SpatialLeiden, end to end.
//! * [`embedding_clusters`]: k-means, Gaussian mixtures and Leiden on an embedding.
//! * [`spami`]: SpaMI, end to end: several omics to one embedding, domains and denoised expression.
//! * [`cohort`]: several files as one tissue.
//! * [`staig`]: STAIG, end to end: domains of one slice, or of many without alignment.
//! * [`evaluation`]: labels against the truth, embeddings and space.
//! * [`simulated`]: a simulated tissue as a container.
//! * [`picture`]: a container as panels.
//! * [`tensor_file`]: models and checkpoints as files.
//! * [`checkpoint`]: training saved on the way.
//! * [`fingerprint`]: are these the same data?
//! * `forecast`: memory and time of a run, before it.
//! * [`memory`]: how much memory there is.
//! * `align`: columns matched by name.
//! * `count_rows`: the counts of a file, block by block.

mod align;
pub mod checkpoint;
pub mod cohort;
mod count_rows;
pub mod describe;
pub mod domains;
pub mod embedding_clusters;
pub mod error;
pub mod evaluation;
pub mod features;
pub mod fingerprint;
mod forecast;
pub mod graphs;
pub mod memory;
pub mod picture;
pub mod request;
pub mod simulated;
pub mod spami;
pub mod staig;
pub mod tensor_file;
pub mod tissue;

pub use error::PipelineError;
pub use tissue::{Destination, Tissue};

use std::time::Instant;

/// Wall-clock seconds of each stage of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Seconds {
    /// Reading the input.
    pub read: f64,
    /// Counts to features.
    pub preprocess: f64,
    /// Neighbour graphs.
    pub graph: f64,
    /// Training a model; 0 for methods that have none.
    pub train: f64,
    /// Clustering.
    pub cluster: f64,
    /// Writing and verifying the output.
    pub write: f64,
}

/// Adds the time `work` takes to `clock`.
pub(crate) fn timed<T>(clock: &mut f64, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    *clock += start.elapsed().as_secs_f64();
    result
}

/// A dictionary without what was not set, at any depth: before 0.12 anndata cannot read a null.
pub(crate) fn without_nulls(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(entries) => serde_json::Value::Object(
            entries.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect(),
        ),
        other => other,
    }
}
