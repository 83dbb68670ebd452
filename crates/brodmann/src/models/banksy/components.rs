//! Principal components of the blocks, for several weightings of them at once.

use brodmann_kernels::matmul::{matmul, matmul_add_into_serial};
use brodmann_kernels::{Monitor, ParallelLoop, Seed};
use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut2, Axis, Slice};
use rayon::prelude::*;
use std::ops::Range;

use super::rows::Blocks;
use crate::preprocess::PreprocessError;
use crate::preprocess::pca::fix_signs;
use crate::preprocess::svd::{
    STREAMED_STEPS, STREAMED_TOLERANCE, formed_eigenpairs,
    krylov::{EigenOptions, EigenPairs, Growth, leading_eigenpairs},
    made_rows::{columns_product, rectangle},
};

/// Columns up to which their product is formed (9000² f64 are 648 MB) …
const COLUMNS_LIMIT: usize = 9000;
/// … and spots, with one product per block.
const ROWS_LIMIT: usize = 4000;
/// Columns multiplied in one task.
const PANEL: usize = 256;
/// Rows multiplied in one task.
const STRIP: usize = 128;

/// Most bytes of rows and products.
pub(super) fn memory_bytes(n_obs: usize, n_cols: usize) -> u64 {
    let (n, d) = (n_obs as u64, n_cols as u64);
    let product = if n_cols <= COLUMNS_LIMIT && n_cols <= n_obs {
        // The half that is multiplied, panel by panel, and the whole.
        12 * d * d
    } else if n_obs <= ROWS_LIMIT {
        32 * n * n
    } else {
        // A basis of eight blocks of vectors and its image.
        8 * 16 * 30 * d
    };
    product + super::rows::memory_bytes(n_obs, n_cols)
}

/// Principal components of one weighting.
#[derive(Clone, Debug)]
pub struct BanksyComponents {
    /// `(n_obs, k)`: each spot along each component.
    pub scores: Array2<f64>,
    /// `(columns, k)`: orthonormal loadings of own values, means and gradients, largest absolute entry of each positive.
    pub components: Array2<f64>,
    /// Variance along each component.
    pub variance: Vec<f64>,
    /// The same as a share of the total; 0 when nothing varies.
    pub variance_ratio: Vec<f64>,
    /// Whether the iteration came to an end; `false` makes the last components approximate.
    pub converged: bool,
}

/// The leading components for each triple of factors that the blocks are multiplied with.
///
/// `Z = [X M G]` standardised, `D` the factors: components of `Z D`. `ZᵀZ` is formed once for all `D`, since
/// `(ZD)ᵀZD = D ZᵀZ D`; with fewer spots than columns so is `Z D² Zᵀ = Σ_b D_b² Z_b Z_bᵀ`.
pub(super) fn leading(
    blocks: &Blocks<'_>,
    factors: &[[f64; 3]],
    n_components: usize,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Vec<BanksyComponents>, PreprocessError> {
    let (n, d) = (blocks.n_obs(), blocks.n_cols());
    let k = n_components.min(n.saturating_sub(1)).min(d);
    let found: Vec<(Array2<f64>, bool)> = if d <= COLUMNS_LIMIT && d <= n {
        monitor.stage("products of features", n as u64);
        let gram =
            if blocks.kept() { column_product(blocks, monitor)? } else { columns_product(blocks, monitor)? };
        monitor.stage("principal components", factors.len() as u64);
        let of = |factors: &[f64; 3]| {
            let (pairs, _) = formed_eigenpairs(&gram, &column_factors(blocks, factors), k, seed, monitor)?;
            monitor.advance(1);
            Ok((pairs.vectors, pairs.converged))
        };
        factors.iter().map(of).collect::<Result<_, PreprocessError>>()?
    } else if n <= ROWS_LIMIT {
        let grams = row_products(blocks, monitor)?;
        monitor.stage("principal components", factors.len() as u64);
        let mut vectors = Vec::with_capacity(factors.len());
        for factors in factors {
            let mut own = Array2::<f64>::zeros((n, n));
            for (gram, factor) in grams.iter().zip(factors) {
                own.scaled_add(factor * factor, gram);
            }
            vectors.push(formed_eigenpairs(&own, &[], k, seed, monitor)?.0);
        }
        drop(grams);
        loadings(blocks, factors, &vectors, monitor)?
    } else {
        let mut found = Vec::with_capacity(factors.len());
        for factors in factors {
            let pairs = streamed(blocks, factors, k, seed, monitor)?;
            found.push((pairs.vectors, pairs.converged));
        }
        found
    };
    project(blocks, factors, found, monitor)
}

/// Some columns of a matrix.
fn columns_of(m: ArrayView2<'_, f64>, columns: Range<usize>) -> ArrayView2<'_, f64> {
    m.slice_axis_move(Axis(1), Slice::from(columns))
}

/// The first columns of a matrix.
fn columns_mut(m: ArrayViewMut2<'_, f64>, n: usize) -> ArrayViewMut2<'_, f64> {
    m.slice_axis_move(Axis(1), Slice::from(..n))
}

/// The factor of every column.
fn column_factors(blocks: &Blocks<'_>, factors: &[f64; 3]) -> Vec<f64> {
    let g = blocks.n_genes();
    (0..blocks.n_cols()).map(|j| factors[j / g]).collect()
}

/// `ZᵀZ`, `(n_cols, n_cols)`, in double precision.
pub(super) fn column_product(
    blocks: &Blocks<'_>,
    monitor: &dyn Monitor,
) -> Result<Array2<f64>, PreprocessError> {
    let d = blocks.n_cols();
    let panel = |p: usize| p * PANEL..d.min((p + 1) * PANEL);
    let n_panels = d.div_ceil(PANEL);
    let pairs: Vec<(usize, usize)> = (0..n_panels).flat_map(|a| (a..n_panels).map(move |b| (a, b))).collect();
    let mut parts: Vec<Array2<f64>> =
        pairs.iter().map(|&(a, b)| Array2::zeros((panel(a).len(), panel(b).len()))).collect();
    blocks.each(monitor, |_, rows| {
        parts.par_iter_mut().zip(&pairs).each(|(part, &(a, b))| {
            let (left, right) = (columns_of(rows.view(), panel(a)), columns_of(rows.view(), panel(b)));
            matmul_add_into_serial(part.view_mut(), left.t(), right);
        });
        monitor.advance(rows.nrows() as u64);
        Ok::<(), PreprocessError>(())
    })?;
    let mut gram = Array2::zeros((d, d));
    for (part, &(a, b)) in parts.iter().zip(&pairs) {
        rectangle(&mut gram, panel(a), panel(b)).assign(part);
        rectangle(&mut gram, panel(b), panel(a)).assign(&part.t());
    }
    Ok(gram)
}

/// `Z_b Z_bᵀ` of every block, `(n_obs, n_obs)`, in the order of the places.
fn row_products(blocks: &Blocks<'_>, monitor: &dyn Monitor) -> Result<Vec<Array2<f64>>, PreprocessError> {
    let (n, g) = (blocks.n_obs(), blocks.n_genes());
    monitor.stage("products of spots", n as u64);
    let mut grams = vec![Array2::<f64>::zeros((n, n)); blocks.n_blocks()];
    blocks.each(monitor, |first, rows| {
        // Against itself and all that comes before.
        blocks.each(monitor, |other, others| {
            if other > first {
                return Ok(());
            }
            for (b, gram) in grams.iter_mut().enumerate() {
                let columns = b * g..(b + 1) * g;
                let (left, right) =
                    (columns_of(rows.view(), columns.clone()), columns_of(others.view(), columns));
                let mut own = rectangle(gram, first..first + left.nrows(), other..other + right.nrows());
                let strips = own.axis_chunks_iter_mut(Axis(0), STRIP).collect::<Vec<_>>().into_par_iter();
                strips.zip(left.axis_chunks_iter(Axis(0), STRIP).collect::<Vec<_>>()).enumerate().each(
                    |(at, (strip, left))| {
                        // Of a block against itself, what lies below the diagonal.
                        let seen = if other == first { at * STRIP + left.nrows() } else { right.nrows() };
                        let right = right.slice_axis(Axis(0), Slice::from(..seen));
                        matmul_add_into_serial(columns_mut(strip, seen), left, right.t());
                    },
                );
            }
            Ok::<(), PreprocessError>(())
        })?;
        monitor.advance(rows.nrows() as u64);
        Ok::<(), PreprocessError>(())
    })?;
    for gram in &mut grams {
        for i in 0..n {
            for j in 0..i {
                gram[[j, i]] = gram[[i, j]];
            }
        }
    }
    Ok(grams)
}

/// Loadings from the spots' side: `D Zᵀ U / s` for each weighting; directions without variance get none.
fn loadings(
    blocks: &Blocks<'_>,
    factors: &[[f64; 3]],
    pairs: &[EigenPairs],
    monitor: &dyn Monitor,
) -> Result<Vec<(Array2<f64>, bool)>, PreprocessError> {
    let k = pairs.first().map_or(0, |p| p.vectors.ncols());
    let views: Vec<ArrayView2<'_, f64>> = pairs.iter().map(|p| p.vectors.view()).collect();
    let vectors = ndarray::concatenate(Axis(1), &views).expect("all of n_obs rows");
    let mut all = Array2::<f64>::zeros((blocks.n_cols(), vectors.ncols()));
    blocks.each(monitor, |first, rows| {
        let own = vectors.slice_axis(Axis(0), Slice::from(first..first + rows.nrows()));
        add_transposed(all.view_mut(), rows.view(), own);
        Ok::<(), PreprocessError>(())
    })?;
    let found = pairs.iter().zip(factors).enumerate().map(|(at, (pairs, factors))| {
        let mut own = columns_of(all.view(), at * k..(at + 1) * k).to_owned();
        let largest = pairs.values.first().copied().unwrap_or(0.0).max(0.0).sqrt();
        for (mut row, factor) in own.rows_mut().into_iter().zip(column_factors(blocks, factors)) {
            for (v, value) in row.iter_mut().zip(&pairs.values) {
                let s = value.max(0.0).sqrt();
                *v = if s > 1e-7 * largest { *v * factor / s } else { 0.0 };
            }
        }
        (own, pairs.converged)
    });
    Ok(found.collect())
}

/// `out += rowsᵀ · right`, columns of `rows` in tasks.
fn add_transposed(mut out: ArrayViewMut2<'_, f64>, rows: ArrayView2<'_, f64>, right: ArrayView2<'_, f64>) {
    out.axis_chunks_iter_mut(Axis(0), PANEL).collect::<Vec<_>>().into_par_iter().enumerate().each(
        |(p, out)| {
            let columns = columns_of(rows, p * PANEL..p * PANEL + out.nrows());
            matmul_add_into_serial(out, columns.t(), right);
        },
    );
}

/// Eigenvectors of `D ZᵀZ D` where neither side is small enough to form a product.
pub(super) fn streamed(
    blocks: &Blocks<'_>,
    factors: &[f64; 3],
    k: usize,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<EigenPairs, PreprocessError> {
    monitor.stage("principal components, pass by pass", STREAMED_STEPS as u64);
    let weights = column_factors(blocks, factors);
    let weigh = |mut m: Array2<f64>| {
        for (mut row, w) in m.rows_mut().into_iter().zip(&weights) {
            row *= *w;
        }
        m
    };
    let mut apply = |v: ArrayView2<'_, f64>| {
        let right = weigh(v.to_owned());
        let mut out = Array2::<f64>::zeros(right.dim());
        blocks.each(monitor, |_, rows| {
            let product = matmul(rows.view(), right.view());
            add_transposed(out.view_mut(), rows.view(), product.view());
            Ok::<(), PreprocessError>(())
        })?;
        monitor.advance(1);
        Ok(weigh(out))
    };
    let (tolerance, max_steps) = (STREAMED_TOLERANCE, STREAMED_STEPS);
    let options = EigenOptions { tolerance, max_steps, growth: Growth::Wide };
    leading_eigenpairs(blocks.n_cols(), k, &mut apply, &options, seed)
}

/// Scores of all weightings, in one pass.
fn project(
    blocks: &Blocks<'_>,
    factors: &[[f64; 3]],
    mut found: Vec<(Array2<f64>, bool)>,
    monitor: &dyn Monitor,
) -> Result<Vec<BanksyComponents>, PreprocessError> {
    let n = blocks.n_obs();
    monitor.stage("scores", n as u64);
    let mut weighted = Vec::with_capacity(found.len());
    for ((vectors, _), factors) in found.iter_mut().zip(factors) {
        fix_signs(vectors, &mut Array2::zeros((0, vectors.ncols())));
        let mut own = vectors.clone();
        for (mut row, factor) in own.rows_mut().into_iter().zip(column_factors(blocks, factors)) {
            row *= factor;
        }
        weighted.push(own);
    }
    let views: Vec<ArrayView2<'_, f64>> = weighted.iter().map(|w| w.view()).collect();
    let right = ndarray::concatenate(Axis(1), &views).expect("all of n_cols rows");
    let mut scores: Vec<Array2<f64>> = weighted.iter().map(|w| Array2::zeros((n, w.ncols()))).collect();
    blocks.each(monitor, |first, rows| {
        let product = matmul(rows.view(), right.view());
        for (offset, row) in product.rows().into_iter().enumerate() {
            let i = blocks.row_at(first + offset);
            let mut at = 0;
            for scores in &mut scores {
                let k = scores.ncols();
                scores.row_mut(i).assign(&row.slice_axis(Axis(0), Slice::from(at..at + k)));
                at += k;
            }
        }
        monitor.advance(rows.nrows() as u64);
        Ok::<(), PreprocessError>(())
    })?;
    let degrees = (n.max(2) - 1) as f64;
    let varying = blocks.varying();
    let mut all = Vec::with_capacity(factors.len());
    for (((components, converged), scores), factors) in found.into_iter().zip(scores).zip(factors) {
        // Columns are centred, so scores are.
        let variance_of = |c: ArrayView1<'_, f64>| c.iter().map(|v| v * v).sum::<f64>() / degrees;
        let variance: Vec<f64> = scores.columns().into_iter().map(variance_of).collect();
        let weights = column_factors(blocks, factors);
        let total: f64 = weights.iter().zip(&varying).map(|(w, n)| w * w * *n as f64 / degrees).sum();
        let variance_ratio = variance.iter().map(|v| if total > 0.0 { v / total } else { 0.0 }).collect();
        all.push(BanksyComponents { scores, components, variance, variance_ratio, converged });
    }
    Ok(all)
}
