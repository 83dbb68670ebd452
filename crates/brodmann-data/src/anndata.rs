//! AnnData: one modality, as scverse's `anndata` holds it.

use std::borrow::Cow;

use brodmann_kernels::{CsrMatrix, Opt, Step};
use indexmap::IndexMap;
use ndarray::Array2;

use crate::{Categorical, Column, DataError, DataFrame, Matrix, Value};

/// Observations × variables with everything aligned to them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnnData {
    /// The measurement, `(n_obs, n_vars)`.
    pub x: Option<Matrix>,
    /// Other measurements of the same shape.
    pub layers: IndexMap<String, Matrix>,
    /// One row per observation.
    pub obs: DataFrame,
    /// One row per variable.
    pub var: DataFrame,
    /// Per observation: coordinates, embeddings, tables.
    pub obsm: IndexMap<String, Value>,
    /// Per variable.
    pub varm: IndexMap<String, Value>,
    /// Between observations, `(n_obs, n_obs)`.
    pub obsp: IndexMap<String, Matrix>,
    /// Between variables, `(n_vars, n_vars)`.
    pub varp: IndexMap<String, Matrix>,
    /// Everything else.
    pub uns: IndexMap<String, Value>,
    /// The measurement before variables were dropped.
    pub raw: Option<Raw>,
}

/// `adata.raw`: all variables, before selection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Raw {
    /// The measurement, `(n_obs, raw variables)`.
    pub x: Option<Matrix>,
    /// One row per raw variable.
    pub var: DataFrame,
    /// Per raw variable.
    pub varm: IndexMap<String, Value>,
}

impl AnnData {
    /// A measurement with the names of its rows and columns.
    ///
    /// # Errors
    /// [`DataError::Shape`] when the names do not fit the matrix.
    pub fn new(x: impl Into<Matrix>, obs: DataFrame, var: DataFrame) -> Result<Self, DataError> {
        let adata = Self { x: Some(x.into()), obs, var, ..Self::default() };
        adata.validate()?;
        Ok(adata)
    }

    /// Number of observations.
    pub fn n_obs(&self) -> usize {
        self.obs.n_rows()
    }

    /// Number of variables.
    pub fn n_vars(&self) -> usize {
        self.var.n_rows()
    }

    /// Names of the observations.
    pub fn obs_names(&self) -> &[String] {
        &self.obs.index
    }

    /// Names of the variables.
    pub fn var_names(&self) -> &[String] {
        &self.var.index
    }

    /// `X`, or the layer `layer`.
    ///
    /// # Errors
    /// [`DataError::MissingKey`].
    pub fn matrix(&self, layer: Option<&str>) -> Result<&Matrix, DataError> {
        match layer {
            None => self.x.as_ref().ok_or_else(|| DataError::MissingKey {
                container: "adata".to_owned(),
                key: "X".to_owned(),
                place: "the file".to_owned(),
                existing: self.layers.keys().map(|k| format!("layers/{k}")).collect(),
                named_by: Some(Opt("layer")),
                otherwise: vec!["put the counts into X".to_owned()],
            }),
            Some(key) => self
                .layers
                .get(key)
                .ok_or_else(|| missing("layers", key, &self.layers, Some(Opt("layer")), &[])),
        }
    }

    /// `obsm[key]` as `(n_obs, d)` numbers.
    ///
    /// # Errors
    /// [`DataError::MissingKey`]; [`DataError::Kind`] when it is not numbers; [`DataError::Shape`].
    pub fn obsm_f64(&self, key: &str) -> Result<Array2<f64>, DataError> {
        obsm_f64(&self.obsm, key, self.n_obs())
    }

    /// `obsp[key]` as a sparse matrix.
    ///
    /// # Errors
    /// [`DataError::MissingKey`]; [`DataError::Shape`] when it is not `(n_obs, n_obs)`.
    pub fn obsp_csr(&self, key: &str) -> Result<Cow<'_, CsrMatrix<f64>>, DataError> {
        obsp_csr(&self.obsp, key, self.n_obs())
    }

    /// `obs[key]` as categories, whatever its type.
    ///
    /// # Errors
    /// [`DataError::MissingKey`].
    pub fn obs_categorical(&self, key: &str) -> Result<Categorical, DataError> {
        Ok(self.obs.column("obs", key)?.to_categorical())
    }

    /// Puts domains into `obs[key]` as scanpy does.
    pub fn set_labels(&mut self, key: &str, labels: &[u32]) {
        self.obs.columns.insert(key.to_owned(), Column::Categorical(Categorical::from_labels(labels)));
    }

    /// Checks that every element fits the axes.
    ///
    /// # Errors
    /// [`DataError::Shape`] naming the first that does not.
    pub fn validate(&self) -> Result<(), DataError> {
        let (n_obs, n_vars) = (self.n_obs(), self.n_vars());
        if let Some(x) = &self.x {
            fits("X", x, n_obs, n_vars)?;
        }
        for (key, layer) in &self.layers {
            fits(&format!("layers[{key:?}]"), layer, n_obs, n_vars)?;
        }
        if let Some(raw) = &self.raw {
            if let Some(x) = &raw.x {
                fits("raw.X", x, n_obs, raw.var.n_rows())?;
            }
            validate_frame("raw.var", &raw.var)?;
            validate_rows("raw.varm", &raw.varm, raw.var.n_rows())?;
        }
        validate_axes(&self.obs, &self.var, &self.obsm, &self.varm, &self.obsp, &self.varp)
    }

    /// The observations named, in that order, with everything aligned to them.
    ///
    /// # Panics
    /// When an observation is out of range.
    #[must_use]
    pub fn select_obs(&self, rows: &[usize]) -> Self {
        Self {
            x: self.x.as_ref().map(|x| x.select_rows(rows)),
            layers: self.layers.iter().map(|(k, m)| (k.clone(), m.select_rows(rows))).collect(),
            obs: self.obs.select_rows(rows),
            var: self.var.clone(),
            obsm: self.obsm.iter().map(|(k, v)| (k.clone(), v.select_rows(rows))).collect(),
            varm: self.varm.clone(),
            obsp: self
                .obsp
                .iter()
                .map(|(k, m)| (k.clone(), m.select_rows(rows).select_columns(rows)))
                .collect(),
            varp: self.varp.clone(),
            uns: self.uns.clone(),
            raw: self
                .raw
                .as_ref()
                .map(|raw| Raw { x: raw.x.as_ref().map(|x| x.select_rows(rows)), ..raw.clone() }),
        }
    }

    /// The variables named, in that order, with everything aligned to them; `raw` keeps all of its own.
    ///
    /// # Panics
    /// When a variable is out of range.
    #[must_use]
    pub fn select_vars(&self, columns: &[usize]) -> Self {
        Self {
            x: self.x.as_ref().map(|x| x.select_columns(columns)),
            layers: self.layers.iter().map(|(k, m)| (k.clone(), m.select_columns(columns))).collect(),
            obs: self.obs.clone(),
            var: self.var.select_rows(columns),
            obsm: self.obsm.clone(),
            varm: self.varm.iter().map(|(k, v)| (k.clone(), v.select_rows(columns))).collect(),
            obsp: self.obsp.clone(),
            varp: self
                .varp
                .iter()
                .map(|(k, m)| (k.clone(), m.select_rows(columns).select_columns(columns)))
                .collect(),
            uns: self.uns.clone(),
            raw: self.raw.clone(),
        }
    }
}

pub(crate) fn missing<V>(
    container: &str,
    key: &str,
    map: &IndexMap<String, V>,
    named_by: Option<Opt>,
    otherwise: &[&str],
) -> DataError {
    DataError::MissingKey {
        container: container.to_owned(),
        key: key.to_owned(),
        place: container.to_owned(),
        existing: map.keys().cloned().collect(),
        named_by,
        otherwise: otherwise.iter().map(|&way| way.to_owned()).collect(),
    }
}

pub(crate) fn obsm_f64(
    obsm: &IndexMap<String, Value>,
    key: &str,
    n_obs: usize,
) -> Result<Array2<f64>, DataError> {
    let value = obsm.get(key).ok_or_else(|| missing("obsm", key, obsm, None, &["compute it first"]))?;
    let matrix = value.to_matrix_f64().ok_or_else(|| DataError::Kind {
        element: format!("obsm[{key:?}]"),
        found: value.kind(),
        expected: "numbers, one row per observation".to_owned(),
    })?;
    if matrix.nrows() == n_obs {
        return Ok(matrix);
    }
    Err(DataError::Shape {
        element: format!("obsm[{key:?}]"),
        found: vec![matrix.nrows(), matrix.ncols()],
        expected: format!("{n_obs} rows (n_obs)"),
    })
}

pub(crate) fn obsp_csr<'a>(
    obsp: &'a IndexMap<String, Matrix>,
    key: &str,
    n_obs: usize,
) -> Result<Cow<'a, CsrMatrix<f64>>, DataError> {
    let matrix = obsp.get(key).ok_or_else(|| {
        missing("obsp", key, obsp, None, &[&format!("build it with {}", Step("neighbors"))])
    })?;
    fits(&format!("obsp[{key:?}]"), matrix, n_obs, n_obs)?;
    Ok(matrix.to_csr_f64())
}

fn fits(element: &str, matrix: &Matrix, n_rows: usize, n_cols: usize) -> Result<(), DataError> {
    if matrix.shape() == (n_rows, n_cols) {
        return Ok(());
    }
    Err(DataError::Shape {
        element: element.to_owned(),
        found: vec![matrix.n_rows(), matrix.n_cols()],
        expected: format!("{n_rows} x {n_cols}"),
    })
}

fn validate_frame(axis: &str, frame: &DataFrame) -> Result<(), DataError> {
    for (key, column) in &frame.columns {
        if column.len() != frame.n_rows() {
            return Err(DataError::Shape {
                element: format!("{axis}[{key:?}]"),
                found: vec![column.len()],
                expected: format!("{} rows", frame.n_rows()),
            });
        }
        if let Column::Categorical(c) = column
            && let Some(&code) = c.codes.iter().find(|&&code| code < -1 || code >= c.categories.len() as i32)
        {
            return Err(DataError::Kind {
                element: format!("{axis}[{key:?}]"),
                found: format!("a category code {code}"),
                expected: format!("codes from -1 to {}", c.categories.len() as i64 - 1),
            });
        }
    }
    Ok(())
}

fn validate_rows(name: &str, map: &IndexMap<String, Value>, n: usize) -> Result<(), DataError> {
    for (key, value) in map {
        if let Some(found) = value.shape().filter(|s| s.first() != Some(&n)) {
            return Err(DataError::Shape {
                element: format!("{name}[{key:?}]"),
                found,
                expected: format!("{n} rows"),
            });
        }
    }
    Ok(())
}

pub(crate) fn validate_axes(
    obs: &DataFrame,
    var: &DataFrame,
    obsm: &IndexMap<String, Value>,
    varm: &IndexMap<String, Value>,
    obsp: &IndexMap<String, Matrix>,
    varp: &IndexMap<String, Matrix>,
) -> Result<(), DataError> {
    validate_frame("obs", obs)?;
    validate_frame("var", var)?;
    validate_rows("obsm", obsm, obs.n_rows())?;
    validate_rows("varm", varm, var.n_rows())?;
    for (key, matrix) in obsp {
        fits(&format!("obsp[{key:?}]"), matrix, obs.n_rows(), obs.n_rows())?;
    }
    for (key, matrix) in varp {
        fits(&format!("varp[{key:?}]"), matrix, var.n_rows(), var.n_rows())?;
    }
    Ok(())
}
