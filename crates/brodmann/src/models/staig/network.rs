//! The network, written down: graph convolutions with PReLU, then two dense layers with ELU between.

use brodmann_kernels::arch::masked::MaskedKernels;
use brodmann_kernels::{Monitor, Seed};

use super::loss::ContrastLoss;
use super::masked_features::MaskedFeatures;
use super::options::StaigOptions;
use super::views::PropagateViews;
use crate::nn::init::{glorot_uniform, kaiming_uniform};
use crate::nn::ops::{Dense, Elu, Prelu};
use crate::nn::{Evaluation, Loss, LossId, Node, ParameterId, Parameters, Scalar, Stop, TapeBuilder};

/// Element types the network exists for.
pub(super) trait Number: Scalar + MaskedKernels {}
impl Number for f32 {}
impl Number for f64 {}

/// Slope of the PReLU before training, as in PyTorch.
const FIRST_SLOPE: f64 = 0.25;

/// Where each parameter lies.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// Weight and bias of each graph convolution.
    encoder: Vec<[ParameterId; 2]>,
    slope: ParameterId,
    projection: [[ParameterId; 2]; 2],
}

/// Initial parameters, with the distributions of PyTorch Geometric (convolutions) and PyTorch (dense layers).
pub(super) fn parameters<T: Number>(
    options: &StaigOptions,
    n_features: usize,
    seed: Seed,
) -> (Parameters<T>, Layout) {
    let mut parameters = Parameters::new();
    let mut draws = 0;
    let mut next_seed = || {
        draws += 1;
        seed.derive("staig/init", draws)
    };
    let mut n_in = n_features;
    let mut encoder = Vec::new();
    for (k, width) in options.layer_widths().into_iter().enumerate() {
        let weight = glorot_uniform(n_in, width, next_seed());
        encoder.push([
            parameters.add(format!("encoder.{k}.weight"), (n_in, width), weight),
            parameters.add(format!("encoder.{k}.bias"), (1, width), vec![T::ZERO; width]),
        ]);
        n_in = width;
    }
    let slope = parameters.add("encoder.slope", (1, 1), vec![T::of(FIRST_SLOPE)]);
    let d = options.width;
    let projection = [0, 1].map(|k| {
        let weight = kaiming_uniform(d, d * d, next_seed());
        let bias = kaiming_uniform(d, d, next_seed());
        [
            parameters.add(format!("projection.{k}.weight"), (d, d), weight),
            parameters.add(format!("projection.{k}.bias"), (1, d), bias),
        ]
    });
    (parameters, Layout { encoder, slope, projection })
}

/// Writes the network for `n_views` views of the same features below each other, and returns its output. Features and
/// graphs are given to each run, as [`Views::sparse`](super::views::Views::sparse) lists them.
pub(super) fn write<T: Number>(
    tape: &mut TapeBuilder<'_, T>,
    options: &StaigOptions,
    layout: &Layout,
    (n_obs, n_features): (usize, usize),
    n_views: usize,
) -> Node {
    let rows = n_views * n_obs;
    let widths = options.layer_widths();
    let mut x: Option<Node> = None;
    for (k, (&[weight, bias], &width)) in layout.encoder.iter().zip(&widths).enumerate() {
        let product = match x {
            None => {
                let op = MaskedFeatures { n_features, n_views, width };
                tape.op(op, &[], &[weight], (rows, width))
            }
            Some(x) => tape.op(Dense { n_in: widths[k - 1], n_out: width }, &[x], &[weight], (rows, width)),
        };
        let convolved = tape.op(PropagateViews, &[product], &[bias], (rows, width));
        x = Some(tape.op(Prelu, &[convolved], &[layout.slope], (rows, width)));
    }
    let d = options.width;
    let dense = Dense { n_in: d, n_out: d };
    let encoded: Vec<Node> = x.into_iter().collect();
    let hidden = tape.op(dense, &encoded, &layout.projection[0], (rows, d));
    let hidden = tape.op(Elu, &[hidden], &[], (rows, d));
    tape.op(Dense { n_in: d, n_out: d }, &[hidden], &layout.projection[1], (rows, d))
}

/// The contrastive loss as the engine sees it: of the upper and the lower half of its input.
struct Objective<'n, T> {
    loss: ContrastLoss<T>,
    bound: f64,
    monitor: &'n dyn Monitor,
}

impl<T: Number> Loss<T> for Objective<'_, T> {
    fn name(&self) -> &'static str {
        "contrast"
    }

    fn evaluate(&mut self, pass: Evaluation<'_, '_, T>) -> Result<f64, Stop> {
        let z = pass.inputs[0];
        let n = z.rows / 2;
        let (first, second) = (z.block(0, n), z.block(n, n));
        let value = self.loss.evaluate_fitting(first.view(), second.view(), self.monitor)?;
        self.bound = value.bound;
        if let Some(grad) = &mut pass.input_grads[0] {
            let (first, second) = grad.data.split_at_mut(n * z.cols);
            self.loss.write_gradient(0, pass.weight, grad.accumulate, first);
            self.loss.write_gradient(1, pass.weight, grad.accumulate, second);
        }
        Ok(value.loss)
    }

    fn bound(&self) -> f64 {
        self.bound
    }
}

/// Adds `weight · loss` to a network.
pub(super) fn contrast<'n, T: Number>(
    tape: &mut TapeBuilder<'n, T>,
    output: Node,
    loss: ContrastLoss<T>,
    weight: f64,
    monitor: &'n dyn Monitor,
) -> LossId {
    tape.loss(Objective { loss, bound: 0.0, monitor }, &[output], &[], weight)
}
