//! A container as panels: one per colour, one row per slice where there are several.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use brodmann_data::picture::Slide;
use brodmann_data::{
    Array, Column, DataError, OpenOptions, ReadOptions, Select, Value, check_output, keys, write_bytes,
};
use brodmann_kernels::{CsrMatrix, Monitor, Opt, Slices, Step};
use ndarray::{Array2, Array3, Axis};

mod colors;
mod embedding;
mod place;
mod words;

pub(in crate::pipeline) use self::colors::of_domains as colors_of_domains;
pub(in crate::pipeline) use self::place::{joined_column, slice_column, tell_slices};
pub use self::words::{axes_of, title_of, unit_of};
use super::PipelineError;
use super::embedding::LOG_NORMALIZED;
use super::histology::SlideOptions;
use super::histology::slides::{Placed, overview, placed};
use super::near::nearest_of;
use super::outputs::tell_undrawn;
use super::tissue::{ModalityInfo, Opening, Tissue};
use crate::plot::{
    Bound, Boundaries, Chart, ChartPanel, Color, ColorMap, Figure, Image, Panel, PanelLegend, PictureFormat,
    RenderOptions, Series, SpotShape, category_colors, undrawn, undrawn_in_sheet,
};
use crate::preprocess::Modality;
use crate::preprocess::feature_map::comparable;

/// More distinct whole numbers than this in an obs column are drawn as a scale, fewer as categories.
const MAX_CATEGORIES_OF_NUMBERS: usize = 30;

/// A slide below the spots has this many of its pixels for one of a panel: panels are drawn at several dots per pixel.
const SEEN_FINER: f64 = 3.0;
/// Names a table of `obsm` as a colour.
const OBSM: &str = "obsm:";
/// Opacity of spots over a picture of the tissue where nobody says otherwise.
const OVER_IMAGE: f64 = 0.8;
/// Width in pixels of the line around a spot that has one.
const EDGE_PX: f64 = 1.1;
/// Slices side by side where one colour is drawn.
const SLICES_ABREAST: usize = 4;
/// Names that an unknown one may have meant.
const MOST_NEAR: usize = 3;
/// Wider tables are not drawn whole.
const MAX_PANELS: usize = 12;

/// What to draw.
#[derive(Clone, Debug, PartialEq)]
pub struct PictureRequest {
    /// What is said of the input beside its path.
    pub source: OpenOptions,
    /// obs columns, feature names or obsm tables (`KEY`, `obsm:KEY`, `obsm:KEY:COLUMN`), one panel each; a table
    /// gives one panel per column.
    pub colors: Vec<String>,
    /// Layer that features are taken from.
    pub layer: Option<String>,
    /// Draw each feature twice, as measured and denoised by the run of this name.
    pub denoised: Option<String>,
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
    /// Another slide to be drawn below the spots.
    pub slide: SlideOptions,
    /// Opacity of the spots; `None`: opaque, a little less over a picture of the tissue.
    pub alpha: Option<f64>,
    /// Lines around spots or domains.
    pub outline: Option<PictureOutline>,
    /// Draw this embedding (a key of `obsm`, with or without `X_`) in place of the tissue.
    pub basis: Option<String>,
    /// Columns of the embedding along the two axes, from 0.
    pub components: [usize; 2],
    /// Lower end of the colours of numbers.
    pub lowest: Option<Bound>,
    /// Upper end of them.
    pub highest: Option<Bound>,
    /// Colours of numbers.
    pub colormap: Option<ColorMap>,
    /// Labels that resemble the truth, or the first labels drawn, take its colours.
    pub match_colors: bool,
    /// A line over all.
    pub title: String,
    /// Panels side by side.
    pub columns: Option<usize>,
    /// Longest side of a panel in pixels.
    pub panel_px: f64,
    /// Dots per inch of a PNG.
    pub dpi: f64,
}

/// Lines that leave the tissue visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureOutline {
    /// A line around each spot, in its colour and opaque, so that the spot itself may be faint.
    Spots,
    /// Lines around domains, in place of spots unless these are given an opacity.
    Domains,
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
    /// The boundaries of cells that the file keeps.
    Cells,
    /// Those of nuclei.
    Nuclei,
}

impl Default for PictureRequest {
    fn default() -> Self {
        Self {
            source: OpenOptions::default(),
            colors: Vec::new(),
            layer: None,
            denoised: None,
            spatial_key: keys::SPATIAL.to_owned(),
            library_key: None,
            shape: None,
            spot_size: None,
            image: true,
            slide: SlideOptions::default(),
            alpha: None,
            outline: None,
            basis: None,
            components: [0, 1],
            lowest: None,
            highest: None,
            colormap: None,
            match_colors: true,
            title: String::new(),
            columns: None,
            panel_px: 340.0,
            dpi: 200.0,
        }
    }
}

/// Draws a file as PNG, SVG or PDF, by the ending of `output`.
///
/// # Errors
/// [`PipelineError::UnknownColor`] naming the columns there are; [`PipelineError::OutputEnding`]; as the plot's own.
pub fn draw_file(
    input: &Path,
    output: &Path,
    request: &PictureRequest,
    monitor: &dyn Monitor,
) -> Result<(), PipelineError> {
    let format = check_ending(input, output)?;
    let mut options = ReadOptions::names_only();
    options.obs = Select::All;
    let tables = request.colors.iter().flat_map(|key| table_names(key)).map(str::to_owned);
    let mut tables: Vec<String> = tables.chain([request.spatial_key.clone()]).collect();
    let basis = request.basis.as_deref();
    let known = basis.map(|basis| embedding::key_in_file(basis, input));
    options.obsm = match known {
        Some(None) => Select::All,
        Some(Some(key)) => {
            tables.push(key);
            Select::Only(tables)
        }
        None => Select::Only(tables),
    };
    let mut uns = vec![keys::SPATIAL.to_owned(), keys::LOG1P.to_owned()];
    if let Some(run) = &request.denoised {
        options.var = Select::Only(vec![denoised_key(run)]);
        uns.push(run.clone());
    }
    uns.extend(request.colors.iter().map(|key| colors_key(key)));
    options.uns = Select::Only(uns);
    let tissue = Tissue::open(input, &Opening::of(&request.source, &options, Some(Modality::Rna)), monitor)?;
    let render = RenderOptions { dpi: request.dpi, ..RenderOptions::default() };
    // SVG leaves letters to whoever shows it.
    let has_boxes = format != PictureFormat::Svg;
    let bytes = if let Some(basis) = basis {
        let sheet = embedding::sheet(&tissue, basis, colors_of(&tissue, request)?, request)?;
        monitor.stage("drawing", 0);
        if has_boxes {
            tell_undrawn(&undrawn_in_sheet(&sheet, &render)?, monitor);
        }
        format.sheet(&sheet, &render)?
    } else {
        let figure = figure(&tissue, request, monitor)?;
        monitor.stage("drawing", 0);
        if has_boxes {
            tell_undrawn(&undrawn(&figure, &render)?, monitor);
        }
        format.figure(&figure, &render)?
    };
    write_bytes(output, &bytes)?;
    Ok(())
}

/// Draws the loss curves that a training left in `uns[run]`, one plot per kind of term.
///
/// # Errors
/// [`DataError::MissingKey`] where there are none; [`PipelineError::OutputEnding`].
pub fn draw_losses(
    input: &Path,
    output: &Path,
    run: &str,
    dpi: f64,
    monitor: &dyn Monitor,
) -> Result<(), PipelineError> {
    let format = check_ending(input, output)?;
    let mut options = ReadOptions::names_only();
    options.uns = Select::only([run]);
    let source = OpenOptions::default();
    let tissue = Tissue::open(input, &Opening::of(&source, &options, Some(Modality::Rna)), monitor)?;
    let record = tissue.uns(run);
    let modalities = record.and_then(|r| r.get("modalities")?.as_array()?.to_strings()).unwrap_or_default();
    let losses = record.and_then(|r| r.get("loss")).map(|l| loss_panels(l, &modalities)).unwrap_or_default();
    if losses.is_empty() {
        return Err(DataError::MissingKey {
            container: "uns".to_owned(),
            key: format!("{run}\"][\"loss"),
            place: input.display().to_string(),
            existing: brodmann_data::element_names(input, None, "uns").unwrap_or_default(),
            named_by: None,
            otherwise: vec![format!(
                "train first, e.g. with {}, and name the run with {}",
                Step("spami"),
                Opt("loss")
            )],
        }
        .into());
    }
    monitor.stage("drawing", 0);
    let chart = Chart { title: format!("Losses of {run}"), panels: losses, ..Chart::default() };
    let render = RenderOptions { dpi, ..RenderOptions::default() };
    write_bytes(output, &format.chart(&chart, &render)?)?;
    Ok(())
}

/// `contrast_rna` and `contrast_adt` share a plot; what has no modality has its own. Files list keys by the
/// alphabet: here the sum comes first, and modalities are in their own order.
fn loss_panels(losses: &Value, modalities: &[String]) -> Vec<ChartPanel> {
    let numbers = |value: &Value| Some(value.as_array()?.to_f64()?.iter().copied().collect::<Vec<f64>>());
    let panel =
        |title: &str| ChartPanel { title: title.to_owned(), x_name: "epoch".to_owned(), series: Vec::new() };
    let mut panels: Vec<ChartPanel> = Vec::new();
    match losses {
        Value::Dict(curves) => {
            for (key, value) in curves {
                let Some(values) = numbers(value) else { continue };
                let (title, name) = key.split_once('_').unwrap_or((key, key));
                let at = panels.iter().position(|p| p.title == title).unwrap_or_else(|| {
                    panels.push(panel(title));
                    panels.len() - 1
                });
                panels[at].series.push(Series { name: name.to_owned(), values });
            }
        }
        other => panels.extend(numbers(other).map(|values| ChartPanel {
            series: vec![Series { name: "loss".to_owned(), values }],
            ..panel("loss")
        })),
    }
    let rank = |list: &[&str], name: &str| list.iter().position(|n| *n == name).unwrap_or(list.len());
    let order: Vec<&str> = modalities.iter().map(String::as_str).collect();
    for panel in &mut panels {
        panel.series.sort_by_key(|s| rank(&order, &s.name));
    }
    panels.sort_by_key(|p| rank(&["loss", "contrast", "reconstruction", "cosine"], &p.title));
    panels
}

/// What the ending of an output asks for.
pub(super) fn check_ending(input: &Path, output: &Path) -> Result<PictureFormat, PipelineError> {
    let format = PictureFormat::of(output).ok_or_else(|| PipelineError::OutputEnding {
        path: output.display().to_string(),
        expected: PictureFormat::ENDINGS,
    })?;
    check_output(input, output)?;
    Ok(format)
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
    let library_key = request.library_key.clone().or_else(|| tissue.library_key.clone());
    let library_key = library_key.or_else(|| slice_column(tissue, monitor));
    let named = tissue.slices(library_key.as_deref())?;
    let slices = named.clone().unwrap_or_else(|| Slices::one(tissue.n_obs()));
    let colors = colors_of(tissue, request)?;
    let mut slides = if request.image && request.slide.is_asked_for() {
        placed(tissue, &request.slide, (&request.spatial_key, named.as_ref()), monitor)?
    } else {
        Vec::new()
    }
    .into_iter();
    let several = slices.count() > 1;
    let columns = request.columns.or_else(|| match (several, colors.len()) {
        // One colour: slices in rows; several: a row for each slice.
        (true, 1) => Some(slices.count().min(SLICES_ABREAST)),
        (true, n) => Some(n),
        // Measured and denoised stand side by side.
        (false, _) => request.denoised.is_some().then_some(2),
    });
    let mut panels = Vec::new();
    for (slice, rows) in slices.rows().iter().enumerate() {
        let rows: Vec<usize> = rows.iter().map(|&i| i as usize).collect();
        let name = if named.is_some() { slices.label(slice) } else { String::new() };
        let mut own = Arc::new(coordinates.select(Axis(0), &rows));
        let library = library(tissue, &name);
        let mut diameter = request.spot_size.or_else(|| spot_diameter(library));
        let mut boundaries = boundaries(tissue, request, library, &rows)?.map(Arc::new);
        let mut um_per_unit =
            if request.spatial_key == keys::SPATIAL { place::um_per_unit(tissue, &name, &own) } else { None };
        let image = match slides.next() {
            Some(placed) => {
                let seen = overview(&placed.slide, (request.panel_px * SEEN_FINER) as usize)?;
                if placed.turned {
                    // Everything in pixels of the slide.
                    own = Arc::new(placed.places());
                    diameter = diameter.map(|d| d * placed.factor);
                    um_per_unit = um_per_unit.map(|um| um / placed.factor);
                    boundaries = None;
                }
                let scale = if placed.turned { 1.0 } else { placed.factor };
                Some(Arc::new(image_of_slide(&placed, seen, scale)))
            }
            None if request.image => image_of(library, monitor).map(Arc::new),
            None => None,
        };
        let spot = spot_over(request.shape, diameter, &own, image.is_some());
        for (key, all) in &colors {
            let shown = select(all, &rows);
            let borders = match request.outline {
                Some(PictureOutline::Domains) => place::borders(&shown, &own)?,
                _ => Vec::new(),
            };
            let alone = match (borders.is_empty(), image.is_some()) {
                (false, _) => 0.0,
                (true, true) => OVER_IMAGE,
                (true, false) => 1.0,
            };
            panels.push(Panel {
                title: match (several, colors.len()) {
                    (true, 1) => name.clone(),
                    (true, _) => format!("{name} · {key}"),
                    (false, _) => key.clone(),
                },
                coordinates: Arc::clone(&own),
                spot,
                boundaries: boundaries.clone(),
                color: shown,
                image: image.clone(),
                opacity: request.alpha.unwrap_or(alone),
                edge: (request.outline == Some(PictureOutline::Spots)).then_some(EDGE_PX),
                borders,
                um_per_unit,
                legend: legend(all, (slice, slices.count()), colors.len(), columns.unwrap_or(1)),
                ..Panel::default()
            });
        }
    }
    // The colour of all slices stands over all of them.
    let title = match (several, colors.as_slice(), request.title.is_empty()) {
        (true, [(key, _)], true) => key.clone(),
        _ => request.title.clone(),
    };
    Ok(Figure { panels, columns, title, panel_size: request.panel_px, ..Figure::default() })
}

/// One legend for all slices of a colour: where it is drawn first, at the end of the row if it is the only colour.
fn legend(color: &Color, (slice, n_slices): (usize, usize), n_colors: usize, columns: usize) -> PanelLegend {
    if n_slices == 1 {
        return PanelLegend::Own;
    }
    let at = if n_colors == 1 { columns.min(n_slices) - 1 } else { 0 };
    if slice != at {
        return PanelLegend::Hidden;
    }
    let missing = match color {
        Color::None => false,
        Color::Categorical { codes, .. } => codes.iter().any(Option::is_none),
        Color::Continuous { values, .. } => values.iter().any(|v| !v.is_finite()),
    };
    PanelLegend::Shared { missing }
}

/// All that is to be drawn, with titles; what a number's colours span and which labels match is settled over all slices.
fn colors_of(tissue: &Tissue, request: &PictureRequest) -> Result<Vec<(String, Color)>, PipelineError> {
    // Once per colour: a feature may cost a pass over the whole matrix.
    let (mut keys, mut colors) = (Vec::new(), Vec::new());
    for key in &request.colors {
        let own = color(tissue, key, request)?;
        keys.extend(own.iter().map(|_| key.clone()));
        colors.extend(own);
    }
    colors::settle(&keys, &mut colors, request)?;
    Ok(colors)
}

/// The shape of spots; over a picture of the tissue discs of their true size, between which it can be seen, where the
/// tiles of a honeycomb would hide it.
fn spot_over(
    shape: Option<PictureShape>,
    diameter: Option<f64>,
    coordinates: &Array2<f64>,
    over_image: bool,
) -> SpotShape {
    match (spot(shape, diameter, coordinates), diameter) {
        (SpotShape::Hexagon { .. }, Some(diameter)) if over_image && shape.is_none() => {
            SpotShape::Circle { diameter }
        }
        (chosen, _) => chosen,
    }
}

/// The entry of `uns["spatial"]` for a slice: by its name, or the only one there is.
pub(super) fn library<'a>(tissue: &'a Tissue, slice: &str) -> Option<&'a Value> {
    let libraries = tissue.uns(keys::SPATIAL)?.as_dict()?;
    libraries.get(slice).or_else(|| libraries.values().next().filter(|_| libraries.len() == 1))
}

pub(super) fn scale_factor(library: Option<&Value>, key: &str) -> Option<f64> {
    library?.get(keys::SCALEFACTORS)?.get(key)?.as_f64().filter(|v| v.is_finite() && *v > 0.0)
}

pub(super) fn spot_diameter(library: Option<&Value>) -> Option<f64> {
    scale_factor(library, keys::SPOT_DIAMETER_FULLRES)
}

/// Boundaries of the cells in `rows`: those asked for, or those of the cells where nothing else is.
fn boundaries(
    tissue: &Tissue,
    request: &PictureRequest,
    library: Option<&Value>,
    rows: &[usize],
) -> Result<Option<Boundaries>, PipelineError> {
    let asked = matches!(request.shape, Some(PictureShape::Cells | PictureShape::Nuclei));
    if !asked && (request.shape.is_some() || request.spot_size.is_some()) {
        return Ok(None);
    }
    let key = if request.shape == Some(PictureShape::Nuclei) {
        keys::NUCLEUS_BOUNDARIES
    } else {
        keys::CELL_BOUNDARIES
    };
    let stored = library.and_then(|library| stored_boundaries(library.get(key)?));
    let Some((lines, vertices)) = stored else {
        if asked {
            let has = [keys::CELL_BOUNDARIES, keys::NUCLEUS_BOUNDARIES];
            let has = has.iter().find(|key| library.and_then(|library| library.get(key)).is_some());
            let has = has.map_or(String::new(), |has| format!(" ({has} alone)"));
            let asked = if key == keys::NUCLEUS_BOUNDARIES { "nuclei" } else { "cells" };
            let found = format!("{asked}, while the file keeps no {key}{has}");
            let expected = "circle, square or hexagon, or the folder of an instrument that draws cells";
            return Err(PipelineError::option("shape", found, expected));
        }
        return Ok(None);
    };
    let names: Vec<&str> = rows.iter().map(|&i| tissue.obs_names()[i].as_str()).collect();
    let Some(known_as) = known_as(&names, &lines) else { return Ok(None) };
    let own = |name: &&str| lines.get(known_as(name)).map_or(&[][..], |line| &vertices[line.clone()]);
    Ok(Some(Boundaries::new(names.iter().map(own))))
}

/// How cells of one slice are found among its outlines: as they are called, or, where joining files put the slice's name or
/// number behind or before each of them, without it. Nothing where hardly one is found: they were named anew.
fn known_as(names: &[&str], lines: &HashMap<&str, Range<usize>>) -> Option<fn(&str) -> &str> {
    // As anndata (`index_unique`), scanpy and Seurat write it.
    let ways: [fn(&str) -> &str; 6] = [
        |name| name,
        |name| name.rsplit_once('-').map_or(name, |(cell, _)| cell),
        |name| name.rsplit_once('_').map_or(name, |(cell, _)| cell),
        |name| name.split_once('_').map_or(name, |(_, cell)| cell),
        |name| name.split_once('-').map_or(name, |(_, cell)| cell),
        |name| name.rsplit_once(':').map_or(name, |(cell, _)| cell),
    ];
    let found = |way: fn(&str) -> &str| {
        let mut cells: Vec<&str> = names.iter().map(|name| way(name)).collect();
        let n = cells.iter().filter(|cell| lines.contains_key(*cell)).count();
        cells.sort_unstable();
        cells.dedup();
        // What makes two cells one has cut off more than the slice.
        if cells.len() == names.len() { n } else { 0 }
    };
    if names.iter().any(|name| lines.contains_key(name)) {
        return Some(ways[0]);
    }
    ways.into_iter().skip(1).find(|way| 2 * found(*way) > names.len())
}

/// Lines by the name of their cell, and their vertices.
type Lines<'a> = (HashMap<&'a str, Range<usize>>, Vec<[f64; 2]>);

/// What the readers keep: `ids`, `starts` (one more than ids) and `vertices`; nothing where these do not fit.
fn stored_boundaries(stored: &Value) -> Option<Lines<'_>> {
    let Value::Array(Array::String(ids)) = stored.get("ids")? else { return None };
    let starts = stored.get("starts")?.as_array()?.to_f64()?;
    let vertices = stored.get("vertices")?.as_array()?.to_f64()?;
    let fits = vertices.ndim() == 2 && vertices.shape()[1] == 2 && starts.len() == ids.len() + 1;
    if !fits {
        return None;
    }
    let starts: Vec<usize> = starts.iter().map(|v| *v as usize).collect();
    let vertices: Vec<[f64; 2]> = vertices.axis_iter(Axis(0)).map(|v| [v[0], v[1]]).collect();
    let in_order = starts.is_sorted() && starts.last().is_some_and(|end| *end <= vertices.len());
    let lines = ids.iter().zip(starts.array_windows()).map(|(id, [a, b])| (id.as_str(), *a..*b));
    in_order.then(|| (lines.collect(), vertices))
}

/// A view of a whole slide, coordinates times `scale` being its pixels.
pub(super) fn image_of_slide(placed: &Placed, seen: Array3<u8>, scale: f64) -> Image {
    let (height, width, _) = seen.dim();
    let shrunk = height.max(width) as f64 / placed.slide.height().max(placed.slide.width()) as f64;
    Image { width, height, rgb: seen.into_iter().collect(), scale: scale * shrunk }
}

/// The histology picture of a slice, the finer one where there are two.
pub(super) fn image_of(library: Option<&Value>, monitor: &dyn Monitor) -> Option<Image> {
    let images = library?.get(keys::IMAGES)?;
    let candidates = [(keys::HIRES, keys::TISSUE_HIRES_SCALEF), (keys::LOWRES, keys::TISSUE_LOWRES_SCALEF)];
    for (key, factor) in candidates {
        let (Some(array), Some(scale)) =
            (images.get(key).and_then(Value::as_array), scale_factor(library, factor))
        else {
            continue;
        };
        let seen = Slide::from_image(array).map_err(PipelineError::from).and_then(|slide| {
            // As it is: it is the small copy.
            overview(&slide, slide.width().max(slide.height()))
        });
        match seen {
            Ok(seen) => {
                let (height, width, _) = seen.dim();
                return Some(Image { width, height, rgb: seen.into_iter().collect(), scale });
            }
            Err(_) => monitor.note(&format!(
                "the picture {key:?} is a {} array of shape {:?}, not a picture; left out",
                array.dtype(),
                array.shape()
            )),
        }
    }
    None
}

pub(super) fn spot(
    shape: Option<PictureShape>,
    diameter: Option<f64>,
    coordinates: &Array2<f64>,
) -> SpotShape {
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
                PictureShape::Square => SpotShape::Square { side: d, angle: 0.0 },
                PictureShape::Hexagon => SpotShape::Hexagon { pitch: d, angle: 0.0 },
                // What has no boundary is drawn as a circle.
                PictureShape::Circle | PictureShape::Cells | PictureShape::Nuclei => {
                    SpotShape::Circle { diameter: d }
                }
            }
        }
    }
}

/// The colours of the spots in `rows`.
pub(super) fn select(color: &Color, rows: &[usize]) -> Color {
    match color {
        Color::None => Color::None,
        Color::Categorical { codes, names, palette } => Color::Categorical {
            codes: rows.iter().map(|&i| codes[i]).collect(),
            names: names.clone(),
            palette: palette.clone(),
        },
        Color::Continuous { values, name, limits, colormap, note } => Color::Continuous {
            values: rows.iter().map(|&i| values[i]).collect(),
            name: name.clone(),
            limits: *limits,
            colormap: *colormap,
            note: note.clone(),
        },
    }
}

/// What a key stands for, one title and colour a panel: an obs column, a feature of some modality, a table.
fn color(
    tissue: &Tissue,
    key: &str,
    request: &PictureRequest,
) -> Result<Vec<(String, Color)>, PipelineError> {
    if let Some(table) = key.strip_prefix(OBSM) {
        return table_colors(tissue, table, key);
    }
    if let Some(column) = tissue.obs_column(key) {
        return Ok(vec![(title_of(key), color_of_column(tissue, &column, key))]);
    }
    for modality in tissue.modalities() {
        // `rna:gene` names the modality, as MuData's own column names do.
        let name = key.strip_prefix(&format!("{}:", modality.name)).unwrap_or(key);
        let Some(j) = tissue.var_names(modality).iter().position(|v| v == name) else { continue };
        return match &request.denoised {
            Some(run) => denoised_pair(tissue, modality, name, j, run),
            None => Ok(vec![(key.to_owned(), feature(tissue, modality, j, request.layer.as_deref())?)]),
        };
    }
    if tissue.table(key).is_some() {
        return table_colors(tissue, key, key);
    }
    let mut columns = tissue.obs_columns();
    columns.extend(tissue.obsm_names().into_iter().map(|k| format!("{OBSM}{k}")));
    let of_modalities = tissue.modalities().iter().flat_map(|m| tissue.var_names(m));
    let known = columns.iter().chain(of_modalities).map(String::as_str);
    let near = nearest_of(key, known, MOST_NEAR).into_iter().map(str::to_owned).collect();
    Err(PipelineError::UnknownColor { key: key.to_owned(), columns, near })
}

/// A feature from a layer: the one named, else log-normalised values where there are some, else `X`.
fn feature(
    tissue: &Tissue,
    modality: &ModalityInfo,
    j: usize,
    layer: Option<&str>,
) -> Result<Color, PipelineError> {
    let layers = tissue.layer_names(modality);
    let log = layers.iter().any(|l| l == LOG_NORMALIZED).then_some(LOG_NORMALIZED);
    let chosen = layer.or(log);
    let counts = tissue.counts(modality, chosen)?;
    let values = column_of(&counts, j);
    let is_counts = values.iter().all(|v| *v >= 0.0 && v.fract() == 0.0);
    let label = match chosen {
        Some(LOG_NORMALIZED) => "log-normalised",
        Some(keys::COUNTS) => "counts",
        Some(layer) => layer,
        None if is_counts => "counts",
        // What scanpy's `log1p` leaves beside the values.
        None if tissue.uns(keys::LOG1P).is_some() => "log-normalised",
        None => "",
    };
    Ok(continuous(values, label, None))
}

pub(super) fn column_of(matrix: &CsrMatrix<f32>, j: usize) -> Vec<f64> {
    (0..matrix.n_rows()).map(|i| f64::from(matrix.view().get(i, j).unwrap_or(0.0))).collect()
}

fn continuous(values: Vec<f64>, name: &str, limits: Option<(f64, f64)>) -> Color {
    let (name, note) = (name.to_owned(), String::new());
    Color::Continuous { values, name, limits, colormap: ColorMap::default(), note }
}

/// `layers` and `var` key of what a run denoised.
fn denoised_key(run: &str) -> String {
    format!("{run}_denoised")
}

/// A feature as it was measured, on the scale of the denoised one, and denoised.
fn denoised_pair(
    tissue: &Tissue,
    modality: &ModalityInfo,
    name: &str,
    j: usize,
    run: &str,
) -> Result<Vec<(String, Color)>, PipelineError> {
    let key = denoised_key(run);
    let seen = tissue.var_column(modality, &key).and_then(Column::to_f64);
    if seen.is_some_and(|seen| seen.get(j) == Some(&0.0)) {
        return Err(PipelineError::NotDenoised { feature: name.to_owned(), run: run.to_owned() });
    }
    let record = tissue.uns(run);
    let entry = record.and_then(|r| r.get("features")?.get(&modality.name));
    let kind = entry.and_then(|e| e.get("modality")?.as_str()?.parse().ok()).unwrap_or(modality.kind);
    let options = record.and_then(|r| r.get("params")?.get("preprocess"));
    let target_sum = options.and_then(|o| o.get("target_sum")?.as_f64()).unwrap_or(1e4);
    let layer = options.and_then(|o| o.get("layer")?.as_str());
    let normalized = options.and_then(|o| o.get("normalized")?.as_f64()).is_some_and(|v| v != 0.0);
    let denoised = tissue.counts(modality, Some(&key))?;
    let measured = tissue.counts(modality, layer)?;
    let measured = if normalized { measured } else { comparable(measured, kind, target_sum) };
    let scale = match kind {
        Modality::Rna => "log-normalised",
        Modality::Adt => "CLR",
        Modality::Atac => "log TF-IDF",
    };
    Ok(vec![
        (format!("{name}, measured"), continuous(column_of(&measured, j), scale, None)),
        (format!("{name}, denoised"), continuous(column_of(&denoised, j), scale, None)),
    ])
}

/// The tables a colour may mean: `KEY`, or what follows `obsm:`, with or without a column.
fn table_names(key: &str) -> Vec<&str> {
    let table = key.strip_prefix(OBSM).unwrap_or(key);
    let mut names = vec![table];
    names.extend(table.rsplit_once(':').map(|(table, _)| table));
    names
}

fn unknown_table(key: &str, columns: Vec<String>) -> PipelineError {
    let near = nearest_of(key, columns.iter().map(String::as_str), MOST_NEAR);
    let near = near.into_iter().map(str::to_owned).collect();
    let columns = columns.into_iter().take(MAX_PANELS).collect();
    PipelineError::UnknownColor { key: key.to_owned(), columns, near }
}

/// One panel per column of `obsm[KEY]`, or the one column of `KEY:COLUMN`.
fn table_colors(tissue: &Tissue, table: &str, key: &str) -> Result<Vec<(String, Color)>, PipelineError> {
    let whole = tissue.table(table).map(|(names, numbers)| (table, None, names, numbers));
    let found = whole.or_else(|| {
        let (table, column) = table.rsplit_once(':')?;
        let (names, numbers) = tissue.table(table)?;
        Some((table, Some(column), names, numbers))
    });
    let Some((table, column, names, numbers)) = found else {
        let columns = tissue.obsm_names().into_iter().map(|k| format!("{OBSM}{k}")).collect();
        return Err(unknown_table(key, columns));
    };
    if let Some(column) = column {
        let Some(j) = names.iter().position(|n| n == column) else {
            let columns = names.iter().map(|n| format!("{OBSM}{table}:{n}")).collect();
            return Err(unknown_table(key, columns));
        };
        return Ok(vec![(
            format!("{}: {column}", title_of(table)),
            continuous(numbers.column(j).to_vec(), "", None),
        )]);
    }
    if names.len() > MAX_PANELS {
        return Err(PipelineError::option(
            "color",
            format!("{key}, a table of {} columns", names.len()),
            "one column of it (obsm:KEY:0)",
        ));
    }
    // Shares of a whole are compared with each other, so they are drawn on one scale.
    let shares = names.len() > 1
        && numbers.rows().into_iter().all(|r| (r.sum() - 1.0).abs() < 1e-3 && r.iter().all(|v| *v >= 0.0));
    let limits = shares.then(|| numbers.iter().fold((1.0f64, 0.0f64), |(l, h), v| (l.min(*v), h.max(*v))));
    let panel = |(j, name): (usize, &String)| {
        (format!("{}: {name}", title_of(table)), continuous(numbers.column(j).to_vec(), "", limits))
    };
    Ok(names.iter().enumerate().map(panel).collect())
}

/// Where scanpy keeps the colours of the categories of an obs column.
pub(super) fn colors_key(key: &str) -> String {
    format!("{key}_colors")
}

/// The texts of a vector in `uns`; `None` for anything else.
pub(super) fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(Array::String(texts)) => Some(texts.iter().cloned().collect()),
        Value::Column(column) => column.to_strings().into_iter().collect(),
        _ => None,
    }
}

fn color_of_column(tissue: &Tissue, column: &Column, key: &str) -> Color {
    let distinct = |column: &Column| column.to_categorical().categories.len();
    let numeric = match column {
        Column::Float32(_) | Column::Float64(_) => true,
        Column::Int(_) | Column::NullableInt(_) => distinct(column) > MAX_CATEGORIES_OF_NUMBERS,
        _ => false,
    };
    if numeric && let Some(values) = column.to_f64() {
        return continuous(values, unit_of(key), None);
    }
    let labels = column.to_categorical();
    let given = tissue.uns(&colors_key(key)).and_then(texts);
    Color::Categorical {
        codes: labels.codes.iter().map(|&c| u32::try_from(c).ok()).collect(),
        palette: Some(category_colors(labels.categories.len(), given.as_deref())),
        names: labels.categories,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_known_under_the_names_that_a_join_gives_them() {
        let ids = ["AAAC-1", "AAAG-1", "AAAT-1"];
        let lines: HashMap<&str, Range<usize>> = ids.iter().map(|id| (*id, 0..1)).collect();
        let known = |names: [&'static str; 3]| {
            known_as(&names, &lines).map(|known_as| names.map(|name| known_as(name).to_owned()))
        };
        let plain = ids.map(str::to_owned);
        assert_eq!(known(ids), Some(plain.clone()));
        assert_eq!(known(["AAAC-1-b", "AAAG-1-b", "AAAT-1-b"]), Some(plain.clone()));
        assert_eq!(known(["AAAC-1_2", "AAAG-1_2", "AAAT-1_2"]), Some(plain.clone()));
        assert_eq!(known(["s_AAAC-1", "s_AAAG-1", "s_AAAT-1"]), Some(plain));
        // Without the ending two cells would be one; and others are not in the list.
        assert_eq!(known(["AAAC-1-a", "AAAC-1-b", "AAAT-1-a"]), None);
        assert_eq!(known(["c1", "c2", "c3"]), None);
        // Some are there as they are called: the others were not outlined.
        assert_eq!(known(["AAAC-1", "x-1", "y-1"]), Some(["AAAC-1", "x-1", "y-1"].map(str::to_owned)));
    }
}
