//! Pictures as scanpy reads them: PNG as `f32` from 0 to 1, JPEG as `u8`.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use ndarray::ArrayD;
use png::{BitDepth, ColorType, Transformations};

use crate::input::open_input;
use crate::picture::raster::{Signature, believable, decode_jpeg, sized};
use crate::{Array, DataError};

/// Bytes a decoded picture may take.
const MOST_BYTES: usize = 1 << 32;

/// Decodes a PNG or JPEG, `(height, width, channels)`, or `(height, width)` where there is one channel.
pub(super) fn read(path: &Path) -> Result<Array, DataError> {
    let io = |e| DataError::read(path, e);
    let file = open_input(path)?;
    let stored = file.metadata().map_err(io)?.len();
    let mut file = BufReader::new(file);
    let mut start = Vec::new();
    file.by_ref().take(4).read_to_end(&mut start).map_err(io)?;
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    let mut refused = None;
    // A few bytes of a damaged or hostile header can claim any size.
    let mut room = |bytes: Option<usize>| -> Result<usize, String> {
        let bytes = sized(bytes, MOST_BYTES)?;
        believable(path, bytes, stored).map_err(|e| {
            let told = e.to_string();
            refused = Some(e);
            told
        })?;
        Ok(bytes)
    };
    let picture = match Signature::of(&start) {
        Some(Signature::Png) => read_png(file, &mut room),
        Some(Signature::Jpeg) => read_jpeg(file, &mut room),
        _ => Err("it begins like neither".to_owned()),
    };
    match refused {
        Some(refused) => Err(refused),
        None => picture.map_err(|detail| DataError::Picture { path: path.to_path_buf(), detail }),
    }
}

/// Asks for room: how many bytes, of a number that may be none.
type Room<'a> = &'a mut dyn FnMut(Option<usize>) -> Result<usize, String>;

/// The numbers of a decoded picture under their shape.
fn shaped<T>(height: usize, width: usize, channels: usize, values: Vec<T>) -> Result<ArrayD<T>, String> {
    let shape = if channels == 1 { vec![height, width] } else { vec![height, width, channels] };
    ArrayD::from_shape_vec(shape, values).map_err(|e| e.to_string())
}

fn read_png(file: BufReader<File>, room: Room<'_>) -> Result<Array, String> {
    let mut decoder = png::Decoder::new(file);
    // A palette becomes colours, fewer than eight bits become eight.
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(|e| e.to_string())?;
    // Four times as much follows: each value becomes a number of four bytes.
    room(reader.output_buffer_size().and_then(|n| n.checked_mul(5)))?;
    let mut bytes = vec![0; sized(reader.output_buffer_size(), MOST_BYTES)?];
    let frame = reader.next_frame(&mut bytes).map_err(|e| e.to_string())?;
    bytes.truncate(frame.buffer_size());
    let (height, width) = (frame.height as usize, frame.width as usize);
    let gray_and_alpha = frame.color_type == ColorType::GrayscaleAlpha;
    let channels = if gray_and_alpha { 4 } else { frame.color_type.samples() };
    let wide = frame.bit_depth == BitDepth::Sixteen;
    let values: Vec<f32> = if gray_and_alpha {
        // Becomes colour of eight bits, as in matplotlib.
        let most_significant = if wide { 2 } else { 1 };
        bytes
            .chunks_exact(2 * most_significant)
            .flat_map(|pixel| [pixel[0], pixel[0], pixel[0], pixel[most_significant]])
            .map(|v| f32::from(v) / 255.0)
            .collect()
    } else if wide {
        bytes.chunks_exact(2).map(|v| f32::from(u16::from_be_bytes([v[0], v[1]])) / 65535.0).collect()
    } else {
        bytes.iter().map(|&v| f32::from(v) / 255.0).collect()
    };
    shaped(height, width, channels, values).map(Array::F32)
}

fn read_jpeg(file: BufReader<File>, room: Room<'_>) -> Result<Array, String> {
    let (height, width, channels, bytes) = decode_jpeg(file, room)?;
    shaped(height, width, channels, bytes).map(Array::U8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a PNG of one row reads as.
    fn of_png(color: ColorType, depth: BitDepth, palette: Option<Vec<u8>>, width: u32, row: &[u8]) -> Array {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, 1);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if let Some(palette) = palette {
            encoder.set_palette(palette);
        }
        let mut writer = encoder.write_header().expect("a header");
        writer.write_image_data(row).expect("an image");
        writer.finish().expect("an end");
        of_bytes(&bytes).expect("a picture")
    }

    fn of_bytes(bytes: &[u8]) -> Result<Array, DataError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("picture");
        std::fs::write(&path, bytes).expect("writable");
        read(&path)
    }

    fn floats(array: Array) -> (Vec<usize>, Vec<f32>) {
        let Array::F32(values) = array else { panic!("not f32") };
        (values.shape().to_vec(), values.into_iter().collect())
    }

    #[test]
    fn png_of_every_colour_type_reads_as_in_matplotlib() {
        let of = |color, depth, width, row: &[u8]| floats(of_png(color, depth, None, width, row));
        let share = |v: u16| f32::from(v) / 65535.0;
        assert_eq!(of(ColorType::Grayscale, BitDepth::Eight, 2, &[0, 51]), (vec![1, 2], vec![0.0, 0.2]));
        // One bit per pixel.
        assert_eq!(
            of(ColorType::Grayscale, BitDepth::One, 3, &[0b1010_0000]),
            (vec![1, 3], vec![1.0, 0.0, 1.0])
        );
        assert_eq!(
            of(ColorType::Rgb, BitDepth::Sixteen, 1, &[1, 0, 0, 1, 255, 255]),
            (vec![1, 1, 3], vec![share(256), share(1), 1.0])
        );
        assert_eq!(
            of(ColorType::GrayscaleAlpha, BitDepth::Eight, 1, &[51, 255]),
            (vec![1, 1, 4], vec![0.2, 0.2, 0.2, 1.0])
        );
        assert_eq!(
            of(ColorType::GrayscaleAlpha, BitDepth::Sixteen, 1, &[51, 9, 255, 9]),
            (vec![1, 1, 4], vec![0.2, 0.2, 0.2, 1.0])
        );
        let palette = Some(vec![255, 0, 0, 0, 0, 255]);
        assert_eq!(
            floats(of_png(ColorType::Indexed, BitDepth::Eight, palette, 2, &[1, 0])),
            (vec![1, 2, 3], vec![0.0, 0.0, 1.0, 1.0, 0.0, 0.0])
        );
    }

    #[test]
    fn jpeg_stays_bytes() {
        // Eight by eight, the left half (200, 40, 40) and the right half (40, 40, 200), and its gray.
        let Ok(Array::U8(colour)) = of_bytes(include_bytes!("../../tests/pictures/colour.jpg")) else {
            panic!("no bytes")
        };
        assert_eq!(colour.shape(), [8, 8, 3]);
        for (x, expected) in [(0, [200, 40, 40]), (7, [40, 40, 200])] {
            for (c, e) in expected.into_iter().enumerate() {
                assert!((i32::from(colour[[4, x, c]]) - e).abs() <= 4, "{x} {c}");
            }
        }
        let Ok(Array::U8(gray)) = of_bytes(include_bytes!("../../tests/pictures/gray.jpg")) else {
            panic!("no bytes")
        };
        assert_eq!(gray.shape(), [8, 8]);
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let mut bomb = Vec::new();
        let mut encoder = png::Encoder::new(&mut bomb, 1 << 20, 1 << 20);
        encoder.set_color(ColorType::Rgba);
        drop(encoder.write_header().expect("a header"));
        let jpeg = include_bytes!("../../tests/pictures/colour.jpg");
        for bytes in [&b""[..], b"\x89PNG", b"GIF89a", &jpeg[..20], &bomb] {
            let Err(e) = of_bytes(bytes) else { panic!("{bytes:?} was read") };
            assert!(matches!(e, DataError::Picture { .. }), "{e}");
        }
    }
}
