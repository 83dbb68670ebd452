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
/// O(nnz · n_vars) time (times the permutations), O(16 n_obs) memory per thread.
/// # Source
/// Geary 1954, Inc. Stat. 5:115; moments of Cliff & Ord 1981.
pub fn gearys_c(
    variables: Variables<'_>,
    weights: CsrView<'_, f64>,
    options: &AutocorrelationOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Autocorrelation, StatsError> {
    autocorrelation(Statistic::Geary, variables, weights, options, seed, monitor)
}
