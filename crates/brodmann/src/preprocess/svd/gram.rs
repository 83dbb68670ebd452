//! `CᵀC` of a sparse matrix applied to a block of vectors.
//!
//! Entries are `entry(row, column, stored value)`, so that scaling needs no second matrix.

use brodmann_kernels::CsrView;
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

/// Columns multiplied together when the product is applied.
const PANEL: usize = 16;
/// Most bytes of partial sums alive at once when the product is applied.
const PARTIAL_BYTES: usize = 1 << 28;

/// `Cᵀ(C v)`, without the `n`-row intermediate.
///
/// Works on [`PANEL`] columns of `v` at a time: their row of the product stays in registers, and the panel of `v`
/// and of the sum, both accessed at random, are small enough for the cache. Reading the matrix again for the next
/// panel costs less, since that is sequential.
///
/// # Cost
/// `2 · nnz · l` multiply-adds; partial sums of `(n_cols, PANEL)`, at most 256 MB or two of them alive.
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
