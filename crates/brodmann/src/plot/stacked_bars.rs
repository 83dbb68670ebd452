//! What wholes consist of: shares side by side in one bar a whole.

use ndarray::Array2;

use super::axes::{Names, placeable, small};
use super::color::Rgb;
use super::figure::PlotError;
use super::groups::{Groups, same_length};
use super::layout::{Anchor, Mark};
use super::legend::{Entry, Legend};
use super::plots::Block;
use super::text::width;
use super::ticks::grouped;

/// Length of a bar, in pixels.
const ACROSS: f64 = 300.0;

/// Shares of categories in wholes: cell types in domains, domains in slices.
#[derive(Clone, Debug, PartialEq)]
pub struct StackedBars {
    /// A line over the plot.
    pub title: String,
    /// The wholes, from top to bottom.
    pub wholes: Groups,
    /// What they consist of, from left to right.
    pub categories: Groups,
    /// `(wholes, categories)`: counts or shares, not negative; each whole is divided by its sum.
    pub amounts: Array2<f64>,
    /// Write the sum of each whole at its end: for counts.
    pub with_sums: bool,
}

impl Default for StackedBars {
    fn default() -> Self {
        Self {
            title: String::new(),
            wholes: Groups::default(),
            categories: Groups::default(),
            amounts: Array2::zeros((0, 0)),
            with_sums: false,
        }
    }
}

/// What counts of an amount: neither negative numbers nor what is none.
fn amount(v: f64) -> f64 {
    if placeable(v) { v.max(0.0) } else { 0.0 }
}

impl StackedBars {
    pub(super) fn block(&self, em: f64) -> Result<Block, PlotError> {
        let (n_wholes, n_categories) = (self.wholes.len(), self.categories.len());
        same_length(&self.title, "amounts", self.amounts.len(), n_wholes * n_categories)?;
        same_length(&self.title, "wholes in the table", self.amounts.nrows(), n_wholes)?;
        if n_wholes == 0 || n_categories == 0 {
            return Ok(Block::without_values(em).titled(&self.title, em));
        }
        let row = (760.0 / n_wholes as f64).min(1.75 * em).max(3.0);
        let beside = Names::of_rows(&self.wholes.names, row, em);
        let left = beside.length + 1.5 * em;
        let (top, h) = (0.4 * em, row * n_wholes as f64);
        let mut marks = Vec::new();
        beside.draw_beside(&self.wholes.names, [left - 1.2 * em, top], row, Anchor::End, em, &mut marks);
        let (whole_colors, colors) = (self.wholes.all_colors(), self.categories.all_colors());
        let mut sums = 0.0f64;
        for (k, amounts) in self.amounts.rows().into_iter().enumerate() {
            let y = top + k as f64 * row + 0.1 * row;
            let tall = 0.8 * row;
            let (fill, stroke) = (Some(whole_colors[k]), None);
            let (x, w) = (left - 0.8 * em, 0.45 * em);
            marks.push(Mark::Rect { x, y, w, h: tall, radius: 0.0, fill, stroke });
            let total: f64 = amounts.iter().map(|v| amount(*v)).sum();
            if total <= 0.0 {
                let at = [left + 0.2 * em, y + tall / 2.0 + 0.32 * em];
                marks.push(small(at, Anchor::Start, em, "none"));
                continue;
            }
            draw_whole(amounts.iter().map(|v| amount(*v) / total), &colors, [left, y, tall], &mut marks);
            if self.with_sums && beside.every == 1 {
                let text = grouped(total.round() as usize);
                sums = sums.max(width(&text, 0.9 * em, false) + 0.6 * em);
                let at = [left + ACROSS + 0.5 * em, y + tall / 2.0 + 0.32 * em];
                marks.push(small(at, Anchor::Start, em, &text));
            }
        }
        let axis = super::axes::Axis { low: 0.0, high: 1.0, log: false };
        for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
            let at = left + ACROSS * axis.place(share);
            let (from, to) = ([at, top + h + 0.1 * em], [at, top + h + 0.4 * em]);
            marks.push(Mark::Line { from, to, color: super::layout::LINE, width: 0.8 });
            let text = format!("{:.0} %", share * 100.0);
            marks.push(small([at, top + h + 1.4 * em], Anchor::Middle, em, &text));
        }
        let entries = self
            .categories
            .names
            .iter()
            .zip(&colors)
            .map(|(name, color)| Entry::new(name, 0, *color, em))
            .collect();
        let legend = Legend::categories(entries, h, false, em);
        let x = left + ACROSS + sums.max(1.2 * em) + 1.2 * em;
        legend.draw([x, top], em, &mut marks);
        let [legend_width, legend_height] = legend.size(em);
        let height = top + (h + 1.8 * em).max(legend_height);
        Ok(Block { width: x + legend_width + 0.4 * em, height, marks }.titled(&self.title, em))
    }
}

/// Shares from left to right, with a white line between those that are wide enough for one.
fn draw_whole(shares: impl Iterator<Item = f64>, colors: &[Rgb], [x, y, h]: [f64; 3], marks: &mut Vec<Mark>) {
    let mut at = 0.0;
    for (share, color) in shares.zip(colors).filter(|(share, _)| *share > 0.0) {
        let (x, w) = (x + at * ACROSS, share * ACROSS);
        at += share;
        marks.push(Mark::Rect { x, y, w, h, radius: 0.0, fill: Some(*color), stroke: None });
        if w > 2.5 && at < 1.0 - 1e-9 {
            let (from, to) = ([x + w, y], [x + w, y + h]);
            marks.push(Mark::Line { from, to, color: Rgb(255, 255, 255), width: 0.7 });
        }
    }
}
