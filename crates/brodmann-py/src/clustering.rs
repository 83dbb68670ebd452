//! Options by name.

use brodmann::cluster::{CovarianceModel, SelectionCriterion};
use brodmann_kernels::OptionError;
use pyo3::prelude::*;

use crate::errors::Raise;

/// The error for a text that names none of the choices.
pub fn unknown(option: &'static str, found: &str, choices: &str) -> PyErr {
    OptionError::new(option, format!("{found:?}"), choices).raise()
}

/// A family of covariances by mclust's name.
pub fn model(option: &'static str, name: &str) -> PyResult<CovarianceModel> {
    CovarianceModel::from_name(name)
        .ok_or_else(|| unknown(option, name, "'EII', 'VII', 'EEI', 'VVI', 'EEE' or 'VVV'"))
}

/// What decides about a number of clusters.
pub fn criterion(option: &'static str, name: &str) -> PyResult<SelectionCriterion> {
    match name {
        "stability" => Ok(SelectionCriterion::Stability),
        "silhouette" => Ok(SelectionCriterion::Silhouette),
        "bic" => Ok(SelectionCriterion::Bic),
        other => Err(unknown(option, other, "'stability', 'silhouette' or 'bic'")),
    }
}
