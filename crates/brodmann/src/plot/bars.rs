//! One number per name, in groups: what is enriched in a domain.

use super::axes::{Axis, GRID, SMALL, name_below, placeable, small};
use super::color::{ColorMap, Rgb};
use super::figure::PlotError;
use super::groups::{Groups, same_length};
use super::layout::{Anchor, FAINT, INK, LINE, Mark, line_of_text};
use super::legend::{Legend, Scale};
use super::plots::Block;
use super::text::{fitted, fitted_around, width};
use super::ticks::grouped;

/// Most bars of a plot; how many are left out is written below it.
const MAX_BARS: usize = 300;
/// Longest name, in em.
const NAME: f64 = 24.0;
/// Length of the axis, in pixels.
const ACROSS: f64 = 260.0;
/// Distance of two bars, in em.
const ROW: f64 = 1.5;
const BAR: Rgb = Rgb(0x7A, 0x9C, 0xB8);

/// Horizontal bars, group by group: gene sets by −log10 of their adjusted p, for instance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bars {
    /// A line over the plot.
    pub title: String,
    /// What the lengths are, below the axis.
    pub value_name: String,
    /// Names and colours of the groups.
    pub groups: Groups,
    /// The bars of each group, from top to bottom.
    pub bars: Vec<Vec<Bar>>,
    /// Colour the bars by [`Bar::shade`], which is called so, rather than by their group.
    pub shade_name: Option<String>,
    /// A line across all bars, and what it is: a threshold.
    pub reference: Option<(f64, String)>,
}

/// One bar.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bar {
    /// Its name; a long one is cut in its middle, and whole in an SVG's tooltip.
    pub name: String,
    /// Its length; an infinite one ends with the axis.
    pub value: f64,
    /// Written at its end: `12 of 45`.
    pub note: String,
    /// Its colour where bars are coloured by a number.
    pub shade: f64,
}

impl Bars {
    pub(super) fn block(&self, em: f64) -> Result<Block, PlotError> {
        same_length(&self.title, "lists of bars", self.bars.len(), self.groups.len())?;
        let all: Vec<&Bar> = self.bars.iter().flatten().take(MAX_BARS).collect();
        if all.is_empty() {
            return Ok(Block::without_values(em).titled(&self.title, em));
        }
        let values = all.iter().map(|b| b.value).chain(self.reference.iter().map(|r| r.0));
        let axis = Axis::spanning(values.chain([0.0])).unwrap_or(Axis { low: 0.0, high: 1.0, log: false });
        let axis = Axis { low: axis.low.min(0.0), high: axis.high.max(0.0), log: false };
        let scale = self.shade_name.as_ref().map(|_| scale_of(&all));
        let size = SMALL * em;
        let names: Vec<String> = all.iter().map(|b| fitted_around(&b.name, size, false, NAME * em)).collect();
        let notes = all.iter().map(|b| width(&b.note, size, false).min(10.0 * em)).fold(0.0, f64::max);
        let headed = self.groups.len() > 1 || self.groups.names.iter().any(|n| !n.is_empty());
        let headings = self.groups.names.iter().filter(|_| headed);
        let headings = headings.map(|n| width(&fitted(n, em, true, NAME * em), em, true) + 1.3 * em);
        let left = names.iter().map(|n| width(n, size, false)).chain(headings).fold(0.0, f64::max) + 0.6 * em;
        let colors = self.groups.all_colors();
        let mut marks = Vec::new();
        let mut bodies = Vec::new();
        let mut y = if self.reference.is_some() { 1.4 * em } else { 0.2 * em };
        let top = y;
        let mut k = 0;
        for (group, bars) in self.bars.iter().enumerate() {
            let taken = bars.len().min(all.len() - k);
            if taken == 0 {
                continue;
            }
            if headed {
                y += if y > top { 0.6 * em } else { 0.0 };
                let name = &self.groups.names[group];
                draw_heading(name, colors[group], [left, y], em, &mut bodies);
                y += 1.5 * em;
            }
            for bar in &all[k..k + taken] {
                let color = scale.map_or(
                    if headed { colors[group] } else { self.groups.colors.first().copied().unwrap_or(BAR) },
                    |s| s.color(bar.shade),
                );
                draw_bar(bar, &names[k], color, axis, [left, y], em, &mut bodies);
                y += ROW * em;
                k += 1;
            }
        }
        let plot = [left, top, ACROSS, y - top];
        let (ticks, _) = axis.numbers(4);
        for v in ticks {
            let at = left + ACROSS * axis.place(v);
            marks.push(Mark::Line { from: [at, top], to: [at, y], color: GRID, width: 0.8 });
        }
        marks.extend(bodies);
        axis.draw_below(4, plot, em, &mut marks);
        let zero = left + ACROSS * axis.place(0.0);
        marks.push(Mark::Line { from: [zero, top], to: [zero, y], color: LINE, width: 0.8 });
        if let Some((value, name)) = self.reference.as_ref().filter(|r| placeable(r.0)) {
            let at = left + ACROSS * axis.clamped(*value);
            marks.push(Mark::Line { from: [at, top], to: [at, y], color: INK, width: 1.0 });
            let half = width(name, size, false).min(ACROSS) / 2.0;
            let middle = at.max(left + half).min((left + ACROSS + notes - half).max(left + half));
            let place = [middle, top - 0.4 * em];
            marks.push(line_of_text(place, size, false, Anchor::Middle, FAINT, name, ACROSS));
        }
        name_below(&self.value_name, plot, em, &mut marks);
        let mut height = y + 3.0 * em;
        let mut across = left + ACROSS + notes.max(axis.overhang(4, ACROSS, em)) + 1.0 * em;
        if let (Some(scale), Some(name)) = (scale, &self.shade_name) {
            let missing = all.iter().any(|b| !b.shade.is_finite());
            let legend = Legend::bar(scale, (name, ""), missing, (y - top).min(9.0 * em), em);
            legend.draw([across + 0.6 * em, top], em, &mut marks);
            let [w, h] = legend.size(em);
            across += 0.6 * em + w + 0.4 * em;
            height = height.max(top + h);
        }
        let left_out = self.bars.iter().map(Vec::len).sum::<usize>() - all.len();
        if left_out > 0 {
            let told = format!("{} more are not shown.", grouped(left_out));
            marks.push(small([left, height + 0.9 * em], Anchor::Start, em, &told));
            height += 1.3 * em;
        }
        Ok(Block { width: across, height, marks }.titled(&self.title, em))
    }
}

/// The colours of the numbers of bars.
fn scale_of(all: &[&Bar]) -> Scale {
    let shades = all.iter().map(|b| b.shade).filter(|v| v.is_finite());
    let (low, high) = shades.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    let limits = if low <= high { (low, high) } else { (0.0, 1.0) };
    Scale { limits, log: false, colormap: ColorMap::Viridis }
}

/// The name of a group over its names of bars, where no line crosses it.
fn draw_heading(name: &str, color: Rgb, [x, y]: [f64; 2], em: f64, marks: &mut Vec<Mark>) {
    let side = 0.85 * em;
    let right = x - 0.6 * em;
    let shown = width(&fitted(name, em, true, NAME * em), em, true);
    let (x, fill, stroke) = (right - shown - 1.3 * em, Some(color), None);
    let (w, h) = (side, side);
    marks.push(Mark::Rect { x, y: y + 0.25 * em, w, h, radius: 0.15 * em, fill, stroke });
    marks.push(line_of_text([right, y + 1.05 * em], em, true, Anchor::End, INK, name, NAME * em));
}
fn draw_bar(bar: &Bar, name: &str, color: Rgb, axis: Axis, [x, y]: [f64; 2], em: f64, marks: &mut Vec<Mark>) {
    let size = SMALL * em;
    let baseline = y + 0.5 * ROW * em + 0.32 * em;
    let mut mark = line_of_text([x - 0.6 * em, baseline], size, false, Anchor::End, INK, name, f64::INFINITY);
    if let Mark::Text { full, .. } = &mut mark {
        *full = (name != bar.name).then(|| bar.name.clone());
    }
    marks.push(mark);
    let zero = x + ACROSS * axis.place(0.0);
    if bar.value.is_nan() {
        let at = [zero + 0.4 * em, baseline];
        marks.push(line_of_text(at, size, false, Anchor::Start, FAINT, "–", f64::INFINITY));
        return;
    }
    let end = x + ACROSS * axis.clamped(bar.value);
    let tall = 0.72 * ROW * em;
    // A bar of nothing still shows.
    let (from, w) = (zero.min(end), (end - zero).abs().max(0.8));
    let (y, fill) = (y + (ROW * em - tall) / 2.0, Some(color));
    marks.push(Mark::Rect { x: from, y, w, h: tall, radius: 0.0, fill, stroke: None });
    let place = [from + w + 0.4 * em, baseline];
    marks.push(line_of_text(place, size, false, Anchor::Start, INK, &bar.note, 10.0 * em));
}
