//! One level of the hierarchy: a graph, node sizes under the null models, and the arithmetic of a move.

use brodmann_kernels::arch::prefetch::prefetch;

use super::adjacency::Adjacency;

/// A graph whose nodes are spots or, higher up, groups of spots.
pub(crate) struct Level<'a, G, const T: usize> {
    pub edges: &'a G,
    /// `x`, per node and null-model term, beside each other in memory.
    pub sizes: &'a [[f64; T]],
    /// `σ`.
    pub signs: [f64; T],
    /// Gains up to this are rounding, not improvement.
    pub min_gain: f64,
}

impl<'a, G: Adjacency, const T: usize> Level<'a, G, T> {
    pub fn new(edges: &'a G, sizes: &'a [[f64; T]], signs: [f64; T]) -> Self {
        let n = edges.n_nodes().max(1) as f64;
        let mean_strength = edges.total_weight() / n;
        Self { edges, sizes, signs, min_gain: MIN_RELATIVE_GAIN * mean_strength }
    }

    pub fn n_nodes(&self) -> usize {
        self.sizes.len()
    }

    /// `y = σ x` of a node or a community of that size.
    #[inline(always)]
    pub fn signed(&self, sizes: &[f64; T]) -> [f64; T] {
        std::array::from_fn(|t| self.signs[t] * sizes[t])
    }
}

/// Of the mean node strength: far above rounding in one gain, far below any gain that matters.
const MIN_RELATIVE_GAIN: f64 = 1e-11;

#[inline(always)]
pub(crate) fn dot<const T: usize>(a: &[f64; T], b: &[f64; T]) -> f64 {
    let mut sum = 0.0;
    for t in 0..T {
        sum += a[t] * b[t];
    }
    sum
}

#[inline(always)]
pub(crate) fn add<const T: usize>(a: &mut [f64; T], b: &[f64; T]) {
    for t in 0..T {
        a[t] += b[t];
    }
}

#[inline(always)]
pub(crate) fn subtract<const T: usize>(a: &mut [f64; T], b: &[f64; T]) {
    for t in 0..T {
        a[t] -= b[t];
    }
}

/// Sums of edge weights by community, without a hash: one slot per community and the list of those touched.
///
/// An untouched slot holds −0.0: adding to it is exact, and no sum of the non-zero weights kept here returns to
/// it (`x + (−x)` is +0.0), so "first seen" needs no second array.
pub(crate) struct Accumulator {
    slots: Vec<f64>,
    touched: Vec<u32>,
    n_touched: usize,
}

const UNTOUCHED: u64 = (-0.0f64).to_bits();

impl Accumulator {
    pub fn new(n_slots: usize) -> Self {
        // One more than can be touched: `add` writes before it knows whether the slot is new.
        Self { slots: vec![-0.0; n_slots], touched: vec![0; n_slots + 1], n_touched: 0 }
    }

    #[inline(always)]
    pub fn add(&mut self, slot: u32, weight: f64) {
        let value = &mut self.slots[slot as usize];
        // Branch-free: which communities neighbours are in is what a branch predictor cannot know.
        self.touched[self.n_touched] = slot;
        self.n_touched += usize::from(value.to_bits() == UNTOUCHED);
        *value += weight;
    }

    /// Asks for the memory of a slot.
    #[inline(always)]
    pub fn prefetch(&self, slot: u32) {
        prefetch(&self.slots, slot as usize);
    }

    #[inline(always)]
    pub fn get(&self, slot: u32) -> f64 {
        self.slots[slot as usize]
    }

    /// Hands each touched slot and its sum to `f` and clears it.
    #[inline(always)]
    pub fn drain(&mut self, mut f: impl FnMut(u32, f64)) {
        for &slot in &self.touched[..self.n_touched] {
            let value = &mut self.slots[slot as usize];
            f(slot, *value);
            *value = -0.0;
        }
        self.n_touched = 0;
    }
}

/// A uniform number below `bound` from a random word (Lemire's multiplication; the bias is below 2⁻³²).
#[inline]
pub(crate) fn below(word: u64, bound: usize) -> usize {
    (((word >> 32) * bound as u64) >> 32) as usize
}
