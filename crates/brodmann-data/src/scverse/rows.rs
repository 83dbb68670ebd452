//! One matrix of a file, a block of rows at a time: for what does not fit into memory, or need not.

use std::path::Path;
use std::sync::Arc;

use brodmann_kernels::{CsrError, CsrMatrix};

use super::read::{is_mudata, raw_place, sparse_form};
use super::{OpenFile, join};
use crate::DataError;
use crate::backend::{Backend, Sequence};
use crate::store::{Element, NodeKind, Store};

#[cfg(test)]
mod tests;

/// Stored entries of a block, unless a single row has more.
const BLOCK_ENTRIES: usize = 1 << 20;
/// Rows of a block at most.
const BLOCK_ROWS: usize = 1 << 16;

/// `X` or a layer of a `.h5ad`, or of a modality of a `.h5mu`, that can be read in blocks of rows.
///
/// Row starts are held (8 bytes a row), entries are not. A pass over the rows is [`MatrixRows::blocks`]; there may be
/// as many as one likes.
#[derive(Clone)]
pub struct MatrixRows {
    store: Arc<Backend>,
    element: String,
    n_rows: usize,
    n_cols: usize,
    /// Row starts of a sparse matrix; a dense one has none.
    indptr: Option<Vec<usize>>,
    /// Entries are stored as 64-bit floats.
    double: bool,
    /// Columns that are taken, where not all are.
    chosen: Option<Arc<Vec<bool>>>,
}

impl std::fmt::Debug for MatrixRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { element, n_rows, n_cols, double, .. } = self;
        f.debug_struct("MatrixRows")
            .field("file", &self.store.path())
            .field("element", element)
            .field("shape", &(n_rows, n_cols))
            .field("double", double)
            .finish_non_exhaustive()
    }
}

impl MatrixRows {
    /// Looks at the headers of a matrix, and at its row starts.
    ///
    /// # Inputs
    /// `modality`: of a `.h5mu`. `layer`: instead of `X`.
    /// # Returns
    /// `None` for what can only be read whole: no matrix there, compressed columns, chunks in another
    /// order, damaged row starts; [`read_h5ad`](crate::read_h5ad) reads those, or says what is wrong.
    /// # Errors
    /// [`DataError`] when the file cannot be opened or its headers cannot be followed.
    /// # Cost
    /// Reads the row starts.
    pub fn open(
        path: impl AsRef<Path>,
        modality: Option<&str>,
        layer: Option<&str>,
    ) -> Result<Option<Self>, DataError> {
        OpenFile::open(path)?.matrix_rows(modality, layer)
    }

    pub(super) fn of(
        store: &Arc<Backend>,
        modality: Option<&str>,
        layer: Option<&str>,
    ) -> Result<Option<Self>, DataError> {
        if is_mudata(&**store)? != modality.is_some() {
            return Ok(None);
        }
        let element = element_path(&**store, modality, layer)?;
        match store.node(&element)? {
            None => Ok(None),
            Some(NodeKind::Group) => Self::sparse(store, element),
            Some(NodeKind::Array) => Self::dense(store, element),
        }
    }

    fn sparse(store: &Arc<Backend>, element: String) -> Result<Option<Self>, DataError> {
        let Ok((true, n_rows, n_cols)) = sparse_form(&**store, &element) else { return Ok(None) };
        Self::of_parts(store, element, n_rows, n_cols)
    }

    fn of_parts(
        store: &Arc<Backend>,
        element: String,
        n_rows: usize,
        n_cols: usize,
    ) -> Result<Option<Self>, DataError> {
        let part = |name: &str| join(&element, name);
        for name in ["data", "indices", "indptr"] {
            if store.node(&part(name))? != Some(NodeKind::Array) {
                return Ok(None);
            }
        }
        let (data, indices) = (store.info(&part("data"))?, store.info(&part("indices"))?);
        let indptr = store.numbers::<usize>(&part("indptr"))?;
        let rising = indptr.windows(2).all(|w| w[0] <= w[1]);
        let complete = indptr.len() == n_rows + 1
            && indptr[0] == 0
            && [data.len(), indices.len()] == [indptr[n_rows]; 2]
            && data.shape.len() == 1
            && indices.shape.len() == 1;
        if !rising || !complete || u32::try_from(n_cols).is_err() {
            return Ok(None);
        }
        let double = data.element == Element::F64;
        let store = Arc::clone(store);
        let rows = Self { store, element, n_rows, n_cols, indptr: Some(indptr), double, chosen: None };
        Ok(rows.in_order()?.then_some(rows))
    }

    /// The matrix of a 10x file: `data`, `indices` and `indptr` of `element`, one row per cell. `None` where it can only
    /// be read whole.
    ///
    /// # Errors
    /// [`DataError`] when headers cannot be followed.
    pub(crate) fn tenx(
        store: &Arc<Backend>,
        element: &str,
        (n_rows, n_cols): (usize, usize),
    ) -> Result<Option<Self>, DataError> {
        Self::of_parts(store, element.to_owned(), n_rows, n_cols)
    }

    /// Some of the columns, by a mask; those of a matrix of which some were taken already are not taken again.
    pub(crate) fn choose(&self, columns: Vec<bool>) -> Self {
        Self { chosen: Some(Arc::new(columns)), ..self.clone() }
    }

    fn dense(store: &Arc<Backend>, element: String) -> Result<Option<Self>, DataError> {
        let info = store.info(&element)?;
        let [n_rows, n_cols] = info.shape[..] else { return Ok(None) };
        if u32::try_from(n_cols).is_err() {
            return Ok(None);
        }
        let store = Arc::clone(store);
        let rows = Self { store, element, n_rows, n_cols, indptr: None, double: false, chosen: None };
        Ok(rows.in_order()?.then_some(rows))
    }

    /// Whether the arrays can be taken piece by piece.
    fn in_order(&self) -> Result<bool, DataError> {
        Ok(self.nnz() == 0 || self.entries()?.is_some())
    }

    /// Rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Columns.
    pub fn n_cols(&self) -> usize {
        self.chosen.as_ref().map_or(self.n_cols, |chosen| chosen.iter().filter(|c| **c).count())
    }

    /// Stored entries, of columns that are not taken as well; all of a dense matrix.
    pub fn nnz(&self) -> usize {
        self.indptr.as_ref().map_or(self.n_rows * self.n_cols, |p| p.last().copied().unwrap_or(0))
    }

    /// Whether it is stored sparse.
    pub fn is_sparse(&self) -> bool {
        self.indptr.is_some()
    }

    /// Rows that hold nothing but zeros.
    ///
    /// # Errors
    /// As [`MatrixRows::blocks`].
    /// # Cost
    /// Nothing where the row starts tell (zeros that were stored count as entries then); of a dense matrix, or of one of
    /// which columns were left out, one pass over the rows.
    pub fn empty_rows(&self) -> Result<Vec<bool>, DataError> {
        if let (Some(indptr), None) = (&self.indptr, &self.chosen) {
            return Ok(indptr.windows(2).map(|w| w[0] == w[1]).collect());
        }
        let mut empty = Vec::with_capacity(self.n_rows);
        for block in self.blocks()? {
            let rows = block?.rows;
            empty.extend((0..rows.n_rows()).map(|i| rows.view().row(i).1.iter().all(|v| *v == 0.0)));
        }
        Ok(empty)
    }

    /// The rows from the first to the last, in blocks of about a million entries.
    ///
    /// # Errors
    /// [`DataError::Changed`] when the file is not as it was when it was opened.
    /// # Cost
    /// About 30 MB while it lives, or two chunks of the file where these are larger.
    pub fn blocks(&self) -> Result<RowBlocks<'_>, DataError> {
        self.store.check_unchanged()?;
        let entries = if self.nnz() == 0 { Some(Entries::None) } else { self.entries()? };
        let entries = entries.ok_or_else(|| {
            DataError::damaged(self.store.path(), format!("{}: changed since it was opened", self.element))
        })?;
        Ok(RowBlocks { matrix: self, entries, next: 0 })
    }

    fn entries(&self) -> Result<Option<Entries>, DataError> {
        let store = &self.store;
        if self.indptr.is_none() {
            return Ok(store.sequence(&self.element)?.map(Entries::Dense));
        }
        let (data, indices) = (join(&self.element, "data"), join(&self.element, "indices"));
        let Some(columns) = store.sequence(&indices)? else { return Ok(None) };
        Ok(if self.double {
            store.sequence(&data)?.map(|values| Entries::F64(columns, values))
        } else {
            store.sequence(&data)?.map(|values| Entries::F32(columns, values))
        })
    }
}

/// Stored entries of `X` or a layer (all of a dense matrix), without reading them; `None` where there is no matrix.
///
/// # Errors
/// [`DataError`] when the file cannot be opened or its headers cannot be followed.
pub fn stored_entries(
    path: impl AsRef<Path>,
    modality: Option<&str>,
    layer: Option<&str>,
) -> Result<Option<usize>, DataError> {
    OpenFile::open(path)?.stored_entries(modality, layer)
}

pub(super) fn stored_in(
    store: &impl Store,
    modality: Option<&str>,
    layer: Option<&str>,
) -> Result<Option<usize>, DataError> {
    let element = element_path(store, modality, layer)?;
    let data = join(&element, "data");
    Ok(match store.node(&element)? {
        Some(NodeKind::Array) => Some(store.info(&element)?.len()),
        Some(NodeKind::Group) if store.node(&data)? == Some(NodeKind::Array) => {
            Some(store.info(&data)?.len())
        }
        _ => None,
    })
}

fn element_path(
    store: &impl Store,
    modality: Option<&str>,
    layer: Option<&str>,
) -> Result<String, DataError> {
    let root = modality.map_or_else(String::new, |m| join("mod", m));
    let path = join(&root, &layer.map_or_else(|| "X".to_owned(), |l| join("layers", l)));
    // A layer of that name is meant first.
    if layer == Some("raw")
        && store.node(&path)?.is_none()
        && let Some(place) = raw_place(store, &root)?
    {
        return Ok(format!("{place}X"));
    }
    Ok(path)
}

/// The arrays of a matrix, in order.
enum Entries {
    None,
    Dense(Sequence<f32>),
    F32(Sequence<u32>, Sequence<f32>),
    /// Doubles stay doubles until duplicates are summed.
    F64(Sequence<u32>, Sequence<f64>),
}

/// One pass over the rows of a [`MatrixRows`]: blocks of rising rows that together are the matrix.
pub struct RowBlocks<'a> {
    matrix: &'a MatrixRows,
    entries: Entries,
    next: usize,
}

/// Some rows of a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct RowBlock {
    /// Row of the matrix that comes first.
    pub first: usize,
    /// The rows, as [`Matrix::into_csr_f32`](crate::Matrix::into_csr_f32) makes them of the whole.
    pub rows: CsrMatrix<f32>,
}

impl RowBlocks<'_> {
    fn read(&mut self, rows: std::ops::Range<usize>) -> Result<CsrMatrix<f32>, DataError> {
        let chosen = self.matrix.chosen.clone();
        let block = self.read_all(rows)?;
        Ok(match chosen {
            Some(chosen) => block.view().select_columns(&chosen),
            None => block,
        })
    }

    fn read_all(&mut self, rows: std::ops::Range<usize>) -> Result<CsrMatrix<f32>, DataError> {
        let matrix = self.matrix;
        let indptr =
            |base: usize, starts: &[usize]| starts.iter().map(|at| at - base).collect::<Vec<usize>>();
        let starts = matrix.indptr.as_ref().map(|p| &p[rows.start..=rows.end]);
        let local = starts.map(|s| indptr(s[0], s)).unwrap_or_default();
        let n = local.last().copied().unwrap_or(0);
        let sparse = |source: CsrError| DataError::Sparse {
            element: matrix.element.clone(),
            source: match source {
                CsrError::ColumnOutOfRange { row, column, n_cols } => {
                    CsrError::ColumnOutOfRange { row: rows.start + row, column, n_cols }
                }
                other => other,
            },
        };
        match &mut self.entries {
            Entries::None => {
                let mut empty = CsrMatrix::with_capacity(matrix.n_cols, rows.len(), 0);
                rows.for_each(|_| empty.push_row([]));
                Ok(empty)
            }
            Entries::Dense(values) => {
                let values = values.take(rows.len())?;
                let mut block = CsrMatrix::with_capacity(matrix.n_cols, rows.len(), 0);
                for row in values.chunks_exact(matrix.n_cols) {
                    let stored = row.iter().enumerate().filter(|(_, v)| **v != 0.0);
                    block.push_row(stored.map(|(j, &v)| (j as u32, v)));
                }
                Ok(block)
            }
            Entries::F32(columns, values) => {
                let (columns, values) = (columns.take(n)?, values.take(n)?);
                CsrMatrix::try_new(rows.len(), matrix.n_cols, local, columns, values).map_err(sparse)
            }
            Entries::F64(columns, values) => {
                let (columns, values) = (columns.take(n)?, values.take(n)?);
                let block = CsrMatrix::try_new(rows.len(), matrix.n_cols, local, columns, values);
                Ok(block.map_err(sparse)?.view().map(|v| v as f32))
            }
        }
    }
}

impl Iterator for RowBlocks<'_> {
    type Item = Result<RowBlock, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (matrix, first) = (self.matrix, self.next);
        if first >= matrix.n_rows {
            return None;
        }
        let fitting = match &matrix.indptr {
            Some(indptr) => indptr.partition_point(|&at| at <= indptr[first] + BLOCK_ENTRIES) - 1 - first,
            None => BLOCK_ENTRIES / matrix.n_cols.max(1),
        };
        let last = matrix.n_rows.min(first + fitting.clamp(1, BLOCK_ROWS));
        self.next = last;
        let rows = self.read(first..last);
        if rows.is_err() {
            self.next = matrix.n_rows;
        }
        Some(rows.map(|rows| RowBlock { first, rows }))
    }
}
