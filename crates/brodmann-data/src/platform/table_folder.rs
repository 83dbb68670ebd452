//! A folder with one table of counts and one of coordinates, as Slide-seq, STARmap, seqFISH and many authors share them.

use std::path::{Path, PathBuf};

use super::table::{TableOptions, holds_coordinates, read_table_noting};
use super::{Opened, Platform, Source, ending_with};
use crate::DataError;

pub(super) struct TableFolder;

/// What tables end in.
const TABLES: [&str; 4] = [".csv", ".tsv", ".txt", ".parquet"];
/// What names of tables of counts hold.
const COUNTS: [&str; 8] =
    ["expr", "count", "matrix", "dge", "digital_expression", "raw_data", "cell_by_gene", "umi"];
/// What names of tables of coordinates hold.
const PLACES: [&str; 8] = ["spatial", "loc", "position", "coord", "centroid", "place", "xy", "metadata"];

/// The table of counts and that of coordinates.
fn tables(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    if !folder.is_dir() {
        return None;
    }
    let all = ending_with(folder, &TABLES);
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
        ([counts], [places]) => Some(((*counts).clone(), (**places).clone())),
        _ => None,
    }
}

impl Platform for TableFolder {
    fn names(&self) -> &'static [&'static str] {
        &["tables"]
    }

    fn looks_for(&self) -> &'static str {
        "a folder of two tables (one of counts, named expression, counts, matrix or the like, and one of coordinates)"
    }

    fn matches(&self, path: &Path) -> bool {
        tables(path).is_some()
    }

    fn open(&self, source: &Source<'_>) -> Result<Opened, DataError> {
        let (counts, coordinates) = tables(source.path).ok_or_else(|| DataError::UnknownFormat {
            path: source.path.to_path_buf(),
            looked_for: self.looks_for().to_owned(),
        })?;
        source.monitor.note(&format!(
            "counts of {}, coordinates of {}",
            counts.display(),
            coordinates.display()
        ));
        let asked = source.options.table.clone();
        let options = TableOptions { coordinates: asked.coordinates.clone().or(Some(coordinates)), ..asked };
        read_table_noting(&counts, &options, source.monitor).map(Opened::of)
    }
}
