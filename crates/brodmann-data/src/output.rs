//! Outputs that are not containers, and the check of an output before any work.

use std::io::Write;
use std::path::Path;

use crate::DataError;
use crate::temporary::{Temporary, TemporaryFolder, is_same_file};
use crate::zarr::is_store_folder;

/// Refuses an output that is the input, or that cannot be written, before any work is done for it.
///
/// # Errors
/// [`DataError::OutputIsInput`], [`DataError::Write`].
pub fn check_output(input: &Path, output: &Path) -> Result<(), DataError> {
    if is_same_file(input, output) {
        return Err(DataError::OutputIsInput { path: output.to_path_buf() });
    }
    check_writable(output)
}

/// Refuses an output that cannot be written, before any work is done for it.
///
/// # Errors
/// [`DataError::Write`].
pub fn check_writable(output: &Path) -> Result<(), DataError> {
    // Made and dropped: asks the system itself, permissions and missing folders included.
    if is_store_folder(output) {
        return TemporaryFolder::beside(output).map(drop);
    }
    Temporary::beside(output).map(drop)
}

/// Refuses a folder that cannot be made, without making it: the nearest folder above it takes files.
///
/// # Errors
/// [`DataError::Write`].
pub fn check_new_folder(folder: &Path) -> Result<(), DataError> {
    let mut above = folder.ancestors().map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p });
    let there = above.find(|p| p.symlink_metadata().is_ok()).unwrap_or(folder);
    if !there.is_dir() {
        return Err(DataError::write(folder, std::io::ErrorKind::NotADirectory.into()));
    }
    check_writable(&there.join("brodmann-check")).map_err(|e| match e {
        DataError::Write { source, .. } => DataError::write(folder, source),
        other => other,
    })
}

/// Writes `bytes` to `output`, whole or not at all.
///
/// # Errors
/// [`DataError::Write`]; the output is as it was then.
pub fn write_bytes(output: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let temporary = Temporary::beside(output)?;
    let write = || {
        let mut file = temporary.open()?;
        file.write_all(bytes)
    };
    write().map_err(|e| DataError::write(output, e))?;
    temporary.persist(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_replace_a_file_whole_and_leave_nothing_beside_it() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("a.png");
        write_bytes(&path, b"old").expect("written");
        write_bytes(&path, b"new").expect("replaced");
        assert_eq!(std::fs::read(&path).expect("readable"), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).expect("folder").count(), 1);
    }

    #[test]
    fn the_input_and_missing_folders_are_refused_as_output() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("a.h5ad");
        std::fs::write(&path, b"x").expect("written");
        assert!(matches!(check_output(&path, &path), Err(DataError::OutputIsInput { .. })));
        assert!(matches!(
            check_output(&path, &folder.path().join("missing/b.h5ad")),
            Err(DataError::Write { .. })
        ));
        check_output(&path, &folder.path().join("b.h5ad")).expect("a writable folder");
        assert_eq!(std::fs::read_dir(folder.path()).expect("folder").count(), 1);
    }
}
