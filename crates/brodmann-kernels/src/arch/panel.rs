//! Products of a matrix with eight vectors at once, and of its transpose: what iterations for eigenvectors are made of.
//!
//! ```text
//! gather:  sums[r] += Σ_j rows[r][j] · right[j]        (sums and right: rows of eight)
//! scatter: out[j]  += Σ_r rows[r][j] · left[r]
//! ```
//!
//! Eight sums or eight rows of `out` at a time stay in registers, so that each number loaded is used eight times. Eight
//! vectors are a cache line; grown by sixteen, a Krylov space of tissue comes to hold a third more vectors.
//! A sum runs over `j` (or over `r`) in order in every copy of a body; copies differ in the tile they hold, and in
//! that the portable one rounds products (see [`simd`](crate::simd)).

use crate::simd::{Simd, active};

/// Vectors multiplied together.
pub const WIDTH: usize = 8;
/// One row of a block of vectors, at the start of a cache line: a vector that lies across two is read twice.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub struct Lanes(pub [f64; WIDTH]);

impl Lanes {
    /// Zeros.
    pub const ZERO: Self = Self([0.0; WIDTH]);

    /// The numbers of all rows, one row behind the other.
    pub fn flat(rows: &[Self]) -> &[f64] {
        // SAFETY: a row is `WIDTH` numbers without padding (`repr(C)`, 128 bytes, aligned to 64), and the slice lives as
        // long as the rows are borrowed.
        unsafe { std::slice::from_raw_parts(rows.as_ptr().cast(), rows.len() * WIDTH) }
    }
}
/// Columns whose rows of a block of vectors fit the first-level cache beside what they are multiplied with: 8 KB.
pub const TILE: usize = 128;
/// The same where a row has entries in few of them: 256 KB, of the second-level cache. To find where a row enters a
/// small tile costs more than its few entries there.
const SPARSE_TILE: usize = 4096;
/// Sums a sparse product takes at the same time, so that one addition need not wait for the last.
const CHAINS: usize = 4;

/// Some rows of a sparse matrix: the arrays of compressed sparse rows, columns of a row rising.
#[derive(Clone, Copy, Debug)]
pub struct SparsePanel<'a> {
    /// `n_rows + 1` offsets into the other two.
    pub indptr: &'a [usize],
    /// Columns.
    pub indices: &'a [u32],
    /// Values.
    pub data: &'a [f64],
}

#[inline(always)]
fn widen_body(out: &mut [f64], x: &[f32]) {
    out.iter_mut().zip(x).for_each(|(o, v)| *o = f64::from(*v));
}

#[inline(always)]
fn fma<const FUSED: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// `N` lanes from `first` on.
#[inline(always)]
fn part<const N: usize>(lanes: &Lanes, first: usize) -> [f64; N] {
    std::array::from_fn(|l| lanes.0[first + l])
}

/// `gather` for `R` rows, `L` lanes at a time.
#[inline(always)]
fn gather_tile<const FUSED: bool, const R: usize, const L: usize>(
    rows: &[&[f64]],
    right: &[Lanes],
    sums: &mut [Lanes],
) {
    let rows: [&[f64]; R] = std::array::from_fn(|r| &rows[r][..right.len()]);
    for first in (0..WIDTH).step_by(L) {
        let mut tile: [[f64; L]; R] = std::array::from_fn(|r| part(&sums[r], first));
        for (j, lanes) in right.iter().enumerate() {
            let lanes: [f64; L] = part(lanes, first);
            for r in 0..R {
                let a = rows[r][j];
                for l in 0..L {
                    tile[r][l] = fma::<FUSED>(a, lanes[l], tile[r][l]);
                }
            }
        }
        for (sum, tile) in sums.iter_mut().zip(&tile) {
            sum.0[first..first + L].copy_from_slice(tile);
        }
    }
}

#[inline(always)]
fn gather_body<const FUSED: bool, const R: usize, const L: usize>(
    rows: &[&[f64]],
    right: &[Lanes],
    sums: &mut [Lanes],
) {
    let whole = rows.len() / R * R;
    for (rows, sums) in rows[..whole].chunks_exact(R).zip(sums.chunks_exact_mut(R)) {
        gather_tile::<FUSED, R, L>(rows, right, sums);
    }
    for (row, sum) in rows[whole..].iter().zip(&mut sums[whole..]) {
        gather_tile::<FUSED, 1, L>(&[row], right, std::slice::from_mut(sum));
    }
}

/// The portable `scatter`.
fn scatter_body(rows: &[&[f64]], left: &[Lanes], out: &mut [Lanes]) {
    for (row, left) in rows.iter().zip(left) {
        for (a, out) in row[..out.len()].iter().zip(&mut *out) {
            for l in 0..WIDTH {
                out.0[l] += a * left.0[l];
            }
        }
    }
}

/// `scatter` with vectors named one by one. Of the loops above compilers make what they like: vectors across the rows of `out`,
/// shuffled and scattered, and with one unit per crate plain numbers, at a fifteenth of the speed.
///
/// ```text
/// eight rows at a time, each read from one end to the other
///     R rows of `out` at a time, held in registers
///         for each of the eight, for each of the R: out[r] += row[r] · left
/// ```
#[cfg(target_arch = "x86_64")]
mod scattered {
    use std::arch::x86_64::{
        __m256d, __m512d, _mm256_fmadd_pd, _mm256_loadu_pd, _mm256_set1_pd, _mm256_setzero_pd,
        _mm256_storeu_pd, _mm512_fmadd_pd, _mm512_loadu_pd, _mm512_set1_pd, _mm512_setzero_pd,
        _mm512_storeu_pd,
    };

    use super::Lanes;

    /// Rows that are scattered at the same time: as many streams as processors follow.
    const SCATTERED: usize = 8;

    /// By vectors of eight.
    #[target_feature(enable = "avx512f")]
    pub(super) fn wide(rows: &[&[f64]], left: &[Lanes], out: &mut [Lanes]) {
        for (rows, left) in rows.chunks(SCATTERED).zip(left.chunks(SCATTERED)) {
            let mut lanes = [_mm512_setzero_pd(); SCATTERED];
            for (lanes, left) in lanes.iter_mut().zip(left) {
                // SAFETY: a row of a block is eight numbers.
                *lanes = unsafe { _mm512_loadu_pd(left.0.as_ptr()) };
            }
            let (tiles, rest) = out.as_chunks_mut::<8>();
            for (t, tile) in tiles.iter_mut().enumerate() {
                wide_tile(rows, 8 * t, &lanes, tile);
            }
            for (j, out) in rest.iter_mut().enumerate() {
                wide_tile(rows, 8 * tiles.len() + j, &lanes, std::array::from_mut(out));
            }
        }
    }

    #[target_feature(enable = "avx512f")]
    fn wide_tile<const R: usize>(
        rows: &[&[f64]],
        first: usize,
        lanes: &[__m512d; SCATTERED],
        out: &mut [Lanes; R],
    ) {
        let mut tile = [_mm512_setzero_pd(); R];
        for (tile, out) in tile.iter_mut().zip(&*out) {
            // SAFETY: a row of a block is eight numbers.
            *tile = unsafe { _mm512_loadu_pd(out.0.as_ptr()) };
        }
        for (row, lanes) in rows.iter().zip(lanes) {
            let row = &row[first..][..R];
            for r in 0..R {
                tile[r] = _mm512_fmadd_pd(_mm512_set1_pd(row[r]), *lanes, tile[r]);
            }
        }
        for (tile, out) in tile.iter().zip(out) {
            // SAFETY: as above.
            unsafe { _mm512_storeu_pd(out.0.as_mut_ptr(), *tile) };
        }
    }

    /// By vectors of four.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn narrow(rows: &[&[f64]], left: &[Lanes], out: &mut [Lanes]) {
        for (rows, left) in rows.chunks(SCATTERED).zip(left.chunks(SCATTERED)) {
            let (tiles, rest) = out.as_chunks_mut::<4>();
            for (t, tile) in tiles.iter_mut().enumerate() {
                narrow_tile(rows, 4 * t, left, tile);
            }
            for (j, out) in rest.iter_mut().enumerate() {
                narrow_tile(rows, 4 * tiles.len() + j, left, std::array::from_mut(out));
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    fn narrow_tile<const R: usize>(rows: &[&[f64]], first: usize, left: &[Lanes], out: &mut [Lanes; R]) {
        let mut tile = [[_mm256_setzero_pd(); 2]; R];
        for (tile, out) in tile.iter_mut().zip(&*out) {
            *tile = halves(out);
        }
        for (row, left) in rows.iter().zip(left) {
            let row = &row[first..][..R];
            let lanes = halves(left);
            for r in 0..R {
                let a = _mm256_set1_pd(row[r]);
                for half in 0..2 {
                    tile[r][half] = _mm256_fmadd_pd(a, lanes[half], tile[r][half]);
                }
            }
        }
        for (tile, out) in tile.iter().zip(out) {
            let (halves, _) = out.0.as_chunks_mut::<4>();
            for (half, to) in tile.iter().zip(halves) {
                // SAFETY: four numbers.
                unsafe { _mm256_storeu_pd(to.as_mut_ptr(), *half) };
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    fn halves(lanes: &Lanes) -> [__m256d; 2] {
        let (halves, _) = lanes.0.as_chunks::<4>();
        // SAFETY: four numbers each.
        unsafe { [_mm256_loadu_pd(halves[0].as_ptr()), _mm256_loadu_pd(halves[1].as_ptr())] }
    }
}

/// How many of the rising `columns` lie before `end`, where at most [`SPARSE_TILE`] can. In the last tile all do.
#[inline(always)]
fn before(columns: &[u32], end: u32) -> usize {
    match columns.last() {
        Some(&last) if last >= end => {
            columns[..columns.len().min(SPARSE_TILE)].partition_point(|&column| column < end)
        }
        _ => columns.len(),
    }
}

/// Adds to `sums` what the rows have in the tile before `end`, from where `from` stands on, and moves it there.
#[inline(always)]
fn sparse_gather_body<const FUSED: bool>(
    rows: &SparsePanel<'_>,
    end: u32,
    from: &mut [usize],
    right: &[Lanes],
    sums: &mut [Lanes],
) {
    for ((from, last), sum) in from.iter_mut().zip(&rows.indptr[1..]).zip(sums) {
        let columns = &rows.indices[*from..*last];
        let columns = &columns[..before(columns, end)];
        let values = &rows.data[*from..*from + columns.len()];
        *from += columns.len();
        let (columns, column_rest) = columns.as_chunks::<CHAINS>();
        let (values, value_rest) = values.as_chunks::<CHAINS>();
        let mut chains = [[0.0; WIDTH]; CHAINS];
        chains[0] = sum.0;
        for (columns, values) in columns.iter().zip(values) {
            for c in 0..CHAINS {
                let lanes = &right[columns[c] as usize].0;
                for l in 0..WIDTH {
                    chains[c][l] = fma::<FUSED>(values[c], lanes[l], chains[c][l]);
                }
            }
        }
        for ((&column, &a), chain) in column_rest.iter().zip(value_rest).zip(&mut chains) {
            let lanes = &right[column as usize].0;
            for l in 0..WIDTH {
                chain[l] = fma::<FUSED>(a, lanes[l], chain[l]);
            }
        }
        sum.0 = std::array::from_fn(|l| (chains[0][l] + chains[1][l]) + (chains[2][l] + chains[3][l]));
    }
}

/// Adds multiples of `left` to `out` for what the rows have in the tile before `end`, as above.
#[inline(always)]
fn sparse_scatter_body<const FUSED: bool>(
    rows: &SparsePanel<'_>,
    end: u32,
    from: &mut [usize],
    left: &[Lanes],
    out: &mut [Lanes],
) {
    for ((from, last), left) in from.iter_mut().zip(&rows.indptr[1..]).zip(left) {
        let columns = &rows.indices[*from..*last];
        let columns = &columns[..before(columns, end)];
        let values = &rows.data[*from..*from + columns.len()];
        *from += columns.len();
        let left = left.0;
        for (&column, &a) in columns.iter().zip(values) {
            let lanes = &mut out[column as usize].0;
            for l in 0..WIDTH {
                lanes[l] = fma::<FUSED>(a, left[l], lanes[l]);
            }
        }
    }
}

/// A function that runs a body as compiled for the widest vectors this processor has.
macro_rules! dispatched {
    ($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)? {
        $wide:expr, $narrow:expr, $portable:expr
    }) => {
        $(#[$doc])*
        fn $name (simd: Simd, $($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
            fn wide ($($arg: $ty),*) $(-> $ret)? {
                $wide($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn narrow ($($arg: $ty),*) $(-> $ret)? {
                $narrow($($arg),*)
            }
            match simd {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the features were detected on this processor.
                Simd::Avx512 if crate::simd::has(simd) => unsafe { wide($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                Simd::Avx2 if crate::simd::has(simd) => unsafe { narrow($($arg),*) },
                _ => $portable($($arg),*),
            }
        }
    };
}

dispatched!(gather_on(rows: &[&[f64]], right: &[Lanes], sums: &mut [Lanes]) {
    gather_body::<true, 8, 8>, gather_body::<true, 4, 8>, gather_body::<false, 2, 4>
});
dispatched!(scatter_on(rows: &[&[f64]], left: &[Lanes], out: &mut [Lanes]) {
    scattered::wide, scattered::narrow, scatter_body
});
dispatched!(sparse_gather_on(
    rows: &SparsePanel<'_>, end: u32, from: &mut [usize], right: &[Lanes], sums: &mut [Lanes]
) {
    sparse_gather_body::<true>, sparse_gather_body::<true>, sparse_gather_body::<false>
});
dispatched!(sparse_scatter_on(
    rows: &SparsePanel<'_>, end: u32, from: &mut [usize], left: &[Lanes], out: &mut [Lanes]
) {
    sparse_scatter_body::<true>, sparse_scatter_body::<true>, sparse_scatter_body::<false>
});
dispatched!(widen_on(out: &mut [f64], x: &[f32]) { widen_body, widen_body, widen_body });

/// `sums[r] += Σ_j rows[r][j] · right[j]`.
///
/// # Panics
/// When a row is shorter than `right`, or there are not as many sums as rows.
pub fn gather(rows: &[&[f64]], right: &[Lanes], sums: &mut [Lanes]) {
    assert_eq!(rows.len(), sums.len(), "gather: one sum per row");
    gather_on(active(), rows, right, sums);
}

/// `out[j] += Σ_r rows[r][j] · left[r]`.
///
/// # Panics
/// When a row is shorter than `out`, or there are not as many left sides as rows.
pub fn scatter(rows: &[&[f64]], left: &[Lanes], out: &mut [Lanes]) {
    assert_eq!(rows.len(), left.len(), "scatter: one left side per row");
    scatter_on(active(), rows, left, out);
}

/// [`gather`] of sparse rows. Columns are taken [`TILE`] by `TILE`, so that their part of `right` stays in the first-level
/// cache for all rows.
///
/// # Panics
/// When a column is not in `right`, the arrays do not fit each other, or there are not as many sums as rows.
pub fn sparse_gather(rows: &SparsePanel<'_>, right: &[Lanes], sums: &mut [Lanes]) {
    assert_eq!(rows.indptr.len(), sums.len() + 1, "sparse_gather: one sum per row");
    let (simd, mut from) = (active(), rows.indptr[..sums.len()].to_vec());
    for end in tiles(right.len()) {
        sparse_gather_on(simd, rows, end, &mut from, right, sums);
    }
}

/// [`scatter`] of sparse rows, tile by tile as [`sparse_gather`].
///
/// # Panics
/// When a column is not in `out`, the arrays do not fit each other, or there are not as many left sides as rows.
pub fn sparse_scatter(rows: &SparsePanel<'_>, left: &[Lanes], out: &mut [Lanes]) {
    assert_eq!(rows.indptr.len(), left.len() + 1, "sparse_scatter: one left side per row");
    let (simd, mut from) = (active(), rows.indptr[..left.len()].to_vec());
    for end in tiles(out.len()) {
        sparse_scatter_on(simd, rows, end, &mut from, left, out);
    }
}

/// Where the tiles end.
fn tiles(n_columns: usize) -> impl Iterator<Item = u32> {
    (0..n_columns).step_by(SPARSE_TILE).map(move |first| n_columns.min(first + SPARSE_TILE) as u32)
}

/// `out = x`, in double precision.
///
/// # Panics
/// When the lengths differ.
pub fn widen(out: &mut [f64], x: &[f32]) {
    assert_eq!(out.len(), x.len(), "widen: lengths differ");
    widen_on(active(), out, x);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(i: usize, j: usize) -> f64 {
        (((i * 31 + j * 17) % 97) as f64 - 48.0) / 7.0
    }

    fn lanes(n: usize, salt: usize) -> Vec<Lanes> {
        (0..n).map(|i| Lanes(std::array::from_fn(|l| number(i + salt, l)))).collect()
    }

    fn close(a: &[Lanes], b: &[Lanes]) -> bool {
        Lanes::flat(a).iter().zip(Lanes::flat(b)).all(|(x, y)| (x - y).abs() < 1e-9 * y.abs().max(1.0))
    }

    #[test]
    fn dense_products_follow_the_definition_on_every_instruction_set() {
        for (n, f) in [(0, 3), (1, 1), (3, 40), (8, 17), (21, 33)] {
            let dense: Vec<Vec<f64>> = (0..n).map(|i| (0..f).map(|j| number(i, 3 * j)).collect()).collect();
            let rows: Vec<&[f64]> = dense.iter().map(Vec::as_slice).collect();
            let (right, left) = (lanes(f, 5), lanes(n, 9));
            let (mut sums, mut out) = (lanes(n, 1), lanes(f, 2));
            for i in 0..n {
                for j in 0..f {
                    for l in 0..WIDTH {
                        sums[i].0[l] += dense[i][j] * right[j].0[l];
                        out[j].0[l] += dense[i][j] * left[i].0[l];
                    }
                }
            }
            let on = |simd| {
                let (mut own_sums, mut own_out) = (lanes(n, 1), lanes(f, 2));
                gather_on(simd, &rows, &right, &mut own_sums);
                scatter_on(simd, &rows, &left, &mut own_out);
                (own_sums, own_out)
            };
            let fused: Vec<_> = crate::simd::available().into_iter().map(|simd| (simd, on(simd))).collect();
            for (simd, (own_sums, own_out)) in &fused {
                assert!(close(own_sums, &sums) && close(own_out, &out), "{simd:?} {n} {f}");
                // A fused operation is the same on both sets that have it.
                assert!(*simd == Simd::Portable || (own_sums, own_out) == (&fused[0].1.0, &fused[0].1.1));
            }
        }
    }

    #[test]
    fn sparse_products_are_those_of_the_rows_written_out() {
        let f = 300;
        let stored = [0usize, 1, 2, 7, 140, 300, 5];
        let mut dense = vec![vec![0.0; f]; stored.len()];
        let (mut indptr, mut indices, mut data) = (vec![0], Vec::new(), Vec::new());
        for (i, &n) in stored.iter().enumerate() {
            for t in 0..n {
                let j = t * f / n;
                dense[i][j] = number(i, t);
                indices.push(j as u32);
                data.push(number(i, t));
            }
            indptr.push(indices.len());
        }
        let rows = SparsePanel { indptr: &indptr, indices: &indices, data: &data };
        let written: Vec<&[f64]> = dense.iter().map(Vec::as_slice).collect();
        let (right, left) = (lanes(f, 5), lanes(stored.len(), 9));
        let (mut sums, mut out) = (lanes(stored.len(), 1), lanes(f, 2));
        gather(&written, &right, &mut sums);
        scatter(&written, &left, &mut out);
        let (mut own_sums, mut own_out) = (lanes(stored.len(), 1), lanes(f, 2));
        sparse_gather(&rows, &right, &mut own_sums);
        sparse_scatter(&rows, &left, &mut own_out);
        assert!(close(&own_sums, &sums) && close(&own_out, &out));
        let mut fused: Option<(Vec<Lanes>, Vec<Lanes>)> = None;
        for simd in crate::simd::available() {
            let (mut own_sums, mut own_out) = (lanes(stored.len(), 1), lanes(f, 2));
            let (mut from, mut also) = (indptr[..stored.len()].to_vec(), indptr[..stored.len()].to_vec());
            for end in tiles(f) {
                sparse_gather_on(simd, &rows, end, &mut from, &right, &mut own_sums);
                sparse_scatter_on(simd, &rows, end, &mut also, &left, &mut own_out);
            }
            assert_eq!((&from[..], &also[..]), (&indptr[1..], &indptr[1..]));
            assert!(close(&own_sums, &sums) && close(&own_out, &out), "{simd:?}");
            let fused = fused.get_or_insert_with(|| (own_sums.clone(), own_out.clone()));
            assert!(simd == Simd::Portable || (&own_sums, &own_out) == (&fused.0, &fused.1), "{simd:?}");
        }
    }

    #[test]
    fn widening_keeps_every_value() {
        let x: Vec<f32> = (0..37).map(|i| number(i, 1) as f32).collect();
        let mut out = vec![0.0; 37];
        widen(&mut out, &x);
        assert!(out.iter().zip(&x).all(|(o, v)| *o == f64::from(*v)));
    }
}
