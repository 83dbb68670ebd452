//! Harmony: an embedding in which what tells batches apart, and nothing else, is taken out.

use brodmann_kernels::exp::exp_in_place;
use brodmann_kernels::matmul::{matmul, matmul_tn};
use brodmann_kernels::solve::solve_positive;
use brodmann_kernels::{Diagnosis, Interrupted, Monitor, OptionError, ParallelLoop, Seed, Slices};
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, Slice};
use rayon::prelude::*;

use crate::cluster::{KMeansError, KMeansOptions, kmeans};

/// Rows handled in one task; fixed.
const CHUNK: usize = 512;
/// Rows whose products with the shares are taken in one task; fixed.
const GROUP: usize = 64 * CHUNK;
/// Passes whose objectives are summed and compared with those one pass earlier.
const WINDOW: usize = 3;
/// Observations per cluster where no number is given, and the most clusters.
const PER_CLUSTER: usize = 30;
const MOST_CLUSTERS: usize = 100;

/// Why nothing was integrated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HarmonyError {
    /// An option out of its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// NaN or infinity.
    #[error("the embedding holds {value} in row {row}, column {column}; expected finite values")]
    NonFinite {
        /// Row.
        row: usize,
        /// Column.
        column: usize,
        /// Value found.
        value: f64,
    },
    /// Nothing to correct for.
    #[error("no covariate was given; expected at least one, with a level per observation")]
    NoCovariates,
    /// Another number of observations.
    #[error("covariate {covariate} has {found} levels; expected one for each of {expected} observations")]
    LengthMismatch {
        /// Covariate, from 0.
        covariate: usize,
        /// Levels found.
        found: usize,
        /// Observations.
        expected: usize,
    },
    /// Of the start.
    #[error(transparent)]
    KMeans(#[from] KMeansError),
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Diagnosis for HarmonyError {
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
            Self::NonFinite { .. } => "compute the embedding again".to_owned(),
            Self::NoCovariates => "name the column of the batch".to_owned(),
            Self::LengthMismatch { .. } => "give covariates of the same observations".to_owned(),
            _ => return self.origin()?.advice(),
        })
    }
}

/// How an embedding is integrated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HarmonyOptions {
    /// Soft clusters; `None`: one per 30 observations, at most 100.
    pub n_clusters: Option<usize>,
    /// How much clusters of one batch are discouraged; 0: not at all.
    pub theta: f64,
    /// Ridge of the regression on batches.
    pub lambda: f64,
    /// How soft clusters are.
    pub sigma: f64,
    /// Share of the observations that are assigned anew at a time.
    pub block_size: f64,
    /// Rounds of clustering and correction, at most.
    pub max_iterations: usize,
    /// Passes over the observations in a round, at most.
    pub max_passes: usize,
    /// A round of clustering ends when its objective changes by less than this share.
    pub tolerance_passes: f64,
    /// All ends when the objective of a round is not lower than the last by this share.
    pub tolerance: f64,
}

impl Default for HarmonyOptions {
    fn default() -> Self {
        Self {
            n_clusters: None,
            theta: 2.0,
            lambda: 1.0,
            sigma: 0.1,
            block_size: 0.05,
            max_iterations: 10,
            max_passes: 20,
            tolerance_passes: 1e-5,
            tolerance: 1e-4,
        }
    }
}

impl HarmonyOptions {
    fn validate(&self, n_obs: usize) -> Result<(), OptionError> {
        let refuse = |name, found: String, expected| Err(OptionError::new(name, found, expected));
        if self.n_clusters.is_some_and(|k| k == 0 || k > n_obs) {
            let found = self.n_clusters.unwrap_or(0);
            return Err(OptionError::new("n_clusters", found, format!("1 to {n_obs}, the observations")));
        }
        for (name, value) in [("theta", self.theta), ("tolerance", self.tolerance)] {
            if !(value.is_finite() && value >= 0.0) {
                return refuse(name, value.to_string(), "a number of 0 or more");
            }
        }
        for (name, value) in [("lambda", self.lambda), ("sigma", self.sigma)] {
            if !(value.is_finite() && value > 0.0) {
                return refuse(name, value.to_string(), "a number above 0");
            }
        }
        if !(self.block_size > 0.0 && self.block_size <= 1.0) {
            return refuse("block_size", self.block_size.to_string(), "a share above 0 and at most 1");
        }
        if self.max_iterations == 0 || self.max_passes == 0 {
            return refuse("max_iterations", "0".to_owned(), "at least 1");
        }
        Ok(())
    }

    fn clusters(&self, n_obs: usize) -> usize {
        let by_size = (n_obs as f64 / PER_CLUSTER as f64).round_ties_even() as usize;
        self.n_clusters.unwrap_or(by_size.clamp(1, MOST_CLUSTERS)).min(n_obs)
    }
}

/// An embedding without its batches.
#[derive(Clone, Debug)]
pub struct Harmony {
    /// `(n_obs, d)`: the embedding corrected.
    pub embedding: Array2<f64>,
    /// Objective at the start and after each round of clustering.
    pub objective: Vec<f64>,
    /// Whether the rounds came to an end by themselves.
    pub converged: bool,
}

/// Takes out of an embedding what tells the levels of covariates (batches, slices, donors) apart.
///
/// ```text
/// z_i of unit length; centroids y_k by k-means; R_ik ∝ exp(−2 (1 − y_k·z_i) / σ)
/// repeat:                                      # rounds
///   repeat:                                    # passes
///     Y = Σ_i R_ik z_i, of unit length
///     for blocks of observations in random order, with O, E over all observations outside the block:
///       R_ik ∝ exp(−2 (1 − y_k·z_i) / σ) · Π_c ((E_kb + 1) / (O_kb + 1))^θ,  b the level of i in covariate c
///       # O_kb = Σ_{i in b} R_ik, E_kb = share of b · Σ_i R_ik: clusters of one level are discouraged
///   per cluster k: ridge regression of the original components on [1, levels], weighted by R_·k
///   z_i = original less Σ_k R_ik · (what the regression of k says of the levels of i)
/// ```
///
/// # Inputs
/// `embedding`: `(n_obs, d)`, finite. `covariates`: of each the level of every observation, any numbers.
/// # Returns
/// [`Harmony`].
/// # Errors
/// [`HarmonyError`].
/// # Cost
/// O(n_obs · n_clusters · d) per pass and per covariate of a correction; `8 n_obs (n_clusters + 4 d)` bytes.
/// # Source
/// Korsunsky et al. 2019 (Harmony), Nature Methods 16:1289.
///
/// # Example
///
/// ```
/// use brodmann::embedding::{HarmonyOptions, harmony};
/// use brodmann_kernels::{Seed, Silent};
/// use ndarray::Array2;
///
/// // Two kinds of cells, measured in two batches that lie apart along the second axis.
/// let cells = Array2::from_shape_fn((400, 2), |(i, axis)| {
///     let (kind, batch) = ([5.0, -5.0][i % 2], [1.0, -1.0][i / 200]);
///     [kind + (i % 7) as f64 * 0.1, batch + (i % 11) as f64 * 0.1][axis]
/// });
/// let batch: Vec<u32> = (0..400).map(|i| i / 200).collect();
/// let done = harmony(cells.view(), &[&batch], &HarmonyOptions::default(), Seed(0), &Silent)?;
/// let gap = |m: &Array2<f64>| (m[[0, 1]] - m[[308, 1]]).abs();
/// assert!(gap(&done.embedding) < 0.3 * gap(&cells));
/// # Ok::<(), brodmann::embedding::HarmonyError>(())
/// ```
pub fn harmony(
    embedding: ArrayView2<'_, f64>,
    covariates: &[&[u32]],
    options: &HarmonyOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Harmony, HarmonyError> {
    let n_obs = embedding.nrows();
    options.validate(n_obs.max(1))?;
    if let Some(((row, column), &value)) = embedding.indexed_iter().find(|(_, v)| !v.is_finite()) {
        return Err(HarmonyError::NonFinite { row, column, value });
    }
    let levels = Levels::new(n_obs, covariates)?;
    if n_obs == 0 || embedding.ncols() == 0 {
        return Ok(Harmony { embedding: embedding.to_owned(), objective: Vec::new(), converged: true });
    }
    monitor.stage("Harmony", options.max_iterations as u64);
    let n_clusters = options.clusters(n_obs);
    let start = KMeansOptions { n_clusters, n_init: 1, ..KMeansOptions::default() };
    let unit = of_unit_length(embedding.to_owned());
    let found = kmeans(unit.view(), &start, seed.derive("embedding/harmony/start", 0), monitor)?;
    let mut centroids = Array2::<f64>::zeros((n_clusters, embedding.ncols()));
    for (row, &label) in unit.rows().into_iter().zip(&found.labels) {
        centroids.row_mut(label as usize).scaled_add(1.0, &row);
    }
    // A cluster that k-means left empty stays at 0 and takes nothing but what others leave.
    let order = |pass: usize| {
        let pass = seed.derive("embedding/harmony/order", pass as u64);
        let mut order: Vec<u32> = (0..n_obs as u32).collect();
        order.par_sort_unstable_by_key(|&i| (pass.word(u64::from(i)), i));
        order
    };
    Mixing::new(embedding, unit, levels, of_unit_length(centroids), options).run(order, monitor)
}

/// Rows divided by their length; those of length 0 stay.
fn of_unit_length(mut m: Array2<f64>) -> Array2<f64> {
    for mut row in m.rows_mut() {
        let length = row.iter().map(|v| v * v).sum::<f64>().sqrt();
        if length > 0.0 {
            row /= length;
        }
    }
    m
}

/// The levels of all covariates, numbered through.
struct Levels {
    /// Of each covariate, the number of each observation's level.
    of: Vec<Vec<u32>>,
    /// Share of the observations that have each level.
    shares: Vec<f64>,
    /// Levels of the first covariate: every observation has one of them.
    n_first: usize,
}

impl Levels {
    fn new(n_obs: usize, covariates: &[&[u32]]) -> Result<Self, HarmonyError> {
        let (mut of, mut shares, mut n_first) = (Vec::new(), Vec::new(), None);
        for (covariate, codes) in covariates.iter().enumerate() {
            if codes.len() != n_obs {
                return Err(HarmonyError::LengthMismatch { covariate, found: codes.len(), expected: n_obs });
            }
            let levels = Slices::from_codes(codes, &[]);
            let before = shares.len() as u32;
            of.push((0..n_obs).map(|i| before + levels.of(i) as u32).collect());
            shares.extend(levels.sizes().iter().map(|size| *size as f64 / n_obs as f64));
            n_first = n_first.or(Some(levels.count()));
        }
        Ok(Self { of, shares, n_first: n_first.ok_or(HarmonyError::NoCovariates)? })
    }

    fn count(&self) -> usize {
        self.shares.len()
    }

    /// Adds a row of shares to those of the levels of observation `i`.
    fn add(&self, i: usize, shares: ArrayView1<'_, f64>, to: &mut Array2<f64>) {
        for levels in &self.of {
            to.row_mut(levels[i] as usize).scaled_add(1.0, &shares);
        }
    }
}

/// The state of a run.
struct Mixing<'a> {
    original: ArrayView2<'a, f64>,
    /// Corrected, of unit length.
    unit: Array2<f64>,
    levels: Levels,
    /// `(clusters, d)`, of unit length.
    centroids: Array2<f64>,
    /// `(n_obs, clusters)`.
    shares: Array2<f64>,
    /// `(levels, clusters)`: `O`, the members of each level; `E` follows from it.
    observed: Array2<f64>,
    options: &'a HarmonyOptions,
}

impl<'a> Mixing<'a> {
    fn new(
        original: ArrayView2<'a, f64>,
        unit: Array2<f64>,
        levels: Levels,
        centroids: Array2<f64>,
        options: &'a HarmonyOptions,
    ) -> Self {
        let shares = Array2::zeros((unit.nrows(), centroids.nrows()));
        let observed = Array2::zeros((levels.count(), centroids.nrows()));
        Self { original, unit, levels, centroids, shares, observed, options }
    }

    /// `order`: of the observations in each pass.
    fn run(
        mut self,
        order: impl Fn(usize) -> Vec<u32>,
        monitor: &dyn Monitor,
    ) -> Result<Harmony, HarmonyError> {
        let all: Vec<u32> = (0..self.unit.nrows() as u32).collect();
        let nothing = Array2::zeros(self.observed.dim());
        let first = blocks(&all, self.options.block_size).into_iter().map(|b| self.assign(b, &nothing)).sum();
        let mut passes = vec![self.objective(first)];
        let mut objective = vec![passes[0]];
        let mut embedding = self.original.to_owned();
        let mut converged = false;
        for _ in 0..self.options.max_iterations {
            for pass in 0..self.options.max_passes {
                monitor.check()?;
                let order = order(passes.len() - 1);
                let value = self.pass(&order);
                passes.push(value);
                if pass > WINDOW && self.has_settled(&passes) {
                    break;
                }
            }
            let now = *passes.last().expect("a pass was made");
            let before = *objective.last().expect("the start has one");
            objective.push(now);
            embedding = self.corrected();
            self.unit = of_unit_length(embedding.clone());
            monitor.advance(1);
            if (before - now) / before.abs() < self.options.tolerance {
                converged = true;
                break;
            }
        }
        Ok(Harmony { embedding, objective, converged })
    }

    /// Whether the objective over a window of passes differs little from that over the window one pass earlier.
    fn has_settled(&self, passes: &[f64]) -> bool {
        let n = passes.len();
        if n <= WINDOW {
            return false;
        }
        let (now, before) =
            (passes[n - WINDOW..].iter().sum::<f64>(), passes[n - WINDOW - 1..n - 1].iter().sum::<f64>());
        (before - now).abs() < self.options.tolerance_passes * before.abs()
    }

    /// New centroids, then every block anew.
    fn pass(&mut self, order: &[u32]) -> f64 {
        self.centroids = of_unit_length(matmul_tn(self.shares.view(), self.unit.view()));
        let mut sum = 0.0;
        for block in blocks(order, self.options.block_size) {
            self.forget(block);
            let factors = self.discouragement();
            sum += self.assign(block, &factors);
        }
        self.objective(sum)
    }

    /// `θ ln((O + 1) / (E + 1))`, `(levels, clusters)`; `E` is the share of the level times the size of the cluster.
    fn discouragement(&self) -> Array2<f64> {
        let sizes = self.observed.slice_axis(Axis(0), Slice::from(..self.levels.n_first)).sum_axis(Axis(0));
        let mut factors = self.observed.clone();
        for (mut row, share) in factors.rows_mut().into_iter().zip(&self.levels.shares) {
            row.zip_mut_with(&sizes, |o, size| {
                *o = self.options.theta * libm::log((*o + 1.0) / (share * size + 1.0));
            });
        }
        factors
    }

    fn objective(&self, of_rows: f64) -> f64 {
        of_rows + self.options.sigma * (self.discouragement() * &self.observed).sum()
    }

    /// Takes some rows, as they are, out of `O`.
    fn forget(&mut self, rows: &[u32]) {
        let parts: Vec<Array2<f64>> = rows
            .par_chunks(CHUNK)
            .map(|rows| {
                let mut part = Array2::zeros(self.observed.dim());
                for &i in rows {
                    self.levels.add(i as usize, self.shares.row(i as usize), &mut part);
                }
                part
            })
            .collect_vec();
        for part in parts {
            self.observed -= &part;
        }
    }

    /// Assigns some rows anew and puts them into `O`; returns their `Σ R d + σ Σ R ln R`.
    fn assign(&mut self, rows: &[u32], factors: &Array2<f64>) -> f64 {
        let sigma = self.options.sigma;
        let found: Vec<(Array2<f64>, Array2<f64>, f64)> = rows
            .par_chunks(CHUNK)
            .map(|rows| {
                let rows: Vec<usize> = rows.iter().map(|&i| i as usize).collect();
                let mut shares = matmul(self.unit.select(Axis(0), &rows).view(), self.centroids.t());
                let mut observed = Array2::zeros(self.observed.dim());
                let mut objective = 0.0;
                for (mut row, &i) in shares.rows_mut().into_iter().zip(&rows) {
                    // From the cosine to the distance over σ.
                    row.mapv_inplace(|cosine| 2.0 * (1.0 - cosine) / sigma);
                    let mut logits: Vec<f64> = row.iter().map(|d| -d).collect();
                    for levels in &self.levels.of {
                        let own = factors.row(levels[i] as usize);
                        logits.iter_mut().zip(own).for_each(|(l, f)| *l -= f);
                    }
                    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let mut weights: Vec<f64> = logits.iter().map(|l| l - highest).collect();
                    exp_in_place(&mut weights);
                    let total: f64 = weights.iter().sum();
                    let log_total = highest + libm::log(total);
                    for ((share, weight), logit) in row.iter_mut().zip(&weights).zip(&logits) {
                        let r = weight / total;
                        // σ (R d/σ + R ln R).
                        objective += sigma * r * (*share + logit - log_total);
                        *share = r;
                    }
                    self.levels.add(i, row.view(), &mut observed);
                }
                (shares, observed, objective)
            })
            .collect();
        let mut objective = 0.0;
        for ((shares, observed, own), rows) in found.into_iter().zip(rows.chunks(CHUNK)) {
            for (row, &i) in shares.rows().into_iter().zip(rows) {
                self.shares.row_mut(i as usize).assign(&row);
            }
            self.observed += &observed;
            objective += own;
        }
        objective
    }

    /// The original less what the levels explain, cluster by cluster.
    fn corrected(&self) -> Array2<f64> {
        let explained = self.explained();
        let mut out = self.original.as_standard_layout().into_owned();
        out.axis_chunks_iter_mut(Axis(0), CHUNK).collect::<Vec<_>>().into_par_iter().enumerate().each(
            |(chunk, mut rows)| {
                for (offset, mut row) in rows.rows_mut().into_iter().enumerate() {
                    let i = chunk * CHUNK + offset;
                    let shares = self.shares.row(i);
                    for levels in &self.levels.of {
                        row -= &shares.dot(&explained[levels[i] as usize]);
                    }
                }
            },
        );
        out
    }

    /// Of each level, `(clusters, d)`: by how much it shifts the members of a cluster.
    fn explained(&self) -> Vec<Array2<f64>> {
        let (n_levels, n_clusters, d) = (self.levels.count(), self.centroids.nrows(), self.original.ncols());
        // Σ R z of each level and cluster, and Σ R of each pair of levels and cluster.
        let n_obs = self.unit.nrows();
        let starts: Vec<usize> = (0..n_obs).step_by(GROUP).collect();
        let parts: Vec<(Vec<Array2<f64>>, Array2<f64>)> = starts
            .into_par_iter()
            .map(|start| {
                let mut pairs = Array2::zeros((n_levels * n_levels, n_clusters));
                let mut members: Vec<Vec<usize>> = vec![Vec::new(); n_levels];
                for i in start..n_obs.min(start + GROUP) {
                    for first in &self.levels.of {
                        members[first[i] as usize].push(i);
                        for second in &self.levels.of {
                            let at = first[i] as usize * n_levels + second[i] as usize;
                            pairs.row_mut(at).scaled_add(1.0, &self.shares.row(i));
                        }
                    }
                }
                let of = |rows: &Vec<usize>| {
                    let (shares, z) =
                        (self.shares.select(Axis(0), rows), self.original.select(Axis(0), rows));
                    matmul_tn(shares.view(), z.view())
                };
                (members.iter().map(of).collect(), pairs)
            })
            .collect_vec();
        let mut sums = vec![Array2::<f64>::zeros((n_clusters, d)); n_levels];
        let mut pairs = Array2::<f64>::zeros((n_levels * n_levels, n_clusters));
        for (own, own_pairs) in parts {
            sums.iter_mut().zip(&own).for_each(|(sum, own)| *sum += own);
            pairs += &own_pairs;
        }
        let shifts: Vec<Array2<f64>> = (0..n_clusters)
            .into_par_iter()
            .map(|k| {
                // [1, levels]: the first row and column belong to the intercept.
                let size = n_levels + 1;
                let mut normal = Array2::<f64>::zeros((size, size));
                let mut right = Array2::<f64>::zeros((size, d));
                for a in 0..n_levels {
                    for b in 0..n_levels {
                        normal[[a + 1, b + 1]] = pairs[[a * n_levels + b, k]];
                    }
                    let own = pairs[[a * n_levels + a, k]];
                    (normal[[0, a + 1]], normal[[a + 1, 0]]) = (own, own);
                    normal[[a + 1, a + 1]] += self.options.lambda;
                    right.row_mut(a + 1).assign(&sums[a].row(k));
                    if a < self.levels.n_first {
                        normal[[0, 0]] += own;
                        right.row_mut(0).scaled_add(1.0, &sums[a].row(k));
                    }
                }
                // Without members all is 0, and nothing is explained.
                solve_positive(normal.view(), right.view()).unwrap_or_else(|| Array2::zeros((size, d)))
            })
            .collect_vec();
        (0..n_levels)
            .map(|level| Array2::from_shape_fn((n_clusters, d), |(k, j)| shifts[k][[level + 1, j]]))
            .collect()
    }
}

/// The blocks of an order: as equal as can be, the longer ones first.
fn blocks(order: &[u32], share: f64) -> Vec<&[u32]> {
    let n = (1.0 / share).ceil() as usize;
    let (size, longer) = (order.len() / n, order.len() % n);
    let mut rest = order;
    (0..n)
        .map(|b| {
            let (block, after) = rest.split_at(size + usize::from(b < longer));
            rest = after;
            block
        })
        .filter(|block| !block.is_empty())
        .collect()
}

#[cfg(test)]
mod tests;
