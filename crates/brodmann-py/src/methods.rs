//! Methods on a tissue that Python holds: options by name, the library's driver, results as dictionaries.

use brodmann::pipeline::agreed::DomainsRequest;
use brodmann::pipeline::banksy::BanksyRequest;
use brodmann::pipeline::explain::enrich::{EnrichRequest, enrich_tissue};
use brodmann::pipeline::explain::gene_modules::{GeneModulesRequest, gene_modules_tissue};
use brodmann::pipeline::explain::links::{LinksRequest, links_tissue};
use brodmann::pipeline::explain::markers::{MarkersRequest, markers_tissue};
use brodmann::pipeline::explain::neighborhood::{NeighborhoodRequest, neighborhood_tissue};
use brodmann::pipeline::explain::spatial_genes::{SvgRequest, svg_tissue};
use brodmann::pipeline::histology::{
    ImageFeaturesRequest, image_features_tissue, image_overlay_tissue, image_patches_tissue,
};
use brodmann::pipeline::leiden::LeidenRequest;
use brodmann::pipeline::mixture::MixtureRequest;
use brodmann::pipeline::report::{ReportRequest, report_files};
use brodmann::pipeline::request::Place;
use brodmann::pipeline::smoothed_pca::SmoothedPcaRequest;
use brodmann::pipeline::spami::{Spami, SpamiRequest};
use brodmann::pipeline::staig::{Staig, StaigRequest};
use brodmann::pipeline::{Inputs, Method, Opening, PipelineError, Said, Tissue, run_tissue};
use brodmann::plot::PictureFormat;
use brodmann::preprocess::Modality;
use brodmann_data::{Additions, Container, OpenOptions, ReadOptions};
use brodmann_kernels::{Monitor, Seed};
use numpy::{IntoPyArray, PyArray4};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyList, PyString, PyTuple};
use serde_json::{Map, Value as Json};
use std::path::{Path, PathBuf};

use crate::containers::column;
use crate::monitor::run;
use crate::tissue::{Parts, additions};

/// Options as the library reads them; `None` says nothing.
pub fn said(options: &Bound<'_, PyDict>) -> PyResult<Said> {
    let mut all = Map::new();
    for (name, value) in options {
        let name: String = name.extract()?;
        if !value.is_none() {
            all.insert(name.clone(), json(&name, &value)?);
        }
    }
    Ok(Said::new(Json::Object(all)))
}

/// A value of Python, or of NumPy, as JSON.
fn json(option: &str, value: &Bound<'_, PyAny>) -> PyResult<Json> {
    if value.is_none() {
        return Ok(Json::Null);
    }
    if value.is_instance_of::<PyBool>() {
        return Ok(Json::Bool(value.extract()?));
    }
    if value.is_instance_of::<PyString>() {
        return Ok(Json::String(value.extract()?));
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        let entry = |(key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>)| {
            Ok((key.str()?.extract::<String>()?, json(option, &value)?))
        };
        return Ok(Json::Object(dict.iter().map(entry).collect::<PyResult<_>>()?));
    }
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        let items = value.try_iter()?.map(|item| json(option, &item?));
        return Ok(Json::Array(items.collect::<PyResult<_>>()?));
    }
    // Whole numbers first: 3 is not 3.0 where a number of things is meant.
    if let Ok(whole) = value.extract::<i64>() {
        return Ok(Json::from(whole));
    }
    if let Ok(flag) = value.extract::<bool>() {
        return Ok(Json::Bool(flag));
    }
    let refuse = |expected: &str| {
        let found = value.repr().map_or_else(|_| "?".to_owned(), |r| r.to_string());
        PyValueError::new_err(format!("{option} is {found}; expected {expected}"))
    };
    match value.extract::<f64>() {
        Ok(number) => {
            serde_json::Number::from_f64(number).map(Json::Number).ok_or_else(|| refuse("a finite number"))
        }
        Err(_) => Err(refuse("a number, a text, a list or a mapping")),
    }
}

/// What a run adds, the number of domains found, and whether that is the number asked for.
type Found = (Additions, usize, bool);

fn find<M: Method>(
    method: &M,
    (container, kind): (Container, Option<Modality>),
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Found, PipelineError> {
    let (frame, source, read) = (method.frame(), OpenOptions::default(), ReadOptions::default());
    let opening =
        Opening { place: Some(frame.place), features: frame.features, ..Opening::of(&source, &read, kind) };
    let tissue = Tissue::from_container(container, &opening, monitor)?;
    let (record, added) = run_tissue(method, &tissue, seed, monitor)?;
    Ok((added, record.n_clusters, record.n_clusters_reached))
}

/// What is to be added to the whole and to each modality, the number of domains, and whether it was reached.
///
/// `method`: `leiden`, `spatialleiden`, `spami`, `staig`, `domains`, `banksy`, `smoothed_pca` or `mixture`; `options`: by the
/// library's names; `prior`: of `spami`, a labelled reference.
#[pyfunction]
#[pyo3(signature = (method, tissue, options, *, random_state, prior=None))]
fn find_domains<'py>(
    py: Python<'py>,
    method: &str,
    mut tissue: Parts<'py>,
    options: &Bound<'py, PyDict>,
    random_state: u64,
    prior: Option<Parts<'py>>,
) -> PyResult<(Bound<'py, PyDict>, Bound<'py, PyDict>, usize, bool)> {
    let said = said(options)?;
    let of_expression = matches!(method, "staig" | "banksy" | "smoothed_pca");
    let mut kind = options.get_item("modality")?.and_then(|k| k.extract::<String>().ok()?.parse().ok());
    if of_expression {
        tissue.keep_expression();
    }
    if of_expression || method == "domains" {
        // Of one matrix nothing depends on its kind but its name in messages; a guess is not worth a note.
        kind = if tissue.is_mudata { None } else { tissue.kind().or(Some(Modality::Rna)) };
    }
    let container = tissue.container(py)?;
    let reference = match &prior {
        None => None,
        Some(parts) => {
            let said_kind =
                options.get_item("prior_modality")?.and_then(|k| k.extract::<String>().ok()?.parse().ok());
            let kind = said_kind.or_else(|| parts.kind()).or(Some(Modality::Rna));
            Some((parts.container(py)?, kind.filter(|_| !parts.is_mudata)))
        }
    };
    let (method, seed) = (method.to_owned(), Seed(random_state));
    let (added, n_clusters, reached) = run(py, move |monitor| {
        let tissue = (container, kind);
        match method.as_str() {
            "leiden" => find(&LeidenRequest::from_said(false, &said)?, tissue, seed, monitor),
            "spatialleiden" => find(&LeidenRequest::from_said(true, &said)?, tissue, seed, monitor),
            "spami" => {
                let request = SpamiRequest::from_said(&said)?;
                let reference =
                    reference.map(|(container, kind)| request.reference(container, kind, monitor));
                find(&Spami::with_prior(request, reference.transpose()?)?, tissue, seed, monitor)
            }
            "smoothed_pca" => find(&SmoothedPcaRequest::from_said(&said)?, tissue, seed, monitor),
            "domains" => find(&DomainsRequest::from_said(&said)?, tissue, seed, monitor),
            "banksy" => find(&BanksyRequest::from_said(&said)?, tissue, seed, monitor),
            "mixture" => find(&MixtureRequest::from_said(&said)?, tissue, seed, monitor),
            _ => find(&Staig::new(StaigRequest::from_said(&said)?)?, tissue, seed, monitor),
        }
    })?;
    let (root, modalities) = additions(py, added)?;
    Ok((root, modalities, n_clusters, reached))
}

/// What an answer is made of.
type Answered<'py> = (Bound<'py, PyDict>, Bound<'py, PyDict>, Bound<'py, PyDict>, String);

/// What is to be added to the whole and to each modality, tables by name, and the report as JSON.
///
/// `command`: `markers`, `enrich`, `svg`, `gene-modules`, `neighborhood`, `links` or `image-features`; `options`: by the library's names.
#[pyfunction]
#[pyo3(signature = (command, tissue, options, *, random_state))]
fn explain<'py>(
    py: Python<'py>,
    command: &str,
    tissue: Parts<'py>,
    options: &Bound<'py, PyDict>,
    random_state: u64,
) -> PyResult<Answered<'py>> {
    let said = said(options)?;
    // Of one matrix nothing depends on its kind but its name in messages and how counts are normalised.
    let kind = if tissue.is_mudata { None } else { tissue.kind().or(Some(Modality::Rna)) };
    let container = tissue.container(py)?;
    let (command, seed) = (command.to_owned(), Seed(random_state));
    let answer = run(py, move |monitor| {
        let (source, read) = (OpenOptions::default(), ReadOptions::default());
        let opening = Opening::of(&source, &read, kind);
        let tissue = |place: &Place| {
            let opening = Opening { place: Some(place), ..opening };
            Tissue::from_container(container, &opening, monitor)
        };
        match command.as_str() {
            "markers" => {
                let request = MarkersRequest::from_said(&said)?;
                markers_tissue(&tissue(&request.place)?, &request, monitor)?.in_json()
            }
            "enrich" => {
                let request = EnrichRequest::from_said(&said)?;
                enrich_tissue(&tissue(&request.markers.place)?, &request, seed, monitor)?.in_json()
            }
            "svg" => {
                let request = SvgRequest::from_said(&said)?;
                svg_tissue(&tissue(&request.place)?, &request, monitor)?.in_json()
            }
            "gene-modules" => {
                let request = GeneModulesRequest::from_said(&said)?;
                gene_modules_tissue(&tissue(&request.place)?, &request, seed, monitor)?.in_json()
            }
            "links" => {
                let request = LinksRequest::from_said(&said)?;
                links_tissue(&tissue(&request.place)?, &request, seed, monitor)?.in_json()
            }
            "image-features" => {
                let request = ImageFeaturesRequest::from_said(&said)?;
                image_features_tissue(&tissue(&request.place)?, &request, seed, monitor)?.in_json()
            }
            _ => {
                let request = NeighborhoodRequest::from_said(&said)?;
                neighborhood_tissue(&tissue(&request.place)?, &request, seed, monitor)?.in_json()
            }
        }
    })?;
    let (root, modalities) = additions(py, answer.additions)?;
    let found = PyDict::new(py);
    for (name, table) in answer.tables {
        let columns = PyDict::new(py);
        for (key, values) in table {
            columns.set_item(key, column(py, values)?)?;
        }
        found.set_item(name, columns)?;
    }
    Ok((root, modalities, found, answer.report))
}

/// How the spots lie on their slides, and maps of some features: a picture, as the bytes of the file that `ending` names (.png, .svg, .pdf).
#[pyfunction]
fn image_overlay(
    py: Python<'_>,
    tissue: Parts<'_>,
    options: &Bound<'_, PyDict>,
    ending: &str,
) -> PyResult<Vec<u8>> {
    let said = said(options)?;
    let format =
        PictureFormat::of(Path::new("picture").with_extension(ending.trim_start_matches('.')).as_path())
            .ok_or_else(|| {
                PyValueError::new_err(format!(
                    "the ending is {ending:?}, {} was expected",
                    PictureFormat::ENDINGS
                ))
            })?;
    let container = tissue.container(py)?;
    run(py, move |monitor| {
        let request = ImageFeaturesRequest::from_said(&said)?;
        let (source, read) = (OpenOptions::default(), ReadOptions::default());
        let opening =
            Opening { place: Some(&request.place), ..Opening::of(&source, &read, Some(Modality::Rna)) };
        image_overlay_tissue(
            &Tissue::from_container(container, &opening, monitor)?,
            &request,
            format,
            monitor,
        )
    })
}

/// The patches around some spots, `(n, side, side, 3)` bytes; `rows`: of spots on the tissue.
#[pyfunction]
fn image_patches<'py>(
    py: Python<'py>,
    tissue: Parts<'py>,
    options: &Bound<'py, PyDict>,
    rows: Vec<usize>,
    side: usize,
) -> PyResult<Bound<'py, PyArray4<u8>>> {
    let said = said(options)?;
    let container = tissue.container(py)?;
    let patches = run(py, move |monitor| {
        let request = ImageFeaturesRequest::from_said(&said)?;
        let (source, read) = (OpenOptions::default(), ReadOptions::default());
        let place = Place { keep_off_tissue: true, ..request.place.clone() };
        let opening = Opening { place: Some(&place), ..Opening::of(&source, &read, Some(Modality::Rna)) };
        let tissue = Tissue::from_container(container, &opening, monitor)?;
        image_patches_tissue(&tissue, &request, (&rows, side), monitor)
    })?;
    Ok(patches.into_pyarray(py))
}

/// Writes a report of files as a page; what was written, as JSON.
#[pyfunction]
#[pyo3(signature = (paths, out, options, *, random_state))]
fn report(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    out: PathBuf,
    options: &Bound<'_, PyDict>,
    random_state: u64,
) -> PyResult<String> {
    let said = said(options)?;
    run(py, move |monitor| {
        let request = ReportRequest::from_said(&said)?;
        let inputs = Inputs { paths, options: OpenOptions::default() };
        let written = report_files(&inputs, &out, &request, Seed(random_state), monitor)?;
        Ok::<_, PipelineError>(written.path.display().to_string())
    })
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(find_domains, module)?)?;
    module.add_function(wrap_pyfunction!(explain, module)?)?;
    module.add_function(wrap_pyfunction!(image_overlay, module)?)?;
    module.add_function(wrap_pyfunction!(image_patches, module)?)?;
    module.add_function(wrap_pyfunction!(report, module)?)
}
