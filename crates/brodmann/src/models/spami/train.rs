//! Epochs, corruption, checkpoints, early stopping.

use brodmann_kernels::{Monitor, Seed, Slices};
use ndarray::ArrayView2;
use rand::seq::SliceRandom;

use super::checks::{check_features, matrices, standard};
use super::error::SpamiError;
use super::graph::SpamiGraph;
use super::model::SpamiModel;
use super::network::{self, Nodes};
use super::options::SpamiOptions;
use crate::nn::{
    AdamOptions, Column, LossId, Mat, Network, Parameters, Progress, Schedule, Step, Stop, Tape, Trainer,
    TrainingState,
};

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

impl SpamiEpoch {
    /// Numbers per epoch of a network for so many modalities: the columns of its history.
    pub const fn width(n_modalities: usize) -> usize {
        2 + 2 * n_modalities
    }

    /// The losses of one row of the history.
    ///
    /// # Panics
    /// When the row has fewer than two numbers.
    pub fn from_row(row: &[f64]) -> Self {
        let (contrast, reconstruction) = row[2..].split_at((row.len() - 2) / 2);
        Self {
            loss: row[0],
            cosine: row[1],
            contrast: contrast.to_vec(),
            reconstruction: reconstruction.to_vec(),
        }
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
///
/// # Example
///
/// ```
/// use brodmann::models::spami::{SpamiError, SpamiGraph, SpamiOptions, train};
/// use brodmann_kernels::{Seed, Silent};
/// use ndarray::Array2;
///
/// // Twelve spots in a ring, each the neighbour of the next; two modalities of four and three features.
/// let ring: Vec<Vec<u32>> = (0..12).map(|i| vec![(i + 1) % 12]).collect();
/// let graph = SpamiGraph::new(&ring)?;
/// let features = |width: usize| Array2::from_shape_fn((12, width), |(i, j)| ((i / 6 + j) % 2) as f32 - 0.5);
/// let (rna, adt) = (features(4), features(3));
/// let options = SpamiOptions { epochs: 20, hidden: 8, latent: 4, ..Default::default() };
/// let modalities = [rna.view(), adt.view()];
/// let fit = train::<SpamiError>(&modalities, &graph, None, &options, Seed(0), None, &mut |_| Ok(()), &Silent)?;
/// assert_eq!(fit.epochs.len(), 20);
/// assert!(fit.epochs[19].loss < fit.epochs[0].loss);
/// # Ok::<(), SpamiError>(())
/// ```
// Data, options, seed, and three ways to follow the work: all the caller's, and none goes with another.
#[expect(clippy::too_many_arguments)]
pub fn train<E: From<SpamiError>>(
    modalities: &[ArrayView2<'_, f32>],
    graph: &SpamiGraph,
    slices: Option<&Slices>,
    options: &SpamiOptions,
    seed: Seed,
    resume: Option<TrainingState>,
    on_epoch: &mut dyn FnMut(&Progress<'_>) -> Result<(), E>,
    monitor: &dyn Monitor,
) -> Result<SpamiFit, E> {
    let features = standard(modalities);
    let features = matrices(&features);
    let mut trainer = trainer(modalities, &features, graph, slices, options, seed)?;
    if let Some(state) = resume {
        trainer.resume(&state, options.epochs).map_err(SpamiError::from)?;
    }
    let schedule = Schedule { epochs: options.epochs, early_stopping: options.early_stopping };
    let stopped_early = trainer.run(&schedule, on_epoch, monitor)?;
    let widths = modalities.iter().map(ArrayView2::ncols).collect();
    let model = SpamiModel::new(options.clone(), seed, widths, trainer.parameters());
    let epochs = trainer.history().iter().map(|row| SpamiEpoch::from_row(row)).collect();
    Ok(SpamiFit { model, epochs, stopped_early })
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
    let mut trainer = trainer(modalities, &features, graph, None, options, seed)?;
    let epoch = |trainer: &mut Trainer<SpamiNetwork<'_>>| -> Result<(), SpamiError> {
        let gradients = trainer.gradients()?;
        trainer.apply(&gradients);
        Ok(())
    };
    epoch(&mut trainer)?;
    trainer.network_mut().tape.profile();
    let start = std::time::Instant::now();
    for _ in 0..options.epochs {
        epoch(&mut trainer)?;
    }
    let each = 1.0 / options.epochs as f64;
    let total = start.elapsed().as_secs_f64() * each;
    let timings = trainer.network().tape.timings().into_iter();
    let mut steps: Vec<SpamiStep> =
        timings.map(|(op, pass, seconds)| SpamiStep { op, pass, seconds: seconds * each }).collect();
    let rest = total - steps.iter().map(|s| s.seconds).sum::<f64>();
    steps.push(SpamiStep { op: "adam", pass: "rest", seconds: rest });
    Ok(steps)
}

/// The network with its data, before the first epoch.
fn trainer<'a>(
    modalities: &[ArrayView2<'_, f32>],
    features: &'a [Mat<'a, f32>],
    graph: &SpamiGraph,
    slices: Option<&Slices>,
    options: &SpamiOptions,
    seed: Seed,
) -> Result<Trainer<SpamiNetwork<'a>>, SpamiError> {
    options.validate(modalities.len())?;
    check_features(modalities, graph)?;
    let n_obs = graph.n_obs();
    if let Some(slices) = slices {
        if slices.n_obs() != n_obs {
            let what = "the list of slices".to_owned();
            return Err(SpamiError::SpotMismatch { what, found: slices.n_obs(), expected: n_obs });
        }
        graph.check_slices(slices)?;
    }
    let widths: Vec<usize> = modalities.iter().map(ArrayView2::ncols).collect();
    let (parameters, layout) = network::parameters::<f32>(options, &widths, seed);
    let (tape, nodes) = network::write(options, &layout, &graph.operators, n_obs, true);
    let permuted = if nodes.contrast.iter().any(Option::is_some) { widths.len() } else { 0 };
    let network = SpamiNetwork {
        tape: tape.build(true),
        nodes,
        features,
        members: slices.map_or_else(|| Slices::one(n_obs), Slices::clone).rows().to_vec(),
        permutations: vec![(0..n_obs as u32).collect(); permuted],
        seed,
        learning_rate: options.learning_rate,
    };
    let adam = AdamOptions {
        learning_rate: options.learning_rate,
        weight_decay: options.weight_decay,
        ..AdamOptions::default()
    };
    Ok(Trainer::new(network, parameters, adam))
}

/// One part, whatever the number of slices: its losses are means over all spots at once.
struct SpamiNetwork<'a> {
    tape: Tape<'static, f32>,
    nodes: Nodes,
    features: &'a [Mat<'a, f32>],
    /// Spots of each slice.
    members: Vec<Vec<u32>>,
    permutations: Vec<Vec<u32>>,
    seed: Seed,
    learning_rate: f64,
}

impl SpamiNetwork<'_> {
    /// The first term that is not finite, the total last.
    fn check_finite(&self, epoch: u64, numbers: &[f64]) -> Result<(), SpamiError> {
        let row = SpamiEpoch::from_row(numbers);
        let contrast = row.contrast.iter().enumerate().map(|(m, &v)| (format!("contrast {m}"), v));
        let reconstruction =
            row.reconstruction.iter().enumerate().map(|(m, &v)| (format!("reconstruction {m}"), v));
        let rest = [("cosine".to_owned(), row.cosine), ("total".to_owned(), row.loss)];
        match reconstruction.chain(contrast).chain(rest).find(|(_, v)| !v.is_finite()) {
            None => Ok(()),
            Some((term, value)) => Err(SpamiError::NonFiniteLoss {
                epoch: epoch as usize + 1,
                term,
                value,
                learning_rate: self.learning_rate,
            }),
        }
    }
}

impl Network for SpamiNetwork<'_> {
    type Error = SpamiError;

    fn columns(&self) -> Vec<Column> {
        let each =
            |term: &'static str| (0..self.features.len()).map(move |m| Column::sum(format!("{term}_{m}")));
        let first = [Column::sum("loss"), Column::sum("cosine")];
        first.into_iter().chain(each("contrast")).chain(each("reconstruction")).collect()
    }

    fn pass(
        &mut self,
        _part: usize,
        epoch: u64,
        parameters: &mut Parameters<f32>,
    ) -> Result<Vec<f64>, SpamiError> {
        let n = self.features.len() as u64;
        for (m, permutation) in self.permutations.iter_mut().enumerate() {
            permute(permutation, &self.members, self.seed, epoch * n + m as u64);
        }
        let indices: Vec<&[u32]> = self.permutations.iter().map(Vec::as_slice).collect();
        let seed = self.seed.derive("spami/epoch", epoch);
        let step = Step { indices: &indices, ..Step::training(seed, self.features) };
        let learning_rate = self.learning_rate;
        let loss = self.tape.run(&step, parameters).map_err(|stop| match stop {
            Stop::Interrupted(interrupted) => SpamiError::Interrupted(interrupted),
            Stop::Diverged { loss, .. } => SpamiError::NonFiniteLoss {
                epoch: epoch as usize + 1,
                term: "total".to_owned(),
                value: loss,
                learning_rate,
            },
        })?;
        let value = |id: &Option<LossId>| id.map_or(0.0, |id| self.tape.loss(id));
        let terms = self.nodes.contrast.iter().chain(&self.nodes.reconstruction).map(value);
        let numbers: Vec<f64> = [loss, value(&self.nodes.cosine)].into_iter().chain(terms).collect();
        self.check_finite(epoch, &numbers)?;
        Ok(numbers)
    }
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
