//! Text files, compressed or not, as lines and fields.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::DataError;

/// The file, unpacked when it begins as gzip does.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>, DataError> {
    let fail = |e| DataError::read(path, e);
    let mut file = File::open(path).map_err(fail)?;
    let mut magic = [0u8; 2];
    let packed = file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
    let file = File::open(path).map_err(fail)?;
    let reader = BufReader::with_capacity(1 << 16, file);
    Ok(if packed {
        Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(reader)))
    } else {
        Box::new(reader)
    })
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
    let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let extension = Path::new(name).extension().and_then(|e| e.to_str());
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
        let line = start[..len].split(|&b| b == b'\n').next().unwrap_or_default();
        // In order of preference: a name may hold a space, but hardly a tab.
        [b'\t', b',', b';', b' '].into_iter().find(|s| line.contains(s)).unwrap_or(b',')
    };
    let rows = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .from_reader(open(path)?);
    Ok(Fields { rows })
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
