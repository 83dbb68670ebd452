//! The leading eigenpairs of an operator that is cheap to apply to a few vectors: a Krylov basis that grows eight
//! vectors at a time, every one orthogonal to all before.

use brodmann_kernels::arch::panel::{Lanes, WIDTH, gather, scatter};
use brodmann_kernels::matmul::matmul;
use brodmann_kernels::{ParallelLoop, Seed};
use ndarray::{Array2, ArrayView2, Axis, Slice};
use rayon::prelude::*;

use super::krylov::{
    EigenOptions, EigenPairs, GUARD, INDEPENDENT, Operator, dense_eigenpairs, random_block, symmetrized,
};
use crate::preprocess::error::PreprocessError;

/// Most vectors in the basis, in multiples of those wanted, and beyond those. More would save one application in twenty at
/// most, and a look at them takes the cube of their number.
const BASIS: usize = 6;
/// See [`BASIS`].
const SPARE: usize = 8 * WIDTH;
/// Passes of orthogonalisation at most; two are usual.
const PASSES: usize = 5;
/// What is shorter than this, relative to the longest image, is rounding of it and no direction of the operator.
const ROUNDING: f64 = 1e-13;
/// Rows of the block that one task updates.
const TASK_ROWS: usize = 128;
/// Vectors of the basis that one task multiplies.
const TASK_VECTORS: usize = 16;

/// The basis `Q`, one vector behind the other, and `T = Qᵀ G Q`.
struct Basis {
    n: usize,
    /// Vectors held.
    len: usize,
    vectors: Vec<f64>,
    projected: Array2<f64>,
    /// The image of the newest block has no part along the vectors before this one.
    near: usize,
}

/// Eight vectors, a row of each behind the other, of which the first `width` are there.
struct Block {
    rows: Vec<Lanes>,
    width: usize,
}

/// As [`leading_eigenpairs`](super::krylov::leading_eigenpairs), by eight vectors at a time.
///
/// ```text
/// V = orthonormal random block
/// repeat
///     Q = [Q V];  W = G V
///     T's new columns = Qᵀ W;  W −= Q QᵀW                    so G Q = Q T + W E,  E: the last block of unit vectors
///                                                            (only along V and the block before it, or what Q was
///                                                            condensed to: W has no part along the others)
///     now and then: T = Y Θ Yᵀ;  done when ‖W E y_t‖ is small for every wanted t
///     full: Q = Q Y, T = Θ  (the best Ritz vectors; G Q = Q Θ + W E Y still)
///     V = orthonormal basis of W, taken out of the whole of Q, as rounding brings in what has converged
/// ```
///
/// The residual of a Ritz pair needs no image of the basis: it is that of `W` and the last entries of `y`. What
/// orthogonalisation drops of `W` as rounding is added to every residual.
///
/// # Cost
/// Per step one application to eight vectors and `64 n · basis` operations; `8 n` bytes per vector of the basis,
/// which has at most `6 k + 64`.
pub(super) fn narrow_eigenpairs(
    n: usize,
    k: usize,
    apply: &mut Operator<'_>,
    options: &EigenOptions,
    seed: Seed,
) -> Result<EigenPairs, PreprocessError> {
    // What a full basis is condensed to.
    let condensed = (k + GUARD.max(2 * k / 3)).min(n);
    let capacity = (BASIS * k + SPARE).min(n);
    let projected = Array2::zeros((capacity, capacity));
    let mut basis = Basis { n, len: 0, vectors: Vec::new(), projected, near: 0 };
    let mut block = basis.next(block_of(random_block(n, WIDTH.min(n), seed).view()), None)?.0;
    // Square of the longest image of a vector so far, which is no longer than the operator's norm.
    let mut longest = 0.0f64;
    // Square of what was dropped of residual blocks.
    let mut dropped = 0.0;
    let mut look_at = capacity;
    // Of the last look: vectors applied so far, and the logarithm of the worst residual.
    let mut last_look: Option<(usize, f64)> = None;
    let (mut steps, mut applied) = (0, 0);
    loop {
        let view = ArrayView2::from_shape((n, WIDTH), Lanes::flat(&block.rows)).expect("rows of eight");
        let image = apply(view)?;
        steps += 1;
        applied += block.width;
        basis.push(&block);
        let image = block_of(image.view());
        longest = longest.max(largest_of(&products(&transposed(&image.rows), &image.rows)));
        let residual = basis.take_projection(image, block.width);
        let squares = products(&transposed(&residual.rows), &residual.rows);
        let (mut next, lost) = basis.next(residual, Some(longest))?;
        dropped += lost;
        if next.width == 0 && basis.len < k {
            let fresh = random_block(n, WIDTH, seed.derive("preprocess/svd/fresh", steps as u64));
            next = basis.next(block_of(fresh.view()), None)?.0;
        }
        let full = basis.len + next.width > capacity;
        let last = steps >= options.max_steps || next.width == 0;
        if last || full || applied >= look_at {
            let m = basis.len;
            let projected = basis.projected.slice_axis(Axis(0), Slice::from(..m)).to_owned();
            let projected = projected.slice_axis(Axis(1), Slice::from(..m)).to_owned();
            let ritz = dense_eigenpairs(&symmetrized(&projected), condensed.min(m))?;
            let wanted = k.min(ritz.values.len());
            let tail = ritz.vectors.slice_axis(Axis(0), Slice::from(m - block.width..));
            let worst =
                (0..wanted).map(|t| norm_squared(&squares, tail.column(t).iter())).fold(0.0, f64::max);
            let residual = (worst + dropped).sqrt();
            let limit = options.tolerance * ritz.values[0].max(0.0);
            let converged = residual <= limit;
            if converged || last {
                return Ok(EigenPairs {
                    vectors: basis.combine(ritz.vectors.slice_axis(Axis(1), Slice::from(..wanted))),
                    values: ritz.values[..wanted].to_vec(),
                    // A basis that cannot grow is invariant to rounding: nothing better exists in reach.
                    converged: converged || next.width == 0,
                });
            }
            // The logarithm of the residual falls faster and faster. From where it began, 0, half the way along the
            // line is a good guess; between two looks the line itself.
            let left = (residual / limit).ln();
            let ahead = match last_look {
                Some((at, before)) if before > left => left * (applied - at) as f64 / (before - left),
                Some(_) => 0.0,
                None => 0.5 * left * applied as f64 / (-options.tolerance.ln() - left).max(1.0),
            };
            last_look = Some((applied, left));
            look_at = applied + (ahead as usize).clamp(WIDTH, capacity.max(WIDTH));
            if full {
                basis.condense(&ritz);
            }
        }
        block = next;
    }
}

/// `‖W y‖²` for the products `S = WᵀW`.
fn norm_squared<'a>(squares: &[Lanes], y: impl Iterator<Item = &'a f64> + Clone) -> f64 {
    let of = |row: &Lanes| y.clone().zip(row.0).map(|(y, s)| y * s).sum::<f64>();
    y.clone().zip(squares).map(|(y, row)| y * of(row)).sum::<f64>().max(0.0)
}

/// The largest product of a vector with itself.
fn largest_of(squares: &[Lanes]) -> f64 {
    squares.iter().enumerate().map(|(l, row)| row.0[l]).fold(0.0, f64::max)
}

fn block_of(m: ArrayView2<'_, f64>) -> Block {
    let mut rows = vec![Lanes::ZERO; m.nrows()];
    for (lanes, row) in rows.iter_mut().zip(m.rows()) {
        lanes.0.iter_mut().zip(row).for_each(|(l, v)| *l = *v);
    }
    Block { rows, width: m.ncols().min(WIDTH) }
}

/// The vectors of a block, one behind the other.
fn transposed(rows: &[Lanes]) -> Vec<f64> {
    let n = rows.len();
    let mut vectors = vec![0.0; WIDTH * n];
    for (i, lanes) in rows.iter().enumerate() {
        for (l, v) in lanes.0.iter().enumerate() {
            vectors[l * n + i] = *v;
        }
    }
    vectors
}

/// `A B` for the vectors `A`, one behind the other, and the block `B`; vectors in parallel.
fn products(vectors: &[f64], rows: &[Lanes]) -> Vec<Lanes> {
    let n = rows.len();
    let mut sums = vec![Lanes::ZERO; vectors.len() / n];
    sums.par_chunks_mut(TASK_VECTORS).zip(vectors.par_chunks(TASK_VECTORS * n)).each(|(sums, vectors)| {
        gather(&vectors.chunks_exact(n).collect::<Vec<_>>(), rows, sums);
    });
    sums
}

/// `B += Aᵀ factors`; rows of the block in parallel.
fn add_multiples(vectors: &[f64], factors: &[Lanes], rows: &mut [Lanes]) {
    let n = rows.len();
    rows.par_chunks_mut(TASK_ROWS).enumerate().each(|(t, rows)| {
        let first = t * TASK_ROWS;
        let own: Vec<&[f64]> =
            vectors.chunks_exact(n).map(|vector| &vector[first..first + rows.len()]).collect();
        scatter(&own, factors, rows);
    });
}

impl Basis {
    fn push(&mut self, block: &Block) {
        self.vectors.extend_from_slice(&transposed(&block.rows)[..block.width * self.n]);
        self.len += block.width;
    }

    /// Writes `QᵀW` to the last columns of `T` and returns `W − Q QᵀW`, along the vectors that `W` has a part of.
    fn take_projection(&mut self, mut image: Block, width: usize) -> Block {
        let first = self.len - width;
        let along = self.project_out(&mut image, self.near);
        for (t, row) in (self.near..).zip(&along) {
            for (l, v) in row.0[..width].iter().enumerate() {
                self.projected[[t, first + l]] = *v;
                if t < first {
                    self.projected[[first + l, t]] = *v;
                }
            }
        }
        self.near = first;
        image
    }

    /// `W −= Q QᵀW` with the vectors from a place on; returns `QᵀW`.
    fn project_out(&self, block: &mut Block, from: usize) -> Vec<Lanes> {
        let vectors = &self.vectors[from * self.n..];
        let along = products(vectors, &block.rows);
        let against: Vec<Lanes> = along.iter().map(|row| Lanes(row.0.map(|v| -v))).collect();
        add_multiples(vectors, &against, &mut block.rows);
        along
    }

    /// An orthonormal basis of a block, orthogonal to this one, and the square of what was dropped.
    ///
    /// `residual`: where the part along this basis has been taken out, but for rounding: the square of the longest image.
    /// Of an operator of low rank rounding is all that is left at some point; it lies in the basis as well as beside it, and
    /// taken for a direction it would make the basis lose what it is orthogonal to.
    ///
    /// By the eigenvectors of the scaled products of the block (Stathopoulos & Wu 2002), twice.
    fn next(&self, mut block: Block, residual: Option<f64>) -> Result<(Block, f64), PreprocessError> {
        let mut lost = 0.0f64;
        for round in 0..PASSES {
            // Dividing by what is left of a vector makes its part along the basis as much larger.
            if self.len > 0 && (round > 0 || residual.is_none()) {
                self.project_out(&mut block, 0);
            }
            let vectors = transposed(&block.rows);
            let squares = products(&vectors, &block.rows);
            let least = residual.filter(|_| round == 0).map_or(0.0, |longest| ROUNDING * ROUNDING * longest);
            let own = |l: usize| squares[l].0[l];
            let scale: [f64; WIDTH] =
                std::array::from_fn(|l| if own(l) > least { 1.0 / own(l).sqrt() } else { 0.0 });
            let scaled =
                Array2::from_shape_fn((WIDTH, WIDTH), |(i, j)| squares[i].0[j] * scale[i] * scale[j]);
            let pairs = dense_eigenpairs(&symmetrized(&scaled), WIDTH)?;
            let largest = pairs.values[0];
            let kept = pairs.values.iter().take_while(|v| **v > INDEPENDENT * largest && **v > 0.0).count();
            // Measured, since an eigenvalue of the products has the rounding of the largest one.
            if round == 0 && kept < WIDTH {
                let mut left = vec![Lanes::ZERO; WIDTH];
                for (i, row) in left.iter_mut().enumerate() {
                    for t in kept..WIDTH {
                        row.0[t] = scale[i] * pairs.vectors[[i, t]];
                    }
                }
                block.rows.fill(Lanes::ZERO);
                add_multiples(&vectors, &left, &mut block.rows);
                lost = largest_of(&squares) * Lanes::flat(&block.rows).iter().map(|v| v * v).sum::<f64>();
                lost += (0..WIDTH).filter(|&l| own(l) <= least).map(own).sum::<f64>();
            }
            let mut transform = vec![Lanes::ZERO; WIDTH];
            for (i, row) in transform.iter_mut().enumerate() {
                for (t, to) in row.0[..kept].iter_mut().enumerate() {
                    *to = scale[i] * pairs.vectors[[i, t]] / pairs.values[t].sqrt();
                }
            }
            block.rows.fill(Lanes::ZERO);
            add_multiples(&vectors, &transform, &mut block.rows);
            // Vectors that were nearly orthonormal, to each other and to the basis, are so to rounding now.
            let whole = (0..block.width).all(|l| own(l) > 0.5);
            let nearly = kept > 0 && pairs.values[kept - 1] > 0.5 && largest < 2.0 && whole;
            block.width = kept;
            if kept == 0 || (round > 0 && nearly) {
                break;
            }
        }
        Ok((block, lost))
    }

    /// `Q y` for each column of `y`.
    fn combine(&self, y: ArrayView2<'_, f64>) -> Array2<f64> {
        let vectors = ArrayView2::from_shape((self.len, self.n), &self.vectors).expect("one row per vector");
        matmul(vectors.t(), y)
    }

    /// Keeps the given Ritz vectors alone.
    fn condense(&mut self, ritz: &EigenPairs) {
        let vectors = ArrayView2::from_shape((self.len, self.n), &self.vectors).expect("one row per vector");
        let kept = matmul(ritz.vectors.t(), vectors);
        self.len = kept.nrows();
        self.vectors = kept.into_raw_vec_and_offset().0;
        self.projected.fill(0.0);
        self.near = 0;
        for (t, value) in ritz.values.iter().enumerate() {
            self.projected[[t, t]] = *value;
        }
    }
}
