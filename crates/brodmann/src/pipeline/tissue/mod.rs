//! A file opened, whatever its format: one view on AnnData and MuData, and the way results go back.
//!
//! Modalities may list the same observations in another order, and some observations may not take part; what is seen here
//! are those that do, in the order of the whole. Methods add their results in that order, and the results go back to the
//! rows of the input they belong to.
//!
//! * `open`: a path, or a container in memory, becomes a tissue.
//! * `aside`: which spots take part. `stand_in`: where the counts are, if not in `X`.
//! * `elements`: embeddings, graphs, columns and the rest, of the whole or of a modality.
//! * `counts`: the measurement, whole or block by block.
//! * `back`: results back to the rows of the input. `write`: where they go.

mod aside;
mod back;
mod counts;
mod elements;
mod open;
mod stand_in;
mod write;

use std::path::PathBuf;
use std::sync::Mutex;

use brodmann_data::{AnnData, ElementAdditions, MatrixRows, MuData, OpenFile, Reservation, Whole};
use indexmap::IndexMap;

use crate::preprocess::Modality;

use aside::Kept;
pub use open::{Inputs, Opening};
pub(super) use stand_in::put_in_place;
pub use write::Destination;
pub(super) use write::is_zarr;

/// One modality of a tissue.
#[derive(Clone, Debug, PartialEq)]
pub struct ModalityInfo {
    /// Layer name in options and logs: the MuData key, or the kind of an AnnData.
    pub name: String,
    /// Key in the MuData; `None` in an AnnData.
    pub key: Option<String>,
    /// What it measures.
    pub kind: Modality,
    /// For each observation its row of the modality in the input; `None` when these are all of them in order.
    rows: Option<Vec<usize>>,
    /// Rows of the modality in the input.
    n_rows: usize,
    /// Where the counts are, if not in `X`.
    stand_in: Option<&'static str>,
    /// What is to be said when they are read from there.
    note: Option<String>,
    /// Of counts in `raw`: the variables of `X`, which results go back to.
    own_var: Option<Vec<String>>,
}

impl ModalityInfo {
    fn new(name: String, key: Option<String>, kind: Modality) -> Self {
        Self { name, key, kind, rows: None, n_rows: 0, stand_in: None, note: None, own_var: None }
    }

    /// A modality that lies elsewhere.
    pub(super) fn named(name: String, kind: Modality) -> Self {
        Self::new(name, None, kind)
    }

    /// The layer that holds the counts: the one asked for, or what stands in for `X`.
    pub(super) fn layer<'a>(&self, asked: Option<&'a str>) -> Option<&'a str> {
        asked.or(self.stand_in)
    }

    /// What there is to say when counts are read from elsewhere than was asked for.
    pub(super) fn note(&self, asked: Option<&str>) -> Option<&str> {
        self.note.as_deref().filter(|_| asked.is_none())
    }
}

#[derive(Debug)]
pub(super) enum Container {
    Single(Box<AnnData>),
    Multi(Box<MuData>),
}

/// A tissue read from a file, with what the read options asked for.
#[derive(Debug)]
pub struct Tissue {
    pub(super) path: PathBuf,
    /// The observations that take part, modalities in one order.
    pub(super) container: Container,
    /// All of what was read, where not all take part and there is no file to read it from again.
    original: Option<Container>,
    /// `obs` column that names the slide, where the input holds several and says so.
    pub(super) library_key: Option<String>,
    kept: Kept,
    /// Names of all observations of the input, where not all take part.
    all_names: Option<Vec<String>>,
    /// The input where it is a `.h5ad` or `.h5mu`: held open, so that all that is read of it, and the copy that the
    /// results go into, is of one file.
    file: Option<OpenFile>,
    /// Of an instrument's files: `X` by modality, where it is read block by block.
    rows: IndexMap<Option<String>, MatrixRows>,
    /// The right to write the output, from the check of the destination on.
    reserved: Mutex<Option<Reservation>>,
    modalities: Vec<ModalityInfo>,
}

impl Tissue {
    /// Number of observations.
    pub fn n_obs(&self) -> usize {
        self.whole().obs.n_rows()
    }

    /// Observations in the input, those set aside included.
    pub fn n_all(&self) -> usize {
        self.kept.n_all
    }

    /// The file that is held open, where the input is one of scverse.
    pub(super) fn file(&self) -> Option<&OpenFile> {
        self.file.as_ref()
    }

    /// Rows of the input that take part; `None` for all.
    pub(super) fn kept_rows(&self) -> Option<&[usize]> {
        self.kept.rows.as_deref()
    }

    /// Brings the additions of a part of these observations' rows into all rows of the input.
    pub(super) fn spread(own: &mut ElementAdditions, kept: &[usize], n_all: usize) {
        back::spread_obs(own, &back::inverse(kept, n_all));
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
