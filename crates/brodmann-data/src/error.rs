//! Why a file or a container cannot be used, as fields.

use std::path::{Path, PathBuf};

/// Everything that can go wrong between a file and a container.
///
/// Messages read `what was found, what was expected; what to do next`.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The path does not exist.
    #[error("{} does not exist; check the path", path.display())]
    Missing {
        /// The path as given.
        path: PathBuf,
    },
    /// The system refused to read.
    #[error("{} cannot be read: {source}; check the path and its permissions", path.display())]
    Read {
        /// The path as given.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The system refused to write.
    #[error("{} cannot be written: {source}; {hint}", path.display())]
    Write {
        /// The path as given.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
        /// What to do about it.
        hint: &'static str,
    },
    /// The file does not begin as an HDF5 file does.
    #[error("{} is not an HDF5 file; give a .h5ad, .h5mu or 10x .h5 file, or make one of it with `brodmann convert --format`", path.display())]
    NotHdf5 {
        /// The path as given.
        path: PathBuf,
    },
    /// The file is HDF5 but its parts cannot be followed.
    #[error("{} is truncated or damaged: {detail}; fetch or write it again", path.display())]
    Damaged {
        /// The path as given.
        path: PathBuf,
        /// What could not be followed.
        detail: String,
    },
    /// A key is missing.
    #[error("{}[\"{key}\"] is missing from {place}, which has {}; {hint}", container, list(existing))]
    MissingKey {
        /// `obs`, `obsm`, `obsp`, ...
        container: String,
        /// The key asked for.
        key: String,
        /// The file or the container it was looked for in.
        place: String,
        /// The keys that are there.
        existing: Vec<String>,
        /// What to do about it.
        hint: String,
    },
    /// An element has another shape than its axes ask for.
    #[error("{element} has shape {}, expected {expected}; correct the element or remove it", shape(found))]
    Shape {
        /// The element, e.g. `obsp["connectivities"]`.
        element: String,
        /// Shape found.
        found: Vec<usize>,
        /// Shape expected, in words.
        expected: String,
    },
    /// An element is of another kind than asked for.
    #[error("{element} is {found}, expected {expected}; name another key or convert it in Python")]
    Kind {
        /// The element.
        element: String,
        /// What it is.
        found: String,
        /// What was needed.
        expected: String,
    },
    /// An encoding this version does not know.
    #[error(
        "{element} has the encoding {encoding}, which is not supported; read it in Python with anndata and save it again"
    )]
    Encoding {
        /// The element.
        element: String,
        /// Its `encoding-type`, version or datatype.
        encoding: String,
    },
    /// Sparse arrays do not form a matrix.
    #[error("{element}: {source}")]
    Sparse {
        /// The element.
        element: String,
        /// What is wrong.
        source: brodmann_kernels::CsrError,
    },
    /// Names that must be unique are not.
    #[error(
        "{axis} names are not unique: {count} repeat, e.g. {example:?}; make them unique first (Python: adata.{axis}_names_make_unique())"
    )]
    DuplicateNames {
        /// `obs` or `var`.
        axis: String,
        /// How many repeat an earlier one.
        count: usize,
        /// One of them.
        example: String,
    },
    /// Modalities hold different observations.
    #[error("{0}; keep the common ones first (Python: mudata.pp.intersect_obs)")]
    DifferentObservations(Box<NameMismatch>),
    /// Output and input are one file.
    #[error("output {} is the input file; write elsewhere or pass --in-place", path.display())]
    OutputIsInput {
        /// The path as given.
        path: PathBuf,
    },
    /// What was written does not read back equal.
    #[error("{} was written but {element} does not read back as written; the output was not put in place: check the disk, then report this as a bug", path.display())]
    ReadBack {
        /// The output.
        path: PathBuf,
        /// The element.
        element: String,
    },
    /// A container holds something that cannot be written from scratch.
    #[error(
        "{element} ({encoding}) cannot be written from scratch; edit a copy of its file instead, or remove it from the container"
    )]
    CannotRewrite {
        /// The element.
        element: String,
        /// What it is.
        encoding: String,
    },
    /// A folder or file fits none of the known formats.
    #[error("{} is of no known format, looked for {looked_for}; make a .h5ad of it with `brodmann convert --format`", path.display())]
    UnknownFormat {
        /// The path as given.
        path: PathBuf,
        /// The formats tried and what each asks for.
        looked_for: String,
    },
    /// A text table cannot be understood.
    #[error("{}{}: {found}, expected {expected}; correct the table", path.display(), line_number(*line))]
    Table {
        /// The path as given.
        path: PathBuf,
        /// Line, from 1; 0 where none applies.
        line: usize,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A picture cannot be decoded.
    #[error("{} is not a readable PNG or JPEG picture: {detail}; replace or remove it", path.display())]
    Picture {
        /// The path as given.
        path: PathBuf,
        /// The decoder's answer.
        detail: String,
    },
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
    pub(crate) fn read(path: &Path, source: std::io::Error) -> Self {
        if source.kind() == std::io::ErrorKind::NotFound {
            Self::Missing { path: path.to_path_buf() }
        } else {
            Self::Read { path: path.to_path_buf(), source }
        }
    }

    pub(crate) fn write(path: &Path, source: std::io::Error) -> Self {
        use std::io::ErrorKind;
        let hint = match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                "free some space or write to another disk with --out"
            }
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                "choose a folder you may write to with --out"
            }
            ErrorKind::NotFound | ErrorKind::NotADirectory => "create the folder first, or correct --out",
            ErrorKind::IsADirectory => "name a file, not a folder, with --out",
            _ => "choose another place with --out",
        };
        Self::Write { path: path.to_path_buf(), source, hint }
    }

    pub(crate) fn damaged(path: &Path, detail: impl std::fmt::Display) -> Self {
        // The text after the first "; " is the hint, so the detail may not hold one.
        Self::Damaged { path: path.to_path_buf(), detail: detail.to_string().replace("; ", ", ") }
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

fn line_number(line: usize) -> String {
    if line == 0 { String::new() } else { format!(" line {line}") }
}
