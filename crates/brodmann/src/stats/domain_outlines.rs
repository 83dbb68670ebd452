//! Domains as polygons, for programs that draw regions rather than spots.

use std::collections::{HashMap, HashSet};
use std::f64::consts::PI;

use brodmann_kernels::{ParallelLoop, Slices};
use ndarray::{ArrayView2, Axis};
use rayon::prelude::*;

use super::labels::{MAX_GROUPS, NONE};
use super::{Labels, StatsError};
use crate::graph::{GraphError, KdTree, Nearest, Points, delaunay_triangles, detect_lattice};

/// Neighbours that tell how far apart scattered spots lie.
const DENSITY_NEIGHBORS: usize = 6;
/// Of scattered spots: how many of these distances an edge of the tissue is away from them.
const SCATTERED: f64 = 2.0;
/// Places tried around a spot, where the outside may begin.
const DIRECTIONS: usize = 12;
/// A place is outside where no spot is nearer than this share of the distance it is tried at.
const OUTSIDE: f64 = 0.8;
/// Places outside keep this share of that distance from each other.
const APART: f64 = 0.5;

/// A closed line without holes, and the holes in it. The last point of a ring is not the first again.
#[derive(Clone, Debug, PartialEq)]
pub struct Polygon {
    /// Counterclockwise where y grows upwards.
    pub outer: Vec<[f64; 2]>,
    /// Clockwise.
    pub holes: Vec<Vec<[f64; 2]>>,
}

/// The pieces of one domain in one slice.
#[derive(Clone, Debug, PartialEq)]
pub struct Outline {
    /// Code of the slice.
    pub slice: u32,
    /// The domain.
    pub label: u32,
    /// Its pieces, that of the first spot first.
    pub polygons: Vec<Polygon>,
}

/// The outlines of domains: each spot stands for what is nearer to it than to others, up to half a spot beyond the last.
///
/// ```text
/// places outside the tissue are added around its border, without a label
/// triangles between neighbouring spots and places (Delaunay)
/// in each triangle: the border of a label runs from the middle of the side where it is left, over the middle of the
///                   triangle, to the middle of the side where it is entered
/// these lines, joined, are rings; the ring of a piece that runs counterclockwise is its outside, the others its holes
/// ```
///
/// On a lattice these are hexagons or squares with cut corners. Neighbouring domains share their borders exactly.
///
/// # Inputs
/// `coordinates`: `(n_obs, 2)`, finite. `labels`: spots without one belong to no domain.
/// # Returns
/// By slice, then label; domains without a spot in a slice are left out.
/// # Errors
/// [`StatsError::NotPlanar`], [`StatsError::LabelCount`], [`StatsError::Graph`].
/// # Cost
/// O(n log n) time, about 200 bytes per spot.
/// # Source
/// Ours.
///
/// # Example
///
/// ```
/// use brodmann::stats::{Labels, domain_outlines};
/// use ndarray::array;
///
/// // Two spots of a row of three.
/// let xy = array![[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]];
/// let labels = Labels { codes: &[Some(0), Some(0), None], n_groups: 1 };
/// let outlines = domain_outlines(xy.view(), labels, None)?;
/// assert_eq!(outlines.len(), 1);
/// let polygon = &outlines[0].polygons[0];
/// // Halfway to the third, no further.
/// assert!(polygon.outer.iter().all(|[x, _]| *x < 1.6));
/// assert!(polygon.area() > 1.2 && polygon.area() < 3.0);
/// # Ok::<(), brodmann::stats::StatsError>(())
/// ```
pub fn domain_outlines(
    coordinates: ArrayView2<'_, f64>,
    labels: Labels<'_>,
    slices: Option<&Slices>,
) -> Result<Vec<Outline>, StatsError> {
    let n_obs = coordinates.nrows();
    let codes = labels.checked(n_obs, MAX_GROUPS)?;
    let Points::Plane(points) = Points::try_new(coordinates)? else {
        return Err(StatsError::NotPlanar { what: "the outlines of domains" });
    };
    let slices = Slices::or_one(slices, n_obs)
        .map_err(|of| GraphError::SliceLength { found: of.found, expected: of.expected })?;
    let of = |(slice, rows): (usize, &Vec<u32>)| -> Result<Vec<Outline>, StatsError> {
        let own: Vec<[f64; 2]> = rows.iter().map(|&i| points[i as usize]).collect();
        let codes: Vec<u32> = rows.iter().map(|&i| codes[i as usize]).collect();
        if own.is_empty() {
            return Ok(Vec::new());
        }
        let within: Vec<usize> = rows.iter().map(|&i| i as usize).collect();
        let lattice = detect_lattice(coordinates.select(Axis(0), &within).view(), None)?.is_some();
        outlines(slice as u32, own, codes, labels.n_groups, lattice)
    };
    let found: Result<Vec<Vec<Outline>>, StatsError> =
        slices.rows().par_iter().enumerate().map(of).try_collect_vec();
    Ok(found?.into_iter().flatten().collect())
}

impl Polygon {
    /// Area without the holes.
    pub fn area(&self) -> f64 {
        signed_area(&self.outer) + self.holes.iter().map(|hole| signed_area(hole)).sum::<f64>()
    }
}

/// How far around each spot the tissue reaches at least: of a lattice the distance to the next spot.
fn reach(points: &[[f64; 2]], tree: &KdTree<2>, on_lattice: bool) -> f64 {
    if points.len() < 2 {
        return 1.0;
    }
    // Of few spots no density can be told.
    let to_next = on_lattice || points.len() <= DENSITY_NEIGHBORS;
    let k = if to_next { 1 } else { DENSITY_NEIGHBORS };
    let distance = |(i, point): (usize, &[f64; 2])| {
        let mut nearest = Nearest::new(k);
        tree.nearest(point, i as u32, &mut nearest);
        nearest.pairs().last().map_or(0.0, |(d2, _)| d2.sqrt())
    };
    let mut all: Vec<f64> = points.par_iter().enumerate().map(distance).collect_vec();
    all.sort_unstable_by(f64::total_cmp);
    let median = all[all.len() / 2];
    let spacing = if to_next { median } else { median * (PI / k as f64).sqrt() };
    let reach = if on_lattice || points.len() <= DENSITY_NEIGHBORS { spacing } else { SCATTERED * spacing };
    if reach > 0.0 { reach } else { 1.0 }
}

/// Places around the border of the tissue where no spot is, a distance apart.
fn places_outside(points: &[[f64; 2]], tree: &KdTree<2>, reach: f64) -> Vec<[f64; 2]> {
    let tried: Vec<Vec<[f64; 2]>> = points
        .par_iter()
        .map(|&[x, y]| {
            let at = |d: usize| {
                let angle = 2.0 * PI * d as f64 / DIRECTIONS as f64;
                [x + reach * libm::cos(angle), y + reach * libm::sin(angle)]
            };
            let is_outside = |place: &[f64; 2]| tree.count_within(place, OUTSIDE * reach) == 0;
            (0..DIRECTIONS).map(at).filter(is_outside).collect()
        })
        .collect_vec();
    let apart = APART * reach;
    let cell = |[x, y]: [f64; 2]| ((x / apart).floor() as i64, (y / apart).floor() as i64);
    let mut kept: Vec<[f64; 2]> = Vec::new();
    let mut by_cell: HashMap<(i64, i64), Vec<usize>> = HashMap::new();
    for place in tried.into_iter().flatten() {
        let (cx, cy) = cell(place);
        let near = |i: &usize| {
            let [x, y]: [f64; 2] = kept[*i];
            (x - place[0]).hypot(y - place[1]) < apart
        };
        let around = (-1..=1).flat_map(|dx| (-1..=1).map(move |dy| (cx + dx, cy + dy)));
        if around.filter_map(|at| by_cell.get(&at)).flatten().any(near) {
            continue;
        }
        by_cell.entry((cx, cy)).or_default().push(kept.len());
        kept.push(place);
    }
    kept
}

/// The side between two spots, whichever way.
fn side(a: u32, b: u32) -> u64 {
    (u64::from(a.min(b)) << 32) | u64::from(a.max(b))
}

fn outlines(
    slice: u32,
    points: Vec<[f64; 2]>,
    mut labels: Vec<u32>,
    n_groups: usize,
    on_lattice: bool,
) -> Result<Vec<Outline>, StatsError> {
    let n_spots = points.len();
    let tree = KdTree::new(&points);
    let reach = reach(&points, &tree, on_lattice);
    let mut all = points;
    let outside = places_outside(&all, &tree, reach);
    all.extend(outside);
    labels.resize(all.len(), NONE);
    let triangles = delaunay_triangles(&all)?;

    // Pieces: spots of one label that share a side.
    let mut pieces = Pieces::new(n_spots);
    // Of each label: the side where a triangle leaves it, and there the triangle and the side where it comes back.
    let mut next: Vec<HashMap<u64, (u32, u64)>> = vec![HashMap::new(); n_groups];
    for (t, corners) in triangles.iter().enumerate() {
        for c in 0..3 {
            let (a, b) = (corners[c], corners[(c + 1) % 3]);
            let (here, there) = (labels[a as usize], labels[b as usize]);
            if here == NONE {
                continue;
            }
            if here == there {
                pieces.join(a, b);
                continue;
            }
            // Left between a and b, entered between the other label's last corner and a's first.
            let third = corners[(c + 2) % 3];
            let back = if labels[third as usize] == here { side(b, third) } else { side(third, a) };
            next[here as usize].insert(side(a, b), (t as u32, back));
        }
    }
    let middle = |key: u64| {
        let ([x, y], [v, w]) = (all[(key >> 32) as usize], all[(key & 0xFFFF_FFFF) as usize]);
        [f64::midpoint(x, v), f64::midpoint(y, w)]
    };
    let centre = |t: u32| {
        let [a, b, c] = triangles[t as usize].map(|i| all[i as usize]);
        [(a[0] + b[0] + c[0]) / 3.0, (a[1] + b[1] + c[1]) / 3.0]
    };
    let mut found = Vec::new();
    for (label, next) in next.iter().enumerate() {
        let mut starts: Vec<u64> = next.keys().copied().collect();
        starts.sort_unstable();
        let mut done: HashSet<u64> = HashSet::with_capacity(starts.len());
        // By the piece, in the order of its first spot.
        let mut polygons: Vec<(u32, Polygon)> = Vec::new();
        let mut place: HashMap<u32, usize> = HashMap::new();
        for start in starts {
            if done.contains(&start) {
                continue;
            }
            let mut ring = Vec::new();
            let mut at = start;
            while done.insert(at) {
                ring.push(middle(at));
                let Some(&(triangle, back)) = next.get(&at) else { break };
                ring.push(centre(triangle));
                at = back;
            }
            let inner = [(start >> 32) as u32, (start & 0xFFFF_FFFF) as u32];
            let own = inner.into_iter().find(|&i| labels[i as usize] == label as u32);
            let piece = pieces.of(own.unwrap_or(inner[0]));
            let of = *place.entry(piece).or_insert_with(|| {
                polygons.push((piece, Polygon { outer: Vec::new(), holes: Vec::new() }));
                polygons.len() - 1
            });
            let ring = straightened(&ring);
            if signed_area(&ring) > 0.0 {
                polygons[of].1.outer = ring;
            } else {
                polygons[of].1.holes.push(ring);
            }
        }
        polygons.retain(|(_, polygon)| !polygon.outer.is_empty());
        polygons.sort_by_key(|(piece, _)| *piece);
        if !polygons.is_empty() {
            let polygons = polygons.into_iter().map(|(_, polygon)| polygon).collect();
            found.push(Outline { slice, label: label as u32, polygons });
        }
    }
    Ok(found)
}

/// A ring without the points that lie on the line of their neighbours.
fn straightened(ring: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let n = ring.len();
    let bends = |&i: &usize| {
        let (a, b, c) = (ring[(i + n - 1) % n], ring[i], ring[(i + 1) % n]);
        let (u, v) = ([b[0] - a[0], b[1] - a[1]], [c[0] - b[0], c[1] - b[1]]);
        (u[0] * v[1] - u[1] * v[0]).abs() > 1e-9 * (u[0].hypot(u[1]) * v[0].hypot(v[1]))
    };
    (0..n).filter(bends).map(|i| ring[i]).collect()
}

/// Area of a ring, positive where it runs counterclockwise; about its first point, so that far coordinates lose nothing.
fn signed_area(ring: &[[f64; 2]]) -> f64 {
    let Some(&[x0, y0]) = ring.first() else { return 0.0 };
    let pairs = ring.iter().zip(ring.iter().cycle().skip(1));
    pairs.map(|([a, b], [c, d])| (a - x0) * (d - y0) - (c - x0) * (b - y0)).sum::<f64>() / 2.0
}

/// Sets of spots that are joined step by step; each is known by its lowest spot.
struct Pieces(Vec<u32>);

impl Pieces {
    fn new(n: usize) -> Self {
        Self((0..n as u32).collect())
    }

    fn of(&mut self, mut i: u32) -> u32 {
        while self.0[i as usize] != i {
            let above = self.0[self.0[i as usize] as usize];
            self.0[i as usize] = above;
            i = above;
        }
        i
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.of(a), self.of(b));
        let (low, high) = (a.min(b), a.max(b));
        self.0[high as usize] = low;
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    fn of(points: &[[f64; 2]], codes: &[Option<u32>], n_groups: usize) -> Vec<Outline> {
        let xy = Array2::from_shape_fn((points.len(), 2), |(i, c)| points[i][c]);
        domain_outlines(xy.view(), Labels { codes, n_groups }, None).expect("outlines")
    }

    /// A hexagonal lattice of pitch 1.
    fn hexagons(rows: usize, columns: usize) -> Vec<[f64; 2]> {
        let at = |r: usize, c: usize| [c as f64 + 0.5 * (r % 2) as f64, r as f64 * 0.75f64.sqrt()];
        (0..rows).flat_map(|r| (0..columns).map(move |c| at(r, c))).collect()
    }

    #[test]
    fn a_spot_within_a_lattice_is_its_hexagon() {
        let points = hexagons(9, 9);
        let centre = 4 * 9 + 4;
        let codes: Vec<Option<u32>> = (0..81).map(|i| Some(u32::from(i == centre))).collect();
        let found = of(&points, &codes, 2);
        assert_eq!(found.len(), 2);
        let hexagon = &found[1].polygons[0];
        assert_eq!((hexagon.outer.len(), hexagon.holes.len()), (6, 0));
        assert!((hexagon.area() - 0.75f64.sqrt()).abs() < 1e-9, "{}", hexagon.area());
        // The hole of the other is the same line.
        assert_eq!(found[0].polygons[0].holes.len(), 1);
        assert!((signed_area(&found[0].polygons[0].holes[0]) + hexagon.area()).abs() < 1e-9);
    }

    #[test]
    fn pieces_holes_and_areas_add_up() {
        let points = hexagons(12, 12);
        // Two stripes of label 0 beside one of label 1; one spot without a label in the second stripe.
        let codes: Vec<Option<u32>> = (0..144)
            .map(|i| match i % 12 {
                _ if i == 5 * 12 + 10 => None,
                4..8 => Some(1),
                _ => Some(0),
            })
            .collect();
        let found = of(&points, &codes, 3);
        let counts: Vec<(u32, usize)> = found.iter().map(|o| (o.label, o.polygons.len())).collect();
        assert_eq!(counts, [(0, 2), (1, 1)]);
        let holes: usize = found[0].polygons.iter().map(|p| p.holes.len()).sum();
        assert_eq!(holes, 1);
        let area: f64 = found.iter().flat_map(|o| &o.polygons).map(Polygon::area).sum();
        let expected = 143.0 * 0.75f64.sqrt();
        assert!((area / expected - 1.0).abs() < 0.05, "{area} {expected}");
    }

    #[test]
    fn few_spots_and_spots_in_one_place_have_outlines() {
        let alone = of(&[[3.0, 4.0]], &[Some(0)], 1);
        assert!(alone[0].polygons[0].area() > 0.0);
        assert_eq!(of(&[[0.0, 0.0], [0.0, 0.0]], &[Some(0), Some(0)], 1)[0].polygons.len(), 1);
        assert!(of(&[[0.0, 0.0], [1.0, 0.0]], &[None, None], 2).is_empty());
        let far = of(&[[1e7, 1e7], [1e7 + 1.0, 1e7]], &[Some(0), Some(1)], 2);
        assert!(far.iter().all(|o| (0.4..2.0).contains(&o.polygons[0].area())), "{far:?}");
    }

    #[test]
    fn every_ring_of_scattered_spots_closes() {
        use brodmann_kernels::Seed;
        let mut word = 0;
        let seed = Seed(5);
        let mut unit = || {
            word += 1;
            (seed.word(word) >> 11) as f64 / (1u64 << 53) as f64
        };
        let points: Vec<[f64; 2]> = (0..2000).map(|_| [100.0 * unit(), 50.0 * unit()]).collect();
        let codes: Vec<Option<u32>> =
            points.iter().map(|[x, y]| Some((x / 25.0 + y / 30.0) as u32)).collect();
        let found = of(&points, &codes, 6);
        let all: Vec<&Polygon> = found.iter().flat_map(|o| &o.polygons).collect();
        assert!(all.iter().all(|p| p.outer.len() >= 3 && signed_area(&p.outer) > 0.0));
        assert!(all.iter().flat_map(|p| &p.holes).all(|hole| signed_area(hole) < 0.0));
        let area: f64 = all.iter().map(|p| p.area()).sum();
        assert!(area > 5000.0 && area < 5800.0, "{area}");
    }
}
