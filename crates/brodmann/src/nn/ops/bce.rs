//! Binary cross-entropy of logits.

use super::sum_blocks;
use crate::nn::mat::for_rows;
use crate::nn::{Evaluation, Loss, Scalar, Stop, sigmoid, softplus};

/// Mean over all entries of `softplus(x)` where the label is 0, of `softplus(−x)` where it is 1; the same label for
/// every entry. `dx = (σ(x) − label) / count`.
pub struct BceWithLogits {
    /// Whether the entries are positives.
    pub label: bool,
}

impl<T: Scalar> Loss<T> for BceWithLogits {
    fn name(&self) -> &'static str {
        "bce"
    }

    fn evaluate(&mut self, pass: Evaluation<'_, '_, T>) -> Result<f64, Stop> {
        let x = pass.inputs[0];
        let count = x.data.len().max(1) as f64;
        let scale = T::of(pass.weight / count);
        let label = if self.label { T::ONE } else { T::ZERO };
        if let Some(grad) = &mut pass.input_grads[0] {
            let add = grad.accumulate;
            for_rows(grad.data, x.cols, |i, row| {
                for (g, &v) in row.iter_mut().zip(x.row(i)) {
                    let value = scale * (sigmoid(v) - label);
                    *g = if add { *g + value } else { value };
                }
            });
        }
        let total = sum_blocks(x.rows, |first, rows| {
            let signed = |v: T| if self.label { -v } else { v };
            x.block(first, rows).data.iter().map(|&v| softplus(signed(v)).to_f64()).sum()
        });
        Ok(total / count)
    }
}
