//! Why STAIG could not run.

// Fields are named after what the messages say of them.
#![expect(missing_docs)]

use brodmann_kernels::Interrupted;
use brodmann_kernels::{Diagnosis, Opt, OptionError};

use crate::nn::{StateError, Stop};

/// Why STAIG could not run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StaigError {
    /// An option out of its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// Arrays that describe different observations.
    #[error("{what} has {found} rows; expected {expected}, one per observation")]
    RowCount { what: &'static str, found: usize, expected: usize },
    /// The two views of the loss have different widths.
    #[error("the two views are {first} and {second} wide; expected the same width")]
    ViewWidths { first: usize, second: usize },
    /// More observations than the kernels can number.
    #[error("the tissue has {found} observations; expected at most {limit}")]
    TooManyObs { found: usize, limit: usize },
    /// A graph that is not square.
    #[error("the spatial graph is {n_rows} × {n_cols}; expected a square one")]
    GraphShape { n_rows: usize, n_cols: usize },
    /// An observation that is its own neighbour.
    #[error("observation {row} is its own neighbour; expected a graph without a diagonal")]
    SelfNeighbor { row: usize },
    /// An edge without its mirror image.
    #[error("the spatial graph has an edge {row} → {column} and none back; expected an undirected graph")]
    NotSymmetric { row: usize, column: usize },
    /// An edge between slices.
    #[error(
        "the spatial graph joins observations {row} and {column} of different slices; expected edges within slices"
    )]
    EdgeAcrossSlices { row: usize, column: usize },
    /// An edge without a probability of being dropped.
    #[error("the edge {row} – {column} has no probability of being dropped; expected one for each edge")]
    MissingProbability { row: usize, column: usize },
    /// NaN or infinity in the input.
    #[error("{what} of observation {row}, column {column}, is {value}; expected a finite number")]
    NonFinite { what: &'static str, row: usize, column: usize, value: f64 },
    /// A tissue without observations or features.
    #[error("the tissue has no {what}; expected at least one")]
    Empty { what: &'static str },
    /// Features other than those of the trained network.
    #[error("the tissue has {found} features; expected {expected}, as in training")]
    FeatureCount { found: usize, expected: usize },
    /// A parameter is missing, or has another shape.
    #[error("the parameter {name:?} has the shape {found:?}; expected {expected:?}")]
    ParameterShape { name: String, found: (usize, usize), expected: (usize, usize) },
    /// A parameter that the network does not have.
    #[error("the parameter {name:?} is not one of this network")]
    UnknownParameter { name: String },
    /// A checkpoint is already beyond its end.
    #[error("{} is {expected}; expected more than the {found} epochs of the checkpoint", Opt("epochs"))]
    CheckpointBeyondEnd { found: usize, expected: usize },
    /// The loss is no number.
    #[error("the loss became {loss}; expected a finite number")]
    Diverged { loss: f64, advice: String },
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl From<Stop> for StaigError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Interrupted(interrupted) => Self::Interrupted(interrupted),
            Stop::Diverged { loss, advice } => Self::Diverged { loss, advice },
        }
    }
}

impl From<StateError> for StaigError {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Shape { name, found, expected } => Self::ParameterShape { name, found, expected },
            StateError::Unknown { name } => Self::UnknownParameter { name },
            StateError::BeyondEnd { found, expected } => Self::CheckpointBeyondEnd { found, expected },
        }
    }
}

impl Diagnosis for StaigError {
    fn origin(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Option(e) => Some(e),
            Self::Interrupted(e) => Some(e),
            _ => None,
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::RowCount { .. } => "give both for the same observations".to_owned(),
            Self::ViewWidths { .. } => "encode both with one encoder".to_owned(),
            Self::TooManyObs { .. } => "split the data by slice".to_owned(),
            Self::GraphShape { .. } => "build it again for these observations".to_owned(),
            Self::SelfNeighbor { .. } => "remove the diagonal".to_owned(),
            Self::NotSymmetric { .. } => "symmetrise it by union".to_owned(),
            Self::EdgeAcrossSlices { .. } => "build it per slice".to_owned(),
            Self::MissingProbability { .. } => "compute them on the same graph".to_owned(),
            Self::NonFinite { .. } => "correct or remove such observations first".to_owned(),
            Self::Empty { .. } => "check the filters and the selection of genes".to_owned(),
            Self::FeatureCount { .. } => "give the features it was trained on, in the same order".to_owned(),
            Self::ParameterShape { .. } | Self::UnknownParameter { .. } => {
                "name a file of this network, or write it again if it is damaged".to_owned()
            }
            Self::CheckpointBeyondEnd { .. } => "train on for longer, or train anew".to_owned(),
            Self::Diverged { advice, .. } => advice.clone(),
            _ => return self.origin()?.advice(),
        })
    }
}
