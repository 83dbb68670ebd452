//! Vectorised `exp`, `ln`, `sigmoid` and `tanh` of slices.
//!
//! Polynomials behind a run-time choice of instruction set ([`crate::simd`]), several numbers at a time, on the
//! calling thread. Relative error at most 2e-6 in `f32` (`exp` 2e-7 in practice), 4e-16 in `f64`. An element's result
//! depends on its value alone, never on its place in the slice.

use crate::real::Real;
use crate::simd::active;

/// `exp(x)` of every element: below the smallest normal number 0, above the largest infinity, NaN stays NaN.
#[inline]
pub fn exp_in_place<T: Real>(values: &mut [T]) {
    T::exp_on(active(), values);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Simd, available};

    /// Runs `f` on every instruction set at hand and compares with `expected` in f64.
    fn check<T: Real>(
        inputs: &[f64],
        tolerance: f64,
        f: impl Fn(Simd, &mut [T]),
        expected: impl Fn(f64) -> f64,
    ) {
        let rounded: Vec<T> = inputs.iter().map(|&x| T::from_f64(x)).collect();
        let mut fastest: Option<Vec<T>> = None;
        for simd in available() {
            let mut found = rounded.clone();
            f(simd, &mut found);
            // Fused operations are the same on both sets that have them.
            if simd != Simd::Portable {
                let bits = |v: &T| Into::<f64>::into(*v).to_bits();
                let same = |(a, b): (&T, &T)| bits(a) == bits(b);
                assert!(
                    fastest.get_or_insert_with(|| found.clone()).iter().zip(&found).all(same),
                    "{simd:?}"
                );
            }
            for (&x, &y) in rounded.iter().zip(&found) {
                let (x, y): (f64, f64) = (x.into(), y.into());
                let truth = expected(x);
                if truth.is_nan() {
                    assert!(y.is_nan(), "{simd:?}: f({x}) = {y}, expected NaN");
                } else if truth.is_infinite() || truth == 0.0 {
                    assert_eq!(y, truth, "{simd:?}: f({x})");
                } else {
                    assert!(
                        (y - truth).abs() <= tolerance * truth.abs(),
                        "{simd:?}: f({x}) = {y}, expected {truth}, relative error {:e}",
                        ((y - truth) / truth).abs()
                    );
                }
            }
        }
    }

    fn range(from: f64, to: f64) -> Vec<f64> {
        // An odd count, so that the remainder behind the last full vector is exercised.
        (0..100_003).map(|i| from + (to - from) * f64::from(i) / 100_002.0).collect()
    }

    #[test]
    fn exp_is_within_tolerance_on_every_instruction_set() {
        check::<f32>(&range(-87.0, 88.0), 2e-7, f32::exp_on, f64::exp);
        check::<f64>(&range(-708.0, 709.0), 4e-16, f64::exp_on, f64::exp);
        check::<f32>(&range(-1.0, 1.0), 2e-7, f32::exp_on, f64::exp);
    }

    #[test]
    fn exp_at_the_edges() {
        for simd in available() {
            let mut x = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 89.0, -104.0, -1e30, 1e30];
            f32::exp_on(simd, &mut x);
            assert!(x[0].is_nan());
            assert_eq!(x[1..], [f32::INFINITY, 0.0, 1.0, 1.0, f32::INFINITY, 0.0, 0.0, f32::INFINITY]);
            let mut x = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, 710.0, -750.0];
            f64::exp_on(simd, &mut x);
            assert!(x[0].is_nan());
            assert_eq!(x[1..], [f64::INFINITY, 0.0, 1.0, f64::INFINITY, 0.0]);
        }
    }

    #[test]
    fn ln_is_within_tolerance_on_every_instruction_set() {
        let mut inputs = range(0.01, 4.0);
        inputs.extend((-120..120).map(|e| 1.37 * f64::from(e).exp2()));
        // Next to 1 the result itself vanishes; inputs there are exact in f32.
        inputs.retain(|x| (x - 1.0).abs() > 1e-3);
        inputs.extend([1.0 + 1.0 / 1024.0, 1.0 - 1.0 / 4096.0, 1.0]);
        check::<f32>(&inputs, 3e-7, f32::ln_on, f64::ln);
        check::<f64>(&inputs, 1e-15, f64::ln_on, f64::ln);
        check::<f32>(&[0.0, -1.0, f64::INFINITY, f64::NAN], 0.0, f32::ln_on, f64::ln);
        check::<f64>(&[0.0, -1.0, f64::INFINITY, f64::NAN], 0.0, f64::ln_on, f64::ln);
    }

    #[test]
    fn sigmoid_and_tanh_are_within_tolerance_on_every_instruction_set() {
        let mut inputs = range(-30.0, 30.0);
        inputs.extend([1e-30, -1e-8, 1e-4, 0.2999, 0.3001, 0.0]);
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        check::<f32>(&inputs, 5e-7, f32::sigmoid_on, sigmoid);
        check::<f64>(&inputs, 1e-15, f64::sigmoid_on, sigmoid);
        check::<f32>(&inputs, 5e-7, f32::tanh_on, f64::tanh);
        check::<f64>(&inputs, 1e-15, f64::tanh_on, f64::tanh);
        for simd in available() {
            let mut x = [f32::INFINITY, f32::NEG_INFINITY, 1000.0, -1000.0];
            f32::tanh_on(simd, &mut x);
            assert_eq!(x, [1.0, -1.0, 1.0, -1.0]);
            let mut x = [f32::INFINITY, f32::NEG_INFINITY, 1000.0, -1000.0];
            f32::sigmoid_on(simd, &mut x);
            assert_eq!(x, [1.0, 0.0, 1.0, 0.0]);
        }
    }

    #[test]
    fn a_result_depends_on_the_value_and_not_on_its_place() {
        let values: Vec<f32> = (0..37).map(|i| -3.0 + i as f32 * 0.17).collect();
        for simd in available() {
            let mut all = values.clone();
            f32::exp_on(simd, &mut all);
            for (&x, &y) in values.iter().zip(&all) {
                let mut one = [x];
                f32::exp_on(simd, &mut one);
                assert_eq!(one[0].to_bits(), y.to_bits());
            }
        }
    }
}
