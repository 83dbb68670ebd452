//! Pairs of a peak and a gene within reach.

use std::collections::HashMap;

use brodmann_kernels::OptionError;
use serde::{Deserialize, Serialize};

use super::LinksError;
use super::annotation::{GenePosition, PeakPosition, Strand, chromosome_key};
use super::groups::grouped;

/// Pairs that are made, at most: 2 GB of them.
const MAX_PAIRS: usize = 100_000_000;
/// The largest window, beyond any chromosome.
const MAX_WINDOW: u64 = 1 << 40;
/// Chromosomes that an error names.
const EXAMPLES: usize = 3;

/// What of a peak must lie in the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeakReach {
    /// Its middle.
    #[default]
    Middle,
    /// Any of its bases.
    Overlap,
}

/// Options of [`window`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WindowOptions {
    /// Bases to both sides of where transcription starts.
    pub window: u64,
    /// What of a peak must lie in it.
    pub reach: PeakReach,
}

impl Default for WindowOptions {
    fn default() -> Self {
        Self { window: 250_000, reach: PeakReach::Middle }
    }
}

impl WindowOptions {
    /// Refuses a window longer than any chromosome.
    ///
    /// # Errors
    /// [`OptionError`].
    pub fn validate(&self) -> Result<(), OptionError> {
        if self.window <= MAX_WINDOW {
            return Ok(());
        }
        Err(OptionError::new("window", self.window, "a number of bases below 2^40"))
    }
}

/// Pairs of a peak and a gene that may be linked, by rising (gene, peak).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkPairs {
    n_peaks: usize,
    /// Start of each gene's pairs, and the number of all.
    indptr: Vec<usize>,
    peaks: Vec<u32>,
    genes: Vec<u32>,
    distances: Vec<i64>,
}

impl LinkPairs {
    /// Pairs given as (gene, peak, distance), in any order; the same pair twice counts once.
    ///
    /// # Errors
    /// `Size` for a gene or peak beyond their number.
    pub fn from_pairs(
        n_genes: usize,
        n_peaks: usize,
        mut pairs: Vec<(u32, u32, i64)>,
    ) -> Result<Self, LinksError> {
        pairs.sort_unstable();
        pairs.dedup_by_key(|pair| (pair.0, pair.1));
        for &(gene, peak, _) in &pairs {
            if gene as usize >= n_genes {
                let (what, of, found) = ("a pair", "as its gene", gene as usize);
                return Err(LinksError::Size { what, found, of, expected: n_genes });
            }
            if peak as usize >= n_peaks {
                let (what, of, found) = ("a pair", "as its peak", peak as usize);
                return Err(LinksError::Size { what, found, of, expected: n_peaks });
            }
        }
        let mut indptr = vec![0; n_genes + 1];
        for pair in &pairs {
            indptr[pair.0 as usize + 1] += 1;
        }
        for gene in 0..n_genes {
            indptr[gene + 1] += indptr[gene];
        }
        let peaks = pairs.iter().map(|pair| pair.1).collect();
        let genes = pairs.iter().map(|pair| pair.0).collect();
        let distances = pairs.iter().map(|pair| pair.2).collect();
        Ok(Self { n_peaks, indptr, peaks, genes, distances })
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.peaks.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.peaks.is_empty()
    }

    /// Genes of the data, with a pair or without.
    pub fn n_genes(&self) -> usize {
        self.indptr.len() - 1
    }

    /// Peaks of the data, with a pair or without.
    pub fn n_peaks(&self) -> usize {
        self.n_peaks
    }

    /// The peak of each pair.
    pub fn peaks(&self) -> &[u32] {
        &self.peaks
    }

    /// The gene of each pair.
    pub fn genes(&self) -> &[u32] {
        &self.genes
    }

    /// Bases from where the gene's transcription starts to the middle of the peak, in the direction it is read in:
    /// negative upstream.
    pub fn distances(&self) -> &[i64] {
        &self.distances
    }

    /// The pairs of a gene.
    pub fn of_gene(&self, gene: usize) -> std::ops::Range<usize> {
        self.indptr[gene]..self.indptr[gene + 1]
    }

    /// Sizes of the groups of genes that reach the same peaks, and of peaks that reach the same genes, by their first.
    pub fn group_sizes(&self) -> [Vec<usize>; 2] {
        let (indptr, genes) = self.by_peak();
        let sizes = |(_, members): (Vec<u32>, Vec<Vec<u32>>)| members.iter().map(Vec::len).collect();
        [
            sizes(grouped(|g| &self.peaks[self.of_gene(g)], self.n_genes())),
            sizes(grouped(|p| &genes[indptr[p]..indptr[p + 1]], self.n_peaks)),
        ]
    }

    /// Genes of each peak: starts, and genes by rising number.
    pub(super) fn by_peak(&self) -> (Vec<usize>, Vec<u32>) {
        let mut indptr = vec![0; self.n_peaks + 1];
        for &peak in &self.peaks {
            indptr[peak as usize + 1] += 1;
        }
        for peak in 0..self.n_peaks {
            indptr[peak + 1] += indptr[peak];
        }
        let mut next = indptr.clone();
        let mut genes = vec![0; self.len()];
        for (&peak, &gene) in self.peaks.iter().zip(&self.genes) {
            genes[next[peak as usize]] = gene;
            next[peak as usize] += 1;
        }
        (indptr, genes)
    }
}

/// Pairs of a gene and a peak of the same chromosome that lie within a window around where transcription starts.
///
/// Chromosomes are compared by [`chromosome_key`]: `chr1` is `1`.
///
/// # Inputs
/// `genes`, `peaks`: one per variable of the data; those without a position have no pair.
/// # Returns
/// [`LinkPairs`].
/// # Errors
/// `NoSharedChromosome`, `NoPairs`; `TooMany` beyond 100 million pairs; `Option`.
/// # Cost
/// O(peaks log peaks + genes log peaks + pairs) time; 24 bytes per pair.
///
/// # Example
///
/// ```
/// use brodmann::stats::links::{WindowOptions, gene_positions, parse_peak, window};
///
/// let genes = gene_positions("chr1\t1000\t5000\tA\t0\t-\n".as_bytes())?.genes;
/// let peaks: Vec<_> = ["1:5900-6100", "1:4500-4600", "1:9000-9100"].map(parse_peak).into();
/// let options = WindowOptions { window: 1500, ..Default::default() };
/// let pairs = window(&[Some(&genes[0])], &peaks, &options)?;
/// // A is read towards smaller positions, so that what lies at larger ones is upstream.
/// assert_eq!((pairs.peaks(), pairs.distances()), (&[0, 1][..], &[-1001, 449][..]));
/// // One gene, and two peaks that reach the same one.
/// assert_eq!(pairs.group_sizes(), [vec![1], vec![2]]);
/// # Ok::<(), brodmann::stats::links::LinksError>(())
/// ```
pub fn window(
    genes: &[Option<&GenePosition>],
    peaks: &[Option<PeakPosition>],
    options: &WindowOptions,
) -> Result<LinkPairs, LinksError> {
    options.validate()?;
    for (what, found) in [("genes", genes.len()), ("peaks", peaks.len())] {
        let limit = u32::MAX as usize - 1;
        if found > limit {
            return Err(LinksError::TooMany { what, found, limit });
        }
    }
    let mut chromosomes: HashMap<&str, Vec<u32>> = HashMap::new();
    let mut longest = 0;
    for (k, peak) in peaks.iter().enumerate() {
        if let Some(peak) = peak {
            chromosomes.entry(chromosome_key(&peak.chromosome)).or_default().push(k as u32);
            longest = longest.max(peak.end - peak.start);
        }
    }
    let position = |k: u32| peaks[k as usize].as_ref().expect("only peaks with a position are listed");
    let sorted_by = |k: u32| match options.reach {
        PeakReach::Middle => position(k).middle(),
        PeakReach::Overlap => position(k).start,
    };
    for own in chromosomes.values_mut() {
        own.sort_by_key(|&k| (sorted_by(k), k));
    }
    // A peak that overlaps the window may begin as far before it as the longest one is long.
    let before = match options.reach {
        PeakReach::Middle => 0,
        PeakReach::Overlap => longest,
    };
    let mut shared = false;
    let mut pairs = Vec::new();
    for (g, gene) in genes.iter().enumerate() {
        let Some(gene) = gene else { continue };
        let Some(own) = chromosomes.get(chromosome_key(&gene.chromosome)) else { continue };
        shared = true;
        let (low, high) = (gene.tss.saturating_sub(options.window), gene.tss + options.window);
        let first = own.partition_point(|&k| sorted_by(k) < low.saturating_sub(before));
        let near = own[first..].iter().take_while(|&&k| sorted_by(k) <= high);
        for &k in near.filter(|&&k| options.reach == PeakReach::Middle || position(k).end > low) {
            let ahead = position(k).middle() as i64 - gene.tss as i64;
            let distance = if gene.strand == Some(Strand::Reverse) { -ahead } else { ahead };
            pairs.push((g as u32, k, distance));
        }
        if pairs.len() > MAX_PAIRS {
            let (what, limit) = ("pairs of a peak and a gene, at least", MAX_PAIRS);
            return Err(LinksError::TooMany { what, found: pairs.len(), limit });
        }
    }
    let n_genes = genes.iter().flatten().count();
    let n_peaks = peaks.iter().flatten().count();
    if !shared && n_genes > 0 && n_peaks > 0 {
        return Err(LinksError::NoSharedChromosome {
            of_genes: some_names(genes.iter().flatten().map(|gene| gene.chromosome.as_str())),
            of_peaks: some_names(peaks.iter().flatten().map(|peak| peak.chromosome.as_str())),
        });
    }
    if pairs.is_empty() {
        return Err(LinksError::NoPairs { n_peaks, n_genes, window: options.window });
    }
    LinkPairs::from_pairs(genes.len(), peaks.len(), pairs)
}

/// The first few different names.
fn some_names<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for name in names {
        if !found.iter().any(|f| f == name) {
            found.push(name.to_owned());
        }
        if found.len() == EXAMPLES {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::annotation::{gene_positions, parse_peak};
    use super::*;

    fn pairs(
        bed: &str,
        peaks: &[&str],
        window: u64,
        reach: PeakReach,
    ) -> Result<Vec<(u32, u32, i64)>, LinksError> {
        let known = gene_positions(bed.as_bytes()).expect("readable").genes;
        let genes: Vec<Option<&GenePosition>> = known.iter().map(Some).collect();
        let peaks: Vec<_> = peaks.iter().map(|name| parse_peak(name)).collect();
        let found = super::window(&genes, &peaks, &WindowOptions { window, reach })?;
        let all = found.genes().iter().zip(found.peaks()).zip(found.distances());
        Ok(all.map(|((g, p), d)| (*g, *p, *d)).collect())
    }

    #[test]
    fn the_window_is_closed_and_counts_from_where_transcription_starts() {
        let bed = "chr1\t1000\t2001\tF\t0\t+\nchr1\t1000\t2001\tR\t0\t-\nchr2\t5\t9\tN\n";
        // Middles 900, 1100, 2100, and one that is only overlapped.
        let peaks = ["1:899-901", "chr1:1099-1101", "chr1:2099-2101", "chr1:1101-3000", "x", "chr3:1-2"];
        let found = pairs(bed, &peaks, 100, PeakReach::Middle).expect("pairs");
        assert_eq!(found, [(0, 0, -100), (0, 1, 100), (1, 2, -100), (1, 3, -50)]);
        let found = pairs(bed, &peaks, 99, PeakReach::Middle).expect("pairs");
        assert_eq!(found, [(1, 3, -50)]);
        let found = pairs(bed, &peaks, 100, PeakReach::Overlap).expect("pairs");
        // The first base of the last peak is one too far for F.
        assert_eq!(found, [(0, 0, -100), (0, 1, 100), (1, 2, -100), (1, 3, -50)]);
        let found = pairs(bed, &peaks, 99, PeakReach::Overlap).expect("pairs");
        assert_eq!(found, [(0, 1, 100), (1, 2, -100), (1, 3, -50)], "0 ends at 901, the window begins there");
    }

    #[test]
    fn a_long_peak_that_begins_far_before_the_window_overlaps_it() {
        let bed = "chr1\t10000\t10001\tF\t0\t+\n";
        let peaks = ["1:100-9950", "1:200-300", "1:9000-9001"];
        let found = pairs(bed, &peaks, 60, PeakReach::Overlap).expect("pairs");
        assert_eq!(found, [(0, 0, 5025 - 10000)]);
    }

    #[test]
    fn nothing_within_reach_is_refused() {
        let bed = "chr1\t1000\t2001\tF\t0\t+\n";
        let far = pairs(bed, &["chr1:900000-900001"], 100, PeakReach::Middle);
        assert!(matches!(far, Err(LinksError::NoPairs { n_peaks: 1, n_genes: 1, window: 100 })), "{far:?}");
        let elsewhere = pairs(bed, &["chr2:900000-900001"], 100, PeakReach::Middle);
        assert!(matches!(elsewhere, Err(LinksError::NoSharedChromosome { .. })), "{elsewhere:?}");
        assert!(pairs(bed, &["x"], 100, PeakReach::Middle).is_err());
        assert!(pairs(bed, &["chr1:1-2"], 1 << 41, PeakReach::Middle).is_err());
        assert!(LinkPairs::from_pairs(2, 2, vec![(2, 0, 0)]).is_err());
        assert!(LinkPairs::from_pairs(2, 2, vec![(0, 2, 0)]).is_err());
    }
}
