//! The directories of a TIFF or BigTIFF: which tags are said of which picture.
//!
//! <https://www.awaresystems.be/imaging/tiff/bigtiff.html>; TIFF revision 6.0 (Adobe, 1992).

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::DataError;
use crate::input::open_input;
use crate::zarr::exact;

/// Pictures that a file may list; a stack of channels, planes and times has thousands.
const MOST_DIRECTORIES: usize = 1 << 16;
/// Levels of a picture.
const MOST_LEVELS: usize = 64;
/// Tags that a picture may have; there are some hundred in all.
const MOST_TAGS: u64 = 4096;
/// Bytes of a description; OME-XML of large studies has some millions.
const MOST_TEXT: u64 = 64 << 20;

/// A TIFF held open.
pub(super) struct TiffFile {
    path: PathBuf,
    file: File,
    len: u64,
    big_endian: bool,
    /// BigTIFF: places and counts of eight bytes.
    wide: bool,
}

/// One picture's tags.
#[derive(Clone)]
pub(super) struct Directory {
    entries: HashMap<u16, Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    kind: u16,
    count: u64,
    /// The values, or where they lie.
    field: [u8; 8],
}

/// Bytes of one value of a type; `None` for types that are not known.
fn width(kind: u16) -> Option<u64> {
    Some(match kind {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16 | 17 | 18 => 8,
        _ => return None,
    })
}

impl TiffFile {
    /// Opens a file and follows its chain of directories.
    ///
    /// # Errors
    /// [`DataError::Read`]; [`DataError::Damaged`] where the chain leads out of the file or back to itself.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Directory>), DataError> {
        let file = open_input(path)?;
        let len = file.metadata().map_err(|e| DataError::read(path, e))?.len();
        let mut tiff = Self { path: path.to_path_buf(), file, len, big_endian: false, wide: false };
        let start = tiff.bytes(0, 8)?;
        tiff.big_endian = start[0] == b'M';
        tiff.wide = tiff.number(&start[2..4]) == 43;
        let first = if tiff.wide {
            if tiff.number(&start[4..6]) != 8 {
                return Err(tiff.damaged("a BigTIFF whose offsets are not of eight bytes"));
            }
            tiff.number(&tiff.bytes(8, 8)?)
        } else {
            tiff.number(&start[4..8])
        };
        let directories = tiff.chain(first)?;
        if directories.is_empty() {
            return Err(tiff.damaged("a TIFF without a picture"));
        }
        Ok((tiff, directories))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn big_endian(&self) -> bool {
        self.big_endian
    }

    pub(super) fn wide(&self) -> bool {
        self.wide
    }

    pub(super) fn damaged(&self, what: impl std::fmt::Display) -> DataError {
        DataError::damaged(&self.path, what)
    }

    /// Bytes of the file.
    ///
    /// # Errors
    /// [`DataError::Damaged`] where it ends before.
    pub(super) fn bytes(&self, at: u64, len: u64) -> Result<Vec<u8>, DataError> {
        if at.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(self.damaged(format!("{len} bytes at {at} are beyond its end at {}", self.len)));
        }
        let bytes = exact(&self.file, at, len).map_err(|e| DataError::read(&self.path, e))?;
        bytes.ok_or_else(|| self.damaged("it became shorter while it was read"))
    }

    /// A whole number of up to eight bytes.
    fn number(&self, bytes: &[u8]) -> u64 {
        let fold = |n: u64, b: &u8| n << 8 | u64::from(*b);
        if self.big_endian { bytes.iter().fold(0, fold) } else { bytes.iter().rev().fold(0, fold) }
    }

    fn chain(&self, first: u64) -> Result<Vec<Directory>, DataError> {
        let mut directories = Vec::new();
        let mut seen = HashSet::new();
        let mut at = first;
        while at != 0 {
            if !seen.insert(at) {
                return Err(self.damaged("its list of pictures leads back to itself"));
            }
            if seen.len() > MOST_DIRECTORIES {
                return Err(self.damaged(format!("it lists more than {MOST_DIRECTORIES} pictures")));
            }
            let (directory, next) = self.directory(at)?;
            directories.push(directory);
            at = next;
        }
        Ok(directories)
    }

    fn directory(&self, at: u64) -> Result<(Directory, u64), DataError> {
        let (count_len, entry_len, place) = if self.wide { (8, 20, 8) } else { (2, 12, 4) };
        let n = self.number(&self.bytes(at, count_len)?);
        if n > MOST_TAGS {
            return Err(self.damaged(format!("a directory of {n} tags")));
        }
        let bytes = self.bytes(at + count_len, n * entry_len + place)?;
        let (entry_len, place) = (entry_len as usize, place as usize);
        let (tags, next) = bytes.split_at(bytes.len() - place);
        let mut entries = HashMap::new();
        for entry in tags.chunks_exact(entry_len) {
            let (head, field) = entry.split_at(entry_len - place);
            let mut padded = [0; 8];
            padded[..place].copy_from_slice(field);
            let tag = self.number(&head[..2]) as u16;
            let entry = Entry {
                kind: self.number(&head[2..4]) as u16,
                count: self.number(&head[4..]),
                field: padded,
            };
            entries.entry(tag).or_insert(entry);
        }
        Ok((Directory { entries }, self.number(next)))
    }

    /// The bytes of a tag's values and the width of one; `None` where the tag is missing or of an unknown type.
    fn values(&self, directory: &Directory, tag: u16) -> Result<Option<(u16, u64, Vec<u8>)>, DataError> {
        let Some(entry) = directory.entries.get(&tag) else { return Ok(None) };
        let Some(width) = width(entry.kind) else { return Ok(None) };
        let place = if self.wide { 8 } else { 4 };
        let len = entry.count.checked_mul(width);
        let len = len.ok_or_else(|| self.damaged(format!("the tag {tag} has {} values", entry.count)))?;
        if len <= place {
            return Ok(Some((entry.kind, width, entry.field[..len as usize].to_vec())));
        }
        let at = self.number(&entry.field[..place as usize]);
        self.bytes(at, len).map(|bytes| Some((entry.kind, width, bytes)))
    }

    /// The whole numbers of a tag, none where it is missing.
    pub(super) fn numbers(&self, directory: &Directory, tag: u16) -> Result<Vec<u64>, DataError> {
        let Some((kind, width, bytes)) = self.values(directory, tag)? else { return Ok(Vec::new()) };
        if !matches!(kind, 1 | 3 | 4 | 6..=9 | 13 | 16..=18) {
            return Err(self.damaged(format!("the tag {tag} holds no whole numbers")));
        }
        Ok(bytes.chunks_exact(width as usize).map(|b| self.number(b)).collect())
    }

    /// The first whole number of a tag.
    pub(super) fn first(&self, directory: &Directory, tag: u16) -> Result<Option<u64>, DataError> {
        Ok(self.numbers(directory, tag)?.first().copied())
    }

    /// A ratio of two numbers, or a floating-point number.
    pub(super) fn ratio(&self, directory: &Directory, tag: u16) -> Option<f64> {
        let (kind, _, bytes) = self.values(directory, tag).ok()??;
        let number = |b: &[u8]| self.number(b);
        let value = match (kind, bytes.len()) {
            (5, 8) => number(&bytes[..4]) as f64 / number(&bytes[4..]) as f64,
            (11, 4) => f64::from(f32::from_bits(number(&bytes) as u32)),
            (12, 8) => f64::from_bits(number(&bytes)),
            _ => return None,
        };
        value.is_finite().then_some(value)
    }

    /// The bytes of a tag.
    pub(super) fn raw(&self, directory: &Directory, tag: u16) -> Result<Option<Vec<u8>>, DataError> {
        Ok(self.values(directory, tag)?.map(|(_, _, bytes)| bytes))
    }

    /// A text; empty where there is none that could be read.
    pub(super) fn text(&self, directory: &Directory, tag: u16) -> Result<String, DataError> {
        if directory.entries.get(&tag).is_some_and(|e| e.count > MOST_TEXT) {
            return Err(self.damaged(format!("the tag {tag} is a text of more than {MOST_TEXT} bytes")));
        }
        let bytes = self.raw(directory, tag)?.unwrap_or_default();
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }

    /// The directories below one: the coarser levels of its picture.
    pub(super) fn below(&self, directory: &Directory) -> Result<Vec<Directory>, DataError> {
        const SUB_DIRECTORIES: u16 = 330;
        let places = self.numbers(directory, SUB_DIRECTORIES)?;
        // Each level is at most half as large as the one before.
        places
            .into_iter()
            .filter(|at| *at != 0)
            .take(MOST_LEVELS)
            .map(|at| Ok(self.directory(at)?.0))
            .collect()
    }
}
