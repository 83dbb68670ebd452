//! Bootstrap your own latent: an encoder trained on pictures without labels.
//!
//! Two random views of each patch go through the encoder, a projector and a predictor, which has to say what a slower
//! copy of encoder and projector (their moving average) makes of the other view: the loss is `2 − 2 cos` both ways.
//! Source: Grill et al. 2020, NeurIPS 33:21271; sizes, Adam and the moving average as the STAIG paper has them.

mod augment;
mod checkpoint;
mod heads;
mod step;

use brodmann_kernels::{Monitor, OptionError, Seed};
use burn_tensor::{DType, Tensor, TensorData};
use ndarray::Array3;
use rand_chacha::rand_core::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use augment::{AugmentOptions, augment};
pub use checkpoint::ByolCheckpoints;
use step::{Architecture, Learner, Snapshot};

use crate::encoder::{Scaling, check_patches};
use crate::error::HistologyError;
use crate::resnet::{LEAST_SIDE, Origin, ResNet};
use crate::state::StateDict;

/// How an encoder is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ByolOptions {
    /// Times each patch is seen, twice each.
    pub epochs: usize,
    /// Patches per step, at most (one more where a patch would be left alone); the batches of an epoch differ by one.
    pub batch_size: usize,
    /// Learning rate of Adam.
    pub learning_rate: f64,
    /// What of the moving average stays in each step.
    pub target_decay: f64,
    /// Width of the hidden layer of projector and predictor.
    pub hidden: usize,
    /// Width of a projection.
    pub projection: usize,
    /// How views are drawn.
    pub augment: AugmentOptions,
}

impl Default for ByolOptions {
    fn default() -> Self {
        Self {
            epochs: 100,
            batch_size: 64,
            learning_rate: 3e-4,
            target_decay: 0.99,
            hidden: 4096,
            projection: 256,
            augment: AugmentOptions::default(),
        }
    }
}

impl ByolOptions {
    /// Refuses values that describe no training.
    ///
    /// # Errors
    /// [`OptionError`] naming the option.
    pub fn validate(&self) -> Result<(), OptionError> {
        let at_least = |name, found: usize, least: usize| {
            if found >= least {
                Ok(())
            } else {
                Err(OptionError::new(name, found, format!("at least {least}")))
            }
        };
        at_least("epochs", self.epochs, 1)?;
        // One patch has no deviation from its mean.
        at_least("batch_size", self.batch_size, 2)?;
        for (name, found) in [("hidden", self.hidden), ("projection", self.projection)] {
            at_least(name, found, 1)?;
            if found > 1 << 16 {
                return Err(OptionError::new(name, found, "at most 65536"));
            }
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return Err(OptionError::new("learning_rate", self.learning_rate, "a positive number"));
        }
        if !(0.0..=1.0).contains(&self.target_decay) {
            return Err(OptionError::new("target_decay", self.target_decay, "between 0 and 1"));
        }
        self.augment.validate()
    }
}

/// Where patches come from.
pub trait PatchSource: Sync {
    /// How many there are.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Patch `index` (3, h, w) of values between 0 and 1, as large as every other; the same at every call.
    ///
    /// # Errors
    /// [`HistologyError::Source`].
    fn patch(&self, index: usize) -> Result<Array3<f32>, HistologyError>;

    /// A number that stands for their content: a training goes on with the patches it began with.
    fn fingerprint(&self) -> u64;
}

/// Patches in memory.
impl PatchSource for ndarray::Array4<f32> {
    fn len(&self) -> usize {
        self.dim().0
    }

    fn patch(&self, index: usize) -> Result<Array3<f32>, HistologyError> {
        Ok(self.index_axis(ndarray::Axis(0), index).to_owned())
    }

    fn fingerprint(&self) -> u64 {
        hashed(START, self.iter())
    }
}

/// A trained encoder.
#[derive(Debug)]
pub struct ByolFit {
    /// The encoder.
    pub encoder: ResNet,
    /// Mean loss of each epoch, between 0 (the views agree) and 8.
    pub losses: Vec<f64>,
}

/// Trains `encoder` on `patches` without labels.
///
/// The same patches, start, options and seed give the same bits on any number of threads, and after an interruption, on
/// the CPU. Views are drawn from the stream `histology/augment` at an index that names epoch, patch and view; the order
/// of an epoch from `histology/order`; the heads from `histology/heads`.
///
/// # Errors
/// [`HistologyError::Option`], [`HistologyError::TooFewPatches`], [`HistologyError::Patches`],
/// [`HistologyError::Source`], [`HistologyError::Interrupted`], [`HistologyError::Diverged`]; those of a checkpoint.
///
/// # Cost
/// Six passes through the network per patch and epoch, two of them backwards; memory of two passes of a batch.
pub fn byol(
    patches: &dyn PatchSource,
    encoder: &ResNet,
    options: &ByolOptions,
    seed: Seed,
    checkpoints: Option<&ByolCheckpoints>,
    monitor: &dyn Monitor,
) -> Result<ByolFit, HistologyError> {
    options.validate()?;
    let n = patches.len();
    if n < 2 {
        return Err(HistologyError::TooFewPatches { found: n });
    }
    let architecture =
        Architecture { shape: encoder.shape().clone(), hidden: options.hidden, output: options.projection };
    let size = patches.patch(0)?.dim();
    let run = json!({
        "seed": seed.0, "n_patches": n, "patches": format!("{:016x}", patches.fingerprint()), "patch_size": [size.1, size.2], "shape": encoder.shape(),
        "start": format!("{:016x}", fingerprint(encoder.state())), "batch_size": options.batch_size,
        "learning_rate": options.learning_rate, "target_decay": options.target_decay, "hidden": options.hidden,
        "projection": options.projection, "augment": options.augment, "engine": encoder.engine(),
    });
    if let Some(checkpoints) = checkpoints {
        if checkpoints.every == 0 {
            return Err(OptionError::new("checkpoint_every", 0, "at least 1").into());
        }
        checkpoints.prepare()?;
    }
    let (snapshot, mut losses) = match checkpoints {
        Some(checkpoints) if checkpoints.resume => {
            let (snapshot, losses) = checkpoints.read(&run, &architecture)?;
            monitor.note(&format!("going on after epoch {}", losses.len()));
            (snapshot, losses)
        }
        _ => (Snapshot::start(&architecture, encoder.state(), seed), Vec::new()),
    };
    let mut learner = Learner::new(architecture, &snapshot, encoder.engine(), DType::F32)?;
    drop(snapshot);

    let batches = batches(n, options.batch_size);
    monitor.stage("training the image network", (options.epochs * batches.len()) as u64);
    monitor.advance((losses.len() * batches.len()) as u64);
    for epoch in losses.len()..options.epochs {
        let order = order(n, seed, epoch);
        let mut total = 0.0;
        for batch in &batches {
            monitor.check()?;
            let chosen = &order[batch.clone()];
            let views = [0, 1].map(|view| views(patches, chosen, view, epoch, size, options, seed, &learner));
            let [a, b] = views;
            let loss = learner.step([a?, b?], options.learning_rate, options.target_decay);
            if !loss.is_finite() {
                return Err(HistologyError::Diverged { epoch: epoch + 1 });
            }
            total += loss * chosen.len() as f64;
            monitor.advance(1);
        }
        losses.push(total / n as f64);
        if let Some(checkpoints) = checkpoints
            && (losses.len().is_multiple_of(checkpoints.every) || losses.len() == options.epochs)
        {
            checkpoints.write(&run, learner.snapshot(), &losses)?;
        }
    }
    let origin = Origin::Byol { epochs: losses.len(), start: Box::new(encoder.origin().clone()) };
    Ok(ByolFit { encoder: learner.encoder(origin).on(encoder.engine())?, losses })
}

/// One view of each chosen patch as a batch on the device.
#[expect(
    clippy::too_many_arguments,
    reason = "what names a view: patch, epoch and view, and how it is drawn"
)]
fn views(
    patches: &dyn PatchSource,
    chosen: &[usize],
    view: usize,
    epoch: usize,
    size: (usize, usize, usize),
    options: &ByolOptions,
    seed: Seed,
    learner: &Learner,
) -> Result<Tensor<4>, HistologyError> {
    let one = |&patch: &usize| {
        let picture = patches.patch(patch)?;
        check_patches(&picture.view().insert_axis(ndarray::Axis(0)), LEAST_SIDE).map_err(|e| match e {
            HistologyError::NotFinite { .. } => HistologyError::NotFinite { patch },
            other => other,
        })?;
        if picture.dim() != size {
            return Err(HistologyError::Patches {
                found: picture.shape().to_vec(),
                expected: format!("{size:?} as of the first patch"),
            });
        }
        let index = ((epoch * patches.len() + patch) * 2 + view) as u64;
        let mut values =
            augment(picture.view(), view, &options.augment, seed, index).into_raw_vec_and_offset().0;
        Scaling::IMAGENET.apply(&mut values);
        Ok(values)
    };
    let rows: Vec<Vec<f32>> = chosen.par_iter().map(one).collect::<Result<_, HistologyError>>()?;
    let data = TensorData::new(rows.concat(), [chosen.len(), 3, size.1, size.2]);
    Ok(Tensor::from_data(data, learner.place()))
}

/// The patches in the order of an epoch (Fisher & Yates).
fn order(n: usize, seed: Seed, epoch: usize) -> Vec<usize> {
    let mut rng = seed.stream("histology/order", epoch as u64);
    let mut order: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        // The high half of a product is a fair choice to within n / 2⁶⁴.
        let chosen = (u128::from(rng.next_u64()) * (last as u128 + 1)) >> 64;
        order.swap(last, chosen as usize);
    }
    order
}

/// Ranges of at most `most`, or one more, whose lengths differ by one: a batch of a single patch would have no variance.
fn batches(n: usize, most: usize) -> Vec<std::ops::Range<usize>> {
    let count = n.div_ceil(most).min(n / 2).max(1);
    (0..count).map(|b| b * n / count..(b + 1) * n / count).collect()
}

/// FNV-1a begins with it.
const START: u64 = 0xcbf2_9ce4_8422_2325;

fn step(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}

/// FNV-1a of the bits of numbers, after what was hashed before.
fn hashed<'a>(before: u64, values: impl Iterator<Item = &'a f32>) -> u64 {
    values.fold(before, |hash, v| v.to_le_bytes().into_iter().fold(hash, step))
}

/// A number that stands for arrays: of their names and bits.
fn fingerprint(state: &StateDict) -> u64 {
    state.iter().fold(START, |hash, (name, array)| hashed(name.bytes().fold(hash, step), array.iter()))
}

#[cfg(test)]
mod tests;
