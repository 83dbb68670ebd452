//! Distances between rows of an embedding, in tiles: never an N×N matrix.

use brodmann_kernels::ParallelLoop;
use brodmann_kernels::matmul::matmul_into_serial;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::MetricsError;

/// Rows of one tile.
pub(crate) const TILE_ROWS: usize = 128;
/// Columns of one tile; a tile of products then stays in the second-level cache.
pub(crate) const TILE_COLUMNS: usize = 512;
/// `‖a−b‖² < NEAR (‖a‖² + ‖b‖²)` is recomputed from differences: the expanded form keeps too few digits there.
const NEAR: f64 = 1e-6;
/// Rows summed together for the mean.
const CHUNK_ROWS: usize = 4096;

/// A centred copy of an embedding with its squared norms.
pub(crate) struct Points {
    x: Array2<f64>,
    norms: Vec<f64>,
}

impl Points {
    /// Copies the rows named by `order` (all, when `None`), centred on the mean of the embedding.
    ///
    /// Centring changes no distance but shrinks the norms, and with them the cancellation in
    /// `‖a‖² + ‖b‖² − 2 a·b`.
    pub(crate) fn new(embedding: ArrayView2<'_, f64>, order: Option<&[u32]>) -> Result<Self, MetricsError> {
        check_finite(embedding)?;
        let mean = column_means(embedding);
        let (n, d) = (order.map_or(embedding.nrows(), <[u32]>::len), embedding.ncols());
        let mut x = Array2::<f64>::zeros((n, d));
        let flat = x.as_slice_mut().expect("a fresh array is contiguous");
        flat.par_chunks_mut(d.max(1)).enumerate().each(|(i, row)| {
            let source = embedding.row(order.map_or(i, |o| o[i] as usize));
            for ((to, from), m) in row.iter_mut().zip(source).zip(&mean) {
                *to = from - m;
            }
        });
        let norms = (0..n).into_par_iter().map(|i| x.row(i).iter().map(|v| v * v).sum()).collect_vec();
        Ok(Self { x, norms })
    }

    pub(crate) fn n(&self) -> usize {
        self.norms.len()
    }

    /// `‖xᵢ − xⱼ‖²` from differences.
    pub(crate) fn squared_distance(&self, i: usize, j: usize) -> f64 {
        self.x.row(i).iter().zip(self.x.row(j)).map(|(a, b)| (a - b) * (a - b)).sum()
    }

    /// The centred rows `rows`, gathered.
    pub(crate) fn gather(&self, rows: &[u32]) -> Array2<f64> {
        let mut out = Array2::zeros((rows.len(), self.x.ncols()));
        for (mut to, &i) in out.outer_iter_mut().zip(rows) {
            to.assign(&self.x.row(i as usize));
        }
        out
    }

    /// Products of gathered rows with the rows `columns`, into the top left of `tile`.
    pub(crate) fn products(
        &self,
        rows: ArrayView2<'_, f64>,
        columns: std::ops::Range<usize>,
        tile: ArrayViewMut2<'_, f64>,
    ) {
        matmul_into_serial(tile, rows, self.x.slice_axis(Axis(0), columns.into()).t());
    }

    /// Replaces the products of row `i` with the rows `first..` by squared distances.
    pub(crate) fn squared_distances(&self, i: usize, first: usize, products: &mut [f64]) {
        let norm = self.norms[i];
        let norms = &self.norms[first..first + products.len()];
        let mut any_near = false;
        for (p, &other) in products.iter_mut().zip(norms) {
            let sum = norm + other;
            let distance = sum - 2.0 * *p;
            // `|=` instead of a branch keeps the loop vectorised.
            any_near |= distance <= NEAR * sum;
            *p = distance;
        }
        if any_near {
            for (offset, (p, &other)) in products.iter_mut().zip(norms).enumerate() {
                if *p <= NEAR * (norm + other) {
                    *p = self.squared_distance(i, first + offset);
                }
            }
        }
    }
}

/// Values beyond this have no finite squared norm.
const LARGEST: f64 = 1e150;

/// [`MetricsError::NonFinite`] for the first NaN, infinity or unusably large value, by row.
pub(crate) fn check_finite(embedding: ArrayView2<'_, f64>) -> Result<(), MetricsError> {
    let row = (0..embedding.nrows())
        .into_par_iter()
        .position_first(|i| !embedding.row(i).iter().all(|&v| usable(v)));
    match row {
        None => Ok(()),
        Some(row) => {
            let column = embedding.row(row).iter().position(|&v| !usable(v)).unwrap_or(0);
            Err(MetricsError::NonFinite { row, column })
        }
    }
}

fn usable(v: f64) -> bool {
    v.abs() <= LARGEST
}

/// Mean of each column, summed over fixed chunks of rows in order.
pub(crate) fn column_means(x: ArrayView2<'_, f64>) -> Vec<f64> {
    let (n, d) = x.dim();
    let parts: Vec<Vec<f64>> = (0..n.div_ceil(CHUNK_ROWS))
        .into_par_iter()
        .map(|c| {
            let mut sums = vec![0.0; d];
            for row in
                x.slice_axis(Axis(0), (c * CHUNK_ROWS..n.min((c + 1) * CHUNK_ROWS)).into()).outer_iter()
            {
                for (sum, v) in sums.iter_mut().zip(row) {
                    *sum += v;
                }
            }
            sums
        })
        .collect_vec();
    let mut mean = vec![0.0; d];
    for part in &parts {
        for (m, p) in mean.iter_mut().zip(part) {
            *m += p;
        }
    }
    for m in &mut mean {
        *m /= n.max(1) as f64;
    }
    mean
}

/// A seeded sample of `size` of the `n` observations, rising; all of them when `size >= n`.
pub(crate) fn sample_rows(n: usize, size: usize, seed: brodmann_kernels::Seed) -> Vec<u32> {
    let mut rows: Vec<u32> = (0..n as u32).collect();
    if size < n {
        // The observations with the smallest hashes: a uniform sample without replacement.
        rows.par_sort_unstable_by_key(|&i| (seed.word(u64::from(i)), i));
        rows.truncate(size);
        rows.sort_unstable();
    }
    rows
}
