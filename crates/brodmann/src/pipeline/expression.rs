//! The expression of a tissue as features, and its spatial graph: what STAIG and smoothed principal components share.

use brodmann_kernels::{CsrMatrix, CsrView, Monitor, Opt, OptionError, Seed, Slices};
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::PipelineError;
use super::align::{align, columns_of_model};
use super::doubts::{no_differences, require_places};
use super::embedding::{read_counts, with_hint};
use super::fingerprint::Fingerprint;
use super::forecast::{block_bytes, every_run_bytes};
use super::request::FeatureRequest;
use super::run::{Run, Stage};
use super::scene::Scene;
use super::tissue::{ModalityInfo, Tissue};
use crate::graph::spatial_knn;
use crate::preprocess::feature_map::{FeatureMap, FeatureScale, ScaledOptions, Values};
use crate::preprocess::{FeatureOptions, Modality, PcaOptions, PreprocessError, ScaleOptions, pca, scale};

/// Starts of a Gaussian mixture where nothing is said: one start moves the ARI by as much as the training seed does.
pub const N_INIT: usize = 10;
/// Neighbours of the graphs of the embedding.
pub const CLUSTER_NEIGHBORS: usize = 15;
/// Genes selected of one slice.
pub const N_TOP_GENES: usize = 3000;
/// The same where each takes several columns: the surroundings of a spot beside its own values.
pub const FEW_TOP_GENES: usize = 2000;
/// Genes selected of each of several slices.
pub const N_TOP_GENES_PER_SLICE: usize = 5000;
/// Panels up to this size are taken as counts: the largest of the released runs on counts has 1020 genes.
pub const PANEL_GENES: usize = 1200;
/// Total of each spot.
pub const TARGET_SUM: f64 = 1e4;

/// Components that the mixing of slices is compared in.
const UNALIGNED_COMPONENTS: usize = 30;
/// Genes that must vary in all slices, unless the panel has few.
const FEW_FEATURES: usize = 50;

/// What the values of the counts are taken for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ValueOptions {
    /// Counts or logarithms; by preset and size of the panel when absent.
    pub values: Option<Values>,
}

/// What is asked of the features, and what the method would do where nothing is.
pub(super) struct Wanted<'a> {
    /// How counts become features; `normalized` says that values are logarithms already.
    pub features: &'a FeatureRequest,
    /// Counts or logarithms.
    pub values: &'a ValueOptions,
    /// The preset takes counts as they are.
    pub preset_takes_counts: bool,
    /// So does the method, of a small panel.
    pub panels_are_counts: bool,
    /// Genes selected of one slice where nothing is said.
    pub n_top_genes: usize,
    /// Of several slices: whether their mixing is compared with that of plain components.
    pub compares_slices: bool,
}

impl<'a> Wanted<'a> {
    /// Of a method that works on logarithms whatever the panel, and takes few genes.
    pub(super) fn logarithms(features: &'a FeatureRequest, values: &'a ValueOptions) -> Self {
        let n_top_genes = FEW_TOP_GENES;
        let (preset_takes_counts, panels_are_counts, compares_slices) = (false, false, true);
        Self { features, values, preset_takes_counts, panels_are_counts, n_top_genes, compares_slices }
    }

    /// Refuses what does not go together.
    pub(super) fn check(&self) -> Result<(), PipelineError> {
        match (self.features.normalized, self.values.values) {
            (true, Some(values)) => {
                let found = format!("{} together with {}", values.name(), Opt("normalized"));
                let expected = "one of the two, since values that are normalised are logarithms";
                Err(OptionError::new("values", found, expected).into())
            }
            _ => Ok(()),
        }
    }

    /// What the features are made by, for a panel of `n_vars` genes on `n_slices` slices, and why.
    pub(super) fn options(&self, n_vars: usize, n_slices: usize) -> (ScaledOptions, &'static str) {
        let of = self.features;
        let (values, why) = match self.values.values {
            _ if of.normalized => (Values::Logged, "as asked"),
            Some(values) => (values, "as asked"),
            None if self.preset_takes_counts => (Values::Counts, "as the preset does"),
            None if n_vars <= PANEL_GENES && self.panels_are_counts => {
                (Values::Counts, "as the panel is small")
            }
            None => (Values::Log, "by default"),
        };
        let n_top_genes = match of.n_top_genes {
            Some(0) => None,
            Some(n) => Some(n),
            None if n_slices > 1 => Some(N_TOP_GENES_PER_SLICE),
            None => Some(self.n_top_genes),
        };
        let own = ScaledOptions::default();
        let options = ScaledOptions {
            values,
            n_top_genes,
            select: of.select.unwrap_or(own.select),
            flavor: of.flavor.unwrap_or(own.flavor),
            target_sum: of.target_sum.unwrap_or(TARGET_SUM),
            min_cells: of.min_cells.unwrap_or(own.min_cells),
        };
        (options, why)
    }
}

/// The one modality whose expression is read.
pub(super) fn choose(tissue: &Tissue) -> Result<ModalityInfo, PipelineError> {
    let all = tissue.modalities();
    let rna = all.iter().find(|m| m.kind == Modality::Rna);
    match rna.or(all.first().filter(|_| all.len() == 1)) {
        Some(info) => Ok(info.clone()),
        None => Err(PipelineError::NoExpression { modalities: all.iter().map(|m| m.name.clone()).collect() }),
    }
}

/// The expression of a tissue as features.
pub struct Expression {
    /// `(n_obs, n_features)`.
    pub values: CsrMatrix<f32>,
    /// How they were made.
    pub map: FeatureMap,
    /// Per variable of the file: whether it is a feature.
    pub selected: Vec<bool>,
    /// Names of the columns the map is on.
    pub names: Vec<String>,
    /// Of the counts.
    pub data_hash: String,
    /// Share of the values that are not zero.
    pub density: f64,
    /// Of several slices: principal components as one would take them of a single slice, `(n_obs, ≤ 30)`.
    pub before: Option<Array2<f64>>,
}

/// Share of the entries that are not zero.
fn density(values: &CsrMatrix<f32>) -> f64 {
    values.nnz() as f64 / (values.n_rows() * values.n_cols()).max(1) as f64
}

/// What the mixing of slices is compared with. Not the features of the network: scaled slice by slice without
/// centring, every gene's mean moves by its slice's deviation, and that alone parts slices that plain components mix.
fn unaligned(
    map: &FeatureMap,
    counts: CsrView<'_, f32>,
    n_slices: usize,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Option<Array2<f64>>, PreprocessError> {
    if n_slices < 2 {
        return Ok(None);
    }
    let values = map.normalised(counts)?;
    let scaling = scale(values.view(), &ScaleOptions::default())?;
    let options = PcaOptions { n_components: UNALIGNED_COMPONENTS };
    Ok(Some(pca(values.view(), Some(&scaling), &options, seed, monitor)?.scores))
}

/// Refuses slices that select hardly a gene in common.
pub(super) fn check_selected(n_selected: usize, n_vars: usize, n_slices: usize) -> Result<(), PipelineError> {
    let expected = FEW_FEATURES.min((n_vars / 2).max(1));
    if n_slices > 1 && n_selected < expected {
        return Err(PipelineError::SharedVariable { n_selected, n_slices, expected });
    }
    Ok(())
}

/// Features made from the counts.
pub(super) fn prepare(
    scene: &Scene<'_>,
    info: &ModalityInfo,
    wanted: &Wanted<'_>,
    run: &mut Run<'_>,
) -> Result<Expression, PipelineError> {
    let (tissue, slices, n_slices) = (scene.tissue, scene.slices(), scene.n_slices);
    let (seed, monitor) = (run.seed, run.monitor);
    let counts = read_counts(tissue, info, wanted.features, run)?;
    let (options, why) = wanted.options(counts.n_cols(), n_slices);
    monitor.note(&format!(
        "{} genes, values taken as {} {why}; {} or {} says otherwise",
        counts.n_cols(),
        options.values.name(),
        Opt("values").set("log"),
        Opt("values").set("counts")
    ));
    monitor.stage("preprocessing", 0);
    // Nothing in these features is drawn by chance.
    let options = FeatureOptions::Scaled(options);
    let graph = run.selection_graph.take();
    let near = graph.as_ref().map(|graph| graph.view());
    let made = run
        .timed(Stage::Preprocess, || {
            FeatureMap::fit_on(counts.view(), slices, near, &options, Seed(0), monitor)
        })
        .map_err(|source| with_hint(source, tissue, info))?;
    run.selection_graph = graph;
    let n_selected = made.map.n_features();
    check_selected(n_selected, counts.n_cols(), n_slices)?;
    let compared = if wanted.compares_slices { n_slices } else { 1 };
    let before = run
        .timed(Stage::Preprocess, || unaligned(&made.map, counts.view(), compared, seed, monitor))
        .map_err(|source| with_hint(source, tissue, info))?;
    let values = made.values.into_sparse();
    let rows = values.view();
    if rows.n_rows() > 1 && (1..rows.n_rows()).all(|i| rows.row(i) == rows.row(0)) {
        let element = if info.name.is_empty() { "the expression".to_owned() } else { info.name.clone() };
        return Err(no_differences(element, rows.n_rows()));
    }
    Ok(Expression {
        density: density(&values),
        values,
        before,
        selected: made.map.selected.clone(),
        names: tissue.var_names(info).to_vec(),
        map: made.map,
        data_hash: Fingerprint::default().counts(counts.view()).hex(),
    })
}

/// Features as a saved model wants them, columns aligned by name.
pub(super) fn project(
    scene: &Scene<'_>,
    info: &ModalityInfo,
    (map, names): (&FeatureMap, &[String]),
    request: &FeatureRequest,
    run: &mut Run<'_>,
) -> Result<Expression, PipelineError> {
    let (tissue, slices, n_slices) = (scene.tissue, scene.slices(), scene.n_slices);
    let (seed, monitor) = (run.seed, run.monitor);
    let found = columns_of_model(map, names, tissue.var_names(info), &info.name, monitor)?;
    let counts = read_counts(tissue, info, request, run)?;
    monitor.stage("features as in the model", 0);
    let (values, before) = run
        .timed(Stage::Preprocess, || {
            let aligned = align(counts.view(), &found);
            let values = map.encode(aligned.view(), slices)?.0.into_sparse();
            Ok((values, unaligned(map, aligned.view(), n_slices, seed, monitor)?))
        })
        .map_err(|source| with_hint(source, tissue, info))?;
    let mut selected = vec![false; counts.n_cols()];
    for (_, place) in found.iter().enumerate().filter(|(k, _)| map.selected[*k]) {
        if let Some(j) = place {
            selected[*j] = true;
        }
    }
    Ok(Expression {
        density: density(&values),
        values,
        before,
        map: map.clone(),
        selected,
        names: names.to_vec(),
        data_hash: Fingerprint::default().counts(counts.view()).hex(),
    })
}

/// What the features will be, at most: for a forecast.
#[derive(Clone, Copy)]
pub(super) struct Expected {
    /// Columns.
    pub n_features: usize,
    /// Share of them that are not 0.
    pub density: f64,
    /// The counts as read, their chosen columns, and those columns as features.
    pub bytes: u64,
    /// What reading them takes besides, and gives back.
    pub reading: u64,
    /// What of all that is left when the work begins: the features.
    pub kept: u64,
}

impl Expected {
    /// The most that is held with `work` that follows the reading.
    pub(super) fn with(&self, work: u64) -> u64 {
        (self.bytes + self.reading).max(self.kept + work)
    }
}

/// Bytes of a stored entry of a sparse f32 matrix.
const ENTRY_BYTES: u64 = 8;

/// What the features will be.
pub(super) fn expected(
    scene: &Scene<'_>,
    info: &ModalityInfo,
    wanted: &Wanted<'_>,
) -> Result<Expected, PipelineError> {
    let n_vars = scene.tissue.var_names(info).len();
    let (options, _) = wanted.options(n_vars, scene.n_slices);
    let n_features = options.n_top_genes.map_or(n_vars, |n| n.min(n_vars));
    let size = scene.tissue.counts_size(info, wanted.features.layer.as_deref())?;
    let nnz = size.map_or(0, |s| s.nnz as u64);
    // Genes that vary are also seen in more spots: of what is stored, they hold more than their share.
    let share = (2.0 * n_features as f64 / n_vars.max(1) as f64).min(1.0);
    let features = ENTRY_BYTES * (nnz as f64 * share) as u64;
    let always = every_run_bytes(scene.n_obs(), n_vars, 0);
    let (bytes, kept) = (ENTRY_BYTES * nnz + 2 * features + always, features + always);
    let density = nnz as f64 * share / (scene.n_obs() * n_features).max(1) as f64;
    Ok(Expected { n_features, density: density.min(1.0), bytes, reading: block_bytes(nnz as usize), kept })
}

/// The spatial graph: k nearest, either way, slice by slice.
pub(super) fn graph(
    coordinates: ArrayView2<'_, f64>,
    n_neighbors: usize,
    slices: Option<&Slices>,
    run: &mut Run<'_>,
) -> Result<CsrMatrix<f64>, PipelineError> {
    let monitor = run.monitor;
    require_places(coordinates)?;
    monitor.stage("spatial neighbours", 0);
    let built = run.timed(Stage::Graph, || spatial_knn(coordinates, slices, n_neighbors, true))?;
    for note in &built.notes {
        monitor.note(&format!("spatial graph: {note}"));
    }
    Ok(built.connectivities)
}

/// The features in a few numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FeatureSummary {
    /// Genes in the file (in common, of several files).
    pub n_vars: usize,
    /// Genes that are features.
    pub n_features: usize,
    /// `log`, `logged` or `counts`.
    pub values: &'static str,
    /// `none`, `fixed` or `per_slice`.
    pub scale: &'static str,
    /// Share of entries that are not zero.
    pub density: f64,
}

impl FeatureSummary {
    /// One line for a person.
    pub fn line(&self, n_edges: usize) -> String {
        format!(
            "{} of {} genes as {}, {} spatial edges",
            self.n_features,
            self.n_vars,
            self.values,
            n_edges / 2
        )
    }
}

impl Expression {
    /// Them in a few numbers.
    pub(super) fn summary(&self) -> FeatureSummary {
        FeatureSummary {
            n_vars: self.selected.len(),
            n_features: self.map.n_features(),
            values: self.map.values().map_or("log", Values::name),
            scale: self.map.scale().map_or("none", FeatureScale::name),
            density: self.density,
        }
    }

    /// How they were made, for the record.
    pub(super) fn describe(&self, features: &FeatureRequest) -> Json {
        json!({
            "layer": features.layer,
            "values": self.map.values().map(Values::name),
            "n_top_genes": features.n_top_genes,
            "select": features.select,
            "hvg": features.flavor,
            "target_sum": self.map.target_sum(),
            "min_cells": features.min_cells,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_panels_and_their_presets_are_taken_as_counts() {
        let plain = FeatureRequest::default();
        let (unsaid, log) = (ValueOptions::default(), ValueOptions { values: Some(Values::Log) });
        let wanted = |features, values, preset_takes_counts| Wanted {
            features,
            values,
            preset_takes_counts,
            panels_are_counts: true,
            n_top_genes: N_TOP_GENES,
            compares_slices: true,
        };
        let staig = wanted(&plain, &unsaid, false);
        assert_eq!(staig.options(20_000, 1).0.values, Values::Log);
        assert_eq!(staig.options(20_000, 1).0.n_top_genes, Some(3000));
        assert_eq!(staig.options(20_000, 2).0.n_top_genes, Some(5000));
        assert_eq!(staig.options(1020, 1).0.values, Values::Counts);
        assert_eq!(wanted(&plain, &unsaid, true).options(20_000, 1).0.values, Values::Counts);
        assert_eq!(wanted(&plain, &log, true).options(100, 1).0.values, Values::Log);
        let logged = FeatureRequest { normalized: true, n_top_genes: Some(0), ..FeatureRequest::default() };
        assert_eq!(wanted(&logged, &unsaid, true).options(100, 1).0.values, Values::Logged);
        assert_eq!(wanted(&logged, &unsaid, true).options(100, 1).0.n_top_genes, None);
        assert!(wanted(&logged, &log, true).check().is_err());
    }
}
