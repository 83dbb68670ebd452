//! MERSCOPE (Vizgen) tables: <https://vizgen.com>.
//!
//! `*cell_by_gene.csv` joined to `*cell_metadata.csv` by the cell's identifier, a whole number of up to 19 digits that is never
//! a float here; a spreadsheet that opened the file has rounded it, and that is refused. Coordinates are micrometres. Outlines
//! are those of `cell_boundaries.parquet` or, segmented anew, of `*_micron_space.parquet`.

use std::path::{Path, PathBuf};

use super::join::{require_exact, rows_by_id};
use super::polygons::Outlines;
use super::space::{Slide, Unit};
use super::text::{columns, header};
use super::{Opened, Platform, Source, ending_with, features, sample_name, space, wide};
use crate::{AnnData, Column, DataError, DataFrame, keys};

pub(super) struct Merscope;

const COUNTS: &str = "cell_by_gene.csv";
const CELLS: &str = "cell_metadata.csv";
/// The columns of cells and of their outlines.
const ID: &str = "EntityID";
const GEOMETRY: &str = "Geometry";
const OUTLINES: [&str; 2] = ["cell_boundaries.parquet", "_micron_space.parquet"];

/// The two tables of a region; where segmentation was repeated in a folder of its own, those there.
fn files(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    let of = |folder: &Path| {
        let counts = ending_with(folder, &[COUNTS]).into_iter().next()?;
        let cells = ending_with(folder, &[CELLS]).into_iter().next()?;
        Some((counts, cells))
    };
    of(folder).or_else(|| {
        let entries = std::fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|e| e.path());
        let mut below: Vec<(PathBuf, PathBuf)> =
            entries.filter(|p| p.is_dir()).filter_map(|p| of(&p)).collect();
        // Of several segmentations one has to be named.
        if below.len() == 1 { below.pop() } else { None }
    })
}

impl Platform for Merscope {
    fn names(&self) -> &'static [&'static str] {
        &["merscope"]
    }

    fn looks_for(&self) -> &'static str {
        "MERSCOPE (*cell_by_gene.csv beside *cell_metadata.csv)"
    }

    fn matches(&self, path: &Path) -> bool {
        path.is_dir() && files(path).is_some()
    }

    fn open(&self, source: &Source<'_>) -> Result<Opened, DataError> {
        let (counts, cells) = files(source.path).ok_or_else(|| DataError::UnknownFormat {
            path: source.path.to_path_buf(),
            looked_for: self.looks_for().to_owned(),
        })?;
        let first = |header: &[String]| {
            if header.len() > 1 { Ok(vec![0]) } else { Err("the cell and one column per gene") }
        };
        let wide::Wide { mut ids, features: genes, counts: x } = wide::read(&counts, &first, &|_| true)?;
        let names: Vec<String> = ids.swap_remove(0).into_iter().map(whole).collect();
        require_exact(&names, &counts)?;
        let mut table = columns(&cells)?;
        let (Some(id), Some(x_key), Some(y_key)) =
            (table.keys().next().cloned(), find(&table, &["center_x"]), find(&table, &["center_y"]))
        else {
            return Err(DataError::MissingKey {
                container: "cells".to_owned(),
                key: "center_x, center_y".to_owned(),
                place: cells.display().to_string(),
                existing: table.keys().cloned().collect(),
                named_by: None,
                otherwise: Vec::new(),
            });
        };
        let id = find(&table, &[ID]).unwrap_or(id);
        let table_names: Vec<String> = table
            .shift_remove(&id)
            .map(|column| column.to_strings().into_iter().map(Option::unwrap_or_default).map(whole).collect())
            .unwrap_or_default();
        require_exact(&table_names, &cells)?;
        let rows = rows_by_id(&names, &counts, &table_names, &cells)?;
        let axis = |column: Option<Column>| -> Result<Vec<f64>, DataError> {
            let values = column.and_then(|c| c.to_f64()).ok_or_else(|| DataError::Table {
                path: cells.clone(),
                line: 0,
                found: "texts among the centres".to_owned(),
                expected: "numbers".to_owned(),
            })?;
            Ok(rows.iter().map(|&i| values[i]).collect())
        };
        let (x_values, y_values) = (axis(table.shift_remove(&x_key))?, axis(table.shift_remove(&y_key))?);
        let mut adata = AnnData::new(x, DataFrame::new(names), DataFrame::new(genes))?;
        adata.obsm.insert(keys::SPATIAL.to_owned(), space::pairs(&x_values, &y_values));
        // A ball of the median volume.
        let volumes = table.get("volume").and_then(Column::to_f64).unwrap_or_default();
        let mut volumes: Vec<f64> = volumes.into_iter().filter(|v| v.is_finite() && *v > 0.0).collect();
        volumes.sort_by(f64::total_cmp);
        let diameter = volumes.get(volumes.len() / 2).map(|v| (6.0 * v / std::f64::consts::PI).cbrt());
        for (name, column) in table {
            adata.obs.columns.insert(name, column.select_rows(&rows));
        }
        let prefix = counts.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
        let prefix = prefix.split(COUNTS).next().unwrap_or_default().trim_end_matches(['_', '-']).to_owned();
        let stored = Some(prefix).filter(|p| !p.is_empty()).or_else(|| Some(sample_name(source.path)));
        let mut slide = Slide::new(Unit::Micrometre, diameter);
        if source.wants_pictures()
            && let Some(folder) = counts.parent()
            && let Some(outlines) = outlines(source, folder, adata.obs_names())?
        {
            slide.boundaries.insert(keys::CELL_BOUNDARIES.to_owned(), outlines.stored(adata.obs_names()));
        }
        slide.add(&mut adata, source.library(stored));
        Ok(Opened::of(features::without_controls(adata, source.monitor)))
    }
}

/// Of the files of outlines the first that outlines these cells.
fn outlines(source: &Source<'_>, folder: &Path, names: &[String]) -> Result<Option<Outlines>, DataError> {
    let mut tried = None;
    for path in OUTLINES.iter().flat_map(|ending| ending_with(folder, &[ending])) {
        let columns = header(&path);
        if ![ID, GEOMETRY].iter().all(|name| columns.iter().any(|known| known == name)) {
            continue;
        }
        let outlines = Outlines::of_geometries(&path, ID, GEOMETRY, names)?;
        if !outlines.ids.is_empty() {
            return Ok(Some(outlines));
        }
        tried = Some(path);
    }
    if let Some(path) = tried {
        source
            .monitor
            .note(&[&path.display().to_string(), "outlines other cells, and is left out"].join(" "));
    }
    Ok(None)
}

fn find(table: &indexmap::IndexMap<String, Column>, names: &[&str]) -> Option<String> {
    table.keys().find(|key| names.iter().any(|name| key.eq_ignore_ascii_case(name))).cloned()
}

/// A whole number that went through a table of floats ends in `.0`.
fn whole(id: String) -> String {
    match id.strip_suffix(".0") {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => digits.to_owned(),
        _ => id,
    }
}
