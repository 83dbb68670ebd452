//! Some eigenpairs of a symmetric matrix: Householder's tridiagonal form, its eigenvalues by QL, its eigenvectors by
//! inverse iteration.
//!
//! ```text
//! T = Qᵀ A Q, tridiagonal                       reflections from the last row up
//! λ = eigenvalues of T
//! for each wanted λ, falling:
//!     z = random;  a few times: solve (T − λ) z' = z, take out earlier vectors, normalise
//! x = Q z
//! ```
//!
//! What does not fit (a residual above rounding) is left to the solver of all pairs.

use ndarray::{Array2, ArrayView2};

use crate::arch::panel::{Lanes, WIDTH, gather, scatter};
use crate::arch::rows::RowKernels;
use crate::arch::triangle::{triangle_subtract, triangle_times};
use crate::rng::Seed;

/// Solves of one vector at most; two are usual, the second on a vector that is already right to half the digits.
const SOLVES: usize = 6;
/// QL steps per eigenvalue at most.
const STEPS: usize = 60;
/// A residual of so many roundings of the largest number of the matrix is one of rounding alone.
const ROUNDINGS: f64 = 64.0;

/// The `k` largest eigenvalues and their vectors as columns; `None` where they are not found to rounding.
pub(super) fn leading(matrix: ArrayView2<'_, f64>, k: usize) -> Option<(Vec<f64>, Array2<f64>)> {
    let n = matrix.nrows();
    let reduced = Tridiagonal::of(matrix)?;
    let mut values = reduced.eigenvalues()?;
    values.sort_by(|a, b| b.total_cmp(a));
    values.truncate(k);
    let vectors = reduced.eigenvectors(&values)?;
    let mut out = Array2::zeros((n, k));
    for (p, some) in vectors.chunks(WIDTH).enumerate() {
        let mut block = vec![Lanes::ZERO; n];
        for (l, vector) in some.iter().enumerate() {
            block.iter_mut().zip(vector).for_each(|(row, v)| row.0[l] = *v);
        }
        reduced.turn_back(&mut block);
        for (mut row, lanes) in out.rows_mut().into_iter().zip(&block) {
            row.iter_mut().skip(p * WIDTH).zip(&lanes.0).for_each(|(o, v)| *o = *v);
        }
    }
    Some((values, out))
}

struct Tridiagonal {
    diagonal: Vec<f64>,
    /// `beside[i]`: between `i` and `i + 1`.
    beside: Vec<f64>,
    /// Row `i` holds the reflection that acts on the first `i` places, `1 − factor v vᵀ`.
    reflections: Vec<f64>,
    factors: Vec<f64>,
}

impl Tridiagonal {
    /// `None` where something is not finite.
    fn of(matrix: ArrayView2<'_, f64>) -> Option<Self> {
        let n = matrix.nrows();
        // The lower triangle, row by row.
        let mut a = vec![0.0; n * n];
        for (i, row) in a.chunks_exact_mut(n).enumerate() {
            row.iter_mut().zip(matrix.row(i)).take(i + 1).for_each(|(to, v)| *to = *v);
        }
        let (mut diagonal, mut beside, mut factors) = (vec![0.0; n], vec![0.0; n.max(1) - 1], vec![0.0; n]);
        let mut p = vec![0.0; n];
        for i in (1..n).rev() {
            let (above, own) = a.split_at_mut(i * n);
            diagonal[i] = own[i];
            let v = &mut own[..i];
            let alpha = v[i - 1];
            let rest = f64::dot(&v[..i - 1], &v[..i - 1]);
            let length = (rest + alpha * alpha).sqrt();
            if !length.is_finite() {
                return None;
            }
            if rest == 0.0 {
                beside[i - 1] = alpha;
                continue;
            }
            // The sign that cannot cancel.
            let end = if alpha > 0.0 { -length } else { length };
            beside[i - 1] = end;
            v[i - 1] = alpha - end;
            let factor = 2.0 / (rest + v[i - 1] * v[i - 1]);
            factors[i] = factor;
            // p = factor A v, from the lower triangle alone.
            let p = &mut p[..i];
            triangle_times(above, n, v, p);
            for x in p.iter_mut() {
                *x *= factor;
            }
            // A −= v wᵀ + w vᵀ with w = p − ½ factor (pᵀv) v.
            let half = 0.5 * factor * f64::dot(p, v);
            f64::scaled(p, -half, v, true);
            triangle_subtract(above, n, v, p);
        }
        diagonal[0] = a[0];
        let finite = diagonal.iter().chain(&beside).all(|v| v.is_finite());
        finite.then_some(Self { diagonal, beside, reflections: a, factors })
    }

    fn len(&self) -> usize {
        self.diagonal.len()
    }

    /// Largest sum of the absolute values of a row.
    fn norm(&self) -> f64 {
        let n = self.len();
        let at = |i: usize| {
            let before = if i > 0 { self.beside[i - 1].abs() } else { 0.0 };
            let after = if i + 1 < n { self.beside[i].abs() } else { 0.0 };
            before + self.diagonal[i].abs() + after
        };
        (0..n).map(at).fold(0.0, f64::max)
    }

    /// All eigenvalues, in no order, by implicit QL (Golub & Van Loan, 8.3).
    fn eigenvalues(&self) -> Option<Vec<f64>> {
        let n = self.len();
        let mut d = self.diagonal.clone();
        let mut e = self.beside.clone();
        e.push(0.0);
        for l in 0..n {
            for step in 0.. {
                let small = |m: usize| e[m].abs() <= f64::EPSILON * (d[m].abs() + d[m + 1].abs());
                let m = (l..n - 1).find(|&m| small(m)).unwrap_or(n - 1);
                if m == l {
                    break;
                }
                if step == STEPS {
                    return None;
                }
                // Wilkinson's shift.
                let g = (d[l + 1] - d[l]) / (2.0 * e[l]);
                let r = g.hypot(1.0);
                let mut g = d[m] - d[l] + e[l] / (g + if g >= 0.0 { r } else { -r });
                let (mut s, mut c, mut p) = (1.0f64, 1.0f64, 0.0f64);
                let mut early = false;
                for i in (l..m).rev() {
                    let (f, b) = (s * e[i], c * e[i]);
                    let r = (f * f + g * g).sqrt();
                    e[i + 1] = r;
                    if r == 0.0 {
                        d[i + 1] -= p;
                        e[m] = 0.0;
                        early = true;
                        break;
                    }
                    (s, c) = (f / r, g / r);
                    g = d[i + 1] - p;
                    let t = (d[i] - g) * s + 2.0 * c * b;
                    p = s * t;
                    d[i + 1] = g + p;
                    g = c * t - b;
                }
                if !early {
                    d[l] -= p;
                    e[l] = g;
                    e[m] = 0.0;
                }
            }
        }
        d.iter().all(|v| v.is_finite()).then_some(d)
    }

    /// The vectors of falling eigenvalues, each orthogonal to those before.
    fn eigenvectors(&self, values: &[f64]) -> Option<Vec<Vec<f64>>> {
        let (n, norm) = (self.len(), self.norm());
        let rounding = (f64::EPSILON * norm).max(f64::MIN_POSITIVE);
        let mut vectors: Vec<Vec<f64>> = Vec::with_capacity(values.len());
        let mut shift_before = f64::INFINITY;
        for (t, &value) in values.iter().enumerate() {
            // Equal values get different shifts: the same one would find the same vector.
            let shift = value.min(shift_before - 4.0 * rounding);
            shift_before = shift;
            let factored = Factored::of(self, shift, rounding);
            let seed = Seed(t as u64);
            let mut z: Vec<f64> =
                (0..n as u64).map(|i| (seed.word(i) >> 11) as f64 / (1u64 << 53) as f64 - 0.5).collect();
            let mut right = false;
            for solve in 0..SOLVES {
                factored.solve(&mut z);
                let largest = z.iter().fold(0.0f64, |m, v| m.max(v.abs()));
                if !(largest > 0.0 && largest.is_finite()) {
                    return None;
                }
                for v in &mut z {
                    *v /= largest;
                }
                // Twice, because what is left may be little.
                for _ in 0..2 {
                    for other in &vectors {
                        let along = f64::dot(other, &z);
                        f64::scaled(&mut z, -along, other, true);
                    }
                }
                let length = f64::dot(&z, &z).sqrt();
                if length == 0.0 {
                    return None;
                }
                for v in &mut z {
                    *v /= length;
                }
                right = self.residual(&z, value) <= ROUNDINGS * rounding;
                if right && solve > 0 {
                    break;
                }
            }
            if !right {
                return None;
            }
            vectors.push(z);
        }
        Some(vectors)
    }

    /// `‖T z − λ z‖`.
    fn residual(&self, z: &[f64], value: f64) -> f64 {
        let n = z.len();
        let at = |i: usize| {
            let before = if i > 0 { self.beside[i - 1] * z[i - 1] } else { 0.0 };
            let after = if i + 1 < n { self.beside[i] * z[i + 1] } else { 0.0 };
            before + (self.diagonal[i] - value) * z[i] + after
        };
        (0..n).map(|i| at(i).powi(2)).sum::<f64>().sqrt()
    }

    /// `Q z` for eight vectors.
    fn turn_back(&self, block: &mut [Lanes]) {
        let n = self.len();
        for i in 1..n {
            if self.factors[i] != 0.0 {
                let v = &self.reflections[i * n..i * n + i];
                let mut along = [Lanes::ZERO];
                gather(&[v], &block[..i], &mut along);
                along[0].0 = along[0].0.map(|a| -a * self.factors[i]);
                scatter(&[v], &along, &mut block[..i]);
            }
        }
    }
}

/// `T − λ` as `L U` with rows exchanged: `U` has two diagonals beside its own.
struct Factored {
    /// `[own, next, next but one]` of each row of `U`.
    upper: Vec<[f64; 3]>,
    /// What row `i` is multiplied with before it is taken from row `i + 1`, and whether the two were exchanged.
    lower: Vec<(f64, bool)>,
}

impl Factored {
    fn of(t: &Tridiagonal, value: f64, rounding: f64) -> Self {
        let n = t.len();
        let (mut upper, mut lower) = (Vec::with_capacity(n), Vec::with_capacity(n));
        let after = |i: usize| t.beside.get(i).copied().unwrap_or(0.0);
        let mut row = [t.diagonal[0] - value, after(0), 0.0];
        for i in 0..n - 1 {
            let below = [t.beside[i], t.diagonal[i + 1] - value, after(i + 1)];
            let exchanged = below[0].abs() > row[0].abs();
            let (pivot, other) = if exchanged { (below, row) } else { (row, below) };
            let factor = if pivot[0] == 0.0 { 0.0 } else { other[0] / pivot[0] };
            row = [other[1] - factor * pivot[1], other[2] - factor * pivot[2], 0.0];
            upper.push(pivot);
            lower.push((factor, exchanged));
        }
        upper.push(row);
        // A pivot of zero is one that rounding made so.
        for row in &mut upper {
            if row[0].abs() < rounding {
                row[0] = if row[0] < 0.0 { -rounding } else { rounding };
            }
        }
        Self { upper, lower }
    }

    fn solve(&self, z: &mut [f64]) {
        for (i, &(factor, exchanged)) in self.lower.iter().enumerate() {
            if exchanged {
                z.swap(i, i + 1);
            }
            z[i + 1] -= factor * z[i];
        }
        for (i, row) in self.upper.iter().enumerate().rev() {
            let at = |j: usize| z.get(j).copied().unwrap_or(0.0);
            z[i] = (z[i] - row[1] * at(i + 1) - row[2] * at(i + 2)) / row[0];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Σ λ_t q_t q_tᵀ` with the columns of a product of reflections.
    fn with_values(values: &[f64]) -> Array2<f64> {
        let n = values.len();
        let mut matrix = Array2::from_diag(&ndarray::arr1(values));
        for round in 0..6u64 {
            let v: Vec<f64> =
                (0..n as u64).map(|i| (Seed(round).word(i) % 1000) as f64 / 500.0 - 1.0).collect();
            let square: f64 = v.iter().map(|x| x * x).sum();
            let reflection = Array2::from_shape_fn((n, n), |(i, j)| {
                f64::from(u8::from(i == j)) - 2.0 * v[i] * v[j] / square
            });
            matrix = reflection.dot(&matrix).dot(&reflection);
        }
        matrix
    }

    fn assert_pairs(matrix: &Array2<f64>, expected: &[f64], k: usize) {
        let (values, vectors) = leading(matrix.view(), k).expect("found");
        let scale = expected[0].abs().max(1e-300);
        for (found, expected) in values.iter().zip(expected) {
            assert!((found - expected).abs() <= 1e-13 * scale, "{found} {expected}");
        }
        let products = vectors.t().dot(&vectors);
        let off = (&products - &Array2::<f64>::eye(k)).iter().fold(0.0f64, |m, v| m.max(v.abs()));
        assert!(off < 1e-13, "orthonormal to {off}");
        let residuals = matrix.dot(&vectors) - &vectors * &ndarray::arr1(&values);
        assert!(residuals.iter().all(|r| r.abs() <= 1e-13 * scale));
    }

    #[test]
    fn distinct_equal_and_missing_values_have_orthonormal_vectors() {
        let falling: Vec<f64> = (0..120).map(|t| 3.0 / f64::from(t + 1)).collect();
        let equal: Vec<f64> = (0..90).map(|t| if t < 20 { 2.0 } else { 1.0 }).collect();
        let few: Vec<f64> = (0..80).map(|t| if t < 3 { 5.0 - f64::from(t) } else { 0.0 }).collect();
        let close: Vec<f64> = (0..100).map(|t| 1.0 - 1e-10 * f64::from(t)).collect();
        for values in [falling, equal, few, close] {
            assert_pairs(&with_values(&values), &values, 30);
        }
    }

    #[test]
    fn matrices_in_parts_are_found_in_parts() {
        // Diagonal, nothing at all, and two blocks that do not touch.
        let falling: Vec<f64> = (0..60).map(|t| f64::from(60 - t)).collect();
        assert_pairs(&Array2::from_diag(&ndarray::arr1(&falling)), &falling, 20);
        assert_pairs(&Array2::zeros((60, 60)), &[0.0; 60], 20);
        let mut blocks = Array2::zeros((60, 60));
        for i in 0..60usize {
            for j in (i / 30) * 30..(i / 30) * 30 + 30 {
                blocks[[i, j]] = 1.0;
            }
        }
        let values: Vec<f64> = (0..60).map(|t| if t < 2 { 30.0 } else { 0.0 }).collect();
        assert_pairs(&blocks, &values, 10);
    }

    #[test]
    fn what_is_not_finite_is_left_to_the_other() {
        for bad in [f64::NAN, f64::INFINITY] {
            let mut matrix = Array2::<f64>::eye(50);
            matrix[[30, 3]] = bad;
            assert!(leading(matrix.view(), 2).is_none());
        }
    }
}
