//! Space Ranger folders: counts, spot positions, scale factors, pictures, laid out as scanpy's `read_visium` does.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use ndarray::Array2;

use super::text::{csv_error, fields, read_all};
use super::{mtx, parquet_table, picture, tenx};
use crate::hdf5::Hdf5Reader;
use crate::scverse::Container;
use crate::{AnnData, Column, DataError, MuData, Value, keys};

/// Reads a Visium folder (`outs`, its parent, or one bin size of Visium HD).
///
/// # Inputs
/// `library_id`: the name of the slide in `uns["spatial"]`; by default what the counts file says, else the
/// folder's name.
/// # Returns
/// Counts with `obs["in_tissue", "array_row", "array_col"]`, `obsm["spatial"]` in pixels of the full
/// picture (x, y), and `uns["spatial"][library_id]` with `images`, `scalefactors`, `metadata`.
/// # Errors
/// [`DataError`]: no counts, no positions, spots without a position, an unreadable picture.
pub fn read_visium(folder: impl AsRef<Path>, library_id: Option<&str>) -> Result<Container, DataError> {
    let given = folder.as_ref();
    let folder = locate(given).ok_or_else(|| DataError::UnknownFormat {
        path: given.to_path_buf(),
        looked_for: "a Visium folder: spatial/ beside a feature-barcode matrix, here or in outs/".to_owned(),
    })?;
    let (mut adata, stored_id, metadata) = counts(&folder)?;
    let spatial = folder.join("spatial");
    positions(&spatial, &mut adata)?;

    let fallback = || {
        let path = std::fs::canonicalize(given).unwrap_or_else(|_| given.to_path_buf());
        let name = |p: &Path| p.file_name().map(|n| n.to_string_lossy().into_owned());
        match name(&path) {
            Some(n) if n != "outs" => n,
            _ => path.parent().and_then(name).unwrap_or_else(|| "library".to_owned()),
        }
    };
    let library_id = library_id.map(str::to_owned).or(stored_id).unwrap_or_else(fallback).replace('/', "_");
    let mut images = IndexMap::new();
    for (key, name) in [(keys::HIRES, "tissue_hires_image"), (keys::LOWRES, "tissue_lowres_image")] {
        let found =
            ["png", "jpg", "jpeg"].iter().map(|e| spatial.join(format!("{name}.{e}"))).find(|p| p.is_file());
        if let Some(path) = found {
            images.insert(key.to_owned(), Value::Array(picture::read(&path)?));
        }
    }
    let scalefactors_path = spatial.join("scalefactors_json.json");
    let scalefactors = if scalefactors_path.is_file() {
        let json: serde_json::Value =
            serde_json::from_str(&read_all(&scalefactors_path)?).map_err(|e| DataError::Table {
                path: scalefactors_path.clone(),
                line: e.line(),
                found: e.to_string(),
                expected: "JSON".to_owned(),
            })?;
        Value::from(json)
    } else {
        Value::dict()
    };
    let metadata: IndexMap<String, Value> =
        metadata.into_iter().map(|(k, v)| (k, Value::String(v))).collect();
    let library: Value = [
        (keys::IMAGES, Value::Dict(images)),
        (keys::SCALEFACTORS, scalefactors),
        (keys::METADATA, Value::Dict(metadata)),
    ]
    .into();
    adata.uns.insert(keys::SPATIAL.to_owned(), [(library_id, library)].into());
    // What is shared between modalities belongs to the whole.
    let (obs, obsm, uns) = (adata.obs.clone(), adata.obsm.clone(), adata.uns.clone());
    match tenx::split_modalities(adata)? {
        Container::AnnData(a) => Ok(Container::AnnData(a)),
        Container::MuData(m) => Ok(Container::MuData(MuData { obs, obsm, uns: uns.clone(), ..m })),
    }
}

/// The folder that has `spatial/` and counts.
pub(super) fn locate(folder: &Path) -> Option<PathBuf> {
    [folder.to_path_buf(), folder.join("outs")]
        .into_iter()
        .find(|f| positions_file(&f.join("spatial")).is_some() && counts_file(f).is_some())
}

enum Counts {
    H5(PathBuf),
    Mtx(PathBuf),
}

fn counts_file(folder: &Path) -> Option<Counts> {
    let mut names: Vec<PathBuf> =
        std::fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|e| e.path()).collect();
    names.sort();
    for suffix in ["filtered_feature_bc_matrix", "raw_feature_bc_matrix"] {
        let ends = |p: &PathBuf, end: &str| {
            p.file_name().is_some_and(|n| n.to_string_lossy().ends_with(&format!("{suffix}{end}")))
        };
        if let Some(p) = names.iter().find(|p| p.is_file() && ends(p, ".h5")) {
            return Some(Counts::H5(p.clone()));
        }
        if let Some(p) = names.iter().find(|p| p.is_dir() && ends(p, "") && mtx::is_mtx(p)) {
            return Some(Counts::Mtx(p.clone()));
        }
    }
    None
}

type Library = (AnnData, Option<String>, Vec<(String, String)>);

fn counts(folder: &Path) -> Result<Library, DataError> {
    match counts_file(folder) {
        Some(Counts::H5(path)) => {
            let store = Hdf5Reader::open(&path)?;
            let adata = tenx::matrix(&store, &path, None)?;
            let (id, metadata) = tenx::library(&store)?;
            Ok((adata, id, metadata))
        }
        Some(Counts::Mtx(path)) => Ok((mtx::folder_matrix(&path)?, None, Vec::new())),
        None => Err(DataError::Missing { path: folder.join("filtered_feature_bc_matrix.h5") }),
    }
}

fn positions_file(spatial: &Path) -> Option<PathBuf> {
    ["tissue_positions.parquet", "tissue_positions.csv", "tissue_positions_list.csv"]
        .iter()
        .map(|n| spatial.join(n))
        .find(|p| p.is_file())
}

/// The six columns of a positions file.
struct Positions {
    barcodes: Vec<String>,
    /// in_tissue, array_row, array_col, pixel row, pixel column.
    numbers: [Vec<f64>; 5],
}

const NAMES: [&str; 5] = ["in_tissue", "array_row", "array_col", "pxl_row_in_fullres", "pxl_col_in_fullres"];

fn positions(spatial: &Path, adata: &mut AnnData) -> Result<(), DataError> {
    let path = positions_file(spatial)
        .ok_or_else(|| DataError::Missing { path: spatial.join("tissue_positions.csv") })?;
    let positions =
        if path.extension().is_some_and(|e| e == "parquet") { parquet(&path)? } else { table(&path)? };
    let place: HashMap<&str, usize> =
        positions.barcodes.iter().enumerate().map(|(i, b)| (b.as_str(), i)).collect();
    let rows: Vec<usize> = adata.obs.index.iter().filter_map(|b| place.get(b.as_str()).copied()).collect();
    if rows.len() != adata.n_obs() {
        let without = adata.obs.index.iter().find(|b| !place.contains_key(b.as_str()));
        return Err(DataError::Table {
            path,
            line: 0,
            found: format!(
                "positions for {} of {} barcodes (none for {:?})",
                rows.len(),
                adata.n_obs(),
                without.map_or("", String::as_str)
            ),
            expected: "one line per barcode".to_owned(),
        });
    }
    let pick = |j: usize| -> Vec<f64> { rows.iter().map(|&i| positions.numbers[j][i]).collect() };
    for (j, key) in [keys::IN_TISSUE, keys::ARRAY_ROW, keys::ARRAY_COL].into_iter().enumerate() {
        let values = pick(j).iter().map(|&v| v as i64).collect();
        adata.obs.columns.insert(key.to_owned(), Column::Int(values));
    }
    let (y, x) = (pick(3), pick(4));
    let whole = x.iter().chain(&y).all(|v| v.fract() == 0.0);
    let pair = |i: usize, j: usize| if j == 0 { x[i] } else { y[i] };
    let shape = (adata.n_obs(), 2);
    let spatial: Value = if whole {
        Value::Array(Array2::from_shape_fn(shape, |(i, j)| pair(i, j) as i64).into())
    } else {
        Array2::from_shape_fn(shape, |(i, j)| pair(i, j)).into()
    };
    adata.obsm.insert(keys::SPATIAL.to_owned(), spatial);
    Ok(())
}

fn table(path: &Path) -> Result<Positions, DataError> {
    let mut positions = Positions { barcodes: Vec::new(), numbers: Default::default() };
    for (line, record) in fields(path)?.rows.into_records().enumerate() {
        let record = record.map_err(|e| csv_error(path, e))?;
        // Space Ranger 2 gives the columns a header, 1 does not.
        if line == 0 && record.get(0) == Some("barcode") {
            continue;
        }
        let values: Option<Vec<f64>> = (1..6).map(|j| record.get(j)?.trim().parse().ok()).collect();
        let (Some(barcode), Some(values)) = (record.get(0), values) else {
            return Err(DataError::Table {
                path: path.to_path_buf(),
                line: line + 1,
                found: record.iter().collect::<Vec<_>>().join(","),
                expected: "a barcode and five numbers".to_owned(),
            });
        };
        positions.barcodes.push(barcode.to_owned());
        for (column, v) in positions.numbers.iter_mut().zip(values) {
            column.push(v);
        }
    }
    Ok(positions)
}

fn parquet(path: &Path) -> Result<Positions, DataError> {
    let columns = parquet_table::columns(path)?;
    let missing = |name: &str| DataError::Table {
        path: path.to_path_buf(),
        line: 0,
        found: format!("no column {name:?} of that kind"),
        expected: "barcode, in_tissue, array_row, array_col, pxl_row_in_fullres, pxl_col_in_fullres"
            .to_owned(),
    };
    let barcodes = columns.get("barcode").ok_or_else(|| missing("barcode"))?.to_strings();
    let mut numbers: [Vec<f64>; 5] = Default::default();
    for (values, name) in numbers.iter_mut().zip(NAMES) {
        *values = columns.get(name).and_then(Column::to_f64).ok_or_else(|| missing(name))?;
    }
    Ok(Positions { barcodes: barcodes.into_iter().map(Option::unwrap_or_default).collect(), numbers })
}
