//! Temporary files beside the output: nothing half-written is ever visible under the final name.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::DataError;

static IN_USE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Removes every temporary file this process has not yet put in place; for a signal handler's thread.
///
/// A run that is stopped leaves the old output, or none.
pub fn cleanup_temporary_files() {
    // A poisoned lock only means another thread panicked: the list is still right.
    let mut paths = IN_USE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for path in paths.drain(..) {
        // Nothing more can be done about a file that will not go.
        let _ = fs::remove_file(path);
    }
}

/// A temporary file that becomes `output` by [`Temporary::persist`], or vanishes.
pub(crate) struct Temporary {
    path: PathBuf,
    output: PathBuf,
    persisted: bool,
}

impl Temporary {
    /// Makes an empty file beside `output` (beside what it points to, if it is a symbolic link).
    pub(crate) fn beside(output: &Path) -> Result<Self, DataError> {
        let target = fs::canonicalize(output).unwrap_or_else(|_| output.to_path_buf());
        if target.is_dir() {
            return Err(DataError::write(output, std::io::ErrorKind::IsADirectory.into()));
        }
        let Some(name) = target.file_name() else {
            return Err(DataError::write(output, std::io::ErrorKind::IsADirectory.into()));
        };
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}-{number}.brodmann-part", std::process::id()));
        let path = target.with_file_name(hidden);
        // Listed before it exists, so that an interruption in between cannot leave it behind.
        IN_USE.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(path.clone());
        let temporary = Self { path, output: target, persisted: false };
        File::create(&temporary.path).map_err(|e| DataError::write(output, e))?;
        Ok(temporary)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Flushes the file to the disk, gives it the permissions of `like`, and renames it to the output.
    pub(crate) fn persist(mut self, like: Option<&Path>) -> Result<(), DataError> {
        let fail = |e| DataError::write(&self.output, e);
        let permissions = [Some(self.output.as_path()), like]
            .into_iter()
            .flatten()
            .find_map(|p| fs::metadata(p).ok())
            .map(|m| m.permissions());
        File::open(&self.path).and_then(|f| f.sync_all()).map_err(fail)?;
        if let Some(permissions) = permissions {
            fs::set_permissions(&self.path, permissions).map_err(fail)?;
        }
        fs::rename(&self.path, &self.output).map_err(fail)?;
        self.persisted = true;
        sync_folder(&self.output);
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.persisted {
            let _ = fs::remove_file(&self.path);
        }
        IN_USE.lock().unwrap_or_else(std::sync::PoisonError::into_inner).retain(|p| *p != self.path);
    }
}

/// Makes the rename itself durable, where the system lets a folder be opened.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    if let Ok(folder) = File::open(folder) {
        // Some network file systems refuse; the rename stands all the same.
        let _ = folder.sync_all();
    }
}

/// Whether both paths lead to one file, over symbolic and hard links too.
pub(crate) fn is_same_file(a: &Path, b: &Path) -> bool {
    if let (Ok(a), Ok(b)) = (fs::canonicalize(a), fs::canonicalize(b))
        && a == b
    {
        return true;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if let (Ok(a), Ok(b)) = (fs::metadata(a), fs::metadata(b)) {
            return a.dev() == b.dev() && a.ino() == b.ino();
        }
    }
    false
}
