//! Weights of a network: out of a file, under the names PyTorch gives them, or drawn.
//!
//! * [`read_weights`]: `.safetensors`, or the `.pth` that `torch.save` writes; nothing in a file is ever run.
//! * [`write_weights`]: a safetensors file with a card, whole or not at all.
//! * [`fit_to`]: whether arrays are those of a network.
//! * [`draw`]: the start PyTorch gives a network that nobody trained.

mod draw;
mod pickle;
mod torch;

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;

use ndarray::{ArrayD, IxDyn};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value as Json;

pub use draw::draw;
pub(crate) use draw::uniform;

use crate::error::WeightsError;
use crate::state::{Slot, StateDict};
use pickle::Element;

/// Metadata entry that holds the card.
const CARD: &str = "brodmann";
const EXPECTED: &str = "safetensors, or a state dict that torch.save wrote";

/// The floating-point arrays of a file, as 32-bit floats, and its card (`null` where it has none).
///
/// Integers (PyTorch's counters of batches) are left out. What the file is, it says itself; its name does not matter.
///
/// # Errors
/// [`WeightsError::Read`], [`WeightsError::Unreadable`], [`WeightsError::Legacy`], [`WeightsError::Calls`].
pub fn read_weights(path: &Path) -> Result<(StateDict, Json), WeightsError> {
    let bytes =
        std::fs::read(path).map_err(|source| WeightsError::Read { path: path.to_path_buf(), source })?;
    match bytes.as_slice() {
        [b'P', b'K', ..] => Ok((torch::read(path, &bytes)?, Json::Null)),
        // A pickle: its magic number, or a tar of the versions before.
        [0x80, 2..=5, ..] => Err(WeightsError::Legacy { path: path.to_path_buf() }),
        _ => read_safetensors(path, &bytes),
    }
}

fn read_safetensors(path: &Path, bytes: &[u8]) -> Result<(StateDict, Json), WeightsError> {
    let unreadable = |detail: String| WeightsError::Unreadable {
        path: path.to_path_buf(),
        detail: detail.replace("; ", ", "),
        expected: EXPECTED,
    };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| unreadable(e.to_string()))?;
    let card = match header.metadata().as_ref().and_then(|m| m.get(CARD)) {
        Some(text) => {
            serde_json::from_str(text).map_err(|e| unreadable(format!("its card is not JSON: {e}")))?
        }
        None => Json::Null,
    };
    let file = SafeTensors::deserialize(bytes).map_err(|e| unreadable(e.to_string()))?;
    let mut state = StateDict::new();
    for (name, view) in file.iter() {
        let element = match view.dtype() {
            Dtype::F64 => Element::F64,
            Dtype::F32 => Element::F32,
            Dtype::F16 => Element::F16,
            Dtype::BF16 => Element::Bf16,
            _ => continue,
        };
        let values = view.data().chunks_exact(element.size()).map(|b| number(element, b)).collect();
        let array = ArrayD::from_shape_vec(IxDyn(view.shape()), values);
        state.insert(name.to_owned(), array.map_err(|e| unreadable(format!("{name}: {e}")))?);
    }
    Ok((state, card))
}

/// One little-endian number.
fn number(element: Element, bytes: &[u8]) -> f32 {
    match (element, bytes) {
        (Element::F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
        (Element::F64, &[a, b, c, d, e, f, g, h]) => f64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32,
        (Element::Bf16, &[a, b]) => f32::from_bits(u32::from(u16::from_le_bytes([a, b])) << 16),
        (Element::F16, &[a, b]) => half(u16::from_le_bytes([a, b])),
        _ => f32::NAN,
    }
}

/// A number of half precision (IEEE 754 binary16).
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * (-24f32).exp2(),
        0x1f if fraction == 0.0 => f32::INFINITY,
        0x1f => f32::NAN,
        e => (1.0 + fraction / 1024.0) * ((e - 15) as f32).exp2(),
    }
}

/// Writes arrays and a card to a safetensors file, whole or not at all; the same arrays give the same bytes.
///
/// # Errors
/// [`WeightsError::Write`]; [`WeightsError::Unreadable`] for a card beyond what the format holds.
pub fn write_weights(path: &Path, state: &StateDict, card: &Json) -> Result<(), WeightsError> {
    let unreadable = |detail: String| WeightsError::Unreadable {
        path: path.to_path_buf(),
        detail: detail.replace("; ", ", "),
        expected: "what a safetensors file can hold",
    };
    let bytes_of = |array: &ArrayD<f32>| array.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let buffers: Vec<_> = state.iter().map(|(name, a)| (name, a.shape(), bytes_of(a))).collect();
    let mut views = Vec::with_capacity(buffers.len());
    for (name, shape, bytes) in &buffers {
        let view =
            TensorView::new(Dtype::F32, shape.to_vec(), bytes).map_err(|e| unreadable(e.to_string()))?;
        views.push((name.as_str(), view));
    }
    let metadata = HashMap::from([(CARD.to_owned(), card.to_string())]);
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| unreadable(e.to_string()))?;
    write_whole(path, &bytes).map_err(|source| WeightsError::Write { path: path.to_path_buf(), source })
}

/// Writes beside the place and renames, so that no reader sees half a file.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = (|| {
        let mut file = std::fs::File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&part, path)
    })();
    if written.is_err() {
        // Of the two failures the first is the one to tell.
        let _ = std::fs::remove_file(&part);
    }
    written
}

/// Takes those arrays of a file that a network consists of. A classifier (`fc.*`) is left aside; any other array that
/// the network does not have is an error, as it means another network.
///
/// # Errors
/// [`WeightsError::Names`], [`WeightsError::Shape`], [`WeightsError::NotFinite`].
pub fn fit_to(
    slots: &[Slot],
    mut state: StateDict,
    network: &str,
    path: &Path,
) -> Result<StateDict, WeightsError> {
    state.retain(|name, _| !name.starts_with("fc."));
    let missing: Vec<String> =
        slots.iter().filter(|s| !state.contains_key(&s.name)).map(|s| s.name.clone()).collect();
    let known: std::collections::HashSet<&str> = slots.iter().map(|s| s.name.as_str()).collect();
    let unknown: Vec<String> = state.keys().filter(|n| !known.contains(n.as_str())).cloned().collect();
    // A shape says more than a name where both differ: ResNet-18 has most names of ResNet-50.
    for slot in slots {
        if let Some(array) = state.get(&slot.name)
            && array.shape() != slot.shape
        {
            return Err(WeightsError::Shape {
                path: path.to_path_buf(),
                name: slot.name.clone(),
                found: array.shape().to_vec(),
                expected: slot.shape.clone(),
            });
        }
    }
    if !missing.is_empty() || !unknown.is_empty() {
        return Err(WeightsError::Names {
            path: path.to_path_buf(),
            missing,
            unknown,
            expected: network.to_owned(),
        });
    }
    match state.iter().find(|(_, array)| array.iter().any(|v| !v.is_finite())) {
        Some((name, _)) => Err(WeightsError::NotFinite { path: path.to_path_buf(), name: name.clone() }),
        None => Ok(state),
    }
}

#[cfg(test)]
mod tests;
