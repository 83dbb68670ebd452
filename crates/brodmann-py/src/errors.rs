//! Every error of the library as the Python exception its reader expects, its names spelled as Python has them.
//!
//! A missing key is a `KeyError`, a file that cannot be read an `OSError`, a request to stop a
//! `KeyboardInterrupt`, too little memory a `MemoryError`, a fault of the program a `RuntimeError`, everything else a
//! `ValueError`.

use brodmann::cluster::{GmmError, KMeansError, LeidenError, RefineError, SelectError};
use brodmann::embedding::{HarmonyError, UmapError};
use brodmann::graph::GraphError;
use brodmann::metrics::MetricsError;
use brodmann::models::spami::SpamiError;
use brodmann::models::staig::StaigError;
use brodmann::pipeline::PipelineError;
use brodmann::preprocess::PreprocessError;
use brodmann::simulate::SimulateError;
use brodmann::stats::StatsError;
use brodmann_data::DataError;
use brodmann_kernels::diagnosis::legible;
use brodmann_kernels::{Blame, CsrError, Diagnosis, Interrupted, OptionError, Spelling, Told};
use pyo3::PyErr;
use pyo3::exceptions::{
    PyKeyError, PyKeyboardInterrupt, PyMemoryError, PyOSError, PyRuntimeError, PyValueError,
};

/// How Python spells the library's names.
pub struct Python;

/// Options whose keyword is not their name: those of scanpy, squidpy and scikit-learn.
const KEYWORDS: &[(&str, &str)] = &[
    ("follow_external", "brodmann.settings.follow_external"),
    ("input", "data"),
    ("max_iterations", "max_iter"),
    ("max_memory", "brodmann.settings.max_memory"),
    ("modality", "modality_kinds"),
    ("lambda", "lamb"),
    ("n_components", "n_comps"),
    ("n_pcs", "n_comps"),
    ("seed", "random_state"),
    ("slices", "n_slices"),
    ("tolerance", "tol"),
];

/// Values whose literal is not the name of theirs.
const VALUES: &[((&str, &str), &str)] = &[(("denoise", "always"), "True"), (("denoise", "never"), "False")];

/// Steps whose function has another name.
const STEPS: &[(&str, &str)] = &[
    ("convert", "one of the functions of bm.read"),
    ("neighbors", "bm.pp.neighbors"),
    ("preprocess", "bm.pp.pca"),
];

impl Spelling for Python {
    fn option(&self, name: &str) -> String {
        let keyword = KEYWORDS.iter().find(|(own, _)| *own == name);
        keyword.map_or(name, |(_, python)| python).to_owned()
    }

    fn setting(&self, name: &str, value: &str) -> String {
        let own =
            VALUES.iter().find(|(own, _)| *own == (name, value)).map(|(_, python)| (*python).to_owned());
        format!("{}={}", self.option(name), own.unwrap_or_else(|| literal(value)))
    }

    fn step(&self, name: &str) -> String {
        match STEPS.iter().find(|(own, _)| *own == name) {
            Some((_, python)) => (*python).to_owned(),
            None => format!("bm.tl.{name}"),
        }
    }
}

/// `value` as Python writes it.
fn literal(value: &str) -> String {
    match value {
        "true" => "True".to_owned(),
        "false" => "False".to_owned(),
        number if number.parse::<f64>().is_ok() => number.to_owned(),
        text => format!("'{text}'"),
    }
}

/// An error that Python can raise.
pub trait Raise {
    /// The exception.
    fn raise(self) -> PyErr;
}

impl Raise for PyErr {
    fn raise(self) -> PyErr {
        self
    }
}

/// The exception of an error of the library.
fn exception(error: &dyn Diagnosis) -> PyErr {
    // A traceback prints it as it is.
    let text = legible(&Told(error).to_string());
    match error.blame() {
        Blame::Value => PyValueError::new_err(text),
        Blame::Key => PyKeyError::new_err(text),
        // The subclass, `FileNotFoundError` for one, comes with the number.
        Blame::File(Some(number)) => match error.path() {
            Some(path) => PyOSError::new_err((number, text, path.display().to_string())),
            None => PyOSError::new_err((number, text)),
        },
        Blame::File(None) => PyOSError::new_err(text),
        Blame::Memory => PyMemoryError::new_err(text),
        Blame::Program => PyRuntimeError::new_err(text),
        Blame::Interruption => PyKeyboardInterrupt::new_err(text),
    }
}

macro_rules! raise {
    ($($error:ty),* $(,)?) => {
        $(impl Raise for $error {
            fn raise(self) -> PyErr {
                exception(&self)
            }
        })*
    };
}

// One by one: a trait of another crate cannot be told to leave `PyErr` alone.
raise! {
    CsrError,
    DataError,
    GmmError,
    GraphError,
    HarmonyError,
    Interrupted,
    KMeansError,
    LeidenError,
    MetricsError,
    OptionError,
    PipelineError,
    PreprocessError,
    RefineError,
    SelectError,
    SimulateError,
    SpamiError,
    StaigError,
    StatsError,
    UmapError,
}

#[cfg(test)]
mod tests {
    use brodmann_kernels::{Opt, Step, speaking};

    use super::*;

    #[test]
    fn names_are_spelled_as_keywords_and_values_as_literals() {
        let said = speaking(&Python, || {
            [
                Opt("n_pcs").to_string(),
                Opt("n_clusters").set(5).to_string(),
                Opt("normalized").set(true).to_string(),
                Opt("values").set("log").to_string(),
                Opt("denoise").set("never").to_string(),
                Step("leiden").to_string(),
            ]
        });
        assert_eq!(
            said,
            ["n_comps", "n_clusters=5", "normalized=True", "values='log'", "denoise=False", "bm.tl.leiden"]
        );
    }
}
