//! Spatial domains of tissue from spatial omics data: the science, on arrays and views.
//!
//! Which regions does a tissue consist of, judging by the molecules measured at each spot? The folders follow the
//! road from counts to an answer:
//!
//! * [`preprocess`]: from raw counts to features worth comparing.
//! * [`graph`]: which spots are neighbours, in space and in feature space.
//! * [`nn`]: a reverse-mode engine for small networks over graphs.
//! * [`models`]: networks that give each spot one embedding from all its measurements.
//! * [`cluster`]: which spots belong together: multiplex Leiden, k-means, Gaussian mixtures.
//! * [`embedding`]: how an embedding looks in two dimensions (UMAP).
//! * [`stats`]: what varies over space.
//! * [`metrics`]: how good a partition or an embedding is.
//! * [`histology`]: what the tissue looks like around each spot.
//! * [`simulate`]: tissues whose truth is known.
//! * [`plot`]: pictures of a tissue, as PNG and SVG.
//! * [`report`]: one HTML page that holds all of it and lets the reader look around.
//! * [`pipeline`]: all of it on AnnData and MuData; the one place that knows containers.

pub mod cluster;
pub mod embedding;
pub mod graph;
pub mod histology;
pub mod metrics;
pub mod models;
pub mod nn;
pub mod pipeline;
pub mod plot;
pub mod preprocess;
pub mod report;
pub mod simulate;
pub mod stats;

#[cfg(test)]
#[path = "../../../tests/oracles.rs"]
mod oracles;
