//! How STAIG is built and trained, with the released settings per platform.

use brodmann_kernels::OptionError;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::augment::graph_view::MAX_RESAMPLES;
use super::error::StaigError;
use super::loss::{ContrastOptions, Negatives};

/// The released settings per kind of data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", try_from = "String")]
pub enum StaigPreset {
    /// The paper's text: anything without settings of its own.
    #[default]
    Default,
    /// Visium without its image (DLPFC 151673).
    Visium,
    /// Visium with its image (DLPFC 151673): image-driven edges and image classes.
    VisiumImage,
    /// STARmap: a small panel of raw counts.
    Starmap,
    /// MERFISH.
    Merfish,
    /// Slide-seqV2.
    SlideSeq,
    /// Stereo-seq: no settings were released, these are those of Slide-seqV2, the nearest in kind.
    StereoSeq,
    /// Several slices together; the middle of the released settings, which differ per data set.
    Integration,
    /// Breast cancer (Visium).
    BreastCancer,
}

impl StaigPreset {
    /// Every preset.
    pub const ALL: [Self; 9] = [
        Self::Default,
        Self::Visium,
        Self::VisiumImage,
        Self::Starmap,
        Self::Merfish,
        Self::SlideSeq,
        Self::StereoSeq,
        Self::Integration,
        Self::BreastCancer,
    ];

    /// The name by which it is chosen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Visium => "visium",
            Self::VisiumImage => "visium_image",
            Self::Starmap => "starmap",
            Self::Merfish => "merfish",
            Self::SlideSeq => "slide_seq",
            Self::StereoSeq => "stereo_seq",
            Self::Integration => "integration",
            Self::BreastCancer => "breast_cancer",
        }
    }

    /// Small targeted panels are given to the network as counts; whole transcriptomes are normalised first.
    pub const fn normalizes(self) -> bool {
        !matches!(self, Self::Starmap | Self::Merfish)
    }
}

impl FromStr for StaigPreset {
    type Err = StaigError;

    /// By name, with `-` read as `_`: on a command line both are natural.
    fn from_str(text: &str) -> Result<Self, StaigError> {
        let name = text.replace('-', "_");
        Self::ALL.into_iter().find(|p| p.name() == name).ok_or_else(|| {
            let choices = "one of default, visium, visium_image, starmap, merfish, slide_seq, stereo_seq, \
                           integration, breast_cancer";
            OptionError::new("preset", text, choices).into()
        })
    }
}

impl TryFrom<String> for StaigPreset {
    type Error = StaigError;

    fn try_from(text: String) -> Result<Self, StaigError> {
        text.parse()
    }
}

/// Where the probabilities of dropping edges come from. The network takes them as given; who makes them reads this.
/// As JSON: `{"fixed": 0.2}`, `"expression"` or `"image"`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeRule {
    /// One probability for all edges.
    Fixed(f64),
    /// Cosine distance of the spots' expression in 64 principal components.
    Expression,
    /// Distance of the spots' image features.
    Image,
}

impl EdgeRule {
    /// Its name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fixed(_) => "fixed",
            Self::Expression => "expression",
            Self::Image => "image",
        }
    }
}

/// How STAIG is built and trained. As JSON, options left out have the values of [`StaigPreset::Default`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StaigOptions {
    /// Step of Adam.
    pub learning_rate: f64,
    /// L2 penalty, added to the gradient.
    pub weight_decay: f64,
    /// Full passes.
    pub epochs: usize,
    /// Spatial neighbours of a spot. The network takes the graph as given; who builds it reads this.
    pub n_neighbors: usize,
    /// Graph convolutions: 1 or 2. With 2 the first is twice as wide.
    pub layers: usize,
    /// Width of an embedding.
    pub width: usize,
    /// Temperature τ.
    pub tau: f64,
    /// How the negatives are summed.
    pub negatives: Negatives,
    /// The denominator of the released code, for comparison; see [`ContrastOptions`].
    pub released_denominator: bool,
    /// Share of features missing in view 1 and view 2.
    pub feature_mask: [f64; 2],
    /// Where the probabilities of dropping edges come from.
    pub edge_rule: EdgeRule,
    /// Graphs drawn per view, of which at least half must hold an edge; 1 to 10.
    pub resamples: usize,
    /// Classes of image features whose spots are no negatives of each other; 0 for none. The network takes the classes
    /// as given; who makes them reads this.
    pub image_classes: usize,
    /// Output the mean over two augmented views (the paper's text) instead of the un-augmented graph's (its code).
    pub average_views: bool,
}

impl Default for StaigOptions {
    fn default() -> Self {
        Self::preset(StaigPreset::Default)
    }
}

impl StaigOptions {
    /// The settings for a kind of data.
    pub fn preset(preset: StaigPreset) -> Self {
        let base = Self {
            learning_rate: 5e-4,
            weight_decay: 1e-5,
            epochs: 400,
            n_neighbors: 5,
            layers: 1,
            width: 64,
            tau: 10.0,
            negatives: Negatives::Auto,
            released_denominator: false,
            feature_mask: [0.1, 0.2],
            edge_rule: EdgeRule::Expression,
            resamples: 1,
            image_classes: 0,
            average_views: false,
        };
        match preset {
            StaigPreset::Default => base,
            StaigPreset::Visium => Self { tau: 34.0, epochs: 340, feature_mask: [0.2, 0.2], ..base },
            StaigPreset::VisiumImage => {
                Self { tau: 35.0, epochs: 300, edge_rule: EdgeRule::Image, image_classes: 80, ..base }
            }
            StaigPreset::Starmap => {
                Self { tau: 2.0, epochs: 500, layers: 2, feature_mask: [0.01, 0.02], ..base }
            }
            StaigPreset::Merfish => Self { tau: 1.0, layers: 2, n_neighbors: 8, ..base },
            StaigPreset::SlideSeq | StaigPreset::StereoSeq => {
                Self { tau: 22.0, epochs: 310, layers: 2, ..base }
            }
            StaigPreset::Integration => Self { tau: 20.0, epochs: 300, ..base },
            StaigPreset::BreastCancer => Self { tau: 3.0, epochs: 580, layers: 2, ..base },
        }
    }

    /// Checks every option, before any work.
    ///
    /// # Errors
    /// `Option`, naming the first one out of range.
    pub fn validate(&self) -> Result<(), StaigError> {
        let fail = |name: &'static str, found: String, expected: &str| {
            Err(OptionError::new(name, found, expected).into())
        };
        if !(self.learning_rate > 0.0 && self.learning_rate <= 1.0) {
            return fail("learning_rate", self.learning_rate.to_string(), "a number in (0, 1]");
        }
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return fail("weight_decay", self.weight_decay.to_string(), "a finite number of at least 0");
        }
        for (name, value) in [("epochs", self.epochs), ("n_neighbors", self.n_neighbors)] {
            if value == 0 {
                return fail(name, "0".to_owned(), "a positive number");
            }
        }
        if !(1..=2).contains(&self.layers) {
            return fail("layers", self.layers.to_string(), "1 or 2");
        }
        if !(1..=4096).contains(&self.width) {
            return fail("width", self.width.to_string(), "1 to 4096");
        }
        if !(1..=MAX_RESAMPLES).contains(&self.resamples) {
            return fail("resamples", self.resamples.to_string(), "1 to 10");
        }
        if let Some(rate) = self.feature_mask.iter().find(|r| !(0.0..1.0).contains(*r)) {
            return fail("feature_mask", rate.to_string(), "two shares in [0, 1)");
        }
        match self.edge_rule {
            EdgeRule::Fixed(p) if !(0.0..=1.0).contains(&p) => {
                return fail("edge_rule", p.to_string(), "a probability from 0 to 1");
            }
            _ => {}
        }
        self.contrast().validate()
    }

    /// The options of the loss.
    pub(super) fn contrast(&self) -> ContrastOptions {
        ContrastOptions {
            tau: self.tau,
            negatives: self.negatives,
            released_denominator: self.released_denominator,
        }
    }

    /// Width of each graph convolution's output.
    pub(super) fn layer_widths(&self) -> Vec<usize> {
        if self.layers == 2 { vec![2 * self.width, self.width] } else { vec![self.width] }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn options_read_back_from_json_as_they_were() {
        let rules = [EdgeRule::Fixed(0.1 + 0.2), EdgeRule::Expression, EdgeRule::Image];
        for (edge_rule, written) in
            rules.into_iter().zip([json!({ "fixed": 0.1 + 0.2 }), json!("expression"), json!("image")])
        {
            for negatives in [Negatives::Auto, Negatives::Exact, Negatives::Moments] {
                let options =
                    StaigOptions { negatives, edge_rule, ..StaigOptions::preset(StaigPreset::Merfish) };
                let text = serde_json::to_string(&options).expect("plain numbers");
                assert_eq!(serde_json::from_str::<StaigOptions>(&text).expect("as written"), options);
                assert_eq!(json!(options)["edge_rule"], written);
            }
        }
    }

    #[test]
    fn options_left_out_are_the_defaults_and_unknown_ones_are_refused() {
        let read = |value| serde_json::from_value::<StaigOptions>(value);
        let expected = StaigOptions { tau: 3.0, negatives: Negatives::Exact, ..StaigOptions::default() };
        assert_eq!(read(json!({ "tau": 3.0, "negatives": "exact" })).expect("known options"), expected);
        let error = read(json!({ "fusion": "mean" })).expect_err("an option of another method").to_string();
        assert!(error.contains("unknown field `fusion`"), "{error}");
        assert!(read(json!({ "edge_rule": "distance" })).is_err());
    }

    #[test]
    fn a_preset_has_one_spelling_and_reads_two() {
        for preset in StaigPreset::ALL {
            assert_eq!(json!(preset), json!(preset.name()));
            for text in [preset.name().to_owned(), preset.name().replace('_', "-")] {
                assert_eq!(text.parse(), Ok(preset));
                assert_eq!(serde_json::from_value::<StaigPreset>(json!(text)).expect("a name"), preset);
            }
        }
        assert!("brain".parse::<StaigPreset>().is_err());
    }
}
