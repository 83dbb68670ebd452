//! Squared distances of rows to a few points.
//!
//! ```text
//! out[i][c] = Σ_j (rows[i][j] − points[c][j])²
//! ```
//!
//! Eight points stand side by side, so that eight sums grow together; four rows at a time hide what an addition waits for
//! the last. Every sum runs over `j` in order and products are rounded, so that each copy gives the bits of the plain loop.

use super::panel::{Lanes, WIDTH};
use crate::simd::{Simd, active};

/// Rows handled together.
const ROWS: usize = 4;

/// Points to measure distances to, eight side by side.
#[derive(Clone, Debug)]
pub struct Points {
    /// Coordinate `j` of the eight points of block `b` at `b · d + j`.
    lanes: Vec<Lanes>,
    n: usize,
    d: usize,
}

impl Points {
    /// `points`: `(n, d)`, row by row.
    ///
    /// # Panics
    /// When `points` is no whole number of rows.
    pub fn new(points: &[f64], d: usize) -> Self {
        let n = points.len() / d.max(1);
        assert_eq!(n * d, points.len(), "Points: rows of {d} numbers");
        let mut lanes = vec![Lanes::ZERO; n.div_ceil(WIDTH) * d];
        for (c, point) in points.chunks_exact(d.max(1)).enumerate() {
            for (j, v) in point.iter().enumerate() {
                lanes[c / WIDTH * d + j].0[c % WIDTH] = *v;
            }
        }
        Self { lanes, n, d }
    }
}

#[inline(always)]
fn tile<const R: usize>(rows: &[f64], points: &[Lanes], own: usize, out: &mut [f64], n: usize) {
    let d = points.len();
    let rows: [&[f64]; R] = std::array::from_fn(|r| &rows[r * d..][..d]);
    let mut sums = [[0.0f64; WIDTH]; R];
    for (j, lanes) in points.iter().enumerate() {
        for (row, sums) in rows.iter().zip(&mut sums) {
            let x = row[j];
            for (sum, point) in sums.iter_mut().zip(&lanes.0) {
                *sum += (x - point) * (x - point);
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        out[r * n..][..own].copy_from_slice(&sums[..own]);
    }
}

#[inline(always)]
fn body(rows: &[f64], points: &Points, out: &mut [f64]) {
    let (n, d) = (points.n, points.d);
    for (rows, out) in rows.chunks(ROWS * d).zip(out.chunks_mut(ROWS * n)) {
        for (b, lanes) in points.lanes.chunks_exact(d).enumerate() {
            let first = b * WIDTH;
            let own = WIDTH.min(n - first);
            if rows.len() == ROWS * d {
                tile::<ROWS>(rows, lanes, own, &mut out[first..], n);
            } else {
                for (row, out) in rows.chunks_exact(d).zip(out.chunks_exact_mut(n)) {
                    tile::<1>(row, lanes, own, &mut out[first..], n);
                }
            }
        }
    }
}

/// The squared distance of every row to every point, `(rows, n)` into `out`.
///
/// `rows`: of as many numbers as a point has, one behind the other.
///
/// # Panics
/// When `out` does not hold as many rows of `n` numbers as there are rows.
pub fn squared_distances(rows: &[f64], points: &Points, out: &mut [f64]) {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
    fn wide(rows: &[f64], points: &Points, out: &mut [f64]) {
        body(rows, points, out);
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn narrow(rows: &[f64], points: &Points, out: &mut [f64]) {
        body(rows, points, out);
    }
    if points.d == 0 || points.n == 0 {
        out.fill(0.0);
        return;
    }
    assert_eq!(rows.len() % points.d, 0, "squared_distances: rows of {} numbers", points.d);
    assert_eq!(
        rows.len() / points.d * points.n,
        out.len(),
        "squared_distances: one distance per row and point"
    );
    match active() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `active` detected the features on this processor.
        Simd::Avx512 => unsafe { wide(rows, points, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Simd::Avx2 => unsafe { narrow(rows, points, out) },
        _ => body(rows, points, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_copy_gives_the_bits_of_the_plain_loop() {
        for (n, d) in [(1, 1), (7, 3), (8, 5), (11, 30), (17, 2)] {
            let number = |i: usize, j: usize| ((i * 37 + j * 11) % 101) as f64 / 7.0 - 6.3;
            let points: Vec<f64> = (0..n * d).map(|at| number(at / d, at % d + 40)).collect();
            for m in [0, 1, 3, 4, 9] {
                let rows: Vec<f64> = (0..m * d).map(|at| number(at / d + 90, at % d)).collect();
                let plain: Vec<f64> = (0..m * n)
                    .map(|at| {
                        let (row, point) = (&rows[at / n * d..][..d], &points[at % n * d..][..d]);
                        row.iter().zip(point).map(|(a, b)| (a - b) * (a - b)).sum()
                    })
                    .collect();
                let held = Points::new(&points, d);
                let (mut fast, mut portable) = (vec![7.0; m * n], vec![7.0; m * n]);
                squared_distances(&rows, &held, &mut fast);
                body(&rows, &held, &mut portable);
                assert_eq!((&fast, &portable), (&plain, &plain), "{n} points of {d}, {m} rows");
            }
        }
    }

    #[test]
    fn points_without_coordinates_are_at_no_distance() {
        let mut out = [3.0; 4];
        squared_distances(&[], &Points::new(&[], 0), &mut out);
        assert_eq!(out, [0.0; 4]);
    }
}
