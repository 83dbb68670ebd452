//! `Y = X · W + b`.

use rayon::prelude::*;

use super::{add_partials, chunk_rows, n_chunks, optional_chunks};
use crate::nn::mat::{for_blocks, gemm, gemm_nt, gemm_tn};
use crate::nn::{Backward, Forward, Op, Scalar, Uses};

/// `Y = X · W + b`; parameters `W (n_in, n_out)` and, if given, `b (1, n_out)`.
///
/// `dX = dY · Wᵀ`, `dW = Xᵀ · dY`, `db = Σ rows of dY`.
pub struct Dense {
    /// Columns of `X`.
    pub n_in: usize,
    /// Columns of `Y`.
    pub n_out: usize,
}

impl<T: Scalar> Op<T> for Dense {
    fn name(&self) -> &'static str {
        "dense"
    }

    fn uses(&self) -> Uses {
        Uses::INPUTS
    }

    fn partials_len(&self, rows: usize) -> usize {
        n_chunks(rows) * self.n_in * self.n_out
    }

    fn forward(&self, pass: Forward<'_, T>) {
        let (x, w) = (pass.inputs[0], pass.parameters[0]);
        let bias = pass.parameters.get(1).map_or(&[][..], |b| b.data);
        for_blocks(pass.output, self.n_out, |first, out| {
            gemm(out, x.block(first, out.len() / self.n_out), w, false);
            if !bias.is_empty() {
                out.chunks_exact_mut(self.n_out).for_each(|row| T::column_sums(row, bias));
            }
        });
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let (x, w, up) = (pass.inputs[0], pass.parameters[0], pass.upstream);
        let size = self.n_in * self.n_out;
        let chunk = chunk_rows(x.rows);
        if size == 0 || x.rows == 0 {
            return;
        }
        let accumulate = pass.input_grads[0].as_ref().is_some_and(|g| g.accumulate);
        let grad = pass.input_grads[0].as_mut().map(|g| &mut *g.data);
        let mut grads = optional_chunks(grad, chunk * self.n_in, n_chunks(x.rows));
        let chunks = pass.partials.par_chunks_mut(size).zip(&mut grads).enumerate();
        chunks.for_each(|(c, (partial, grad))| {
            let count = chunk.min(x.rows - c * chunk);
            let (xs, ups) = (x.block(c * chunk, count), up.block(c * chunk, count));
            gemm_tn(partial, xs, ups, false);
            if let Some(grad) = grad {
                gemm_nt(grad, ups, w, accumulate);
            }
        });
        add_partials(pass.parameter_grads[0], pass.partials, size, 0);
        if let Some(bias) = pass.parameter_grads.get_mut(1) {
            super::propagate::bias_gradient(bias, up.data, up.rows, pass.pool);
        }
    }
}
