//! Why a score could not be computed.

use brodmann_kernels::Interrupted;

/// Why a score could not be computed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MetricsError {
    /// Two inputs do not describe the same observations.
    #[error(
        "`{what}` has {found} entries where {expected} were expected, one per observation; \
         pass arrays of the same observations in the same order"
    )]
    LengthMismatch {
        /// Which input.
        what: &'static str,
        /// Entries found.
        found: usize,
        /// Entries expected.
        expected: usize,
    },
    /// Nothing to score.
    #[error(
        "no observation has all labels needed, at least one was expected; check which columns hold the labels"
    )]
    Empty,
    /// The score needs at least two clusters and at least one cluster with two members.
    #[error(
        "{found} clusters among {n_obs} observations, between 2 and n_obs - 1 were expected; \
         choose another resolution or number of clusters"
    )]
    ClusterCount {
        /// Distinct labels found.
        found: usize,
        /// Observations.
        n_obs: usize,
    },
    /// The embedding holds NaN, infinity or a value too large to square.
    #[error(
        "the embedding holds a NaN, infinite or huge value in row {row}, column {column}, finite values were \
         expected; recompute the embedding or drop that row"
    )]
    NonFinite {
        /// Row.
        row: usize,
        /// Column.
        column: usize,
    },
    /// Too few observations for a neighbourhood.
    #[error("{found} observations where at least {expected} were expected; use a larger tissue")]
    TooFewObservations {
        /// Observations found.
        found: usize,
        /// Observations needed.
        expected: usize,
    },
    /// A neighbour index points outside the data.
    #[error(
        "row {row} names neighbour {neighbor}, but there are only {n_obs} observations; \
         rebuild the neighbours from the same data"
    )]
    NeighborOutOfRange {
        /// Row of the neighbour array.
        row: usize,
        /// The neighbour named.
        neighbor: u32,
        /// Observations.
        n_obs: usize,
    },
    /// The neighbour array has no columns.
    #[error("the neighbour array has no column, at least one was expected; ask for one neighbour or more")]
    NoNeighbors,
    /// The LISI perplexity is not usable.
    #[error("perplexity {found}, a finite number of at least 1 was expected; the usual choice is 30")]
    Perplexity {
        /// The value found.
        found: f64,
    },
    /// A sample of zero observations was asked for.
    #[error("a sample size of 0, at least 1 was expected; leave it out to use every observation")]
    EmptySample,
    /// The spatial statistics failed.
    #[error(transparent)]
    Stats(#[from] crate::stats::StatsError),
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}
