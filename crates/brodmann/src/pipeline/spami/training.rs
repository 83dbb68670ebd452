//! The network trained, with checkpoints on the way.

use brodmann_kernels::Slices;
use ndarray::ArrayView2;
use serde_json::{Value as Json, json};

use super::inputs::Input;
use super::request::SpamiRequest;
use crate::models::spami::{SpamiEpoch, SpamiGraph, SpamiModel, SpamiOptions, train};
use crate::nn::Progress;
use crate::pipeline::PipelineError;
use crate::pipeline::checkpoint::{CheckpointFile, Checkpoints};
use crate::pipeline::run::{Run, Stage};

/// The checkpoint in the folder.
pub(super) fn file() -> CheckpointFile {
    CheckpointFile {
        name: "spami.checkpoint.safetensors".to_owned(),
        kind: "spami-checkpoint",
        expected: "a checkpoint of SpaMI",
    }
}

/// The network, its epochs, and whether early stopping ended them.
type Trained = (SpamiModel, Vec<SpamiEpoch>, bool);

/// What a checkpoint belongs to: whatever shapes the features or the loss, and the input's content.
fn identity(
    request: &SpamiRequest,
    options: &SpamiOptions,
    inputs: &[Input],
    data_hash: &str,
    run: &Run<'_>,
) -> Json {
    let shown =
        |i: &Input| format!("{} {} {} {}", i.info.name, i.info.kind.name(), i.values.ncols(), i.method());
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "seed": run.seed.0,
        "data_hash": data_hash,
        "n_obs": inputs.first().map_or(0, |i| i.values.nrows()),
        "modalities": inputs.iter().map(shown).collect::<Vec<_>>(),
        "request": request.shaping(options),
    })
}

/// Trains the network on the inputs, or goes on from a checkpoint.
pub(super) fn train_network(
    request: &SpamiRequest,
    options: &SpamiOptions,
    inputs: &[Input],
    graph: &SpamiGraph,
    slices: Option<&Slices>,
    data_hash: &str,
    run: &mut Run<'_>,
) -> Result<Trained, PipelineError> {
    let (seed, monitor) = (run.seed, run.monitor);
    let checkpoint = request.models.checkpoints();
    let checkpoints = Checkpoints {
        request: checkpoint.as_ref(),
        file: file(),
        run: identity(request, options, inputs, data_hash, run),
        width: SpamiEpoch::width(inputs.len()),
        last: options.epochs,
    };
    let resume = checkpoints.resume(monitor)?;
    let views: Vec<ArrayView2<'_, f32>> = inputs.iter().map(|i| i.values.view()).collect();
    let mut on_epoch = |progress: &Progress<'_>| checkpoints.after_epoch(progress);
    let fit = run.timed(Stage::Train, || {
        train::<PipelineError>(&views, graph, slices, options, seed, resume, &mut on_epoch, monitor)
    })?;
    if fit.stopped_early {
        monitor.note(&format!("the loss no longer falls: stopped after epoch {}", fit.epochs.len()));
    }
    Ok((fit.model, fit.epochs, fit.stopped_early))
}
