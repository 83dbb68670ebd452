//! Why SpaMI cannot start, or stopped.

// Fields are named after what the messages say of them.
#![expect(missing_docs)]

use brodmann_kernels::monitor::Interrupted;
use brodmann_kernels::{Diagnosis, Opt, OptionError};

use crate::graph::GraphError;
use crate::nn::StateError;

/// Why a network cannot be trained or applied.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SpamiError {
    /// No modality was given.
    #[error("no modality was given; expected at least one")]
    NoModalities,
    /// No spot was given.
    #[error("modality {modality} has no spots; expected at least one")]
    NoObservations { modality: usize },
    /// A modality has no features.
    #[error("modality {modality} has no features; expected at least one")]
    NoFeatures { modality: usize },
    /// A modality, the graph or the slices disagree in the number of spots.
    #[error("{what} has {found} spots; expected {expected}, as in the graph")]
    SpotMismatch { what: String, found: usize, expected: usize },
    /// A feature is not a finite number.
    #[error("modality {modality} holds {value} at spot {row}, feature {column}; expected a finite number")]
    NonFiniteFeature { modality: usize, row: usize, column: usize, value: f32 },
    /// A neighbour row names a spot that does not exist.
    #[error("spot {row} has the neighbour {neighbor}; expected a number below {n_obs}")]
    NeighborOutOfRange { row: usize, neighbor: u32, n_obs: usize },
    /// A neighbour lies in another slice.
    #[error(
        "spot {row} of slice {slice} has the neighbour {neighbor} of slice {other}; expected neighbours in its own slice"
    )]
    EdgeAcrossSlices { row: usize, slice: u32, neighbor: u32, other: u32 },
    /// An option out of its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// There are not as many weights as modalities.
    #[error("{option} has {found} weights; expected {modalities}, one per modality, or one for all")]
    WeightCount { option: Opt, found: usize, modalities: usize },
    /// The features do not fit a trained network.
    #[error("modality {modality} has {found} features; expected {expected}, as in training")]
    WidthMismatch { modality: usize, found: usize, expected: usize },
    /// The number of modalities does not fit a trained network.
    #[error("{found} modalities were given; expected {expected}, as in training")]
    ModalityCount { found: usize, expected: usize },
    /// A parameter is missing, or has another shape.
    #[error("the parameter {name:?} has the shape {found:?}; expected {expected:?}")]
    ParameterShape { name: String, found: (usize, usize), expected: (usize, usize) },
    /// A parameter that the network does not have.
    #[error("the parameter {name:?} is not one of this network")]
    UnknownParameter { name: String },
    /// A checkpoint is already at its end, or beyond.
    #[error("{} is {expected}; expected more than the {found} epochs of the checkpoint", Opt("epochs"))]
    CheckpointBeyondEnd { found: usize, expected: usize },
    /// The loss is no longer finite.
    #[error("the {term} loss became {value} in epoch {epoch}; expected a finite number")]
    NonFiniteLoss { epoch: usize, term: String, value: f64, learning_rate: f64 },
    /// The reference of a guided training does not fit together.
    #[error("{what} of the reference has {found} rows; expected {expected}")]
    PriorMismatch { what: &'static str, found: usize, expected: usize },
    /// A label code beyond the labels.
    #[error("spot {row} of the reference has the label {label}; expected a number below {n_labels}")]
    PriorLabel { row: usize, label: u32, n_labels: usize },
    /// Fewer than two labels are no help.
    #[error("the reference has {found} label(s); expected at least 2")]
    PriorLabels { found: usize },
    /// Neighbours of reference and target.
    #[error(transparent)]
    Neighbors(GraphError),
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Diagnosis for SpamiError {
    fn origin(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Option(e) => Some(e),
            Self::Neighbors(e) => Some(e),
            Self::Interrupted(e) => Some(e),
            _ => None,
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::NoModalities => "name the modalities to integrate".to_owned(),
            Self::NoObservations { .. } => "check the filters before the network".to_owned(),
            Self::NoFeatures { .. } => "check its feature selection".to_owned(),
            Self::SpotMismatch { .. } => "give the same spots in the same order everywhere".to_owned(),
            Self::NonFiniteFeature { .. } => {
                "remove the spot or the feature, or preprocess from raw counts".to_owned()
            }
            Self::NeighborOutOfRange { .. } => "build the graph on the same spots".to_owned(),
            Self::EdgeAcrossSlices { .. } => "build the graph with the same slice labels".to_owned(),
            Self::WidthMismatch { .. } => "give the features it was trained on, in the same order".to_owned(),
            Self::ModalityCount { .. } => "give the modalities it was trained on".to_owned(),
            Self::ParameterShape { .. } | Self::UnknownParameter { .. } => {
                "name a file of this network, or write it again if it is damaged".to_owned()
            }
            Self::CheckpointBeyondEnd { .. } => "train on for longer, or train anew".to_owned(),
            Self::NonFiniteLoss { learning_rate, .. } => format!(
                "lower {} ({learning_rate}), or check the features for extreme values",
                Opt("learning_rate")
            ),
            Self::PriorMismatch { .. } | Self::PriorLabel { .. } => {
                "give features, graph and labels of the same spots".to_owned()
            }
            Self::PriorLabels { .. } => "give a reference with several labelled regions".to_owned(),
            _ => return self.origin()?.advice(),
        })
    }
}

impl From<GraphError> for SpamiError {
    fn from(error: GraphError) -> Self {
        match error {
            GraphError::Interrupted(interrupted) => Self::Interrupted(interrupted),
            other => Self::Neighbors(other),
        }
    }
}

impl From<StateError> for SpamiError {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Shape { name, found, expected } => Self::ParameterShape { name, found, expected },
            StateError::Unknown { name } => Self::UnknownParameter { name },
            StateError::BeyondEnd { found, expected } => Self::CheckpointBeyondEnd { found, expected },
        }
    }
}
