//! The walk along a ranking, and what it gives for random sets.

use brodmann_kernels::{Monitor, Seed};
use rayon::prelude::*;

use super::SLACK;
use crate::stats::gene_sets::GeneSetError;

/// Sets that one permutation is dealt out to at most: their walks stay in the nearest cache.
const MOST_SETS: usize = 1024;

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

/// Random sets of one size that share no place, and the walks along all of them at once.
struct Shuffle<'a> {
    weights: &'a [f64],
    /// The set that each place belongs to; the last one is of the places that are left.
    sets: Vec<u16>,
    walks: Vec<State>,
}

/// How far the walk along one set has come. Sums are in units of the weights, so that a place costs one product.
#[derive(Clone, Copy)]
struct State {
    found: f64,
    seen: f64,
    /// What a place outside the set costs.
    fall: f64,
    /// What a place of the set counts besides its weight: 1 in a set without any weight.
    bonus: f64,
    highest: f64,
    lowest: f64,
}

const START: State =
    State { found: 0.0, seen: 0.0, fall: 0.0, bonus: 0.0, highest: f64::NEG_INFINITY, lowest: f64::INFINITY };

impl<'a> Shuffle<'a> {
    fn new(weights: &'a [f64]) -> Self {
        Self { weights, sets: vec![0; weights.len()], walks: Vec::new() }
    }

    /// Puts places into `count` random sets of `k`, at most [`MOST_SETS`] and no more places than there are.
    fn deal(&mut self, k: usize, count: usize, draws: Seed) {
        for (set, places) in self.sets.chunks_mut(k).enumerate() {
            places.fill(set.min(count) as u16);
        }
        // Fisher & Yates, from the end.
        let mut random = Halves { draws, counter: 0, spare: None };
        for i in (1..self.sets.len()).rev() {
            let j = random.below(i as u32 + 1) as usize;
            self.sets.swap(i, j);
        }
    }

    /// The scores of `scores.len()` random sets of `k` places, fewer than all.
    fn scores(&mut self, k: usize, draws: Seed, scores: &mut [f64]) {
        // repeat: draw k places; sort them; walk
        // A shuffled list of the numbers of sets, read from the first place to the last, gives every set its places in
        // order: nothing is sorted, the weights are read as they lie, and the walks, one step each in turn, do not
        // wait for each other.
        self.deal(k, scores.len(), draws);
        self.walks.clear();
        self.walks.resize(scores.len() + 1, START);
        for (&set, &weight) in self.sets.iter().zip(self.weights) {
            self.walks[set as usize].found += weight;
        }
        let outside = (self.weights.len() - k) as f64;
        for (walk, total) in self.walks.iter_mut().zip(&mut *scores) {
            *total = if walk.found > 0.0 { walk.found } else { k as f64 };
            let bonus = if walk.found > 0.0 { 0.0 } else { 1.0 };
            *walk = State { fall: *total / outside, bonus, ..START };
        }
        let mut place = 0.0;
        for (&set, &weight) in self.sets.iter().zip(self.weights) {
            let walk = &mut self.walks[set as usize];
            let rise = weight + walk.bonus;
            let before = walk.found - (place - walk.seen) * walk.fall;
            let after = before + rise;
            walk.lowest = if before < walk.lowest { before } else { walk.lowest };
            walk.highest = if after > walk.highest { after } else { walk.highest };
            walk.found += rise;
            walk.seen += 1.0;
            place += 1.0;
        }
        for (walk, score) in self.walks.iter().zip(scores) {
            let (highest, lowest) = (walk.highest / *score, walk.lowest / *score);
            *score = if is_above(highest, lowest) { highest } else { lowest };
        }
    }
}

/// Whether a walk is farther from zero above than below; round-off does not decide.
fn is_above(highest: f64, lowest: f64) -> bool {
    highest + lowest > SLACK
}

/// Random numbers of 32 bits, two from each word.
struct Halves {
    draws: Seed,
    counter: u64,
    spare: Option<u32>,
}

impl Halves {
    #[inline]
    fn next(&mut self) -> u32 {
        if let Some(half) = self.spare.take() {
            return half;
        }
        let word = self.draws.word(self.counter);
        self.counter += 1;
        self.spare = Some((word >> 32) as u32);
        word as u32
    }

    /// A number below `bound`, each as likely as any other: Lemire 2019, ACM Trans. Model. Comput. Simul. 29:3.
    #[inline]
    fn below(&mut self, bound: u32) -> u32 {
        let mut product = u64::from(self.next()) * u64::from(bound);
        // Few products are low enough to be one too many for some numbers, and only those cost a division.
        if (product as u32) < bound {
            let refused = bound.wrapping_neg() % bound;
            while (product as u32) < refused {
                product = u64::from(self.next()) * u64::from(bound);
            }
        }
        (product >> 32) as u32
    }
}

/// For each of `sizes` (all fewer than there are genes) the scores of `n_permutations` random sets.
///
/// Every permutation has random numbers of its own, named by the size and its number, and is dealt out to as many sets
/// of that size as it has genes for. Sizes share none: the false discovery rate pools them, and one permutation for all
/// would put one accident into hundreds of sizes.
pub(super) fn null_scores(
    weights: &[f64],
    sizes: &[usize],
    n_permutations: usize,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Vec<Vec<f64>>, GeneSetError> {
    monitor.stage("random gene sets", (sizes.len() * n_permutations) as u64);
    let mut scores = vec![vec![0.0; n_permutations]; sizes.len()];
    let deals: Vec<(usize, usize, &mut [f64])> = scores
        .iter_mut()
        .zip(sizes)
        .flat_map(|(scores, &k)| {
            let at_once = (weights.len() / k).clamp(1, MOST_SETS);
            // As many in the last permutation as in the first.
            let at_once = n_permutations.div_ceil(n_permutations.div_ceil(at_once));
            scores.chunks_mut(at_once).enumerate().map(move |(i, chunk)| (k, i, chunk))
        })
        .collect();
    deals.into_par_iter().try_for_each_init(
        || Shuffle::new(weights),
        |shuffle, (k, i, scores)| -> Result<(), GeneSetError> {
            monitor.check()?;
            let draws = seed.derive("stats/gsea_preranked/size", k as u64).derive("permutation", i as u64);
            shuffle.scores(k, draws, scores);
            monitor.advance(scores.len() as u64);
            Ok(())
        },
    )?;
    Ok(scores)
}

/// How often each set of `k` of `n` places is drawn in `times` permutations of `count` sets each.
#[cfg(test)]
pub(super) fn drawn_sets(
    n: usize,
    k: usize,
    count: usize,
    times: u64,
) -> std::collections::BTreeMap<Vec<u32>, u32> {
    let weights: Vec<f64> = (0..n).map(|i| ((i * 7) % 11) as f64).collect();
    let mut shuffle = Shuffle::new(&weights);
    let mut counts = std::collections::BTreeMap::new();
    let mut scores = vec![0.0; count];
    for i in 0..times {
        shuffle.scores(k, Seed(0).derive("test", i), &mut scores);
        for (set, score) in scores.iter().enumerate() {
            let own = |p: &u32| shuffle.sets[*p as usize] == set as u16;
            let positions: Vec<u32> = (0..n as u32).filter(own).collect();
            assert!((score - peak(&positions, &weights).es).abs() < 1e-12);
            *counts.entry(positions).or_insert(0) += 1;
        }
    }
    counts
}
