//! Variance of standardised counts, the variance expected from the mean removed (VST).

use brodmann_kernels::{CsrView, Monitor, OptionError, Silent, Slices};

use super::loess::loess_quadratic;
use super::{HvgOptions, HvgSelection, HvgTable, Matrix};
use crate::preprocess::column_stats::{Accumulator, ColumnMoments, fold_source};
use crate::preprocess::error::PreprocessError;
use crate::preprocess::survey::{CountColumn, moments_of_counts, survey};

/// Variance of the counts of each gene after standardising and clipping them.
///
/// 1. LOESS (degree 2) of `log10 variance` on `log10 mean` over the genes that vary gives the expected standard
///    deviation `s_j` (1 for constant genes).
/// 2. Counts are clipped at `mean_j + s_j √n`.
/// 3. `Σ_i (x_ij − mean_j)² / ((n − 1) s_j²)`, with `mean_j` of the counts before clipping.
///
/// # Inputs
/// `x`: `(n_obs, n_vars)` raw counts. `rows`: the spots of one slice (all with `None`).
/// `span`: share of genes in each local fit.
/// # Returns
/// The moments of the counts and the standardised variance.
/// # Errors
/// None for a matrix in memory.
/// # Cost
/// One pass over the stored entries, and a second where a count exceeds its bound.
/// # Source
/// Stuart et al. 2019, Cell 177:1888; scanpy's flavour `seurat_v3`.
/// # Differences
/// Where the local fits are underdetermined (few spots) the reference stops; we fit a line or
/// a mean there.
pub fn standardized_variance(
    x: CsrView<'_, f32>,
    rows: Option<&[usize]>,
    span: f64,
) -> Result<(ColumnMoments, Vec<f64>), PreprocessError> {
    if let Some(rows) = rows {
        return standardized_variance(x.select_rows(rows).view(), None, span);
    }
    let slices = Slices::one(x.n_rows());
    let counts = survey(&x, &slices, false, &Silent)?.columns;
    let genes: Vec<usize> = (0..x.n_cols()).collect();
    let matrix = Matrix { source: &x, genes: &genes, slices: &slices, counts: &counts };
    let standardized = standardized(&matrix, span, &Silent)?.remove(0);
    Ok((moments_of_counts(&counts[0], x.n_rows()), standardized))
}

/// What standardises one gene of one slice.
#[derive(Clone, Copy)]
struct Standard {
    mean: f64,
    sd: f64,
    /// Counts above are clipped.
    bound: f64,
    varies: bool,
}

fn standards(columns: &[CountColumn], n: usize, span: f64) -> Vec<Standard> {
    let moments = moments_of_counts(columns, n);
    let varying: Vec<usize> = (0..columns.len()).filter(|&j| moments.variance[j] > 0.0).collect();
    let log_of = |v: &[f64]| varying.iter().map(|&j| v[j].log10()).collect::<Vec<f64>>();
    let fitted = loess_quadratic(&log_of(&moments.mean), &log_of(&moments.variance), span);
    let mut sd = vec![1.0; columns.len()];
    varying.iter().zip(&fitted).for_each(|(&j, &f)| sd[j] = 10f64.powf(f).sqrt());
    let all = sd.into_iter().zip(&moments.mean).zip(&moments.variance);
    all.map(|((sd, &mean), &variance)| Standard {
        mean,
        sd,
        bound: sd * (n as f64).sqrt() + mean,
        varies: variance > 0.0,
    })
    .collect()
}

/// Standardised variances of the genes that take part, slice by slice.
pub(super) fn standardized<E: From<PreprocessError>>(
    matrix: &Matrix<'_, E>,
    span: f64,
    monitor: &dyn Monitor,
) -> Result<Vec<Vec<f64>>, E> {
    let columns: Vec<Vec<CountColumn>> = matrix.counts.iter().map(|c| matrix.pick(c)).collect();
    let standard: Vec<Vec<Standard>> =
        columns.iter().zip(matrix.slices.sizes()).map(|(c, &n)| standards(c, n, span)).collect();
    // Where no count exceeds its bound, clipping changes nothing and the sums are those of the first pass: with
    // many spots the bound is so far out that the second pass is hardly ever needed.
    let exceeds = |c: &CountColumn, s: &Standard| f64::from(c.max) > s.bound && s.varies;
    let mut bounds = vec![vec![f64::INFINITY; matrix.source.n_cols()]; columns.len()];
    let mut any = false;
    for ((bounds, columns), standard) in bounds.iter_mut().zip(&columns).zip(&standard) {
        for ((&j, c), s) in matrix.genes.iter().zip(columns).zip(standard) {
            if exceeds(c, s) {
                bounds[j] = s.bound;
                any = true;
            }
        }
    }
    let clipped = if any {
        let clip = |i: usize, j: usize, v: f32| {
            let bound = bounds[matrix.slices.of(i)][j];
            if bound.is_infinite() {
                return [0.0; 2];
            }
            let v = f64::from(v).min(bound);
            [v, v * v]
        };
        Some(fold_source(matrix.source, matrix.slices, clip, monitor)?)
    } else {
        None
    };
    let of_slice = |g: usize| {
        let n = matrix.slices.sizes()[g] as f64;
        let each = matrix.genes.iter().zip(&columns[g]).zip(&standard[g]);
        each.map(|((&j, c), s)| {
            if n < 2.0 || !s.varies {
                return 0.0;
            }
            let [sum, squares] = match &clipped {
                Some(clipped) if exceeds(c, s) => clipped[g][j],
                _ => [c.sum, c.squares],
            };
            (n * s.mean * s.mean + squares - 2.0 * sum * s.mean) / ((n - 1.0) * s.sd * s.sd)
        })
        .collect()
    };
    Ok((0..columns.len()).map(of_slice).collect())
}

pub(super) fn measure<E: From<PreprocessError>>(
    matrix: &Matrix<'_, E>,
    options: &HvgOptions,
    monitor: &dyn Monitor,
) -> Result<HvgTable, E> {
    let HvgSelection::Top(n_top) = options.selection else {
        return Err(PreprocessError::from(OptionError::new(
            "selection",
            "a cutoff",
            "a number of top genes with `seurat_v3`",
        ))
        .into());
    };
    let slices = standardized(matrix, options.span, monitor)?;
    let Ranked { normalized, rank, n_slices, highly_variable } = ranked(&slices, n_top);
    let mut overall = matrix.pick(&matrix.counts[0]);
    for slice in &matrix.counts[1..] {
        overall.iter_mut().zip(matrix.pick(slice)).for_each(|(a, b)| a.absorb(&b));
    }
    let moments = moments_of_counts(&overall, matrix.slices.sizes().iter().sum());
    Ok(HvgTable {
        flavor: options.flavor,
        means: moments.mean,
        dispersions: moments.variance,
        normalized,
        rank: Some(rank),
        n_slices,
        highly_variable,
    })
}

/// The genes of several slices by their ranks in each.
pub(super) struct Ranked {
    /// Mean of the standardised variances.
    normalized: Vec<f64>,
    /// Median rank over the slices that select the gene.
    rank: Vec<f64>,
    n_slices: Vec<u32>,
    pub(super) highly_variable: Vec<bool>,
}

/// Ranks genes by their standardised variances in each slice.
pub(super) fn ranked(slices: &[Vec<f64>], n_top: usize) -> Ranked {
    let n_vars = slices.first().map_or(0, Vec::len);
    let mut normalized = vec![0.0; n_vars];
    let mut ranks: Vec<Vec<u32>> = vec![Vec::new(); n_vars];
    for standardized in slices {
        let mut order: Vec<usize> = (0..n_vars).collect();
        // Stable: equal variances keep the genes' order.
        order.sort_by(|&a, &b| standardized[b].total_cmp(&standardized[a]));
        for (rank, &j) in order.iter().take(n_top).enumerate() {
            ranks[j].push(rank as u32);
        }
        normalized.iter_mut().zip(standardized).for_each(|(t, s)| *t += s / slices.len() as f64);
    }
    let n_slices: Vec<u32> = ranks.iter().map(|r| r.len() as u32).collect();
    let rank: Vec<f64> = ranks.iter_mut().map(|r| median_rank(r)).collect();
    let mut order: Vec<usize> = (0..n_vars).collect();
    // NaN sorts last under the total order of positive NaN.
    order.sort_by(|&a, &b| rank[a].total_cmp(&rank[b]).then(n_slices[b].cmp(&n_slices[a])));
    let mut highly_variable = vec![false; n_vars];
    order.iter().take(n_top).for_each(|&j| highly_variable[j] = true);
    Ranked { normalized, rank, n_slices, highly_variable }
}

fn median_rank(ranks: &mut [u32]) -> f64 {
    if ranks.is_empty() {
        return f64::NAN;
    }
    ranks.sort_unstable();
    let middle = ranks.len() / 2;
    if ranks.len() % 2 == 1 {
        f64::from(ranks[middle])
    } else {
        f64::midpoint(f64::from(ranks[middle - 1]), f64::from(ranks[middle]))
    }
}
