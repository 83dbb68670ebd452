//! The last step: domains of one embedding, or what the embeddings of several networks agree on; the vote of the
//! neighbours; numbers by size.

use brodmann_data::{Categorical, Column};
use brodmann_kernels::Seed;
use ndarray::Array2;

use super::PipelineError;
use super::clustering::{Clustered, EmbeddingMethod, MixtureReport, TriedNumber, cluster_rows};
use super::known::KnownDomains;
use super::request::Place;
use super::run::{Run, Stage};
use super::scene::Scene;
use crate::cluster::{Consensus, Gaussians, consensus, refine_labels};

/// An embedding of all spots.
pub struct Embedding {
    /// What it was made from, and what its clustering starts from.
    pub seed: Seed,
    /// `(n_obs, d)`, as it is written; `None` where it is in the file already.
    pub written: Option<Array2<f32>>,
    /// The `obsm` key it was read from, where it was in the file.
    pub source: Option<String>,
    /// `(n_obs, c)`: what is clustered and laid out in the plane.
    pub clustered: Array2<f64>,
}

/// Labels that a method found without an embedding.
pub struct Labels {
    /// One per spot; 0 is the largest domain.
    pub labels: Vec<u32>,
    /// What the method maximised.
    pub quality: f64,
    /// Whether the number asked for was found.
    pub reached: bool,
    /// Nearest spots in space whose majority a spot follows from here; 0 for none.
    pub refine: usize,
}

/// Domains, and how they were found.
pub struct Domains {
    /// One per spot; 0 is the largest.
    pub labels: Vec<u32>,
    /// Before the refinement, in the same numbers.
    pub unrefined: Option<Vec<u32>>,
    /// Of the embedding kept.
    pub quality: f64,
    /// Of the embedding kept, with a mixture.
    pub mixture: Option<MixtureReport>,
    /// That mixture, and the labels under its own numbers.
    pub fitted: Option<(Gaussians, Vec<u32>)>,
    /// Whether the number asked for was found.
    pub reached: bool,
    /// The method with the number of domains that was settled; `None` for labels found without an embedding.
    pub method: Option<EmbeddingMethod>,
    /// The numbers tried, where none was given.
    pub tried: Vec<TriedNumber>,
    /// The embedding that agrees best with all.
    pub kept: usize,
    /// Of several embeddings.
    pub consensus: Option<Consensus>,
    /// Nearest spots in space whose majority a spot followed; 0 for none.
    pub refine: usize,
    /// What a model that is saved remembers of them.
    pub known: Option<KnownDomains>,
}

impl Domains {
    /// How many there are.
    pub fn n_clusters(&self) -> usize {
        self.sizes().iter().filter(|n| **n > 0).count()
    }

    /// Spots in each, by number; a domain that a model knows may have none here.
    pub fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0usize; self.labels.iter().max().map_or(0, |m| *m as usize + 1)];
        for &label in &self.labels {
            sizes[label as usize] += 1;
        }
        sizes
    }

    /// Spots whose label the refinement changed; `None` without refinement.
    pub fn n_refined(&self) -> Option<usize> {
        let before = self.unrefined.as_ref()?;
        Some(self.labels.iter().zip(before).filter(|(a, b)| a != b).count())
    }

    /// Adds `obs[key]`, and what belongs to it.
    pub(super) fn add(&self, key: &str, run: &mut Run<'_>) {
        let labels = |labels: &[u32]| Column::Categorical(Categorical::from_labels(labels));
        let root = run.target(None);
        root.obs.insert(key.to_owned(), labels(&self.labels));
        if let Some(unrefined) = &self.unrefined {
            root.obs.insert(format!("{key}_unrefined"), labels(unrefined));
        }
        if let Some(consensus) = &self.consensus {
            root.obs.insert(format!("{key}_stability"), Column::Float64(consensus.stability.clone()));
        }
    }
}

/// Domains of labels that a method found without an embedding.
///
/// # Errors
/// As [`find`].
pub(super) fn of_labels(
    found: Labels,
    scene: &Scene<'_>,
    place: &Place,
    run: &mut Run<'_>,
) -> Result<Domains, PipelineError> {
    // Numbered by size already.
    let refine = found.refine;
    let (labels, unrefined) = match refine {
        0 => (found.labels, None),
        _ => refined(&found.labels, refine, Numbers::BySize, scene, place, run)?,
    };
    Ok(Domains {
        labels,
        unrefined,
        quality: found.quality,
        mixture: None,
        fitted: None,
        reached: found.reached,
        method: None,
        tried: Vec::new(),
        kept: 0,
        consensus: None,
        refine,
        known: None,
    })
}

/// Where the numbers of domains come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbers {
    /// The largest is 0.
    BySize,
    /// A model's domains have their numbers.
    Given,
}

/// What the `refine` nearest spots make of labels, where that is above 0; and the labels before, in the same numbers.
fn refined(
    raw: &[u32],
    refine: usize,
    numbers: Numbers,
    scene: &Scene<'_>,
    place: &Place,
    run: &mut Run<'_>,
) -> Result<(Vec<u32>, Option<Vec<u32>>), PipelineError> {
    let numbered = |labels: &[u32], sizes: &[u32]| match numbers {
        Numbers::BySize => by_size(labels, sizes),
        Numbers::Given => labels.to_vec(),
    };
    if refine == 0 {
        return Ok((numbered(raw, raw), None));
    }
    let coordinates = scene.tissue.coordinates(&place.spatial_key)?;
    let slices = scene.slices();
    let refined = run.timed(Stage::Cluster, || refine_labels(raw, coordinates.view(), slices, refine))?;
    Ok((numbered(&refined, &refined), Some(numbered(raw, &refined))))
}

/// Domains of one or several embeddings; `refine` spots vote, where it is above 0.
///
/// # Errors
/// As the clustering's own; without coordinates where they are needed.
pub(super) fn find(
    embeddings: &[Embedding],
    method: EmbeddingMethod,
    refine: usize,
    scene: &Scene<'_>,
    place: &Place,
    run: &mut Run<'_>,
) -> Result<Domains, PipelineError> {
    let (mut method, monitor) = (method, run.monitor);
    let mut found: Vec<Clustered> = Vec::with_capacity(embeddings.len());
    for embedding in embeddings {
        let one = cluster_rows(embedding.clustered.view(), &method, embedding.seed, run)?;
        // The first network settles the number; the others are asked for the same, so that they can agree.
        if found.is_empty() && embeddings.len() > 1 && method.n_clusters().is_none() {
            let n = one.labels.iter().max().map_or(1, |m| *m as usize + 1);
            monitor.note(&format!("{n} domains in the first embedding, and so in the others"));
            method = method.with_n_clusters(n);
        }
        found.push(one);
    }
    let tried = found.first().and_then(|r| r.mixture.as_ref()).map(|m| m.tried.clone()).unwrap_or_default();
    let labelings: Vec<&[u32]> = found.iter().map(|r| r.labels.as_slice()).collect();
    let agreed = if found.len() > 1 {
        Some(run.timed(Stage::Cluster, || consensus(&labelings, monitor))?)
    } else {
        None
    };
    let kept = agreed.as_ref().map_or(0, |c| {
        let best = |k: &usize, j: &usize| c.run_agreement[*k].total_cmp(&c.run_agreement[*j]).then(j.cmp(k));
        (0..found.len()).max_by(best).unwrap_or(0)
    });
    let raw = agreed.as_ref().map_or_else(|| found[kept].labels.clone(), |c| c.labels.clone());
    let (refine, numbers) = match &method {
        EmbeddingMethod::Known(known) => (known.refine, Numbers::Given),
        _ => (refine, Numbers::BySize),
    };
    let (labels, unrefined) = refined(&raw, refine, numbers, scene, place, run)?;
    let Clustered { labels: own, quality, mixture, reached, fitted } = found.swap_remove(kept);
    Ok(Domains {
        labels,
        unrefined,
        quality,
        mixture,
        fitted: fitted.map(|gaussians| (gaussians, own)),
        reached,
        method: Some(method),
        tried,
        kept,
        consensus: agreed,
        refine,
        known: None,
    })
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
