//! Epochs, corruption, checkpoints, early stopping.

use brodmann_kernels::{Monitor, Seed};
use ndarray::{Array2, ArrayView2};
use rand::seq::SliceRandom;

use super::error::SpamiError;
use super::features::{check_features, matrices, standard};
use super::graph::SpamiGraph;
use super::model::{SpamiModel, fill, named};
use super::network::{self, Nodes};
use super::options::{EarlyStopping, SpamiOptions};
use crate::nn::{Adam, AdamOptions, Parameters, Step, Tape};

/// The loss of one epoch, before its step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpamiEpoch {
    /// The weighted sum.
    pub loss: f64,
    /// `L_con` per modality, unweighted; 0 where left out.
    pub contrast: Vec<f64>,
    /// `L_rec` per modality, unweighted.
    pub reconstruction: Vec<f64>,
    /// `L_cos`, unweighted; 0 with one modality or where left out.
    pub cosine: f64,
}

/// A trained network and how it got there.
#[derive(Clone, Debug, PartialEq)]
pub struct SpamiFit {
    /// The network after the last epoch.
    pub model: SpamiModel,
    /// One entry per epoch.
    pub epochs: Vec<SpamiEpoch>,
    /// Whether early stopping ended it.
    pub stopped_early: bool,
}

/// All that training needs to go on where it was: plain data, for any file format.
#[derive(Clone, Debug, PartialEq)]
pub struct SpamiCheckpoint {
    /// Every parameter under its name.
    pub parameters: Vec<(String, Array2<f32>)>,
    /// Adam's running mean of each gradient, under the same names.
    pub first_moments: Vec<(String, Array2<f32>)>,
    /// Adam's running mean of each squared gradient.
    pub second_moments: Vec<(String, Array2<f32>)>,
    /// One entry per epoch done.
    pub epochs: Vec<SpamiEpoch>,
}

/// Where training is, handed to the caller after each epoch.
pub struct SpamiProgress<'a> {
    /// Epochs done, from 1.
    pub epoch: usize,
    /// The losses of this epoch.
    pub losses: &'a SpamiEpoch,
    pub(super) checkpoint: &'a dyn Fn() -> SpamiCheckpoint,
}

impl SpamiProgress<'_> {
    /// A copy of the state: costs three times the parameters, so ask now and then.
    pub fn checkpoint(&self) -> SpamiCheckpoint {
        (self.checkpoint)()
    }
}

/// Trains SpaMI on the modalities of one or more slices.
///
/// Every epoch is one full pass: the features of each modality are permuted within each slice, the losses taken, and
/// Adam steps once. The random draws of an epoch depend on the seed and its number alone, so training resumed from a
/// checkpoint ends in the same bits.
///
/// `E` is the caller's error, so that a checkpoint that cannot be written ends training with its own error.
///
/// # Inputs
/// `modalities`: per modality `(n_obs, n_features)`, preprocessed (centred, of about unit variance).
/// `slices`: the slice of each spot; `None` for one slice.
/// # Returns
/// The network after the last epoch and the losses of every epoch, those of the checkpoint included.
/// # Errors
/// [`SpamiError`], and whatever `on_epoch` returns.
/// # Cost
/// Per epoch `O(n_obs · hidden · (Σ n_features + M · latent))` time; memory see
/// [`memory_bytes`](super::memory_bytes).
/// # Source
/// Gao et al. 2025 (SpaMI).
pub fn train<E: From<SpamiError>>(
    modalities: &[ArrayView2<'_, f32>],
    graph: &SpamiGraph,
    slices: Option<&[u32]>,
    options: &SpamiOptions,
    seed: Seed,
    resume: Option<SpamiCheckpoint>,
    on_epoch: &mut dyn FnMut(&SpamiProgress<'_>) -> Result<(), E>,
    monitor: &dyn Monitor,
) -> Result<SpamiFit, E> {
    let features = standard(modalities);
    let features = matrices(&features);
    let mut training = Training::new(modalities, graph, slices, options, seed, resume)?;
    let widths: Vec<usize> = modalities.iter().map(ArrayView2::ncols).collect();
    monitor.stage("train", options.epochs as u64);
    monitor.advance(training.epochs.len() as u64);
    let mut stopped_early = false;
    while training.epochs.len() < options.epochs {
        if options.early_stopping.is_some_and(|stop| no_longer_falls(&training.epochs, stop)) {
            stopped_early = true;
            break;
        }
        monitor.check().map_err(SpamiError::from)?;
        training.epoch(&features)?;
        let epoch = training.epochs.len();
        let losses = &training.epochs[epoch - 1];
        on_epoch(&SpamiProgress { epoch, losses, checkpoint: &|| training.checkpoint() })?;
        monitor.advance(1);
    }
    let model = SpamiModel::new(options.clone(), seed, widths, &training.parameters);
    Ok(SpamiFit { model, epochs: training.epochs, stopped_early })
}

/// The time of one step of the schedule of an epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct SpamiStep {
    /// Layer or loss.
    pub op: &'static str,
    /// `forward`, `loss` or `backward`.
    pub pass: &'static str,
    /// Seconds per epoch on the clock.
    pub seconds: f64,
}

/// Where the time of an epoch goes: trains for `options.epochs` epochs after one to warm up, and returns the mean of
/// every step of the schedule, in its order; the last is `adam`, which stands for all that is not the network.
///
/// # Errors
/// As [`train`].
pub fn profile(
    modalities: &[ArrayView2<'_, f32>],
    graph: &SpamiGraph,
    options: &SpamiOptions,
    seed: Seed,
) -> Result<Vec<SpamiStep>, SpamiError> {
    let features = standard(modalities);
    let features = matrices(&features);
    let mut training = Training::new(modalities, graph, None, options, seed, None)?;
    training.epoch(&features)?;
    training.tape.profile();
    let start = std::time::Instant::now();
    for _ in 0..options.epochs {
        training.epoch(&features)?;
    }
    let each = 1.0 / options.epochs as f64;
    let total = start.elapsed().as_secs_f64() * each;
    let timings = training.tape.timings().into_iter();
    let mut steps: Vec<SpamiStep> =
        timings.map(|(op, pass, seconds)| SpamiStep { op, pass, seconds: seconds * each }).collect();
    let rest = total - steps.iter().map(|s| s.seconds).sum::<f64>();
    steps.push(SpamiStep { op: "adam", pass: "rest", seconds: rest });
    Ok(steps)
}

struct Training {
    parameters: Parameters<f32>,
    adam: Adam<f32>,
    tape: Tape<'static, f32>,
    nodes: Nodes,
    /// Spots of each slice.
    members: Vec<Vec<u32>>,
    permutations: Vec<Vec<u32>>,
    epochs: Vec<SpamiEpoch>,
    seed: Seed,
    learning_rate: f64,
}

impl Training {
    fn new(
        modalities: &[ArrayView2<'_, f32>],
        graph: &SpamiGraph,
        slices: Option<&[u32]>,
        options: &SpamiOptions,
        seed: Seed,
        resume: Option<SpamiCheckpoint>,
    ) -> Result<Self, SpamiError> {
        options.validate(modalities.len())?;
        check_features(modalities, graph)?;
        let n_obs = graph.n_obs();
        if let Some(slices) = slices {
            if slices.len() != n_obs {
                let what = "the list of slices".to_owned();
                return Err(SpamiError::SpotMismatch { what, found: slices.len(), expected: n_obs });
            }
            graph.check_slices(slices)?;
        }
        let widths: Vec<usize> = modalities.iter().map(ArrayView2::ncols).collect();
        let (mut parameters, layout) = network::parameters::<f32>(options, &widths, seed);
        let adam_options = AdamOptions {
            learning_rate: options.learning_rate,
            weight_decay: options.weight_decay,
            ..AdamOptions::default()
        };
        let mut adam = Adam::new(adam_options, &parameters);
        let mut epochs = Vec::with_capacity(options.epochs.min(1 << 16));
        if let Some(checkpoint) = resume {
            let done = checkpoint.epochs.len();
            if done > options.epochs {
                return Err(SpamiError::CheckpointBeyondEnd { found: done, expected: options.epochs });
            }
            for (moments, saved) in [
                (&mut adam.first_moments, &checkpoint.first_moments),
                (&mut adam.second_moments, &checkpoint.second_moments),
            ] {
                fill(&mut parameters, saved)?;
                for (moment, parameter) in moments.iter_mut().zip(parameters.iter()) {
                    moment.copy_from_slice(&parameter.value);
                }
            }
            fill(&mut parameters, &checkpoint.parameters)?;
            adam.steps = done as u64;
            epochs.extend(checkpoint.epochs);
        }
        let (tape, nodes) = network::write(options, &layout, &graph.operators, n_obs, true);
        let permuted = if nodes.contrast.iter().any(Option::is_some) { widths.len() } else { 0 };
        Ok(Self {
            parameters,
            adam,
            tape: tape.build(true),
            nodes,
            members: members(slices, n_obs),
            permutations: vec![(0..n_obs as u32).collect(); permuted],
            epochs,
            seed,
            learning_rate: options.learning_rate,
        })
    }

    fn epoch(&mut self, features: &[crate::nn::Mat<'_, f32>]) -> Result<(), SpamiError> {
        let done = self.epochs.len() as u64;
        let n = features.len() as u64;
        for (m, permutation) in self.permutations.iter_mut().enumerate() {
            permute(permutation, &self.members, self.seed, done * n + m as u64);
        }
        let indices: Vec<&[u32]> = self.permutations.iter().map(Vec::as_slice).collect();
        let seed = self.seed.derive("spami/epoch", done);
        let step = Step { seed, training: true, inputs: features, indices: &indices };
        let loss = self.tape.run(&step, &mut self.parameters);
        let value = |id: &Option<_>| id.map_or(0.0, |id| self.tape.loss(id));
        let epoch = SpamiEpoch {
            loss,
            contrast: self.nodes.contrast.iter().map(value).collect(),
            reconstruction: self.nodes.reconstruction.iter().map(value).collect(),
            cosine: value(&self.nodes.cosine),
        };
        self.check_finite(&epoch)?;
        self.adam.step(&mut self.parameters);
        self.epochs.push(epoch);
        Ok(())
    }

    /// Before the step, so that the caller's last checkpoint is whole.
    fn check_finite(&self, epoch: &SpamiEpoch) -> Result<(), SpamiError> {
        let contrast = epoch.contrast.iter().enumerate().map(|(m, &v)| (format!("contrast {m}"), v));
        let reconstruction =
            epoch.reconstruction.iter().enumerate().map(|(m, &v)| (format!("reconstruction {m}"), v));
        let rest = [("cosine".to_owned(), epoch.cosine), ("total".to_owned(), epoch.loss)];
        match reconstruction.chain(contrast).chain(rest).find(|(_, v)| !v.is_finite()) {
            None => Ok(()),
            Some((term, value)) => Err(SpamiError::NonFiniteLoss {
                epoch: self.epochs.len() + 1,
                term,
                value,
                learning_rate: self.learning_rate,
            }),
        }
    }

    fn checkpoint(&self) -> SpamiCheckpoint {
        SpamiCheckpoint {
            parameters: named(&self.parameters, |k| &self.parameters.get(k).value),
            first_moments: named(&self.parameters, |k| &self.adam.first_moments[k]),
            second_moments: named(&self.parameters, |k| &self.adam.second_moments[k]),
            epochs: self.epochs.clone(),
        }
    }
}

/// Spots by slice; slices in order of their label.
fn members(slices: Option<&[u32]>, n_obs: usize) -> Vec<Vec<u32>> {
    let Some(slices) = slices else { return vec![(0..n_obs as u32).collect()] };
    let mut groups = std::collections::BTreeMap::<u32, Vec<u32>>::new();
    for (i, &slice) in slices.iter().enumerate() {
        groups.entry(slice).or_default().push(i as u32);
    }
    groups.into_values().collect()
}

/// A fresh permutation of the spots of every slice among themselves.
fn permute(permutation: &mut [u32], members: &[Vec<u32>], seed: Seed, index: u64) {
    let mut draws = seed.stream("spami/corruption", index);
    for group in members {
        // The places of a group are its spots in rising order; a shuffled copy says who comes from where.
        let mut shuffled = group.clone();
        shuffled.shuffle(&mut draws);
        for (&place, &source) in group.iter().zip(&shuffled) {
            permutation[place as usize] = source;
        }
    }
}

/// Whether the best loss lies `patience` epochs back.
fn no_longer_falls(epochs: &[SpamiEpoch], stop: EarlyStopping) -> bool {
    let mut best = f64::INFINITY;
    let mut since = 0;
    for epoch in epochs {
        if epoch.loss < best - stop.min_delta || best == f64::INFINITY {
            best = epoch.loss;
            since = 0;
        } else {
            since += 1;
        }
    }
    since >= stop.patience
}
