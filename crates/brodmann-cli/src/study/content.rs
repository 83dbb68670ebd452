//! Are these the same files? By content; size and times say only when there is no need to look.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use brodmann::pipeline::fingerprint::Fingerprint;
use serde::{Deserialize, Serialize};

/// Read and hashed at a time.
const BLOCK: usize = 1 << 20;
/// A file changed so shortly before it was looked at may have changed again without its times showing it.
const COARSEST_CLOCK_NS: i64 = 2_000_000_000;
/// Folders in folders.
const DEEPEST: usize = 64;

/// What a file or folder is, as far as a study cares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Of every byte, and in folders of every name.
    pub hash: String,
    /// All files together.
    pub bytes: u64,
    /// Of sizes and times.
    stamp: String,
    /// When the youngest part changed, and when it was looked at; nanoseconds since 1970.
    changed_ns: i64,
    seen_ns: i64,
}

/// Contents known so far.
#[derive(Debug, Default)]
pub struct Contents(HashMap<PathBuf, Content>);

impl Contents {
    /// Takes over what was known earlier.
    pub fn know(&mut self, path: PathBuf, content: Content) {
        // Of several that speak of one file the last to have looked.
        if self.0.get(&path).is_none_or(|known| known.seen_ns < content.seen_ns) {
            self.0.insert(path, content);
        }
    }

    /// What is at `path` now.
    pub fn of(&mut self, path: &Path) -> io::Result<Content> {
        let seen_ns = nanoseconds(SystemTime::now());
        let parts = parts(path)?;
        let mut stamp = Fingerprint::default();
        let (mut bytes, mut changed_ns) = (0, 0);
        for (part, metadata) in &parts {
            let (modified, changed) = times(metadata);
            stamp = stamp.text(&format!("{} {} {modified} {changed}", part.display(), metadata.len()));
            bytes += metadata.len();
            changed_ns = changed_ns.max(modified).max(changed);
        }
        let stamp = stamp.hex();
        if let Some(known) = self.0.get(path)
            && known.stamp == stamp
            && known.changed_ns + COARSEST_CLOCK_NS < known.seen_ns
        {
            return Ok(known.clone());
        }
        let content = Content { hash: hash(path, &parts)?, bytes, stamp, changed_ns, seen_ns };
        self.0.insert(path.to_path_buf(), content.clone());
        Ok(content)
    }
}

/// A file itself (under an empty name), or all files below a folder by name.
fn parts(path: &Path) -> io::Result<Vec<(PathBuf, Metadata)>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_dir() {
        return Ok(vec![(PathBuf::new(), metadata)]);
    }
    let mut files = Vec::new();
    below(path, Path::new(""), DEEPEST, &mut files)?;
    files.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(files)
}

fn below(folder: &Path, name: &Path, deepest: usize, files: &mut Vec<(PathBuf, Metadata)>) -> io::Result<()> {
    if deepest == 0 {
        return Err(io::Error::other("its folders go too deep, or in a circle"));
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let own = entry.file_name();
        // What a run has lying there on its way is no content.
        let text = own.to_string_lossy();
        if text.starts_with('.') && text.contains("brodmann-") {
            continue;
        }
        let (path, name) = (entry.path(), name.join(&own));
        let metadata = fs::metadata(&path)?;
        if metadata.is_dir() {
            below(&path, &name, deepest - 1, files)?;
        } else {
            files.push((name, metadata));
        }
    }
    Ok(())
}

fn hash(path: &Path, parts: &[(PathBuf, Metadata)]) -> io::Result<String> {
    let mut hash = Fingerprint::default();
    let mut block = vec![0u8; BLOCK];
    for (name, _) in parts {
        let is_own = name.as_os_str().is_empty();
        hash = hash.text(&name.to_string_lossy());
        let mut file = File::open(if is_own { path.to_path_buf() } else { path.join(name) })?;
        loop {
            // Whole blocks, however the system cuts what it reads.
            let n = fill(&mut file, &mut block)?;
            hash = hash.bytes(&block[..n]);
            if n < BLOCK {
                break;
            }
        }
    }
    Ok(hash.hex())
}

fn fill(file: &mut File, block: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while n < block.len() {
        match file.read(&mut block[n..]) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(n)
}

/// When a file was modified, and when anything about it changed, where the system tells.
fn times(metadata: &Metadata) -> (i64, i64) {
    let modified = metadata.modified().map_or(0, nanoseconds);
    #[cfg(unix)]
    let changed = {
        use std::os::unix::fs::MetadataExt;
        metadata.ctime().wrapping_mul(1_000_000_000).wrapping_add(metadata.ctime_nsec())
    };
    #[cfg(not(unix))]
    let changed = modified;
    (modified, changed)
}

fn nanoseconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_what_counts_and_a_touched_file_is_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        fs::write(&path, vec![7u8; BLOCK + 3]).expect("written");
        let mut contents = Contents::default();
        let first = contents.of(&path).expect("there");
        assert_eq!(first.bytes, BLOCK as u64 + 3);
        fs::write(&path, vec![7u8; BLOCK + 3]).expect("written again");
        assert_eq!(contents.of(&path).expect("there").hash, first.hash);
        let mut other = vec![7u8; BLOCK + 3];
        other[BLOCK + 1] = 8;
        // As long as before and in the same moment: times do not tell.
        fs::write(&path, other).expect("changed");
        assert_ne!(contents.of(&path).expect("there").hash, first.hash);
        fs::remove_file(&path).expect("removed");
        contents.of(&path).expect_err("nothing there");
    }

    #[test]
    fn what_was_known_is_believed_only_where_the_times_can_tell() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        fs::write(&path, b"content").expect("written");
        let mut contents = Contents::default();
        let mut known = contents.of(&path).expect("there");
        known.hash = "of an earlier look".to_owned();
        contents.know(path.clone(), Content { seen_ns: known.changed_ns + 1, ..known.clone() });
        assert_ne!(contents.of(&path).expect("there").hash, known.hash);
        let late = known.changed_ns + 2 * COARSEST_CLOCK_NS;
        let mut contents = Contents::default();
        contents.know(path.clone(), Content { seen_ns: late, ..known.clone() });
        assert_eq!(contents.of(&path).expect("there").hash, known.hash);
    }

    #[test]
    fn of_a_folder_names_and_bytes_count_and_what_lies_there_on_its_way_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("sub")).expect("made");
        fs::write(at("sub/a"), b"1").expect("written");
        fs::write(at("b"), b"2").expect("written");
        let of = || Contents::default().of(folder.path()).expect("a folder").hash;
        let first = of();
        fs::write(at(".b.brodmann-lock"), b"me").expect("written");
        assert_eq!(of(), first);
        fs::rename(at("b"), at("c")).expect("renamed");
        assert_ne!(of(), first);
    }
}
