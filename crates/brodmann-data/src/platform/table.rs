//! Counts and coordinates as tables: text of any separator, gzipped or not, or Parquet.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use brodmann_kernels::{CsrMatrix, Monitor, Opt, Silent};
use indexmap::IndexMap;
use ndarray::Array2;

use super::join::{require_unique, rows_by_id};
use super::text::{csv_error, fields, plain_name};
use super::{Opened, Platform, Source, parquet_table};
use crate::{AnnData, Column, DataError, DataFrame, keys};

/// What a row of the counts table is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Orientation {
    /// A spot, unless the coordinates' names say that the columns are.
    #[default]
    Auto,
    /// A spot; the columns are genes.
    SpotsInRows,
    /// A gene; the columns are spots.
    GenesInRows,
}

/// How tables are read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableOptions {
    /// A table of coordinates, by spot name (or, where it has no names, in the order of the spots). Without it the
    /// counts table must hold the coordinates.
    pub coordinates: Option<PathBuf>,
    /// What a row of the counts is.
    pub orientation: Orientation,
    /// Names of the coordinate columns, where they are not among the usual ones.
    pub coordinate_columns: Option<Vec<String>>,
}

/// Pairs of names coordinates go by.
const COORDINATES: [[&str; 2]; 12] = [
    ["x", "y"],
    ["spatial_x", "spatial_y"],
    ["x_centroid", "y_centroid"],
    ["center_x", "center_y"],
    ["centerx_global_px", "centery_global_px"],
    ["x_global_px", "y_global_px"],
    ["global_x", "global_y"],
    ["pxl_col_in_fullres", "pxl_row_in_fullres"],
    ["imagecol", "imagerow"],
    ["sdimx", "sdimy"],
    ["pixel_x", "pixel_y"],
    ["spatial1", "spatial2"],
];

/// Reads a table of counts, and coordinates beside or inside it.
///
/// # Inputs
/// One row per spot (or per gene), its name in the first column. Columns that are not numbers go to `obs`.
/// # Returns
/// `X` CSR `f32`, `obsm["spatial"]`, other columns of the coordinates in `obs`.
/// # Errors
/// [`DataError::Table`] with the line; [`DataError::MissingKey`] where no coordinates are found.
pub fn read_table(counts: impl AsRef<Path>, options: &TableOptions) -> Result<AnnData, DataError> {
    read_table_noting(counts.as_ref(), options, &Silent)
}

/// [`read_table`], with what was taken for granted said.
pub(super) fn read_table_noting(
    path: &Path,
    options: &TableOptions,
    monitor: &dyn Monitor,
) -> Result<AnnData, DataError> {
    let coordinates = options.coordinates.as_deref().map(load).transpose()?;
    let mut table = load(path)?;
    let flip = match options.orientation {
        Orientation::SpotsInRows => false,
        Orientation::GenesInRows => true,
        Orientation::Auto => {
            coordinates.as_ref().map_or(places_by_name(table.columns.keys()).is_some(), |c| {
                // Without names the numbers of rows have to tell.
                if !c.named {
                    return c.names.len() == table.columns.len() && c.names.len() != table.names.len();
                }
                let spots: std::collections::HashSet<&str> = c.names.iter().map(String::as_str).collect();
                let rows = table.names.iter().filter(|n| spots.contains(n.as_str())).count();
                let columns = table.columns.keys().filter(|n| spots.contains(n.as_str())).count();
                columns > rows
            })
        }
    };
    let mut obs_columns: IndexMap<String, Column> = IndexMap::new();
    let mut inside: Option<Array2<f64>> = None;
    if !flip {
        let names: Vec<String> = table.columns.keys().cloned().collect();
        let found = coordinate_names(&names, options.coordinate_columns.as_deref());
        if let (None, Some(found)) = (&coordinates, found) {
            // Whoever named them may look for them in obs as well.
            for name in options.coordinate_columns.iter().flatten() {
                obs_columns.extend(table.columns.get(name).map(|column| (name.clone(), column.clone())));
            }
            inside = Some(take_coordinates(path, &mut table.columns, &found)?);
        }
        let texts: Vec<String> =
            table.columns.iter().filter(|(_, c)| c.to_f64().is_none()).map(|(n, _)| n.clone()).collect();
        for name in texts {
            if let Some(column) = table.columns.shift_remove(&name) {
                obs_columns.insert(name, column);
            }
        }
    }
    if table.named {
        require_unique(&table.names, path)?;
    }
    // Genes of one name are told apart by a number; spots of one name are a mistake.
    let spots_repeat = |example: &str| flip || place_by_name(example).is_some();
    if let Some((count, example)) = table.repeated.take().filter(|(_, example)| spots_repeat(example)) {
        return Err(DataError::RepeatedIds { path: path.to_path_buf(), count, example });
    }
    let n_rows = table.names.len();
    let mut genes = Vec::with_capacity(table.columns.len());
    let mut rows: Vec<Vec<(u32, f32)>> = vec![Vec::new(); n_rows];
    for (j, (name, column)) in table.columns.into_iter().enumerate() {
        let values = column.to_f64().ok_or_else(|| DataError::Table {
            path: path.to_path_buf(),
            line: 0,
            found: format!("texts in the column {name:?}"),
            expected: "counts".to_owned(),
        })?;
        for (i, (row, &v)) in rows.iter_mut().zip(&values).enumerate() {
            if !(v as f32).is_finite() {
                let found = if v.is_nan() { "no number".to_owned() } else { format!("{v:e}") };
                return Err(DataError::Table {
                    path: path.to_path_buf(),
                    line: 0,
                    found: format!("{found} in the row {:?}, column {name:?}", table.names[i]),
                    expected: "a finite number in each place".to_owned(),
                });
            }
            if v != 0.0 {
                row.push((j as u32, v as f32));
            }
        }
        genes.push(name);
    }
    let x = CsrMatrix::from_rows(genes.len(), &rows);
    drop(rows);
    let (x, obs, var) = if flip {
        (x.view().transpose(), DataFrame::new(genes), DataFrame::new(table.names))
    } else {
        (x, DataFrame::new(table.names), DataFrame::new(genes))
    };
    let mut adata = AnnData::new(x, obs, var)?;
    adata.obs.columns = obs_columns;
    match (coordinates, inside) {
        (Some(coordinates), _) => {
            let file = options.coordinates.as_deref().unwrap_or(path);
            attach(&mut adata, coordinates, file, options, monitor)?;
        }
        (None, Some(xy)) => {
            adata.obsm.insert(keys::SPATIAL.to_owned(), xy.into());
        }
        (None, None) => {
            if let Some(xy) = places_by_name(adata.obs_names().iter()) {
                monitor.note("coordinates taken from the names of the spots (columnxrow)");
                adata.obsm.insert(keys::SPATIAL.to_owned(), xy.into());
            }
        }
    }
    Ok(adata)
}

/// A name like `12x34`.
pub(super) fn place_by_name(name: &str) -> Option<(u32, u32)> {
    let (x, y) = name.split_once('x')?;
    Some((x.parse().ok()?, y.parse().ok()?))
}

/// Coordinates where every name is `12x34`, as DBiT-seq and Spatial Transcriptomics name their spots.
fn places_by_name<'a>(names: impl Iterator<Item = &'a String>) -> Option<Array2<f64>> {
    let pairs: Option<Vec<_>> = names.map(|name| place_by_name(name)).collect();
    let pairs = pairs.filter(|pairs| !pairs.is_empty())?;
    Some(Array2::from_shape_fn((pairs.len(), 2), |(i, j)| {
        f64::from(if j == 0 { pairs[i].0 } else { pairs[i].1 })
    }))
}

/// A table of counts, with its coordinates beside or inside it.
pub(super) struct Table;

impl Platform for Table {
    fn names(&self) -> &'static [&'static str] {
        &["table"]
    }

    fn looks_for(&self) -> &'static str {
        "a table of counts (.csv, .tsv, .txt, .parquet, also .gz or alone in a .zip)"
    }

    fn takes(&self) -> &'static [&'static str] {
        &TAKES
    }

    fn matches(&self, path: &Path) -> bool {
        path.is_file() && is_table(path)
    }

    fn open(&self, source: &Source<'_>) -> Result<Opened, DataError> {
        read_table_noting(source.path, &source.options.table, source.monitor).map(Opened::of)
    }
}

/// What is said of tables beside their paths.
pub(super) const TAKES: [&str; 2] = ["coordinates", "transposed"];

/// Whether a name is that of a table.
pub(super) fn is_table(path: &Path) -> bool {
    let name = plain_name(path);
    [".csv", ".tsv", ".txt", ".parquet"].iter().any(|ending| name.ends_with(ending))
}

/// Whether a table has columns of coordinates, or is one of two columns of numbers.
pub(super) fn holds_coordinates(path: &Path) -> bool {
    let header = super::text::header(path);
    let headless = header.len() == 2 && header.iter().all(|f| f.parse::<f64>().is_ok());
    headless || coordinate_names(&header, None).is_some()
}

/// Puts the coordinates of a table beside counts.
pub(super) fn attach_table(
    adata: &mut AnnData,
    path: &Path,
    options: &TableOptions,
    monitor: &dyn Monitor,
) -> Result<(), DataError> {
    let table = load(path)?;
    attach(adata, table, path, options, monitor)
}

/// The numbers of a table whose rows are named: of `ids` (those of the file `of`), in their order, joined by name.
///
/// Text with a header, or Parquet. The first column of text, or the index, names the rows.
///
/// # Returns
/// Names of the columns, and `(ids, columns)`.
/// # Errors
/// [`DataError::Table`] for rows without names, an id without a row, and columns that are not numbers;
/// [`DataError::RepeatedIds`].
pub fn read_named_rows(
    path: &Path,
    ids: &[String],
    of: &Path,
) -> Result<(Vec<String>, Array2<f64>), DataError> {
    let Loaded { names, named, columns, .. } = load(path)?;
    let unfit = |found: String, expected: &str| DataError::Table {
        path: path.to_path_buf(),
        line: 0,
        found,
        expected: expected.to_owned(),
    };
    if !named {
        return Err(unfit("rows without names".to_owned(), "a first column with the names of the spots"));
    }
    let rows = rows_by_id(ids, of, &names, path)?;
    let mut numbers = Array2::zeros((ids.len(), columns.len()));
    for (mut out, (name, column)) in numbers.columns_mut().into_iter().zip(&columns) {
        let values = column.to_f64().ok_or_else(|| {
            unfit(format!("the column {name:?} of texts"), "columns of numbers beside the names of the spots")
        })?;
        out.iter_mut().zip(&rows).for_each(|(out, &row)| *out = values[row]);
    }
    Ok((columns.into_keys().collect(), numbers))
}

/// A table with named rows.
struct Loaded {
    names: Vec<String>,
    /// The first column was a name column.
    named: bool,
    /// How many titles of columns repeat, and one of them.
    repeated: Option<(usize, String)>,
    columns: IndexMap<String, Column>,
}

fn load(path: &Path) -> Result<Loaded, DataError> {
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("parquet")) {
        let mut columns = parquet_table::columns(path, None)?;
        let text = columns.iter().find(|(_, c)| matches!(c, Column::String(_))).map(|(n, _)| n.clone());
        let index = ["__index_level_0__", "index", "barcode", "cell_id"].iter().map(|s| (*s).to_owned());
        let key = index.into_iter().find(|k| columns.contains_key(k)).or(text);
        let len = columns.first().map_or(0, |(_, c)| c.len());
        let named = key.is_some();
        let names = match key.and_then(|k| columns.shift_remove(&k)) {
            Some(c) => c.to_strings().into_iter().map(Option::unwrap_or_default).collect(),
            None => (0..len).map(|i| i.to_string()).collect(),
        };
        return Ok(Loaded { names, named, repeated: None, columns });
    }
    let mut records = fields(path)?.rows.into_records();
    let bad = |line: usize, found: String, expected: String| DataError::Table {
        path: path.to_path_buf(),
        line,
        found,
        expected,
    };
    let header: Vec<String> = match records.next() {
        Some(r) => r.map_err(|e| csv_error(path, e))?.iter().map(|f| f.trim().to_owned()).collect(),
        None => return Err(bad(1, "an empty file".to_owned(), "a header and rows".to_owned())),
    };
    // A first line of numbers is no header.
    let headless = header.len() > 1 && header.iter().all(|f| f.parse::<f64>().is_ok());
    let mut rows: Vec<csv::StringRecord> = Vec::new();
    if headless {
        rows.push(csv::StringRecord::from(header.clone()));
    }
    for (i, record) in records.enumerate() {
        let record = record.map_err(|e| csv_error(path, e))?;
        if record.len() == 1 && record.get(0).is_some_and(|f| f.trim().is_empty()) {
            continue;
        }
        // Types of columns, as the single-cell portal writes them under the header.
        if i == 0 && record.get(0) == Some("TYPE") {
            continue;
        }
        rows.push(record);
    }
    let width = rows.first().map_or(header.len(), csv::StringRecord::len);
    let titles: Vec<String> = if headless {
        (0..width)
            .map(|j| if width == 2 { ["x", "y"][j].to_owned() } else { format!("column {}", j + 1) })
            .collect()
    } else if header.len() + 1 == width {
        // R writes no title over the row names.
        std::iter::once(String::new()).chain(header).collect()
    } else {
        header
    };
    if let Some((i, record)) = rows.iter().enumerate().find(|(_, r)| r.len() != titles.len()) {
        let at = i + 1 + usize::from(!headless);
        return Err(bad(
            at,
            format!("{} fields", record.len()),
            format!("{} as in the header", titles.len()),
        ));
    }
    // The first column names the rows, unless it is a coordinate.
    let is_coordinate = |t: &str| COORDINATES.iter().flatten().any(|c| t.eq_ignore_ascii_case(c));
    let lone_x = |t: &str| t == "X" && !titles.iter().any(|t| t == "Y");
    let named =
        !headless && titles.first().is_some_and(|t| !is_coordinate(t) || lone_x(t)) && titles.len() > 1;
    let names = if named {
        rows.iter().map(|r| r.get(0).unwrap_or_default().to_owned()).collect()
    } else {
        (0..rows.len()).map(|i| i.to_string()).collect()
    };
    let mut columns = IndexMap::new();
    let mut repeats: HashMap<String, usize> = HashMap::new();
    let mut repeated: Option<(usize, String)> = None;
    for (j, title) in titles.into_iter().enumerate().skip(usize::from(named)) {
        let column = text_column(rows.iter().map(|r| r.get(j).unwrap_or_default().trim()));
        let mut unique = title.clone();
        if columns.contains_key(&unique) {
            repeated.get_or_insert((0, title.clone())).0 += 1;
        }
        while columns.contains_key(&unique) {
            let n = repeats.entry(title.clone()).or_insert(0usize);
            *n += 1;
            unique = format!("{title}-{n}");
        }
        columns.insert(unique, column);
    }
    Ok(Loaded { names, named, repeated, columns })
}

/// Whole numbers, numbers, or texts: the first that fits every field.
fn text_column<'a>(fields: impl Iterator<Item = &'a str> + Clone) -> Column {
    let missing = |f: &str| matches!(f, "" | "NA" | "NaN" | "nan" | "null" | "None");
    if let Some(v) = fields.clone().map(|f| f.parse::<i64>().ok()).collect::<Option<Vec<_>>>() {
        return Column::Int(v);
    }
    let number = |f: &str| if missing(f) { Some(f64::NAN) } else { f.parse::<f64>().ok() };
    if let Some(v) = fields.clone().map(number).collect::<Option<Vec<_>>>() {
        return Column::Float64(v);
    }
    Column::String(fields.map(|f| (!missing(f)).then(|| f.to_owned())).collect())
}

/// The columns that hold coordinates, among names of columns.
pub fn coordinate_columns(names: &[String]) -> Option<Vec<String>> {
    coordinate_names(names, None)
}

fn coordinate_names(titles: &[String], given: Option<&[String]>) -> Option<Vec<String>> {
    if let Some(given) = given {
        return given.iter().all(|g| titles.contains(g)).then(|| given.to_vec());
    }
    let find = |name: &str| titles.iter().find(|t| t.eq_ignore_ascii_case(name)).cloned();
    COORDINATES.iter().find_map(|[x, y]| Some(vec![find(x)?, find(y)?]))
}

fn take_coordinates(
    path: &Path,
    columns: &mut IndexMap<String, Column>,
    names: &[String],
) -> Result<Array2<f64>, DataError> {
    let mut axes = Vec::new();
    for name in names {
        let values = columns.shift_remove(name).and_then(|c| c.to_f64()).ok_or_else(|| DataError::Table {
            path: path.to_path_buf(),
            line: 0,
            found: format!("texts in the column {name:?}"),
            expected: "coordinates".to_owned(),
        })?;
        axes.push(values);
    }
    let n = axes.first().map_or(0, Vec::len);
    Ok(Array2::from_shape_fn((n, axes.len()), |(i, j)| axes[j][i]))
}

/// Puts coordinates beside the counts, by name where both have names.
fn attach(
    adata: &mut AnnData,
    mut table: Loaded,
    path: &Path,
    options: &TableOptions,
    monitor: &dyn Monitor,
) -> Result<(), DataError> {
    if table.named {
        require_unique(&table.names, path)?;
    }
    let titles: Vec<String> = table.columns.keys().cloned().collect();
    let names = coordinate_names(&titles, options.coordinate_columns.as_deref()).ok_or_else(|| {
        DataError::MissingKey {
            container: "coordinates".to_owned(),
            key: options.coordinate_columns.as_ref().map_or_else(|| "x, y".to_owned(), |c| c.join(", ")),
            place: path.display().to_string(),
            existing: titles,
            named_by: Some(Opt("spatial_columns")),
            otherwise: vec!["call the columns of the coordinates x and y".to_owned()],
        }
    })?;
    let named: Vec<(String, Column)> = options
        .coordinate_columns
        .iter()
        .flatten()
        .filter_map(|name| Some((name.clone(), table.columns.get(name)?.clone())))
        .collect();
    let xy = take_coordinates(path, &mut table.columns, &names)?;
    table.columns.extend(named);
    let place: HashMap<&str, usize> = table.names.iter().enumerate().map(|(i, n)| (n.as_str(), i)).collect();
    let by_name: Option<Vec<usize>> =
        adata.obs.index.iter().map(|n| place.get(n.as_str()).copied()).collect();
    let rows = match by_name {
        Some(rows) => rows,
        None if !table.named && table.names.len() == adata.n_obs() => {
            monitor.warn(&format!(
                "{} names no spots: its rows are taken in the order of the counts; add the names as a first column to be sure",
                path.display()
            ));
            (0..adata.n_obs()).collect()
        }
        None => {
            let known = adata.obs.index.iter().filter(|n| place.contains_key(n.as_str())).count();
            let without = adata.obs.index.iter().find(|n| !place.contains_key(n.as_str()));
            return Err(DataError::Table {
                path: path.to_path_buf(),
                line: 0,
                found: format!(
                    "coordinates for {known} of {} spots (none for {:?})",
                    adata.n_obs(),
                    without.map_or("", String::as_str)
                ),
                expected: "one row per spot".to_owned(),
            });
        }
    };
    adata.obsm.insert(keys::SPATIAL.to_owned(), xy.select(ndarray::Axis(0), &rows).into());
    for (name, column) in table.columns {
        adata.obs.columns.insert(name, column.select_rows(&rows));
    }
    Ok(())
}
