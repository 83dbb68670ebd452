//! From a figure to a list of marks: where panels, legends, colour bars and scale bars go.
//!
//! All lengths are pixels of 1/96 inch, y downwards. Legends stand outside, to the right of their plot; panels of
//! a row share their top, panels of a column their left edge.

use std::sync::Arc;

use super::color::{MISSING, Rgb};
use super::figure::{Color, Figure, Image, Panel, PlotError, RenderOptions};
use super::shape::{SpotShape, detect_shape};
use super::spots::{Coloring, Outline, SpotLayer, coloring};
use super::text::{fitted, width};
use super::ticks::{grouped, labels, log1p_ticks, round_below, ticks};

pub(super) const INK: Rgb = Rgb(0x1A, 0x1A, 0x1A);
pub(super) const FAINT: Rgb = Rgb(0x6E, 0x6E, 0x6E);
pub(super) const LINE: Rgb = Rgb(0xB0, 0xB0, 0xB0);
/// What is out of order: rings and marks.
pub(super) const ALARM: Rgb = Rgb(0xD5, 0x1E, 0x00);
/// Smallest and largest radius of a ring around a spot.
const RING: [f64; 2] = [2.6, 12.0];
/// Samples of a colour bar's gradient.
const BAR_STOPS: usize = 65;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    End,
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
}

impl Mark {
    /// The mark, lower by `dy`.
    pub(super) fn lowered(mut self, dy: f64) -> Self {
        match &mut self {
            Self::Rect { y, .. } | Self::Text { y, .. } | Self::Bar { y, .. } | Self::Picture { y, .. } => {
                *y += dy;
            }
            Self::Line { from, to, .. } => {
                from[1] += dy;
                to[1] += dy;
            }
            Self::Path { points, .. } => points.iter_mut().for_each(|p| p[1] += dy),
            Self::Spots(layer) => {
                layer.centres.iter_mut().for_each(|c| c[1] += dy);
                layer.boundaries.iter_mut().for_each(|b| b.lower(dy));
                layer.clip[1] += dy;
            }
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

enum Legend {
    Nothing,
    Categories { entries: Vec<Entry>, rows: usize, column_widths: Vec<f64>, with_counts: bool },
    Bar { height: f64, ticks: Vec<(f64, String)>, name: String, stops: Vec<Rgb>, missing: Option<String> },
}

struct Entry {
    text: String,
    full: Option<String>,
    count: String,
    color: Rgb,
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
        for (k, cell) in cells.iter().enumerate() {
            let title = width(&views[k].panel.title, 1.1 * em, true).min(14.0 * em);
            let own = (cell.plot[0] + cell.legend_size[0]).max(title);
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
            cell.legend.draw([x + cell.plot[0] + 1.2 * em, y], em, &mut marks);
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
        let legend = Legend::new(view, plot[1], em);
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
    if !order.is_empty() {
        let scale = [w / extent[2], h / extent[3]];
        let xy = &panel.coordinates;
        let place = |[u, v]: [f64; 2]| {
            let (u, v) = ((u - extent[0]) * scale[0], (v - extent[1]) * scale[1]);
            [x + u, y + if panel.y_down { v } else { h - v }]
        };
        let centre = |i: &u32| place([xy[[*i as usize, 0]], xy[[*i as usize, 1]]]);
        let centres = order.iter().map(centre).collect();
        marks.push(Mark::Spots(SpotLayer {
            centres,
            color_of: order.iter().map(|&i| view.coloring.color_of[i as usize]).collect(),
            colors: view.coloring.colors.clone(),
            outline: Outline::new(view.shape, scale[0], !panel.y_down),
            boundaries: panel.boundaries.as_ref().map(|b| b.placed(order, place)),
            opacity: panel.opacity,
            clip: [x, y, w, h],
        }));
    }
    draw_rings(view, cell, [x, y], marks);
    if panel.frame {
        let stroke = Some((LINE, 0.8));
        marks.push(Mark::Rect { x, y, w, h, radius: 0.0, fill: None, stroke });
    }
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
    Mark::Text { x: at[0], y: at[1], size, bold, anchor, color, text: shown, full }
}

/// Height of a legend row, in em.
const ROW: f64 = 1.45;
/// Longest name in a legend, in em.
const NAME: f64 = 16.0;

impl Legend {
    fn new(view: &View<'_>, plot_height: f64, em: f64) -> Self {
        let coloring = &view.coloring;
        match &view.panel.color {
            Color::None => Self::Nothing,
            Color::Categorical { names, .. } => {
                let mut entries: Vec<Entry> = names
                    .iter()
                    .enumerate()
                    .map(|(k, name)| Entry::new(name, coloring.counts[k], coloring.colors[k], em))
                    .collect();
                if coloring.n_missing > 0 {
                    entries.push(Entry::new("missing", coloring.n_missing, MISSING, em));
                }
                // As many columns as keep the legend within the plot, three at most.
                let fit = ((plot_height / (ROW * em)) as usize).max(4);
                let columns = entries.len().div_ceil(fit).clamp(1, 3);
                let rows = entries.len().div_ceil(columns);
                let with_counts = view.panel.counts;
                let column_widths = entries
                    .chunks(rows)
                    .map(|column| {
                        let widest =
                            |f: fn(&Entry, f64) -> f64| column.iter().fold(0.0f64, |m, e| m.max(f(e, em)));
                        let name = widest(|e, em| width(&e.text, em, false));
                        let count = widest(|e, em| width(&e.count, 0.9 * em, false));
                        1.5 * em + name + if with_counts { 0.9 * em + count } else { 0.0 }
                    })
                    .collect();
                Self::Categories { entries, rows, column_widths, with_counts }
            }
            Color::Continuous { name, colormap, .. } => {
                let missing = (coloring.n_missing > 0).then(|| "missing".to_owned());
                let Some((low, high)) = coloring.limits else {
                    return Self::Categories {
                        entries: vec![Entry::new("missing", coloring.n_missing, MISSING, em)],
                        rows: 1,
                        column_widths: vec![1.5 * em + width("missing", em, false)],
                        with_counts: false,
                    };
                };
                let wanted = 14.0 * em;
                let height = if plot_height < 5.0 * em { 5.0 * em } else { plot_height.min(wanted) };
                let wanted = (height / (2.6 * em)).max(2.0) as usize;
                let (values, names) = if view.panel.log {
                    let values = log1p_ticks(low, high, wanted);
                    let names = values.iter().map(|v| labels(&[*v]).concat()).collect();
                    (values, names)
                } else {
                    let values = ticks(low, high, wanted);
                    let names = labels(&values);
                    (values, names)
                };
                let (bottom, top) = (view.panel.scaled(low), view.panel.scaled(high));
                let place = |v: f64| {
                    let v = view.panel.scaled(v);
                    if top > bottom { (v / 2.0 - bottom / 2.0) / (top / 2.0 - bottom / 2.0) } else { 0.5 }
                };
                let ticks = values.iter().map(|&v| place(v)).zip(names).collect();
                let stops = (0..BAR_STOPS)
                    .map(|k| colormap.at(if high > low { k as f64 / (BAR_STOPS - 1) as f64 } else { 0.5 }))
                    .collect();
                let name = fitted(name, em, false, NAME * em);
                Self::Bar { height, ticks, name, stops, missing }
            }
        }
    }

    fn size(&self, em: f64) -> [f64; 2] {
        match self {
            Self::Nothing => [0.0; 2],
            Self::Categories { rows, column_widths, .. } => {
                let across: f64 = column_widths.iter().map(|w| w + 1.4 * em).sum();
                [across - 1.4 * em, *rows as f64 * ROW * em]
            }
            Self::Bar { height, ticks, name, missing, .. } => {
                let label = ticks.iter().fold(0.0f64, |m, t| m.max(width(&t.1, 0.9 * em, false)));
                let below = if missing.is_some() { 2.2 * em } else { 0.4 * em };
                let above = if name.is_empty() { 0.0 } else { 1.6 * em };
                let missing_width =
                    if missing.is_some() { 1.5 * em + width("missing", em, false) } else { 0.0 };
                let across = (1.7 * em + label).max(width(name, em, false)).max(missing_width);
                [across, above + height + below]
            }
        }
    }

    fn draw(&self, [x, y]: [f64; 2], em: f64, marks: &mut Vec<Mark>) {
        match self {
            Self::Nothing => {}
            Self::Categories { entries, rows, column_widths, with_counts } => {
                let mut left = x;
                for (column, across) in entries.chunks(*rows).zip(column_widths) {
                    for (k, entry) in column.iter().enumerate() {
                        let middle = y + (k as f64 + 0.5) * ROW * em;
                        entry.draw([left, middle], em, marks);
                        if *with_counts {
                            let at = [left + across, middle + 0.34 * em];
                            let count = &entry.count;
                            marks.push(line_of_text(
                                at,
                                0.9 * em,
                                false,
                                Anchor::End,
                                FAINT,
                                count,
                                f64::INFINITY,
                            ));
                        }
                    }
                    left += across + 1.4 * em;
                }
            }
            Self::Bar { height, ticks, name, stops, missing } => {
                let mut top = y;
                if !name.is_empty() {
                    marks.push(line_of_text(
                        [x, y + 0.9 * em],
                        em,
                        false,
                        Anchor::Start,
                        INK,
                        name,
                        f64::INFINITY,
                    ));
                    top += 1.6 * em;
                }
                let (w, h) = (1.05 * em, *height);
                marks.push(Mark::Bar { x, y: top, w, h, stops: stops.clone() });
                for (t, label) in ticks {
                    let at = top + h * (1.0 - t);
                    let (from, to) = ([x + w, at], [x + w + 0.3 * em, at]);
                    marks.push(Mark::Line { from, to, color: INK, width: em / 14.0 });
                    let place = [x + w + 0.55 * em, at + 0.32 * em];
                    marks.push(line_of_text(
                        place,
                        0.9 * em,
                        false,
                        Anchor::Start,
                        INK,
                        label,
                        f64::INFINITY,
                    ));
                }
                if missing.is_some() {
                    Entry::new("missing", 0, MISSING, em).draw([x, top + h + 1.4 * em], em, marks);
                }
            }
        }
    }
}

impl Entry {
    fn new(name: &str, count: usize, color: Rgb, em: f64) -> Self {
        let text = fitted(name, em, false, NAME * em);
        let full = (text != name).then(|| name.to_owned());
        Self { text, full, count: grouped(count), color }
    }

    /// A swatch and its name, centred on `middle`.
    fn draw(&self, [x, middle]: [f64; 2], em: f64, marks: &mut Vec<Mark>) {
        let side = 0.95 * em;
        marks.push(Mark::Rect {
            x,
            y: middle - side / 2.0,
            w: side,
            h: side,
            radius: 0.18 * em,
            fill: Some(self.color),
            stroke: None,
        });
        marks.push(Mark::Text {
            x: x + 1.5 * em,
            // Half the height of a capital below the middle.
            y: middle + 0.36 * em,
            size: em,
            bold: false,
            anchor: Anchor::Start,
            color: INK,
            text: self.text.clone(),
            full: self.full.clone(),
        });
    }
}
