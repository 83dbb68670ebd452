//! The genes of the sets among the measured ones.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};

use brodmann_kernels::OptionError;
use serde::{Deserialize, Serialize};

use super::error::GeneSetError;
use super::gmt::GeneSets;

#[cfg(test)]
mod tests;

/// Exact matches fewer than one in so many of those without regard to case are coincidences: human and mouse symbols
/// differ in case, but for a few that have one letter.
const COINCIDENCE: usize = 10;
/// Names that an error shows of either side.
const EXAMPLES: usize = 3;

/// Options of [`match_genes`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MatchOptions {
    /// The share of the genes that could match (those in the sets, or the measured ones if they are fewer) below which
    /// sets and data are taken not to speak of the same genes. One match is always asked for.
    pub min_matched: f64,
}

impl Default for MatchOptions {
    fn default() -> Self {
        Self { min_matched: 0.05 }
    }
}

impl MatchOptions {
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
}

/// How names were compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameMatch {
    /// As they are.
    Exact,
    /// Without regard to case, where they are not the same.
    IgnoringCase,
}

/// What a name is, by its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdKind {
    /// `ENSG00000141510`.
    Ensembl,
    /// `ENSG00000141510.17`.
    VersionedEnsembl,
    /// `7157`.
    Entrez,
    /// Letters and digits that begin with a letter.
    Symbol,
    /// None of these.
    Other,
}

impl Display for IdKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ensembl => "Ensembl identifiers",
            Self::VersionedEnsembl => "Ensembl identifiers with a version",
            Self::Entrez => "Entrez identifiers",
            Self::Symbol => "gene symbols",
            Self::Other => "names of another kind",
        })
    }
}

impl IdKind {
    /// What `name` is.
    pub fn of(name: &str) -> Self {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if is_number(name) {
            return Self::Entrez;
        }
        let (stem, version) = name.split_once('.').map_or((name, None), |(s, v)| (s, Some(v)));
        // ENS, letters of the species, G, T or P, eleven digits.
        let letters = stem.trim_end_matches(|c: char| c.is_ascii_digit()).to_ascii_uppercase();
        if stem.len() == letters.len() + 11
            && letters.starts_with("ENS")
            && letters.ends_with(['G', 'T', 'P'])
        {
            return if version.is_some_and(is_number) { Self::VersionedEnsembl } else { Self::Ensembl };
        }
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._@/()".contains(&b);
        if name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(fits) {
            Self::Symbol
        } else {
            Self::Other
        }
    }

    /// What more than half of `names` are.
    fn of_most<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> Self {
        let n = names.len();
        let mut counts = [0_usize; 5];
        let kinds = [Self::Ensembl, Self::VersionedEnsembl, Self::Entrez, Self::Symbol, Self::Other];
        for name in names {
            counts[Self::of(name) as usize] += 1;
        }
        kinds.into_iter().find(|&kind| 2 * counts[kind as usize] > n).unwrap_or(Self::Other)
    }
}

/// How the names of sets and data met, in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matching {
    /// How names were compared.
    pub how: NameMatch,
    /// Different genes in the sets.
    pub n_set_genes: usize,
    /// Of these, the measured ones.
    pub n_matched: usize,
    /// Genes measured.
    pub n_measured: usize,
    /// Of the genes in the sets, those that differ only by case from several measured ones, and stand for none.
    pub n_ambiguous: usize,
    /// Measured genes with the name of an earlier one, in no set.
    pub n_repeated_names: usize,
}

impl Matching {
    /// The numbers as a sentence without a full stop.
    pub fn sentence(&self) -> String {
        let mut said =
            vec![format!("{} of {} genes of the sets are measured", self.n_matched, self.n_set_genes)];
        if self.how == NameMatch::IgnoringCase {
            said.push("names were matched without regard to case".to_owned());
        }
        if self.n_ambiguous > 0 {
            said.push(format!("{} fit several measured genes and are left out", self.n_ambiguous));
        }
        if self.n_repeated_names > 0 {
            let n = self.n_repeated_names;
            said.push(format!("{n} measured gene(s) with the name of an earlier one are in no set"));
        }
        said.join("; ")
    }
}

/// Gene sets as places among the measured genes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchedSets {
    names: Vec<String>,
    n_given: Vec<u32>,
    indptr: Vec<usize>,
    members: Vec<u32>,
    n_measured: usize,
    matching: Option<Matching>,
}

impl MatchedSets {
    /// Sets of genes that are numbered already.
    ///
    /// # Inputs
    /// A name and places among `n_measured` genes for each set, in any order; repeated ones count once.
    /// # Errors
    /// `GeneRange`; `TooMany` beyond 2³² measured genes.
    pub fn from_indices<'a>(
        n_measured: usize,
        sets: impl IntoIterator<Item = (&'a str, &'a [u32])>,
    ) -> Result<Self, GeneSetError> {
        let mut matched = Self::new(n_measured)?;
        for (name, genes) in sets {
            if let Some(&found) = genes.iter().find(|&&g| g as usize >= n_measured) {
                return Err(GeneSetError::GeneRange { what: format!("the set `{name}`"), found, n_measured });
            }
            let mut genes = genes.to_vec();
            let n_given = genes.len() as u32;
            matched.push(name, n_given, &mut genes);
        }
        Ok(matched)
    }

    fn new(n_measured: usize) -> Result<Self, GeneSetError> {
        if u32::try_from(n_measured).is_err() {
            return Err(GeneSetError::TooMany { what: "the measured genes", found: n_measured });
        }
        Ok(Self {
            names: Vec::new(),
            n_given: Vec::new(),
            indptr: vec![0],
            members: Vec::new(),
            n_measured,
            matching: None,
        })
    }

    fn push(&mut self, name: &str, n_given: u32, genes: &mut Vec<u32>) {
        genes.sort_unstable();
        genes.dedup();
        self.names.push(name.to_owned());
        self.n_given.push(n_given);
        self.members.extend_from_slice(genes);
        self.indptr.push(self.members.len());
    }

    /// Number of sets, those without a measured gene included.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names of the sets.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How many genes each set had before it was matched.
    pub fn n_given(&self) -> &[u32] {
        &self.n_given
    }

    /// Number of measured genes.
    pub fn n_measured(&self) -> usize {
        self.n_measured
    }

    /// The measured genes of set `i`, rising.
    ///
    /// # Panics
    /// When there is no such set.
    pub fn genes(&self, i: usize) -> &[u32] {
        &self.members[self.indptr[i]..self.indptr[i + 1]]
    }

    /// How names met; `None` where genes were given by number.
    pub fn matching(&self) -> Option<&Matching> {
        self.matching.as_ref()
    }

    /// Sets of `min_size` to `max_size` measured genes, by place.
    pub(super) fn of_size(&self, min_size: usize, max_size: usize) -> Result<Vec<usize>, GeneSetError> {
        let sizes: Vec<usize> = self.indptr.windows(2).map(|w| w[1] - w[0]).collect();
        let fit: Vec<usize> =
            (0..self.len()).filter(|&i| (min_size..=max_size).contains(&sizes[i])).collect();
        if fit.is_empty() {
            let largest = sizes.into_iter().max().unwrap_or(0);
            return Err(GeneSetError::NoneOfSize { n_sets: self.len(), min_size, max_size, largest });
        }
        Ok(fit)
    }
}

/// Finds the genes of the sets among the measured ones, by name.
///
/// Names are compared as they are. Where that finds fewer than a tenth of what it finds without regard to case (sets of
/// one species with data of another, say), case is ignored: a name that occurs as it is stands for that gene, any
/// other for the one measured gene that differs only by case, and for none where there are several.
///
/// # Inputs
/// `measured`: the names of the genes that were measured, which are the background of over-representation.
/// # Returns
/// Every set with its measured genes, also those with none; [`MatchedSets::matching`] holds the numbers to report.
/// # Errors
/// `FewMatched` below the floor, with examples of both sides; `Option`; `TooMany`.
/// # Cost
/// O(names + mentions) time and memory.
///
/// # Example
///
/// ```
/// use brodmann::stats::gene_sets::{GeneSets, NameMatch, match_genes};
///
/// let (sets, _) = GeneSets::from_lists([("myelin", ["MBP", "PLP1", "MOBP"])])?;
/// let matched = match_genes(&sets, &["Plp1", "Gad1", "Mbp"], &Default::default())?;
/// assert_eq!(matched.genes(0), [0, 2]);
/// let matching = matched.matching().expect("matched by name");
/// assert_eq!((matching.how, matching.n_matched), (NameMatch::IgnoringCase, 2));
/// # Ok::<(), brodmann::stats::gene_sets::GeneSetError>(())
/// ```
pub fn match_genes<S: AsRef<str>>(
    sets: &GeneSets,
    measured: &[S],
    options: &MatchOptions,
) -> Result<MatchedSets, GeneSetError> {
    options.validate()?;
    let mut matched = MatchedSets::new(measured.len())?;
    let mut place_of: HashMap<&str, u32> = HashMap::with_capacity(measured.len());
    let mut n_repeated_names = 0;
    for (i, name) in measured.iter().enumerate() {
        match place_of.entry(name.as_ref()) {
            std::collections::hash_map::Entry::Occupied(_) => n_repeated_names += 1,
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(i as u32);
            }
        }
    }
    let genes = sets.all_genes();
    let mut places: Vec<Option<u32>> = genes.iter().map(|g| place_of.get(g.as_str()).copied()).collect();
    let count = |places: &[Option<u32>]| places.iter().flatten().count();
    let mut how = NameMatch::Exact;
    let mut n_ambiguous = 0;
    let could = genes.len().min(measured.len());
    // Otherwise case could not bring ten times as many.
    if count(&places) * COINCIDENCE < could {
        let (folded, ambiguous) = ignoring_case(genes, &place_of, &places);
        if count(&places) * COINCIDENCE < count(&folded) {
            (places, n_ambiguous, how) = (folded, ambiguous, NameMatch::IgnoringCase);
        }
    }
    let n_matched = count(&places);
    let expected = ((options.min_matched * could as f64).ceil() as usize).max(1);
    if n_matched < expected {
        // The names that found no partner are the ones to look at.
        let of_sets = genes.iter().zip(&places).filter(|(_, place)| place.is_none()).map(|(g, _)| g);
        let taken: std::collections::HashSet<u32> = places.iter().flatten().copied().collect();
        let of_data = (0..measured.len()).filter(|&i| !taken.contains(&(i as u32)));
        return Err(GeneSetError::FewMatched {
            n_matched,
            n_set_genes: genes.len(),
            n_measured: measured.len(),
            expected,
            set_kind: IdKind::of_most(genes.iter().map(String::as_str)),
            set_examples: of_sets.take(EXAMPLES).map(|g| shown(g)).collect(),
            measured_kind: IdKind::of_most(measured.iter().map(AsRef::as_ref)),
            measured_examples: of_data.take(EXAMPLES).map(|i| shown(measured[i].as_ref())).collect(),
        });
    }
    let mut found = Vec::new();
    for (i, name) in sets.names().iter().enumerate() {
        let members = sets.members(i);
        found.clear();
        found.extend(members.iter().filter_map(|&g| places[g as usize]));
        matched.push(name, members.len() as u32, &mut found);
    }
    matched.matching = Some(Matching {
        how,
        n_set_genes: genes.len(),
        n_matched,
        n_measured: measured.len(),
        n_ambiguous,
        n_repeated_names,
    });
    Ok(matched)
}

/// The places of `genes` without regard to case where there is no exact one, and how many fit several measured genes.
fn ignoring_case(
    genes: &[String],
    place_of: &HashMap<&str, u32>,
    exact: &[Option<u32>],
) -> (Vec<Option<u32>>, usize) {
    // `None`: several. The order of the map does not matter for either.
    let mut folded: HashMap<String, Option<u32>> = HashMap::with_capacity(place_of.len());
    for (name, &place) in place_of {
        folded.entry(name.to_lowercase()).and_modify(|p| *p = None).or_insert(Some(place));
    }
    let mut n_ambiguous = 0;
    let place = |(gene, exact): (&String, &Option<u32>)| {
        exact.or_else(|| match folded.get(&gene.to_lowercase()) {
            Some(None) => {
                n_ambiguous += 1;
                None
            }
            found => found.copied().flatten(),
        })
    };
    (genes.iter().zip(exact).map(place).collect(), n_ambiguous)
}

/// A name as a message may show it.
fn shown(name: &str) -> String {
    const LONGEST: usize = 30;
    let mut short: String =
        name.chars().take(LONGEST).map(|c| if c.is_control() { '?' } else { c }).collect();
    if name.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}
