//! Groups × features: how many spots express, and how much.

use ndarray::{Array2, Axis as Along};

use super::axes::{GRID, Names, placeable, small};
use super::color::{ColorMap, Rgb};
use super::figure::PlotError;
use super::groups::{Groups, same_length};
use super::layout::{Anchor, INK, LINE, Mark, line_of_text};
use super::legend::{Legend, Scale};
use super::plots::Block;
use super::text::{fitted, width};
use super::ticks::round_below;

/// Groups × features: the area of a dot is the share of spots that express, its colour the mean.
#[derive(Clone, Debug, PartialEq)]
pub struct DotPlot {
    /// A line over the plot.
    pub title: String,
    /// Rows.
    pub groups: Groups,
    /// Columns.
    pub features: Vec<String>,
    /// `(groups, features)`: shares, 0 to 1.
    pub fractions: Array2<f64>,
    /// `(groups, features)`.
    pub means: Array2<f64>,
    /// Each feature's means from 0 in the lowest group to 1 in the highest.
    pub scaled: bool,
    /// What the means are of, over the colour bar.
    pub value_name: String,
    /// The colours.
    pub colormap: ColorMap,
    /// Features that belong to a group, marked in its colour; others have no bracket.
    pub brackets: Vec<Bracket>,
}

impl Default for DotPlot {
    fn default() -> Self {
        Self {
            title: String::new(),
            groups: Groups::default(),
            features: Vec::new(),
            fractions: Array2::zeros((0, 0)),
            means: Array2::zeros((0, 0)),
            scaled: false,
            value_name: "mean".to_owned(),
            colormap: ColorMap::Reds,
            brackets: Vec::new(),
        }
    }
}

/// Features next to each other that mark one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bracket {
    /// The group.
    pub group: u32,
    /// Its first feature.
    pub from: usize,
    /// One past its last.
    pub to: usize,
}

impl DotPlot {
    fn validate(&self) -> Result<(), PlotError> {
        let title = &self.title;
        for (what, table) in [("fractions", &self.fractions), ("means", &self.means)] {
            same_length(title, what, table.len(), self.groups.len() * self.features.len())?;
            same_length(title, "groups in a table", table.nrows(), self.groups.len())?;
        }
        for bracket in &self.brackets {
            let Bracket { group, from, to } = *bracket;
            if group as usize >= self.groups.len() {
                let n_names = self.groups.len();
                return Err(PlotError::UnnamedCategory { title: title.clone(), code: group, n_names });
            }
            if from >= to || to > self.features.len() {
                let expected = "at least one feature, and none beyond the last";
                return Err(PlotError::OutOfRange {
                    what: "the end of a bracket",
                    value: to as f64,
                    expected,
                });
            }
        }
        Ok(())
    }

    pub(super) fn block(&self, em: f64) -> Result<Block, PlotError> {
        self.validate()?;
        let (n_rows, n_columns) = (self.groups.len(), self.features.len());
        if n_rows == 0 || n_columns == 0 {
            return Ok(Block::without_values(em).titled(&self.title, em));
        }
        let means = if self.scaled { scaled(&self.means) } else { self.means.clone() };
        let (finite, missing): (Vec<f64>, Vec<f64>) = means.iter().partition(|v| placeable(**v));
        let ends = finite.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
        let limits = match ends {
            _ if self.scaled => (0.0, 1.0),
            (low, high) if low <= high => (low.min(0.0), high),
            _ => (0.0, 1.0),
        };
        let scale = Scale { limits, log: false, colormap: self.colormap };
        let step = (900.0 / n_columns as f64).clamp(3.0, 21.0);
        let row = (800.0 / n_rows as f64).clamp(3.0, 21.0);
        let beside = Names::of_rows(&self.groups.names, row, em);
        let left = beside.length + 1.5 * em;
        let (w, h) = (step * n_columns as f64, row * n_rows as f64);
        let colors = self.groups.all_colors();
        let top = if self.brackets.is_empty() { 0.5 * em } else { 2.2 * em };
        let mut marks = Vec::new();
        self.draw_brackets([left, top], step, &colors, em, &mut marks);
        let stroke = Some((LINE, 0.8));
        marks.push(Mark::Rect { x: left, y: top, w, h, radius: 0.0, fill: None, stroke });
        draw_bands(&colors, [left, top, w, row], em, &mut marks);
        beside.draw_beside(&self.groups.names, [left - 1.2 * em, top], row, Anchor::End, em, &mut marks);
        let below = Names::of_columns(&self.features, step, em);
        below.draw_below(&self.features, [left, top + h + 0.1 * em], step, em, &mut marks);

        let largest = self.largest();
        let full = 0.46 * step.min(row);
        let dots = Dots { largest, full };
        for ((g, f), fraction) in self.fractions.indexed_iter() {
            let centre = [left + (f as f64 + 0.5) * step, top + (g as f64 + 0.5) * row];
            let color = scale.color(means[[g, f]]);
            dots.draw(*fraction, centre, color, &mut marks);
        }
        let mut legend_height = 0.0;
        let x = left + w + 1.6 * em;
        let wide = dots.draw_legend([x, top], em, &mut legend_height, &mut marks);
        let bar = Legend::bar(scale, (&self.bar_name(), ""), !missing.is_empty(), 8.0 * em, em);
        bar.draw([x, top + legend_height + 0.8 * em], em, &mut marks);
        let bar_size = bar.size(em);
        let height =
            (top + h + below.height(em) + 0.2 * em).max(top + legend_height + 0.8 * em + bar_size[1]);
        let width = x + wide.max(bar_size[0]) + 0.4 * em;
        Ok(Block { width, height, marks }.titled(&self.title, em))
    }

    fn bar_name(&self) -> String {
        if self.scaled { format!("{}, scaled", self.value_name) } else { self.value_name.clone() }
    }

    /// The share of a full dot: round, and not below any.
    fn largest(&self) -> f64 {
        let most = self.fractions.iter().copied().filter(|v| *v <= 1.0).fold(0.0, f64::max);
        if most <= 0.0 {
            return 1.0;
        }
        let step = round_below(most);
        // In steps of a fifth: .2, .4, … are numbers that a legend can say.
        let fifth = if step >= 0.5 { 0.2 } else { step / 2.0 };
        ((most / fifth - 1e-9).ceil() * fifth).min(1.0)
    }

    fn draw_brackets(&self, [x, y]: [f64; 2], step: f64, colors: &[Rgb], em: f64, marks: &mut Vec<Mark>) {
        for &Bracket { group, from, to } in &self.brackets {
            let (x, w) = (x + from as f64 * step + 0.1 * step, (to - from) as f64 * step - 0.2 * step);
            let (fill, stroke) = (Some(colors[group as usize]), None);
            marks.push(Mark::Rect { x, y: y - 0.7 * em, w, h: 0.42 * em, radius: 0.0, fill, stroke });
            let name = &self.groups.names[group as usize];
            // Where not even a few letters fit the colour says enough: rows have it as well.
            if fitted(name, 0.9 * em, false, w + 0.4 * em).chars().count() > 2 || width(name, em, false) < w {
                let at = [x + w / 2.0, y - 1.05 * em];
                marks.push(line_of_text(at, 0.9 * em, false, Anchor::Middle, INK, name, w + 0.4 * em));
            }
        }
    }
}

/// Lines along the rows, and the colour of each group at their beginning.
fn draw_bands(colors: &[Rgb], [x, y, w, row]: [f64; 4], em: f64, marks: &mut Vec<Mark>) {
    for (g, color) in colors.iter().enumerate() {
        let middle = y + (g as f64 + 0.5) * row;
        marks.push(Mark::Line { from: [x, middle], to: [x + w, middle], color: GRID, width: 0.7 });
        let (w, h) = (0.45 * em, 0.76 * row);
        let (fill, stroke) = (Some(*color), None);
        marks.push(Mark::Rect { x: x - 0.8 * em, y: middle - h / 2.0, w, h, radius: 0.0, fill, stroke });
    }
}
/// Each column from 0 at its smallest to 1 at its largest number; constant columns are 0.
fn scaled(means: &Array2<f64>) -> Array2<f64> {
    let mut out = means.clone();
    for mut column in out.axis_iter_mut(Along(1)) {
        let finite = || column.iter().copied().filter(|v| placeable(*v));
        let low = finite().fold(f64::INFINITY, f64::min);
        let span = finite().fold(f64::NEG_INFINITY, f64::max) - low;
        column.mapv_inplace(|v| {
            if !placeable(v) {
                f64::NAN
            } else if span > 0.0 {
                (v - low) / span
            } else {
                0.0
            }
        });
    }
    out
}

/// How large dots are.
#[derive(Clone, Copy)]
struct Dots {
    /// The share of a full dot.
    largest: f64,
    /// Its radius.
    full: f64,
}

impl Dots {
    fn draw(self, fraction: f64, [x, y]: [f64; 2], color: Rgb, marks: &mut Vec<Mark>) {
        if fraction.is_nan() || fraction <= 0.0 {
            return;
        }
        let radius = self.full * (fraction / self.largest).min(1.0).sqrt();
        let (x, y, side) = (x - radius, y - radius, 2.0 * radius);
        // A line around it, so that a pale dot is seen.
        let stroke = Some((color.mix(Rgb(0x5A, 0x5A, 0x5A), 0.55), 0.6)).filter(|_| self.full > 2.0);
        marks.push(Mark::Rect { x, y, w: side, h: side, radius, fill: Some(color), stroke });
    }

    /// Dots of round shares below each other; returns the width.
    fn draw_legend(self, [x, y]: [f64; 2], em: f64, height: &mut f64, marks: &mut Vec<Mark>) -> f64 {
        let name = "share of spots";
        marks.push(line_of_text([x, y + 0.9 * em], em, false, Anchor::Start, INK, name, f64::INFINITY));
        let row = (2.2 * self.full).max(1.3 * em);
        let shares = [0.25, 0.5, 0.75, 1.0].map(|t| t * self.largest);
        // Quarters of a round share need a digit more where it is small.
        let whole = shares.iter().all(|s| (s * 100.0 - (s * 100.0).round()).abs() < 1e-9);
        let decimals = usize::from(!whole);
        for (k, share) in shares.iter().enumerate() {
            let middle = y + 1.6 * em + (k as f64 + 0.5) * row;
            self.draw(*share, [x + self.full + 0.5, middle], Rgb(0xB8, 0xB8, 0xB8), marks);
            let text = format!("{:.decimals$} %", share * 100.0);
            let at = [x + 2.0 * self.full + 0.7 * em, middle + 0.32 * em];
            let mut mark = small(at, Anchor::Start, em, &text);
            if let Mark::Text { color, .. } = &mut mark {
                *color = INK;
            }
            marks.push(mark);
        }
        *height = 1.6 * em + 4.0 * row;
        width(name, em, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn columns_are_scaled_one_by_one() {
        let means = array![[1.0, 5.0, f64::NAN], [3.0, 5.0, 2.0], [2.0, 5.0, f64::INFINITY]];
        let out = scaled(&means);
        assert_eq!(out.column(0).to_vec(), [0.0, 1.0, 0.5]);
        assert_eq!(out.column(1).to_vec(), [0.0; 3]);
        assert!(out[[0, 2]].is_nan() && out[[1, 2]] == 0.0 && out[[2, 2]].is_nan());
    }

    #[test]
    fn a_full_dot_is_a_round_share() {
        let of = |v: f64| DotPlot { fractions: array![[v]], ..DotPlot::default() }.largest();
        for (most, round) in [(1.0, 1.0), (0.83, 1.0), (0.73, 0.8), (0.31, 0.4), (0.07, 0.075), (0.0, 1.0)] {
            assert!((of(most) - round).abs() < 1e-12, "{most}: {}", of(most));
        }
        assert_eq!((of(f64::NAN), of(7.0)), (1.0, 1.0));
    }
}
