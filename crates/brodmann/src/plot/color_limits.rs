//! Where the colours of numbers end.

use std::str::FromStr;

use super::PlotError;

/// The percentiles that are the ends where nobody says otherwise: a few extreme spots would leave one colour for the rest.
pub const PERCENTILES: [f64; 2] = [1.0, 99.0];

/// An end of a scale of colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// This number.
    Value(f64),
    /// This percentile of the numbers that are drawn, 0 to 100.
    Percentile(f64),
}

impl FromStr for Bound {
    type Err = PlotError;

    /// `2.5`, or `p99` for the 99th percentile, as scanpy writes it.
    fn from_str(text: &str) -> Result<Self, PlotError> {
        let unknown = || PlotError::UnknownBound { text: text.to_owned() };
        let (is_percentile, number) =
            text.strip_prefix(['p', 'P']).map_or((false, text), |rest| (true, rest));
        let number: f64 = number.trim().parse().map_err(|_| unknown())?;
        match is_percentile {
            true if (0.0..=100.0).contains(&number) => Ok(Self::Percentile(number)),
            false if number.is_finite() => Ok(Self::Value(number)),
            _ => Err(unknown()),
        }
    }
}

/// The ends of a scale of colours.
#[derive(Clone, Debug, PartialEq)]
pub struct ColorLimits {
    /// Values of the end colours, in order.
    pub ends: (f64, f64),
    /// Which percentiles they are, where values lie beyond them; empty otherwise.
    pub note: String,
}

/// The ends of the colours of `values`.
///
/// An end that is not given is the 1st or 99th percentile ([`PERCENTILES`]). Where both percentiles are one number, as
/// of a gene that hardly a spot expresses, the ends are the smallest and largest value.
///
/// # Inputs
/// `values`: NaN and infinities do not count. `low`, `high`: the ends, where they are given.
/// # Returns
/// `None` without a finite value.
/// # Cost
/// O(n log n) time.
///
/// # Example
///
/// ```
/// use brodmann::plot::{Bound, color_limits};
///
/// let values: Vec<f64> = (0..=100).map(f64::from).collect();
/// let limits = color_limits(&values, None, None).expect("values");
/// assert_eq!((limits.ends, limits.note.as_str()), ((1.0, 99.0), "1st to 99th percentile"));
/// let limits = color_limits(&values, Some(Bound::Value(0.0)), Some(Bound::Percentile(50.0))).expect("values");
/// assert_eq!((limits.ends, limits.note.as_str()), ((0.0, 50.0), "up to the 50th percentile"));
/// ```
pub fn color_limits(values: &[f64], low: Option<Bound>, high: Option<Bound>) -> Option<ColorLimits> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let (&smallest, &largest) = (sorted.first()?, sorted.last()?);
    let [p, q] = PERCENTILES;
    let (mut below, mut above) = (low.unwrap_or(Bound::Percentile(p)), high.unwrap_or(Bound::Percentile(q)));
    let value = |bound: Bound| match bound {
        Bound::Value(value) => value,
        Bound::Percentile(share) => percentile(&sorted, share),
    };
    if value(below) >= value(above) {
        // What was asked for stays.
        below = low.unwrap_or(Bound::Percentile(0.0));
        above = high.unwrap_or(Bound::Percentile(100.0));
    }
    let mut ends = (value(below), value(above));
    if ends.0 > ends.1 && (low.is_none() || high.is_none()) {
        // One end lies beyond all values.
        ends = if low.is_none() { (ends.1, ends.1) } else { (ends.0, ends.0) };
    }
    let cut_below = matches!(below, Bound::Percentile(_)) && smallest < ends.0;
    let cut_above = matches!(above, Bound::Percentile(_)) && largest > ends.1;
    let note = match (below, above) {
        (Bound::Percentile(p), Bound::Percentile(q)) if cut_below && cut_above => {
            format!("{} to {} percentile", ordinal(p), ordinal(q))
        }
        (_, Bound::Percentile(q)) if cut_above => format!("up to the {} percentile", ordinal(q)),
        (Bound::Percentile(p), _) if cut_below => format!("from the {} percentile", ordinal(p)),
        _ => String::new(),
    };
    Some(ColorLimits { ends, note })
}

/// Between the two values next to it, in proportion, as `numpy.percentile`.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = share / 100.0 * (sorted.len() - 1) as f64;
    let k = (at.floor() as usize).min(sorted.len() - 1);
    let next = sorted[(k + 1).min(sorted.len() - 1)];
    // Halves first: the span of the largest doubles overflows.
    let step = (at - k as f64) * (next / 2.0 - sorted[k] / 2.0);
    sorted[k] + 2.0 * step
}

fn ordinal(number: f64) -> String {
    let whole = number as u64;
    let ending = match (whole % 10, whole % 100) {
        _ if number.fract() != 0.0 => "th",
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_numpy() {
        // numpy.percentile([1, 2, 4, 8], [0, 25, 50, 99, 100])
        let sorted = [1.0, 2.0, 4.0, 8.0];
        let found = [0.0, 25.0, 50.0, 99.0, 100.0].map(|share| percentile(&sorted, share));
        assert_eq!(found[..3], [1.0, 1.75, 3.0]);
        assert!((found[3] - 7.88).abs() < 1e-12 && found[4] == 8.0);
        assert!(percentile(&[f64::MIN, f64::MAX], 50.0).abs() < 1e300);
    }

    #[test]
    fn a_gene_of_few_spots_spans_all_of_its_values() {
        let mut values = vec![0.0; 999];
        values.push(3.0);
        let limits = color_limits(&values, None, None).expect("values");
        assert_eq!(limits, ColorLimits { ends: (0.0, 3.0), note: String::new() });
        values.extend([f64::NAN, f64::INFINITY]);
        assert_eq!(color_limits(&values, None, None), Some(limits));
    }

    #[test]
    fn what_is_asked_for_counts() {
        let values: Vec<f64> = (0..=10).map(f64::from).collect();
        let of = |low, high| color_limits(&values, low, high).expect("values");
        assert_eq!(of(Some(Bound::Value(-5.0)), Some(Bound::Value(5.0))).ends, (-5.0, 5.0));
        assert_eq!(of(Some(Bound::Value(-5.0)), Some(Bound::Value(5.0))).note, "");
        // Beyond all values: everything has one colour.
        assert_eq!(of(Some(Bound::Value(50.0)), None).ends, (50.0, 50.0));
        assert_eq!(of(None, Some(Bound::Value(-3.0))).ends, (-3.0, -3.0));
        // In the wrong order: for the caller to refuse.
        assert_eq!(of(Some(Bound::Value(5.0)), Some(Bound::Value(1.0))).ends, (5.0, 1.0));
        assert_eq!(color_limits(&[f64::NAN], None, None), None);
        assert_eq!(color_limits(&[2.0, 2.0], None, None).map(|l| l.ends), Some((2.0, 2.0)));
    }

    #[test]
    fn bounds_are_read() {
        assert_eq!("2.5".parse(), Ok(Bound::Value(2.5)));
        assert_eq!("-1e3".parse(), Ok(Bound::Value(-1000.0)));
        assert_eq!("p99.5".parse(), Ok(Bound::Percentile(99.5)));
        for odd in ["", "p", "p101", "p-1", "nan", "inf", "high"] {
            assert!(odd.parse::<Bound>().is_err(), "{odd}");
        }
        assert_eq!(
            ["1", "2", "3", "11", "21", "99.5"].map(|n| ordinal(n.parse().expect("a number"))).join(" "),
            "1st 2nd 3rd 11th 21st 99.5th"
        );
    }
}
