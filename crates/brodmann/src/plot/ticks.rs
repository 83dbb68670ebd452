//! Round numbers.

/// 1, 2 or 5 times a power of ten, the largest not above `value`; `value` must be positive and finite.
pub(super) fn round_below(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let mantissa = value / power;
    // A mantissa of 9.9999… is a rounded ten.
    let step = [10.0, 5.0, 2.0].into_iter().find(|s| mantissa >= s * (1.0 - 1e-9)).unwrap_or(1.0);
    step * power
}

/// Round numbers from `low` to `high`, about `n` of them; `[low]` when there is no room between.
pub(super) fn ticks(low: f64, high: f64, n: usize) -> Vec<f64> {
    let span = high - low;
    if !(span.is_finite() && span > 0.0) {
        return vec![low];
    }
    let mut step = round_below(span / n.max(1) as f64);
    // Up to the next round step when that is nearer to the number wanted.
    while span / step > n as f64 * 1.5 {
        step = round_below(step * 2.6);
    }
    let first = (low / step - 1e-9).ceil();
    (0..=(span / step) as usize + 1)
        .map(|k| (first + k as f64) * step)
        .take_while(|t| *t <= high + span * 1e-9)
        .map(|t| if t.abs() < step * 1e-9 { 0.0 } else { t })
        .collect()
}

/// Round numbers from `low` to `high`, both above 0, for a logarithmic scale.
pub(super) fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    // Every decade, and 2 and 5 between where there are few.
    let steps: &[f64] = if last - first <= 3 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    (first..=last)
        .flat_map(|power| steps.iter().map(move |s| s * 10f64.powi(power)))
        .filter(|t| (low..=high).contains(t))
        .collect()
}

/// Round numbers from `low` to `high`, about `n` of them, for a scale of `ln(1 + x)`: 0 and logarithmic from 1 on, even
/// where the numbers are close to each other.
pub(super) fn log1p_ticks(low: f64, high: f64, n: usize) -> Vec<f64> {
    if low < 0.0 || high < 3.0 || (1.0 + high) / (1.0 + low) < 3.0 {
        return ticks(low, high, n);
    }
    let mut values = if low == 0.0 { vec![0.0] } else { Vec::new() };
    values.extend(log_ticks(low.max(1.0), high));
    if values.len() < 3 { ticks(low, high, n) } else { values }
}

/// Numbers as text with the digits their spacing needs, and no more.
pub(super) fn labels(values: &[f64]) -> Vec<String> {
    let largest = values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let step = values.windows(2).map(|w| w[1] - w[0]).fold(f64::INFINITY, f64::min);
    if largest != 0.0 && !(1e-3..1e5).contains(&largest) {
        let digits = if step.is_finite() {
            (largest.log10().floor() - (step * 1.0001).log10().floor()).clamp(0.0, 6.0) as usize
        } else {
            3
        };
        return values
            .iter()
            .map(|v| if *v == 0.0 { "0".to_owned() } else { minus(&format!("{v:.digits$e}")) })
            .collect();
    }
    let decimals =
        if step.is_finite() { (-(step * 1.0001).log10().floor()).clamp(0.0, 9.0) as usize } else { 3 };
    let text: Vec<String> = values.iter().map(|v| minus(&format!("{v:.decimals$}"))).collect();
    if step.is_finite() {
        return text;
    }
    // A lone number: no trailing zeros.
    text.into_iter()
        .map(|t| if t.contains('.') { t.trim_end_matches('0').trim_end_matches('.').to_owned() } else { t })
        .collect()
}

fn minus(text: &str) -> String {
    text.replace('-', "−")
}

/// A whole number with thin groups: 12345 as `12,345`.
pub(super) fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (k, c) in digits.chars().enumerate() {
        if k > 0 && (digits.len() - k).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks(0.0, 10.0, 5), vec![0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(labels(&ticks(-0.31, 0.29, 5)), ["−0.3", "−0.2", "−0.1", "0.0", "0.1", "0.2"]);
        assert_eq!(ticks(3.0, 3.0, 5), vec![3.0]);
        assert_eq!(labels(&[3.0]), ["3"]);
        assert_eq!(labels(&[0.0, 1e6, 2e6]), ["0", "1e6", "2e6"]);
        for (low, high) in [(0.0, 1.0), (-7.0, 1e9), (0.123, 0.124), (1e-12, 3e-12), (-1e300, 1e300)] {
            let t = ticks(low, high, 5);
            assert!(
                (2..=12).contains(&t.len()) && t.iter().all(|v| *v >= low - 1e-9 * (high - low)),
                "{t:?}"
            );
        }
    }

    #[test]
    fn logarithmic_ticks_begin_at_0_where_values_do() {
        assert_eq!(log1p_ticks(0.0, 20_000.0, 5), [0.0, 1.0, 10.0, 100.0, 1000.0, 10_000.0]);
        assert_eq!(log1p_ticks(300.0, 6000.0, 5), [500.0, 1000.0, 2000.0, 5000.0]);
        assert_eq!(log1p_ticks(100.0, 140.0, 4), [100.0, 110.0, 120.0, 130.0, 140.0]);
        assert_eq!(
            log1p_ticks(94.0, 495.0, 4),
            [100.0, 200.0, 300.0, 400.0],
            "two decades' worth would be two"
        );
        assert_eq!(log1p_ticks(5.0, 5.0, 4), [5.0]);
    }

    #[test]
    fn scale_bars_are_round() {
        assert_eq!(round_below(730.0), 500.0);
        assert_eq!(round_below(1000.0), 1000.0);
        assert!((round_below(0.0031) - 0.002).abs() < 1e-15);
        assert_eq!(grouped(1234567), "1,234,567");
    }
}
