//! `brodmann markers`: which genes, proteins or peaks tell a domain from the rest, or from its surroundings?
//!
//! * `table`: what was found, one row per group and gene, and as scanpy keeps it.
//! * `report`: for a person and as JSON.

mod picture;
mod report;
mod table;

use std::path::Path;

use brodmann_data::OpenOptions;
use brodmann_kernels::{Monitor, OptionError, Seed, Slices};
use serde::{Deserialize, Serialize};

use super::groups::{
    self, ContactsRequest, Groups, GroupsRequest, Wanted, additions, at_least_two, contacts,
};
use super::values::{LogRows, ValuesRequest};
use crate::pipeline::PipelineError;
use crate::pipeline::outputs::{Answer, Outputs, Results};
use crate::pipeline::request::{Place, check_key_added};
use crate::pipeline::run::{Run, Stage};
use crate::pipeline::said::Said;
use crate::pipeline::tissue::{ModalityInfo, Tissue};
use crate::stats::{
    GroupMarkers, MarkerGroups, MarkerOptions, Reference, Thresholds, markers as find_markers,
};

pub use report::{GroupReport, MarkerReport, MarkersReport, ModalityMarkers};

/// The command, and what its options belong to.
pub const MARKERS: &str = "markers";
/// `uns` key of the result, as scanpy calls it.
pub const RANK_GENES_GROUPS: &str = "rank_genes_groups";
/// A reference that is no group: all spots of other groups.
const REST: &str = "rest";
/// A reference that is no group: the spots around.
const NEIGHBORS: &str = "neighbors";

/// What groups are compared with, and what the result is called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ComparisonOptions {
    /// `rest`, `neighbors` (the spots of other groups around each), or the name of a group.
    pub reference: String,
    /// How many edges away a neighbour may be.
    pub n_hops: usize,
    /// Markers of each group that are told and drawn.
    pub n_top: usize,
    /// Name of the result; `rank_genes_groups` where nothing is said.
    pub key_added: Option<String>,
}

impl Default for ComparisonOptions {
    fn default() -> Self {
        Self { reference: REST.to_owned(), n_hops: 1, n_top: 5, key_added: None }
    }
}

/// Markers of the groups of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MarkersRequest {
    /// Which labels.
    pub groups: GroupsRequest,
    /// Which values.
    pub values: ValuesRequest,
    /// What they are compared with.
    pub comparison: ComparisonOptions,
    /// How.
    pub options: MarkerOptions,
    /// Which genes are called markers.
    pub thresholds: Thresholds,
    /// Which spots touch, where neighbours are the reference.
    pub contacts: ContactsRequest,
    /// Coordinates and slices.
    pub place: Place,
}

impl MarkersRequest {
    /// The request that options by name stand for.
    ///
    /// # Errors
    /// [`PipelineError::Option`], [`PipelineError::UnknownOption`].
    pub fn from_said(said: &Said) -> Result<Self, PipelineError> {
        let base = Self::default();
        let mut sections = said.sections();
        let preset: Option<String> = sections.one("preset", None)?;
        let thresholds = match preset.as_deref() {
            None => base.thresholds,
            Some(name) => Thresholds::preset(name).ok_or_else(|| {
                let known: Vec<&str> = Thresholds::PRESETS.iter().map(|(name, _)| *name).collect();
                PipelineError::option("preset", format!("{name:?}"), known.join(" or "))
            })?,
        };
        let request = Self {
            groups: sections.take(&base.groups)?,
            values: sections.take(&base.values)?,
            comparison: sections.take(&base.comparison)?,
            options: sections.take(&base.options)?,
            thresholds: sections.take(&thresholds)?,
            contacts: sections.take(&base.contacts)?,
            place: sections.take(&base.place)?,
        };
        sections.finish(MARKERS)?;
        Ok(request)
    }

    /// Name of the result.
    pub fn key(&self) -> &str {
        self.comparison.key_added.as_deref().unwrap_or(RANK_GENES_GROUPS)
    }

    pub(in crate::pipeline) fn validate(&self) -> Result<(), PipelineError> {
        self.values.validate()?;
        self.options.validate()?;
        self.thresholds.validate()?;
        if self.comparison.n_hops == 0 {
            return Err(OptionError::new("n_hops", 0, "at least 1").into());
        }
        check_key_added(self.key(), &[])
    }

    fn wants_neighbors(&self) -> bool {
        self.comparison.reference == NEIGHBORS
    }

    /// What is read of a file for it.
    pub(in crate::pipeline) fn wanted(&self) -> Wanted<'_> {
        Wanted {
            place: &self.place,
            groups: Some(&self.groups),
            columns: &[],
            values: Some(&self.values),
            graph: self.wants_neighbors(),
            obsm: &[],
        }
    }
}

/// The markers of one modality.
pub(in crate::pipeline) struct Found<'a> {
    pub modality: &'a ModalityInfo,
    /// Its genes as people call them, where the index has identifiers.
    pub names: Option<Vec<String>>,
    /// By group; the reference is left out.
    pub markers: Vec<GroupMarkers>,
    /// The values.
    pub rows: LogRows<'a>,
}

impl Found<'_> {
    /// What was compared.
    pub(in crate::pipeline) fn values(&self) -> &str {
        &self.rows.what
    }

    /// What gene `j` is called.
    pub(in crate::pipeline) fn name<'b>(&'b self, tissue: &'b Tissue, j: usize) -> &'b str {
        self.names.as_deref().unwrap_or_else(|| tissue.var_names(self.modality))[j].as_str()
    }
}

/// All that was found.
pub(in crate::pipeline) struct Explained<'a> {
    pub groups: Groups,
    pub slices: Option<Slices>,
    pub found: Vec<Found<'a>>,
}

/// Finds the markers of the groups of a tissue, modality by modality.
pub(in crate::pipeline) fn explain<'a>(
    tissue: &'a Tissue,
    request: &MarkersRequest,
    run: &mut Run<'_>,
) -> Result<Explained<'a>, PipelineError> {
    let monitor = run.monitor;
    let groups = groups::groups(tissue, &request.groups, monitor)?;
    at_least_two(&groups)?;
    let slices = groups::slices(tissue, &request.place, Some(&groups.key), run.monitor)?;
    let graph = if request.wants_neighbors() {
        Some(contacts(tissue, &request.contacts, &request.place, slices.as_ref(), run)?)
    } else {
        None
    };
    let reference = match (&graph, request.comparison.reference.as_str()) {
        (Some(graph), _) => {
            Reference::Neighborhood { graph: graph.view(), n_hops: request.comparison.n_hops }
        }
        (None, REST) => Reference::Rest,
        (None, name) => Reference::Group(groups.find("reference", name)?),
    };
    let several = slices.as_ref().filter(|slices| slices.count() > 1);
    let compared = MarkerGroups { labels: &groups.codes, reference, slices: several };
    let mut found = Vec::new();
    for modality in tissue.modalities_of(request.values.modality)? {
        let rows = LogRows::open(tissue, modality, &request.values, run)?;
        let markers =
            run.timed(Stage::Cluster, || find_markers(&rows, &compared, &request.options, monitor))?;
        let names = groups::gene_names(tissue, modality);
        found.push(Found { modality, names, markers, rows });
    }
    let unlabelled = groups.n_unlabelled();
    if unlabelled > 0 {
        monitor.note(&format!("{unlabelled} spot(s) without a label are in no comparison"));
    }
    Ok(Explained { groups, slices, found })
}

/// Adds the results as scanpy keeps them.
fn add(tissue: &Tissue, explained: &Explained<'_>, request: &MarkersRequest, run: &mut Run<'_>) {
    for found in &explained.found {
        let value = table::rank_genes_groups(tissue, found, explained, request, run.monitor);
        run.target(found.modality.key.as_deref()).uns.insert(request.key().to_owned(), value);
    }
}

/// Finds the markers of the groups of a file.
///
/// # Errors
/// [`PipelineError`]; nothing is written then.
pub fn markers_file(
    input: (&Path, &OpenOptions),
    outputs: &Outputs,
    request: &MarkersRequest,
    monitor: &dyn Monitor,
) -> Result<MarkersReport, PipelineError> {
    request.validate()?;
    let mut run = Run::new(Seed(0), monitor);
    let tissue = groups::open(input, outputs, &request.wanted(), &mut run)?;
    let explained = explain(&tissue, request, &mut run)?;
    let mut report = MarkersReport::new(&tissue, &explained, request);
    report.tell_doubts(monitor);
    add(&tissue, &explained, request, &mut run);
    let additions = additions(&tissue, &mut run);
    let sheet = match outputs.plot {
        Some(_) => Some(picture::sheet(&tissue, &explained, request)?),
        None => None,
    };
    let table = match outputs.table {
        Some(_) => table::columns(&tissue, &explained, request),
        None => Vec::new(),
    };
    drop(explained);
    outputs.write(tissue, &Results { additions, table, sheet }, &mut run)?;
    report.seconds = run.seconds;
    Ok(report)
}

/// The same of a tissue in memory.
///
/// # Errors
/// [`PipelineError`].
pub fn markers_tissue(
    tissue: &Tissue,
    request: &MarkersRequest,
    monitor: &dyn Monitor,
) -> Result<Answer<MarkersReport>, PipelineError> {
    request.validate()?;
    let mut run = Run::new(Seed(0), monitor);
    let explained = explain(tissue, request, &mut run)?;
    let mut report = MarkersReport::new(tissue, &explained, request);
    report.tell_doubts(monitor);
    add(tissue, &explained, request, &mut run);
    let additions = additions(tissue, &mut run);
    let table = table::columns(tissue, &explained, request);
    report.seconds = run.seconds;
    Ok(Answer { additions, tables: vec![("markers", table)], report })
}
