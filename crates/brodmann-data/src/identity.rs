//! Which file a path led to, and in what state: so that a change between two looks is noticed.

use std::fs::{File, Metadata};
use std::path::Path;
use std::time::SystemTime;

use crate::DataError;

/// Device, inode, size and time of the last change of a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Device and inode, where the system has them.
    place: Option<(u64, u64)>,
    size: u64,
    modified: Option<SystemTime>,
}

impl Identity {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let place = {
            use std::os::unix::fs::MetadataExt;
            Some((metadata.dev(), metadata.ino()))
        };
        #[cfg(not(unix))]
        let place = None;
        Self { place, size: metadata.len(), modified: metadata.modified().ok() }
    }

    /// Refuses a file that is not as it was when this identity was taken: `file` is the one that was opened, `path`
    /// its name.
    ///
    /// # Errors
    /// [`DataError::Changed`].
    pub(crate) fn check(self, file: &File, path: &Path) -> Result<(), DataError> {
        let changed = |how| Err(DataError::Changed { path: path.to_path_buf(), how });
        match file.metadata() {
            Ok(now) if Self::of(&now) == self => {}
            Ok(_) => return changed("was written to"),
            Err(e) => return Err(DataError::read(path, e)),
        }
        match std::fs::metadata(path) {
            Ok(now) if Self::of(&now) == self => Ok(()),
            Ok(_) => changed("was replaced"),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => changed("was removed"),
            Err(e) => Err(DataError::read(path, e)),
        }
    }
}
