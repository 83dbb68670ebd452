//! A giant slice in tiles: the layers see a tile at a time, the loss all of the slice.
//!
//! What a spot becomes depends on the spots within as many steps as the network has convolutions, and on no others: a tile
//! with a halo of so many steps yields for its own spots what the whole slice yields. So does its way back, since the
//! gradient by rows of the halo is zero. The buffers of the layers are then those of the largest tile, and what
//! is kept per spot are the unit rows of the loss and their gradient.
//!
//! ```text
//! for each tile:  z = network(tile and halo);  keep the unit rows of its own spots
//! loss and gradient by all unit rows, as of a slice in one piece
//! for each tile:  z once more, then back from the gradient of its own spots;  add to the gradient of the weights
//! ```
//!
//! An epoch takes one and a half times as long: the layers go forward twice, and the rows of a tile are gathered. Losses have
//! the bits of the slice in one piece; gradients of weights are sums over tiles in their order, in double precision, and
//! differ by rounding.

use std::collections::VecDeque;

use brodmann_kernels::{CsrMatrix, CsrView, Monitor, Seed};
use ndarray::{Array2, ArrayView1};

use super::augment::GraphAugmenter;
use super::loss::{ContrastLoss, ContrastValue};
use super::network::{self, Layout, Number};
use super::options::StaigOptions;
use super::views::Views;
use crate::nn::{Evaluation, Loss, Mat, Node, Parameters, Step, Stop, Tape, TapeBuilder};

/// How large a slice may be and a tile shall be. Both shape the last bits of a training, so they are no options.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiling {
    /// Spots of a slice up to which it is left in one piece.
    pub(super) whole: usize,
    /// Spots of a tile.
    pub(super) tile: usize,
}

impl Tiling {
    /// What every training uses.
    pub(super) const USUAL: Self = Self { whole: 1 << 18, tile: 1 << 16 };

    /// Rows that the layers see at once, of a slice of `n_obs` spots: a halo is at most a fraction of its tile.
    pub(super) fn rows(self, n_obs: usize) -> usize {
        if n_obs <= self.whole { n_obs } else { self.whole.min(2 * self.tile) }
    }
}

/// Spots near each other, and those that their network sees beside them.
pub(super) struct Tile {
    /// Spots of tile and halo, rising.
    members: Vec<u32>,
    /// Which of them are the tile's own.
    own: Vec<bool>,
}

impl Tile {
    /// Rows that the network sees of one view.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// The spot of a row.
    #[cfg(test)]
    pub(super) fn spot(&self, row: usize) -> usize {
        self.members[row] as usize
    }

    /// Own spots, and the row of each in the tile.
    pub(super) fn own(&self) -> impl Iterator<Item = (usize, usize)> {
        let each = self.members.iter().zip(&self.own).enumerate();
        each.filter(|(_, (_, own))| **own).map(|(row, (&i, _))| (i as usize, row))
    }

    /// The spot of a row that is the tile's own.
    pub(super) fn own_at(&self, row: usize) -> Option<usize> {
        self.own[row].then(|| self.members[row] as usize)
    }
}

/// Cuts a slice into tiles of at most `size` spots with halos of `hops` steps: each tile grows around a spot beside the
/// tile before it, so that it is about as wide as long.
pub(super) fn divide(graph: &GraphAugmenter, size: usize, hops: usize) -> Vec<Tile> {
    let n = graph.n_obs();
    let mut tiles = Vec::with_capacity(n.div_ceil(size));
    let mut taken = vec![false; n];
    // The last tile that had a spot in its queue, or in itself and its halo.
    let (mut queued, mut seen) = (vec![u32::MAX; n], vec![u32::MAX; n]);
    let mut queue = VecDeque::new();
    let mut first_left = 0;
    let mut left = n;
    while left > 0 {
        let number = tiles.len() as u32;
        let beside = queue.drain(..).find(|&i: &u32| !taken[i as usize]);
        queue.extend(beside);
        let mut own = Vec::with_capacity(size.min(left));
        while own.len() < size && left > 0 {
            let i = queue.pop_front().unwrap_or_else(|| {
                while taken[first_left] {
                    first_left += 1;
                }
                first_left as u32
            });
            taken[i as usize] = true;
            left -= 1;
            own.push(i);
            for &j in graph.neighbors(i as usize) {
                if !taken[j as usize] && queued[j as usize] != number {
                    queued[j as usize] = number;
                    queue.push_back(j);
                }
            }
        }
        let mut members = own.clone();
        for &i in &own {
            seen[i as usize] = number;
        }
        let mut from = 0;
        for _ in 0..hops {
            let to = members.len();
            for at in from..to {
                for &j in graph.neighbors(members[at] as usize) {
                    if seen[j as usize] != number {
                        seen[j as usize] = number;
                        members.push(j);
                    }
                }
            }
            from = to;
        }
        members.sort_unstable();
        own.sort_unstable();
        let mut rest = own.iter().peekable();
        let own = members.iter().map(|i| rest.next_if_eq(&i).is_some()).collect();
        tiles.push(Tile { members, own });
    }
    tiles
}

/// What the network sees of a tile.
struct Sight<T> {
    /// Features, then the graph of each view.
    sparse: Vec<CsrMatrix<T>>,
}

impl<T: Number> Sight<T> {
    /// `places`: room for a number per spot of the slice, all of them `u32::MAX` before and after.
    fn new(tile: &Tile, features: CsrView<'_, T>, views: &Views<T>, places: &mut [u32]) -> Self {
        for (place, &i) in tile.members.iter().enumerate() {
            places[i as usize] = place as u32;
        }
        let members: Vec<usize> = tile.members.iter().map(|&i| i as usize).collect();
        let within = |graph: CsrView<'_, T>| {
            let nnz = members.iter().map(|&i| graph.row(i).0.len()).sum();
            let mut rows = CsrMatrix::with_capacity(members.len(), members.len(), nnz);
            for &i in &members {
                let (columns, values) = graph.row(i);
                let each = columns.iter().zip(values).map(|(&j, &v)| (places[j as usize], v));
                rows.push_row(each.filter(|(place, _)| *place != u32::MAX));
            }
            rows
        };
        let graphs = || views.graphs.iter().map(|graph| within(graph.adjacency().view())).collect();
        let (features, graphs): (_, Vec<_>) = rayon::join(|| features.select_rows(&members), graphs);
        let sparse = std::iter::once(features).chain(graphs).collect();
        for &i in &members {
            places[i] = u32::MAX;
        }
        Self { sparse }
    }

    fn views(&self) -> Vec<CsrView<'_, T>> {
        self.sparse.iter().map(CsrMatrix::view).collect()
    }
}

/// Where the way back of a tile begins: the gradient that the step brings along.
pub(super) struct Given;

impl<T: Number> Loss<T> for Given {
    fn name(&self) -> &'static str {
        "given"
    }

    fn evaluate(&mut self, pass: Evaluation<'_, '_, T>) -> Result<f64, Stop> {
        if let Some(grad) = &mut pass.input_grads[0] {
            for (g, &given) in grad.data.iter_mut().zip(pass.step.inputs[0].data) {
                *g = if grad.accumulate { *g + given } else { given };
            }
        }
        Ok(0.0)
    }
}

/// A network for each tile, and the loss of the slice.
pub(super) struct Tiles<'n, T> {
    each: Vec<(Tile, Tape<'n, T>, Node)>,
    loss: ContrastLoss<T>,
    /// The share of the slice in the loss of the tissue.
    weight: f64,
    width: usize,
    places: Vec<u32>,
    monitor: &'n dyn Monitor,
}

impl<'n, T: Number> Tiles<'n, T> {
    pub(super) fn new(
        (graph, n_features): (&GraphAugmenter, usize),
        (loss, weight): (ContrastLoss<T>, f64),
        options: &StaigOptions,
        layout: &Layout,
        (tiling, monitor): (Tiling, &'n dyn Monitor),
    ) -> Self {
        let tiles = divide(graph, tiling.tile, options.layers);
        let each = tiles.into_iter().map(|tile| {
            let mut tape = TapeBuilder::new();
            let output = network::write(&mut tape, options, layout, (tile.len(), n_features), 2);
            tape.keep(output);
            tape.loss(Given, &[output], &[], 1.0);
            let mut tape = tape.build(true);
            // Its buffers are those of all tiles.
            drop(tape.take_buffers());
            (tile, tape, output)
        });
        let each = each.collect();
        Self { each, loss, weight, width: options.width, places: vec![u32::MAX; graph.n_obs()], monitor }
    }

    /// One pass over the slice: its share of the loss, and its gradients into `parameters`.
    ///
    /// # Errors
    /// Those of the loss; `Interrupted`.
    pub(super) fn pass(
        &mut self,
        features: CsrView<'_, T>,
        views: &Views<T>,
        seed: Seed,
        buffers: &mut Vec<Vec<T>>,
        parameters: &mut Parameters<T>,
    ) -> Result<ContrastValue, Stop> {
        self.loss.take_room(self.width);
        for (tile, tape, output) in &mut self.each {
            self.monitor.check()?;
            let sight = Sight::new(tile, features, views, &mut self.places);
            let sparse = sight.views();
            let step = Step { sparse: &sparse, masks: &views.masks, ..Step::training(seed, &[]) };
            tape.lend_buffers(std::mem::take(buffers));
            tape.infer(&step, parameters);
            self.loss.put_rows(tile, tape.value(*output).expect("the output was kept"));
            *buffers = tape.take_buffers();
        }
        let value = self.loss.evaluate_rows(self.monitor)?;
        let mut sums: Vec<Vec<f64>> = parameters.iter().map(|p| vec![0.0; p.value.len()]).collect();
        let mut gradient = Vec::new();
        for (tile, tape, _) in &mut self.each {
            self.monitor.check()?;
            let rows = 2 * tile.len();
            gradient.resize(rows * self.width, T::ZERO);
            self.loss.write_gradient_of(tile, self.weight, &mut gradient);
            let sight = Sight::new(tile, features, views, &mut self.places);
            let sparse = sight.views();
            let inputs = [Mat::new(&gradient, rows, self.width)];
            let step = Step { sparse: &sparse, masks: &views.masks, ..Step::training(seed, &inputs) };
            tape.lend_buffers(std::mem::take(buffers));
            let done = tape.run(&step, parameters);
            *buffers = tape.take_buffers();
            done?;
            for (sum, parameter) in sums.iter_mut().zip(parameters.iter()) {
                sum.iter_mut().zip(&parameter.grad).for_each(|(s, &g)| *s += g.into());
            }
        }
        for (parameter, sum) in parameters.iter_mut().zip(sums) {
            parameter.grad.clear();
            parameter.grad.extend(sum.into_iter().map(T::from_f64));
        }
        Ok(ContrastValue { loss: self.weight * value.loss, ..value })
    }
}

/// The embedding of a slice, tile by tile: the rows it has in one piece.
///
/// # Errors
/// `Interrupted`.
pub(super) fn embed<T: Number>(
    (features, graph): (CsrView<'_, T>, &GraphAugmenter),
    views: &Views<T>,
    (options, layout, parameters): (&StaigOptions, &Layout, &Parameters<T>),
    (tile, monitor): (usize, &dyn Monitor),
) -> Result<Array2<T>, Stop> {
    let n_views = views.graphs.len();
    let mut embedding = Array2::from_elem((graph.n_obs(), options.width), T::ZERO);
    let mut places = vec![u32::MAX; graph.n_obs()];
    let mut buffers = Vec::new();
    for tile in divide(graph, tile, options.layers) {
        monitor.check()?;
        let mut tape = TapeBuilder::new();
        let shape = (tile.len(), features.n_cols());
        let output = network::write(&mut tape, options, layout, shape, n_views);
        tape.keep(output);
        let mut tape = tape.build(false);
        let sight = Sight::new(&tile, features, views, &mut places);
        let sparse = sight.views();
        let step = Step { sparse: &sparse, masks: &views.masks, ..Step::inference(&[]) };
        tape.lend_buffers(std::mem::take(&mut buffers));
        tape.infer(&step, parameters);
        let z = tape.value(output).expect("the output was kept");
        for (i, row) in tile.own() {
            let mut out = embedding.row_mut(i);
            out.assign(&ArrayView1::from(z.row(row)));
            if n_views == 2 {
                let other = z.row(tile.len() + row);
                out.iter_mut().zip(other).for_each(|(o, &z)| *o = (*o + z) * T::of(0.5));
            }
        }
        buffers = tape.take_buffers();
    }
    Ok(embedding)
}
