//! A trained network as one file: parameters, loadings and the card that says what they are.
//!
//! The file is safetensors; the card is in its metadata, and once more beside it as `<file>.json` for people.

use std::path::Path;

use brodmann_kernels::Seed;
use ndarray::{Array1, Array2};
use serde_json::{Value as Json, json};

use crate::models::spami::prior::LabelHead;
use crate::models::spami::{SpamiModel, SpamiOptions};
use crate::pipeline::PipelineError;
use crate::pipeline::known::KnownDomains;
use crate::pipeline::saved_map::{describe_map, insert_map, map_from};
use crate::pipeline::tensor_file::{TensorFile, TensorFileError, card_path};
use crate::preprocess::feature_map::{Balance, FeatureMap};
use crate::preprocess::{Modality, PcaAxes};

const KIND: &str = "spami-model";
const EXPECTED: &str = "a model of SpaMI";
const NETWORK: &str = "network.";
const HEAD: &str = "head.";
const CENTER: &str = "domains.pca_mean";
const AXES: &str = "domains.pca_components";
/// Raised when a file of this version could not be read by the one before.
const FORMAT: u64 = 1;

/// A trained network with what it needs to see another slice.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedModel {
    /// The network.
    pub model: SpamiModel,
    /// In the order of training.
    pub modalities: Vec<SavedModality>,
    /// Of a training that a labelled reference guided.
    pub head: Option<SavedHead>,
    /// The domains of the training; `None` in a file of an earlier version, or where Harmony was in between.
    pub known: Option<SavedDomains>,
    /// The card as it stands in the file.
    pub card: Json,
}

/// The domains of a training, and the components of the embedding that they were found in.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedDomains {
    /// What tells them apart.
    pub domains: KnownDomains,
    /// From the embedding to the components.
    pub axes: PcaAxes,
}

/// What tells the labels of a reference apart.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedHead {
    /// For the embedding of the network.
    pub head: LabelHead,
    /// Names of the labels.
    pub names: Vec<String>,
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
    head: Option<&SavedHead>,
    known: Option<(&KnownDomains, &PcaAxes)>,
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
        "options": json!(model.options()),
        "modalities": described,
        "labels": head.map(|h| &h.names),
        "domains": known.map(|(domains, _)| domains.describe()),
    });
    let mut file = TensorFile::new(card);
    if let Some((domains, axes)) = known {
        domains.insert(&mut file);
        file.insert_vector(CENTER, &axes.mean);
        file.insert_f64(AXES, axes.components.clone());
    }
    if let Some(SavedHead { head, .. }) = head {
        file.insert_f32(format!("{HEAD}weight"), head.weight.clone());
        file.insert_f32(format!("{HEAD}directions"), head.directions.clone());
        let row = |values: &Array1<f32>| values.clone().insert_axis(ndarray::Axis(0));
        file.insert_f32(format!("{HEAD}bias"), row(&head.bias));
        file.insert_f32(format!("{HEAD}nearest_cosine"), row(&head.nearest_cosine));
        file.insert_vector(format!("{HEAD}temperature"), &[head.temperature]);
    }
    for (name, values) in model.parameters() {
        file.insert_f32(format!("{NETWORK}{name}"), values.to_owned());
    }
    for modality in modalities {
        insert_modality(&mut file, modality);
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
            describe_map(&mut entry, map, names);
        }
    }
    entry
}

fn insert_modality(file: &mut TensorFile, modality: &SavedModality) {
    let at = |what: &str| format!("features.{}.{what}", modality.name);
    if let Some(balance) = &modality.balance {
        file.insert_vector(at("balance_center"), &balance.center);
        file.insert_vector(at("balance_scale"), &[balance.scale]);
    }
    let SavedSource::Counts { map, .. } = &modality.source else { return };
    insert_map(file, &at(""), map);
}

/// Reads a model.
///
/// # Errors
/// [`PipelineError::TensorFile`] for a file that is not a model, is damaged, or contradicts itself.
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
    let options = file.options::<SpamiOptions>(&card["options"])?;
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
    let head = head_from(&file, &card["labels"], &model)?;
    let known = known_from(&file, &card["domains"], &model)?;
    Ok(SavedModel { model, modalities, head, known, card })
}

/// The domains that the card speaks of, if it does.
fn known_from(
    file: &TensorFile,
    card: &Json,
    model: &SpamiModel,
) -> Result<Option<SavedDomains>, TensorFileError> {
    if card.is_null() {
        return Ok(None);
    }
    let width = model.options().embedding_width(model.widths().len());
    let mean = file.vector(CENTER, Some(width))?;
    let axes = PcaAxes { mean, components: file.f64(AXES, Some(width))?.clone() };
    let domains = KnownDomains::from_file(file, card, axes.components.ncols())?;
    Ok(domains.map(|domains| SavedDomains { domains, axes }))
}

/// The head of the labels that the card names, if it names some.
fn head_from(
    file: &TensorFile,
    labels: &Json,
    model: &SpamiModel,
) -> Result<Option<SavedHead>, TensorFileError> {
    if labels.is_null() {
        return Ok(None);
    }
    let names: Option<Vec<String>> =
        labels.as_array().map(|l| l.iter().filter_map(|n| n.as_str().map(str::to_owned)).collect());
    let Some(names) = names.filter(|names| !names.is_empty()) else {
        return Err(file.invalid("its labels are not names"));
    };
    let (width, n) = (model.options().embedding_width(model.widths().len()), names.len());
    let matrix = |name: &str, shape: (usize, usize)| {
        let found = file.f32_below(HEAD).find(|(own, _)| *own == name).map(|(_, values)| values.clone());
        found.filter(|m| m.dim() == shape && m.iter().all(|v| v.is_finite())).ok_or_else(|| {
            file.invalid(format!("the {name} of its labels are not {} × {} finite numbers", shape.0, shape.1))
        })
    };
    let temperature = file.vector(&format!("{HEAD}temperature"), Some(1))?[0];
    if !(temperature.is_finite() && temperature > 0.0) {
        return Err(file.invalid("the temperature of its labels is not above 0"));
    }
    let row = |name: &str| matrix(name, (1, n)).map(|m| m.row(0).to_owned());
    let head = LabelHead {
        weight: matrix("weight", (width, n))?,
        bias: row("bias")?,
        temperature,
        directions: matrix("directions", (n, width))?,
        nearest_cosine: row("nearest_cosine")?,
    };
    Ok(Some(SavedHead { head, names }))
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
    if features["method"] == "obsm" {
        let key = features["key"].as_str().ok_or_else(|| file.invalid(format!("{name}: no obsm key")))?;
        let source = SavedSource::Rep(key.to_owned());
        return Ok((SavedModality { name, kind, source, balance }, width));
    }
    let (map, names) = map_from(file, entry, kind, &format!("features.{name}."), &format!("{name}: "))?;
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
