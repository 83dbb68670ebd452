//! Make spots comparable: the same total in every spot.

use brodmann_kernels::CsrMatrix;

use super::column_stats::row_totals;
use super::error::PreprocessError;

/// Options of [`normalize_total()`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormalizeTotalOptions {
    /// Total of each spot afterwards; `None`: the median total of the spots that have any counts.
    pub target_sum: Option<f64>,
}

impl Default for NormalizeTotalOptions {
    fn default() -> Self {
        Self { target_sum: Some(1e4) }
    }
}

/// What each spot was multiplied by.
#[derive(Clone, Debug, PartialEq)]
pub struct SizeFactors {
    /// Total of every non-empty spot afterwards.
    pub target_sum: f64,
    /// Total of each spot before.
    pub totals: Vec<f64>,
    /// `target_sum / total`; 1 for spots without counts.
    pub factors: Vec<f64>,
}

impl SizeFactors {
    /// Spots whose total is zero.
    pub fn n_empty(&self) -> usize {
        self.totals.iter().filter(|t| **t == 0.0).count()
    }
}

/// Factors from totals, without touching a matrix.
///
/// # Errors
/// `InvalidOption` when `target_sum` is not a positive finite number.
pub fn size_factors(
    totals: Vec<f64>,
    options: &NormalizeTotalOptions,
) -> Result<SizeFactors, PreprocessError> {
    let target_sum = match options.target_sum {
        Some(t) if t.is_finite() && t > 0.0 => t,
        Some(t) => {
            return Err(PreprocessError::InvalidOption {
                option: "target_sum",
                found: t.to_string(),
                expected: "a positive number",
            });
        }
        None => median_of_positive(&totals).unwrap_or(1.0),
    };
    let factors = totals.iter().map(|&t| if t > 0.0 { target_sum / t } else { 1.0 }).collect();
    Ok(SizeFactors { target_sum, totals, factors })
}

fn median_of_positive(totals: &[f64]) -> Option<f64> {
    let mut positive: Vec<f64> = totals.iter().copied().filter(|t| *t > 0.0).collect();
    if positive.is_empty() {
        return None;
    }
    positive.sort_by(f64::total_cmp);
    let middle = positive.len() / 2;
    Some(if positive.len() % 2 == 1 {
        positive[middle]
    } else {
        f64::midpoint(positive[middle - 1], positive[middle])
    })
}

/// Scales every spot to the same total, in place.
///
/// `x_ij ← x_ij · target / Σ_j x_ij`; spots without counts stay zero.
///
/// # Inputs
/// `x`: `(n_obs, n_vars)` counts of 0 or more.
/// # Returns
/// The factors used. Sums are taken in f64, values stored in f32 (relative rounding 6e-8).
/// # Errors
/// `InvalidOption` when `target_sum` is not a positive finite number.
/// # Cost
/// Two passes over the stored entries.
/// # Source
/// scanpy's `pp.normalize_total`.
pub fn normalize_total(
    x: &mut CsrMatrix<f32>,
    options: &NormalizeTotalOptions,
) -> Result<SizeFactors, PreprocessError> {
    let factors = size_factors(row_totals(x.view(), None), options)?;
    x.for_each_row_mut(|i, _, values| {
        for v in values {
            *v = (f64::from(*v) * factors.factors[i]) as f32;
        }
    });
    Ok(factors)
}
