//! Matrices with one axis per side: `X`, `layers`, `obsp`, `varp`.

use std::borrow::Cow;

use brodmann_kernels::CsrMatrix;
use ndarray::{Array2, Axis};

/// A dense or sparse matrix.
///
/// Compressed columns become compressed rows when read. Whole numbers that 24 bits hold become `f32` in sparse
/// matrices, all others `f64`; dense whole numbers stay as they are.
#[derive(Clone, Debug, PartialEq)]
pub enum Matrix {
    /// Dense, 32-bit floats.
    DenseF32(Array2<f32>),
    /// Dense, 64-bit floats.
    DenseF64(Array2<f64>),
    /// Dense, whole numbers.
    DenseI64(Array2<i64>),
    /// Sparse rows, 32-bit floats.
    CsrF32(CsrMatrix<f32>),
    /// Sparse rows, 64-bit floats.
    CsrF64(CsrMatrix<f64>),
}

impl Matrix {
    /// Rows.
    pub fn n_rows(&self) -> usize {
        self.shape().0
    }

    /// Columns.
    pub fn n_cols(&self) -> usize {
        self.shape().1
    }

    /// `(rows, columns)`.
    pub fn shape(&self) -> (usize, usize) {
        match self {
            Self::DenseF32(a) => a.dim(),
            Self::DenseF64(a) => a.dim(),
            Self::DenseI64(a) => a.dim(),
            Self::CsrF32(m) => (m.n_rows(), m.n_cols()),
            Self::CsrF64(m) => (m.n_rows(), m.n_cols()),
        }
    }

    /// Stored entries: all of a dense matrix.
    pub fn nnz(&self) -> usize {
        match self {
            Self::CsrF32(m) => m.nnz(),
            Self::CsrF64(m) => m.nnz(),
            _ => self.n_rows() * self.n_cols(),
        }
    }

    /// Whether it is stored sparse.
    pub fn is_sparse(&self) -> bool {
        matches!(self, Self::CsrF32(_) | Self::CsrF64(_))
    }

    /// Sparse rows of `f32`; borrowed when that is what is stored.
    pub fn to_csr_f32(&self) -> Cow<'_, CsrMatrix<f32>> {
        match self {
            Self::CsrF32(m) => Cow::Borrowed(m),
            Self::CsrF64(m) => Cow::Owned(m.view().map(|v| v as f32)),
            Self::DenseF32(a) => Cow::Owned(CsrMatrix::from_dense(a.view())),
            Self::DenseF64(a) => Cow::Owned(CsrMatrix::from_dense(a.mapv(|v| v as f32).view())),
            Self::DenseI64(a) => Cow::Owned(CsrMatrix::from_dense(a.mapv(|v| v as f32).view())),
        }
    }

    /// Sparse rows of `f32`, without a copy where that is what is stored.
    pub fn into_csr_f32(self) -> CsrMatrix<f32> {
        match self {
            Self::CsrF32(m) => m,
            other => other.to_csr_f32().into_owned(),
        }
    }

    /// Sparse rows of `f64`; borrowed when that is what is stored.
    pub fn to_csr_f64(&self) -> Cow<'_, CsrMatrix<f64>> {
        match self {
            Self::CsrF64(m) => Cow::Borrowed(m),
            Self::CsrF32(m) => Cow::Owned(m.view().map(f64::from)),
            Self::DenseF32(a) => Cow::Owned(CsrMatrix::from_dense(a.mapv(f64::from).view())),
            Self::DenseF64(a) => Cow::Owned(CsrMatrix::from_dense(a.view())),
            Self::DenseI64(a) => Cow::Owned(CsrMatrix::from_dense(a.mapv(|v| v as f64).view())),
        }
    }

    /// Sparse rows of `f64`, without a copy where that is what is stored.
    pub fn into_csr_f64(self) -> CsrMatrix<f64> {
        match self {
            Self::CsrF64(m) => m,
            other => other.to_csr_f64().into_owned(),
        }
    }

    /// Dense `f32`; borrowed when that is what is stored.
    pub fn to_dense_f32(&self) -> Cow<'_, Array2<f32>> {
        match self {
            Self::DenseF32(a) => Cow::Borrowed(a),
            Self::DenseF64(a) => Cow::Owned(a.mapv(|v| v as f32)),
            Self::DenseI64(a) => Cow::Owned(a.mapv(|v| v as f32)),
            Self::CsrF32(m) => Cow::Owned(m.view().to_dense()),
            Self::CsrF64(m) => Cow::Owned(m.view().map(|v| v as f32).view().to_dense()),
        }
    }

    /// Dense `f64`; borrowed when that is what is stored.
    pub fn to_dense_f64(&self) -> Cow<'_, Array2<f64>> {
        match self {
            Self::DenseF64(a) => Cow::Borrowed(a),
            Self::DenseF32(a) => Cow::Owned(a.mapv(f64::from)),
            Self::DenseI64(a) => Cow::Owned(a.mapv(|v| v as f64)),
            Self::CsrF32(m) => Cow::Owned(m.view().map(f64::from).view().to_dense()),
            Self::CsrF64(m) => Cow::Owned(m.view().to_dense()),
        }
    }

    /// The rows named, in that order.
    ///
    /// # Panics
    /// When a row is out of range.
    #[must_use]
    pub fn select_rows(&self, rows: &[usize]) -> Self {
        match self {
            Self::DenseF32(a) => Self::DenseF32(a.select(Axis(0), rows)),
            Self::DenseF64(a) => Self::DenseF64(a.select(Axis(0), rows)),
            Self::DenseI64(a) => Self::DenseI64(a.select(Axis(0), rows)),
            Self::CsrF32(m) => Self::CsrF32(m.view().select_rows(rows)),
            Self::CsrF64(m) => Self::CsrF64(m.view().select_rows(rows)),
        }
    }

    /// The columns named, in that order.
    ///
    /// # Panics
    /// When a column is out of range.
    #[must_use]
    pub fn select_columns(&self, columns: &[usize]) -> Self {
        match self {
            Self::DenseF32(a) => Self::DenseF32(a.select(Axis(1), columns)),
            Self::DenseF64(a) => Self::DenseF64(a.select(Axis(1), columns)),
            Self::DenseI64(a) => Self::DenseI64(a.select(Axis(1), columns)),
            Self::CsrF32(m) => Self::CsrF32(csr_columns(m, columns)),
            Self::CsrF64(m) => Self::CsrF64(csr_columns(m, columns)),
        }
    }
}

fn csr_columns<T: Copy + Default + Send + Sync>(m: &CsrMatrix<T>, columns: &[usize]) -> CsrMatrix<T> {
    if columns.windows(2).all(|w| w[0] < w[1]) {
        let mut keep = vec![false; m.n_cols()];
        for &c in columns {
            keep[c] = true;
        }
        m.view().select_columns(&keep)
    } else {
        m.view().transpose().view().select_rows(columns).view().transpose()
    }
}

macro_rules! matrix_from {
    ($($t:ty => $variant:ident),*) => {$(
        impl From<$t> for Matrix {
            fn from(m: $t) -> Self {
                Self::$variant(m)
            }
        }
    )*};
}
matrix_from!(Array2<f32> => DenseF32, Array2<f64> => DenseF64, Array2<i64> => DenseI64,
    CsrMatrix<f32> => CsrF32, CsrMatrix<f64> => CsrF64);
