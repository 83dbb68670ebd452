//! Mean squared error.

use rayon::prelude::*;

use super::ordered_sum;
use crate::nn::mat::{BLOCK_ROWS, for_rows};
use crate::nn::{Evaluation, Loss, Scalar, Stop};

/// `mean (x − t)²` over all entries, for inputs `x` and `t`; `dx = 2 (x − t) / (n · cols)`, `dt = −dx`.
pub struct Mse;

impl<T: Scalar> Loss<T> for Mse {
    fn name(&self) -> &'static str {
        "mse"
    }

    fn evaluate(&mut self, pass: Evaluation<'_, '_, T>) -> Result<f64, Stop> {
        let (x, target) = (pass.inputs[0], pass.inputs[1]);
        let count = x.data.len().max(1) as f64;
        let scale = T::of(2.0 * pass.weight / count);
        let block = BLOCK_ROWS * x.cols.max(1);
        if let Some(grad) = &mut pass.input_grads[1] {
            let add = grad.accumulate;
            for_rows(grad.data, x.cols, |i, row| {
                T::squared_error(row, target.row(i), x.row(i), scale, add);
            });
        }
        let pairs = x.data.par_chunks(block).zip(target.data.par_chunks(block));
        let parts: Vec<f64> = match &mut pass.input_grads[0] {
            Some(grad) => {
                let add = grad.accumulate;
                let grads = grad.data.par_chunks_mut(block);
                pairs.zip(grads).map(|((x, t), g)| T::squared_error(g, x, t, scale, add).to_f64()).collect()
            }
            None => pairs
                .map(|(x, t)| x.iter().zip(t).map(|(&x, &t)| ((x - t) * (x - t)).to_f64()).sum())
                .collect(),
        };
        Ok(ordered_sum(&parts) / count)
    }
}
