//! The picture of a tissue: slides opened, spots placed on them, features of the patches around them.
//!
//! ```text
//! picture (file, or what the file keeps) ─ where each spot lies ─ patches ─ features ─▶ staig, domains, cluster
//! ```
//!
//! * [`request`]: which slide, and how the spots lie on it. `to_slide`: from coordinates to its pixels.
//! * `encoder`: what makes the features.
//! * `slides`: opened and placed. [`features`]: what is seen around each spot. `looks`: what groups look like.
//! * [`command`]: `brodmann image-features`.

pub mod command;
mod encoder;
pub mod features;
mod looks;
pub mod request;
pub(in crate::pipeline) mod slides;
mod to_slide;

pub use command::{
    IMAGE_FEATURES, ImageFeaturesReport, ImageFeaturesRequest, image_features_file, image_features_tissue,
    image_overlay_tissue, image_patches_tissue,
};
pub use encoder::{Encoder, EncoderOptions};
pub use features::SlideReport;
pub use looks::Look;
pub use request::SlideOptions;
