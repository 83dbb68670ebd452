//! The upper tail of the hypergeometric distribution, in logarithms.
//!
//! Source: Loader 2000, Fast and Accurate Computation of Binomial Probabilities: the error of Stirling's formula and
//! the deviance are computed as such, so that no large logarithms of factorials cancel.

#[cfg(test)]
mod tests;

/// `ln n! − ln(√(2πn) (n/e)ⁿ)` for n below 16; 0 at 0, which the formulas do not use.
const STIRLING_ERROR: [f64; 16] = [
    0.0,
    0.08106146679532726,
    0.0413406959554093,
    0.02767792568499834,
    0.020790672103765093,
    0.016644691189821193,
    0.013876128823070748,
    0.01189670994589177,
    0.010411265261972096,
    0.009255462182712733,
    0.00833056343336287,
    0.007573675487951841,
    0.00694284010720953,
    0.006408994188004207,
    0.0059513701127588475,
    0.005554733551962801,
];

/// Marked balls among drawn ones: of `total` balls `marked` are marked, and `drawn` are drawn without putting back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hypergeometric {
    pub total: usize,
    pub marked: usize,
    pub drawn: usize,
}

impl Hypergeometric {
    /// `ln P(X ≥ k)`; `−∞` where that cannot be.
    ///
    /// Relative error of the probability below 1e-12 for totals up to 10⁶.
    pub fn ln_upper_tail(self, k: usize) -> f64 {
        let Self { total, marked, drawn } = self;
        let lowest = (marked + drawn).saturating_sub(total);
        let highest = marked.min(drawn);
        if k <= lowest {
            return 0.0;
        }
        if k > highest {
            return f64::NEG_INFINITY;
        }
        let (n, m, d) = (total as f64, marked as f64, drawn as f64);
        let mode = (m + 1.0) * (d + 1.0) / (n + 2.0);
        // P(X = x + 1) / P(X = x).
        let ratio = |x: f64| (m - x) * (d - x) / ((x + 1.0) * (n - m - d + x + 1.0));
        if k as f64 > mode {
            // Falling terms, upwards from k.
            let (mut term, mut sum) = (1.0, 1.0);
            for x in k..highest {
                term *= ratio(x as f64);
                sum += term;
                if term < f64::EPSILON * 0.01 * sum {
                    break;
                }
            }
            self.ln_probability(k) + libm::log(sum)
        } else {
            // Falling terms, downwards from k − 1: what is below is the smaller half.
            let (mut term, mut sum) = (1.0, 1.0);
            for x in (lowest..k - 1).rev() {
                term /= ratio(x as f64);
                sum += term;
                if term < f64::EPSILON * 0.01 * sum {
                    break;
                }
            }
            libm::log1p(-(libm::exp(self.ln_probability(k - 1)) * sum).min(1.0))
        }
    }

    /// `ln P(X = k)` for a `k` that can be, and neither none nor all drawn or marked: as three binomials of one chance.
    fn ln_probability(self, k: usize) -> f64 {
        let Self { total, marked, drawn } = self;
        let of = |x: usize, n: usize| ln_binomial(x, n, drawn, total);
        of(k, marked) + of(drawn - k, total - marked) - of(drawn, total)
    }
}

/// `ln` of the binomial probability of `x` in `n` at the chance `part / whole`, strictly between 0 and 1.
fn ln_binomial(x: usize, n: usize, part: usize, whole: usize) -> f64 {
    let p = part as f64 / whole as f64;
    let q = (whole - part) as f64 / whole as f64;
    // ln(1 − p), exact to the last digits where p is small.
    let ln_of = |chance: f64, other: f64| {
        if other < 0.5 { libm::log1p(-other) } else { libm::log(chance) }
    };
    let (size, found) = (n as f64, x as f64);
    if x == 0 {
        return size * ln_of(q, p);
    }
    if x == n {
        return size * ln_of(p, q);
    }
    let missed = (n - x) as f64;
    let spread = 0.5 * (libm::log(std::f64::consts::TAU * found) + libm::log1p(-found / size));
    stirling_error(n)
        - stirling_error(x)
        - stirling_error(n - x)
        - deviance(found, size * p)
        - deviance(missed, size * q)
        - spread
}

/// `ln n! − ln(√(2πn) (n/e)ⁿ)`.
fn stirling_error(n: usize) -> f64 {
    if let Some(&error) = STIRLING_ERROR.get(n) {
        return error;
    }
    let n = n as f64;
    let square = 1.0 / (n * n);
    // The next term is below 1e-15 of the first from 16 on.
    let series = 1.0 / 1260.0 - (1.0 / 1680.0 - (1.0 / 1188.0 - 691.0 / 360360.0 * square) * square) * square;
    (1.0 / 12.0 - (1.0 / 360.0 - series * square) * square) / n
}

/// `x ln(x / m) + m − x`, also where `x` is close to `m`.
fn deviance(x: f64, m: f64) -> f64 {
    let difference = x - m;
    if difference.abs() >= 0.1 * (x + m) {
        return x * libm::log(x / m) - difference;
    }
    // With v = (x − m) / (x + m), ln(x / m) = 2 Σ v^(2j+1) / (2j + 1).
    let v = difference / (x + m);
    let mut sum = difference * v;
    let mut power = 2.0 * x * v;
    for j in 1..100 {
        power *= v * v;
        let next = sum + power / f64::from(2 * j + 1);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}
