//! The leading singular triplets of a sparse matrix, centred and scaled without ever writing that out.
//!
//! PCA and LSI both stand on this. With `A = B − 1μᵀ` (`B` sparse, `μ` its column means or zero):
//!
//! 1. The smaller side is chosen: `AᵀA` over variables, or `AAᵀ` over spots.
//! 2. Up to [`GRAM_LIMIT`] rows that product is formed once, in one pass over the data ([`mod@form_gram`]), and its leading
//!    eigenvectors are found in memory, exact to rounding. Above, it is only ever applied to blocks of vectors.
//! 3. The eigenvectors come from an iteration ([`krylov`]) stopped by the residual: subspaces filtered by a polynomial
//!    where applying the product is cheap, a block Krylov basis with thick restart where it is a pass over the data.
//!    Small problems go to a dense eigensolver instead.
//!
//! * [`mod@form_gram`]: `CᵀC` of a sparse matrix, formed.
//! * [`gram`]: the same, applied.
//! * [`krylov`]: leading eigenpairs of a symmetric operator.

mod form_gram;
pub(crate) mod gram;
pub(crate) mod krylov;

use brodmann_kernels::matmul::matmul;
use brodmann_kernels::{CsrView, Monitor, Seed};
use ndarray::{Array2, ArrayView2};

use self::form_gram::{Gram, form_gram};
use self::gram::apply_gram;
use self::krylov::{EigenOptions, EigenPairs, dense_eigenpairs, filtered_eigenpairs, leading_eigenpairs};
use super::error::PreprocessError;
use super::scale::ColumnMap;

/// Above this many rows the product matrix is not formed (5000² f64 are 200 MB).
pub(crate) const GRAM_LIMIT: usize = 5000;
/// Up to this many rows the dense eigensolver is quicker than iterating.
const DENSE_LIMIT: usize = 150;
/// Residual, relative to the largest eigenvalue, at which iteration stops: in memory …
const FORMED_TOLERANCE: f64 = 1e-10;
/// … and where each step is a pass over the data. An eigenvalue's error is the square of that; a vector's error
/// is that over its relative distance to the next eigenvalue.
pub(crate) const STREAMED_TOLERANCE: f64 = 1e-6;
/// Passes over the data at most: components that stand out converge in fewer; those in the noise, which differ
/// by less than the sampling error, would take hundreds. Randomised SVD commonly stops after 4 to 7.
pub(crate) const STREAMED_STEPS: usize = 20;

/// How the leading components were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SvdMethod {
    /// All eigenpairs of the product matrix.
    Dense,
    /// Iteration on the formed product matrix.
    Gram,
    /// Iteration that streams the sparse matrix.
    Streamed,
}

/// `A ≈ U diag(s) Vᵀ`, singular values falling, signs arbitrary.
pub(crate) struct Svd {
    /// `(n, k)`: `U diag(s)`.
    pub(crate) scores: Array2<f64>,
    /// `(k)`.
    pub(crate) singular_values: Vec<f64>,
    /// `(f, k)`, orthonormal columns.
    pub(crate) components: Array2<f64>,
    pub(crate) method: SvdMethod,
    pub(crate) converged: bool,
}

/// The sparse matrix `B` (entries mapped on the fly) and the row `μ` subtracted from all of its rows.
#[derive(Clone, Copy)]
pub(crate) struct Implicit<'a> {
    pub(crate) x: CsrView<'a, f32>,
    pub(crate) map: Option<&'a ColumnMap>,
    pub(crate) mean: Option<&'a [f64]>,
}

/// The `k` leading singular triplets; `k` must be at most `min(n, f)`.
pub(crate) fn truncated_svd(
    a: Implicit<'_>,
    k: usize,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Svd, PreprocessError> {
    match a.map {
        Some(map) => by_smaller_side(a, k, seed, monitor, |j, v| map.value(j, v)),
        None => by_smaller_side(a, k, seed, monitor, |_, v| f64::from(v)),
    }
}

fn by_smaller_side(
    a: Implicit<'_>,
    k: usize,
    seed: Seed,
    monitor: &dyn Monitor,
    entry: impl Fn(usize, f32) -> f64 + Sync,
) -> Result<Svd, PreprocessError> {
    let (n, f) = (a.x.n_rows(), a.x.n_cols());
    let nothing;
    let mean = if let Some(mean) = a.mean {
        mean
    } else {
        nothing = vec![0.0; f];
        &nothing
    };
    if n >= f {
        // AᵀA = BᵀB − n μμᵀ, because 1ᵀB = n μᵀ.
        let operator = Product {
            x: a.x,
            entry: &|_, j, v| entry(j, v),
            left: &[mean],
            right: &[mean],
            factor: -(n as f64),
        };
        let pairs = operator.leading(k, seed, monitor)?;
        let components = pairs.0.vectors;
        let scores = times_right(a.x, &entry, mean, components.view());
        return Ok(finish(scores, components, &pairs.0.values, pairs.1, pairs.0.converged));
    }
    // AAᵀ = BBᵀ − (Bμ)1ᵀ − 1(Bμ)ᵀ + (μᵀμ)11ᵀ: two rank-one terms, with C = Bᵀ.
    let transposed = a.x.transpose();
    let c = transposed.view();
    let mut projected = Array2::zeros((n, 1));
    gram::rows_times(a.x, &|_, j, v| entry(j, v), column(mean).view(), &mut projected);
    let half = 0.5 * mean.iter().map(|m| m * m).sum::<f64>();
    let shifted: Vec<f64> = projected.iter().map(|p| p - half).collect();
    let ones = vec![1.0; n];
    let operator = Product {
        x: c,
        entry: &|j, _, v| entry(j, v),
        left: &[&shifted, &ones],
        right: &[&ones, &shifted],
        factor: -1.0,
    };
    let pairs = operator.leading(k, seed, monitor)?;
    let singular_values: Vec<f64> = pairs.0.values.iter().map(|v| v.max(0.0).sqrt()).collect();
    let u = pairs.0.vectors;
    // V = AᵀU / s = (CU − μ(1ᵀU)) / s. Directions without variance get zero loadings.
    let column_sums = u.sum_axis(ndarray::Axis(0));
    let mut components = Array2::zeros((f, u.ncols()));
    gram::rows_times(c, &|j, _, v| entry(j, v), u.view(), &mut components);
    let largest = singular_values.first().copied().unwrap_or(0.0);
    for (mut row, m) in components.rows_mut().into_iter().zip(mean) {
        for (t, v) in row.iter_mut().enumerate() {
            let s = singular_values[t];
            *v = if s > 1e-12 * largest { (*v - m * column_sums[t]) / s } else { 0.0 };
        }
    }
    let mut scores = u;
    for mut row in scores.rows_mut() {
        row.iter_mut().zip(&singular_values).for_each(|(v, s)| *v *= s);
    }
    Ok(Svd { scores, singular_values, components, method: pairs.1, converged: pairs.0.converged })
}

fn finish(
    scores: Array2<f64>,
    components: Array2<f64>,
    eigenvalues: &[f64],
    method: SvdMethod,
    converged: bool,
) -> Svd {
    let singular_values = eigenvalues.iter().map(|v| v.max(0.0).sqrt()).collect();
    Svd { scores, singular_values, components, method, converged }
}

fn column(values: &[f64]) -> Array2<f64> {
    Array2::from_shape_fn((values.len(), 1), |(i, _)| values[i])
}

/// `(B − 1μᵀ) · v`.
fn times_right(
    x: CsrView<'_, f32>,
    entry: &(impl Fn(usize, f32) -> f64 + Sync),
    mean: &[f64],
    v: ArrayView2<'_, f64>,
) -> Array2<f64> {
    let mut out = Array2::zeros((x.n_rows(), v.ncols()));
    gram::rows_times(x, &|_, j, value| entry(j, value), v, &mut out);
    out -= &column(mean).t().dot(&v).row(0);
    out
}

/// `CᵀC + factor · Σ leftᵣ rightᵣᵀ`, symmetric.
struct Product<'a, F> {
    x: CsrView<'a, f32>,
    entry: &'a F,
    left: &'a [&'a [f64]],
    right: &'a [&'a [f64]],
    factor: f64,
}

impl<F: Fn(usize, usize, f32) -> f64 + Sync> Product<'_, F> {
    fn leading(
        &self,
        k: usize,
        seed: Seed,
        monitor: &dyn Monitor,
    ) -> Result<(EigenPairs, SvdMethod), PreprocessError> {
        let size = self.x.n_cols();
        if size > GRAM_LIMIT {
            let options = EigenOptions { tolerance: STREAMED_TOLERANCE, max_steps: STREAMED_STEPS };
            let pairs = leading_eigenpairs(
                size,
                k,
                |v| {
                    monitor.check()?;
                    let mut out = apply_gram(self.x, self.entry, v);
                    self.correct(v, &mut out);
                    Ok(out)
                },
                &options,
                seed,
            )?;
            return Ok((pairs, SvdMethod::Streamed));
        }
        let Gram { values: mut gram, order } = form_gram(self.x, self.entry, monitor)?;
        for (left, right) in self.left.iter().zip(self.right) {
            for (mut row, &a) in gram.rows_mut().into_iter().zip(&order) {
                let l = self.factor * left[a as usize];
                row.iter_mut().zip(&order).for_each(|(g, &b)| *g += l * right[b as usize]);
            }
        }
        let (mut pairs, method) = formed_eigenpairs(&gram, &[], k, seed, monitor)?;
        let mut vectors = Array2::zeros(pairs.vectors.dim());
        for (row, &j) in pairs.vectors.rows().into_iter().zip(&order) {
            vectors.row_mut(j as usize).assign(&row);
        }
        pairs.vectors = vectors;
        Ok((pairs, method))
    }

    /// Adds the rank-one terms to `out = CᵀC v`.
    fn correct(&self, v: ArrayView2<'_, f64>, out: &mut Array2<f64>) {
        for (left, right) in self.left.iter().zip(self.right) {
            let projected = column(right).t().dot(&v);
            for (mut row, l) in out.rows_mut().into_iter().zip(*left) {
                row.scaled_add(self.factor * l, &projected.row(0));
            }
        }
    }
}

/// The `k` leading eigenpairs of a matrix in memory, its rows and columns multiplied by `factors` (none: as it is).
pub(crate) fn formed_eigenpairs(
    gram: &Array2<f64>,
    factors: &[f64],
    k: usize,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<(EigenPairs, SvdMethod), PreprocessError> {
    let size = gram.nrows();
    let multiplied = |mut m: Array2<f64>| {
        m.rows_mut().into_iter().zip(factors).for_each(|(mut row, factor)| row *= *factor);
        m
    };
    let dense = || {
        let mut own = multiplied(gram.clone());
        own.columns_mut().into_iter().zip(factors).for_each(|(mut column, factor)| column *= *factor);
        dense_eigenpairs(&own, k)
    };
    if size <= DENSE_LIMIT || 4 * k > size {
        return Ok((dense()?, SvdMethod::Dense));
    }
    let options = EigenOptions { tolerance: FORMED_TOLERANCE, max_steps: 400 };
    let apply = |v: ArrayView2<'_, f64>| {
        monitor.check()?;
        if factors.is_empty() {
            return Ok(matmul(gram.view(), v));
        }
        Ok(multiplied(matmul(gram.view(), multiplied(v.to_owned()).view())))
    };
    let pairs = filtered_eigenpairs(size, k, apply, &options, seed)?;
    if pairs.converged {
        return Ok((pairs, SvdMethod::Gram));
    }
    Ok((dense()?, SvdMethod::Dense))
}
