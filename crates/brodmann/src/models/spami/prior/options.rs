//! How much a reference counts, and what it may say.

use brodmann_kernels::OptionError;
use serde::{Deserialize, Serialize};

/// How a labelled reference guides training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PriorOptions {
    /// `λ_mnn`: weight of the term that draws anchored spots to the reference.
    pub prior_weight: f64,
    /// `λ_label`: weight of the cross-entropy of the labels.
    pub prior_label_weight: f64,
    /// Nearest of the other side that are looked at for mutual neighbours.
    pub prior_anchors: usize,
    /// Epochs after which anchors are looked for again.
    pub prior_every: usize,
    /// A spot whose confidence is below this gets no label.
    pub prior_confidence: f64,
}

impl Default for PriorOptions {
    fn default() -> Self {
        Self {
            prior_weight: 20.0,
            prior_label_weight: 1.0,
            prior_anchors: 20,
            prior_every: 50,
            prior_confidence: 0.5,
        }
    }
}

impl PriorOptions {
    /// Checks every option, before any work.
    ///
    /// # Errors
    /// [`OptionError`].
    pub fn validate(&self) -> Result<(), OptionError> {
        for (option, value) in
            [("prior_weight", self.prior_weight), ("prior_label_weight", self.prior_label_weight)]
        {
            if !(value.is_finite() && value >= 0.0) {
                return Err(OptionError::new(option, value, "a finite number, not negative"));
            }
        }
        for (option, value) in [("prior_anchors", self.prior_anchors), ("prior_every", self.prior_every)] {
            if value == 0 {
                return Err(OptionError::new(option, 0, "a positive number"));
            }
        }
        if !(0.0..=1.0).contains(&self.prior_confidence) {
            return Err(OptionError::new("prior_confidence", self.prior_confidence, "a share from 0 to 1"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_out_of_range_are_refused_by_name() {
        PriorOptions::default().validate().expect("the defaults are sound");
        let plain = PriorOptions::default;
        for (broken, name) in [
            (PriorOptions { prior_weight: -1.0, ..plain() }, "prior_weight"),
            (PriorOptions { prior_label_weight: f64::NAN, ..plain() }, "prior_label_weight"),
            (PriorOptions { prior_anchors: 0, ..plain() }, "prior_anchors"),
            (PriorOptions { prior_every: 0, ..plain() }, "prior_every"),
            (PriorOptions { prior_confidence: 1.5, ..plain() }, "prior_confidence"),
        ] {
            let error = broken.validate().expect_err("out of range").to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
