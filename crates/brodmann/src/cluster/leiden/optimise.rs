//! The Leiden iteration: move, refine, aggregate, level by level, until nothing moves.

use brodmann_kernels::{Interrupted, Monitor, Seed};

use super::adjacency::{Adjacency, LayerEdges};
use super::aggregation::{aggregate, aggregate_sizes};
use super::level::Level;
use super::local_moving::move_nodes;
use super::objective::{Term, node_sizes};
use super::refinement::{Grouping, Refined, refine};

/// A level with more than this part of the ground's entries is given up before the next is built, from the ground:
/// a little more work, and never two large copies at a time.
const GROUND_SHARE: usize = 3;

/// What an optimisation ended with.
pub(crate) struct Outcome {
    /// Labels `0..n_communities`.
    pub communities: Vec<u32>,
    pub n_iterations: u32,
    pub converged: bool,
}

/// Settings of one optimisation.
pub(crate) struct Settings<'a> {
    pub n_iterations: Option<u32>,
    pub randomness: f64,
    /// Compact labels to start from; `None`: every node alone.
    pub initial: Option<&'a [u32]>,
    pub seed: Seed,
}

/// Optimises from the settings' start with as many terms as the layers need.
pub(crate) fn optimise(
    edges: &LayerEdges<'_>,
    terms: &[Term<'_>],
    settings: &Settings<'_>,
    monitor: &dyn Monitor,
) -> Result<Outcome, Interrupted> {
    // The number of terms is a compile-time constant in the hot loops; zero terms pad to the next size, and leave the same
    // bits. Each size is a copy of the whole, so what is rare has none of its own.
    match terms.len() {
        0 | 1 => run::<1>(edges, terms, settings, monitor),
        2 => run::<2>(edges, terms, settings, monitor),
        3 => run::<3>(edges, terms, settings, monitor),
        4 => run::<4>(edges, terms, settings, monitor),
        5..=8 => run::<8>(edges, terms, settings, monitor),
        _ => run::<32>(edges, terms, settings, monitor),
    }
}

fn run<const T: usize>(
    edges: &LayerEdges<'_>,
    terms: &[Term<'_>],
    settings: &Settings<'_>,
    monitor: &dyn Monitor,
) -> Result<Outcome, Interrupted> {
    let n = edges.n_nodes();
    let (sizes, mut signs) = node_sizes::<T>(n, terms);
    // Gains in the unit of the weights.
    for sign in &mut signs {
        *sign /= edges.unit();
    }
    let ground = Level::new(edges, &sizes, signs);
    let mut communities: Vec<u32> = settings.initial.map_or_else(|| (0..n as u32).collect(), <[u32]>::to_vec);
    let mut n_iterations = 0;
    let mut converged = false;
    while !converged && settings.n_iterations.is_none_or(|limit| n_iterations < limit) {
        let seed = settings.seed.derive("leiden/iteration", u64::from(n_iterations));
        let mut climb = Climb { depth: 0, changed: false, theta: settings.randomness, seed, monitor };
        climb.pass(&ground, &mut communities)?;
        converged = !climb.changed;
        n_iterations += 1;
        monitor.advance(1);
    }
    Ok(Outcome { communities, n_iterations, converged })
}

/// One pass over all levels.
struct Climb<'a> {
    /// Levels visited.
    depth: u64,
    changed: bool,
    theta: f64,
    seed: Seed,
    monitor: &'a dyn Monitor,
}

impl Climb<'_> {
    /// Labels are compact before and after.
    fn pass<G: Adjacency, const T: usize>(
        &mut self,
        ground: &Level<'_, G, T>,
        communities: &mut [u32],
    ) -> Result<(), Interrupted> {
        let n_communities = compact_in_place(communities);
        let Some(refined) = self.step(ground, communities, n_communities)? else { return Ok(()) };
        // Node of the present level that holds each ground node.
        let mut holder = refined.groups;
        let mut labels = refined.community_of_group;
        let grouping = Grouping::new(&holder, labels.len());
        let mut sizes = aggregate_sizes(ground.sizes, &grouping);
        let mut edges = aggregate(ground.edges, &holder, &grouping);
        drop(grouping);
        loop {
            let level = Level::new(&edges, &sizes, ground.signs);
            let n_labels = count(&labels);
            let Some(refined) = self.step(&level, &mut labels, n_labels)? else { break };
            labels = refined.community_of_group;
            for h in &mut holder {
                *h = refined.groups[*h as usize];
            }
            let grouping = Grouping::new(&refined.groups, labels.len());
            sizes = aggregate_sizes(&sizes, &grouping);
            edges = if edges.n_entries() <= ground.edges.n_entries() / GROUND_SHARE {
                aggregate(&edges, &refined.groups, &grouping)
            } else {
                drop((edges, grouping));
                aggregate(ground.edges, &holder, &Grouping::new(&holder, labels.len()))
            };
        }
        for (community, &h) in communities.iter_mut().zip(&holder) {
            *community = labels[h as usize];
        }
        compact_in_place(communities);
        Ok(())
    }

    /// Moves and refines one level. Returns the nodes of the next; `None` if every community is one node, so that
    /// the hierarchy is complete. Labels are compact before and after.
    fn step<G: Adjacency, const T: usize>(
        &mut self,
        level: &Level<'_, G, T>,
        labels: &mut [u32],
        n_labels: usize,
    ) -> Result<Option<Refined>, Interrupted> {
        self.depth += 1;
        let seed = |purpose| self.seed.derive(purpose, self.depth);
        let moves = move_nodes(level, labels, n_labels, seed("leiden/move"), self.monitor)?;
        let n_labels = compact_in_place(labels);
        self.changed |= moves > 0;
        if n_labels == level.n_nodes() {
            return Ok(None);
        }
        let refined = refine(level, labels, n_labels, self.theta, seed("leiden/refine"), self.monitor)?;
        if refined.community_of_group.len() < level.n_nodes() {
            return Ok(Some(refined));
        }
        // No two nodes merged: go on with whole communities, or with their parts where they fall apart.
        let parts = connected_parts(level.edges, labels, n_labels);
        if parts.community_of_group.len() == level.n_nodes() {
            labels.copy_from_slice(&parts.groups);
            self.changed = true;
            return Ok(None);
        }
        Ok(Some(parts))
    }
}

/// Number of communities of groups, which are numbered community by community.
fn count(community_of_group: &[u32]) -> usize {
    community_of_group.last().map_or(0, |c| *c as usize + 1)
}

/// The connected parts of each community (edges of positive weight), numbered community by community.
fn connected_parts<G: Adjacency>(edges: &G, communities: &[u32], n_communities: usize) -> Refined {
    let n = communities.len();
    let grouping = Grouping::new(communities, n_communities);
    let mut groups = vec![u32::MAX; n];
    let mut community_of_group = Vec::new();
    let mut stack = Vec::new();
    for &v in &grouping.order {
        if groups[v as usize] != u32::MAX {
            continue;
        }
        let group = community_of_group.len() as u32;
        let community = communities[v as usize];
        community_of_group.push(community);
        groups[v as usize] = group;
        stack.push(v);
        while let Some(u) = stack.pop() {
            edges.for_each(u as usize, |j, w| {
                if w > 0.0 && communities[j as usize] == community && groups[j as usize] == u32::MAX {
                    groups[j as usize] = group;
                    stack.push(j);
                }
            });
        }
    }
    Refined { groups, community_of_group }
}

/// Renumbers labels below `labels.len()` to `0..k` in order of first use; returns `k`.
fn compact_in_place(labels: &mut [u32]) -> usize {
    let mut number = vec![u32::MAX; labels.len()];
    let mut next = 0;
    for label in labels {
        let slot = &mut number[*label as usize];
        if *slot == u32::MAX {
            *slot = next;
            next += 1;
        }
        *label = *slot;
    }
    next as usize
}
