//! UMAP: a graph laid out in the plane.

mod curve;
mod initial;
mod layout;

use brodmann_kernels::{CsrView, Interrupted, Monitor, Seed};
use brodmann_kernels::{Diagnosis, OptionError};
use ndarray::{Array2, ArrayView2};

use self::layout::Forces;
use crate::graph::{GraphError, validate_graph};
use crate::preprocess::PreprocessError;

/// Up to this many observations the layout takes [`EPOCHS_SMALL`] epochs, beyond [`EPOCHS_LARGE`]; as umap-learn.
const SMALL: usize = 10_000;
/// Epochs of a small layout.
const EPOCHS_SMALL: u32 = 500;
/// Epochs of a large layout.
const EPOCHS_LARGE: u32 = 200;

/// Why there is no layout.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum UmapError {
    /// The graph cannot be used.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// An option out of its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// [`UmapInit::Pca`] without an embedding.
    #[error("no embedding was given; expected one, as the PCA start asks for")]
    MissingEmbedding,
    /// Not one row of the embedding per observation.
    #[error("the embedding has {found} rows; expected {expected}, as in the graph")]
    EmbeddingRows {
        /// Rows found.
        found: usize,
        /// Observations of the graph.
        expected: usize,
    },
    /// NaN or infinity in the embedding.
    #[error("the embedding holds NaN or infinity in row {row}; expected finite values")]
    NonFinite {
        /// First bad row.
        row: usize,
    },
    /// The eigen-solver failed.
    #[error(transparent)]
    Eigen(PreprocessError),
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Diagnosis for UmapError {
    fn origin(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Option(e) => Some(e),
            Self::Graph(e) => Some(e),
            Self::Eigen(e) => Some(e),
            Self::Interrupted(e) => Some(e),
            _ => None,
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::MissingEmbedding => "give the embedding, or start from the graph (spectral)".to_owned(),
            Self::EmbeddingRows { .. } => "give those of one table".to_owned(),
            Self::NonFinite { .. } => "compute it again".to_owned(),
            _ => return self.origin()?.advice(),
        })
    }
}

impl From<PreprocessError> for UmapError {
    fn from(error: PreprocessError) -> Self {
        match error {
            PreprocessError::Interrupted(stop) => Self::Interrupted(stop),
            other => Self::Eigen(other),
        }
    }
}

/// Where the points start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UmapInit {
    /// The leading non-trivial eigenvectors of the graph's normalised adjacency, component by component.
    #[default]
    Spectral,
    /// The two leading principal components of the embedding.
    Pca,
    /// Uniform.
    Random,
}

/// How to lay out. The defaults are scanpy's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UmapOptions {
    /// Distance in the plane under which neighbours count as touching.
    pub min_dist: f64,
    /// Scale of the plane.
    pub spread: f64,
    /// Epochs; `None`: 500 up to 10,000 observations, 200 beyond.
    pub n_epochs: Option<u32>,
    /// Where the points start.
    pub init: UmapInit,
    /// Step length of the first epoch; falls linearly to 0.
    pub learning_rate: f64,
    /// Random points that push for each neighbour that pulls.
    pub negative_sample_rate: u32,
    /// Strength of the push.
    pub repulsion_strength: f64,
}

impl Default for UmapOptions {
    fn default() -> Self {
        Self {
            min_dist: 0.5,
            spread: 1.0,
            n_epochs: None,
            init: UmapInit::Spectral,
            learning_rate: 1.0,
            negative_sample_rate: 5,
            repulsion_strength: 1.0,
        }
    }
}

impl UmapOptions {
    fn validate(&self) -> Result<(), UmapError> {
        let refuse = |name, found: f64, expected| Err(OptionError::new(name, found, expected).into());
        if !(self.spread > 0.0 && self.spread <= 1e6) {
            return refuse("spread", self.spread, "a number above 0");
        }
        if !(self.min_dist >= 0.0 && self.min_dist <= self.spread) {
            return refuse("min_dist", self.min_dist, "a number from 0 to spread");
        }
        if !(self.learning_rate > 0.0 && self.learning_rate <= 1e3) {
            return refuse("learning_rate", self.learning_rate, "a number above 0, 1 by default");
        }
        if !(self.repulsion_strength >= 0.0 && self.repulsion_strength <= 1e6) {
            return refuse("repulsion_strength", self.repulsion_strength, "a number of at least 0");
        }
        if self.n_epochs == Some(0) {
            return refuse("n_epochs", 0.0, "at least 1");
        }
        if self.negative_sample_rate > 1000 {
            return refuse(
                "negative_sample_rate",
                f64::from(self.negative_sample_rate),
                "at most 1000, 5 by default",
            );
        }
        Ok(())
    }
}

/// A layout, and the curve it was made with.
#[derive(Clone, Debug, PartialEq)]
pub struct Umap {
    /// `(n_obs, 2)`: `obsm["X_umap"]`.
    pub positions: Array2<f32>,
    /// `a` of `1 / (1 + a d^2b)`, fitted to `min_dist` and `spread`.
    pub a: f64,
    /// `b` of the same.
    pub b: f64,
    /// Epochs run.
    pub n_epochs: u32,
    /// Connected components of the graph; more than one are first set apart.
    pub n_components: usize,
}

/// UMAP's layout of a fuzzy graph in the plane: linked points near each other, others apart.
///
/// The similarity of two points is `q = 1 / (1 + a d^2b)`, with `a` and `b` fitted so that `q` is 1 up to
/// `min_dist` and falls as `exp(−(d − min_dist)/spread)` beyond. The cross-entropy between the graph's weights
/// and `q` is lowered by sampling:
///
/// 1. Start from the spectral layout of the graph (or PCA, or at random), scaled to a square of side 10.
/// 2. In each epoch, a link of weight `w` is drawn with frequency `w / max w` and pulls both its ends; for each,
///    5 random points push.
/// 3. The step length falls linearly to 0.
///
/// # Inputs
/// `connectivities`: `(n_obs, n_obs)`, symmetric, weights ≥ 0, as [`neighbors`](crate::graph::neighbors()) makes. `embedding`: `(n_obs, d)`, for the PCA start, and to place the pieces of a disconnected graph.
/// # Returns
/// [`Umap`]; finite, whatever the graph. Spots without a link keep their starting place.
/// # Errors
/// [`UmapError`].
/// # Cost
/// O(epochs · nnz) time, 16 bytes a spot beyond the graph; the spectral start up to 0.5 GB of scratch.
/// # Source
/// McInnes, Healy & Melville 2018, arXiv:1802.03426, algorithms 4 and 5.
///
/// # Differences
/// umap-learn moves both ends of a link at once, so its result depends on the order of links and, in parallel, on
/// races. Here every point moves on its own against the others' places at the start of the epoch: a link pulls
/// each end twice, which is what its two mirrored entries do there. The same bits on any number of threads.
/// A link is drawn at the epochs where `⌊epoch · w / max w⌋` steps up, umap-learn's own schedule.
///
/// # Example
///
/// ```
/// use brodmann::embedding::{UmapOptions, umap};
/// use brodmann::graph::{NeighborsOptions, neighbors};
/// use brodmann_kernels::{Seed, Silent};
/// use ndarray::Array2;
///
/// let x = Array2::from_shape_fn((40, 3), |(i, j)| (i % 2 * 30) as f64 + ((i * 7 + j * 5) % 13) as f64);
/// let options = NeighborsOptions { n_neighbors: 6, ..Default::default() };
/// let graph = neighbors(x.view(), &options, Seed(0), &Silent)?;
/// let options = UmapOptions { n_epochs: Some(50), ..Default::default() };
/// let map = umap(graph.connectivities.view(), Some(x.view()), &options, Seed(0), &Silent)?;
/// assert_eq!(map.positions.dim(), (40, 2));
/// assert_eq!(map.n_components, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn umap(
    connectivities: CsrView<'_, f64>,
    embedding: Option<ArrayView2<'_, f64>>,
    options: &UmapOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Umap, UmapError> {
    options.validate()?;
    let n_obs = connectivities.n_rows();
    validate_graph(connectivities, n_obs, "connectivities")?;
    if let Some(embedding) = embedding {
        if embedding.nrows() != n_obs {
            return Err(UmapError::EmbeddingRows { found: embedding.nrows(), expected: n_obs });
        }
        let bad = |v: &f64| v.is_nan() || v.abs() > 1e150;
        if let Some(row) = embedding.outer_iter().position(|row| row.iter().any(bad)) {
            return Err(UmapError::NonFinite { row });
        }
    }
    let (a, b) = curve::fit(options.min_dist, options.spread);
    monitor.stage("UMAP: start", 0);
    let start = initial::positions(connectivities, embedding, options.init, seed, monitor)?;
    let n_epochs = options.n_epochs.unwrap_or(if n_obs <= SMALL { EPOCHS_SMALL } else { EPOCHS_LARGE });
    let forces = Forces {
        a: a as f32,
        b: b as f32,
        repulsion: options.repulsion_strength as f32,
        n_negative: options.negative_sample_rate,
    };
    let rate = options.learning_rate as f32;
    let placed = layout::optimize(connectivities, start.places, forces, rate, n_epochs, seed, monitor)?;
    let positions = Array2::from_shape_fn((n_obs, 2), |(i, axis)| placed[i][axis]);
    Ok(Umap { positions, a, b, n_epochs, n_components: start.n_components })
}

#[cfg(test)]
mod tests;
