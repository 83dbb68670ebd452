//! Multiplex Leiden: one partition of the spots that is good in every layer at once.
//!
//! Input: the graphs of `crate::graph`, one per modality plus a spatial one. Output: domain labels. The method is
//! that of Traag, Waltman & van Eck (2019); each file is one of its steps.
//!
//! * `layer`: a graph and how to read it; every check of the input.
//! * `objective`: what all layers reward together: one graph plus null-model terms.
//! * `adjacency`: where a level reads its edges: the layers, a graph of its own, or groups of nodes.
//! * `quality`: exact quality of a partition and of a move.
//! * `level`: a graph of the hierarchy, gains, the flat accumulator.
//! * `local_moving`, `refinement`, `aggregation`: the three phases.
//! * `optimise`: the phases put together, iterated to convergence.
//! * `entry_edges`: undirected graphs as igraph and `spatialleiden` read them.
//! * `resolution`: the resolution that gives a wanted number of clusters.
//! * `n_clusters`: the same for several layers, the latent ones before space.
//! * `limits`: what may be asked of a run.
//! * `error`: why a run is refused.

mod adjacency;
mod aggregation;
mod entry_edges;
mod error;
mod layer;
mod level;
pub mod limits;
mod local_moving;
mod n_clusters;
mod objective;
mod optimise;
mod quality;
mod refinement;
mod resolution;
#[cfg(test)]
mod tests;

use brodmann_kernels::{Monitor, OptionError, Seed, Silent};

pub use entry_edges::{EntryEdges, entry_edges};
pub use error::{LayerId, LeidenError};
pub use layer::{GraphView, Layer, Quality};
pub use n_clusters::{ClusterCountSearch, search_n_clusters, search_n_clusters_by_seed, unreached_warning};
pub use quality::{move_difference, quality};
pub use resolution::{
    LatentSpatialSearch, ResolutionSearch, SearchOptions, Unreached, search_resolution,
    search_resolution_latent_spatial,
};

use adjacency::{Adjacency, LayerEdges};
use layer::{LayerSums, check_layers};
use objective::null_terms;
use optimise::{Settings, optimise};

/// How long to optimise and from where.
#[derive(Clone, Debug, PartialEq)]
pub struct LeidenOptions {
    /// Full passes over the hierarchy, ≥ 1; `None` (default): until a pass changes nothing, and from 20,000 nodes on passes that
    /// leave communities alone which have been refined since they last changed.
    pub n_iterations: Option<u32>,
    /// Labels to start from, any values; `None` (default): every node alone.
    pub initial: Option<Vec<u32>>,
    /// `θ` of the refinement, in units of the mean edge weight; default 0.01. Larger explores more.
    pub randomness: f64,
}

impl Default for LeidenOptions {
    fn default() -> Self {
        Self { n_iterations: None, initial: None, randomness: 0.01 }
    }
}

impl LeidenOptions {
    fn check(&self) -> Result<(), LeidenError> {
        if self.n_iterations == Some(0) {
            return Err(OptionError::new("n_iterations", 0.0, "at least 1, or None").into());
        }
        if !(self.randomness > 0.0 && self.randomness.is_finite()) {
            let (option, found) = ("randomness", self.randomness);
            return Err(OptionError::new(option, found, "a positive number").into());
        }
        Ok(())
    }
}

/// A partition of the nodes and how good it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Partition {
    /// Cluster of each node; numbered by size, largest first, ties by their smallest node.
    pub membership: Vec<u32>,
    /// Number of clusters.
    pub n_clusters: usize,
    /// `Σ w_l Q_l`, in the scale of [`Quality`].
    pub quality: f64,
    /// `Q_l`, not multiplied by the layer weights.
    pub layer_quality: Vec<f64>,
    /// Passes made, the last and changeless one included.
    pub n_iterations: u32,
    /// Whether the last pass changed nothing: then no single move improves the quality any more.
    pub converged: bool,
}

/// The partition that maximises `Σ_l w_l Q_l` over all layers.
///
/// # Inputs
/// `layers`: graphs on the same nodes, see [`Layer`].
/// # Returns
/// [`Partition`]. Clusters are connected in the union of the layers of positive weight; a node
/// without edges is its own cluster. The same seed gives the same labels on any thread count.
/// # Errors
/// [`LeidenError`] for graphs or options that cannot be used; nothing is computed then.
/// # Cost
/// O(nnz) per pass and level, near-linear in total (from 20,000 nodes on, above single nodes, of communities that changed); at most 8 bytes per stored entry beside the layers and 200 a node.
/// # Source
/// Traag, Waltman & van Eck 2019, Sci. Rep. 9:5233; multiplex use: Müller-Bötticher et al. 2025.
/// # Differences
/// `θ` is in units of the mean edge weight, so that rescaling a graph changes nothing. When a
/// refinement merges nothing, the (connected parts of the) communities are aggregated instead.
///
/// # Example
///
/// ```
/// use brodmann::cluster::{Layer, LeidenOptions, leiden_multiplex};
/// use brodmann_kernels::{CsrMatrix, Seed};
/// use ndarray::Array2;
///
/// // Two triangles, joined by one edge.
/// let edges = [(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5), (2, 3)];
/// let mut graph = Array2::<f64>::zeros((6, 6));
/// for (i, j) in edges {
///     graph[[i, j]] = 1.0;
///     graph[[j, i]] = 1.0;
/// }
/// let graph = CsrMatrix::from_dense(graph.view());
/// // The same graph as latent and, twice as heavy, as spatial layer: 1 · 5 + 2 · 5.
/// let layers = [Layer::new(&graph), Layer { weight: 2.0, ..Layer::new(&graph) }];
/// let found = leiden_multiplex(&layers, &LeidenOptions::default(), Seed(0))?;
/// assert_eq!(found.membership, [0, 0, 0, 1, 1, 1]);
/// assert!((found.quality - 15.0).abs() < 1e-12);
/// # Ok::<(), brodmann::cluster::LeidenError>(())
/// ```
pub fn leiden_multiplex(
    layers: &[Layer<'_>],
    options: &LeidenOptions,
    seed: Seed,
) -> Result<Partition, LeidenError> {
    leiden_multiplex_with(layers, options, seed, &Silent)
}

/// [`leiden_multiplex`] with progress and interruption.
///
/// # Inputs
/// `monitor`: told of each pass that ends; asked at least once a second whether to stop.
/// # Errors
/// As [`leiden_multiplex`], and [`LeidenError::Interrupted`].
pub fn leiden_multiplex_with(
    layers: &[Layer<'_>],
    options: &LeidenOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Partition, LeidenError> {
    options.check()?;
    monitor.stage("leiden", u64::from(options.n_iterations.unwrap_or(0)));
    Prepared::new(layers, monitor)?.optimise(layers, options, seed, monitor)
}

/// [`leiden_multiplex`] of one graph, un-normalised RB configuration.
///
/// # Inputs
/// `graph`: `(n_obs, n_obs)` weights. `resolution`: `γ > 0`, more gives more clusters.
/// # Returns
/// [`Partition`].
/// # Errors
/// As [`leiden_multiplex`].
/// # Source
/// Traag, Waltman & van Eck 2019, Sci. Rep. 9:5233.
///
/// # Example
///
/// ```
/// use brodmann::cluster::{LeidenOptions, leiden};
/// use brodmann_kernels::{CsrMatrix, Seed};
/// use ndarray::Array2;
///
/// // Two triangles, joined by one edge.
/// let edges = [(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5), (2, 3)];
/// let mut graph = Array2::<f64>::zeros((6, 6));
/// for (i, j) in edges {
///     graph[[i, j]] = 1.0;
///     graph[[j, i]] = 1.0;
/// }
/// let graph = CsrMatrix::from_dense(graph.view());
/// let found = leiden(&graph, 1.0, &LeidenOptions::default(), Seed(0))?;
/// assert_eq!(found.membership, [0, 0, 0, 1, 1, 1]);
/// // In each, 6 of 14 weights lie inside and its degrees are 7: 2 · (6 − 7² / 14).
/// assert!((found.quality - 5.0).abs() < 1e-12);
/// # Ok::<(), brodmann::cluster::LeidenError>(())
/// ```
pub fn leiden<'a>(
    graph: impl Into<GraphView<'a>>,
    resolution: f64,
    options: &LeidenOptions,
    seed: Seed,
) -> Result<Partition, LeidenError> {
    leiden_multiplex(&[Layer { resolution, ..Layer::new(graph) }], options, seed)
}

/// From so many nodes on, a clustering to the end leaves settled communities alone. Smaller ones take no time that could be
/// saved.
const REMEMBERED_FROM: usize = 20_000;

/// What does not depend on the resolution: checked sums and edges.
pub(crate) struct Prepared<'a> {
    sums: Vec<LayerSums>,
    edges: LayerEdges<'a>,
    /// Nodes from which on settled communities are left alone.
    remembers_from: usize,
}

impl<'a> Prepared<'a> {
    pub(crate) fn new(layers: &[Layer<'a>], monitor: &dyn Monitor) -> Result<Self, LeidenError> {
        let sums = check_layers(layers)?;
        monitor.check()?;
        let edges = LayerEdges::new(layers, &sums);
        monitor.check()?;
        Ok(Self { sums, edges, remembers_from: REMEMBERED_FROM })
    }

    /// Optimises `layers`: those given to [`Self::new`], other resolutions allowed.
    pub(crate) fn optimise(
        &self,
        layers: &[Layer<'_>],
        options: &LeidenOptions,
        seed: Seed,
        monitor: &dyn Monitor,
    ) -> Result<Partition, LeidenError> {
        let n = self.edges.n_nodes();
        let terms = null_terms(layers, &self.sums)?;
        let initial = options.initial.as_deref().map(|labels| quality::compact(labels, n)).transpose()?;
        let settings = Settings {
            n_iterations: options.n_iterations,
            randomness: options.randomness,
            initial: initial.as_deref(),
            seed,
            // A number of passes is a number of looks at everything.
            remembers: options.n_iterations.is_none() && n >= self.remembers_from,
        };
        let outcome = optimise(&self.edges, &terms, &settings, monitor)?;
        let (membership, n_clusters) = number_by_size(&outcome.communities);
        let (quality, layer_quality) = quality::quality_of(layers, &self.sums, &membership);
        let (n_iterations, converged) = (outcome.n_iterations, outcome.converged);
        Ok(Partition { membership, n_clusters, quality, layer_quality, n_iterations, converged })
    }
}

/// Labels by falling size, ties by smallest node, and their number. Input labels are compact.
fn number_by_size(communities: &[u32]) -> (Vec<u32>, usize) {
    let n_clusters = communities.iter().max().map_or(0, |c| *c as usize + 1);
    let mut sizes = vec![0u64; n_clusters];
    let mut first = vec![usize::MAX; n_clusters];
    for (v, &c) in communities.iter().enumerate() {
        sizes[c as usize] += 1;
        first[c as usize] = first[c as usize].min(v);
    }
    let mut order: Vec<usize> = (0..n_clusters).collect();
    order.sort_unstable_by_key(|&c| (std::cmp::Reverse(sizes[c]), first[c]));
    let mut rank = vec![0u32; n_clusters];
    for (r, &c) in order.iter().enumerate() {
        rank[c] = r as u32;
    }
    (communities.iter().map(|&c| rank[c as usize]).collect(), n_clusters)
}
