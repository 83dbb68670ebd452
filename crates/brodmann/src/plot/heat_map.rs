//! A table in colours, its rows and columns by what is alike.

use ndarray::{Array2, Axis as Along};

use super::axes::{Names, placeable, small};
use super::cells::CellLayer;
use super::color::{ColorMap, MISSING, Rgb};
use super::figure::PlotError;
use super::groups::{Groups, same_length};
use super::layout::{Anchor, FAINT, INK, LINE, Mark, line_of_text};
use super::legend::{Entry, Legend, Scale};
use super::linkage::{Distance, Tree, tree};
use super::plots::Block;
use super::text::width;

/// Longest side of the table, in pixels.
const LONGEST: [f64; 2] = [640.0, 760.0];
/// Smallest and largest side of a cell; more cells than have room share a pixel.
const CELL: [f64; 2] = [0.02, 20.0];
/// Height of a dendrogram, in em.
const TREE: f64 = 3.4;
/// Thickness of a strip of categories, in em.
const STRIP: f64 = 0.8;
/// Gridlines between cells at least this large.
const SEPARATE: f64 = 9.0;

/// A table in colours: neighbourhood enrichment, composition, agreement of members, mean expression.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    /// A line over the plot.
    pub title: String,
    /// `(rows, columns)`; what is not finite is grey.
    pub values: Array2<f64>,
    /// A name for each row, or none at all.
    pub row_names: Vec<String>,
    /// A name for each column, or none at all.
    pub column_names: Vec<String>,
    /// What the numbers are, over the colour bar.
    pub value_name: String,
    /// The colours.
    pub colormap: ColorMap,
    /// Which numbers have the end colours.
    pub limits: Limits,
    /// Write the numbers into the cells, with so many decimals, where they have room.
    pub decimals: Option<usize>,
    /// Order the rows by a dendrogram, and draw it.
    pub row_tree: Option<Distance>,
    /// Order the columns by a dendrogram, and draw it.
    pub column_tree: Option<Distance>,
    /// Categories of the rows, a strip each.
    pub row_strips: Vec<Strip>,
    /// Categories of the columns, a strip each.
    pub column_strips: Vec<Strip>,
}

impl Default for HeatMap {
    fn default() -> Self {
        Self {
            title: String::new(),
            values: Array2::zeros((0, 0)),
            row_names: Vec::new(),
            column_names: Vec::new(),
            value_name: String::new(),
            colormap: ColorMap::default(),
            limits: Limits::Range,
            decimals: None,
            row_tree: None,
            column_tree: None,
            row_strips: Vec::new(),
            column_strips: Vec::new(),
        }
    }
}

/// Which numbers have the end colours.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Limits {
    /// The smallest and the largest.
    #[default]
    Range,
    /// The largest absolute value and its negative: for diverging colours.
    Symmetric,
    /// These.
    Given(f64, f64),
}

/// A category for each row or column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Strip {
    /// What the categories are.
    pub name: String,
    /// Index into the names; `None` is missing.
    pub codes: Vec<Option<u32>>,
    /// Names and colours.
    pub groups: Groups,
}

impl HeatMap {
    fn validate(&self) -> Result<(), PlotError> {
        let (title, [rows, columns]) = (&self.title, [self.values.nrows(), self.values.ncols()]);
        for (what, names, expected) in
            [("row names", &self.row_names, rows), ("column names", &self.column_names, columns)]
        {
            if !names.is_empty() {
                same_length(title, what, names.len(), expected)?;
            }
        }
        for (strips, expected) in [(&self.row_strips, rows), (&self.column_strips, columns)] {
            for strip in strips {
                strip.groups.check_codes(title, &strip.codes, expected)?;
            }
        }
        if let Limits::Given(low, high) = self.limits
            && !(low.is_finite() && high.is_finite() && low <= high)
        {
            let value = if low.is_finite() { high } else { low };
            let expected = "a finite number, the lower limit not above the upper";
            return Err(PlotError::OutOfRange { what: "a colour limit", value, expected });
        }
        Ok(())
    }

    fn limits(&self) -> (f64, f64) {
        let finite = || self.values.iter().copied().filter(|v| v.is_finite());
        let (low, high) = match self.limits {
            Limits::Given(low, high) => (low, high),
            Limits::Symmetric => {
                let most = finite().fold(0.0f64, |m, v| m.max(v.abs()));
                if most > 0.0 { (-most, most) } else { (-1.0, 1.0) }
            }
            Limits::Range => {
                finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)))
            }
        };
        if low <= high { (low, high) } else { (0.0, 1.0) }
    }

    pub(super) fn block(&self, em: f64) -> Result<Block, PlotError> {
        self.validate()?;
        let (n_rows, n_columns) = self.values.dim();
        if n_rows == 0 || n_columns == 0 {
            return Ok(Block::without_values(em).titled(&self.title, em));
        }
        let row_tree = self.row_tree.and_then(|d| tree(self.values.view(), d));
        let column_tree = self.column_tree.and_then(|d| tree(self.values.t(), d));
        let order = |tree: &Option<Tree>, n: usize| -> Vec<usize> {
            tree.as_ref().map_or_else(|| (0..n).collect(), |t| t.order.clone())
        };
        let (rows, columns) = (order(&row_tree, n_rows), order(&column_tree, n_columns));
        let values = self.values.select(Along(0), &rows).select(Along(1), &columns);
        let ordered = |names: &[String], order: &[usize]| -> Vec<String> {
            if names.is_empty() { Vec::new() } else { order.iter().map(|&k| names[k].clone()).collect() }
        };
        let row_names = ordered(&self.row_names, &rows);
        let column_names = ordered(&self.column_names, &columns);

        let numbers = self.numbers(&values);
        let widest = numbers.iter().flatten().map(|t| width(t, 0.85 * em, false)).fold(0.0, f64::max);
        let wide = if widest > 0.0 { CELL[1].max(widest + 0.7 * em) } else { CELL[1] };
        let side = |n: usize, longest: f64, most: f64| (longest / n as f64).clamp(CELL[0], most);
        let (step, row) = (
            side(n_columns, LONGEST[0].max(wide * n_columns.min(40) as f64), wide),
            side(n_rows, LONGEST[1], CELL[1]),
        );
        let (w, h) = (step * n_columns as f64, row * n_rows as f64);
        let strips = |strips: &[Strip]| strips.len() as f64 * (STRIP + 0.25) * em;
        let with = |tree: &Option<Tree>| if tree.is_some() { (TREE + 0.3) * em } else { 0.0 };
        // Names of the columns' strips stand left of them, those of the rows' below.
        let strip_names = |strips: &[Strip]| {
            strips.iter().map(|s| width(&s.name, 0.8 * em, false).min(8.0 * em)).fold(0.0, f64::max)
        };
        let beside_strips = strip_names(&self.column_strips);
        let left = (with(&row_tree) + strips(&self.row_strips))
            .max(beside_strips + if beside_strips > 0.0 { 0.5 * em } else { 0.0 })
            // Half a line of the first column's name.
            .max(0.5 * em);
        let top = with(&column_tree) + strips(&self.column_strips) + 0.4 * em;

        let scale = Scale { limits: self.limits(), log: false, colormap: self.colormap };
        let colors: Vec<Rgb> = values.iter().map(|v| scale.color(*v)).collect();
        let mut marks = Vec::new();
        let place = [left, top, w, h];
        let layer = CellLayer { place, rows: n_rows, columns: n_columns, colors };
        let legible = step >= widest + 2.0 && row >= 1.0 * em;
        let text_colors: Vec<Rgb> = if legible && widest > 0.0 {
            layer.colors.iter().map(|c| c.text_color()).collect()
        } else {
            Vec::new()
        };
        marks.push(Mark::Cells(layer));
        separate([step, row], [n_columns, n_rows], place, &mut marks);
        for (k, (text, color)) in numbers.iter().flatten().zip(text_colors).enumerate() {
            let centre = [
                left + ((k % n_columns) as f64 + 0.5) * step,
                top + ((k / n_columns) as f64 + 0.5) * row + 0.3 * em,
            ];
            let size = 0.85 * em;
            marks.push(line_of_text(centre, size, false, Anchor::Middle, color, text, f64::INFINITY));
        }
        marks.push(Mark::Rect { x: left, y: top, w, h, radius: 0.0, fill: None, stroke: Some((LINE, 0.8)) });
        let strip_at = |k: usize| (k as f64 + 1.0) * (STRIP + 0.25) * em;
        for (k, strip) in self.column_strips.iter().enumerate() {
            let place = [left, top - strip_at(k), w, STRIP * em];
            marks.push(Mark::Cells(strip.cells(&columns, place, false)));
            let at = [left - 0.4 * em, place[1] + 0.68 * em];
            marks.push(line_of_text(at, 0.8 * em, false, Anchor::End, FAINT, &strip.name, 8.0 * em));
        }
        for (k, strip) in self.row_strips.iter().enumerate() {
            let place = [left - strip_at(k), top, STRIP * em, h];
            marks.push(Mark::Cells(strip.cells(&rows, place, true)));
            let at = [place[0] + 0.68 * em, top + h + 0.4 * em];
            marks
                .push(line_of_text(at, 0.8 * em, false, Anchor::End, FAINT, &strip.name, 8.0 * em).upwards());
        }
        if let Some(tree) = &column_tree {
            let base = top - strips(&self.column_strips) - 0.3 * em;
            let along = |at: f64, height: f64| [left + at * step, base - height * TREE * em];
            draw_tree(tree, along, step, &mut marks);
        }
        if let Some(tree) = &row_tree {
            let base = left - strips(&self.row_strips) - 0.2 * em;
            let along = |at: f64, height: f64| [base - height * TREE * em, top + at * row];
            draw_tree(tree, along, row, &mut marks);
        }
        let beside = Names::of_rows(&row_names, row, em);
        beside.draw_beside(&row_names, [left + w + 0.5 * em, top], row, Anchor::Start, em, &mut marks);
        let below = Names::of_columns(&column_names, step, em);
        below.draw_below(&column_names, [left, top + h], step, em, &mut marks);
        let named = if beside.length > 0.0 { beside.length + 0.5 * em } else { 0.0 };

        let missing = values.iter().any(|v| !v.is_finite());
        let below_strips = strip_names(&self.row_strips) + 0.6 * em;
        let x = left + w + named + 1.6 * em;
        let [legend_width, legend_height] = self.draw_legends(scale, missing, [x, top], h, em, &mut marks);
        let mut height = top + (h + below.height(em).max(below_strips)).max(legend_height) + 0.2 * em;
        let width = x + legend_width + 0.4 * em;
        if let Some(told) = thinned(
            &[("row", beside, n_rows), ("column", below, n_columns)],
            &[self.row_names.is_empty(), self.column_names.is_empty()],
        ) {
            height += 1.2 * em;
            marks.push(small([left, height], Anchor::Start, em, &told));
            height += 0.4 * em;
        }
        Ok(Block { width, height, marks }.titled(&self.title, em))
    }

    /// The numbers as text; none where they are not wanted or cannot have room.
    fn numbers(&self, values: &Array2<f64>) -> Option<Vec<String>> {
        let decimals = self.decimals.filter(|_| values.len() <= 2500)?.min(9);
        let text = |v: &f64| {
            if !placeable(*v) {
                return "–".to_owned();
            }
            if v.abs() >= 1e6 {
                return format!("{v:.1e}").replace('-', "−");
            }
            let text = format!("{v:.decimals$}");
            // Not −0.0.
            let zero = text.trim_start_matches('-').chars().all(|c| matches!(c, '0' | '.'));
            if zero { text.trim_start_matches('-').to_owned() } else { text.replace('-', "−") }
        };
        Some(values.iter().map(text).collect())
    }

    /// The colour bar and the categories of all strips below it; returns their size.
    fn draw_legends(
        &self,
        scale: Scale,
        missing: bool,
        [x, y]: [f64; 2],
        h: f64,
        em: f64,
        marks: &mut Vec<Mark>,
    ) -> [f64; 2] {
        let bar = Legend::bar(scale, (&self.value_name, ""), missing, h.min(9.0 * em), em);
        bar.draw([x, y], em, marks);
        let [mut wide, mut tall] = bar.size(em);
        // Strips of the same categories share a legend, whatever they are called.
        let mut told: Vec<(&Groups, Vec<&str>, bool)> = Vec::new();
        for strip in self.column_strips.iter().chain(&self.row_strips) {
            let missing = strip.codes.contains(&None);
            match told.iter_mut().find(|t| *t.0 == strip.groups) {
                Some((_, names, any_missing)) => {
                    *any_missing |= missing;
                    if !names.contains(&strip.name.as_str()) {
                        names.push(&strip.name);
                    }
                }
                None => told.push((&strip.groups, vec![&strip.name], missing)),
            }
        }
        for (groups, names, missing) in told {
            let name = names.join(", ");
            tall += 1.2 * em;
            let at = [x, y + tall + 0.9 * em];
            marks.push(line_of_text(at, em, false, Anchor::Start, INK, &name, 16.0 * em));
            wide = wide.max(width(&name, em, false).min(16.0 * em));
            tall += 1.4 * em;
            let mut entries: Vec<Entry> = groups
                .names
                .iter()
                .zip(groups.all_colors())
                .map(|(name, color)| Entry::new(name, 0, color, em))
                .collect();
            if missing {
                entries.push(Entry::new("missing", 0, MISSING, em));
            }
            let legend = Legend::categories(entries, (h - tall).max(12.0 * em), false, em);
            legend.draw([x, y + tall], em, marks);
            let size = legend.size(em);
            wide = wide.max(size[0]);
            tall += size[1];
        }
        [wide, tall]
    }
}

impl Strip {
    fn cells(&self, order: &[usize], place: [f64; 4], down: bool) -> CellLayer {
        let colors = self.groups.all_colors();
        let color = |k: &usize| self.codes[*k].map_or(MISSING, |code| colors[code as usize]);
        let (rows, columns) = if down { (order.len(), 1) } else { (1, order.len()) };
        CellLayer { place, rows, columns, colors: order.iter().map(color).collect() }
    }
}

/// White lines between cells that are large enough.
fn separate(
    [step, row]: [f64; 2],
    [n_columns, n_rows]: [usize; 2],
    [x, y, w, h]: [f64; 4],
    marks: &mut Vec<Mark>,
) {
    let (color, width) = (Rgb(255, 255, 255), 0.8);
    if step.min(row) < SEPARATE {
        return;
    }
    for k in 1..n_columns {
        let x = x + k as f64 * step;
        marks.push(Mark::Line { from: [x, y], to: [x, y + h], color, width });
    }
    for k in 1..n_rows {
        let y = y + k as f64 * row;
        marks.push(Mark::Line { from: [x, y], to: [x + w, y], color, width });
    }
}

/// Draws a tree; `along` takes a place in leaves and a height from 0 to 1, leaves being `step` pixels apart.
fn draw_tree(tree: &Tree, along: impl Fn(f64, f64) -> [f64; 2], step: f64, marks: &mut Vec<Mark>) {
    let n = tree.order.len();
    let mut place = vec![0.0; n];
    for (k, &leaf) in tree.order.iter().enumerate() {
        place[leaf] = k as f64 + 0.5;
    }
    let highest = tree.merges.iter().map(|m| m.height).fold(0.0, f64::max);
    let highest = if highest > 0.0 { highest } else { 1.0 };
    let mut height = vec![0.0; n];
    for merge in &tree.merges {
        let (a, b) = (place[merge.left], place[merge.right]);
        let own = (merge.height / highest).clamp(0.0, 1.0);
        let points =
            vec![along(a, height[merge.left]), along(a, own), along(b, own), along(b, height[merge.right])];
        place.push(f64::midpoint(a, b));
        height.push(own);
        let far = |p: [f64; 2], q: [f64; 2]| (p[0] - q[0]).abs().max((p[1] - q[1]).abs());
        // Where leaves share a pixel, what happens between them cannot be seen.
        if (a - b).abs() * step >= 0.3 || far(points[0], points[1]).max(far(points[2], points[3])) >= 0.3 {
            marks.push(Mark::Path {
                points,
                color: Rgb(0x5A, 0x5A, 0x5A),
                width: if step < 3.0 { 0.4 } else { 0.9 },
            });
        }
    }
}

/// Says which names are written where not all are.
fn thinned(names: &[(&str, Names, usize)], unnamed: &[bool]) -> Option<String> {
    let told: Vec<String> = names
        .iter()
        .zip(unnamed)
        .filter(|((_, names, _), unnamed)| !**unnamed && names.every > 1)
        .map(|((what, names, n), _)| {
            let nth = match names.every {
                2 => "second".to_owned(),
                3 => "third".to_owned(),
                k => format!("{k}th"),
            };
            format!("every {nth} of {n} {what}s")
        })
        .collect();
    (!told.is_empty()).then(|| format!("Named: {}.", told.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn limits_are_those_asked_for() {
        let of = |values: Array2<f64>, limits| HeatMap { values, limits, ..HeatMap::default() }.limits();
        let values = array![[-1.0, 3.0], [f64::NAN, f64::INFINITY]];
        assert_eq!(of(values.clone(), Limits::Range), (-1.0, 3.0));
        assert_eq!(of(values.clone(), Limits::Symmetric), (-3.0, 3.0));
        assert_eq!(of(values, Limits::Given(0.0, 1.0)), (0.0, 1.0));
        assert_eq!(of(array![[f64::NAN]], Limits::Range), (0.0, 1.0));
        assert_eq!(of(array![[0.0]], Limits::Symmetric), (-1.0, 1.0));
    }

    #[test]
    fn numbers_have_no_negative_zero() {
        let map = HeatMap { decimals: Some(1), ..HeatMap::default() };
        let texts = map.numbers(&array![[-0.04, -1.25, 2e9, f64::NAN]]).expect("wanted");
        assert_eq!(texts, ["0.0", "−1.2", "2.0e9", "–"]);
    }
}
