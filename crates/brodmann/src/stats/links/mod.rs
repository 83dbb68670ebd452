//! Which peaks regulate which genes, and in which domain?
//!
//! Runs after an embedding and domains are there, on a tissue with open chromatin and transcripts measured in the same
//! cells. Feature-guided optimal transport asks how the accessibility of peaks is best turned into the expression of
//! genes within reach on the genome, where moving between cells costs their distance in the embedding; what moves from a
//! peak to a gene within a domain is the strength of their link there.
//!
//! * [`annotation`]: where genes and peaks lie, and the names of both matched.
//! * [`window()`]: pairs of a peak and a gene within reach.
//! * [`cell_costs`]: what moving between cells costs.
//! * `flows`: what moves, pair by pair.
//! * `groups`: peaks that reach the same genes, and genes that reach the same peaks, as one.
//! * [`transport()`]: unbalanced transport with an entropic term, on the pairs and neighbouring cells alone.
//! * [`link_strengths()`]: the strength of each pair in each domain.
//! * [`specific_links()`]: strengths of one domain against the rest, with a permutation null.
//! * [`link_correlations()`]: what correlation says of the same pairs.
//! * [`export`]: links as BEDPE and longrange.

pub mod annotation;
pub mod cell_costs;
pub mod correlation;
mod error;
pub mod export;
mod flows;
mod groups;
mod masses;
pub mod specific;
pub mod strength;
#[cfg(test)]
mod tests;
pub mod transport;
pub mod window;

pub use annotation::{
    GeneMatching, GenePosition, GenePositions, Layout, PeakParsing, PeakPosition, PositionOptions, Strand,
    gene_positions, match_positions, parse_peak, parse_peaks,
};
pub use cell_costs::{Beyond, CellCosts};
pub use correlation::{LinkCorrelations, link_correlations};
pub use error::LinksError;
pub use export::{ExportedLink, bedpe, longrange};
pub use specific::{SpecificLinks, SpecificOptions, specific_links};
pub use strength::{LinkStrengths, link_strengths, scaled_by_gene};
pub use transport::{ComponentFate, Transport, TransportOptions, transport};
pub use window::{LinkPairs, PeakReach, WindowOptions, window};
