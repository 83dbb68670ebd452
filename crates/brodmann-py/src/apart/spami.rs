//! SpaMI of slices that lie in several processes.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use brodmann::pipeline::apart::SliceFacts;
use brodmann::pipeline::spami::SpamiRequest;
use brodmann::pipeline::spami::apart::{self, SliceModality, SliceOutput};
use brodmann::pipeline::{PipelineError, Said};
use brodmann::preprocess::Modality;
use brodmann::preprocess::feature_map::apart::{Answer, Question, QuestionKind};
use brodmann::preprocess::feature_map::{Balance, BalanceSums, FeatureCard, FeatureMap, TensorSource};
use brodmann_data::Additions;
use brodmann_kernels::Seed;
use ndarray::Array2;
use numpy::{IntoPyArray, PyArray1, PyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{Facts, facts_out, held, write};
use crate::arrays::{Dense, Vector};
use crate::methods::said;
use crate::monitor::{run, run_beside};
use crate::tissue::{Parts, additions};

/// A modality of a slice: name, kind, features, columns of an embedding that stands for it.
type ModalityOut = (String, String, Vec<String>, Option<usize>);
/// A map that has travelled: settings, kind, kept, selected, arrays by name.
type MapIn<'py> = (String, String, Vec<bool>, Vec<bool>, Vec<(String, Dense<'py, f64>)>);
type MapOut<'py> =
    (String, &'static str, Vec<bool>, Vec<bool>, Vec<(&'static str, Bound<'py, PyArray2<f64>>)>);
/// What is asked: kind, map, vectors.
type QuestionIn<'py> = (String, MapIn<'py>, Dense<'py, f64>);
type QuestionOut<'py> = (&'static str, MapOut<'py>, Bound<'py, PyArray2<f64>>);
/// What is answered: lists, table.
type AnswerIn<'py> = (Vec<Vector<'py, f64>>, Dense<'py, f64>);
type AnswerOut<'py> = (Vec<Bound<'py, PyArray1<f64>>>, Bound<'py, PyArray2<f64>>);
/// What features add up to: spots, sums of columns, sum of squares.
type BalanceSumsIn<'py> = (usize, Vector<'py, f64>, f64);
type BalanceSumsOut<'py> = (usize, Bound<'py, PyArray1<f64>>, f64);
/// The scale of a modality: means of columns, and what all are divided by.
type BalanceIn<'py> = (Vector<'py, f64>, f64);
type BalanceOut<'py> = (Bound<'py, PyArray1<f64>>, f64);
/// Embedding, attention, embeddings of the modalities.
type OutputIn<'py> = (Dense<'py, f32>, Dense<'py, f32>, Vec<Dense<'py, f32>>);
type OutputOut<'py> = (Bound<'py, PyArray2<f32>>, Bound<'py, PyArray2<f32>>, Vec<Bound<'py, PyArray2<f32>>>);
/// What slices get: for the whole, and by modality.
type Found<'py> = (Bound<'py, PyDict>, Bound<'py, PyDict>);

fn request(options: &Said) -> Result<SpamiRequest, PipelineError> {
    SpamiRequest::from_said(options)
}

fn map_out<'py>(py: Python<'py>, map: &FeatureMap) -> PyResult<MapOut<'py>> {
    let card = serde_json::to_string(&map.card()).map_err(|e| PyValueError::new_err(e.to_string()))?;
    let arrays = map.tensors().into_iter().map(|(name, values)| (name, values.into_pyarray(py)));
    Ok((card, map.kind.name(), map.kept.clone(), map.selected.clone(), arrays.collect()))
}

/// The arrays of a map, by name.
struct Arrays(Vec<(String, Array2<f64>)>);

impl Arrays {
    fn named(&self, name: &str) -> PyResult<&Array2<f64>> {
        let found = self.0.iter().find(|(own, _)| own == name).map(|(_, values)| values);
        found.ok_or_else(|| self.invalid(format!("no {name}")))
    }
}

impl TensorSource for Arrays {
    type Error = PyErr;

    fn vector(&self, name: &str, len: Option<usize>) -> PyResult<Vec<f64>> {
        let found = self.named(name)?;
        if len.is_some_and(|len| len != found.len() && !found.is_empty()) {
            return Err(self.invalid(format!("{name} of {} numbers", found.len())));
        }
        Ok(found.iter().copied().collect())
    }

    fn matrix(&self, name: &str, n_rows: usize) -> PyResult<Array2<f64>> {
        let found = self.named(name)?;
        if found.nrows() != n_rows && !found.is_empty() {
            return Err(self.invalid(format!("{name} of {} rows", found.nrows())));
        }
        Ok(found.clone())
    }

    fn invalid(&self, detail: String) -> PyErr {
        PyValueError::new_err(format!("a map of features with {detail}; expected one of brodmann's"))
    }
}

fn map_in((card, kind, kept, selected, arrays): MapIn<'_>) -> PyResult<FeatureMap> {
    let arrays = Arrays(arrays.into_iter().map(|(name, values)| (name, values.view().to_owned())).collect());
    let card: FeatureCard = serde_json::from_str(&card).map_err(|error| arrays.invalid(error.to_string()))?;
    let kind: Modality = kind.parse().map_err(|_| arrays.invalid(format!("kind {kind}")))?;
    let map = FeatureMap::from_card(&card, kind, selected, &arrays)?;
    Ok(FeatureMap { kept, ..map })
}

fn question_out<'py>(py: Python<'py>, question: &Question) -> PyResult<QuestionOut<'py>> {
    let vectors = question.vectors.clone().into_pyarray(py);
    Ok((question.kind.name(), map_out(py, &question.map)?, vectors))
}

fn answer_in((lists, table): AnswerIn<'_>) -> Answer {
    let lists = lists.iter().map(|list| list.view().to_vec()).collect();
    Answer { lists, table: table.view().to_owned() }
}

/// A slice where it lies.
#[pyclass(frozen)]
pub struct SpamiSlice(Mutex<apart::SpamiSlice>);

#[pymethods]
impl SpamiSlice {
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
        let container = parts.map(|parts| parts.container(py)).transpose()?;
        let slice = run(py, move |monitor| {
            let request = request(&said)?;
            match (container, path) {
                (Some(container), _) => apart::SpamiSlice::of(container, name, request, monitor),
                (None, path) => apart::SpamiSlice::open(&path.unwrap_or_default(), request, monitor),
            }
        })?;
        Ok(Self(Mutex::new(slice)))
    }

    /// What it measures.
    fn modalities(&self) -> Vec<ModalityOut> {
        let of = |m: SliceModality| (m.name, m.kind.name().to_owned(), m.features, m.rep_width);
        held(&self.0).modalities().into_iter().map(of).collect()
    }

    /// Reduces it to shared features; what it tells of its spots.
    fn join<'py>(&self, py: Python<'py>, shared: Vec<(String, Vec<String>)>) -> PyResult<Bound<'py, PyDict>> {
        let facts = run(py, |_| held(&self.0).join(&shared))?;
        facts_out(py, facts)
    }

    /// Answers a question about a modality.
    fn answer<'py>(
        &self,
        py: Python<'py>,
        modality: usize,
        question: QuestionIn<'py>,
    ) -> PyResult<AnswerOut<'py>> {
        let (kind, map, vectors) = question;
        let kind = QuestionKind::from_name(&kind)
            .ok_or_else(|| PyValueError::new_err(format!("{kind:?} is asked; expected one of brodmann's")))?;
        let question = Question { kind, map: map_in(map)?, vectors: vectors.view().to_owned() };
        let answer = run(py, |monitor| held(&self.0).answer(modality, &question, monitor))?;
        let lists = answer.lists.into_iter().map(|list| list.into_pyarray(py)).collect();
        Ok((lists, answer.table.into_pyarray(py)))
    }

    /// Makes its features; what they add up to.
    fn encode<'py>(
        &self,
        py: Python<'py>,
        maps: Vec<Option<MapIn<'py>>>,
    ) -> PyResult<Vec<BalanceSumsOut<'py>>> {
        let maps: Vec<Option<FeatureMap>> =
            maps.into_iter().map(|map| map.map(map_in).transpose()).collect::<PyResult<_>>()?;
        let sums = run(py, |_| held(&self.0).encode(&maps))?;
        let of = |s: BalanceSums| (s.n_obs, s.sums.into_pyarray(py), s.squares);
        Ok(sums.into_iter().map(of).collect())
    }

    /// Makes it ready for training; its edges.
    #[pyo3(signature = (balances, sizes, index, *, random_state))]
    fn ready(
        &self,
        py: Python<'_>,
        balances: Option<Vec<BalanceIn<'_>>>,
        sizes: Vec<usize>,
        index: usize,
        random_state: u64,
    ) -> PyResult<usize> {
        let of = |(center, scale): &BalanceIn<'_>| Balance { center: center.view().to_vec(), scale: *scale };
        let balances: Option<Vec<Balance>> = balances.map(|all| all.iter().map(of).collect());
        run(py, |monitor| {
            held(&self.0).ready(balances.as_deref(), (&sizes, index), Seed(random_state), monitor)
        })
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

    /// What the network says of it.
    fn embed<'py>(&self, py: Python<'py>, parameters: Vector<'py, f32>) -> PyResult<OutputOut<'py>> {
        let parameters = parameters.view().to_vec();
        let SliceOutput { embedding, attention, modality_embeddings } =
            run(py, |_| held(&self.0).apply(&parameters))?;
        let all = modality_embeddings.into_iter().map(|e| e.into_pyarray(py)).collect();
        Ok((embedding.into_pyarray(py), attention.into_pyarray(py), all))
    }
}

/// What puts slices together.
#[pyclass(frozen)]
pub struct SpamiLead(Mutex<(apart::SpamiLead, Vec<Additions>)>);

#[pymethods]
impl SpamiLead {
    #[new]
    #[pyo3(signature = (names, options, *, random_state))]
    fn new(
        py: Python<'_>,
        names: Vec<String>,
        options: &Bound<'_, PyDict>,
        random_state: u64,
    ) -> PyResult<Self> {
        let said = said(options)?;
        let lead = run(py, |_| apart::SpamiLead::new(request(&said)?, names, Seed(random_state)))?;
        Ok(Self(Mutex::new((lead, Vec::new()))))
    }

    /// The modalities that all slices have, and the features they share.
    fn share(&self, py: Python<'_>, slices: Vec<Vec<ModalityOut>>) -> PyResult<Vec<(String, Vec<String>)>> {
        let of = |(name, kind, features, rep_width): ModalityOut| {
            let kind: Modality = kind
                .parse()
                .map_err(|_| PyValueError::new_err(format!("{kind:?} is no kind of modality")))?;
            Ok(SliceModality { name, kind, features, rep_width })
        };
        let slices: Vec<Vec<SliceModality>> = slices
            .into_iter()
            .map(|own| own.into_iter().map(of).collect::<PyResult<_>>())
            .collect::<PyResult<_>>()?;
        run(py, |_| held(&self.0).0.share(&slices))
    }

    /// Takes what is known of the spots.
    fn join(&self, py: Python<'_>, facts: Vec<Facts<'_>>) -> PyResult<()> {
        let facts: Vec<SliceFacts> = facts.into_iter().map(Into::into).collect();
        run(py, |monitor| held(&self.0).0.join(facts, monitor))
    }

    /// Modalities whose features are made of counts.
    fn of_counts(&self) -> Vec<usize> {
        held(&self.0).0.of_counts()
    }

    /// Fits the features of a modality; `ask(question)` gives the answers of all slices in their order.
    fn fit(&self, py: Python<'_>, modality: usize, ask: Py<PyAny>) -> PyResult<()> {
        // The library knows its own errors alone: what the asking raised is kept beside it.
        let raised: Mutex<Option<PyErr>> = Mutex::new(None);
        // Slices may answer in this very process, on its threads.
        let done = run_beside(py, |monitor| {
            let mut asked = |question: &Question| {
                Python::attach(|py| -> PyResult<Vec<Answer>> {
                    let answers = ask.call1(py, (question_out(py, question)?,))?;
                    let answers: Vec<AnswerIn<'_>> = answers.extract(py)?;
                    Ok(answers.into_iter().map(answer_in).collect())
                })
                .map_err(|error| {
                    *raised.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    PipelineError::option("slices", "an answer that did not come", "one from each")
                })
            };
            held(&self.0).0.fit(modality, &mut asked, monitor)
        });
        match raised.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => done,
        }
    }

    /// The map of each modality.
    fn maps<'py>(&self, py: Python<'py>) -> PyResult<Vec<Option<MapOut<'py>>>> {
        let lead = held(&self.0);
        lead.0.maps().into_iter().map(|map| map.map(|map| map_out(py, map)).transpose()).collect()
    }

    /// The scale of each modality, where they are brought to one.
    fn balance<'py>(
        &self,
        py: Python<'py>,
        sums: Vec<Vec<BalanceSumsIn<'py>>>,
    ) -> PyResult<Option<Vec<BalanceOut<'py>>>> {
        let of = |(n_obs, sums, squares): &BalanceSumsIn<'_>| BalanceSums {
            n_obs: *n_obs,
            sums: sums.view().to_vec(),
            squares: *squares,
        };
        let sums: Vec<Vec<BalanceSums>> = sums.iter().map(|own| own.iter().map(of).collect()).collect();
        let found = run(py, |_| {
            let mut lead = held(&self.0);
            Ok::<_, PipelineError>(lead.0.balance(&sums)?.map(<[Balance]>::to_vec))
        })?;
        let out = |b: Balance| (b.center.into_pyarray(py), b.scale);
        Ok(found.map(|all| all.into_iter().map(out).collect()))
    }

    /// Observations of each slice.
    fn sizes(&self) -> Vec<usize> {
        held(&self.0).0.sizes()
    }

    /// Begins training; epochs done, epochs of the whole, and whether these are all.
    fn begin(&self, py: Python<'_>) -> PyResult<(usize, usize, bool)> {
        run(py, |monitor| {
            let lead = &mut held(&self.0).0;
            let done = lead.begin(monitor)?;
            let (n_epochs, ended) = lead.n_epochs()?;
            Ok::<_, PipelineError>((done, n_epochs, ended))
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
        outputs: Vec<OutputIn<'py>>,
    ) -> PyResult<(Vec<Found<'py>>, usize)> {
        let of = |(embedding, attention, all): &OutputIn<'_>| SliceOutput {
            embedding: embedding.view().to_owned(),
            attention: attention.view().to_owned(),
            modality_embeddings: all.iter().map(|e| e.view().to_owned()).collect(),
        };
        let outputs: Vec<SliceOutput> = outputs.iter().map(of).collect();
        let (found, n_clusters) = run(py, |monitor| {
            let mut lead = held(&self.0);
            let (found, n_clusters) = lead.0.finish(&outputs, monitor)?;
            lead.1.clone_from(&found);
            Ok::<_, PipelineError>((found, n_clusters))
        })?;
        let found = found.into_iter().map(|own| additions(py, own)).collect::<PyResult<_>>()?;
        Ok((found, n_clusters))
    }

    /// Writes a copy of the file of a slice with what was found.
    fn write(&self, py: Python<'_>, index: usize, path: PathBuf, out: PathBuf) -> PyResult<()> {
        run(py, |monitor| write(&held(&self.0).1, index, (&path, &out), monitor))
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SpamiSlice>()?;
    module.add_class::<SpamiLead>()
}
