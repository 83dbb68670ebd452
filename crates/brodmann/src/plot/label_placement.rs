//! Where names go beside their points, so that none hides another.

/// A name to be placed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Label {
    /// Its point.
    pub at: [f64; 2],
    /// Its width and height.
    pub size: [f64; 2],
}

/// Side of a square of the crowd's grid, in pixels.
const SQUARE: f64 = 3.0;
/// Directions tried around a point; the first are preferred.
const DIRECTIONS: [[f64; 2]; 12] = [
    [1.0, 0.0],
    [-1.0, 0.0],
    [0.0, -1.0],
    [0.0, 1.0],
    [0.8, -0.6],
    [-0.8, -0.6],
    [0.8, 0.6],
    [-0.8, 0.6],
    [0.4, -0.9],
    [-0.4, -0.9],
    [0.4, 0.9],
    [-0.4, 0.9],
];
/// Distances tried, in heights of a line.
const DISTANCES: [f64; 7] = [0.0, 0.4, 0.9, 1.6, 2.4, 3.4, 4.6];
/// A pixel of distance costs as much as this share of a hidden point.
const FAR: f64 = 0.12;
/// A crossing of a name and a line to another's point costs as much as so many hidden points.
const CROSSING: f64 = 6.0;

/// How many points lie where, for a rectangle in constant time.
pub(super) struct Crowd {
    origin: [f64; 2],
    columns: usize,
    rows: usize,
    /// Points above and left of each corner of the grid.
    sums: Vec<f64>,
}

impl Crowd {
    /// `points` with their weight, within x, y, width, height.
    pub(super) fn new([x, y, w, h]: [f64; 4], points: impl Iterator<Item = ([f64; 2], f64)>) -> Self {
        let cells = |length: f64| ((length / SQUARE).ceil().clamp(1.0, 4000.0)) as usize;
        let (columns, rows) = (cells(w), cells(h));
        let mut sums = vec![0.0; (columns + 1) * (rows + 1)];
        for (p, weight) in points {
            let (u, v) = ((p[0] - x) / SQUARE, (p[1] - y) / SQUARE);
            if u >= 0.0 && v >= 0.0 && (u as usize) < columns && (v as usize) < rows {
                sums[(v as usize + 1) * (columns + 1) + u as usize + 1] += weight;
            }
        }
        for row in 1..=rows {
            let mut along = 0.0;
            for column in 1..=columns {
                let at = row * (columns + 1) + column;
                along += sums[at];
                sums[at] = along + sums[at - columns - 1];
            }
        }
        Self { origin: [x, y], columns, rows, sums }
    }

    /// Weight of the points in about x, y, width, height.
    pub(super) fn within(&self, [x, y, w, h]: [f64; 4]) -> f64 {
        let at = |v: f64, origin: f64, most: usize| ((v - origin) / SQUARE).clamp(0.0, most as f64);
        let (left, right) = (at(x, self.origin[0], self.columns), at(x + w, self.origin[0], self.columns));
        let (top, bottom) = (at(y, self.origin[1], self.rows), at(y + h, self.origin[1], self.rows));
        let sum = |row: f64, column: f64| self.sums[row as usize * (self.columns + 1) + column as usize];
        let (right, bottom) = (right.ceil(), bottom.ceil());
        sum(bottom, right) - sum(top.floor(), right) - sum(bottom, left.floor())
            + sum(top.floor(), left.floor())
    }
}

/// The top left corner of each name; `None` where all places around its point are taken.
///
/// One after the other, as given: among the places around its point that lie within `bounds` (x, y, width, height) and
/// hide no earlier name, a name takes the one that hides the fewest points and is not far. `clearance` is the radius of
/// the point itself; `taken` are the rectangles no name may touch, to which those of the names are added.
///
/// # Cost
/// O(n²) for n names, of which there are few.
pub(super) fn place(
    labels: &[Label],
    bounds: [f64; 4],
    clearance: f64,
    crowd: &Crowd,
    taken: &mut Vec<[f64; 4]>,
) -> Vec<Option<[f64; 2]>> {
    let mut leaders: Vec<[[f64; 2]; 2]> = Vec::new();
    labels
        .iter()
        .map(|label| {
            let [w, h] = label.size;
            let mut best: Option<(f64, [f64; 4])> = None;
            for distance in DISTANCES {
                for [dx, dy] in DIRECTIONS {
                    let away = clearance + distance * h;
                    // The middle of the name, so far away that its rectangle touches a circle around the point.
                    let middle = [label.at[0] + dx * (away + w / 2.0), label.at[1] + dy * (away + h / 2.0)];
                    let own = [middle[0] - w / 2.0, middle[1] - h / 2.0, w, h];
                    if !inside(own, bounds) || taken.iter().any(|other| overlap(own, *other)) {
                        continue;
                    }
                    let leader = leader(label.at, own);
                    let crossed = taken.iter().filter(|other| crosses(leader, **other)).count()
                        + leaders.iter().filter(|other| crosses(**other, own)).count();
                    let cost = crowd.within(own) + FAR * away + CROSSING * crossed as f64;
                    if best.is_none_or(|(least, _)| cost < least) {
                        best = Some((cost, own));
                    }
                }
            }
            best.map(|(_, own)| {
                taken.push(own);
                leaders.push(leader(label.at, own));
                [own[0], own[1]]
            })
        })
        .collect()
}

/// From a point to the nearest place of a rectangle.
pub(super) fn leader(at: [f64; 2], [x, y, w, h]: [f64; 4]) -> [[f64; 2]; 2] {
    // Not `clamp`, which panics on a rectangle that is none.
    [at, [at[0].max(x).min(x + w), at[1].max(y).min(y + h)]]
}

/// Whether a line touches a rectangle.
fn crosses([from, to]: [[f64; 2]; 2], [x, y, w, h]: [f64; 4]) -> bool {
    // The part of the line within both of its stripes (Liang & Barsky 1984).
    let (mut enters, mut leaves) = (0.0f64, 1.0f64);
    for (start, step, low, length) in [(from[0], to[0] - from[0], x, w), (from[1], to[1] - from[1], y, h)] {
        if step == 0.0 {
            if start < low || start > low + length {
                return false;
            }
            continue;
        }
        let (a, b) = ((low - start) / step, (low + length - start) / step);
        enters = enters.max(a.min(b));
        leaves = leaves.min(a.max(b));
    }
    enters <= leaves
}

fn inside([x, y, w, h]: [f64; 4], bounds: [f64; 4]) -> bool {
    x >= bounds[0] && y >= bounds[1] && x + w <= bounds[0] + bounds[2] && y + h <= bounds[1] + bounds[3]
}

pub(super) fn overlap(a: [f64; 4], b: [f64; 4]) -> bool {
    a[0] < b[0] + b[2] && b[0] < a[0] + a[2] && a[1] < b[1] + b[3] && b[1] < a[1] + a[3]
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: [f64; 4] = [0.0, 0.0, 300.0, 200.0];

    #[test]
    fn names_stand_beside_their_points_without_overlap() {
        let labels: Vec<Label> = (0..40)
            .map(|k| Label {
                at: [20.0 + f64::from(k % 8) * 30.0, 20.0 + f64::from(k / 8) * 6.0],
                size: [40.0, 10.0],
            })
            .collect();
        let crowd = Crowd::new(BOUNDS, labels.iter().map(|l| (l.at, 1.0)));
        let placed = place(&labels, BOUNDS, 3.0, &crowd, &mut Vec::new());
        let boxes: Vec<[f64; 4]> = placed.iter().flatten().map(|p| [p[0], p[1], 40.0, 10.0]).collect();
        assert!(boxes.len() > 20, "{}", boxes.len());
        for (k, a) in boxes.iter().enumerate() {
            assert!(inside(*a, BOUNDS));
            assert!(boxes[k + 1..].iter().all(|b| !overlap(*a, *b)));
        }
        assert_eq!(placed, place(&labels, BOUNDS, 3.0, &crowd, &mut Vec::new()));
    }

    #[test]
    fn a_name_avoids_the_crowd_and_is_left_out_where_nothing_is_free() {
        // Points to the right of the middle.
        let crowd = Crowd::new(BOUNDS, (0..50).map(|k| ([155.0 + f64::from(k), 100.0], 1.0)));
        let label = Label { at: [150.0, 100.0], size: [40.0, 10.0] };
        let alone =
            |label: Label, taken: &[[f64; 4]]| place(&[label], BOUNDS, 3.0, &crowd, &mut taken.to_vec())[0];
        let placed = alone(label, &[]).expect("free");
        assert_eq!(placed, [107.0, 95.0], "to the left");
        let too_large = Label { size: [400.0, 10.0], ..label };
        assert_eq!(alone(too_large, &[]), None);
        let nowhere = Label { at: [f64::NAN, 0.0], ..label };
        assert_eq!(alone(nowhere, &[]), None);
        assert_eq!(alone(label, &[BOUNDS]), None);
    }

    #[test]
    fn lines_cross_rectangles_that_they_touch() {
        let square = [10.0, 10.0, 10.0, 10.0];
        for (from, to, expected) in [
            ([0.0, 15.0], [30.0, 15.0], true),
            ([0.0, 0.0], [12.0, 12.0], true),
            ([15.0, 15.0], [15.0, 15.0], true),
            ([0.0, 25.0], [30.0, 25.0], false),
            ([0.0, 0.0], [5.0, 5.0], false),
            ([0.0, 22.0], [22.0, 44.0], false),
        ] {
            assert_eq!(crosses([from, to], square), expected, "{from:?} {to:?}");
        }
        assert_eq!(leader([0.0, 15.0], square), [[0.0, 15.0], [10.0, 15.0]]);
    }

    #[test]
    fn the_crowd_counts_what_a_rectangle_holds() {
        let crowd =
            Crowd::new([10.0, 10.0, 30.0, 30.0], [([11.0, 11.0], 1.0), ([38.0, 38.0], 2.0)].into_iter());
        assert_eq!(crowd.within([10.0, 10.0, 30.0, 30.0]), 3.0);
        assert_eq!(crowd.within([10.0, 10.0, 6.0, 6.0]), 1.0);
        assert_eq!(crowd.within([-100.0, -100.0, 20.0, 20.0]), 0.0);
    }
}
