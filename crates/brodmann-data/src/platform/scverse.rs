//! AnnData and MuData in HDF5 or Zarr, and tables of SpatialData stores, whatever their name.

use std::path::Path;

use super::{Opened, Platform, Source};
use crate::DataError;
use crate::scverse::OpenFile;

pub(super) struct Scverse;

/// Endings of such files: what is named like one is read as one, and its reader says what is wrong with it.
const ENDINGS: [&str; 3] = ["h5ad", "h5mu", "zarr"];

impl Platform for Scverse {
    fn names(&self) -> &'static [&'static str] {
        &["h5ad", "h5mu", "zarr", "spatialdata"]
    }

    fn looks_for(&self) -> &'static str {
        "AnnData, MuData or SpatialData (.h5ad, .h5mu, .zarr, .zarr.zip: obs and var, mod, or tables)"
    }

    fn takes(&self) -> &'static [&'static str] {
        &["table_name", "coordinate_system"]
    }

    fn matches(&self, path: &Path) -> bool {
        if OpenFile::is_known(path) {
            match OpenFile::open(path) {
                // Several tables, of which one is to be named.
                Ok(_) | Err(DataError::MissingKey { .. }) => return true,
                Err(_) => {}
            }
        }
        path.extension().is_some_and(|e| ENDINGS.iter().any(|known| e == *known))
    }

    fn open(&self, source: &Source<'_>) -> Result<Opened, DataError> {
        let options = source.options;
        let file = OpenFile::open_table(
            source.path,
            options.table_name.as_deref(),
            options.coordinate_system.as_deref(),
        )?;
        Ok(Opened { file: Some(file.clone()), ..Opened::of(file.read(source.read)?) })
    }
}
