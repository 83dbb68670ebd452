//! Temporary files beside the output: nothing half-written is ever visible under the final name.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::DataError;

static IN_USE: Mutex<InUse> = Mutex::new(InUse { paths: Vec::new(), n_put_in_place: 0 });
static COUNTER: AtomicU64 = AtomicU64::new(0);

struct InUse {
    paths: Vec<PathBuf>,
    n_put_in_place: usize,
}

// A poisoned lock only means another thread panicked: the list is still right.
fn in_use() -> MutexGuard<'static, InUse> {
    IN_USE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes every temporary file this process has not yet put in place, for good, and returns how many outputs had
/// been put in place before; for a signal handler's thread that is about to end the process.
///
/// A run that is stopped leaves the old output, or none. From here on any other thread that makes, drops or puts in
/// place a temporary file waits for ever: no file appears after the removal, and no error that only the removal
/// caused is reported before the process ends.
pub fn cleanup_temporary_files() -> usize {
    let mut in_use = in_use();
    for path in in_use.paths.drain(..) {
        // Nothing more can be done about a file that will not go.
        let _ = fs::remove_file(path);
    }
    let n_put_in_place = in_use.n_put_in_place;
    std::mem::forget(in_use);
    n_put_in_place
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
        // Made and listed in one step, so that an interruption in between cannot leave it behind.
        let mut in_use = in_use();
        File::create(&path).map_err(|e| DataError::write(output, e))?;
        in_use.paths.push(path.clone());
        drop(in_use);
        Ok(Self { path, output: target, persisted: false })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens it for writing; one that an interruption removed is not made anew.
    pub(crate) fn open(&self) -> std::io::Result<File> {
        File::options().write(true).open(&self.path)
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
        // In one step with the count, so that an interruption knows whether there is a new output.
        let mut in_use = in_use();
        fs::rename(&self.path, &self.output).map_err(fail)?;
        in_use.n_put_in_place += 1;
        in_use.paths.retain(|p| *p != self.path);
        drop(in_use);
        self.persisted = true;
        sync_folder(&self.output);
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.persisted {
            let mut in_use = in_use();
            let _ = fs::remove_file(&self.path);
            in_use.paths.retain(|p| *p != self.path);
        }
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
