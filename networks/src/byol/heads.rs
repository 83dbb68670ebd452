//! What stands on the encoder in training: projector and predictor, and the loss between two views.

use burn_tensor::{Tensor, activation};

use crate::network::{Norm, Tensors, linear};
use crate::state::{Role, Slot, push_norm};

/// Widths of a perceptron of two layers, from its input to its output.
pub(crate) type Widths = [usize; 3];

/// Arrays of a perceptron: linear, batch normalisation, ReLU, linear.
pub(crate) fn slots(name: &str, [input, hidden, output]: Widths) -> Vec<Slot> {
    let mut slots = Vec::new();
    let layer = |slots: &mut Vec<Slot>, index: usize, out: usize, from: usize| {
        for (part, shape, role) in
            [("weight", vec![out, from], Role::Weight), ("bias", vec![out], Role::Bias)]
        {
            slots.push(Slot { name: format!("{name}.{index}.{part}"), shape, role });
        }
    };
    layer(&mut slots, 0, hidden, input);
    push_norm(&mut slots, &format!("{name}.1"), hidden);
    layer(&mut slots, 3, output, hidden);
    slots
}

/// A batch (n, input) through the perceptron called `name`.
pub(crate) fn perceptron(
    x: Tensor<2>,
    parameters: &Tensors,
    norm: &mut Norm<'_>,
    name: &str,
    [input, hidden, output]: Widths,
) -> Tensor<2> {
    let x = linear(x, parameters, &format!("{name}.0"), [hidden, input]);
    let x = activation::relu(norm.apply(x, parameters, &format!("{name}.1")));
    linear(x, parameters, &format!("{name}.3"), [output, hidden])
}

/// `2 − 2 cos(p, t)` of each row, shape (n, 1).
pub(crate) fn distance(p: Tensor<2>, t: Tensor<2>) -> Tensor<2> {
    let unit = |v: Tensor<2>| {
        // As long as PyTorch's `normalize` takes a row of zeros to be.
        let length = v.clone().square().sum_dim(1).sqrt().clamp_min(1e-12);
        v / length
    };
    (unit(p) * unit(t)).sum_dim(1).mul_scalar(-2.0).add_scalar(2.0)
}
