//! A container as panels: one per colour, one row per slice where there are several.

use std::path::Path;
use std::sync::Arc;

use brodmann_data::{Array, Column, ReadOptions, Select, Value, check_output, keys, write_bytes};
use brodmann_kernels::Monitor;
use ndarray::{Array2, Axis};

use super::PipelineError;
use super::features::LOG_NORMALIZED;
use super::tissue::Tissue;
use crate::plot::{Color, ColorMap, Figure, Image, Panel, RenderOptions, SpotShape, render_png, render_svg};
use crate::preprocess::Modality;

/// More distinct whole numbers than this in an obs column are drawn as a scale, fewer as categories.
const MAX_CATEGORIES_OF_NUMBERS: usize = 30;

/// What to draw.
#[derive(Clone, Debug, PartialEq)]
pub struct PictureRequest {
    /// obs columns or feature names, one panel each.
    pub colors: Vec<String>,
    /// `obsm` key of the coordinates.
    pub spatial_key: String,
    /// `obs` column of the slice: a row of panels each.
    pub library_key: Option<String>,
    /// Shape and size of the spots, where the caller knows better than the geometry.
    pub shape: Option<PictureShape>,
    /// Diameter of a spot in units of the coordinates.
    pub spot_size: Option<f64>,
    /// Draw the histology picture below the spots where the file has one.
    pub image: bool,
    /// Opacity of the spots.
    pub alpha: f64,
    /// Panels side by side.
    pub columns: Option<usize>,
    /// Longest side of a panel in pixels.
    pub panel_px: f64,
    /// Dots per inch of a PNG.
    pub dpi: f64,
}

/// Shapes a caller may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureShape {
    /// Discs.
    Circle,
    /// Squares.
    Square,
    /// Hexagons.
    Hexagon,
}

impl Default for PictureRequest {
    fn default() -> Self {
        Self {
            colors: Vec::new(),
            spatial_key: keys::SPATIAL.to_owned(),
            library_key: None,
            shape: None,
            spot_size: None,
            image: true,
            alpha: 1.0,
            columns: None,
            panel_px: 340.0,
            dpi: 200.0,
        }
    }
}

/// Draws a file as PNG or SVG, by the ending of `output`.
///
/// # Errors
/// [`PipelineError::UnknownColor`] naming the columns there are; [`PipelineError::OutputEnding`]; as the plot's own.
pub fn draw_file(
    input: &Path,
    output: &Path,
    request: &PictureRequest,
    monitor: &dyn Monitor,
) -> Result<(), PipelineError> {
    let ending = output.extension().and_then(|e| e.to_str()).unwrap_or("").to_lowercase();
    if ending != "png" && ending != "svg" {
        return Err(PipelineError::OutputEnding {
            path: output.display().to_string(),
            expected: ".png or .svg",
        });
    }
    check_output(input, output)?;
    let mut options = ReadOptions::names_only();
    options.obs = Select::All;
    options.obsm = Select::only([&request.spatial_key]);
    options.uns = Select::only([keys::SPATIAL]);
    let tissue = Tissue::open(input, &options, Some(Modality::Rna), monitor)?;
    let figure = figure(&tissue, request, monitor)?;
    monitor.stage("drawing", 0);
    let render = RenderOptions { dpi: request.dpi, ..RenderOptions::default() };
    let bytes = if ending == "png" {
        render_png(&figure, &render)?
    } else {
        render_svg(&figure, &render)?.into_bytes()
    };
    write_bytes(output, &bytes)?;
    Ok(())
}

/// The panels of a tissue.
///
/// # Errors
/// As [`draw_file`].
pub fn figure(
    tissue: &Tissue,
    request: &PictureRequest,
    monitor: &dyn Monitor,
) -> Result<Figure, PipelineError> {
    let coordinates = tissue.coordinates(&request.spatial_key)?;
    let slices = Slices::of(tissue, request)?;
    // Once per colour: a feature may cost a pass over the whole matrix.
    let colors = request.colors.iter().map(|key| color(tissue, key)).collect::<Result<Vec<_>, _>>()?;
    let mut panels = Vec::new();
    for slice in 0..slices.names.len() {
        let rows = slices.rows(slice);
        // A category left over from subsetting has no spots.
        if rows.is_empty() && slices.codes.is_some() {
            continue;
        }
        let own = Arc::new(coordinates.select(Axis(0), &rows));
        let library = library(tissue, &slices.names[slice]);
        let image = if request.image { image_of(library, monitor).map(Arc::new) } else { None };
        let diameter = request.spot_size.or_else(|| spot_diameter(library));
        for (key, color) in request.colors.iter().zip(&colors) {
            let title = if slices.names.len() > 1 {
                format!("{} · {key}", slices.names[slice])
            } else {
                key.clone()
            };
            panels.push(Panel {
                title,
                coordinates: Arc::clone(&own),
                spot: spot(request.shape, diameter, &own),
                color: select(color, &rows),
                image: image.clone(),
                opacity: request.alpha,
                ..Panel::default()
            });
        }
    }
    let columns = request.columns.or((slices.names.len() > 1).then_some(request.colors.len()));
    Ok(Figure { panels, columns, panel_size: request.panel_px, ..Figure::default() })
}

struct Slices {
    names: Vec<String>,
    codes: Option<Vec<u32>>,
    n_obs: usize,
}

impl Slices {
    fn of(tissue: &Tissue, request: &PictureRequest) -> Result<Self, PipelineError> {
        let n_obs = tissue.n_obs();
        let codes = tissue.slices(request.library_key.as_deref())?;
        let names = match &request.library_key {
            Some(key) => tissue.labels(key)?.categories,
            None => vec![String::new()],
        };
        Ok(Self { names, codes, n_obs })
    }

    fn rows(&self, slice: usize) -> Vec<usize> {
        match &self.codes {
            None => (0..self.n_obs).collect(),
            Some(codes) => (0..self.n_obs).filter(|&i| codes[i] as usize == slice).collect(),
        }
    }
}

/// The entry of `uns["spatial"]` for a slice: by its name, or the only one there is.
fn library<'a>(tissue: &'a Tissue, slice: &str) -> Option<&'a Value> {
    let libraries = tissue.uns(keys::SPATIAL)?.as_dict()?;
    libraries.get(slice).or_else(|| libraries.values().next().filter(|_| libraries.len() == 1))
}

fn scale_factor(library: Option<&Value>, key: &str) -> Option<f64> {
    library?.get(keys::SCALEFACTORS)?.get(key)?.as_f64().filter(|v| v.is_finite() && *v > 0.0)
}

fn spot_diameter(library: Option<&Value>) -> Option<f64> {
    scale_factor(library, keys::SPOT_DIAMETER_FULLRES)
}

/// The histology picture of a slice, the finer one where there are two.
fn image_of(library: Option<&Value>, monitor: &dyn Monitor) -> Option<Image> {
    let images = library?.get(keys::IMAGES)?;
    let candidates = [(keys::HIRES, keys::TISSUE_HIRES_SCALEF), (keys::LOWRES, keys::TISSUE_LOWRES_SCALEF)];
    for (key, factor) in candidates {
        let (Some(array), Some(scale)) =
            (images.get(key).and_then(Value::as_array), scale_factor(library, factor))
        else {
            continue;
        };
        match rgb(array) {
            Some((height, width, rgb)) => return Some(Image { width, height, rgb, scale }),
            None => monitor.note(&format!(
                "the picture {key:?} is a {} array of shape {:?}, not a picture; left out",
                array.dtype(),
                array.shape()
            )),
        }
    }
    None
}

/// Height, width and RGB bytes of a picture stored as bytes or as numbers from 0 to 1, grey, RGB or RGBA.
fn rgb(array: &Array) -> Option<(usize, usize, Vec<u8>)> {
    let shape = array.shape().to_vec();
    let (height, width) = (*shape.first()?, *shape.get(1)?);
    let channels = if shape.len() == 2 { 1 } else { *shape.get(2)? };
    if shape.len() > 3 || ![1, 3, 4].contains(&channels) || height == 0 || width == 0 {
        return None;
    }
    let bytes: Vec<u8> = match array {
        Array::U8(a) => a.iter().copied().collect(),
        other => {
            let values = other.to_f64()?;
            let largest = values.iter().copied().fold(0.0, f64::max);
            // scanpy stores pictures as numbers from 0 to 1; some writers keep 0 to 255 as floats or wider integers.
            let unit = if largest <= 1.0 { 255.0 } else { 1.0 };
            values.iter().map(|v| (v * unit).round().clamp(0.0, 255.0) as u8).collect()
        }
    };
    let rgb = match channels {
        3 => bytes,
        1 => bytes.iter().flat_map(|&v| [v, v, v]).collect(),
        _ => bytes.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect(),
    };
    Some((height, width, rgb))
}

fn spot(shape: Option<PictureShape>, diameter: Option<f64>, coordinates: &Array2<f64>) -> SpotShape {
    let detected = crate::plot::detect_shape(coordinates.view());
    match (shape, diameter) {
        (None, None) => SpotShape::Auto,
        (None, Some(d)) => match detected {
            // On a lattice the tiles touch, whatever the diameter of the spot printed on the slide.
            SpotShape::Circle { .. } | SpotShape::Auto => SpotShape::Circle { diameter: d },
            lattice => lattice,
        },
        (Some(shape), d) => {
            let d =
                d.unwrap_or_else(|| crate::plot::median_neighbor_distance(coordinates.view()).unwrap_or(1.0));
            match shape {
                PictureShape::Circle => SpotShape::Circle { diameter: d },
                PictureShape::Square => SpotShape::Square { side: d, angle: 0.0 },
                PictureShape::Hexagon => SpotShape::Hexagon { pitch: d, angle: 0.0 },
            }
        }
    }
}

/// The colours of the spots in `rows`.
fn select(color: &Color, rows: &[usize]) -> Color {
    match color {
        Color::None => Color::None,
        Color::Categorical { codes, names, palette } => Color::Categorical {
            codes: rows.iter().map(|&i| codes[i]).collect(),
            names: names.clone(),
            palette: palette.clone(),
        },
        Color::Continuous { values, name, limits, colormap } => Color::Continuous {
            values: rows.iter().map(|&i| values[i]).collect(),
            name: name.clone(),
            limits: *limits,
            colormap: *colormap,
        },
    }
}

/// The colour of every spot: an obs column, or a feature of some modality.
fn color(tissue: &Tissue, key: &str) -> Result<Color, PipelineError> {
    if let Some(column) = tissue.obs_column(key) {
        return Ok(color_of_column(&column, key));
    }
    for modality in tissue.modalities() {
        // `rna:gene` names the modality, as MuData's own column names do.
        let name = key.strip_prefix(&format!("{}:", modality.name)).unwrap_or(key);
        let Some(j) = tissue.var_names(modality).iter().position(|v| v == name) else { continue };
        let layers = tissue.layer_names(modality);
        let layer = layers.iter().any(|l| l == LOG_NORMALIZED).then_some(LOG_NORMALIZED);
        let counts = tissue.counts(modality, layer)?;
        let value = |i| f64::from(counts.view().get(i, j).unwrap_or(0.0));
        let values = (0..counts.n_rows()).map(value).collect();
        let label = if layer.is_some() { "log-normalised" } else { "" };
        return Ok(Color::Continuous {
            values,
            name: label.to_owned(),
            limits: None,
            colormap: ColorMap::default(),
        });
    }
    Err(PipelineError::UnknownColor { key: key.to_owned(), columns: tissue.obs_columns() })
}

fn color_of_column(column: &Column, key: &str) -> Color {
    let distinct = |column: &Column| column.to_categorical().categories.len();
    let numeric = match column {
        Column::Float32(_) | Column::Float64(_) => true,
        Column::Int(_) | Column::NullableInt(_) => distinct(column) > MAX_CATEGORIES_OF_NUMBERS,
        _ => false,
    };
    if numeric && let Some(values) = column.to_f64() {
        return Color::Continuous {
            values,
            name: key.to_owned(),
            limits: None,
            colormap: ColorMap::default(),
        };
    }
    let labels = column.to_categorical();
    Color::Categorical {
        codes: labels.codes.iter().map(|&c| u32::try_from(c).ok()).collect(),
        names: labels.categories,
        palette: None,
    }
}
