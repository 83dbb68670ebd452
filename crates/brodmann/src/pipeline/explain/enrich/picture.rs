//! A map of the groups and of the scores of sets, and the sets behind each group.

use super::{Behind, EnrichRequest};
use crate::pipeline::PipelineError;
use crate::pipeline::explain::{charts, groups};
use crate::pipeline::tissue::Tissue;
use crate::plot::{Part, Sheet};

pub(super) fn sheet(
    tissue: &Tissue,
    found: &Behind<'_>,
    request: &EnrichRequest,
) -> Result<Sheet, PipelineError> {
    let coordinates = tissue.coordinates(&request.markers.place.spatial_key)?;
    let explained = &found.explained;
    let maps = groups::maps(
        tissue,
        &coordinates,
        explained.slices.as_ref(),
        Some(&explained.groups),
        found.scores.clone(),
    );
    let mut parts = vec![Part::Maps(Box::new(maps))];
    parts.extend(charts::set_bars(found, request.options.method).map(|plot| Part::Plots(vec![plot])));
    Ok(Sheet { parts, ..Sheet::default() })
}
