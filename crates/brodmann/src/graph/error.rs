//! Why a graph could not be built or accepted.

use brodmann_kernels::Interrupted;

/// Why a graph could not be built or accepted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GraphError {
    /// Coordinates with a number of columns that is neither 2 nor 3.
    #[error("the coordinates have {found} columns, expected 2 or 3; pass x, y (and z) alone")]
    CoordinateColumns {
        /// Columns found.
        found: usize,
    },
    /// NaN or infinity in the input.
    #[error(
        "{what} of observation {row}, column {column}, is {value}, expected a finite number; correct or remove such observations first"
    )]
    NonFinite {
        /// What was read: "the coordinates" or "the embedding".
        what: &'static str,
        /// First bad row.
        row: usize,
        /// Its column.
        column: usize,
        /// The value.
        value: f64,
    },
    /// Not one slice code per observation.
    #[error("{found} slice codes for {expected} observations, expected one each; check the slice column")]
    SliceLength {
        /// Codes found.
        found: usize,
        /// Observations.
        expected: usize,
    },
    /// An option out of its range.
    #[error("{name} is {found}, expected {expected}; choose another value")]
    InvalidOption {
        /// Name of the option.
        name: &'static str,
        /// The value given.
        found: String,
        /// The values accepted.
        expected: &'static str,
    },
    /// An option that the chosen kind of graph needs.
    #[error("a {kind} graph has no {name}, expected a value; set {name}")]
    MissingOption {
        /// Kind of graph.
        kind: &'static str,
        /// Name of the option.
        name: &'static str,
    },
    /// Delaunay or grid neighbours asked of three-dimensional coordinates.
    #[error("a {kind} graph was asked of 3-D coordinates, expected 2-D; use knn or radius instead")]
    NotPlanar {
        /// Kind of graph.
        kind: &'static str,
    },
    /// Values so large that squared distances overflow.
    #[error("{what} reach {largest:e}, expected at most {limit:e}; rescale them")]
    TooLarge {
        /// What was read: "the coordinates" or "the embedding's values".
        what: &'static str,
        /// Largest magnitude found.
        largest: f64,
        /// Largest magnitude accepted.
        limit: f64,
    },
    /// An embedding without columns.
    #[error("the embedding has no columns, expected at least 1; compute it again")]
    NoColumns,
    /// A graph that would not fit in memory.
    #[error(
        "the graph would have more than {limit} edges, expected a sparse one; reduce the radius or n_neighbors"
    )]
    TooManyEdges {
        /// Edges allowed.
        limit: usize,
    },
    /// More observations than `u32` can number.
    #[error("{found} observations, expected at most 4294967295; split the data by slice")]
    TooManyObs {
        /// Observations found.
        found: usize,
    },
    /// A stored graph of the wrong shape.
    #[error(
        "obsp[\"{key}\"] is {n_rows} × {n_cols}, expected {n_obs} × {n_obs}; build it again for these observations"
    )]
    Shape {
        /// Name in `obsp`.
        key: String,
        /// Rows found.
        n_rows: usize,
        /// Columns found.
        n_cols: usize,
        /// Observations.
        n_obs: usize,
    },
    /// A stored weight that is not finite.
    #[error(
        "obsp[\"{key}\"] holds {value} at ({row}, {column}), expected finite weights; build the graph again"
    )]
    NonFiniteWeight {
        /// Name in `obsp`.
        key: String,
        /// Row.
        row: usize,
        /// Column.
        column: usize,
        /// The value.
        value: f64,
    },
    /// A stored weight below zero.
    #[error(
        "obsp[\"{key}\"] holds {value} at ({row}, {column}), expected weights of at least 0; shift or clip them first"
    )]
    NegativeWeight {
        /// Name in `obsp`.
        key: String,
        /// Row.
        row: usize,
        /// Column.
        column: usize,
        /// The value.
        value: f64,
    },
    /// A graph without a single positive weight.
    #[error("all weights of obsp[\"{key}\"] are zero, expected at least one above 0; build the graph again")]
    NoWeight {
        /// Name in `obsp`.
        key: String,
    },
    /// A stored graph that differs from its transpose.
    #[error(
        "obsp[\"{key}\"] is not symmetric: ({row}, {column}) holds {value} and ({column}, {row}) {mirrored}, expected equal weights; symmetrise it or use it as a directed layer"
    )]
    NotSymmetric {
        /// Name in `obsp`.
        key: String,
        /// Row.
        row: usize,
        /// Column.
        column: usize,
        /// The weight at (row, column).
        value: f64,
        /// The weight at (column, row); 0 where none is stored.
        mirrored: f64,
    },
    /// The caller asked to stop.
    #[error("{0}")]
    Interrupted(#[from] Interrupted),
}
