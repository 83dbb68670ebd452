//! Patches as the STAIG paper feeds them to its image network: the 7 × 7 blurred slide, patches of 3.5 spot diameters, a
//! band of frequencies, a 15 × 15 blur.
//!
//! # Differences
//! The paper calls the filter a band-pass but its window [245, 275) of 512 is a square of low frequencies; the released
//! code keeps it, which is the default here, and [`Passing::Drop`](super::Passing::Drop) is the other reading. The paper's
//! text has 224 pixels in the end (the default), the released code 256. Values after the filter are not rounded to bytes.

use brodmann_kernels::{Monitor, OptionError};
use ndarray::{Array2, Array3, ArrayView2, ArrayView3};
use serde::{Deserialize, Serialize};

use super::HistologyError;
use super::blur::{blur_u8, convolve, gaussian_kernel};
use super::fourier::{Band, BandFilter};
use super::grey::{check_rgb, grey_u8};
use super::patches::{PatchOptions, patches};
use super::pixels::Pixels;
use super::resize::{resize_plane, resize_u8};

/// Diameters of a spot that a patch of the paper is wide.
pub const PATCH_DIAMETERS: f64 = 3.5;

/// Options of [`preprocess`] and [`PatchFilter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FilterOptions {
    /// How patches are cut out; the slide is blurred with 7 taps.
    pub patches: PatchOptions,
    /// Side of the patch while it is filtered, pixels.
    pub filtered_side: usize,
    /// Blur the grey patch with 5 taps before its frequencies are filtered.
    pub blur_grey: bool,
    /// The band of frequencies, in indices of a spectrum of `filtered_side`.
    pub band: Band,
    /// Taps of the blur after the filter (odd); 0: none.
    pub blur_filtered: usize,
    /// Side of the result, pixels.
    pub output_side: usize,
}

impl Default for FilterOptions {
    fn default() -> Self {
        Self {
            patches: PatchOptions { blur: 7, ..PatchOptions::default() },
            filtered_side: 512,
            blur_grey: false,
            band: Band::default(),
            blur_filtered: 15,
            output_side: 224,
        }
    }
}

impl FilterOptions {
    /// Checks every option.
    ///
    /// # Errors
    /// [`OptionError`], the first found.
    pub fn validate(&self) -> Result<(), OptionError> {
        for (name, value) in [("filtered_side", self.filtered_side), ("output_side", self.output_side)] {
            if !(8..=2048).contains(&value) {
                return Err(OptionError::new(name, value, "8 to 2048 pixels"));
            }
        }
        if self.blur_filtered != 0 && (self.blur_filtered.is_multiple_of(2) || self.blur_filtered > 99) {
            let expected = "an odd number up to 99, or 0 for none";
            return Err(OptionError::new("blur_filtered", self.blur_filtered, expected));
        }
        self.band.validate(self.filtered_side)
    }
}

/// The steps from a patch to the network's input, with what they share; used by many threads at once.
pub struct PatchFilter {
    options: FilterOptions,
    band: BandFilter<f32>,
    kernel: Vec<f32>,
}

impl PatchFilter {
    /// Prepares the steps.
    ///
    /// # Errors
    /// [`OptionError`].
    pub fn new(options: &FilterOptions) -> Result<Self, HistologyError> {
        options.validate()?;
        let side = options.filtered_side;
        let kernel = gaussian_kernel(options.blur_filtered.max(1)).iter().map(|w| *w as f32).collect();
        Ok(Self { options: *options, band: BandFilter::new(options.band, side, side)?, kernel })
    }

    /// A patch of any size, RGB, as one plane of `output_side`; grey levels, 0 to 255.
    ///
    /// # Errors
    /// [`HistologyError::Shape`] where there are not three channels.
    pub fn apply(&self, patch: ArrayView3<'_, u8>) -> Result<Array2<f32>, HistologyError> {
        check_rgb(patch.shape())?;
        let (side, out) = (self.options.filtered_side, self.options.output_side);
        let mut grey = grey_u8(resize_u8(patch, side, side).view())?;
        if self.options.blur_grey {
            let blurred = blur_u8(grey.view().insert_axis(ndarray::Axis(2)), 5);
            grey = blurred.remove_axis(ndarray::Axis(2));
        }
        let plane: Vec<f32> = grey.iter().map(|v| f32::from(*v)).collect();
        let mut filtered = self.band.filter(&plane);
        if self.options.blur_filtered > 1 {
            filtered = convolve(&filtered, side, side, &self.kernel);
        }
        let resized = resize_plane(&filtered, (side, side), (out, out), |w| w as f32);
        Ok(Array2::from_shape_vec((out, out), resized).expect("a square plane"))
    }
}

/// Means and standard deviations of the pictures that networks of `ImageNet` were trained on.
const IMAGENET: [(f32, f32); 3] = [(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)];

/// A plane of grey levels, 0 to 255, as three standardised channels: `(3, height, width)`.
pub fn imagenet_channels(plane: ArrayView2<'_, f32>) -> Array3<f32> {
    let (height, width) = plane.dim();
    Array3::from_shape_fn((3, height, width), |(k, i, j)| {
        let (mean, sd) = IMAGENET[k];
        (plane[[i, j]] / 255.0 - mean) / sd
    })
}

/// Filters the patch of every spot and hands it to `sink`: the spot's row and a plane of grey levels, 0 to 255
/// ([`imagenet_channels`] makes the network's input of it).
///
/// # Inputs
/// `centres`: `(n_obs, 2)`, row and column in pixels. `side_px`: 3.5 diameters of a spot in the paper
/// ([`PATCH_DIAMETERS`]).
/// # Errors
/// Those of [`patches`].
/// # Cost
/// A few MB per thread beside the patches, whatever the number of spots.
pub fn preprocess(
    slide: &(impl Pixels + ?Sized),
    centres: ArrayView2<'_, f64>,
    side_px: f64,
    options: &FilterOptions,
    monitor: &dyn Monitor,
    sink: impl FnMut(usize, Array2<f32>) -> Result<(), HistologyError>,
) -> Result<(), HistologyError> {
    let filter = PatchFilter::new(options)?;
    monitor.stage("filter patches", centres.nrows() as u64);
    let work = |_, patch: Array3<u8>| filter.apply(patch.view());
    patches(slide, centres, side_px, &options.patches, monitor, work, sink)
}
