//! Text files, compressed or not, as lines and fields.

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::read::{DeflateDecoder, MultiGzDecoder};
use indexmap::IndexMap;
use zip::{CompressionMethod, ZipArchive};

use super::parquet_table;
use crate::input::open_input;
use crate::memory::{TEXT_EXPANSION, allow, max_memory};
use crate::zarr::is_zip;
use crate::{Column, DataError};

/// The file, unpacked when it begins as gzip does, or as an archive of one file.
///
/// # Errors
/// [`DataError::Foreign`] for an archive of several files.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>, DataError> {
    watched(path, false)
}

/// As [`open`]; `quoted` texts may hold line ends.
fn watched(path: &Path, quoted: bool) -> Result<Box<dyn Read>, DataError> {
    Ok(Box::new(Watched {
        inner: unpacked(path)?,
        path: path.to_path_buf(),
        stored: std::fs::metadata(path).map_or(0, |m| m.len()),
        read: 0,
        asked: 0,
        line: Line { quoted, in_quotes: false, starts_field: true, len: 0 },
    }))
}

/// Bytes of one line, or of one row of a table.
const LONGEST_LINE: u64 = 128 << 20;
/// Bytes between two questions how much memory is left.
const ASK_EVERY: u64 = 64 << 20;
/// What has to be free for more to be read.
const RESERVE: u64 = 128 << 20;

/// A text on its way from the file: its lines, its whole length and what is free are looked at as it comes.
struct Watched {
    inner: Box<dyn Read>,
    path: PathBuf,
    /// Bytes of the file.
    stored: u64,
    read: u64,
    asked: u64,
    line: Line,
}

/// How long the present line is.
struct Line {
    quoted: bool,
    in_quotes: bool,
    starts_field: bool,
    len: u64,
}

impl Line {
    fn pass(&mut self, bytes: &[u8]) {
        if !self.quoted || (!self.in_quotes && !bytes.contains(&b'"')) {
            match bytes.iter().rposition(|b| *b == b'\n') {
                Some(at) => self.len = (bytes.len() - at) as u64,
                None => self.len += bytes.len() as u64,
            }
            self.starts_field = bytes.last().is_some_and(|b| is_separator(*b));
            return;
        }
        for &b in bytes {
            self.len += 1;
            match b {
                b'"' if self.in_quotes => self.in_quotes = false,
                b'"' if self.starts_field => self.in_quotes = true,
                b'\n' if !self.in_quotes => self.len = 0,
                _ => {}
            }
            self.starts_field = is_separator(b);
        }
    }
}

fn is_separator(b: u8) -> bool {
    matches!(b, b',' | b';' | b'\t' | b' ' | b'\n' | b'\r')
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.read += n as u64;
        self.line.pass(&buffer[..n]);
        let refuse = |e: DataError| Err(std::io::Error::other(e));
        if self.line.len > LONGEST_LINE && max_memory().is_none() {
            return refuse(DataError::TooLarge {
                path: self.path.clone(),
                element: "one line".to_owned(),
                needed: self.line.len,
                most: LONGEST_LINE,
                stored: Some(self.stored),
            });
        }
        if self.read >= self.asked + ASK_EVERY {
            self.asked = self.read;
            // What a reader keeps of it is not known here: when memory runs out, it ends.
            let checked = allow(&self.path, "its text", (self.read, RESERVE), TEXT_EXPANSION, || self.stored);
            if let Err(e) = checked {
                return refuse(e);
            }
        }
        Ok(n)
    }
}

fn unpacked(path: &Path) -> Result<Box<dyn Read>, DataError> {
    let fail = |e| DataError::read(path, e);
    if is_zip(path) {
        let member = Member::only(path)?;
        let mut file = open_input(path)?;
        file.seek(SeekFrom::Start(member.start)).map_err(fail)?;
        let packed = BufReader::with_capacity(1 << 16, file.take(member.packed));
        return Ok(if member.deflated {
            Box::new(BufReader::with_capacity(1 << 16, DeflateDecoder::new(packed)))
        } else {
            Box::new(packed)
        });
    }
    let mut file = open_input(path)?;
    let mut magic = [0u8; 2];
    let packed = file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
    let file = open_input(path)?;
    let reader = BufReader::with_capacity(1 << 16, file);
    Ok(if packed {
        Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(reader)))
    } else {
        Box::new(reader)
    })
}

/// A text of any length, line by line, unpacked where it is packed. A line of more than 128 MB ends it with an error, unless
/// more memory was allowed.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Foreign`] for an archive of several files.
pub fn open_text(path: impl AsRef<Path>) -> Result<impl BufRead, DataError> {
    Ok(BufReader::with_capacity(1 << 16, open(path.as_ref())?))
}

/// The most bytes of a text that is read whole: ten times MSigDB.
const LARGEST: u64 = 1 << 29;

/// A whole text, unpacked where it is packed.
///
/// # Errors
/// [`DataError::Read`], also for a text of more than 512 MB; [`DataError::Foreign`] for an archive of several files.
pub fn read_text(path: impl AsRef<Path>) -> Result<Vec<u8>, DataError> {
    let path = path.as_ref();
    let mut bytes = Vec::new();
    open(path)?.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|e| DataError::read(path, e))?;
    if bytes.len() as u64 > LARGEST {
        return Err(DataError::read(path, std::io::Error::other("it holds more than 512 MB of text")));
    }
    Ok(bytes)
}

fn foreign_archive(path: &Path, what: &'static str) -> DataError {
    DataError::Foreign {
        path: path.to_path_buf(),
        what,
        instead: "unpack it and give the folder or the file",
    }
}

/// Why an archive is read as no table.
pub(super) fn not_a_table(path: &Path) -> DataError {
    Member::only(path).err().unwrap_or_else(|| foreign_archive(path, "an archive of a file that is no table"))
}

/// The only file of a zip archive.
struct Member {
    name: String,
    start: u64,
    packed: u64,
    deflated: bool,
}

impl Member {
    fn only(path: &Path) -> Result<Self, DataError> {
        let file = open_input(path)?;
        let mut zip = ZipArchive::new(file).map_err(|e| DataError::damaged(path, e))?;
        let foreign = |what| foreign_archive(path, what);
        let mut found = None;
        for i in 0..zip.len() {
            let entry = zip.by_index_raw(i).map_err(|e| DataError::damaged(path, e))?;
            // What a system leaves beside a file that was packed.
            if entry.is_dir() || entry.name().starts_with("__MACOSX/") {
                continue;
            }
            if found.is_some() {
                return Err(foreign("an archive of several files"));
            }
            let deflated = entry.compression() == CompressionMethod::Deflated;
            if entry.encrypted() || !(deflated || entry.compression() == CompressionMethod::Stored) {
                return Err(foreign("an archive that is encrypted, or packed in an unusual way"));
            }
            found = Some(Self {
                name: entry.name().to_owned(),
                start: entry.data_start(),
                packed: entry.compressed_size(),
                deflated,
            });
        }
        found.ok_or_else(|| foreign("an empty archive"))
    }
}

/// The name that tells what a file holds: without `.gz`, and of an archive of one file that file's; in lower case.
pub(super) fn plain_name(path: &Path) -> String {
    let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("zip"))
        && let Ok(member) = Member::only(path)
    {
        return member.name.to_lowercase();
    }
    name.strip_suffix(".gz").map_or_else(|| name.clone(), str::to_owned)
}

/// The whole file as text; bytes that are not UTF-8 are replaced.
pub(super) fn read_all(path: &Path) -> Result<String, DataError> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes).map_err(|e| DataError::read(path, e))?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
    })
}

/// The first of `names`, plain or with `.gz`, that is in `folder`.
pub(super) fn find(folder: &Path, names: &[&str]) -> Option<PathBuf> {
    names.iter().flat_map(|n| [folder.join(n), folder.join(format!("{n}.gz"))]).find(|p| p.is_file())
}

/// A table of fields.
pub(super) struct Fields {
    pub(super) rows: csv::Reader<Box<dyn Read>>,
}

/// Opens a table; the separator follows from the name, else from the first line.
pub(super) fn fields(path: &Path) -> Result<Fields, DataError> {
    let name = plain_name(path);
    let extension = Path::new(&name).extension().and_then(|e| e.to_str());
    let separator = if extension == Some("csv") {
        b','
    } else if extension == Some("tsv") {
        b'\t'
    } else {
        let mut start = vec![0u8; 1 << 14];
        let mut reader = open(path)?;
        let mut len = 0;
        while len < start.len() {
            match reader.read(&mut start[len..]).map_err(|e| DataError::read(path, e))? {
                0 => break,
                n => len += n,
            }
        }
        // Lines of description tell nothing of the fields.
        let mut lines = start[..len].split(|&b| b == b'\n').filter(|line| !line.starts_with(b"#"));
        let line = lines.next().unwrap_or_default();
        // In order of preference: a name may hold a space, but hardly a tab.
        [b'\t', b',', b';', b' '].into_iter().find(|s| line.contains(s)).unwrap_or(b',')
    };
    let rows = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .from_reader(watched(path, true)?);
    Ok(Fields { rows })
}

/// Every column of a table with a header, as what all its fields are: whole numbers, numbers, or texts.
///
/// # Errors
/// [`DataError::Table`] with the line.
pub(super) fn columns(path: &Path) -> Result<IndexMap<String, Column>, DataError> {
    let mut forced = Vec::new();
    loop {
        match typed_columns(path, &forced)? {
            Ok(columns) => return Ok(columns),
            // A text after numbers whose spelling was not kept: read again as texts.
            Err(column) => forced.push(column),
        }
    }
}

/// What a column has been so far.
enum Building {
    Int(Vec<i64>),
    Float(Vec<f64>),
    Text(Vec<Option<String>>),
}

fn is_missing(field: &str) -> bool {
    matches!(field, "" | "NA" | "NaN" | "nan" | "null" | "None")
}

impl Building {
    /// Adds a field; false where the column holds numbers and this is none.
    fn push(&mut self, field: &str) -> bool {
        match self {
            Self::Int(values) => match field.parse::<i64>() {
                // Another spelling of a number (007) may be an identifier.
                Ok(v) if v.to_string() == field => values.push(v),
                _ if is_missing(field)
                    || field.parse::<f64>().is_ok_and(|_| !field.starts_with('0') || field.contains('.')) =>
                {
                    let mut floats: Vec<f64> = values.iter().map(|v| *v as f64).collect();
                    // Beyond 2^53 the detour over floats would change a number.
                    if values.iter().any(|v| v.abs() > 1 << 53) {
                        let mut texts: Vec<Option<String>> =
                            values.iter().map(|v| Some(v.to_string())).collect();
                        texts.push((!is_missing(field)).then(|| field.to_owned()));
                        *self = Self::Text(texts);
                        return true;
                    }
                    floats.push(field.parse().unwrap_or(f64::NAN));
                    *self = Self::Float(floats);
                }
                _ => {
                    let mut texts: Vec<Option<String>> = values.iter().map(|v| Some(v.to_string())).collect();
                    texts.push(Some(field.to_owned()));
                    *self = Self::Text(texts);
                }
            },
            Self::Float(values) if is_missing(field) => values.push(f64::NAN),
            Self::Float(values) => match field.parse::<f64>() {
                // An identifier, which floats would change.
                Ok(v) if v.abs() > 9e15 && field.bytes().all(|b| b.is_ascii_digit()) => return false,
                Ok(v) => values.push(v),
                Err(_) => return false,
            },
            Self::Text(values) => values.push((!is_missing(field)).then(|| field.to_owned())),
        }
        true
    }
}

type Typed = Result<IndexMap<String, Column>, usize>;

fn typed_columns(path: &Path, texts: &[usize]) -> Result<Typed, DataError> {
    let mut rows = fields(path)?.rows;
    let mut record = csv::StringRecord::new();
    let bad = |line: usize, found: String, expected: &str| DataError::Table {
        path: path.to_path_buf(),
        line,
        found,
        expected: expected.to_owned(),
    };
    if !rows.read_record(&mut record).map_err(|e| csv_error(path, e))? {
        return Err(bad(1, "an empty file".to_owned(), "a header and rows"));
    }
    let header: Vec<String> = record.iter().map(|f| f.trim().to_owned()).collect();
    let start =
        |j: usize| if texts.contains(&j) { Building::Text(Vec::new()) } else { Building::Int(Vec::new()) };
    let mut columns: Vec<Building> = (0..header.len()).map(start).collect();
    let mut line = 1;
    while rows.read_record(&mut record).map_err(|e| csv_error(path, e))? {
        line += 1;
        if record.len() == 1 && record.get(0).is_some_and(|f| f.trim().is_empty()) && header.len() > 1 {
            continue;
        }
        if record.len() != header.len() {
            return Err(bad(line, format!("{} fields", record.len()), "as many as in the header"));
        }
        for (j, (column, field)) in columns.iter_mut().zip(&record).enumerate() {
            if !column.push(field.trim()) {
                return Ok(Err(j));
            }
        }
    }
    let mut table = IndexMap::with_capacity(header.len());
    for (name, column) in header.into_iter().zip(columns) {
        // Of columns of one name the first is meant.
        table.entry(name).or_insert(match column {
            Building::Int(v) => Column::Int(v),
            Building::Float(v) => Column::Float64(v),
            Building::Text(v) => Column::String(v),
        });
    }
    Ok(Ok(table))
}

/// A table of either kind: Parquet, or text with a header.
///
/// # Errors
/// [`DataError::Table`].
pub(crate) fn any_columns(path: &Path) -> Result<IndexMap<String, Column>, DataError> {
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("parquet")) {
        parquet_table::columns(path, None)
    } else {
        columns(path)
    }
}

/// The header of a text table, or the names of a Parquet table's columns; nothing where there is none.
pub(super) fn header(path: &Path) -> Vec<String> {
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("parquet")) {
        return parquet_table::names(path);
    }
    let Ok(mut fields) = fields(path) else { return Vec::new() };
    let mut record = csv::StringRecord::new();
    match fields.rows.read_record(&mut record) {
        Ok(true) => record.iter().map(|f| f.trim().to_owned()).collect(),
        _ => Vec::new(),
    }
}

/// A truth value as Python, R and numbers spell it.
pub(super) fn truth(field: &str) -> Option<f64> {
    match field.trim() {
        "1" | "True" | "TRUE" | "true" => Some(1.0),
        "0" | "False" | "FALSE" | "false" => Some(0.0),
        other => other.parse().ok(),
    }
}

/// An error of the `csv` crate, with the line where it knows one.
pub(super) fn csv_error(path: &Path, e: csv::Error) -> DataError {
    let line = e.position().map_or(0, |p| p.line() as usize);
    match e.into_kind() {
        csv::ErrorKind::Io(e) => DataError::read(path, e),
        csv::ErrorKind::Utf8 { err, .. } => DataError::Table {
            path: path.to_path_buf(),
            line,
            found: format!("text that is not UTF-8 ({err})"),
            expected: "UTF-8".to_owned(),
        },
        other => DataError::Table {
            path: path.to_path_buf(),
            line,
            found: format!("{other:?}"),
            expected: "fields".to_owned(),
        },
    }
}
