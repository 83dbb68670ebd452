//! Rank sums of all groups in one pass over the sorted values of a gene.

use super::columns::Entry;
use super::design::{Against, Design};
use super::expression::{Expression, RADIX};

/// Fewer entries are sorted by comparison.
const FEW: usize = 768;

/// Sorts by key, lowest first; equal keys in any order.
pub(super) fn sort<V: Expression>(entries: &mut Vec<Entry<V::Key>>, spare: &mut Vec<Entry<V::Key>>) {
    if entries.len() < FEW {
        entries.sort_unstable_by_key(|entry| entry.key);
        return;
    }
    let mut counts = vec![[0u32; RADIX]; V::DIGITS];
    for entry in entries.iter() {
        for (place, counts) in counts.iter_mut().enumerate() {
            counts[V::digit(entry.key, place)] += 1;
        }
    }
    spare.clear();
    spare.resize(entries.len(), Entry::default());
    for (place, next) in counts.iter_mut().enumerate() {
        if next.iter().any(|&n| n as usize == entries.len()) {
            continue;
        }
        let mut start = 0;
        for to in next.iter_mut() {
            start += std::mem::replace(to, start);
        }
        for entry in entries.iter() {
            let to = &mut next[V::digit(entry.key, place)];
            spare[*to as usize] = *entry;
            *to += 1;
        }
        std::mem::swap(entries, spare);
    }
}

/// What the ranks of a gene say of each group.
#[derive(Debug, Default)]
pub(super) struct Ranks {
    /// Twice Mann and Whitney's U: pairs in which the group's spot has the higher value count 2, ties 1.
    pub(super) doubled_u: Vec<u64>,
    /// `Σ (t³ − t)` over values that `t` spots of the group and its reference share, where asked for.
    pub(super) ties: Vec<f64>,
    /// Spots of the reference with a lower value.
    below: Vec<u64>,
    /// Spots of the group with the value at hand, and of its reference.
    own_tied: Vec<u64>,
    reference_tied: Vec<u64>,
}

/// Spots with a value of zero, of each group and of its reference.
#[derive(Debug, Default)]
pub(super) struct Zeros {
    pub(super) own: Vec<u64>,
    pub(super) reference: Vec<u64>,
}

/// `t³ − t`.
fn tie(t: u64) -> f64 {
    let t = t as f64;
    t * t * t - t
}

impl Ranks {
    /// Ranks the values of one gene.
    ///
    /// The plain version, for one comparison:
    /// ```text
    /// below = 0
    /// for each distinct value, rising:                      (all zeros at once, between negative and positive)
    ///     own, reference = spots of either with that value
    ///     2U   += own · (2 · below + reference)
    ///     ties += (own + reference)³ − (own + reference)
    ///     below += reference
    /// ```
    /// All comparisons go through the values together. Against all others, the reference need not be counted: what
    /// the spots of a group have below them is their rank, and `2U = 2R − n₁(n₁ + 1)` with the sum R of ranks among
    /// all spots. Integers throughout, so that nothing is rounded; `2R ≤ n(n + 1) < 2⁶⁴`.
    ///
    /// # Inputs
    /// `sorted`: what is not zero, by value. `zero`: the key of 0.
    pub(super) fn measure<K: Copy + Ord>(
        &mut self,
        sorted: &[Entry<K>],
        zeros: &Zeros,
        zero: K,
        design: &Design,
        with_ties: bool,
    ) {
        let numbers = [&mut self.doubled_u, &mut self.below, &mut self.own_tied, &mut self.reference_tied];
        for numbers in numbers {
            numbers.clear();
            numbers.resize(design.n_groups(), 0);
        }
        self.ties.clear();
        self.ties.resize(design.n_groups(), 0.0);
        let (negative, positive) = sorted.split_at(sorted.partition_point(|entry| entry.key < zero));
        match design.against {
            Against::Rest => self.against_rest([negative, positive], &zeros.own, design, with_ties),
            Against::Group(reference) if !with_ties => {
                self.against_group([negative, positive], &zeros.own, design, reference as usize);
            }
            Against::Group(_) | Against::Sets => {
                self.against_sets(negative, design, with_ties);
                for group in 0..design.n_groups() {
                    let (own, reference) = (zeros.own[group], zeros.reference[group]);
                    self.doubled_u[group] += own * (2 * self.below[group] + reference);
                    self.below[group] += reference;
                    self.ties[group] += tie(own + reference);
                }
                self.against_sets(positive, design, with_ties);
            }
        }
    }

    fn against_rest<K: Copy + Ord>(
        &mut self,
        [negative, positive]: [&[Entry<K>]; 2],
        zeros: &[u64],
        design: &Design,
        with_ties: bool,
    ) {
        let n_zeros: u64 = zeros.iter().sum();
        let n_negative = negative.len() as u64;
        let mut ties = tie(n_zeros);
        for (sum, n) in self.doubled_u.iter_mut().zip(zeros) {
            // Twice the mean of the ranks below + 1 to below + n.
            *sum += n * (2 * n_negative + n_zeros + 1);
        }
        for (sorted, mut below) in [(negative, 0), (positive, n_negative + n_zeros)] {
            for equal in sorted.chunk_by(|a, b| a.key == b.key) {
                let n = equal.len() as u64;
                let doubled_rank = 2 * below + n + 1;
                for entry in equal {
                    self.doubled_u[design.groups[entry.class as usize] as usize] += doubled_rank;
                }
                if with_ties {
                    ties += tie(n);
                }
                below += n;
            }
        }
        self.ties.fill(ties);
        for (sum, &n) in self.doubled_u.iter_mut().zip(&design.n_own_total) {
            let n = n as u64;
            *sum -= n * (n + 1);
        }
    }

    /// The reference of all groups is the same, and counted once; what is found of itself has no meaning.
    fn against_group<K: Copy + Ord>(
        &mut self,
        [negative, positive]: [&[Entry<K>]; 2],
        zeros: &[u64],
        design: &Design,
        reference: usize,
    ) {
        let mut below = 0;
        for (sorted, zeros) in [(negative, Some(zeros)), (positive, None)] {
            for equal in sorted.chunk_by(|a, b| a.key == b.key) {
                let group_of = |entry: &Entry<K>| design.groups[entry.class as usize] as usize;
                let tied = equal.iter().filter(|entry| group_of(entry) == reference).count() as u64;
                for entry in equal {
                    self.doubled_u[group_of(entry)] += 2 * below + tied;
                }
                below += tied;
            }
            for (sum, n) in self.doubled_u.iter_mut().zip(zeros.unwrap_or_default()) {
                *sum += n * (2 * below + zeros.map_or(0, |z| z[reference]));
            }
            below += zeros.map_or(0, |z| z[reference]);
        }
    }

    fn against_sets<K: Copy + Ord>(&mut self, sorted: &[Entry<K>], design: &Design, with_ties: bool) {
        for equal in sorted.chunk_by(|a, b| a.key == b.key) {
            if let [entry] = equal {
                let class = entry.class as usize;
                let group = design.groups[class] as usize;
                self.doubled_u[group] += 2 * self.below[group];
                for &group in design.references(class) {
                    self.below[group as usize] += 1;
                }
                continue;
            }
            for entry in equal {
                self.own_tied[design.groups[entry.class as usize] as usize] += 1;
                for &group in design.references(entry.class as usize) {
                    self.reference_tied[group as usize] += 1;
                }
            }
            // A group met a second time has no more tied spots: all were taken in the first.
            for entry in equal {
                let class = entry.class as usize;
                for &group in std::iter::once(&design.groups[class]).chain(design.references(class)) {
                    self.take(group as usize, with_ties);
                }
            }
        }
    }

    /// Takes in the spots with the value at hand of one group and its reference.
    #[inline]
    fn take(&mut self, group: usize, with_ties: bool) {
        let own = std::mem::take(&mut self.own_tied[group]);
        let reference = std::mem::take(&mut self.reference_tied[group]);
        self.doubled_u[group] += own * (2 * self.below[group] + reference);
        self.below[group] += reference;
        if with_ties {
            self.ties[group] += tie(own + reference);
        }
    }
}
