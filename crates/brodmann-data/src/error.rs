//! Why a file or a container cannot be used, as fields.

// Fields are named after what the messages say of them.
#![expect(missing_docs)]

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use brodmann_kernels::diagnosis::alternatives;
use brodmann_kernels::{Blame, Diagnosis, Opt, OptionError, Step};

use crate::memory::{in_words, max_memory};

/// Everything that can go wrong between a file and a container.
///
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The path does not exist.
    #[error("{} does not exist", path.display())]
    Missing { path: PathBuf },
    /// The system refused to read.
    #[error("{} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// The system refused to write.
    #[error("{} cannot be written: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    /// The file does not begin as an HDF5 file does.
    #[error("{} is not an HDF5 file", path.display())]
    NotHdf5 { path: PathBuf },
    /// The file is HDF5 but its parts cannot be followed.
    #[error("{} is truncated or damaged: {detail}", path.display())]
    Damaged { path: PathBuf, detail: String },
    /// A link whose target is gone.
    #[error("{} is a link to {}, which does not exist", path.display(), target.display())]
    Dangling { path: PathBuf, target: PathBuf },
    /// A pipe, a socket or a device.
    #[error("{} is {found}; expected a file", path.display())]
    NoFile { path: PathBuf, found: &'static str },
    /// More than the file can mean, or than is free.
    #[error("{}: {element} would take {} of memory{}; expected at most {}", path.display(), in_words(*needed), from(stored.as_ref()), in_words(*most))]
    TooLarge {
        path: PathBuf,
        element: String,
        needed: u64,
        most: u64,
        /// Bytes of the file, where these are what sets the limit.
        stored: Option<u64>,
    },
    /// Groups that hold one another.
    #[error("{}: {element} {found}; expected groups that form a tree", path.display())]
    Tangled { path: PathBuf, element: String, found: String },
    /// Values that lie in other files.
    #[error("{}: {element} {found}; expected a file that holds its own values", path.display())]
    External { path: PathBuf, element: String, found: String },
    /// A key is missing.
    #[error("{}[\"{key}\"] is missing from {place}, which has {}", container, list(existing))]
    MissingKey {
        container: String,
        key: String,
        place: String,
        existing: Vec<String>,
        named_by: Option<Opt>,
        otherwise: Vec<String>,
    },
    /// An element has another shape than its axes ask for.
    #[error("{element} has the shape {}; expected {expected}", shape(found))]
    Shape { element: String, found: Vec<usize>, expected: String },
    /// An element is of another kind than asked for.
    #[error("{element} is {found}; expected {expected}")]
    Kind { element: String, found: String, expected: String },
    /// An encoding this version does not know.
    #[error("{element} has the encoding {encoding}, which is not supported")]
    Encoding { element: String, encoding: String },
    /// Sparse arrays do not form a matrix.
    #[error("{element}: {source}")]
    Sparse { element: String, source: brodmann_kernels::CsrError },
    /// Names that must be unique are not.
    #[error("{axis} names are not unique: {count} repeat, e.g. {example:?}")]
    DuplicateNames { axis: String, count: usize, example: String },
    /// Modalities hold different observations.
    #[error("{0}")]
    DifferentObservations(Box<NameMismatch>),
    /// Output and input are one file.
    #[error("the output {} is the input file", path.display())]
    OutputIsInput { path: PathBuf },
    /// The input is not as it was when it was opened.
    #[error("{} {how} while it was worked on", path.display())]
    Changed { path: PathBuf, how: &'static str },
    /// A result of several files cannot be cut into a part for each.
    #[error("{element} {found} in {}, where results go into each file", path.display())]
    CannotSplit { element: String, found: String, path: PathBuf },
    /// Another run is writing the same output.
    #[error("{} is being written by {owner}", path.display())]
    Busy { path: PathBuf, owner: String },
    /// What was written does not read back equal.
    #[error("{} was written but {element} does not read back as written", path.display())]
    ReadBack { path: PathBuf, element: String },
    /// A container holds something that cannot be written from scratch.
    #[error("{element} ({encoding}) cannot be written from scratch")]
    CannotRewrite { element: String, encoding: String },
    /// A folder or file is not of the format that it is read as.
    #[error("{} is not what it is read as; expected {looked_for}", path.display())]
    UnknownFormat { path: PathBuf, looked_for: String },
    /// A folder or file fits none of the known formats.
    #[error("{} is of no known format: {found}; expected one of {formats}", path.display())]
    NoFormat { path: PathBuf, found: String, formats: String },
    /// A text table cannot be understood.
    #[error("{}{}: {found}; expected {expected}", path.display(), line_number(*line))]
    Table { path: PathBuf, line: usize, found: String, expected: String },
    /// Identifiers that must be unique are not.
    #[error("{}: ids are not unique: {count} repeat, e.g. {example:?}", path.display())]
    RepeatedIds { path: PathBuf, count: usize, example: String },
    /// Identifiers that a spreadsheet has rounded.
    #[error("{}: ids like {example:?} have been rounded, as a spreadsheet does; expected all their digits", path.display())]
    RoundedIds { path: PathBuf, example: String },
    /// A file of another program, which only that program reads.
    #[error("{} is {what}", path.display())]
    Foreign { path: PathBuf, what: &'static str, instead: &'static str },
    /// An option that the input cannot meet.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// A picture cannot be decoded.
    #[error("{} is not a readable PNG or JPEG picture: {detail}", path.display())]
    Picture { path: PathBuf, detail: String },
    /// A file that holds no picture, or one of a kind that is not read.
    #[error("{} holds {found}; expected {expected}", path.display())]
    PictureKind { path: PathBuf, found: String, expected: String },
}

impl Diagnosis for DataError {
    fn origin(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Sparse { source, .. } => Some(source),
            Self::Option(source) => Some(source),
            _ => None,
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Missing { .. } => "check the path".to_owned(),
            Self::Dangling { .. } => "name the file itself, or put the link right".to_owned(),
            Self::NoFile { .. } => {
                "name a file; what comes through a pipe can be saved as one first".to_owned()
            }
            Self::TooLarge { stored: Some(_), .. } => format!(
                "fetch or write the file again; if it is as it should be, say how much memory may be taken with {}",
                Opt("max_memory")
            ),
            Self::TooLarge { .. } if max_memory().is_some() => {
                format!("let more be taken with {}, or read a smaller file", Opt("max_memory"))
            }
            Self::TooLarge { .. } => "free some memory, or read a smaller file".to_owned(),
            Self::Tangled { .. } => {
                "write it again with anndata, without links between its groups".to_owned()
            }
            Self::External { .. } => format!(
                "write it again with anndata, or, if you trust where it comes from, read them with {}",
                Opt("follow_external")
            ),
            Self::Read { .. } => "check the path and its permissions".to_owned(),
            Self::Write { source, .. } => place_to_write(source.kind()).to_owned(),
            Self::NotHdf5 { .. } => {
                format!("give a .h5ad, .h5mu or 10x .h5 file, or make one of it with {}", Step("convert"))
            }
            Self::Damaged { .. } => "fetch it or write it again".to_owned(),
            Self::MissingKey { existing, named_by, otherwise, .. } => {
                let mut ways = Vec::with_capacity(1 + otherwise.len());
                // There may be nothing to choose from.
                if !existing.is_empty() {
                    let with = named_by.map(|option| format!(" with {option}")).unwrap_or_default();
                    ways.push(format!("name one of these{with}"));
                }
                ways.extend(otherwise.iter().cloned());
                return alternatives(&ways);
            }
            Self::Shape { .. } => "correct the element or remove it".to_owned(),
            Self::Kind { .. } => "name another key, or convert the element in Python".to_owned(),
            Self::Encoding { .. } => "read it in Python with anndata and save it again".to_owned(),
            Self::DuplicateNames { axis, .. } => {
                format!("make them unique first (in Python: adata.{axis}_names_make_unique())")
            }
            Self::DifferentObservations(_) => {
                format!("keep the observations they share with {}", Opt("obs").set("intersect"))
            }
            Self::OutputIsInput { .. } => {
                format!("write elsewhere, or add to the input with {}", Opt("in_place"))
            }
            Self::ReadBack { .. } => {
                "check the disk, then report this as a bug (the output was not put in place)".to_owned()
            }
            Self::CannotRewrite { .. } => {
                "edit a copy of its file instead, or remove it from the container".to_owned()
            }
            Self::UnknownFormat { .. } => {
                format!(
                    "give the folder or file as the instrument wrote it, or name another format with {}",
                    Opt("format")
                )
            }
            Self::NoFormat { .. } => {
                format!(
                    "give the folder or file as the instrument wrote it, or name its format with {} to be told what is missing",
                    Opt("format")
                )
            }
            Self::Table { .. } => "correct the table".to_owned(),
            Self::RepeatedIds { .. } => {
                "name each by an id of its own, or give the folder as the instrument wrote it: \
                 there an id may be unique only together with its field of view"
                    .to_owned()
            }
            Self::RoundedIds { .. } => {
                "export the table again and do not save it from a spreadsheet".to_owned()
            }
            Self::Foreign { instead, .. } => (*instead).to_owned(),
            Self::Option(source) => return source.advice(),
            Self::Picture { .. } => "replace it or remove it".to_owned(),
            Self::PictureKind { .. } => {
                "save it as a tiled OME-TIFF in colours of 8 bits, or as a PNG".to_owned()
            }
            Self::Sparse { source, .. } => return source.advice(),
            Self::Changed { .. } => "run again on the file as it is now (nothing was written)".to_owned(),
            Self::CannotSplit { .. } => {
                format!("name a single .h5ad for all of them with {} (nothing was written)", Opt("out"))
            }
            Self::Busy { .. } => "wait for it, or choose another output (nothing was written)".to_owned(),
        })
    }

    fn blame(&self) -> Blame {
        match self {
            Self::MissingKey { .. } => Blame::Key,
            Self::Missing { .. } | Self::Dangling { .. } => Blame::File(Some(NO_SUCH_FILE)),
            Self::TooLarge { .. } => Blame::Memory,
            Self::Read { source, .. } | Self::Write { source, .. } => Blame::File(source.raw_os_error()),
            Self::NotHdf5 { .. }
            | Self::Damaged { .. }
            | Self::UnknownFormat { .. }
            | Self::NoFormat { .. }
            | Self::Picture { .. }
            | Self::PictureKind { .. }
            | Self::Changed { .. }
            | Self::Busy { .. }
            | Self::NoFile { .. }
            | Self::Tangled { .. }
            | Self::External { .. }
            | Self::Foreign { .. }
            | Self::OutputIsInput { .. } => Blame::File(None),
            // What was written does not read back: nothing that was given is at fault.
            Self::ReadBack { .. } => Blame::Program,
            _ => Blame::Value,
        }
    }

    fn path(&self) -> Option<&Path> {
        match self {
            Self::Missing { path }
            | Self::Dangling { path, .. }
            | Self::NoFile { path, .. }
            | Self::TooLarge { path, .. }
            | Self::Tangled { path, .. }
            | Self::External { path, .. }
            | Self::Read { path, .. }
            | Self::Write { path, .. }
            | Self::NotHdf5 { path }
            | Self::Damaged { path, .. }
            | Self::Changed { path, .. }
            | Self::Busy { path, .. }
            | Self::CannotSplit { path, .. }
            | Self::OutputIsInput { path }
            | Self::ReadBack { path, .. }
            | Self::UnknownFormat { path, .. }
            | Self::NoFormat { path, .. }
            | Self::Table { path, .. }
            | Self::RepeatedIds { path, .. }
            | Self::RoundedIds { path, .. }
            | Self::Foreign { path, .. }
            | Self::Picture { path, .. }
            | Self::PictureKind { path, .. } => Some(path),
            _ => None,
        }
    }
}

/// What every system calls "no such file".
const NO_SUCH_FILE: i32 = 2;

/// What to do about a place that cannot be written to. The message names the place.
fn place_to_write(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "free some space or write to another disk"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => "choose a folder you may write to",
        ErrorKind::NotFound | ErrorKind::NotADirectory => "create the folder first, or correct the path",
        ErrorKind::IsADirectory => "name a file, not a folder",
        _ => "choose another place",
    }
}

/// How the observations of two modalities differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameMismatch {
    /// The modality (or `mdata`) that sets the order.
    pub first: String,
    /// The other modality.
    pub second: String,
    /// Observations of the first.
    pub n_first: usize,
    /// Observations of the other.
    pub n_second: usize,
    /// How many names only the first has, and one of them.
    pub only_first: (usize, Option<String>),
    /// How many names only the other has, and one of them.
    pub only_second: (usize, Option<String>),
}

impl std::fmt::Display for NameMismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { first, second, n_first, n_second, .. } = self;
        write!(
            f,
            "{first:?} ({n_first} observations) and {second:?} ({n_second}) hold different observations"
        )?;
        for (name, (count, example)) in [(first, &self.only_first), (second, &self.only_second)] {
            write!(f, ", {count} only in {name:?}")?;
            if let Some(example) = example {
                write!(f, " (e.g. {example:?})")?;
            }
        }
        Ok(())
    }
}

impl DataError {
    /// That a file cannot be read: as what it is where a reader of bytes carried one of these errors, missing, or refused.
    pub fn read(path: &Path, source: std::io::Error) -> Self {
        // A refusal of ours that went through a reader of bytes.
        let source = match source.downcast::<Self>() {
            Ok(own) => return own,
            Err(source) => source,
        };
        if source.kind() == ErrorKind::NotFound {
            if let Ok(target) = std::fs::read_link(path) {
                return Self::Dangling { path: path.to_path_buf(), target };
            }
            Self::Missing { path: path.to_path_buf() }
        } else {
            Self::Read { path: path.to_path_buf(), source }
        }
    }

    pub(crate) fn write(path: &Path, source: std::io::Error) -> Self {
        Self::Write { path: path.to_path_buf(), source }
    }

    pub(crate) fn damaged(path: &Path, detail: impl std::fmt::Display) -> Self {
        Self::Damaged { path: path.to_path_buf(), detail: detail.to_string() }
    }
}

fn list(existing: &[String]) -> String {
    const SHOWN: usize = 12;
    if existing.is_empty() {
        return "none".to_owned();
    }
    let shown: Vec<String> = existing.iter().take(SHOWN).map(|k| format!("{k:?}")).collect();
    let more = existing.len().saturating_sub(SHOWN);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

fn shape(found: &[usize]) -> String {
    found.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ")
}

fn from(stored: Option<&u64>) -> String {
    stored.map_or_else(String::new, |bytes| match bytes {
        0..10_000 => format!(", from a file of {bytes} bytes"),
        0..10_000_000 => format!(", from a file of {} kB", bytes / 1000),
        _ => format!(", from a file of {}", in_words(*bytes)),
    })
}

fn line_number(line: usize) -> String {
    if line == 0 { String::new() } else { format!(" line {line}") }
}
