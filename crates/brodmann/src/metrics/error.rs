//! Why a score could not be computed.

// Fields are named after what the messages say of them.
#![expect(missing_docs)]

use brodmann_kernels::Interrupted;
use brodmann_kernels::{Diagnosis, OptionError};

/// Why a score could not be computed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MetricsError {
    /// Two inputs do not describe the same observations.
    #[error("`{what}` has {found} entries; expected {expected}, one per observation")]
    LengthMismatch { what: &'static str, found: usize, expected: usize },
    /// Nothing to score.
    #[error("no observation has all the labels needed; expected at least one that has")]
    Empty,
    /// The score needs at least two clusters and at least one cluster with two members.
    #[error("the labels name {found} clusters; expected 2 to {}", n_obs.saturating_sub(1))]
    ClusterCount { found: usize, n_obs: usize },
    /// The embedding holds NaN, infinity or a value too large to square.
    #[error(
        "the embedding holds NaN, infinity or a huge value in row {row}, column {column}; expected finite values"
    )]
    NonFinite { row: usize, column: usize },
    /// Too few observations for a neighbourhood.
    #[error("the table has {found} observations; expected at least {expected}")]
    TooFewObservations { found: usize, expected: usize },
    /// A neighbour index points outside the data.
    #[error("row {row} names the neighbour {neighbor}; expected a number below {n_obs}")]
    NeighborOutOfRange { row: usize, neighbor: u32, n_obs: usize },
    /// The neighbour array has no columns.
    #[error("the neighbour array has no column; expected at least one")]
    NoNeighbors,
    /// An option out of its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The spatial statistics failed.
    #[error(transparent)]
    Stats(#[from] crate::stats::StatsError),
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Diagnosis for MetricsError {
    fn origin(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Option(e) => Some(e),
            Self::Stats(e) => Some(e),
            Self::Interrupted(e) => Some(e),
            _ => None,
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::LengthMismatch { .. } => {
                "give arrays of the same observations in the same order".to_owned()
            }
            Self::Empty => "check which columns hold the labels".to_owned(),
            Self::ClusterCount { .. } => "choose another resolution or number of clusters".to_owned(),
            Self::NonFinite { .. } => "recompute the embedding or drop that row".to_owned(),
            Self::TooFewObservations { .. } => "use a larger tissue".to_owned(),
            Self::NeighborOutOfRange { .. } => "search the neighbours again in the same data".to_owned(),
            Self::NoNeighbors => "ask for one neighbour or more".to_owned(),
            _ => return self.origin()?.advice(),
        })
    }
}

/// A sample of no observations was asked for.
pub(super) fn empty_sample(option: &'static str) -> OptionError {
    OptionError::new(option, 0, "at least 1").advise("leave it out to use every observation")
}
