//! Peaks that reach the same genes as one, and genes that reach the same peaks.
//!
//! In [`super::transport()`] the sum over what a species may be moved to depends on its partners alone, so that all
//! species with the same partners share one potential but for the logarithm of their own mass. A window on a line has few
//! different sets of partners (at most two per gene and one), whatever the number of peaks.

use std::collections::HashMap;

use brodmann_kernels::ParallelLoop;
use rayon::prelude::*;

use super::masses::{Count, Masses};
use super::window::LinkPairs;

/// Species without a partner.
pub(super) const NONE: u32 = u32::MAX;

/// Peaks or genes in groups of the same partners.
#[derive(Clone, Debug)]
pub(super) struct Side {
    /// Group of each species; [`NONE`] without a partner.
    pub group_of: Vec<u32>,
    member_indptr: Vec<usize>,
    members: Vec<u32>,
    /// Where the cells of each group start.
    pub indptr: Vec<usize>,
    /// Cells in which a member has mass, by rising number.
    pub cells: Vec<u32>,
    /// Mass of all members there.
    pub mass: Vec<f64>,
    /// Members that have mass there: the potentials' start.
    pub present: Vec<u32>,
}

/// Species that have the same `partners`: the group of each ([`NONE`] without a partner), and the members of each group;
/// numbered by their first member.
pub(super) fn grouped<'a>(
    partners: impl Fn(usize) -> &'a [u32],
    n_species: usize,
) -> (Vec<u32>, Vec<Vec<u32>>) {
    let mut by_partners: HashMap<&[u32], u32> = HashMap::new();
    let mut group_of = vec![NONE; n_species];
    let mut members: Vec<Vec<u32>> = Vec::new();
    for (s, group) in group_of.iter_mut().enumerate() {
        let own = partners(s);
        if own.is_empty() {
            continue;
        }
        let next = members.len() as u32;
        *group = *by_partners.entry(own).or_insert(next);
        if *group == next {
            members.push(Vec::new());
        }
        members[*group as usize].push(s as u32);
    }
    (group_of, members)
}

impl Side {
    /// Groups numbered by their first member; `partners(s)` are those of species `s`, and masses are divided by `total`.
    fn new<'a, T: Count>(
        partners: impl Fn(usize) -> &'a [u32],
        n_species: usize,
        masses: &Masses<T>,
        total: f64,
        n_cells: usize,
    ) -> Self {
        let (group_of, all_members) = grouped(partners, n_species);
        let summed: Vec<Vec<(u32, f64, u32)>> = all_members
            .par_iter()
            .map_init(
                || (vec![0.0f64; n_cells], vec![0u32; n_cells]),
                |(mass, present), members| {
                    let mut cells = Vec::new();
                    for &s in members {
                        let (own, counts) = masses.of(s);
                        for (&cell, &count) in own.iter().zip(counts) {
                            if present[cell as usize] == 0 {
                                cells.push(cell);
                            }
                            mass[cell as usize] += count.into() / total;
                            present[cell as usize] += 1;
                        }
                    }
                    cells.sort_unstable();
                    let take = |&cell: &u32| {
                        let i = cell as usize;
                        (cell, std::mem::take(&mut mass[i]), std::mem::take(&mut present[i]))
                    };
                    cells.iter().map(take).collect()
                },
            )
            .collect_vec();
        let starts = |lengths: &mut dyn Iterator<Item = usize>| {
            let mut indptr = vec![0];
            let mut end = 0;
            indptr.extend(lengths.map(|length| {
                end += length;
                end
            }));
            indptr
        };
        let member_indptr = starts(&mut all_members.iter().map(Vec::len));
        let indptr = starts(&mut summed.iter().map(Vec::len));
        let n_entries = indptr.last().copied().unwrap_or(0);
        let (mut cells, mut mass, mut present) =
            (Vec::with_capacity(n_entries), Vec::with_capacity(n_entries), Vec::with_capacity(n_entries));
        for (cell, sum, count) in summed.into_iter().flatten() {
            cells.push(cell);
            mass.push(sum);
            present.push(count);
        }
        Self { group_of, member_indptr, members: all_members.concat(), indptr, cells, mass, present }
    }

    /// Number of groups.
    pub fn len(&self) -> usize {
        self.indptr.len() - 1
    }

    /// Species of a group.
    pub fn members(&self, group: usize) -> &[u32] {
        &self.members[self.member_indptr[group]..self.member_indptr[group + 1]]
    }

    /// Where the entries of a group lie in [`Side::cells`] and [`Side::mass`].
    pub fn entries(&self, group: usize) -> std::ops::Range<usize> {
        self.indptr[group]..self.indptr[group + 1]
    }
}

/// Both sides, which groups are partners, and the pieces they fall into.
#[derive(Clone, Debug)]
pub(super) struct Groups {
    pub peaks: Side,
    pub genes: Side,
    /// Groups of genes within reach of each group of peaks.
    pub genes_of: Vec<Vec<u32>>,
    /// Groups of peaks within reach of each group of genes.
    pub peaks_of: Vec<Vec<u32>>,
    /// Component of each group of genes, numbered by their first.
    pub component_of_genes: Vec<u32>,
    /// Component of each group of peaks.
    pub component_of_peaks: Vec<u32>,
    pub n_components: usize,
}

impl Groups {
    pub(super) fn new<T: Count>(
        pairs: &LinkPairs,
        peaks: &Masses<T>,
        genes: &Masses<T>,
        total: f64,
        n_cells: usize,
    ) -> Self {
        let (indptr, genes_by_peak) = pairs.by_peak();
        let partners = |p: usize| &genes_by_peak[indptr[p]..indptr[p + 1]];
        let peaks = Side::new(partners, pairs.n_peaks(), peaks, total, n_cells);
        let partners = |g: usize| &pairs.peaks()[pairs.of_gene(g)];
        let genes = Side::new(partners, pairs.n_genes(), genes, total, n_cells);
        let partners_of =
            |side: &Side, other: &Side, of_first: &dyn Fn(usize) -> Vec<u32>| -> Vec<Vec<u32>> {
                (0..side.len())
                    .map(|group| {
                        // All members have the same partners.
                        let first = side.members(group)[0] as usize;
                        let mut own: Vec<u32> =
                            of_first(first).iter().map(|&s| other.group_of[s as usize]).collect();
                        own.sort_unstable();
                        own.dedup();
                        own
                    })
                    .collect()
            };
        let genes_of = partners_of(&peaks, &genes, &|p| genes_by_peak[indptr[p]..indptr[p + 1]].to_vec());
        let peaks_of = partners_of(&genes, &peaks, &|g| pairs.peaks()[pairs.of_gene(g)].to_vec());
        let mut component_of_genes = vec![NONE; genes.len()];
        let mut component_of_peaks = vec![NONE; peaks.len()];
        let mut n_components = 0;
        let mut open = Vec::new();
        for start in 0..genes.len() {
            if component_of_genes[start] != NONE {
                continue;
            }
            component_of_genes[start] = n_components;
            open.push(start);
            while let Some(gene) = open.pop() {
                for &peak in &peaks_of[gene] {
                    if component_of_peaks[peak as usize] != NONE {
                        continue;
                    }
                    component_of_peaks[peak as usize] = n_components;
                    for &next in &genes_of[peak as usize] {
                        if component_of_genes[next as usize] == NONE {
                            component_of_genes[next as usize] = n_components;
                            open.push(next as usize);
                        }
                    }
                }
            }
            n_components += 1;
        }
        let n_components = n_components as usize;
        Self { peaks, genes, genes_of, peaks_of, component_of_genes, component_of_peaks, n_components }
    }
}
