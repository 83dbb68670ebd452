//! Fast local moving: nodes leave a queue for the community where they add most; a move wakes the neighbours.
//!
//! On large graphs nodes leave the queue in batches. Proposals for a batch are computed against a frozen state,
//! in parallel; then they are carried out one after the other, in queue order, each checked against the state
//! of that moment: a node whose neighbour moved within the batch is evaluated afresh, any other only has its
//! gain recomputed, since no more than the community totals can have changed. Batches depend on the graph
//! alone, so the result is the same on any number of threads, and every move still improves the quality.

use brodmann_kernels::{Interrupted, Monitor, Seed};
use rayon::prelude::*;

use super::level::{Accumulator, Level, ROUNDING, add, below, dot, subtract};

/// Levels with fewer nodes are moved one node at a time: batches would mostly be evaluated twice.
const MIN_BATCHED_NODES: usize = 32_768;
/// Nodes of the level per node of a batch: neighbours rarely fall into the same batch.
const NODES_PER_BATCH_NODE: usize = 64;
/// Largest batch.
const MAX_BATCH: usize = 2048;
/// Below this many nodes per thread a fork costs more than it brings.
const MIN_FORK: usize = 128;
/// Nodes between two looks at the monitor.
const CHECK_EVERY: usize = 1 << 15;

/// Stands for "a new community".
const NEW: u32 = u32::MAX;

/// Moves nodes until none in the queue improves. `communities` holds labels `0..n_communities`, all in use.
///
/// Returns the number of moves; labels may have gaps afterwards.
pub(crate) fn move_nodes<const T: usize>(
    level: &Level<'_, T>,
    communities: &mut [u32],
    n_communities: usize,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<u64, Interrupted> {
    let n = level.n_nodes();
    let mut mover = Mover::new(level, communities, n_communities, seed);
    if n < MIN_BATCHED_NODES {
        let mut scratch = Accumulator::new(n);
        let mut until_check = CHECK_EVERY;
        while let Some(node) = mover.pop() {
            mover.state[node as usize] = IDLE;
            let proposal = mover.evaluate(node, &mut scratch);
            mover.carry_out(node, &proposal);
            until_check -= 1;
            if until_check == 0 {
                monitor.check()?;
                until_check = CHECK_EVERY;
            }
        }
        return Ok(mover.n_moves);
    }

    let batch_size = (n / NODES_PER_BATCH_NODE).min(MAX_BATCH);
    let mut scratches: Vec<Accumulator> =
        (0..rayon::current_num_threads()).map(|_| Accumulator::new(n)).collect();
    let mut batch = Vec::with_capacity(batch_size);
    let mut proposals = vec![Proposal::default(); batch_size];
    let mut until_check = CHECK_EVERY;
    loop {
        batch.clear();
        while batch.len() < batch_size {
            let Some(node) = mover.pop() else { break };
            mover.state[node as usize] = IN_BATCH;
            batch.push(node);
        }
        if batch.is_empty() {
            return Ok(mover.n_moves);
        }
        let per_thread = batch.len().div_ceil(scratches.len()).max(MIN_FORK);
        let frozen = &mover;
        let evaluate = |scratch: &mut Accumulator, nodes: &[u32], out: &mut [Proposal]| {
            for (proposal, &node) in out.iter_mut().zip(nodes) {
                *proposal = frozen.evaluate(node, scratch);
            }
        };
        if per_thread >= batch.len() {
            evaluate(&mut scratches[0], &batch, &mut proposals);
        } else {
            scratches
                .par_iter_mut()
                .zip(batch.par_chunks(per_thread))
                .zip(proposals.par_chunks_mut(per_thread))
                .for_each(|((scratch, nodes), out)| evaluate(scratch, nodes, out));
        }
        for (&node, frozen_proposal) in batch.iter().zip(&proposals) {
            let stale = mover.state[node as usize] == STALE;
            mover.state[node as usize] = IDLE;
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
}

struct Mover<'a, 'l, const T: usize> {
    level: &'a Level<'l, T>,
    communities: &'a mut [u32],
    /// `X` of each community.
    totals: Vec<[f64; T]>,
    members: Vec<u32>,
    /// Labels without members, next to be used last.
    free: Vec<u32>,
    queue: Vec<u32>,
    head: usize,
    n_queued: usize,
    state: Vec<u8>,
    n_moves: u64,
}

impl<'a, 'l, const T: usize> Mover<'a, 'l, T> {
    fn new(level: &'a Level<'l, T>, communities: &'a mut [u32], n_communities: usize, seed: Seed) -> Self {
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
        let state = vec![QUEUED; n];
        Self { level, communities, totals, members, free, queue, head: 0, n_queued: n, state, n_moves: 0 }
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

    /// The best community for `node` among its neighbours' and an empty one.
    ///
    /// No other can be better: without an edge to a community, joining it gains `−y·X ≤ 0`, the empty one 0.
    #[inline]
    fn evaluate(&self, node: u32, scratch: &mut Accumulator) -> Proposal {
        let level = self.level;
        let (neighbours, weights) = level.edges.row(node as usize);
        for (&j, &w) in neighbours.iter().zip(weights) {
            scratch.add(self.communities[j as usize], w);
        }
        let source = self.communities[node as usize];
        let size = &level.sizes[node as usize];
        let y = level.signed(size);
        let weight_source = scratch.get(source) + 0.0;
        let stay = weight_source - (dot(&y, &self.totals[source as usize]) - dot(&y, size));
        let mut best = Proposal { target: source, gain: 0.0, weight_source, weight_target: 0.0 };
        let mut best_score = stay;
        scratch.drain(|c, weight| {
            let score = weight - dot(&y, &self.totals[c as usize]);
            if score > best_score && c != source {
                best_score = score;
                best.target = c;
                best.weight_target = weight;
            }
        });
        if best_score < 0.0 && self.members[source as usize] > 1 {
            best_score = 0.0;
            best.target = NEW;
            best.weight_target = 0.0;
        }
        best.gain = best_score - stay;
        best
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
        if proposal.target == source || proposal.gain <= self.level.min_gain + ROUNDING * magnitude {
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
        self.n_moves += 1;
        for &j in self.level.edges.row(node as usize).0 {
            let state = &mut self.state[j as usize];
            match *state {
                IDLE if self.communities[j as usize] != target => {
                    *state = QUEUED;
                    let tail = self.head + self.n_queued;
                    let n = self.queue.len();
                    self.queue[if tail >= n { tail - n } else { tail }] = j;
                    self.n_queued += 1;
                }
                IN_BATCH => *state = STALE,
                _ => {}
            }
        }
    }
}
