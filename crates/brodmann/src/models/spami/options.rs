//! Weights, rates and ablations of SpaMI, with the paper's presets.

use brodmann_kernels::{Opt, OptionError};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::SpamiError;
use crate::nn::EarlyStopping;

/// The paper's settings per kind of data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", try_from = "String")]
pub enum SpamiPreset {
    /// Simulated tissues, and anything else.
    #[default]
    Default,
    /// MISAR-seq: peaks and RNA, E15.5 mouse brain.
    Misar,
    /// Spatial ATAC–RNA-seq: peaks and RNA, P22 mouse brain.
    AtacRnaBrain,
    /// Stereo-CITE-seq: RNA and proteins, mouse thymus.
    StereoCite,
}

impl SpamiPreset {
    /// Every preset.
    pub const ALL: [Self; 4] = [Self::Default, Self::Misar, Self::AtacRnaBrain, Self::StereoCite];

    /// The name by which it is chosen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Misar => "misar",
            Self::AtacRnaBrain => "atac_rna_brain",
            Self::StereoCite => "stereo_cite",
        }
    }
}

impl FromStr for SpamiPreset {
    type Err = SpamiError;

    /// By name, with `-` read as `_`: on a command line both are natural.
    fn from_str(text: &str) -> Result<Self, SpamiError> {
        let name = text.replace('-', "_");
        Self::ALL.into_iter().find(|p| p.name() == name).ok_or_else(|| {
            OptionError::new("preset", text, "one of default, misar, atac_rna_brain, stereo_cite").into()
        })
    }
}

impl TryFrom<String> for SpamiPreset {
    type Error = SpamiError;

    fn try_from(text: String) -> Result<Self, SpamiError> {
        text.parse()
    }
}

/// How the embeddings of the modalities become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fusion {
    /// The sum weighted by attention, spot by spot.
    #[default]
    Attention,
    /// Side by side: `M · latent` wide.
    Concat,
    /// The plain mean.
    Mean,
}

impl Fusion {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Attention, Self::Concat, Self::Mean];

    /// The name by which it is chosen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attention => "attention",
            Self::Concat => "concat",
            Self::Mean => "mean",
        }
    }
}

impl FromStr for Fusion {
    type Err = SpamiError;

    fn from_str(text: &str) -> Result<Self, SpamiError> {
        Self::ALL
            .into_iter()
            .find(|f| f.name() == text)
            .ok_or_else(|| OptionError::new("fusion", text, "one of attention, concat, mean").into())
    }
}

/// How SpaMI is built and trained. As JSON, options left out have the values of [`SpamiPreset::Default`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpamiOptions {
    /// Step of Adam.
    pub learning_rate: f64,
    /// Full passes.
    pub epochs: usize,
    /// Spatial neighbours of a spot. The network takes the graph as given; who builds it reads this.
    pub n_neighbors: usize,
    /// Width between the two layers of an encoder or decoder.
    pub hidden: usize,
    /// Width of an embedding.
    pub latent: usize,
    /// Share of inputs of encoders and decoders set to zero in training.
    pub dropout: f64,
    /// `λ_con`: one per modality, or one for all.
    pub contrast_weights: Vec<f64>,
    /// `λ_rec`: one per modality, or one for all.
    pub reconstruction_weights: Vec<f64>,
    /// `λ_cos`.
    pub cosine_weight: f64,
    /// L2 penalty, added to the gradient.
    pub weight_decay: f64,
    /// Whether the contrastive terms take part.
    pub contrast: bool,
    /// Whether the cosine term takes part.
    pub cosine: bool,
    /// How the modalities become one.
    pub fusion: Fusion,
    /// Ends training early; off by default.
    pub early_stopping: Option<EarlyStopping>,
}

impl Default for SpamiOptions {
    fn default() -> Self {
        Self::preset(SpamiPreset::Default)
    }
}

impl SpamiOptions {
    /// The paper's settings for a kind of data; the default trains for 100 epochs instead of its 1000, which fit what is of
    /// one spot alone (docs/methods.md, 4.2). Presets that weight two modalities differently hold two weights in
    /// the paper's order (misar and atac_rna_brain: peaks, RNA; stereo_cite: RNA, proteins); they fit exactly two.
    pub fn preset(preset: SpamiPreset) -> Self {
        let (learning_rate, epochs, n_neighbors, contrast, reconstruction, cosine_weight) = match preset {
            SpamiPreset::Default => (1e-3, 100, 3, vec![1.0], vec![10.0], 5.0),
            SpamiPreset::Misar => (1e-2, 800, 3, vec![1.0], vec![10.0, 15.0], 3.0),
            SpamiPreset::AtacRnaBrain => (1e-3, 400, 6, vec![1.0], vec![10.0, 15.0], 5.0),
            SpamiPreset::StereoCite => (1e-4, 600, 3, vec![1.0, 5.0], vec![10.0, 25.0], 1.0),
        };
        Self {
            learning_rate,
            epochs,
            n_neighbors,
            hidden: 256,
            latent: 64,
            dropout: 0.15,
            contrast_weights: contrast,
            reconstruction_weights: reconstruction,
            cosine_weight,
            weight_decay: 0.0,
            contrast: true,
            cosine: true,
            fusion: Fusion::Attention,
            early_stopping: None,
        }
    }

    /// Checks every option for `modalities` modalities, before any work.
    ///
    /// # Errors
    /// [`SpamiError::Option`] and [`SpamiError::WeightCount`].
    pub fn validate(&self, modalities: usize) -> Result<(), SpamiError> {
        if modalities == 0 {
            return Err(SpamiError::NoModalities);
        }
        let fail = |option: &'static str, value: String, expected: &str, hint: &str| {
            Err(OptionError::new(option, value, expected).advise(hint).into())
        };
        if !(self.learning_rate > 0.0 && self.learning_rate <= 1.0) {
            return fail(
                "learning_rate",
                self.learning_rate.to_string(),
                "a number in (0, 1]",
                "start from 1e-3, which suits most data",
            );
        }
        for (option, value) in [
            ("epochs", self.epochs),
            ("n_neighbors", self.n_neighbors),
            ("hidden", self.hidden),
            ("latent", self.latent),
        ] {
            if value == 0 {
                return fail(
                    option,
                    "0".to_owned(),
                    "a positive number",
                    "leave it out for the preset's value",
                );
            }
        }
        for (option, value) in [("hidden", self.hidden), ("latent", self.latent)] {
            if value > 65_536 {
                return fail(
                    option,
                    value.to_string(),
                    "at most 65536",
                    "start from 256 and 64, the paper's widths",
                );
            }
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return fail(
                "dropout",
                self.dropout.to_string(),
                "a share in [0, 1)",
                "start from 0.15, the paper's value",
            );
        }
        for (option, weights) in [
            ("contrast_weights", &self.contrast_weights),
            ("reconstruction_weights", &self.reconstruction_weights),
        ] {
            if weights.len() != 1 && weights.len() != modalities {
                return Err(SpamiError::WeightCount {
                    option: Opt(option),
                    found: weights.len(),
                    modalities,
                });
            }
            if let Some(bad) = weights.iter().find(|w| !(w.is_finite() && **w >= 0.0)) {
                return fail(
                    option,
                    bad.to_string(),
                    "finite numbers, not negative",
                    "give 0 to leave the term out",
                );
            }
        }
        for (option, value) in [("cosine_weight", self.cosine_weight), ("weight_decay", self.weight_decay)] {
            if !(value.is_finite() && value >= 0.0) {
                return fail(
                    option,
                    value.to_string(),
                    "a finite number, not negative",
                    "give 0 to leave it out",
                );
            }
        }
        if let Some(stop) = self.early_stopping {
            if stop.patience == 0 {
                return fail("patience", "0".to_owned(), "a positive number", "start from 50 epochs");
            }
            if !(stop.min_delta.is_finite() && stop.min_delta >= 0.0) {
                return fail(
                    "min_delta",
                    stop.min_delta.to_string(),
                    "a finite number, not negative",
                    "try 1e-4",
                );
            }
        }
        let learns = self.reconstruction_weights.iter().any(|w| *w > 0.0)
            || (self.contrast && self.contrast_weights.iter().any(|w| *w > 0.0))
            || (self.cosine && modalities > 1 && self.cosine_weight > 0.0);
        if !learns {
            return fail(
                "reconstruction_weights",
                "0".to_owned(),
                "at least one term with a weight",
                "leave one of contrast, reconstruction and cosine in",
            );
        }
        Ok(())
    }

    /// `λ_con` of a modality: 0 where the contrast is left out.
    pub(super) fn contrast_weight(&self, modality: usize) -> f64 {
        if self.contrast { one_or_each(&self.contrast_weights, modality) } else { 0.0 }
    }

    /// `λ_rec` of a modality.
    pub(super) fn reconstruction_weight(&self, modality: usize) -> f64 {
        one_or_each(&self.reconstruction_weights, modality)
    }

    /// Width of the fused embedding.
    pub fn embedding_width(&self, modalities: usize) -> usize {
        match self.fusion {
            Fusion::Concat => self.latent * modalities,
            Fusion::Attention | Fusion::Mean => self.latent,
        }
    }
}

fn one_or_each(weights: &[f64], modality: usize) -> f64 {
    weights.get(if weights.len() == 1 { 0 } else { modality }).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn options_read_back_from_json_as_they_were() {
        for preset in SpamiPreset::ALL {
            let stop = EarlyStopping { patience: 7, min_delta: 1e-4 };
            let options = SpamiOptions {
                fusion: Fusion::Mean,
                early_stopping: Some(stop),
                learning_rate: 0.1 + 0.2,
                ..SpamiOptions::preset(preset)
            };
            let text = serde_json::to_string(&options).expect("plain numbers");
            assert_eq!(serde_json::from_str::<SpamiOptions>(&text).expect("as written"), options);
        }
    }

    #[test]
    fn options_left_out_are_the_defaults_and_unknown_ones_are_refused() {
        let read = |value| serde_json::from_value::<SpamiOptions>(value);
        let expected = SpamiOptions { fusion: Fusion::Concat, latent: 8, ..SpamiOptions::default() };
        assert_eq!(read(json!({ "fusion": "concat", "latent": 8 })).expect("known options"), expected);
        let error = read(json!({ "width": 8 })).expect_err("an option of another method").to_string();
        assert!(error.contains("unknown field `width`"), "{error}");
        assert!(read(json!({ "early_stopping": { "epochs": 3 } })).is_err());
    }

    #[test]
    fn a_preset_has_one_spelling_and_reads_two() {
        for preset in SpamiPreset::ALL {
            assert_eq!(json!(preset), json!(preset.name()));
            for text in [preset.name().to_owned(), preset.name().replace('_', "-")] {
                assert_eq!(text.parse(), Ok(preset));
                assert_eq!(serde_json::from_value::<SpamiPreset>(json!(text)).expect("a name"), preset);
            }
        }
        assert!("brain".parse::<SpamiPreset>().is_err());
    }
}
