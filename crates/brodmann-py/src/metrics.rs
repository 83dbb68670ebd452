//! How good is a partition or an embedding? [`brodmann::metrics`].

use brodmann::metrics::{
    EvaluationInputs, EvaluationOptions, LisiOptions, MetricsError, SilhouetteOptions, batch_kl_of_embedding,
    coherence_graph, lisi_of_embedding,
};
use brodmann_kernels::{CsrMatrix, Seed};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{Codes, Csr, CsrArrays, Dense, csr_arrays};
use crate::monitor::run;

/// A score of two partitions: `"ari"`, `"nmi"`, `"ami"`, `"homogeneity"`, `"completeness"` or `"v_measure"`.
#[pyfunction]
fn compare_labels<'py>(py: Python<'py>, truth: Codes<'py>, pred: Codes<'py>, score: &str) -> PyResult<f64> {
    use brodmann::metrics as m;
    let (truth, pred) = (truth.slice()?, pred.slice()?);
    type Parts = fn(m::HomogeneityCompletenessV) -> f64;
    let part = |of: Parts| run(py, |_| m::homogeneity_completeness_v(truth, pred).map(of));
    match score {
        "ari" => run(py, |_| m::adjusted_rand_index(truth, pred)),
        "nmi" => run(py, |_| m::normalized_mutual_information(truth, pred)),
        "ami" => run(py, |_| m::adjusted_mutual_information(truth, pred)),
        "homogeneity" => part(|p| p.homogeneity),
        "completeness" => part(|p| p.completeness),
        "v_measure" => part(|p| p.v_measure),
        other => Err(PyValueError::new_err(format!("score {other:?} is unknown; name one of the six"))),
    }
}

/// A score of a partition of an embedding: `"davies_bouldin"` or `"calinski_harabasz"`.
#[pyfunction]
fn score_clusters<'py>(
    py: Python<'py>,
    embedding: Dense<'py, f64>,
    labels: Codes<'py>,
    score: &str,
) -> PyResult<f64> {
    let (embedding, labels) = (embedding.view(), labels.slice()?);
    match score {
        "davies_bouldin" => run(py, |_| brodmann::metrics::davies_bouldin(embedding, labels)),
        _ => run(py, |_| brodmann::metrics::calinski_harabasz(embedding, labels)),
    }
}

/// `(mean, widths, rows)`.
#[pyfunction]
#[pyo3(signature = (embedding, labels, *, sample_size, random_state))]
fn silhouette<'py>(
    py: Python<'py>,
    embedding: Dense<'py, f64>,
    labels: Codes<'py>,
    sample_size: Option<usize>,
    random_state: u64,
) -> PyResult<(f64, Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<u32>>)> {
    let (embedding, labels) = (embedding.view(), labels.slice()?);
    let options = SilhouetteOptions { sample_size };
    let found = run(py, |monitor| {
        brodmann::metrics::silhouette(embedding, labels, &options, Seed(random_state), monitor)
    })?;
    Ok((found.mean, found.samples.into_pyarray(py), found.rows.into_pyarray(py)))
}

/// LISI of each observation.
#[pyfunction]
#[pyo3(signature = (embedding, labels, *, perplexity))]
fn lisi<'py>(
    py: Python<'py>,
    embedding: Dense<'py, f64>,
    labels: Codes<'py>,
    perplexity: f64,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let (embedding, labels) = (embedding.view(), labels.slice()?);
    let found =
        run(py, |monitor| lisi_of_embedding(embedding, labels, &LisiOptions { perplexity }, monitor))?;
    Ok(found.per_obs.into_pyarray(py))
}

/// BatchKL of each observation.
#[pyfunction]
fn batch_kl<'py>(
    py: Python<'py>,
    embedding: Dense<'py, f64>,
    batch: Codes<'py>,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let (embedding, batch) = (embedding.view(), batch.slice()?);
    let found = run(py, |monitor| batch_kl_of_embedding(embedding, batch, monitor))?;
    Ok(found.per_obs.into_pyarray(py))
}

/// Share of spots that differ from most of their neighbours.
#[pyfunction]
fn pas<'py>(py: Python<'py>, labels: Codes<'py>, graph: Csr<'py, f64>) -> PyResult<f64> {
    let (labels, graph) = (labels.slice()?, graph.view(py)?);
    run(py, |_| brodmann::metrics::percentage_of_abnormal_spots(labels, graph))
}

/// The graph on which an evaluation judges space, as CSR arrays.
#[pyfunction]
#[pyo3(name = "coherence_graph", signature = (coordinates, *, slices))]
fn coherence_graph_py<'py>(
    py: Python<'py>,
    coordinates: Dense<'py, f64>,
    slices: Option<Codes<'py>>,
) -> PyResult<CsrArrays<'py, f64>> {
    let slices = slices.as_ref().map(Codes::slices).transpose()?;
    let coordinates = coordinates.view();
    Ok(csr_arrays(py, run(py, |_| coherence_graph(coordinates, slices.as_ref()))?))
}

/// CHAOS.
#[pyfunction]
fn chaos<'py>(py: Python<'py>, coordinates: Dense<'py, f64>, labels: Codes<'py>) -> PyResult<f64> {
    let (coordinates, labels) = (coordinates.view(), labels.slice()?);
    run(py, |monitor| brodmann::metrics::chaos(coordinates, labels, monitor))
}

/// Every score the inputs allow, as a dictionary. `truth`: -1 where an observation has none.
///
/// Space is judged on `graph`, else on the neighbours of an evaluation, which `coordinates` give.
#[pyfunction]
#[pyo3(signature = (pred, *, truth, embedding, batch, graph, coordinates, max_queries, perplexity, random_state))]
fn evaluate<'py>(
    py: Python<'py>,
    pred: Codes<'py>,
    truth: Option<PyReadonlyArray1<'py, i32>>,
    embedding: Option<Dense<'py, f64>>,
    batch: Option<Codes<'py>>,
    graph: Option<Csr<'py, f64>>,
    coordinates: Option<Dense<'py, f64>>,
    max_queries: Option<usize>,
    perplexity: f64,
    random_state: u64,
) -> PyResult<Bound<'py, PyDict>> {
    let truth: Option<Vec<Option<u32>>> =
        truth.map(|t| t.as_array().iter().map(|&code| u32::try_from(code).ok()).collect());
    let built = match (&graph, &coordinates) {
        (None, Some(coordinates)) => {
            let coordinates = coordinates.view();
            let slices = batch.as_ref().map(Codes::slices).transpose()?;
            Some(run(py, |_| coherence_graph(coordinates, slices.as_ref()))?)
        }
        _ => None,
    };
    let batch = batch.as_ref().map(Codes::slice).transpose()?;
    let inputs = EvaluationInputs {
        pred: pred.slice()?,
        truth: truth.as_deref(),
        embedding: embedding.as_ref().map(Dense::view),
        batch,
        spatial: match &graph {
            Some(graph) => Some(graph.view(py)?),
            None => built.as_ref().map(CsrMatrix::view),
        },
    };
    let options = EvaluationOptions { max_queries, lisi: LisiOptions { perplexity } };
    let e = run(py, |monitor| -> Result<_, MetricsError> {
        brodmann::metrics::evaluate(&inputs, &options, Seed(random_state), monitor)
    })?;
    let result = PyDict::new(py);
    result.set_item("n_obs", e.n_obs)?;
    result.set_item("n_clusters", e.n_clusters)?;
    result.set_item("n_without_truth", e.n_without_truth)?;
    for (name, value) in [
        ("ari", e.ari),
        ("nmi", e.nmi),
        ("ami", e.ami),
        ("homogeneity", e.homogeneity),
        ("completeness", e.completeness),
        ("v_measure", e.v_measure),
        ("silhouette", e.silhouette),
        ("davies_bouldin", e.davies_bouldin),
        ("calinski_harabasz", e.calinski_harabasz),
        ("morans_i", e.morans_i),
        ("pas", e.pas),
        ("ilisi_median", e.ilisi_median),
        ("ilisi_mean", e.ilisi_mean),
        ("clisi_median", e.clisi_median),
        ("clisi_mean", e.clisi_mean),
        ("batch_kl", e.batch_kl),
    ] {
        result.set_item(name, value)?;
    }
    result.set_item("n_queries", e.n_queries)?;
    result.set_item("notes", e.notes)?;
    Ok(result)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(compare_labels, module)?)?;
    module.add_function(wrap_pyfunction!(score_clusters, module)?)?;
    module.add_function(wrap_pyfunction!(silhouette, module)?)?;
    module.add_function(wrap_pyfunction!(lisi, module)?)?;
    module.add_function(wrap_pyfunction!(batch_kl, module)?)?;
    module.add_function(wrap_pyfunction!(pas, module)?)?;
    module.add_function(wrap_pyfunction!(coherence_graph_py, module)?)?;
    module.add_function(wrap_pyfunction!(chaos, module)?)?;
    module.add_function(wrap_pyfunction!(evaluate, module)?)?;
    Ok(())
}
