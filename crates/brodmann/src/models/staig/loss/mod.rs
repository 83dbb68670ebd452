//! The neighbour-contrastive loss: are two views of a spot, and of its neighbours, closer than all other spots?
//!
//! For rows `u` of the first view and `v` of the second, of unit length, and `f(x) = exp(x/τ)`, with anchor `uᵢ`
//!
//! ```text
//! ℓᵢ = −log [ (f(uᵢ·vᵢ) + Σ_{j∈Nᵢ} f(uᵢ·uⱼ) + Σ_{j∈Nᵢ} f(uᵢ·vⱼ)) / denominatorᵢ / (2|Nᵢ| + 1) ]
//! denominatorᵢ = Σ_{j≠i} f(uᵢ·uⱼ) + Σⱼ f(uᵢ·vⱼ)
//! ```
//!
//! mirrored for anchor `vᵢ`, averaged over spots and views. Sums over `j` stay in the slice of `i`. With image classes
//! (the debiased form) spots of the class of `i` are no negatives: they leave the denominator, unless they are
//! positives.
//!
//! Set below each other, the rows of both views make one matrix with one symmetric similarity, and the denominator is
//! that matrix's row sum without the row itself: everything here works on this stack. All terms carry a factor
//! `exp(−1/τ)`, which cancels.
//!
//! * [`pairs`]: the stack: order of the rows, slices, classes, neighbours.
//! * `positives`: sums over neighbours, and their gradient.
//! * exact negatives: [`brodmann_kernels::similarity`], O(N²·d) time, O(N·d) memory.
//! * [`moments`]: negatives in linear time from a polynomial of the exponential.
//! * [`ContrastLoss`]: both put together, value and gradient.

mod contrast;
pub mod moments;
pub mod pairs;
mod positives;

use brodmann_kernels::OptionError;
pub use contrast::{ContrastLoss, ContrastValue};
pub use pairs::ContrastPairs;

use serde::{Deserialize, Serialize};

use super::error::StaigError;

/// How the sums over all other spots are formed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Negatives {
    /// Every pair: O(N²·d) time, O(N·d) memory.
    Exact,
    /// A polynomial in place of the exponential: O(N·d²) time. Good for τ ≥ 1.
    Moments,
    /// `Exact` for τ below 1 or while the pairs are few (about one slice of 5,000 spots), `Moments` otherwise.
    #[default]
    Auto,
}

impl Negatives {
    /// The name by which it is chosen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Moments => "moments",
            Self::Auto => "auto",
        }
    }
}

/// Below this temperature the polynomial is too coarse: on clustered embeddings of real tissue its part of the gradient
/// is 2e-2 off at 1, 5e-2 at 0.5.
const MOMENTS_MIN_TAU: f64 = 1.0;
/// Pairs of spots (Σ n² over slices) up to which `auto` computes each: a fraction of a second of one core.
const EXACT_MAX_PAIRS: f64 = 25e6;

/// Options of [`ContrastLoss`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ContrastOptions {
    /// Temperature τ: the larger, the more alike all negatives weigh.
    pub tau: f64,
    /// How the negatives are summed.
    pub negatives: Negatives,
    /// With image classes: the denominator of the released code, which leaves out positives of the same class and
    /// subtracts `f(1)` though it was never added.
    pub released_denominator: bool,
}

impl Default for ContrastOptions {
    fn default() -> Self {
        Self { tau: 10.0, negatives: Negatives::Auto, released_denominator: false }
    }
}

impl ContrastOptions {
    /// # Errors
    /// `Option` naming the first option out of range.
    pub fn validate(&self) -> Result<(), StaigError> {
        if self.tau.is_finite() && self.tau >= 0.01 {
            return Ok(());
        }
        Err(OptionError::new("tau", self.tau, "a number of at least 0.01").into())
    }

    /// The way `Auto` chooses for these pairs.
    pub fn resolve(&self, pairs: &ContrastPairs) -> Negatives {
        self.resolve_for(pairs.n_pairs())
    }

    /// The way `Auto` chooses for so many pairs of spots (Σ n² over slices).
    pub fn resolve_for(&self, n_pairs: f64) -> Negatives {
        match self.negatives {
            Negatives::Auto if self.tau < MOMENTS_MIN_TAU || n_pairs <= EXACT_MAX_PAIRS => Negatives::Exact,
            Negatives::Auto => Negatives::Moments,
            chosen => chosen,
        }
    }
}

#[cfg(test)]
mod tests;
