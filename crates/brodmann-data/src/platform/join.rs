//! Tables joined by identifier: never by position, and never by an identifier that is not unique.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use crate::DataError;

/// Refuses identifiers that repeat.
pub(super) fn require_unique(ids: &[String], file: &Path) -> Result<(), DataError> {
    let mut seen = HashSet::with_capacity(ids.len());
    let mut repeats = ids.iter().filter(|id| !seen.insert(id.as_str()));
    let Some(example) = repeats.next() else { return Ok(()) };
    let count = 1 + repeats.count();
    Err(DataError::RepeatedIds { path: file.to_path_buf(), count, example: example.clone() })
}

/// For each of `ids` (of the file `of`) its row in the table `file` of `other` identifiers, both of them unique.
///
/// # Errors
/// [`DataError::RepeatedIds`]; [`DataError::Table`] counting those that have no row.
pub(super) fn rows_by_id(
    ids: &[String],
    of: &Path,
    other: &[String],
    file: &Path,
) -> Result<Vec<usize>, DataError> {
    require_unique(ids, of)?;
    require_unique(other, file)?;
    let place: HashMap<&str, usize> = other.iter().enumerate().map(|(i, id)| (id.as_str(), i)).collect();
    let rows: Vec<usize> = ids.iter().filter_map(|id| place.get(id.as_str()).copied()).collect();
    if rows.len() == ids.len() {
        return Ok(rows);
    }
    let without = ids.iter().find(|id| !place.contains_key(id.as_str())).map_or("", String::as_str);
    let like = other.first().map_or_else(String::new, |id| format!(", where they are like {id:?}"));
    Err(DataError::Table {
        path: file.to_path_buf(),
        line: 0,
        found: format!("rows for {} of {} identifiers (none for {without:?}{like})", rows.len(), ids.len()),
        expected: format!("one row for each identifier of {}", of.display()),
    })
}

/// Refuses whole numbers of many digits that a spreadsheet has rounded (`2.667e+18`): different cells got one identifier, and
/// which is which is lost.
pub(super) fn require_exact(ids: &[String], file: &Path) -> Result<(), DataError> {
    let rounded = |id: &&String| {
        let (mantissa, exponent) = id.split_once(['e', 'E'])?;
        let exponent: i32 = exponent.trim_start_matches('+').parse().ok()?;
        mantissa.parse::<f64>().ok().filter(|_| exponent >= 15)
    };
    match ids.iter().find(|id| rounded(id).is_some()) {
        None => Ok(()),
        Some(example) => Err(DataError::RoundedIds { path: file.to_path_buf(), example: example.clone() }),
    }
}
