//! The measuring rod of layers and losses: gradients against finite differences, in double precision.

use brodmann_kernels::Seed;

use super::ops::InnerProduct;
use super::{Mat, Node, ParameterId, Parameters, Step, TapeBuilder};

/// Numbers in −1…1 without pattern.
pub(crate) fn numbers(len: usize, salt: u64) -> Vec<f64> {
    let word = |i: usize| (Seed(salt).word(i as u64) >> 11) as f64 / (1u64 << 53) as f64;
    (0..len).map(|i| 2.0 * word(i) - 1.0).collect()
}

/// Checks `d objective / d θ` of a network for every entry of its inputs and parameters.
///
/// `write` gets the tape and one differentiable node per entry of `inputs`; it adds its own losses. Returns the
/// largest error, relative to `1 + |gradient|`.
pub(crate) fn gradient_error(
    inputs: &[(usize, usize)],
    parameters: &[(usize, usize)],
    training: bool,
    write: impl Fn(&mut TapeBuilder<'static, f64>, &[Node], &[ParameterId]),
) -> f64 {
    let mut values: Vec<Vec<f64>> =
        inputs.iter().enumerate().map(|(k, s)| numbers(s.0 * s.1, k as u64 + 1)).collect();
    let mut weights = Parameters::<f64>::new();
    let ids: Vec<ParameterId> = parameters
        .iter()
        .enumerate()
        .map(|(k, &s)| weights.add(format!("p{k}"), s, numbers(s.0 * s.1, k as u64 + 100)))
        .collect();
    let mut builder = TapeBuilder::new();
    let nodes: Vec<Node> = inputs.iter().map(|s| builder.differentiable_input(s.0, s.1)).collect();
    write(&mut builder, &nodes, &ids);
    let mut tape = builder.build(true);
    let mut run = |values: &[Vec<f64>], weights: &mut Parameters<f64>| {
        let mats: Vec<Mat<'_, f64>> = values.iter().zip(inputs).map(|(v, s)| Mat::new(v, s.0, s.1)).collect();
        let step = Step { training, ..Step::training(Seed(3), &mats) };
        let loss = tape.run(&step, weights).expect("a finite loss");
        let grads: Vec<Vec<f64>> =
            nodes.iter().map(|&n| tape.gradient(n).map_or(Vec::new(), |g| g.data.to_vec())).collect();
        (loss, grads)
    };
    // The second run finds buffers full of old numbers: it must not matter.
    run(&values, &mut weights);
    let (_, input_grads) = run(&values, &mut weights);
    let weight_grads: Vec<Vec<f64>> = weights.iter().map(|p| p.grad.clone()).collect();
    let step = 1e-6;
    let mut worst = 0.0f64;
    for k in 0..values.len() {
        for i in 0..input_grads[k].len() {
            let at = values[k][i];
            values[k][i] = at + step;
            let above = run(&values, &mut weights).0;
            values[k][i] = at - step;
            let below = run(&values, &mut weights).0;
            values[k][i] = at;
            let found = input_grads[k][i];
            let error = ((above - below) / (2.0 * step) - found).abs() / (1.0 + found.abs());
            worst = worst.max(error);
        }
    }
    for k in 0..weight_grads.len() {
        for i in 0..weight_grads[k].len() {
            let name = format!("p{k}");
            let mut shifted = |by: f64| {
                weights.find_mut(&name).expect("added above").value[i] += by;
                run(&values, &mut weights).0
            };
            let above = shifted(step);
            let below = shifted(-2.0 * step);
            shifted(step);
            let found = weight_grads[k][i];
            let error = ((above - below) / (2.0 * step) - found).abs() / (1.0 + found.abs());
            worst = worst.max(error);
        }
    }
    worst
}

/// [`gradient_error`] of one layer, its output weighed with fixed numbers. The last input of the tape holds those
/// numbers; its own gradient is not asked for.
pub(crate) fn op_error(
    inputs: &[(usize, usize)],
    parameters: &[(usize, usize)],
    output: (usize, usize),
    write: impl Fn(&mut TapeBuilder<'static, f64>, &[Node], &[ParameterId]) -> Node,
) -> f64 {
    let mut all = inputs.to_vec();
    all.push(output);
    gradient_error(&all, parameters, true, |tape, nodes, ids| {
        let (weights, own) = nodes.split_last().expect("one was pushed");
        let y = write(tape, own, ids);
        assert_eq!(tape.shape(y), output);
        // Two consumers, so that gradients are added as well as written.
        tape.loss(InnerProduct, &[y, *weights], &[], 1.0);
        tape.loss(InnerProduct, &[y, *weights], &[], 0.5);
    })
}
