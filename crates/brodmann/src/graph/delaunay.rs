//! Delaunay neighbours.

use brodmann_kernels::Slices;
use ndarray::ArrayView2;
use rayon::prelude::*;
use spade::{DelaunayTriangulation, InsertionError, Point2, Triangulation};

use super::SpatialGraph;
use super::error::GraphError;
use super::kd_tree::squared_distance;
use super::radius::check_length;
use super::slices::{Points, SliceGraph, assemble, by_slice};

/// Coordinates below this are 0 to the exact predicates, whose products would underflow.
const SMALLEST: f64 = 1e-40;

/// Spots joined by an edge of the Delaunay triangulation of their slice.
///
/// The triangulation uses exact predicates, so lattices (four spots on one circle: either diagonal, the same
/// on every run) and nearly collinear spots are safe. Spots on one line are joined in their order. Of spots
/// in one place the first is triangulated and the others are linked to it by an edge of length 0; `notes`
/// counts them.
///
/// # Inputs
/// `coordinates`: `(n_obs, 2)`, finite. `max_length`: drop edges longer than this, in the coordinates' unit.
/// # Returns
/// A symmetric graph: weight 1 and the Euclidean distance per edge.
/// # Errors
/// `NotPlanar` for 3-D; `Option` when `max_length` is not above 0; `TooLarge`; `NonFinite`; `SliceLength`.
/// # Cost
/// O(n log n) time, O(n) memory.
/// # Source
/// Delaunay 1934, Bull. Acad. Sci. USSR 6:793; triangulation by the crate `spade`.
///
/// # Example
///
/// ```
/// use brodmann::graph::delaunay;
/// use ndarray::array;
///
/// let triangle = array![[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]];
/// assert_eq!(delaunay(triangle.view(), None, None)?.connectivities.nnz(), 6);
/// assert_eq!(delaunay(triangle.view(), None, Some(1.5))?.connectivities.nnz(), 2);
/// # Ok::<(), brodmann::graph::GraphError>(())
/// ```
pub fn delaunay(
    coordinates: ArrayView2<'_, f64>,
    slices: Option<&Slices>,
    max_length: Option<f64>,
) -> Result<SpatialGraph, GraphError> {
    if let Some(length) = max_length {
        check_length("max_length", length)?;
    }
    let points = Points::plane(coordinates, "delaunay")?;
    let built = by_slice(&points, slices, |p| delaunay_graph(p, max_length))?;
    Ok(SpatialGraph::from_distances(built.distances, built.notes))
}

fn delaunay_graph(points: &[[f64; 2]], max_length: Option<f64>) -> Result<SliceGraph, GraphError> {
    let n_obs = points.len();
    let Triangulated { triangulation, unique, duplicates: mut edges } = triangulated(points)?;
    let n_duplicates = edges.len();
    edges.extend(triangulation.undirected_edges().map(|edge| {
        let [a, b] = edge.vertices();
        (unique[a.index()], unique[b.index()])
    }));

    let length = |i: u32, j: u32| squared_distance(&points[i as usize], &points[j as usize]).sqrt();
    let n_all = edges.len();
    if let Some(limit) = max_length {
        edges.retain(|&(i, j)| length(i, j) <= limit);
    }
    let mut notes = Vec::new();
    if n_duplicates > 0 {
        notes.push(
            format!("{n_duplicates} spots lie exactly on another; each is linked to the first there").into(),
        );
    }
    if edges.len() < n_all {
        notes.push(format!("{} of {n_all} edges longer than max_length dropped", n_all - edges.len()).into());
    }

    // Counting sort by row, then each short row by column.
    let mut indptr = vec![0usize; n_obs + 1];
    for &(i, j) in &edges {
        indptr[i as usize + 1] += 1;
        indptr[j as usize + 1] += 1;
    }
    for i in 0..n_obs {
        indptr[i + 1] += indptr[i];
    }
    let mut next = indptr.clone();
    let mut indices = vec![0u32; 2 * edges.len()];
    for &(i, j) in &edges {
        for (from, to) in [(i, j), (j, i)] {
            indices[next[from as usize]] = to;
            next[from as usize] += 1;
        }
    }
    let mut data = Vec::with_capacity(indices.len());
    for i in 0..n_obs {
        let row = &mut indices[indptr[i]..indptr[i + 1]];
        row.sort_unstable();
        data.extend(row.iter().map(|&j| length(i as u32, j)));
    }
    Ok(SliceGraph { distances: assemble(n_obs, indptr, indices, data), notes })
}

/// The triangulation of points, each place once.
struct Triangulated {
    triangulation: DelaunayTriangulation<Point2<f64>>,
    /// The point of each vertex.
    unique: Vec<u32>,
    /// The first point in a place, and another one there.
    duplicates: Vec<(u32, u32)>,
}

fn triangulated(points: &[[f64; 2]]) -> Result<Triangulated, GraphError> {
    let n = points.len();
    let place = |i: u32| points[i as usize].map(|v| if v.abs() < SMALLEST { 0.0 } else { v });
    let mut order: Vec<u32> = (0..n as u32).collect();
    order.par_sort_unstable_by(|&a, &b| {
        let (p, q) = (place(a), place(b));
        p[0].total_cmp(&q[0]).then(p[1].total_cmp(&q[1])).then(a.cmp(&b))
    });
    let mut duplicates: Vec<(u32, u32)> = Vec::new();
    let mut is_first = vec![true; n];
    let mut first = 0;
    for at in 1..n {
        if place(order[at]) == place(order[first]) {
            duplicates.push((order[first], order[at]));
            is_first[order[at] as usize] = false;
        } else {
            first = at;
        }
    }
    let unique: Vec<u32> = (0..n as u32).filter(|&i| is_first[i as usize]).collect();
    let vertices: Vec<Point2<f64>> = unique.iter().map(|&i| Point2::from(place(i))).collect();
    let triangulation = DelaunayTriangulation::<Point2<f64>>::bulk_load_stable(vertices)
        .map_err(|error| out_of_range(error, points))?;
    Ok(Triangulated { triangulation, unique, duplicates })
}

/// The triangles of the Delaunay triangulation of points, corners counterclockwise; of points in one place the first.
///
/// # Errors
/// `TooLarge`.
pub(crate) fn delaunay_triangles(points: &[[f64; 2]]) -> Result<Vec<[u32; 3]>, GraphError> {
    let Triangulated { triangulation, unique, .. } = triangulated(points)?;
    let corners =
        |face: spade::handles::FaceHandle<'_, _, _, _, _, _>| face.vertices().map(|v| unique[v.index()]);
    Ok(triangulation.inner_faces().map(corners).collect())
}

fn out_of_range(_: InsertionError, points: &[[f64; 2]]) -> GraphError {
    // Finite and not too small by now: only too large is left.
    let largest = points.iter().flatten().fold(0.0f64, |largest, v| largest.max(v.abs()));
    GraphError::TooLarge { what: "the coordinates", largest, limit: 1e60 }
}
