//! The start of a network that nobody trained.

use brodmann_kernels::Seed;
use ndarray::{ArrayD, IxDyn};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use rayon::prelude::*;

use crate::state::{Role, Slot, StateDict};

/// A uniform number in the open interval (0, 1).
#[inline]
pub(crate) fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    ((rng.next_u64() >> 11) as f64 + 0.5) * (1.0 / (1u64 << 53) as f64)
}

/// A standard normal number (Box & Muller 1958).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v) = (uniform(rng), uniform(rng));
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// Arrays drawn as PyTorch draws them: convolutions from a normal distribution of variance `2 / (out · side²)` (He et
/// al. 2015, "fan out"), linear layers uniformly within `1 / √in`; normalisations leave their input as it is.
///
/// Each array has a stream of its own, `purpose` at its place in the list, so that the same seed gives the same bits on
/// any number of threads.
pub fn draw(slots: &[Slot], purpose: &str, seed: Seed) -> StateDict {
    let one = |(index, slot): (usize, &Slot)| {
        let mut rng = seed.stream(purpose, index as u64);
        let values: Vec<f32> = match (slot.role, slot.shape.as_slice()) {
            (Role::Weight, [out, _, height, width]) => {
                let deviation = (2.0 / (out * height * width) as f64).sqrt();
                (0..slot.len()).map(|_| (deviation * normal(&mut rng)) as f32).collect()
            }
            (Role::Weight | Role::Bias, _) => {
                // The bias of a linear layer follows its weights in the list and is drawn from as wide an interval.
                let from = match slot.role {
                    Role::Bias => slots[..index].last().map_or(1, |w| w.shape[w.shape.len() - 1]),
                    _ => slot.shape[slot.shape.len() - 1],
                };
                let bound = 1.0 / (from as f64).sqrt();
                (0..slot.len()).map(|_| (bound * (2.0 * uniform(&mut rng) - 1.0)) as f32).collect()
            }
            (Role::Scale | Role::RunningVariance, _) => vec![1.0; slot.len()],
            (Role::Shift | Role::RunningMean, _) => vec![0.0; slot.len()],
        };
        let array = ArrayD::from_shape_vec(IxDyn(&slot.shape), values);
        (slot.name.clone(), array.expect("as many values as the slot has were drawn"))
    };
    slots.par_iter().enumerate().map(one).collect::<Vec<_>>().into_iter().collect()
}
