//! `Y = relu(X · W₁ + b₁) · W₂`: the two weights of a two-layer graph network, between its two propagations.

use rayon::prelude::*;

use super::{add_partials, chunk_rows, n_chunks, optional_chunks};
use crate::nn::mat::{BLOCK_ROWS, for_blocks, gemm, gemm_nt, gemm_tn};
use crate::nn::{Backward, Forward, Mat, Op, Scalar, Uses};

/// `Y = H · W₂`, `H = relu(X · W₁ + b₁)`; parameters `W₁ (n_in, hidden)`, `b₁ (1, hidden)`, `W₂ (hidden, n_out)`.
///
/// A graph convolution is linear in its rows, so `relu(A·(X·W₁) + b₁)` is `relu((A·X)·W₁ + b₁)`: propagation stays on
/// the narrow side, and the wide hidden layer is needed row by row only. It is made for a block of rows that stays in
/// cache, used, and forgotten; the way back makes it again. That costs one more product and saves
/// `n · hidden` numbers written and read twice.
///
/// `dH = dY·W₂ᵀ` where `H > 0`; `dW₂ = Hᵀ·dY`, `dW₁ = Xᵀ·dH`, `db₁ = Σ rows of dH`, `dX = dH·W₁ᵀ`.
pub struct Perceptron {
    /// Columns of `X`.
    pub n_in: usize,
    /// Columns of `H`.
    pub hidden: usize,
    /// Columns of `Y`.
    pub n_out: usize,
}

impl Perceptron {
    fn n_weights(&self) -> usize {
        self.n_in * self.hidden + self.hidden + self.hidden * self.n_out
    }
}

impl<T: Scalar> Op<T> for Perceptron {
    fn name(&self) -> &'static str {
        "perceptron"
    }

    fn uses(&self) -> Uses {
        Uses::INPUTS
    }

    fn partials_len(&self, rows: usize) -> usize {
        n_chunks(rows) * self.n_weights()
    }

    fn forward(&self, pass: Forward<'_, T>) {
        let (x, w1, b1, w2) = (pass.inputs[0], pass.parameters[0], pass.parameters[1], pass.parameters[2]);
        for_blocks(pass.output, self.n_out, |first, out| {
            let count = out.len() / self.n_out;
            pass.pool.with(count * self.hidden, |h| {
                gemm(h, x.block(first, count), w1, false);
                T::bias_relu(h, b1.data);
                let hidden = Mat::new(h, count, self.hidden);
                gemm(out, hidden, w2, false);
            });
        });
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let (x, up) = (pass.inputs[0], pass.upstream);
        let (w1, b1, w2) = (pass.parameters[0], pass.parameters[1], pass.parameters[2]);
        if x.rows == 0 {
            return;
        }
        let (stride, chunk) = (self.n_weights(), chunk_rows(x.rows));
        let accumulate = pass.input_grads[0].as_ref().is_some_and(|g| g.accumulate);
        let grad = pass.input_grads[0].as_mut().map(|g| &mut *g.data);
        let mut grads = optional_chunks(grad, chunk * self.n_in, n_chunks(x.rows));
        let chunks = pass.partials.par_chunks_mut(stride).zip(&mut grads).enumerate();
        chunks.for_each(|(c, (partial, grad))| {
            let end = x.rows.min((c + 1) * chunk);
            let (dw1, rest) = partial.split_at_mut(self.n_in * self.hidden);
            let (db1, dw2) = rest.split_at_mut(self.hidden);
            db1.fill(T::ZERO);
            pass.pool.with(2 * BLOCK_ROWS * self.hidden, |space| {
                for first in (c * chunk..end).step_by(BLOCK_ROWS) {
                    let count = BLOCK_ROWS.min(end - first);
                    let add = first > c * chunk;
                    let (h, dh) = space[..2 * count * self.hidden].split_at_mut(count * self.hidden);
                    let (xs, ups) = (x.block(first, count), up.block(first, count));
                    gemm(h, xs, w1, false);
                    T::bias_relu(h, b1.data);
                    let hidden = Mat::new(h, count, self.hidden);
                    gemm_tn(dw2, hidden, ups, add);
                    gemm_nt(dh, ups, w2, false);
                    T::relu_backward(dh, h);
                    T::column_sums(db1, dh);
                    let dhidden = Mat::new(dh, count, self.hidden);
                    gemm_tn(dw1, xs, dhidden, add);
                    if let Some(grad) = grad {
                        let start = (first - c * chunk) * self.n_in;
                        gemm_nt(&mut grad[start..start + count * self.n_in], dhidden, w1, accumulate);
                    }
                }
            });
        });
        let [w1_len, b1_len] = [self.n_in * self.hidden, self.hidden];
        add_partials(pass.parameter_grads[0], pass.partials, stride, 0);
        add_partials(pass.parameter_grads[1], pass.partials, stride, w1_len);
        add_partials(pass.parameter_grads[2], pass.partials, stride, w1_len + b1_len);
    }
}
