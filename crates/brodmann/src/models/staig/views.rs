//! The two views of an epoch, and the graph convolution over them.

use brodmann_kernels::arch::masked::{BOTH, FIRST, SECOND};
use brodmann_kernels::{CsrView, ParallelLoop, Real, Seed};
use rayon::prelude::*;

use super::augment::{GraphAugmenter, GraphView, feature_mask};
use crate::nn::mat::BLOCK_ROWS;
use crate::nn::ops::{add_partials, chunk_rows};
use crate::nn::{Backward, Forward, Op, Scalar, Uses};
use brodmann_kernels::arch::rows::SparseRows;

/// Where the features stand among the sparse matrices of a step; the graphs of the views follow.
pub(super) const FEATURES: usize = 0;

/// What the layers see: a graph per view, and which features are in which view.
pub(super) struct Views<T> {
    pub(super) graphs: Vec<GraphView<T>>,
    /// [`FIRST`], [`SECOND`] or both, per feature.
    pub(super) masks: Vec<u8>,
    drawn: [Vec<T>; 2],
}

impl<T: Real> Views<T> {
    /// `n_views` views with every edge and feature.
    pub(super) fn full(augmenter: &GraphAugmenter, n_features: usize, n_views: usize) -> Self {
        let view = augmenter.full_view();
        Self {
            graphs: vec![view; n_views],
            masks: vec![BOTH; n_features],
            drawn: [vec![T::ONE; n_features], vec![T::ONE; n_features]],
        }
    }

    /// The sparse matrices of a step: features, then the graph of each view.
    pub(super) fn sparse<'a>(&'a self, features: CsrView<'a, T>) -> Vec<CsrView<'a, T>> {
        std::iter::once(features).chain(self.graphs.iter().map(|g| g.adjacency().view())).collect()
    }

    /// Draws the views of an epoch.
    pub(super) fn draw(&mut self, augmenter: &GraphAugmenter, rates: [f64; 2], seed: Seed, epoch: u64) {
        for (v, graph) in self.graphs.iter_mut().enumerate() {
            augmenter.draw(seed, epoch, v as u64, graph);
        }
        for (v, mask) in self.drawn.iter_mut().enumerate() {
            feature_mask(seed, epoch, v as u64, rates[v], mask);
        }
        let bit = |kept: T, bit: u8| if kept == T::ZERO { 0 } else { bit };
        for (mask, (&a, &b)) in self.masks.iter_mut().zip(self.drawn[0].iter().zip(&self.drawn[1])) {
            *mask = bit(a, FIRST) | bit(b, SECOND);
        }
    }
}

/// `Yᵥ = Âᵥ · Xᵥ + b` for views below each other; parameter `b (1, width)`.
///
/// `dXᵥ = Âᵥ · dYᵥ`, as `Âᵥ` is symmetric; `db = Σ rows of dY`.
///
/// The graphs come with the step, anew in every epoch.
pub(super) struct PropagateViews;

impl PropagateViews {
    fn apply<T: Scalar>(
        graphs: &[CsrView<'_, T>],
        out: &mut [T],
        dense: &[T],
        width: usize,
        bias: &[T],
        add: bool,
    ) {
        let half = out.len() / graphs.len();
        if half == 0 {
            return;
        }
        for ((out, dense), graph) in out.chunks_mut(half).zip(dense.chunks(half)).zip(graphs) {
            let (indptr, indices, data) = (graph.indptr(), graph.indices(), graph.data());
            let rows = SparseRows { indptr, indices, data, dense, width };
            out.par_chunks_mut(BLOCK_ROWS * width).enumerate().each(|(b, block)| {
                T::sparse_rows(block, b * BLOCK_ROWS, rows, bias, add);
            });
        }
    }
}

impl<T: Scalar> Op<T> for PropagateViews {
    fn name(&self) -> &'static str {
        "propagate_views"
    }

    fn uses(&self) -> Uses {
        Uses::NOTHING
    }

    fn forward(&self, pass: Forward<'_, T>) {
        let input = pass.inputs[0];
        let graphs = &pass.step.sparse[FEATURES + 1..];
        Self::apply(graphs, pass.output, input.data, input.cols, pass.parameters[0].data, false);
    }

    fn backward(&self, pass: Backward<'_, '_, T>) {
        let up = pass.upstream;
        let graphs = &pass.step.sparse[FEATURES + 1..];
        if let Some(grad) = &mut pass.input_grads[0] {
            Self::apply(graphs, grad.data, up.data, up.cols, &[], grad.accumulate);
        }
        let width = up.cols;
        if up.data.is_empty() {
            return;
        }
        let chunk = chunk_rows(up.rows);
        pass.pool.with(up.rows.div_ceil(chunk) * width, |partials| {
            partials.par_chunks_mut(width).zip(up.data.par_chunks(chunk * width)).each(|(sums, rows)| {
                sums.fill(T::ZERO);
                T::column_sums(sums, rows);
            });
            add_partials(pass.parameter_grads[0], partials, width, 0);
        });
    }
}
