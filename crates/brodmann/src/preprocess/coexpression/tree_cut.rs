//! Modules of a dendrogram: each branch is cut at a height of its own.
//!
//! A height that separates one pair of branches splits or swallows others, so branches are judged by their shape. From
//! the leaves upwards, a branch that meets another is a module when it is large enough, its core is tight, and the height
//! at which it meets the other lies well above its core. Two modules that meet stay two; what is not a module joins the
//! branch it meets.

use brodmann_kernels::ParallelLoop;
use rayon::prelude::*;

/// Two nodes made one; leaves are `0..n`, the k-th merge is node `n + k`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Merge {
    /// One node.
    pub left: usize,
    /// The other.
    pub right: usize,
    /// Their distance.
    pub height: f64,
}

/// Options of [`cut_tree()`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeCutOptions {
    /// Leaves of the smallest module.
    pub min_size: usize,
    /// How readily a branch is split: 0 to 4.
    pub deep_split: u8,
}

/// Largest core scatter by `deep_split`, as a share of the range of heights.
const CORE_SCATTER: [f64; 5] = [0.64, 0.73, 0.82, 0.91, 0.95];
/// Smallest gap, as a share of what the core leaves.
const GAP: f64 = 0.75;
/// Share of the range of heights below which merges count.
const CUT: f64 = 0.99;
/// Quantile of the heights at which the range begins.
const REFERENCE: f64 = 0.05;

/// Module of each leaf: 1 is the largest, ties by the lowest leaf; 0 is none.
///
/// With the range of heights from their 5 % quantile to 99 % of the way to the largest, a branch is a module when
/// * it has `min_size` leaves,
/// * the mean distance `d` within its core, the `min_size / 2 + √(size − min_size / 2)` leaves that joined first, is in the
///   lowest 64, 73, 82, 91 or 95 % of the range (`deep_split` 0 to 4),
/// * it meets the next branch (or the end of the range) at least three quarters of the rest of the range above `d`.
///
/// Leaves in no module are then added to the nearest by mean distance, where they are no farther from it than its own
/// farthest leaf.
///
/// # Inputs
/// `merges`: `n − 1`, by rising height. `distances`: upper triangle, row by row.
/// # Cost
/// O(n²) time at most, O(n · modules) memory.
/// # Source
/// Langfelder, Zhang & Horvath 2008, Bioinformatics 24:719 (the hybrid variant).
/// # Differences
/// Leaves are added up to the farthest member of a module; there up to the cut height or the diameter around a medoid.
///
/// # Example
///
/// ```
/// use brodmann::preprocess::coexpression::tree_cut::{Merge, TreeCutOptions, cut_tree};
///
/// // Two pairs far from each other.
/// let merge = |left, right, height| Merge { left, right, height };
/// let merges = [merge(0, 1, 0.1), merge(2, 3, 0.2), merge(4, 5, 1.0)];
/// let distances = [0.1, 1.0, 1.0, 1.0, 1.0, 0.2];
/// let options = TreeCutOptions { min_size: 2, deep_split: 2 };
/// assert_eq!(cut_tree(&merges, &distances, 4, &options), [1, 1, 2, 2]);
/// ```
///
/// # Panics
/// When the tree or the distances are not those of `n` leaves.
pub fn cut_tree(merges: &[Merge], distances: &[f32], n: usize, options: &TreeCutOptions) -> Vec<u32> {
    assert_eq!(merges.len(), n.saturating_sub(1), "cut_tree: a tree of other leaves");
    assert_eq!(distances.len(), n * n.saturating_sub(1) / 2, "cut_tree: distances of other leaves");
    let mut labels = vec![0u32; n];
    let (Some(_), Some(last)) = (merges.first(), merges.last()) else { return labels };
    let low = merges[((merges.len() - 1) as f64 * REFERENCE).floor() as usize].height;
    let range = CUT * (last.height - low);
    let share = CORE_SCATTER[usize::from(options.deep_split).min(CORE_SCATTER.len() - 1)];
    let triangle = Triangle { distances, n };
    let rule = Rule {
        triangle,
        min_size: options.min_size,
        most_scatter: low + share * range,
        least_gap: GAP * (1.0 - share) * range,
    };

    let mut modules: Vec<Vec<u32>> = Vec::new();
    let mut branches: Vec<Option<Branch>> =
        (0..n).map(|leaf| Some(Branch::Open(vec![leaf as u32]))).collect();
    for merge in merges {
        let joined = match (branches[merge.left].take(), branches[merge.right].take()) {
            (Some(left), Some(right)) if merge.height <= low + range => {
                Some(left.meet(right, merge.height, &rule, &mut modules))
            }
            // Above the range nothing meets: branches end there.
            (left, right) => {
                for branch in [left, right].into_iter().flatten() {
                    branch.close(low + range, &rule, &mut modules);
                }
                None
            }
        };
        branches.push(joined);
    }
    for branch in branches.into_iter().flatten() {
        branch.close(low + range, &rule, &mut modules);
    }

    let of_leaf = add_nearest(&triangle, &modules);
    let mut all: Vec<Vec<usize>> = vec![Vec::new(); modules.len()];
    of_leaf.iter().enumerate().for_each(|(leaf, m)| {
        if let Some(m) = m {
            all[*m].push(leaf);
        }
    });
    all.sort_by_key(|members| (std::cmp::Reverse(members.len()), members.first().copied()));
    for (m, members) in all.iter().enumerate() {
        for &leaf in members {
            labels[leaf] = m as u32 + 1;
        }
    }
    labels
}

/// Distances of all pairs.
#[derive(Clone, Copy)]
struct Triangle<'a> {
    distances: &'a [f32],
    n: usize,
}

impl Triangle<'_> {
    fn of(&self, a: usize, b: usize) -> f64 {
        let (i, j) = (a.min(b), a.max(b));
        if i == j {
            return 0.0;
        }
        f64::from(self.distances[i * self.n - i * (i + 1) / 2 + j - i - 1])
    }
}

/// What makes a branch a module.
struct Rule<'a> {
    triangle: Triangle<'a>,
    min_size: usize,
    most_scatter: f64,
    least_gap: f64,
}

impl Rule<'_> {
    /// Whether leaves, in the order in which they joined, are a module that ends at `height`.
    fn is_module(&self, leaves: &[u32], height: f64) -> bool {
        if leaves.len() < self.min_size {
            return false;
        }
        let base = (self.min_size / 2).max(1);
        let rest = leaves.len().saturating_sub(base) as f64;
        let core = &leaves[..leaves.len().min(base + rest.sqrt() as usize).max(2).min(leaves.len())];
        let (mut sum, mut pairs) = (0.0, 0u32);
        for (at, &a) in core.iter().enumerate() {
            for &b in &core[at + 1..] {
                sum += self.triangle.of(a as usize, b as usize);
                pairs += 1;
            }
        }
        let scatter = sum / f64::from(pairs.max(1));
        scatter <= self.most_scatter && height - scatter >= self.least_gap
    }
}

enum Branch {
    /// Leaves in the order in which they joined.
    Open(Vec<u32>),
    /// Modules met below: what joins from here on belongs to none of them.
    Divided,
}

impl Branch {
    fn meet(self, other: Self, height: f64, rule: &Rule<'_>, modules: &mut Vec<Vec<u32>>) -> Self {
        let (mut larger, smaller) = match (self, other) {
            (Self::Open(a), Self::Open(b)) => {
                match (rule.is_module(&a, height), rule.is_module(&b, height)) {
                    (true, true) => {
                        modules.extend([a, b]);
                        return Self::Divided;
                    }
                    (false, true) => (b, a),
                    // The larger; of two alike the one that comes first.
                    (false, false) if (b.len(), a.first()) > (a.len(), b.first()) => (b, a),
                    (true | false, false) => (a, b),
                }
            }
            (Self::Open(leaves), Self::Divided) | (Self::Divided, Self::Open(leaves)) => {
                if rule.is_module(&leaves, height) {
                    modules.push(leaves);
                }
                return Self::Divided;
            }
            (Self::Divided, Self::Divided) => return Self::Divided,
        };
        larger.extend(smaller);
        Self::Open(larger)
    }

    fn close(self, height: f64, rule: &Rule<'_>, modules: &mut Vec<Vec<u32>>) {
        if let Self::Open(leaves) = self
            && rule.is_module(&leaves, height)
        {
            modules.push(leaves);
        }
    }
}

/// Module of each leaf, those in none added to the nearest where they are near enough.
fn add_nearest(triangle: &Triangle<'_>, modules: &[Vec<u32>]) -> Vec<Option<usize>> {
    let mut of_leaf: Vec<Option<usize>> = vec![None; triangle.n];
    for (m, members) in modules.iter().enumerate() {
        for &leaf in members {
            of_leaf[leaf as usize] = Some(m);
        }
    }
    let mean = |leaf: usize, members: &[u32]| {
        let others = members.iter().filter(|&&b| b as usize != leaf).count().max(1);
        members.iter().map(|&b| triangle.of(leaf, b as usize)).sum::<f64>() / others as f64
    };
    let radius: Vec<f64> = modules
        .par_iter()
        .map(|members| members.iter().map(|&leaf| mean(leaf as usize, members)).fold(0.0, f64::max))
        .collect_vec();
    let found: Vec<Option<usize>> = (0..triangle.n)
        .into_par_iter()
        .map(|leaf| {
            if of_leaf[leaf].is_some() {
                return of_leaf[leaf];
            }
            let near = modules.iter().enumerate().map(|(m, members)| (mean(leaf, members), m));
            let (distance, m) = near.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))?;
            (distance <= radius[m]).then_some(m)
        })
        .collect_vec();
    found
}
