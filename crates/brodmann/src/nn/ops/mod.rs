//! Layers and losses, one a file; each says its formula and its gradient.
//!
//! Layers over a graph or over features:
//! * [`Propagate`]: `A · X + b`, for a graph operator.
//! * [`SparseDense`]: `S · W + b`, for sparse features.
//! * [`Dense`]: `X · W + b`.
//! * [`Perceptron`]: `relu(X · W₁ + b₁) · W₂` without ever writing the hidden layer.
//! * [`Corrupt`]: rows permuted, entries dropped; with neither it copies.
//!
//! Element by element, and row by row:
//! * [`Bias`], [`Relu`], [`Prelu`], [`Elu`], [`Tanh`], [`Sigmoid`], [`Softmax`], [`L2Norm`].
//! * [`Bilinear`], [`RowDot`]: `x Wᵀ`-products of pairs of rows.
//! * [`WeightedSum`], [`Concat`], [`Attention`]: many matrices into one.
//!
//! Losses:
//! * [`Mse`], [`BceWithLogits`], [`Cosine`], [`InnerProduct`].

mod activations;
mod attention;
mod bce;
mod bias;
mod bilinear;
mod concat;
mod corrupt;
mod cosine;
mod dense;
mod inner_product;
mod l2_norm;
mod mse;
mod perceptron;
mod prelu;
mod propagate;
mod row_dot;
mod softmax;
mod sparse_dense;
mod weighted_sum;

pub use activations::{Elu, Relu, Sigmoid, Tanh};
pub use attention::Attention;
pub use bce::BceWithLogits;
pub use bias::Bias;
pub use bilinear::Bilinear;
pub use concat::Concat;
pub use corrupt::Corrupt;
pub use cosine::Cosine;
pub use dense::Dense;
pub use inner_product::InnerProduct;
pub use l2_norm::L2Norm;
pub use mse::Mse;
pub use perceptron::Perceptron;
pub use prelu::Prelu;
pub use propagate::Propagate;
pub use row_dot::RowDot;
pub use softmax::Softmax;
pub use sparse_dense::SparseDense;
pub use weighted_sum::WeightedSum;

use super::mat::BLOCK_ROWS;
use super::scalar::Scalar;
use brodmann_kernels::ParallelLoop;
use rayon::prelude::*;

/// Most partial sums of a parameter's gradient alive at once.
const MAX_PARTIALS: usize = 64;

/// Rows whose contributions to a parameter's gradient are summed before chunks are added in order: depends on the
/// number of rows alone.
pub fn chunk_rows(rows: usize) -> usize {
    rows.div_ceil(MAX_PARTIALS).next_multiple_of(BLOCK_ROWS).max(4 * BLOCK_ROWS)
}

/// Number of such chunks.
pub fn n_chunks(rows: usize) -> usize {
    rows.div_ceil(chunk_rows(rows))
}

/// Adds partial sums, laid out one chunk after another, to a gradient; `offset` is its place within a chunk.
pub fn add_partials<T: Scalar>(grad: &mut [T], partials: &[T], stride: usize, offset: usize) {
    const PIECE: usize = 2048;
    let len = grad.len();
    grad.par_chunks_mut(PIECE).enumerate().each(|(p, piece)| {
        let start = offset + p * PIECE;
        for partial in partials.chunks_exact(stride) {
            let part = &partial[start..start + piece.len()];
            T::column_sums(piece, part);
        }
    });
    debug_assert!(offset + len <= stride);
}

/// The rows of each chunk of a gradient that may not be wanted.
pub fn optional_chunks<T>(data: Option<&mut [T]>, len: usize, n_chunks: usize) -> Vec<Option<&mut [T]>> {
    match data {
        Some(data) if len > 0 => data.chunks_mut(len).map(Some).collect(),
        _ => std::iter::repeat_with(|| None).take(n_chunks).collect(),
    }
}

/// Adds numbers of blocks in order.
pub fn ordered_sum(parts: &[f64]) -> f64 {
    parts.iter().sum()
}

/// `Σ body(first_row, rows)` over blocks of rows, in parallel, added in order.
pub fn sum_blocks(rows: usize, body: impl Fn(usize, usize) -> f64 + Sync) -> f64 {
    let parts: Vec<f64> = (0..rows.div_ceil(BLOCK_ROWS))
        .into_par_iter()
        .map(|b| body(b * BLOCK_ROWS, BLOCK_ROWS.min(rows - b * BLOCK_ROWS)))
        .collect_vec();
    ordered_sum(&parts)
}
