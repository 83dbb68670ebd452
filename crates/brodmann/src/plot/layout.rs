//! From a figure to a list of marks: where panels, legends, colour bars and scale bars go.
//!
//! All lengths are pixels of 1/96 inch, y downwards. Legends stand outside, to the right of their plot; panels of
//! a row share their top, panels of a column their left edge.

use std::sync::Arc;

use super::cells::CellLayer;
use super::color::{MISSING, Rgb};
use super::figure::{Color, Figure, Image, Panel, PanelLegend, PlotError, RenderOptions};
use super::legend::{Entry, Legend, Scale};
use super::shape::{SpotShape, detect_shape};
use super::spots::{Coloring, Outline, SpotLayer, coloring};
use super::text::{fitted, width};
use super::ticks::round_below;

pub(super) const INK: Rgb = Rgb(0x1A, 0x1A, 0x1A);
pub(super) const FAINT: Rgb = Rgb(0x6E, 0x6E, 0x6E);
pub(super) const LINE: Rgb = Rgb(0xB0, 0xB0, 0xB0);
/// What is out of order: rings and marks.
pub(super) const ALARM: Rgb = Rgb(0xD5, 0x1E, 0x00);
/// Widest line around a spot, as a share of its radius.
const EDGE: f64 = 0.35;
/// Widths of the white line around a category and of the coloured one over it.
const BORDER: [f64; 2] = [3.4, 1.8];
/// Smallest and largest radius of a ring around a spot.
const RING: [f64; 2] = [2.6, 12.0];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    /// Which share of a text lies before its place.
    pub(super) fn share(self) -> f64 {
        match self {
            Self::Start => 0.0,
            Self::Middle => 0.5,
            Self::End => 1.0,
        }
    }
}

/// One thing to draw.
#[derive(Clone, Debug)]
pub(super) enum Mark {
    Rect {
        x: f64,
        y: f64,
        w: f64,
        h: f64,
        radius: f64,
        fill: Option<Rgb>,
        stroke: Option<(Rgb, f64)>,
    },
    Line {
        from: [f64; 2],
        to: [f64; 2],
        color: Rgb,
        width: f64,
    },
    /// A line through all points.
    Path {
        points: Vec<[f64; 2]>,
        color: Rgb,
        width: f64,
    },
    /// The area within a line.
    Area {
        points: Vec<[f64; 2]>,
        fill: Rgb,
        opacity: f64,
        stroke: Option<(Rgb, f64)>,
    },
    /// `y` is the baseline; `full` the text before it was shortened.
    Text {
        x: f64,
        y: f64,
        size: f64,
        bold: bool,
        anchor: Anchor,
        color: Rgb,
        text: String,
        full: Option<String>,
        way: Way,
    },
    /// Colours from the bottom to the top.
    Bar {
        x: f64,
        y: f64,
        w: f64,
        h: f64,
        stops: Vec<Rgb>,
    },
    /// `source`: x, y, width, height in image pixels shown in the rectangle; `flip` turns it upside down.
    Picture {
        x: f64,
        y: f64,
        w: f64,
        h: f64,
        image: Arc<Image>,
        source: [f64; 4],
        flip: bool,
    },
    Spots(SpotLayer),
    Cells(CellLayer),
}

/// How a line of text is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Way {
    #[default]
    Across,
    /// Turned to the left: read from the bottom to the top, `x` being the baseline.
    Upwards,
    /// With a white seam, over what is drawn.
    Over,
}

impl Mark {
    /// The mark, further right by `dx` and lower by `dy`.
    pub(super) fn moved(mut self, dx: f64, dy: f64) -> Self {
        let shift = |p: &mut [f64; 2]| {
            p[0] += dx;
            p[1] += dy;
        };
        match &mut self {
            Self::Rect { x, y, .. }
            | Self::Text { x, y, .. }
            | Self::Bar { x, y, .. }
            | Self::Picture { x, y, .. } => {
                *x += dx;
                *y += dy;
            }
            Self::Line { from, to, .. } => {
                shift(from);
                shift(to);
            }
            Self::Path { points, .. } | Self::Area { points, .. } => points.iter_mut().for_each(shift),
            Self::Spots(layer) => {
                layer.centres.iter_mut().for_each(shift);
                layer.boundaries.iter_mut().for_each(|b| b.shift(dx, dy));
                layer.clip[0] += dx;
                layer.clip[1] += dy;
            }
            Self::Cells(layer) => {
                layer.place[0] += dx;
                layer.place[1] += dy;
            }
        }
        self
    }

    /// A text from the bottom to the top.
    pub(super) fn upwards(mut self) -> Self {
        if let Self::Text { way, .. } = &mut self {
            *way = Way::Upwards;
        }
        self
    }

    /// A text with a white seam.
    pub(super) fn over(mut self) -> Self {
        if let Self::Text { way, .. } = &mut self {
            *way = Way::Over;
        }
        self
    }
}

/// A figure laid out.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub width: f64,
    pub height: f64,
    pub background: Rgb,
    pub title: String,
    pub marks: Vec<Mark>,
}

/// A panel measured, in coordinate units.
struct View<'a> {
    panel: &'a Panel,
    shape: SpotShape,
    /// x, y, width, height shown.
    extent: [f64; 4],
    coloring: Coloring,
}

/// Where one panel's parts go.
struct Cell {
    plot: [f64; 2],
    legend: Legend,
    legend_size: [f64; 2],
    footer: f64,
}

/// Lays the figure out.
pub(super) fn layout(figure: &Figure, options: &RenderOptions) -> Result<Scene, PlotError> {
    figure.validate(options)?;
    let views: Vec<View<'_>> = figure.panels.iter().map(measure).collect();
    let n = views.len();
    let columns = figure.columns.unwrap_or_else(|| ((n as f64).sqrt().ceil() as usize).min(4)).clamp(1, n);
    let sheet = |size: f64| Sheet::new(figure, &views, columns, size);
    let mut chosen = sheet(figure.panel_size);
    if let Some(width) = figure.width {
        // The width grows with the panel size, but for steps where a legend changes its columns.
        let (mut low, mut high) = (1.0, width.max(2.0));
        for _ in 0..30 {
            let middle = f64::midpoint(low, high);
            if sheet(middle).width > width {
                high = middle;
            } else {
                low = middle;
            }
        }
        chosen = sheet(low);
        // Rounds up what bisection left; a legend wider than the figure makes the figure wider.
        chosen.width = chosen.width.max(width);
    }
    Ok(chosen.draw(figure, &views))
}

fn measure(panel: &Panel) -> View<'_> {
    let xy = &panel.coordinates;
    let placed: Vec<u32> = (0..xy.nrows())
        .filter(|&i| xy[[i, 0]].is_finite() && xy[[i, 1]].is_finite())
        .map(|i| i as u32)
        .collect();
    let shape = if panel.spot == SpotShape::Auto { detect_shape(xy.view()) } else { panel.spot };
    let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
    for &i in &placed {
        for k in 0..2 {
            low[k] = low[k].min(xy[[i as usize, k]]);
            high[k] = high[k].max(xy[[i as usize, k]]);
        }
    }
    for &i in placed.iter().filter(|_| panel.boundaries.is_some()) {
        for vertex in panel.boundaries.iter().flat_map(|b| b.of(i as usize)) {
            for k in 0..2 {
                low[k] = low[k].min(vertex[k]);
                high[k] = high[k].max(vertex[k]);
            }
        }
    }
    // What a spot reaches along each axis.
    let outline = Outline::new(shape, 1.0, false);
    let reach = match outline {
        Outline::Circle { radius } => [radius; 2],
        Outline::Polygon { .. } => {
            [0, 1].map(|k| outline.corners().iter().fold(0.0f64, |m, c| m.max(c[k].abs())))
        }
    };
    let margin = panel.image.as_ref().map_or(0.0, |_| 0.03 * (high[0] - low[0]).max(high[1] - low[1]));
    let extent = [
        low[0] - reach[0] - margin,
        low[1] - reach[1] - margin,
        high[0] - low[0] + 2.0 * (reach[0] + margin),
        high[1] - low[1] + 2.0 * (reach[1] + margin),
    ];
    let extent = match &panel.image {
        Some(image) => within_image(extent, margin, image),
        None => extent,
    };
    View { panel, shape, extent, coloring: coloring(panel, &placed) }
}

/// Takes back as much of the margin as lies beyond the image; spots are never cut.
fn within_image([x, y, w, h]: [f64; 4], margin: f64, image: &Image) -> [f64; 4] {
    let trim = |from: f64, length: f64, pixels: usize| {
        let end = (from + length).min((pixels as f64 / image.scale).max(from + length - margin));
        let from = from.max(0f64.min(from + margin));
        (from, end - from)
    };
    let ((x, w), (y, h)) = (trim(x, w, image.width), trim(y, h, image.height));
    [x, y, w, h]
}

/// All sizes for one panel size.
struct Sheet {
    em: f64,
    columns: usize,
    cells: Vec<Cell>,
    lefts: Vec<f64>,
    tops: Vec<f64>,
    column_widths: Vec<f64>,
    /// The widest plot of each column: legends stand right of it, below each other.
    plot_widths: Vec<f64>,
    title_height: f64,
    width: f64,
    height: f64,
}

impl Sheet {
    fn new(figure: &Figure, views: &[View<'_>], columns: usize, size: f64) -> Self {
        let em = figure.font_size;
        let margin = em;
        let title_height = if views.iter().any(|v| !v.panel.title.is_empty()) { 1.9 * em } else { 0.0 };
        let cells: Vec<Cell> = views.iter().map(|v| Cell::new(v, size, em)).collect();
        let rows = cells.len().div_ceil(columns);
        let (mut column_widths, mut row_heights) = (vec![0.0f64; columns], vec![0.0f64; rows]);
        let mut plot_widths = vec![0.0f64; columns];
        for (k, cell) in cells.iter().enumerate() {
            plot_widths[k % columns] = plot_widths[k % columns].max(cell.plot[0]);
        }
        for (k, cell) in cells.iter().enumerate() {
            let title = width(&views[k].panel.title, 1.1 * em, true).min(14.0 * em);
            let own = (plot_widths[k % columns] + cell.legend_size[0]).max(title);
            column_widths[k % columns] = column_widths[k % columns].max(own);
            let body = (cell.plot[1] + cell.footer).max(cell.legend_size[1]);
            row_heights[k / columns] = row_heights[k / columns].max(title_height + body);
        }
        let gap = 2.0 * em;
        let mut lefts = vec![margin];
        for w in &column_widths {
            lefts.push(lefts[lefts.len() - 1] + w + gap);
        }
        let heading = if figure.title.is_empty() { 0.0 } else { 2.4 * em };
        let mut tops = vec![margin + heading];
        for h in &row_heights {
            tops.push(tops[tops.len() - 1] + h + 1.5 * em);
        }
        Self {
            em,
            columns,
            width: lefts[columns] - gap + margin,
            height: tops[rows] - 1.5 * em + margin,
            cells,
            lefts,
            tops,
            column_widths,
            plot_widths,
            title_height,
        }
    }

    fn draw(&self, figure: &Figure, views: &[View<'_>]) -> Scene {
        let em = self.em;
        let mut marks = Vec::new();
        if !figure.title.is_empty() {
            let most = self.width - 2.0 * em;
            marks.push(line_of_text([em, em * 2.1], 1.3 * em, true, Anchor::Start, INK, &figure.title, most));
        }
        for (k, (view, cell)) in views.iter().zip(&self.cells).enumerate() {
            let (x, top) = (self.lefts[k % self.columns], self.tops[k / self.columns]);
            let y = top + self.title_height;
            if !view.panel.title.is_empty() {
                let most = self.column_widths[k % self.columns] + em;
                let at = [x, top + 1.1 * em];
                marks.push(line_of_text(at, 1.1 * em, true, Anchor::Start, INK, &view.panel.title, most));
            }
            draw_plot(view, cell, [x, y], &mut marks);
            if let Some(um) = view.panel.um_per_unit {
                draw_scale_bar(
                    um * view.extent[2] / cell.plot[0],
                    [x, y + cell.plot[1]],
                    cell.plot[0],
                    em,
                    &mut marks,
                );
            }
            let right = x + self.plot_widths[k % self.columns];
            cell.legend.draw([right + 1.2 * em, y], em, &mut marks);
        }
        Scene {
            width: self.width.ceil(),
            height: self.height.ceil(),
            background: figure.background,
            title: figure.title.clone(),
            marks,
        }
    }
}

impl Cell {
    fn new(view: &View<'_>, size: f64, em: f64) -> Self {
        let aspect = view.extent[2] / view.extent[3];
        // A row of spots still gets a visible height.
        let plot =
            if aspect >= 1.0 { [size, (size / aspect).max(2.0)] } else { [(size * aspect).max(2.0), size] };
        let legend = legend_of_colors(view.panel, &view.coloring, plot[1], em);
        let inner = legend.size(em);
        let legend_size = if inner[0] > 0.0 { [inner[0] + 1.2 * em, inner[1]] } else { [0.0; 2] };
        let footer = if view.panel.um_per_unit.is_some() { 2.4 * em } else { 0.0 };
        Self { plot, legend, legend_size, footer }
    }
}

fn draw_plot(view: &View<'_>, cell: &Cell, [x, y]: [f64; 2], marks: &mut Vec<Mark>) {
    let (panel, extent) = (view.panel, view.extent);
    let [w, h] = cell.plot;
    if let Some(image) = &panel.image {
        let source = extent.map(|v| v * image.scale);
        marks.push(Mark::Picture { x, y, w, h, image: Arc::clone(image), source, flip: !panel.y_down });
    }
    let order = &view.coloring.order;
    if !order.is_empty() && (panel.opacity > 0.0 || panel.edge.is_some() || !panel.borders.is_empty()) {
        let scale = [w / extent[2], h / extent[3]];
        let xy = &panel.coordinates;
        let place = |[u, v]: [f64; 2]| {
            let (u, v) = ((u - extent[0]) * scale[0], (v - extent[1]) * scale[1]);
            [x + u, y + if panel.y_down { v } else { h - v }]
        };
        let centre = |i: &u32| place([xy[[*i as usize, 0]], xy[[*i as usize, 1]]]);
        let centres = order.iter().map(centre).collect();
        let outline = Outline::new(view.shape, scale[0], !panel.y_down);
        // Of small spots a part remains within the line.
        let edge = panel.edge.map(|width| width.min(EDGE * outline.inradius()));
        marks.push(Mark::Spots(SpotLayer {
            centres,
            color_of: order.iter().map(|&i| view.coloring.color_of[i as usize]).collect(),
            colors: view.coloring.colors.clone(),
            outline,
            boundaries: panel.boundaries.as_ref().map(|b| b.placed(order, place)),
            opacity: panel.opacity,
            edge,
            clip: [x, y, w, h],
        }));
        if let Some((width, lines)) = panel.edge.zip(panel.boundaries.as_ref()) {
            for &i in order {
                let color = view.coloring.colors[view.coloring.color_of[i as usize] as usize];
                let line = lines.of(i as usize);
                let points: Vec<[f64; 2]> = line.iter().chain(line.first()).map(|v| place(*v)).collect();
                if points.len() > 1 {
                    marks.push(Mark::Path { points, color, width });
                }
            }
        }
        draw_borders(view, place, marks);
    }
    draw_rings(view, cell, [x, y], marks);
    if panel.frame {
        let stroke = Some((LINE, 0.8));
        marks.push(Mark::Rect { x, y, w, h, radius: 0.0, fill: None, stroke });
    }
}

/// Lines around categories, each within its own area so that neighbours do not hide each other's; white below, so
/// that they are told from tissue of any colour.
fn draw_borders(view: &View<'_>, place: impl Fn([f64; 2]) -> [f64; 2], marks: &mut Vec<Mark>) {
    let left = if view.panel.y_down { 1.0 } else { -1.0 };
    let rings: Vec<(Vec<[f64; 2]>, Rgb)> = view
        .panel
        .borders
        .iter()
        .filter_map(|border| {
            let color = *view.coloring.colors.get(border.code as usize)?;
            let ring: Vec<[f64; 2]> = border.ring.iter().map(|v| place(*v)).collect();
            Some((moved_left(&ring, left * BORDER[1] / 2.0), color))
        })
        .collect();
    for (white, width) in [(true, BORDER[0]), (false, BORDER[1])] {
        for (ring, color) in &rings {
            let points: Vec<[f64; 2]> = ring.iter().chain(ring.first()).copied().collect();
            let color = if white { Rgb(255, 255, 255) } else { *color };
            marks.push(Mark::Path { points, color, width });
        }
    }
}

/// A closed line, each of its sides further to the left (of who walks along it, y upwards) by `by`.
fn moved_left(ring: &[[f64; 2]], by: f64) -> Vec<[f64; 2]> {
    let count = ring.len();
    let normal = |a: [f64; 2], b: [f64; 2]| {
        let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
        let length = dx.hypot(dy);
        if length > 0.0 { [-dy / length, dx / length] } else { [0.0; 2] }
    };
    (0..count)
        .map(|k| {
            let (before, here, after) = (ring[(k + count - 1) % count], ring[k], ring[(k + 1) % count]);
            let (a, b) = (normal(before, here), normal(here, after));
            let sum = [a[0] + b[0], a[1] + b[1]];
            // By as much as keeps the distance from both sides, at most twice that at sharp corners.
            let scale = by / (0.5 * (sum[0] * sum[0] + sum[1] * sum[1])).max(0.5);
            [here[0] + scale * sum[0], here[1] + scale * sum[1]]
        })
        .collect()
}

/// Rings around spots, wide enough to be seen where spots are small.
fn draw_rings(view: &View<'_>, cell: &Cell, [x, y]: [f64; 2], marks: &mut Vec<Mark>) {
    let (panel, extent) = (view.panel, view.extent);
    let [w, h] = cell.plot;
    let scale = [w / extent[2], h / extent[3]];
    let radius = (1.3 * Outline::new(view.shape, scale[0], false).reach()).clamp(RING[0], RING[1]);
    for &i in &panel.ringed {
        let (u, v) = (panel.coordinates[[i as usize, 0]], panel.coordinates[[i as usize, 1]]);
        if !(u.is_finite() && v.is_finite()) {
            continue;
        }
        let (u, v) = ((u - extent[0]) * scale[0], (v - extent[1]) * scale[1]);
        let centre = [x + u, y + if panel.y_down { v } else { h - v }];
        // White below, so that the ring is told from spots of any colour.
        for (color, width) in [(Rgb(255, 255, 255), 2.0), (ALARM, 1.0)] {
            marks.push(Mark::Rect {
                x: centre[0] - radius,
                y: centre[1] - radius,
                w: 2.0 * radius,
                h: 2.0 * radius,
                radius,
                fill: None,
                stroke: Some((color, width)),
            });
        }
    }
}

fn draw_scale_bar(um_per_px: f64, [x, y]: [f64; 2], plot_width: f64, em: f64, marks: &mut Vec<Mark>) {
    let um = round_below(um_per_px * plot_width * 0.3);
    let length = um / um_per_px;
    let text = if um >= 1000.0 {
        format!("{} mm", um / 1000.0)
    } else {
        format!("{} µm", (um * 1e6).round() / 1e6)
    };
    let bar_y = y + 0.8 * em;
    marks.push(Mark::Line { from: [x, bar_y], to: [x + length, bar_y], color: INK, width: em * 0.2 });
    marks.push(line_of_text(
        [x, bar_y + 1.2 * em],
        0.9 * em,
        false,
        Anchor::Start,
        INK,
        &text,
        f64::INFINITY,
    ));
}

pub(super) fn line_of_text(
    at: [f64; 2],
    size: f64,
    bold: bool,
    anchor: Anchor,
    color: Rgb,
    text: &str,
    most: f64,
) -> Mark {
    let shown = fitted(text, size, bold, most);
    let full = (shown != text).then(|| text.to_owned());
    Mark::Text { x: at[0], y: at[1], size, bold, anchor, color, text: shown, full, way: Way::Across }
}

/// What the colours of a panel mean.
pub(super) fn legend_of_colors(panel: &Panel, coloring: &Coloring, plot_height: f64, em: f64) -> Legend {
    let missing = match panel.legend {
        PanelLegend::Hidden => return Legend::Nothing,
        PanelLegend::Shared { missing } => missing || coloring.n_missing > 0,
        PanelLegend::Own => coloring.n_missing > 0,
    };
    match &panel.color {
        Color::None => Legend::Nothing,
        Color::Categorical { names, .. } => {
            let mut entries: Vec<Entry> = names
                .iter()
                .enumerate()
                .map(|(k, name)| Entry::new(name, coloring.counts[k], coloring.colors[k], em))
                .collect();
            if missing {
                entries.push(Entry::new("missing", coloring.n_missing, MISSING, em));
            }
            Legend::categories(entries, plot_height, panel.counts, em)
        }
        Color::Continuous { name, colormap, note, .. } => {
            let Some(limits) = coloring.limits else {
                let entry = Entry::new("missing", coloring.n_missing, MISSING, em);
                return Legend::categories(vec![entry], plot_height, false, em);
            };
            let scale = Scale { limits, log: panel.log, colormap: *colormap };
            Legend::bar(scale, (name, note), missing, plot_height, em)
        }
    }
}
