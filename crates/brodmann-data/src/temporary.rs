//! Temporary files and folders beside the output: nothing half-written is ever visible under the final name.

use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::DataError;
use crate::input::no_file;
use crate::reservation::{Reservation, beside, resolved};
use crate::zarr::is_store_folder;

/// How temporary files end.
pub(crate) const PART: &str = "brodmann-part";
/// How a folder ends that makes way for its successor.
const OLD: &str = "brodmann-old";
/// Files and folders flushed one by one; where there are more, their file system is flushed as a whole.
const SYNCED_ONE_BY_ONE: usize = 256;
/// Names tried before a folder is taken to be hostile.
const ATTEMPTS: usize = 16;

static IN_USE: Mutex<InUse> = Mutex::new(InUse { paths: Vec::new(), n_put_in_place: 0 });

struct InUse {
    paths: Vec<PathBuf>,
    n_put_in_place: usize,
}

// A poisoned lock only means another thread panicked: the list is still right.
fn in_use() -> MutexGuard<'static, InUse> {
    IN_USE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes every temporary file and folder this process has not yet put in place, for good, and returns how many outputs had
/// been put in place before; for a signal handler's thread that is about to end the process.
///
/// A run that is stopped leaves the old output, or none. From here on any other thread that makes, drops or puts in
/// place a temporary file waits for ever: no file appears after the removal, and no error that only the removal
/// caused is reported before the process ends.
pub fn cleanup_temporary_files() -> usize {
    let mut in_use = in_use();
    for path in in_use.paths.drain(..) {
        // Nothing more can be done about a file that will not go.
        remove(&path);
    }
    let n_put_in_place = in_use.n_put_in_place;
    std::mem::forget(in_use);
    n_put_in_place
}

/// Makes a file and lists it among those to be removed, in one step: an interruption cannot come between.
pub(crate) fn list_file<T>(path: &Path, make: impl FnOnce() -> std::io::Result<T>) -> std::io::Result<T> {
    let mut in_use = in_use();
    let made = make()?;
    in_use.paths.push(path.to_path_buf());
    Ok(made)
}

/// Removes a file, or a folder with all in it, as far as that is possible.
pub(crate) fn remove(path: &Path) {
    let is_folder = fs::symlink_metadata(path).is_ok_and(|m| m.is_dir());
    if !is_folder {
        let _ = fs::remove_file(path);
        return;
    }
    // Another thread may still put files into it; none appears once the folder itself is gone.
    for _ in 0..ATTEMPTS {
        if fs::remove_dir_all(path).is_ok() {
            return;
        }
    }
    remove_by_level(path);
}

/// The same with one descriptor, where few are left: no folder is open while another is.
fn remove_by_level(folder: &Path) {
    let entries: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    for path in entries {
        if fs::symlink_metadata(&path).is_ok_and(|m| m.is_dir()) {
            remove_by_level(&path);
        } else {
            let _ = fs::remove_file(&path);
        }
    }
    let _ = fs::remove_dir(folder);
}

/// A file that is gone, or another's by now.
pub(crate) fn forget_file(path: &Path) {
    in_use().paths.retain(|p| p != path);
}

/// A temporary file that becomes `output` by [`Temporary::persist`], or vanishes.
pub(crate) struct Temporary {
    path: PathBuf,
    output: PathBuf,
    persisted: bool,
    /// What a new file may be as the system's defaults have it; meanwhile it is its owner's alone.
    default: Option<fs::Permissions>,
    // Dropped last: nobody else may write the output while this file is there.
    _reservation: Reservation,
}

impl Temporary {
    /// Makes an empty file beside `output` (beside what it points to, if it is a symbolic link).
    pub(crate) fn beside(output: &Path) -> Result<Self, DataError> {
        replaceable(output)?;
        let target = resolved(output);
        if target.is_dir() {
            return Err(DataError::write(output, ErrorKind::IsADirectory.into()));
        }
        if target.file_name().is_none() {
            return Err(DataError::write(output, ErrorKind::IsADirectory.into()));
        }
        let reservation = Reservation::of_write(output, &target)?;
        // `create_new` follows no link and takes no file that is there.
        let make = |path: &Path| File::create_new(path);
        let (path, file) = make_new(&target, make).map_err(|e| DataError::write(output, e))?;
        let default = file.metadata().ok().map(|m| m.permissions());
        let this = Self { path, output: target, persisted: false, default, _reservation: reservation };
        // Empty so far: what is written into it is not for others until it is known who may read it.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let own = fs::Permissions::from_mode(0o600);
            file.set_permissions(own).map_err(|e| DataError::write(output, e))?;
        }
        Ok(this)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens it for writing; one that an interruption removed is not made anew.
    pub(crate) fn open(&self) -> std::io::Result<File> {
        File::options().write(true).open(&self.path)
    }

    /// Flushes the file to the disk and renames it to the output.
    ///
    /// It gets the permissions of what it replaces; a new file those of the system's defaults, but no more readers
    /// than `like`, the file it was made from, has.
    pub(crate) fn persist(mut self, like: Option<&Path>) -> Result<(), DataError> {
        let fail = |e| DataError::write(&self.output, e);
        let of = |path: &Path| fs::metadata(path).ok().map(|m| m.permissions());
        let permissions = of(&self.output).or_else(|| {
            let default = self.default.clone()?;
            Some(like.and_then(of).map_or(default.clone(), |like| no_wider(default, &like)))
        });
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

/// A folder that becomes `output` by [`TemporaryFolder::persist`], or vanishes.
pub(crate) struct TemporaryFolder {
    path: PathBuf,
    output: PathBuf,
    default: Option<fs::Permissions>,
    /// A descriptor given back before the folder is removed, which takes one: a run may have failed for want of them.
    spare: Option<File>,
    // Dropped last: nobody else may write the output while this folder is there.
    _reservation: Reservation,
}

impl TemporaryFolder {
    /// Makes an empty folder beside `output`, which is a Zarr store, an empty folder or nothing yet.
    pub(crate) fn beside(output: &Path) -> Result<Self, DataError> {
        let fail = |e| DataError::write(output, e);
        replaceable(output)?;
        let target = resolved(output);
        if target.file_name().is_none() {
            return Err(fail(ErrorKind::IsADirectory.into()));
        }
        if target.parent().is_some_and(is_store_folder) {
            // The store around it may hold a copy of its metadata.
            return Err(DataError::Kind {
                element: output.display().to_string(),
                found: "a place inside another Zarr store".to_owned(),
                expected: "a store of its own, or the store around it and the name of its table".to_owned(),
            });
        }
        let reservation = Reservation::of_write(output, &target)?;
        let old = beside(&target, OLD);
        if !target.exists() && old.exists() {
            // A run ended between its two renames.
            fs::rename(&old, &target).map_err(fail)?;
        }
        match fs::read_dir(&target) {
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(fail(e)),
            // What is replaced is removed: never a folder of anything else.
            Ok(mut entries) => {
                if !is_store_folder(&target) && entries.next().is_some() {
                    return Err(fail(ErrorKind::DirectoryNotEmpty.into()));
                }
            }
        }
        let (path, ()) = make_new(&target, |path| fs::create_dir(path)).map_err(fail)?;
        let default = fs::metadata(&path).ok().map(|m| m.permissions());
        let mut this = Self { path, output: target, default, spare: None, _reservation: reservation };
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&this.path, fs::Permissions::from_mode(0o700)).map_err(fail)?;
            // Empty, it goes without one.
            this.spare = Some(File::open(&this.path).map_err(fail)?);
        }
        Ok(this)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Flushes the folder to the disk and gives it the output's name; what had that name is removed after that.
    ///
    /// On Linux the two change names in one step where the file system can. Elsewhere the old one is out of the way for a
    /// moment, under a hidden name from which the next run that writes this output brings it back.
    pub(crate) fn persist(self, like: Option<&Path>) -> Result<(), DataError> {
        let fail = |e| DataError::write(&self.output, e);
        let of = |path: &Path| fs::metadata(path).ok().map(|m| m.permissions());
        let permissions = of(&self.output).or_else(|| {
            let default = self.default.clone()?;
            let like = like.filter(|like| like.is_dir()).and_then(of);
            Some(like.map_or(default.clone(), |like| no_wider(default, &like)))
        });
        if let Some(permissions) = permissions {
            fs::set_permissions(&self.path, permissions).map_err(fail)?;
        }
        sync_tree(&self.path).map_err(fail)?;
        // In one step with the count, so that an interruption knows whether there is a new output.
        let mut in_use = in_use();
        if !self.output.exists() {
            fs::rename(&self.path, &self.output).map_err(fail)?;
        } else if !exchange(&self.path, &self.output) {
            let old = beside(&self.output, OLD);
            remove(&old);
            fs::rename(&self.output, &old).map_err(fail)?;
            if let Err(e) = fs::rename(&self.path, &self.output) {
                let _ = fs::rename(&old, &self.output);
                return Err(fail(e));
            }
            let _ = fs::rename(&old, &self.path);
        }
        in_use.n_put_in_place += 1;
        drop(in_use);
        sync_folder(&self.output);
        Ok(())
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What lies there is what was not put in place, or what that has replaced.
        let mut in_use = in_use();
        drop(self.spare.take());
        remove(&self.path);
        in_use.paths.retain(|p| *p != self.path);
    }
}

/// Refuses what must not make way for a file: a pipe, a socket, a device, and a link that leads nowhere, whose owner
/// meant a file elsewhere.
fn replaceable(output: &Path) -> Result<(), DataError> {
    match fs::metadata(output) {
        Ok(metadata) => match no_file(&metadata) {
            Some(found) => Err(DataError::NoFile { path: output.to_path_buf(), found }),
            None => Ok(()),
        },
        Err(_) => match fs::read_link(output) {
            Ok(target) => Err(DataError::Dangling { path: output.to_path_buf(), target }),
            Err(_) => Ok(()),
        },
    }
}

/// Gives two folders each other's name, in one step; false where the system cannot.
#[cfg(target_os = "linux")]
fn exchange(a: &Path, b: &Path) -> bool {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn exchange(_: &Path, _: &Path) -> bool {
    false
}

/// Flushes the files of a folder that are its own (not links to what another has flushed).
fn sync_tree(folder: &Path) -> std::io::Result<()> {
    let mut own = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    let mut next = 0;
    while let Some(folder) = folders.get(next).cloned() {
        next += 1;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if metadata.is_file() && !is_linked(&metadata) {
                own.push(entry.path());
            }
        }
    }
    #[cfg(target_os = "linux")]
    if own.len() + folders.len() > SYNCED_ONE_BY_ONE {
        return Ok(rustix::fs::syncfs(File::open(folder)?)?);
    }
    own.iter().try_for_each(|file| File::open(file)?.sync_all())?;
    for folder in &folders {
        if let Ok(folder) = File::open(folder) {
            // Some network file systems refuse.
            let _ = folder.sync_all();
        }
    }
    Ok(())
}

#[cfg(unix)]
fn is_linked(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.nlink() > 1
}

#[cfg(not(unix))]
fn is_linked(_: &fs::Metadata) -> bool {
    false
}

/// Something empty beside `target`, under a name that nobody can guess and nothing has.
fn make_new<T>(target: &Path, make: impl Fn(&Path) -> std::io::Result<T>) -> std::io::Result<(PathBuf, T)> {
    let mut last = ErrorKind::AlreadyExists.into();
    for _ in 0..ATTEMPTS {
        // Keyed by the system's randomness, anew each time.
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u32(std::process::id());
        let path = beside(target, &format!("{:016x}.{PART}", hasher.finish()));
        match list_file(&path, || make(&path)) {
            Ok(file) => return Ok((path, file)),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => last = e,
            Err(e) => return Err(e),
        }
    }
    Err(last)
}

#[cfg(unix)]
fn no_wider(default: fs::Permissions, like: &fs::Permissions) -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    fs::Permissions::from_mode(default.mode() & (like.mode() | 0o600))
}

#[cfg(not(unix))]
fn no_wider(default: fs::Permissions, _: &fs::Permissions) -> fs::Permissions {
    default
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_level_by_level_and_links_are_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (whole, beside) = (folder.path().join("whole"), folder.path().join("beside"));
        fs::create_dir_all(whole.join("a/b/c")).expect("made");
        fs::create_dir(&beside).expect("made");
        for name in ["whole/one", "whole/a/two", "whole/a/b/c/three", "beside/stays"] {
            fs::write(folder.path().join(name), "x").expect("written");
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(&beside, whole.join("a/link")).expect("linked");
        remove_by_level(&whole);
        assert!(!whole.exists() && beside.join("stays").exists());
    }
}
