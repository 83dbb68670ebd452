//! Whichever format a path leads to: what opens files names this, what reads elements only [`Store`].

use std::path::Path;

use crate::hdf5::{self, Hdf5Reader};
use crate::store::{ArrayInfo, Attribute, NodeKind, Number, Store};
use crate::zarr::{self, ZarrReader};
use crate::{Array, DataError};

/// An open HDF5 file or Zarr store.
// A handful exist at a time: the size of the larger variant costs nothing.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Backend {
    Hdf5(Hdf5Reader),
    Zarr(ZarrReader),
}

macro_rules! each {
    ($self:expr, $store:ident => $body:expr) => {
        match $self {
            Backend::Hdf5($store) => $body,
            Backend::Zarr($store) => $body,
        }
    };
}

impl Backend {
    /// Opens `path`: a folder or a zip archive as Zarr, anything else as HDF5.
    ///
    /// # Errors
    /// Those of the two readers.
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        if path.is_dir() || zarr::is_zip(path) {
            ZarrReader::open(path).map(Self::Zarr)
        } else {
            Hdf5Reader::open(path).map(Self::Hdf5)
        }
    }

    /// Refuses to go on with a file that was written to, replaced or removed since it was opened.
    ///
    /// # Errors
    /// [`DataError::Changed`].
    pub(crate) fn check_unchanged(&self) -> Result<(), DataError> {
        each!(self, store => store.check_unchanged())
    }

    /// The array of numbers `path`, to be taken piece by piece; `None` where it can only be read whole.
    ///
    /// # Errors
    /// [`DataError::Damaged`].
    pub(crate) fn sequence<T: Number>(&self, path: &str) -> Result<Option<Sequence<T>>, DataError> {
        Ok(match self {
            Self::Hdf5(store) => store.sequence(path)?.map(Sequence::Hdf5),
            Self::Zarr(store) => store.sequence(path)?.map(Sequence::Zarr),
        })
    }
}

/// One array piece by piece, in order.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Sequence<T> {
    Hdf5(hdf5::Sequence<T>),
    Zarr(zarr::Sequence<T>),
}

impl<T: Number> Sequence<T> {
    /// The next `rows` rows.
    ///
    /// # Errors
    /// [`DataError::Damaged`] when the array ends before, or its bytes cannot be decoded.
    pub(crate) fn take(&mut self, rows: usize) -> Result<Vec<T>, DataError> {
        match self {
            Self::Hdf5(sequence) => sequence.take(rows),
            Self::Zarr(sequence) => sequence.take(rows),
        }
    }
}

impl Store for Backend {
    fn path(&self) -> &Path {
        each!(self, store => store.path())
    }

    fn format(&self) -> &'static str {
        each!(self, store => store.format())
    }

    fn begin(&self) {
        each!(self, store => store.begin());
    }

    fn check_rules(&self, path: &str) -> Result<(), DataError> {
        each!(self, store => store.check_rules(path))
    }

    fn node(&self, path: &str) -> Result<Option<NodeKind>, DataError> {
        each!(self, store => store.node(path))
    }

    fn children(&self, path: &str) -> Result<Vec<String>, DataError> {
        each!(self, store => store.children(path))
    }

    fn attribute(&self, path: &str, name: &str) -> Result<Option<Attribute>, DataError> {
        each!(self, store => store.attribute(path, name))
    }

    fn info(&self, path: &str) -> Result<ArrayInfo, DataError> {
        each!(self, store => store.info(path))
    }

    fn array(&self, path: &str) -> Result<Array, DataError> {
        each!(self, store => store.array(path))
    }

    fn numbers<T: Number>(&self, path: &str) -> Result<Vec<T>, DataError> {
        each!(self, store => store.numbers(path))
    }

    fn field(&self, path: &str, name: &str) -> Result<Option<Array>, DataError> {
        each!(self, store => store.field(path, name))
    }
}
