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

use brodmann_kernels::{CsrMatrix, CsrView, Monitor, Seed};
use ndarray::{Array2, ArrayView1};

use super::augment::GraphAugmenter;
use super::loss::{ContrastLoss, ContrastValue};
use super::network::{self, Layout, Number};
use super::options::StaigOptions;
use super::tile::{Tile, Tiling, divide, within};
use super::views::Views;
use crate::nn::{Evaluation, Loss, Mat, Node, Parameters, Step, Stop, Tape, TapeBuilder};

/// What the network sees of a tile.
struct Sight<T> {
    /// Features, then the graph of each view.
    sparse: Vec<CsrMatrix<T>>,
}

impl<T: Number> Sight<T> {
    /// `places`: room for a number per spot of the slice, all of them `u32::MAX` before and after.
    fn new(tile: &Tile, features: CsrView<'_, T>, views: &Views<T>, places: &mut [u32]) -> Self {
        for (place, &i) in tile.members().iter().enumerate() {
            places[i as usize] = place as u32;
        }
        let members: Vec<usize> = tile.members().iter().map(|&i| i as usize).collect();
        let part = |graph: CsrView<'_, T>| within(graph, tile.members(), places);
        let graphs = || views.graphs.iter().map(|graph| part(graph.adjacency().view())).collect();
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
        let tiles = divide(graph.n_obs(), |i| graph.neighbors(i), (tiling.tile, options.layers));
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
    for tile in divide(graph.n_obs(), |i| graph.neighbors(i), (tile, options.layers)) {
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
