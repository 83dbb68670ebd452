//! The positions of the measured genes.

use std::collections::HashMap;

use brodmann_kernels::OptionError;
use serde::{Deserialize, Serialize};

use super::super::LinksError;
use super::gene_positions::{GenePosition, GenePositions};
use super::{EXAMPLES, chromosome_key};

/// Options of [`match_positions`] and [`super::parse_peaks`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PositionOptions {
    /// The share of genes, and of peaks, below which their names are taken for those of something else. One is always
    /// asked for.
    pub min_matched: f64,
}

impl Default for PositionOptions {
    fn default() -> Self {
        Self { min_matched: 0.1 }
    }
}

impl PositionOptions {
    /// Refuses what is no share.
    ///
    /// # Errors
    /// [`OptionError`].
    pub fn validate(&self) -> Result<(), OptionError> {
        if (0.0..=1.0).contains(&self.min_matched) {
            return Ok(());
        }
        Err(OptionError::new("min_matched", self.min_matched, "a share from 0 to 1"))
    }

    /// How many of `n` must match.
    pub(super) fn least(self, n: usize) -> usize {
        ((self.min_matched * n as f64).ceil() as usize).max(1)
    }
}

/// How measured genes and positions met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneMatching {
    /// For each measured gene, its place in [`GenePositions::genes`].
    pub positions: Vec<Option<u32>>,
    /// Genes with a position.
    pub n_matched: usize,
    /// Of these, the ones found by identifier rather than by symbol.
    pub n_by_id: usize,
    /// Of these, the ones that the file has at several places; see [`match_positions`] for which one is taken.
    pub n_several: usize,
    /// Some names without a position.
    pub unmatched: Vec<String>,
}

/// Finds the positions of measured genes by symbol, or else by identifier.
///
/// Symbols are compared as they are written, identifiers without the version (`ENSG00000141510.17` is
/// `ENSG00000141510`). Of several places under one name, the first in the file that lies on an assembled chromosome is
/// taken (one whose name has no `_` or `.` and at most five characters without `chr`), or else the first of all; they
/// are counted.
///
/// # Inputs
/// `names`: of the measured genes.
/// # Errors
/// `FewGenesMatched` where the share with a position is below [`PositionOptions::min_matched`], or none has one;
/// `Option`.
/// # Cost
/// O(names + positions) time and memory.
pub fn match_positions<S: AsRef<str>>(
    names: &[S],
    known: &GenePositions,
    options: &PositionOptions,
) -> Result<GeneMatching, LinksError> {
    options.validate()?;
    let (found, limit) = (known.genes.len(), u32::MAX as usize);
    if found > limit {
        return Err(LinksError::TooMany { what: "gene positions", found, limit });
    }
    let by_name = index(&known.genes, |gene| &gene.name);
    let by_id = index(&known.genes, |gene| without_version(&gene.id));
    let (mut n_by_id, mut n_several) = (0, 0);
    let positions: Vec<Option<u32>> = names
        .iter()
        .map(|name| {
            let name = name.as_ref();
            let found = by_name.get(name).or_else(|| {
                let found = by_id.get(without_version(name));
                n_by_id += usize::from(found.is_some());
                found
            })?;
            n_several += usize::from(found.several);
            Some(found.place)
        })
        .collect();
    let n_matched = positions.iter().flatten().count();
    let without = names.iter().zip(&positions).filter(|(_, p)| p.is_none());
    let unmatched: Vec<String> = without.take(EXAMPLES).map(|(n, _)| n.as_ref().to_owned()).collect();
    let expected = options.least(names.len());
    if n_matched < expected {
        let lower: std::collections::HashSet<String> =
            known.genes.iter().map(|gene| gene.name.to_lowercase()).collect();
        let alike = names.iter().filter(|n| lower.contains(&n.as_ref().to_lowercase())).count();
        let shown = |gene: &GenePosition| if gene.name.is_empty() { &gene.id } else { &gene.name }.clone();
        return Err(LinksError::FewGenesMatched {
            n_matched,
            n_measured: names.len(),
            expected,
            measured: unmatched,
            positioned: known.genes.iter().take(EXAMPLES).map(shown).collect(),
            case_differs: alike >= expected,
        });
    }
    Ok(GeneMatching { positions, n_matched, n_by_id, n_several, unmatched })
}

/// Where a name leads.
struct Found {
    place: u32,
    several: bool,
}

fn index<'a>(
    genes: &'a [GenePosition],
    key: impl Fn(&'a GenePosition) -> &'a str,
) -> HashMap<&'a str, Found> {
    let mut found: HashMap<&str, Found> = HashMap::with_capacity(genes.len());
    for (place, gene) in genes.iter().enumerate().filter(|(_, gene)| !key(gene).is_empty()) {
        let new = Found { place: place as u32, several: false };
        let Some(old) = found.get_mut(key(gene)) else {
            found.insert(key(gene), new);
            continue;
        };
        old.several = true;
        if is_assembled(&gene.chromosome) && !is_assembled(&genes[old.place as usize].chromosome) {
            old.place = new.place;
        }
    }
    found
}

/// Whether the name is that of a chromosome rather than of a scaffold, a patch or a haplotype.
fn is_assembled(chromosome: &str) -> bool {
    let key = chromosome_key(chromosome);
    key.len() <= 5 && !key.contains(['_', '.'])
}

/// `ENSG00000141510` of `ENSG00000141510.17`; symbols such as `AC002400.1` are not cut.
fn without_version(id: &str) -> &str {
    match id.rsplit_once('.') {
        Some((stem, version))
            if stem.len() >= 10
                && version.bytes().all(|b| b.is_ascii_digit())
                && stem.bytes().rev().take(6).all(|b| b.is_ascii_digit()) =>
        {
            stem
        }
        _ => id,
    }
}

#[cfg(test)]
mod tests {
    use super::super::gene_positions::gene_positions;
    use super::*;

    fn known(text: &str) -> GenePositions {
        gene_positions(text.as_bytes()).expect("readable")
    }

    const TABLE: &str = "gene_id,gene,chrom,start,end,strand\n\
        ENSG00000000001.3,A,chr1_KI270706v1_random,1,10,+\n\
        ENSG00000000001.9,A,chr1,100,200,-\n\
        ENSG00000000002,B,chr2,5,9,+\n\
        ENSG00000000003.1,,chrX,5,9,+\n";

    #[test]
    fn symbols_come_before_identifiers_and_versions_do_not_count() {
        let names = ["B", "ENSG00000000003", "ENSG00000000002.7", "A", "b", "nothing"];
        let found = match_positions(&names, &known(TABLE), &PositionOptions::default()).expect("matched");
        assert_eq!(found.positions, [Some(2), Some(3), Some(2), Some(1), None, None]);
        assert_eq!((found.n_matched, found.n_by_id, found.n_several), (4, 2, 1));
        assert_eq!(found.unmatched, ["b", "nothing"]);
        // By symbol or identifier, the assembled chromosome is taken.
        let found = match_positions(&["ENSG00000000001.3"], &known(TABLE), &PositionOptions::default());
        assert_eq!(found.expect("matched").positions, [Some(1)]);
    }

    #[test]
    fn foreign_names_are_refused_with_examples_of_both_sides() {
        let names: Vec<String> = (0..100).map(|k| format!("g{k}")).collect();
        let error = match_positions(&names, &known(TABLE), &PositionOptions::default()).expect_err("foreign");
        let text = error.to_string();
        assert!(text.contains("`g0`, `g1` and `g2`") && text.contains("`A`, `A` and `B`"), "{text}");
        let error =
            match_positions(&["a", "b"], &known(TABLE), &PositionOptions::default()).expect_err("case");
        assert!(matches!(error, LinksError::FewGenesMatched { case_differs: true, .. }), "{error}");
        assert!(match_positions::<&str>(&[], &known(TABLE), &PositionOptions::default()).is_err());
    }

    #[test]
    fn versions_are_cut_from_identifiers_alone() {
        assert_eq!(without_version("ENSG00000141510.17"), "ENSG00000141510");
        assert_eq!(without_version("ENSMUSG00000000001.4"), "ENSMUSG00000000001");
        for symbol in ["AC002400.1", "NKX2.1", "RP11-34P13.7", "A", ""] {
            assert_eq!(without_version(symbol), symbol);
        }
    }
}
