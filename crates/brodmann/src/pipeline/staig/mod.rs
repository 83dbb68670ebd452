//! STAIG, from a file of counts to domains: of one slice, or of many without alignment.
//!
//! ```text
//! counts ─ features ──────────────────┐
//! coordinates ─ graph ─ edge drop ────┼─ network (train|load) ─ embedding ─ domains ─ vote of the neighbours
//! image features ─ edge drop, classes ┘        × restarts                     consensus
//! ```
//!
//! * [`features`]: counts to what the network sees; on arrays.
//! * [`request`]: what a caller asks for; [`report`]: what was done.
//! * [`model_file`]: a trained network as a file.
//! * `inputs`: features, graph, image and edge probabilities of a tissue.
//! * `training`: one or several networks, with checkpoints.
//! * `domains`: domains, their number, their refinement, the consensus of several networks.
//! * `record`: results and parameters into the file.
//!
//! The baseline without a network ([`StaigMethod::SmoothedPca`]) takes the same road around the network.

mod domains;
pub mod features;
mod inputs;
pub mod model_file;
mod record;
pub mod report;
pub mod request;
mod training;

use std::ops::Range;
use std::path::PathBuf;

use brodmann_data::{Additions, DataFrame, ReadOptions, Select, keys};
use brodmann_kernels::{CsrMatrix, Monitor, Seed};
use ndarray::Array2;

pub use report::{IntegrationReport, RestartReport, SliceReport, StaigFeatureSummary, StaigReport};
pub use request::{StaigMethod, StaigRequest};

use self::domains::Domains;
use self::features::FeatureScale;
use self::inputs::{EXPRESSION_COMPONENTS, Features};
use self::model_file::{CardOf, SavedModel, negatives_name};
use self::request::{BASELINE_COMPONENTS, CLUSTER_NEIGHBORS, in_flags};
use self::training::Trained;
use super::cohort::Cohort;
use super::embedding_clusters::EmbeddingMethod;
use super::evaluation;
use super::fingerprint::Fingerprint;
use super::memory::{available_bytes, in_words};
use super::request::check_key_added;
use super::tensor_file::check_model_place;
use super::tissue::{Destination, Tissue};
use super::{PipelineError, Seconds, timed};
use crate::embedding::{UmapOptions, umap};
use crate::graph::{NeighborsOptions, neighbors};
use crate::metrics::{EvaluationInputs, EvaluationOptions, evaluate};
use crate::models::staig::{
    EdgeDrop, EdgeRule, Negatives, StaigModel, StaigOptions, StaigTissue, memory_bytes,
};
use crate::models::{SmoothedPcaOptions, smoothed_pca};

/// Fewest observations a run is done on.
const MIN_OBS: usize = 3;
/// Spots at which the mixing of slices is measured, at most.
const MAX_QUERIES: usize = 10_000;

/// Finds spatial domains with STAIG and writes embedding, domains and the record of the run.
///
/// # Inputs
/// `inputs`: one `.h5ad` or `.h5mu`, of one slice or (with `library_key`) of several; or several `.h5ad`, a
/// slice each, genes aligned by name. `destination`: with several inputs a `.h5ad`, which joins them, or a folder,
/// which takes a copy of each.
/// # Returns
/// The report; the output holds, with `key` = [`StaigRequest::key`]: `obsm["X_key"]`, `obs[key]` (0 the
/// largest), with refinement `obs["key_unrefined"]`, with restarts `obs["key_stability"]`, on request
/// `obsm["X_key_umap"]`, `var["key_features"]`, and `uns[key]` (parameters, loss curve, how the number of domains was
/// chosen, version, seconds).
/// # Errors
/// [`PipelineError`]; no output is written then.
/// # Source
/// Yang et al. 2025 (STAIG).
pub fn find_staig_domains(
    inputs: &[PathBuf],
    destination: &Destination,
    request: &StaigRequest,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<StaigReport, PipelineError> {
    let mut read = 0.0;
    let saved = request.load_model.as_deref().map(model_file::load).transpose()?;
    let (elements, kind) = (elements(request), request.features.modality);
    let library_key = request.library_key.as_deref();
    let cohort = timed(&mut read, || Cohort::open(inputs, &elements, kind, library_key, monitor))?;
    cohort.check_destination(destination)?;
    let library_key = cohort.library_key.as_deref();
    let (mut report, additions) =
        domains_with(&cohort.tissue, library_key, &cohort.rows(), request, saved, seed, monitor)?;
    report.seconds.read += read;
    timed(&mut report.seconds.write, || cohort.write(destination, &additions, monitor))?;
    Ok(report)
}

/// [`find_staig_domains`] for a tissue in memory: what would be added to its file is returned.
///
/// # Inputs
/// `tissue`: with counts, coordinates, slices and image features loaded.
/// # Returns
/// The report, and the elements to add under the keys [`find_staig_domains`] lists.
/// # Errors
/// [`PipelineError`].
pub fn find_staig_domains_in(
    tissue: &Tissue,
    request: &StaigRequest,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<(StaigReport, Additions), PipelineError> {
    let saved = request.load_model.as_deref().map(model_file::load).transpose()?;
    let whole = 0..tissue.n_obs();
    domains_with(tissue, request.library_key.as_deref(), &[whole], request, saved, seed, monitor)
}

/// `files`: the rows of each file.
fn domains_with(
    tissue: &Tissue,
    library_key: Option<&str>,
    files: &[Range<usize>],
    request: &StaigRequest,
    saved: Option<SavedModel>,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<(StaigReport, Additions), PipelineError> {
    let mut seconds = Seconds::default();
    let n_obs = tissue.n_obs();
    if n_obs < MIN_OBS {
        return Err(PipelineError::TooFewObservations { n_obs, expected: MIN_OBS });
    }
    request.check(n_obs)?;
    let truth_key = evaluation::truth_key(tissue, request.truth.as_deref())?;
    check_key_added(request.key(), &[truth_key.as_deref(), library_key])?;
    let info = inputs::choose(tissue)?;
    if let Some(path) = &request.save_model {
        check_model_place(path)?;
        require_unique(tissue.var_names(&info))?;
    }
    let slices = tissue.slices(library_key)?;
    let slice_names = library_key.map(|key| tissue.labels(key)).transpose()?.map(|l| l.categories);
    let n_slices = count(slices.as_deref());
    let is_network = request.method == StaigMethod::Staig;
    let options = match &saved {
        Some(saved) => saved.model.options().clone(),
        None if is_network => request.options_for(n_slices)?,
        None => request.options.clone(),
    };
    // Space first: a tissue without coordinates is refused before the expensive stages.
    let coordinates = tissue.coordinates(&request.spatial_key)?;
    let graph =
        inputs::graph(coordinates.view(), options.n_neighbors, slices.as_deref(), &mut seconds, monitor)?;
    if let Some(checkpoint) = &request.checkpoint {
        checkpoint.prepare(&training::file(0))?;
    }
    let image = if is_network { inputs::image_features(tissue, files, request, monitor)? } else { None };
    let made = match &saved {
        Some(saved) => inputs::project(
            tissue,
            &info,
            saved,
            request,
            slices.as_deref(),
            n_slices,
            seed,
            &mut seconds,
            monitor,
        )?,
        None => {
            inputs::prepare(tissue, &info, request, slices.as_deref(), n_slices, seed, &mut seconds, monitor)?
        }
    };
    let forecast =
        if is_network { check_memory(&made, &graph, &options, saved.is_some(), monitor)? } else { 0 };
    let mut fingerprint =
        Fingerprint::default().table(coordinates.view()).codes(slices.as_deref()).text(&made.data_hash);
    if let Some(image) = &image {
        fingerprint = fingerprint.table(image.view());
    }
    let data_hash = fingerprint.hex();

    // What edges are judged by.
    let needs_components = (is_network && saved.is_none() && options.edge_rule == EdgeRule::Expression)
        || (options.average_views && options.edge_rule == EdgeRule::Expression);
    let expression = if needs_components {
        let found = inputs::components(&made.values, EXPRESSION_COMPONENTS, seed, &mut seconds, monitor)?;
        Some(found)
    } else {
        None
    };
    let (embeddings, trained) = match request.method {
        StaigMethod::SmoothedPca => {
            let embedding = baseline(&made, &graph, request, seed, &mut seconds, monitor)?;
            (vec![(seed, embedding)], Vec::new())
        }
        StaigMethod::Staig => {
            let judged = saved.is_none() || options.average_views;
            let edge_drop = if judged {
                inputs::edge_drop(&graph, &options, expression.as_ref(), image.as_ref())?
            } else {
                EdgeDrop::Fixed(0.0)
            };
            let classes = if saved.is_none() {
                inputs::image_classes(image.as_ref(), options.image_classes, seed, monitor)?
            } else {
                None
            };
            let shown = StaigTissue {
                features: made.values.view(),
                graph: graph.view(),
                slices: slices.as_deref(),
                classes: classes.as_deref(),
                edge_drop: &edge_drop,
            };
            embed(&shown, &options, request, saved.as_ref(), &data_hash, seed, &mut seconds, monitor)?
        }
    };

    let views: Vec<(Seed, &Array2<f64>)> = embeddings.iter().map(|(s, e)| (*s, e)).collect();
    let domains =
        domains::find(&views, coordinates.view(), slices.as_deref(), request, &mut seconds, monitor)?;
    let embedding = &embeddings[domains.kept].1;
    if let (Some(path), Some(kept)) = (&request.save_model, trained.get(domains.kept)) {
        let about = CardOf {
            n_obs,
            n_slices,
            n_epochs: kept.epochs.len(),
            loss: kept.epochs.last().map(|e| e.loss),
            data_hash: &data_hash,
        };
        timed(&mut seconds.write, || model_file::save(path, &kept.model, &made.map, &made.names, &about))?;
        monitor.note(&format!("model written to {}", path.display()));
    }
    let plane = if request.umap {
        Some(timed(&mut seconds.cluster, || plane(embedding, seed, monitor))?)
    } else {
        None
    };

    let score = |labels: &[u32]| {
        truth_key.as_ref().map(|key| evaluation::score_truth(tissue, key, labels)).transpose()
    };
    let metrics = score(&domains.labels)?;
    let metrics_unrefined = domains.unrefined.as_deref().map(score).transpose()?.flatten();
    let (mut slice_reports, mut integration) = (Vec::new(), None);
    if let (Some(codes), Some(names)) = (slices.as_deref().filter(|_| n_slices > 1), &slice_names) {
        slice_reports = per_slice(tissue, truth_key.as_deref(), &domains.labels, codes, names)?;
        monitor.stage("mixing of slices", 0);
        integration = Some(timed(&mut seconds.cluster, || {
            mixing(embedding, made.before.as_ref(), &domains.labels, codes, seed, monitor)
        })?);
    }
    let mut report = summary(request, &options, &made, &graph, &domains, &trained, n_obs, n_slices);
    report.slices = slice_reports;
    report.integration = integration;
    report.forecast_bytes = forecast;
    report.metrics = metrics;
    report.metrics_unrefined = metrics_unrefined;
    report.seconds = seconds;
    let record = record::Record {
        request,
        options: &options,
        report: &report,
        domains: &domains,
        map: &made.map,
        selected: &made.selected,
        trained: &trained,
        library_key,
        data_hash: &data_hash,
        seed,
    };
    let mut additions = Additions::default();
    record.add(&mut additions, info.key.as_deref(), embedding.mapv(|v| v as f32), plane);
    Ok((report, additions))
}

/// The elements a run needs; counts are read later.
fn elements(request: &StaigRequest) -> ReadOptions {
    let mut options = ReadOptions::names_only();
    let mut obs: Vec<String> = vec![keys::GROUND_TRUTH.to_owned()];
    obs.extend(request.truth.clone());
    obs.extend(request.library_key.clone());
    options.obs = Select::Only(obs);
    options.var = Select::only([keys::FEATURE_TYPES]);
    options.obsm =
        Select::Only([std::slice::from_ref(&request.spatial_key), request.image.as_slice()].concat());
    options
}

/// A model is applied by the names of genes, so they must be names.
fn require_unique(names: &[String]) -> Result<(), PipelineError> {
    Ok(DataFrame::new(names.to_vec()).require_unique("var")?)
}

fn count(slices: Option<&[u32]>) -> usize {
    slices.map_or(1, |s| s.iter().collect::<std::collections::BTreeSet<_>>().len().max(1))
}

/// Says how much memory training will take, and refuses what cannot fit.
fn check_memory(
    made: &Features,
    graph: &CsrMatrix<f64>,
    options: &StaigOptions,
    loaded: bool,
    monitor: &dyn Monitor,
) -> Result<u64, PipelineError> {
    let (n_obs, n_features) = (made.values.n_rows(), made.values.n_cols());
    let needed = memory_bytes(n_obs, n_features, graph.nnz(), options);
    let Some(available) = available_bytes() else {
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
    let fits = |width: usize, layers: usize| {
        let smaller = StaigOptions { layers, width, ..options.clone() };
        memory_bytes(n_obs, n_features, graph.nnz(), &smaller) <= available
    };
    let smaller = [(64, 1), (32, 1), (16, 1), (8, 1)]
        .into_iter()
        .find(|&(w, l)| (w < options.width || l < options.layers) && w <= options.width && fits(w, l));
    let advice = match smaller {
        Some((width, layers)) if !loaded => {
            format!("narrow the network with --width {width} --layers {layers}")
        }
        _ => "take a part of the spots, or a machine with more memory".to_owned(),
    };
    Err(PipelineError::Memory {
        work: format!("STAIG on {n_obs} spots"),
        needed: in_words(needed),
        available: in_words(available),
        advice,
    })
}

type Embedded = (Vec<(Seed, Array2<f64>)>, Vec<Trained>);

/// The embeddings of the networks, trained or loaded.
fn embed(
    shown: &StaigTissue<'_>,
    options: &StaigOptions,
    request: &StaigRequest,
    saved: Option<&SavedModel>,
    data_hash: &str,
    seed: Seed,
    seconds: &mut Seconds,
    monitor: &dyn Monitor,
) -> Result<Embedded, PipelineError> {
    let wide = |e: &Array2<f32>| e.mapv(f64::from);
    if let Some(saved) = saved {
        let apply = |model: &StaigModel| model.apply(shown, monitor).map_err(in_flags);
        monitor.stage("applying the network", 0);
        let embedding = timed(&mut seconds.train, || apply(&saved.model))?;
        return Ok((vec![(seed, wide(&embedding))], Vec::new()));
    }
    let trained =
        timed(&mut seconds.train, || training::train_all(shown, request, options, data_hash, seed, monitor))?;
    Ok((trained.iter().map(|t| (t.seed, wide(&t.embedding))).collect(), trained))
}

/// The embedding of the baseline.
fn baseline(
    made: &Features,
    graph: &CsrMatrix<f64>,
    request: &StaigRequest,
    seed: Seed,
    seconds: &mut Seconds,
    monitor: &dyn Monitor,
) -> Result<Array2<f64>, PipelineError> {
    let n_components = request.features.n_pcs.unwrap_or(BASELINE_COMPONENTS);
    let options = SmoothedPcaOptions { n_components, ..SmoothedPcaOptions::default() };
    monitor.stage("smoothing, principal components", 0);
    timed(&mut seconds.train, || smoothed_pca(made.values.view(), graph.view(), &options, seed, monitor))
        .map_err(|source| PipelineError::Preprocess { modality: "features".to_owned(), source })
}

/// The embedding in the plane.
fn plane(embedding: &Array2<f64>, seed: Seed, monitor: &dyn Monitor) -> Result<Array2<f32>, PipelineError> {
    let options = NeighborsOptions { n_neighbors: CLUSTER_NEIGHBORS, ..NeighborsOptions::default() };
    monitor.stage("neighbours", 0);
    let graph = neighbors(embedding.view(), &options, seed, monitor)?;
    let options = UmapOptions::default();
    Ok(umap(graph.connectivities.view(), Some(embedding.view()), &options, seed, monitor)?.positions)
}

fn per_slice(
    tissue: &Tissue,
    truth: Option<&str>,
    labels: &[u32],
    codes: &[u32],
    names: &[String],
) -> Result<Vec<SliceReport>, PipelineError> {
    let mut reports = Vec::new();
    for (slice, name) in names.iter().enumerate() {
        let rows: Vec<usize> = (0..codes.len()).filter(|&i| codes[i] as usize == slice).collect();
        if rows.is_empty() {
            continue;
        }
        let own: std::collections::BTreeSet<u32> = rows.iter().map(|&i| labels[i]).collect();
        let metrics = match truth {
            Some(key) => evaluation::score_truth_of(tissue, key, labels, &rows)?,
            None => None,
        };
        reports.push(SliceReport { name: name.clone(), n_obs: rows.len(), n_clusters: own.len(), metrics });
    }
    Ok(reports)
}

/// How well slices mix in the embedding, and before.
fn mixing(
    embedding: &Array2<f64>,
    before: Option<&Array2<f64>>,
    labels: &[u32],
    codes: &[u32],
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<IntegrationReport, PipelineError> {
    let options = EvaluationOptions { max_queries: Some(MAX_QUERIES), ..EvaluationOptions::default() };
    let measure = |embedding: &Array2<f64>| {
        let inputs = EvaluationInputs {
            pred: labels,
            truth: None,
            embedding: Some(embedding.view()),
            batch: Some(codes),
            spatial: None,
        };
        evaluate(&inputs, &options, seed, monitor)
    };
    let after = measure(embedding)?;
    let mut report = IntegrationReport {
        ilisi: after.ilisi_median,
        batch_kl: after.batch_kl,
        clisi: after.clisi_median,
        silhouette: after.silhouette,
        davies_bouldin: after.davies_bouldin,
        ..IntegrationReport::default()
    };
    if let Some(before) = before.filter(|b| b.ncols() > 0) {
        let before = measure(before)?;
        report.ilisi_before = before.ilisi_median;
        report.batch_kl_before = before.batch_kl;
    }
    Ok(report)
}

fn summary(
    request: &StaigRequest,
    options: &StaigOptions,
    made: &Features,
    graph: &CsrMatrix<f64>,
    domains: &Domains,
    trained: &[Trained],
    n_obs: usize,
    n_slices: usize,
) -> StaigReport {
    let n_clusters = domains.labels.iter().max().map_or(0, |m| *m as usize + 1);
    let mut sizes = vec![0usize; n_clusters];
    for &label in &domains.labels {
        sizes[label as usize] += 1;
    }
    let kept = trained.get(domains.kept);
    let entries = (made.values.n_rows() * made.values.n_cols()).max(1) as f64;
    StaigReport {
        method: request.method.name(),
        n_obs,
        n_slices,
        n_clusters,
        n_clusters_reached: domains.reached,
        quality: domains.quality,
        bic: domains.mixture.as_ref().map(|m| m.bic),
        cluster_method: domains.method.name(),
        tried: domains.tried.clone(),
        n_clusters_by: match request.cluster {
            EmbeddingMethod::Gmm { n_clusters: None, criterion, .. } => Some(criterion.name()),
            _ => None,
        },
        refine: request.refine(),
        sizes,
        key_added: request.key().to_owned(),
        use_rep: format!("X_{}", request.key()),
        features: StaigFeatureSummary {
            n_vars: made.selected.len(),
            n_features: made.map.n_features(),
            values: made.map.values.name(),
            scale: match made.map.scale {
                FeatureScale::None => "none",
                FeatureScale::Fixed(_) => "fixed",
                FeatureScale::PerSlice => "per_slice",
            },
            density: made.values.nnz() as f64 / entries,
        },
        n_edges: graph.nnz(),
        edge_rule: kept.map(|_| match options.edge_rule {
            EdgeRule::Fixed(_) => "fixed",
            EdgeRule::Expression => "expression",
            EdgeRule::Image => "image",
        }),
        negatives: kept.map(|t| negatives_name(t.negatives)),
        moments_bound: kept
            .filter(|t| t.negatives == Negatives::Moments)
            .map(|t| t.epochs.iter().fold(0.0, |largest: f64, e| largest.max(e.bound))),
        n_epochs: kept.map_or(0, |t| t.epochs.len()),
        loss: kept.and_then(|t| t.epochs.last()).map(|e| e.loss),
        restarts: domains.consensus.as_ref().map(|c| RestartReport {
            n: trained.len(),
            agreement: c.agreement,
            run_agreement: c.run_agreement.clone(),
            kept: domains.kept,
            mean_stability: c.stability.iter().sum::<f64>() / c.stability.len().max(1) as f64,
        }),
        slices: Vec::new(),
        integration: None,
        forecast_bytes: 0,
        seconds: Seconds::default(),
        metrics: None,
        metrics_unrefined: None,
    }
}
