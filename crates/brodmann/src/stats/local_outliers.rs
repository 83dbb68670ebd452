//! Spots that differ from their surroundings, by the quality of a measurement.

use brodmann_kernels::{OptionError, Slices};
use ndarray::{ArrayView2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::StatsError;
use crate::graph::{GraphNote, KdTree, Nearest, Points, grouped};

#[cfg(test)]
mod tests;

/// Spots handled together; fixed, and in tree order so that neighbouring queries share cache lines.
const CHUNK: usize = 1024;
/// Fewer neighbours than this do not tell what is usual.
const FEWEST: usize = 3;
/// Median absolute deviation of a normal distribution, in standard deviations.
const MAD_OF_NORMAL: f64 = 0.6745;
/// Standard deviations of a normal distribution in a mean absolute deviation: √(π/2).
const SD_OF_MEAN_DEVIATION: f64 = 1.253_314;

/// Options of [`local_outliers()`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LocalOutlierOptions {
    /// Nearest spots of the same slice that a spot is compared with: three rings of a hexagonal lattice.
    pub n_neighbors: usize,
    /// A z-score beyond this is an outlier.
    pub threshold: f64,
}

impl Default for LocalOutlierOptions {
    fn default() -> Self {
        Self { n_neighbors: 36, threshold: 3.0 }
    }
}

impl LocalOutlierOptions {
    /// Refuses values that say nothing.
    ///
    /// # Errors
    /// [`OptionError`].
    pub fn validate(&self) -> Result<(), OptionError> {
        if self.n_neighbors < FEWEST {
            return Err(OptionError::new("n_neighbors", self.n_neighbors, "at least 3"));
        }
        if !(self.threshold.is_finite() && self.threshold > 0.0) {
            return Err(OptionError::new("threshold", self.threshold, "a number above 0"));
        }
        Ok(())
    }
}

/// The side on which a value is suspicious.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Far below the surroundings: counts, genes.
    Low,
    /// Far above them: the share of mitochondrial counts.
    High,
}

/// A number per spot, and how it is judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalMetric<'a> {
    /// One per spot; NaN where there is none.
    pub values: &'a [f64],
    /// Compare `ln(1 + x)` instead of `x`.
    pub log1p: bool,
    /// The suspicious side.
    pub side: Side,
}

/// How far each spot is from its surroundings.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalOutliers {
    /// The modified z-score of each spot, metric by metric; NaN where there is nothing to judge it by.
    pub z_scores: Vec<Vec<f64>>,
    /// Whether it lies beyond the threshold on the suspicious side, metric by metric.
    pub outliers: Vec<Vec<bool>>,
    /// Slices of few spots, spots without a place.
    pub notes: Vec<GraphNote>,
}

impl LocalOutliers {
    /// Spots that are outliers by any metric.
    pub fn any(&self) -> Vec<bool> {
        let n_obs = self.outliers.first().map_or(0, Vec::len);
        (0..n_obs).map(|i| self.outliers.iter().any(|column| column[i])).collect()
    }
}

/// Spots whose counts, genes or mitochondrial share differ from those around them, where the tissue as a whole would
/// set no alarm off (or an entire region of another kind would).
///
/// `zᵢ = 0.6745 (xᵢ − m) / MAD`, with the median `m` and the median absolute deviation `MAD` from it over the
/// `n_neighbors` nearest spots of the same slice, spot `i` not among them. Where more than half of them are equal,
/// `MAD` is 0, and `zᵢ = (xᵢ − m) / (1.253314 · mean |xⱼ − m|)`; where all are, `zᵢ` is 0 for one more that is equal
/// and NaN for any other, since nothing tells how much is much.
///
/// # Inputs
/// `coordinates`: `(n_obs, 2 or 3)`; spots with a coordinate that is not finite are neither judged nor neighbours.
/// `slices`: one code per spot. Values that are not finite are not judged, and left out of medians.
/// # Returns
/// An outlier has `z < −threshold` on the low side, `z > threshold` on the high one; NaN is none. A slice of
/// `n_neighbors` spots or fewer compares each with all others; below 3 others there is no z-score. Of neighbours at
/// the same distance the lower index counts.
/// # Errors
/// `Option`; `Length` when a metric has more or fewer values than there are spots; `Graph` for coordinates that are
/// no points and for codes of other spots.
/// # Cost
/// O(n log n + n k log k) time, O(n) memory: neighbours are used where they are found.
/// # Source
/// The local outliers of SpotSweeper: Totty et al. 2025, Nature Methods. The z-score, and what takes its place at
/// `MAD` = 0: Iglewicz & Hoaglin 1993, How to Detect and Handle Outliers.
///
/// # Example
///
/// ```
/// use brodmann::stats::{LocalMetric, LocalOutlierOptions, Side, local_outliers};
/// use ndarray::array;
///
/// let place = array![[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [4.0, 0.0], [5.0, 0.0]];
/// let counts = LocalMetric { values: &[10.0, 11.0, 12.0, 13.0, 14.0, 0.0], log1p: false, side: Side::Low };
/// let options = LocalOutlierOptions { n_neighbors: 5, ..Default::default() };
/// let found = local_outliers(&[counts], place.view(), None, &options)?;
/// // Around the last: median 12, MAD 1.
/// assert!((found.z_scores[0][5] - 0.6745 * -12.0).abs() < 1e-12);
/// assert_eq!(found.any(), [false, false, false, false, false, true]);
/// # Ok::<(), brodmann::stats::StatsError>(())
/// ```
pub fn local_outliers(
    metrics: &[LocalMetric<'_>],
    coordinates: ArrayView2<'_, f64>,
    slices: Option<&Slices>,
    options: &LocalOutlierOptions,
) -> Result<LocalOutliers, StatsError> {
    options.validate()?;
    let n_obs = coordinates.nrows();
    if let Some(unfit) = metrics.iter().find(|m| m.values.len() != n_obs) {
        return Err(StatsError::Length { found: unfit.values.len(), expected: n_obs });
    }
    let groups = grouped(n_obs, slices)?;
    let mut z_scores = vec![vec![f64::NAN; n_obs]; metrics.len()];
    let mut notes = Vec::new();
    for (slice, group) in groups.rows().iter().enumerate() {
        let rows: Vec<usize> = group
            .iter()
            .map(|&i| i as usize)
            .filter(|&i| coordinates.row(i).iter().all(|c| c.is_finite()))
            .collect();
        let code = (groups.count() > 1).then(|| groups.codes()[slice]);
        let mut note = |text: String| notes.push(GraphNote { slice: code, text });
        let n_unplaced = group.len() - rows.len();
        if n_unplaced > 0 {
            note(format!("{n_unplaced} spot(s) without a place are not compared with others"));
        }
        if rows.len() <= FEWEST {
            note(format!("{} spot(s) are too few to be compared with each other", rows.len()));
            continue;
        }
        if rows.len() <= options.n_neighbors {
            let (n, k) = (rows.len(), options.n_neighbors);
            note(format!(
                "{n} spots are too few for {k} neighbours each; every spot is compared with all others"
            ));
        }
        let own = |metric: &LocalMetric<'_>| -> Vec<f64> {
            rows.iter()
                .map(|&i| if metric.log1p { metric.values[i].ln_1p() } else { metric.values[i] })
                .collect()
        };
        let values: Vec<Vec<f64>> = metrics.iter().map(own).collect();
        let found = match Points::try_new(coordinates.select(Axis(0), &rows).view())? {
            Points::Plane(points) => scores(&points, &values, options.n_neighbors),
            Points::Space(points) => scores(&points, &values, options.n_neighbors),
        };
        for (id, row) in found {
            for (column, z) in z_scores.iter_mut().zip(row) {
                column[rows[id as usize]] = z;
            }
        }
    }
    let judged = |(metric, z): (&LocalMetric<'_>, &Vec<f64>)| -> Vec<bool> {
        z.iter()
            .map(|z| match metric.side {
                Side::Low => *z < -options.threshold,
                Side::High => *z > options.threshold,
            })
            .collect()
    };
    let outliers = metrics.iter().zip(&z_scores).map(judged).collect();
    Ok(LocalOutliers { z_scores, outliers, notes })
}

/// The z-scores of every point, one per column of values.
fn scores<const D: usize>(
    points: &[[f64; D]],
    values: &[Vec<f64>],
    n_neighbors: usize,
) -> Vec<(u32, Vec<f64>)> {
    let k = n_neighbors.min(points.len().saturating_sub(1));
    let tree = KdTree::new(points);
    let chunks: Vec<usize> = (0..points.len()).step_by(CHUNK).collect();
    let of_chunk = |&first: &usize| -> Vec<(u32, Vec<f64>)> {
        let mut nearest = Nearest::new(k);
        let mut around = Vec::with_capacity(k);
        (first..points.len().min(first + CHUNK))
            .map(|at| {
                let (point, id) = tree.entry(at);
                tree.nearest(&point, id, &mut nearest);
                let z = |column: &Vec<f64>| {
                    around.clear();
                    let values = nearest.pairs().iter().map(|&(_, j)| column[j as usize]);
                    around.extend(values.filter(|v| v.is_finite()));
                    modified_z(column[id as usize], &mut around)
                };
                (id, values.iter().map(z).collect())
            })
            .collect()
    };
    chunks.par_iter().flat_map_iter(of_chunk).collect()
}

/// The modified z-score of `x` among `around`, which is left in disorder.
fn modified_z(x: f64, around: &mut [f64]) -> f64 {
    if !x.is_finite() || around.len() < FEWEST {
        return f64::NAN;
    }
    let center = median(around);
    for v in around.iter_mut() {
        *v = (*v - center).abs();
    }
    let mad = median(around);
    if mad > 0.0 {
        return MAD_OF_NORMAL * (x - center) / mad;
    }
    // Sorted by now, so that the sum does not depend on the order of the neighbours.
    let mean = around.iter().sum::<f64>() / around.len() as f64;
    if mean > 0.0 {
        return (x - center) / (SD_OF_MEAN_DEVIATION * mean);
    }
    // A subtraction of equals, not a comparison: floats may not be compared for a reason.
    if (x - center).abs() > 0.0 { f64::NAN } else { 0.0 }
}

/// The median of at least one number, which are sorted.
fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}
