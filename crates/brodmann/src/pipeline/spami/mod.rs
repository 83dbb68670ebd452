//! SpaMI, from a file of counts of several omics to embedding, domains and denoised expression.
//!
//! ```text
//! counts ─ features ─┐                       ┌─ embedding ─ domains
//! coordinates ─ graph┴─ network (train|load) ┼─ attention
//!                                            └─ reconstruction ─ denoised
//! ```
//!
//! * [`features`]: counts to what the network sees, and back; on arrays.
//! * [`request`]: what a caller asks for.
//! * [`model_file`]: a trained network as a file.
//! * `inputs`: modalities, features and graph of a tissue.
//! * `checkpoint`: training saved on the way.
//! * `denoised`: denoised expression as a layer.
//! * `record`: results and parameters into the file.

mod checkpoint;
mod denoised;
pub mod features;
mod inputs;
pub mod model_file;
mod record;
pub mod request;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use brodmann_data::{Additions, DataError, ReadOptions, Select, keys};
use brodmann_kernels::{Monitor, Seed};
use ndarray::{Array2, ArrayView2, Axis};
use serde_json::{Value as Json, json};

pub use super::checkpoint::CheckpointRequest;
pub use denoised::AUTO_BYTES;
pub use request::{Denoise, SpamiRequest};

use self::inputs::{Input, Source};
use self::model_file::{CardOf, SavedModality, SavedModel, SavedSource, options_json};
use self::request::{CLUSTER_COMPONENTS, CLUSTER_NEIGHBORS, in_flags};
use super::embedding_clusters::cluster_rows;
use super::evaluation::{self, TruthScores};
use super::memory::{available_bytes, in_words};
use super::request::check_key_added;
use super::tensor_file::check_model_place;
use super::tissue::{Destination, ModalityInfo, Tissue};
use super::{PipelineError, Seconds, timed};
use crate::embedding::{UmapOptions, umap};
use crate::graph::{NeighborsOptions, neighbors};
use crate::models::spami::{
    Fusion, SpamiEpoch, SpamiGraph, SpamiModel, SpamiOptions, SpamiProgress, memory_bytes, train,
};
use crate::preprocess::pca_dense;

/// Fewest observations a run is done on.
const MIN_OBS: usize = 3;

/// One modality as it entered the network.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct SpamiModality {
    /// Its name.
    pub name: String,
    /// What it measures: `rna`, `adt`, `atac`.
    pub kind: &'static str,
    /// How its features were made: `pca`, `clr`, `lsi`, `identity`, or the `obsm` key.
    pub features: String,
    /// Features in the file.
    pub n_vars: usize,
    /// Features the network's features rest on; `None` for an embedding.
    pub n_selected: Option<usize>,
    /// Columns the network sees.
    pub n_features: usize,
    /// Mean attention over the spots; `None` without attention.
    pub mean_attention: Option<f64>,
    /// Whether a denoised layer was written.
    pub denoised: bool,
}

/// The losses after the last epoch, unweighted but for their sum.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct SpamiLosses {
    /// The weighted sum.
    pub loss: f64,
    /// Contrast by modality.
    pub contrast: BTreeMap<String, f64>,
    /// Reconstruction by modality.
    pub reconstruction: BTreeMap<String, f64>,
    /// Agreement of the modalities.
    pub cosine: f64,
}

/// What a run did.
#[derive(Clone, Debug, serde::Serialize)]
pub struct SpamiReport {
    /// Observations.
    pub n_obs: usize,
    /// Domains found.
    pub n_clusters: usize,
    /// Whether the number asked for was reached; true when none was asked for.
    pub n_clusters_reached: bool,
    /// Quality of Leiden (higher is better) or inertia of k-means (lower is better).
    pub quality: f64,
    /// How the embedding was clustered.
    pub cluster_method: &'static str,
    /// Size of each domain, largest first.
    pub sizes: Vec<usize>,
    /// `obs` column and `uns` entry written.
    pub key_added: String,
    /// `obsm` key of the embedding.
    pub use_rep: String,
    /// The modalities.
    pub modalities: Vec<SpamiModality>,
    /// Epochs trained, those before a resumption counted; 0 with a loaded model.
    pub n_epochs: usize,
    /// Whether early stopping ended training.
    pub stopped_early: bool,
    /// After the last epoch; `None` with a loaded model.
    pub losses: Option<SpamiLosses>,
    /// Forecast of the memory of training.
    pub forecast_bytes: u64,
    /// Wall-clock seconds of each stage.
    pub seconds: Seconds,
    /// Agreement with the known domains, where there are any.
    pub metrics: Option<TruthScores>,
}

/// Integrates the modalities of `input` and writes embedding, attention, domains and denoised expression.
///
/// # Inputs
/// `input`: `.h5mu` of several modalities, or `.h5ad` of one, with raw counts and coordinates.
/// # Returns
/// The report; the output holds, with `key` = `request.key_added`: `obsm["X_key"]`,
/// `obsm["key_attention"]` (a table, one column a modality), `obsm["X_key_umap"]` on request, `obs[key]`, `layers["key_denoised"]` and
/// `var["key_denoised"]` of each modality, `uns[key]` (parameters, losses, version, seconds).
/// # Errors
/// [`PipelineError`]; no output is written then.
/// # Source
/// Gao et al. 2025 (SpaMI).
pub fn integrate(
    input: &Path,
    destination: &Destination,
    request: &SpamiRequest,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<SpamiReport, PipelineError> {
    let mut read = 0.0;
    let saved = request.load_model.as_deref().map(model_file::load).transpose()?;
    let tissue = timed(&mut read, || {
        Tissue::open(input, &elements(request, saved.as_ref()), request.features.modality, monitor)
    })?;
    tissue.check_destination(destination)?;
    let (mut report, additions) = integrate_with(&tissue, request, saved, seed, monitor)?;
    report.seconds.read += read;
    timed(&mut report.seconds.write, || tissue.write(destination, &additions, monitor))?;
    Ok(report)
}

/// [`integrate`] for a tissue in memory: what would be added to its file is returned.
///
/// # Inputs
/// `tissue`: with the counts (or the embeddings that the request names), coordinates and slices loaded.
/// # Returns
/// The report, and the elements to add under the keys [`integrate`] lists.
/// # Errors
/// [`PipelineError`].
pub fn integrate_tissue(
    tissue: &Tissue,
    request: &SpamiRequest,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<(SpamiReport, Additions), PipelineError> {
    let saved = request.load_model.as_deref().map(model_file::load).transpose()?;
    integrate_with(tissue, request, saved, seed, monitor)
}

fn integrate_with(
    tissue: &Tissue,
    request: &SpamiRequest,
    saved: Option<SavedModel>,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<(SpamiReport, Additions), PipelineError> {
    let mut seconds = Seconds::default();
    let n_obs = tissue.n_obs();
    if n_obs < MIN_OBS {
        return Err(PipelineError::TooFewObservations { n_obs, expected: MIN_OBS });
    }
    request.check(n_obs)?;
    let truth_key = evaluation::truth_key(tissue, request.truth.as_deref())?;
    check_key_added(&request.key_added, &[truth_key.as_deref(), request.library_key.as_deref()])?;
    if let Some(path) = &request.save_model {
        check_model_place(path)?;
    }
    let (modalities, options) = if let Some(saved) = &saved {
        (matching(tissue, saved, request, monitor)?, saved.model.options().clone())
    } else {
        let modalities = inputs::choose(tissue, request, monitor)?;
        let names: Vec<String> = modalities.iter().map(|m| m.name.clone()).collect();
        let kinds: Vec<_> = modalities.iter().map(|m| m.kind).collect();
        let options = request.options_for(&names, &kinds)?;
        (modalities, options)
    };
    if request.save_model.is_some() {
        for info in &modalities {
            check_names(tissue, info)?;
        }
    }
    let forecast = check_memory(tissue, &modalities, request, saved.as_ref(), &options, monitor)?;
    let slices = tissue.slices(request.library_key.as_deref())?;
    // Space first: a tissue without coordinates is refused before the expensive stages.
    let (graph, mut fingerprint) =
        inputs::graph(tissue, request, options.n_neighbors, slices.as_deref(), &mut seconds, monitor)?;
    if let Some(checkpoint) = &request.checkpoint {
        checkpoint.prepare(&checkpoint::file())?;
    }

    let mut inputs: Vec<Input> = Vec::with_capacity(modalities.len());
    for (m, info) in modalities.iter().enumerate() {
        let slices = slices.as_deref();
        let made = if let Some(s) = &saved {
            let saved = &s.modalities[m];
            let made = inputs::project(tissue, info, saved, request, &mut seconds, monitor)?;
            // Of an embedding in another slice not even the width is known; the network refuses it by that.
            match saved.balance.clone().filter(|b| b.center.len() == made.values.ncols()) {
                Some(balance) => made.balanced(Some(balance)),
                None => made,
            }
        } else {
            let made = inputs::prepare(tissue, info, request, slices, seed, &mut seconds, monitor)?;
            if request.balances() { made.balanced(None) } else { made }
        };
        fingerprint = fingerprint.text(&made.info.name).text(&made.data_hash);
        inputs.push(made);
    }
    let data_hash = fingerprint.hex();
    if saved.is_none() && inputs.len() > 1 {
        monitor.note(if request.balances() {
            "features of all modalities brought to one scale (--balance false leaves them as they are)"
        } else {
            "features of the modalities left on their own scales (--balance true brings them to one)"
        });
    }

    let (model, history) = if let Some(saved) = saved {
        (saved.model, History::default())
    } else {
        let run = Run { request, options: &options, data_hash: &data_hash, seed };
        let (model, epochs, stopped_early) =
            timed(&mut seconds.train, || run.train(&inputs, &graph, slices.as_deref(), monitor))?;
        (model, History { epochs, stopped_early })
    };
    monitor.stage("applying the network", 0);
    let views: Vec<ArrayView2<'_, f32>> = inputs.iter().map(|i| i.values.view()).collect();
    let output = timed(&mut seconds.train, || model.apply(&views, &graph, monitor)).map_err(in_flags)?;
    if let Some(path) = &request.save_model {
        let about = CardOf {
            n_obs,
            n_epochs: history.epochs.len(),
            stopped_early: history.stopped_early,
            loss: history.epochs.last().map(|e| e.loss),
            data_hash: &data_hash,
        };
        let saved: Vec<SavedModality> = inputs.iter().map(|i| to_save(tissue, i)).collect();
        timed(&mut seconds.write, || model_file::save(path, &model, &saved, &about))?;
        monitor.note(&format!("model written to {}", path.display()));
    }

    let reduced = timed(&mut seconds.cluster, || reduce(&output.embedding))?;
    let clustered = cluster_rows(reduced.view(), &request.cluster, seed, &mut seconds, monitor)?;
    let n_clusters = clustered.labels.iter().max().map_or(0, |m| *m as usize + 1);
    let metrics =
        truth_key.as_ref().map(|key| evaluation::score_truth(tissue, key, &clustered.labels)).transpose()?;
    let mut sizes = vec![0usize; n_clusters];
    for &label in &clustered.labels {
        sizes[label as usize] += 1;
    }
    sizes.sort_unstable_by(|a, b| b.cmp(a));

    let total: u64 = inputs.iter().map(Input::layer_bytes).sum();
    let (write_layers, why_not) = denoised::decide(request.denoise, total);
    if let Some(why) = why_not {
        monitor.note(&why);
    }
    let mut additions = Additions::default();
    if request.umap {
        let positions = timed(&mut seconds.cluster, || plane(&reduced, seed, monitor))?;
        additions.root.obsm.insert(format!("X_{}_umap", request.key_added), positions.into());
    }
    let mut layers = Vec::with_capacity(inputs.len());
    for (m, input) in inputs.iter().enumerate() {
        let written = write_layers
            && timed(&mut seconds.train, || {
                record::denoised(&mut additions, tissue, input, &output.reconstructions[m], request, monitor)
            })?;
        layers.push(written);
    }

    let attends = options.fusion == Fusion::Attention;
    let attention = output.attention.mean_axis(Axis(0)).filter(|_| attends);
    let modalities: Vec<SpamiModality> = inputs
        .iter()
        .enumerate()
        .map(|(m, input)| SpamiModality {
            name: input.info.name.clone(),
            kind: input.info.kind.name(),
            features: input.method().to_owned(),
            n_vars: input.n_vars,
            n_selected: input.n_selected(),
            n_features: input.values.ncols(),
            mean_attention: attention.as_ref().map(|a| f64::from(a[m])),
            denoised: layers[m],
        })
        .collect();
    let losses = history.epochs.last().map(|e| losses(e, &modalities));
    let report = SpamiReport {
        n_obs,
        n_clusters,
        n_clusters_reached: clustered.reached,
        quality: clustered.quality,
        cluster_method: request.cluster.name(),
        sizes,
        key_added: request.key_added.clone(),
        use_rep: format!("X_{}", request.key_added),
        modalities,
        n_epochs: history.epochs.len(),
        stopped_early: history.stopped_early,
        losses,
        forecast_bytes: forecast,
        seconds,
        metrics,
    };
    let run = record::Record {
        request,
        options: &options,
        report: &report,
        epochs: &history.epochs,
        labels: &clustered.labels,
        data_hash: &data_hash,
        seed,
    };
    run.add(&mut additions, tissue, &output);
    Ok((report, additions))
}

/// The epochs of a training; none with a loaded model.
#[derive(Default)]
struct History {
    epochs: Vec<SpamiEpoch>,
    stopped_early: bool,
}

/// The elements a run needs; counts are read later.
fn elements(request: &SpamiRequest, saved: Option<&SavedModel>) -> ReadOptions {
    let mut options = ReadOptions::names_only();
    let mut obs: Vec<String> = vec![keys::GROUND_TRUTH.to_owned()];
    obs.extend(request.truth.clone());
    obs.extend(request.library_key.clone());
    options.obs = Select::Only(obs);
    options.var = Select::only([keys::FEATURE_TYPES]);
    let mut obsm = vec![request.spatial_key.clone()];
    obsm.extend(request.use_rep.values().cloned());
    for modality in saved.map_or(&[][..], |s| &s.modalities) {
        if let SavedSource::Rep(key) = &modality.source {
            obsm.push(key.clone());
        }
    }
    options.obsm = Select::Only(obsm);
    options
}

/// The tissue's modalities in the order of a saved model.
fn matching(
    tissue: &Tissue,
    saved: &SavedModel,
    request: &SpamiRequest,
    monitor: &dyn Monitor,
) -> Result<Vec<ModalityInfo>, PipelineError> {
    let there = tissue.modalities();
    let alone = there.len() == 1 && saved.modalities.len() == 1;
    let mut found = Vec::with_capacity(saved.modalities.len());
    for wanted in &saved.modalities {
        // A single modality needs no name to be recognised.
        let Some(info) = there.iter().find(|m| m.name == wanted.name || alone) else {
            return Err(PipelineError::ModelModalities {
                path: request.load_model.clone().unwrap_or_default(),
                expected: saved.modalities.iter().map(|m| m.name.clone()).collect(),
                found: there.iter().map(|m| m.name.clone()).collect(),
                advice: "give a file with the modalities of the model, under the same names",
            });
        };
        let mut info = info.clone();
        info.kind = wanted.kind;
        monitor.note(&format!("{}: {} as in the model", info.name, info.kind));
        found.push(info);
    }
    Ok(found)
}

/// A model is applied by the names of features, so they must be names.
fn check_names(tissue: &Tissue, info: &ModalityInfo) -> Result<(), PipelineError> {
    let names = tissue.var_names(info);
    let mut seen = HashSet::with_capacity(names.len());
    let repeated: Vec<&String> = names.iter().filter(|n| !seen.insert(n.as_str())).collect();
    match repeated.first() {
        None => Ok(()),
        Some(example) => Err(DataError::DuplicateNames {
            axis: "var".to_owned(),
            count: repeated.len(),
            example: (*example).clone(),
        }
        .into()),
    }
}

/// Says how much memory training will take, and refuses what cannot fit.
fn check_memory(
    tissue: &Tissue,
    modalities: &[ModalityInfo],
    request: &SpamiRequest,
    saved: Option<&SavedModel>,
    options: &SpamiOptions,
    monitor: &dyn Monitor,
) -> Result<u64, PipelineError> {
    let n_obs = tissue.n_obs();
    let (mut widths, mut layers) = (Vec::new(), 0u64);
    for info in modalities {
        let (width, bytes) = inputs::expected_widths(tissue, info, request)?;
        widths.push(width);
        layers += bytes;
    }
    if let Some(saved) = saved {
        saved.model.widths().clone_into(&mut widths);
    }
    let outputs =
        (n_obs * 4) as u64 * (widths.iter().sum::<usize>() + options.latent * (widths.len() + 1)) as u64;
    let denoising = if denoised::decide(request.denoise, layers).0 { 2 * layers + outputs } else { outputs };
    let available = available_bytes();
    let training = training_bytes(n_obs, &widths, options, available);
    let needed = training.max(denoising);
    let Some(available) = available else {
        monitor.note(&format!("forecast: {} of memory", in_words(needed)));
        return Ok(needed);
    };
    monitor.note(&format!(
        "forecast: {} of memory for {n_obs} spots, {} are free",
        in_words(needed),
        in_words(available)
    ));
    if needed <= available {
        return Ok(needed);
    }
    let fits = |hidden: usize, latent: usize| {
        let smaller = SpamiOptions { hidden, latent, ..options.clone() };
        training_bytes(n_obs, &widths, &smaller, Some(available)) <= available
    };
    let advice = if training <= available {
        "leave the denoised layers out with --denoise never".to_owned()
    } else {
        let narrower = [(256, 64), (128, 64), (64, 32), (32, 16)]
            .into_iter()
            .find(|&(h, l)| h <= options.hidden && l <= options.latent && fits(h, l));
        match narrower {
            Some((hidden, latent)) if saved.is_none() => {
                format!("narrow the network with --hidden {hidden} --latent {latent}")
            }
            _ => "take a part of the spots, or a machine with more memory".to_owned(),
        }
    };
    Err(PipelineError::Memory {
        work: format!("SpaMI on {n_obs} spots"),
        needed: in_words(needed),
        available: in_words(available),
        advice,
    })
}

/// The network's own forecast; it draws up the parameters to know, so where these alone do not fit it is not asked.
fn training_bytes(n_obs: usize, widths: &[usize], options: &SpamiOptions, available: Option<u64>) -> u64 {
    let (hidden, latent) = (options.hidden as u64, options.latent as u64);
    // Encoder and decoder of each modality, discriminator and attention; values, gradients, two moments.
    let parameters: u64 =
        widths.iter().map(|w| 2 * hidden * (*w as u64 + latent) + latent * latent).sum::<u64>()
            + latent * latent;
    let weights = 16 * parameters;
    if available.is_some_and(|a| weights > a) { weights } else { memory_bytes(n_obs, widths, options) }
}

/// What training rests on.
struct Run<'a> {
    request: &'a SpamiRequest,
    options: &'a SpamiOptions,
    data_hash: &'a str,
    seed: Seed,
}

impl Run<'_> {
    /// What must be the same for a checkpoint to be continued: everything but the number of epochs.
    fn describe(&self, inputs: &[Input]) -> Json {
        let mut options = options_json(self.options);
        if let Some(entries) = options.as_object_mut() {
            entries.remove("epochs");
        }
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "seed": self.seed.0,
            "data_hash": self.data_hash,
            "n_obs": inputs.first().map_or(0, |i| i.values.nrows()),
            "modalities": inputs.iter().map(|i| i.info.name.clone()).collect::<Vec<_>>(),
            "features": inputs.iter().map(|i| format!("{} {}", i.values.ncols(), i.method())).collect::<Vec<_>>(),
            "balance": self.request.balances(),
            "options": options,
        })
    }

    fn train(
        &self,
        inputs: &[Input],
        graph: &SpamiGraph,
        slices: Option<&[u32]>,
        monitor: &dyn Monitor,
    ) -> Result<(SpamiModel, Vec<SpamiEpoch>, bool), PipelineError> {
        let run = self.describe(inputs);
        let checkpoint = self.request.checkpoint.as_ref();
        let resume = match checkpoint.filter(|c| c.resume) {
            None => None,
            Some(c) => {
                let state = checkpoint::read(&c.folder, &run, inputs.len())?;
                monitor.note(&format!("going on after epoch {}", state.epochs.len()));
                Some(state)
            }
        };
        let views: Vec<ArrayView2<'_, f32>> = inputs.iter().map(|i| i.values.view()).collect();
        let last = self.options.epochs;
        let mut on_epoch = |progress: &SpamiProgress<'_>| -> Result<(), PipelineError> {
            match checkpoint {
                Some(c) if c.is_due(progress.epoch, last) => {
                    checkpoint::write(&c.folder, &run, progress.checkpoint())
                }
                _ => Ok(()),
            }
        };
        let fit = train(&views, graph, slices, self.options, self.seed, resume, &mut on_epoch, monitor)
            .map_err(|error| match error {
                PipelineError::Spami(error) => in_flags(error),
                other => other,
            })?;
        if fit.stopped_early {
            monitor.note(&format!("the loss no longer falls: stopped after epoch {}", fit.epochs.len()));
        }
        Ok((fit.model, fit.epochs, fit.stopped_early))
    }
}

fn to_save(tissue: &Tissue, input: &Input) -> SavedModality {
    let source = match &input.source {
        Source::Rep { key } => SavedSource::Rep(key.clone()),
        Source::Counts { map, .. } => {
            let names = tissue.var_names(&input.info);
            SavedSource::Counts {
                map: Box::new(map.compact()),
                names: names.iter().zip(&map.kept).filter(|(_, k)| **k).map(|(n, _)| n.clone()).collect(),
            }
        }
    };
    let (name, kind, balance) = (input.info.name.clone(), input.info.kind, input.balance.clone());
    SavedModality { name, kind, source, balance }
}

/// The first principal components of the embedding: what is clustered and laid out.
fn reduce(embedding: &Array2<f32>) -> Result<Array2<f64>, PipelineError> {
    pca_dense(embedding.mapv(f64::from).view(), CLUSTER_COMPONENTS)
        .map_err(|source| PipelineError::Preprocess { modality: "embedding".to_owned(), source })
}

/// The embedding in the plane.
fn plane(reduced: &Array2<f64>, seed: Seed, monitor: &dyn Monitor) -> Result<Array2<f32>, PipelineError> {
    let options = NeighborsOptions { n_neighbors: CLUSTER_NEIGHBORS, ..NeighborsOptions::default() };
    monitor.stage("neighbours", 0);
    let graph = neighbors(reduced.view(), &options, seed, monitor)?;
    let options = UmapOptions::default();
    Ok(umap(graph.connectivities.view(), Some(reduced.view()), &options, seed, monitor)?.positions)
}

fn losses(epoch: &SpamiEpoch, modalities: &[SpamiModality]) -> SpamiLosses {
    let named = |values: &[f64]| modalities.iter().zip(values).map(|(m, v)| (m.name.clone(), *v)).collect();
    SpamiLosses {
        loss: epoch.loss,
        contrast: named(&epoch.contrast),
        reconstruction: named(&epoch.reconstruction),
        cosine: epoch.cosine,
    }
}
