//! A page of several parts, one below the other: maps of a tissue, histograms, plots, words.

use super::color::Rgb;
use super::figure::{Figure, PlotError, RenderOptions};
use super::histogram::{self, Histogram};
use super::layout::{Anchor, FAINT, INK, Scene, layout, line_of_text};
use super::plots::{Block, Plot, flow, grid};
use super::png::{scene_png, scene_undrawn};
use super::svg::scene_svg;

/// Widest plot of a histogram.
const WIDEST: f64 = 420.0;

/// A page.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// A line over all; empty for none.
    pub title: String,
    /// From top to bottom.
    pub parts: Vec<Part>,
    /// Height of an em in pixels (96 to the inch); figures have their own.
    pub font_size: f64,
}

impl Default for Sheet {
    fn default() -> Self {
        Self { title: String::new(), parts: Vec::new(), font_size: 12.0 }
    }
}

/// What stands on a page.
#[derive(Clone, Debug)]
pub enum Part {
    /// Maps.
    Maps(Box<Figure>),
    /// Side by side, as wide as the maps together.
    Histograms(Vec<Histogram>),
    /// Side by side, each as large as what it shows needs, in as many rows as the page's width asks for.
    Plots(Vec<Plot>),
    /// As many in a row as the number says, each in a cell as large as the largest needs.
    Grid(Vec<Plot>, usize),
    /// A line of small print.
    Caption(String),
}

/// Draws the sheet as the bytes of a PNG file.
///
/// # Errors
/// As [`super::render_png`]; [`PlotError::NoPanels`] for a sheet without parts.
pub fn render_sheet_png(sheet: &Sheet, options: &RenderOptions) -> Result<Vec<u8>, PlotError> {
    scene_png(&stacked(sheet, options)?, options)
}

/// Characters that [`render_sheet_png`] draws as boxes; see [`super::undrawn`].
///
/// # Errors
/// As [`render_sheet_png`].
pub fn undrawn_in_sheet(sheet: &Sheet, options: &RenderOptions) -> Result<Vec<char>, PlotError> {
    Ok(scene_undrawn(&stacked(sheet, options)?))
}

/// Draws the sheet as SVG text.
///
/// # Errors
/// As [`render_sheet_png`].
pub fn render_sheet_svg(sheet: &Sheet, options: &RenderOptions) -> Result<String, PlotError> {
    scene_svg(&stacked(sheet, options)?, options)
}

pub(super) fn stacked(sheet: &Sheet, options: &RenderOptions) -> Result<Scene, PlotError> {
    if sheet.parts.is_empty() {
        return Err(PlotError::NoPanels);
    }
    for (what, value, most) in
        [("the font size", sheet.font_size, 1000.0), ("the DPI", options.dpi, 10_000.0)]
    {
        if !(value > 0.0 && value <= most) {
            let expected = "a number above 0, in the hundreds at most";
            return Err(PlotError::OutOfRange { what, value, expected });
        }
    }
    let em = sheet.font_size;
    let maps: Vec<Option<Scene>> = sheet
        .parts
        .iter()
        .map(|part| match part {
            Part::Maps(figure) => layout(figure, options).map(Some),
            Part::Histograms(_) | Part::Plots(_) | Part::Grid(..) | Part::Caption(_) => Ok(None),
        })
        .collect::<Result<_, _>>()?;
    let alone = 2.0 * em + 3.0 * 300.0;
    let widest = maps.iter().flatten().map(|scene| scene.width).fold(0.0, f64::max);
    // A grid is as wide as it needs to be.
    let has_width = sheet.parts.iter().all(|part| matches!(part, Part::Grid(..) | Part::Caption(_)));
    let mut total = if widest > 0.0 || has_width { widest } else { alone };
    // Plots need room side by side even where maps are narrow; a wide one makes the page wider.
    let has_plots = sheet.parts.iter().any(|part| matches!(part, Part::Plots(_)));
    total = if has_plots { total.max(alone) } else { total };
    let mut plots: Vec<Option<Block>> = Vec::with_capacity(sheet.parts.len());
    for part in &sheet.parts {
        let (own, columns) = match part {
            Part::Plots(own) => (own, None),
            Part::Grid(own, columns) => (own, Some(*columns)),
            _ => {
                plots.push(None);
                continue;
            }
        };
        let room = if columns.is_some() { alone } else { total } - 2.0 * em;
        let blocks: Vec<Block> = own.iter().map(|plot| plot.block(em, room)).collect::<Result<_, _>>()?;
        let block = if let Some(columns) = columns {
            grid(blocks, columns, 2.4 * em)
        } else {
            let widest = blocks.iter().map(|block| block.width).fold(0.0, f64::max);
            total = total.max(widest + 2.0 * em);
            flow(blocks, total - 2.0 * em, 2.4 * em)
        };
        total = total.max(block.width + 2.0 * em);
        plots.push(Some(block));
    }
    let mut marks = Vec::new();
    let mut y = 0.0;
    if !sheet.title.is_empty() {
        marks.push(line_of_text(
            [em, 2.1 * em],
            1.3 * em,
            true,
            Anchor::Start,
            INK,
            &sheet.title,
            total - 2.0 * em,
        ));
        y += 2.4 * em;
    }
    for ((part, scene), block) in sheet.parts.iter().zip(maps).zip(plots) {
        if let Some(block) = block {
            marks.extend(block.marks.into_iter().map(|mark| mark.moved(em, y + em)));
            y += block.height + 2.0 * em;
        }
        match (part, scene) {
            (_, Some(scene)) => {
                marks.extend(scene.marks.into_iter().map(|mark| mark.moved(0.0, y)));
                y += scene.height;
            }
            (Part::Histograms(plots), _) => {
                let (n, gap) = (plots.len().max(1) as f64, 2.0 * em);
                let w = ((total - 2.0 * em - (n - 1.0) * gap) / n).clamp(8.0 * em, WIDEST);
                for (k, plot) in plots.iter().enumerate() {
                    histogram::draw(plot, [em + k as f64 * (w + gap), y], w, em, &mut marks);
                }
                y += histogram::height(em, w) + 0.6 * em;
            }
            (Part::Caption(text), _) => {
                let most = total - 2.0 * em;
                marks.push(line_of_text(
                    [em, y + 0.9 * em],
                    0.9 * em,
                    false,
                    Anchor::Start,
                    FAINT,
                    text,
                    most,
                ));
                y += 1.5 * em;
            }
            (Part::Maps(_) | Part::Plots(_) | Part::Grid(..), None) => {}
        }
    }
    Ok(Scene {
        width: total.ceil(),
        height: (y + 0.6 * em).ceil(),
        background: Rgb(255, 255, 255),
        title: sheet.title.clone(),
        marks,
    })
}
