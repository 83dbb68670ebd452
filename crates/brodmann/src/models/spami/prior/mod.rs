//! SpaMI-P: a labelled reference guides training.
//!
//! The reference has an encoder of its own over its own spatial graph. Mutual nearest neighbours of reference and target
//! are anchors, along which the embedding of the target is drawn to that of the reference; a label head keeps the labels
//! of the reference apart. What comes of it beside the embedding is a label for each spot of the target, how sure that is,
//! and which spots are like nothing in the reference.
//!
//! * [`options`](PriorOptions): weights and thresholds.
//! * [`anchors`](Anchors): the pairs, what their labels say of each spot, and whether they agree.
//! * `align`: the term that draws pairs together. `head`: the term that keeps labels apart, and [`LabelHead`], the head.
//! * [`Guidance`]: the reference beside one target, as training takes it.
//! * [`gene_correspondence`]: are the profiles of the labels found in the target, gene by gene?

mod align;
mod anchors;
mod correspondence;
mod guidance;
mod head;
mod options;
#[cfg(test)]
mod tests;

use ndarray::ArrayView2;

use super::graph::SpamiGraph;

pub(super) use align::Aligned;
pub use anchors::{Anchors, Trust};
pub use correspondence::{Correspondence, gene_correspondence};
pub use guidance::Guidance;
pub(super) use head::Labelled;
pub use head::{LabelHead, Transfer};
pub use options::PriorOptions;

/// The code of a spot of the reference without a label.
pub const UNLABELLED: u32 = u32::MAX;

/// A labelled reference, and how the target looks in the features they share.
#[derive(Clone, Copy)]
pub struct Prior<'a> {
    /// Shared features of the target, `(n_obs, p)`.
    pub target: ArrayView2<'a, f32>,
    /// Shared features of the reference, `(n_reference, p)`.
    pub reference: ArrayView2<'a, f32>,
    /// The spatial graph of the reference.
    pub graph: &'a SpamiGraph,
    /// One code below `n_labels` per spot of the reference, or [`UNLABELLED`].
    pub labels: &'a [u32],
    /// Labels there are.
    pub n_labels: usize,
}
