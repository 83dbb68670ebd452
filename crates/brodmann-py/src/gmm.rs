//! Gaussian mixtures of an embedding, and how many components they should have.

use brodmann::cluster::{
    Clusterer, GmmInit, GmmOptions, KMeansOptions, SelectOptions, gmm as fit, select_n_clusters as select,
};
use brodmann_kernels::Seed;
use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::Dense;
use crate::clustering::{criterion, model, unknown};
use crate::monitor::run;

/// How `brodmann.tl` wants a mixture fitted.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Mixture {
    model: String,
    n_init: usize,
    init: String,
    subset: usize,
    max_iterations: usize,
    tolerance: f64,
    regularization: f64,
}

impl Mixture {
    fn options(&self, n_components: usize) -> PyResult<GmmOptions> {
        Ok(GmmOptions {
            n_components,
            model: model("model", &self.model)?,
            n_init: self.n_init,
            init: match self.init.as_str() {
                "mixed" => GmmInit::Mixed,
                "hierarchy" => GmmInit::Hierarchy,
                "kmeans" => GmmInit::KMeans,
                other => return Err(unknown("init", other, "'mixed', 'hierarchy' or 'kmeans'")),
            },
            subset: self.subset,
            max_iterations: self.max_iterations,
            tolerance: self.tolerance,
            regularization: self.regularization,
        })
    }
}

/// The likeliest mixture of `n_init` starts, components by falling size.
#[pyfunction]
#[pyo3(signature = (x, mixture, *, n_components, random_state))]
fn gmm<'py>(
    py: Python<'py>,
    x: Dense<'py, f64>,
    mixture: Mixture,
    n_components: usize,
    random_state: u64,
) -> PyResult<Bound<'py, PyDict>> {
    let (options, view) = (mixture.options(n_components)?, x.view());
    let found = run(py, |monitor| fit(view, &options, Seed(random_state), monitor))?;
    let dict = PyDict::new(py);
    dict.set_item("labels", found.labels.into_pyarray(py))?;
    dict.set_item("probabilities", found.responsibilities.into_pyarray(py))?;
    dict.set_item("weights", found.weights.into_pyarray(py))?;
    dict.set_item("means", found.means.into_pyarray(py))?;
    dict.set_item("covariances", found.covariances.into_pyarray(py))?;
    dict.set_item("model", found.model.name())?;
    dict.set_item("loglik", found.loglik)?;
    dict.set_item("bic", found.bic)?;
    dict.set_item("n_parameters", found.n_parameters)?;
    dict.set_item("n_iterations", found.n_iterations)?;
    dict.set_item("converged", found.converged)?;
    dict.set_item("start_logliks", found.start_logliks.into_pyarray(py))?;
    dict.set_item("singular", found.singular)?;
    dict.set_item("notes", found.notes)?;
    Ok(dict)
}

/// `(n_clusters, labels, table, notes)`; the table by column, NaN where a score could not judge.
type Chosen<'py> = (usize, Bound<'py, PyArray1<u32>>, Bound<'py, PyDict>, Vec<String>);

/// Every number of clusters of a range, scored, and the one to take.
#[pyfunction]
#[pyo3(signature = (
    x, mixture, *, method, min_clusters, max_clusters, criterion, n_runs, sample_size, random_state
))]
fn select_n_clusters<'py>(
    py: Python<'py>,
    x: Dense<'py, f64>,
    mixture: Mixture,
    method: &str,
    min_clusters: usize,
    max_clusters: usize,
    criterion: &str,
    n_runs: usize,
    sample_size: usize,
    random_state: u64,
) -> PyResult<Chosen<'py>> {
    let clusterer = match method {
        "gmm" => Clusterer::Gmm(mixture.options(min_clusters)?),
        "kmeans" => Clusterer::KMeans(KMeansOptions { n_init: mixture.n_init, ..KMeansOptions::default() }),
        other => return Err(unknown("cluster", other, "'gmm' or 'kmeans'")),
    };
    let criterion = self::criterion("select_by", criterion)?;
    let options = SelectOptions { min_clusters, max_clusters, criterion, clusterer, n_runs, sample_size };
    let view = x.view();
    let found = run(py, |monitor| select(view, &options, Seed(random_state), monitor))?;
    let table = PyDict::new(py);
    let whole = |f: fn(&brodmann::cluster::Candidate) -> usize| {
        found.table.iter().map(|c| f(c) as i64).collect::<Vec<i64>>().into_pyarray(py)
    };
    let score = |f: fn(&brodmann::cluster::Candidate) -> f64| {
        found.table.iter().map(f).collect::<Vec<f64>>().into_pyarray(py)
    };
    table.set_item("n_clusters", whole(|c| c.n_clusters))?;
    table.set_item("n_found", whole(|c| c.n_found))?;
    table.set_item("stability", score(|c| c.stability))?;
    table.set_item("silhouette", score(|c| c.silhouette.unwrap_or(f64::NAN)))?;
    table.set_item("bic", score(|c| c.bic.unwrap_or(f64::NAN)))?;
    Ok((found.n_clusters, found.labels.into_pyarray(py), table, found.notes))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(gmm, module)?)?;
    module.add_function(wrap_pyfunction!(select_n_clusters, module)?)
}
