//! How does an embedding look in two dimensions?
//!
//! Beside the road from counts to domains: a picture of the space in which spots were compared. Takes the latent
//! graph of [`crate::graph`]; the plots take what it returns.
//!
//! * [`umap()`]: Uniform Manifold Approximation and Projection, as `scanpy.tl.umap`.

pub mod umap;

pub use umap::{Umap, UmapError, UmapInit, UmapOptions, umap};
