//! The Leiden iteration: move, refine, aggregate, level by level, until nothing moves.

use std::cell::Cell;

use brodmann_kernels::{Interrupted, Monitor, Seed};

use super::aggregation::aggregate;
use super::level::Level;
use super::local_moving::move_nodes;
use super::objective::{Edges, Term, node_sizes};
use super::refinement::{Grouping, Refined, refine};

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
    edges: &Edges,
    terms: &[Term],
    settings: &Settings<'_>,
    monitor: &dyn Monitor,
) -> Result<Outcome, Interrupted> {
    // The number of terms is a compile-time constant in the hot loops; zero terms pad to the next size.
    match terms.len() {
        0 | 1 => run::<1>(edges, terms, settings, monitor),
        2 => run::<2>(edges, terms, settings, monitor),
        3 => run::<3>(edges, terms, settings, monitor),
        4 => run::<4>(edges, terms, settings, monitor),
        5 | 6 => run::<6>(edges, terms, settings, monitor),
        7 | 8 => run::<8>(edges, terms, settings, monitor),
        9..=16 => run::<16>(edges, terms, settings, monitor),
        _ => run::<32>(edges, terms, settings, monitor),
    }
}

fn run<const T: usize>(
    edges: &Edges,
    terms: &[Term],
    settings: &Settings<'_>,
    monitor: &dyn Monitor,
) -> Result<Outcome, Interrupted> {
    let n = edges.n_nodes();
    let (sizes, signs) = node_sizes::<T>(n, terms);
    let ground = Level::new(edges, &sizes, signs);
    let theta = settings.randomness * edges.mean_weight();
    let mut communities: Vec<u32> = settings.initial.map_or_else(|| (0..n as u32).collect(), <[u32]>::to_vec);
    let mut n_iterations = 0;
    let mut converged = false;
    while !converged && settings.n_iterations.is_none_or(|limit| n_iterations < limit) {
        let seed = settings.seed.derive("leiden/iteration", u64::from(n_iterations));
        converged = !iterate(&ground, &mut communities, theta, seed, monitor)?;
        n_iterations += 1;
        monitor.advance(1);
    }
    Ok(Outcome { communities, n_iterations, converged })
}

/// One pass over all levels. Returns whether anything changed; labels are compact before and after.
fn iterate<const T: usize>(
    ground: &Level<'_, T>,
    communities: &mut [u32],
    theta: f64,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<bool, Interrupted> {
    let mut depth = 0;
    let mut n_communities = compact_in_place(communities);
    let changed = Cell::new(false);
    let mut step = |level: &Level<'_, T>, labels: &mut [u32], n_labels: usize| -> Result<Step, Interrupted> {
        depth += 1;
        let moves = move_nodes(level, labels, n_labels, seed.derive("leiden/move", depth), monitor)?;
        let n_labels = compact_in_place(labels);
        changed.set(changed.get() || moves > 0);
        if n_labels == level.n_nodes() {
            return Ok(Step::Done);
        }
        let refined = refine(level, labels, n_labels, theta, seed.derive("leiden/refine", depth), monitor)?;
        if refined.community_of_group.len() < level.n_nodes() {
            return Ok(Step::Groups(refined));
        }
        // No two nodes merged: go on with whole communities, or with their parts where they fall apart.
        let parts = connected_parts(level.edges, labels, n_labels);
        if parts.community_of_group.len() == level.n_nodes() {
            labels.copy_from_slice(&parts.groups);
            changed.set(true);
            return Ok(Step::Done);
        }
        Ok(Step::Groups(parts))
    };

    let mut refined = match step(ground, communities, n_communities)? {
        Step::Done => return Ok(changed.get()),
        Step::Groups(refined) => refined,
    };
    // Node of the current level that holds each ground node.
    let mut holder = std::mem::take(&mut refined.groups);
    n_communities = refined.community_of_group.last().map_or(0, |c| *c as usize + 1);
    let (mut edges, mut sizes) = aggregate(ground, &holder, refined.community_of_group.len());
    let mut labels = refined.community_of_group;
    loop {
        let level = Level::new(&edges, &sizes, ground.signs);
        match step(&level, &mut labels, n_communities)? {
            Step::Done => break,
            Step::Groups(groups) => {
                n_communities = groups.community_of_group.last().map_or(0, |c| *c as usize + 1);
                let next = aggregate(&level, &groups.groups, groups.community_of_group.len());
                for h in &mut holder {
                    *h = groups.groups[*h as usize];
                }
                labels = groups.community_of_group;
                (edges, sizes) = next;
            }
        }
    }
    for (community, &h) in communities.iter_mut().zip(&holder) {
        *community = labels[h as usize];
    }
    compact_in_place(communities);
    Ok(changed.get())
}

/// How a level ended.
enum Step {
    /// Every community is one node: the hierarchy is complete.
    Done,
    /// The nodes of the next level.
    Groups(Refined),
}

/// The connected parts of each community (edges of positive weight), numbered community by community.
fn connected_parts(edges: &Edges, communities: &[u32], n_communities: usize) -> Refined {
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
            let (neighbours, weights) = edges.row(u as usize);
            for (&j, &w) in neighbours.iter().zip(weights) {
                if w > 0.0 && communities[j as usize] == community && groups[j as usize] == u32::MAX {
                    groups[j as usize] = group;
                    stack.push(j);
                }
            }
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
