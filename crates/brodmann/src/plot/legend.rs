//! What colours mean: names beside swatches, or a bar of colours beside numbers.

use super::color::{ColorMap, MISSING, Rgb};
use super::layout::{Anchor, FAINT, INK, Mark, Way, line_of_text};
use super::text::{fitted, width};
use super::ticks::{grouped, labels, log1p_ticks, ticks};

/// Samples of a colour bar's gradient.
const BAR_STOPS: usize = 65;
/// Height of a legend row, in em.
pub(super) const ROW: f64 = 1.45;
/// Size of the small print below a bar, in em.
const NOTE: f64 = 0.8;
/// Longest name in a legend, in em.
const NAME: f64 = 16.0;

pub(super) enum Legend {
    Nothing,
    Categories {
        entries: Vec<Entry>,
        rows: usize,
        column_widths: Vec<f64>,
        with_counts: bool,
    },
    Bar {
        height: f64,
        ticks: Vec<(f64, String)>,
        name: String,
        note: String,
        stops: Vec<Rgb>,
        missing: Option<String>,
    },
}

pub(super) struct Entry {
    text: String,
    full: Option<String>,
    count: String,
    color: Rgb,
}

/// Numbers and their colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    /// Values of the end colours, finite and in order.
    pub limits: (f64, f64),
    /// Coloured by `ln(1 + x)`.
    pub log: bool,
    pub colormap: ColorMap,
}

impl Scale {
    /// From 0 at the lower limit to 1 at the upper one; one value alone stands in the middle.
    pub(super) fn place(&self, v: f64) -> f64 {
        let scaled = |v: f64| if self.log { v.ln_1p() } else { v };
        let (v, bottom, top) = (scaled(v), scaled(self.limits.0), scaled(self.limits.1));
        // Halves first: the span of the largest doubles overflows.
        if top > bottom { (v / 2.0 - bottom / 2.0) / (top / 2.0 - bottom / 2.0) } else { 0.5 }
    }

    /// [`MISSING`] for what is not finite.
    pub(super) fn color(&self, v: f64) -> Rgb {
        if v.is_finite() { self.colormap.at(self.place(v)) } else { MISSING }
    }
}

impl Legend {
    /// Names beside swatches: as many columns as keep them within the plot, three at most.
    pub(super) fn categories(entries: Vec<Entry>, plot_height: f64, with_counts: bool, em: f64) -> Self {
        if entries.is_empty() {
            return Self::Categories { entries, rows: 1, column_widths: Vec::new(), with_counts };
        }
        let fit = ((plot_height / (ROW * em)) as usize).max(4);
        let columns = entries.len().div_ceil(fit).clamp(1, 3);
        let rows = entries.len().div_ceil(columns);
        let column_widths = entries
            .chunks(rows)
            .map(|column| {
                let widest = |f: fn(&Entry, f64) -> f64| column.iter().fold(0.0f64, |m, e| m.max(f(e, em)));
                let name = widest(|e, em| width(&e.text, em, false));
                let count = widest(|e, em| width(&e.count, 0.9 * em, false));
                1.5 * em + name + if with_counts { 0.9 * em + count } else { 0.0 }
            })
            .collect();
        Self::Categories { entries, rows, column_widths, with_counts }
    }

    /// A bar of colours beside numbers.
    pub(super) fn bar(
        scale: Scale,
        (name, note): (&str, &str),
        missing: bool,
        plot_height: f64,
        em: f64,
    ) -> Self {
        let (low, high) = scale.limits;
        let missing = missing.then(|| "missing".to_owned());
        let wanted = 14.0 * em;
        let height = if plot_height < 5.0 * em { 5.0 * em } else { plot_height.min(wanted) };
        let wanted = (height / (2.6 * em)).max(2.0) as usize;
        let (values, names) = if scale.log {
            let values = log1p_ticks(low, high, wanted);
            let names = values.iter().map(|v| labels(&[*v]).concat()).collect();
            (values, names)
        } else {
            let values = ticks(low, high, wanted);
            let names = labels(&values);
            (values, names)
        };
        let ticks = values.iter().map(|&v| scale.place(v)).zip(names).collect();
        let stops = (0..BAR_STOPS)
            .map(|k| scale.colormap.at(if high > low { k as f64 / (BAR_STOPS - 1) as f64 } else { 0.5 }))
            .collect();
        let name = fitted(name, em, false, NAME * em);
        let note = fitted(note, NOTE * em, false, NAME * em);
        Self::Bar { height, ticks, name, note, stops, missing }
    }

    pub(super) fn size(&self, em: f64) -> [f64; 2] {
        match self {
            Self::Nothing => [0.0; 2],
            Self::Categories { rows, column_widths, .. } => {
                let across: f64 = column_widths.iter().map(|w| w + 1.4 * em).sum();
                [(across - 1.4 * em).max(0.0), *rows as f64 * ROW * em]
            }
            Self::Bar { height, ticks, name, note, missing, .. } => {
                let label = ticks.iter().fold(0.0f64, |m, t| m.max(width(&t.1, 0.9 * em, false)));
                let below = if missing.is_some() { 2.2 * em } else { 0.4 * em };
                let below = below + if note.is_empty() { 0.0 } else { 1.3 * em };
                let above = if name.is_empty() { 0.0 } else { 1.6 * em };
                let missing_width =
                    if missing.is_some() { 1.5 * em + width("missing", em, false) } else { 0.0 };
                let across = (1.7 * em + label).max(width(name, em, false)).max(missing_width);
                let across = across.max(width(note, NOTE * em, false));
                [across, above + height + below]
            }
        }
    }

    pub(super) fn draw(&self, [x, y]: [f64; 2], em: f64, marks: &mut Vec<Mark>) {
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
            Self::Bar { height, ticks, name, note, stops, missing } => {
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
                let mut under = top + h;
                if !note.is_empty() {
                    let (at, size) = ([x, under + 1.3 * em], NOTE * em);
                    marks.push(line_of_text(at, size, false, Anchor::Start, FAINT, note, f64::INFINITY));
                    under += 1.3 * em;
                }
                if missing.is_some() {
                    Entry::new("missing", 0, MISSING, em).draw([x, under + 1.4 * em], em, marks);
                }
            }
        }
    }
}

impl Entry {
    pub(super) fn new(name: &str, count: usize, color: Rgb, em: f64) -> Self {
        let text = fitted(name, em, false, NAME * em);
        let full = (text != name).then(|| name.to_owned());
        Self { text, full, count: grouped(count), color }
    }

    /// A swatch and its name, centred on `middle`.
    pub(super) fn draw(&self, [x, middle]: [f64; 2], em: f64, marks: &mut Vec<Mark>) {
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
            way: Way::Across,
        });
    }
}
