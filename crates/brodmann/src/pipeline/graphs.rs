//! Latent and spatial neighbour graphs of a tissue, from the file or built.

use brodmann_data::{ElementAdditions, Matrix, Value, keys};
use brodmann_kernels::{CsrMatrix, Opt, OptionError, Slices};
use indexmap::IndexMap;

use super::PipelineError;
use super::doubts::{require_differences, require_places};
use super::embedding::{Features, as_written, features, integrated};
use super::request::{FeatureRequest, GraphRequest, Place};
use super::run::{Run, Stage};
use super::tissue::{ModalityInfo, Tissue};
use crate::graph::{
    GraphError, Lattice, NeighborsOptions, SpatialGraphOptions, SpatialKind, connected_components,
    detect_lattice, distance2connectivity, neighbors, spatial_neighbors, validate_graph,
};

/// Neighbours in space where nothing is said, except on a hexagonal lattice: enough that a domain boundary is smoothed over
/// more than one spot.
pub const DEFAULT_N_SPATIAL: usize = 10;
/// Neighbours on a hexagonal lattice.
const HEXAGONAL: usize = 6;
/// Neighbours in latent space where nothing is said, as in scanpy.
pub const DEFAULT_N_NEIGHBORS: usize = 15;

/// The latent graph of one modality; one that was built will be written.
///
/// # Errors
/// As preprocessing and the neighbour search; graphs from the file are checked.
pub fn latent_graph(
    tissue: &Tissue,
    modality: &ModalityInfo,
    feature_request: &FeatureRequest,
    request: &GraphRequest,
    slices: Option<&Slices>,
    run: &mut Run<'_>,
) -> Result<CsrMatrix<f64>, PipelineError> {
    let (seed, monitor) = (run.seed, run.monitor);
    let fresh = request.wants_new_latent() || feature_request.is_explicit();
    if !fresh && let Some(graph) = tissue.graph(modality, keys::CONNECTIVITIES)? {
        validate_graph(graph.view(), tissue.n_obs(), keys::CONNECTIVITIES)?;
        monitor.note(&format!("{}: latent graph taken from obsp[\"connectivities\"]", modality.name));
        return Ok(without_diagonal(graph));
    }
    let Features { mut embedding, mut key } =
        features(tissue, modality, feature_request, request.use_rep.as_deref(), slices, run)?;
    require_differences(embedding.view(), &key)?;
    if let Some(integration) = request.integrate {
        embedding = as_written(integrated(embedding.view(), integration, slices, seed, run)?);
        // Beside the one it was made from, under a name of its own.
        key = format!("{key}_{}", integration.name());
        let narrowed = embedding.mapv(|v| v as f32);
        run.target(modality.key.as_deref()).obsm.insert(key.clone(), narrowed.into());
    }
    let options = NeighborsOptions {
        n_neighbors: request.n_neighbors.unwrap_or(DEFAULT_N_NEIGHBORS),
        ..NeighborsOptions::default()
    };
    monitor.stage(&format!("{}: latent neighbours", modality.name), 0);
    let built = run.timed(Stage::Graph, || neighbors(embedding.view(), &options, seed, monitor))?;
    drop(embedding);
    for note in &built.notes {
        monitor.note(&format!("{}: {note}", modality.name));
    }
    if let Some(recall) = built.recall {
        monitor.note(&format!("{}: approximate neighbours, recall {recall:.3} on a sample", modality.name));
    }
    let target = run.target(modality.key.as_deref());
    // What is written is half as large, and what goes on is what was written.
    let weights = built.connectivities.view().map(|v| v as f32);
    drop(built.connectivities);
    let connectivities = weights.view().map(f64::from);
    target.obsp.insert(keys::CONNECTIVITIES.to_owned(), Matrix::CsrF32(weights));
    target.obsp.insert(keys::DISTANCES.to_owned(), Matrix::CsrF64(built.distances));
    let mut params = IndexMap::new();
    params.insert("n_neighbors".to_owned(), Value::Int(options.n_neighbors as i64));
    params.insert("method".to_owned(), Value::String("umap".to_owned()));
    params.insert("metric".to_owned(), Value::String("euclidean".to_owned()));
    params.insert("random_state".to_owned(), Value::Int(seed.0 as i64));
    params.insert("use_rep".to_owned(), Value::String(key));
    insert_graph_record(target, keys::NEIGHBORS, keys::CONNECTIVITIES, keys::DISTANCES, params);
    Ok(connectivities)
}

/// The spatial graph: from `obsp["spatial_connectivities"]`, or built, and then written. Where nothing is asked for, the
/// 6 neighbours on a hexagonal lattice and elsewhere the 10 nearest: on Visium the lattice finds more and loses nothing to noise,
/// while of a square lattice the 4 are too few and the 8 no better than the 10 nearest (docs/methods.md, 2).
///
/// A kNN, radius or Delaunay graph is weighted by `1 − d / d_max` (`distance2connectivity`); on a grid all
/// neighbours of a spot are equally near, so its edges weigh 1.
///
/// # Errors
/// [`brodmann_data::DataError::MissingKey`] without coordinates; as the graph's own function.
pub fn spatial_graph(
    tissue: &Tissue,
    request: &GraphRequest,
    place: &Place,
    slices: Option<&Slices>,
    run: &mut Run<'_>,
) -> Result<CsrMatrix<f64>, PipelineError> {
    let monitor = run.monitor;
    if !request.wants_new_spatial(place)
        && let Some(graph) = tissue.whole_graph(keys::SPATIAL_CONNECTIVITIES)?
    {
        validate_graph(graph.view(), tissue.n_obs(), keys::SPATIAL_CONNECTIVITIES)?;
        monitor.note("spatial graph taken from obsp[\"spatial_connectivities\"]");
        return Ok(without_diagonal(graph));
    }
    let coordinates = tissue.coordinates(&place.spatial_key)?;
    let within_radius = request.radius.is_some() && request.n_spatial.is_none();
    let said = request.spatial.or(within_radius.then_some(SpatialKind::Radius));
    check_spatial(request.n_spatial, request.radius, said.unwrap_or(SpatialKind::Knn))?;
    require_places(coordinates.view())?;
    let (kind, n_neighbors) = match said {
        Some(SpatialKind::Knn) => (SpatialKind::Knn, request.n_spatial.or(Some(DEFAULT_N_SPATIAL))),
        Some(kind) => (kind, request.n_spatial),
        None => {
            let lattice = run.timed(Stage::Graph, || detect_lattice(coordinates.view(), slices))?;
            if lattice == Some(Lattice::Hexagonal) && matches!(request.n_spatial, None | Some(HEXAGONAL)) {
                monitor.note(
                    "spatial graph: the spots lie on a hexagonal lattice; those beside each, at most 6, are its neighbours",
                );
                (SpatialKind::Grid, Some(HEXAGONAL))
            } else {
                let n = request.n_spatial.unwrap_or(DEFAULT_N_SPATIAL);
                monitor.note(&format!("spatial graph: the {n} nearest spots are neighbours"));
                (SpatialKind::Knn, Some(n))
            }
        }
    };
    let options = SpatialGraphOptions {
        kind,
        n_neighbors,
        radius: request.radius.filter(|_| kind == SpatialKind::Radius),
        max_length: request.radius.filter(|_| kind == SpatialKind::Delaunay),
        ..SpatialGraphOptions::default()
    };
    monitor.stage("spatial neighbours", 0);
    let (built, connectivities) = run.timed(Stage::Graph, || {
        let mut built = spatial_neighbors(coordinates.view(), slices, &options)?;
        let binary = std::mem::replace(&mut built.connectivities, CsrMatrix::with_capacity(0, 0, 0));
        let connectivities = if built.kind == SpatialKind::Grid {
            binary
        } else {
            drop(binary);
            distance2connectivity(built.distances.view(), keys::SPATIAL_DISTANCES)?
        };
        Ok::<_, GraphError>((built, connectivities))
    })?;
    drop(coordinates);
    for note in &built.notes {
        monitor.note(&format!("spatial graph: {note}"));
    }
    let components = connected_components(connectivities.view());
    let n_slices = slices.map_or(1, Slices::count);
    if components.count() > n_slices {
        monitor.note(&format!(
            "spatial graph: {} connected components (domains still join through the latent graph)",
            components.count()
        ));
    }
    let target = run.target(None);
    target.obsp.insert(keys::SPATIAL_CONNECTIVITIES.to_owned(), Matrix::CsrF64(connectivities.clone()));
    target.obsp.insert(keys::SPATIAL_DISTANCES.to_owned(), Matrix::CsrF64(built.distances));
    let mut params = IndexMap::new();
    params.insert("kind".to_owned(), Value::String(built.kind.name().to_owned()));
    if let Some(n) = options.n_neighbors {
        params.insert("n_neighbors".to_owned(), Value::Int(n as i64));
    }
    if let Some(radius) = request.radius {
        params.insert("radius".to_owned(), Value::Float(radius));
    }
    let weights = if built.kind == SpatialKind::Grid { "binary" } else { "distance2connectivity" };
    params.insert("weights".to_owned(), Value::String(weights.to_owned()));
    insert_graph_record(
        target,
        keys::SPATIAL_NEIGHBORS,
        keys::SPATIAL_CONNECTIVITIES,
        keys::SPATIAL_DISTANCES,
        params,
    );
    Ok(without_zeros(connectivities))
}

/// Builds the spatial graph that genes are selected on, where they are; it is not written.
pub(super) fn prepare_selection(
    tissue: &Tissue,
    features: &FeatureRequest,
    (request, place): (&GraphRequest, &Place),
    slices: Option<&Slices>,
    run: &mut Run<'_>,
) -> Result<(), PipelineError> {
    if features.needs_graph() {
        let mut aside = Run::new(run.seed, run.monitor);
        run.selection_graph = Some(spatial_graph(tissue, request, place, slices, &mut aside)?);
        run.seconds.graph += aside.seconds.graph;
    }
    Ok(())
}

/// Values the graph would refuse under its own names for them are refused under those of the options.
pub(super) fn check_spatial(
    n_spatial: Option<usize>,
    radius: Option<f64>,
    kind: SpatialKind,
) -> Result<(), PipelineError> {
    if n_spatial == Some(0) {
        return Err(OptionError::new("n_spatial", 0, "at least 1").into());
    }
    match radius {
        Some(r) if !r.is_finite() || r <= 0.0 => {
            Err(OptionError::new("radius", r, "a number above 0").into())
        }
        None if kind == SpatialKind::Radius => {
            let expected =
                format!("the largest distance of a spatial edge, with {}", Opt("spatial").set("radius"));
            Err(OptionError::new("radius", "not given", expected).into())
        }
        _ => Ok(()),
    }
}

fn insert_graph_record(
    target: &mut ElementAdditions,
    key: &str,
    connectivities: &str,
    distances: &str,
    params: IndexMap<String, Value>,
) {
    let mut record = IndexMap::new();
    record.insert("connectivities_key".to_owned(), Value::String(connectivities.to_owned()));
    record.insert("distances_key".to_owned(), Value::String(distances.to_owned()));
    record.insert("params".to_owned(), Value::Dict(params));
    target.uns.insert(key.to_owned(), Value::Dict(record));
}

/// Drops self-loops, which squidpy's `set_diag` leaves: a loop favours no partition but shifts the null model.
fn without_diagonal(graph: CsrMatrix<f64>) -> CsrMatrix<f64> {
    graph.retain(|i, j, _| i != j)
}

/// Drops stored zeros: the longest edge after `distance2connectivity`.
fn without_zeros(graph: CsrMatrix<f64>) -> CsrMatrix<f64> {
    graph.retain(|_, _, v| v != 0.0)
}
