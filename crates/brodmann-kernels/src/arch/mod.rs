//! Hand-written `unsafe`: each kernel is wrapped by a safe function that checks its shapes.
#![allow(unsafe_code)]

pub mod differences;
pub(crate) mod elementary;
pub(crate) mod gathered;
pub(crate) mod gemm;
pub mod masked;
pub mod panel;
pub mod prefetch;
pub mod rows;
pub(crate) mod similarity;
pub mod sparse_tile;
pub(crate) mod triangle;
