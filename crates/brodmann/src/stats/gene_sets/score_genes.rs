//! How strongly does each spot express a set of genes, compared with genes that are expressed alike?

use brodmann_kernels::{CsrView, Monitor, OptionError, ParallelLoop, Real, Seed};
use ndarray::Array2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::error::GeneSetError;
use super::matching::MatchedSets;

#[cfg(test)]
mod tests;

/// Rows whose sums are taken together; fixed, so that the bits do not depend on the threads.
const MEAN_ROWS: usize = 1 << 14;
/// Rows scored between two questions whether to stop.
const SCORE_ROWS: usize = 256;

/// Options of [`score_genes()`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScoreGenesOptions {
    /// Most control genes from one bin of expression.
    pub ctrl_size: usize,
    /// Bins of expression.
    pub n_bins: usize,
}

impl Default for ScoreGenesOptions {
    fn default() -> Self {
        Self { ctrl_size: 50, n_bins: 25 }
    }
}

impl ScoreGenesOptions {
    /// Refuses values that leave nothing to compare with.
    ///
    /// # Errors
    /// [`OptionError`].
    pub fn validate(&self) -> Result<(), OptionError> {
        if self.ctrl_size == 0 {
            return Err(OptionError::new("ctrl_size", 0, "at least 1"));
        }
        if self.n_bins < 2 {
            return Err(OptionError::new("n_bins", self.n_bins, "at least 2"));
        }
        Ok(())
    }
}

/// Sets with their control genes, ready to score rows that come block by block.
#[derive(Clone, Debug)]
pub struct GeneScorer {
    n_genes: usize,
    n_sets: usize,
    /// Of each gene, the sums it goes into: `2 s` is the set `s`, `2 s + 1` its controls.
    indptr: Vec<usize>,
    sums: Vec<u32>,
    /// Genes in each sum.
    counts: Vec<u32>,
    controls: Vec<Vec<u32>>,
}

impl GeneScorer {
    /// Chooses the control genes of every set.
    ///
    /// # Inputs
    /// `means`: of each measured gene over all spots.
    /// # Errors
    /// `Option`; `Length`; `NonFinite`; `EmptySet`; `NoControls`.
    /// # Cost
    /// O(G log G + sets · controls) time; 4 bytes for each gene of each set and each of its controls.
    pub fn new(
        means: &[f64],
        sets: &MatchedSets,
        options: &ScoreGenesOptions,
        seed: Seed,
    ) -> Result<Self, GeneSetError> {
        options.validate()?;
        let n_genes = means.len();
        if n_genes != sets.n_measured() {
            let expected = sets.n_measured();
            return Err(GeneSetError::Length { what: "the list of means", found: n_genes, expected });
        }
        if let Some(at) = means.iter().position(|m| !m.is_finite()) {
            let (at, value) = (format!("gene {at}"), means[at].to_string());
            return Err(GeneSetError::NonFinite { what: "the mean expression", at, value });
        }
        let bins = Bins::new(means, options.n_bins, seed);
        let mut controls = Vec::with_capacity(sets.len());
        for set in 0..sets.len() {
            let members = sets.genes(set);
            if members.is_empty() {
                return Err(GeneSetError::EmptySet { set: sets.names()[set].clone() });
            }
            let chosen = bins.controls(members, options.ctrl_size);
            if chosen.is_empty() {
                return Err(GeneSetError::NoControls { set: sets.names()[set].clone() });
            }
            controls.push(chosen);
        }
        // By gene, as rows are read.
        let mut indptr = vec![0_usize; n_genes + 1];
        let lists = || (0..sets.len()).flat_map(|s| [(sets.genes(s), 2 * s), (&controls[s], 2 * s + 1)]);
        let pairs = || lists().flat_map(|(genes, sum)| genes.iter().map(move |&g| (g, sum as u32)));
        for (gene, _) in pairs() {
            indptr[gene as usize + 1] += 1;
        }
        for g in 0..n_genes {
            indptr[g + 1] += indptr[g];
        }
        let mut next = indptr.clone();
        let mut sums = vec![0_u32; indptr[n_genes]];
        let mut counts = vec![0_u32; 2 * sets.len()];
        for (gene, sum) in pairs() {
            sums[next[gene as usize]] = sum;
            next[gene as usize] += 1;
            counts[sum as usize] += 1;
        }
        Ok(Self { n_genes, n_sets: sets.len(), indptr, sums, counts, controls })
    }

    /// The control genes of set `i`, rising.
    ///
    /// # Panics
    /// When there is no such set.
    pub fn controls(&self, i: usize) -> &[u32] {
        &self.controls[i]
    }

    /// The scores of some rows, `(rows, sets)`.
    ///
    /// # Errors
    /// `Length` for rows of other genes; `NonFinite`; `Interrupted`.
    /// # Cost
    /// O(Σ over entries of the sums that their gene goes into) time; the scores, and 16 bytes per set and thread.
    pub fn score<T: Real>(
        &self,
        rows: CsrView<'_, T>,
        monitor: &dyn Monitor,
    ) -> Result<Array2<f64>, GeneSetError> {
        if rows.n_cols() != self.n_genes {
            let (found, expected) = (rows.n_cols(), self.n_genes);
            return Err(GeneSetError::Length { what: "a row", found, expected });
        }
        if self.n_sets == 0 {
            return Ok(Array2::zeros((rows.n_rows(), 0)));
        }
        let mut scores = Array2::zeros((rows.n_rows(), self.n_sets));
        let flat = scores.as_slice_mut().expect("a new array is contiguous");
        // for each row: for each entry (gene, value): for each sum of that gene: sum += value
        //     score of a set = its sum / its genes − sum of its controls / their number
        let of_chunk = |(c, block): (usize, &mut [f64])| -> Result<(), GeneSetError> {
            monitor.check()?;
            let mut sums = vec![0.0; 2 * self.n_sets];
            for (r, scores) in block.chunks_exact_mut(self.n_sets).enumerate() {
                let row = c * SCORE_ROWS + r;
                let (genes, values) = rows.row(row);
                sums.fill(0.0);
                for (&gene, &value) in genes.iter().zip(values) {
                    let value = finite(value, row, gene)?;
                    for &sum in &self.sums[self.indptr[gene as usize]..self.indptr[gene as usize + 1]] {
                        sums[sum as usize] += value;
                    }
                }
                for (s, score) in scores.iter_mut().enumerate() {
                    let mean = |sum: usize| sums[sum] / f64::from(self.counts[sum]);
                    *score = mean(2 * s) - mean(2 * s + 1);
                }
            }
            monitor.advance((block.len() / self.n_sets) as u64);
            Ok(())
        };
        flat.par_chunks_mut(SCORE_ROWS * self.n_sets).enumerate().try_for_each(of_chunk)?;
        Ok(scores)
    }
}

/// Genes by mean expression, in bins of about equal size.
struct Bins {
    bin_of: Vec<u32>,
    /// Genes of each bin, in the order in which they are drawn.
    drawn: Vec<Vec<u32>>,
}

impl Bins {
    fn new(means: &[f64], n_bins: usize, seed: Seed) -> Self {
        let n = means.len();
        let mut order: Vec<u32> = (0..n as u32).collect();
        order.sort_by(|&a, &b| means[a as usize].total_cmp(&means[b as usize]));
        // Half to even, as numpy rounds: 12.5 genes to a bin are 12.
        let per_bin = ((n as f64 / (n_bins - 1) as f64).round_ties_even() as usize).max(1);
        let mut bin_of = vec![0; n];
        let mut drawn: Vec<Vec<u32>> = Vec::new();
        let mut rank = 0;
        for (i, &gene) in order.iter().enumerate() {
            // Equal means share the lowest of their ranks, from 1.
            if i == 0 || means[gene as usize] != means[order[i - 1] as usize] {
                rank = i + 1;
            }
            let bin = rank / per_bin;
            if drawn.len() <= bin {
                drawn.resize(bin + 1, Vec::new());
            }
            bin_of[gene as usize] = bin as u32;
            drawn[bin].push(gene);
        }
        // Every gene has one ticket, so that a set gets the same controls whatever else is scored.
        let tickets = seed.derive("stats/score_genes/controls", 0);
        for genes in &mut drawn {
            genes.sort_by_key(|&g| (tickets.word(u64::from(g)), g));
        }
        Self { bin_of, drawn }
    }

    /// Of every bin with a gene of the set, the first `ctrl_size` genes outside it; rising.
    fn controls(&self, members: &[u32], ctrl_size: usize) -> Vec<u32> {
        let mut bins: Vec<u32> = members.iter().map(|&g| self.bin_of[g as usize]).collect();
        bins.sort_unstable();
        bins.dedup();
        let outside = |g: &&u32| members.binary_search(g).is_err();
        let of_bin = |&bin: &u32| self.drawn[bin as usize].iter().filter(outside).take(ctrl_size).copied();
        let mut chosen: Vec<u32> = bins.iter().flat_map(of_bin).collect();
        chosen.sort_unstable();
        chosen
    }
}

/// A score per spot and gene set: the mean of its genes less the mean of control genes that are expressed alike.
///
/// Genes are ranked by their mean over all spots (equal ones share the lowest rank, from 1) and bin `⌊rank / m⌋` holds
/// about `m = round(G / (n_bins − 1))` of them. The controls of a set are all genes outside it in the bins of its
/// genes, at most `ctrl_size` of a bin.
///
/// # Inputs
/// `x`: `(n_obs, n_genes)`, log-normalised. Every set needs a measured gene.
/// # Returns
/// `(n_obs, sets)`, in units of `x`; 0 where a set is expressed like its controls.
/// # Errors
/// `NoSpots`; `NonFinite` with spot and gene; those of [`GeneScorer::new`].
/// # Cost
/// Two passes over the entries. Memory: the scores, 8 bytes per gene for every 16,384 spots, and what
/// [`GeneScorer`] holds. Where rows come block by block, give their means to [`GeneScorer::new`] instead.
/// # Differences
/// With at most `ctrl_size` genes in every bin nothing is drawn, and the scores are those of scanpy. Otherwise scanpy
/// draws with NumPy's generator; here every gene draws a ticket from `seed`, and the lowest are taken: the controls of
/// a set do not depend on the other sets.
/// # Source
/// Tirosh et al. 2016, Science 352:189; Satija et al. 2015, Nat Biotechnol 33:495; the definition of scanpy's
/// `tl.score_genes`.
///
/// # Example
///
/// ```
/// use brodmann::stats::gene_sets::{MatchedSets, ScoreGenesOptions, score_genes};
/// use brodmann_kernels::{CsrMatrix, Seed, Silent};
/// use ndarray::array;
///
/// let x = CsrMatrix::from_dense(array![[3.0, 1.0, 0.0], [1.0, 3.0, 1.0]].view());
/// let sets = MatchedSets::from_indices(3, [("a", &[0_u32][..])])?;
/// // One bin for all three genes: genes 1 and 2 are the controls of gene 0.
/// let options = ScoreGenesOptions { n_bins: 2, ..Default::default() };
/// let scores = score_genes(x.view(), &sets, &options, Seed(0), &Silent)?;
/// assert_eq!(scores, array![[2.5], [-1.0]]);
/// # Ok::<(), brodmann::stats::gene_sets::GeneSetError>(())
/// ```
pub fn score_genes<T: Real>(
    x: CsrView<'_, T>,
    sets: &MatchedSets,
    options: &ScoreGenesOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Array2<f64>, GeneSetError> {
    options.validate()?;
    if x.n_rows() == 0 {
        return Err(GeneSetError::NoSpots);
    }
    monitor.stage("gene means", x.n_rows() as u64);
    let means = means(x, monitor)?;
    let scorer = GeneScorer::new(&means, sets, options, seed)?;
    monitor.stage("gene-set scores", x.n_rows() as u64);
    scorer.score(x, monitor)
}

/// The mean of every column.
fn means<T: Real>(x: CsrView<'_, T>, monitor: &dyn Monitor) -> Result<Vec<f64>, GeneSetError> {
    let n_rows = x.n_rows();
    let of_chunk = |c: usize| -> Result<Vec<f64>, GeneSetError> {
        monitor.check()?;
        let mut sums = vec![0.0; x.n_cols()];
        let rows = c * MEAN_ROWS..n_rows.min((c + 1) * MEAN_ROWS);
        let n = rows.len();
        for row in rows {
            let (genes, values) = x.row(row);
            for (&gene, &value) in genes.iter().zip(values) {
                sums[gene as usize] += finite(value, row, gene)?;
            }
        }
        monitor.advance(n as u64);
        Ok(sums)
    };
    let parts: Vec<Vec<f64>> =
        (0..n_rows.div_ceil(MEAN_ROWS)).into_par_iter().map(of_chunk).try_collect_vec()?;
    let mut means = vec![0.0; x.n_cols()];
    for part in parts {
        for (mean, sum) in means.iter_mut().zip(part) {
            *mean += sum;
        }
    }
    for mean in &mut means {
        *mean /= n_rows as f64;
    }
    Ok(means)
}

fn finite<T: Real>(value: T, row: usize, gene: u32) -> Result<f64, GeneSetError> {
    if value.is_finite() {
        return Ok(value.into());
    }
    Err(GeneSetError::NonFinite {
        what: "the expression",
        at: format!("spot {row}, gene {gene}"),
        value: value.to_string(),
    })
}
