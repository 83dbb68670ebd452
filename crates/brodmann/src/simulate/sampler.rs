//! Random variates. Our own, so that a seed keeps its tissue when a dependency changes its algorithms.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

/// A uniform number in the open interval (0, 1).
#[inline]
pub fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    ((rng.next_u64() >> 11) as f64 + 0.5) * (1.0 / (1u64 << 53) as f64)
}

/// A standard normal number (Box & Muller 1958; the sine half is not kept, so that every draw uses two words).
pub fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v) = (uniform(rng), uniform(rng));
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// A gamma variate of the given shape and scale 1 (Marsaglia & Tsang 2000).
pub fn gamma(rng: &mut ChaCha8Rng, shape: f64) -> f64 {
    // Shapes below one are drawn one higher and scaled back by U^(1/shape).
    let (shape, boost) =
        if shape < 1.0 { (shape + 1.0, uniform(rng).powf(1.0 / shape)) } else { (shape, 1.0) };
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(rng);
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && uniform(rng).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v * boost;
        }
    }
}

/// A Poisson variate: inversion below 10, transformed rejection (Hörmann 1993, PTRS) from there.
pub fn poisson(rng: &mut ChaCha8Rng, mean: f64) -> f64 {
    if mean < 10.0 {
        let (mut k, mut p) = (0.0, (-mean).exp());
        let mut u = uniform(rng);
        while u > p && k < 1000.0 {
            u -= p;
            k += 1.0;
            p *= mean / k;
        }
        return k;
    }
    let b = 0.931 + 2.53 * mean.sqrt();
    let a = -0.059 + 0.02483 * b;
    let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
    let v_r = 0.9277 - 3.6224 / (b - 2.0);
    loop {
        let u = uniform(rng) - 0.5;
        let v = uniform(rng);
        let us = 0.5 - u.abs();
        let k = ((2.0 * a / us + b) * u + mean + 0.43).floor();
        if us >= 0.07 && v <= v_r {
            return k;
        }
        if k < 0.0 || (us < 0.013 && v > us) {
            continue;
        }
        let log_accept = (v * inverse_alpha / (a / (us * us) + b)).ln();
        if log_accept <= k * mean.ln() - mean - ln_factorial(k) {
            return k;
        }
    }
}

/// `ln k!` by Stirling's series, whose error is below 1e-9 from k = 10; products below.
fn ln_factorial(k: f64) -> f64 {
    if k < 10.0 {
        return (1..=k as u32).map(|i| f64::from(i).ln()).sum();
    }
    let inverse = 1.0 / k;
    k * k.ln() - k
        + 0.5 * (std::f64::consts::TAU * k).ln()
        + inverse * (1.0 / 12.0 - inverse * inverse * (1.0 / 360.0 - inverse * inverse / 1260.0))
}

/// The distribution of a count given its mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CountLaw {
    /// Poisson.
    Poisson,
    /// Negative binomial; variance `mean + mean²/shape`.
    NegativeBinomial {
        /// Inverse overdispersion.
        shape: f64,
    },
}

impl CountLaw {
    /// P(count > 0).
    #[inline]
    pub fn probability_nonzero(self, mean: f64) -> f64 {
        match self {
            Self::Poisson => -(-mean).exp_m1(),
            Self::NegativeBinomial { shape } => -(-shape * (mean / shape).ln_1p()).exp_m1(),
        }
    }

    /// A count given that it is not zero; `p_nonzero` is [`CountLaw::probability_nonzero`] of `mean`.
    pub fn sample_nonzero(self, rng: &mut ChaCha8Rng, mean: f64, p_nonzero: f64) -> f64 {
        // Inversion walks k upwards and costs O(mean); rejection costs one draw where zeros are rare.
        const INVERSION_UP_TO: f64 = 30.0;
        if mean > INVERSION_UP_TO {
            loop {
                let count = match self {
                    Self::Poisson => poisson(rng, mean),
                    Self::NegativeBinomial { shape } => {
                        let rate = gamma(rng, shape) * mean / shape;
                        poisson(rng, rate)
                    }
                };
                if count > 0.0 {
                    return count;
                }
            }
        }
        let mut u = uniform(rng) * p_nonzero;
        let mut k = 1.0;
        let (mut p, odds, shape) = match self {
            Self::Poisson => (mean * (-mean).exp(), mean, 0.0),
            Self::NegativeBinomial { shape } => {
                let odds = mean / (mean + shape);
                ((-shape * (mean / shape).ln_1p()).exp() * shape * odds, odds, shape)
            }
        };
        while u > p && k < 10_000.0 {
            u -= p;
            // Poisson: p(k+1) = p(k)·mean/(k+1); negative binomial: p(k)·odds·(k+shape)/(k+1).
            let numerator = if shape > 0.0 { k + shape } else { 1.0 };
            p *= odds * numerator / (k + 1.0);
            k += 1.0;
        }
        k
    }
}
