//! 10x folders of text: `matrix.mtx`, `barcodes.tsv`, `features.tsv` or `genes.tsv`, plain or gzipped.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use brodmann_kernels::{CsrMatrix, Silent};

use super::features;
use super::text::{find, open, read_all};
use crate::scverse::Container;
use crate::{AnnData, Column, DataError, DataFrame, keys};

/// Reads a 10x folder of text files; see [`read_tenx_h5`](super::read_tenx_h5) for what becomes of the features.
///
/// # Errors
/// [`DataError`]: a file missing, a line that cannot be read, numbers of lines that do not fit the matrix.
pub fn read_tenx_mtx(folder: impl AsRef<Path>) -> Result<Container, DataError> {
    features::split_modalities(folder_matrix(folder.as_ref())?, None, &Silent).map(|opened| opened.container)
}

/// Whether the folder holds a matrix of this kind.
pub(super) fn is_mtx(folder: &Path) -> bool {
    find(folder, &["matrix.mtx"]).is_some() && find(folder, &["barcodes.tsv"]).is_some()
}

pub(super) fn folder_matrix(folder: &Path) -> Result<AnnData, DataError> {
    let need = |names: &[&str]| -> Result<PathBuf, DataError> {
        find(folder, names).ok_or_else(|| DataError::Missing { path: folder.join(names[0]) })
    };
    let matrix_path = need(&["matrix.mtx"])?;
    let features_path = need(&["features.tsv", "genes.tsv"])?;
    let barcodes = read_all(&need(&["barcodes.tsv"])?)?;
    let barcodes: Vec<String> = barcodes
        .lines()
        .filter_map(|l| l.split('\t').next())
        .filter(|b| !b.is_empty())
        .map(str::to_owned)
        .collect();
    let (mut names, mut ids, mut types) = (Vec::new(), Vec::new(), Vec::new());
    for line in read_all(&features_path)?.lines().filter(|l| !l.is_empty()) {
        let mut fields = line.split('\t');
        let id = fields.next().unwrap_or_default().to_owned();
        names.push(fields.next().unwrap_or(&id).to_owned());
        types.push(fields.next().map(str::to_owned));
        ids.push(Some(id));
    }
    let mut var = DataFrame::new(names);
    var.columns.insert(keys::GENE_IDS.to_owned(), Column::String(ids));
    if types.iter().all(Option::is_some) && !types.is_empty() {
        var.columns.insert(keys::FEATURE_TYPES.to_owned(), Column::String(types));
    }
    let x = matrix_market(&matrix_path, barcodes.len(), var.n_rows())?;
    AnnData::new(x, DataFrame::new(barcodes), var)
}

/// Reads features x cells as the CSR of cells x features.
fn matrix_market(path: &Path, n_cells: usize, n_features: usize) -> Result<CsrMatrix<f32>, DataError> {
    let bad = |line: usize, found: &str, expected: &str| DataError::Table {
        path: path.to_path_buf(),
        line,
        found: found.chars().take(80).collect::<String>(),
        expected: expected.to_owned(),
    };
    let mut reader = BufReader::with_capacity(1 << 16, open(path)?);
    let mut line = String::new();
    let mut number = 0;
    let mut next = |line: &mut String| -> Result<bool, DataError> {
        line.clear();
        number += 1;
        reader.read_line(line).map(|n| n > 0).map_err(|e| DataError::read(path, e))
    };
    next(&mut line)?;
    let header = line.to_lowercase();
    let expected = "%%MatrixMarket matrix coordinate integer|real|pattern general";
    let words: Vec<&str> = header.split_whitespace().collect();
    // Of complex numbers the first part would be read alone.
    let ["%%matrixmarket", "matrix", "coordinate", "integer" | "real" | "double" | "pattern", "general", ..] =
        words[..]
    else {
        return Err(bad(1, line.trim(), expected));
    };
    let pattern = words[3] == "pattern";
    let mut at = 1;
    loop {
        at += 1;
        if !next(&mut line)? {
            return Err(bad(at, "the end of the file", "the size of the matrix"));
        }
        if !line.starts_with('%') && !line.trim().is_empty() {
            break;
        }
    }
    let size: Vec<usize> = line.split_whitespace().filter_map(|f| f.parse().ok()).collect();
    let [rows, columns, nnz] = size[..] else {
        return Err(bad(at, line.trim(), "rows, columns and entries"));
    };
    if (rows, columns) != (n_features, n_cells) {
        return Err(bad(
            at,
            &format!("a matrix of {rows} x {columns}"),
            &format!("{n_features} features x {n_cells} barcodes, as the other files have"),
        ));
    }
    // What the header promises is not trusted with memory.
    let mut entries: Vec<(u32, u32, f32)> = Vec::with_capacity(nnz.min(1 << 20));
    while next(&mut line)? {
        at += 1;
        let mut fields = line.split_ascii_whitespace();
        let Some(first) = fields.next() else { continue };
        let feature: usize = first.parse().unwrap_or(0);
        let cell: usize = fields.next().and_then(|f| f.parse().ok()).unwrap_or(0);
        let value: Option<f32> = if pattern { Some(1.0) } else { fields.next().and_then(|f| f.parse().ok()) };
        // More fields are of another kind of matrix; what is no finite number is no count.
        let value = value.filter(|v| v.is_finite() && (pattern || fields.next().is_none()));
        let Some(value) = value.filter(|_| (1..=rows).contains(&feature) && (1..=columns).contains(&cell))
        else {
            return Err(bad(
                at,
                line.trim(),
                &format!("a row to {rows}, a column to {columns} and a finite number"),
            ));
        };
        entries.push((cell as u32 - 1, feature as u32 - 1, value));
    }
    if entries.len() != nnz {
        return Err(bad(at, &format!("{} entries", entries.len()), &format!("{nnz}")));
    }
    let mut indptr = vec![0usize; n_cells + 1];
    for e in &entries {
        indptr[e.0 as usize + 1] += 1;
    }
    for i in 0..n_cells {
        indptr[i + 1] += indptr[i];
    }
    let mut place = indptr.clone();
    let (mut indices, mut data) = (vec![0u32; nnz], vec![0f32; nnz]);
    for (cell, feature, value) in entries {
        let at = place[cell as usize];
        place[cell as usize] += 1;
        (indices[at], data[at]) = (feature, value);
    }
    CsrMatrix::try_new(n_cells, n_features, indptr, indices, data)
        .map_err(|source| DataError::Sparse { element: path.display().to_string(), source })
}
