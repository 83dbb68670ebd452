//! How dense numbers lie along an axis.

/// Steps of the grid on which the density is known.
pub(super) const STEPS: usize = 200;
/// Standard deviations after which the kernel is cut off.
const REACH: f64 = 4.0;

/// The density at `STEPS + 1` places from the smallest to the largest number, its largest value 1; `None` where all
/// numbers are one.
///
/// ```text
/// each number  is shared between the two places beside it (linear binning)
/// bandwidth    .9 · min(sd, IQR / 1.34) · n^(−1/5), the sd where half of the numbers are one; a step at least
/// density      the shares, smoothed with a Gaussian; what would fall beyond an end is reflected there
/// ```
///
/// # Inputs
/// `sorted`: finite, rising.
/// # Cost
/// O(n) time; the memory of the grid.
/// # Source
/// Silverman 1986, Density Estimation, eq. 3.31; reflection: section 2.10.
pub(super) fn density(sorted: &[f64]) -> Option<Vec<f64>> {
    let (low, high) = (*sorted.first()?, *sorted.last()?);
    if low >= high {
        return None;
    }
    // In steps of the grid from here on.
    let unit = STEPS as f64 / (high - low);
    let n = sorted.len() as f64;
    let mut shares = vec![0.0; STEPS + 1];
    let (mut sum, mut squares) = (0.0, 0.0);
    for v in sorted {
        let at = ((v - low) * unit).clamp(0.0, STEPS as f64);
        let k = (at as usize).min(STEPS - 1);
        shares[k + 1] += at - k as f64;
        shares[k] += 1.0 - (at - k as f64);
        sum += at;
        squares += at * at;
    }
    let deviation = (squares / n - (sum / n).powi(2)).max(0.0).sqrt();
    let range = (quantile(sorted, 0.75) - quantile(sorted, 0.25)) * unit / 1.34;
    let spread = if range > 0.0 { deviation.min(range) } else { deviation };
    let bandwidth = (0.9 * spread * n.powf(-0.2)).max(1.0);
    let reach = ((REACH * bandwidth).ceil() as usize).min(STEPS);
    let kernel: Vec<f64> = (0..=reach).map(|d| (-0.5 * (d as f64 / bandwidth).powi(2)).exp()).collect();
    let mut density = vec![0.0; STEPS + 1];
    for (k, share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
        for (d, weight) in kernel.iter().enumerate() {
            let below = k.abs_diff(d);
            let above = if k + d <= STEPS { k + d } else { 2 * STEPS - k - d };
            density[below.min(STEPS)] += share * weight;
            if d > 0 {
                density[above.min(STEPS)] += share * weight;
            }
        }
    }
    // The end itself is its own reflection.
    density[0] *= 2.0;
    density[STEPS] *= 2.0;
    let most = density.iter().copied().fold(0.0, f64::max);
    for v in &mut density {
        *v /= most;
    }
    Some(density)
}

/// The quantile `q` of rising numbers, between two of them by linear interpolation; NaN for none.
pub(super) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = q * last as f64;
    let k = at as usize;
    let (a, b) = (sorted[k], sorted[(k + 1).min(last)]);
    a + (b - a) * (at - k as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_density_of_a_normal_sample_is_a_bell() {
        // Quantiles of a logistic distribution that is nearly normal; symmetric.
        let sample: Vec<f64> =
            (1..4000).map(|i| f64::from(i) / 4000.0).map(|p| (p / (1.0 - p)).ln() / 1.702).collect();
        let d = density(&sample).expect("not constant");
        let largest = (0..=STEPS).max_by(|a, b| d[*a].total_cmp(&d[*b])).expect("some");
        assert!(largest.abs_diff(STEPS / 2) <= 1, "{largest}");
        assert!((0..STEPS / 2).all(|k| (d[k] - d[STEPS - k]).abs() < 1e-9));
        // Up to the middle, but for the last few numbers, which are a bump each.
        assert!((0..STEPS / 2).all(|k| d[k] < 0.05 || d[k] <= d[k + 1]));
        // One from the middle, where the density of that distribution is 4 z / (1 + z)² of its largest.
        let at = STEPS / 2 + (STEPS as f64 / (sample[sample.len() - 1] - sample[0])).round() as usize;
        let z = (-1.702f64).exp();
        assert!((d[at] - 4.0 * z / (1.0 + z).powi(2)).abs() < 0.02, "{}", d[at]);
    }

    #[test]
    fn no_mass_is_lost_at_the_ends_and_none_lies_in_gaps() {
        // As expression often is: most are 0.
        let mut sample = vec![0.0; 900];
        sample.extend((0..100).map(|k| 3.0 + f64::from(k) / 100.0));
        let d = density(&sample).expect("not constant");
        assert_eq!(d[0], 1.0);
        assert!(d[STEPS / 2] < 0.01, "{}", d[STEPS / 2]);
        // By hand: two numbers, the kernel around each, reflected.
        let two = density(&[0.0, 1.0]).expect("two");
        assert!((two[0] - two[STEPS]).abs() < 1e-12);
    }

    #[test]
    fn what_does_not_vary_has_no_density() {
        assert!(density(&[]).is_none() && density(&[3.0]).is_none() && density(&[2.0; 9]).is_none());
        let far = density(&[-1e300, 0.0, 1e300]).expect("varies");
        assert!(far.iter().all(|v| v.is_finite()));
        let near = density(&[1.0, 1.0 + f64::EPSILON]).expect("varies");
        assert!(near.iter().all(|v| (0.0..=1.0).contains(v)));
        let tiny = density(&[0.0, 5e-324]);
        assert!(tiny.is_none_or(|d| d.iter().all(|v| v.is_finite())));
    }

    #[test]
    fn quantiles_lie_between_the_numbers() {
        let sorted = [1.0, 2.0, 3.0, 4.0];
        assert_eq!([0.0, 0.5, 1.0].map(|q| quantile(&sorted, q)), [1.0, 2.5, 4.0]);
        assert_eq!(quantile(&[7.0], 0.25), 7.0);
        assert!(quantile(&[], 0.5).is_nan());
    }
}
