//! The network of SpaMI, written down as in the paper.

use brodmann_kernels::Seed;

use super::contrast::Contrast;
use super::graph::Operators;
use super::options::{Fusion, SpamiOptions};
use super::prior::{Aligned, Labelled};
use crate::nn::init::{glorot_uniform, kaiming_uniform};
use crate::nn::ops::{Attention, Concat, Corrupt, Cosine, Mse, Perceptron, Propagate, WeightedSum};
use crate::nn::{LossId, Node, ParameterId, Parameters, Scalar, Tape, TapeBuilder};

/// The parameters of a two-layer graph network: `Â · relu(Â · X · W₁ + b₁) · W₂ + b₂`.
#[derive(Clone, Copy, Debug)]
struct TwoLayers {
    n_in: usize,
    n_out: usize,
    weight1: ParameterId,
    bias1: ParameterId,
    weight2: ParameterId,
    bias2: ParameterId,
}

/// Where each parameter lies.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    encoders: Vec<TwoLayers>,
    /// `W`, `b`.
    discriminators: Vec<Option<[ParameterId; 2]>>,
    decoders: Vec<TwoLayers>,
    /// `Wω`, `uω`.
    attention: Option<[ParameterId; 2]>,
}

/// Initial parameters: Glorot for graph layers and attention with biases at zero, PyTorch's own for the bilinear
/// discriminator. What an ablation leaves out has no parameters.
pub(super) fn parameters<T: Scalar>(
    options: &SpamiOptions,
    widths: &[usize],
    seed: Seed,
) -> (Parameters<T>, Layout) {
    let mut parameters = Parameters::new();
    let (hidden, latent, n) = (options.hidden, options.latent, widths.len());
    let mut draws = 0;
    let mut next_seed = || {
        draws += 1;
        seed.derive("spami/init", draws)
    };
    let mut two_layers = |name: String, n_in: usize, n_out: usize| {
        let first = glorot_uniform(n_in, hidden, next_seed());
        let second = glorot_uniform(hidden, n_out, next_seed());
        TwoLayers {
            n_in,
            n_out,
            weight1: parameters.add(format!("{name}.weight1"), (n_in, hidden), first),
            bias1: parameters.add(format!("{name}.bias1"), (1, hidden), vec![T::ZERO; hidden]),
            weight2: parameters.add(format!("{name}.weight2"), (hidden, n_out), second),
            bias2: parameters.add(format!("{name}.bias2"), (1, n_out), vec![T::ZERO; n_out]),
        }
    };
    let encoders = (0..n).map(|m| two_layers(format!("encoder.{m}"), widths[m], latent)).collect();
    let fused = options.embedding_width(n);
    let decoders = (0..n).map(|m| two_layers(format!("decoder.{m}"), fused, widths[m])).collect();
    let discriminators = (0..n)
        .map(|m| {
            (options.contrast_weight(m) > 0.0).then(|| {
                let weight = kaiming_uniform(latent, latent * latent, next_seed());
                let bias = kaiming_uniform(latent, 1, next_seed());
                [
                    parameters.add(format!("discriminator.{m}.weight"), (latent, latent), weight),
                    parameters.add(format!("discriminator.{m}.bias"), (1, 1), bias),
                ]
            })
        })
        .collect();
    let attention = (n > 1 && options.fusion == Fusion::Attention).then(|| {
        let omega = glorot_uniform(latent, latent, next_seed());
        let context = glorot_uniform(latent, 1, next_seed());
        [
            parameters.add("attention.weight", (latent, latent), omega),
            parameters.add("attention.context", (latent, 1), context),
        ]
    });
    (parameters, Layout { encoders, discriminators, decoders, attention })
}

/// What a pass over the network yields.
#[derive(Clone, Debug)]
pub(super) struct Nodes {
    pub embeddings: Vec<Node>,
    pub fused: Node,
    pub reconstructions: Vec<Node>,
    /// Whether the fused node saves attention weights.
    pub attends: bool,
    pub contrast: Vec<Option<LossId>>,
    pub reconstruction: Vec<Option<LossId>>,
    pub cosine: Option<LossId>,
}

struct Writer<'a, T> {
    tape: TapeBuilder<'static, T>,
    options: &'a SpamiOptions,
    operators: &'a Operators<T>,
    n_obs: usize,
    training: bool,
}

/// Writes the network down; in training with its losses.
pub(super) fn write<T: Scalar>(
    options: &SpamiOptions,
    layout: &Layout,
    operators: &Operators<T>,
    n_obs: usize,
    training: bool,
) -> (TapeBuilder<'static, T>, Nodes) {
    let n = layout.encoders.len();
    let mut writer = Writer { tape: TapeBuilder::new(), options, operators, n_obs, training };
    let features: Vec<Node> = layout.encoders.iter().map(|e| writer.tape.input(n_obs, e.n_in)).collect();

    let mut embeddings = Vec::with_capacity(n);
    let mut contrast = Vec::with_capacity(n);
    for m in 0..n {
        let z = writer.two_layers(features[m], layout.encoders[m], None);
        embeddings.push(z);
        contrast.push(layout.discriminators[m].filter(|_| training).map(|discriminator| {
            let z_permuted = writer.two_layers(features[m], layout.encoders[m], Some(m));
            let loss = Contrast { context: operators.context.clone(), width: options.latent };
            writer.tape.loss(loss, &[z, z_permuted], &discriminator, options.contrast_weight(m))
        }));
    }
    let cosine = (training && n > 1 && options.cosine && options.cosine_weight > 0.0)
        .then(|| writer.tape.loss(Cosine, &embeddings, &[], options.cosine_weight));

    let fused = writer.fuse(&embeddings, layout);
    let mut reconstructions = Vec::with_capacity(n);
    let mut reconstruction = Vec::with_capacity(n);
    for m in 0..n {
        let weight = options.reconstruction_weight(m);
        let x = writer.two_layers(fused, layout.decoders[m], None);
        reconstructions.push(x);
        reconstruction.push(training.then(|| writer.tape.loss(Mse, &[x, features[m]], &[], weight)));
    }
    let attends = layout.attention.is_some();
    let nodes = Nodes { embeddings, fused, reconstructions, attends, contrast, reconstruction, cosine };
    (writer.tape, nodes)
}

impl<T: Scalar> Writer<'_, T> {
    /// Dropout on the input, then two graph convolutions with a ReLU between.
    fn two_layers(&mut self, x: Node, layers: TwoLayers, permutation: Option<usize>) -> Node {
        let n_obs = self.n_obs;
        let dropout = if self.training { self.options.dropout } else { 0.0 };
        let x = if dropout > 0.0 || permutation.is_some() {
            self.tape.op(Corrupt { dropout, permutation }, &[x], &[], (n_obs, layers.n_in))
        } else {
            x
        };
        let near = self.propagate(x, layers.n_in, &[]);
        let perceptron = Perceptron { n_in: layers.n_in, hidden: self.options.hidden, n_out: layers.n_out };
        let weights = [layers.weight1, layers.bias1, layers.weight2];
        let y = self.tape.op(perceptron, &[near], &weights, (n_obs, layers.n_out));
        self.propagate(y, layers.n_out, &[layers.bias2])
    }

    fn propagate(&mut self, x: Node, width: usize, bias: &[ParameterId]) -> Node {
        let operator = self.operators.normalized.clone();
        self.tape.op(Propagate { operator }, &[x], bias, (self.n_obs, width))
    }

    fn fuse(&mut self, embeddings: &[Node], layout: &Layout) -> Node {
        let (n, width) = (embeddings.len(), self.options.latent);
        let shape = (self.n_obs, self.options.embedding_width(n));
        match (layout.attention, self.options.fusion) {
            _ if n == 1 => embeddings[0],
            (Some(weights), _) => self.tape.op(Attention { width, n_inputs: n }, embeddings, &weights, shape),
            (None, Fusion::Concat) => self.tape.op(Concat, embeddings, &[], shape),
            (None, _) => {
                let weights = vec![1.0 / n as f64; n];
                self.tape.op(WeightedSum { weights }, embeddings, &[], shape)
            }
        }
    }
}

/// Parameters of SpaMI-P alone begin with this.
pub(super) const PRIOR: &str = "prior.";

/// Where the parameters of a reference lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct PriorLayout {
    encoder: TwoLayers,
    /// `W`, `b`.
    head: [ParameterId; 2],
}

/// Adds the encoder and the label head of a reference. They draw from streams of their own, so that the others begin as
/// they do without one.
pub(super) fn prior_parameters<T: Scalar>(
    parameters: &mut Parameters<T>,
    options: &SpamiOptions,
    n_modalities: usize,
    (n_in, n_labels): (usize, usize),
    seed: Seed,
) -> PriorLayout {
    let (hidden, n_out) = (options.hidden, options.embedding_width(n_modalities));
    let draw = |k| seed.derive("spami/init/prior", k);
    let mut add = |name: &str, shape, value| parameters.add(format!("{PRIOR}{name}"), shape, value);
    let encoder = TwoLayers {
        n_in,
        n_out,
        weight1: add("encoder.weight1", (n_in, hidden), glorot_uniform(n_in, hidden, draw(0))),
        bias1: add("encoder.bias1", (1, hidden), vec![T::ZERO; hidden]),
        weight2: add("encoder.weight2", (hidden, n_out), glorot_uniform(hidden, n_out, draw(1))),
        bias2: add("encoder.bias2", (1, n_out), vec![T::ZERO; n_out]),
    };
    let head = [
        add("head.weight", (n_out, n_labels), glorot_uniform(n_out, n_labels, draw(2))),
        add("head.bias", (1, n_labels), vec![T::ZERO; n_labels]),
    ];
    PriorLayout { encoder, head }
}

/// What a pass over the reference yields.
#[derive(Clone, Copy, Debug)]
pub(super) struct PriorNodes {
    pub embedding: Node,
    pub aligned: LossId,
    pub labelled: LossId,
}

/// Writes the reference down behind a network in training; its features are the last input.
pub(super) fn write_prior<T: Scalar>(
    tape: TapeBuilder<'static, T>,
    fused: Node,
    options: &SpamiOptions,
    layout: &PriorLayout,
    operators: &Operators<T>,
    labels: Labelled,
    [align_weight, label_weight]: [f64; 2],
) -> (TapeBuilder<'static, T>, PriorNodes) {
    let n_obs = labels.labels.len();
    let mut writer = Writer { tape, options, operators, n_obs, training: true };
    let features = writer.tape.input(n_obs, layout.encoder.n_in);
    let embedding = writer.two_layers(features, layout.encoder, None);
    let aligned = writer.tape.loss(Aligned { slot: 0 }, &[fused, embedding], &[], align_weight);
    let labelled = writer.tape.loss(labels, &[embedding], &layout.head, label_weight);
    (writer.tape, PriorNodes { embedding, aligned, labelled })
}

/// A tape without losses that keeps what a user wants to see.
pub(super) fn inference<T: Scalar>(
    options: &SpamiOptions,
    layout: &Layout,
    operators: &Operators<T>,
    n_obs: usize,
) -> (Tape<'static, T>, Nodes) {
    let (mut tape, nodes) = write(options, layout, operators, n_obs, false);
    tape.keep(nodes.fused);
    nodes.embeddings.iter().chain(&nodes.reconstructions).for_each(|&n| tape.keep(n));
    (tape.build(false), nodes)
}
