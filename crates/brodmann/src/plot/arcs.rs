//! Links between peaks and genes along a stretch of the genome, one row per domain.

use super::axes::{Axis, SMALL, name_below, placeable, small};
use super::color::Rgb;
use super::figure::PlotError;
use super::groups::{Groups, same_length};
use super::layout::{Anchor, FAINT, INK, LINE, Mark, line_of_text};
use super::plots::Block;
use super::text::{fitted, width};
use super::ticks::{grouped, labels};

/// Length of the genome's axis, in pixels.
const ACROSS: f64 = 560.0;
/// Height of a row of arcs, in em.
const ROW: f64 = 4.6;
/// Height of a line of genes, in em: the name, the arrow, the gene.
const GENE_LINE: f64 = 2.4;
/// Points of an arc.
const POINTS: usize = 33;
/// Arcs of a row that are drawn, the strongest.
const MAX_ARCS: usize = 1000;
/// Names of genes that are written, in as many lines as that takes up to `LINES`.
const MAX_GENES: usize = 60;
const LINES: usize = 4;
/// Longest name of a domain or gene, in em.
const NAME: f64 = 12.0;
/// What stands behind the faintest arc: how far its colour is from white.
const FAINTEST: f64 = 0.18;
const PEAK: Rgb = Rgb(0x4D, 0x4D, 0x4D);
const GENE: Rgb = Rgb(0x1F, 0x4E, 0x79);
const WHITE: Rgb = Rgb(0xFF, 0xFF, 0xFF);
/// A link worth seeing: no colour of the palette.
const MARKED: Rgb = Rgb(0xA8, 0x0D, 0x3A);

/// Arcs from peaks to where transcription starts, as high and as dark as the link is strong.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arcs {
    /// A line over the plot.
    pub title: String,
    /// Name of the chromosome, below the axis.
    pub chromosome: String,
    /// First and last base shown; `None`: what the peaks and genes span.
    pub region: Option<[u64; 2]>,
    /// The domains, one row each.
    pub groups: Groups,
    /// Genes, drawn below the rows.
    pub genes: Vec<ArcGene>,
    /// Start and end of each peak, drawn as ticks.
    pub peaks: Vec<[u64; 2]>,
    /// The links.
    pub arcs: Vec<LinkArc>,
    /// What the heights are: `link strength`.
    pub value_name: String,
}

/// A gene of [`Arcs`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArcGene {
    /// Its name.
    pub name: String,
    /// First base.
    pub start: u64,
    /// Last base.
    pub end: u64,
    /// Where transcription starts.
    pub tss: u64,
    /// Whether it is read towards smaller positions; `None` where that is not known.
    pub reverse: Option<bool>,
}

/// A link of [`Arcs`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinkArc {
    /// Place of its peak.
    pub peak: u32,
    /// Place of its gene.
    pub gene: u32,
    /// Its strength in each domain, from 0 on; what is no number is not drawn.
    pub strengths: Vec<f64>,
    /// Domains in which it is drawn in the colour of what stands out: a specific link.
    pub marked: Vec<u32>,
}

impl Arcs {
    pub(super) fn block(&self, em: f64) -> Result<Block, PlotError> {
        for arc in &self.arcs {
            same_length(&self.title, "strengths of a link", arc.strengths.len(), self.groups.len())?;
            for (what, at, n) in
                [("peaks", arc.peak, self.peaks.len()), ("genes", arc.gene, self.genes.len())]
            {
                if at as usize >= n {
                    let (title, found) = (self.title.clone(), at as usize + 1);
                    return Err(PlotError::Mismatch { title, what, found: n, expected: found });
                }
            }
        }
        let ends = self.region.map_or_else(
            || {
                let peaks = self.peaks.iter().flatten();
                let genes = self.genes.iter().flat_map(|gene| [&gene.start, &gene.end]);
                peaks.chain(genes).map(|&base| base as f64).collect::<Vec<_>>()
            },
            |region| region.map(|base| base as f64).to_vec(),
        );
        // In thousands of bases, or millions where there are many.
        let span = ends.iter().copied().fold(f64::NEG_INFINITY, f64::max)
            - ends.iter().copied().fold(f64::INFINITY, f64::min);
        let (unit, unit_name) = if span > 2e6 { (1e6, "Mb") } else { (1e3, "kb") };
        let Some(axis) = Axis::spanning(ends.iter().map(|base| base / unit)) else {
            return Ok(Block::without_values(em).titled(&self.title, em));
        };
        let axis = if self.region.is_some() { axis } else { axis.padded(0.03) };
        let size = SMALL * em;
        let names: Vec<String> = self.groups.names.iter().map(|n| fitted(n, em, true, NAME * em)).collect();
        let left = names.iter().map(|n| width(n, em, true) + 2.0 * em).fold(3.2 * em, f64::max);
        let place = |base: u64| left + ACROSS * axis.place(base as f64 / unit);
        let within = |at: f64| at >= left - 0.01 && at <= left + ACROSS + 0.01;
        let mut marks = Vec::new();
        let largest = self.largest();
        let colors = self.groups.all_colors();
        let mut y = 0.4 * em;
        let mut left_out = 0;
        for (group, name) in self.groups.names.iter().enumerate() {
            let base = y + (ROW - 0.5) * em;
            let side = 0.85 * em;
            let (x, w, h) = (left - width(&names[group], em, true) - 1.9 * em, side, side);
            let (fill, stroke) = (Some(colors[group]), None);
            marks.push(Mark::Rect { x, y: base - side, w, h, radius: 0.15 * em, fill, stroke });
            let at = [left - 0.6 * em, base - 0.08 * em];
            marks.push(line_of_text(at, em, true, Anchor::End, INK, name, NAME * em));
            marks.push(Mark::Line { from: [left, base], to: [left + ACROSS, base], color: LINE, width: 0.8 });
            left_out += self.draw_row(group, colors[group], base, largest, &place, &within, em, &mut marks);
            y += ROW * em;
        }
        let middle = y + 0.5 * em;
        marks.push(small([left - 0.6 * em, middle + 0.34 * em], Anchor::End, em, "peaks"));
        for peak in &self.peaks {
            let (from, to) = (place(peak[0]).max(left), place(peak[1]).min(left + ACROSS));
            if to >= from {
                // A peak of nothing still shows.
                let (x, w) = (from.min(left + ACROSS - 1.2), (to - from).max(1.2));
                let (y, h, fill) = (middle - 0.4 * em, 0.8 * em, Some(PEAK));
                marks.push(Mark::Rect { x, y, w, h, radius: 0.0, fill, stroke: None });
            }
        }
        y += 1.4 * em;
        let n_lines = self.draw_genes(left, y, &place, em, &mut marks);
        marks.push(small([left - 0.6 * em, y + 0.85 * em], Anchor::End, em, "genes"));
        y += (0.4 + GENE_LINE * n_lines.max(1) as f64) * em;
        let plot = [left, y - 0.2 * em, ACROSS, 0.2 * em];
        marks.push(Mark::Line { from: [left, y], to: [left + ACROSS, y], color: LINE, width: 0.8 });
        axis.draw_below(6, plot, em, &mut marks);
        name_below(&format!("{} ({unit_name})", self.chromosome), plot, em, &mut marks);
        let mut height = y + 3.0 * em;
        let across = left + ACROSS + axis.overhang(6, ACROSS, em).max(0.6 * em);
        let mut told = Vec::new();
        if largest > 0.0 && !self.arcs.is_empty() {
            let what = if self.value_name.is_empty() { "strength" } else { &self.value_name };
            told.push(format!("Heights: {what}, from 0 to {}.", labels(&[largest]).concat()));
        }
        if left_out > 0 {
            told.push(format!("{} weaker arcs are not shown.", grouped(left_out)));
        }
        if !told.is_empty() {
            let at = [left, height + 0.6 * em];
            marks.push(line_of_text(at, size, false, Anchor::Start, FAINT, &told.join(" "), ACROSS));
            height += 1.1 * em;
        }
        Ok(Block { width: across, height, marks }.titled(&self.title, em))
    }

    /// The largest strength that has a place.
    fn largest(&self) -> f64 {
        let all = self.arcs.iter().flat_map(|arc| &arc.strengths);
        all.copied().filter(|v| placeable(*v)).fold(0.0, f64::max)
    }

    /// Draws the arcs of a domain; how many are left out.
    #[expect(clippy::too_many_arguments)]
    fn draw_row(
        &self,
        group: usize,
        color: Rgb,
        base: f64,
        largest: f64,
        place: &dyn Fn(u64) -> f64,
        within: &dyn Fn(f64) -> bool,
        em: f64,
        marks: &mut Vec<Mark>,
    ) -> usize {
        let mut shown: Vec<(f64, bool, [f64; 2])> = Vec::new();
        for arc in &self.arcs {
            let strength = arc.strengths[group];
            if !placeable(strength) || strength <= 0.0 {
                continue;
            }
            let peak = self.peaks[arc.peak as usize];
            let ends = [place(peak[0].midpoint(peak[1])), place(self.genes[arc.gene as usize].tss)];
            if ends.iter().all(|at| within(*at)) {
                shown.push((strength / largest, arc.marked.contains(&(group as u32)), ends));
            }
        }
        // The strongest on top, what is marked over all.
        shown.sort_by(|a, b| a.1.cmp(&b.1).then(a.0.total_cmp(&b.0)));
        let left_out = shown.len().saturating_sub(MAX_ARCS);
        for &(share, marked, [from, to]) in &shown[left_out..] {
            let tall = share * (ROW - 1.0) * em;
            let point = |k: usize| {
                let angle = std::f64::consts::PI * k as f64 / (POINTS - 1) as f64;
                let across = f64::midpoint(from, to) - (to - from) / 2.0 * angle.cos();
                [across, base - tall * angle.sin()]
            };
            let points = (0..POINTS).map(point).collect();
            let own = if marked { MARKED } else { color };
            let shade = FAINTEST + (1.0 - FAINTEST) * share;
            marks.push(Mark::Path { points, color: WHITE.mix(own, shade), width: 0.7 + 1.1 * share });
        }
        left_out
    }

    /// Draws the genes in lines, so that no two share a place; the number of lines.
    fn draw_genes(
        &self,
        left: f64,
        top: f64,
        place: &dyn Fn(u64) -> f64,
        em: f64,
        marks: &mut Vec<Mark>,
    ) -> usize {
        let size = SMALL * em;
        let mut order: Vec<&ArcGene> = self.genes.iter().collect();
        order.sort_by_key(|gene| (gene.start, gene.end));
        let mut free = [f64::NEG_INFINITY; LINES];
        let (mut used, mut written) = (0, 0);
        for gene in order {
            let right = left + ACROSS;
            let (from, to) = (place(gene.start).max(left), place(gene.end).min(right));
            if to < left || from > right {
                continue;
            }
            let name = fitted(&gene.name, size, false, NAME * em);
            let wide = width(&name, size, false);
            let text = from.min(right - wide).max(left);
            let (begins, ends) = (from.min(text), to.max(text + wide) + 0.6 * em);
            let line = free.iter().position(|end| begins >= *end);
            // Where every line is taken, the last one holds the gene without its name.
            let k = line.unwrap_or(LINES - 1);
            free[k] = free[k].max(ends);
            used = used.max(k + 1);
            let y = top + GENE_LINE * k as f64 * em;
            let middle = y + 1.85 * em;
            let (x, w) = (from.min(right - 1.0), (to - from).max(1.0));
            let (h, fill) = (0.3 * em, Some(GENE));
            marks.push(Mark::Rect { x, y: middle - h / 2.0, w, h, radius: 0.0, fill, stroke: None });
            draw_tss(gene, place(gene.tss), [left, right], middle, em, marks);
            if line.is_some() && written < MAX_GENES {
                let at = [text, y + 0.85 * em];
                let mut mark = line_of_text(at, size, false, Anchor::Start, INK, &name, f64::INFINITY);
                if let Mark::Text { full, .. } = &mut mark {
                    *full = (name != gene.name).then(|| gene.name.clone());
                }
                marks.push(mark);
                written += 1;
            }
        }
        used
    }
}

/// A bent arrow where transcription starts, in the direction the gene is read in; a stem where that is not known.
fn draw_tss(gene: &ArcGene, at: f64, [left, right]: [f64; 2], middle: f64, em: f64, marks: &mut Vec<Mark>) {
    if at < left || at > right {
        return;
    }
    let top = middle - 0.5 * em;
    let mut line =
        |from: [f64; 2], to: [f64; 2]| marks.push(Mark::Line { from, to, color: GENE, width: 1.1 });
    line([at, middle], [at, top]);
    let Some(reverse) = gene.reverse else { return };
    let way = if reverse { -1.0 } else { 1.0 };
    // The arrow ends with the plot.
    let tip = (at + way * 0.8 * em).clamp(left, right);
    line([at, top], [tip, top]);
    line([tip, top], [(tip - way * 0.25 * em).clamp(left, right), top - 0.22 * em]);
    line([tip, top], [(tip - way * 0.25 * em).clamp(left, right), top + 0.22 * em]);
}
