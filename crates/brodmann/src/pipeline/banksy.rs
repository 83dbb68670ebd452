//! Domains from what a spot expresses beside what its surroundings do (BANKSY).

use brodmann_data::{Column, keys};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::PipelineError;
use super::clustering::DomainOptions;
use super::domains::{Domains, Embedding};
use super::doubts::require_places;
use super::expression::{self, CLUSTER_NEIGHBORS, Expression, FeatureSummary, N_INIT, ValueOptions, Wanted};
use super::forecast::{FEWER_SPOTS, Forecast, Need};
use super::method::{Facts, Finished, Frame, Method, Outcome, Reads, Written};
use super::request::{FeatureRequest, Naming, Place};
use super::run::{Run, Stage};
use super::said::Said;
use super::scene::Scene;
use super::tissue::ModalityInfo;
use crate::models::{BanksyComponents, BanksyError, BanksyOptions, banksy};

/// Principal components where nothing is said.
pub const N_PCS: usize = 20;

/// How the surroundings of a spot are described.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SurroundingOptions {
    /// Weight of the surroundings, from 0 (none) to 1 (nothing else).
    pub lambda_param: f64,
    /// Nearest spots that the mean is taken over.
    pub n_neighbors: usize,
    /// Nearest spots that the gradient is taken over; 0 leaves the gradient out.
    pub n_neighbors_agf: usize,
    /// Whether the gradient is that around the neighbours' mean.
    pub centred: bool,
}

impl Default for SurroundingOptions {
    fn default() -> Self {
        let BanksyOptions { lambdas, n_neighbors, n_neighbors_agf, centred, .. } = BanksyOptions::default();
        Self { lambda_param: lambdas[0], n_neighbors, n_neighbors_agf, centred }
    }
}

impl SurroundingOptions {
    /// For the library.
    pub fn options(&self, n_components: usize) -> BanksyOptions {
        BanksyOptions {
            lambdas: vec![self.lambda_param],
            n_neighbors: self.n_neighbors,
            n_neighbors_agf: self.n_neighbors_agf,
            centred: self.centred,
            n_components,
        }
    }
}

/// A run of BANKSY.
#[derive(Clone, Debug, PartialEq)]
pub struct BanksyRequest {
    /// How the surroundings are described.
    pub surroundings: SurroundingOptions,
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

impl Default for BanksyRequest {
    fn default() -> Self {
        Self {
            surroundings: SurroundingOptions::default(),
            values: ValueOptions::default(),
            features: FeatureRequest::default(),
            place: Place::default(),
            domains: DomainOptions::mixture(N_INIT),
            naming: Naming::default(),
        }
    }
}

impl BanksyRequest {
    /// The request that options by name stand for.
    ///
    /// # Errors
    /// [`PipelineError::Option`], [`PipelineError::UnknownOption`].
    pub fn from_said(said: &Said) -> Result<Self, PipelineError> {
        let base = Self::default();
        let mut sections = said.sections();
        let request = Self {
            surroundings: sections.take(&base.surroundings)?,
            values: sections.take(&base.values)?,
            features: sections.take(&base.features)?,
            place: sections.take(&base.place)?,
            domains: sections.take(&base.domains)?,
            naming: sections.take(&base.naming)?,
        };
        sections.finish(keys::BANKSY)?;
        request.surroundings.options(request.n_pcs()).validate()?;
        request.wanted().check()?;
        Ok(request)
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted::logarithms(&self.features, &self.values)
    }

    fn n_pcs(&self) -> usize {
        self.features.n_pcs.unwrap_or(N_PCS)
    }
}

/// What is known of a run beside what is known of every one.
#[derive(Clone, Debug, Serialize)]
pub struct BanksyFacts {
    /// The genes.
    pub features: FeatureSummary,
    /// Weight of the surroundings.
    pub lambda_param: f64,
    /// Share of the variance that each component holds.
    pub variance_ratio: Vec<f64>,
}

impl Facts for BanksyFacts {
    fn lines(&self) -> Vec<String> {
        let held: f64 = self.variance_ratio.iter().sum();
        vec![format!(
            "{} of {} genes as {}, λ {}; {} components hold {:.0} % of the variance",
            self.features.n_features,
            self.features.n_vars,
            self.features.values,
            self.lambda_param,
            self.variance_ratio.len(),
            100.0 * held
        )]
    }
}

impl From<BanksyError> for PipelineError {
    fn from(error: BanksyError) -> Self {
        match error {
            BanksyError::Graph(source) => source.into(),
            BanksyError::Preprocess(source) => Self::Preprocess { modality: "features".to_owned(), source },
        }
    }
}

impl Method for BanksyRequest {
    type Solved = (ModalityInfo, Expression, BanksyComponents);
    type Facts = BanksyFacts;

    fn frame(&self) -> Frame<'_> {
        Frame {
            modality: self.features.modality,
            features: Some(&self.features),
            domains: Some((&self.domains, CLUSTER_NEIGHBORS)),
            ..Frame::new(keys::BANKSY, "BANKSY", &self.place, &self.naming)
        }
    }

    fn reads(&self, _reads: &mut Reads) {}

    fn check(&self, _n_obs: usize) -> Result<(), PipelineError> {
        Ok(())
    }

    fn need<'a>(&'a self, scene: &'a Scene<'_>) -> Result<Option<Need<'a>>, PipelineError> {
        let info = expression::choose(scene.tissue)?;
        let expected = expression::expected(scene, &info, &self.wanted())?;
        let options = self.surroundings.options(self.n_pcs());
        let work = options.memory_bytes(scene.n_obs(), expected.n_features);
        // The components, and their copies on the way to a mixture.
        let embedding = 8 * (scene.n_obs() * self.n_pcs()) as u64;
        let forecast = Forecast { bytes: expected.with(work + 4 * embedding), seconds: None };
        Ok(Some(Need { forecast, advice: Box::new(|_| FEWER_SPOTS.to_owned()) }))
    }

    fn solve(&self, scene: &Scene<'_>, run: &mut Run<'_>) -> Result<(Outcome, Self::Solved), PipelineError> {
        let (seed, monitor) = (run.seed, run.monitor);
        let info = expression::choose(scene.tissue)?;
        let coordinates = scene.tissue.coordinates(&self.place.spatial_key)?;
        require_places(coordinates.view())?;
        let mut made = expression::prepare(scene, &info, &self.wanted(), run)?;
        let options = self.surroundings.options(self.n_pcs());
        let mut found = run.timed(Stage::Train, || {
            banksy(made.values.view(), coordinates.view(), scene.slices(), &options, seed, monitor)
        })?;
        for note in &found.notes {
            monitor.note(&format!("surroundings: {note}"));
        }
        let components = found.components.swap_remove(0);
        let clustered = components.scores.clone();
        let written = Some(clustered.mapv(|v| v as f32));
        let outcome = Outcome::Embeddings {
            embeddings: vec![Embedding { seed, written, source: None, clustered }],
            clustering: self.domains.method(CLUSTER_NEIGHBORS)?,
            before: made.before.take(),
        };
        Ok((outcome, (info, made, components)))
    }

    fn finish(
        &self,
        scene: &Scene<'_>,
        (info, expression, components): Self::Solved,
        _domains: &Domains,
        run: &mut Run<'_>,
    ) -> Result<Finished<BanksyFacts>, PipelineError> {
        let features = expression.summary();
        let params = json!({
            "lambda_param": self.surroundings.lambda_param,
            "n_neighbors": self.surroundings.n_neighbors,
            "n_neighbors_agf": self.surroundings.n_neighbors_agf,
            "centred": self.surroundings.centred,
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
        let written = Written::from([
            ("features".to_owned(), json!(features).into()),
            ("variance".to_owned(), json!(components.variance).into()),
            ("variance_ratio".to_owned(), json!(components.variance_ratio).into()),
        ]);
        Ok(Finished {
            params,
            history: IndexMap::new(),
            stopped_early: false,
            data_hash: Some(expression.data_hash),
            written,
            facts: BanksyFacts {
                features,
                lambda_param: self.surroundings.lambda_param,
                variance_ratio: components.variance_ratio,
            },
        })
    }
}
