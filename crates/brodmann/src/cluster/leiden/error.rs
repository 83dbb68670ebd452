//! Why a Leiden run is refused.

use brodmann_kernels::Interrupted;

use super::layer::Quality;

/// Why layers, options or a partition cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LeidenError {
    /// No layer was given.
    #[error("no layer was given where at least one graph is needed; pass a latent or a spatial graph")]
    NoLayers,
    /// A graph is not square.
    #[error(
        "layer {layer} is a {n_rows} × {n_cols} matrix where a square one was expected; pass the spot × spot connectivities"
    )]
    NotSquare {
        /// Layer number, from 0.
        layer: usize,
        /// Rows found.
        n_rows: usize,
        /// Columns found.
        n_cols: usize,
    },
    /// Layers differ in their number of nodes.
    #[error(
        "layer {layer} has {found} nodes where layer 0 has {expected}; build every graph on the same spots in the same order"
    )]
    NodeCount {
        /// Layer number, from 0.
        layer: usize,
        /// Nodes found.
        found: usize,
        /// Nodes of layer 0.
        expected: usize,
    },
    /// More nodes than `u32` can number.
    #[error("{n_nodes} nodes are more than the 4294967294 supported; split the data by slice")]
    TooManyNodes {
        /// Nodes found.
        n_nodes: usize,
    },
    /// More layers than one run takes.
    #[error("{found} layers are more than the {limit} supported; merge layers of the same kind before")]
    TooManyLayers {
        /// Layers found.
        found: usize,
        /// Most layers taken.
        limit: usize,
    },
    /// A resolution is not a positive finite number.
    #[error(
        "layer {layer} has resolution {resolution} where a positive number was expected; 1 is a usual start"
    )]
    Resolution {
        /// Layer number, from 0.
        layer: usize,
        /// Value found.
        resolution: f64,
    },
    /// A layer weight is negative or not finite.
    #[error(
        "layer {layer} has weight {weight} where a number ≥ 0 was expected; leave the layer out to ignore it"
    )]
    LayerWeight {
        /// Layer number, from 0.
        layer: usize,
        /// Value found.
        weight: f64,
    },
    /// Every layer weight is zero.
    #[error(
        "all layer weights are 0, so every partition is equally good; give at least one layer a positive weight"
    )]
    AllLayerWeightsZero,
    /// An edge weight is NaN or infinite.
    #[error(
        "layer {layer} stores {weight} at ({row}, {column}) where a finite weight was expected; rebuild the graph from finite coordinates"
    )]
    NonFiniteWeight {
        /// Layer number, from 0.
        layer: usize,
        /// Row of the entry.
        row: usize,
        /// Column of the entry.
        column: usize,
        /// Value found.
        weight: f64,
    },
    /// An edge weight is negative in a layer whose quality function needs degrees.
    #[error(
        "layer {layer} stores {weight} at ({row}, {column}) where {quality:?} needs weights ≥ 0; use Quality::Cpm for graphs with negative weights"
    )]
    NegativeWeight {
        /// Layer number, from 0.
        layer: usize,
        /// Row of the entry.
        row: usize,
        /// Column of the entry.
        column: usize,
        /// Value found.
        weight: f64,
        /// The layer's quality function.
        quality: Quality,
    },
    /// A layer stores entries, and all of them are zero.
    #[error(
        "layer {layer} stores {n_entries} entries and all are 0 where at least one positive weight was expected; rebuild the graph or set use_weights = false after removing the zeros"
    )]
    AllWeightsZero {
        /// Layer number, from 0.
        layer: usize,
        /// Stored entries.
        n_entries: usize,
    },
    /// An undirected layer's matrix is not symmetric.
    #[error(
        "layer {layer} is undirected but stores {forward} at ({row}, {column}) and {backward} at ({column}, {row}); symmetrise the graph or set directed = true"
    )]
    NotSymmetric {
        /// Layer number, from 0.
        layer: usize,
        /// Row of the entry.
        row: usize,
        /// Column of the entry.
        column: usize,
        /// Weight at `(row, column)`, 0 when absent.
        forward: f64,
        /// Weight at `(column, row)`, 0 when absent.
        backward: f64,
    },
    /// A membership has the wrong length.
    #[error("the partition has {found} labels where the graph has {expected} nodes; pass one label per node")]
    MembershipLength {
        /// Labels found.
        found: usize,
        /// Nodes.
        expected: usize,
    },
    /// A node number is out of range.
    #[error("node {node} was asked for where the graph has {n_nodes} nodes; node numbers start at 0")]
    NodeOutOfRange {
        /// Node asked for.
        node: usize,
        /// Nodes.
        n_nodes: usize,
    },
    /// An option is outside its range.
    #[error("{option} is {found} where {expected} was expected; see LeidenOptions and SearchOptions")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// Value found.
        found: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// A layer named for the resolution search does not exist.
    #[error(
        "layer {layer} was named for the resolution search where {n_layers} layers exist; layer numbers start at 0"
    )]
    LayerOutOfRange {
        /// Layer named.
        layer: usize,
        /// Layers given.
        n_layers: usize,
    },
    /// The resolution of a layer that has none was to be varied.
    #[error(
        "layer {layer} has quality Modularity, which has no resolution to search; use Quality::RbConfiguration, its generalisation"
    )]
    NoResolution {
        /// Layer named.
        layer: usize,
    },
    /// The caller asked to stop.
    #[error("interrupted before the partition was found; run again to completion")]
    Interrupted,
}

impl From<Interrupted> for LeidenError {
    fn from(_: Interrupted) -> Self {
        Self::Interrupted
    }
}
