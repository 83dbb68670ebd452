//! A picture through a residual network.

use burn_tensor::ops::MaxPoolOptions;
use burn_tensor::{Tensor, activation, module};

use super::shape::{Block, EXPANSION, ResNetShape};
use crate::network::{ConvSize, Norm, Tensors, convolve};

/// A convolution and its normalisation: called with the picture, the names of the two and the size.
pub(crate) trait Layer {
    fn pass(&mut self, x: Tensor<4>, conv: &str, norm: &str, size: ConvSize) -> Tensor<4>;
}

/// Both as they are: what training needs.
pub(crate) struct Apart<'a, 'b> {
    /// What the arrays' names begin with before torchvision's name.
    pub prefix: &'a str,
    pub parameters: &'a Tensors,
    pub norm: &'a mut Norm<'b>,
}

impl Layer for Apart<'_, '_> {
    fn pass(&mut self, x: Tensor<4>, conv: &str, norm: &str, size: ConvSize) -> Tensor<4> {
        let prefix = self.prefix;
        let y = convolve(x, self.parameters.get(&format!("{prefix}{conv}.weight")), None, size);
        self.norm.apply(y, self.parameters, &format!("{prefix}{norm}"))
    }
}

/// The normalisation by running statistics within the convolution: its weights scaled and its bias moved by
/// [`fold`](super::fold::fold).
pub(crate) struct Folded<'a>(pub &'a Tensors);

impl Layer for Folded<'_> {
    fn pass(&mut self, x: Tensor<4>, conv: &str, _: &str, size: ConvSize) -> Tensor<4> {
        let [weight, bias] = ["weight", "bias"].map(|part| self.0.get(&format!("{conv}.{part}")));
        convolve(x, weight, Some(bias), size)
    }
}

/// Features (n, 4 · planes\[3\]) of pictures (n, 3, h, w). `watch` sees what leaves the stem and each stage, under
/// torchvision's names.
pub(crate) fn forward(
    shape: &ResNetShape,
    layer: &mut dyn Layer,
    x: Tensor<4>,
    watch: &mut dyn FnMut(&str, &Tensor<4>),
) -> Tensor<2> {
    let stem = ConvSize { out: shape.stem, from: 3, side: 7, stride: 2 };
    let x = activation::relu(layer.pass(x, "conv1", "bn1", stem));
    watch("stem", &x);
    let pool = MaxPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding([1, 1]);
    let mut x = module::max_pool2d(x, pool);
    for block in shape.blocks() {
        x = bottleneck(&block, layer, x);
        if let Some(stage) = block.ends_stage {
            watch(&format!("layer{stage}"), &x);
        }
    }
    let [n, channels, height, width] = x.dims();
    x.reshape([n, channels, height * width]).mean_dim(2).reshape([n, channels])
}

fn bottleneck(block: &Block, layer: &mut dyn Layer, x: Tensor<4>) -> Tensor<4> {
    let (planes, out) = (block.planes, block.planes * EXPANSION);
    let mut pass = |x: Tensor<4>, conv: &str, norm: &str, size: ConvSize| {
        layer.pass(x, &format!("{}.{conv}", block.prefix), &format!("{}.{norm}", block.prefix), size)
    };
    let reduce = ConvSize { out: planes, from: block.n_in, side: 1, stride: 1 };
    let look = ConvSize { out: planes, from: planes, side: 3, stride: block.stride };
    let widen = ConvSize { out, from: planes, side: 1, stride: 1 };
    let project = ConvSize { out, from: block.n_in, side: 1, stride: block.stride };
    let y = activation::relu(pass(x.clone(), "conv1", "bn1", reduce));
    let y = activation::relu(pass(y, "conv2", "bn2", look));
    let y = pass(y, "conv3", "bn3", widen);
    let past = if block.projects { pass(x, "downsample.0", "downsample.1", project) } else { x };
    activation::relu(y + past)
}
