//! What Moran's I and Geary's C share: weights, blocks of variables, the null distribution.

mod sparse;

use brodmann_kernels::{CsrMatrix, CsrView, Monitor, ParallelLoop, Seed};
use ndarray::ArrayView2;
use rand::RngExt;
use rayon::prelude::*;

use super::{StatsError, benjamini_hochberg};

/// Variables worked on together: one cache line pair per observation, so a gather serves sixteen of them.
const LANES: usize = 16;
/// Rows summed together, in every code path: the bits depend on the data alone.
const CHUNK_ROWS: usize = 2048;
/// Above this many observations one block of variables is held at a time, and its rows run in parallel.
const MANY_OBS: usize = 1 << 17;
/// The random streams of rearrangements.
const PERMUTATION: &str = "stats/autocorrelation/permutation";

type Lanes = [f64; LANES];

/// Variables to test, one per column.
#[derive(Clone, Copy, Debug)]
pub enum Variables<'a> {
    /// Dense `(n_obs, n_vars)`.
    Dense(ArrayView2<'a, f64>),
    /// Dense `(n_obs, n_vars)` in single precision.
    DenseF32(ArrayView2<'a, f32>),
    /// Sparse `(n_obs, n_vars)`; read row by row, the zeros never filled in.
    Sparse(CsrView<'a, f32>),
}

impl Variables<'_> {
    /// `(n_obs, n_vars)`.
    pub fn dim(&self) -> (usize, usize) {
        match self {
            Self::Dense(x) => x.dim(),
            Self::DenseF32(x) => x.dim(),
            Self::Sparse(x) => (x.n_rows(), x.n_cols()),
        }
    }
}

/// The null hypothesis behind the variance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NullModel {
    /// Values are draws from one normal distribution.
    #[default]
    Normality,
    /// The observed values are assigned to places at random; heeds the kurtosis of each variable.
    Randomization,
}

/// Which departures from the null count as evidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tail {
    /// The tail the statistic lies in, as squidpy's `two_tailed=False`: half the two-sided value.
    #[default]
    Nearer,
    /// Positive autocorrelation only: neighbours alike.
    Positive,
    /// Departures in either direction.
    TwoSided,
}

/// How to test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutocorrelationOptions {
    /// Divide each row of the weights by its sum first, as squidpy's `transformation=True`.
    pub row_normalize: bool,
    /// Null model of `variance` and `p_value`.
    pub null_model: NullModel,
    /// Tail of all p-values.
    pub tail: Tail,
    /// Random rearrangements for `p_permutation`; 0: none.
    pub n_permutations: usize,
}

impl Default for AutocorrelationOptions {
    fn default() -> Self {
        Self {
            row_normalize: true,
            null_model: NullModel::default(),
            tail: Tail::default(),
            n_permutations: 0,
        }
    }
}

/// A spatial autocorrelation statistic of each variable with its tests. Constant variables are NaN throughout.
#[derive(Clone, Debug, PartialEq)]
pub struct Autocorrelation {
    /// The statistic.
    pub statistic: Vec<f64>,
    /// Its expectation without autocorrelation.
    pub expected: f64,
    /// Its variance under the null model.
    pub variance: Vec<f64>,
    /// `(statistic − expected) / √variance`.
    pub z_score: Vec<f64>,
    /// Normal approximation.
    pub p_value: Vec<f64>,
    /// `p_value`, Benjamini–Hochberg adjusted over the variables.
    pub p_adjusted: Vec<f64>,
    /// `(more extreme + 1) / (n_permutations + 1)`, when asked for.
    pub p_permutation: Option<Vec<f64>>,
    /// `p_permutation`, Benjamini–Hochberg adjusted.
    pub p_permutation_adjusted: Option<Vec<f64>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Statistic {
    Moran,
    Geary,
}

/// Checked weights with the sums the null moments need.
struct Weights {
    matrix: CsrMatrix<f64>,
    /// What leaves each place and what arrives there, summed.
    degrees: Vec<f64>,
    s0: f64,
    s1: f64,
    s2: f64,
}

impl Weights {
    fn new(weights: CsrView<'_, f64>, n_obs: usize, row_normalize: bool) -> Result<Self, StatsError> {
        let (rows, columns) = (weights.n_rows(), weights.n_cols());
        if rows != n_obs || columns != n_obs {
            return Err(StatsError::ShapeMismatch { rows, columns, n_obs });
        }
        let mut matrix = weights.to_owned();
        for row in 0..n_obs {
            let values = matrix.row_mut(row).1;
            if let Some(w) = values.iter().find(|w| !(w.is_finite() && **w >= 0.0)) {
                return Err(StatsError::BadWeight { row, weight: w.to_string() });
            }
            let sum: f64 = values.iter().sum();
            if row_normalize && sum > 0.0 {
                for w in values {
                    *w /= sum;
                }
            }
        }
        let view = matrix.view();
        let transposed = view.transpose();
        let (mut s0, mut s1, mut s2) = (0.0, 0.0, 0.0);
        let mut degrees = Vec::with_capacity(n_obs);
        for i in 0..n_obs {
            let (out_columns, out) = view.row(i);
            let (in_columns, into) = transposed.view().row(i);
            let (out_sum, in_sum): (f64, f64) = (out.iter().sum(), into.iter().sum());
            s0 += out_sum;
            s2 += (out_sum + in_sum) * (out_sum + in_sum);
            degrees.push(out_sum + in_sum);
            // ½ Σ (wᵢⱼ + wⱼᵢ)² = Σ wᵢⱼ² + Σ wᵢⱼ wⱼᵢ; the second by merging a row with its column.
            s1 += out.iter().map(|w| w * w).sum::<f64>();
            let mut at = 0;
            for (&j, w) in out_columns.iter().zip(out) {
                while at < in_columns.len() && in_columns[at] < j {
                    at += 1;
                }
                if at < in_columns.len() && in_columns[at] == j {
                    s1 += w * into[at];
                }
            }
        }
        if s0 > 0.0 && s0.is_finite() {
            Ok(Self { matrix, degrees, s0, s1, s2 })
        } else {
            Err(StatsError::EmptyGraph { n_obs })
        }
    }

    /// What the spatial sum over `Σ z²` is multiplied with.
    fn scale(&self, statistic: Statistic, n: f64) -> f64 {
        match statistic {
            Statistic::Moran => n / self.s0,
            Statistic::Geary => (n - 1.0) / (2.0 * self.s0),
        }
    }

    /// Expectation and variance of the statistic for a variable of kurtosis `m₄/m₂²`.
    ///
    /// Cliff & Ord 1981, Spatial Processes, eqs. 1.35–1.46.
    fn null_moments(&self, statistic: Statistic, model: NullModel, n: f64, kurtosis: f64) -> (f64, f64) {
        let (s1, s2, s0_squared) = (self.s1, self.s2, self.s0 * self.s0);
        match (statistic, model) {
            (Statistic::Moran, NullModel::Normality) => {
                let expected = -1.0 / (n - 1.0);
                let second = (n * n * s1 - n * s2 + 3.0 * s0_squared) / ((n - 1.0) * (n + 1.0) * s0_squared);
                (expected, second - expected * expected)
            }
            (Statistic::Moran, NullModel::Randomization) => {
                let expected = -1.0 / (n - 1.0);
                let second = (n * ((n * n - 3.0 * n + 3.0) * s1 - n * s2 + 3.0 * s0_squared)
                    - kurtosis * ((n * n - n) * s1 - 2.0 * n * s2 + 6.0 * s0_squared))
                    / ((n - 1.0) * (n - 2.0) * (n - 3.0) * s0_squared);
                (expected, second - expected * expected)
            }
            (Statistic::Geary, NullModel::Normality) => {
                let variance =
                    ((2.0 * s1 + s2) * (n - 1.0) - 4.0 * s0_squared) / (2.0 * (n + 1.0) * s0_squared);
                (1.0, variance)
            }
            (Statistic::Geary, NullModel::Randomization) => {
                let variance = ((n - 1.0) * s1 * (n * n - 3.0 * n + 3.0 - (n - 1.0) * kurtosis)
                    - 0.25 * (n - 1.0) * s2 * (n * n + 3.0 * n - 6.0 - (n * n - n + 2.0) * kurtosis)
                    + s0_squared * (n * n - 3.0 - (n - 1.0) * (n - 1.0) * kurtosis))
                    / (n * (n - 2.0) * (n - 3.0) * s0_squared);
                (1.0, variance)
            }
        }
    }
}

/// What the data say of one variable.
#[derive(Clone, Copy)]
struct Measured {
    statistic: f64,
    kurtosis: f64,
    /// Rearrangements with a statistic at least, and at most, the observed one.
    at_least: u32,
    at_most: u32,
}

pub(super) fn autocorrelation(
    statistic: Statistic,
    variables: Variables<'_>,
    weights: CsrView<'_, f64>,
    options: &AutocorrelationOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Autocorrelation, StatsError> {
    let (n_obs, n_vars) = variables.dim();
    let weights = Weights::new(weights, n_obs, options.row_normalize)?;
    let n_permutations = options.n_permutations;
    let measured = if let Variables::Sparse(x) = variables {
        monitor.stage("autocorrelation", n_obs as u64);
        let (mut measured, blurred) = sparse::measure(statistic, x, &weights, n_permutations, seed, monitor)?;
        if blurred.contains(&true) {
            let columns = x.select_columns(&blurred).view().transpose();
            let again = Columns { variables: Variables::Sparse(x), transposed: Some(columns.view()) };
            let again = again.measure(statistic, &weights, n_permutations, seed, monitor)?;
            for (v, found) in (0..n_vars).filter(|&v| blurred[v]).zip(again) {
                measured[v] = found;
            }
        }
        measured
    } else {
        monitor.stage("autocorrelation", n_vars as u64);
        let columns = Columns { variables, transposed: None };
        columns.measure(statistic, &weights, n_permutations, seed, monitor)?
    };

    let n = n_obs as f64;
    let expected = weights.null_moments(statistic, NullModel::Normality, n, f64::NAN).0;
    let values: Vec<f64> = measured.iter().map(|one| one.statistic).collect();
    let variance: Vec<f64> = measured
        .iter()
        .map(|one| {
            let moments = weights.null_moments(statistic, options.null_model, n, one.kurtosis);
            if one.statistic.is_nan() { f64::NAN } else { moments.1 }
        })
        .collect();
    let z_score: Vec<f64> =
        values.iter().zip(&variance).map(|(value, var)| (value - expected) / var.sqrt()).collect();
    let p_value: Vec<f64> = z_score
        .iter()
        .map(|&z| normal_p_value(if statistic == Statistic::Geary { -z } else { z }, options.tail))
        .collect();
    let p_permutation = (n_permutations > 0).then(|| {
        let p_value = |one: &Measured| {
            if one.statistic.is_nan() {
                return f64::NAN;
            }
            let (low, high) = (one.at_most, one.at_least);
            let positive = if statistic == Statistic::Geary { low } else { high };
            let p = |count: u32| f64::from(count + 1) / (n_permutations as f64 + 1.0);
            match options.tail {
                Tail::Positive => p(positive),
                Tail::Nearer => p(low.min(high)),
                Tail::TwoSided => (2.0 * p(low.min(high))).min(1.0),
            }
        };
        measured.iter().map(p_value).collect::<Vec<f64>>()
    });
    Ok(Autocorrelation {
        p_adjusted: benjamini_hochberg(&p_value),
        p_permutation_adjusted: p_permutation.as_deref().map(benjamini_hochberg),
        statistic: values,
        expected,
        variance,
        z_score,
        p_value,
        p_permutation,
    })
}

impl Autocorrelation {
    /// One statistic of several slices, each measured about its own mean, so that a difference between slices is not taken
    /// for variation in space: the mean over slices by their spots, with the variance that it has.
    ///
    /// # Inputs
    /// `parts`: spots and statistics of each slice, of the same variables. A variable that is constant in a slice has no
    /// share of it.
    /// # Returns
    /// NaN for variables that are constant in every slice; `expected` is the mean over all slices. P-values are those of
    /// the nearer tail; none of permutations.
    #[must_use]
    pub fn pooled(parts: &[(usize, Self)]) -> Self {
        let n_vars = parts.iter().map(|(_, part)| part.statistic.len()).min().unwrap_or(0);
        let sum = |j: usize, of: &dyn Fn(f64, &Self) -> f64| -> f64 {
            let known = parts.iter().filter(|(_, part)| !part.statistic[j].is_nan());
            known.map(|(n, part)| of(*n as f64, part)).sum()
        };
        let (mut statistic, mut variance, mut z_score) = (Vec::new(), Vec::new(), Vec::new());
        for j in 0..n_vars {
            // Without any slice 0 / 0, which is the answer.
            let spots = sum(j, &|n, _| n);
            let mean = sum(j, &|n, part| n * part.statistic[j]) / spots;
            let spread = sum(j, &|n, part| n * n * part.variance[j]) / (spots * spots);
            let expected = sum(j, &|n, part| n * part.expected) / spots;
            statistic.push(mean);
            variance.push(spread);
            z_score.push((mean - expected) / spread.sqrt());
        }
        let p_value: Vec<f64> = z_score.iter().map(|z| normal_p_value(*z, Tail::Nearer)).collect();
        let spots: f64 = parts.iter().map(|(n, _)| *n as f64).sum();
        Self {
            expected: parts.iter().map(|(n, part)| *n as f64 * part.expected).sum::<f64>() / spots,
            p_adjusted: benjamini_hochberg(&p_value),
            statistic,
            variance,
            z_score,
            p_value,
            p_permutation: None,
            p_permutation_adjusted: None,
        }
    }
}

/// `z` positive for positive autocorrelation. The complementary error function keeps p-values down to 1e-300.
pub(super) fn normal_p_value(z: f64, tail: Tail) -> f64 {
    let upper = |z: f64| 0.5 * libm::erfc(z / std::f64::consts::SQRT_2);
    match tail {
        Tail::Positive => upper(z),
        Tail::Nearer => upper(z.abs()),
        Tail::TwoSided => 2.0 * upper(z.abs()),
    }
}

/// Variables that are filled in and centred, sixteen at a time.
struct Columns<'a> {
    variables: Variables<'a>,
    /// One row per variable, where the variables are sparse.
    transposed: Option<CsrView<'a, f32>>,
}

impl Columns<'_> {
    fn measure(
        &self,
        statistic: Statistic,
        weights: &Weights,
        n_permutations: usize,
        seed: Seed,
        monitor: &dyn Monitor,
    ) -> Result<Vec<Measured>, StatsError> {
        let n_obs = self.variables.dim().0;
        let n_vars = self.transposed.map_or(self.variables.dim().1, CsrView::n_rows);
        let run = |block: usize| -> Result<Vec<Measured>, StatsError> {
            monitor.check()?;
            let first = block * LANES;
            let width = LANES.min(n_vars - first);
            let result =
                measure(statistic, self.load(first, width), width, weights, n_permutations, seed, monitor)?;
            if self.transposed.is_none() {
                monitor.advance(width as u64);
            }
            Ok(result)
        };
        let n_blocks = n_vars.div_ceil(LANES);
        let blocks: Vec<Vec<Measured>> = if n_obs > MANY_OBS {
            (0..n_blocks).map(run).collect::<Result<_, _>>()?
        } else {
            (0..n_blocks).into_par_iter().map(run).try_collect_vec()?
        };
        Ok(blocks.concat())
    }

    /// Variables `first .. first + width`, one row of lanes per observation; unused lanes are 0.
    fn load(&self, first: usize, width: usize) -> Vec<Lanes> {
        let mut block = vec![[0.0; LANES]; self.variables.dim().0];
        match (self.variables, self.transposed) {
            (Variables::Dense(x), _) => fill(&mut block, first, width, |i, j| x[[i, j]]),
            (Variables::DenseF32(x), _) => fill(&mut block, first, width, |i, j| f64::from(x[[i, j]])),
            (Variables::Sparse(_), Some(columns)) => {
                for lane in 0..width {
                    let (rows, values) = columns.row(first + lane);
                    for (&i, &v) in rows.iter().zip(values) {
                        block[i as usize][lane] = f64::from(v);
                    }
                }
            }
            (Variables::Sparse(_), None) => {}
        }
        block
    }
}

/// Columns `first .. first + width` of `value(row, column)`, one lane each.
fn fill(block: &mut [Lanes], first: usize, width: usize, value: impl Fn(usize, usize) -> f64 + Sync) {
    block.par_iter_mut().with_min_len(CHUNK_ROWS).enumerate().each(|(i, to)| {
        for (lane, to) in to.iter_mut().enumerate().take(width) {
            *to = value(i, first + lane);
        }
    });
}

fn measure(
    statistic: Statistic,
    mut z: Vec<Lanes>,
    width: usize,
    weights: &Weights,
    n_permutations: usize,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Vec<Measured>, StatsError> {
    let n = z.len();
    let constant: Vec<bool> = (0..width).map(|lane| z.iter().all(|row| row[lane] == z[0][lane])).collect();
    let sums = chunked(n, |i| z[i]);
    let mean = sums.map(|s| s / n as f64);
    z.par_iter_mut().with_min_len(CHUNK_ROWS).each(|row| {
        for (v, m) in row.iter_mut().zip(mean) {
            *v -= m;
        }
    });
    let second = chunked(n, |i| z[i].map(|v| v * v));
    let fourth = chunked(n, |i| z[i].map(|v| v * v * v * v));
    let w = weights.matrix.view();
    let observed = spatial_sum(statistic, w, &z);

    let (mut at_least, mut at_most) = ([0u32; LANES], [0u32; LANES]);
    if n_permutations > 0 {
        let draws: Vec<Lanes> = (0..n_permutations)
            .into_par_iter()
            .map(|p| {
                monitor.check()?;
                // Every block of variables sees the same rearrangements.
                let mut rng = seed.stream(PERMUTATION, p as u64);
                let mut shuffled = z.clone();
                for i in (1..n).rev() {
                    shuffled.swap(i, rng.random_range(0..=i));
                }
                Ok(spatial_sum(statistic, w, &shuffled))
            })
            .try_collect_vec::<_, StatsError>()?;
        for draw in &draws {
            for lane in 0..width {
                // A rearrangement that only renames equal places must count as equal despite round-off.
                let slack = 1e-12 * (observed[lane].abs() + second[lane]);
                at_least[lane] += u32::from(draw[lane] >= observed[lane] - slack);
                at_most[lane] += u32::from(draw[lane] <= observed[lane] + slack);
            }
        }
    }

    let scale = weights.scale(statistic, n as f64);
    let of_lane = |lane: usize| {
        let (value, kurtosis) = if constant[lane] {
            (f64::NAN, f64::NAN)
        } else {
            let second = second[lane];
            (scale * observed[lane] / second, n as f64 * fourth[lane] / (second * second))
        };
        Measured { statistic: value, kurtosis, at_least: at_least[lane], at_most: at_most[lane] }
    };
    Ok((0..width).map(of_lane).collect())
}

/// `Σᵢⱼ wᵢⱼ zᵢ zⱼ` (Moran) or `Σᵢⱼ wᵢⱼ (zᵢ − zⱼ)²` (Geary) of each lane.
fn spatial_sum(statistic: Statistic, w: CsrView<'_, f64>, z: &[Lanes]) -> Lanes {
    chunked(z.len(), |i| {
        let (columns, values) = w.row(i);
        let own = &z[i];
        let mut sum = [0.0; LANES];
        match statistic {
            Statistic::Moran => {
                for (&j, &weight) in columns.iter().zip(values) {
                    let other = &z[j as usize];
                    for lane in 0..LANES {
                        sum[lane] += weight * other[lane];
                    }
                }
                for lane in 0..LANES {
                    sum[lane] *= own[lane];
                }
            }
            Statistic::Geary => {
                for (&j, &weight) in columns.iter().zip(values) {
                    let other = &z[j as usize];
                    for lane in 0..LANES {
                        let difference = own[lane] - other[lane];
                        sum[lane] += weight * difference * difference;
                    }
                }
            }
        }
        sum
    })
}

/// `Σ f(i)` lane by lane over fixed chunks, the chunks added in order.
fn chunked(n: usize, f: impl Fn(usize) -> Lanes + Sync) -> Lanes {
    let parts: Vec<Lanes> = (0..n.div_ceil(CHUNK_ROWS))
        .into_par_iter()
        .map(|c| {
            let mut sum = [0.0; LANES];
            for i in c * CHUNK_ROWS..n.min((c + 1) * CHUNK_ROWS) {
                for (s, v) in sum.iter_mut().zip(f(i)) {
                    *s += v;
                }
            }
            sum
        })
        .collect_vec();
    let mut total = [0.0; LANES];
    for part in &parts {
        for (t, p) in total.iter_mut().zip(part) {
            *t += p;
        }
    }
    total
}
