//! `brodmann cluster`: an embedding that is in the file already, clustered.

use brodmann_data::keys;
use brodmann_kernels::{Opt, OptionError};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::PipelineError;
use super::clustering::{ClusterMethod, DomainOptions, EmbeddingMethod, MixtureReport};
use super::domains::{Domains, Embedding};
use super::forecast::Need;
use super::method::{Facts, Finished, Frame, Method, Outcome, Reads, Written};
use super::request::{Naming, Place};
use super::run::Run;
use super::said::Said;
use super::scene::Scene;
use crate::preprocess::Modality;

/// Which embedding, and the graph that Leiden clusters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddingOptions {
    /// `obsm` key.
    pub use_rep: String,
    /// Leiden: neighbours, the observation itself counted.
    pub n_neighbors: usize,
}

impl Default for EmbeddingOptions {
    fn default() -> Self {
        Self { use_rep: keys::X_PCA.to_owned(), n_neighbors: 15 }
    }
}

/// Clustering of an embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterRequest {
    /// Which embedding.
    pub embedding: EmbeddingOptions,
    /// How it is clustered; `refine` is the vote of the neighbours.
    pub domains: DomainOptions,
    /// Coordinates and slices, for the vote.
    pub place: Place,
    /// Names of result and truth.
    pub naming: Naming,
    /// The method with everything it needs.
    method: EmbeddingMethod,
}

impl ClusterRequest {
    /// By k-means.
    pub fn default_domains() -> DomainOptions {
        DomainOptions { cluster: ClusterMethod::Kmeans, ..DomainOptions::default() }
    }

    /// The request that options by name stand for.
    ///
    /// # Errors
    /// [`PipelineError::Option`], [`PipelineError::UnknownOption`].
    pub fn from_said(said: &Said) -> Result<Self, PipelineError> {
        let mut sections = said.sections();
        let embedding = sections.take(&EmbeddingOptions::default())?;
        let domains: DomainOptions = sections.take(&Self::default_domains())?;
        let (place, naming) = (sections.take(&Place::default())?, sections.take(&Naming::default())?);
        sections.finish("cluster")?;
        if domains.cluster == ClusterMethod::Gmm && domains.n_clusters.is_none() {
            let expected =
                format!("a number of clusters, which a mixture needs, or {}", Opt("n_clusters").set("auto"));
            return Err(OptionError::new("n_clusters", "not given", expected).into());
        }
        let method = domains.method(embedding.n_neighbors)?;
        Ok(Self { embedding, domains, place, naming, method })
    }
}

/// What is known of a clustering beside its labels.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterFacts {
    /// More about a mixture.
    pub mixture: Option<MixtureReport>,
}

impl Facts for ClusterFacts {
    fn lines(&self) -> Vec<String> {
        self.mixture.iter().map(|m| format!("{} mixture, BIC {:.1}", m.model, m.bic)).collect()
    }
}

impl Method for ClusterRequest {
    type Solved = ();
    type Facts = ClusterFacts;

    fn frame(&self) -> Frame<'_> {
        Frame {
            // Nothing depends on it, so nothing is worth a note about a guess.
            modality: Some(Modality::Rna),
            domains: Some((&self.domains, self.embedding.n_neighbors)),
            min_obs: 1,
            ..Frame::new(self.method.name(), "clustering", &self.place, &self.naming)
        }
    }

    fn reads(&self, reads: &mut Reads) {
        reads.obsm.push(self.embedding.use_rep.clone());
    }

    fn check(&self, _n_obs: usize) -> Result<(), PipelineError> {
        Ok(())
    }

    fn need<'a>(&'a self, _scene: &'a Scene<'_>) -> Result<Option<Need<'a>>, PipelineError> {
        Ok(None)
    }

    fn solve(&self, scene: &Scene<'_>, run: &mut Run<'_>) -> Result<(Outcome, ()), PipelineError> {
        let clustered = scene.tissue.any_embedding(&self.embedding.use_rep)?;
        let source = Some(self.embedding.use_rep.clone());
        let outcome = Outcome::Embeddings {
            embeddings: vec![Embedding { seed: run.seed, written: None, source, clustered }],
            clustering: self.method.clone(),
            before: None,
        };
        Ok((outcome, ()))
    }

    fn finish(
        &self,
        _scene: &Scene<'_>,
        (): (),
        domains: &Domains,
        run: &mut Run<'_>,
    ) -> Result<Finished<ClusterFacts>, PipelineError> {
        let mut params = self.method.describe();
        params["use_rep"] = json!(self.embedding.use_rep);
        params["random_state"] = json!(run.seed.0);
        if self.domains.refine > 0 {
            params["refine"] = json!(self.domains.refine);
        }
        let mut written = Written::new();
        if let Some(mixture) = &domains.mixture {
            written.insert("converged".to_owned(), mixture.converged.into());
        }
        Ok(Finished {
            params,
            history: IndexMap::new(),
            stopped_early: false,
            data_hash: None,
            written,
            facts: ClusterFacts { mixture: domains.mixture.clone() },
        })
    }
}
