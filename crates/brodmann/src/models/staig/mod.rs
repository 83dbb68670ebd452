//! STAIG: domains of one slice, or of many without alignment, from one omics and, if there is one, the tissue's image
//! (Yang et al. 2025).
//!
//! Features and one spatial graph in; one embedding out, in which domains are found by `cluster`. A graph network is
//! shown two views of the tissue with some edges and features missing, and learns to tell a spot and its neighbours
//! from all other spots of the slice.
//!
//! * [`options`](StaigOptions): rates, widths, and the released presets.
//! * [`augment`]: the two views.
//! * [`loss`]: the neighbour-contrastive loss, exact or in linear time.
//! * `network`: the layers, on the engine [`nn`](crate::nn); `masked_features`, `views`: the two layers of its own.
//! * [`model`](StaigModel): named parameters, and the trained network applied to a tissue.
//! * [`train()`]: epochs; `parts`: the slices they consist of; [`memory_bytes`]: what it will take.
//! * [`shard`]: the same, each slice in a place of its own; `tile`, `tiled`: one giant slice, a tile at a time.

pub mod augment;
mod error;
pub mod loss;
mod masked_features;
mod model;
mod network;
mod options;
mod parts;
pub mod shard;
mod tile;
mod tiled;
mod train;
mod views;

pub use augment::{EdgeDrop, expression_drop_probabilities, image_drop_probabilities};
pub use error::StaigError;
pub use loss::Negatives;
pub use model::{StaigModel, StaigTissue};
pub use options::{EdgeRule, StaigOptions, StaigPreset};
pub use train::{StaigEpoch, StaigFit, memory_bytes, train};

#[cfg(test)]
mod tests;
