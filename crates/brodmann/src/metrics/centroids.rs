//! Cluster centres, shared by the scores that are built on them.

use brodmann_kernels::ParallelLoop;
use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::MetricsError;
use super::paired_labels::{Codes, same_length};
use super::points::{check_finite, column_means};

/// Rows summed together: fixed, so that sums do not depend on the thread count.
const CHUNK_ROWS: usize = 4096;

pub(crate) struct Centroids {
    pub codes: Codes,
    /// Mean of all observations.
    pub mean: Vec<f64>,
    /// `(n_clusters, d)`.
    pub centers: Array2<f64>,
    /// Per cluster, the sum of distances of its members to its centre.
    pub distances: Vec<f64>,
    /// The same, squared distances.
    pub squared_distances: Vec<f64>,
}

impl Centroids {
    /// Checks the input as every geometric score does, then averages.
    pub(crate) fn new(embedding: ArrayView2<'_, f64>, labels: &[u32]) -> Result<Self, MetricsError> {
        same_length("labels", labels.len(), embedding.nrows())?;
        let codes = Codes::new(labels);
        codes.check_count()?;
        check_finite(embedding)?;
        let (k, d) = (codes.n(), embedding.ncols());

        let mut centers = per_cluster(embedding, &codes.of, k * d, |row, c, sums| {
            for (sum, v) in sums[c * d..(c + 1) * d].iter_mut().zip(row) {
                *sum += v;
            }
        });
        if d > 0 {
            for (center, &count) in centers.chunks_exact_mut(d).zip(&codes.counts) {
                for v in center {
                    *v /= count as f64;
                }
            }
        }
        let spread = per_cluster(embedding, &codes.of, 2 * k, |row, c, sums| {
            let center = &centers[c * d..(c + 1) * d];
            let squared: f64 = row.iter().zip(center).map(|(v, m)| (v - m) * (v - m)).sum();
            sums[c] += squared.sqrt();
            sums[k + c] += squared;
        });
        let mean = column_means(embedding);
        let centers = Array2::from_shape_vec((k, d), centers).expect("k·d sums were made");
        let (distances, squared_distances) = spread.split_at(k);
        Ok(Self {
            codes,
            mean,
            centers,
            distances: distances.to_vec(),
            squared_distances: squared_distances.to_vec(),
        })
    }
}

/// Sums over rows by `add(row, code, sums)`, chunk by chunk, the chunks added in order.
fn per_cluster(
    x: ArrayView2<'_, f64>,
    codes: &[u32],
    width: usize,
    add: impl Fn(ndarray::ArrayView1<'_, f64>, usize, &mut [f64]) + Sync,
) -> Vec<f64> {
    let n = x.nrows();
    // At most 64 partial sums are alive; the split depends on n alone.
    let chunk = CHUNK_ROWS.max(n.div_ceil(64));
    let parts: Vec<Vec<f64>> = (0..n.div_ceil(chunk))
        .into_par_iter()
        .map(|part| {
            let rows = part * chunk..n.min((part + 1) * chunk);
            let mut sums = vec![0.0; width];
            for (row, &c) in x.slice_axis(Axis(0), rows.clone().into()).outer_iter().zip(&codes[rows]) {
                add(row, c as usize, &mut sums);
            }
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
