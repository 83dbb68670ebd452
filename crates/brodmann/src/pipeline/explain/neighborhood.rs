//! `brodmann neighborhood`: which labels lie beside which, what are they made of, and what shape do they have?
//!
//! * `table`: pairs of labels, and labels slice by slice. `report`: for a person and as JSON.

mod report;
mod table;

use std::path::{Path, PathBuf};

use brodmann_data::{OpenOptions, Value, write_table};
use brodmann_kernels::{CsrMatrix, Monitor, Opt, Seed, Slices};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::charts;
use super::groups::{self, ContactsRequest, Groups, GroupsRequest, Wanted, additions, contacts};
use crate::pipeline::PipelineError;
use crate::pipeline::outputs::{Answer, Outputs, Results, check_table};
use crate::pipeline::picture::colors_key;
use crate::pipeline::request::Place;
use crate::pipeline::run::{Run, Stage};
use crate::pipeline::said::Said;
use crate::pipeline::tissue::Tissue;
use crate::plot::{Part, Sheet, match_colors};
use crate::stats::{
    CoOccurrence, Composition, DomainAdjacency, DomainShapeOptions, DomainShapes, Envelope, Intervals,
    NeighborhoodEnrichment, NullPattern, Reach, Ripley, RipleyOptions, co_occurrence, composition,
    domain_adjacency, domain_shape, neighborhood_enrichment, ripley,
};

pub use report::{NeighborReport, NeighborhoodReport, ShapeReport};

/// The command, and what its options belong to.
pub const NEIGHBORHOOD: &str = "neighborhood";
/// A value beyond all of so many simulations has a two-sided p of .1 at a radius chosen beforehand.
const SIMULATIONS: usize = 19;

/// What is looked at besides contacts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NeighborhoodOptions {
    /// `obs` columns that the groups are made up of: cell types, the slice, a truth.
    pub composition: Vec<String>,
    /// How likely labels are near each other, distance by distance: this many steps; 0 for none.
    pub co_occurrence: usize,
    /// Ripley's L, whether the spots of a label are clustered or spread out, radius by radius: this many; 0 for none.
    pub ripley: usize,
    /// Times that labels are dealt anew, to see what L would be by chance.
    pub ripley_simulations: usize,
    /// The largest of these distances and radii.
    pub max_distance: Option<f64>,
}

impl Default for NeighborhoodOptions {
    fn default() -> Self {
        Self {
            composition: Vec::new(),
            co_occurrence: 0,
            ripley: 0,
            ripley_simulations: SIMULATIONS,
            max_distance: None,
        }
    }
}

/// The surroundings of the groups of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NeighborhoodRequest {
    /// Which labels.
    pub groups: GroupsRequest,
    /// What is looked at.
    pub options: NeighborhoodOptions,
    /// Which spots touch.
    pub contacts: ContactsRequest,
    /// Coordinates and slices.
    pub place: Place,
}

impl NeighborhoodRequest {
    /// The request that options by name stand for.
    ///
    /// # Errors
    /// [`PipelineError::Option`], [`PipelineError::UnknownOption`].
    pub fn from_said(said: &Said) -> Result<Self, PipelineError> {
        let base = Self::default();
        let mut sections = said.sections();
        let request = Self {
            groups: sections.take(&base.groups)?,
            options: sections.take(&base.options)?,
            contacts: sections.take(&base.contacts)?,
            place: sections.take(&base.place)?,
        };
        sections.finish(NEIGHBORHOOD)?;
        request.validate()?;
        Ok(request)
    }

    fn validate(&self) -> Result<(), PipelineError> {
        match self.options.max_distance {
            Some(distance) if !(distance.is_finite() && distance > 0.0) => {
                Err(PipelineError::option("max_distance", distance, "a length above 0"))
            }
            Some(_) if self.options.co_occurrence == 0 && self.options.ripley == 0 => {
                let expected = format!(
                    "a number of distances with {} or {}, since none is looked at without",
                    Opt("co_occurrence"),
                    Opt("ripley")
                );
                Err(PipelineError::option("max_distance", "given alone", expected))
            }
            _ => Ok(()),
        }
    }
}

/// All that was found.
pub(in crate::pipeline) struct Found {
    pub groups: Groups,
    pub slices: Option<Slices>,
    /// Which spots touch.
    pub graph: CsrMatrix<f64>,
    pub enrichment: NeighborhoodEnrichment,
    pub adjacency: DomainAdjacency,
    pub shapes: Option<DomainShapes>,
    pub unit: Option<String>,
    pub co_occurrence: Option<CoOccurrence>,
    pub ripley: Option<Ripley>,
    /// By `obs` column.
    pub compositions: Vec<(Groups, Composition)>,
}

/// Shapes, where spots lie in a plane.
fn shapes(
    coordinates: &Array2<f64>,
    groups: &Groups,
    graph: &CsrMatrix<f64>,
    slices: Option<&Slices>,
    monitor: &dyn Monitor,
) -> Result<Option<DomainShapes>, PipelineError> {
    if coordinates.ncols() != 2 {
        monitor.note("coordinates are not of a plane: shapes are left out");
        return Ok(None);
    }
    let options = DomainShapeOptions::default();
    Ok(Some(domain_shape(coordinates.view(), groups.labels(), graph.view(), slices, &options)?))
}

/// Looks at the surroundings of the groups of a tissue.
pub(in crate::pipeline) fn explain(
    tissue: &Tissue,
    request: &NeighborhoodRequest,
    run: &mut Run<'_>,
) -> Result<Found, PipelineError> {
    let monitor = run.monitor;
    let groups = groups::groups(tissue, &request.groups, monitor)?;
    let slices = groups::slices(tissue, &request.place, Some(&groups.key), run.monitor)?;
    let coordinates = tissue.coordinates(&request.place.spatial_key)?;
    let graph = contacts(tissue, &request.contacts, &request.place, slices.as_ref(), run)?;
    monitor.stage("neighbours of labels", 0);
    let of = slices.as_ref();
    let enrichment =
        run.timed(Stage::Cluster, || neighborhood_enrichment(graph.view(), groups.labels(), of, monitor))?;
    let adjacency = run.timed(Stage::Cluster, || domain_adjacency(graph.view(), groups.labels()))?;
    let shapes = run.timed(Stage::Cluster, || shapes(&coordinates, &groups, &graph, of, monitor))?;
    let co_occurrence = match request.options.co_occurrence {
        0 => None,
        n_steps => {
            monitor.stage("labels near each other", 0);
            let intervals =
                Intervals::Even { n_edges: n_steps.saturating_add(1), longest: request.options.max_distance };
            let labels = groups.labels();
            Some(run.timed(Stage::Cluster, || {
                co_occurrence(coordinates.view(), labels, of, &intervals, Reach::default(), monitor)
            })?)
        }
    };
    let ripley =
        match request.options.ripley {
            0 => None,
            _ if coordinates.ncols() != 2 => {
                monitor.note("coordinates are not of a plane: Ripley's L is left out");
                None
            }
            n_radii => {
                let n_simulations = request.options.ripley_simulations;
                let options = RipleyOptions {
                    radii: Intervals::Even {
                        n_edges: n_radii.saturating_add(1),
                        longest: request.options.max_distance,
                    },
                    // Dealt labels have the same edges: what falls short there falls short in both.
                    envelope: (n_simulations > 0)
                        .then_some(Envelope { null: NullPattern::RandomLabels, n_simulations }),
                    ..RipleyOptions::default()
                };
                let (labels, seed) = (groups.labels(), run.seed);
                Some(run.timed(Stage::Cluster, || {
                    ripley(coordinates.view(), labels, of, &options, seed, monitor)
                })?)
            }
        };
    let mut compositions = Vec::new();
    for key in &request.options.composition {
        let mut parts = groups::named_groups(tissue, "composition", key)?;
        if tissue.uns(&colors_key(key)).is_none() {
            // The same region has the same colour, whoever drew it.
            parts.colors = match_colors(&groups.codes, &parts.codes, &groups.colors, parts.names.len());
        }
        let found = composition(groups.labels(), parts.labels())?;
        compositions.push((parts, found));
    }
    let unit = tissue.coordinate_unit();
    Ok(Found {
        groups,
        slices,
        graph,
        enrichment,
        adjacency,
        shapes,
        unit,
        co_occurrence,
        ripley,
        compositions,
    })
}

/// Adds what squidpy keeps under its keys, and the tables under ours.
fn add(found: &Found, run: &mut Run<'_>) {
    let uns = &mut run.target(None).uns;
    let key = &found.groups.key;
    let enrichment = Value::from([
        ("zscore", Value::from(found.enrichment.z_score.clone())),
        ("count", Value::from(found.enrichment.counts.clone())),
        ("expected", Value::from(found.enrichment.expected.clone())),
        ("pvals_adj", Value::from(found.enrichment.p_adjusted.clone())),
    ]);
    uns.insert(format!("{key}_nhood_enrichment"), enrichment);
    if let Some(near) = &found.co_occurrence {
        let entries = Value::from([
            ("occ", Value::Array(near.ratio.clone().into_dyn().into())),
            ("interval", Value::from(near.interval.clone())),
        ]);
        uns.insert(format!("{key}_co_occurrence"), entries);
    }
    if let Some(ripley) = &found.ripley {
        let entries = Value::from([
            ("L_stat", table::frame(table::squidpy_ripley(found, ripley))),
            ("bins", Value::from(ripley.radii.clone())),
        ]);
        uns.insert(format!("{key}_ripley_L"), entries);
    }
    for (parts, composition) in &found.compositions {
        let entries = Value::from([
            ("counts", Value::from(composition.counts.mapv(|n| n as f64))),
            ("groups", Value::from(found.groups.names.clone())),
            ("parts", Value::from(parts.names.clone())),
        ]);
        uns.insert(format!("{key}_composition_{}", parts.key.replace('/', "_")), entries);
    }
    if let Some(shapes) = table::shapes(found) {
        uns.insert(format!("{key}_shape"), table::frame(shapes));
    }
}

/// Looks at the surroundings of the groups of a file; `shapes`: where the table of labels goes, slice by slice; `seed`: for
/// labels that are dealt anew.
///
/// # Errors
/// [`PipelineError`]; nothing is written then.
pub fn neighborhood_file(
    input: (&Path, &OpenOptions),
    (outputs, shapes): (&Outputs, Option<&PathBuf>),
    request: &NeighborhoodRequest,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<NeighborhoodReport, PipelineError> {
    if let Some(path) = shapes {
        check_table(input.0, path)?;
    }
    let mut run = Run::new(seed, monitor);
    let columns: Vec<&str> = request.options.composition.iter().map(String::as_str).collect();
    let wanted = Wanted {
        place: &request.place,
        groups: Some(&request.groups),
        columns: &columns,
        values: None,
        graph: true,
        obsm: &[],
    };
    let tissue = groups::open(input, outputs, &wanted, &mut run)?;
    let found = explain(&tissue, request, &mut run)?;
    let mut report = NeighborhoodReport::new(&tissue, &found);
    add(&found, &mut run);
    let additions = additions(&tissue, &mut run);
    let sheet = match outputs.plot {
        Some(_) => Some(sheet(&tissue, &found, request)?),
        None => None,
    };
    let table = table::pairs(&found);
    outputs.write(tissue, &Results { additions, table, sheet }, &mut run)?;
    if let (Some(path), Some(columns)) = (shapes, table::shapes(&found)) {
        run.timed(Stage::Write, || write_table(path, &columns))?;
    }
    report.seconds = run.seconds;
    Ok(report)
}

/// The same of a tissue in memory, with tables of pairs and of shapes.
///
/// # Errors
/// [`PipelineError`].
pub fn neighborhood_tissue(
    tissue: &Tissue,
    request: &NeighborhoodRequest,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Answer<NeighborhoodReport>, PipelineError> {
    let mut run = Run::new(seed, monitor);
    let found = explain(tissue, request, &mut run)?;
    let mut report = NeighborhoodReport::new(tissue, &found);
    add(&found, &mut run);
    let additions = additions(tissue, &mut run);
    let mut tables = vec![("pairs", table::pairs(&found))];
    tables.extend(table::shapes(&found).map(|shapes| ("shapes", shapes)));
    tables.extend(found.ripley.as_ref().map(|ripley| ("ripley", table::ripley(&found, ripley))));
    report.seconds = run.seconds;
    Ok(Answer { additions, tables, report })
}

/// The page: a map of the groups, who lies beside whom, what they are made up of, and who is near whom.
fn sheet(tissue: &Tissue, found: &Found, request: &NeighborhoodRequest) -> Result<Sheet, PipelineError> {
    let coordinates = tissue.coordinates(&request.place.spatial_key)?;
    let maps = groups::maps(tissue, &coordinates, found.slices.as_ref(), Some(&found.groups), Vec::new());
    let mut parts = vec![Part::Maps(Box::new(maps))];
    parts.push(Part::Plots(vec![charts::border_matrix(found), charts::contact_matrix(found)]));
    let curves = [charts::co_occurrence_curves(found), charts::ripley_curves(found)];
    for plots in std::iter::once(charts::composition_bars(found)).chain(curves) {
        if !plots.is_empty() {
            parts.push(Part::Plots(plots));
        }
    }
    Ok(Sheet { parts, ..Sheet::default() })
}
