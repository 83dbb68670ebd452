//! One gene, all comparisons.

use super::columns::{Columns, Entry};
use super::design::{Against, Design};
use super::expression::Expression;
use super::moments::{Moments, Sums};
use super::ranks::{Ranks, Zeros, sort};
use super::tails::{Tails, normal, student};
use super::{MarkerOptions, MarkerTest};

/// Keeps the fold change of a gene that is not expressed finite, as scanpy's.
const PSEUDOCOUNT: f64 = 1e-9;

/// What is found of one gene in one group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) score: f64,
    pub(super) tails: Tails,
    pub(super) log2_fold_change: f64,
    pub(super) mean: f64,
    pub(super) mean_reference: f64,
    pub(super) fraction: f64,
    pub(super) fraction_reference: f64,
    pub(super) auc: f64,
    /// Slices in which the change is as in all of them together, and beyond the threshold.
    pub(super) slices_hold: u32,
    /// The paired test over slices.
    pub(super) slice_score: f64,
    pub(super) slice_tails: Tails,
}

/// Buffers of one thread.
pub(super) struct Scratch<V: Expression> {
    entries: Vec<Entry<V::Key>>,
    spare: Vec<Entry<V::Key>>,
    sums: Vec<Sums>,
    /// Of each group and of its reference in each slice, `slice · n_groups + group`.
    own: Vec<Moments>,
    reference: Vec<Moments>,
    zeros: Zeros,
    ranks: Ranks,
}

impl<V: Expression> Scratch<V> {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            spare: Vec::new(),
            sums: Vec::new(),
            own: Vec::new(),
            reference: Vec::new(),
            zeros: Zeros::default(),
            ranks: Ranks::default(),
        }
    }

    /// Every group's comparison of one gene.
    pub(super) fn measure(
        &mut self,
        columns: &Columns<V::Key>,
        gene: usize,
        design: &Design,
        options: &MarkerOptions,
    ) -> Vec<Found> {
        columns.collect(gene, &mut self.entries);
        self.sum(design, options.test != MarkerTest::Wilcoxon);
        self.merge(design);
        let n_groups = design.n_groups();
        let totals: Vec<[Moments; 2]> = (0..n_groups)
            .map(|group| {
                let mut total = [Moments::EMPTY; 2];
                for slice in 0..design.n_slices {
                    total[0].merge(&self.own[slice * n_groups + group]);
                    total[1].merge(&self.reference[slice * n_groups + group]);
                }
                total
            })
            .collect();
        let zeros = |side: usize| totals.iter().map(move |t| (t[side].n - t[side].expressed) as u64);
        self.zeros.own.clear();
        self.zeros.own.extend(zeros(0));
        self.zeros.reference.clear();
        self.zeros.reference.extend(zeros(1));
        sort::<V>(&mut self.entries, &mut self.spare);
        self.ranks.measure(&self.entries, &self.zeros, V::ZERO, design, options.tie_correct);
        (0..n_groups).map(|group| self.judge(group, &totals[group], design, options)).collect()
    }

    /// Sums by class, in the order of the spots.
    fn sum(&mut self, design: &Design, with_squares: bool) {
        self.sums.clear();
        self.sums.resize(design.sizes.len(), Sums::EMPTY);
        for entry in &self.entries {
            self.sums[entry.class as usize].add(V::of_key(entry.key));
        }
        if !with_squares {
            return;
        }
        let means: Vec<f64> = self.sums.iter().zip(&design.sizes).map(|(s, &n)| s.mean(n)).collect();
        for entry in &self.entries {
            let deviation = V::of_key(entry.key) - means[entry.class as usize];
            self.sums[entry.class as usize].squares += deviation * deviation;
        }
    }

    /// From classes to groups and references, slice by slice.
    fn merge(&mut self, design: &Design) {
        let n_groups = design.n_groups();
        for moments in [&mut self.own, &mut self.reference] {
            moments.clear();
            moments.resize(design.n_slices * n_groups, Moments::EMPTY);
        }
        for (class, sums) in self.sums.iter().enumerate() {
            let moments = sums.with_zeros(design.sizes[class]);
            let first = design.slices[class] as usize * n_groups;
            self.own[first + design.groups[class] as usize].merge(&moments);
            for &group in design.references(class) {
                self.reference[first + group as usize].merge(&moments);
            }
        }
        if design.against != Against::Rest {
            return;
        }
        // All others are those before and those after: nothing is subtracted, so that nothing cancels.
        for (own, reference) in self.own.chunks(n_groups).zip(self.reference.chunks_mut(n_groups)) {
            let mut before = Moments::EMPTY;
            for (own, reference) in own.iter().zip(reference.iter_mut()) {
                *reference = before;
                before.merge(own);
            }
            let mut after = Moments::EMPTY;
            for (own, reference) in own.iter().zip(reference).rev() {
                reference.merge(&after);
                after.merge(own);
            }
        }
    }

    fn judge(
        &self,
        group: usize,
        [own, reference]: &[Moments; 2],
        design: &Design,
        options: &MarkerOptions,
    ) -> Found {
        let (score, tails) = match options.test {
            MarkerTest::Wilcoxon => self.rank_sum(group, own.n, reference.n, options.tie_correct),
            MarkerTest::Welch => t_test(own, reference, reference.n),
            MarkerTest::OverestimatedVariance => t_test(own, reference, own.n),
        };
        let change = log2_fold_change(own, reference);
        let (slices_hold, slice_score, slice_tails) = self.over_slices(group, change, design, options);
        Found {
            score,
            tails,
            log2_fold_change: change,
            mean: own.mean_or_nan(),
            mean_reference: reference.mean_or_nan(),
            fraction: own.fraction(),
            fraction_reference: reference.fraction(),
            auc: self.ranks.doubled_u[group] as f64 / (2.0 * own.n * reference.n),
            slices_hold,
            slice_score,
            slice_tails,
        }
    }

    /// `z = (U − n₁n₂/2) / √(T n₁n₂(n + 1)/12)`, with `T = 1` or `1 − Σ(t³ − t)/(n³ − n)`.
    fn rank_sum(&self, group: usize, n_own: f64, n_reference: f64, tie_correct: bool) -> (f64, Tails) {
        let (pairs, n) = (n_own * n_reference, n_own + n_reference);
        let mut variance = pairs * (n + 1.0) / 12.0;
        if tie_correct {
            variance *= 1.0 - self.ranks.ties[group] / (n * n * n - n);
        }
        // Exact: the pairs are fewer than 2⁶⁴, and a difference of floats would lose its last digits.
        let exact = i128::from(self.ranks.doubled_u[group]) - n_own as i128 * n_reference as i128;
        let score = 0.5 * exact as f64 / variance.sqrt();
        // Without a spot on one side, or with one value alone (T is 0 up to rounding), nothing is ranked.
        if variance > 0.0 && exact != 0 { (score, normal(score)) } else { (0.0, Tails::NO_EVIDENCE) }
    }

    /// In how many slices the change holds, and the paired test over them.
    fn over_slices(
        &self,
        group: usize,
        change: f64,
        design: &Design,
        options: &MarkerOptions,
    ) -> (u32, f64, Tails) {
        let n_groups = design.n_groups();
        let (mut hold, mut differences) = (0, Moments::EMPTY);
        for slice in 0..design.n_slices {
            let at = slice * n_groups + group;
            if !options.judges(design.n_own[at], design.n_reference[at]) {
                continue;
            }
            let (own, reference) = (&self.own[at], &self.reference[at]);
            let along = log2_fold_change(own, reference) * change.signum();
            hold += u32::from(change != 0.0 && along > options.slice_log2_fold_change);
            differences.merge(&Moments::one(own.mean - reference.mean));
        }
        let error = (differences.variance() / differences.n).sqrt();
        let (score, tails) = t_of(differences.mean, error, differences.n - 1.0);
        (hold, score, tails)
    }
}

/// `log2((e^x̄₁ − 1 + 1e−9) / (e^x̄₂ − 1 + 1e−9))`; NaN where one of them is empty or the ratio is negative.
fn log2_fold_change(own: &Moments, reference: &Moments) -> f64 {
    let level = |moments: &Moments| moments.mean_or_nan().exp_m1() + PSEUDOCOUNT;
    (level(own) / level(reference)).log2()
}

/// Welch's test; `n_reference` is the size that the reference is taken to have.
fn t_test(own: &Moments, reference: &Moments, n_reference: f64) -> (f64, Tails) {
    let (own_part, reference_part) = (own.variance() / own.n, reference.variance() / n_reference);
    let squared_error = own_part + reference_part;
    // Welch and Satterthwaite, by shares: the square of a small variance may be below the smallest number.
    let term = |part: f64, n: f64| (part / squared_error) * (part / squared_error) / (n - 1.0);
    let df = 1.0 / (term(own_part, own.n) + term(reference_part, n_reference));
    t_of(own.mean - reference.mean, squared_error.sqrt(), df)
}

/// A difference over its standard error. Where neither is there, it is no evidence; where values differ between groups
/// and not within, the difference is as certain as can be.
fn t_of(difference: f64, error: f64, df: f64) -> (f64, Tails) {
    let t = difference / error;
    if t.is_nan() || t == 0.0 {
        (0.0, Tails::NO_EVIDENCE)
    } else if t.is_infinite() {
        (t, Tails { p: 0.0, ln_p: f64::NEG_INFINITY })
    } else {
        (t, student(t, df))
    }
}
