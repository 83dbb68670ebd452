//! `CᵀC` of a sparse matrix, formed.
//!
//! Few columns of counts are nearly full and most are nearly empty, and each kind has a way of its own. Columns are
//! put in order of their entries; the fullest are written out:
//!
//! * full × full: products of dense blocks, upper triangle only.
//! * empty × full: each entry of an empty column adds a multiple of a dense row.
//! * empty × empty: each pair of entries of a row adds to one place.
//!
//! How many columns count as full is where the three together cost least. Every sum runs over the rows in their
//! order, whatever the number of threads.

use std::ops::Range;

use brodmann_kernels::arch::rows::{RowKernels, SparseRows};
use brodmann_kernels::matmul::matmul_add_into_serial;
use brodmann_kernels::{CsrView, Monitor, ParallelLoop};
use ndarray::{Array2, ArrayView2, ArrayViewMut2};
use rayon::prelude::*;

use crate::preprocess::error::PreprocessError;

/// Rows written out together: half of what the dense kernels sum in one go.
const ROWS: usize = 256;
/// … in panels of so many columns: a quarter of a megabyte of f64, of which two stay in a core's second-level cache.
const PANEL: usize = 128;
/// Entries taken apart at a time …
const SPAN_ENTRIES: usize = 1 << 20;
/// … and pieces of [`ROWS`], at least and at most: enough for several threads, and little beside the matrix.
const SPAN_PIECES: (usize, usize) = (4, 16);
/// Bytes of the result that a task on pairs of entries writes: fits a core's cache.
const PAIR_BYTES: usize = 1 << 20;
/// Cost of a multiply-add in each of the three ways, about nanoseconds: estimates from the instructions each takes, which
/// need only be right where two ways cost about the same.
const COST_DENSE: f64 = 0.12;
const COST_MIXED: f64 = 0.42;
const COST_PAIR: f64 = 3.0;

/// `CᵀC` with its columns in another order.
pub(crate) struct Gram {
    /// `(n_cols, n_cols)`, symmetric.
    pub(crate) values: Array2<f64>,
    /// Row and column `a` of `values` belong to column `order[a]` of the matrix.
    pub(crate) order: Vec<u32>,
}

/// How the columns are taken.
pub(crate) struct Arrangement {
    /// By falling number of entries; those not written out in their order.
    order: Vec<u32>,
    /// How many are written out.
    n_full: usize,
    /// Estimated nanoseconds of forming the product on one core.
    pub(crate) ns: f64,
}

impl Arrangement {
    /// Whether all columns are written out.
    pub(crate) fn is_full(&self) -> bool {
        self.n_full == self.order.len()
    }
}

/// The arrangement that costs least.
pub(crate) fn arrange(c: CsrView<'_, f32>) -> Arrangement {
    let (n, f) = (c.n_rows(), c.n_cols());
    let mut counts = vec![0usize; f];
    c.indices().iter().for_each(|&j| counts[j as usize] += 1);
    let mut order: Vec<u32> = (0..f as u32).collect();
    order.sort_by_key(|&j| std::cmp::Reverse(counts[j as usize]));
    let mut rest = c.nnz() as f64 / n.max(1) as f64;
    let (mut best, mut n_full) = (f64::INFINITY, 0);
    for (m, next) in (0..=f).map(|m| (m, order.get(m))) {
        let full = m as f64;
        if m % PANEL == 0 || m == f {
            let cost = 0.5 * full * (full + PANEL as f64) * COST_DENSE
                + full * rest * COST_MIXED
                + 0.5 * rest * rest * COST_PAIR;
            if cost < best {
                (best, n_full) = (cost, m);
            }
        }
        if let Some(&j) = next {
            rest -= counts[j as usize] as f64 / n.max(1) as f64;
        }
    }
    // Empty columns stay in their order, so that rows stay sorted.
    order[n_full..].sort_unstable();
    Arrangement { order, n_full, ns: if f == 0 { 0.0 } else { best * n as f64 } }
}

/// `CᵀC`, entries given by `entry(row, column, stored value)`.
///
/// # Cost
/// With `m` full columns and `s` entries per row in the others: `n (m² / 2 + m s + s² / 2)` multiply-adds;
/// the result twice, and up to 4096 rows of the full columns.
pub(crate) fn form_gram(
    c: CsrView<'_, f32>,
    arrangement: Arrangement,
    entry: &(impl Fn(usize, usize, f32) -> f64 + Sync),
    monitor: &dyn Monitor,
) -> Result<Gram, PreprocessError> {
    let (n, f) = (c.n_rows(), c.n_cols());
    let Arrangement { order, n_full, .. } = arrangement;
    let mut values = Array2::<f64>::zeros((f, f));
    if n == 0 || f == 0 {
        return Ok(Gram { values, order });
    }
    let mut place = vec![0u32; f];
    for (a, &j) in order.iter().enumerate() {
        place[j as usize] = a as u32;
    }
    let n_sparse = f - n_full;
    let n_panels = n_full.div_ceil(PANEL);
    let width = |p: usize| PANEL.min(n_full - p * PANEL);
    // One block of the result per pair of panels, and one of the empty columns per panel.
    let pairs: Vec<(usize, usize)> = (0..n_panels).flat_map(|a| (a..n_panels).map(move |b| (a, b))).collect();
    let mut dense: Vec<Vec<f64>> = pairs.iter().map(|&(a, b)| vec![0.0; width(a) * width(b)]).collect();
    let mut mixed: Vec<Vec<f64>> = (0..n_panels).map(|p| vec![0.0; n_sparse * width(p)]).collect();
    let own_rows = (PAIR_BYTES / (8 * f)).clamp(8, 512);

    let indptr = c.indptr();
    let mut first = 0;
    while first < n {
        monitor.check()?;
        let fitting = indptr.partition_point(|&at| at <= indptr[first] + SPAN_ENTRIES);
        let last = fitting.clamp(first + SPAN_PIECES.0 * ROWS, first + SPAN_PIECES.1 * ROWS).min(n);
        let starts: Vec<usize> = (first..last).step_by(ROWS).collect();
        let pieces: Vec<Piece> = starts
            .par_iter()
            .map(|&start| Piece::new(c, entry, &place, n_full, start..last.min(start + ROWS)))
            .collect_vec();
        first = last;
        // Rows of the result are owned by tasks, each of which looks at all entries for its own.
        let sparse_part = &mut values.as_slice_mut().expect("row-major")[n_full * f..];
        sparse_part.par_chunks_mut(own_rows * f).enumerate().each(|(t, part)| {
            let low = t * own_rows;
            for piece in &pieces {
                piece.add_pairs(low as u32, n_full, f, part);
            }
        });
        if n_full == 0 {
            continue;
        }
        for piece in &pieces {
            monitor.check()?;
            let n_rows = piece.rows.len();
            let by_column = piece.by_column(n_sparse);
            let of = |p: usize| &piece.full[p * PANEL * n_rows..][..width(p) * n_rows];
            mixed.par_iter_mut().enumerate().each(|(p, mixed)| {
                let rows = SparseRows {
                    indptr: &by_column.0,
                    indices: &by_column.1,
                    data: &by_column.2,
                    dense: of(p),
                    width: width(p),
                };
                f64::sparse_rows(mixed, 0, rows, &[], true);
            });
            dense.par_iter_mut().zip(&pairs).each(|(out, &(a, b))| {
                let view = |p: usize| {
                    ArrayView2::from_shape((n_rows, width(p)), of(p)).expect("sized by the rows of the piece")
                };
                let out = ArrayViewMut2::from_shape((width(a), width(b)), out).expect("sized by the panels");
                matmul_add_into_serial(out, view(a).t(), view(b));
            });
        }
    }
    for (&(a, b), block) in pairs.iter().zip(&dense) {
        for (at, &v) in block.iter().enumerate() {
            values[[a * PANEL + at / width(b), b * PANEL + at % width(b)]] = v;
        }
    }
    for (p, block) in mixed.iter().enumerate() {
        for (at, &v) in block.iter().enumerate() {
            values[[p * PANEL + at % width(p), n_full + at / width(p)]] = v;
        }
    }
    for i in 0..f {
        for j in 0..i {
            values[[i, j]] = values[[j, i]];
        }
    }
    Ok(Gram { values, order })
}

/// Some rows. The full columns are written out, panel by panel; the others are numbered from the first of them.
struct Piece {
    rows: Range<usize>,
    /// Panels of the full columns one behind the other, each row by row.
    full: Vec<f64>,
    indptr: Vec<usize>,
    indices: Vec<u32>,
    data: Vec<f64>,
}

impl Piece {
    fn new(
        c: CsrView<'_, f32>,
        entry: &(impl Fn(usize, usize, f32) -> f64 + Sync),
        place: &[u32],
        n_full: usize,
        rows: Range<usize>,
    ) -> Self {
        let most = c.indptr()[rows.end] - c.indptr()[rows.start];
        let mut indptr = Vec::with_capacity(rows.len() + 1);
        indptr.push(0);
        let most = if n_full == c.n_cols() { 0 } else { most };
        let (mut indices, mut data) = (Vec::with_capacity(most), Vec::with_capacity(most));
        let n_rows = rows.len();
        let mut full = vec![0.0; n_rows * n_full];
        // Where a full column begins, and how far apart its rows are.
        let at: Vec<(usize, usize)> = (0..n_full)
            .map(|to| {
                let first = to / PANEL * PANEL;
                (first * n_rows + to - first, PANEL.min(n_full - first))
            })
            .collect();
        for (r, i) in rows.clone().enumerate() {
            let (columns, values) = c.row(i);
            for (&j, &v) in columns.iter().zip(values) {
                let to = place[j as usize] as usize;
                let value = entry(i, j as usize, v);
                if let Some((start, step)) = at.get(to) {
                    full[start + r * step] = value;
                } else {
                    indices.push((to - n_full) as u32);
                    data.push(value);
                }
            }
            indptr.push(indices.len());
        }
        Self { rows, full, indptr, indices, data }
    }

    /// Adds the products of all pairs of entries whose first column is one of those from `low` on that `part` holds.
    fn add_pairs(&self, low: u32, n_full: usize, f: usize, part: &mut [f64]) {
        let high = low + (part.len() / f) as u32;
        for range in self.indptr.windows(2) {
            let (columns, values) = (&self.indices[range[0]..range[1]], &self.data[range[0]..range[1]]);
            let from = columns.partition_point(|&j| j < low);
            let own = columns[from..].partition_point(|&j| j < high);
            let (columns, values) = (&columns[from..], &values[from..]);
            let start = |t: usize| (columns[t] - low) as usize * f + n_full;
            let end = |t: usize| ((columns[t] - low) as usize + 1) * f;
            let mut t = 0;
            // Two at a time: what they are multiplied with is read once for both.
            while t + 1 < own {
                let (x, y) = (values[t], values[t + 1]);
                let (before, after) = part.split_at_mut(start(t + 1));
                let a = &mut before[start(t)..end(t)];
                let b = &mut after[..end(t + 1) - start(t + 1)];
                a[columns[t] as usize] += x * x;
                for (&j, v) in columns[t + 1..].iter().zip(&values[t + 1..]) {
                    a[j as usize] += x * v;
                    b[j as usize] += y * v;
                }
                t += 2;
            }
            if t < own {
                let a = &mut part[start(t)..end(t)];
                for (&j, v) in columns[t..].iter().zip(&values[t..]) {
                    a[j as usize] += values[t] * v;
                }
            }
        }
    }

    /// The transpose: row starts, rows (counted from the first of the piece) and values of each column.
    fn by_column(&self, n_columns: usize) -> (Vec<usize>, Vec<u32>, Vec<f64>) {
        let mut indptr = vec![0usize; n_columns + 1];
        for &j in &self.indices {
            indptr[j as usize + 1] += 1;
        }
        for j in 0..n_columns {
            indptr[j + 1] += indptr[j];
        }
        let mut next = indptr.clone();
        let (mut rows, mut data) = (vec![0u32; self.indices.len()], vec![0.0; self.indices.len()]);
        for (i, range) in self.indptr.windows(2).enumerate() {
            for k in range[0]..range[1] {
                let at = &mut next[self.indices[k] as usize];
                rows[*at] = i as u32;
                data[*at] = self.data[k];
                *at += 1;
            }
        }
        (indptr, rows, data)
    }
}

#[cfg(test)]
mod tests {
    use brodmann_kernels::{CsrMatrix, Seed, Silent};

    use super::*;

    /// A fifth of the columns nearly full, the others nearly empty, in no order.
    fn example(n: usize, f: usize) -> CsrMatrix<f32> {
        let rows: Vec<Vec<(u32, f32)>> = (0..n)
            .map(|i| {
                let word = |j: usize| Seed(5).word((i * f + j) as u64);
                let stored = |j: &usize| word(*j) % 1000 < if j * 11 % f < f / 5 { 900 } else { 20 };
                (0..f).filter(stored).map(|j| (j as u32, (word(j) >> 40) as f32 / 1e6 - 8.0)).collect()
            })
            .collect();
        CsrMatrix::from_rows(f, &rows)
    }

    fn gram(x: &CsrMatrix<f32>) -> Gram {
        form_gram(x.view(), arrange(x.view()), &|i, j, v| f64::from(v) + (i % 3 + j % 2) as f64, &Silent)
            .expect("formed")
    }

    #[test]
    fn every_way_gives_the_product() {
        let mut mixed = false;
        for (n, f) in [(1, 1), (5, 3), (1500, 40), (2500, 300), (1200, 1000)] {
            let x = example(n, f);
            let n_full = arrange(x.view()).n_full;
            mixed |= n_full > 0 && n_full < f;
            let mut dense = Array2::<f64>::zeros((n, f));
            for i in 0..n {
                let (columns, values) = x.view().row(i);
                for (&j, &v) in columns.iter().zip(values) {
                    dense[[i, j as usize]] = f64::from(v) + (i % 3 + j as usize % 2) as f64;
                }
            }
            let expected = dense.t().dot(&dense);
            let found = gram(&x);
            for a in 0..f {
                for b in 0..f {
                    let e = expected[[found.order[a] as usize, found.order[b] as usize]];
                    assert!((found.values[[a, b]] - e).abs() < 1e-9 * e.abs().max(1.0), "{n} {f}: {a} {b}");
                }
            }
        }
        assert!(mixed, "both kinds of columns in one matrix");
    }

    #[test]
    fn one_thread_gives_the_bits_of_several() {
        let x = example(1200, 1000);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
            pool.install(|| gram(&x).values)
        };
        assert_eq!(run(1), run(3));
    }
}
