//! Observations in two dimensions of an embedding.

use std::sync::Arc;

use ndarray::Array2;

use super::axes::{Axis, GRID, name_below, name_left, placeable};
use super::color::Rgb;
use super::figure::{Color, Panel, PlotError};
use super::label_placement::{Crowd, Label, overlap, place};
use super::layout::{Anchor, INK, Mark, legend_of_colors, line_of_text};
use super::plots::Block;
use super::spots::{Coloring, Outline, SpotLayer, coloring};
use super::text::{fitted, width};

/// Diameters of points, in pixels.
const DIAMETER: [f64; 2] = [0.9, 6.0];
/// Room for the colour before a name within the plot, in em.
const DOT: f64 = 1.0;
/// More categories than this are named in a legend.
const MOST_NAMED: usize = 200;
/// Longest name of a category within the plot, in em.
const NAME: f64 = 12.0;

/// Observations in two dimensions of an embedding, coloured by a category or a number.
#[derive(Clone, Debug)]
pub struct Scatter {
    /// A line over the plot.
    pub title: String,
    /// What lies along each axis.
    pub axis_names: [String; 2],
    /// `(n_obs, ≥2)`: x, y; observations without finite ones are left out.
    pub coordinates: Arc<Array2<f64>>,
    /// What the points show.
    pub color: Color,
    /// Names of categories in the middle (median) of their points, in place of a legend.
    pub names_inside: bool,
    /// Numbers at the axes; those of a UMAP mean nothing.
    pub with_numbers: bool,
    /// Side of the plot in pixels (96 to the inch).
    pub plot_size: f64,
}

impl Default for Scatter {
    fn default() -> Self {
        Self {
            title: String::new(),
            axis_names: ["UMAP 1", "UMAP 2"].map(str::to_owned),
            coordinates: Arc::new(Array2::zeros((0, 2))),
            color: Color::None,
            names_inside: true,
            with_numbers: false,
            plot_size: 340.0,
        }
    }
}

impl Scatter {
    pub(super) fn block(&self, em: f64) -> Result<Block, PlotError> {
        let xy = &self.coordinates;
        let n_obs = xy.nrows();
        if !(self.plot_size > 0.0 && self.plot_size <= 20_000.0) {
            let expected = "a number above 0, in the hundreds at most";
            return Err(PlotError::OutOfRange { what: "the plot size", value: self.plot_size, expected });
        }
        if n_obs == 0 {
            return Ok(Block::without_values(em).titled(&self.title, em));
        }
        let panel = Panel {
            title: self.title.clone(),
            coordinates: Arc::clone(xy),
            color: self.color.clone(),
            ..Panel::default()
        };
        panel.validate()?;
        let has_place = |i: &u32| {
            let i = *i as usize;
            placeable(xy[[i, 0]]) && placeable(xy[[i, 1]])
        };
        let placed: Vec<u32> = (0..n_obs as u32).filter(has_place).collect();
        let axis = |k: usize| Axis::spanning(placed.iter().map(|&i| xy[[i as usize, k]]));
        let (Some(across), Some(up)) = (axis(0), axis(1)) else {
            return Ok(Block::without_values(em).titled(&self.title, em));
        };
        let (across, up) = (across.padded(0.04), up.padded(0.04));
        let coloring = coloring(&panel, &placed);
        let side = self.plot_size;
        let (room, below) = if self.with_numbers { (up.room(4, em), 3.0 * em) } else { (0.0, 1.7 * em) };
        let plot = [room + 1.7 * em, 0.2 * em, side, side];
        let [x, y, ..] = plot;
        let mut marks = Vec::new();
        if self.with_numbers {
            up.draw_left(4, plot, em, &mut marks);
            across.draw_below(4, plot, em, &mut marks);
            name_below(&self.axis_names[0], plot, em, &mut marks);
        } else {
            name_below(&self.axis_names[0], [x, y, side, side - 1.2 * em], em, &mut marks);
        }
        name_left(&self.axis_names[1], room, plot, em, &mut marks);
        let (radius, fill) = (0.0, None);
        marks.push(Mark::Rect { x, y, w: side, h: side, radius, fill, stroke: Some((GRID, 0.8)) });
        let order = self.order(&coloring);
        let place_of = |i: u32| {
            let (u, v) = (xy[[i as usize, 0]], xy[[i as usize, 1]]);
            [x + side * across.place(u), y + side * (1.0 - up.place(v))]
        };
        let diameter = (0.8 * side / (placed.len() as f64).sqrt()).clamp(DIAMETER[0], DIAMETER[1]);
        marks.push(Mark::Spots(SpotLayer {
            centres: order.iter().map(|&i| place_of(i)).collect(),
            color_of: order.iter().map(|&i| coloring.color_of[i as usize]).collect(),
            colors: coloring.colors.clone(),
            outline: Outline::Circle { radius: diameter / 2.0 },
            boundaries: None,
            opacity: 1.0,
            edge: None,
            clip: plot,
        }));
        let mut right = x + side;
        let mut height = y + side + below;
        let all_named =
            self.names_inside && self.draw_names(&placed, place_of, &coloring.colors, (plot, em), &mut marks);
        let missing_untold = coloring.n_missing > 0;
        if !all_named || missing_untold {
            let legend = legend_of_colors(&panel, &coloring, side, em);
            legend.draw([right + 1.2 * em, y], em, &mut marks);
            let [w, h] = legend.size(em);
            right += if w > 0.0 { 1.2 * em + w } else { 0.0 };
            height = height.max(y + h);
        }
        if self.with_numbers {
            right = right.max(x + side + across.overhang(4, side, em));
        }
        Ok(Block { width: right + 0.4 * em, height, marks }.titled(&self.title, em))
    }

    /// Categories mixed, so that none hides the others; numbers and missing ones as [`coloring`] has them.
    fn order(&self, coloring: &Coloring) -> Vec<u32> {
        let mut order = coloring.order.clone();
        if let Color::Categorical { names, .. } = &self.color {
            // Multiples of the golden ratio spread any run of observations evenly.
            let missing = names.len() as u32;
            order.sort_by_key(|&i| (coloring.color_of[i as usize] != missing, i.wrapping_mul(0x9E37_79B9)));
        }
        order
    }

    /// Names of categories, their colour before them, at the median of their points; whether each that has points is named.
    fn draw_names(
        &self,
        placed: &[u32],
        place_of: impl Fn(u32) -> [f64; 2],
        colors: &[Rgb],
        (plot, em): ([f64; 4], f64),
        marks: &mut Vec<Mark>,
    ) -> bool {
        let Color::Categorical { codes, names, .. } = &self.color else { return false };
        if names.len() > MOST_NAMED {
            return false;
        }
        let mut points: Vec<[Vec<f64>; 2]> = vec![[Vec::new(), Vec::new()]; names.len()];
        for &i in placed {
            if let Some(code) = codes[i as usize] {
                let at = place_of(i);
                points[code as usize].iter_mut().zip(at).for_each(|(list, v)| list.push(v));
            }
        }
        let median = |list: &mut Vec<f64>| {
            let middle = list.len() / 2;
            *list.select_nth_unstable_by(middle, f64::total_cmp).1
        };
        let size = em;
        let mut labels: Vec<(usize, String, Label)> = Vec::new();
        // The largest categories keep their middle.
        let mut order: Vec<usize> = (0..names.len()).filter(|&k| !points[k][0].is_empty()).collect();
        order.sort_by_key(|&k| (std::cmp::Reverse(points[k][0].len()), k));
        for k in order {
            let at = [median(&mut points[k][0]), median(&mut points[k][1])];
            let text = fitted(&names[k], size, true, NAME * em);
            let label = Label { at, size: [width(&text, size, true) + 4.0 + DOT * em, 1.2 * size] };
            labels.push((k, text, label));
        }
        let mut taken: Vec<[f64; 4]> = Vec::new();
        let nothing = Crowd::new(plot, std::iter::empty());
        let mut all = true;
        for (k, text, label) in &labels {
            let [w, h] = label.size;
            let clamp = |v: f64, low: f64, room: f64| v.clamp(low, low.max(low + room));
            let centred = [
                clamp(label.at[0] - w / 2.0, plot[0], plot[2] - w),
                clamp(label.at[1] - h / 2.0, plot[1], plot[3] - h),
                w,
                h,
            ];
            // Beside its middle where another name stands there.
            let own = if taken.iter().any(|other| overlap(centred, *other)) {
                place(&[*label], plot, 0.2 * em, &nothing, &mut taken)[0].map(|at| [at[0], at[1], w, h])
            } else {
                taken.push(centred);
                Some(centred)
            };
            let Some(own) = own else {
                all = false;
                continue;
            };
            let radius = 0.36 * em;
            let middle = [own[0] + 2.0 + radius, own[1] + h / 2.0];
            marks.push(Mark::Rect {
                x: middle[0] - radius,
                y: middle[1] - radius,
                w: 2.0 * radius,
                h: 2.0 * radius,
                radius,
                fill: Some(colors[*k]),
                stroke: Some((Rgb(255, 255, 255), 1.4)),
            });
            let at = [own[0] + 2.0 + DOT * em, own[1] + 0.8 * h];
            let mut mark = line_of_text(at, size, true, Anchor::Start, INK, text, f64::INFINITY);
            if let Mark::Text { full, .. } = &mut mark {
                *full = (*text != names[*k]).then(|| names[*k].clone());
            }
            marks.push(mark.over());
        }
        all
    }
}
