//! Training whose slices lie apart: each finds its gradient where it is, and one place sums them and steps.
//!
//! The gradient of a tissue is the sum of those of its slices. Summed in the order of the slices it has the bits of
//! [`train`](super::train()) on all of them at once.

use brodmann_kernels::{Seed, Silent};
use ndarray::{Array2, ArrayView2};

use super::checks::check_features;
use super::error::SpamiError;
use super::graph::SpamiGraph;
use super::model::{SpamiModel, SpamiOutput};
use super::network;
use super::options::SpamiOptions;
use super::parts::{Features, Part};
use super::train::{SpamiNetwork, adam, columns};
use crate::nn::{Elsewhere, Gradients, Trainer};

/// Where a slice stands among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpamiPlace {
    /// Slices before it.
    pub index: usize,
    /// Observations of all slices.
    pub n_obs: usize,
}

/// A slice in training apart from the others.
pub struct SpamiShard {
    trainer: Trainer<SpamiNetwork<'static, 'static>>,
    graph: SpamiGraph,
    options: SpamiOptions,
    seed: Seed,
}

impl SpamiShard {
    /// Takes a slice.
    ///
    /// # Inputs
    /// `modalities`: of the slice alone, per modality `(n_obs, n_features)`. `graph`: of the slice alone. `options`,
    /// `seed`: those of all slices.
    /// # Errors
    /// As [`train`](super::train()).
    pub fn new(
        modalities: Vec<Array2<f32>>,
        graph: SpamiGraph,
        place: SpamiPlace,
        options: &SpamiOptions,
        seed: Seed,
    ) -> Result<Self, SpamiError> {
        options.validate(modalities.len())?;
        let views: Vec<_> = modalities.iter().map(|x| x.view()).collect();
        check_features(&views, &graph)?;
        let n_obs = graph.n_obs();
        if n_obs > place.n_obs {
            let what = "all slices together".to_owned();
            return Err(SpamiError::SpotMismatch { what, found: place.n_obs, expected: n_obs });
        }
        let widths: Vec<usize> = modalities.iter().map(Array2::ncols).collect();
        let (parameters, layout) = network::parameters::<f32>(options, &widths, seed);
        let features = modalities.into_iter().map(Features::owned);
        let draws = (seed, place.index, n_obs as f64 / place.n_obs as f64);
        let part = Part::of_slice(features.collect(), &graph.operators, (options, &layout), draws);
        let network = SpamiNetwork::of_one(part, widths.len(), options);
        let trainer = Trainer::new(network, parameters, adam(options));
        Ok(Self { trainer, graph, options: options.clone(), seed })
    }

    /// Its share of the gradient of an epoch (from 0), at parameters in the order of
    /// [`Parameters::flat`](crate::nn::Parameters::flat). The same arguments give the same bits, whatever was asked before.
    ///
    /// # Errors
    /// As [`train`](super::train()); `State` for another network's parameters.
    pub fn gradients(&mut self, parameters: &[f32], epoch: u64) -> Result<Gradients, SpamiError> {
        self.trainer.parameters_mut().load_flat(parameters)?;
        self.trainer.gradients_at(epoch)
    }

    /// What a network with these parameters says of the slice.
    ///
    /// # Errors
    /// As [`SpamiModel::apply`]; `State` for another network's parameters.
    pub fn apply(&mut self, parameters: &[f32]) -> Result<SpamiOutput, SpamiError> {
        self.trainer.parameters_mut().load_flat(parameters)?;
        let views = self.trainer.network().features_of_first();
        let widths = views.iter().map(ArrayView2::ncols).collect();
        let model = SpamiModel::new(self.options.clone(), self.seed, widths, self.trainer.parameters());
        model.apply(&views, &self.graph, &Silent)
    }
}

/// The trainer of slices that lie elsewhere: its parameters travel to them, and their gradients come back.
///
/// # Inputs
/// `widths`: features per modality.
/// # Errors
/// `Option`.
pub fn lead(
    options: &SpamiOptions,
    widths: &[usize],
    seed: Seed,
) -> Result<Trainer<Elsewhere<SpamiError>>, SpamiError> {
    options.validate(widths.len())?;
    let (parameters, _) = network::parameters::<f32>(options, widths, seed);
    Ok(Trainer::new(Elsewhere::new(columns(widths.len())), parameters, adam(options)))
}

/// The network that such a trainer has come to.
pub fn model_of(
    trainer: &Trainer<Elsewhere<SpamiError>>,
    options: &SpamiOptions,
    widths: &[usize],
    seed: Seed,
) -> SpamiModel {
    SpamiModel::new(options.clone(), seed, widths.to_vec(), trainer.parameters())
}
