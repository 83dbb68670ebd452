//! Why a picture could not be read or turned into features.

// Fields are named after what the messages say of them.
#![expect(missing_docs)]

use std::fmt::{self, Debug, Display, Formatter};

use brodmann_kernels::{Diagnosis, Interrupted, Opt, OptionError};

use super::network::NetworkError;

/// Why a region of a picture could not be read: the error of whoever reads it, unchanged.
pub struct PixelsError(Box<dyn Diagnosis + Send + Sync>);

impl<E: Diagnosis + Send + Sync + 'static> From<E> for PixelsError {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl PixelsError {
    /// What the error says beside its message.
    pub fn diagnosis(&self) -> &dyn Diagnosis {
        &*self.0
    }
}

impl Display for PixelsError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.0, f)
    }
}

impl Debug for PixelsError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Debug::fmt(&self.0, f)
    }
}

/// Why a picture gives no features.
#[derive(Debug, thiserror::Error)]
pub enum HistologyError {
    /// A picture without a pixel.
    #[error("the picture has {height} × {width} pixels; expected at least 1 × 1")]
    EmptyPicture { height: usize, width: usize },
    /// Something else than rows and columns.
    #[error("the positions of the spots have {found} columns; expected 2, row and column")]
    CentreColumns { found: usize },
    /// A spot without a place.
    #[error("spot {spot} lies at row {row}, column {column} of the picture; expected finite numbers")]
    BadCentre { spot: usize, row: f64, column: f64 },
    /// A region of another size than was asked for.
    #[error("a region of the picture came as {found:?}; expected {expected:?}: rows, columns, colours")]
    RegionShape { found: Vec<usize>, expected: [usize; 3] },
    /// An array of another shape than the function takes.
    #[error("the {what} has the shape {found:?}; expected {expected}")]
    Shape { what: &'static str, found: Vec<usize>, expected: &'static str },
    /// Stains that point in one direction.
    #[error("the stains {stains:?} lie in one plane; expected three that differ")]
    DependentStains { stains: [[f64; 3]; 3] },
    /// An option out of its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The picture could not be read.
    #[error("{0}")]
    Pixels(PixelsError),
    /// The network could not be had or used.
    #[error("{0}")]
    Network(NetworkError),
    /// A network is asked for where none is computed.
    #[error(
        "{} is {encoder}, a network, and this build computes none of the kind; expected texture, or features that are made \
         already",
        Opt("encoder")
    )]
    NoNetworks {
        /// As it was asked for.
        encoder: String,
        /// The feature of a build that computes it.
        feature: &'static str,
    },
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl From<PixelsError> for HistologyError {
    fn from(error: PixelsError) -> Self {
        Self::Pixels(error)
    }
}

impl From<NetworkError> for HistologyError {
    fn from(error: NetworkError) -> Self {
        Self::Network(error)
    }
}

impl Diagnosis for HistologyError {
    fn origin(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Option(e) => Some(e),
            Self::Pixels(e) => Some(e.diagnosis()),
            Self::Network(e) => Some(e.diagnosis()),
            Self::Interrupted(e) => Some(e),
            _ => None,
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::EmptyPicture { .. } => "give another picture".to_owned(),
            Self::CentreColumns { .. } => "give row and column alone".to_owned(),
            Self::BadCentre { .. } => "remove such spots, or correct their coordinates".to_owned(),
            Self::RegionShape { .. } => "return exactly the rows and columns asked for".to_owned(),
            Self::Shape { .. } => "reshape it".to_owned(),
            Self::NoNetworks { encoder, feature } => format!(
                "build the program with networks, from its source: `cargo run --release --features {feature} -- image-features \
                 FILE --encoder {encoder} --out OUT`; features made there can be used everywhere"
            ),
            Self::DependentStains { .. } => format!("choose other vectors for {}", Opt("stains")),
            _ => return self.origin()?.advice(),
        })
    }
}
