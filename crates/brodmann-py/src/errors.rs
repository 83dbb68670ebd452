//! Every error of the library as the Python exception its reader expects, in Python's words.
//!
//! A missing key is a `KeyError`, a file that cannot be read an `OSError`, a request to stop a
//! `KeyboardInterrupt`, everything else a `ValueError`.

use brodmann::cluster::{GmmError, KMeansError, LeidenError, RefineError, SelectError};
use brodmann::graph::GraphError;
use brodmann::metrics::MetricsError;
use brodmann::models::spami::SpamiError;
use brodmann::models::staig::StaigError;
use brodmann::pipeline::PipelineError;
use brodmann::pipeline::tensor_file::TensorFileError;
use brodmann::preprocess::PreprocessError;
use brodmann::simulate::SimulateError;
use brodmann::stats::StatsError;
use brodmann_data::DataError;
use brodmann_kernels::CsrError;
use pyo3::PyErr;
use pyo3::exceptions::{PyKeyError, PyKeyboardInterrupt, PyMemoryError, PyOSError, PyValueError};

/// An error that Python can raise.
pub trait Raise {
    /// The exception, its message in Python's words.
    fn raise(self) -> PyErr;
}

impl Raise for PyErr {
    fn raise(self) -> PyErr {
        self
    }
}

/// What the library's messages call things, and what Python users call them.
const WORDS: &[(&str, &str)] = &[
    ("FILE is a tissue", "data is a tissue"),
    ("`brodmann spami`", "bm.tl.spami"),
    (" (--image-key KEY or FILE.npy)", " (image_key)"),
    ("--values log or counts", "values='log' or 'counts'"),
    ("`brodmann convert --format`", "one of the functions of `brodmann.read`"),
    ("Quality::RbConfiguration", "quality='rb'"),
    ("Quality::Cpm", "quality='cpm'"),
    ("quality Modularity", "quality='modularity'"),
    ("RbConfiguration", "quality='rb'"),
    ("directed = true", "directed=True"),
    ("use_weights = false", "use_weights=False"),
    ("see LeidenOptions and SearchOptions", "choose another value"),
    ("hvg = ", "flavor = "),
    ("n_pcs = ", "n_comps = "),
    ("--out", "another path"),
    ("give a file with raw counts", "give raw counts"),
    ("--normalized", "normalized=True"),
    ("--denoise always", "denoise=True"),
    ("--denoise never", "denoise=False"),
    ("--no-contrast", "contrast=False"),
    ("--no-cosine", "cosine=False"),
    ("NaN, Inf", "NaN, inf"),
];

/// Flags whose name in Python is not theirs with underscores.
const NAMES: &[(&str, &str)] = &[
    ("lr", "learning_rate"),
    ("hvg", "flavor"),
    ("n-pcs", "n_comps"),
    ("contrast-weight", "contrast_weights"),
    ("reconstruction-weight", "reconstruction_weights"),
    ("layer-weight", "layer_weights"),
    ("modality-kind", "modality_kinds"),
    ("seed", "random_state"),
];

/// `message` with command-line flags and Rust paths replaced: `--spatial-key` reads `spatial_key`.
pub fn in_python(message: &str) -> String {
    let text = WORDS.iter().fold(message.to_owned(), |text, (ours, python)| text.replace(ours, python));
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("--") {
        let (before, flag) = (&rest[..at], &rest[at + 2..]);
        out.push_str(before);
        let end = flag.find(|c: char| !(c.is_ascii_lowercase() || c == '-')).unwrap_or(flag.len());
        let name = flag[..end].trim_end_matches('-');
        // A flag follows a space or a bracket; anything else (a path, a dash) stays as it is.
        if name.is_empty() || before.ends_with(|c: char| c.is_alphanumeric() || c == '-') {
            out.push_str("--");
            rest = flag;
            continue;
        }
        match NAMES.iter().find(|(ours, _)| *ours == name) {
            Some((_, python)) => out.push_str(python),
            None => out.push_str(&name.replace('-', "_")),
        }
        rest = &flag[name.len()..];
    }
    out.push_str(rest);
    out
}

fn value(error: &impl ToString) -> PyErr {
    PyValueError::new_err(in_python(&error.to_string()))
}

fn interrupted(error: &impl ToString) -> PyErr {
    PyKeyboardInterrupt::new_err(error.to_string())
}

macro_rules! raise_as_value {
    ($($error:ty => $interrupted:pat),* $(,)?) => {
        $(impl Raise for $error {
            fn raise(self) -> PyErr {
                match self {
                    $interrupted => interrupted(&self),
                    _ => value(&self),
                }
            }
        })*
    };
}

raise_as_value! {
    LeidenError => LeidenError::Interrupted,
    KMeansError => KMeansError::Interrupted(_),
    GmmError => GmmError::Interrupted(_),
    SelectError => SelectError::Interrupted(_) | SelectError::Metrics(MetricsError::Interrupted(_)),
    RefineError => RefineError::Graph(GraphError::Interrupted(_)),
    GraphError => GraphError::Interrupted(_),
    PreprocessError => PreprocessError::Interrupted(_),
    SimulateError => SimulateError::Interrupted(_),
    StatsError => StatsError::Interrupted(_),
    SpamiError => SpamiError::Interrupted,
    StaigError => StaigError::Interrupted(_),
    MetricsError => MetricsError::Interrupted(_) | MetricsError::Stats(StatsError::Interrupted(_)),
}

impl Raise for CsrError {
    fn raise(self) -> PyErr {
        value(&self)
    }
}

impl Raise for DataError {
    fn raise(self) -> PyErr {
        let message = in_python(&self.to_string());
        match self {
            Self::MissingKey { .. } => PyKeyError::new_err(message),
            // The subclass `FileNotFoundError` comes with its number.
            Self::Missing { path } => PyOSError::new_err((2, message, path.display().to_string())),
            Self::Read { source, .. } | Self::Write { source, .. } => match source.raw_os_error() {
                Some(number) => PyOSError::new_err((number, message)),
                None => PyOSError::new_err(message),
            },
            Self::NotHdf5 { .. }
            | Self::Damaged { .. }
            | Self::UnknownFormat { .. }
            | Self::Picture { .. }
            | Self::OutputIsInput { .. }
            | Self::ReadBack { .. } => PyOSError::new_err(message),
            _ => PyValueError::new_err(message),
        }
    }
}

impl Raise for PipelineError {
    fn raise(self) -> PyErr {
        if self.is_interruption() {
            return interrupted(&self);
        }
        match self {
            Self::Data(error) | Self::TensorFile(TensorFileError::Data(error)) => error.raise(),
            Self::NoCheckpoint { .. } | Self::TensorFile(_) => {
                PyOSError::new_err(in_python(&self.to_string()))
            }
            Self::Memory { .. } => PyMemoryError::new_err(in_python(&self.to_string())),
            _ => value(&self),
        }
    }
}
