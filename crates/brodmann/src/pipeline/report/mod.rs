//! `brodmann report`: what was found in a tissue, as one file that people forward.
//!
//! Everything here is gathered: markers, neighbours and gene sets as their own commands find them
//! ([`super::explain`]), records as methods left them. How the page looks is [`crate::report`]'s.
//!
//! * `columns`: what the maps can be coloured by. `panels`: what is in each domain.
//! * `charts`: pictures beside them. `slides`: the tissue under the microscope. `provenance`: how it was made.

mod charts;
mod columns;
mod panels;
mod provenance;
mod slides;

use std::path::{Path, PathBuf};

use brodmann_data::{ReadOptions, Select, check_output, keys};
use brodmann_kernels::{Monitor, Seed, Slices};
use serde::{Deserialize, Serialize};

use super::PipelineError;
use super::cohort::Cohort;
use super::explain::enrich::{self, EnrichOptions, EnrichRequest};
use super::explain::groups::{self, ContactsRequest, Groups, GroupsRequest};
use super::explain::markers::{self, MarkersRequest};
use super::explain::neighborhood::{self, NeighborhoodOptions, NeighborhoodRequest};
use super::explain::values::ValuesRequest;
use super::histology::SlideOptions;
use super::histology::slides::{Placed, placed};
use super::picture::{image_of, library, slice_column, spot, spot_diameter};
use super::qc::GENE_NAMES;
use super::request::Place;
use super::run::{Run, Seconds, Stage};
use super::said::Said;
use super::tissue::{Inputs, Opening, Tissue};
use crate::plot::{SpotShape, detect_shape, rgb_png};
use crate::report::{Picture, Report, Slice, write_report};

/// The command, and what its options belong to.
pub const REPORT: &str = "report";
/// The ending of a report.
const ENDING: &str = "html";

/// What is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReportOptions {
    /// Its title; the name of the input where nothing is said.
    pub title: Option<String>,
    /// `obs` column of the known domains; `ground_truth` where it is there and nothing is said.
    pub truth: Option<String>,
    /// Features that maps can be coloured by, besides the first markers.
    pub genes: Vec<String>,
    /// Markers of each domain in its table.
    pub n_markers: usize,
    /// Of them, those that maps can be coloured by.
    pub n_maps: usize,
    /// Files of gene sets (GMT).
    pub gene_sets: Vec<PathBuf>,
    /// Leave out the histology picture.
    pub no_image: bool,
}

impl Default for ReportOptions {
    fn default() -> Self {
        Self {
            title: None,
            truth: None,
            genes: Vec::new(),
            n_markers: 25,
            n_maps: 5,
            gene_sets: Vec::new(),
            no_image: false,
        }
    }
}

/// A report of files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReportRequest {
    /// Which labels are the domains.
    pub groups: GroupsRequest,
    /// What is told.
    pub options: ReportOptions,
    /// Which values.
    pub values: ValuesRequest,
    /// Which spots touch.
    pub contacts: ContactsRequest,
    /// Coordinates and slices.
    pub place: Place,
    /// A slide beneath the maps, from which each domain shows patches.
    pub slide: SlideOptions,
}

impl ReportRequest {
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
            values: sections.take(&base.values)?,
            contacts: sections.take(&base.contacts)?,
            place: sections.take(&base.place)?,
            slide: sections.take(&base.slide)?,
        };
        sections.finish(REPORT)?;
        request.validate()?;
        Ok(request)
    }

    fn validate(&self) -> Result<(), PipelineError> {
        self.slide.validate()?;
        if self.options.no_image && self.slide.is_asked_for() {
            return Err(PipelineError::option("no_image", "given beside a slide", "one of the two alone"));
        }
        Ok(())
    }

    /// What the parts are asked for, the slices being told apart by `library_key`.
    fn markers(&self, library_key: Option<&str>) -> MarkersRequest {
        let mut request = MarkersRequest {
            groups: self.groups.clone(),
            values: self.values.clone(),
            contacts: self.contacts.clone(),
            place: Place { library_key: library_key.map(str::to_owned), ..self.place.clone() },
            ..MarkersRequest::default()
        };
        request.comparison.n_top = self.options.n_markers;
        request
    }
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReportSummary {
    /// The file.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: usize,
    /// Observations.
    pub n_obs: usize,
    /// Slices.
    pub n_slices: usize,
    /// `obs` column of the domains.
    pub groupby: String,
    /// Domains.
    pub n_domains: usize,
    /// Features that maps can be coloured by.
    pub n_features: usize,
    /// Wall-clock seconds of each stage.
    pub seconds: Seconds,
}

impl ReportSummary {
    /// The report as lines for a person.
    pub fn lines(&self) -> Vec<String> {
        vec![format!(
            "{}: {} domains of {} spots on {} slice(s), {:.1} MB; open it in a browser",
            self.path.display(),
            self.n_domains,
            self.n_obs,
            self.n_slices,
            self.bytes as f64 / 1e6
        )]
    }
}

fn read_options(request: &ReportRequest) -> ReadOptions {
    let mut read = ReadOptions::names_only();
    read.obs = Select::All;
    read.uns = Select::All;
    read.var = Select::only(GENE_NAMES.into_iter().chain([keys::FEATURE_TYPES]));
    read.obsm = Select::only([&request.place.spatial_key]);
    read.obsp = Select::only([keys::SPATIAL_CONNECTIVITIES]);
    read
}

/// Writes a report of files.
///
/// # Inputs
/// `inputs`: one file of one slice or (with a library key) of several, or several files, a slice each, whose domains
/// mean the same. `output`: a .html, which is replaced.
/// # Errors
/// [`PipelineError`]; nothing is written then.
pub fn report_files(
    inputs: &Inputs,
    output: &Path,
    request: &ReportRequest,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<ReportSummary, PipelineError> {
    if output.extension().is_none_or(|e| !e.eq_ignore_ascii_case(ENDING)) {
        let path = output.display().to_string();
        return Err(PipelineError::OutputEnding { path, expected: ".html" });
    }
    request.validate()?;
    for input in &inputs.paths {
        check_output(input, output)?;
    }
    let mut run = Run::new(seed, monitor);
    let (read, features) = (read_options(request), request.values.features());
    let opening = Opening {
        source: &inputs.options,
        read: &read,
        kind: request.values.modality,
        place: Some(&request.place),
        features: Some(&features),
        labelled: None,
    };
    let named = request.place.library_key.as_deref();
    let cohort = run.timed(Stage::Read, || Cohort::open(&inputs.paths, &opening, named, monitor))?;
    let tissue = &cohort.tissue;
    let labels = groups::present(tissue, &request.groups).and_then(|present| present.groupby);
    let found = || slice_column(tissue, monitor).filter(|key| labels.as_ref() != Some(key));
    let joined = cohort.library_key.clone().or_else(found);
    let gathered = gather(tissue, joined.as_deref(), inputs, request, &mut run)?;
    monitor.stage("writing the report", 0);
    let mut page = Vec::new();
    run.timed(Stage::Write, || -> Result<(), PipelineError> {
        write_report(&gathered.report, &mut page)?;
        brodmann_data::write_bytes(output, &page)?;
        Ok(())
    })?;
    Ok(ReportSummary {
        path: output.to_path_buf(),
        bytes: page.len(),
        n_obs: tissue.n_obs(),
        n_slices: gathered.report.slices.len(),
        groupby: gathered.groupby,
        n_domains: gathered.n_domains,
        n_features: gathered.n_features,
        seconds: run.seconds,
    })
}

/// The report, and what is said of it.
struct Gathered {
    report: Report,
    groupby: String,
    n_domains: usize,
    n_features: usize,
}

/// Everything the page shows.
fn gather(
    tissue: &Tissue,
    library_key: Option<&str>,
    inputs: &Inputs,
    request: &ReportRequest,
    run: &mut Run<'_>,
) -> Result<Gathered, PipelineError> {
    let monitor = run.monitor;
    let of_markers = request.markers(library_key);
    let behind = if request.options.gene_sets.is_empty() {
        None
    } else {
        let options =
            EnrichOptions { gene_sets: request.options.gene_sets.clone(), ..EnrichOptions::default() };
        let request = EnrichRequest { markers: of_markers.clone(), options };
        Some(enrich::explain(tissue, &request, run)?)
    };
    let alone = match &behind {
        Some(_) => None,
        None => Some(markers::explain(tissue, &of_markers, run)?),
    };
    let Some(explained) = behind.as_ref().map(|b| &b.explained).or(alone.as_ref()) else {
        return Err(PipelineError::option("groupby", "not given", "the obs column of the domains"));
    };
    let key = explained.groups.key.clone();
    let around = NeighborhoodRequest {
        groups: GroupsRequest { groupby: Some(key.clone()) },
        options: NeighborhoodOptions::default(),
        contacts: request.contacts.clone(),
        place: of_markers.place.clone(),
    };
    let around = neighborhood::explain(tissue, &around, run)?;
    let one = Slices::one(tissue.n_obs());
    let slices = explained.slices.as_ref().unwrap_or(&one);
    // Spots are told slice by slice.
    let order: Vec<usize> = slices.rows().iter().flatten().map(|&i| i as usize).collect();
    let (columns, maps) = run
        .timed(Stage::Read, || columns::columns(tissue, explained, &of_markers, request, &order, monitor))?;
    let sections = charts::sections(tissue, explained, &around, behind.as_ref(), &of_markers, run)?;
    let placed = if request.slide.is_asked_for() {
        placed(tissue, &request.slide, (&request.place.spatial_key, explained.slices.as_ref()), monitor)?
    } else {
        Vec::new()
    };
    let mut panels = panels::panels(tissue, explained, &around, behind.as_ref(), &of_markers);
    if !placed.is_empty() {
        let (of, graph) = ((&explained.groups, slices), &around.graph);
        let all = slides::of_groups(tissue, &placed, of, graph, &request.slide, monitor)?;
        for (panel, patches) in panels.iter_mut().zip(all) {
            panel.patches = patches;
        }
    }
    let mut report = Report {
        title: request.options.title.clone().unwrap_or_else(|| title(inputs)),
        slices: pieces(tissue, slices, &placed, request, monitor)?,
        columns: columns.all,
        domains: Some(0),
        confidence: columns.confidence,
        compare_with: columns.truth,
        composition_by: columns.composition,
        domain_panels: panels,
        shape_unit: around.unit.clone().unwrap_or_default(),
        sections,
        ..Report::default()
    };
    provenance::tell(tissue, explained, inputs, (request, &of_markers.thresholds), &mut report);
    Ok(Gathered { report, groupby: key, n_domains: explained.groups.names.len(), n_features: maps })
}

/// The names of the inputs.
fn title(inputs: &Inputs) -> String {
    let name = |path: &PathBuf| {
        path.file_stem()
            .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
    };
    match &inputs.paths[..] {
        [one] => name(one),
        several => {
            format!("{} and {} more", several.first().map(name).unwrap_or_default(), several.len() - 1)
        }
    }
}

/// Micrometres that a unit of the coordinates measures, where the file says it.
fn micrometres(unit: Option<&str>) -> Option<f64> {
    match unit? {
        "micrometre" | "micrometer" | "micron" | "um" | "µm" | "μm" => Some(1.0),
        "millimetre" | "millimeter" | "mm" => Some(1000.0),
        _ => None,
    }
}

/// The slices with their pictures.
fn pieces(
    tissue: &Tissue,
    slices: &Slices,
    placed: &[Placed],
    request: &ReportRequest,
    monitor: &dyn Monitor,
) -> Result<Vec<Slice>, PipelineError> {
    let coordinates = tissue.coordinates(&request.place.spatial_key)?;
    let um_per_unit = micrometres(tissue.coordinate_unit().as_deref());
    let mut pieces = Vec::new();
    for (slice, rows) in slices.rows().iter().enumerate() {
        let rows: Vec<usize> = rows.iter().map(|&i| i as usize).collect();
        let name = if slices.count() > 1 { slices.label(slice) } else { String::new() };
        let mut own = coordinates.select(ndarray::Axis(0), &rows);
        if own.ncols() > 2 {
            own = own.select(ndarray::Axis(1), &[0, 1]);
        }
        let library = library(tissue, &name);
        let slide = placed.iter().find(|placed| placed.rows == rows);
        let kept = || image_of(library, monitor).filter(|_| !request.options.no_image);
        let picture = match slide {
            Some(placed) => Some(slides::beneath(placed, slices.count())?),
            None => match kept() {
                Some(image) => {
                    let png = rgb_png(image.width, image.height, &image.rgb)?;
                    Some(Picture::scaled(png.into(), image.scale))
                }
                None => None,
            },
        };
        pieces.push(Slice {
            spot: match spot(None, spot_diameter(library), &own) {
                SpotShape::Auto => detect_shape(own.view()),
                known => known,
            },
            coordinates: own,
            um_per_unit,
            y_up: false,
            picture,
            spot_names: rows.iter().map(|&i| tissue.obs_names()[i].clone()).collect(),
            name: if name.is_empty() { "Tissue".to_owned() } else { name },
        });
    }
    // A slice that was cut askew looks like another lattice: one tissue is drawn in one way.
    let kind = |piece: &Slice| std::mem::discriminant(&piece.spot);
    if pieces.iter().any(|piece| kind(piece) != kind(&pieces[0])) {
        for piece in &mut pieces {
            piece.spot = match piece.spot {
                SpotShape::Square { side: diameter, .. } | SpotShape::Hexagon { pitch: diameter, .. } => {
                    SpotShape::Circle { diameter }
                }
                as_it_is => as_it_is,
            };
        }
    }
    Ok(pieces)
}

/// Spots with a label.
fn n_labelled(groups: &Groups) -> usize {
    groups.codes.iter().flatten().count()
}
