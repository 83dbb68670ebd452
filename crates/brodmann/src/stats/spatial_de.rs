//! How much of a gene's variance is a smooth function of place? A Gaussian process against noise.

use brodmann_kernels::eigen::symmetric_eigen;
use brodmann_kernels::matmul::matmul;
use brodmann_kernels::{Monitor, OptionError, ParallelLoop};
use ndarray::{Array2, ArrayView1, ArrayView2};
use rayon::prelude::*;

use super::{StatsError, benjamini_hochberg};

/// Most observations: their covariance is decomposed once per length scale, which takes minutes from here on.
pub const MAX_OBS: usize = 3000;
/// Smallest eigenvalue of a covariance: what is below is rounding.
const LEAST_EIGENVALUE: f64 = 1e-8;
/// Range of the logarithm of the ratio of noise to structure.
const LOG_DELTA: (f64, f64) = (-10.0, 20.0);
/// Places that the likelihood is looked at before the best is refined.
const PLACES: usize = 61;
/// Golden sections of two intervals of the places: down to 1e-10.
const SECTIONS: usize = 48;

/// Options of [`spatial_de()`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpatialDeOptions {
    /// Length scales that are tried, in the unit of the coordinates; empty: ten, in equal ratios from half the smallest
    /// distance between two places to twice the largest.
    pub length_scales: Vec<f64>,
}

/// The best smooth model of each gene against the constant one. Genes that do not vary, or hold a NaN, are NaN throughout.
#[derive(Clone, Debug, PartialEq)]
pub struct SpatialDe {
    /// Length scales tried.
    pub length_scales: Vec<f64>,
    /// `(n_vars, n_scales)`: log-likelihood at each length scale, at its best ratio of noise to structure.
    pub log_likelihood: Array2<f64>,
    /// `(n_vars, n_scales)`: that ratio, `δ`.
    pub delta: Array2<f64>,
    /// Length scale of the largest likelihood.
    pub length_scale: Vec<f64>,
    /// Share of the variance that is spatial, there.
    pub fraction_spatial: Vec<f64>,
    /// Log-likelihood without any spatial variance.
    pub null_log_likelihood: Vec<f64>,
    /// Log-likelihood ratio.
    pub log_likelihood_ratio: Vec<f64>,
    /// Upper tail of χ² with one degree of freedom at the ratio, as SpatialDE has it (at the ratio, not at twice it).
    pub p_value: Vec<f64>,
    /// `p_value`, Benjamini–Hochberg adjusted.
    pub p_adjusted: Vec<f64>,
}

/// SpatialDE: a likelihood ratio for spatial variance.
///
/// `y ~ N(μ1, σ² (K + δI))`, `K_ij = exp(−d_ij² / 2l²)`; `μ` and `σ²` at their best, `δ` by search over
/// `ln δ ∈ [−10, 20]`, `l` the best of a grid. Against `y ~ N(μ1, s²I)`. With `P` centring and
/// `G = tr(PKP) / (n − 1)`, the spatial share is `G / (G + δ)`.
///
/// # Inputs
/// `values`: `(n_obs, n_vars)`, variance-stabilised, without what library size explains. `coordinates`: `(n_obs, d)`.
/// # Returns
/// [`SpatialDe`].
/// # Errors
/// `TooManyObs` above [`MAX_OBS`] (Moran's I ranks genes at any size), `Coordinates` when all places are one, fewer than
/// three, or not finite; `Length`, `Option`, `Interrupted`.
/// # Cost
/// Per length scale O(n_obs³) for the eigenvalues, O(n_obs² · n_vars) to rotate the values; `40 n_obs²` bytes, and a copy of
/// the values.
/// # Source
/// Svensson, Teichmann & Stegle 2018, Nat Methods 15:343.
/// # Differences
/// The best `δ` is found by golden section between the neighbours of the best of 61 places; the tool's gradient search
/// ends up to 0.2 below in log-likelihood.
///
/// # Example
///
/// ```
/// use brodmann::stats::{SpatialDeOptions, spatial_de};
/// use brodmann_kernels::Silent;
/// use ndarray::Array2;
///
/// // A gradient, and the same values in no order.
/// let place = Array2::from_shape_fn((25, 2), |(i, axis)| (if axis == 0 { i / 5 } else { i % 5 }) as f64);
/// let values = Array2::from_shape_fn((25, 2), |(i, j)| (if j == 0 { i / 5 } else { i * 7 % 25 / 5 }) as f64);
/// let found = spatial_de(values.view(), place.view(), &SpatialDeOptions::default(), &Silent)?;
/// assert!(found.p_value[0] < 1e-4 && found.p_value[1] > 0.05);
/// # Ok::<(), brodmann::stats::StatsError>(())
/// ```
pub fn spatial_de(
    values: ArrayView2<'_, f64>,
    coordinates: ArrayView2<'_, f64>,
    options: &SpatialDeOptions,
    monitor: &dyn Monitor,
) -> Result<SpatialDe, StatsError> {
    let (n, n_vars) = values.dim();
    if let Some(l) = options.length_scales.iter().find(|l| !(l.is_finite() && **l > 0.0)) {
        return Err(OptionError::new("length_scales", l, "finite numbers above 0").into());
    }
    if coordinates.nrows() != n {
        return Err(StatsError::Length { found: coordinates.nrows(), expected: n });
    }
    if n > MAX_OBS {
        return Err(StatsError::TooManyObs { found: n, limit: MAX_OBS });
    }
    let squared = squared_distances(coordinates);
    let apart = || squared.iter().copied().filter(|d| *d > 0.0);
    let (least, most) = apart().fold((f64::INFINITY, 0.0f64), |(a, b), d| (a.min(d), b.max(d)));
    if n < 3 || !(most > 0.0 && squared.iter().all(|d| d.is_finite())) {
        return Err(StatsError::Coordinates { n_obs: n });
    }
    let length_scales = if options.length_scales.is_empty() {
        let (from, to) = ((least.sqrt() / 2.0).log10(), (2.0 * most.sqrt()).log10());
        (0..10).map(|k| 10f64.powf(from + (to - from) * f64::from(k) / 9.0)).collect()
    } else {
        options.length_scales.clone()
    };

    let size = n as f64;
    let mut log_likelihood = Array2::from_elem((n_vars, length_scales.len()), f64::NAN);
    let mut delta = log_likelihood.clone();
    let mut spatial_variance = Vec::with_capacity(length_scales.len());
    // A gene that is not finite would make all of its products so.
    let fit: Vec<bool> = values.columns().into_iter().map(varies).collect();
    let finite = values.mapv(|v| if v.is_finite() { v } else { 0.0 });
    monitor.stage("spatial variance", length_scales.len() as u64);
    for (at, &l) in length_scales.iter().enumerate() {
        monitor.check()?;
        let k = squared.mapv(|d| (-d / (2.0 * l * l)).exp());
        // tr(PKP) = tr K − 1ᵀK1 / n.
        spatial_variance.push((size - k.sum() / size) / (size - 1.0));
        let (spectrum, vectors) =
            symmetric_eigen(k.view(), n).map_err(|_| StatsError::Coordinates { n_obs: n })?;
        drop(k);
        let spectrum: Vec<f64> = spectrum.into_iter().map(|s| s.max(LEAST_EIGENVALUE)).collect();
        let ones: Vec<f64> = vectors.columns().into_iter().map(|v| v.sum()).collect();
        // One row per gene.
        let rotated = matmul(finite.t(), vectors.view());
        let best: Vec<(f64, f64)> = (0..n_vars)
            .into_par_iter()
            .map(|j| {
                if !fit[j] {
                    return (f64::NAN, f64::NAN);
                }
                let model = Model { spectrum: &spectrum, ones: &ones, gene: rotated.row(j) };
                model.best()
            })
            .collect_vec();
        for (j, (value, log_delta)) in best.into_iter().enumerate() {
            log_likelihood[[j, at]] = value;
            delta[[j, at]] = log_delta.exp();
        }
        monitor.advance(1);
    }

    let mut found = SpatialDe {
        log_likelihood,
        delta,
        length_scale: vec![f64::NAN; n_vars],
        fraction_spatial: vec![f64::NAN; n_vars],
        null_log_likelihood: vec![f64::NAN; n_vars],
        log_likelihood_ratio: vec![f64::NAN; n_vars],
        p_value: vec![f64::NAN; n_vars],
        p_adjusted: Vec::new(),
        length_scales,
    };
    for j in (0..n_vars).filter(|&j| fit[j]) {
        let mut best = 0;
        for at in 1..found.length_scales.len() {
            if found.log_likelihood[[j, at]] > found.log_likelihood[[j, best]] {
                best = at;
            }
        }
        let variance = values.column(j).var(1.0);
        let null = -0.5 * (size * variance.ln() + (size - 1.0) + size * (2.0 * std::f64::consts::PI).ln());
        let ratio = found.log_likelihood[[j, best]] - null;
        let noise = found.delta[[j, best]];
        found.length_scale[j] = found.length_scales[best];
        found.fraction_spatial[j] = spatial_variance[best] / (spatial_variance[best] + noise);
        found.null_log_likelihood[j] = null;
        found.log_likelihood_ratio[j] = ratio;
        // χ² with one degree of freedom is the square of a normal variable.
        found.p_value[j] = libm::erfc((ratio.max(0.0) / 2.0).sqrt());
    }
    found.p_adjusted = benjamini_hochberg(&found.p_value);
    Ok(found)
}

fn varies(column: ArrayView1<'_, f64>) -> bool {
    column.iter().all(|v| v.is_finite()) && column.iter().any(|v| *v != column[0])
}

fn squared_distances(coordinates: ArrayView2<'_, f64>) -> Array2<f64> {
    let n = coordinates.nrows();
    let square = |(i, j): (usize, usize)| {
        let pairs = coordinates.row(i).into_iter().zip(coordinates.row(j));
        pairs.map(|(a, b)| (a - b) * (a - b)).sum::<f64>()
    };
    Array2::from_shape_fn((n, n), square)
}

/// A gene in the eigenvectors of a covariance.
struct Model<'a> {
    spectrum: &'a [f64],
    /// The constant function, rotated.
    ones: &'a [f64],
    gene: ArrayView1<'a, f64>,
}

impl Model<'_> {
    /// Log-likelihood at a `ln δ`, mean and scale at their best.
    fn at(&self, log_delta: f64) -> f64 {
        let delta = log_delta.exp();
        let n = self.spectrum.len() as f64;
        let (mut oo, mut oy, mut logs) = (0.0, 0.0, 0.0);
        for ((&s, &o), &y) in self.spectrum.iter().zip(self.ones).zip(&self.gene) {
            let d = s + delta;
            oo += o * o / d;
            oy += o * y / d;
            logs += d.ln();
        }
        let mean = oy / oo;
        let squares: f64 = (self.spectrum.iter().zip(self.ones).zip(&self.gene))
            .map(|((&s, &o), &y)| (y - mean * o).powi(2) / (s + delta))
            .sum();
        -0.5 * (n * (2.0 * std::f64::consts::PI).ln() + logs + n + n * (squares / n).ln())
    }

    /// The largest log-likelihood, and its `ln δ`.
    fn best(&self) -> (f64, f64) {
        let step = (LOG_DELTA.1 - LOG_DELTA.0) / (PLACES - 1) as f64;
        let place = |k: usize| LOG_DELTA.0 + step * k as f64;
        let mut best = (f64::NEG_INFINITY, 0);
        for k in 0..PLACES {
            let value = self.at(place(k));
            if value > best.0 {
                best = (value, k);
            }
        }
        let (coarse, k) = best;
        let (mut a, mut b) = (place(k.saturating_sub(1)), place((k + 1).min(PLACES - 1)));
        let golden = 0.5 * (5f64.sqrt() - 1.0);
        let (mut c, mut d) = (b - golden * (b - a), a + golden * (b - a));
        let (mut at_c, mut at_d) = (self.at(c), self.at(d));
        for _ in 0..SECTIONS {
            if at_c > at_d {
                (b, d, at_d) = (d, c, at_c);
                c = b - golden * (b - a);
                at_c = self.at(c);
            } else {
                (a, c, at_c) = (c, d, at_d);
                d = a + golden * (b - a);
                at_d = self.at(d);
            }
        }
        let middle = f64::midpoint(a, b);
        let fine = self.at(middle);
        if fine > coarse { (fine, middle) } else { (coarse, place(k)) }
    }
}

#[cfg(test)]
mod tests {
    use brodmann_kernels::Silent;
    use ndarray::{Array1, array};

    use super::*;

    fn plain(values: &Array2<f64>, place: &Array2<f64>) -> Result<SpatialDe, StatsError> {
        spatial_de(values.view(), place.view(), &SpatialDeOptions::default(), &Silent)
    }

    #[test]
    fn likelihoods_equal_the_exact_ones_and_are_not_below_the_tools() {
        let mut npz = crate::oracles::open("gene_selection");
        let mut matrix = |name: &str| -> Array2<f64> { npz.by_name(name).expect(name) };
        let (values, place) = (matrix("sde_resid"), matrix("sde_xy"));
        let (exact, tool, share) = (matrix("sde_ll_exact"), matrix("sde_ll"), matrix("sde_fsv_exact_grid"));
        let found = plain(&values, &place).expect("valid");
        let mut vector = |name: &str| -> Array1<f64> { npz.by_name(name).expect(name) };
        for (l, expected) in found.length_scales.iter().zip(vector("sde_lengthscales")) {
            assert!((l / expected - 1.0).abs() < 1e-12, "{l} {expected}");
        }
        for ((found, exact), tool) in found.log_likelihood.iter().zip(&exact).zip(&tool) {
            // The eigenvalues below the clip differ between solvers.
            assert!((found - exact).abs() < 1e-6, "{found} {exact}");
            assert!(*found > tool - 1e-6 && *found < tool + 0.25, "{found} {tool}");
        }
        let (ratio, fsv, p, null) = (
            vector("sde_LLR_exact"),
            vector("sde_FSV_exact"),
            vector("sde_pval_exact"),
            vector("sde_null_ll"),
        );
        let best = vector("sde_best_l_exact");
        for j in 0..values.ncols() {
            assert!((found.length_scale[j] / best[j] - 1.0).abs() < 1e-12);
            assert!((found.log_likelihood_ratio[j] - ratio[j]).abs() < 1e-6);
            assert!((found.null_log_likelihood[j] - null[j]).abs() < 1e-9);
            // A likelihood is flat at its top: its place is known to the root of the precision.
            assert!((found.fraction_spatial[j] - fsv[j]).abs() < 1e-4, "{}", found.fraction_spatial[j]);
            assert!((found.p_value[j] - p[j]).abs() < 1e-6);
        }
        assert!(share.iter().all(|s| (0.0..=1.0).contains(s)));
    }

    #[test]
    fn what_cannot_be_fitted_is_nan_and_what_cannot_be_measured_is_refused() {
        let place = Array2::from_shape_fn((9, 2), |(i, axis)| (if axis == 0 { i / 3 } else { i % 3 }) as f64);
        let values = Array2::from_shape_fn((9, 3), |(i, j)| match j {
            0 => 1.0,
            1 if i == 4 => f64::NAN,
            _ => (i / 3) as f64 + 0.1 * (i % 2) as f64,
        });
        let found = plain(&values, &place).expect("valid");
        assert!(found.p_value[..2].iter().all(|p| p.is_nan()) && found.length_scale[0].is_nan());
        let alone = plain(&values.select(ndarray::Axis(1), &[2]), &place).expect("valid");
        assert_eq!(found.p_value[2].to_bits(), alone.p_value[0].to_bits());
        // Two spots in one place are no trouble.
        let mut twice = place.clone();
        twice.row_mut(1).assign(&place.row(0));
        assert!(plain(&values, &twice).expect("valid").p_value[2].is_finite());

        let one = Array2::<f64>::zeros((9, 2));
        assert!(matches!(plain(&values, &one), Err(StatsError::Coordinates { .. })));
        let two = array![[0.0, 0.0], [1.0, 0.0]];
        assert!(matches!(plain(&array![[1.0], [2.0]], &two), Err(StatsError::Coordinates { n_obs: 2 })));
        let many = Array2::zeros((MAX_OBS + 1, 1));
        assert!(matches!(plain(&many, &many), Err(StatsError::TooManyObs { .. })));
        assert!(matches!(plain(&values, &two), Err(StatsError::Length { found: 2, expected: 9 })));
        let options = SpatialDeOptions { length_scales: vec![0.0] };
        let refused = spatial_de(values.view(), place.view(), &options, &Silent);
        assert!(matches!(refused, Err(StatsError::Option(_))));
    }

    #[test]
    fn one_thread_gives_the_bits_of_several() {
        let place =
            Array2::from_shape_fn((60, 2), |(i, axis)| (if axis == 0 { i / 8 } else { i % 8 }) as f64);
        let values = Array2::from_shape_fn((60, 7), |(i, j)| ((i * (j + 3)) % 13) as f64);
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
            pool.install(|| plain(&values, &place).expect("valid"))
        };
        assert_eq!(on(1), on(4));
    }
}
