//! What may change without changing what a spot is? Edges of the spatial graph, and single genes.
//!
//! Each epoch the network sees two views of the tissue, in which some edges and some features are missing. An edge is
//! the likelier to go the less alike its ends are, judged by the image or by expression.
//!
//! * [`edge_probability`]: how likely each edge is dropped.
//! * [`graph_view`]: the normalised graph of a view, drawn anew each epoch.
//! * [`feature_mask`](mod@feature_mask): which features a view lacks.
//!
//! All draws are hashes of (seed, epoch, view, edge or feature): they need no order, so the same epoch gives the same
//! views on any number of threads.

pub mod edge_probability;
pub mod feature_mask;
pub mod graph_view;

pub use edge_probability::{EdgeDrop, expression_drop_probabilities, image_drop_probabilities};
pub use feature_mask::feature_mask;
pub use graph_view::{GraphAugmenter, GraphView, normalized_adjacency};

#[cfg(test)]
mod tests;
