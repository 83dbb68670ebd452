//! What a report tells: plain data, filled by whoever has it.
//!
//! Only a title and one slice with coordinates are needed; what is left empty leaves no heading behind.

use std::sync::Arc;

use ndarray::Array2;

use super::table::Table;
use crate::plot::{ColorMap, Rgb, SpotShape};

/// Everything on the page.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What the report is of.
    pub title: String,
    /// A line below it: tissue, method, number of domains.
    pub subtitle: String,
    /// The answer in a few sentences, each a paragraph of its own.
    pub summary: Vec<String>,
    /// What the reader should know before believing the rest; shown first.
    pub notes: Vec<Note>,
    /// The tissue. Spots are counted through all slices in this order.
    pub slices: Vec<Slice>,
    /// What the maps can be coloured by, in the order of the list offered.
    pub columns: Vec<SpotColumn>,
    /// Which of `columns` are the domains: categories. The maps start with it, panels are of its categories.
    pub domains: Option<usize>,
    /// How sure each spot's domain is: numbers, read out with each spot.
    pub confidence: Option<Confidence>,
    /// What to set beside the domains at the start, the truth for instance. The reader can choose another.
    pub compare_with: Option<usize>,
    /// Categories (cell types, truth) whose shares are shown for each domain; counted here.
    pub composition_by: Vec<usize>,
    /// One per category of the domains, in their order, or none at all.
    pub domain_panels: Vec<DomainPanel>,
    /// Unit of [`DomainShapeRow`]'s lengths, `µm` for instance; areas are in its square. Empty: coordinates' own.
    pub shape_unit: String,
    /// Further chapters, with charts and tables.
    pub sections: Vec<Section>,
    /// How it was made, and how to repeat it.
    pub provenance: Provenance,
}

/// Which column says how sure the domains are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confidence {
    /// Index into [`Report::columns`]: numbers.
    pub column: usize,
}

/// A piece of tissue.
#[derive(Clone, Debug, Default)]
pub struct Slice {
    /// Its name.
    pub name: String,
    /// `(n_obs, 2)`: x and y. A spot whose place is not finite is counted but not drawn. No rows: no map, just the name.
    pub coordinates: Array2<f64>,
    /// True shape and size of a spot, in units of the coordinates; [`SpotShape::Auto`] looks at the neighbours.
    pub spot: SpotShape,
    /// Micrometres per unit of the coordinates, for the scale bar.
    pub um_per_unit: Option<f64>,
    /// Whether y grows upwards, as in a diagram; in pictures it grows downwards.
    pub y_up: bool,
    /// The stained tissue beneath the spots.
    pub picture: Option<Picture>,
    /// Names of the spots, one per row of the coordinates, or none.
    pub spot_names: Vec<String>,
}

/// A picture and where it lies.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// A PNG or JPEG file.
    pub bytes: Arc<[u8]>,
    /// `[a, b, c, d, e, f]`: the pixel's corner `(u, v)` lies at x = a·u + b·v + c, y = d·u + e·v + f.
    pub placement: [f64; 6],
}

impl Picture {
    /// A picture in which coordinates times `scale` are pixels (`tissue_lowres_scalef` and the like).
    pub fn scaled(bytes: Arc<[u8]>, scale: f64) -> Self {
        Self { bytes, placement: [1.0 / scale, 0.0, 0.0, 0.0, 1.0 / scale, 0.0] }
    }
}

/// A value per spot, all slices one after the other.
#[derive(Clone, Debug)]
pub struct SpotColumn {
    /// Its name, unique within the report if readers are to tell columns apart.
    pub name: String,
    /// The heading it is offered under: `Domains`, `Members`, `Uncertainty`, `Genes`.
    pub group: String,
    /// The values.
    pub values: SpotValues,
}

/// The values of a column.
#[derive(Clone, Debug)]
pub enum SpotValues {
    /// One of several categories.
    Categories {
        /// `(n_obs)`: index into `names`, `None` where there is none.
        codes: Vec<Option<u32>>,
        /// One per category.
        names: Vec<String>,
        /// One per category; matched to those of the domains by the caller.
        colors: Vec<Rgb>,
    },
    /// A number; not finite: none.
    Numbers {
        /// `(n_obs)`.
        values: Vec<f32>,
        /// How they are shown.
        scale: NumberScale,
    },
    /// A number that is 0 for all spots but a few: gene expression.
    Sparse {
        /// Spots that are not 0, ascending.
        rows: Vec<u32>,
        /// Their values; not finite: none.
        values: Vec<f32>,
        /// How they are shown.
        scale: NumberScale,
    },
}

/// How numbers are shown, and how finely they are kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NumberScale {
    /// `log1p counts`, `bits`; empty where there is none.
    pub unit: String,
    /// From low to high.
    pub color_map: ColorMap,
    /// The ends of the colours. What lies beyond is kept as the end; `None`: the least and the greatest value.
    pub limits: Option<(f32, f32)>,
    /// Steps between the ends.
    pub bits: NumberBits,
}

/// How finely numbers are kept in the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NumberBits {
    /// 254 steps: as many as colours can show.
    #[default]
    Eight,
    /// 65,534 steps, at twice the bytes: where the number itself is read.
    Sixteen,
}

/// What is in one domain. Sizes and shares need not be given: they are counted.
#[derive(Clone, Debug, Default)]
pub struct DomainPanel {
    /// A sentence or a few.
    pub summary: Vec<String>,
    /// Doubts: what is probably wrong says so.
    pub notes: Vec<Note>,
    /// The best first.
    pub markers: Vec<Marker>,
    /// The best first.
    pub gene_sets: Vec<GeneSet>,
    /// One per other domain.
    pub neighbors: Vec<Neighbor>,
    /// One per slice the domain is in.
    pub shapes: Vec<DomainShapeRow>,
    /// What it looks like under the microscope.
    pub patches: Vec<Patch>,
    /// Anything else.
    pub tables: Vec<Table>,
}

/// A gene that marks a domain. NaN: not known; a column that is not known for any gene is left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Marker {
    /// Its name.
    pub gene: String,
    /// Fold change, inside to outside.
    pub log2_fold_change: f64,
    /// Share of spots inside with at least one count, 0 to 1.
    pub fraction: f64,
    /// The same outside.
    pub fraction_reference: f64,
    /// Adjusted p-value.
    pub p_adjusted: f64,
    /// Area under the curve, 0.5: chance.
    pub auc: f64,
    /// In how many slices it holds, of how many that could be judged.
    pub slices: Option<(u32, u32)>,
}

/// A gene set found in a domain's genes.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneSet {
    /// Its name.
    pub name: String,
    /// What was computed of it: `NES`, `odds ratio`; the same for all of a panel.
    pub score_name: String,
    /// That score; NaN: not known.
    pub score: f64,
    /// Adjusted p-value, or false discovery rate.
    pub p_adjusted: f64,
    /// Genes of the set that were measured.
    pub size: usize,
    /// Those that made it count, the foremost first.
    pub genes: Vec<String>,
}

/// Another domain, as seen from one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbor {
    /// Which one: a category of the domains.
    pub domain: usize,
    /// Edges between the two.
    pub contacts: u64,
    /// Share of this domain's boundary that faces it, 0 to 1.
    pub boundary_share: f64,
    /// More or fewer contacts than by chance, in standard deviations; NaN: not known.
    pub z: f64,
}

/// A domain's shape in one slice; NaN: not known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DomainShapeRow {
    /// Index into [`Report::slices`].
    pub slice: usize,
    /// Area, in the square of [`Report::shape_unit`].
    pub area: f64,
    /// Length of the boundary.
    pub boundary_length: f64,
    /// 1: a disc.
    pub compactness: f64,
    /// 1: as wide as long.
    pub elongation: f64,
    /// Pieces it lies in.
    pub n_components: usize,
    /// Spots of the largest piece.
    pub largest_component: usize,
}

/// A picture of a piece of tissue.
#[derive(Clone, Debug)]
pub struct Patch {
    /// A PNG or JPEG file.
    pub bytes: Arc<[u8]>,
    /// Where it was taken; read out in place of the picture too.
    pub caption: String,
}

/// Something to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// How much it matters.
    pub severity: Severity,
    /// A sentence or two.
    pub text: String,
}

/// How much a note matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    #[default]
    Remark,
    /// A reason to look twice.
    Doubt,
    /// What is shown is probably wrong.
    Warning,
}

/// A chapter of the report.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// Its heading: `How sure are the domains?`.
    pub title: String,
    /// Paragraphs below it.
    pub text: Vec<String>,
    /// Pictures made elsewhere.
    pub illustrations: Vec<Illustration>,
    /// Tables.
    pub tables: Vec<Table>,
}

/// A picture made elsewhere.
#[derive(Clone, Debug)]
pub struct Illustration {
    /// Its heading.
    pub title: String,
    /// What is to be seen in it, for those who cannot.
    pub alt: String,
    /// The picture.
    pub graphic: Graphic,
}

/// The bytes of a chart.
#[derive(Clone, Debug)]
pub enum Graphic {
    /// SVG text. It is shown as a picture of its own: nothing in it can reach the page.
    Svg(String),
    /// A PNG or JPEG file.
    Bytes(Arc<[u8]>),
}

/// How the results were made.
#[derive(Clone, Debug, Default)]
pub struct Provenance {
    /// Commands that repeat it, one a line.
    pub commands: Vec<String>,
    /// Name and value, as are the following.
    pub inputs: Vec<(String, String)>,
    /// Options, with those left at their defaults.
    pub parameters: Vec<(String, String)>,
    /// Where randomness started.
    pub seeds: Vec<(String, String)>,
    /// Of programs and files.
    pub versions: Vec<(String, String)>,
    /// Step and seconds.
    pub timings: Vec<(String, f64)>,
    /// How the members of a consensus agree, and other tables.
    pub tables: Vec<Table>,
}

/// The categories of a column: codes, names, colours.
pub(super) type Categories<'a> = (&'a [Option<u32>], &'a [String], &'a [Rgb]);

impl SpotColumn {
    pub(super) fn categories(&self) -> Option<Categories<'_>> {
        match &self.values {
            SpotValues::Categories { codes, names, colors } => Some((codes, names, colors)),
            SpotValues::Numbers { .. } | SpotValues::Sparse { .. } => None,
        }
    }
}

impl Report {
    pub(super) fn domain_categories(&self) -> Option<Categories<'_>> {
        self.columns.get(self.domains?)?.categories()
    }

    pub(super) fn domain_names(&self) -> &[String] {
        self.domain_categories().map_or(&[], |(_, names, _)| names)
    }
}
