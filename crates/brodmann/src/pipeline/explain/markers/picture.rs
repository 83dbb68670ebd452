//! Maps of the first marker of each group, all groups beside each other, and volcanoes.

use super::{Explained, MarkersRequest};
use crate::pipeline::PipelineError;
use crate::pipeline::explain::{charts, groups};
use crate::pipeline::tissue::Tissue;
use crate::plot::{Part, Plot, Sheet};

/// The page: for each modality a map of the groups and of the first marker of each, then markers by group.
pub(super) fn sheet(
    tissue: &Tissue,
    explained: &Explained<'_>,
    request: &MarkersRequest,
) -> Result<Sheet, PipelineError> {
    let coordinates = tissue.coordinates(&request.place.spatial_key)?;
    let mut parts = Vec::new();
    for found in &explained.found {
        let mut titles = Vec::new();
        let mut genes = Vec::new();
        for markers in &found.markers {
            if let Some(&j) = markers.select(&request.thresholds).first() {
                let group = &explained.groups.names[markers.group as usize];
                titles.push(format!("{group} · {}", found.name(tissue, j as usize)));
                genes.push(j as usize);
            }
        }
        // One gene may mark two groups.
        let mut distinct = genes.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let columns = found.rows.dense_columns(&distinct)?;
        let of = |j: &usize| distinct.binary_search(j).map(|at| columns[at].clone()).unwrap_or_default();
        let features = titles.into_iter().zip(genes.iter().map(of)).collect();
        let slices = explained.slices.as_ref();
        let maps = groups::maps(tissue, &coordinates, slices, Some(&explained.groups), features);
        parts.push(Part::Maps(Box::new(maps)));
    }
    for found in &explained.found {
        let means = [charts::dot_plot, charts::heat_map];
        let mut plots: Vec<Plot> =
            means.iter().filter_map(|plot| plot(tissue, found, explained, request)).collect();
        plots.extend(charts::violins(tissue, found, explained, request)?);
        parts.push(Part::Plots(plots));
        parts.push(Part::Plots(vec![charts::volcano(tissue, found, explained, request)]));
    }
    parts.retain(|part| !matches!(part, Part::Plots(plots) if plots.is_empty()));
    Ok(Sheet { parts, ..Sheet::default() })
}
