//! The layout by sampled forces.

use brodmann_kernels::{CsrView, Interrupted, Monitor, ParallelLoop, Seed};
use rayon::prelude::*;

/// Points moved by one task; fixed.
const CHUNK: usize = 256;
/// A coordinate moves at most this far by one force, times the step length.
const LONGEST_STEP: f32 = 4.0;
/// Keeps the push of near points finite.
const SOFTENING: f32 = 0.001;

/// The two forces between points of the plane.
#[derive(Clone, Copy)]
pub(super) struct Forces {
    pub(super) a: f32,
    pub(super) b: f32,
    pub(super) repulsion: f32,
    pub(super) n_negative: u32,
}

impl Forces {
    /// Moves `place` towards `other`: the gradient of `log q`.
    #[inline]
    fn pull(self, place: &mut [f32; 2], other: [f32; 2], step: f32) {
        let (dx, dy) = (place[0] - other[0], place[1] - other[1]);
        let squared = dx * dx + dy * dy;
        if squared > 0.0 {
            let power = self.a * squared.powf(self.b);
            let factor = -2.0 * self.b * power / (squared * (1.0 + power));
            place[0] += step * clip(factor * dx);
            place[1] += step * clip(factor * dy);
        }
    }

    /// Moves `place` away from `other`: the gradient of `log (1 − q)`.
    #[inline]
    fn push(self, place: &mut [f32; 2], other: [f32; 2], step: f32) {
        let (dx, dy) = (place[0] - other[0], place[1] - other[1]);
        let squared = dx * dx + dy * dy;
        if squared > 0.0 {
            let power = self.a * squared.powf(self.b);
            let factor = 2.0 * self.repulsion * self.b / ((SOFTENING + squared) * (1.0 + power));
            place[0] += step * clip(factor * dx);
            place[1] += step * clip(factor * dy);
        }
    }
}

#[inline]
fn clip(force: f32) -> f32 {
    force.clamp(-LONGEST_STEP, LONGEST_STEP)
}

/// Runs all epochs. Every point moves on its own against the places at the start of the epoch, so the order of
/// points, and with it the number of threads, does not matter.
pub(super) fn optimize(
    graph: CsrView<'_, f64>,
    mut places: Vec<[f32; 2]>,
    forces: Forces,
    learning_rate: f32,
    n_epochs: u32,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Vec<[f32; 2]>, Interrupted> {
    let n_obs = places.len() as u64;
    let largest = graph.data().iter().copied().fold(0.0, f64::max);
    if largest == 0.0 {
        return Ok(places);
    }
    let seed = seed.derive("embedding/umap/negative", 0);
    let mut moved = places.clone();
    monitor.stage("UMAP", u64::from(n_epochs));
    for epoch in 1..=n_epochs {
        monitor.check()?;
        let step = learning_rate * (1.0 - (epoch - 1) as f32 / n_epochs as f32);
        let due = f64::from(epoch) / largest;
        let before = f64::from(epoch - 1) / largest;
        moved.par_chunks_mut(CHUNK).enumerate().each(|(chunk, out)| {
            for (offset, to) in out.iter_mut().enumerate() {
                let i = chunk * CHUNK + offset;
                let mut place = places[i];
                let mut draws = Draws::new(seed, u64::from(epoch) * n_obs + i as u64);
                let (columns, weights) = graph.row(i);
                for (&j, &weight) in columns.iter().zip(weights) {
                    if (due * weight).floor() <= (before * weight).floor() {
                        continue;
                    }
                    let other = places[j as usize];
                    // Once as the head of (i, j), once as the tail of (j, i).
                    forces.pull(&mut place, other, step);
                    forces.pull(&mut place, other, step);
                    for _ in 0..forces.n_negative {
                        // i's own place is at distance 0 or where i just was: pushing from there is harmless, but
                        // umap-learn skips it, too.
                        let random = draws.below(n_obs) as usize;
                        if random != i {
                            forces.push(&mut place, places[random], step);
                        }
                    }
                }
                *to = place;
            }
        });
        std::mem::swap(&mut places, &mut moved);
        monitor.advance(1);
    }
    Ok(places)
}

/// Random words of one point in one epoch.
struct Draws {
    seed: Seed,
    counter: u64,
}

impl Draws {
    fn new(seed: Seed, index: u64) -> Self {
        Self { seed: Seed(seed.word(index)), counter: 0 }
    }

    /// A number in `0..n`, for `n` up to 2³²; its bias is below n / 2⁶⁴.
    #[inline]
    fn below(&mut self, n: u64) -> u64 {
        self.counter += 1;
        ((u128::from(self.seed.word(self.counter)) * u128::from(n)) >> 64) as u64
    }
}
