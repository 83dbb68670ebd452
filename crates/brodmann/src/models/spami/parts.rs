//! The slices of a tissue as parts of training: each with its features, its graph, and a tape.
//!
//! No edge crosses slices, features are permuted within one, and every term of the loss is a mean over spots: so the
//! loss of a tissue is the mean of those of its slices, weighted by their spots, and so is its gradient. Summed in the
//! order of the slices it has the same bits wherever they lie. Where the whole is one slice nothing is copied.

use std::borrow::Cow;

use brodmann_kernels::{CsrView, Seed, Slices};
use ndarray::Array2;
use rand::seq::SliceRandom;

use super::graph::{Operators, SpamiGraph};
use super::network::{self, Layout, Nodes};
use super::options::SpamiOptions;
use crate::nn::{LossId, Mat, Parameters, Step, Stop, Tape};

/// Features of the spots of a part, row-major.
pub(super) struct Features<'a> {
    data: Cow<'a, [f32]>,
    rows: usize,
    cols: usize,
}

impl<'a> Features<'a> {
    /// All rows.
    pub(super) fn whole(x: Mat<'a, f32>) -> Self {
        Self { data: Cow::Borrowed(x.data), rows: x.rows, cols: x.cols }
    }

    /// Some rows, rising; copied where others lie between them.
    fn rows(x: Mat<'a, f32>, members: &[u32]) -> Self {
        let (rows, cols) = (members.len(), x.cols);
        let first = members.first().map_or(0, |&i| i as usize);
        let together = members.last().is_none_or(|&i| i as usize + 1 == first + rows);
        let data = if together {
            Cow::Borrowed(x.block(first, rows).data)
        } else {
            Cow::Owned(members.iter().flat_map(|&i| x.row(i as usize)).copied().collect())
        };
        Self { data, rows, cols }
    }

    /// Rows of its own.
    pub(super) fn owned(x: Array2<f32>) -> Features<'static> {
        let (rows, cols) = x.dim();
        // Of a part of a larger array the rest is left behind.
        let data = if x.is_standard_layout() {
            let (mut data, first) = x.into_raw_vec_and_offset();
            data.drain(..first.unwrap_or(0));
            data.truncate(rows * cols);
            data
        } else {
            x.iter().copied().collect()
        };
        Features { data: Cow::Owned(data), rows, cols }
    }

    pub(super) fn view(&self) -> Mat<'_, f32> {
        Mat::new(&self.data, self.rows, self.cols)
    }
}

/// A slice in training.
pub(super) struct Part<'a> {
    pub(super) tape: Tape<'static, f32>,
    pub(super) nodes: Nodes,
    /// Of the modalities, and then of a reference.
    pub(super) features: Vec<Features<'a>>,
    /// Spots whose features are permuted among each other.
    groups: Vec<Vec<u32>>,
    permutations: Vec<Vec<u32>>,
    /// Of its draws.
    seed: Seed,
    /// Of all spots, those that are its own.
    share: f64,
    /// Whether the tape runs in buffers that are lent to it.
    pub(super) borrows: bool,
}

impl<'a> Part<'a> {
    /// From a tape that is written already; `number`: of the slice.
    pub(super) fn new(
        tape: Tape<'static, f32>,
        nodes: Nodes,
        features: Vec<Features<'a>>,
        groups: Vec<Vec<u32>>,
        (seed, number, share): (Seed, usize, f64),
    ) -> Self {
        let n_obs = groups.iter().map(Vec::len).sum::<usize>() as u32;
        let permuted = if nodes.contrast.iter().any(Option::is_some) { nodes.contrast.len() } else { 0 };
        let permutations = vec![(0..n_obs).collect(); permuted];
        let seed = draws_of(seed, number);
        Self { tape, nodes, features, groups, permutations, seed, share, borrows: false }
    }

    /// Of one slice of a whole.
    pub(super) fn of_slice(
        features: Vec<Features<'a>>,
        operators: &Operators<f32>,
        (options, layout): (&SpamiOptions, &Layout),
        draws: (Seed, usize, f64),
    ) -> Self {
        let n_obs = features.first().map_or(0, |x| x.rows);
        let options = weighted(options, features.len(), draws.2);
        let (tape, nodes) = network::write(&options, layout, operators, n_obs, true);
        let mut tape = tape.build(true);
        // It will be lent some.
        drop(tape.take_buffers());
        let part = Self::new(tape, nodes, features, Slices::one(n_obs).rows().to_vec(), draws);
        Self { borrows: true, ..part }
    }

    /// One pass: gradients into `parameters`; the loss, and its terms, each the share of this part.
    pub(super) fn pass(
        &mut self,
        epoch: u64,
        sparse: &[CsrView<'_, f32>],
        parameters: &mut Parameters<f32>,
    ) -> Result<Vec<f64>, Stop> {
        let n = self.nodes.contrast.len() as u64;
        for (m, permutation) in self.permutations.iter_mut().enumerate() {
            permute(permutation, &self.groups, self.seed, epoch * n + m as u64);
        }
        let indices: Vec<&[u32]> = self.permutations.iter().map(Vec::as_slice).collect();
        let features: Vec<Mat<'_, f32>> = self.features.iter().map(Features::view).collect();
        let step = Step {
            indices: &indices,
            sparse,
            ..Step::training(self.seed.derive("spami/epoch", epoch), &features)
        };
        let loss = self.tape.run(&step, parameters)?;
        let value = |id: &Option<LossId>| self.share * id.map_or(0.0, |id| self.tape.loss(id));
        let terms = self.nodes.contrast.iter().chain(&self.nodes.reconstruction).map(value);
        Ok([loss, value(&self.nodes.cosine)].into_iter().chain(terms).collect())
    }

    /// The network without dropout.
    pub(super) fn infer(&mut self, sparse: &[CsrView<'_, f32>], parameters: &Parameters<f32>) {
        let indices: Vec<&[u32]> = self.permutations.iter().map(Vec::as_slice).collect();
        let features: Vec<Mat<'_, f32>> = self.features.iter().map(Features::view).collect();
        let step = Step { indices: &indices, sparse, ..Step::inference(&features) };
        self.tape.infer(&step, parameters);
    }
}

/// One part per slice, in their order.
pub(super) fn parts<'a>(
    features: &[Mat<'a, f32>],
    graph: &SpamiGraph,
    slices: &Slices,
    of: (&SpamiOptions, &Layout),
    seed: Seed,
) -> Vec<Part<'a>> {
    let n_obs = graph.n_obs();
    let members = slices.rows();
    let mut places = vec![0u32; n_obs];
    for slice in members {
        for (place, &i) in slice.iter().enumerate() {
            places[i as usize] = place as u32;
        }
    }
    let each = members.iter().enumerate().map(|(number, slice)| {
        let share = slice.len() as f64 / n_obs as f64;
        let features = features.iter().map(|x| Features::rows(*x, slice)).collect();
        Part::of_slice(features, &graph.operators_within(slice, &places), of, (seed, number, share))
    });
    each.collect()
}

/// The seed of a slice's draws: the run's own for the first, so that a tissue of one slice is as it is without slices.
fn draws_of(seed: Seed, number: usize) -> Seed {
    if number == 0 { seed } else { seed.derive("spami/slice", number as u64) }
}

/// The options of a slice with a share of the spots.
fn weighted(options: &SpamiOptions, n_modalities: usize, share: f64) -> SpamiOptions {
    let of = |weight: &dyn Fn(usize) -> f64| (0..n_modalities).map(|m| share * weight(m)).collect();
    SpamiOptions {
        contrast_weights: of(&|m| options.contrast_weight(m)),
        reconstruction_weights: of(&|m| options.reconstruction_weight(m)),
        cosine_weight: share * options.cosine_weight,
        ..options.clone()
    }
}

/// A fresh permutation of the spots of every group among themselves.
fn permute(permutation: &mut [u32], groups: &[Vec<u32>], seed: Seed, index: u64) {
    let mut draws = seed.stream("spami/corruption", index);
    for group in groups {
        // The places of a group are its spots in rising order; a shuffled copy says who comes from where.
        let mut shuffled = group.clone();
        shuffled.shuffle(&mut draws);
        for (&place, &source) in group.iter().zip(&shuffled) {
            permutation[place as usize] = source;
        }
    }
}
