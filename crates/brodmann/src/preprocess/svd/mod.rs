//! The leading singular triplets of a sparse matrix, centred and scaled without ever writing that out.
//!
//! PCA and LSI both stand on this. With `A = B − 1μᵀ` (`B` sparse, `μ` its column
//! means, slice by slice where there are slices, or zero):
//!
//! 1. The smaller side is chosen: `AᵀA` over variables, or `AAᵀ` over spots.
//! 2. Up to [`GRAM_LIMIT`] rows that product is either formed once, in one pass over the data ([`mod@form_gram`]), or applied
//!    to eight vectors at a time, some dozens of times ([`gram`]): what is estimated to cost less. Its leading
//!    eigenvectors are exact to rounding either way, but for a large centred matrix with few zeros, whose product is formed
//!    in single precision ([`made_rows`]). Above, it is applied to blocks of vectors until they are good.
//! 3. The eigenvectors come from a block Krylov basis with thick restart ([`krylov`], [`narrow`]), stopped by the
//!    residual. Small problems go to a dense eigensolver instead.
//!
//! * [`mod@form_gram`]: `CᵀC` of a sparse matrix, formed.
//! * [`made_rows`]: the same of rows that are made when they are needed.
//! * [`gram`]: the same, applied.
//! * [`krylov`]: leading eigenpairs of a symmetric operator.
//! * [`narrow`]: the same, a few vectors at a time.

pub(crate) mod form_gram;
pub(crate) mod gram;
pub(crate) mod krylov;
pub(crate) mod made_rows;
mod narrow;

use brodmann_kernels::arch::panel::WIDTH;
use brodmann_kernels::matmul::matmul;
use brodmann_kernels::{CsrView, Monitor, Seed, Slices};
use ndarray::{Array2, ArrayView2};

use self::form_gram::{Gram, arrange, form_gram};
use self::gram::{Entry, Plain, Turned, apply_gram, matrix_times, pass_ns};
use self::krylov::{EigenOptions, EigenPairs, Growth, dense_eigenpairs, leading_eigenpairs};
use self::made_rows::{LARGE, MadeRows, Visit, columns_product, columns_product_ns, each_block, fits_single};
use super::error::PreprocessError;
use super::scale::ColumnMap;

/// Above this many rows the product matrix is not formed (5000² f64 are 200 MB).
pub(crate) const GRAM_LIMIT: usize = 5000;
/// Up to this many rows the dense eigensolver is quicker than iterating.
const DENSE_LIMIT: usize = 150;
/// Vectors the basis comes to hold per component wanted: 11 to 12 measured on tissues.
const VECTORS_PER_COMPONENT: usize = 12;
/// Times that expectation after which iterating over the rows is given up.
const PATIENCE: usize = 4;
/// Nanoseconds per entry of a formed product and application to eight vectors, measured on one core.
const FORMED_PASS_NS: f64 = 0.7;
/// With fewer rows than so many per component it is, too.
const DENSE_SHARE: usize = 10;
/// Residual, relative to the largest eigenvalue, at which iteration stops: in memory …
const FORMED_TOLERANCE: f64 = 1e-9;
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
    /// Iteration that goes over the sparse matrix at each step.
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

/// The sparse matrix `B` (entries mapped on the fly) and the row `μ` subtracted from its rows, slice by slice.
#[derive(Clone, Copy)]
pub(crate) struct Implicit<'a> {
    pub(crate) x: CsrView<'a, f32>,
    /// One per slice, or none.
    pub(crate) maps: &'a [ColumnMap],
    /// One per slice, or none.
    pub(crate) means: &'a [Vec<f64>],
    pub(crate) slices: &'a Slices,
}

/// The `k` leading singular triplets; `k` must be at most `min(n, f)`.
pub(crate) fn truncated_svd(
    a: Implicit<'_>,
    k: usize,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Svd, PreprocessError> {
    truncated_svd_from(a, k, LARGE, seed, monitor)
}

/// [`truncated_svd`], with the numbers above which a matrix is large.
fn truncated_svd_from(
    a: Implicit<'_>,
    k: usize,
    large: usize,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Svd, PreprocessError> {
    match a.maps {
        [] => by_smaller_side(a, (k, large), seed, monitor, Plain),
        [map] => by_smaller_side(a, (k, large), seed, monitor, |_, j, v| map.value(j, v)),
        maps => by_smaller_side(a, (k, large), seed, monitor, |i, j, v| maps[a.slices.of(i)].value(j, v)),
    }
}

fn by_smaller_side(
    a: Implicit<'_>,
    (k, large): (usize, usize),
    seed: Seed,
    monitor: &dyn Monitor,
    entry: impl Entry,
) -> Result<Svd, PreprocessError> {
    let (n, f) = (a.x.n_rows(), a.x.n_cols());
    if n >= f {
        // AᵀA = BᵀB − Σ_s n_s μ_s μ_sᵀ over the slices s, because the rows of B in s add up to n_s μ_s.
        let sized = a.means.iter().zip(a.slices.sizes());
        let terms = sized.map(|(mean, size)| (-(*size as f64), mean.as_slice(), mean.as_slice())).collect();
        let centred = Centred { a, entry: &entry };
        let in_single = !a.means.is_empty() && n * f > large && fits_single(a.x.data());
        let product = Product { x: a.x, entry: &entry, terms, centred: in_single.then_some(&centred) };
        let (pairs, method) = product.leading(k, seed, monitor)?;
        let components = pairs.vectors;
        let scores = times_right(&a, &entry, components.view());
        return Ok(finish(scores, components, &pairs.values, method, pairs.converged));
    }
    // With E one column per slice, 1 where a spot is in it, and P = B [μ_1 …]:
    // AAᵀ = BBᵀ − P Eᵀ − E Pᵀ + E (μ_sᵀμ_t) Eᵀ: two rank-one terms per slice, with C = Bᵀ.
    let transposed = a.x.transpose();
    let c = transposed.view();
    let n_means = a.means.len();
    let means = Array2::from_shape_fn((f, n_means), |(j, s)| a.means[s][j]);
    let mut shifted = Array2::zeros((n, n_means));
    gram::rows_times(a.x, &entry, means.view(), &mut shifted);
    let products: Vec<Vec<f64>> = a
        .means
        .iter()
        .map(|one| a.means.iter().map(|other| 0.5 * one.iter().zip(other).map(|(a, b)| a * b).sum::<f64>()))
        .map(Iterator::collect)
        .collect();
    for (i, mut row) in shifted.rows_mut().into_iter().enumerate().filter(|_| n_means > 0) {
        row.iter_mut().zip(&products[a.slices.of(i)]).for_each(|(v, half)| *v -= half);
    }
    let members: Vec<Vec<f64>> =
        (0..n_means).map(|s| (0..n).map(|i| f64::from(u8::from(a.slices.of(i) == s))).collect()).collect();
    let shifted: Vec<Vec<f64>> = shifted.columns().into_iter().map(|column| column.to_vec()).collect();
    let (shifted_first, members_first) = (shifted.iter().zip(&members), members.iter().zip(&shifted));
    let terms = shifted_first.chain(members_first).map(|(l, r)| (-1.0, l.as_slice(), r.as_slice())).collect();
    let entry_of = Turned(&entry);
    let product = Product { x: c, entry: &entry_of, terms, centred: None };
    let (pairs, method) = product.leading(k, seed, monitor)?;
    let singular_values: Vec<f64> = pairs.values.iter().map(|v| v.max(0.0).sqrt()).collect();
    let u = pairs.vectors;
    // V = AᵀU / s = (CU − Σ_s μ_s (e_sᵀU)) / s. Directions without variance get zero loadings.
    let mut sums = Array2::<f64>::zeros((n_means, u.ncols()));
    for (i, row) in u.rows().into_iter().enumerate().filter(|_| n_means > 0) {
        sums.row_mut(a.slices.of(i)).scaled_add(1.0, &row);
    }
    let mut components = Array2::zeros((f, u.ncols()));
    gram::rows_times(c, &entry_of, u.view(), &mut components);
    let largest = singular_values.first().copied().unwrap_or(0.0);
    for (j, mut row) in components.rows_mut().into_iter().enumerate() {
        for (mean, sums) in a.means.iter().zip(sums.rows()) {
            row.iter_mut().zip(sums).for_each(|(v, s)| *v -= mean[j] * s);
        }
        for (v, s) in row.iter_mut().zip(&singular_values) {
            *v = if *s > 1e-12 * largest { *v / s } else { 0.0 };
        }
    }
    let mut scores = u;
    for mut row in scores.rows_mut() {
        row.iter_mut().zip(&singular_values).for_each(|(v, s)| *v *= s);
    }
    Ok(Svd { scores, singular_values, components, method, converged: pairs.converged })
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

/// `A · v`.
pub(crate) fn times_right(a: &Implicit<'_>, entry: &impl Entry, v: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut out = Array2::zeros((a.x.n_rows(), v.ncols()));
    gram::rows_times(a.x, entry, v, &mut out);
    let shifts: Vec<Array2<f64>> = a.means.iter().map(|mean| matmul(column(mean).t(), v)).collect();
    for (i, mut row) in out.rows_mut().into_iter().enumerate().filter(|_| !shifts.is_empty()) {
        row -= &shifts[a.slices.of(i)].row(0);
    }
    out
}

/// The rows of `A`, written out.
struct Centred<'a, E> {
    a: Implicit<'a>,
    entry: &'a E,
}

impl<E: Entry> MadeRows for Centred<'_, E> {
    fn dim(&self) -> (usize, usize) {
        (self.a.x.n_rows(), self.a.x.n_cols())
    }

    fn each(&self, monitor: &dyn Monitor, visit: &mut Visit<'_>) -> Result<(), PreprocessError> {
        let Implicit { x, means, slices, .. } = self.a;
        each_block(self.dim(), monitor, visit, &|i, row| {
            gram::write_row(x, self.entry, i, row);
            if let Some(means) = means.get(slices.of(i)) {
                row.iter_mut().zip(means).for_each(|(v, mean)| *v -= mean);
            }
        })
    }
}

/// `CᵀC + Σ factor · left · rightᵀ` over the terms, symmetric.
struct Product<'a, E> {
    x: CsrView<'a, f32>,
    entry: &'a E,
    terms: Vec<(f64, &'a [f64], &'a [f64])>,
    /// Rows that the whole is the product of, where that may be summed in single precision.
    centred: Option<&'a Centred<'a, E>>,
}

impl<E: Entry> Product<'_, E> {
    fn leading(
        &self,
        k: usize,
        seed: Seed,
        monitor: &dyn Monitor,
    ) -> Result<(EigenPairs, SvdMethod), PreprocessError> {
        let size = self.x.n_cols();
        if size > GRAM_LIMIT {
            let (tolerance, max_steps) = (STREAMED_TOLERANCE, STREAMED_STEPS);
            let options = EigenOptions { tolerance, max_steps, growth: Growth::Wide };
            let pairs = leading_eigenpairs(size, k, &mut |v| self.apply(v, monitor), &options, seed)?;
            return Ok((pairs, SvdMethod::Streamed));
        }
        let arrangement = arrange(self.x);
        let large = self.centred.filter(|_| arrangement.is_full());
        let product_ns = large.map_or(arrangement.ns, |rows| columns_product_ns(rows.dim()));
        let shape = Shape { product_ns, size, k };
        if iterates(size, k) && self.applied_ns(&shape) < shape.formed_ns() {
            // What has taken as long as the other way will not become the quicker one.
            let as_long = (shape.formed_ns() / pass_ns(self.x)) as usize;
            let max_steps = as_long.clamp(shape.passes(), PATIENCE * shape.passes());
            let options = EigenOptions { tolerance: FORMED_TOLERANCE, max_steps, growth: Growth::Narrow };
            let pairs = leading_eigenpairs(size, k, &mut |v| self.apply(v, monitor), &options, seed)?;
            if pairs.converged {
                return Ok((pairs, SvdMethod::Streamed));
            }
        }
        if let Some(rows) = large {
            return formed_eigenpairs(&columns_product(rows, monitor)?, &[], k, seed, monitor);
        }
        let Gram { values: mut gram, order } =
            form_gram(self.x, arrangement, &|i, j, v| self.entry.of(i, j, v), monitor)?;
        for (factor, left, right) in &self.terms {
            for (mut row, &a) in gram.rows_mut().into_iter().zip(&order) {
                let l = factor * left[a as usize];
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

    /// The product with some vectors, from the rows.
    fn apply(&self, v: ArrayView2<'_, f64>, monitor: &dyn Monitor) -> Result<Array2<f64>, PreprocessError> {
        monitor.check()?;
        let mut out = apply_gram(self.x, self.entry, v);
        self.correct(v, &mut out);
        Ok(out)
    }

    /// Estimated nanoseconds of an iteration that goes over the rows at each step.
    fn applied_ns(&self, shape: &Shape) -> f64 {
        shape.passes() as f64 * pass_ns(self.x)
    }

    /// Adds the rank-one terms to `out = CᵀC v`.
    fn correct(&self, v: ArrayView2<'_, f64>, out: &mut Array2<f64>) {
        for (factor, left, right) in &self.terms {
            let projected = matmul(column(right).t(), v);
            for (mut row, l) in out.rows_mut().into_iter().zip(*left) {
                row.scaled_add(factor * l, &projected.row(0));
            }
        }
    }
}

/// Whether a basis that is worth having stays smaller than the matrix.
fn iterates(size: usize, k: usize) -> bool {
    size > DENSE_LIMIT && DENSE_SHARE * k <= size
}

/// What the ways to the eigenpairs of a product cost.
struct Shape {
    /// Estimated nanoseconds of forming the product.
    product_ns: f64,
    size: usize,
    k: usize,
}

impl Shape {
    /// Applications to eight vectors until the residuals are small, as a rule.
    fn passes(&self) -> usize {
        (VECTORS_PER_COMPONENT * self.k).div_ceil(WIDTH) + 4
    }

    /// Estimated nanoseconds of forming the product and iterating on it.
    fn formed_ns(&self) -> f64 {
        self.product_ns + self.passes() as f64 * (self.size * self.size) as f64 * FORMED_PASS_NS
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
    if !iterates(size, k) {
        return Ok((dense()?, SvdMethod::Dense));
    }
    let options = EigenOptions { tolerance: FORMED_TOLERANCE, max_steps: 1000, growth: Growth::Narrow };
    let mut apply = |v: ArrayView2<'_, f64>| {
        monitor.check()?;
        if factors.is_empty() {
            return Ok(matrix_times(gram, v));
        }
        Ok(multiplied(matrix_times(gram, multiplied(v.to_owned()).view())))
    };
    let pairs = leading_eigenpairs(size, k, &mut apply, &options, seed)?;
    if pairs.converged {
        return Ok((pairs, SvdMethod::Gram));
    }
    Ok((dense()?, SvdMethod::Dense))
}

#[cfg(test)]
mod tests {
    use brodmann_kernels::{CsrMatrix, Silent};

    use super::*;

    #[test]
    fn single_precision_gives_the_components_of_double() {
        // Eight axes, each of half the variance of the one before; two slices, the second shifted, and one map each.
        let (n, f) = (1500, 300);
        let word = |at: usize| (Seed(4).word(at as u64) >> 40) as f32 / (1 << 24) as f32 - 0.5;
        let dense = Array2::from_shape_fn((n, f), |(i, j)| {
            let axes = (0..8).map(|t| 0.7f32.powi(t as i32) * word(i * 8 + t) * word((n + j) * 8 + t));
            axes.sum::<f32>() + 0.01 * word(1_000_000 + i * f + j) + (i % 2 * 3) as f32
        });
        let x = CsrMatrix::from_dense(dense.view());
        let slices = Slices::from_codes(&(0..n as u32).map(|i| i % 2).collect::<Vec<_>>(), &[]);
        let mut means = vec![vec![0.0; f]; 2];
        for (i, row) in dense.rows().into_iter().enumerate() {
            means[i % 2].iter_mut().zip(row).for_each(|(mean, v)| *mean += f64::from(*v) / (n / 2) as f64);
        }
        let of = |means: &[Vec<f64>], large: usize| {
            let a = Implicit { x: x.view(), maps: &[], means, slices: &slices };
            truncated_svd_from(a, 6, large, Seed(1), &Silent).expect("converges")
        };
        let (single, double) = (of(&means, 0), of(&means, usize::MAX));
        assert_eq!(single.method, SvdMethod::Gram);
        for t in 0..6 {
            let (a, b) = (single.singular_values[t], double.singular_values[t]);
            assert!(
                (a - b).abs() < 1e-5 * b && single.singular_values[t] != double.singular_values[t],
                "{a} {b}"
            );
            let overlap = single.components.column(t).dot(&double.components.column(t)).abs();
            assert!((overlap - 1.0).abs() < 1e-8, "{t}: {overlap}");
        }
        // What is not centred is not rounded.
        assert_eq!(of(&[], 0).singular_values, of(&[], usize::MAX).singular_values);
    }
}
