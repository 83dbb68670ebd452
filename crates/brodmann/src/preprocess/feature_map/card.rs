//! A map as settings and named arrays, so that model files of all models store it in one way.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::{FeatureMap, FeatureScale, Projection, Values};
use crate::preprocess::{Modality, Normalization, ScaleOptions, Scaling};

/// The settings of a [`FeatureMap`]; the arrays are [`FeatureMap::tensors`], the selection is told by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum FeatureCard {
    /// [`Projection::Pca`].
    Pca {
        /// How spots are made comparable.
        normalization: Normalization,
        /// Whether `ln(1 + x)` is taken.
        #[serde(default = "yes")]
        log1p: bool,
        /// Whether scaling centres; `None` without scaling.
        #[serde(default)]
        zero_center: Option<bool>,
        /// Where scaled values are cut.
        #[serde(default)]
        max_value: Option<f64>,
    },
    /// [`Projection::Clr`].
    Clr,
    /// [`Projection::Identity`].
    Identity,
    /// [`Projection::Lsi`].
    Lsi,
    /// [`Projection::Scaled`].
    Scaled {
        /// What is done to the values.
        values: Values,
        /// How columns are scaled.
        scale: ScaleKind,
    },
}

fn yes() -> bool {
    true
}

/// A [`FeatureScale`] without its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleKind {
    /// Not at all.
    None,
    /// By stored standard deviations.
    Fixed,
    /// Each slice by its own.
    PerSlice,
}

/// Where the arrays of a map are read from.
pub trait TensorSource {
    /// Why they cannot be had.
    type Error;

    /// A vector, of this length unless `None`; finite.
    ///
    /// # Errors
    /// When it is missing or of another length.
    fn vector(&self, name: &str, len: Option<usize>) -> Result<Vec<f64>, Self::Error>;

    /// A matrix of so many rows; finite.
    ///
    /// # Errors
    /// When it is missing or of another shape.
    fn matrix(&self, name: &str, n_rows: usize) -> Result<Array2<f64>, Self::Error>;

    /// The arrays are not what the card says.
    fn invalid(&self, detail: String) -> Self::Error;
}

/// A vector as the one row of a matrix.
fn row(values: &[f64]) -> Array2<f64> {
    ndarray::aview1(values).insert_axis(ndarray::Axis(0)).to_owned()
}

impl FeatureMap {
    /// The settings.
    pub fn card(&self) -> FeatureCard {
        match &self.projection {
            Projection::Pca { normalization, log1p, scaling, .. } => FeatureCard::Pca {
                normalization: *normalization,
                log1p: *log1p,
                zero_center: scaling.as_ref().map(|s| s.options.zero_center),
                max_value: scaling.as_ref().and_then(|s| s.options.max_value),
            },
            Projection::Clr => FeatureCard::Clr,
            Projection::Identity => FeatureCard::Identity,
            Projection::Lsi { .. } => FeatureCard::Lsi,
            Projection::Scaled { values, scale, .. } => FeatureCard::Scaled {
                values: *values,
                scale: match scale {
                    FeatureScale::None => ScaleKind::None,
                    FeatureScale::Fixed(_) => ScaleKind::Fixed,
                    FeatureScale::PerSlice => ScaleKind::PerSlice,
                },
            },
        }
    }

    /// The numbers, by name; vectors and single numbers as one row.
    pub fn tensors(&self) -> Vec<(&'static str, Array2<f64>)> {
        match &self.projection {
            Projection::Clr | Projection::Identity => Vec::new(),
            Projection::Pca { target_sum, scaling, mean, components, .. } => {
                let mut all = vec![
                    ("target_sum", row(&[*target_sum])),
                    ("component_mean", row(mean)),
                    ("components", components.clone()),
                ];
                if let Some(scaling) = scaling {
                    all.extend([("mean", row(&scaling.mean)), ("sd", row(&scaling.sd))]);
                }
                all
            }
            Projection::Lsi { scale_factor, idf, components, singular_values } => vec![
                ("scale_factor", row(&[*scale_factor])),
                ("idf", row(idf)),
                ("components", components.clone()),
                ("singular_values", row(singular_values)),
            ],
            Projection::Scaled { target_sum, scale, .. } => {
                let mut all = vec![("target_sum", row(&[*target_sum]))];
                if let FeatureScale::Fixed(sd) = scale {
                    all.push(("sd", row(sd)));
                }
                all
            }
        }
    }

    /// The map again, on the kept columns.
    ///
    /// # Inputs
    /// `selected`: per kept column, whether the features rest on it.
    /// # Errors
    /// Those of the source, for arrays that are missing, of another shape, or out of range.
    pub fn from_card<S: TensorSource>(
        card: &FeatureCard,
        kind: Modality,
        selected: Vec<bool>,
        tensors: &S,
    ) -> Result<Self, S::Error> {
        let n_selected = selected.iter().filter(|s| **s).count();
        let number = |name: &str| tensors.vector(name, Some(1)).map(|v| v[0]);
        let deviations = || {
            let sd = tensors.vector("sd", Some(n_selected))?;
            if sd.iter().any(|s| *s <= 0.0) {
                return Err(tensors.invalid("a standard deviation that is not above 0".to_owned()));
            }
            Ok(sd)
        };
        let projection = match card {
            FeatureCard::Clr => Projection::Clr,
            FeatureCard::Identity => Projection::Identity,
            FeatureCard::Pca { normalization, log1p, zero_center, max_value } => {
                let options =
                    zero_center.map(|zero_center| ScaleOptions { zero_center, max_value: *max_value });
                let scaling = match options {
                    Some(options) => {
                        let sd = deviations()?;
                        Some(Scaling { mean: tensors.vector("mean", Some(n_selected))?, sd, options })
                    }
                    None => None,
                };
                Projection::Pca {
                    normalization: *normalization,
                    target_sum: number("target_sum")?,
                    log1p: *log1p,
                    scaling,
                    mean: tensors.vector("component_mean", Some(n_selected))?,
                    components: tensors.matrix("components", n_selected)?,
                }
            }
            FeatureCard::Lsi => {
                let components = tensors.matrix("components", n_selected)?;
                Projection::Lsi {
                    scale_factor: number("scale_factor")?,
                    idf: tensors.vector("idf", Some(n_selected))?,
                    singular_values: tensors.vector("singular_values", Some(components.ncols()))?,
                    components,
                }
            }
            FeatureCard::Scaled { values, scale } => {
                let scale = match scale {
                    ScaleKind::None => FeatureScale::None,
                    ScaleKind::Fixed => FeatureScale::Fixed(deviations()?),
                    ScaleKind::PerSlice => FeatureScale::PerSlice,
                };
                let target_sum = number("target_sum")?;
                if target_sum <= 0.0 {
                    return Err(tensors.invalid("a total per spot that is not above 0".to_owned()));
                }
                Projection::Scaled { values: *values, target_sum, scale }
            }
        };
        Ok(Self { kind, kept: vec![true; selected.len()], selected, projection })
    }
}
