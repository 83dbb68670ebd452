//! A `.h5ad` or `.h5mu` held open: everything that is read of it, and the copy that results are added to, comes from
//! one descriptor, so that all of it is of one file.

use std::path::Path;
use std::sync::Arc;

use super::edit;
use super::read::{self, Container, is_anndata, is_mudata};
use super::rows::{self, MatrixRows};
use crate::hdf5::Hdf5Reader;
use crate::{Additions, DataError, DataFrame, ReadOptions};

/// A `.h5ad` or `.h5mu` held open. Clones share the descriptor.
#[derive(Clone)]
pub struct OpenFile {
    store: Arc<Hdf5Reader>,
}

impl std::fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("OpenFile").field(&self.path()).finish()
    }
}

impl OpenFile {
    /// Opens `path`, whatever its name.
    ///
    /// # Errors
    /// [`DataError`] for what is missing, is not HDF5 or is damaged; [`DataError::Kind`] for another HDF5 file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let store = Hdf5Reader::open(path.as_ref())?;
        if is_mudata(&store)? || is_anndata(&store)? {
            return Ok(Self::of(store));
        }
        Err(read::not_anndata(&store))
    }

    pub(crate) fn of(store: Hdf5Reader) -> Self {
        Self { store: Arc::new(store) }
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        self.store.path()
    }

    /// Reads the container, whole or in part.
    ///
    /// # Errors
    /// As [`read_h5ad`](crate::read_h5ad) and [`read_h5mu`](crate::read_h5mu).
    pub fn read(&self, options: &ReadOptions) -> Result<Container, DataError> {
        read::container(&self.store, options)
    }

    /// Names of what `group` (`obs`, `obsm`, `layers`, ...) of the file or of one of its modalities holds.
    ///
    /// # Errors
    /// [`DataError::Damaged`].
    pub fn element_names(&self, modality: Option<&str>, group: &str) -> Result<Vec<String>, DataError> {
        read::names_in(&self.store, modality, group)
    }

    /// Stored entries of `X` or a layer (all of a dense matrix), without reading them; `None` where there is no matrix.
    ///
    /// # Errors
    /// [`DataError::Damaged`].
    pub fn stored_entries(
        &self,
        modality: Option<&str>,
        layer: Option<&str>,
    ) -> Result<Option<usize>, DataError> {
        rows::stored_in(&self.store, modality, layer)
    }

    /// `X` or a layer, to be read in blocks of rows: as [`MatrixRows::open`].
    ///
    /// # Errors
    /// [`DataError::Damaged`].
    pub fn matrix_rows(
        &self,
        modality: Option<&str>,
        layer: Option<&str>,
    ) -> Result<Option<MatrixRows>, DataError> {
        MatrixRows::of(&self.store, modality, layer)
    }

    /// Variables of `raw` of the file or of one of its modalities, without its matrix; `None` where there is no `raw`.
    ///
    /// # Errors
    /// [`DataError::Damaged`].
    pub fn raw_var(&self, modality: Option<&str>) -> Result<Option<DataFrame>, DataError> {
        read::raw_var(&*self.store, modality)
    }

    /// Refuses to go on with a file that was written to, replaced or removed since it was opened.
    ///
    /// # Errors
    /// [`DataError::Changed`].
    pub fn check_unchanged(&self) -> Result<(), DataError> {
        self.store.check_unchanged()
    }

    /// Writes this file with `additions` to `output`: as
    /// [`write_with_additions`](crate::write_with_additions), of the file that was opened.
    ///
    /// # Errors
    /// As there; [`DataError::Changed`] when the path leads to other content by now. The output is as it was then.
    pub fn write_with_additions(
        &self,
        output: impl AsRef<Path>,
        additions: &Additions,
        in_place: bool,
    ) -> Result<(), DataError> {
        edit::write_opened(&self.store, output.as_ref(), additions, in_place)
    }
}
