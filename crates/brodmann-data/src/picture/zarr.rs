//! Pyramids in Zarr stores: OME-Zarr (<https://ngff.openmicroscopy.org/latest/>) and the images of SpatialData.
//!
//! A tile is a chunk, of the channels that are drawn.

use std::path::Path;

use serde_json::Value as Json;

use super::tiff::micrometres;
use super::tile::{Alpha, Colours, Samples, Tile, Window, rgb};
use super::{About, MAX_TILE_BYTES, Slide, Source, chosen, drawn};
use crate::DataError;
use crate::spatialdata::{Scale, multiscales, scales};
use crate::store::{Element, NodeKind, Store};
use crate::zarr::{Blocks, ZarrReader, is_store_folder};

/// What can be opened.
pub(super) const KNOWN: &str = "a PNG, JPEG, TIFF, OME-TIFF or Aperio SVS file, or an OME-Zarr folder";
/// Where a converted file has its first picture.
const FIRST: &str = "0";
/// The group of the pictures of a SpatialData store.
const IMAGES: &str = "images";
/// Chunks of the coarsest level that a scale of brightness is taken from, and values in all.
const SAMPLED_TILES: usize = 64;
const SAMPLED_VALUES: usize = 1 << 20;

struct ZarrSlide {
    store: ZarrReader,
    levels: Vec<Level>,
    channels: Vec<usize>,
    colours: Colours,
    window: Window,
}

struct Level {
    blocks: Blocks,
    element: Element,
    shape: Vec<usize>,
    /// Which axes are x, y and channels; of the others the middle is taken.
    x: usize,
    y: usize,
    channel: Option<usize>,
}

/// Whether a folder is a picture, or has one in it.
pub(super) fn is_pyramid(path: &Path) -> bool {
    is_store_folder(path) && ZarrReader::open(path).and_then(|store| place(&store)).is_ok()
}

/// The group of the picture below the root of a store.
fn place(store: &ZarrReader) -> Result<String, DataError> {
    let has = |path: &str| -> Result<bool, DataError> {
        Ok(store.node(path)? == Some(NodeKind::Group) && multiscales(&store.attributes(path)?).is_some())
    };
    for path in ["", FIRST] {
        if has(path)? {
            return Ok(path.to_owned());
        }
    }
    let mut images = Vec::new();
    for name in if store.node(IMAGES)?.is_some() { store.children(IMAGES)? } else { Vec::new() } {
        let path = format!("{IMAGES}/{name}");
        if has(&path)? {
            images.push(path);
        }
    }
    let found = match &images[..] {
        [only] => return Ok(only.clone()),
        [] => "no picture (no multiscales are described)".to_owned(),
        several => format!("the pictures {}", several.join(", ")),
    };
    let expected = if images.is_empty() { KNOWN } else { "the path of one of them" };
    Err(DataError::PictureKind { path: store.path().to_path_buf(), found, expected: expected.to_owned() })
}

pub(super) fn open(path: &Path, channel: Option<&str>) -> Result<Slide, DataError> {
    let store = ZarrReader::open(path).map_err(|e| match e {
        DataError::UnknownFormat { path, .. } => {
            DataError::PictureKind { path, found: "no picture".to_owned(), expected: KNOWN.to_owned() }
        }
        other => other,
    })?;
    let group = place(&store)?;
    let attributes = store.attributes(&group)?;
    let scales = scales(&store, &group)?;
    let Some(finest) = scales.first() else {
        return Err(DataError::damaged(path, "a picture without datasets"));
    };
    let mut levels: Vec<Level> = Vec::new();
    for scale in &scales {
        let level = level(&store, scale)?;
        // A copy that is not smaller is no level.
        let size = |l: &Level| (l.shape[l.x], l.shape[l.y]);
        let fits = levels.last().is_none_or(|last| {
            let (before, now) = (size(last), size(&level));
            now.0 <= before.0 && now.1 <= before.1 && now != before
        });
        let alike = levels
            .first()
            .is_none_or(|first| first.element == level.element && first.n_channels() == level.n_channels());
        if fits && alike {
            levels.push(level);
        }
    }
    let n_channels = levels[0].n_channels();
    let (names, colours) = described_channels(&attributes, n_channels);
    let has_names = names.iter().enumerate().any(|(i, name)| *name != i.to_string());
    let asked = chosen(path, &names, channel)?;
    let (taken, colours) = match (asked, n_channels, has_names) {
        (Some(one), ..) => (vec![one], Colours::Grey),
        (None, 3, false) => (vec![0, 1, 2], Colours::Rgb),
        (None, 4, false) if levels[0].element == Element::U8 => {
            (vec![0, 1, 2, 3], Colours::Rgba(Alpha::Apart))
        }
        (None, ..) => {
            let taken = drawn(&names, &colours);
            let colours = if taken.len() == 3 { Colours::Rgb } else { Colours::Grey };
            (taken, colours)
        }
    };
    let plural = if levels.len() == 1 { "level" } else { "levels" };
    let mut format = format!("OME-Zarr, {} {plural}", levels.len());
    if taken.len() == 1 && n_channels > 1 {
        format = format!("{format}, channel {:?} of {n_channels}", names[taken[0]]);
    }
    let element = levels[0].element.clone();
    let mut slide = ZarrSlide { store, levels, channels: taken, colours, window: Window::BYTES };
    if element != Element::U8 {
        slide.window = match (&element, slide.colours) {
            (Element::Bool, _) => Window { low: 0.0, high: 1.0 },
            (Element::F16 | Element::F32 | Element::F64, Colours::Rgb | Colours::Rgba(_)) => {
                Window::of_floats(&slide.sampled()?)
            }
            (Element::U16, Colours::Rgb | Colours::Rgba(_)) => Window { low: 0.0, high: 65535.0 },
            _ => Window::percentiles(slide.sampled()?),
        };
        format = format!("{format}, {element:?} drawn from {} to {}", slide.window.low, slide.window.high);
    }
    let sizes = slide.levels.iter().map(|l| (l.shape[l.x], l.shape[l.y])).collect();
    let channels = if slide.colours == Colours::Grey && n_channels > 1 { names } else { Vec::new() };
    let about = About { format, channels, pixel_size_um: pixel_size(&attributes, finest) };
    Ok(Slide::new(sizes, Box::new(slide), about))
}

fn level(store: &ZarrReader, scale: &Scale) -> Result<Level, DataError> {
    let element = store.info(&scale.path)?.element;
    let axis = |name: &str| scale.axes.iter().position(|a| a == name);
    let rank = scale.shape.len();
    let (Some(x), Some(y)) = (axis("x"), axis("y")) else {
        return Err(DataError::Shape {
            element: scale.path.clone(),
            found: scale.shape.clone(),
            expected: "a picture with the axes x and y".to_owned(),
        });
    };
    let Some(blocks) = store.blocks(&scale.path)? else {
        return Err(DataError::Encoding { element: scale.path.clone(), encoding: format!("{element:?}") });
    };
    if scale.axes.len() != rank || scale.shape.contains(&0) {
        return Err(DataError::Shape {
            element: scale.path.clone(),
            found: scale.shape.clone(),
            expected: format!("the axes {}, none of them empty", scale.axes.join(", ")),
        });
    }
    let bytes = blocks.chunk().iter().fold(8usize, |n, c| n.saturating_mul(*c));
    if bytes > MAX_TILE_BYTES {
        return Err(DataError::PictureKind {
            path: store.path().to_path_buf(),
            found: format!("chunks of {:?} pixels", blocks.chunk()),
            expected: format!("chunks that take at most {} MiB in memory", MAX_TILE_BYTES >> 20),
        });
    }
    let channel = axis("c");
    Ok(Level { blocks, element, shape: scale.shape.clone(), x, y, channel })
}

/// Names and colours of channels; the number where one has no name.
fn described_channels(
    attributes: &serde_json::Map<String, Json>,
    n: usize,
) -> (Vec<String>, Vec<Option<[u8; 3]>>) {
    let omero = attributes.get("ome").and_then(|o| o.get("omero")).or_else(|| attributes.get("omero"));
    let list = omero.and_then(|o| o.get("channels")).and_then(Json::as_array);
    // The number of channels is a claim of the metadata; what is described is there.
    let n = n.min(list.map_or(4, |l| l.len().max(4)));
    let described = |i: usize| list.and_then(|l| l.get(i));
    let name = |i: usize| match described(i).and_then(|c| c.get("label")) {
        Some(Json::String(name)) if !name.is_empty() => name.clone(),
        _ => i.to_string(),
    };
    let colour = |i: usize| {
        let text = described(i)?.get("color")?.as_str()?;
        let code = u32::from_str_radix(text.trim_start_matches('#'), 16).ok().filter(|_| text.len() >= 6)?;
        let [_, r, g, b] = code.to_be_bytes();
        Some([r, g, b])
    };
    ((0..n).map(name).collect(), (0..n).map(colour).collect())
}

/// Micrometres per pixel, where the axes are of a unit of length.
fn pixel_size(attributes: &serde_json::Map<String, Json>, finest: &Scale) -> Option<f64> {
    let axes = multiscales(attributes)?.get("axes")?.as_array()?;
    let x = axes.iter().find(|a| a.get("name").and_then(Json::as_str) == Some("x"))?;
    let unit = micrometres(Some(x.get("unit")?.as_str()?))?;
    Some(finest.factor() * unit).filter(|v| v.is_finite() && *v > 0.0)
}

impl Level {
    fn n_channels(&self) -> usize {
        self.channel.map_or(1, |c| self.shape[c])
    }

    fn tile_shape(&self) -> (usize, usize) {
        // A chunk may be larger than the picture.
        let side = |axis: usize| self.blocks.chunk()[axis].min(self.shape[axis]);
        (side(self.y), side(self.x))
    }
}

impl ZarrSlide {
    fn samples(&self, level: usize, row: usize, column: usize) -> Result<Samples, DataError> {
        let level = &self.levels[level];
        let (tile_height, tile_width) = level.tile_shape();
        let side = |i: usize, side: usize, len: usize| (i * side).min(len)..((i + 1) * side).min(len);
        let mut ranges: Vec<_> = level.shape.iter().map(|n| n / 2..n / 2 + 1).collect();
        ranges[level.y] = side(row, tile_height, level.shape[level.y]);
        ranges[level.x] = side(column, tile_width, level.shape[level.x]);
        // Neighbouring channels may lie in one chunk.
        if let (Some(axis), Some(first), Some(last)) =
            (level.channel, self.channels.first(), self.channels.last())
        {
            ranges[axis] = *first..last + 1;
        }
        let (n, height, width) = (self.channels.len(), ranges[level.y].len(), ranges[level.x].len());
        // Where a pixel lies in what was read.
        let stride = |axis: usize| ranges[axis + 1..].iter().map(ExactSizeIterator::len).product::<usize>();
        let (by_x, by_y, by_c) = (stride(level.x), stride(level.y), level.channel.map_or(0, stride));
        let place = move |i: usize| i / (width * n) * by_y + i / n % width * by_x + i % n * by_c;
        macro_rules! ordered {
            ($kind:ident, $t:ty) => {{
                let values = level.blocks.read::<$t>(&ranges)?;
                Samples::$kind((0..height * width * n).map(|i| values[place(i)]).collect())
            }};
        }
        Ok(match level.element {
            Element::U8 | Element::Bool => ordered!(U8, u8),
            Element::U16 => ordered!(U16, u16),
            _ => ordered!(F32, f32),
        })
    }

    /// Values of the coarsest level, spread evenly.
    fn sampled(&self) -> Result<Vec<f32>, DataError> {
        let coarsest = self.levels.len() - 1;
        let level = &self.levels[coarsest];
        let (tile_height, tile_width) = level.tile_shape();
        let across = level.shape[level.x].div_ceil(tile_width);
        let n = across.saturating_mul(level.shape[level.y].div_ceil(tile_height));
        let taken = n.min(SAMPLED_TILES);
        let mut values = Vec::new();
        for i in 0..taken {
            let tile = (i as u128 * n as u128 / taken as u128) as usize;
            let samples = self.samples(coarsest, tile / across, tile % across)?;
            let step = samples.len().div_ceil(SAMPLED_VALUES / taken).max(1);
            values.extend(samples.finite().into_iter().step_by(step));
        }
        Ok(values)
    }
}

impl Source for ZarrSlide {
    fn tile_shape(&self, level: usize) -> (usize, usize) {
        self.levels[level].tile_shape()
    }

    fn tile(&self, level: usize, row: usize, column: usize) -> Result<Tile, DataError> {
        let here = &self.levels[level];
        let (tile_height, tile_width) = here.tile_shape();
        let extent = |i: usize, side: usize, len: usize| len.saturating_sub(i * side).min(side);
        let height = extent(row, tile_height, here.shape[here.y]);
        let width = extent(column, tile_width, here.shape[here.x]);
        let rgb = rgb(self.colours, &[], self.window.bytes(self.samples(level, row, column)?));
        if rgb.len() != height * width * 3 {
            return Err(DataError::damaged(self.store.path(), "a chunk of another size"));
        }
        Ok(Tile { height, width, rgb })
    }
}
