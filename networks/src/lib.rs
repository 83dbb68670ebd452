//! Networks that turn patches of a histology picture into features.
//!
//! Arrays in, arrays out: patches (n, 3, h, w) of values between 0 and 1 become embeddings (n, features). Where patches
//! are cut and what becomes of the features is not known here.
//!
//! * [`Encoder`]: what every network here is.
//! * [`ResNet`]: ResNet-50 with weights of torchvision, of a training here, or drawn.
//! * [`byol()`]: trains one on the slide's own patches, without labels.
//! * [`weights`]: safetensors and PyTorch's files, read without running anything.
//!
//! Tensors, devices and gradients are [burn](burn_tensor)'s, on the CPU or, with the feature `wgpu`, on a graphics card.

pub mod byol;
mod device;
mod encoder;
mod error;
mod network;
mod resnet;
mod state;
pub mod weights;

pub use byol::{ByolFit, ByolOptions, PatchSource, byol};
pub use device::Engine;
pub use encoder::{Encoder, Scaling};
pub use error::{HistologyError, WeightsError};
pub use resnet::{Origin, ResNet, ResNetShape};
pub use state::{Role, Slot, StateDict};

#[cfg(test)]
mod oracle;
