//! The measurement of a modality: read whole, or block by block from the file.

use brodmann_data::{AnnData, Matrix, MatrixRows, OpenFile, ReadOptions, Select};
use brodmann_kernels::CsrMatrix;

use super::stand_in::RAW;
use super::{Container, ModalityInfo, Tissue};
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

/// `X`, a layer or `raw` of a modality, where it is in memory.
pub(super) fn loaded<'a>(adata: &'a AnnData, layer: Option<&str>) -> Option<&'a Matrix> {
    match adata.matrix(layer) {
        Ok(matrix) => Some(matrix),
        Err(_) if layer == Some(RAW) => adata.raw.as_ref().and_then(|raw| raw.x.as_ref()),
        Err(_) => None,
    }
}

/// All rows of a matrix.
pub(super) fn whole(rows: &MatrixRows) -> Result<CsrMatrix<f32>, PipelineError> {
    let mut matrix = CsrMatrix::with_capacity(rows.n_cols(), rows.n_rows(), rows.nnz());
    for block in rows.blocks()? {
        let block = block?.rows;
        for i in 0..block.n_rows() {
            let (columns, values) = block.view().row(i);
            matrix.push_row(columns.iter().copied().zip(values.iter().copied()));
        }
    }
    Ok(matrix)
}

impl Tissue {
    /// Layers of a modality in the file.
    pub fn layer_names(&self, modality: &ModalityInfo) -> Vec<String> {
        let Some(file) = &self.file else { return self.original(modality).layers.keys().cloned().collect() };
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
        let layer = modality.layer(layer);
        let adata = self.original(modality);
        if let Some(counts) = loaded(adata, layer) {
            return Ok(match (&modality.rows, &self.original) {
                (Some(rows), Some(_)) => counts.select_rows(rows).into_csr_f32(),
                _ => counts.to_csr_f32().into_owned(),
            });
        }
        let counts = match (&self.file, self.streamed(modality, layer)) {
            (Some(file), _) => self.read_matrix(file, modality, layer)?.into_csr_f32(),
            (None, Some(rows)) => whole(rows)?,
            (None, None) => return Ok(adata.matrix(layer)?.to_csr_f32().into_owned()),
        };
        Ok(match &modality.rows {
            None => counts,
            Some(rows) => counts.view().select_rows(rows),
        })
    }

    /// `X` of an instrument's file, where it is read block by block.
    pub(super) fn streamed(&self, modality: &ModalityInfo, layer: Option<&str>) -> Option<&MatrixRows> {
        self.rows.get(&modality.key).filter(|_| layer.is_none())
    }

    /// A modality with its matrices: of all observations where there is no file.
    pub(in crate::pipeline) fn original(&self, modality: &ModalityInfo) -> &AnnData {
        match (&self.original, &modality.key) {
            (Some(Container::Single(adata)), _) => adata,
            (Some(Container::Multi(mdata)), Some(key)) => {
                mdata.modalities.get(key).unwrap_or_else(|| self.adata(modality))
            }
            _ => self.adata(modality),
        }
    }

    /// Whether the counts of a modality are still to be read from a file whose parts can be read one by one.
    pub(in crate::pipeline) fn is_in_file(&self, modality: &ModalityInfo, layer: Option<&str>) -> bool {
        (self.file.is_some() || !self.rows.is_empty())
            && loaded(self.adata(modality), modality.layer(layer)).is_none()
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
        let (adata, layer) = (self.adata(modality), modality.layer(layer));
        let rises = modality.rows.as_ref().is_none_or(|rows| rows.windows(2).all(|w| w[0] < w[1]));
        if !rises || loaded(self.original(modality), layer).is_some() {
            return Ok(None);
        }
        let found = match &self.file {
            Some(file) => file.matrix_rows(modality.key.as_deref(), layer)?,
            None => self.streamed(modality, layer).cloned(),
        };
        let fits = |m: &MatrixRows| (m.n_rows(), m.n_cols()) == (modality.n_rows, adata.n_vars());
        Ok(found.filter(fits).map(|matrix| CountRows::new(matrix, modality.rows.clone())))
    }

    /// How much the counts of a modality hold, and how they will be read; `None` where there are none.
    pub(in crate::pipeline) fn counts_size(
        &self,
        modality: &ModalityInfo,
        layer: Option<&str>,
    ) -> Result<Option<CountsSize>, PipelineError> {
        if let Some(matrix) = loaded(self.original(modality), modality.layer(layer)) {
            return Ok(Some(CountsSize { nnz: matrix.nnz(), streamed: false, kept: false }));
        }
        if let Some(rows) = self.count_rows(modality, layer)? {
            let (nnz, kept) = (rows.nnz(), rows.may_be_kept());
            return Ok(Some(CountsSize { nnz, streamed: true, kept }));
        }
        let Some(file) = &self.file else { return Ok(None) };
        let nnz = file.stored_entries(modality.key.as_deref(), modality.layer(layer))?;
        Ok(nnz.map(|nnz| CountsSize { nnz, streamed: false, kept: false }))
    }

    fn read_matrix(
        &self,
        file: &OpenFile,
        modality: &ModalityInfo,
        layer: Option<&str>,
    ) -> Result<Matrix, PipelineError> {
        file.check_unchanged()?;
        if let Some(matrix) = read_matrix(file, modality, layer)? {
            return Ok(matrix);
        }
        // Asks so that a missing key gives the reader's own message, with the keys there are.
        let missing = self.adata(modality).matrix(layer);
        Ok(missing.map_err(|e| self.with_existing(e, modality.key.as_deref()))?.clone())
    }
}

/// `X`, a layer or `raw` of a file, whole; `None` where it is not there.
pub(super) fn read_matrix(
    file: &OpenFile,
    modality: &ModalityInfo,
    layer: Option<&str>,
) -> Result<Option<Matrix>, PipelineError> {
    let mut options = ReadOptions::names_only();
    match layer {
        None => options.x = true,
        Some(layer) => {
            options.raw = layer == RAW;
            options.layers = Select::only([layer]);
        }
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
    Ok(match layer {
        None => adata.x.take(),
        Some(layer) => adata
            .layers
            .swap_remove(layer)
            .or_else(|| adata.raw.take().filter(|_| layer == RAW).and_then(|raw| raw.x)),
    })
}
