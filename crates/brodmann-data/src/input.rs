//! What is opened to be read: files, and nothing that waits or never ends.

use std::fs::{File, Metadata};
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::DataError;
use crate::memory::{PICTURE_EXPANSION, allow};

static FOLLOW_EXTERNAL: AtomicBool = AtomicBool::new(false);

/// Whether arrays that an HDF5 file keeps in other files (external storage, virtual datasets) are read. Not so unless
/// asked for: such a file says which other file of this machine is copied into the output.
pub fn set_follow_external(follow: bool) {
    FOLLOW_EXTERNAL.store(follow, Ordering::Relaxed);
}

/// What [`set_follow_external`] was given last.
pub fn follow_external() -> bool {
    FOLLOW_EXTERNAL.load(Ordering::Relaxed)
}

/// Opens a file to be read.
///
/// # Errors
/// [`DataError::NoFile`] for a pipe, a socket or a device, which would be waited for and can be read only once;
/// [`DataError::Missing`], [`DataError::Dangling`], [`DataError::Read`].
pub fn open_input(path: &Path) -> Result<File, DataError> {
    // Before it is opened: opening a pipe that nobody writes to waits for ever.
    let metadata = std::fs::metadata(path).map_err(|e| DataError::read(path, e))?;
    match no_file(&metadata) {
        Some(found) => Err(DataError::NoFile { path: path.to_path_buf(), found }),
        None => File::open(path).map_err(|e| DataError::read(path, e)),
    }
}

/// A whole file.
///
/// # Errors
/// As [`open_input`]; [`DataError::TooLarge`].
pub(crate) fn read_input(path: &Path) -> Result<Vec<u8>, DataError> {
    let mut file = open_input(path)?;
    let len = file.metadata().map_err(|e| DataError::read(path, e))?.len();
    allow(path, "the file", (0, len), PICTURE_EXPANSION, || len)?;
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
    file.read_to_end(&mut bytes).map_err(|e| DataError::read(path, e))?;
    Ok(bytes)
}

/// What a path leads to that is neither file nor folder.
#[cfg(unix)]
pub(crate) fn no_file(metadata: &Metadata) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt;
    let kind = metadata.file_type();
    if kind.is_fifo() {
        Some("a pipe")
    } else if kind.is_socket() {
        Some("a socket")
    } else if kind.is_char_device() || kind.is_block_device() {
        Some("a device")
    } else {
        None
    }
}

#[cfg(not(unix))]
pub(crate) fn no_file(_: &Metadata) -> Option<&'static str> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn pipes_and_devices_are_refused_without_waiting_and_a_dangling_link_is_named() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let pipe = folder.path().join("pipe.h5ad");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.is_ok_and(|s| s.success()), "mkfifo");
        let options = crate::OpenOptions::default();
        let read = crate::ReadOptions::default();
        for path in [pipe.as_path(), Path::new("/dev/null")] {
            assert!(matches!(open_input(path), Err(DataError::NoFile { .. })), "{path:?}");
            let opened = crate::open_any(path, &options, &read, &brodmann_kernels::Silent);
            assert!(matches!(opened, Err(DataError::NoFile { .. })), "{path:?}: {:?}", opened.err());
            assert!(matches!(crate::write_bytes(path, b"x"), Err(DataError::NoFile { .. })), "{path:?}");
        }
        let link = folder.path().join("link.h5ad");
        std::os::unix::fs::symlink("gone.h5ad", &link).expect("made");
        for error in [open_input(&link).map(drop), crate::write_bytes(&link, b"x")] {
            let error = error.expect_err("refused");
            assert!(matches!(error, DataError::Dangling { .. }), "{error}");
            assert!(error.to_string().contains("gone.h5ad"), "{error}");
        }
        assert!(std::fs::symlink_metadata(&link).expect("still there").is_symlink());
    }
}
