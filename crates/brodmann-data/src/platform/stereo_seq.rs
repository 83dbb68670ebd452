//! Stereo-seq (SAW): `.gef` by square or by cell, and `.gem` text: <https://stereotoolss.github.io>.
//!
//! A square GEF holds `geneExp/bin<N>/expression` (records x, y, count) and `gene` (records of a name and the range of its
//! expression records); a cell GEF `cellBin/cell` and `cellBin/cellExp`. Positions count spots of the chip, whose distance
//! (500 or 715 nm) the file gives; coordinates here are micrometres.

use std::path::{Path, PathBuf};

use brodmann_kernels::{Opt, OptionError};
use ndarray::Array2;
use rustc_hash::FxHashMap;

use super::space::{Slide, Unit, typical_diameter};
use super::text::header;
use super::transcripts::{self, Grouping, Spec, side, summed};
use super::{Bin, Opened, Platform, Source, ending_with, features, note_choice};
use crate::hdf5::{Hdf5Reader, Records};
use crate::memory::{MAX_EXPANSION, allow};
use crate::scverse::join;
use crate::store::{NodeKind, Store};
use crate::{AnnData, Array, Column, DataError, DataFrame, keys};

pub(super) struct StereoSeq;

/// Spots of the chip along the squares that are taken where nothing is said: 25 micrometres.
const DEFAULT_BIN: u32 = 50;
/// Nanometres between spots of the chip, where the file does not say.
const PITCH_NM: f64 = 500.0;

const SQUARES: &str = "geneExp";
const CELLS: &str = "cellBin";

/// Records read at a time.
const BLOCK: usize = 1 << 20;

/// No chip has more spots along a side.
const FARTHEST: f64 = (1u64 << 40) as f64;

enum Kind {
    Gef(PathBuf),
    Gem(PathBuf),
}

fn is_gef(path: &Path) -> bool {
    Hdf5Reader::open(path).is_ok_and(|store| {
        [SQUARES, "cellBin/cell"].iter().any(|node| store.node(node).is_ok_and(|found| found.is_some()))
    })
}

fn locate(path: &Path, bin: Option<Bin>) -> Option<Kind> {
    if path.is_dir() {
        let all: Vec<PathBuf> = ending_with(path, &[".gef"]).into_iter().filter(|p| is_gef(p)).collect();
        let has = |p: &Path, node: &str| {
            Hdf5Reader::open(p).is_ok_and(|store| store.node(node).is_ok_and(|found| found.is_some()))
        };
        let of_kind = |cells: bool| {
            let node = if cells { "cellBin/cell" } else { SQUARES };
            let mut those: Vec<&PathBuf> = all.iter().filter(|p| has(p, node)).collect();
            // Squares under tissue before those of the whole chip, adjusted cells before others.
            let better = if cells { ".adjusted." } else { ".tissue." };
            those.sort_by_key(|p| !p.to_string_lossy().contains(better));
            those.first().map(|p| (*p).clone())
        };
        let gef = of_kind(bin == Some(Bin::Cells)).or_else(|| of_kind(bin != Some(Bin::Cells)));
        return gef.map(Kind::Gef).or_else(|| ending_with(path, &[".gem"]).into_iter().next().map(Kind::Gem));
    }
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    if Path::new(plain).extension().is_some_and(|e| e == "gem") {
        return Some(Kind::Gem(path.to_path_buf()));
    }
    is_gef(path).then(|| Kind::Gef(path.to_path_buf()))
}

impl Platform for StereoSeq {
    fn names(&self) -> &'static [&'static str] {
        &["stereo-seq"]
    }

    fn looks_for(&self) -> &'static str {
        "Stereo-seq (.gef with geneExp or cellBin, or .gem)"
    }

    fn takes(&self) -> &'static [&'static str] {
        &["bin"]
    }

    fn matches(&self, path: &Path) -> bool {
        locate(path, None).is_some()
    }

    fn open(&self, source: &Source<'_>) -> Result<Opened, DataError> {
        let found = locate(source.path, source.options.bin).ok_or_else(|| DataError::UnknownFormat {
            path: source.path.to_path_buf(),
            looked_for: self.looks_for().to_owned(),
        })?;
        let (Kind::Gef(taken) | Kind::Gem(taken)) = &found;
        if source.path.is_dir() {
            source.monitor.note(&format!("{} taken", taken.display()));
        }
        let (mut adata, diameter) = match found {
            Kind::Gem(path) => gem(source, &path)?,
            Kind::Gef(path) => {
                let store = Hdf5Reader::open(&path)?;
                let has_squares = store.node(SQUARES)?.is_some();
                let has_cells = store.node(&join(CELLS, "cell"))?.is_some();
                match source.options.bin {
                    Some(Bin::Cells) if !has_cells => {
                        let found = format!("cells of {}, which has squares alone", path.display());
                        return Err(OptionError::new(
                            "bin",
                            found,
                            "a side, or the file of cells (.cellbin.gef)",
                        )
                        .into());
                    }
                    Some(Bin::Side(side)) if !has_squares => {
                        let found = format!("{side} for {}, which has cells alone", path.display());
                        return Err(
                            OptionError::new("bin", found, "cells, or the file of squares (.gef)").into()
                        );
                    }
                    Some(Bin::Cells) => cells(&store)?,
                    None if !has_squares => cells(&store)?,
                    _ => squares(source, &store)?,
                }
            }
        };
        Slide::new(Unit::Micrometre, diameter).add(&mut adata, source.library(None));
        adata = features::without_controls(adata, source.monitor);
        Ok(Opened::of(adata))
    }
}

/// A field of records.
fn field(store: &Hdf5Reader, path: &str, names: &[&str]) -> Result<Array, DataError> {
    for name in names {
        if let Some(values) = store.field(path, name)? {
            return Ok(values);
        }
    }
    Err(DataError::Kind {
        element: path.to_owned(),
        found: "records without that field".to_owned(),
        expected: format!("a field {}", names.join(" or ")),
    })
}

fn numbers(store: &Hdf5Reader, path: &str, name: &str) -> Result<Vec<f64>, DataError> {
    let values = field(store, path, &[name])?;
    values.to_f64().map(|v| v.into_iter().collect()).ok_or_else(|| DataError::Kind {
        element: format!("{path}[{name:?}]"),
        found: "texts".to_owned(),
        expected: "numbers".to_owned(),
    })
}

/// Names of genes, and the range of the records of each.
fn genes(
    store: &Hdf5Reader,
    path: &str,
    counts: &[&str],
) -> Result<(DataFrame, Vec<(usize, usize)>), DataError> {
    let texts = |names: &[&str]| {
        field(store, path, names)?.to_strings().ok_or_else(|| DataError::Kind {
            element: path.to_owned(),
            found: "numbers".to_owned(),
            expected: "names of genes".to_owned(),
        })
    };
    let names = texts(&["geneName", "gene", "geneID"])?;
    let mut var = DataFrame::new(names.clone());
    if let Ok(ids) = texts(&["geneID"])
        && ids != names
    {
        var.columns.insert(keys::GENE_IDS.to_owned(), Column::String(ids.into_iter().map(Some).collect()));
    }
    let offsets = numbers(store, path, "offset")?;
    let mut lengths = None;
    for name in counts {
        if store.field(path, name)?.is_some() {
            lengths = Some(numbers(store, path, name)?);
            break;
        }
    }
    let lengths = lengths.ok_or_else(|| DataError::Kind {
        element: path.to_owned(),
        found: "records without lengths".to_owned(),
        expected: format!("a field {}", counts.join(" or ")),
    })?;
    let ranges = offsets.into_iter().zip(lengths).map(|(o, n)| (o as usize, (o + n) as usize)).collect();
    Ok((var, ranges))
}

fn pitch(store: &Hdf5Reader, paths: &[&str]) -> Result<f64, DataError> {
    for path in paths {
        if store.node(path)?.is_none() {
            continue;
        }
        let found =
            store.attribute(path, "resolution")?.and_then(|a| a.ints()).and_then(|v| v.first().copied());
        if let Some(nm) = found.filter(|nm| *nm > 0) {
            return Ok(nm as f64 / 1000.0);
        }
    }
    Ok(PITCH_NM / 1000.0)
}

fn squares(source: &Source<'_>, store: &Hdf5Reader) -> Result<(AnnData, Option<f64>), DataError> {
    let mut there: Vec<u32> =
        store.children(SQUARES)?.iter().filter_map(|name| name.strip_prefix("bin")?.parse().ok()).collect();
    there.sort_unstable();
    let asked = match source.options.bin {
        Some(Bin::Side(side)) => Some(side),
        _ => None,
    };
    let wanted = side(source.options.bin, DEFAULT_BIN)? as u32;
    // From the largest that divides it: fewer records, the same sums.
    let Some(&of) = there.iter().rev().find(|bin| **bin > 0 && wanted.is_multiple_of(**bin)) else {
        let list: Vec<String> = there.iter().map(u32::to_string).collect();
        let found = format!("{wanted} for a file with squares of {}", list.join(", "));
        return Err(OptionError::new("bin", found, "a multiple of one of these").into());
    };
    if asked.is_none() {
        let list: Vec<String> = there.iter().map(u32::to_string).collect();
        note_choice(
            source.monitor,
            &format!("squares of {} spots", list.join(", ")),
            &format!("those of {wanted}"),
            Opt("bin"),
        );
    }
    let group = join(SQUARES, &format!("bin{of}"));
    let expression = join(&group, "expression");
    let (var, ranges) = genes(store, &join(&group, "gene"), &["count"])?;
    let pitch = pitch(store, &[&expression, &group, ""])?;
    let (step, side) = (f64::from(of), f64::from(wanted));
    // Positions of larger squares are spots of the chip, or numbers of the squares: which, the first that no square of the
    // file begins at tells.
    let multiples = (of > 1).then_some(step);
    let found = match gathered(store, &expression, &ranges, (1.0, side, multiples))? {
        None => gathered(store, &expression, &ranges, (step, side, None))?,
        found => found,
    };
    let Gathered { corners, mut entries } = found.unwrap_or_default();
    // In the order of the picture.
    let mut order: Vec<usize> = (0..corners.len()).collect();
    order.sort_by_key(|i| corners[*i]);
    let mut place = vec![0u32; corners.len()];
    for (row, &i) in order.iter().enumerate() {
        place[i] = row as u32;
    }
    for entry in &mut entries {
        entry.0 = place[entry.0 as usize];
    }
    let matrix = summed(&entries, corners.len(), var.n_rows());
    let names = order
        .iter()
        .map(|&i| format!("{}_{}", corners[i].1 * i64::from(wanted), corners[i].0 * i64::from(wanted)));
    let mut adata = AnnData::new(matrix, DataFrame::new(names.collect()), var)?;
    let width = side * pitch;
    let xy = Array2::from_shape_fn((order.len(), 2), |(row, j)| {
        let (down, across) = corners[order[row]];
        (if j == 0 { across } else { down }) as f64 * width + width / 2.0
    });
    adata.obsm.insert(keys::SPATIAL.to_owned(), xy.into());
    Ok((adata, Some(width)))
}

/// Squares in the order they were met, and what each gene has in them.
#[derive(Default)]
struct Gathered {
    corners: Vec<(i64, i64)>,
    entries: Vec<Entry>,
}

/// Square or cell, gene, and count.
type Entry = (u32, u32, f32);

/// Sums of the records of each gene by square. Records are read in blocks and added up while they come, so that what is held
/// is what the squares need, however many spots of the chip they cover.
///
/// # Inputs
/// `(spots, side, step)`: spots of the chip per unit of a position, and per side of a square; what every position must be a
/// multiple of: where one is not, nothing comes back.
fn gathered(
    store: &Hdf5Reader,
    expression: &str,
    ranges: &[(usize, usize)],
    (spots, side, step): (f64, f64, Option<f64>),
) -> Result<Option<Gathered>, DataError> {
    let damaged = |what: String| DataError::damaged(store.path(), format!("{expression}: {what}"));
    let mut taken = records(store, expression, &["x", "y", "count"])?;
    let in_order =
        in_order(ranges).map_err(|gene| damaged(format!("the records of gene {gene} are another's too")))?;
    let mut in_order = in_order.into_iter().peekable();
    let mut rows: FxHashMap<(i64, i64), u32> = FxHashMap::default();
    // Of each square the gene that it was last met with, and the entry of the two.
    let mut last: Vec<(u32, usize)> = Vec::new();
    let mut found = Gathered::default();
    let mut i = 0;
    while let Some(block) = taken.take(BLOCK)? {
        let [x, y, counts] = &block[..] else { break };
        make_room(store, expression, &found.entries, x.len())?;
        for ((&x, &y), &count) in x.iter().zip(y).zip(counts) {
            if let Some(v) = [x, y].iter().find(|v| v.is_nan() || v.abs() > FARTHEST) {
                return Err(damaged(format!("a position {v}")));
            }
            if step.is_some_and(|step| x % step != 0.0 || y % step != 0.0) {
                return Ok(None);
            }
            let at = i;
            i += 1;
            while in_order.next_if(|gene| ranges[*gene as usize].1 <= at).is_some() {}
            let Some(&gene) = in_order.peek().filter(|gene| ranges[**gene as usize].0 <= at) else {
                continue;
            };
            let corner = ((y * spots / side).floor() as i64, (x * spots / side).floor() as i64);
            let row = *rows.entry(corner).or_insert_with(|| {
                found.corners.push(corner);
                last.push((u32::MAX, 0));
                found.corners.len() as u32 - 1
            });
            match &mut last[row as usize] {
                (known, entry) if *known == gene => found.entries[*entry].2 += count as f32,
                new => {
                    *new = (gene, found.entries.len());
                    found.entries.push((row, gene, count as f32));
                }
            }
        }
    }
    Ok(Some(found))
}

fn records(store: &Hdf5Reader, path: &str, fields: &[&str]) -> Result<Records, DataError> {
    store.records(path, fields)?.ok_or_else(|| {
        DataError::damaged(
            store.path(),
            format!("{path} has no records with {} as numbers", fields.join(", ")),
        )
    })
}

/// Refuses entries that there is no room for, before they come.
fn make_room(store: &Hdf5Reader, path: &str, entries: &Vec<Entry>, n: usize) -> Result<(), DataError> {
    let spare = entries.capacity() - entries.len();
    let grown = if n > spare { 2 * (entries.len() + n) } else { 0 };
    allow(store.path(), path, (0, (grown * size_of::<Entry>()) as u64), MAX_EXPANSION, || 0)
}

/// Genes (or cells) that have records, in the order of these; one whose records begin before another's end.
fn in_order(ranges: &[(usize, usize)]) -> Result<Vec<u32>, u32> {
    let mut order: Vec<u32> =
        (0..ranges.len() as u32).filter(|g| ranges[*g as usize].0 < ranges[*g as usize].1).collect();
    order.sort_by_key(|g| ranges[*g as usize].0);
    match order.array_windows().find(|[a, b]| ranges[*a as usize].1 > ranges[*b as usize].0) {
        Some([_, b]) => Err(*b),
        None => Ok(order),
    }
}

fn cells(store: &Hdf5Reader) -> Result<(AnnData, Option<f64>), DataError> {
    let (cell, expression) = (join(CELLS, "cell"), join(CELLS, "cellExp"));
    let ids = field(store, &cell, &["id", "cellID"])?;
    let ids: Vec<String> = match ids.to_f64() {
        Some(ids) => ids.iter().map(|id| format!("{id}")).collect(),
        None => ids.to_strings().unwrap_or_default(),
    };
    super::join::require_unique(&ids, store.path())?;
    let (x, y) = (numbers(store, &cell, "x")?, numbers(store, &cell, "y")?);
    let (offsets, lengths) = (numbers(store, &cell, "offset")?, numbers(store, &cell, "geneCount")?);
    let (var, _) = genes(store, &join(CELLS, "gene"), &["cellCount", "count"])?;
    let damaged = |what: String| DataError::damaged(store.path(), format!("{expression}: {what}"));
    let ranges: Vec<(usize, usize)> =
        offsets.iter().zip(&lengths).map(|(o, n)| (*o as usize, (*o + *n) as usize)).collect();
    let in_order =
        in_order(&ranges).map_err(|cell| damaged(format!("the records of cell {cell} are another's too")))?;
    let mut in_order = in_order.into_iter().peekable();
    let mut taken = records(store, &expression, &["geneID", "count"])?;
    let mut entries: Vec<Entry> = Vec::new();
    let mut i = 0;
    while let Some(block) = taken.take(BLOCK)? {
        let [genes_of, counts] = &block[..] else { break };
        make_room(store, &expression, &entries, counts.len())?;
        for (&gene, &count) in genes_of.iter().zip(counts) {
            let at = i;
            i += 1;
            while in_order.next_if(|cell| ranges[*cell as usize].1 <= at).is_some() {}
            let Some(&cell) = in_order.peek().filter(|cell| ranges[**cell as usize].0 <= at) else {
                continue;
            };
            if gene as usize >= var.n_rows() {
                return Err(damaged(format!("gene {gene} of {}", var.n_rows())));
            }
            entries.push((cell, gene as u32, count as f32));
        }
    }
    let matrix = summed(&entries, ids.len(), var.n_rows());
    let mut adata = AnnData::new(matrix, DataFrame::new(ids), var)?;
    let pitch = pitch(store, &[&cell, CELLS, ""])?;
    let areas = if store.node(&cell)? == Some(NodeKind::Array) && store.field(&cell, "area")?.is_some() {
        numbers(store, &cell, "area")?
    } else {
        Vec::new()
    };
    let diameter = typical_diameter(&areas).map(|d| d * pitch);
    if areas.len() == adata.n_obs() {
        adata.obs.columns.insert("area".to_owned(), Column::Float64(areas));
    }
    let xy = Array2::from_shape_fn((adata.n_obs(), 2), |(i, j)| pitch * if j == 0 { x[i] } else { y[i] });
    adata.obsm.insert(keys::SPATIAL.to_owned(), xy.into());
    Ok((adata, diameter))
}

/// Text: one line per gene and spot of the chip, with the cell where cells were found.
fn gem(source: &Source<'_>, path: &Path) -> Result<(AnnData, Option<f64>), DataError> {
    let names = header_of_gem(path);
    let find = |wanted: &[&str]| {
        wanted.iter().find_map(|w| names.iter().find(|n| n.eq_ignore_ascii_case(w))).map(String::as_str)
    };
    let count = find(&["MIDCount", "MIDCounts", "UMICount", "count"]);
    let cell = find(&["CellID", "cell", "label", "cell_label"]);
    let gene = find(&["geneName", "geneID", "gene"]).unwrap_or("geneID");
    let keys_of_cell: Vec<&str> = cell.into_iter().collect();
    let by_cell = match source.options.bin {
        Some(Bin::Side(_)) => false,
        Some(Bin::Cells) if cell.is_none() => {
            let found = format!("cells of {}, which names none", path.display());
            return Err(OptionError::new("bin", found, "a side").into());
        }
        Some(Bin::Cells) => true,
        None => cell.is_some(),
    };
    let (grouping, diameter) = if by_cell {
        (Grouping::Cells { keys: &keys_of_cell, none: &["0", "-1"] }, None)
    } else {
        let side = side(source.options.bin, DEFAULT_BIN)?;
        (Grouping::Squares(side), Some(side * PITCH_NM / 1000.0))
    };
    let spec = Spec { gene, x: "x", y: "y", count, grouping };
    let mut adata = transcripts::count(path, &spec, source.monitor)?;
    let xy = adata.obsm_f64(keys::SPATIAL)? * (PITCH_NM / 1000.0);
    adata.obsm.insert(keys::SPATIAL.to_owned(), xy.into());
    Ok((adata, diameter))
}

/// Lines of description come before the header.
fn header_of_gem(path: &Path) -> Vec<String> {
    let Ok(mut fields) = super::text::fields(path) else { return header(path) };
    let mut record = csv::StringRecord::new();
    while fields.rows.read_record(&mut record).unwrap_or(false) {
        if !record.get(0).is_some_and(|f| f.starts_with('#')) {
            return record.iter().map(|f| f.trim().to_owned()).collect();
        }
    }
    Vec::new()
}
