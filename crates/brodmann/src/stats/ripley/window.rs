//! The region a pattern of points was observed in.

use rand::{Rng, RngExt};

/// A convex region of the plane with an area.
pub(super) struct Region {
    /// Corners, anticlockwise.
    corners: Vec<[f64; 2]>,
    /// Area of the triangles between the first corner and each edge, summed up to there.
    areas: Vec<f64>,
}

impl Region {
    /// The convex hull of `points`, or `None` where they enclose no area.
    ///
    /// Andrew 1979, Inf. Process. Lett. 9:216: O(n log n).
    pub(super) fn hull(points: &[[f64; 2]]) -> Option<Self> {
        let mut sorted = points.to_vec();
        sorted.sort_unstable_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
        let mut corners: Vec<[f64; 2]> = Vec::new();
        let mut chain = |points: &mut dyn Iterator<Item = &[f64; 2]>| {
            let start = corners.len();
            for &point in points {
                while let [.., a, b] = corners[start..] {
                    if double_area(a, b, point) > 0.0 {
                        break;
                    }
                    corners.pop();
                }
                corners.push(point);
            }
            // The last point begins the other chain.
            corners.pop();
        };
        chain(&mut sorted.iter());
        chain(&mut sorted.iter().rev());
        Self::from_corners(corners)
    }

    /// The smallest rectangle along the axes that holds `points`, or `None` where it has no area.
    pub(super) fn rectangle(points: &[[f64; 2]]) -> Option<Self> {
        let fold = |axis: usize, start: f64, pick: fn(f64, f64) -> f64| {
            points.iter().map(|p| p[axis]).fold(start, pick)
        };
        let (left, right) = (fold(0, f64::INFINITY, f64::min), fold(0, f64::NEG_INFINITY, f64::max));
        let (low, high) = (fold(1, f64::INFINITY, f64::min), fold(1, f64::NEG_INFINITY, f64::max));
        Self::from_corners(vec![[left, low], [right, low], [right, high], [left, high]])
    }

    fn from_corners(corners: Vec<[f64; 2]>) -> Option<Self> {
        let mut sum = 0.0;
        let areas: Vec<f64> = corners
            .windows(2)
            .skip(1)
            .map(|edge| {
                sum += double_area(corners[0], edge[0], edge[1]) / 2.0;
                sum
            })
            .collect();
        (sum > 0.0).then_some(Self { corners, areas })
    }

    pub(super) fn area(&self) -> f64 {
        self.areas.last().copied().unwrap_or(0.0)
    }

    /// Width and height of the smallest rectangle around it.
    pub(super) fn extent(&self) -> [f64; 2] {
        [0, 1].map(|axis| {
            let values = || self.corners.iter().map(|corner| corner[axis]);
            values().fold(f64::NEG_INFINITY, f64::max) - values().fold(f64::INFINITY, f64::min)
        })
    }

    /// A point drawn uniformly.
    pub(super) fn draw(&self, rng: &mut impl Rng) -> [f64; 2] {
        let below = rng.random::<f64>() * self.area();
        let triangle = self.areas.partition_point(|&sum| sum <= below).min(self.areas.len() - 1);
        let (a, b, c) = (self.corners[0], self.corners[triangle + 1], self.corners[triangle + 2]);
        let (mut u, mut v) = (rng.random::<f64>(), rng.random::<f64>());
        if u + v > 1.0 {
            // The other half of the parallelogram, turned back.
            (u, v) = (1.0 - u, 1.0 - v);
        }
        [0, 1].map(|axis| a[axis] + u * (b[axis] - a[axis]) + v * (c[axis] - a[axis]))
    }
}

/// Twice the area of a triangle; above 0 when its corners run anticlockwise.
fn double_area(a: [f64; 2], b: [f64; 2], c: [f64; 2]) -> f64 {
    (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
}
