//! Why a spatial statistic could not be computed.

// Fields are named after what the messages say of them.
#![expect(missing_docs)]

use brodmann_kernels::{Diagnosis, Interrupted, OptionError};

use crate::graph::GraphError;

/// Why a spatial statistic could not be computed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StatsError {
    /// Values and weights do not describe the same observations.
    #[error("the spatial graph is {rows} × {columns}; expected {n_obs} × {n_obs}, one row per observation")]
    ShapeMismatch { rows: usize, columns: usize, n_obs: usize },
    /// The weights sum to zero.
    #[error("the spatial graph of {n_obs} observations has no weight; expected at least one edge")]
    EmptyGraph { n_obs: usize },
    /// A weight is NaN, infinite or negative.
    #[error(
        "row {row} of the spatial graph holds the weight {weight}; expected a finite weight of at least 0"
    )]
    BadWeight { row: usize, weight: String },
    /// Not one value per spot.
    #[error("the metric has {found} values; expected {expected}, one per spot")]
    Length { found: usize, expected: usize },
    /// Not one label per spot.
    #[error("there are {found} labels; expected {expected}, one per spot")]
    LabelCount { found: usize, expected: usize },
    /// A label beyond the number of groups.
    #[error("spot {row} has label {label}; expected a number below {n_groups}, the number of groups")]
    LabelOutOfRange { row: usize, label: u32, n_groups: usize },
    /// Tables of all pairs of groups would not fit.
    #[error("there are {found} groups; expected at most {limit} in a table of all pairs")]
    TooManyGroups { found: usize, limit: usize },
    /// An edge joins two slices.
    #[error("the spatial graph joins spots {row} and {column} of different slices; expected no such edge")]
    CrossingEdge { row: usize, column: usize },
    /// A decomposition that would take hours.
    #[error("there are {found} observations; expected at most {limit}, whose covariance can be decomposed")]
    TooManyObs { found: usize, limit: usize },
    /// Coordinates that no distance can be measured by.
    #[error("the {n_obs} observations have no finite distances above 0; expected at least three places")]
    Coordinates { n_obs: usize },
    /// A statistic of the plane asked of three-dimensional coordinates.
    #[error("{what} was asked of 3-D coordinates; expected 2-D")]
    NotPlanar { what: &'static str },
    /// A slice whose spots lie in one place or on one line.
    #[error("the spots of slice {slice} enclose no area; expected spots that are not on one line")]
    NoArea { slice: u32 },
    /// No spot is in a group.
    #[error("none of {n_obs} spots has a label; expected at least one")]
    NoLabels { n_obs: usize },
    /// A value of a gene that is NaN or infinite.
    #[error("gene {column} has the value {value} in spot {row}; expected a finite number")]
    BadExpression { row: usize, column: usize, value: String },
    /// Blocks of rows that do not follow each other, or are more or fewer than there are spots.
    #[error("the blocks of the matrix lead to row {found}; expected row {expected}")]
    RowCount { found: usize, expected: usize },
    /// A block with more or fewer columns than there are genes.
    #[error("a block of the matrix has {found} columns; expected {expected}, one per gene")]
    ColumnCount { found: usize, expected: usize },
    /// An option out of its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// Coordinates or slices that are unfit.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Diagnosis for StatsError {
    fn origin(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Option(e) => Some(e),
            Self::Graph(e) => Some(e),
            Self::Interrupted(e) => Some(e),
            _ => None,
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::ShapeMismatch { .. } => "build the graph again from the same data".to_owned(),
            Self::EmptyGraph { .. } => "build it with more neighbours or a larger radius".to_owned(),
            Self::BadWeight { .. } => "build the graph again".to_owned(),
            Self::Length { .. } => "give one value per spot".to_owned(),
            Self::LabelCount { .. } => "give one label per spot, or none for a spot to leave out".to_owned(),
            Self::LabelOutOfRange { .. } => "number the groups from 0".to_owned(),
            Self::TooManyGroups { .. } => "join small groups, or choose labels of fewer".to_owned(),
            Self::TooManyObs { .. } => "take Moran's I, which ranks variables at any size".to_owned(),
            Self::Coordinates { .. } => "check the coordinates".to_owned(),
            Self::CrossingEdge { .. } => "build the graph slice by slice".to_owned(),
            Self::NotPlanar { .. } => "give x and y alone, slice by slice".to_owned(),
            Self::NoArea { .. } => "leave that slice out".to_owned(),
            Self::NoLabels { .. } => "compute the domains first".to_owned(),
            Self::BadExpression { .. } => "normalise the counts again or remove such spots".to_owned(),
            Self::RowCount { .. } | Self::ColumnCount { .. } => "read the matrix again".to_owned(),
            _ => return self.origin()?.advice(),
        })
    }
}
