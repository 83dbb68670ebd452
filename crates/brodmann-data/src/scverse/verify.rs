//! Equality of what was written and what reads back: bit for bit, a NaN equal to itself.

use brodmann_kernels::CsrMatrix;
use ndarray::{ArrayBase, Data, Dimension};

use super::write::{as_frame, stored_column};
use crate::{Array, Column, DataFrame, Matrix, Value};

trait Bits: Copy + Send + Sync {
    fn same(self, other: Self) -> bool;
}
impl Bits for f32 {
    fn same(self, other: Self) -> bool {
        self.to_bits() == other.to_bits() || (self.is_nan() && other.is_nan())
    }
}
impl Bits for f64 {
    fn same(self, other: Self) -> bool {
        self.to_bits() == other.to_bits() || (self.is_nan() && other.is_nan())
    }
}

fn same_slice<T: Bits>(a: &[T], b: &[T]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(*b))
}

fn same_dense<T: Bits, S: Data<Elem = T>, R: Data<Elem = T>, D: Dimension>(
    a: &ArrayBase<S, D>,
    b: &ArrayBase<R, D>,
) -> bool {
    a.shape() == b.shape() && a.iter().zip(b).all(|(a, b)| a.same(*b))
}

fn same_csr<T: Bits>(a: &CsrMatrix<T>, b: &CsrMatrix<T>) -> bool {
    a.n_cols() == b.n_cols()
        && a.indptr() == b.indptr()
        && a.indices() == b.indices()
        && same_slice(a.data(), b.data())
}

pub(super) fn same_matrix(a: &Matrix, b: &Matrix) -> bool {
    match (a, b) {
        (Matrix::DenseF32(a), Matrix::DenseF32(b)) => same_dense(a, b),
        (Matrix::DenseF64(a), Matrix::DenseF64(b)) => same_dense(a, b),
        (Matrix::CsrF32(a), Matrix::CsrF32(b)) => same_csr(a, b),
        (Matrix::CsrF64(a), Matrix::CsrF64(b)) => same_csr(a, b),
        (a, b) => a == b,
    }
}

pub(super) fn same_column(back: &Column, wanted: &Column) -> bool {
    match (back, stored_column(wanted).as_ref()) {
        (Column::Float64(a), Column::Float64(b)) => same_slice(a, b),
        (Column::Float32(a), Column::Float32(b)) => same_slice(a, b),
        (a, b) => a == b,
    }
}

fn same_frame(a: &DataFrame, b: &DataFrame) -> bool {
    a.index == b.index
        && a.columns.len() == b.columns.len()
        && a.columns.iter().zip(&b.columns).all(|((ka, a), (kb, b))| ka == kb && same_column(a, b))
}

fn same_array(a: &Array, b: &Array) -> bool {
    match (a, b) {
        (Array::F32(a), Array::F32(b)) => same_dense(a, b),
        (Array::F64(a), Array::F64(b)) => same_dense(a, b),
        (a, b) => a == b,
    }
}

pub(super) fn same_value(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => a.same(*b),
        (Value::Array(a), Value::Array(b)) => same_array(a, b),
        (Value::Sparse(a), Value::Sparse(b)) => same_matrix(a, b),
        (Value::Frame(a), Value::Frame(b)) => same_frame(a, b),
        (Value::Column(a), Value::Column(b)) => same_column(a, b),
        (Value::Records(a), Value::Records(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((ka, a), (kb, b))| ka == kb && same_array(a, b))
        }
        // What a store keeps no records for.
        (Value::Frame(a), Value::Records(b)) => same_frame(a, &as_frame(b)),
        // Groups are read back by name, so the order of a dictionary is not kept.
        (Value::Dict(a), Value::Dict(b)) => {
            a.len() == b.len() && a.iter().all(|(k, a)| b.get(k).is_some_and(|b| same_value(a, b)))
        }
        (a, b) => a == b,
    }
}
