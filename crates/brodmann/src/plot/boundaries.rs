//! Boundaries of cells, drawn instead of a shape that all spots share.

/// One closed line per spot; the last vertex need not repeat the first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Boundaries {
    /// Where the vertices of each spot begin, and the end of the last: one more than there are spots.
    starts: Vec<usize>,
    /// x, y in units of the coordinates.
    vertices: Vec<[f64; 2]>,
}

impl Boundaries {
    /// One line per spot, in their order; a spot without one (fewer than three vertices, or one that is not finite) keeps
    /// the shape of the panel.
    pub fn new<'a>(lines: impl IntoIterator<Item = &'a [[f64; 2]]>) -> Self {
        let mut boundaries = Self { starts: vec![0], vertices: Vec::new() };
        for line in lines {
            if line.len() >= 3 && line.iter().flatten().all(|v| v.is_finite()) {
                boundaries.vertices.extend_from_slice(line);
            }
            boundaries.starts.push(boundaries.vertices.len());
        }
        boundaries
    }

    /// Spots.
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether there is no spot.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The vertices of spot `i`; none where it has no boundary.
    pub(super) fn of(&self, i: usize) -> &[[f64; 2]] {
        &self.vertices[self.starts[i]..self.starts[i + 1]]
    }

    /// The boundaries of the spots `order`, their vertices moved by `place`.
    pub(super) fn placed(&self, order: &[u32], place: impl Fn([f64; 2]) -> [f64; 2]) -> Self {
        let mut placed = Self { starts: vec![0], vertices: Vec::new() };
        for &i in order {
            placed.vertices.extend(self.of(i as usize).iter().map(|vertex| place(*vertex)));
            placed.starts.push(placed.vertices.len());
        }
        placed
    }

    pub(super) fn shift(&mut self, dx: f64, dy: f64) {
        for vertex in &mut self.vertices {
            vertex[0] += dx;
            vertex[1] += dy;
        }
    }
}

/// Calls `fill(row, from, to)` for the samples of a grid whose middle lies within a closed line (even-odd).
///
/// The line is in units of samples; `width` and `height` bound the grid.
pub(super) fn scan(
    line: &[[f64; 2]],
    width: usize,
    height: usize,
    mut fill: impl FnMut(usize, usize, usize),
) {
    let low = line.iter().fold(f64::INFINITY, |m, v| m.min(v[1]));
    let high = line.iter().fold(f64::NEG_INFINITY, |m, v| m.max(v[1]));
    // The first and the last row whose middle the line can hold.
    let first = (low - 0.5).ceil().max(0.0) as usize;
    let end = ((high - 0.5).floor() + 1.0).clamp(0.0, height as f64) as usize;
    let mut crossings: Vec<f64> = Vec::new();
    for row in first..end {
        let y = row as f64 + 0.5;
        crossings.clear();
        for (k, a) in line.iter().enumerate() {
            let b = line[(k + 1) % line.len()];
            // Half open, so that a vertex on the row counts once.
            if (a[1] <= y) != (b[1] <= y) {
                crossings.push(a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0]));
            }
        }
        crossings.sort_by(f64::total_cmp);
        for pair in crossings.chunks_exact(2) {
            let from = (pair[0] - 0.5).ceil().clamp(0.0, width as f64) as usize;
            let to = ((pair[1] - 0.5).ceil()).clamp(0.0, width as f64) as usize;
            if from < to {
                fill(row, from, to);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(line: &[[f64; 2]], width: usize, height: usize) -> Vec<String> {
        let mut grid = vec![vec!['.'; width]; height];
        scan(line, width, height, |row, from, to| grid[row][from..to].fill('#'));
        grid.into_iter().map(|row| row.into_iter().collect()).collect()
    }

    #[test]
    fn samples_within_the_line_are_filled() {
        // An L, closed or not.
        let mut l = vec![[1.0, 1.0], [5.0, 1.0], [5.0, 3.0], [3.0, 3.0], [3.0, 5.0], [1.0, 5.0]];
        let expected = [".......", ".####..", ".####..", ".##....", ".##....", "......."];
        assert_eq!(drawn(&l, 7, 6), expected);
        l.push(l[0]);
        assert_eq!(drawn(&l, 7, 6), expected);
        // Beyond the grid on every side.
        assert_eq!(drawn(&[[-9.0, -9.0], [99.0, -9.0], [99.0, 99.0], [-9.0, 99.0]], 2, 2), ["##", "##"]);
        // Between samples, and flat.
        assert_eq!(drawn(&[[0.6, 0.6], [0.9, 0.6], [0.9, 0.9]], 2, 2), ["..", ".."]);
        assert_eq!(drawn(&[[0.0, 0.5], [2.0, 0.5], [1.0, 0.5]], 2, 2), ["..", ".."]);
    }

    #[test]
    fn what_is_no_area_is_left_out() {
        let line = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]];
        let broken = [[0.0, 0.0], [f64::NAN, 0.0], [0.0, 1.0]];
        let all = Boundaries::new([&line[..], &line[..2], &broken[..], &[]]);
        assert_eq!((all.len(), all.of(0).len(), all.of(1).len(), all.of(2).len()), (4, 3, 0, 0));
        let moved = all.placed(&[2, 0], |[x, y]| [x + 1.0, 2.0 * y]);
        assert_eq!((moved.of(0), moved.of(1)), (&[][..], &[[1.0, 0.0], [2.0, 0.0], [1.0, 2.0]][..]));
    }
}
