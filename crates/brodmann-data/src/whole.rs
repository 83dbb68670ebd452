//! What AnnData and MuData have in common, under the same names.

use std::borrow::Cow;

use brodmann_kernels::CsrMatrix;
use indexmap::IndexMap;
use ndarray::Array2;

use crate::anndata::{obsm_f64, obsp_csr};
use crate::{AnnData, DataError, DataFrame, Matrix, MuData, Value};

/// The elements of an AnnData, or of a MuData as a whole.
#[derive(Clone, Copy, Debug)]
pub struct Whole<'a> {
    /// One row per observation.
    pub obs: &'a DataFrame,
    /// One row per variable.
    pub var: &'a DataFrame,
    /// Per observation.
    pub obsm: &'a IndexMap<String, Value>,
    /// Per variable.
    pub varm: &'a IndexMap<String, Value>,
    /// Between observations.
    pub obsp: &'a IndexMap<String, Matrix>,
    /// Everything else.
    pub uns: &'a IndexMap<String, Value>,
}

impl<'a> Whole<'a> {
    /// `obsm[key]` as `(n_obs, d)` numbers.
    ///
    /// # Errors
    /// As [`AnnData::obsm_f64`].
    pub fn obsm_f64(&self, key: &str) -> Result<Array2<f64>, DataError> {
        obsm_f64(self.obsm, key, self.obs.n_rows())
    }

    /// `obsp[key]` as a sparse matrix.
    ///
    /// # Errors
    /// As [`AnnData::obsp_csr`].
    pub fn obsp_csr(&self, key: &str) -> Result<Cow<'a, CsrMatrix<f64>>, DataError> {
        obsp_csr(self.obsp, key, self.obs.n_rows())
    }
}

impl AnnData {
    /// Its elements, as those of a MuData are seen.
    pub fn whole(&self) -> Whole<'_> {
        let Self { obs, var, obsm, varm, obsp, uns, .. } = self;
        Whole { obs, var, obsm, varm, obsp, uns }
    }
}

impl MuData {
    /// Its own elements, as those of an AnnData are seen.
    pub fn whole(&self) -> Whole<'_> {
        let Self { obs, var, obsm, varm, obsp, uns, .. } = self;
        Whole { obs, var, obsm, varm, obsp, uns }
    }
}
