//! Rows of length one.

use crate::nn::mat::for_rows;
use crate::nn::{Backward, Forward, Op, Scalar, Uses};

/// `y = x / max(‖x‖, 1e-12)` per row, as PyTorch's `normalize`.
///
/// `dx = (dy − y (y·dy)) / ‖x‖`; rows shorter than 1e-12 pass `dy / 1e-12`.
pub struct L2Norm;

/// Shorter rows are divided by this instead of their length.
const SHORTEST: f64 = 1e-12;

/// The divisor of a row, and whether it is the row's own length.
pub fn length<T: Scalar>(row: &[T]) -> (T, bool) {
    let length = T::dot(row, row).sqrt();
    if length > T::of(SHORTEST) { (length, true) } else { (T::of(SHORTEST), false) }
}

impl<T: Scalar> Op<T> for L2Norm {
    fn name(&self) -> &'static str {
        "l2_norm"
    }

    fn uses(&self) -> Uses {
        Uses::INPUTS
    }

    fn forward(&self, pass: Forward<'_, T>) {
        let x = pass.inputs[0];
        for_rows(pass.output, x.cols, |i, row| {
            let (length, _) = length(x.row(i));
            T::scaled(row, T::ONE / length, x.row(i), false);
        });
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let (x, up) = (pass.inputs[0], pass.upstream);
        if let Some(grad) = &mut pass.input_grads[0] {
            let add = grad.accumulate;
            for_rows(grad.data, x.cols, |i, row| {
                let (length, own) = length(x.row(i));
                let inverse = T::ONE / length;
                T::scaled(row, inverse, up.row(i), add);
                if own {
                    let along = T::dot(x.row(i), up.row(i)) * inverse * inverse * inverse;
                    T::scaled(row, -along, x.row(i), true);
                }
            });
        }
    }
}
