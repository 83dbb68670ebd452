//! Candidate neighbours by f32 matrix products, with a margin that provably keeps the true ones.
//!
//! For a query x and a target y, `v = |y|² − 2 x·y` orders targets as the squared distance does. One product
//! of augmented rows `[−2x, 1] · [y, |y|²]` gives a block of `v` in f32. With `u = 2⁻²⁴` and `c = (d + 16) u`,
//! rounding moves `v` by less than `c (|x|² + 2 |y|²)` (Higham 2002, §3.1, and `2|x||y| ≤ |x|² + |y|²`), so a
//! target whose `v` exceeds the k-th smallest upper bound by more than the errors cannot be among the k
//! nearest. What is left, a little over k targets, is ranked by exact f64 distances: the result equals brute
//! force in f64, ties to the lower index.

use std::ops::Range;

use brodmann_kernels::matmul::matmul_into_serial;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, Slice};

/// Columns of one product: 128 rows by this many f32 stay in a core's second-level cache.
const TILE: usize = 1024;
/// Values tested together against the threshold.
const LANES: usize = 32;

/// `Σ (a − b)²` in four interleaved partial sums: the one definition of distance that ties refer to.
#[inline]
pub(crate) fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0f64; 4];
    let (a4, b4) = (a.chunks_exact(4), b.chunks_exact(4));
    let (a_rest, b_rest) = (a4.remainder(), b4.remainder());
    for (p, q) in a4.zip(b4) {
        for lane in 0..4 {
            let difference = p[lane] - q[lane];
            lanes[lane] += difference * difference;
        }
    }
    for (lane, (p, q)) in a_rest.iter().zip(b_rest).enumerate() {
        lanes[lane] += (p - q) * (p - q);
    }
    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3])
}

/// Points ready for blocked distances: exact rows, and centred, scaled, augmented f32 rows.
pub(crate) struct BlockedPoints {
    /// Row-major exact coordinates.
    pub(crate) exact: Vec<f64>,
    pub(crate) d: usize,
    /// `[−2x, 1]`.
    pub(crate) queries: Array2<f32>,
    /// `[y, |y|²]`.
    pub(crate) targets: Array2<f32>,
    /// Error of `v` that a target contributes, twice: from lower to upper bound.
    target_slack: Vec<f32>,
    /// The same for a query.
    query_slack: Vec<f32>,
}

impl BlockedPoints {
    /// `embedding` is finite.
    pub(crate) fn new(embedding: ArrayView2<'_, f64>) -> Self {
        let (n_obs, d) = embedding.dim();
        let exact: Vec<f64> = embedding.iter().copied().collect();
        // Centring shrinks the norms and with them the error; scaling keeps squares inside f32.
        let mut mean = vec![0.0f64; d];
        for row in exact.chunks_exact(d) {
            for (m, v) in mean.iter_mut().zip(row) {
                *m += v / n_obs as f64;
            }
        }
        let mut largest = 0.0f64;
        for row in exact.chunks_exact(d) {
            for (m, v) in mean.iter().zip(row) {
                largest = largest.max((v - m).abs());
            }
        }
        let scale = if largest > 0.0 { 1.0 / largest } else { 1.0 };
        let unit = (d as f64 + 16.0) * 2f64.powi(-24);
        let mut queries = Array2::<f32>::zeros((n_obs, d + 1));
        let mut targets = Array2::<f32>::zeros((n_obs, d + 1));
        let (mut target_slack, mut query_slack) = (Vec::with_capacity(n_obs), Vec::with_capacity(n_obs));
        for (i, row) in exact.chunks_exact(d).enumerate() {
            let mut norm = 0.0f64;
            for (column, (v, m)) in row.iter().zip(&mean).enumerate() {
                let centred = (v - m) * scale;
                norm += centred * centred;
                queries[[i, column]] = (-2.0 * centred) as f32;
                targets[[i, column]] = centred as f32;
            }
            queries[[i, d]] = 1.0;
            targets[[i, d]] = norm as f32;
            // Twice each error bound, rounded up; the constant covers f32 underflow.
            target_slack.push((4.0 * unit * norm * 1.001 + 1e-35) as f32);
            query_slack.push((2.0 * unit * norm * 1.001 + 1e-35) as f32);
        }
        Self { exact, d, queries, targets, target_slack, query_slack }
    }

    /// Puts point `order[i]` at place i; one array after the other, so that only one is there twice.
    pub(crate) fn reorder(&mut self, order: &[u32]) {
        let rows: Vec<usize> = order.iter().map(|&i| i as usize).collect();
        self.exact = rows.iter().flat_map(|&i| self.row(i)).copied().collect();
        self.queries = self.queries.select(Axis(0), &rows);
        self.targets = self.targets.select(Axis(0), &rows);
        self.target_slack = rows.iter().map(|&i| self.target_slack[i]).collect();
        self.query_slack = rows.iter().map(|&i| self.query_slack[i]).collect();
    }

    pub(crate) fn n_obs(&self) -> usize {
        self.target_slack.len()
    }

    #[inline]
    pub(crate) fn row(&self, i: usize) -> &[f64] {
        &self.exact[i * self.d..(i + 1) * self.d]
    }

    /// Exact squared distance of points i and j.
    #[inline]
    pub(crate) fn squared(&self, i: usize, j: usize) -> f64 {
        squared_distance(self.row(i), self.row(j))
    }

    /// Offers a range of targets to each query; row r of `rows` is the augmented query of `candidates[r]`.
    pub(crate) fn offer(
        &self,
        rows: ArrayView2<'_, f32>,
        candidates: &mut [&mut Candidates],
        range: Range<usize>,
        scratch: &mut Vec<f32>,
    ) {
        let n_rows = rows.nrows();
        scratch.resize(n_rows * TILE, 0.0);
        for from in range.clone().step_by(TILE) {
            let to = range.end.min(from + TILE);
            let width = to - from;
            let buffer = &mut scratch[..n_rows * width];
            let tile = ArrayViewMut2::from_shape((n_rows, width), buffer).expect("sized just above");
            matmul_into_serial(tile, rows, self.targets.slice_axis(Axis(0), Slice::from(from..to)).t());
            for (candidate, values) in candidates.iter_mut().zip(scratch.chunks_exact(width)) {
                candidate.scan(values, from as u32, self);
            }
        }
    }
}

/// Targets that may still be among the k nearest of one query.
pub(crate) struct Candidates {
    query: u32,
    k: usize,
    threshold: f32,
    limit: usize,
    found: Vec<(f32, u32)>,
}

impl Candidates {
    pub(crate) fn new(query: usize, k: usize) -> Self {
        let limit = 3 * k + 32;
        Self { query: query as u32, k, threshold: f32::INFINITY, limit, found: Vec::with_capacity(limit) }
    }

    #[inline]
    fn scan(&mut self, values: &[f32], first: u32, points: &BlockedPoints) {
        for (chunk, lanes) in values.chunks(LANES).enumerate() {
            let threshold = self.threshold;
            // Branch-free over the chunk, so that it vectorises; hits are rare once the threshold has settled.
            if lanes.iter().fold(0u32, |hits, &v| hits | u32::from(v <= threshold)) == 0 {
                continue;
            }
            for (lane, &v) in lanes.iter().enumerate() {
                let target = first + (chunk * LANES + lane) as u32;
                if v <= self.threshold && target != self.query {
                    self.found.push((v, target));
                    if self.found.len() >= self.limit {
                        self.compact(points);
                    }
                }
            }
        }
    }

    /// Drops what provably is not among the k nearest.
    fn compact(&mut self, points: &BlockedPoints) {
        if self.found.len() <= self.k {
            return;
        }
        let mut upper: Vec<f32> =
            self.found.iter().map(|&(v, j)| v + points.target_slack[j as usize]).collect();
        let (_, &mut kth, _) = upper.select_nth_unstable_by(self.k - 1, f32::total_cmp);
        // Two additions in f32: widen by their own rounding.
        let slack = points.query_slack[self.query as usize];
        let threshold = kth + slack + (kth.abs() + slack) * f32::EPSILON * 4.0;
        self.threshold = self.threshold.min(threshold);
        let threshold = self.threshold;
        self.found.retain(|&(v, _)| v <= threshold);
        // Many near-ties: let the buffer grow rather than compact at every push.
        if self.found.len() * 2 > self.limit {
            self.limit = self.found.len() * 2;
        }
    }

    /// The k nearest by exact squared distance, then index; points carry the numbers in `originals`, if given.
    pub(crate) fn finish(mut self, points: &BlockedPoints, originals: Option<&[u32]>) -> Vec<(f64, u32)> {
        self.compact(points);
        let query = self.query as usize;
        let number = |j: u32| originals.map_or(j, |numbers| numbers[j as usize]);
        let mut ranked: Vec<(f64, u32)> =
            self.found.iter().map(|&(_, j)| (points.squared(query, j as usize), number(j))).collect();
        ranked.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        ranked.truncate(self.k);
        ranked
    }
}
