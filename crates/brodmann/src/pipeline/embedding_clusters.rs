//! k-means, Gaussian mixtures and Leiden on an embedding that is already in the file.

use std::path::Path;

use brodmann_data::{Additions, Categorical, Column, ReadOptions, Select, Value, keys};
use brodmann_kernels::{Monitor, Seed};
use indexmap::IndexMap;
use ndarray::ArrayView2;
use serde_json::{Value as Json, json};

use super::domains::note_unreached;
use super::evaluation::{self, TruthScores};
use super::request::{check_key_added, check_n_clusters, check_resolutions};
use super::tissue::{Destination, Tissue};
use super::{PipelineError, Seconds, timed};
use crate::cluster::{
    Clusterer, CovarianceModel, GmmOptions, KMeansOptions, Layer, LeidenOptions, SearchOptions,
    SelectOptions, SelectionCriterion, gmm, kmeans, leiden_multiplex_with, refine_labels, search_resolution,
    select_n_clusters,
};
use crate::graph::{NeighborsOptions, neighbors};

/// How to cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum EmbeddingMethod {
    /// k-means with this many clusters and starts.
    KMeans {
        /// Clusters.
        n_clusters: usize,
        /// Starts, the best kept.
        n_init: usize,
    },
    /// Leiden on a kNN graph of the embedding.
    Leiden {
        /// Clusters, by search; else `resolution` holds.
        n_clusters: Option<usize>,
        /// Resolution.
        resolution: f64,
        /// Neighbours, the observation itself counted.
        n_neighbors: usize,
    },
    /// A mixture of Gaussians.
    Gmm {
        /// Components; `None`: chosen.
        n_clusters: Option<usize>,
        /// Family of covariances.
        model: CovarianceModel,
        /// Starts, the likeliest kept.
        n_init: usize,
        /// What chooses, where no number is given.
        criterion: SelectionCriterion,
        /// The most clusters considered then.
        max_clusters: usize,
    },
}

/// Labels smoothed by a vote of the nearest spots.
#[derive(Clone, Debug, PartialEq)]
pub struct RefineRequest {
    /// Spots that vote.
    pub n_neighbors: usize,
    /// `obsm` key of the coordinates.
    pub spatial_key: String,
    /// `obs` column that names the slice.
    pub library_key: Option<String>,
}

/// A number of clusters that was tried.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct TriedNumber {
    /// Clusters.
    pub n_clusters: usize,
    /// Mean silhouette width.
    pub silhouette: Option<f64>,
    /// Agreement of runs on random subsets.
    pub stability: f64,
    /// BIC, mclust's sign.
    pub bic: Option<f64>,
}

/// What is known of a mixture beside its labels.
#[derive(Clone, Debug, serde::Serialize)]
pub struct MixtureReport {
    /// Family of covariances.
    pub model: &'static str,
    /// BIC, mclust's sign: larger is better.
    pub bic: f64,
    /// The start kept settled.
    pub converged: bool,
    /// A covariance was singular.
    pub singular: bool,
    /// Log-likelihood of every start.
    pub start_logliks: Vec<f64>,
    /// The numbers tried, where none was given.
    pub tried: Vec<TriedNumber>,
}

impl EmbeddingMethod {
    /// Its name, which is also the default name of the labels.
    pub fn name(&self) -> &'static str {
        match self {
            Self::KMeans { .. } => keys::KMEANS,
            Self::Leiden { .. } => keys::LEIDEN,
            Self::Gmm { .. } => keys::GMM,
        }
    }

    /// Clusters asked for; `None` where the resolution or a score decides.
    pub fn n_clusters(&self) -> Option<usize> {
        match *self {
            Self::KMeans { n_clusters, .. } => Some(n_clusters),
            Self::Leiden { n_clusters, .. } | Self::Gmm { n_clusters, .. } => n_clusters,
        }
    }

    /// The same with this many clusters.
    #[must_use]
    pub fn with_n_clusters(mut self, k: usize) -> Self {
        match &mut self {
            Self::KMeans { n_clusters, .. } => *n_clusters = k,
            Self::Leiden { n_clusters, .. } | Self::Gmm { n_clusters, .. } => *n_clusters = Some(k),
        }
        self
    }

    /// Refuses what no data can have.
    ///
    /// # Errors
    /// [`PipelineError::Option`], [`PipelineError::ImpossibleClusterCount`].
    pub(super) fn check(&self, n_obs: usize) -> Result<(), PipelineError> {
        if let Self::Leiden { resolution, .. } = *self {
            check_resolutions(&[resolution])?;
        }
        if let Self::KMeans { n_init: 0, .. } | Self::Gmm { n_init: 0, .. } = *self {
            return Err(PipelineError::Option {
                option: "--n-init",
                found: "0".to_owned(),
                expected: "at least 1",
            });
        }
        self.n_clusters().map_or(Ok(()), |k| check_n_clusters(k, n_obs))
    }

    /// What decides the outcome, for records.
    pub(super) fn describe(&self) -> Json {
        match *self {
            Self::KMeans { n_clusters, n_init } => {
                json!({ "method": self.name(), "n_clusters": n_clusters, "n_init": n_init })
            }
            // With a number of clusters the resolution is searched for.
            Self::Leiden { n_clusters, resolution, n_neighbors } => json!({
                "method": self.name(),
                "n_clusters": n_clusters,
                "resolution": n_clusters.is_none().then_some(resolution),
                "n_neighbors": n_neighbors,
            }),
            Self::Gmm { n_clusters, model, n_init, criterion, max_clusters } => json!({
                "method": self.name(),
                "n_clusters": n_clusters,
                "model": model.name(),
                "n_init": n_init,
                "select_by": n_clusters.is_none().then_some(criterion.name()),
                "max_clusters": n_clusters.is_none().then_some(max_clusters),
            }),
        }
    }
}

/// What was found.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ClusterReport {
    /// Observations.
    pub n_obs: usize,
    /// Clusters found.
    pub n_clusters: usize,
    /// Whether the number asked for was reached.
    pub n_clusters_reached: bool,
    /// Inertia of k-means (lower is better), quality of Leiden or log-likelihood of a mixture (higher is better).
    pub quality: f64,
    /// Method.
    pub method: &'static str,
    /// Embedding.
    pub use_rep: String,
    /// `obs` column written.
    pub key_added: String,
    /// Wall-clock seconds of each stage.
    pub seconds: Seconds,
    /// Agreement with the known domains, where there are any.
    pub metrics: Option<TruthScores>,
    /// More about a mixture.
    pub mixture: Option<MixtureReport>,
    /// Spots whose label the refinement changed.
    pub n_refined: Option<usize>,
}

/// Clusters `obsm[use_rep]` of a file, smooths the labels where asked to, and writes them. Truth is compared with
/// what is written.
///
/// # Errors
/// [`PipelineError`]; nothing is written then.
pub fn cluster_embedding(
    input: &Path,
    destination: &Destination,
    use_rep: &str,
    method: &EmbeddingMethod,
    refine: Option<&RefineRequest>,
    truth: Option<&str>,
    key_added: Option<&str>,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<ClusterReport, PipelineError> {
    let mut seconds = Seconds::default();
    let mut options = ReadOptions::names_only();
    let mut obs = vec![keys::GROUND_TRUTH.to_owned()];
    obs.extend(truth.map(str::to_owned));
    obs.extend(refine.and_then(|r| r.library_key.clone()));
    options.obs = Select::Only(obs);
    let mut obsm = vec![use_rep.to_owned()];
    obsm.extend(refine.map(|r| r.spatial_key.clone()));
    options.obsm = Select::Only(obsm);
    let kind = Some(crate::preprocess::Modality::Rna);
    let tissue = timed(&mut seconds.read, || Tissue::open(input, &options, kind, monitor))?;
    tissue.check_destination(destination)?;
    let truth = evaluation::truth_key(&tissue, truth)?;
    let key_added = key_added.unwrap_or(method.name()).to_owned();
    let library_key = refine.and_then(|r| r.library_key.as_deref());
    check_key_added(&key_added, &[truth.as_deref(), library_key])?;
    let embedding = tissue.any_embedding(use_rep)?;
    let n_obs = tissue.n_obs();

    let found = cluster_rows(embedding.view(), method, seed, &mut seconds, monitor)?;
    let Clustered { mut labels, quality, reached, mixture } = found;
    let mut n_refined = None;
    if let Some(refine) = refine {
        let places = tissue.coordinates(&refine.spatial_key)?;
        let slices = tissue.slices(library_key)?;
        let before = labels;
        labels = timed(&mut seconds.cluster, || {
            refine_labels(&before, places.view(), slices.as_deref(), refine.n_neighbors)
        })?;
        n_refined = Some(labels.iter().zip(&before).filter(|(a, b)| a != b).count());
    }
    let n_clusters = labels.iter().collect::<std::collections::BTreeSet<_>>().len();
    let metrics = truth.map(|key| evaluation::score_truth(&tissue, &key, &labels)).transpose()?;
    let mut additions = Additions::default();
    let root = additions.target(None);
    root.obs.insert(key_added.clone(), Column::Categorical(Categorical::from_labels(&labels)));
    root.uns.insert(key_added.clone(), record(method, use_rep, quality, mixture.as_ref(), refine, seed));
    timed(&mut seconds.write, || tissue.write(destination, &additions, monitor))?;
    Ok(ClusterReport {
        n_obs,
        n_clusters,
        n_clusters_reached: reached,
        quality,
        method: method.name(),
        use_rep: use_rep.to_owned(),
        key_added,
        seconds,
        metrics,
        mixture,
        n_refined,
    })
}

/// Labels of the rows of an embedding.
pub(super) struct Clustered {
    /// One per row.
    pub labels: Vec<u32>,
    /// Inertia of k-means, quality of Leiden, log-likelihood of a mixture.
    pub quality: f64,
    /// Whether the number of clusters asked for was reached.
    pub reached: bool,
    /// More about a mixture.
    pub mixture: Option<MixtureReport>,
}

/// Clusters the rows of any embedding.
///
/// # Errors
/// [`PipelineError`] for options out of range, and as the method's own.
pub(super) fn cluster_rows(
    embedding: ArrayView2<'_, f64>,
    method: &EmbeddingMethod,
    seed: Seed,
    seconds: &mut Seconds,
    monitor: &dyn Monitor,
) -> Result<Clustered, PipelineError> {
    let n_obs = embedding.nrows();
    match *method {
        EmbeddingMethod::KMeans { n_clusters, n_init } => {
            check_n_clusters(n_clusters, n_obs)?;
            let options = KMeansOptions { n_clusters, n_init, ..KMeansOptions::default() };
            monitor.stage("k-means", 0);
            let found = timed(&mut seconds.cluster, || kmeans(embedding, &options, seed, monitor))?;
            // Fewer where fewer rows differ.
            let n_found = found.labels.iter().max().map_or(0, |m| *m as usize + 1);
            let (quality, reached) = (found.inertia, n_found == n_clusters);
            Ok(Clustered { labels: found.labels, quality, reached, mixture: None })
        }
        EmbeddingMethod::Leiden { n_clusters, resolution, n_neighbors } => {
            if let Some(k) = n_clusters {
                check_n_clusters(k, n_obs)?;
            }
            check_resolutions(&[resolution])?;
            let options = NeighborsOptions { n_neighbors, ..NeighborsOptions::default() };
            monitor.stage("neighbours", 0);
            let graph = timed(&mut seconds.graph, || neighbors(embedding, &options, seed, monitor))?;
            let layer = Layer { resolution, directed: false, ..Layer::new(&graph.connectivities) };
            monitor.stage("Leiden", 0);
            timed(&mut seconds.cluster, || match n_clusters {
                None => {
                    let p = leiden_multiplex_with(&[layer], &LeidenOptions::default(), seed, monitor)?;
                    Ok(Clustered { labels: p.membership, quality: p.quality, reached: true, mixture: None })
                }
                Some(k) => {
                    let options = SearchOptions::default();
                    let found = search_resolution(&[layer], &[0], k, &options, seed, monitor)?;
                    note_unreached(&found, k, monitor);
                    let (labels, quality) = (found.partition.membership, found.partition.quality);
                    Ok(Clustered { labels, quality, reached: found.exact, mixture: None })
                }
            })
        }
        EmbeddingMethod::Gmm { n_clusters, model, n_init, criterion, max_clusters } => {
            let options = GmmOptions { model, n_init, ..GmmOptions::default() };
            timed(&mut seconds.cluster, || {
                mixture(embedding, n_clusters, &options, criterion, max_clusters, seed, monitor)
            })
        }
    }
}

/// A mixture of the number of components given, or chosen.
fn mixture(
    embedding: ArrayView2<'_, f64>,
    n_clusters: Option<usize>,
    options: &GmmOptions,
    criterion: SelectionCriterion,
    max_clusters: usize,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Clustered, PipelineError> {
    let mut tried = Vec::new();
    let n_components = if let Some(k) = n_clusters {
        check_n_clusters(k, embedding.nrows())?;
        k
    } else {
        let select = SelectOptions {
            criterion,
            max_clusters,
            clusterer: Clusterer::Gmm(*options),
            ..SelectOptions::default()
        };
        let selection = select_n_clusters(embedding, &select, seed, monitor)?;
        tried.extend(selection.table.iter().map(|c| TriedNumber {
            n_clusters: c.n_clusters,
            silhouette: c.silhouette,
            stability: c.stability,
            bic: c.bic,
        }));
        selection.n_clusters
    };
    let found = gmm(embedding, &GmmOptions { n_components, ..*options }, seed, monitor)?;
    let reached = found.n_clusters() == n_components;
    let report = MixtureReport {
        model: found.model.name(),
        bic: found.bic,
        converged: found.converged,
        singular: found.singular,
        start_logliks: found.start_logliks,
        tried,
    };
    Ok(Clustered { labels: found.labels, quality: found.loglik, reached, mixture: Some(report) })
}

fn record(
    method: &EmbeddingMethod,
    use_rep: &str,
    quality: f64,
    mixture: Option<&MixtureReport>,
    refine: Option<&RefineRequest>,
    seed: Seed,
) -> Value {
    let mut params = IndexMap::new();
    params.insert("use_rep".to_owned(), Value::String(use_rep.to_owned()));
    params.insert("random_state".to_owned(), Value::Int(seed.0 as i64));
    match *method {
        EmbeddingMethod::KMeans { n_clusters, n_init } => {
            params.insert("n_clusters".to_owned(), Value::Int(n_clusters as i64));
            params.insert("n_init".to_owned(), Value::Int(n_init as i64));
        }
        EmbeddingMethod::Leiden { n_clusters, resolution, n_neighbors } => {
            if let Some(k) = n_clusters {
                params.insert("n_clusters".to_owned(), Value::Int(k as i64));
            }
            params.insert("resolution".to_owned(), Value::Float(resolution));
            params.insert("n_neighbors".to_owned(), Value::Int(n_neighbors as i64));
        }
        EmbeddingMethod::Gmm { n_clusters, model, n_init, criterion, max_clusters } => {
            params.insert("model".to_owned(), Value::String(model.name().to_owned()));
            params.insert("n_init".to_owned(), Value::Int(n_init as i64));
            if let Some(k) = n_clusters {
                params.insert("n_clusters".to_owned(), Value::Int(k as i64));
            } else {
                params.insert("select_by".to_owned(), Value::String(criterion.name().to_owned()));
                params.insert("max_clusters".to_owned(), Value::Int(max_clusters as i64));
            }
        }
    }
    if let Some(refine) = refine {
        params.insert("refine".to_owned(), Value::Int(refine.n_neighbors as i64));
    }
    let mut run = IndexMap::new();
    run.insert("method".to_owned(), Value::String(method.name().to_owned()));
    run.insert("params".to_owned(), Value::Dict(params));
    run.insert("quality".to_owned(), Value::Float(quality));
    if let Some(mixture) = mixture {
        run.insert("bic".to_owned(), Value::Float(mixture.bic));
        run.insert("converged".to_owned(), Value::Bool(mixture.converged));
    }
    run.insert("version".to_owned(), Value::String(env!("CARGO_PKG_VERSION").to_owned()));
    Value::Dict(run)
}
