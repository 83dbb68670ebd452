//! A tissue that Python holds, as the pipeline takes it, and the pipeline's results on their way back.
//!
//! The pipeline owns what it works on, so counts are copied here, once; everything else is small. What comes back
//! are the elements that the command line would add to the file.

use std::collections::BTreeMap;

use brodmann::preprocess::{Modality, guess_modality};
use brodmann_data::{
    Additions, AnnData, Array, Categorical, CategoryKind, Column, Container, DataFrame, ElementAdditions,
    Matrix, MuData, Value, keys,
};
use indexmap::IndexMap;
use numpy::PyReadonlyArrayDyn;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{Codes, Csr, Dense};
use crate::containers::{column, matrix, value};

/// `obs` columns of labels: name, codes (one beyond the categories: no label), categories, and whether these are a
/// categorical's and keep their order.
type Labels<'py> = Vec<(String, Codes<'py>, Vec<String>, bool)>;
/// `obsm` entries.
type Embeddings<'py> = Vec<(String, Dense<'py, f64>)>;

/// `obsp` entries.
type Graphs<'py> = Vec<(String, Csr<'py, f64>)>;

/// A picture of `uns["spatial"]`: library, name, pixels, scale factors.
type Picture<'py> = (String, String, Pixels<'py>, BTreeMap<String, f64>);

/// Pixels as Python holds them, `(height, width)` or `(height, width, channels)`.
#[derive(FromPyObject)]
enum Pixels<'py> {
    Bytes(PyReadonlyArrayDyn<'py, u8>),
    Shares(PyReadonlyArrayDyn<'py, f32>),
}

/// One modality as `brodmann.tl` hands it over.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Part<'py> {
    name: String,
    counts: Option<Csr<'py, f32>>,
    var_names: Vec<String>,
    feature_types: Option<Vec<String>>,
    gene_names: Option<Vec<String>>,
    obs_names: Vec<String>,
    obsm: Embeddings<'py>,
    obsp: Graphs<'py>,
}

/// All that a run needs of an AnnData or MuData.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Parts<'py> {
    /// A MuData (several modalities, perhaps one) or an AnnData (exactly one).
    pub is_mudata: bool,
    modalities: Vec<Part<'py>>,
    obs_names: Vec<String>,
    obs: Labels<'py>,
    obsm: Embeddings<'py>,
    obsp: Graphs<'py>,
    pictures: Vec<Picture<'py>>,
}

fn embeddings(entries: &Embeddings<'_>) -> IndexMap<String, Value> {
    let of = |m: &Dense<'_, f64>| Value::Array(Array::F64(m.view().to_owned().into_dyn()));
    entries.iter().map(|(key, m)| (key.clone(), of(m))).collect()
}

fn graphs(py: Python<'_>, entries: &Graphs<'_>) -> PyResult<IndexMap<String, Matrix>> {
    entries.iter().map(|(key, g)| Ok((key.clone(), Matrix::CsrF64(g.view(py)?.to_owned())))).collect()
}

/// `uns["spatial"]` with the pictures.
fn pictures(entries: &[Picture<'_>]) -> IndexMap<String, Value> {
    let of = |(library, name, pixels, factors): &Picture<'_>| {
        let pixels = match pixels {
            Pixels::Bytes(bytes) => Array::U8(bytes.as_array().to_owned()),
            Pixels::Shares(shares) => Array::F32(shares.as_array().to_owned()),
        };
        let images: IndexMap<String, Value> = [(name.clone(), Value::Array(pixels))].into();
        let factors: IndexMap<String, Value> =
            factors.iter().map(|(key, factor)| (key.clone(), Value::Float(*factor))).collect();
        let entry =
            Value::from([(keys::IMAGES, Value::Dict(images)), (keys::SCALEFACTORS, Value::Dict(factors))]);
        (library.clone(), entry)
    };
    if entries.is_empty() {
        return IndexMap::new();
    }
    [(keys::SPATIAL.to_owned(), Value::Dict(entries.iter().map(of).collect()))].into()
}

fn labels(entries: &Labels<'_>, index: Vec<String>) -> PyResult<DataFrame> {
    let mut frame = DataFrame::new(index);
    for (key, codes, categories, in_order) in entries {
        let codes = codes.slice()?;
        let labels = if *in_order {
            // As a file would hold them: the order of slices is the order of sums.
            let known = |&c: &u32| i32::try_from(c).ok().filter(|_| (c as usize) < categories.len());
            let codes = codes.iter().map(|c| known(c).unwrap_or(-1)).collect();
            let (categories, kind) = (categories.clone(), CategoryKind::String);
            Categorical { codes, categories, ordered: false, kind }
        } else {
            let values: Vec<Option<&String>> = codes.iter().map(|&c| categories.get(c as usize)).collect();
            Categorical::from_strings(&values)
        };
        frame.columns.insert(key.clone(), Column::Categorical(labels));
    }
    Ok(frame)
}

impl Part<'_> {
    /// What is measured, by the names of the modality (of a MuData) and its features.
    fn kind(&self, name: Option<&str>) -> Option<Modality> {
        guess_modality(name, &self.var_names, self.feature_types.as_deref().unwrap_or_default())
    }

    fn anndata(&self, py: Python<'_>) -> PyResult<AnnData> {
        let mut var = DataFrame::new(self.var_names.clone());
        if let Some(types) = &self.feature_types {
            var.columns.insert(
                keys::FEATURE_TYPES.to_owned(),
                Column::String(types.iter().cloned().map(Some).collect()),
            );
        }
        if let Some(names) = &self.gene_names {
            // Missing ones came as nothing.
            let names = names.iter().map(|name| Some(name.clone()).filter(|name| !name.is_empty()));
            var.columns.insert("gene_name".to_owned(), Column::String(names.collect()));
        }
        let x = match &self.counts {
            Some(counts) => Some(Matrix::CsrF32(counts.view(py)?.to_owned())),
            None => None,
        };
        Ok(AnnData {
            x,
            obs: DataFrame::new(self.obs_names.clone()),
            var,
            obsm: embeddings(&self.obsm),
            obsp: graphs(py, &self.obsp)?,
            ..AnnData::default()
        })
    }
}

impl Parts<'_> {
    /// What an AnnData measures, where names tell.
    pub fn kind(&self) -> Option<Modality> {
        self.modalities.first().and_then(|part| part.kind(None))
    }

    /// Leaves the modality whose expression is read, if there is one, so that the counts of no other are copied.
    pub fn keep_expression(&mut self) {
        // What names do not tell is taken for RNA, as in a file.
        let is_rna = |p: &Part<'_>| p.kind(Some(&p.name)).is_none_or(|kind| kind == Modality::Rna);
        if self.is_mudata
            && let Some(at) = self.modalities.iter().position(is_rna)
        {
            let kept = self.modalities.swap_remove(at);
            self.modalities = vec![kept];
        }
    }

    /// The container, copied out of Python's arrays.
    pub fn container(&self, py: Python<'_>) -> PyResult<Container> {
        let obs = labels(&self.obs, self.obs_names.clone())?;
        let mut modalities: IndexMap<String, AnnData> = IndexMap::new();
        for part in &self.modalities {
            modalities.insert(part.name.clone(), part.anndata(py)?);
        }
        if !self.is_mudata {
            let (_, mut adata) = modalities.pop().unwrap_or_default();
            adata.obs = obs;
            adata.obsm.extend(embeddings(&self.obsm));
            adata.obsp.extend(graphs(py, &self.obsp)?);
            adata.uns = pictures(&self.pictures);
            return Ok(Container::AnnData(adata));
        }
        let mut mdata = MuData { modalities, ..MuData::default() };
        mdata.update();
        mdata.obs = obs;
        mdata.obsm = embeddings(&self.obsm);
        mdata.obsp = graphs(py, &self.obsp)?;
        mdata.uns = pictures(&self.pictures);
        Ok(Container::MuData(mdata))
    }
}

fn element(py: Python<'_>, additions: ElementAdditions) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    let group = |name: &str, entries: Vec<(String, Bound<'_, PyAny>)>| -> PyResult<()> {
        let of = PyDict::new(py);
        for (key, entry) in entries {
            of.set_item(key, entry)?;
        }
        dict.set_item(name, of)
    };
    let columns = |entries: IndexMap<String, Column>| {
        entries.into_iter().map(|(k, c)| Ok((k, column(py, c)?))).collect::<PyResult<Vec<_>>>()
    };
    let values = |entries: IndexMap<String, Value>| {
        entries.into_iter().map(|(k, v)| Ok((k, value(py, v)?))).collect::<PyResult<Vec<_>>>()
    };
    let matrices = |entries: IndexMap<String, Matrix>| {
        entries.into_iter().map(|(k, m)| Ok((k, matrix(py, m)?))).collect::<PyResult<Vec<_>>>()
    };
    group("obs", columns(additions.obs)?)?;
    group("var", columns(additions.var)?)?;
    group("obsm", values(additions.obsm)?)?;
    group("varm", values(additions.varm)?)?;
    group("uns", values(additions.uns)?)?;
    group("layers", matrices(additions.layers)?)?;
    group("obsp", matrices(additions.obsp)?)?;
    Ok(dict)
}

/// `(root, {modality: element})`, each element a dictionary of `obs`, `var`, `obsm`, `varm`, `uns`, `layers`, `obsp`.
pub fn additions(py: Python<'_>, additions: Additions) -> PyResult<(Bound<'_, PyDict>, Bound<'_, PyDict>)> {
    let modalities = PyDict::new(py);
    for (name, of) in additions.modalities {
        modalities.set_item(name, element(py, of)?)?;
    }
    Ok((element(py, additions.root)?, modalities))
}
