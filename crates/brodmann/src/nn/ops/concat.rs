//! Matrices side by side.

use crate::nn::mat::for_rows;
use crate::nn::{Backward, Forward, Op, Scalar, Uses};

/// `Y = [X_1 | X_2 | …]`; the gradient is cut the same way.
pub struct Concat;

impl<T: Scalar> Op<T> for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn uses(&self) -> Uses {
        Uses::NOTHING
    }

    fn forward(&self, pass: Forward<'_, T>) {
        let cols = pass.inputs.iter().map(|x| x.cols).sum();
        for_rows(pass.output, cols, |i, row| {
            let mut start = 0;
            for x in pass.inputs {
                row[start..start + x.cols].copy_from_slice(x.row(i));
                start += x.cols;
            }
        });
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let up = pass.upstream;
        let mut start = 0;
        for (x, grad) in pass.inputs.iter().zip(pass.input_grads) {
            if let Some(grad) = grad {
                let add = grad.accumulate;
                for_rows(grad.data, x.cols, |i, row| {
                    T::scaled(row, T::ONE, &up.row(i)[start..start + x.cols], add);
                });
            }
            start += x.cols;
        }
    }
}
