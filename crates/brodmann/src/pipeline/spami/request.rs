//! What a caller asks of SpaMI.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use brodmann_data::keys;
use brodmann_kernels::{Monitor, Opt, OptionError};

use crate::models::spami::prior::PriorOptions;
use crate::models::spami::{SpamiOptions, SpamiPreset};
use crate::pipeline::PipelineError;
use crate::pipeline::clustering::DomainOptions;
use crate::pipeline::request::{FeatureRequest, ModelOptions, Naming, PerLayer, Place, check_n_neighbors};
use crate::pipeline::said::{Said, fields_of};
use crate::pipeline::tissue::Tissue;
use crate::preprocess::{Modality, PreprocessOptions};

/// Genes selected, as SpaMI's authors do.
pub const N_TOP_GENES: usize = 1800;
/// Components of RNA and peaks.
pub const N_COMPONENTS: usize = 50;
/// Principal components of the embedding that are clustered, as in the paper.
pub const CLUSTER_COMPONENTS: usize = 20;
/// Neighbours of the graph that is clustered, as in the paper.
pub const CLUSTER_NEIGHBORS: usize = 50;
/// A smaller fall of the loss does not count, where nothing is said.
const MIN_DELTA: f64 = 1e-4;
/// Weights by modality, which are read by name and not as the network's lists.
const WEIGHTS: [&str; 2] = ["contrast_weights", "reconstruction_weights"];

/// Whether denoised expression is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Denoise {
    /// Where all layers together take no more than [`super::denoised::AUTO_BYTES`].
    #[default]
    Auto,
    /// Whatever the size.
    Always,
    /// Not at all.
    Never,
}

/// Which modalities are integrated, and what of them the network sees.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModalityOptions {
    /// Modalities to integrate, in this order; all of the file when absent.
    pub modalities: Option<Vec<String>>,
    /// What a modality measures, where the guess from names is wrong.
    pub modality_kinds: IndexMap<String, Modality>,
    /// `obsm` embeddings to use instead of the counts, by modality; under the empty name for a single one.
    pub use_rep: IndexMap<String, String>,
    /// Bring the features of all modalities to one scale; by default with [`SpamiPreset::Default`] alone, since the
    /// weights of the other presets are made for features as they are.
    pub balance: Option<bool>,
}

/// What is written beside the results.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpamiOutputs {
    /// Write denoised expression.
    pub denoise: Denoise,
    /// Write the embedding of each modality too.
    pub modality_embeddings: bool,
}

/// A labelled reference that guides training (SpaMI-P).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PriorRequest {
    /// File of the reference; there may be one in memory instead.
    pub prior: Option<PathBuf>,
    /// `obs` column of its labels.
    pub prior_key: Option<String>,
    /// Which modality of the target it measures; RNA when absent.
    pub prior_modality: Option<Modality>,
    /// Layer of its counts instead of `X`.
    pub prior_layer: Option<String>,
    /// `obs` column with the slices of the reference.
    pub prior_library_key: Option<String>,
}

/// A run of SpaMI.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpamiRequest {
    /// The paper's setting the options start from: says which weight belongs to which kind.
    pub preset: SpamiPreset,
    /// The network and its training. The weights by modality come from the two fields below.
    pub options: SpamiOptions,
    /// `λ_con` by modality; the preset's where nothing is said.
    pub contrast_weights: PerLayer<f64>,
    /// `λ_rec` by modality; the preset's where nothing is said.
    pub reconstruction_weights: PerLayer<f64>,
    /// The modalities.
    pub modalities: ModalityOptions,
    /// How counts become features; SpaMI's own defaults where nothing is said.
    pub features: FeatureRequest,
    /// Coordinates and slices.
    pub place: Place,
    /// How the embedding is clustered.
    pub domains: DomainOptions,
    /// A labelled reference.
    pub prior: PriorRequest,
    /// How it guides training.
    pub prior_options: PriorOptions,
    /// What is written beside the results.
    pub outputs: SpamiOutputs,
    /// The network as a file.
    pub models: ModelOptions,
    /// Names of result and truth.
    pub naming: Naming,
}

impl SpamiRequest {
    /// The paper's setting.
    pub fn preset(preset: SpamiPreset) -> Self {
        Self { preset, options: SpamiOptions::preset(preset), ..Self::default() }
    }

    /// The request that options by name stand for: a preset's, with what was said in its place.
    ///
    /// # Errors
    /// [`PipelineError::Option`], [`PipelineError::UnknownOption`], [`PipelineError::DecidedByModel`].
    pub fn from_said(said: &Said) -> Result<Self, PipelineError> {
        // Epochs without a lower loss are all that is asked for, as a rule.
        let said = &said.clone().rewritten("early_stopping", |value| match value {
            Json::Number(patience) => json!({ "patience": patience, "min_delta": MIN_DELTA }),
            other => other,
        });
        let mut sections = said.sections();
        let base = Self::preset(sections.one("preset", SpamiPreset::default())?);
        let request = Self {
            preset: base.preset,
            options: sections.take_but(&base.options, &WEIGHTS)?,
            contrast_weights: sections.one(WEIGHTS[0], PerLayer::default())?,
            reconstruction_weights: sections.one(WEIGHTS[1], PerLayer::default())?,
            modalities: sections.take(&base.modalities)?,
            features: sections.take(&base.features)?,
            place: sections.take(&base.place)?,
            domains: sections.take(&base.domains)?,
            prior: sections.take(&base.prior)?,
            prior_options: sections.take(&base.prior_options)?,
            outputs: sections.take(&base.outputs)?,
            models: sections.take(&base.models)?,
            naming: sections.take(&base.naming)?,
        };
        sections.finish(keys::SPAMI)?;
        let mut features = fields_of(&request.features);
        // Where the counts are, and what an AnnData measures, is not the model's to say.
        features.retain(|name, _| !["layer", "modality"].contains(&name.as_str()));
        let mut modalities = fields_of(&request.modalities);
        modalities.retain(|name, _| name == "use_rep" || name == "balance");
        // How sure a label must be is still to be said where a model gives it.
        let mut prior_options = fields_of(&request.prior_options);
        prior_options.retain(|name, _| name != "prior_confidence");
        let prior = fields_of(&request.prior);
        let decided = [&fields_of(&request.options), &features, &modalities, &prior, &prior_options];
        request.models.refuse_decided(said, &decided)?;
        request.prior_options.validate()?;
        Ok(request)
    }

    /// A reference in memory as a tissue, as its file would be.
    ///
    /// # Errors
    /// As [`Tissue::from_container`].
    pub fn reference(
        &self,
        container: brodmann_data::Container,
        kind: Option<Modality>,
        monitor: &dyn Monitor,
    ) -> Result<Tissue, PipelineError> {
        super::prior::in_memory(self, container, kind, monitor)
    }

    /// Refuses halves of a reference: labels without one, or one without labels.
    pub(super) fn check_prior(&self, in_memory: bool) -> Result<(), PipelineError> {
        let there = in_memory || self.prior.prior.is_some();
        if there && self.prior.prior_key.is_none() {
            let expected = format!("with {}, the obs column of its labels", Opt("prior_key"));
            return Err(OptionError::new("prior", "given without labels", expected).into());
        }
        if !there && self.prior != PriorRequest::default() {
            let expected = format!("with {}, a labelled reference", Opt("prior"));
            return Err(OptionError::new("prior_key", "given without a reference", expected).into());
        }
        Ok(())
    }

    /// What shapes the features and the loss: what a checkpoint belongs to, beside the input's content. The number of
    /// epochs is not part of it, since training may go on.
    pub(super) fn shaping(&self, resolved: &SpamiOptions) -> Json {
        let mut options = fields_of(resolved);
        options.remove("epochs");
        json!({
            "preset": self.preset,
            "options": options,
            "features": self.features,
            "modalities": { "use_rep": self.modalities.use_rep, "balance": self.balances() },
        })
    }

    /// The options of the network for these modalities, checked.
    ///
    /// # Errors
    /// [`PipelineError::Option`], [`PipelineError::UnknownLayer`].
    pub(super) fn options_for(
        &self,
        names: &[String],
        kinds: &[Modality],
    ) -> Result<SpamiOptions, PipelineError> {
        let preset = SpamiOptions::preset(self.preset);
        let order = preset_order(self.preset);
        let weights = |option: &'static str, given: &PerLayer<f64>, own: &[f64]| {
            let known = |m: usize| match own {
                [one] => Some(*one),
                several => {
                    let place = order.iter().position(|k| *k == kinds[m])?;
                    several.get(place).copied()
                }
            };
            let named = |name: &str| given.named.contains_key(name) || given.default.is_some();
            if let Some(m) = (0..names.len()).find(|&m| !named(&names[m]) && known(m).is_none()) {
                let found = format!("not given for {} ({})", names[m], kinds[m]);
                let expected = "a weight for each modality that the preset does not know";
                return Err(PipelineError::from(OptionError::new(option, found, expected)));
            }
            let fallback = |name: &str| names.iter().position(|n| n == name).and_then(known).unwrap_or(1.0);
            given.resolve(names, option, fallback)
        };
        let mut options = self.options.clone();
        options.contrast_weights = weights(WEIGHTS[0], &self.contrast_weights, &preset.contrast_weights)?;
        options.reconstruction_weights =
            weights(WEIGHTS[1], &self.reconstruction_weights, &preset.reconstruction_weights)?;
        options.validate(names.len())?;
        Ok(options)
    }

    /// Whether features are brought to one scale.
    pub fn balances(&self) -> bool {
        self.modalities.balance.unwrap_or(self.preset == SpamiPreset::Default)
    }

    /// Checks what needs no file but the number of spots.
    pub(super) fn check(&self, n_obs: usize) -> Result<(), PipelineError> {
        if self.models.load_model.is_none() {
            check_n_neighbors("n_neighbors", self.options.n_neighbors, n_obs)?;
        }
        Ok(())
    }
}

/// SpaMI's defaults of a modality.
///
/// # Source
/// Gao et al. 2025, Methods: PCA and LSI of 50 dimensions, CLR of proteins; 1800 genes as in the authors' runs.
/// `min_cells` 3 rather than the text's 10, so that small tissues keep their genes.
pub fn default_options(kind: Modality) -> PreprocessOptions {
    let options = PreprocessOptions { n_pcs: N_COMPONENTS, ..PreprocessOptions::for_modality(kind) };
    match kind {
        Modality::Rna => PreprocessOptions { n_top_genes: Some(N_TOP_GENES), ..options },
        Modality::Adt | Modality::Atac => options,
    }
}

/// Which kinds the two weights of a preset belong to.
fn preset_order(preset: SpamiPreset) -> &'static [Modality] {
    match preset {
        SpamiPreset::Default => &[],
        SpamiPreset::Misar | SpamiPreset::AtacRnaBrain => &[Modality::Atac, Modality::Rna],
        SpamiPreset::StereoCite => &[Modality::Rna, Modality::Adt],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn weights_of_a_preset_follow_the_kind_not_the_order() {
        let request = SpamiRequest::preset(SpamiPreset::AtacRnaBrain);
        let paper = request
            .options_for(&names(&["atac", "rna"]), &[Modality::Atac, Modality::Rna])
            .expect("the paper's two");
        let turned = request
            .options_for(&names(&["rna", "atac"]), &[Modality::Rna, Modality::Atac])
            .expect("the paper's two");
        assert_eq!(paper.reconstruction_weights, [10.0, 15.0]);
        assert_eq!(turned.reconstruction_weights, [15.0, 10.0]);
        let error = request
            .options_for(&names(&["rna", "adt"]), &[Modality::Rna, Modality::Adt])
            .expect_err("no weight for proteins")
            .to_string();
        assert!(error.contains("adt") && error.contains("reconstruction_weights"), "{error}");
    }

    #[test]
    fn what_was_said_replaces_the_preset_and_a_loaded_model_decides() {
        let said = Said::new(json!({
            "preset": "misar", "hidden": 32, "contrast_weights": {"atac": 2.0}, "n_clusters": 4, "n_top_genes": 50,
        }));
        let request = SpamiRequest::from_said(&said).expect("known options");
        assert_eq!((request.options.hidden, request.options.epochs), (32, 800));
        assert_eq!(request.contrast_weights.named["atac"], 2.0);
        assert_eq!(request.features.n_top_genes, Some(50));
        let said = Said::new(
            json!({ "load_model": "m.safetensors", "epochs": 10, "n_top_genes": 500, "umap": true }),
        );
        let error = SpamiRequest::from_said(&said).expect_err("decided").to_string();
        assert!(
            error.contains("epochs") && error.contains("n_top_genes") && !error.contains("umap"),
            "{error}"
        );
        let said = Said::new(json!({ "load_model": "m.safetensors", "layer": "counts", "n_clusters": 3 }));
        SpamiRequest::from_said(&said).expect("the file's own matters");
    }

    #[test]
    fn everything_that_shapes_features_or_loss_is_what_a_checkpoint_belongs_to() {
        let shaping = |said: Json| {
            let request = SpamiRequest::from_said(&Said::new(said)).expect("known options");
            request.shaping(&request.options)
        };
        let plain = shaping(json!({}));
        for said in [
            json!({ "n_top_genes": 60 }),
            json!({ "target_sum": 100.0 }),
            json!({ "flavor": "seurat" }),
            json!({ "min_cells": 9 }),
            json!({ "normalized": true }),
            json!({ "n_pcs": 7 }),
            json!({ "balance": false }),
            json!({ "dropout": 0.3 }),
            json!({ "layer": "counts" }),
        ] {
            assert_ne!(shaping(said.clone()), plain, "{said}");
        }
        for said in [
            json!({ "epochs": 9 }),
            json!({ "umap": true }),
            json!({ "key_added": "a" }),
            json!({ "n_clusters": 3 }),
        ] {
            assert_eq!(shaping(said.clone()), plain, "{said}");
        }
    }

    #[test]
    fn named_weights_come_before_the_preset() {
        let mut request = SpamiRequest::default();
        request.contrast_weights.named.insert("adt".to_owned(), 5.0);
        let kinds = [Modality::Rna, Modality::Adt, Modality::Atac];
        let options = request.options_for(&names(&["rna", "adt", "atac"]), &kinds).expect("valid");
        assert_eq!(options.contrast_weights, [1.0, 5.0, 1.0]);
        assert_eq!(options.reconstruction_weights, [10.0, 10.0, 10.0]);
        request.contrast_weights.named.insert("protein".to_owned(), 5.0);
        assert!(request.options_for(&names(&["rna", "adt", "atac"]), &kinds).is_err());
        let negative = SpamiRequest {
            reconstruction_weights: PerLayer { default: Some(-1.0), ..PerLayer::default() },
            ..SpamiRequest::default()
        };
        let error = negative.options_for(&names(&["rna"]), &kinds[..1]).expect_err("negative").to_string();
        assert!(error.contains("reconstruction_weights") && error.contains("-1"), "{error}");
    }
}
