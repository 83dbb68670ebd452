//! Rows permuted, entries dropped.

use crate::nn::mat::for_rows;
use crate::nn::{Backward, Forward, Op, Scalar, Step, Uses};
use brodmann_kernels::Seed;

/// `Y_i = dropout(X_π(i))`: entries become 0 with probability `dropout`, the others grow by `1 / (1 − dropout)`; in
/// training only. Which entries fall is a hash of seed, op, row and column, found again on the way back.
///
/// `dX = dY` where kept, scaled alike; there is no way back through a permutation, which is for data.
pub struct Corrupt {
    /// Share of entries set to 0.
    pub dropout: f64,
    /// Slot of the permutation among [`Step::indices`].
    pub permutation: Option<usize>,
}

impl Corrupt {
    fn rates<T: Scalar>(&self, step: &Step<'_, T>, stream: u64) -> (Seed, u32, T) {
        let share = if step.training { self.dropout } else { 0.0 };
        let seed = step.seed.derive("nn/dropout", stream);
        (seed, (share * 4_294_967_296.0) as u32, T::of(1.0 / (1.0 - share)))
    }
}

impl<T: Scalar> Op<T> for Corrupt {
    fn name(&self) -> &'static str {
        "corrupt"
    }

    fn uses(&self) -> Uses {
        Uses::NOTHING
    }

    fn forward(&self, pass: Forward<'_, T>) {
        let x = pass.inputs[0];
        let permutation = self.permutation.map(|slot| pass.step.indices[slot]);
        let (seed, threshold, scale) = self.rates(pass.step, pass.stream);
        for_rows(pass.output, x.cols, |i, row| {
            let source = x.row(permutation.map_or(i, |p| p[i] as usize));
            if threshold == 0 {
                row.copy_from_slice(source);
            } else {
                T::dropout(row, source, seed.word(i as u64), threshold, scale, false);
            }
        });
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let (seed, threshold, scale) = self.rates(pass.step, pass.stream);
        if let Some(grad) = &mut pass.input_grads[0] {
            debug_assert!(self.permutation.is_none(), "data that is permuted has no gradient");
            let add = grad.accumulate;
            for_rows(grad.data, pass.upstream.cols, |i, row| {
                T::dropout(row, pass.upstream.row(i), seed.word(i as u64), threshold, scale, add);
            });
        }
    }
}
