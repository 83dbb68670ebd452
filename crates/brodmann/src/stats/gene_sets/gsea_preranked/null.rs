//! The walk along a ranking, and what it gives for random sets.

use brodmann_kernels::{Monitor, Seed};
use rayon::prelude::*;

use super::SLACK;
use crate::stats::gene_sets::GeneSetError;

/// Permutations that one thread does in a row with the same scratch space.
const CHUNK: usize = 8;
/// Permutations whose scores are held twice, once by permutation and once by size.
const ROUND: usize = 1024;
/// Up to so many new places are inserted one by one; more are merged at once.
const FEW: usize = 4;
/// Places compared at the same time.
const LANES: usize = 8;

/// Where a walk is farthest from zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Peak {
    /// The enrichment score.
    pub es: f64,
    /// The gene of the set at which that is: of a positive score the one that reaches it, of a negative one the next
    /// one after it.
    pub position: u32,
}

/// The peak of the walk over `weights.len()` places for a set at `positions`, rising and fewer than all.
pub(super) fn peak(positions: &[u32], weights: &[f64]) -> Peak {
    // for each place of the ranking:
    //     sum += weight / total if it is in the set, else sum −= 1 / (N − k)
    // The sum is highest at a place of the set and lowest just before one, and what it lost until there is the number
    // of places before that are not in the set: only the places of the set need be visited.
    let k = positions.len();
    let total: f64 = positions.iter().map(|&p| weights[p as usize]).sum();
    let weighted = total > 0.0;
    let rise = 1.0 / if weighted { total } else { k as f64 };
    let fall = 1.0 / (weights.len() - k) as f64;
    let (mut found, mut highest, mut lowest) = (0.0, f64::NEG_INFINITY, f64::INFINITY);
    let (mut at_highest, mut at_lowest) = (0, 0);
    for (i, &p) in positions.iter().enumerate() {
        let lost = (p as usize - i) as f64 * fall;
        let before = found * rise - lost;
        found += if weighted { weights[p as usize] } else { 1.0 };
        let after = found * rise - lost;
        if before < lowest {
            (lowest, at_lowest) = (before, p);
        }
        if after > highest {
            (highest, at_highest) = (after, p);
        }
    }
    if is_above(highest, lowest) {
        Peak { es: highest, position: at_highest }
    } else {
        Peak { es: lowest, position: at_lowest }
    }
}

/// A random set that grows: the first `k` places of one permutation, for one size `k` after the other.
pub(super) struct Growing<'a> {
    weights: &'a [f64],
    /// One bit per place: drawn already.
    drawn: Vec<u64>,
    /// The set, rising.
    pub positions: Vec<u32>,
    /// How many places outside the set lie before each of it.
    lost: Vec<f64>,
    /// The weights of the set up to each place, with a 0 in front.
    found: Vec<f64>,
    new: Vec<u32>,
}

impl<'a> Growing<'a> {
    pub fn new(weights: &'a [f64], largest: usize) -> Self {
        let room = largest + FEW;
        Self {
            weights,
            drawn: vec![0; weights.len().div_ceil(64)],
            positions: Vec::with_capacity(room),
            lost: Vec::with_capacity(room),
            found: Vec::with_capacity(room + 1),
            new: Vec::with_capacity(room),
        }
    }

    /// The scores of the first `sizes` (rising, fewer than all) places of the permutation that `draws` names.
    fn scores(&mut self, sizes: &[usize], draws: Seed, scores: &mut [f64]) {
        // for each size:
        //     draw places until there are so many different ones; sort them; walk
        // The set of the size before is there, sorted, with its sums: a new place shifts what lies after it, adds its
        // weight to those sums, and takes one from what they lost.
        self.drawn.fill(0);
        self.positions.clear();
        self.lost.clear();
        self.found.clear();
        self.found.push(0.0);
        let mut bounded = Bounded::new(self.weights.len() as u32, draws);
        for (&k, score) in sizes.iter().zip(scores) {
            self.grow(k, &mut bounded);
            *score = self.score();
        }
    }

    /// Draws until there are `k` places, fewer than all.
    pub fn grow(&mut self, k: usize, bounded: &mut Bounded) {
        self.new.clear();
        while self.positions.len() + self.new.len() < k {
            let p = bounded.next();
            let (word, bit) = (&mut self.drawn[p as usize / 64], 1_u64 << (p % 64));
            if *word & bit == 0 {
                *word |= bit;
                self.new.push(p);
            }
        }
        if self.new.len() > FEW {
            self.merge();
        } else {
            for i in 0..self.new.len() {
                self.insert(self.new[i]);
            }
        }
    }

    fn insert(&mut self, p: u32) {
        let at = self.positions.partition_point(|&q| q < p);
        let weight = self.weights[p as usize];
        self.positions.insert(at, p);
        self.lost.insert(at, f64::from(p) - at as f64);
        // What was found before the place is found again after it, and its weight besides.
        self.found.insert(at, self.found[at]);
        for found in &mut self.found[at + 1..] {
            *found += weight;
        }
        for lost in &mut self.lost[at + 1..] {
            *lost -= 1.0;
        }
    }

    fn merge(&mut self) {
        self.positions.append(&mut self.new);
        self.positions.sort_unstable();
        self.lost.clear();
        self.lost.extend(self.positions.iter().enumerate().map(|(i, &p)| f64::from(p) - i as f64));
        self.found.truncate(1);
        let mut sum = 0.0;
        for &p in &self.positions {
            sum += self.weights[p as usize];
            self.found.push(sum);
        }
    }

    /// As [`peak`], without the place.
    fn score(&mut self) -> f64 {
        let k = self.positions.len();
        let total = self.found[k];
        if total <= 0.0 {
            return peak(&self.positions, self.weights).es;
        }
        // In units of what is found, so that a place costs one product.
        let fall = total / (self.weights.len() - k) as f64;
        let (mut highest, mut lowest) = ([f64::NEG_INFINITY; LANES], [f64::INFINITY; LANES]);
        let mut see = |lane: usize, lost: f64, before: f64, after: f64| {
            let lost = lost * fall;
            let (before, after) = (before - lost, after - lost);
            lowest[lane] = if before < lowest[lane] { before } else { lowest[lane] };
            highest[lane] = if after > highest[lane] { after } else { highest[lane] };
        };
        let (before, after) = (&self.found[..k], &self.found[1..=k]);
        let blocks =
            self.lost.chunks_exact(LANES).zip(before.chunks_exact(LANES)).zip(after.chunks_exact(LANES));
        for ((lost, before), after) in blocks {
            for lane in 0..LANES {
                see(lane, lost[lane], before[lane], after[lane]);
            }
        }
        for i in k - k % LANES..k {
            see(0, self.lost[i], before[i], after[i]);
        }
        let highest = highest.into_iter().fold(f64::NEG_INFINITY, f64::max);
        let lowest = lowest.into_iter().fold(f64::INFINITY, f64::min);
        let (highest, lowest) = (highest / total, lowest / total);
        if is_above(highest, lowest) { highest } else { lowest }
    }
}

/// Whether a walk is farther from zero above than below; round-off does not decide.
fn is_above(highest: f64, lowest: f64) -> bool {
    highest + lowest > SLACK
}

/// Numbers below a bound, each as likely as any other.
pub(super) struct Bounded {
    bound: u32,
    /// Products whose lower half is below this would be too many for some numbers.
    refused: u32,
    draws: Seed,
    counter: u64,
    spare: Option<u32>,
}

impl Bounded {
    pub fn new(bound: u32, draws: Seed) -> Self {
        Self { bound, refused: bound.wrapping_neg() % bound, draws, counter: 0, spare: None }
    }

    /// Lemire 2019, ACM Trans. Model. Comput. Simul. 29:3.
    #[inline]
    fn next(&mut self) -> u32 {
        loop {
            let half = if let Some(half) = self.spare.take() {
                half
            } else {
                let word = self.draws.word(self.counter);
                self.counter += 1;
                self.spare = Some((word >> 32) as u32);
                word as u32
            };
            let product = u64::from(half) * u64::from(self.bound);
            if product as u32 >= self.refused {
                return (product >> 32) as u32;
            }
        }
    }
}

/// For each of `sizes` (rising, all fewer than there are genes) the scores of `n_permutations` random sets.
///
/// A set is the beginning of a permutation, which has random numbers of its own, named by its number.
pub(super) fn null_scores(
    weights: &[f64],
    sizes: &[usize],
    n_permutations: usize,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Vec<Vec<f64>>, GeneSetError> {
    monitor.stage("random gene sets", n_permutations as u64);
    let mut scores = vec![Vec::with_capacity(n_permutations); sizes.len()];
    let largest = sizes.last().copied().unwrap_or(0);
    for first in (0..n_permutations).step_by(ROUND) {
        let in_round = ROUND.min(n_permutations - first);
        let mut by_permutation = vec![0.0; in_round * sizes.len()];
        by_permutation
            .par_chunks_mut(sizes.len())
            .with_min_len(CHUNK.min(in_round.div_ceil(rayon::current_num_threads())))
            .enumerate()
            .try_for_each_init(
                || Growing::new(weights, largest),
                |growing, (i, row)| -> Result<(), GeneSetError> {
                    monitor.check()?;
                    let draws = seed.derive("stats/gsea_preranked/permutation", (first + i) as u64);
                    growing.scores(sizes, draws, row);
                    monitor.advance(1);
                    Ok(())
                },
            )?;
        scores.par_iter_mut().enumerate().for_each(|(s, scores)| {
            scores.extend(by_permutation.iter().skip(s).step_by(sizes.len()));
        });
    }
    Ok(scores)
}

/// How often each set of `k` of `n` places is drawn, on the way to which sets of `steps` were.
#[cfg(test)]
pub(super) fn drawn_sets(n: usize, steps: &[usize], times: u64) -> std::collections::BTreeMap<Vec<u32>, u32> {
    let weights: Vec<f64> = (0..n).map(|i| ((i * 7) % 11) as f64).collect();
    let mut growing = Growing::new(&weights, 1);
    let mut counts = std::collections::BTreeMap::new();
    let mut scores = vec![0.0; steps.len()];
    for i in 0..times {
        growing.scores(steps, Seed(0).derive("test", i), &mut scores);
        let expected = peak(&growing.positions, &weights).es;
        assert!((scores[steps.len() - 1] - expected).abs() < 1e-12);
        *counts.entry(growing.positions.clone()).or_insert(0) += 1;
    }
    counts
}
