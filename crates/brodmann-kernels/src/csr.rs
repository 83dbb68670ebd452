//! Compressed sparse rows, owned and borrowed.
//!
//! Column indices are `u32` (half the memory of scipy's 64-bit form); rows are sorted by column and hold no
//! column twice. [`CsrMatrix::try_new`] checks that, so everything downstream may rely on it.

mod grow;

use crate::diagnosis::Diagnosis;
use crate::parallel_loop::ParallelLoop;
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

/// Why arrays do not form a CSR matrix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// `indptr` has the wrong length.
    #[error("indptr has {found} entries; expected {expected} (n_rows + 1)")]
    IndptrLength {
        /// Entries found.
        found: usize,
        /// Entries expected.
        expected: usize,
    },
    /// `indptr` falls, does not start at 0, or does not end at nnz.
    #[error("indptr falls or ends early at row {row}; expected a rising sequence from 0 to {nnz} (nnz)")]
    IndptrOrder {
        /// First bad row.
        row: usize,
        /// Stored entries.
        nnz: usize,
    },
    /// `indices` and `data` differ in length.
    #[error("indices has {indices} entries; expected {data}, as in data")]
    LengthMismatch {
        /// Length of `indices`.
        indices: usize,
        /// Length of `data`.
        data: usize,
    },
    /// A column index is out of range.
    #[error("row {row} stores column {column}; expected a number below {n_cols}")]
    ColumnOutOfRange {
        /// Row.
        row: usize,
        /// Column found.
        column: usize,
        /// Number of columns.
        n_cols: usize,
    },
    /// More columns than `u32` can number.
    #[error("the matrix has {n_cols} columns; expected at most 4294967295")]
    TooManyColumns {
        /// Number of columns.
        n_cols: usize,
    },
}

impl Diagnosis for CsrError {
    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::TooManyColumns { .. } => "split the matrix".to_owned(),
            _ => "write the file or build the array again, as it is damaged".to_owned(),
        })
    }
}

/// An owned CSR matrix: sorted rows, no duplicates.
#[derive(Clone, Debug, PartialEq)]
pub struct CsrMatrix<T> {
    n_cols: usize,
    indptr: Vec<usize>,
    indices: Vec<u32>,
    data: Vec<T>,
}

/// A borrowed CSR matrix.
#[derive(Debug)]
pub struct CsrView<'a, T> {
    n_cols: usize,
    indptr: &'a [usize],
    indices: &'a [u32],
    data: &'a [T],
}

impl<T> Clone for CsrView<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for CsrView<'_, T> {}

impl<T: Copy + Send + Sync> CsrMatrix<T> {
    /// Checks the arrays; unsorted rows are sorted, duplicate entries summed by `T`'s addition.
    ///
    /// # Errors
    /// [`CsrError`] when the arrays do not describe a matrix.
    pub fn try_new(
        n_rows: usize,
        n_cols: usize,
        indptr: Vec<usize>,
        indices: Vec<u32>,
        data: Vec<T>,
    ) -> Result<Self, CsrError>
    where
        T: std::ops::Add<Output = T>,
    {
        if n_cols > u32::MAX as usize {
            return Err(CsrError::TooManyColumns { n_cols });
        }
        if indptr.len() != n_rows + 1 {
            return Err(CsrError::IndptrLength { found: indptr.len(), expected: n_rows + 1 });
        }
        if indices.len() != data.len() {
            return Err(CsrError::LengthMismatch { indices: indices.len(), data: data.len() });
        }
        let nnz = indices.len();
        if indptr[0] != 0 || indptr[n_rows] != nnz {
            return Err(CsrError::IndptrOrder { row: if indptr[0] == 0 { n_rows } else { 0 }, nnz });
        }
        if let Some(row) = indptr.windows(2).position(|w| w[0] > w[1]) {
            return Err(CsrError::IndptrOrder { row, nnz });
        }
        let mut sorted = true;
        for row in 0..n_rows {
            let columns = &indices[indptr[row]..indptr[row + 1]];
            if let Some(&c) = columns.iter().find(|&&c| c as usize >= n_cols) {
                return Err(CsrError::ColumnOutOfRange { row, column: c as usize, n_cols });
            }
            sorted &= columns.windows(2).all(|w| w[0] < w[1]);
        }
        let mut matrix = Self { n_cols, indptr, indices, data };
        if !sorted {
            matrix.sort_and_merge();
        }
        Ok(matrix)
    }

    /// Rows given as sorted, duplicate-free `(column, value)` lists.
    pub fn from_rows(n_cols: usize, rows: &[Vec<(u32, T)>]) -> Self {
        let mut indptr = Vec::with_capacity(rows.len() + 1);
        indptr.push(0);
        let nnz = rows.iter().map(Vec::len).sum();
        let (mut indices, mut data) = (Vec::with_capacity(nnz), Vec::with_capacity(nnz));
        for row in rows {
            debug_assert!(row.windows(2).all(|w| w[0].0 < w[1].0), "rows must be sorted");
            for &(c, v) in row {
                indices.push(c);
                data.push(v);
            }
            indptr.push(indices.len());
        }
        Self { n_cols, indptr, indices, data }
    }

    fn sort_and_merge(&mut self)
    where
        T: std::ops::Add<Output = T>,
    {
        let n_rows = self.indptr.len() - 1;
        let (mut indices, mut data) =
            (Vec::with_capacity(self.indices.len()), Vec::with_capacity(self.data.len()));
        let mut indptr = Vec::with_capacity(n_rows + 1);
        indptr.push(0);
        let mut row_entries: Vec<(u32, T)> = Vec::new();
        for row in 0..n_rows {
            let range = self.indptr[row]..self.indptr[row + 1];
            row_entries.clear();
            row_entries
                .extend(self.indices[range.clone()].iter().copied().zip(self.data[range].iter().copied()));
            row_entries.sort_by_key(|e| e.0);
            for &(c, v) in &row_entries {
                if indices.len() > indptr[row] && indices.last() == Some(&c) {
                    let last = data.len() - 1;
                    data[last] = data[last] + v;
                } else {
                    indices.push(c);
                    data.push(v);
                }
            }
            indptr.push(indices.len());
        }
        (self.indptr, self.indices, self.data) = (indptr, indices, data);
    }

    /// The stored entries of a dense matrix that differ from zero.
    pub fn from_dense(dense: ArrayView2<'_, T>) -> Self
    where
        T: PartialEq + Default,
    {
        let zero = T::default();
        let rows: Vec<Vec<(u32, T)>> = dense
            .rows()
            .into_iter()
            .map(|row| {
                row.iter().enumerate().filter(|(_, v)| **v != zero).map(|(j, &v)| (j as u32, v)).collect()
            })
            .collect();
        Self::from_rows(dense.ncols(), &rows)
    }

    /// A borrowed view.
    pub fn view(&self) -> CsrView<'_, T> {
        CsrView { n_cols: self.n_cols, indptr: &self.indptr, indices: &self.indices, data: &self.data }
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.indptr.len() - 1
    }

    /// Number of columns.
    pub fn n_cols(&self) -> usize {
        self.n_cols
    }

    /// Number of stored entries.
    pub fn nnz(&self) -> usize {
        self.data.len()
    }

    /// Row starts, `n_rows + 1` of them.
    pub fn indptr(&self) -> &[usize] {
        &self.indptr
    }

    /// Column of each stored entry.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// Value of each stored entry.
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// Mutable values; the pattern stays.
    pub fn data_mut(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// Row `i` as mutable values beside its columns.
    pub fn row_mut(&mut self, i: usize) -> (&[u32], &mut [T]) {
        let range = self.indptr[i]..self.indptr[i + 1];
        (&self.indices[range.clone()], &mut self.data[range])
    }

    /// Calls `f(row, columns, values)` on every row, rows in parallel; values may change, the pattern stays.
    pub fn for_each_row_mut(&mut self, f: impl Fn(usize, &[u32], &mut [T]) + Sync) {
        const ROWS: usize = 1024;
        let (indptr, indices) = (&self.indptr, &self.indices);
        let n_rows = indptr.len() - 1;
        let mut chunks: Vec<(usize, &mut [T])> = Vec::with_capacity(n_rows.div_ceil(ROWS));
        let mut rest = self.data.as_mut_slice();
        for first in (0..n_rows).step_by(ROWS) {
            let last = n_rows.min(first + ROWS);
            let (chunk, tail) = rest.split_at_mut(indptr[last] - indptr[first]);
            chunks.push((first, chunk));
            rest = tail;
        }
        chunks.into_par_iter().each(|(first, chunk)| {
            let base = indptr[first];
            for i in first..n_rows.min(first + ROWS) {
                let range = indptr[i]..indptr[i + 1];
                f(i, &indices[range.clone()], &mut chunk[range.start - base..range.end - base]);
            }
        });
    }

    /// `(indptr, indices, data)`.
    pub fn into_parts(self) -> (Vec<usize>, Vec<u32>, Vec<T>) {
        (self.indptr, self.indices, self.data)
    }
}

impl<'a, T: Copy + Send + Sync> CsrView<'a, T> {
    /// Borrows arrays that already satisfy the invariants (sorted rows, no duplicates, indices in range).
    ///
    /// # Errors
    /// [`CsrError`] as for [`CsrMatrix::try_new`]; unsorted rows are reported, not sorted.
    pub fn try_new(
        n_rows: usize,
        n_cols: usize,
        indptr: &'a [usize],
        indices: &'a [u32],
        data: &'a [T],
    ) -> Result<Self, CsrError> {
        if indptr.len() != n_rows + 1 {
            return Err(CsrError::IndptrLength { found: indptr.len(), expected: n_rows + 1 });
        }
        if indices.len() != data.len() {
            return Err(CsrError::LengthMismatch { indices: indices.len(), data: data.len() });
        }
        let nnz = indices.len();
        if indptr[0] != 0 || indptr[n_rows] != nnz {
            return Err(CsrError::IndptrOrder { row: 0, nnz });
        }
        // All of it first: a row start beyond nnz is only seen when a later one falls.
        if let Some(row) = indptr.windows(2).position(|w| w[0] > w[1]) {
            return Err(CsrError::IndptrOrder { row, nnz });
        }
        for row in 0..n_rows {
            let columns = &indices[indptr[row]..indptr[row + 1]];
            if let Some(&c) = columns.iter().find(|&&c| c as usize >= n_cols) {
                return Err(CsrError::ColumnOutOfRange { row, column: c as usize, n_cols });
            }
            if columns.windows(2).any(|w| w[0] >= w[1]) {
                return Err(CsrError::IndptrOrder { row, nnz });
            }
        }
        Ok(Self { n_cols, indptr, indices, data })
    }

    /// Number of rows.
    pub fn n_rows(self) -> usize {
        self.indptr.len() - 1
    }

    /// Number of columns.
    pub fn n_cols(self) -> usize {
        self.n_cols
    }

    /// Number of stored entries.
    pub fn nnz(self) -> usize {
        self.data.len()
    }

    /// Row starts.
    pub fn indptr(self) -> &'a [usize] {
        self.indptr
    }

    /// Columns.
    pub fn indices(self) -> &'a [u32] {
        self.indices
    }

    /// Values.
    pub fn data(self) -> &'a [T] {
        self.data
    }

    /// Columns and values of row `i`, columns rising.
    #[inline]
    pub fn row(self, i: usize) -> (&'a [u32], &'a [T]) {
        let range = self.indptr[i]..self.indptr[i + 1];
        (&self.indices[range.clone()], &self.data[range])
    }

    /// The value at `(i, j)`, if stored.
    pub fn get(self, i: usize, j: usize) -> Option<T> {
        let (columns, values) = self.row(i);
        columns.binary_search(&(j as u32)).ok().map(|k| values[k])
    }

    /// An owned copy.
    pub fn to_owned(self) -> CsrMatrix<T> {
        CsrMatrix {
            n_cols: self.n_cols,
            indptr: self.indptr.to_vec(),
            indices: self.indices.to_vec(),
            data: self.data.to_vec(),
        }
    }

    /// The same pattern with other values.
    pub fn map<U: Copy + Send + Sync>(self, f: impl Fn(T) -> U + Sync) -> CsrMatrix<U> {
        CsrMatrix {
            n_cols: self.n_cols,
            indptr: self.indptr.to_vec(),
            indices: self.indices.to_vec(),
            data: self.data.par_iter().map(|&v| f(v)).collect_vec(),
        }
    }

    /// The transpose: O(nnz + n_rows + n_cols), rows sorted.
    pub fn transpose(self) -> CsrMatrix<T>
    where
        T: Default,
    {
        let mut indptr = vec![0usize; self.n_cols + 1];
        for &c in self.indices {
            indptr[c as usize + 1] += 1;
        }
        for c in 0..self.n_cols {
            indptr[c + 1] += indptr[c];
        }
        let mut next = indptr.clone();
        let mut indices = vec![0u32; self.nnz()];
        let mut data = vec![T::default(); self.nnz()];
        for i in 0..self.n_rows() {
            let (columns, values) = self.row(i);
            for (&c, &v) in columns.iter().zip(values) {
                let at = next[c as usize];
                next[c as usize] += 1;
                indices[at] = i as u32;
                data[at] = v;
            }
        }
        CsrMatrix { n_cols: self.n_rows(), indptr, indices, data }
    }

    /// The rows named by `rows`, in that order.
    ///
    /// # Panics
    /// When a row is out of range.
    pub fn select_rows(self, rows: &[usize]) -> CsrMatrix<T> {
        let mut indptr = Vec::with_capacity(rows.len() + 1);
        indptr.push(0);
        let nnz = rows.iter().map(|&i| self.indptr[i + 1] - self.indptr[i]).sum();
        let (mut indices, mut data) = (Vec::with_capacity(nnz), Vec::with_capacity(nnz));
        for &i in rows {
            let (columns, values) = self.row(i);
            indices.extend_from_slice(columns);
            data.extend_from_slice(values);
            indptr.push(indices.len());
        }
        CsrMatrix { n_cols: self.n_cols, indptr, indices, data }
    }

    /// The columns where `keep` is true, renumbered in order.
    ///
    /// # Panics
    /// When `keep.len() != n_cols`.
    pub fn select_columns(self, keep: &[bool]) -> CsrMatrix<T> {
        assert_eq!(keep.len(), self.n_cols, "select_columns: mask length differs");
        let mut renumbered = vec![0u32; self.n_cols];
        let mut n_kept = 0u32;
        for (j, &k) in keep.iter().enumerate() {
            renumbered[j] = n_kept;
            n_kept += u32::from(k);
        }
        let mut indptr = Vec::with_capacity(self.n_rows() + 1);
        indptr.push(0);
        let (mut indices, mut data) = (Vec::new(), Vec::new());
        for i in 0..self.n_rows() {
            let (columns, values) = self.row(i);
            for (&c, &v) in columns.iter().zip(values) {
                if keep[c as usize] {
                    indices.push(renumbered[c as usize]);
                    data.push(v);
                }
            }
            indptr.push(indices.len());
        }
        CsrMatrix { n_cols: n_kept as usize, indptr, indices, data }
    }

    /// The dense matrix; for small matrices only.
    pub fn to_dense(self) -> Array2<T>
    where
        T: Default,
    {
        let mut dense = Array2::from_elem((self.n_rows(), self.n_cols), T::default());
        for i in 0..self.n_rows() {
            let (columns, values) = self.row(i);
            for (&c, &v) in columns.iter().zip(values) {
                dense[[i, c as usize]] = v;
            }
        }
        dense
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsorted_rows_are_sorted_and_duplicates_summed() {
        let m = CsrMatrix::try_new(2, 4, vec![0, 3, 4], vec![2, 0, 2, 1], vec![1.0, 5.0, 2.0, 7.0])
            .expect("valid");
        assert_eq!(m.indices(), &[0, 2, 1]);
        assert_eq!(m.data(), &[5.0, 3.0, 7.0]);
    }

    #[test]
    fn damaged_arrays_are_refused() {
        assert!(matches!(
            CsrMatrix::try_new(1, 2, vec![0, 1], vec![2], vec![1.0]),
            Err(CsrError::ColumnOutOfRange { row: 0, column: 2, n_cols: 2 })
        ));
        assert!(matches!(
            CsrMatrix::try_new(2, 2, vec![0, 2, 1], vec![0], vec![1.0]),
            Err(CsrError::IndptrOrder { .. })
        ));
        assert!(matches!(
            CsrMatrix::try_new(2, 2, vec![0, 1], vec![0], vec![1.0]),
            Err(CsrError::IndptrLength { .. })
        ));
    }

    #[test]
    fn a_view_whose_row_starts_run_beyond_its_entries_is_refused() {
        let (indices, data) = ([0u32, 1], [1.0, 2.0]);
        for indptr in [[0usize, 9, 2], [0, 2, 1], [1, 1, 2]] {
            assert!(matches!(
                CsrView::try_new(2, 2, &indptr, &indices, &data),
                Err(CsrError::IndptrOrder { .. })
            ));
        }
    }

    #[test]
    fn transposing_twice_is_the_identity() {
        let dense = ndarray::array![[0.0, 2.0, 0.0], [1.0, 0.0, 3.0]];
        let m = CsrMatrix::from_dense(dense.view());
        assert_eq!(m.view().transpose().view().to_dense(), dense.t());
        assert_eq!(m.view().transpose().view().transpose(), m);
    }

    #[test]
    fn selections_keep_order_and_values() {
        let dense = ndarray::array![[1.0, 2.0, 0.0], [0.0, 0.0, 3.0]];
        let m = CsrMatrix::from_dense(dense.view());
        assert_eq!(
            m.view().select_rows(&[1, 0]).view().to_dense(),
            ndarray::array![[0.0, 0.0, 3.0], [1.0, 2.0, 0.0]]
        );
        let columns = m.view().select_columns(&[false, true, true]);
        assert_eq!(columns.view().to_dense(), ndarray::array![[2.0, 0.0], [0.0, 3.0]]);
    }
}
