//! What was found, for a person and as JSON.

use brodmann_kernels::{Monitor, Opt};

use super::{Explained, Found, MarkersRequest};
use crate::pipeline::run::Seconds;
use crate::pipeline::tissue::Tissue;
use crate::stats::GroupMarkers;

/// A group of fewer spots says little.
const FEW_SPOTS: usize = 10;

/// The markers of the groups of a file.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct MarkersReport {
    /// `obs` column of the groups.
    pub groupby: String,
    /// What each was compared with.
    pub reference: String,
    /// Observations.
    pub n_obs: usize,
    /// Those without a label.
    pub n_unlabelled: usize,
    /// Slices.
    pub n_slices: usize,
    /// The modalities looked at.
    pub modalities: Vec<ModalityMarkers>,
    /// Wall-clock seconds of each stage.
    pub seconds: Seconds,
}

/// One modality.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ModalityMarkers {
    /// Its name.
    pub name: String,
    /// What was compared.
    pub values: String,
    /// Features.
    pub n_vars: usize,
    /// The groups that were compared, in their order.
    pub groups: Vec<GroupReport>,
}

/// One group.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct GroupReport {
    /// Its name.
    pub name: String,
    /// Its spots.
    pub n_spots: usize,
    /// Spots it is compared with.
    pub n_reference: usize,
    /// Slices that can judge it; `None` of a single slice.
    pub n_slices_judged: Option<usize>,
    /// Features beyond the thresholds.
    pub n_markers: usize,
    /// The first of them.
    pub top: Vec<MarkerReport>,
}

/// One marker.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct MarkerReport {
    /// As the index has it.
    pub feature: String,
    /// As people call it.
    pub name: String,
    /// z or t.
    pub score: f64,
    /// log2 fold change.
    pub log2_fold_change: f64,
    /// Adjusted p-value.
    pub p_adjusted: f64,
    /// Share of the group's spots that express it.
    pub fraction: f64,
    /// Share of the reference's.
    pub fraction_reference: f64,
    /// Area under the ROC curve.
    pub auc: f64,
    /// Slices in which it holds.
    pub slices_hold: Option<u32>,
}

impl MarkersReport {
    pub(super) fn new(tissue: &Tissue, explained: &Explained<'_>, request: &MarkersRequest) -> Self {
        let modality = |found: &Found<'_>| ModalityMarkers {
            name: found.modality.name.clone(),
            values: found.values().to_owned(),
            n_vars: tissue.var_names(found.modality).len(),
            groups: found.markers.iter().map(|m| group(tissue, found, m, explained, request)).collect(),
        };
        Self {
            groupby: explained.groups.key.clone(),
            reference: request.comparison.reference.clone(),
            n_obs: tissue.n_obs(),
            n_unlabelled: explained.groups.n_unlabelled(),
            n_slices: explained.slices.as_ref().map_or(1, brodmann_kernels::Slices::count),
            modalities: explained.found.iter().map(modality).collect(),
            seconds: Seconds::default(),
        }
    }

    /// Says which groups say little, or nothing.
    pub(super) fn tell_doubts(&self, monitor: &dyn Monitor) {
        let Some(first) = self.modalities.first() else { return };
        for group in &first.groups {
            if group.n_reference == 0 {
                monitor.warn(&format!(
                    "group {}: there is no spot to compare it with, so it has no markers",
                    group.name
                ));
            } else if group.n_spots < FEW_SPOTS {
                monitor.warn(&format!(
                    "group {} has {} spot(s): too few for its markers to be trusted",
                    group.name, group.n_spots
                ));
            }
        }
        let judged = |group: &&GroupReport| group.n_slices_judged == Some(0) && group.n_spots >= FEW_SPOTS;
        for group in first.groups.iter().filter(judged) {
            monitor.warn(&format!(
                "group {}: no slice has enough of its spots to judge a marker ({} says how many it takes)",
                group.name,
                Opt("min_spots_per_slice")
            ));
        }
    }

    /// The report as lines for a person.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for modality in &self.modalities {
            lines.push(format!(
                "{}: {} features, {} group(s) of {} against {}",
                modality.name,
                modality.n_vars,
                modality.groups.len(),
                self.groupby,
                self.reference
            ));
            let width = modality.groups.iter().map(|g| g.name.chars().count()).max().unwrap_or(0).min(30);
            for group in &modality.groups {
                let top: Vec<String> = group
                    .top
                    .iter()
                    .map(|marker| format!("{} ({:+.2})", marker.name, marker.log2_fold_change))
                    .collect();
                let top = if top.is_empty() { "none".to_owned() } else { top.join(", ") };
                lines.push(format!(
                    "  {:<width$}  {:>7} spots  {:>6} marker(s): {top}",
                    group.name, group.n_spots, group.n_markers
                ));
            }
        }
        lines
    }
}

fn group(
    tissue: &Tissue,
    found: &Found<'_>,
    markers: &GroupMarkers,
    explained: &Explained<'_>,
    request: &MarkersRequest,
) -> GroupReport {
    let chosen = markers.select(&request.thresholds);
    let marker = |&j: &u32| {
        let at = j as usize;
        MarkerReport {
            feature: tissue.var_names(found.modality)[at].clone(),
            name: found.name(tissue, at).to_owned(),
            score: markers.score[at],
            log2_fold_change: markers.log2_fold_change[at],
            p_adjusted: markers.p_adjusted[at],
            fraction: markers.fraction[at],
            fraction_reference: markers.fraction_reference[at],
            auc: markers.auc[at],
            slices_hold: markers.slices.as_ref().map(|s| s.hold[at]),
        }
    };
    GroupReport {
        name: explained.groups.names[markers.group as usize].clone(),
        n_spots: markers.n_group,
        n_reference: markers.n_reference,
        n_slices_judged: markers.slices.as_ref().map(|s| s.n_judged),
        n_markers: chosen.len(),
        top: chosen.iter().take(request.comparison.n_top).map(marker).collect(),
    }
}
