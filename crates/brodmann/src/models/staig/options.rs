//! How STAIG is built and trained, with the released settings per platform.

use std::str::FromStr;

use super::augment::graph_view::MAX_RESAMPLES;
use super::error::StaigError;
use super::loss::{ContrastOptions, Negatives};

/// The released settings per kind of data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
            Self::VisiumImage => "visium-image",
            Self::Starmap => "starmap",
            Self::Merfish => "merfish",
            Self::SlideSeq => "slide-seq",
            Self::StereoSeq => "stereo-seq",
            Self::Integration => "integration",
            Self::BreastCancer => "breast-cancer",
        }
    }

    /// Small targeted panels are given to the network as counts; whole transcriptomes are normalised first.
    pub const fn normalizes(self) -> bool {
        !matches!(self, Self::Starmap | Self::Merfish)
    }
}

impl FromStr for StaigPreset {
    type Err = StaigError;

    fn from_str(text: &str) -> Result<Self, StaigError> {
        Self::ALL.into_iter().find(|p| p.name() == text).ok_or_else(|| StaigError::UnknownName {
            what: "preset of STAIG",
            found: text.to_owned(),
            choices: "default, visium, visium-image, starmap, merfish, slide-seq, stereo-seq, integration, \
                      breast-cancer",
        })
    }
}

/// Where the probabilities of dropping edges come from. The network takes them as given; who makes them reads this.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EdgeRule {
    /// One probability for all edges.
    Fixed(f64),
    /// Cosine distance of the spots' expression in 64 principal components.
    Expression,
    /// Distance of the spots' image features.
    Image,
}

/// How STAIG is built and trained.
#[derive(Clone, Debug, PartialEq)]
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
    /// `InvalidOption`, naming the first one out of range.
    pub fn validate(&self) -> Result<(), StaigError> {
        let fail = |name, found: String, expected| Err(StaigError::InvalidOption { name, found, expected });
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
