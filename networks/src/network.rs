//! Layers on the engine's tensors: convolution, batch normalisation, linear layers, with the running statistics.

use std::collections::BTreeMap;

use burn_tensor::ops::ConvOptions;
use burn_tensor::{DType, Device, Tensor, TensorData, module};
use ndarray::{ArrayD, IxDyn};

use crate::state::{Slot, StateDict};

/// What is added to a variance before its root is taken.
pub(crate) const EPSILON: f64 = 1e-5;
/// Weight of a batch in the running statistics.
pub(crate) const MOMENTUM: f64 = 0.1;

/// Arrays of a network on a device, each as one long vector: the optimiser, the moving average and the files treat
/// them alike, and a layer gives them their shape.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tensors(pub BTreeMap<String, Tensor<1>>);

impl Tensors {
    /// Copies arrays to a device.
    pub fn upload<'a>(
        slots: impl IntoIterator<Item = &'a Slot>,
        state: &StateDict,
        device: &Device,
        dtype: DType,
    ) -> Self {
        let one = |slot: &'a Slot| {
            let values: Vec<f32> = state[&slot.name].iter().copied().collect();
            let data = TensorData::new(values, [slot.len()]);
            (slot.name.clone(), Tensor::<1>::from_data(data, (device, dtype)))
        };
        Self(slots.into_iter().map(one).collect())
    }

    /// Copies arrays back, as 32-bit floats.
    pub fn download<'a>(&self, slots: impl IntoIterator<Item = &'a Slot>) -> StateDict {
        let one = |slot: &'a Slot| {
            let values = values_of(self.get(&slot.name));
            let array = ArrayD::from_shape_vec(IxDyn(&slot.shape), values);
            (slot.name.clone(), array.expect("a tensor keeps the length of the slot it was made for"))
        };
        slots.into_iter().map(one).collect()
    }

    /// The array called `name`, which the network has.
    pub fn get(&self, name: &str) -> Tensor<1> {
        self.0.get(name).unwrap_or_else(|| panic!("the network has an array {name}")).clone()
    }

    /// Copies whose gradients are recorded, apart from those of any other copy.
    pub fn leaves(&self) -> Self {
        let leaf = |t: &Tensor<1>| t.clone().without_autodiff().autodiff().require_grad();
        Self(self.0.iter().map(|(name, t)| (name.clone(), leaf(t))).collect())
    }
}

/// Values of a tensor as 32-bit floats.
pub(crate) fn values_of<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data_dtype(DType::F32).try_into_vec::<f32>().expect("the data was converted to 32-bit floats")
}

/// Mean and biased variance of a batch, and of how many values they are.
#[derive(Clone, Debug)]
pub(crate) struct BatchStatistics {
    pub name: String,
    pub mean: Tensor<1>,
    pub variance: Tensor<1>,
    pub n_values: usize,
}

/// What a batch normalisation divides by.
pub(crate) enum Norm<'a> {
    /// Running statistics, as a trained network uses them; here only beside PyTorch, as `fold` does without.
    #[cfg(test)]
    Running(&'a Tensors),
    /// Those of the batch, noted down: the network is trained.
    Batch(&'a mut Vec<BatchStatistics>),
}

impl Norm<'_> {
    /// Normalises dimension 1 of `x`.
    pub fn apply<const D: usize>(&mut self, x: Tensor<D>, parameters: &Tensors, name: &str) -> Tensor<D> {
        let [scale, shift] = ["weight", "bias"].map(|part| parameters.get(&format!("{name}.{part}")));
        match self {
            #[cfg(test)]
            Self::Running(statistics) => {
                let [mean, variance] =
                    ["running_mean", "running_var"].map(|part| statistics.get(&format!("{name}.{part}")));
                module::batch_norm(x, scale, shift, mean, variance, EPSILON)
            }
            Self::Batch(seen) => {
                let dims = x.dims();
                let n_values = dims.iter().product::<usize>() / dims[1];
                let out = module::batch_norm_train(x, scale, shift, EPSILON);
                seen.push(BatchStatistics {
                    name: name.to_owned(),
                    mean: out.mean.without_autodiff(),
                    variance: out.variance.without_autodiff(),
                    n_values,
                });
                out.output
            }
        }
    }
}

/// Moves running statistics towards those of a batch; the variance is the unbiased one, as in PyTorch.
pub(crate) fn update_statistics(running: &mut Tensors, seen: Vec<BatchStatistics>) {
    for batch in seen {
        let n = batch.n_values as f64;
        let unbiased = batch.variance.mul_scalar(n / (n - 1.0).max(1.0));
        for (part, value) in [("running_mean", batch.mean), ("running_var", unbiased)] {
            let name = format!("{}.{part}", batch.name);
            let moved = running.get(&name).mul_scalar(1.0 - MOMENTUM) + value.mul_scalar(MOMENTUM);
            running.0.insert(name, moved);
        }
    }
}

/// Size of a convolution with square weights (out, from, side, side) and `side / 2` zeros around the picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConvSize {
    pub out: usize,
    pub from: usize,
    pub side: usize,
    pub stride: usize,
}

/// A convolution.
pub(crate) fn convolve(
    x: Tensor<4>,
    weight: Tensor<1>,
    bias: Option<Tensor<1>>,
    size: ConvSize,
) -> Tensor<4> {
    let ConvSize { out, from, side, stride } = size;
    let options = ConvOptions::new([stride; 2], [side / 2; 2], [1, 1], 1);
    module::conv2d(x, weight.reshape([out, from, side, side]), bias, options)
}

/// A linear layer: weights (out, in) as PyTorch has them.
pub(crate) fn linear(x: Tensor<2>, parameters: &Tensors, name: &str, [out, from]: [usize; 2]) -> Tensor<2> {
    let weight = parameters.get(&format!("{name}.weight")).reshape([out, from]);
    let bias = parameters.get(&format!("{name}.bias"));
    x.matmul(weight.transpose()) + bias.reshape([1, out])
}
