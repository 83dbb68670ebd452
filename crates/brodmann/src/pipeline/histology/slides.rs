//! The slides of a tissue, opened, with the place of each spot on them.

use std::path::Path;

use brodmann_data::picture::{FoundSlide, Shows, Slide, find_slides};
use brodmann_data::{OpenFile, Value, keys};
use brodmann_kernels::{Monitor, Opt, Slices};
use ndarray::{Array2, Array3, Axis};

use super::request::{FILE, SlideOptions};
use super::to_slide::ToSlide;
use crate::histology::{HistologyError, Overview, Pixels, PixelsError, overview_by_region};
use crate::pipeline::PipelineError;
use crate::pipeline::picture::{library, scale_factor, spot_diameter};
use crate::pipeline::tissue::Tissue;
use crate::plot::median_neighbor_distance;

/// A slide, and the spots that lie on it.
pub(in crate::pipeline) struct Placed {
    /// Of the slice; empty where there is one.
    pub name: String,
    /// What the slide is, for a person.
    pub origin: String,
    /// Rows of the tissue.
    pub rows: Vec<usize>,
    pub slide: Slide,
    /// `(rows, 2)`: row and column of each of these spots on the slide.
    pub centres: Array2<f64>,
    /// Diameter of a spot in pixels.
    pub diameter: f64,
    /// Pixels per unit of the coordinates.
    pub factor: f64,
    /// Whether more than a factor takes coordinates there.
    pub turned: bool,
    to_slide: ToSlide,
}

/// Squares around the spots, on one level of their slide.
pub(in crate::pipeline) struct Seen<'a> {
    pub level: Level<'a>,
    /// `(rows, 2)`: row and column of each spot.
    pub centres: Array2<f64>,
    /// Side of a square in pixels.
    pub side: f64,
}

/// One level of a slide.
pub(in crate::pipeline) struct Level<'a> {
    slide: &'a Slide,
    level: usize,
}

impl Pixels for Level<'_> {
    fn height(&self) -> usize {
        self.slide.levels()[self.level].height
    }

    fn width(&self) -> usize {
        self.slide.levels()[self.level].width
    }

    fn region(
        &self,
        rows: std::ops::Range<usize>,
        columns: std::ops::Range<usize>,
    ) -> Result<Array3<u8>, PixelsError> {
        self.slide.region(self.level, rows, columns).map_err(PixelsError::from)
    }

    /// Of the coarsest level that is large enough.
    fn overview(&self, max_side: usize) -> Result<Overview, HistologyError> {
        let levels = self.slide.levels();
        let fits = |&l: &usize| levels[l].width.max(levels[l].height) >= max_side;
        let level = (self.level..levels.len()).rev().find(fits).unwrap_or(self.level);
        let mut seen = overview_by_region(&Level { slide: self.slide, level }, max_side)?;
        seen.factor *= levels[level].downsample / levels[self.level].downsample;
        Ok(seen)
    }
}

impl Placed {
    /// Where the spots lie, as x and y in pixels of the slide.
    pub(in crate::pipeline) fn places(&self) -> Array2<f64> {
        Array2::from_shape_fn((self.rows.len(), 2), |(k, c)| self.centres[(k, 1 - c)])
    }

    /// Where a view of the whole slide lies: `[a, b, c, d, e, f]`, its pixel `(u, v)` being at x = a·u + b·v + c and
    /// y = d·u + e·v + f in coordinates of the spots.
    pub(in crate::pipeline) fn placement(&self, (height, width): (usize, usize)) -> [f64; 6] {
        let across = self.slide.width() as f64 / width as f64;
        let down = self.slide.height() as f64 / height as f64;
        let [[a, b, c], [d, e, f]] = self.to_slide.inverse().rows();
        [a * across, b * down, c, d * across, e * down, f]
    }

    /// The spots on the coarsest level on which squares of `side` pixels of the full slide still have `wanted` of its own.
    pub(in crate::pipeline) fn seen(&self, side: f64, wanted: f64) -> Seen<'_> {
        let levels = self.slide.levels();
        let level = (0..levels.len()).rev().find(|&l| side / levels[l].downsample >= wanted).unwrap_or(0);
        let factor = 1.0 / levels[level].downsample;
        Seen {
            level: Level { slide: &self.slide, level },
            centres: &self.centres * factor,
            side: side * factor,
        }
    }
}

/// The picture that the file keeps of a slice, with the factor that takes coordinates to its pixels.
fn kept(library: Option<&Value>) -> Option<(&brodmann_data::Array, f64)> {
    let images = library?.get(keys::IMAGES)?;
    [(keys::HIRES, keys::TISSUE_HIRES_SCALEF), (keys::LOWRES, keys::TISSUE_LOWRES_SCALEF)]
        .into_iter()
        .find_map(|(key, factor)| Some((images.get(key)?.as_array()?, scale_factor(library, factor)?)))
}

/// The picture in the folder of an instrument that shows more than the copy that came with the counts.
///
/// Coordinates in micrometres are of the instrument's own pictures: a stain taken afterwards lies on them by its alignment
/// alone.
fn beside(folder: &Path, has_copy: bool, unit: Option<&str>) -> Option<FoundSlide> {
    if !folder.is_dir() || OpenFile::is_known(folder) {
        return None;
    }
    let is_placed = |slide: &FoundSlide| {
        slide.shows != Shows::Stain || slide.alignment.is_some() || unit.is_none_or(|unit| unit == "pixel")
    };
    // Of what is no stain, the copy that came with the counts is as good.
    find_slides(folder)
        .into_iter()
        .find(|slide| is_placed(slide) && (slide.shows == Shows::Stain || !has_copy))
}

/// Opens the slides that were named, or those of the file, one per slice.
///
/// # Errors
/// [`PipelineError::Option`] for as many slides as there are not slices, or where the file keeps none; as
/// [`Slide::open`].
pub(in crate::pipeline) fn placed(
    tissue: &Tissue,
    options: &SlideOptions,
    (spatial_key, slices): (&str, Option<&Slices>),
    monitor: &dyn Monitor,
) -> Result<Vec<Placed>, PipelineError> {
    options.validate()?;
    let coordinates = tissue.coordinates(spatial_key)?;
    let one = Slices::one(tissue.n_obs());
    let has_names = slices.is_some();
    let slices = slices.unwrap_or(&one);
    let n_slices = slices.count();
    if options.image.len() > 1 && options.image.len() != n_slices {
        let found = format!("{} slides for {n_slices} slice(s)", options.image.len());
        return Err(PipelineError::option(
            "image",
            found,
            "one, or one per slice in the order of the slices",
        ));
    }
    let unit = tissue.coordinate_unit();
    let matrix = options.image_transform.as_deref().map(ToSlide::of_file).transpose()?;
    let mut all = Vec::with_capacity(n_slices);
    for (slice, rows) in slices.rows().iter().enumerate() {
        let rows: Vec<usize> = rows.iter().map(|&i| i as usize).collect();
        if rows.is_empty() {
            continue;
        }
        let name = if has_names { slices.label(slice) } else { String::new() };
        let library = library(tissue, &name);
        let own = coordinates.select(Axis(0), &rows);
        let named = options.image.get(slice).or(options.image.first()).map_or(FILE, String::as_str);
        let beside = if named == FILE && n_slices == 1 {
            beside(&tissue.path, kept(library).is_some(), unit.as_deref())
        } else {
            None
        };
        let mut turned = matrix.is_some();
        let (named, slide, found, why) = match beside {
            Some(picture) => {
                let slide = Slide::open(&picture.path)?;
                let (found, why) = match &picture.alignment {
                    Some(alignment) => {
                        turned = true;
                        (ToSlide::of_file(alignment)?, format!("by {}", alignment.display()))
                    }
                    None => ToSlide::found((&picture.path, &slide), library, unit.as_deref()),
                };
                monitor.note(&format!(
                    "the folder's picture is {}: {}",
                    picture.path.display(),
                    picture.what
                ));
                (picture.path.display().to_string(), slide, found, why)
            }
            None if named == FILE => {
                let Some((array, scale)) = kept(library) else {
                    let of = if name.is_empty() { String::new() } else { format!(" of slice {name}") };
                    let found = format!("{FILE:?}, and the input keeps no picture{of}");
                    let expected = "the name of a slide (.png, .jpg, .tif, .ome.tif, .svs)";
                    return Err(PipelineError::option("image", found, expected));
                };
                let why = "by the scale factor in the file".to_owned();
                (FILE.to_owned(), Slide::from_image(array)?, ToSlide::scale(scale), why)
            }
            None => {
                let slide = Slide::open(Path::new(named))?;
                let (found, why) = ToSlide::found((Path::new(named), &slide), library, unit.as_deref());
                (named.to_owned(), slide, found, why)
            }
        };
        let (to_slide, why) = match (matrix, options.image_scale) {
            (Some(matrix), _) => (matrix, "by the matrix given".to_owned()),
            (None, Some(scale)) => (ToSlide::scale(scale), "by the factor given".to_owned()),
            (None, None) => (found, why),
        };
        let factor = to_slide.factor();
        let (diameter, known) = diameter(options, library, &own)?;
        let placed = Placed {
            origin: format!("{named}: {}", slide.format()),
            centres: Array2::from_shape_fn((own.nrows(), 2), |(k, axis)| {
                to_slide.pixel(own[(k, 0)], own[(k, 1)])[1 - axis]
            }),
            diameter: diameter * factor,
            name,
            rows,
            slide,
            factor,
            turned,
            to_slide,
        };
        let of = if placed.name.is_empty() { String::new() } else { format!("{}: ", placed.name) };
        monitor.note(&format!(
            "{of}{}, {} × {} pixels; a spot is {:.1} pixels wide ({known}; {why})",
            placed.origin,
            placed.slide.width(),
            placed.slide.height(),
            placed.diameter
        ));
        all.push(placed);
    }
    Ok(all)
}

/// The diameter of a spot in units of the coordinates, and how it is known.
fn diameter(
    options: &SlideOptions,
    library: Option<&Value>,
    coordinates: &Array2<f64>,
) -> Result<(f64, &'static str), PipelineError> {
    if let Some(given) = options.spot_diameter {
        return Ok((given, "as given"));
    }
    if let Some(known) = spot_diameter(library) {
        return Ok((known, "as the file says"));
    }
    median_neighbor_distance(coordinates.view())
        .map(|distance| (distance, "the distance of two spots"))
        .ok_or_else(|| {
            let expected = format!("{}, since the spots do not tell", Opt("spot_diameter"));
            PipelineError::option("spot_diameter", "not given", expected)
        })
}

/// A view of the whole slide, its longer side at most `longest` pixels: of the nearest level, in strips.
///
/// # Errors
/// As [`Pixels::overview`].
pub(in crate::pipeline) fn overview(slide: &Slide, longest: usize) -> Result<Array3<u8>, PipelineError> {
    Ok(Level { slide, level: 0 }.overview(longest)?.rgb)
}
