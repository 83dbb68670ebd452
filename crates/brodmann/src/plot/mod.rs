//! What does the tissue look like? Spots in their true shape and size, coloured by a domain or a number.
//!
//! Last in the pipeline: takes coordinates, labels and values, gives the bytes of a picture; writing them to a
//! file is the caller's. One [`Figure`] describes the picture, `layout` turns it into a list of marks, and two
//! backends draw the same list.
//!
//! * [`figure`]: [`Figure`], [`Panel`], [`Color`], [`Image`]: what is to be seen; [`PlotError`].
//! * [`chart`]: [`Chart`]: curves over the epochs of a training.
//! * [`histogram`]: [`Histogram`]: how numbers are distributed. [`sheet`]: [`Sheet`]: figures and histograms on one page.
//! * [`color`]: [`palette`] for categories (colour-blind safe), [`ColorMap`] for numbers.
//! * [`shape`]: [`SpotShape`], [`detect_shape`]: hexagon, square or circle.
//! * `layout`: panels in a grid, legends outside, colour bars, scale bars.
//! * `boundaries`: lines around cells.
//! * `spots`: which spot has which colour and place; pixels of very many spots.
//! * `ticks`: round numbers for axes.
//! * `text`, `glyphs`: a stroke font, since a font file would bring a licence of its own.
//! * [`png`]: [`render_png`]. [`svg`]: [`render_svg`].

mod boundaries;
pub mod chart;
pub mod color;
pub mod figure;
mod glyphs;
pub mod histogram;
mod layout;
pub mod png;
pub mod shape;
pub mod sheet;
mod spots;
pub mod svg;
mod text;
mod ticks;

pub use boundaries::Boundaries;
pub use chart::{Chart, ChartPanel, Series, render_chart_png, render_chart_svg};
pub use color::{ColorMap, MISSING, Rgb, category_colors, palette};
pub use figure::{Color, Figure, Image, Panel, PlotError, RenderOptions};
pub use histogram::Histogram;
pub use png::render_png;
pub use shape::{SpotShape, detect_shape, median_neighbor_distance};
pub use sheet::{Part, Sheet, render_sheet_png, render_sheet_svg};
pub use svg::render_svg;

#[cfg(test)]
mod tests;
