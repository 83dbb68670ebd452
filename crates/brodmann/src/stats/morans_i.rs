//! Moran's I.

use brodmann_kernels::{CsrMatrix, CsrView, Monitor, Seed};

use super::autocorrelation::{Statistic, autocorrelation};
use super::{Autocorrelation, AutocorrelationOptions, StatsError, Variables};

/// Moran's I: spatial autocorrelation of each variable.
///
/// `I = (n / Σw) · Σᵢⱼ wᵢⱼ zᵢ zⱼ / Σᵢ zᵢ²`, with `z` centred per variable; expected `−1/(n−1)`, near 1 when
/// neighbours are alike.
///
/// # Inputs
/// `variables`: `(n_obs, n_vars)`, usually log-normalised. `weights`: `(n_obs, n_obs)` CSR, zero
/// diagonal, not negative; directed rows are used as they are. `seed`: for permutations alone.
/// # Returns
/// [`Autocorrelation`]; constant variables, and those with a NaN, give NaN.
/// # Errors
/// [`StatsError::ShapeMismatch`], `EmptyGraph` when `Σw = 0`, `BadWeight`.
/// # Cost
/// O(nnz · n_vars) time (times the permutations), O(16 n_obs) memory per thread.
/// # Source
/// Moran 1950, Biometrika 37:17; moments of Cliff & Ord 1981.
pub fn morans_i(
    variables: Variables<'_>,
    weights: CsrView<'_, f64>,
    options: &AutocorrelationOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Autocorrelation, StatsError> {
    autocorrelation(Statistic::Moran, variables, weights, options, seed, monitor)
}

/// Moran's I of each label's indicator (1 where a spot has the label), labels rising, and the labels.
///
/// The mean of `statistic` says how contiguous domains are.
///
/// # Inputs
/// `labels`: one per observation. The rest as [`morans_i()`].
/// # Returns
/// The distinct labels and their [`Autocorrelation`]; a label all observations share gives NaN.
/// # Errors
/// As [`morans_i()`].
/// # Cost
/// O(nnz · n_labels).
pub fn morans_i_of_labels(
    labels: &[u32],
    weights: CsrView<'_, f64>,
    options: &AutocorrelationOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<(Vec<u32>, Autocorrelation), StatsError> {
    let mut distinct = labels.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let rows: Vec<Vec<(u32, f32)>> =
        labels.iter().map(|l| vec![(distinct.partition_point(|d| d < l) as u32, 1.0)]).collect();
    let indicators = CsrMatrix::from_rows(distinct.len(), &rows);
    let result = morans_i(Variables::Sparse(indicators.view()), weights, options, seed, monitor)?;
    Ok((distinct, result))
}
