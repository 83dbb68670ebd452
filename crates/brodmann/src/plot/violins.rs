//! Values by group, one row a feature: how they are distributed.

use std::sync::Arc;

use rayon::prelude::*;

use super::axes::{Axis, GRID, LONGEST_NAME, Names, SMALL, name_left, placeable, small};
use super::color::Rgb;
use super::density::{STEPS, density, quantile};
use super::figure::PlotError;
use super::groups::{Groups, same_length};
use super::layout::{Anchor, FAINT, INK, LINE, Mark, line_of_text};
use super::plots::Block;
use super::text::{fitted, width};

/// Most points of a group beyond its whiskers that are drawn, one a pixel.
const MAX_OUTLIERS: usize = 150;

/// Values by group, one row a feature, all above one axis of groups.
#[derive(Clone, Debug, PartialEq)]
pub struct Violins {
    /// A line over the rows.
    pub title: String,
    /// The groups, from left to right.
    pub groups: Groups,
    /// The group of each observation.
    pub group_of: Arc<Vec<Option<u32>>>,
    /// The features, from top to bottom.
    pub rows: Vec<ViolinRow>,
    /// What the values are; beside the axis.
    pub value_name: String,
    /// Violins or boxes.
    pub kind: ViolinKind,
}

impl Default for Violins {
    fn default() -> Self {
        Self {
            title: String::new(),
            groups: Groups::default(),
            group_of: Arc::new(Vec::new()),
            rows: Vec::new(),
            value_name: String::new(),
            kind: ViolinKind::Violins,
        }
    }
}

/// One feature.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ViolinRow {
    /// Its name.
    pub name: String,
    /// A value per observation; those that are not finite are left out.
    pub values: Vec<f64>,
}

/// How a group is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ViolinKind {
    /// The density, as wide in every group, and a thin box within: quartiles and median, whiskers to the farthest value
    /// within 1.5 times their distance.
    #[default]
    Violins,
    /// The box alone, and the values beyond its whiskers.
    Boxes,
}

/// What is drawn of one group's values.
#[derive(Clone, Debug, PartialEq)]
struct Summary {
    low: f64,
    high: f64,
    quartiles: [f64; 3],
    whiskers: [f64; 2],
    density: Option<Vec<f64>>,
    /// Beyond the whiskers, for boxes.
    outliers: Vec<f64>,
}

impl Summary {
    /// Of rising numbers; `None` without any.
    fn of(sorted: &[f64], kind: ViolinKind) -> Option<Self> {
        let (low, high) = (*sorted.first()?, *sorted.last()?);
        let quartiles = [0.25, 0.5, 0.75].map(|q| quantile(sorted, q));
        let reach = 1.5 * (quartiles[2] - quartiles[0]);
        // The first and the last value within reach; the quartiles are between values, but never beyond all of them.
        let from = sorted.partition_point(|v| *v < quartiles[0] - reach);
        let to = sorted.partition_point(|v| *v <= quartiles[2] + reach);
        let inner = sorted.get(from..to).filter(|s| !s.is_empty()).unwrap_or(sorted);
        let whiskers = [inner[0].min(quartiles[0]), inner[inner.len() - 1].max(quartiles[2])];
        let (density, outliers) = match kind {
            ViolinKind::Violins => (density(sorted), Vec::new()),
            ViolinKind::Boxes => (None, [&sorted[..from], &sorted[to..]].concat()),
        };
        Some(Self { low, high, quartiles, whiskers, density, outliers })
    }
}

/// What is drawn of a row: one summary a group.
///
/// # Cost
/// O(n log n) time; O(n) memory for the values in the order of the groups.
fn summaries(
    values: &[f64],
    group_of: &[Option<u32>],
    n_groups: usize,
    kind: ViolinKind,
) -> Vec<Option<Summary>> {
    let counted = |i: usize| group_of[i].filter(|_| placeable(values[i])).map(|g| g as usize);
    let mut starts = vec![0usize; n_groups + 1];
    for g in (0..values.len()).filter_map(counted) {
        starts[g + 1] += 1;
    }
    for g in 0..n_groups {
        starts[g + 1] += starts[g];
    }
    let mut next = starts.clone();
    let mut sorted = vec![0.0; starts[n_groups]];
    for i in 0..values.len() {
        if let Some(g) = counted(i) {
            // Not −0, which would be another value to the sort.
            sorted[next[g]] = values[i] + 0.0;
            next[g] += 1;
        }
    }
    (0..n_groups)
        .map(|g| {
            let own = &mut sorted[starts[g]..starts[g + 1]];
            own.sort_unstable_by(f64::total_cmp);
            Summary::of(own, kind)
        })
        .collect()
}

impl Violins {
    pub(super) fn block(&self, em: f64) -> Result<Block, PlotError> {
        let n_groups = self.groups.len();
        let n_obs = self.group_of.len();
        self.groups.check_codes(&self.title, &self.group_of, n_obs)?;
        for row in &self.rows {
            same_length(&self.title, "values", row.values.len(), n_obs)?;
        }
        if self.rows.is_empty() || self.groups.is_empty() {
            return Ok(Block::without_values(em).titled(&self.title, em));
        }
        let drawn: Vec<Vec<Option<Summary>>> = self
            .rows
            .par_iter()
            .map(|row| summaries(&row.values, &self.group_of, n_groups, self.kind))
            .collect();
        let axes: Vec<Axis> = drawn
            .iter()
            .map(|row| {
                let ends = row.iter().flatten().flat_map(|s| [s.low, s.high]);
                Axis::spanning(ends).unwrap_or(Axis { low: 0.0, high: 1.0, log: false })
            })
            .collect();
        let alone = self.rows.len() == 1;
        let h = if alone { 170.0 } else { 58.0 };
        let n_ticks = if alone { 4 } else { 2 };
        let step = (560.0 / n_groups as f64).clamp(14.0, if alone { 64.0 } else { 44.0 });
        let room = axes.iter().fold(0.0f64, |m, a| m.max(a.room(n_ticks, em)));
        let (size, most) = (SMALL * em, LONGEST_NAME * em);
        let names = self.rows.iter().map(|r| width(&fitted(&r.name, size, false, most), size, false));
        let names = names.fold(0.0, f64::max);
        let named = if self.value_name.is_empty() { 0.0 } else { 1.5 * em };
        let left = names + if names > 0.0 { 0.8 * em } else { 0.0 } + named + room;
        let w = step * n_groups as f64;
        let gap = 0.7 * em;
        let mut marks = Vec::new();
        let colors = self.groups.all_colors();
        for (k, (row, summaries)) in self.rows.iter().zip(&drawn).enumerate() {
            let y = k as f64 * (h + gap) + 0.5 * em;
            let plot = [left, y, w, h];
            let at = [names, y + h / 2.0 + 0.36 * em];
            marks.push(line_of_text(at, size, false, Anchor::End, INK, &row.name, most));
            draw_frame(axes[k], n_ticks, plot, em, &mut marks);
            for (g, summary) in summaries.iter().enumerate() {
                let middle = left + (g as f64 + 0.5) * step;
                match summary {
                    Some(summary) => {
                        draw(summary, axes[k], [middle, y, step, h], colors[g], self.kind, &mut marks);
                    }
                    None => marks.push(small([middle, y + h - 0.3 * em], Anchor::Middle, em, "–")),
                }
            }
        }
        let total = self.rows.len() as f64 * (h + gap) - gap + 0.5 * em;
        if !self.value_name.is_empty() {
            let over_all = [left, 0.5 * em, w, total - 0.5 * em];
            name_left(&self.value_name, room, over_all, em, &mut marks);
        }
        let strip = 0.45 * em;
        for (g, color) in colors.iter().enumerate() {
            let x = left + g as f64 * step + 0.12 * step;
            let (w, fill, stroke) = (0.76 * step, Some(*color), None);
            marks.push(Mark::Rect { x, y: total + 0.35 * em, w, h: strip, radius: 0.0, fill, stroke });
        }
        let below = Names::of_columns(&self.groups.names, step, em);
        let y = total + 0.35 * em + strip;
        below.draw_below(&self.groups.names, [left, y], step, em, &mut marks);
        let block = Block { width: left + w + 0.4 * em, height: y + below.height(em), marks };
        Ok(block.titled(&self.title, em))
    }
}

fn draw_frame(axis: Axis, n_ticks: usize, plot: [f64; 4], em: f64, marks: &mut Vec<Mark>) {
    let [x, y, w, h] = plot;
    marks.push(Mark::Rect { x, y, w, h, radius: 0.0, fill: None, stroke: Some((GRID, 0.8)) });
    axis.padded(0.05).draw_left(n_ticks, plot, em, marks);
    marks.push(Mark::Line { from: [x, y], to: [x, y + h], color: LINE, width: 0.8 });
}

/// Draws one group around `middle`.
fn draw(
    summary: &Summary,
    axis: Axis,
    [middle, y, step, h]: [f64; 4],
    color: Rgb,
    kind: ViolinKind,
    marks: &mut Vec<Mark>,
) {
    let axis = axis.padded(0.05);
    let at = |v: f64| y + h * (1.0 - axis.clamped(v));
    let half = 0.44 * step;
    let dark = color.mix(Rgb(0, 0, 0), 0.45);
    let line = |from: [f64; 2], to: [f64; 2], width: f64| Mark::Line { from, to, color: dark, width };
    if summary.low == summary.high {
        // All values are one: a line says where.
        let level = at(summary.low);
        marks.push(Mark::Line {
            from: [middle - half, level],
            to: [middle + half, level],
            color: dark,
            width: 1.8,
        });
        return;
    }
    if let Some(density) = &summary.density {
        let place = |k: usize, side: f64| {
            let v = summary.low + (summary.high - summary.low) * k as f64 / STEPS as f64;
            // A hairline remains where there is nearly nothing, so that a violin is one piece.
            [middle + side * half * density[k].max(0.012), at(v)]
        };
        let mut points: Vec<[f64; 2]> = (0..=STEPS).map(|k| place(k, 1.0)).collect();
        points.extend((0..=STEPS).rev().map(|k| place(k, -1.0)));
        marks.push(Mark::Area { points, fill: color, opacity: 1.0, stroke: Some((dark, 0.6)) });
    }
    let [q1, median, q3] = summary.quartiles.map(at);
    let [lower, upper] = summary.whiskers.map(at);
    let (half_box, fill) = match kind {
        ViolinKind::Violins => ((0.07 * step).clamp(1.6, 3.0), dark),
        ViolinKind::Boxes => (0.32 * step, color),
    };
    marks.push(line([middle, upper], [middle, q3], 0.9));
    marks.push(line([middle, q1], [middle, lower], 0.9));
    if kind == ViolinKind::Boxes {
        for end in [lower, upper] {
            marks.push(line([middle - 0.5 * half_box, end], [middle + 0.5 * half_box, end], 0.9));
        }
        draw_outliers(summary, middle, at, marks);
    }
    marks.push(Mark::Rect {
        x: middle - half_box,
        y: q3,
        w: 2.0 * half_box,
        h: (q1 - q3).max(0.5),
        radius: 0.0,
        fill: Some(fill),
        stroke: Some((dark, 0.8)),
    });
    match kind {
        ViolinKind::Violins => {
            let radius = 1.9;
            let (x, y, side) = (middle - radius, median - radius, 2.0 * radius);
            let (fill, stroke) = (Some(Rgb(255, 255, 255)), Some((dark, 0.6)));
            marks.push(Mark::Rect { x, y, w: side, h: side, radius, fill, stroke });
        }
        ViolinKind::Boxes => {
            // White below: a dark line alone is lost on a dark colour.
            let ends = ([middle - half_box, median], [middle + half_box, median]);
            let (from, to) = ends;
            marks.push(Mark::Line { from, to, color: Rgb(255, 255, 255), width: 3.0 });
            marks.push(Mark::Line { from, to, color: INK, width: 1.6 });
        }
    }
}

/// Values beyond the whiskers, one a pixel.
fn draw_outliers(summary: &Summary, middle: f64, at: impl Fn(f64) -> f64, marks: &mut Vec<Mark>) {
    let mut places: Vec<i64> = summary.outliers.iter().map(|v| (2.0 * at(*v)).round() as i64).collect();
    places.dedup();
    let every = places.len().div_ceil(MAX_OUTLIERS).max(1);
    let radius = 1.1;
    for place in places.into_iter().step_by(every) {
        let (x, y, side) = (middle - radius, place as f64 / 2.0 - radius, 2.0 * radius);
        let (fill, stroke) = (Some(FAINT), None);
        marks.push(Mark::Rect { x, y, w: side, h: side, radius, fill, stroke });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_tukeys() {
        let sorted = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 30.0];
        let s = Summary::of(&sorted, ViolinKind::Boxes).expect("values");
        assert_eq!((s.quartiles, s.whiskers), ([3.0, 5.0, 7.0], [1.0, 8.0]));
        assert_eq!((s.low, s.high, s.outliers), (1.0, 30.0, vec![30.0]));
    }

    #[test]
    fn few_and_equal_values_are_summarised() {
        let of = |values: &[f64]| Summary::of(values, ViolinKind::Violins);
        assert_eq!(of(&[]), None);
        let one = of(&[4.0]).expect("one");
        assert_eq!((one.quartiles, one.whiskers, one.density), ([4.0; 3], [4.0; 2], None));
        let zeros = of(&[0.0; 50]).expect("zeros");
        assert_eq!((zeros.low, zeros.high, zeros.density), (0.0, 0.0, None));
        let mostly = of(&[0.0, 0.0, 0.0, 0.0, 0.0, 7.0]).expect("values");
        assert_eq!((mostly.quartiles, mostly.whiskers), ([0.0; 3], [0.0; 2]));
    }

    #[test]
    fn values_go_to_their_group_and_what_is_not_finite_nowhere() {
        let values = [3.0, f64::NAN, 1.0, f64::INFINITY, 2.0, 9.0];
        let group_of = [Some(1), Some(1), Some(1), Some(0), Some(1), None];
        let found = summaries(&values, &group_of, 3, ViolinKind::Violins);
        let ends: Vec<_> = found.iter().map(|s| s.as_ref().map(|s| (s.low, s.high))).collect();
        assert_eq!(ends, [None, Some((1.0, 3.0)), None]);
    }
}
