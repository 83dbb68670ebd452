//! Networks that turn patches into features.
//!
//! None is computed in this crate: an engine of tensors takes longer to compile than all the rest. Whoever has one hands
//! it in as [`PatchNetworks`], and it gets patches made here.

use std::fmt::{self, Debug, Display, Formatter};
use std::path::{Path, PathBuf};

use brodmann_kernels::{Diagnosis, Monitor, Seed};
use ndarray::{Array2, Array3, Array4, ArrayView2, ArrayView3, ArrayView4, Axis};
use serde::{Deserialize, Serialize};

/// Why a network could not be had or used: the error of whoever computes it, unchanged.
pub struct NetworkError(Box<dyn Diagnosis + Send + Sync>);

impl<E: Diagnosis + Send + Sync + 'static> From<E> for NetworkError {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl NetworkError {
    /// What the error says beside its message.
    pub fn diagnosis(&self) -> &dyn Diagnosis {
        &*self.0
    }
}

impl Display for NetworkError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.0, f)
    }
}

impl Debug for NetworkError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Debug::fmt(&self.0, f)
    }
}

/// How a network is trained on the patches themselves, without labels.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkTraining {
    /// Times each patch is seen.
    pub epochs: usize,
    /// Patches per step.
    pub batch_size: usize,
    /// Learning rate of Adam.
    pub learning_rate: f64,
    /// Where training is saved on the way.
    pub checkpoint: Option<PathBuf>,
    /// Epochs between two savings.
    pub checkpoint_every: usize,
    /// Go on from what was saved there.
    pub resume: bool,
}

/// Which network.
#[derive(Clone, Debug, PartialEq)]
pub enum NetworkKind {
    /// ResNet-50 with the weights of a file, or drawn.
    Resnet50 {
        /// The file.
        weights: Option<PathBuf>,
    },
    /// What somebody exported to ONNX.
    Onnx {
        /// The file.
        path: PathBuf,
        /// Side of the patches where the file leaves it open.
        side: usize,
        /// What is taken off red, green and blue (0 to 1), and what they are divided by then.
        scaling: [[f32; 3]; 2],
    },
}

/// Opens networks.
pub trait PatchNetworks: Send + Sync {
    /// The network; `None` where this build computes none of the kind.
    ///
    /// # Errors
    /// Those of the file.
    fn open(&self, kind: &NetworkKind, seed: Seed) -> Option<Result<Box<dyn PatchNetwork>, NetworkError>>;

    /// Whether this build computes networks of the kind; files are not looked at.
    fn computes(&self, kind: &NetworkKind) -> bool;
}

/// A network that turns patches into features.
pub trait PatchNetwork: Send + Sync {
    /// What it is and where its weights are from, for a record.
    fn name(&self) -> String;

    /// Whether nobody trained it: its features are random projections of a patch.
    fn is_random(&self) -> bool;

    /// Side of the patches it takes, in pixels, where it takes no other.
    fn side(&self) -> Option<usize>;

    /// Features (n, n_features) of patches (n, 3, side, side) whose values are between 0 and 1; the network's own scaling
    /// is within it. The same patch gives the same bits whatever else is in the batch.
    ///
    /// # Errors
    /// Those of the engine.
    fn embed(&self, patches: ArrayView4<'_, f32>) -> Result<Array2<f32>, NetworkError>;

    /// The network trained on `patches`, with the loss of each epoch. The same patches, options and seed give the same
    /// bits, also after an interruption.
    ///
    /// # Errors
    /// Those of the training and its checkpoints, and for a network that cannot be trained.
    fn train(
        &self,
        patches: &PatchStack,
        training: &NetworkTraining,
        seed: Seed,
        monitor: &dyn Monitor,
    ) -> Result<(Box<dyn PatchNetwork>, Vec<f64>), NetworkError>;

    /// Writes its weights, whole or not at all.
    ///
    /// # Errors
    /// Those of the file.
    fn save(&self, path: &Path) -> Result<(), NetworkError>;
}

/// What of a patch a network sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PatchFiltering {
    /// Grey, low frequencies kept: the released reading of the paper's filter.
    #[default]
    Keep,
    /// Grey, low frequencies dropped: what the paper's word band-pass suggests.
    Drop,
    /// Nothing: the colours as they are.
    None,
}

/// Grey levels, 0 to 255, are kept in steps of this part: a plane in half the memory of 32-bit floats.
const STEPS: f32 = 128.0;

/// A patch as a network sees it, small in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredPatch {
    /// A plane of grey levels, in 128ths.
    Grey(Vec<u16>),
    /// Red, green and blue of each pixel.
    Colour(Vec<u8>),
}

impl StoredPatch {
    /// A plane of grey levels, 0 to 255 (what filters leave above 511 is cut).
    pub fn grey(plane: ArrayView2<'_, f32>) -> Self {
        Self::Grey(plane.iter().map(|v| (v * STEPS).round() as u16).collect())
    }

    /// A patch (side, side, 3).
    pub fn colour(patch: ArrayView3<'_, u8>) -> Self {
        Self::Colour(patch.iter().copied().collect())
    }

    /// (3, side, side), values between 0 and 1.
    fn write(&self, out: &mut [f32]) {
        let n = out.len() / 3;
        match self {
            Self::Grey(plane) => {
                for channel in out.chunks_exact_mut(n.max(1)) {
                    channel.iter_mut().zip(plane).for_each(|(o, v)| *o = f32::from(*v) / (STEPS * 255.0));
                }
            }
            Self::Colour(pixels) => {
                for (i, pixel) in pixels.chunks_exact(3).enumerate() {
                    (0..3).for_each(|c| out[c * n + i] = f32::from(pixel[c]) / 255.0);
                }
            }
        }
    }
}

/// Patches of one size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatchStack {
    side: usize,
    patches: Vec<StoredPatch>,
}

impl PatchStack {
    /// Patches of `side` pixels.
    ///
    /// # Panics
    /// Where a patch has another number of pixels: whoever stores them made them of this side.
    pub fn new(side: usize, patches: Vec<StoredPatch>) -> Self {
        let fits = |patch: &StoredPatch| match patch {
            StoredPatch::Grey(plane) => plane.len() == side * side,
            StoredPatch::Colour(pixels) => pixels.len() == 3 * side * side,
        };
        assert!(patches.iter().all(fits), "a patch of another size");
        Self { side, patches }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.patches.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.patches.is_empty()
    }

    /// Patch `index`, (3, side, side), values between 0 and 1.
    pub fn patch(&self, index: usize) -> Array3<f32> {
        self.batch(index..index + 1).index_axis_move(Axis(0), 0)
    }

    /// Several of them, (n, 3, side, side).
    pub fn batch(&self, range: std::ops::Range<usize>) -> Array4<f32> {
        let (n, one) = (range.len(), 3 * self.side * self.side);
        let mut values = vec![0.0; n * one];
        for (patch, out) in self.patches[range].iter().zip(values.chunks_exact_mut(one.max(1))) {
            patch.write(out);
        }
        Array4::from_shape_vec((n, 3, self.side, self.side), values).expect("three planes each")
    }

    /// A number that stands for their content: FNV-1a of their pixels.
    pub fn fingerprint(&self) -> u64 {
        let step = |hash: u64, value: u64| (hash ^ value).wrapping_mul(0x0100_0000_01b3);
        self.patches.iter().fold(0xcbf2_9ce4_8422_2325, |hash, patch| match patch {
            StoredPatch::Grey(plane) => plane.iter().fold(hash, |hash, v| step(hash, u64::from(*v))),
            StoredPatch::Colour(pixels) => pixels.iter().fold(hash, |hash, v| step(hash, u64::from(*v))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_come_back_as_three_planes_between_0_and_1() {
        let grey = StoredPatch::grey(ndarray::array![[0.0, 255.0], [127.5, 300.0]].view());
        let colour = StoredPatch::colour(
            Array3::from_shape_fn((2, 2, 3), |(i, j, c)| (i * 100 + j * 10 + c) as u8).view(),
        );
        let stack = PatchStack::new(2, vec![grey, colour]);
        let patch = stack.patch(0);
        assert_eq!(patch.dim(), (3, 2, 2));
        assert!((0..3).all(|c| patch[(c, 0, 1)] == 1.0 && patch[(c, 1, 0)] == 0.5 && patch[(c, 1, 1)] > 1.0));
        assert_eq!(stack.patch(1)[(2, 1, 1)], 112.0 / 255.0);
        assert_eq!(stack.batch(0..2).index_axis(Axis(0), 1), stack.patch(1));
    }

    #[test]
    fn a_pixel_more_or_less_is_another_content() {
        let of =
            |value: f32| PatchStack::new(2, vec![StoredPatch::grey(Array2::from_elem((2, 2), value).view())]);
        assert_eq!(of(3.0).fingerprint(), of(3.0).fingerprint());
        assert_ne!(of(3.0).fingerprint(), of(4.0).fingerprint());
    }
}
