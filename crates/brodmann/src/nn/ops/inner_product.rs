//! A given gradient as a loss: the adjoint of a network, and the measuring rod of its checks.

use crate::nn::mat::for_rows;
use crate::nn::{Evaluation, Loss, Scalar, Stop};

use super::sum_blocks;

/// `Σ x ∘ c` for inputs `x` and `c`; `dx = c`, `dc = x`.
pub struct InnerProduct;

impl<T: Scalar> Loss<T> for InnerProduct {
    fn name(&self) -> &'static str {
        "inner_product"
    }

    fn evaluate(&mut self, pass: Evaluation<'_, '_, T>) -> Result<f64, Stop> {
        let (x, c) = (pass.inputs[0], pass.inputs[1]);
        let weight = T::of(pass.weight);
        for (own, other) in [(0, c), (1, x)] {
            if let Some(grad) = &mut pass.input_grads[own] {
                let add = grad.accumulate;
                for_rows(grad.data, x.cols, |i, row| T::scaled(row, weight, other.row(i), add));
            }
        }
        Ok(sum_blocks(x.rows, |first, count| {
            let pairs = x.block(first, count).data.iter().zip(c.block(first, count).data);
            pairs.map(|(&x, &c)| (x * c).to_f64()).sum()
        }))
    }
}
