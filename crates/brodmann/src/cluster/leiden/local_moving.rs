//! Fast local moving: nodes leave a queue for the community where they add most; a move wakes the neighbours.
//!
//! On large graphs nodes leave the queue in batches. Proposals for a batch are computed against a frozen state,
//! in parallel; then they are carried out one after the other, in queue order, each checked against the state
//! of that moment: a node whose neighbour moved within the batch is evaluated afresh, any other only has its
//! gain recomputed, since no more than the community totals can have changed. Batches depend on the graph
//! alone, so the result is the same on any number of threads, and every move still improves the quality.

use brodmann_kernels::arch::prefetch::prefetch;
use brodmann_kernels::{Interrupted, Monitor, ParallelLoop, Seed};
use rayon::prelude::*;

use super::adjacency::Adjacency;
use super::level::{Accumulator, Level, add, below, dot, subtract};

/// Smaller batches are not worth their bookkeeping: the level is moved one node at a time.
const MIN_BATCH: usize = 16;
/// Largest batch.
const MAX_BATCH: usize = 2048;
/// Of the nodes of a batch, about one in this many has a neighbour that moves before it, and is evaluated twice.
const NODES_PER_STALE: usize = 4;
/// Fewer entries than this to read are not worth a fork.
const MIN_FORK_ENTRIES: usize = 1 << 14;
/// Nodes between two looks at the monitor.
const CHECK_EVERY: usize = 1 << 15;

/// Stands for "a new community".
const NEW: u32 = u32::MAX;

/// What moving came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moves {
    pub n: u64,
    /// In units of the level's weights.
    pub gained: f64,
}

/// Moves nodes until none in the queue improves. `communities` holds labels `0..n_communities`, all in use.
///
/// Nodes that are `frozen` (none where the list is empty) stay where they are; others may join them. Their rows are not
/// read.
///
/// Returns the moves and what they gained; labels may have gaps afterwards.
pub(crate) fn move_nodes<G: Adjacency, const T: usize>(
    level: &Level<'_, G, T>,
    communities: &mut [u32],
    n_communities: usize,
    frozen: &[bool],
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Moves, Interrupted> {
    let n = level.n_nodes();
    let mut mover = Mover::new(level, communities, n_communities, frozen, seed);
    if batch_size(level) < MIN_BATCH {
        let mut scratch = Accumulator::new(n);
        let mut until_check = CHECK_EVERY;
        while let Some(node) = mover.pop() {
            mover.waiting[node as usize].state = IDLE;
            let proposal = mover.evaluate(node, &mut scratch);
            mover.carry_out(node, &proposal);
            until_check -= 1;
            if until_check == 0 {
                monitor.check()?;
                until_check = CHECK_EVERY;
            }
        }
        return Ok(mover.moves);
    }

    let batch_size = batch_size(level);
    let mean_degree = level.edges.n_entries() / n.max(1);
    let mut scratches: Vec<Accumulator> =
        (0..rayon::current_num_threads()).map(|_| Accumulator::new(n)).collect();
    let mut batch = Vec::with_capacity(batch_size);
    let mut proposals = vec![Proposal::default(); batch_size];
    let mut until_check = CHECK_EVERY;
    loop {
        batch.clear();
        while batch.len() < batch_size {
            let Some(node) = mover.pop() else { break };
            mover.waiting[node as usize].state = IN_BATCH;
            batch.push(node);
        }
        if batch.is_empty() {
            return Ok(mover.moves);
        }
        let fork = scratches.len() > 1 && batch.len() * mean_degree >= MIN_FORK_ENTRIES;
        let frozen = &mover;
        let evaluate = |scratch: &mut Accumulator, nodes: &[u32], out: &mut [Proposal]| {
            for (k, (proposal, &node)) in out.iter_mut().zip(nodes).enumerate() {
                frozen.look_ahead(&nodes[k..], scratch);
                *proposal = frozen.evaluate(node, scratch);
            }
        };
        if fork {
            let per_thread = batch.len().div_ceil(scratches.len());
            scratches
                .par_iter_mut()
                .zip(batch.par_chunks(per_thread))
                .zip(proposals.par_chunks_mut(per_thread))
                .each(|((scratch, nodes), out)| evaluate(scratch, nodes, out));
        } else {
            evaluate(&mut scratches[0], &batch, &mut proposals);
        }
        for (k, (&node, frozen_proposal)) in batch.iter().zip(&proposals).enumerate() {
            if let (Some(&soon), Some(p)) = (batch.get(k + 2), proposals.get(k + 2))
                && p.gain > 0.0
            {
                level.edges.prefetch_neighbours(soon as usize, &mover.waiting);
            }
            let stale = mover.waiting[node as usize].state == STALE;
            mover.waiting[node as usize].state = IDLE;
            let current = if stale {
                mover.evaluate(node, &mut scratches[0])
            } else {
                mover.refresh(node, *frozen_proposal)
            };
            mover.carry_out(node, &current);
        }
        until_check = until_check.saturating_sub(batch.len());
        if until_check == 0 {
            monitor.check()?;
            until_check = CHECK_EVERY;
        }
    }
}

/// As many nodes as may leave the queue together; a matter of the graph alone, never of threads.
fn batch_size<G: Adjacency, const T: usize>(level: &Level<'_, G, T>) -> usize {
    let n = level.n_nodes();
    let mean_degree = (level.edges.n_entries() / n.max(1)).max(1);
    (2 * n / (mean_degree * NODES_PER_STALE)).min(MAX_BATCH)
}

/// The larger of two numbers, neither NaN: one instruction where `f64::max` takes five.
#[inline(always)]
fn larger(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

/// Not queued.
const IDLE: u8 = 0;
/// In the queue.
const QUEUED: u8 = 1;
/// Taken from the queue, proposal computed or about to be.
const IN_BATCH: u8 = 2;
/// As `IN_BATCH`, and a neighbour has moved since.
const STALE: u8 = 3;

/// Where a node would go, and the edge weights that say so.
#[derive(Clone, Copy, Debug, Default)]
struct Proposal {
    target: u32,
    gain: f64,
    weight_source: f64,
    weight_target: f64,
    /// By how much the target beats the next best place.
    slack: f64,
}

/// What the queue knows of a node.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    state: u8,
    /// How much edge weight may turn against the node's place before another can be better.
    slack: f32,
}

struct Mover<'a, 'l, G, const T: usize> {
    level: &'a Level<'l, G, T>,
    communities: &'a mut [u32],
    /// `X` of each community.
    totals: Vec<[f64; T]>,
    members: Vec<u32>,
    /// Labels without members, next to be used last.
    free: Vec<u32>,
    queue: Vec<u32>,
    head: usize,
    n_queued: usize,
    waiting: Vec<Waiting>,
    moves: Moves,
}

impl<'a, 'l, G: Adjacency, const T: usize> Mover<'a, 'l, G, T> {
    fn new(
        level: &'a Level<'l, G, T>,
        communities: &'a mut [u32],
        n_communities: usize,
        frozen: &[bool],
        seed: Seed,
    ) -> Self {
        let n = level.n_nodes();
        let mut totals = vec![[0.0; T]; n];
        let mut members = vec![0u32; n];
        for (size, &c) in level.sizes.iter().zip(&*communities) {
            add(&mut totals[c as usize], size);
            members[c as usize] += 1;
        }
        let free = (n_communities as u32..n as u32).rev().collect();
        let mut queue: Vec<u32> = (0..n as u32).collect();
        for i in (1..n).rev() {
            queue.swap(i, below(seed.word(i as u64), i + 1));
        }
        let mut waiting = vec![Waiting { state: QUEUED, slack: 0.0 }; n];
        let mut n_queued = n;
        if !frozen.is_empty() {
            // The queue keeps its length: each of the others can be in it once.
            queue.retain(|&v| !frozen[v as usize]);
            n_queued = queue.len();
            for (waiting, _) in waiting.iter_mut().zip(frozen).filter(|(_, frozen)| **frozen) {
                *waiting = Waiting { state: IDLE, slack: f32::INFINITY };
            }
        }
        Self {
            level,
            communities,
            totals,
            members,
            free,
            queue,
            head: 0,
            n_queued,
            waiting,
            moves: Moves::default(),
        }
    }

    #[inline]
    fn pop(&mut self) -> Option<u32> {
        if self.n_queued == 0 {
            return None;
        }
        let node = self.queue[self.head];
        self.head = if self.head + 1 == self.queue.len() { 0 } else { self.head + 1 };
        self.n_queued -= 1;
        Some(node)
    }

    /// Asks for what the nodes after `nodes[0]` will need: rows first, then labels, then what labels point to.
    #[inline(always)]
    fn look_ahead(&self, nodes: &[u32], scratch: &Accumulator) {
        let edges = self.level.edges;
        if let Some(&node) = nodes.get(12) {
            edges.prefetch_start(node as usize);
        }
        if let Some(&node) = nodes.get(8) {
            edges.prefetch_row(node as usize);
            prefetch(self.level.sizes, node as usize);
        }
        if let Some(&node) = nodes.get(4) {
            edges.prefetch_neighbours(node as usize, self.communities);
        }
        if let Some(&node) = nodes.get(2) {
            edges.peek(node as usize, |j| {
                let c = self.communities[j as usize];
                prefetch(&self.totals, c as usize);
                scratch.prefetch(c);
            });
        }
    }

    /// The best community for `node` among its neighbours' and an empty one.
    ///
    /// No other can be better: without an edge to a community, joining it gains `−y·X ≤ 0`, the empty one 0.
    #[inline]
    fn evaluate(&self, node: u32, scratch: &mut Accumulator) -> Proposal {
        let level = self.level;
        level.edges.for_each(node as usize, |j, w| scratch.add(self.communities[j as usize], w));
        let source = self.communities[node as usize];
        let size = &level.sizes[node as usize];
        let y = level.signed(size);
        let weight_source = scratch.get(source) + 0.0;
        let stay = weight_source - (dot(&y, &self.totals[source as usize]) - dot(&y, size));
        let mut best = source;
        let mut best_score = f64::NEG_INFINITY;
        let mut next_score = f64::NEG_INFINITY;
        let mut weight_target = 0.0;
        scratch.drain(|c, weight| {
            let score = weight - dot(&y, &self.totals[c as usize]);
            if c == source {
                return;
            }
            next_score = larger(next_score, if score < best_score { score } else { best_score });
            if score > best_score {
                best_score = score;
                best = c;
                weight_target = weight;
            }
        });
        // A node alone is already in a community of its own.
        if self.members[source as usize] > 1 {
            next_score = next_score.max(best_score.min(0.0));
            if best_score < 0.0 {
                best_score = 0.0;
                best = NEW;
                weight_target = 0.0;
            }
        }
        if best_score > stay {
            let slack = best_score - next_score.max(stay);
            Proposal { target: best, gain: best_score - stay, weight_source, weight_target, slack }
        } else {
            let slack = stay - best_score;
            Proposal { target: source, gain: 0.0, weight_source, weight_target: 0.0, slack }
        }
    }

    /// The same proposal with the gain of this moment; right as long as no neighbour moved.
    #[inline]
    fn refresh(&self, node: u32, mut proposal: Proposal) -> Proposal {
        let source = self.communities[node as usize];
        if proposal.target == source {
            return proposal;
        }
        let size = &self.level.sizes[node as usize];
        let y = self.level.signed(size);
        let stay = proposal.weight_source - (dot(&y, &self.totals[source as usize]) - dot(&y, size));
        let score = if proposal.target == NEW {
            if self.members[source as usize] == 1 {
                return Proposal { target: source, gain: 0.0, ..proposal };
            }
            0.0
        } else {
            proposal.weight_target - dot(&y, &self.totals[proposal.target as usize])
        };
        proposal.gain = score - stay;
        proposal
    }

    /// Moves `node` if that gains more than rounding, and queues the neighbours it leaves behind.
    #[inline]
    fn carry_out(&mut self, node: u32, proposal: &Proposal) {
        let source = self.communities[node as usize];
        let magnitude = proposal.weight_source.abs() + proposal.weight_target.abs();
        self.waiting[node as usize].slack = proposal.slack as f32;
        if proposal.target == source || proposal.gain <= self.level.min_gain + G::ROUNDING * magnitude {
            return;
        }
        let target = if proposal.target == NEW {
            // n labels for n nodes: while a community has two members, one label is free.
            let Some(label) = self.free.pop() else { return };
            label
        } else {
            proposal.target
        };
        let size = &self.level.sizes[node as usize];
        subtract(&mut self.totals[source as usize], size);
        add(&mut self.totals[target as usize], size);
        self.members[target as usize] += 1;
        self.members[source as usize] -= 1;
        if self.members[source as usize] == 0 {
            // Exactly zero again, whatever rounding left.
            self.totals[source as usize] = [0.0; T];
            self.free.push(source);
        }
        self.communities[node as usize] = target;
        self.moves.n += 1;
        self.moves.gained += proposal.gain;
        let level = self.level;
        level.edges.for_each(node as usize, |j, w| {
            let waiting = &mut self.waiting[j as usize];
            match waiting.state {
                IDLE => {
                    let own = self.communities[j as usize];
                    // Its place lost `w`, or another place won it, or both; or its place won and another lost.
                    let against = f64::from(u8::from(own == source)) + if own == target { -1.0 } else { 1.0 };
                    waiting.slack -= (against * w) as f32;
                    if waiting.slack < 0.0 {
                        waiting.state = QUEUED;
                        let tail = self.head + self.n_queued;
                        let n = self.queue.len();
                        self.queue[if tail >= n { tail - n } else { tail }] = j;
                        self.n_queued += 1;
                    }
                }
                IN_BATCH => waiting.state = STALE,
                _ => {}
            }
        });
    }
}
