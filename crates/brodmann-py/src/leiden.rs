//! Leiden of one or many graphs, the search of a resolution, the quality of a partition.

use std::time::Instant;

use brodmann::cluster::{
    EntryEdges, GraphView, Layer, LeidenError, LeidenOptions, Partition, Quality, ResolutionSearch,
    SearchOptions, check_layer_weights, check_resolutions, entry_edges, leiden_multiplex_with, quality,
    search_n_clusters, unreached_warning,
};
use brodmann_kernels::{Monitor, OptionError, Seed};
use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;

use crate::arrays::{Codes, Csr, csr_arrays};
use crate::errors::Raise;
use crate::monitor::run;

/// scipy CSR in the precision it comes in.
enum Graph<'py> {
    F32(Csr<'py, f32>),
    F64(Csr<'py, f64>),
}

impl<'py> FromPyObject<'_, 'py> for Graph<'py> {
    type Error = PyErr;
    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let kind: Option<String> = object.getattr("dtype").and_then(|d| d.getattr("name")?.extract()).ok();
        if kind.as_deref() == Some("float32") {
            return Ok(Self::F32(object.extract()?));
        }
        Ok(Self::F64(object.extract()?))
    }
}

impl Graph<'_> {
    fn view(&self, py: Python<'_>) -> PyResult<GraphView<'_>> {
        Ok(match self {
            Self::F32(graph) => GraphView::from(graph.view(py)?),
            Self::F64(graph) => GraphView::from(graph.view(py)?),
        })
    }
}

/// What becomes of an entry.
#[derive(Clone, Copy, PartialEq)]
enum Reading {
    /// An edge from its row to its column.
    Directed,
    /// Half of an undirected edge; its mirror image must be there.
    Undirected,
    /// As `Undirected` where the matrix is symmetric, else as `Directed`.
    Auto,
    /// An undirected edge of its own, as in `spatialleiden`.
    Entries,
}

impl FromPyObject<'_, '_> for Reading {
    type Error = PyErr;
    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        match object.extract::<&str>()? {
            "directed" => Ok(Self::Directed),
            "undirected" => Ok(Self::Undirected),
            "auto" => Ok(Self::Auto),
            "entries" => Ok(Self::Entries),
            other => {
                let choices = "one of 'directed', 'undirected', 'auto', 'entries'";
                Err(OptionError::new("reading", format!("{other:?}"), choices).raise())
            }
        }
    }
}

/// A quality function by its short name.
struct Name(Quality);

impl FromPyObject<'_, '_> for Name {
    type Error = PyErr;
    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let all = [Quality::RbConfiguration, Quality::Modularity, Quality::Cpm, Quality::Rber];
        let name = object.extract::<&str>()?;
        all.into_iter().find(|q| q.name() == name).map(Self).ok_or_else(|| {
            let choices = "one of 'rb', 'modularity', 'cpm', 'rber'";
            OptionError::new("quality", format!("{name:?}"), choices).raise()
        })
    }
}

/// `(graph, reading, use_weights, quality, resolution, weight)`.
type Input<'py> = (Graph<'py>, Reading, bool, Name, f64, f64);

/// The layers as borrowed from Python.
fn layers<'a>(py: Python<'_>, inputs: &'a [Input<'_>]) -> PyResult<Vec<(Layer<'a>, Reading)>> {
    let layer = |(graph, reading, use_weights, quality, resolution, weight): &'a Input<'_>| {
        let layer = Layer {
            graph: graph.view(py)?,
            directed: *reading == Reading::Directed,
            use_weights: *use_weights,
            quality: quality.0,
            resolution: *resolution,
            weight: *weight,
        };
        Ok((layer, *reading))
    };
    inputs.iter().map(layer).collect()
}

/// `work` with the layers as Leiden takes them, and which were read as directed.
fn prepared<T>(
    layers: &[(Layer<'_>, Reading)],
    work: impl Fn(&[Layer<'_>]) -> Result<T, LeidenError>,
) -> Result<(T, Vec<bool>), LeidenError> {
    let edges: Vec<Option<EntryEdges>> = layers
        .iter()
        .map(|(layer, reading)| (*reading == Reading::Entries).then(|| entry_edges(layer)))
        .collect();
    let mut read: Vec<Layer<'_>> = layers
        .iter()
        .zip(&edges)
        .map(|((layer, _), edges)| edges.as_ref().map_or(*layer, |edges| edges.layer(*layer)))
        .collect();
    loop {
        match work(&read) {
            // Layers are checked before any work is done, so trying again costs that check alone.
            Err(LeidenError::NotSymmetric { layer, .. })
                if layers.get(layer.index).is_some_and(|l| l.1 == Reading::Auto)
                    && !read[layer.index].directed =>
            {
                read[layer.index].directed = true;
            }
            Err(error) => return Err(error),
            Ok(found) => {
                let entries = layers.iter().map(|(_, reading)| *reading == Reading::Entries);
                let directed = read.iter().zip(entries).map(|(l, entries)| l.directed && !entries).collect();
                return Ok((found, directed));
            }
        }
    }
}

/// A result and the seconds Rust took for it.
fn timed<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&dyn Monitor) -> Result<T, LeidenError> + Send,
) -> PyResult<(T, f64)> {
    run(py, |monitor| {
        let start = Instant::now();
        work(monitor).map(|found| (found, start.elapsed().as_secs_f64()))
    })
}

fn options(n_iterations: i64, initial: Option<Codes<'_>>) -> PyResult<LeidenOptions> {
    Ok(LeidenOptions {
        n_iterations: (n_iterations >= 0).then(|| u32::try_from(n_iterations).unwrap_or(u32::MAX)),
        initial: initial.map(|labels| labels.slice().map(<[u32]>::to_vec)).transpose()?,
        ..LeidenOptions::default()
    })
}

/// A partition of the nodes of a graph.
#[pyclass(frozen, get_all, name = "Partition", module = "brodmann._brodmann")]
struct PyPartition {
    /// `(n_obs)` uint32, numbered by falling size.
    membership: Py<PyArray1<u32>>,
    /// Number of clusters.
    n_clusters: usize,
    /// Sum of weight times quality over the layers.
    quality: f64,
    /// Quality in each layer.
    layer_quality: Vec<f64>,
    /// Passes made.
    n_iterations: u32,
    /// Whether the last pass changed nothing.
    converged: bool,
    /// Which layers were read as directed.
    directed: Vec<bool>,
    /// Seconds spent in Rust.
    seconds: f64,
}

impl PyPartition {
    fn new(py: Python<'_>, found: Partition, directed: Vec<bool>, seconds: f64) -> Self {
        Self {
            membership: found.membership.into_pyarray(py).unbind(),
            n_clusters: found.n_clusters,
            quality: found.quality,
            layer_quality: found.layer_quality,
            n_iterations: found.n_iterations,
            converged: found.converged,
            directed,
            seconds,
        }
    }
}

/// Multiplex Leiden.
///
/// `layers`: `(graph, reading, use_weights, quality, resolution, weight)` each, graphs scipy CSR; `names`: what errors
/// call them.
#[pyfunction]
#[pyo3(signature = (layers, *, n_iterations = -1, initial = None, random_state = 42, names = Vec::new()))]
fn leiden_multiplex(
    py: Python<'_>,
    layers: Vec<Input<'_>>,
    n_iterations: i64,
    initial: Option<Codes<'_>>,
    random_state: u64,
    names: Vec<String>,
) -> PyResult<PyPartition> {
    let options = options(n_iterations, initial)?;
    let layers = self::layers(py, &layers)?;
    let ((found, directed), seconds) = timed(py, |monitor| {
        prepared(&layers, |layers| leiden_multiplex_with(layers, &options, Seed(random_state), monitor))
            .map_err(|error| error.named(&names))
    })?;
    Ok(PyPartition::new(py, found, directed, seconds))
}

/// A search of the resolution that gives a number of clusters.
#[pyclass(frozen, get_all, name = "ResolutionSearch", module = "brodmann._brodmann")]
struct PySearch {
    /// The resolution that came nearest.
    resolution: f64,
    /// Clustering at that resolution.
    partition: Py<PyPartition>,
    /// Whether it has the number of clusters wanted.
    exact: bool,
    /// If not, why.
    unreached: Option<String>,
    /// Every resolution tried and its number of clusters.
    trace: Vec<(f64, usize)>,
}

impl PySearch {
    fn new(py: Python<'_>, found: ResolutionSearch, directed: Vec<bool>, seconds: f64) -> PyResult<Self> {
        Ok(Self {
            resolution: found.resolution,
            partition: Py::new(py, PyPartition::new(py, found.partition, directed, seconds))?,
            exact: found.exact,
            unreached: found.unreached.map(|why| why.to_string()),
            trace: found.trace,
        })
    }
}

/// Refuses resolutions and weights out of range; `weights_option`: `"layer_weights"` or `"layer_ratio"`.
#[pyfunction]
fn check_layers(
    names: Vec<String>,
    resolution: Vec<f64>,
    weights: Vec<f64>,
    weights_option: &str,
) -> PyResult<()> {
    let option = if weights_option == "layer_ratio" { "layer_ratio" } else { "layer_weights" };
    check_resolutions(&names, &resolution).map_err(Raise::raise)?;
    check_layer_weights(option, &names, &weights).map_err(Raise::raise)
}

/// Refuses a number of clusters that `n_obs` observations cannot be put into.
#[pyfunction]
fn check_n_clusters(n_clusters: i64, n_obs: usize) -> PyResult<()> {
    // Below 0 there are as few clusters as at 0, and the message should show what was given.
    brodmann::cluster::check_n_clusters(usize::try_from(n_clusters).unwrap_or(0), n_obs)
        .map_err(|e| OptionError { found: n_clusters.to_string(), ..e }.raise())
}

/// Refuses a name for a result that would replace something else; `columns_read`: what the run reads from `obs`.
#[pyfunction]
#[pyo3(signature = (key, columns_read = Vec::new()))]
fn check_key_added(key: &str, columns_read: Vec<String>) -> PyResult<()> {
    let read: Vec<Option<&str>> = columns_read.iter().map(|column| Some(column.as_str())).collect();
    brodmann_data::keys::check_key_added(key, &read).map_err(Raise::raise)
}

/// The search of the resolutions that give a number of clusters: the latent ones without space, then the spatial one.
///
/// `spatial`: number of the spatial layer. Returns `(latent, last, resolution, warning)`: both searches (the first
/// is None where there was one), the resolution of each layer, and what to say where the number was not reached.
#[pyfunction]
#[pyo3(signature = (layers, n_clusters, *, spatial, n_iterations = -1, random_state = 42, names = Vec::new()))]
fn leiden_n_clusters(
    py: Python<'_>,
    layers: Vec<Input<'_>>,
    n_clusters: usize,
    spatial: Option<usize>,
    n_iterations: i64,
    random_state: u64,
    names: Vec<String>,
) -> PyResult<(Option<PySearch>, PySearch, Vec<f64>, Option<String>)> {
    let options = SearchOptions { leiden: options(n_iterations, None)?, ..SearchOptions::default() };
    let layers = self::layers(py, &layers)?;
    let ((found, directed), seconds) = timed(py, |monitor| {
        prepared(&layers, |layers| {
            search_n_clusters(layers, spatial, n_clusters, &options, Seed(random_state), monitor)
        })
        .map_err(|error| error.named(&names))
    })?;
    let warning = unreached_warning(&found.last, n_clusters);
    let latent = found.latent.map(|f| PySearch::new(py, f, directed.clone(), seconds)).transpose()?;
    Ok((latent, PySearch::new(py, found.last, directed, seconds)?, found.resolution, warning))
}

/// `(total, per layer)`: the quality of a partition.
#[pyfunction]
fn leiden_quality(
    py: Python<'_>,
    layers: Vec<Input<'_>>,
    membership: Codes<'_>,
) -> PyResult<(f64, Vec<f64>)> {
    let layers = self::layers(py, &layers)?;
    let membership = membership.slice()?;
    py.detach(|| prepared(&layers, |layers| quality(layers, membership)))
        .map(|(found, _)| found)
        .map_err(Raise::raise)
}

/// `1 - d / d_max` of a scipy CSR matrix, as the arrays of another.
#[pyfunction]
fn distance2connectivity<'py>(
    py: Python<'py>,
    distances: Csr<'_, f64>,
    key: &str,
) -> PyResult<crate::arrays::CsrArrays<'py, f64>> {
    let view = distances.view(py)?;
    let connectivities =
        py.detach(|| brodmann::graph::distance2connectivity(view, key)).map_err(Raise::raise)?;
    Ok(csr_arrays(py, connectivities))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyPartition>()?;
    module.add_class::<PySearch>()?;
    module.add_function(wrap_pyfunction!(leiden_multiplex, module)?)?;
    module.add_function(wrap_pyfunction!(leiden_n_clusters, module)?)?;
    module.add_function(wrap_pyfunction!(check_layers, module)?)?;
    module.add_function(wrap_pyfunction!(check_n_clusters, module)?)?;
    module.add_function(wrap_pyfunction!(check_key_added, module)?)?;
    module.add_function(wrap_pyfunction!(leiden_quality, module)?)?;
    module.add_function(wrap_pyfunction!(distance2connectivity, module)?)?;
    Ok(())
}
