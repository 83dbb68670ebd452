//! A tissue on its way through a method: with its slices and files.

use std::collections::BTreeSet;
use std::ops::Range;

use super::PipelineError;
use super::tissue::Tissue;

/// A tissue on its way through a method.
pub struct Scene<'a> {
    /// The tissue.
    pub tissue: &'a Tissue,
    /// `obs` column that names the slice; always there with several files.
    pub library_key: Option<&'a str>,
    /// The rows of each file.
    pub files: Vec<Range<usize>>,
    /// The slice of each observation.
    codes: Option<Vec<u32>>,
    /// Names of the slices, by code.
    pub slice_names: Vec<String>,
    /// Slices that have observations.
    pub n_slices: usize,
}

impl<'a> Scene<'a> {
    pub(super) fn new(
        tissue: &'a Tissue,
        library_key: Option<&'a str>,
        files: Vec<Range<usize>>,
    ) -> Result<Self, PipelineError> {
        let codes = tissue.slices(library_key)?;
        let slice_names =
            library_key.map(|key| tissue.labels(key)).transpose()?.map(|l| l.categories).unwrap_or_default();
        let distinct = |codes: &Vec<u32>| codes.iter().collect::<BTreeSet<_>>().len();
        let n_slices = codes.as_ref().map_or(1, distinct).max(1);
        Ok(Self { tissue, library_key, files, codes, slice_names, n_slices })
    }

    /// The slice of each observation, where there are any.
    pub fn slices(&self) -> Option<&[u32]> {
        self.codes.as_deref()
    }

    /// Observations.
    pub fn n_obs(&self) -> usize {
        self.tissue.n_obs()
    }
}
