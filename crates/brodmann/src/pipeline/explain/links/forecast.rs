//! What links will take, before they take it: counted from sizes, the pairs, and how dense the counts are.

use brodmann_kernels::Opt;

use crate::pipeline::PipelineError;
use crate::pipeline::forecast::{Forecast, Need, every_run_bytes};
use crate::pipeline::tissue::{ModalityInfo, Tissue};

/// A stored count: of the cells by species as it is read, and of the species by cells.
const COUNT_BYTES: f64 = 8.0;
/// An edge of the graph of the embedding.
const EDGE_BYTES: f64 = 12.0;
/// Edges it has per neighbour asked for, in both directions.
const MUTUAL: f64 = 1.6;
/// Of each cell of a group with mass: cell, species, mass and potential, and as much again while they are made.
const ENTRY_BYTES: f64 = 24.0;
/// Of each pair: peak, gene, distance, strength and correlations; and of each pair and domain.
const PAIR_BYTES: f64 = 80.0;
const DOMAIN_BYTES: f64 = 120.0;
/// Buffers of a thread, per cell.
const THREAD_BYTES: f64 = 64.0;

/// What a run on the two modalities will hold at its peak.
pub(super) struct LinksWork {
    pub(super) n_obs: usize,
    /// Genes, and peaks.
    pub(super) n_vars: [usize; 2],
    /// Stored counts of each.
    pub(super) nnz: [usize; 2],
    pub(super) n_neighbors: usize,
    pub(super) n_domains: usize,
    pub(super) n_permutations: usize,
    pub(super) n_pairs: usize,
    /// Sizes of the groups of species that reach the same partners: of genes, and of peaks.
    pub(super) groups: [Vec<usize>; 2],
}

impl LinksWork {
    /// Cells with mass over all groups, were the counts spread evenly.
    fn entries(&self, side: usize) -> f64 {
        let n = self.n_obs as f64;
        let density = self.nnz[side] as f64 / (n * self.n_vars[side].max(1) as f64).max(1.0);
        self.groups[side].iter().map(|&size| n * (1.0 - (1.0 - density.min(1.0)).powi(size as i32))).sum()
    }

    pub(super) fn bytes(&self, n_threads: usize) -> u64 {
        let n = self.n_obs as f64;
        let counts: f64 = self.nnz.iter().map(|&nnz| COUNT_BYTES * nnz as f64).sum();
        let edges = n * self.n_neighbors as f64 * MUTUAL;
        let entries: f64 = (0..2).map(|side| self.entries(side)).sum();
        let tables = self.n_pairs as f64 * (PAIR_BYTES + DOMAIN_BYTES * self.n_domains as f64);
        let shuffles = n * self.n_permutations as f64;
        let threads = THREAD_BYTES * n * n_threads as f64;
        // Counts as they are read and by species; costs, and their exponentials.
        let held = 2.0 * counts + 3.0 * EDGE_BYTES * edges + threads;
        let making = 2.0 * ENTRY_BYTES * entries;
        // Correlations hold the counts by species once more, and the ranks of the peaks'.
        let judging =
            ENTRY_BYTES * entries + tables + f64::max(shuffles, counts + COUNT_BYTES * self.nnz[1] as f64);
        let every = every_run_bytes(self.n_obs, self.n_vars.iter().sum(), self.nnz[1]);
        every + (held + f64::max(making, judging)) as u64
    }
}

/// The forecast, and what to do where it does not fit.
pub(super) fn need(work: &LinksWork) -> Need<'_> {
    let forecast = Forecast { bytes: work.bytes(rayon::current_num_threads()), seconds: None };
    let advice = format!("take fewer pairs with a smaller {}, or a part of the cells", Opt("window"));
    Need { forecast, advice: Box::new(move |_| advice.clone()) }
}

/// Stored counts of a modality.
pub(super) fn nnz(tissue: &Tissue, modality: &ModalityInfo) -> Result<usize, PipelineError> {
    let cells = tissue.n_obs() * tissue.var_names(modality).len();
    Ok(tissue.counts_size(modality, None)?.map_or(cells, |size| size.nnz))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_follows_the_groups_rather_than_the_species() {
        let work = |groups: [Vec<usize>; 2]| LinksWork {
            n_obs: 10_000,
            n_vars: [2000, 50_000],
            nnz: [4_000_000, 10_000_000],
            n_neighbors: 30,
            n_domains: 5,
            n_permutations: 200,
            n_pairs: 100_000,
            groups,
        };
        // Each species its own group: as many entries as counts.
        let alone = work([vec![1; 2000], vec![1; 50_000]]);
        assert!((alone.entries(0) - 4e6).abs() < 1.0 && (alone.entries(1) - 1e7).abs() < 1.0);
        // Twenty together are seen in at most all cells.
        let together = work([vec![1; 2000], vec![20; 2500]]);
        assert!(together.entries(1) < 1e7 && together.entries(1) > 0.3 * 2500.0 * 10_000.0);
        assert!(together.bytes(2) < alone.bytes(2) && alone.bytes(2) < alone.bytes(16));
    }
}
