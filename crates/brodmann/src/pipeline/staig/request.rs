//! What a caller asks of STAIG.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use brodmann_data::keys;
use brodmann_kernels::{Opt, OptionError};

use crate::models::staig::{EdgeRule, StaigOptions, StaigPreset};
use crate::pipeline::PipelineError;
use crate::pipeline::clustering::DomainOptions;
use crate::pipeline::expression::{N_INIT, N_TOP_GENES, ValueOptions, Wanted};
use crate::pipeline::histology::{EncoderOptions, Networks, SlideOptions};
use crate::pipeline::request::{
    FeatureRequest, ModelOptions, Naming, Place, check_n_neighbors, one_or_several,
};
use crate::pipeline::said::{Said, fields_of};

/// Wider image features are standardised and reduced to this many principal components.
pub const IMAGE_COMPONENTS: usize = 64;

/// Classes of spots that look alike, of one slide, where nothing is said.
const IMAGE_CLASSES: usize = 40;
/// Spots that a class has then, at least and on average.
const SPOTS_PER_CLASS: usize = 10;

/// What is trained beside one network on the expression.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingOptions {
    /// Image features: an `obsm` key, or `.npy` files (one, or one per file), rows in the order of the spots.
    #[serde(deserialize_with = "one_or_several")]
    pub image_key: Vec<String>,
    /// Networks trained, each from a seed of its own.
    pub restarts: usize,
}

impl Default for TrainingOptions {
    fn default() -> Self {
        Self { image_key: Vec::new(), restarts: 1 }
    }
}

/// A run of STAIG.
#[derive(Clone, Debug, PartialEq)]
pub struct StaigRequest {
    /// The released settings the options start from.
    pub preset: StaigPreset,
    /// The network and its training.
    pub options: StaigOptions,
    /// Whether the edge rule was chosen by the caller; else image features, if there are any, decide.
    pub edge_rule_given: bool,
    /// Whether the image classes were chosen by the caller; else integration goes without.
    pub image_classes_given: bool,
    /// Image features and restarts.
    pub training: TrainingOptions,
    /// The picture, where features are made of it here.
    pub slide: SlideOptions,
    /// What makes features of it.
    pub encoder: EncoderOptions,
    /// Networks on patches, where there are any.
    pub networks: Networks,
    /// Counts or logarithms.
    pub values: ValueOptions,
    /// How counts become features; STAIG's own defaults where nothing is said.
    pub features: FeatureRequest,
    /// Coordinates and slices.
    pub place: Place,
    /// How the embedding is clustered.
    pub domains: DomainOptions,
    /// The network as a file.
    pub models: ModelOptions,
    /// Names of result and truth.
    pub naming: Naming,
}

impl Default for StaigRequest {
    fn default() -> Self {
        Self::preset(StaigPreset::Default)
    }
}

/// Spots that vote on a spot's domain, by preset: the cortex slides of Visium have domains far wider than their noise.
pub const fn preset_refine(preset: StaigPreset) -> usize {
    match preset {
        StaigPreset::Visium | StaigPreset::VisiumImage => 15,
        _ => 0,
    }
}

impl StaigRequest {
    /// The released settings.
    pub fn preset(preset: StaigPreset) -> Self {
        Self {
            preset,
            options: StaigOptions::preset(preset),
            edge_rule_given: false,
            image_classes_given: false,
            training: TrainingOptions::default(),
            slide: SlideOptions::default(),
            encoder: EncoderOptions::default(),
            networks: Networks::default(),
            values: ValueOptions::default(),
            features: FeatureRequest::default(),
            place: Place::default(),
            domains: DomainOptions { refine: preset_refine(preset), ..DomainOptions::mixture(N_INIT) },
            models: ModelOptions::default(),
            naming: Naming::default(),
        }
    }

    /// The request that options by name stand for: a preset's, with what was said in its place.
    ///
    /// # Errors
    /// [`PipelineError::Option`], [`PipelineError::UnknownOption`], [`PipelineError::DecidedByModel`].
    pub fn from_said(said: &Said) -> Result<Self, PipelineError> {
        // What people write in short: one probability of all edges, one share for both views.
        let said = &said
            .clone()
            .rewritten("edge_rule", |value| match value {
                Json::Number(p) => json!({ "fixed": p }),
                other => other,
            })
            .rewritten("feature_mask", |value| match value {
                Json::Number(share) => json!([share, share]),
                Json::Array(shares) if shares.len() == 1 => json!([shares[0], shares[0]]),
                other => other,
            });
        let mut sections = said.sections();
        let base = Self::preset(sections.one("preset", StaigPreset::default())?);
        let request = Self {
            preset: base.preset,
            options: sections.take(&base.options)?,
            edge_rule_given: said.has("edge_rule"),
            image_classes_given: said.has("image_classes"),
            training: sections.take(&base.training)?,
            slide: sections.take(&base.slide)?,
            encoder: sections.take(&base.encoder)?,
            networks: base.networks,
            values: sections.take(&base.values)?,
            features: sections.take(&base.features)?,
            place: sections.take(&base.place)?,
            domains: sections.take(&base.domains)?,
            models: sections.take(&base.models)?,
            naming: sections.take(&base.naming)?,
        };
        sections.finish(keys::STAIG)?;
        request.wanted().check()?;
        request.check_image()?;
        let mut features = fields_of(&request.features);
        // Where the counts are, and what an AnnData measures, is not the model's to say.
        features.retain(|name, _| !["layer", "modality"].contains(&name.as_str()));
        let decided = [&fields_of(&request.options), &features, &fields_of(&request.values)];
        request.models.refuse_decided(said, &decided)?;
        Ok(request)
    }

    /// Refuses two sources of image features.
    fn check_image(&self) -> Result<(), PipelineError> {
        self.slide.validate()?;
        self.encoder.validate_beside(self.slide.is_asked_for())?;
        if self.slide.is_asked_for() && !self.training.image_key.is_empty() {
            let found =
                format!("{} beside {}", self.slide.image.join(", "), self.training.image_key.join(", "));
            let expected = format!("a slide, or with {} features that are made already", Opt("image_key"));
            return Err(OptionError::new("image", found, expected).into());
        }
        Ok(())
    }

    /// Whether the network sees a picture, or features of one.
    fn has_image(&self) -> bool {
        self.slide.is_asked_for() || !self.training.image_key.is_empty()
    }

    /// What is asked of the features.
    pub(super) fn wanted(&self) -> Wanted<'_> {
        Wanted {
            features: &self.features,
            values: &self.values,
            preset_takes_counts: !self.preset.normalizes(),
            panels_are_counts: true,
            n_top_genes: N_TOP_GENES,
            compares_slices: true,
        }
    }

    /// What shapes the features and the loss: what a checkpoint belongs to, beside the input's content. The number of
    /// epochs is not part of it, since training may go on.
    pub(super) fn shaping(&self, resolved: &StaigOptions) -> Json {
        let mut options = fields_of(resolved);
        options.remove("epochs");
        json!({ "options": options, "features": self.features, "values": self.values.values })
    }

    /// The options of the network, checked, with what the data decide.
    ///
    /// # Errors
    /// [`PipelineError::Option`].
    pub(super) fn options_for(&self, n_slices: usize, n_obs: usize) -> Result<StaigOptions, PipelineError> {
        let mut options = self.options.clone();
        let has_image = self.has_image();
        if has_image && !self.edge_rule_given {
            options.edge_rule = EdgeRule::Image;
        }
        if self.slide.is_asked_for() && !self.image_classes_given && options.image_classes == 0 {
            // The paper's number, where classes of so few spots still say something.
            options.image_classes = IMAGE_CLASSES.min(n_obs / SPOTS_PER_CLASS);
        }
        if n_slices > 1 && !self.image_classes_given {
            // The paper's integration: image features differ between slices for reasons of staining.
            options.image_classes = 0;
        }
        let needs = |option: &'static str, found: &str| {
            let expected = format!(
                "a slide beside it with {}, or image features with {}",
                Opt("image"),
                Opt("image_key")
            );
            Err(OptionError::new(option, found, expected).into())
        };
        if !has_image && options.edge_rule == EdgeRule::Image {
            return if self.edge_rule_given {
                needs("edge_rule", "image")
            } else {
                needs("preset", self.preset.name())
            };
        }
        if !has_image && options.image_classes > 0 {
            return needs("image_classes", &options.image_classes.to_string());
        }
        options.validate()?;
        Ok(options)
    }

    /// Checks what needs no file but the number of spots.
    pub(super) fn check(&self, n_obs: usize) -> Result<(), PipelineError> {
        self.networks.check(&self.encoder)?;
        let restarts = self.training.restarts;
        if !(1..=1000).contains(&restarts) {
            return Err(OptionError::new("restarts", restarts, "1 to 1000").into());
        }
        if self.models.load_model.is_none() {
            check_n_neighbors("n_neighbors", self.options.n_neighbors, n_obs)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_features_decide_the_edge_rule_and_are_asked_for_where_needed() {
        let with = |mut request: StaigRequest| {
            request.training.image_key = vec!["X_image".to_owned()];
            request
        };
        let plain = StaigRequest::default;
        assert_eq!(with(plain()).options_for(1, 1000).expect("valid").edge_rule, EdgeRule::Image);
        assert_eq!(plain().options_for(1, 1000).expect("valid").edge_rule, EdgeRule::Expression);
        let preset = StaigRequest::preset(StaigPreset::VisiumImage);
        let message = preset.options_for(1, 1000).expect_err("no image").to_string();
        assert!(message.contains("`preset` is visium_image") && message.contains("image_key"), "{message}");
        assert_eq!(with(preset.clone()).options_for(1, 1000).expect("valid").image_classes, 80);
        assert_eq!(with(preset).options_for(2, 1000).expect("valid").image_classes, 0);
        let mut classes = plain();
        classes.options.image_classes = 5;
        assert!(classes.options_for(1, 1000).expect_err("no image").to_string().contains("image_classes"));
        let mut tau = plain();
        tau.options.tau = 0.0;
        assert!(tau.options_for(1, 1000).expect_err("no temperature").to_string().contains("tau"));
    }

    #[test]
    fn what_was_said_replaces_the_preset_and_a_loaded_model_decides() {
        let from = |said: Json| StaigRequest::from_said(&Said::new(said));
        let request = from(json!({
            "preset": "visium", "tau": 3.0, "edge_rule": 0.25, "feature_mask": 0.5, "image_key": "X_image",
        }))
        .expect("known options");
        assert_eq!((request.options.tau, request.options.epochs, request.domains.refine), (3.0, 340, 15));
        assert_eq!(request.options.edge_rule, EdgeRule::Fixed(0.25));
        assert_eq!(request.options.feature_mask, [0.5, 0.5]);
        assert!(request.edge_rule_given && !request.image_classes_given);
        let error =
            from(json!({ "load_model": "m", "tau": 3.0, "restarts": 2, "refine": 5 })).expect_err("decided");
        let error = error.to_string();
        assert!(error.contains("tau") && error.contains("restarts") && !error.contains("refine"), "{error}");
        let error = from(json!({ "normalized": true, "values": "counts" })).expect_err("both").to_string();
        assert!(error.contains("values") && error.contains("normalized"), "{error}");
    }

    #[test]
    fn everything_that_shapes_features_or_loss_is_what_a_checkpoint_belongs_to() {
        let shaping = |said: Json| {
            let request = StaigRequest::from_said(&Said::new(said)).expect("known options");
            request.shaping(&request.options)
        };
        let plain = shaping(json!({}));
        for said in [
            json!({ "values": "counts" }),
            json!({ "normalized": true }),
            json!({ "flavor": "seurat" }),
            json!({ "min_cells": 9 }),
            json!({ "target_sum": 50.0 }),
            json!({ "tau": 3.0 }),
        ] {
            assert_ne!(shaping(said.clone()), plain, "{said}");
        }
        for said in [
            json!({ "epochs": 9 }),
            json!({ "umap": true }),
            json!({ "restarts": 3 }),
            json!({ "refine": 3 }),
        ] {
            assert_eq!(shaping(said.clone()), plain, "{said}");
        }
    }
}
