//! What does the tissue look like? Spots in their true shape and size, coloured by a domain or a number.
//!
//! Last in the pipeline: takes coordinates, labels and values, gives the bytes of a picture; writing them to a
//! file is the caller's. One [`Figure`] describes the picture, `layout` turns it into a list of marks, and three
//! backends draw the same list.
//!
//! * [`figure`]: [`Figure`], [`Panel`], [`Color`], [`Image`]: what is to be seen; [`PlotError`].
//! * [`chart`]: [`Chart`]: curves over the epochs of a training.
//! * [`histogram`]: [`Histogram`]: how numbers are distributed.
//! * [`plots`]: [`Plot`]: what is in a domain, any of [`Volcano`], [`Violins`], [`DotPlot`], [`HeatMap`], [`Bars`],
//!   [`StackedBars`], [`Curves`], [`Scatter`], [`Arcs`]; a file each. [`groups`]: [`Groups`]: the domains, with their colours.
//! * [`sheet`]: [`Sheet`]: figures, histograms and plots on one page.
//! * [`color`]: [`palette`] for categories (colour-blind safe), [`ColorMap`] for numbers. [`mod@match_colors`]: one
//!   colour for a domain and its counterpart in another labelling.
//! * [`shape`]: [`SpotShape`], [`detect_shape`]: hexagon, square or circle.
//! * `layout`: panels in a grid, scale bars. `legend`: names beside swatches, colour bars. `axes`: numbers and names
//!   beside a plot. `label_placement`: names beside points.
//! * `density`: kernel densities. [`linkage`]: dendrograms. `cells`: grids of coloured cells.
//! * `boundaries`: lines around cells.
//! * `spots`: which spot has which colour and place; pixels of very many spots.
//! * `ticks`: round numbers for axes.
//! * `text`, `glyphs`: a stroke font, since a font file would bring a licence of its own.
//! * [`mod@color_limits`]: [`color_limits()`]: where the colours of numbers end.
//! * [`png`]: [`render_png`]. [`svg`]: [`render_svg`]. `pdf`: the same marks as a PDF. [`picture_format`]:
//!   [`PictureFormat`]: which of them.

pub mod arcs;
mod axes;
pub mod bars;
mod boundaries;
mod cells;
pub mod chart;
pub mod color;
pub mod color_limits;
pub mod curves;
mod density;
pub mod dot_plot;
pub mod figure;
mod glyphs;
pub mod groups;
pub mod heat_map;
pub mod histogram;
mod label_placement;
mod layout;
mod legend;
pub mod linkage;
pub mod match_colors;
mod pdf;
pub mod picture_format;
pub mod plots;
pub mod png;
pub mod scatter;
pub mod shape;
pub mod sheet;
mod spots;
pub mod stacked_bars;
pub mod svg;
mod text;
mod ticks;
pub mod violins;
pub mod volcano;

pub use arcs::{ArcGene, Arcs, LinkArc};
pub use bars::{Bar, Bars};
pub use boundaries::Boundaries;
pub use chart::{Chart, ChartPanel, Series, render_chart_png, render_chart_svg};
pub use color::{ColorMap, MISSING, Rgb, category_colors, palette};
pub use color_limits::{Bound, ColorLimits, PERCENTILES, color_limits};
pub use curves::{Curve, Curves};
pub use dot_plot::{Bracket, DotPlot};
pub use figure::{Border, Color, Figure, Image, Panel, PanelLegend, PlotError, RenderOptions};
pub use groups::Groups;
pub use heat_map::{HeatMap, Limits, Strip};
pub use histogram::Histogram;
pub use linkage::{Distance, Merge, Tree, tree};
pub use match_colors::match_colors;
pub use picture_format::PictureFormat;
pub use plots::Plot;
pub use png::{render_png, rgb_png, undrawn};
pub use scatter::Scatter;
pub use shape::{SpotShape, detect_shape, median_neighbor_distance};
pub use sheet::{Part, Sheet, render_sheet_png, render_sheet_svg, undrawn_in_sheet};
pub use stacked_bars::StackedBars;
pub use svg::render_svg;
pub use violins::{ViolinKind, ViolinRow, Violins};
pub use volcano::{Volcano, VolcanoPanel};

#[cfg(test)]
mod tests;
