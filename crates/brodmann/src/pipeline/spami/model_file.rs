//! A trained network as one file: parameters, loadings and the card that says what they are.
//!
//! The file is safetensors; the card is in its metadata, and once more beside it as `<file>.json` for people.

use std::collections::HashSet;
use std::path::Path;

use brodmann_kernels::Seed;
use ndarray::Array2;
use serde_json::{Value as Json, json};

use super::features::{Balance, FeatureMap, Projection};
use crate::models::spami::{EarlyStopping, SpamiModel, SpamiOptions};
use crate::pipeline::PipelineError;
use crate::pipeline::tensor_file::{TensorFile, TensorFileError, card_path};
use crate::preprocess::{Modality, Normalization, ScaleOptions, Scaling};

const KIND: &str = "spami-model";
const EXPECTED: &str = "a model of SpaMI";
const NETWORK: &str = "network.";
/// Raised when a file of this version could not be read by the one before.
const FORMAT: u64 = 1;

/// A trained network with what it needs to see another slice.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedModel {
    /// The network.
    pub model: SpamiModel,
    /// In the order of training.
    pub modalities: Vec<SavedModality>,
    /// The card as it stands in the file.
    pub card: Json,
}

/// One modality of a saved model.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedModality {
    /// Its name.
    pub name: String,
    /// What it measures.
    pub kind: Modality,
    /// Where its features come from.
    pub source: SavedSource,
    /// How they are brought to the scale of the other modalities.
    pub balance: Option<Balance>,
}

/// Where the features of a saved modality come from.
#[derive(Clone, Debug, PartialEq)]
pub enum SavedSource {
    /// From counts of the features named; the map is on these columns alone.
    Counts {
        /// The steps and the loadings.
        map: Box<FeatureMap>,
        /// Names of the columns of the map.
        names: Vec<String>,
    },
    /// From an embedding in `obsm`.
    Rep(String),
}

/// What the card says beyond the network.
pub(super) struct CardOf<'a> {
    pub n_obs: usize,
    pub n_epochs: usize,
    pub stopped_early: bool,
    pub loss: Option<f64>,
    pub data_hash: &'a str,
}

/// Writes a model and its card.
pub(super) fn save(
    path: &Path,
    model: &SpamiModel,
    modalities: &[SavedModality],
    about: &CardOf<'_>,
) -> Result<(), PipelineError> {
    let described: Vec<Json> = modalities.iter().zip(model.widths()).map(|(m, w)| describe(m, *w)).collect();
    let card = json!({
        "kind": KIND,
        "format": FORMAT,
        "version": env!("CARGO_PKG_VERSION"),
        "seed": model.seed().0,
        "n_obs": about.n_obs,
        "n_epochs": about.n_epochs,
        "stopped_early": about.stopped_early,
        "loss": about.loss,
        "data_hash": about.data_hash,
        "options": options_json(model.options()),
        "modalities": described,
    });
    let mut file = TensorFile::new(card);
    for (name, values) in model.parameters() {
        file.insert_f32(format!("{NETWORK}{name}"), values.to_owned());
    }
    for modality in modalities {
        insert_map(&mut file, modality);
    }
    file.write(path)?;
    let text = serde_json::to_string_pretty(&file.card).unwrap_or_default() + "\n";
    brodmann_data::write_bytes(&card_path(path), text.as_bytes())?;
    Ok(())
}

fn describe(modality: &SavedModality, width: usize) -> Json {
    let mut entry = json!({
        "name": modality.name,
        "modality": modality.kind.name(),
        "n_features": width,
        "balanced": modality.balance.is_some(),
    });
    match &modality.source {
        SavedSource::Rep(key) => {
            entry["features"] = json!({ "method": "obsm", "key": key });
        }
        SavedSource::Counts { map, names } => {
            let selected: Vec<usize> = (0..names.len()).filter(|&k| map.selected[k]).collect();
            let mut features = json!({ "method": map.method() });
            if let Projection::Pca { normalization, log1p, scaling, .. } = &map.projection {
                features["normalization"] = json!(normalization_name(*normalization));
                features["log1p"] = json!(log1p);
                features["zero_center"] = json!(scaling.as_ref().map(|s| s.options.zero_center));
                features["max_value"] = json!(scaling.as_ref().and_then(|s| s.options.max_value));
            }
            entry["features"] = features;
            entry["names"] = json!(names);
            entry["selected"] = json!(selected);
        }
    }
    entry
}

fn normalization_name(normalization: Normalization) -> &'static str {
    match normalization {
        Normalization::Total => "total",
        Normalization::Clr => "clr",
        Normalization::None => "none",
    }
}

fn insert_map(file: &mut TensorFile, modality: &SavedModality) {
    let at = |what: &str| format!("features.{}.{what}", modality.name);
    if let Some(balance) = &modality.balance {
        file.insert_vector(at("balance_center"), &balance.center);
        file.insert_vector(at("balance_scale"), &[balance.scale]);
    }
    let SavedSource::Counts { map, .. } = &modality.source else { return };
    match &map.projection {
        Projection::Clr | Projection::Identity => {}
        Projection::Pca { target_sum, scaling, mean, components, .. } => {
            file.insert_vector(at("target_sum"), &[*target_sum]);
            file.insert_vector(at("component_mean"), mean);
            file.insert_f64(at("components"), components.clone());
            if let Some(scaling) = scaling {
                file.insert_vector(at("mean"), &scaling.mean);
                file.insert_vector(at("sd"), &scaling.sd);
            }
        }
        Projection::Lsi { scale_factor, idf, components, singular_values } => {
            file.insert_vector(at("scale_factor"), &[*scale_factor]);
            file.insert_vector(at("idf"), idf);
            file.insert_f64(at("components"), components.clone());
            file.insert_vector(at("singular_values"), singular_values);
        }
    }
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
    let Some(entries) = card["modalities"].as_array().filter(|e| !e.is_empty()) else {
        return Err(file.invalid("its card names no modalities").into());
    };
    let (mut modalities, mut widths) = (Vec::new(), Vec::new());
    for entry in entries {
        let (modality, width) = modality_from(&file, entry)?;
        modalities.push(modality);
        widths.push(width);
    }
    let parameters: Vec<(String, Array2<f32>)> =
        file.f32_below(NETWORK).map(|(n, a)| (n.to_owned(), a.clone())).collect();
    if let Some((name, _)) = parameters.iter().find(|(_, a)| !a.iter().all(|v| v.is_finite())) {
        return Err(file.invalid(format!("the parameter {name} is not finite")).into());
    }
    let model = SpamiModel::from_parameters(options, Seed(seed), widths, parameters)
        .map_err(|e| file.invalid(e.to_string()))?;
    Ok(SavedModel { model, modalities, card })
}

fn modality_from(file: &TensorFile, entry: &Json) -> Result<(SavedModality, usize), TensorFileError> {
    let text = |key: &str| {
        entry[key].as_str().map(str::to_owned).ok_or_else(|| file.invalid(format!("a modality has no {key}")))
    };
    let name = text("name")?;
    let kind: Modality = text("modality")?
        .parse()
        .map_err(|_| file.invalid(format!("{name}: an unknown kind of modality")))?;
    let width = entry["n_features"]
        .as_u64()
        .and_then(|w| usize::try_from(w).ok())
        .ok_or_else(|| file.invalid(format!("{name}: no number of features")))?;
    let balance = balance_from(file, &name, entry, width)?;
    let features = &entry["features"];
    let method = features["method"].as_str().unwrap_or_default();
    if method == "obsm" {
        let key = features["key"].as_str().ok_or_else(|| file.invalid(format!("{name}: no obsm key")))?;
        let source = SavedSource::Rep(key.to_owned());
        return Ok((SavedModality { name, kind, source, balance }, width));
    }
    let names: Vec<String> = entry["names"]
        .as_array()
        .and_then(|list| list.iter().map(|n| n.as_str().map(str::to_owned)).collect())
        .ok_or_else(|| file.invalid(format!("{name}: no feature names")))?;
    if names.iter().collect::<HashSet<_>>().len() != names.len() {
        return Err(file.invalid(format!("{name}: feature names repeat")));
    }
    let mut selected = vec![false; names.len()];
    let places = entry["selected"].as_array().ok_or_else(|| file.invalid(format!("{name}: no selection")))?;
    for place in places {
        let flag = place.as_u64().and_then(|k| selected.get_mut(usize::try_from(k).ok()?));
        *flag.ok_or_else(|| file.invalid(format!("{name}: a selected feature that is not there")))? = true;
    }
    let n_selected = selected.iter().filter(|s| **s).count();
    let projection = projection_from(file, &name, features, method, n_selected)?;
    let map = FeatureMap { kind, kept: vec![true; names.len()], selected, projection };
    if map.n_features() != width {
        return Err(file.invalid(format!("{name}: {} features where {width} were named", map.n_features())));
    }
    let source = SavedSource::Counts { map: Box::new(map), names };
    Ok((SavedModality { name, kind, source, balance }, width))
}

fn balance_from(
    file: &TensorFile,
    name: &str,
    entry: &Json,
    width: usize,
) -> Result<Option<Balance>, TensorFileError> {
    if entry["balanced"].as_bool() != Some(true) {
        return Ok(None);
    }
    let center = file.vector(&format!("features.{name}.balance_center"), Some(width))?;
    let scale = file.vector(&format!("features.{name}.balance_scale"), Some(1))?[0];
    if scale <= 0.0 {
        return Err(file.invalid(format!("{name}: a scale that is not above 0")));
    }
    Ok(Some(Balance { center, scale }))
}

fn projection_from(
    file: &TensorFile,
    name: &str,
    features: &Json,
    method: &str,
    n_selected: usize,
) -> Result<Projection, TensorFileError> {
    let at = |what: &str| format!("features.{name}.{what}");
    let number = |what: &str| file.vector(&at(what), Some(1)).map(|v| v[0]);
    Ok(match method {
        "clr" => Projection::Clr,
        "identity" => Projection::Identity,
        "pca" => {
            let normalization = match features["normalization"].as_str() {
                Some("total") => Normalization::Total,
                Some("clr") => Normalization::Clr,
                Some("none") => Normalization::None,
                _ => return Err(file.invalid(format!("{name}: an unknown normalisation"))),
            };
            let scaling = match features["zero_center"].as_bool() {
                None => None,
                Some(zero_center) => {
                    let max_value = features["max_value"].as_f64();
                    let sd = file.vector(&at("sd"), Some(n_selected))?;
                    if sd.iter().any(|s| *s <= 0.0) {
                        return Err(file.invalid(format!("{name}: a standard deviation that is not above 0")));
                    }
                    let mean = file.vector(&at("mean"), Some(n_selected))?;
                    Some(Scaling { mean, sd, options: ScaleOptions { zero_center, max_value } })
                }
            };
            Projection::Pca {
                normalization,
                target_sum: number("target_sum")?,
                log1p: features["log1p"].as_bool().unwrap_or(true),
                scaling,
                mean: file.vector(&at("component_mean"), Some(n_selected))?,
                components: file.f64(&at("components"), Some(n_selected))?.clone(),
            }
        }
        "lsi" => {
            let components = file.f64(&at("components"), Some(n_selected))?.clone();
            Projection::Lsi {
                scale_factor: number("scale_factor")?,
                idf: file.vector(&at("idf"), Some(n_selected))?,
                singular_values: file.vector(&at("singular_values"), Some(components.ncols()))?,
                components,
            }
        }
        other => return Err(file.invalid(format!("{name}: features by an unknown method {other:?}"))),
    })
}

/// The options of a network, for cards and records.
pub(super) fn options_json(options: &SpamiOptions) -> Json {
    json!({
        "learning_rate": options.learning_rate,
        "epochs": options.epochs,
        "n_neighbors": options.n_neighbors,
        "hidden": options.hidden,
        "latent": options.latent,
        "dropout": options.dropout,
        "contrast_weights": options.contrast_weights,
        "reconstruction_weights": options.reconstruction_weights,
        "cosine_weight": options.cosine_weight,
        "weight_decay": options.weight_decay,
        "contrast": options.contrast,
        "cosine": options.cosine,
        "fusion": options.fusion.name(),
        "early_stopping": options.early_stopping.map(|s| json!({
            "patience": s.patience,
            "min_delta": s.min_delta,
        })),
    })
}

fn options_from(file: &TensorFile, card: &Json) -> Result<SpamiOptions, TensorFileError> {
    let missing = |key: &str| file.invalid(format!("its card does not say {key}"));
    let number = |key: &str| card[key].as_f64().ok_or_else(|| missing(key));
    let whole =
        |key: &str| card[key].as_u64().and_then(|v| usize::try_from(v).ok()).ok_or_else(|| missing(key));
    let flag = |key: &str| card[key].as_bool().ok_or_else(|| missing(key));
    let list = |key: &str| -> Result<Vec<f64>, TensorFileError> {
        card[key].as_array().and_then(|l| l.iter().map(Json::as_f64).collect()).ok_or_else(|| missing(key))
    };
    let early_stopping = match &card["early_stopping"] {
        Json::Null => None,
        stop => Some(EarlyStopping {
            patience: stop["patience"]
                .as_u64()
                .and_then(|p| usize::try_from(p).ok())
                .ok_or_else(|| missing("patience"))?,
            min_delta: stop["min_delta"].as_f64().ok_or_else(|| missing("min_delta"))?,
        }),
    };
    Ok(SpamiOptions {
        learning_rate: number("learning_rate")?,
        epochs: whole("epochs")?,
        n_neighbors: whole("n_neighbors")?,
        hidden: whole("hidden")?,
        latent: whole("latent")?,
        dropout: number("dropout")?,
        contrast_weights: list("contrast_weights")?,
        reconstruction_weights: list("reconstruction_weights")?,
        cosine_weight: number("cosine_weight")?,
        weight_decay: number("weight_decay")?,
        contrast: flag("contrast")?,
        cosine: flag("cosine")?,
        fusion: card["fusion"].as_str().and_then(|f| f.parse().ok()).ok_or_else(|| missing("fusion"))?,
        early_stopping,
    })
}
