//! Tails against exact ones.

use super::*;

/// Total, marked, drawn, at least, and `ln P` from mpmath with 50 digits. scipy 1.17.1's `hypergeom.sf` agrees with
/// these to 1e-14, but for 1.5e-10 at a million, and is 0 where the logarithm is below −745.
const EXACT: [(usize, usize, usize, usize, f64); 22] = [
    (300, 36, 30, 6, -2.026119706948583),
    (20000, 100, 200, 1, -0.4543119487869134),
    (20000, 100, 200, 2, -1.3309429706678757),
    (20000, 100, 200, 10, -16.57577398455447),
    (20000, 100, 200, 60, -221.59586435636194),
    (20000, 100, 200, 100, -490.6082321552758),
    (20000, 500, 5000, 100, -0.0032274207571419563),
    (20000, 500, 5000, 125, -0.6586400032389116),
    (20000, 500, 5000, 126, -0.7426370550443682),
    (20000, 500, 5000, 300, -144.1928963011265),
    (20000, 500, 5000, 500, -712.6820961845569),
    (20000, 15, 18000, 14, -0.5996757417737203),
    (60000, 2000, 3000, 150, -14.317963175939985),
    (60000, 2000, 3000, 101, -0.7478344814541251),
    (60000, 2000, 3000, 2000, -6858.609955768555),
    (12, 5, 6, 5, -4.882801922586371),
    (12, 5, 6, 1, -0.0076045993852193105),
    (12, 11, 6, 6, -std::f64::consts::LN_2),
    (1000000, 20000, 20000, 500, -14.554718078111383),
    (1000000, 20000, 20000, 20000, -98033.2526946078),
    (2, 1, 1, 1, -std::f64::consts::LN_2),
    (20000, 19990, 500, 500, -0.2532357906607035),
];

#[test]
fn tails_equal_exact_ones_however_extreme() {
    for (total, marked, drawn, k, expected) in EXACT {
        let found = Hypergeometric { total, marked, drawn }.ln_upper_tail(k);
        // A difference of logarithms is a relative one of probabilities; below 1e-300 that of the logarithm itself.
        let tolerance = 1e-12_f64.max(4.0 * f64::EPSILON * expected.abs());
        assert!((found - expected).abs() < tolerance, "{total} {marked} {drawn} {k}: {found} {expected}");
    }
}

#[test]
fn small_tails_equal_the_count_of_all_draws() {
    let choose = |n: usize, k: usize| (0..k).fold(1.0, |c, i| c * (n - i) as f64 / (i + 1) as f64);
    let ways = |n: usize, k: usize| if k > n { 0.0 } else { choose(n, k) };
    for total in 1..14 {
        for marked in 0..=total {
            for drawn in 0..=total {
                for k in 0..=total + 1 {
                    let expected: f64 =
                        (k..=drawn).map(|x| ways(marked, x) * ways(total - marked, drawn - x)).sum::<f64>()
                            / choose(total, drawn);
                    let found = Hypergeometric { total, marked, drawn }.ln_upper_tail(k).exp();
                    assert!(
                        (found - expected).abs() < 1e-14,
                        "{total} {marked} {drawn} {k}: {found} {expected}"
                    );
                }
            }
        }
    }
}

#[test]
fn marked_and_drawn_may_be_exchanged() {
    for (total, marked, drawn, k, _) in EXACT {
        let one = Hypergeometric { total, marked, drawn }.ln_upper_tail(k);
        let two = Hypergeometric { total, marked: drawn, drawn: marked }.ln_upper_tail(k);
        assert!((one - two).abs() < 1e-12_f64.max(1e-15 * one.abs()), "{one} {two}");
    }
}
