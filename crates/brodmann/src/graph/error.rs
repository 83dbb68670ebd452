//! Why a graph could not be built or accepted.

// Fields are named after what the messages say of them.
#![expect(missing_docs)]

use brodmann_kernels::Interrupted;
use brodmann_kernels::{Diagnosis, Opt, OptionError};

/// Why a graph could not be built or accepted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GraphError {
    /// Coordinates with a number of columns that is neither 2 nor 3.
    #[error("the coordinates have {found} columns; expected 2 or 3")]
    CoordinateColumns { found: usize },
    /// NaN or infinity in the input.
    #[error("{what} of observation {row}, column {column}, is {value}; expected a finite number")]
    NonFinite { what: &'static str, row: usize, column: usize, value: f64 },
    /// Not one slice code per observation.
    #[error("{found} slice codes were given; expected {expected}, one per observation")]
    SliceLength { found: usize, expected: usize },
    /// An option out of its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// Delaunay or grid neighbours asked of three-dimensional coordinates.
    #[error("a {kind} graph was asked of 3-D coordinates; expected 2-D")]
    NotPlanar { kind: &'static str },
    /// Values so large that squared distances overflow.
    #[error("{what} reach {largest:e}; expected at most {limit:e}")]
    TooLarge { what: &'static str, largest: f64, limit: f64 },
    /// An embedding without columns.
    #[error("the embedding has no columns; expected at least 1")]
    NoColumns,
    /// Two tables of different widths.
    #[error("the second table has {found} columns; expected {expected}, as in the first")]
    Columns { found: usize, expected: usize },
    /// A graph that would not fit in memory.
    #[error("the graph would have more edges than fit; expected at most {limit}")]
    TooManyEdges { limit: usize },
    /// More observations than `u32` can number.
    #[error("the table has {found} observations; expected at most 4294967295")]
    TooManyObs { found: usize },
    /// A stored graph of the wrong shape.
    #[error("obsp[\"{key}\"] is {n_rows} × {n_cols}; expected {n_obs} × {n_obs}")]
    Shape { key: String, n_rows: usize, n_cols: usize, n_obs: usize },
    /// A stored weight that is not finite.
    #[error("obsp[\"{key}\"] holds {value} at ({row}, {column}); expected finite weights")]
    NonFiniteWeight { key: String, row: usize, column: usize, value: f64 },
    /// A stored weight below zero.
    #[error("obsp[\"{key}\"] holds {value} at ({row}, {column}); expected weights of at least 0")]
    NegativeWeight { key: String, row: usize, column: usize, value: f64 },
    /// A graph without a single positive weight.
    #[error("all weights of obsp[\"{key}\"] are 0; expected at least one above 0")]
    NoWeight { key: String },
    /// A stored graph that differs from its transpose.
    #[error(
        "obsp[\"{key}\"] is not symmetric: ({row}, {column}) holds {value} and ({column}, {row}) holds {mirrored}; expected equal weights"
    )]
    NotSymmetric { key: String, row: usize, column: usize, value: f64, mirrored: f64 },
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Diagnosis for GraphError {
    fn origin(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Option(e) => Some(e),
            Self::Interrupted(e) => Some(e),
            _ => None,
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::CoordinateColumns { .. } => "give x, y (and z) alone".to_owned(),
            Self::NonFinite { .. } => "correct or remove such observations first".to_owned(),
            Self::SliceLength { .. } => "check the slice column".to_owned(),
            Self::NotPlanar { .. } => "choose knn or radius".to_owned(),
            Self::TooLarge { .. } => "rescale them".to_owned(),
            Self::Columns { .. } => "give two tables of one space".to_owned(),
            Self::NoColumns => "compute it again".to_owned(),
            Self::TooManyEdges { .. } => format!("lower {} or {}", Opt("radius"), Opt("n_neighbors")),
            Self::TooManyObs { .. } => "split the data by slice".to_owned(),
            Self::Shape { .. } => "build it again for these observations".to_owned(),
            Self::NonFiniteWeight { .. } | Self::NoWeight { .. } => "build the graph again".to_owned(),
            Self::NegativeWeight { .. } => "shift or clip them first".to_owned(),
            Self::NotSymmetric { .. } => "symmetrise it or use it as a directed layer".to_owned(),
            _ => return self.origin()?.advice(),
        })
    }
}
