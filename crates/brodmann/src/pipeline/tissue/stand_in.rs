//! Where the counts are when `X` does not hold them: many files keep scaled values in `X` and the counts beside it.

use brodmann_data::{AnnData, DataFrame, Matrix, OpenFile, keys};
use brodmann_kernels::{CsrMatrix, Opt};

use crate::pipeline::PipelineError;
use crate::pipeline::request::FeatureRequest;
use crate::preprocess::{MatrixContent, detect_content};

/// How `adata.raw` is asked for as a layer.
pub(in crate::pipeline) const RAW: &str = "raw";
/// Rows that are looked at.
const SAMPLE: usize = 512;

/// Another place of the counts.
pub(super) struct StandIn {
    /// Its name as a layer.
    pub(super) layer: &'static str,
    /// What `X` holds instead, in words; nothing where this place was asked for.
    pub(super) evidence: Option<String>,
    /// Of `raw`: the variables, of which there may be more.
    pub(super) var: Option<DataFrame>,
}

impl StandIn {
    fn found(layer: &'static str, evidence: String, var: Option<DataFrame>) -> Self {
        Self { layer, evidence: Some(evidence), var }
    }

    /// What is said of the choice for `name`; nothing where it was asked for.
    pub(super) fn note(&self, name: &str) -> Option<String> {
        let evidence = self.evidence.as_ref()?;
        let place = if self.layer == RAW { RAW.to_owned() } else { format!("layers[{:?}]", self.layer) };
        Some(format!(
            "{name}: X holds no counts ({evidence}); they are taken from {place} ({} or {} says otherwise)",
            Opt("layer"),
            Opt("normalized").set("true")
        ))
    }
}

/// Puts the counts of a whole container in memory where `X` is, if they are elsewhere; what is said of it for `name`.
///
/// Where `raw` was asked for, it becomes a layer of that name.
pub(in crate::pipeline) fn put_in_place(
    adata: &mut AnnData,
    features: &FeatureRequest,
    name: &str,
) -> Result<Option<String>, PipelineError> {
    let Some(found) = (Place { adata, file: None, key: None }).counts(features)? else { return Ok(None) };
    let counts = if found.layer == RAW {
        let Some(raw) = adata.raw.take() else { return Ok(None) };
        adata.layers.clear();
        adata.var = raw.var;
        raw.x
    } else {
        adata.layers.shift_remove(found.layer)
    };
    if found.evidence.is_some() {
        adata.x = counts;
    } else {
        adata.x = None;
        adata.layers.extend(counts.map(|counts| (RAW.to_owned(), counts)));
    }
    Ok(found.note(name))
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
    fn raw_var(&self) -> Result<Option<DataFrame>, PipelineError> {
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

    /// Where the counts are, if they are not in `X`: in `raw` where that is asked for and no layer has this name; where
    /// nothing is asked for, wherever they are found.
    pub(super) fn counts(&self, features: &FeatureRequest) -> Result<Option<StandIn>, PipelineError> {
        match features.layer.as_deref() {
            Some(RAW) if !self.adata.layers.contains_key(RAW) => {
                Ok(Some(StandIn { layer: RAW, evidence: None, var: self.raw_var()? }))
            }
            Some(_) => Ok(None),
            None if features.normalized => Ok(None),
            None => self.stand_in(),
        }
    }

    /// In `layers["counts"]`, else in `raw`, where `X` does not hold them.
    fn stand_in(&self) -> Result<Option<StandIn>, PipelineError> {
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
            return Ok(Some(StandIn::found(keys::COUNTS, found.evidence, None)));
        }
        if raw.is_some() && is_counts(RAW)? {
            return Ok(Some(StandIn::found(RAW, found.evidence, raw)));
        }
        Ok(None)
    }
}
