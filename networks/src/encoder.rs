//! What turns patches into features.

use ndarray::{Array2, ArrayView4};
use serde::{Deserialize, Serialize};

use crate::error::HistologyError;

/// A network that turns patches of a picture into features.
pub trait Encoder: Sync {
    /// What it is, for a record: `resnet50, random start (seed 1)`.
    fn name(&self) -> String;

    /// Side of the patches it is made for, in pixels.
    fn input_side(&self) -> usize;

    /// Length of an embedding.
    fn n_features(&self) -> usize;

    /// Embeddings (n, n_features) of patches (n, 3, h, w) whose values are between 0 and 1; the network's own scaling is
    /// within it. The same patch gives the same bits whatever else is in the batch.
    ///
    /// # Errors
    /// [`HistologyError::Patches`], [`HistologyError::NotFinite`].
    fn embed(&self, batch: ArrayView4<'_, f32>) -> Result<Array2<f32>, HistologyError>;
}

/// What is taken off each channel of a picture, and what it is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// Taken off red, green and blue.
    pub mean: [f32; 3],
    /// What they are divided by.
    pub deviation: [f32; 3],
}

impl Scaling {
    /// Of the pictures of ImageNet, with which torchvision's weights were trained.
    pub const IMAGENET: Self = Self { mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] };
    /// Leaves values as they are.
    pub const NONE: Self = Self { mean: [0.0; 3], deviation: [1.0; 3] };

    /// Scaled values of a patch (3, h, w), channel by channel.
    pub(crate) fn apply(&self, values: &mut [f32]) {
        let n = values.len() / 3;
        for (c, plane) in values.chunks_exact_mut(n.max(1)).enumerate() {
            for v in plane {
                *v = (*v - self.mean[c]) / self.deviation[c];
            }
        }
    }
}

/// Refuses patches that are not (n, 3, h, w) with h and w of at least `least` and finite values.
pub(crate) fn check_patches(batch: &ArrayView4<'_, f32>, least: usize) -> Result<(), HistologyError> {
    let (_, channels, height, width) = batch.dim();
    if channels != 3 || height < least || width < least {
        return Err(HistologyError::Patches {
            found: batch.shape().to_vec(),
            expected: format!("(n, 3, h, w) with h and w of at least {least}"),
        });
    }
    match batch.outer_iter().position(|patch| patch.iter().any(|v| !v.is_finite())) {
        Some(patch) => Err(HistologyError::NotFinite { patch }),
        None => Ok(()),
    }
}
