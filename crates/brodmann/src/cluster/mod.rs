//! Which spots belong together.
//!
//! Graphs or embeddings in, one label per spot out: the last step before evaluation and pictures.
//!
//! * [`mod@leiden`]: communities of one or many graphs (multiplex Leiden), and the search for their resolution.
//! * [`kmeans()`]: compact clusters of an embedding.

pub mod kmeans;
pub mod leiden;

pub use kmeans::{KMeans, KMeansError, KMeansOptions, kmeans};
pub use leiden::{
    EntryEdges, GraphView, LatentSpatialSearch, Layer, LeidenError, LeidenOptions, Partition, Quality,
    ResolutionSearch, SearchOptions, Unreached, entry_edges, leiden, leiden_multiplex, leiden_multiplex_with,
    move_difference, quality, search_resolution, search_resolution_latent_spatial,
};
