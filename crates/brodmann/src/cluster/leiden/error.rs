//! Why a Leiden run is refused.

// Fields are named after what the messages say of them.
#![expect(missing_docs)]

use std::fmt::{self, Display, Formatter};

use brodmann_kernels::Interrupted;
use brodmann_kernels::{Diagnosis, Opt, OptionError};

use super::layer::Quality;

/// Why layers, options or a partition cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LeidenError {
    /// No layer was given.
    #[error("no layer was given; expected at least one graph")]
    NoLayers,
    /// A graph is not square.
    #[error("{layer} is a {n_rows} × {n_cols} matrix; expected a square one")]
    NotSquare { layer: LayerId, n_rows: usize, n_cols: usize },
    /// Layers differ in their number of nodes.
    #[error("{layer} has {found} nodes; expected {expected}, as in the first layer")]
    NodeCount { layer: LayerId, found: usize, expected: usize },
    /// More nodes than `u32` can number.
    #[error("the graph has {n_nodes} nodes; expected at most 4294967294")]
    TooManyNodes { n_nodes: usize },
    /// More layers than one run takes.
    #[error("{found} layers were given; expected at most {limit}")]
    TooManyLayers { found: usize, limit: usize },
    /// A resolution is not a positive finite number.
    #[error("{layer} has the resolution {resolution}; expected a number above 0, at most 1e9")]
    Resolution { layer: LayerId, resolution: f64 },
    /// A layer weight is negative or not finite.
    #[error("{layer} has the weight {weight}; expected a number from 0 to 1e9")]
    LayerWeight { layer: LayerId, weight: f64 },
    /// Every layer weight is zero.
    #[error("all layers have the weight 0, so every partition is equally good; expected one weight above 0")]
    AllLayerWeightsZero,
    /// An edge weight is NaN or infinite.
    #[error("{layer} stores {weight} at ({row}, {column}); expected a finite weight")]
    NonFiniteWeight { layer: LayerId, row: usize, column: usize, weight: f64 },
    /// An edge weight is negative in a layer whose quality function needs degrees.
    #[error("{layer} stores {weight} at ({row}, {column}); expected a weight of at least 0, as {} asks for", quality.name())]
    NegativeWeight { layer: LayerId, row: usize, column: usize, weight: f64, quality: Quality },
    /// A layer stores entries, and all of them are zero.
    #[error("{layer} stores {n_entries} entries and all are 0; expected at least one positive weight")]
    AllWeightsZero { layer: LayerId, n_entries: usize },
    /// An undirected layer's matrix is not symmetric.
    #[error(
        "{layer} is undirected but stores {forward} at ({row}, {column}) and {backward} at ({column}, {row}); expected equal weights"
    )]
    NotSymmetric { layer: LayerId, row: usize, column: usize, forward: f64, backward: f64 },
    /// A membership has the wrong length.
    #[error("the partition has {found} labels; expected {expected}, one per node")]
    MembershipLength { found: usize, expected: usize },
    /// A node number is out of range.
    #[error("node {node} was asked for; expected a number below {n_nodes}, as nodes are numbered from 0")]
    NodeOutOfRange { node: usize, n_nodes: usize },
    /// An option out of its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// A layer named for the resolution search does not exist.
    #[error("{layer} is to be searched; expected one of {n_layers} layers, which are numbered from 0")]
    LayerOutOfRange { layer: LayerId, n_layers: usize },
    /// The resolution of a layer that has none was to be varied.
    #[error("the quality of {layer} is modularity, which has no resolution to search")]
    NoResolution { layer: LayerId },
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Diagnosis for LeidenError {
    fn origin(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Option(e) => Some(e),
            Self::Interrupted(e) => Some(e),
            _ => None,
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::NoLayers => "pass a latent or a spatial graph".to_owned(),
            Self::NotSquare { .. } => "pass the spot × spot connectivities".to_owned(),
            Self::NodeCount { .. } => "build every graph on the same spots in the same order".to_owned(),
            Self::TooManyNodes { .. } => "split the data by slice".to_owned(),
            Self::TooManyLayers { .. } => "merge layers of the same kind first".to_owned(),
            Self::Resolution { .. } => "start with 1, the usual value".to_owned(),
            Self::LayerWeight { .. } => "leave the layer out to ignore it".to_owned(),
            Self::AllLayerWeightsZero => "give at least one layer a positive weight".to_owned(),
            Self::NonFiniteWeight { .. } => "rebuild the graph from finite coordinates".to_owned(),
            Self::NegativeWeight { .. } => {
                format!("use {} for graphs with negative weights", Opt("quality").set("cpm"))
            }
            Self::AllWeightsZero { .. } => format!(
                "build the graph again, or remove the zeros and say {}",
                Opt("use_weights").set(false)
            ),
            Self::NotSymmetric { .. } => {
                format!("symmetrise the graph, or say {}", Opt("directed").set(true))
            }
            Self::MembershipLength { .. } => "label each node once".to_owned(),
            Self::NodeOutOfRange { .. } | Self::LayerOutOfRange { .. } => "correct the number".to_owned(),
            Self::NoResolution { .. } => format!("use {}, its generalisation", Opt("quality").set("rb")),
            _ => return self.origin()?.advice(),
        })
    }
}

impl LeidenError {
    /// With the layer it speaks of under the name it has in `names`.
    #[must_use]
    pub fn named(mut self, names: &[String]) -> Self {
        if let Self::NotSquare { layer, .. }
        | Self::NodeCount { layer, .. }
        | Self::Resolution { layer, .. }
        | Self::LayerWeight { layer, .. }
        | Self::NonFiniteWeight { layer, .. }
        | Self::NegativeWeight { layer, .. }
        | Self::AllWeightsZero { layer, .. }
        | Self::NotSymmetric { layer, .. }
        | Self::LayerOutOfRange { layer, .. }
        | Self::NoResolution { layer, .. } = &mut self
        {
            layer.name = names.get(layer.index).cloned();
        }
        self
    }
}

/// A layer as errors speak of it: by its number or, where the caller's names are known, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerId {
    /// Its number, from 0.
    pub index: usize,
    /// Its name.
    pub name: Option<String>,
}

impl From<usize> for LayerId {
    fn from(index: usize) -> Self {
        Self { index, name: None }
    }
}

impl Display for LayerId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "the layer {name:?}"),
            None => write!(f, "layer {}", self.index),
        }
    }
}
