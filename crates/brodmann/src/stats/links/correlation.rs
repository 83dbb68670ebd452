//! What correlation says of the pairs: how peak and gene vary together from cell to cell.

use brodmann_kernels::{CsrView, Monitor, ParallelLoop};
use ndarray::{Array1, Array2};
use rayon::prelude::*;

use super::LinksError;
use super::cell_costs::CellCosts;
use super::masses::{Count, masses_of_pairs};
use super::strength::{by_gene, checked, domain_sizes};
use super::window::LinkPairs;

/// What is kept of a pair beside its domains: Pearson's, Spearman's, of means over neighbours.
const WHOLE: usize = 3;

/// Correlations of each pair, in the order of the pairs; NaN where peak or gene does not vary.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkCorrelations {
    /// Pearson's, across cells.
    pub pearson: Array1<f64>,
    /// Spearman's, across cells; ties share their mean rank.
    pub spearman: Array1<f64>,
    /// Pearson's, across the means of each cell and its neighbours in the embedding.
    pub smoothed: Array1<f64>,
    /// `(n_pairs, n_domains)`: what the cells of each domain contribute to Pearson's; where every cell has a domain they
    /// sum to it.
    pub by_domain: Array2<f64>,
}

/// Correlates peak and gene of every pair.
///
/// With `x` the peak's values and `y` the gene's, standardised over all cells, Pearson's correlation is the mean of `x y`, and
/// a domain's part of it the sum over the domain's cells, divided by the number of all cells: large where both are above (or
/// both below) their means in the domain, and all the more where they rise and fall there together.
///
/// # Inputs
/// As [`super::transport()`]; negative values count as 0. `labels`: the domain of each cell, `None` for one left out.
/// # Errors
/// `Size`, `LabelOutOfRange`, `NonFinite`, `NoMass`, `Interrupted`.
/// # Cost
/// O(Σ over pairs of (peak's non-zeros · k + n_cells)) time; 16 bytes per pair and domain, another
/// copy of the counts of peaks and genes with a pair, and 32 bytes per cell and thread.
pub fn link_correlations<T: Count>(
    (peaks, genes): (CsrView<'_, T>, CsrView<'_, T>),
    pairs: &LinkPairs,
    costs: &CellCosts,
    labels: &[Option<u32>],
    n_domains: usize,
    monitor: &dyn Monitor,
) -> Result<LinkCorrelations, LinksError> {
    let n_cells = costs.n_cells();
    let labels = checked(labels, n_domains, n_cells)?;
    let sizes = domain_sizes(&labels, n_domains);
    let (peaks, genes) = masses_of_pairs((peaks, genes), pairs, n_cells)?;
    monitor.stage("correlations", pairs.n_genes() as u64);
    let ranked: Vec<Ranked> = (0..pairs.n_peaks())
        .into_par_iter()
        .map(|p| Ranked::new(&values(peaks.of(p as u32).1), n_cells))
        .collect_vec();
    let width = WHOLE + n_domains;
    let mut table = vec![f64::NAN; pairs.len() * width];
    by_gene(pairs, &mut table, width)
        .into_par_iter()
        .map_init(
            || {
                let of_cells = [(); 4].map(|()| vec![0.0; n_cells]);
                (of_cells, vec![0.0; n_domains])
            },
            |([raw, ranks, smooth, peak_smooth], gene_sums), (gene, rows)| {
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
                gene_sums.fill(0.0);
                for (&cell, v) in cells.iter().zip(&own) {
                    if let Some(sum) = gene_sums.get_mut(labels[cell as usize] as usize) {
                        *sum += v;
                    }
                }
                let gene_moments = Moments::of(&own, n_cells);
                let gene_smooth = centre(smooth);
                let peaks_of_gene = &pairs.peaks()[pairs.of_gene(gene as usize)];
                for (row, &peak) in rows.chunks_exact_mut(width).zip(peaks_of_gene) {
                    let (cells, counts) = peaks.of(peak);
                    let x = values(counts);
                    let moments = Moments::of(&x, n_cells);
                    let pearson = sparse(&x, cells, raw, moments, gene_moments, n_cells);
                    let r = &ranked[peak as usize];
                    let spearman = sparse(&r.ranks, cells, ranks, r.moments, own_ranks.moments, n_cells);
                    smoothed(costs, cells, &x, peak_smooth);
                    let deviation = centre(peak_smooth);
                    let product: f64 = peak_smooth.iter().zip(&*smooth).map(|(a, b)| a * b).sum();
                    let (whole, parts) = row.split_at_mut(WHOLE);
                    whole.copy_from_slice(&[pearson, spearman, ratio(product, deviation, gene_smooth)]);
                    // Σ over the domain of (x − x̄)(y − ȳ), of which most cells are known by what they lack.
                    let [mean, gene_mean] = [moments, gene_moments].map(|m| m.sum / n_cells as f64);
                    for (part, (sum, &size)) in parts.iter_mut().zip(gene_sums.iter().zip(&sizes)) {
                        *part = mean * (gene_mean * size as f64 - sum);
                    }
                    for (&cell, v) in cells.iter().zip(&x) {
                        if let Some(part) = parts.get_mut(labels[cell as usize] as usize) {
                            *part += v * (raw[cell as usize] - gene_mean);
                        }
                    }
                    for part in parts {
                        *part = ratio(*part, moments.deviation, gene_moments.deviation);
                    }
                }
                monitor.advance(1);
                Ok(())
            },
        )
        .collect::<Result<(), LinksError>>()?;
    let of = |k: usize| table.iter().skip(k).step_by(width).copied().collect();
    let by_domain =
        Array2::from_shape_fn((pairs.len(), n_domains), |(pair, d)| table[pair * width + WHOLE + d]);
    Ok(LinkCorrelations { pearson: of(0), spearman: of(1), smoothed: of(2), by_domain })
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
