//! A matrix that grows by rows, and one that loses columns, without a second copy of it.

use super::{CsrMatrix, CsrView};

impl<T: Copy + Send + Sync> CsrMatrix<T> {
    /// No rows yet, with room for so many rows and entries.
    pub fn with_capacity(n_cols: usize, n_rows: usize, nnz: usize) -> Self {
        let mut indptr = Vec::with_capacity(n_rows + 1);
        indptr.push(0);
        Self { n_cols, indptr, indices: Vec::with_capacity(nnz), data: Vec::with_capacity(nnz) }
    }

    /// Adds the rows of `below`.
    ///
    /// # Panics
    /// When `below` has other columns.
    pub fn append(&mut self, below: CsrView<'_, T>) {
        assert_eq!(self.n_cols, below.n_cols(), "append: column counts differ");
        let base = self.indices.len();
        self.indptr.extend(below.indptr()[1..].iter().map(|at| base + at));
        self.indices.extend_from_slice(below.indices());
        self.data.extend_from_slice(below.data());
    }

    /// Adds one row, its columns rising.
    ///
    /// # Panics
    /// When a column is out of range or not above the one before it.
    pub fn push_row(&mut self, entries: impl IntoIterator<Item = (u32, T)>) {
        let mut next = 0usize;
        for (column, value) in entries {
            assert!(
                (next..self.n_cols).contains(&(column as usize)),
                "push_row: column {column} is out of order"
            );
            next = column as usize + 1;
            self.indices.push(column);
            self.data.push(value);
        }
        self.indptr.push(self.indices.len());
    }

    /// Keeps the columns where `keep` is true, renumbered in order, in place; room no longer needed is given back.
    ///
    /// # Panics
    /// When `keep.len() != n_cols`.
    #[must_use]
    pub fn retain_columns(self, keep: &[bool]) -> Self {
        assert_eq!(keep.len(), self.n_cols, "retain_columns: mask length differs");
        if keep.iter().all(|k| *k) {
            return self;
        }
        let mut renumbered = vec![None; self.n_cols];
        let mut n_kept = 0u32;
        for (to, _) in renumbered.iter_mut().zip(keep).filter(|(_, k)| **k) {
            *to = Some(n_kept);
            n_kept += 1;
        }
        let mut kept = self.compacted(|_, column, _| renumbered[column as usize]);
        kept.n_cols = n_kept as usize;
        kept
    }

    /// Keeps the entries where `keep(row, column, value)` is true, in place; room no longer needed is given back.
    #[must_use]
    pub fn retain(self, keep: impl Fn(usize, usize, T) -> bool) -> Self {
        self.compacted(|row, column, value| keep(row, column as usize, value).then_some(column))
    }

    /// Entries get the column `to(row, column, value)`, or go; columns must go on rising.
    fn compacted(mut self, to: impl Fn(usize, u32, T) -> Option<u32>) -> Self {
        let (mut at, mut from) = (0, 0);
        for row in 0..self.n_rows() {
            let end = self.indptr[row + 1];
            for k in from..end {
                if let Some(column) = to(row, self.indices[k], self.data[k]) {
                    self.indices[at] = column;
                    self.data[at] = self.data[k];
                    at += 1;
                }
            }
            from = end;
            self.indptr[row + 1] = at;
        }
        self.indices.truncate(at);
        self.data.truncate(at);
        self.indices.shrink_to_fit();
        self.data.shrink_to_fit();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_appended_and_columns_dropped_as_by_selection() {
        let dense = ndarray::array![[1.0, 0.0, 2.0], [0.0, 0.0, 0.0], [0.0, 3.0, 4.0]];
        let whole = CsrMatrix::from_dense(dense.view());
        let mut grown = CsrMatrix::with_capacity(3, 1, 1);
        grown.append(whole.view().select_rows(&[0, 1]).view());
        grown.push_row([(1, 3.0), (2, 4.0)]);
        assert_eq!(grown, whole);
        for keep in [[true, false, true], [false, false, false], [true, true, true]] {
            assert_eq!(whole.clone().retain_columns(&keep), whole.view().select_columns(&keep));
        }
    }

    #[test]
    fn entries_are_dropped_in_place() {
        let m = CsrMatrix::from_rows(3, &[vec![(0, 1.0), (1, 2.0)], vec![], vec![(1, 3.0), (2, 4.0)]]);
        let odd = m.clone().retain(|_, _, v| v % 2.0 == 1.0);
        assert_eq!(odd, CsrMatrix::from_rows(3, &[vec![(0, 1.0)], vec![], vec![(1, 3.0)]]));
        assert_eq!(m.clone().retain(|_, _, _| true), m);
        assert_eq!(
            m.retain(|i, j, _| i != 0 && j == 2),
            CsrMatrix::from_rows(3, &[vec![], vec![], vec![(2, 4.0)]])
        );
    }

    #[test]
    #[should_panic(expected = "out of order")]
    fn a_row_out_of_order_is_refused() {
        CsrMatrix::with_capacity(3, 1, 2).push_row([(1, 1.0), (1, 2.0)]);
    }
}
