//! Positions of peaks from their names: `chr1:10-20`, `chr1-10-20`, `chr1_10_20`.

use brodmann_kernels::OptionError;

use super::super::LinksError;
use super::EXAMPLES;
use super::matching::PositionOptions;

/// Where a peak lies: 0-based, the end excluded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeakPosition {
    /// As the name has it.
    pub chromosome: String,
    /// First base.
    pub start: u64,
    /// Behind the last base.
    pub end: u64,
}

impl PeakPosition {
    /// The base in the middle.
    pub fn middle(&self) -> u64 {
        self.start.midpoint(self.end)
    }
}

/// The positions of peaks, as far as their names hold them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeakParsing {
    /// One per peak.
    pub positions: Vec<Option<PeakPosition>>,
    /// How many there are.
    pub n_parsed: usize,
    /// Some names that are no positions.
    pub others: Vec<String>,
}

/// The position that `name` is.
///
/// It is split from the right, since names of chromosomes may hold any of the separators: `GL000220_1`,
/// `chr1_KI270706v1_random`, `HLA-A*01:01`.
///
/// ```
/// use brodmann::stats::links::parse_peak;
///
/// let peak = parse_peak("chr1_KI270706v1_random_10_20").expect("a position");
/// assert_eq!((peak.chromosome.as_str(), peak.start, peak.end), ("chr1_KI270706v1_random", 10, 20));
/// assert_eq!(parse_peak("chr1:1,000-2,000").map(|p| p.middle()), Some(1500));
/// assert_eq!(parse_peak("TP53"), None);
/// ```
pub fn parse_peak(name: &str) -> Option<PeakPosition> {
    let number = |text: &str| {
        let digits = text.replace(',', "");
        let all = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<u64>().ok().filter(|n| all && *n < 1 << 42)
    };
    let (rest, end) = name.trim().rsplit_once(['-', '_'])?;
    let (chromosome, start) = rest.rsplit_once([':', '-', '_'])?;
    let (start, end) = (number(start)?, number(end)?);
    (start < end && !chromosome.is_empty()).then(|| PeakPosition {
        chromosome: chromosome.to_owned(),
        start,
        end,
    })
}

/// The positions of all peaks.
///
/// # Errors
/// `FewPeaksParsed` where the share with a position is below [`PositionOptions::min_matched`], or none has one.
pub fn parse_peaks<S: AsRef<str>>(names: &[S], options: &PositionOptions) -> Result<PeakParsing, LinksError> {
    options.validate().map_err(|e: OptionError| LinksError::Option(e))?;
    let positions: Vec<Option<PeakPosition>> = names.iter().map(|n| parse_peak(n.as_ref())).collect();
    let n_parsed = positions.iter().flatten().count();
    let without = names.iter().zip(&positions).filter(|(_, p)| p.is_none());
    let others: Vec<String> = without.take(EXAMPLES).map(|(n, _)| n.as_ref().to_owned()).collect();
    let expected = options.least(names.len());
    if n_parsed < expected {
        return Err(LinksError::FewPeaksParsed { n_parsed, n_peaks: names.len(), expected, others });
    }
    Ok(PeakParsing { positions, n_parsed, others })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_are_read_and_split_from_the_right() {
        for (name, chromosome) in [
            ("chr1:10-20", "chr1"),
            ("chr1-10-20", "chr1"),
            ("chr1_10_20", "chr1"),
            ("1:10-20", "1"),
            ("GL000220_1_10_20", "GL000220_1"),
            ("GL000220.1:10-20", "GL000220.1"),
            ("chr1_KI270706v1_random-10-20", "chr1_KI270706v1_random"),
            ("HLA-A*01:01:10-20", "HLA-A*01:01"),
            (" X:1,0-2,0 ", "X"),
        ] {
            let expected = PeakPosition { chromosome: chromosome.to_owned(), start: 10, end: 20 };
            assert_eq!(parse_peak(name), Some(expected), "{name}");
        }
        for name in [
            "",
            "chr1",
            "chr1:10",
            "chr1:10-",
            ":10-20",
            "chr1:20-10",
            "chr1:10-10",
            "chr1:a-20",
            "HLA-A",
            "chr1:+1-20",
            "chr1:10-99999999999999999999",
            "chr1:10-4398046511104",
        ] {
            assert_eq!(parse_peak(name), None, "{name}");
        }
    }

    #[test]
    fn too_few_positions_are_refused_with_examples() {
        let options = PositionOptions::default();
        let found = parse_peaks(&["chr1:1-2", "TP53"], &options).expect("half of them");
        assert_eq!((found.n_parsed, found.others.as_slice()), (1, &["TP53".to_owned()][..]));
        assert!(matches!(
            parse_peaks(&["A", "B"], &options),
            Err(LinksError::FewPeaksParsed { n_parsed: 0, n_peaks: 2, expected: 1, .. })
        ));
        assert!(parse_peaks::<&str>(&[], &options).is_err());
    }
}
