//! Much about the labels, little about each other: minimum redundancy, maximum relevance.

use brodmann_kernels::{Monitor, OptionError, ParallelLoop};
use ndarray::{Array2, ArrayView1, ArrayView2};
use rayon::prelude::*;

use super::super::error::PreprocessError;

/// Least mean redundancy that a quotient divides by.
const LEAST: f64 = 1e-12;

/// How relevance and redundancy are weighed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// Relevance minus the mean mutual information with the genes chosen (MID).
    #[default]
    Difference,
    /// Relevance divided by it (MIQ).
    Quotient,
}

/// Genes in the order in which they were chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Mrmr {
    /// Columns.
    pub genes: Vec<usize>,
    /// The value that was the largest; of the first gene its relevance.
    pub scores: Vec<f64>,
    /// Mutual information of every gene with the labels, in nats.
    pub relevance: Vec<f64>,
}

/// Values in three levels: 0 and 2 for those more than half a standard deviation below and above the mean, else 1.
///
/// # Inputs
/// `values`: `(n_obs, n_vars)`, finite.
/// # Returns
/// `(n_obs, n_vars)`; a column that does not vary is 1.
/// # Source
/// Ding & Peng 2005, J Bioinform Comput Biol 3:185. The standard deviation divides by n − 1.
///
/// # Example
///
/// ```
/// use brodmann::preprocess::select_genes::mrmr::three_levels;
/// use ndarray::array;
///
/// assert_eq!(three_levels(array![[0.0], [5.0], [10.0]].view()), array![[0u8], [1], [2]]);
/// ```
pub fn three_levels(values: ArrayView2<'_, f64>) -> Array2<u8> {
    let n = values.nrows() as f64;
    let mut levels = Array2::from_elem(values.dim(), 1u8);
    for (column, mut out) in values.columns().into_iter().zip(levels.columns_mut()) {
        let mean = column.sum() / n;
        let variance = column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let half = 0.5 * variance.sqrt();
        for (level, &v) in out.iter_mut().zip(&column) {
            if v > mean + half {
                *level = 2;
            } else if v < mean - half {
                *level = 0;
            }
        }
    }
    levels
}

/// Chooses `n` genes greedily: first the most relevant, then the best by relevance and redundancy.
///
/// # Inputs
/// `levels`: `(n_obs, n_vars)`, for instance of [`three_levels()`]. `labels`: one per observation, any numbers.
/// # Returns
/// `n` genes, or all; ties go to the lower column.
/// # Errors
/// `Empty`, `Option` (`n` is 0), `ShapeMismatch` (labels of other observations), `Interrupted`.
/// # Cost
/// O(n · n_obs · n_vars) time.
/// # Source
/// Ding & Peng 2005, J Bioinform Comput Biol 3:185.
///
/// # Example
///
/// ```
/// use brodmann::preprocess::select_genes::mrmr::{Scheme, mrmr};
/// use brodmann_kernels::Silent;
/// use ndarray::array;
///
/// // Gene 1 repeats gene 0; gene 2 says less of the labels, but something else.
/// let levels = array![[0u8, 0, 0], [0, 0, 1], [1, 1, 1], [1, 1, 1]];
/// let found = mrmr(levels.view(), &[0, 0, 1, 1], 2, Scheme::Difference, &Silent)?;
/// assert_eq!(found.genes, [0, 1]);
/// # Ok::<(), brodmann::preprocess::PreprocessError>(())
/// ```
pub fn mrmr(
    levels: ArrayView2<'_, u8>,
    labels: &[u32],
    n: usize,
    scheme: Scheme,
    monitor: &dyn Monitor,
) -> Result<Mrmr, PreprocessError> {
    let (n_obs, n_vars) = levels.dim();
    if n == 0 {
        return Err(OptionError::new("n_top_genes", 0, "at least 1").into());
    }
    if n_obs == 0 || n_vars == 0 {
        return Err(PreprocessError::Empty { n_obs, n_vars });
    }
    if labels.len() != n_obs {
        let (found, expected) = (labels.len(), n_obs);
        return Err(PreprocessError::ShapeMismatch {
            what: "the list of labels",
            found,
            expected,
            per: "spot",
        });
    }
    let mut distinct = labels.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let classes: Vec<usize> = labels.iter().map(|l| distinct.partition_point(|d| d < l)).collect();
    // Genes as rows, so that each is read in one go.
    let genes = levels.t().as_standard_layout().into_owned();
    let with = |known: &[usize], n_known: usize| -> Vec<f64> {
        (0..n_vars).into_par_iter().map(|j| mutual_information(genes.row(j), known, n_known)).collect_vec()
    };
    let relevance = with(&classes, distinct.len());
    let mut redundancy = vec![0.0; n_vars];
    let mut open = vec![true; n_vars];
    let mut found = Mrmr { genes: Vec::new(), scores: Vec::new(), relevance };
    monitor.stage("minimum redundancy", n.min(n_vars) as u64);
    while found.genes.len() < n.min(n_vars) {
        monitor.check()?;
        let n_chosen = found.genes.len() as f64;
        let value = |j: usize| match (found.genes.is_empty(), scheme) {
            (true, _) => found.relevance[j],
            (false, Scheme::Difference) => found.relevance[j] - redundancy[j] / n_chosen,
            (false, Scheme::Quotient) => found.relevance[j] / (redundancy[j] / n_chosen).max(LEAST),
        };
        let mut best = (f64::NEG_INFINITY, 0);
        for j in (0..n_vars).filter(|&j| open[j]) {
            let value = value(j);
            if value > best.0 {
                best = (value, j);
            }
        }
        let (score, chosen) = best;
        open[chosen] = false;
        found.genes.push(chosen);
        found.scores.push(score);
        let known: Vec<usize> = genes.row(chosen).iter().map(|&v| usize::from(v)).collect();
        let n_known = known.iter().max().map_or(1, |m| m + 1);
        redundancy.iter_mut().zip(with(&known, n_known)).for_each(|(sum, v)| *sum += v);
        monitor.advance(1);
    }
    Ok(found)
}

/// Mutual information of two lists of levels, in nats.
fn mutual_information(gene: ArrayView1<'_, u8>, known: &[usize], n_known: usize) -> f64 {
    let n_levels = gene.iter().max().map_or(1, |m| usize::from(*m) + 1);
    let mut joint = vec![0u32; n_levels * n_known];
    gene.iter().zip(known).for_each(|(&a, &b)| joint[usize::from(a) * n_known + b] += 1);
    let n = known.len() as f64;
    let mut of_known = vec![0u32; n_known];
    joint.chunks(n_known).for_each(|row| of_known.iter_mut().zip(row).for_each(|(sum, v)| *sum += v));
    let mut sum = 0.0;
    for row in joint.chunks(n_known) {
        let of_gene: u32 = row.iter().sum();
        for (&both, &known) in row.iter().zip(&of_known).filter(|(both, _)| **both > 0) {
            let both = f64::from(both);
            sum += both / n * (n * both / (f64::from(of_gene) * f64::from(known))).ln();
        }
    }
    sum.max(0.0)
}
