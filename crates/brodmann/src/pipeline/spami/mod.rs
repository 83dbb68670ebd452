//! SpaMI, from counts of several omics to embedding, domains and denoised expression.
//!
//! ```text
//! counts ─ features ─┐                       ┌─ embedding ─ domains
//! coordinates ─ graph┴─ network (train|load) ┼─ attention
//!                                            └─ reconstruction ─ denoised
//! ```
//!
//! * [`request`]: what a caller asks for.
//! * [`model_file`]: a trained network as a file.
//! * [`apart`]: the same of slices that lie in several places.
//! * `inputs`: modalities, features and graph of a tissue.
//! * `prior`: a labelled reference beside the tissue (SpaMI-P).
//! * `training`: the network trained, with checkpoints on the way.
//! * `denoised`: denoised expression as a layer.

pub mod apart;
mod denoised;
mod inputs;
pub mod model_file;
mod prior;
pub mod request;
mod training;

use std::collections::BTreeMap;

use brodmann_data::{Column, DataFrame, Value, keys};
use brodmann_kernels::{Monitor, Opt};
use indexmap::IndexMap;
use ndarray::{Array2, ArrayView2, Axis};
use serde_json::{Value as Json, json};

pub use denoised::AUTO_BYTES;
pub use prior::{NONE_OF_THESE, PriorFacts};
pub use request::{Denoise, PriorRequest, SpamiRequest};

use self::apart::{Apart, sums_of_slices};
use self::inputs::{Input, Source};
use self::model_file::{CardOf, SavedHead, SavedModality, SavedModel, SavedSource};
use self::request::{CLUSTER_COMPONENTS, CLUSTER_NEIGHBORS};
use super::PipelineError;
use super::clustering::EmbeddingMethod;
use super::domains::{Domains, Embedding};
use super::forecast::{FEWER_SPOTS, Forecast, Need, every_run_bytes};
use super::known::{self, KnownDomains};
use super::memory::available_bytes;
use super::method::{Facts, Finished, Frame, Method, Outcome, Reads, Written};
use super::run::{Run, Stage};
use super::scene::Scene;
use super::tissue::{ModalityInfo, Tissue};
use crate::models::spami::prior::{Guidance, Transfer};
use crate::models::spami::{
    Fusion, SpamiEpoch, SpamiModel, SpamiOptions, SpamiOutput, memory_bytes_guided, memory_bytes_of_slices,
};
use crate::preprocess::feature_map::Balance;
use crate::preprocess::{Modality, PcaAxes};

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

/// What is known of a run of SpaMI alone.
#[derive(Clone, Debug, serde::Serialize)]
pub struct SpamiFacts {
    /// The modalities.
    pub modalities: Vec<SpamiModality>,
    /// After the last epoch; `None` with a loaded model.
    pub losses: Option<SpamiLosses>,
    /// Of a run with a labelled reference, or with a model that knows its labels.
    pub prior: Option<PriorFacts>,
    /// Epochs trained, those before a resumption counted.
    #[serde(skip)]
    n_epochs: usize,
}

impl Facts for SpamiFacts {
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for m in &self.modalities {
            let attention = m.mean_attention.map_or(String::new(), |a| format!("  mean attention {a:.3}"));
            let denoised = if m.denoised { "  denoised" } else { "" };
            lines.push(format!(
                "modality {:<8} {:<4} {} features by {}{attention}{denoised}",
                m.name, m.kind, m.n_features, m.features
            ));
        }
        if let Some(l) = &self.losses {
            let named = |values: &BTreeMap<String, f64>| {
                values.iter().map(|(name, v)| format!("{name} {v:.4}")).collect::<Vec<_>>().join(", ")
            };
            lines.push(format!(
                "loss {:.4} after {} epochs: contrast {}  reconstruction {}  cosine {:.4}",
                l.loss,
                self.n_epochs,
                named(&l.contrast),
                named(&l.reconstruction),
                l.cosine
            ));
        }
        lines.extend(self.prior.iter().flat_map(PriorFacts::lines));
        lines
    }
}

/// SpaMI as a method: the request, and the model it names.
///
/// Written beside what every method writes, with `key` the name of the result: `obsm["key_attention"]` (a table, one
/// column per modality), `layers["key_denoised"]` and `var["key_denoised"]` of each modality, on request
/// `obsm["X_key_NAME"]` of each modality; with a labelled reference, or a model trained with one, `obs["key_prior"]` (its
/// labels, or [`NONE_OF_THESE`]) and `obs["key_prior_confidence"]`.
///
/// # Source
/// Gao et al. 2025 (SpaMI).
pub struct Spami {
    request: SpamiRequest,
    saved: Option<SavedModel>,
    /// A reference in memory.
    reference: Option<Tissue>,
    /// What slices that lie apart have come to: what is left is to find the domains.
    apart: Option<Apart>,
}

impl Spami {
    /// Reads the model that the request names, if it names one.
    ///
    /// # Errors
    /// As [`model_file::load`].
    pub fn new(request: SpamiRequest) -> Result<Self, PipelineError> {
        Self::with_prior(request, None)
    }

    /// [`Spami::new`] with a labelled reference in memory, in place of a file that the request names.
    ///
    /// # Errors
    /// As [`Spami::new`]; [`PipelineError::Option`] for a reference without labels, or labels without one.
    pub fn with_prior(request: SpamiRequest, reference: Option<Tissue>) -> Result<Self, PipelineError> {
        request.check_prior(reference.is_some())?;
        let saved = request.models.load_model.as_deref().map(model_file::load).transpose()?;
        Ok(Self { request, saved, reference, apart: None })
    }

    /// Does `with` with the reference, where there is one: that in memory, or the one of the file, opened now.
    fn on_reference<T>(
        &self,
        monitor: &dyn Monitor,
        with: impl FnOnce(&Tissue) -> Result<T, PipelineError>,
    ) -> Result<Option<T>, PipelineError> {
        if let Some(reference) = &self.reference {
            return with(reference).map(Some);
        }
        prior::open(&self.request, monitor)?.map(|reference| with(&reference)).transpose()
    }
}

/// What a run has in hand after the network.
pub struct SpamiSolved {
    inputs: Vec<Input>,
    output: SpamiOutput,
    options: SpamiOptions,
    epochs: Vec<SpamiEpoch>,
    stopped_early: bool,
    data_hash: String,
    /// The components of the embedding that are clustered.
    axes: PcaAxes,
    /// What a model file holds, where one is asked for.
    to_save: Option<ToSave>,
    /// What is known of the reference, the names of its labels, and those of the spots where it was trusted.
    prior: Option<(PriorFacts, Vec<String>, Option<Transfer>)>,
}

/// What a model file holds beside the domains.
struct ToSave {
    model: SpamiModel,
    modalities: Vec<SavedModality>,
    head: Option<SavedHead>,
}

impl Method for Spami {
    type Solved = SpamiSolved;
    type Facts = SpamiFacts;

    fn frame(&self) -> Frame<'_> {
        let request = &self.request;
        Frame {
            modality: request.features.modality,
            features: Some(&request.features),
            domains: Some((&request.domains, CLUSTER_NEIGHBORS)),
            models: Some(&request.models),
            ..Frame::new(keys::SPAMI, "SpaMI", &request.place, &request.naming)
        }
    }

    fn reads(&self, reads: &mut Reads) {
        reads.obsm.extend(self.request.modalities.use_rep.values().cloned());
        for modality in self.saved.iter().flat_map(|s| &s.modalities) {
            if let SavedSource::Rep(key) = &modality.source {
                reads.obsm.push(key.clone());
            }
        }
    }

    fn check(&self, n_obs: usize) -> Result<(), PipelineError> {
        self.request.check(n_obs)
    }

    fn need<'a>(&'a self, scene: &'a Scene<'_>) -> Result<Option<Need<'a>>, PipelineError> {
        if self.apart.is_some() {
            return Ok(None);
        }
        let silent = brodmann_kernels::Silent;
        let (modalities, options) = self.modalities(scene.tissue, &silent)?;
        if self.request.models.save_model.is_some() {
            for info in &modalities {
                require_unique(scene.tissue, info)?;
            }
        }
        let extent = self.on_reference(&silent, |reference| {
            prior::extent(&self.request, scene.tissue, &modalities, reference)
        })?;
        let sizes = scene.slices().map_or_else(|| vec![scene.n_obs()], |slices| slices.sizes().to_vec());
        self.memory((scene.tissue, sizes), &modalities, options, extent).map(Some)
    }

    fn solve(&self, scene: &Scene<'_>, run: &mut Run<'_>) -> Result<(Outcome, SpamiSolved), PipelineError> {
        let (request, tissue, slices) = (&self.request, scene.tissue, scene.slices());
        let monitor = run.monitor;
        if let Some(apart) = &self.apart {
            let (outcome, solved) = apart.solved(request, run.seed)?;
            self.save_without_domains(&solved, scene.n_obs(), run)?;
            return Ok((outcome, solved));
        }
        let (modalities, options) = self.modalities(tissue, monitor)?;
        // Space first: a tissue without coordinates is refused before the expensive stages.
        let (graph, mut fingerprint) = inputs::graph(tissue, request, options.n_neighbors, slices, run)?;
        // Held to the end: two trainings in one folder would each go on from what the other saved.
        let _reserved = request.models.checkpoints().map(|c| c.prepare(&[training::file()])).transpose()?;

        let mut inputs: Vec<Input> = Vec::with_capacity(modalities.len());
        for (m, info) in modalities.iter().enumerate() {
            let made = if let Some(s) = &self.saved {
                let saved = &s.modalities[m];
                let made = inputs::project(tissue, info, saved, request, run)?;
                // Of an embedding in another slice not even the width is known; the network refuses it by that.
                match saved.balance.clone().filter(|b| b.center.len() == made.values.ncols()) {
                    Some(balance) => made.balanced(balance),
                    None => made,
                }
            } else {
                let made = inputs::prepare(tissue, info, request, slices, run)?;
                if request.balances() {
                    let balance = match slices.filter(|slices| slices.count() > 1) {
                        None => Balance::fit(made.values.view()),
                        Some(slices) => Balance::of_slices(&sums_of_slices(&made.values, slices)),
                    };
                    made.balanced(balance)
                } else {
                    made
                }
            };
            fingerprint = fingerprint.text(&made.info.name).text(&made.data_hash);
            inputs.push(made);
        }
        let reference = self.on_reference(monitor, |reference| {
            let target = (tissue, &modalities[..], &graph, slices);
            prior::prepare(request, target, reference, options.n_neighbors, run)
        })?;
        if let Some(reference) = &reference {
            fingerprint = fingerprint.text("prior").text(&reference.hash);
        }
        let data_hash = fingerprint.hex();
        if self.saved.is_none() && inputs.len() > 1 {
            monitor.note(&if request.balances() {
                let off = Opt("balance").set(false);
                format!("features of all modalities brought to one scale ({off} leaves them as they are)")
            } else {
                let on = Opt("balance").set(true);
                format!("features of the modalities left on their own scales ({on} brings them to one)")
            });
        }

        let views: Vec<ArrayView2<'_, f32>> = inputs.iter().map(|i| i.values.view()).collect();
        let guidance = reference.as_ref().map(|reference| {
            monitor.stage("anchors in the reference", 0);
            let (prior, seed) = (reference.prior(), run.seed);
            run.timed(Stage::Train, || Guidance::new(prior, &graph, &request.prior_options, seed, monitor))
        });
        let guidance = guidance.transpose()?;
        let mut facts = None;
        let mut trusted = false;
        if let (Some(reference), Some(guidance)) = (&reference, &guidance) {
            trusted = prior::doubt(reference, guidance.trust(), monitor);
            facts = Some(PriorFacts { trusted, ..PriorFacts::of(reference, guidance.trust()) });
        }
        let (mut epochs, mut stopped_early) = (Vec::new(), false);
        let mut head = self.saved.as_ref().and_then(|saved| saved.head.clone());
        let trained;
        let model = if let Some(saved) = &self.saved {
            &saved.model
        } else {
            let trusted = guidance.as_ref().filter(|_| trusted);
            let place = (&graph, slices);
            let fit = training::train_network((request, &options), &inputs, place, trusted, &data_hash, run)?;
            (trained, epochs, stopped_early) = (fit.model, fit.epochs, fit.stopped_early);
            if let (Some((found, last)), Some(reference), Some(facts)) = (fit.head, &reference, &mut facts) {
                head = Some(SavedHead { head: found, names: reference.names.clone() });
                facts.last = Some(last);
            }
            &trained
        };
        monitor.stage("applying the network", 0);
        let mut output = run.timed(Stage::Train, || model.apply(&views, &graph, monitor))?;
        let to_save = request.models.save_model.is_some().then(|| ToSave {
            model: model.clone(),
            modalities: inputs.iter().map(|i| to_save(tissue, i)).collect(),
            head: head.clone(),
        });
        let transfer = head.as_ref().map(|h| {
            let found = h.head.apply(output.embedding.view(), request.prior_options.prior_confidence);
            match &guidance {
                Some(guidance) => found.where_supported(&guidance.supported()),
                None => found,
            }
        });
        let names = head.as_ref().map(|h| h.names.clone());
        let prior = match (facts, names) {
            (Some(facts), names) => Some((facts, names.unwrap_or_default(), transfer)),
            (None, Some(names)) => Some((PriorFacts::of_labels(names.len()), names, transfer)),
            (None, None) => None,
        };
        // A model's domains were found in its components, those of another slice in that slice's own.
        let known = self.saved.as_ref().and_then(|saved| saved.known.as_ref());
        let by_default = SpamiRequest::default().domains;
        let domains = known.map(|k| &k.domains);
        let clustering = known::clustering(&request.domains, &by_default, domains, CLUSTER_NEIGHBORS)?;
        let of_the_model = known.filter(|_| matches!(clustering, EmbeddingMethod::Known(_)));
        let axes = match of_the_model {
            Some(known) => known.axes.clone(),
            None => run.timed(Stage::Cluster, || axes(&output.embedding))?,
        };
        let clustered = axes.dense_scores(output.embedding.mapv(f64::from).view());
        let written = std::mem::replace(&mut output.embedding, Array2::zeros((0, 0)));
        let embedding = Embedding { seed: run.seed, written: Some(written), source: None, clustered };
        let outcome = Outcome::Embeddings { embeddings: vec![embedding], clustering, before: None };
        let solved =
            SpamiSolved { inputs, output, options, epochs, stopped_early, data_hash, axes, to_save, prior };
        self.save_without_domains(&solved, scene.n_obs(), run)?;
        Ok((outcome, solved))
    }

    fn finish(
        &self,
        scene: &Scene<'_>,
        solved: SpamiSolved,
        domains: &Domains,
        run: &mut Run<'_>,
    ) -> Result<Finished<SpamiFacts>, PipelineError> {
        let request = &self.request;
        let key = self.frame().key();
        if let (Some(to_save), Some(path)) = (&solved.to_save, &request.models.save_model) {
            let known = domains.known.as_ref().map(|known| (known, &solved.axes));
            run.timed(Stage::Write, || self.save(to_save, known, &solved, scene.n_obs()))?;
            run.monitor.note(&format!("model written to {}", path.display()));
        }
        let SpamiSolved { inputs, output, options, epochs, stopped_early, data_hash, mut prior, .. } = solved;
        let total: u64 = inputs.iter().map(Input::layer_bytes).sum();
        let (write_layers, why_not) = denoised::decide(request.outputs.denoise, total);
        if let Some(why) = why_not {
            run.monitor.note(&why);
        }
        let attends = options.fusion == Fusion::Attention;
        let attention = output.attention.mean_axis(Axis(0)).filter(|_| attends);
        let mut modalities = Vec::with_capacity(inputs.len());
        for (m, input) in inputs.iter().enumerate() {
            let reconstruction = &output.reconstructions[m];
            let denoised = write_layers && denoised::add(input, reconstruction, key, run)?;
            modalities.push(SpamiModality {
                name: input.info.name.clone(),
                kind: input.info.kind.name(),
                features: input.method().to_owned(),
                n_vars: input.n_vars,
                n_selected: input.n_selected(),
                n_features: input.values.ncols(),
                mean_attention: attention.as_ref().map(|a| f64::from(a[m])),
                denoised,
            });
        }
        let root = run.target(None);
        if attends {
            let mut table = DataFrame::new(scene.tissue.obs_names().to_vec());
            for (m, modality) in modalities.iter().enumerate() {
                let column = Column::Float32(output.attention.column(m).to_vec());
                table.columns.insert(modality.name.clone(), column);
            }
            root.obsm.insert(format!("{key}_attention"), Value::Frame(table));
        }
        if request.outputs.modality_embeddings {
            for (modality, values) in modalities.iter().zip(&output.modality_embeddings) {
                root.obsm.insert(format!("X_{key}_{}", modality.name), values.clone().into());
            }
        }
        let mut written = written(&modalities);
        if let Some((facts, names, transfer)) = &mut prior {
            prior::add(key, names, transfer.as_ref(), scene.n_obs(), facts, run);
            written.insert("prior".to_owned(), Value::from(super::record::without_nulls(json!(facts))));
        }
        Ok(Finished {
            params: self.params(&options, run),
            history: history(&epochs, &modalities, &options),
            stopped_early,
            data_hash: Some(data_hash),
            written,
            facts: SpamiFacts {
                losses: epochs.last().map(|e| losses(e, &modalities)),
                modalities,
                prior: prior.map(|(facts, ..)| facts),
                n_epochs: epochs.len(),
            },
        })
    }
}

impl Spami {
    /// Writes the model, where that is asked for, before there are domains: what was trained is not lost to what comes after.
    fn save_without_domains(
        &self,
        solved: &SpamiSolved,
        n_obs: usize,
        run: &mut Run<'_>,
    ) -> Result<(), PipelineError> {
        let Some(to_save) = &solved.to_save else { return Ok(()) };
        run.timed(Stage::Write, || self.save(to_save, None, solved, n_obs))
    }

    /// Writes the model, where that is asked for.
    fn save(
        &self,
        to_save: &ToSave,
        known: Option<(&KnownDomains, &PcaAxes)>,
        solved: &SpamiSolved,
        n_obs: usize,
    ) -> Result<(), PipelineError> {
        let Some(path) = &self.request.models.save_model else { return Ok(()) };
        let about = CardOf {
            n_obs,
            n_epochs: solved.epochs.len(),
            stopped_early: solved.stopped_early,
            loss: solved.epochs.last().map(|e| e.loss),
            data_hash: &solved.data_hash,
        };
        model_file::save(path, &to_save.model, &to_save.modalities, to_save.head.as_ref(), known, &about)
    }

    /// The modalities in the order of the network, and the options of the network.
    fn modalities(
        &self,
        tissue: &Tissue,
        monitor: &dyn Monitor,
    ) -> Result<(Vec<ModalityInfo>, SpamiOptions), PipelineError> {
        if let Some(saved) = &self.saved {
            return Ok((matching(tissue, saved, &self.request, monitor)?, saved.model.options().clone()));
        }
        let modalities = inputs::choose(tissue, &self.request, monitor)?;
        let names: Vec<String> = modalities.iter().map(|m| m.name.clone()).collect();
        let kinds: Vec<_> = modalities.iter().map(|m| m.kind).collect();
        let options = self.request.options_for(&names, &kinds)?;
        Ok((modalities, options))
    }

    /// What training and denoising will take.
    fn memory(
        &self,
        (tissue, sizes): (&Tissue, Vec<usize>),
        modalities: &[ModalityInfo],
        options: SpamiOptions,
        reference: Option<(usize, usize, usize)>,
    ) -> Result<Need<'_>, PipelineError> {
        let (n_obs, n_slices) = (tissue.n_obs(), sizes.len());
        let (mut widths, mut layers) = (Vec::new(), 0u64);
        for info in modalities {
            let (width, bytes) = inputs::expected_widths(tissue, info, &self.request)?;
            widths.push(width);
            layers += bytes;
        }
        if let Some(saved) = &self.saved {
            saved.model.widths().clone_into(&mut widths);
        }
        let outputs =
            (n_obs * 4) as u64 * (widths.iter().sum::<usize>() + options.latent * (widths.len() + 1)) as u64;
        let denoises = denoised::decide(self.request.outputs.denoise, layers).0;
        // The values, rows of them, and the layer, of which the values are half as large.
        let denoising = if denoises { 5 * layers / 2 + outputs } else { outputs };
        let training = training_bytes(&sizes, &widths, &options, reference, available_bytes());
        let advice = move |available: u64| {
            if training <= available {
                return format!("leave the denoised layers out with {}", Opt("denoise").set("never"));
            }
            let fits = |hidden: usize, latent: usize| {
                let smaller = SpamiOptions { hidden, latent, ..options.clone() };
                training_bytes(&sizes, &widths, &smaller, reference, Some(available)) <= available
            };
            let narrower = [(256, 64), (128, 64), (64, 32), (32, 16)]
                .into_iter()
                .find(|&(h, l)| h <= options.hidden && l <= options.latent && fits(h, l));
            match narrower {
                Some((hidden, latent)) if self.saved.is_none() => format!(
                    "narrow the network with {} {}",
                    Opt("hidden").set(hidden),
                    Opt("latent").set(latent)
                ),
                _ => FEWER_SPOTS.to_owned(),
            }
        };
        // Of several slices the counts are there once more, slice by slice, while features are fitted.
        let copies = if n_slices > 1 { 2 } else { 1 };
        let (mut every_run, mut preprocessing) = (0, 0);
        for info in modalities {
            let size = tissue.counts_size(info, self.request.features.layer.as_deref());
            let nnz = size.ok().flatten().map_or(0, |s| s.nnz);
            every_run = every_run.max(every_run_bytes(n_obs, tissue.var_names(info).len(), nnz));
            preprocessing = preprocessing.max(copies * 8 * nnz as u64);
        }
        let forecast =
            Forecast { bytes: training.max(denoising).max(preprocessing) + every_run, seconds: None };
        Ok(Need { forecast, advice: Box::new(advice) })
    }

    /// All that repeats the run.
    fn params(&self, options: &SpamiOptions, run: &Run<'_>) -> Json {
        let request = &self.request;
        let mut params = json!(options);
        params["preset"] = json!(request.preset);
        params["random_state"] = json!(run.seed.0);
        params["spatial_key"] = json!(request.place.spatial_key);
        params["library_key"] = json!(request.place.library_key);
        if request.models.load_model.is_none() {
            params["balance"] = json!(request.balances());
        }
        let reps = &request.modalities.use_rep;
        params["use_rep"] = if reps.is_empty() { Json::Null } else { json!(reps) };
        params["load_model"] = json!(request.models.load_model);
        if self.reference.is_some() || request.prior.prior.is_some() {
            params["prior"] = json!(request.prior);
            params["prior"]["options"] = json!(request.prior_options);
        }
        let features = &request.features;
        let of_rna = request::default_options(Modality::Rna);
        params["preprocess"] = json!({
            "layer": features.layer,
            "n_top_genes": features.n_top_genes.or(of_rna.n_top_genes),
            "select": features.select,
            "hvg": features.flavor.unwrap_or(of_rna.hvg_flavor),
            "n_pcs": features.n_pcs.unwrap_or(of_rna.n_pcs),
            "target_sum": features.target_sum.or(of_rna.target_sum),
            "min_cells": features.min_cells,
            "normalized": features.normalized,
        });
        params["cluster"] = json!({ "n_pcs": CLUSTER_COMPONENTS });
        params
    }
}

/// What of the modalities stands in the record.
fn written(modalities: &[SpamiModality]) -> Written {
    let of = |m: &SpamiModality| {
        let mut entry = json!(m);
        if let Some(entry) = entry.as_object_mut() {
            entry.remove("name");
            let kind = entry.remove("kind").unwrap_or_default();
            entry.insert("modality".to_owned(), kind);
        }
        (m.name.clone(), Value::from(super::record::without_nulls(entry)))
    };
    let names: Vec<String> = modalities.iter().map(|m| m.name.clone()).collect();
    Written::from([
        ("modalities".to_owned(), names.into()),
        ("features".to_owned(), Value::Dict(modalities.iter().map(of).collect())),
    ])
}

/// One curve per term, one number per epoch; terms unweighted, `loss` their weighted sum.
fn history(
    epochs: &[SpamiEpoch],
    modalities: &[SpamiModality],
    options: &SpamiOptions,
) -> IndexMap<String, Vec<f64>> {
    let mut curves = IndexMap::new();
    if epochs.is_empty() {
        return curves;
    }
    let mut set = |key: String, f: &dyn Fn(&SpamiEpoch) -> f64| {
        curves.insert(key, epochs.iter().map(f).collect());
    };
    set("loss".to_owned(), &|e| e.loss);
    for (m, modality) in modalities.iter().enumerate() {
        let of = |values: &[f64]| values.get(m).copied().unwrap_or(f64::NAN);
        if options.contrast {
            set(format!("contrast_{}", modality.name), &|e| of(&e.contrast));
        }
        set(format!("reconstruction_{}", modality.name), &|e| of(&e.reconstruction));
    }
    if options.cosine && modalities.len() > 1 {
        set("cosine".to_owned(), &|e| e.cosine);
    }
    if epochs.iter().all(|e| e.prior.is_some()) {
        let of = |e: &SpamiEpoch| e.prior.unwrap_or_default();
        set("aligned".to_owned(), &|e| of(e).aligned);
        set("labelled".to_owned(), &|e| of(e).labelled);
        set("agreement".to_owned(), &|e| of(e).agreement);
    }
    curves
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
                path: request.models.load_model.clone().unwrap_or_default(),
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
fn require_unique(tissue: &Tissue, info: &ModalityInfo) -> Result<(), PipelineError> {
    Ok(DataFrame::new(tissue.var_names(info).to_vec()).require_unique("var")?)
}

/// The network's own forecast; it draws up the parameters to know, so where these alone do not fit it is not asked.
fn training_bytes(
    sizes: &[usize],
    widths: &[usize],
    options: &SpamiOptions,
    reference: Option<(usize, usize, usize)>,
    available: Option<u64>,
) -> u64 {
    let (hidden, latent) = (options.hidden as u64, options.latent as u64);
    // Encoder and decoder of each modality, discriminator and attention; values, gradients, two moments.
    let parameters: u64 =
        widths.iter().map(|w| 2 * hidden * (*w as u64 + latent) + latent * latent).sum::<u64>()
            + latent * latent;
    let weights = 16 * parameters;
    if available.is_some_and(|a| weights > a) {
        return weights;
    }
    match reference {
        None => memory_bytes_of_slices(sizes, widths, options),
        Some(reference) => memory_bytes_guided(sizes.iter().sum(), widths, options, reference),
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
fn axes(embedding: &Array2<f32>) -> Result<PcaAxes, PipelineError> {
    PcaAxes::of_dense(embedding.mapv(f64::from).view(), CLUSTER_COMPONENTS)
        .map_err(|source| PipelineError::Preprocess { modality: "embedding".to_owned(), source })
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
