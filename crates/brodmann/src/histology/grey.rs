//! Grey of colours: `0.299 R + 0.587 G + 0.114 B` (ITU-R BT.601), as OpenCV's `COLOR_RGB2GRAY` has it.

use ndarray::{Array2, ArrayView3, Axis};

use super::HistologyError;

/// One byte's grey in fixed point: weights are multiples of 2⁻¹⁵.
#[inline]
pub(super) fn grey_of(rgb: &[u8]) -> u8 {
    let [r, g, b] = [0, 1, 2].map(|k| u32::from(rgb[k]));
    ((9798 * r + 19235 * g + 3735 * b + (1 << 14)) >> 15) as u8
}

/// Refuses what has not three channels.
pub(super) fn check_rgb(shape: &[usize]) -> Result<(), HistologyError> {
    if shape.len() == 3 && shape[2] == 3 {
        return Ok(());
    }
    Err(HistologyError::Shape {
        what: "picture",
        found: shape.to_vec(),
        expected: "rows, columns, 3 colours",
    })
}

/// Grey bytes of RGB bytes.
///
/// # Errors
/// [`HistologyError::Shape`] where there are not three channels.
pub fn grey_u8(image: ArrayView3<'_, u8>) -> Result<Array2<u8>, HistologyError> {
    check_rgb(image.shape())?;
    let image = image.as_standard_layout();
    let source = image.as_slice().expect("standard layout");
    let grey = source.chunks_exact(3).map(grey_of).collect();
    Ok(Array2::from_shape_vec((image.dim().0, image.dim().1), grey).expect("one grey per pixel"))
}

/// Grey of RGB bytes, not rounded.
///
/// # Errors
/// [`HistologyError::Shape`] where there are not three channels.
pub fn grey_f64(image: ArrayView3<'_, u8>) -> Result<Array2<f64>, HistologyError> {
    check_rgb(image.shape())?;
    Ok(image
        .map_axis(Axis(2), |p| 0.299 * f64::from(p[0]) + 0.587 * f64::from(p[1]) + 0.114 * f64::from(p[2])))
}
