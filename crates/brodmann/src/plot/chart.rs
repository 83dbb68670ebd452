//! Curves: how a number changes from epoch to epoch, one small plot a group of numbers.

use super::axes::Axis;
use super::color::Rgb;
use super::curves::{colors_of_lines, draw_legend, draw_line, rows, runs};
use super::figure::{PlotError, RenderOptions};
use super::layout::{Anchor, FAINT, INK, LINE, Mark, Scene, line_of_text};
use super::png::scene_png;
use super::svg::scene_svg;
use super::text::width;
use super::ticks::{labels, ticks};

/// A picture of one or several plots of curves, side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// A line over all plots; empty for none.
    pub title: String,
    /// The plots.
    pub panels: Vec<ChartPanel>,
    /// Plots side by side.
    pub columns: usize,
    /// Width of a plot in pixels (96 to the inch); its height is 0.62 of it.
    pub panel_size: f64,
    /// Height of an em in pixels.
    pub font_size: f64,
}

impl Default for Chart {
    fn default() -> Self {
        Self { title: String::new(), panels: Vec::new(), columns: 2, panel_size: 300.0, font_size: 12.0 }
    }
}

/// One plot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChartPanel {
    /// A line over the plot.
    pub title: String,
    /// What lies along the horizontal axis; the first value of a series stands at 1.
    pub x_name: String,
    /// The curves.
    pub series: Vec<Series>,
}

/// One curve.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Its name in the legend; shown where a plot has several curves.
    pub name: String,
    /// One value per step; gaps where they are not finite.
    pub values: Vec<f64>,
}

/// Values whose largest is this many times the smallest are drawn on a logarithmic axis.
const LOG_FROM: f64 = 30.0;

/// Draws the chart as the bytes of a PNG file.
///
/// # Errors
/// As [`super::render_png`]; [`PlotError::NoPanels`] without any finite value.
pub fn render_chart_png(chart: &Chart, options: &RenderOptions) -> Result<Vec<u8>, PlotError> {
    scene_png(&layout(chart)?, options)
}

/// Draws the chart as SVG text.
///
/// # Errors
/// As [`render_chart_png`].
pub fn render_chart_svg(chart: &Chart, options: &RenderOptions) -> Result<String, PlotError> {
    scene_svg(&layout(chart)?, options)
}

/// Where the values of a plot lie.
fn axis_of(series: &[Series]) -> Option<Axis> {
    let axis = Axis::spanning(series.iter().flat_map(|s| &s.values).copied())?;
    let log = axis.low > 0.0 && axis.high / axis.low > LOG_FROM;
    Some(Axis { log, ..axis }.padded(0.04))
}

pub(super) fn layout(chart: &Chart) -> Result<Scene, PlotError> {
    let drawn: Vec<(&ChartPanel, Axis)> =
        chart.panels.iter().filter_map(|p| Some((p, axis_of(&p.series)?))).collect();
    if drawn.is_empty() {
        return Err(PlotError::NoPanels);
    }
    let (em, columns) = (chart.font_size, chart.columns.clamp(1, drawn.len()));
    let (w, h) = (chart.panel_size, chart.panel_size * 0.62);
    // Room for the numbers at the axes, the title above and the name below.
    let (left, above, below) = (4.6 * em, 2.0 * em, 3.4 * em);
    let legend = |panel: &ChartPanel| {
        let several = panel.series.len() > 1;
        let widest = panel.series.iter().map(|s| width(&s.name, em, false)).fold(0.0, f64::max);
        if several { 2.6 * em + widest } else { 0.0 }
    };
    let mut column_widths = vec![0.0f64; columns];
    for (k, (panel, _)) in drawn.iter().enumerate() {
        let own = left + w + legend(panel);
        column_widths[k % columns] = column_widths[k % columns].max(own);
    }
    let heading = if chart.title.is_empty() { 0.0 } else { 2.4 * em };
    let gap = 1.6 * em;
    let total: f64 = column_widths.iter().sum::<f64>() + gap * (columns - 1) as f64 + 2.0 * em;
    let mut marks = Vec::new();
    if !chart.title.is_empty() {
        let at = [em, 2.1 * em];
        marks.push(line_of_text(at, 1.3 * em, true, Anchor::Start, INK, &chart.title, total - 2.0 * em));
    }
    for (k, (panel, axis)) in drawn.iter().enumerate() {
        let (column, row) = (k % columns, k / columns);
        let x = em + column_widths[..column].iter().sum::<f64>() + gap * column as f64 + left;
        let y = em + heading + row as f64 * (above + h + below) + above;
        draw(panel, *axis, [x, y, w, h], em, &mut marks);
    }
    let rows = drawn.len().div_ceil(columns);
    Ok(Scene {
        width: total.ceil(),
        height: (2.0 * em + heading + rows as f64 * (above + h + below)).ceil(),
        background: Rgb(255, 255, 255),
        title: chart.title.clone(),
        marks,
    })
}

fn draw(panel: &ChartPanel, axis: Axis, [x, y, w, h]: [f64; 4], em: f64, marks: &mut Vec<Mark>) {
    let text = |at: [f64; 2], size: f64, bold: bool, anchor: Anchor, color: Rgb, text: &str| {
        line_of_text(at, size, bold, anchor, color, text, f64::INFINITY)
    };
    let title = if axis.log { format!("{} (logarithmic)", panel.title) } else { panel.title.clone() };
    marks.push(text([x, y - 0.8 * em], 1.1 * em, true, Anchor::Start, INK, &title));
    axis.draw_left(4, [x, y, w, h], em, marks);
    let steps = panel.series.iter().map(|s| s.values.len()).max().unwrap_or(1).max(2) as f64;
    let across = |step: f64| x + w * (step - 1.0) / (steps - 1.0);
    let whole: Vec<f64> =
        ticks(0.0, steps, 5).into_iter().filter(|t| *t >= 1.0 && t.fract() == 0.0).collect();
    for (t, name) in whole.iter().zip(labels(&whole)) {
        let at = across(*t);
        marks.push(Mark::Line { from: [at, y + h], to: [at, y + h + 0.3 * em], color: LINE, width: 0.8 });
        let shift = width(&name, 0.9 * em, false) / 2.0;
        marks.push(text([at - shift, y + h + 1.3 * em], 0.9 * em, false, Anchor::Start, FAINT, &name));
    }
    marks.push(text([x + w, y + h + 2.5 * em], 0.9 * em, false, Anchor::End, FAINT, &panel.x_name));
    marks.push(Mark::Line { from: [x, y], to: [x, y + h], color: LINE, width: 0.8 });
    marks.push(Mark::Line { from: [x, y + h], to: [x + w, y + h], color: LINE, width: 0.8 });
    let colors = colors_of_lines(panel.series.len());
    let place = |p: [f64; 2]| [across(p[0]), y + h * (1.0 - axis.clamped(p[1]))];
    for (series, color) in panel.series.iter().zip(&colors) {
        // The first value stands at 1.
        let points: Vec<[f64; 2]> =
            series.values.iter().enumerate().map(|(k, v)| [k as f64 + 1.0, *v]).collect();
        draw_line(&runs(&points), place, *color, em, marks);
    }
    if panel.series.len() > 1 {
        let names: Vec<&str> = panel.series.iter().map(|s| s.name.as_str()).collect();
        let middles = rows(names.len(), y, em);
        draw_legend(&names, &colors, &middles, x + w + 0.8 * em, em, marks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: Vec<f64>) -> Chart {
        let series = vec![Series { name: "a <b>".to_owned(), values }, Series::default()];
        let panel = ChartPanel { title: "loss".to_owned(), x_name: "epoch".to_owned(), series };
        Chart { panels: vec![panel], ..Chart::default() }
    }

    #[test]
    fn curves_become_pictures() {
        let falling: Vec<f64> = (1..200).map(|i| 100.0 / f64::from(i)).collect();
        let options = RenderOptions::default();
        let png = render_chart_png(&chart(falling.clone()), &options).expect("drawn");
        assert!(png.starts_with(b"\x89PNG"));
        let svg = render_chart_svg(&chart(falling), &options).expect("drawn");
        assert!(svg.contains("a &lt;b&gt;") && svg.contains("loss (logarithmic)") && svg.contains("epoch"));
    }

    #[test]
    fn gaps_single_values_and_constants_are_drawn_and_nothing_is_refused() {
        let options = RenderOptions::default();
        for values in [vec![1.0], vec![0.0, 0.0], vec![1.0, f64::NAN, 2.0, f64::INFINITY], vec![-1.0, 1e12]] {
            render_chart_svg(&chart(values), &options).expect("drawn");
        }
        for values in [vec![], vec![f64::NAN]] {
            assert_eq!(render_chart_svg(&chart(values), &options), Err(PlotError::NoPanels));
        }
    }

    #[test]
    fn an_axis_over_decades_is_logarithmic() {
        let of = |values: Vec<f64>| axis_of(&[Series { name: String::new(), values }]).expect("finite");
        assert!(of(vec![1.0, 100.0]).log && !of(vec![1.0, 2.0]).log && !of(vec![0.0, 100.0]).log);
        assert_eq!(of(vec![1.0, 100.0]).numbers(4).0, [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
    }
}
