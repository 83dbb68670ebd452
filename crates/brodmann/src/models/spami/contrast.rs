//! The contrastive term: a spot fits its own surroundings, a spot from elsewhere does not.

use std::sync::Arc;

use brodmann_kernels::ParallelLoop;
use rayon::prelude::*;

use crate::nn::mat::{BLOCK_ROWS, gemm, gemm_nt, gemm_tn};
use crate::nn::ops::{add_partials, chunk_rows, n_chunks, optional_chunks, ordered_sum};
use crate::nn::{Evaluation, Loss, Mat, Scalar, SparseOperator, Stop};

/// Shorter local contexts are divided by this instead of their length, as in PyTorch's `normalize`.
const SHORTEST: f64 = 1e-12;

/// `L_con` of one modality, for the embeddings `Z` and those of the permuted features `Z'`; parameters `W (d, d)` and
/// `b (1, 1)` of the discriminator.
///
/// With `g_i = σ(l2norm(mean of Z over {i} ∪ kNN(i)))` and `D(z, g) = zᵀ W g + b`:
///
/// `L = 1/2n Σ_i [sp(−D(z_i, g_i)) + sp(D(z'_i, g_i))] + 1/2n Σ_i [sp(−D(z'_i, g'_i)) + sp(D(z_i, g'_i))]`
///
/// with `sp(x) = ln(1 + eˣ)`: two binary cross-entropies, each a mean over `2n` logits.
///
/// One pass over blocks of rows finds loss and gradient together: contexts, `U = G Wᵀ` and the logits of a block
/// never leave the cache. What must be kept for all rows is the gradient by the mean context, which the transposed
/// mean then hands to the neighbours.
pub(super) struct Contrast<T> {
    /// The mean over `{i} ∪ kNN(i)`.
    pub context: Arc<SparseOperator<T>>,
    /// `d`.
    pub width: usize,
}

/// One view (as measured, or permuted) of a block of rows.
struct View<'a, T> {
    /// Context of length one.
    unit: &'a mut [T],
    /// Its sigmoid, `g`.
    context: &'a mut [T],
    /// `W g`.
    projected: &'a mut [T],
    /// Gradient by `projected`, later by `context`.
    grad: &'a mut [T],
}

const BUFFERS: usize = 4;

impl<'a, T> View<'a, T> {
    fn of(space: &'a mut [T], len: usize) -> (Self, &'a mut [T]) {
        let (unit, rest) = space.split_at_mut(len);
        let (context, rest) = rest.split_at_mut(len);
        let (projected, rest) = rest.split_at_mut(len);
        let (grad, rest) = rest.split_at_mut(len);
        (Self { unit, context, projected, grad }, rest)
    }
}

impl<T: Scalar> Loss<T> for Contrast<T> {
    fn name(&self) -> &'static str {
        "contrast"
    }

    fn scratch_len(&self, rows: usize) -> usize {
        2 * rows * self.width + n_chunks(rows) * (self.width * self.width + 1)
    }

    fn evaluate(&mut self, pass: Evaluation<'_, '_, T>) -> Result<f64, Stop> {
        let d = self.width;
        let rows = pass.inputs[0].rows;
        if rows == 0 || d == 0 {
            return Ok(0.0);
        }
        let (chunk, stride) = (chunk_rows(rows), d * d + 1);
        let (mean_grads, partials) = pass.scratch.split_at_mut(2 * rows * d);
        let (mean_grad, mean_grad_permuted) = mean_grads.split_at_mut(rows * d);
        let [grad, grad_permuted] = pass.input_grads else { return Ok(f64::NAN) };
        let adds = [&*grad, &*grad_permuted].map(|g| g.as_ref().is_some_and(|g| g.accumulate));
        let mut grads = optional_chunks(grad.as_mut().map(|g| &mut *g.data), chunk * d, n_chunks(rows));
        let mut grads_permuted =
            optional_chunks(grad_permuted.as_mut().map(|g| &mut *g.data), chunk * d, n_chunks(rows));
        let work = Work {
            z: pass.inputs[0],
            z_permuted: pass.inputs[1],
            weight: pass.parameters[0],
            bias: pass.parameters[1].data[0],
            scale: T::of(pass.weight / (2 * rows) as f64),
            context: &self.context,
            adds,
        };
        let sums: Vec<f64> = partials
            .par_chunks_mut(stride)
            .zip(mean_grad.par_chunks_mut(chunk * d).zip(mean_grad_permuted.par_chunks_mut(chunk * d)))
            .zip(grads.par_iter_mut().zip(&mut grads_permuted))
            .enumerate()
            .map(|(c, ((partial, means), (grad, grad_permuted)))| {
                partial.fill(T::ZERO);
                let mut sum = 0.0;
                let count = means.0.len() / d;
                pass.pool.with(2 * BUFFERS * BLOCK_ROWS * d + 2 * BLOCK_ROWS, |space| {
                    for start in (0..count).step_by(BLOCK_ROWS) {
                        let rows = start * d..count.min(start + BLOCK_ROWS) * d;
                        let grads = [
                            grad.as_mut().map(|g| &mut g[rows.clone()]),
                            grad_permuted.as_mut().map(|g| &mut g[rows.clone()]),
                        ];
                        let means = [&mut means.0[rows.clone()], &mut means.1[rows.clone()]];
                        sum += work.block(c * chunk + start, partial, means, grads, space);
                    }
                });
                sum
            })
            .collect_vec();
        for (grad, mean) in [(grad, &*mean_grad), (grad_permuted, &*mean_grad_permuted)] {
            if let Some(grad) = grad {
                self.context.apply_transposed(grad.data, Mat::new(mean, rows, d), true);
            }
        }
        add_partials(pass.parameter_grads[0], partials, stride, 0);
        add_partials(pass.parameter_grads[1], partials, stride, d * d);
        Ok(ordered_sum(&sums) / (2 * rows) as f64)
    }
}

struct Work<'a, T> {
    z: Mat<'a, T>,
    z_permuted: Mat<'a, T>,
    weight: Mat<'a, T>,
    bias: T,
    /// `λ / 2n`.
    scale: T,
    context: &'a SparseOperator<T>,
    adds: [bool; 2],
}

impl<T: Scalar> Work<'_, T> {
    /// The sum of cross-entropies over the rows from `first`; writes their gradients.
    fn block(
        &self,
        first: usize,
        partial: &mut [T],
        means: [&mut [T]; 2],
        mut grads: [Option<&mut [T]>; 2],
        space: &mut [T],
    ) -> f64 {
        let d = self.weight.rows;
        let len = means[0].len();
        let count = len / d;
        let (mut own, rest) = View::of(space, len);
        let (mut permuted, rest) = View::of(rest, len);
        let (inverses, inverses_permuted) = rest[..2 * count].split_at_mut(count);
        self.surroundings(first, self.z, &mut own, inverses);
        self.surroundings(first, self.z_permuted, &mut permuted, inverses_permuted);

        let (weight_grad, bias_grad) = partial.split_at_mut(d * d);
        let mut total = 0.0;
        for i in 0..count {
            let (z, zp) = (self.z.row(first + i), self.z_permuted.row(first + i));
            let row = i * d..(i + 1) * d;
            let (u, up) = (&own.projected[row.clone()], &permuted.projected[row.clone()]);
            let mut sum = T::ZERO;
            let mut slope = |logit: T, positive: bool| {
                let (loss, slope) = cross_entropy(logit + self.bias, positive);
                total += loss;
                sum += slope;
                slope * self.scale
            };
            let d_own = slope(T::dot(z, u), true);
            let d_stranger = slope(T::dot(zp, u), false);
            let d_mirrored = slope(T::dot(zp, up), true);
            let d_mirrored_stranger = slope(T::dot(z, up), false);
            bias_grad[0] += sum * self.scale;
            let [grad, grad_permuted] = &mut grads;
            if let Some(grad) = grad {
                T::scaled(&mut grad[row.clone()], d_own, u, self.adds[0]);
                T::scaled(&mut grad[row.clone()], d_mirrored_stranger, up, true);
            }
            if let Some(grad) = grad_permuted {
                T::scaled(&mut grad[row.clone()], d_stranger, u, self.adds[1]);
                T::scaled(&mut grad[row.clone()], d_mirrored, up, true);
            }
            T::scaled(&mut own.grad[row.clone()], d_own, z, false);
            T::scaled(&mut own.grad[row.clone()], d_stranger, zp, true);
            T::scaled(&mut permuted.grad[row.clone()], d_mirrored, zp, false);
            T::scaled(&mut permuted.grad[row], d_mirrored_stranger, z, true);
        }
        let [mean, mean_permuted] = means;
        self.back(&own, weight_grad, mean, inverses);
        self.back(&permuted, weight_grad, mean_permuted, inverses_permuted);
        total
    }

    /// Contexts, their sigmoids and projections; `inverses` are `1 / length`, negative where the length is held.
    fn surroundings(&self, first: usize, z: Mat<'_, T>, view: &mut View<'_, T>, inverses: &mut [T]) {
        let d = self.weight.rows;
        self.context.apply_rows(view.unit, first, z);
        for (row, inverse) in view.unit.chunks_exact_mut(d).zip(inverses.iter_mut()) {
            let length = T::dot(row, row).sqrt();
            let held = length < T::of(SHORTEST);
            let one_over = T::ONE / if held { T::of(SHORTEST) } else { length };
            for v in row {
                *v *= one_over;
            }
            *inverse = if held { -one_over } else { one_over };
        }
        view.context.copy_from_slice(view.unit);
        T::sigmoid_all(view.context);
        let context = Mat::new(view.context, inverses.len(), d);
        gemm_nt(view.projected, context, self.weight, false);
    }

    /// From the gradient by `W g` to those by `W` and by the mean context.
    fn back(&self, view: &View<'_, T>, weight_grad: &mut [T], mean_grad: &mut [T], inverses: &[T]) {
        let d = self.weight.rows;
        let count = inverses.len();
        let grad = Mat::new(view.grad, count, d);
        gemm_tn(weight_grad, grad, Mat::new(view.context, count, d), true);
        gemm(mean_grad, grad, self.weight, false);
        for (i, (row, &inverse)) in mean_grad.chunks_exact_mut(d).zip(inverses).enumerate() {
            let (unit, g) = (&view.unit[i * d..(i + 1) * d], &view.context[i * d..(i + 1) * d]);
            row.iter_mut().zip(g).for_each(|(v, &g)| *v *= g * (T::ONE - g));
            if inverse > T::ZERO {
                let along = T::dot(row, unit);
                T::scaled(row, -along, unit, true);
            }
            let scale = inverse.abs();
            for v in row {
                *v *= scale;
            }
        }
    }
}

/// `softplus` of the logit (negated for positives), and its slope by the logit.
#[inline]
fn cross_entropy<T: Scalar>(logit: T, positive: bool) -> (f64, T) {
    let signed = if positive { -logit } else { logit };
    let e = (-signed.abs()).exp();
    let loss = signed.max(T::ZERO) + e.ln_1p();
    let sigmoid = if signed >= T::ZERO { T::ONE / (T::ONE + e) } else { e / (T::ONE + e) };
    (loss.to_f64(), if positive { -sigmoid } else { sigmoid })
}
