//! The trained network.

use brodmann_kernels::{Monitor, Seed};
use ndarray::{Array2, ArrayView2};

use super::checks::{check_features, matrices, standard};
use super::error::SpamiError;
use super::graph::SpamiGraph;
use super::network;
use super::options::SpamiOptions;
use crate::nn::{Mat, Parameters, Step};

/// A network: its options and its named parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct SpamiModel {
    options: SpamiOptions,
    seed: Seed,
    widths: Vec<usize>,
    /// In the order of the network.
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
        if let Some(modality) = widths.iter().position(|&w| w == 0) {
            return Err(SpamiError::NoFeatures { modality });
        }
        let (mut expected, _) = network::parameters::<f32>(&options, &widths, seed);
        expected.load(&parameters)?;
        Ok(Self::new(options, seed, widths, &expected))
    }

    pub(super) fn new(
        options: SpamiOptions,
        seed: Seed,
        widths: Vec<usize>,
        parameters: &Parameters<f32>,
    ) -> Self {
        // What belongs to a reference is of no use without it.
        let own = |(name, _): &(String, _)| !name.starts_with(network::PRIOR);
        let parameters = parameters.named_values().into_iter().filter(own).collect();
        Self { options, seed, widths, parameters }
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
    ///
    /// `encoder.M.{weight1,bias1,weight2,bias2}`, `decoder.M.…` alike, `discriminator.M.{weight,bias}`,
    /// `attention.{weight,context}`; weights are `(n_in, n_out)`.
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
        if modalities.len() != self.widths.len() {
            return Err(SpamiError::ModalityCount { found: modalities.len(), expected: self.widths.len() });
        }
        check_features(modalities, graph)?;
        for (modality, (x, &expected)) in modalities.iter().zip(&self.widths).enumerate() {
            if x.ncols() != expected {
                return Err(SpamiError::WidthMismatch { modality, found: x.ncols(), expected });
            }
        }
        monitor.check()?;
        let (mut parameters, layout) = network::parameters::<f32>(&self.options, &self.widths, self.seed);
        parameters.load(&self.parameters)?;
        let n_obs = graph.n_obs();
        let (mut tape, nodes) = network::inference(&self.options, &layout, &graph.operators, n_obs);
        let features = standard(modalities);
        tape.infer(&Step::inference(&matrices(&features)), &parameters);
        monitor.check()?;
        let copy = |node| {
            let value: Mat<'_, f32> = tape.value(node).expect("the inference tape keeps its results");
            value.view().to_owned()
        };
        let n = self.widths.len();
        let attention = match tape.saved(nodes.fused).filter(|_| nodes.attends) {
            Some(weights) => Mat::new(weights, n_obs, n).view().to_owned(),
            None => Array2::from_elem((n_obs, n), 1.0 / n as f32),
        };
        Ok(SpamiOutput {
            embedding: copy(nodes.fused),
            attention,
            modality_embeddings: nodes.embeddings.iter().map(|&z| copy(z)).collect(),
            reconstructions: nodes.reconstructions.iter().map(|&x| copy(x)).collect(),
        })
    }
}
