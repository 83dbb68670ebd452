//! `CᵀC` of a sparse matrix applied to a block of vectors.
//!
//! Entries are functions of what is stored ([`Entry`]), so that scaling needs no second matrix. A few rows at a time are
//! written out where enough of them is stored: each entry of a full row then costs a third of what it costs among
//! column numbers.

use std::ops::Range;

use brodmann_kernels::arch::panel::{
    Lanes, SparsePanel, TILE, WIDTH, gather, scatter, sparse_gather, sparse_scatter, widen,
};
use brodmann_kernels::{CsrView, ParallelLoop};
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

/// Most bytes of partial sums alive at once when the product is applied.
const PARTIAL_BYTES: usize = 1 << 28;
/// Rows multiplied together …
const GROUP: usize = 32;
/// … and so many of them at a time where they are written out: half a megabyte of a few thousand columns.
const FULL_GROUP: usize = 16;
/// Rows multiplied in one task.
const TASK_ROWS: usize = 64;
/// Nanoseconds per entry and pass where rows are written out and where they are not, measured on one core …
const FULL_NS: f64 = 2.5;
const SPARSE_NS: f64 = 4.0;
/// … and so the stored share of a group from which it is written out.
const FULL: f64 = 0.8;

/// What the entries of the matrix are.
pub(crate) trait Entry: Sync {
    /// The entry at a row and a column where a value is stored.
    fn of(&self, row: usize, column: usize, stored: f32) -> f64;
    /// Whether it is always the value itself.
    fn is_plain(&self) -> bool {
        false
    }
}

impl<F: Fn(usize, usize, f32) -> f64 + Sync> Entry for F {
    #[inline]
    fn of(&self, row: usize, column: usize, stored: f32) -> f64 {
        self(row, column, stored)
    }
}

/// What is stored, as it is.
pub(crate) struct Plain;

impl Entry for Plain {
    #[inline]
    fn of(&self, _row: usize, _column: usize, stored: f32) -> f64 {
        f64::from(stored)
    }

    fn is_plain(&self) -> bool {
        true
    }
}

/// The entries of the transpose.
pub(crate) struct Turned<'a, E>(pub(crate) &'a E);

impl<E: Entry> Entry for Turned<'_, E> {
    #[inline]
    fn of(&self, row: usize, column: usize, stored: f32) -> f64 {
        self.0.of(column, row, stored)
    }

    fn is_plain(&self) -> bool {
        self.0.is_plain()
    }
}

/// `Cᵀ(C v)`, without the `n`-row intermediate.
///
/// Works on [`WIDTH`] columns of `v` at a time: their row of the product stays in registers, and the panel of `v`
/// and of the sum, both accessed at random, are small enough for the cache. Reading the matrix again for the next
/// panel costs less, since that is sequential.
///
/// ```text
/// for rows i:  y = Σ_j c_ij v_j          (over a tile of columns at a time)
///              out_j += c_ij y           (the same)
/// ```
///
/// # Cost
/// `2 · nnz · l` multiply-adds; partial sums of `(n_cols, WIDTH)`, at most 256 MB or two of them alive.
pub(crate) fn apply_gram(c: CsrView<'_, f32>, entry: &impl Entry, v: ArrayView2<'_, f64>) -> Array2<f64> {
    let (n, f, l) = (c.n_rows(), c.n_cols(), v.ncols());
    let mut total = Array2::<f64>::zeros((f, l));
    if n == 0 || f == 0 {
        return total;
    }
    let at_once = (PARTIAL_BYTES / (8 * f * WIDTH)).clamp(2, 16);
    let chunk = n.div_ceil(16).max(128).next_multiple_of(GROUP);
    let starts: Vec<usize> = (0..n).step_by(chunk).collect();
    for (p, right) in panels(v).iter().enumerate() {
        let mut sum = vec![Lanes::ZERO; f];
        for starts in starts.chunks(at_once) {
            let parts: Vec<Vec<Lanes>> = starts
                .par_iter()
                .map(|&first| panel_product(c, entry, first..n.min(first + chunk), right))
                .collect_vec();
            sum.par_iter_mut().with_min_len(256).enumerate().each(|(j, sum)| {
                for part in &parts {
                    sum.0.iter_mut().zip(&part[j].0).for_each(|(s, p)| *s += p);
                }
            });
        }
        for (mut row, source) in total.rows_mut().into_iter().zip(&sum) {
            row.iter_mut().skip(p * WIDTH).zip(&source.0).for_each(|(t, s)| *t = *s);
        }
    }
    total
}

/// `M v` of a matrix in memory, rows in parallel: the product that iterating on a formed matrix consists of.
pub(crate) fn matrix_times(m: &Array2<f64>, v: ArrayView2<'_, f64>) -> Array2<f64> {
    let (n, f, l) = (m.nrows(), m.ncols(), v.ncols());
    let mut out = Array2::<f64>::zeros((n, l));
    if n == 0 || f == 0 || l == 0 {
        return out;
    }
    let panels = panels(v);
    let m = m.as_standard_layout();
    let rows = m.as_slice().expect("standard layout was just made").par_chunks(FULL_GROUP * f);
    let tasks = out.as_slice_mut().expect("row-major").par_chunks_mut(FULL_GROUP * l);
    tasks.zip(rows).for_each(|(out, rows)| {
        let rows: Vec<&[f64]> = rows.chunks_exact(f).collect();
        for (p, right) in panels.iter().enumerate() {
            let mut sums = [Lanes::ZERO; FULL_GROUP];
            gather(&rows, right, &mut sums[..rows.len()]);
            for (row, sum) in out.chunks_exact_mut(l).zip(&sums) {
                row.iter_mut().skip(p * WIDTH).zip(&sum.0).for_each(|(o, s)| *o = *s);
            }
        }
    });
    out
}

/// Estimated nanoseconds of [`apply_gram`] to eight vectors on one core.
pub(crate) fn pass_ns(c: CsrView<'_, f32>) -> f64 {
    let (stored, all) = (c.nnz() as f64, c.n_rows() as f64 * c.n_cols() as f64);
    if stored >= FULL * all { all * FULL_NS } else { stored * SPARSE_NS }
}

/// The columns of `v`, [`WIDTH`] by `WIDTH`, zeros behind the last.
fn panels(v: ArrayView2<'_, f64>) -> Vec<Vec<Lanes>> {
    let mut panels = vec![vec![Lanes::ZERO; v.nrows()]; v.ncols().div_ceil(WIDTH)];
    for (p, panel) in panels.iter_mut().enumerate() {
        for (lanes, row) in panel.iter_mut().zip(v.rows()) {
            lanes.0.iter_mut().zip(row.iter().skip(p * WIDTH)).for_each(|(l, v)| *l = *v);
        }
    }
    panels
}

/// Some rows as the products take them.
enum Group<'a> {
    /// Written out, one behind the other.
    Full(&'a [f64]),
    /// With their columns.
    Sparse(SparsePanel<'a>),
}

impl Group<'_> {
    /// `sums_r += Σ_j c_rj right_j`.
    fn gather(&self, right: &[Lanes], sums: &mut [Lanes]) {
        match self {
            Self::Sparse(rows) => sparse_gather(rows, right, sums),
            Self::Full(rows) => {
                for (t, right) in right.chunks(TILE).enumerate() {
                    gather(&tile_of(rows, sums.len(), t), right, sums);
                }
            }
        }
    }

    /// `out_j += Σ_r c_rj left_r`.
    fn scatter(&self, left: &[Lanes], out: &mut [Lanes]) {
        match self {
            Self::Sparse(rows) => sparse_scatter(rows, left, out),
            Self::Full(rows) => {
                for (t, out) in out.chunks_mut(TILE).enumerate() {
                    scatter(&tile_of(rows, left.len(), t), left, out);
                }
            }
        }
    }
}

/// Columns of one tile in each of `n_rows` rows.
fn tile_of(rows: &[f64], n_rows: usize, tile: usize) -> Vec<&[f64]> {
    let n_columns = rows.len() / n_rows;
    let columns = tile * TILE..n_columns.min((tile + 1) * TILE);
    rows.chunks_exact(n_columns).map(|row| &row[columns.clone()]).collect()
}

/// Hands the rows to `each` in groups, with the number of the first and how many they are.
fn each_group(
    c: CsrView<'_, f32>,
    entry: &impl Entry,
    rows: Range<usize>,
    mut each: impl FnMut(usize, usize, Group<'_>),
) {
    let f = c.n_cols();
    let mut buffer: Vec<f64> = Vec::new();
    for first in rows.clone().step_by(GROUP) {
        let last = rows.end.min(first + GROUP);
        let (start, end) = (c.indptr()[first], c.indptr()[last]);
        if (end - start) as f64 >= FULL * ((last - first) * f) as f64 {
            for first in (first..last).step_by(FULL_GROUP) {
                let n_rows = FULL_GROUP.min(last - first);
                buffer.resize(n_rows * f, 0.0);
                for (i, row) in (first..first + n_rows).zip(buffer.chunks_exact_mut(f)) {
                    write_row(c, entry, i, row);
                }
                each(first, n_rows, Group::Full(&buffer));
            }
        } else {
            buffer.resize(end - start, 0.0);
            if entry.is_plain() {
                widen(&mut buffer, &c.data()[start..end]);
            } else {
                for i in first..last {
                    let (columns, values) = c.row(i);
                    let to = &mut buffer[c.indptr()[i] - start..];
                    let entries = to.iter_mut().zip(columns.iter().zip(values));
                    entries.for_each(|(to, (&j, &v))| *to = entry.of(i, j as usize, v));
                }
            }
            let indptr: Vec<usize> = c.indptr()[first..=last].iter().map(|at| at - start).collect();
            let rows = SparsePanel { indptr: &indptr, indices: &c.indices()[start..end], data: &buffer };
            each(first, last - first, Group::Sparse(rows));
        }
    }
}

/// Writes row `i` out.
pub(super) fn write_row(c: CsrView<'_, f32>, entry: &impl Entry, i: usize, row: &mut [f64]) {
    let (columns, values) = c.row(i);
    if columns.len() < row.len() {
        row.fill(0.0);
        columns.iter().zip(values).for_each(|(&j, &v)| row[j as usize] = entry.of(i, j as usize, v));
    } else if entry.is_plain() {
        widen(row, values);
    } else {
        row.iter_mut().zip(values).enumerate().for_each(|(j, (to, &v))| *to = entry.of(i, j, v));
    }
}

/// `C_rᵀ (C_r right)` for the rows `r` alone.
fn panel_product(c: CsrView<'_, f32>, entry: &impl Entry, rows: Range<usize>, right: &[Lanes]) -> Vec<Lanes> {
    let mut part = vec![Lanes::ZERO; right.len()];
    each_group(c, entry, rows, |_, n_rows, group| {
        let mut products = [Lanes::ZERO; GROUP];
        group.gather(right, &mut products[..n_rows]);
        group.scatter(&products[..n_rows], &mut part);
    });
    part
}

/// `out += C v`, rows in parallel.
pub(crate) fn rows_times(
    c: CsrView<'_, f32>,
    entry: &impl Entry,
    v: ArrayView2<'_, f64>,
    out: &mut Array2<f64>,
) {
    let (n, f, l) = (c.n_rows(), c.n_cols(), v.ncols());
    if l == 0 || n == 0 || f == 0 {
        return;
    }
    let panels = panels(v);
    let rows = out.as_slice_mut().expect("row-major");
    rows.par_chunks_mut(TASK_ROWS * l).enumerate().each(|(t, out)| {
        let start = t * TASK_ROWS;
        each_group(c, entry, start..n.min(start + TASK_ROWS), |first, n_rows, group| {
            let out = &mut out[(first - start) * l..][..n_rows * l];
            for (p, right) in panels.iter().enumerate() {
                let mut sums = [Lanes::ZERO; GROUP];
                group.gather(right, &mut sums[..n_rows]);
                for (row, sum) in out.chunks_exact_mut(l).zip(&sums) {
                    row.iter_mut().skip(p * WIDTH).zip(&sum.0).for_each(|(o, s)| *o += *s);
                }
            }
        });
    });
}
