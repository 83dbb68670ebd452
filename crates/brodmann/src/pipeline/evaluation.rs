//! How good are labels: against the known domains, in the embedding, in space, across slices?

use std::path::Path;

use brodmann_data::{ReadOptions, Select, keys};
use brodmann_kernels::{Monitor, Seed};

use super::PipelineError;
use super::tissue::Tissue;
use crate::graph::{SpatialGraphOptions, SpatialKind, spatial_neighbors};
use crate::metrics::{
    Evaluation, EvaluationInputs, EvaluationOptions, adjusted_mutual_information, adjusted_rand_index,
    evaluate, homogeneity_completeness_v, normalized_mutual_information, paired,
};

/// Agreement of labels with known domains; observations without a known domain are left out.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct TruthScores {
    /// `obs` column of the known domains.
    pub truth: String,
    /// Observations with a known domain.
    pub n_labelled: usize,
    /// Adjusted Rand index.
    pub ari: f64,
    /// Normalised mutual information (arithmetic).
    pub nmi: f64,
    /// Adjusted mutual information (arithmetic).
    pub ami: f64,
    /// Homogeneity.
    pub homogeneity: f64,
    /// Completeness.
    pub completeness: f64,
    /// V-measure.
    pub v_measure: f64,
}

/// The truth column: the one named, which must hold known domains, or `ground_truth` where it does.
pub(crate) fn truth_key(tissue: &Tissue, named: Option<&str>) -> Result<Option<String>, PipelineError> {
    let knows = |key: &str| tissue.labels(key).map(|labels| labels.codes.iter().any(|&c| c >= 0));
    match named {
        Some(key) if !knows(key)? => Err(no_truth(key)),
        Some(key) => Ok(Some(key.to_owned())),
        // Nobody asked for it: a column that is empty, or absent, only means that there is nothing to compare with.
        None => Ok(knows(keys::GROUND_TRUTH).unwrap_or(false).then(|| keys::GROUND_TRUTH.to_owned())),
    }
}

fn no_truth(key: &str) -> PipelineError {
    PipelineError::Column {
        element: format!("obs[{key:?}]"),
        found: "missing values alone".to_owned(),
        expected: "the known domain of some observations",
    }
}

/// The known domain of each observation.
fn truth_codes(tissue: &Tissue, key: &str) -> Result<Vec<Option<u32>>, PipelineError> {
    Ok(tissue.labels(key)?.codes.iter().map(|&c| u32::try_from(c).ok()).collect())
}

/// Scores `labels` against the known domains in `obs[key]`.
///
/// # Errors
/// [`PipelineError::Column`] when no observation has a known domain.
pub fn score_truth(tissue: &Tissue, key: &str, labels: &[u32]) -> Result<TruthScores, PipelineError> {
    scores(key, &truth_codes(tissue, key)?, labels)?.ok_or_else(|| no_truth(key))
}

/// The same for some observations; `None` when none of them has a known domain.
///
/// # Errors
/// As the metrics.
pub fn score_truth_of(
    tissue: &Tissue,
    key: &str,
    labels: &[u32],
    rows: &[usize],
) -> Result<Option<TruthScores>, PipelineError> {
    let truth = truth_codes(tissue, key)?;
    let truth: Vec<Option<u32>> = rows.iter().map(|&i| truth[i]).collect();
    let labels: Vec<u32> = rows.iter().map(|&i| labels[i]).collect();
    scores(key, &truth, &labels)
}

fn scores(key: &str, truth: &[Option<u32>], labels: &[u32]) -> Result<Option<TruthScores>, PipelineError> {
    let pairs = paired(truth, labels)?;
    if pairs.truth.is_empty() {
        return Ok(None);
    }
    let (truth, pred) = (&pairs.truth, &pairs.pred);
    let hcv = homogeneity_completeness_v(truth, pred)?;
    Ok(Some(TruthScores {
        truth: key.to_owned(),
        n_labelled: truth.len(),
        ari: adjusted_rand_index(truth, pred)?,
        nmi: normalized_mutual_information(truth, pred)?,
        ami: adjusted_mutual_information(truth, pred)?,
        homogeneity: hcv.homogeneity,
        completeness: hcv.completeness,
        v_measure: hcv.v_measure,
    }))
}

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
    let tissue = Tissue::open(input, &options, Some(crate::preprocess::Modality::Rna), monitor)?;

    let labels = tissue.labels(&request.pred)?;
    // An observation without a label is a cluster of its own kind for no metric: it is refused.
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
        let options = SpatialGraphOptions {
            kind: SpatialKind::Knn,
            n_neighbors: Some(6),
            ..SpatialGraphOptions::default()
        };
        Some(spatial_neighbors(coordinates.view(), batch.as_deref(), &options)?.connectivities)
    } else {
        monitor.note("no coordinates: spatial coherence is left out");
        None
    };
    monitor.stage("evaluating", 0);
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
