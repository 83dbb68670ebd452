//! `Y = Σ w_m X_m`.

use crate::nn::mat::for_rows;
use crate::nn::{Backward, Forward, Op, Scalar, Uses};

/// `Y = Σ w_m X_m` with fixed weights; `dX_m = w_m dY`.
pub struct WeightedSum {
    /// One per input.
    pub weights: Vec<f64>,
}

impl<T: Scalar> Op<T> for WeightedSum {
    fn name(&self) -> &'static str {
        "weighted_sum"
    }

    fn uses(&self) -> Uses {
        Uses::NOTHING
    }

    fn forward(&self, pass: Forward<'_, T>) {
        let cols = pass.inputs[0].cols;
        for_rows(pass.output, cols, |i, row| {
            for (m, (x, &w)) in pass.inputs.iter().zip(&self.weights).enumerate() {
                T::scaled(row, T::of(w), x.row(i), m > 0);
            }
        });
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let up = pass.upstream;
        for (grad, &w) in pass.input_grads.iter_mut().zip(&self.weights) {
            if let Some(grad) = grad {
                let add = grad.accumulate;
                for_rows(grad.data, up.cols, |i, row| T::scaled(row, T::of(w), up.row(i), add));
            }
        }
    }
}
