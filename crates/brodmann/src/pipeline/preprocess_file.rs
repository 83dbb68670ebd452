//! `brodmann preprocess`: counts of a file to embeddings, written back.

use std::path::Path;

use brodmann_data::{ReadOptions, Select, keys};
use brodmann_kernels::{Monitor, Seed};

use super::PipelineError;
use super::embedding::{add, embedding_key, make};
use super::forecast::{announce, preprocessing_work};
use super::request::FeatureRequest;
use super::run::{Run, Seconds, Stage};
use super::tissue::{Destination, Tissue};

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
    input: &Path,
    destination: &Destination,
    request: &FeatureRequest,
    library_key: Option<&str>,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<FeatureReport, PipelineError> {
    let mut run = Run::new(seed, monitor);
    let mut options = ReadOptions::names_only();
    options.var = Select::only([keys::FEATURE_TYPES]);
    options.obs = Select::Only(library_key.map(str::to_owned).into_iter().collect());
    let tissue = run.timed(Stage::Read, || Tissue::open(input, &options, request.modality, monitor))?;
    tissue.check_destination(destination)?;
    let slices = tissue.slices(library_key)?;
    announce("preprocessing", tissue.n_obs(), &preprocessing_work(&tissue, request)?.need(), monitor)?;
    let mut modalities = Vec::new();
    for modality in tissue.modalities() {
        let made = make(&tissue, modality, request, slices.as_ref(), true, &mut run)?;
        add(&tissue, modality, &made, seed, run.target(modality.key.as_deref()));
        modalities.push(ModalityFeatures {
            name: modality.name.clone(),
            n_vars: made.preprocessed.highly_variable.len(),
            n_selected: made.preprocessed.highly_variable.iter().filter(|h| **h).count(),
            n_components: made.preprocessed.embedding.ncols(),
            key_added: embedding_key(modality.kind).to_owned(),
        });
    }
    let n_obs = tissue.n_obs();
    let additions = std::mem::take(&mut run.additions);
    run.timed(Stage::Write, || tissue.write(destination, &additions, monitor))?;
    Ok(FeatureReport { n_obs, modalities, seconds: run.seconds })
}
