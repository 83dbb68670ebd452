//! Why training ends before its time, and why a saved state is not this network's.

use brodmann_kernels::Interrupted;

/// Why a loss has no value.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Stop {
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// The loss is not a finite number.
    #[error("the loss became {loss}; expected a finite number")]
    Diverged {
        /// The loss.
        loss: f64,
        /// What may help.
        advice: String,
    },
}

/// Why saved numbers are not those of a network.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StateError {
    /// A parameter is missing, or has another shape.
    #[error("the parameter {name:?} has shape {found:?}; expected {expected:?}")]
    Shape {
        /// Name.
        name: String,
        /// Shape found; (0, 0) when it is missing.
        found: (usize, usize),
        /// Shape expected.
        expected: (usize, usize),
    },
    /// A parameter that the network does not have, or a second one of its name.
    #[error("the parameter {name:?} is not one of this network")]
    Unknown {
        /// Name.
        name: String,
    },
    /// More epochs are done than were asked for.
    #[error("the checkpoint holds {found} epochs; expected no more than the {expected} asked for")]
    BeyondEnd {
        /// Epochs done.
        found: usize,
        /// Epochs asked for.
        expected: usize,
    },
}
