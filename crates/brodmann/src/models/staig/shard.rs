//! Training whose slices lie apart: each finds its gradient where it is, and one place sums them and steps.
//!
//! No edge, pair or permutation crosses slices, so the gradient of a tissue is the sum of those of its slices. Summed in
//! the order of the slices it has the bits of [`train`](super::train()) on all of them at once.

use brodmann_kernels::{Seed, Silent};
use ndarray::Array2;

use super::error::StaigError;
use super::loss::Negatives;
use super::model::{StaigModel, StaigTissue};
use super::network;
use super::options::StaigOptions;
use super::parts::part_of_whole;
use super::tile::Tiling;
use super::train::{StaigNetwork, adam, columns};
use crate::nn::{Elsewhere, Gradients, Trainer};

/// Where a slice stands among the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StaigPlace {
    /// Observations of the slices before it.
    pub first: usize,
    /// Observations of all slices.
    pub n_obs: usize,
    /// How negatives are summed in all of them; see [`negatives_of`].
    pub negatives: Negatives,
}

/// A slice in training apart from the others.
pub struct StaigShard {
    trainer: Trainer<StaigNetwork<'static>>,
    options: StaigOptions,
    seed: Seed,
    n_features: usize,
}

impl StaigShard {
    /// Takes a slice.
    ///
    /// # Inputs
    /// `tissue`: the slice alone, with its own edges and their probabilities. `options`, `seed`: those of all slices.
    /// # Errors
    /// As [`train`](super::train()).
    pub fn new(
        tissue: &StaigTissue<'_>,
        place: StaigPlace,
        options: &StaigOptions,
        seed: Seed,
    ) -> Result<Self, StaigError> {
        options.validate()?;
        tissue.check_features()?;
        let n_features = tissue.features.n_cols();
        let (parameters, layout) = network::parameters::<f32>(options, n_features, seed);
        let whole = (place.first, place.n_obs, place.negatives);
        let part = part_of_whole(tissue, whole, options, &layout)?;
        let network = StaigNetwork::of(vec![part], options, seed);
        let trainer = Trainer::new(network, parameters, adam(options));
        Ok(Self { trainer, options: options.clone(), seed, n_features })
    }

    /// Its share of the gradient of an epoch (from 0), at parameters in the order of
    /// [`Parameters::flat`](crate::nn::Parameters::flat). The same arguments give the same bits, whatever was asked before.
    ///
    /// # Errors
    /// As [`train`](super::train()); `State` for another network's parameters.
    pub fn gradients(&mut self, parameters: &[f32], epoch: u64) -> Result<Gradients, StaigError> {
        self.trainer.parameters_mut().load_flat(parameters)?;
        self.trainer.gradients_at(epoch)
    }

    /// The embedding of the slice by a network with these parameters: `(n_obs, width)`.
    ///
    /// # Errors
    /// As [`StaigModel::apply`]; `State` for another network's parameters.
    pub fn embed(&mut self, parameters: &[f32]) -> Result<Array2<f32>, StaigError> {
        self.trainer.parameters_mut().load_flat(parameters)?;
        let model =
            StaigModel::new(self.options.clone(), self.seed, self.n_features, self.trainer.parameters());
        let (features, augmenter) = self.trainer.network().only_part();
        model.apply_to(features, augmenter, (Tiling::USUAL, &Silent))
    }
}

/// How negatives are summed, of slices of these sizes.
pub fn negatives_of(sizes: &[usize], options: &StaigOptions) -> Negatives {
    options.contrast().resolve_for(sizes.iter().map(|&n| (n as f64).powi(2)).sum())
}

/// The trainer of slices that lie elsewhere: its parameters travel to them, and their gradients come back.
///
/// # Errors
/// `Option`.
pub fn lead(
    options: &StaigOptions,
    n_features: usize,
    seed: Seed,
) -> Result<Trainer<Elsewhere<StaigError>>, StaigError> {
    options.validate()?;
    let (parameters, _) = network::parameters::<f32>(options, n_features, seed);
    Ok(Trainer::new(Elsewhere::new(columns()), parameters, adam(options)))
}

/// The network that such a trainer has come to.
pub fn model_of(
    trainer: &Trainer<Elsewhere<StaigError>>,
    options: &StaigOptions,
    n_features: usize,
    seed: Seed,
) -> StaigModel {
    StaigModel::new(options.clone(), seed, n_features, trainer.parameters())
}
