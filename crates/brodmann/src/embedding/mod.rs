//! What is done to an embedding as a whole: batches taken out of it, or a picture of it in two dimensions.
//!
//! * [`harmony()`]: an embedding without what tells its batches apart.
//! * [`umap()`]: Uniform Manifold Approximation and Projection, as `scanpy.tl.umap`.

pub mod harmony;
pub mod umap;

pub use harmony::{Harmony, HarmonyError, HarmonyOptions, harmony};
pub use umap::{Umap, UmapError, UmapInit, UmapOptions, umap};
