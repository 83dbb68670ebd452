//! A picture of a store, small enough for a plot.

use indexmap::IndexMap;
use ndarray::{Array3, ArrayD, Ix3};

use super::{scales, transformations};
use crate::store::Store;
use crate::zarr::ZarrReader;
use crate::{Array, DataError, Value};

/// The longer side that a plot needs.
const SIDE: usize = 600;
/// Larger pictures without smaller scales are left out.
const MAX_VALUES: usize = 1 << 28;
/// How far axes may differ in scale, and a picture be shifted in its own pixels, to count as not.
const TOLERANCE: f64 = 0.01;

/// Pictures in the coordinate system `system`, as `uns["spatial"]` holds them.
///
/// Only those that a single factor takes coordinates to: upright, not shifted, of one, three or four channels. Others
/// have no place in `uns["spatial"]`.
pub(super) fn pictures(
    store: &ZarrReader,
    system: &str,
    radius: Option<f64>,
) -> Result<IndexMap<String, Value>, DataError> {
    let mut pictures = IndexMap::new();
    for name in store.children("images")? {
        let path = format!("images/{name}");
        let transformations = transformations(store, &path)?;
        if !transformations.reach(system) {
            continue;
        }
        // A picture that cannot be used is no reason to refuse the table.
        let (Ok(to_system), Ok(scales)) = (transformations.to(Some(system)), scales(store, &path)) else {
            continue;
        };
        let fits = |s: &&super::Scale| {
            s.axes.iter().map(String::as_str).eq(["c", "y", "x"])
                && s.shape.len() == 3
                && [1, 3, 4].contains(&s.shape[0])
        };
        let side = |s: &super::Scale| s.shape[1].max(s.shape[2]);
        let usable: Vec<&super::Scale> = scales.iter().filter(fits).collect();
        let large = usable.iter().filter(|s| side(s) >= SIDE).min_by_key(|s| side(s));
        let Some(scale) = large.or_else(|| usable.iter().max_by_key(|s| side(s))) else { continue };
        let pixels = scale.to_element.then(&to_system);
        let (along_x, along_y) = (pixels.x[0], pixels.y[1]);
        let upright = along_x > 0.0
            && (along_x - along_y).abs() <= TOLERANCE * along_x
            && pixels.x[1].abs().max(pixels.y[0].abs()) <= TOLERANCE * along_x
            && pixels.x[2].abs().max(pixels.y[2].abs()) <= 0.5 * along_x;
        let values = scale.shape.iter().fold(1usize, |n, &d| n.saturating_mul(d));
        if !upright || values > MAX_VALUES {
            continue;
        }
        let Some(picture) = rgb(store.array(&scale.path)?) else { continue };
        let mut factors = IndexMap::new();
        factors.insert("tissue_hires_scalef".to_owned(), Value::Float(1.0 / along_x));
        if let Some(radius) = radius {
            factors.insert("spot_diameter_fullres".to_owned(), Value::Float(2.0 * radius));
        }
        let images: Value = [("hires", Value::Array(picture.into()))].into();
        pictures.insert(name, [("images", images), ("scalefactors", Value::Dict(factors))].into());
    }
    Ok(pictures)
}

/// Channels first, of any type, to rows of colours of eight bits; `None` for what is no picture.
fn rgb(array: Array) -> Option<Array3<u8>> {
    let bytes: ArrayD<u8> = match array {
        Array::U8(a) => a,
        Array::F32(_) | Array::F64(_) => {
            let values = array.to_f64()?;
            // Colours from 0 to 1, unless a value says that they go to 255.
            let top = if values.iter().any(|v| *v > 1.0) { 1.0 } else { 255.0 };
            values.mapv(|v| (v * top).clamp(0.0, 255.0).round() as u8)
        }
        Array::String(_) => return None,
        other => {
            let values = other.to_f64()?;
            // Cameras of more bits than eight rarely use them all.
            let top = values.iter().copied().fold(0.0, f64::max);
            let factor = if top > 255.0 { 255.0 / top } else { 1.0 };
            values.mapv(|v| (v * factor).clamp(0.0, 255.0).round() as u8)
        }
    };
    let bytes = bytes.into_dimensionality::<Ix3>().ok()?;
    let (channels, height, width) = bytes.dim();
    let channel = |c: usize| if channels == 1 { 0 } else { c };
    Some(Array3::from_shape_fn((height, width, 3), |(y, x, c)| bytes[(channel(c), y, x)]))
}
