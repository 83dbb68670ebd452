//! One minus the mean cosine of matching rows.

use brodmann_kernels::ParallelLoop;
use rayon::prelude::*;

use super::ordered_sum;
use crate::nn::mat::BLOCK_ROWS;
use crate::nn::{Evaluation, Loss, Scalar, Stop};

/// `1 − mean cos(x_i, z_i)` over rows; over all pairs where there are more than two inputs. Lengths below 1e-8 count
/// as 1e-8, so that an empty row has cosine 0.
///
/// `d cos/dx = (z/‖z‖ − cos · x/‖x‖) / ‖x‖`.
pub struct Cosine;

const SHORTEST: f64 = 1e-8;

/// The rows of a block of one gradient, and whether to add; `None` where nobody asks.
type BlockGrad<'a, T> = Option<(&'a mut [T], bool)>;

impl<T: Scalar> Loss<T> for Cosine {
    fn name(&self) -> &'static str {
        "cosine"
    }

    fn evaluate(&mut self, pass: Evaluation<'_, '_, T>) -> Result<f64, Stop> {
        let inputs = pass.inputs;
        let (rows, d) = (inputs[0].rows, inputs[0].cols);
        let n_pairs = inputs.len() * (inputs.len() - 1) / 2;
        if n_pairs == 0 || rows == 0 || d == 0 {
            return Ok(0.0);
        }
        let count = (n_pairs * rows) as f64;
        let scale = -pass.weight / count;
        let n_blocks = rows.div_ceil(BLOCK_ROWS);
        let mut blocks: Vec<Vec<BlockGrad<'_, T>>> = (0..n_blocks).map(|_| Vec::new()).collect();
        for grad in pass.input_grads.iter_mut() {
            match grad {
                Some(grad) => {
                    let add = grad.accumulate;
                    let chunks = grad.data.chunks_mut(BLOCK_ROWS * d);
                    blocks.iter_mut().zip(chunks).for_each(|(b, rows)| b.push(Some((rows, add))));
                }
                None => blocks.iter_mut().for_each(|b| b.push(None)),
            }
        }
        let parts: Vec<f64> = blocks
            .par_iter_mut()
            .enumerate()
            .map(|(b, grads)| {
                let first = b * BLOCK_ROWS;
                let mut total = 0.0;
                for i in 0..BLOCK_ROWS.min(rows - first) {
                    total += one_row(inputs, first + i, scale, |m, coefficient, source, fresh| {
                        if let Some((rows, add)) = &mut grads[m] {
                            let row = &mut rows[i * d..(i + 1) * d];
                            T::scaled(row, T::of(coefficient), source, *add || !fresh);
                        }
                    });
                }
                total
            })
            .collect_vec();
        Ok(1.0 - ordered_sum(&parts) / count)
    }
}

/// The sum of cosines of row `i` over pairs; `give(m, a, x, fresh)` adds `a · x` to the gradient of input `m`, `fresh`
/// being its first contribution to that row.
fn one_row<T: Scalar>(
    inputs: &[crate::nn::Mat<'_, T>],
    i: usize,
    scale: f64,
    mut give: impl FnMut(usize, f64, &[T], bool),
) -> f64 {
    let length = |m: usize| T::dot(inputs[m].row(i), inputs[m].row(i)).to_f64().sqrt();
    let mut total = 0.0;
    for a in 0..inputs.len() {
        let x = inputs[a].row(i);
        let own = length(a);
        let divisor = own.max(SHORTEST);
        let mut along = 0.0;
        let mut fresh = true;
        for b in (0..inputs.len()).filter(|&b| b != a) {
            let z = inputs[b].row(i);
            let other = length(b).max(SHORTEST);
            let cosine = T::dot(x, z).to_f64() / (divisor * other);
            if a < b {
                total += cosine;
            }
            give(a, scale / (divisor * other), z, fresh);
            fresh = false;
            along += cosine;
        }
        // Below the shortest length the divisor is constant.
        if own > SHORTEST {
            give(a, -scale * along / (divisor * divisor), x, false);
        }
    }
    total
}
