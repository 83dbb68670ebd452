//! Maps of the first marker of each group.

use crate::pipeline::PipelineError;
use crate::pipeline::explain::groups;
use crate::pipeline::picture::column_of;
use crate::pipeline::tissue::Tissue;
use crate::plot::{Part, Sheet};

use super::{Explained, MarkersRequest};

/// The page: for each modality a map of the groups and of the first marker of each.
pub(super) fn sheet(
    tissue: &Tissue,
    explained: &Explained<'_>,
    request: &MarkersRequest,
) -> Result<Sheet, PipelineError> {
    let coordinates = tissue.coordinates(&request.place.spatial_key)?;
    let mut parts = Vec::new();
    for found in &explained.found {
        let Some(rows) = &found.rows else { continue };
        let mut features = Vec::new();
        for markers in &found.markers {
            if let Some(&j) = markers.select(&request.thresholds).first() {
                let title = format!(
                    "{} · {}",
                    explained.groups.names[markers.group as usize],
                    found.name(tissue, j as usize)
                );
                features.push((title, column_of(rows, j as usize)));
            }
        }
        let maps =
            groups::maps(tissue, &coordinates, explained.slices.as_ref(), Some(&explained.groups), features);
        parts.push(Part::Maps(Box::new(maps)));
    }
    Ok(Sheet { parts, ..Sheet::default() })
}
