//! Rows that sum to one.

use crate::nn::mat::for_rows;
use crate::nn::{Backward, Forward, Op, Scalar, Uses};

/// `y = eˣ / Σ eˣ` per row.
///
/// `dx = y ∘ (dy − Σ y ∘ dy)`.
pub struct Softmax;

/// In place, without overflow.
pub(super) fn softmax_row<T: Scalar>(row: &mut [T]) {
    let Some(&first) = row.first() else { return };
    let largest = row.iter().fold(first, |m, &v| m.max(v));
    let mut total = T::ZERO;
    for v in row.iter_mut() {
        *v = (*v - largest).exp();
        total += *v;
    }
    for v in row {
        *v = *v / total;
    }
}

impl<T: Scalar> Op<T> for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn uses(&self) -> Uses {
        Uses::OUTPUT
    }

    fn forward(&self, pass: Forward<'_, T>) {
        let x = pass.inputs[0];
        for_rows(pass.output, x.cols, |i, row| {
            row.copy_from_slice(x.row(i));
            softmax_row(row);
        });
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let (output, up) = (pass.output, pass.upstream);
        if let Some(grad) = &mut pass.input_grads[0] {
            let add = grad.accumulate;
            for_rows(grad.data, output.cols, |i, row| {
                let mean = T::dot(output.row(i), up.row(i));
                for ((g, &y), &u) in row.iter_mut().zip(output.row(i)).zip(up.row(i)) {
                    let value = y * (u - mean);
                    *g = if add { *g + value } else { value };
                }
            });
        }
    }
}
