//! Domains of one embedding, or what the embeddings of several networks agree on.

use brodmann_kernels::{Monitor, Seed};
use ndarray::{Array2, ArrayView2};

use super::request::StaigRequest;
use crate::cluster::{Consensus, consensus, refine_labels};
use crate::pipeline::embedding_clusters::{
    Clustered, EmbeddingMethod, MixtureReport, TriedNumber, cluster_rows,
};
use crate::pipeline::{PipelineError, Seconds, timed};

/// Domains, and how they were found.
pub(super) struct Domains {
    /// One per spot; 0 is the largest.
    pub labels: Vec<u32>,
    /// Before the refinement, in the same numbers.
    pub unrefined: Option<Vec<u32>>,
    /// Of the network kept.
    pub quality: f64,
    /// Of the network kept, with a mixture.
    pub mixture: Option<MixtureReport>,
    /// Whether the number asked for was found.
    pub reached: bool,
    /// The method with the number of domains that was settled.
    pub method: EmbeddingMethod,
    /// The numbers tried, where none was given.
    pub tried: Vec<TriedNumber>,
    /// The network that agrees best with all.
    pub kept: usize,
    /// Of several networks.
    pub consensus: Option<Consensus>,
}

/// Domains of the embeddings of one or several networks.
///
/// # Inputs
/// `embeddings`: one per network, with the seed of each. `coordinates`, `slices`: for the refinement.
pub(super) fn find(
    embeddings: &[(Seed, &Array2<f64>)],
    coordinates: ArrayView2<'_, f64>,
    slices: Option<&[u32]>,
    request: &StaigRequest,
    seconds: &mut Seconds,
    monitor: &dyn Monitor,
) -> Result<Domains, PipelineError> {
    let mut method = request.cluster.clone();
    let mut runs: Vec<Clustered> = Vec::with_capacity(embeddings.len());
    for (seed, embedding) in embeddings {
        let run = cluster_rows(embedding.view(), &method, *seed, seconds, monitor)?;
        // The first network settles the number; the others are asked for the same, so that they can agree.
        if runs.is_empty() && embeddings.len() > 1 && method.n_clusters().is_none() {
            let found = run.labels.iter().max().map_or(1, |m| *m as usize + 1);
            monitor.note(&format!("{found} domains in the first embedding, and so in the others"));
            method = method.with_n_clusters(found);
        }
        runs.push(run);
    }
    let tried = runs.first().and_then(|r| r.mixture.as_ref()).map(|m| m.tried.clone()).unwrap_or_default();
    let labelings: Vec<&[u32]> = runs.iter().map(|r| r.labels.as_slice()).collect();
    let agreed = if runs.len() > 1 {
        Some(timed(&mut seconds.cluster, || consensus(&labelings, monitor))?)
    } else {
        None
    };
    let kept = agreed.as_ref().map_or(0, |c| {
        let best = |k: &usize, j: &usize| c.run_agreement[*k].total_cmp(&c.run_agreement[*j]).then(j.cmp(k));
        (0..runs.len()).max_by(best).unwrap_or(0)
    });
    let raw = agreed.as_ref().map_or_else(|| runs[kept].labels.clone(), |c| c.labels.clone());
    let k = request.refine();
    let refined = if k > 0 {
        Some(timed(&mut seconds.cluster, || refine_labels(&raw, coordinates, slices, k))?)
    } else {
        None
    };
    let (labels, unrefined) = match refined {
        None => (by_size(&raw, &raw), None),
        Some(refined) => (by_size(&refined, &refined), Some(by_size(&raw, &refined))),
    };
    let Clustered { quality, mixture, reached, .. } = runs.swap_remove(kept);
    Ok(Domains { labels, unrefined, quality, mixture, reached, method, tried, kept, consensus: agreed })
}

/// `labels` numbered by how many spots `sizes` gives each, the largest first; labels that only `labels` has come last.
fn by_size(labels: &[u32], sizes: &[u32]) -> Vec<u32> {
    let n = labels.iter().chain(sizes).max().map_or(0, |m| *m as usize + 1);
    let mut counts = vec![0usize; n];
    for &label in sizes {
        counts[label as usize] += 1;
    }
    let mut used = vec![false; n];
    labels.iter().chain(sizes).for_each(|&label| used[label as usize] = true);
    let mut order: Vec<usize> = (0..n).filter(|&label| used[label]).collect();
    order.sort_by_key(|&label| (std::cmp::Reverse(counts[label]), label));
    let mut number = vec![0u32; n];
    for (new, &label) in order.iter().enumerate() {
        number[label] = new as u32;
    }
    labels.iter().map(|&label| number[label as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_numbered_by_size_and_keep_their_numbers_before_refinement() {
        let refined = [5, 2, 2, 2, 5, 2];
        let before = [5, 2, 7, 2, 5, 7];
        assert_eq!(by_size(&refined, &refined), [1, 0, 0, 0, 1, 0]);
        assert_eq!(by_size(&before, &refined), [1, 0, 2, 0, 1, 2]);
        assert_eq!(by_size(&[], &[]), Vec::<u32>::new());
    }
}
