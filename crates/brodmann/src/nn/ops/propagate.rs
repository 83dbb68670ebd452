//! `Y = A · X + b`: one step of a graph convolution.

use brodmann_kernels::ParallelLoop;
use std::sync::Arc;

use rayon::prelude::*;

use super::{add_partials, chunk_rows};
use crate::nn::{Backward, Forward, Op, Scalar, SparseOperator, Uses};

/// `Y = A · X + b` with `A (n, m)` sparse and constant; `b` is the op's parameter, if it has one.
///
/// `dX = Aᵀ · dY`, `db = Σ rows of dY`.
pub struct Propagate<T> {
    /// The graph.
    pub operator: Arc<SparseOperator<T>>,
}

impl<T: Scalar> Op<T> for Propagate<T> {
    fn name(&self) -> &'static str {
        "propagate"
    }

    fn uses(&self) -> Uses {
        Uses::NOTHING
    }

    fn forward(&self, pass: Forward<'_, T>) {
        let bias = pass.parameters.first().map_or(&[][..], |b| b.data);
        self.operator.apply(pass.output, pass.inputs[0], bias, false);
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        if let Some(grad) = &mut pass.input_grads[0] {
            self.operator.apply_transposed(grad.data, pass.upstream, grad.accumulate);
        }
        if let Some(grad) = pass.parameter_grads.first_mut() {
            bias_gradient(grad, pass.upstream.data, pass.upstream.rows, pass.pool);
        }
    }
}

/// `grad += Σ rows of upstream`, in fixed chunks.
pub(super) fn bias_gradient<T: Scalar>(
    grad: &mut [T],
    upstream: &[T],
    rows: usize,
    pool: &crate::nn::ScratchPool<T>,
) {
    let width = grad.len();
    if width == 0 || rows == 0 {
        return;
    }
    let chunk = chunk_rows(rows);
    pool.with(rows.div_ceil(chunk) * width, |partials| {
        partials.par_chunks_mut(width).zip(upstream.par_chunks(chunk * width)).each(|(sums, rows)| {
            sums.fill(T::ZERO);
            T::column_sums(sums, rows);
        });
        add_partials(grad, partials, width, 0);
    });
}
