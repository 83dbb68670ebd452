//! What a caller asks of STAIG.

use std::path::PathBuf;

use brodmann_data::keys;

use super::features::{
    N_TOP_GENES, N_TOP_GENES_PER_SLICE, PANEL_GENES, StaigFeatureOptions, TARGET_SUM, Values,
};
use crate::cluster::{CovarianceModel, SelectionCriterion};
use crate::models::staig::{EdgeRule, StaigError, StaigOptions, StaigPreset};
use crate::pipeline::PipelineError;
use crate::pipeline::checkpoint::CheckpointRequest;
use crate::pipeline::embedding_clusters::EmbeddingMethod;
use crate::pipeline::request::FeatureRequest;

/// Starts of a Gaussian mixture where nothing is said: one start moves the ARI by as much as the training seed does.
pub const N_INIT: usize = 10;
/// Domains considered where their number is to be found, at most.
pub const MAX_CLUSTERS: usize = 15;
/// Neighbours of the graph that Leiden clusters.
pub const CLUSTER_NEIGHBORS: usize = 15;
/// Wider image features are standardised and reduced to this many principal components.
pub const IMAGE_COMPONENTS: usize = 64;
/// Components of the baseline.
pub const BASELINE_COMPONENTS: usize = 30;
/// Spatial neighbours the baseline averages over.
pub const BASELINE_NEIGHBORS: usize = 10;

/// How the embedding is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StaigMethod {
    /// The network.
    #[default]
    Staig,
    /// Principal components of expression averaged over spatial neighbours: the simple baseline.
    SmoothedPca,
}

impl StaigMethod {
    /// Its name, which is also the default name of the results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Staig => keys::STAIG,
            Self::SmoothedPca => keys::SMOOTHED_PCA,
        }
    }
}

/// A run of STAIG.
#[derive(Clone, Debug, PartialEq)]
pub struct StaigRequest {
    /// The network, or the baseline.
    pub method: StaigMethod,
    /// How counts become features; STAIG's own defaults where nothing is said. `normalized` says that values are
    /// logarithms already.
    pub features: FeatureRequest,
    /// Counts or logarithms; by preset and size of the panel when absent.
    pub values: Option<Values>,
    /// `obsm` key of the coordinates.
    pub spatial_key: String,
    /// `obs` column that names the slice.
    pub library_key: Option<String>,
    /// The released settings the options start from.
    pub preset: StaigPreset,
    /// The network and its training.
    pub options: StaigOptions,
    /// Whether the edge rule was chosen by the caller; else image features, if there are any, decide.
    pub edge_rule_given: bool,
    /// Whether the image classes were chosen by the caller; else integration goes without.
    pub image_classes_given: bool,
    /// Image features: an `obsm` key, or `.npy` files (one, or one a file), rows in the order of the spots.
    pub image: Vec<String>,
    /// Networks trained, each from a seed of its own.
    pub restarts: usize,
    /// How the embedding is clustered.
    pub cluster: EmbeddingMethod,
    /// Nearest spots in space whose majority a spot follows; the preset's when absent, 0 for none.
    pub refine: Option<usize>,
    /// Lay the embedding out in the plane (`obsm["X_key_umap"]`).
    pub umap: bool,
    /// Where the trained network goes.
    pub save_model: Option<PathBuf>,
    /// A network trained before, applied instead of training.
    pub load_model: Option<PathBuf>,
    /// Checkpoints.
    pub checkpoint: Option<CheckpointRequest>,
    /// `obs` column of the known domains.
    pub truth: Option<String>,
    /// Name of the result; the method's when absent.
    pub key_added: Option<String>,
}

impl Default for StaigRequest {
    fn default() -> Self {
        Self {
            method: StaigMethod::Staig,
            features: FeatureRequest::default(),
            values: None,
            spatial_key: keys::SPATIAL.to_owned(),
            library_key: None,
            preset: StaigPreset::Default,
            options: StaigOptions::default(),
            edge_rule_given: false,
            image_classes_given: false,
            image: Vec::new(),
            restarts: 1,
            cluster: EmbeddingMethod::Gmm {
                n_clusters: None,
                model: CovarianceModel::Eee,
                n_init: N_INIT,
                criterion: SelectionCriterion::default(),
                max_clusters: MAX_CLUSTERS,
            },
            refine: None,
            umap: false,
            save_model: None,
            load_model: None,
            checkpoint: None,
            truth: None,
            key_added: None,
        }
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
    /// Name of the result.
    pub fn key(&self) -> &str {
        self.key_added.as_deref().unwrap_or(self.method.name())
    }

    /// Spots that vote on a spot's domain.
    pub fn refine(&self) -> usize {
        self.refine.unwrap_or(preset_refine(self.preset))
    }

    /// What the features are made by, for a panel of `n_vars` genes on `n_slices` slices.
    pub(super) fn feature_options(
        &self,
        n_vars: usize,
        n_slices: usize,
    ) -> (StaigFeatureOptions, &'static str) {
        let of = &self.features;
        let panel = n_vars <= PANEL_GENES;
        let (values, why) = match self.values {
            _ if of.normalized => (Values::Logged, "as you said"),
            Some(values) => (values, "as you said"),
            None if !self.preset.normalizes() => (Values::Counts, "as the preset does"),
            None if panel && self.method == StaigMethod::Staig => (Values::Counts, "as the panel is small"),
            None => (Values::Log, "by default"),
        };
        let n_top = match of.n_top_genes {
            Some(0) => None,
            Some(n) => Some(n),
            None if n_slices > 1 => Some(N_TOP_GENES_PER_SLICE),
            None => Some(N_TOP_GENES),
        };
        let own = StaigFeatureOptions::default();
        let options = StaigFeatureOptions {
            values,
            n_top_genes: n_top,
            flavor: of.flavor.unwrap_or(own.flavor),
            target_sum: of.target_sum.unwrap_or(TARGET_SUM),
            min_cells: of.min_cells.unwrap_or(own.min_cells),
        };
        (options, why)
    }

    /// The options of the network, checked, with what the data decide; in the words of the command line.
    ///
    /// # Errors
    /// [`PipelineError::Option`].
    pub(super) fn options_for(&self, n_slices: usize) -> Result<StaigOptions, PipelineError> {
        let mut options = self.options.clone();
        let has_image = !self.image.is_empty();
        if has_image && !self.edge_rule_given {
            options.edge_rule = EdgeRule::Image;
        }
        if n_slices > 1 && !self.image_classes_given {
            // The paper's integration: image features differ between slices for reasons of staining.
            options.image_classes = 0;
        }
        let needs = |option: &'static str, found: String| {
            Err(PipelineError::Option {
                option,
                found,
                expected: "image features beside it (--image-key KEY or FILE.npy)",
            })
        };
        if !has_image && options.edge_rule == EdgeRule::Image {
            return if self.edge_rule_given {
                needs("--edge-rule", "image".to_owned())
            } else {
                needs("--preset", self.preset.name().to_owned())
            };
        }
        if !has_image && options.image_classes > 0 {
            return needs("--image-classes", options.image_classes.to_string());
        }
        options.validate().map_err(in_flags)?;
        Ok(options)
    }

    /// Checks what needs no file but the number of spots.
    pub(super) fn check(&self, n_obs: usize) -> Result<(), PipelineError> {
        let refuse = |option, found: String, expected| Err(PipelineError::Option { option, found, expected });
        self.cluster.check(n_obs)?;
        if !(1..=1000).contains(&self.restarts) {
            return refuse("--restarts", self.restarts.to_string(), "1 to 1000");
        }
        if self.load_model.is_none() && self.options.n_neighbors >= n_obs {
            return refuse(
                "--n-neighbors",
                format!("{} for {n_obs} spots", self.options.n_neighbors),
                "fewer neighbours than spots",
            );
        }
        if self.refine() >= n_obs {
            return refuse(
                "--refine",
                format!("{} for {n_obs} spots", self.refine()),
                "fewer neighbours than spots",
            );
        }
        if self.load_model.is_some() && self.save_model.is_some() {
            return refuse(
                "--save-model",
                "given together with --load-model".to_owned(),
                "a training (a loaded model is a file already)",
            );
        }
        if self.load_model.is_some() && self.restarts > 1 {
            return refuse("--restarts", "given together with --load-model".to_owned(), "a training");
        }
        if self.method == StaigMethod::SmoothedPca
            && (self.load_model.is_some() || self.save_model.is_some() || self.checkpoint.is_some())
        {
            return refuse(
                "--method",
                "smoothed-pca, which trains no network,".to_owned(),
                "no model or checkpoint",
            );
        }
        self.checkpoint.as_ref().map_or(Ok(()), CheckpointRequest::check)
    }
}

/// An option of the network under the name of its flag.
pub(super) fn in_flags(error: StaigError) -> PipelineError {
    let flag = |option| match option {
        "learning_rate" => Some("--lr"),
        "weight_decay" => Some("--weight-decay"),
        "epochs" => Some("--epochs"),
        "n_neighbors" => Some("--n-neighbors"),
        "layers" => Some("--layers"),
        "width" => Some("--width"),
        "tau" => Some("--tau"),
        "feature_mask" => Some("--feature-mask"),
        "resamples" => Some("--resamples"),
        "edge_rule" => Some("--edge-rule"),
        _ => None,
    };
    match error {
        StaigError::InvalidOption { name, found, expected } => match flag(name) {
            Some(option) => PipelineError::Option { option, found, expected },
            None => StaigError::InvalidOption { name, found, expected }.into(),
        },
        StaigError::CheckpointBeyondEnd { found, .. } => PipelineError::Option {
            option: "--epochs",
            found: format!("no more than the {found} epochs the checkpoint holds"),
            expected: "a larger number to train on",
        },
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_panels_and_their_presets_are_taken_as_counts() {
        let request = StaigRequest::default();
        assert_eq!(request.feature_options(20_000, 1).0.values, Values::Log);
        assert_eq!(request.feature_options(20_000, 1).0.n_top_genes, Some(3000));
        assert_eq!(request.feature_options(20_000, 2).0.n_top_genes, Some(5000));
        assert_eq!(request.feature_options(1020, 1).0.values, Values::Counts);
        let starmap = StaigRequest { preset: StaigPreset::Starmap, ..StaigRequest::default() };
        assert_eq!(starmap.feature_options(20_000, 1).0.values, Values::Counts);
        let said = StaigRequest { values: Some(Values::Log), ..starmap.clone() };
        assert_eq!(said.feature_options(100, 1).0.values, Values::Log);
        let features = FeatureRequest { normalized: true, n_top_genes: Some(0), ..FeatureRequest::default() };
        let logged = StaigRequest { features, ..starmap };
        assert_eq!(logged.feature_options(100, 1).0.values, Values::Logged);
        assert_eq!(logged.feature_options(100, 1).0.n_top_genes, None);
    }

    #[test]
    fn image_features_decide_the_edge_rule_and_are_asked_for_where_needed() {
        let with = |request: StaigRequest| StaigRequest { image: vec!["X_image".to_owned()], ..request };
        let plain = StaigRequest::default;
        assert_eq!(with(plain()).options_for(1).expect("valid").edge_rule, EdgeRule::Image);
        assert_eq!(plain().options_for(1).expect("valid").edge_rule, EdgeRule::Expression);
        let preset = StaigRequest {
            preset: StaigPreset::VisiumImage,
            options: StaigOptions::preset(StaigPreset::VisiumImage),
            ..plain()
        };
        let message = preset.options_for(1).expect_err("no image").to_string();
        assert!(message.contains("--preset is visium-image") && message.contains("--image-key"), "{message}");
        assert_eq!(with(preset.clone()).options_for(1).expect("valid").image_classes, 80);
        assert_eq!(with(preset).options_for(2).expect("valid").image_classes, 0);
        let mut classes = plain();
        classes.options.image_classes = 5;
        assert!(classes.options_for(1).expect_err("no image").to_string().contains("--image-classes"));
        let mut tau = plain();
        tau.options.tau = 0.0;
        assert!(tau.options_for(1).expect_err("no temperature").to_string().contains("--tau"));
    }
}
