//! A folder or an archive as keys and bytes.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zip::{CompressionMethod, ZipArchive};

use crate::DataError;
use crate::identity::Identity;
use crate::input::open_input;

/// Files that make a folder a node.
pub(super) const NODE_FILES: [&str; 3] = ["zarr.json", ".zgroup", ".zarray"];
/// Names nested deeper than this are a loop of links.
const MAX_DEPTH: usize = 48;
/// A metadata document larger than this is none.
const MAX_DOCUMENT: u64 = 256 << 20;

/// Whether the folder `path` is a Zarr node.
pub(crate) fn is_store_folder(path: &Path) -> bool {
    NODE_FILES.iter().any(|name| path.join(name).is_file())
}

/// Whether the file `path` begins as a zip archive does.
pub(crate) fn is_zip(path: &Path) -> bool {
    let mut start = [0; 4];
    open_input(path).is_ok_and(|mut f| f.read_exact(&mut start).is_ok()) && start == *b"PK\x03\x04"
}

/// A path inside a store that cannot lead out of it.
pub(super) fn is_safe(key: &str) -> bool {
    key.is_empty()
        || key
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0', ':']))
            && key.split('/').count() <= MAX_DEPTH
}

/// Where the keys of a store lie.
pub(super) enum Place {
    Folder {
        root: PathBuf,
        /// Files and folders looked at, as they were then.
        seen: Mutex<HashMap<String, Option<Identity>>>,
    },
    Archive {
        path: PathBuf,
        file: File,
        identity: Identity,
        zip: Mutex<ZipArchive<File>>,
        entries: HashMap<String, Entry>,
        /// The bytes unpacked last, for readers that take an entry in parts.
        last: Mutex<Option<(String, Arc<Vec<u8>>)>>,
        /// Names in each folder.
        folders: HashMap<String, BTreeSet<String>>,
        /// Where the store begins in the archive.
        prefix: String,
    },
}

/// One file of an archive.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    size: u64,
    /// Where its bytes begin, if they are stored as they are.
    plain: Option<u64>,
}

// A poisoned lock only means another thread panicked: what is behind it is still right.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Place {
    pub(super) fn folder(root: &Path) -> Self {
        Self::Folder { root: root.to_path_buf(), seen: Mutex::default() }
    }

    pub(super) fn archive(path: &Path) -> Result<Self, DataError> {
        let open = || open_input(path);
        let damaged = |e: &dyn std::fmt::Display| DataError::damaged(path, e);
        let file = open()?;
        let identity = Identity::of(&file.metadata().map_err(|e| DataError::read(path, e))?);
        let mut zip = ZipArchive::new(open()?).map_err(|e| damaged(&e))?;
        let mut all: HashMap<String, Entry> = HashMap::new();
        for i in 0..zip.len() {
            let entry = zip.by_index_raw(i).map_err(|e| damaged(&e))?;
            if !entry.is_dir() && is_safe(entry.name()) {
                let stored = entry.compression() == CompressionMethod::Stored && !entry.encrypted();
                let plain = stored.then(|| entry.data_start());
                all.insert(entry.name().to_owned(), Entry { size: entry.size(), plain });
            }
        }
        // The store is the archive, or the one folder in it.
        let top: BTreeSet<&str> = all.keys().filter_map(|k| k.split('/').next()).collect();
        let at_root = NODE_FILES.iter().any(|name| all.contains_key(*name));
        let prefix = match top.first() {
            Some(name) if !at_root && top.len() == 1 => format!("{name}/"),
            _ => String::new(),
        };
        let mut entries = HashMap::new();
        let mut folders: HashMap<String, BTreeSet<String>> = HashMap::new();
        for (name, entry) in all {
            let Some(key) = name.strip_prefix(prefix.as_str()) else { continue };
            let mut below = key;
            while let Some((folder, name)) = below.rsplit_once('/') {
                if !folders.entry(folder.to_owned()).or_default().insert(name.to_owned()) {
                    break;
                }
                below = folder;
            }
            if !below.contains('/') {
                folders.entry(String::new()).or_default().insert(below.to_owned());
            }
            entries.insert(key.to_owned(), entry);
        }
        Ok(Self::Archive {
            path: path.to_path_buf(),
            file,
            identity,
            zip: Mutex::new(zip),
            entries,
            last: Mutex::default(),
            folders,
            prefix,
        })
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Folder { root, .. } => root,
            Self::Archive { path, .. } => path,
        }
    }

    fn see(&self, key: &str, at: &Path) {
        if let Self::Folder { seen, .. } = self {
            let mut seen = held(seen);
            if !seen.contains_key(key) {
                seen.insert(key.to_owned(), fs::metadata(at).ok().map(|m| Identity::of(&m)));
            }
        }
    }

    /// Refuses to go on with a store whose metadata, lists of chunks or place is not as it was when it was looked at.
    ///
    /// # Errors
    /// [`DataError::Changed`].
    pub(super) fn check_unchanged(&self) -> Result<(), DataError> {
        match self {
            Self::Archive { path, file, identity, .. } => identity.check(file, path),
            Self::Folder { root, seen } => {
                let changed = |how| Err(DataError::Changed { path: root.clone(), how });
                if !root.is_dir() {
                    return changed("was removed");
                }
                for (key, then) in held(seen).iter() {
                    let at = if key.is_empty() { root.clone() } else { root.join(key) };
                    let now = fs::metadata(at).ok().map(|m| Identity::of(&m));
                    if now != *then {
                        return changed(if key.is_empty() { "was replaced" } else { "was written to" });
                    }
                }
                Ok(())
            }
        }
    }

    /// Remembers the folder `key` as it is, so that a file put into it later is noticed.
    pub(super) fn watch(&self, key: &str) {
        if let Self::Folder { root, .. } = self {
            self.see(key, &if key.is_empty() { root.clone() } else { root.join(key) });
        }
    }

    /// A metadata document, remembered as it is.
    pub(super) fn document(&self, key: &str) -> Result<Option<Vec<u8>>, DataError> {
        if !is_safe(key) {
            return Ok(None);
        }
        if let Self::Folder { root, .. } = self {
            self.see(key, &root.join(key));
        }
        match self.size(key)? {
            None => Ok(None),
            Some(size) if size > MAX_DOCUMENT => {
                Err(DataError::damaged(self.path(), format!("{key}: {size} bytes of metadata")))
            }
            Some(_) => self.bytes(key),
        }
    }

    /// The size of a key's bytes; `None` where there are none.
    pub(super) fn size(&self, key: &str) -> Result<Option<u64>, DataError> {
        match self {
            Self::Folder { root, .. } => match fs::metadata(root.join(key)) {
                Ok(m) if m.is_file() => Ok(Some(m.len())),
                Ok(_) => Ok(None),
                Err(e) if is_absent(&e) => Ok(None),
                Err(e) => Err(DataError::read(&root.join(key), e)),
            },
            Self::Archive { entries, .. } => Ok(entries.get(key).map(|entry| entry.size)),
        }
    }

    /// All bytes of a key; `None` where there are none.
    pub(super) fn bytes(&self, key: &str) -> Result<Option<Vec<u8>>, DataError> {
        match self {
            Self::Folder { root, .. } => match fs::read(root.join(key)) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(e) if is_absent(&e) => Ok(None),
                Err(e) => Err(DataError::read(&root.join(key), e)),
            },
            Self::Archive { path, file, zip, entries, prefix, .. } => {
                let Some(&Entry { size, plain }) = entries.get(key) else { return Ok(None) };
                let fail = |e: &dyn std::fmt::Display| DataError::damaged(path, format!("{key}: {e}"));
                let short = || fail(&format!("not the {size} bytes the archive lists"));
                if let Some(start) = plain {
                    let bytes = exact(file, start, size).map_err(|e| DataError::read(path, e))?;
                    return bytes.map(Some).ok_or_else(short);
                }
                let mut zip = held(zip);
                let entry = zip.by_name(&format!("{prefix}{key}")).map_err(|e| fail(&e))?;
                // The size is a claim: bytes are taken as they come, and not beyond it.
                let mut bytes = Vec::new();
                entry.take(size.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| fail(&e))?;
                if bytes.len() as u64 != size {
                    return Err(short());
                }
                Ok(Some(bytes))
            }
        }
    }

    /// `len` bytes of a key from `from` on; `None` where the key is missing.
    pub(super) fn range(&self, key: &str, from: u64, len: u64) -> Result<Option<Vec<u8>>, DataError> {
        let short = || DataError::damaged(self.path(), format!("{key}: shorter than its index says"));
        let Some(size) = self.size(key)? else { return Ok(None) };
        if from.checked_add(len).is_none_or(|end| end > size) {
            return Err(short());
        }
        match self {
            Self::Folder { root, .. } => {
                let at = root.join(key);
                let bytes = File::open(&at).and_then(|file| exact(&file, from, len));
                bytes.map_err(|e| DataError::read(&at, e))?.map(Some).ok_or_else(short)
            }
            Self::Archive { path, file, entries, last, .. } => {
                if let Some(start) = entries.get(key).and_then(|entry| entry.plain) {
                    let bytes = start.checked_add(from).map(|at| exact(file, at, len));
                    let bytes = bytes.ok_or_else(short)?.map_err(|e| DataError::read(path, e))?;
                    return bytes.map(Some).ok_or_else(short);
                }
                let known = held(last).as_ref().filter(|(name, _)| name == key).map(|(_, b)| Arc::clone(b));
                let whole = if let Some(whole) = known {
                    whole
                } else {
                    let whole = Arc::new(self.bytes(key)?.unwrap_or_default());
                    *held(last) = Some((key.to_owned(), Arc::clone(&whole)));
                    whole
                };
                let end = (from + len) as usize;
                whole.get(from as usize..end).map(|b| Some(b.to_vec())).ok_or_else(short)
            }
        }
    }

    /// Names directly under `key`, sorted.
    pub(super) fn names(&self, key: &str) -> Result<Vec<String>, DataError> {
        match self {
            Self::Folder { root, .. } => {
                let at = if key.is_empty() { root.clone() } else { root.join(key) };
                self.see(key, &at);
                let entries = match fs::read_dir(&at) {
                    Ok(entries) => entries,
                    Err(e) if is_absent(&e) => return Ok(Vec::new()),
                    Err(e) => return Err(DataError::read(&at, e)),
                };
                let mut names = Vec::new();
                for entry in entries {
                    let entry = entry.map_err(|e| DataError::read(&at, e))?;
                    // A name that is no text is no node's.
                    if let Ok(name) = entry.file_name().into_string() {
                        names.push(name);
                    }
                }
                names.sort();
                Ok(names)
            }
            Self::Archive { folders, .. } => {
                Ok(folders.get(key).map(|names| names.iter().cloned().collect()).unwrap_or_default())
            }
        }
    }

    /// Files below `key`: how many, and their bytes together.
    pub(super) fn weigh(&self, key: &str) -> (usize, u64) {
        match self {
            Self::Archive { entries, .. } => {
                let start = format!("{key}/");
                let inside = entries.iter().filter(|(k, _)| key.is_empty() || k.starts_with(&start));
                inside.fold((0, 0), |(n, bytes), (_, entry)| (n + 1, entry.size.saturating_add(bytes)))
            }
            Self::Folder { root, .. } => {
                let mut found = (0, 0u64);
                let mut folders = vec![(root.join(key), 0)];
                while let Some((folder, depth)) = folders.pop() {
                    let Ok(entries) = fs::read_dir(&folder) else { continue };
                    for entry in entries.flatten() {
                        let Ok(kind) = entry.file_type() else { continue };
                        if kind.is_dir() && depth < MAX_DEPTH {
                            folders.push((entry.path(), depth + 1));
                        } else if let Ok(m) = fs::metadata(entry.path())
                            && m.is_file()
                        {
                            found = (found.0 + 1, found.1.saturating_add(m.len()));
                        }
                    }
                }
                found
            }
        }
    }

    /// Every key of an archive.
    pub(super) fn archive_keys(&self) -> Option<Vec<String>> {
        match self {
            Self::Folder { .. } => None,
            Self::Archive { entries, .. } => {
                let mut keys: Vec<String> = entries.keys().cloned().collect();
                keys.sort();
                Some(keys)
            }
        }
    }
}

/// `len` bytes from `start` on, which other readers of the file do not move; `None` where it ends before.
pub(crate) fn exact(file: &File, start: u64, len: u64) -> std::io::Result<Option<Vec<u8>>> {
    // The length is a claim: room is made for what the file has.
    if start.checked_add(len).is_none_or(|end| file.metadata().is_ok_and(|m| m.len() < end)) {
        return Ok(None);
    }
    let mut bytes = vec![0; len as usize];
    #[cfg(unix)]
    let read = std::os::unix::fs::FileExt::read_exact_at(file, &mut bytes, start);
    #[cfg(not(unix))]
    let read = {
        use std::io::{Seek, SeekFrom};
        let mut file = file.try_clone()?;
        file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut bytes))
    };
    match read {
        Ok(()) => Ok(Some(bytes)),
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(e) => Err(e),
    }
}

fn is_absent(e: &std::io::Error) -> bool {
    matches!(
        e.kind(),
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::InvalidFilename
    )
}
