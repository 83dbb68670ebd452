//! One writer per output: a lock that other runs see, beside the file it is for.
//!
//! The lock is on a small file of its own, `.NAME.brodmann-lock`: the output itself may not exist yet, and is replaced
//! by a rename, which would leave a lock on it with the old content. The system drops the lock with the process that
//! holds it, however that ends, so a file left behind blocks nobody. It names its owner, for the message of whoever
//! comes second; that one is refused at once instead of waiting or merging: what it has read is about to be replaced,
//! and its results would belong to a file that is gone.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::DataError;
use crate::temporary::{PART, forget_file, list_file, remove};

const LOCK: &str = "brodmann-lock";
/// Times that a lock's file may vanish while it is taken, before that is an error.
const ATTEMPTS: usize = 100;

/// What this process holds, by output: what it writes itself must pass its own lock.
static HELD: Mutex<Option<HashMap<PathBuf, Weak<Held>>>> = Mutex::new(None);

// A poisoned lock only means another thread panicked: the table is still right.
fn held() -> MutexGuard<'static, Option<HashMap<PathBuf, Weak<Held>>>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to write one output, until dropped; other runs are refused meanwhile.
#[derive(Clone, Debug)]
#[must_use = "the output is reserved only while this lives"]
pub struct Reservation {
    _held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    target: PathBuf,
    lock: PathBuf,
    /// Locked; `None` on a file system without locks, where nobody is refused.
    file: Option<File>,
}

impl Reservation {
    /// Reserves `output`, whose folder exists, for this run.
    ///
    /// # Errors
    /// [`DataError::Busy`] naming the owner; [`DataError::Write`] where the folder cannot be written to.
    pub fn of(output: impl AsRef<Path>) -> Result<Self, DataError> {
        let output = output.as_ref();
        Self::acquire(output, &resolved(output), false)
    }

    /// For one write: joins the reservation this process has, if it has one.
    pub(crate) fn of_write(output: &Path, target: &Path) -> Result<Self, DataError> {
        Self::acquire(output, target, true)
    }

    fn acquire(output: &Path, target: &Path, may_share: bool) -> Result<Self, DataError> {
        let mut table = held();
        let table = table.get_or_insert_default();
        let own = table.get(target).filter(|own| own.strong_count() > 0);
        if may_share && let Some(own) = own.and_then(Weak::upgrade) {
            return Ok(Self { _held: own });
        }
        // Only asked, not taken hold of: to let go of the last one in here would wait for this table.
        if !may_share && own.is_some() {
            let owner = "another run in this process".to_owned();
            return Err(DataError::Busy { path: output.to_path_buf(), owner });
        }
        let lock = beside(target, LOCK);
        let file = take(&lock, output)?;
        if file.is_some() {
            sweep(target);
        }
        let held = Arc::new(Held { target: target.to_path_buf(), lock, file });
        table.insert(target.to_path_buf(), Arc::downgrade(&held));
        Ok(Self { _held: held })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.file.is_some() {
            // While it is still locked: whoever opened it in between finds that its name is gone, and tries again.
            let _ = fs::remove_file(&self.lock);
        }
        forget_file(&self.lock);
        if let Some(table) = held().as_mut()
            && table.get(&self.target).is_some_and(|own| own.strong_count() == 0)
        {
            table.remove(&self.target);
        }
    }
}

/// Where an output lies: what it points to, if it is a symbolic link.
pub(crate) fn resolved(output: &Path) -> PathBuf {
    if let Ok(target) = fs::canonicalize(output) {
        return target;
    }
    // A file to be: its folder is there, and may have several names.
    let folder = output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    match (fs::canonicalize(folder), output.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => output.to_path_buf(),
    }
}

/// `.NAME.ending` in the folder of `target`.
pub(crate) fn beside(target: &Path, ending: &str) -> PathBuf {
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(target.file_name().unwrap_or_default());
    hidden.push(".");
    hidden.push(ending);
    target.with_file_name(hidden)
}

fn take(lock: &Path, output: &Path) -> Result<Option<File>, DataError> {
    let fail = |e| DataError::write(output, e);
    for _ in 0..ATTEMPTS {
        let opened = list_file(lock, || {
            File::options().read(true).write(true).create(true).truncate(false).open(lock)
        });
        let mut file = match opened {
            Ok(file) => file,
            Err(e) => return Err(fail(e)),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                // Not ours to remove.
                forget_file(lock);
                let mut text = String::new();
                let _ = file.take(1024).read_to_string(&mut text);
                return Err(DataError::Busy { path: output.to_path_buf(), owner: owner(&text) });
            }
            Err(TryLockError::Error(_)) => {
                // A file system without locks: to refuse all work on it would help nobody.
                let _ = fs::remove_file(lock);
                forget_file(lock);
                return Ok(None);
            }
        }
        if is_at(&file, lock) {
            let _ = file.set_len(0).and_then(|()| file.write_all(own_description().as_bytes()));
            return Ok(Some(file));
        }
        // The one before removed it between our opening and our locking.
        forget_file(lock);
    }
    Err(fail(std::io::ErrorKind::ResourceBusy.into()))
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// Removes what runs that were killed left beside `target`: whoever still wrote it would hold the lock.
fn sweep(target: &Path) {
    let (Some(folder), Some(name)) = (target.parent(), target.file_name()) else { return };
    let mut start = std::ffi::OsString::from(".");
    start.push(name);
    start.push(".");
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let (bytes, start) = (name.as_encoded_bytes(), start.as_encoded_bytes());
        let middle = bytes.strip_prefix(start).and_then(|rest| rest.strip_suffix(PART.as_bytes()));
        // Digits and a dot: not the part of an output called `NAME.something`.
        if middle.is_some_and(|m| m.ends_with(b".") && m[..m.len() - 1].iter().all(u8::is_ascii_hexdigit)) {
            remove(&entry.path());
        }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

fn own_description() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{} {} {}\n", std::process::id(), now(), host.trim())
}

/// The owner in words, from what it wrote of itself.
fn owner(text: &str) -> String {
    let mut words = text.split_whitespace();
    let (pid, since) = (words.next(), words.next().and_then(|s| s.parse::<u64>().ok()));
    let (Some(pid), Some(since)) = (pid.and_then(|p| p.parse::<u32>().ok()), since) else {
        return "another run".to_owned();
    };
    let host: String =
        words.next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(64).collect();
    let host = if host.is_empty() { host } else { format!(" on {host}") };
    format!("process {pid}{host} for {} s", now().saturating_sub(since))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_reserved_once_and_free_again() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("a.h5ad");
        let first = Reservation::of(&path).expect("free");
        assert!(matches!(Reservation::of(&path), Err(DataError::Busy { .. })));
        crate::write_bytes(&path, b"by the owner").expect("its own lock lets it pass");
        drop(first);
        drop(Reservation::of(&path).expect("free again"));
        assert_eq!(fs::read_dir(folder.path()).expect("folder").count(), 1);
    }

    #[test]
    fn the_lock_of_another_is_told_with_its_owner_and_a_dead_one_blocks_nobody() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("a.h5ad");
        let lock = folder.path().join(".a.h5ad.brodmann-lock");
        fs::write(&lock, format!("4242 {} elsewhere\n", now())).expect("written");
        let part = folder.path().join(".a.h5ad.00ff.brodmann-part");
        fs::write(&part, b"half").expect("written");
        // Another descriptor of the system's lock, as another process has it.
        let other = File::options().write(true).open(&lock).expect("opens");
        other.try_lock().expect("locks");
        let message = Reservation::of(&path).expect_err("busy").to_string();
        assert!(message.contains("process 4242 on elsewhere for "), "{message}");
        assert!(matches!(crate::write_bytes(&path, b"x"), Err(DataError::Busy { .. })));
        assert!(part.exists());
        drop(other);
        crate::write_bytes(&path, b"x").expect("the owner is gone");
        assert_eq!(fs::read_dir(folder.path()).expect("folder").count(), 1);
    }
}
