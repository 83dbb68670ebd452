//! Gene sets as text: the format GMT (gene matrix transposed), one set per line.
//!
//! `name <tab> description <tab> gene <tab> gene …`, as described at
//! <https://docs.gsea-msigdb.org/GSEA/Data_Formats>. Read as well: Enrichr (an empty description, genes that may carry
//! a weight, `GENE,1.0`), GO of g:Profiler (identifier, term, genes) and of the Bader lab (`term%source%identifier`).

use std::borrow::Cow;
use std::collections::HashMap;

use brodmann_kernels::Seed;

use super::error::{Foreign, GeneSetError};
use super::interner::Interner;

#[cfg(test)]
mod tests;

/// Characters of a line that an error shows.
const EXCERPT: usize = 40;
/// Names that a finding lists.
const EXAMPLES: usize = 3;

/// Gene sets: names, descriptions, and genes by name.
///
/// Every distinct gene is held once, so that all of MSigDB (4 million mentions of 40,000 genes) takes about 20 MB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GeneSets {
    names: Vec<String>,
    descriptions: Vec<String>,
    lines: Vec<usize>,
    genes: Vec<String>,
    indptr: Vec<usize>,
    members: Vec<u32>,
}

impl GeneSets {
    /// Sets that are in memory already: names, each with its genes. They are treated as [`parse_gmt`] treats lines;
    /// the line of a set is its place, from 1.
    ///
    /// # Errors
    /// `Empty`, `NoName`, `NoGenes`, `TooMany`.
    ///
    /// # Example
    ///
    /// ```
    /// use brodmann::stats::gene_sets::GeneSets;
    ///
    /// let (sets, _) = GeneSets::from_lists([("myelin", ["MBP", "PLP1", "MBP"])])?;
    /// assert_eq!(sets.genes(0).collect::<Vec<_>>(), ["MBP", "PLP1"]);
    /// # Ok::<(), brodmann::stats::gene_sets::GeneSetError>(())
    /// ```
    pub fn from_lists<N, G>(
        lists: impl IntoIterator<Item = (N, G)>,
    ) -> Result<(Self, GmtFindings), GeneSetError>
    where
        N: AsRef<str>,
        G: IntoIterator<Item: AsRef<str>>,
    {
        let mut builder = Builder::default();
        for (i, (name, genes)) in lists.into_iter().enumerate() {
            if name.as_ref().trim().is_empty() {
                return Err(GeneSetError::NoName { line: i + 1 });
            }
            builder.start(name.as_ref().trim(), "", i + 1);
            for gene in genes {
                builder.gene(gene.as_ref())?;
            }
            builder.finish();
        }
        builder.into_sets()
    }

    /// Number of sets.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names of the sets, each different.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The descriptions of the sets, often an address, often empty.
    pub fn descriptions(&self) -> &[String] {
        &self.descriptions
    }

    /// The line that each set stands on, from 1.
    pub fn lines(&self) -> &[usize] {
        &self.lines
    }

    /// All genes of all sets, each once, as they first occur.
    pub fn all_genes(&self) -> &[String] {
        &self.genes
    }

    /// The genes of set `i`, each once, in the order of the file.
    ///
    /// # Panics
    /// When there is no such set.
    pub fn genes(&self, i: usize) -> impl ExactSizeIterator<Item = &str> {
        self.members(i).iter().map(|&g| self.genes[g as usize].as_str())
    }

    /// The genes of set `i` by their place in [`Self::all_genes`].
    pub(super) fn members(&self, i: usize) -> &[u32] {
        &self.members[self.indptr[i]..self.indptr[i + 1]]
    }
}

/// What was odd about a file of gene sets, and what was made of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GmtFindings {
    /// Lines that begin with `#`, skipped.
    pub n_comments: usize,
    /// Sets without a gene, left out.
    pub n_empty: usize,
    /// The first of their names.
    pub empty: Vec<String>,
    /// Genes named again in the same set, counted once.
    pub n_repeated_genes: usize,
    /// Sets that occur again with the same name and genes, kept once.
    pub n_repeated_sets: usize,
    /// Sets with the name of an earlier one and other genes: the name in the file, and the one given instead.
    pub renamed: Vec<(String, String)>,
    /// Genes with a weight (`GENE,1.0`), which is ignored.
    pub n_weights: usize,
    /// Lines that are not UTF-8, read as Latin-1.
    pub n_latin1: usize,
    /// Sets whose description is a gene of another set: most, where a file has no descriptions, and then the first
    /// gene of every set is lost.
    pub n_genes_as_description: usize,
}

impl GmtFindings {
    /// The findings in sentences without a full stop, for a log; empty for a file with nothing odd about it.
    pub fn sentences(&self) -> Vec<String> {
        let mut said = Vec::new();
        if self.n_empty > 0 {
            let more = if self.n_empty > self.empty.len() { ", …" } else { "" };
            said.push(format!(
                "{} gene set(s) without a gene are left out: {}{more}",
                self.n_empty,
                self.empty.join(", ")
            ));
        }
        if self.n_repeated_genes > 0 {
            let n = self.n_repeated_genes;
            said.push(format!("{n} gene(s) named again in the same set are counted once"));
        }
        if self.n_repeated_sets > 0 {
            said.push(format!("{} gene set(s) that occur again are kept once", self.n_repeated_sets));
        }
        if let Some((old, new)) = self.renamed.first() {
            let n = self.renamed.len();
            said.push(format!(
                "{n} gene set(s) with the name of an earlier one and other genes are renamed, \
                 `{old}` to `{new}` for instance"
            ));
        }
        if self.n_weights > 0 {
            said.push(format!("the weights of {} gene(s) are ignored", self.n_weights));
        }
        if self.n_latin1 > 0 {
            said.push(format!("{} line(s) are not UTF-8 and were read as Latin-1", self.n_latin1));
        }
        if self.n_genes_as_description > 0 {
            let n = self.n_genes_as_description;
            said.push(format!(
                "the second field of {n} gene set(s) is a gene of other sets, but was read as a description; if \
                 the file has none, put an empty field after each name"
            ));
        }
        said
    }
}

/// Gene sets from the text of a GMT file.
///
/// A line holds a name, a description that may be empty, and genes, separated by tabs. Line ends may be those of any
/// system; a byte order mark, blank lines, lines that begin with `#`, tabs at the end, spaces around a field and double
/// quotes about it are passed over. What else is odd is put right where only one reading makes sense, and is
/// in the findings; sets without a gene are left out.
///
/// # Errors
/// `Empty`; `NotGmt` for what looks like another format, with which; `NoTab`, `NoName` with the line; `NoGenes`;
/// `TooMany` beyond 2³² different genes or mentions of them.
/// # Cost
/// O(bytes) time; each different gene once, 4 bytes per mention.
///
/// # Example
///
/// ```
/// use brodmann::stats::gene_sets::parse_gmt;
///
/// let (sets, findings) = parse_gmt(b"MYELIN\thttps://example.org\tMBP\tPLP1\nEMPTY\t\t\n")?;
/// assert_eq!(sets.names(), ["MYELIN"]);
/// assert_eq!(sets.genes(0).collect::<Vec<_>>(), ["MBP", "PLP1"]);
/// assert_eq!(findings.empty, ["EMPTY"]);
/// # Ok::<(), brodmann::stats::gene_sets::GeneSetError>(())
/// ```
pub fn parse_gmt(bytes: &[u8]) -> Result<(GeneSets, GmtFindings), GeneSetError> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if let Some(looks) = not_text(bytes) {
        return Err(GeneSetError::NotGmt { line: 1, excerpt: printable(bytes), looks });
    }
    // Files of old Macs have no line feed at all.
    let end = if bytes.contains(&b'\n') { b'\n' } else { b'\r' };
    let mut builder = Builder::default();
    let mut n_latin1 = 0;
    let mut n_comments = 0;
    let (mut first, mut first_without_tab, mut n_with_tab, mut n_pairs) = (None, None, 0_usize, 0_usize);
    let (mut n_decimals, mut n_fields) = (0_usize, 0_usize);
    for (line, raw) in bytes.split(|&b| b == end).enumerate().map(|(i, raw)| (i + 1, raw)) {
        let text = if let Ok(text) = std::str::from_utf8(raw) {
            Cow::Borrowed(text)
        } else {
            n_latin1 += 1;
            Cow::Owned(raw.iter().map(|&b| char::from(b)).collect())
        };
        let text = text.trim_end();
        if text.is_empty() {
            continue;
        }
        if text.starts_with('#') {
            if first.is_none() && text.starts_with("#1.2") {
                return Err(GeneSetError::NotGmt { line, excerpt: excerpt(text), looks: Foreign::Gct });
            }
            n_comments += 1;
            continue;
        }
        if first.is_none() {
            first = Some((line, excerpt(text)));
        }
        // A set without description and genes ends with tabs, which are gone from `text` by now.
        if !raw.contains(&b'\t') {
            if n_with_tab > 0 {
                return Err(GeneSetError::NoTab { line, excerpt: excerpt(text) });
            }
            // Which of two formats it is shows when all lines are seen; one is enough to refuse it.
            first_without_tab.get_or_insert((line, text.to_owned()));
            continue;
        }
        n_with_tab += 1;
        if let Some((line, text)) = &first_without_tab {
            return Err(GeneSetError::NoTab { line: *line, excerpt: excerpt(text) });
        }
        let mut fields = text.split('\t').map(field);
        let name = fields.next().unwrap_or_default();
        if name.is_empty() {
            return Err(GeneSetError::NoName { line });
        }
        let description = fields.next().unwrap_or_default();
        let mut n_in_line = 0;
        builder.start(name, description, line);
        for gene in fields {
            builder.gene(gene)?;
            n_in_line += 1;
            n_decimals += usize::from(is_decimal(gene));
        }
        n_fields += n_in_line;
        n_pairs += usize::from(n_in_line == 0 && !description.is_empty());
        builder.finish();
    }
    let Some((line, excerpt)) = first else { return Err(GeneSetError::Empty) };
    if let Some((_, text)) = first_without_tab {
        return Err(GeneSetError::NotGmt { line, excerpt, looks: without_tabs(&text) });
    }
    if n_fields == 0 && n_pairs > 1 {
        return Err(GeneSetError::NotGmt { line, excerpt, looks: Foreign::Pairs });
    }
    // Entrez identifiers are whole numbers; nothing names genes by 0.53.
    if n_fields > 0 && 2 * n_decimals > n_fields {
        return Err(GeneSetError::NotGmt { line, excerpt, looks: Foreign::Numbers });
    }
    if n_fields == 0 {
        return Err(GeneSetError::NoGenes { n_sets: n_with_tab, line });
    }
    let (sets, findings) = builder.into_sets()?;
    Ok((sets, GmtFindings { n_comments, n_latin1, ..findings }))
}

/// What the first bytes say where they are not those of a text.
fn not_text(bytes: &[u8]) -> Option<Foreign> {
    const COMPRESSED: [&[u8]; 5] = [b"\x1F\x8B", b"PK\x03\x04", b"BZh", b"\xFD7zXZ", b"\x28\xB5\x2F\xFD"];
    if COMPRESSED.iter().any(|magic| bytes.starts_with(magic)) {
        Some(Foreign::Compressed)
    } else if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        Some(Foreign::Utf16)
    } else if bytes.contains(&0) {
        Some(Foreign::Binary)
    } else {
        None
    }
}

/// What a file without tabs is, by its first line.
fn without_tabs(text: &str) -> Foreign {
    let text = text.trim_start();
    if text.starts_with(['{', '[']) {
        Foreign::Json
    } else if text.starts_with('<') {
        Foreign::Markup
    } else if text.contains(',') {
        Foreign::Csv
    } else if text.contains(';') {
        Foreign::Semicolons
    } else if text.contains(' ') {
        Foreign::Spaces
    } else {
        Foreign::List
    }
}

/// A field without the spaces and the quotes around it.
fn field(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).map_or(text, str::trim)
}

/// Whether `text` is a number with a fraction.
fn is_decimal(text: &str) -> bool {
    text.contains('.') && text.parse::<f64>().is_ok()
}

/// The gene of `GENE,1.0`, as Enrichr writes it.
fn without_weight(gene: &str) -> Option<&str> {
    let (gene, weight) = gene.rsplit_once(',')?;
    (!gene.is_empty() && weight.parse::<f64>().is_ok()).then(|| gene.trim_end())
}

/// The beginning of a line, tabs as arrows and what does not print as a question mark.
fn excerpt(text: &str) -> String {
    let show = |c: char| match c {
        '\t' => '→',
        c if c.is_control() || c == char::REPLACEMENT_CHARACTER => '?',
        c => c,
    };
    let mut short: String = text.trim().chars().take(EXCERPT).map(show).collect();
    short.truncate(short.trim_end().len());
    if text.trim().chars().nth(EXCERPT).is_some() {
        short.push('…');
    }
    short
}

fn printable(bytes: &[u8]) -> String {
    excerpt(&String::from_utf8_lossy(&bytes[..bytes.len().min(8)]))
}

/// Sets under construction.
#[derive(Default)]
struct Builder {
    sets: GeneSets,
    findings: GmtFindings,
    genes: Interner,
    /// The last set, from 1, that a gene was put into.
    last_set: Vec<usize>,
    /// Genes of the set that was started.
    current: Vec<u32>,
    set: usize,
    name: String,
    description: String,
    line: usize,
    /// The first set of each name, and how many have it.
    by_name: HashMap<String, (usize, usize)>,
    /// Sets by the first one of their name, and a hash of their genes.
    by_content: HashMap<(usize, u64), Vec<usize>>,
}

impl Builder {
    fn start(&mut self, name: &str, description: &str, line: usize) {
        self.set += 1;
        self.current.clear();
        name.clone_into(&mut self.name);
        description.clone_into(&mut self.description);
        self.line = line;
    }

    fn gene(&mut self, gene: &str) -> Result<(), GeneSetError> {
        let gene = field(gene);
        let gene = without_weight(gene).map_or(gene, |bare| {
            self.findings.n_weights += 1;
            bare
        });
        if gene.is_empty() {
            return Ok(());
        }
        let found = self.genes.len();
        let id =
            self.genes.intern(gene).ok_or(GeneSetError::TooMany { what: "the genes of the sets", found })?;
        if self.genes.len() > found {
            self.last_set.push(0);
        }
        let last = &mut self.last_set[id as usize];
        if *last == self.set {
            self.findings.n_repeated_genes += 1;
        } else {
            *last = self.set;
            self.current.push(id);
        }
        Ok(())
    }

    fn finish(&mut self) {
        if self.current.is_empty() {
            self.findings.n_empty += 1;
            if self.findings.empty.len() < EXAMPLES {
                self.findings.empty.push(self.name.clone());
            }
            return;
        }
        let place = self.sets.len();
        let (first, n_same) = *self.by_name.entry(self.name.clone()).or_insert((place, 0));
        // Of genes in any order: a sum of hashes.
        let hash = self.current.iter().fold(0_u64, |sum, &g| sum.wrapping_add(Seed(0).word(u64::from(g))));
        let alike = self.by_content.entry((first, hash)).or_default();
        let sorted = |genes: &[u32]| {
            let mut genes = genes.to_vec();
            genes.sort_unstable();
            genes
        };
        if alike.iter().any(|&s| sorted(self.sets.members(s)) == sorted(&self.current)) {
            self.findings.n_repeated_sets += 1;
            return;
        }
        alike.push(place);
        if let Some(entry) = self.by_name.get_mut(&self.name) {
            entry.1 += 1;
        }
        let mut name = self.name.clone();
        let mut count = n_same + 1;
        while n_same > 0 && self.by_name.contains_key(&name) {
            name = format!("{} ({count})", self.name);
            count += 1;
        }
        if n_same > 0 {
            self.findings.renamed.push((self.name.clone(), name.clone()));
            self.by_name.insert(name.clone(), (place, 1));
            self.by_content.insert((place, hash), vec![place]);
        }
        if self.sets.indptr.is_empty() {
            self.sets.indptr.push(0);
        }
        self.sets.members.extend_from_slice(&self.current);
        self.sets.indptr.push(self.sets.members.len());
        self.sets.names.push(name);
        self.sets.descriptions.push(self.description.clone());
        self.sets.lines.push(self.line);
    }

    fn into_sets(mut self) -> Result<(GeneSets, GmtFindings), GeneSetError> {
        if self.sets.is_empty() {
            return Err(if self.set == 0 {
                GeneSetError::Empty
            } else {
                GeneSetError::NoGenes { n_sets: self.set, line: 1 }
            });
        }
        let described = |text: &&String| !text.is_empty();
        let n_described = self.sets.descriptions.iter().filter(described).count();
        let is_gene = |text: &&String| self.genes.get(text).is_some();
        let n_genes = self.sets.descriptions.iter().filter(described).filter(is_gene).count();
        // A few descriptions may well be the name of a gene: targets of one, for instance.
        if n_described > 1 && 2 * n_genes > n_described {
            self.findings.n_genes_as_description = n_genes;
        }
        self.sets.genes = self.genes.into_names();
        Ok((self.sets, self.findings))
    }
}
