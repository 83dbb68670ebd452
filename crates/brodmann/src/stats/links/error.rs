//! Why links between peaks and genes could not be found.

// Fields are named after what the messages say of them.
#![expect(missing_docs)]

use brodmann_kernels::{Diagnosis, Interrupted, OptionError};

use super::annotation::Layout;

/// Why links between peaks and genes could not be found.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LinksError {
    /// The text cannot be read to its end.
    #[error("the gene positions cannot be read after line {line}: {reason}")]
    Unreadable { line: usize, reason: String },
    /// Not a line with a position.
    #[error("the file of gene positions has no lines to read; expected one gene per line")]
    Empty,
    /// Neither GTF nor GFF3, BED or a table.
    #[error(
        "line {line} of the gene positions is `{excerpt}`; expected GTF or GFF3, BED with a name, or a table whose header names `gene`, `chrom` and `start` and `end` or `tss`"
    )]
    UnknownLayout { line: usize, excerpt: String },
    /// A line of another form than those before.
    #[error("line {line} of the gene positions ({layout}) is `{excerpt}`; expected {expected}")]
    BadLine { line: usize, layout: Layout, excerpt: String, expected: &'static str },
    /// Lines, but no gene among them.
    #[error(
        "none of the {n_lines} lines of the gene positions ({layout}) is a gene or a transcript; expected at least one"
    )]
    NoGenes { n_lines: usize, layout: Layout },
    /// Variables and positions do not meet.
    #[error(
        "{n_matched} of the {n_measured} measured genes have a position; expected at least {expected}. The data have {}, the positions {}",
        quoted(.measured), quoted(.positioned)
    )]
    FewGenesMatched {
        n_matched: usize,
        n_measured: usize,
        expected: usize,
        measured: Vec<String>,
        positioned: Vec<String>,
        case_differs: bool,
    },
    /// Names of peaks that hold no positions.
    #[error(
        "{n_parsed} of the {n_peaks} names of peaks are positions; expected at least {expected} such as `chr1:1000-1500`. Others are {}",
        quoted(.others)
    )]
    FewPeaksParsed { n_parsed: usize, n_peaks: usize, expected: usize, others: Vec<String> },
    /// Both have positions, on chromosomes of other names.
    #[error(
        "no chromosome has both a gene and a peak; expected at least one that has. Genes lie on {}, peaks on {}",
        quoted(.of_genes), quoted(.of_peaks)
    )]
    NoSharedChromosome { of_genes: Vec<String>, of_peaks: Vec<String> },
    /// No peak is near a gene.
    #[error(
        "none of {n_peaks} peaks lies within {window} bases of any of {n_genes} genes; expected at least one"
    )]
    NoPairs { n_peaks: usize, n_genes: usize, window: u64 },
    /// Matrices, graph or labels of other sizes.
    #[error("{what} has {found} {of}; expected {expected}")]
    Size { what: &'static str, found: usize, of: &'static str, expected: usize },
    /// More than can be numbered.
    #[error("there are {found} {what}; expected at most {limit}")]
    TooMany { what: &'static str, found: usize, limit: usize },
    /// NaN or infinity in a matrix.
    #[error("{what} holds {value} in spot {row}, column {column}; expected finite numbers")]
    NonFinite { what: &'static str, row: usize, column: usize, value: String },
    /// A distance that is none.
    #[error(
        "the graph of the embedding holds the distance {value} in row {row}; expected finite numbers of at least 0"
    )]
    BadDistance { row: usize, value: String },
    /// Nothing to move.
    #[error("{what} is 0 throughout; expected some positive values")]
    NoMass { what: &'static str },
    /// A label beyond the number of domains.
    #[error("spot {row} has the label {label}; expected a number below {n_domains}, the number of domains")]
    LabelOutOfRange { row: usize, label: u32, n_domains: usize },
    /// An option out of its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// `` `a`, `b` and `c` ``, or `none`.
fn quoted(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
    match quoted.as_slice() {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

impl Diagnosis for LinksError {
    fn origin(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Option(e) => Some(e),
            Self::Interrupted(e) => Some(e),
            _ => None,
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable { .. } | Self::Empty => {
                "check that the file was downloaded or written completely".to_owned()
            }
            Self::UnknownLayout { .. } => {
                "give the annotation the counts were made with, a GTF file for instance".to_owned()
            }
            Self::BadLine { .. } => "correct or remove the line".to_owned(),
            Self::NoGenes { .. } => "give an annotation of genes".to_owned(),
            Self::FewGenesMatched { case_differs: true, .. } => {
                "give the annotation of the right species; names agree but for upper and lower case"
                    .to_owned()
            }
            Self::FewGenesMatched { .. } => {
                "give an annotation of the same species that has these names".to_owned()
            }
            Self::FewPeaksParsed { .. } => {
                "name the peaks by chromosome, start and end, or choose the modality that holds peaks"
                    .to_owned()
            }
            Self::NoSharedChromosome { .. } => {
                "give the annotation of the genome that the peaks were called on".to_owned()
            }
            Self::NoPairs { .. } => {
                "widen the window, or give the annotation of the genome that the peaks were called on"
                    .to_owned()
            }
            Self::Size { .. } => "take all from the same data".to_owned(),
            Self::TooMany { .. } => "choose fewer genes or peaks, or a smaller window".to_owned(),
            Self::NonFinite { .. } => "remove such spots or normalise the counts again".to_owned(),
            Self::BadDistance { .. } => "build the graph again".to_owned(),
            Self::NoMass { .. } => "give counts, or counts of which logarithms were taken".to_owned(),
            Self::LabelOutOfRange { .. } => "number the domains from 0".to_owned(),
            _ => return self.origin()?.advice(),
        })
    }
}

#[cfg(test)]
mod tests {
    use brodmann_kernels::proofread::flaw;

    use super::*;

    #[test]
    fn errors_read_as_sentences() {
        let names = |n: usize| (0..n).map(|k| format!("name{k}")).collect::<Vec<_>>();
        let excerpt = "chr1 x".to_owned();
        let expected = "whole numbers as start and end";
        for error in [
            LinksError::Unreadable { line: 4, reason: "not UTF-8".to_owned() },
            LinksError::Empty,
            LinksError::UnknownLayout { line: 1, excerpt: excerpt.clone() },
            LinksError::BadLine { line: 3, layout: Layout::Bed, excerpt, expected },
            LinksError::NoGenes { n_lines: 5, layout: Layout::Gtf },
            LinksError::FewGenesMatched {
                n_matched: 1,
                n_measured: 100,
                expected: 10,
                measured: names(3),
                positioned: names(1),
                case_differs: false,
            },
            LinksError::FewPeaksParsed { n_parsed: 0, n_peaks: 9, expected: 1, others: names(2) },
            LinksError::NoSharedChromosome { of_genes: names(2), of_peaks: Vec::new() },
            LinksError::NoPairs { n_peaks: 4, n_genes: 3, window: 250_000 },
            LinksError::Size { what: "the matrix of genes", found: 3, of: "rows", expected: 4 },
            LinksError::TooMany { what: "pairs of a peak and a gene", found: 1 << 33, limit: 1 << 27 },
            LinksError::NonFinite { what: "the matrix of peaks", row: 3, column: 4, value: "NaN".to_owned() },
            LinksError::BadDistance { row: 3, value: "-1".to_owned() },
            LinksError::NoMass { what: "the matrix of peaks" },
            LinksError::LabelOutOfRange { row: 3, label: 9, n_domains: 4 },
            LinksError::Option(OptionError::new("epsilon", 0, "a number above 0")),
        ] {
            assert_eq!(flaw(&error), None);
        }
    }
}
