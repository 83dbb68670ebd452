//! Fold change against p: which genes set a group apart, one small plot a group.

use super::axes::{Axis, name_below, name_left, placeable, small};
use super::color::Rgb;
use super::figure::PlotError;
use super::groups::{Groups, same_length};
use super::label_placement::{Crowd, Label, leader, place};
use super::layout::{Anchor, FAINT, INK, LINE, Mark, line_of_text};
use super::plots::Block;
use super::spots::{Outline, SpotLayer};
use super::text::{fitted, width};
use super::ticks::grouped;

const REST: Rgb = Rgb(0xC4, 0xC8, 0xCC);
const UP: Rgb = Rgb(0xD5, 0x5E, 0x00);
const DOWN: Rgb = Rgb(0x00, 0x72, 0xB2);
const THRESHOLD: Rgb = Rgb(0x8A, 0x8A, 0x8A);
/// Radius of a point in pixels.
const RADIUS: f64 = 1.7;
/// Fold changes beyond are not on the axis: those of genes that a group lacks altogether would leave no room.
const FARTHEST: f64 = 10.0;
/// Share of the other genes that do not count whose fold change is on the axis.
const SHOWN: f64 = 0.98;
/// Smallest and largest width of one of several plots, in pixels.
const WIDTH: [f64; 2] = [215.0, 300.0];
/// Points nearer than this, in pixels, are one.
const APART: f64 = 0.5;
/// The most names in each direction.
const MOST_NAMED: usize = 100;
/// Longest name of a gene, in em.
const NAME: f64 = 9.0;

/// Fold change against p, one small plot a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Volcano {
    /// A line over all plots.
    pub title: String,
    /// Names of the genes.
    pub features: Vec<String>,
    /// The groups, one plot each.
    pub groups: Groups,
    /// What is known of each group.
    pub panels: Vec<VolcanoPanel>,
    /// |log2 fold change| from which on a gene counts; 0 for no line.
    pub min_fold: f64,
    /// p up to which a gene counts.
    pub max_p: f64,
    /// What the p are: `p`, `adjusted p`.
    pub p_name: String,
    /// Genes named in each direction and plot, the most extreme; as many as have room, 100 at most.
    pub n_named: usize,
}

impl Default for Volcano {
    fn default() -> Self {
        Self {
            title: String::new(),
            features: Vec::new(),
            groups: Groups::default(),
            panels: Vec::new(),
            min_fold: 0.5,
            max_p: 0.05,
            p_name: "p".to_owned(),
            n_named: 6,
        }
    }
}

/// The genes of one group; a number for each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VolcanoPanel {
    /// log2 of the fold change; those that are not numbers are left out.
    pub log2_fold: Vec<f64>,
    /// Natural logarithm of p, so that no p is too small to be told apart.
    pub ln_p: Vec<f64>,
    /// p up to which a gene counts here; `None`: [`Volcano::max_p`]. With p as measured, the largest whose adjusted p
    /// passes.
    pub max_p: Option<f64>,
}

/// What a gene is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Rest,
    Up,
    Down,
}

impl Volcano {
    fn verdict(&self, panel: &VolcanoPanel, k: usize) -> Verdict {
        let (fold, max_p) = (panel.log2_fold[k], panel.max_p.unwrap_or(self.max_p));
        if !(panel.ln_p[k] <= max_p.ln() && fold.abs() >= self.min_fold) || fold == 0.0 {
            Verdict::Rest
        } else if fold > 0.0 {
            Verdict::Up
        } else {
            Verdict::Down
        }
    }

    /// The axis of fold changes that all plots share: all that counts, and most of what does not.
    fn across(&self) -> Axis {
        let least = 1.5 * if placeable(self.min_fold) { self.min_fold.abs() } else { 0.0 };
        let mut ends = [-least, least];
        let mut others = Vec::new();
        for panel in &self.panels {
            for (k, fold) in panel.log2_fold.iter().enumerate().filter(|(_, fold)| placeable(**fold)) {
                if self.verdict(panel, k) == Verdict::Rest {
                    others.extend(Some(fold.abs()).filter(|fold| *fold <= FARTHEST));
                } else {
                    let fold = fold.clamp(-FARTHEST, FARTHEST);
                    ends = [ends[0].min(fold), ends[1].max(fold)];
                }
            }
        }
        if let Some(last) = others.len().checked_sub(1) {
            let at = (last as f64 * SHOWN) as usize;
            let most = *others.select_nth_unstable_by(at, f64::total_cmp).1;
            ends = [ends[0].min(-most), ends[1].max(most)];
        }
        let axis = Axis::spanning(ends).unwrap_or(Axis { low: -1.0, high: 1.0, log: false });
        axis.padded(0.06)
    }

    pub(super) fn block(&self, em: f64, most: f64) -> Result<Block, PlotError> {
        same_length(&self.title, "panels", self.panels.len(), self.groups.len())?;
        for panel in &self.panels {
            same_length(&self.title, "fold changes", panel.log2_fold.len(), self.features.len())?;
            same_length(&self.title, "p", panel.ln_p.len(), self.features.len())?;
        }
        if self.panels.is_empty() {
            return Ok(Block::without_values(em).titled(&self.title, em));
        }
        let axis = self.across();
        let uprights: Vec<Axis> = self.panels.iter().map(|panel| self.upright(panel)).collect();
        let room = uprights.iter().fold(0.0f64, |m, a| m.max(a.room(4, em)));
        // Names of axes, numbers, the line over a plot.
        let (left, above, below) = (room + 1.7 * em, 1.9 * em, 3.0 * em);
        let gap = 1.4 * em;
        // As many side by side as have room, and as wide as there is room.
        let fit = ((most + gap) / (left + WIDTH[0] + gap)) as usize;
        let columns = self.panels.len().min(fit.clamp(1, 4));
        let size = if self.panels.len() == 1 {
            [380.0, 290.0]
        } else {
            let across = ((most + gap) / columns as f64 - gap - left).clamp(WIDTH[0], WIDTH[1]);
            [across, 0.78 * across]
        };
        let cell = [left + size[0], above + size[1] + below];
        let rows = self.panels.len().div_ceil(columns);
        let mut marks = Vec::new();
        let mut beyond = 0;
        let colors = self.groups.all_colors();
        for (k, panel) in self.panels.iter().enumerate() {
            let x = (k % columns) as f64 * (cell[0] + gap) + left;
            let y = (k / columns) as f64 * (cell[1] + gap) + above;
            let plot = [x, y, size[0], size[1]];
            let counts = self.draw(panel, [axis, uprights[k]], plot, em, &mut marks);
            beyond += counts[2];
            let told = format!("{} up, {} down", grouped(counts[0]), grouped(counts[1]));
            let side = 0.8 * em;
            let (fill, stroke) = (Some(colors[k]), None);
            let (w, h) = (side, side);
            marks.push(Mark::Rect { x, y: y - 0.75 * em - side, w, h, radius: 0.15 * em, fill, stroke });
            let most = size[0] - 1.8 * em - width(&told, 0.9 * em, false);
            let at = [x + 1.2 * em, y - 0.8 * em];
            marks.push(line_of_text(at, em, true, Anchor::Start, INK, &self.groups.names[k], most));
            marks.push(small([x + size[0], y - 0.8 * em], Anchor::End, em, &told));
            name_below("log2 fold change", plot, em, &mut marks);
            name_left(&format!("−log10 {}", self.p_name), room, plot, em, &mut marks);
        }
        let mut height = rows as f64 * (cell[1] + gap) - gap;
        let width = columns as f64 * (cell[0] + gap) - gap + axis.overhang(5, size[0], em);
        if beyond > 0 {
            let told = match beyond {
                1 => "1 point beyond an axis stands at its edge.".to_owned(),
                n => format!("{} points beyond an axis stand at its edge.", grouped(n)),
            };
            height += 1.4 * em;
            marks.push(line_of_text([0.0, height], 0.9 * em, false, Anchor::Start, FAINT, &told, width));
            height += 0.4 * em;
        }
        Ok(Block { width, height, marks }.titled(&self.title, em))
    }

    /// The axis of one plot's p.
    fn upright(&self, panel: &VolcanoPanel) -> Axis {
        let values = panel.ln_p.iter().map(|v| negative_log10(*v));
        let line = -panel.max_p.unwrap_or(self.max_p).log10();
        let axis = Axis::spanning(values.chain([0.0, 1.2 * line, 1.0]));
        let axis = axis.unwrap_or(Axis { low: 0.0, high: 1.0, log: false });
        // Room above the largest for its name.
        Axis { low: axis.low.min(0.0), high: axis.high * 1.08, log: false }
    }

    /// Draws one plot; how many genes are up, down, and beyond an axis.
    fn draw(
        &self,
        panel: &VolcanoPanel,
        [across, upright]: [Axis; 2],
        plot: [f64; 4],
        em: f64,
        marks: &mut Vec<Mark>,
    ) -> [usize; 3] {
        let [x, y, w, h] = plot;
        upright.draw_left(4, plot, em, marks);
        across.draw_below(5, plot, em, marks);
        let line = |from: [f64; 2], to: [f64; 2]| Mark::Line { from, to, color: THRESHOLD, width: 0.9 };
        for fold in [-self.min_fold, self.min_fold] {
            if self.min_fold != 0.0 && placeable(fold) {
                let at = x + w * across.clamped(fold);
                marks.push(line([at, y], [at, y + h]));
            }
        }
        let log10 = -panel.max_p.unwrap_or(self.max_p).log10();
        if placeable(log10) {
            let at = y + h * (1.0 - upright.clamped(log10));
            marks.push(line([x, at], [x + w, at]));
        }
        marks.push(Mark::Line { from: [x, y], to: [x, y + h], color: LINE, width: 0.8 });
        let shown: Vec<usize> = (0..panel.ln_p.len())
            .filter(|&k| !panel.log2_fold[k].is_nan() && !panel.ln_p[k].is_nan())
            .collect();
        if shown.is_empty() {
            let at = [x + w / 2.0, y + h / 2.0];
            marks.push(line_of_text(at, em, false, Anchor::Middle, FAINT, "no values", w));
            return [0; 3];
        }
        let place_of = |k: usize| {
            let up = upright.clamped(negative_log10(panel.ln_p[k]));
            [x + w * across.clamped(panel.log2_fold[k]), y + h * (1.0 - up)]
        };
        let is_off = |k: usize| {
            let (fold, log10) = (panel.log2_fold[k], negative_log10(panel.ln_p[k]));
            fold < across.low || fold > across.high || log10 > upright.high
        };
        let verdicts: Vec<Verdict> = shown.iter().map(|&k| self.verdict(panel, k)).collect();
        // What counts is drawn over the rest.
        let mut order: Vec<usize> = (0..shown.len()).collect();
        order.sort_by_key(|&s| verdicts[s] != Verdict::Rest);
        let (mut centres, mut color_of, mut seen) =
            (Vec::new(), Vec::new(), std::collections::HashSet::new());
        for s in order {
            let at = place_of(shown[s]);
            let color = verdicts[s] as u32;
            if seen.insert(((at[0] / APART) as i64, (at[1] / APART) as i64, color)) {
                centres.push(at);
                color_of.push(color);
            }
        }
        let named = self.named(panel, &shown, &verdicts);
        let crowd = Crowd::new(
            plot,
            centres
                .iter()
                .zip(&color_of)
                .map(|(at, color)| (*at, if *color == 0 { 0.25 } else { 1.0 }))
                .chain(named.iter().map(|&k| (place_of(k), 5.0))),
        );
        marks.push(Mark::Spots(SpotLayer {
            centres,
            color_of,
            colors: vec![REST, UP, DOWN],
            outline: Outline::Circle { radius: RADIUS },
            boundaries: None,
            opacity: 1.0,
            edge: None,
            clip: [x - 2.0, y - 2.0, w + 4.0, h + 4.0],
        }));
        self.draw_names(&named, place_of, plot, em, &crowd, marks);
        let count = |verdict| verdicts.iter().filter(|v| **v == verdict).count();
        [count(Verdict::Up), count(Verdict::Down), shown.iter().filter(|&&k| is_off(k)).count()]
    }

    /// The most extreme genes of both directions: far from the middle and of small p.
    fn named(&self, panel: &VolcanoPanel, shown: &[usize], verdicts: &[Verdict]) -> Vec<usize> {
        let extreme = |k: usize| {
            let score = panel.log2_fold[k].abs().min(FARTHEST) * negative_log10(panel.ln_p[k]);
            if score.is_nan() { 0.0 } else { score }
        };
        let mut named = Vec::new();
        for direction in [Verdict::Up, Verdict::Down] {
            let mut own: Vec<usize> =
                shown.iter().zip(verdicts).filter(|(_, v)| **v == direction).map(|(k, _)| *k).collect();
            own.sort_by(|&a, &b| extreme(b).total_cmp(&extreme(a)).then(a.cmp(&b)));
            own.truncate(self.n_named.min(MOST_NAMED));
            named.extend(own);
        }
        named
    }

    fn draw_names(
        &self,
        named: &[usize],
        place_of: impl Fn(usize) -> [f64; 2],
        plot: [f64; 4],
        em: f64,
        crowd: &Crowd,
        marks: &mut Vec<Mark>,
    ) {
        let size = 0.85 * em;
        let texts: Vec<String> =
            named.iter().map(|&k| fitted(&self.features[k], size, false, NAME * em)).collect();
        let labels: Vec<Label> = named
            .iter()
            .zip(&texts)
            .map(|(&k, text)| Label { at: place_of(k), size: [width(text, size, false) + 2.0, 1.05 * size] })
            .collect();
        let placed = place(&labels, plot, RADIUS + 1.2, crowd, &mut Vec::new());
        for (label, at) in labels.iter().zip(&placed) {
            let Some([left, top]) = *at else { continue };
            // A line to the nearest end of a name that is not beside its point.
            let [from, to] = leader(label.at, [left, top, label.size[0], label.size[1]]);
            if (to[0] - from[0]).hypot(to[1] - from[1]) > 0.5 * em {
                marks.push(Mark::Line { from, to, color: THRESHOLD, width: 0.7 });
            }
        }
        for ((text, at), &k) in texts.iter().zip(&placed).zip(named) {
            let Some([left, top]) = *at else { continue };
            let place = [left + 1.0, top + 0.82 * size];
            let mut mark = line_of_text(place, size, false, Anchor::Start, INK, text, f64::INFINITY);
            if let Mark::Text { full, .. } = &mut mark {
                *full = (*text != self.features[k]).then(|| self.features[k].clone());
            }
            marks.push(mark.over());
        }
    }
}

fn negative_log10(ln_p: f64) -> f64 {
    // Not −0.
    0.0 - ln_p / std::f64::consts::LN_10
}
