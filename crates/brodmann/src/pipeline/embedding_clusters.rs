//! Clusters of an embedding: k-means, Leiden, Gaussian mixtures, and how many there are.

use std::path::Path;

use brodmann_data::{Additions, Categorical, Column, ReadOptions, Select, keys};
use brodmann_kernels::{Monitor, Seed};
use ndarray::ArrayView2;
use serde_json::{Value as Json, json};

use super::domains::note_unreached;
use super::evaluation::{self, TruthScores};
use super::request::{check_key_added, check_n_clusters, check_resolutions};
use super::tissue::{Destination, Tissue};
use super::{PipelineError, Seconds, timed};
use crate::cluster::{
    Candidate, Clusterer, CovarianceModel, GmmOptions, KMeansOptions, Layer, LeidenOptions, SearchOptions,
    SelectOptions, Selection, SelectionCriterion, gmm, kmeans, leiden_multiplex_with, refine_labels,
    search_resolution, select_n_clusters,
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
    /// A Gaussian mixture.
    Gmm {
        /// Components.
        n_clusters: usize,
        /// How their covariances are tied.
        model: CovarianceModel,
        /// Starts, the likeliest kept.
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
            Self::Gmm { .. } => keys::GMM,
            Self::Leiden { .. } => keys::LEIDEN,
        }
    }

    /// Clusters asked for; `None` where the resolution decides.
    pub fn n_clusters(&self) -> Option<usize> {
        match *self {
            Self::KMeans { n_clusters, .. } | Self::Gmm { n_clusters, .. } => Some(n_clusters),
            Self::Leiden { n_clusters, .. } => n_clusters,
        }
    }

    /// The same with this many clusters.
    #[must_use]
    pub fn with_n_clusters(mut self, k: usize) -> Self {
        match &mut self {
            Self::KMeans { n_clusters, .. } | Self::Gmm { n_clusters, .. } => *n_clusters = k,
            Self::Leiden { n_clusters, .. } => *n_clusters = Some(k),
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
            Self::Gmm { n_clusters, model, n_init } => json!({
                "method": self.name(), "n_clusters": n_clusters, "model": model.name(), "n_init": n_init,
            }),
            Self::Leiden { n_clusters, resolution, n_neighbors } => json!({
                "method": self.name(),
                "n_clusters": n_clusters,
                // With a number of clusters it is searched for.
                "resolution": if n_clusters.is_none() { json!(resolution) } else { Json::Null },
                "n_neighbors": n_neighbors,
            }),
        }
    }
}

/// The number of clusters is to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutoClusters {
    /// Fewest.
    pub min: usize,
    /// Most.
    pub max: usize,
    /// What decides.
    pub criterion: SelectionCriterion,
}

impl Default for AutoClusters {
    fn default() -> Self {
        let options = SelectOptions::default();
        Self { min: options.min_clusters, max: options.max_clusters, criterion: options.criterion }
    }
}

/// Finds how many clusters there are; `None` where the method finds its own number (Leiden).
///
/// # Errors
/// [`PipelineError::Select`].
pub(super) fn choose_n_clusters(
    embedding: ArrayView2<'_, f64>,
    method: &EmbeddingMethod,
    auto: &AutoClusters,
    seed: Seed,
    seconds: &mut Seconds,
    monitor: &dyn Monitor,
) -> Result<Option<Selection>, PipelineError> {
    let clusterer = match *method {
        EmbeddingMethod::Gmm { model, n_init, .. } => {
            Clusterer::Gmm(GmmOptions { model, n_init, ..GmmOptions::default() })
        }
        EmbeddingMethod::KMeans { n_init, .. } => {
            Clusterer::KMeans(KMeansOptions { n_init, ..KMeansOptions::default() })
        }
        EmbeddingMethod::Leiden { .. } => return Ok(None),
    };
    let options = SelectOptions {
        min_clusters: auto.min,
        // Small tissues bear fewer clusters than the range has.
        max_clusters: auto.max.min((embedding.nrows() / 4).max(auto.min)),
        criterion: auto.criterion,
        clusterer,
        ..SelectOptions::default()
    };
    let found = timed(&mut seconds.cluster, || select_n_clusters(embedding, &options, seed, monitor))?;
    monitor.note(&format!("{} clusters chosen by {}", found.n_clusters, criterion_name(found.criterion)));
    Ok(Some(found))
}

/// A criterion in a word.
pub(super) fn criterion_name(criterion: SelectionCriterion) -> &'static str {
    match criterion {
        SelectionCriterion::Silhouette => "silhouette",
        SelectionCriterion::Stability => "stability",
        SelectionCriterion::Bic => "bic",
    }
}

/// All numbers tried, for records.
pub(super) fn selection_json(selection: &Selection) -> Json {
    let column = |f: &dyn Fn(&Candidate) -> f64| selection.table.iter().map(f).collect::<Vec<f64>>();
    let mut table = json!({
        "criterion": criterion_name(selection.criterion),
        "n_clusters": selection.table.iter().map(|c| c.n_clusters).collect::<Vec<_>>(),
        "silhouette": column(&|c| c.silhouette.unwrap_or(f64::NAN)),
        "stability": column(&|c| c.stability),
    });
    // k-means has none.
    if selection.table.iter().any(|c| c.bic.is_some()) {
        table["bic"] = json!(column(&|c| c.bic.unwrap_or(f64::NAN)));
    }
    table
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
    /// Bayesian information criterion of a mixture, higher is better.
    pub bic: Option<f64>,
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
    /// The same before refinement, where labels were refined.
    pub metrics_unrefined: Option<TruthScores>,
}

/// A clustering of an embedding that is in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterRequest {
    /// `obsm` key of the embedding.
    pub use_rep: String,
    /// How to cluster.
    pub method: EmbeddingMethod,
    /// Find the number of clusters first.
    pub auto: Option<AutoClusters>,
    /// Nearest spots in space whose majority a spot follows; 0 for none.
    pub refine: usize,
    /// `obsm` key of the coordinates, for the refinement.
    pub spatial_key: String,
    /// `obs` column that names the slice, for the refinement.
    pub library_key: Option<String>,
    /// `obs` column of the known domains.
    pub truth: Option<String>,
    /// `obs` column written; the method's name when absent.
    pub key_added: Option<String>,
}

impl Default for ClusterRequest {
    fn default() -> Self {
        Self {
            use_rep: keys::X_PCA.to_owned(),
            method: EmbeddingMethod::Leiden { n_clusters: None, resolution: 1.0, n_neighbors: 15 },
            auto: None,
            refine: 0,
            spatial_key: keys::SPATIAL.to_owned(),
            library_key: None,
            truth: None,
            key_added: None,
        }
    }
}

/// Clusters `obsm[use_rep]` of a file and writes the labels.
///
/// # Returns   The report; the output holds `obs[key]` and `uns[key]`, with refinement also `obs["key_unrefined"]`.
/// # Errors
/// [`PipelineError`]; nothing is written then.
pub fn cluster_embedding(
    input: &Path,
    destination: &Destination,
    request: &ClusterRequest,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<ClusterReport, PipelineError> {
    let mut seconds = Seconds::default();
    let mut options = ReadOptions::names_only();
    let mut obs = vec![keys::GROUND_TRUTH.to_owned()];
    obs.extend(request.truth.clone());
    obs.extend(request.library_key.clone());
    options.obs = Select::Only(obs);
    options.obsm = Select::only([&request.use_rep, &request.spatial_key]);
    let kind = Some(crate::preprocess::Modality::Rna);
    let tissue = timed(&mut seconds.read, || Tissue::open(input, &options, kind, monitor))?;
    tissue.check_destination(destination)?;
    let truth = evaluation::truth_key(&tissue, request.truth.as_deref())?;
    let key_added = request.key_added.as_deref().unwrap_or(request.method.name()).to_owned();
    check_key_added(&key_added, &[truth.as_deref(), request.library_key.as_deref()])?;
    let embedding = tissue.any_embedding(&request.use_rep)?;
    let n_obs = tissue.n_obs();
    let place = if request.refine > 0 {
        Some((tissue.coordinates(&request.spatial_key)?, tissue.slices(request.library_key.as_deref())?))
    } else {
        None
    };

    let mut method = request.method.clone();
    let selection = match &request.auto {
        None => None,
        Some(auto) => choose_n_clusters(embedding.view(), &method, auto, seed, &mut seconds, monitor)?,
    };
    if let Some(selection) = &selection {
        method = method.with_n_clusters(selection.n_clusters);
    }
    let found = cluster_rows(embedding.view(), &method, seed, &mut seconds, monitor)?;
    let Clustered { labels: unrefined, quality, bic, reached } = found;
    let (labels, unrefined) = match place {
        None => (unrefined, None),
        Some((coordinates, slices)) => {
            let refined = timed(&mut seconds.cluster, || {
                refine_labels(&unrefined, coordinates.view(), slices.as_deref(), request.refine)
            })?;
            (refined, Some(unrefined))
        }
    };
    let score = |labels: &[u32]| {
        truth.as_ref().map(|key| evaluation::score_truth(&tissue, key, labels)).transpose()
    };
    let metrics = score(&labels)?;
    let metrics_unrefined = unrefined.as_deref().map(score).transpose()?.flatten();
    let n_clusters = labels.iter().collect::<std::collections::BTreeSet<_>>().len();
    let mut additions = Additions::default();
    let root = additions.target(None);
    root.obs.insert(key_added.clone(), Column::Categorical(Categorical::from_labels(&labels)));
    if let Some(unrefined) = &unrefined {
        let column = Column::Categorical(Categorical::from_labels(unrefined));
        root.obs.insert(format!("{key_added}_unrefined"), column);
    }
    let mut params = method.describe();
    params["use_rep"] = json!(request.use_rep);
    params["random_state"] = json!(seed.0);
    params["refine"] = json!(request.refine);
    let mut record = json!({
        "method": method.name(),
        "params": params,
        "quality": quality,
        "bic": bic,
        "version": env!("CARGO_PKG_VERSION"),
    });
    if let Some(selection) = &selection {
        record["selection"] = selection_json(selection);
    }
    root.uns.insert(key_added.clone(), without_nulls(record).into());
    timed(&mut seconds.write, || tissue.write(destination, &additions, monitor))?;
    Ok(ClusterReport {
        n_obs,
        n_clusters,
        n_clusters_reached: reached,
        quality,
        bic,
        method: method.name(),
        use_rep: request.use_rep.clone(),
        key_added,
        seconds,
        metrics,
        metrics_unrefined,
    })
}

/// A dictionary without what was not set, at any depth: before 0.12 anndata cannot read a null.
pub(super) fn without_nulls(value: Json) -> Json {
    match value {
        Json::Object(entries) => Json::Object(
            entries.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect(),
        ),
        other => other,
    }
}

/// Labels of the rows of an embedding.
pub(super) struct Clustered {
    /// One per row.
    pub labels: Vec<u32>,
    /// Inertia of k-means, quality of Leiden or log-likelihood of a mixture.
    pub quality: f64,
    /// Of a mixture.
    pub bic: Option<f64>,
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
            Ok(Clustered { labels: found.labels, quality: found.inertia, bic: None, reached: true })
        }
        EmbeddingMethod::Gmm { n_clusters, model, n_init } => {
            check_n_clusters(n_clusters, n_obs)?;
            let options =
                GmmOptions { n_components: n_clusters, model, n_init, ..GmmOptions::default() };
            let found = timed(&mut seconds.cluster, || gmm(embedding, &options, seed, monitor))?;
            let reached = found.n_clusters() == n_clusters;
            Ok(Clustered { labels: found.labels, quality: found.loglik, bic: Some(found.bic), reached })
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
                    Ok(Clustered { labels: p.membership, quality: p.quality, bic: None, reached: true })
                }
                Some(k) => {
                    let options = SearchOptions::default();
                    let found = search_resolution(&[layer], &[0], k, &options, seed, monitor)?;
                    note_unreached(&found, k, monitor);
                    let (labels, quality) = (found.partition.membership, found.partition.quality);
                    Ok(Clustered { labels, quality, bic: None, reached: found.exact })
                }
            })
        }
    }
}
