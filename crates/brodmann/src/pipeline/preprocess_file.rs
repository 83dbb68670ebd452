//! `brodmann preprocess`: counts of a file to embeddings, written back.

use std::path::Path;

use brodmann_data::{OpenOptions, ReadOptions, Select, keys};
use brodmann_kernels::{Monitor, Seed};

use super::PipelineError;
use super::embedding::{add, embedding_key, make};
use super::forecast::{Forecast, announce, preprocessing_work};
use super::graphs::prepare_selection;
use super::qc::GENE_NAMES;
use super::request::{FeatureRequest, GraphRequest, Place};
use super::run::{Run, Seconds, Stage};
use super::tissue::{Destination, Opening, Tissue};

/// What preprocessing did to one modality.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ModalityFeatures {
    /// Modality.
    pub name: String,
    /// Features in the file.
    pub n_vars: usize,
    /// Features the embedding rests on.
    pub n_selected: usize,
    /// Columns of the embedding.
    pub n_components: usize,
    /// `obsm` key written.
    pub key_added: String,
}

/// What preprocessing did.
#[derive(Clone, Debug, serde::Serialize)]
pub struct FeatureReport {
    /// Observations.
    pub n_obs: usize,
    /// Modality by modality.
    pub modalities: Vec<ModalityFeatures>,
    /// Wall-clock seconds of each stage.
    pub seconds: Seconds,
}

/// Preprocesses every modality of a file and writes embeddings, loadings, selections and log-normalised values.
///
/// # Errors
/// [`PipelineError`]; nothing is written then.
pub fn preprocess_file(
    input: (&Path, &OpenOptions),
    destination: &Destination,
    request: &FeatureRequest,
    library_key: Option<&str>,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<FeatureReport, PipelineError> {
    let mut run = Run::new(seed, monitor);
    let tissue = run.timed(Stage::Read, || open(input, request, library_key, monitor))?;
    tissue.check_destination(destination)?;
    let slices = tissue.slices(library_key)?;
    announce("preprocessing", tissue.n_obs(), &preprocessing_work(&tissue, request)?.need(), monitor)?;
    let mut modalities = Vec::new();
    let place = Place { library_key: library_key.map(str::to_owned), ..Place::default() };
    prepare_selection(&tissue, request, (&GraphRequest::default(), &place), slices.as_ref(), &mut run)?;
    for modality in tissue.modalities() {
        let made = make(&tissue, modality, request, slices.as_ref(), true, &mut run)?;
        add(modality, &made, seed, run.target(modality.key.as_deref()));
        modalities.push(ModalityFeatures {
            name: modality.name.clone(),
            n_vars: made.preprocessed.highly_variable.len(),
            n_selected: made.preprocessed.highly_variable.iter().filter(|h| **h).count(),
            n_components: made.preprocessed.embedding.ncols(),
            key_added: embedding_key(modality.kind).to_owned(),
        });
    }
    let n_obs = tissue.n_obs();
    warn_off_tissue(&tissue, monitor);
    let mut additions = std::mem::take(&mut run.additions);
    tissue.place(&mut additions);
    run.timed(Stage::Write, || tissue.write(destination, &additions, monitor))?;
    Ok(FeatureReport { n_obs, modalities, seconds: run.seconds })
}

/// What [`preprocess_file`] would take, found out by opening the file and no more.
///
/// # Errors
/// [`PipelineError`], as the run itself would end before its work.
pub fn forecast_preprocessing(
    input: (&Path, &OpenOptions),
    request: &FeatureRequest,
    library_key: Option<&str>,
    monitor: &dyn Monitor,
) -> Result<Forecast, PipelineError> {
    let tissue = open(input, request, library_key, monitor)?;
    announce("preprocessing", tissue.n_obs(), &preprocessing_work(&tissue, request)?.need(), monitor)
}

fn open(
    (input, source): (&Path, &OpenOptions),
    request: &FeatureRequest,
    library_key: Option<&str>,
    monitor: &dyn Monitor,
) -> Result<Tissue, PipelineError> {
    let mut options = ReadOptions::to_write();
    options.var = Select::only(GENE_NAMES.into_iter().chain([keys::FEATURE_TYPES]));
    options.obs = Select::Only(library_key.into_iter().chain([keys::IN_TISSUE]).map(str::to_owned).collect());
    if request.needs_graph() {
        options.obsm = Select::only([keys::SPATIAL]);
    }
    let opening = Opening { features: Some(request), ..Opening::of(source, &options, request.modality) };
    Tissue::open(input, &opening, monitor)
}

/// Says that spots off the tissue take part here, where every row of the file gets its components.
fn warn_off_tissue(tissue: &Tissue, monitor: &dyn Monitor) {
    let column = tissue.obs_column(keys::IN_TISSUE).and_then(|c| c.to_f64()).unwrap_or_default();
    let off = column.iter().filter(|v| **v == 0.0).count();
    if off > 0 {
        monitor.warn(&format!(
            "{off} spots off the tissue (obs[{:?}] 0) take part in the components; a method that is given the counts sets \
             them aside",
            keys::IN_TISSUE
        ));
    }
}
