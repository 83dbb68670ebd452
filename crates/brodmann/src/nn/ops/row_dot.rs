//! `y_i = x_i · z_i`.

use crate::nn::mat::for_rows;
use crate::nn::{Backward, Forward, Op, Scalar, Uses};

/// `y_i = x_i · z_i`; `Y` is `(n, 1)`. `dX = dy ∘ Z`, `dZ = dy ∘ X`.
pub struct RowDot;

impl<T: Scalar> Op<T> for RowDot {
    fn name(&self) -> &'static str {
        "row_dot"
    }

    fn uses(&self) -> Uses {
        Uses::INPUTS
    }

    fn forward(&self, pass: Forward<'_, T>) {
        let (x, z) = (pass.inputs[0], pass.inputs[1]);
        for_rows(pass.output, 1, |i, row| row[0] = T::dot(x.row(i), z.row(i)));
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let up = pass.upstream.data;
        for (own, other) in [(0, 1), (1, 0)] {
            let other = pass.inputs[other];
            if let Some(grad) = &mut pass.input_grads[own] {
                let add = grad.accumulate;
                for_rows(grad.data, other.cols, |i, row| T::scaled(row, up[i], other.row(i), add));
            }
        }
    }
}
