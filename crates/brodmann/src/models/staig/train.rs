//! Epochs, views, checkpoints.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use brodmann_kernels::{Monitor, Seed};
use ndarray::Array2;

use super::augment::GraphAugmenter;
use super::error::StaigError;
use super::loss::{ContrastLoss, ContrastPairs, Negatives};
use super::model::{StaigModel, StaigTissue, fill, named};
use super::network::{self, ObjectiveState};
use super::options::StaigOptions;
use super::views::Views;
use crate::nn::{Adam, AdamOptions, Parameters, Step, Tape, TapeBuilder};

/// One epoch, before its step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StaigEpoch {
    /// The loss.
    pub loss: f64,
    /// Largest relative error that the polynomial can have caused in a denominator; 0 for exact negatives.
    pub bound: f64,
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

/// All that training needs to go on where it was: plain data, for any file format.
#[derive(Clone, Debug, PartialEq)]
pub struct StaigCheckpoint {
    /// Every parameter under its name.
    pub parameters: Vec<(String, Array2<f32>)>,
    /// Adam's running mean of each gradient, under the same names.
    pub first_moments: Vec<(String, Array2<f32>)>,
    /// Adam's running mean of each squared gradient.
    pub second_moments: Vec<(String, Array2<f32>)>,
    /// One entry per epoch done.
    pub epochs: Vec<StaigEpoch>,
}

/// Where training is, handed to the caller after each epoch.
pub struct StaigProgress<'a> {
    /// Epochs done, from 1.
    pub epoch: usize,
    /// The loss of this epoch.
    pub losses: &'a StaigEpoch,
    checkpoint: &'a dyn Fn() -> StaigCheckpoint,
}

impl StaigProgress<'_> {
    /// A copy of the state: costs three times the parameters, so ask now and then.
    pub fn checkpoint(&self) -> StaigCheckpoint {
        (self.checkpoint)()
    }
}

/// Trains STAIG on a tissue.
///
/// Every epoch is one full pass: two views are drawn, encoded by one network, compared, and Adam steps once. The draws
/// of an epoch depend on the seed and its number alone, so training resumed from a checkpoint ends in the same bits.
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
pub fn train<E: From<StaigError>>(
    tissue: &StaigTissue<'_>,
    options: &StaigOptions,
    seed: Seed,
    resume: Option<StaigCheckpoint>,
    on_epoch: &mut dyn FnMut(&StaigProgress<'_>) -> Result<(), E>,
    monitor: &dyn Monitor,
) -> Result<StaigFit, E> {
    let mut training = Training::new(tissue, options, seed, resume, monitor)?;
    monitor.stage("train", options.epochs as u64);
    monitor.advance(training.epochs.len() as u64);
    while training.epochs.len() < options.epochs {
        monitor.check().map_err(StaigError::from)?;
        training.epoch()?;
        let epoch = training.epochs.len();
        let losses = &training.epochs[epoch - 1];
        on_epoch(&StaigProgress { epoch, losses, checkpoint: &|| training.checkpoint() })?;
        monitor.advance(1);
    }
    let (epochs, negatives) = (std::mem::take(&mut training.epochs), training.negatives);
    let model = StaigModel::new(options.clone(), seed, tissue.features.n_cols(), &training.parameters);
    // The buffers of training go before those of the last pass come.
    drop(training);
    let embedding = model.apply(tissue, monitor)?;
    Ok(StaigFit { model, embedding, epochs, negatives })
}

struct Training<'n> {
    options: StaigOptions,
    seed: Seed,
    augmenter: GraphAugmenter,
    views: Arc<RwLock<Views<f32>>>,
    objective: Arc<Mutex<ObjectiveState<f32>>>,
    negatives: Negatives,
    tape: Tape<'n, f32>,
    parameters: Parameters<f32>,
    adam: Adam<f32>,
    epochs: Vec<StaigEpoch>,
}

impl<'n> Training<'n> {
    fn new(
        tissue: &StaigTissue<'n>,
        options: &StaigOptions,
        seed: Seed,
        resume: Option<StaigCheckpoint>,
        monitor: &'n dyn Monitor,
    ) -> Result<Self, StaigError> {
        options.validate()?;
        tissue.check_features()?;
        let augmenter = GraphAugmenter::new(tissue.graph, tissue.edge_drop, options.resamples)?;
        let pairs = ContrastPairs::try_new(tissue.graph, tissue.slices, tissue.classes)?;
        let loss = ContrastLoss::new(pairs, options.contrast())?;
        let negatives = loss.negatives();
        if options.negatives == Negatives::Auto && negatives == Negatives::Moments {
            monitor.note("negatives: summed by moments, as exact sums would be slow for so many spots");
        }
        let n_features = tissue.features.n_cols();
        let (mut parameters, layout) = network::parameters::<f32>(options, n_features, seed);
        let adam_options = AdamOptions {
            learning_rate: options.learning_rate,
            weight_decay: options.weight_decay,
            ..AdamOptions::default()
        };
        let mut adam = Adam::new(adam_options, &parameters);
        let mut epochs = Vec::with_capacity(options.epochs.min(1 << 16));
        if let Some(checkpoint) = resume {
            restore(&mut parameters, &mut adam, &checkpoint, options)?;
            epochs.extend(checkpoint.epochs);
        }
        let views = Arc::new(RwLock::new(Views::full(&augmenter, n_features, 2)));
        let last = Err(StaigError::Diverged { loss: f64::NAN, advice: "train for at least one epoch" });
        let objective = Arc::new(Mutex::new(ObjectiveState { loss, last }));
        let mut tape = TapeBuilder::new();
        let output = network::write(&mut tape, options, &layout, tissue.features, &views, 2);
        network::contrast(&mut tape, output, &objective, monitor);
        Ok(Self {
            options: options.clone(),
            seed,
            augmenter,
            views,
            objective,
            negatives,
            tape: tape.build(true),
            parameters,
            adam,
            epochs,
        })
    }

    fn epoch(&mut self) -> Result<(), StaigError> {
        let done = self.epochs.len() as u64;
        {
            let mut views = self.views.write().unwrap_or_else(PoisonError::into_inner);
            views.draw(&self.augmenter, self.options.feature_mask, self.seed, done);
        }
        let seed = self.seed.derive("staig/epoch", done);
        let step = Step { seed, training: true, inputs: &[], indices: &[] };
        self.tape.run(&step, &mut self.parameters);
        let value = self.objective.lock().unwrap_or_else(PoisonError::into_inner).last.clone()?;
        self.adam.step(&mut self.parameters);
        self.epochs.push(StaigEpoch { loss: value.loss, bound: value.bound });
        Ok(())
    }

    fn checkpoint(&self) -> StaigCheckpoint {
        StaigCheckpoint {
            parameters: named(&self.parameters, |k| &self.parameters.get(k).value),
            first_moments: named(&self.parameters, |k| &self.adam.first_moments[k]),
            second_moments: named(&self.parameters, |k| &self.adam.second_moments[k]),
            epochs: self.epochs.clone(),
        }
    }
}

fn restore(
    parameters: &mut Parameters<f32>,
    adam: &mut Adam<f32>,
    checkpoint: &StaigCheckpoint,
    options: &StaigOptions,
) -> Result<(), StaigError> {
    let done = checkpoint.epochs.len();
    if done > options.epochs {
        return Err(StaigError::CheckpointBeyondEnd { found: done, expected: options.epochs });
    }
    for (moments, saved) in [
        (&mut adam.first_moments, &checkpoint.first_moments),
        (&mut adam.second_moments, &checkpoint.second_moments),
    ] {
        fill(parameters, saved)?;
        for (moment, parameter) in moments.iter_mut().zip(parameters.iter()) {
            moment.copy_from_slice(&parameter.value);
        }
    }
    fill(parameters, &checkpoint.parameters)?;
    adam.steps = done as u64;
    Ok(())
}

/// Forecast of the peak of [`train`] in bytes, beyond the tissue given: views, loss, and the buffers of the network.
///
/// # Inputs
/// `n_edges`: stored entries of the graph, each edge twice.
pub fn memory_bytes(n_obs: usize, n_features: usize, n_edges: usize, options: &StaigOptions) -> u64 {
    if options.validate().is_err() {
        return 0;
    }
    let (n, nnz) = (n_obs as u64, n_edges as u64);
    let (parameters, layout) = network::parameters::<f32>(options, 1, Seed(0));
    let (indptr, augmenter) = (vec![0; n_obs + 1], GraphAugmenter::empty());
    let views = Arc::new(RwLock::new(Views::full(&augmenter, 1, 2)));
    let Ok(features) = brodmann_kernels::CsrView::try_new(n_obs, n_features, &indptr, &[], &[]) else {
        return 0;
    };
    let mut tape = TapeBuilder::<f32>::new();
    network::write(&mut tape, options, &layout, features, &views, 2);
    let first_layer = (n_features * options.layer_widths()[0]) as u64;
    let other_layers: u64 = parameters.iter().map(|p| p.value.len() as u64).sum();
    // Value, gradient, two moments.
    let weights = 16 * (first_layer + other_layers);
    // Augmenter and pairs: two patterns and thresholds; per view indices, values, flags.
    let graphs = nnz * (2 * 4 + 4) + 2 * (nnz + n) * 9 + n * 80;
    // Unit rows and gradient of both views, and the numbers kept per anchor and row.
    let loss = n * (16 * options.width as u64 + 160);
    tape.memory_bytes(true) + weights + graphs + loss
}
