//! The network trained, with checkpoints on the way.

use brodmann_kernels::{Seed, Slices};
use ndarray::ArrayView2;
use serde_json::{Value as Json, json};

use super::inputs::Input;
use super::request::SpamiRequest;
use crate::models::spami::prior::{Guidance, LabelHead, Trust};
use crate::models::spami::{SpamiEpoch, SpamiGraph, SpamiModel, SpamiOptions, train, train_guided};
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

/// The network and how it got there.
pub(super) struct Trained {
    pub model: SpamiModel,
    pub epochs: Vec<SpamiEpoch>,
    pub stopped_early: bool,
    /// Of a training that a reference guided: what tells its labels apart, and what the last anchors were worth.
    pub head: Option<(LabelHead, Trust)>,
}

/// A modality in the identity of a checkpoint.
pub(super) fn shown(input: &Input) -> String {
    format!("{} {} {} {}", input.info.name, input.info.kind.name(), input.values.ncols(), input.method())
}

/// What a checkpoint belongs to: whatever shapes the features or the loss, and the input's content.
pub(super) fn identity(
    request: &SpamiRequest,
    options: &SpamiOptions,
    (n_obs, modalities): (usize, Vec<String>),
    guided: bool,
    data_hash: &str,
    seed: Seed,
) -> Json {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "seed": seed.0,
        "data_hash": data_hash,
        "n_obs": n_obs,
        "modalities": modalities,
        "request": request.shaping(options),
        "prior": guided.then(|| json!({ "options": request.prior_options, "modality": request.prior.prior_modality })),
    })
}

/// Trains the network on the inputs, or goes on from a checkpoint; `guidance`: of a reference that is trusted.
pub(super) fn train_network(
    (request, options): (&SpamiRequest, &SpamiOptions),
    inputs: &[Input],
    (graph, slices): (&SpamiGraph, Option<&Slices>),
    guidance: Option<&Guidance<'_>>,
    data_hash: &str,
    run: &mut Run<'_>,
) -> Result<Trained, PipelineError> {
    let (seed, monitor) = (run.seed, run.monitor);
    let checkpoint = request.models.checkpoints();
    let of = (inputs.first().map_or(0, |i| i.values.nrows()), inputs.iter().map(shown).collect());
    let checkpoints = Checkpoints {
        request: checkpoint.as_ref(),
        file: file(),
        run: identity(request, options, of, guidance.is_some(), data_hash, seed),
        width: SpamiEpoch::width(inputs.len(), guidance.is_some()),
        last: options.epochs,
    };
    let resume = checkpoints.resume(monitor)?;
    let views: Vec<ArrayView2<'_, f32>> = inputs.iter().map(|i| i.values.view()).collect();
    let mut on_epoch = |progress: &Progress<'_>| checkpoints.after_epoch(progress);
    let mut head = None;
    let fit = run.timed(Stage::Train, || {
        let Some(guidance) = guidance else {
            return train::<PipelineError>(
                &views,
                graph,
                slices,
                options,
                seed,
                resume,
                &mut on_epoch,
                monitor,
            );
        };
        let guided = train_guided::<PipelineError>(
            &views,
            graph,
            slices,
            options,
            guidance,
            seed,
            resume,
            &mut on_epoch,
            monitor,
        )?;
        head = Some((guided.head, guided.trust));
        Ok(guided.fit)
    })?;
    if fit.stopped_early {
        monitor.note(&format!("the loss no longer falls: stopped after epoch {}", fit.epochs.len()));
    }
    Ok(Trained { model: fit.model, epochs: fit.epochs, stopped_early: fit.stopped_early, head })
}
