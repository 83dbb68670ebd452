//! Aggregation: groups become nodes, the edges between groups their sums.

use brodmann_kernels::arch::prefetch::prefetch;
use rayon::prelude::*;

use super::level::{Accumulator, LOOK_AHEAD_LABELS, Level, add};
use super::objective::Edges;
use super::refinement::Grouping;

/// Fewer edges than this per worker are not worth a fork.
const MIN_WORKER_EDGES: usize = 1 << 16;

/// The graph of `groups` (`0..n_groups`, all in use) and the sizes of its nodes.
///
/// Weights inside a group are dropped: they no longer take part in any move. Each worker builds a range of rows;
/// no row depends on where the ranges are cut.
pub(crate) fn aggregate<const T: usize>(
    level: &Level<'_, T>,
    groups: &[u32],
    n_groups: usize,
) -> (Edges, Vec<[f64; T]>) {
    let grouping = Grouping::new(groups, n_groups);
    let n_workers = rayon::current_num_threads()
        .min(level.edges.indices.len() / MIN_WORKER_EDGES)
        .clamp(1, n_groups.max(1));
    let rows = |range| Rows::new(level, groups, &grouping, n_groups, range);
    let parts: Vec<Rows<T>> = if n_workers == 1 {
        vec![rows(0..n_groups)]
    } else {
        let cuts = even_cuts(level, &grouping, n_workers);
        cuts.par_windows(2).map(|cut| rows(cut[0]..cut[1])).collect()
    };
    let (edges, sizes): (Vec<_>, Vec<_>) = parts.into_iter().map(|part| (part.edges, part.sizes)).unzip();
    (Edges::concatenate(edges), sizes.concat())
}

/// Bounds of `n_parts` ranges of groups with about as many edges each.
fn even_cuts<const T: usize>(level: &Level<'_, T>, grouping: &Grouping, n_parts: usize) -> Vec<usize> {
    let n_groups = grouping.starts.len() - 1;
    let per_part = level.edges.indices.len() / n_parts;
    let mut cuts = vec![0];
    let mut edges = 0;
    for g in 0..n_groups {
        edges += grouping.members(g).iter().map(|&v| level.edges.row(v as usize).0.len()).sum::<usize>();
        if edges >= per_part * cuts.len() && cuts.len() < n_parts {
            cuts.push(g + 1);
        }
    }
    cuts.push(n_groups);
    cuts
}

/// The rows of one range of groups.
struct Rows<const T: usize> {
    edges: Edges,
    sizes: Vec<[f64; T]>,
}

impl<const T: usize> Rows<T> {
    fn new(
        level: &Level<'_, T>,
        groups: &[u32],
        grouping: &Grouping,
        n_groups: usize,
        range: std::ops::Range<usize>,
    ) -> Self {
        let mut edges = Edges::with_capacity(range.len(), 0);
        let mut sizes = Vec::with_capacity(range.len());
        let mut sums = Accumulator::new(n_groups);
        let mut at = grouping.starts[range.start];
        for g in range {
            let mut size = [0.0; T];
            for &v in grouping.members(g) {
                look_ahead(level, groups, &grouping.order[at..], &sums);
                at += 1;
                add(&mut size, &level.sizes[v as usize]);
                let (neighbours, weights) = level.edges.row(v as usize);
                for (&j, &w) in neighbours.iter().zip(weights) {
                    sums.add(groups[j as usize], w);
                }
            }
            sums.drain(|other, weight| {
                // A sum of opposite weights can vanish; a zero would break the accumulator above.
                if other as usize != g && weight != 0.0 {
                    edges.indices.push(other);
                    edges.weights.push(weight);
                }
            });
            edges.indptr.push(edges.indices.len());
            sizes.push(size);
        }
        Self { edges, sizes }
    }
}

/// Asks for what the nodes after `nodes[0]` will need.
#[inline(always)]
fn look_ahead<const T: usize>(level: &Level<'_, T>, groups: &[u32], nodes: &[u32], sums: &Accumulator) {
    if let Some(&node) = nodes.get(8) {
        prefetch(&level.edges.indptr, node as usize);
    }
    if let Some(&node) = nodes.get(6) {
        level.edges.prefetch_row(node as usize);
    }
    if let Some(&node) = nodes.get(3) {
        level.edges.prefetch_neighbours(node as usize, groups);
    }
    if let Some(&node) = nodes.get(1) {
        for &j in level.edges.row(node as usize).0.iter().take(LOOK_AHEAD_LABELS) {
            sums.prefetch(groups[j as usize]);
        }
    }
}
