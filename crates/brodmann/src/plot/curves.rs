//! Numbers along an axis: several named curves, bands around them, lines to compare with.

use super::axes::{Axis, name_below, name_left, placeable};
use super::color::{Rgb, palette};
use super::label_placement::{Crowd, overlap};
use super::layout::{Anchor, FAINT, INK, LINE, Mark, line_of_text};
use super::legend::ROW;
use super::plots::Block;
use super::text::{fitted, width};

/// The most points of a curve: beyond, several share one, drawn by their mean.
pub(super) const MAX_POINTS: usize = 2000;
/// Width and height of the plot, in pixels.
const PLOT: [f64; 2] = [320.0, 220.0];
/// Longest name in the legend, in em.
const NAME: f64 = 14.0;
/// Most curves in the legend; what there is more has no name.
const MAX_NAMED: usize = 40;

/// Curves over one axis: co-occurrence by distance, Ripley's L.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    /// A line over the plot.
    pub title: String,
    /// What lies along the horizontal axis.
    pub x_name: String,
    /// What lies along the vertical axis.
    pub y_name: String,
    /// The curves.
    pub curves: Vec<Curve>,
    /// Horizontal lines to compare with, and what they are: 1 where there is no co-occurrence.
    pub references: Vec<(f64, String)>,
    /// The vertical axis is logarithmic, where all values are above 0.
    pub log: bool,
}

/// One curve.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// Its name, in the legend where there are several.
    pub name: String,
    /// Its colour; `None`: one that stands out from the others.
    pub color: Option<Rgb>,
    /// x and y, by rising x; gaps where one is not finite.
    pub points: Vec<[f64; 2]>,
    /// x, lower and upper end of an area around it: what chance alone gives; may be empty.
    pub band: Vec<[f64; 3]>,
}

impl Curves {
    pub(super) fn block(&self, em: f64) -> Block {
        let has_place = |p: &&[f64; 2]| p.iter().all(|v| placeable(*v));
        let points = || self.curves.iter().flat_map(|c| &c.points).filter(has_place);
        let bands = || self.curves.iter().flat_map(|c| &c.band).filter(|b| b.iter().all(|v| placeable(*v)));
        let references = self.references.iter().map(|r| r.0);
        let xs = points().map(|p| p[0]).chain(bands().map(|b| b[0]));
        let ys = points().map(|p| p[1]).chain(bands().flat_map(|b| [b[1], b[2]]));
        let (Some(across), Some(_)) = (Axis::spanning(xs), points().next()) else {
            return Block::without_values(em).titled(&self.title, em);
        };
        let Some(up) = Axis::spanning(ys.chain(references)) else {
            return Block::without_values(em).titled(&self.title, em);
        };
        let up = Axis { log: self.log && up.low > 0.0, ..up }.padded(0.05);
        let room = up.room(5, em);
        let named = if self.y_name.is_empty() && !up.log { 0.0 } else { 1.7 * em };
        let plot = [room + named, 0.4 * em, PLOT[0], PLOT[1]];
        let [x, y, w, h] = plot;
        let mut marks = Vec::new();
        up.draw_left(5, plot, em, &mut marks);
        marks.push(Mark::Line { from: [x, y], to: [x, y + h], color: LINE, width: 0.8 });
        across.draw_below(5, plot, em, &mut marks);
        name_below(&self.x_name, plot, em, &mut marks);
        let y_name = if up.log { format!("{} (logarithmic)", self.y_name) } else { self.y_name.clone() };
        name_left(y_name.trim_start(), room, plot, em, &mut marks);
        let defaults = colors_of_lines(self.curves.len());
        let colors: Vec<Rgb> =
            self.curves.iter().zip(defaults).map(|(c, default)| c.color.unwrap_or(default)).collect();
        let place = |v: [f64; 2]| [x + w * across.clamped(v[0]), y + h * (1.0 - up.clamped(v[1]))];
        for (curve, color) in self.curves.iter().zip(&colors) {
            let band: Vec<&[f64; 3]> =
                curve.band.iter().filter(|b| b.iter().all(|v| placeable(*v))).collect();
            let every = band.len().div_ceil(MAX_POINTS).max(1);
            let upper = band.iter().step_by(every).map(|b| place([b[0], b[2]]));
            let lower = band.iter().step_by(every).rev().map(|b| place([b[0], b[1]]));
            let points: Vec<[f64; 2]> = upper.chain(lower).collect();
            if points.len() > 3 {
                marks.push(Mark::Area { points, fill: *color, opacity: 0.18, stroke: None });
            }
        }
        let drawn: Vec<Vec<Vec<[f64; 2]>>> = self.curves.iter().map(|c| runs(&c.points)).collect();
        let crowd = Crowd::new(plot, drawn.iter().flatten().flat_map(|run| between(run, place)));
        let mut taken: Vec<[f64; 4]> = Vec::new();
        for (value, name) in self.references.iter().filter(|r| placeable(r.0)) {
            let at = place([across.low, *value])[1];
            marks.push(Mark::Line { from: [x, at], to: [x + w, at], color: INK, width: 1.0 });
            let size = 0.9 * em;
            let text = fitted(name, size, false, 0.6 * w);
            let (wide, tall) = (width(&text, size, false), 1.2 * size);
            // Above or below the line, where the fewest curves are; at its right end where that is all the same.
            let places = (0..=12).flat_map(|k| {
                let x = x + 0.4 * em + (w - wide - 0.7 * em) * (1.0 - f64::from(k) / 12.0);
                [[x, at - tall - 1.0], [x, at + 1.0]]
            });
            let best = places
                .map(|[x, y]| [x, y, wide, tall])
                .filter(|own| own[1] >= y && own[1] + tall <= y + h)
                .filter(|own| !taken.iter().any(|other| overlap(*own, *other)))
                .min_by(|a, b| crowd.within(*a).total_cmp(&crowd.within(*b)));
            if let Some(own) = best {
                taken.push(own);
                let at = [own[0], own[1] + 0.85 * tall];
                marks.push(line_of_text(at, size, false, Anchor::Start, FAINT, name, 0.6 * w).over());
            }
        }
        for (runs, color) in drawn.iter().zip(&colors) {
            draw_line(runs, place, *color, em, &mut marks);
        }
        let mut right = x + w;
        let mut height = y + h + 2.9 * em;
        if self.curves.len() > 1 {
            let names: Vec<&str> = self.curves.iter().map(|c| c.name.as_str()).take(MAX_NAMED).collect();
            let last = |runs: &Vec<Vec<[f64; 2]>>| runs.last().and_then(|run| run.last()).map(|p| place(*p));
            let ends: Vec<Option<[f64; 2]>> = drawn.iter().map(last).take(names.len()).collect();
            let wanted: Vec<f64> = ends.iter().map(|end| end.map_or(y + h, |end| end[1])).collect();
            let middles = spread(&wanted, [y, y + h], ROW * em);
            let left = x + w + 1.4 * em;
            // From the end of a curve to its name: colour is not all that tells them apart.
            for ((end, middle), color) in ends.iter().zip(&middles).zip(&colors) {
                if let Some(from) = end.filter(|end| end[0] > x + 0.98 * w) {
                    let to = [left, *middle];
                    marks.push(Mark::Line {
                        from,
                        to,
                        color: color.mix(Rgb(255, 255, 255), 0.35),
                        width: 0.8,
                    });
                }
            }
            let wide = draw_legend(&names, &colors, &middles, left, em, &mut marks) + 0.6 * em;
            let tall = middles.iter().fold(0.0f64, |m, v| m.max(v - y + ROW * em));
            right += 0.8 * em + wide;
            height = height.max(y + tall);
        }
        let right = right.max(x + w + across.overhang(5, w, em));
        Block { width: right + 0.4 * em, height, marks }.titled(&self.title, em)
    }
}

/// Places along a run, close enough to each other for [`Crowd`].
fn between(
    run: &[[f64; 2]],
    place: impl Fn([f64; 2]) -> [f64; 2] + Copy,
) -> impl Iterator<Item = ([f64; 2], f64)> {
    run.windows(2).flat_map(move |pair| {
        let [from, to] = [place(pair[0]), place(pair[1])];
        let steps = ((to[0] - from[0]).hypot(to[1] - from[1]) / 2.0).ceil().clamp(1.0, 500.0) as usize;
        (0..=steps).map(move |k| {
            let t = k as f64 / steps as f64;
            ([from[0] + t * (to[0] - from[0]), from[1] + t * (to[1] - from[1])], 1.0)
        })
    })
}

/// Blue first: the first colour of the palette, orange, reads as a warning on a line.
pub(super) fn colors_of_lines(n: usize) -> Vec<Rgb> {
    let all = palette(n + 5);
    (0..n).map(|k| if k < 6 { all[[4, 5, 2, 6, 1, 3][k]] } else { all[k] }).collect()
}

/// Runs of finite points, thinned to what can be seen.
pub(super) fn runs(points: &[[f64; 2]]) -> Vec<Vec<[f64; 2]>> {
    let every = points.len().div_ceil(MAX_POINTS).max(1);
    let mut runs: Vec<Vec<[f64; 2]>> = Vec::new();
    let mut open = false;
    for chunk in points.chunks(every) {
        if !chunk.iter().flatten().all(|v| placeable(*v)) {
            open = false;
            continue;
        }
        let mean = |k: usize| chunk.iter().map(|p| p[k] / chunk.len() as f64).sum::<f64>();
        let point = if let [one] = chunk { *one } else { [mean(0), mean(1)] };
        match runs.last_mut() {
            Some(run) if open => run.push(point),
            _ => runs.push(vec![point]),
        }
        open = true;
    }
    runs
}

/// Draws runs of points; one alone is a dot.
pub(super) fn draw_line(
    runs: &[Vec<[f64; 2]>],
    place: impl Fn([f64; 2]) -> [f64; 2],
    color: Rgb,
    em: f64,
    marks: &mut Vec<Mark>,
) {
    for run in runs {
        let points: Vec<[f64; 2]> = run.iter().map(|p| place(*p)).collect();
        if let [one] = points[..] {
            let r = 0.15 * em;
            let (x, y, side) = (one[0] - r, one[1] - r, 2.0 * r);
            let fill = Some(color);
            marks.push(Mark::Rect { x, y, w: side, h: side, radius: r, fill, stroke: None });
        } else {
            marks.push(Mark::Path { points, color, width: 1.6 });
        }
    }
}

/// Middles of the lines of a legend that begins at `y`.
pub(super) fn rows(n: usize, y: f64, em: f64) -> Vec<f64> {
    (0..n).map(|k| y + (k as f64 + 0.7) * ROW * em).collect()
}

/// Places near those `wanted` and at least `step` apart, between the ends as long as there is room.
fn spread(wanted: &[f64], [low, high]: [f64; 2], step: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]).then(a.cmp(&b)));
    let mut places = vec![low; wanted.len()];
    // Down as far as the one above asks for, then up again from the lower end.
    let mut free = low;
    for &k in &order {
        places[k] = wanted[k].max(free);
        free = places[k] + step;
    }
    let mut free = high.max(low + step * wanted.len().saturating_sub(1) as f64);
    for &k in order.iter().rev() {
        places[k] = places[k].min(free);
        free = places[k] - step;
    }
    places
}

/// Lines beside names, from `x` on; returns the width.
pub(super) fn draw_legend(
    names: &[&str],
    colors: &[Rgb],
    middles: &[f64],
    x: f64,
    em: f64,
    marks: &mut Vec<Mark>,
) -> f64 {
    let mut widest = 0.0f64;
    for ((name, color), y) in names.iter().zip(colors).zip(middles) {
        marks.push(Mark::Line { from: [x, *y], to: [x + 1.2 * em, *y], color: *color, width: 2.0 });
        let place = [x + 1.7 * em, y + 0.34 * em];
        marks.push(line_of_text(place, em, false, Anchor::Start, INK, name, NAME * em));
        widest = widest.max(width(&fitted(name, em, false, NAME * em), em, false));
    }
    1.7 * em + widest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_curves_are_thinned_by_their_means() {
        let points: Vec<[f64; 2]> = (0..100_000).map(f64::from).map(|v| [v + 1.0, v]).collect();
        let drawn = runs(&points);
        assert_eq!(drawn.len(), 1);
        assert!(drawn[0].len() <= MAX_POINTS);
        assert!(drawn[0].iter().all(|[x, y]| (x - 1.0 - y).abs() < 1e-6));
    }

    #[test]
    fn names_are_spread_in_the_order_of_their_curves() {
        assert_eq!(spread(&[50.0, 10.0], [0.0, 100.0], 10.0), [50.0, 10.0]);
        assert_eq!(spread(&[50.0, 50.0, 51.0], [0.0, 100.0], 10.0), [50.0, 60.0, 70.0]);
        assert_eq!(spread(&[99.0, 100.0], [0.0, 100.0], 10.0), [90.0, 100.0]);
        assert_eq!(spread(&[5.0; 3], [0.0, 10.0], 10.0), [0.0, 10.0, 20.0], "more than there is room for");
        assert!(spread(&[], [0.0, 1.0], 1.0).is_empty());
    }

    #[test]
    fn gaps_part_a_curve() {
        let points = [[1.0, 1.0], [2.0, f64::NAN], [3.0, 2.0], [4.0, 3.0], [f64::INFINITY, 1.0]];
        assert_eq!(runs(&points), [vec![[1.0, 1.0]], vec![[3.0, 2.0], [4.0, 3.0]]]);
        assert!(runs(&[]).is_empty());
    }
}
