//! `CᵀC` of a sparse matrix: formed, or applied to a block of vectors.
//!
//! Entries are `entry(row, column, stored value)`, so that scaling needs no second matrix.

use brodmann_kernels::matmul::matmul_add_into;
use brodmann_kernels::{CsrView, Monitor};
use ndarray::{Array2, ArrayView2, Axis, Slice};
use rayon::prelude::*;

use crate::preprocess::error::PreprocessError;

/// Bytes of the product matrix one task writes: fits a core's cache.
const BLOCK_BYTES: usize = 1 << 20;
/// Above this share of stored entries a dense product over row chunks is quicker.
const DENSE_SHARE: f64 = 0.1;
/// Rows written out at a time on the dense path.
const DENSE_ROWS: usize = 2048;
/// Entries mapped at a time on the sparse path.
const SPARSE_ENTRIES: usize = 1 << 20;
/// Rows mapped by one task.
const MAP_ROWS: usize = 1024;
/// Columns multiplied together when the product is applied.
const PANEL: usize = 16;
/// Most bytes of partial sums alive at once when the product is applied.
const PARTIAL_BYTES: usize = 1 << 28;

/// `CᵀC`, `(n_cols, n_cols)`.
///
/// # Cost    `Σ_i nnz_i² / 2` multiply-adds, or `n · f²` dense ones above 10 % density; one result matrix.
pub(crate) fn form_gram(
    c: CsrView<'_, f32>,
    entry: &(impl Fn(usize, usize, f32) -> f64 + Sync),
    monitor: &dyn Monitor,
) -> Result<Array2<f64>, PreprocessError> {
    let (n, f) = (c.n_rows(), c.n_cols());
    let mut gram = Array2::<f64>::zeros((f, f));
    if n == 0 || f == 0 {
        return Ok(gram);
    }
    if c.nnz() as f64 > DENSE_SHARE * n as f64 * f as f64 {
        let mut rows = Array2::<f64>::zeros((DENSE_ROWS.min(n), f));
        for first in (0..n).step_by(DENSE_ROWS) {
            monitor.check()?;
            let last = n.min(first + DENSE_ROWS);
            let dense = rows.as_slice_mut().expect("row-major");
            dense.par_chunks_mut(f).take(last - first).enumerate().for_each(|(at, row)| {
                row.fill(0.0);
                let (columns, values) = c.row(first + at);
                for (&j, &v) in columns.iter().zip(values) {
                    row[j as usize] = entry(first + at, j as usize, v);
                }
            });
            let block = rows.slice_axis(Axis(0), Slice::from(..last - first));
            matmul_add_into(gram.view_mut(), block.t(), block);
        }
        return Ok(gram);
    }
    // Each task owns some rows of the upper triangle and scans all data for them: no partial sums to add, and
    // every entry is summed in row order whatever the thread count. Entries are mapped once per run of rows.
    let block = (BLOCK_BYTES / (8 * f)).clamp(8, 512);
    let indptr = c.indptr();
    let mut mapped: Vec<f64> = Vec::new();
    let mut first = 0;
    while first < n {
        monitor.check()?;
        let last =
            indptr.partition_point(|&at| at <= indptr[first] + SPARSE_ENTRIES).clamp(first + 2, n + 1) - 1;
        let base = indptr[first];
        mapped.resize(indptr[last] - base, 0.0);
        map_rows(c, entry, first..last, &mut mapped);
        let upper = gram.as_slice_mut().expect("row-major");
        upper.par_chunks_mut(block * f).enumerate().for_each(|(b, part)| {
            let (low, high) = ((b * block) as u32, (b * block + part.len() / f) as u32);
            for i in first..last {
                let columns = c.row(i).0;
                let from = columns.partition_point(|&j| j < low);
                let own = columns[from..].partition_point(|&j| j < high);
                let columns = &columns[from..];
                let values = &mapped[indptr[i] - base + from..indptr[i + 1] - base];
                for t in 0..own {
                    let at = (columns[t] - low) as usize * f;
                    let row = &mut part[at..at + f];
                    let v = values[t];
                    for (&j, m) in columns[t..].iter().zip(&values[t..]) {
                        row[j as usize] += v * m;
                    }
                }
            }
        });
        first = last;
    }
    for i in 0..f {
        for j in 0..i {
            gram[[i, j]] = gram[[j, i]];
        }
    }
    Ok(gram)
}

/// The mapped entries of some rows, one after another.
fn map_rows(
    c: CsrView<'_, f32>,
    entry: &(impl Fn(usize, usize, f32) -> f64 + Sync),
    rows: std::ops::Range<usize>,
    out: &mut [f64],
) {
    let indptr = c.indptr();
    let mut pieces: Vec<(usize, &mut [f64])> = Vec::new();
    let mut rest = out;
    for first in rows.clone().step_by(MAP_ROWS) {
        let last = rows.end.min(first + MAP_ROWS);
        let (piece, tail) = rest.split_at_mut(indptr[last] - indptr[first]);
        pieces.push((first, piece));
        rest = tail;
    }
    pieces.into_par_iter().for_each(|(first, piece)| {
        let mut out = piece.iter_mut();
        for i in first..rows.end.min(first + MAP_ROWS) {
            let (columns, values) = c.row(i);
            for ((&j, &v), o) in columns.iter().zip(values).zip(&mut out) {
                *o = entry(i, j as usize, v);
            }
        }
    });
}

/// `Cᵀ(C v)`, without the `n`-row intermediate.
///
/// Works on [`PANEL`] columns of `v` at a time: their row of the product stays in registers, and the panel of `v`
/// and of the sum, both accessed at random, are small enough for the cache. Reading the matrix again for the next
/// panel costs less, since that is sequential.
///
/// # Cost    `2 · nnz · l` multiply-adds; partial sums of `(n_cols, PANEL)`, at most 256 MB or two of them alive.
pub(crate) fn apply_gram(
    c: CsrView<'_, f32>,
    entry: &(impl Fn(usize, usize, f32) -> f64 + Sync),
    v: ArrayView2<'_, f64>,
) -> Array2<f64> {
    let (n, f, l) = (c.n_rows(), c.n_cols(), v.ncols());
    let mut total = Array2::<f64>::zeros((f, l));
    if n == 0 || f == 0 {
        return total;
    }
    let group = (PARTIAL_BYTES / (8 * f * PANEL)).clamp(2, 16);
    let chunk = n.div_ceil(16).max(512);
    let starts: Vec<usize> = (0..n).step_by(chunk).collect();
    for panel in (0..l).step_by(PANEL) {
        let width = PANEL.min(l - panel);
        let mut right = vec![[0.0; PANEL]; f];
        for (row, source) in right.iter_mut().zip(v.rows()) {
            row.iter_mut().zip(source.iter().skip(panel)).for_each(|(r, s)| *r = *s);
        }
        let mut sum = vec![[0.0; PANEL]; f];
        for starts in starts.chunks(group) {
            let parts: Vec<Vec<[f64; PANEL]>> = starts
                .par_iter()
                .map(|&first| panel_product(c, entry, first..n.min(first + chunk), &right))
                .collect();
            sum.par_iter_mut().enumerate().for_each(|(j, sum)| {
                for part in &parts {
                    sum.iter_mut().zip(&part[j]).for_each(|(s, p)| *s += p);
                }
            });
        }
        for (mut row, source) in total.rows_mut().into_iter().zip(&sum) {
            row.iter_mut().skip(panel).zip(&source[..width]).for_each(|(t, s)| *t = *s);
        }
    }
    total
}

/// `C_rᵀ (C_r right)` for the rows `r` alone.
fn panel_product(
    c: CsrView<'_, f32>,
    entry: &impl Fn(usize, usize, f32) -> f64,
    rows: std::ops::Range<usize>,
    right: &[[f64; PANEL]],
) -> Vec<[f64; PANEL]> {
    let mut part = vec![[0.0; PANEL]; right.len()];
    let mut mapped: Vec<f64> = Vec::new();
    for i in rows {
        let (columns, values) = c.row(i);
        mapped.clear();
        mapped.extend(columns.iter().zip(values).map(|(&j, &x)| entry(i, j as usize, x)));
        let mut product = [0.0; PANEL];
        for (&j, x) in columns.iter().zip(&mapped) {
            product.iter_mut().zip(&right[j as usize]).for_each(|(p, r)| *p += x * r);
        }
        for (&j, x) in columns.iter().zip(&mapped) {
            part[j as usize].iter_mut().zip(&product).for_each(|(o, p)| *o += x * p);
        }
    }
    part
}

/// `out += C v`, rows in parallel.
pub(crate) fn rows_times(
    c: CsrView<'_, f32>,
    entry: &(impl Fn(usize, usize, f32) -> f64 + Sync),
    v: ArrayView2<'_, f64>,
    out: &mut Array2<f64>,
) {
    let l = v.ncols();
    if l == 0 || c.n_rows() == 0 {
        return;
    }
    let v = v.as_standard_layout();
    let right = v.as_slice().expect("standard layout was just made");
    let rows = out.as_slice_mut().expect("row-major");
    rows.par_chunks_mut(l).enumerate().for_each(|(i, row)| {
        let (columns, values) = c.row(i);
        for (&j, &x) in columns.iter().zip(values) {
            let x = entry(i, j as usize, x);
            let source = &right[j as usize * l..(j as usize + 1) * l];
            row.iter_mut().zip(source).for_each(|(o, s)| *o += x * s);
        }
    });
}
