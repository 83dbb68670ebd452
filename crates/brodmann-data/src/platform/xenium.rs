//! Xenium output bundles (Xenium Onboard Analysis 1 to 4): <https://www.10xgenomics.com/support/software/xenium-onboard-analysis>.
//!
//! `cell_feature_matrix.h5` (or its folder of text files, or `cell_feature_matrix.zarr.zip`), joined by `cell_id` to `cells.parquet`, `.csv.gz` or `.csv`.
//! Identifiers are numbers in version 1 and texts like `aaaaaaab-1` since. Coordinates are micrometres.

use std::path::{Path, PathBuf};

use super::join::rows_by_id;
use super::polygons::{self, Outlines};
use super::space::{Slide, Unit, json, typical_diameter};
use super::text::{any_columns, find, header};
use super::{Opened, Platform, Source, features, mtx, space, tenx};
use crate::scverse::{MatrixRows, join};
use crate::store::Store;
use crate::zarr::ZarrReader;
use crate::{AnnData, Column, DataError, DataFrame, Value, keys};
use brodmann_kernels::CsrMatrix;

pub(super) struct Xenium;

/// The table of cells.
fn cells(folder: &Path) -> Option<PathBuf> {
    let path = find(folder, &["cells.parquet", "cells.csv"])?;
    header(&path).iter().any(|name| name == "x_centroid").then_some(path)
}

/// The folder that has counts and cells.
fn locate(folder: &Path) -> Option<PathBuf> {
    [folder.to_path_buf(), folder.join("outs")]
        .into_iter()
        .find(|f| Matrix::of(f).is_some() && cells(f).is_some())
}

/// Where the counts lie.
enum Matrix {
    H5(PathBuf),
    Text(PathBuf),
    Zarr(PathBuf),
}

impl Matrix {
    fn of(folder: &Path) -> Option<Self> {
        let at = |name: &str| folder.join(name);
        let h5 = at("cell_feature_matrix.h5");
        if h5.is_file() {
            return Some(Self::H5(h5));
        }
        let text = at("cell_feature_matrix");
        if mtx::is_mtx(&text) {
            return Some(Self::Text(text));
        }
        let zarr = ["cell_feature_matrix.zarr.zip", "cell_feature_matrix.zarr"].map(at);
        zarr.into_iter().find(|path| path.exists()).map(Self::Zarr)
    }

    fn path(&self) -> &Path {
        let (Self::H5(path) | Self::Text(path) | Self::Zarr(path)) = self;
        path
    }

    fn read(&self, whole: bool) -> Result<(AnnData, Option<MatrixRows>), DataError> {
        match self {
            Self::H5(path) => tenx::counts(path, None, whole),
            Self::Text(path) => Ok((mtx::folder_matrix(path)?, None)),
            Self::Zarr(path) => Ok((zarr_counts(path)?, None)),
        }
    }
}

/// The group of `cell_feature_matrix.zarr` with the counts.
const CELL_FEATURES: &str = "cell_features";

/// Counts as the instrument's viewer has them: by feature, cells as two numbers each.
fn zarr_counts(path: &Path) -> Result<AnnData, DataError> {
    let store = ZarrReader::open(path)?;
    let texts = |name: &str| -> Result<Vec<String>, DataError> {
        let found = store.attribute(CELL_FEATURES, name)?.and_then(|a| a.strings());
        found.ok_or_else(|| DataError::MissingKey {
            container: CELL_FEATURES.to_owned(),
            key: name.to_owned(),
            place: path.display().to_string(),
            existing: Vec::new(),
            named_by: None,
            otherwise: Vec::new(),
        })
    };
    let at = |name: &str| join(CELL_FEATURES, name);
    let mut var = DataFrame::new(texts("feature_keys")?);
    let ids = texts("feature_ids")?.into_iter().map(Some).collect();
    var.columns.insert(keys::GENE_IDS.to_owned(), Column::String(ids));
    let types = texts("feature_types")?.into_iter().map(|kind| Some(kind_of_feature(&kind))).collect();
    var.columns.insert(keys::FEATURE_TYPES.to_owned(), Column::String(types));
    let shape = store.info(&at("cell_id"))?.shape;
    let numbers = store.numbers::<u32>(&at("cell_id"))?;
    let names: Vec<String> = match shape[..] {
        [_, 2] => numbers.chunks_exact(2).map(|id| cell_name(id[0], id[1])).collect(),
        [_] => numbers.iter().map(u32::to_string).collect(),
        _ => {
            return Err(DataError::Shape {
                element: at("cell_id"),
                found: shape,
                expected: "one or two numbers per cell".to_owned(),
            });
        }
    };
    let sparse = |source| DataError::Sparse { element: CELL_FEATURES.to_owned(), source };
    let by_feature = CsrMatrix::try_new(
        var.n_rows(),
        names.len(),
        store.numbers::<usize>(&at("indptr"))?,
        store.numbers::<u32>(&at("indices"))?,
        store.numbers::<f32>(&at("data"))?,
    )
    .map_err(sparse)?;
    AnnData::new(by_feature.view().transpose(), DataFrame::new(names), var)
}

/// Names as the other files spell them: `Gene Expression` for `gene`.
fn kind_of_feature(kind: &str) -> String {
    let known = [
        ("gene", "Gene Expression"),
        ("negative_control_probe", "Negative Control Probe"),
        ("negative_control_codeword", "Negative Control Codeword"),
        ("unassigned_codeword", "Unassigned Codeword"),
        ("deprecated_codeword", "Deprecated Codeword"),
        ("genomic_control", "Genomic Control"),
        ("protein", "Protein Expression"),
    ];
    known.iter().find(|(short, _)| *short == kind).map_or(kind, |(_, long)| long).to_owned()
}

/// `ffkpbaba-1`: eight digits of sixteen, written a to p, and the number of the data set.
fn cell_name(prefix: u32, suffix: u32) -> String {
    let digit = |i: u32| char::from(b'a' + (prefix >> (28 - 4 * i) & 15) as u8);
    format!("{}-{suffix}", (0..8).map(digit).collect::<String>())
}

impl Platform for Xenium {
    fn names(&self) -> &'static [&'static str] {
        &["xenium"]
    }

    fn looks_for(&self) -> &'static str {
        "Xenium (cell_feature_matrix.h5, its folder or its .zarr.zip beside cells.parquet or cells.csv.gz)"
    }

    fn matches(&self, path: &Path) -> bool {
        locate(path).is_some()
    }

    fn open(&self, source: &Source<'_>) -> Result<Opened, DataError> {
        let folder = locate(source.path).ok_or_else(|| DataError::UnknownFormat {
            path: source.path.to_path_buf(),
            looked_for: self.looks_for().to_owned(),
        })?;
        let matrix = Matrix::of(&folder)
            .ok_or_else(|| DataError::Missing { path: folder.join("cell_feature_matrix.h5") })?;
        let (mut adata, rows) = matrix.read(source.read.x)?;
        let table =
            cells(&folder).ok_or_else(|| DataError::Missing { path: folder.join("cells.parquet") })?;
        let areas = add_cells(&mut adata, matrix.path(), &table)?;

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
                let vertices = any_columns(&path)?;
                let axis = |name: &str| vertices.get(name).and_then(Column::to_f64);
                let ids = vertices.get("cell_id").map(Column::to_strings);
                if let (Some(ids), Some(x), Some(y)) = (ids, axis("vertex_x"), axis("vertex_y")) {
                    let ids = ids.into_iter().map(Option::unwrap_or_default).collect();
                    // A cell may have several nuclei, each with a label.
                    let labels = vertices.get("label_id").map(Column::to_strings);
                    let outlines = Outlines::of_vertices(ids, labels, &x, &y);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_named_as_in_the_example_of_the_manual() {
        // https://www.10xgenomics.com/support/software/xenium-onboard-analysis/latest/analysis/xoa-output-zarr
        assert_eq!(cell_name(1_437_536_272, 1), "ffkpbaba-1");
        assert_eq!(cell_name(0, 1), "aaaaaaaa-1");
        assert_eq!(cell_name(u32::MAX, 12), "pppppppp-12");
    }
}
