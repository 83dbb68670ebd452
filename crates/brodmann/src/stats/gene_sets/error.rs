//! Why gene sets could not be read, matched or tested.

// Fields are named after what the messages say of them.
#![expect(missing_docs)]

use std::fmt::{self, Display, Formatter};

use brodmann_kernels::{Diagnosis, Interrupted, OptionError};

use super::matching::IdKind;

/// Why gene sets could not be read, matched or tested.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GeneSetError {
    /// Not a line with a set.
    #[error("the file of gene sets has no lines to read; expected one gene set per line")]
    Empty,
    /// Something other than GMT.
    #[error(
        "line {line} of the gene sets is `{excerpt}`, which looks like {looks}; expected a name, a description and genes, separated by tabs (GMT)"
    )]
    NotGmt { line: usize, excerpt: String, looks: Foreign },
    /// A line of one field among lines with more.
    #[error(
        "line {line} of the gene sets is `{excerpt}`, without a tab; expected a name, a description and genes, separated by tabs"
    )]
    NoTab { line: usize, excerpt: String },
    /// A set without a name.
    #[error("line {line} of the gene sets begins with a tab; expected the name of a set before it")]
    NoName { line: usize },
    /// Names and descriptions alone.
    #[error(
        "none of the {n_sets} gene sets, from line {line} on, has a gene; expected genes from the third field on"
    )]
    NoGenes { n_sets: usize, line: usize },
    /// More genes than can be numbered.
    #[error("{what} are {found}; expected at most 4294967295")]
    TooMany { what: &'static str, found: usize },
    /// The names of the two sides do not meet.
    #[error(
        "{n_matched} of the {n_set_genes} genes in the sets are among the {n_measured} measured ones; expected at least {expected}. The sets have {}, the data {}",
        Said(.set_examples, *.set_kind), Said(.measured_examples, *.measured_kind)
    )]
    FewMatched {
        n_matched: usize,
        n_set_genes: usize,
        n_measured: usize,
        expected: usize,
        set_kind: IdKind,
        set_examples: Vec<String>,
        measured_kind: IdKind,
        measured_examples: Vec<String>,
    },
    /// No set of a size that can be tested.
    #[error(
        "none of the {n_sets} gene sets has {min_size} to {max_size} measured genes; expected at least one that has. The largest has {largest}"
    )]
    NoneOfSize { n_sets: usize, min_size: usize, max_size: usize, largest: usize },
    /// No gene to ask about.
    #[error("the list of genes is empty{why}; expected at least one measured gene")]
    EmptyQuery { why: &'static str },
    /// A gene that is not there.
    #[error("{what} names gene {found}; expected a number below {n_measured}")]
    GeneRange { what: String, found: u32, n_measured: usize },
    /// Not one value per gene.
    #[error("{what} has {found} values; expected {expected}, one per measured gene")]
    Length { what: &'static str, found: usize, expected: usize },
    /// NaN or infinity.
    #[error("{what} is {value} at {at}; expected a finite number")]
    NonFinite { what: &'static str, at: String, value: String },
    /// A ranking that ranks nothing.
    #[error("the {n_measured} genes all have the score {value}; expected scores that rank them")]
    ConstantRanking { n_measured: usize, value: String },
    /// No observations to score, or none to take means over.
    #[error("the matrix has no spots; expected at least 1")]
    NoSpots,
    /// A set without a measured gene.
    #[error("the set `{set}` has no measured gene; expected at least one")]
    EmptySet { set: String },
    /// Nothing to compare a set with.
    #[error(
        "no gene outside the set `{set}` is expressed like those in it; expected at least one to compare them with"
    )]
    NoControls { set: String },
    /// An option out of its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Diagnosis for GeneSetError {
    fn origin(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Option(e) => Some(e),
            Self::Interrupted(e) => Some(e),
            _ => None,
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Empty => "check that the file was downloaded or written completely".to_owned(),
            Self::NotGmt { looks, .. } => looks.advice().to_owned(),
            Self::NoTab { .. } => {
                "join the line to the one it was broken from, or put tabs between its fields".to_owned()
            }
            Self::NoName { .. } => "give the set a name, or remove the line".to_owned(),
            Self::NoGenes { .. } => {
                "write all genes of a set on its line, after its name and a description, which may be empty"
                    .to_owned()
            }
            Self::TooMany { .. } => "split the sets over several files".to_owned(),
            Self::FewMatched { set_kind, measured_kind, .. } => mismatch(*set_kind, *measured_kind),
            Self::NoneOfSize { .. } => "widen the limits of the size, or take other sets".to_owned(),
            Self::EmptyQuery { .. } => "choose genes with a milder threshold".to_owned(),
            Self::GeneRange { .. } => "number the genes as the measured ones are".to_owned(),
            Self::Length { .. } => "give one value per measured gene, in their order".to_owned(),
            Self::NonFinite { .. } => "leave the gene out, or give it a number".to_owned(),
            Self::ConstantRanking { .. } => "rank the genes by a statistic that tells them apart".to_owned(),
            Self::NoSpots => "check the filters that were applied before".to_owned(),
            Self::EmptySet { .. } => "leave the set out".to_owned(),
            Self::NoControls { .. } => "take fewer bins of expression, or a smaller set".to_owned(),
            _ => return self.origin()?.advice(),
        })
    }
}

/// What to do about names that do not meet.
fn mismatch(sets: IdKind, measured: IdKind) -> String {
    match (sets, measured) {
        (IdKind::Ensembl, IdKind::VersionedEnsembl) | (IdKind::VersionedEnsembl, IdKind::Ensembl) => {
            "remove the versions, the full stop and what follows it, from the Ensembl identifiers".to_owned()
        }
        (a, b) if a == b => "check that sets and data are of the same species".to_owned(),
        (IdKind::Other, _) | (_, IdKind::Other) => {
            "check that the sets name genes as the data do, and that both are of the same species".to_owned()
        }
        (a, b) => format!("take the sets with {b} instead of {a}, or name the measured genes by their {a}"),
    }
}

/// Names as examples, with what they are.
struct Said<'a>(&'a [String], IdKind);

impl Display for Said<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no names");
        }
        for (i, name) in self.0.iter().enumerate() {
            write!(f, "{}`{name}`", if i == 0 { "" } else { ", " })?;
        }
        match self.1 {
            IdKind::Other => Ok(()),
            kind => write!(f, " ({kind})"),
        }
    }
}

/// What a file is that should have been GMT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// Fields separated by commas.
    Csv,
    /// Fields separated by semicolons.
    Semicolons,
    /// Fields separated by spaces.
    Spaces,
    /// One word per line.
    List,
    /// Two columns, one gene per line.
    Pairs,
    /// A table of numbers.
    Numbers,
    /// Expression values for GSEA.
    Gct,
    /// JSON.
    Json,
    /// A page of the web, or XML.
    Markup,
    /// Compressed data.
    Compressed,
    /// Text of two bytes per character.
    Utf16,
    /// No text at all.
    Binary,
}

impl Display for Foreign {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Csv => "fields separated by commas (CSV)",
            Self::Semicolons => "fields separated by semicolons",
            Self::Spaces => "fields separated by spaces",
            Self::List => "a list with one gene per line",
            Self::Pairs => "a table of two columns, one gene per line",
            Self::Numbers => "a table of numbers",
            Self::Gct => "a table of expression values (GCT)",
            Self::Json => "JSON",
            Self::Markup => "a web page or XML",
            Self::Compressed => "compressed data",
            Self::Utf16 => "text in UTF-16",
            Self::Binary => "binary data",
        })
    }
}

impl Foreign {
    fn advice(self) -> &'static str {
        match self {
            Self::Csv | Self::Semicolons => "write one set per line, with tabs between the fields",
            Self::Spaces => "put tabs between the fields; some editors replace them by spaces",
            Self::List => "write the genes on one line, after a name, a tab, a description and a tab",
            Self::Pairs => "gather the genes of each set on one line, after its name and a description",
            Self::Numbers | Self::Gct => "give a file of gene sets, not of values",
            Self::Json => "download the sets in the format GMT",
            Self::Markup => {
                "download the file itself, not the page that offers it; some sites ask for a login first"
            }
            Self::Compressed => "decompress the file first",
            Self::Utf16 => "save the file as UTF-8",
            Self::Binary => "give a text file in the format GMT",
        }
    }
}
