//! The exponential as a polynomial.

/// Below this τ the polynomial has four powers, above two.
const QUARTIC_TAU: f64 = 5.0;

/// `exp(β (s − 1))` on [−1, 1] as a polynomial in `s`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Polynomial {
    /// Of `s⁰` to `s⁴`.
    pub(super) coefficients: [f64; 5],
    /// Largest absolute error on [−1, 1].
    pub error: f64,
}

impl Polynomial {
    /// The truncated Chebyshev series at temperature `tau`: of degree 4 below τ = 5, else of degree 2.
    pub fn at_temperature(tau: f64) -> Self {
        if tau < QUARTIC_TAU { Self::quartic(1.0 / tau) } else { Self::quadratic(1.0 / tau) }
    }

    /// To the second power.
    pub fn quadratic(beta: f64) -> Self {
        let [c0, c1, c2, ..] = series(beta);
        // T₂ = 2s² − 1.
        Self { coefficients: [c0 - c2, c1, 2.0 * c2, 0.0, 0.0], error: tail(beta, 3) }
    }

    /// To the fourth power.
    pub fn quartic(beta: f64) -> Self {
        let [c0, c1, c2, c3, c4] = series(beta);
        // T₃ = 4s³ − 3s, T₄ = 8s⁴ − 8s² + 1.
        let coefficients = [c0 - c2 + c4, c1 - 3.0 * c3, 2.0 * c2 - 8.0 * c4, 4.0 * c3, 8.0 * c4];
        Self { coefficients, error: tail(beta, 5) }
    }

    /// Are there powers above the second?
    pub fn is_quartic(&self) -> bool {
        self.coefficients[3] != 0.0
    }

    /// `p(s)`.
    #[inline]
    pub fn at(&self, s: f64) -> f64 {
        let [a, b, c, d, e] = self.coefficients;
        a + s * (b + s * (c + s * (d + s * e)))
    }

    /// `p′(s)`.
    #[inline]
    pub fn slope(&self, s: f64) -> f64 {
        let [_, b, c, d, e] = self.coefficients;
        b + s * (2.0 * c + s * (3.0 * d + s * 4.0 * e))
    }

    /// The steepest that the third and fourth power together get on [−1, 1].
    pub(super) fn steepest_high_slope(&self) -> f64 {
        3.0 * self.coefficients[3].abs() + 4.0 * self.coefficients[4].abs()
    }
}

/// The first coefficients of the Chebyshev series of `exp(β (s − 1))`.
fn series(beta: f64) -> [f64; 5] {
    let scale = (-beta).exp();
    [0, 1, 2, 3, 4].map(|k| if k == 0 { 1.0 } else { 2.0 } * bessel(k, beta) * scale)
}

/// What the terms from `first` add up to at `s = 1`, where all `Tₖ` are 1: the largest error without them. Summed
/// directly: as a difference it would be rounding alone for small β.
fn tail(beta: f64, first: u32) -> f64 {
    let terms = (first..).map(|k| 2.0 * bessel(k, beta)).take_while(|&t| t > 0.0).take(200);
    terms.sum::<f64>() * (-beta).exp()
}

/// The modified Bessel function `Iₖ(x)` for x ≥ 0, by its power series.
fn bessel(k: u32, x: f64) -> f64 {
    let half = 0.5 * x;
    let mut term: f64 = (1..=k).map(|m| half / f64::from(m)).product();
    let mut sum = 0.0;
    let mut m = 1.0;
    while term > sum * 1e-18 && m < 2000.0 {
        sum += term;
        term *= half * half / (m * (m + f64::from(k)));
        m += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bessel_functions_have_their_tabulated_values() {
        // Abramowitz & Stegun, table 9.8.
        assert!((bessel(0, 1.0) - 1.266_065_877_752_008_4).abs() < 1e-15);
        assert!((bessel(1, 1.0) - 0.565_159_103_992_485).abs() < 1e-15);
        assert!((bessel(2, 0.1) - 0.001_251_041_992_241_759_3).abs() < 1e-17);
    }

    #[test]
    fn the_error_is_reached_at_one_and_nowhere_exceeded() {
        for tau in [0.5, 1.0, 2.0, 5.0, 10.0, 35.0] {
            let beta = 1.0 / tau;
            for p in [Polynomial::quadratic(beta), Polynomial::quartic(beta)] {
                assert!((1.0 - p.at(1.0) - p.error).abs() < 1e-13, "τ = {tau}: {p:?}");
                for k in 0..=1000 {
                    let s = f64::from(k) / 500.0 - 1.0;
                    assert!(((beta * (s - 1.0)).exp() - p.at(s)).abs() <= p.error + 1e-14);
                    let slope = (p.at(s + 1e-6) - p.at(s - 1e-6)) / 2e-6;
                    assert!((slope - p.slope(s)).abs() < 1e-8);
                }
            }
        }
    }
}
