//! Hand-written `unsafe`: each kernel is wrapped by a safe function that checks its shapes.
#![allow(unsafe_code)]

pub(crate) mod gemm;
pub mod prefetch;
pub mod rows;
