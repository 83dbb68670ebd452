//! What a layer and a loss are.

use brodmann_kernels::{CsrView, Seed};

use super::mat::Mat;
use super::scalar::Scalar;
use super::scratch::ScratchPool;
use super::stop::Stop;

/// What changes from one pass to the next.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a, T> {
    /// Draws of this pass: derived from the run's seed and the epoch.
    pub seed: Seed,
    /// Whether dropout is on.
    pub training: bool,
    /// Data matrices, by the slot given to [`TapeBuilder::input`](super::TapeBuilder::input).
    pub inputs: &'a [Mat<'a, T>],
    /// Index lists (permutations), by slot.
    pub indices: &'a [&'a [u32]],
    /// Sparse matrices, by slot: features that are mostly zero, graphs that are drawn anew.
    pub sparse: &'a [CsrView<'a, T>],
    /// Flags per feature, whose bits a layer gives their meaning.
    pub masks: &'a [u8],
}

/// A gradient to be written.
#[derive(Debug)]
pub struct Grad<'a, T> {
    /// Row-major, shaped like the value.
    pub data: &'a mut [T],
    /// Whether another consumer has written already: then add.
    pub accumulate: bool,
}

impl<T: Scalar> Grad<'_, T> {
    /// Writes or adds `value` at `target`.
    #[inline]
    pub fn put(accumulate: bool, target: &mut T, value: T) {
        *target = if accumulate { *target + value } else { value };
    }
}

/// Which values a backward pass looks at: the others' memory is given away early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uses {
    /// The inputs.
    pub inputs: bool,
    /// The output.
    pub output: bool,
}

impl Uses {
    /// Neither.
    pub const NOTHING: Self = Self { inputs: false, output: false };
    /// The inputs alone.
    pub const INPUTS: Self = Self { inputs: true, output: false };
    /// The output alone.
    pub const OUTPUT: Self = Self { inputs: false, output: true };
}

/// What a forward pass gets.
pub struct Forward<'a, T> {
    /// What changes between passes.
    pub step: &'a Step<'a, T>,
    /// Distinguishes this op's random draws from those of its like.
    pub stream: u64,
    /// Values of the inputs.
    pub inputs: &'a [Mat<'a, T>],
    /// Values of the parameters.
    pub parameters: &'a [Mat<'a, T>],
    /// The value to fill, in full.
    pub output: &'a mut [T],
    /// [`Op::saved_len`] elements for the backward pass.
    pub saved: &'a mut [T],
    /// Work space for blocks.
    pub pool: &'a ScratchPool<T>,
}

/// What a backward pass gets.
pub struct Backward<'a, 'g, T> {
    /// What changes between passes.
    pub step: &'a Step<'a, T>,
    /// As in the forward pass.
    pub stream: u64,
    /// Values of the inputs; without data unless [`Op::uses`] names them.
    pub inputs: &'a [Mat<'a, T>],
    /// Values of the parameters.
    pub parameters: &'a [Mat<'a, T>],
    /// The value; without data unless [`Op::uses`] names it.
    pub output: Mat<'a, T>,
    /// The gradient of the loss by the output.
    pub upstream: Mat<'a, T>,
    /// What the forward pass saved.
    pub saved: &'a [T],
    /// [`Op::partials_len`] elements.
    pub partials: &'a mut [T],
    /// Gradients by the inputs; `None` where nobody asks.
    pub input_grads: &'a mut [Option<Grad<'g, T>>],
    /// Gradients by the parameters: always add.
    pub parameter_grads: &'a mut [&'g mut [T]],
    /// Work space for blocks.
    pub pool: &'a ScratchPool<T>,
}

/// A layer: one value from others, and the way back.
pub trait Op<T: Scalar>: Send + Sync {
    /// For profiles.
    fn name(&self) -> &'static str;

    /// What [`Op::backward`] looks at.
    fn uses(&self) -> Uses;

    /// Elements carried from the forward to the backward pass.
    fn saved_len(&self, _rows: usize) -> usize {
        0
    }

    /// Elements of work space of the backward pass, as for partial sums of parameter gradients.
    fn partials_len(&self, _rows: usize) -> usize {
        0
    }

    /// Fills the output.
    fn forward(&self, pass: Forward<'_, T>);

    /// Writes or adds the gradients.
    fn backward(&self, pass: Backward<'_, '_, T>);
}

/// What the evaluation of a loss gets.
pub struct Evaluation<'a, 'g, T> {
    /// What changes between passes.
    pub step: &'a Step<'a, T>,
    /// Values of the inputs.
    pub inputs: &'a [Mat<'a, T>],
    /// Values of the parameters.
    pub parameters: &'a [Mat<'a, T>],
    /// `λ`: gradients are of `λ · loss`.
    pub weight: f64,
    /// [`Loss::scratch_len`] elements.
    pub scratch: &'a mut [T],
    /// Gradients by the inputs; `None` where nobody asks.
    pub input_grads: &'a mut [Option<Grad<'g, T>>],
    /// Gradients by the parameters: always add.
    pub parameter_grads: &'a mut [&'g mut [T]],
    /// Work space for blocks.
    pub pool: &'a ScratchPool<T>,
}

/// A term of the objective. As its weight is known beforehand, value and gradient are found in one go, and what
/// lies before it can be walked back at once.
pub trait Loss<T: Scalar>: Send + Sync {
    /// For profiles and messages.
    fn name(&self) -> &'static str;

    /// Elements of work space.
    fn scratch_len(&self, _rows: usize) -> usize {
        0
    }

    /// The unweighted loss; writes or adds the weighted gradients.
    ///
    /// # Errors
    /// [`Stop`]: the gradients are then not to be used.
    fn evaluate(&mut self, pass: Evaluation<'_, '_, T>) -> Result<f64, Stop>;

    /// Largest relative error that an approximation can have caused in the last evaluation; 0 for exact losses.
    fn bound(&self) -> f64 {
        0.0
    }
}
