//! Where a network is computed.

use burn_tensor::Device;
use serde::{Deserialize, Serialize};

use crate::error::HistologyError;

/// Where a network is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// The processor: on one machine the same seed gives the same bits on any number of threads.
    #[default]
    Cpu,
    /// A graphics card, through Vulkan, Metal or DirectX: faster, and not the same bits from one card to another. Only
    /// in builds with the feature `wgpu`.
    Gpu,
}

impl Engine {
    /// The device.
    ///
    /// # Errors
    /// [`HistologyError::NoDevice`] where the machine or the build has none.
    pub(crate) fn device(self) -> Result<Device, HistologyError> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            Self::Gpu => gpu().ok_or(HistologyError::NoDevice { device: "graphics card that can be used" }),
        }
    }
}

#[cfg(feature = "wgpu")]
fn gpu() -> Option<Device> {
    use burn_tensor::DeviceType;
    Device::enumerate(DeviceType::Wgpu).into_vec().into_iter().next()
}

#[cfg(not(feature = "wgpu"))]
fn gpu() -> Option<Device> {
    None
}
