//! Control of the false discovery rate.

/// Benjamini–Hochberg adjusted p-values: the lowest false discovery rate at which each test is called.
///
/// `q₍ᵢ₎ = min over j ≥ i of min(1, p₍ⱼ₎ m / j)`. NaN stays NaN and does not count as a test.
///
/// # Inputs
/// `p_values`: in `[0, 1]` or NaN, any order.
/// # Returns
/// Adjusted values in the same order.
/// # Cost
/// O(m log m).
/// # Source
/// Benjamini & Hochberg 1995, J. R. Stat. Soc. B 57:289.
///
/// # Example
///
/// ```
/// use brodmann::stats::benjamini_hochberg;
///
/// let adjusted = benjamini_hochberg(&[0.01, 0.04, 0.02, 0.5]);
/// assert_eq!(adjusted, [0.04, 0.04 * 4.0 / 3.0, 0.04, 0.5]);
/// ```
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).filter(|&i| !p_values[i].is_nan()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let m = order.len() as f64;
    let mut adjusted = vec![f64::NAN; p_values.len()];
    let mut lowest = 1.0_f64;
    for (rank, &i) in order.iter().enumerate().rev() {
        lowest = lowest.min(p_values[i] * m / (rank + 1) as f64);
        adjusted[i] = lowest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_case_by_hand() {
        let adjusted = benjamini_hochberg(&[0.04, 0.01, 0.03, 0.5]);
        let expected = [0.04 * 4.0 / 3.0, 0.04, 0.04 * 4.0 / 3.0, 0.5];
        assert!(adjusted.iter().zip(expected).all(|(a, e)| (a - e).abs() < 1e-15), "{adjusted:?}");
    }

    #[test]
    fn nan_is_no_test_and_nothing_exceeds_one() {
        let adjusted = benjamini_hochberg(&[f64::NAN, 0.02, 0.9, 1.0]);
        assert!(adjusted[0].is_nan());
        assert!((adjusted[1] - 0.06).abs() < 1e-15);
        assert_eq!(adjusted[2..], [1.0, 1.0]);
        assert!(benjamini_hochberg(&[]).is_empty());
    }
}
