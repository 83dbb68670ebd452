//! A trained network as one file: parameters, the way features are made, and the card that says what they are.
//!
//! The file is safetensors; the card is in its metadata, and once more beside it as `<file>.json` for people.

use std::path::Path;

use brodmann_kernels::Seed;
use ndarray::Array2;
use serde_json::{Value as Json, json};

use crate::models::staig::{StaigModel, StaigOptions};
use crate::pipeline::PipelineError;
use crate::pipeline::known::KnownDomains;
use crate::pipeline::saved_map::{describe_map, insert_map, map_from};
use crate::pipeline::tensor_file::{TensorFile, TensorFileError, card_path};
use crate::preprocess::Modality;
use crate::preprocess::feature_map::FeatureMap;

const KIND: &str = "staig-model";
const EXPECTED: &str = "a model of STAIG";
const NETWORK: &str = "network.";
const FEATURES: &str = "features.";
/// Raised when a file of this version could not be read by the one before.
const FORMAT: u64 = 2;
/// The oldest format still read: it spells a fixed edge rule in two entries.
const OLDEST_FORMAT: u64 = 1;

/// A trained network with what it needs to see another slice.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedModel {
    /// The network.
    pub model: StaigModel,
    /// How its features are made, on the columns named.
    pub map: FeatureMap,
    /// Names of the columns of the map.
    pub names: Vec<String>,
    /// The domains of the training; `None` in a file of an earlier version, or where Harmony was in between.
    pub known: Option<KnownDomains>,
    /// The card as it stands in the file.
    pub card: Json,
}

/// What the card says beyond the network.
pub(super) struct CardOf<'a> {
    pub n_obs: usize,
    pub n_slices: usize,
    pub n_epochs: usize,
    pub loss: Option<f64>,
    pub data_hash: &'a str,
    pub known: Option<&'a KnownDomains>,
}

/// Writes a model and its card; `map` and `names` are on all columns of the file.
pub(super) fn save(
    path: &Path,
    model: &StaigModel,
    map: &FeatureMap,
    names: &[String],
    about: &CardOf<'_>,
) -> Result<(), PipelineError> {
    let kept: Vec<String> =
        names.iter().zip(&map.kept).filter(|(_, k)| **k).map(|(n, _)| n.clone()).collect();
    let map = map.compact();
    let mut card = json!({
        "kind": KIND,
        "format": FORMAT,
        "version": env!("CARGO_PKG_VERSION"),
        "seed": model.seed().0,
        "n_obs": about.n_obs,
        "n_slices": about.n_slices,
        "n_epochs": about.n_epochs,
        "loss": about.loss,
        "data_hash": about.data_hash,
        "options": json!(model.options()),
        "domains": about.known.map(KnownDomains::describe),
    });
    describe_map(&mut card, &map, &kept);
    let mut file = TensorFile::new(card);
    for (name, values) in model.parameters() {
        file.insert_f32(format!("{NETWORK}{name}"), values.to_owned());
    }
    insert_map(&mut file, FEATURES, &map);
    if let Some(known) = about.known {
        known.insert(&mut file);
    }
    file.write(path)?;
    let text = serde_json::to_string_pretty(&file.card).unwrap_or_default() + "\n";
    brodmann_data::write_bytes(&card_path(path), text.as_bytes())?;
    Ok(())
}

/// Reads a model.
///
/// # Errors
/// [`PipelineError::TensorFile`] for a file that is not a model, is damaged, or contradicts itself.
pub fn load(path: &Path) -> Result<SavedModel, PipelineError> {
    let file = TensorFile::read(path, KIND, EXPECTED)?;
    let card = file.card.clone();
    match card["format"].as_u64() {
        Some(OLDEST_FORMAT..=FORMAT) => {}
        found => {
            let found = found.map_or_else(|| "none".to_owned(), |f| f.to_string());
            return Err(file.invalid(format!("format {found}, this version reads {FORMAT}")).into());
        }
    }
    let options = options_from(&file, &card["options"])?;
    let Some(seed) = card["seed"].as_u64() else {
        return Err(file.invalid("its card has no seed").into());
    };
    let (map, names) = map_from(&file, &card, Modality::Rna, FEATURES, "")?;
    if map.values().is_none() {
        return Err(file.invalid("its features are projections, where columns were expected").into());
    }
    if map.n_selected() == 0 {
        return Err(file.invalid("it selects no feature").into());
    }
    let parameters: Vec<(String, Array2<f32>)> =
        file.f32_below(NETWORK).map(|(n, a)| (n.to_owned(), a.clone())).collect();
    if let Some((name, _)) = parameters.iter().find(|(_, a)| !a.iter().all(|v| v.is_finite())) {
        return Err(file.invalid(format!("the parameter {name} is not finite")).into());
    }
    let model = StaigModel::from_parameters(options, Seed(seed), map.n_features(), parameters)
        .map_err(|e| file.invalid(e.to_string()))?;
    let known = KnownDomains::from_file(&file, &card["domains"], model.options().width)?;
    Ok(SavedModel { model, map, names, known, card })
}

/// The options of a card; the oldest format spells a fixed rule `"edge_rule": "fixed"` with `edge_drop` beside it.
fn options_from(file: &TensorFile, card: &Json) -> Result<StaigOptions, TensorFileError> {
    let mut card = card.clone();
    if let Some(probability) = card.as_object_mut().and_then(|entries| entries.remove("edge_drop"))
        && card["edge_rule"] == "fixed"
    {
        card["edge_rule"] = json!({ "fixed": probability });
    }
    file.options(&card)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::staig::EdgeRule;

    #[test]
    fn options_of_earlier_cards_are_read_and_holes_in_a_card_are_not_filled() {
        let file = TensorFile::new(Json::Null);
        let options = StaigOptions { edge_rule: EdgeRule::Fixed(0.25), ..StaigOptions::default() };
        let mut card = json!(&options);
        assert_eq!(options_from(&file, &card).expect("of this version"), options);
        card["edge_rule"] = json!("fixed");
        card["edge_drop"] = json!(0.25);
        assert_eq!(options_from(&file, &card).expect("of the version before"), options);
        card["edge_rule"] = json!("image");
        card["edge_drop"] = Json::Null;
        assert_eq!(options_from(&file, &card).expect("alike").edge_rule, EdgeRule::Image);
        for key in ["tau", "epochs", "edge_rule"] {
            let mut card = json!(&options);
            card.as_object_mut().expect("a table").remove(key);
            let error = options_from(&file, &card).expect_err("damaged").to_string();
            assert!(error.contains(key), "{error}");
        }
    }
}
