//! What a caller asks of SpaMI.

use std::path::PathBuf;

use brodmann_data::keys;
use indexmap::IndexMap;

use crate::models::spami::{SpamiError, SpamiOptions, SpamiPreset};
use crate::pipeline::PipelineError;
use crate::pipeline::checkpoint::CheckpointRequest;
use crate::pipeline::embedding_clusters::EmbeddingMethod;
use crate::pipeline::request::{FeatureRequest, PerLayer};
use crate::preprocess::Modality;

/// Principal components of the embedding that are clustered, as in the paper.
pub const CLUSTER_COMPONENTS: usize = 20;
/// Neighbours of the graph that is clustered, as in the paper.
pub const CLUSTER_NEIGHBORS: usize = 50;
/// Epochs between checkpoints where nothing is said.
pub const CHECKPOINT_EVERY: usize = 50;

/// Whether denoised expression is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Denoise {
    /// Where all layers together take no more than [`super::denoised::AUTO_BYTES`].
    #[default]
    Auto,
    /// Whatever the size.
    Always,
    /// Not at all.
    Never,
}

/// A run of SpaMI.
#[derive(Clone, Debug, PartialEq)]
pub struct SpamiRequest {
    /// Modalities to integrate, in this order; all of the file when absent.
    pub modalities: Option<Vec<String>>,
    /// What a modality measures, where the guess from names is wrong.
    pub kinds: IndexMap<String, Modality>,
    /// How counts become features; SpaMI's own defaults where nothing is said.
    pub features: FeatureRequest,
    /// `obsm` embeddings to use instead of the counts, by modality.
    pub use_rep: IndexMap<String, String>,
    /// `obsm` key of the coordinates.
    pub spatial_key: String,
    /// `obs` column that names the slice.
    pub library_key: Option<String>,
    /// The paper's setting the options start from: says which weight belongs to which kind.
    pub preset: SpamiPreset,
    /// The network and its training. The weights by modality come from the two fields below.
    pub options: SpamiOptions,
    /// `λ_con` by modality; the preset's where nothing is said.
    pub contrast_weight: PerLayer<f64>,
    /// `λ_rec` by modality; the preset's where nothing is said.
    pub reconstruction_weight: PerLayer<f64>,
    /// Bring the features of all modalities to one scale; by default with [`SpamiPreset::Default`] alone, since the
    /// weights of the other presets are made for features as they are.
    pub balance: Option<bool>,
    /// How the embedding is clustered.
    pub cluster: EmbeddingMethod,
    /// Write denoised expression.
    pub denoise: Denoise,
    /// Lay the embedding out in the plane (`obsm["X_key_umap"]`).
    pub umap: bool,
    /// Write the embedding of each modality too.
    pub modality_embeddings: bool,
    /// Where the trained network goes.
    pub save_model: Option<PathBuf>,
    /// A network trained before, applied instead of training.
    pub load_model: Option<PathBuf>,
    /// Checkpoints.
    pub checkpoint: Option<CheckpointRequest>,
    /// `obs` column of the known domains.
    pub truth: Option<String>,
    /// Name of the result: `obs[key]`, `uns[key]`, `obsm["X_key"]`, `obsm["key_attention"]`, `layers["key_denoised"]`.
    pub key_added: String,
}

impl Default for SpamiRequest {
    fn default() -> Self {
        Self {
            modalities: None,
            kinds: IndexMap::new(),
            features: FeatureRequest::default(),
            use_rep: IndexMap::new(),
            spatial_key: keys::SPATIAL.to_owned(),
            library_key: None,
            preset: SpamiPreset::Default,
            options: SpamiOptions::default(),
            contrast_weight: PerLayer::default(),
            reconstruction_weight: PerLayer::default(),
            balance: None,
            cluster: EmbeddingMethod::Leiden {
                n_clusters: None,
                resolution: 1.0,
                n_neighbors: CLUSTER_NEIGHBORS,
            },
            denoise: Denoise::Auto,
            umap: false,
            modality_embeddings: false,
            save_model: None,
            load_model: None,
            checkpoint: None,
            truth: None,
            key_added: keys::SPAMI.to_owned(),
        }
    }
}

impl SpamiRequest {
    /// The options of the network for these modalities, checked, in the words of the command line.
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
                return Err(PipelineError::Option {
                    option,
                    found: format!("not given for {} ({})", names[m], kinds[m]),
                    expected: "a weight for each modality that the preset does not know",
                });
            }
            let fallback = |name: &str| names.iter().position(|n| n == name).and_then(known).unwrap_or(1.0);
            given.resolve(names, option, fallback)
        };
        let mut options = self.options.clone();
        options.contrast_weights =
            weights("--contrast-weight", &self.contrast_weight, &preset.contrast_weights)?;
        options.reconstruction_weights =
            weights("--reconstruction-weight", &self.reconstruction_weight, &preset.reconstruction_weights)?;
        options.validate(names.len()).map_err(in_flags)?;
        Ok(options)
    }

    /// Whether features are brought to one scale.
    pub fn balances(&self) -> bool {
        self.balance.unwrap_or(self.preset == SpamiPreset::Default)
    }

    /// Checks what needs no file but the number of spots.
    pub(super) fn check(&self, n_obs: usize) -> Result<(), PipelineError> {
        self.cluster.check(n_obs)?;
        if self.load_model.is_none() && self.options.n_neighbors >= n_obs {
            return Err(PipelineError::Option {
                option: "--n-neighbors",
                found: format!("{} for {n_obs} spots", self.options.n_neighbors),
                expected: "fewer neighbours than spots",
            });
        }
        if self.load_model.is_some() && self.save_model.is_some() {
            return Err(PipelineError::Option {
                option: "--save-model",
                found: "given together with --load-model".to_owned(),
                expected: "a training (a loaded model is a file already)",
            });
        }
        self.checkpoint.as_ref().map_or(Ok(()), CheckpointRequest::check)
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

/// An option of the network under the name of its flag.
pub(super) fn in_flags(error: SpamiError) -> PipelineError {
    let flag = |option| match option {
        "learning_rate" => Some("--lr"),
        "epochs" => Some("--epochs"),
        "n_neighbors" => Some("--n-neighbors"),
        "hidden" => Some("--hidden"),
        "latent" => Some("--latent"),
        "dropout" => Some("--dropout"),
        "contrast_weights" => Some("--contrast-weight"),
        "reconstruction_weights" => Some("--reconstruction-weight"),
        "cosine_weight" => Some("--cosine-weight"),
        "weight_decay" => Some("--weight-decay"),
        "patience" => Some("--early-stopping"),
        _ => None,
    };
    match error {
        SpamiError::Option { option, value, expected, hint } => match flag(option) {
            Some(option) => PipelineError::Option { option, found: value, expected },
            None => SpamiError::Option { option, value, expected, hint }.into(),
        },
        SpamiError::CheckpointBeyondEnd { found, .. } => PipelineError::Option {
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

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn weights_of_a_preset_follow_the_kind_not_the_order() {
        let request = SpamiRequest {
            preset: SpamiPreset::AtacRnaBrain,
            options: SpamiOptions::preset(SpamiPreset::AtacRnaBrain),
            ..SpamiRequest::default()
        };
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
        assert!(error.contains("adt") && error.contains("--reconstruction-weight"), "{error}");
    }

    #[test]
    fn named_weights_come_before_the_preset() {
        let mut request = SpamiRequest::default();
        request.contrast_weight.named.insert("adt".to_owned(), 5.0);
        let kinds = [Modality::Rna, Modality::Adt, Modality::Atac];
        let options = request.options_for(&names(&["rna", "adt", "atac"]), &kinds).expect("valid");
        assert_eq!(options.contrast_weights, [1.0, 5.0, 1.0]);
        assert_eq!(options.reconstruction_weights, [10.0, 10.0, 10.0]);
        request.contrast_weight.named.insert("protein".to_owned(), 5.0);
        assert!(request.options_for(&names(&["rna", "adt", "atac"]), &kinds).is_err());
        let negative = SpamiRequest {
            reconstruction_weight: PerLayer { default: Some(-1.0), ..PerLayer::default() },
            ..SpamiRequest::default()
        };
        let error = negative.options_for(&names(&["rna"]), &kinds[..1]).expect_err("negative").to_string();
        assert!(error.contains("--reconstruction-weight") && error.contains("-1"), "{error}");
    }
}
