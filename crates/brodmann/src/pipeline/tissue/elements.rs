//! Embeddings, graphs, columns and the rest: of the whole or of a modality, rows in the order of the whole.

use brodmann_data::{Categorical, Column, DataError, Matrix, OpenFile, Value, keys};
use brodmann_kernels::{CsrMatrix, Opt, Slices, Step};
use ndarray::Array2;

use super::{Container, ModalityInfo, Tissue};
use crate::pipeline::PipelineError;
use crate::preprocess::Modality;

/// What to do about a tissue without coordinates.
fn without_space() -> Vec<String> {
    vec!["add the spot coordinates".to_owned(), format!("cluster without space with {}", Step("leiden"))]
}

impl Tissue {
    /// Stored edges of `obsp[key]` of a modality, where it is there.
    pub(in crate::pipeline) fn graph_edges(&self, modality: &ModalityInfo, key: &str) -> Option<usize> {
        self.adata(modality).obsp.get(key).map(Matrix::nnz)
    }

    /// Stored edges of `obsp[key]` of the whole tissue, where it is there.
    pub(in crate::pipeline) fn whole_graph_edges(&self, key: &str) -> Option<usize> {
        self.whole().obsp.get(key).map(Matrix::nnz)
    }

    /// Columns of `obsm[key]` of a modality or of the whole, where it is there.
    pub(in crate::pipeline) fn embedding_width(&self, modality: &ModalityInfo, key: &str) -> Option<usize> {
        let value = self.adata(modality).obsm.get(key).or_else(|| self.whole().obsm.get(key))?;
        value.shape().and_then(|shape| shape.get(1).copied())
    }

    /// `obsm[key]` of a modality, rows in the order of the whole; `None` when it is absent.
    ///
    /// # Errors
    /// When it is there but not numbers of the right shape.
    pub fn embedding(
        &self,
        modality: &ModalityInfo,
        key: &str,
    ) -> Result<Option<Array2<f64>>, PipelineError> {
        let adata = self.adata(modality);
        if !adata.obsm.contains_key(key) {
            return Ok(None);
        }
        Ok(Some(adata.obsm_f64(key)?))
    }

    /// `obsm[key]` of the whole or, failing that, of the first modality that has it.
    ///
    /// # Errors
    /// [`DataError::MissingKey`] naming what there is.
    pub fn any_embedding(&self, key: &str) -> Result<Array2<f64>, PipelineError> {
        if self.whole().obsm.contains_key(key) {
            return Ok(self.whole().obsm_f64(key)?);
        }
        for modality in &self.modalities {
            if let Some(embedding) = self.embedding(modality, key)? {
                return Ok(embedding);
            }
        }
        let missing = DataError::MissingKey {
            container: "obsm".to_owned(),
            key: key.to_owned(),
            place: self.path.display().to_string(),
            existing: Vec::new(),
            named_by: Some(Opt("use_rep")),
            otherwise: vec![format!("make an embedding with {}", Step("preprocess"))],
        };
        // Where the whole has no embedding, those of the modality that is looked into first are named.
        let whole = self.with_existing(missing, None);
        Err(match (&whole, self.modalities.first().and_then(|m| m.key.as_deref())) {
            (DataError::MissingKey { existing, .. }, Some(first)) if existing.is_empty() => {
                self.with_existing(whole, Some(first))
            }
            _ => whole,
        }
        .into())
    }

    /// `obsp[key]` of a modality, rows and columns in the order of the whole; `None` when it is absent.
    ///
    /// # Errors
    /// When it is there but not `(n_obs, n_obs)`.
    pub fn graph(&self, modality: &ModalityInfo, key: &str) -> Result<Option<CsrMatrix<f64>>, PipelineError> {
        let adata = self.adata(modality);
        if !adata.obsp.contains_key(key) {
            return Ok(None);
        }
        Ok(Some(adata.obsp_csr(key)?.into_owned()))
    }

    /// `obsp[key]` of the whole tissue: of the MuData, or of the AnnData.
    ///
    /// # Errors
    /// When it is there but not `(n_obs, n_obs)`.
    pub fn whole_graph(&self, key: &str) -> Result<Option<CsrMatrix<f64>>, PipelineError> {
        let whole = self.whole();
        if !whole.obsp.contains_key(key) {
            return Ok(None);
        }
        Ok(Some(whole.obsp_csr(key)?.into_owned()))
    }

    /// `obsm[key]` of the whole, or of the first modality that has it, with the names of its columns (numbers from
    /// 0 where it has none), rows in the order of the whole; `None` where it is absent or holds no numbers.
    pub fn table(&self, key: &str) -> Option<(Vec<String>, Array2<f64>)> {
        let of = |value: &Value| {
            let numbers = value.to_matrix_f64()?;
            let names = match value {
                Value::Frame(frame) => frame.columns.keys().cloned().collect(),
                _ => (0..numbers.ncols()).map(|j| j.to_string()).collect(),
            };
            Some((names, numbers))
        };
        if let Some(value) = self.whole().obsm.get(key) {
            return of(value).filter(|(_, numbers)| numbers.nrows() == self.n_obs());
        }
        self.modalities.iter().find_map(|modality| {
            let (names, numbers) = of(self.adata(modality).obsm.get(key)?)?;
            Some((names, numbers)).filter(|(_, numbers)| numbers.nrows() == self.n_obs())
        })
    }

    /// A column of `var` of a modality.
    pub fn var_column(&self, modality: &ModalityInfo, key: &str) -> Option<&Column> {
        self.adata(modality).var.columns.get(key)
    }

    /// Names of the entries of `obsm` of the whole, or of every modality where the whole has none.
    pub fn obsm_names(&self) -> Vec<String> {
        let Some(file) = &self.file else {
            return self.modalities.iter().flat_map(|m| self.adata(m).obsm.keys().cloned()).collect();
        };
        file.element_names(None, "obsm").unwrap_or_default()
    }

    /// Keys of the tables of `obsm` that were read, of the whole and then of the modalities, each once.
    pub(in crate::pipeline) fn tables_read(&self) -> Vec<String> {
        let of_modalities = self.modalities.iter().flat_map(|m| self.adata(m).obsm.keys());
        let mut keys: Vec<String> = Vec::new();
        for key in self.whole().obsm.keys().chain(of_modalities) {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        keys
    }

    /// Whether `obsm[key]` is there, in the whole or in a modality, whatever it holds.
    pub fn has_embedding(&self, key: &str) -> bool {
        self.whole().obsm.contains_key(key)
            || self.modalities.iter().any(|m| self.adata(m).obsm.contains_key(key))
    }

    /// Spot centres.
    ///
    /// # Errors
    /// [`DataError::MissingKey`] naming what `obsm` holds and how to add coordinates.
    pub fn coordinates(&self, key: &str) -> Result<Array2<f64>, PipelineError> {
        match &self.container {
            Container::Single(adata) if adata.obsm.contains_key(key) => Ok(adata.obsm_f64(key)?),
            Container::Single(adata) => {
                let missing = DataError::MissingKey {
                    container: "obsm".to_owned(),
                    key: key.to_owned(),
                    place: self.path.display().to_string(),
                    existing: adata.obsm.keys().cloned().collect(),
                    named_by: Some(Opt("spatial_key")),
                    otherwise: without_space(),
                };
                Err(self.with_existing(missing, None).into())
            }
            Container::Multi(mdata) => mdata.coordinates(key).map_err(|e| self.with_existing(e, None).into()),
        }
    }

    /// An obs column of the whole, or of the first modality that has it, in the order of the whole.
    pub fn obs_column(&self, key: &str) -> Option<Column> {
        self.whole().obs.columns.get(key).cloned().or_else(|| {
            self.modalities.iter().find_map(|modality| self.adata(modality).obs.columns.get(key).cloned())
        })
    }

    /// Names of the obs columns of the whole.
    pub fn obs_columns(&self) -> Vec<String> {
        self.whole().obs.columns.keys().cloned().collect()
    }

    /// An obs column as categories.
    ///
    /// # Errors
    /// [`DataError::MissingKey`] naming the columns there are.
    pub fn labels(&self, key: &str) -> Result<Categorical, PipelineError> {
        self.obs_column(key).map(|c| c.to_categorical()).ok_or_else(|| {
            let missing = DataError::MissingKey {
                container: "obs".to_owned(),
                key: key.to_owned(),
                place: self.path.display().to_string(),
                existing: self.obs_columns(),
                named_by: None,
                otherwise: Vec::new(),
            };
            self.with_existing(missing, None).into()
        })
    }

    /// A missing key, with all the keys the file has beside it: only those that are needed were read.
    pub(super) fn with_existing(&self, error: DataError, modality: Option<&str>) -> DataError {
        match error {
            DataError::MissingKey { container, key, existing, named_by, mut otherwise, .. } => {
                let group = if container == "adata" { "layers" } else { container.as_str() };
                let in_file = |file: &OpenFile| file.element_names(modality, group).unwrap_or_default();
                let all = self.file.as_ref().map(in_file).unwrap_or_default();
                let existing = if all.is_empty() { existing } else { all };
                if container == "layers" && existing.is_empty() {
                    otherwise.push(format!("leave {} out to take the counts from X", Opt("layer")));
                }
                let place = self.path.display().to_string();
                DataError::MissingKey { container, key, place, existing, named_by, otherwise }
            }
            other => other,
        }
    }

    /// The slices of the observations, named after the categories of the column; missing names are refused.
    ///
    /// # Errors
    /// As [`Tissue::labels`]; [`PipelineError::Column`] when a spot has no slice.
    pub fn slices(&self, library_key: Option<&str>) -> Result<Option<Slices>, PipelineError> {
        let Some(key) = library_key else { return Ok(None) };
        let labels = self.labels(key)?;
        let codes: Result<Vec<u32>, _> = labels.codes.iter().map(|&c| u32::try_from(c)).collect();
        let codes = codes.map_err(|_| PipelineError::Column {
            element: format!("obs[{key:?}]"),
            found: "missing values".to_owned(),
            expected: "the slice of every spot",
        })?;
        Ok(Some(Slices::from_codes(&codes, &labels.categories)))
    }

    /// Of several modalities those of one kind, where one is asked for; an AnnData's own whatever it measures.
    ///
    /// # Errors
    /// [`PipelineError::Option`] naming the modalities there are.
    pub fn modalities_of(&self, kind: Option<Modality>) -> Result<Vec<&ModalityInfo>, PipelineError> {
        let wanted = |m: &&ModalityInfo| m.key.is_none() || kind.is_none_or(|kind| kind == m.kind);
        let found: Vec<&ModalityInfo> = self.modalities.iter().filter(wanted).collect();
        if found.is_empty() {
            let there: Vec<&str> = self.modalities.iter().map(|m| m.name.as_str()).collect();
            let expected = format!("that of one there is ({})", there.join(", "));
            return Err(PipelineError::option("modality", kind.map_or("", Modality::name), expected));
        }
        Ok(found)
    }

    /// The unit of the coordinates, where the file says it.
    pub fn coordinate_unit(&self) -> Option<String> {
        let libraries = self.uns(keys::SPATIAL)?.as_dict()?;
        libraries.values().find_map(|library| {
            Some(library.get(keys::METADATA)?.get(keys::COORDINATE_UNIT)?.as_str()?.to_owned())
        })
    }

    /// `uns[key]` of the whole or of the first modality that has it.
    pub fn uns(&self, key: &str) -> Option<&Value> {
        let own = |modality: &ModalityInfo| self.adata(modality).uns.get(key);
        self.whole().uns.get(key).or_else(|| self.modalities.iter().find_map(own))
    }
}
