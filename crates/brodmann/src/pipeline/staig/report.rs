//! What a run of STAIG did.

use crate::pipeline::Seconds;
use crate::pipeline::embedding_clusters::TriedNumber;
use crate::pipeline::evaluation::TruthScores;

/// The features the network saw.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct StaigFeatureSummary {
    /// Genes in the file (in common, of several files).
    pub n_vars: usize,
    /// Genes the network saw.
    pub n_features: usize,
    /// `log`, `logged` or `counts`.
    pub values: &'static str,
    /// `none`, `fixed` or `per_slice`.
    pub scale: &'static str,
    /// Share of entries that are not zero.
    pub density: f64,
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

/// What several networks agree on.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct RestartReport {
    /// Networks trained.
    pub n: usize,
    /// Mean adjusted Rand index of two of them.
    pub agreement: f64,
    /// Adjusted Rand index of each with the consensus.
    pub run_agreement: Vec<f64>,
    /// The one whose embedding is kept, from 0.
    pub kept: usize,
    /// Mean share of the networks that put a spot where the consensus does.
    pub mean_stability: f64,
}

/// What a run did.
#[derive(Clone, Debug, serde::Serialize)]
pub struct StaigReport {
    /// `staig` or `smoothed_pca`.
    pub method: &'static str,
    /// Observations.
    pub n_obs: usize,
    /// Slices.
    pub n_slices: usize,
    /// Domains found.
    pub n_clusters: usize,
    /// Whether the number asked for was reached; true when none was asked for.
    pub n_clusters_reached: bool,
    /// Log-likelihood of a mixture or quality of Leiden (higher is better), inertia of k-means (lower is better).
    pub quality: f64,
    /// Bayesian information criterion of a mixture, higher is better.
    pub bic: Option<f64>,
    /// How the embedding was clustered.
    pub cluster_method: &'static str,
    /// How the number of domains was chosen; `None` when it was given.
    pub n_clusters_by: Option<&'static str>,
    /// The numbers of domains tried, where none was given.
    pub tried: Vec<TriedNumber>,
    /// Spots that voted on a spot's domain; 0 without refinement.
    pub refine: usize,
    /// Size of each domain, largest first.
    pub sizes: Vec<usize>,
    /// `obs` column and `uns` entry written.
    pub key_added: String,
    /// `obsm` key of the embedding.
    pub use_rep: String,
    /// The features.
    pub features: StaigFeatureSummary,
    /// Stored edges of the spatial graph, both directions.
    pub n_edges: usize,
    /// Where the probabilities of dropping edges came from; `None` without training.
    pub edge_rule: Option<&'static str>,
    /// How negatives were summed; `None` without training.
    pub negatives: Option<&'static str>,
    /// Largest relative error the polynomial can have caused in a denominator; `None` with exact negatives.
    pub moments_bound: Option<f64>,
    /// Epochs trained, those before a resumption counted; 0 without training.
    pub n_epochs: usize,
    /// After the last epoch; `None` without training.
    pub loss: Option<f64>,
    /// Of several networks.
    pub restarts: Option<RestartReport>,
    /// The slices, where there are several.
    pub slices: Vec<SliceReport>,
    /// How well the slices mix, where there are several.
    pub integration: Option<IntegrationReport>,
    /// Forecast of the memory of training.
    pub forecast_bytes: u64,
    /// Wall-clock seconds of each stage.
    pub seconds: Seconds,
    /// Agreement with the known domains, where there are any.
    pub metrics: Option<TruthScores>,
    /// The same before refinement, where labels were refined.
    pub metrics_unrefined: Option<TruthScores>,
}
