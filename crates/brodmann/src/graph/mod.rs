//! Which spots are neighbours, in space and in feature space?
//!
//! Graphs stand between preprocessing (coordinates, an embedding) and every model and clustering. All are
//! `CsrMatrix<f64>`, `n_obs × n_obs`, without a diagonal. No spatial edge crosses a slice.
//!
//! Space:
//! * [`spatial_neighbors`](mod@spatial_neighbors): one front to the kinds below, with automatic choice.
//! * [`spatial_knn`](mod@spatial_knn): the k nearest, in 2-D and 3-D.
//! * [`radius`]: all within a radius.
//! * [`delaunay`](mod@delaunay): Delaunay triangulation, with an optional length cut-off.
//! * [`prune`]: the longest edges taken out, by length or percentile.
//! * [`grid`]: hexagonal and square lattices, with rings; recognising a lattice.
//!
//! Feature space:
//! * [`neighbors`](mod@neighbors): k nearest and their weights, as scanpy's `pp.neighbors`.
//! * [`latent_knn`]: the k nearest, exactly, by blocked matrix products.
//! * [`approximate_knn`](mod@approximate_knn): nearly all of them, for large tables, with the share measured.
//! * [`mutual_nearest`](mod@mutual_nearest): pairs of two tables that are among each other's nearest.
//! * [`fuzzy_connectivities`](mod@fuzzy_connectivities): UMAP's weights.
//!
//! Both:
//! * [`distance2connectivity`](mod@distance2connectivity): distances as similarities.
//! * [`neighbor_means`](mod@neighbor_means): rows averaged over neighbours.
//! * [`transform`](mod@transform): weights by degree, or the likeness of neighbourhoods.
//! * [`connected_components`](mod@connected_components): pieces that no edge joins.
//! * [`validate`]: is a graph from a file fit for use?

pub mod approximate_knn;
mod blocked_distances;
mod cells;
pub mod connected_components;
pub mod delaunay;
pub mod distance2connectivity;
pub mod error;
pub mod fuzzy_connectivities;
pub mod grid;
mod kd_tree;
pub mod latent_knn;
pub mod mutual_nearest;
pub mod neighbor_means;
pub mod neighbors;
pub mod prune;
pub mod radius;
mod slices;
pub mod spatial_knn;
pub mod spatial_neighbors;
pub mod transform;
pub mod validate;

#[cfg(test)]
mod tests;

pub use approximate_knn::{approximate_knn, nearest_across};
pub use connected_components::{Components, connected_components};
pub use delaunay::delaunay;
pub(crate) use delaunay::delaunay_triangles;
pub use distance2connectivity::distance2connectivity;
pub use error::GraphError;
pub use fuzzy_connectivities::fuzzy_connectivities;
pub use grid::{Lattice, detect_lattice, grid_neighbors};
pub(crate) use kd_tree::{KdTree, Nearest};
pub use latent_knn::{Neighbors, exact_knn};
pub use mutual_nearest::mutual_nearest;
pub use neighbor_means::neighbor_means;
pub use neighbors::{NeighborGraph, NeighborsOptions, neighbors};
pub use prune::{keep_lengths, keep_percentile};
pub use radius::radius_neighbors;
pub use slices::GraphNote;
pub(crate) use slices::{Points, grouped, union_symmetric};
pub(crate) use spatial_knn::{NearestRows, nearest_rows, too_few};
pub use spatial_knn::{spatial_knn, spatial_nearest};
pub use spatial_neighbors::{SpatialGraph, SpatialGraphOptions, SpatialKind, spatial_neighbors};
pub use transform::{Transform, transform, with_loops};
pub use validate::{is_symmetric, require_symmetric, require_weight, validate_graph};
