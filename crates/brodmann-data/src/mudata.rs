//! MuData: several modalities of the same tissue, as scverse's `mudata` holds it.

use std::borrow::Cow;
use std::collections::HashMap;

use brodmann_kernels::{CsrMatrix, Opt};
use indexmap::IndexMap;
use ndarray::Array2;

use crate::anndata::{missing, obsm_f64, obsp_csr, validate_axes};
use crate::error::NameMismatch;
use crate::{AnnData, Categorical, Column, DataError, DataFrame, Matrix, Value};

/// Modalities with what is shared between them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MuData {
    /// Each modality under its name, in order.
    pub modalities: IndexMap<String, AnnData>,
    /// One row per observation of any modality.
    pub obs: DataFrame,
    /// One row per variable of any modality.
    pub var: DataFrame,
    /// Per observation.
    pub obsm: IndexMap<String, Value>,
    /// Per variable.
    pub varm: IndexMap<String, Value>,
    /// Between observations.
    pub obsp: IndexMap<String, Matrix>,
    /// Between variables.
    pub varp: IndexMap<String, Matrix>,
    /// Everything else.
    pub uns: IndexMap<String, Value>,
    /// For each modality, the row (from 1; 0 for none) of each global observation in it.
    pub obsmap: IndexMap<String, Vec<u32>>,
    /// For each modality, the row (from 1; 0 for none) of each global variable in it.
    pub varmap: IndexMap<String, Vec<u32>>,
    /// The axis the modalities share: 0 observations, 1 variables, -1 both.
    pub axis: i64,
}

impl MuData {
    /// Modalities of the same observations, each aligned by name to the first.
    ///
    /// # Errors
    /// [`DataError::DifferentObservations`], [`DataError::DuplicateNames`].
    pub fn new(modalities: IndexMap<String, AnnData>) -> Result<Self, DataError> {
        let mut mdata = Self { modalities, ..Self::default() };
        mdata.align()?;
        mdata.update();
        Ok(mdata)
    }

    /// Number of observations.
    pub fn n_obs(&self) -> usize {
        self.obs.n_rows()
    }

    /// Number of variables over all modalities.
    pub fn n_vars(&self) -> usize {
        self.var.n_rows()
    }

    /// Names of the observations.
    pub fn obs_names(&self) -> &[String] {
        &self.obs.index
    }

    /// The modality `name`.
    ///
    /// # Errors
    /// [`DataError::MissingKey`].
    pub fn modality(&self, name: &str) -> Result<&AnnData, DataError> {
        self.modalities
            .get(name)
            .ok_or_else(|| missing("mod", name, &self.modalities, Some(Opt("modality")), &[]))
    }

    /// `obsm[key]` of the whole as `(n_obs, d)` numbers.
    ///
    /// # Errors
    /// As [`AnnData::obsm_f64`].
    pub fn obsm_f64(&self, key: &str) -> Result<Array2<f64>, DataError> {
        obsm_f64(&self.obsm, key, self.n_obs())
    }

    /// `obsp[key]` of the whole.
    ///
    /// # Errors
    /// As [`AnnData::obsp_csr`].
    pub fn obsp_csr(&self, key: &str) -> Result<Cow<'_, CsrMatrix<f64>>, DataError> {
        obsp_csr(&self.obsp, key, self.n_obs())
    }

    /// Puts domains into `obs[key]` as scanpy does.
    pub fn set_labels(&mut self, key: &str, labels: &[u32]) {
        self.obs.columns.insert(key.to_owned(), Column::Categorical(Categorical::from_labels(labels)));
    }

    /// Spot centres: `obsm["spatial"]` of the whole, else of the first modality that has one and all observations.
    ///
    /// # Errors
    /// [`DataError::MissingKey`] listing what `obsm` holds.
    pub fn coordinates(&self, key: &str) -> Result<Array2<f64>, DataError> {
        if self.obsm.contains_key(key) {
            return self.obsm_f64(key);
        }
        for (name, adata) in &self.modalities {
            if adata.obsm.contains_key(key) && adata.n_obs() == self.n_obs() {
                let coordinates = adata.obsm_f64(key)?;
                return match self.rows_of(name) {
                    // Global row i is row map[i] of the modality.
                    Some(rows) => Ok(coordinates.select(ndarray::Axis(0), &rows)),
                    None => Ok(coordinates),
                };
            }
        }
        let mut existing: Vec<String> = self.obsm.keys().cloned().collect();
        for (name, adata) in &self.modalities {
            existing.extend(adata.obsm.keys().map(|k| format!("{name}:{k}")));
        }
        Err(DataError::MissingKey {
            container: "obsm".to_owned(),
            key: key.to_owned(),
            place: "the file and its modalities".to_owned(),
            existing,
            named_by: Some(Opt("spatial_key")),
            otherwise: vec![format!(
                "add the spot coordinates to obsm, under this name or one given with {}",
                Opt("spatial_key")
            )],
        })
    }

    /// Rows of modality `name` in the order of the global observations; `None` when it lacks some.
    pub fn rows_of(&self, name: &str) -> Option<Vec<usize>> {
        let adata = self.modalities.get(name)?;
        if adata.obs.index == self.obs.index {
            return Some((0..self.n_obs()).collect());
        }
        let place: HashMap<&str, usize> =
            adata.obs.index.iter().enumerate().map(|(i, n)| (n.as_str(), i)).collect();
        self.obs.index.iter().map(|n| place.get(n.as_str()).copied()).collect()
    }

    /// How the observations of `adata`, the modality `name`, are not those of the whole.
    ///
    /// For a modality without [rows](MuData::rows_of), or with more of them than the whole.
    pub fn mismatch(&self, name: &str, adata: &AnnData) -> DataError {
        if let Err(repeated) = adata.obs.require_unique("obs") {
            return repeated;
        }
        let whole = &self.obs.index;
        alignment("mdata", whole, name, &adata.obs.index).err().unwrap_or_else(|| DataError::Shape {
            element: format!("mod[{name:?}].obs"),
            found: vec![adata.n_obs()],
            expected: format!("{} observations, as the whole has", whole.len()),
        })
    }

    /// Brings the observations of every modality into the order of the first, by name.
    ///
    /// Where a global `obs` exists (a file was read) its order is the reference instead, provided the first
    /// modality holds exactly its names.
    ///
    /// # Errors
    /// [`DataError::DifferentObservations`] when the sets of names differ; [`DataError::DuplicateNames`].
    pub fn align(&mut self) -> Result<(), DataError> {
        let Some((first_name, first)) = self.modalities.first() else { return Ok(()) };
        let (reference_name, reference) = if self.obs.index.is_empty() {
            (first_name.clone(), first.obs.index.clone())
        } else {
            ("mdata".to_owned(), self.obs.index.clone())
        };
        for adata in self.modalities.values() {
            adata.obs.require_unique("obs")?;
        }
        for (name, adata) in &mut self.modalities {
            if adata.obs.index == reference {
                continue;
            }
            let rows = alignment(&reference_name, &reference, name, &adata.obs.index)?;
            *adata = adata.select_obs(&rows);
        }
        let n = reference.len() as u32;
        for map in self.obsmap.values_mut() {
            *map = (1..=n).collect();
        }
        Ok(())
    }

    /// Rebuilds the global row names, `obsmap` and `varmap` from the modalities, keeping global columns.
    ///
    /// Call [`MuData::align`] first.
    pub fn update(&mut self) {
        if let Some((_, first)) = self.modalities.first() {
            self.obs.index.clone_from(&first.obs.index);
        }
        let n_obs = self.obs.n_rows() as u32;
        let names: Vec<String> = self.modalities.values().flat_map(|a| a.var.index.iter().cloned()).collect();
        if names != self.var.index {
            self.var = DataFrame::new(names);
            self.varm.clear();
            self.varp.clear();
        }
        let n_vars = self.var.n_rows();
        self.obsmap = self.modalities.keys().map(|k| (k.clone(), (1..=n_obs).collect())).collect();
        let mut start = 0;
        self.varmap.clear();
        for (name, adata) in &self.modalities {
            let mut map = vec![0u32; n_vars];
            for (i, slot) in map[start..start + adata.n_vars()].iter_mut().enumerate() {
                *slot = i as u32 + 1;
            }
            start += adata.n_vars();
            self.varmap.insert(name.clone(), map);
        }
    }

    /// Checks that every element fits its axes, in the whole and in each modality.
    ///
    /// # Errors
    /// [`DataError::Shape`] naming the first that does not.
    pub fn validate(&self) -> Result<(), DataError> {
        for adata in self.modalities.values() {
            adata.validate()?;
        }
        validate_axes(&self.obs, &self.var, &self.obsm, &self.varm, &self.obsp, &self.varp)
    }

    /// The observations named, in that order, in the whole and in each modality.
    ///
    /// # Panics
    /// When an observation is out of range, or the modalities were not aligned.
    #[must_use]
    pub fn select_obs(&self, rows: &[usize]) -> Self {
        Self {
            modalities: self.modalities.iter().map(|(k, a)| (k.clone(), a.select_obs(rows))).collect(),
            obs: self.obs.select_rows(rows),
            obsm: self.obsm.iter().map(|(k, v)| (k.clone(), v.select_rows(rows))).collect(),
            obsp: self
                .obsp
                .iter()
                .map(|(k, m)| (k.clone(), m.select_rows(rows).select_columns(rows)))
                .collect(),
            obsmap: self.modalities.keys().map(|k| (k.clone(), (1..=rows.len() as u32).collect())).collect(),
            ..self.clone()
        }
    }
}

/// For each reference name, its row in `names`.
fn alignment(
    first: &str,
    reference: &[String],
    second: &str,
    names: &[String],
) -> Result<Vec<usize>, DataError> {
    let place: HashMap<&str, usize> = names.iter().enumerate().map(|(i, n)| (n.as_str(), i)).collect();
    let rows: Vec<usize> = reference.iter().filter_map(|n| place.get(n.as_str()).copied()).collect();
    if rows.len() == reference.len() && names.len() == reference.len() {
        return Ok(rows);
    }
    let known: std::collections::HashSet<&str> = reference.iter().map(String::as_str).collect();
    let only_first: Vec<&String> = reference.iter().filter(|n| !place.contains_key(n.as_str())).collect();
    let only_second: Vec<&String> = names.iter().filter(|n| !known.contains(n.as_str())).collect();
    let count = |only: &[&String]| (only.len(), only.first().map(|n| (*n).clone()));
    Err(DataError::DifferentObservations(Box::new(NameMismatch {
        first: first.to_owned(),
        second: second.to_owned(),
        n_first: reference.len(),
        n_second: names.len(),
        only_first: count(&only_first),
        only_second: count(&only_second),
    })))
}
