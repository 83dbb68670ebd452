//! Links as text for genome browsers.

use std::fmt::Write;

use super::annotation::{GenePosition, PeakPosition, Strand};

/// A link to write.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportedLink<'a> {
    /// The peak.
    pub peak: &'a PeakPosition,
    /// The gene.
    pub gene: &'a GenePosition,
    /// What the link is called: `Pcp4|chr16:96467000-96468000`.
    pub name: &'a str,
    /// Its strength.
    pub score: f64,
    /// More columns of BEDPE: the domain, p.
    pub more: Vec<String>,
}

/// BEDPE: the peak, where transcription of the gene starts (one base), name, score and strands, then more columns; tabs
/// between. Positions are 0-based, ends excluded. A link whose score is no number is left out. `more` names the further
/// columns in the first line, which begins with `#`.
///
/// # Example
///
/// ```
/// use brodmann::stats::links::{ExportedLink, bedpe, gene_positions, longrange, parse_peak};
///
/// let gene = gene_positions("chr1\t1000\t5000\tA\t0\t-\n".as_bytes())?.genes.remove(0);
/// let peak = parse_peak("chr1:5900-6100").expect("a position");
/// let link = ExportedLink { peak: &peak, gene: &gene, name: "A|p", score: 0.5, more: vec!["L2/3".to_owned()] };
/// let text = bedpe(&[link.clone()], &["domain"]);
/// assert!(text.ends_with("chr1\t5900\t6100\tchr1\t4999\t5000\tA|p\t0.5\t.\t-\tL2/3\n"));
/// assert_eq!(longrange(&[link]), "chr1\t4999\t5000\tchr1:5900-6100,0.5\nchr1\t5900\t6100\tchr1:4999-5000,0.5\n");
/// # Ok::<(), brodmann::stats::links::LinksError>(())
/// ```
pub fn bedpe(links: &[ExportedLink<'_>], more: &[&str]) -> String {
    let mut text = String::from("#chrom1\tstart1\tend1\tchrom2\tstart2\tend2\tname\tscore\tstrand1\tstrand2");
    for name in more {
        text.push('\t');
        text.push_str(&cell(name));
    }
    text.push('\n');
    for link in links.iter().filter(|link| link.score.is_finite()) {
        let strand = match link.gene.strand {
            Some(Strand::Forward) => '+',
            Some(Strand::Reverse) => '-',
            None => '.',
        };
        let (peak, tss) = (link.peak, link.gene.tss);
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "{}\t{}\t{}\t{}\t{tss}\t{}\t{}\t{}\t.\t{strand}",
            cell(&peak.chromosome),
            peak.start,
            peak.end,
            cell(&link.gene.chromosome),
            tss + 1,
            cell(link.name),
            link.score
        );
        for value in &link.more {
            text.push('\t');
            text.push_str(&cell(value));
        }
        text.push('\n');
    }
    text
}

/// The longrange form of the WashU browser: for each end a line with its place and `chrom:start-end,score` of the other,
/// sorted by place as an index (`tabix`) needs them. Chromosomes are named as the peaks have them.
pub fn longrange(links: &[ExportedLink<'_>]) -> String {
    let mut lines: Vec<(&str, u64, u64, u64, u64, f64)> = Vec::with_capacity(2 * links.len());
    for link in links.iter().filter(|link| link.score.is_finite()) {
        let (peak, tss) = (link.peak, link.gene.tss);
        let chromosome = peak.chromosome.as_str();
        lines.push((chromosome, peak.start, peak.end, tss, tss + 1, link.score));
        lines.push((chromosome, tss, tss + 1, peak.start, peak.end, link.score));
    }
    lines.sort_by(|a, b| (a.0, a.1, a.2, a.3, a.4).cmp(&(b.0, b.1, b.2, b.3, b.4)).then(a.5.total_cmp(&b.5)));
    let mut text = String::new();
    for (chromosome, start, end, other_start, other_end, score) in lines {
        let chromosome = cell(chromosome);
        let _ =
            writeln!(text, "{chromosome}\t{start}\t{end}\t{chromosome}:{other_start}-{other_end},{score}");
    }
    text
}

/// A name without what ends a column or a line.
fn cell(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}

#[cfg(test)]
mod tests {
    use super::super::annotation::{gene_positions, parse_peak};
    use super::*;

    #[test]
    fn links_without_a_number_are_left_out_and_names_stay_in_their_column() {
        let gene = gene_positions("chr1\t1000\t5000\tA\n".as_bytes()).expect("readable").genes.remove(0);
        let peak = parse_peak("chr1:5900-6100").expect("a position");
        let link = |score| ExportedLink {
            peak: &peak,
            gene: &gene,
            name: "a\tb\n",
            score,
            more: vec!["x\ty".into()],
        };
        let links = [link(f64::NAN), link(0.25)];
        let text = bedpe(&links, &["domain"]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].split('\t').count(), lines[1].split('\t').count());
        assert!(lines[1].contains("\ta b \t0.25\t.\t.\tx y"));
        assert_eq!(longrange(&links).lines().count(), 2);
        assert_eq!(longrange(&[]), "");
    }
}
