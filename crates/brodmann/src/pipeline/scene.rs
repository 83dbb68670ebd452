//! A tissue on its way through a method: with its slices and files.

use std::ops::Range;

use brodmann_kernels::Slices;

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
    /// The slice of each observation, where there are any.
    slices: Option<Slices>,
    /// Slices that have observations.
    pub n_slices: usize,
}

impl<'a> Scene<'a> {
    pub(super) fn new(
        tissue: &'a Tissue,
        library_key: Option<&'a str>,
        files: Vec<Range<usize>>,
    ) -> Result<Self, PipelineError> {
        let slices = tissue.slices(library_key)?;
        let n_slices = slices.as_ref().map_or(1, Slices::count);
        Ok(Self { tissue, library_key, files, slices, n_slices })
    }

    /// The slice of each observation, where there are any.
    pub fn slices(&self) -> Option<&Slices> {
        self.slices.as_ref()
    }

    /// Observations.
    pub fn n_obs(&self) -> usize {
        self.tissue.n_obs()
    }
}
