//! From a tissue to what the network takes: modalities, features, the spatial graph.

use brodmann_kernels::{Monitor, Opt, OptionError, Slices};
use ndarray::Array2;

use super::denoised::layer_bytes;
use super::model_file::{SavedModality, SavedSource};
use super::request::{SpamiRequest, default_options};
use crate::graph::spatial_knn;
use crate::models::spami::SpamiGraph;
use crate::pipeline::PipelineError;
use crate::pipeline::align::{align, columns_of_model};
use crate::pipeline::embedding::{options_on, read_counts, with_hint};
use crate::pipeline::fingerprint::Fingerprint;
use crate::pipeline::run::{Run, Stage};
use crate::pipeline::tissue::{ModalityInfo, Tissue};
use crate::preprocess::feature_map::{Balance, FeatureMap, MAX_CLR_FEATURES, SpotState};
use crate::preprocess::{FeatureOptions, Modality, PreprocessError};

/// One modality as the network sees it.
#[derive(Clone)]
pub(super) struct Input {
    pub info: ModalityInfo,
    /// Features of the file.
    pub n_vars: usize,
    /// `(n_obs, d)`.
    pub values: Array2<f32>,
    pub source: Source,
    /// How `values` were brought to the scale of the other modalities.
    pub balance: Option<Balance>,
    /// Of the counts or the embedding.
    pub data_hash: String,
}

/// Where features come from, and so whether there is a way back.
#[derive(Clone)]
pub(super) enum Source {
    Counts {
        map: Box<FeatureMap>,
        spots: SpotState,
        /// Column in the file of each selected feature.
        columns: Vec<usize>,
    },
    Rep {
        key: String,
    },
}

impl Input {
    /// Features of the file the network's features rest on; `None` for an embedding.
    pub fn n_selected(&self) -> Option<usize> {
        match &self.source {
            Source::Counts { columns, .. } => Some(columns.len()),
            Source::Rep { .. } => None,
        }
    }

    /// How the features were made, in a word.
    pub fn method(&self) -> &str {
        match &self.source {
            Source::Counts { map, .. } => map.method(),
            Source::Rep { key } => key,
        }
    }

    /// Brings the features to the common scale.
    pub fn balanced(mut self, balance: Balance) -> Self {
        balance.apply(&mut self.values);
        self.balance = Some(balance);
        self
    }

    pub fn layer_bytes(&self) -> u64 {
        self.n_selected().map_or(0, |s| layer_bytes(self.values.nrows(), s, self.n_vars))
    }
}

fn in_words(kind: Modality) -> &'static str {
    match kind {
        Modality::Rna => "gene expression (rna)",
        Modality::Adt => "proteins (adt)",
        Modality::Atac => "open chromatin (atac)",
    }
}

/// The modalities to integrate, each with its kind; both are said in the log.
pub(super) fn choose(
    tissue: &Tissue,
    request: &SpamiRequest,
    monitor: &dyn Monitor,
) -> Result<Vec<ModalityInfo>, PipelineError> {
    let there: Vec<String> = tissue.modalities().iter().map(|m| m.name.clone()).collect();
    let unknown = |option, name: &str| PipelineError::UnknownLayer {
        option: Opt(option),
        name: name.to_owned(),
        layers: there.clone(),
    };
    match request.modalities.modality_kinds.iter().find(|(n, _)| !there.contains(n)) {
        Some((name, _)) if name.is_empty() => {
            let expected = "a kind by the name of its modality, such as rna=rna";
            return Err(OptionError::new("modality_kinds", "a kind without a modality", expected).into());
        }
        Some((name, _)) => return Err(unknown("modality_kinds", name)),
        None => {}
    }
    let single = there.len() == 1;
    let named = |n: &String| there.contains(n) || (single && n.is_empty());
    match request.modalities.use_rep.iter().find(|(n, _)| !named(n)) {
        Some((name, key)) if name.is_empty() => {
            let expected = "a key by the name of each modality, since there are several";
            return Err(OptionError::new("use_rep", format!("{key:?} without a modality"), expected).into());
        }
        Some((name, _)) => return Err(unknown("use_rep", name)),
        None => {}
    }
    let wanted = request.modalities.modalities.clone().unwrap_or_else(|| there.clone());
    let mut chosen: Vec<ModalityInfo> = Vec::new();
    for name in &wanted {
        let Some(found) = tissue.modalities().iter().find(|m| m.name == *name) else {
            return Err(unknown("modalities", name));
        };
        if chosen.iter().any(|m| m.name == *name) {
            return Err(OptionError::new("modalities", format!("{name} twice"), "each modality once").into());
        }
        let mut info = found.clone();
        let given = request.modalities.modality_kinds.get(name).copied();
        info.kind = given.unwrap_or(info.kind);
        let n_vars = tissue.var_names(&info).len();
        let (kind, name) = (in_words(info.kind), &info.name);
        monitor.note(&if given.is_some() || (single && request.features.modality.is_some()) {
            format!("{name}: {n_vars} features, {kind} as asked")
        } else {
            format!(
                "{name}: {n_vars} features TAKEN AS {kind}, guessed from names; if that is wrong, say so with {}",
                Opt("modality_kinds")
            )
        });
        chosen.push(info);
    }
    if let Some(left) = there.iter().find(|n| !wanted.contains(n)) {
        let n = there.len() - wanted.len();
        monitor
            .note(&format!("{n} modality(ies) left out as asked: {left}{}", if n > 1 { ", …" } else { "" }));
    }
    Ok(chosen)
}

/// The spatial graph: directed kNN rows, slice by slice.
pub(super) fn graph(
    tissue: &Tissue,
    request: &SpamiRequest,
    n_neighbors: usize,
    slices: Option<&Slices>,
    run: &mut Run<'_>,
) -> Result<(SpamiGraph, Fingerprint), PipelineError> {
    let monitor = run.monitor;
    let coordinates = tissue.coordinates(&request.place.spatial_key)?;
    monitor.stage("spatial neighbours", 0);
    run.timed(Stage::Graph, || {
        let built = spatial_knn(coordinates.view(), slices, n_neighbors, false)?;
        for note in &built.notes {
            monitor.note(&format!("spatial graph: {note}"));
        }
        let rows = built.distances.view();
        let neighbors: Vec<&[u32]> = (0..rows.n_rows()).map(|i| rows.row(i).0).collect();
        let fingerprint = Fingerprint::default().table(coordinates.view()).slices(slices);
        Ok((SpamiGraph::new(&neighbors)?, fingerprint))
    })
}

/// What preprocessing will make of a modality: an upper bound of its features, for the forecast.
pub(super) fn expected_widths(
    tissue: &Tissue,
    info: &ModalityInfo,
    request: &SpamiRequest,
) -> Result<(usize, u64), PipelineError> {
    if let Some(key) = rep_of(request, info) {
        return Ok((embedding(tissue, info, key)?.ncols(), 0));
    }
    let n_vars = tissue.var_names(info).len();
    let options = options_on(default_options(info.kind), &request.features);
    let direct = info.kind == Modality::Adt && n_vars <= MAX_CLR_FEATURES;
    let width = if direct { n_vars } else { options.n_pcs.min(n_vars).min(tissue.n_obs()) };
    let n_selected = options.n_top_genes.map_or(n_vars, |n| n.min(n_vars));
    Ok((width, layer_bytes(tissue.n_obs(), n_selected, n_vars)))
}

/// The embedding asked for instead of the counts of a modality.
pub(super) fn rep_of<'a>(request: &'a SpamiRequest, info: &ModalityInfo) -> Option<&'a str> {
    request
        .modalities
        .use_rep
        .get(&info.name)
        .or_else(|| request.modalities.use_rep.get(""))
        .map(String::as_str)
}

fn embedding(tissue: &Tissue, info: &ModalityInfo, key: &str) -> Result<Array2<f64>, PipelineError> {
    Ok(match tissue.embedding(info, key)? {
        Some(embedding) => embedding,
        None => tissue.any_embedding(key)?,
    })
}

pub(super) fn from_rep(tissue: &Tissue, info: &ModalityInfo, key: &str) -> Result<Input, PipelineError> {
    let embedding = embedding(tissue, info, key)?;
    if let Some(((row, column), &value)) = embedding.indexed_iter().find(|(_, v)| !v.is_finite()) {
        let source = PreprocessError::NonFinite { row, column, value: value as f32 };
        return Err(PipelineError::Preprocess { modality: format!("{} (obsm[{key:?}])", info.name), source });
    }
    Ok(Input {
        n_vars: tissue.var_names(info).len(),
        values: embedding.mapv(|v| v as f32),
        data_hash: Fingerprint::default().table(embedding.view()).hex(),
        source: Source::Rep { key: key.to_owned() },
        balance: None,
        info: info.clone(),
    })
}

/// The features of a modality, made from its counts or taken from where the request says.
pub(super) fn prepare(
    tissue: &Tissue,
    info: &ModalityInfo,
    request: &SpamiRequest,
    slices: Option<&Slices>,
    run: &mut Run<'_>,
) -> Result<Input, PipelineError> {
    let (seed, monitor) = (run.seed, run.monitor);
    if let Some(key) = rep_of(request, info) {
        monitor.note(&format!("{}: features taken from obsm[{key:?}] as asked", info.name));
        return from_rep(tissue, info, key);
    }
    let counts = read_counts(tissue, info, &request.features, run)?;
    let options = FeatureOptions::Reduced(options_on(default_options(info.kind), &request.features));
    monitor.stage(&format!("{}: preprocessing", info.name), 0);
    let graph = run.selection_graph.take();
    let near = graph.as_ref().map(|graph| graph.view());
    let made = run
        .timed(Stage::Preprocess, || FeatureMap::fit_on(counts.view(), slices, near, &options, seed, monitor))
        .map_err(|source| with_hint(source, tissue, info))?;
    run.selection_graph = graph;
    let values = made.values.into_dense();
    monitor.note(&format!(
        "{}: {} features for the network ({}), from {} of {}",
        info.name,
        values.ncols(),
        made.map.method(),
        made.map.n_selected(),
        made.map.n_vars()
    ));
    let columns = (0..made.map.n_vars()).filter(|&j| made.map.selected[j]).collect();
    Ok(Input {
        n_vars: counts.n_cols(),
        values,
        data_hash: Fingerprint::default().counts(counts.view()).hex(),
        source: Source::Counts { map: Box::new(made.map), spots: made.spots, columns },
        balance: None,
        info: info.clone(),
    })
}

/// The features of a modality as a saved model wants them, columns aligned by name.
pub(super) fn project(
    tissue: &Tissue,
    info: &ModalityInfo,
    saved: &SavedModality,
    request: &SpamiRequest,
    run: &mut Run<'_>,
) -> Result<Input, PipelineError> {
    let monitor = run.monitor;
    let (map, names) = match &saved.source {
        SavedSource::Rep(key) => {
            monitor.note(&format!("{}: features taken from obsm[{key:?}], as in training", info.name));
            return from_rep(tissue, info, key);
        }
        SavedSource::Counts { map, names } => (map, names),
    };
    let found = columns_of_model(map, names, tissue.var_names(info), &info.name, monitor)?;
    let counts = read_counts(tissue, info, &request.features, run)?;
    monitor.stage(&format!("{}: projecting on the saved loadings", info.name), 0);
    let (values, spots) = run
        .timed(Stage::Preprocess, || map.encode(align(counts.view(), &found).view(), None))
        .map_err(|source| with_hint(source, tissue, info))?;
    let values = values.into_dense();
    let columns =
        found.iter().enumerate().filter(|(k, _)| map.selected[*k]).filter_map(|(_, f)| *f).collect();
    Ok(Input {
        n_vars: counts.n_cols(),
        values,
        data_hash: Fingerprint::default().counts(counts.view()).hex(),
        source: Source::Counts { map: map.clone(), spots, columns },
        balance: None,
        info: info.clone(),
    })
}
