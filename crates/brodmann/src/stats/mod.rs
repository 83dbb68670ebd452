//! What varies over space, and how do labels lie in it?
//!
//! Runs after preprocessing, on a spatial graph or on coordinates; ranks genes, judges domains without a truth, and
//! describes them. Before it: spots of poor quality.
//!
//! Values:
//! * [`morans_i()`]: are neighbours alike, gene by gene or domain by domain.
//! * [`gearys_c()`]: how much neighbours differ, gene by gene.
//! * [`local_outliers()`]: which spots differ from their surroundings.
//! * [`spatial_de()`]: how much of a gene's variance is a smooth function of place.
//! * [`markers()`]: which genes tell a domain from the rest, or from its surroundings.
//! * [`links`]: which peaks regulate which genes, domain by domain.
//! * [`gene_sets`]: which known sets of genes are behind a list, a ranking or a spot.
//!
//! Labels, be they domains or cell types:
//! * [`neighborhood_enrichment()`]: which labels neighbour each other more often than by chance.
//! * [`co_occurrence()`]: which labels are found near each other, distance by distance.
//! * [`ripley()`]: at which distances the spots of a label are clustered or spread out.
//! * [`composition()`]: which cell types, or slices, domains consist of.
//! * [`domain_shape()`]: size, border, compactness, elongation and pieces of domains.
//! * [`domain_adjacency()`]: which domains border on which.
//! * [`domain_outlines()`]: domains as polygons.
//!
//! Both:
//! * [`benjamini_hochberg()`]: p-values of many tests.

mod autocorrelation;
pub mod benjamini_hochberg;
pub mod co_occurrence;
pub mod composition;
pub mod domain_adjacency;
pub mod domain_outlines;
pub mod domain_shape;
mod error;
pub mod gearys_c;
pub mod gene_sets;
mod labels;
pub mod links;
pub mod local_outliers;
pub mod markers;
pub mod morans_i;
pub mod neighborhood_enrichment;
mod pair_strips;
pub mod ripley;
pub mod spatial_de;
#[cfg(test)]
mod tests;

pub use autocorrelation::{Autocorrelation, AutocorrelationOptions, NullModel, Tail, Variables};
pub use benjamini_hochberg::benjamini_hochberg;
pub use co_occurrence::{CoOccurrence, Intervals, Reach, co_occurrence};
pub use composition::{Composition, composition};
pub use domain_adjacency::{DomainAdjacency, domain_adjacency};
pub use domain_outlines::{Outline, Polygon, domain_outlines};
pub use domain_shape::{DomainShape, DomainShapeOptions, DomainShapes, SpotCell, domain_shape};
pub use error::StatsError;
pub use gearys_c::gearys_c;
pub use labels::Labels;
pub use local_outliers::{LocalMetric, LocalOutlierOptions, LocalOutliers, Side, local_outliers};
pub use markers::{
    Expression, ExpressionRows, GroupMarkers, MarkerGroups, MarkerOptions, MarkerTest, Reference,
    SliceSupport, Thresholds, VisitRows, markers,
};
pub use morans_i::{morans_i, morans_i_of_labels};
pub use neighborhood_enrichment::{NeighborhoodEnrichment, neighborhood_enrichment};
pub use ripley::{
    EdgeCorrection, Envelope, NullPattern, PairNormalization, Ripley, RipleyFunction, RipleyOptions, Window,
    ripley,
};
pub use spatial_de::{SpatialDe, SpatialDeOptions, spatial_de};
