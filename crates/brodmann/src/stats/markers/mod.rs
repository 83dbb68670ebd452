//! Which genes mark a domain: differential expression of groups of spots.
//!
//! * [`markers()`]: every group against the rest, against one group, or against the spots around it.
//! * [`ExpressionRows`]: what is compared, in memory or passed over block by block.
//! * [`Thresholds`]: which genes are called markers, with those of the papers.

mod columns;
mod design;
mod expression;
mod gene;
mod moments;
mod ranks;
mod tails;
mod thresholds;

#[cfg(test)]
mod tests;

use brodmann_kernels::{CsrView, Monitor, OptionError, Slices};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use expression::{Expression, ExpressionRows, VisitRows};
pub use thresholds::Thresholds;

use super::{StatsError, benjamini_hochberg};
use design::Design;
use gene::{Found, Scratch};

/// The test of a difference between a group and its reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MarkerTest {
    /// Wilcoxon's rank-sum test by its normal approximation, without continuity correction.
    #[default]
    Wilcoxon,
    /// Welch's t-test.
    Welch,
    /// Welch's t-test with the reference taken to be as small as the group: its variance is overestimated.
    OverestimatedVariance,
}

/// How to test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MarkerOptions {
    /// The test.
    pub test: MarkerTest,
    /// Heed ties in the variance of rank sums: with many zeros it is smaller, and p-values are.
    pub tie_correct: bool,
    /// A slice judges a group that has at least as many spots there.
    pub min_spots_per_slice: usize,
    /// A change holds in a slice where its log2 fold change is above this.
    pub slice_log2_fold_change: f64,
}

impl Default for MarkerOptions {
    fn default() -> Self {
        Self {
            test: MarkerTest::default(),
            tie_correct: false,
            min_spots_per_slice: 10,
            slice_log2_fold_change: 0.25,
        }
    }
}

impl MarkerOptions {
    /// Refuses values that say nothing.
    ///
    /// # Errors
    /// [`OptionError`].
    pub fn validate(&self) -> Result<(), OptionError> {
        if self.min_spots_per_slice == 0 {
            return Err(OptionError::new("min_spots_per_slice", self.min_spots_per_slice, "at least 1"));
        }
        let change = self.slice_log2_fold_change;
        if !(change.is_finite() && change >= 0.0) {
            return Err(OptionError::new("slice_log2_fold_change", change, "a number of at least 0"));
        }
        Ok(())
    }

    /// Whether a slice with so many spots of a group and of its reference judges the group.
    fn judges(&self, n_own: usize, n_reference: usize) -> bool {
        n_own >= self.min_spots_per_slice && n_reference > 0
    }
}

/// What each group is compared with.
#[derive(Clone, Copy, Debug)]
pub enum Reference<'a> {
    /// All spots of other groups.
    Rest,
    /// The spots of one group, by its code.
    Group(u32),
    /// The spots of other groups that lie within `n_hops` edges of one of its own.
    Neighborhood {
        /// `(n_obs, n_obs)`; stored entries are edges whatever their weight, and lead both ways.
        graph: CsrView<'a, f64>,
        /// At least 1: the spots that touch it.
        n_hops: usize,
    },
}

/// The groups to compare.
#[derive(Clone, Copy, Debug)]
pub struct MarkerGroups<'a> {
    /// The code of each spot's group, any numbers; spots without one are in no comparison.
    pub labels: &'a [Option<u32>],
    /// What each group is compared with.
    pub reference: Reference<'a>,
    /// The slice of each spot, where there are several and a marker is to hold in most.
    pub slices: Option<&'a Slices>,
}

/// What the genes say of one group; every list holds one number per gene.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupMarkers {
    /// Its code.
    pub group: u32,
    /// Its spots.
    pub n_group: usize,
    /// Spots it is compared with; with none, nothing is known of any gene.
    pub n_reference: usize,
    /// z of the rank sum, or t: positive where the group has more. 0 where the test says nothing.
    pub score: Vec<f64>,
    /// Two-sided, never NaN; 1 where the test says nothing.
    pub p_value: Vec<f64>,
    /// Its natural logarithm, which tells apart what lies below the smallest number.
    pub ln_p_value: Vec<f64>,
    /// `p_value`, Benjamini–Hochberg adjusted over the genes.
    pub p_adjusted: Vec<f64>,
    /// `log2((e^x̄₁ − 1 + 1e−9) / (e^x̄₂ − 1 + 1e−9))` of the means of group and reference; NaN where the level of one
    /// of them is negative, which no logarithm of counts gives.
    pub log2_fold_change: Vec<f64>,
    /// Mean in the group.
    pub mean: Vec<f64>,
    /// Mean in the reference; NaN without spots.
    pub mean_reference: Vec<f64>,
    /// Share of the group's spots with a value other than 0.
    pub fraction: Vec<f64>,
    /// Share of the reference's spots; NaN without.
    pub fraction_reference: Vec<f64>,
    /// Probability that a spot of the group has more than one of the reference, ties counted half; NaN without.
    pub auc: Vec<f64>,
    /// How well it holds from slice to slice; where slices were given.
    pub slices: Option<SliceSupport>,
}

/// Whether what is found in all slices together is found in each; every list holds one number per gene.
#[derive(Clone, Debug, PartialEq)]
pub struct SliceSupport {
    /// Slices that can judge the group: it has enough spots there, and something to be compared with.
    pub n_judged: usize,
    /// Slices of these in which the fold change has the sign it has in all together, and is beyond the threshold.
    pub hold: Vec<u32>,
    /// Paired t over these slices: mean of the group minus mean of the reference, `n_judged − 1` degrees of freedom.
    /// Slices, not spots, are the repetitions here. 0 where the test says nothing.
    pub score: Vec<f64>,
    /// Two-sided, never NaN.
    pub p_value: Vec<f64>,
    /// `p_value`, Benjamini–Hochberg adjusted over the genes.
    pub p_adjusted: Vec<f64>,
}

impl GroupMarkers {
    /// The genes by falling score, as scanpy stores them. Equal scores keep the order of the genes (scanpy's is that of
    /// an unstable sort).
    pub fn order(&self) -> Vec<u32> {
        let mut genes: Vec<u32> = (0..self.score.len() as u32).collect();
        genes.sort_by(|&a, &b| self.score[b as usize].total_cmp(&self.score[a as usize]));
        genes
    }
}

/// Differential expression: which genes tell each group of spots from its reference.
///
/// # Inputs
/// `rows`: `(n_obs, n_vars)`, log-normalised (natural logarithm of 1 + x); negative values are allowed. `groups`: one
/// label per spot.
/// # Returns
/// One entry per group that has spots, codes rising; [`Reference::Group`] itself is left out.
/// # Errors
/// `LabelCount`, `NoLabels`, `BadExpression` when a spot with a label has a value that is not finite, `ShapeMismatch`
/// for a graph of other spots, `RowCount` and `ColumnCount` for blocks that do not add up to the matrix, `Option`,
/// `Graph` for slices of other spots, `Interrupted`, and those of the source.
/// # Cost
/// O(nnz) time for turning, summing and sorting by digits, in parallel over genes, and O(n_vars · (classes + groups))
/// for what is put together from them; classes are the distinct pairs of slice and group, with
/// [`Reference::Neighborhood`] also told apart by the groups they are near to. Memory beside the source:
/// [`ExpressionRows::entries_at_once`], 16 bytes per spot, of the largest gene 16 bytes per entry and thread (32 in
/// double precision), and about 200 bytes per gene and group; a graph is held transposed at first. Never spots × genes.
/// # Source
/// Wilcoxon 1945, Biometrics Bull. 1:80; Mann & Whitney 1947, Ann. Math. Stat. 18:50; Welch 1947, Biometrika 34:28; as
/// scanpy's `rank_genes_groups` has them (Wolf et al. 2018, Genome Biol. 19:15).
/// # Differences
/// scanpy counts spots without a label among the rest; here they are in no comparison. Scores are kept in double
/// precision, and variances taken about the mean, so that a constant gene has none.
///
/// # Example
///
/// ```
/// use brodmann::stats::{MarkerGroups, MarkerOptions, Reference, markers};
/// use brodmann_kernels::{CsrMatrix, Silent};
/// use ndarray::array;
///
/// // The first gene is on in the first two spots, the second everywhere alike.
/// let x = CsrMatrix::from_dense(array![[2.0_f32, 1.0], [1.0, 1.0], [0.0, 1.0], [0.0, 1.0]].view());
/// let labels = [Some(7), Some(7), Some(9), Some(9)];
/// let groups = MarkerGroups { labels: &labels, reference: Reference::Rest, slices: None };
/// let found = markers(&x.view(), &groups, &MarkerOptions::default(), &Silent)?;
/// assert_eq!((found[0].group, found[0].n_group, found[0].n_reference), (7, 2, 2));
/// assert_eq!(found[0].auc, [1.0, 0.5]);
/// assert_eq!(found[0].order(), [0, 1]);
/// assert_eq!(found[0].p_value[1], 1.0);
/// # Ok::<(), brodmann::stats::StatsError>(())
/// ```
pub fn markers<R: ExpressionRows + ?Sized>(
    rows: &R,
    groups: &MarkerGroups<'_>,
    options: &MarkerOptions,
    monitor: &dyn Monitor,
) -> Result<Vec<GroupMarkers>, R::Error> {
    options.validate().map_err(StatsError::from)?;
    let design = Design::new(rows.n_obs(), groups)?;
    monitor.stage("markers", rows.n_vars() as u64);
    let mut found: Vec<Vec<Found>> = Vec::with_capacity(rows.n_vars());
    columns::for_each_columns(rows, &design.class_of, monitor, &mut |columns| {
        let genes =
            columns.genes.clone().into_par_iter().map_init(Scratch::<R::Value>::new, |scratch, gene| {
                monitor.check()?;
                let found = scratch.measure(columns, gene, &design, options);
                monitor.advance(1);
                Ok(found)
            });
        found.extend(genes.collect::<Result<Vec<_>, StatsError>>()?);
        Ok(())
    })?;
    let with_slices = groups.slices.is_some();
    Ok(design.compared().map(|group| table(group, &found, &design, with_slices, options)).collect())
}

/// The lists of one group.
fn table(
    group: usize,
    found: &[Vec<Found>],
    design: &Design,
    with_slices: bool,
    options: &MarkerOptions,
) -> GroupMarkers {
    let list = |of: fn(&Found) -> f64| -> Vec<f64> { found.iter().map(|gene| of(&gene[group])).collect() };
    let p_value = list(|f| f.tails.p);
    let slices = with_slices.then(|| {
        let sizes = design.n_own.iter().zip(&design.n_reference).skip(group).step_by(design.n_groups());
        let p_value = list(|f| f.slice_tails.p);
        SliceSupport {
            n_judged: sizes.filter(|(own, reference)| options.judges(**own, **reference)).count(),
            hold: found.iter().map(|gene| gene[group].slices_hold).collect(),
            score: list(|f| f.slice_score),
            p_adjusted: benjamini_hochberg(&p_value),
            p_value,
        }
    });
    GroupMarkers {
        group: design.codes[group],
        n_group: design.n_own_total[group],
        n_reference: design.n_reference_total[group],
        score: list(|f| f.score),
        ln_p_value: list(|f| f.tails.ln_p),
        p_adjusted: benjamini_hochberg(&p_value),
        p_value,
        log2_fold_change: list(|f| f.log2_fold_change),
        mean: list(|f| f.mean),
        mean_reference: list(|f| f.mean_reference),
        fraction: list(|f| f.fraction),
        fraction_reference: list(|f| f.fraction_reference),
        auc: list(|f| f.auc),
        slices,
    }
}
