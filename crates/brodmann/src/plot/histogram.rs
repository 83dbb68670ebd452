//! How numbers are distributed, with the values beyond which something is wrong.

use super::color::Rgb;
use super::layout::{ALARM, Anchor, FAINT, INK, LINE, Mark, line_of_text};
use super::text::width;
use super::ticks::{grouped, labels, log1p_ticks, ticks};

/// Bars across a plot.
const BINS: usize = 60;
/// How far from the values a line is still drawn, in widths of their range.
const FARTHEST: f64 = 0.5;
/// The most marks under the bars; beyond, only every few are drawn.
const MAX_MARKS: usize = 2000;
const BAR: Rgb = Rgb(0x7A, 0x9C, 0xB8);
const THRESHOLD: Rgb = Rgb(0x1A, 0x1A, 0x1A);

/// The distribution of one number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// A line over the plot.
    pub title: String,
    /// The numbers; those that are not finite are left out.
    pub values: Vec<f64>,
    /// The axis is that of `ln(1 + x)`; what is not above −1 is left out.
    pub log: bool,
    /// Vertical lines with what they are.
    pub lines: Vec<(f64, String)>,
    /// Values that are marked one by one on the axis.
    pub marked: Vec<f64>,
}

impl Histogram {
    fn scaled(&self, v: f64) -> f64 {
        if self.log { v.ln_1p() } else { v }
    }

    /// Smallest and largest of what is drawn, near lines included; `None` without any number.
    fn limits(&self) -> Option<[f64; 2]> {
        let drawn = || self.values.iter().copied().filter(|v| self.scaled(*v).is_finite());
        drawn().next()?;
        let widened = |[low, high]: [f64; 2], v: f64| [low.min(v), high.max(v)];
        let own = drawn().fold([f64::INFINITY, f64::NEG_INFINITY], widened);
        let [bottom, top] = own.map(|v| self.scaled(v));
        // A line far away would leave no room for the values.
        let room = FARTHEST * (top - bottom);
        let is_near = |v: f64| (bottom - room..=top + room).contains(&self.scaled(v));
        let lines = self.lines.iter().map(|line| line.0).filter(|v| room == 0.0 || is_near(*v));
        let [low, high] = lines.fold(own, widened);
        Some(if low < high { [low, high] } else { [low - 0.5, high + 0.5] })
    }

    /// How many values fall into each of the bars from `low` to `high`.
    fn bars(&self, [low, high]: [f64; 2]) -> Vec<usize> {
        let (bottom, top) = (self.scaled(low), self.scaled(high));
        // Few different whole numbers have a bar each, or some bars would stay empty between them.
        let whole = self.values.iter().all(|v| !v.is_finite() || v.fract() == 0.0);
        let bins =
            if whole && !self.log && high - low < BINS as f64 { (high - low) as usize + 1 } else { BINS };
        let mut bars = vec![0; bins];
        for v in self.values.iter().map(|v| self.scaled(*v)).filter(|v| v.is_finite()) {
            let at = ((v - bottom) / (top - bottom) * bins as f64) as usize;
            bars[at.min(bins - 1)] += 1;
        }
        bars
    }
}

/// Height of a row of plots of which each is `w` wide, titles and axes included.
pub(super) fn height(em: f64, w: f64) -> f64 {
    2.0 * em + plot_height(w) + 1.8 * em
}

fn plot_height(w: f64) -> f64 {
    (0.5 * w).clamp(60.0, 150.0)
}

/// Draws one plot, `w` wide over all, from its top left corner on.
pub(super) fn draw(histogram: &Histogram, [x, y]: [f64; 2], w: f64, em: f64, marks: &mut Vec<Mark>) {
    let text = |at: [f64; 2], size: f64, bold: bool, anchor: Anchor, color: Rgb, text: &str, most: f64| {
        line_of_text(at, size, bold, anchor, color, text, most)
    };
    marks.push(text([x, y + 1.1 * em], 1.1 * em, true, Anchor::Start, INK, &histogram.title, w));
    let (top, h) = (y + 2.0 * em, plot_height(w));
    let Some([low, high]) = histogram.limits() else {
        marks.push(text([x, top + em], em, false, Anchor::Start, FAINT, "no values", w));
        return;
    };
    let bars = histogram.bars([low, high]);
    let most = bars.iter().copied().max().unwrap_or(1).max(1);
    let counts = ticks(0.0, most as f64, 3);
    let names: Vec<String> = counts.iter().map(|c| grouped(*c as usize)).collect();
    let left = 0.6 * em + names.iter().map(|n| width(n, 0.9 * em, false)).fold(0.0, f64::max);
    let (x, w) = (x + left, w - left - 0.6 * em);
    let height_of = |count: f64| h * 0.86 * count / most as f64;
    for (count, name) in counts.iter().zip(&names).filter(|(c, _)| c.fract() == 0.0) {
        let at = top + h - height_of(*count);
        marks.push(Mark::Line { from: [x, at], to: [x + w, at], color: Rgb(0xE6, 0xE6, 0xE6), width: 0.8 });
        marks.push(text([x - 0.5 * em, at + 0.32 * em], 0.9 * em, false, Anchor::End, FAINT, name, w));
    }
    let step = w / bars.len() as f64;
    for (k, &count) in bars.iter().enumerate().filter(|(_, count)| **count > 0) {
        // A single spot still shows.
        let tall = height_of(count as f64).max(1.0);
        marks.push(Mark::Rect {
            x: x + k as f64 * step,
            y: top + h - tall,
            w: (step - 0.6).max(0.5 * step),
            h: tall,
            radius: 0.0,
            fill: Some(BAR),
            stroke: None,
        });
    }
    let (bottom, ceiling) = (histogram.scaled(low), histogram.scaled(high));
    let across = |v: f64| x + w * (histogram.scaled(v) - bottom) / (ceiling - bottom);
    let every = histogram.marked.len().div_ceil(MAX_MARKS).max(1);
    for v in histogram.marked.iter().step_by(every).filter(|v| (low..=high).contains(v)) {
        let at = across(*v);
        let (from, to) = ([at, top + h - 0.55 * em], [at, top + h]);
        marks.push(Mark::Line { from, to, color: ALARM, width: 0.9 });
    }
    marks.push(Mark::Line { from: [x, top + h], to: [x + w, top + h], color: LINE, width: 0.8 });
    draw_axis(histogram, [low, high], [x, top + h], w, em, marks);
    for (v, name) in histogram.lines.iter().filter(|line| !line.0.is_nan()) {
        let at = across(v.clamp(low, high));
        let name = if (low..=high).contains(v) {
            let (from, to) = ([at, top - 0.2 * em], [at, top + h]);
            marks.push(Mark::Line { from, to, color: THRESHOLD, width: 1.2 });
            name.clone()
        } else {
            format!("{name}, off the axis")
        };
        let fits = at + 0.4 * em + width(&name, 0.9 * em, false) <= x + w;
        let (place, anchor) =
            if fits { (at + 0.4 * em, Anchor::Start) } else { (at - 0.4 * em, Anchor::End) };
        marks.push(text([place, top + 0.6 * em], 0.9 * em, false, anchor, INK, &name, f64::INFINITY));
    }
}

/// Numbers under the axis, as many as have room.
fn draw_axis(
    histogram: &Histogram,
    [low, high]: [f64; 2],
    [x, y]: [f64; 2],
    w: f64,
    em: f64,
    marks: &mut Vec<Mark>,
) {
    let (bottom, ceiling) = (histogram.scaled(low), histogram.scaled(high));
    let (values, names) = if histogram.log {
        let values = log1p_ticks(low, high, 5);
        let names: Vec<String> = values.iter().map(|v| labels(&[*v]).concat()).collect();
        (values, names)
    } else {
        let values = ticks(low, high, 5);
        let names = labels(&values);
        (values, names)
    };
    // From the right, where the numbers of a logarithmic axis crowd least; powers of ten come first where all do not fit.
    let mut taken: Vec<[f64; 2]> = Vec::new();
    let mut order: Vec<usize> = (0..values.len()).collect();
    let is_power = |v: f64| v > 0.0 && v.log10().fract() == 0.0;
    order.sort_by_key(|&k| (histogram.log && !is_power(values[k]), std::cmp::Reverse(k)));
    for k in order {
        let at = x + w * (histogram.scaled(values[k]) - bottom) / (ceiling - bottom);
        let half = width(&names[k], 0.9 * em, false) / 2.0;
        marks.push(Mark::Line { from: [at, y], to: [at, y + 0.3 * em], color: LINE, width: 0.8 });
        let own = [at - half - 0.3 * em, at + half + 0.3 * em];
        if taken.iter().any(|other| own[0] < other[1] && other[0] < own[1]) {
            continue;
        }
        taken.push(own);
        let place = [at - half, y + 1.3 * em];
        marks.push(line_of_text(place, 0.9 * em, false, Anchor::Start, FAINT, &names[k], f64::INFINITY));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64], log: bool) -> Histogram {
        Histogram { values: values.to_vec(), log, ..Histogram::default() }
    }

    #[test]
    fn every_value_stands_in_one_bar() {
        let h = of(&[0.0, 1.5, 2.0, 2.0, f64::NAN, 4.0], false);
        assert_eq!(h.limits(), Some([0.0, 4.0]));
        let bars = h.bars([0.0, 4.0]);
        assert_eq!((bars.len(), bars.iter().sum::<usize>()), (BINS, 5));
        assert_eq!((bars[0], bars[BINS / 2], bars[BINS - 1]), (1, 2, 1));
        let few = of(&[1.0, 2.0, 2.0, 5.0], false);
        assert_eq!(few.bars([1.0, 5.0]), [1, 2, 0, 0, 1]);
        let log = of(&[0.0, 1e3, 1e6], true);
        assert_eq!(log.bars([0.0, 1e6])[BINS / 2], 1, "the middle of a logarithmic axis");
    }

    #[test]
    fn a_line_near_the_values_widens_the_axis_and_one_far_away_does_not() {
        let mut h = of(&[10.0, 20.0], false);
        h.lines.push((8.0, "min 8".to_owned()));
        assert_eq!(h.limits(), Some([8.0, 20.0]));
        h.lines.push((500.0, "max 500".to_owned()));
        assert_eq!(h.limits(), Some([8.0, 20.0]));
        assert_eq!(of(&[3.0, 3.0], false).limits(), Some([2.5, 3.5]));
        assert_eq!(of(&[f64::NAN], false).limits(), None);
    }
}
