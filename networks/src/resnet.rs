//! Residual networks of bottlenecks: ResNet-50 and its smaller kin.
//!
//! Source: He, Zhang, Ren & Sun 2016, CVPR; the stride is in the 3 × 3 convolution, as torchvision has it.

mod fold;
pub(crate) mod forward;
mod shape;

use std::path::Path;
use std::sync::OnceLock;

use brodmann_kernels::Seed;
use burn_tensor::{DType, Device, Tensor, TensorData};
use ndarray::{Array2, ArrayView4, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use shape::ResNetShape;

use crate::device::Engine;
use crate::encoder::{Encoder, Scaling, check_patches};
use crate::error::{HistologyError, WeightsError};
use crate::network::{Tensors, values_of};
use crate::state::{Slot, StateDict};
use crate::weights::{draw, fit_to, read_weights, write_weights};

/// What the card of a saved network says it is.
const KIND: &str = "resnet";
/// Patches that are computed together. Fixed, so that an embedding does not depend on what it is computed with.
const CHUNK: usize = 4;
/// Below this side the last stage has less than one position.
pub(crate) const LEAST_SIDE: usize = 32;
/// Side of ImageNet's pictures in training.
const INPUT_SIDE: usize = 224;

/// Where the weights of a network come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "from")]
pub enum Origin {
    /// Nobody trained it: its features are random projections of the picture.
    Random {
        /// The seed.
        seed: u64,
    },
    /// A file of weights.
    File {
        /// Its name, without the folders.
        name: String,
    },
    /// Trained by BYOL on patches of the user's.
    Byol {
        /// Epochs.
        epochs: usize,
        /// Where training began.
        start: Box<Origin>,
    },
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Random { seed } => write!(f, "random start (seed {seed})"),
            Self::File { name } => write!(f, "weights of {name}"),
            Self::Byol { epochs, start } => write!(f, "BYOL for {epochs} epochs after {start}"),
        }
    }
}

/// A residual network, used for its features.
#[derive(Debug)]
pub struct ResNet {
    shape: ResNetShape,
    state: StateDict,
    origin: Origin,
    engine: Engine,
    /// On the device, once it was used.
    folded: OnceLock<Tensors>,
}

impl ResNet {
    /// A network nobody trained, drawn as PyTorch draws it.
    ///
    /// # Errors
    /// [`HistologyError::Option`] for a shape without channels or blocks.
    pub fn random(shape: ResNetShape, seed: Seed) -> Result<Self, HistologyError> {
        shape.validate()?;
        let state = draw(&shape.slots(), "histology/init", seed);
        Ok(Self::new(shape, state, Origin::Random { seed: seed.0 }))
    }

    /// A network with the weights of a file: one of ResNet-50 under torchvision's names, or one that [`ResNet::save`]
    /// wrote, which knows its shape and where its weights are from.
    ///
    /// # Errors
    /// [`HistologyError::Weights`], naming the tensor that is missing, unknown or of another shape.
    pub fn open(path: &Path) -> Result<Self, HistologyError> {
        let (state, card) = read_weights(path)?;
        let unreadable = |detail: String| WeightsError::Unreadable {
            path: path.to_path_buf(),
            detail: detail.replace("; ", ", "),
            expected: "a network this version wrote",
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (shape, origin) = if card["kind"] == KIND {
            let shape = ResNetShape::deserialize(&card["shape"]).map_err(|e| unreadable(e.to_string()))?;
            shape.validate().map_err(|e| unreadable(e.to_string()))?;
            (shape, Origin::deserialize(&card["origin"]).map_err(|e| unreadable(e.to_string()))?)
        } else {
            (ResNetShape::RESNET_50, Origin::File { name })
        };
        let state = fit_to(&shape.slots(), state, &network_name(&shape), path)?;
        Ok(Self::new(shape, state, origin))
    }

    /// A network of these arrays, which `fit_to` took or a training made.
    pub(crate) fn new(shape: ResNetShape, state: StateDict, origin: Origin) -> Self {
        Self { shape, state, origin, engine: Engine::Cpu, folded: OnceLock::new() }
    }

    /// The same network computed elsewhere.
    ///
    /// # Errors
    /// [`HistologyError::NoDevice`].
    pub fn on(mut self, engine: Engine) -> Result<Self, HistologyError> {
        engine.device()?;
        self.engine = engine;
        self.folded = OnceLock::new();
        Ok(self)
    }

    /// Its size.
    pub fn shape(&self) -> &ResNetShape {
        &self.shape
    }

    /// Its arrays under torchvision's names.
    pub fn state(&self) -> &StateDict {
        &self.state
    }

    /// Where its weights come from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Where it is computed.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Writes its arrays under torchvision's names to a safetensors file, whole or not at all.
    ///
    /// # Errors
    /// [`HistologyError::Weights`].
    pub fn save(&self, path: &Path) -> Result<(), HistologyError> {
        let card = json!({ "kind": KIND, "shape": self.shape, "origin": self.origin });
        Ok(write_weights(path, &self.state, &card)?)
    }

    fn features(&self, device: &Device, folded: &Tensors, patches: ArrayView4<'_, f32>) -> Vec<f32> {
        let (n, channels, height, width) = patches.dim();
        let mut values: Vec<f32> = Vec::with_capacity(patches.len());
        for patch in patches.outer_iter() {
            let at = values.len();
            values.extend(patch.iter());
            Scaling::IMAGENET.apply(&mut values[at..]);
        }
        let data = TensorData::new(values, [n, channels, height, width]);
        let x = Tensor::<4>::from_data(data, (device, DType::F32));
        let mut layer = forward::Folded(folded);
        values_of(forward::forward(&self.shape, &mut layer, x, &mut |_, _| ()))
    }
}

/// What a network of this shape is called.
fn network_name(shape: &ResNetShape) -> String {
    if *shape == ResNetShape::RESNET_50 {
        return "tensors of ResNet-50".to_owned();
    }
    format!("tensors of a residual network of depths {:?}", shape.depths)
}

impl Encoder for ResNet {
    fn name(&self) -> String {
        let name = if self.shape == ResNetShape::RESNET_50 { "resnet50" } else { "resnet" };
        format!("{name}, {}", self.origin)
    }

    fn input_side(&self) -> usize {
        INPUT_SIDE
    }

    fn n_features(&self) -> usize {
        self.shape.n_features()
    }

    fn embed(&self, batch: ArrayView4<'_, f32>) -> Result<Array2<f32>, HistologyError> {
        check_patches(&batch, LEAST_SIDE)?;
        let device = self.engine.device()?;
        let folded = self.folded.get_or_init(|| {
            let (slots, state) = fold::fold(&self.shape.slots(), &self.state);
            Tensors::upload(&slots, &state, &device, DType::F32)
        });
        let chunks: Vec<_> = batch.axis_chunks_iter(Axis(0), CHUNK).collect();
        let embed = |chunk| self.features(&device, folded, chunk);
        let rows: Vec<Vec<f32>> = match self.engine {
            // What the engine does between two products it does on one thread: chunks side by side use them all.
            Engine::Cpu => chunks.into_par_iter().map(embed).collect(),
            Engine::Gpu => chunks.into_iter().map(embed).collect(),
        };
        let values = rows.concat();
        let shape = (batch.dim().0, self.n_features());
        Ok(Array2::from_shape_vec(shape, values).expect("each patch gave one row of features"))
    }
}

/// The slots of a network, for those that keep its arrays together with others.
pub(crate) fn slots_below(prefix: &str, slots: Vec<Slot>) -> Vec<Slot> {
    slots.into_iter().map(|slot| Slot { name: format!("{prefix}{}", slot.name), ..slot }).collect()
}

#[cfg(test)]
mod tests;
