//! The columns as a table, one row per spot.

use brodmann_data::{Column, keys};

use super::{Found, QcRequest, Spots, columns};
use crate::pipeline::tissue::Tissue;

/// Names, slices and all columns; those of several modalities carry the modality's name. What is missing is empty.
pub(super) fn columns_of(
    tissue: &Tissue,
    spots: &Spots,
    found: &[Found<'_>],
    request: &QcRequest,
) -> Vec<(String, Column)> {
    let names = tissue.obs_names().iter().cloned().map(Some).collect();
    let mut table = vec![("spot".to_owned(), Column::String(names))];
    if let (Some(key), Some(slices)) = (&request.place.library_key, &spots.slices) {
        let of = (0..tissue.n_obs()).map(|i| Some(slices.label(slices.of(i)))).collect();
        table.push((key.clone(), Column::String(of)));
    }
    if let Some(there) = &spots.in_tissue {
        table.push((keys::IN_TISSUE.to_owned(), Column::Int(there.iter().map(|t| i64::from(*t)).collect())));
    }
    for of_modality in found {
        for (key, column) in columns(of_modality) {
            let modality =
                if found.len() > 1 { format!("{}:", of_modality.modality.name) } else { String::new() };
            table.push((modality + &key, column));
        }
        let options = &request.options;
        if of_modality.thresholds
            && (options.min_counts.is_some() || options.min_genes.is_some() || options.max_mt.is_some())
        {
            let beyond = options.kept(&of_modality.spots).iter().map(|kept| !kept).collect();
            table.push(("beyond_thresholds".to_owned(), Column::Bool(beyond)));
        }
    }
    table
}
