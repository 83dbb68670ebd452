//! Where on the genome are the genes and the peaks?
//!
//! Positions are 0-based and half-open, as in BED, whatever the file counts from: base 1 of a GTF file is position 0.
//!
//! * [`gene_positions`](mod@gene_positions): positions of genes from GTF, GFF3, BED or a table.
//! * [`peak_names`]: positions of peaks from their names.
//! * [`matching`]: the positions of the measured genes.

mod attributes;
pub mod gene_positions;
pub mod matching;
pub mod peak_names;
mod table;

pub use gene_positions::{GenePosition, GenePositions, Layout, Strand, gene_positions};
pub use matching::{GeneMatching, PositionOptions, match_positions};
pub use peak_names::{PeakParsing, PeakPosition, parse_peak, parse_peaks};

/// Names that an error shows of either side.
const EXAMPLES: usize = 3;

/// The name of a chromosome as it is compared: without `chr`, the mitochondrial one `MT`.
pub fn chromosome_key(name: &str) -> &str {
    let has_prefix = name.len() > 3 && name.is_char_boundary(3) && name[..3].eq_ignore_ascii_case("chr");
    let bare = if has_prefix { &name[3..] } else { name };
    if bare == "M" { "MT" } else { bare }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chromosomes_are_compared_without_their_prefix() {
        for (name, key) in [
            ("chr1", "1"),
            ("1", "1"),
            ("Chr2L", "2L"),
            ("chrM", "MT"),
            ("MT", "MT"),
            ("chr", "chr"),
            ("", ""),
        ] {
            assert_eq!(chromosome_key(name), key);
        }
        assert_eq!(chromosome_key("chr1_KI270706v1_random"), "1_KI270706v1_random");
        assert_eq!(chromosome_key("äöü1"), "äöü1");
    }
}
