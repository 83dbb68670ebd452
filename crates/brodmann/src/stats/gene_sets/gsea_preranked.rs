//! Which gene sets gather at an end of a ranking of all genes?

use brodmann_kernels::{Monitor, OptionError, ParallelLoop, Seed};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::error::GeneSetError;
use super::matching::MatchedSets;
use crate::stats::benjamini_hochberg;

mod null;
#[cfg(test)]
mod tests;

use null::{null_scores, peak};

/// Scores that differ by less are equal: a random set that is the observed one adds its weights in another order.
const SLACK: f64 = 1e-12;

/// Options of [`gsea_preranked()`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GseaOptions {
    /// Fewest measured genes of a set that is tested.
    pub min_size: usize,
    /// Most measured genes of a set that is tested. A set of all genes is never tested.
    pub max_size: usize,
    /// The power `p` of a gene's score that it counts with: 0 counts genes, 1 is the paper's.
    pub weight: f64,
    /// Random sets for each size.
    pub n_permutations: usize,
}

impl Default for GseaOptions {
    fn default() -> Self {
        Self { min_size: 15, max_size: 500, weight: 1.0, n_permutations: 1000 }
    }
}

impl GseaOptions {
    /// Refuses values that say nothing.
    ///
    /// # Errors
    /// [`OptionError`].
    pub fn validate(&self) -> Result<(), OptionError> {
        if self.min_size == 0 {
            return Err(OptionError::new("min_size", 0, "at least 1"));
        }
        if self.max_size < self.min_size {
            let expected = format!("at least {} (the smallest size)", self.min_size);
            return Err(OptionError::new("max_size", self.max_size, expected));
        }
        if !(self.weight.is_finite() && self.weight >= 0.0) {
            return Err(OptionError::new("weight", self.weight, "a number of at least 0"));
        }
        if !(20..=1_000_000).contains(&self.n_permutations) {
            return Err(OptionError::new("n_permutations", self.n_permutations, "20 to 1000000"));
        }
        Ok(())
    }
}

/// The tested sets, in their order, one entry of each vector per set.
#[derive(Clone, Debug, PartialEq)]
pub struct Gsea {
    /// Which of the sets it is.
    pub set: Vec<usize>,
    /// Its measured genes.
    pub size: Vec<usize>,
    /// The enrichment score, from −1 (at the lower end) to 1 (at the upper one).
    pub es: Vec<f64>,
    /// The score over the mean of the random scores of its sign; NaN where no random score has its sign.
    pub nes: Vec<f64>,
    /// How likely a random score of its sign is as extreme; NaN where none has its sign.
    pub p_value: Vec<f64>,
    /// Benjamini–Hochberg over the tested sets.
    pub p_adjusted: Vec<f64>,
    /// The false discovery rate `q` of the paper, at most 1.
    pub fdr: Vec<f64>,
    /// How many genes of the ranking lead to the extreme of the walk: from the upper end for a positive score, from the
    /// lower end for a negative one.
    pub n_to_peak: Vec<usize>,
    /// The set's genes among those, in the order of the ranking.
    pub leading_edge: Vec<Vec<u32>>,
    /// Genes by falling score; of equal ones the one measured first.
    pub ranking: Vec<u32>,
    /// Genes that share their score with another, whose order says nothing.
    pub n_tied: usize,
}

impl Gsea {
    /// The entries by rising p-value, then by falling magnitude of the normalised score, then as the sets come.
    pub fn ranked(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.set.len()).collect();
        order.sort_by(|&a, &b| {
            let magnitudes = self.nes[b].abs().total_cmp(&self.nes[a].abs());
            self.p_value[a].total_cmp(&self.p_value[b]).then(magnitudes)
        });
        order
    }
}

/// Gene-set enrichment analysis of a ranking.
///
/// Walking down the genes by falling score `r`, the sum rises by `|r|ᵖ / Σ over the set |r|ᵖ` at a gene of the set and
/// falls by `1 / (N − k)` at any other; ES is where it is farthest from zero (the lower side, where both are as far).
/// The same is done for `n_permutations` random sets of each size, which sets of that size share, and
///
/// * NES is ES over the mean of the random scores of its sign;
/// * `p = (b + 1) / (m + 1)`, with `b` the random scores of its sign that are as extreme, of `m`;
/// * `q` at NES* ≥ 0 is the share of random NES* or above among the random ones ≥ 0 of all sets, over the same share
///   among the observed ones; likewise below.
///
/// # Inputs
/// `scores`: one per measured gene, finite; large at the end of interest, with a sign. Equal scores are ranked as the
/// genes are measured; [`Gsea::n_tied`] says how many that concerns. `seed`: the random sets, which of
/// a size are the same whatever else is tested.
/// # Errors
/// `Option`; `Length`; `NonFinite`; `ConstantRanking`; `NoneOfSize`; `Interrupted`.
/// # Cost
/// O(N log N + members + sizes · (N + permutations · k)) time: one permutation of the genes is dealt out to as many
/// random sets as it has genes for, which share none. Memory: 8 bytes for each different size and permutation (4 MB for
/// 500 sizes and 1000), 24 per gene, and 2 per gene and thread.
/// # Differences
/// The paper permutes labels of samples, of which a ranking knows nothing; here, as in its tool for rankings, genes are
/// permuted. The paper's p is `b / m`; one is added to both, as the observed score is one of the equally likely ones
/// under the null, and a p-value of 0 claims more than `m` draws can show (Phipson & Smyth 2010, Stat Appl Genet Mol
/// Biol 9:39). A set all of whose scores are zero rises by `1 / k`.
/// Random sets dealt from one permutation share no gene. Each is as likely as any other, so that means and tails are those
/// of separate draws.
/// # Source
/// Subramanian et al. 2005, PNAS 102:15545.
///
/// # Example
///
/// ```
/// use brodmann::stats::gene_sets::{GseaOptions, MatchedSets, gsea_preranked};
/// use brodmann_kernels::{Seed, Silent};
///
/// let scores = [4.0, 3.0, 2.0, 1.0, -1.0, -2.0];
/// let sets = MatchedSets::from_indices(6, [("upper", &[0_u32, 2][..])])?;
/// let options = GseaOptions { min_size: 1, ..Default::default() };
/// let found = gsea_preranked(&sets, &scores, &options, Seed(0), &Silent)?;
/// // 4/6, then 4/6 − 1/4, then 1 − 1/4.
/// assert!((found.es[0] - 0.75).abs() < 1e-15);
/// assert_eq!(found.leading_edge[0], [0, 2]);
/// # Ok::<(), brodmann::stats::gene_sets::GeneSetError>(())
/// ```
pub fn gsea_preranked(
    sets: &MatchedSets,
    scores: &[f64],
    options: &GseaOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Gsea, GeneSetError> {
    options.validate()?;
    let n_measured = sets.n_measured();
    if scores.len() != n_measured {
        let found = scores.len();
        return Err(GeneSetError::Length { what: "the ranking", found, expected: n_measured });
    }
    if let Some(at) = scores.iter().position(|s| !s.is_finite()) {
        let (at, value) = (format!("gene {at}"), scores[at].to_string());
        return Err(GeneSetError::NonFinite { what: "the score", at, value });
    }
    if n_measured > 0 && scores.iter().all(|&s| s == scores[0]) {
        return Err(GeneSetError::ConstantRanking { n_measured, value: scores[0].to_string() });
    }
    let tested = sets.of_size(options.min_size, options.max_size.min(n_measured.saturating_sub(1)))?;
    let ranking = Ranking::new(scores, options.weight);

    let mut peaks = Vec::with_capacity(tested.len());
    let mut positions = Vec::new();
    for &set in &tested {
        positions.clear();
        positions.extend(sets.genes(set).iter().map(|&g| ranking.position[g as usize]));
        positions.sort_unstable();
        peaks.push(peak(&positions, &ranking.weights));
    }
    let size: Vec<usize> = tested.iter().map(|&set| sets.genes(set).len()).collect();
    let mut sizes = size.clone();
    sizes.sort_unstable();
    sizes.dedup();
    let null = null_scores(&ranking.weights, &sizes, options.n_permutations, seed, monitor)?;
    let observed: Vec<f64> = peaks.iter().map(|p| p.es).collect();
    let significance = Significance::new(&observed, &size, &sizes, &null);

    let edges = tested.iter().zip(&peaks).map(|(&set, peak)| {
        let mut edge: Vec<u32> = sets
            .genes(set)
            .iter()
            .copied()
            .filter(|&g| {
                let position = ranking.position[g as usize];
                if peak.es >= 0.0 { position <= peak.position } else { position >= peak.position }
            })
            .collect();
        edge.sort_unstable_by_key(|&g| ranking.position[g as usize]);
        edge
    });
    let n_to_peak = peaks.iter().map(|peak| {
        let position = peak.position as usize;
        if peak.es >= 0.0 { position + 1 } else { n_measured - position }
    });
    Ok(Gsea {
        leading_edge: edges.collect(),
        n_to_peak: n_to_peak.collect(),
        p_adjusted: benjamini_hochberg(&significance.p_value),
        set: tested,
        size,
        es: observed,
        nes: significance.nes,
        p_value: significance.p_value,
        fdr: significance.fdr,
        n_tied: ranking.n_tied,
        ranking: ranking.genes,
    })
}

/// All genes by falling score.
struct Ranking {
    genes: Vec<u32>,
    /// Where each gene stands.
    position: Vec<u32>,
    /// `|r|ᵖ` by place in the ranking.
    weights: Vec<f64>,
    n_tied: usize,
}

impl Ranking {
    fn new(scores: &[f64], power: f64) -> Self {
        let n = scores.len();
        let score = |g: u32| scores[g as usize];
        let mut genes: Vec<u32> = (0..n as u32).collect();
        // Stable, and −0 is 0: equal scores stay in the order of the genes.
        genes.par_sort_by(|&a, &b| (score(b) + 0.0).total_cmp(&(score(a) + 0.0)));
        let mut position = vec![0; n];
        for (at, &g) in genes.iter().enumerate() {
            position[g as usize] = at as u32;
        }
        // Relative to the largest, so that no power of a large score overflows.
        let largest = scores.iter().fold(0.0_f64, |m, s| m.max(s.abs()));
        let weight = |&g: &u32| {
            if power == 0.0 { 1.0 } else { libm::pow(score(g).abs() / largest, power) }
        };
        let weights = genes.iter().map(weight).collect();
        let equal = |a: usize, b: usize| score(genes[a]) == score(genes[b]);
        let n_tied = (0..n).filter(|&i| (i > 0 && equal(i - 1, i)) || (i + 1 < n && equal(i, i + 1))).count();
        Self { genes, position, weights, n_tied }
    }
}

/// What the random scores say of the observed ones.
struct Significance {
    nes: Vec<f64>,
    p_value: Vec<f64>,
    fdr: Vec<f64>,
}

impl Significance {
    /// `null[i]` are the random scores of `sizes[i]`.
    fn new(observed: &[f64], size: &[usize], sizes: &[usize], null: &[Vec<f64>]) -> Self {
        let size_of: Vec<usize> = size.iter().map(|k| sizes.partition_point(|s| s < k)).collect();
        let mut n_sets = vec![0_u64; sizes.len()];
        for &s in &size_of {
            n_sets[s] += 1;
        }
        // Mean magnitude below and above zero, and how many there are.
        let means: Vec<[(f64, usize); 2]> = null
            .par_iter()
            .map(|scores| {
                [false, true].map(|positive| {
                    let own = || scores.iter().filter(|&&s| (s >= 0.0) == positive);
                    let n = own().count();
                    (own().sum::<f64>().abs() / n as f64, n)
                })
            })
            .collect_vec();
        let side = |es: f64| usize::from(es >= 0.0);
        let tested = observed.par_iter().zip(&size_of).map(|(&es, &s)| {
            let (mean, n) = means[s][side(es)];
            let limit = es.abs() - SLACK;
            let as_extreme = |&&r: &&f64| side(r) == side(es) && r.abs() >= limit;
            let b = null[s].iter().filter(as_extreme).count();
            if n == 0 { (f64::NAN, f64::NAN) } else { (es / mean, (b + 1) as f64 / (n + 1) as f64) }
        });
        let (nes, p_value): (Vec<f64>, Vec<f64>) = tested.unzip();
        let rates = [false, true].map(|positive| {
            let magnitude = |nes: f64| if (nes >= 0.0) == positive { nes.abs() } else { f64::NAN };
            let own: Vec<f64> = nes.iter().map(|&v| magnitude(v)).collect();
            let of_size = |(scores, means): (&Vec<f64>, &[(f64, usize); 2])| -> Vec<f64> {
                let mean = means[usize::from(positive)].0;
                scores.iter().filter(|&&s| (s >= 0.0) == positive).map(|s| s.abs() / mean).collect()
            };
            false_discovery_rates(&own, &n_sets, |i| of_size((&null[i], &means[i])))
        });
        let [below, above] = rates;
        let fdr = nes.iter().zip(below.iter().zip(above)).map(|(v, (&b, a))| if *v >= 0.0 { a } else { b });
        Self { fdr: fdr.collect(), nes, p_value }
    }
}

/// For each observed magnitude (NaN: none), the share of random magnitudes that reach it over the share of observed
/// ones that do. The random ones of size `i` count `n_sets[i]` times.
fn false_discovery_rates(
    observed: &[f64],
    n_sets: &[u64],
    random: impl Fn(usize) -> Vec<f64> + Sync,
) -> Vec<f64> {
    let mut sorted: Vec<f64> = observed.iter().copied().filter(|v| !v.is_nan()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let n = sorted.len();
    // How many random magnitudes lie at or above exactly `b` of the sorted observed ones. Whole numbers, so that the
    // order of adding does not matter.
    let add = |mut a: Vec<u64>, b: Vec<u64>| {
        for (a, b) in a.iter_mut().zip(b) {
            *a += b;
        }
        a
    };
    let counts = (0..n_sets.len())
        .into_par_iter()
        .fold(
            || vec![0_u64; n + 1],
            |mut counts, i| {
                for value in random(i) {
                    counts[sorted.partition_point(|o| *o <= value + SLACK)] += n_sets[i];
                }
                counts
            },
        )
        .reduce(|| vec![0_u64; n + 1], add);
    let total: u64 = counts.iter().sum();
    // Random ones that reach the observed one at `i`: those above at least i + 1 of the sorted.
    let mut reaching = counts;
    for i in (0..n).rev() {
        reaching[i] += reaching[i + 1];
    }
    let rate = |&value: &f64| {
        if value.is_nan() {
            return f64::NAN;
        }
        let below = |limit: f64| sorted.partition_point(|o| *o < limit);
        let random = reaching[below(value) + 1] as f64 / total as f64;
        let found = (n - below(value - SLACK)) as f64 / n as f64;
        (random / found).min(1.0)
    };
    observed.iter().map(rate).collect()
}
