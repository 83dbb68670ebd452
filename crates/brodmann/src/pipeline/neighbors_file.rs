//! `brodmann neighbors`: the neighbour graphs of a file, written back.

use std::path::Path;

use brodmann_data::{OpenOptions, ReadOptions, Select, keys};
use brodmann_kernels::{CsrMatrix, Monitor, Seed};

use super::PipelineError;
use super::embedding::{add_log_normalized, of_a_single_slice};
use super::forecast::{Forecast, announce, work_of};
use super::graphs::{latent_graph, prepare_selection, spatial_graph};
use super::qc::GENE_NAMES;
use super::request::{FeatureRequest, GraphRequest, Place, SPATIAL_LAYER};
use super::run::{Run, Seconds, Stage};
use super::tissue::{Destination, Opening, Tissue};
use crate::graph::connected_components;

/// One graph that was built.
#[derive(Clone, Debug, serde::Serialize)]
pub struct GraphReport {
    /// Modality, or `spatial`.
    pub name: String,
    /// Stored edges, both directions.
    pub n_edges: usize,
    /// Edges per observation.
    pub mean_neighbors: f64,
    /// Connected components.
    pub n_components: usize,
}

/// What was built.
#[derive(Clone, Debug, serde::Serialize)]
pub struct GraphsReport {
    /// Observations.
    pub n_obs: usize,
    /// The graphs.
    pub graphs: Vec<GraphReport>,
    /// Wall-clock seconds of each stage.
    pub seconds: Seconds,
}

/// Builds the latent graph of every modality and the spatial graph (where there are coordinates) and writes them.
///
/// # Errors
/// [`PipelineError`]; nothing is written then.
pub fn build_graphs(
    input: (&Path, &OpenOptions),
    destination: &Destination,
    feature_request: &FeatureRequest,
    request: &GraphRequest,
    place: &Place,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<GraphsReport, PipelineError> {
    let mut run = Run::new(seed, monitor);
    let tissue = run.timed(Stage::Read, || open(input, feature_request, request, place, monitor))?;
    tissue.check_destination(destination)?;
    foresee(&tissue, feature_request, request, place, monitor)?;
    let n_obs = tissue.n_obs();
    let slices = tissue.slices(place.library_key.as_deref().or(tissue.library_key.as_deref()))?;
    if let Some(integration) = request.integrate.filter(|_| slices.as_ref().is_none_or(|s| s.count() < 2)) {
        return Err(of_a_single_slice(integration));
    }
    let mut graphs = Vec::new();
    let mut report = |name: &str, graph: &CsrMatrix<f64>| {
        graphs.push(GraphReport {
            name: name.to_owned(),
            n_edges: graph.nnz(),
            mean_neighbors: graph.nnz() as f64 / n_obs as f64,
            n_components: connected_components(graph.view()).count(),
        });
    };
    if wants_space(&tissue, request, place) {
        let graph = spatial_graph(&tissue, request, place, slices.as_ref(), &mut run)?;
        report(SPATIAL_LAYER, &graph);
    } else {
        monitor.note("no coordinates: the spatial graph is left out");
    }
    prepare_selection(&tissue, feature_request, (request, place), slices.as_ref(), &mut run)?;
    for modality in tissue.modalities() {
        let graph = latent_graph(&tissue, modality, feature_request, request, slices.as_ref(), &mut run)?;
        report(&modality.name, &graph);
    }
    if feature_request.keep_log_normalized {
        add_log_normalized(&tissue, feature_request, &mut run)?;
    }
    let mut additions = std::mem::take(&mut run.additions);
    tissue.place(&mut additions);
    run.timed(Stage::Write, || tissue.write(destination, &additions, monitor))?;
    Ok(GraphsReport { n_obs, graphs, seconds: run.seconds })
}

/// What [`build_graphs`] would take, found out by opening the file and no more.
///
/// # Errors
/// [`PipelineError`], as the run itself would end before its work.
pub fn forecast_graphs(
    input: (&Path, &OpenOptions),
    feature_request: &FeatureRequest,
    request: &GraphRequest,
    place: &Place,
    monitor: &dyn Monitor,
) -> Result<Forecast, PipelineError> {
    let tissue = open(input, feature_request, request, place, monitor)?;
    foresee(&tissue, feature_request, request, place, monitor)
}

fn foresee(
    tissue: &Tissue,
    feature_request: &FeatureRequest,
    request: &GraphRequest,
    place: &Place,
    monitor: &dyn Monitor,
) -> Result<Forecast, PipelineError> {
    feature_request.check()?;
    let n_obs = tissue.n_obs();
    if n_obs < 2 {
        return Err(PipelineError::TooFewObservations { n_obs, expected: 2 });
    }
    let in_space = wants_space(tissue, request, place);
    let work = work_of(tissue, feature_request, request, place, in_space, 0)?;
    announce("building graphs", n_obs, &work.need(), monitor)
}

fn wants_space(tissue: &Tissue, request: &GraphRequest, place: &Place) -> bool {
    request.wants_new_spatial(place) || tissue.has_embedding(&place.spatial_key)
}

fn open(
    (input, source): (&Path, &OpenOptions),
    feature_request: &FeatureRequest,
    request: &GraphRequest,
    place: &Place,
    monitor: &dyn Monitor,
) -> Result<Tissue, PipelineError> {
    let mut options = ReadOptions::to_write();
    options.obs = Select::Only(place.library_key.clone().into_iter().collect());
    options.var = Select::only(GENE_NAMES.into_iter().chain([keys::FEATURE_TYPES]));
    let mut obsm = vec![place.spatial_key.clone(), keys::X_PCA.to_owned(), keys::X_LSI.to_owned()];
    obsm.extend(request.use_rep.clone());
    options.obsm = Select::Only(obsm);
    let kind = feature_request.modality;
    // A graph joins all spots of the file; a method leaves out those that are off the tissue.
    let everywhere = Place { keep_off_tissue: true, ..place.clone() };
    let opening = Opening {
        features: Some(feature_request),
        place: Some(&everywhere),
        ..Opening::of(source, &options, kind)
    };
    Tissue::open(input, &opening, monitor)
}
