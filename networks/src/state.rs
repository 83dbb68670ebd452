//! Named arrays: what a network consists of, under the names PyTorch gives them.

use std::collections::BTreeMap;

use ndarray::ArrayD;

/// Arrays by name, in the order of their names.
pub type StateDict = BTreeMap<String, ArrayD<f32>>;

/// What one array of a network is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Weights of a convolution or of a linear layer.
    Weight,
    /// What a linear layer adds.
    Bias,
    /// Scale of a normalised channel.
    Scale,
    /// What is added to a normalised channel.
    Shift,
    /// Running mean of a channel: not trained.
    RunningMean,
    /// Running variance of a channel: not trained.
    RunningVariance,
}

impl Role {
    /// Whether it has a gradient.
    pub fn is_trained(self) -> bool {
        !matches!(self, Self::RunningMean | Self::RunningVariance)
    }
}

/// One array of a network: its name, its shape and what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// As PyTorch calls it: `layer1.0.conv2.weight`.
    pub name: String,
    /// As PyTorch has it: weights are (out, in, …).
    pub shape: Vec<usize>,
    /// What it is for.
    pub role: Role,
}

impl Slot {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it holds no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Adds the arrays of a batch normalisation of `channels`.
pub(crate) fn push_norm(slots: &mut Vec<Slot>, prefix: &str, channels: usize) {
    for (suffix, role) in [
        ("weight", Role::Scale),
        ("bias", Role::Shift),
        ("running_mean", Role::RunningMean),
        ("running_var", Role::RunningVariance),
    ] {
        slots.push(Slot { name: format!("{prefix}.{suffix}"), shape: vec![channels], role });
    }
}
