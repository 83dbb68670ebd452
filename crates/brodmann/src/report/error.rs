//! Why a report could not be written.

// Fields are named after what the messages say of them.
#![expect(missing_docs)]

use brodmann_kernels::{Blame, Diagnosis};

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Nothing to draw.
    #[error("the report has no slice; expected at least one with coordinates")]
    NoSlices,
    /// Coordinates that are not in the plane.
    #[error("the coordinates of slice {slice} have {found} columns; expected 2: x and y")]
    NotPlanar { slice: String, found: usize },
    /// Not one value per spot, or one name per row.
    #[error("{what} has {found} entries; expected {expected}")]
    Length { what: String, found: usize, expected: usize },
    /// A category that has no name.
    #[error("spot {row} of {what} has category {found}; expected a number below {expected}")]
    Category { what: String, row: usize, found: u32, expected: usize },
    /// A sparse column whose rows do not ascend, or lie beyond the spots.
    #[error("row {row} at position {position} of {what} is out of order or beyond the {n_obs} spots")]
    Rows { what: String, position: usize, row: u32, n_obs: usize },
    /// The domains, or what else is to be categories, are numbers; or the other way round.
    #[error("column {index} of the report is meant as {meant}; there is none of that kind at this place")]
    Column { index: usize, meant: &'static str },
    /// More spots than positions of 32 bits.
    #[error("the report has {found} spots; expected at most {limit}")]
    TooManySpots { found: usize, limit: usize },
    /// Bytes that are neither PNG nor JPEG.
    #[error("{what} is neither a PNG nor a JPEG file")]
    Picture { what: String },
    /// Numbers that place no picture.
    #[error(
        "the picture of slice {slice} is placed by {found}; expected six finite numbers that do not flatten it"
    )]
    Placement { slice: String, found: String },
    /// What the page was written to failed.
    #[error("the report could not be written: {0}")]
    Write(#[from] std::io::Error),
}

impl Diagnosis for ReportError {
    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::NoSlices => "give a slice with coordinates".to_owned(),
            Self::NotPlanar { .. } => "leave two columns of the coordinates".to_owned(),
            Self::Length { .. } => "give one entry per spot, or per row".to_owned(),
            Self::Category { .. } => "name every category".to_owned(),
            Self::Rows { .. } => "give each spot once, in their order".to_owned(),
            Self::Column { .. } => "correct its place".to_owned(),
            Self::TooManySpots { .. } => "report fewer slices at a time".to_owned(),
            Self::Picture { .. } => "give a PNG or a JPEG".to_owned(),
            Self::Placement { .. } => "correct the scale factors".to_owned(),
            Self::Write(_) => "check the free space and the permissions of its folder".to_owned(),
        })
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Write(error) => Blame::File(error.raw_os_error()),
            _ => Blame::Value,
        }
    }
}
