//! Of genes that vary alike, the most variable.

use brodmann_kernels::{CsrView, Monitor, OptionError, Slices};
use kodama::{Method, linkage};

use super::super::coexpression::correlation::correlation;
use super::super::error::PreprocessError;
use super::ranked;

/// Candidates for each gene that is kept.
const CANDIDATES_PER_GENE: usize = 2;
/// Most candidates that are compared: their correlations take 1.2 GB on the way.
const MAX_CANDIDATES: usize = 8000;

/// How many of the most variable genes are looked at to keep `n`.
pub(crate) fn n_candidates(n: usize) -> usize {
    (CANDIDATES_PER_GENE * n).min(MAX_CANDIDATES.max(n))
}

/// The most variable gene of each cluster of correlated ones.
///
/// The `2 n` most variable genes (8000 at most, and never fewer than `n`) are clustered by average linkage of
/// `1 − |cor|`, within slices; the tree is cut into `n` clusters, and of each the most variable gene is kept.
///
/// # Inputs
/// `x`: `(n_obs, n_vars)`, log-normalised. `score`: how variable each gene is; NaN: no candidate.
/// # Returns
/// The verdict on each gene: `n` of them, or all candidates where there are no more.
/// # Errors
/// `ShapeMismatch`, `Option` (`n` is 0), `Interrupted`.
/// # Cost
/// For `p` candidates as their [`correlation()`]; O(p²) time for the tree.
/// # Source
/// The idea is that of scGeneClust (Deng et al. 2023, Brief Bioinform 24:bbad042), which measures redundancy by mutual
/// information.
///
/// # Example
///
/// ```
/// use brodmann::preprocess::select_genes::nonredundant::nonredundant;
/// use brodmann_kernels::{CsrMatrix, Silent, Slices};
/// use ndarray::array;
///
/// // Gene 1 is twice gene 0, gene 2 is its own.
/// let x = array![[0.0f32, 0.0, 1.0], [1.0, 2.0, 0.0], [0.0, 0.0, 0.0], [1.0, 2.0, 1.0]];
/// let x = CsrMatrix::from_dense(x.view());
/// let kept = nonredundant(x.view(), &Slices::one(4), &[1.0, 3.0, 2.0], 2, &Silent)?;
/// assert_eq!(kept, [false, true, true]);
/// # Ok::<(), brodmann::preprocess::PreprocessError>(())
/// ```
pub fn nonredundant(
    x: CsrView<'_, f32>,
    slices: &Slices,
    score: &[f64],
    n: usize,
    monitor: &dyn Monitor,
) -> Result<Vec<bool>, PreprocessError> {
    if n == 0 {
        return Err(OptionError::new("n_top_genes", 0, "at least 1").into());
    }
    if score.len() != x.n_cols() {
        return Err(PreprocessError::ShapeMismatch {
            what: "the list of variabilities",
            found: score.len(),
            expected: x.n_cols(),
            per: "variable",
        });
    }
    let mut kept = vec![false; score.len()];
    let mut candidates = ranked(score);
    candidates.truncate(n_candidates(n));
    if candidates.len() <= n {
        for j in candidates {
            kept[j] = true;
        }
        return Ok(kept);
    }
    let p = candidates.len();
    candidates.sort_unstable();
    let links = correlation(x, slices, &candidates, monitor)?;
    let mut distances: Vec<f32> = Vec::with_capacity(p * (p - 1) / 2);
    for (i, row) in links.rows().into_iter().enumerate() {
        distances.extend(row.iter().skip(i + 1).map(|r| (1.0 - r.abs()) as f32));
    }
    drop(links);
    monitor.check()?;
    // The first merges leave n clusters; each node hands on the best gene below it.
    let better = |a: usize, b: usize| {
        let first = score[a].total_cmp(&score[b]).then(b.cmp(&a)).is_ge();
        if first { (a, b) } else { (b, a) }
    };
    for &j in &candidates {
        kept[j] = true;
    }
    let mut best = candidates;
    for step in linkage(&mut distances, p, Method::Average).steps().iter().take(p - n) {
        let (more, less) = better(best[step.cluster1], best[step.cluster2]);
        kept[less] = false;
        best.push(more);
    }
    Ok(kept)
}
