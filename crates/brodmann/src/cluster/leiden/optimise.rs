//! The Leiden iteration: move, refine, aggregate, level by level, until nothing moves.
//!
//! After a few passes hardly anything moves, and yet every pass would refine all communities anew and build all levels from
//! them, only to find a handful of nodes by chance (on a million cells 36 passes, of which the last thirty moved 600). So a
//! large graph that is optimised to the end remembers which communities are *settled*: refined since a node last came or
//! left, without a group of theirs finding a better place.
//!
//! ```text
//! while anything moves:
//!     move single nodes, all of them in the queue
//!     a settled community that a node left or joined is settled no more
//!     refine the others; a settled one is a single group, frozen: others may join it, it stays
//!     levels above: the same, with the rows of frozen groups left empty
//!     settled: the communities that the levels above did not change
//! ```
//!
//! At the end every community is settled, and a look at every node has moved none. All are looked into again until that gains
//! less than a hundred-thousandth of the weights.

use brodmann_kernels::{Interrupted, Monitor, Seed};

use super::adjacency::{Adjacency, LayerEdges};
use super::aggregation::{aggregate, aggregate_sizes};
use super::level::Level;
use super::local_moving::move_nodes;
use super::objective::{Term, node_sizes};
use super::refinement::{Grouping, Refined, refine};

/// Once all communities are settled they are all looked into again where what was gained on the way is more than this share
/// of the weights: where groups are hardly there, chance finds more each time.
const WORTH_ANOTHER_ROUND: f64 = 1e-5;

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
    /// Whether settled communities are left alone.
    pub remembers: bool,
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
    let mut settled: Vec<bool> = Vec::new();
    let mut gained = 0.0;
    while !converged && settings.n_iterations.is_none_or(|limit| n_iterations < limit) {
        let seed = settings.seed.derive("leiden/iteration", u64::from(n_iterations));
        let mut climb =
            Climb { depth: 0, changed: false, gained: 0.0, theta: settings.randomness, seed, monitor };
        let mut moved = Vec::new();
        climb.pass(&ground, &mut communities, &settled, settings.remembers.then_some(&mut moved))?;
        gained += climb.gained;
        converged = !climb.changed;
        if settings.remembers && !converged {
            settled = unchanged(&moved, &communities);
        } else if settings.remembers && gained > WORTH_ANOTHER_ROUND * edges.total_weight().abs() {
            // Chance has more to find: all of it once more.
            (converged, gained) = (false, 0.0);
            settled.clear();
        }
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
    /// By all moves.
    gained: f64,
    theta: f64,
    seed: Seed,
    monitor: &'a dyn Monitor,
}

/// What a level hands to the next.
struct Step {
    refined: Refined,
    /// Groups that are whole communities nobody looks into; empty where there is none.
    frozen: Vec<bool>,
}

impl Climb<'_> {
    /// Labels are compact before and after. `settled`: communities that are not looked into unless a node comes or goes.
    /// `moved` takes the labels after the moves of single nodes.
    fn pass<G: Adjacency, const T: usize>(
        &mut self,
        ground: &Level<'_, G, T>,
        communities: &mut [u32],
        settled: &[bool],
        moved: Option<&mut Vec<u32>>,
    ) -> Result<(), Interrupted> {
        let n_communities = compact_in_place(communities).n;
        let step = self.step(ground, communities, n_communities, &[], settled)?;
        if let Some(moved) = moved {
            moved.extend_from_slice(communities);
        }
        let Some(Step { refined, mut frozen }) = step else { return Ok(()) };
        // Node of the present level that holds each ground node.
        let mut holder = refined.groups;
        let mut labels = refined.community_of_group;
        let grouping = Grouping::new(&holder, labels.len());
        let mut sizes = aggregate_sizes(ground.sizes, &grouping);
        let mut edges = aggregate(ground.edges, &holder, &grouping, &frozen);
        drop(grouping);
        loop {
            let level = Level::new(&edges, &sizes, ground.signs);
            let n_labels = count(&labels);
            let Some(step) = self.step(&level, &mut labels, n_labels, &frozen, &[])? else { break };
            let refined = step.refined;
            frozen = step.frozen;
            labels = refined.community_of_group;
            for h in &mut holder {
                *h = refined.groups[*h as usize];
            }
            let grouping = Grouping::new(&refined.groups, labels.len());
            sizes = aggregate_sizes(&sizes, &grouping);
            edges = if edges.n_entries() <= ground.edges.n_entries() / GROUND_SHARE {
                aggregate(&edges, &refined.groups, &grouping, &frozen)
            } else {
                drop((edges, grouping));
                aggregate(ground.edges, &holder, &Grouping::new(&holder, labels.len()), &frozen)
            };
        }
        for (community, &h) in communities.iter_mut().zip(&holder) {
            *community = labels[h as usize];
        }
        compact_in_place(communities);
        Ok(())
    }

    /// Moves and refines one level. Returns the nodes of the next; `None` if every community is one node, or none is to be
    /// looked into, so that the hierarchy is complete. Labels are compact before and after.
    fn step<G: Adjacency, const T: usize>(
        &mut self,
        level: &Level<'_, G, T>,
        labels: &mut [u32],
        n_labels: usize,
        frozen: &[bool],
        settled: &[bool],
    ) -> Result<Option<Step>, Interrupted> {
        self.depth += 1;
        let seed = |purpose| self.seed.derive(purpose, self.depth);
        let before = if settled.is_empty() { Vec::new() } else { labels.to_vec() };
        let moves = move_nodes(level, labels, n_labels, frozen, seed("leiden/move"), self.monitor)?;
        let whole = whole_communities(labels, frozen, (settled, &before));
        let numbers = compact_in_place(labels);
        let n_labels = numbers.n;
        self.changed |= moves.n > 0;
        self.gained += moves.gained;
        if n_labels == level.n_nodes() {
            return Ok(None);
        }
        let whole = numbers.renumbered(&whole);
        if whole.len() == n_labels && whole.iter().all(|whole| *whole) {
            return Ok(None);
        }
        let of = (&*labels, n_labels);
        let refined = refine(level, of, &whole, self.theta, seed("leiden/refine"), self.monitor)?;
        let of_groups = |refined: &Refined| -> Vec<bool> {
            if whole.is_empty() {
                return Vec::new();
            }
            refined.community_of_group.iter().map(|&c| whole[c as usize]).collect()
        };
        if refined.community_of_group.len() < level.n_nodes() {
            let frozen = of_groups(&refined);
            return Ok(Some(Step { refined, frozen }));
        }
        // No two nodes merged: go on with whole communities, or with their parts where they fall apart.
        let parts = connected_parts(level.edges, labels, n_labels);
        if parts.community_of_group.len() == level.n_nodes() {
            labels.copy_from_slice(&parts.groups);
            self.changed = true;
            return Ok(None);
        }
        let frozen = of_groups(&parts);
        Ok(Some(Step { refined: parts, frozen }))
    }
}

/// By label: communities that hold a frozen node; or those that are settled, and that no node has come to or left since
/// `before`. Empty where there can be none.
fn whole_communities(labels: &[u32], frozen: &[bool], (settled, before): (&[bool], &[u32])) -> Vec<bool> {
    if !frozen.is_empty() {
        let mut whole = vec![false; labels.len()];
        for (&label, _) in labels.iter().zip(frozen).filter(|(_, frozen)| **frozen) {
            whole[label as usize] = true;
        }
        return whole;
    }
    if settled.is_empty() {
        return Vec::new();
    }
    let mut whole = vec![false; labels.len()];
    whole[..settled.len()].copy_from_slice(settled);
    for (&now, &then) in labels.iter().zip(before).filter(|(now, then)| now != then) {
        whole[now as usize] = false;
        whole[then as usize] = false;
    }
    whole
}

/// By community: whether it is one of those before, with the same nodes.
fn unchanged(before: &[u32], after: &[u32]) -> Vec<bool> {
    let n_after = after.iter().max().map_or(0, |c| *c as usize + 1);
    let mut sizes = vec![0u32; before.iter().max().map_or(0, |c| *c as usize + 1)];
    for &c in before {
        sizes[c as usize] += 1;
    }
    let mut own = vec![0u32; n_after];
    // The community before that all of its nodes come from.
    let mut from: Vec<Option<u32>> = vec![None; n_after];
    let mut same = vec![true; n_after];
    for (&then, &now) in before.iter().zip(after) {
        own[now as usize] += 1;
        same[now as usize] &= *from[now as usize].get_or_insert(then) == then;
    }
    for (c, same) in same.iter_mut().enumerate() {
        *same &= from[c].is_some_and(|then| sizes[then as usize] == own[c]);
    }
    same
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

/// The new number of each label; `u32::MAX` where it was not in use.
struct Numbers {
    of: Vec<u32>,
    /// Labels in use.
    n: usize,
}

impl Numbers {
    /// Flags by label (none: none), by its new number.
    fn renumbered(&self, flags: &[bool]) -> Vec<bool> {
        if flags.is_empty() {
            return Vec::new();
        }
        let mut moved = vec![false; self.n];
        for (&number, &flag) in self.of.iter().zip(flags).filter(|(number, _)| **number != u32::MAX) {
            moved[number as usize] = flag;
        }
        moved
    }
}

/// Renumbers labels below `labels.len()` to `0..k` in order of first use.
fn compact_in_place(labels: &mut [u32]) -> Numbers {
    let mut of = vec![u32::MAX; labels.len()];
    let mut next = 0;
    for label in labels {
        let slot = &mut of[*label as usize];
        if *slot == u32::MAX {
            *slot = next;
            next += 1;
        }
        *label = *slot;
    }
    Numbers { of, n: next as usize }
}
