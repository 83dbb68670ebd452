//! SpaMI: one embedding from two or more omics of one tissue, with attention and denoising.
//!
//! Features of each modality and one spatial graph in; one embedding, the attention each spot pays to each
//! modality, and a denoised reconstruction out (Gao et al. 2025).
//!
//! * [`options`](SpamiOptions): weights, rates, ablations, and the paper's presets.
//! * [`graph`](SpamiGraph): the two graph operators, from nearest-neighbour rows.
//! * [`model`](SpamiModel): named parameters, and the trained network applied to a tissue.
//! * `network`: the network written down as in the paper; `contrast`: its contrastive term.
//! * [`prior`]: SpaMI-P, a labelled reference that guides training, and the labels it gives.
//! * `parts`: the slices of a tissue in training; [`shard`]: slices that lie apart.
//! * [`train()`]: epochs, corruption, checkpoints, early stopping. [`memory_bytes`]: what it will take.

mod checks;
mod contrast;
mod error;
mod graph;
mod memory;
mod model;
mod network;
mod options;
mod parts;
pub mod prior;
pub mod shard;
mod train;

#[cfg(test)]
mod tests;

pub use crate::nn::EarlyStopping;
pub use error::SpamiError;
pub use graph::SpamiGraph;
pub use memory::{memory_bytes, memory_bytes_guided, memory_bytes_of_slices};
pub use model::{SpamiModel, SpamiOutput};
pub use options::{Fusion, SpamiOptions, SpamiPreset};
pub use train::{GuidedFit, PriorEpoch, SpamiEpoch, SpamiFit, SpamiStep, profile, train, train_guided};
