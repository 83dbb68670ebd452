//! `Y = S · W + b` for sparse features.

use std::sync::Arc;

use crate::nn::{Backward, Forward, Mat, Op, Scalar, SparseOperator, Uses};

/// `Y = S · W + b` with `S (n, n_in)` sparse and constant; parameters `W (n_in, n_out)` and, if given,
/// `b (1, n_out)`; no inputs.
///
/// `dW = Sᵀ · dY`, `db = Σ rows of dY`.
pub struct SparseDense<T> {
    /// The features; its transpose is used as well.
    pub features: Arc<SparseOperator<T>>,
}

impl<T: Scalar> Op<T> for SparseDense<T> {
    fn name(&self) -> &'static str {
        "sparse_dense"
    }

    fn uses(&self) -> Uses {
        Uses::NOTHING
    }

    fn forward(&self, pass: Forward<'_, T>) {
        let bias = pass.parameters.get(1).map_or(&[][..], |b| b.data);
        self.features.apply(pass.output, pass.parameters[0], bias, false);
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let up: Mat<'_, T> = pass.upstream;
        self.features.apply_transposed(pass.parameter_grads[0], up, true);
        if let Some(bias) = pass.parameter_grads.get_mut(1) {
            super::propagate::bias_gradient(bias, up.data, up.rows, pass.pool);
        }
    }
}
