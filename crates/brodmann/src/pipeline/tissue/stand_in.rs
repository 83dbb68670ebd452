//! Where the counts are when `X` does not hold them: many files keep scaled values in `X` and the counts beside it.

use brodmann_data::{AnnData, DataFrame, Matrix, OpenFile, keys};
use brodmann_kernels::CsrMatrix;

use crate::pipeline::PipelineError;
use crate::preprocess::{MatrixContent, detect_content};

/// How `adata.raw` is asked for as a layer.
pub(in crate::pipeline) const RAW: &str = "raw";
/// Rows that are looked at.
const SAMPLE: usize = 512;

/// Another place of the counts.
pub(super) struct StandIn {
    /// Its name as a layer.
    pub(super) layer: &'static str,
    /// What `X` holds instead, in words.
    pub(super) evidence: String,
    /// Of `raw`: the variables, of which there may be more.
    pub(super) var: Option<DataFrame>,
}

/// Puts the counts of a whole container in memory where `X` is, if they are elsewhere; what was done, in words.
///
/// # Inputs
/// `layer`: what was asked for; `"raw"` becomes a layer of that name. `normalized`: nobody looks for counts.
pub(in crate::pipeline) fn put_in_place(
    adata: &mut AnnData,
    layer: Option<&str>,
    normalized: bool,
) -> Result<Option<String>, PipelineError> {
    let place = Place { adata, file: None, key: None };
    let (of, evidence) = match layer {
        Some(RAW) if !adata.layers.contains_key(RAW) => (RAW, String::new()),
        Some(_) => return Ok(None),
        None if normalized => return Ok(None),
        None => match place.stand_in()? {
            Some(found) => (found.layer, found.evidence),
            None => return Ok(None),
        },
    };
    let counts = if of == RAW {
        let Some(raw) = adata.raw.take() else { return Ok(None) };
        adata.layers.clear();
        adata.var = raw.var;
        raw.x
    } else {
        adata.layers.shift_remove(of)
    };
    let Some(counts) = counts else { return Ok(None) };
    if layer == Some(RAW) {
        adata.x = None;
        adata.layers.insert(RAW.to_owned(), counts);
        return Ok(None);
    }
    adata.x = Some(counts);
    let of = if of == RAW { RAW.to_owned() } else { format!("layers[{of:?}]") };
    Ok(Some(format!("X holds no counts ({evidence}); they are taken from {of}")))
}

/// A modality in memory, or in a file of which only names were read.
pub(super) struct Place<'a> {
    pub(super) adata: &'a AnnData,
    pub(super) file: Option<&'a OpenFile>,
    pub(super) key: Option<&'a str>,
}

impl Place<'_> {
    /// The first rows of `X` or a layer.
    fn sample(&self, layer: Option<&str>) -> Result<Option<CsrMatrix<f32>>, PipelineError> {
        let loaded = match layer {
            Some(RAW) => self.adata.raw.as_ref().and_then(|raw| raw.x.as_ref()),
            _ => self.adata.matrix(layer).ok(),
        };
        if let Some(matrix) = loaded {
            let rows: Vec<usize> = (0..matrix.n_rows().min(SAMPLE)).collect();
            return Ok(Some(matrix.select_rows(&rows).into_csr_f32()));
        }
        let Some(file) = self.file else { return Ok(None) };
        let Some(matrix) = file.matrix_rows(self.key, layer)? else { return Ok(None) };
        let first = matrix.blocks()?.next().transpose()?;
        Ok(first.map(|block| {
            let rows: Vec<usize> = (0..block.rows.n_rows().min(SAMPLE)).collect();
            Matrix::CsrF32(block.rows).select_rows(&rows).into_csr_f32()
        }))
    }

    /// Variables of `raw`, where it is there.
    pub(super) fn raw_var(&self) -> Result<Option<DataFrame>, PipelineError> {
        match (&self.adata.raw, self.file) {
            (Some(raw), _) => Ok(Some(raw.var.clone())),
            (None, Some(file)) => Ok(file.raw_var(self.key)?),
            (None, None) => Ok(None),
        }
    }

    fn has_layer(&self, layer: &str) -> Result<bool, PipelineError> {
        if self.adata.layers.contains_key(layer) {
            return Ok(true);
        }
        let Some(file) = self.file else { return Ok(false) };
        Ok(file.element_names(self.key, "layers")?.iter().any(|name| name == layer))
    }

    /// Where the counts are, if they are not in `X`: in `layers["counts"]`, else in `raw`.
    pub(super) fn stand_in(&self) -> Result<Option<StandIn>, PipelineError> {
        let counts = self.has_layer(keys::COUNTS)?;
        let raw = self.raw_var()?;
        if !counts && raw.is_none() {
            return Ok(None);
        }
        let Some(x) = self.sample(None)? else { return Ok(None) };
        let found = detect_content(x.view());
        if found.content == MatrixContent::RawCounts {
            return Ok(None);
        }
        let is_counts = |layer| -> Result<bool, PipelineError> {
            let rows = self.sample(Some(layer))?;
            Ok(rows.is_some_and(|rows| detect_content(rows.view()).content == MatrixContent::RawCounts))
        };
        if counts && is_counts(keys::COUNTS)? {
            return Ok(Some(StandIn { layer: keys::COUNTS, evidence: found.evidence, var: None }));
        }
        if raw.is_some() && is_counts(RAW)? {
            return Ok(Some(StandIn { layer: RAW, evidence: found.evidence, var: raw }));
        }
        Ok(None)
    }
}
