//! What every method of domains is.
//!
//! A method describes itself ([`Method::frame`]), makes an embedding or labels ([`Method::solve`]) and tells what is
//! worth knowing about it ([`Method::finish`]). All else happens in [`drive`](super::drive), once: a method costs what is
//! new in it.

use brodmann_data::Value;
use indexmap::IndexMap;
use ndarray::Array2;
use serde_json::Value as Json;

use super::PipelineError;
use super::clustering::{DomainOptions, EmbeddingMethod, Integration};
use super::domains::{Domains, Embedding, Labels};
use super::forecast::Need;
use super::request::{FeatureRequest, GraphRequest, ModelOptions, Naming, Place};
use super::run::Run;
use super::scene::Scene;
use crate::preprocess::Modality;

/// Entries of the record in `uns`.
pub type Written = IndexMap<String, Value>;

/// Fewest observations a run is done on: below, no neighbour graph has a structure to find.
const MIN_OBS: usize = 3;

/// What the driver must know of a request.
pub struct Frame<'a> {
    /// The method's name, and that of its result where no other is given.
    pub name: &'static str,
    /// The same for people.
    pub title: &'static str,
    /// Where the spots lie, and on which slice.
    pub place: &'a Place,
    /// Names of the result and of the truth.
    pub naming: &'a Naming,
    /// What an AnnData measures, where that was said.
    pub modality: Option<Modality>,
    /// How counts become features, of a method that reads counts.
    pub features: Option<&'a FeatureRequest>,
    /// How its graphs are built, where that can be said.
    pub graphs: Option<&'a GraphRequest>,
    /// How an embedding becomes domains, and the neighbours of its graphs; `None` for methods that find labels.
    pub domains: Option<(&'a DomainOptions, usize)>,
    /// Of a method that finds labels: what takes out the differences of slices, where that can be asked for.
    pub integrate: Option<Option<Integration>>,
    /// Of networks: where they are saved and read.
    pub models: Option<&'a ModelOptions>,
    /// Fewest observations.
    pub min_obs: usize,
}

impl<'a> Frame<'a> {
    /// Of a method that needs no more.
    pub fn new(name: &'static str, title: &'static str, place: &'a Place, naming: &'a Naming) -> Self {
        Self {
            name,
            title,
            place,
            naming,
            modality: None,
            features: None,
            graphs: None,
            domains: None,
            integrate: None,
            models: None,
            min_obs: MIN_OBS,
        }
    }

    /// What takes out the differences of slices; `None` where that cannot be asked for.
    pub fn integration(&self) -> Option<Option<Integration>> {
        self.domains.map(|(options, _)| options.integrate).or(self.integrate)
    }

    /// Name of the result.
    pub fn key(&self) -> &'a str {
        self.naming.key_added.as_deref().unwrap_or(self.name)
    }
}

/// What a method made of a tissue.
pub enum Outcome {
    /// Labels.
    Labels(Labels),
    /// One or several embeddings, to be clustered.
    Embeddings {
        /// One per network.
        embeddings: Vec<Embedding>,
        /// How they become domains.
        clustering: EmbeddingMethod,
        /// Of several slices: what the mixing of slices is compared with.
        before: Option<Array2<f64>>,
    },
}

/// What is worth knowing of a run, in the method's own words.
pub struct Finished<F> {
    /// For the report.
    pub facts: F,
    /// All that repeats the run, for the record.
    pub params: Json,
    /// Curves of the training, by term; empty without one.
    pub history: IndexMap<String, Vec<f64>>,
    /// Whether early stopping ended training.
    pub stopped_early: bool,
    /// Hash of what the run rests on.
    pub data_hash: Option<String>,
    /// More entries of the record.
    pub written: Written,
}

/// Facts of a method as lines for a person.
pub trait Facts: serde::Serialize {
    /// One fact per line.
    fn lines(&self) -> Vec<String>;
}

/// A method: from the elements of a tissue to an embedding or labels.
pub trait Method {
    /// What [`Method::solve`] leaves for [`Method::finish`].
    type Solved;
    /// What is reported beside what is reported of every method.
    type Facts: Facts;

    /// What the driver must know of the request.
    fn frame(&self) -> Frame<'_>;

    /// Elements needed beside coordinates, slices and truth; counts are read later.
    fn reads(&self, options: &mut Reads);

    /// Refuses what no tissue of `n_obs` observations allows.
    ///
    /// # Errors
    /// [`PipelineError::Option`] and the like.
    fn check(&self, n_obs: usize) -> Result<(), PipelineError>;

    /// What the run will take.
    ///
    /// # Errors
    /// As reading the sizes of elements.
    fn need<'a>(&'a self, scene: &'a Scene<'_>) -> Result<Option<Need<'a>>, PipelineError>;

    /// The work.
    ///
    /// # Errors
    /// [`PipelineError`].
    fn solve(&self, scene: &Scene<'_>, run: &mut Run<'_>) -> Result<(Outcome, Self::Solved), PipelineError>;

    /// Adds what the method writes beside embedding and domains, saves its model, and tells its facts.
    ///
    /// # Errors
    /// [`PipelineError`].
    fn finish(
        &self,
        scene: &Scene<'_>,
        solved: Self::Solved,
        domains: &Domains,
        run: &mut Run<'_>,
    ) -> Result<Finished<Self::Facts>, PipelineError>;
}

/// The small elements that a run reads at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reads {
    /// Keys of `obsm`.
    pub obsm: Vec<String>,
    /// Keys of `obsp`.
    pub obsp: Vec<String>,
    /// Keys of `uns`.
    pub uns: Vec<String>,
}
