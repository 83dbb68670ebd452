//! Every pair of points within a distance, found by sweeping strips; what co-occurrence and Ripley's L count.
//!
//! Points are sorted into strips of the second coordinate (in space: of the third, then the second), and within a strip
//! by the first. Whatever lies within a distance of a point is then one run of consecutive points per strip, its ends
//! moving with the point. Strips hold what they have: neither gaps nor far outliers cost anything.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use brodmann_kernels::{Monitor, ParallelLoop};
use rayon::prelude::*;

use super::StatsError;

/// Points of a strip handled together; fixed.
const CHUNK: usize = 256;
/// Strips per reach, at most: beyond, shorter runs cost more than points left out save.
const MOST_STRIPS: f64 = 16.0;
/// Steps of the table that turns squares into bins.
const TABLE: usize = 1 << 13;
/// Points whose distances are taken together.
const TILE: usize = 64;
/// Added to a number below 2⁵¹ it leaves the number, rounded, in the low bits.
const SHIFT: f64 = (1u64 << 52) as f64;

/// Consecutive points whose second (and third) coordinates are close.
struct Strip<const D: usize> {
    points: Range<usize>,
    low: [f64; D],
    high: [f64; D],
    /// Strips of the same third coordinate have the same layer.
    layer: i64,
}

/// Points in strips.
pub(super) struct Strips<const D: usize> {
    /// Coordinates, axis by axis, in strip order.
    axes: [Vec<f64>; D],
    /// Which point each one was.
    order: Vec<u32>,
    parts: Vec<Strip<D>>,
}

impl<const D: usize> Strips<D> {
    /// Strips for pairs up to `reach` apart; any reach may be asked of them, but this one fast.
    ///
    /// O(n log n) time, 8 (D + 1) bytes per point.
    pub(super) fn new(points: &[[f64; D]], reach: f64) -> Self {
        let (mut low, mut high) = ([f64::INFINITY; D], [f64::NEG_INFINITY; D]);
        for point in points {
            for axis in 0..D {
                low[axis] = low[axis].min(point[axis]);
                high[axis] = high[axis].max(point[axis]);
            }
        }
        let share: f64 = (0..D).map(|axis| (2.0 * reach / (high[axis] - low[axis])).min(1.0)).product();
        let within = share * points.len() as f64;
        let height = reach / (within.sqrt() / 4.0).clamp(1.0, MOST_STRIPS);
        // Rounding down keeps the order of coordinates, and only that is relied on.
        let key = |point: &[f64; D], axis: usize| {
            if axis < D { ((point[axis] - low[axis]) / height).floor() as i64 } else { 0 }
        };
        let mut order: Vec<(i64, i64, u32)> =
            points.iter().enumerate().map(|(i, point)| (key(point, 2), key(point, 1), i as u32)).collect();
        order.par_sort_unstable_by(|a, b| {
            let x = |entry: &(i64, i64, u32)| points[entry.2 as usize][0];
            (a.0, a.1).cmp(&(b.0, b.1)).then(x(a).total_cmp(&x(b))).then(a.2.cmp(&b.2))
        });
        let mut strips: Vec<Strip<D>> = Vec::new();
        for (at, same) in order.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).enumerate() {
            let start = if at == 0 { 0 } else { strips[at - 1].points.end };
            let (mut low, mut high) = ([f64::INFINITY; D], [f64::NEG_INFINITY; D]);
            for entry in same {
                let point = &points[entry.2 as usize];
                for axis in 0..D {
                    low[axis] = low[axis].min(point[axis]);
                    high[axis] = high[axis].max(point[axis]);
                }
            }
            strips.push(Strip { points: start..start + same.len(), low, high, layer: same[0].0 });
        }
        if D > 2 {
            // Bounds of the whole layer, so that strips of a layer differ in the second coordinate alone.
            for layer in strips.chunk_by_mut(|a, b| a.layer == b.layer) {
                let low = layer.iter().fold(f64::INFINITY, |low, strip| low.min(strip.low[2]));
                let high = layer.iter().fold(f64::NEG_INFINITY, |high, strip| high.max(strip.high[2]));
                for strip in layer {
                    (strip.low[2], strip.high[2]) = (low, high);
                }
            }
        }
        let axes = std::array::from_fn(|axis| order.iter().map(|e| points[e.2 as usize][axis]).collect());
        Self { axes, order: order.into_iter().map(|entry| entry.2).collect(), parts: strips }
    }

    /// Which point each one was, in strip order.
    pub(super) fn order(&self) -> &[u32] {
        &self.order
    }

    /// Point `i` in strip order.
    #[inline]
    pub(super) fn point(&self, i: usize) -> [f64; D] {
        std::array::from_fn(|axis| self.axes[axis][i])
    }

    /// The coordinates of consecutive points, axis by axis.
    #[inline]
    pub(super) fn run(&self, run: Range<usize>) -> [&[f64]; D] {
        std::array::from_fn(|axis| &self.axes[axis][run.clone()])
    }

    /// Calls `visit(accumulator, i, run)` so that every unordered pair whose squared distance is at most `limit` is
    /// some `i` with a member of `run`, once; farther pairs may come along. Numbers are places in strip order.
    ///
    /// Accumulators are made as threads need them and returned in no order: what is added to them must not depend on
    /// it, as integers do not.
    pub(super) fn pairs<A: Send>(
        &self,
        limit: f64,
        monitor: &dyn Monitor,
        new: impl Fn() -> A + Sync,
        visit: impl Fn(&mut A, usize, Range<usize>) + Sync,
    ) -> Result<Vec<A>, StatsError> {
        let pool: Mutex<Vec<A>> = Mutex::new(Vec::new());
        let locked = || pool.lock().unwrap_or_else(PoisonError::into_inner);
        self.chunks().into_par_iter().try_for_each(|(strip, chunk)| {
            let idle = locked().pop();
            let mut accumulator = idle.unwrap_or_else(&new);
            let n_points = chunk.len();
            self.visit_chunk(strip, chunk, limit, monitor, &mut |i, run| visit(&mut accumulator, i, run))?;
            monitor.advance(n_points as u64);
            locked().push(accumulator);
            Ok::<(), StatsError>(())
        })?;
        Ok(pool.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// As [`Strips::pairs`], an accumulator for each chunk of points, in a fixed order: sums of floats are added in it.
    pub(super) fn ordered_pairs<A: Send>(
        &self,
        limit: f64,
        monitor: &dyn Monitor,
        new: impl Fn() -> A + Sync,
        visit: impl Fn(&mut A, usize, Range<usize>) + Sync,
    ) -> Result<Vec<A>, StatsError> {
        self.chunks()
            .into_par_iter()
            .map(|(strip, chunk)| {
                let (mut accumulator, n_points) = (new(), chunk.len());
                self.visit_chunk(strip, chunk, limit, monitor, &mut |i, run| {
                    visit(&mut accumulator, i, run);
                })?;
                monitor.advance(n_points as u64);
                Ok(accumulator)
            })
            .try_collect_vec()
    }

    fn chunks(&self) -> Vec<(usize, Range<usize>)> {
        let of_strip = |(at, strip): (usize, &Strip<D>)| {
            let (start, end) = (strip.points.start, strip.points.end);
            (start..end).step_by(CHUNK).map(move |first| (at, first..end.min(first + CHUNK)))
        };
        self.parts.iter().enumerate().flat_map(of_strip).collect()
    }

    /// ```text
    /// for each strip from this one on, while strips can be near enough
    ///     for each point i of the chunk, by rising x
    ///         visit(i, the points of that strip whose x, and gap between strips, leave them within reach)
    /// ```
    ///
    /// Squares are added up in the order of the axes everywhere, and rounding is monotone: what is skipped by a bound
    /// would not have counted.
    fn visit_chunk(
        &self,
        own: usize,
        chunk: Range<usize>,
        limit: f64,
        monitor: &dyn Monitor,
        visit: &mut impl FnMut(usize, Range<usize>),
    ) -> Result<(), StatsError> {
        monitor.check()?;
        let x = &self.axes[0];
        let of_chunk = &self.parts[own];
        let gap = |axis: usize, other: &Strip<D>| {
            (other.low[axis] - of_chunk.high[axis]).max(of_chunk.low[axis] - other.high[axis]).max(0.0)
        };
        let reaches = |dx: f64, gaps: [f64; 2]| dx * dx + gaps[0] * gaps[0] + gaps[1] * gaps[1] <= limit;
        let mut at = own;
        while let Some(other) = self.parts.get(at) {
            let gaps = [gap(1, other), if D > 2 { gap(2, other) } else { 0.0 }];
            if !reaches(0.0, gaps) {
                if !reaches(0.0, [0.0, gaps[1]]) || D == 2 {
                    break;
                }
                // In space the strips of another layer begin anew: skip to the near ones, or past the layer.
                at += if other.low[1] > of_chunk.high[1] {
                    self.parts[at..].partition_point(|s| s.layer == other.layer)
                } else {
                    1
                };
                continue;
            }
            let mut low = if at == own { chunk.start } else { other.points.start };
            let mut high = low;
            let end = other.points.end;
            if at != own {
                let first = x[chunk.start];
                low += x[other.points.clone()].partition_point(|&v| v < first && !reaches(first - v, gaps));
                high = low;
            }
            for i in chunk.clone() {
                if at == own {
                    low = i + 1;
                } else {
                    while low < end && x[low] < x[i] && !reaches(x[i] - x[low], gaps) {
                        low += 1;
                    }
                }
                high = high.max(low);
                while high < end && (x[high] <= x[i] || reaches(x[high] - x[i], gaps)) {
                    high += 1;
                }
                if low < high {
                    visit(i, low..high);
                }
            }
            at += 1;
        }
        Ok(())
    }
}

/// `Σ (a − b)²` in the order of the axes.
#[inline]
pub(super) fn square<const D: usize>(point: &[f64; D], run: &[&[f64]; D], at: usize) -> f64 {
    let mut sum = 0.0;
    for axis in 0..D {
        let difference = run[axis][at] - point[axis];
        sum += difference * difference;
    }
    sum
}

/// Whether a bin ends with its edge or just before it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    /// `distance ≤ edge`.
    Included,
    /// `distance < edge`.
    Excluded,
}

/// Sorts distances into bins by their squares: no root per pair, and the same bins as the rounded roots would give.
pub(super) struct Bins {
    /// The largest square in each bin, then infinity.
    limits: Vec<f64>,
    /// The lowest bin that the squares of each step can be in.
    table: Box<[u16; TABLE]>,
    scale: f64,
}

impl Bins {
    /// Bins between rising edges, at most 65,535 of them: bin `b` holds what lies beyond edge `b − 1` and not beyond
    /// edge `b`; the last one what lies beyond them all.
    pub(super) fn new(edges: impl Iterator<Item = (f64, Edge)>) -> Self {
        let mut limits: Vec<f64> = edges.map(|(edge, kind)| largest_square(edge, kind)).collect();
        let largest = limits.last().copied().unwrap_or(0.0);
        let scale = if largest > 0.0 { (TABLE - 2) as f64 / largest } else { 0.0 };
        // Where that overflows, every square takes the long way from bin 0.
        let scale = if scale.is_finite() { scale } else { 0.0 };
        let steps: Vec<usize> = limits.iter().map(|&limit| step(limit, scale)).collect();
        let table = Box::new(std::array::from_fn(|at| steps.partition_point(|&s| s < at) as u16));
        limits.push(f64::INFINITY);
        Self { limits, table, scale }
    }

    /// Number of bins, the one beyond all edges included.
    pub(super) fn count(&self) -> usize {
        self.limits.len()
    }

    /// The largest square that is not beyond all edges; below 0 for none.
    pub(super) fn reach(&self) -> f64 {
        self.limits.iter().rev().nth(1).copied().unwrap_or(-1.0)
    }

    /// The bin of a square.
    #[inline]
    pub(super) fn of(&self, square: f64) -> usize {
        self.from(square, step(square, self.scale))
    }

    #[inline]
    fn from(&self, square: f64, step: usize) -> usize {
        let mut bin = self.table[step] as usize;
        while square > self.limits[bin] {
            bin += 1;
        }
        bin
    }

    /// Calls `found(j, bin)` with the place of each point in `run` and the bin of its distance to `point`.
    #[inline]
    pub(super) fn each<const D: usize>(
        &self,
        point: &[f64; D],
        run: &[&[f64]; D],
        mut found: impl FnMut(usize, usize),
    ) {
        // Squares and steps first: loops without memory between their rounds, so that the compiler makes vectors of them.
        let (mut squares, mut steps) = ([0.0; TILE], [0u64; TILE]);
        for first in (0..run[0].len()).step_by(TILE) {
            let length = TILE.min(run[0].len() - first);
            let tile: [&[f64]; D] = std::array::from_fn(|axis| &run[axis][first..first + length]);
            for (at, (to, step)) in squares[..length].iter_mut().zip(&mut steps[..length]).enumerate() {
                *to = square(point, &tile, at);
                *step = (clamped(*to * self.scale) + SHIFT).to_bits();
            }
            for (at, (&square, &step)) in squares[..length].iter().zip(&steps[..length]).enumerate() {
                found(first + at, self.from(square, step as usize & (TABLE - 1)));
            }
        }
    }
}

/// The step of the table a square falls on; rises with it.
#[inline]
fn step(square: f64, scale: f64) -> usize {
    (clamped(square * scale) + SHIFT).to_bits() as usize & (TABLE - 1)
}

/// Neither below the first step nor beyond the last; one instruction each, as no square is NaN.
#[inline]
fn clamped(scaled: f64) -> f64 {
    let most = (TABLE - 1) as f64;
    let scaled = if scaled < most { scaled } else { most };
    if scaled > 0.0 { scaled } else { 0.0 }
}

/// The largest number whose rounded root is not beyond `edge`; below 0 for none.
fn largest_square(edge: f64, kind: Edge) -> f64 {
    let within = |square: f64| match kind {
        Edge::Included => square.sqrt() <= edge,
        Edge::Excluded => square.sqrt() < edge,
    };
    let mut square = (edge * edge).min(f64::MAX);
    while square > 0.0 && !within(square) {
        square = square.next_down();
    }
    if !within(square) {
        return -1.0;
    }
    while within(square.next_up()) {
        square = square.next_up();
    }
    square
}

#[cfg(test)]
mod tests {
    use brodmann_kernels::{Seed, Silent};

    use super::*;

    fn uniform(i: usize, axis: usize) -> f64 {
        Seed(axis as u64).word(i as u64) as f64 / u64::MAX as f64
    }

    fn counted<const D: usize>(points: &[[f64; D]], made_for: f64, edges: &[f64]) -> Vec<usize> {
        let strips = Strips::new(points, made_for);
        let bins = Bins::new(edges.iter().map(|&e| (e, Edge::Included)));
        let new = || vec![0usize; bins.count()];
        let found = strips.pairs(bins.reach(), &Silent, new, |counts, i, run| {
            let (point, others) = (strips.point(i), strips.run(run.clone()));
            for at in 0..run.len() {
                counts[bins.of(square(&point, &others, at))] += 1;
            }
        });
        let mut total = new();
        for counts in found.expect("not interrupted") {
            total.iter_mut().zip(counts).for_each(|(t, c)| *t += c);
        }
        total.truncate(edges.len());
        total
    }

    fn by_all_pairs<const D: usize>(points: &[[f64; D]], edges: &[f64]) -> Vec<usize> {
        let mut total = vec![0; edges.len()];
        for i in 0..points.len() {
            for j in 0..i {
                let square: f64 = (0..D).map(|a| (points[i][a] - points[j][a]).powi(2)).sum();
                if let Some(bin) = edges.iter().position(|&e| square.sqrt() <= e) {
                    total[bin] += 1;
                }
            }
        }
        total
    }

    #[test]
    fn every_pair_within_reach_is_counted_once() {
        let plane: Vec<[f64; 2]> = (0..700).map(|i| [uniform(i, 0) * 50.0, uniform(i, 1) * 20.0]).collect();
        let space: Vec<[f64; 3]> = (0..700).map(|i| [uniform(i, 0), uniform(i, 1), uniform(i, 2)]).collect();
        let lattice: Vec<[f64; 2]> = (0..400).map(|i| [(i % 20) as f64, (i / 20) as f64]).collect();
        let pile = [[3.0, 3.0]; 40];
        let outlier: Vec<[f64; 2]> = plane.iter().copied().chain([[1e12, -1e9], [1e12, -1e9]]).collect();
        for made_for in [1e-6, 0.1, 3.0, 1e9] {
            let edges = [0.3, 1.0, 2.0_f64.sqrt(), 7.0];
            assert_eq!(counted(&plane, made_for, &edges), by_all_pairs(&plane, &edges));
            assert_eq!(counted(&lattice, made_for, &edges), by_all_pairs(&lattice, &edges));
            assert_eq!(counted(&outlier, made_for, &edges), by_all_pairs(&outlier, &edges));
            assert_eq!(counted(&pile, made_for, &edges), [780, 0, 0, 0]);
            let edges = [0.05, 0.2, 0.4];
            assert_eq!(counted(&space, made_for, &edges), by_all_pairs(&space, &edges));
        }
        assert_eq!(counted::<2>(&[], 1.0, &[1.0]), [0]);
        assert_eq!(counted(&[[1.0, 2.0]], 1.0, &[1.0]), [0]);
    }

    #[test]
    fn bins_end_where_the_rounded_root_does() {
        let edges = [0.0, 1e-9, 3.0_f64.sqrt(), 2.0, 2.0_f64.next_up(), 1e5];
        for kind in [Edge::Included, Edge::Excluded] {
            let bins = Bins::new(edges.iter().map(|&e| (e, kind)));
            let squares = [0.0, 1e-18, 3.0, 4.0, 4.0_f64.next_up(), 1e10, 1e11, 5.0, f64::INFINITY];
            for square in squares.into_iter().flat_map(|s| [s, s.next_down().max(0.0), s.next_up()]) {
                let beyond = |e: &f64| match kind {
                    Edge::Included => square.sqrt() > *e,
                    Edge::Excluded => square.sqrt() >= *e,
                };
                assert_eq!(bins.of(square), edges.iter().filter(|e| beyond(e)).count(), "{square:e}");
            }
        }
        let extreme = Bins::new([1e-300, 1e200].iter().map(|&e| (e, Edge::Included)));
        assert_eq!([0.0, 1e-200, 1e300].map(|s| extreme.of(s)), [0, 1, 1]);
    }
}
