//! A folder with one table of counts and one of coordinates, as Slide-seq, STARmap, seqFISH and many authors share them.

use std::path::{Path, PathBuf};

use super::table::{self, TableOptions, holds_coordinates, is_table, place_by_name, read_table_noting};
use super::text::{fields, read_all};
use super::{Opened, Platform, Source, ending_with};
use crate::{AnnData, Column, DataError, keys};

pub(super) struct TableFolder;

/// What tables end in.
const TABLES: [&str; 5] = [".csv", ".tsv", ".txt", ".parquet", ".zip"];
/// What names of tables of counts hold.
const COUNTS: [&str; 8] =
    ["expr", "count", "matrix", "dge", "digital_expression", "raw_data", "cell_by_gene", "umi"];
/// What names of tables of coordinates hold.
const PLACES: [&str; 8] = ["spatial", "loc", "position", "coord", "centroid", "place", "xy", "metadata"];

/// The table of counts and that of coordinates, or the table of counts whose spots are named by their places.
fn tables(folder: &Path) -> Option<(PathBuf, Option<PathBuf>)> {
    if !folder.is_dir() {
        return None;
    }
    let all: Vec<PathBuf> = ending_with(folder, &TABLES).into_iter().filter(|path| is_table(path)).collect();
    let named = |words: &[&str]| -> Vec<&PathBuf> {
        let holds = |path: &&PathBuf| {
            let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
            words.iter().any(|word| name.contains(word))
        };
        all.iter().filter(holds).collect()
    };
    let (counts, places) = (named(&COUNTS), named(&PLACES));
    let places: Vec<&&PathBuf> =
        places.iter().filter(|p| !counts.contains(p) && holds_coordinates(p)).collect();
    match (counts.as_slice(), places.as_slice()) {
        ([counts], [places]) => Some(((*counts).clone(), Some((**places).clone()))),
        ([counts], []) if named_by_place(counts) => Some(((*counts).clone(), None)),
        _ => None,
    }
}

/// Whether the spots of a table of counts are called `12x34`, as those of DBiT-seq are.
fn named_by_place(counts: &Path) -> bool {
    let Ok(fields) = fields(counts) else { return false };
    let mut start = fields.rows.into_records().take(2).map_while(Result::ok);
    let (Some(header), Some(row)) = (start.next(), start.next()) else { return false };
    // The corner over the names of the rows is empty, a title, or not there.
    let columns = header.iter().skip(1).take(8).all(|name| place_by_name(name.trim()).is_some());
    columns && header.len() > 1 || row.get(0).is_some_and(|name| place_by_name(name.trim()).is_some())
}

/// Marks the spots that a list of names in the folder has, as DBiT-seq lists the pixels under tissue.
fn mark_tissue(adata: &mut AnnData, folder: &Path, counts: &Path) -> Result<Option<PathBuf>, DataError> {
    for path in ending_with(folder, &[".txt", ".csv"]) {
        // The list of a chip of 220 x 220 is 400 kB.
        if path == counts || path.metadata().is_ok_and(|file| file.len() > 1 << 24) {
            continue;
        }
        let text = read_all(&path)?;
        let names = text.split([',', '\t', ' ', '\n', '\r']).filter(|name| !name.is_empty());
        let names: Option<std::collections::HashSet<&str>> =
            names.map(|name| place_by_name(name).map(|_| name)).collect();
        let Some(names) = names.filter(|names| !names.is_empty()) else { continue };
        let inside = adata.obs_names().iter().map(|name| i64::from(names.contains(name.as_str()))).collect();
        adata.obs.columns.insert(keys::IN_TISSUE.to_owned(), Column::Int(inside));
        return Ok(Some(path));
    }
    Ok(None)
}

impl Platform for TableFolder {
    fn names(&self) -> &'static [&'static str] {
        &["tables"]
    }

    fn looks_for(&self) -> &'static str {
        "a folder of two tables (one of counts, named expression, counts, matrix or the like, and one of coordinates, \
         unless spots are named by their places: 12x34)"
    }

    fn takes(&self) -> &'static [&'static str] {
        &table::TAKES
    }

    fn matches(&self, path: &Path) -> bool {
        tables(path).is_some()
    }

    fn open(&self, source: &Source<'_>) -> Result<Opened, DataError> {
        let (counts, coordinates) = tables(source.path).ok_or_else(|| DataError::UnknownFormat {
            path: source.path.to_path_buf(),
            looked_for: self.looks_for().to_owned(),
        })?;
        let asked = source.options.table.clone();
        let Some(coordinates) = asked.coordinates.clone().or(coordinates) else {
            let mut adata = read_table_noting(&counts, &asked, source.monitor)?;
            let list = mark_tissue(&mut adata, source.path, &counts)?;
            let tissue = list.map(|path| format!("; spots under tissue of {}", path.display()));
            source.monitor.note(&format!("counts of {}{}", counts.display(), tissue.unwrap_or_default()));
            return Ok(Opened::of(adata));
        };
        source.monitor.note(&format!(
            "counts of {}, coordinates of {}",
            counts.display(),
            coordinates.display()
        ));
        let options = TableOptions { coordinates: Some(coordinates), ..asked };
        read_table_noting(&counts, &options, source.monitor).map(Opened::of)
    }
}
