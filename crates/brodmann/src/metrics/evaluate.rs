//! All scores at once.

use brodmann_kernels::{CsrView, Monitor, Seed};
use ndarray::{ArrayView2, Axis, Slice};
use serde::Serialize;

use super::adjusted_mutual_information::adjusted_mutual_information_of;
use super::adjusted_rand_index::adjusted_rand_index_of;
use super::batch_kl::n_batch_kl_neighbors;
use super::calinski_harabasz::calinski_harabasz_of;
use super::centroids::Centroids;
use super::davies_bouldin::davies_bouldin_of;
use super::error::empty_sample;
use super::homogeneity_completeness_v::homogeneity_completeness_v_of;
use super::lisi::n_lisi_neighbors;
use super::normalized_mutual_information::normalized_mutual_information_of;
use super::paired_labels::{Codes, same_length};
use super::points::sample_rows;
use super::{
    Contingency, LisiOptions, MetricsError, SilhouetteOptions, batch_kl, exact_neighbors, lisi, paired,
    percentage_of_abnormal_spots, silhouette,
};
use crate::stats::{AutocorrelationOptions, StatsError, morans_i_of_labels};

/// What there is to evaluate; everything but the prediction is optional.
#[derive(Clone, Copy, Debug)]
pub struct EvaluationInputs<'a> {
    /// The domains found, one per observation.
    pub pred: &'a [u32],
    /// The domains drawn by hand or simulated; `None` where an observation has none.
    pub truth: Option<&'a [Option<u32>]>,
    /// `(n_obs, d)`: the space the domains were found in.
    pub embedding: Option<ArrayView2<'a, f64>>,
    /// Batch or slice of each observation.
    pub batch: Option<&'a [u32]>,
    /// `(n_obs, n_obs)` spatial graph.
    pub spatial: Option<CsrView<'a, f64>>,
}

/// What to spend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EvaluationOptions {
    /// Scores that compare all pairs (silhouette, LISI, BatchKL) look at this many observations, drawn with the
    /// seed, against all others; `None`: at every one. Smaller data are always measured in full.
    pub max_queries: Option<usize>,
    /// Neighbourhood of LISI.
    pub lisi: LisiOptions,
}

impl Default for EvaluationOptions {
    fn default() -> Self {
        Self { max_queries: Some(20_000), lisi: LisiOptions::default() }
    }
}

/// Scores of a prediction; `None` where the inputs do not allow the score, with the reason in `notes`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Evaluation {
    /// Observations.
    pub n_obs: usize,
    /// Domains predicted.
    pub n_clusters: usize,
    /// Observations left out of the comparison with the truth because they have none.
    pub n_without_truth: Option<usize>,
    /// Adjusted Rand index.
    pub ari: Option<f64>,
    /// Normalised mutual information (arithmetic).
    pub nmi: Option<f64>,
    /// Adjusted mutual information (arithmetic).
    pub ami: Option<f64>,
    /// Homogeneity.
    pub homogeneity: Option<f64>,
    /// Completeness.
    pub completeness: Option<f64>,
    /// V-measure.
    pub v_measure: Option<f64>,
    /// Mean silhouette width of the prediction in the embedding.
    pub silhouette: Option<f64>,
    /// Davies–Bouldin index of the prediction in the embedding.
    pub davies_bouldin: Option<f64>,
    /// Calinski–Harabasz index of the prediction in the embedding.
    pub calinski_harabasz: Option<f64>,
    /// Moran's I of the prediction on the spatial graph, mean over domains.
    pub morans_i: Option<f64>,
    /// Share of spots that differ from most of their spatial neighbours.
    pub pas: Option<f64>,
    /// Median LISI of the batches.
    pub ilisi_median: Option<f64>,
    /// Mean LISI of the batches.
    pub ilisi_mean: Option<f64>,
    /// Median LISI of the predicted domains.
    pub clisi_median: Option<f64>,
    /// Mean LISI of the predicted domains.
    pub clisi_mean: Option<f64>,
    /// Mean BatchKL.
    pub batch_kl: Option<f64>,
    /// Observations measured by silhouette, LISI and BatchKL.
    pub n_queries: Option<usize>,
    /// Why a score is missing, or was estimated from a sample.
    pub notes: Vec<String>,
}

/// Every score the inputs allow.
///
/// A score that the data cannot have (the silhouette of a single domain) is `None` with a note; inputs that do
/// not fit together are errors.
///
/// # Inputs
/// [`EvaluationInputs`]. `seed`: for the sample of large data alone.
/// # Errors
/// [`MetricsError::LengthMismatch`], `NonFinite`, `Empty` without observations, `Perplexity`,
/// `Option`, `Stats` for a bad spatial graph.
/// # Cost
/// O(min(n, max_queries) · n · d) with an embedding, else O(n log n + nnz · n_clusters).
///
/// # Example
///
/// ```
/// use brodmann::metrics::{EvaluationInputs, EvaluationOptions, evaluate};
/// use brodmann_kernels::{Seed, Silent};
///
/// let inputs = EvaluationInputs {
///     pred: &[0, 0, 1, 2, 2],
///     truth: Some(&[Some(0), Some(0), Some(1), Some(1), None]),
///     embedding: None,
///     batch: None,
///     spatial: None,
/// };
/// let scores = evaluate(&inputs, &EvaluationOptions::default(), Seed(0), &Silent)?;
/// // The spot without truth does not count.
/// assert!((scores.ari.unwrap_or(0.0) - 4.0 / 7.0).abs() < 1e-12);
/// assert_eq!(scores.silhouette, None);
/// # Ok::<(), brodmann::metrics::MetricsError>(())
/// ```
pub fn evaluate(
    inputs: &EvaluationInputs<'_>,
    options: &EvaluationOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Evaluation, MetricsError> {
    let n = inputs.pred.len();
    if n == 0 {
        return Err(MetricsError::Empty);
    }
    if options.max_queries == Some(0) {
        return Err(empty_sample("max_queries").into());
    }
    if let Some(embedding) = inputs.embedding {
        same_length("embedding", embedding.nrows(), n)?;
    }
    if let Some(batch) = inputs.batch {
        same_length("batch", batch.len(), n)?;
    }
    let mut result =
        Evaluation { n_obs: n, n_clusters: Codes::new(inputs.pred).n(), ..Evaluation::default() };
    if let Some(truth) = inputs.truth {
        compare_with_truth(truth, inputs.pred, &mut result)?;
    }
    if let Some(embedding) = inputs.embedding {
        monitor.note("scoring the prediction in the embedding");
        score_clusters(embedding, inputs.pred, options, seed, monitor, &mut result)?;
        score_neighborhoods(embedding, inputs, options, seed, monitor, &mut result)?;
    } else if inputs.batch.is_some() {
        result.notes.push("iLISI and BatchKL need an embedding".to_owned());
    }
    if let Some(spatial) = inputs.spatial {
        score_continuity(spatial, inputs.pred, seed, monitor, &mut result)?;
    }
    Ok(result)
}

fn compare_with_truth(
    truth: &[Option<u32>],
    pred: &[u32],
    result: &mut Evaluation,
) -> Result<(), MetricsError> {
    same_length("truth", truth.len(), pred.len())?;
    let pairs = paired(truth, pred)?;
    result.n_without_truth = Some(pairs.n_missing);
    if pairs.truth.is_empty() {
        result.notes.push("no observation has a truth, so nothing was compared with it".to_owned());
        return Ok(());
    }
    if pairs.n_missing > 0 {
        result
            .notes
            .push(format!("{} observations without truth were left out of the comparison", pairs.n_missing));
    }
    let table = Contingency::new(&pairs.truth, &pairs.pred)?;
    result.ari = Some(adjusted_rand_index_of(&table));
    result.nmi = Some(normalized_mutual_information_of(&table));
    result.ami = Some(adjusted_mutual_information_of(&table));
    let hcv = homogeneity_completeness_v_of(&table);
    result.homogeneity = Some(hcv.homogeneity);
    result.completeness = Some(hcv.completeness);
    result.v_measure = Some(hcv.v_measure);
    Ok(())
}

fn score_clusters(
    embedding: ArrayView2<'_, f64>,
    pred: &[u32],
    options: &EvaluationOptions,
    seed: Seed,
    monitor: &dyn Monitor,
    result: &mut Evaluation,
) -> Result<(), MetricsError> {
    match Centroids::new(embedding, pred) {
        Err(error @ MetricsError::ClusterCount { .. }) => {
            result.notes.push(format!("no silhouette, Davies–Bouldin or Calinski–Harabasz: {error}"));
            return Ok(());
        }
        clusters => {
            let clusters = clusters?;
            result.davies_bouldin = Some(davies_bouldin_of(&clusters));
            result.calinski_harabasz = Some(calinski_harabasz_of(&clusters));
        }
    }
    let sample = SilhouetteOptions { sample_size: options.max_queries };
    let widths = silhouette(embedding, pred, &sample, seed, monitor)?;
    result.silhouette = Some(widths.mean);
    note_queries(widths.rows.len(), result);
    Ok(())
}

fn score_neighborhoods(
    embedding: ArrayView2<'_, f64>,
    inputs: &EvaluationInputs<'_>,
    options: &EvaluationOptions,
    seed: Seed,
    monitor: &dyn Monitor,
    result: &mut Evaluation,
) -> Result<(), MetricsError> {
    let n = embedding.nrows();
    if n < 2 {
        result.notes.push("no LISI or BatchKL: a single observation has no neighbours".to_owned());
        return Ok(());
    }
    let queries = sample_rows(n, options.max_queries.unwrap_or(n), seed.derive("evaluate/queries", 0));
    let n_lisi = n_lisi_neighbors(options.lisi);
    let n_kl = inputs.batch.map_or(0, |batch| n_batch_kl_neighbors(Codes::new(batch).n()));
    let neighbors = exact_neighbors(embedding, Some(&queries), n_lisi.max(n_kl), monitor)?;
    note_queries(queries.len(), result);
    let columns = n_lisi.min(neighbors.indices.ncols());
    let score = |labels: &[u32]| {
        let nearest = Slice::from(..columns);
        let indices = neighbors.indices.slice_axis(Axis(1), nearest);
        lisi(indices, neighbors.distances.slice_axis(Axis(1), nearest), labels, &options.lisi)
    };
    let domains = score(inputs.pred)?;
    (result.clisi_median, result.clisi_mean) = (Some(domains.median), Some(domains.mean));
    if let Some(batch) = inputs.batch {
        let batches = score(batch)?;
        (result.ilisi_median, result.ilisi_mean) = (Some(batches.median), Some(batches.mean));
        result.batch_kl = Some(batch_kl(&neighbors, batch)?.mean);
    }
    Ok(())
}

fn score_continuity(
    spatial: CsrView<'_, f64>,
    pred: &[u32],
    seed: Seed,
    monitor: &dyn Monitor,
    result: &mut Evaluation,
) -> Result<(), MetricsError> {
    same_length("spatial graph", spatial.n_rows(), pred.len())?;
    match morans_i_of_labels(pred, spatial, &AutocorrelationOptions::default(), seed, monitor) {
        Ok((_, scores)) => {
            let defined: Vec<f64> = scores.statistic.into_iter().filter(|i| i.is_finite()).collect();
            if defined.is_empty() {
                result.notes.push("no Moran's I: a single domain does not vary over space".to_owned());
            } else {
                result.morans_i = Some(defined.iter().sum::<f64>() / defined.len() as f64);
            }
            result.pas = percentage_of_abnormal_spots(pred, spatial).ok();
        }
        Err(error @ StatsError::EmptyGraph { .. }) => {
            result.notes.push(format!("no Moran's I or PAS: {error}"));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Says once that a sample was measured.
fn note_queries(n_queries: usize, result: &mut Evaluation) {
    if n_queries < result.n_obs && result.n_queries.is_none() {
        result.notes.push(format!(
            "silhouette, LISI and BatchKL were measured at {n_queries} random observations of {}",
            result.n_obs
        ));
    }
    result.n_queries = Some(n_queries);
}
