//! TIFF, BigTIFF, OME-TIFF and Aperio SVS: which directories are the levels of a picture, and their tiles.
//!
//! * `file`: the directories of a file and their tags.
//! * `plane`: one directory as a picture.
//! * `codec`: stored bytes to samples.
//! * `ome`: what OME-XML tells.
//!
//! Levels are the directories below that of the picture (SubIFDs) or, where there are none, those in the file that are as
//! it is but smaller: of the same shape and samples, and tiled if it is. Overviews and labels of slides are not tiled.

mod codec;
mod file;
mod ome;
mod plane;

use std::collections::BTreeMap;
use std::path::Path;

use super::tile::{Colours, Samples, Tile, Window, rgb};
use super::{About, Slide, Source, chosen, drawn};
use crate::DataError;
use file::{Directory, TiffFile};
use ome::Ome;
pub(super) use ome::micrometres;
use plane::{Plane, is_tiled, size};

const DESCRIPTION: u16 = 270;
const X_RESOLUTION: u16 = 282;
const RESOLUTION_UNIT: u16 = 296;
/// Micrometres per pixel that a microscope has; screens and printers write their own resolutions into the same tags.
const BELIEVABLE_UM: std::ops::RangeInclusive<f64> = 0.05..=10.0;
/// Tiles of the coarsest level that a scale of brightness is taken from, and values in all.
const SAMPLED_TILES: usize = 64;
const SAMPLED_VALUES: usize = 1 << 20;

struct TiffSlide {
    file: TiffFile,
    levels: Vec<Level>,
    colours: Colours,
    window: Window,
}

/// The planes of a level, each with the samples that are taken of it.
struct Level {
    parts: Vec<(Plane, Vec<usize>)>,
}

/// A channel: a directory and the sample in it.
struct Channel {
    name: String,
    colour: Option<[u8; 3]>,
    directory: usize,
    sample: usize,
}

/// What is drawn of a file.
struct Choice {
    /// Directories, and the samples taken of each.
    parts: Vec<(usize, Vec<usize>)>,
    colours: Colours,
    channels: Vec<String>,
    /// The channel alone that is drawn, in words.
    said: Option<String>,
}

pub(super) fn open(path: &Path, channel: Option<&str>) -> Result<Slide, DataError> {
    let (file, directories) = TiffFile::open(path)?;
    let description = file.text(&directories[0], DESCRIPTION)?;
    let ome = if description.contains("<OME") || description.contains(":OME") {
        Ome::parse(&description)
    } else {
        None
    };
    let is_aperio = description.starts_with("Aperio");
    let choice = choose(&file, &directories, ome.as_ref(), channel)?;

    let mut levels: Vec<Level> = Vec::new();
    for (i, (directory, samples)) in choice.parts.iter().enumerate() {
        let planes = pyramid(&file, &directories, *directory)?;
        if i == 0 {
            levels = planes.into_iter().map(|p| Level { parts: vec![(p, samples.clone())] }).collect();
            continue;
        }
        let alike = |level: &Level, plane: &Plane| {
            let first = &level.parts[0].0;
            let shape = |p: &Plane| (p.width, p.height, p.tile_width, p.tile_height, p.kind);
            shape(first) == shape(plane)
        };
        let n = levels.iter().zip(&planes).take_while(|(level, plane)| alike(level, plane)).count();
        levels.truncate(n);
        for (level, plane) in levels.iter_mut().zip(planes) {
            level.parts.push((plane, samples.clone()));
        }
    }
    let Some(finest) = levels.first().map(|l| &l.parts[0].0) else {
        return Err(DataError::PictureKind {
            path: path.to_path_buf(),
            found: "channels of different sizes".to_owned(),
            expected: "red, green and blue of one size, or one of its channels asked for".to_owned(),
        });
    };

    let kind = match (&ome, is_aperio, file.wide()) {
        (Some(_), ..) => "OME-TIFF",
        (None, true, _) => "Aperio SVS",
        (None, false, true) => "BigTIFF",
        (None, false, false) => "TIFF",
    };
    let plural = if levels.len() == 1 { "level" } else { "levels" };
    let mut format = format!("{kind}, {} {plural}, {}", levels.len(), finest.codec.name());
    if let Some(said) = &choice.said {
        format = format!("{format}, {said}");
    }
    let pixel_size_um = pixel_size(&file, &directories[0], &description, ome.as_ref());
    let (is_of_bytes, most, depth) = (finest.is_of_bytes(), finest.most(), finest.depth());
    let mut slide = TiffSlide { file, levels, colours: choice.colours, window: Window::BYTES };
    if !is_of_bytes {
        slide.window = match (slide.colours, most) {
            (Colours::Grey | Colours::WhiteIsZero, _) => Window::percentiles(slide.sampled()?),
            (_, Some(high)) => Window { low: 0.0, high },
            (_, None) => Window::of_floats(&slide.sampled()?),
        };
        format = format!("{format}, {depth} drawn from {} to {}", slide.window.low, slide.window.high);
    }
    let sizes = slide.levels.iter().map(|l| (l.parts[0].0.width, l.parts[0].0.height)).collect();
    Ok(Slide::new(sizes, Box::new(slide), About { format, channels: choice.channels, pixel_size_um }))
}

/// Which directories and samples are drawn, and as which colours.
fn choose(
    file: &TiffFile,
    directories: &[Directory],
    ome: Option<&Ome>,
    asked: Option<&str>,
) -> Result<Choice, DataError> {
    let channels = match ome {
        Some(ome) => channels_of_ome(file, directories, ome)?,
        None => Vec::new(),
    };
    // Colours in one directory, or whatever there is without OME-XML.
    let base = match channels.first() {
        Some(first) => first.directory,
        None => largest(file, directories)?,
    };
    let plane = Plane::new(file, &directories[base])?;
    let n_samples = plane.kind.n_samples;
    let channels = match plane.colours() {
        Some(colours) if channels.len() <= 1 || colours.n_samples() >= 3 => {
            let names: Vec<String> = channels.into_iter().map(|c| c.name).filter(|n| !n.is_empty()).collect();
            let names = if colours.n_samples() == 1 { names } else { Vec::new() };
            chosen(file.path(), &names, asked)?;
            let said = names.first().map(|name| format!("channel {name:?}"));
            let parts = vec![(base, (0..colours.n_samples()).collect())];
            return Ok(Choice { parts, colours, channels: names, said });
        }
        _ if channels.len() > 1 => channels,
        // Samples that are no colours together: channels, pixel by pixel.
        _ => (0..n_samples)
            .map(|sample| Channel { name: sample.to_string(), colour: None, directory: base, sample })
            .collect(),
    };
    let names: Vec<String> = channels.iter().map(|c| c.name.clone()).collect();
    let taken = match chosen(file.path(), &names, asked)? {
        Some(one) => vec![one],
        None => drawn(&names, &channels.iter().map(|c| c.colour).collect::<Vec<_>>()),
    };
    let parts = taken.iter().map(|&i| (channels[i].directory, vec![channels[i].sample])).collect();
    let (colours, said) = if taken.len() == 3 {
        (Colours::Rgb, "channels red, green and blue".to_owned())
    } else {
        let colours = plane.colours().filter(|c| c.n_samples() == 1).unwrap_or(Colours::Grey);
        (colours, format!("channel {:?} of {}", names[taken[0]], names.len()))
    };
    Ok(Choice { parts, colours, channels: names, said: Some(said) })
}

/// The channels that OME-XML lists and this file has.
fn channels_of_ome(file: &TiffFile, directories: &[Directory], ome: &Ome) -> Result<Vec<Channel>, DataError> {
    /// Channels beyond these are no list of stains.
    const MOST_CHANNELS: usize = 1 << 12;
    let image = ome.largest();
    let file_name = file.path().file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut channels = Vec::new();
    for c in 0..image.n_own_channels().min(MOST_CHANNELS) {
        let Some(directory) = ome.directory(image, c, &file_name) else { continue };
        let fits = match directories.get(directory) {
            Some(found) => size(file, found)? == (image.width, image.height),
            None => false,
        };
        if fits {
            let said = image.channels.get(c);
            let name = said.map(|s| s.name.clone()).unwrap_or_default();
            let name = if name.is_empty() && image.n_own_channels() > 1 { c.to_string() } else { name };
            channels.push(Channel { name, colour: said.and_then(|s| s.colour), directory, sample: 0 });
        }
    }
    Ok(channels)
}

/// The first of the largest pictures.
fn largest(file: &TiffFile, directories: &[Directory]) -> Result<usize, DataError> {
    let (mut largest, mut most) = (0, 0);
    for (i, directory) in directories.iter().enumerate() {
        let (width, height) = size(file, directory)?;
        if width.saturating_mul(height) > most {
            (largest, most) = (i, width.saturating_mul(height));
        }
    }
    Ok(largest)
}

/// The levels of the picture in a directory, finest first.
fn pyramid(file: &TiffFile, directories: &[Directory], base: usize) -> Result<Vec<Plane>, DataError> {
    let finest = Plane::new(file, &directories[base])?;
    let below = file.below(&directories[base])?;
    let below = if below.is_empty() { further(file, directories, base, &finest)? } else { below };
    let mut planes = vec![finest];
    for directory in below {
        let (width, height) = size(file, &directory)?;
        let last = &planes[planes.len() - 1];
        let smaller = width > 0 && height > 0 && width <= last.width && height <= last.height;
        if !smaller || (width, height) == (last.width, last.height) {
            continue;
        }
        let plane = Plane::new(file, &directory)?;
        if plane.kind == planes[0].kind {
            planes.push(plane);
        }
    }
    Ok(planes)
}

/// Smaller copies of a picture among the other directories of the file.
fn further(
    file: &TiffFile,
    directories: &[Directory],
    base: usize,
    finest: &Plane,
) -> Result<Vec<Directory>, DataError> {
    let full = (finest.width, finest.height);
    // Several channels have a pyramid each: the first of a size belongs to the first of the full size.
    let mut rank = 0;
    for directory in &directories[..base] {
        rank += usize::from(size(file, directory)? == full);
    }
    let mut by_size: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for (i, directory) in directories.iter().enumerate() {
        let (width, height) = size(file, directory)?;
        if is_smaller_copy(full, (width, height)) && is_tiled(file, directory)? == finest.tiled {
            by_size.entry((width, height)).or_default().push(i);
        }
    }
    let copies = by_size.values().rev().filter_map(|same| same.get(rank));
    Ok(copies.map(|&i| directories[i].clone()).collect())
}

/// Whether a size is another divided by one factor, but for rounding.
fn is_smaller_copy(full: (usize, usize), part: (usize, usize)) -> bool {
    let factors = |full: usize, part: usize| {
        let (full, part) = (full as f64, part as f64);
        (full / (part + 1.0), full / (part - 1.0))
    };
    if part.0 < 2 || part.1 < 2 || part.0 >= full.0 || part.1 >= full.1 {
        return false;
    }
    let (x, y) = (factors(full.0, part.0), factors(full.1, part.1));
    x.0 <= y.1 && y.0 <= x.1
}

/// Micrometres per pixel, where the file says it.
fn pixel_size(file: &TiffFile, directory: &Directory, description: &str, ome: Option<&Ome>) -> Option<f64> {
    let positive = |v: &f64| v.is_finite() && *v > 0.0;
    let aperio = || -> Option<f64> {
        let (_, after) = description.split_once("MPP")?;
        let value = after.trim_start().strip_prefix('=')?.trim_start();
        let end = value.find(|c: char| !matches!(c, '0'..='9' | '.' | 'e' | 'E' | '-' | '+'));
        value[..end.unwrap_or(value.len())].parse().ok()
    };
    let tags = || -> Option<f64> {
        let per_unit = file.ratio(directory, X_RESOLUTION).filter(positive)?;
        let unit = match file.first(directory, RESOLUTION_UNIT).ok()? {
            Some(3) => 10_000.0,
            None | Some(2) => 25_400.0,
            Some(_) => return None,
        };
        Some(unit / per_unit).filter(|v| BELIEVABLE_UM.contains(v))
    };
    let of_ome = ome.and_then(|o| o.largest().pixel_size_um).filter(positive);
    of_ome.or_else(|| aperio().filter(positive)).or_else(tags)
}

impl TiffSlide {
    fn samples(&self, level: usize, row: usize, column: usize) -> Result<Option<Samples>, DataError> {
        let parts = &self.levels[level].parts;
        let mut planes = Vec::with_capacity(parts.len());
        for (plane, picked) in parts {
            match plane.tile(&self.file, row, column, picked)? {
                Some(samples) => planes.push(samples),
                None => return Ok(None),
            }
        }
        let different = || self.file.damaged("channels of different tiles");
        Samples::interleaved(planes).map(Some).ok_or_else(different)
    }

    /// Values of the coarsest level, spread evenly.
    fn sampled(&self) -> Result<Vec<f32>, DataError> {
        let level = self.levels.len() - 1;
        let plane = &self.levels[level].parts[0].0;
        let across = plane.width.div_ceil(plane.tile_width);
        let n = across.saturating_mul(plane.height.div_ceil(plane.tile_height));
        let taken = n.min(SAMPLED_TILES);
        let mut values = Vec::new();
        for i in 0..taken {
            let tile = (i as u128 * n as u128 / taken as u128) as usize;
            if let Some(samples) = self.samples(level, tile / across, tile % across)? {
                let step = samples.len().div_ceil(SAMPLED_VALUES / taken).max(1);
                values.extend(samples.finite().into_iter().step_by(step));
            }
        }
        Ok(values)
    }
}

impl Source for TiffSlide {
    fn tile_shape(&self, level: usize) -> (usize, usize) {
        let plane = &self.levels[level].parts[0].0;
        (plane.tile_height, plane.tile_width)
    }

    fn tile(&self, level: usize, row: usize, column: usize) -> Result<Tile, DataError> {
        let plane = &self.levels[level].parts[0].0;
        let (height, width) = plane.extent(row, column);
        let rgb = if let Some(samples) = self.samples(level, row, column)? {
            rgb(self.colours, plane.palette(), self.window.bytes(samples))
        } else {
            // Scanners leave out tiles of glass, which is white, and microscopes those of nothing, which is black.
            let is_dark = matches!(self.colours, Colours::Grey | Colours::WhiteIsZero);
            vec![if is_dark { 0 } else { 255 }; height * width * 3]
        };
        if rgb.len() != height * width * 3 {
            return Err(self
                .file
                .damaged(format!("the tile in row {row} and column {column} has another size")));
        }
        Ok(Tile { height, width, rgb })
    }
}
