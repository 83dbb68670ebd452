//! `y = x` above 0, `a · x` below, with a learned slope.

use crate::nn::mat::for_rows;
use crate::nn::{Backward, Forward, Op, Scalar, Uses};

use super::sum_blocks;

/// `y = x` above 0, `a · x` below; parameter `a (1, 1)`, as in PyTorch with one slope for all (0.25 at first).
///
/// `dx = dy` above 0, `a · dy` below; `da = Σ x · dy` over `x < 0`.
pub struct Prelu;

impl<T: Scalar> Op<T> for Prelu {
    fn name(&self) -> &'static str {
        "prelu"
    }

    fn uses(&self) -> Uses {
        Uses::INPUTS
    }

    fn forward(&self, pass: Forward<'_, T>) {
        let (x, slope) = (pass.inputs[0], pass.parameters[0].data[0]);
        for_rows(pass.output, x.cols, |i, row| {
            for (o, &v) in row.iter_mut().zip(x.row(i)) {
                *o = if v < T::ZERO { slope * v } else { v };
            }
        });
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let (x, up, slope) = (pass.inputs[0], pass.upstream, pass.parameters[0].data[0]);
        if let Some(grad) = &mut pass.input_grads[0] {
            let add = grad.accumulate;
            for_rows(grad.data, x.cols, |i, row| {
                for ((g, &v), &u) in row.iter_mut().zip(x.row(i)).zip(up.row(i)) {
                    let value = if v > T::ZERO { u } else { slope * u };
                    *g = if add { *g + value } else { value };
                }
            });
        }
        let total = sum_blocks(x.rows, |first, count| {
            let pairs = x.block(first, count).data.iter().zip(up.block(first, count).data);
            pairs.filter(|(v, _)| **v < T::ZERO).map(|(&v, &u)| (v * u).to_f64()).sum()
        });
        pass.parameter_grads[0][0] += T::of(total);
    }
}
