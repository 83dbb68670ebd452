//! The numerical ground everything stands on: which loops may be fast, and how they stay reproducible.
//!
//! All hand-written `unsafe` of the project lives in [`arch`]; the rest of the workspace forbids it. Every
//! parallel loop here splits its work by the *data* (fixed chunk sizes), never by the number of threads, so
//! that one seed gives the same bits on any machine size.
//!
//! * [`csr`]: compressed sparse rows, owned and borrowed.
//! * [`matmul`]: dense matrix products.
//! * [`eigen`]: eigenvalues of dense symmetric matrices; [`solve`]: equations with positive definite ones.
//! * [`spmm`]: sparse times dense.
//! * [`real`]: `f32` and `f64` under one name.
//! * [`exp`]: `exp`, `ln`, `sigmoid`, `tanh` of whole slices; [`simd`]: on which instruction set.
//! * [`parallel_loop`]: parallel loops, results in order. [`reduce`]: sums in a fixed order.
//! * [`assignment`]: the best matching of two sets of names.
//! * [`similarity`]: sums of `exp(zᵢ·zⱼ/τ)` over all pairs, and their gradient, tile by tile.
//! * [`rng`]: one counter-based random stream per purpose.
//! * [`slices`]: which slice each observation belongs to.
//! * [`monitor`]: progress out, interruption in.
//! * [`diagnosis`]: what an error says beside its message, and who spells the names in it; [`proofread`]: whether the
//!   sentences read well.

pub mod arch;
pub mod assignment;
pub mod csr;
pub mod diagnosis;
pub mod eigen;
pub mod exp;
pub mod matmul;
pub mod monitor;
pub mod parallel_loop;
pub mod proofread;
pub mod real;
pub mod reduce;
pub mod rng;
pub mod simd;
pub mod similarity;
pub mod slices;
pub mod solve;
pub mod spmm;

pub use csr::{CsrError, CsrMatrix, CsrView};
pub use diagnosis::{Blame, Diagnosis, Opt, OptionError, Setting, Spelling, Step, Told, speaking};
pub use monitor::{Interrupted, Monitor, Silent};
pub use parallel_loop::ParallelLoop;
pub use real::Real;
pub use rng::Seed;
pub use slices::{SliceLength, Slices};
