//! One step of BYOL: two views of a batch, their loss, its gradient, Adam, and the moving average.

use std::collections::BTreeMap;

use brodmann_kernels::Seed;
use burn_tensor::{DType, Device, Tensor};
use rayon::prelude::*;

use super::heads::{self, Widths, distance, perceptron};
use crate::device::Engine;
use crate::error::HistologyError;
use crate::network::{BatchStatistics, Norm, Tensors, update_statistics, values_of};
use crate::resnet::forward::{Apart, forward};
use crate::resnet::{ResNet, ResNetShape, slots_below};
use crate::state::{Slot, StateDict};
use crate::weights::draw;

/// What the encoder's arrays are called beside those of the heads.
pub(crate) const ENCODER: &str = "encoder.";
const PROJECTOR: &str = "projector";
const PREDICTOR: &str = "predictor";

/// Sizes of everything that is trained.
#[derive(Clone, Debug)]
pub(crate) struct Architecture {
    pub shape: ResNetShape,
    pub hidden: usize,
    pub output: usize,
}

impl Architecture {
    fn projector(&self) -> Widths {
        [self.shape.n_features(), self.hidden, self.output]
    }

    fn predictor(&self) -> Widths {
        [self.output, self.hidden, self.output]
    }

    fn heads(&self) -> Vec<Slot> {
        let mut slots = heads::slots(PROJECTOR, self.projector());
        slots.extend(heads::slots(PREDICTOR, self.predictor()));
        slots
    }

    /// Every array of the network that learns.
    pub fn slots(&self) -> Vec<Slot> {
        let mut slots = slots_below(ENCODER, self.shape.slots());
        slots.extend(self.heads());
        slots
    }

    /// Those whose moving average is kept: the encoder's and the projector's.
    pub fn is_averaged(slot: &Slot) -> bool {
        slot.role.is_trained() && !slot.name.starts_with(PREDICTOR)
    }
}

/// Adam's constants beside the learning rate (Kingma & Ba 2015).
const DECAYS: [f64; 2] = [0.9, 0.999];
const ADAM_EPSILON: f64 = 1e-8;

/// Networks and optimiser between two steps.
pub(crate) struct Learner {
    architecture: Architecture,
    slots: Vec<Slot>,
    device: Device,
    engine: Engine,
    dtype: DType,
    /// Parameters and running statistics.
    online: Tensors,
    /// Moving average of the parameters.
    target: Tensors,
    moments: [Tensors; 2],
    n_steps: u64,
}

/// Everything of a [`Learner`] as arrays.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Snapshot {
    pub online: StateDict,
    pub target: StateDict,
    pub moments: [StateDict; 2],
    pub n_steps: u64,
}

impl Snapshot {
    /// The start: the encoder as it is, heads drawn, the target equal to the network that learns.
    pub fn start(architecture: &Architecture, encoder: &StateDict, seed: Seed) -> Self {
        let mut online: StateDict =
            encoder.iter().map(|(name, a)| (format!("{ENCODER}{name}"), a.clone())).collect();
        online.extend(draw(&architecture.heads(), "histology/heads", seed));
        let only = |keep: &dyn Fn(&Slot) -> bool| -> StateDict {
            let kept = architecture.slots().into_iter().filter(|slot| keep(slot));
            kept.map(|slot| (slot.name.clone(), online[&slot.name].clone())).collect()
        };
        let target = only(&Architecture::is_averaged);
        let zeros: StateDict = only(&|slot| slot.role.is_trained())
            .into_iter()
            .map(|(name, a)| (name, ndarray::ArrayD::zeros(a.raw_dim())))
            .collect();
        Self { online, target, moments: [zeros.clone(), zeros], n_steps: 0 }
    }
}

impl Learner {
    /// Networks on a device, as a snapshot of the same architecture has them.
    pub fn new(
        architecture: Architecture,
        snapshot: &Snapshot,
        engine: Engine,
        dtype: DType,
    ) -> Result<Self, HistologyError> {
        let device = engine.device()?;
        let slots = architecture.slots();
        let (online, target, moments) = {
            let upload = |state: &StateDict, keep: &dyn Fn(&Slot) -> bool| {
                Tensors::upload(slots.iter().filter(|s| keep(s)), state, &device, dtype)
            };
            let trained = |slot: &Slot| slot.role.is_trained();
            (
                upload(&snapshot.online, &|_| true),
                upload(&snapshot.target, &Architecture::is_averaged),
                [0, 1].map(|k| upload(&snapshot.moments[k], &trained)),
            )
        };
        Ok(Self {
            architecture,
            slots,
            device,
            engine,
            dtype,
            online,
            target,
            moments,
            n_steps: snapshot.n_steps,
        })
    }

    /// Everything as arrays.
    pub fn snapshot(&self) -> Snapshot {
        let trained = || self.slots.iter().filter(|s| s.role.is_trained());
        Snapshot {
            online: self.online.download(&self.slots),
            target: self.target.download(self.slots.iter().filter(|s| Architecture::is_averaged(s))),
            moments: [0, 1].map(|k: usize| self.moments[k].download(trained())),
            n_steps: self.n_steps,
        }
    }

    /// The encoder as it is now.
    pub fn encoder(&self, origin: crate::resnet::Origin) -> ResNet {
        let state = self.online.download(self.slots.iter().filter(|s| s.name.starts_with(ENCODER)));
        let bare = state.into_iter().map(|(n, a)| (n[ENCODER.len()..].to_owned(), a)).collect();
        ResNet::new(self.architecture.shape.clone(), bare, origin)
    }

    /// The device and the type of numbers its batches are to have.
    pub fn place(&self) -> (&Device, DType) {
        (&self.device, self.dtype)
    }

    /// Learns from two views (n, 3, h, w) of a batch; the mean loss before the step.
    pub fn step(&mut self, views: [Tensor<4>; 2], learning_rate: f64, target_decay: f64) -> f64 {
        let [a, b] = views;
        let (first, second) = match self.engine {
            // Two views share nothing until their gradients are added.
            Engine::Cpu => {
                rayon::join(|| self.side(a.clone(), b.clone()), || self.side(b.clone(), a.clone()))
            }
            Engine::Gpu => (self.side(a.clone(), b.clone()), self.side(b, a)),
        };
        let gradients = sum(first.gradients, second.gradients);
        update_statistics(&mut self.online, first.seen);
        update_statistics(&mut self.online, second.seen);
        self.adam(&gradients, learning_rate);
        average(&mut self.target, &self.online, target_decay);
        first.loss + second.loss
    }

    /// The loss of predicting the target's projection of `other` from `view`, and its gradient.
    fn side(&self, view: Tensor<4>, other: Tensor<4>) -> Side {
        let aim = {
            let mut seen = Vec::new();
            let features =
                features(&self.architecture.shape, &self.target, &mut Norm::Batch(&mut seen), other);
            self.project(&self.target, &mut Norm::Batch(&mut seen), features)
        };
        let leaves = self.leaves();
        let mut seen = Vec::new();
        let mut norm = Norm::Batch(&mut seen);
        let features = features(&self.architecture.shape, &leaves, &mut norm, view.autodiff());
        let loss = view_loss(&self.architecture, &leaves, &mut norm, features, aim);
        let value = f64::from(values_of(loss.clone().without_autodiff())[0]);
        let mut found = loss.backward();
        let gradients =
            leaves.0.iter().filter_map(|(name, leaf)| Some((name.clone(), leaf.grad_remove(&mut found)?)));
        Side { loss: value, gradients: gradients.collect(), seen }
    }

    fn leaves(&self) -> Tensors {
        let trained = self.slots.iter().filter(|s| s.role.is_trained());
        Tensors(trained.map(|s| (s.name.clone(), self.online.get(&s.name))).collect()).leaves()
    }

    fn project(&self, parameters: &Tensors, norm: &mut Norm<'_>, features: Tensor<2>) -> Tensor<2> {
        perceptron(features, parameters, norm, PROJECTOR, self.architecture.projector())
    }

    fn adam(&mut self, gradients: &BTreeMap<String, Tensor<1>>, learning_rate: f64) {
        self.n_steps += 1;
        let [first, second] = DECAYS.map(|decay| 1.0 - decay.powf(self.n_steps as f64));
        let names: Vec<&String> = gradients.keys().collect();
        let one = |name: &&String| {
            let g = gradients[*name].clone();
            let m = self.moments[0].get(name).mul_scalar(DECAYS[0]) + g.clone().mul_scalar(1.0 - DECAYS[0]);
            let v = self.moments[1].get(name).mul_scalar(DECAYS[1]) + g.square().mul_scalar(1.0 - DECAYS[1]);
            let step = m.clone().mul_scalar(learning_rate / first)
                / v.clone().div_scalar(second).sqrt().add_scalar(ADAM_EPSILON);
            ((*name).clone(), [self.online.get(name) - step, m, v])
        };
        // Parameters share nothing.
        let moved: Vec<_> = match self.engine {
            Engine::Cpu => names.par_iter().map(one).collect(),
            Engine::Gpu => names.iter().map(one).collect(),
        };
        for (name, [parameter, m, v]) in moved {
            self.online.0.insert(name.clone(), parameter);
            self.moments[0].0.insert(name.clone(), m);
            self.moments[1].0.insert(name, v);
        }
    }
}

/// What one view gives.
struct Side {
    loss: f64,
    gradients: BTreeMap<String, Tensor<1>>,
    seen: Vec<BatchStatistics>,
}

fn features(shape: &ResNetShape, parameters: &Tensors, norm: &mut Norm<'_>, x: Tensor<4>) -> Tensor<2> {
    let mut layer = Apart { prefix: ENCODER, parameters, norm };
    forward(shape, &mut layer, x, &mut |_, _| ())
}

/// Mean of `2 − 2 cos` between the prediction from features (n, f) of one view and what the target makes of the other.
pub(super) fn view_loss(
    architecture: &Architecture,
    parameters: &Tensors,
    norm: &mut Norm<'_>,
    features: Tensor<2>,
    aim: Tensor<2>,
) -> Tensor<1> {
    let z = perceptron(features, parameters, norm, PROJECTOR, architecture.projector());
    let p = perceptron(z, parameters, norm, PREDICTOR, architecture.predictor());
    distance(p, aim.autodiff()).mean_dim(0).reshape([1])
}

/// Sums by name, the first first.
fn sum(mut a: BTreeMap<String, Tensor<1>>, b: BTreeMap<String, Tensor<1>>) -> BTreeMap<String, Tensor<1>> {
    for (name, gradient) in b {
        let total = match a.remove(&name) {
            Some(first) => first + gradient,
            None => gradient,
        };
        a.insert(name, total);
    }
    a
}

/// Moves each array of `target` towards that of the same name: `decay · target + (1 − decay) · online`.
pub(super) fn average(target: &mut Tensors, online: &Tensors, decay: f64) {
    for (name, value) in &mut target.0 {
        *value = value.clone().mul_scalar(decay) + online.get(name).mul_scalar(1.0 - decay);
    }
}
