//! Principal components, then a mixture of Gaussians: domains without space, what a method of domains should beat.
//!
//! The road of the "PCA + mclust" baseline in benchmarks. Of several modalities the components stand side by side,
//! each modality with the same total variance.

use brodmann_data::keys;
use indexmap::IndexMap;
use ndarray::{Array2, Axis, concatenate};
use serde_json::json;

use super::PipelineError;
use super::clustering::{DomainOptions, GMM_STARTS};
use super::domains::{Domains, Embedding};
use super::embedding::features;
use super::forecast::{Need, preprocessing_work};
use super::method::{Facts, Finished, Frame, Method, Outcome, Reads, Written};
use super::request::{FeatureRequest, Naming, Place};
use super::run::Run;
use super::said::Said;
use super::scene::Scene;

/// Neighbours of the graph that Leiden and the plane rest on, where these are asked for.
const CLUSTER_NEIGHBORS: usize = 15;

/// A run of components and a mixture.
#[derive(Clone, Debug, PartialEq)]
pub struct MixtureRequest {
    /// How counts become components.
    pub features: FeatureRequest,
    /// Slices; coordinates only for the vote of the neighbours.
    pub place: Place,
    /// How the components are clustered.
    pub domains: DomainOptions,
    /// Names of result and truth.
    pub naming: Naming,
}

impl Default for MixtureRequest {
    fn default() -> Self {
        Self {
            features: FeatureRequest::default(),
            place: Place::default(),
            domains: DomainOptions::mixture(GMM_STARTS),
            naming: Naming::default(),
        }
    }
}

impl MixtureRequest {
    /// The request that options by name stand for.
    ///
    /// # Errors
    /// [`PipelineError::Option`], [`PipelineError::UnknownOption`].
    pub fn from_said(said: &Said) -> Result<Self, PipelineError> {
        let base = Self::default();
        let mut sections = said.sections();
        let request = Self {
            features: sections.take(&base.features)?,
            place: sections.take(&base.place)?,
            domains: sections.take(&base.domains)?,
            naming: sections.take(&base.naming)?,
        };
        sections.finish(keys::MIXTURE)?;
        Ok(request)
    }
}

/// What is known of a run beside what is known of every one.
#[derive(Clone, Debug, serde::Serialize)]
pub struct MixtureFacts {
    /// Modalities, and the components of each.
    pub components: IndexMap<String, usize>,
}

impl Facts for MixtureFacts {
    fn lines(&self) -> Vec<String> {
        self.components.iter().map(|(name, n)| format!("modality {name:<8} {n} components")).collect()
    }
}

impl Method for MixtureRequest {
    type Solved = MixtureFacts;
    type Facts = MixtureFacts;

    fn frame(&self) -> Frame<'_> {
        Frame {
            modality: self.features.modality,
            features: Some(&self.features),
            domains: Some((&self.domains, CLUSTER_NEIGHBORS)),
            ..Frame::new(keys::MIXTURE, "PCA and a mixture", &self.place, &self.naming)
        }
    }

    fn reads(&self, reads: &mut Reads) {
        reads.obsm.extend([keys::X_PCA.to_owned(), keys::X_LSI.to_owned()]);
    }

    fn check(&self, _n_obs: usize) -> Result<(), PipelineError> {
        Ok(())
    }

    fn need<'a>(&'a self, scene: &'a Scene<'_>) -> Result<Option<Need<'a>>, PipelineError> {
        Ok(Some(preprocessing_work(scene.tissue, &self.features)?.into_need()))
    }

    fn solve(&self, scene: &Scene<'_>, run: &mut Run<'_>) -> Result<(Outcome, MixtureFacts), PipelineError> {
        let modalities = scene.tissue.modalities();
        let mut components = IndexMap::with_capacity(modalities.len());
        let mut parts: Vec<Array2<f64>> = Vec::with_capacity(modalities.len());
        for modality in modalities {
            let own = features(scene.tissue, modality, &self.features, None, scene.slices(), run)?.embedding;
            components.insert(modality.name.clone(), own.ncols());
            parts.push(if modalities.len() > 1 { of_unit_variance(own) } else { own });
        }
        let views: Vec<_> = parts.iter().map(|p| p.view()).collect();
        let clustered = concatenate(Axis(1), &views).expect("all modalities hold the same observations");
        let written = Some(clustered.mapv(|v| v as f32));
        let outcome = Outcome::Embeddings {
            embeddings: vec![Embedding { seed: run.seed, written, source: None, clustered }],
            clustering: self.domains.method(CLUSTER_NEIGHBORS)?,
            before: None,
        };
        Ok((outcome, MixtureFacts { components }))
    }

    fn finish(
        &self,
        scene: &Scene<'_>,
        facts: MixtureFacts,
        _domains: &Domains,
        run: &mut Run<'_>,
    ) -> Result<Finished<MixtureFacts>, PipelineError> {
        let params = json!({
            "random_state": run.seed.0,
            "library_key": scene.library_key,
            "refine": self.domains.refine,
            "preprocess": self.features,
        });
        Ok(Finished {
            params,
            history: IndexMap::new(),
            stopped_early: false,
            data_hash: None,
            written: Written::new(),
            facts,
        })
    }
}

/// The same with a total variance of 1, so that no modality outweighs another.
fn of_unit_variance(mut components: Array2<f64>) -> Array2<f64> {
    let total: f64 = components.var_axis(Axis(0), 0.0).sum();
    if total > 0.0 {
        components /= total.sqrt();
    }
    components
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modalities_weigh_the_same_whatever_their_scale() {
        let wide = ndarray::array![[100.0, 0.0], [-100.0, 20.0], [0.0, -20.0]];
        let scaled = of_unit_variance(wide.clone());
        assert!((scaled.var_axis(Axis(0), 0.0).sum() - 1.0).abs() < 1e-12);
        // Directions keep their proportions.
        assert!((scaled[[1, 0]] / scaled[[1, 1]] - wide[[1, 0]] / wide[[1, 1]]).abs() < 1e-12);
        assert_eq!(of_unit_variance(Array2::zeros((3, 2))), Array2::<f64>::zeros((3, 2)));
    }
}
