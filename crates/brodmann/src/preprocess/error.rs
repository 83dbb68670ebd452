//! What can be wrong with an expression matrix or with the options of a preprocessing step.

use brodmann_kernels::Interrupted;

/// Why a preprocessing step cannot be done. The text up to the first `; ` is the finding, the rest the advice.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PreprocessError {
    /// NaN or an infinity.
    #[error(
        "the value at row {row}, column {column} is {value}, where a finite number was expected; repair or remove it before preprocessing (rows and columns count from 0)"
    )]
    NonFinite {
        /// Row of the first such value.
        row: usize,
        /// Its column.
        column: usize,
        /// The value.
        value: f32,
    },
    /// A value below zero where counts or their logarithms are needed.
    #[error(
        "the value at row {row}, column {column} is {value}, where a count of 0 or more was expected ({looks_like}); give the raw counts, which files often keep in a layer or in `raw` (rows and columns count from 0)"
    )]
    Negative {
        /// Row of the first such value.
        row: usize,
        /// Its column.
        column: usize,
        /// The value.
        value: f32,
        /// What the matrix seems to hold.
        looks_like: String,
    },
    /// Fractions where counts are needed.
    #[error(
        "already-normalised data where counts are needed: the value at row {row}, column {column} is {value}, where a whole number was expected ({looks_like}); give the raw counts, which files often keep in a layer or in `raw` (rows and columns count from 0)"
    )]
    NotCounts {
        /// Row of the first such value.
        row: usize,
        /// Its column.
        column: usize,
        /// The value.
        value: f32,
        /// What the matrix seems to hold.
        looks_like: String,
    },
    /// Raw counts where log-normalised values are needed.
    #[error(
        "raw counts (whole numbers up to {max}) where log-normalised values are needed by the flavour `{flavour}`; apply normalize_total and log1p first, or use the flavour `seurat_v3`"
    )]
    CountsWhereLogNeeded {
        /// The largest value.
        max: f32,
        /// The flavour asked for.
        flavour: &'static str,
    },
    /// Two inputs disagree in length.
    #[error("{what} has {found} entries, where {expected} were expected; give one per {per}")]
    ShapeMismatch {
        /// The input.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length of the matrix.
        expected: usize,
        /// `spot` or `variable`.
        per: &'static str,
    },
    /// An option out of its range.
    #[error("{option} = {found}, where {expected} was expected; choose another value")]
    InvalidOption {
        /// Name of the option.
        option: &'static str,
        /// What was given.
        found: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// No spot at all.
    #[error(
        "the matrix holds {n_obs} spots and {n_vars} variables, where at least one of each was expected; check that the right modality or layer was read"
    )]
    Empty {
        /// Spots.
        n_obs: usize,
        /// Variables.
        n_vars: usize,
    },
    /// Filtering left nothing.
    #[error(
        "none of the {n_vars} variables is seen in at least {min_cells} of the {n_obs} spots; lower `min_cells` or check that the right layer was read"
    )]
    NothingLeft {
        /// Variables before the filter.
        n_vars: usize,
        /// Spots.
        n_obs: usize,
        /// The threshold.
        min_cells: usize,
    },
    /// The dense eigensolver gave up.
    #[error(
        "the eigenvalue problem of size {size} did not converge, where a finite symmetric matrix was expected; check the input for extreme values"
    )]
    Eigen {
        /// Rows of the matrix.
        size: usize,
    },
    /// The rows could not be had, from a file for instance.
    #[error("{message}")]
    Rows {
        /// What the source of the rows says: a finding, `; `, an advice.
        message: String,
    },
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_a_finding_and_an_advice() {
        let looks_like = String::from("it looks normalised: fractions up to 3");
        let errors = [
            PreprocessError::NonFinite { row: 1, column: 2, value: f32::NAN },
            PreprocessError::Negative { row: 1, column: 2, value: -1.0, looks_like: looks_like.clone() },
            PreprocessError::NotCounts { row: 1, column: 2, value: 0.5, looks_like },
            PreprocessError::CountsWhereLogNeeded { max: 9.0, flavour: "seurat" },
            PreprocessError::ShapeMismatch { what: "the scaling", found: 1, expected: 2, per: "spot" },
            PreprocessError::InvalidOption { option: "n_pcs", found: "0".into(), expected: "at least 1" },
            PreprocessError::Empty { n_obs: 0, n_vars: 3 },
            PreprocessError::NothingLeft { n_vars: 3, n_obs: 4, min_cells: 3 },
            PreprocessError::Eigen { size: 4 },
            PreprocessError::Rows { message: "the file is truncated; write it again".into() },
        ];
        for error in errors {
            assert_eq!(error.to_string().matches("; ").count(), 1, "{error}");
        }
    }
}
