//! One line per molecule: counted by cell where the lines name one, by square where not.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use brodmann_kernels::{CsrMatrix, Monitor, Opt, OptionError};
use ndarray::Array2;

use super::space::{Slide, Unit};
use super::text::{csv_error, fields, header};
use super::{Bin, Opened, Platform, Source, ending_with, features};
use crate::{AnnData, DataError, DataFrame, keys};

/// A table of molecules, in no folder of a known instrument.
pub(super) struct Transcripts;

/// Side of the squares where nothing is said, in units of the coordinates (of most instruments micrometres).
const SIDE: u32 = 20;
/// Tables of molecules have few columns; tables of counts many.
const MOST_COLUMNS: usize = 24;
/// Names of columns.
const GENES: [&str; 6] = ["gene", "target", "feature_name", "geneID", "gene_name", "transcript"];
const X: [&str; 6] = ["global_x", "x_global_px", "x_location", "x", "x_um", "X"];
const Y: [&str; 6] = ["global_y", "y_global_px", "y_location", "y", "y_um", "Y"];

/// How molecules are put together.
pub(super) enum Grouping<'a> {
    /// By the values of these columns together; a line with one of `none` in the first belongs to no cell.
    Cells { keys: &'a [&'a str], none: &'a [&'a str] },
    /// By squares of this side.
    Squares(f64),
}

/// Which columns hold what.
pub(super) struct Spec<'a> {
    pub(super) gene: &'a str,
    pub(super) x: &'a str,
    pub(super) y: &'a str,
    /// How many molecules a line stands for, where there may be several.
    pub(super) count: Option<&'a str>,
    pub(super) grouping: Grouping<'a>,
}

/// Counts molecules. Cells are in the order of their first molecule and lie at the mean of their molecules; squares go from
/// left to right and row by row, and lie at their centres.
///
/// # Errors
/// [`DataError::Table`] with the line.
pub(super) fn count(path: &Path, spec: &Spec<'_>, monitor: &dyn Monitor) -> Result<AnnData, DataError> {
    let bad = |line: usize, found: String, expected: String| DataError::Table {
        path: path.to_path_buf(),
        line,
        found,
        expected,
    };
    let mut rows = fields(path)?.rows;
    let mut record = csv::StringRecord::new();
    // Lines that begin with # describe the file.
    loop {
        if !rows.read_record(&mut record).map_err(|e| csv_error(path, e))? {
            return Err(bad(1, "no header".to_owned(), "a header and one line per molecule".to_owned()));
        }
        if !record.get(0).is_some_and(|f| f.starts_with('#')) {
            break;
        }
    }
    let names: Vec<String> = record.iter().map(|f| f.trim().to_owned()).collect();
    let place = |name: &str| {
        names
            .iter()
            .position(|n| n.eq_ignore_ascii_case(name))
            .ok_or_else(|| bad(1, format!("columns {}", names.join(", ")), format!("a column {name}")))
    };
    let (gene_at, x_at, y_at) = (place(spec.gene)?, place(spec.x)?, place(spec.y)?);
    let count_at = spec.count.map(place).transpose()?;
    let keys_at = match &spec.grouping {
        Grouping::Cells { keys, .. } => keys.iter().map(|k| place(k)).collect::<Result<Vec<_>, _>>()?,
        Grouping::Squares(_) => Vec::new(),
    };
    let mut genes: HashMap<String, u32> = HashMap::new();
    let mut gene_names: Vec<String> = Vec::new();
    let mut groups: HashMap<String, u32> = HashMap::new();
    let mut squares: HashMap<(i64, i64), u32> = HashMap::new();
    let mut group_names: Vec<String> = Vec::new();
    let mut corners: Vec<(i64, i64)> = Vec::new();
    let mut sums: Vec<(f64, f64, f64)> = Vec::new();
    let mut entries: Vec<(u32, u32, f32)> = Vec::new();
    let (mut line, mut n_between) = (1usize, 0u64);
    while rows.read_record(&mut record).map_err(|e| csv_error(path, e))? {
        line += 1;
        if record.len() != names.len() {
            let found = format!("{} fields", record.len());
            return Err(bad(line, found, format!("{} as in the header", names.len())));
        }
        let field = |j: usize| record.get(j).map(str::trim).unwrap_or_default();
        let number = |j: usize| {
            let text = field(j);
            let value: Option<f64> = text.parse().ok().filter(|v: &f64| v.is_finite());
            value.ok_or_else(|| {
                bad(line, format!("{text:?} in the column {}", names[j]), "a number".to_owned())
            })
        };
        let (x, y) = (number(x_at)?, number(y_at)?);
        let molecules = count_at.map_or(Ok(1.0), number)?;
        let group = match &spec.grouping {
            Grouping::Cells { none, .. } => {
                let key: Vec<&str> = keys_at.iter().map(|&j| field(j)).collect();
                if key.first().is_none_or(|first| first.is_empty() || none.contains(first)) {
                    n_between += 1;
                    continue;
                }
                let key = key.join("_");
                let next = group_names.len() as u32;
                *groups.entry(key).or_insert_with_key(|key| {
                    group_names.push(key.clone());
                    next
                })
            }
            Grouping::Squares(side) => {
                let corner = ((y / side).floor() as i64, (x / side).floor() as i64);
                let next = corners.len() as u32;
                *squares.entry(corner).or_insert_with(|| {
                    corners.push(corner);
                    next
                })
            }
        };
        if group as usize == sums.len() {
            sums.push((0.0, 0.0, 0.0));
        }
        let sum = &mut sums[group as usize];
        *sum = (sum.0 + molecules * x, sum.1 + molecules * y, sum.2 + molecules);
        let gene = field(gene_at);
        let gene = if let Some(&g) = genes.get(gene) {
            g
        } else {
            let next = gene_names.len() as u32;
            gene_names.push(gene.to_owned());
            genes.insert(gene.to_owned(), next);
            next
        };
        entries.push((group, gene, molecules as f32));
    }
    if n_between > 0 {
        monitor.note(&format!("{n_between} of {} molecules lie in no cell and are left out", line - 1));
    }
    // Genes in the order of their names, squares in that of the picture.
    let mut by_name: Vec<u32> = (0..gene_names.len() as u32).collect();
    by_name.sort_by(|a, b| gene_names[*a as usize].cmp(&gene_names[*b as usize]));
    let rank = inverse(&by_name);
    let mut order: Vec<u32> = (0..sums.len() as u32).collect();
    if let Grouping::Squares(_) = spec.grouping {
        order.sort_by_key(|g| corners[*g as usize]);
    }
    let row_of = inverse(&order);
    for entry in &mut entries {
        *entry = (row_of[entry.0 as usize], rank[entry.1 as usize], entry.2);
    }
    let x = summed(&entries, order.len(), by_name.len());
    drop(entries);
    let (names, xy): (Vec<String>, Vec<(f64, f64)>) = order
        .iter()
        .map(|&g| match spec.grouping {
            Grouping::Cells { .. } => {
                let (x, y, n) = sums[g as usize];
                (group_names[g as usize].clone(), (x / n, y / n))
            }
            Grouping::Squares(side) => {
                let (row, column) = corners[g as usize];
                (format!("{column}_{row}"), ((column as f64 + 0.5) * side, (row as f64 + 0.5) * side))
            }
        })
        .unzip();
    let var = DataFrame::new(by_name.iter().map(|&g| gene_names[g as usize].clone()).collect());
    let mut adata = AnnData::new(x, DataFrame::new(names), var)?;
    let xy = Array2::from_shape_fn((xy.len(), 2), |(i, j)| if j == 0 { xy[i].0 } else { xy[i].1 });
    adata.obsm.insert(keys::SPATIAL.to_owned(), xy.into());
    Ok(adata)
}

fn inverse(order: &[u32]) -> Vec<u32> {
    let mut place = vec![0; order.len()];
    for (i, &o) in order.iter().enumerate() {
        place[o as usize] = i as u32;
    }
    place
}

/// Triplets as sparse rows, those of one place added up.
pub(super) fn summed(entries: &[(u32, u32, f32)], n_rows: usize, n_cols: usize) -> CsrMatrix<f32> {
    let mut starts = vec![0usize; n_rows + 1];
    for (row, ..) in entries {
        starts[*row as usize + 1] += 1;
    }
    for i in 0..n_rows {
        starts[i + 1] += starts[i];
    }
    let mut place = starts.clone();
    let mut sorted = vec![(0u32, 0f32); entries.len()];
    for &(row, column, value) in entries {
        let at = &mut place[row as usize];
        sorted[*at] = (column, value);
        *at += 1;
    }
    let mut x = CsrMatrix::with_capacity(n_cols, n_rows, 0);
    for i in 0..n_rows {
        let row = &mut sorted[starts[i]..starts[i + 1]];
        row.sort_by_key(|(column, _)| *column);
        let mut merged: Vec<(u32, f32)> = Vec::new();
        for &(column, value) in row.iter() {
            match merged.last_mut() {
                Some(last) if last.0 == column => last.1 += value,
                _ => merged.push((column, value)),
            }
        }
        x.push_row(merged);
    }
    x
}

/// The columns of a table of molecules, by its header.
fn columns_of(names: &[String]) -> Option<(String, String, String)> {
    let first = names.first().map_or("", String::as_str);
    // A table of counts begins with names of spots; one of molecules may with a row number.
    if names.len() > MOST_COLUMNS || ["cell", "barcode", "spot", "cell_id", "NAME"].contains(&first) {
        return None;
    }
    let find = |wanted: &[&str]| {
        let same = |w: &&str| names.iter().find(|n| n.eq_ignore_ascii_case(w)).cloned();
        wanted.iter().find_map(same)
    };
    Some((find(&GENES)?, find(&X)?, find(&Y)?))
}

fn table(path: &Path) -> Option<PathBuf> {
    let is_one = |path: &PathBuf| columns_of(&header(path)).is_some();
    if path.is_file() {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        let text = [".csv", ".tsv", ".txt", "transcripts"].iter().any(|e| plain.ends_with(e));
        return Some(path.to_path_buf()).filter(|p| text && is_one(p));
    }
    let endings = ["transcripts.csv", "transcripts.tsv", "transcripts.txt", "transcripts"];
    ending_with(path, &endings).into_iter().find(is_one)
}

impl Platform for Transcripts {
    fn names(&self) -> &'static [&'static str] {
        &["transcripts"]
    }

    fn looks_for(&self) -> &'static str {
        "a table of molecules (columns gene, x, y; also *transcripts* in a folder)"
    }

    fn takes(&self) -> &'static [&'static str] {
        &["bin"]
    }

    fn matches(&self, path: &Path) -> bool {
        table(path).is_some()
    }

    fn open(&self, source: &Source<'_>) -> Result<Opened, DataError> {
        let found = table(source.path);
        let names = found.as_deref().map(header).unwrap_or_default();
        let (Some(path), Some((gene, x, y))) = (found, columns_of(&names)) else {
            return Err(DataError::UnknownFormat {
                path: source.path.to_path_buf(),
                looked_for: self.looks_for().to_owned(),
            });
        };
        let side = side(source.options.bin, SIDE)?;
        source.monitor.note(&format!(
            "no table of cells: molecules of {} are counted in squares of {side} ({} says otherwise)",
            path.display(),
            Opt("bin")
        ));
        let grouping = Grouping::Squares(side);
        let spec = Spec { gene: &gene, x: &x, y: &y, count: None, grouping };
        let mut adata = count(&path, &spec, source.monitor)?;
        let unit = if x.ends_with("px") { Unit::Pixel } else { Unit::Micrometre };
        Slide::new(unit, Some(side)).add(&mut adata, source.library(None));
        Ok(Opened::of(features::without_controls(adata, source.monitor)))
    }
}

/// The side of squares: as asked, else `default`.
pub(super) fn side(asked: Option<Bin>, default: u32) -> Result<f64, DataError> {
    match asked {
        None => Ok(f64::from(default)),
        Some(Bin::Side(side)) if side > 0 => Ok(f64::from(side)),
        Some(Bin::Side(_)) => Err(OptionError::new("bin", 0, "a side of at least 1").into()),
        Some(Bin::Cells) => {
            Err(OptionError::new("bin", "cells of a table that names none", "the side of a square").into())
        }
    }
}
