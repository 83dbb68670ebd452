//! Feature space cut into cells around k-means centres, for the approximate search.

use brodmann_kernels::matmul::matmul_into_serial;
use brodmann_kernels::{Interrupted, Monitor, ParallelLoop, Seed};
use ndarray::{Array2, ArrayView2, Axis, Slice};
use rand::RngExt;
use rayon::prelude::*;

use super::blocked_distances::BlockedPoints;

/// Observations per centre that k-means looks at: centres need only follow the density roughly.
const SAMPLE_PER_CELL: usize = 48;
/// Lloyd steps; later ones hardly move the cells.
const LLOYD_STEPS: usize = 6;
/// Observations assigned together; fixed.
const BLOCK: usize = 256;

/// Augmented centres `[y, |y|²]`, as `BlockedPoints::targets`.
pub(crate) struct Cells {
    centres: Array2<f32>,
}

impl Cells {
    /// k-means with about √n centres on a sample.
    pub(crate) fn new(
        points: &BlockedPoints,
        seed: Seed,
        monitor: &dyn Monitor,
    ) -> Result<Self, Interrupted> {
        let n_obs = points.n_obs();
        let n_cells = (n_obs as f64).sqrt().round().max(1.0) as usize;
        let sample = sample(n_obs, n_cells * SAMPLE_PER_CELL, seed, "graph/approximate_knn/sample");
        let d = points.d;
        // The sample is in random order, so its first rows are a random start.
        let first: Vec<usize> = sample[..n_cells].iter().map(|&i| i as usize).collect();
        let mut cells = Self { centres: points.targets.select(Axis(0), &first) };
        for _ in 0..LLOYD_STEPS {
            let nearest = cells.nearest(points, &sample, 1, monitor)?;
            let mut sums = vec![0.0f64; n_cells * d];
            let mut sizes = vec![0usize; n_cells];
            for (&i, &cell) in sample.iter().zip(&nearest) {
                let cell = cell as usize;
                sizes[cell] += 1;
                let row = points.targets.row(i as usize);
                for (sum, &v) in sums[cell * d..(cell + 1) * d].iter_mut().zip(row) {
                    *sum += f64::from(v);
                }
            }
            for cell in (0..n_cells).filter(|&cell| sizes[cell] > 0) {
                let mut norm = 0.0;
                for column in 0..d {
                    let mean = sums[cell * d + column] / sizes[cell] as f64;
                    norm += mean * mean;
                    cells.centres[[cell, column]] = mean as f32;
                }
                cells.centres[[cell, d]] = norm as f32;
            }
        }
        Ok(cells)
    }

    pub(crate) fn count(&self) -> usize {
        self.centres.nrows()
    }

    /// The `n_nearest` cells of each observation in `rows`, nearest first, ties to the lower cell.
    pub(crate) fn nearest(
        &self,
        points: &BlockedPoints,
        rows: &[u32],
        n_nearest: usize,
        monitor: &dyn Monitor,
    ) -> Result<Vec<u32>, Interrupted> {
        let n_cells = self.count();
        let blocks: Vec<Vec<u32>> = rows
            .par_chunks(BLOCK)
            .map(|block| {
                monitor.check()?;
                let queries = gather(points.queries.view(), block);
                let mut values = Array2::<f32>::zeros((block.len(), n_cells));
                matmul_into_serial(values.view_mut(), queries.view(), self.centres.t());
                let mut found = Vec::with_capacity(block.len() * n_nearest);
                let mut ranked: Vec<(f32, u32)> = Vec::with_capacity(n_cells);
                for row in values.rows() {
                    ranked.clear();
                    ranked.extend(row.iter().enumerate().map(|(cell, &v)| (v, cell as u32)));
                    let by_value = |a: &(f32, u32), b: &(f32, u32)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
                    if n_nearest < n_cells {
                        ranked.select_nth_unstable_by(n_nearest - 1, by_value);
                        ranked.truncate(n_nearest);
                    }
                    ranked.sort_unstable_by(by_value);
                    found.extend(ranked.iter().map(|entry| entry.1));
                }
                Ok(found)
            })
            .try_collect_vec::<_, Interrupted>()?;
        Ok(blocks.concat())
    }
}

/// Rows of a matrix, copied.
pub(crate) fn gather(matrix: ArrayView2<'_, f32>, rows: &[u32]) -> Array2<f32> {
    let consecutive = rows.windows(2).all(|w| w[1] == w[0] + 1);
    match rows {
        [first, ..] if consecutive => {
            let first = *first as usize;
            matrix.slice_axis(Axis(0), Slice::from(first..first + rows.len())).to_owned()
        }
        _ => matrix.select(Axis(0), &rows.iter().map(|&i| i as usize).collect::<Vec<_>>()),
    }
}

/// `size` distinct observations in random order, or all.
pub(crate) fn sample(n_obs: usize, size: usize, seed: Seed, purpose: &str) -> Vec<u32> {
    let mut all: Vec<u32> = (0..n_obs as u32).collect();
    let size = size.min(n_obs);
    let mut rng = seed.stream(purpose, 0);
    for at in 0..size {
        let other = rng.random_range(at..n_obs);
        all.swap(at, other);
    }
    all.truncate(size);
    all
}
