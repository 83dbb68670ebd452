//! Which labels are found near each other, distance by distance?

use std::f64::consts::PI;

use brodmann_kernels::{Monitor, OptionError, Slices};
use ndarray::{Array3, ArrayView2, Axis};

use super::labels::{MAX_GROUPS, NONE};
use super::pair_strips::{Bins, Edge, Strips};
use super::{Labels, StatsError};
use crate::graph::{Points, grouped};

#[cfg(test)]
mod tests;

/// Counts a table may have: each thread holds two, 256 MiB.
const MAX_CELLS: usize = 1 << 24;
/// Edges of the intervals, at most.
const MAX_EDGES: usize = 10_001;
/// Spots within the largest distance where nobody names it: time stays proportional to the number of spots.
const SPOTS_WITHIN: f64 = 20_000.0;

/// Which distances are told apart.
#[derive(Clone, Debug, PartialEq)]
pub enum Intervals {
    /// Rising edges, at least two, in the unit of the coordinates.
    Edges(Vec<f64>),
    /// `n_edges` edges at equal steps from 0 to `longest`.
    Even {
        /// At least 2.
        n_edges: usize,
        /// In the unit of the coordinates. `None`: what is usual for the statistic. For [`co_occurrence()`] half the
        /// diagonal of the largest slice, or less, so that a spot has about 20,000 others within it.
        longest: Option<f64>,
    },
}

impl Default for Intervals {
    fn default() -> Self {
        Self::Even { n_edges: 50, longest: None }
    }
}

/// Which pairs a step counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// All pairs up to the step's upper edge, as squidpy.
    #[default]
    Cumulative,
    /// Pairs beyond the step's lower edge and up to its upper edge; the first step holds its lower edge too.
    Ring,
}

/// How likely labels are near each other.
#[derive(Clone, Debug, PartialEq)]
pub struct CoOccurrence {
    /// `(n_groups, n_groups, n_steps)`: squidpy's `uns["<label>_co_occurrence"]["occ"]`; NaN where a label has no pair.
    pub ratio: Array3<f64>,
    /// The `n_steps + 1` edges: squidpy's `["interval"]`.
    pub interval: Vec<f64>,
    /// Ordered pairs behind `ratio`: a spot of the row's label, another of the column's.
    pub pairs: Array3<u64>,
}

impl Intervals {
    /// The edges; `usual` says how far even steps reach where nobody else does.
    pub(super) fn edges(&self, usual: impl FnOnce() -> f64) -> Result<Vec<f64>, StatsError> {
        match self {
            Self::Edges(edges) => {
                let rise = edges.first().is_some_and(|&e| e >= 0.0)
                    && edges.windows(2).all(|w| w[0] < w[1])
                    && edges.iter().all(|e| e.is_finite());
                if rise && (2..=MAX_EDGES).contains(&edges.len()) {
                    return Ok(edges.clone());
                }
                let found = if rise { "" } else { " that do not all rise from 0 on" };
                let found = format!("{} number(s){found}", edges.len());
                let expected = format!("2 to {MAX_EDGES} finite numbers, each larger than the one before");
                Err(OptionError::new("edges", found, expected).into())
            }
            &Self::Even { n_edges, longest } => {
                if !(2..=MAX_EDGES).contains(&n_edges) {
                    return Err(OptionError::new("n_edges", n_edges, format!("2 to {MAX_EDGES}")).into());
                }
                let longest = longest.unwrap_or_else(usual);
                if !(longest > 0.0 && longest.is_finite()) {
                    return Err(OptionError::new("longest", longest, "a finite number above 0").into());
                }
                Ok((0..n_edges).map(|at| longest * at as f64 / (n_edges - 1) as f64).collect())
            }
        }
    }
}

/// Half the longest diagonal of a slice's bounding box, or what holds `SPOTS_WITHIN` at the mean density of its slice;
/// 1 where all spots of each slice are in one place.
fn usual_reach(coordinates: ArrayView2<'_, f64>, slices: &Slices) -> f64 {
    let mut longest = 0.0f64;
    for rows in slices.rows() {
        let extents: Vec<f64> = (0..coordinates.ncols())
            .map(|axis| {
                let values = || rows.iter().map(|&i| coordinates[[i as usize, axis]]);
                values().fold(f64::NEG_INFINITY, f64::max) - values().fold(f64::INFINITY, f64::min)
            })
            .filter(|&extent| extent > 0.0)
            .collect();
        let half = extents.iter().map(|e| e * e).sum::<f64>().sqrt() / 2.0;
        // A ball of this radius has the share of the volume that holds so many spots.
        let share = SPOTS_WITHIN / rows.len() as f64;
        let unit_ball = [1.0, 2.0, PI, 4.0 / 3.0 * PI][extents.len()];
        let ball = extents.iter().product::<f64>() * share / unit_ball;
        longest = longest.max(half.min(ball.powf(1.0 / extents.len().max(1) as f64)));
    }
    if longest > 0.0 { longest } else { 1.0 }
}

/// How much likelier a label is near spots of another than anywhere, distance by distance.
///
/// With `C_ab(r)` the ordered pairs of distinct spots of one slice, labelled a and b, that are at most `r` apart (or in
/// the ring that ends at `r`), and dots for sums,
///
/// ```text
/// ratio_ab = (C_ab / C_a·) / (C_·b / C_··)
/// ```
///
/// # Inputs
/// `coordinates`: `(n_obs, 2 or 3)`, finite. `labels`: spots without one are left out. `slices`: pairs are of one slice,
/// counts summed.
/// # Returns
/// [`CoOccurrence`]; symmetric in the labels.
/// # Errors
/// `Option` for intervals that are none; `LabelCount`, `LabelOutOfRange`, `TooManyGroups`; `Graph` for coordinates that
/// are no points and for slices of other spots; `Interrupted`.
/// # Cost
/// Every pair within the largest distance is looked at once: about 3 ns each and core. 30 bytes per spot, and
/// `16 · n_groups² · n_steps` bytes per thread. Results do not depend on the number of threads: counts are integers.
/// # Source
/// squidpy, Palla et al. 2022, Nat. Methods 19:171, after Tosti et al. 2021, Gastroenterology 160:1330.
/// # Differences
/// squidpy's default edges start at the smallest distances between spots, not at 0. It computes in single precision, and
/// gives 0 where a label has no pair within reach.
///
/// # Example
///
/// ```
/// use brodmann::stats::{Intervals, Labels, Reach, co_occurrence};
/// use brodmann_kernels::Silent;
/// use ndarray::array;
///
/// let spots = array![[0.0, 0.0], [1.0, 0.0], [10.0, 0.0], [11.0, 0.0]];
/// let labels = Labels { codes: &[Some(0), Some(0), Some(1), Some(1)], n_groups: 2 };
/// let intervals = Intervals::Edges(vec![0.0, 2.0, 20.0]);
/// let found = co_occurrence(spots.view(), labels, None, &intervals, Reach::Ring, &Silent)?;
/// // Up to 2, only equals; beyond, only others: twice as likely as a label is anywhere.
/// assert_eq!(found.ratio[[0, 0, 0]], 2.0);
/// assert_eq!(found.ratio[[0, 1, 1]], 2.0);
/// assert_eq!(found.pairs[[0, 1, 1]], 4);
/// # Ok::<(), brodmann::stats::StatsError>(())
/// ```
pub fn co_occurrence(
    coordinates: ArrayView2<'_, f64>,
    labels: Labels<'_>,
    slices: Option<&Slices>,
    intervals: &Intervals,
    reach: Reach,
    monitor: &dyn Monitor,
) -> Result<CoOccurrence, StatsError> {
    let n_obs = coordinates.nrows();
    let codes = labels.checked(n_obs, MAX_GROUPS)?;
    let points = Points::try_new(coordinates)?;
    let slices = grouped(n_obs, slices)?;
    let interval = intervals.edges(|| usual_reach(coordinates, &slices))?;
    let (k, n_steps) = (labels.n_groups, interval.len() - 1);
    let limit = ((MAX_CELLS / (n_steps + 2)) as f64).sqrt() as usize;
    if k > limit {
        return Err(StatsError::TooManyGroups { found: k, limit });
    }
    monitor.stage("co-occurrence", codes.iter().filter(|&&code| code != NONE).count() as u64);
    let first = std::iter::once((interval[0], Edge::Excluded));
    let bins = Bins::new(first.chain(interval[1..].iter().map(|&edge| (edge, Edge::Included))));
    let mut counts = vec![0u64; k * k * bins.count()];
    for rows in slices.rows() {
        let rows: Vec<u32> = rows.iter().copied().filter(|&i| codes[i as usize] != NONE).collect();
        let part = Part { codes: &codes, rows: &rows, k, bins: &bins, monitor };
        match &points {
            Points::Plane(points) => part.count(points, &mut counts)?,
            Points::Space(points) => part.count(points, &mut counts)?,
        }
    }

    let mut pairs = Array3::<u64>::zeros((k, k, n_steps));
    for a in 0..k {
        for b in 0..k {
            let of = |from: usize, to: usize| &counts[(from * k + to) * bins.count()..][..bins.count()];
            // Every pair was met once, from either end.
            let both: Vec<u64> = of(a, b).iter().zip(of(b, a)).map(|(x, y)| x + y).collect();
            let mut total = both[0];
            for step in 0..n_steps {
                total += both[step + 1];
                pairs[[a, b, step]] = if reach == Reach::Cumulative { total } else { both[step + 1] };
            }
        }
    }
    let mut ratio = Array3::from_elem((k, k, n_steps), f64::NAN);
    for step in 0..n_steps {
        let table = pairs.index_axis(Axis(2), step);
        let of_label: Vec<f64> = table.rows().into_iter().map(|row| row.sum() as f64).collect();
        let all: f64 = of_label.iter().sum();
        for ((a, b), &count) in table.indexed_iter() {
            // Symmetric, so the sum of a column is that of the row.
            ratio[[a, b, step]] = (count as f64 / of_label[a]) / (of_label[b] / all);
        }
    }
    Ok(CoOccurrence { ratio, interval, pairs })
}

/// The labelled spots of a slice, to be counted.
struct Part<'a> {
    codes: &'a [u32],
    rows: &'a [u32],
    k: usize,
    bins: &'a Bins,
    monitor: &'a dyn Monitor,
}

impl Part<'_> {
    /// ```text
    /// for each spot i of label a
    ///     for each later spot j within reach, of label b
    ///         counts[a, b, bin of the distance] += 1
    /// ```
    fn count<const D: usize>(&self, points: &[[f64; D]], counts: &mut [u64]) -> Result<(), StatsError> {
        let local: Vec<[f64; D]> = self.rows.iter().map(|&i| points[i as usize]).collect();
        let strips = Strips::new(&local, self.bins.reach().max(0.0).sqrt());
        drop(local);
        let (width, n_bins) = (self.k * self.bins.count(), self.bins.count());
        // Where a label's counts begin, for the spots in strip order.
        let at: Vec<u32> = strips
            .order()
            .iter()
            .map(|&i| self.codes[self.rows[i as usize] as usize] * n_bins as u32)
            .collect();
        // Neighbours tend to be of one label, and in one bin: two tables in turn, so that one addition need not wait for
        // the one before.
        let found = strips.pairs(
            self.bins.reach(),
            self.monitor,
            || vec![0u64; 2 * self.k * width],
            |counts, i, run| {
                let from = 2 * at[i] as usize * self.k;
                let (even, odd) = counts[from..from + 2 * width].split_at_mut(width);
                let to = &at[run.clone()];
                self.bins.each(&strips.point(i), &strips.run(run), |j, bin| {
                    let counts = if j % 2 == 0 { &mut *even } else { &mut *odd };
                    counts[to[j] as usize + bin] += 1;
                });
            },
        )?;
        for part in found {
            for (total, tables) in counts.chunks_exact_mut(width).zip(part.chunks_exact(2 * width)) {
                for (at, total) in total.iter_mut().enumerate() {
                    *total += tables[at] + tables[width + at];
                }
            }
        }
        Ok(())
    }
}
