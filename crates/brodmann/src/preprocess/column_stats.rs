//! Sums over the columns of a sparse matrix: the one loop behind gene filters, moments and dispersions.

use brodmann_kernels::CsrView;
use rayon::prelude::*;

/// At most this many partial sums are alive; the split depends on the number of rows alone.
const PARTS: usize = 16;

/// Per-column moments.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnMoments {
    /// Mean of each column, implicit zeros included.
    pub mean: Vec<f64>,
    /// Variance with `n − 1` in the denominator; 0 with fewer than two rows.
    pub variance: Vec<f64>,
}

/// Sums `f(row, column, value)` over the stored entries of each column, in f64 and in fixed order.
///
/// `rows` restricts the sum to those rows (in their order); `K` sums are taken in one pass.
pub(crate) fn fold_columns<const K: usize>(
    x: CsrView<'_, f32>,
    rows: Option<&[usize]>,
    f: impl Fn(usize, usize, f32) -> [f64; K] + Sync,
) -> Vec<[f64; K]> {
    let n = rows.map_or(x.n_rows(), <[usize]>::len);
    let chunk = n.div_ceil(PARTS).max(1024);
    let parts: Vec<Vec<[f64; K]>> = (0..n.div_ceil(chunk))
        .into_par_iter()
        .map(|c| {
            let mut sums = vec![[0.0; K]; x.n_cols()];
            for at in c * chunk..n.min((c + 1) * chunk) {
                let i = rows.map_or(at, |r| r[at]);
                let (columns, values) = x.row(i);
                for (&j, &v) in columns.iter().zip(values) {
                    let terms = f(i, j as usize, v);
                    for (s, t) in sums[j as usize].iter_mut().zip(terms) {
                        *s += t;
                    }
                }
            }
            sums
        })
        .collect();
    let mut total = vec![[0.0; K]; x.n_cols()];
    for part in &parts {
        for (t, p) in total.iter_mut().zip(part) {
            for (a, b) in t.iter_mut().zip(p) {
                *a += b;
            }
        }
    }
    total
}

/// Moments of `f(row, column, value)`, where `f` maps 0 to 0.
///
/// Two passes: the second sums squared distances from the mean, so that a constant column of f32 values gets
/// exactly zero (its sum is exact in f64) and a large mean does not drown a small variance.
pub(crate) fn moments_by(
    x: CsrView<'_, f32>,
    rows: Option<&[usize]>,
    f: impl Fn(usize, usize, f32) -> f64 + Sync,
) -> ColumnMoments {
    let n = rows.map_or(x.n_rows(), <[usize]>::len);
    let sums = fold_columns(x, rows, |i, j, v| [f(i, j, v), 1.0]);
    let mean: Vec<f64> = sums.iter().map(|s| if n == 0 { 0.0 } else { s[0] / n as f64 }).collect();
    if n < 2 {
        let variance = vec![0.0; mean.len()];
        return ColumnMoments { mean, variance };
    }
    let squares = fold_columns(x, rows, |i, j, v| {
        let d = f(i, j, v) - mean[j];
        [d * d]
    });
    let variance = squares
        .iter()
        .zip(&sums)
        .zip(&mean)
        .map(|((q, s), m)| (q[0] + (n as f64 - s[1]) * m * m) / (n - 1) as f64)
        .collect();
    ColumnMoments { mean, variance }
}

/// Mean and variance (ddof 1) of every column, implicit zeros included.
///
/// # Inputs    `x`: `(n_obs, n_vars)`, finite.
/// # Returns   `n_vars` means and variances in f64; variances are 0 with fewer than two spots.
/// # Cost      Two passes over the stored entries; 16 partial sums of `n_vars`.
pub fn column_moments(x: CsrView<'_, f32>) -> ColumnMoments {
    moments_by(x, None, |_, _, v| f64::from(v))
}

/// The sum of every row over the columns where `keep` is true (all of them with `None`), in f64.
///
/// # Panics
/// When `keep` is shorter than the number of columns.
pub fn row_totals(x: CsrView<'_, f32>, keep: Option<&[bool]>) -> Vec<f64> {
    (0..x.n_rows())
        .into_par_iter()
        .map(|i| {
            let (columns, values) = x.row(i);
            columns
                .iter()
                .zip(values)
                .filter(|&(&j, _)| keep.is_none_or(|k| k[j as usize]))
                .map(|(_, &v)| f64::from(v))
                .sum()
        })
        .collect()
}
