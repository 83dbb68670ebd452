//! What shape do the spots have? Read from the geometry of nearest neighbours.

use ndarray::ArrayView2;

/// The shape a spot is drawn in; lengths in coordinate units.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum SpotShape {
    /// [`detect_shape`] decides; a circle where the spots form no grid.
    #[default]
    Auto,
    /// Hexagons that touch: Visium and other honeycombs.
    Hexagon {
        /// Distance between the centres of neighbours.
        pitch: f64,
        /// Direction of one neighbour from a spot, in radians; 0: along x.
        angle: f64,
    },
    /// Squares that touch: DBiT-seq, Visium HD, simulated tissue.
    Square {
        /// Length of a side.
        side: f64,
        /// Direction of one side, in radians; 0: along x.
        angle: f64,
    },
    /// Circles: cells, beads, or the true capture spots of Visium.
    Circle {
        /// Diameter.
        diameter: f64,
    },
}

/// Spots looked at: enough for a median.
const SAMPLE: usize = 2000;

/// Hexagon, square or circle, from the distances and directions of the nearest neighbours.
///
/// A grid is a set of spots whose nearest neighbours are all (9 of 10) equally far within 8 %; it is hexagonal
/// when their directions agree modulo 60° and some spot has five or more of them, square when they agree modulo
/// 90° and none has more than four. Anything else is drawn as circles of the median nearest-neighbour distance.
///
/// # Inputs
/// `coordinates`: `(n_obs, ≥2)`; rows with non-finite numbers are left out.
/// # Returns
/// A shape, never [`SpotShape::Auto`]; for fewer than two distinct places a circle of diameter 1.
/// # Cost
/// O(`n_obs`) time and memory.
#[allow(clippy::needless_pass_by_value)] // Views are passed by value throughout.
pub fn detect_shape(coordinates: ArrayView2<'_, f64>) -> SpotShape {
    let points: Vec<[f64; 2]> = if coordinates.ncols() < 2 {
        Vec::new()
    } else {
        coordinates
            .rows()
            .into_iter()
            .map(|r| [r[0], r[1]])
            .filter(|p| p[0].is_finite() && p[1].is_finite())
            .collect()
    };
    let grid = Buckets::new(&points);
    let stride = points.len().div_ceil(SAMPLE).max(1);
    let sampled: Vec<usize> = (0..points.len()).step_by(stride).collect();
    let nearest: Vec<f64> = sampled.iter().map(|&i| grid.nearest_distance(&points, i)).collect();
    let mut sorted: Vec<f64> = nearest.iter().copied().filter(|d| d.is_finite()).collect();
    if sorted.is_empty() {
        return SpotShape::Circle { diameter: 1.0 };
    }
    sorted.sort_by(f64::total_cmp);
    let pitch = sorted[sorted.len() / 2];
    let circle = SpotShape::Circle { diameter: pitch };
    let regular = sorted.iter().filter(|&&d| (d / pitch - 1.0).abs() < 0.08).count();
    if regular * 10 < sorted.len() * 9 {
        return circle;
    }
    // Resultants of the directions' multiples: long when they agree modulo 60° or 90°.
    let (mut six, mut four, mut count, mut most) = ([0.0f64; 2], [0.0f64; 2], 0usize, 0usize);
    for &i in &sampled {
        let mut own = 0;
        grid.each_within(&points, i, pitch * 1.2, |dx, dy| {
            let angle = dy.atan2(dx);
            for (sum, fold) in [(&mut six, 6.0), (&mut four, 4.0)] {
                sum[0] += (fold * angle).cos();
                sum[1] += (fold * angle).sin();
            }
            own += 1;
        });
        count += own;
        most = most.max(own);
    }
    let agreement = |sum: [f64; 2]| sum[0].hypot(sum[1]) / count.max(1) as f64;
    if agreement(six) > 0.9 && (5..=6).contains(&most) {
        return SpotShape::Hexagon { pitch, angle: snap(six[1].atan2(six[0]) / 6.0) };
    }
    if agreement(four) > 0.9 && most <= 4 {
        return SpotShape::Square { side: pitch, angle: snap(four[1].atan2(four[0]) / 4.0) };
    }
    circle
}

/// Rotations below half a degree are rounding of pixel coordinates.
fn snap(angle: f64) -> f64 {
    if angle.abs() < 0.009 { 0.0 } else { angle }
}

/// The median distance from a spot to the nearest spot elsewhere, from a sample of 2000; `None` below two places.
#[allow(clippy::needless_pass_by_value)] // Views are passed by value throughout.
pub fn median_neighbor_distance(coordinates: ArrayView2<'_, f64>) -> Option<f64> {
    if coordinates.ncols() < 2 {
        return None;
    }
    let points: Vec<[f64; 2]> = coordinates
        .rows()
        .into_iter()
        .map(|r| [r[0], r[1]])
        .filter(|p| p[0].is_finite() && p[1].is_finite())
        .collect();
    let grid = Buckets::new(&points);
    let stride = points.len().div_ceil(SAMPLE).max(1);
    let mut distances: Vec<f64> = (0..points.len())
        .step_by(stride)
        .map(|i| grid.nearest_distance(&points, i))
        .filter(|d| d.is_finite())
        .collect();
    distances.sort_by(f64::total_cmp);
    distances.get(distances.len() / 2).copied()
}

/// Points sorted into square cells, about one to a cell.
struct Buckets {
    origin: [f64; 2],
    cell: f64,
    columns: usize,
    rows: usize,
    starts: Vec<usize>,
    members: Vec<u32>,
}

impl Buckets {
    fn new(points: &[[f64; 2]]) -> Self {
        let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
        for p in points {
            for k in 0..2 {
                low[k] = low[k].min(p[k]);
                high[k] = high[k].max(p[k]);
            }
        }
        let n = points.len().max(1) as f64;
        let extent = if points.is_empty() { [0.0; 2] } else { [high[0] - low[0], high[1] - low[1]] };
        // A line of points has no area: its length over n bounds the number of cells too.
        // The roots are taken first: the area of far coordinates is no finite number.
        let cell = ((extent[0] / n).sqrt() * extent[1].sqrt()).max(extent[0].max(extent[1]) / n);
        let usable = cell.is_finite() && cell > 0.0;
        let cell = if usable { cell } else { 1.0 };
        let cells = |extent: f64| if usable { (extent / cell) as usize + 1 } else { 1 };
        let (columns, rows) = (cells(extent[0]), cells(extent[1]));
        let mut grid = Self {
            origin: low,
            cell,
            columns,
            rows,
            starts: vec![0; columns * rows + 1],
            members: Vec::new(),
        };
        for p in points {
            let c = grid.cell_of(*p);
            grid.starts[c.1 * columns + c.0 + 1] += 1;
        }
        for k in 0..columns * rows {
            grid.starts[k + 1] += grid.starts[k];
        }
        let mut next = grid.starts.clone();
        grid.members = vec![0; points.len()];
        for (i, p) in points.iter().enumerate() {
            let c = grid.cell_of(*p);
            let slot = &mut next[c.1 * columns + c.0];
            grid.members[*slot] = i as u32;
            *slot += 1;
        }
        grid
    }

    fn cell_of(&self, p: [f64; 2]) -> (usize, usize) {
        let at = |k: usize, n: usize| (((p[k] - self.origin[k]) / self.cell) as usize).min(n - 1);
        (at(0, self.columns), at(1, self.rows))
    }

    /// Calls `f` with the index of every point in the cells at Chebyshev distance `ring`; false when all are outside.
    fn ring(&self, (cx, cy): (usize, usize), ring: usize, mut f: impl FnMut(u32)) -> bool {
        let (cx, cy, r) = (cx as i64, cy as i64, ring as i64);
        let (columns, rows) = (self.columns as i64, self.rows as i64);
        let mut inside = false;
        for y in (cy - r).max(0)..=(cy + r).min(rows - 1) {
            let whole = (y - cy).abs() == r;
            let step = if whole || r == 0 { 1 } else { 2 * r };
            let mut x = cx - r;
            while x <= cx + r {
                if (0..columns).contains(&x) {
                    inside = true;
                    let k = (y * columns + x) as usize;
                    for &j in &self.members[self.starts[k]..self.starts[k + 1]] {
                        f(j);
                    }
                }
                x += step;
            }
        }
        inside
    }

    /// Distance to the nearest point elsewhere; infinite when there is none.
    fn nearest_distance(&self, points: &[[f64; 2]], i: usize) -> f64 {
        let p = points[i];
        let home = self.cell_of(p);
        let mut best = f64::INFINITY;
        let mut ring = 0;
        loop {
            let inside = self.ring(home, ring, |j| {
                let q = points[j as usize];
                let d = (q[0] - p[0]).hypot(q[1] - p[1]);
                // Duplicates are the same place.
                if d > 0.0 {
                    best = best.min(d);
                }
            });
            if best <= ring as f64 * self.cell || !inside {
                return best;
            }
            ring += 1;
        }
    }

    fn each_within(&self, points: &[[f64; 2]], i: usize, radius: f64, mut f: impl FnMut(f64, f64)) {
        let p = points[i];
        let reach = (radius / self.cell).ceil() as usize;
        for ring in 0..=reach.min(self.columns.max(self.rows)) {
            self.ring(self.cell_of(p), ring, |j| {
                let q = points[j as usize];
                let (dx, dy) = (q[0] - p[0], q[1] - p[1]);
                let d = dx.hypot(dy);
                if d > 0.0 && d <= radius {
                    f(dx, dy);
                }
            });
        }
    }
}
