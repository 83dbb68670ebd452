//! Space Ranger folders: counts, spot positions, scale factors, pictures, laid out as scanpy's `read_visium` does.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use brodmann_kernels::Monitor;

use super::join::rows_by_id;
use super::space::{Slide, Unit};
use super::text::{csv_error, fields, truth};
use super::{Opened, Platform, Source, features, mtx, parquet_table, space, tenx};
use crate::hdf5::Hdf5Reader;
use crate::scverse::MatrixRows;
use crate::{AnnData, Column, DataError, Value, keys};

pub(super) struct Visium;

impl Platform for Visium {
    fn names(&self) -> &'static [&'static str] {
        &["visium"]
    }

    fn looks_for(&self) -> &'static str {
        "Visium (spatial/tissue_positions* beside *feature_bc_matrix.h5 or its folder, here or in outs/)"
    }

    fn takes(&self) -> &'static [&'static str] {
        &["genome"]
    }

    fn matches(&self, path: &Path) -> bool {
        locate(path).is_some()
    }

    fn open(&self, source: &Source<'_>) -> Result<Opened, DataError> {
        let folder = locate(source.path).ok_or_else(|| DataError::UnknownFormat {
            path: source.path.to_path_buf(),
            looked_for: self.looks_for().to_owned(),
        })?;
        read_folder(source, &folder)
    }
}

/// Reads the folder that has `spatial/` and counts: of Visium, or one bin size of Visium HD.
///
/// Counts with `obs["in_tissue", "array_row", "array_col"]`, `obsm["spatial"]` in pixels of the full picture (x, y), and
/// `uns["spatial"][library_id]` with `images`, `scalefactors`, `metadata`.
///
/// # Errors
/// [`DataError`]: no counts, no positions, spots without a position, an unreadable picture.
pub(super) fn read_folder(source: &Source<'_>, folder: &Path) -> Result<Opened, DataError> {
    let Library { mut adata, file: counted, mut rows, id: stored_id, metadata } = counts(folder, source)?;
    let spatial = folder.join("spatial");
    if positions(&spatial, &counted, &mut adata, source.monitor)? && rows.take().is_some() {
        // Rows are left out of what is named, so they have to be left out of what is counted too.
        let (whole, _) = tenx::counts(&counted, source.options.genome.as_deref(), true)?;
        let place: HashMap<&str, usize> =
            whole.obs_names().iter().enumerate().map(|(i, n)| (n.as_str(), i)).collect();
        let kept: Vec<usize> =
            adata.obs_names().iter().filter_map(|n| place.get(n.as_str()).copied()).collect();
        adata.x = whole.x.map(|x| x.select_rows(&kept));
    }
    let mut slide = Slide::new(Unit::Pixel, None);
    if source.wants_pictures() {
        slide.images = space::images(&spatial)?;
    }
    let factors = spatial.join("scalefactors_json.json");
    if factors.is_file() {
        slide.scalefactors = space::json(&factors)?;
    }
    slide.metadata.extend(metadata.into_iter().map(|(k, v)| (k, Value::String(v))));
    slide.add(&mut adata, source.library(stored_id));
    features::split_modalities(adata, rows, source.monitor)
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

/// Counts, their file, the name of the slide and what else is said of it.
struct Library {
    adata: AnnData,
    file: PathBuf,
    rows: Option<MatrixRows>,
    id: Option<String>,
    metadata: Vec<(String, String)>,
}

fn counts(folder: &Path, source: &Source<'_>) -> Result<Library, DataError> {
    match counts_file(folder) {
        Some(Counts::H5(path)) => {
            let (adata, rows) = tenx::counts(&path, source.options.genome.as_deref(), source.read.x)?;
            let (id, metadata) = tenx::library(&Hdf5Reader::open(&path)?)?;
            Ok(Library { adata, file: path, rows, id, metadata })
        }
        Some(Counts::Mtx(path)) => {
            let adata = mtx::folder_matrix(&path)?;
            Ok(Library { adata, file: path, rows: None, id: None, metadata: Vec::new() })
        }
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

/// Share of barcodes that may lack a position; where more do, the files do not belong together.
const MOST_UNPLACED: f64 = 0.05;

/// Puts positions beside counts; whether barcodes were left out.
fn positions(
    spatial: &Path,
    counts: &Path,
    adata: &mut AnnData,
    monitor: &dyn Monitor,
) -> Result<bool, DataError> {
    let path = positions_file(spatial)
        .ok_or_else(|| DataError::Missing { path: spatial.join("tissue_positions.csv") })?;
    let positions =
        if path.extension().is_some_and(|e| e == "parquet") { parquet(&path)? } else { table(&path)? };
    let placed: HashSet<&str> = positions.barcodes.iter().map(String::as_str).collect();
    let kept: Vec<usize> =
        (0..adata.n_obs()).filter(|&i| placed.contains(adata.obs_names()[i].as_str())).collect();
    let lacking = adata.n_obs() - kept.len();
    if lacking > 0 && lacking as f64 <= MOST_UNPLACED * adata.n_obs() as f64 {
        let example = adata.obs_names().iter().find(|name| !placed.contains(name.as_str()));
        monitor.warn(&format!(
            "{lacking} barcodes without a position in {} are left out, e.g. {:?}",
            path.display(),
            example.map_or("", String::as_str)
        ));
        *adata = adata.select_obs(&kept);
    }
    let rows = rows_by_id(adata.obs_names(), counts, &positions.barcodes, &path)?;
    let pick = |j: usize| -> Vec<f64> { rows.iter().map(|&i| positions.numbers[j][i]).collect() };
    for (j, key) in [keys::IN_TISSUE, keys::ARRAY_ROW, keys::ARRAY_COL].into_iter().enumerate() {
        let values = pick(j).iter().map(|&v| v as i64).collect();
        adata.obs.columns.insert(key.to_owned(), Column::Int(values));
    }
    let (y, x) = (pick(3), pick(4));
    adata.obsm.insert(keys::SPATIAL.to_owned(), space::pairs(&x, &y));
    Ok(lacking > 0)
}

fn table(path: &Path) -> Result<Positions, DataError> {
    let mut positions = Positions { barcodes: Vec::new(), numbers: Default::default() };
    for (line, record) in fields(path)?.rows.into_records().enumerate() {
        let record = record.map_err(|e| csv_error(path, e))?;
        // Space Ranger 2 gives the columns a header, 1 does not.
        if line == 0 && record.get(0) == Some("barcode") {
            continue;
        }
        let values: Option<Vec<f64>> = (1..6).map(|j| truth(record.get(j)?)).collect();
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
    let columns = parquet_table::columns(path, None)?;
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
