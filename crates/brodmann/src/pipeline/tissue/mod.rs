//! A file opened, whatever its format: one view on AnnData and MuData, and the way results go back.
//!
//! Modalities may list the same observations in another order; they are seen here in the order of the whole, and
//! what is written to a modality goes back in the modality's own order.
//!
//! * `open`: a path, or a container in memory, becomes a tissue.
//! * `elements`: embeddings, graphs, columns and the rest, of the whole or of a modality.
//! * `counts`: the measurement, whole or block by block.
//! * `write`: results into the modality's order, and to where they go.

mod counts;
mod elements;
mod open;
mod write;

use std::path::PathBuf;
use std::sync::Mutex;

use brodmann_data::{AnnData, MuData, OpenFile, Reservation, Whole};

use crate::preprocess::Modality;

pub use write::Destination;

/// One modality of a tissue.
#[derive(Clone, Debug, PartialEq)]
pub struct ModalityInfo {
    /// Layer name in options and logs: the MuData key, or the kind of an AnnData.
    pub name: String,
    /// Key in the MuData; `None` in an AnnData.
    pub key: Option<String>,
    /// What it measures.
    pub kind: Modality,
    /// Rows of the modality in the order of the whole; `None` when the order is the same.
    rows: Option<Vec<usize>>,
}

#[derive(Debug)]
pub(super) enum Container {
    Single(Box<AnnData>),
    Multi(Box<MuData>),
}

/// A tissue read from a file, with what the read options asked for.
#[derive(Debug)]
pub struct Tissue {
    path: PathBuf,
    pub(super) container: Container,
    /// The input where it is a `.h5ad` or `.h5mu`: held open, so that all that is read of it, and the copy that the
    /// results go into, is of one file.
    file: Option<OpenFile>,
    /// The right to write the output, from the check of the destination on.
    reserved: Mutex<Option<Reservation>>,
    modalities: Vec<ModalityInfo>,
}

impl Tissue {
    /// Number of observations.
    pub fn n_obs(&self) -> usize {
        self.whole().obs.n_rows()
    }

    /// The elements of the whole: of the MuData, or of the AnnData.
    pub(super) fn whole(&self) -> Whole<'_> {
        match &self.container {
            Container::Single(adata) => adata.whole(),
            Container::Multi(mdata) => mdata.whole(),
        }
    }

    /// The modalities, in the file's order.
    pub fn modalities(&self) -> &[ModalityInfo] {
        &self.modalities
    }

    /// Names of the observations of the whole.
    pub fn obs_names(&self) -> &[String] {
        &self.whole().obs.index
    }

    /// Names of the features of a modality.
    pub fn var_names(&self, modality: &ModalityInfo) -> &[String] {
        self.adata(modality).var_names()
    }

    pub(super) fn adata(&self, modality: &ModalityInfo) -> &AnnData {
        match (&self.container, &modality.key) {
            (Container::Single(adata), _) => adata,
            (Container::Multi(mdata), key) => {
                let key = key.as_deref().expect("modalities of a MuData have a key");
                mdata.modalities.get(key).expect("the list of modalities comes from this MuData")
            }
        }
    }
}
