//! The two constants of the similarity curve.

/// Distances at which the curves are compared, over three spreads.
const N_POINTS: usize = 300;
/// Levenberg–Marquardt steps: far more than the handful it takes.
const MAX_STEPS: usize = 500;

/// `a`, `b` with which `1 / (1 + a d^2b)` is nearest (least squares) to 1 up to `min_dist` and
/// `exp(−(d − min_dist) / spread)` beyond.
///
/// # Inputs
/// `spread > 0`, `0 <= min_dist <= spread`.
pub(super) fn fit(min_dist: f64, spread: f64) -> (f64, f64) {
    // In units of the spread all problems are of one size.
    let (a, b) = fit_unit(min_dist / spread);
    (a / spread.powf(2.0 * b), b)
}

fn fit_unit(min_dist: f64) -> (f64, f64) {
    let points: Vec<(f64, f64)> = (0..N_POINTS)
        .map(|t| {
            let d = 3.0 * t as f64 / (N_POINTS - 1) as f64;
            (d, if d < min_dist { 1.0 } else { (min_dist - d).exp() })
        })
        .collect();
    // In logarithms of a and b both stay above 0 without a bound.
    let (mut log_a, mut log_b, mut damping) = (0.0f64, 0.0f64, 1e-3f64);
    let mut current = normal_equations(&points, log_a, log_b);
    for _ in 0..MAX_STEPS {
        let ([[aa, ab], [_, bb]], [ga, gb]) = (current.hessian, current.gradient);
        let (da, db) = (aa * (1.0 + damping), bb * (1.0 + damping));
        let determinant = da * db - ab * ab;
        let step_a = (db * ga - ab * gb) / determinant;
        let step_b = (da * gb - ab * ga) / determinant;
        if !(step_a.is_finite() && step_b.is_finite()) {
            break;
        }
        let trial = normal_equations(&points, log_a + step_a, log_b + step_b);
        if trial.error <= current.error {
            (log_a, log_b) = (log_a + step_a, log_b + step_b);
            current = trial;
            damping = (damping * 0.2).max(1e-12);
            if step_a.abs().max(step_b.abs()) < 1e-12 {
                break;
            }
        } else {
            damping *= 5.0;
            if damping > 1e12 {
                break;
            }
        }
    }
    (log_a.exp(), log_b.exp())
}

/// `JᵀJ`, `Jᵀr` and `‖r‖²` in `(log a, log b)`.
struct NormalEquations {
    hessian: [[f64; 2]; 2],
    gradient: [f64; 2],
    error: f64,
}

fn normal_equations(points: &[(f64, f64)], log_a: f64, log_b: f64) -> NormalEquations {
    let (a, b) = (log_a.exp(), log_b.exp());
    let (mut hessian, mut gradient, mut error) = ([[0.0; 2]; 2], [0.0; 2], 0.0);
    for &(d, target) in points {
        let power = a * d.powf(2.0 * b);
        let q = 1.0 / (1.0 + power);
        let residual = target - q;
        // ∂q/∂log a = −q² a d^2b; ∂q/∂log b = that · 2 b ln d, 0 at d = 0.
        let by_a = -q * q * power;
        let by_b = if d > 0.0 { by_a * 2.0 * b * d.ln() } else { 0.0 };
        hessian[0][0] += by_a * by_a;
        hessian[0][1] += by_a * by_b;
        hessian[1][1] += by_b * by_b;
        gradient[0] += by_a * residual;
        gradient[1] += by_b * residual;
        error += residual * residual;
    }
    hessian[1][0] = hessian[0][1];
    NormalEquations { hessian, gradient, error }
}
