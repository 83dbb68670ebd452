//! From an embedding to labels: k-means, Gaussian mixtures, or Leiden on its neighbour graph.

use brodmann_data::keys;
use brodmann_kernels::{Monitor, OptionError, Seed};
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::PipelineError;
use super::doubts::require_differences;
use super::known::{KnownDomains, Recognised};
use super::request::{check_n_clusters, check_n_neighbors, check_resolutions};
use super::run::{Run, Stage};
use crate::cluster::{
    Clusterer, CovarianceModel, Gaussians, GmmOptions, KMeansOptions, Layer, LeidenOptions, ResolutionSearch,
    SearchOptions, SelectOptions, SelectionCriterion, gmm, kmeans, leiden_multiplex_with, search_resolution,
    select_n_clusters, unreached_warning,
};
use crate::graph::{NeighborsOptions, neighbors};

/// Starts of k-means where nothing is said.
pub const KMEANS_STARTS: usize = 10;
/// Starts of a Gaussian mixture where nothing is said.
pub const GMM_STARTS: usize = 5;
/// Domains considered where their number is to be found, at most.
pub const MAX_CLUSTERS: usize = 15;

/// The ways from an embedding to labels, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterMethod {
    /// k-means.
    Kmeans,
    /// Leiden on a neighbour graph.
    #[default]
    Leiden,
    /// A mixture of Gaussians.
    Gmm,
}

/// A number of domains: one that is given, or one to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a whole number of 1 or more, or \"auto\"")]
pub enum ClusterNumber {
    /// So many.
    Given(usize),
    /// What the data say.
    Auto(Auto),
}

/// The word `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auto {
    /// The only one.
    Auto,
}

/// What takes the differences of slices out of an embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Integration {
    /// [`harmony`](crate::embedding::harmony()).
    Harmony,
}

impl Integration {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Harmony => "harmony",
        }
    }
}

/// How an embedding becomes domains: a section of every request whose method makes an embedding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DomainOptions {
    /// Domains; `None`: `auto` with a mixture, by the resolution with Leiden.
    pub n_clusters: Option<ClusterNumber>,
    /// What is done to the embedding of several slices first.
    pub integrate: Option<Integration>,
    /// How the embedding is clustered.
    pub cluster: ClusterMethod,
    /// Leiden: resolution, where no number of domains is given; 1 when absent.
    pub resolution: Option<f64>,
    /// k-means, mixtures: starts, the best kept; [`KMEANS_STARTS`] and [`GMM_STARTS`] when absent.
    pub n_init: Option<usize>,
    /// Mixtures: how covariances are tied.
    pub gmm_model: CovarianceModel,
    /// Mixtures: what chooses the number of domains.
    pub select_by: SelectionCriterion,
    /// Mixtures: the most domains considered then.
    pub max_clusters: usize,
    /// Nearest spots in space whose majority a spot follows; 0 for none.
    pub refine: usize,
    /// Lay the embedding out in the plane (`obsm["X_key_umap"]`).
    pub umap: bool,
}

impl Default for DomainOptions {
    fn default() -> Self {
        Self {
            n_clusters: None,
            integrate: None,
            cluster: ClusterMethod::default(),
            resolution: None,
            n_init: None,
            gmm_model: CovarianceModel::default(),
            select_by: SelectionCriterion::default(),
            max_clusters: MAX_CLUSTERS,
            refine: 0,
            umap: false,
        }
    }
}

impl DomainOptions {
    /// By a mixture of Gaussians with so many starts.
    pub fn mixture(n_init: usize) -> Self {
        Self { cluster: ClusterMethod::Gmm, n_init: Some(n_init), ..Self::default() }
    }

    /// With so many domains.
    #[must_use]
    pub fn with_n_clusters(self, k: usize) -> Self {
        Self { n_clusters: Some(ClusterNumber::Given(k)), ..self }
    }

    /// The method with everything it needs; Leiden on a graph of `n_neighbors`.
    ///
    /// # Errors
    /// [`PipelineError::Option`] for what does not go together.
    pub fn method(&self, n_neighbors: usize) -> Result<EmbeddingMethod, PipelineError> {
        let given = match self.n_clusters {
            Some(ClusterNumber::Given(k)) => Some(k),
            Some(ClusterNumber::Auto(_)) if self.cluster != ClusterMethod::Gmm => {
                let expected = "a number, since only a Gaussian mixture (gmm) can choose it";
                return Err(OptionError::new("n_clusters", "auto", expected).into());
            }
            Some(ClusterNumber::Auto(_)) | None => None,
        };
        if let (Some(_), Some(resolution)) = (given, self.resolution) {
            let found = format!("{resolution}, given together with a number of domains");
            return Err(OptionError::new("resolution", found, "one of the two").into());
        }
        Ok(match self.cluster {
            ClusterMethod::Leiden => EmbeddingMethod::Leiden {
                n_clusters: given,
                resolution: self.resolution.unwrap_or(1.0),
                n_neighbors,
            },
            ClusterMethod::Kmeans => EmbeddingMethod::KMeans {
                n_clusters: given.ok_or_else(|| {
                    OptionError::new("n_clusters", "not given", "a number of clusters, which k-means needs")
                })?,
                n_init: self.n_init.unwrap_or(KMEANS_STARTS),
            },
            ClusterMethod::Gmm => EmbeddingMethod::Gmm {
                n_clusters: given,
                model: self.gmm_model,
                n_init: self.n_init.unwrap_or(GMM_STARTS),
                criterion: self.select_by,
                max_clusters: self.max_clusters,
            },
        })
    }

    /// Refuses what no tissue of `n_obs` spots can have.
    ///
    /// # Errors
    /// [`PipelineError::Option`], [`PipelineError::ImpossibleClusterCount`].
    pub(super) fn check(&self, n_obs: usize) -> Result<(), PipelineError> {
        self.method(1)?.check(n_obs)?;
        check_n_neighbors("refine", self.refine, n_obs)
    }
}

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
    /// The domains that a saved model knows.
    Known(Box<KnownDomains>),
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
            Self::Known(_) => "model",
        }
    }

    /// Clusters asked for; `None` where the resolution or a score decides.
    pub fn n_clusters(&self) -> Option<usize> {
        match *self {
            Self::KMeans { n_clusters, .. } => Some(n_clusters),
            Self::Leiden { n_clusters, .. } | Self::Gmm { n_clusters, .. } => n_clusters,
            Self::Known(_) => None,
        }
    }

    /// The same with this many clusters.
    #[must_use]
    pub fn with_n_clusters(mut self, k: usize) -> Self {
        match &mut self {
            Self::KMeans { n_clusters, .. } => *n_clusters = k,
            Self::Leiden { n_clusters, .. } | Self::Gmm { n_clusters, .. } => *n_clusters = Some(k),
            // A model has the domains it has.
            Self::Known(_) => {}
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
            return Err(OptionError::new("n_init", 0, "at least 1").into());
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
            Self::Known(ref known) => json!({ "method": self.name(), "domains": known.describe() }),
        }
    }
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
    /// The mixture itself, its components numbered as the labels are.
    pub fitted: Option<Gaussians>,
}

/// Clusters the rows of any embedding, from a seed of its own: one run may cluster several.
///
/// # Errors
/// [`PipelineError`] for options out of range, and as the method's own.
pub(super) fn cluster_rows(
    embedding: ArrayView2<'_, f64>,
    method: &EmbeddingMethod,
    seed: Seed,
    run: &mut Run<'_>,
) -> Result<Clustered, PipelineError> {
    let (n_obs, monitor) = (embedding.nrows(), run.monitor);
    require_differences(embedding, "the embedding")?;
    match *method {
        EmbeddingMethod::KMeans { n_clusters, n_init } => {
            check_n_clusters(n_clusters, n_obs)?;
            let options = KMeansOptions { n_clusters, n_init, ..KMeansOptions::default() };
            monitor.stage("k-means", 0);
            let found = run.timed(Stage::Cluster, || kmeans(embedding, &options, seed, monitor))?;
            // Fewer where fewer rows differ.
            let n_found = found.labels.iter().max().map_or(0, |m| *m as usize + 1);
            let (quality, reached) = (found.inertia, n_found == n_clusters);
            Ok(Clustered { labels: found.labels, quality, reached, mixture: None, fitted: None })
        }
        EmbeddingMethod::Leiden { n_clusters, resolution, n_neighbors } => {
            if let Some(k) = n_clusters {
                check_n_clusters(k, n_obs)?;
            }
            check_resolutions(&[resolution])?;
            let options = NeighborsOptions { n_neighbors, ..NeighborsOptions::default() };
            monitor.stage("neighbours", 0);
            let graph = run.timed(Stage::Graph, || neighbors(embedding, &options, seed, monitor))?;
            let layer = Layer { resolution, directed: false, ..Layer::new(&graph.connectivities) };
            monitor.stage("Leiden", 0);
            run.timed(Stage::Cluster, || match n_clusters {
                None => {
                    let p = leiden_multiplex_with(&[layer], &LeidenOptions::default(), seed, monitor)?;
                    let (labels, quality) = (p.membership, p.quality);
                    Ok(Clustered { labels, quality, reached: true, mixture: None, fitted: None })
                }
                Some(k) => {
                    let options = SearchOptions::default();
                    let found = search_resolution(&[layer], &[0], k, &options, seed, monitor)?;
                    note_unreached(&found, k, monitor);
                    let (labels, quality) = (found.partition.membership, found.partition.quality);
                    Ok(Clustered { labels, quality, reached: found.exact, mixture: None, fitted: None })
                }
            })
        }
        EmbeddingMethod::Gmm { n_clusters, model, n_init, criterion, max_clusters } => {
            let options = GmmOptions { model, n_init, ..GmmOptions::default() };
            run.timed(Stage::Cluster, || {
                mixture(embedding, n_clusters, &options, criterion, max_clusters, seed, monitor)
            })
        }
        EmbeddingMethod::Known(ref known) => run.timed(Stage::Cluster, || {
            let Recognised { labels, loglik } = known.recognise(embedding, monitor)?;
            Ok(Clustered { labels, quality: loglik, reached: true, mixture: None, fitted: None })
        }),
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
    let fitted = Some(Gaussians::from(&found));
    let report = MixtureReport {
        model: found.model.name(),
        bic: found.bic,
        converged: found.converged,
        singular: found.singular,
        start_logliks: found.start_logliks,
        tried,
    };
    Ok(Clustered { labels: found.labels, quality: found.loglik, reached, mixture: Some(report), fitted })
}

/// Says why the number of clusters asked for was not reached, where it was not.
pub(super) fn note_unreached(found: &ResolutionSearch, n_clusters: usize, monitor: &dyn Monitor) {
    if let Some(warning) = unreached_warning(found, n_clusters) {
        monitor.warn(&warning);
    }
}
