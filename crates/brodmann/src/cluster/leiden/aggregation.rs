//! Aggregation: groups become nodes, the edges between groups their sums.

use rayon::prelude::*;

use super::level::{Accumulator, Level, add};
use super::objective::Edges;
use super::refinement::Grouping;

/// Rough number of edges per parallel task.
const TASK_EDGES: usize = 1 << 18;

/// The graph of `groups` (`0..n_groups`, all in use) and the sizes of its nodes.
///
/// Weights inside a group are dropped: they no longer take part in any move.
pub(crate) fn aggregate<const T: usize>(
    level: &Level<'_, T>,
    groups: &[u32],
    n_groups: usize,
) -> (Edges, Vec<[f64; T]>) {
    let grouping = Grouping::new(groups, n_groups);
    let n_tasks = (level.edges.indices.len() / TASK_EDGES).clamp(1, n_groups.max(1));
    let per_task = n_groups.div_ceil(n_tasks).max(1);
    // One accumulator per worker, not per task: it has a slot for every group.
    let workers = rayon::current_num_threads().min(n_tasks).max(1);
    let tasks: Vec<usize> = (0..n_groups.div_ceil(per_task)).collect();
    let mut parts: Vec<Option<Part<T>>> = Vec::new();
    parts.resize_with(tasks.len(), || None);
    let per_worker = tasks.len().div_ceil(workers).max(1);
    tasks.par_chunks(per_worker).zip(parts.par_chunks_mut(per_worker)).for_each(|(tasks, parts)| {
        let mut sums = Accumulator::new(n_groups);
        for (&task, part) in tasks.iter().zip(parts) {
            let range = task * per_task..n_groups.min((task + 1) * per_task);
            *part = Some(Part::new(level, groups, &grouping, range, &mut sums));
        }
    });
    let nnz = parts.iter().flatten().map(|p| p.indices.len()).sum();
    let mut edges = Edges {
        indptr: Vec::with_capacity(n_groups + 1),
        indices: Vec::with_capacity(nnz),
        weights: Vec::with_capacity(nnz),
    };
    edges.indptr.push(0);
    let mut sizes = Vec::with_capacity(n_groups);
    for part in parts.into_iter().flatten() {
        let base = edges.indices.len();
        edges.indptr.extend(part.ends.iter().map(|end| base + end));
        edges.indices.extend_from_slice(&part.indices);
        edges.weights.extend_from_slice(&part.weights);
        sizes.extend_from_slice(&part.sizes);
    }
    (edges, sizes)
}

/// The rows of one range of groups.
struct Part<const T: usize> {
    ends: Vec<usize>,
    indices: Vec<u32>,
    weights: Vec<f64>,
    sizes: Vec<[f64; T]>,
}

impl<const T: usize> Part<T> {
    fn new(
        level: &Level<'_, T>,
        groups: &[u32],
        grouping: &Grouping,
        range: std::ops::Range<usize>,
        sums: &mut Accumulator,
    ) -> Self {
        let mut part = Self {
            ends: Vec::with_capacity(range.len()),
            indices: Vec::new(),
            weights: Vec::new(),
            sizes: Vec::with_capacity(range.len()),
        };
        for g in range {
            let mut size = [0.0; T];
            for &v in grouping.members(g) {
                add(&mut size, &level.sizes[v as usize]);
                let (neighbours, weights) = level.edges.row(v as usize);
                for (&j, &w) in neighbours.iter().zip(weights) {
                    sums.add(groups[j as usize], w);
                }
            }
            sums.drain(|other, weight| {
                // A sum of opposite weights can vanish; a zero would break the accumulator above.
                if other as usize != g && weight != 0.0 {
                    part.indices.push(other);
                    part.weights.push(weight);
                }
            });
            part.ends.push(part.indices.len());
            part.sizes.push(size);
        }
        part
    }
}
