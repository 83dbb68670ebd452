//! `X · (mask ⊙ W)` for both views in one pass over sparse `X`.

use brodmann_kernels::arch::masked::MaskedKernels;
use brodmann_kernels::{CsrView, ParallelLoop};
use rayon::prelude::*;

use super::views::FEATURES;
use crate::nn::mat::BLOCK_ROWS;
use crate::nn::ops::{add_partials, chunk_rows};
use crate::nn::{Backward, Forward, Op, Scalar, Step, Uses};

/// The first product of the encoder: `X · (maskᵥ ⊙ W)` for each view `v`, the views below each other.
///
/// Parameter `W (n_features, width)`; no inputs. `dW = Σᵥ maskᵥ ⊙ (Xᵀ · dYᵥ)`, scattered row by row of `X` in fixed
/// chunks: `W` stays in the cache where `dY` would not.
///
/// `X` and the masks are not known when the network is written: both come with the step.
pub(super) struct MaskedFeatures {
    pub(super) n_features: usize,
    pub(super) n_views: usize,
    pub(super) width: usize,
}

/// The features of a step.
fn features<'a, T: Scalar>(step: &Step<'a, T>) -> CsrView<'a, T> {
    step.sparse[FEATURES]
}

impl<T: Scalar + MaskedKernels> Op<T> for MaskedFeatures {
    fn name(&self) -> &'static str {
        "masked_features"
    }

    fn uses(&self) -> Uses {
        Uses::NOTHING
    }

    fn forward(&self, pass: Forward<'_, T>) {
        let weights = pass.parameters[0].data;
        let width = self.width;
        let (features, masks) = (features(pass.step), pass.step.masks);
        let half = features.n_rows() * width;
        if half == 0 {
            return;
        }
        let block = BLOCK_ROWS * width;
        let (first, second) = pass.output.split_at_mut(half);
        if self.n_views == 1 {
            // Without a second view its result is written where nobody looks.
            first.par_chunks_mut(block).enumerate().each(|(b, out)| {
                pass.pool.with(out.len() + 3 * width, |scratch| {
                    let (ignored, scratch) = scratch.split_at_mut(out.len());
                    let outs = [out, ignored];
                    T::masked_rows(features, b * BLOCK_ROWS, weights, masks, outs, width, scratch);
                });
            });
            return;
        }
        first.par_chunks_mut(block).zip(second.par_chunks_mut(block)).enumerate().each(
            |(b, (out1, out2))| {
                pass.pool.with(3 * width, |scratch| {
                    let outs = [out1, out2];
                    T::masked_rows(features, b * BLOCK_ROWS, weights, masks, outs, width, scratch);
                });
            },
        );
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let (features, masks) = (features(pass.step), pass.step.masks);
        let n = features.n_rows();
        let (width, size) = (self.width, pass.parameter_grads[0].len());
        if n == 0 || size == 0 {
            return;
        }
        let (first, second) = pass.upstream.data.split_at(n * width);
        let zeros;
        let second = if self.n_views == 1 {
            zeros = vec![T::ZERO; n * width];
            &zeros
        } else {
            second
        };
        let chunk = partial_rows(n);
        pass.partials
            .par_chunks_mut(size)
            .zip(first.par_chunks(chunk * width).zip(second.par_chunks(chunk * width)))
            .enumerate()
            .each(|(c, (partial, (up1, up2)))| {
                partial.fill(T::ZERO);
                pass.pool.with(3 * width, |scratch| {
                    let ups = [up1, up2];
                    T::masked_scatter(features, c * chunk, ups, masks, partial, width, scratch);
                });
            });
        add_partials(pass.parameter_grads[0], pass.partials, size, 0);
    }

    fn partials_len(&self, rows: usize) -> usize {
        let n = rows / self.n_views;
        if n == 0 { 0 } else { n.div_ceil(partial_rows(n)) * self.n_features * self.width }
    }
}

/// Rows of one partial sum: each partial is as large as `W`, so fewer of them than other layers have.
fn partial_rows(n: usize) -> usize {
    chunk_rows(n).max(n.div_ceil(16))
}
