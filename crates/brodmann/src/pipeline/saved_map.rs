//! Feature maps in model files: settings and selection in the card, numbers among the arrays, for all models alike.

use std::collections::HashSet;

use ndarray::Array2;
use serde_json::{Value as Json, json};

use super::tensor_file::{TensorFile, TensorFileError};
use crate::preprocess::Modality;
use crate::preprocess::feature_map::{FeatureCard, FeatureMap, TensorSource};

/// Puts a map into an entry of a card: `features`, `names`, `selected`.
///
/// # Inputs
/// `names`: of the columns of the map, which is [compact](FeatureMap::compact).
pub(super) fn describe_map(entry: &mut Json, map: &FeatureMap, names: &[String]) {
    let selected: Vec<usize> = (0..names.len()).filter(|&k| map.selected[k]).collect();
    entry["features"] = json!(map.card());
    entry["names"] = json!(names);
    entry["selected"] = json!(selected);
}

/// Adds the numbers of a map, their names after `prefix`.
pub(super) fn insert_map(file: &mut TensorFile, prefix: &str, map: &FeatureMap) {
    for (name, values) in map.tensors() {
        file.insert_f64(format!("{prefix}{name}"), values);
    }
}

/// Reads a map and the names of its columns from an entry of the card of a file.
///
/// # Inputs
/// `of`: what the entry is about, before each message: `"rna: "`, or nothing.
/// # Errors
/// [`TensorFileError`] when the entry is incomplete or does not fit the arrays.
pub(super) fn map_from(
    file: &TensorFile,
    entry: &Json,
    kind: Modality,
    prefix: &str,
    of: &str,
) -> Result<(FeatureMap, Vec<String>), TensorFileError> {
    let source = Below { file, prefix, of };
    let invalid = |detail: &str| source.invalid(detail.to_owned());
    let names: Vec<String> = entry["names"]
        .as_array()
        .and_then(|list| list.iter().map(|n| n.as_str().map(str::to_owned)).collect())
        .ok_or_else(|| invalid("no feature names"))?;
    if names.iter().collect::<HashSet<_>>().len() != names.len() {
        return Err(invalid("feature names repeat"));
    }
    let mut selected = vec![false; names.len()];
    for place in entry["selected"].as_array().ok_or_else(|| invalid("no selection"))? {
        let flag = place.as_u64().and_then(|k| selected.get_mut(usize::try_from(k).ok()?));
        *flag.ok_or_else(|| invalid("a selected feature that is not there"))? = true;
    }
    let card = FeatureCard::deserialize_from(&entry["features"])
        .map_err(|error| source.invalid(format!("features made in an unknown way ({error})")))?;
    Ok((FeatureMap::from_card(&card, kind, selected, &source)?, names))
}

impl FeatureCard {
    /// The card of this version, or of one that did not name the only method of its model.
    fn deserialize_from(features: &Json) -> Result<Self, serde_json::Error> {
        let mut features = features.clone();
        if let Some(settings) = features.as_object_mut() {
            settings.entry("method").or_insert_with(|| json!("scaled"));
        }
        serde_json::from_value(features)
    }
}

/// The arrays of a file below a prefix.
struct Below<'a> {
    file: &'a TensorFile,
    prefix: &'a str,
    of: &'a str,
}

impl TensorSource for Below<'_> {
    type Error = TensorFileError;

    fn vector(&self, name: &str, len: Option<usize>) -> Result<Vec<f64>, TensorFileError> {
        self.file.vector(&format!("{}{name}", self.prefix), len)
    }

    fn matrix(&self, name: &str, n_rows: usize) -> Result<Array2<f64>, TensorFileError> {
        self.file.f64(&format!("{}{name}", self.prefix), Some(n_rows)).cloned()
    }

    fn invalid(&self, detail: String) -> TensorFileError {
        self.file.invalid(format!("{}{detail}", self.of))
    }
}
