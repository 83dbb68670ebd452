//! Make spots comparable: the same total in every spot.

use brodmann_kernels::{CsrMatrix, CsrView, OptionError, Real};
use serde::{Deserialize, Serialize};

use super::column_stats::row_totals;
use super::detect::detect_content;
use super::error::PreprocessError;

/// Options of [`normalize_total()`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
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

    /// What each spot was divided by: `total / target_sum`, 1 for spots without counts.
    pub fn divisors(&self) -> Vec<f64> {
        self.factors.iter().map(|f| 1.0 / f).collect()
    }

    /// The factors that bring these totals to another, which is not checked.
    ///
    /// The one place that decides about empty spots: they keep their zeros whatever the factor, and 1 spares the
    /// division by zero.
    pub(crate) fn to_total(totals: Vec<f64>, target_sum: f64) -> Self {
        let factors = totals.iter().map(|&t| if t > 0.0 { target_sum / t } else { 1.0 }).collect();
        Self { target_sum, totals, factors }
    }

    /// Multiplies every spot by its factor.
    ///
    /// # Panics
    /// When there are fewer factors than rows.
    pub(crate) fn apply<T: Real>(&self, x: &mut CsrMatrix<T>) {
        x.for_each_row_mut(|i, _, values| {
            for v in values {
                *v = T::from_f64((*v).into() * self.factors[i]);
            }
        });
    }
}

/// Factors from totals, without touching a matrix.
///
/// # Errors
/// `Option` when `target_sum` is not a positive finite number.
pub fn size_factors(
    totals: Vec<f64>,
    options: &NormalizeTotalOptions,
) -> Result<SizeFactors, PreprocessError> {
    let target_sum = match options.target_sum {
        Some(target_sum) => {
            check_target_sum(target_sum)?;
            target_sum
        }
        None => median_of_positive(&totals).unwrap_or(1.0),
    };
    Ok(SizeFactors::to_total(totals, target_sum))
}

/// Refuses a total that no spot can be brought to.
pub(crate) fn check_target_sum(target_sum: f64) -> Result<(), PreprocessError> {
    if target_sum.is_finite() && target_sum > 0.0 {
        return Ok(());
    }
    Err(OptionError::new("target_sum", target_sum, "a positive number").into())
}

/// A value times the factor of its spot, in f64, as it is stored.
#[inline]
pub(crate) fn scaled(value: f32, factor: f64) -> f32 {
    (f64::from(value) * factor) as f32
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
/// The factors used. Sums and products are taken in f64; stored as f32, values are rounded by 6e-8 of themselves.
/// # Errors
/// `Option` when `target_sum` is not a positive finite number.
/// # Cost
/// Two passes over the stored entries.
/// # Source
/// scanpy's `pp.normalize_total`.
///
/// # Example
///
/// ```
/// use brodmann::preprocess::{NormalizeTotalOptions, normalize_total};
/// use brodmann_kernels::CsrMatrix;
/// use ndarray::array;
///
/// let mut x = CsrMatrix::from_dense(array![[1.0f32, 3.0], [0.0, 5.0]].view());
/// normalize_total(&mut x, &NormalizeTotalOptions { target_sum: Some(8.0) })?;
/// assert_eq!(x.view().to_dense(), array![[2.0, 6.0], [0.0, 8.0]]);
/// # Ok::<(), brodmann::preprocess::PreprocessError>(())
/// ```
pub fn normalize_total<T: Real>(
    x: &mut CsrMatrix<T>,
    options: &NormalizeTotalOptions,
) -> Result<SizeFactors, PreprocessError> {
    let factors = size_factors(row_totals(x.view(), None), options)?;
    factors.apply(x);
    Ok(factors)
}

/// As [`normalize_total()`], with genes that make up much of some spot left out of the totals.
///
/// They are scaled with the others: it is the total of the others that becomes `target_sum`.
///
/// # Inputs
/// `max_fraction`: above 0, at most 1; see [`highly_expressed`].
/// # Errors
/// `InvalidOption` for a share or a `target_sum` out of range.
/// # Cost
/// Four passes over the stored entries.
/// # Source
/// scanpy's `pp.normalize_total(exclude_highly_expressed=True)`.
pub fn normalize_total_excluding<T: Real>(
    x: &mut CsrMatrix<T>,
    max_fraction: f64,
    options: &NormalizeTotalOptions,
) -> Result<SizeFactors, PreprocessError> {
    let keep: Vec<bool> = highly_expressed(x.view(), max_fraction)?.iter().map(|high| !high).collect();
    let factors = size_factors(row_totals(x.view(), Some(&keep)), options)?;
    factors.apply(x);
    Ok(factors)
}

/// Which genes make up more than `max_fraction` of the total of some spot.
///
/// # Errors
/// `InvalidOption` unless `max_fraction` is above 0 and at most 1.
/// # Cost
/// Two passes over the stored entries.
pub fn highly_expressed<T: Real>(x: CsrView<'_, T>, max_fraction: f64) -> Result<Vec<bool>, PreprocessError> {
    if !(max_fraction > 0.0 && max_fraction <= 1.0) {
        return Err(OptionError::new("max_fraction", max_fraction, "a share above 0 and at most 1").into());
    }
    let mut high = vec![false; x.n_cols()];
    for (i, total) in row_totals(x, None).into_iter().enumerate() {
        let (columns, values) = x.row(i);
        for (&j, &v) in columns.iter().zip(values) {
            high[j as usize] |= v.into() > total * max_fraction;
        }
    }
    Ok(high)
}

/// Refuses NaN, infinities and values below zero, in either precision.
///
/// # Errors
/// `NonFinite` or `Negative`, each naming the first such entry.
/// # Cost
/// Two passes over the stored entries.
pub fn check_amounts<T: Real>(x: CsrView<'_, T>) -> Result<(), PreprocessError> {
    let values = x.data();
    let bad =
        values.iter().position(|v| !v.is_finite()).or_else(|| values.iter().position(|v| *v < T::default()));
    let Some(at) = bad else { return Ok(()) };
    let row = x.indptr().partition_point(|start| *start <= at) - 1;
    let (column, value) = (x.indices()[at] as usize, values[at].into() as f32);
    if !values[at].is_finite() {
        return Err(PreprocessError::NonFinite { row, column, value });
    }
    let looks_like = detect_content(x.map(|v| v.into() as f32).view()).evidence;
    Err(PreprocessError::Negative { row, column, value, looks_like })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Totals 100, 10, 0, 20. Gene 0 makes up 0.9, 0.5 and 0.1 of the spots that have counts.
    fn small() -> CsrMatrix<f64> {
        let rows = [
            vec![(0, 90.0), (1, 10.0)],
            vec![(0, 5.0), (2, 5.0)],
            vec![],
            vec![(0, 2.0), (1, 8.0), (2, 10.0)],
        ];
        CsrMatrix::from_rows(3, &rows)
    }

    #[test]
    fn what_fills_a_spot_does_not_count_in_its_total() {
        let options = NormalizeTotalOptions { target_sum: Some(20.0) };
        assert_eq!(highly_expressed(small().view(), 0.5).expect("share"), [true, false, false]);
        let mut x = small();
        let found = normalize_total_excluding(&mut x, 0.5, &options).expect("normalised");
        assert_eq!(found.totals, [10.0, 5.0, 0.0, 18.0]);
        assert_eq!(x.view().row(0).1, [180.0, 20.0]);
        assert_eq!(x.view().row(1).1, [20.0, 20.0]);
        assert_eq!(found.divisors()[..3], [0.5, 0.25, 1.0]);
    }

    #[test]
    fn a_share_of_1_excludes_nothing() {
        let options = NormalizeTotalOptions { target_sum: None };
        let (mut x, mut plain) = (small(), small());
        let found = normalize_total_excluding(&mut x, 1.0, &options).expect("normalised");
        assert_eq!(found, normalize_total(&mut plain, &options).expect("normalised"));
        assert_eq!(x, plain);
        assert_eq!(found.target_sum, 20.0, "the median of 10, 20 and 100");
    }

    #[test]
    fn single_precision_is_double_precision_rounded() {
        let options = NormalizeTotalOptions { target_sum: Some(1e4) };
        let (mut wide, mut narrow) = (small(), small().view().map(|v| v as f32));
        let factors = normalize_total_excluding(&mut wide, 0.7, &options).expect("normalised");
        assert_eq!(factors, normalize_total_excluding(&mut narrow, 0.7, &options).expect("normalised"));
        assert_eq!(wide.view().map(|v| v as f32), narrow);
    }

    #[test]
    fn shares_out_of_range_are_refused() {
        for share in [0.0, -0.1, 1.01, f64::NAN] {
            assert!(highly_expressed(small().view(), share).is_err(), "{share}");
        }
    }

    #[test]
    fn amounts_below_0_and_not_finite_are_refused_where_they_stand() {
        assert_eq!(check_amounts(small().view()), Ok(()));
        for (bad, name) in
            [(-1.0, "Negative"), (-1e-300, "Negative"), (f64::NAN, "NonFinite"), (f64::INFINITY, "NonFinite")]
        {
            let mut x = small();
            x.data_mut()[5] = bad;
            let error = format!("{:?}", check_amounts(x.view()).expect_err("refused"));
            assert!(error.starts_with(name) && error.contains("row: 3, column: 1"), "{error}");
        }
        assert_eq!(check_amounts(CsrMatrix::from_rows(1, &[vec![(0, 1e300)]]).view()), Ok(()));
    }
}
