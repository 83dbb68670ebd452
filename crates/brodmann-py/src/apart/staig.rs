//! STAIG of slices that lie in several processes.

use std::path::PathBuf;
use std::sync::Mutex;

use brodmann::pipeline::staig::StaigRequest;
use brodmann::pipeline::staig::apart::{self, StaigSliceFacts};
use brodmann::pipeline::{PipelineError, Said};
use brodmann::preprocess::{PcaAxes, PcaSums};
use brodmann_data::Additions;
use brodmann_kernels::Seed;
use numpy::{IntoPyArray, PyArray1, PyArray2};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{Facts as SliceFactsIn, facts_out, held, write};
use crate::arrays::{Dense, Vector};
use crate::methods::said;
use crate::monitor::run;
use crate::tissue::{Parts, additions};

/// What a slice tells of itself.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Facts<'py> {
    slice: SliceFactsIn<'py>,
    n_cells: Vec<usize>,
    n_seen: usize,
}

impl From<Facts<'_>> for StaigSliceFacts {
    fn from(facts: Facts<'_>) -> Self {
        Self { slice: facts.slice.into(), n_cells: facts.n_cells, n_seen: facts.n_seen }
    }
}

/// Loadings that have travelled: means, and `(n_vars, k)`.
type Axes<'py> = (Vector<'py, f64>, Dense<'py, f64>);
type AxesOut<'py> = (Bound<'py, PyArray1<f64>>, Bound<'py, PyArray2<f64>>);
/// Rows, sums of columns, products of columns.
type Sums<'py> = (usize, Vector<'py, f64>, Vector<'py, f64>);
type SumsOut<'py> = (usize, Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>);

fn request(options: &Said) -> Result<StaigRequest, PipelineError> {
    StaigRequest::from_said(options)
}

/// A slice where it lies.
#[pyclass(frozen)]
pub struct StaigSlice(Mutex<apart::StaigSlice>);

#[pymethods]
impl StaigSlice {
    /// `source`: a path, or the parts of an object.
    #[new]
    #[pyo3(signature = (name, options, *, path = None, parts = None))]
    fn new(
        py: Python<'_>,
        name: String,
        options: &Bound<'_, PyDict>,
        path: Option<PathBuf>,
        parts: Option<Parts<'_>>,
    ) -> PyResult<Self> {
        let said = said(options)?;
        let container = match parts {
            Some(mut parts) => {
                parts.keep_expression();
                Some(parts.container(py)?)
            }
            None => None,
        };
        let slice = run(py, move |monitor| {
            let request = request(&said)?;
            match (container, path) {
                (Some(container), _) => {
                    apart::StaigSlice::of(apart::slice_of(container)?, name, request, monitor)
                }
                (None, path) => apart::StaigSlice::open(&path.unwrap_or_default(), request, monitor),
            }
        })?;
        Ok(Self(Mutex::new(slice)))
    }

    /// Names of its genes: of the counts, and of the input.
    fn genes(&self) -> (Vec<String>, Vec<String>) {
        let slice = held(&self.0);
        let (counted, own) = slice.genes();
        (counted.to_vec(), own.to_vec())
    }

    /// Reduces it to shared genes; what it tells of itself.
    fn join<'py>(&self, py: Python<'py>, genes: Vec<String>) -> PyResult<Bound<'py, PyDict>> {
        let facts = run(py, |monitor| {
            let mut slice = held(&self.0);
            slice.join(&genes, monitor)?;
            slice.facts()
        })?;
        let dict = PyDict::new(py);
        dict.set_item("slice", facts_out(py, facts.slice)?)?;
        dict.set_item("n_cells", facts.n_cells)?;
        dict.set_item("n_seen", facts.n_seen)?;
        Ok(dict)
    }

    /// Which of the kept genes vary in it.
    fn variable(&self, py: Python<'_>, kept: Vec<bool>, n_slices: usize) -> PyResult<Vec<bool>> {
        run(py, |monitor| held(&self.0).variable(&kept, n_slices, monitor))
    }

    /// Makes its features; their stored values.
    fn fit(&self, py: Python<'_>, kept: Vec<bool>, selected: Vec<bool>, n_slices: usize) -> PyResult<usize> {
        run(py, |_| {
            let mut slice = held(&self.0);
            slice.fit(&kept, &selected, n_slices)?;
            slice.n_entries()
        })
    }

    /// What its features add up to.
    fn sums<'py>(&self, py: Python<'py>) -> PyResult<SumsOut<'py>> {
        let found = run(py, |monitor| held(&self.0).sums(monitor))?;
        Ok((found.n_obs, found.sums.into_pyarray(py), found.products.into_pyarray(py)))
    }

    /// Makes it ready for training; its edges.
    #[pyo3(signature = (axes, sizes, index, *, random_state))]
    fn ready(
        &self,
        py: Python<'_>,
        axes: Option<Axes<'_>>,
        sizes: Vec<usize>,
        index: usize,
        random_state: u64,
    ) -> PyResult<usize> {
        let axes = axes.map(|(mean, components)| PcaAxes {
            mean: mean.view().to_vec(),
            components: components.view().to_owned(),
        });
        run(py, |monitor| held(&self.0).ready(axes.as_ref(), (&sizes, index), Seed(random_state), monitor))
    }

    /// Its share of the gradient of an epoch, and of the numbers of the epoch.
    fn gradients<'py>(
        &self,
        py: Python<'py>,
        parameters: Vector<'py, f32>,
        epoch: u64,
    ) -> PyResult<(Bound<'py, PyArray1<f32>>, Vec<f64>)> {
        let parameters = parameters.view().to_vec();
        let found = run(py, |_| held(&self.0).gradients(&parameters, epoch))?;
        Ok((found.flat().into_pyarray(py), found.numbers()))
    }

    /// Its embedding.
    fn embed<'py>(
        &self,
        py: Python<'py>,
        parameters: Vector<'py, f32>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let parameters = parameters.view().to_vec();
        Ok(run(py, |_| held(&self.0).embed(&parameters))?.into_pyarray(py))
    }
}

/// What puts slices together.
#[pyclass(frozen)]
pub struct StaigLead(Mutex<(apart::StaigLead, Vec<Additions>)>);

#[pymethods]
impl StaigLead {
    #[new]
    #[pyo3(signature = (names, options, *, random_state))]
    fn new(
        py: Python<'_>,
        names: Vec<String>,
        options: &Bound<'_, PyDict>,
        random_state: u64,
    ) -> PyResult<Self> {
        let said = said(options)?;
        let lead = run(py, |_| apart::StaigLead::new(request(&said)?, names, Seed(random_state)))?;
        Ok(Self(Mutex::new((lead, Vec::new()))))
    }

    /// The genes that all slices share.
    fn share(&self, py: Python<'_>, genes: Vec<(Vec<String>, Vec<String>)>) -> PyResult<Vec<String>> {
        run(py, |_| Ok::<_, PipelineError>(held(&self.0).0.share(genes)?.to_vec()))
    }

    /// Which of them are seen often enough.
    fn keep(&self, py: Python<'_>, facts: Vec<Facts<'_>>) -> PyResult<Vec<bool>> {
        let facts: Vec<StaigSliceFacts> = facts.into_iter().map(Into::into).collect();
        run(py, |monitor| Ok::<_, PipelineError>(held(&self.0).0.keep(facts, monitor)?.to_vec()))
    }

    /// Which of them the features rest on.
    fn select(&self, py: Python<'_>, verdicts: Vec<Vec<bool>>) -> PyResult<Vec<bool>> {
        run(py, |monitor| Ok::<_, PipelineError>(held(&self.0).0.select(&verdicts, monitor)?.to_vec()))
    }

    /// Whether slices are asked for sums.
    fn wants_sums(&self) -> bool {
        held(&self.0).0.wants_sums()
    }

    /// Adds those of the next slice.
    fn add_sums(&self, py: Python<'_>, sums: Sums<'_>) -> PyResult<()> {
        let (n_obs, own, products) = sums;
        let next = PcaSums { n_obs, sums: own.view().to_vec(), products: products.view().to_vec() };
        run(py, |_| held(&self.0).0.add_sums(next))
    }

    /// The components, where edges are judged by them.
    fn axes<'py>(&self, py: Python<'py>) -> PyResult<Option<AxesOut<'py>>> {
        let axes = run(py, |monitor| held(&self.0).0.axes(monitor))?;
        Ok(axes.map(|axes| (axes.mean.into_pyarray(py), axes.components.into_pyarray(py))))
    }

    /// Observations of each slice.
    fn sizes(&self) -> Vec<usize> {
        held(&self.0).0.sizes()
    }

    /// Begins training; epochs done, epochs of the whole.
    fn begin(&self, py: Python<'_>, n_entries: usize, n_edges: usize) -> PyResult<(usize, usize)> {
        run(py, |monitor| {
            let lead = &mut held(&self.0).0;
            let done = lead.begin(n_entries, n_edges, monitor)?;
            Ok::<_, PipelineError>((done, lead.n_epochs()?))
        })
    }

    /// The parameters that travel.
    fn parameters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<f32>>> {
        Ok(run(py, |_| held(&self.0).0.parameters())?.into_pyarray(py))
    }

    /// Adds the gradients of the next slice.
    fn add(&self, py: Python<'_>, values: Vector<'_, f32>, numbers: Vec<f64>) -> PyResult<()> {
        let values = values.view().to_vec();
        run(py, |_| held(&self.0).0.add(&values, &numbers))
    }

    /// Steps along the sum; the loss, and whether training is at its end.
    fn step(&self, py: Python<'_>) -> PyResult<(f64, bool)> {
        run(py, |_| held(&self.0).0.step())
    }

    /// Domains of all slices; what is to be added to each, and how many domains there are.
    fn finish<'py>(
        &self,
        py: Python<'py>,
        embeddings: Vec<Dense<'py, f32>>,
    ) -> PyResult<(Vec<Bound<'py, PyDict>>, usize)> {
        let embeddings: Vec<_> = embeddings.iter().map(|e| e.view().to_owned()).collect();
        let (found, n_clusters) = run(py, |monitor| {
            let mut lead = held(&self.0);
            let (found, n_clusters) = lead.0.finish(&embeddings, monitor)?;
            lead.1.clone_from(&found);
            Ok::<_, PipelineError>((found, n_clusters))
        })?;
        let found = found.into_iter().map(|own| Ok(additions(py, own)?.0)).collect::<PyResult<_>>()?;
        Ok((found, n_clusters))
    }

    /// Writes a copy of the file of a slice with what was found.
    fn write(&self, py: Python<'_>, index: usize, path: PathBuf, out: PathBuf) -> PyResult<()> {
        run(py, |monitor| write(&held(&self.0).1, index, (&path, &out), monitor))
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<StaigSlice>()?;
    module.add_class::<StaigLead>()
}
