//! How much memory training will take.

use super::options::SpamiOptions;

/// Forecast of the peak of [`train`](super::train()), inputs and graph included, in bytes.
pub fn memory_bytes(n_obs: usize, widths: &[usize], options: &SpamiOptions) -> u64 {
    (n_obs * 4 * (widths.iter().sum::<usize>() * 4 + options.latent * 16)) as u64
}
