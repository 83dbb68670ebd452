//! Spatial domains of tissue from spatial omics data.

pub mod cluster;
pub mod graph;
pub mod metrics;
pub mod pipeline;
pub mod plot;
pub mod preprocess;
pub mod simulate;
pub mod stats;
