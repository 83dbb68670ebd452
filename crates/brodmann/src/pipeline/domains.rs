//! Leiden and SpatialLeiden, from a file of counts to a file with domains.

use std::path::Path;

use brodmann_data::{Additions, Categorical, Column, ReadOptions, Select, Value, keys};
use brodmann_kernels::{CsrMatrix, Monitor, Seed};
use indexmap::IndexMap;

use super::evaluation::{self, TruthScores};
use super::forecast::{announce, work_of};
use super::graphs::{latent_graph, spatial_graph};
use super::request::{
    DomainRequest, LARGEST, SPATIAL_LAYER, check_key_added, check_n_clusters, check_resolutions,
};
use super::tissue::{Destination, Tissue};
use super::{PipelineError, Seconds, timed};
use crate::cluster::{
    Layer, LeidenOptions, Partition, Quality, ResolutionSearch, SearchOptions, leiden_multiplex_with,
    search_resolution, search_resolution_latent_spatial,
};
use crate::graph::is_symmetric;

/// Fewest observations a run is done on: below, no neighbour graph has a structure to find.
const MIN_OBS: usize = 3;
/// Largest domain that is called small in the log.
const SMALL_DOMAIN: usize = 3;

/// One layer as it entered the clustering.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct LayerReport {
    /// Layer name.
    pub name: String,
    /// Weight.
    pub weight: f64,
    /// Resolution, searched or given.
    pub resolution: f64,
    /// Read as directed.
    pub directed: bool,
    /// Stored edges.
    pub n_edges: usize,
    /// Quality of the partition in this layer, unweighted.
    pub quality: f64,
}

/// What a run found.
#[derive(Clone, Debug, serde::Serialize)]
pub struct DomainReport {
    /// Observations.
    pub n_obs: usize,
    /// Domains found.
    pub n_clusters: usize,
    /// Domains asked for, if any.
    pub n_clusters_requested: Option<usize>,
    /// Whether that number was reached; true when none was asked for.
    pub n_clusters_reached: bool,
    /// `Σ weight · quality` over the layers.
    pub quality: f64,
    /// Iterations of Leiden.
    pub n_iterations: u32,
    /// Whether the last iteration changed nothing.
    pub converged: bool,
    /// The layers.
    pub layers: Vec<LayerReport>,
    /// Size of each domain, largest first.
    pub sizes: Vec<usize>,
    /// `obs` column written.
    pub key_added: String,
    /// Wall-clock seconds of each stage.
    pub seconds: Seconds,
    /// Memory the run was expected to take at its peak, in bytes.
    pub forecast_bytes: u64,
    /// Wall-clock seconds it was expected to take, roughly.
    pub forecast_seconds: f64,
    /// Agreement with the known domains, where there are any.
    pub metrics: Option<TruthScores>,
}

/// Finds domains in `input` and writes them, with everything computed on the way, to `destination`.
///
/// # Inputs
/// `input`: `.h5ad`, `.h5mu`, or a folder or file of a supported platform.
/// # Returns
/// The report; the output holds `obs[key_added]` (categorical strings `"0"`, `"1"`, … by size) and the
/// record of the run in `uns[key_added]`.
/// # Errors
/// [`PipelineError`]; nothing is written then.
/// # Source
/// Müller-Bötticher et al. 2025 (SpatialLeiden); Traag et al. 2019 (Leiden).
pub fn find_domains(
    input: &Path,
    destination: &Destination,
    request: &DomainRequest,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<DomainReport, PipelineError> {
    let mut seconds = Seconds::default();
    let tissue = timed(&mut seconds.read, || {
        Tissue::open(input, &elements(request), request.features.modality, monitor)
    })?;
    tissue.check_destination(destination)?;
    let n_obs = tissue.n_obs();
    if n_obs < MIN_OBS {
        return Err(PipelineError::TooFewObservations { n_obs, expected: MIN_OBS });
    }
    if let Some(k) = request.n_clusters {
        check_n_clusters(k, n_obs)?;
    }
    let mut names: Vec<String> = tissue.modalities().iter().map(|m| m.name.clone()).collect();
    if request.spatial {
        names.push(SPATIAL_LAYER.to_owned());
    }
    // Options that name layers are resolved before any work, so that a typing error costs no time.
    let ratio = request.layer_ratio.unwrap_or(1.0);
    let weights =
        request.weight.resolve(&names, "--layer-weight", |l| if l == SPATIAL_LAYER { ratio } else { 1.0 })?;
    let resolutions = request.resolution.resolve(&names, "--resolution", |_| 1.0)?;
    let directed = request.directed.resolve(&names, "--directed", |_| false)?;
    check_resolutions(&resolutions)?;
    check_weights(&weights)?;
    if request.n_clusters.is_some() && request.quality == Quality::Modularity {
        return Err(PipelineError::Option {
            option: "--quality",
            found: "modularity, which has no resolution to search,".to_owned(),
            expected: "rb (its generalisation), cpm or rber with --n-clusters",
        });
    }
    let truth_key = evaluation::truth_key(&tissue, request.truth.as_deref())?;
    let read = [truth_key.as_deref(), request.graphs.library_key.as_deref()];
    check_key_added(&request.key_added, &read)?;

    let name = if request.spatial { "SpatialLeiden" } else { "Leiden" };
    let work = work_of(&tissue, &request.features, &request.graphs, request.spatial, true)?;
    let forecast = announce(name, &work, monitor)?;
    let mut additions = Additions::default();
    // Space first: a tissue without coordinates is refused before the expensive stages.
    let space = request
        .spatial
        .then(|| spatial_graph(&tissue, &request.graphs, &mut additions, &mut seconds, monitor))
        .transpose()?;
    let mut graphs: Vec<CsrMatrix<f64>> = Vec::with_capacity(names.len());
    for modality in tissue.modalities() {
        graphs.push(latent_graph(
            &tissue,
            modality,
            &request.features,
            &request.graphs,
            seed,
            &mut additions,
            &mut seconds,
            monitor,
        )?);
    }
    graphs.extend(space);

    let mut layers: Vec<Layer<'_>> = graphs.iter().map(Layer::new).collect();
    for (l, layer) in layers.iter_mut().enumerate() {
        layer.weight = weights[l];
        layer.resolution = resolutions[l];
        layer.directed = directed[l];
        // Neighbour rows in a file need not be mutual; such a graph is read as what it is, not refused.
        if !layer.directed && !is_symmetric(graphs[l].view()) {
            monitor.note(&format!("{}: the graph is not symmetric, read as directed", names[l]));
            layer.directed = true;
        }
        layer.use_weights = request.use_weights;
        layer.quality = request.quality;
    }
    let options = LeidenOptions { n_iterations: request.n_iterations, ..LeidenOptions::default() };
    let found = timed(&mut seconds.cluster, || cluster(&mut layers, request, &options, seed, monitor))?;
    let partition = found.partition;

    let layer_reports: Vec<LayerReport> = (0..layers.len())
        .map(|l| LayerReport {
            name: names[l].clone(),
            weight: layers[l].weight,
            resolution: layers[l].resolution,
            directed: layers[l].directed,
            n_edges: graphs[l].nnz(),
            quality: partition.layer_quality[l],
        })
        .collect();
    let metrics =
        truth_key.map(|key| evaluation::score_truth(&tissue, &key, &partition.membership)).transpose()?;
    let mut sizes = vec![0usize; partition.n_clusters];
    for &label in &partition.membership {
        sizes[label as usize] += 1;
    }
    let small = sizes.iter().filter(|&&s| s <= SMALL_DOMAIN).count();
    if small > 0 {
        monitor.note(&format!("{small} domain(s) hold {SMALL_DOMAIN} spots or fewer"));
    }
    let mut report = DomainReport {
        n_obs,
        n_clusters: partition.n_clusters,
        n_clusters_requested: request.n_clusters,
        n_clusters_reached: found.exact,
        quality: partition.quality,
        n_iterations: partition.n_iterations,
        converged: partition.converged,
        layers: layer_reports,
        sizes,
        key_added: request.key_added.clone(),
        seconds,
        forecast_bytes: forecast.bytes,
        forecast_seconds: forecast.seconds,
        metrics,
    };
    record(&mut additions, request, &report, &partition, seed);
    timed(&mut seconds.write, || tissue.write(destination, &additions, monitor))?;
    report.seconds = seconds;
    Ok(report)
}

/// The elements a run needs; counts are read later, and only if they are needed.
fn elements(request: &DomainRequest) -> ReadOptions {
    let mut options = ReadOptions::names_only();
    let mut obs: Vec<String> = vec![keys::GROUND_TRUTH.to_owned()];
    obs.extend(request.truth.clone());
    obs.extend(request.graphs.library_key.clone());
    options.obs = Select::Only(obs);
    options.var = Select::only([keys::FEATURE_TYPES]);
    let mut obsm = vec![request.graphs.spatial_key.clone(), keys::X_PCA.to_owned(), keys::X_LSI.to_owned()];
    obsm.extend(request.graphs.use_rep.clone());
    options.obsm = Select::Only(obsm);
    options.obsp = Select::only([keys::CONNECTIVITIES, keys::SPATIAL_CONNECTIVITIES]);
    options
}

struct Found {
    partition: Partition,
    exact: bool,
}

fn cluster(
    layers: &mut [Layer<'_>],
    request: &DomainRequest,
    options: &LeidenOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Found, PipelineError> {
    let Some(k) = request.n_clusters else {
        monitor.stage("Leiden", 0);
        let partition = leiden_multiplex_with(layers, options, seed, monitor)?;
        return Ok(Found { partition, exact: true });
    };
    monitor.stage("searching the resolution", 0);
    let search = SearchOptions { leiden: options.clone(), ..SearchOptions::default() };
    let n_latent = layers.len() - usize::from(request.spatial);
    let latent: Vec<usize> = (0..n_latent).collect();
    // A layer of weight 0 has no say, so its resolution is not searched for.
    let has_latent = latent.iter().any(|&l| layers[l].weight > 0.0);
    let has_space = request.spatial && layers[n_latent].weight > 0.0;
    let found: ResolutionSearch = if has_space && !has_latent {
        let found = search_resolution(layers, &[n_latent], k, &search, seed, monitor)?;
        layers[n_latent].resolution = found.resolution;
        found
    } else if has_space {
        let both = search_resolution_latent_spatial(layers, n_latent, k, &search, seed, monitor)?;
        for &l in &latent {
            layers[l].resolution = both.latent.resolution;
        }
        layers[n_latent].resolution = both.spatial.resolution;
        monitor.note(&format!(
            "resolution {:.4} gives {} clusters without space",
            both.latent.resolution, both.latent.n_clusters_found
        ));
        both.spatial
    } else {
        let found = search_resolution(layers, &latent, k, &search, seed, monitor)?;
        for &l in &latent {
            layers[l].resolution = found.resolution;
        }
        found
    };
    monitor.note(&format!("resolution {:.4} gives {} clusters", found.resolution, found.n_clusters_found));
    note_unreached(&found, k, monitor);
    Ok(Found { partition: found.partition, exact: found.exact })
}

/// Says why the number of clusters asked for was not reached, where it was not.
pub(super) fn note_unreached(found: &ResolutionSearch, n_clusters: usize, monitor: &dyn Monitor) {
    if found.exact {
        return;
    }
    let why = found.unreached.map_or_else(String::new, |why| format!(" ({why})"));
    monitor.note(&format!(
        "{n_clusters} clusters were not reached at any resolution tried{why}: {} is the nearest",
        found.n_clusters_found
    ));
}

fn check_weights(weights: &[f64]) -> Result<(), PipelineError> {
    let option = "--layer-weight (or --layer-ratio)";
    if let Some(w) = weights.iter().find(|w| !(**w >= 0.0 && **w <= LARGEST)) {
        return Err(PipelineError::Option {
            option,
            found: w.to_string(),
            expected: "a number of 0 or more, at most 1e9,",
        });
    }
    if weights.iter().all(|w| *w == 0.0) {
        return Err(PipelineError::Option {
            option,
            found: "0 for every layer".to_owned(),
            expected: "a weight above 0 for at least one layer",
        });
    }
    Ok(())
}

/// Labels into `obs`, everything needed to repeat the run into `uns`.
fn record(
    additions: &mut Additions,
    request: &DomainRequest,
    report: &DomainReport,
    partition: &Partition,
    seed: Seed,
) {
    let labels = Categorical::from_labels(&partition.membership);
    let root = additions.target(None);
    root.obs.insert(request.key_added.clone(), Column::Categorical(labels));

    let dict = |entries: Vec<(&str, Value)>| {
        // What was not set is left out: before 0.12 anndata cannot read a null.
        let set = entries.into_iter().filter(|(_, v)| *v != Value::Null);
        Value::Dict(set.map(|(k, v)| (k.to_owned(), v)).collect::<IndexMap<_, _>>())
    };
    let per_layer = |f: &dyn Fn(&LayerReport) -> Value| {
        Value::Dict(report.layers.iter().map(|l| (l.name.clone(), f(l))).collect())
    };
    let params = dict(vec![
        ("resolution", per_layer(&|l| Value::Float(l.resolution))),
        ("layer_weights", per_layer(&|l| Value::Float(l.weight))),
        ("directed", per_layer(&|l| Value::Bool(l.directed))),
        ("use_weights", Value::Bool(request.use_weights)),
        ("quality", Value::String(request.quality.name().to_owned())),
        ("n_iterations", Value::Int(request.n_iterations.map_or(-1, i64::from))),
        ("n_clusters", request.n_clusters.map_or(Value::Null, |k| Value::Int(k as i64))),
        ("random_state", Value::Int(seed.0 as i64)),
    ]);
    let seconds = dict(vec![
        ("read", Value::Float(report.seconds.read)),
        ("preprocess", Value::Float(report.seconds.preprocess)),
        ("graph", Value::Float(report.seconds.graph)),
        ("cluster", Value::Float(report.seconds.cluster)),
    ]);
    let run = dict(vec![
        ("method", Value::String(if request.spatial { "spatialleiden" } else { "leiden" }.to_owned())),
        ("params", params),
        ("quality", Value::Float(report.quality)),
        ("layer_quality", per_layer(&|l| Value::Float(l.quality))),
        ("n_clusters", Value::Int(report.n_clusters as i64)),
        ("n_clusters_reached", Value::Bool(report.n_clusters_reached)),
        ("converged", Value::Bool(report.converged)),
        ("seconds", seconds),
        ("version", Value::String(env!("CARGO_PKG_VERSION").to_owned())),
    ]);
    root.uns.insert(request.key_added.clone(), run);
}
