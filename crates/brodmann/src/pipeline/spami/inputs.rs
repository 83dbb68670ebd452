//! From a tissue to what the network takes: modalities, features, the spatial graph.

use brodmann_kernels::{Monitor, Seed};
use ndarray::Array2;

use super::denoised::layer_bytes;
use super::features::{self, Balance, FeatureMap, MAX_CLR_FEATURES, SpotState, default_options};
use super::model_file::{SavedModality, SavedSource};
use super::request::SpamiRequest;
use crate::graph::spatial_knn;
use crate::models::spami::SpamiGraph;
use crate::pipeline::align::{align, places};
use crate::pipeline::features::{options_on, read_counts, with_hint};
use crate::pipeline::fingerprint::Fingerprint;
use crate::pipeline::tissue::{ModalityInfo, Tissue};
use crate::pipeline::{PipelineError, Seconds, timed};
use crate::preprocess::{Modality, PreprocessError, PreprocessOptions};

/// One modality as the network sees it.
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

    /// Brings the features to the common scale, the one given or their own.
    pub fn balanced(mut self, given: Option<Balance>) -> Self {
        let balance = given.unwrap_or_else(|| Balance::fit(self.values.view()));
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
        option,
        name: name.to_owned(),
        layers: there.clone(),
    };
    if let Some(name) = request.kinds.keys().find(|n| !there.contains(n)) {
        return Err(unknown("--modality-kind", name));
    }
    let single = there.len() == 1;
    let named = |n: &String| there.contains(n) || (single && n.is_empty());
    match request.use_rep.iter().find(|(n, _)| !named(n)) {
        Some((name, key)) if name.is_empty() => {
            return Err(PipelineError::Option {
                option: "--use-rep",
                found: format!("{key:?} without a modality"),
                expected: "NAME=KEY for each modality, since there are several,",
            });
        }
        Some((name, _)) => return Err(unknown("--use-rep", name)),
        None => {}
    }
    let wanted = request.modalities.clone().unwrap_or_else(|| there.clone());
    let mut chosen: Vec<ModalityInfo> = Vec::new();
    for name in &wanted {
        let Some(found) = tissue.modalities().iter().find(|m| m.name == *name) else {
            return Err(unknown("--modalities", name));
        };
        if chosen.iter().any(|m| m.name == *name) {
            return Err(PipelineError::Option {
                option: "--modalities",
                found: format!("{name} twice"),
                expected: "each modality once",
            });
        }
        let mut info = found.clone();
        let given = request.kinds.get(name).copied();
        info.kind = given.unwrap_or(info.kind);
        let n_vars = tissue.var_names(&info).len();
        let (kind, name) = (in_words(info.kind), &info.name);
        monitor.note(&if given.is_some() || (single && request.features.modality.is_some()) {
            format!("{name}: {n_vars} features, {kind} as you said")
        } else {
            format!(
                "{name}: {n_vars} features TAKEN AS {kind}, guessed from names; if that is wrong, say \
                 --modality-kind {name}=rna, adt or atac"
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
    slices: Option<&[u32]>,
    seconds: &mut Seconds,
    monitor: &dyn Monitor,
) -> Result<(SpamiGraph, Fingerprint), PipelineError> {
    let coordinates = tissue.coordinates(&request.spatial_key)?;
    monitor.stage("spatial neighbours", 0);
    timed(&mut seconds.graph, || {
        let built = spatial_knn(coordinates.view(), slices, n_neighbors, false)?;
        for note in &built.notes {
            monitor.note(&format!("spatial graph: {note}"));
        }
        let rows = built.distances.view();
        let neighbors: Vec<&[u32]> = (0..rows.n_rows()).map(|i| rows.row(i).0).collect();
        let fingerprint = Fingerprint::default().table(coordinates.view()).codes(slices);
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
fn rep_of<'a>(request: &'a SpamiRequest, info: &ModalityInfo) -> Option<&'a str> {
    request.use_rep.get(&info.name).or_else(|| request.use_rep.get("")).map(String::as_str)
}

fn embedding(tissue: &Tissue, info: &ModalityInfo, key: &str) -> Result<Array2<f64>, PipelineError> {
    Ok(match tissue.embedding(info, key)? {
        Some(embedding) => embedding,
        None => tissue.any_embedding(key)?,
    })
}

fn from_rep(tissue: &Tissue, info: &ModalityInfo, key: &str) -> Result<Input, PipelineError> {
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
    slices: Option<&[u32]>,
    seed: Seed,
    seconds: &mut Seconds,
    monitor: &dyn Monitor,
) -> Result<Input, PipelineError> {
    if let Some(key) = rep_of(request, info) {
        monitor.note(&format!("{}: features taken from obsm[{key:?}] as asked", info.name));
        return from_rep(tissue, info, key);
    }
    let counts = read_counts(tissue, info, &request.features, seconds, monitor)?;
    let options: PreprocessOptions = options_on(default_options(info.kind), &request.features);
    monitor.stage(&format!("{}: preprocessing", info.name), 0);
    let made =
        timed(&mut seconds.preprocess, || features::prepare(counts.view(), slices, &options, seed, monitor))
            .map_err(|source| with_hint(source, tissue, info))?;
    monitor.note(&format!(
        "{}: {} features for the network ({}), from {} of {}",
        info.name,
        made.values.ncols(),
        made.map.method(),
        made.map.n_selected(),
        made.map.n_vars()
    ));
    let columns = (0..made.map.n_vars()).filter(|&j| made.map.selected[j]).collect();
    Ok(Input {
        n_vars: counts.n_cols(),
        values: made.values,
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
    seconds: &mut Seconds,
    monitor: &dyn Monitor,
) -> Result<Input, PipelineError> {
    let (map, names) = match &saved.source {
        SavedSource::Rep(key) => {
            monitor.note(&format!("{}: features taken from obsm[{key:?}], as in training", info.name));
            return from_rep(tissue, info, key);
        }
        SavedSource::Counts { map, names } => (map, names),
    };
    let found = places(names, tissue.var_names(info));
    let is_missing = |(k, f): &(usize, &Option<usize>)| f.is_none() && map.selected[*k];
    let missing: Vec<usize> = found.iter().enumerate().filter(is_missing).map(|(k, _)| k).collect();
    if !missing.is_empty() {
        return Err(PipelineError::MissingFeatures {
            modality: info.name.clone(),
            n_missing: missing.len(),
            n_expected: map.n_selected(),
            examples: missing.iter().take(5).map(|&k| names[k].clone()).collect(),
        });
    }
    let absent = found.iter().filter(|f| f.is_none()).count();
    if absent > 0 {
        monitor.note(&format!(
            "{}: {absent} of the {} features that only count in the totals are absent here; taken as 0",
            info.name,
            names.len()
        ));
    }
    let counts = read_counts(tissue, info, &request.features, seconds, monitor)?;
    monitor.stage(&format!("{}: projecting on the saved loadings", info.name), 0);
    let (values, spots) = timed(&mut seconds.preprocess, || map.encode(align(counts.view(), &found).view()))
        .map_err(|source| with_hint(source, tissue, info))?;
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
