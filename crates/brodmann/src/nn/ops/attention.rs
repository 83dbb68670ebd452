//! `Z = Σ_m a_m Z_m`: each row decides how much to listen to each input.

use brodmann_kernels::ParallelLoop;
use rayon::prelude::*;

use super::softmax::softmax_row;
use super::{add_partials, chunk_rows, n_chunks};
use crate::nn::mat::{BLOCK_ROWS, gemm, gemm_nt, gemm_tn};
use crate::nn::{Backward, Forward, Mat, Op, Scalar, Uses};

/// `a = softmax over m of tanh(Z_m · Wω) · uω`, `Z = Σ_m a_m Z_m`; parameters `Wω (d, d)` and `uω (d, 1)`. Saves `a`,
/// `(n, M)`, which [`Tape::saved`](crate::nn::Tape::saved) reads.
///
/// With `V_m = tanh(P_m)` and scores `s_m = V_m uω`: `da_m = dZ·Z_m`, `ds_m = a_m (da_m − Σ a da)`,
/// `dP_m = ds_m uω (1 − V_m²)`, `dZ_m = a_m dZ + dP_m Wωᵀ`, `dWω = Σ Z_mᵀ dP_m`, `duω = Σ V_mᵀ ds_m`. `V_m` is made
/// again on the way back.
pub struct Attention {
    /// `d`.
    pub width: usize,
    /// `M`.
    pub n_inputs: usize,
}

impl<T: Scalar> Op<T> for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn uses(&self) -> Uses {
        Uses::INPUTS
    }

    fn saved_len(&self, rows: usize) -> usize {
        rows * self.n_inputs
    }

    fn partials_len(&self, rows: usize) -> usize {
        n_chunks(rows) * (self.width * self.width + self.width)
    }

    fn forward(&self, pass: Forward<'_, T>) {
        let (d, n_inputs) = (self.width, self.n_inputs);
        let (w, u) = (pass.parameters[0], pass.parameters[1].data);
        let outs = pass.output.par_chunks_mut(BLOCK_ROWS * d);
        outs.zip(pass.saved.par_chunks_mut(BLOCK_ROWS * n_inputs)).enumerate().each(|(b, (out, weights))| {
            let (first, count) = (b * BLOCK_ROWS, out.len() / d);
            pass.pool.with(count * d, |v| {
                for (m, z) in pass.inputs.iter().enumerate() {
                    gemm(v, z.block(first, count), w, false);
                    T::tanh_all(v);
                    for (row, a) in v.chunks_exact(d).zip(weights.chunks_exact_mut(n_inputs)) {
                        a[m] = T::dot(row, u);
                    }
                }
            });
            let rows = out.chunks_exact_mut(d).zip(weights.chunks_exact_mut(n_inputs)).enumerate();
            for (i, (row, a)) in rows {
                softmax_row(a);
                for (m, (z, &a)) in pass.inputs.iter().zip(a.iter()).enumerate() {
                    T::scaled(row, a, z.row(first + i), m > 0);
                }
            }
        });
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let (d, n_inputs) = (self.width, self.n_inputs);
        let (w, u, up) = (pass.parameters[0], pass.parameters[1].data, pass.upstream);
        let (rows, chunk) = (up.rows, chunk_rows(up.rows));
        if rows == 0 {
            return;
        }
        let stride = d * d + d;
        let inputs = pass.inputs;
        let adds: Vec<bool> =
            pass.input_grads.iter().map(|g| g.as_ref().is_some_and(|g| g.accumulate)).collect();
        // Per chunk, the rows of each input's gradient.
        let mut grads: Vec<Vec<Option<&mut [T]>>> =
            (0..n_chunks(rows)).map(|_| Vec::with_capacity(n_inputs)).collect();
        for grad in pass.input_grads.iter_mut() {
            match grad {
                Some(grad) => {
                    let chunks = grad.data.chunks_mut(chunk * d).map(Some);
                    grads.iter_mut().zip(chunks).for_each(|(list, rows)| list.push(rows));
                }
                None => grads.iter_mut().for_each(|list| list.push(None)),
            }
        }
        let chunks = pass.partials.par_chunks_mut(stride).zip(&mut grads).enumerate();
        chunks.for_each(|(c, (partial, grads))| {
            let end = rows.min((c + 1) * chunk);
            let (dw, du) = partial.split_at_mut(d * d);
            dw.fill(T::ZERO);
            du.fill(T::ZERO);
            pass.pool.with(2 * BLOCK_ROWS * d + BLOCK_ROWS * n_inputs, |space| {
                for first in (c * chunk..end).step_by(BLOCK_ROWS) {
                    let count = BLOCK_ROWS.min(end - first);
                    let (v, rest) = space.split_at_mut(count * d);
                    let (dp, rest) = rest.split_at_mut(count * d);
                    let ds = &mut rest[..count * n_inputs];
                    let weights = &pass.saved[first * n_inputs..(first + count) * n_inputs];
                    let score_rows = ds.chunks_exact_mut(n_inputs).zip(weights.chunks_exact(n_inputs));
                    for (i, (ds, a)) in score_rows.enumerate() {
                        let mut mean = T::ZERO;
                        for (m, z) in inputs.iter().enumerate() {
                            ds[m] = T::dot(up.row(first + i), z.row(first + i));
                            mean += a[m] * ds[m];
                        }
                        ds.iter_mut().zip(a).for_each(|(s, &a)| *s = a * (*s - mean));
                    }
                    for (m, z) in inputs.iter().enumerate() {
                        let zs = z.block(first, count);
                        gemm(v, zs, w, false);
                        T::tanh_all(v);
                        for (i, (v, dp)) in v.chunks_exact(d).zip(dp.chunks_exact_mut(d)).enumerate() {
                            let s = ds[i * n_inputs + m];
                            T::scaled(du, s, v, true);
                            for ((p, &v), &u) in dp.iter_mut().zip(v).zip(u) {
                                *p = s * u * (T::ONE - v * v);
                            }
                        }
                        let dp = Mat::new(dp, count, d);
                        gemm_tn(dw, zs, dp, true);
                        if let Some(grad) = &mut grads[m] {
                            let start = (first - c * chunk) * d;
                            let grad = &mut grad[start..start + count * d];
                            for (i, row) in grad.chunks_exact_mut(d).enumerate() {
                                T::scaled(row, weights[i * n_inputs + m], up.row(first + i), adds[m]);
                            }
                            gemm_nt(grad, dp, w, true);
                        }
                    }
                }
            });
        });
        add_partials(pass.parameter_grads[0], pass.partials, stride, 0);
        add_partials(pass.parameter_grads[1], pass.partials, stride, d * d);
    }
}
