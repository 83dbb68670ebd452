//! `.h5ad` and `.h5mu`, whatever their name.

use std::path::Path;

use super::{Opened, Platform, Source};
use crate::DataError;
use crate::hdf5::Hdf5Reader;
use crate::scverse::{OpenFile, is_anndata, is_mudata};

pub(super) struct Scverse;

impl Platform for Scverse {
    fn names(&self) -> &'static [&'static str] {
        &["h5ad", "h5mu"]
    }

    fn looks_for(&self) -> &'static str {
        "AnnData or MuData (.h5ad, .h5mu: obs and var, or mod)"
    }

    fn matches(&self, path: &Path) -> bool {
        if !path.is_file() {
            return false;
        }
        match Hdf5Reader::open(path) {
            Ok(store) => is_mudata(&store).unwrap_or(false) || is_anndata(&store).unwrap_or(false),
            // Named like one: its own reader says what is wrong with it.
            Err(_) => path.extension().is_some_and(|e| e == "h5ad" || e == "h5mu"),
        }
    }

    fn open(&self, source: &Source<'_>) -> Result<Opened, DataError> {
        let file = OpenFile::open(source.path)?;
        Ok(Opened { container: file.read(source.read)?, file: Some(file), library_key: None })
    }
}
