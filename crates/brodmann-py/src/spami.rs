//! SpaMI on a tissue that Python holds.

use std::path::PathBuf;

use brodmann::cluster::{GmmOptions, KMeansOptions, SelectOptions};
use brodmann::models::spami::{EarlyStopping, SpamiOptions, SpamiPreset};
use brodmann::pipeline::Tissue;
use brodmann::pipeline::embedding_clusters::EmbeddingMethod;
use brodmann::pipeline::request::{FeatureRequest, PerLayer};
use brodmann::pipeline::spami::request::CLUSTER_NEIGHBORS;
use brodmann::pipeline::spami::{CheckpointRequest, Denoise, SpamiRequest, integrate_tissue};
use brodmann::preprocess::Modality;
use brodmann_kernels::Seed;
use indexmap::IndexMap;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::clustering::named;
use crate::monitor::run;
use crate::tissue::{Parts, additions};

/// One value for all modalities, or some by name.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Weights {
    default: Option<f64>,
    named: Vec<(String, f64)>,
}

impl From<Weights> for PerLayer<f64> {
    fn from(weights: Weights) -> Self {
        Self { default: weights.default, named: weights.named.into_iter().collect() }
    }
}

/// The options of `bm.tl.spami`, checked for their types there.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Options {
    preset: String,
    modalities: Option<Vec<String>>,
    modality_kinds: Vec<(String, String)>,
    use_rep: Vec<(String, String)>,
    spatial_key: String,
    library_key: Option<String>,
    epochs: Option<usize>,
    learning_rate: Option<f64>,
    n_neighbors: Option<usize>,
    hidden: Option<usize>,
    latent: Option<usize>,
    dropout: Option<f64>,
    contrast_weights: Weights,
    reconstruction_weights: Weights,
    cosine_weight: Option<f64>,
    weight_decay: Option<f64>,
    balance: Option<bool>,
    contrast: bool,
    cosine: bool,
    fusion: String,
    early_stopping: Option<(usize, f64)>,
    n_top_genes: Option<usize>,
    flavor: Option<String>,
    n_comps: Option<usize>,
    target_sum: Option<f64>,
    min_cells: Option<usize>,
    normalized: bool,
    cluster: String,
    n_clusters: Option<usize>,
    resolution: f64,
    n_init: Option<usize>,
    denoise: Option<bool>,
    umap: bool,
    modality_embeddings: bool,
    save_model: Option<PathBuf>,
    load_model: Option<PathBuf>,
    checkpoint: Option<PathBuf>,
    checkpoint_every: usize,
    resume: bool,
    key_added: String,
}

impl Options {
    fn network(&self) -> PyResult<SpamiOptions> {
        let base = SpamiOptions::preset(named(&self.preset)?);
        Ok(SpamiOptions {
            learning_rate: self.learning_rate.unwrap_or(base.learning_rate),
            epochs: self.epochs.unwrap_or(base.epochs),
            n_neighbors: self.n_neighbors.unwrap_or(base.n_neighbors),
            hidden: self.hidden.unwrap_or(base.hidden),
            latent: self.latent.unwrap_or(base.latent),
            dropout: self.dropout.unwrap_or(base.dropout),
            cosine_weight: self.cosine_weight.unwrap_or(base.cosine_weight),
            weight_decay: self.weight_decay.unwrap_or(base.weight_decay),
            contrast: self.contrast,
            cosine: self.cosine,
            fusion: named(&self.fusion)?,
            early_stopping: self
                .early_stopping
                .map(|(patience, min_delta)| EarlyStopping { patience, min_delta }),
            ..base
        })
    }

    fn clustering(&self) -> PyResult<EmbeddingMethod> {
        match (self.cluster.as_str(), self.n_clusters) {
            ("leiden", n_clusters) => Ok(EmbeddingMethod::Leiden {
                n_clusters,
                resolution: self.resolution,
                n_neighbors: CLUSTER_NEIGHBORS,
            }),
            ("kmeans", Some(n_clusters)) => Ok(EmbeddingMethod::KMeans {
                n_clusters,
                n_init: self.n_init.unwrap_or(KMeansOptions::default().n_init),
            }),
            ("gmm", n_clusters) => {
                let (mixture, choice) = (GmmOptions::default(), SelectOptions::default());
                Ok(EmbeddingMethod::Gmm {
                    n_clusters,
                    model: mixture.model,
                    n_init: self.n_init.unwrap_or(mixture.n_init),
                    criterion: choice.criterion,
                    max_clusters: choice.max_clusters,
                })
            }
            ("kmeans", None) => Err(PyValueError::new_err(
                "cluster='kmeans' was given without a number of clusters, one was expected; pass n_clusters",
            )),
            (other, _) => Err(PyValueError::new_err(format!(
                "cluster is {other:?}, 'leiden', 'kmeans' or 'gmm' was expected; choose one of these"
            ))),
        }
    }

    /// `alone`: for an AnnData, whose kind belongs to the tissue and not to a modality by name.
    fn request(self, alone: bool) -> PyResult<(SpamiRequest, Option<Modality>)> {
        let mut kinds = self
            .modality_kinds
            .iter()
            .map(|(name, kind)| Ok((name.clone(), named::<Modality>(kind)?)))
            .collect::<PyResult<IndexMap<_, _>>>()?;
        let kind = if alone { kinds.pop().map(|(_, kind)| kind) } else { None };
        let request = SpamiRequest {
            options: self.network()?,
            cluster: self.clustering()?,
            balance: self.balance,
            preset: named::<SpamiPreset>(&self.preset)?,
            modalities: self.modalities,
            kinds,
            features: FeatureRequest {
                // The counts handed over are those of the layer asked for.
                layer: None,
                modality: kind,
                n_top_genes: self.n_top_genes,
                flavor: self.flavor.as_deref().map(named).transpose()?,
                n_pcs: self.n_comps,
                target_sum: self.target_sum,
                min_cells: self.min_cells,
                normalized: self.normalized,
            },
            use_rep: self.use_rep.into_iter().collect(),
            spatial_key: self.spatial_key,
            library_key: self.library_key,
            contrast_weight: self.contrast_weights.into(),
            reconstruction_weight: self.reconstruction_weights.into(),
            denoise: match self.denoise {
                None => Denoise::Auto,
                Some(true) => Denoise::Always,
                Some(false) => Denoise::Never,
            },
            umap: self.umap,
            modality_embeddings: self.modality_embeddings,
            save_model: self.save_model,
            load_model: self.load_model,
            checkpoint: self.checkpoint.map(|folder| CheckpointRequest {
                folder,
                every: self.checkpoint_every,
                resume: self.resume,
            }),
            truth: None,
            key_added: self.key_added,
        };
        Ok((request, kind))
    }
}

/// What is to be added to the whole and to each modality, and whether the number of clusters was reached.
#[pyfunction]
#[pyo3(signature = (tissue, options, *, random_state))]
fn spami<'py>(
    py: Python<'py>,
    tissue: Parts<'py>,
    options: Options,
    random_state: u64,
) -> PyResult<(Bound<'py, PyDict>, Bound<'py, PyDict>, usize, bool)> {
    let (request, kind) = options.request(!tissue.is_mudata)?;
    let container = tissue.container(py)?;
    let (report, added) = run(py, move |monitor| {
        let tissue = Tissue::from_container(container, kind, monitor)?;
        integrate_tissue(&tissue, &request, Seed(random_state), monitor)
    })?;
    let (root, modalities) = additions(py, added)?;
    Ok((root, modalities, report.n_clusters, report.n_clusters_reached))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(spami, module)?)
}
