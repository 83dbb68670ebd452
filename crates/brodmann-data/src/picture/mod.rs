//! Whole slides: what colours lie in one region of a picture that may be far larger than memory.
//!
//! Where do the pixels under a spot come from? Images of tissue are read here and nowhere else; `platform` keeps the
//! small ones that belong into `uns["spatial"]`.
//!
//! # Read
//! * TIFF and BigTIFF, OME-TIFF, Aperio SVS: tile by tile (or strip by strip), at every level of a pyramid. Compressions:
//!   none, LZW, Deflate, PackBits, JPEG, zstd, JPEG 2000 (the numbers 33003, 33005, 34712).
//! * OME-Zarr and the images of SpatialData stores: chunk by chunk.
//! * PNG and JPEG: whole, up to 1 GiB decoded.
//!
//! # Colours
//! A region is always RGB of eight bits. Transparent pixels lie over white, a palette is looked up, zero is white where
//! the file says so; CMYK and Lab are refused. Samples of eight bits stay as they are. Others are scaled by a rule that
//! does not depend on the region:
//! * RGB of more bits: from zero to the largest value of the type (1 for floating-point numbers up to 1).
//! * one channel of more bits: from the 0.1 to the 99.9 percentile of its smallest level (of at most 64 tiles of it,
//!   spread evenly), drawn as grey.
//!
//! Of several channels the first is drawn, unless three are named or coloured red, green and blue; [`Slide::channels`]
//! has their names and [`Slide::open_channel`] chooses. Of a stack the middle plane is taken. [`Slide::format`] says
//! what was chosen.
//!
//! # Libraries
//! The directories of a TIFF are followed here: the crate `tiff` reads through one cursor, so that threads would wait for
//! each other, and knows no JPEG 2000. Codecs are `weezl`, `flate2`, `zstd`, `zune-jpeg` and `hayro-jpeg2000`, all but
//! zstd in Rust.
//!
//! # Contents
//! * `tile`: decoded pieces, their colours, and the scale of what is not of eight bits.
//! * `cache`: the tiles used last.
//! * `raster`: PNG, JPEG and arrays.
//! * `tiff`: directories, codecs, levels, what OME-XML and Aperio say.
//! * `zarr`: pyramids in Zarr stores.
//! * `find`: which pictures lie in the folder of an instrument.

mod cache;
mod find;
pub(crate) mod raster;
mod tiff;
mod tile;
mod zarr;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use brodmann_kernels::ParallelLoop;
use ndarray::Array3;
use rayon::prelude::*;

use crate::{Array, DataError};
use cache::Cache;
pub use find::{FoundSlide, Shows, find_slides};
use raster::{Signature, signature};
use tile::Tile;

/// Bytes of decoded tiles that a slide keeps.
const CACHE_BYTES: usize = 256 << 20;
/// A tile, strip or chunk that takes more than this decoded is refused, so that threads can each hold one.
const MAX_TILE_BYTES: usize = 512 << 20;
/// Deflate expands less than this; a tile that asks for more is damaged, unless it is small: an empty tile takes next to
/// nothing with some codecs.
const MAX_EXPANSION: usize = 1100;
const FREE_BYTES: usize = 64 << 20;

/// A picture of tissue, read by region.
///
/// Tiles are decoded when they are asked for, and the last ones kept; threads may read from one slide at the same time.
pub struct Slide {
    levels: Vec<SlideLevel>,
    source: Box<dyn Source>,
    cache: Cache,
    about: About,
}

/// One resolution of a [`Slide`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlideLevel {
    /// Pixels along x.
    pub width: usize,
    /// Pixels along y.
    pub height: usize,
    /// Pixels of full resolution along one of this level; 1 for the first.
    pub downsample: f64,
}

/// What a file says of its picture.
#[derive(Clone, Debug, Default)]
struct About {
    format: String,
    channels: Vec<String>,
    pixel_size_um: Option<f64>,
}

/// Where tiles come from.
trait Source: Send + Sync {
    /// Rows and columns of a tile; those at the far edges may have fewer.
    fn tile_shape(&self, level: usize) -> (usize, usize);
    /// Decodes the tile in this row and column of tiles.
    fn tile(&self, level: usize, row: usize, column: usize) -> Result<Tile, DataError>;
}

impl std::fmt::Debug for Slide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slide")
            .field("levels", &self.levels)
            .field("about", &self.about)
            .finish_non_exhaustive()
    }
}

/// Whether `path` begins as a picture does, or is the folder of one in Zarr.
pub fn is_picture(path: &Path) -> bool {
    if path.is_dir() { zarr::is_pyramid(path) } else { matches!(signature(path), Ok(Some(_))) }
}

impl Slide {
    /// Opens a picture: a file, a folder `x.ome.zarr` or `store.zarr/images/NAME`, or such a store as a zip archive.
    ///
    /// # Errors
    /// [`DataError::Missing`], [`DataError::Read`]; [`DataError::PictureKind`] for what is no picture or one of a kind that is not
    /// read; [`DataError::Damaged`] and [`DataError::Picture`] for files that cannot be followed.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        Self::open_channel(path, None)
    }

    /// Opens a picture at one of its channels, given by name or by its number from 0 on.
    ///
    /// # Errors
    /// As [`Slide::open`]; [`DataError::MissingKey`] naming the channels.
    pub fn open_channel(path: &Path, channel: Option<&str>) -> Result<Self, DataError> {
        if path.is_dir() {
            return zarr::open(path, channel);
        }
        match signature(path)? {
            Some(Signature::Png) => Self::in_memory(path, raster::png(path)?, "PNG", channel),
            Some(Signature::Jpeg) => Self::in_memory(path, raster::jpeg(path)?, "JPEG", channel),
            Some(Signature::Tiff) => tiff::open(path, channel),
            Some(Signature::Zip) => zarr::open(path, channel),
            None => Err(raster::no_picture(path)),
        }
    }

    fn in_memory(
        path: &Path,
        pixels: Array3<u8>,
        format: &str,
        channel: Option<&str>,
    ) -> Result<Self, DataError> {
        chosen(path, &[], channel)?;
        let mut slide = Self::from_array(pixels);
        format.clone_into(&mut slide.about.format);
        Ok(slide)
    }

    /// A slide of colours in memory, `(height, width, 3)`. A second axis of colours that is not three long gives a slide
    /// without pixels.
    pub fn from_array(pixels: Array3<u8>) -> Self {
        let (height, width, n) = pixels.dim();
        let pixels = if n == 3 { pixels } else { Array3::zeros((0, 0, 3)) };
        let (height, width) = if n == 3 { (height, width) } else { (0, 0) };
        let about = About { format: "picture in memory".to_owned(), ..About::default() };
        Self::new(vec![(width, height)], Box::new(Memory(pixels)), about)
    }

    /// A slide of a picture as `uns["spatial"][library]["images"]` has it: `(height, width)`, or with 1, 3 or 4 channels
    /// on a third axis. Bytes are taken as they are, 16 bits from 0 to 65535; floating-point numbers go from 0 to 1, or
    /// to 255 where one is larger than 1. The fourth channel is how opaque a pixel is, over white.
    ///
    /// # Errors
    /// [`DataError::Shape`], [`DataError::Kind`].
    pub fn from_image(image: &Array) -> Result<Self, DataError> {
        Ok(Self::from_array(raster::of_array(image)?))
    }

    /// `sizes`: width and height of each level, the full resolution first.
    fn new(sizes: Vec<(usize, usize)>, source: Box<dyn Source>, about: About) -> Self {
        let full = sizes.first().copied().unwrap_or_default();
        let level = |&(width, height): &(usize, usize)| SlideLevel {
            width,
            height,
            downsample: downsample(full, (width, height)),
        };
        let levels = sizes.iter().map(level).collect();
        Self { levels, source, cache: Cache::new(CACHE_BYTES), about }
    }

    /// Pixels along x at full resolution.
    pub fn width(&self) -> usize {
        self.levels.first().map_or(0, |l| l.width)
    }

    /// Pixels along y at full resolution.
    pub fn height(&self) -> usize {
        self.levels.first().map_or(0, |l| l.height)
    }

    /// The resolutions, finest first.
    pub fn levels(&self) -> &[SlideLevel] {
        &self.levels
    }

    /// The side of a pixel of full resolution in micrometres, where the file says it and it can be believed.
    pub fn pixel_size_um(&self) -> Option<f64> {
        self.about.pixel_size_um
    }

    /// What the picture is, in a few words, such as `OME-TIFF, 5 levels, JPEG`.
    pub fn format(&self) -> &str {
        &self.about.format
    }

    /// Names of the channels of a fluorescence picture; none for colours.
    pub fn channels(&self) -> &[String] {
        &self.about.channels
    }

    /// Red, green and blue of a region, `(rows.len(), columns.len(), 3)`; both ranges are of the level's own pixels.
    ///
    /// # Errors
    /// [`DataError::Shape`] for what lies beyond the level; [`DataError::Damaged`] for a tile that cannot be decoded.
    pub fn region(
        &self,
        level: usize,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> Result<Array3<u8>, DataError> {
        let beyond = |expected: String| DataError::Shape {
            element: format!("the region of rows {rows:?} and columns {columns:?} in level {level}"),
            found: vec![rows.len(), columns.len(), 3],
            expected,
        };
        let Some(&SlideLevel { width, height, .. }) = self.levels.get(level) else {
            return Err(beyond(format!("a level below {}", self.levels.len())));
        };
        if rows.start > rows.end || columns.start > columns.end || rows.end > height || columns.end > width {
            return Err(beyond(format!("rows within 0..{height} and columns within 0..{width}")));
        }
        let row_len = columns.len() * 3;
        let mut out: Vec<u8> = Vec::new();
        let len = rows.len().checked_mul(row_len).ok_or_else(|| beyond("a smaller region".to_owned()))?;
        out.try_reserve_exact(len)
            .map_err(|_| beyond("a region that fits this machine's memory".to_owned()))?;
        out.resize(len, 0);
        if len > 0 {
            let (tile_height, tile_width) = self.source.tile_shape(level);
            let across: Vec<usize> = (columns.start / tile_width..=(columns.end - 1) / tile_width).collect();
            for row in rows.start / tile_height..=(rows.end - 1) / tile_height {
                // One row of tiles is held at a time.
                let tiles: Vec<Result<Arc<Tile>, DataError>> =
                    across.par_iter().map(|&column| self.tile(level, row, column)).collect_vec();
                for (&column, tile) in across.iter().zip(tiles) {
                    let at = (row * tile_height, column * tile_width);
                    tile?.copy_into(at, &mut out, &rows, &columns);
                }
            }
        }
        let shape = (rows.len(), columns.len(), 3);
        Array3::from_shape_vec(shape, out).map_err(|e| beyond(e.to_string()))
    }

    fn tile(&self, level: usize, row: usize, column: usize) -> Result<Arc<Tile>, DataError> {
        let key = (level, row, column);
        if let Some(tile) = self.cache.get(key) {
            return Ok(tile);
        }
        // Decoded without the lock: two threads may do the same once, none waits for another.
        let tile = Arc::new(self.source.tile(level, row, column)?);
        self.cache.insert(key, Arc::clone(&tile));
        Ok(tile)
    }
}

/// How much coarser a level is: the whole number whose division gives its size, where there is one, else the mean of
/// both axes.
fn downsample(full: (usize, usize), level: (usize, usize)) -> f64 {
    if level.0 == 0 || level.1 == 0 {
        return 1.0;
    }
    let mean = f64::midpoint(full.0 as f64 / level.0 as f64, full.1 as f64 / level.1 as f64);
    let whole = (mean.round() as usize).max(1);
    let divides = |full: usize, part: usize| full / whole == part || full.div_ceil(whole) == part;
    if divides(full.0, level.0) && divides(full.1, level.1) { whole as f64 } else { mean }
}

/// Pixels that are there already.
struct Memory(Array3<u8>);

/// The side of the pieces a picture in memory is copied by.
const MEMORY_TILE: usize = 1024;

impl Source for Memory {
    fn tile_shape(&self, _: usize) -> (usize, usize) {
        (MEMORY_TILE, MEMORY_TILE)
    }

    fn tile(&self, _: usize, row: usize, column: usize) -> Result<Tile, DataError> {
        let (height, width, _) = self.0.dim();
        let part = |i: usize, len: usize| (i * MEMORY_TILE).min(len)..((i + 1) * MEMORY_TILE).min(len);
        let (rows, columns) = (part(row, height), part(column, width));
        let mut rgb = Vec::with_capacity(rows.len() * columns.len() * 3);
        for y in rows.clone() {
            for x in columns.clone() {
                rgb.extend([self.0[(y, x, 0)], self.0[(y, x, 1)], self.0[(y, x, 2)]]);
            }
        }
        Ok(Tile { height: rows.len(), width: columns.len(), rgb })
    }
}

/// The number of the channel asked for by name or number.
fn chosen(path: &Path, channels: &[String], asked: Option<&str>) -> Result<Option<usize>, DataError> {
    let Some(asked) = asked else { return Ok(None) };
    let by_number = || asked.parse().ok().filter(|i: &usize| *i < channels.len());
    channels.iter().position(|name| name == asked).or_else(by_number).map(Some).ok_or_else(|| {
        DataError::MissingKey {
            container: "channels".to_owned(),
            key: asked.to_owned(),
            place: path.display().to_string(),
            existing: channels.to_vec(),
            named_by: None,
            otherwise: Vec::new(),
        }
    })
}

/// Which channels are drawn where none was asked for: three that are red, green and blue, or the first.
fn drawn(names: &[String], colours: &[Option<[u8; 3]>]) -> Vec<usize> {
    let pure = [[255, 0, 0], [0, 255, 0], [0, 0, 255]];
    let named = |words: [&str; 3]| names.iter().map(|n| n.trim().to_lowercase()).eq(words);
    let coloured = colours.len() == 3 && colours.iter().zip(pure).all(|(c, p)| *c == Some(p));
    if named(["red", "green", "blue"]) || named(["r", "g", "b"]) || coloured {
        vec![0, 1, 2]
    } else {
        vec![0]
    }
}
