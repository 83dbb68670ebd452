//! PNG and JPEG pictures, decoded whole, and pictures that are arrays already.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use ndarray::{Array3, ArrayD};
use png::{BitDepth, ColorType, Transformations};
use zune_core::bytestream::ZByteReaderTrait;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::tile::{Alpha, Colours, Samples, Window, rgb};
use crate::input::open_input;
use crate::memory::{PICTURE_EXPANSION, allow};
use crate::{Array, DataError};

/// Bytes that a PNG or a JPEG may take as colours.
const MOST_BYTES: usize = 1 << 30;
/// Bytes that are enough to know a format by.
const START: u64 = 16;

/// What a picture begins as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signature {
    Png,
    Jpeg,
    Tiff,
    Zip,
}

impl Signature {
    pub(crate) fn of(start: &[u8]) -> Option<Self> {
        let begins = |with: &[&[u8]]| with.iter().any(|w| start.starts_with(w));
        if begins(&[b"\x89PNG"]) {
            Some(Self::Png)
        } else if begins(&[b"\xFF\xD8"]) {
            Some(Self::Jpeg)
        } else if begins(&[b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"]) {
            Some(Self::Tiff)
        } else if begins(&[b"PK\x03\x04"]) {
            Some(Self::Zip)
        } else {
            None
        }
    }
}

fn start(path: &Path) -> Result<Vec<u8>, DataError> {
    let mut start = Vec::new();
    let file = open_input(path)?;
    file.take(START).read_to_end(&mut start).map_err(|e| DataError::read(path, e))?;
    Ok(start)
}

/// What the file begins as; `None` for what is no picture.
pub(super) fn signature(path: &Path) -> Result<Option<Signature>, DataError> {
    Ok(Signature::of(&start(path)?))
}

/// Why a file without the signature of a picture is refused.
pub(super) fn no_picture(path: &Path) -> DataError {
    let found = match start(path) {
        Ok(start) if start.is_empty() => "nothing (the file is empty)".to_owned(),
        Ok(start) => format!("no picture (it begins with \"{}\")", start.escape_ascii()),
        Err(e) => return e,
    };
    DataError::PictureKind { path: path.to_path_buf(), found, expected: super::zarr::KNOWN.to_owned() }
}

fn unreadable(path: &Path, detail: String) -> DataError {
    DataError::Picture { path: path.to_path_buf(), detail }
}

/// Refuses a picture that its file cannot hold, or that there is no room for.
pub(crate) fn believable(path: &Path, bytes: usize, stored: u64) -> Result<(), DataError> {
    allow(path, "the picture", (bytes as u64, 2 * bytes as u64), PICTURE_EXPANSION, || stored)
}

/// Height, width, channels (1 or 3) and bytes of a JPEG, for which `room` is asked.
pub(crate) fn decode_jpeg<R: ZByteReaderTrait>(
    input: R,
    mut room: impl FnMut(Option<usize>) -> Result<usize, String>,
) -> Result<(usize, usize, usize, Vec<u8>), String> {
    let options = DecoderOptions::new_cmd().set_max_width(usize::MAX).set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(input, options);
    decoder.decode_headers().map_err(|e| e.to_string())?;
    let gray = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let colours = if gray { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(options.jpeg_set_out_colorspace(colours));
    let mut bytes = vec![0; room(decoder.output_buffer_size())?];
    decoder.decode_into(&mut bytes).map_err(|e| e.to_string())?;
    let info = decoder.info().ok_or_else(|| "it has no size".to_owned())?;
    Ok((usize::from(info.height), usize::from(info.width), if gray { 1 } else { 3 }, bytes))
}

/// Room for a decoded picture, refused where nothing real is that large.
pub(crate) fn sized(bytes: Option<usize>, most: usize) -> Result<usize, String> {
    bytes.filter(|b| *b <= most).ok_or_else(|| format!("decoded it would take more than {} MiB", most >> 20))
}

/// A JPEG as colours.
pub(super) fn jpeg(path: &Path) -> Result<Array3<u8>, DataError> {
    let file = open_input(path)?;
    let stored = file.metadata().map_err(|e| DataError::read(path, e))?.len();
    let mut refused = None;
    let decoded = decode_jpeg(BufReader::new(file), |bytes| {
        let bytes = sized(bytes, MOST_BYTES)?;
        // The size is a claim of the header: room is made for no more than its bytes can hold.
        believable(path, bytes, stored).map_err(|e| {
            let told = e.to_string();
            refused = Some(e);
            told
        })?;
        Ok(bytes)
    });
    let (height, width, n, bytes) = match (decoded, refused) {
        (_, Some(refused)) => return Err(refused),
        (decoded, None) => decoded.map_err(|e| unreadable(path, e))?,
    };
    let colours = if n == 1 { Colours::Grey } else { Colours::Rgb };
    sized(height.checked_mul(width).and_then(|n| n.checked_mul(3)), MOST_BYTES)
        .and_then(|_| shaped(height, width, rgb(colours, &[], bytes)))
        .map_err(|e| unreadable(path, e))
}

/// A PNG as colours of eight bits, over white.
pub(super) fn png(path: &Path) -> Result<Array3<u8>, DataError> {
    let file = open_input(path)?;
    let stored = file.metadata().map_err(|e| DataError::read(path, e))?.len();
    let mut refused = None;
    let read = read_png(BufReader::new(file), |bytes| {
        believable(path, bytes, stored).map_err(|e| {
            let told = e.to_string();
            refused = Some(e);
            told
        })
    });
    match (read, refused) {
        (_, Some(refused)) => Err(refused),
        (read, None) => read.map_err(|e| unreadable(path, e)),
    }
}

fn read_png(
    file: BufReader<File>,
    mut room: impl FnMut(usize) -> Result<(), String>,
) -> Result<Array3<u8>, String> {
    let limits = png::Limits { bytes: MOST_BYTES };
    let mut decoder = png::Decoder::new_with_limits(file, limits);
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(|e| e.to_string())?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    let len = sized(height.checked_mul(width).and_then(|n| n.checked_mul(3)), MOST_BYTES)?;
    room(len)?;
    let (colour, depth) = reader.output_color_type();
    let colours = match colour {
        ColorType::Grayscale => Colours::Grey,
        ColorType::GrayscaleAlpha => Colours::GreyAlpha(Alpha::Apart),
        ColorType::Rgb => Colours::Rgb,
        ColorType::Rgba => Colours::Rgba(Alpha::Apart),
        ColorType::Indexed => return Err("its palette is missing".to_owned()),
    };
    let bytes = |samples: &[u8]| -> Vec<u8> {
        if depth == BitDepth::Sixteen {
            let values = samples.chunks_exact(2).map(|v| u16::from_be_bytes([v[0], v[1]])).collect();
            Window { low: 0.0, high: 65535.0 }.bytes(Samples::U16(values))
        } else {
            samples.to_vec()
        }
    };
    let mut out = Vec::new();
    if reader.info().interlaced {
        let whole = sized(reader.output_buffer_size(), 8 * MOST_BYTES)?;
        room(whole)?;
        let mut whole = vec![0; whole];
        let frame = reader.next_frame(&mut whole).map_err(|e| e.to_string())?;
        whole.truncate(frame.buffer_size());
        out = rgb(colours, &[], bytes(&whole));
    } else {
        // The height is a claim: room is made as rows come.
        while let Some(row) = reader.next_row().map_err(|e| e.to_string())? {
            out.extend(rgb(colours, &[], bytes(row.data())));
        }
    }
    if out.len() != len {
        return Err("it ends before its last row".to_owned());
    }
    shaped(height, width, out)
}

fn shaped(height: usize, width: usize, rgb: Vec<u8>) -> Result<Array3<u8>, String> {
    Array3::from_shape_vec((height, width, 3), rgb).map_err(|e| e.to_string())
}

/// A picture of an array, as colours of eight bits.
pub(super) fn of_array(image: &Array) -> Result<Array3<u8>, DataError> {
    let expected = "(height, width), or (height, width, channels) with 1, 3 or 4 channels";
    let wrong = || DataError::Shape {
        element: "the picture".to_owned(),
        found: image.shape().to_vec(),
        expected: expected.to_owned(),
    };
    let (height, width, n) = match *image.shape() {
        [height, width] => (height, width, 1),
        [height, width, n @ (1 | 3 | 4)] => (height, width, n),
        _ => return Err(wrong()),
    };
    let (samples, window) = match image {
        Array::U8(a) => (Samples::U8(row_major(a)), Window::BYTES),
        Array::Bool(a) => {
            (Samples::U8(row_major(a).into_iter().map(u8::from).collect()), Window { low: 0.0, high: 1.0 })
        }
        Array::U16(a) => (Samples::U16(row_major(a)), Window { low: 0.0, high: 65535.0 }),
        Array::F32(_) | Array::F64(_) => {
            let values = image.to_f64().unwrap_or_default();
            let values: Vec<f32> = row_major(&values).into_iter().map(|v| v as f32).collect();
            let most = values.iter().copied().fold(0.0, f32::max);
            (Samples::F32(values), Window { low: 0.0, high: if most > 1.0 { 255.0 } else { 1.0 } })
        }
        other => {
            return Err(DataError::Kind {
                element: "the picture".to_owned(),
                found: other.dtype().to_owned(),
                expected: "uint8, uint16 or floating-point numbers".to_owned(),
            });
        }
    };
    let colours = match n {
        1 => Colours::Grey,
        3 => Colours::Rgb,
        _ => Colours::Rgba(Alpha::Apart),
    };
    Array3::from_shape_vec((height, width, 3), rgb(colours, &[], window.bytes(samples))).map_err(|_| wrong())
}

fn row_major<T: Clone>(array: &ArrayD<T>) -> Vec<T> {
    array.iter().cloned().collect()
}
