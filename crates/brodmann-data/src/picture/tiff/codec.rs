//! Stored bytes of a tile or strip to the bytes of its samples.

use std::io::Read;

use flate2::read::ZlibDecoder;
use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};
use weezl::{BitOrder, LzwStatus};
use zune_core::bytestream::ZCursor;

use super::super::raster::{decode_jpeg, sized};
use super::super::tile::Samples;

/// How samples are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    None,
    Lzw,
    Deflate,
    PackBits,
    Zstd,
    Jpeg,
    Jpeg2000 {
        /// Luminance and two differences that the stream itself does not say are such.
        ycc: bool,
    },
}

impl Codec {
    /// # Errors
    /// The name of a compression that is not read.
    pub(super) fn of(number: u64) -> Result<Self, String> {
        Ok(match number {
            1 => Self::None,
            5 => Self::Lzw,
            8 | 32946 => Self::Deflate,
            32773 => Self::PackBits,
            50000 => Self::Zstd,
            7 => Self::Jpeg,
            33003 => Self::Jpeg2000 { ycc: true },
            33005 | 34712 => Self::Jpeg2000 { ycc: false },
            other => {
                let name = match other {
                    2..=4 => "of fax machines",
                    6 => "JPEG of before 1995",
                    9 | 10 | 34661 => "JBIG",
                    34887 => "LERC",
                    34925 => "LZMA",
                    34892 => "JPEG of DNG",
                    34933 | 34934 => "PNG",
                    22610 | 34927 | 50001 => "WebP",
                    22609 | 34926 | 50002 => "JPEG XL",
                    34934..=34936 | 22608 | 22615 => "JPEG XR",
                    32809 => "ThunderScan",
                    34676 | 34677 => "SGI LogLuv",
                    _ => return Err(format!("number {other}")),
                };
                return Err(format!("{name} (number {other})"));
            }
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "uncompressed",
            Self::Lzw => "LZW",
            Self::Deflate => "Deflate",
            Self::PackBits => "PackBits",
            Self::Zstd => "zstd",
            Self::Jpeg => "JPEG",
            Self::Jpeg2000 { .. } => "JPEG 2000",
        }
    }

    /// Whether bytes come out of it, rather than samples of a picture.
    pub(super) fn is_of_bytes(self) -> bool {
        !matches!(self, Self::Jpeg | Self::Jpeg2000 { .. })
    }
}

/// Exactly `len` bytes; more are left aside.
///
/// # Errors
/// What is wrong with the bytes, in words; fewer are.
pub(super) fn unpack(codec: Codec, stored: Vec<u8>, len: usize) -> Result<Vec<u8>, String> {
    let mut out = match codec {
        Codec::Lzw => lzw(&stored, len)?,
        Codec::Deflate => inflated(ZlibDecoder::new(stored.as_slice()), len)?,
        Codec::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(stored.as_slice());
            inflated(decoder.map_err(|e| e.to_string())?, len)?
        }
        Codec::PackBits => pack_bits(&stored, len),
        Codec::None | Codec::Jpeg | Codec::Jpeg2000 { .. } => stored,
    };
    if out.len() < len {
        return Err(format!("{} bytes instead of {len}", out.len()));
    }
    out.truncate(len);
    Ok(out)
}

fn inflated(decoder: impl Read, len: usize) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(len);
    decoder.take(len as u64).read_to_end(&mut out).map_err(|e| e.to_string())?;
    Ok(out)
}

fn lzw(stored: &[u8], len: usize) -> Result<Vec<u8>, String> {
    let mut decoder = weezl::decode::Decoder::with_tiff_size_switch(BitOrder::Msb, 8);
    let mut out = vec![0; len];
    let (mut from, mut to) = (0, 0);
    while to < len {
        let step = decoder.decode_bytes(&stored[from..], &mut out[to..]);
        from += step.consumed_in;
        to += step.consumed_out;
        match step.status {
            Ok(LzwStatus::Ok) if step.consumed_in + step.consumed_out > 0 => {}
            Ok(_) => break,
            Err(e) => return Err(e.to_string()),
        }
    }
    out.truncate(to);
    Ok(out)
}

fn pack_bits(stored: &[u8], len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len);
    let mut rest = stored;
    while out.len() < len {
        let Some((&head, after)) = rest.split_first() else { break };
        rest = after;
        match head {
            // So many bytes as they are, and one more.
            0..=127 => {
                let (run, after) = rest.split_at(rest.len().min(usize::from(head) + 1));
                out.extend_from_slice(run);
                rest = after;
            }
            128 => {}
            // One byte repeated.
            129.. => {
                let Some((&byte, after)) = rest.split_first() else { break };
                out.extend(std::iter::repeat_n(byte, 257 - usize::from(head)));
                rest = after;
            }
        }
    }
    out
}

/// A decoded piece of a picture: rows, columns, samples per pixel, and these pixel by pixel.
pub(super) struct Decoded {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) n: usize,
    pub(super) samples: Samples,
}

/// Decodes a tile in JPEG, whose tables may stand apart. `ycc`: what three components are.
pub(super) fn jpeg(tables: Option<&[u8]>, stored: &[u8], ycc: bool, most: usize) -> Result<Decoded, String> {
    let stream = whole_jpeg(tables, stored, ycc)?;
    let (height, width, n, bytes) =
        guarded(|| decode_jpeg(ZCursor::new(stream), |bytes| sized(bytes, most)))?;
    Ok(Decoded { height, width, n, samples: Samples::U8(bytes) })
}

/// One stream of what TIFF keeps apart: the tables, then the tile.
///
/// TIFF says itself which colours the components are, and decoders guess them from segments of applications. These are
/// left out, and Adobe's, which says it, put in.
fn whole_jpeg(tables: Option<&[u8]>, stored: &[u8], ycc: bool) -> Result<Vec<u8>, String> {
    const TABLES: [u8; 3] = [0xDB, 0xC4, 0xDD];
    const SCAN: u8 = 0xDA;
    let mut out = Vec::with_capacity(stored.len() + tables.map_or(0, <[u8]>::len) + 18);
    out.extend([0xFF, 0xD8]);
    if let Some(tables) = tables {
        for (marker, segment) in Segments::of(tables)? {
            if TABLES.contains(&marker) {
                out.extend([0xFF, marker]);
                out.extend(segment);
            }
        }
    }
    let mut segments = Segments::of(stored)?;
    let mut n_components = 0;
    while let Some((marker, segment)) = segments.next() {
        if let (0xC0..=0xC2, Some(n)) = (marker, segment.get(7)) {
            n_components = *n;
        }
        if marker == SCAN {
            if n_components == 3 {
                out.extend([0xFF, 0xEE, 0, 14]);
                out.extend(b"Adobe\0\x64\0\0\0\0");
                out.push(u8::from(ycc));
            }
            out.extend([0xFF, SCAN]);
            out.extend(segment);
            out.extend(segments.rest);
            return Ok(out);
        }
        // Segments of applications (E0 to EF) and comments tell nothing that counts here.
        if !matches!(marker, 0xE0..=0xEF | 0xFE) {
            out.extend([0xFF, marker]);
            out.extend(segment);
        }
    }
    Err("a JPEG without a scan".to_owned())
}

/// The segments at the beginning of a JPEG, each with its length before it.
struct Segments<'a> {
    rest: &'a [u8],
}

impl<'a> Segments<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, String> {
        let rest = bytes.strip_prefix(b"\xFF\xD8");
        rest.map(|rest| Self { rest }).ok_or_else(|| "it does not begin as a JPEG".to_owned())
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while let [0xFF, 0xFF, ..] = self.rest {
            self.rest = &self.rest[1..];
        }
        let [0xFF, marker, high, low, ..] = *self.rest else { return None };
        // The end of the picture has no length.
        if marker == 0xD9 {
            return None;
        }
        let len = usize::from(u16::from_be_bytes([high, low]));
        let segment = self.rest.get(2..2 + len.max(2))?;
        self.rest = &self.rest[2 + segment.len()..];
        Some((marker, segment))
    }
}

/// Components of a JPEG 2000 beyond these are no picture of a slide.
const MOST_COMPONENTS: usize = 64;
/// Tiles within one tile of a TIFF.
const MOST_TILES: u64 = 1 << 12;

/// Decodes a tile in JPEG 2000 of at most `most` pixels.
pub(super) fn jpeg2000(stored: &[u8], ycc: bool, most: usize) -> Result<Decoded, String> {
    let is_converted = check_jpeg2000(stored, most)?;
    let settings = DecodeSettings::default();
    guarded(|| {
        let image = Image::new(stored, &settings).map_err(|e| e.to_string())?;
        let (height, width) = (image.height() as usize, image.width() as usize);
        if height.checked_mul(width).is_none_or(|n| n > most) {
            return Err(format!("{width} x {height} pixels where fewer belong"));
        }
        let mut context = DecoderContext::default();
        let decoded = image.decode(&mut context).map_err(|e| e.to_string())?;
        let mut planes: Vec<Vec<f32>> = decoded.components().iter().map(|c| c.samples().to_vec()).collect();
        let depth =
            decoded.components().iter().map(hayro_jpeg2000::ComponentData::bit_depth).max().unwrap_or(8);
        if planes.is_empty() || planes.iter().any(|p| p.len() < height * width) || depth > 16 {
            return Err("its components are not of one size and at most 16 bits".to_owned());
        }
        if let ([y, b, r], true) = (&mut planes[..], ycc && !is_converted) {
            for ((y, b), r) in y.iter_mut().zip(b).zip(r) {
                let (luminance, blue, red) = (*y, *b - 128.0, *r - 128.0);
                *y = luminance + 1.402 * red;
                *b = luminance - 0.344_136 * blue - 0.714_136 * red;
                *r = luminance + 1.772 * blue;
            }
        }
        let n = planes.len();
        let most = ((1u32 << depth) - 1) as f32;
        let pixels =
            (0..height * width).flat_map(|i| planes.iter().map(move |p| p[i].round().clamp(0.0, most)));
        let samples = if depth <= 8 {
            Samples::U8(pixels.map(|v| v as u8).collect())
        } else {
            Samples::U16(pixels.map(|v| v as u16).collect())
        };
        Ok(Decoded { height, width, n, samples })
    })
}

/// Looks at the sizes that a stream claims before a decoder makes room for them; whether three components come out of
/// the decoder as colours whatever the file says of them: where the stream says that it transformed them, or where the
/// second and third are smaller than the first.
fn check_jpeg2000(stored: &[u8], most: usize) -> Result<bool, String> {
    const SIZES: &[u8] = b"\xFF\x4F\xFF\x51";
    let at = stored.windows(4).position(|w| w == SIZES).ok_or("it does not begin as a JPEG 2000")?;
    let field = |i: usize| -> Option<u64> {
        let bytes = stored.get(at + 8 + 4 * i..at + 12 + 4 * i)?;
        Some(u64::from(u32::from_be_bytes(bytes.try_into().ok()?)))
    };
    let fields: Option<Vec<u64>> = (0..8).map(field).collect();
    let fields = fields.ok_or("it ends within its sizes")?;
    let [right, bottom, left, top, tile_width, tile_height, ..] = fields[..] else { return Ok(false) };
    let (width, height) = (right.saturating_sub(left), bottom.saturating_sub(top));
    if width == 0 || height == 0 || width.saturating_mul(height) > most as u64 {
        return Err(format!("{width} x {height} pixels where fewer belong"));
    }
    let tiles = right.div_ceil(tile_width.max(1)).saturating_mul(bottom.div_ceil(tile_height.max(1)));
    let n = stored.get(at + 40..at + 42).map_or(0, |b| usize::from(u16::from_be_bytes([b[0], b[1]])));
    if tile_width == 0 || tile_height == 0 || tiles > MOST_TILES || n == 0 || n > MOST_COMPONENTS {
        return Err(format!("{n} components in {tiles} tiles"));
    }
    let step = |c: usize| stored.get(at + 43 + 3 * c..at + 45 + 3 * c);
    // The segments that follow the sizes, each with its length: the one of the coding has the transform in its fifth byte.
    let mut transformed = false;
    let mut rest = stored.get(at + 2..).unwrap_or_default();
    while let [0xFF, marker @ 0x51..=0x6F, high, low, ..] = *rest {
        if marker == 0x52 {
            transformed = rest.get(8).is_some_and(|t| *t == 1);
        }
        rest = rest.get(2 + usize::from(u16::from_be_bytes([high, low])).max(2)..).unwrap_or_default();
    }
    Ok(transformed || (n == 3 && step(1) == step(2) && step(0) != step(1)))
}

/// Runs a decoder of another crate, which may give up on a damaged tile.
fn guarded<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    crate::guarded::guarded(decode, || "its decoder gave up on it".to_owned())
}
