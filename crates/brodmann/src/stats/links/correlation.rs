//! What correlation says of the pairs: how peak and gene vary together from cell to cell.

use brodmann_kernels::{CsrView, Monitor, ParallelLoop};
use ndarray::Array1;
use rayon::prelude::*;

use super::LinksError;
use super::cell_costs::CellCosts;
use super::masses::{Count, masses_of_pairs};
use super::strength::by_gene;
use super::window::LinkPairs;

/// Correlations of each pair, in the order of the pairs; NaN where peak or gene does not vary.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkCorrelations {
    /// Pearson's, across cells.
    pub pearson: Array1<f64>,
    /// Spearman's, across cells; ties share their mean rank.
    pub spearman: Array1<f64>,
    /// Pearson's, across the means of each cell and its neighbours in the embedding.
    pub smoothed: Array1<f64>,
}

/// Correlates peak and gene of every pair.
///
/// # Inputs
/// As [`super::transport()`]; negative values count as 0.
/// # Errors
/// `Size`, `NonFinite`, `NoMass`, `Interrupted`.
/// # Cost
/// O(Σ over pairs of (peak's non-zeros · k + n_cells)) time; per thread 8 bytes per cell and gene with the same peaks.
pub fn link_correlations<T: Count>(
    peaks: CsrView<'_, T>,
    genes: CsrView<'_, T>,
    pairs: &LinkPairs,
    costs: &CellCosts,
    monitor: &dyn Monitor,
) -> Result<LinkCorrelations, LinksError> {
    let n_cells = costs.n_cells();
    let (peaks, genes) = masses_of_pairs((peaks, genes), pairs, n_cells)?;
    monitor.stage("correlations", pairs.n_genes() as u64);
    let ranked: Vec<Ranked> = (0..pairs.n_peaks())
        .into_par_iter()
        .map(|p| Ranked::new(&values(peaks.of(p as u32).1), n_cells))
        .collect_vec();
    let mut table = vec![[f64::NAN; 3]; pairs.len()];
    by_gene(pairs, &mut table, 1)
        .into_par_iter()
        .map_init(
            || [vec![0.0; n_cells], vec![0.0; n_cells], vec![0.0; n_cells], vec![0.0; n_cells]],
            |[raw, ranks, smooth, peak_smooth], (gene, rows)| {
                monitor.check()?;
                let (cells, counts) = genes.of(gene);
                let own = values(counts);
                let own_ranks = Ranked::new(&own, n_cells);
                raw.fill(0.0);
                ranks.fill(0.0);
                for (k, &cell) in cells.iter().enumerate() {
                    raw[cell as usize] = own[k];
                    ranks[cell as usize] = own_ranks.ranks[k];
                }
                smoothed(costs, cells, &own, smooth);
                let gene_moments = Moments::of(&own, n_cells);
                let gene_smooth = centre(smooth);
                for (row, &peak) in rows.iter_mut().zip(&pairs.peaks()[pairs.of_gene(gene as usize)]) {
                    let (cells, counts) = peaks.of(peak);
                    let x = values(counts);
                    let pearson = sparse(&x, cells, raw, Moments::of(&x, n_cells), gene_moments, n_cells);
                    let r = &ranked[peak as usize];
                    let spearman = sparse(&r.ranks, cells, ranks, r.moments, own_ranks.moments, n_cells);
                    smoothed(costs, cells, &x, peak_smooth);
                    let deviation = centre(peak_smooth);
                    let product: f64 = peak_smooth.iter().zip(&*smooth).map(|(a, b)| a * b).sum();
                    *row = [pearson, spearman, ratio(product, deviation, gene_smooth)];
                }
                monitor.advance(1);
                Ok(())
            },
        )
        .collect::<Result<(), LinksError>>()?;
    let of = |k: usize| table.iter().map(|row| row[k]).collect();
    Ok(LinkCorrelations { pearson: of(0), spearman: of(1), smoothed: of(2) })
}

fn values<T: Count>(counts: &[T]) -> Vec<f64> {
    counts.iter().map(|&count| count.into()).collect()
}

/// Sum and sum of squared deviations of a sparse variable.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    sum: f64,
    deviation: f64,
}

impl Moments {
    fn of(values: &[f64], n: usize) -> Self {
        let sum: f64 = values.iter().sum();
        let mean = sum / n as f64;
        let present: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        Self { sum, deviation: present + (n - values.len()) as f64 * mean * mean }
    }
}

/// Ranks of the positive values above that of the zeros, which is 0 then; correlation does not mind.
struct Ranked {
    ranks: Vec<f64>,
    moments: Moments,
}

impl Ranked {
    fn new(values: &[f64], n: usize) -> Self {
        let zeros = n - values.len();
        let mut order: Vec<u32> = (0..values.len() as u32).collect();
        order.sort_by(|&a, &b| values[a as usize].total_cmp(&values[b as usize]));
        let mut ranks = vec![0.0; values.len()];
        let mut from = 0;
        while from < order.len() {
            let value = values[order[from] as usize];
            let to = from + order[from..].iter().take_while(|&&k| values[k as usize] == value).count();
            // Mean of the ranks from `zeros + from + 1` to `zeros + to`, less that of the zeros.
            let rank = zeros as f64 / 2.0 + f64::midpoint(from as f64, to as f64);
            order[from..to].iter().for_each(|&k| ranks[k as usize] = rank);
            from = to;
        }
        let moments = Moments::of(&ranks, n);
        Self { ranks, moments }
    }
}

fn sparse(x: &[f64], cells: &[u32], y: &[f64], of_x: Moments, of_y: Moments, n: usize) -> f64 {
    let product: f64 = x.iter().zip(cells).map(|(x, &cell)| x * y[cell as usize]).sum();
    ratio(product - of_x.sum * of_y.sum / n as f64, of_x.deviation, of_y.deviation)
}

/// Takes the mean off; the sum of squares that is left.
fn centre(values: &mut [f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    for v in &mut *values {
        *v -= mean;
    }
    values.iter().map(|v| v * v).sum()
}

fn ratio(product: f64, x: f64, y: f64) -> f64 {
    let scale = (x * y).sqrt();
    // What is left of a constant by rounding is no variation.
    if scale > 0.0 { (product / scale).clamp(-1.0, 1.0) } else { f64::NAN }
}

/// Means over each cell and its neighbours.
fn smoothed(costs: &CellCosts, cells: &[u32], values: &[f64], means: &mut [f64]) {
    means.fill(0.0);
    for (&cell, &value) in cells.iter().zip(values) {
        // Neighbours are mutual: the cells that see this one are those that it sees.
        for &other in costs.view().row(cell as usize).0 {
            means[other as usize] += value;
        }
    }
    let indptr = costs.view().indptr();
    for (mean, bounds) in means.iter_mut().zip(indptr.windows(2)) {
        *mean /= (bounds[1] - bounds[0]) as f64;
    }
}
