//! Networks trained, one or several, with checkpoints on the way.

use std::path::Path;

use brodmann_kernels::{Monitor, Seed};
use ndarray::Array2;
use serde_json::{Value as Json, json};

use super::model_file::options_json;
use super::request::{StaigRequest, in_flags};
use crate::models::staig::{
    Negatives, StaigCheckpoint, StaigEpoch, StaigModel, StaigOptions, StaigProgress, StaigTissue, train,
};
use crate::pipeline::PipelineError;
use crate::pipeline::checkpoint::{CheckpointFile, TrainingState};

/// One trained network.
pub(super) struct Trained {
    /// What it was trained from.
    pub seed: Seed,
    /// The network.
    pub model: StaigModel,
    /// `(n_obs, width)`.
    pub embedding: Array2<f32>,
    /// One entry per epoch.
    pub epochs: Vec<StaigEpoch>,
    /// How negatives were summed.
    pub negatives: Negatives,
}

/// The seeds of several runs; the first is the seed itself, so that one run is the first of many.
pub(super) fn seeds(seed: Seed, restarts: usize) -> Vec<Seed> {
    (0..restarts).map(|r| if r == 0 { seed } else { seed.derive("staig/restart", r as u64) }).collect()
}

/// The checkpoint of each run.
pub(super) fn file(restart: usize) -> CheckpointFile {
    let name = match restart {
        0 => "staig.checkpoint.safetensors".to_owned(),
        r => format!("staig-{r}.checkpoint.safetensors"),
    };
    CheckpointFile { name, kind: "staig-checkpoint", expected: "a checkpoint of STAIG" }
}

/// Trains a network from each seed.
///
/// Checkpoints: one file a network. With `resume`, finished networks are read back, the one that was interrupted goes
/// on, those that were not begun begin.
pub(super) fn train_all(
    tissue: &StaigTissue<'_>,
    request: &StaigRequest,
    options: &StaigOptions,
    data_hash: &str,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Vec<Trained>, PipelineError> {
    let seeds = seeds(seed, request.restarts);
    let mut trained = Vec::with_capacity(seeds.len());
    for (restart, &seed) in seeds.iter().enumerate() {
        if seeds.len() > 1 {
            monitor.note(&format!("network {} of {}", restart + 1, seeds.len()));
        }
        let run = describe(tissue, options, data_hash, seed);
        let resume = match request.checkpoint.as_ref().filter(|c| c.resume) {
            None => None,
            Some(c) => match read(&c.folder, restart, &run) {
                // Interrupted before this network was begun.
                Err(PipelineError::NoCheckpoint { .. }) if restart > 0 => None,
                state => Some(state?),
            },
        };
        if let Some(state) = &resume {
            monitor.note(&format!("going on after epoch {}", state.epochs.len()));
        }
        let last = options.epochs;
        let mut on_epoch = |progress: &StaigProgress<'_>| -> Result<(), PipelineError> {
            match &request.checkpoint {
                Some(c) if c.is_due(progress.epoch, last) => {
                    file(restart).write(&c.folder, &run, state_of(progress.checkpoint()))
                }
                _ => Ok(()),
            }
        };
        let fit =
            train(tissue, options, seed, resume, &mut on_epoch, monitor).map_err(|error| match error {
                PipelineError::Staig(error) => in_flags(error),
                other => other,
            })?;
        let (model, embedding) = (fit.model, fit.embedding);
        trained.push(Trained { seed, model, embedding, epochs: fit.epochs, negatives: fit.negatives });
    }
    Ok(trained)
}

/// What must be the same for a checkpoint to be continued: everything but the number of epochs.
fn describe(tissue: &StaigTissue<'_>, options: &StaigOptions, data_hash: &str, seed: Seed) -> Json {
    let mut options = options_json(options);
    if let Some(entries) = options.as_object_mut() {
        entries.remove("epochs");
    }
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "seed": seed.0,
        "data_hash": data_hash,
        "n_obs": tissue.n_obs(),
        "n_features": tissue.features.n_cols(),
        "options": options,
    })
}

fn state_of(checkpoint: StaigCheckpoint) -> TrainingState {
    let mut epochs = Array2::<f64>::zeros((checkpoint.epochs.len(), 2));
    for (mut row, epoch) in epochs.rows_mut().into_iter().zip(&checkpoint.epochs) {
        row[0] = epoch.loss;
        row[1] = epoch.bound;
    }
    let StaigCheckpoint { parameters, first_moments, second_moments, .. } = checkpoint;
    TrainingState { parameters, first_moments, second_moments, epochs }
}

fn read(folder: &Path, restart: usize, run: &Json) -> Result<StaigCheckpoint, PipelineError> {
    let TrainingState { parameters, first_moments, second_moments, epochs } =
        file(restart).read(folder, run, 2)?;
    let epochs = epochs.rows().into_iter().map(|row| StaigEpoch { loss: row[0], bound: row[1] }).collect();
    Ok(StaigCheckpoint { parameters, first_moments, second_moments, epochs })
}
