//! Writing AnnData and MuData from scratch, in the layout of AnnData 0.12 and MuData 0.3.

use std::collections::HashSet;
use std::io::{Seek, Write};
use std::path::Path;

use brodmann_kernels::CsrMatrix;
use indexmap::IndexMap;

use super::edit::fault_of_writing;
use super::read::Container;
use super::{COLUMN_ORDER, ENCODING_TYPE, ENCODING_VERSION, INDEX, join};
use crate::hdf5::{Hdf5Reader, Hdf5Writer};
use crate::store::{ArrayData, Attribute, Store, StoreWriter};
use crate::temporary::{Temporary, TemporaryFolder};
use crate::zarr::{Version, ZarrReader, ZarrWriter};
use crate::{
    AnnData, Array, Categorical, CategoryKind, Column, DataError, DataFrame, Matrix, MuData, Value,
    WriteOptions,
};

/// mudata marks its files in the bytes before the HDF5 part.
pub(super) const USERBLOCK: u64 = 512;

/// Writes a `.h5ad`.
///
/// # Inputs
/// `adata` is checked first. `options`: compression, whether an existing file is replaced.
/// # Errors
/// [`DataError::Shape`]; [`DataError::Write`]; [`DataError::CannotRewrite`] for what was not read.
/// # Cost
/// One pass; memory for one batch of compressed chunks beside `adata`.
pub fn write_h5ad(adata: &AnnData, path: impl AsRef<Path>, options: &WriteOptions) -> Result<(), DataError> {
    adata.validate()?;
    let path = path.as_ref();
    let temporary = prepare(path, options)?;
    let writer = Hdf5Writer::create(temporary.path(), path, 0)?;
    anndata(&writer, "", adata, options.gzip)?;
    writer.close()?;
    verify(&temporary, path)?;
    temporary.persist(None)
}

/// Writes a `.h5mu`.
///
/// # Errors
/// As for [`write_h5ad`].
pub fn write_h5mu(mdata: &MuData, path: impl AsRef<Path>, options: &WriteOptions) -> Result<(), DataError> {
    mdata.validate()?;
    let path = path.as_ref();
    let temporary = prepare(path, options)?;
    let writer = Hdf5Writer::create(temporary.path(), path, USERBLOCK)?;
    mudata(&writer, mdata, options.gzip, false)?;
    writer.close()?;
    mark_mudata(&temporary, path)?;
    verify(&temporary, path)?;
    temporary.persist(None)
}

/// Writes an AnnData or MuData as a `.zarr` folder.
///
/// # Inputs
/// As for [`write_h5ad`]; `options.gzip` is the level of zlib. An existing store is replaced as a whole, in one step; a
/// folder that is none is refused.
/// # Returns
/// Zarr version 2 with consolidated metadata: every anndata from 0.7 to 0.13 reads it.
/// # Errors
/// As for [`write_h5ad`]; the old store is as it was then.
pub fn write_zarr(
    container: &Container,
    output: impl AsRef<Path>,
    options: &WriteOptions,
) -> Result<(), DataError> {
    match container {
        Container::AnnData(adata) => adata.validate()?,
        Container::MuData(mdata) => mdata.validate()?,
    }
    let path = output.as_ref();
    refuse_existing(path, options)?;
    let temporary = TemporaryFolder::beside(path)?;
    // Again, now that nobody else writes it: another run may have put its output in place in between.
    refuse_existing(path, options)?;
    let writer = ZarrWriter::create(temporary.path(), path, Version::V2)?;
    match container {
        Container::AnnData(adata) => anndata(&writer, "", adata, options.gzip)?,
        Container::MuData(mdata) => mudata(&writer, mdata, options.gzip, false)?,
    }
    writer.close()?;
    ZarrReader::open(temporary.path())
        .and_then(|store| store.children("")?.iter().try_for_each(|name| store.check_rules(name)))
        .map_err(|e| fault_of_writing(e, path))?;
    temporary.persist(None)
}

/// Writes mudata's mark before the HDF5 part.
pub(super) fn mark_mudata(temporary: &Temporary, path: &Path) -> Result<(), DataError> {
    let mark = format!(
        "MuData (format-version=0.1.0;creator=brodmann;creator-version={})",
        env!("CARGO_PKG_VERSION")
    );
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .open(temporary.path())
        .map_err(|e| DataError::write(path, e))?;
    file.rewind().and_then(|()| file.write_all(mark.as_bytes())).map_err(|e| DataError::write(path, e))
}

pub(super) fn prepare(path: &Path, options: &WriteOptions) -> Result<Temporary, DataError> {
    refuse_existing(path, options)?;
    let temporary = Temporary::beside(path)?;
    // Again, now that nobody else writes it: another run may have put its output in place in between.
    refuse_existing(path, options)?;
    Ok(temporary)
}

fn refuse_existing(path: &Path, options: &WriteOptions) -> Result<(), DataError> {
    if !options.overwrite && path.exists() {
        return Err(DataError::write(path, std::io::ErrorKind::AlreadyExists.into()));
    }
    Ok(())
}

/// Checks a file written from scratch by the rules of the format.
pub(super) fn verify(temporary: &Temporary, path: &Path) -> Result<(), DataError> {
    let checked = Hdf5Reader::open(temporary.path())
        .and_then(|store| store.children("")?.iter().try_for_each(|name| store.check_rules(name)));
    checked.map_err(|e| fault_of_writing(e, path))
}

fn text(s: &str) -> Attribute {
    Attribute::String(s.to_owned())
}

/// The two attributes that say how an element is encoded.
pub(super) fn encoding(kind: &str, version: &str) -> [(&'static str, Attribute); 2] {
    [(ENCODING_TYPE, text(kind)), (ENCODING_VERSION, text(version))]
}

pub(super) fn encoded_group(
    w: &impl StoreWriter,
    path: &str,
    kind: &str,
    version: &str,
) -> Result<(), DataError> {
    if !path.is_empty() {
        w.create_group(path)?;
    }
    for (name, value) in encoding(kind, version) {
        w.group_attribute(path, name, &value)?;
    }
    Ok(())
}

pub(super) fn array(
    w: &impl StoreWriter,
    path: &str,
    data: ArrayData<'_>,
    shape: &[usize],
    gzip: u8,
) -> Result<(), DataError> {
    let kind = if matches!(data, ArrayData::String(_)) { "string-array" } else { "array" };
    w.write_array(path, data, shape, gzip, &encoding(kind, "0.2.0"))
}

fn anndata(w: &impl StoreWriter, root: &str, adata: &AnnData, gzip: u8) -> Result<(), DataError> {
    encoded_group(w, root, "anndata", "0.1.0")?;
    if let Some(x) = &adata.x {
        matrix(w, &join(root, "X"), x, gzip)?;
    }
    beside_x(w, root, adata, gzip)
}

/// All but `X`, in a group that is there.
pub(super) fn beside_x(w: &impl StoreWriter, root: &str, adata: &AnnData, gzip: u8) -> Result<(), DataError> {
    let at = |name: &str| join(root, name);
    frame(w, &at("obs"), &adata.obs, gzip)?;
    frame(w, &at("var"), &adata.var, gzip)?;
    matrices(w, &at("layers"), &adata.layers, gzip)?;
    dictionary(w, &at("obsm"), &adata.obsm, gzip)?;
    dictionary(w, &at("varm"), &adata.varm, gzip)?;
    matrices(w, &at("obsp"), &adata.obsp, gzip)?;
    matrices(w, &at("varp"), &adata.varp, gzip)?;
    dictionary(w, &at("uns"), &adata.uns, gzip)?;
    if let Some(raw) = &adata.raw {
        encoded_group(w, &at("raw"), "raw", "0.1.0")?;
        if let Some(x) = &raw.x {
            matrix(w, &at("raw/X"), x, gzip)?;
        }
        frame(w, &at("raw/var"), &raw.var, gzip)?;
        dictionary(w, &at("raw/varm"), &raw.varm, gzip)?;
    }
    Ok(())
}

/// `streamed`: the modalities' groups are there, each with its `X`.
pub(super) fn mudata(
    w: &impl StoreWriter,
    mdata: &MuData,
    gzip: u8,
    streamed: bool,
) -> Result<(), DataError> {
    encoded_group(w, "", "MuData", "0.1.0")?;
    w.group_attribute("", "encoder", &text("brodmann"))?;
    w.group_attribute("", "encoder-version", &text(env!("CARGO_PKG_VERSION")))?;
    w.group_attribute("", "axis", &Attribute::Ints(vec![mdata.axis]))?;
    frame(w, "obs", &mdata.obs, gzip)?;
    frame(w, "var", &mdata.var, gzip)?;
    dictionary(w, "obsm", &mdata.obsm, gzip)?;
    dictionary(w, "varm", &mdata.varm, gzip)?;
    matrices(w, "obsp", &mdata.obsp, gzip)?;
    matrices(w, "varp", &mdata.varp, gzip)?;
    dictionary(w, "uns", &mdata.uns, gzip)?;
    for (name, maps) in [("obsmap", &mdata.obsmap), ("varmap", &mdata.varmap)] {
        encoded_group(w, name, "dict", "0.1.0")?;
        for (modality, map) in maps {
            array(w, &join(name, modality), ArrayData::U32(map), &[map.len()], gzip)?;
        }
    }
    if !streamed {
        w.create_group("mod")?;
    }
    let order: Vec<String> = mdata.modalities.keys().cloned().collect();
    w.group_attribute("mod", "mod-order", &Attribute::Strings(order))?;
    for (name, adata) in &mdata.modalities {
        let path = join("mod", checked_key("mod", name)?);
        if streamed {
            beside_x(w, &path, adata, gzip)?;
        } else {
            anndata(w, &path, adata, gzip)?;
        }
    }
    Ok(())
}

/// A slash in a name is read as a group.
pub(super) fn checked_key<'a>(container: &str, key: &'a str) -> Result<&'a str, DataError> {
    if !key.is_empty() && !key.contains('/') && key != "." && key != ".." {
        return Ok(key);
    }
    Err(DataError::Kind {
        element: format!("{container}[{key:?}]"),
        found: "under a name with a slash or no name".to_owned(),
        expected: "a name a file can hold".to_owned(),
    })
}

pub(super) fn matrices(
    w: &impl StoreWriter,
    path: &str,
    entries: &IndexMap<String, Matrix>,
    gzip: u8,
) -> Result<(), DataError> {
    encoded_group(w, path, "dict", "0.1.0")?;
    for (key, entry) in entries {
        matrix(w, &join(path, checked_key(path, key)?), entry, gzip)?;
    }
    Ok(())
}

pub(super) fn dictionary(
    w: &impl StoreWriter,
    path: &str,
    entries: &IndexMap<String, Value>,
    gzip: u8,
) -> Result<(), DataError> {
    encoded_group(w, path, "dict", "0.1.0")?;
    for (key, entry) in entries {
        value(w, &join(path, checked_key(path, key)?), entry, gzip)?;
    }
    Ok(())
}

/// Row-major elements of any array; copied only where it is laid out otherwise.
macro_rules! row_major {
    ($a:expr) => {
        $a.as_standard_layout()
    };
}

pub(super) fn matrix(w: &impl StoreWriter, path: &str, m: &Matrix, gzip: u8) -> Result<(), DataError> {
    let (rows, columns) = m.shape();
    macro_rules! dense {
        ($a:expr, $variant:ident) => {{
            let standard = row_major!($a);
            let values = standard.as_slice().unwrap_or_default();
            array(w, path, ArrayData::$variant(values), &[rows, columns], gzip)
        }};
    }
    match m {
        Matrix::DenseF32(a) => dense!(a, F32),
        Matrix::DenseF64(a) => dense!(a, F64),
        Matrix::DenseI64(a) => dense!(a, I64),
        Matrix::CsrF32(m) => csr(w, path, m, ArrayData::F32(m.data()), gzip),
        Matrix::CsrF64(m) => csr(w, path, m, ArrayData::F64(m.data()), gzip),
    }
}

fn csr<T: Copy + Send + Sync>(
    w: &impl StoreWriter,
    path: &str,
    m: &CsrMatrix<T>,
    data: ArrayData<'_>,
    gzip: u8,
) -> Result<(), DataError> {
    encoded_group(w, path, "csr_matrix", "0.1.0")?;
    w.group_attribute(path, "shape", &Attribute::Ints(vec![m.n_rows() as i64, m.n_cols() as i64]))?;
    let part = |name: &str| join(path, name);
    let limit = i32::MAX as usize;
    array(w, &part("data"), data, &[m.nnz()], gzip)?;
    // scipy wants signed indices; 32 bits while they suffice.
    let indices =
        if m.n_cols() <= limit { ArrayData::IndicesI32(m.indices()) } else { ArrayData::U32(m.indices()) };
    array(w, &part("indices"), indices, &[m.nnz()], gzip)?;
    row_starts(w, path, m.indptr(), gzip)
}

/// `indptr`, in 32 bits while they suffice.
pub(super) fn row_starts(
    w: &impl StoreWriter,
    path: &str,
    indptr: &[usize],
    gzip: u8,
) -> Result<(), DataError> {
    let nnz = indptr.last().copied().unwrap_or(0);
    let starts =
        if i32::try_from(nnz).is_ok() { ArrayData::StartsI32(indptr) } else { ArrayData::StartsI64(indptr) };
    array(w, &join(path, "indptr"), starts, &[indptr.len()], gzip)
}

pub(super) fn value(w: &impl StoreWriter, path: &str, v: &Value, gzip: u8) -> Result<(), DataError> {
    match v {
        Value::Null => w.write_array(path, ArrayData::Null, &[], 0, &encoding("null", "0.1.0")),
        Value::Bool(b) => {
            w.write_array(path, ArrayData::Bool(&[*b]), &[], 0, &encoding("numeric-scalar", "0.2.0"))
        }
        Value::Int(i) => {
            w.write_array(path, ArrayData::I64(&[*i]), &[], 0, &encoding("numeric-scalar", "0.2.0"))
        }
        Value::Float(f) => {
            w.write_array(path, ArrayData::F64(&[*f]), &[], 0, &encoding("numeric-scalar", "0.2.0"))
        }
        Value::String(s) => {
            w.write_array(path, ArrayData::String(&[s]), &[], 0, &encoding("string", "0.2.0"))
        }
        Value::Array(a) => any_array(w, path, a, gzip),
        Value::Sparse(m) => matrix(w, path, m, gzip),
        Value::Frame(f) => frame(w, path, f, gzip),
        Value::Column(c) => column(w, path, c, gzip),
        Value::Records(fields) => {
            if !w.write_records(path, fields, &encoding("rec-array", "0.2.0"))? {
                frame(w, path, &as_frame(fields), gzip)?;
            }
            Ok(())
        }
        Value::Dict(entries) => dictionary(w, path, entries, gzip),
        Value::Opaque { encoding } => {
            Err(DataError::CannotRewrite { element: path.to_owned(), encoding: encoding.clone() })
        }
    }
}

/// Records as a table, which takes a field by name as they do; its index counts the rows.
pub(super) fn as_frame(fields: &IndexMap<String, Array>) -> DataFrame {
    let n = fields.values().map(Array::len).min().unwrap_or(0);
    let column = |array: &Array| match array {
        Array::F32(a) => Column::Float32(a.iter().copied().collect()),
        Array::Bool(a) => Column::Bool(a.iter().copied().collect()),
        Array::String(a) => Column::String(a.iter().cloned().map(Some).collect()),
        Array::F64(_) => {
            Column::Float64(array.to_f64().map(|a| a.iter().copied().collect()).unwrap_or_default())
        }
        _ => Column::Int(array.to_f64().map(|a| a.iter().map(|v| *v as i64).collect()).unwrap_or_default()),
    };
    // A slash in the name of a column would be read as a group.
    let columns = fields.iter().map(|(name, array)| (name.replace('/', "_"), column(array))).collect();
    DataFrame { index: (0..n).map(|i| i.to_string()).collect(), columns, ..DataFrame::default() }
}

fn any_array(w: &impl StoreWriter, path: &str, a: &Array, gzip: u8) -> Result<(), DataError> {
    let shape = a.shape();
    macro_rules! typed {
        ($a:expr, $variant:ident) => {{
            let standard = row_major!($a);
            array(w, path, ArrayData::$variant(standard.as_slice().unwrap_or_default()), shape, gzip)
        }};
    }
    match a {
        Array::F32(a) => typed!(a, F32),
        Array::F64(a) => typed!(a, F64),
        Array::I8(a) => typed!(a, I8),
        Array::I16(a) => typed!(a, I16),
        Array::I32(a) => typed!(a, I32),
        Array::I64(a) => typed!(a, I64),
        Array::U8(a) => typed!(a, U8),
        Array::U16(a) => typed!(a, U16),
        Array::U32(a) => typed!(a, U32),
        Array::U64(a) => typed!(a, U64),
        Array::Bool(a) => typed!(a, Bool),
        Array::String(a) => {
            let texts: Vec<&str> = a.iter().map(String::as_str).collect();
            array(w, path, ArrayData::String(&texts), shape, gzip)
        }
    }
}

pub(super) fn frame(w: &impl StoreWriter, path: &str, f: &DataFrame, gzip: u8) -> Result<(), DataError> {
    encoded_group(w, path, "dataframe", "0.2.0")?;
    let index_key = match &f.index_name {
        Some(name) if !f.columns.contains_key(name) => checked_key(path, name)?,
        _ => INDEX,
    };
    w.group_attribute(path, INDEX, &text(index_key))?;
    w.group_attribute(path, COLUMN_ORDER, &Attribute::Strings(f.columns.keys().cloned().collect()))?;
    let names: Vec<&str> = f.index.iter().map(String::as_str).collect();
    array(w, &join(path, index_key), ArrayData::String(&names), &[names.len()], gzip)?;
    let mut groups = HashSet::new();
    for (key, c) in &f.columns {
        // A slash in a name is a group in the file, as older versions of anndata write it: what was read so stays so.
        for part in key.split('/') {
            checked_key(path, part)?;
        }
        for (at, _) in key.match_indices('/') {
            let group = &key[..at];
            if f.columns.contains_key(group) || group == index_key {
                checked_key(path, key)?;
            }
            if groups.insert(group) {
                w.create_group(&join(path, group))?;
            }
        }
        column(w, &join(path, key), c, gzip)?;
    }
    Ok(())
}

/// The form a column has in a file: texts with missing entries are categories, which every version reads.
pub(super) fn stored_column(c: &Column) -> std::borrow::Cow<'_, Column> {
    match c {
        Column::String(v) if v.iter().any(Option::is_none) => {
            std::borrow::Cow::Owned(Column::Categorical(Categorical::from_strings(v)))
        }
        other => std::borrow::Cow::Borrowed(other),
    }
}

pub(super) fn column(w: &impl StoreWriter, path: &str, c: &Column, gzip: u8) -> Result<(), DataError> {
    let len = [c.len()];
    match stored_column(c).as_ref() {
        Column::Float64(v) => array(w, path, ArrayData::F64(v), &len, gzip),
        Column::Float32(v) => array(w, path, ArrayData::F32(v), &len, gzip),
        Column::Int(v) => array(w, path, ArrayData::I64(v), &len, gzip),
        Column::Bool(v) => array(w, path, ArrayData::Bool(v), &len, gzip),
        Column::String(v) => {
            let texts: Vec<&str> = v.iter().map(|s| s.as_deref().unwrap_or_default()).collect();
            array(w, path, ArrayData::String(&texts), &len, gzip)
        }
        Column::Categorical(c) => categorical(w, path, c, gzip),
        Column::NullableInt(v) => {
            encoded_group(w, path, "nullable-integer", "0.1.0")?;
            let values: Vec<i64> = v.iter().map(|v| v.unwrap_or(0)).collect();
            array(w, &join(path, "values"), ArrayData::I64(&values), &len, gzip)?;
            let mask: Vec<bool> = v.iter().map(Option::is_none).collect();
            array(w, &join(path, "mask"), ArrayData::Bool(&mask), &len, gzip)
        }
        Column::NullableBool(v) => {
            encoded_group(w, path, "nullable-boolean", "0.1.0")?;
            let values: Vec<bool> = v.iter().map(|v| v.unwrap_or(false)).collect();
            array(w, &join(path, "values"), ArrayData::Bool(&values), &len, gzip)?;
            let mask: Vec<bool> = v.iter().map(Option::is_none).collect();
            array(w, &join(path, "mask"), ArrayData::Bool(&mask), &len, gzip)
        }
        Column::Opaque { encoding, .. } => {
            Err(DataError::CannotRewrite { element: path.to_owned(), encoding: encoding.clone() })
        }
    }
}

fn categorical(w: &impl StoreWriter, path: &str, c: &Categorical, gzip: u8) -> Result<(), DataError> {
    encoded_group(w, path, "categorical", "0.2.0")?;
    w.group_attribute(path, "ordered", &Attribute::Bool(c.ordered))?;
    let (at, len, n) = (join(path, "codes"), [c.codes.len()], c.categories.len());
    // The narrowest type that holds the codes, as pandas chooses.
    if i8::try_from(n).is_ok() {
        let codes: Vec<i8> = c.codes.iter().map(|&v| v as i8).collect();
        array(w, &at, ArrayData::I8(&codes), &len, gzip)?;
    } else if i16::try_from(n).is_ok() {
        let codes: Vec<i16> = c.codes.iter().map(|&v| v as i16).collect();
        array(w, &at, ArrayData::I16(&codes), &len, gzip)?;
    } else {
        array(w, &at, ArrayData::I32(&c.codes), &len, gzip)?;
    }
    let at = join(path, "categories");
    fn parsed<T: std::str::FromStr>(texts: &[String]) -> Option<Vec<T>> {
        texts.iter().map(|t| t.parse().ok()).collect()
    }
    match c.kind {
        CategoryKind::Int => {
            if let Some(v) = parsed::<i64>(&c.categories) {
                return array(w, &at, ArrayData::I64(&v), &[n], gzip);
            }
        }
        CategoryKind::Float => {
            if let Some(v) = parsed::<f64>(&c.categories) {
                return array(w, &at, ArrayData::F64(&v), &[n], gzip);
            }
        }
        CategoryKind::Bool => {
            let v: Vec<bool> = c.categories.iter().map(|t| t == "True").collect();
            return array(w, &at, ArrayData::Bool(&v), &[n], gzip);
        }
        CategoryKind::String => {}
    }
    let texts: Vec<&str> = c.categories.iter().map(String::as_str).collect();
    array(w, &at, ArrayData::String(&texts), &[n], gzip)
}
