//! Gaussian mixtures: clusters of an embedding that have a shape.
//!
//! What k-means is for round clusters of one size, a mixture is for stretched ones; STAIG and mclust take their
//! domains from one. In: an embedding. Out: labels, the share of every component in every spot, and a likelihood by
//! which models and numbers of components can be compared.
//!
//! * [`gmm()`]: the mixture, from several starts.
//! * [`CovarianceModel`]: how the covariances of the components are tied.
//! * [`Gaussians`]: a mixture, or groups already known, apart from their data: what new rows are told by.
//! * [`hierarchy()`]: the start: model-based agglomerative hierarchical clustering.
//! * `em`: expectation and maximisation. `cholesky`: factors of covariances. `start`: where a start comes from.

mod cholesky;
mod em;
mod gaussians;
mod hierarchy;
mod model;
pub(in crate::cluster) mod start;

use brodmann_kernels::{Diagnosis, Interrupted, Monitor, Opt, OptionError, ParallelLoop, Seed};
use ndarray::{Array2, Array3, ArrayView2, Axis};
use rayon::prelude::*;

pub use self::gaussians::{Assigned, Gaussians};
pub use self::hierarchy::{Hierarchy, hierarchy};
pub use self::model::CovarianceModel;

use self::em::{Data, Fit, column_means, likeliest};
use self::start::Source;
use crate::cluster::kmeans::KMeansError;

/// Values beyond this have no finite squared norm.
const LARGEST: f64 = 1e150;
/// The hierarchy keeps a cost for every pair of a subset.
const LARGEST_SUBSET: usize = 20_000;

/// Why there is no mixture.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GmmError {
    /// Not fewer components than observations, or none.
    #[error("{} is {n_components} for {n_obs} observations; expected 1 to {}", Opt("n_clusters"), n_obs.saturating_sub(1))]
    ComponentCount {
        /// Components asked for.
        n_components: usize,
        /// Observations.
        n_obs: usize,
    },
    /// An embedding without columns.
    #[error("the data have no columns; expected at least 1")]
    NoColumns,
    /// An option out of its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The data hold NaN, infinity or a value too large to square.
    #[error(
        "the data hold NaN, infinity or a huge value in row {row}, column {column}; expected finite values"
    )]
    NonFinite {
        /// Row.
        row: usize,
        /// Column.
        column: usize,
    },
    /// The k-means start failed.
    #[error(transparent)]
    KMeans(KMeansError),
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Diagnosis for GmmError {
    fn origin(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Option(e) => Some(e),
            Self::KMeans(e) => Some(e),
            Self::Interrupted(e) => Some(e),
            _ => None,
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::ComponentCount { .. } => "ask for fewer".to_owned(),
            Self::NoColumns => "compute the embedding again".to_owned(),
            Self::NonFinite { .. } => "recompute the embedding or drop that row".to_owned(),
            _ => return self.origin()?.advice(),
        })
    }
}

impl From<KMeansError> for GmmError {
    fn from(error: KMeansError) -> Self {
        match error {
            KMeansError::Interrupted(stop) => Self::Interrupted(stop),
            other => Self::KMeans(other),
        }
    }
}

/// Where a start comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GmmInit {
    /// Hierarchies and k-means by turns, a hierarchy first. Each finds clusters that the other misses.
    #[default]
    Mixed,
    /// [`hierarchy()`] of a subset: mclust's way.
    Hierarchy,
    /// k-means of all observations.
    KMeans,
}

/// How to fit a mixture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GmmOptions {
    /// Components wanted.
    pub n_components: usize,
    /// How the covariances are tied.
    pub model: CovarianceModel,
    /// Starts, of which the one with the highest likelihood is kept.
    pub n_init: usize,
    /// Where a start comes from.
    pub init: GmmInit,
    /// Observations in a hierarchy. Up to this many, the first start is from all of them, as mclust's.
    pub subset: usize,
    /// Most iterations of one start.
    pub max_iterations: usize,
    /// Stop when the log-likelihood changes by less than this times `1 + |loglik|`: mclust's rule.
    pub tolerance: f64,
    /// Added to every variance, as a share of the mean variance of the columns. 0 is plain maximum likelihood.
    pub regularization: f64,
}

impl Default for GmmOptions {
    fn default() -> Self {
        Self {
            n_components: 8,
            model: CovarianceModel::Eee,
            n_init: 5,
            init: GmmInit::Mixed,
            subset: 2000,
            max_iterations: 1000,
            tolerance: 1e-5,
            regularization: 0.0,
        }
    }
}

impl GmmOptions {
    fn validate(&self, n_obs: usize) -> Result<(), GmmError> {
        let n_components = self.n_components;
        if n_components == 0 || n_components >= n_obs {
            return Err(GmmError::ComponentCount { n_components, n_obs });
        }
        let refuse =
            |name, found: String, expected: String| Err(OptionError::new(name, found, expected).into());
        if self.n_init == 0 {
            return refuse("n_init", "0".to_owned(), "at least 1".to_owned());
        }
        if self.max_iterations == 0 {
            return refuse("max_iterations", "0".to_owned(), "at least 1".to_owned());
        }
        let by_hierarchy = self.init != GmmInit::KMeans;
        if by_hierarchy && (self.subset <= n_components || self.subset > LARGEST_SUBSET) {
            let expected = format!("more than the components and at most {LARGEST_SUBSET}");
            return refuse("subset", self.subset.to_string(), expected);
        }
        if !(self.tolerance.is_finite() && self.tolerance >= 0.0) {
            return refuse("tolerance", self.tolerance.to_string(), "a number of at least 0".to_owned());
        }
        if !(self.regularization >= 0.0 && self.regularization <= 1.0) {
            return refuse(
                "regularization",
                self.regularization.to_string(),
                "a share from 0 to 1".to_owned(),
            );
        }
        Ok(())
    }
}

/// Refuses data that hold a value without a finite square, by its place.
pub(in crate::cluster) fn require_finite(x: ArrayView2<'_, f64>) -> Result<(), GmmError> {
    let bad = |v: &f64| v.is_nan() || v.abs() > LARGEST;
    match (0..x.nrows()).into_par_iter().position_first(|i| x.row(i).iter().any(bad)) {
        None => Ok(()),
        Some(row) => {
            let column = x.row(row).iter().position(bad).unwrap_or(0);
            Err(GmmError::NonFinite { row, column })
        }
    }
}

/// A fitted mixture. Components are numbered by the observations they hold, the largest first.
#[derive(Clone, Debug, PartialEq)]
pub struct GaussianMixture {
    /// The most likely component of each observation, ties to the lower number.
    pub labels: Vec<u32>,
    /// `(n_obs, n_components)`: shares of the components, each row summing to 1.
    pub responsibilities: Array2<f64>,
    /// Mixing weights.
    pub weights: Vec<f64>,
    /// `(n_components, d)`.
    pub means: Array2<f64>,
    /// `(n_components, d, d)`.
    pub covariances: Array3<f64>,
    /// Family of covariances.
    pub model: CovarianceModel,
    /// Log-likelihood.
    pub loglik: f64,
    /// `2 loglik − n_parameters ln n_obs`, mclust's sign: larger is better.
    pub bic: f64,
    /// Free parameters.
    pub n_parameters: usize,
    /// Iterations of the start kept.
    pub n_iterations: usize,
    /// The start kept stopped before `max_iterations`.
    pub converged: bool,
    /// Log-likelihood of every start, in order.
    pub start_logliks: Vec<f64>,
    /// The start kept.
    pub best_start: usize,
    /// A covariance was singular and was given a ridge: likelihood and BIC are then no measure of fit.
    pub singular: bool,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl GaussianMixture {
    /// Components that hold an observation.
    pub fn n_clusters(&self) -> usize {
        self.labels.iter().max().map_or(0, |m| *m as usize + 1)
    }
}

/// A mixture of Gaussians by expectation–maximisation, the most likely of several starts.
///
/// 1. Each start takes the clusters of a model-based [`hierarchy()`] (of all observations in the first start, up to
///    `subset` observations, else of a random subset of its own) or of k-means, by turns.
/// 2. Maximisation and expectation alternate until the log-likelihood settles.
/// 3. The start with the highest likelihood is kept. One in which a covariance became singular, or a component
///    lost its last observation, is kept only where all did: its likelihood is unbounded and means nothing.
///
/// # Inputs
/// `x`: `(n_obs, d)`, finite. `seed`: decides the subsets.
/// # Returns
/// [`GaussianMixture`]; labels are always valid, and `notes` tells of singular or empty components.
/// # Errors
/// [`GmmError`].
/// # Cost
/// O(n_init · iterations · n d² k) at the speed of matrix products for VVV, a k-th of that for EEE,
/// O(n d k) for the others; O(n (d + k n_init)) memory.
/// # Source
/// Dempster, Laird & Rubin 1977; Fraley & Raftery 2002, JASA 97:611; Celeux & Govaert 1995 (families).
///
/// # Differences
/// mclust runs one start, from one random subset of 2000 where there are more observations, and gives no result
/// where a covariance is singular. With `n_init = 1` and up to `subset` observations the results agree.
///
/// # Example
///
/// ```
/// use brodmann::cluster::{GmmOptions, gmm};
/// use brodmann_kernels::{Seed, Silent};
/// use ndarray::array;
///
/// let x = array![[0.0], [1.0], [2.0], [3.0], [20.0], [21.0], [22.0]];
/// let found = gmm(x.view(), &GmmOptions { n_components: 2, ..Default::default() }, Seed(0), &Silent)?;
/// assert_eq!(found.labels, [0, 0, 0, 0, 1, 1, 1]);
/// assert!((found.means[[0, 0]] - 1.5).abs() < 1e-6);
/// assert!((found.weights[1] - 3.0 / 7.0).abs() < 1e-6);
/// # Ok::<(), brodmann::cluster::GmmError>(())
/// ```
pub fn gmm(
    x: ArrayView2<'_, f64>,
    options: &GmmOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<GaussianMixture, GmmError> {
    Starts::new(x, options, seed, monitor)?.fit(options.n_components, monitor)
}

/// Data and starts, from which mixtures of any number of components up to that of the options can be fitted.
pub(in crate::cluster) struct Starts {
    data: Data,
    mean: ndarray::Array1<f64>,
    sources: Vec<Source>,
    options: GmmOptions,
}

impl Starts {
    pub(in crate::cluster) fn new(
        x: ArrayView2<'_, f64>,
        options: &GmmOptions,
        seed: Seed,
        monitor: &dyn Monitor,
    ) -> Result<Self, GmmError> {
        let (n_obs, d) = x.dim();
        options.validate(n_obs)?;
        if d == 0 {
            return Err(GmmError::NoColumns);
        }
        require_finite(x)?;
        // Centring moves nothing relative to anything, and keeps digits.
        let mean = column_means(x);
        let centred = (&x - &mean).as_standard_layout().into_owned();
        let data = Data::new(centred, options.regularization, options.model);
        let sources = (0..options.n_init)
            .into_par_iter()
            .map(|index| {
                monitor.check()?;
                Source::new(&data, options, seed, index, monitor)
            })
            .try_collect_vec::<_, Interrupted>()?;
        Ok(Self { data, mean, sources, options: *options })
    }

    /// The likeliest mixture of `k` components.
    pub(in crate::cluster) fn fit(
        &self,
        k: usize,
        monitor: &dyn Monitor,
    ) -> Result<GaussianMixture, GmmError> {
        let options = GmmOptions { n_components: k, ..self.options };
        monitor.stage("Gaussian mixture", options.n_init as u64);
        let fits: Vec<Fit> = self
            .sources
            .par_iter()
            .map(|source| {
                monitor.check()?;
                let start = source.parameters(&self.data, &options, k, monitor)?;
                let (tolerance, most) = (options.tolerance, options.max_iterations);
                let fit = self.data.fit(start, options.model, tolerance, most, monitor)?;
                monitor.advance(1);
                Ok(fit)
            })
            .try_collect_vec::<_, GmmError>()?;
        Ok(choose(fits, &options, &self.mean, monitor))
    }
}

/// The likeliest of the fits that mean something.
fn choose(
    fits: Vec<Fit>,
    options: &GmmOptions,
    mean: &ndarray::Array1<f64>,
    monitor: &dyn Monitor,
) -> GaussianMixture {
    let start_logliks: Vec<f64> = fits.iter().map(|fit| fit.loglik).collect();
    let n_sound = fits.iter().filter(|fit| fit.is_sound()).count();
    let mut best_start = 0;
    for (index, fit) in fits.iter().enumerate().skip(1) {
        let best = &fits[best_start];
        let likelier = fit.loglik > best.loglik || best.loglik.is_nan();
        if fit.is_sound() != best.is_sound() {
            if fit.is_sound() {
                best_start = index;
            }
        } else if likelier {
            best_start = index;
        }
    }
    let best = fits.into_iter().nth(best_start).expect("n_init was checked to be at least 1");
    let mut notes = Vec::new();
    if n_sound == 0 {
        notes.push(format!(
            "every start met a singular covariance or an empty component: {} components with {} covariances are \
             more than the data bear; ask for fewer, for a simpler model or for some regularization",
            options.n_components, options.model
        ));
    } else if n_sound < options.n_init {
        notes.push(format!(
            "{} of {} starts met a singular covariance or an empty component and were passed over",
            options.n_init - n_sound,
            options.n_init
        ));
    }
    if !best.converged {
        notes.push("the mixture stopped at max_iterations before it settled".to_owned());
    }
    let mixture = finish(best, options, mean, start_logliks, best_start, notes);
    for note in &mixture.notes {
        monitor.note(note);
    }
    mixture
}

/// Numbers components by size and returns to the caller's frame.
fn finish(
    fit: Fit,
    options: &GmmOptions,
    mean: &ndarray::Array1<f64>,
    start_logliks: Vec<f64>,
    best_start: usize,
    mut notes: Vec<String>,
) -> GaussianMixture {
    let Fit { parameters, responsibilities, loglik, n_iterations, converged, .. } = fit;
    let (n_obs, k) = responsibilities.dim();
    let d = mean.len();
    let flat = responsibilities.as_slice().expect("a fresh array is contiguous");
    let assigned: Vec<u32> = flat.chunks_exact(k).map(likeliest).collect();
    let (mut counts, mut first_member) = (vec![0usize; k], vec![usize::MAX; k]);
    for (i, &c) in assigned.iter().enumerate() {
        counts[c as usize] += 1;
        first_member[c as usize] = first_member[c as usize].min(i);
    }
    let mut order: Vec<usize> = (0..k).collect();
    order.sort_by_key(|&c| (std::cmp::Reverse(counts[c]), first_member[c], c));
    let mut number = vec![0u32; k];
    for (new, &c) in order.iter().enumerate() {
        number[c] = new as u32;
    }
    let n_empty = counts.iter().filter(|&&count| count == 0).count();
    if n_empty > 0 {
        notes.push(format!("{n_empty} of {k} components hold no observation"));
    }
    let n_parameters = options.model.n_parameters(k, d);
    GaussianMixture {
        labels: assigned.iter().map(|&c| number[c as usize]).collect(),
        responsibilities: responsibilities.select(Axis(1), &order),
        weights: order.iter().map(|&c| parameters.weights[c]).collect(),
        means: parameters.means.select(Axis(0), &order) + mean,
        covariances: parameters.covariances.to_dense(k, d).select(Axis(0), &order),
        model: options.model,
        loglik,
        bic: 2.0 * loglik - n_parameters as f64 * (n_obs as f64).ln(),
        n_parameters,
        n_iterations,
        converged,
        start_logliks,
        best_start,
        singular: parameters.ridged,
        notes,
    }
}

#[cfg(test)]
mod tests;
