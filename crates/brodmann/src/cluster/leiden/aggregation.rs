//! Aggregation: groups become nodes, the edges between groups their sums.

use brodmann_kernels::ParallelLoop;
use rayon::prelude::*;

use super::adjacency::{Adjacency, Edges};
use super::level::{Accumulator, add};
use super::refinement::Grouping;

/// Fewer edges than this per worker are not worth a fork.
const MIN_WORKER_EDGES: usize = 1 << 16;

/// The sizes of the groups of `grouping`.
pub(crate) fn aggregate_sizes<const T: usize>(sizes: &[[f64; T]], grouping: &Grouping) -> Vec<[f64; T]> {
    let total = |g: usize| {
        let mut total = [0.0; T];
        for &v in grouping.members(g) {
            add(&mut total, &sizes[v as usize]);
        }
        total
    };
    (0..grouping.n_groups()).map(total).collect()
}

/// The graph of `groups` (`0..n_groups`, all in use); rows of those that are `frozen` (none where the list is empty) stay
/// empty, since nobody reads them.
///
/// Weights inside a group are dropped: they no longer take part in any move. Each worker builds a range of rows;
/// no row depends on where the ranges are cut. Workers write into one array, each from where its range starts if no
/// two edges become one; what stays empty between them is closed afterwards and never was more than an address.
pub(crate) fn aggregate<G: Adjacency>(
    edges: &G,
    groups: &[u32],
    grouping: &Grouping,
    frozen: &[bool],
) -> Edges {
    let n_groups = grouping.n_groups();
    let n_workers =
        rayon::current_num_threads().min(edges.n_entries() / MIN_WORKER_EDGES).clamp(1, n_groups.max(1));
    let ranges = even_ranges(edges, grouping, frozen, n_workers);
    let mut lengths = vec![0u32; n_groups];
    let mut indices = vec![0u32; edges.n_entries()];
    let mut weights = vec![0.0f32; edges.n_entries()];
    let mut tasks = Vec::with_capacity(ranges.len());
    let (mut rest_lengths, mut rest_indices, mut rest_weights) =
        (lengths.as_mut_slice(), indices.as_mut_slice(), weights.as_mut_slice());
    for range in &ranges {
        let (lengths, tail) = rest_lengths.split_at_mut(range.groups.len());
        rest_lengths = tail;
        let (indices, tail) = rest_indices.split_at_mut(range.n_entries);
        rest_indices = tail;
        let (weights, tail) = rest_weights.split_at_mut(range.n_entries);
        rest_weights = tail;
        tasks.push((range.groups.clone(), Rows { lengths, indices, weights }));
    }
    let build = |(groups_of_range, mut rows): (std::ops::Range<usize>, Rows<'_>)| {
        rows.fill(edges, (groups, grouping), frozen, groups_of_range)
    };
    let written: Vec<usize> = if tasks.len() > 1 {
        tasks.into_par_iter().map(build).collect_vec()
    } else {
        tasks.into_iter().map(build).collect()
    };
    let (mut end, mut from) = (0, 0);
    for (range, n) in ranges.iter().zip(written) {
        indices.copy_within(from..from + n, end);
        weights.copy_within(from..from + n, end);
        end += n;
        from += range.n_entries;
    }
    indices.truncate(end);
    indices.shrink_to_fit();
    weights.truncate(end);
    weights.shrink_to_fit();
    let mut indptr = Vec::with_capacity(n_groups + 1);
    indptr.push(0);
    let mut at = 0;
    indptr.extend(lengths.iter().map(|&n| {
        at += n as usize;
        at
    }));
    Edges { indptr, indices, weights }
}

/// Groups for one worker, and the entries of all their members.
struct Share {
    groups: std::ops::Range<usize>,
    n_entries: usize,
}

/// `n_parts` ranges of groups with about as many edges each.
fn even_ranges<G: Adjacency>(edges: &G, grouping: &Grouping, frozen: &[bool], n_parts: usize) -> Vec<Share> {
    let n_groups = grouping.n_groups();
    if n_parts == 1 {
        return vec![Share { groups: 0..n_groups, n_entries: edges.n_entries() }];
    }
    let entries = |g: usize| -> usize {
        if frozen.get(g).is_some_and(|frozen| *frozen) {
            return 0;
        }
        grouping.members(g).iter().map(|&v| edges.degree(v as usize)).sum()
    };
    let all = if frozen.is_empty() { edges.n_entries() } else { (0..n_groups).map(entries).sum() };
    let per_part = all / n_parts;
    let mut shares = Vec::with_capacity(n_parts);
    let (mut start, mut n_entries, mut seen) = (0, 0, 0);
    for g in 0..n_groups {
        n_entries += entries(g);
        if seen + n_entries >= per_part * (shares.len() + 1) && shares.len() + 1 < n_parts {
            shares.push(Share { groups: start..g + 1, n_entries });
            (start, seen, n_entries) = (g + 1, seen + n_entries, 0);
        }
    }
    shares.push(Share { groups: start..n_groups, n_entries });
    shares
}

/// Where one worker writes.
struct Rows<'a> {
    /// Entries of each row.
    lengths: &'a mut [u32],
    indices: &'a mut [u32],
    weights: &'a mut [f32],
}

impl Rows<'_> {
    /// Writes the rows of `range`; returns how many entries they have.
    fn fill<G: Adjacency>(
        &mut self,
        edges: &G,
        (groups, grouping): (&[u32], &Grouping),
        frozen: &[bool],
        range: std::ops::Range<usize>,
    ) -> usize {
        let mut sums = Accumulator::new(grouping.n_groups());
        let mut at = grouping.starts[range.start];
        let mut end = 0;
        for (g, length) in range.zip(&mut *self.lengths) {
            if frozen.get(g).is_some_and(|frozen| *frozen) {
                at += grouping.members(g).len();
                continue;
            }
            for &v in grouping.members(g) {
                look_ahead(edges, groups, &grouping.order[at..], &sums);
                at += 1;
                edges.for_each(v as usize, |j, w| sums.add(groups[j as usize], w));
            }
            let start = end;
            sums.drain(|other, weight| {
                // What vanishes is no edge; a zero would break the accumulator above.
                let weight = weight as f32;
                if other as usize != g && weight != 0.0 {
                    self.indices[end] = other;
                    self.weights[end] = weight;
                    end += 1;
                }
            });
            // Neighbours are at most as many as nodes, which are below u32::MAX.
            *length = (end - start) as u32;
        }
        end
    }
}

/// Asks for what the nodes after `nodes[0]` will need.
#[inline(always)]
fn look_ahead<G: Adjacency>(edges: &G, groups: &[u32], nodes: &[u32], sums: &Accumulator) {
    if let Some(&node) = nodes.get(8) {
        edges.prefetch_start(node as usize);
    }
    if let Some(&node) = nodes.get(6) {
        edges.prefetch_row(node as usize);
    }
    if let Some(&node) = nodes.get(3) {
        edges.prefetch_neighbours(node as usize, groups);
    }
    if let Some(&node) = nodes.get(1) {
        edges.peek(node as usize, |j| sums.prefetch(groups[j as usize]));
    }
}
