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
/// Dense: O(edges · n_vars) time (times the permutations), 128 bytes per observation and thread. Sparse: O(edges · stored
/// values per row) time; 24 bytes per edge and 40 per observation for the weights and their transpose, and at most 20 MiB
/// of sums (130 with permutations). Sparse variables whose mean exceeds 100 standard deviations are measured again as
/// dense ones.
/// # Source
/// Moran 1950, Biometrika 37:17; moments of Cliff & Ord 1981.
///
/// # Example
///
/// ```
/// use brodmann::stats::{AutocorrelationOptions, Variables, morans_i};
/// use brodmann_kernels::{CsrMatrix, Seed, Silent};
/// use ndarray::array;
///
/// // Four spots in a row.
/// let path = array![[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]];
/// let path = CsrMatrix::from_dense(path.view());
/// let x = array![[1.0], [2.0], [3.0], [4.0]];
/// let options = AutocorrelationOptions { row_normalize: false, ..Default::default() };
/// let found = morans_i(Variables::Dense(x.view()), path.view(), &options, Seed(0), &Silent)?;
/// // n / Σw = 4 / 6, Σ w z z = 2.5, Σ z² = 5.
/// assert!((found.statistic[0] - 1.0 / 3.0).abs() < 1e-12);
/// # Ok::<(), brodmann::stats::StatsError>(())
/// ```
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
/// O(edges), at any number of labels.
///
/// # Example
///
/// ```
/// use brodmann::stats::{AutocorrelationOptions, morans_i_of_labels};
/// use brodmann_kernels::{CsrMatrix, Seed, Silent};
/// use ndarray::array;
///
/// let path = array![[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]];
/// let path = CsrMatrix::from_dense(path.view());
/// let of = |labels: &[u32]| {
///     let options = AutocorrelationOptions::default();
///     morans_i_of_labels(labels, path.view(), &options, Seed(0), &Silent).map(|(_, found)| found.statistic[0])
/// };
/// assert!(of(&[0, 0, 1, 1])? > 0.0);
/// assert_eq!(of(&[0, 1, 0, 1])?, -1.0);
/// # Ok::<(), brodmann::stats::StatsError>(())
/// ```
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
    let columns = labels.iter().map(|l| distinct.partition_point(|d| d < l) as u32).collect();
    let n_obs = labels.len();
    let indicators =
        CsrMatrix::try_new(n_obs, distinct.len(), (0..=n_obs).collect(), columns, vec![1.0; n_obs])
            .expect("one entry per row, in the column of its label");
    let result = morans_i(Variables::Sparse(indicators.view()), weights, options, seed, monitor)?;
    Ok((distinct, result))
}
