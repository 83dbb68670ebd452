//! Positions of genes from GTF, GFF3, BED or a table.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::io::BufRead;

use super::super::LinksError;
use super::attributes::named;
use super::table::Header;

/// Characters of a line that an error shows.
const EXCERPT: usize = 60;
/// Longest line: an annotation has none of a megabyte, and what is no text has no lines.
const LONGEST_LINE: u64 = 1 << 20;
/// Bases of the longest position that is believed: 100 times the longest chromosome known.
const LAST_BASE: u64 = 1 << 42;

/// Which way a gene is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strand {
    /// Towards larger positions; transcription starts at the smallest.
    Forward,
    /// Towards smaller positions; transcription starts at the largest.
    Reverse,
}

/// Where a gene lies; positions are 0-based.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenePosition {
    /// Its symbol; empty where it has none.
    pub name: String,
    /// Its identifier; empty where it has none.
    pub id: String,
    /// As the file has it.
    pub chromosome: String,
    /// First base.
    pub start: u64,
    /// Behind the last base.
    pub end: u64,
    /// The base transcription starts at.
    pub tss: u64,
    /// `None` where the file does not say; transcription is then taken to start at `start`.
    pub strand: Option<Strand>,
}

impl GenePosition {
    /// A gene from `start` to before `end`, read as `strand` says.
    pub(super) fn spanning(
        (name, id): (&str, &str),
        chromosome: &str,
        [start, end]: [u64; 2],
        strand: Option<Strand>,
    ) -> Self {
        let tss = if strand == Some(Strand::Reverse) { end - 1 } else { start };
        let (name, id, chromosome) = (name.to_owned(), id.to_owned(), chromosome.to_owned());
        Self { name, id, chromosome, start, end, tss, strand }
    }
}

/// How a file is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// GTF or GFF3: 1-based, both ends included.
    Gtf,
    /// BED: 0-based, the end excluded.
    Bed,
    /// A header and one gene per line: 1-based, both ends included.
    Table,
}

impl Display for Layout {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gtf => "GTF or GFF3",
            Self::Bed => "BED",
            Self::Table => "a table",
        })
    }
}

/// What a file says of genes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenePositions {
    /// How the file is laid out.
    pub layout: Layout,
    /// In the order of the file.
    pub genes: Vec<GenePosition>,
    /// Genes that were put together from their transcripts, since no line is a gene.
    pub from_transcripts: bool,
    /// Genes without a strand, whose transcription is taken to start at their first base.
    pub n_without_strand: usize,
}

/// Reads positions of genes; the form is recognised by the first line that is no comment.
///
/// * GTF, GFF3: lines whose feature is a gene (`gene`, `pseudogene`, `ncRNA_gene`); without any, transcripts are put
///   together by gene, chromosome and strand. 1-based, both ends included.
/// * BED: four to twelve columns: chromosome, start, end, name, score, strand. 0-based, the end excluded. Also `track`
///   and `browser` lines.
/// * A table with a header, separated by tabs, commas or semicolons: `gene` (or `gene_name`, `symbol`) and or `gene_id`;
///   `chrom` (or `chromosome`, `chr`, `seqname`); `start` and `end`, or `tss`; optionally `strand`. 1-based, both ends
///   included; columns called `chromStart` and `chromEnd` are BED's, 0-based.
///
/// # Inputs
/// `text`: unpacked, UTF-8.
/// # Returns
/// [`GenePositions`], as many as the file has: a gene twice is there twice.
/// # Errors
/// `Empty`, `UnknownLayout`, `BadLine`, `NoGenes`, `Unreadable`.
/// # Cost
/// O(bytes) time; memory of the genes.
///
/// # Example
///
/// ```
/// use brodmann::stats::links::gene_positions;
///
/// let bed = "chr1\t999\t2000\tA\t0\t-\n";
/// let table = "gene,chrom,start,end,strand\nA,chr1,1000,2000,-\n";
/// for text in [bed, table] {
///     let found = gene_positions(text.as_bytes())?;
///     // Base 2000 counted from 1: transcription of the reverse strand starts at the end.
///     assert_eq!((found.genes[0].start, found.genes[0].tss), (999, 1999));
/// }
/// # Ok::<(), brodmann::stats::links::LinksError>(())
/// ```
pub fn gene_positions(text: impl BufRead) -> Result<GenePositions, LinksError> {
    let mut reader = Lines { text, line: 0, buffer: String::new() };
    let mut state: Option<Reading> = None;
    let mut n_lines = 0;
    while let Some(line) = reader.next()? {
        let number = reader.line;
        n_lines += 1;
        match &mut state {
            Some(reading) => reading.line(number, line)?,
            None => state = Some(Reading::begin(number, line)?),
        }
    }
    let Some(reading) = state else { return Err(LinksError::Empty) };
    reading.finish(n_lines)
}

/// Lines that are not comments.
struct Lines<R> {
    text: R,
    line: usize,
    buffer: String,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> Result<Option<String>, LinksError> {
        loop {
            self.buffer.clear();
            let unreadable = |reason: String, line| LinksError::Unreadable { line, reason };
            let read = std::io::Read::take(&mut self.text, LONGEST_LINE).read_line(&mut self.buffer);
            let bytes = read.map_err(|e| unreadable(e.to_string(), self.line))?;
            if bytes == 0 {
                return Ok(None);
            }
            if bytes as u64 == LONGEST_LINE {
                return Err(unreadable("the next line is longer than a megabyte".to_owned(), self.line));
            }
            self.line += 1;
            let line = self.buffer.trim_end_matches(['\n', '\r']);
            let line = if self.line == 1 { line.trim_start_matches('\u{feff}') } else { line };
            let skipped = |l: &str| ["#", "track ", "browser "].iter().any(|c| l.starts_with(c));
            if line.trim().is_empty() || skipped(line) {
                continue;
            }
            return Ok(Some(line.to_owned()));
        }
    }
}

/// A file as far as it is read.
struct Reading {
    layout: Layout,
    header: Option<Header>,
    genes: Vec<GenePosition>,
    /// (gene, chromosome, strand) → place in `transcribed`.
    by_gene: HashMap<(String, String, Option<Strand>), usize>,
    transcribed: Vec<GenePosition>,
}

impl Reading {
    fn begin(number: usize, line: String) -> Result<Self, LinksError> {
        let fields: Vec<&str> = line.split('\t').collect();
        let is_number = |k: usize| fields.get(k).is_some_and(|f| f.trim().parse::<u64>().is_ok());
        let (layout, header) = if fields.len() >= 8 && is_number(3) && is_number(4) {
            (Layout::Gtf, None)
        } else if fields.len() >= 4 && is_number(1) && is_number(2) {
            (Layout::Bed, None)
        } else if let Some(header) = Header::of(&line) {
            (Layout::Table, Some(header))
        } else {
            return Err(LinksError::UnknownLayout { line: number, excerpt: excerpt(&line) });
        };
        let is_header = header.is_some();
        let (genes, by_gene, transcribed) = (Vec::new(), HashMap::new(), Vec::new());
        let mut reading = Self { layout, header, genes, by_gene, transcribed };
        if !is_header {
            reading.line(number, line)?;
        }
        Ok(reading)
    }

    fn line(&mut self, number: usize, line: String) -> Result<(), LinksError> {
        let done = match (self.layout, &self.header) {
            (Layout::Gtf, _) => self.gtf(&line),
            (Layout::Bed, _) => bed(&line).map(|gene| self.genes.push(gene)),
            (Layout::Table, Some(header)) => header.gene(&line).map(|gene| self.genes.push(gene)),
            (Layout::Table, None) => Ok(()),
        };
        done.map_err(|expected| LinksError::BadLine {
            line: number,
            layout: self.layout,
            excerpt: excerpt(&line),
            expected,
        })
    }

    fn gtf(&mut self, line: &str) -> Result<(), &'static str> {
        let mut fields = line.split('\t');
        let mut next = || fields.next().unwrap_or("");
        let (chromosome, _, feature, start, end) = (next(), next(), next(), next(), next());
        let (_, strand, _, attributes) = (next(), next(), next(), next());
        let is_gene = matches!(feature, "gene" | "pseudogene" | "ncRNA_gene" | "transposable_element_gene");
        let is_transcript = matches!(feature, "transcript" | "mRNA");
        if !(is_gene || is_transcript && self.genes.is_empty()) {
            return Ok(());
        }
        let [start, end] = span(start, end, 1)?;
        let named = named(attributes);
        let (id, name) = (named.id.unwrap_or(""), named.name.unwrap_or(""));
        if id.is_empty() && name.is_empty() {
            return Err("`gene_id` or `gene_name` among the attributes");
        }
        let strand = strand_of(strand)?;
        if is_gene {
            self.genes.push(GenePosition::spanning((name, id), chromosome, [start, end], strand));
            return Ok(());
        }
        let key = if id.is_empty() { name } else { id };
        let key = (key.to_owned(), chromosome.to_owned(), strand);
        let place = *self.by_gene.entry(key).or_insert(self.transcribed.len());
        if place == self.transcribed.len() {
            self.transcribed.push(GenePosition::spanning((name, id), chromosome, [start, end], strand));
        } else {
            let gene = &mut self.transcribed[place];
            let wider = [gene.start.min(start), gene.end.max(end)];
            *gene = GenePosition::spanning((&gene.name, &gene.id), chromosome, wider, strand);
        }
        Ok(())
    }

    fn finish(self, n_lines: usize) -> Result<GenePositions, LinksError> {
        let from_transcripts = self.genes.is_empty() && !self.transcribed.is_empty();
        let genes = if from_transcripts { self.transcribed } else { self.genes };
        if genes.is_empty() {
            return Err(LinksError::NoGenes { n_lines, layout: self.layout });
        }
        let n_without_strand = genes.iter().filter(|g| g.strand.is_none()).count();
        Ok(GenePositions { layout: self.layout, genes, from_transcripts, n_without_strand })
    }
}

fn bed(line: &str) -> Result<GenePosition, &'static str> {
    let mut fields = line.split('\t');
    let mut next = || fields.next().unwrap_or("").trim();
    let (chromosome, start, end, name, _, strand) = (next(), next(), next(), next(), next(), next());
    if name.is_empty() {
        return Err("a name in the fourth column");
    }
    // The name may be a symbol or an identifier: it is looked up as both.
    let strand = strand_of(strand)?;
    Ok(GenePosition::spanning((name, name), chromosome, span(start, end, 0)?, strand))
}

/// `start` and `end` as 0-based, half-open; `first` is the number of the first base.
pub(super) fn span(start: &str, end: &str, first: u64) -> Result<[u64; 2], &'static str> {
    let number = |text: &str| text.trim().parse::<u64>().ok().filter(|n| *n <= LAST_BASE);
    let (Some(start), Some(end)) = (number(start), number(end)) else {
        return Err("whole numbers as start and end");
    };
    // With both ends included the last base is `end`, which is what half-open 0-based ends are.
    match start.checked_sub(first) {
        None => Err("a start of at least 1"),
        Some(start) if start >= end => Err("an end behind the start"),
        Some(start) => Ok([start, end]),
    }
}

pub(super) fn strand_of(text: &str) -> Result<Option<Strand>, &'static str> {
    match text.trim() {
        "+" | "1" | "+1" => Ok(Some(Strand::Forward)),
        "-" | "-1" | "−" => Ok(Some(Strand::Reverse)),
        "" | "." | "?" | "*" | "NA" | "nan" => Ok(None),
        _ => Err("`+` or `-` as strand"),
    }
}

fn excerpt(line: &str) -> String {
    // Gaps as one blank: a message is a line.
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut text: String = line.chars().take(EXCERPT).filter(|c| !c.is_control()).collect();
    if line.chars().count() > EXCERPT {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use brodmann_kernels::proofread::flaw;

    use super::*;

    fn read(text: &str) -> GenePositions {
        gene_positions(text.as_bytes()).expect("readable")
    }

    fn place(gene: &GenePosition) -> (&str, u64, u64, u64) {
        (&gene.chromosome, gene.start, gene.end, gene.tss)
    }

    #[test]
    fn the_same_gene_has_the_same_place_in_every_layout() {
        let gtf = "#!genome\nchr1\tH\tgene\t1000\t2000\t.\t-\t.\tgene_id \"ENSG1.2\"; gene_name \"A\";\n\
                   chr1\tH\texon\t1000\t1100\t.\t-\t.\tgene_id \"ENSG1.2\";\n";
        let gff = "##gff-version 3\nchr1\tH\tgene\t1000\t2000\t.\t-\t.\tID=gene:ENSG1.2;Name=A\n";
        let bed = "track name=x\nchr1\t999\t2000\tA\t0\t-\r\n";
        let table = "gene_id\tgene\tchrom\tstart\tend\tstrand\nENSG1.2\tA\tchr1\t1000\t2000\t-\n";
        let ucsc = "name;chrom;chromStart;chromEnd;strand\nA;chr1;999;2000;-\n";
        for text in [gtf, gff, bed, table, ucsc] {
            let found = read(text);
            assert_eq!(found.genes.len(), 1, "{text}");
            assert_eq!(place(&found.genes[0]), ("chr1", 999, 2000, 1999), "{text}");
            assert_eq!(found.genes[0].name, "A");
        }
        let forward = read("gene,chrom,tss,strand\nA,chr1,1000,+\n");
        assert_eq!(place(&forward.genes[0]), ("chr1", 999, 1000, 999));
        let reverse = read("gene,chrom,tss,strand\nA,chr1,1000,-\n");
        assert_eq!(place(&reverse.genes[0]), ("chr1", 999, 1000, 999));
    }

    #[test]
    fn genes_without_gene_lines_are_put_together_from_transcripts() {
        let line = |feature: &str, from: u64, to: u64, strand: char| {
            format!(
                "chr1\tR\t{feature}\t{from}\t{to}\t.\t{strand}\t.\tgene_id \"A\"; transcript_id \"t{from}\";\n"
            )
        };
        let text = line("transcript", 101, 300, '-')
            + &line("exon", 1, 900, '-')
            + &line("transcript", 201, 400, '-');
        let found = read(&text);
        assert!(found.from_transcripts);
        assert_eq!(place(&found.genes[0]), ("chr1", 100, 400, 399));
        // A gene line anywhere makes transcripts superfluous.
        let found = read(&(text + &line("gene", 11, 20, '+')));
        assert!(!found.from_transcripts && found.genes.len() == 1);
        assert_eq!(found.genes[0].tss, 10);
    }

    #[test]
    fn no_strand_means_the_first_base_and_is_counted() {
        let found = read("chr1\t10\t20\tA\nchr1\t10\t20\tB\t0\t.\nchr1\t10\t20\tC\t0\t-\n");
        assert_eq!(found.genes.iter().map(|g| g.tss).collect::<Vec<_>>(), [10, 10, 19]);
        assert_eq!((found.layout, found.n_without_strand), (Layout::Bed, 2));
    }

    #[test]
    fn what_is_no_annotation_is_refused_with_the_line() {
        let gene = "chr1\tH\tgene\t1\t2\t.\t+\t.\tgene_id \"A\"\n";
        for (text, line) in [
            ("", 0),
            ("# only comments\n\n", 0),
            ("hello world\n", 1),
            ("a,b,c\n1,2,3\n", 1),
            ("chr1\t10\t20\n", 1),
            ("chr1\tH\texon\t1\t2\t.\t+\t.\tx\n", 0),
            ("gene,chrom,start,end\n", 0),
            ("chr1\t10\t20\tA\nchr1\tx\t20\tA\n", 2),
            ("chr1\t20\t20\tA\n", 1),
            ("chr1\t10\t20\t \n", 1),
            ("chr1\t10\t20\tA\t0\tup\n", 1),
            (&format!("{gene}chr1\tH\tgene\t0\t2\t.\t+\t.\tgene_id \"A\"\n"), 2),
            (&format!("{gene}chr1\tH\tgene\t1\t2\n"), 2),
            ("gene,chrom,start,end\nA,chr1,5,99999999999999999999\n", 2),
            ("gene,chrom,start,end\nA,chr1\n", 2),
        ] {
            let error = gene_positions(text.as_bytes()).expect_err(text);
            assert_eq!(flaw(&error), None, "{text}");
            let found = match error {
                LinksError::UnknownLayout { line, .. } | LinksError::BadLine { line, .. } => line,
                LinksError::Empty | LinksError::NoGenes { .. } => 0,
                other => panic!("{other}"),
            };
            assert_eq!(found, line, "{text}");
        }
        let binary = [b'c', 0xff, 0xfe, b'\n'];
        assert!(matches!(gene_positions(&binary[..]), Err(LinksError::Unreadable { line: 0, .. })));
        let endless = vec![b'a'; 2 << 20];
        assert!(matches!(gene_positions(&endless[..]), Err(LinksError::Unreadable { .. })));
    }
}
