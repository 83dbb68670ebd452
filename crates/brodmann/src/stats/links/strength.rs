//! The strength of each pair in each domain.

use brodmann_kernels::Monitor;
use ndarray::{Array1, Array2};
use rayon::prelude::*;

use super::LinksError;
use super::flows::Flows;
use super::groups::NONE;
use super::masses::Count;
use super::transport::Transport;
use super::window::LinkPairs;

/// How strongly peaks and genes are linked.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkStrengths {
    /// `(n_pairs, n_domains)`: mean of the plan over the cells of the domain, squared; 0 for a domain without a cell.
    pub by_domain: Array2<f64>,
    /// `(n_pairs)`: sum of the plan over all cells.
    pub total: Array1<f64>,
    /// Cells of each domain.
    pub sizes: Vec<usize>,
}

/// The strength of each pair in each domain: the mean of its plan over the block of the domain's cells, zeros included.
///
/// # Inputs
/// `pairs`: those that `transport` was found for. `labels`: the domain of each cell, `None` for one left out.
/// # Returns
/// [`LinkStrengths`], rows in the order of `pairs`; units are those of the counts per squared cell.
/// # Errors
/// `Size`, `LabelOutOfRange`, `Interrupted`.
/// # Cost
/// O(genes · n_cells · k + Σ over pairs of the peak's non-zeros) time; 8 bytes per pair and domain, and 64 per cell and
/// thread.
pub fn link_strengths<T: Count>(
    transport: &Transport<T>,
    pairs: &LinkPairs,
    labels: &[Option<u32>],
    n_domains: usize,
    monitor: &dyn Monitor,
) -> Result<LinkStrengths, LinksError> {
    let labels = checked_for(transport, pairs, labels, n_domains)?;
    let sizes = domain_sizes(&labels, n_domains);
    monitor.stage("link strengths", pairs.n_genes() as u64);
    let width = n_domains + 1;
    let mut table = vec![0.0; pairs.len() * width];
    by_gene(pairs, &mut table, width)
        .into_par_iter()
        .map_init(
            || Flows::new(transport, pairs, &labels, n_domains),
            |flows, (gene, rows)| {
                monitor.check()?;
                let first = pairs.of_gene(gene as usize).start;
                flows.of_gene(gene, |flow| {
                    let row = &mut rows[(flow.pair - first) * width..][..width];
                    for (k, &cell) in flow.cells.iter().enumerate() {
                        row[n_domains] += flow.all[k];
                        let label = labels[cell as usize];
                        if label != NONE {
                            row[label as usize] += flow.within[k];
                        }
                    }
                });
                monitor.advance(1);
                Ok(())
            },
        )
        .collect::<Result<(), LinksError>>()?;
    let mut by_domain = Array2::zeros((pairs.len(), n_domains));
    let mut total = Array1::zeros(pairs.len());
    for (pair, row) in table.chunks_exact(width).enumerate() {
        total[pair] = row[n_domains];
        for (domain, &size) in sizes.iter().enumerate().filter(|(_, size)| **size > 0) {
            by_domain[[pair, domain]] = row[domain] / (size as f64 * size as f64);
        }
    }
    Ok(LinkStrengths { by_domain, total, sizes })
}

/// Strengths from 0 to 1: divided by the largest of the same gene, over its peaks and all domains. A gene whose strengths
/// are all 0 keeps them.
pub fn scaled_by_gene(strengths: &LinkStrengths, pairs: &LinkPairs) -> Array2<f64> {
    let mut scaled = strengths.by_domain.clone();
    for gene in 0..pairs.n_genes() {
        let range = pairs.of_gene(gene);
        let largest = range.clone().flat_map(|pair| scaled.row(pair).to_vec()).fold(0.0, f64::max);
        if largest > 0.0 {
            range.for_each(|pair| scaled.row_mut(pair).mapv_inplace(|v| v / largest));
        }
    }
    scaled
}

/// The label of each cell of a plan, [`NONE`] for none.
pub(super) fn checked_for<T: Count>(
    transport: &Transport<T>,
    pairs: &LinkPairs,
    labels: &[Option<u32>],
    n_domains: usize,
) -> Result<Vec<u32>, LinksError> {
    let groups = &transport.groups;
    for (found, of, expected) in [
        (pairs.n_peaks(), "peaks", groups.peaks.group_of.len()),
        (pairs.n_genes(), "genes", groups.genes.group_of.len()),
    ] {
        if found != expected {
            return Err(LinksError::Size { what: "the set of pairs", found, of, expected });
        }
    }
    checked(labels, n_domains, transport.n_cells())
}

/// The label of each cell, [`NONE`] for none.
pub(super) fn checked(
    labels: &[Option<u32>],
    n_domains: usize,
    n_cells: usize,
) -> Result<Vec<u32>, LinksError> {
    if labels.len() != n_cells {
        let (what, of) = ("the list of domains", "labels");
        return Err(LinksError::Size { what, found: labels.len(), of, expected: n_cells });
    }
    for (row, label) in labels.iter().enumerate() {
        if let Some(label) = label.filter(|label| *label as usize >= n_domains) {
            return Err(LinksError::LabelOutOfRange { row, label, n_domains });
        }
    }
    Ok(labels.iter().map(|label| label.unwrap_or(NONE)).collect())
}

pub(super) fn domain_sizes(labels: &[u32], n_domains: usize) -> Vec<usize> {
    let mut sizes = vec![0; n_domains];
    labels.iter().filter(|label| **label != NONE).for_each(|label| sizes[*label as usize] += 1);
    sizes
}

/// A table of `width` numbers per pair, gene by gene.
pub(super) fn by_gene<'t, V>(pairs: &LinkPairs, table: &'t mut [V], width: usize) -> Vec<(u32, &'t mut [V])> {
    let mut parts = Vec::new();
    let mut rest = table;
    for gene in 0..pairs.n_genes() {
        let (part, after) = rest.split_at_mut(pairs.of_gene(gene).len() * width);
        rest = after;
        if !part.is_empty() {
            parts.push((gene as u32, part));
        }
    }
    parts
}
