//! The leading eigenpairs of a symmetric positive semidefinite operator.

use brodmann_kernels::Seed;
use brodmann_kernels::eigen::symmetric_eigen;
use brodmann_kernels::matmul::{matmul, matmul_tn};
use ndarray::{Array2, ArrayView2, Axis, Slice, concatenate};
use rand_chacha::rand_core::Rng;

use super::narrow::narrow_eigenpairs;
use crate::preprocess::error::PreprocessError;

/// Vectors iterated beyond those asked for: the last ones asked for converge faster then.
pub(super) const GUARD: usize = 8;
/// Most blocks of `k + GUARD` vectors in a wide basis before it is condensed, and least.
const MAX_BLOCKS: usize = 8;
const MIN_BLOCKS: usize = 3;
/// Bytes of basis and images allowed before fewer blocks are kept.
const BASIS_BYTES: usize = 1 << 29;
/// Steps between two looks at the residuals.
const STEPS_PER_CHECK: usize = 4;
/// Directions shorter than this after orthogonalisation (relative to the longest) are rounding.
pub(super) const INDEPENDENT: f64 = 1e-13;

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EigenOptions {
    /// Residual `‖Gv − λv‖` of every wanted pair, relative to the largest eigenvalue.
    pub(crate) tolerance: f64,
    /// Applications of the operator (to a block).
    pub(crate) max_steps: usize,
    /// How the basis grows.
    pub(crate) growth: Growth,
}

/// How a basis grows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Growth {
    /// By as many vectors as are wanted, and some: fewest applications, for operators that are a pass over the data.
    Wide,
    /// By eight vectors: fewest products of the operator with a vector, for one that is cheap to apply.
    Narrow,
}

/// A symmetric positive semidefinite matrix, known by its product with a block of vectors. Called a few hundred times at most,
/// so that one compiled iteration serves all of them.
pub(crate) type Operator<'a> = dyn FnMut(ArrayView2<'_, f64>) -> Result<Array2<f64>, PreprocessError> + 'a;

/// Eigenvalues falling, eigenvectors as columns.
pub(crate) struct EigenPairs {
    pub(crate) values: Vec<f64>,
    pub(crate) vectors: Array2<f64>,
    pub(crate) converged: bool,
}

/// All eigenpairs by a dense solver, the `k` largest returned.
pub(crate) fn dense_eigenpairs(gram: &Array2<f64>, k: usize) -> Result<EigenPairs, PreprocessError> {
    let (values, vectors) =
        symmetric_eigen(gram.view(), k).map_err(|e| PreprocessError::Eigen { size: e.size })?;
    Ok(EigenPairs { values, vectors, converged: true })
}

/// The `k` leading eigenpairs of `apply`, by block Lanczos with full orthogonalisation and thick restart.
///
/// A basis `Q` grows by the part of `G · (newest block)` that is new to it, so that it spans a block Krylov space.
/// Now and then the operator is projected on the basis; a full basis is condensed to the best Ritz vectors, which
/// together with the newest directions span what the iteration would have reached from them. The error of an
/// eigenvalue is the square of its residual, that of a vector the residual over the gap.
///
/// A block of `b` vectors sees an eigenvalue at most `b` times; where the basis can grow no further before it holds `k`
/// vectors, it goes on from random ones.
///
/// # Returns
/// `converged: false` when `max_steps` applications did not bring all residuals under the tolerance.
/// # Cost
/// Per step one application to a block, of `k + 8` vectors if wide and 8 if narrow, and O(n · basis · block) work;
/// `16 n` bytes per vector of the basis, 3 to 8 blocks, if wide; `8 n` for each of up to `6 k + 64` vectors if narrow.
/// # Source
/// Musco & Musco 2015 (block Krylov for SVD); Wu & Simon 2000 (thick restart).
pub(crate) fn leading_eigenpairs(
    n: usize,
    k: usize,
    apply: &mut Operator<'_>,
    options: &EigenOptions,
    seed: Seed,
) -> Result<EigenPairs, PreprocessError> {
    let k = k.min(n);
    if let Growth::Narrow = options.growth {
        return narrow_eigenpairs(n, k, apply, options, seed);
    }
    // What a full basis is condensed to.
    let condensed = (k + GUARD).min(n);
    let blocks = (BASIS_BYTES / (16 * n * condensed).max(1)).clamp(MIN_BLOCKS, MAX_BLOCKS);
    let (width, capacity) = (condensed, (blocks * condensed).min(n));
    let start = random_block(n, width, seed);
    let mut basis = orthonormalize(start, None)?;
    let mut image = apply(basis.view())?;
    let mut newest = image.clone();
    let mut steps = 1;
    loop {
        let mut next = orthonormalize(newest, Some(basis.view()))?;
        if next.ncols() == 0 && basis.ncols() < k {
            let fresh = random_block(n, width, seed.derive("preprocess/svd/fresh", steps as u64));
            next = orthonormalize(fresh, Some(basis.view()))?;
        }
        let full = basis.ncols() + next.ncols() > capacity;
        let last = steps >= options.max_steps || next.ncols() == 0;
        let looks = full || steps % STEPS_PER_CHECK == 0;
        if last || (looks && basis.ncols() >= k) {
            let projected = symmetrized(&matmul_tn(basis.view(), image.view()));
            let ritz = dense_eigenpairs(&projected, condensed.min(basis.ncols()))?;
            let vectors = matmul(basis.view(), ritz.vectors.view());
            let images = matmul(image.view(), ritz.vectors.view());
            let wanted = k.min(ritz.values.len());
            let converged = residuals(&vectors, &images, &ritz.values[..wanted])
                .iter()
                .all(|r| *r <= options.tolerance * ritz.values[0].max(0.0));
            if converged || last {
                return Ok(EigenPairs {
                    values: ritz.values[..wanted].to_vec(),
                    vectors: vectors.slice_axis(Axis(1), Slice::from(..wanted)).to_owned(),
                    // A basis that cannot grow is invariant to rounding: nothing better exists in reach.
                    converged: converged || next.ncols() == 0,
                });
            }
            if full {
                (basis, image) = (vectors, images);
            }
        }
        newest = apply(next.view())?;
        steps += 1;
        basis = concatenate![Axis(1), basis, next].as_standard_layout().into_owned();
        image = concatenate![Axis(1), image, newest].as_standard_layout().into_owned();
    }
}

/// A block that is not orthogonal to any answer.
pub(super) fn random_block(n: usize, width: usize, seed: Seed) -> Array2<f64> {
    let mut rng = seed.stream("preprocess/svd", 0);
    // 53 random bits, centred.
    Array2::from_shape_fn((n, width), |_| (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64 - 0.5)
}

/// `‖Gv − λv‖` of each pair.
fn residuals(vectors: &Array2<f64>, images: &Array2<f64>, values: &[f64]) -> Vec<f64> {
    let mut squares = vec![0.0; values.len()];
    for (v, g) in vectors.rows().into_iter().zip(images.rows()) {
        for (((s, v), g), value) in squares.iter_mut().zip(v).zip(g).zip(values) {
            *s += (g - value * v).powi(2);
        }
    }
    squares.into_iter().map(f64::sqrt).collect()
}

/// `(m + mᵀ) / 2`: the projected operator is symmetric but for rounding.
pub(super) fn symmetrized(m: &Array2<f64>) -> Array2<f64> {
    Array2::from_shape_fn(m.dim(), |(i, j)| f64::midpoint(m[[i, j]], m[[j, i]]))
}

/// An orthonormal basis of the columns of `block`, orthogonal to `against`; dependent directions are dropped.
///
/// By the eigenvectors of the scaled Gram matrix (Stathopoulos & Wu 2002), twice: products of tall matrices only,
/// which are quick and the same bits on any thread count.
fn orthonormalize(
    mut block: Array2<f64>,
    against: Option<ArrayView2<'_, f64>>,
) -> Result<Array2<f64>, PreprocessError> {
    for round in 0..3 {
        if let Some(basis) = against {
            block -= &matmul(basis, matmul_tn(basis, block.view()).view());
        }
        let gram = matmul_tn(block.view(), block.view());
        let scale: Vec<f64> =
            gram.diag().iter().map(|&d| if d > 0.0 { 1.0 / d.sqrt() } else { 0.0 }).collect();
        let scaled = Array2::from_shape_fn(gram.dim(), |(i, j)| gram[[i, j]] * scale[i] * scale[j]);
        let pairs = dense_eigenpairs(&symmetrized(&scaled), scaled.nrows())?;
        let largest = pairs.values.first().copied().unwrap_or(0.0);
        let kept = pairs.values.iter().take_while(|v| **v > INDEPENDENT * largest && **v > 0.0).count();
        let transform = Array2::from_shape_fn((scale.len(), kept), |(i, t)| {
            scale[i] * pairs.vectors[[i, t]] / pairs.values[t].sqrt()
        });
        block = matmul(block.view(), transform.view());
        // Columns that were nearly orthonormal before are so to rounding now.
        let nearly = pairs.values.last().is_some_and(|v| *v > 0.5) && largest < 2.0;
        if kept == 0 || (round > 0 && nearly) {
            break;
        }
    }
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Q diag(values) Qᵀ` with a random orthonormal basis.
    fn with_eigenvalues(values: &[f64]) -> Array2<f64> {
        let n = values.len();
        let mut rng = Seed(1).stream("test", 0);
        let random = Array2::from_shape_fn((n, n), |_| rng.next_u64() as f64 / u64::MAX as f64 - 0.5);
        let q = orthonormalize(random, None).expect("small");
        let scaled = Array2::from_shape_fn((n, n), |(i, t)| q[[i, t]] * values[t]);
        matmul(scaled.view(), q.t())
    }

    /// Both ways to grow against the dense solver.
    fn assert_finds(values: &[f64], k: usize, overlaps: f64) {
        let gram = with_eigenvalues(values);
        let n = values.len();
        let dense = dense_eigenpairs(&gram, k).expect("ok");
        for found in both(n, k, 1e-12, 400, |v| Ok(matmul(gram.view(), v))) {
            assert!(found.converged);
            assert_eq!((found.values.len(), found.vectors.dim()), (k, (n, k)));
            for t in 0..k {
                assert!((found.values[t] - values[t]).abs() < 1e-12 * values[0], "{t}: {}", found.values[t]);
                let overlap = found.vectors.column(t).dot(&dense.vectors.column(t)).abs();
                assert!((overlap - 1.0).abs() < overlaps, "{t}: {overlap}");
            }
        }
    }

    fn both(
        n: usize,
        k: usize,
        tolerance: f64,
        max_steps: usize,
        apply: impl Fn(ArrayView2<'_, f64>) -> Result<Array2<f64>, PreprocessError>,
    ) -> [EigenPairs; 2] {
        [Growth::Wide, Growth::Narrow].map(|growth| {
            let options = EigenOptions { tolerance, max_steps, growth };
            leading_eigenpairs(n, k, &mut |v| apply(v), &options, Seed(3)).expect("ok")
        })
    }

    #[test]
    fn iterations_find_the_pairs_of_the_dense_solver() {
        let harmonic: Vec<f64> = (0..300).map(|t| 1.0 / f64::from(t + 1)).collect();
        assert_finds(&harmonic, 12, 1e-9);
    }

    #[test]
    fn one_component_that_outweighs_all_does_not_hide_the_others() {
        let mut values: Vec<f64> = (0..200).map(|t| 2.0 - 0.009 * f64::from(t)).collect();
        values[0] = 1e6;
        values[1] = 50.0;
        assert_finds(&values, 10, 1e-6);
    }

    #[test]
    fn fewer_dimensions_than_wanted_leave_values_of_zero() {
        let gram = with_eigenvalues(&[&[3.0, 2.0, 1.0][..], &[0.0; 197]].concat());
        for found in both(200, 12, 1e-12, 100, |v| Ok(matmul(gram.view(), v))) {
            assert!(found.converged && found.values.len() == 12);
            assert!((found.values[2] - 1.0).abs() < 1e-12 && found.values[3].abs() < 1e-12);
        }
    }

    #[test]
    fn rounding_of_an_operator_of_low_rank_is_no_direction() {
        // Rows and columns repeat, and so does what they round to: what is left of an image lies in the basis again.
        let x = Array2::from_shape_fn((400, 200), |(i, j)| {
            let value = |i: usize| ((i % 7) * (j % 5) + (i % 3) + (i % 11) * (j % 4)) as f64;
            if j < 20 { 0.0 } else { value(i) - (0..400).map(value).sum::<f64>() / 400.0 }
        });
        let gram = matmul_tn(x.view(), x.view());
        for k in [1, 6, 17] {
            let dense = dense_eigenpairs(&gram, k).expect("ok");
            for found in both(200, k, 1e-9, 40, |v| Ok(matmul(gram.view(), v))) {
                assert!(found.converged, "{k}");
                for (found, expected) in found.values.iter().zip(&dense.values) {
                    assert!((found - expected).abs() < 1e-9 * dense.values[0], "{k}: {found} {expected}");
                }
                let products = found.vectors.t().dot(&found.vectors);
                assert!((products - Array2::<f64>::eye(k)).iter().all(|v| v.abs() < 1e-9), "{k}");
            }
        }
    }

    #[test]
    fn a_zero_operator_converges_at_once() {
        for found in both(50, 12, 1e-12, 5, |v| Ok(Array2::zeros(v.dim()))) {
            assert!(found.converged);
            assert_eq!(found.values, vec![0.0; 12]);
        }
    }
}
