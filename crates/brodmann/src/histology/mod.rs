//! What does the tissue look like around each spot?
//!
//! First in the pipeline, beside [`crate::preprocess`]: from a stained slide to numbers or small pictures per spot,
//! which feed graphs, clusterers and networks. A slide is read by region through [`Pixels`], never whole, and spots are
//! visited tile by tile; files are opened elsewhere. Positions are (row, column) in pixels of the slide.
//!
//! From slide to patches:
//! * [`Pixels`]: a picture that is read by region; [`Overview`]: a small copy of it.
//! * [`patches()`]: the picture around each spot. [`Border`]: how it goes on beyond the border.
//! * [`preprocess()`]: patches as the STAIG paper feeds them to its network; [`contact_sheet()`] shows them.
//! * [`texture_features()`]: numbers per spot that need no trained network; [`texture_feature_names`] explains them.
//! * [`PatchNetworks`]: networks that somebody else computes. [`PatchStack`]: the patches they get.
//! * [`placement()`]: whether the spots lie on the tissue; [`tissue_mask`]: where it is.
//!
//! Arithmetic, the same as OpenCV's, NumPy's and scikit-image's:
//! * [`blur_u8`], [`blur_f64`]: Gaussian blur. [`resize_u8`], [`resize_f64`]: bilinear. [`grey_u8`], [`grey_f64`].
//! * [`band_pass`]: a band of spatial frequencies, kept or dropped.
//! * [`separate_stains`]: how much of each stain lies in a pixel.
//! * [`glcm()`]: co-occurrence of grey levels. [`local_binary_pattern`]: which neighbours are brighter.

mod blur;
mod border;
mod contact_sheet;
mod describe;
mod error;
mod fourier;
mod gabor;
mod glcm;
mod grey;
mod lbp;
mod network;
mod nuclei;
mod patches;
mod pixels;
mod placement;
mod preprocess;
mod resize;
mod slide_stains;
mod stains;
#[cfg(test)]
mod tests;
mod texture;

pub use blur::{blur_f64, blur_u8, gaussian_kernel};
pub use border::Border;
pub use contact_sheet::{contact_sheet, plane_to_rgb};
pub use error::{HistologyError, PixelsError};
pub use fourier::{Band, BandFilter, Frequencies, Part, Passing, band_pass};
pub use glcm::{ANGLES, Cooccurrence, cooccurrence, glcm};
pub use grey::{grey_f64, grey_u8};
pub use lbp::{N_UNIFORM, Pattern, local_binary_pattern};
pub use network::{
    NetworkError, NetworkKind, NetworkTraining, PatchFiltering, PatchNetwork, PatchNetworks, PatchStack,
    StoredPatch,
};
pub use patches::{MAX_SIDE_PX, PatchOptions, patch_side, patches};
pub use pixels::{Overview, Pixels, overview_by_region};
pub use placement::{Finding, Placement, Reading, TissueMask, placement, tissue_mask};
pub use preprocess::{FilterOptions, PATCH_DIAMETERS, PatchFilter, imagenet_channels, preprocess};
pub use resize::{resize_f64, resize_u8};
pub use stains::{StainScale, Stains, separate_stains};
pub use texture::{StainVectors, TextureFeatures, TextureOptions, texture_feature_names, texture_features};
