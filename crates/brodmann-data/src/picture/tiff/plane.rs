//! One directory as a picture: where its tiles lie and what their samples are.

use super::super::tile::{Alpha, Colours, Samples};
use super::super::{FREE_BYTES, MAX_EXPANSION, MAX_TILE_BYTES};
use super::codec::{self, Codec, Decoded};
use super::file::{Directory, TiffFile};
use crate::DataError;

mod tags {
    pub(super) const WIDTH: u16 = 256;
    pub(super) const HEIGHT: u16 = 257;
    pub(super) const BITS: u16 = 258;
    pub(super) const COMPRESSION: u16 = 259;
    pub(super) const PHOTOMETRIC: u16 = 262;
    pub(super) const STRIP_OFFSETS: u16 = 273;
    pub(super) const SAMPLES: u16 = 277;
    pub(super) const ROWS_PER_STRIP: u16 = 278;
    pub(super) const STRIP_COUNTS: u16 = 279;
    pub(super) const PLANAR: u16 = 284;
    pub(super) const PREDICTOR: u16 = 317;
    pub(super) const COLOUR_MAP: u16 = 320;
    pub(super) const TILE_WIDTH: u16 = 322;
    pub(super) const TILE_HEIGHT: u16 = 323;
    pub(super) const TILE_OFFSETS: u16 = 324;
    pub(super) const TILE_COUNTS: u16 = 325;
    pub(super) const EXTRA: u16 = 338;
    pub(super) const SAMPLE_FORMAT: u16 = 339;
    pub(super) const JPEG_TABLES: u16 = 347;
}

/// The side of the pieces that rows stored as they are, are read by.
const PLAIN_TILE: usize = 256;
/// Pixels of a side; more is no picture.
const MOST_SIDE: u64 = 1 << 31;

/// How one number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    U8,
    U16,
    U32,
    I16,
    I32,
    F32,
    F64,
}

impl Number {
    fn width(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

/// Size, structure and samples that all levels of a picture have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    number: Number,
    pub(super) n_samples: usize,
    photometric: u64,
    /// What a sample beyond the colours is, if it is how opaque the pixel is.
    alpha: Option<Alpha>,
}

/// A picture of one directory.
pub(super) struct Plane {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) tile_width: usize,
    pub(super) tile_height: usize,
    pub(super) codec: Codec,
    pub(super) tiled: bool,
    pub(super) kind: Kind,
    planar: bool,
    predictor: bool,
    offsets: Vec<u64>,
    counts: Vec<u64>,
    /// Rows of a strip that is stored as it is: any part of it can be read.
    plain_rows: Option<usize>,
    tables: Option<Vec<u8>>,
    palette: Vec<[u8; 3]>,
}

/// The size alone; 0 where a directory has none.
pub(super) fn size(file: &TiffFile, directory: &Directory) -> Result<(usize, usize), DataError> {
    let side = |tag| -> Result<usize, DataError> {
        Ok(file.first(directory, tag)?.filter(|n| *n <= MOST_SIDE).unwrap_or(0) as usize)
    };
    Ok((side(tags::WIDTH)?, side(tags::HEIGHT)?))
}

/// Whether a directory's picture is in tiles.
pub(super) fn is_tiled(file: &TiffFile, directory: &Directory) -> Result<bool, DataError> {
    Ok(file.first(directory, tags::TILE_WIDTH)?.is_some())
}

impl Plane {
    /// # Errors
    /// [`DataError::Damaged`] where tags are missing or contradict one another or the file's size;
    /// [`DataError::PictureKind`] for pictures of a kind that is not read.
    pub(super) fn new(file: &TiffFile, directory: &Directory) -> Result<Self, DataError> {
        let first = |tag, otherwise: u64| file.first(directory, tag).map(|v| v.unwrap_or(otherwise));
        let unread = |found: String, expected: &str| DataError::PictureKind {
            path: file.path().to_path_buf(),
            found,
            expected: expected.to_owned(),
        };
        let (width, height) = (first(tags::WIDTH, 0)?, first(tags::HEIGHT, 0)?);
        if width == 0 || height == 0 || width > MOST_SIDE || height > MOST_SIDE {
            return Err(file.damaged(format!("a picture of {width} x {height} pixels")));
        }
        let (width, height) = (width as usize, height as usize);
        let codec = Codec::of(first(tags::COMPRESSION, 1)?).map_err(|name| {
            unread(
                format!("a picture in the compression {name}"),
                "no compression, LZW, Deflate, PackBits, zstd, JPEG or JPEG 2000",
            )
        })?;
        let kind = kind(file, directory, codec)?;
        let Kind { number, n_samples, .. } = kind;

        let tiled = is_tiled(file, directory)?;
        let (mut tile_width, mut tile_height) = if tiled {
            (first(tags::TILE_WIDTH, 0)?, first(tags::TILE_HEIGHT, 0)?)
        } else {
            (width as u64, first(tags::ROWS_PER_STRIP, height as u64)?.min(height as u64))
        };
        if tile_width == 0 || tile_height == 0 || tile_width > MOST_SIDE || tile_height > MOST_SIDE {
            return Err(file.damaged(format!("tiles of {tile_width} x {tile_height} pixels")));
        }
        let planar = n_samples > 1 && first(tags::PLANAR, 1)? == 2;
        let mut plain_rows = None;
        if !tiled && codec == Codec::None {
            plain_rows = Some(tile_height as usize);
            (tile_width, tile_height) = (PLAIN_TILE as u64, PLAIN_TILE as u64);
        }
        let per_tile = if planar { 1 } else { n_samples };
        let tile_bytes = tile_width
            .checked_mul(tile_height)
            .and_then(|n| n.checked_mul((per_tile * number.width()) as u64))
            .and_then(|n| usize::try_from(n).ok());
        if tile_bytes.is_none_or(|n| n > MAX_TILE_BYTES) {
            let what = if tiled { "tiles" } else { "strips" };
            return Err(unread(
                format!("{what} of {tile_width} x {tile_height} pixels"),
                &format!("tiles that take at most {} MiB in memory", MAX_TILE_BYTES >> 20),
            ));
        }
        let (tile_width, tile_height) = (tile_width as usize, tile_height as usize);

        let (at, lengths) = if tiled {
            (tags::TILE_OFFSETS, tags::TILE_COUNTS)
        } else {
            (tags::STRIP_OFFSETS, tags::STRIP_COUNTS)
        };
        let (offsets, mut counts) = (file.numbers(directory, at)?, file.numbers(directory, lengths)?);
        let stored_rows = plain_rows.unwrap_or(tile_height);
        let across = if plain_rows.is_some() { 1 } else { width.div_ceil(tile_width) };
        let wanted = across
            .checked_mul(height.div_ceil(stored_rows))
            .and_then(|n| n.checked_mul(if planar { n_samples } else { 1 }));
        let what = if tiled { "tiles" } else { "strips" };
        // Old writers of one strip leave its length out.
        if counts.is_empty() && offsets.len() == 1 && !tiled {
            counts.push(file.len().saturating_sub(offsets[0]));
        }
        let enough = wanted.is_some_and(|n| offsets.len() >= n && counts.len() >= n);
        if !enough {
            return Err(file.damaged(format!(
                "it lists {} {what} where {width} x {height} pixels have {}",
                offsets.len().min(counts.len()),
                wanted.map_or_else(|| "more than can be".to_owned(), |n| n.to_string()),
            )));
        }
        let predictor = match first(tags::PREDICTOR, 1)? {
            _ if codec == Codec::None || !codec.is_of_bytes() => false,
            1 => false,
            2 if matches!(number, Number::U8 | Number::U16 | Number::U32 | Number::I16 | Number::I32) => true,
            other => {
                return Err(unread(
                    format!("a picture with the predictor {other}"),
                    "none or 2 (differences of whole numbers)",
                ));
            }
        };
        let palette = if kind.photometric == 3 { palette(file, directory)? } else { Vec::new() };
        let tables = if codec == Codec::Jpeg { file.raw(directory, tags::JPEG_TABLES)? } else { None };
        Ok(Self {
            width,
            height,
            tile_width,
            tile_height,
            codec,
            tiled,
            kind,
            planar,
            predictor,
            offsets,
            counts,
            plain_rows,
            tables,
            palette,
        })
    }

    pub(super) fn palette(&self) -> &[[u8; 3]] {
        &self.palette
    }

    /// Whether samples are bytes.
    pub(super) fn is_of_bytes(&self) -> bool {
        self.kind.number == Number::U8
    }

    /// The largest value of the type; `None` for floating-point numbers.
    pub(super) fn most(&self) -> Option<f32> {
        match self.kind.number {
            Number::U8 => Some(255.0),
            Number::U16 => Some(65535.0),
            Number::I16 => Some(32767.0),
            Number::U32 => Some(u32::MAX as f32),
            Number::I32 => Some(i32::MAX as f32),
            Number::F32 | Number::F64 => None,
        }
    }

    /// Bits of a sample and what they are.
    pub(super) fn depth(&self) -> String {
        let floats = matches!(self.kind.number, Number::F32 | Number::F64);
        format!("{} bits{}", 8 * self.kind.number.width(), if floats { " (floating-point)" } else { "" })
    }

    /// What the samples of a pixel are together; `None` where each is a channel of its own.
    pub(super) fn colours(&self) -> Option<Colours> {
        let Kind { n_samples, photometric, alpha, .. } = self.kind;
        Some(match (photometric, n_samples, alpha) {
            (0, 1, _) => Colours::WhiteIsZero,
            (1, 1, _) => Colours::Grey,
            (1, 2, Some(alpha)) => Colours::GreyAlpha(alpha),
            (3, ..) => Colours::Palette,
            (2 | 6, 4.., Some(alpha)) => Colours::Rgba(alpha),
            (2 | 6, 3.., _) => Colours::Rgb,
            _ => return None,
        })
    }

    /// Rows and columns of the tile in this row and column of tiles, without what lies beyond the picture.
    pub(super) fn extent(&self, row: usize, column: usize) -> (usize, usize) {
        let left = |len: usize, i: usize, side: usize| len.saturating_sub(i.saturating_mul(side)).min(side);
        (left(self.height, row, self.tile_height), left(self.width, column, self.tile_width))
    }

    /// The samples `picked` of each pixel of a tile; `None` for one that is not stored.
    ///
    /// # Errors
    /// [`DataError::Damaged`] naming the tile.
    pub(super) fn tile(
        &self,
        file: &TiffFile,
        row: usize,
        column: usize,
        picked: &[usize],
    ) -> Result<Option<Samples>, DataError> {
        let what = |e: String| {
            let what = if self.tiled { "tile" } else { "strip" };
            file.damaged(format!("the {what} in row {row} and column {column}: {e}"))
        };
        if !self.planar {
            let Some(decoded) = self.decoded(file, row, column, 0)? else { return Ok(None) };
            return self.cut(decoded, row, column, picked).map(Some).map_err(what);
        }
        let mut planes = Vec::with_capacity(picked.len());
        for &sample in picked {
            let Some(decoded) = self.decoded(file, row, column, sample)? else { return Ok(None) };
            planes.push(self.cut(decoded, row, column, &[0]).map_err(what)?);
        }
        Samples::interleaved(planes).map(Some).ok_or_else(|| what("planes of different sizes".to_owned()))
    }

    /// A tile as it is stored, with what lies beyond the picture.
    fn decoded(
        &self,
        file: &TiffFile,
        row: usize,
        column: usize,
        plane: usize,
    ) -> Result<Option<Decoded>, DataError> {
        let (rows, columns) = self.extent(row, column);
        let n = if self.planar { 1 } else { self.kind.n_samples };
        let width = self.kind.number.width();
        if let Some(strip_rows) = self.plain_rows {
            let row_bytes = self.width * n * width;
            let (from, len) = (column * self.tile_width * n * width, columns * n * width);
            let per_plane = self.height.div_ceil(strip_rows);
            let mut bytes = Vec::with_capacity(rows * len);
            for y in row * self.tile_height..row * self.tile_height + rows {
                let strip = plane * per_plane + y / strip_rows;
                let (offset, count) = self.place(file, strip)?;
                let start = (y % strip_rows) as u64 * row_bytes as u64 + from as u64;
                if start + len as u64 > count {
                    return Err(
                        file.damaged(format!("the strip {strip} ends before its row {}", y % strip_rows))
                    );
                }
                bytes.extend(file.bytes(offset.saturating_add(start), len as u64)?);
            }
            let samples = numbers(self.kind.number, bytes, file.big_endian());
            return Ok(Some(Decoded { height: rows, width: columns, n, samples }));
        }
        let per_plane = self.height.div_ceil(self.tile_height) * self.width.div_ceil(self.tile_width);
        let index = plane * per_plane + row * self.width.div_ceil(self.tile_width) + column;
        let (offset, count) = self.place(file, index)?;
        if count == 0 {
            return Ok(None);
        }
        let damaged = |e: String| {
            let what = if self.tiled { "tile" } else { "strip" };
            file.damaged(format!("the {what} {index}: {e}"))
        };
        // The last strip has no more rows than the picture.
        let height = if self.tiled { self.tile_height } else { rows };
        let len = height * self.tile_width * n * width;
        // A length that no compression needs is a claim.
        if count > 2 * len as u64 + (1 << 20) {
            return Err(damaged(format!("{count} bytes for {len}")));
        }
        let stored = file.bytes(offset, count)?;
        if len > stored.len().saturating_mul(MAX_EXPANSION).saturating_add(FREE_BYTES) {
            return Err(damaged(format!("{} bytes for {len}", stored.len())));
        }
        let pixels = self.tile_height * self.tile_width;
        let decoded = match self.codec {
            Codec::Jpeg => {
                // A stream may be padded to whole blocks.
                let most = (self.tile_height + 64) * (self.tile_width + 64) * 3;
                codec::jpeg(self.tables.as_deref(), &stored, self.kind.photometric == 6, most)
            }
            Codec::Jpeg2000 { ycc } => codec::jpeg2000(&stored, ycc, pixels),
            bytes => codec::unpack(bytes, stored, len).map(|bytes| {
                let bytes = if self.predictor {
                    undo_differences(bytes, self.tile_width * n * width, n, width, file.big_endian())
                } else {
                    bytes
                };
                let samples = numbers(self.kind.number, bytes, file.big_endian());
                Decoded { height, width: self.tile_width, n, samples }
            }),
        };
        decoded.map(Some).map_err(damaged)
    }

    fn place(&self, file: &TiffFile, index: usize) -> Result<(u64, u64), DataError> {
        let place = self.offsets.get(index).zip(self.counts.get(index));
        let (offset, count) = place.ok_or_else(|| file.damaged(format!("it has no tile {index}")))?;
        Ok((*offset, *count))
    }

    /// The part of a tile inside the picture, and the samples asked for.
    fn cut(&self, decoded: Decoded, row: usize, column: usize, picked: &[usize]) -> Result<Samples, String> {
        let (rows, columns) = self.extent(row, column);
        let Decoded { height, width, n, samples } = decoded;
        if height < rows || width < columns || samples.len() < height * width * n {
            return Err(format!("{width} x {height} pixels where {columns} x {rows} belong"));
        }
        if picked.iter().any(|p| *p >= n) {
            return Err(format!("{n} samples per pixel where {} belong", self.kind.n_samples));
        }
        if (height, width) == (rows, columns) && picked.iter().copied().eq(0..n) {
            return Ok(samples);
        }
        fn taken<T: Copy>(
            v: &[T],
            (rows, columns): (usize, usize),
            width: usize,
            n: usize,
            picked: &[usize],
        ) -> Vec<T> {
            let mut out = Vec::with_capacity(rows * columns * picked.len());
            for line in v.chunks_exact(width * n).take(rows) {
                for pixel in line.chunks_exact(n).take(columns) {
                    out.extend(picked.iter().map(|p| pixel[*p]));
                }
            }
            out
        }
        let extent = (rows, columns);
        Ok(match samples {
            Samples::U8(v) => Samples::U8(taken(&v, extent, width, n, picked)),
            Samples::U16(v) => Samples::U16(taken(&v, extent, width, n, picked)),
            Samples::F32(v) => Samples::F32(taken(&v, extent, width, n, picked)),
        })
    }
}

fn kind(file: &TiffFile, directory: &Directory, codec: Codec) -> Result<Kind, DataError> {
    const EXPECTED: &str = "grey, RGB or a palette, of 8, 16 or 32 bits per sample";
    let unread = |found: String| DataError::PictureKind {
        path: file.path().to_path_buf(),
        found,
        expected: EXPECTED.to_owned(),
    };
    let n_samples = file.first(directory, tags::SAMPLES)?.unwrap_or(1);
    // A picture of more has no room for its tiles either.
    if !(1..=1 << 12).contains(&n_samples) {
        return Err(file.damaged(format!("{n_samples} samples per pixel")));
    }
    let n_samples = n_samples as usize;
    let mut bits = file.numbers(directory, tags::BITS)?;
    bits.dedup();
    let format = file.first(directory, tags::SAMPLE_FORMAT)?.unwrap_or(1);
    let number = match (bits.as_slice(), format) {
        ([8], 1 | 4) => Number::U8,
        ([16], 1 | 4) => Number::U16,
        ([32], 1 | 4) => Number::U32,
        ([16], 2) => Number::I16,
        ([32], 2) => Number::I32,
        ([32], 3) => Number::F32,
        ([64], 3) => Number::F64,
        ([], _) => return Err(unread("a picture of one bit per sample".to_owned())),
        (bits, _) => {
            let bits: Vec<String> = bits.iter().take(4).map(u64::to_string).collect();
            let what = if format == 3 { " as floating-point numbers" } else { "" };
            return Err(unread(format!("a picture of {} bits per sample{what}", bits.join(", "))));
        }
    };
    let otherwise = if n_samples >= 3 { 2 } else { 1 };
    let photometric = file.first(directory, tags::PHOTOMETRIC)?.unwrap_or(otherwise);
    let colours = match photometric {
        0 | 1 | 3 => 1,
        2 => 3,
        6 if matches!(codec, Codec::Jpeg | Codec::Jpeg2000 { .. }) => 3,
        6 => return Err(unread("a picture in YCbCr that is not in JPEG".to_owned())),
        5 => return Err(unread("a picture in CMYK, the colours of print".to_owned())),
        4 => return Err(unread("a mask of transparency".to_owned())),
        8..=10 => return Err(unread("a picture in CIE L*a*b*".to_owned())),
        32803 => return Err(unread("the raw data of a camera".to_owned())),
        other => return Err(unread(format!("a picture in the colours number {other}"))),
    };
    if n_samples < colours {
        return Err(file.damaged(format!("{n_samples} samples per pixel of {colours} colours")));
    }
    if photometric == 3 && number != Number::U8 {
        return Err(unread("a palette of more than 256 colours".to_owned()));
    }
    if codec == Codec::Jpeg && number != Number::U8 {
        return Err(unread("a picture in JPEG of more than 8 bits".to_owned()));
    }
    if matches!(codec, Codec::Jpeg2000 { .. }) && !matches!(number, Number::U8 | Number::U16) {
        return Err(unread("a picture in JPEG 2000 of more than 16 bits, or signed".to_owned()));
    }
    let extra = file.numbers(directory, tags::EXTRA)?;
    let alpha = match extra.first() {
        Some(1) => Some(Alpha::Multiplied),
        Some(2) => Some(Alpha::Apart),
        _ => None,
    };
    let alpha = alpha.filter(|_| n_samples == colours + 1);
    Ok(Kind { number, n_samples, photometric, alpha })
}

fn palette(file: &TiffFile, directory: &Directory) -> Result<Vec<[u8; 3]>, DataError> {
    let colours = file.numbers(directory, tags::COLOUR_MAP)?;
    let n = colours.len() / 3;
    if n == 0 {
        return Err(file.damaged("a palette without colours"));
    }
    // Of sixteen bits, all reds first.
    let byte = |i: usize| (colours[i] >> 8).min(255) as u8;
    Ok((0..n).map(|i| [byte(i), byte(n + i), byte(2 * n + i)]).collect())
}

/// Sums up rows of differences from the sample of the same colour on the left.
fn undo_differences(
    mut bytes: Vec<u8>,
    row_bytes: usize,
    n: usize,
    width: usize,
    big_endian: bool,
) -> Vec<u8> {
    macro_rules! sum {
        ($t:ty, $row:expr) => {
            for i in n..$row.len() / width {
                let (before, here) = $row.split_at_mut(i * width);
                let read = |b: &[u8]| {
                    let b = b.try_into().unwrap_or_default();
                    if big_endian { <$t>::from_be_bytes(b) } else { <$t>::from_le_bytes(b) }
                };
                let left = read(&before[(i - n) * width..(i - n + 1) * width]);
                let value = left.wrapping_add(read(&here[..width]));
                let stored = if big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
                here[..width].copy_from_slice(&stored);
            }
        };
    }
    for row in bytes.chunks_exact_mut(row_bytes.max(1)) {
        match width {
            1 => {
                for i in n..row.len() {
                    row[i] = row[i].wrapping_add(row[i - n]);
                }
            }
            2 => sum!(u16, row),
            4 => sum!(u32, row),
            _ => {}
        }
    }
    bytes
}

/// Numbers of their bytes. Signed ones below zero are zero: nothing is darker than black.
fn numbers(number: Number, bytes: Vec<u8>, big_endian: bool) -> Samples {
    macro_rules! each {
        ($t:ty) => {
            bytes.chunks_exact(size_of::<$t>()).map(|b| {
                let b = b.try_into().unwrap_or_default();
                if big_endian { <$t>::from_be_bytes(b) } else { <$t>::from_le_bytes(b) }
            })
        };
    }
    match number {
        Number::U8 => Samples::U8(bytes),
        Number::U16 => Samples::U16(each!(u16).collect()),
        Number::I16 => Samples::U16(each!(i16).map(|v| v.max(0) as u16).collect()),
        Number::U32 => Samples::F32(each!(u32).map(|v| v as f32).collect()),
        Number::I32 => Samples::F32(each!(i32).map(|v| v as f32).collect()),
        Number::F32 => Samples::F32(each!(f32).collect()),
        Number::F64 => Samples::F32(each!(f64).map(|v| v as f32).collect()),
    }
}
