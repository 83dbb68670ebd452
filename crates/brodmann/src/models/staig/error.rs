//! Why STAIG could not run.

use brodmann_kernels::Interrupted;

/// Why STAIG could not run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StaigError {
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
    /// Arrays that describe different observations.
    #[error(
        "{what} has {found} rows, expected {expected} (one per observation); give both for the same observations"
    )]
    RowCount {
        /// What was given: "the graph", "the image features", …
        what: &'static str,
        /// Rows found.
        found: usize,
        /// Observations.
        expected: usize,
    },
    /// The two views of the loss have different widths.
    #[error(
        "the two views are {first} and {second} wide, expected the same width; encode both with one encoder"
    )]
    ViewWidths {
        /// Columns of the first.
        first: usize,
        /// Columns of the second.
        second: usize,
    },
    /// More observations than the kernels can number.
    #[error("{found} observations, expected at most {limit}; split the data by slice")]
    TooManyObs {
        /// Observations found.
        found: usize,
        /// Observations at most.
        limit: usize,
    },
    /// A graph that is not square.
    #[error(
        "the spatial graph is {n_rows} × {n_cols}, expected a square one; build it again for these observations"
    )]
    GraphShape {
        /// Rows found.
        n_rows: usize,
        /// Columns found.
        n_cols: usize,
    },
    /// An observation that is its own neighbour.
    #[error(
        "observation {row} is its own neighbour, expected a graph without a diagonal; remove the diagonal"
    )]
    SelfNeighbor {
        /// The observation.
        row: usize,
    },
    /// An edge without its mirror image.
    #[error(
        "the spatial graph has an edge {row} → {column} and none back, expected an undirected graph; symmetrise it by union"
    )]
    NotSymmetric {
        /// Where the edge starts.
        row: usize,
        /// Where it ends.
        column: usize,
    },
    /// An edge between slices.
    #[error(
        "the spatial graph joins observations {row} and {column} of different slices, expected edges within slices alone; build it per slice"
    )]
    EdgeAcrossSlices {
        /// Where the edge starts.
        row: usize,
        /// Where it ends.
        column: usize,
    },
    /// An edge without a probability of being dropped.
    #[error(
        "the edge {row} – {column} has no probability of being dropped, expected one for each edge; compute them on the same graph"
    )]
    MissingProbability {
        /// One end.
        row: usize,
        /// The other.
        column: usize,
    },
    /// NaN or infinity in the input.
    #[error(
        "{what} of observation {row}, column {column}, is {value}, expected a finite number; correct or remove such observations first"
    )]
    NonFinite {
        /// What was read.
        what: &'static str,
        /// Row.
        row: usize,
        /// Column.
        column: usize,
        /// The value.
        value: f64,
    },
    /// A tissue without observations or features.
    #[error("the tissue has no {what}, expected at least one; check the filters and the selection of genes")]
    Empty {
        /// What is missing: "observations" or "features".
        what: &'static str,
    },
    /// Features other than those of the trained network.
    #[error(
        "the tissue has {found} features, but the network was trained on {expected}; give the features it was trained on, in the same order"
    )]
    FeatureCount {
        /// Features found.
        found: usize,
        /// Features expected.
        expected: usize,
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
    /// A checkpoint is already beyond its end.
    #[error(
        "the checkpoint holds {found} epochs, but only {expected} were asked for; raise the number of epochs or train anew"
    )]
    CheckpointBeyondEnd {
        /// Epochs done.
        found: usize,
        /// Epochs asked for.
        expected: usize,
    },
    /// The loss is no number.
    #[error("the loss became {loss}, expected a finite number; {advice}")]
    Diverged {
        /// The loss.
        loss: f64,
        /// What may help.
        advice: &'static str,
    },
    /// The caller asked to stop.
    #[error("{0}")]
    Interrupted(#[from] Interrupted),
}
