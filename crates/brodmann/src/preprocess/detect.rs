//! What does a matrix hold: raw counts, normalised values, their logarithms, or scaled values?
//!
//! Every step downstream depends on the answer, and files seldom state it. The whole matrix is read once.

use brodmann_kernels::CsrView;
use rayon::prelude::*;

use super::error::PreprocessError;

/// Rows per parallel task.
const CHUNK: usize = 2048;
/// Rows whose totals are compared; their spread tells normalised data from other fractions.
const MAX_ROWS_COMPARED: usize = 20_000;
/// Largest relative spread of row totals that still counts as "the same total".
const SAME_TOTAL: f64 = 1e-3;

/// What a matrix seems to hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MatrixContent {
    /// Whole numbers of 0 or more.
    RawCounts,
    /// Fractions of 0 or more; `target` is the common row total, if there is one.
    Normalised {
        /// Common total of the rows.
        target: Option<f64>,
    },
    /// Fractions of 0 or more whose `exp(x) − 1` add up to the same total in every row, or that are small
    /// enough (at most 15) to be logarithms.
    LogNormalised {
        /// Common total of `exp(x) − 1` over a row.
        target: Option<f64>,
    },
    /// Values below zero: centred, scaled or otherwise transformed.
    Scaled,
    /// NaN or an infinity, at the first such entry.
    NonFinite {
        /// Row.
        row: usize,
        /// Column.
        column: usize,
    },
}

/// A verdict and what it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Detected {
    /// The verdict.
    pub content: MatrixContent,
    /// Smallest value, implicit zeros included.
    pub min: f32,
    /// Largest value, implicit zeros included.
    pub max: f32,
    /// First entry that is not a whole number.
    pub first_fraction: Option<(usize, usize, f32)>,
    /// First entry below zero.
    pub first_negative: Option<(usize, usize, f32)>,
    /// First entry that is NaN or infinite.
    pub first_non_finite: Option<(usize, usize, f32)>,
    /// One line for a log or an error message.
    pub evidence: String,
}

/// Firsts and extremes of a run of rows.
#[derive(Clone, Copy, Default)]
struct Scan {
    min: f32,
    max: f32,
    fraction: Option<(usize, usize, f32)>,
    negative: Option<(usize, usize, f32)>,
    non_finite: Option<(usize, usize, f32)>,
}

fn scan(x: CsrView<'_, f32>) -> Scan {
    let parts: Vec<Scan> = (0..x.n_rows().div_ceil(CHUNK))
        .into_par_iter()
        .map(|c| {
            let mut scan = Scan::default();
            for i in c * CHUNK..x.n_rows().min((c + 1) * CHUNK) {
                let (columns, values) = x.row(i);
                for (&j, &v) in columns.iter().zip(values) {
                    if !v.is_finite() {
                        scan.non_finite = scan.non_finite.or(Some((i, j as usize, v)));
                        continue;
                    }
                    scan.min = scan.min.min(v);
                    scan.max = scan.max.max(v);
                    if v < 0.0 && scan.negative.is_none() {
                        scan.negative = Some((i, j as usize, v));
                    }
                    if v.fract() != 0.0 && scan.fraction.is_none() {
                        scan.fraction = Some((i, j as usize, v));
                    }
                }
            }
            scan
        })
        .collect();
    let mut total = Scan::default();
    for part in parts {
        total.min = total.min.min(part.min);
        total.max = total.max.max(part.max);
        total.fraction = total.fraction.or(part.fraction);
        total.negative = total.negative.or(part.negative);
        total.non_finite = total.non_finite.or(part.non_finite);
    }
    total
}

/// The total that (nearly) all non-empty rows share, if there is one.
fn common_total(x: CsrView<'_, f32>, f: impl Fn(f64) -> f64 + Sync) -> Option<f64> {
    let mut totals: Vec<f64> = (0..x.n_rows().min(MAX_ROWS_COMPARED))
        .into_par_iter()
        .map(|i| x.row(i).1.iter().map(|&v| f(f64::from(v))).sum::<f64>())
        .collect::<Vec<f64>>();
    totals.retain(|t| *t > 0.0);
    if totals.len() < 2 {
        return None;
    }
    totals.sort_by(f64::total_cmp);
    let median = totals[totals.len() / 2];
    let (low, high) = (totals[totals.len() / 20], totals[totals.len() - 1 - totals.len() / 20]);
    (high - low <= SAME_TOTAL * median).then_some(median)
}

/// What the matrix holds, and why we think so.
///
/// # Inputs    `x`: `(n_obs, n_vars)`, anything.
/// # Returns   The verdict with its evidence. A matrix of zeros counts as raw counts.
/// # Cost      One pass over the stored entries, and one over 20 000 rows when fractions are found.
pub fn detect_content(x: CsrView<'_, f32>) -> Detected {
    let s = scan(x);
    let (content, evidence) = if let Some((row, column, value)) = s.non_finite {
        (MatrixContent::NonFinite { row, column }, format!("{value} at row {row}, column {column}"))
    } else if s.min < 0.0 {
        (MatrixContent::Scaled, format!("it looks centred or scaled: values run from {} to {}", s.min, s.max))
    } else if s.fraction.is_none() {
        (MatrixContent::RawCounts, format!("it looks like raw counts: whole numbers up to {}", s.max))
    } else if let Some(target) = common_total(x, |v| v) {
        (
            MatrixContent::Normalised { target: Some(target) },
            format!("it looks normalised: fractions, rows add up to {target:.6}"),
        )
    } else if let Some(target) = (s.max < 50.0).then(|| common_total(x, f64::exp_m1)).flatten() {
        (
            MatrixContent::LogNormalised { target: Some(target) },
            format!("it looks log-normalised: exp(x) - 1 adds up to {target:.6} in each row"),
        )
    } else if s.max <= 15.0 {
        (
            MatrixContent::LogNormalised { target: None },
            format!("it looks log-transformed: fractions up to {}", s.max),
        )
    } else {
        (
            MatrixContent::Normalised { target: None },
            format!("it looks normalised: fractions up to {}", s.max),
        )
    };
    Detected {
        content,
        min: s.min,
        max: s.max,
        first_fraction: s.fraction,
        first_negative: s.negative,
        first_non_finite: s.non_finite,
        evidence,
    }
}

/// Refuses NaN and infinities.
///
/// # Errors    [`PreprocessError::NonFinite`] with the first such entry.
/// # Cost      One pass over the stored entries.
pub fn check_finite(x: CsrView<'_, f32>) -> Result<(), PreprocessError> {
    match scan(x).non_finite {
        Some((row, column, value)) => Err(PreprocessError::NonFinite { row, column, value }),
        None => Ok(()),
    }
}

/// Refuses anything but whole numbers of 0 or more.
///
/// # Errors    `NonFinite`, `Negative` or `NotCounts`, each naming the first such entry.
/// # Cost      One pass over the stored entries.
pub fn check_counts(x: CsrView<'_, f32>) -> Result<(), PreprocessError> {
    check(x, true).map(|_| ())
}

/// Refuses NaN, infinities and values below zero; returns the scan's largest value and whether fractions occur.
///
/// # Errors    `NonFinite` or `Negative`, each naming the first such entry.
/// # Cost      One pass over the stored entries.
pub fn check_non_negative(x: CsrView<'_, f32>) -> Result<(), PreprocessError> {
    check(x, false).map(|_| ())
}

/// Refuses raw counts where a flavour needs logarithms: whole numbers only, some above 1.
pub(crate) fn check_log_normalised(
    x: CsrView<'_, f32>,
    flavour: &'static str,
) -> Result<(), PreprocessError> {
    let s = check(x, false)?;
    if s.fraction.is_none() && s.max > 1.0 {
        return Err(PreprocessError::CountsWhereLogNeeded { max: s.max, flavour });
    }
    Ok(())
}

fn check(x: CsrView<'_, f32>, whole: bool) -> Result<Scan, PreprocessError> {
    let s = scan(x);
    if let Some((row, column, value)) = s.non_finite {
        return Err(PreprocessError::NonFinite { row, column, value });
    }
    if let Some((row, column, value)) = s.negative {
        let looks_like = detect_content(x).evidence;
        return Err(PreprocessError::Negative { row, column, value, looks_like });
    }
    match s.fraction {
        Some((row, column, value)) if whole => {
            let looks_like = detect_content(x).evidence;
            Err(PreprocessError::NotCounts { row, column, value, looks_like })
        }
        _ => Ok(s),
    }
}
