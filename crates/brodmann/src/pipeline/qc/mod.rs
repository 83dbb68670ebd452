//! `brodmann qc`: how good is each spot, by itself and beside its neighbours?
//!
//! Nothing is removed here: columns are written, numbers told, a picture drawn.
//!
//! * `report`: what was found, for a person and as JSON.
//! * `table`: the same columns as a table.
//! * `picture`: maps with the local outliers ringed, and histograms with the thresholds.

mod picture;
mod report;
mod table;

use std::path::Path;

use brodmann_data::{Column, OpenOptions, ReadOptions, Select, Value, keys};
use brodmann_kernels::{Monitor, Opt, OptionError, Seed, Slices};
use ndarray::{Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::PipelineError;
use super::count_rows::CountRowsError;
use super::outputs::{Outputs, Results};
use super::record::without_nulls;
use super::request::Place;
use super::run::{Run, Stage};
use super::said::Said;
use super::tissue::{ModalityInfo, Opening, Tissue};
use crate::preprocess::{
    GeneMetrics, Modality, PreprocessError, SpotMetrics, mitochondrial, spot_and_gene_metrics,
};
use crate::stats::{LocalMetric, LocalOutlierOptions, LocalOutliers, Side, StatsError, local_outliers};

pub use report::{LocalReport, ModalityReport, QcReport, Summary};

/// `uns` key of the record, and the name of the command.
pub const QC: &str = "qc";
/// `obs` (and `var`): counts, as scanpy calls them.
pub const TOTAL_COUNTS: &str = "total_counts";
/// `obs`: genes with any count, as scanpy calls them.
pub const N_GENES_BY_COUNTS: &str = "n_genes_by_counts";
/// `obs`: percent of the counts that are mitochondrial, as scanpy calls them.
pub const PCT_COUNTS_MT: &str = "pct_counts_mt";
/// `var`: spots with any count of the gene, as scanpy calls them.
pub const N_CELLS_BY_COUNTS: &str = "n_cells_by_counts";
/// `obs`: whether a spot differs from those around it by any of the metrics.
pub const LOCAL_OUTLIER: &str = "local_outlier";
/// `obs`: before the name of a metric, its z-score among the spots around.
pub const LOCAL_Z: &str = "local_z_";
/// The metrics of a spot, in the order they are judged.
pub const METRICS: [&str; 3] = [TOTAL_COUNTS, N_GENES_BY_COUNTS, PCT_COUNTS_MT];

/// Columns of `var` in which names of genes stand where identifiers are the index.
pub const GENE_NAMES: [&str; 7] =
    ["gene_name", "gene_names", "gene_symbol", "gene_symbols", "feature_name", "symbol", "gene_short_name"];

/// Which counts are looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CountsRequest {
    /// Of several modalities those of this kind alone; of an AnnData what it measures, where names do not tell.
    pub modality: Option<Modality>,
    /// Layer that holds the counts instead of `X`.
    pub layer: Option<String>,
}

/// What to count spots by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QcOptions {
    /// Counts a good spot has at least.
    pub min_counts: Option<f64>,
    /// Genes a good spot has at least.
    pub min_genes: Option<usize>,
    /// Percent of mitochondrial counts a good spot has at most.
    pub max_mt: Option<f64>,
    /// What names of mitochondrial genes begin with; `MT-`, `mt-` or `Mt-` where nothing is said.
    pub mt_prefix: Option<String>,
    /// Write metrics of genes too.
    pub genes: bool,
}

impl QcOptions {
    /// Refuses thresholds that nothing or everything passes.
    ///
    /// # Errors
    /// [`OptionError`].
    pub fn validate(&self) -> Result<(), OptionError> {
        if let Some(least) = self.min_counts
            && !(least.is_finite() && least >= 0.0)
        {
            return Err(OptionError::new("min_counts", least, "a number of 0 or more"));
        }
        if let Some(most) = self.max_mt
            && !(0.0..=100.0).contains(&most)
        {
            return Err(OptionError::new("max_mt", most, "a percentage from 0 to 100"));
        }
        if self.mt_prefix.as_deref() == Some("") {
            return Err(OptionError::new(
                "mt_prefix",
                "empty",
                "what names of mitochondrial genes begin with",
            ));
        }
        Ok(())
    }

    fn kept(&self, spots: &SpotMetrics) -> Vec<bool> {
        spots.kept(self.min_counts, self.min_genes, self.max_mt)
    }
}

/// A look at the quality of spots.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QcRequest {
    /// Which counts.
    pub counts: CountsRequest,
    /// Thresholds and names.
    pub options: QcOptions,
    /// How a spot is compared with its neighbours.
    pub local: LocalOutlierOptions,
    /// Coordinates and slices.
    pub place: Place,
}

impl QcRequest {
    /// The request that options by name stand for.
    ///
    /// # Errors
    /// [`PipelineError::Option`], [`PipelineError::UnknownOption`].
    pub fn from_said(said: &Said) -> Result<Self, PipelineError> {
        let base = Self::default();
        let mut sections = said.sections();
        let request = Self {
            counts: sections.take(&base.counts)?,
            options: sections.take(&base.options)?,
            local: sections.take(&base.local)?,
            place: sections.take(&base.place)?,
        };
        sections.finish(QC)?;
        Ok(request)
    }
}

/// What was found of one modality, spot by spot in the order of the whole.
pub(super) struct Found<'a> {
    pub modality: &'a ModalityInfo,
    pub n_vars: usize,
    /// Mitochondrial genes, and where their names stand.
    pub mt: (usize, Option<String>),
    pub spots: SpotMetrics,
    pub genes: GeneMetrics,
    /// `None` without coordinates.
    pub local: Option<LocalOutliers>,
    /// Whether the thresholds are meant for this modality.
    pub thresholds: bool,
}

/// What is known of the spots whatever is measured.
pub(super) struct Spots {
    pub slices: Option<Slices>,
    /// Whether tissue lies there; `None` where the file does not say.
    pub in_tissue: Option<Vec<bool>>,
}

impl Spots {
    pub fn counts(&self, i: usize) -> bool {
        self.in_tissue.as_ref().is_none_or(|there| there[i])
    }
}

/// The local outliers of spots, by [`METRICS`] in their order: few counts, few genes, many mitochondrial ones.
///
/// Counts and genes are compared as `ln(1 + x)`. Spots off the tissue (`in_tissue` false) are neither judged nor
/// neighbours.
///
/// # Errors
/// As [`local_outliers()`].
pub fn local_outliers_of(
    spots: &SpotMetrics,
    coordinates: ArrayView2<'_, f64>,
    slices: Option<&Slices>,
    in_tissue: Option<&[bool]>,
    options: &LocalOutlierOptions,
) -> Result<LocalOutliers, StatsError> {
    let counts = |values, side, log1p| LocalMetric { values, log1p, side };
    let n_genes: Vec<f64> = spots.n_genes.iter().map(|&n| f64::from(n)).collect();
    let mut metrics = vec![counts(&spots.total[..], Side::Low, true), counts(&n_genes[..], Side::Low, true)];
    metrics.extend(spots.pct_mt.as_deref().map(|pct| counts(pct, Side::High, false)));
    let Some(there) = in_tissue.filter(|there| there.iter().any(|t| !t)) else {
        return local_outliers(&metrics, coordinates, slices, options);
    };
    let rows: Vec<usize> = (0..there.len()).filter(|&i| there[i]).collect();
    let own: Vec<Vec<f64>> = metrics.iter().map(|m| rows.iter().map(|&i| m.values[i]).collect()).collect();
    let own: Vec<LocalMetric<'_>> =
        metrics.iter().zip(&own).map(|(m, values)| LocalMetric { values, ..*m }).collect();
    let codes: Option<Vec<u32>> = slices.map(|s| rows.iter().map(|&i| s.code(i)).collect());
    let slices = codes.map(|codes| Slices::from_codes(&codes, &[]));
    let found = local_outliers(&own, coordinates.select(Axis(0), &rows).view(), slices.as_ref(), options)?;
    let n_obs = there.len();
    Ok(LocalOutliers {
        z_scores: found.z_scores.iter().map(|z| scattered(z, &rows, n_obs, f64::NAN)).collect(),
        outliers: found.outliers.iter().map(|o| scattered(o, &rows, n_obs, false)).collect(),
        notes: found.notes,
    })
}

/// The values of some rows among all, `otherwise` in between.
fn scattered<T: Copy>(values: &[T], rows: &[usize], n_obs: usize, otherwise: T) -> Vec<T> {
    let mut all = vec![otherwise; n_obs];
    for (&i, &value) in rows.iter().zip(values) {
        all[i] = value;
    }
    all
}

/// Looks at the quality of the spots of a file.
///
/// # Errors
/// [`PipelineError`]; nothing is written then.
pub fn qc_file(
    (input, source): (&Path, &OpenOptions),
    outputs: &Outputs,
    request: &QcRequest,
    monitor: &dyn Monitor,
) -> Result<QcReport, PipelineError> {
    request.options.validate()?;
    request.local.validate()?;
    outputs.check(input)?;
    let mut run = Run::new(Seed(0), monitor);
    let mut options = read_options(request, outputs.plot.is_some());
    options.to_write = outputs.destination.is_some();
    let tissue = run.timed(Stage::Read, || {
        let place = Place { keep_off_tissue: true, ..request.place.clone() };
        let opening =
            Opening { place: Some(&place), ..Opening::of(source, &options, request.counts.modality) };
        Tissue::open(input, &opening, monitor)
    })?;
    if let Some(destination) = &outputs.destination {
        tissue.check_destination(destination)?;
    }
    let spots = Spots {
        slices: tissue.slices(request.place.library_key.as_deref().or(tissue.library_key.as_deref()))?,
        in_tissue: tissue.obs_column(keys::IN_TISSUE).and_then(|c| truth_values(&c)),
    };
    let coordinates = coordinates(&tissue, request, outputs.plot.is_some(), monitor)?;
    let mut found = Vec::new();
    let modalities = tissue.modalities_of(request.counts.modality)?;
    for &modality in &modalities {
        let thresholds = modalities.len() == 1 || modality.kind == Modality::Rna;
        let of_modality = measure(&tissue, modality, request, &mut run)?;
        let local = match &coordinates {
            Some(coordinates) => {
                Some(judge(&of_modality.1, coordinates, &spots, modality, request, &mut run)?)
            }
            None => None,
        };
        let (mt, metrics, genes) = of_modality;
        let n_vars = tissue.var_names(modality).len();
        found.push(Found { modality, n_vars, mt, spots: metrics, genes, local, thresholds });
    }
    let mut report = QcReport::new(&tissue, &spots, &found, request);
    let additions = {
        for of_modality in &found {
            add(of_modality, request, &mut run);
        }
        run.target(None).uns.insert(QC.to_owned(), record(&report, request));
        let mut additions = std::mem::take(&mut run.additions);
        tissue.place(&mut additions);
        additions
    };
    let draws = outputs.plot.is_some();
    let sheet = coordinates
        .as_ref()
        .filter(|_| draws)
        .map(|coordinates| picture::sheet(&tissue, coordinates, &spots, &found, request));
    let table = match outputs.table {
        Some(_) => table::columns_of(&tissue, &spots, &found, request),
        None => Vec::new(),
    };
    outputs.write(tissue, &Results { additions, table, sheet }, &mut run)?;
    report.seconds = run.seconds;
    Ok(report)
}

fn read_options(request: &QcRequest, draws: bool) -> ReadOptions {
    let mut options = ReadOptions::names_only();
    let obs = request.place.library_key.iter().cloned().chain([keys::IN_TISSUE.to_owned()]);
    options.obs = Select::Only(obs.collect());
    options.var = Select::only(GENE_NAMES.into_iter().chain([keys::FEATURE_TYPES]));
    options.obsm = Select::only([&request.place.spatial_key]);
    if draws {
        // Spots off a lattice have a diameter there.
        options.uns = Select::only([keys::SPATIAL]);
    }
    options
}

/// Truth values of numbers, truth values or texts; missing ones are true.
fn truth_values(column: &Column) -> Option<Vec<bool>> {
    if let Some(numbers) = column.to_f64() {
        return Some(numbers.iter().map(|v| *v != 0.0).collect());
    }
    let texts = column.to_strings();
    texts
        .iter()
        .map(|text| match text.as_deref() {
            None | Some("1" | "True" | "true" | "TRUE") => Some(true),
            Some("0" | "False" | "false" | "FALSE") => Some(false),
            Some(_) => None,
        })
        .collect()
}

/// The coordinates; `None` where nobody named them and they are not there.
fn coordinates(
    tissue: &Tissue,
    request: &QcRequest,
    draws: bool,
    monitor: &dyn Monitor,
) -> Result<Option<Array2<f64>>, PipelineError> {
    let key = &request.place.spatial_key;
    if draws || key != keys::SPATIAL || tissue.has_embedding(key) {
        return Ok(Some(tissue.coordinates(key)?));
    }
    monitor.note("no coordinates: local outliers are left out");
    Ok(None)
}

type Measured = ((usize, Option<String>), SpotMetrics, GeneMetrics);

/// The metrics of one modality.
fn measure(
    tissue: &Tissue,
    modality: &ModalityInfo,
    request: &QcRequest,
    run: &mut Run<'_>,
) -> Result<Measured, PipelineError> {
    let monitor = run.monitor;
    let (mito, place) = mitochondrial_genes(tissue, modality, request.options.mt_prefix.as_deref());
    let n_mt = mito.iter().filter(|m| **m).count();
    if n_mt == 0 && modality.kind == Modality::Rna {
        let begin = request.options.mt_prefix.as_deref().unwrap_or("MT- or mt-");
        monitor.note(&format!(
            "{}: no gene name begins with {begin}, so {PCT_COUNTS_MT} is left out",
            modality.name
        ));
    }
    let layer = request.counts.layer.as_deref();
    monitor.stage(&format!("{}: reading counts", modality.name), 0);
    let refused =
        |source: PreprocessError| PipelineError::Preprocess { modality: modality.name.clone(), source };
    let rows = run.timed(Stage::Read, || tissue.count_rows(modality, layer))?;
    let (spots, genes) = if let Some(rows) = rows {
        let found = run.timed(Stage::Preprocess, || spot_and_gene_metrics(&rows, &mito, monitor)).map_err(
            |error| match error {
                CountRowsError::Data(error) => error.into(),
                CountRowsError::Preprocess(source) => refused(source),
            },
        )?;
        let waited = rows.seconds_waited();
        run.seconds.read += waited;
        run.seconds.preprocess -= waited.min(run.seconds.preprocess);
        found
    } else {
        let counts = run.timed(Stage::Read, || tissue.counts(modality, layer))?;
        run.timed(Stage::Preprocess, || spot_and_gene_metrics(&counts.view(), &mito, monitor))
            .map_err(refused)?
    };
    if !spots.whole {
        monitor.warn(&format!(
            "{}: the values are no whole numbers, so sums of them are no counts ({} names the layer of the counts)",
            modality.name,
            Opt("layer")
        ));
    }
    Ok(((n_mt, place), spots, genes))
}

/// Which genes are mitochondrial, by the first of the index and the columns of names in which any is, and which that is.
fn mitochondrial_genes(
    tissue: &Tissue,
    modality: &ModalityInfo,
    prefix: Option<&str>,
) -> (Vec<bool>, Option<String>) {
    let names = tissue.var_names(modality);
    if modality.kind != Modality::Rna {
        return (vec![false; names.len()], None);
    }
    let mito = mitochondrial(names, prefix);
    if mito.contains(&true) {
        return (mito, Some("var_names".to_owned()));
    }
    for key in GENE_NAMES {
        let Some(column) = tissue.var_column(modality, key) else { continue };
        let names: Vec<String> = column.to_strings().into_iter().map(Option::unwrap_or_default).collect();
        let named = mitochondrial(&names, prefix);
        if named.contains(&true) {
            return (named, Some(format!("var[{key:?}]")));
        }
    }
    (mito, None)
}

/// The local outliers of one modality, and notes on where they could not be looked for.
fn judge(
    metrics: &SpotMetrics,
    coordinates: &Array2<f64>,
    spots: &Spots,
    modality: &ModalityInfo,
    request: &QcRequest,
    run: &mut Run<'_>,
) -> Result<LocalOutliers, PipelineError> {
    let monitor = run.monitor;
    monitor.stage(&format!("{}: comparing neighbours", modality.name), 0);
    let slices = spots.slices.as_ref();
    let there = spots.in_tissue.as_deref();
    let found = run.timed(Stage::Graph, || {
        local_outliers_of(metrics, coordinates.view(), slices, there, &request.local)
    })?;
    for note in &found.notes {
        let place = note.slice.zip(slices).and_then(|(code, slices)| {
            slices
                .codes()
                .iter()
                .position(|c| *c == code)
                .map(|slice| format!("slice {}: ", slices.label(slice)))
        });
        monitor.note(&format!("{}{}", place.unwrap_or_default(), note.text));
    }
    Ok(found)
}

/// Adds the columns of one modality.
fn add(found: &Found<'_>, request: &QcRequest, run: &mut Run<'_>) {
    let target = run.target(found.modality.key.as_deref());
    for (key, column) in columns(found) {
        target.obs.insert(key, column);
    }
    if request.options.genes {
        let n_cells = found.genes.n_cells.iter().map(|&n| i64::from(n)).collect();
        target.var.insert(N_CELLS_BY_COUNTS.to_owned(), Column::Int(n_cells));
        target.var.insert(TOTAL_COUNTS.to_owned(), Column::Float64(found.genes.total.clone()));
    }
}

/// The columns of one modality, rows in the order of the whole.
fn columns(found: &Found<'_>) -> Vec<(String, Column)> {
    let mut columns = vec![
        (TOTAL_COUNTS.to_owned(), Column::Float64(found.spots.total.clone())),
        (
            N_GENES_BY_COUNTS.to_owned(),
            Column::Int(found.spots.n_genes.iter().map(|&n| i64::from(n)).collect()),
        ),
    ];
    if let Some(pct) = &found.spots.pct_mt {
        columns.push((PCT_COUNTS_MT.to_owned(), Column::Float64(pct.clone())));
    }
    if let Some(local) = &found.local {
        for (metric, z) in METRICS.iter().zip(&local.z_scores) {
            columns.push((format!("{LOCAL_Z}{metric}"), Column::Float64(z.clone())));
        }
        columns.push((LOCAL_OUTLIER.to_owned(), Column::Bool(local.any())));
    }
    columns
}

/// What stands in `uns`.
fn record(report: &QcReport, request: &QcRequest) -> Value {
    let params = json!({
        "layer": request.counts.layer,
        "min_counts": request.options.min_counts,
        "min_genes": request.options.min_genes,
        "max_mt": request.options.max_mt,
        "mt_prefix": request.options.mt_prefix,
        "n_neighbors": request.local.n_neighbors,
        "threshold": request.local.threshold,
        "spatial_key": request.place.spatial_key,
        "library_key": request.place.library_key,
    });
    let modalities: serde_json::Map<String, serde_json::Value> =
        report.modalities.iter().map(|m| (m.name.clone(), json!(m))).collect();
    without_nulls(json!({
        "method": QC,
        "version": env!("CARGO_PKG_VERSION"),
        "params": params,
        "n_off_tissue": report.n_off_tissue,
        "modalities": modalities,
    }))
    .into()
}

#[cfg(test)]
mod tests;
