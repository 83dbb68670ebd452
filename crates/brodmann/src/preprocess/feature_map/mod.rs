//! Counts to what a network sees, and back, by a map that is fitted once.
//!
//! Training, a saved model applied to another slice, and decoding share one [`FeatureMap`]: what a model was trained
//! on and what it is shown later are made by the same steps with the same numbers.
//!
//! | map | features | back |
//! |---|---|---|
//! | principal components | normalised, `log1p`, scaled, projected: dense | loadings, un-scaled, plus the mean, not below 0 |
//! | log-ratios (few proteins) | CLR values themselves: dense | themselves, not below 0 |
//! | as they are | values themselves: dense | themselves, not below 0 |
//! | peaks | TF-IDF, LSI, rows standardised: dense | rows un-standardised, the dropped first component as measured, loadings |
//! | scaled | the selected columns, normalised or not, scaled without centring: sparse | un-scaled |
//!
//! * `projection`: what a fitted map consists of.
//! * `reduced`, `scaled`: fitting it.
//! * [`apart`]: fitting it to slices that lie apart, or together, by what each answers for itself.
//! * `encode`, `decode`: there and back.
//! * [`Balance`]: one scale for the features of several modalities.
//! * [`comparable`]: measured values on the scale that decoding leads back to.
//! * `card`: a map as settings and named arrays, for model files.

pub mod apart;
mod balance;
mod card;
mod comparable;
mod decode;
mod encode;
mod projection;
mod reduced;
mod scaled;
#[cfg(test)]
mod tests;

use brodmann_kernels::{CsrMatrix, CsrView, Monitor, Seed, Slices};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

pub use balance::{Balance, BalanceSums};
pub use card::{FeatureCard, ScaleKind, TensorSource};
pub use comparable::comparable;
pub use projection::{FeatureScale, Projection, SpotState, Values};
pub use reduced::MAX_CLR_FEATURES;
pub use scaled::{ScaledOptions, features_of_slice, map_of_slices, selected_by_slice};

use super::{Modality, PreprocessError, PreprocessOptions};

/// How counts become features, fitted once.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureMap {
    /// What was measured.
    pub kind: Modality,
    /// Per column of the counts: whether it takes part at all (totals, CLR means).
    pub kept: Vec<bool>,
    /// Per column of the counts: whether the features rest on it; a subset of `kept`.
    pub selected: Vec<bool>,
    /// The steps.
    pub projection: Projection,
}

/// How features are to be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureOptions {
    /// A few dense columns: components, or the values of a small panel of proteins.
    Reduced(PreprocessOptions),
    /// The selected columns, sparse.
    Scaled(ScaledOptions),
}

/// Features as they come: dense after a projection, else sparse.
#[derive(Clone, Debug, PartialEq)]
pub enum FeatureValues {
    /// `(n_obs, d)`, `d` at least 1.
    Dense(Array2<f32>),
    /// `(n_obs, d)`.
    Sparse(CsrMatrix<f32>),
}

impl FeatureValues {
    /// Written out, where they are not yet.
    pub fn into_dense(self) -> Array2<f32> {
        match self {
            Self::Dense(values) => values,
            Self::Sparse(values) => values.view().to_dense(),
        }
    }

    /// Without zeros, where they are stored yet.
    pub fn into_sparse(self) -> CsrMatrix<f32> {
        match self {
            Self::Dense(values) => CsrMatrix::from_dense(values.view()),
            Self::Sparse(values) => values,
        }
    }
}

impl From<Array2<f32>> for FeatureValues {
    fn from(values: Array2<f32>) -> Self {
        Self::Dense(values)
    }
}

impl From<CsrMatrix<f32>> for FeatureValues {
    fn from(values: CsrMatrix<f32>) -> Self {
        Self::Sparse(values)
    }
}

/// Features of one modality, and how they were made.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// `(n_obs, d)`.
    pub values: FeatureValues,
    /// How they were made.
    pub map: FeatureMap,
    /// What decoding needs of each spot.
    pub spots: SpotState,
}

impl FeatureMap {
    /// [`FeatureMap::fit_on`] without a spatial graph.
    ///
    /// # Errors
    /// As [`FeatureMap::fit_on`].
    pub fn fit(
        counts: CsrView<'_, f32>,
        slices: Option<&Slices>,
        options: &FeatureOptions,
        seed: Seed,
        monitor: &dyn Monitor,
    ) -> Result<Features, PreprocessError> {
        Self::fit_on(counts, slices, None, options, seed, monitor)
    }

    /// Fits a map to counts and makes their features.
    ///
    /// # Inputs
    /// `counts`: `(n_obs, n_vars)` raw counts, or what the options say. `slices`: with several, genes are selected
    /// slice by slice, and [`FeatureOptions::Scaled`] scales each by its own deviations. `graph`: `(n_obs, n_obs)` spatial
    /// graph, for spatially variable genes.
    /// # Returns
    /// Features, and the map that makes the same of other counts ([`FeatureMap::encode`]) and leads back
    /// ([`FeatureMap::decode`]).
    /// # Errors
    /// As [`preprocess()`](super::preprocess()).
    /// # Cost
    /// As [`preprocess()`](super::preprocess()), and one more product with the loadings; for scaled columns about ten
    /// passes and two copies of the selected columns.
    /// # Source
    /// Gao et al. 2025 (SpaMI), Methods, data preprocessing; Yang et al. 2025 (STAIG), the same and integration of
    /// slices.
    pub fn fit_on(
        counts: CsrView<'_, f32>,
        slices: Option<&Slices>,
        graph: Option<CsrView<'_, f64>>,
        options: &FeatureOptions,
        seed: Seed,
        monitor: &dyn Monitor,
    ) -> Result<Features, PreprocessError> {
        match options {
            FeatureOptions::Reduced(options) => {
                let map = reduced::fit(counts, slices, graph, options, seed, monitor)?;
                // Through the map, so that a saved model sees these spots exactly as the training did.
                let (values, spots) = map.encode(counts, slices)?;
                Ok(Features { values, map, spots })
            }
            FeatureOptions::Scaled(options) => {
                let (map, values) = scaled::fit(counts, slices, graph, options, seed, monitor)?;
                Ok(Features { values: values.into(), map, spots: SpotState::default() })
            }
        }
    }

    /// Columns of the counts it was fitted on.
    pub fn n_vars(&self) -> usize {
        self.kept.len()
    }

    /// Columns the features rest on.
    pub fn n_selected(&self) -> usize {
        self.selected.iter().filter(|s| **s).count()
    }

    /// Columns of the features.
    pub fn n_features(&self) -> usize {
        match &self.projection {
            Projection::Pca { components, .. } => components.ncols().max(1),
            Projection::Clr | Projection::Identity | Projection::Scaled { .. } => self.n_selected(),
            Projection::Lsi { singular_values, .. } => singular_values.len().saturating_sub(1).max(1),
        }
    }

    /// The projection in a word: `pca`, `clr`, `lsi`, `identity`, `scaled`.
    pub fn method(&self) -> &'static str {
        match &self.projection {
            Projection::Pca { .. } => "pca",
            Projection::Clr => "clr",
            Projection::Identity => "identity",
            Projection::Lsi { .. } => "lsi",
            Projection::Scaled { .. } => "scaled",
        }
    }

    /// The total that spots are brought to; `None` where the steps know none.
    pub fn target_sum(&self) -> Option<f64> {
        match &self.projection {
            Projection::Pca { target_sum, .. } | Projection::Scaled { target_sum, .. } => Some(*target_sum),
            Projection::Clr | Projection::Identity | Projection::Lsi { .. } => None,
        }
    }

    /// What is done to the values of columns that stay sparse.
    pub fn values(&self) -> Option<Values> {
        match &self.projection {
            Projection::Scaled { values, .. } => Some(*values),
            _ => None,
        }
    }

    /// How columns that stay sparse are scaled.
    pub fn scale(&self) -> Option<&FeatureScale> {
        match &self.projection {
            Projection::Scaled { scale, .. } => Some(scale),
            _ => None,
        }
    }

    /// The same map on the kept columns alone, as a saved model holds it.
    #[must_use]
    pub fn compact(&self) -> Self {
        let selected = kept_of(&self.selected, &self.kept);
        Self {
            kind: self.kind,
            kept: vec![true; selected.len()],
            selected,
            projection: self.projection.clone(),
        }
    }
}

/// Flags of the columns that are kept, in order.
fn kept_of(flags: &[bool], kept: &[bool]) -> Vec<bool> {
    flags.iter().zip(kept).filter(|(_, k)| **k).map(|(f, _)| *f).collect()
}
