//! CosMx flat files, as AtoMx exports them: <https://nanostring.com/products/cosmx-spatial-molecular-imager>.
//!
//! `*_exprMat_file.csv` joined to `*_metadata_file.csv` by field of view and cell, which only together name a cell; cell 0
//! is what lies between the cells. Without a matrix, molecules of `*_tx_file.csv` are counted cell by cell. Each prefix
//! is a slide. Coordinates are global pixels, or micrometres where the files have only millimetres. `*-polygons.csv` has the
//! outlines, in pixels.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::join::rows_by_id;
use super::polygons::Outlines;
use super::space::{Slide, Unit, typical_diameter};
use super::text::{columns, csv_error, fields, header};
use super::transcripts::{self, Grouping};
use super::{Opened, Platform, Source, ending_with, features, space, wide};
use crate::{AnnData, Column, DataError, DataFrame, Value, concat, keys};

pub(super) struct CosMx;

const COUNTS: &str = "exprmat_file.csv";
const CELLS: &str = "metadata_file.csv";
const MOLECULES: &str = "tx_file.csv";
const OUTLINES: &str = "polygons.csv";

/// The files of one slide.
struct Files {
    prefix: String,
    counts: Counts,
}

enum Counts {
    /// The matrix and the table of cells.
    Matrix(PathBuf, PathBuf),
    /// One line per molecule.
    Molecules(PathBuf),
}

/// What a file's name says before what all slides have.
fn prefix(path: &Path, ending: &str) -> String {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    plain[..plain.len().saturating_sub(ending.len())].trim_end_matches(['_', '-']).to_owned()
}

/// The slides in a folder: each prefix is one.
fn slides(folder: &Path) -> Vec<Files> {
    let tables = ending_with(folder, &[CELLS]);
    let mut slides: Vec<Files> = Vec::new();
    for counts in ending_with(folder, &[COUNTS]) {
        let name = prefix(&counts, COUNTS);
        if let Some(cells) = tables.iter().find(|table| prefix(table, CELLS) == name) {
            slides.push(Files { counts: Counts::Matrix(counts, cells.clone()), prefix: name });
        }
    }
    for molecules in ending_with(folder, &[MOLECULES]) {
        let name = prefix(&molecules, MOLECULES);
        let has = |wanted: &str| header(&molecules).iter().any(|n| n.eq_ignore_ascii_case(wanted));
        if slides.iter().all(|s| s.prefix != name) && has("fov") && has("cell_ID") && has("target") {
            slides.push(Files { prefix: name, counts: Counts::Molecules(molecules) });
        }
    }
    slides
}

impl Platform for CosMx {
    fn names(&self) -> &'static [&'static str] {
        &["cosmx"]
    }

    fn looks_for(&self) -> &'static str {
        "CosMx (*_exprMat_file.csv beside *_metadata_file.csv, or *_tx_file.csv)"
    }

    fn matches(&self, path: &Path) -> bool {
        path.is_dir() && !slides(path).is_empty()
    }

    fn open(&self, source: &Source<'_>) -> Result<Opened, DataError> {
        let slides = slides(source.path);
        if slides.is_empty() {
            return Err(DataError::UnknownFormat {
                path: source.path.to_path_buf(),
                looked_for: self.looks_for().to_owned(),
            });
        }
        let several = slides.len() > 1;
        let mut parts = Vec::with_capacity(slides.len());
        for files in &slides {
            let mut slide = match &files.counts {
                Counts::Matrix(counts, cells) => of_matrix(source, counts, cells)?,
                Counts::Molecules(path) => of_molecules(source, path)?,
            };
            let said = Some(files.prefix.clone()).filter(|p| !p.is_empty());
            let name = if several { said.unwrap_or_default() } else { source.library(said) };
            let unit = if slide.1 { Unit::Micrometre } else { Unit::Pixel };
            let areas = slide.0.obs.columns.get("Area").and_then(Column::to_f64).unwrap_or_default();
            // Areas are in pixels.
            let diameter = typical_diameter(&areas).filter(|_| unit == Unit::Pixel);
            let mut drawn = Slide::new(unit, diameter);
            if source.wants_pictures() && unit == Unit::Pixel {
                let tables = ending_with(source.path, &[OUTLINES]);
                let own = tables.iter().find(|table| prefix(table, OUTLINES) == files.prefix);
                if let Some(outlines) =
                    own.map(|table| outlines(source, table, &slide.0)).transpose()?.flatten()
                {
                    drawn.boundaries.insert(keys::CELL_BOUNDARIES.to_owned(), outlines);
                }
            }
            drawn.add(&mut slide.0, name.clone());
            parts.push((name, features::without_controls(slide.0, source.monitor)));
        }
        if !several && let Some((_, adata)) = parts.pop() {
            return Ok(Opened::of(adata));
        }
        let named: Vec<(&str, &AnnData)> = parts.iter().map(|(name, a)| (name.as_str(), a)).collect();
        source.monitor.note(&format!("{} slides: {}", named.len(), names_of(&named)));
        let joined = concat(&named, keys::LIBRARY_ID)?;
        Ok(Opened { library_key: Some(keys::LIBRARY_ID.to_owned()), ..Opened::of(joined) })
    }
}

fn names_of(parts: &[(&str, &AnnData)]) -> String {
    parts.iter().map(|(name, a)| format!("{name} ({} cells)", a.n_obs())).collect::<Vec<_>>().join(", ")
}

/// A cell's name, as spatialdata-io writes it: its number, then its field of view.
fn cell_name(fov: &str, cell: &str) -> String {
    format!("{cell}_{fov}")
}

fn place(header: &[String], name: &str) -> Option<usize> {
    // Some exports have cell_ID and cell_id, which are not the same.
    header.iter().position(|h| h == name).or_else(|| header.iter().position(|h| h.eq_ignore_ascii_case(name)))
}

/// The outlines of the cells of a slide, where the table has them in the pixels that the cells are in; row by row, since it
/// has fifty for each cell.
fn outlines(source: &Source<'_>, table: &Path, slide: &AnnData) -> Result<Option<Value>, DataError> {
    let names = header(table);
    let of = |wanted: &[&str]| wanted.iter().find_map(|name| place(&names, name));
    let (Some(fov_at), Some(cell_at), Some(x_at), Some(y_at)) =
        (of(&["fov"]), of(&["cellID", "cell_ID"]), of(&["x_global_px"]), of(&["y_global_px"]))
    else {
        return Ok(None);
    };
    let known: HashSet<&str> = slide.obs_names().iter().map(String::as_str).collect();
    let mut outlines = Outlines::default();
    let mut rows = fields(table)?.rows;
    let mut record = csv::StringRecord::new();
    // The cell of the row before, and whether it is one of the slide.
    let (mut last, mut wanted) = ((String::new(), String::new()), false);
    let mut line = 1;
    rows.read_record(&mut record).map_err(|e| csv_error(table, e))?;
    while rows.read_record(&mut record).map_err(|e| csv_error(table, e))? {
        line += 1;
        let field = |at: usize| record.get(at).unwrap_or_default().trim();
        let (fov, cell) = (field(fov_at), field(cell_at));
        if last.0 != fov || last.1 != cell {
            last = (fov.to_owned(), cell.to_owned());
            let name = cell_name(fov, cell);
            wanted = known.contains(name.as_str());
            if wanted {
                outlines.begin(name);
            }
        }
        if wanted {
            let number = |at: usize| {
                field(at).parse::<f64>().map_err(|_| DataError::Table {
                    path: table.to_path_buf(),
                    line,
                    found: format!("{:?} in the column {}", field(at), names[at]),
                    expected: "a number".to_owned(),
                })
            };
            outlines.extend((number(x_at)?, number(y_at)?));
        }
    }
    let places: Vec<f64> = slide.obsm_f64(keys::SPATIAL)?.iter().copied().collect();
    if !outlines.lie_at(slide.obs_names(), &places) {
        let note = "does not outline the cells where the other tables place them, and is left out";
        source.monitor.note(&[&table.display().to_string(), note].join(" "));
        return Ok(None);
    }
    Ok(Some(outlines.stored(slide.obs_names())))
}

/// Counts and cells; the second value says whether coordinates are micrometres.
fn of_matrix(source: &Source<'_>, counts: &Path, cells: &Path) -> Result<(AnnData, bool), DataError> {
    let keys_of = |header: &[String]| {
        let found = [place(header, "fov"), place(header, "cell_ID")].into_iter().collect::<Option<Vec<_>>>();
        let mut found = found.ok_or("the columns fov and cell_ID")?;
        // Some exports repeat the whole name beside its parts.
        let spare = ["cell", "cell_id", "cell_id_global", "slide_id"];
        let is_spare =
            |j: &usize| spare.iter().any(|s| header[*j].eq_ignore_ascii_case(s)) && !found.contains(j);
        let spare: Vec<usize> = (0..header.len()).filter(is_spare).collect();
        found.extend(spare);
        Ok(found)
    };
    let n_between = std::cell::Cell::new(0usize);
    let wants = |ids: &[&str]| {
        let is_cell = ids.get(1).is_some_and(|id| *id != "0");
        n_between.set(n_between.get() + usize::from(!is_cell));
        is_cell
    };
    let wide::Wide { ids, features, counts: x } = wide::read(counts, &keys_of, &wants)?;
    if n_between.get() > 0 {
        source
            .monitor
            .note(&format!("{} rows of cell 0 set aside: molecules between the cells", n_between.get()));
    }
    let names: Vec<String> = ids[0].iter().zip(&ids[1]).map(|(fov, cell)| cell_name(fov, cell)).collect();
    let mut table = columns(cells)?;
    let lacking = |name: &str| DataError::MissingKey {
        container: "metadata".to_owned(),
        key: name.to_owned(),
        place: cells.display().to_string(),
        existing: Vec::new(),
        named_by: None,
        otherwise: Vec::new(),
    };
    let names_of_columns: Vec<String> = table.keys().cloned().collect();
    let find = |name: &str| place(&names_of_columns, name).map(|j| names_of_columns[j].clone());
    let fov_key = find("fov").ok_or_else(|| lacking("fov"))?;
    let cell_key = find("cell_ID").ok_or_else(|| lacking("cell_ID"))?;
    let texts = |key: &str| table[key].to_strings().into_iter().map(Option::unwrap_or_default);
    let table_names: Vec<String> =
        texts(&fov_key).zip(texts(&cell_key)).map(|(fov, cell)| cell_name(&fov, &cell)).collect();
    let rows = rows_by_id(&names, counts, &table_names, cells)?;
    let spare = table_names.len() - rows.len();
    if spare > 0 {
        source.monitor.note(&format!("{spare} cells of {} have no counts and are left out", cells.display()));
    }
    let (x_key, y_key, micrometres) =
        if let (Some(x), Some(y)) = (find("CenterX_global_px"), find("CenterY_global_px")) {
            (x, y, false)
        } else if let (Some(x), Some(y)) = (find("CenterX_global_mm"), find("CenterY_global_mm")) {
            (x, y, true)
        } else if let (Some(x), Some(y)) = (find("x_slide_mm"), find("y_slide_mm")) {
            (x, y, true)
        } else {
            return Err(lacking("CenterX_global_px"));
        };
    let axis = |key: &str| -> Result<Vec<f64>, DataError> {
        let values = table[key].to_f64().ok_or_else(|| lacking(key))?;
        let scale = if micrometres { 1000.0 } else { 1.0 };
        Ok(rows.iter().map(|&i| scale * values[i]).collect())
    };
    let coordinates = space::pairs(&axis(&x_key)?, &axis(&y_key)?);
    for key in [&x_key, &y_key] {
        table.shift_remove(key);
    }
    let mut adata = AnnData::new(x, DataFrame::new(names), DataFrame::new(features))?;
    adata.obsm.insert(keys::SPATIAL.to_owned(), coordinates);
    for (name, column) in table {
        adata.obs.columns.insert(name, column.select_rows(&rows));
    }
    Ok((adata, micrometres))
}

/// Molecules counted cell by cell, each cell at their mean position.
fn of_molecules(source: &Source<'_>, path: &Path) -> Result<(AnnData, bool), DataError> {
    let monitor = source.monitor;
    monitor.note(&format!("no matrix of counts: molecules of {} are counted cell by cell", path.display()));
    let spec = transcripts::Spec {
        gene: "target",
        x: "x_global_px",
        y: "y_global_px",
        count: None,
        grouping: Grouping::Cells { keys: &["cell_ID", "fov"], none: &["0"] },
    };
    Ok((transcripts::count(path, &spec, monitor)?, false))
}
