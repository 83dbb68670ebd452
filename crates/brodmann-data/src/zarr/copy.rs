//! A whole store beside another.

use std::fs;
use std::path::Path;

use super::place::Place;
use super::reader::ZarrReader;
use super::writer::put;
use crate::DataError;

/// How files are taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// As links to the same content, where the file system can: for a copy that takes the place of its original. What
    /// lives on beside the original gets content of its own, since other programs write into files.
    Link,
    Copy,
}

/// Makes the empty folder `to` hold all that the store holds.
///
/// # Errors
/// [`DataError::Read`], [`DataError::Write`] naming `output`.
pub(crate) fn copy_store(
    store: &ZarrReader,
    to: &Path,
    output: &Path,
    method: Method,
) -> Result<(), DataError> {
    let place = store.place();
    match place {
        Place::Folder { root, .. } => folder(root, to, output, method),
        Place::Archive { .. } => {
            for key in place.archive_keys().unwrap_or_default() {
                let bytes = place.bytes(&key)?.unwrap_or_default();
                put(to, &key, &bytes).map_err(|e| DataError::write(output, e))?;
            }
            Ok(())
        }
    }
}

fn folder(from: &Path, to: &Path, output: &Path, method: Method) -> Result<(), DataError> {
    let unreadable = |e| DataError::read(from, e);
    let unwritable = |e| DataError::write(output, e);
    for entry in fs::read_dir(from).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(unreadable)?;
        if kind.is_dir() {
            fs::create_dir(&target).map_err(unwritable)?;
            folder(&source, &target, output, method)?;
        } else if kind.is_symlink() {
            link(&source, &target).map_err(unwritable)?;
        } else if kind.is_file() && !(method == Method::Link && fs::hard_link(&source, &target).is_ok()) {
            // The standard library lets the kernel share blocks where it can.
            fs::copy(&source, &target).map_err(unwritable)?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn link(source: &Path, target: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(fs::read_link(source)?, target)
}

#[cfg(not(unix))]
fn link(source: &Path, target: &Path) -> std::io::Result<()> {
    fs::copy(source, target).map(drop)
}
