//! The second copy of metadata that some stores keep, so that one request reads all: `.zmetadata` (version 2),
//! `zmetadata` (SpatialData before 0.5) and a part of `zarr.json` (version 3). It lies at the root of a store, and of a
//! store inside it.
//!
//! What was written is entered as it lies on the disk; entries of everything else stay as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Error, ErrorKind};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::json as documents;
use super::writer::{Version, below, put};

const V2_COPIES: [&str; 2] = [".zmetadata", "zmetadata"];
const V2_DOCUMENTS: [&str; 3] = [".zgroup", ".zarray", ".zattrs"];
const INLINE: &str = "consolidated_metadata";

/// Gives a new store its copy, empty so far.
pub(super) fn begin(folder: &Path, version: Version) -> std::io::Result<()> {
    if version == Version::V2 {
        let empty = json!({"metadata": {}, "zarr_consolidated_format": 1});
        put(folder, ".zmetadata", &documents::to_bytes(&empty))?;
    }
    Ok(())
}

/// Enters what changed (paths, each with whether all below it did) into every copy that covers it.
pub(super) fn update(folder: &Path, changed: &BTreeMap<String, bool>) -> std::io::Result<()> {
    let mut holders = BTreeSet::new();
    for key in changed.keys() {
        let mut above = key.as_str();
        holders.insert(above);
        while let Some((parent, _)) = above.rsplit_once('/') {
            holders.insert(parent);
            above = parent;
        }
        holders.insert("");
    }
    for holder in holders {
        let within = |key: &str| -> Option<String> {
            if holder.is_empty() {
                return Some(key.to_owned());
            }
            let rest = key.strip_prefix(holder)?;
            if rest.is_empty() { Some(String::new()) } else { rest.strip_prefix('/').map(str::to_owned) }
        };
        let parts: Vec<(String, bool)> =
            changed.iter().filter_map(|(key, whole)| Some((within(key)?, *whole))).collect();
        for name in V2_COPIES {
            let Some(mut copy) = read(folder, &below(holder, name))? else { continue };
            let Some(entries) = copy.get_mut("metadata").and_then(Value::as_object_mut) else { continue };
            for (path, whole) in &parts {
                enter_v2(folder, holder, entries, path, *whole)?;
            }
            put(folder, &below(holder, name), &documents::to_bytes(&copy))?;
        }
        let Some(mut document) = read(folder, &below(holder, "zarr.json"))? else { continue };
        let inline = document.get_mut(INLINE).and_then(|c| c.get_mut("metadata"));
        if let Some(entries) = inline.and_then(Value::as_object_mut) {
            for (path, whole) in &parts {
                enter_v3(folder, holder, entries, path, *whole)?;
            }
            put(folder, &below(holder, "zarr.json"), &documents::to_bytes(&document))?;
        }
    }
    Ok(())
}

fn read(folder: &Path, key: &str) -> std::io::Result<Option<Value>> {
    match fs::read(folder.join(key)) {
        Ok(bytes) => documents::parse(&bytes)
            .map(Some)
            .map_err(|e| Error::new(ErrorKind::InvalidData, format!("{key}: {e}"))),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(e),
    }
}

fn is_at_or_below(key: &str, path: &str) -> bool {
    path.is_empty() || key == path || key.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
}

/// The nodes at and below a path, as far as they are there.
fn nodes(
    folder: &Path,
    holder: &str,
    path: &str,
    whole: bool,
    found: &mut Vec<String>,
) -> std::io::Result<()> {
    found.push(path.to_owned());
    if !whole {
        return Ok(());
    }
    let at = folder.join(holder).join(path);
    // Chunks lie below an array, no nodes.
    let is_array = at.join(".zarray").exists()
        || read(&at, "zarr.json")?.is_some_and(|d| d.get("node_type").is_some_and(|t| t == "array"));
    if is_array || !at.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(&at)? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string()
            && entry.file_type()?.is_dir()
        {
            nodes(folder, holder, &below(path, &name), true, found)?;
        }
    }
    Ok(())
}

fn enter_v2(
    folder: &Path,
    holder: &str,
    entries: &mut Map<String, Value>,
    path: &str,
    whole: bool,
) -> std::io::Result<()> {
    if whole {
        entries.retain(|key, _| !is_at_or_below(key, path));
    }
    let mut found = Vec::new();
    nodes(folder, holder, path, whole, &mut found)?;
    for node in found {
        for name in V2_DOCUMENTS {
            let key = below(&node, name);
            match read(folder, &below(holder, &key))? {
                Some(document) => entries.insert(key, document),
                None => entries.remove(&key),
            };
        }
    }
    Ok(())
}

fn enter_v3(
    folder: &Path,
    holder: &str,
    entries: &mut Map<String, Value>,
    path: &str,
    whole: bool,
) -> std::io::Result<()> {
    if whole {
        entries.retain(|key, _| !is_at_or_below(key, path));
    }
    let mut found = Vec::new();
    nodes(folder, holder, path, whole, &mut found)?;
    for node in found.into_iter().filter(|node| !node.is_empty()) {
        match read(folder, &below(holder, &below(&node, "zarr.json")))? {
            Some(mut document) => {
                if let Some(fields) = document.as_object_mut()
                    && fields.get("node_type").is_some_and(|t| t == "group")
                {
                    // A copy holds no copies: theirs is this one.
                    let none = json!({"kind": "inline", "must_understand": false, "metadata": {}});
                    fields.insert(INLINE.to_owned(), none);
                }
                entries.insert(node, document);
            }
            None => {
                entries.remove(&node);
            }
        }
    }
    Ok(())
}
