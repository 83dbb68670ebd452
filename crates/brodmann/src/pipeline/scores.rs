//! How good are labels: against the known domains, slice by slice, and across slices?

use std::collections::BTreeSet;

use brodmann_data::keys;
use brodmann_kernels::{Monitor, Seed, Slices};
use ndarray::Array2;

use super::PipelineError;
use super::domains::Domains;
use super::scene::Scene;
use super::tissue::Tissue;
use crate::metrics::{
    EvaluationInputs, EvaluationOptions, adjusted_mutual_information, adjusted_rand_index, evaluate,
    homogeneity_completeness_v, normalized_mutual_information, paired,
};

/// Spots at which the mixing of slices is measured, at most.
const MAX_QUERIES: usize = 10_000;

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

impl TruthScores {
    /// One line for a person.
    pub fn line(&self) -> String {
        format!(
            "against obs[{:?}] ({} spots): ARI {:.3}  NMI {:.3}  AMI {:.3}  homogeneity {:.3}  completeness {:.3}",
            self.truth, self.n_labelled, self.ari, self.nmi, self.ami, self.homogeneity, self.completeness
        )
    }
}

/// One slice of several.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct SliceReport {
    /// Its name.
    pub name: String,
    /// Its spots.
    pub n_obs: usize,
    /// Domains found in it.
    pub n_clusters: usize,
    /// Agreement with the known domains, where there are any.
    pub metrics: Option<TruthScores>,
}

impl SliceReport {
    /// One line for a person.
    pub fn line(&self) -> String {
        let scores = |m: &TruthScores| format!("  ARI {:.3}  NMI {:.3}", m.ari, m.nmi);
        let scores = self.metrics.as_ref().map_or(String::new(), scores);
        format!("slice {:<12} {} spots, {} domains{scores}", self.name, self.n_obs, self.n_clusters)
    }
}

/// How well slices mix.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct IntegrationReport {
    /// Median effective number of slices around a spot of the embedding; as many as there are slices when mixed.
    pub ilisi: Option<f64>,
    /// Divergence of the slices around a spot from the slices overall; 0 when mixed.
    pub batch_kl: Option<f64>,
    /// The same in principal components of the genes, scaled over all slices, as one would take them of one slice.
    pub ilisi_before: Option<f64>,
    /// The same in those components.
    pub batch_kl_before: Option<f64>,
    /// Median effective number of domains around a spot of the embedding; 1 when pure.
    pub clisi: Option<f64>,
    /// Mean silhouette width of the domains in the embedding.
    pub silhouette: Option<f64>,
    /// Davies–Bouldin index of the domains in the embedding.
    pub davies_bouldin: Option<f64>,
}

impl IntegrationReport {
    /// One line for a person.
    pub fn line(&self, n_slices: usize) -> String {
        let number = |v: Option<f64>| v.map_or("–".to_owned(), |v| format!("{v:.3}"));
        format!(
            "{n_slices} slices: iLISI {} (before {}), BatchKL {} (before {})",
            number(self.ilisi),
            number(self.ilisi_before),
            number(self.batch_kl),
            number(self.batch_kl_before)
        )
    }
}

/// All that is known of how good the domains of a run are.
#[derive(Clone, Debug, Default)]
pub(super) struct Scores {
    pub truth: Option<TruthScores>,
    pub truth_unrefined: Option<TruthScores>,
    pub slices: Vec<SliceReport>,
    pub integration: Option<IntegrationReport>,
}

/// Scores of the domains of a run, all but the mixing of slices.
pub(super) fn of_domains(
    scene: &Scene<'_>,
    truth: Option<&str>,
    domains: &Domains,
) -> Result<Scores, PipelineError> {
    let score = |labels: &[u32]| truth.map(|key| score_truth(scene.tissue, key, labels)).transpose();
    Ok(Scores {
        truth: score(&domains.labels)?,
        truth_unrefined: domains.unrefined.as_deref().map(score).transpose()?.flatten(),
        slices: if scene.n_slices > 1 { per_slice(scene, truth, &domains.labels)? } else { Vec::new() },
        integration: None,
    })
}

fn per_slice(
    scene: &Scene<'_>,
    truth: Option<&str>,
    labels: &[u32],
) -> Result<Vec<SliceReport>, PipelineError> {
    let Some(slices) = scene.slices() else { return Ok(Vec::new()) };
    let mut reports = Vec::new();
    for (slice, rows) in slices.rows().iter().enumerate() {
        let rows: Vec<usize> = rows.iter().map(|&i| i as usize).collect();
        let own: BTreeSet<u32> = rows.iter().map(|&i| labels[i]).collect();
        let metrics = match truth {
            Some(key) => score_truth_of(scene.tissue, key, labels, &rows)?,
            None => None,
        };
        reports.push(SliceReport {
            name: slices.label(slice),
            n_obs: rows.len(),
            n_clusters: own.len(),
            metrics,
        });
    }
    Ok(reports)
}

/// How well slices mix in the embedding, and before; `None` where there are no slices.
pub(super) fn mixing(
    embedding: &Array2<f64>,
    before: Option<&Array2<f64>>,
    labels: &[u32],
    slices: Option<&Slices>,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Option<IntegrationReport>, PipelineError> {
    let Some(slices) = slices else { return Ok(None) };
    let codes = slices.to_codes();
    let options = EvaluationOptions { max_queries: Some(MAX_QUERIES), ..EvaluationOptions::default() };
    let measure = |embedding: &Array2<f64>| {
        let inputs = EvaluationInputs {
            pred: labels,
            truth: None,
            embedding: Some(embedding.view()),
            batch: Some(&codes),
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
    Ok(Some(report))
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
pub(super) fn truth_codes(tissue: &Tissue, key: &str) -> Result<Vec<Option<u32>>, PipelineError> {
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
