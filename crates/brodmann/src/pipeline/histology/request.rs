//! Which slide, and how the spots lie on it.

use std::path::PathBuf;

use brodmann_kernels::Opt;
use serde::{Deserialize, Serialize};

use crate::pipeline::PipelineError;
use crate::pipeline::request::one_or_several;

/// Stands for the picture that the file keeps, where slides are named.
pub const FILE: &str = "file";
/// Side of a patch in spot diameters.
const PATCH: f64 = 3.5;

/// The slide that spots lie on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SlideOptions {
    /// Pictures: one, or one per slice in the order of the slices; `file` stands for what the file itself keeps.
    #[serde(deserialize_with = "one_or_several")]
    pub image: Vec<String>,
    /// Pixels of the slide per unit of the coordinates; found out where nothing is said.
    pub image_scale: Option<f64>,
    /// A file with the matrix (two or three rows of three numbers) that takes coordinates to pixels of the slide.
    pub image_transform: Option<PathBuf>,
    /// Diameter of a spot in units of the coordinates.
    pub spot_diameter: Option<f64>,
    /// Side of the patch around a spot, in spot diameters.
    pub patch_size: f64,
}

impl Default for SlideOptions {
    fn default() -> Self {
        Self {
            image: Vec::new(),
            image_scale: None,
            image_transform: None,
            spot_diameter: None,
            patch_size: PATCH,
        }
    }
}

impl SlideOptions {
    /// Refuses what no slide allows.
    ///
    /// # Errors
    /// [`PipelineError::Option`].
    pub fn validate(&self) -> Result<(), PipelineError> {
        let lengths = [("image_scale", self.image_scale), ("spot_diameter", self.spot_diameter)];
        for (option, value) in lengths {
            if let Some(value) = value.filter(|v| !(v.is_finite() && *v > 0.0)) {
                return Err(PipelineError::option(option, value, "a number above 0"));
            }
        }
        if !(self.patch_size >= 0.1 && self.patch_size <= 100.0) {
            return Err(PipelineError::option("patch_size", self.patch_size, "0.1 to 100 spot diameters"));
        }
        if self.image_scale.is_some() && self.image_transform.is_some() {
            let expected = format!("one of the two, {} or {}", Opt("image_scale"), Opt("image_transform"));
            return Err(PipelineError::option("image_scale", "given beside a matrix", expected));
        }
        if self.image.is_empty() {
            let given = [
                ("image_scale", self.image_scale.is_some()),
                ("image_transform", self.image_transform.is_some()),
            ];
            if let Some((option, _)) = given.into_iter().find(|(_, given)| *given) {
                let expected = format!("a slide beside it, with {}", Opt("image"));
                return Err(PipelineError::option(option, "given without a slide", expected));
            }
        }
        Ok(())
    }

    /// Whether a slide takes part.
    pub fn is_asked_for(&self) -> bool {
        !self.image.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_slide_allows_is_refused() {
        let with = |change: &dyn Fn(&mut SlideOptions)| {
            let mut options = SlideOptions { image: vec![FILE.to_owned()], ..SlideOptions::default() };
            change(&mut options);
            options.validate()
        };
        assert!(with(&|_| ()).is_ok());
        assert!(with(&|o| o.image_scale = Some(0.0)).is_err());
        assert!(with(&|o| o.spot_diameter = Some(f64::NAN)).is_err());
        assert!(with(&|o| o.patch_size = f64::NAN).is_err());
        assert!(
            with(&|o| { (o.image_scale, o.image_transform) = (Some(1.0), Some("m.csv".into())) }).is_err()
        );
        let error = with(&|o| (o.image, o.image_scale) = (Vec::new(), Some(1.0))).expect_err("no slide");
        assert!(error.to_string().contains("without a slide"), "{error}");
    }
}
