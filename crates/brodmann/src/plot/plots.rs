//! Plots that stand on a page side by side, each as large as what it shows needs.

use super::arcs::Arcs;
use super::bars::Bars;
use super::curves::Curves;
use super::dot_plot::DotPlot;
use super::figure::PlotError;
use super::heat_map::HeatMap;
use super::layout::{Anchor, FAINT, INK, Mark, line_of_text};
use super::scatter::Scatter;
use super::stacked_bars::StackedBars;
use super::text::width;
use super::violins::Violins;
use super::volcano::Volcano;

/// The largest side of a plot in pixels (96 to the inch).
const LARGEST: f64 = 20_000.0;

/// A plot of any kind.
#[derive(Clone, Debug)]
pub enum Plot {
    /// Fold change against p, group by group.
    Volcano(Volcano),
    /// Values by group, feature by feature.
    Violins(Violins),
    /// Mean and share of spots that express, groups × features.
    DotPlot(DotPlot),
    /// A table in colours.
    HeatMap(HeatMap),
    /// One number per name, in groups.
    Bars(Bars),
    /// What wholes consist of.
    StackedBars(StackedBars),
    /// Numbers along an axis.
    Curves(Curves),
    /// Observations in two dimensions of an embedding.
    Scatter(Scatter),
    /// Links between peaks and genes, domain by domain.
    Arcs(Arcs),
}

impl Plot {
    /// Width and height in pixels (96 to the inch) on a page whose em is `font_size` and that leaves `most` across.
    ///
    /// Only a [`Volcano`] looks at `most`, for how many of its groups stand side by side; any other plot is as wide as
    /// what it shows needs.
    ///
    /// # Errors
    /// [`PlotError`], as drawing it would give.
    pub fn size(&self, font_size: f64, most: f64) -> Result<[f64; 2], PlotError> {
        let block = self.block(font_size, most)?;
        Ok([block.width, block.height])
    }

    pub(super) fn block(&self, em: f64, most: f64) -> Result<Block, PlotError> {
        if !(em > 0.0 && em <= 1000.0) {
            let expected = "a number above 0, in the hundreds at most";
            return Err(PlotError::OutOfRange { what: "the font size", value: em, expected });
        }
        let block = match self {
            Self::Volcano(plot) => plot.block(em, most),
            Self::Violins(plot) => plot.block(em),
            Self::DotPlot(plot) => plot.block(em),
            Self::HeatMap(plot) => plot.block(em),
            Self::Bars(plot) => plot.block(em),
            Self::StackedBars(plot) => plot.block(em),
            Self::Curves(plot) => Ok(plot.block(em)),
            Self::Scatter(plot) => plot.block(em),
            Self::Arcs(plot) => plot.block(em),
        }?;
        let side = block.width.max(block.height);
        if side.is_finite() && side <= LARGEST {
            return Ok(block);
        }
        let expected = "at most 20000 pixels; draw fewer groups or features in one plot";
        Err(PlotError::OutOfRange { what: "a side of the plot", value: side, expected })
    }
}

/// What has been laid out, from its own top left corner on.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub width: f64,
    pub height: f64,
    pub marks: Vec<Mark>,
}

impl Block {
    /// With a line over it; without one where that is empty.
    pub(super) fn titled(self, title: &str, em: f64) -> Self {
        if title.is_empty() {
            return self;
        }
        let size = 1.1 * em;
        // A long title widens a narrow plot, within limits.
        let across = self.width.max(width(title, size, true).min(26.0 * em));
        let mut marks = vec![line_of_text([0.0, 1.1 * em], size, true, Anchor::Start, INK, title, across)];
        marks.extend(self.marks.into_iter().map(|mark| mark.moved(0.0, 2.0 * em)));
        Self { width: across, height: self.height + 2.0 * em, marks }
    }

    /// Words where there is nothing to draw.
    pub(super) fn without_values(em: f64) -> Self {
        let words = "no values";
        let at = [0.0, em];
        let marks = vec![line_of_text(at, em, false, Anchor::Start, FAINT, words, f64::INFINITY)];
        Self { width: width(words, em, false), height: 1.5 * em, marks }
    }
}

/// Blocks side by side, in as many rows as keep them within `most` across; tops aligned.
pub(super) fn flow(blocks: Vec<Block>, most: f64, gap: f64) -> Block {
    let (mut x, mut y, mut row_height, mut widest) = (0.0f64, 0.0f64, 0.0f64, 0.0f64);
    let mut marks = Vec::new();
    for block in blocks {
        if x > 0.0 && x + block.width > most {
            y += row_height + gap;
            (x, row_height) = (0.0, 0.0);
        }
        marks.extend(block.marks.into_iter().map(|mark| mark.moved(x, y)));
        widest = widest.max(x + block.width);
        row_height = row_height.max(block.height);
        x += block.width + gap;
    }
    Block { width: widest, height: y + row_height, marks }
}

/// Blocks in rows of `columns`, each in a cell as wide as its column's widest and as high as its row's highest.
pub(super) fn grid(blocks: Vec<Block>, columns: usize, gap: f64) -> Block {
    let columns = columns.clamp(1, blocks.len().max(1));
    let rows = blocks.len().div_ceil(columns);
    let (mut widths, mut heights) = (vec![0.0f64; columns], vec![0.0f64; rows]);
    for (k, block) in blocks.iter().enumerate() {
        widths[k % columns] = widths[k % columns].max(block.width);
        heights[k / columns] = heights[k / columns].max(block.height);
    }
    let gaps = |n: usize| gap * n.saturating_sub(1) as f64;
    let mut marks = Vec::new();
    for (k, block) in blocks.into_iter().enumerate() {
        let x = widths[..k % columns].iter().sum::<f64>() + gap * (k % columns) as f64;
        let y = heights[..k / columns].iter().sum::<f64>() + gap * (k / columns) as f64;
        marks.extend(block.marks.into_iter().map(|mark| mark.moved(x, y)));
    }
    let width = widths.iter().sum::<f64>() + gaps(columns);
    Block { width, height: heights.iter().sum::<f64>() + gaps(rows), marks }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_a_grid_are_as_large_as_the_largest_needs() {
        let block = |width: f64, height: f64| Block { width, height, marks: Vec::new() };
        let page = grid(vec![block(50.0, 10.0), block(40.0, 30.0), block(60.0, 5.0)], 2, 10.0);
        assert_eq!((page.width, page.height), (110.0, 45.0));
        let page = grid(vec![block(50.0, 10.0)], 4, 10.0);
        assert_eq!((page.width, page.height), (50.0, 10.0));
        let nothing = grid(Vec::new(), 0, 10.0);
        assert_eq!((nothing.width, nothing.height), (0.0, 0.0));
    }

    #[test]
    fn blocks_flow_into_rows() {
        let block = |width: f64, height: f64| Block { width, height, marks: Vec::new() };
        let page = flow(vec![block(50.0, 10.0), block(40.0, 30.0), block(30.0, 5.0)], 100.0, 10.0);
        assert_eq!((page.width, page.height), (100.0, 45.0));
        let page = flow(vec![block(500.0, 10.0), block(40.0, 30.0)], 100.0, 10.0);
        assert_eq!((page.width, page.height), (500.0, 50.0));
        let nothing = flow(Vec::new(), 100.0, 10.0);
        assert_eq!((nothing.width, nothing.height), (0.0, 0.0));
    }
}
