//! Two-sided tails of the normal and of Student's distribution, as far out as they go.

use std::f64::consts::{PI, SQRT_2};

/// Beyond this, `erfc` is taken from its asymptotic series, exact to rounding there.
const FAR: f64 = 10.0;
/// From so many degrees of freedom on, Student's tail is a series about the normal one.
const MANY_DF: f64 = 60.0;
/// That series is for `x = df / (df + t²)` of at least this; below, the continued fraction is short.
const SERIES_FROM: f64 = 0.7;
/// Terms of that series: enough for rounding at its limits.
const SERIES_TERMS: usize = 24;
/// Terms of a continued fraction; a dozen is usual.
const MOST_TERMS: usize = 10_000;
/// Stands for a zero denominator in Lentz's method.
const TINY: f64 = 1e-300;

/// A p-value, and its logarithm where the p-value itself is below the smallest number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tails {
    pub(super) p: f64,
    pub(super) ln_p: f64,
}

impl Tails {
    /// Of a test that says nothing.
    pub(super) const NO_EVIDENCE: Self = Self { p: 1.0, ln_p: 0.0 };

    fn of_ln(ln_p: f64) -> Self {
        // Rounding may lift a p-value of 1 above it.
        let ln_p = ln_p.min(0.0);
        Self { p: ln_p.exp(), ln_p }
    }
}

/// `P(|Z| ≥ |z|)` of a standard normal.
pub(super) fn normal(z: f64) -> Tails {
    let x = z.abs() / SQRT_2;
    let p = libm::erfc(x);
    if x < FAR {
        return Tails { p, ln_p: p.ln() };
    }
    Tails { p, ln_p: -x * x - (x * PI.sqrt()).ln() + erfc_series(x * x).ln() }
}

/// `erfc(x) · e^{x²} · x √π = 1 − 1/(2x²) + 1·3/(2x²)² − …` (Abramowitz & Stegun 7.1.23), given x².
fn erfc_series(x_squared: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 1..15 {
        term *= -f64::from(2 * k - 1) / (2.0 * x_squared);
        sum += term;
    }
    sum
}

/// `P(|T| ≥ |t|)` of Student's distribution with `df > 0` degrees of freedom, `t` neither 0 nor infinite.
///
/// It is the regularised incomplete beta function `Iₓ(df/2, ½)` at `x = df / (df + t²)`.
pub(super) fn student(t: f64, df: f64) -> Tails {
    let (a, ratio) = (0.5 * df, t * t / df);
    let x = 1.0 / (1.0 + ratio);
    // By ln1p, as x is close to 1 with many degrees of freedom; t² may overflow.
    let ln_ratio = 2.0 * t.abs().ln() - df.ln();
    let ln_x = if ratio.is_finite() { -ratio.ln_1p() } else { -ln_ratio };
    if df >= MANY_DF && x >= SERIES_FROM {
        return Tails::of_ln(series(a, ln_x));
    }
    // ln(xᵃ y^½ / B(a, ½))
    let front = a * ln_x + 0.5 * (ln_ratio + ln_x) - 0.5 * PI.ln() + ln_gamma_half_step(a);
    if x < (a + 1.0) / (a + 2.5) {
        return Tails::of_ln(front - a.ln() + continued_fraction(a, 0.5, x).ln());
    }
    let p = (1.0 - 2.0 * front.exp() * continued_fraction(0.5, a, ratio / (1.0 + ratio))).clamp(0.0, 1.0);
    Tails { p, ln_p: p.ln() }
}

/// `ln Iₓ(a, ½)` for large `a` and `x` near 1, where the first term is the normal tail.
///
/// With `b = ½`, `T = a + (b − 1)/2`, `u = −T ln x`:
/// ```text
/// Iₓ = M · Σ pₙ Jₙ,     M = e^{−u} u^b Γ(a + b) / (Γ(a) Γ(b) T^b)
/// J₀ = Γ(b, u) / (e^{−u} u^b)
/// Jₙ₊₁ = ((b + 2n)(b + 2n + 1) Jₙ + (u + b + 2n + 1) (ln x / 2)^{2n}) / (4T²)
/// ```
/// DiDonato & Morris 1992, ACM Trans. Math. Softw. 18:360, eqs. 9 to 9.3.
fn series(a: f64, ln_x: f64) -> f64 {
    const B: f64 = 0.5;
    let t = a + 0.5 * (B - 1.0);
    let u = -t * ln_x;
    // Γ(½, u) = √π erfc(√u).
    let mut j =
        if u >= FAR * FAR { erfc_series(u) / u } else { libm::erfc(u.sqrt()) * u.exp() * (PI / u).sqrt() };
    let (mut sum, mut power) = (j, 1.0);
    let half_squared = 0.25 * ln_x * ln_x;
    for (n, p) in SERIES.iter().enumerate().skip(1) {
        let k = 2.0 * (n - 1) as f64;
        j = ((B + k) * (B + k + 1.0) * j + (u + B + k + 1.0) * power) / (4.0 * t * t);
        power *= half_squared;
        let term = p * j;
        sum += term;
        if term.abs() <= f64::EPSILON * 0.1 * sum {
            break;
        }
    }
    -u + 0.5 * (u / (PI * t)).ln() + ln_gamma_half_step(a) + sum.ln()
}

/// `pₙ = (b − 1)/(2n + 1)! + (1/n) Σ_{m<n} (m b − n) pₙ₋ₘ / (2m + 1)!` for `b = ½`.
const SERIES: [f64; SERIES_TERMS] = {
    let mut inverse_factorial = [1.0; SERIES_TERMS];
    let mut n = 1;
    while n < SERIES_TERMS {
        inverse_factorial[n] = inverse_factorial[n - 1] / ((2 * n) as f64 * (2 * n + 1) as f64);
        n += 1;
    }
    let mut p = [1.0; SERIES_TERMS];
    let mut n = 1;
    while n < SERIES_TERMS {
        let mut sum = 0.0;
        let mut m = 1;
        while m < n {
            sum += (0.5 * m as f64 - n as f64) * p[n - m] * inverse_factorial[m];
            m += 1;
        }
        p[n] = -0.5 * inverse_factorial[n] + sum / n as f64;
        n += 1;
    }
    p
};

/// `ln Γ(a + ½) − ln Γ(a)`.
fn ln_gamma_half_step(a: f64) -> f64 {
    if a < 0.5 * MANY_DF {
        return libm::lgamma(a + 0.5) - libm::lgamma(a);
    }
    // A difference of two large numbers otherwise. From Stirling's series, DLMF 5.11.8 at h = ½ and h = 0.
    let (r, r2) = (1.0 / a, 1.0 / (a * a));
    let series = -31.0 / 18432.0;
    let series = 17.0 / 14336.0 + r2 * series;
    let series = -1.0 / 640.0 + r2 * series;
    let series = 1.0 / 192.0 + r2 * series;
    0.5 * a.ln() + r * (-0.125 + r2 * series)
}

/// The continued fraction of `Iₓ(a, b)`, DLMF 8.17.22, by the modified method of Lentz.
fn continued_fraction(a: f64, b: f64, x: f64) -> f64 {
    let away = |v: f64| if v.abs() < TINY { TINY } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for m in 1..MOST_TERMS {
        let m = m as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = value;
        for term in [even, odd] {
            d = 1.0 / away(1.0 + term * d);
            c = away(1.0 + term / c);
            value *= c * d;
        }
        if (value / before - 1.0).abs() <= f64::EPSILON {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: Tails, ln_p: f64) {
        let tolerance = 2e-13 * ln_p.abs().max(1.0);
        assert!((found.ln_p - ln_p).abs() <= tolerance, "{found:?} instead of {ln_p}");
        if ln_p > -700.0 {
            assert!((found.p / ln_p.exp() - 1.0).abs() <= 1e-12 + 2.0 * tolerance, "{found:?}");
        }
    }

    /// (t, df, ln p) from mpmath with 40 digits.
    const STUDENT: &[(f64, f64, f64)] = &[
        (0.001, 1.0, -0.0006368222884383984),
        (0.4, 1.0, -0.2773857726497183),
        (1.7, 1.0, -1.0832133000522093),
        (1.75, 1.0, -1.1071526103878118),
        (3.0, 1.0, -1.5855614147303534),
        (12.0, 1.0, -2.9387972335200514),
        (45.0, 1.0, -4.258409768898948),
        (300.0, 1.0, -6.155368883631527),
        (4000.0, 1.0, -8.745632366224815),
        (0.001, 2.5, -0.0007238792165677229),
        (0.4, 2.5, -0.3273668403445401),
        (1.7, 2.5, -1.5817633251826724),
        (1.75, 2.5, -1.627419558117789),
        (3.0, 2.5, -2.6231196737801854),
        (12.0, 2.5, -5.865284851579261),
        (45.0, 2.5, -9.154130173066982),
        (300.0, 2.5, -13.895757556458799),
        (4000.0, 2.5, -20.37139861615967),
        (0.001, 7.0, -0.0007702793439780271),
        (0.4, 7.0, -0.35513089777690104),
        (1.7, 7.0, -2.0179409043730927),
        (1.75, 7.0, -2.0907611390906453),
        (3.0, 7.0, -3.9149208936535795),
        (12.0, 7.0, -11.965747879714497),
        (45.0, 7.0, -21.081030238521834),
        (300.0, 7.0, -34.35037581152797),
        (4000.0, 7.0, -52.482005364670506),
        (0.001, 29.3, -0.000791419895923228),
        (0.4, 29.3, -0.3680856982520386),
        (1.7, 29.3, -2.30534416227219),
        (1.75, 29.3, -2.4014576639016925),
        (3.0, 29.3, -5.209294582801747),
        (12.0, 29.3, -27.87636312928273),
        (45.0, 29.3, -64.18040271130883),
        (300.0, 29.3, -119.5669015396872),
        (4000.0, 29.3, -195.45713919561518),
        (0.001, 59.9, -0.0007948772818629622),
        (0.4, 59.9, -0.3702242878872828),
        (1.7, 59.9, -2.3610783814409664),
        (1.75, 59.9, -2.4622924112079714),
        (3.0, 59.9, -5.5391296484540815),
        (12.0, 59.9, -38.79635699264658),
        (45.0, 59.9, -108.57870476801327),
        (300.0, 59.9, -221.37681678081313),
        (4000.0, 59.9, -376.5143254615429),
        (0.001, 60.0, -0.0007948828125113435),
        (0.4, 60.0, -0.37022771354938144),
        (1.7, 60.0, -2.361169968903705),
        (1.75, 60.0, -2.462392547921777),
        (3.0, 60.0, -5.539701945182584),
        (12.0, 60.0, -38.82285468611859),
        (45.0, 60.0, -108.70839503946749),
        (300.0, 60.0, -221.6934125867277),
        (4000.0, 60.0, -377.08988233232054),
        (0.001, 75.25, -0.0007955544929646951),
        (0.4, 75.25, -0.37064386069136457),
        (1.7, 75.25, -2.3723530909332258),
        (1.75, 75.25, -2.474623753474815),
        (3.0, 75.25, -5.6103947535152265),
        (12.0, 75.25, -42.42203074596047),
        (45.0, 75.25, -127.62522409891777),
        (300.0, 75.25, -269.05949278835425),
        (4000.0, 75.25, -463.94623317345577),
        (0.001, 198.0, -0.0007971953130931093),
        (0.4, 198.0, -0.3716613770967619),
        (1.7, 198.0, -2.4001849268271256),
        (1.75, 198.0, -2.5051004029936883),
        (3.0, 198.0, -5.793720902273296),
        (12.0, 198.0, -56.55327764070309),
        (45.0, 198.0, -242.24127426521767),
        (300.0, 198.0, -608.8981544107904),
        (4000.0, 198.0, -1121.5557991821624),
        (0.001, 1234.5, -0.0007980412138066619),
        (0.4, 1234.5, -0.37218645941797335),
        (1.7, 1234.5, -2.414826785506797),
        (1.75, 1234.5, -2.5211547474850726),
        (3.0, 1234.5, -5.89472571292),
        (12.0, 1234.5, -70.76369687817966),
        (45.0, 1234.5, -602.8405218324616),
        (300.0, 1234.5, -2659.6613872391113),
        (4000.0, 1234.5, -5848.991516720318),
        (0.001, 99998.7, -0.0007982009106911943),
        (0.4, 99998.7, -0.37228562885889016),
        (1.7, 99998.7, -2.4176140276683515),
        (1.75, 99998.7, -2.524212535965734),
        (3.0, 99998.7, -5.914332819536624),
        (12.0, 99998.7, -74.66501773801316),
        (45.0, 99998.7, -1006.4075610099037),
        (300.0, 99998.7, -32098.19365479842),
        (4000.0, 99998.7, -254073.54042985925),
        (0.001, 2000000.0, -0.0007982028072046146),
        (0.4, 2000000.0, -0.3722868066417797),
        (1.7, 2000000.0, -2.417647172519473),
        (1.75, 2000000.0, -2.5242489012670903),
        (3.0, 2000000.0, -5.914566729365916),
        (12.0, 2000000.0, -74.71489806513095),
        (45.0, 2000000.0, -1016.0202087947274),
        (300.0, 2000000.0, -44022.79299339471),
    ];

    #[test]
    fn student_tails_equal_forty_digits() {
        for &(t, df, ln_p) in STUDENT {
            close(student(t, df), ln_p);
            close(student(-t, df), ln_p);
        }
    }

    #[test]
    fn normal_tails_equal_forty_digits() {
        for &(z, ln_p) in NORMAL {
            close(normal(z), ln_p);
        }
    }

    /// (z, ln p) from mpmath with 40 digits.
    const NORMAL: &[(f64, f64)] = &[
        (0.001, -0.0007982029070198694),
        (0.5, -0.4827645810336733),
        (1.96, -2.9958164711696935),
        (8.0, -34.320289979354605),
        (14.1, -102.2819343431754),
        (14.2, -103.70393261653814),
        (20.0, -203.22400819053732),
        (38.0, -725.8640688382602),
        (60.0, -1804.3204135000071),
        (1000.0, -500007.1335476316),
    ];

    #[test]
    fn the_series_meets_the_continued_fraction() {
        // Both at the limits between them, and beyond.
        for df in [60.0, 61.5, 80.0, 200.0] {
            let (a, t) = (0.5 * df, (df * (1.0 / SERIES_FROM - 1.0)).sqrt());
            for t in [0.9 * t, t, 1.1 * t] {
                let ratio: f64 = t * t / df;
                let x = 1.0 / (1.0 + ratio);
                let front =
                    a * x.ln() + 0.5 * (1.0 - x).ln() - 0.5 * PI.ln() + ln_gamma_half_step(a) - a.ln();
                let fraction = front + continued_fraction(a, 0.5, x).ln();
                assert!((series(a, -ratio.ln_1p()) - fraction).abs() < 1e-12, "{df} {t}");
            }
        }
    }

    #[test]
    fn tails_have_no_end() {
        for tails in [normal(1e5), student(1e6, 1e7)] {
            assert!(tails.p == 0.0 && tails.ln_p < -1e5 && tails.ln_p.is_finite(), "{tails:?}");
        }
        assert_eq!(normal(f64::INFINITY), Tails { p: 0.0, ln_p: f64::NEG_INFINITY });
        for t in [1e-300, 1e-20] {
            assert_eq!([student(t, 5.0).p, student(t, 1e6).p], [1.0, 1.0]);
        }
        // t² overflows; with one degree of freedom, p = 2/(π t).
        assert!((student(1e200, 1.0).p * PI / 2.0 / 1e-200 - 1.0).abs() < 1e-12);
    }
}
