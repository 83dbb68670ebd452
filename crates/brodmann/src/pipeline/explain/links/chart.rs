//! The links of a locus, one row per domain.

use std::collections::BTreeMap;

use super::report::sortable;
use super::{Found, LinksRequest};
use crate::pipeline::PipelineError;
use crate::plot::{ArcGene, Arcs, Groups, LinkArc, Part, Plot, Sheet};
use crate::stats::links::Strand;

/// Links below this adjusted p-value stand out.
const SPECIFIC: f64 = 0.05;

/// The gene whose links are drawn: the one named, or that of the specific link to whose correlation its domain contributes most.
fn gene(found: &Found, request: &LinksRequest) -> Result<usize, PipelineError> {
    if let Some(name) = &request.options.locus {
        let at = found.genes.names.iter().position(|known| known == name);
        let at = at.filter(|&gene| !found.pairs.of_gene(gene).is_empty());
        return at.ok_or_else(|| {
            let expected = "a gene of the file with a position and peaks within reach";
            PipelineError::option("locus", format!("{name:?}"), expected)
        });
    }
    let (z, p, r) = (&found.specific.z_score, &found.specific.p_adjusted, &found.correlations.by_domain);
    let rank = |at: (usize, usize)| (p[at] < SPECIFIC, sortable(r[at]));
    let best = (0..found.pairs.len())
        .flat_map(|k| (0..z.ncols()).map(move |d| (k, d)))
        .filter(|&at| z[at].is_finite())
        .max_by(|&a, &b| {
            let ((a_is, a_r), (b_is, b_r)) = (rank(a), rank(b));
            a_is.cmp(&b_is).then(a_r.total_cmp(&b_r)).then(b.cmp(&a))
        });
    Ok(found.pairs.genes()[best.map_or(0, |(k, _)| k)] as usize)
}

/// Arcs of all pairs of the genes that lie where the peaks of one gene do.
pub(super) fn sheet(found: &Found, request: &LinksRequest) -> Result<Sheet, PipelineError> {
    let pairs = &found.pairs;
    let centre = gene(found, request)?;
    let own: Vec<u32> = pairs.of_gene(centre).map(|k| pairs.peaks()[k]).collect();
    let placed = |peak: u32| found.peaks.positions[peak as usize].as_ref();
    let at = found.genes.positions[centre].as_ref();
    let (Some(at), Some(first), Some(last)) = (
        at,
        own.iter().filter_map(|&p| placed(p)).map(|p| p.start).min(),
        own.iter().filter_map(|&p| placed(p)).map(|p| p.end).max(),
    ) else {
        return Ok(Sheet { parts: vec![Part::Caption("no pair to draw".to_owned())], ..Sheet::default() });
    };
    let region = [first.min(at.start), last.max(at.end)];
    let within = |base: u64| region[0] <= base && base <= region[1];
    let mut genes = Vec::new();
    let mut peaks: BTreeMap<u32, u32> = BTreeMap::new();
    let mut arcs = Vec::new();
    for (g, position) in found.genes.positions.iter().enumerate() {
        let Some(position) = position.as_ref().filter(|p| p.chromosome == at.chromosome && within(p.tss))
        else {
            continue;
        };
        for k in pairs.of_gene(g) {
            let peak = pairs.peaks()[k];
            if !placed(peak).is_some_and(|p| within(p.start) && within(p.end)) {
                continue;
            }
            let n = peaks.len() as u32;
            let strengths = found.strengths.by_domain.row(k).to_vec();
            let p = found.specific.p_adjusted.row(k);
            arcs.push(LinkArc {
                peak: *peaks.entry(peak).or_insert(n),
                gene: genes.len() as u32,
                strengths,
                marked: (0..p.len() as u32).filter(|&d| p[d as usize] < SPECIFIC).collect(),
            });
        }
        genes.push(ArcGene {
            name: found.genes.names[g].clone(),
            start: position.start,
            end: position.end,
            tss: position.tss,
            reverse: position.strand.map(|strand| strand == Strand::Reverse),
        });
    }
    let mut in_order = vec![[0, 0]; peaks.len()];
    for (peak, place) in peaks {
        if let Some(position) = placed(peak) {
            in_order[place as usize] = [position.start, position.end];
        }
    }
    let groups = Groups { names: found.groups.names.clone(), colors: found.groups.colors.clone() };
    let arcs = Arcs {
        title: format!("links of {}", found.genes.names[centre]),
        chromosome: at.chromosome.clone(),
        region: Some(region),
        groups,
        genes,
        peaks: in_order,
        arcs,
        value_name: "link strength".to_owned(),
    };
    let caption = format!("orange: specific for the domain (adjusted p below {SPECIFIC})");
    let parts = vec![Part::Plots(vec![Plot::Arcs(arcs)]), Part::Caption(caption)];
    Ok(Sheet { parts, ..Sheet::default() })
}
