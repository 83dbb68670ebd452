//! Networks that turn patches of a histology picture into features.
//!
//! Arrays in, arrays out: patches (n, 3, h, w) of values between 0 and 1 become embeddings (n, features). Where patches
//! are cut and what becomes of the features is not known here.
//!
//! * [`Encoder`]: what every network here is.
//! * [`ResNet`]: ResNet-50 with weights of torchvision, of a training here, or drawn.
//! * [`byol()`]: trains one on the slide's own patches, without labels.
//! * [`weights`]: safetensors and PyTorch's files, read without running anything.
//! * [`OnnxEncoder`]: any network that somebody exported to ONNX.
//!
//! Tensors, devices and gradients of ResNet-50 are burn's (feature `burn`), on the CPU or, with the feature `wgpu`, on a
//! graphics card; ONNX files are computed by rten (feature `onnx`).

#[cfg(feature = "burn")]
pub mod byol;
#[cfg(feature = "burn")]
mod device;
mod encoder;
mod error;
#[cfg(feature = "burn")]
mod network;
#[cfg(feature = "onnx")]
mod onnx;
#[cfg(feature = "burn")]
mod resnet;
#[cfg(feature = "burn")]
mod state;
#[cfg(feature = "burn")]
pub mod weights;

#[cfg(feature = "burn")]
pub use byol::{ByolFit, ByolOptions, PatchSource, byol};
#[cfg(feature = "burn")]
pub use device::Engine;
pub use encoder::{Encoder, Scaling};
pub use error::{HistologyError, WeightsError};
#[cfg(feature = "onnx")]
pub use onnx::OnnxEncoder;
#[cfg(feature = "burn")]
pub use resnet::{Origin, ResNet, ResNetShape};
#[cfg(feature = "burn")]
pub use state::{Role, Slot, StateDict};

#[cfg(all(test, feature = "burn"))]
mod oracle;
