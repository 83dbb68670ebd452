//! A trained network as one file: parameters, the way features are made, and the card that says what they are.
//!
//! The file is safetensors; the card is in its metadata, and once more beside it as `<file>.json` for people.

use std::collections::HashSet;
use std::path::Path;

use brodmann_kernels::Seed;
use ndarray::Array2;
use serde_json::{Value as Json, json};

use super::features::{FeatureScale, StaigFeatureMap, Values};
use crate::models::staig::{EdgeRule, Negatives, StaigModel, StaigOptions};
use crate::pipeline::PipelineError;
use crate::pipeline::tensor_file::{TensorFile, TensorFileError, card_path};

const KIND: &str = "staig-model";
const EXPECTED: &str = "a model of STAIG";
const NETWORK: &str = "network.";
const SD: &str = "features.sd";
const TARGET_SUM: &str = "features.target_sum";
/// Raised when a file of this version could not be read by the one before.
const FORMAT: u64 = 1;

/// A trained network with what it needs to see another slice.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedModel {
    /// The network.
    pub model: StaigModel,
    /// How its features are made, on the columns named.
    pub map: StaigFeatureMap,
    /// Names of the columns of the map.
    pub names: Vec<String>,
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
}

/// Writes a model and its card; `map` and `names` are on all columns of the file.
pub(super) fn save(
    path: &Path,
    model: &StaigModel,
    map: &StaigFeatureMap,
    names: &[String],
    about: &CardOf<'_>,
) -> Result<(), PipelineError> {
    let kept: Vec<&String> = names.iter().zip(&map.kept).filter(|(_, k)| **k).map(|(n, _)| n).collect();
    let map = map.compact();
    let selected: Vec<usize> = (0..kept.len()).filter(|&k| map.selected[k]).collect();
    let scale = match map.scale {
        FeatureScale::None => "none",
        FeatureScale::Fixed(_) => "fixed",
        FeatureScale::PerSlice => "per_slice",
    };
    let card = json!({
        "kind": KIND,
        "format": FORMAT,
        "version": env!("CARGO_PKG_VERSION"),
        "seed": model.seed().0,
        "n_obs": about.n_obs,
        "n_slices": about.n_slices,
        "n_epochs": about.n_epochs,
        "loss": about.loss,
        "data_hash": about.data_hash,
        "options": options_json(model.options()),
        "features": { "values": map.values.name(), "scale": scale },
        "names": kept,
        "selected": selected,
    });
    let mut file = TensorFile::new(card);
    for (name, values) in model.parameters() {
        file.insert_f32(format!("{NETWORK}{name}"), values.to_owned());
    }
    file.insert_vector(TARGET_SUM, &[map.target_sum]);
    if let FeatureScale::Fixed(sd) = &map.scale {
        file.insert_vector(SD, sd);
    }
    file.write(path)?;
    let text = serde_json::to_string_pretty(&file.card).unwrap_or_default() + "\n";
    brodmann_data::write_bytes(&card_path(path), text.as_bytes())?;
    Ok(())
}

/// Reads a model.
///
/// # Errors
/// [`PipelineError::TensorFile`] for a file that is none, is damaged, or does not hold together.
pub fn load(path: &Path) -> Result<SavedModel, PipelineError> {
    let file = TensorFile::read(path, KIND, EXPECTED)?;
    let card = file.card.clone();
    match card["format"].as_u64() {
        Some(FORMAT) => {}
        found => {
            let found = found.map_or_else(|| "none".to_owned(), |f| f.to_string());
            return Err(file.invalid(format!("format {found}, this version reads {FORMAT}")).into());
        }
    }
    let options = options_from(&file, &card["options"])?;
    let Some(seed) = card["seed"].as_u64() else {
        return Err(file.invalid("its card has no seed").into());
    };
    let (map, names) = map_from(&file, &card)?;
    let parameters: Vec<(String, Array2<f32>)> =
        file.f32_below(NETWORK).map(|(n, a)| (n.to_owned(), a.clone())).collect();
    if let Some((name, _)) = parameters.iter().find(|(_, a)| !a.iter().all(|v| v.is_finite())) {
        return Err(file.invalid(format!("the parameter {name} is not finite")).into());
    }
    let model = StaigModel::from_parameters(options, Seed(seed), map.n_features(), parameters)
        .map_err(|e| file.invalid(e.to_string()))?;
    Ok(SavedModel { model, map, names, card })
}

fn map_from(file: &TensorFile, card: &Json) -> Result<(StaigFeatureMap, Vec<String>), TensorFileError> {
    let names: Vec<String> = card["names"]
        .as_array()
        .and_then(|list| list.iter().map(|n| n.as_str().map(str::to_owned)).collect())
        .ok_or_else(|| file.invalid("its card has no feature names"))?;
    if names.iter().collect::<HashSet<_>>().len() != names.len() {
        return Err(file.invalid("its feature names repeat"));
    }
    let mut selected = vec![false; names.len()];
    for place in card["selected"].as_array().ok_or_else(|| file.invalid("its card has no selection"))? {
        let flag = place.as_u64().and_then(|k| selected.get_mut(usize::try_from(k).ok()?));
        *flag.ok_or_else(|| file.invalid("a selected feature is not there"))? = true;
    }
    let n_selected = selected.iter().filter(|s| **s).count();
    if n_selected == 0 {
        return Err(file.invalid("it selects no feature"));
    }
    let features = &card["features"];
    let values = features["values"].as_str().and_then(Values::from_name);
    let values = values.ok_or_else(|| file.invalid("its card names unknown values"))?;
    let scale = match features["scale"].as_str() {
        Some("none") => FeatureScale::None,
        Some("per_slice") => FeatureScale::PerSlice,
        Some("fixed") => {
            let sd = file.vector(SD, Some(n_selected))?;
            if sd.iter().any(|s| *s <= 0.0) {
                return Err(file.invalid("a standard deviation is not above 0"));
            }
            FeatureScale::Fixed(sd)
        }
        _ => return Err(file.invalid("its card names an unknown scale")),
    };
    let target_sum = file.vector(TARGET_SUM, Some(1))?[0];
    if target_sum <= 0.0 {
        return Err(file.invalid("its total per spot is not above 0"));
    }
    Ok((StaigFeatureMap { values, target_sum, kept: vec![true; names.len()], selected, scale }, names))
}

/// A way of summing negatives in a word.
pub(super) fn negatives_name(negatives: Negatives) -> &'static str {
    match negatives {
        Negatives::Auto => "auto",
        Negatives::Exact => "exact",
        Negatives::Moments => "moments",
    }
}

/// The options of a network, for cards and records.
pub(super) fn options_json(options: &StaigOptions) -> Json {
    let (edge_rule, edge_drop) = match options.edge_rule {
        EdgeRule::Fixed(p) => ("fixed", Some(p)),
        EdgeRule::Expression => ("expression", None),
        EdgeRule::Image => ("image", None),
    };
    json!({
        "learning_rate": options.learning_rate,
        "weight_decay": options.weight_decay,
        "epochs": options.epochs,
        "n_neighbors": options.n_neighbors,
        "layers": options.layers,
        "width": options.width,
        "tau": options.tau,
        "negatives": negatives_name(options.negatives),
        "released_denominator": options.released_denominator,
        "feature_mask": options.feature_mask,
        "edge_rule": edge_rule,
        "edge_drop": edge_drop,
        "resamples": options.resamples,
        "image_classes": options.image_classes,
        "average_views": options.average_views,
    })
}

fn options_from(file: &TensorFile, card: &Json) -> Result<StaigOptions, TensorFileError> {
    let missing = |key: &str| file.invalid(format!("its card does not say {key}"));
    let number = |key: &str| card[key].as_f64().ok_or_else(|| missing(key));
    let whole =
        |key: &str| card[key].as_u64().and_then(|v| usize::try_from(v).ok()).ok_or_else(|| missing(key));
    let flag = |key: &str| card[key].as_bool().ok_or_else(|| missing(key));
    let mask =
        card["feature_mask"].as_array().and_then(|l| l.iter().map(Json::as_f64).collect::<Option<Vec<_>>>());
    let feature_mask = match mask.as_deref() {
        Some([a, b]) => [*a, *b],
        _ => return Err(missing("feature_mask")),
    };
    Ok(StaigOptions {
        learning_rate: number("learning_rate")?,
        weight_decay: number("weight_decay")?,
        epochs: whole("epochs")?,
        n_neighbors: whole("n_neighbors")?,
        layers: whole("layers")?,
        width: whole("width")?,
        tau: number("tau")?,
        negatives: match card["negatives"].as_str() {
            Some("auto") => Negatives::Auto,
            Some("exact") => Negatives::Exact,
            Some("moments") => Negatives::Moments,
            _ => return Err(missing("negatives")),
        },
        released_denominator: flag("released_denominator")?,
        feature_mask,
        edge_rule: match card["edge_rule"].as_str() {
            Some("fixed") => EdgeRule::Fixed(number("edge_drop")?),
            Some("expression") => EdgeRule::Expression,
            Some("image") => EdgeRule::Image,
            _ => return Err(missing("edge_rule")),
        },
        resamples: whole("resamples")?,
        image_classes: whole("image_classes")?,
        average_views: flag("average_views")?,
    })
}
