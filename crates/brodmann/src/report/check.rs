//! What is refused before the first byte is written.

use super::ReportError;
use super::content::{Graphic, Picture, Report, Slice, SpotColumn, SpotValues};
use super::html::{picture_kind, shorten};
use super::table::Table;

/// Refuses lengths that differ, categories without a name and pictures that are none.
///
/// Returns the number of spots.
pub(super) fn check(report: &Report) -> Result<usize, ReportError> {
    if report.slices.is_empty() {
        return Err(ReportError::NoSlices);
    }
    for slice in &report.slices {
        check_slice(slice)?;
    }
    let n_obs: usize = report.slices.iter().map(|slice| slice.coordinates.nrows()).sum();
    let limit = i32::MAX as usize;
    if n_obs > limit {
        return Err(ReportError::TooManySpots { found: n_obs, limit });
    }
    for column in &report.columns {
        check_column(column, n_obs)?;
    }
    let categories = |index: usize| matches!(report.columns.get(index), Some(c) if c.categories().is_some());
    for index in report.domains.iter().chain(&report.composition_by).copied() {
        if !categories(index) {
            return Err(ReportError::Column { index, meant: "categories" });
        }
    }
    if let Some(confidence) = report.confidence {
        let index = confidence.column;
        if index >= report.columns.len() || categories(index) {
            return Err(ReportError::Column { index, meant: "numbers" });
        }
    }
    if let Some(index) = report.compare_with.filter(|&index| index >= report.columns.len()) {
        return Err(ReportError::Column { index, meant: "something to compare with" });
    }
    check_panels(report)?;
    for section in &report.sections {
        for chart in &section.illustrations {
            if let Graphic::Bytes(bytes) = &chart.graphic {
                check_picture(bytes, || format!("chart {}", shorten(&chart.title, 60)))?;
            }
        }
        section.tables.iter().try_for_each(check_table)?;
    }
    report.provenance.tables.iter().try_for_each(check_table)?;
    Ok(n_obs)
}

fn check_panels(report: &Report) -> Result<(), ReportError> {
    let n_domains = report.domain_names().len();
    length("the list of domain panels", report.domain_panels.len(), n_domains, true)?;
    for panel in &report.domain_panels {
        for neighbor in &panel.neighbors {
            if neighbor.domain >= n_domains {
                let (what, found) = ("a list of neighbours".to_owned(), neighbor.domain as u32);
                return Err(ReportError::Category { what, row: 0, found, expected: n_domains });
            }
        }
        for shape in &panel.shapes {
            if shape.slice >= report.slices.len() {
                let (what, found) = ("a list of shapes".to_owned(), shape.slice as u32);
                return Err(ReportError::Category { what, row: 0, found, expected: report.slices.len() });
            }
        }
        for patch in &panel.patches {
            check_picture(&patch.bytes, || format!("patch {}", shorten(&patch.caption, 60)))?;
        }
        panel.tables.iter().try_for_each(check_table)?;
    }
    Ok(())
}

fn check_slice(slice: &Slice) -> Result<(), ReportError> {
    let name = || shorten(&slice.name, 60).into_owned();
    let (rows, columns) = slice.coordinates.dim();
    if columns != 2 && rows > 0 {
        return Err(ReportError::NotPlanar { slice: name(), found: columns });
    }
    length(&format!("the list of spot names of slice {}", name()), slice.spot_names.len(), rows, true)?;
    if let Some(Picture { bytes, placement }) = &slice.picture {
        check_picture(bytes, || format!("the picture of slice {}", name()))?;
        let [a, b, _, d, e, _] = placement;
        if placement.iter().any(|v| !v.is_finite()) || a * e - b * d == 0.0 {
            return Err(ReportError::Placement { slice: name(), found: format!("{placement:?}") });
        }
    }
    Ok(())
}

fn check_column(column: &SpotColumn, n_obs: usize) -> Result<(), ReportError> {
    let what = format!("column {}", shorten(&column.name, 60));
    match &column.values {
        SpotValues::Categories { codes, names, colors } => {
            length(&what, codes.len(), n_obs, false)?;
            length(&format!("the list of colours of {what}"), colors.len(), names.len(), false)?;
            let beyond = |code: &Option<u32>| code.is_some_and(|code| code as usize >= names.len());
            if let Some(row) = codes.iter().position(beyond) {
                let found = codes[row].unwrap_or_default();
                return Err(ReportError::Category { what, row, found, expected: names.len() });
            }
        }
        SpotValues::Numbers { values, .. } => length(&what, values.len(), n_obs, false)?,
        SpotValues::Sparse { rows, values, .. } => {
            length(&what, values.len(), rows.len(), false)?;
            for (position, &row) in rows.iter().enumerate() {
                if row as usize >= n_obs || (position > 0 && rows[position - 1] >= row) {
                    return Err(ReportError::Rows { what, position, row, n_obs });
                }
            }
        }
    }
    Ok(())
}

fn check_table(table: &Table) -> Result<(), ReportError> {
    for column in &table.columns {
        let what = format!("column {} of the table {}", shorten(&column.name, 60), shorten(&table.title, 60));
        length(&what, column.cells.len(), table.n_rows(), false)?;
    }
    Ok(())
}

fn check_picture(bytes: &[u8], what: impl Fn() -> String) -> Result<(), ReportError> {
    picture_kind(bytes).map(|_| ()).ok_or_else(|| ReportError::Picture { what: what() })
}

fn length(what: &str, found: usize, expected: usize, or_none: bool) -> Result<(), ReportError> {
    if found == expected || (or_none && found == 0) {
        return Ok(());
    }
    Err(ReportError::Length { what: what.to_owned(), found, expected })
}
