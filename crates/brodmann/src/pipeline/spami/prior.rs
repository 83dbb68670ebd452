//! A labelled reference beside the target: what both have in common, as training takes it.

use std::collections::HashSet;

use brodmann_data::{Categorical, Column, OpenOptions, ReadOptions, Select, keys};
use brodmann_kernels::{CsrMatrix, CsrView, Monitor, Opt, Slices};
use ndarray::Array2;
use serde::Serialize;

use super::request::SpamiRequest;
use crate::graph::spatial_knn;
use crate::models::spami::SpamiGraph;
use crate::models::spami::prior::{Correspondence, Prior, Transfer, Trust, UNLABELLED, gene_correspondence};
use crate::pipeline::PipelineError;
use crate::pipeline::align::{align, places};
use crate::pipeline::embedding::{read_counts, with_hint};
use crate::pipeline::fingerprint::Fingerprint;
use crate::pipeline::qc::GENE_NAMES;
use crate::pipeline::request::{FeatureRequest, Place};
use crate::pipeline::run::{Run, Stage};
use crate::pipeline::tissue::{ModalityInfo, Opening, Tissue};
use crate::preprocess::feature_map::Balance;
use crate::preprocess::{
    HvgFlavor, Modality, Normalization, PreprocessOptions, SizeFactors, check_counts, check_non_negative,
    clr, log1p, preprocess, row_totals,
};

/// Fewest shared features: of genes and peaks, and of proteins, whose panels are small.
const FEWEST_SHARED: usize = 20;
const FEWEST_PROTEINS: usize = 5;
/// Components of the shared features.
const N_COMPONENTS: usize = 30;
/// Total that spots are brought to.
const TARGET_SUM: f64 = 1e4;
/// The label of a spot that is like nothing in the reference, or not surely like one thing.
pub const NONE_OF_THESE: &str = "none of these";

/// Where the reference is: its name in messages.
fn name_of(tissue: &Tissue) -> String {
    tissue.path.display().to_string()
}

/// How the spots of the reference are placed.
fn place_of(request: &SpamiRequest) -> Place {
    Place {
        spatial_key: request.place.spatial_key.clone(),
        library_key: request.prior.prior_library_key.clone(),
        ..Place::default()
    }
}

/// Opens the file of the reference, counts left where they are.
pub(super) fn open(request: &SpamiRequest, monitor: &dyn Monitor) -> Result<Option<Tissue>, PipelineError> {
    let Some(path) = &request.prior.prior else { return Ok(None) };
    let mut read = ReadOptions::names_only();
    let mut obs = vec![keys::IN_TISSUE.to_owned()];
    obs.extend(request.prior.prior_key.clone());
    obs.extend(request.prior.prior_library_key.clone());
    read.obs = Select::Only(obs);
    read.var = Select::only(GENE_NAMES.into_iter().chain([keys::FEATURE_TYPES]));
    read.obsm = Select::Only(vec![request.place.spatial_key.clone()]);
    let (source, place, features) = (OpenOptions::default(), place_of(request), features_of(request));
    let opening = Opening {
        source: &source,
        read: &read,
        kind: request.prior.prior_modality,
        place: Some(&place),
        features: Some(&features),
        labelled: None,
    };
    Tissue::open(path, &opening, monitor).map(Some)
}

/// A reference that is in memory already.
pub(super) fn in_memory(
    request: &SpamiRequest,
    container: brodmann_data::Container,
    kind: Option<Modality>,
    monitor: &dyn Monitor,
) -> Result<Tissue, PipelineError> {
    let (source, read) = (OpenOptions::default(), ReadOptions::default());
    let (place, features) = (place_of(request), features_of(request));
    let opening =
        Opening { place: Some(&place), features: Some(&features), ..Opening::of(&source, &read, kind) };
    Tissue::from_container(container, &opening, monitor)
}

/// How the counts of the reference are read.
fn features_of(request: &SpamiRequest) -> FeatureRequest {
    FeatureRequest {
        layer: request.prior.prior_layer.clone(),
        normalized: request.features.normalized,
        ..FeatureRequest::default()
    }
}

/// Which modality of each side is compared.
fn modality<'a>(
    tissue: &'a Tissue,
    among: Option<&[ModalityInfo]>,
    kind: Modality,
) -> Result<&'a ModalityInfo, PipelineError> {
    let there = tissue.modalities();
    let takes_part =
        |m: &&ModalityInfo| among.is_none_or(|list| list.iter().any(|other| other.name == m.name));
    // Names of the modalities are the list's, and so are their kinds where these were said.
    let kind_of = |m: &ModalityInfo| {
        among
            .and_then(|list| list.iter().find(|other| other.name == m.name))
            .map_or(m.kind, |other| other.kind)
    };
    let alone = there.len() == 1;
    there.iter().filter(takes_part).find(|m| alone || kind_of(m) == kind).ok_or_else(|| {
        let names: Vec<String> = there.iter().map(|m| format!("{} ({})", m.name, m.kind)).collect();
        let expected = format!("what {} measures too: one of {}", name_of(tissue), names.join(", "));
        PipelineError::option("prior_modality", kind, expected)
    })
}

/// How much of the features both sides have, looked up by name before anything is read.
struct Shared {
    /// Columns of the target and of the reference.
    columns: [Vec<Option<usize>>; 2],
    n_shared: usize,
}

fn shared(
    (target, info): (&Tissue, &ModalityInfo),
    (reference, other): (&Tissue, &ModalityInfo),
) -> Result<Shared, PipelineError> {
    let (names, there) = (target.var_names(info), reference.var_names(other));
    let mut seen = HashSet::new();
    let mut columns = [Vec::new(), Vec::new()];
    for (j, place) in places(names, there).into_iter().enumerate() {
        if place.is_some() && seen.insert(names[j].as_str()) {
            columns[0].push(Some(j));
            columns[1].push(place);
        }
    }
    let n_shared = columns[0].len();
    let expected = if info.kind == Modality::Adt { FEWEST_PROTEINS } else { FEWEST_SHARED };
    if n_shared < expected {
        return Err(PipelineError::PriorFeatures {
            reference: name_of(reference),
            modality: info.name.clone(),
            n_shared,
            n_target: names.len(),
            n_reference: there.len(),
            expected,
        });
    }
    Ok(Shared { columns, n_shared })
}

/// Spots of the reference, shared features and labels, for the forecast; refuses what cannot be compared.
pub(super) fn extent(
    request: &SpamiRequest,
    target: &Tissue,
    modalities: &[ModalityInfo],
    reference: &Tissue,
) -> Result<(usize, usize, usize), PipelineError> {
    let kind = request.prior.prior_modality.unwrap_or(Modality::Rna);
    let sides = (modality(target, Some(modalities), kind)?, modality(reference, None, kind)?);
    let shared = shared((target, sides.0), (reference, sides.1))?;
    let n_labels = labels(request, reference)?.1.len();
    Ok((reference.n_obs(), shared.n_shared.min(N_COMPONENTS), n_labels))
}

/// Codes of the reference, and the labels that occur.
fn labels(request: &SpamiRequest, reference: &Tissue) -> Result<(Vec<u32>, Vec<String>), PipelineError> {
    let key = request.prior.prior_key.as_deref().unwrap_or_default();
    let labels: Categorical = reference.labels(key)?;
    let mut used = vec![false; labels.categories.len()];
    labels.codes.iter().filter_map(|&c| usize::try_from(c).ok()).for_each(|c| used[c] = true);
    let mut names = Vec::new();
    let mut number = vec![UNLABELLED; used.len()];
    for (c, name) in labels.categories.iter().enumerate().filter(|(c, _)| used[*c]) {
        number[c] = names.len() as u32;
        names.push(name.clone());
    }
    let codes = labels.codes.iter().map(|&c| usize::try_from(c).map_or(UNLABELLED, |c| number[c])).collect();
    Ok((codes, names))
}

/// A reference ready for training.
pub(super) struct Reference {
    of_target: Array2<f32>,
    own: Array2<f32>,
    graph: SpamiGraph,
    codes: Vec<u32>,
    /// Names of the labels.
    pub names: Vec<String>,
    n_shared: usize,
    /// Whether genes mean in the target what they mean there.
    pub correspondence: Correspondence,
    /// Of counts, coordinates, slices and labels.
    pub hash: String,
}

impl Reference {
    /// As the network takes it.
    pub(super) fn prior(&self) -> Prior<'_> {
        Prior {
            target: self.of_target.view(),
            reference: self.own.view(),
            graph: &self.graph,
            labels: &self.codes,
            n_labels: self.names.len(),
        }
    }
}

/// Values on a scale on which spots of one side compare, from all of its features; the shared ones are kept.
fn normalised(
    counts: &CsrMatrix<f32>,
    columns: &[Option<usize>],
    kind: Modality,
    as_they_are: bool,
) -> CsrMatrix<f32> {
    if as_they_are {
        return align(counts.view(), columns);
    }
    if kind == Modality::Adt {
        let mut all = counts.clone();
        clr(&mut all);
        return align(all.view(), columns);
    }
    let mut few = align(counts.view(), columns);
    SizeFactors::to_total(row_totals(counts.view(), None), TARGET_SUM).apply(&mut few);
    log1p(&mut few);
    few
}

/// One matrix above the other.
fn stacked(above: CsrView<'_, f32>, below: CsrView<'_, f32>) -> CsrMatrix<f32> {
    let row = |m: CsrView<'_, f32>, i: usize| -> Vec<(u32, f32)> {
        let (columns, values) = m.row(i);
        columns.iter().copied().zip(values.iter().copied()).collect()
    };
    let rows: Vec<_> = (0..above.n_rows())
        .map(|i| row(above, i))
        .chain((0..below.n_rows()).map(|i| row(below, i)))
        .collect();
    CsrMatrix::from_rows(above.n_cols(), &rows)
}

/// Brings the reference beside the target: shared features by name, each slice centred and scaled on its own, components of
/// all together; the reference's own spatial graph; its labels.
pub(super) fn prepare(
    request: &SpamiRequest,
    (target, modalities, graph, slices): (&Tissue, &[ModalityInfo], &SpamiGraph, Option<&Slices>),
    reference: &Tissue,
    n_neighbors: usize,
    run: &mut Run<'_>,
) -> Result<Reference, PipelineError> {
    let (seed, monitor) = (run.seed, run.monitor);
    let kind = request.prior.prior_modality.unwrap_or(Modality::Rna);
    let info = modality(target, Some(modalities), kind)?;
    let other = modality(reference, None, kind)?;
    let Shared { columns, n_shared } = shared((target, info), (reference, other))?;
    let (codes, names) = labels(request, reference)?;
    monitor.note(&format!(
        "reference {}: {} spots, {} labels in obs[{:?}]; {n_shared} features of {} shared (of {} there, {} here)",
        name_of(reference),
        reference.n_obs(),
        names.len(),
        request.prior.prior_key.as_deref().unwrap_or_default(),
        info.name,
        reference.var_names(other).len(),
        target.var_names(info).len(),
    ));
    let their_slices = reference.slices(request.prior.prior_library_key.as_deref())?;
    let coordinates = reference.coordinates(&request.place.spatial_key)?;
    let built = run
        .timed(Stage::Graph, || spatial_knn(coordinates.view(), their_slices.as_ref(), n_neighbors, false))?;
    let rows = built.distances.view();
    let neighbors: Vec<&[u32]> = (0..rows.n_rows()).map(|i| rows.row(i).0).collect();
    let their_graph = SpamiGraph::new(&neighbors)?;

    let ours = read_counts(target, info, &request.features, run)?;
    let theirs = read_counts(reference, other, &features_of(request), run)?;
    let hash = Fingerprint::default()
        .counts(theirs.view())
        .table(coordinates.view())
        .slices(their_slices.as_ref())
        .text(&names.join("\n"))
        .bytes(&codes.iter().flat_map(|c| c.to_le_bytes()).collect::<Vec<u8>>())
        .hex();
    let as_they_are = request.features.normalized;
    let check = |counts: CsrView<'_, f32>| {
        if as_they_are { check_non_negative(counts) } else { check_counts(counts) }
    };
    check(ours.view()).map_err(|source| with_hint(source, target, info))?;
    check(theirs.view()).map_err(|source| with_hint(source, reference, other))?;
    monitor.stage("shared features", 0);
    let [here, there] = [(ours, &columns[0]), (theirs, &columns[1])]
        .map(|(counts, columns)| normalised(&counts, columns, kind, as_they_are));
    let both = stacked(here.view(), there.view());
    let (n_here, n_there) = (here.n_rows(), there.n_rows());
    let ours = Slices::or_one(slices, n_here).unwrap_or_else(|_| Slices::one(n_here));
    let theirs = Slices::or_one(their_slices.as_ref(), n_there).unwrap_or_else(|_| Slices::one(n_there));
    let codes_of_slices: Vec<u32> = (0..n_here)
        .map(|i| ours.of(i) as u32)
        .chain((0..n_there).map(|j| (ours.count() + theirs.of(j)) as u32))
        .collect();
    let options = PreprocessOptions {
        n_top_genes: Some(super::request::N_TOP_GENES),
        hvg_flavor: HvgFlavor::Seurat,
        normalization: Normalization::None,
        log1p: false,
        by_slice: true,
        n_pcs: N_COMPONENTS,
        ..PreprocessOptions::for_modality(Modality::Rna)
    };
    let made = run
        .timed(Stage::Preprocess, || {
            let slices = Slices::from_codes(&codes_of_slices, &[]);
            preprocess(both.view(), Some(&slices), &options, seed, &brodmann_kernels::Silent)
        })
        .map_err(|source| with_hint(source, target, info))?;
    monitor.check()?;
    let mut values = made.embedding.mapv(|v| v as f32);
    Balance::fit(values.view()).apply(&mut values);
    let rows_of = |from: usize, to: usize| {
        values.slice_axis(ndarray::Axis(0), ndarray::Slice::from(from..to)).to_owned()
    };
    let correspondence = run.timed(Stage::Preprocess, || {
        let few = |m: &CsrMatrix<f32>| m.view().select_columns(&made.highly_variable);
        let (here, there) = (few(&here), few(&there));
        let sides = ((here.view(), graph), (there.view(), &their_graph));
        gene_correspondence(sides.0, sides.1, &codes, names.len(), seed)
    });
    Ok(Reference {
        of_target: rows_of(0, n_here),
        own: rows_of(n_here, n_here + n_there),
        graph: their_graph,
        codes,
        names,
        n_shared,
        correspondence,
        hash,
    })
}

/// What is known of a reference after the run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PriorFacts {
    /// Labels it has.
    pub n_labels: usize,
    /// Its spots; `None` where a saved model knows the labels alone.
    pub n_reference: Option<usize>,
    /// Features both sides have.
    pub n_shared: Option<usize>,
    /// What the first anchors were worth.
    pub trust: Option<Trust>,
    /// What the last ones were worth; `None` where training did without the reference.
    pub last: Option<Trust>,
    /// Whether its genes mean in the target what they mean there.
    pub correspondence: Option<Correspondence>,
    /// Whether it guided training.
    pub trusted: bool,
    /// Spots that got a label.
    pub n_labelled: usize,
    /// Mean confidence of those.
    pub mean_confidence: Option<f64>,
}

impl PriorFacts {
    pub(super) fn of(reference: &Reference, trust: Trust) -> Self {
        Self {
            n_reference: Some(reference.own.nrows()),
            n_shared: Some(reference.n_shared),
            trust: Some(trust),
            correspondence: Some(reference.correspondence).filter(|c| c.z.is_finite()),
            ..Self::of_labels(reference.names.len())
        }
    }

    pub(super) fn of_labels(n_labels: usize) -> Self {
        Self {
            n_labels,
            n_reference: None,
            n_shared: None,
            trust: None,
            last: None,
            correspondence: None,
            trusted: false,
            n_labelled: 0,
            mean_confidence: None,
        }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let (Some(n), Some(shared), Some(trust)) = (self.n_reference, self.n_shared, self.trust) {
            lines.push(format!(
                "reference  {n} spots, {} labels, {shared} shared features; {} anchors on {:.0} % of the spots, agreement {:.2}{}",
                self.n_labels,
                trust.n_anchors,
                100.0 * trust.covered,
                self.last.unwrap_or(trust).agreement,
                if self.trusted { "" } else { "; NOT TRUSTED, training did without it" }
            ));
        }
        let confidence = self.mean_confidence.map_or(String::new(), |c| format!(", mean confidence {c:.2}"));
        lines.push(format!("labels     {} spots labelled{confidence}", self.n_labelled));
        lines
    }
}

/// Says why a reference is not trusted, if it is not.
pub(super) fn doubt(reference: &Reference, trust: Trust, monitor: &dyn Monitor) -> bool {
    let mut reasons = Vec::new();
    if !trust.is_enough() {
        reasons.push(format!(
            "the labels of its anchors hardly agree between neighbouring spots ({:.2} beyond chance; 1 is always)",
            trust.agreement
        ));
    }
    let found = reference.correspondence;
    if !found.is_enough() {
        reasons.push(format!(
            "the profiles of its labels are found in the input no better than with genes in a wrong order (correlation {:.3}, \
             by chance {:.3})",
            found.found, found.by_chance
        ));
    }
    if reasons.is_empty() {
        if trust.covered < 0.2 {
            monitor.warn(&format!(
                "only {:.0} % of the spots have a partner in the reference: most of the tissue may not be in it",
                100.0 * trust.covered
            ));
        }
        return true;
    }
    monitor.warn(&format!(
        "the reference is not trusted and has no part in training: {}; check that {} names its regions, and that it is of the \
         same organ",
        reasons.join("; "),
        Opt("prior_key")
    ));
    false
}

/// Labels and confidence as columns of obs; without a transfer nothing is labelled.
pub(super) fn add(
    key: &str,
    names: &[String],
    transfer: Option<&Transfer>,
    n_obs: usize,
    facts: &mut PriorFacts,
    run: &mut Run<'_>,
) {
    let none = Transfer {
        labels: vec![UNLABELLED; n_obs],
        confidence: vec![0.0; n_obs],
        probabilities: Array2::zeros((0, 0)),
    };
    let found = transfer.unwrap_or(&none);
    let own = |code: u32| names.get(code as usize).map_or(NONE_OF_THESE, String::as_str);
    let labels: Vec<Option<&str>> = found.labels.iter().map(|&c| Some(own(c))).collect();
    let sure: Vec<f64> = found
        .labels
        .iter()
        .zip(&found.confidence)
        .filter(|(code, _)| **code != UNLABELLED)
        .map(|(_, c)| f64::from(*c))
        .collect();
    facts.n_labelled = sure.len();
    facts.mean_confidence = (!sure.is_empty()).then(|| sure.iter().sum::<f64>() / sure.len() as f64);
    let root = run.target(None);
    root.obs.insert(format!("{key}_prior"), Column::Categorical(Categorical::from_strings(&labels)));
    root.obs.insert(format!("{key}_prior_confidence"), Column::Float32(found.confidence.clone()));
}
