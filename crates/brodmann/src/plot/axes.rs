//! Axes: where numbers lie along a line, and the numbers and names beside it.

use super::color::Rgb;
use super::layout::{Anchor, FAINT, INK, LINE, Mark, line_of_text};
use super::text::{fitted, width};
use super::ticks::{labels, log_ticks, ticks};

/// Lines across a plot.
pub(super) const GRID: Rgb = Rgb(0xE6, 0xE6, 0xE6);
/// What lies beyond is drawn as infinities are: spans of it would overflow.
const LARGEST: f64 = 1e300;
/// Height of numbers and names, in em.
pub(super) const SMALL: f64 = 0.9;
/// Least distance of the middles of two lines of small text, in em.
const LEAST_STEP: f64 = 1.08;
/// Longest name of a row or column, in em.
pub(super) const LONGEST_NAME: f64 = 14.0;

/// Whether a number has a place on an axis.
pub(super) fn placeable(v: f64) -> bool {
    v.abs() <= LARGEST
}

/// Where numbers lie along a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    pub low: f64,
    pub high: f64,
    pub log: bool,
}

impl Axis {
    /// From the smallest to the largest of the numbers that have a place, and something around a single one.
    pub(super) fn spanning(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let widened = |(low, high): (f64, f64), v: f64| (low.min(v), high.max(v));
        let start = (f64::INFINITY, f64::NEG_INFINITY);
        let (mut low, mut high) = values.into_iter().filter(|v| placeable(*v)).fold(start, widened);
        if low > high {
            return None;
        }
        if low == high {
            let pad = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
            (low, high) = (low - pad, high + pad);
        }
        Some(Self { low, high, log: false })
    }

    /// With a margin of `share` of the span at both ends.
    pub(super) fn padded(self, share: f64) -> Self {
        if self.log {
            return self;
        }
        let pad = (self.high - self.low) * share;
        Self { low: self.low - pad, high: self.high + pad, log: false }
    }

    /// 0 at the lower end, 1 at the upper one.
    pub(super) fn place(self, v: f64) -> f64 {
        if self.log {
            (v / self.low).ln() / (self.high / self.low).ln()
        } else {
            (v - self.low) / (self.high - self.low)
        }
    }

    /// As [`Axis::place`], and the ends for what lies beyond them.
    pub(super) fn clamped(self, v: f64) -> f64 {
        let at = self.place(v.clamp(self.low, self.high));
        if at.is_nan() { 0.0 } else { at }
    }

    /// About `n` round numbers, and how they are written.
    pub(super) fn numbers(self, n: usize) -> (Vec<f64>, Vec<String>) {
        if self.log {
            let values = log_ticks(self.low, self.high);
            let names = values.iter().map(|v| labels(&[*v]).concat()).collect();
            return (values, names);
        }
        let values = ticks(self.low, self.high, n);
        let names = labels(&values);
        (values, names)
    }

    /// Width of the numbers left of a plot.
    pub(super) fn room(self, n: usize, em: f64) -> f64 {
        0.5 * em + self.numbers(n).1.iter().fold(0.0f64, |m, name| m.max(width(name, SMALL * em, false)))
    }

    /// How far the numbers below a plot `across` wide reach beyond its right end.
    pub(super) fn overhang(self, n: usize, across: f64, em: f64) -> f64 {
        let (values, names) = self.numbers(n);
        let reach = |(v, name): (&f64, &String)| {
            across * (self.place(*v) - 1.0) + width(name, SMALL * em, false) / 2.0
        };
        values.iter().zip(&names).map(reach).fold(0.0, f64::max)
    }

    /// Lines across the plot, and their numbers on its left.
    pub(super) fn draw_left(self, n: usize, [x, y, w, h]: [f64; 4], em: f64, marks: &mut Vec<Mark>) {
        let (values, names) = self.numbers(n);
        for (v, name) in values.iter().zip(names) {
            let at = y + h * (1.0 - self.place(*v));
            marks.push(Mark::Line { from: [x, at], to: [x + w, at], color: GRID, width: 0.8 });
            marks.push(small([x - 0.5 * em, at + 0.34 * em], Anchor::End, em, &name));
        }
    }

    /// Numbers below the plot, as many as have room.
    pub(super) fn draw_below(self, n: usize, [x, y, w, h]: [f64; 4], em: f64, marks: &mut Vec<Mark>) {
        let (values, names) = self.numbers(n);
        let mut free = f64::NEG_INFINITY;
        for (v, name) in values.iter().zip(names) {
            let at = x + w * self.place(*v);
            let half = width(&name, SMALL * em, false) / 2.0;
            let (from, to) = ([at, y + h], [at, y + h + 0.3 * em]);
            marks.push(Mark::Line { from, to, color: LINE, width: 0.8 });
            if at - half < free {
                continue;
            }
            free = at + half + 0.5 * em;
            marks.push(small([at, y + h + 1.3 * em], Anchor::Middle, em, &name));
        }
        marks.push(Mark::Line { from: [x, y + h], to: [x + w, y + h], color: LINE, width: 0.8 });
    }
}

/// Small print, not shortened.
pub(super) fn small(at: [f64; 2], anchor: Anchor, em: f64, text: &str) -> Mark {
    line_of_text(at, SMALL * em, false, anchor, FAINT, text, f64::INFINITY)
}

/// What lies along the horizontal axis, below its numbers.
pub(super) fn name_below(name: &str, [x, y, w, h]: [f64; 4], em: f64, marks: &mut Vec<Mark>) {
    let at = [x + w / 2.0, y + h + 2.5 * em];
    marks.push(line_of_text(at, SMALL * em, false, Anchor::Middle, FAINT, name, w));
}

/// What lies along the vertical axis, whose numbers take `room`.
pub(super) fn name_left(name: &str, room: f64, [x, y, _, h]: [f64; 4], em: f64, marks: &mut Vec<Mark>) {
    let at = [x - room - 0.4 * em, y + h / 2.0];
    marks.push(line_of_text(at, SMALL * em, false, Anchor::Middle, FAINT, name, h).upwards());
}

/// Names of rows or columns: every how many are written, and how much room they take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Names {
    /// Each, every second one, …
    pub every: usize,
    /// Of columns: from the bottom to the top.
    pub upwards: bool,
    /// Length of the longest, at most [`LONGEST_NAME`].
    pub length: f64,
}

impl Names {
    /// Names beside rows `step` apart.
    pub(super) fn of_rows(names: &[String], step: f64, em: f64) -> Self {
        let every = ((LEAST_STEP * em / step).ceil() as usize).max(1);
        Self { every, upwards: false, length: longest(names, every, em) }
    }

    /// Names below columns `step` apart: across where all have room, else from the bottom to the top.
    pub(super) fn of_columns(names: &[String], step: f64, em: f64) -> Self {
        let rows = Self::of_rows(names, step, em);
        let upwards = rows.every > 1 || rows.length > step - 0.5 * em;
        Self { upwards, ..rows }
    }

    /// Height of a line of columns' names.
    pub(super) fn height(self, em: f64) -> f64 {
        if self.length == 0.0 {
            0.0
        } else if self.upwards {
            self.length + 0.4 * em
        } else {
            1.4 * em
        }
    }

    /// Writes names below columns that begin at `x`; `y` is their lower end.
    pub(super) fn draw_below(
        self,
        names: &[String],
        [x, y]: [f64; 2],
        step: f64,
        em: f64,
        marks: &mut Vec<Mark>,
    ) {
        for (k, name) in names.iter().enumerate().step_by(self.every) {
            let middle = x + (k as f64 + 0.5) * step;
            let most = LONGEST_NAME * em;
            let text = |at, anchor| line_of_text(at, SMALL * em, false, anchor, INK, name, most);
            marks.push(if self.upwards {
                text([middle + 0.32 * em, y + 0.4 * em], Anchor::End).upwards()
            } else {
                text([middle, y + 1.2 * em], Anchor::Middle)
            });
        }
    }

    /// Writes names beside rows that begin at `y`.
    pub(super) fn draw_beside(
        self,
        names: &[String],
        [x, y]: [f64; 2],
        step: f64,
        anchor: Anchor,
        em: f64,
        marks: &mut Vec<Mark>,
    ) {
        for (k, name) in names.iter().enumerate().step_by(self.every) {
            let at = [x, y + (k as f64 + 0.5) * step + 0.32 * em];
            marks.push(line_of_text(at, SMALL * em, false, anchor, INK, name, LONGEST_NAME * em));
        }
    }
}

fn longest(names: &[String], every: usize, em: f64) -> f64 {
    let most = LONGEST_NAME * em;
    let length = |name: &String| width(&fitted(name, SMALL * em, false, most), SMALL * em, false);
    names.iter().step_by(every).map(length).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_spans_what_has_a_place() {
        let of = |values: &[f64]| Axis::spanning(values.iter().copied());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[f64::NAN, f64::INFINITY, f64::MAX]), None);
        assert_eq!(of(&[5.0]), Some(Axis { low: 4.5, high: 5.5, log: false }));
        assert_eq!(of(&[0.0, 0.0]), Some(Axis { low: -1.0, high: 1.0, log: false }));
        let wide = of(&[-1e300, 1e300, 3.0]).expect("finite").padded(0.1);
        assert!(wide.low.is_finite() && (wide.place(0.0) - 0.5).abs() < 1e-12);
        assert_eq!(wide.clamped(f64::NAN), 0.0);
        assert_eq!((wide.clamped(f64::INFINITY), wide.clamped(f64::NEG_INFINITY)), (1.0, 0.0));
    }

    #[test]
    fn names_are_thinned_and_turned_where_there_is_no_room() {
        let names: Vec<String> = (0..100).map(|k| format!("gene{k}")).collect();
        let wide = Names::of_columns(&names, 100.0, 12.0);
        assert_eq!((wide.every, wide.upwards), (1, false));
        let narrow = Names::of_columns(&names, 20.0, 12.0);
        assert_eq!((narrow.every, narrow.upwards), (1, true));
        let tiny = Names::of_columns(&names, 0.5, 12.0);
        assert_eq!((tiny.every, tiny.upwards), (26, true));
        assert_eq!(Names::of_columns(&[], 20.0, 12.0).height(12.0), 0.0);
    }
}
