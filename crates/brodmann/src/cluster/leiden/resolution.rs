//! The resolution that gives a wanted number of clusters.
//!
//! More resolution gives more clusters only on the whole: counts jump over numbers and now and then fall. So the
//! search keeps every point it has tried, always divides an interval whose ends lie on either side of the wanted
//! number, and says plainly when no resolution tried gave it.
//!
//! On large graphs the same search goes ahead by scouts: clusterings of one pass, each begun from the nearest finer one. On
//! the number of clusters they agree with clusterings to the end, mostly, at a tenth of the work; what they find is
//! where the search begins.

use brodmann_kernels::{Interrupted, Monitor, OptionError, Seed};

use super::adjacency::Adjacency;
use super::error::LeidenError;
use super::layer::{Layer, Quality};
use super::limits::is_cluster_count;
use super::{LeidenOptions, Partition, Prepared};

/// With fewer nodes clusterings take no time that could be saved.
pub(super) const SCOUTED_FROM: usize = 20_000;
/// Passes of a large clustering of which the resolution alone is wanted: those after it raised the quality by 3 in 10,000 and
/// took two thirds of the time (100,000 simulated spots).
const FEW_PASSES: u32 = 2;
/// Most clusterings for each further seed, near the resolution where the first seed's search ended.
const FEW_CLUSTERINGS: u32 = 2;
/// Factor of the first step away from where the search begins …
const FIRST_STEP: f64 = 2.0;
/// … and where scouts have been.
const STEP_FROM_SCOUTED: f64 = 1.1;

/// Where to search and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchOptions {
    /// Lowest resolution to try; default 1e-4.
    pub lowest: f64,
    /// Highest resolution to try; default 1e4.
    pub highest: f64,
    /// First resolution to try, by scouts where the graph is large; `None` (default): that of the first layer to vary.
    pub start: Option<f64>,
    /// Most clusterings to compute to the end, and as many scouts; default 40.
    pub max_iterations: u32,
    /// Intervals with `highest / lowest − 1` below this are not divided further; default 1e-4.
    pub tolerance: f64,
    /// How each clustering is computed.
    pub leiden: LeidenOptions,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self {
            lowest: 1e-4,
            highest: 1e4,
            start: None,
            max_iterations: 40,
            tolerance: 1e-4,
            leiden: LeidenOptions::default(),
        }
    }
}

impl SearchOptions {
    fn check(&self) -> Result<(), LeidenError> {
        let refuse = |option: &'static str, found: f64, expected: &str| {
            Err(OptionError::new(option, found, expected).into())
        };
        let positive = |x: f64| x > 0.0 && x.is_finite();
        if !positive(self.lowest) {
            return refuse("lowest", self.lowest, "a positive number");
        }
        if !(positive(self.highest) && self.highest >= self.lowest) {
            return refuse("highest", self.highest, "a finite number, at least `lowest`");
        }
        if let Some(start) = self.start
            && !positive(start)
        {
            return refuse("start", start, "a positive number");
        }
        if self.max_iterations == 0 {
            return refuse("max_iterations", 0.0, "at least 1");
        }
        if !positive(self.tolerance) {
            return refuse("tolerance", self.tolerance, "a positive number");
        }
        self.leiden.check()
    }
}

/// Why the wanted number of clusters was not found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unreached {
    /// The graph falls into more parts than clusters were wanted.
    Components {
        /// Connected parts of the union of the layers.
        n_components: usize,
    },
    /// Even at the end of the range the number lies on one side.
    OutOfRange {
        /// The end reached.
        resolution: f64,
        /// Clusters there.
        n_clusters: usize,
    },
    /// The count jumps over the number, at every place where it crosses it.
    Skipped {
        /// Clusters just below.
        below: usize,
        /// Clusters just above.
        above: usize,
    },
    /// `max_iterations` was reached first.
    Budget,
}

impl std::fmt::Display for Unreached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Components { n_components } => {
                write!(
                    f,
                    "the graphs fall into {n_components} connected parts, fewer clusters are impossible"
                )
            }
            Self::OutOfRange { resolution, n_clusters } => {
                write!(f, "resolution {resolution}, the end of the range, gives {n_clusters} clusters")
            }
            Self::Skipped { below, above } => {
                write!(f, "the number of clusters jumps from {below} to {above}")
            }
            Self::Budget => write!(f, "the search ended after its maximum of clusterings"),
        }
    }
}

/// What a resolution search found.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolutionSearch {
    /// The resolution that came nearest; clustering with it, the same seed and options gives `partition` again.
    pub resolution: f64,
    /// The partition at that resolution.
    pub partition: Partition,
    /// Its number of clusters.
    pub n_clusters_found: usize,
    /// Whether that is the number wanted.
    pub exact: bool,
    /// If not, why.
    pub unreached: Option<Unreached>,
    /// Every resolution tried and the number of clusters it gave, in order; those of scouts left out.
    pub trace: Vec<(f64, usize)>,
}

/// Searches the resolution at which the layers form `n_clusters` clusters.
///
/// # Inputs
/// `which`: numbers of the layers that get the same, varied resolution; the others keep theirs.
/// # Returns
/// The nearest found. `exact` says whether it is the number wanted, `unreached` why not.
/// # Errors
/// As [`leiden_multiplex`](super::leiden_multiplex); also a layer number out of range, a layer
/// without resolution (modularity), `n_clusters` of 0 or not below the number of nodes.
/// # Cost
/// At most `max_iterations` clusterings; from 20,000 nodes on commonly one, after scouts that take about as long.
/// # Source
/// Bracketing and bisection, on a logarithmic scale.
///
/// # Example
///
/// ```
/// use brodmann::cluster::{Layer, SearchOptions, search_resolution};
/// use brodmann_kernels::{CsrMatrix, Seed, Silent};
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
/// let layers = [Layer::new(&graph)];
/// let found = search_resolution(&layers, &[0], 1, &SearchOptions::default(), Seed(0), &Silent)?;
/// assert!(found.exact && found.resolution < 1.0);
/// assert_eq!(found.partition.membership, [0; 6]);
/// # Ok::<(), brodmann::cluster::LeidenError>(())
/// ```
pub fn search_resolution(
    layers: &[Layer<'_>],
    which: &[usize],
    n_clusters: usize,
    options: &SearchOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<ResolutionSearch, LeidenError> {
    search(layers, which, n_clusters, options, (seed, monitor), "searching the resolution")
}

/// [`search_resolution`] from the resolution where another seed's search ended: few clusterings, by small steps and without
/// scouts.
pub(super) fn search_resolution_near(
    layers: &[Layer<'_>],
    (which, resolution): (&[usize], f64),
    n_clusters: usize,
    options: &SearchOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<ResolutionSearch, LeidenError> {
    let max_iterations = options.max_iterations.min(FEW_CLUSTERINGS);
    let near = SearchOptions { start: Some(resolution), max_iterations, ..options.clone() };
    search_from(layers, which, n_clusters, &near, (seed, monitor), "searching the resolution", false)
}

/// [`search_resolution`] under a name of its own in the log.
fn search(
    layers: &[Layer<'_>],
    which: &[usize],
    n_clusters: usize,
    options: &SearchOptions,
    of: (Seed, &dyn Monitor),
    stage: &str,
) -> Result<ResolutionSearch, LeidenError> {
    let has_scouts = layers.first().is_some_and(|layer| layer.graph.n_rows() >= SCOUTED_FROM);
    search_from(layers, which, n_clusters, options, of, stage, has_scouts)
}

fn search_from(
    layers: &[Layer<'_>],
    which: &[usize],
    n_clusters: usize,
    options: &SearchOptions,
    (seed, monitor): (Seed, &dyn Monitor),
    stage: &str,
    has_scouts: bool,
) -> Result<ResolutionSearch, LeidenError> {
    options.check()?;
    for &l in which {
        let n_layers = layers.len();
        let layer = layers.get(l).ok_or(LeidenError::LayerOutOfRange { layer: l.into(), n_layers })?;
        if layer.quality == Quality::Modularity {
            return Err(LeidenError::NoResolution { layer: l.into() });
        }
    }
    let Some(&first) = which.first() else {
        return Err(OptionError::new("which", "empty", "at least one layer number").into());
    };
    let prepared = Prepared::new(layers, monitor)?;
    let n_nodes = prepared.edges.n_nodes();
    if !is_cluster_count(n_clusters, n_nodes) {
        return Err(OptionError::new("n_clusters", n_clusters, "1 or more, and fewer than the nodes").into());
    }
    let n_components = count_components(&prepared.edges);
    let mut search = Search {
        layers: layers.to_vec(),
        which,
        // No clustering has fewer clusters than the graph has parts: the nearest possible is the aim then.
        target: n_clusters.max(n_components),
        prepared: &prepared,
        options,
        seed,
        monitor,
        trace: Vec::new(),
        best: None,
        scouts: false,
        finer: None,
    };
    let start = options.start.unwrap_or(layers[first].resolution).clamp(options.lowest, options.highest);
    let (start, step) = if has_scouts {
        monitor.stage(&format!("{stage}, roughly"), 0);
        (search.scouted(start)?, STEP_FROM_SCOUTED)
    } else {
        (start, if n_nodes < SCOUTED_FROM { FIRST_STEP } else { STEP_FROM_SCOUTED })
    };
    monitor.stage(stage, u64::from(options.max_iterations));
    let mut unreached = search.run(start, step)?;
    // `run` computes at least one clustering.
    let Some((resolution, partition)) = search.best else { return Err(Interrupted.into()) };
    let exact = partition.n_clusters == n_clusters;
    if n_components > n_clusters {
        unreached = Some(Unreached::Components { n_components });
    }
    let n_clusters_found = partition.n_clusters;
    Ok(ResolutionSearch { resolution, partition, n_clusters_found, exact, unreached, trace: search.trace })
}

/// Passes interruption in, but not the passes of one clustering out: the search counts clusterings.
struct StopOnly<'a>(&'a dyn Monitor);

impl Monitor for StopOnly<'_> {
    fn is_interrupted(&self) -> bool {
        self.0.is_interrupted()
    }
}

struct Search<'a, 'b> {
    layers: Vec<Layer<'a>>,
    which: &'b [usize],
    target: usize,
    prepared: &'b Prepared<'a>,
    options: &'b SearchOptions,
    seed: Seed,
    monitor: &'b dyn Monitor,
    trace: Vec<(f64, usize)>,
    best: Option<(f64, Partition)>,
    /// Whether clusterings are of one pass, and where each is begun: the coarsest labels with more clusters than wanted.
    scouts: bool,
    finer: Option<(f64, Vec<u32>)>,
}

impl Search<'_, '_> {
    /// Clusters at `resolution`; the count.
    fn evaluate(&mut self, resolution: f64) -> Result<usize, LeidenError> {
        for &l in self.which {
            self.layers[l].resolution = resolution;
        }
        if self.scouts {
            return self.scout(resolution);
        }
        let partition =
            self.prepared.optimise(&self.layers, &self.options.leiden, self.seed, &StopOnly(self.monitor))?;
        self.monitor.advance(1);
        let count = partition.n_clusters;
        self.trace.push((resolution, count));
        let nearer = self
            .best
            .as_ref()
            .is_none_or(|(_, best)| count.abs_diff(self.target) < best.n_clusters.abs_diff(self.target));
        if nearer {
            self.best = Some((resolution, partition));
        }
        Ok(count)
    }

    /// About the number of clusters at `resolution`.
    fn scout(&mut self, resolution: f64) -> Result<usize, LeidenError> {
        // Of lower resolution, it is none of the finer ones here.
        let aside = self.finer.take_if(|(finer, _)| *finer < resolution);
        let initial = self.finer.as_ref().map(|(_, labels)| labels.clone());
        let options = LeidenOptions { n_iterations: Some(1), initial, ..self.options.leiden.clone() };
        let partition = self.prepared.optimise(&self.layers, &options, self.seed, &StopOnly(self.monitor))?;
        let count = partition.n_clusters;
        self.trace.push((resolution, count));
        if aside.is_some() {
            self.finer = aside;
        } else if count > self.target {
            self.finer = Some((resolution, partition.membership));
        }
        Ok(count)
    }

    /// Where to begin: the resolution whose scout came nearest to the number.
    fn scouted(&mut self, start: f64) -> Result<f64, LeidenError> {
        self.scouts = true;
        self.run(start, FIRST_STEP)?;
        self.scouts = false;
        self.finer = None;
        let trace = std::mem::take(&mut self.trace);
        let nearest = trace.iter().min_by_key(|(_, count)| count.abs_diff(self.target));
        Ok(nearest.map_or(start, |(resolution, _)| *resolution))
    }

    fn budget_spent(&self) -> bool {
        self.trace.len() >= self.options.max_iterations as usize
    }

    /// Brackets from `start` by steps of `step`, its square and so on, then divides. `None` when the target was met.
    fn run(&mut self, start: f64, step: f64) -> Result<Option<Unreached>, LeidenError> {
        let (mut resolution, mut factor) = (start, step);
        let mut count = self.evaluate(resolution)?;
        if count == self.target {
            return Ok(None);
        }
        let rising = count < self.target;
        while (count < self.target) == rising {
            let end = if rising { self.options.highest } else { self.options.lowest };
            if resolution == end {
                return Ok(Some(Unreached::OutOfRange { resolution, n_clusters: count }));
            }
            if self.budget_spent() {
                return Ok(Some(Unreached::Budget));
            }
            resolution = if rising { (resolution * factor).min(end) } else { (resolution / factor).max(end) };
            factor *= step;
            count = self.evaluate(resolution)?;
            if count == self.target {
                return Ok(None);
            }
        }
        let mut interpolate = true;
        loop {
            let Some(((low, low_count), (high, high_count))) = self.interval() else {
                return Ok(Some(self.skipped()));
            };
            if self.budget_spent() {
                return Ok(Some(Unreached::Budget));
            }
            // Counts grow roughly as a power of the resolution; every other step halves all the same.
            let log_ratio = |a: usize, b: usize| (a as f64 / b as f64).ln();
            let share = if interpolate && low_count != high_count {
                (log_ratio(self.target, low_count) / log_ratio(high_count, low_count)).clamp(0.1, 0.9)
            } else {
                0.5
            };
            interpolate = !interpolate;
            if self.evaluate(low * (high / low).powf(share))? == self.target {
                return Ok(None);
            }
        }
    }

    /// The interval between neighbouring points on either side of the target, widest enough to divide, whose
    /// counts come nearest; of equals the widest.
    fn interval(&self) -> Option<((f64, usize), (f64, usize))> {
        let mut best: Option<(usize, f64, usize)> = None;
        let points = self.sorted();
        for (k, pair) in points.windows(2).enumerate() {
            let [(low, a), (high, b)] = [pair[0], pair[1]];
            let ratio = high / low;
            if (a < self.target) == (b < self.target) || ratio - 1.0 < self.options.tolerance {
                continue;
            }
            let distance = a.abs_diff(self.target).max(b.abs_diff(self.target));
            if best.is_none_or(|(d, r, _)| distance < d || (distance == d && ratio > r)) {
                best = Some((distance, ratio, k));
            }
        }
        best.map(|(_, _, k)| (points[k], points[k + 1]))
    }

    fn sorted(&self) -> Vec<(f64, usize)> {
        let mut points = self.trace.clone();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    }

    /// The counts nearest to the target on either side.
    fn skipped(&self) -> Unreached {
        let counts = self.trace.iter().map(|p| p.1);
        let below = counts.clone().filter(|c| *c < self.target).max().unwrap_or(0);
        let above = counts.filter(|c| *c > self.target).min().unwrap_or(0);
        Unreached::Skipped { below, above }
    }
}

/// The resolutions of the latent and of the spatial layers.
#[derive(Clone, Debug, PartialEq)]
pub struct LatentSpatialSearch {
    /// Step 1: the latent layers alone; from 20,000 nodes on in clusterings of two passes, since its resolution is what counts.
    pub latent: ResolutionSearch,
    /// Step 2: all layers, the latent resolution fixed at that of step 1. Its partition is the result.
    pub spatial: ResolutionSearch,
}

/// Searches first the latent resolution, by Leiden without the spatial layer, then the spatial one with it.
///
/// # Inputs
/// `spatial`: number of the spatial layer; all others are latent and share one resolution.
/// # Returns
/// Both searches; either may be inexact, see [`ResolutionSearch::unreached`]. When no spatial
/// resolution gives `n_clusters`, that is what `spatial.unreached` says.
/// # Errors
/// As [`search_resolution`]; a single layer.
/// # Cost
/// At most `2 · max_iterations` clusterings.
/// # Source
/// SpatialLeiden, Müller-Bötticher et al. 2025.
///
/// # Example
///
/// ```
/// use brodmann::cluster::{Layer, SearchOptions, search_resolution_latent_spatial};
/// use brodmann_kernels::{CsrMatrix, Seed, Silent};
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
/// let layers = [Layer::new(&graph), Layer::new(&graph)];
/// let options = SearchOptions::default();
/// let found = search_resolution_latent_spatial(&layers, 1, 2, &options, Seed(0), &Silent)?;
/// assert!(found.latent.exact && found.spatial.exact);
/// assert_eq!(found.spatial.partition.membership, [0, 0, 0, 1, 1, 1]);
/// # Ok::<(), brodmann::cluster::LeidenError>(())
/// ```
pub fn search_resolution_latent_spatial(
    layers: &[Layer<'_>],
    spatial: usize,
    n_clusters: usize,
    options: &SearchOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<LatentSpatialSearch, LeidenError> {
    if spatial >= layers.len() {
        return Err(LeidenError::LayerOutOfRange { layer: spatial.into(), n_layers: layers.len() });
    }
    let latent: Vec<Layer<'_>> =
        layers.iter().enumerate().filter(|(l, _)| *l != spatial).map(|(_, layer)| *layer).collect();
    let all_latent: Vec<usize> = (0..latent.len()).collect();
    let (of, without) = ((seed, monitor), "searching the resolution without space");
    let latent = if layers[spatial].graph.n_rows() < SCOUTED_FROM {
        search(&latent, &all_latent, n_clusters, options, of, without)?
    } else {
        let n_iterations = options.leiden.n_iterations.map_or(FEW_PASSES, |n| n.min(FEW_PASSES));
        let leiden = LeidenOptions { n_iterations: Some(n_iterations), ..options.leiden.clone() };
        let options = SearchOptions { leiden, ..options.clone() };
        search(&latent, &all_latent, n_clusters, &options, of, without)?
    };
    let mut fixed = layers.to_vec();
    for (l, layer) in fixed.iter_mut().enumerate() {
        if l != spatial {
            layer.resolution = latent.resolution;
        }
    }
    // The start is for the latent layers; the spatial layer brings its own.
    let options = SearchOptions { start: None, ..options.clone() };
    let spatial = search(&fixed, &[spatial], n_clusters, &options, of, "searching the resolution in space")?;
    Ok(LatentSpatialSearch { latent, spatial })
}

fn count_components<G: Adjacency>(edges: &G) -> usize {
    let n = edges.n_nodes();
    let mut seen = vec![false; n];
    let mut stack = Vec::new();
    let mut n_components = 0;
    for v in 0..n {
        if std::mem::replace(&mut seen[v], true) {
            continue;
        }
        n_components += 1;
        stack.push(v as u32);
        while let Some(u) = stack.pop() {
            edges.for_each(u as usize, |j, _| {
                if !std::mem::replace(&mut seen[j as usize], true) {
                    stack.push(j);
                }
            });
        }
    }
    n_components
}
