//! Which known sets of genes are behind a list, a ranking or a spot?
//!
//! Runs after genes are ranked, domain by domain, or on the spots themselves. Sets come from a file that the user has
//! the right to: none is shipped. Their names are matched to the measured genes once, and every method takes the result.
//!
//! * [`gmt`]: gene sets as text, parsed, with what was odd about them.
//! * [`matching`]: the genes of the sets among the measured ones.
//! * [`over_representation()`]: sets that hold more of a list than chance would give them.
//! * [`gsea_preranked()`]: sets whose genes gather at an end of a ranking.
//! * [`score_genes()`]: how strongly each spot expresses each set.
//! * `hypergeometric`: the tail under over-representation; `interner`: names as numbers, under `gmt`.

mod error;
pub mod gmt;
pub mod gsea_preranked;
mod hypergeometric;
mod interner;
pub mod matching;
pub mod over_representation;
pub mod score_genes;

pub use error::{Foreign, GeneSetError};
pub use gmt::{GeneSets, GmtFindings, parse_gmt};
pub use gsea_preranked::{Gsea, GseaOptions, gsea_preranked};
pub use matching::{IdKind, MatchOptions, MatchedSets, Matching, NameMatch, match_genes};
pub use over_representation::{
    Background, OverRepresentation, OverRepresentationOptions, over_representation,
};
pub use score_genes::{GeneScorer, ScoreGenesOptions, score_genes};
