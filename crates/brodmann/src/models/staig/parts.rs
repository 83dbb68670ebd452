//! The slices of a tissue as parts of training: each with its features, its graph, and a tape.
//!
//! No edge and no pair of the loss crosses slices, so the loss of a tissue is the mean of those of its slices, weighted
//! by their spots, and so is its gradient. Where the whole is one slice nothing is copied; where a slice is a giant, its layers
//! are passed over in tiles ([`tiled`](super::tiled)).

use brodmann_kernels::{CsrMatrix, CsrView, Monitor, Silent};

use super::augment::GraphAugmenter;
use super::error::StaigError;
use super::loss::{ContrastLoss, ContrastOptions, ContrastPairs, Negatives};
use super::model::StaigTissue;
use super::network::{self, Layout};
use super::options::StaigOptions;
use super::tile::{Tiling, within};
use super::tiled::Tiles;
use super::views::Views;
use crate::nn::{LossId, Tape, TapeBuilder};

/// The features of a part.
pub(super) enum Features<'n> {
    /// Those of the tissue.
    Whole(CsrView<'n, f32>),
    /// The rows of a slice.
    Rows(CsrMatrix<f32>),
}

impl Features<'_> {
    pub(super) fn view(&self) -> CsrView<'_, f32> {
        match self {
            Self::Whole(view) => *view,
            Self::Rows(rows) => rows.view(),
        }
    }
}

/// A slice in training.
pub(super) struct Part<'n> {
    pub(super) features: Features<'n>,
    pub(super) augmenter: GraphAugmenter,
    pub(super) views: Views<f32>,
    pub(super) body: Body<'n>,
}

/// How the layers and the loss see a slice.
pub(super) enum Body<'n> {
    /// All of it at once.
    Whole { tape: Tape<'n, f32>, loss: LossId },
    /// One tile after the other.
    Tiled(Tiles<'n, f32>),
}

/// One part per slice, in the order of their labels, and how negatives are summed in all of them.
///
/// # Errors
/// Those of the graph and its probabilities.
pub(super) fn parts<'n>(
    tissue: &StaigTissue<'n>,
    options: &StaigOptions,
    layout: &Layout,
    (tiling, monitor): (Tiling, &'n dyn Monitor),
) -> Result<(Vec<Part<'n>>, Negatives), StaigError> {
    let augmenter = GraphAugmenter::new(tissue.graph, tissue.edge_drop, options.resamples)?;
    let pairs = ContrastPairs::try_new(tissue.graph, tissue.slices, tissue.classes)?;
    // By the pairs of the whole: a small slice is summed like its large neighbours.
    let negatives = options.contrast().resolve(&pairs);
    let contrast = ContrastOptions { negatives, ..options.contrast() };
    let maker = Maker { options, layout, contrast, tiling, monitor };
    if pairs.n_slices() <= 1 {
        let part = maker.part(Features::Whole(tissue.features), augmenter, pairs, 1.0)?;
        return Ok((vec![part], negatives));
    }
    let members = pairs.members();
    let places = places_in(&members, tissue.n_obs());
    let mut parts = Vec::with_capacity(members.len());
    for slice in &members {
        let rows: Vec<usize> = slice.iter().map(|&i| i as usize).collect();
        let features = Features::Rows(tissue.features.select_rows(&rows));
        let graph = within(tissue.graph, slice, &places);
        let classes: Option<Vec<u32>> =
            tissue.classes.map(|classes| rows.iter().map(|&i| classes[i]).collect());
        let pairs = ContrastPairs::try_new(graph.view(), None, classes.as_deref())?;
        let share = slice.len() as f64 / tissue.n_obs() as f64;
        parts.push(maker.part(features, augmenter.part(slice, &places), pairs, share)?);
    }
    Ok((parts, negatives))
}

/// The only part of a tissue that is one slice of a larger whole.
///
/// # Inputs
/// `first`: observations of the whole before it; `n_whole`: all of them. `negatives`: how they are summed in the whole.
pub(super) fn part_of_whole(
    tissue: &StaigTissue<'_>,
    (first, n_whole, negatives): (usize, usize, Negatives),
    options: &StaigOptions,
    layout: &Layout,
) -> Result<Part<'static>, StaigError> {
    let n_obs = tissue.n_obs();
    let augmenter = GraphAugmenter::new(tissue.graph, tissue.edge_drop, options.resamples)?;
    let augmenter = augmenter.numbered((first..first + n_obs).map(|i| i as u32).collect());
    let pairs = ContrastPairs::try_new(tissue.graph, None, tissue.classes)?;
    let contrast = ContrastOptions { negatives, ..options.contrast() };
    let maker = Maker { options, layout, contrast, tiling: Tiling::USUAL, monitor: &Silent };
    let share = n_obs as f64 / n_whole as f64;
    maker.part(Features::Rows(tissue.features.to_owned()), augmenter, pairs, share)
}

/// For each observation of the whole its place in its part.
pub(super) fn places_in(members: &[Vec<u32>], n_obs: usize) -> Vec<u32> {
    let mut places = vec![0u32; n_obs];
    for slice in members {
        for (place, &i) in slice.iter().enumerate() {
            places[i as usize] = place as u32;
        }
    }
    places
}

struct Maker<'a, 'n> {
    options: &'a StaigOptions,
    layout: &'a Layout,
    contrast: ContrastOptions,
    tiling: Tiling,
    monitor: &'n dyn Monitor,
}

impl<'n> Maker<'_, 'n> {
    fn part(
        &self,
        features: Features<'n>,
        augmenter: GraphAugmenter,
        pairs: ContrastPairs,
        share: f64,
    ) -> Result<Part<'n>, StaigError> {
        let (n_obs, n_features) = (features.view().n_rows(), features.view().n_cols());
        let views = Views::full(&augmenter, n_features, 2);
        if n_obs > self.tiling.whole {
            let loss = ContrastLoss::new(pairs, self.contrast)?;
            let seen = (self.tiling, self.monitor);
            let tiles = Tiles::new((&augmenter, n_features), (loss, share), self.options, self.layout, seen);
            return Ok(Part { features, augmenter, views, body: Body::Tiled(tiles) });
        }
        let mut tape = TapeBuilder::new();
        let output = network::write(&mut tape, self.options, self.layout, (n_obs, n_features), 2);
        let loss = ContrastLoss::new(pairs, self.contrast)?;
        let loss = network::contrast(&mut tape, output, loss, share, self.monitor);
        let mut tape = tape.build(true);
        // It will be lent some.
        drop(tape.take_buffers());
        Ok(Part { features, augmenter, views, body: Body::Whole { tape, loss } })
    }
}
