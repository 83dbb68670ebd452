//! `brodmann gene-modules`: which genes rise and fall together, and where in the tissue?

use std::path::Path;

use brodmann_data::{Column, DataError, DataFrame, OpenOptions, Value, keys};
use brodmann_kernels::{CsrMatrix, Monitor, Opt, Seed, Slices};
use indexmap::IndexMap;
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::groups::{self, ContactsRequest, Wanted, additions, contacts};
use super::spatial_genes::{SpatialStatistic, measure};
use super::values::{LogRows, ValuesRequest, spots_with};
use crate::pipeline::PipelineError;
use crate::pipeline::forecast::{Forecast, Need, announce, every_run_bytes};
use crate::pipeline::outputs::{Answer, Outputs, Results, Table};
use crate::pipeline::record::without_nulls;
use crate::pipeline::request::Place;
use crate::pipeline::run::{Run, Seconds, Stage};
use crate::pipeline::said::Said;
use crate::pipeline::tissue::{ModalityInfo, Tissue};
use crate::plot::{Part, Sheet};
use crate::preprocess::{Coexpression, CoexpressionOptions, Modality, coexpression_modules};
use crate::stats::{StatsError, benjamini_hochberg};

/// The command, and what its options belong to.
pub const GENE_MODULES: &str = "gene-modules";
/// The key of what is written.
const KEY: &str = "gene_modules";
/// A stored value, and a pair of genes of a block: correlation, adjacency, overlap and the tree's copy.
const ENTRY_BYTES: u64 = 8;
const PAIR_BYTES: u64 = 32;
/// Adjusted p of Moran's I from which on a module does not count as one of the tissue.
const BY_CHANCE: f64 = 0.05;
/// Modules whose eigengenes are drawn at most, the largest first.
const MAPS: usize = 24;

/// Which genes take part, and how many are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModuleGeneOptions {
    /// Genes seen in fewer spots are left out.
    pub min_cells: usize,
    /// Hub genes of each module that are told.
    pub n_top: usize,
}

impl Default for ModuleGeneOptions {
    fn default() -> Self {
        Self { min_cells: 10, n_top: 10 }
    }
}

/// Co-expression modules of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GeneModulesRequest {
    /// Which values; of several modalities the RNA where nothing is said.
    pub values: ValuesRequest,
    /// Which genes.
    pub genes: ModuleGeneOptions,
    /// How modules are found.
    pub coexpression: CoexpressionOptions,
    /// Which spots are neighbours, for Moran's I of the eigengenes.
    pub contacts: ContactsRequest,
    /// Coordinates and slices.
    pub place: Place,
}

impl GeneModulesRequest {
    /// The request that options by name stand for.
    ///
    /// # Errors
    /// [`PipelineError::Option`], [`PipelineError::UnknownOption`].
    pub fn from_said(said: &Said) -> Result<Self, PipelineError> {
        let base = Self::default();
        let mut sections = said.sections();
        let request = Self {
            values: sections.take(&base.values)?,
            genes: sections.take(&base.genes)?,
            coexpression: sections.take(&base.coexpression)?,
            contacts: sections.take(&base.contacts)?,
            place: sections.take(&base.place)?,
        };
        sections.finish(GENE_MODULES)?;
        request.values.validate()?;
        request.coexpression.validate()?;
        Ok(request)
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GeneModulesReport {
    /// Observations.
    pub n_obs: usize,
    /// Slices.
    pub n_slices: usize,
    /// The modality.
    pub modality: String,
    /// What the values were.
    pub values: String,
    /// Genes, those that took part, and those in a module.
    pub n_genes: [usize; 3],
    /// Power of the network.
    pub power: f64,
    /// Whether a power that was tried reached the fit asked for.
    pub scale_free: bool,
    /// Modules, the largest first.
    pub modules: Vec<GeneModule>,
    /// Wall-clock seconds of each stage.
    pub seconds: Seconds,
}

/// One module.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GeneModule {
    /// Its number: 1 is the largest.
    pub module: usize,
    /// Genes.
    pub n_genes: usize,
    /// Share of their variance that the eigengene holds.
    pub variance_explained: f64,
    /// Moran's I of the eigengene, where the spots have coordinates, …
    pub morans_i: Option<f64>,
    /// … and its p-value, adjusted over the modules.
    pub p_adjusted: Option<f64>,
    /// The genes nearest to the eigengene.
    pub hubs: Vec<String>,
}

impl GeneModulesReport {
    /// The report as lines for a person.
    pub fn lines(&self) -> Vec<String> {
        let [n, tested, within] = self.n_genes;
        let kind = if self.scale_free { "scale-free" } else { "not scale-free" };
        let mut lines = vec![format!(
            "{}: {} modules hold {within} of {tested} genes (of {n}; power {}, {kind})",
            self.modality,
            self.modules.len(),
            self.power
        )];
        for module in &self.modules {
            let spatial = module.morans_i.map_or(String::new(), |i| format!(", Moran's I {i:.2}"));
            lines.push(format!(
                "  {} ({} genes, {:.0} % of their variance{spatial}): {}",
                module.module,
                module.n_genes,
                100.0 * module.variance_explained,
                module.hubs.join(", ")
            ));
        }
        lines
    }
}

/// Modules of one modality, and the genes that took part.
struct Found<'a> {
    modality: &'a ModalityInfo,
    names: Option<Vec<String>>,
    what: String,
    slices: Option<Slices>,
    /// Where the spots lie, where that is known.
    coordinates: Option<Array2<f64>>,
    /// Of the genes that took part, their places among all.
    genes: Vec<usize>,
    modules: Coexpression,
    /// Moran's I of each eigengene and its adjusted p, where it is known which spots touch.
    morans_i: Option<Vec<[f64; 2]>>,
}

impl Found<'_> {
    fn name<'b>(&'b self, tissue: &'b Tissue, gene: usize) -> &'b str {
        self.names.as_deref().unwrap_or_else(|| tissue.var_names(self.modality))[self.genes[gene]].as_str()
    }
}

fn explain<'a>(
    tissue: &'a Tissue,
    request: &GeneModulesRequest,
    drawn: bool,
    run: &mut Run<'_>,
) -> Result<Found<'a>, PipelineError> {
    let (seed, monitor) = (run.seed, run.monitor);
    let slices = groups::slices(tissue, &request.place, None, monitor)?;
    let all = tissue.modalities_of(request.values.modality)?;
    let modality = all.iter().find(|m| m.kind == Modality::Rna).unwrap_or(&all[0]);
    // What lies where is looked at first: what is wrong with it is told before the long part.
    let space = space(tissue, request, drawn, slices.as_ref(), run)?;
    let rows = LogRows::open(tissue, modality, &request.values, run)?;
    let what = rows.what.clone();
    let values = run.timed(Stage::Read, || rows.into_matrix())?;
    let keep: Vec<bool> = spots_with(values.view()).iter().map(|n| *n >= request.genes.min_cells).collect();
    let genes: Vec<usize> = (0..keep.len()).filter(|&j| keep[j]).collect();
    if genes.len() < 2 {
        let found = format!("{} of {} genes seen in so many spots", genes.len(), keep.len());
        return Err(PipelineError::option("min_cells", found, "a number that leaves at least 2 genes"));
    }
    let need = need(tissue, &values, genes.len(), request);
    announce("gene modules", tissue.n_obs(), &need, monitor)?;
    let all = values;
    let values = all.view().select_columns(&keep);
    drop(all);
    let refused = |source| PipelineError::Preprocess { modality: modality.name.clone(), source };
    let modules = run
        .timed(Stage::Cluster, || {
            coexpression_modules(values.view(), slices.as_ref(), &request.coexpression, seed, monitor)
        })
        .map_err(refused)?;
    if !modules.scale_free {
        monitor.note(&format!(
            "no power makes the network scale-free to R² {}: {} is taken; give another with {}",
            request.coexpression.scale_free_fit,
            modules.power,
            Opt("power")
        ));
    }
    if modules.n_modules() == 0 {
        monitor.warn(&format!(
            "no module of {} genes or more was found; smaller ones are looked for with {}",
            request.coexpression.min_module_size,
            Opt("min_module_size")
        ));
    }
    let morans_i = match &space.graph {
        None => None,
        Some(_) if modules.n_modules() == 0 => Some(Vec::new()),
        Some(graph) => {
            let eigengenes = CsrMatrix::from_dense(modules.eigengenes.mapv(|v| v as f32).view());
            let (found, _) = run.timed(Stage::Cluster, || {
                let moran = SpatialStatistic::Moran;
                measure(eigengenes.view(), graph.view(), slices.as_ref(), moran, monitor)
            })?;
            // One side: what lies apart from its like is no pattern of the tissue either.
            let above = |(&p, &z): (&f64, &f64)| if z > 0.0 { p } else { 1.0 - p };
            let p_values: Vec<f64> = found.p_value.iter().zip(&found.z_score).map(above).collect();
            let adjusted = benjamini_hochberg(&p_values);
            Some(found.statistic.into_iter().zip(adjusted).map(|(i, p)| [i, p]).collect())
        }
    };
    let by_chance = |all: &Vec<[f64; 2]>| all.iter().filter(|[_, p]| p.is_nan() || *p >= BY_CHANCE).count();
    let n_by_chance = morans_i.as_ref().map_or(0, by_chance);
    if n_by_chance > 0 {
        monitor.warn(&format!(
            "{n_by_chance} of {} modules do not vary in space (adjusted p of Moran's I at least {BY_CHANCE}), so that their \
             genes may be together by chance; leave rare genes out with {}",
            modules.n_modules(),
            Opt("min_cells")
        ));
    }
    let names = groups::gene_names(tissue, modality);
    Ok(Found { modality, names, what, slices, coordinates: space.coordinates, genes, modules, morans_i })
}

/// The matrix in three copies (four where there are several blocks), and the network of a block.
fn need(
    tissue: &Tissue,
    values: &CsrMatrix<f32>,
    n_genes: usize,
    request: &GeneModulesRequest,
) -> Need<'static> {
    let block = n_genes.min(request.coexpression.max_block_size) as u64;
    let copies = 3 + u64::from(n_genes > request.coexpression.max_block_size);
    let matrices = copies * ENTRY_BYTES * values.nnz() as u64;
    let bytes = every_run_bytes(tissue.n_obs(), values.n_cols(), values.nnz())
        + matrices
        + PAIR_BYTES * block * block;
    let advice = format!(
        "take fewer genes at a time with a smaller {}, or a part of the spots",
        Opt("max_block_size")
    );
    Need { forecast: Forecast { bytes, seconds: None }, advice: Box::new(move |_| advice.clone()) }
}

/// Where the spots lie, and which touch.
#[derive(Default)]
struct Space {
    coordinates: Option<Array2<f64>>,
    graph: Option<CsrMatrix<f64>>,
}

/// What is known of space. Modules need none of it, so that it may be unknown where nothing asks for it.
fn space(
    tissue: &Tissue,
    request: &GeneModulesRequest,
    drawn: bool,
    slices: Option<&Slices>,
    run: &mut Run<'_>,
) -> Result<Space, PipelineError> {
    let place = &request.place;
    let other_key = place.spatial_key != Place::default().spatial_key;
    let asked = request.contacts != ContactsRequest::default() || other_key;
    let coordinates = match tissue.coordinates(&place.spatial_key) {
        Err(PipelineError::Data(DataError::MissingKey { .. })) if !drawn && !asked => None,
        found => Some(found?),
    };
    if coordinates.is_none() && tissue.whole_graph(keys::SPATIAL_CONNECTIVITIES)?.is_none() {
        let key = &place.spatial_key;
        run.monitor.note(&format!("obsm[{key:?}] is not there, so Moran's I of the modules is left out"));
        return Ok(Space::default());
    }
    let graph = contacts(tissue, &request.contacts, place, slices, run)?;
    if graph.nnz() > 0 {
        return Ok(Space { coordinates, graph: Some(graph) });
    }
    if asked {
        return Err(StatsError::EmptyGraph { n_obs: tissue.n_obs() }.into());
    }
    run.monitor.note("no spot has a neighbour, so Moran's I of the modules is left out");
    Ok(Space { coordinates, graph: None })
}

/// `var["gene_modules"]` and how near each gene is to its module, `obsm["X_gene_modules"]` and `uns["gene_modules"]`.
fn add(
    tissue: &Tissue,
    found: &Found<'_>,
    request: &GeneModulesRequest,
    report: &GeneModulesReport,
    run: &mut Run<'_>,
) {
    let n_vars = tissue.var_names(found.modality).len();
    let modules = &found.modules;
    let mut module = vec![0_i64; n_vars];
    let (mut membership, mut connectivity) = (vec![f64::NAN; n_vars], vec![f64::NAN; n_vars]);
    for (k, &gene) in found.genes.iter().enumerate() {
        module[gene] = i64::from(modules.module[k]);
        membership[gene] = modules.own_membership(k);
        connectivity[gene] = modules.connectivity[k];
    }
    let target = run.target(found.modality.key.as_deref());
    target.var.insert(KEY.to_owned(), Column::Int(module));
    target.var.insert(format!("{KEY}_kme"), Column::Float64(membership));
    target.var.insert(format!("{KEY}_connectivity"), Column::Float64(connectivity));
    let eigengenes: Array2<f32> = modules.eigengenes.mapv(|v| v as f32);
    target.obsm.insert(format!("X_{KEY}"), eigengenes.into());
    let columns: IndexMap<String, Column> = table_of_modules(found, report).into_iter().collect();
    let index = (1..=modules.n_modules()).map(|k| k.to_string()).collect();
    target.uns.insert(KEY.to_owned(), Value::Frame(DataFrame { index, columns, ..DataFrame::default() }));
    let params = json!({
        "values": found.what,
        "layer": request.values.layer,
        "genes": request.genes,
        "coexpression": request.coexpression,
        "power": modules.power,
        "scale_free": modules.scale_free,
        "version": env!("CARGO_PKG_VERSION"),
    });
    target.uns.insert(format!("{KEY}_params"), without_nulls(params).into());
}

/// One row per gene in a module: those of the largest module first, nearest to its eigengene first.
fn table_of_genes(tissue: &Tissue, found: &Found<'_>) -> Table {
    let hubs = found.modules.hubs();
    let rows: Vec<(usize, usize, usize)> = hubs
        .iter()
        .enumerate()
        .flat_map(|(m, genes)| genes.iter().enumerate().map(move |(rank, &gene)| (m + 1, rank + 1, gene)))
        .collect();
    let ids = tissue.var_names(found.modality);
    let id = |gene: usize| Some(ids[found.genes[gene]].clone());
    let mut columns = vec![
        ("module".to_owned(), Column::Int(rows.iter().map(|row| row.0 as i64).collect())),
        ("rank".to_owned(), Column::Int(rows.iter().map(|row| row.1 as i64).collect())),
        ("feature".to_owned(), Column::String(rows.iter().map(|row| id(row.2)).collect())),
    ];
    if found.names.is_some() {
        let name = |gene: usize| Some(found.name(tissue, gene).to_owned());
        columns.push(("name".to_owned(), Column::String(rows.iter().map(|row| name(row.2)).collect())));
    }
    let membership = rows.iter().map(|row| found.modules.own_membership(row.2)).collect();
    columns.push(("kme".to_owned(), Column::Float64(membership)));
    let connectivity = rows.iter().map(|row| found.modules.connectivity[row.2]).collect();
    columns.push(("connectivity".to_owned(), Column::Float64(connectivity)));
    columns
}

/// One row per module.
fn table_of_modules(found: &Found<'_>, report: &GeneModulesReport) -> Table {
    let of = &report.modules;
    let mut columns = vec![
        ("module".to_owned(), Column::Int(of.iter().map(|m| m.module as i64).collect())),
        ("n_genes".to_owned(), Column::Int(of.iter().map(|m| m.n_genes as i64).collect())),
        ("variance_explained".to_owned(), Column::Float64(of.iter().map(|m| m.variance_explained).collect())),
    ];
    if found.morans_i.is_some() {
        let values = of.iter().map(|m| m.morans_i.unwrap_or(f64::NAN)).collect();
        columns.push(("I".to_owned(), Column::Float64(values)));
        let values = of.iter().map(|m| m.p_adjusted.unwrap_or(f64::NAN)).collect();
        columns.push(("p_adjusted".to_owned(), Column::Float64(values)));
    }
    columns.push(("hubs".to_owned(), Column::String(of.iter().map(|m| Some(m.hubs.join(", "))).collect())));
    columns
}

fn report(tissue: &Tissue, found: &Found<'_>, request: &GeneModulesRequest) -> GeneModulesReport {
    let modules = &found.modules;
    let of = |(m, genes): (usize, Vec<usize>)| GeneModule {
        module: m + 1,
        n_genes: genes.len(),
        variance_explained: modules.variance_explained[m],
        morans_i: found.morans_i.as_ref().map(|all| all[m][0]).filter(|i| i.is_finite()),
        p_adjusted: found.morans_i.as_ref().map(|all| all[m][1]).filter(|p| p.is_finite()),
        hubs: genes
            .iter()
            .take(request.genes.n_top)
            .map(|&gene| found.name(tissue, gene).to_owned())
            .collect(),
    };
    let within = modules.module.iter().filter(|m| **m > 0).count();
    GeneModulesReport {
        n_obs: tissue.n_obs(),
        n_slices: found.slices.as_ref().map_or(1, Slices::count),
        modality: found.modality.name.clone(),
        values: found.what.clone(),
        n_genes: [tissue.var_names(found.modality).len(), found.genes.len(), within],
        power: modules.power,
        scale_free: modules.scale_free,
        modules: modules.hubs().into_iter().enumerate().map(of).collect(),
        seconds: Seconds::default(),
    }
}

/// A map of each eigengene.
fn maps(tissue: &Tissue, found: &Found<'_>, report: &GeneModulesReport, xy: &Array2<f64>) -> Sheet {
    let of = |m: &GeneModule| {
        let hubs: Vec<&str> = m.hubs.iter().take(2).map(String::as_str).collect();
        let title = format!("module {} · {}", m.module, hubs.join(", "));
        (title, found.modules.eigengenes.column(m.module - 1).to_vec())
    };
    let features: Vec<(String, Vec<f64>)> = report.modules.iter().take(MAPS).map(of).collect();
    if features.is_empty() {
        return Sheet { parts: vec![Part::Caption("no module to draw".to_owned())], ..Sheet::default() };
    }
    let figure = groups::maps(tissue, xy, found.slices.as_ref(), None, features);
    let caption = "eigengenes of co-expression modules, each with its first hub genes".to_owned();
    Sheet { parts: vec![Part::Maps(Box::new(figure)), Part::Caption(caption)], ..Sheet::default() }
}

/// Finds the modules of a file.
///
/// # Errors
/// [`PipelineError`]; nothing is written then.
pub fn gene_modules_file(
    input: (&Path, &OpenOptions),
    outputs: &Outputs,
    request: &GeneModulesRequest,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<GeneModulesReport, PipelineError> {
    let mut run = Run::new(seed, monitor);
    let wanted = Wanted {
        place: &request.place,
        groups: None,
        columns: &[],
        values: Some(&request.values),
        graph: true,
        obsm: &[],
    };
    let tissue = groups::open(input, outputs, &wanted, &mut run)?;
    let found = explain(&tissue, request, outputs.plot.is_some(), &mut run)?;
    let mut report = report(&tissue, &found, request);
    add(&tissue, &found, request, &report, &mut run);
    let additions = additions(&tissue, &mut run);
    let sheet =
        outputs.plot.as_ref().and(found.coordinates.as_ref()).map(|xy| maps(&tissue, &found, &report, xy));
    let table = match outputs.table {
        Some(_) => table_of_genes(&tissue, &found),
        None => Vec::new(),
    };
    drop(found);
    outputs.write(tissue, &Results { additions, table, sheet }, &mut run)?;
    report.seconds = run.seconds;
    Ok(report)
}

/// The same of a tissue in memory: tables of the genes in modules, and of the modules.
///
/// # Errors
/// [`PipelineError`].
pub fn gene_modules_tissue(
    tissue: &Tissue,
    request: &GeneModulesRequest,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Answer<GeneModulesReport>, PipelineError> {
    let mut run = Run::new(seed, monitor);
    let found = explain(tissue, request, false, &mut run)?;
    let mut report = report(tissue, &found, request);
    add(tissue, &found, request, &report, &mut run);
    let additions = additions(tissue, &mut run);
    let tables =
        vec![("genes", table_of_genes(tissue, &found)), ("modules", table_of_modules(&found, &report))];
    report.seconds = run.seconds;
    Ok(Answer { additions, tables, report })
}
