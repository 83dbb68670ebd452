//! Reading AnnData and MuData, whole or in part.

use std::collections::HashSet;
use std::path::Path;

use brodmann_kernels::CsrMatrix;
use indexmap::IndexMap;
use ndarray::Array2;

use super::{COLUMN_ORDER, ENCODING_TYPE, INDEX, OpenFile, join, legacy};
use crate::array::each_array;
use crate::frame::python_bool;
use crate::hdf5::Hdf5Reader;
use crate::store::{Attribute, Element, NodeKind, Number, Store};
use crate::{
    AnnData, Array, Categorical, CategoryKind, Column, DataError, DataFrame, Matrix, MuData, Raw,
    ReadOptions, Select, Value,
};

/// One modality or several.
// A handful exist at a time: the size of the larger variant costs nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq)]
pub enum Container {
    /// A `.h5ad`, or anything with one modality.
    AnnData(AnnData),
    /// A `.h5mu`, or anything with several.
    MuData(MuData),
}

impl From<AnnData> for Container {
    fn from(adata: AnnData) -> Self {
        Self::AnnData(adata)
    }
}

impl From<MuData> for Container {
    fn from(mdata: MuData) -> Self {
        Self::MuData(mdata)
    }
}

impl Container {
    /// Number of observations.
    pub fn n_obs(&self) -> usize {
        match self {
            Self::AnnData(a) => a.n_obs(),
            Self::MuData(m) => m.n_obs(),
        }
    }

    /// The single modality.
    ///
    /// # Errors
    /// [`DataError::Kind`] when there are several.
    pub fn into_anndata(self) -> Result<AnnData, DataError> {
        match self {
            Self::AnnData(a) => Ok(a),
            Self::MuData(m) => Err(DataError::Kind {
                element: "the file".to_owned(),
                found: format!(
                    "MuData with modalities {}",
                    m.modalities.keys().cloned().collect::<Vec<_>>().join(", ")
                ),
                expected: "a single modality".to_owned(),
            }),
        }
    }
}

/// Reads a `.h5ad`.
///
/// # Inputs
/// `options` says which parts; what is left out costs nothing.
/// # Returns
/// The container, checked: every element fits its axes.
/// # Errors
/// [`DataError`]: missing, not HDF5, damaged, not AnnData, an element of another shape.
/// # Cost
/// One pass over the parts asked for; a sparse `X` is decoded straight into its final arrays.
pub fn read_h5ad(path: impl AsRef<Path>, options: &ReadOptions) -> Result<AnnData, DataError> {
    let store = Hdf5Reader::open(path.as_ref())?;
    if is_mudata(&store)? {
        return Err(DataError::Kind {
            element: path.as_ref().display().to_string(),
            found: "MuData".to_owned(),
            expected: "AnnData".to_owned(),
        });
    }
    anndata_file(&store, options)
}

/// Reads a `.h5mu`.
///
/// # Inputs
/// `options.modalities` says which modalities, the rest which parts of each and of the whole.
/// # Returns
/// The container as it is in the file; call [`MuData::align`] to bring modalities into one order.
/// # Errors
/// [`DataError`] as for [`read_h5ad`].
pub fn read_h5mu(path: impl AsRef<Path>, options: &ReadOptions) -> Result<MuData, DataError> {
    let store = Hdf5Reader::open(path.as_ref())?;
    if !is_mudata(&store)? {
        return Err(DataError::Kind {
            element: path.as_ref().display().to_string(),
            found: describe_root(&store),
            expected: "MuData (a group mod)".to_owned(),
        });
    }
    mudata(&store, options)
}

/// Reads a `.h5ad`, a `.h5mu` or a Zarr store, whichever it is: as [`OpenFile::open`] and [`OpenFile::read`].
///
/// # Errors
/// As for [`read_h5ad`] and [`read_h5mu`].
pub fn read(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Container, DataError> {
    OpenFile::open(path)?.read(options)
}

pub(super) fn container(store: &impl Store, options: &ReadOptions) -> Result<Container, DataError> {
    store.begin();
    if is_mudata(store)? {
        mudata(store, options).map(Container::MuData)
    } else {
        anndata_file(store, options).map(Container::AnnData)
    }
}

/// Names of the layers of a `.h5ad`, or of one modality of a `.h5mu`, without reading them.
///
/// # Errors
/// As for [`read_h5ad`].
pub fn layer_names(path: impl AsRef<Path>, modality: Option<&str>) -> Result<Vec<String>, DataError> {
    element_names(path, modality, "layers")
}

/// Names of what `group` (`obs`, `obsm`, `layers`, ...) of a file or of one of its modalities holds, without reading it.
///
/// # Errors
/// As for [`read_h5ad`].
pub fn element_names(
    path: impl AsRef<Path>,
    modality: Option<&str>,
    group: &str,
) -> Result<Vec<String>, DataError> {
    OpenFile::open(path)?.element_names(modality, group)
}

pub(super) fn names_in(
    store: &impl Store,
    modality: Option<&str>,
    group: &str,
) -> Result<Vec<String>, DataError> {
    let place = modality.map_or_else(|| group.to_owned(), |name| format!("mod/{name}/{group}"));
    if store.node(&place)? != Some(NodeKind::Group) {
        return Ok(Vec::new());
    }
    // A table lists its columns itself; its index lies among them otherwise.
    if let Some(columns) = store.attribute(&place, COLUMN_ORDER)?.and_then(|a| a.strings()) {
        return Ok(columns);
    }
    store.children(&place)
}

/// Whether `path` is a `.h5ad`, a `.h5mu` or a Zarr store of the same, whatever its name: one whose copy can be edited.
pub fn is_scverse(path: impl AsRef<Path>) -> bool {
    let path = path.as_ref();
    OpenFile::is_known(path) && OpenFile::open(path).is_ok()
}

pub(crate) fn is_mudata(store: &impl Store) -> Result<bool, DataError> {
    Ok(store.node("mod")? == Some(NodeKind::Group))
}

pub(crate) fn is_anndata(store: &impl Store) -> Result<bool, DataError> {
    Ok(store.node("obs")?.is_some() && store.node("var")?.is_some())
}

fn describe_root(store: &impl Store) -> String {
    match store.children("") {
        Ok(names) if !names.is_empty() => format!("{} with {}", store.format(), names.join(", ")),
        _ => format!("{} without anything", store.format()),
    }
}

fn anndata_file(store: &impl Store, options: &ReadOptions) -> Result<AnnData, DataError> {
    if !is_anndata(store)? {
        return Err(not_anndata(store));
    }
    anndata(store, "", options)
}

pub(super) fn not_anndata(store: &impl Store) -> DataError {
    DataError::Kind {
        element: store.path().display().to_string(),
        found: describe_root(store),
        expected: "AnnData (obs and var)".to_owned(),
    }
}

/// Reads the AnnData at `root`.
pub(crate) fn anndata(store: &impl Store, root: &str, options: &ReadOptions) -> Result<AnnData, DataError> {
    let at = |name: &str| join(root, name);
    let mut adata = AnnData {
        obs: frame(store, &at("obs"), &options.obs)?,
        var: frame(store, &at("var"), &options.var)?,
        obsm: aligned(store, &at("obsm"), &options.obsm)?,
        varm: aligned(store, &at("varm"), &options.varm)?,
        obsp: matrices(store, &at("obsp"), &options.obsp, false)?,
        varp: matrices(store, &at("varp"), &options.varp, false)?,
        layers: matrices(store, &at("layers"), &options.layers, options.x_as_f32)?,
        uns: dictionary(store, &at("uns"), &options.uns)?,
        x: None,
        raw: None,
    };
    if options.x {
        adata.x = optional_matrix(store, &at("X"), adata.n_obs(), options.x_as_f32)?;
    }
    if options.raw {
        adata.raw = raw(store, root, adata.n_obs(), options.x_as_f32)?;
    }
    legacy::categories_from_uns(store, root, &mut adata)?;
    adata.validate()?;
    Ok(adata)
}

/// Where `raw` of an AnnData lies: up to 0.6 its parts are beside X, as `raw.X`, `raw.var`.
pub(super) fn raw_place(store: &impl Store, root: &str) -> Result<Option<String>, DataError> {
    for prefix in ["raw/", "raw."] {
        if store.node(&join(root, &format!("{prefix}var")))?.is_some() {
            return Ok(Some(join(root, prefix)));
        }
    }
    Ok(None)
}

/// Names of the variables of `raw`, with the kind of each where it is said.
pub(super) fn raw_var(store: &impl Store, modality: Option<&str>) -> Result<Option<DataFrame>, DataError> {
    let root = modality.map_or_else(String::new, |m| join("mod", m));
    let Some(place) = raw_place(store, &root)? else { return Ok(None) };
    frame(store, &format!("{place}var"), &Select::only([crate::keys::FEATURE_TYPES])).map(Some)
}

fn raw(store: &impl Store, root: &str, n_obs: usize, as_f32: bool) -> Result<Option<Raw>, DataError> {
    let Some(place) = raw_place(store, root)? else { return Ok(None) };
    let at = |name: &str| format!("{place}{name}");
    Ok(Some(Raw {
        x: optional_matrix(store, &at("X"), n_obs, as_f32)?,
        var: frame(store, &at("var"), &Select::All)?,
        varm: aligned(store, &at("varm"), &Select::All)?,
    }))
}

/// Reads MuData.
pub(crate) fn mudata(store: &impl Store, options: &ReadOptions) -> Result<MuData, DataError> {
    let names = store.children("mod")?;
    let order = store.attribute("mod", "mod-order")?.and_then(|a| a.strings()).unwrap_or_default();
    let mut ordered: Vec<String> = order.into_iter().filter(|n| names.contains(n)).collect();
    ordered.extend(names.iter().filter(|n| !ordered.contains(n)).cloned().collect::<Vec<_>>());
    let mut modalities = IndexMap::new();
    for name in ordered.into_iter().filter(|n| options.modalities.wants(n)) {
        let adata = anndata(store, &join("mod", &name), options)?;
        modalities.insert(name, adata);
    }
    let map = |group: &str| -> Result<IndexMap<String, Vec<u32>>, DataError> {
        let mut maps = IndexMap::new();
        if store.node(group)? == Some(NodeKind::Group) {
            for name in store.children(group)?.into_iter().filter(|n| options.modalities.wants(n)) {
                let path = join(group, &name);
                if store.node(&path)? == Some(NodeKind::Array) {
                    maps.insert(name, store.numbers::<u32>(&path)?);
                }
            }
        }
        Ok(maps)
    };
    let axis =
        store.attribute("", "axis")?.and_then(|a| a.ints()).and_then(|v| v.first().copied()).unwrap_or(0);
    let mdata = MuData {
        obs: frame(store, "obs", &options.obs)?,
        var: frame(store, "var", &options.var)?,
        obsm: aligned(store, "obsm", &options.obsm)?,
        varm: aligned(store, "varm", &options.varm)?,
        obsp: matrices(store, "obsp", &options.obsp, false)?,
        varp: matrices(store, "varp", &options.varp, false)?,
        uns: dictionary(store, "uns", &options.uns)?,
        obsmap: map("obsmap")?,
        varmap: map("varmap")?,
        modalities,
        axis,
    };
    mdata.validate()?;
    Ok(mdata)
}

/// Every entry of a group as a matrix.
fn matrices(
    store: &impl Store,
    path: &str,
    select: &Select,
    as_f32: bool,
) -> Result<IndexMap<String, Matrix>, DataError> {
    let mut entries = IndexMap::new();
    if *select == Select::None || store.node(path)? != Some(NodeKind::Group) {
        return Ok(entries);
    }
    for name in store.children(path)?.into_iter().filter(|n| select.wants(n)) {
        let matrix = matrix(store, &join(path, &name), None, as_f32)?;
        entries.insert(name, matrix);
    }
    Ok(entries)
}

/// Every entry of `obsm` or `varm`.
fn aligned(store: &impl Store, path: &str, select: &Select) -> Result<IndexMap<String, Value>, DataError> {
    if *select == Select::None {
        return Ok(IndexMap::new());
    }
    match store.node(path)? {
        None => Ok(IndexMap::new()),
        Some(NodeKind::Group) => dictionary(store, path, select),
        // Up to 0.6: one record per row, one field per key.
        Some(NodeKind::Array) => legacy::fields(store, path, select),
    }
}

/// Every entry of a group.
fn dictionary(store: &impl Store, path: &str, select: &Select) -> Result<IndexMap<String, Value>, DataError> {
    let mut entries = IndexMap::new();
    if *select == Select::None || store.node(path)? != Some(NodeKind::Group) {
        return Ok(entries);
    }
    for name in store.children(path)?.into_iter().filter(|n| select.wants(n)) {
        let value = value(store, &join(path, &name))?;
        entries.insert(name, value);
    }
    Ok(entries)
}

fn encoding(store: &impl Store, path: &str) -> Result<Option<String>, DataError> {
    let attribute = store.attribute(path, ENCODING_TYPE)?;
    Ok(attribute.and_then(|a| a.as_str().map(str::to_owned)).filter(|e| !e.is_empty()))
}

/// One element of any kind.
pub(crate) fn value(store: &impl Store, path: &str) -> Result<Value, DataError> {
    let encoding = encoding(store, path)?;
    match store.node(path)? {
        Some(NodeKind::Group) => match encoding.as_deref() {
            Some("csr_matrix" | "csc_matrix") => Ok(Value::Sparse(matrix(store, path, None, false)?)),
            Some("dataframe") => Ok(Value::Frame(frame(store, path, &Select::All)?)),
            Some("categorical" | "nullable-integer" | "nullable-boolean" | "nullable-string-array") => {
                Ok(Value::Column(column(store, path)?))
            }
            Some("dict") => Ok(Value::Dict(dictionary(store, path, &Select::All)?)),
            Some(other) => Ok(Value::Opaque { encoding: other.to_owned() }),
            None if store.attribute(path, "h5sparse_format")?.is_some() => {
                Ok(Value::Sparse(matrix(store, path, None, false)?))
            }
            None => Ok(Value::Dict(dictionary(store, path, &Select::All)?)),
        },
        Some(NodeKind::Array) => array_value(store, path, encoding.as_deref()),
        None => Ok(Value::Opaque { encoding: "a link that leads nowhere".to_owned() }),
    }
}

fn array_value(store: &impl Store, path: &str, encoding: Option<&str>) -> Result<Value, DataError> {
    let info = store.info(path)?;
    if info.is_null || encoding == Some("null") {
        return Ok(Value::Null);
    }
    match info.element.clone() {
        Element::Record(names) => return records(store, path, &names),
        Element::Other(what) => return Ok(Value::Opaque { encoding: what }),
        _ => {}
    }
    if matches!(encoding, Some(e) if !["array", "string-array", "string", "numeric-scalar", "bytes"].contains(&e))
    {
        return Ok(Value::Opaque { encoding: encoding.unwrap_or_default().to_owned() });
    }
    let array = match store.array(path) {
        Ok(array) => array,
        Err(DataError::Encoding { encoding, .. }) => return Ok(Value::Opaque { encoding }),
        Err(e) => return Err(e),
    };
    if !info.shape.is_empty() {
        return Ok(Value::Array(array));
    }
    Ok(match &array {
        Array::Bool(a) => a.first().map_or(Value::Null, |v| Value::Bool(*v)),
        Array::String(a) => a.first().map_or(Value::Null, |v| Value::String(v.clone())),
        Array::F32(_) | Array::F64(_) => {
            array.to_f64().and_then(|a| a.first().copied()).map_or(Value::Null, Value::Float)
        }
        Array::U64(a) => a.first().map_or(Value::Null, |v| Value::from(*v)),
        Array::I64(a) => a.first().map_or(Value::Null, |v| Value::Int(*v)),
        _ => array.to_f64().and_then(|a| a.first().copied()).map_or(Value::Null, |v| Value::Int(v as i64)),
    })
}

/// Records field by field, where each is a vector of a known type.
fn records(store: &impl Store, path: &str, names: &[String]) -> Result<Value, DataError> {
    let mut fields = IndexMap::with_capacity(names.len());
    for name in names {
        match store.field(path, name)? {
            Some(array) if array.shape().len() == 1 => fields.insert(name.clone(), array),
            _ => return Ok(Value::Opaque { encoding: "rec-array".to_owned() }),
        };
    }
    Ok(Value::Records(fields))
}

fn optional_matrix(
    store: &impl Store,
    path: &str,
    n_rows: usize,
    as_f32: bool,
) -> Result<Option<Matrix>, DataError> {
    match store.node(path)? {
        None => Ok(None),
        Some(NodeKind::Array) if store.info(path)?.is_null => Ok(None),
        Some(_) => matrix(store, path, Some(n_rows), as_f32).map(Some),
    }
}

/// A dense or sparse matrix. A vector becomes a matrix of `n_rows` rows.
pub(crate) fn matrix(
    store: &impl Store,
    path: &str,
    n_rows: Option<usize>,
    as_f32: bool,
) -> Result<Matrix, DataError> {
    if store.node(path)? == Some(NodeKind::Group) {
        return sparse(store, path, as_f32);
    }
    let info = store.info(path)?;
    let (rows, columns) = match info.shape[..] {
        [rows, columns] => (rows, columns),
        // Up to 0.6 a single row or column was saved as a vector.
        [len] if n_rows == Some(len) => (len, 1),
        [len] => (1, len),
        _ => {
            return Err(DataError::Shape {
                element: path.to_owned(),
                found: info.shape,
                expected: "a matrix".to_owned(),
            });
        }
    };
    let shaped = |e: ndarray::ShapeError| DataError::Kind {
        element: path.to_owned(),
        found: e.to_string(),
        expected: "a matrix".to_owned(),
    };
    Ok(match info.element {
        Element::F32 | Element::F16 => {
            Array2::from_shape_vec((rows, columns), store.numbers::<f32>(path)?).map_err(shaped)?.into()
        }
        Element::F64 if as_f32 => {
            Array2::from_shape_vec((rows, columns), store.numbers::<f32>(path)?).map_err(shaped)?.into()
        }
        Element::F64 | Element::U64 => {
            Array2::from_shape_vec((rows, columns), store.numbers::<f64>(path)?).map_err(shaped)?.into()
        }
        Element::String | Element::Record(_) | Element::Other(_) => {
            return Err(DataError::Kind {
                element: path.to_owned(),
                found: format!("{:?}", info.element),
                expected: "a matrix of numbers".to_owned(),
            });
        }
        _ => Array2::from_shape_vec((rows, columns), store.numbers::<i64>(path)?).map_err(shaped)?.into(),
    })
}

/// `f32` that refuses whole numbers it cannot hold exactly.
#[derive(Clone, Copy, Default)]
struct ExactF32(f32);

impl Number for ExactF32 {
    fn from_f64(v: f64) -> Option<Self> {
        Some(Self(v as f32))
    }
    fn from_i64(v: i64) -> Option<Self> {
        (v.unsigned_abs() <= 1 << 24).then_some(Self(v as f32))
    }
    fn from_u64(v: u64) -> Option<Self> {
        (v <= 1 << 24).then_some(Self(v as f32))
    }
    const NATIVE: Element = Element::F32;
    fn from_le(bytes: &[u8]) -> Self {
        Self(f32::from_le(bytes))
    }
}

/// Whether a sparse matrix is stored by row, and its shape.
pub(crate) fn sparse_form(store: &impl Store, path: &str) -> Result<(bool, usize, usize), DataError> {
    let format = match encoding(store, path)? {
        Some(format) => format,
        None => store
            .attribute(path, "h5sparse_format")?
            .and_then(|a| a.as_str().map(str::to_owned))
            .unwrap_or_default(),
    };
    let by_row = match format.as_str() {
        "csr_matrix" | "csr" => true,
        "csc_matrix" | "csc" => false,
        _ => return Err(DataError::Encoding { element: path.to_owned(), encoding: format!("{format:?}") }),
    };
    let mut shape = store.attribute(path, "shape")?;
    if shape.is_none() {
        shape = store.attribute(path, "h5sparse_shape")?;
    }
    match shape.as_ref().and_then(Attribute::ints).as_deref() {
        Some(&[r, c]) if r >= 0 && c >= 0 => Ok((by_row, r as usize, c as usize)),
        _ => Err(DataError::Kind {
            element: path.to_owned(),
            found: format!("its shape {shape:?}"),
            expected: "two whole numbers".to_owned(),
        }),
    }
}

fn sparse(store: &impl Store, path: &str, as_f32: bool) -> Result<Matrix, DataError> {
    let (by_row, rows, columns) = sparse_form(store, path)?;
    let element = store.info(&join(path, "data"))?.element;
    let whole = !matches!(element, Element::F16 | Element::F32 | Element::F64);
    let single = as_f32 || element != Element::F64;
    let data = join(path, "data");
    if single {
        // The map of a vector into one of elements of the same layout reuses its allocation.
        let values: Result<Vec<f32>, DataError> = if whole && !as_f32 {
            store.numbers::<ExactF32>(&data).map(|v| v.into_iter().map(|v| v.0).collect())
        } else {
            store.numbers::<f32>(&data)
        };
        match values {
            Ok(values) => return compressed(store, path, by_row, rows, columns, values).map(Matrix::CsrF32),
            Err(e) if !whole => return Err(e),
            Err(_) => {}
        }
    }
    compressed(store, path, by_row, rows, columns, store.numbers::<f64>(&data)?).map(Matrix::CsrF64)
}

fn compressed<T>(
    store: &impl Store,
    path: &str,
    by_row: bool,
    rows: usize,
    columns: usize,
    data: Vec<T>,
) -> Result<CsrMatrix<T>, DataError>
where
    T: Copy + Default + Send + Sync + std::ops::Add<Output = T>,
{
    let indices = store.numbers::<u32>(&join(path, "indices"))?;
    let indptr = store.numbers::<usize>(&join(path, "indptr"))?;
    let (major, minor) = if by_row { (rows, columns) } else { (columns, rows) };
    let matrix = CsrMatrix::try_new(major, minor, indptr, indices, data)
        .map_err(|source| DataError::Sparse { element: path.to_owned(), source })?;
    Ok(if by_row { matrix } else { matrix.view().transpose() })
}

/// A table.
pub(crate) fn frame(store: &impl Store, path: &str, select: &Select) -> Result<DataFrame, DataError> {
    match store.node(path)? {
        Some(NodeKind::Group) => {}
        Some(NodeKind::Array) => return legacy::frame(store, path, select),
        None => {
            return Err(DataError::Kind {
                element: path.to_owned(),
                found: "missing".to_owned(),
                expected: "a table".to_owned(),
            });
        }
    }
    let index_key = store
        .attribute(path, INDEX)?
        .and_then(|a| a.as_str().map(str::to_owned))
        .unwrap_or_else(|| INDEX.to_owned());
    let index_path = join(path, &index_key);
    if store.node(&index_path)?.is_none() {
        return Err(DataError::Kind {
            element: path.to_owned(),
            found: format!("a table without its row names ({index_key})"),
            expected: "row names".to_owned(),
        });
    }
    let index: Vec<String> =
        column(store, &index_path)?.to_strings().into_iter().map(Option::unwrap_or_default).collect();
    let names: HashSet<String> = store.children(path)?.into_iter().collect();
    let order = store.attribute(path, COLUMN_ORDER)?.and_then(|a| a.strings());
    let order = order.unwrap_or_else(|| {
        let mut own: Vec<String> =
            names.iter().filter(|n| **n != index_key && *n != "__categories").cloned().collect();
        own.sort();
        own
    });
    let mut columns = IndexMap::new();
    for name in order.into_iter().filter(|n| select.wants(n)) {
        // A slash in a name is a group in the file: older versions of anndata write such columns.
        let is_there =
            names.contains(&name) || (name.contains('/') && store.node(&join(path, &name))?.is_some());
        if !is_there {
            continue;
        }
        let column = column(store, &join(path, &name))?;
        columns.insert(name, column);
    }
    Ok(DataFrame { index, index_name: (index_key != INDEX).then_some(index_key), columns })
}

/// A column of a table.
pub(crate) fn column(store: &impl Store, path: &str) -> Result<Column, DataError> {
    if store.node(path)? == Some(NodeKind::Array) {
        if store.attribute(path, "categories")?.is_some() {
            return legacy::categorical(store, path);
        }
        return array_column(store, path);
    }
    let encoding = encoding(store, path)?.unwrap_or_default();
    let part = |name: &str| join(path, name);
    let mask = || -> Result<Vec<bool>, DataError> {
        Ok(store.numbers::<u8>(&part("mask"))?.into_iter().map(|m| m != 0).collect())
    };
    match encoding.as_str() {
        "categorical" => {
            let ordered = store.attribute(path, "ordered")?.and_then(|a| a.as_bool()).unwrap_or(false);
            let codes = store.numbers::<i32>(&part("codes"))?;
            let (categories, kind) = categories(store, &part("categories"))?;
            Ok(Column::Categorical(Categorical { codes, categories, ordered, kind }))
        }
        "nullable-integer" => {
            let values = store.numbers::<i64>(&part("values"))?;
            Ok(Column::NullableInt(masked(values, &mask()?)))
        }
        "nullable-boolean" => {
            let values = store.numbers::<u8>(&part("values"))?;
            Ok(Column::NullableBool(masked(values.into_iter().map(|v| v != 0).collect(), &mask()?)))
        }
        "nullable-string-array" => {
            let values = store.array(&part("values"))?.to_strings().unwrap_or_default();
            Ok(Column::String(masked(values, &mask()?)))
        }
        _ => {
            let len = match store.node(&part("values"))? {
                Some(NodeKind::Array) => store.info(&part("values"))?.len(),
                _ => 0,
            };
            Ok(Column::Opaque { len, encoding })
        }
    }
}

fn masked<T>(values: Vec<T>, mask: &[bool]) -> Vec<Option<T>> {
    values
        .into_iter()
        .enumerate()
        .map(|(i, v)| if mask.get(i).copied().unwrap_or(false) { None } else { Some(v) })
        .collect()
}

fn array_column(store: &impl Store, path: &str) -> Result<Column, DataError> {
    let info = store.info(path)?;
    if info.shape.len() != 1 {
        let len = info.shape.first().copied().unwrap_or(0);
        return Ok(Column::Opaque { len, encoding: format!("an array of shape {:?}", info.shape) });
    }
    if let Element::Record(_) | Element::Other(_) = &info.element {
        return Ok(Column::Opaque { len: info.len(), encoding: format!("{:?}", info.element) });
    }
    Ok(array_to_column(store.array(path)?))
}

/// A vector as a column.
pub(crate) fn array_to_column(array: Array) -> Column {
    match array {
        Array::F32(a) => Column::Float32(a.into_iter().collect()),
        Array::F64(a) => Column::Float64(a.into_iter().collect()),
        Array::Bool(a) => Column::Bool(a.into_iter().collect()),
        Array::String(a) => Column::String(a.into_iter().map(Some).collect()),
        Array::I8(a) => Column::Int(a.into_iter().map(i64::from).collect()),
        Array::I16(a) => Column::Int(a.into_iter().map(i64::from).collect()),
        Array::I32(a) => Column::Int(a.into_iter().map(i64::from).collect()),
        Array::I64(a) => Column::Int(a.into_iter().collect()),
        Array::U8(a) => Column::Int(a.into_iter().map(i64::from).collect()),
        Array::U16(a) => Column::Int(a.into_iter().map(i64::from).collect()),
        Array::U32(a) => Column::Int(a.into_iter().map(i64::from).collect()),
        // Hashes may exceed i64; they then lose their last digits.
        Array::U64(a) => match a.iter().map(|&v| i64::try_from(v).ok()).collect::<Option<Vec<i64>>>() {
            Some(v) => Column::Int(v),
            None => Column::Float64(a.into_iter().map(|v| v as f64).collect()),
        },
    }
}

/// Categories as texts, and what they are in the file.
pub(crate) fn categories(store: &impl Store, path: &str) -> Result<(Vec<String>, CategoryKind), DataError> {
    if store.node(path)? == Some(NodeKind::Group) {
        // Categories may themselves be a nullable string array, and nothing else: categories of categories have no end.
        let encoding = encoding(store, path)?.unwrap_or_default();
        if encoding != "nullable-string-array" {
            return Err(DataError::Encoding { element: path.to_owned(), encoding });
        }
        let column = column(store, path)?;
        let texts = column.to_strings().into_iter().map(Option::unwrap_or_default).collect();
        return Ok((texts, CategoryKind::String));
    }
    Ok(category_texts(&store.array(path)?))
}

pub(crate) fn category_texts(array: &Array) -> (Vec<String>, CategoryKind) {
    match array {
        Array::String(a) => (a.iter().cloned().collect(), CategoryKind::String),
        Array::Bool(a) => (a.iter().map(|v| python_bool(*v).to_owned()).collect(), CategoryKind::Bool),
        Array::F32(a) => (a.iter().map(|v| format!("{v:?}")).collect(), CategoryKind::Float),
        Array::F64(a) => (a.iter().map(|v| format!("{v:?}")).collect(), CategoryKind::Float),
        other => {
            let texts = each_array!(other, a => a.iter().map(ToString::to_string).collect());
            (texts, CategoryKind::Int)
        }
    }
}
