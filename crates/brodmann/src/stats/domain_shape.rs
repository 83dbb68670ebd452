//! How large are domains, and of what shape?

use std::f64::consts::PI;

use brodmann_kernels::{CsrMatrix, CsrView, OptionError, ParallelLoop, Slices};
use ndarray::{ArrayView2, Axis};
use rayon::prelude::*;

use super::domain_adjacency::Undirected;
use super::labels::{MAX_GROUPS, NONE};
use super::neighborhood_enrichment::check_slices;
use super::{Labels, StatsError};
use crate::graph::{
    Components, KdTree, Lattice, Points, connected_components, detect_lattice, grouped, nearest_rows,
};

#[cfg(test)]
mod tests;

/// Neighbours that tell the density where spots lie on no lattice.
const DENSITY_NEIGHBORS: usize = 10;
/// Edges of a lattice up to this many pitches long lead to the next spot, longer ones past it.
const NEXT: f64 = 1.2;
/// Radius, in pitches, of the discs that tell the outside of scattered spots: of 12 spots expected in one, none.
const DISC: f64 = 2.0;
/// Spots handled together; fixed.
const CHUNK: usize = 1024;

/// Options of [`domain_shape()`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DomainShapeOptions {
    /// Distance between neighbouring spots in the unit that lengths and areas shall have, such as 100 (µm) for Visium.
    /// `None`: the unit of the coordinates.
    pub pitch: Option<f64>,
}

/// What stands for one spot of a slice. Lengths and areas are in the unit of the coordinates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpotCell {
    /// Code of the slice.
    pub slice: u32,
    /// The lattice its spots lie on.
    pub lattice: Option<Lattice>,
    /// Distance between neighbouring spots: the median distance to the nearest on a lattice, else `√area`. NaN where
    /// there are too few spots, or most are in one place.
    pub pitch: f64,
    /// Area of a spot: `√3/2 pitch²` (hexagonal), `pitch²` (square), else one over the density of spots.
    pub area: f64,
    /// Sides of a spot: 6 (hexagonal), 4 (square), else the median number of neighbours in the graph.
    pub n_sides: usize,
    /// Length of a side: `pitch/√3` (hexagonal), `pitch` (square), else that of a hexagon of the same area, spread over
    /// `n_sides`.
    pub side: f64,
}

/// One domain in one slice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DomainShape {
    /// Code of the slice.
    pub slice: u32,
    /// The domain.
    pub label: u32,
    /// Its spots.
    pub n_spots: usize,
    /// `n_spots` times the area of a spot.
    pub area: f64,
    /// Sides that face other domains, spots without a label, and the outside of the tissue, times their length.
    pub boundary_length: f64,
    /// The part of it that faces no other domain.
    pub outer_length: f64,
    /// `4π area / boundary_length²`, at most 1: a disc has 1 (about 0.8 on a lattice, whose borders are jagged), the
    /// longer the border the less.
    pub compactness: f64,
    /// How many times longer than wide: the ratio of the standard deviations along and across the longest axis, each
    /// spot spread over its area; 1 for a disc, `n` for a row of `n` square spots.
    pub elongation: f64,
    /// Pieces that no edge of the graph joins.
    pub n_components: usize,
    /// Spots of the largest piece.
    pub largest_component: usize,
    /// Mean position, in the unit of the coordinates.
    pub centroid: [f64; 2],
}

/// All domains, slice by slice.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainShapes {
    /// Slices rising, then labels; those without a spot are left out.
    pub domains: Vec<DomainShape>,
    /// What a spot is in each slice.
    pub cells: Vec<SpotCell>,
}

/// Size, border, compactness, elongation and pieces of every domain.
///
/// A domain is the union of the cells of its spots: on a lattice the hexagons or squares around them, whose area and
/// border are exact; elsewhere cells of one area. A border has a side for each edge to a spot of another domain. At the
/// outside of the tissue it has, on a lattice, a side for each neighbour that is missing; elsewhere it is the α-shape of
/// the spots: lines between two spots on which a disc of radius 2 pitches that holds no spot can lie, half of each to
/// either end. Holes that such a disc fits into are outside.
///
/// The density where there is no lattice: the median over spots of the disc that reaches the tenth neighbour holds
/// 10 − ⅓ spots (the median of a gamma distribution), so that borders of the tissue, where discs are half empty, do not
/// matter.
///
/// # Inputs
/// `coordinates`: `(n_obs, 2)`, finite. `graph`: `(n_obs, n_obs)`, spatial, directed or not; every stored entry off the
/// diagonal is an edge. On a lattice edges past the next spot make components, not borders. `labels`: spots without one
/// are outside of every domain.
/// # Returns
/// [`DomainShapes`]; lengths and areas are NaN where a slice has no pitch.
/// # Errors
/// `Option` for a pitch that is no length; `ShapeMismatch`; `CrossingEdge` when an edge joins two slices; `NotPlanar`;
/// `LabelCount`, `LabelOutOfRange`, `TooManyGroups`; `Graph` for coordinates that are no points and for slices of other
/// spots.
/// # Cost
/// O(n log n + edges + n_slices · n_groups) time; about 250 bytes per spot and 28 per edge.
/// # Source
/// α-shapes: Edelsbrunner, Kirkpatrick & Seidel 1983, IEEE Trans. Inf. Theory 29:551.
///
/// # Example
///
/// ```
/// use brodmann::graph::grid_neighbors;
/// use brodmann::stats::{DomainShapeOptions, Labels, domain_shape};
/// use ndarray::Array2;
///
/// // 10 × 10 squares, the lower four rows of one domain.
/// let spots = Array2::from_shape_fn((100, 2), |(i, axis)| if axis == 0 { i % 10 } else { i / 10 } as f64);
/// let codes: Vec<Option<u32>> = (0..100).map(|i| Some(u32::from(i >= 40))).collect();
/// let graph = grid_neighbors(spots.view(), None, 4, 1, true)?.connectivities;
/// let labels = Labels { codes: &codes, n_groups: 2 };
/// let options = DomainShapeOptions { pitch: Some(50.0) };
/// let found = domain_shape(spots.view(), labels, graph.view(), None, &options)?.domains[0];
/// assert_eq!((found.n_spots, found.n_components, found.centroid), (40, 1, [4.5, 1.5]));
/// assert!((found.area - 500.0 * 200.0).abs() < 1e-6);
/// assert!((found.boundary_length - 1400.0).abs() < 1e-9 && (found.outer_length - 900.0).abs() < 1e-9);
/// assert!((found.elongation - 2.5).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn domain_shape(
    coordinates: ArrayView2<'_, f64>,
    labels: Labels<'_>,
    graph: CsrView<'_, f64>,
    slices: Option<&Slices>,
    options: &DomainShapeOptions,
) -> Result<DomainShapes, StatsError> {
    if let Some(pitch) = options.pitch.filter(|pitch| !(pitch.is_finite() && *pitch > 0.0)) {
        return Err(OptionError::new("pitch", pitch, "a finite number above 0").into());
    }
    let n_obs = coordinates.nrows();
    let codes = labels.checked(n_obs, MAX_GROUPS)?;
    let Points::Plane(points) = Points::try_new(coordinates)? else {
        return Err(StatsError::NotPlanar { what: "the shape of domains" });
    };
    let slices = grouped(n_obs, slices)?;
    let edges = Undirected::new(graph, n_obs)?;
    check_slices(graph, &slices)?;
    let pieces = components(&edges, &codes);
    let (mut domains, mut cells) = (Vec::new(), Vec::new());
    for (slice, rows) in slices.rows().iter().enumerate() {
        let rows: Vec<usize> = rows.iter().map(|&i| i as usize).collect();
        let spots: Vec<[f64; 2]> = rows.iter().map(|&i| points[i]).collect();
        let lattice = detect_lattice(coordinates.select(Axis(0), &rows).view(), None)?;
        let cell = spot_cell(slices.codes()[slice], lattice, &spots, &rows, &edges)?;
        let part = Part { points: &points, codes: &codes, edges: &edges, cell };
        let outside = part.outside(&spots, &rows);
        let mut sums = vec![Sums::default(); labels.n_groups];
        for (&i, &outside) in rows.iter().zip(&outside).filter(|(i, _)| codes[**i] != NONE) {
            sums[codes[i] as usize].add(i, outside, &part);
        }
        // Pieces are numbered as they appear and lie in one domain and slice each: the first spot of one tells whose.
        let mut of_domain = vec![(0, 0); labels.n_groups];
        for &i in
            rows.iter().filter(|&&i| pieces.first[pieces.of.labels[i] as usize] == i && codes[i] != NONE)
        {
            let size = pieces.of.sizes[pieces.of.labels[i] as usize];
            let (count, largest): &mut (usize, usize) = &mut of_domain[codes[i] as usize];
            (*count, *largest) = (*count + 1, size.max(*largest));
        }
        let scale = options.pitch.map_or(1.0, |pitch| pitch / cell.pitch);
        for (label, (sums, &pieces)) in sums.iter().zip(&of_domain).enumerate().filter(|(_, (s, _))| s.n > 0)
        {
            domains.push(sums.shape(label as u32, pieces, &cell, scale));
        }
        cells.push(cell);
    }
    Ok(DomainShapes { domains, cells })
}

/// Pieces of domains.
struct Pieces {
    of: Components,
    /// The first spot of each.
    first: Vec<usize>,
}

/// Which spots of one domain are joined by edges within it.
fn components(edges: &Undirected<'_>, codes: &[u32]) -> Pieces {
    let n_obs = codes.len();
    let (mut indptr, mut indices) = (Vec::with_capacity(n_obs + 1), Vec::new());
    indptr.push(0);
    for i in 0..n_obs {
        if codes[i] != NONE {
            indices.extend(edges.of(i).filter(|&j| codes[j as usize] == codes[i]));
        }
        indptr.push(indices.len());
    }
    let data = vec![1.0; indices.len()];
    let within =
        CsrMatrix::try_new(n_obs, n_obs, indptr, indices, data).expect("part of a sorted square matrix");
    let of = connected_components(within.view());
    let mut first = vec![usize::MAX; of.count()];
    for (i, &piece) in of.labels.iter().enumerate().rev() {
        first[piece as usize] = i;
    }
    Pieces { of, first }
}

/// What a spot of a slice is.
fn spot_cell(
    slice: u32,
    lattice: Option<Lattice>,
    spots: &[[f64; 2]],
    rows: &[usize],
    edges: &Undirected<'_>,
) -> Result<SpotCell, StatsError> {
    let mut degrees: Vec<usize> = rows.iter().map(|&i| edges.of(i).count()).collect();
    let cell = |pitch: f64, area: f64, n_sides: usize, perimeter: f64| {
        let pitch = if pitch > 0.0 { pitch } else { f64::NAN };
        SpotCell { slice, lattice, pitch, area, n_sides, side: perimeter / n_sides as f64 }
    };
    let k = if lattice.is_some() { 1 } else { DENSITY_NEIGHBORS.min(spots.len().saturating_sub(1)) };
    let typical_degree = median(&mut degrees, usize::cmp).unwrap_or(0).max(1);
    if k == 0 {
        return Ok(cell(f64::NAN, f64::NAN, typical_degree, f64::NAN));
    }
    let nearest = nearest_rows(spots, k)?;
    let mut farthest: Vec<f64> =
        nearest.distances.chunks_exact(nearest.k).map(|row| row[nearest.k - 1]).collect();
    let distance = median(&mut farthest, f64::total_cmp).unwrap_or(f64::NAN);
    Ok(match lattice {
        Some(Lattice::Hexagonal) => {
            cell(distance, 0.75_f64.sqrt() * distance * distance, 6, 12.0_f64.sqrt() * distance)
        }
        Some(Lattice::Square) => cell(distance, distance * distance, 4, 4.0 * distance),
        None => {
            let area = PI * distance * distance / (k as f64 - 1.0 / 3.0);
            let area = if area > 0.0 { area } else { f64::NAN };
            // Perimeter of a hexagon: √(8 √3 area).
            cell(area.sqrt(), area, typical_degree, (8.0 * 3.0_f64.sqrt() * area).sqrt())
        }
    })
}

/// The lower median.
fn median<T: Copy>(values: &mut [T], compare: impl FnMut(&T, &T) -> std::cmp::Ordering) -> Option<T> {
    let middle = values.len().checked_sub(1)? / 2;
    Some(*values.select_nth_unstable_by(middle, compare).1)
}

/// One slice of the tissue.
struct Part<'a> {
    points: &'a [[f64; 2]],
    codes: &'a [u32],
    edges: &'a Undirected<'a>,
    cell: SpotCell,
}

impl Part<'_> {
    fn offset(&self, i: usize, j: usize) -> [f64; 2] {
        [0, 1].map(|axis| self.points[j][axis] - self.points[i][axis])
    }

    /// The neighbours across a side of spot `i`.
    fn next_to(&self, i: usize) -> impl Iterator<Item = usize> {
        let is_next = move |&j: &usize| {
            let [x, y] = self.offset(i, j);
            self.cell.lattice.is_none() || x.hypot(y) <= NEXT * self.cell.pitch
        };
        self.edges.of(i).map(|j| j as usize).filter(is_next)
    }

    /// The length of each spot's border to the outside of the tissue.
    fn outside(&self, spots: &[[f64; 2]], rows: &[usize]) -> Vec<f64> {
        if self.cell.lattice.is_some() {
            let missing = |i: &usize| self.cell.n_sides.saturating_sub(self.next_to(*i).count());
            return rows.iter().map(|i| missing(i) as f64 * self.cell.side).collect();
        }
        let tree = KdTree::new(spots);
        // In the order of the tree, where one search's path is still in cache for the next.
        let found: Vec<(u32, f64)> = (0..spots.len())
            .into_par_iter()
            .with_min_len(CHUNK)
            .map(|at| {
                let local = tree.entry(at).1;
                (local, self.exposed(rows[local as usize], local, spots, &tree))
            })
            .collect_vec();
        let mut lengths = vec![0.0; spots.len()];
        for (local, length) in found {
            lengths[local as usize] = length;
        }
        lengths
    }

    /// Half the length of the lines from spot `i`, the `local`-th of its slice, that belong to the α-shape.
    fn exposed(&self, i: usize, local: u32, spots: &[[f64; 2]], tree: &KdTree<2>) -> f64 {
        let diameter = 2.0 * DISC * self.cell.pitch;
        let mut arcs: Vec<Arc> = Vec::new();
        let neighbors = self.edges.of(i).map(|j| self.offset(i, j as usize));
        arcs.extend(neighbors.filter_map(|offset| Arc::new(offset, diameter)));
        // Neighbours close the way all around nearly all spots, which then need no search.
        if free_length(&mut arcs) == 0.0 && !arcs.is_empty() {
            return 0.0;
        }
        arcs.clear();
        let place = spots[local as usize];
        tree.within(&place, local, diameter, &mut |j, _| {
            let other = spots[j as usize];
            arcs.extend(Arc::new([other[0] - place[0], other[1] - place[1]], diameter));
        });
        if arcs.is_empty() { self.cell.n_sides as f64 * self.cell.side } else { free_length(&mut arcs) }
    }
}

/// Directions from a spot in which a disc that touches it would hold another spot.
#[derive(Clone, Copy)]
struct Arc {
    from: f64,
    to: f64,
    /// To the other spot.
    distance: f64,
}

impl Arc {
    /// What a spot at `offset` closes; `None` where it is out of reach or in the same place.
    fn new([x, y]: [f64; 2], diameter: f64) -> Option<Self> {
        let distance = x.hypot(y);
        if !(distance > 0.0 && distance < diameter) {
            return None;
        }
        let (angle, half) = (y.atan2(x), (distance / diameter).acos());
        Some(Self { from: angle - half, to: angle + half, distance })
    }
}

/// Half the distances to the spots at both ends of every gap between the arcs.
fn free_length(arcs: &mut [Arc]) -> f64 {
    arcs.sort_unstable_by(|a, b| a.from.total_cmp(&b.from));
    let Some(&first) = arcs.first() else { return 0.0 };
    let (mut reached, mut length) = (first, 0.0);
    // Twice around: what the last arcs close is known in the second round, where gaps are counted.
    for turn in [0.0, 2.0 * PI] {
        for arc in arcs.iter() {
            let arc = Arc { from: arc.from + turn, to: arc.to + turn, ..*arc };
            if turn > 0.0 && arc.from > reached.to {
                length += f64::midpoint(reached.distance, arc.distance);
            }
            if arc.to > reached.to {
                reached = arc;
            }
        }
    }
    length
}

/// One domain as its spots are gone through.
#[derive(Clone, Debug, Default)]
struct Sums {
    n: usize,
    /// Positions less the first, and their products: coordinates may be far from 0.
    origin: [f64; 2],
    sum: [f64; 2],
    products: [f64; 3],
    /// Sides that face other domains.
    inner: usize,
    /// Length that faces none.
    outer: f64,
}

impl Sums {
    fn add(&mut self, i: usize, outside: f64, part: &Part<'_>) {
        let place = part.points[i];
        if self.n == 0 {
            self.origin = place;
        }
        let [x, y] = [0, 1].map(|axis| place[axis] - self.origin[axis]);
        self.n += 1;
        self.sum = [self.sum[0] + x, self.sum[1] + y];
        self.products = [self.products[0] + x * x, self.products[1] + x * y, self.products[2] + y * y];
        self.outer += outside;
        for j in part.next_to(i) {
            match part.codes[j] {
                NONE => self.outer += part.cell.side,
                other => self.inner += usize::from(other != part.codes[i]),
            }
        }
    }

    fn shape(
        &self,
        label: u32,
        (n_components, largest_component): (usize, usize),
        cell: &SpotCell,
        scale: f64,
    ) -> DomainShape {
        let n = self.n as f64;
        let area = n * cell.area * scale * scale;
        let outer_length = self.outer * scale;
        let boundary_length = self.inner as f64 * cell.side * scale + outer_length;
        let mean = [self.sum[0] / n, self.sum[1] / n];
        // Variance of the positions in a cell along any axis: 5/(36 √3) of a hexagon's area, 1/12 of a square's.
        let own = match cell.lattice {
            Some(Lattice::Hexagonal) => 5.0 / (36.0 * 3.0_f64.sqrt()) * cell.area,
            _ => cell.area / 12.0,
        };
        let own = if own.is_nan() { 0.0 } else { own };
        let xx = self.products[0] / n - mean[0] * mean[0] + own;
        let yy = self.products[2] / n - mean[1] * mean[1] + own;
        let xy = self.products[1] / n - mean[0] * mean[1];
        let (middle, spread) = (f64::midpoint(xx, yy), ((xx - yy) / 2.0).hypot(xy));
        DomainShape {
            slice: cell.slice,
            label,
            n_spots: self.n,
            area,
            boundary_length,
            outer_length,
            compactness: if boundary_length > 0.0 {
                (4.0 * PI * area / (boundary_length * boundary_length)).min(1.0)
            } else {
                f64::NAN
            },
            elongation: ((middle + spread) / (middle - spread).max(0.0)).sqrt(),
            n_components,
            largest_component,
            centroid: [0, 1].map(|axis| self.origin[axis] + mean[axis]),
        }
    }
}
