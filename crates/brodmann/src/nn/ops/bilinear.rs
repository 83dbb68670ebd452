//! `y_i = x_iᵀ W c_i + b`: how well two rows fit each other.

use brodmann_kernels::ParallelLoop;
use rayon::prelude::*;

use super::{add_partials, chunk_rows, n_chunks, optional_chunks};
use crate::nn::mat::{BLOCK_ROWS, gemm, gemm_nt, gemm_tn};
use crate::nn::{Backward, Forward, Mat, Op, Scalar, Uses};

/// `y_i = x_iᵀ W c_i + b` for inputs `X (n, p)` and `C (n, q)`; parameters `W (p, q)` and `b (1, 1)`; `Y` is `(n, 1)`.
///
/// `dX = dy ∘ (C Wᵀ)`, `dC = dy ∘ (X W)`, `dW = (dy ∘ X)ᵀ C`, `db = Σ dy`.
pub struct Bilinear {
    /// `p`.
    pub left: usize,
    /// `q`.
    pub right: usize,
}

impl<T: Scalar> Op<T> for Bilinear {
    fn name(&self) -> &'static str {
        "bilinear"
    }

    fn uses(&self) -> Uses {
        Uses::INPUTS
    }

    fn partials_len(&self, rows: usize) -> usize {
        n_chunks(rows) * self.left * self.right
    }

    fn forward(&self, pass: Forward<'_, T>) {
        let (x, c, w, b) = (pass.inputs[0], pass.inputs[1], pass.parameters[0], pass.parameters[1].data[0]);
        pass.output.par_chunks_mut(BLOCK_ROWS).enumerate().each(|(k, out)| {
            let first = k * BLOCK_ROWS;
            pass.pool.with(out.len() * self.left, |wc| {
                gemm_nt(wc, c.block(first, out.len()), w, false);
                for (i, (o, row)) in out.iter_mut().zip(wc.chunks_exact(self.left)).enumerate() {
                    *o = T::dot(x.row(first + i), row) + b;
                }
            });
        });
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let (x, c, w, up) = (pass.inputs[0], pass.inputs[1], pass.parameters[0], pass.upstream);
        if x.rows == 0 {
            return;
        }
        let (stride, chunk) = (self.left * self.right, chunk_rows(x.rows));
        let [x_grad, c_grad] = pass.input_grads else { return };
        let adds = [&*x_grad, &*c_grad].map(|g| g.as_ref().is_some_and(|g| g.accumulate));
        let mut xs =
            optional_chunks(x_grad.as_mut().map(|g| &mut *g.data), chunk * self.left, n_chunks(x.rows));
        let mut cs =
            optional_chunks(c_grad.as_mut().map(|g| &mut *g.data), chunk * self.right, n_chunks(x.rows));
        let chunks = pass.partials.par_chunks_mut(stride).zip(xs.par_iter_mut().zip(&mut cs)).enumerate();
        chunks.for_each(|(k, (partial, (dx, dc)))| {
            let count = chunk.min(x.rows - k * chunk);
            let (xk, ck) = (x.block(k * chunk, count), c.block(k * chunk, count));
            let ups = &up.data[k * chunk..k * chunk + count];
            pass.pool.with(count * (self.left + self.right), |space| {
                let (weighted, product) = space.split_at_mut(count * self.left);
                for (i, (row, &u)) in weighted.chunks_exact_mut(self.left).zip(ups).enumerate() {
                    T::scaled(row, u, xk.row(i), false);
                }
                let weighted = Mat::new(weighted, count, self.left);
                gemm_tn(partial, weighted, ck, false);
                if let Some(dc) = dc {
                    gemm(product, weighted, w, false);
                    T::scaled(dc, T::ONE, product, adds[1]);
                }
            });
            if let Some(dx) = dx {
                pass.pool.with(count * self.left, |wc| {
                    gemm_nt(wc, ck, w, false);
                    let rows = dx.chunks_exact_mut(self.left).zip(wc.chunks_exact(self.left)).zip(ups);
                    rows.for_each(|((row, product), &u)| T::scaled(row, u, product, adds[0]));
                });
            }
        });
        add_partials(pass.parameter_grads[0], pass.partials, stride, 0);
        pass.parameter_grads[1][0] += T::of(up.data.iter().map(|u| u.to_f64()).sum());
    }
}
