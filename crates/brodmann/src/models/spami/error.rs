//! Why SpaMI cannot start, or stopped.

use brodmann_kernels::monitor::Interrupted;

/// Why a network cannot be trained or applied.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SpamiError {
    /// No modality was given.
    #[error("no modality was given, at least one was expected; name the modalities to integrate")]
    NoModalities,
    /// No spot was given.
    #[error(
        "modality {modality} has no spots, at least one was expected; check the filters before the network"
    )]
    NoObservations {
        /// Position of the modality.
        modality: usize,
    },
    /// A modality has no features.
    #[error("modality {modality} has no features, at least one was expected; check its feature selection")]
    NoFeatures {
        /// Position of the modality.
        modality: usize,
    },
    /// A modality, the graph or the slices disagree in the number of spots.
    #[error(
        "{what} has {found} spots, but the graph has {expected}; give the same spots in the same order everywhere"
    )]
    SpotMismatch {
        /// What disagrees.
        what: String,
        /// Spots found.
        found: usize,
        /// Spots of the graph.
        expected: usize,
    },
    /// A feature is not a finite number.
    #[error(
        "modality {modality} holds {value} at spot {row}, feature {column}, where a finite number was expected; \
         remove the spot or the feature, or preprocess from raw counts"
    )]
    NonFiniteFeature {
        /// Position of the modality.
        modality: usize,
        /// Row.
        row: usize,
        /// Column.
        column: usize,
        /// The value.
        value: f32,
    },
    /// A neighbour row names a spot that does not exist.
    #[error(
        "spot {row} has neighbour {neighbor}, but there are only {n_obs} spots; build the graph on the same spots"
    )]
    NeighborOutOfRange {
        /// Row.
        row: usize,
        /// Neighbour found.
        neighbor: u32,
        /// Spots.
        n_obs: usize,
    },
    /// A neighbour lies in another slice.
    #[error(
        "spot {row} of slice {slice} has neighbour {neighbor} of slice {other}, but no edge may cross slices; \
         build the graph with the same slice labels"
    )]
    EdgeAcrossSlices {
        /// Row.
        row: usize,
        /// Its slice.
        slice: u32,
        /// Neighbour.
        neighbor: u32,
        /// The neighbour's slice.
        other: u32,
    },
    /// An option is out of range.
    #[error("{option} = {value}, where {expected} was expected; {hint}")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// Value found.
        value: String,
        /// What is allowed.
        expected: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// There are not as many weights as modalities.
    #[error(
        "{option} has {found} weights for {modalities} modalities; give one weight per modality, or one for all"
    )]
    WeightCount {
        /// Name of the option.
        option: &'static str,
        /// Weights found.
        found: usize,
        /// Modalities.
        modalities: usize,
    },
    /// A name is not known.
    #[error("`{found}` is no {what}; choose one of {choices}")]
    UnknownName {
        /// What was expected.
        what: &'static str,
        /// What was given.
        found: String,
        /// What is known.
        choices: &'static str,
    },
    /// The features do not fit a trained network.
    #[error(
        "modality {modality} has {found} features, but the network was trained on {expected}; \
         give the features it was trained on, in the same order"
    )]
    WidthMismatch {
        /// Position of the modality.
        modality: usize,
        /// Features found.
        found: usize,
        /// Features expected.
        expected: usize,
    },
    /// The number of modalities does not fit a trained network.
    #[error(
        "{found} modalities were given, but the network was trained on {expected}; give the modalities it was trained on"
    )]
    ModalityCount {
        /// Modalities found.
        found: usize,
        /// Modalities expected.
        expected: usize,
    },
    /// A parameter is missing, or has another shape.
    #[error(
        "parameter `{name}` has shape {found:?}, but {expected:?} was expected; the file belongs to another network or is damaged"
    )]
    ParameterShape {
        /// Name.
        name: String,
        /// Shape found; (0, 0) when it is missing.
        found: (usize, usize),
        /// Shape expected.
        expected: (usize, usize),
    },
    /// A parameter that the network does not have.
    #[error(
        "parameter `{name}` is not one of this network; the file belongs to another network or is damaged"
    )]
    UnknownParameter {
        /// Name.
        name: String,
    },
    /// A checkpoint is already at its end, or beyond.
    #[error(
        "the checkpoint holds {found} epochs, but only {expected} were asked for; raise the number of epochs or train anew"
    )]
    CheckpointBeyondEnd {
        /// Epochs done.
        found: usize,
        /// Epochs asked for.
        expected: usize,
    },
    /// The loss is no longer finite.
    #[error(
        "the {term} loss became {value} in epoch {epoch}; lower the learning rate ({learning_rate}) or check the \
         features for extreme values"
    )]
    NonFiniteLoss {
        /// Epoch, from 1.
        epoch: usize,
        /// Which term.
        term: String,
        /// Its value.
        value: f64,
        /// The learning rate in use.
        learning_rate: f64,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl From<Interrupted> for SpamiError {
    fn from(_: Interrupted) -> Self {
        Self::Interrupted
    }
}
