//! Adding elements to a copy of a file: what we do not write survives as it was.
//!
//! The copy is made beside the output, our elements are written into it, it is flushed and closed, opened anew,
//! every written element is checked by the rules of the format, read back and compared, and only then does it take the output's name.

use std::io::Seek;
use std::path::Path;

use indexmap::IndexMap;

use super::read::{self, is_anndata, is_mudata};
use super::verify::{same_column, same_matrix, same_value};
use super::write::{checked_key, column, dictionary, encoded_group, frame, matrix, value};
use super::{COLUMN_ORDER, INDEX, OpenFile, join, legacy};
use crate::backend::Backend;
use crate::hdf5::{Hdf5Reader, Hdf5Writer};
use crate::store::{Attribute, NodeKind, Store, StoreWriter};
use crate::temporary::{Temporary, TemporaryFolder, is_same_file};
use crate::zarr::{Method, ZarrReader, ZarrWriter, copy_store};
use crate::{Additions, Column, DataError, DataFrame, ElementAdditions, Matrix, ReadOptions, Select, Value};

/// gzip level of added elements.
const GZIP: u8 = 1;

/// Writes `input` with `additions` to `output`.
///
/// A copy of the input gets the elements; one of the same key is replaced; everything else stays as it was, byte
/// for byte. Up to AnnData 0.6 `obs` is a record array: when a column is added, `obs` and `var` take today's layout
/// with the same content. `output` may exist and is replaced; it may be the input only with `in_place`.
///
/// # Errors
/// [`DataError::OutputIsInput`]; [`DataError::Shape`] when an addition does not fit (before anything is written);
/// [`DataError::MissingKey`] for an unknown modality; [`DataError::Write`]; [`DataError::ReadBack`]. After any
/// error the output is as it was.
///
/// # Cost
/// One copy of the file (shared blocks where the file system can), plus what is added.
pub fn write_with_additions(
    input: impl AsRef<Path>,
    output: impl AsRef<Path>,
    additions: &Additions,
    in_place: bool,
) -> Result<(), DataError> {
    let (input, output) = (input.as_ref(), output.as_ref());
    if !in_place && is_same_file(input, output) {
        return Err(DataError::OutputIsInput { path: output.to_path_buf() });
    }
    OpenFile::open(input)?.write_with_additions(output, additions, in_place)
}

/// As [`write_with_additions`], of a file that was opened before: its copy is made from that descriptor, and nothing
/// is put in place when the path leads to other content by then.
pub(super) fn write_opened(
    store: &Backend,
    output: &Path,
    additions: &Additions,
    in_place: bool,
) -> Result<(), DataError> {
    let input = store.path();
    if !in_place && is_same_file(input, output) {
        return Err(DataError::OutputIsInput { path: output.to_path_buf() });
    }
    check_format(store, output)?;
    match store {
        Backend::Hdf5(file) => {
            let temporary = Temporary::beside(output)?;
            // Before the work as well as after it: a change from here on is noticed before the output takes its name.
            store.check_unchanged()?;
            let plans = plan(file, additions)?;
            copy(file, &temporary, output)?;
            let writer = Hdf5Writer::edit(temporary.path(), output)?;
            plans.iter().try_for_each(|plan| apply(file, &writer, plan))?;
            writer.close()?;
            let written = Hdf5Reader::open(temporary.path()).map_err(|e| fault_of_writing(e, output))?;
            plans.iter().try_for_each(|plan| verify(&written, output, plan))?;
            drop(written);
            store.check_unchanged()?;
            temporary.persist(Some(input))
        }
        Backend::Zarr(zarr) => {
            let replaces_input = is_same_file(input, output);
            if replaces_input && !zarr.is_folder() {
                return Err(DataError::Kind {
                    element: input.display().to_string(),
                    found: "a zip archive, which cannot be added to in place".to_owned(),
                    expected: "another output, a .zarr folder".to_owned(),
                });
            }
            let temporary = TemporaryFolder::beside(output)?;
            store.check_unchanged()?;
            let plans = plan(zarr, additions)?;
            // Links would tie a copy to its original: only one that takes its place may have them.
            let method = if replaces_input { Method::Link } else { Method::Copy };
            copy_store(zarr, temporary.path(), output, method)?;
            let writer = ZarrWriter::edit(temporary.path(), output, zarr.root(), zarr.version()?);
            plans.iter().try_for_each(|plan| apply(zarr, &writer, plan))?;
            writer.close()?;
            let written = ZarrReader::open(temporary.path()).map_err(|e| fault_of_writing(e, output))?;
            let written = written.below(zarr.root());
            plans.iter().try_for_each(|plan| verify(&written, output, plan))?;
            store.check_unchanged()?;
            temporary.persist(Some(input))
        }
    }
}

/// Refuses an output whose name is of the other format: a copy is what its original is.
fn check_format(store: &Backend, output: &Path) -> Result<(), DataError> {
    let ending = output.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    let other: (&[&str], &str) = match store {
        Backend::Hdf5(_) => (&["zarr"], "a name that ends in .h5ad or .h5mu"),
        Backend::Zarr(_) => (&["h5ad", "h5mu", "h5", "zip"], "a name that ends in .zarr"),
    };
    if !other.0.contains(&ending.as_str()) {
        return Ok(());
    }
    Err(DataError::Kind {
        element: output.display().to_string(),
        found: format!("the name for a copy of {}", store.format()),
        expected: format!("{}, or an input that was converted before", other.1),
    })
}

/// Damage to the new file is a fault of the writing, not of the input.
pub(super) fn fault_of_writing(error: DataError, output: &Path) -> DataError {
    match error {
        DataError::Damaged { detail, .. } => {
            DataError::ReadBack { path: output.to_path_buf(), element: format!("the file ({detail})") }
        }
        e => e,
    }
}

fn copy(store: &Hdf5Reader, temporary: &Temporary, output: &Path) -> Result<(), DataError> {
    let mut from = store.file();
    from.rewind().map_err(|e| DataError::read(store.path(), e))?;
    let mut to = temporary.open().map_err(|e| DataError::write(output, e))?;
    // The standard library lets the kernel copy where it can.
    std::io::copy(&mut from, &mut to).map_err(|e| DataError::write(output, e))?;
    Ok(())
}

/// What is to be done at one root: the file itself, or a modality.
struct Plan<'a> {
    root: String,
    additions: &'a ElementAdditions,
    /// `obs` and `var` in today's layout, with the entries of `uns` that went into them.
    modern: Option<(DataFrame, DataFrame, Vec<String>)>,
}

fn plan<'a>(store: &impl Store, additions: &'a Additions) -> Result<Vec<Plan<'a>>, DataError> {
    let several = is_mudata(store)?;
    if !several && !is_anndata(store)? {
        return Err(DataError::Kind {
            element: store.path().display().to_string(),
            found: format!("{} without obs and var", store.format()),
            expected: "AnnData or MuData".to_owned(),
        });
    }
    if several {
        additions.root.require_whole()?;
    }
    let mut targets = vec![(String::new(), &additions.root)];
    for (name, elements) in &additions.modalities {
        let root = join("mod", name);
        if !several || store.node(&root)?.is_none() {
            return Err(DataError::MissingKey {
                container: "mod".to_owned(),
                key: name.clone(),
                place: store.path().display().to_string(),
                existing: if several { store.children("mod")? } else { Vec::new() },
                named_by: None,
                otherwise: Vec::new(),
            });
        }
        targets.push((root, elements));
    }
    let mut plans = Vec::new();
    for (root, elements) in targets {
        if elements.is_empty() {
            continue;
        }
        let names = ReadOptions::names_only();
        let obs = read::frame(store, &join(&root, "obs"), &names.obs)?;
        let var = read::frame(store, &join(&root, "var"), &names.var)?;
        check(store, &root, elements, &obs, &var)?;
        let is_record =
            |axis: &str| Ok::<_, DataError>(store.node(&join(&root, axis))? == Some(NodeKind::Array));
        let edits_frames = !elements.obs.is_empty() || !elements.var.is_empty();
        let modern = if edits_frames && (is_record("obs")? || is_record("var")?) {
            Some(legacy::modern_frames(store, &root)?)
        } else {
            None
        };
        plans.push(Plan { root, additions: elements, modern });
    }
    Ok(plans)
}

/// Every addition fits the axes and has a name a file can hold.
fn check(
    store: &impl Store,
    root: &str,
    a: &ElementAdditions,
    obs: &DataFrame,
    var: &DataFrame,
) -> Result<(), DataError> {
    let (n_obs, n_vars) = (obs.n_rows(), var.n_rows());
    let fits = |element: String, found: Vec<usize>, expected: &[usize]| {
        if found.len() >= expected.len() && found[..expected.len()] == *expected {
            return Ok(());
        }
        let expected = expected.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
        Err(DataError::Shape {
            element,
            found,
            expected: format!("{expected} (of {})", store.path().display()),
        })
    };
    let dims = |m: &Matrix| vec![m.n_rows(), m.n_cols()];
    if let Some(x) = &a.x {
        fits(join(root, "X"), dims(x), &[n_obs, n_vars])?;
    }
    for (container, entries, shape) in [
        ("layers", &a.layers, [n_obs, n_vars]),
        ("obsp", &a.obsp, [n_obs, n_obs]),
        ("varp", &a.varp, [n_vars, n_vars]),
    ] {
        for (key, m) in entries {
            checked_key(container, key)?;
            fits(format!("{}[{key:?}]", join(root, container)), dims(m), &shape)?;
        }
    }
    for (container, entries, n) in [("obsm", &a.obsm, n_obs), ("varm", &a.varm, n_vars)] {
        for (key, v) in entries {
            checked_key(container, key)?;
            fits(format!("{}[{key:?}]", join(root, container)), v.shape().unwrap_or_default(), &[n])?;
        }
    }
    for (container, entries, frame) in [("obs", &a.obs, obs), ("var", &a.var, var)] {
        for (key, c) in entries {
            checked_key(container, key)?;
            fits(format!("{}[{key:?}]", join(root, container)), vec![c.len()], &[frame.n_rows()])?;
            if key == INDEX || frame.index_name.as_ref() == Some(key) {
                return Err(DataError::Kind {
                    element: format!("{container}[{key:?}]"),
                    found: "the name of the index".to_owned(),
                    expected: "the name of a column".to_owned(),
                });
            }
        }
    }
    for key in a.uns.keys() {
        checked_key("uns", key)?;
    }
    Ok(())
}

fn apply(store: &impl Store, w: &impl StoreWriter, plan: &Plan<'_>) -> Result<(), DataError> {
    let a = plan.additions;
    let at = |name: &str| join(&plan.root, name);
    let replace = |path: &str| match store.node(path)? {
        Some(kind) => w.remove(path, kind),
        None => Ok(()),
    };
    if let Some((obs, var, consumed)) = &plan.modern {
        for (axis, table) in [("obs", obs), ("var", var)] {
            replace(&at(axis))?;
            frame(w, &at(axis), table, GZIP)?;
        }
        for entry in consumed {
            replace(&join(&at("uns"), entry))?;
        }
    }
    if let Some(x) = &a.x {
        replace(&at("X"))?;
        matrix(w, &at("X"), x, GZIP)?;
    }
    for (axis, columns) in [("obs", &a.obs), ("var", &a.var)] {
        if columns.is_empty() {
            continue;
        }
        let path = at(axis);
        let mut order = match &plan.modern {
            Some((obs, var, _)) => {
                let table = if axis == "obs" { obs } else { var };
                table.columns.keys().cloned().collect()
            }
            None => column_order(store, &path)?,
        };
        for (key, c) in columns {
            let place = join(&path, key);
            match &plan.modern {
                // Just rewritten: what is there now is not what the store still shows.
                Some(_) => {
                    if order.contains(key) {
                        let kind = match legacy::rewritten(plan.modern.as_ref(), axis, key) {
                            Some(
                                Column::Categorical(_) | Column::NullableInt(_) | Column::NullableBool(_),
                            ) => NodeKind::Group,
                            _ => NodeKind::Array,
                        };
                        w.remove(&place, kind)?;
                    }
                }
                None => replace(&place)?,
            }
            column(w, &place, c, GZIP)?;
            if !order.contains(key) {
                order.push(key.clone());
            }
        }
        w.group_attribute(&path, COLUMN_ORDER, &Attribute::Strings(order))?;
    }
    for (container, entries) in [("layers", &a.layers), ("obsp", &a.obsp), ("varp", &a.varp)] {
        if entries.is_empty() {
            continue;
        }
        container_group(store, w, &at(container))?;
        for (key, m) in entries {
            let place = join(&at(container), key);
            replace(&place)?;
            matrix(w, &place, m, GZIP)?;
        }
    }
    for (container, entries) in [("obsm", &a.obsm), ("varm", &a.varm), ("uns", &a.uns)] {
        if entries.is_empty() {
            continue;
        }
        let rewritten = container_group(store, w, &at(container))?;
        for (key, v) in entries {
            let place = join(&at(container), key);
            if rewritten {
                if let Some(old) =
                    legacy::fields(store, &at(container), &Select::only([key.clone()]))?.get(key)
                {
                    w.remove(
                        &place,
                        if matches!(old, Value::Array(_)) { NodeKind::Array } else { NodeKind::Group },
                    )?;
                }
            } else {
                replace(&place)?;
            }
            value(w, &place, v, GZIP)?;
        }
    }
    Ok(())
}

/// Makes the group where it is missing; one that is an array of records (up to 0.6) becomes a group with the same
/// entries, and the answer is true.
fn container_group(store: &impl Store, w: &impl StoreWriter, path: &str) -> Result<bool, DataError> {
    match store.node(path)? {
        Some(NodeKind::Group) => Ok(false),
        None => encoded_group(w, path, "dict", "0.1.0").map(|()| false),
        Some(NodeKind::Array) => {
            let entries: IndexMap<String, Value> = legacy::fields(store, path, &Select::All)?;
            w.remove(path, NodeKind::Array)?;
            dictionary(w, path, &entries, GZIP)?;
            Ok(true)
        }
    }
}

/// The columns of a table in order; those a file fails to list come last.
fn column_order(store: &impl Store, path: &str) -> Result<Vec<String>, DataError> {
    if let Some(order) = store.attribute(path, COLUMN_ORDER)?.and_then(|a| a.strings()) {
        return Ok(order);
    }
    let index = store.attribute(path, INDEX)?.and_then(|a| a.as_str().map(str::to_owned));
    let index = index.unwrap_or_else(|| INDEX.to_owned());
    Ok(store.children(path)?.into_iter().filter(|n| *n != index && n != "__categories").collect())
}

fn verify(store: &impl Store, output: &Path, plan: &Plan<'_>) -> Result<(), DataError> {
    let a = plan.additions;
    let at = |name: &str| join(&plan.root, name);
    let answer = |element: String, same: Result<bool, DataError>| match same {
        Ok(true) => Ok(()),
        _ => Err(DataError::ReadBack { path: output.to_path_buf(), element }),
    };
    let same_stored = |path: &str, m: &Matrix| {
        store.check_rules(path)?;
        Ok(same_matrix(&read::matrix(store, path, None, false)?, m))
    };
    if let Some(x) = &a.x {
        answer("X".to_owned(), same_stored(&at("X"), x))?;
    }
    for (container, entries) in [("layers", &a.layers), ("obsp", &a.obsp), ("varp", &a.varp)] {
        for (key, m) in entries {
            let path = join(&at(container), key);
            answer(path.clone(), same_stored(&path, m))?;
        }
    }
    for (axis, columns) in [("obs", &a.obs), ("var", &a.var)] {
        if columns.is_empty() {
            continue;
        }
        let order = column_order(store, &at(axis))?;
        for (key, c) in columns {
            let path = join(&at(axis), key);
            let listed = order.iter().filter(|k| *k == key).count() == 1;
            let back = store.check_rules(&path).and_then(|()| read::column(store, &path));
            answer(path.clone(), back.map(|back| listed && same_column(&back, c)))?;
        }
    }
    for (container, entries) in [("obsm", &a.obsm), ("varm", &a.varm), ("uns", &a.uns)] {
        for (key, v) in entries {
            let path = join(&at(container), key);
            let back = store.check_rules(&path).and_then(|()| read::value(store, &path));
            answer(path.clone(), back.map(|back| same_value(&back, v)))?;
        }
    }
    if let Some((obs, var, _)) = &plan.modern {
        for (axis, table, replaced) in [("obs", obs, &a.obs), ("var", var, &a.var)] {
            let back =
                store.check_rules(&at(axis)).and_then(|()| read::frame(store, &at(axis), &Select::All));
            let same = back.map(|back| {
                back.index == table.index
                    && table.columns.iter().all(|(k, c)| {
                        replaced.contains_key(k) || back.columns.get(k).is_some_and(|b| same_column(b, c))
                    })
            });
            answer(at(axis), same)?;
        }
    }
    Ok(())
}
