//! From an embedding to the latent graph.

use brodmann_kernels::{CsrMatrix, Monitor, OptionError, Seed};
use ndarray::ArrayView2;

use super::approximate_knn::{approximate_knn, check_min_recall};
use super::error::GraphError;
use super::fuzzy_connectivities::fuzzy_connectivities;
use super::latent_knn::{check_embedding, exact_knn};

/// Options of [`neighbors`].
#[derive(Clone, Debug, PartialEq)]
pub struct NeighborsOptions {
    /// Neighbours per observation, itself counted, as in scanpy.
    pub n_neighbors: usize,
    /// Up to this many observations the search is exact.
    pub exact_below: usize,
    /// Share of true neighbours that the approximate search must find.
    pub min_recall: f64,
}

impl Default for NeighborsOptions {
    fn default() -> Self {
        Self { n_neighbors: 15, exact_below: 50_000, min_recall: 0.95 }
    }
}

/// The latent graph of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct NeighborGraph {
    /// Symmetric fuzzy weights (`obsp["connectivities"]`).
    pub connectivities: CsrMatrix<f64>,
    /// Euclidean distances, row i holding i's neighbours (`obsp["distances"]`). Zeros are stored.
    pub distances: CsrMatrix<f64>,
    /// `n_neighbors` as used, the observation counted.
    pub n_neighbors: usize,
    /// Measured share of true neighbours; `None` where the search was exact.
    pub recall: Option<f64>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// k nearest neighbours in an embedding and their UMAP weights: scanpy's `pp.neighbors(method="umap")`.
///
/// With fewer than `n_neighbors` observations, `1 + n_obs / 2` neighbours are used, as in scanpy, and `notes`
/// says so.
///
/// # Inputs
/// `embedding`: `(n_obs, d)`, finite. `seed`: used by the approximate search alone.
/// # Returns
/// Connectivities, distances, and the recall where the search was approximate.
/// # Errors
/// `Option` when `n_neighbors` < 2 or `min_recall` is not in (0, 1]; `NonFinite`; `NoColumns`; `Interrupted`.
/// # Cost
/// As [`exact_knn`] or [`approximate_knn()`], then O(n k).
///
/// # Differences
/// An observation is never its own neighbour; scanpy stores one as such where duplicates displace it.
///
/// # Example
///
/// ```
/// use brodmann::graph::{NeighborsOptions, neighbors};
/// use brodmann_kernels::{Seed, Silent};
/// use ndarray::array;
///
/// // Two groups of three on a line; `n_neighbors` counts the observation itself.
/// let embedding = array![[0.0], [0.1], [0.3], [9.0], [9.1], [9.3]];
/// let options = NeighborsOptions { n_neighbors: 3, ..Default::default() };
/// let graph = neighbors(embedding.view(), &options, Seed(0), &Silent)?;
/// assert_eq!(graph.distances.view().row(0).0, [1, 2]);
/// assert_eq!(graph.connectivities.view().get(0, 3), None);
/// # Ok::<(), brodmann::graph::GraphError>(())
/// ```
pub fn neighbors(
    embedding: ArrayView2<'_, f64>,
    options: &NeighborsOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<NeighborGraph, GraphError> {
    if options.n_neighbors < 2 {
        return Err(OptionError::new(
            "n_neighbors",
            options.n_neighbors,
            "at least 2 (the observation itself counts)",
        )
        .into());
    }
    check_min_recall(options.min_recall)?;
    check_embedding(embedding, options.n_neighbors)?;
    let n_obs = embedding.nrows();
    let mut notes = Vec::new();
    let mut n_neighbors = options.n_neighbors;
    if n_neighbors > n_obs {
        n_neighbors = 1 + n_obs / 2;
        notes.push(format!(
            "{n_obs} observations are too few for n_neighbors = {}: {n_neighbors} used, as scanpy does",
            options.n_neighbors
        ));
    }
    // One observation leaves k = 0 after the cut: `exact_knn` then caps k at n_obs − 1 = 0.
    let k = (n_neighbors - 1).max(1);
    let found = if n_obs <= options.exact_below {
        exact_knn(embedding, k, monitor)?
    } else {
        approximate_knn(embedding, k, options.min_recall, seed, monitor)?
    };
    if let Some(recall) = found.recall {
        notes.push(format!("approximate neighbours, {:.1} % of the true ones found", 100.0 * recall));
    }
    Ok(NeighborGraph {
        connectivities: fuzzy_connectivities(&found),
        distances: found.to_distances(),
        n_neighbors,
        recall: found.recall,
        notes,
    })
}
