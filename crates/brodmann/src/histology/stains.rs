//! How much of each stain lies in a pixel: colour deconvolution.
//!
//! Light is absorbed exponentially (Beer and Lambert): optical densities of stains add up. With the density vectors of
//! three stains as rows of a matrix, the amounts of a pixel are its densities times the inverse.
//!
//! # Source
//! Ruifrok & Johnston 2001, Anal. Quant. Cytol. Histol. 23:291; vectors estimated from the picture: Macenko et al. 2009,
//! ISBI, 1107.

use ndarray::{Array3, ArrayView3};
use serde::{Deserialize, Serialize};

use super::HistologyError;
use super::grey::check_rgb;

/// Density vectors of three stains, one a row: red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stains(pub [[f64; 3]; 3]);

impl Default for Stains {
    /// Haematoxylin, eosin and DAB, as Ruifrok & Johnston measured them.
    fn default() -> Self {
        Self([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
    }
}

impl Stains {
    /// The same stains as vectors of length one.
    #[must_use]
    pub fn unit(self) -> Self {
        Self(self.0.map(|v| {
            let length = dot(v, v).sqrt();
            v.map(|x| if length > 0.0 { x / length } else { 0.0 })
        }))
    }

    /// Two stains and, for what they leave over, the direction at right angles to both.
    pub fn of_two(haematoxylin: [f64; 3], eosin: [f64; 3]) -> Self {
        Self([haematoxylin, eosin, cross(haematoxylin, eosin)]).unit()
    }

    /// The inverse matrix.
    ///
    /// # Errors
    /// [`HistologyError::DependentStains`] where there is none.
    pub fn inverse(self) -> Result<[[f64; 3]; 3], HistologyError> {
        let [a, b, c] = self.0;
        let columns = [cross(b, c), cross(c, a), cross(a, b)];
        let determinant = dot(a, columns[0]);
        let size: f64 = self.0.iter().map(|v| dot(*v, *v).sqrt()).product();
        // Not above: NaN is refused too.
        if !determinant.is_finite() || determinant.abs() <= 1e-6 * size {
            return Err(HistologyError::DependentStains { stains: self.0 });
        }
        Ok(std::array::from_fn(|i| std::array::from_fn(|j| columns[j][i] / determinant)))
    }
}

pub(super) fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// In which unit densities are, and what becomes of negative amounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StainScale {
    /// `ln(max(value/255, 10⁻⁶)) / ln 10⁻⁶`, negative amounts set to 0: scikit-image's `rgb2hed`.
    #[default]
    Relative,
    /// `−ln(max(value, 1)/255)`, amounts as they come.
    Natural,
}

/// Amounts of three stains in every pixel.
///
/// # Inputs
/// `image`: `(height, width, 3)` RGB bytes.
/// # Returns
/// `(height, width, 3)`, one amount per stain.
/// # Errors
/// [`HistologyError::Shape`], [`HistologyError::DependentStains`].
pub fn separate_stains(
    image: ArrayView3<'_, u8>,
    stains: Stains,
    scale: StainScale,
) -> Result<Array3<f64>, HistologyError> {
    check_rgb(image.shape())?;
    let inverse = stains.inverse()?;
    let density: Vec<f64> = (0..=255u8).map(|v| density_of(v, scale)).collect();
    let mut amounts = Array3::zeros(image.dim());
    for ((i, j, k), amount) in amounts.indexed_iter_mut() {
        let sum: f64 = (0..3).map(|c| density[usize::from(image[[i, j, c]])] * inverse[c][k]).sum();
        *amount = if scale == StainScale::Relative { sum.max(0.0) } else { sum };
    }
    Ok(amounts)
}

pub(super) fn density_of(value: u8, scale: StainScale) -> f64 {
    match scale {
        StainScale::Relative => libm::log((f64::from(value) / 255.0).max(1e-6)) / libm::log(1e-6),
        StainScale::Natural => -libm::log(f64::from(value.max(1)) / 255.0),
    }
}
