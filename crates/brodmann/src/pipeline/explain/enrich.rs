//! `brodmann enrich`: which known sets of genes are behind the markers of a domain?

mod picture;

use std::path::{Path, PathBuf};

use brodmann_data::{Array, Column, DataFrame, OpenOptions, Value, read_text};
use brodmann_kernels::{Monitor, Opt, Seed};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::groups::{self, additions};
use super::markers::{self, Explained, MARKERS, MarkersRequest};
use crate::pipeline::PipelineError;
use crate::pipeline::outputs::{Answer, Outputs, Results, Table};
use crate::pipeline::record::without_nulls;
use crate::pipeline::run::{Run, Seconds, Stage};
use crate::pipeline::said::{Said, fields_of};
use crate::pipeline::tissue::Tissue;
use crate::preprocess::Modality;
use crate::stats::gene_sets::{
    Background, GeneSets, GseaOptions, MatchOptions, MatchedSets, OverRepresentationOptions,
    ScoreGenesOptions, gsea_preranked, match_genes, over_representation, parse_gmt, score_genes,
};
use crate::stats::{ExpressionRows, GroupMarkers};

/// The command, and what its options belong to.
pub const ENRICH: &str = "enrich";

/// What is asked of a gene set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrichmentMethod {
    /// Does it hold more markers than chance would give it?
    #[default]
    Ora,
    /// Do its genes gather at an end of the ranking of all genes?
    Gsea,
}

/// Which sets, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnrichOptions {
    /// Files of gene sets (GMT).
    pub gene_sets: Vec<PathBuf>,
    /// What is asked of each.
    pub method: EnrichmentMethod,
    /// Fewest measured genes of a set.
    pub min_size: usize,
    /// Most measured genes of a set.
    pub max_size: usize,
    /// ora: what the markers are drawn from.
    pub background: Background,
    /// gsea: random sets of each size.
    pub n_permutations: usize,
    /// Sets of which every spot gets a score.
    pub score: Vec<String>,
}

impl Default for EnrichOptions {
    fn default() -> Self {
        let (ora, gsea) = (OverRepresentationOptions::default(), GseaOptions::default());
        Self {
            gene_sets: Vec::new(),
            method: EnrichmentMethod::Ora,
            min_size: ora.min_size,
            max_size: ora.max_size,
            background: ora.background,
            n_permutations: gsea.n_permutations,
            score: Vec::new(),
        }
    }
}

/// Gene sets behind the markers of the groups of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EnrichRequest {
    /// The markers.
    pub markers: MarkersRequest,
    /// The sets.
    pub options: EnrichOptions,
}

impl EnrichRequest {
    /// The request that options by name stand for.
    ///
    /// # Errors
    /// [`PipelineError::Option`], [`PipelineError::UnknownOption`].
    pub fn from_said(said: &Said) -> Result<Self, PipelineError> {
        let own = fields_of(&EnrichOptions::default());
        let (ours, of_markers) = said.clone().parted(|name| own.contains_key(name));
        let mut sections = ours.sections();
        let options: EnrichOptions = sections.take(&EnrichOptions::default())?;
        sections.finish(ENRICH)?;
        let markers = MarkersRequest::from_said(&of_markers)?;
        if options.gene_sets.is_empty() {
            let expected = "a file of gene sets (GMT), e.g. of MSigDB, Enrichr or GO";
            return Err(PipelineError::option("gene_sets", "not given", expected));
        }
        Ok(Self { markers, options })
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EnrichReport {
    /// `obs` column of the groups.
    pub groupby: String,
    /// `ora` or `gsea`.
    pub method: EnrichmentMethod,
    /// Gene sets in the files.
    pub n_sets: usize,
    /// Measured genes that are in a set.
    pub n_matched: usize,
    /// The groups, in their order.
    pub groups: Vec<GroupEnrichment>,
    /// `obs` columns of scores.
    pub scores: Vec<String>,
    /// Wall-clock seconds of each stage.
    pub seconds: Seconds,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupEnrichment {
    /// Its name.
    pub name: String,
    /// Markers that were asked about (ora).
    pub n_query: Option<usize>,
    /// Sets that were tested.
    pub n_tested: usize,
    /// Sets whose adjusted p-value is below .05.
    pub n_significant: usize,
    /// The first of them, however small their p-values are.
    pub top: Vec<SetReport>,
}

/// One set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SetReport {
    /// Its name.
    pub name: String,
    /// Its measured genes.
    pub size: usize,
    /// ora: markers in it. gsea: genes of the leading edge.
    pub n_genes: usize,
    /// ora: how many times more than by chance. gsea: the normalised enrichment score.
    pub effect: f64,
    /// Adjusted p-value.
    pub p_adjusted: f64,
    /// These genes.
    pub genes: Vec<String>,
}

/// Adjusted p-values below this are counted.
const SIGNIFICANT: f64 = 0.05;
/// Genes of a set that a person is told.
const GENES_TOLD: usize = 6;

impl EnrichReport {
    /// The report as lines for a person.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{} gene sets, {} measured genes in them, {} group(s) of {}",
            self.n_sets,
            self.n_matched,
            self.groups.len(),
            self.groupby
        )];
        for group in &self.groups {
            let asked = group.n_query.map_or(String::new(), |n| format!(" of {n} marker(s)"));
            lines.push(format!(
                "  {}{asked}: {} of {} set(s) with an adjusted p below {SIGNIFICANT}",
                group.name, group.n_significant, group.n_tested
            ));
            for set in group.top.iter().filter(|set| set.p_adjusted < SIGNIFICANT) {
                let mut genes: Vec<&str> = set.genes.iter().take(GENES_TOLD).map(String::as_str).collect();
                if set.genes.len() > GENES_TOLD {
                    genes.push("…");
                }
                let effect = match self.method {
                    EnrichmentMethod::Ora => format!("{:.1} times", set.effect),
                    EnrichmentMethod::Gsea => format!("NES {:+.2}", set.effect),
                };
                lines.push(format!(
                    "    {}: {effect}, {} of {} genes, p {:.1e} ({})",
                    set.name,
                    set.n_genes,
                    set.size,
                    set.p_adjusted,
                    genes.join(", ")
                ));
            }
        }
        if !self.scores.is_empty() {
            lines.push(format!("scores of spots: {}", self.scores.join(", ")));
        }
        lines
    }
}

/// One set in one group.
pub(in crate::pipeline) struct Row {
    pub set: usize,
    pub size: usize,
    pub genes: Vec<u32>,
    /// Fold, or normalised enrichment score.
    pub effect: f64,
    /// Expected number, or enrichment score.
    pub raw: f64,
    pub p_value: f64,
    pub p_adjusted: f64,
}

/// What was found of one group, the smallest p-value first.
pub(in crate::pipeline) struct Enriched {
    pub group: u32,
    pub n_query: Option<usize>,
    pub rows: Vec<Row>,
}

/// The sets of all files as one, and those of them that were measured.
fn read_sets(paths: &[PathBuf], monitor: &dyn Monitor) -> Result<GeneSets, PipelineError> {
    monitor.stage("reading gene sets", 0);
    let mut lists: Vec<(String, Vec<String>)> = Vec::new();
    for path in paths {
        let (sets, findings) = parse_gmt(&read_text(path)?)?;
        for sentence in findings.sentences() {
            monitor.note(&format!("{}: {sentence}", path.display()));
        }
        if let [_] = paths {
            return Ok(sets);
        }
        let own = (0..sets.len())
            .map(|i| (sets.names()[i].clone(), sets.genes(i).map(str::to_owned).collect::<Vec<String>>()));
        lists.extend(own);
    }
    Ok(GeneSets::from_lists(lists)?.0)
}

fn enriched(
    sets: &MatchedSets,
    markers: &GroupMarkers,
    request: &EnrichRequest,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Option<Enriched>, PipelineError> {
    let options = &request.options;
    let group = markers.group;
    if options.method == EnrichmentMethod::Gsea {
        let gsea = GseaOptions {
            min_size: options.min_size,
            max_size: options.max_size,
            n_permutations: options.n_permutations,
            ..GseaOptions::default()
        };
        let mut found = gsea_preranked(sets, &markers.score, &gsea, seed, monitor)?;
        let rows = found.ranked().into_iter().map(|k| Row {
            set: found.set[k],
            size: found.size[k],
            genes: std::mem::take(&mut found.leading_edge[k]),
            effect: found.nes[k],
            raw: found.es[k],
            p_value: found.p_value[k],
            p_adjusted: found.p_adjusted[k],
        });
        return Ok(Some(Enriched { group, n_query: None, rows: rows.collect() }));
    }
    // What a domain lacks is no sign of what is in it.
    let mut query = markers.select(&request.markers.thresholds);
    query.retain(|&j| markers.log2_fold_change[j as usize] > 0.0);
    if query.is_empty() {
        return Ok(None);
    }
    let ora = OverRepresentationOptions {
        min_size: options.min_size,
        max_size: options.max_size,
        background: options.background,
    };
    let mut found = over_representation(sets, &query, &ora, monitor)?;
    let rows = found.ranked().into_iter().map(|k| Row {
        set: found.set[k],
        size: found.size[k],
        genes: std::mem::take(&mut found.genes[k]),
        effect: found.fold[k],
        raw: found.expected[k],
        p_value: found.p_value[k],
        p_adjusted: found.p_adjusted[k],
    });
    let rows = rows.collect();
    Ok(Some(Enriched { group, n_query: Some(found.n_query), rows }))
}

/// All that was found.
pub(in crate::pipeline) struct Behind<'a> {
    /// The markers.
    pub explained: Explained<'a>,
    /// Which of the modalities it is about.
    at: usize,
    /// The sets, matched with its features.
    pub sets: MatchedSets,
    n_sets: usize,
    /// Those groups that have markers.
    pub groups: Vec<Enriched>,
    /// Columns of `obs`.
    scores: Vec<(String, Vec<f64>)>,
}

/// Finds the sets behind the markers of a tissue.
pub(in crate::pipeline) fn explain<'a>(
    tissue: &'a Tissue,
    request: &EnrichRequest,
    run: &mut Run<'_>,
) -> Result<Behind<'a>, PipelineError> {
    let (monitor, seed) = (run.monitor, run.seed);
    let sets = read_sets(&request.options.gene_sets, monitor)?;
    let explained = markers::explain(tissue, &request.markers, run)?;
    // Sets are of genes: of several modalities the one that measures them.
    let at = explained.found.iter().position(|f| f.modality.kind == Modality::Rna).unwrap_or(0);
    let found = &explained.found[at];
    let measured = found.names.as_deref().unwrap_or_else(|| tissue.var_names(found.modality));
    let matched = match_genes(&sets, measured, &MatchOptions::default())?;
    if let Some(matching) = matched.matching() {
        monitor.note(&matching.sentence());
    }
    let mut groups = Vec::new();
    run.timed(Stage::Cluster, || -> Result<(), PipelineError> {
        for markers in &found.markers {
            match enriched(&matched, markers, request, seed, monitor)? {
                Some(group) => groups.push(group),
                None => monitor.note(&format!(
                    "group {} has no marker to ask about ({} asks about all genes)",
                    explained.groups.names[markers.group as usize],
                    Opt("method").set("gsea")
                )),
            }
        }
        Ok(())
    })?;
    let scores = scores(&matched, found, request, run)?;
    Ok(Behind { at, n_sets: sets.len(), sets: matched, groups, scores, explained })
}

/// How strongly each spot expresses the sets named.
fn scores(
    sets: &MatchedSets,
    found: &markers::Found<'_>,
    request: &EnrichRequest,
    run: &mut Run<'_>,
) -> Result<Vec<(String, Vec<f64>)>, PipelineError> {
    if request.options.score.is_empty() {
        return Ok(Vec::new());
    }
    let mut chosen = Vec::new();
    for name in &request.options.score {
        let at = sets.names().iter().position(|known| known == name).ok_or_else(|| {
            let expected = "the name of a set in the files, as it is written there";
            PipelineError::option("score", format!("{name:?}"), expected)
        })?;
        chosen.push((name.as_str(), sets.genes(at)));
    }
    let Some(values) = found.rows.in_memory() else {
        run.monitor.warn("scores of spots are left out: the values are too many to be held in memory");
        return Ok(Vec::new());
    };
    let own = MatchedSets::from_indices(sets.n_measured(), chosen.iter().copied())?;
    let monitor = run.monitor;
    let scored = run.timed(Stage::Cluster, || {
        score_genes(values, &own, &ScoreGenesOptions::default(), Seed(0), monitor)
    })?;
    let column = |(k, name): (usize, &String)| {
        (format!("score_{}", name.replace('/', "_")), scored.column(k).to_vec())
    };
    Ok(request.options.score.iter().enumerate().map(column).collect())
}

impl Behind<'_> {
    /// What gene `j` is called.
    pub(in crate::pipeline) fn gene(&self, tissue: &Tissue, j: u32) -> String {
        self.explained.found[self.at].name(tissue, j as usize).to_owned()
    }

    fn name(&self, group: &Enriched) -> &str {
        &self.explained.groups.names[group.group as usize]
    }

    /// One row per group and tested set, the smallest p-value of a group first.
    fn table(&self, tissue: &Tissue, method: EnrichmentMethod) -> Table {
        let rows = || self.groups.iter().flat_map(|group| group.rows.iter().map(move |row| (group, row)));
        let numbers = |of: &dyn Fn(&Row) -> f64| Column::Float64(rows().map(|(_, row)| of(row)).collect());
        let genes = |row: &Row| {
            let names: Vec<String> = row.genes.iter().map(|&j| self.gene(tissue, j)).collect();
            Some(names.join(";"))
        };
        let (effect, raw) = match method {
            EnrichmentMethod::Ora => ("fold", "expected"),
            EnrichmentMethod::Gsea => ("nes", "es"),
        };
        let columns = [
            ("group", Column::String(rows().map(|(group, _)| Some(self.name(group).to_owned())).collect())),
            (
                "set",
                Column::String(rows().map(|(_, row)| Some(self.sets.names()[row.set].clone())).collect()),
            ),
            ("size", Column::Int(rows().map(|(_, row)| row.size as i64).collect())),
            ("n_genes", Column::Int(rows().map(|(_, row)| row.genes.len() as i64).collect())),
            (raw, numbers(&|row| row.raw)),
            (effect, numbers(&|row| row.effect)),
            ("p_value", numbers(&|row| row.p_value)),
            ("p_adjusted", numbers(&|row| row.p_adjusted)),
            ("genes", Column::String(rows().map(|(_, row)| genes(row)).collect())),
        ];
        columns.into_iter().map(|(name, column)| (name.to_owned(), column)).collect()
    }

    fn report(&self, tissue: &Tissue, request: &EnrichRequest) -> EnrichReport {
        let set = |row: &Row| SetReport {
            name: self.sets.names()[row.set].clone(),
            size: row.size,
            n_genes: row.genes.len(),
            effect: row.effect,
            p_adjusted: row.p_adjusted,
            genes: row.genes.iter().map(|&j| self.gene(tissue, j)).collect(),
        };
        let group = |found: &Enriched| GroupEnrichment {
            name: self.name(found).to_owned(),
            n_query: found.n_query,
            n_tested: found.rows.len(),
            n_significant: found.rows.iter().filter(|row| row.p_adjusted < SIGNIFICANT).count(),
            top: found.rows.iter().take(request.markers.comparison.n_top).map(set).collect(),
        };
        EnrichReport {
            groupby: self.explained.groups.key.clone(),
            method: request.options.method,
            n_sets: self.n_sets,
            n_matched: self.sets.matching().map_or(0, |m| m.n_matched),
            groups: self.groups.iter().map(group).collect(),
            scores: self.scores.iter().map(|(name, _)| name.clone()).collect(),
            seconds: Seconds::default(),
        }
    }

    /// `uns["enrichment"]`, and the scores as columns of `obs`.
    fn add(&self, tissue: &Tissue, request: &EnrichRequest, run: &mut Run<'_>) {
        let table = self.table(tissue, request.options.method);
        let n = table.first().map_or(0, |(_, column)| column.len());
        let index = (0..n).map(|i| i.to_string()).collect();
        let frame = DataFrame { index, columns: table.into_iter().collect(), ..DataFrame::default() };
        let files: Vec<String> = request
            .options
            .gene_sets
            .iter()
            .map(|path| path.file_name().map_or(String::new(), |n| n.to_string_lossy().into_owned()))
            .collect();
        let params = json!({
            "groupby": self.explained.groups.key,
            "reference": request.markers.comparison.reference,
            "method": request.options.method,
            "min_size": request.options.min_size,
            "max_size": request.options.max_size,
            "markers": MARKERS,
            "version": env!("CARGO_PKG_VERSION"),
        });
        let mut params: Value = without_nulls(params).into();
        if let Value::Dict(params) = &mut params {
            params.insert("gene_sets".to_owned(), Value::Array(Array::from(files)));
        }
        let target = run.target(self.explained.found[self.at].modality.key.as_deref());
        let entry = Value::from([("params", params), ("results", Value::Frame(frame))]);
        target.uns.insert("enrichment".to_owned(), entry);
        for (name, scores) in &self.scores {
            target.obs.insert(name.clone(), Column::Float64(scores.clone()));
        }
    }
}

/// Finds the gene sets behind the markers of the groups of a file.
///
/// # Errors
/// [`PipelineError`]; nothing is written then.
pub fn enrich_file(
    input: (&Path, &OpenOptions),
    outputs: &Outputs,
    request: &EnrichRequest,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<EnrichReport, PipelineError> {
    request.markers.validate()?;
    let mut run = Run::new(seed, monitor);
    let tissue = groups::open(input, outputs, &request.markers.wanted(), &mut run)?;
    let found = explain(&tissue, request, &mut run)?;
    let mut report = found.report(&tissue, request);
    found.add(&tissue, request, &mut run);
    let additions = additions(&tissue, &mut run);
    let sheet = match outputs.plot {
        Some(_) => Some(picture::sheet(&tissue, &found, request)?),
        None => None,
    };
    let table = found.table(&tissue, request.options.method);
    drop(found);
    outputs.write(tissue, &Results { additions, table, sheet }, &mut run)?;
    report.seconds = run.seconds;
    Ok(report)
}

/// The same of a tissue in memory.
///
/// # Errors
/// [`PipelineError`].
pub fn enrich_tissue(
    tissue: &Tissue,
    request: &EnrichRequest,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Answer<EnrichReport>, PipelineError> {
    request.markers.validate()?;
    let mut run = Run::new(seed, monitor);
    let found = explain(tissue, request, &mut run)?;
    let mut report = found.report(tissue, request);
    found.add(tissue, request, &mut run);
    let additions = additions(tissue, &mut run);
    let table = found.table(tissue, request.options.method);
    report.seconds = run.seconds;
    Ok(Answer { additions, tables: vec![("sets", table)], report })
}
