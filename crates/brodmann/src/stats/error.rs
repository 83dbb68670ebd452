//! Why a spatial statistic could not be computed.

use brodmann_kernels::Interrupted;

/// Why a spatial statistic could not be computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatsError {
    /// Values and weights do not describe the same observations.
    #[error(
        "the spatial graph is {rows} × {columns} where {n_obs} × {n_obs} was expected, one row per observation; \
         rebuild the graph from the same data"
    )]
    ShapeMismatch {
        /// Rows of the graph.
        rows: usize,
        /// Columns of the graph.
        columns: usize,
        /// Observations.
        n_obs: usize,
    },
    /// The weights sum to zero.
    #[error(
        "the spatial graph of {n_obs} observations has no weight, at least one edge was expected; \
         build it with more neighbours or a larger radius"
    )]
    EmptyGraph {
        /// Observations.
        n_obs: usize,
    },
    /// A weight is NaN, infinite or negative.
    #[error(
        "row {row} of the spatial graph holds the weight {weight}, finite weights of at least 0 were expected; \
         rebuild the graph"
    )]
    BadWeight {
        /// Row.
        row: usize,
        /// The weight, as text: NaN does not compare.
        weight: String,
    },
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}
