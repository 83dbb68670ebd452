//! The columns as a csv, one row per spot.

use std::fmt::Write as _;

use brodmann_data::{Column, keys};

use super::{Found, QcRequest, Spots, columns};
use crate::pipeline::tissue::Tissue;

/// Names, slices and all columns; those of several modalities carry the modality's name. What is missing is empty.
pub(super) fn csv(tissue: &Tissue, spots: &Spots, found: &[Found<'_>], request: &QcRequest) -> String {
    let mut table: Vec<(String, Column)> = Vec::new();
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
    let mut text = String::from("spot");
    for (key, _) in &table {
        text.push(',');
        text.push_str(&quoted(key));
    }
    text.push('\n');
    for (i, name) in tissue.obs_names().iter().enumerate() {
        text.push_str(&quoted(name));
        for (_, column) in &table {
            text.push(',');
            match column {
                Column::Float64(v) if v[i].is_finite() => {
                    let _ = write!(text, "{}", v[i]);
                }
                Column::Int(v) => {
                    let _ = write!(text, "{}", v[i]);
                }
                Column::Bool(v) => text.push_str(if v[i] { "True" } else { "False" }),
                Column::String(v) => text.push_str(&quoted(v[i].as_deref().unwrap_or_default())),
                _ => {}
            }
        }
        text.push('\n');
    }
    text
}

/// A text as a field: in quotes where it holds what separates fields.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
