//! `ZᵀZ` of a large matrix whose rows are made when they are needed, in single precision.
//!
//! Half the bytes per number mean more than twice the speed. Columns are centred before they are rounded, so that what
//! rounding does to a sum is some 1e-7 of their deviations: at a million rows a ten-thousandth of what sampling does to it.

use brodmann_kernels::arch::sparse_tile;
use brodmann_kernels::matmul::{matmul_into, matmul_into_serial};
use brodmann_kernels::{CsrMatrix, Monitor, ParallelLoop, Seed};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, Slice};
use rayon::prelude::*;
use std::ops::Range;

use super::formed_eigenpairs;
use crate::preprocess::PreprocessError;
use crate::preprocess::pca::fix_signs;

/// Numbers above which a matrix is large: half a gigabyte in double precision. Smaller ones are worth more digits.
pub(crate) const LARGE: usize = 1 << 26;
/// Rows made at a time; fixed, since sums run over them one block after the other.
pub(crate) const BLOCK_ROWS: usize = 1024;
/// Rows made in one task.
const TASK_ROWS: usize = 32;
/// Columns multiplied in one task.
const PANEL: usize = 256;
/// Nanoseconds of a multiply-add, and of making a number and rounding it, measured on one core.
const MULTIPLY_NS: f64 = 0.025;
const MAKE_NS: f64 = 2.0;

/// Largest and smallest value of which single precision holds the squares, and sums of them.
const RANGE: std::ops::RangeInclusive<f32> = 1e-15..=1e15;

/// Whether products of the values can be summed in single precision.
pub(crate) fn fits_single(values: &[f32]) -> bool {
    let largest = values.par_iter().map(|v| v.abs()).reduce(|| 0.0, f32::max);
    RANGE.contains(&largest)
}

/// What is done with some rows: the number of the first, and `(rows, columns)`.
pub(crate) type Visit<'a> = dyn FnMut(usize, ArrayView2<'_, f64>) -> Result<(), PreprocessError> + 'a;

/// A matrix with columns that add up to zero, whose rows are made when they are needed.
pub(crate) trait MadeRows: Sync {
    /// Rows and columns.
    fn dim(&self) -> (usize, usize);

    /// Hands all rows to `visit` in order, at most [`BLOCK_ROWS`] at a time.
    ///
    /// # Errors
    /// Those of `visit`, and interruption.
    fn each(&self, monitor: &dyn Monitor, visit: &mut Visit<'_>) -> Result<(), PreprocessError>;

    /// How many of the first columns are mostly zero before they are centred.
    fn n_sparse(&self) -> usize {
        0
    }

    /// Those columns of some rows, but for a shift of each column that is the same for all rows of a group within which the
    /// columns add up to zero.
    fn sparse(&self, rows: Range<usize>) -> CsrMatrix<f32> {
        CsrMatrix::from_rows(0, &vec![Vec::new(); rows.len()])
    }
}

/// Hands rows to `visit` as [`MadeRows::each`] does, those of a block made side by side by `make`, which finds zeros or an
/// earlier row.
pub(crate) fn each_block(
    (n, d): (usize, usize),
    monitor: &dyn Monitor,
    visit: &mut Visit<'_>,
    make: &(dyn Fn(usize, &mut [f64]) + Sync),
) -> Result<(), PreprocessError> {
    let mut block = Array2::<f64>::zeros((0, d));
    for first in (0..n).step_by(BLOCK_ROWS) {
        monitor.check()?;
        let rows = BLOCK_ROWS.min(n - first);
        if block.nrows() != rows {
            block = Array2::zeros((rows, d));
        }
        let tasks = block.as_slice_mut().expect("row-major").par_chunks_mut(TASK_ROWS * d).enumerate();
        tasks.each(|(task, rows)| {
            for (at, row) in rows.chunks_exact_mut(d).enumerate() {
                make(first + task * TASK_ROWS + at, row);
            }
        });
        visit(first, block.view())?;
    }
    Ok(())
}

/// Estimated nanoseconds of [`columns_product`] on one core, without sparse columns.
pub(crate) fn columns_product_ns((n, d): (usize, usize)) -> f64 {
    let (n, d) = (n as f64, d as f64);
    n * d * (0.5 * (d + PANEL as f64) * MULTIPLY_NS + MAKE_NS)
}

/// `ZᵀZ`, `(columns, columns)`.
///
/// ```text
/// for each block of rows, its sums in single precision:
///   for each 32 columns P of Z:
///     X̃ᵀ P              X̃ the sparse columns, zeros left out
///   for each panel P of 256 of the other columns:
///     Qᵀ P              for each such panel Q up to P
/// add them up in double precision
/// ```
///
/// That `X̃` is not centred changes nothing: the columns of `P` add up to zero.
///
/// # Cost
/// With `s` sparse columns of `z` entries per row, `n ((d − s)² / 2 + z (d − s / 2))` multiply-adds and `12 d²` bytes.
pub(crate) fn columns_product(
    rows: &dyn MadeRows,
    monitor: &dyn Monitor,
) -> Result<Array2<f64>, PreprocessError> {
    let ((_, d), g) = (rows.dim(), rows.n_sparse());
    let pieces = |from: usize, step: usize| -> Vec<Range<usize>> {
        (from..d).step_by(step).map(|start| start..d.min(start + step)).collect()
    };
    let panels = pieces(g, PANEL);
    let mut values: Vec<Array2<f32>> = panels.iter().map(|p| Array2::zeros((0, p.len()))).collect();
    // Of each panel the columns of the product, from the first that is not sparse down to the diagonal.
    let mut sums: Vec<Array2<f64>> = panels.iter().map(|p| Array2::zeros((p.end - g, p.len()))).collect();
    let tiles = if g > 0 { pieces(0, sparse_tile::WIDTH) } else { Vec::new() };
    // Of each tile the sparse rows of the product, down to the diagonal.
    let mut tile_sums: Vec<Vec<[f64; sparse_tile::WIDTH]>> =
        tiles.iter().map(|t| vec![[0.0; sparse_tile::WIDTH]; t.end.min(g)]).collect();
    rows.each(monitor, &mut |first, block| {
        values.par_iter_mut().zip(&panels).each(|(values, columns)| {
            let block = block.slice_axis(Axis(1), Slice::from(columns.clone()));
            if values.nrows() != block.nrows() {
                *values = Array2::zeros(block.dim());
            }
            values.zip_mut_with(&block, |to, v| *to = *v as f32);
        });
        let mut tasks = Vec::new();
        for (at, (sums, right)) in sums.iter_mut().zip(&values).enumerate() {
            let mut rest = sums.view_mut();
            for left in &values[..=at] {
                let (part, below) = rest.split_at(Axis(0), left.ncols());
                rest = below;
                tasks.push((part, left, right));
            }
        }
        tasks.into_par_iter().each(|(mut sums, left, right)| {
            let mut part = Array2::<f32>::zeros(sums.dim());
            matmul_into_serial(part.view_mut(), left.t(), right.view());
            sums.zip_mut_with(&part, |sum, v| *sum += f64::from(*v));
        });
        if g > 0 {
            let starts: Vec<usize> = (0..block.nrows()).step_by(sparse_tile::ROWS).collect();
            let end = |start: usize| block.nrows().min(start + sparse_tile::ROWS);
            let by_column =
                |start: &usize| rows.sparse(first + start..first + end(*start)).view().transpose();
            let sparse: Vec<CsrMatrix<f32>> = starts.par_iter().map(by_column).collect_vec();
            tile_sums.par_iter_mut().zip(&tiles).each(|(sums, columns)| {
                let mut part = vec![[0.0f32; sparse_tile::WIDTH]; sums.len()];
                let mut dense = vec![[0.0f32; sparse_tile::WIDTH]; sparse_tile::ROWS];
                let block = block.slice_axis(Axis(1), Slice::from(columns.clone()));
                for (start, sparse) in starts.iter().zip(&sparse) {
                    let some = block.slice_axis(Axis(0), Slice::from(*start..end(*start)));
                    for (to, row) in dense.iter_mut().zip(some.rows()) {
                        to.iter_mut().zip(row).for_each(|(to, v)| *to = *v as f32);
                    }
                    sparse_tile::sparse_times(sparse.view(), &dense, &mut part);
                }
                for (sums, part) in sums.iter_mut().zip(&part) {
                    sums.iter_mut().zip(part).for_each(|(sum, v)| *sum += f64::from(*v));
                }
            });
        }
        Ok(())
    })?;
    drop(values);
    let mut product = Array2::<f64>::zeros((d, d));
    for (columns, sums) in panels.iter().zip(&sums) {
        rectangle(&mut product, g..columns.end, columns.clone()).assign(sums);
        rectangle(&mut product, columns.clone(), g..columns.end).assign(&sums.t());
    }
    for (columns, sums) in tiles.iter().zip(&tile_sums) {
        for (i, sums) in sums.iter().enumerate() {
            for (j, sum) in columns.clone().zip(sums).filter(|(j, _)| i <= *j) {
                product[[i, j]] = *sum;
                product[[j, i]] = *sum;
            }
        }
    }
    Ok(product)
}

/// Each row along the `k` leading principal components, signs as scikit-learn's `svd_flip` on the loadings; fewer columns
/// where there are fewer.
pub(crate) fn scores(
    rows: &dyn MadeRows,
    k: usize,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Array2<f64>, PreprocessError> {
    let (n, d) = rows.dim();
    let product = columns_product(rows, monitor)?;
    let (pairs, _) = formed_eigenpairs(&product, &[], k.min(n - 1).min(d), seed, monitor)?;
    drop(product);
    let mut loadings = pairs.vectors;
    fix_signs(&mut loadings, &mut Array2::zeros((0, k)));
    let mut scores = Array2::zeros((n, loadings.ncols()));
    rows.each(monitor, &mut |first, block| {
        let place = first..first + block.nrows();
        matmul_into(scores.slice_axis_mut(Axis(0), Slice::from(place)), block, loadings.view());
        Ok(())
    })?;
    Ok(scores)
}

/// A part of a matrix.
pub(crate) fn rectangle(
    m: &mut Array2<f64>,
    rows: Range<usize>,
    columns: Range<usize>,
) -> ArrayViewMut2<'_, f64> {
    m.view_mut().slice_axis_move(Axis(0), Slice::from(rows)).slice_axis_move(Axis(1), Slice::from(columns))
}

#[cfg(test)]
mod tests {
    use brodmann_kernels::Silent;

    use super::*;

    /// Columns that add up to zero, and the first 300 of them before they are centred.
    struct Example {
        values: Array2<f64>,
        sparse: CsrMatrix<f32>,
        n_sparse: usize,
    }

    impl MadeRows for Example {
        fn dim(&self) -> (usize, usize) {
            self.values.dim()
        }

        fn each(&self, monitor: &dyn Monitor, visit: &mut Visit<'_>) -> Result<(), PreprocessError> {
            each_block(self.dim(), monitor, visit, &|i, row| {
                row.copy_from_slice(self.values.row(i).as_slice().expect("contiguous"));
            })
        }

        fn n_sparse(&self) -> usize {
            self.n_sparse
        }

        fn sparse(&self, rows: Range<usize>) -> CsrMatrix<f32> {
            self.sparse.view().select_rows(&rows.collect::<Vec<_>>())
        }
    }

    /// Two blocks of rows and a part of one; 300 columns that may be sparse, and 550 others.
    fn example(n_sparse: usize) -> Example {
        let (n, d) = (2500, 850);
        let before = Array2::from_shape_fn((n, d), |(i, j)| {
            let word = Seed(7).word((i * d + j) as u64);
            if j < 300 && word % 100 >= 15 { 0.0 } else { (word >> 40) as f64 / (1u64 << 23) as f64 }
        });
        let mean = before.mean_axis(Axis(0)).expect("rows");
        let own = before.slice_axis(Axis(1), Slice::from(..300)).mapv(|v| v as f32);
        Example { values: &before - &mean, sparse: CsrMatrix::from_dense(own.view()), n_sparse }
    }

    #[test]
    fn the_product_is_that_of_the_columns_whether_zeros_are_left_out_or_not() {
        for n_sparse in [0, 300] {
            let rows = example(n_sparse);
            let product = columns_product(&rows, &Silent).expect("goes on");
            let expected = rows.values.t().dot(&rows.values);
            assert_eq!(product, product.t());
            let worst = product.iter().zip(&expected).fold(0.0f64, |w, (a, b)| w.max((a - b).abs()));
            assert!(worst < 2e-6 * 2500.0, "{worst}");
        }
    }

    #[test]
    fn one_thread_gives_the_bits_of_several() {
        let rows = example(300);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
            pool.install(|| columns_product(&rows, &Silent)).expect("goes on")
        };
        assert_eq!(run(1), run(3));
    }
}
