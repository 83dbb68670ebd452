//! Neighbours on a lattice: hexagonal (6) or square (4 or 8), rings included.

use std::sync::atomic::{AtomicUsize, Ordering};

use brodmann_kernels::{CsrMatrix, CsrView, OptionError, Slices};
use ndarray::ArrayView2;
use rayon::prelude::*;

use super::SpatialGraph;
use super::error::GraphError;
use super::slices::{Points, SliceGraph, assemble, by_slice, grouped, union_symmetric};
use super::spatial_knn::{MAX_EDGES, nearest_rows};

/// Edges up to, not including, this multiple of the slice's median neighbour distance are lattice edges
/// (squidpy's factor): it lies below √2 (the diagonal of a square) and √3 (the second hexagonal ring).
const TOLERANCE: f64 = 1.3;
/// Spots whose rings are walked together; fixed.
const RING_CHUNK: usize = 4096;

/// A regular arrangement of spots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lattice {
    /// Six neighbours at one distance (Visium).
    Hexagonal,
    /// Four neighbours at one distance, four more at √2 of it (bins).
    Square,
}

impl Lattice {
    /// Neighbours of a spot on this lattice: `asked`, if it has so many; by default 6 (hexagonal) or the 4 that share an edge
    /// (square). `None` where it does not have `asked`.
    pub fn n_neighbors(self, asked: Option<usize>) -> Option<usize> {
        let possible: &[usize] = match self {
            Self::Hexagonal => &[6],
            Self::Square => &[4, 8],
        };
        asked.map_or(possible.first(), |n| possible.iter().find(|p| **p == n)).copied()
    }

    /// Its name, an adjective.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hexagonal => "hexagonal",
            Self::Square => "square",
        }
    }
}

/// Lattice neighbours as squidpy's `coord_type="grid"`.
///
/// 1. The `n_neighbors` nearest spots of the slice (ties to the lower index).
/// 2. Of these, the ones nearer than 1.3 × the median of all such distances in the slice: jitter is forgiven,
///    gaps and borders are not bridged.
/// 3. Ring r holds the spots reached in r steps and not in fewer, up to `n_rings`.
///
/// # Inputs
/// `coordinates`: `(n_obs, 2)`, finite. `n_neighbors`: 6 (hexagonal), 4 or 8 (square). `n_rings`: 1 or more.
/// # Returns
/// Weight 1 per edge; the *distance* is the ring number, as in squidpy.
/// # Errors
/// `Option` for another `n_neighbors` or `n_rings` = 0; `TooManyEdges`; `NotPlanar`; `NonFinite`; `SliceLength`.
/// # Cost
/// O(n log n + edges) time, O(edges) memory.
/// # Source
/// Palla et al. 2022, Nat. Methods 19:171 (squidpy); the factor and its strict bound measured on squidpy 1.8.2.
///
/// # Example
///
/// ```
/// use brodmann::graph::grid_neighbors;
/// use ndarray::Array2;
///
/// let spots = Array2::from_shape_fn((9, 2), |(i, axis)| if axis == 0 { i % 3 } else { i / 3 } as f64);
/// let graph = grid_neighbors(spots.view(), None, 4, 1, true)?;
/// assert_eq!(graph.connectivities.view().row(4).0, [1, 3, 5, 7]);
/// # Ok::<(), brodmann::graph::GraphError>(())
/// ```
pub fn grid_neighbors(
    coordinates: ArrayView2<'_, f64>,
    slices: Option<&Slices>,
    n_neighbors: usize,
    n_rings: usize,
    symmetrise: bool,
) -> Result<SpatialGraph, GraphError> {
    if ![4, 6, 8].contains(&n_neighbors) {
        return Err(
            OptionError::new("n_neighbors", n_neighbors, "6 (hexagonal), 4 or 8 (square) on a grid").into()
        );
    }
    if n_rings == 0 {
        return Err(OptionError::new("n_rings", 0, "at least 1").into());
    }
    let points = Points::plane(coordinates, "grid")?;
    let built = by_slice(&points, slices, |slice| {
        let first = first_ring(slice, n_neighbors)?;
        let first = if symmetrise { union_symmetric(first.view()) } else { first };
        let n_obs = first.n_rows();
        let isolated = (0..n_obs).filter(|&i| first.view().row(i).0.is_empty()).count();
        let mut notes = Vec::new();
        if isolated > 0 {
            notes.push(format!("{isolated} of {n_obs} spots have no neighbour on the grid").into());
        }
        let distances = if n_rings == 1 { first } else { rings(first.view(), n_rings, MAX_EDGES)? };
        Ok(SliceGraph { distances, notes })
    })?;
    Ok(SpatialGraph::from_distances(built.distances, built.notes))
}

fn first_ring(points: &[[f64; 2]], n_neighbors: usize) -> Result<CsrMatrix<f64>, GraphError> {
    let n_obs = points.len();
    let rows = nearest_rows(points, n_neighbors)?;
    let cutoff = TOLERANCE * median(&rows.distances);
    let mut indptr = Vec::with_capacity(n_obs + 1);
    let mut indices = Vec::with_capacity(rows.indices.len());
    indptr.push(0);
    for i in 0..n_obs {
        let range = i * rows.k..(i + 1) * rows.k;
        let start = indices.len();
        for (&j, &distance) in rows.indices[range.clone()].iter().zip(&rows.distances[range]) {
            if distance < cutoff {
                indices.push(j);
            }
        }
        indices[start..].sort_unstable();
        indptr.push(indices.len());
    }
    let data = vec![1.0; indices.len()];
    Ok(assemble(n_obs, indptr, indices, data))
}

/// The median, the mean of the middle two for an even count; NaN for none.
fn median(values: &[f64]) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    let mut copy = values.to_vec();
    let middle = copy.len() / 2;
    let (below, &mut upper, _) = copy.select_nth_unstable_by(middle, f64::total_cmp);
    if values.len() % 2 == 1 {
        return upper;
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    f64::midpoint(lower, upper)
}

/// Breadth-first rings 1..=`n_rings` around every spot, the ring number as value; at most `limit` entries.
pub(crate) fn rings(
    first: CsrView<'_, f64>,
    n_rings: usize,
    limit: usize,
) -> Result<CsrMatrix<f64>, GraphError> {
    let n_obs = first.n_rows();
    // Whether the limit is passed does not depend on the order of these additions.
    let n_edges = AtomicUsize::new(0);
    type Rows = Vec<Vec<(u32, f64)>>;
    let chunks: Option<Vec<Rows>> = (0..n_obs.div_ceil(RING_CHUNK))
        .into_par_iter()
        .map(|chunk| {
            // `seen[j] == i + 1` marks j as reached from i; no clearing between spots.
            let mut seen = vec![0u32; n_obs];
            let (mut frontier, mut next): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
            (chunk * RING_CHUNK..n_obs.min((chunk + 1) * RING_CHUNK))
                .map(|i| {
                    let mark = i as u32 + 1;
                    let mut reached: Vec<(u32, f64)> = Vec::new();
                    seen[i] = mark;
                    frontier.clear();
                    frontier.push(i as u32);
                    for ring in 1..=n_rings {
                        next.clear();
                        for &j in &frontier {
                            for &l in first.row(j as usize).0 {
                                if seen[l as usize] != mark {
                                    seen[l as usize] = mark;
                                    next.push(l);
                                }
                            }
                        }
                        if next.is_empty() {
                            break;
                        }
                        reached.extend(next.iter().map(|&j| (j, ring as f64)));
                        std::mem::swap(&mut frontier, &mut next);
                    }
                    if n_edges.fetch_add(reached.len(), Ordering::Relaxed) + reached.len() > limit {
                        return None;
                    }
                    reached.sort_unstable_by_key(|entry| entry.0);
                    Some(reached)
                })
                .collect()
        })
        .collect();
    let chunks = chunks.ok_or(GraphError::TooManyEdges { limit })?;
    Ok(CsrMatrix::from_rows(n_obs, &chunks.concat()))
}

/// Do the spots lie on a lattice?
///
/// A spot sits on a hexagonal lattice when exactly 6 spots lie within 0.7–1.3 of the slice's typical spacing
/// and none nearer or up to 1.5; on a square one when exactly 4 lie within 0.7–1.2, 4 more up to 1.7. More
/// than half of all spots must agree, so borders and holes do not matter but small pieces are not recognised.
///
/// # Inputs
/// `coordinates`: `(n_obs, 2 or 3)`, finite (3-D is never a lattice). `slices`: one code per spot.
/// # Returns
/// The lattice, or `None`.
/// # Errors
/// `NonFinite`, `CoordinateColumns`, `SliceLength`.
/// # Cost
/// As [`super::spatial_knn()`] with nine neighbours.
pub fn detect_lattice(
    coordinates: ArrayView2<'_, f64>,
    slices: Option<&Slices>,
) -> Result<Option<Lattice>, GraphError> {
    let Points::Plane(points) = Points::try_new(coordinates)? else {
        return Ok(None);
    };
    let (mut hexagonal, mut square) = (0, 0);
    for group in grouped(points.len(), slices)?.rows() {
        let local: Vec<[f64; 2]> = group.iter().map(|&i| points[i as usize]).collect();
        let rows = nearest_rows(&local, 9)?;
        if rows.k < 9 {
            continue;
        }
        let nearest_four: Vec<f64> =
            rows.distances.chunks_exact(9).flat_map(|row| &row[..4]).copied().collect();
        let spacing = median(&nearest_four);
        if spacing <= 0.0 {
            continue;
        }
        for row in rows.distances.chunks_exact(9) {
            let up_to = |factor: f64| row.partition_point(|&d| d < factor * spacing);
            if up_to(0.7) > 0 {
                continue;
            }
            if up_to(1.3) == 6 && up_to(1.5) == 6 {
                hexagonal += 1;
            } else if up_to(1.2) == 4 && up_to(1.7) == 8 {
                square += 1;
            }
        }
    }
    let majority = points.len() / 2;
    Ok(if hexagonal > majority {
        Some(Lattice::Hexagonal)
    } else if square > majority {
        Some(Lattice::Square)
    } else {
        None
    })
}
