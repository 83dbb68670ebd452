//! Counts as one line per cell and one column per gene, straight into sparse rows: a table of a hundred million fields is read
//! without holding any of them but those that count.

use std::path::Path;

use brodmann_kernels::CsrMatrix;

use super::text::{csv_error, fields};
use crate::DataError;

/// Counts with their identifiers.
pub(super) struct Wide {
    /// For each column of identifiers, one text per row.
    pub(super) ids: Vec<Vec<String>>,
    /// Names of the other columns.
    pub(super) features: Vec<String>,
    /// Rows x features.
    pub(super) counts: CsrMatrix<f32>,
}

/// Where the identifiers are in a header, or what should have been there.
type Places<'a> = dyn Fn(&[String]) -> Result<Vec<usize>, &'static str> + 'a;

/// Reads the table.
///
/// # Inputs
/// `columns`: of the header, the places of the identifiers, or what should have been there. `wants`: of the identifiers of
/// a row, whether it is kept.
/// # Errors
/// [`DataError::Table`] with the line: a header without identifiers, a row of another width, a field that is no number.
pub(super) fn read(
    path: &Path,
    columns: &Places<'_>,
    wants: &dyn Fn(&[&str]) -> bool,
) -> Result<Wide, DataError> {
    let bad = |line: usize, found: String, expected: &str| DataError::Table {
        path: path.to_path_buf(),
        line,
        found,
        expected: expected.to_owned(),
    };
    let mut rows = fields(path)?.rows;
    let mut record = csv::ByteRecord::new();
    if !rows.read_byte_record(&mut record).map_err(|e| csv_error(path, e))? {
        return Err(bad(1, "an empty file".to_owned(), "a header and rows"));
    }
    let header: Vec<String> = record.iter().map(|f| String::from_utf8_lossy(f).trim().to_owned()).collect();
    let places = columns(&header).map_err(|expected| {
        let shown: Vec<&str> = header.iter().take(6).map(String::as_str).collect();
        bad(1, format!("the columns {} among {}", shown.join(", "), header.len()), expected)
    })?;
    let is_id = |j: usize| places.contains(&j);
    let features: Vec<String> =
        header.iter().enumerate().filter(|(j, _)| !is_id(*j)).map(|(_, name)| name.clone()).collect();
    let mut ids: Vec<Vec<String>> = vec![Vec::new(); places.len()];
    let mut counts = CsrMatrix::with_capacity(features.len(), 0, 0);
    let mut entries: Vec<(u32, f32)> = Vec::new();
    let mut line = 1;
    while rows.read_byte_record(&mut record).map_err(|e| csv_error(path, e))? {
        line += 1;
        if record.len() != header.len() {
            if record.len() == 1 && record[0].iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            return Err(bad(line, format!("{} fields", record.len()), "as many as in the header"));
        }
        let row_ids: Vec<std::borrow::Cow<'_, str>> =
            places.iter().map(|&j| String::from_utf8_lossy(&record[j])).collect();
        let row_ids: Vec<&str> = row_ids.iter().map(|id| id.trim()).collect();
        if !wants(&row_ids) {
            continue;
        }
        entries.clear();
        let mut feature = 0u32;
        for (j, field) in record.iter().enumerate() {
            if is_id(j) {
                continue;
            }
            match number(field) {
                Some(value) if value != 0.0 => entries.push((feature, value)),
                Some(_) => {}
                None => {
                    let found = format!("{:?} in the column {:?}", String::from_utf8_lossy(field), header[j]);
                    return Err(bad(line, found, "a finite number"));
                }
            }
            feature += 1;
        }
        for (of, id) in ids.iter_mut().zip(&row_ids) {
            of.push((*id).to_owned());
        }
        counts.push_row(entries.iter().copied());
    }
    Ok(Wide { ids, features, counts })
}

/// Digits are counts; anything else is left to the standard library.
fn number(field: &[u8]) -> Option<f32> {
    match field {
        b"0" => return Some(0.0),
        [_, ..] if field.len() < 8 && field.iter().all(u8::is_ascii_digit) => {
            return Some(field.iter().fold(0u32, |n, d| 10 * n + u32::from(d - b'0')) as f32);
        }
        _ => {}
    }
    let text = std::str::from_utf8(field).ok()?.trim();
    if text.is_empty() { Some(f32::NAN) } else { text.parse().ok().filter(|v: &f32| v.is_finite()) }
}
