//! Layouts of AnnData up to 0.7: record arrays, categories in `uns` or in `__categories`.

use indexmap::IndexMap;

use super::read::{array_to_column, categories, category_texts};
use super::{INDEX, join};
use crate::store::{Element, NodeKind, Store};
use crate::{AnnData, Categorical, Column, DataError, DataFrame, Select, Value};

/// A table stored as an array of records (up to 0.6): the field `index` names the rows.
pub(super) fn frame(store: &impl Store, path: &str, select: &Select) -> Result<DataFrame, DataError> {
    let info = store.info(path)?;
    let Element::Record(names) = info.element else {
        return Err(DataError::Kind {
            element: path.to_owned(),
            found: format!("an array of {:?}", info.element),
            expected: "a table".to_owned(),
        });
    };
    let index_key = if names.iter().any(|n| n == "index") { "index" } else { INDEX };
    let index: Vec<String> = if let Some(array) = store.field(path, index_key)? {
        array_to_column(array).to_strings().into_iter().map(Option::unwrap_or_default).collect()
    } else {
        // Reading any field says whether the file can hold so many rows.
        let n = match names.first() {
            Some(name) => store.field(path, name)?.map_or(0, |a| a.shape().first().copied().unwrap_or(0)),
            None => 0,
        };
        (0..n).map(|i| i.to_string()).collect()
    };
    let n_rows = index.len();
    let mut columns = IndexMap::new();
    for name in names.into_iter().filter(|n| n != index_key && select.wants(n)) {
        let column = match store.field(path, &name)? {
            Some(array) if array.shape().len() == 1 => array_to_column(array),
            Some(array) => Column::Opaque {
                len: array.shape().first().copied().unwrap_or(0),
                encoding: format!("an array of shape {:?}", array.shape()),
            },
            None => Column::Opaque { len: n_rows, encoding: "a record field".to_owned() },
        };
        columns.insert(name, column);
    }
    Ok(DataFrame { index, index_name: (index_key == "index").then(|| index_key.to_owned()), columns })
}

/// `obsm` or `varm` stored as an array of records: one field per key.
pub(super) fn fields(
    store: &impl Store,
    path: &str,
    select: &Select,
) -> Result<IndexMap<String, Value>, DataError> {
    let mut entries = IndexMap::new();
    if let Element::Record(names) = store.info(path)?.element {
        for name in names.into_iter().filter(|n| select.wants(n)) {
            if let Some(array) = store.field(path, &name)? {
                entries.insert(name, Value::Array(array));
            }
        }
    }
    Ok(entries)
}

/// Codes whose categories lie in `__categories` beside them (0.7).
pub(super) fn categorical(store: &impl Store, path: &str) -> Result<Column, DataError> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    // The attribute is a reference to this place; anndata has never put it elsewhere.
    let at = join(parent, &format!("__categories/{name}"));
    if store.node(&at)? != Some(NodeKind::Array) {
        return Err(DataError::Kind {
            element: path.to_owned(),
            found: "codes without categories".to_owned(),
            expected: format!("categories at {at}"),
        });
    }
    let codes = store.numbers::<i32>(path)?;
    let ordered = store.attribute(&at, "ordered")?.and_then(|a| a.as_bool()).unwrap_or(false);
    let (categories, kind) = categories(store, &at)?;
    Ok(Column::Categorical(Categorical { codes, categories, ordered, kind }))
}

/// Up to 0.6 the categories of `obs[key]` and `var[key]` are `uns["<key>_categories"]`. Returns the entries of
/// `uns` that were such.
pub(super) fn categories_from_uns(
    store: &impl Store,
    root: &str,
    adata: &mut AnnData,
) -> Result<Vec<String>, DataError> {
    let mut consumed = Vec::new();
    let uns = join(root, "uns");
    if store.node(&join(root, "obs"))? != Some(NodeKind::Array) || store.node(&uns)? != Some(NodeKind::Group)
    {
        return Ok(consumed);
    }
    for entry in store.children(&uns)? {
        let Some(key) = entry.strip_suffix("_categories") else { continue };
        let path = join(&uns, &entry);
        let known = [&adata.obs, &adata.var].iter().any(|f| f.columns.contains_key(key));
        if !known || store.node(&path)? != Some(NodeKind::Array) {
            continue;
        }
        let (categories, kind) = category_texts(&store.array(&path)?);
        for frame in [&mut adata.obs, &mut adata.var] {
            let Some(Column::Int(codes)) = frame.columns.get(key) else { continue };
            if codes.iter().any(|&c| c < -1 || c >= categories.len() as i64) {
                continue;
            }
            let codes = codes.iter().map(|&c| c as i32).collect();
            let column = Categorical { codes, categories: categories.clone(), ordered: false, kind };
            frame.columns.insert(key.to_owned(), Column::Categorical(column));
            adata.uns.shift_remove(&entry);
            if !consumed.contains(&entry) {
                consumed.push(entry.clone());
            }
        }
    }
    Ok(consumed)
}

/// `obs` and `var` of an old file as they are written today, and the entries of `uns` that went into them.
pub(super) fn modern_frames(
    store: &impl Store,
    root: &str,
) -> Result<(DataFrame, DataFrame, Vec<String>), DataError> {
    let mut adata = AnnData {
        obs: super::read::frame(store, &join(root, "obs"), &Select::All)?,
        var: super::read::frame(store, &join(root, "var"), &Select::All)?,
        ..AnnData::default()
    };
    let consumed = categories_from_uns(store, root, &mut adata)?;
    Ok((adata.obs, adata.var, consumed))
}

/// The column `key` of a table that was just rewritten.
pub(super) fn rewritten<'a>(
    modern: Option<&'a (DataFrame, DataFrame, Vec<String>)>,
    axis: &str,
    key: &str,
) -> Option<&'a Column> {
    let (obs, var, _) = modern?;
    if axis == "obs" { obs.columns.get(key) } else { var.columns.get(key) }
}
