//! Which gene sets hold more genes of a list than chance would give them?

use brodmann_kernels::{Monitor, OptionError, ParallelLoop};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::error::GeneSetError;
use super::hypergeometric::Hypergeometric;
use super::matching::MatchedSets;
use crate::stats::benjamini_hochberg;

#[cfg(test)]
mod tests;

/// Sets handled between two questions whether to stop.
const CHUNK: usize = 64;

/// The genes that a list could have been drawn from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Background {
    /// All that were measured.
    #[default]
    Measured,
    /// Those of them that are in a set: what is in none was perhaps never looked at by who made the sets.
    InSets,
}

/// Options of [`over_representation()`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OverRepresentationOptions {
    /// Fewest measured genes of a set that is tested.
    pub min_size: usize,
    /// Most measured genes of a set that is tested.
    pub max_size: usize,
    /// The genes that the list could have been drawn from.
    pub background: Background,
}

impl Default for OverRepresentationOptions {
    fn default() -> Self {
        Self { min_size: 10, max_size: 500, background: Background::Measured }
    }
}

impl OverRepresentationOptions {
    /// Refuses limits that exclude each other.
    ///
    /// # Errors
    /// [`OptionError`].
    pub fn validate(&self) -> Result<(), OptionError> {
        if self.max_size >= self.min_size {
            return Ok(());
        }
        Err(OptionError::new(
            "max_size",
            self.max_size,
            format!("at least {} (the smallest size)", self.min_size),
        ))
    }
}

/// The tested sets, in their order, one entry of each vector per set.
#[derive(Clone, Debug, PartialEq)]
pub struct OverRepresentation {
    /// Which of the sets it is.
    pub set: Vec<usize>,
    /// Its genes in the background, `K`.
    pub size: Vec<usize>,
    /// Of these, the ones on the list, `k`: places among the measured genes, rising.
    pub genes: Vec<Vec<u32>>,
    /// `n K / N`: how many chance would give.
    pub expected: Vec<f64>,
    /// `k` over what is expected; NaN for a set without a gene in the background.
    pub fold: Vec<f64>,
    /// `P(X ≥ k)`; 0 below 1e-308, where [`Self::ln_p_value`] still tells sets apart.
    pub p_value: Vec<f64>,
    /// Its natural logarithm.
    pub ln_p_value: Vec<f64>,
    /// Benjamini–Hochberg over the tested sets.
    pub p_adjusted: Vec<f64>,
    /// Genes on the list that are in the background, `n`.
    pub n_query: usize,
    /// Genes in the background, `N`.
    pub n_background: usize,
}

impl OverRepresentation {
    /// The entries by rising p-value; of equal ones the set that comes first.
    pub fn ranked(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.set.len()).collect();
        order.sort_by(|&a, &b| self.ln_p_value[a].total_cmp(&self.ln_p_value[b]));
        order
    }
}

/// Over-representation of gene sets in a list of genes: a one-sided hypergeometric test for each set.
///
/// Of `N` measured genes `K` are in the set and `n` on the list; drawn without regard to the set, the list would hold
/// `X` of it, and `p = P(X ≥ k)` for the `k` it holds (Fisher's exact test, one-sided). `expected = n K / N`,
/// `fold = (k / n) / (K / N)`. A set without a gene on the list has `p = 1` and is a test as any other.
///
/// # Inputs
/// `query`: places among the measured genes, in any order; repeated ones count once.
/// # Errors
/// `Option`; `GeneRange`; `EmptyQuery`; `NoneOfSize`; `Interrupted`.
/// # Cost
/// O(members + n) time for the overlaps, O(√(n K / N)) or so for each tail; O(N + sets + overlaps) memory.
/// # Differences
/// clusterProfiler's background is cut to the genes that are in a set, here with [`Background::InSets`] only, and it
/// leaves sets out of the correction that no gene of the list is in, which makes adjusted p-values smaller than the
/// number of tests allows.
/// # Source
/// Boyle et al. 2004, Bioinformatics 20:3710; Yu et al. 2012, OMICS 16:284 (clusterProfiler).
///
/// # Example
///
/// ```
/// use brodmann::stats::gene_sets::{MatchedSets, OverRepresentationOptions, over_representation};
/// use brodmann_kernels::Silent;
///
/// // 3 of the 4 genes on the list are in a set of 3; 10 are measured.
/// let sets = MatchedSets::from_indices(10, [("a", &[0_u32, 1, 2][..])])?;
/// let options = OverRepresentationOptions { min_size: 1, ..Default::default() };
/// let found = over_representation(&sets, &[0, 1, 2, 9], &options, &Silent)?;
/// // C(4, 3) of C(10, 3) ways.
/// assert!((found.p_value[0] - 4.0 / 120.0).abs() < 1e-15);
/// assert_eq!(found.expected, [1.2]);
/// # Ok::<(), brodmann::stats::gene_sets::GeneSetError>(())
/// ```
pub fn over_representation(
    sets: &MatchedSets,
    query: &[u32],
    options: &OverRepresentationOptions,
    monitor: &dyn Monitor,
) -> Result<OverRepresentation, GeneSetError> {
    options.validate()?;
    let n_measured = sets.n_measured();
    let mut is_background = vec![options.background == Background::Measured; n_measured];
    if options.background == Background::InSets {
        for set in 0..sets.len() {
            for &gene in sets.genes(set) {
                is_background[gene as usize] = true;
            }
        }
    }
    let mut is_query = vec![false; n_measured];
    for &found in query {
        let Some(flag) = is_query.get_mut(found as usize) else {
            return Err(GeneSetError::GeneRange { what: "the list of genes".to_owned(), found, n_measured });
        };
        *flag = is_background[found as usize];
    }
    let count = |flags: &[bool]| flags.iter().filter(|&&flag| flag).count();
    let (n_query, n_background) = (count(&is_query), count(&is_background));
    if n_query == 0 {
        let why = if query.is_empty() { "" } else { ", as none of its genes is in a set" };
        return Err(GeneSetError::EmptyQuery { why });
    }
    let tested = sets.of_size(options.min_size, options.max_size)?;

    monitor.stage("over-representation", tested.len() as u64);
    let of_chunk = |chunk: &[usize]| -> Result<Vec<(Vec<u32>, f64)>, GeneSetError> {
        monitor.check()?;
        let found = chunk
            .iter()
            .map(|&set| {
                let members = sets.genes(set);
                let overlap: Vec<u32> = members.iter().copied().filter(|&g| is_query[g as usize]).collect();
                let chance = Hypergeometric { total: n_background, marked: members.len(), drawn: n_query };
                let ln_p = chance.ln_upper_tail(overlap.len());
                (overlap, ln_p)
            })
            .collect();
        monitor.advance(chunk.len() as u64);
        Ok(found)
    };
    let chunks: Vec<_> = tested.par_chunks(CHUNK).map(of_chunk).try_collect_vec()?;
    let (genes, ln_p_value): (Vec<Vec<u32>>, Vec<f64>) = chunks.into_iter().flatten().unzip();

    let size: Vec<usize> = tested.iter().map(|&set| sets.genes(set).len()).collect();
    let (n, total) = (n_query as f64, n_background as f64);
    let expected: Vec<f64> = size.iter().map(|&k| n * k as f64 / total).collect();
    let fold = genes.iter().zip(&size).map(|(g, &k)| (g.len() as f64 / n) / (k as f64 / total)).collect();
    let p_value: Vec<f64> = ln_p_value.iter().map(|&p| libm::exp(p)).collect();
    Ok(OverRepresentation {
        p_adjusted: benjamini_hochberg(&p_value),
        set: tested,
        size,
        genes,
        expected,
        fold,
        p_value,
        ln_p_value,
        n_query,
        n_background,
    })
}
