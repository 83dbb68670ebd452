//! The steps from selected columns to features: what a fitted map consists of.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::preprocess::{Normalization, Scaling};

/// The steps from selected columns to features.
#[derive(Clone, Debug, PartialEq)]
pub enum Projection {
    /// Normalised, perhaps scaled, projected on principal components.
    Pca {
        /// How spots are made comparable.
        normalization: Normalization,
        /// Total of each spot, with [`Normalization::Total`].
        target_sum: f64,
        /// Whether `ln(1 + x)` is taken.
        log1p: bool,
        /// Scaling of the selected columns.
        scaling: Option<Scaling>,
        /// Mean of each selected column after scaling.
        mean: Vec<f64>,
        /// `(selected, k)` loadings.
        components: Array2<f64>,
    },
    /// Centred log-ratios; the features are the selected columns.
    Clr,
    /// Values as they are.
    Identity,
    /// Latent semantic indexing.
    Lsi {
        /// What normalised rows are multiplied by before the logarithm.
        scale_factor: f64,
        /// Inverse document frequency of the selected columns.
        idf: Vec<f64>,
        /// `(selected, 1 + k)` loadings, that of the dropped component first.
        components: Array2<f64>,
        /// Singular values, that of the dropped component first.
        singular_values: Vec<f64>,
    },
    /// Normalised perhaps, scaled perhaps, never centred: the selected columns, still sparse.
    Scaled {
        /// What is done to the values.
        values: Values,
        /// Total of each spot, with [`Values::Log`].
        target_sum: f64,
        /// How columns are scaled.
        scale: FeatureScale,
    },
}

/// What is done to the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Values {
    /// Counts: total, `log1p`, scale.
    Log,
    /// Logarithms already: scale.
    Logged,
    /// Counts of a small panel: nothing; with several slices, scale.
    Counts,
}

impl Values {
    /// The name in options and records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Logged => "logged",
            Self::Counts => "counts",
        }
    }

    /// By name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Log, Self::Logged, Self::Counts].into_iter().find(|v| v.name() == name)
    }
}

/// How features are scaled.
#[derive(Clone, Debug, PartialEq)]
pub enum FeatureScale {
    /// Not at all.
    None,
    /// By these standard deviations.
    Fixed(Vec<f64>),
    /// Each slice by its own, so that slices of different depth or platform meet.
    PerSlice,
}

impl FeatureScale {
    /// The name in cards and records.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Fixed(_) => "fixed",
            Self::PerSlice => "per_slice",
        }
    }
}

/// What a projection took from each spot and decoding has to give back; empty but for LSI.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpotState {
    /// Mean over the components of a spot.
    pub mean: Vec<f64>,
    /// Standard deviation over the components of a spot; 0 where there is none.
    pub sd: Vec<f64>,
    /// The component that follows the depth.
    pub first: Vec<f64>,
}
