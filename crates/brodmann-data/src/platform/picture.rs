//! Pictures as scanpy reads them: PNG as `f32` from 0 to 1, JPEG as `u8`.

use std::path::Path;

use image::{DynamicImage, ImageReader};
use ndarray::ArrayD;

use crate::{Array, DataError};

/// Decodes a PNG or JPEG, `(height, width, channels)`, or `(height, width)` where there is one channel.
pub(super) fn read(path: &Path) -> Result<Array, DataError> {
    let bad = |detail: &dyn std::fmt::Display| DataError::Picture {
        path: path.to_path_buf(),
        detail: detail.to_string(),
    };
    let reader = ImageReader::open(path)
        .and_then(ImageReader::with_guessed_format)
        .map_err(|e| DataError::read(path, e))?;
    let png = reader.format() == Some(image::ImageFormat::Png);
    let picture = reader.decode().map_err(|e| bad(&e))?;
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let shape = |channels: usize| {
        if channels == 1 { vec![height, width] } else { vec![height, width, channels] }
    };
    // A palette was expanded by the decoder; gray with alpha becomes colour, as matplotlib does.
    let picture = match picture {
        DynamicImage::ImageLumaA8(_) | DynamicImage::ImageLumaA16(_) => {
            DynamicImage::ImageRgba8(picture.to_rgba8())
        }
        other => other,
    };
    let channels = usize::from(picture.color().channel_count());
    match picture {
        DynamicImage::ImageLuma16(_) | DynamicImage::ImageRgb16(_) | DynamicImage::ImageRgba16(_) => {
            let values: Vec<f32> = match &picture {
                DynamicImage::ImageLuma16(p) => p.as_raw().iter().map(|&v| f32::from(v) / 65535.0).collect(),
                DynamicImage::ImageRgb16(p) => p.as_raw().iter().map(|&v| f32::from(v) / 65535.0).collect(),
                _ => picture.to_rgba16().as_raw().iter().map(|&v| f32::from(v) / 65535.0).collect(),
            };
            ArrayD::from_shape_vec(shape(channels), values).map(Array::F32).map_err(|e| bad(&e))
        }
        _ => {
            let bytes = picture.into_bytes();
            if png {
                let values = bytes.iter().map(|&v| f32::from(v) / 255.0).collect();
                ArrayD::from_shape_vec(shape(channels), values).map(Array::F32).map_err(|e| bad(&e))
            } else {
                ArrayD::from_shape_vec(shape(channels), bytes).map(Array::U8).map_err(|e| bad(&e))
            }
        }
    }
}
