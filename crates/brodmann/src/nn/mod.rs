//! How does a network over a graph learn?
//!
//! A small reverse-mode engine made for graphs: row-major matrices of `f32` (or `f64`, for checks), sparse products,
//! skinny dense products, and the layers and losses of the models, nothing else. A network is written once with a
//! [`TapeBuilder`]; [`TapeBuilder::build`] fixes the order of work and the memory, and every [`Tape::run`] after that
//! reuses its buffers. Sums run in fixed chunks and fixed order: the same bits on any number of threads.
//!
//! * [`tape`](TapeBuilder): writing a network down, and running it. `plan`: order of work, lifetimes of buffers.
//! * [`op`](Op): what a layer ([`Op`]) and a loss ([`Loss`]) are; others may be supplied from outside.
//! * [`ops`]: the layers and losses, one a file.
//! * [`operator`](SparseOperator): graphs as sparse operators, and their normalisation.
//! * [`parameters`](Parameters), [`init`]: named weights, and how they begin.
//! * [`adam`](Adam): the optimiser.
//! * [`trainer`](Trainer): epochs, each the gradients of a [`Network`] and then a step; what is saved on the way.
//! * [`stop`](Stop): why training ends before its time.
//! * [`mat`](Mat), [`scalar`](Scalar): matrices and their element types.

mod adam;
pub mod init;
pub mod mat;
mod op;
mod operator;
pub mod ops;
mod parameters;
mod plan;
mod scalar;
mod scratch;
mod stop;
mod tape;
mod trainer;

#[cfg(test)]
pub(crate) mod check;
#[cfg(test)]
mod tests;

pub use adam::{Adam, AdamOptions};
pub use mat::Mat;
pub use op::{Backward, Evaluation, Forward, Grad, Loss, Op, Step, Uses};
pub use operator::{SparseOperator, gcn_normalized};
pub use parameters::{Parameter, ParameterId, Parameters};
pub use scalar::{Scalar, sigmoid, softplus};
pub use scratch::ScratchPool;
pub use stop::{StateError, Stop};
pub use tape::{LossId, Node, Tape, TapeBuilder};
pub use trainer::{
    Column, EarlyStopping, Elsewhere, Gradients, Merge, Network, Progress, Schedule, Trainer, TrainingState,
};
