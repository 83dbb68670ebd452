//! How `brodmann.tl` says that the embedding of a pipeline becomes domains.

use brodmann::cluster::{CovarianceModel, SelectionCriterion};
use brodmann::pipeline::embedding_clusters::EmbeddingMethod;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::Raise;

/// A text that names a choice of the library.
pub fn named<T: std::str::FromStr>(text: &str) -> PyResult<T>
where
    T::Err: Raise,
{
    text.parse::<T>().map_err(Raise::raise)
}

/// The error for a text that names none of the choices.
pub fn unknown(option: &str, found: &str, choices: &str) -> PyErr {
    PyValueError::new_err(format!("{option} is {found:?}, {choices} was expected; choose one of these"))
}

/// A family of covariances by mclust's name.
pub fn model(option: &str, name: &str) -> PyResult<CovarianceModel> {
    CovarianceModel::from_name(name)
        .ok_or_else(|| unknown(option, name, "'EII', 'VII', 'EEI', 'VVI', 'EEE' or 'VVV'"))
}

/// What decides about a number of clusters.
pub fn criterion(option: &str, name: &str) -> PyResult<SelectionCriterion> {
    match name {
        "stability" => Ok(SelectionCriterion::Stability),
        "silhouette" => Ok(SelectionCriterion::Silhouette),
        "bic" => Ok(SelectionCriterion::Bic),
        other => Err(unknown(option, other, "'stability', 'silhouette' or 'bic'")),
    }
}

/// The options of a pipeline's last step.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Clustering {
    method: String,
    n_clusters: Option<usize>,
    resolution: f64,
    n_init: usize,
    gmm_model: String,
    select_by: String,
    max_clusters: usize,
}

impl Clustering {
    /// The method; Leiden on a graph of `n_neighbors`.
    pub fn method(&self, n_neighbors: usize) -> PyResult<EmbeddingMethod> {
        let (n_clusters, n_init) = (self.n_clusters, self.n_init);
        match (self.method.as_str(), n_clusters) {
            ("gmm", n_clusters) => Ok(EmbeddingMethod::Gmm {
                n_clusters,
                model: model("gmm_model", &self.gmm_model)?,
                n_init,
                criterion: criterion("select_by", &self.select_by)?,
                max_clusters: self.max_clusters,
            }),
            ("leiden", n_clusters) => {
                Ok(EmbeddingMethod::Leiden { n_clusters, resolution: self.resolution, n_neighbors })
            }
            ("kmeans", Some(n_clusters)) => Ok(EmbeddingMethod::KMeans { n_clusters, n_init }),
            ("kmeans", None) => Err(PyValueError::new_err(
                "cluster='kmeans' was given without a number of clusters, one was expected; pass n_clusters",
            )),
            (other, _) => Err(unknown("cluster", other, "'gmm', 'leiden' or 'kmeans'")),
        }
    }
}
