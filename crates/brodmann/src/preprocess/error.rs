//! What can be wrong with an expression matrix or with the options of a preprocessing step.

// Fields are named after what the messages say of them.
#![expect(missing_docs)]

use brodmann_kernels::Interrupted;
use brodmann_kernels::{Diagnosis, Opt, OptionError};

use crate::stats::StatsError;

/// Why a preprocessing step cannot be done.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PreprocessError {
    /// NaN or an infinity.
    #[error("the value at row {row}, column {column} is {value}; expected a finite number")]
    NonFinite { row: usize, column: usize, value: f32 },
    /// A value below zero where counts or their logarithms are needed.
    #[error(
        "the value at row {row}, column {column} is {value}; expected a count of 0 or more ({looks_like})"
    )]
    Negative { row: usize, column: usize, value: f32, looks_like: String },
    /// Fractions where counts are needed.
    #[error(
        "already-normalised data: the value at row {row}, column {column} is {value}; expected a whole number, as counts are ({looks_like})"
    )]
    NotCounts { row: usize, column: usize, value: f32, looks_like: String },
    /// Raw counts where log-normalised values are needed.
    #[error(
        "the values are raw counts (whole numbers up to {max}); expected log-normalised values, as the flavour {flavour} asks for"
    )]
    CountsWhereLogNeeded { max: f32, flavour: &'static str },
    /// Two inputs disagree in length.
    #[error("{what} has {found} entries; expected {expected}")]
    ShapeMismatch { what: &'static str, found: usize, expected: usize, per: &'static str },
    /// An option out of its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// No spot at all.
    #[error("the matrix holds {n_obs} spots and {n_vars} variables; expected at least one of each")]
    Empty { n_obs: usize, n_vars: usize },
    /// Filtering left nothing.
    #[error(
        "none of the {n_vars} variables is seen in at least {min_cells} of the {n_obs} spots; expected one that is"
    )]
    NothingLeft { n_vars: usize, n_obs: usize, min_cells: usize },
    /// The dense eigensolver gave up.
    #[error("the eigenvalue problem of size {size} did not converge; expected a finite symmetric matrix")]
    Eigen { size: usize },
    /// Spatially variable genes without a spatial graph.
    #[error("there is no spatial graph; expected one, which spatially variable genes are found on")]
    NoSpatialGraph,
    /// A spatial graph that is unfit.
    #[error(transparent)]
    Spatial(#[from] StatsError),
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Diagnosis for PreprocessError {
    fn origin(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Option(e) => Some(e),
            Self::Spatial(e) => Some(e),
            Self::Interrupted(e) => Some(e),
            _ => None,
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::NonFinite { .. } => "correct or remove it first (rows and columns count from 0)".to_owned(),
            Self::Negative { .. } | Self::NotCounts { .. } => "give the raw counts, which files often keep in a layer or in raw (rows and columns count from 0)".to_owned(),
            Self::CountsWhereLogNeeded { .. } => format!("normalise and take logarithms first, or choose {}", Opt("flavor").set("seurat_v3")),
            Self::ShapeMismatch { per, .. } => format!("give one for each {per}"),
            Self::Empty { .. } => "check that the right modality or layer was read".to_owned(),
            Self::NothingLeft { .. } => format!("lower {}, or check that the right layer was read", Opt("min_cells")),
            Self::NoSpatialGraph => {
                format!("give the coordinates of the spots, or choose {}", Opt("select").set("hvg"))
            }
            Self::Eigen { .. } => "check the input for extreme values".to_owned(),
            _ => return self.origin()?.advice(),
        })
    }
}

#[cfg(test)]
mod tests {
    use brodmann_kernels::proofread::flaw;

    use super::*;

    #[test]
    fn every_message_reads_as_a_sentence() {
        let looks_like = String::from("it looks normalised: fractions up to 3");
        let errors = [
            PreprocessError::NonFinite { row: 1, column: 2, value: f32::NAN },
            PreprocessError::Negative { row: 1, column: 2, value: -1.0, looks_like: looks_like.clone() },
            PreprocessError::NotCounts { row: 1, column: 2, value: 0.5, looks_like },
            PreprocessError::CountsWhereLogNeeded { max: 9.0, flavour: "seurat" },
            PreprocessError::ShapeMismatch { what: "the scaling", found: 1, expected: 2, per: "spot" },
            OptionError::new("n_pcs", 0, "at least 1").into(),
            PreprocessError::Empty { n_obs: 0, n_vars: 3 },
            PreprocessError::NothingLeft { n_vars: 3, n_obs: 4, min_cells: 3 },
            PreprocessError::Eigen { size: 4 },
            PreprocessError::NoSpatialGraph,
            StatsError::EmptyGraph { n_obs: 3 }.into(),
        ];
        for error in errors {
            assert_eq!(flaw(&error), None);
        }
    }
}
