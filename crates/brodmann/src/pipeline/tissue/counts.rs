//! The measurement of a modality: read whole, or block by block from the file.

use brodmann_data::{Matrix, MatrixRows, OpenFile, ReadOptions, Select};
use brodmann_kernels::CsrMatrix;

use super::{ModalityInfo, Tissue};
use crate::pipeline::PipelineError;
use crate::pipeline::count_rows::CountRows;
use crate::preprocess::RowSource;

/// How much the counts of a modality hold.
#[derive(Clone, Copy, Debug)]
pub(in crate::pipeline) struct CountsSize {
    /// Stored entries.
    pub(in crate::pipeline) nnz: usize,
    /// Read block by block.
    pub(in crate::pipeline) streamed: bool,
    /// Kept after the first pass over the blocks.
    pub(in crate::pipeline) kept: bool,
}

impl Tissue {
    /// Layers of a modality in the file.
    pub fn layer_names(&self, modality: &ModalityInfo) -> Vec<String> {
        let Some(file) = &self.file else { return self.adata(modality).layers.keys().cloned().collect() };
        file.element_names(modality.key.as_deref(), "layers").unwrap_or_default()
    }

    /// The counts of a modality (`X` or `layer`), rows in the order of the whole; read now, not kept.
    ///
    /// # Errors
    /// [`brodmann_data::DataError::MissingKey`] naming the layers there are.
    pub fn counts(
        &self,
        modality: &ModalityInfo,
        layer: Option<&str>,
    ) -> Result<CsrMatrix<f32>, PipelineError> {
        let loaded = self.adata(modality).matrix(layer).ok().map(Matrix::to_csr_f32);
        let counts = match loaded {
            Some(counts) => counts.into_owned(),
            None => match &self.file {
                Some(file) => self.read_matrix(file, modality, layer)?.into_csr_f32(),
                None => self.adata(modality).matrix(layer)?.to_csr_f32().into_owned(),
            },
        };
        Ok(match &modality.rows {
            None => counts,
            Some(rows) => counts.view().select_rows(rows),
        })
    }

    /// Whether the counts of a modality are still to be read from a file whose parts can be read one by one.
    pub(in crate::pipeline) fn is_in_file(&self, modality: &ModalityInfo, layer: Option<&str>) -> bool {
        self.file.is_some() && self.adata(modality).matrix(layer).is_err()
    }

    /// The counts of a modality as rows to be read block by block; `None` where they are in memory already, in another
    /// order than the whole, or stored so that they can only be read whole ([`Tissue::counts`]).
    ///
    /// # Errors
    /// [`DataError`] when the file cannot be opened or its headers cannot be followed.
    pub(in crate::pipeline) fn count_rows(
        &self,
        modality: &ModalityInfo,
        layer: Option<&str>,
    ) -> Result<Option<CountRows>, PipelineError> {
        let adata = self.adata(modality);
        let Some(file) =
            self.file.as_ref().filter(|_| modality.rows.is_none() && adata.matrix(layer).is_err())
        else {
            return Ok(None);
        };
        let found = file.matrix_rows(modality.key.as_deref(), layer)?;
        let fits = |m: &MatrixRows| (m.n_rows(), m.n_cols()) == (adata.n_obs(), adata.n_vars());
        Ok(found.filter(fits).map(CountRows::new))
    }

    /// How much the counts of a modality hold, and how they will be read; `None` where there are none.
    pub(in crate::pipeline) fn counts_size(
        &self,
        modality: &ModalityInfo,
        layer: Option<&str>,
    ) -> Result<Option<CountsSize>, PipelineError> {
        if let Ok(matrix) = self.adata(modality).matrix(layer) {
            return Ok(Some(CountsSize { nnz: matrix.nnz(), streamed: false, kept: false }));
        }
        if let Some(rows) = self.count_rows(modality, layer)? {
            let (nnz, kept) = (rows.nnz(), rows.may_be_kept());
            return Ok(Some(CountsSize { nnz, streamed: true, kept }));
        }
        let Some(file) = &self.file else { return Ok(None) };
        let nnz = file.stored_entries(modality.key.as_deref(), layer)?;
        Ok(nnz.map(|nnz| CountsSize { nnz, streamed: false, kept: false }))
    }

    fn read_matrix(
        &self,
        file: &OpenFile,
        modality: &ModalityInfo,
        layer: Option<&str>,
    ) -> Result<Matrix, PipelineError> {
        file.check_unchanged()?;
        let mut options = ReadOptions::names_only();
        match layer {
            None => options.x = true,
            Some(layer) => options.layers = Select::only([layer]),
        }
        if let Some(key) = &modality.key {
            options.modalities = Select::only([key]);
        }
        let mut adata = match file.read(&options)? {
            brodmann_data::Container::AnnData(adata) => adata,
            brodmann_data::Container::MuData(mut mdata) => {
                modality.key.as_ref().and_then(|key| mdata.modalities.swap_remove(key)).unwrap_or_default()
            }
        };
        // Asks again so that a missing key gives the reader's own message, with the keys there are.
        adata.matrix(layer).map_err(|e| self.with_existing(e, modality.key.as_deref()))?;
        let matrix = match layer {
            None => adata.x.take(),
            Some(layer) => adata.layers.swap_remove(layer),
        };
        Ok(matrix.expect("just found"))
    }
}
