//! Labels that are in a file already, judged by everything the file allows.

use std::path::Path;

use brodmann_data::{OpenOptions, ReadOptions, Select, keys};
use brodmann_kernels::{Monitor, Seed};

use super::PipelineError;
use super::scores::{truth_codes, truth_key};
use super::tissue::{Opening, Tissue};
use crate::metrics::{Evaluation, EvaluationInputs, EvaluationOptions, coherence_graph, evaluate};
use crate::preprocess::Modality;

/// What to evaluate.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluationRequest {
    /// `obs` column of the labels.
    pub pred: String,
    /// `obs` column of the known domains.
    pub truth: Option<String>,
    /// `obsm` key of the embedding.
    pub use_rep: Option<String>,
    /// `obs` column of the slice or batch.
    pub batch_key: Option<String>,
    /// `obsm` key of the coordinates.
    pub spatial_key: String,
}

/// The numbers, and what they rest on.
#[derive(Clone, Debug, serde::Serialize)]
pub struct EvaluationReport {
    /// Observations.
    pub n_obs: usize,
    /// Labels.
    pub n_clusters: usize,
    /// Column judged.
    pub pred: String,
    /// Column of the known domains, if any.
    pub truth: Option<String>,
    /// Embedding used, if any.
    pub use_rep: Option<String>,
    /// The metrics; what cannot be computed is absent.
    pub metrics: Evaluation,
}

/// Evaluates `obs[pred]` of a file with everything the file allows.
///
/// # Errors
/// [`PipelineError`] when a named key is missing or labels are missing.
pub fn evaluate_file(
    input: &Path,
    request: &EvaluationRequest,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<EvaluationReport, PipelineError> {
    let mut options = ReadOptions::names_only();
    let mut obs = vec![request.pred.clone(), keys::GROUND_TRUTH.to_owned()];
    obs.extend(request.truth.clone());
    obs.extend(request.batch_key.clone());
    options.obs = Select::Only(obs);
    let mut obsm = vec![request.spatial_key.clone(), keys::X_PCA.to_owned()];
    obsm.extend(request.use_rep.clone());
    options.obsm = Select::Only(obsm);
    let source = OpenOptions::default();
    let labelled = Some(request.pred.as_str());
    let opening = Opening { labelled, ..Opening::of(&source, &options, Some(Modality::Rna)) };
    let tissue = Tissue::open(input, &opening, monitor)?;

    let labels = tissue.labels(&request.pred)?;
    // No metric knows what to make of an observation without a label.
    let pred: Vec<u32> =
        labels.codes.iter().map(|&c| u32::try_from(c)).collect::<Result<_, _>>().map_err(|_| {
            PipelineError::Column {
                element: format!("obs[{:?}]", request.pred),
                found: "missing values".to_owned(),
                expected: "a label for every observation",
            }
        })?;
    let truth_key = truth_key(&tissue, request.truth.as_deref())?.filter(|t| *t != request.pred);
    let truth = truth_key.as_deref().map(|key| truth_codes(&tissue, key)).transpose()?;
    let (use_rep, embedding) = match &request.use_rep {
        Some(key) => (Some(key.clone()), Some(tissue.any_embedding(key)?)),
        None if tissue.has_embedding(keys::X_PCA) => {
            (Some(keys::X_PCA.to_owned()), Some(tissue.any_embedding(keys::X_PCA)?))
        }
        None => (None, None),
    };
    let batch = tissue.slices(request.batch_key.as_deref())?;
    // Only what nobody asked for may be absent; what is there must be fit for use.
    let named = request.spatial_key != keys::SPATIAL;
    let space = if named || tissue.has_embedding(&request.spatial_key) {
        let coordinates = tissue.coordinates(&request.spatial_key)?;
        Some(coherence_graph(coordinates.view(), batch.as_ref())?)
    } else {
        monitor.note("no coordinates: spatial coherence is left out");
        None
    };
    monitor.stage("evaluating", 0);
    let batch = batch.map(|b| b.to_codes());
    let metrics = evaluate(
        &EvaluationInputs {
            pred: &pred,
            truth: truth.as_deref(),
            embedding: embedding.as_ref().map(|e| e.view()),
            batch: batch.as_deref(),
            spatial: space.as_ref().map(|g| g.view()),
        },
        &EvaluationOptions::default(),
        seed,
        monitor,
    )?;
    let n_clusters = pred.iter().collect::<std::collections::BTreeSet<_>>().len();
    Ok(EvaluationReport {
        n_obs: tissue.n_obs(),
        n_clusters,
        pred: request.pred.clone(),
        truth: truth_key,
        use_rep,
        metrics,
    })
}
