//! Which genes are called markers.

use brodmann_kernels::OptionError;
use serde::{Deserialize, Serialize};

use super::GroupMarkers;

/// What a gene must exceed to be called a marker of a group.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// The log2 fold change must be above this.
    pub log2_fold_change: f64,
    /// Count genes that are lower in the group too, by the size of their change.
    pub both_directions: bool,
    /// The p-value must be below this.
    pub p_value: f64,
    /// Judge the Benjamini–Hochberg adjusted p-value.
    pub adjusted: bool,
    /// The share of the group's spots that express the gene must be at least this; of the reference's, for a gene that
    /// is lower in the group.
    pub fraction: f64,
    /// Where slices are known, the change must hold in more than this share of those that can be judged.
    pub slice_share: f64,
}

impl Thresholds {
    /// STAIG: |log2 fold change| > 0.25 and p < 0.05 (Yang et al. 2025).
    pub const STAIG: Self = Self {
        log2_fold_change: 0.25,
        both_directions: true,
        p_value: 0.05,
        adjusted: false,
        fraction: 0.0,
        slice_share: 0.5,
    };
    /// SpaMI: log2 fold change > 0.5 (Gao et al. 2025).
    pub const SPAMI: Self = Self { log2_fold_change: 0.5, ..Self::STAIG };
    /// All presets by name.
    pub const PRESETS: [(&str, Self); 2] = [("staig", Self::STAIG), ("spami", Self::SPAMI)];

    /// The preset of that name.
    pub fn preset(name: &str) -> Option<Self> {
        Self::PRESETS.iter().find(|(preset, _)| *preset == name).map(|(_, thresholds)| *thresholds)
    }

    /// Refuses thresholds that nothing or everything passes.
    ///
    /// # Errors
    /// [`OptionError`].
    pub fn validate(&self) -> Result<(), OptionError> {
        if !(self.log2_fold_change.is_finite() && self.log2_fold_change >= 0.0) {
            let expected = "a number of at least 0";
            return Err(OptionError::new("log2_fold_change", self.log2_fold_change, expected));
        }
        if !(self.p_value > 0.0 && self.p_value <= 1.0) {
            return Err(OptionError::new("p_value", self.p_value, "a number above 0, at most 1"));
        }
        if !(0.0..=1.0).contains(&self.fraction) {
            return Err(OptionError::new("fraction", self.fraction, "a share from 0 to 1"));
        }
        if !(0.0..=1.0).contains(&self.slice_share) {
            return Err(OptionError::new("slice_share", self.slice_share, "a share from 0 to 1"));
        }
        Ok(())
    }
}

/// What is higher in the group, and surely so: log2 fold change above 0.25, adjusted p below 0.05, in most slices.
impl Default for Thresholds {
    fn default() -> Self {
        Self { both_directions: false, adjusted: true, ..Self::STAIG }
    }
}

impl GroupMarkers {
    /// The genes beyond the thresholds, in the order of [`GroupMarkers::order`]. With slices, a group that none can
    /// judge has none.
    pub fn select(&self, thresholds: &Thresholds) -> Vec<u32> {
        let p_values = if thresholds.adjusted { &self.p_adjusted } else { &self.p_value };
        let passes = |gene: usize| {
            let change = self.log2_fold_change[gene];
            let (size, fraction) = if thresholds.both_directions && change < 0.0 {
                (-change, self.fraction_reference[gene])
            } else {
                (change, self.fraction[gene])
            };
            let in_slices = self.slices.as_ref().is_none_or(|slices| {
                f64::from(slices.hold[gene]) > thresholds.slice_share * slices.n_judged as f64
            });
            size > thresholds.log2_fold_change
                && p_values[gene] < thresholds.p_value
                && fraction >= thresholds.fraction
                && in_slices
        };
        let mut genes = self.order();
        genes.retain(|&gene| passes(gene as usize));
        genes
    }
}
