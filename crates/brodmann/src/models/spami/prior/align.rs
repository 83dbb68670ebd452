//! The term that draws anchored spots of the target to their partners in the reference.

use brodmann_kernels::ParallelLoop;
use rayon::prelude::*;

use crate::nn::mat::BLOCK_ROWS;
use crate::nn::ops::ordered_sum;
use crate::nn::{Evaluation, Grad, Loss, Mat, Scalar, Stop};

/// Shorter rows have no direction, and no part in the loss.
const SHORTEST: f64 = 1e-8;

/// `L_mnn = Σ v_ij (1 − cos(z_i, r_j))` over anchors, for `z` of the target and `r` of the reference. The weights `v` are
/// the sparse matrix in `slot` of the step, `(n_target, n_reference)`, and in the next one its transpose; the caller
/// divides them by the number of pairs.
///
/// `d cos/dz = (r/‖r‖ − cos · z/‖z‖) / ‖z‖`.
pub(in super::super) struct Aligned {
    /// Of the weights among [`Step::sparse`](crate::nn::Step::sparse).
    pub slot: usize,
}

impl<T: Scalar> Loss<T> for Aligned {
    fn name(&self) -> &'static str {
        "aligned"
    }

    fn evaluate(&mut self, pass: Evaluation<'_, '_, T>) -> Result<f64, Stop> {
        let weights = [pass.step.sparse[self.slot], pass.step.sparse[self.slot + 1]];
        let (z, r) = (pass.inputs[0], pass.inputs[1]);
        let lengths = [lengths(z), lengths(r)];
        let mut total = 0.0;
        for (side, grad) in pass.input_grads.iter_mut().enumerate() {
            let (own, other) = if side == 0 { (z, r) } else { (r, z) };
            let scale = -pass.weight;
            let length = [&lengths[side], &lengths[1 - side]];
            let value = one_side(own, other, length, weights[side], scale, grad.as_mut());
            // Both sides sum the same terms.
            if side == 0 {
                total = value;
            }
        }
        Ok(total)
    }
}

fn lengths<T: Scalar>(rows: Mat<'_, T>) -> Vec<f64> {
    (0..rows.rows).into_par_iter().map(|i| T::dot(rows.row(i), rows.row(i)).to_f64().sqrt()).collect_vec()
}

/// The loss by the rows of one side, and the gradient by them.
fn one_side<T: Scalar>(
    own: Mat<'_, T>,
    other: Mat<'_, T>,
    [own_length, other_length]: [&Vec<f64>; 2],
    weights: brodmann_kernels::CsrView<'_, T>,
    scale: f64,
    grad: Option<&mut Grad<'_, T>>,
) -> f64 {
    let (rows, d) = (own.rows, own.cols);
    let block = |first: usize, mut out: Option<(&mut [T], bool)>| {
        let mut total = 0.0;
        for i in 0..BLOCK_ROWS.min(rows - first) {
            let x = own.row(first + i);
            let mut place = out.as_mut().map(|(rows, add)| (&mut rows[i * d..(i + 1) * d], *add));
            if let Some((row, false)) = &mut place {
                row.fill(T::ZERO);
            }
            let (partners, values) = weights.row(first + i);
            let length = own_length[first + i];
            let mut along = 0.0;
            for (&j, &v) in partners.iter().zip(values) {
                let (y, theirs, v) = (other.row(j as usize), other_length[j as usize], v.to_f64());
                if length < SHORTEST || theirs < SHORTEST {
                    total += v;
                    continue;
                }
                let cosine = T::dot(x, y).to_f64() / (length * theirs);
                total += v * (1.0 - cosine);
                along += v * cosine;
                if let Some((row, _)) = &mut place {
                    T::scaled(row, T::of(scale * v / (length * theirs)), y, true);
                }
            }
            if along != 0.0
                && let Some((row, _)) = &mut place
            {
                T::scaled(row, T::of(-scale * along / (length * length)), x, true);
            }
        }
        total
    };
    let n_blocks = rows.div_ceil(BLOCK_ROWS);
    let parts: Vec<f64> = match grad {
        Some(grad) => {
            let add = grad.accumulate;
            grad.data
                .par_chunks_mut(BLOCK_ROWS * d)
                .enumerate()
                .map(|(b, rows)| block(b * BLOCK_ROWS, Some((rows, add))))
                .collect_vec()
        }
        None => (0..n_blocks).into_par_iter().map(|b| block(b * BLOCK_ROWS, None)).collect_vec(),
    };
    ordered_sum(&parts)
}

#[cfg(test)]
mod tests {
    use brodmann_kernels::{CsrMatrix, Seed};

    use super::*;
    use crate::nn::check::numbers;
    use crate::nn::{Parameters, Step, TapeBuilder};

    /// Loss and gradients for rows given.
    fn run(z: &[f64], r: &[f64], d: usize, pairs: &CsrMatrix<f64>) -> (f64, Vec<f64>, Vec<f64>) {
        let back = pairs.view().transpose();
        let mut tape = TapeBuilder::<f64>::new();
        let nodes = [tape.differentiable_input(z.len() / d, d), tape.differentiable_input(r.len() / d, d)];
        tape.loss(Aligned { slot: 0 }, &nodes, &[], 1.5);
        tape.loss(Aligned { slot: 0 }, &nodes, &[], 0.5);
        let mut tape = tape.build(true);
        let inputs = [Mat::new(z, z.len() / d, d), Mat::new(r, r.len() / d, d)];
        let sparse = [pairs.view(), back.view()];
        let step = Step { sparse: &sparse, ..Step::training(Seed(1), &inputs) };
        let loss = tape.run(&step, &mut Parameters::new()).expect("finite");
        let grad = |node| tape.gradient(node).expect("asked for").data.to_vec();
        (loss, grad(nodes[0]), grad(nodes[1]))
    }

    #[test]
    fn rows_of_one_direction_cost_nothing_and_opposite_ones_twice_their_weight() {
        let pairs = CsrMatrix::from_rows(2, &[vec![(0, 0.25), (1, 0.5)], vec![]]);
        let (loss, ..) = run(&[2.0, 0.0, 5.0, 5.0], &[1.0, 0.0, -3.0, 0.0], 2, &pairs);
        assert_eq!(loss, 2.0 * 2.0 * 0.5);
    }

    #[test]
    fn it_walks_back_as_finite_differences_say() {
        let (n, m, d) = (5, 4, 3);
        let (mut z, mut r) = (numbers(n * d, 1), numbers(m * d, 2));
        // One spot without anchors, one reference without, and one row without a direction.
        let rows = [vec![(0, 0.3), (2, 0.1)], vec![(1, 0.2)], vec![], vec![(0, 0.4)], vec![(2, 0.7)]];
        let pairs = CsrMatrix::from_rows(m, &rows);
        z[3 * d..4 * d].fill(0.0);
        let (_, grad_z, grad_r) = run(&z, &r, d, &pairs);
        let step = 1e-6;
        for (k, grad) in [&grad_z, &grad_r].into_iter().enumerate() {
            for i in (0..grad.len()).filter(|i| k == 1 || !(3 * d..4 * d).contains(i)) {
                let mut at = |by: f64| {
                    if k == 0 {
                        z[i] += by;
                    } else {
                        r[i] += by;
                    }
                    run(&z, &r, d, &pairs).0
                };
                let (above, below) = (at(step), at(-2.0 * step));
                at(step);
                let expected = (above - below) / (2.0 * step);
                assert!((expected - grad[i]).abs() < 1e-7 * (1.0 + expected.abs()), "{k} {i}");
            }
        }
        assert!(grad_z[3 * d..4 * d].iter().chain(&grad_r[3 * d..]).all(|g| *g == 0.0));
    }
}
