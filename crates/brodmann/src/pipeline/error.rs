//! What can go wrong between a file and its domains.

use crate::cluster::{ConsensusError, GmmError, KMeansError, LeidenError, RefineError, SelectError};
use crate::embedding::UmapError;
use crate::graph::GraphError;
use crate::metrics::MetricsError;
use crate::models::spami::SpamiError;
use crate::models::staig::StaigError;
use crate::plot::PlotError;
use crate::preprocess::PreprocessError;
use crate::simulate::SimulateError;
use crate::stats::StatsError;

/// An error of a stage, or of the request itself.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// Reading or writing.
    #[error(transparent)]
    Data(#[from] brodmann_data::DataError),
    /// Preprocessing of one modality.
    #[error("{modality}: {source}")]
    Preprocess {
        /// The modality.
        modality: String,
        /// What went wrong.
        source: PreprocessError,
    },
    /// No counts where counts are needed, in terms of the file at hand.
    #[error("{modality}: {found}; {advice}")]
    NotCounts {
        /// The modality.
        modality: String,
        /// What was found.
        found: String,
        /// What to do.
        advice: String,
    },
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
    /// Refinement of labels.
    #[error(transparent)]
    Refine(#[from] RefineError),
    /// Metrics.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// Spatial statistics.
    #[error(transparent)]
    Stats(#[from] StatsError),
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
    #[error("{work} needs about {needed} of memory, {available} are free; {advice}")]
    Memory {
        /// What would be done.
        work: String,
        /// Bytes needed, in words.
        needed: String,
        /// Bytes there are, in words.
        available: String,
        /// The option that would make it fit.
        advice: String,
    },
    /// A saved model does not know this tissue's modalities.
    #[error("{}: the model was trained on {}, the input has {}; {advice}", path.display(), expected.join(", "), found.join(", "))]
    ModelModalities {
        /// The model.
        path: std::path::PathBuf,
        /// Modalities it was trained on.
        expected: Vec<String>,
        /// Modalities of the input.
        found: Vec<String>,
        /// What to do.
        advice: &'static str,
    },
    /// Features a saved model needs are not in the file.
    #[error(
        "{modality}: {n_missing} of the {n_expected} features the model was trained on are missing, e.g. {}; give a slice measured with the same features, or train anew without --load-model", examples.join(", ")
    )]
    MissingFeatures {
        /// The modality.
        modality: String,
        /// How many are missing.
        n_missing: usize,
        /// How many the model needs.
        n_expected: usize,
        /// Some of them.
        examples: Vec<String>,
    },
    /// Files that do not speak of the same genes.
    #[error("the files have {n_shared} genes in common, too few to be integrated, {}; name genes alike in all of them (symbols or stable identifiers, not both)", files.join(", "))]
    SharedGenes {
        /// Genes in every file.
        n_shared: usize,
        /// What each file has, in words.
        files: Vec<String>,
    },
    /// Slices that vary in other genes.
    #[error(
        "{n_selected} genes are highly variable in all {n_slices} slices, at least {expected} were expected; select more per slice with --n-top-genes, or take all genes with --n-top-genes 0"
    )]
    SharedVariable {
        /// Genes selected in every slice.
        n_selected: usize,
        /// Slices.
        n_slices: usize,
        /// Genes needed.
        expected: usize,
    },
    /// A checkpoint of another run.
    #[error("the checkpoint {} is of another run: {}; repeat that run's data and options, or leave --resume out to train anew", path.display(), differences.join(", "))]
    CheckpointOfAnotherRun {
        /// The file.
        path: std::path::PathBuf,
        /// What differs, with both values.
        differences: Vec<String>,
    },
    /// Nothing to go on from.
    #[error("there is no checkpoint {} to resume from; name the folder of an earlier run with --checkpoint, or leave --resume out", path.display())]
    NoCheckpoint {
        /// The file looked for.
        path: std::path::PathBuf,
    },
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] brodmann_kernels::Interrupted),
    /// A layer name in an option is none of the layers.
    #[error("{option} names the layer {name:?}, but the layers are {}; use one of these names", layers.join(", "))]
    UnknownLayer {
        /// The option.
        option: &'static str,
        /// The name given.
        name: String,
        /// The names there are.
        layers: Vec<String>,
    },
    /// Too few observations for neighbours to mean anything.
    #[error(
        "the input holds {n_obs} observation(s), at least {expected} were expected; domains need a tissue of several spots"
    )]
    TooFewObservations {
        /// Observations found.
        n_obs: usize,
        /// Observations needed.
        expected: usize,
    },
    /// As many clusters as observations, or none.
    #[error("{n_clusters} clusters were asked for among {n_obs} observations, 1 to {} were expected; choose fewer with --n-clusters", n_obs.saturating_sub(1))]
    ImpossibleClusterCount {
        /// Clusters asked for.
        n_clusters: usize,
        /// Observations.
        n_obs: usize,
    },
    /// An option value out of range.
    #[error("{option} is {found}, {expected} was expected; correct the option")]
    Option {
        /// The option.
        option: &'static str,
        /// What was given.
        found: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// A column that should hold labels or numbers holds something else.
    #[error("{element} holds {found}, {expected} was expected; name another column")]
    Column {
        /// The element.
        element: String,
        /// What it holds.
        found: String,
        /// What was needed.
        expected: &'static str,
    },
    /// A feature the model did not see.
    #[error(
        "{feature} was not among the features that the run {run:?} saw, so there is no denoised value of it; name another feature, or repeat the run with --n-top-genes 0 --min-cells 1"
    )]
    NotDenoised {
        /// The feature.
        feature: String,
        /// The run.
        run: String,
    },
    /// Neither an obs column nor a feature nor a table.
    #[error("{key:?} is neither an obs column nor a feature nor a table of obsm, there are {}; name one of these or a feature with --color", if columns.is_empty() { "no columns".to_owned() } else { columns.join(", ") })]
    UnknownColor {
        /// The key.
        key: String,
        /// The columns there are.
        columns: Vec<String>,
    },
    /// The output's ending does not fit.
    #[error("the output {path} does not end in {expected}; rename it")]
    OutputEnding {
        /// The path.
        path: String,
        /// Endings allowed.
        expected: &'static str,
    },
}

impl PipelineError {
    /// Whether the caller asked for the stop.
    pub fn is_interruption(&self) -> bool {
        matches!(
            self,
            Self::Interrupted(_)
                | Self::Leiden(LeidenError::Interrupted)
                | Self::KMeans(KMeansError::Interrupted(_))
                | Self::Gmm(GmmError::Interrupted(_))
                | Self::Select(
                    SelectError::Interrupted(_) | SelectError::Metrics(MetricsError::Interrupted(_))
                )
                | Self::Refine(RefineError::Graph(GraphError::Interrupted(_)))
                | Self::Metrics(MetricsError::Interrupted(_))
                | Self::Spami(SpamiError::Interrupted)
                | Self::Staig(StaigError::Interrupted(_))
                | Self::Consensus(ConsensusError::Interrupted(_))
                | Self::Umap(UmapError::Interrupted(_))
                | Self::Preprocess { source: PreprocessError::Interrupted(_), .. }
                | Self::Graph(GraphError::Interrupted(_))
        )
    }
}
