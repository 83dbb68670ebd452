//! What does a matrix hold: raw counts, normalised values, their logarithms, or scaled values?
//!
//! Every step downstream depends on the answer, and files seldom state it. The whole matrix is read once.

use std::ops::ControlFlow;

use brodmann_kernels::CsrView;
use rayon::prelude::*;

use super::error::PreprocessError;
use super::rows::{Fold, RowSource, fold_view};

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
pub(crate) struct Scan {
    min: f32,
    max: f32,
    fraction: Option<(usize, usize, f32)>,
    negative: Option<(usize, usize, f32)>,
    non_finite: Option<(usize, usize, f32)>,
}

impl Scan {
    pub(crate) fn row(&mut self, i: usize, columns: &[u32], values: &[f32]) {
        // Nearly always whole numbers of 0 or more, which need no look at each.
        let (mut plain, mut max) = (true, 0.0f32);
        for &v in values {
            plain &= (v as i32) as f32 == v && v >= 0.0;
            max = if v > max { v } else { max };
        }
        if plain {
            self.max = self.max.max(max);
            return;
        }
        for (&j, &v) in columns.iter().zip(values) {
            if !v.is_finite() {
                self.non_finite = self.non_finite.or(Some((i, j as usize, v)));
                continue;
            }
            self.min = self.min.min(v);
            self.max = self.max.max(v);
            if v < 0.0 && self.negative.is_none() {
                self.negative = Some((i, j as usize, v));
            }
            if v.fract() != 0.0 && self.fraction.is_none() {
                self.fraction = Some((i, j as usize, v));
            }
        }
    }

    pub(crate) fn absorb(&mut self, later: &Self) {
        self.min = self.min.min(later.min);
        self.max = self.max.max(later.max);
        self.fraction = self.fraction.or(later.fraction);
        self.negative = self.negative.or(later.negative);
        self.non_finite = self.non_finite.or(later.non_finite);
    }

    /// Whether all values are finite whole numbers.
    pub(crate) fn is_whole(&self) -> bool {
        self.fraction.is_none() && self.non_finite.is_none()
    }

    /// Refuses NaN and infinities.
    pub(crate) fn check_finite(&self) -> Result<(), PreprocessError> {
        match self.non_finite {
            Some((row, column, value)) => Err(PreprocessError::NonFinite { row, column, value }),
            None => Ok(()),
        }
    }

    /// Refuses NaN, infinities, values below zero and, where `whole`, fractions.
    pub(crate) fn check<E: From<PreprocessError>>(
        &self,
        source: &dyn RowSource<Error = E>,
        whole: bool,
    ) -> Result<(), E> {
        self.check_finite()?;
        if let Some((row, column, value)) = self.negative {
            let looks_like = detect(source, *self)?.evidence;
            return Err(PreprocessError::Negative { row, column, value, looks_like }.into());
        }
        match self.fraction {
            Some((row, column, value)) if whole => {
                let looks_like = detect(source, *self)?.evidence;
                Err(PreprocessError::NotCounts { row, column, value, looks_like }.into())
            }
            _ => Ok(()),
        }
    }

    /// Refuses raw counts where a flavour needs logarithms: whole numbers only, some above 1.
    pub(crate) fn check_log_normalised<E: From<PreprocessError>>(
        &self,
        source: &dyn RowSource<Error = E>,
        flavour: &'static str,
    ) -> Result<(), E> {
        self.check(source, false)?;
        if self.fraction.is_none() && self.max > 1.0 {
            return Err(PreprocessError::CountsWhereLogNeeded { max: self.max, flavour }.into());
        }
        Ok(())
    }
}

impl Fold for Scan {
    fn row(&mut self, i: usize, columns: &[u32], values: &[f32]) {
        Self::row(self, i, columns, values);
    }

    fn absorb(&mut self, later: Self) {
        Self::absorb(self, &later);
    }
}

pub(crate) fn scan(x: CsrView<'_, f32>) -> Scan {
    fold_view(x, Scan::default)
}

/// The total that (nearly) all non-empty rows share, if there is one.
fn common_total<E: From<PreprocessError>>(
    source: &dyn RowSource<Error = E>,
    f: impl Fn(f64) -> f64 + Sync + Send,
) -> Result<Option<f64>, E> {
    let mut totals: Vec<f64> = Vec::new();
    source.for_each_block(&mut |block| {
        let n = block.rows.n_rows().min(MAX_ROWS_COMPARED - totals.len());
        totals.par_extend(
            (0..n).into_par_iter().map(|i| block.rows.row(i).1.iter().map(|&v| f(f64::from(v))).sum::<f64>()),
        );
        Ok(if totals.len() < MAX_ROWS_COMPARED { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    totals.retain(|t| *t > 0.0);
    if totals.len() < 2 {
        return Ok(None);
    }
    totals.sort_by(f64::total_cmp);
    let median = totals[totals.len() / 2];
    let (low, high) = (totals[totals.len() / 20], totals[totals.len() - 1 - totals.len() / 20]);
    Ok((high - low <= SAME_TOTAL * median).then_some(median))
}

/// What the matrix holds, and why we think so.
///
/// # Inputs
/// `x`: `(n_obs, n_vars)`, anything.
/// # Returns
/// The verdict with its evidence. A matrix of zeros counts as raw counts.
/// # Cost
/// One pass over the stored entries, and one over 20 000 rows when fractions are found.
///
/// # Panics
/// Never: a matrix in memory can always be passed over.
pub fn detect_content(x: CsrView<'_, f32>) -> Detected {
    detect(&x, scan(x)).expect("a matrix in memory has no rows that cannot be had")
}

fn detect<E: From<PreprocessError>>(x: &dyn RowSource<Error = E>, s: Scan) -> Result<Detected, E> {
    let (content, evidence) = if let Some((row, column, value)) = s.non_finite {
        (MatrixContent::NonFinite { row, column }, format!("{value} at row {row}, column {column}"))
    } else if s.min < 0.0 {
        (MatrixContent::Scaled, format!("it looks centred or scaled: values run from {} to {}", s.min, s.max))
    } else if s.fraction.is_none() {
        (MatrixContent::RawCounts, format!("it looks like raw counts: whole numbers up to {}", s.max))
    } else if let Some(target) = common_total(x, |v| v)? {
        (
            MatrixContent::Normalised { target: Some(target) },
            format!("it looks normalised: fractions, rows add up to {target:.6}"),
        )
    } else if let Some(target) = if s.max < 50.0 { common_total(x, f64::exp_m1)? } else { None } {
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
    Ok(Detected {
        content,
        min: s.min,
        max: s.max,
        first_fraction: s.fraction,
        first_negative: s.negative,
        first_non_finite: s.non_finite,
        evidence,
    })
}

/// Refuses NaN and infinities.
///
/// # Errors
/// [`PreprocessError::NonFinite`] with the first such entry.
/// # Cost
/// One pass over the stored entries.
pub fn check_finite(x: CsrView<'_, f32>) -> Result<(), PreprocessError> {
    scan(x).check_finite()
}

/// Refuses anything but whole numbers of 0 or more.
///
/// # Errors
/// `NonFinite`, `Negative` or `NotCounts`, each naming the first such entry.
/// # Cost
/// One pass over the stored entries.
pub fn check_counts(x: CsrView<'_, f32>) -> Result<(), PreprocessError> {
    scan(x).check(&x, true)
}

/// Refuses NaN, infinities and values below zero.
///
/// # Errors
/// `NonFinite` or `Negative`, each naming the first such entry.
/// # Cost
/// One pass over the stored entries.
pub fn check_non_negative(x: CsrView<'_, f32>) -> Result<(), PreprocessError> {
    scan(x).check(&x, false)
}
