//! The picture of a tissue: slides opened, spots placed on them, features of the patches around them.
//!
//! ```text
//! picture (file, or what the file keeps) ─ where each spot lies ─ patches ─ features ─▶ staig, domains, cluster
//! ```
//!
//! * [`request`]: which slide, and how the spots lie on it. `to_slide`: from coordinates to its pixels.
//! * `encoder`: what makes the features. `by_network`: of a network, patches to components. `tiles`: tables of
//!   lazyslide and sopa.
//! * `slides`: opened and placed. [`features`]: what is seen around each spot. `looks`: what groups look like.
//! * [`command`]: `brodmann image-features`.

mod by_network;
pub mod command;
mod encoder;
pub mod features;
mod looks;
pub mod request;
pub(in crate::pipeline) mod slides;
#[cfg(test)]
mod tests;
mod tiles;
mod to_slide;

pub use command::{
    IMAGE_FEATURES, ImageFeaturesReport, ImageFeaturesRequest, image_features_file, image_features_tissue,
    image_overlay_tissue, image_patches_tissue,
};
pub use encoder::{Encoder, EncoderOptions, Networks};
pub use features::SlideReport;
pub use looks::Look;
pub use request::SlideOptions;
