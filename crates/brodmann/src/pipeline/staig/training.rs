//! Networks trained, one or several, with checkpoints on the way.

use brodmann_kernels::Seed;
use ndarray::Array2;
use serde_json::{Value as Json, json};

use super::request::StaigRequest;
use crate::models::staig::{Negatives, StaigEpoch, StaigModel, StaigOptions, StaigTissue, train};
use crate::nn::Progress;
use crate::pipeline::PipelineError;
use crate::pipeline::checkpoint::{CheckpointFile, Checkpoints};
use crate::pipeline::run::Run;

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
/// Checkpoints: one file per network. With `resume`, finished networks are read back, the one that was interrupted goes
/// on, those that were not begun begin.
pub(super) fn train_all(
    tissue: &StaigTissue<'_>,
    request: &StaigRequest,
    options: &StaigOptions,
    data_hash: &str,
    run: &Run<'_>,
) -> Result<Vec<Trained>, PipelineError> {
    let monitor = run.monitor;
    let seeds = seeds(run.seed, request.training.restarts);
    let checkpoint = request.models.checkpoints();
    let mut trained = Vec::with_capacity(seeds.len());
    for (restart, &seed) in seeds.iter().enumerate() {
        if seeds.len() > 1 {
            monitor.note(&format!("network {} of {}", restart + 1, seeds.len()));
        }
        let checkpoints = Checkpoints {
            request: checkpoint.as_ref(),
            file: file(restart),
            run: identity((tissue.n_obs(), tissue.features.n_cols()), request, options, data_hash, seed),
            width: StaigEpoch::WIDTH,
            last: options.epochs,
        };
        let resume = match checkpoints.resume(monitor) {
            // Interrupted before this network was begun.
            Err(PipelineError::NoCheckpoint { .. }) if restart > 0 => None,
            state => state?,
        };
        let mut on_epoch = |progress: &Progress<'_>| checkpoints.after_epoch(progress);
        let fit = train::<PipelineError>(tissue, options, seed, resume, &mut on_epoch, monitor)?;
        let (model, embedding) = (fit.model, fit.embedding);
        trained.push(Trained { seed, model, embedding, epochs: fit.epochs, negatives: fit.negatives });
    }
    Ok(trained)
}

/// What a checkpoint belongs to: whatever shapes the features or the loss, and the input's content.
pub(super) fn identity(
    (n_obs, n_features): (usize, usize),
    request: &StaigRequest,
    options: &StaigOptions,
    data_hash: &str,
    seed: Seed,
) -> Json {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "seed": seed.0,
        "data_hash": data_hash,
        "n_obs": n_obs,
        "n_features": n_features,
        "request": request.shaping(options),
    })
}
