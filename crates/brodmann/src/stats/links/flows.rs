//! What moves from each cell of a peak to a gene, pair by pair, without the plan being written out.

use super::groups::NONE;
use super::masses::Count;
use super::transport::Transport;
use super::window::LinkPairs;

/// The flows of one pair, by rising cell of the peak; units are those of the counts.
pub(super) struct PairFlow<'a> {
    /// Place of the pair.
    pub pair: usize,
    pub cells: &'a [u32],
    /// To the gene in all cells.
    pub all: &'a [f64],
    /// To the gene in cells of the same domain; 0 from a cell without one.
    pub within: &'a [f64],
}

/// Buffers of one thread, and what all genes share.
pub(super) struct Flows<'a, T> {
    transport: &'a Transport<T>,
    pairs: &'a LinkPairs,
    /// Domain of each cell, [`NONE`] without.
    labels: &'a [u32],
    n_domains: usize,
    gene: Vec<f64>,
    by_domain: Vec<f64>,
    /// Sums over the gene's cells seen from each cell, valid where `seen` is the gene.
    sums: Vec<[f64; 2]>,
    seen: Vec<u32>,
    scaling: Vec<f64>,
    all: Vec<f64>,
    within: Vec<f64>,
}

impl<'a, T: Count> Flows<'a, T> {
    pub(super) fn new(
        transport: &'a Transport<T>,
        pairs: &'a LinkPairs,
        labels: &'a [u32],
        n_domains: usize,
    ) -> Self {
        let n = transport.n_cells();
        Self {
            transport,
            pairs,
            labels,
            n_domains,
            gene: vec![0.0; n],
            by_domain: vec![0.0; n_domains],
            sums: vec![[0.0; 2]; n],
            seen: vec![NONE; n],
            scaling: vec![0.0; n],
            all: Vec::new(),
            within: Vec::new(),
        }
    }

    /// Calls `f` on every pair of the gene.
    pub(super) fn of_gene(&mut self, gene: u32, mut f: impl FnMut(PairFlow<'_>)) {
        let transport = self.transport;
        let group = transport.groups.genes.group_of[gene as usize];
        if group == NONE {
            return;
        }
        let total = self.spread(gene, group as usize);
        let range = self.pairs.of_gene(gene as usize);
        for &peaks in &transport.groups.peaks_of[group as usize] {
            for (cell, s) in transport.peak_scaling(peaks as usize) {
                self.scaling[cell as usize] = s;
                if self.seen[cell as usize] != gene {
                    self.seen[cell as usize] = gene;
                    self.sums[cell as usize] = self.seen_from(cell as usize, total);
                }
            }
            for &peak in transport.groups.peaks.members(peaks as usize) {
                let Ok(place) = self.pairs.peaks()[range.clone()].binary_search(&peak) else { continue };
                let (cells, counts) = transport.peaks.of(peak);
                self.all.clear();
                self.within.clear();
                for (&cell, &count) in cells.iter().zip(counts) {
                    let u = count.into() * self.scaling[cell as usize];
                    let [all, within] = self.sums[cell as usize];
                    self.all.push(u * all);
                    self.within.push(u * within);
                }
                f(PairFlow { pair: range.start + place, cells, all: &self.all, within: &self.within });
            }
        }
    }

    /// Writes `exp(g / ε)` of the gene to all cells; its sum.
    fn spread(&mut self, gene: u32, group: usize) -> f64 {
        let transport = self.transport;
        self.gene.fill(0.0);
        self.by_domain.fill(0.0);
        let mut total = 0.0;
        let (cells, counts) = transport.genes.of(gene);
        let mut scaling = transport.gene_scaling(group);
        for (&cell, &count) in cells.iter().zip(counts) {
            let Some((_, s)) = scaling.find(|(c, _)| *c == cell) else { continue };
            let v = count.into() / transport.total() * s;
            self.gene[cell as usize] = v;
            total += v;
            if self.labels[cell as usize] != NONE {
                self.by_domain[self.labels[cell as usize] as usize] += v;
            }
        }
        debug_assert!(self.by_domain.len() == self.n_domains);
        total
    }

    /// `Σⱼ K_ij vⱼ` over all cells, and over those of the domain of `i`.
    fn seen_from(&self, i: usize, total: f64) -> [f64; 2] {
        let kernel = &self.transport.kernel;
        let (columns, values) = kernel.near.view().row(i);
        let label = self.labels[i];
        let mut sums = [0.0; 2];
        for (&j, &k) in columns.iter().zip(values) {
            let part = k * self.gene[j as usize];
            sums[0] += part;
            sums[1] += if self.labels[j as usize] == label { part } else { 0.0 };
        }
        sums[0] += kernel.background * total;
        if label == NONE {
            return [sums[0], 0.0];
        }
        sums[1] += kernel.background * self.by_domain[label as usize];
        sums
    }
}
