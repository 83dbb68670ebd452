//! `Y = X + b`.

use super::propagate::bias_gradient;
use crate::nn::mat::for_rows;
use crate::nn::{Backward, Forward, Op, Scalar, Uses};

/// `Y = X + b`, the same row added to each; parameter `b (1, n)`.
pub struct Bias;

impl<T: Scalar> Op<T> for Bias {
    fn name(&self) -> &'static str {
        "bias"
    }

    fn uses(&self) -> Uses {
        Uses::NOTHING
    }

    fn forward(&self, pass: Forward<'_, T>) {
        let (x, bias) = (pass.inputs[0], pass.parameters[0].data);
        for_rows(pass.output, x.cols, |i, row| {
            row.copy_from_slice(x.row(i));
            T::scaled(row, T::ONE, bias, true);
        });
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        if let Some(grad) = &mut pass.input_grads[0] {
            let add = grad.accumulate;
            let up = pass.upstream;
            for_rows(grad.data, up.cols, |i, row| T::scaled(row, T::ONE, up.row(i), add));
        }
        bias_gradient(pass.parameter_grads[0], pass.upstream.data, pass.upstream.rows, pass.pool);
    }
}
