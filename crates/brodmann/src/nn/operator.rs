//! Sparse matrices as layers use them, and the normalisation of graph convolutions.

use brodmann_kernels::arch::rows::SparseRows;
use brodmann_kernels::{CsrMatrix, CsrView};

use super::mat::{Mat, for_blocks};
use super::scalar::Scalar;

/// A sparse matrix ready for products with it and with its transpose.
#[derive(Clone, Debug, PartialEq)]
pub struct SparseOperator<T> {
    forward: CsrMatrix<T>,
    /// `None` when the matrix is its own transpose.
    transpose: Option<CsrMatrix<T>>,
}

impl<T: Scalar> SparseOperator<T> {
    /// Keeps the matrix, and its transpose unless they are equal.
    pub fn new(matrix: CsrView<'_, f64>) -> Self {
        let forward = matrix.map(T::of);
        let transpose = forward.view().transpose();
        let transpose = (transpose != forward).then_some(transpose);
        Self { forward, transpose }
    }

    /// Rows.
    pub fn n_rows(&self) -> usize {
        self.forward.n_rows()
    }

    /// Columns.
    pub fn n_cols(&self) -> usize {
        self.forward.n_cols()
    }

    /// The matrix itself.
    pub fn view(&self) -> CsrView<'_, T> {
        self.forward.view()
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        let of = |m: &CsrMatrix<T>| m.indptr().len() * 8 + m.nnz() * (4 + size_of::<T>());
        (of(&self.forward) + self.transpose.as_ref().map_or(0, of)) as u64
    }

    /// `out (+)= A · dense + bias`; an empty bias is none.
    pub fn apply(&self, out: &mut [T], dense: Mat<'_, T>, bias: &[T], add: bool) {
        product(out, &self.forward, dense, bias, add);
    }

    /// `out (+)= Aᵀ · dense`.
    pub fn apply_transposed(&self, out: &mut [T], dense: Mat<'_, T>, add: bool) {
        product(out, self.transpose.as_ref().unwrap_or(&self.forward), dense, &[], add);
    }

    /// `out = A · dense` for the rows from `first_row` that `out` has room for, on this thread.
    pub fn apply_rows(&self, out: &mut [T], first_row: usize, dense: Mat<'_, T>) {
        T::sparse_rows(out, first_row, rows(&self.forward, dense), &[], false);
    }
}

fn rows<'a, T>(matrix: &'a CsrMatrix<T>, dense: Mat<'a, T>) -> SparseRows<'a, T>
where
    T: Scalar,
{
    let (indptr, indices, data) = (matrix.indptr(), matrix.indices(), matrix.data());
    SparseRows { indptr, indices, data, dense: dense.data, width: dense.cols }
}

fn product<T: Scalar>(out: &mut [T], matrix: &CsrMatrix<T>, dense: Mat<'_, T>, bias: &[T], add: bool) {
    assert_eq!(matrix.n_cols(), dense.rows, "sparse product: inner dimensions differ");
    for_blocks(out, dense.cols, |first, block| {
        T::sparse_rows(block, first, rows(matrix, dense), bias, add);
    });
}

/// `D^-1/2 (A + I) D^-1/2` (Kipf & Welling 2017) for `adjacency` with row = target, column = source.
///
/// As in PyTorch Geometric: a loop is added only where a row has none; `D` is the row sum, the loop included; a row
/// whose sum is not positive becomes zero.
pub fn gcn_normalized(adjacency: CsrView<'_, f64>) -> CsrMatrix<f64> {
    let n = adjacency.n_rows();
    let mut rows: Vec<Vec<(u32, f64)>> = Vec::with_capacity(n);
    for i in 0..n {
        let (columns, values) = adjacency.row(i);
        let mut row: Vec<(u32, f64)> = columns.iter().copied().zip(values.iter().copied()).collect();
        if let Err(place) = columns.binary_search(&(i as u32)) {
            row.insert(place, (i as u32, 1.0));
        }
        rows.push(row);
    }
    let roots: Vec<f64> = rows
        .iter()
        .map(|row| row.iter().map(|e| e.1).sum::<f64>())
        .map(|degree| if degree > 0.0 { 1.0 / degree.sqrt() } else { 0.0 })
        .collect();
    for (i, row) in rows.iter_mut().enumerate() {
        for (j, value) in row {
            *value *= roots[i] * roots[*j as usize];
        }
    }
    CsrMatrix::from_rows(n, &rows)
}
