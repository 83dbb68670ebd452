//! A map of the groups, and of the scores of sets.

use super::{Behind, EnrichRequest};
use crate::pipeline::PipelineError;
use crate::pipeline::explain::groups;
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
    Ok(Sheet { parts: vec![Part::Maps(Box::new(maps))], ..Sheet::default() })
}
