//! What can go wrong between a file and its domains.

// Fields are named after what the messages say of them.
#![expect(missing_docs)]

use std::fmt::Display;

use brodmann_kernels::{Blame, Diagnosis, Opt, OptionError, Step};

use super::near::did_you_mean;
use crate::cluster::{
    ConsensusError, GmmError, KMeansError, LeidenError, MembersError, RefineError, SelectError,
};
use crate::embedding::{HarmonyError, UmapError};
use crate::graph::GraphError;
use crate::histology::HistologyError;
use crate::metrics::MetricsError;
use crate::models::spami::SpamiError;
use crate::models::staig::StaigError;
use crate::plot::PlotError;
use crate::preprocess::PreprocessError;
use crate::report::ReportError;
use crate::simulate::SimulateError;
use crate::stats::StatsError;
use crate::stats::gene_sets::GeneSetError;
use crate::stats::links::LinksError;

/// An error of a stage, or of the request itself.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// Reading or writing.
    #[error(transparent)]
    Data(#[from] brodmann_data::DataError),
    /// Preprocessing of one modality.
    #[error("{modality}: {source}")]
    Preprocess { modality: String, source: PreprocessError },
    /// No counts where counts are needed, in terms of the file at hand.
    #[error("{modality}: {source}")]
    NotCounts { modality: String, source: PreprocessError, layers: Vec<String> },
    /// Graphs.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Leiden.
    #[error(transparent)]
    Leiden(#[from] LeidenError),
    /// k-means.
    #[error(transparent)]
    KMeans(#[from] KMeansError),
    /// Gaussian mixtures.
    #[error(transparent)]
    Gmm(#[from] GmmError),
    /// The choice of a number of clusters.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// Consensus of runs.
    #[error(transparent)]
    Consensus(#[from] ConsensusError),
    /// Of what several methods agree on.
    #[error(transparent)]
    Members(#[from] MembersError),
    /// Integration of slices.
    #[error(transparent)]
    Harmony(#[from] HarmonyError),
    /// Refinement of labels.
    #[error(transparent)]
    Refine(#[from] RefineError),
    /// Metrics.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// Spatial statistics.
    #[error(transparent)]
    Stats(#[from] StatsError),
    /// The page of a report.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// Gene sets.
    #[error(transparent)]
    GeneSets(#[from] GeneSetError),
    /// Links of peaks and genes.
    #[error(transparent)]
    Links(#[from] LinksError),
    /// The picture.
    #[error(transparent)]
    Histology(#[from] HistologyError),
    /// Simulation.
    #[error(transparent)]
    Simulate(#[from] SimulateError),
    /// Pictures.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// The network of SpaMI.
    #[error(transparent)]
    Spami(#[from] SpamiError),
    /// The network of STAIG.
    #[error(transparent)]
    Staig(#[from] StaigError),
    /// UMAP.
    #[error(transparent)]
    Umap(#[from] UmapError),
    /// A model or a checkpoint.
    #[error(transparent)]
    TensorFile(#[from] super::tensor_file::TensorFileError),
    /// Not enough memory for what was asked.
    #[error("{work} needs about {needed} of memory; {available} are free")]
    Memory { work: String, needed: String, available: String, advice: String },
    /// A saved model does not know this tissue's modalities.
    #[error("the input has the modalities {}; expected {}, as in the model {}", found.join(", "), expected.join(", "), path.display())]
    ModelModalities {
        path: std::path::PathBuf,
        expected: Vec<String>,
        found: Vec<String>,
        advice: &'static str,
    },
    /// Features a saved model needs are not in the file.
    #[error("{modality}: {n_missing} of the {n_expected} features the model was trained on are missing (e.g. {})", examples.join(", "))]
    MissingFeatures { modality: String, n_missing: usize, n_expected: usize, examples: Vec<String> },
    /// Files with hardly a gene in common.
    #[error("the files have {n_shared} genes in common, too few to be integrated ({})", files.join(", "))]
    SharedGenes { n_shared: usize, files: Vec<String> },
    /// A reference with hardly a feature of the target.
    #[error(
        "the reference {reference} shares {n_shared} of the {n_target} features of {modality} with the input (it has {n_reference}); expected at least {expected}"
    )]
    PriorFeatures {
        reference: String,
        modality: String,
        n_shared: usize,
        n_target: usize,
        n_reference: usize,
        expected: usize,
    },
    /// Slices that vary in other genes.
    #[error("{n_selected} genes are highly variable in all {n_slices} slices; expected at least {expected}")]
    SharedVariable { n_selected: usize, n_slices: usize, expected: usize },
    /// A checkpoint of another run.
    #[error("the checkpoint {} is of another run: {}", path.display(), differences.join(", "))]
    CheckpointOfAnotherRun { path: std::path::PathBuf, differences: Vec<String> },
    /// A checkpoint where a training would begin.
    #[error("{}{} is there already; expected a folder without one", path.display(), epoch.map_or_else(String::new, |n| format!(", saved after epoch {n},")))]
    CheckpointThere { path: std::path::PathBuf, epoch: Option<usize> },
    /// Nothing to go on from.
    #[error("the checkpoint {} does not exist", path.display())]
    NoCheckpoint { path: std::path::PathBuf },
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] brodmann_kernels::Interrupted),
    /// An option names a layer that is not there.
    #[error("{option} names the layer {name:?}; expected one of {}", layers.join(", "))]
    UnknownLayer { option: Opt, name: String, layers: Vec<String> },
    /// Too few observations for neighbours to mean anything.
    #[error("the input holds {n_obs} observation(s); expected at least {expected}")]
    TooFewObservations { n_obs: usize, expected: usize },
    /// As many clusters as observations, or none.
    #[error("{} is {n_clusters} for {n_obs} observations; expected 1 to {}", Opt("n_clusters"), n_obs.saturating_sub(1))]
    ImpossibleClusterCount { n_clusters: usize, n_obs: usize },
    /// An option out of its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// A name that is not an option of the method.
    #[error("{name:?} is not an option of {method}; expected one of {}", known.join(", "))]
    UnknownOption { method: &'static str, name: String, known: Vec<String> },
    /// Options that a loaded model has decided.
    #[error("{} cannot be given together with the model {}, which has decided", in_words(options), path.display())]
    DecidedByModel { path: std::path::PathBuf, options: Vec<Opt> },
    /// No modality of gene expression where one is needed.
    #[error("the tissue holds {}; expected gene expression among its modalities", modalities.join(", "))]
    NoExpression { modalities: Vec<String> },
    /// A column that should hold labels or numbers holds something else.
    #[error("{element} holds {found}; expected {expected}")]
    Column { element: String, found: String, expected: &'static str },
    /// A feature the model did not see.
    #[error("the run {run:?} did not see the feature {feature}, so there is no denoised value of it")]
    NotDenoised { feature: String, run: String },
    /// Neither an obs column nor a feature nor a table.
    #[error("{key:?} is neither an obs column nor a feature nor a table of obsm (there are {}){}", if columns.is_empty() { "no columns".to_owned() } else { columns.join(", ") }, did_you_mean(near))]
    UnknownColor { key: String, columns: Vec<String>, near: Vec<String> },
    /// The output's ending does not fit.
    #[error("the output is called {path}; expected a name ending in {expected}")]
    OutputEnding { path: String, expected: &'static str },
}

/// `a, b and c`.
fn in_words(options: &[Opt]) -> String {
    let options: Vec<String> = options.iter().map(Opt::to_string).collect();
    match options.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, first)) => format!("{} and {last}", first.join(", ")),
    }
}

impl Diagnosis for PipelineError {
    fn origin(&self) -> Option<&dyn Diagnosis> {
        Some(match self {
            Self::Option(e) => e,
            Self::Data(e) => e,
            Self::Preprocess { source, .. } | Self::NotCounts { source, .. } => source,
            Self::Graph(e) => e,
            Self::Leiden(e) => e,
            Self::KMeans(e) => e,
            Self::Gmm(e) => e,
            Self::Select(e) => e,
            Self::Consensus(e) => e,
            Self::Members(e) => e,
            Self::Harmony(e) => e,
            Self::Refine(e) => e,
            Self::Metrics(e) => e,
            Self::Stats(e) => e,
            Self::GeneSets(e) => e,
            Self::Report(e) => e,
            Self::Links(e) => e,
            Self::Histology(e) => e,
            Self::Simulate(e) => e,
            Self::Plot(e) => e,
            Self::Spami(e) => e,
            Self::Staig(e) => e,
            Self::Umap(e) => e,
            Self::TensorFile(e) => e,
            Self::Interrupted(e) => e,
            _ => return None,
        })
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::NotCounts { layers, .. } => {
                let counts = if layers.is_empty() {
                    "give raw counts".to_owned()
                } else {
                    let layers = layers.join(", ");
                    format!("name the layer that holds the counts with {} (there are {layers})", Opt("layer"))
                };
                let normalized = Opt("normalized").set(true);
                format!("{counts}, or say {normalized} if the values are log-normalised")
            }
            Self::Memory { advice, .. } => advice.clone(),
            Self::ModelModalities { advice, .. } => (*advice).to_owned(),
            Self::MissingFeatures { .. } => format!(
                "give a slice measured with the same features, or train anew without {}",
                Opt("load_model")
            ),
            Self::SharedGenes { .. } => {
                "name genes alike in all of them (by symbols or by stable identifiers, not by both)"
                    .to_owned()
            }
            Self::PriorFeatures { .. } => format!(
                "name features alike in both (by symbols or by stable identifiers, of one species), give another reference with \
                 {}, or leave it out",
                Opt("prior")
            ),
            Self::SharedVariable { .. } => format!(
                "select more per slice with {}, or take all genes with {}",
                Opt("n_top_genes"),
                Opt("n_top_genes").set(0)
            ),
            Self::CheckpointOfAnotherRun { .. } => {
                format!("repeat that run's data and options, or leave {} out to train anew", Opt("resume"))
            }
            Self::CheckpointThere { .. } => format!(
                "go on from it with {}, begin anew in its place with {}, or name another folder with {}",
                Opt("resume"),
                Opt("restart"),
                Opt("checkpoint")
            ),
            Self::NoCheckpoint { .. } => format!(
                "name the folder of an earlier run with {}, or leave {} out",
                Opt("checkpoint"),
                Opt("resume")
            ),
            Self::UnknownLayer { .. } => "use one of these names".to_owned(),
            Self::TooFewObservations { .. } => {
                "give a tissue of several spots, as domains are parts of one".to_owned()
            }
            Self::ImpossibleClusterCount { .. } => "choose fewer clusters than observations".to_owned(),
            Self::Column { element, .. } if element.starts_with("obs[") => "name another column".to_owned(),
            Self::Column { .. } => "correct the file, or name another table".to_owned(),
            Self::NotDenoised { .. } => format!(
                "name another feature, or repeat the run with {} and {}",
                Opt("n_top_genes").set(0),
                Opt("min_cells").set(1)
            ),
            Self::UnknownColor { .. } => format!("name one of these or a feature with {}", Opt("color")),
            Self::OutputEnding { .. } => "rename it".to_owned(),
            Self::UnknownOption { .. } => "correct the name".to_owned(),
            Self::DecidedByModel { .. } => {
                format!("leave out what the model has decided, or train anew without {}", Opt("load_model"))
            }
            Self::NoExpression { .. } => format!("integrate other modalities with {}", Step("spami")),
            _ => return self.origin()?.advice(),
        })
    }

    fn blame(&self) -> Blame {
        match self {
            Self::NoCheckpoint { .. } => Blame::File(None),
            Self::Memory { .. } => Blame::Memory,
            _ => self.origin().map_or(Blame::Value, Diagnosis::blame),
        }
    }
}

impl PipelineError {
    /// A value that an option cannot have.
    pub fn option(option: &'static str, found: impl Display, expected: impl Into<String>) -> Self {
        OptionError::new(option, found, expected).into()
    }
}
