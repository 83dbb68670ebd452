//! k-means clustering.

use brodmann_kernels::{Diagnosis, Opt, OptionError, ParallelLoop};
use std::ops::Range;

use brodmann_kernels::matmul::matmul_into_serial;
use brodmann_kernels::{Interrupted, Monitor, Seed};
use ndarray::{Array2, ArrayView2, Axis};
use rand::RngExt;
use rayon::prelude::*;

/// Fewest rows of one parallel task.
const CHUNK_ROWS: usize = 1024;
/// Most parallel tasks, each with partial sums of its own.
const MAX_CHUNKS: usize = 64;
/// Rows of one block of products.
const TILE_ROWS: usize = 256;
/// Squared distances below this share of the squared norms are round-off of a product.
const NEAR: f64 = 1e-12;
/// Values beyond this have no finite squared norm.
const LARGEST: f64 = 1e150;

/// Why k-means could not run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum KMeansError {
    /// Not fewer clusters than observations, or none.
    #[error("{} is {n_clusters} for {n_obs} observations; expected 1 to {}", Opt("n_clusters"), n_obs.saturating_sub(1))]
    ClusterCount {
        /// Clusters asked for.
        n_clusters: usize,
        /// Observations.
        n_obs: usize,
    },
    /// An option out of its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The data hold NaN, infinity or a value too large to square.
    #[error(
        "the data hold NaN, infinity or a huge value in row {row}, column {column}; expected finite values"
    )]
    NonFinite {
        /// Row.
        row: usize,
        /// Column.
        column: usize,
    },
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Diagnosis for KMeansError {
    fn origin(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Option(e) => Some(e),
            Self::Interrupted(e) => Some(e),
            _ => None,
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::ClusterCount { .. } => "ask for fewer clusters".to_owned(),
            Self::NonFinite { .. } => "recompute the embedding or drop that row".to_owned(),
            _ => return self.origin()?.advice(),
        })
    }
}

/// How to run k-means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KMeansOptions {
    /// Clusters wanted.
    pub n_clusters: usize,
    /// Independent starts, of which the best is kept.
    pub n_init: usize,
    /// Most iterations of one start.
    pub max_iterations: usize,
    /// Stop when the squared movement of all centres is below this times the mean variance of the columns.
    pub tolerance: f64,
}

impl Default for KMeansOptions {
    fn default() -> Self {
        Self { n_clusters: 8, n_init: 10, max_iterations: 300, tolerance: 1e-4 }
    }
}

/// A k-means partition.
#[derive(Clone, Debug, PartialEq)]
pub struct KMeans {
    /// Cluster of each observation, `0` the largest; equal sizes by first member.
    pub labels: Vec<u32>,
    /// `(n_clusters, d)` means of the clusters. Fewer rows than asked for when the data have fewer distinct points.
    pub centers: Array2<f64>,
    /// Sum of squared distances of the observations to their centre.
    pub inertia: f64,
    /// Iterations of the best start.
    pub n_iterations: usize,
    /// The best start stopped before `max_iterations`.
    pub converged: bool,
}

/// k-means: the partition into `k` clusters with the least squared distance to their means, by Lloyd's
/// algorithm from greedy k-means++ starts.
///
/// 1. Choose centres one by one, each the best of `2 + ln k` candidates drawn with probability `∝ d²`.
/// 2. Assign every observation to its nearest centre (ties to the lower index); move centres to the means;
///    repeat. A centre that loses its last member moves to the observation farthest from its own.
/// 3. Keep the best of `n_init` starts.
///
/// # Inputs
/// `data`: `(n_obs, d)`, finite. `seed`: decides the starts.
/// # Returns
/// [`KMeans`]; a start that did not settle says `converged: false`.
/// # Errors
/// [`KMeansError::ClusterCount`] unless `1 <= k < n_obs`; `NonFinite`; bad options.
/// # Cost
/// O(n_init · iterations · n k d) time by blocked products, O(n_init · n + n d) memory.
/// # Source
/// Lloyd 1982, IEEE Trans. Inf. Theory 28:129; Arthur & Vassilvitskii 2007, SODA 1027.
///
/// # Example
///
/// ```
/// use brodmann::cluster::{KMeansOptions, kmeans};
/// use brodmann_kernels::{Seed, Silent};
/// use ndarray::array;
///
/// let x = array![[0.0], [10.0], [1.0], [12.0], [2.0]];
/// let found = kmeans(x.view(), &KMeansOptions { n_clusters: 2, ..Default::default() }, Seed(0), &Silent)?;
/// assert_eq!(found.labels, [0, 1, 0, 1, 0]);
/// assert_eq!(found.centers, array![[1.0], [11.0]]);
/// assert!((found.inertia - 4.0).abs() < 1e-12);
/// # Ok::<(), brodmann::cluster::KMeansError>(())
/// ```
pub fn kmeans(
    data: ArrayView2<'_, f64>,
    options: &KMeansOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<KMeans, KMeansError> {
    let n_obs = data.nrows();
    let n_clusters = options.n_clusters;
    if n_clusters == 0 || n_clusters >= n_obs {
        return Err(KMeansError::ClusterCount { n_clusters, n_obs });
    }
    for (option, value, default) in
        [("n_init", options.n_init, 10), ("max_iterations", options.max_iterations, 300)]
    {
        if value == 0 {
            let error = OptionError::new(option, 0, "at least 1");
            return Err(error.advise(format!("start from {default}, the default")).into());
        }
    }
    if !(options.tolerance.is_finite() && options.tolerance >= 0.0) {
        let error = OptionError::new("tolerance", options.tolerance, "a finite number of at least 0");
        return Err(error.advise("start from 1e-4, the default").into());
    }
    let problem = Problem::new(data)?;
    let threshold = options.tolerance * problem.mean_variance();
    monitor.stage("kmeans", options.n_init as u64);
    let starts: Vec<Run> = (0..options.n_init)
        .into_par_iter()
        .map(|start| {
            let run = problem.run(options, threshold, seed, start as u64, monitor)?;
            monitor.advance(1);
            Ok(run)
        })
        .try_collect_vec::<_, KMeansError>()?;
    let best = starts
        .into_iter()
        .min_by(|a, b| a.inertia.total_cmp(&b.inertia))
        .expect("n_init was checked to be at least 1");
    if !best.converged {
        monitor.note("k-means stopped at max_iterations before it settled");
    }
    Ok(problem.number_by_size(best))
}

/// The data, centred, with what every start needs.
struct Problem {
    x: Array2<f64>,
    norms: Vec<f64>,
    mean: Vec<f64>,
    chunk: usize,
}

/// One start, run to its end.
struct Run {
    labels: Vec<u32>,
    centers: Array2<f64>,
    inertia: f64,
    n_iterations: usize,
    converged: bool,
}

/// Nearest centres and the squared distances to them.
struct Assignment {
    labels: Vec<u32>,
    squared: Vec<f64>,
}

impl Problem {
    fn new(data: ArrayView2<'_, f64>) -> Result<Self, KMeansError> {
        let (n, d) = data.dim();
        let bad = |v: &f64| v.is_nan() || v.abs() > LARGEST;
        if let Some(row) = (0..n).into_par_iter().position_first(|i| data.row(i).iter().any(bad)) {
            let column = data.row(row).iter().position(bad).unwrap_or(0);
            return Err(KMeansError::NonFinite { row, column });
        }
        // The split of every parallel loop below: by n alone.
        let chunk = CHUNK_ROWS.max(n.div_ceil(MAX_CHUNKS));
        let sums = ordered_sums(n, chunk, d, |rows, sums| {
            for row in data.slice_axis(Axis(0), rows.into()).outer_iter() {
                for (sum, v) in sums.iter_mut().zip(row) {
                    *sum += v;
                }
            }
        });
        let mean: Vec<f64> = sums.iter().map(|v| v / n as f64).collect();
        // Centring moves nothing relative to anything, and keeps digits in ‖x‖² + ‖c‖² − 2 x·c.
        let mut x = Array2::<f64>::zeros((n, d));
        let flat = x.as_slice_mut().expect("a fresh array is contiguous");
        flat.par_chunks_mut(d.max(1)).enumerate().each(|(i, row)| {
            for ((to, from), m) in row.iter_mut().zip(data.row(i)).zip(&mean) {
                *to = from - m;
            }
        });
        let norms = (0..n).into_par_iter().map(|i| x.row(i).iter().map(|v| v * v).sum()).collect_vec();
        Ok(Self { x, norms, mean, chunk })
    }

    fn n(&self) -> usize {
        self.norms.len()
    }

    fn chunks(&self) -> impl IndexedParallelIterator<Item = Range<usize>> + '_ {
        let n = self.n();
        (0..n.div_ceil(self.chunk)).into_par_iter().map(move |c| c * self.chunk..n.min((c + 1) * self.chunk))
    }

    fn mean_variance(&self) -> f64 {
        let total = ordered_sums(self.n(), self.chunk, 1, |rows, sum| {
            sum[0] = self.norms[rows].iter().sum();
        });
        total[0] / (self.n() as f64 * self.x.ncols().max(1) as f64)
    }

    fn run(
        &self,
        options: &KMeansOptions,
        threshold: f64,
        seed: Seed,
        start: u64,
        monitor: &dyn Monitor,
    ) -> Result<Run, KMeansError> {
        let mut centers = self.plus_plus(options.n_clusters, seed, start, monitor)?;
        let mut previous: Vec<u32> = Vec::new();
        let (mut n_iterations, mut converged) = (0, false);
        while n_iterations < options.max_iterations {
            monitor.check()?;
            n_iterations += 1;
            let mut nearest = self.assign(&centers);
            let moved = self.means(&mut nearest, &centers);
            let shift: f64 = moved.iter().zip(&centers).map(|(a, b)| (a - b) * (a - b)).sum();
            let settled = nearest.labels == previous;
            previous = nearest.labels;
            centers = moved;
            if settled || shift <= threshold {
                converged = true;
                break;
            }
        }
        // Labels that belong to the final centres; then centres and inertia that belong to those labels.
        let mut nearest = self.assign(&centers);
        let centers = self.means(&mut nearest, &centers);
        let inertia = self.inertia(&nearest.labels, &centers);
        Ok(Run { labels: nearest.labels, centers, inertia, n_iterations, converged })
    }

    /// Greedy k-means++: each centre the best of a few drawn with probability ∝ the squared distance to those
    /// chosen before.
    fn plus_plus(
        &self,
        k: usize,
        seed: Seed,
        start: u64,
        monitor: &dyn Monitor,
    ) -> Result<Array2<f64>, KMeansError> {
        let mut rng = seed.stream("cluster/kmeans/plus_plus", start);
        let n_trials = 2 + (k as f64).ln() as usize;
        let mut centers = Array2::<f64>::zeros((k, self.x.ncols()));
        let first = rng.random_range(0..self.n());
        centers.row_mut(0).assign(&self.x.row(first));
        let mut potential = vec![f64::INFINITY; self.n()];
        let mut total = self.lower(&mut potential, first);
        for c in 1..k {
            monitor.check()?;
            // Fewer distinct points than clusters: any point will do, and its cluster stays empty.
            let candidates: Vec<usize> = (0..n_trials)
                .map(|_| {
                    let at = rng.random::<f64>();
                    if total > 0.0 {
                        self.draw(&potential, at * total)
                    } else {
                        (at * self.n() as f64) as usize
                    }
                })
                .collect();
            let (chosen, lowered, sum) = candidates
                .into_iter()
                .map(|candidate| {
                    let mut lowered = potential.clone();
                    let sum = self.lower(&mut lowered, candidate);
                    (candidate, lowered, sum)
                })
                .min_by(|a, b| a.2.total_cmp(&b.2))
                .expect("there are at least two trials");
            centers.row_mut(c).assign(&self.x.row(chosen));
            (potential, total) = (lowered, sum);
        }
        Ok(centers)
    }

    /// Lowers each potential to the squared distance to row `center` where that is less; returns the sum.
    fn lower(&self, potential: &mut [f64], center: usize) -> f64 {
        let center_row = self.x.row(center);
        let parts: Vec<f64> = potential
            .par_chunks_mut(self.chunk)
            .enumerate()
            .map(|(c, part)| {
                let first = c * self.chunk;
                let rows = self.x.slice_axis(Axis(0), (first..first + part.len()).into());
                let products = rows.dot(&center_row);
                let mut sum = 0.0;
                for ((p, dot), norm) in part.iter_mut().zip(products).zip(&self.norms[first..]) {
                    let scale = norm + self.norms[center];
                    let squared = scale - 2.0 * dot;
                    // A duplicate of the centre must have no chance to be drawn.
                    let squared = if squared <= NEAR * scale { 0.0 } else { squared };
                    *p = p.min(squared);
                    sum += *p;
                }
                sum
            })
            .collect_vec();
        parts.iter().sum()
    }

    /// The first row where the running sum of `potential` passes `target`.
    fn draw(&self, potential: &[f64], target: f64) -> usize {
        let sums: Vec<f64> = potential.par_chunks(self.chunk).map(|part| part.iter().sum()).collect_vec();
        let mut left = target;
        let mut last_possible = 0;
        for (c, &sum) in sums.iter().enumerate() {
            if sum <= 0.0 {
                continue;
            }
            if left >= sum {
                left -= sum;
                last_possible = c;
                continue;
            }
            last_possible = c;
            break;
        }
        // Round-off may carry the sum past the end: then the last row with a chance is taken.
        let first = last_possible * self.chunk;
        let part = &potential[first..self.n().min(first + self.chunk)];
        let mut chosen = first;
        for (offset, &p) in part.iter().enumerate() {
            if p > 0.0 {
                chosen = first + offset;
                if left < p {
                    break;
                }
                left -= p;
            }
        }
        chosen
    }

    fn assign(&self, centers: &Array2<f64>) -> Assignment {
        let k = centers.nrows();
        let center_norms: Vec<f64> =
            centers.outer_iter().map(|row| row.iter().map(|v| v * v).sum()).collect();
        let parts: Vec<Vec<(u32, f64)>> = self
            .chunks()
            .map(|rows| {
                let mut found = Vec::with_capacity(rows.len());
                let mut tile = Array2::<f64>::zeros((TILE_ROWS, k));
                for first in rows.clone().step_by(TILE_ROWS) {
                    let end = rows.end.min(first + TILE_ROWS);
                    let mut products = tile.slice_axis_mut(Axis(0), (..end - first).into());
                    matmul_into_serial(
                        products.view_mut(),
                        self.x.slice_axis(Axis(0), (first..end).into()),
                        centers.t(),
                    );
                    for (row, norm) in products.outer_iter().zip(&self.norms[first..end]) {
                        let (mut best, mut lowest) = (0u32, f64::INFINITY);
                        for (c, (dot, center_norm)) in row.iter().zip(&center_norms).enumerate() {
                            let relative = center_norm - 2.0 * dot;
                            if relative < lowest {
                                (best, lowest) = (c as u32, relative);
                            }
                        }
                        found.push((best, (norm + lowest).max(0.0)));
                    }
                }
                found
            })
            .collect();
        let (labels, squared) = parts.into_iter().flatten().unzip();
        Assignment { labels, squared }
    }

    /// Means of the clusters. A cluster without members takes the observation farthest from its own centre.
    fn means(&self, nearest: &mut Assignment, old: &Array2<f64>) -> Array2<f64> {
        let (k, d) = old.dim();
        let mut counts = vec![0usize; k];
        for &c in &nearest.labels {
            counts[c as usize] += 1;
        }
        let empty: Vec<usize> = (0..k).filter(|&c| counts[c] == 0).collect();
        if !empty.is_empty() {
            let mut far: Vec<u32> = (0..self.n() as u32).collect();
            far.sort_by(|&a, &b| nearest.squared[b as usize].total_cmp(&nearest.squared[a as usize]));
            let mut candidates = far.into_iter().map(|i| i as usize);
            for c in empty {
                let taken = candidates.by_ref().find(|&i| {
                    let own = nearest.labels[i] as usize;
                    // Not round-off: an observation on its own centre has nothing to gain.
                    counts[own] > 1 && nearest.squared[i] > NEAR * (self.norms[i] + 1e-300)
                });
                let Some(i) = taken else { break };
                counts[nearest.labels[i] as usize] -= 1;
                counts[c] = 1;
                nearest.labels[i] = c as u32;
                nearest.squared[i] = 0.0;
            }
        }
        let sums = ordered_sums(self.n(), self.chunk, k * d, |rows, sums| {
            for (row, &c) in
                self.x.slice_axis(Axis(0), rows.clone().into()).outer_iter().zip(&nearest.labels[rows])
            {
                let at = c as usize * d;
                for (sum, v) in sums[at..at + d].iter_mut().zip(row) {
                    *sum += v;
                }
            }
        });
        let mut centers = old.clone();
        for (c, mut center) in centers.outer_iter_mut().enumerate() {
            if counts[c] > 0 {
                for (to, sum) in center.iter_mut().zip(&sums[c * d..(c + 1) * d]) {
                    *to = sum / counts[c] as f64;
                }
            }
        }
        centers
    }

    fn inertia(&self, labels: &[u32], centers: &Array2<f64>) -> f64 {
        ordered_sums(self.n(), self.chunk, 1, |rows, sum| {
            for (row, &c) in self.x.slice_axis(Axis(0), rows.clone().into()).outer_iter().zip(&labels[rows]) {
                sum[0] +=
                    row.iter().zip(centers.row(c as usize)).map(|(v, m)| (v - m) * (v - m)).sum::<f64>();
            }
        })[0]
    }

    /// Largest cluster first, empty ones dropped, centres back in the caller's frame.
    fn number_by_size(&self, run: Run) -> KMeans {
        let k = run.centers.nrows();
        let (mut counts, mut first_member) = (vec![0usize; k], vec![usize::MAX; k]);
        for (i, &c) in run.labels.iter().enumerate() {
            counts[c as usize] += 1;
            first_member[c as usize] = first_member[c as usize].min(i);
        }
        let mut order: Vec<usize> = (0..k).filter(|&c| counts[c] > 0).collect();
        order.sort_by_key(|&c| (std::cmp::Reverse(counts[c]), first_member[c]));
        let mut number = vec![0u32; k];
        for (new, &c) in order.iter().enumerate() {
            number[c] = new as u32;
        }
        let mut centers = run.centers.select(Axis(0), &order);
        for mut row in centers.outer_iter_mut() {
            for (v, m) in row.iter_mut().zip(&self.mean) {
                *v += m;
            }
        }
        KMeans {
            labels: run.labels.iter().map(|&c| number[c as usize]).collect(),
            centers,
            inertia: run.inertia,
            n_iterations: run.n_iterations,
            converged: run.converged,
        }
    }
}

/// Partial sums over fixed chunks of rows, added in order.
fn ordered_sums(
    n: usize,
    chunk: usize,
    width: usize,
    add: impl Fn(Range<usize>, &mut [f64]) + Sync,
) -> Vec<f64> {
    let parts: Vec<Vec<f64>> = (0..n.div_ceil(chunk))
        .into_par_iter()
        .map(|c| {
            let mut sums = vec![0.0; width];
            add(c * chunk..n.min((c + 1) * chunk), &mut sums);
            sums
        })
        .collect_vec();
    let mut total = vec![0.0; width];
    for part in &parts {
        for (t, p) in total.iter_mut().zip(part) {
            *t += p;
        }
    }
    total
}

#[cfg(test)]
mod tests;
