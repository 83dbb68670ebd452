//! Geary's C.

use brodmann_kernels::{CsrView, Monitor, Seed};

use super::autocorrelation::{Statistic, autocorrelation};
use super::{Autocorrelation, AutocorrelationOptions, StatsError, Variables};

/// Geary's C: how much neighbours differ, of each variable; more local than Moran's I.
///
/// `C = ((n − 1) / (2 Σw)) · Σᵢⱼ wᵢⱼ (xᵢ − xⱼ)² / Σᵢ zᵢ²`, with `z` centred per variable; expected 1, below 1
/// when neighbours are alike.
///
/// # Inputs
/// As for [`super::morans_i()`].
/// # Returns
/// [`Autocorrelation`]; constant variables, and those with a NaN, give NaN. `z_score` is negative for
/// positive autocorrelation; `Tail::Positive` looks at that side.
/// # Errors
/// [`StatsError::ShapeMismatch`], `EmptyGraph` when `Σw = 0`, `BadWeight`.
/// # Cost
/// As for [`super::morans_i()`].
/// # Source
/// Geary 1954, Inc. Stat. 5:115; moments of Cliff & Ord 1981.
///
/// # Example
///
/// ```
/// use brodmann::stats::{AutocorrelationOptions, Variables, gearys_c};
/// use brodmann_kernels::{CsrMatrix, Seed, Silent};
/// use ndarray::array;
///
/// // Four spots in a row.
/// let path = array![[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]];
/// let path = CsrMatrix::from_dense(path.view());
/// let x = array![[1.0], [2.0], [3.0], [4.0]];
/// let options = AutocorrelationOptions { row_normalize: false, ..Default::default() };
/// let found = gearys_c(Variables::Dense(x.view()), path.view(), &options, Seed(0), &Silent)?;
/// // (n − 1) / 2Σw = 3 / 12, Σ w (xᵢ − xⱼ)² = 6, Σ z² = 5.
/// assert!((found.statistic[0] - 0.3).abs() < 1e-12);
/// # Ok::<(), brodmann::stats::StatsError>(())
/// ```
pub fn gearys_c(
    variables: Variables<'_>,
    weights: CsrView<'_, f64>,
    options: &AutocorrelationOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Autocorrelation, StatsError> {
    autocorrelation(Statistic::Geary, variables, weights, options, seed, monitor)
}
