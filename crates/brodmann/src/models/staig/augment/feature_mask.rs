//! Which features a view lacks.

use brodmann_kernels::{Real, Seed};

/// 0 for features left out, 1 for those kept: each is left out with probability `rate`, for all spots at once.
///
/// The mask is meant for the rows of the first weight matrix: `(X · diag(mask)) · W = X · (diag(mask) · W)`, and `X` stays
/// as it is, sparse.
///
/// # Inputs
/// `rate`: in [0, 1). `view`: 0 or 1. `mask`: filled, one entry per feature.
pub fn feature_mask<T: Real>(seed: Seed, epoch: u64, view: u64, rate: f64, mask: &mut [T]) {
    let draws = seed.derive("staig/augment/features", 2 * epoch + view);
    let threshold = threshold(rate);
    for (feature, m) in mask.iter_mut().enumerate() {
        *m = if is_dropped(draws.word(feature as u64), threshold) { T::ZERO } else { T::ONE };
    }
}

/// A probability as a share of 2³²; the largest number stands for certainty.
pub(super) fn threshold(probability: f64) -> u32 {
    // The cast saturates, so 1 becomes the largest number.
    (probability * 4_294_967_296.0) as u32
}

/// Does the drawn word fall below the threshold?
#[inline]
pub(super) fn is_dropped(word: u64, threshold: u32) -> bool {
    ((word >> 32) as u32) < threshold || threshold == u32::MAX
}
