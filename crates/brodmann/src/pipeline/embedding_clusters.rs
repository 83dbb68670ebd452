//! k-means and Leiden on an embedding that is already in the file.

use std::path::Path;

use brodmann_data::{Additions, Categorical, Column, ReadOptions, Select, Value, keys};
use brodmann_kernels::{Monitor, Seed};
use indexmap::IndexMap;
use ndarray::ArrayView2;

use super::domains::note_unreached;
use super::evaluation::{self, TruthScores};
use super::request::{check_key_added, check_n_clusters, check_resolutions};
use super::tissue::{Destination, Tissue};
use super::{PipelineError, Seconds, timed};
use crate::cluster::{
    KMeansOptions, Layer, LeidenOptions, SearchOptions, kmeans, leiden_multiplex_with, search_resolution,
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
}

impl EmbeddingMethod {
    /// Its name, which is also the default name of the labels.
    pub fn name(&self) -> &'static str {
        match self {
            Self::KMeans { .. } => keys::KMEANS,
            Self::Leiden { .. } => keys::LEIDEN,
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
    /// Inertia of k-means (lower is better) or quality of Leiden (higher is better).
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
}

/// Clusters `obsm[use_rep]` of a file and writes the labels.
///
/// # Errors
/// [`PipelineError`]; nothing is written then.
pub fn cluster_embedding(
    input: &Path,
    destination: &Destination,
    use_rep: &str,
    method: &EmbeddingMethod,
    truth: Option<&str>,
    key_added: Option<&str>,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<ClusterReport, PipelineError> {
    let mut seconds = Seconds::default();
    let mut options = ReadOptions::names_only();
    let mut obs = vec![keys::GROUND_TRUTH.to_owned()];
    obs.extend(truth.map(str::to_owned));
    options.obs = Select::Only(obs);
    options.obsm = Select::only([use_rep]);
    let kind = Some(crate::preprocess::Modality::Rna);
    let tissue = timed(&mut seconds.read, || Tissue::open(input, &options, kind, monitor))?;
    tissue.check_destination(destination)?;
    let truth = evaluation::truth_key(&tissue, truth)?;
    let key_added = key_added.unwrap_or(method.name()).to_owned();
    check_key_added(&key_added, &[truth.as_deref()])?;
    let embedding = tissue.any_embedding(use_rep)?;
    let n_obs = tissue.n_obs();

    let found = cluster_rows(embedding.view(), method, seed, &mut seconds, monitor)?;
    let Clustered { labels, quality, reached } = found;
    let n_clusters = labels.iter().max().map_or(0, |m| *m as usize + 1);
    let metrics = truth.map(|key| evaluation::score_truth(&tissue, &key, &labels)).transpose()?;
    let mut additions = Additions::default();
    let root = additions.target(None);
    root.obs.insert(key_added.clone(), Column::Categorical(Categorical::from_labels(&labels)));
    root.uns.insert(key_added.clone(), record(method, use_rep, quality, seed));
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
    })
}

/// Labels of the rows of an embedding.
pub(super) struct Clustered {
    /// One per row.
    pub labels: Vec<u32>,
    /// Inertia of k-means or quality of Leiden.
    pub quality: f64,
    /// Whether the number of clusters asked for was reached.
    pub reached: bool,
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
            Ok(Clustered { labels: found.labels, quality: found.inertia, reached: true })
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
                    Ok(Clustered { labels: p.membership, quality: p.quality, reached: true })
                }
                Some(k) => {
                    let options = SearchOptions::default();
                    let found = search_resolution(&[layer], &[0], k, &options, seed, monitor)?;
                    note_unreached(&found, k, monitor);
                    let (labels, quality) = (found.partition.membership, found.partition.quality);
                    Ok(Clustered { labels, quality, reached: found.exact })
                }
            })
        }
    }
}

fn record(method: &EmbeddingMethod, use_rep: &str, quality: f64, seed: Seed) -> Value {
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
    }
    let mut run = IndexMap::new();
    run.insert("method".to_owned(), Value::String(method.name().to_owned()));
    run.insert("params".to_owned(), Value::Dict(params));
    run.insert("quality".to_owned(), Value::Float(quality));
    run.insert("version".to_owned(), Value::String(env!("CARGO_PKG_VERSION").to_owned()));
    Value::Dict(run)
}
