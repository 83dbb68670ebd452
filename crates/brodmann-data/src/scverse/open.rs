//! A file or store held open: everything that is read of it, and the copy that results are added to, is of what was
//! opened, or is refused. Of an HDF5 file all of it comes from one descriptor; of a Zarr folder, whatever was looked at is
//! looked at again.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use super::edit;
use super::read::{self, Container, is_anndata, is_mudata};
use super::rows::{self, MatrixRows};
use crate::backend::Backend;
use crate::input::open_input;
use crate::spatialdata::{self, Regions};
use crate::store::Store;
use crate::zarr;
use crate::{Additions, DataError, DataFrame, ReadOptions, keys};

/// A `.h5ad`, a `.h5mu`, a Zarr store of the same, or a table of a SpatialData store, held open. Clones share it.
#[derive(Clone)]
pub struct OpenFile {
    store: Arc<Backend>,
    /// Where the rows of a SpatialData table lie.
    regions: Option<Arc<Regions>>,
}

impl std::fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("OpenFile").field(&self.path()).finish()
    }
}

impl OpenFile {
    /// Opens `path`, whatever its name: HDF5, a Zarr folder or a zip archive of one; of a SpatialData store its only
    /// table.
    ///
    /// # Errors
    /// [`DataError`] for what is missing, is of no such format or is damaged; [`DataError::Kind`] for another HDF5 file
    /// or store; [`DataError::MissingKey`] naming the tables where there are several.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DataError> {
        Self::open_table(path, None, None)
    }

    /// Opens `path`; of a SpatialData store the table `table`.
    ///
    /// # Inputs
    /// `table`: needed where there are several. `coordinate_system`: what coordinates are wanted in; without it those of
    /// the table itself, and where it has none those of the elements it describes, in `"global"` or the only system.
    /// # Returns
    /// Reading gives the table with `obsm["spatial"]` from the elements it describes (circles, polygons and labels: their
    /// middle; points), and pictures of the same coordinate system in `uns["spatial"]`, the smallest of at least 600
    /// pixels. Neither is in the file unless it is added to it; additions go into the table.
    /// # Errors
    /// As [`OpenFile::open`]; [`DataError::Kind`] for a table or coordinate system of a file that has neither.
    pub fn open_table(
        path: impl AsRef<Path>,
        table: Option<&str>,
        coordinate_system: Option<&str>,
    ) -> Result<Self, DataError> {
        let store = Backend::open(path.as_ref())?;
        if is_mudata(&store)? || is_anndata(&store)? {
            let asked = table.map(|t| format!("the table {t:?}"));
            let asked = asked.or_else(|| coordinate_system.map(|s| format!("the coordinate system {s:?}")));
            return match asked {
                None => Ok(Self { store: Arc::new(store), regions: None }),
                Some(expected) => Err(DataError::Kind {
                    element: store.path().display().to_string(),
                    found: "a single container".to_owned(),
                    expected: format!("a SpatialData store, to take {expected} of it"),
                }),
            };
        }
        match store {
            Backend::Zarr(whole) if spatialdata::is_spatialdata(&whole)? => {
                let at = spatialdata::table_path(&whole, table)?;
                let regions = Regions::of(&whole, &at, coordinate_system)?.map(Arc::new);
                Ok(Self { store: Arc::new(Backend::Zarr(whole.below(&at))), regions })
            }
            store => Err(read::not_anndata(&store)),
        }
    }

    /// Whether `path` begins as a file or folder that [`OpenFile::open`] may open: HDF5, a zip archive, or a folder with
    /// the metadata of Zarr. Its name is not looked at, its content not read.
    pub fn is_known(path: &Path) -> bool {
        if path.is_dir() { zarr::is_store_folder(path) } else { zarr::is_zip(path) || is_hdf5(path) }
    }

    /// Whether it is a Zarr store, of which a copy is one too.
    pub fn is_zarr(&self) -> bool {
        matches!(&*self.store, Backend::Zarr(_))
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
        let mut container = read::container(&*self.store, options)?;
        if let (Some(regions), Backend::Zarr(table), Container::AnnData(adata)) =
            (&self.regions, &*self.store, &mut container)
        {
            regions.complete(table, adata, options)?;
        }
        Ok(container)
    }

    /// Names of what `group` (`obs`, `obsm`, `layers`, ...) of the file or of one of its modalities holds.
    ///
    /// # Errors
    /// [`DataError::Damaged`].
    pub fn element_names(&self, modality: Option<&str>, group: &str) -> Result<Vec<String>, DataError> {
        let mut names = read::names_in(&*self.store, modality, group)?;
        let spatial = || keys::SPATIAL.to_owned();
        if self.regions.is_some() && modality.is_none() && group == "obsm" && !names.contains(&spatial()) {
            // Reading gives it, though it is not stored.
            names.push(spatial());
        }
        Ok(names)
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
        rows::stored_in(&*self.store, modality, layer)
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

/// Whether a file has HDF5's mark at one of the first places where it may be (MuData begins with a text of its own).
fn is_hdf5(path: &Path) -> bool {
    const MARK: &[u8; 8] = b"\x89HDF\r\n\x1a\n";
    let Ok(mut file) = open_input(path) else { return false };
    [0, 512, 1024, 2048].into_iter().any(|at| {
        let mut start = [0; 8];
        file.seek(SeekFrom::Start(at)).is_ok() && file.read_exact(&mut start).is_ok() && start == *MARK
    })
}
