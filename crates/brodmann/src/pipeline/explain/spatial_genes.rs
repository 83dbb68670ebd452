//! `brodmann svg`: which genes, proteins or peaks vary in space?

use std::path::Path;

use brodmann_data::{Column, DataFrame, OpenOptions, Value};
use brodmann_kernels::{CsrMatrix, CsrView, Monitor, Seed, Slices};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::groups::{self, ContactsRequest, Wanted, additions, contacts};
use super::values::{LogRows, ValuesRequest, spots_with};
use crate::pipeline::PipelineError;
use crate::pipeline::outputs::{Answer, Outputs, Results, Table};
use crate::pipeline::picture::column_of;
use crate::pipeline::record::without_nulls;
use crate::pipeline::request::Place;
use crate::pipeline::run::{Run, Seconds, Stage};
use crate::pipeline::said::Said;
use crate::pipeline::tissue::{ModalityInfo, Tissue};
use crate::plot::{Part, Sheet};
use crate::stats::{
    Autocorrelation, AutocorrelationOptions, NullModel, StatsError, Tail, Variables, benjamini_hochberg,
    gearys_c, morans_i,
};

/// The command, and what its options belong to.
pub const SVG: &str = "svg";

/// Which statistic says that neighbours are alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpatialStatistic {
    /// Moran's I: 1 where neighbours are alike, about 0 by chance.
    #[default]
    Moran,
    /// Geary's C: 0 where neighbours are alike, about 1 by chance.
    Geary,
}

impl SpatialStatistic {
    /// squidpy's keys: that of `uns`, and that of the column.
    fn keys(self) -> (&'static str, &'static str) {
        match self {
            Self::Moran => ("moranI", "I"),
            Self::Geary => ("gearyC", "C"),
        }
    }
}

/// How to look for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpatialGeneOptions {
    /// Which statistic.
    pub statistic: SpatialStatistic,
    /// Genes seen in fewer spots are left out.
    pub min_cells: usize,
    /// Genes that are told and drawn.
    pub n_top: usize,
}

impl Default for SpatialGeneOptions {
    fn default() -> Self {
        Self { statistic: SpatialStatistic::Moran, min_cells: 3, n_top: 10 }
    }
}

/// Spatially variable genes of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SvgRequest {
    /// Which values.
    pub values: ValuesRequest,
    /// How.
    pub options: SpatialGeneOptions,
    /// Which spots are neighbours.
    pub contacts: ContactsRequest,
    /// Coordinates and slices.
    pub place: Place,
}

impl SvgRequest {
    /// The request that options by name stand for.
    ///
    /// # Errors
    /// [`PipelineError::Option`], [`PipelineError::UnknownOption`].
    pub fn from_said(said: &Said) -> Result<Self, PipelineError> {
        let base = Self::default();
        let mut sections = said.sections();
        let request = Self {
            values: sections.take(&base.values)?,
            options: sections.take(&base.options)?,
            contacts: sections.take(&base.contacts)?,
            place: sections.take(&base.place)?,
        };
        sections.finish(SVG)?;
        Ok(request)
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SvgReport {
    /// `moranI` or `gearyC`.
    pub statistic: &'static str,
    /// Observations.
    pub n_obs: usize,
    /// Slices.
    pub n_slices: usize,
    /// Spatial edges, each counted once.
    pub n_edges: usize,
    /// The modalities looked at.
    pub modalities: Vec<ModalitySvg>,
    /// Wall-clock seconds of each stage.
    pub seconds: Seconds,
}

/// One modality.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModalitySvg {
    /// Its name.
    pub name: String,
    /// What the values were.
    pub values: String,
    /// Features.
    pub n_vars: usize,
    /// Features that were tested.
    pub n_tested: usize,
    /// Features whose adjusted p-value is below .05.
    pub n_significant: usize,
    /// The first of them.
    pub top: Vec<SpatialGene>,
}

/// One feature.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpatialGene {
    /// As the index has it.
    pub feature: String,
    /// As people call it.
    pub name: String,
    /// The statistic.
    pub statistic: f64,
    /// Adjusted p-value.
    pub p_adjusted: f64,
}

/// Adjusted p-values below this are counted.
const SIGNIFICANT: f64 = 0.05;

impl SvgReport {
    /// The report as lines for a person.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for modality in &self.modalities {
            lines.push(format!(
                "{}: {} of {} tested features vary in space (adjusted p below {SIGNIFICANT})",
                modality.name, modality.n_significant, modality.n_tested
            ));
            let top: Vec<String> =
                modality.top.iter().map(|gene| format!("{} ({:.3})", gene.name, gene.statistic)).collect();
            if !top.is_empty() {
                lines.push(format!("  {}: {}", self.statistic, top.join(", ")));
            }
        }
        lines
    }
}

/// The statistic of each tested feature, over all slices and in each.
struct Found<'a> {
    modality: &'a ModalityInfo,
    names: Option<Vec<String>>,
    what: String,
    values: CsrMatrix<f32>,
    /// Features tested, most spatial first.
    order: Vec<usize>,
    statistic: Vec<f64>,
    variance: Vec<f64>,
    z: Vec<f64>,
    p_value: Vec<f64>,
    p_adjusted: Vec<f64>,
    /// By slice; empty of a single one.
    by_slice: BySlice,
}

impl Found<'_> {
    fn name<'b>(&'b self, tissue: &'b Tissue, j: usize) -> &'b str {
        self.names.as_deref().unwrap_or_else(|| tissue.var_names(self.modality))[j].as_str()
    }
}

/// Statistics by the name of their slice.
pub(super) type BySlice = Vec<(String, Vec<f64>)>;

/// Values and edges of some spots.
fn part(values: CsrView<'_, f32>, graph: CsrView<'_, f64>, rows: &[u32]) -> (CsrMatrix<f32>, CsrMatrix<f64>) {
    let own: Vec<usize> = rows.iter().map(|&i| i as usize).collect();
    let mut place = vec![u32::MAX; graph.n_rows()];
    for (k, &i) in own.iter().enumerate() {
        place[i] = k as u32;
    }
    let mut edges = CsrMatrix::with_capacity(own.len(), own.len(), 0);
    for &i in &own {
        let (columns, weights) = graph.row(i);
        let kept = columns.iter().zip(weights).map(|(&j, &w)| (place[j as usize], w));
        let mut kept: Vec<(u32, f64)> = kept.filter(|(j, _)| *j != u32::MAX).collect();
        kept.sort_unstable_by_key(|(j, _)| *j);
        edges.push_row(kept);
    }
    (values.select_rows(&own), edges)
}

/// The statistic of each feature, slice by slice where there are several.
pub(super) fn measure(
    values: CsrView<'_, f32>,
    graph: CsrView<'_, f64>,
    slices: Option<&Slices>,
    statistic: SpatialStatistic,
    monitor: &dyn Monitor,
) -> Result<(Autocorrelation, BySlice), PipelineError> {
    let options = AutocorrelationOptions {
        null_model: NullModel::Normality,
        tail: Tail::Nearer,
        ..AutocorrelationOptions::default()
    };
    let test = |values: CsrView<'_, f32>, graph: CsrView<'_, f64>| {
        // Nothing is drawn by chance: no rearrangement is asked for.
        match statistic {
            SpatialStatistic::Moran => morans_i(Variables::Sparse(values), graph, &options, Seed(0), monitor),
            SpatialStatistic::Geary => gearys_c(Variables::Sparse(values), graph, &options, Seed(0), monitor),
        }
    };
    let Some(slices) = slices.filter(|slices| slices.count() > 1) else {
        return Ok((test(values, graph)?, Vec::new()));
    };
    let mut parts = Vec::new();
    let mut by_slice = Vec::new();
    for (slice, rows) in slices.rows().iter().enumerate() {
        let (own, edges) = part(values, graph, rows);
        if edges.nnz() == 0 {
            monitor
                .note(&format!("slice {}: no spot has a neighbour, so it is left out", slices.label(slice)));
            continue;
        }
        let found = test(own.view(), edges.view())?;
        by_slice.push((slices.label(slice), found.statistic.clone()));
        parts.push((rows.len(), found));
    }
    if parts.is_empty() {
        return Err(StatsError::EmptyGraph { n_obs: values.n_rows() }.into());
    }
    Ok((Autocorrelation::pooled(&parts), by_slice))
}

fn explain<'a>(
    tissue: &'a Tissue,
    request: &SvgRequest,
    run: &mut Run<'_>,
) -> Result<(Vec<Found<'a>>, Option<Slices>, usize), PipelineError> {
    request.values.validate()?;
    let monitor = run.monitor;
    let slices = groups::slices(tissue, &request.place, None, run.monitor)?;
    let graph = contacts(tissue, &request.contacts, &request.place, slices.as_ref(), run)?;
    let mut all = Vec::new();
    for modality in tissue.modalities_of(request.values.modality)? {
        let rows = LogRows::open(tissue, modality, &request.values, run)?;
        let what = rows.what.clone();
        let values = run.timed(Stage::Read, || rows.into_matrix())?;
        monitor.stage(&format!("{}: variation in space", modality.name), 0);
        let (found, by_slice) = run.timed(Stage::Cluster, || {
            measure(values.view(), graph.view(), slices.as_ref(), request.options.statistic, monitor)
        })?;
        let seen = spots_with(values.view());
        let tested = |j: &usize| seen[*j] >= request.options.min_cells && found.statistic[*j].is_finite();
        let mut order: Vec<usize> = (0..values.n_cols()).filter(tested).collect();
        // The largest I, and the smallest C.
        let sign = if request.options.statistic == SpatialStatistic::Moran { 1.0 } else { -1.0 };
        order.sort_by(|&a, &b| (sign * found.statistic[b]).total_cmp(&(sign * found.statistic[a])));
        let p_tested: Vec<f64> = order.iter().map(|&j| found.p_value[j]).collect();
        let mut p_adjusted = vec![f64::NAN; values.n_cols()];
        for (&j, p) in order.iter().zip(benjamini_hochberg(&p_tested)) {
            p_adjusted[j] = p;
        }
        all.push(Found {
            names: groups::gene_names(tissue, modality),
            modality,
            what,
            values,
            order,
            statistic: found.statistic,
            variance: found.variance,
            z: found.z_score,
            p_value: found.p_value,
            p_adjusted,
            by_slice,
        });
    }
    let n_edges = graph.nnz() / 2;
    Ok((all, slices, n_edges))
}

/// `uns["moranI"]` as squidpy keeps it, and the statistic as a column of `var`.
fn add(tissue: &Tissue, found: &[Found<'_>], request: &SvgRequest, run: &mut Run<'_>) {
    let (key, column) = request.options.statistic.keys();
    for of in found {
        let ids = tissue.var_names(of.modality);
        let ordered = |values: &[f64]| Column::Float64(of.order.iter().map(|&j| values[j]).collect());
        let mut columns = IndexMap::new();
        columns.insert(column.to_owned(), ordered(&of.statistic));
        columns.insert("pval_norm".to_owned(), ordered(&of.p_value));
        columns.insert("var_norm".to_owned(), ordered(&of.variance));
        columns.insert("pval_norm_fdr_bh".to_owned(), ordered(&of.p_adjusted));
        let index = of.order.iter().map(|&j| ids[j].clone()).collect();
        let target = run.target(of.modality.key.as_deref());
        let frame = DataFrame { index, columns, ..DataFrame::default() };
        target.uns.insert(key.to_owned(), Value::Frame(frame));
        let mut by_gene = vec![f64::NAN; ids.len()];
        for &j in &of.order {
            by_gene[j] = of.statistic[j];
        }
        target.var.insert(key.to_owned(), Column::Float64(by_gene));
        let params = json!({
            "values": of.what,
            "layer": request.values.layer,
            "min_cells": request.options.min_cells,
            "version": env!("CARGO_PKG_VERSION"),
        });
        target.uns.insert(format!("{key}_params"), without_nulls(params).into());
    }
}

/// One row per tested feature, most spatial first.
fn table(tissue: &Tissue, found: &[Found<'_>], statistic: SpatialStatistic) -> Table {
    let texts = |of: &dyn Fn(&Found<'_>, usize) -> Option<String>| {
        Column::String(found.iter().flat_map(|f| f.order.iter().map(|&j| of(f, j))).collect())
    };
    let numbers = |of: &dyn Fn(&Found<'_>, usize) -> f64| {
        Column::Float64(found.iter().flat_map(|f| f.order.iter().map(|&j| of(f, j))).collect())
    };
    let mut columns = Vec::new();
    let mut put = |name: &str, column: Column| columns.push((name.to_owned(), column));
    if found.len() > 1 {
        put("modality", texts(&|f, _| Some(f.modality.name.clone())));
    }
    put("feature", texts(&|f, j| Some(tissue.var_names(f.modality)[j].clone())));
    if found.iter().any(|f| f.names.is_some()) {
        put("name", texts(&|f, j| f.names.as_ref().map(|names| names[j].clone())));
    }
    put(statistic.keys().1, numbers(&|f, j| f.statistic[j]));
    put("z", numbers(&|f, j| f.z[j]));
    put("p_value", numbers(&|f, j| f.p_value[j]));
    put("p_adjusted", numbers(&|f, j| f.p_adjusted[j]));
    // Slices are the same for all modalities.
    let slices: Vec<String> =
        found.first().map(|f| f.by_slice.iter().map(|(name, _)| name.clone()).collect()).unwrap_or_default();
    for (k, slice) in slices.iter().enumerate() {
        let name = format!("{}:{slice}", statistic.keys().1);
        put(&name, numbers(&|f, j| f.by_slice.get(k).map_or(f64::NAN, |(_, values)| values[j])));
    }
    columns
}

fn report(
    tissue: &Tissue,
    found: &[Found<'_>],
    (slices, n_edges): (Option<&Slices>, usize),
    request: &SvgRequest,
) -> SvgReport {
    let gene = |of: &Found<'_>, j: usize| SpatialGene {
        feature: tissue.var_names(of.modality)[j].clone(),
        name: of.name(tissue, j).to_owned(),
        statistic: of.statistic[j],
        p_adjusted: of.p_adjusted[j],
    };
    let modality = |of: &Found<'_>| ModalitySvg {
        name: of.modality.name.clone(),
        values: of.what.clone(),
        n_vars: tissue.var_names(of.modality).len(),
        n_tested: of.order.len(),
        n_significant: of.order.iter().filter(|&&j| of.p_adjusted[j] < SIGNIFICANT).count(),
        top: of.order.iter().take(request.options.n_top).map(|&j| gene(of, j)).collect(),
    };
    SvgReport {
        statistic: request.options.statistic.keys().0,
        n_obs: tissue.n_obs(),
        n_slices: slices.map_or(1, Slices::count),
        n_edges,
        modalities: found.iter().map(modality).collect(),
        seconds: Seconds::default(),
    }
}

/// Finds the spatially variable features of a file.
///
/// # Errors
/// [`PipelineError`]; nothing is written then.
pub fn svg_file(
    input: (&Path, &OpenOptions),
    outputs: &Outputs,
    request: &SvgRequest,
    monitor: &dyn Monitor,
) -> Result<SvgReport, PipelineError> {
    let mut run = Run::new(Seed(0), monitor);
    let wanted = Wanted {
        place: &request.place,
        groups: None,
        columns: &[],
        values: Some(&request.values),
        graph: true,
        obsm: &[],
    };
    let tissue = groups::open(input, outputs, &wanted, &mut run)?;
    let (found, slices, n_edges) = explain(&tissue, request, &mut run)?;
    let mut report = report(&tissue, &found, (slices.as_ref(), n_edges), request);
    add(&tissue, &found, request, &mut run);
    let additions = additions(&tissue, &mut run);
    let sheet = match outputs.plot {
        Some(_) => {
            let coordinates = tissue.coordinates(&request.place.spatial_key)?;
            let maps = found.iter().map(|of| {
                let top = of.order.iter().take(request.options.n_top);
                let features = top.map(|&j| {
                    let title = format!("{} · {:.2}", of.name(&tissue, j), of.statistic[j]);
                    (title, column_of(&of.values, j))
                });
                let figure = groups::maps(&tissue, &coordinates, slices.as_ref(), None, features.collect());
                Part::Maps(Box::new(figure))
            });
            Some(Sheet { parts: maps.collect(), ..Sheet::default() })
        }
        None => None,
    };
    let table = match outputs.table {
        Some(_) => table(&tissue, &found, request.options.statistic),
        None => Vec::new(),
    };
    drop(found);
    outputs.write(tissue, &Results { additions, table, sheet }, &mut run)?;
    report.seconds = run.seconds;
    Ok(report)
}

/// The same of a tissue in memory.
///
/// # Errors
/// [`PipelineError`].
pub fn svg_tissue(
    tissue: &Tissue,
    request: &SvgRequest,
    monitor: &dyn Monitor,
) -> Result<Answer<SvgReport>, PipelineError> {
    let mut run = Run::new(Seed(0), monitor);
    let (found, slices, n_edges) = explain(tissue, request, &mut run)?;
    let mut report = report(tissue, &found, (slices.as_ref(), n_edges), request);
    add(tissue, &found, request, &mut run);
    let additions = additions(tissue, &mut run);
    let table = table(tissue, &found, request.options.statistic);
    report.seconds = run.seconds;
    Ok(Answer { additions, tables: vec![("features", table)], report })
}
