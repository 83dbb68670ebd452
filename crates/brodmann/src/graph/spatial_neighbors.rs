//! One front to every kind of spatial graph.

use brodmann_kernels::{CsrMatrix, OptionError, Slices};
use ndarray::ArrayView2;

use super::delaunay::delaunay;
use super::error::GraphError;
use super::grid::{detect_lattice, grid_neighbors};
use super::prune::{check_lengths, check_percentile, keep_lengths, keep_percentile};
use super::radius::radius_neighbors;
use super::slices::GraphNote;
use super::spatial_knn::spatial_knn;

/// A spatial graph: two matrices of one pattern, no diagonal.
#[derive(Clone, Debug, PartialEq)]
pub struct SpatialGraph {
    /// 1 per edge (`obsp["spatial_connectivities"]`).
    pub connectivities: CsrMatrix<f64>,
    /// Euclidean length per edge; on a grid the ring number (`obsp["spatial_distances"]`). Zeros are stored.
    pub distances: CsrMatrix<f64>,
    /// The kind actually built: never `Auto`.
    pub kind: SpatialKind,
    /// What the user should know.
    pub notes: Vec<GraphNote>,
}

/// How spatial neighbours are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpatialKind {
    /// `Grid` where the spots lie on a lattice, else `Knn`.
    #[default]
    Auto,
    /// The k nearest.
    Knn,
    /// All within a radius.
    Radius,
    /// Delaunay triangulation.
    Delaunay,
    /// Hexagonal or square lattice.
    Grid,
}

impl SpatialKind {
    /// Its name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Knn => "knn",
            Self::Radius => "radius",
            Self::Delaunay => "delaunay",
            Self::Grid => "grid",
        }
    }
}

impl std::str::FromStr for SpatialKind {
    type Err = GraphError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Auto, Self::Knn, Self::Radius, Self::Delaunay, Self::Grid];
        all.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            OptionError::new("kind", format!("{text:?}"), "auto, knn, radius, delaunay or grid").into()
        })
    }
}

/// Options of [`spatial_neighbors`].
#[derive(Clone, Debug, PartialEq)]
pub struct SpatialGraphOptions {
    /// Kind of graph.
    pub kind: SpatialKind,
    /// Neighbours per spot (knn), or lattice neighbours (grid: 4, 6 or 8). `None`: 6; on a square lattice found by `Auto`, 4.
    pub n_neighbors: Option<usize>,
    /// Radius (radius only), in the coordinates' unit.
    pub radius: Option<f64>,
    /// Rings of lattice neighbours (grid only).
    pub n_rings: usize,
    /// Longest edge kept (Delaunay only), in the coordinates' unit.
    pub max_length: Option<f64>,
    /// Add every edge's reverse (knn and grid; the other kinds are symmetric anyway).
    pub symmetrise: bool,
    /// Shortest and longest edge kept (not on a grid), in the coordinates' unit.
    pub lengths: Option<[f64; 2]>,
    /// Edges longer than this percentile of the distances in their slice go (not on a grid); after `lengths`.
    pub percentile: Option<f64>,
}

impl Default for SpatialGraphOptions {
    fn default() -> Self {
        Self {
            kind: SpatialKind::Auto,
            n_neighbors: None,
            radius: None,
            n_rings: 1,
            max_length: None,
            symmetrise: true,
            lengths: None,
            percentile: None,
        }
    }
}

/// Neighbours per spot where the caller names none: the hexagon's six, squidpy's default too.
const DEFAULT_N_NEIGHBORS: usize = 6;

impl SpatialGraph {
    pub(crate) fn from_distances(distances: CsrMatrix<f64>, notes: Vec<GraphNote>) -> Self {
        let mut connectivities = distances.clone();
        connectivities.data_mut().fill(1.0);
        Self { connectivities, distances, kind: SpatialKind::Knn, notes }
    }
}

/// The spatial graph of a tissue, slice by slice.
///
/// `Auto` looks at the spots themselves (see [`detect_lattice`]): a hexagonal lattice gives `Grid` with 6
/// neighbours, a square one `Grid` with 4 (or 8 if asked), anything else, or a number of neighbours that the
/// lattice does not have, `Knn`. A `radius` given to `Auto` gives `Radius`.
///
/// # Inputs
/// `coordinates`: `(n_obs, 2 or 3)`, finite. `slices`: one code per spot; no edge crosses a slice.
/// # Returns
/// Connectivities and distances of one pattern, the kind built, and notes.
/// # Errors
/// `Option` when `Radius` has no radius; else as the kind's own function.
/// # Cost
/// O(n log n) time, O(edges) memory.
///
/// # Differences
/// squidpy's automatic choice asks whether the table has Visium metadata; this one asks the coordinates, so it
/// works on any source. squidpy leaves knn graphs directed; `symmetrise: false` does that here.
///
/// # Example
///
/// ```
/// use brodmann::graph::{SpatialGraphOptions, SpatialKind, spatial_neighbors};
/// use brodmann_kernels::Slices;
/// use ndarray::Array2;
///
/// // A square of 20 × 20 spots is recognised as a lattice: 760 edges, each in both directions.
/// let spots = Array2::from_shape_fn((400, 2), |(i, axis)| if axis == 0 { i % 20 } else { i / 20 } as f64);
/// let graph = spatial_neighbors(spots.view(), None, &SpatialGraphOptions::default())?;
/// assert_eq!(graph.kind, SpatialKind::Grid);
/// assert_eq!(graph.connectivities.nnz(), 1520);
/// // In two slices no edge joins the two halves.
/// let halves: Vec<u32> = (0..400).map(|i| u32::from(i >= 200)).collect();
/// let slices = Slices::from_codes(&halves, &[]);
/// let options = SpatialGraphOptions { kind: SpatialKind::Knn, n_neighbors: Some(2), ..Default::default() };
/// let graph = spatial_neighbors(spots.view(), Some(&slices), &options)?;
/// assert_eq!(graph.connectivities.view().get(190, 210), None);
/// # Ok::<(), brodmann::graph::GraphError>(())
/// ```
pub fn spatial_neighbors(
    coordinates: ArrayView2<'_, f64>,
    slices: Option<&Slices>,
    options: &SpatialGraphOptions,
) -> Result<SpatialGraph, GraphError> {
    // Before any work, and on a grid too, where they have no say.
    options.lengths.map_or(Ok(()), check_lengths)?;
    options.percentile.map_or(Ok(()), check_percentile)?;
    let mut notes: Vec<GraphNote> = Vec::new();
    let (kind, n_neighbors) = match options.kind {
        SpatialKind::Auto if options.radius.is_some() => (SpatialKind::Radius, DEFAULT_N_NEIGHBORS),
        SpatialKind::Auto => {
            let lattice = detect_lattice(coordinates, slices)?;
            let on_lattice =
                lattice.and_then(|lattice| Some((lattice, lattice.n_neighbors(options.n_neighbors)?)));
            let (kind, n_neighbors, found) = if let Some((lattice, n)) = on_lattice {
                let name = lattice.name();
                (
                    SpatialKind::Grid,
                    n,
                    format!(
                        "the spots lie on a {name} lattice; those beside each, at most {n}, are its neighbours"
                    ),
                )
            } else {
                let n = options.n_neighbors.unwrap_or(DEFAULT_N_NEIGHBORS);
                (SpatialKind::Knn, n, format!("the {n} nearest spots are neighbours"))
            };
            notes.push(found.into());
            (kind, n_neighbors)
        }
        kind => (kind, options.n_neighbors.unwrap_or(DEFAULT_N_NEIGHBORS)),
    };
    let mut graph = match kind {
        SpatialKind::Knn | SpatialKind::Auto => {
            spatial_knn(coordinates, slices, n_neighbors, options.symmetrise)?
        }
        SpatialKind::Radius => {
            let radius = options
                .radius
                .ok_or_else(|| OptionError::new("radius", "not given", "the largest distance of an edge"))?;
            radius_neighbors(coordinates, slices, radius)?
        }
        SpatialKind::Delaunay => delaunay(coordinates, slices, options.max_length)?,
        SpatialKind::Grid => {
            grid_neighbors(coordinates, slices, n_neighbors, options.n_rings, options.symmetrise)?
        }
    };
    graph.kind = kind;
    if kind != SpatialKind::Grid {
        if let Some(lengths) = options.lengths {
            keep_lengths(&mut graph, lengths)?;
        }
        if let Some(percentile) = options.percentile {
            keep_percentile(&mut graph, slices, percentile)?;
        }
    }
    notes.append(&mut graph.notes);
    graph.notes = notes;
    Ok(graph)
}
