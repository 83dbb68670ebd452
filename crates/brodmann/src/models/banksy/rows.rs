//! The three blocks of features, some rows at a time.

use brodmann_kernels::{CsrMatrix, CsrView, Interrupted, Monitor, ParallelLoop, Slices};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, Slice};
use rayon::prelude::*;
use std::ops::Range;

use super::weights::Surroundings;
use crate::preprocess::PreprocessError;
use crate::preprocess::svd::made_rows::{BLOCK_ROWS, LARGE, MadeRows, Visit};

/// Rows made in one task.
const TASK_ROWS: usize = 32;
/// Share of own values that are not zero up to which they are multiplied one by one.
const SPARSE: f64 = 0.3;

/// Most bytes of rows: all of them where they are kept, else those of two blocks and one in single precision.
pub(super) fn memory_bytes(n_obs: usize, n_cols: usize) -> u64 {
    let all = n_obs as u64 * n_cols as u64;
    if all <= LARGE as u64 { 8 * all } else { 20 * (BLOCK_ROWS * n_cols) as u64 }
}

/// A column whose deviation is below this share of its gene's size is constant but for rounding.
const CONSTANT: f64 = 1e-7;

/// The features of a tissue: own values, means and gradients, standardised slice by slice. Rows are in the order of
/// the slices.
pub(super) struct Blocks<'a> {
    x: CsrView<'a, f32>,
    around: Option<Surroundings>,
    /// Columns of each gene: 1, 2 or 3.
    per_gene: usize,
    /// The row of the tissue at each place; slice after slice.
    order: Vec<u32>,
    /// Ranges of places, none across slices, and the slice of each.
    ranges: Vec<(usize, Range<usize>)>,
    /// Per slice, of every column: its mean, and one over its deviation (0 for constant columns).
    scaling: Vec<(Vec<f64>, Vec<f64>)>,
    /// All rows, standardised, where they are few.
    kept: Option<Array2<f64>>,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(
        x: CsrView<'a, f32>,
        slices: &Slices,
        around: Option<Surroundings>,
        gradient: bool,
        monitor: &dyn Monitor,
    ) -> Result<Self, Interrupted> {
        let per_gene = if around.is_none() { 1 } else { 2 + usize::from(gradient) };
        let order: Vec<u32> = slices.rows().iter().flatten().copied().collect();
        let mut ranges = Vec::new();
        let mut start = 0;
        for (slice, n) in slices.sizes().iter().enumerate() {
            let end = start + n;
            ranges.extend((start..end).step_by(BLOCK_ROWS).map(|at| (slice, at..end.min(at + BLOCK_ROWS))));
            start = end;
        }
        let mut blocks = Self { x, around, per_gene, order, ranges, scaling: Vec::new(), kept: None };
        blocks.standardise(slices, monitor)?;
        Ok(blocks)
    }

    pub(super) fn n_obs(&self) -> usize {
        self.x.n_rows()
    }

    pub(super) fn n_genes(&self) -> usize {
        self.x.n_cols()
    }

    pub(super) fn n_blocks(&self) -> usize {
        self.per_gene
    }

    pub(super) fn n_cols(&self) -> usize {
        self.per_gene * self.x.n_cols()
    }

    /// Whether all rows are at hand; if not, each pass makes them anew.
    pub(super) fn kept(&self) -> bool {
        self.kept.is_some()
    }

    /// The row of the tissue at a place.
    pub(super) fn row_at(&self, place: usize) -> usize {
        self.order[place] as usize
    }

    /// Per column, the observations that its standardised values vary in.
    pub(super) fn varying(&self) -> Vec<usize> {
        let mut varying = vec![0; self.n_cols()];
        for (slice, range) in &self.ranges {
            let inverse = &self.scaling[*slice].1;
            varying.iter_mut().zip(inverse).filter(|(_, i)| **i > 0.0).for_each(|(v, _)| *v += range.len());
        }
        varying
    }

    /// Makes the rows anew in each pass, as for a large tissue.
    #[cfg(test)]
    pub(super) fn forget(&mut self) {
        self.kept = None;
    }

    /// Visits all rows, standardised, block by block in order: the place of the first and `(rows, n_cols)`.
    pub(super) fn each<E: From<Interrupted>>(
        &self,
        monitor: &dyn Monitor,
        mut visit: impl FnMut(usize, ArrayView2<'_, f64>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut room = Array2::zeros((0, 0));
        for (slice, range) in &self.ranges {
            monitor.check()?;
            if let Some(kept) = &self.kept {
                visit(range.start, kept.slice_axis(Axis(0), Slice::from(range.clone())))?;
                continue;
            }
            if room.nrows() != range.len() {
                room = Array2::zeros((range.len(), self.n_cols()));
            }
            self.fill(range.clone(), room.view_mut());
            self.scale(*slice, room.view_mut());
            visit(range.start, room.view())?;
        }
        Ok(())
    }

    /// Means and deviations, slice by slice; keeps the rows where they are few.
    fn standardise(&mut self, slices: &Slices, monitor: &dyn Monitor) -> Result<(), Interrupted> {
        monitor.stage("means and deviations", self.ranges.len() as u64);
        let d = self.n_cols();
        let mut kept = (d * self.n_obs() <= LARGE).then(|| Array2::zeros((self.n_obs(), d)));
        let mut sums = vec![(vec![0.0f64; d], vec![0.0f64; d]); slices.count()];
        let mut room = Array2::zeros((0, 0));
        for (slice, range) in &self.ranges {
            monitor.check()?;
            if room.nrows() != range.len() {
                room = Array2::zeros((range.len(), d));
            }
            self.fill(range.clone(), room.view_mut());
            let (sum, squares) = &mut sums[*slice];
            // Columns in tasks, rows in order.
            sum.par_chunks_mut(256).zip(squares.par_chunks_mut(256)).enumerate().each(
                |(chunk, (sum, squares))| {
                    let columns = chunk * 256..chunk * 256 + sum.len();
                    for row in room.slice_axis(Axis(1), Slice::from(columns)).rows() {
                        for ((sum, squares), v) in sum.iter_mut().zip(squares.iter_mut()).zip(row) {
                            *sum += v;
                            *squares += v * v;
                        }
                    }
                },
            );
            if let Some(kept) = &mut kept {
                kept.slice_axis_mut(Axis(0), Slice::from(range.clone())).assign(&room);
            }
            monitor.advance(1);
        }
        let g = self.n_genes();
        self.scaling = sums
            .into_iter()
            .zip(slices.sizes())
            .map(|((mut sum, mut squares), &n)| {
                let n = n.max(1) as f64;
                let size: Vec<f64> = squares[..g].iter().map(|s| (s / n).sqrt()).collect();
                for (j, (sum, square)) in sum.iter_mut().zip(&mut squares).enumerate() {
                    *sum /= n;
                    let deviation = (*square / n - *sum * *sum).max(0.0).sqrt();
                    *square = if deviation > CONSTANT * size[j % g] { 1.0 / deviation } else { 0.0 };
                }
                (sum, squares)
            })
            .collect();
        if let Some(kept) = &mut kept {
            for (slice, range) in &self.ranges {
                self.scale(*slice, kept.slice_axis_mut(Axis(0), Slice::from(range.clone())));
            }
        }
        self.kept = kept;
        Ok(())
    }

    fn scale(&self, slice: usize, mut rows: ArrayViewMut2<'_, f64>) {
        let (mean, inverse) = &self.scaling[slice];
        rows.axis_iter_mut(Axis(0)).collect::<Vec<_>>().into_par_iter().with_min_len(TASK_ROWS).each(
            |mut row| {
                for ((v, mean), inverse) in row.iter_mut().zip(mean).zip(inverse) {
                    *v = (*v - mean) * inverse;
                }
            },
        );
    }

    /// Rows as they are measured.
    fn fill(&self, places: Range<usize>, mut out: ArrayViewMut2<'_, f64>) {
        let g = self.n_genes();
        out.axis_chunks_iter_mut(Axis(0), TASK_ROWS).collect::<Vec<_>>().into_par_iter().enumerate().each(
            |(chunk, mut rows)| {
                let mut sums = vec![[0.0f64; 4]; if self.around.is_some() { g } else { 0 }];
                for (offset, mut row) in rows.rows_mut().into_iter().enumerate() {
                    let i = self.row_at(places.start + chunk * TASK_ROWS + offset);
                    let row = row.as_slice_mut().expect("rows are contiguous");
                    let (own, others) = row.split_at_mut(g);
                    own.fill(0.0);
                    let (columns, values) = self.x.row(i);
                    columns.iter().zip(values).for_each(|(&j, &v)| own[j as usize] = f64::from(v));
                    let Some(around) = &self.around else { continue };
                    surround(self.x, around.row(i), &mut sums);
                    let (mean, gradient) = others.split_at_mut(g);
                    mean.iter_mut().zip(&sums).for_each(|(m, s)| *m = s[0]);
                    let sizes = sums.iter().map(|s| (s[1] * s[1] + s[2] * s[2]).sqrt());
                    gradient.iter_mut().zip(sizes).for_each(|(to, size)| *to = size);
                }
            },
        );
    }
}

impl MadeRows for Blocks<'_> {
    fn dim(&self) -> (usize, usize) {
        (self.n_obs(), self.n_cols())
    }

    fn each(&self, monitor: &dyn Monitor, visit: &mut Visit<'_>) -> Result<(), PreprocessError> {
        Blocks::each(self, monitor, |first, rows| {
            visit(first, rows)?;
            monitor.advance(rows.nrows() as u64);
            Ok(())
        })
    }

    /// Own values, where few enough are not zero that they are multiplied one by one.
    fn n_sparse(&self) -> usize {
        let all = self.n_obs() * self.n_genes();
        if self.x.nnz() as f64 <= SPARSE * all as f64 { self.n_genes() } else { 0 }
    }

    /// Own values over the deviations of their slice, not centred.
    fn sparse(&self, places: Range<usize>) -> CsrMatrix<f32> {
        let slice = self.ranges.partition_point(|(_, range)| range.end <= places.start);
        let inverse = &self.scaling[self.ranges[slice].0].1;
        let rows: Vec<usize> = places.map(|at| self.row_at(at)).collect();
        let mut own = self.x.select_rows(&rows);
        own.for_each_row_mut(|_, columns, values| {
            for (v, j) in values.iter_mut().zip(columns) {
                *v = (f64::from(*v) * inverse[*j as usize]) as f32;
            }
        });
        own
    }
}

/// Weighted sums of the neighbours' rows, gene by gene: `[mean, real part, imaginary part, nothing]`.
///
/// All three at once, as one product of a number with four: a neighbour's row is read once, and four doubles are what
/// a processor multiplies in one instruction.
fn surround(x: CsrView<'_, f32>, (neighbors, weights): (&[u32], &[[f64; 3]]), sums: &mut [[f64; 4]]) {
    sums.fill([0.0; 4]);
    for (&j, w) in neighbors.iter().zip(weights) {
        let w = [w[0], w[1], w[2], 0.0];
        let (columns, values) = x.row(j as usize);
        for (&column, &v) in columns.iter().zip(values) {
            let v = f64::from(v);
            for (sum, w) in sums[column as usize].iter_mut().zip(w) {
                *sum += v * w;
            }
        }
    }
}
