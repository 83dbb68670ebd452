//! Correlation of the columns of a sparse matrix, within slices.

use brodmann_kernels::{CsrView, Monitor, ParallelLoop, Slices};
use ndarray::Array2;
use rayon::prelude::*;

use crate::preprocess::column_stats::moments_by_slice;
use crate::preprocess::error::PreprocessError;
use crate::preprocess::svd::form_gram::{arrange, form_gram};

/// Columns of less variance than this share of their mean square do not vary: what is left of them is rounding.
const CONSTANT: f64 = 1e-12;

/// Whether each column varies within some slice.
pub(crate) fn varying(x: CsrView<'_, f32>, slices: &Slices) -> Vec<bool> {
    let moments = moments_by_slice(x, slices, |_, _, v| f64::from(v));
    let varies = |j: usize| {
        let of = |f: &dyn Fn(f64, f64, f64) -> f64| -> f64 {
            let each = moments.iter().zip(slices.sizes());
            each.map(|(m, &n)| f(m.variance[j], m.mean[j], n as f64)).sum()
        };
        of(&|variance, _, n| variance * (n - 1.0).max(0.0)) > CONSTANT * of(&|_, mean, n| mean * mean * n)
    };
    (0..x.n_cols()).map(varies).collect()
}

/// Pearson's correlation of some columns, each centred within every slice.
///
/// `r_ij = S_ij / √(S_ii S_jj)`, `S = Σ_s Σ_{u ∈ s} (x_ui − x̄_si)(x_uj − x̄_sj)`: that of the whole with one slice.
///
/// # Inputs
/// `x`: `(n_obs, n_vars)`, finite. `columns`: which, rising.
/// # Returns
/// `(columns, columns)`, 1 on the diagonal; a column that does not vary has 0 with all others.
/// # Errors
/// `Interrupted`.
/// # Cost
/// For `p` columns: `n_obs p² / 2` multiply-adds where all are stored, or the pairs of stored entries where fewer; `24 p²`
/// bytes at most, and a copy of the columns.
///
/// # Example
///
/// ```
/// use brodmann::preprocess::coexpression::correlation::correlation;
/// use brodmann_kernels::{CsrMatrix, Silent, Slices};
/// use ndarray::array;
///
/// let x = CsrMatrix::from_dense(array![[1.0f32, 3.0, 0.0], [2.0, 2.0, 5.0], [3.0, 1.0, 0.0]].view());
/// let r = correlation(x.view(), &Slices::one(3), &[0, 1, 2], &Silent)?;
/// assert!((r[[0, 1]] + 1.0).abs() < 1e-12 && r[[0, 2]].abs() < 1e-12);
/// # Ok::<(), brodmann::preprocess::PreprocessError>(())
/// ```
pub fn correlation(
    x: CsrView<'_, f32>,
    slices: &Slices,
    columns: &[usize],
    monitor: &dyn Monitor,
) -> Result<Array2<f64>, PreprocessError> {
    let mut keep = vec![false; x.n_cols()];
    for &j in columns {
        keep[j] = true;
    }
    let few = (columns.len() < x.n_cols()).then(|| x.select_columns(&keep));
    let x = few.as_ref().map_or(x, |few| few.view());
    let p = x.n_cols();
    let moments = moments_by_slice(x, slices, |_, _, v| f64::from(v));
    let gram = form_gram(x, arrange(x), &|_, _, v| f64::from(v), monitor)?;
    let mut place = vec![0usize; p];
    for (a, &j) in gram.order.iter().enumerate() {
        place[j as usize] = a;
    }
    let product = |i: usize, j: usize| {
        let centre = moments.iter().zip(slices.sizes()).map(|(m, &n)| n as f64 * m.mean[i] * m.mean[j]);
        gram.values[[place[i], place[j]]] - centre.sum::<f64>()
    };
    // Squares from the second pass, which loses no digits to a large mean.
    let squares = |j: usize| -> f64 {
        let each = moments.iter().zip(slices.sizes());
        each.map(|(m, &n)| m.variance[j] * (n as f64 - 1.0).max(0.0)).sum()
    };
    let varies = varying(x, slices);
    let lengths: Vec<f64> = (0..p).map(|j| if varies[j] { squares(j).sqrt() } else { 0.0 }).collect();
    let mut r = Array2::<f64>::zeros((p, p));
    if p > 0 {
        let rows = r.as_slice_mut().expect("freshly allocated");
        rows.par_chunks_mut(p).enumerate().each(|(i, row)| {
            for (j, value) in row.iter_mut().enumerate() {
                let length = lengths[i] * lengths[j];
                *value = match (i == j, length > 0.0) {
                    (true, _) => 1.0,
                    // Both halves by the same sum, so that they are the same bits.
                    (false, true) => (product(i.min(j), i.max(j)) / length).clamp(-1.0, 1.0),
                    (false, false) => 0.0,
                };
            }
        });
    }
    Ok(r)
}
