//! A table of genes with a header.

use super::gene_positions::{GenePosition, span, strand_of};

/// Which column holds what.
pub(super) struct Header {
    separator: char,
    name: Option<usize>,
    id: Option<usize>,
    chromosome: usize,
    place: Place,
    strand: Option<usize>,
}

enum Place {
    /// Start and end, and the number of the first base.
    Span(usize, usize, u64),
    Tss(usize),
}

impl Header {
    /// The header that `line` is, if it names the columns.
    pub(super) fn of(line: &str) -> Option<Self> {
        let separator = ['\t', ',', ';'].into_iter().max_by_key(|s| line.matches(*s).count())?;
        let columns: Vec<String> = cells(line, separator).map(str::to_ascii_lowercase).collect();
        let find = |names: &[&str]| names.iter().find_map(|name| columns.iter().position(|c| c == name));
        let name = find(&["gene", "gene_name", "symbol", "gene_symbol", "name"]);
        let id = find(&["gene_id", "gene_ids", "id", "ensembl", "ensembl_id"]);
        let chromosome =
            find(&["chrom", "chromosome", "chr", "seqname", "seqnames", "seqid", "chromosome_name"])?;
        let place = if let Some(tss) = find(&["tss", "transcription_start_site"]) {
            Place::Tss(tss)
        } else if let (Some(start), Some(end)) = (find(&["chromstart"]), find(&["chromend"])) {
            Place::Span(start, end, 0)
        } else {
            let (start, end) = (find(&["start", "start_position"])?, find(&["end", "stop", "end_position"])?);
            Place::Span(start, end, 1)
        };
        name.or(id)?;
        Some(Self { separator, name, id, chromosome, place, strand: find(&["strand"]) })
    }

    /// The gene of a line, or what is expected there.
    pub(super) fn gene(&self, line: &str) -> Result<GenePosition, &'static str> {
        let cells: Vec<&str> = cells(line, self.separator).collect();
        let cell = |k: usize| cells.get(k).copied().unwrap_or("");
        let name = self.name.map_or("", cell);
        let id = self.id.map_or(name, cell);
        let chromosome = cell(self.chromosome);
        if (name.is_empty() && id.is_empty()) || chromosome.is_empty() {
            return Err("a gene and a chromosome");
        }
        let strand = self.strand.map_or(Ok(None), |k| strand_of(cell(k)))?;
        match self.place {
            Place::Span(start, end, first) => {
                let place = span(cell(start), cell(end), first)?;
                Ok(GenePosition::spanning((name, id), chromosome, place, strand))
            }
            Place::Tss(tss) => {
                let place = span(cell(tss), cell(tss), 1).map_err(|_| "a whole number as tss")?;
                // One base: transcription starts there whichever way it is read.
                Ok(GenePosition::spanning((name, id), chromosome, place, strand))
            }
        }
    }
}

fn cells(line: &str, separator: char) -> impl Iterator<Item = &str> {
    line.split(separator).map(|cell| cell.trim().trim_matches('"'))
}
