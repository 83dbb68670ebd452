//! What is in each domain.

use crate::pipeline::explain::enrich::Behind;
use crate::pipeline::explain::markers::{Explained, Found, MarkersRequest};
use crate::pipeline::explain::neighborhood;
use crate::pipeline::tissue::Tissue;
use crate::report::{DomainPanel, DomainShapeRow, GeneSet, Marker, Neighbor, Note, Severity};
use crate::stats::GroupMarkers;

/// Sets of a domain that are shown.
const SETS: usize = 15;
/// A domain of fewer spots says little.
const FEW_SPOTS: usize = 10;
/// Genes named in the sentence.
const NAMED: usize = 4;

/// One panel per group.
pub(super) fn panels(
    tissue: &Tissue,
    explained: &Explained<'_>,
    around: &neighborhood::Found,
    behind: Option<&Behind<'_>>,
    request: &MarkersRequest,
) -> Vec<DomainPanel> {
    (0..explained.groups.names.len())
        .map(|group| panel(tissue, explained, around, behind, request, group))
        .collect()
}

fn panel(
    tissue: &Tissue,
    explained: &Explained<'_>,
    around: &neighborhood::Found,
    behind: Option<&Behind<'_>>,
    request: &MarkersRequest,
    group: usize,
) -> DomainPanel {
    let mut panel = DomainPanel {
        neighbors: neighbors(around, group),
        shapes: shapes(around, group),
        gene_sets: behind.map(|behind| gene_sets(tissue, behind, group)).unwrap_or_default(),
        ..DomainPanel::default()
    };
    let n_spots = explained.groups.codes.iter().filter(|code| **code == Some(group as u32)).count();
    let mut note = |severity: Severity, text: String| panel.notes.push(Note { severity, text });
    if n_spots < FEW_SPOTS {
        note(Severity::Warning, format!("{n_spots} spot(s) are too few for markers to be trusted."));
    }
    if let Some(slices) = explained.slices.as_ref().filter(|slices| slices.count() > 1) {
        let mut here = vec![0_usize; slices.count()];
        for (i, code) in explained.groups.codes.iter().enumerate() {
            here[slices.of(i)] += usize::from(*code == Some(group as u32));
        }
        let there: Vec<usize> = (0..here.len()).filter(|&s| here[s] > 0).collect();
        if let [only] = there[..] {
            let name = slices.label(only);
            note(
                Severity::Doubt,
                format!("All of it lies in slice {name}: it may be of that slice, not of the tissue."),
            );
        }
    }
    for found in &explained.found {
        let Some(markers) = found.markers.iter().find(|m| m.group as usize == group) else { continue };
        let several = explained.found.len() > 1;
        let own = table(tissue, found, markers, request, several);
        if let Some(sentence) = sentence(&own, found, several) {
            panel.summary.push(sentence);
        }
        panel.markers.extend(own);
    }
    panel
}

/// The first markers of a group.
fn table(
    tissue: &Tissue,
    found: &Found<'_>,
    markers: &GroupMarkers,
    request: &MarkersRequest,
    several: bool,
) -> Vec<Marker> {
    let chosen = markers.select(&request.thresholds);
    let marker = |&j: &u32| {
        let at = j as usize;
        let name = found.name(tissue, at);
        Marker {
            gene: if several { format!("{name} ({})", found.modality.name) } else { name.to_owned() },
            log2_fold_change: markers.log2_fold_change[at],
            fraction: markers.fraction[at],
            fraction_reference: markers.fraction_reference[at],
            p_adjusted: markers.p_adjusted[at],
            auc: markers.auc[at],
            slices: markers.slices.as_ref().map(|s| (s.hold[at], s.n_judged as u32)),
        }
    };
    chosen.iter().take(request.comparison.n_top).map(marker).collect()
}

fn sentence(markers: &[Marker], found: &Found<'_>, several: bool) -> Option<String> {
    let of = if several { format!("Of {}, ", found.modality.name) } else { String::new() };
    let first: Vec<&str> = markers.iter().take(NAMED).map(|m| m.gene.as_str()).collect();
    match first.split_last() {
        None => {
            Some(format!("{of}no feature marks it: nothing is higher here than elsewhere by the thresholds."))
        }
        Some((only, [])) => Some(format!("{of}marked by {only}.")),
        Some((last, others)) => Some(format!("{of}marked by {} and {last}.", others.join(", "))),
    }
    .map(|text| {
        let mut letters = text.chars();
        letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
    })
}

fn neighbors(around: &neighborhood::Found, group: usize) -> Vec<Neighbor> {
    let of = |other: usize| Neighbor {
        domain: other,
        contacts: around.adjacency.contacts[[group, other]],
        boundary_share: around.adjacency.boundary_shares[[group, other]],
        z: around.enrichment.z_score[[group, other]],
    };
    (0..around.groups.names.len()).filter(|&other| other != group).map(of).collect()
}

fn shapes(around: &neighborhood::Found, group: usize) -> Vec<DomainShapeRow> {
    let Some(shapes) = &around.shapes else { return Vec::new() };
    let place = |code: u32| {
        let slices = around.slices.as_ref()?;
        slices.codes().iter().position(|c| *c == code)
    };
    let own = shapes.domains.iter().filter(|shape| shape.label as usize == group && shape.n_spots > 0);
    own.map(|shape| DomainShapeRow {
        slice: place(shape.slice).unwrap_or(0),
        area: shape.area,
        boundary_length: shape.boundary_length,
        compactness: shape.compactness,
        elongation: shape.elongation,
        n_components: shape.n_components,
        largest_component: shape.largest_component,
    })
    .collect()
}

fn gene_sets(tissue: &Tissue, behind: &Behind<'_>, group: usize) -> Vec<GeneSet> {
    let Some(found) = behind.groups.iter().find(|found| found.group as usize == group) else {
        return Vec::new();
    };
    let set = |row: &crate::pipeline::explain::enrich::Row| GeneSet {
        name: behind.sets.names()[row.set].clone(),
        score_name: "fold".to_owned(),
        score: row.effect,
        p_adjusted: row.p_adjusted,
        size: row.size,
        genes: row.genes.iter().map(|&j| behind.gene(tissue, j)).collect(),
    };
    found.rows.iter().take(SETS).map(set).collect()
}
