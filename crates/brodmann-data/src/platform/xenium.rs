//! Xenium output bundles (Xenium Onboard Analysis 1 to 4): <https://www.10xgenomics.com/support/software/xenium-onboard-analysis>.
//!
//! `cell_feature_matrix.h5` (or its folder of text files), joined by `cell_id` to `cells.parquet`, `.csv.gz` or `.csv`.
//! Identifiers are numbers in version 1 and texts like `aaaaaaab-1` since. Coordinates are micrometres.

use std::path::{Path, PathBuf};

use super::join::rows_by_id;
use super::polygons::{self, Outlines};
use super::space::{Slide, Unit, json, typical_diameter};
use super::text::{any_columns, find, header};
use super::{Opened, Platform, Source, features, mtx, space, tenx};
use crate::{AnnData, Column, DataError, Value, keys};

pub(super) struct Xenium;

/// The table of cells.
fn cells(folder: &Path) -> Option<PathBuf> {
    let path = find(folder, &["cells.parquet", "cells.csv"])?;
    header(&path).iter().any(|name| name == "x_centroid").then_some(path)
}

/// The folder that has counts and cells.
fn locate(folder: &Path) -> Option<PathBuf> {
    let has_counts =
        |f: &Path| f.join("cell_feature_matrix.h5").is_file() || mtx::is_mtx(&f.join("cell_feature_matrix"));
    [folder.to_path_buf(), folder.join("outs")].into_iter().find(|f| has_counts(f) && cells(f).is_some())
}

impl Platform for Xenium {
    fn names(&self) -> &'static [&'static str] {
        &["xenium"]
    }

    fn looks_for(&self) -> &'static str {
        "Xenium (cell_feature_matrix.h5 or its folder beside cells.parquet or cells.csv.gz)"
    }

    fn matches(&self, path: &Path) -> bool {
        locate(path).is_some()
    }

    fn open(&self, source: &Source<'_>) -> Result<Opened, DataError> {
        let folder = locate(source.path).ok_or_else(|| DataError::UnknownFormat {
            path: source.path.to_path_buf(),
            looked_for: self.looks_for().to_owned(),
        })?;
        let h5 = folder.join("cell_feature_matrix.h5");
        let ((mut adata, rows), counts) = if h5.is_file() {
            (tenx::counts(&h5, source.options.genome.as_deref(), source.read.x)?, h5)
        } else {
            let text = folder.join("cell_feature_matrix");
            ((mtx::folder_matrix(&text)?, None), text)
        };
        let table =
            cells(&folder).ok_or_else(|| DataError::Missing { path: folder.join("cells.parquet") })?;
        let areas = add_cells(&mut adata, &counts, &table)?;

        let experiment = folder.join("experiment.xenium");
        let described = if experiment.is_file() { json(&experiment)? } else { indexmap::IndexMap::new() };
        let mut slide = Slide::new(Unit::Micrometre, typical_diameter(&areas));
        for key in ["analysis_sw_version", "pixel_size", "panel_name", "run_name", "region_name"] {
            if let Some(value) = described.get(key).filter(|value| **value != Value::Null) {
                slide.metadata.insert(key.to_owned(), value.clone());
            }
        }
        if source.wants_pictures() {
            for (key, stem) in polygons::KEYS {
                let names = [format!("{stem}.parquet"), format!("{stem}.csv")];
                let Some(path) = find(&folder, &names.each_ref().map(String::as_str)) else { continue };
                let outlines = Outlines::of_columns(&any_columns(&path)?, "cell_id", "vertex_x", "vertex_y");
                if let Some(outlines) = outlines {
                    slide.boundaries.insert(key.to_owned(), outlines.stored(adata.obs_names()));
                }
            }
        }
        let region = described.get("region_name").and_then(Value::as_str).map(str::to_owned);
        slide.add(&mut adata, source.library(region.filter(|name| !name.is_empty())));
        features::split_modalities(adata, rows, source.monitor)
    }
}

/// Joins the table of cells: coordinates, and its other columns in obs. The areas of the cells come back.
fn add_cells(adata: &mut AnnData, counts: &Path, table: &Path) -> Result<Vec<f64>, DataError> {
    let mut columns = any_columns(table)?;
    // R writes its row numbers as a first column without a name.
    columns.shift_remove("");
    let lacking = |name: &str, existing: Vec<String>| DataError::MissingKey {
        container: "cells".to_owned(),
        key: name.to_owned(),
        place: table.display().to_string(),
        existing,
        named_by: None,
        otherwise: Vec::new(),
    };
    let names: Vec<String> = columns.keys().cloned().collect();
    let mut take = |name: &str| columns.shift_remove(name).ok_or_else(|| lacking(name, names.clone()));
    let ids: Vec<String> = take("cell_id")?.to_strings().into_iter().map(Option::unwrap_or_default).collect();
    let (x, y) = (take("x_centroid")?, take("y_centroid")?);
    let rows = rows_by_id(adata.obs_names(), counts, &ids, table)?;
    let axis = |column: &Column| -> Result<Vec<f64>, DataError> {
        let values = column.to_f64().ok_or_else(|| DataError::Table {
            path: table.to_path_buf(),
            line: 0,
            found: "texts among the centroids".to_owned(),
            expected: "numbers".to_owned(),
        })?;
        Ok(rows.iter().map(|&i| values[i]).collect())
    };
    adata.obsm.insert(keys::SPATIAL.to_owned(), space::pairs(&axis(&x)?, &axis(&y)?));
    let areas = columns.get("cell_area").and_then(Column::to_f64).unwrap_or_default();
    for (name, column) in columns {
        adata.obs.columns.insert(name, column.select_rows(&rows));
    }
    Ok(areas)
}
