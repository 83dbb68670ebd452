//! Silhouette width.

use brodmann_kernels::reduce::sum_by;
use brodmann_kernels::{Monitor, ParallelLoop, Seed};
use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::MetricsError;
use super::error::empty_sample;
use super::paired_labels::{Codes, same_length};
use super::points::{Points, TILE_COLUMNS, TILE_ROWS, sample_rows};

/// What to spend on a silhouette.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SilhouetteOptions {
    /// Compute the width of this many observations only, drawn with the seed; `None`: of all.
    pub sample_size: Option<usize>,
}

/// Silhouette widths and their mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Silhouette {
    /// Mean width over `rows`.
    pub mean: f64,
    /// Width of each observation in `rows`, in `[-1, 1]`.
    pub samples: Vec<f64>,
    /// The observations measured, rising: all, or the sample.
    pub rows: Vec<u32>,
}

/// Silhouette width `s = (b − a) / max(a, b)`: is each observation closer to its own cluster than to the next?
///
/// `a` is the mean Euclidean distance to the other members of its cluster, `b` the lowest mean distance to
/// another cluster. Members of a cluster of one have width 0.
///
/// # Inputs
/// `embedding`: `(n_obs, d)`, finite. `labels`: one per observation. `seed`: for the sample alone.
/// # Returns
/// [`Silhouette`]; exact for every observation it names.
/// # Errors
/// [`MetricsError::ClusterCount`] unless `2 <= clusters < n_obs`; `NonFinite`; `LengthMismatch`.
/// # Cost
/// O(n² d) time (O(sample · n · d) with a sample), O(n d) memory plus one tile per thread.
/// # Source
/// Rousseeuw 1987, J. Comput. Appl. Math. 20:53.
/// # Differences
/// scikit-learn's `sample_size` measures the sample against itself; here a sampled observation
/// is measured against *all* others, so each width is exact and the mean scatters less.
///
/// # Example
///
/// ```
/// use brodmann::metrics::{SilhouetteOptions, silhouette};
/// use brodmann_kernels::{Seed, Silent};
/// use ndarray::array;
///
/// let x = array![[0.0], [1.0], [10.0], [11.0]];
/// let widths = silhouette(x.view(), &[0, 0, 1, 1], &SilhouetteOptions::default(), Seed(0), &Silent)?;
/// // Its own cluster at 1, the other at (10 + 11) / 2.
/// assert!((widths.samples[0] - (1.0 - 1.0 / 10.5)).abs() < 1e-12);
/// # Ok::<(), brodmann::metrics::MetricsError>(())
/// ```
pub fn silhouette(
    embedding: ArrayView2<'_, f64>,
    labels: &[u32],
    options: &SilhouetteOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Silhouette, MetricsError> {
    if options.sample_size == Some(0) {
        return Err(empty_sample("sample_size").into());
    }
    let n = embedding.nrows();
    same_length("labels", labels.len(), n)?;
    let codes = Codes::new(labels);
    codes.check_count()?;

    // Observations sorted by cluster: the distances to one cluster are then one run of a tile's row.
    let mut starts = vec![0usize; codes.n() + 1];
    for (c, &count) in codes.counts.iter().enumerate() {
        starts[c + 1] = starts[c] + count;
    }
    let mut next = starts.clone();
    let (mut order, mut position) = (vec![0u32; n], vec![0u32; n]);
    for (i, &c) in codes.of.iter().enumerate() {
        let at = next[c as usize];
        next[c as usize] += 1;
        order[at] = i as u32;
        position[i] = at as u32;
    }
    let points = Points::new(embedding, Some(&order))?;

    let rows = sample_rows(n, options.sample_size.unwrap_or(n), seed.derive("silhouette/sample", 0));
    let anchors: Vec<u32> = rows.iter().map(|&i| position[i as usize]).collect();
    let blocks: Vec<Vec<f64>> = anchors
        .par_chunks(TILE_ROWS)
        .map(|block| {
            monitor.check()?;
            Ok(widths(&points, block, &starts))
        })
        .try_collect_vec::<_, MetricsError>()?;
    let samples = blocks.concat();
    let mean = sum_by(samples.len(), |i| samples[i]) / samples.len() as f64;
    Ok(Silhouette { mean, samples, rows })
}

/// Widths of a block of observations, named by their position in cluster order.
fn widths(points: &Points, block: &[u32], starts: &[usize]) -> Vec<f64> {
    let (n, n_clusters) = (points.n(), starts.len() - 1);
    let gathered = points.gather(block);
    let mut sums = vec![0.0; block.len() * n_clusters];
    let mut tile = Array2::<f64>::zeros((block.len(), TILE_COLUMNS));
    // The cluster at the left edge of the tile: clusters and tiles advance together.
    let mut left_cluster = 0;
    for first in (0..n).step_by(TILE_COLUMNS) {
        let end = n.min(first + TILE_COLUMNS);
        points.products(gathered.view(), first..end, tile.slice_axis_mut(Axis(1), (..end - first).into()));
        while starts[left_cluster + 1] <= first {
            left_cluster += 1;
        }
        for (r, mut row) in tile.outer_iter_mut().enumerate() {
            let row = row.as_slice_mut().expect("rows of a fresh array are contiguous");
            let row = &mut row[..end - first];
            points.squared_distances(block[r] as usize, first, row);
            let mut cluster = left_cluster;
            let mut from = first;
            while from < end {
                let to = end.min(starts[cluster + 1]);
                sums[r * n_clusters + cluster] += sum_of_roots(&row[from - first..to - first]);
                from = to;
                cluster += 1;
            }
        }
    }
    block
        .iter()
        .zip(sums.chunks_exact(n_clusters))
        .map(|(&p, sums)| {
            let own = starts.partition_point(|&s| s <= p as usize) - 1;
            let size = |c: usize| (starts[c + 1] - starts[c]) as f64;
            if size(own) < 2.0 {
                return 0.0;
            }
            let a = sums[own] / (size(own) - 1.0);
            let b = (0..n_clusters)
                .filter(|&c| c != own)
                .map(|c| sums[c] / size(c))
                .fold(f64::INFINITY, f64::min);
            let scale = a.max(b);
            if scale > 0.0 { (b - a) / scale } else { 0.0 }
        })
        .collect()
}

/// `Σ √v` in eight lanes: a fixed order the compiler can vectorise.
fn sum_of_roots(values: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let chunks = values.chunks_exact(8);
    let tail: f64 = chunks.remainder().iter().map(|v| v.sqrt()).sum();
    for chunk in chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane += v.sqrt();
        }
    }
    lanes.iter().sum::<f64>() + tail
}
