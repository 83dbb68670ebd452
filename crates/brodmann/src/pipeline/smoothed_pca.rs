//! Smoothed principal components: expression averaged over spatial neighbours, the baseline that learns nothing.

use brodmann_data::{Column, keys};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::PipelineError;
use super::clustering::DomainOptions;
use super::domains::{Domains, Embedding};
use super::expression::{
    self, CLUSTER_NEIGHBORS, Expected, Expression, FeatureSummary, N_INIT, N_TOP_GENES, ValueOptions, Wanted,
};
use super::forecast::{FEWER_SPOTS, Forecast, Need, Work, product_bytes};
use super::method::{Facts, Finished, Frame, Method, Outcome, Reads, Written};
use super::request::{FeatureRequest, Naming, Place, check_n_neighbors};
use super::run::{Run, Stage};
use super::said::Said;
use super::scene::Scene;
use super::tissue::ModalityInfo;
use crate::models::smoothed_pca::is_made_when_needed;
use crate::models::{SmoothedPcaOptions, smoothed_pca};

/// An entry of the averaged features, and neighbours per one asked for where either of two may ask.
const AVERAGED_BYTES: f64 = 8.0;
const NEIGHBORS_EITHER_WAY: f64 = 1.2;
/// Principal components where nothing is said.
const N_PCS: usize = 30;

/// What expression is averaged over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmoothingOptions {
    /// Nearest spots in space, the spot itself not counted.
    pub n_neighbors: usize,
}

impl Default for SmoothingOptions {
    fn default() -> Self {
        Self { n_neighbors: 10 }
    }
}

/// A run of smoothed principal components.
#[derive(Clone, Debug, PartialEq)]
pub struct SmoothedPcaRequest {
    /// What expression is averaged over.
    pub smoothing: SmoothingOptions,
    /// Counts or logarithms.
    pub values: ValueOptions,
    /// How counts become features.
    pub features: FeatureRequest,
    /// Coordinates and slices.
    pub place: Place,
    /// How the embedding is clustered.
    pub domains: DomainOptions,
    /// Names of result and truth.
    pub naming: Naming,
}

impl Default for SmoothedPcaRequest {
    fn default() -> Self {
        Self {
            smoothing: SmoothingOptions::default(),
            values: ValueOptions::default(),
            features: FeatureRequest::default(),
            place: Place::default(),
            domains: DomainOptions::mixture(N_INIT),
            naming: Naming::default(),
        }
    }
}

impl SmoothedPcaRequest {
    /// The request that options by name stand for.
    ///
    /// # Errors
    /// [`PipelineError::Option`], [`PipelineError::UnknownOption`].
    pub fn from_said(said: &Said) -> Result<Self, PipelineError> {
        let base = Self::default();
        let mut sections = said.sections();
        let request = Self {
            smoothing: sections.take(&base.smoothing)?,
            values: sections.take(&base.values)?,
            features: sections.take(&base.features)?,
            place: sections.take(&base.place)?,
            domains: sections.take(&base.domains)?,
            naming: sections.take(&base.naming)?,
        };
        sections.finish(keys::SMOOTHED_PCA)?;
        request.wanted().check()?;
        Ok(request)
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted { n_top_genes: N_TOP_GENES, ..Wanted::logarithms(&self.features, &self.values) }
    }

    fn n_pcs(&self) -> usize {
        self.features.n_pcs.unwrap_or(N_PCS)
    }
}

/// What is known of a run beside what is known of every one.
#[derive(Clone, Debug, Serialize)]
pub struct SmoothedPcaFacts {
    /// The features.
    pub features: FeatureSummary,
    /// Stored edges of the spatial graph, both directions.
    pub n_edges: usize,
}

impl Facts for SmoothedPcaFacts {
    fn lines(&self) -> Vec<String> {
        vec![self.features.line(self.n_edges)]
    }
}

/// Bytes of the features averaged over neighbours, where they are written out: most of what is empty in a spot is not in one
/// of them.
pub(super) fn smoothed_bytes(n_obs: usize, expected: &Expected, n_neighbors: usize) -> u64 {
    if is_made_when_needed(n_obs, expected.n_features) {
        return 0;
    }
    let empty = (1.0 - expected.density).powf(1.0 + NEIGHBORS_EITHER_WAY * n_neighbors as f64);
    (AVERAGED_BYTES * (n_obs * expected.n_features) as f64 * (1.0 - empty)) as u64
}

impl Method for SmoothedPcaRequest {
    type Solved = (ModalityInfo, Expression, usize);
    type Facts = SmoothedPcaFacts;

    fn frame(&self) -> Frame<'_> {
        Frame {
            modality: self.features.modality,
            features: Some(&self.features),
            domains: Some((&self.domains, CLUSTER_NEIGHBORS)),
            ..Frame::new(keys::SMOOTHED_PCA, "smoothed PCA", &self.place, &self.naming)
        }
    }

    fn reads(&self, _reads: &mut Reads) {}

    fn check(&self, n_obs: usize) -> Result<(), PipelineError> {
        check_n_neighbors("n_neighbors", self.smoothing.n_neighbors, n_obs)
    }

    fn need<'a>(&'a self, scene: &'a Scene<'_>) -> Result<Option<Need<'a>>, PipelineError> {
        let info = expression::choose(scene.tissue)?;
        let expected = expression::expected(scene, &info, &self.wanted())?;
        let (n_obs, width) = (scene.n_obs(), expected.n_features);
        let smoothed = smoothed_bytes(n_obs, &expected, self.smoothing.n_neighbors);
        // The components, and their copies on the way to a mixture.
        let embedding = 8 * (n_obs * self.n_pcs()) as u64;
        let graph = Work { n_obs, spatial: Some(self.smoothing.n_neighbors), ..Work::default() };
        let work = smoothed + product_bytes(n_obs, width) + 4 * embedding;
        let bytes = expected.with(work) + graph.graphs_in_space();
        let forecast = Forecast { bytes, seconds: None };
        Ok(Some(Need { forecast, advice: Box::new(|_| FEWER_SPOTS.to_owned()) }))
    }

    fn solve(&self, scene: &Scene<'_>, run: &mut Run<'_>) -> Result<(Outcome, Self::Solved), PipelineError> {
        let (seed, monitor) = (run.seed, run.monitor);
        let info = expression::choose(scene.tissue)?;
        let coordinates = scene.tissue.coordinates(&self.place.spatial_key)?;
        let graph = expression::graph(coordinates.view(), self.smoothing.n_neighbors, scene.slices(), run)?;
        let mut made = expression::prepare(scene, &info, &self.wanted(), run)?;
        let options = SmoothedPcaOptions { n_components: self.n_pcs(), ..SmoothedPcaOptions::default() };
        monitor.stage("smoothing, principal components", 0);
        let clustered = run
            .timed(Stage::Train, || {
                smoothed_pca(made.values.view(), graph.view(), scene.slices(), &options, seed, monitor)
            })
            .map_err(|source| PipelineError::Preprocess { modality: "features".to_owned(), source })?;
        let written = Some(clustered.mapv(|v| v as f32));
        let outcome = Outcome::Embeddings {
            embeddings: vec![Embedding { seed, written, source: None, clustered }],
            clustering: self.domains.method(CLUSTER_NEIGHBORS)?,
            before: made.before.take(),
        };
        Ok((outcome, (info, made, graph.nnz())))
    }

    fn finish(
        &self,
        scene: &Scene<'_>,
        (info, expression, n_edges): Self::Solved,
        _domains: &Domains,
        run: &mut Run<'_>,
    ) -> Result<Finished<SmoothedPcaFacts>, PipelineError> {
        let features = expression.summary();
        let params = json!({
            "n_neighbors": self.smoothing.n_neighbors,
            "n_components": self.n_pcs(),
            "random_state": run.seed.0,
            "spatial_key": self.place.spatial_key,
            "library_key": scene.library_key,
            "refine": self.domains.refine,
            "preprocess": expression.describe(&self.features),
        });
        let key = self.frame().key();
        run.target(info.key.as_deref())
            .var
            .insert(format!("{key}_features"), Column::Bool(expression.selected));
        Ok(Finished {
            params,
            history: IndexMap::new(),
            stopped_early: false,
            data_hash: Some(expression.data_hash),
            written: Written::from([("features".to_owned(), json!(features).into())]),
            facts: SmoothedPcaFacts { features, n_edges },
        })
    }
}
