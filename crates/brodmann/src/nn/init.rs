//! Initial weights, with the distributions of PyTorch Geometric and PyTorch.
//!
//! Weights are `(n_in, n_out)`, as in `x · W`; the bounds do not depend on the orientation but for fans.

use brodmann_kernels::Seed;
use rand::RngExt;

use super::scalar::Scalar;

/// Uniform on `±√(6 / (n_in + n_out))` (Glorot & Bengio 2010): weights of PyG's `GCNConv`, and PyTorch's
/// `xavier_uniform_`.
pub fn glorot_uniform<T: Scalar>(n_in: usize, n_out: usize, seed: Seed) -> Vec<T> {
    uniform(n_in * n_out, (6.0 / (n_in + n_out).max(1) as f64).sqrt(), seed)
}

/// Uniform on `±1/√n_in`: weights and biases of PyTorch's `Linear` (Kaiming with `a = √5`), and of `Bilinear` with
/// its first input width.
pub fn kaiming_uniform<T: Scalar>(n_in: usize, len: usize, seed: Seed) -> Vec<T> {
    uniform(len, 1.0 / (n_in.max(1) as f64).sqrt(), seed)
}

fn uniform<T: Scalar>(len: usize, bound: f64, seed: Seed) -> Vec<T> {
    let mut draws = seed.stream("nn/init", 0);
    (0..len).map(|_| T::of(bound * (2.0 * draws.random::<f64>() - 1.0))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_fill_their_bounds() {
        let weights = glorot_uniform::<f64>(100, 50, Seed(1));
        let bound = (6.0f64 / 150.0).sqrt();
        assert!(weights.iter().all(|w| w.abs() <= bound));
        let variance = weights.iter().map(|w| w * w).sum::<f64>() / 5000.0;
        assert!((variance / (bound * bound / 3.0) - 1.0).abs() < 0.05);
        assert_ne!(weights, glorot_uniform::<f64>(100, 50, Seed(2)));
    }
}
