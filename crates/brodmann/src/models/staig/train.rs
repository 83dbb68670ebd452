//! Epochs: two views of each slice, one step.

use brodmann_kernels::{CsrView, Monitor, Seed};
use ndarray::Array2;

use super::augment::GraphAugmenter;
use super::error::StaigError;
use super::loss::Negatives;
use super::model::{StaigModel, StaigTissue};
use super::network;
use super::options::StaigOptions;
use super::parts::{Body, Part, parts};
use super::tile::Tiling;
use super::tiled::Given;
use crate::nn::{
    AdamOptions, Column, Network, Parameters, Progress, Schedule, Step, TapeBuilder, Trainer, TrainingState,
};

/// One epoch, before its step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StaigEpoch {
    /// The loss.
    pub loss: f64,
    /// Largest relative error that the polynomial can have caused in a denominator; 0 for exact negatives.
    pub bound: f64,
}

impl StaigEpoch {
    /// Numbers per epoch: the columns of its history.
    pub const WIDTH: usize = 2;

    /// The numbers of one row of the history.
    ///
    /// # Panics
    /// When the row has fewer than two numbers.
    pub fn from_row(row: &[f64]) -> Self {
        Self { loss: row[0], bound: row[1] }
    }
}

/// A trained network and how it got there.
#[derive(Clone, Debug, PartialEq)]
pub struct StaigFit {
    /// The network after the last epoch.
    pub model: StaigModel,
    /// `(n_obs, width)`: its embedding of the tissue it was trained on.
    pub embedding: Array2<f32>,
    /// One entry per epoch.
    pub epochs: Vec<StaigEpoch>,
    /// How negatives were summed: never `Auto`.
    pub negatives: Negatives,
}

/// Trains STAIG on a tissue.
///
/// Every epoch is one full pass: of each slice two views are drawn, encoded by one network and compared; the gradients
/// are summed in the order of the slices, and Adam steps once. The draws of an epoch depend on the seed and its number
/// alone, so training resumed from a checkpoint ends in the same bits.
///
/// `E` is the caller's error, so that a checkpoint that cannot be written ends training with its own error.
///
/// # Inputs
/// See [`StaigTissue`]. `resume`: a checkpoint of the same tissue, options and seed.
/// # Returns
/// The network after the last epoch, its embedding, and the losses of every epoch.
/// # Errors
/// [`StaigError`], and whatever `on_epoch` returns.
/// # Cost
/// Per epoch O(nnz · width + n_obs · width²) for network and moments, O(Σ nₛ² · width) for exact negatives;
/// memory see [`memory_bytes`].
/// # Source
/// Yang et al. 2025 (STAIG).
///
/// # Example
///
/// ```
/// use brodmann::models::staig::{EdgeDrop, StaigError, StaigOptions, StaigTissue, train};
/// use brodmann_kernels::{CsrMatrix, Seed, Silent};
/// use ndarray::Array2;
///
/// // Twelve spots in a ring, each the neighbour of those beside it, in two domains of two genes each.
/// let ring: Vec<Vec<(u32, f64)>> = (0..12)
///     .map(|i| {
///         let mut row = vec![((i + 11) % 12, 1.0), ((i + 1) % 12, 1.0)];
///         row.sort_by_key(|edge| edge.0);
///         row
///     })
///     .collect();
/// let graph = CsrMatrix::from_rows(12, &ring);
/// let features = Array2::from_shape_fn((12, 4), |(i, j)| if i / 6 == j % 2 { 1.0f32 + j as f32 } else { 0.0 });
/// let features = CsrMatrix::from_dense(features.view());
/// let edge_drop = EdgeDrop::Fixed(0.2);
/// let tissue = StaigTissue {
///     features: features.view(),
///     graph: graph.view(),
///     slices: None,
///     classes: None,
///     edge_drop: &edge_drop,
/// };
/// let options = StaigOptions { epochs: 30, width: 8, learning_rate: 5e-3, ..Default::default() };
/// let fit = train::<StaigError>(&tissue, &options, Seed(0), None, &mut |_| Ok(()), &Silent)?;
/// assert_eq!(fit.embedding.dim(), (12, 8));
/// assert_eq!(fit.epochs.len(), 30);
/// # Ok::<(), StaigError>(())
/// ```
pub fn train<E: From<StaigError>>(
    tissue: &StaigTissue<'_>,
    options: &StaigOptions,
    seed: Seed,
    resume: Option<TrainingState>,
    on_epoch: &mut dyn FnMut(&Progress<'_>) -> Result<(), E>,
    monitor: &dyn Monitor,
) -> Result<StaigFit, E> {
    let (mut trainer, negatives) = trainer(tissue, options, seed, (Tiling::USUAL, monitor))?;
    if let Some(state) = resume {
        trainer.resume(&state, options.epochs)?;
    }
    let schedule = Schedule { epochs: options.epochs, early_stopping: None };
    trainer.run(&schedule, on_epoch, monitor)?;
    let epochs = trainer.history().iter().map(|row| StaigEpoch::from_row(row)).collect();
    let model = StaigModel::new(options.clone(), seed, tissue.features.n_cols(), trainer.parameters());
    // The buffers of training go before those of the last pass come.
    drop(trainer);
    let embedding = model.apply(tissue, monitor)?;
    Ok(StaigFit { model, embedding, epochs, negatives })
}

/// The network with its slices, before the first epoch, and how negatives are summed.
pub(super) fn trainer<'n>(
    tissue: &StaigTissue<'n>,
    options: &StaigOptions,
    seed: Seed,
    (tiling, monitor): (Tiling, &'n dyn Monitor),
) -> Result<(Trainer<StaigNetwork<'n>>, Negatives), StaigError> {
    options.validate()?;
    tissue.check_features()?;
    let n_features = tissue.features.n_cols();
    let (parameters, layout) = network::parameters::<f32>(options, n_features, seed);
    let (parts, negatives) = parts(tissue, options, &layout, (tiling, monitor))?;
    if options.negatives == Negatives::Auto && negatives == Negatives::Moments {
        monitor.note("negatives: summed by moments, as exact sums would be slow for so many spots");
    }
    let network = StaigNetwork::of(parts, options, seed);
    Ok((Trainer::new(network, parameters, adam(options)), negatives))
}

/// The rates of the optimiser.
pub(super) fn adam(options: &StaigOptions) -> AdamOptions {
    AdamOptions {
        learning_rate: options.learning_rate,
        weight_decay: options.weight_decay,
        ..AdamOptions::default()
    }
}

/// The numbers of an epoch.
pub(super) fn columns() -> Vec<Column> {
    vec![Column::sum("loss"), Column::max("bound")]
}

/// The slices, each with a tape of its own. The tapes run in turn, in buffers they share.
pub(super) struct StaigNetwork<'n> {
    parts: Vec<Part<'n>>,
    buffers: Vec<Vec<f32>>,
    feature_mask: [f64; 2],
    seed: Seed,
}

impl<'n> StaigNetwork<'n> {
    pub(super) fn of(parts: Vec<Part<'n>>, options: &StaigOptions, seed: Seed) -> Self {
        Self { parts, buffers: Vec::new(), feature_mask: options.feature_mask, seed }
    }

    /// Features and graph of a network of one slice.
    pub(super) fn only_part(&self) -> (CsrView<'_, f32>, &GraphAugmenter) {
        let part = &self.parts[0];
        (part.features.view(), &part.augmenter)
    }

    /// Leaves the slices in a range alone, as where others are trained elsewhere.
    #[cfg(test)]
    pub(super) fn keep(&mut self, slices: std::ops::Range<usize>) {
        self.parts = self.parts.drain(slices).collect();
    }
}

impl Network for StaigNetwork<'_> {
    type Error = StaigError;

    fn columns(&self) -> Vec<Column> {
        columns()
    }

    fn n_parts(&self) -> usize {
        self.parts.len()
    }

    fn pass(
        &mut self,
        part: usize,
        epoch: u64,
        parameters: &mut Parameters<f32>,
    ) -> Result<Vec<f64>, StaigError> {
        let Part { features, augmenter, views, body } = &mut self.parts[part];
        views.draw(augmenter, self.feature_mask, self.seed, epoch);
        let seed = self.seed.derive("staig/epoch", epoch);
        let (tape, loss) = match body {
            Body::Whole { tape, loss } => (tape, *loss),
            Body::Tiled(tiles) => {
                let value = tiles.pass(features.view(), views, seed, &mut self.buffers, parameters)?;
                return Ok(vec![value.loss, value.bound]);
            }
        };
        let sparse = views.sparse(features.view());
        let step = Step { sparse: &sparse, masks: &views.masks, ..Step::training(seed, &[]) };
        tape.lend_buffers(std::mem::take(&mut self.buffers));
        let value = tape.run(&step, parameters);
        self.buffers = tape.take_buffers();
        Ok(vec![value?, tape.bound(loss)])
    }
}

/// Forecast of the peak of [`train`] in bytes, beyond the tissue given: views, loss, and the buffers of the network, which
/// sees a slice of more than 262,144 spots in tiles.
///
/// # Inputs
/// `n_edges`: stored entries of the graph, each edge twice.
pub fn memory_bytes(n_obs: usize, n_features: usize, n_edges: usize, options: &StaigOptions) -> u64 {
    if options.validate().is_err() {
        return 0;
    }
    let (n, nnz) = (n_obs as u64, n_edges as u64);
    let (parameters, layout) = network::parameters::<f32>(options, 1, Seed(0));
    let mut tape = TapeBuilder::<f32>::new();
    let seen = (Tiling::USUAL.rows(n_obs), n_features);
    let output = network::write(&mut tape, options, &layout, seen, 2);
    // Without a loss there is no way back to plan for.
    tape.loss(Given, &[output], &[], 1.0);
    let first_layer = (n_features * options.layer_widths()[0]) as u64;
    let other_layers: u64 = parameters.iter().map(|p| p.value.len() as u64).sum();
    // Value, gradient, two moments.
    let weights = 16 * (first_layer + other_layers);
    // Augmenter and pairs: two patterns and thresholds; per view indices, values, flags.
    let graphs = nnz * (2 * 4 + 4) + 2 * (nnz + n) * 9 + n * 80;
    // Unit rows and gradient of both views, and the numbers kept per anchor and row.
    let loss = n * (16 * options.width as u64 + 160);
    let tiles = if n_obs > Tiling::USUAL.whole {
        // Places and members; a tile's gradient.
        16 * n + 8 * (Tiling::USUAL.rows(n_obs) * options.width) as u64
    } else {
        0
    };
    tape.memory_bytes(true) + weights + graphs + loss + tiles
}
