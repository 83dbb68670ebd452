//! `brodmann links`: which peaks regulate which genes, and in which domain?
//!
//! Of a tissue with open chromatin and transcripts of the same cells, an embedding and labels. Where genes lie comes from an
//! annotation, where peaks lie from their names.
//!
//! * `chart`: the links of a locus. `forecast`: the memory they take. `report`: for a person and as JSON. `table`: one row per pair of a peak and a gene.

mod chart;
mod forecast;
mod report;
mod table;

use std::path::{Path, PathBuf};

use brodmann_data::{DataError, OpenOptions, Value, check_output, open_text, write_bytes};
use brodmann_kernels::{CsrMatrix, Monitor, Opt, OptionError, Seed, Step};
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::forecast::LinksWork;
use super::groups::{self, Groups, GroupsRequest, Wanted, additions};
use super::values::ValuesRequest;
use crate::graph::{NeighborsOptions, neighbors};
use crate::pipeline::PipelineError;
use crate::pipeline::forecast::announce;
use crate::pipeline::outputs::{Answer, Outputs, Results};
use crate::pipeline::record::without_nulls;
use crate::pipeline::request::{Place, check_n_neighbors};
use crate::pipeline::run::{Run, Stage};
use crate::pipeline::said::Said;
use crate::pipeline::tissue::{ModalityInfo, Tissue};
use crate::preprocess::feature_map::comparable;
use crate::preprocess::{MatrixContent, Modality, detect_content};
use crate::stats::links::{
    CellCosts, ComponentFate, GenePosition, GenePositions, LinkCorrelations, LinkPairs, LinkStrengths,
    LinksError, PeakPosition, PositionOptions, SpecificLinks, SpecificOptions, TransportOptions,
    WindowOptions, bedpe, gene_positions, link_correlations, link_strengths, longrange, match_positions,
    parse_peaks, specific_links, transport, window,
};

pub use report::{DomainLinks, Link, LinksReport};

/// The command, and what its options belong to.
pub const LINKS: &str = "links";
/// Embeddings that are looked for where nobody names one, the first that is there being taken.
const EMBEDDINGS: [&str; 6] = ["X_spami", "X_staig", "X_pca_harmony", "X_banksy", "X_smoothed_pca", "X_pca"];

/// What links are made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkOptions {
    /// Where genes lie: GTF, GFF3, BED or a table.
    pub genes: Option<PathBuf>,
    /// `obsm` key of the embedding; one that a method left where nothing is said.
    pub use_rep: Option<String>,
    /// Nearest cells in it, the cell itself counted, between which moving has a cost of its own.
    pub n_neighbors: usize,
    /// Links that are told of each domain.
    pub n_top: usize,
    /// The gene whose links are drawn; where nothing is said that of the specific link to whose correlation its domain contributes
    /// most.
    pub locus: Option<String>,
}

impl Default for LinkOptions {
    fn default() -> Self {
        Self { genes: None, use_rep: None, n_neighbors: 30, n_top: 5, locus: None }
    }
}

/// Links of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinksRequest {
    /// What they are made of.
    pub options: LinkOptions,
    /// Which labels.
    pub groups: GroupsRequest,
    /// Which pairs.
    pub window: WindowOptions,
    /// How many names must be known.
    pub positions: PositionOptions,
    /// How accessibility becomes expression.
    pub transport: TransportOptions,
    /// Against what chance.
    pub specific: SpecificOptions,
    /// Coordinates and slices.
    pub place: Place,
}

/// Where links go as text for genome browsers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkFiles {
    /// BEDPE, a row per pair and domain.
    pub bedpe: Option<PathBuf>,
    /// longrange, all domains together.
    pub longrange: Option<PathBuf>,
}

impl LinksRequest {
    /// The request that options by name stand for.
    ///
    /// # Errors
    /// [`PipelineError::Option`], [`PipelineError::UnknownOption`].
    pub fn from_said(said: &Said) -> Result<Self, PipelineError> {
        let base = Self::default();
        let mut sections = said.sections();
        let request = Self {
            options: sections.take(&base.options)?,
            groups: sections.take(&base.groups)?,
            window: sections.take(&base.window)?,
            positions: sections.take(&base.positions)?,
            transport: sections.take(&base.transport)?,
            specific: sections.take(&base.specific)?,
            place: sections.take(&base.place)?,
        };
        sections.finish(LINKS)?;
        request.window.validate()?;
        request.positions.validate()?;
        request.transport.validate()?;
        request.specific.validate()?;
        if request.options.n_neighbors < 2 {
            let found = request.options.n_neighbors;
            return Err(
                OptionError::new("n_neighbors", found, "at least 2, the cell itself being one").into()
            );
        }
        if request.options.genes.is_none() {
            let expected = "positions of genes: a GTF or GFF3 (GENCODE, Ensembl), a BED or a table";
            return Err(OptionError::new("genes", "not given", expected).into());
        }
        Ok(request)
    }

    fn wanted_obsm(&self) -> Vec<&str> {
        self.options.use_rep.as_deref().map_or_else(|| EMBEDDINGS.to_vec(), |key| vec![key])
    }
}

/// All that was found.
struct Found {
    groups: Groups,
    embedding: String,
    genes: Side<GenePosition>,
    peaks: Side<PeakPosition>,
    pairs: LinkPairs,
    strengths: LinkStrengths,
    specific: SpecificLinks,
    correlations: LinkCorrelations,
    components: Vec<ComponentFate>,
    unmatched: [f64; 2],
}

/// Genes, or peaks.
struct Side<P> {
    names: Vec<String>,
    /// Of each, where it lies.
    positions: Vec<Option<P>>,
    n_placed: usize,
}

/// The two modalities.
fn modalities(tissue: &Tissue) -> Result<(&ModalityInfo, &ModalityInfo), PipelineError> {
    let of = |kind: Modality, what: &str| {
        tissue.modalities().iter().find(|m| m.kind == kind).ok_or_else(|| {
            let names: Vec<&str> = tissue.modalities().iter().map(|m| m.name.as_str()).collect();
            let found = format!("a file that measures {}", names.join(", "));
            PipelineError::option("input", found, format!("a .h5mu with {what} measured in the same cells"))
        })
    };
    Ok((of(Modality::Rna, "genes beside peaks")?, of(Modality::Atac, "peaks beside genes")?))
}

/// The embedding asked for, or the first that a method left.
fn embedding(tissue: &Tissue, options: &LinkOptions) -> Result<String, PipelineError> {
    if let Some(key) = &options.use_rep {
        return Ok(key.clone());
    }
    let found = EMBEDDINGS.into_iter().find(|key| tissue.has_embedding(key));
    found.map(str::to_owned).ok_or_else(|| {
        let expected = format!("an embedding of the cells in obsm; make one with {}", Step("spami"));
        PipelineError::option("use_rep", "not given, while no method left one in the file", expected)
    })
}

fn explain(tissue: &Tissue, request: &LinksRequest, run: &mut Run<'_>) -> Result<Found, PipelineError> {
    let (seed, monitor) = (run.seed, run.monitor);
    let (rna, atac) = modalities(tissue)?;
    let groups = groups::groups(tissue, &request.groups, monitor)?;
    let key = embedding(tissue, &request.options)?;
    let coordinates = tissue.any_embedding(&key)?;
    check_n_neighbors("n_neighbors", request.options.n_neighbors, tissue.n_obs())?;
    // Positions first: a wrong annotation is refused before the expensive stages.
    let (genes, peaks) = sides(tissue, (rna, atac), request, run)?;
    let gene_places: Vec<Option<&GenePosition>> = genes.positions.iter().map(Option::as_ref).collect();
    let pairs = run.timed(Stage::Graph, || window(&gene_places, &peaks.positions, &request.window))?;
    monitor.note(&format!(
        "{} pairs of a peak within {} bases of where a gene's transcription starts",
        pairs.len(),
        request.window.window
    ));
    let n_groups = groups.names.len();
    let work = LinksWork {
        n_obs: tissue.n_obs(),
        n_vars: [genes.names.len(), peaks.names.len()],
        nnz: [forecast::nnz(tissue, rna)?, forecast::nnz(tissue, atac)?],
        n_neighbors: request.options.n_neighbors,
        n_domains: n_groups,
        n_permutations: request.specific.n_permutations,
        n_pairs: pairs.len(),
        groups: pairs.group_sizes(),
    };
    announce("links", tissue.n_obs(), &forecast::need(&work), monitor)?;
    monitor.stage("neighbours in the embedding", 0);
    let options =
        NeighborsOptions { n_neighbors: request.options.n_neighbors, ..NeighborsOptions::default() };
    let near = run.timed(Stage::Graph, || neighbors(coordinates.view(), &options, seed, monitor))?;
    let costs = CellCosts::new(near.distances.view(), None)?;
    let expression = expression(tissue, rna, run)?;
    let accessibility: CsrMatrix<f32> = run.timed(Stage::Read, || tissue.counts(atac, None))?;
    let (s, d) = (accessibility.view(), expression.view());
    monitor.stage("transport", 0);
    let plan = run.timed(Stage::Train, || transport(s, d, &pairs, &costs, &request.transport, monitor))?;
    let n_slow = plan.components.iter().filter(|fate| !fate.converged).count();
    if n_slow > 0 {
        monitor.warn(&format!(
            "{n_slow} of {} parts of the genome had not settled after {} rounds; give more with {}",
            plan.components.len(),
            request.transport.max_iterations,
            Opt("max_iterations")
        ));
    }
    let labels = &groups.codes;
    let strengths = run.timed(Stage::Cluster, || link_strengths(&plan, &pairs, labels, n_groups, monitor))?;
    let specific = run.timed(Stage::Cluster, || {
        specific_links(&plan, &pairs, labels, n_groups, &request.specific, seed, monitor)
    })?;
    let correlations =
        run.timed(Stage::Cluster, || link_correlations((s, d), &pairs, &costs, labels, n_groups, monitor))?;
    Ok(Found {
        groups,
        embedding: key,
        genes,
        peaks,
        pairs,
        strengths,
        specific,
        correlations,
        unmatched: [plan.unmatched_accessibility(), plan.unmatched_expression()],
        components: plan.components,
    })
}

/// Logarithms of the counts, each cell's scaled to the median of all; values that are no counts as they are.
///
/// To scale to a larger sum would leave little but whether a gene was seen: on simulated links the average precision falls
/// from .28 to .14.
fn expression(
    tissue: &Tissue,
    rna: &ModalityInfo,
    run: &mut Run<'_>,
) -> Result<CsrMatrix<f32>, PipelineError> {
    let values = run.timed(Stage::Read, || tissue.counts(rna, None))?;
    if detect_content(values.view()).content != MatrixContent::RawCounts {
        run.monitor.note(&format!("{}: values are taken as logarithms", rna.name));
        return Ok(values);
    }
    let mut totals: Vec<f64> = (0..values.n_rows())
        .map(|i| values.view().row(i).1.iter().map(|v| f64::from(*v)).sum())
        .filter(|total| *total > 0.0)
        .collect();
    totals.sort_unstable_by(f64::total_cmp);
    let median = totals.get(totals.len() / 2).copied().unwrap_or(1.0);
    run.monitor.note(&format!("{}: counts scaled to {median} per cell, logarithms", rna.name));
    Ok(run.timed(Stage::Preprocess, || comparable(values, Modality::Rna, median)))
}

/// Where genes and peaks lie.
fn sides(
    tissue: &Tissue,
    (rna, atac): (&ModalityInfo, &ModalityInfo),
    request: &LinksRequest,
    run: &mut Run<'_>,
) -> Result<(Side<GenePosition>, Side<PeakPosition>), PipelineError> {
    let monitor = run.monitor;
    let path = request.options.genes.as_deref().unwrap_or_else(|| Path::new(""));
    monitor.stage("positions of genes", 0);
    let known: GenePositions = run.timed(Stage::Read, || -> Result<GenePositions, PipelineError> {
        gene_positions(open_text(path)?).map_err(|error| match error {
            // What the file's reader has to say, with the file's name.
            LinksError::Unreadable { line, reason } => {
                let said = format!("after line {line}: {reason}");
                DataError::read(path, std::io::Error::other(said)).into()
            }
            error => error.into(),
        })
    })?;
    let index = tissue.var_names(rna);
    let symbols = groups::gene_names(tissue, rna);
    // By what people say, and where that is not known by the index.
    let names = symbols.as_deref().unwrap_or(index);
    let matched = match match_positions(names, &known, &request.positions) {
        Ok(matched) => matched,
        Err(error) => {
            if symbols.is_none() {
                return Err(error.into());
            }
            match_positions(index, &known, &request.positions)?
        }
    };
    monitor.note(&format!(
        "{} of {} genes have a position in {} ({}, {} genes)",
        matched.n_matched,
        names.len(),
        path.display(),
        known.layout,
        known.genes.len()
    ));
    if known.n_without_strand > 0 {
        monitor.note(&format!(
            "{} genes have no strand: their transcription is taken to start at their first base",
            known.n_without_strand
        ));
    }
    let positions = matched.positions.iter().map(|k| k.map(|k| known.genes[k as usize].clone())).collect();
    let genes = Side { names: names.to_vec(), positions, n_placed: matched.n_matched };
    let names = tissue.var_names(atac);
    let parsed = parse_peaks(names, &request.positions)?;
    if parsed.n_parsed < names.len() {
        monitor.note(&format!(
            "{} of {} peaks have a position in their names (not {})",
            parsed.n_parsed,
            names.len(),
            parsed.others.join(", ")
        ));
    }
    let peaks = Side { names: names.to_vec(), positions: parsed.positions, n_placed: parsed.n_parsed };
    Ok((genes, peaks))
}

/// `uns["links"]`, and what made it.
fn add(found: &Found, request: &LinksRequest, run: &mut Run<'_>) {
    let uns = &mut run.target(None).uns;
    uns.insert(LINKS.to_owned(), table::frame(table::links(found)));
    let params = json!({
        "use_rep": found.embedding,
        "groupby": found.groups.key,
        "options": request.options,
        "window": request.window,
        "transport": request.transport,
        "specific": request.specific,
        "version": env!("CARGO_PKG_VERSION"),
    });
    uns.insert(format!("{LINKS}_params"), Value::from(without_nulls(params)));
}

/// Finds the links of a file.
///
/// # Errors
/// [`PipelineError`]; nothing is written then.
pub fn links_file(
    input: (&Path, &OpenOptions),
    (outputs, files): (&Outputs, &LinkFiles),
    request: &LinksRequest,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<LinksReport, PipelineError> {
    for path in [&files.bedpe, &files.longrange].into_iter().flatten() {
        check_output(input.0, path)?;
    }
    let mut run = Run::new(seed, monitor);
    let values = ValuesRequest::default();
    let wanted = Wanted {
        place: &request.place,
        groups: Some(&request.groups),
        columns: &[],
        values: Some(&values),
        graph: false,
        obsm: &request.wanted_obsm(),
    };
    let tissue = groups::open(input, outputs, &wanted, &mut run)?;
    let found = explain(&tissue, request, &mut run)?;
    let mut report = report::report(&tissue, &found, request);
    add(&found, request, &mut run);
    let additions = additions(&tissue, &mut run);
    let table = if outputs.table.is_some() { table::links(&found) } else { Vec::new() };
    let sheet = outputs.plot.as_ref().map(|_| chart::sheet(&found, request)).transpose()?;
    outputs.write(tissue, &Results { additions, table, sheet }, &mut run)?;
    let texts = [
        (
            &files.bedpe,
            files.bedpe.as_ref().map(|_| bedpe(&table::by_domain(&found), &["domain", "p_adjusted"])),
        ),
        (&files.longrange, files.longrange.as_ref().map(|_| longrange(&table::of_all(&found)))),
    ];
    for (path, text) in texts {
        if let (Some(path), Some(text)) = (path, text) {
            run.timed(Stage::Write, || write_bytes(path, text.as_bytes()))?;
        }
    }
    report.seconds = run.seconds;
    Ok(report)
}

/// The same of a tissue in memory.
///
/// # Errors
/// [`PipelineError`].
pub fn links_tissue(
    tissue: &Tissue,
    request: &LinksRequest,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Answer<LinksReport>, PipelineError> {
    let mut run = Run::new(seed, monitor);
    let found = explain(tissue, request, &mut run)?;
    let mut report = report::report(tissue, &found, request);
    add(&found, request, &mut run);
    let additions = additions(tissue, &mut run);
    report.seconds = run.seconds;
    Ok(Answer { additions, tables: vec![(LINKS, table::links(&found))], report })
}
