//! How the tissue around each spot looks, as numbers that need no trained network.
//!
//! Stains are separated by colour deconvolution, with vectors estimated from the slide where that is asked for. Patches
//! are brought to 64 pixels a side, or 128 where they are larger, so that cost is bounded and every length is a share of
//! the patch, a fixed multiple of the spot. A grey background is made white first.

use std::ops::Range;

use brodmann_kernels::Monitor;
use ndarray::{Array2, Array3, ArrayView2};
use serde::{Deserialize, Serialize};

use super::describe::Describer;
use super::patches::{PatchOptions, patch_side, patches};
use super::pixels::Pixels;
use super::placement::tissue_mask;
use super::slide_stains::{SlideStains, slide_stains};
use super::{HistologyError, PixelsError};

/// Where the vectors of haematoxylin and eosin come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StainVectors {
    /// Those of Ruifrok & Johnston; amounts are divided by the slide's own 99th percentile.
    Standard,
    /// Estimated from the pixels of this slide (Macenko et al. 2009), with the same division.
    #[default]
    Slide,
}

/// Options of [`texture_features`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TextureOptions {
    /// How patches are cut out.
    pub patches: PatchOptions,
    /// Where the stains' vectors come from.
    pub stain_vectors: StainVectors,
}

/// Features of every spot.
#[derive(Clone, Debug, PartialEq)]
pub struct TextureFeatures {
    /// Names, one a column; [`texture_feature_names`] says what they mean.
    pub names: Vec<String>,
    /// `(n_obs, n_features)`, finite.
    pub values: Array2<f32>,
}

/// Every feature: its name and what it means.
pub fn texture_feature_names() -> &'static [(&'static str, &'static str)] {
    super::describe::FEATURES
}

/// Describes the patch of every spot.
///
/// # Inputs
/// `centres`: `(n_obs, 2)`, row and column in pixels of the slide. `side_px`: one to four diameters of a
/// spot; from about 16 pixels on there is texture to see.
/// # Returns
/// [`TextureFeatures`], one row per spot, in their order.
/// # Errors
/// [`HistologyError`]: of the picture, of positions that are not numbers, of a side out of range.
/// # Cost
/// A few milliseconds per spot and thread; one patch per thread in memory.
pub fn texture_features(
    slide: &(impl Pixels + ?Sized),
    centres: ArrayView2<'_, f64>,
    side_px: f64,
    options: &TextureOptions,
    monitor: &dyn Monitor,
) -> Result<TextureFeatures, HistologyError> {
    let side = patch_side(side_px)?;
    monitor.stage("stains", 0);
    let slide = &Whitened::new(slide)?;
    let stains: SlideStains = slide_stains(slide, centres, side_px, options, monitor)?;
    let describer = Describer::new(side, &stains)?;
    monitor.stage("texture", centres.nrows() as u64);
    let features = texture_feature_names();
    let mut values = Array2::zeros((centres.nrows(), features.len()));
    let work = |_, patch: Array3<u8>| Ok(describer.describe(&patch));
    patches(slide, centres, side_px, &options.patches, monitor, work, |spot, found: Vec<f32>| {
        for (v, found) in values.row_mut(spot).iter_mut().zip(found) {
            *v = if found.is_finite() { found } else { 0.0 };
        }
        Ok(())
    })?;
    Ok(TextureFeatures { names: features.iter().map(|(name, _)| (*name).to_owned()).collect(), values })
}

/// A slide whose background is white, whatever light it was taken in: what is absorbed is what the glass does not.
struct Whitened<'a, P: Pixels + ?Sized> {
    slide: &'a P,
    /// By value; `None` where the background is white already.
    brighter: Option<Vec<u8>>,
}

impl<'a, P: Pixels + ?Sized> Whitened<'a, P> {
    fn new(slide: &'a P) -> Result<Self, HistologyError> {
        let light = tissue_mask(slide)?.light;
        let factor = light.exp();
        let brighter = |v: u8| (f64::from(v) * factor).round().min(255.0) as u8;
        Ok(Self { slide, brighter: (light > 0.0).then(|| (0..=255).map(brighter).collect()) })
    }
}

impl<P: Pixels + ?Sized> Pixels for Whitened<'_, P> {
    fn height(&self) -> usize {
        self.slide.height()
    }

    fn width(&self) -> usize {
        self.slide.width()
    }

    fn region(&self, rows: Range<usize>, columns: Range<usize>) -> Result<Array3<u8>, PixelsError> {
        let mut region = self.slide.region(rows, columns)?;
        if let Some(brighter) = &self.brighter {
            region.mapv_inplace(|v| brighter[usize::from(v)]);
        }
        Ok(region)
    }
}
