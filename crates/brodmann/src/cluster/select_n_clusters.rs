//! How many clusters?

use brodmann_kernels::{Diagnosis, OptionError, ParallelLoop};
use brodmann_kernels::{Interrupted, Monitor, Seed};
use ndarray::{ArrayView2, Axis};
use rayon::prelude::*;

use super::gmm::start::{Quiet, sample};
use super::gmm::{GmmError, GmmOptions, Starts, require_finite};
use super::kmeans::{KMeansError, KMeansOptions, kmeans};
use crate::metrics::{MetricsError, SilhouetteOptions, adjusted_rand_index, silhouette};

/// Share of the observations at hand in each run of the stability.
const RUN_SHARE: f64 = 0.8;
/// Runs that agree this well, against the best agreement of any number, count as stable.
const AS_STABLE: f64 = 0.95;

/// Why no number of clusters was chosen.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SelectError {
    /// An empty or impossible range.
    #[error(
        "{min} to {max} clusters are to be tried on {n_obs} observations; expected a range from at least 2 to fewer than 4 in 5 of the observations"
    )]
    Range {
        /// Fewest clusters.
        min: usize,
        /// Most clusters.
        max: usize,
        /// Observations.
        n_obs: usize,
    },
    /// An option out of its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// A criterion that the algorithm has no value for.
    #[error("the criterion is BIC, which k-means does not have; expected silhouette or stability")]
    NoBic,
    /// A mixture failed.
    #[error(transparent)]
    Gmm(GmmError),
    /// k-means failed.
    #[error(transparent)]
    KMeans(KMeansError),
    /// A score failed.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Diagnosis for SelectError {
    fn origin(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Option(e) => Some(e),
            Self::Gmm(e) => Some(e),
            Self::KMeans(e) => Some(e),
            Self::Metrics(e) => Some(e),
            Self::Interrupted(e) => Some(e),
            _ => None,
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Range { .. } => "choose another range".to_owned(),
            Self::NoBic => "choose one of these, or a Gaussian mixture".to_owned(),
            _ => return self.origin()?.advice(),
        })
    }
}

impl From<GmmError> for SelectError {
    fn from(error: GmmError) -> Self {
        match error {
            GmmError::Interrupted(stop) => Self::Interrupted(stop),
            other => Self::Gmm(other),
        }
    }
}

impl From<KMeansError> for SelectError {
    fn from(error: KMeansError) -> Self {
        match error {
            KMeansError::Interrupted(stop) => Self::Interrupted(stop),
            other => Self::KMeans(other),
        }
    }
}

/// What makes one number better than another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelectionCriterion {
    /// The most clusters on which runs on random subsets agree as well (95 %) as on any number.
    #[default]
    Stability,
    /// The highest mean silhouette width: the STAIG paper's.
    Silhouette,
    /// The highest BIC (mclust's sign); for mixtures.
    Bic,
}

impl SelectionCriterion {
    /// Its name in options and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stability => "stability",
            Self::Silhouette => "silhouette",
            Self::Bic => "bic",
        }
    }
}

/// What clusters are made with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clusterer {
    /// [`gmm()`](super::gmm()); `n_components` is ignored.
    Gmm(GmmOptions),
    /// [`kmeans()`]; `n_clusters` is ignored.
    KMeans(KMeansOptions),
}

/// How to choose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SelectOptions {
    /// Fewest clusters.
    pub min_clusters: usize,
    /// Most clusters.
    pub max_clusters: usize,
    /// What decides.
    pub criterion: SelectionCriterion,
    /// What clusters are made with.
    pub clusterer: Clusterer,
    /// Runs compared for the stability.
    pub n_runs: usize,
    /// Observations in each such run, and in the silhouette, at most.
    pub sample_size: usize,
}

impl Default for SelectOptions {
    fn default() -> Self {
        Self {
            min_clusters: 2,
            max_clusters: 15,
            criterion: SelectionCriterion::default(),
            clusterer: Clusterer::Gmm(GmmOptions::default()),
            n_runs: 6,
            sample_size: 5000,
        }
    }
}

/// One number of clusters, tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Clusters asked for.
    pub n_clusters: usize,
    /// Clusters with a member.
    pub n_found: usize,
    /// Mean silhouette width; `None` where all observations fell into one cluster.
    pub silhouette: Option<f64>,
    /// Mean adjusted Rand index over pairs of runs.
    pub stability: f64,
    /// `2 loglik − p ln n` of a mixture without singular covariances.
    pub bic: Option<f64>,
}

/// The number chosen, and what it was chosen from.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// The number chosen.
    pub n_clusters: usize,
    /// By what.
    pub criterion: SelectionCriterion,
    /// All numbers tried, rising.
    pub table: Vec<Candidate>,
    /// Labels of all observations with the number chosen.
    pub labels: Vec<u32>,
    /// Observations whose silhouette was measured, against all others.
    pub silhouette_obs: usize,
    /// Observations in each run of the stability.
    pub run_obs: usize,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Clusters with every number of a range, scores the outcomes, and chooses.
///
/// * Silhouette: of all observations up to `sample_size`, else of a fixed random sample, each exact.
/// * Stability: `n_runs` random subsets of four fifths of the observations (of at most 5/4 `sample_size` of them)
///   are clustered on their own; the mean ARI of two runs on the observations they share.
/// * BIC: of the mixture of all observations.
///
/// Which to trust. On simulated mixtures of 3, 5 and 7 groups in 8 dimensions, equal and unequal, round and stretched
/// (36 sets of 900 points; well, moderately and poorly separated), the true number was found in this share of cases:
/// BIC 1.0, .83, .67; stability 1.0, .75, .58; silhouette .83, .33, .17, nearly always by too few clusters. Taking the
/// single most stable number, .17, .33, .25, is no rule at all: the coarsest partition is nearly always stable. BIC
/// is at home in such data; real embeddings are no mixtures of Gaussians, and there it asks for too many. So stability
/// is the default. For silhouette and BIC, the fewer clusters win where scores are equal.
///
/// # Inputs
/// `x`: `(n_obs, d)`, finite.
/// # Returns
/// [`Selection`].
/// # Errors
/// [`SelectError`].
/// # Cost
/// For every number one clustering of all observations, `n_runs` of a sample, and a silhouette:
/// O(sample · n d). Hierarchies are shared by all numbers.
/// # Source
/// Rousseeuw 1987; Ben-Hur, Elisseeff & Guyon 2002 (stability); Fraley & Raftery 2002 (BIC).
///
/// # Example
///
/// ```
/// use brodmann::cluster::{Clusterer, KMeansOptions, SelectOptions, SelectionCriterion, select_n_clusters};
/// use brodmann_kernels::{Seed, Silent};
/// use ndarray::Array2;
///
/// let x = Array2::from_shape_fn((60, 2), |(i, j)| 50.0 * (i % 3 * (j + 1)) as f64 + ((i * 7 + j * 3) % 11) as f64);
/// let options = SelectOptions {
///     max_clusters: 5,
///     criterion: SelectionCriterion::Silhouette,
///     clusterer: Clusterer::KMeans(KMeansOptions::default()),
///     ..Default::default()
/// };
/// assert_eq!(select_n_clusters(x.view(), &options, Seed(0), &Silent)?.n_clusters, 3);
/// # Ok::<(), brodmann::cluster::SelectError>(())
/// ```
pub fn select_n_clusters(
    x: ArrayView2<'_, f64>,
    options: &SelectOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Selection, SelectError> {
    let n_obs = x.nrows();
    options.validate(n_obs)?;
    // Here, where a row is one of the caller's and not of a subset.
    require_finite(x)?;
    let numbers: Vec<usize> = (options.min_clusters..=options.max_clusters).collect();
    let pool = sample(n_obs, pool_size(options.sample_size, n_obs), seed.derive("cluster/select/pool", 0));
    let run_obs = run_size(pool.len());
    monitor.stage("number of clusters", (options.n_runs + numbers.len()) as u64);
    let runs: Vec<Run> = (0..options.n_runs)
        .into_par_iter()
        .map(|run| {
            monitor.check()?;
            let seed = seed.derive("cluster/select/run", run as u64);
            let rows: Vec<usize> = sample(pool.len(), run_obs, seed).into_iter().map(|at| pool[at]).collect();
            let found = labels_of_run(x.select(Axis(0), &rows).view(), options, &numbers, seed, monitor)?;
            monitor.advance(1);
            Ok(Run { rows, labels: found })
        })
        .try_collect_vec::<_, SelectError>()?;
    let fitted = Fitted::new(x, options, seed, monitor)?;
    let silhouette_seed = seed.derive("cluster/select/silhouette", 0);
    let mut table = Vec::with_capacity(numbers.len());
    let mut all_labels = Vec::with_capacity(numbers.len());
    for (at, &n_clusters) in numbers.iter().enumerate() {
        monitor.check()?;
        let (labels, bic) = fitted.labels(n_clusters, monitor)?;
        let n_found = labels.iter().max().map_or(0, |m| *m as usize + 1);
        let silhouette = if n_found > 1 {
            let sampled = SilhouetteOptions { sample_size: Some(options.sample_size) };
            Some(silhouette(x, &labels, &sampled, silhouette_seed, monitor)?.mean)
        } else {
            None
        };
        table.push(Candidate { n_clusters, n_found, silhouette, stability: stability(&runs, at)?, bic });
        all_labels.push(labels);
        monitor.advance(1);
    }
    let mut notes = Vec::new();
    let chosen = choose(&table, options.criterion).unwrap_or_else(|| {
        notes.push("no number of clusters could be scored: the fewest were taken".to_owned());
        0
    });
    let n_clusters = table[chosen].n_clusters;
    let labels = all_labels.swap_remove(chosen);
    if chosen + 1 == table.len() && chosen > 0 {
        notes.push(format!("{n_clusters} clusters, the most allowed, were chosen: more may be better"));
    }
    let silhouette_obs = n_obs.min(options.sample_size);
    if silhouette_obs < n_obs {
        notes.push(format!("silhouettes were measured on {silhouette_obs} of {n_obs} observations"));
    }
    for note in &notes {
        monitor.note(note);
    }
    Ok(Selection { n_clusters, criterion: options.criterion, table, labels, silhouette_obs, run_obs, notes })
}

/// Place in the table of the number to take; `None` where nothing has a score.
fn choose(table: &[Candidate], criterion: SelectionCriterion) -> Option<usize> {
    let scores: Vec<f64> = table
        .iter()
        .map(|candidate| match criterion {
            SelectionCriterion::Silhouette => candidate.silhouette.unwrap_or(f64::NEG_INFINITY),
            SelectionCriterion::Stability => candidate.stability,
            SelectionCriterion::Bic => candidate.bic.unwrap_or(f64::NEG_INFINITY),
        })
        .collect();
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if highest == f64::NEG_INFINITY {
        return None;
    }
    if criterion == SelectionCriterion::Stability {
        return scores.iter().rposition(|s| *s >= AS_STABLE * highest);
    }
    scores.iter().position(|s| *s == highest)
}

/// Observations the runs draw from.
fn pool_size(sample_size: usize, n_obs: usize) -> usize {
    n_obs.min((sample_size as f64 / RUN_SHARE) as usize)
}

/// Observations of one run.
fn run_size(pool: usize) -> usize {
    (RUN_SHARE * pool as f64) as usize
}

impl SelectOptions {
    fn validate(&self, n_obs: usize) -> Result<(), SelectError> {
        let (min, max) = (self.min_clusters, self.max_clusters);
        if self.n_runs < 2 {
            let (name, found) = ("n_runs", self.n_runs);
            return Err(OptionError::new(name, found, "at least 2").into());
        }
        if self.sample_size < 10 {
            let (name, found) = ("sample_size", self.sample_size);
            return Err(OptionError::new(name, found, "at least 10").into());
        }
        if min < 2 || min > max || max >= run_size(pool_size(self.sample_size, n_obs)) {
            return Err(SelectError::Range { min, max, n_obs });
        }
        if self.criterion == SelectionCriterion::Bic && matches!(self.clusterer, Clusterer::KMeans(_)) {
            return Err(SelectError::NoBic);
        }
        Ok(())
    }
}

/// A subset, clustered with every number.
struct Run {
    /// Rising.
    rows: Vec<usize>,
    /// By number of clusters.
    labels: Vec<Vec<u32>>,
}

fn labels_of_run(
    x: ArrayView2<'_, f64>,
    options: &SelectOptions,
    numbers: &[usize],
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Vec<Vec<u32>>, SelectError> {
    // Runs differ by their data; two starts each keep one bad start from looking like instability.
    let clusterer = match options.clusterer {
        Clusterer::Gmm(gmm) => Clusterer::Gmm(GmmOptions { n_init: gmm.n_init.min(2), ..gmm }),
        Clusterer::KMeans(kmeans) => {
            Clusterer::KMeans(KMeansOptions { n_init: kmeans.n_init.min(4), ..kmeans })
        }
    };
    let fitted = Fitted::new(x, &SelectOptions { clusterer, ..*options }, seed, monitor)?;
    numbers.iter().map(|&k| Ok(fitted.labels(k, monitor)?.0)).collect()
}

/// Data ready to be clustered with any number of the range.
enum Fitted<'a> {
    Gmm(Box<Starts>),
    KMeans { x: ArrayView2<'a, f64>, options: KMeansOptions, seed: Seed },
}

impl<'a> Fitted<'a> {
    fn new(
        x: ArrayView2<'a, f64>,
        options: &SelectOptions,
        seed: Seed,
        monitor: &dyn Monitor,
    ) -> Result<Self, SelectError> {
        Ok(match options.clusterer {
            Clusterer::Gmm(gmm) => {
                let gmm = GmmOptions { n_components: options.max_clusters, ..gmm };
                Self::Gmm(Box::new(Starts::new(x, &gmm, seed, &Quiet(monitor))?))
            }
            Clusterer::KMeans(options) => Self::KMeans { x, options, seed },
        })
    }

    /// Labels and BIC.
    fn labels(&self, k: usize, monitor: &dyn Monitor) -> Result<(Vec<u32>, Option<f64>), SelectError> {
        match self {
            Self::Gmm(starts) => {
                let found = starts.fit(k, &Quiet(monitor))?;
                let bic = (!found.singular && found.bic.is_finite()).then_some(found.bic);
                Ok((found.labels, bic))
            }
            Self::KMeans { x, options, seed } => {
                let options = KMeansOptions { n_clusters: k, ..*options };
                Ok((kmeans(*x, &options, *seed, &Quiet(monitor))?.labels, None))
            }
        }
    }
}

/// Mean ARI of two runs on the observations they share.
fn stability(runs: &[Run], at: usize) -> Result<f64, MetricsError> {
    let pairs: Vec<(usize, usize)> =
        (0..runs.len()).flat_map(|a| (a + 1..runs.len()).map(move |b| (a, b))).collect();
    let scores: Vec<f64> = pairs
        .par_iter()
        .map(|&(a, b)| {
            let (mut first, mut second) = (Vec::new(), Vec::new());
            let mut others = runs[b].rows.iter().zip(&runs[b].labels[at]).peekable();
            for (row, &label) in runs[a].rows.iter().zip(&runs[a].labels[at]) {
                while others.next_if(|(other, _)| *other < row).is_some() {}
                if let Some((_, &other)) = others.next_if(|(other, _)| *other == row) {
                    first.push(label);
                    second.push(other);
                }
            }
            // Two subsets of four fifths share at least three fifths.
            adjusted_rand_index(&first, &second)
        })
        .try_collect_vec()?;
    Ok(scores.iter().sum::<f64>() / scores.len() as f64)
}

#[cfg(test)]
mod tests;
