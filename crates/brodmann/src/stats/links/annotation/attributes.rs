//! The last column of GTF (`gene_id "ENSG1"; gene_name "A";`) and GFF3 (`ID=gene:ENSG1;Name=A`).

/// What names a gene: identifier, symbol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Named<'a> {
    pub id: Option<&'a str>,
    pub name: Option<&'a str>,
}

/// Identifier and symbol among the attributes of a line.
pub(super) fn named(attributes: &str) -> Named<'_> {
    let mut found = Named::default();
    // GFF3 has `Name` and `ID` of the line itself where it does not name the gene.
    let mut own = Named::default();
    for (key, value) in pairs(attributes).filter(|(_, value)| !value.is_empty()) {
        match key {
            "gene_id" => found.id = found.id.or(Some(value)),
            "gene_name" | "gene_symbol" | "gene" => found.name = found.name.or(Some(value)),
            "ID" => own.id = Some(value.strip_prefix("gene:").unwrap_or(value)),
            "Name" => own.name = Some(value),
            _ => {}
        }
    }
    Named { id: found.id.or(own.id), name: found.name.or(own.name) }
}

/// Keys and values; a value in quotes may hold semicolons.
fn pairs(attributes: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = attributes;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', ';']);
        if rest.is_empty() {
            return None;
        }
        let end = rest.find([' ', '=', ';']).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        let after = after.strip_prefix(['=', ' ']).unwrap_or(after).trim_start_matches(' ');
        let (value, left) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(';').unwrap_or((after, "")),
        };
        rest = left;
        Some((key, value.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_dialects_name_genes() {
        let gtf = r#"gene_id "ENSG1.4"; gene_type "x; y"; gene_name "A B"; level 2;"#;
        assert_eq!(named(gtf), Named { id: Some("ENSG1.4"), name: Some("A B") });
        let ensembl =
            "ID=gene:ENSG1;Name=TP53;biotype=protein_coding;description=p53 [Source:HGNC];gene_id=ENSG1";
        assert_eq!(named(ensembl), Named { id: Some("ENSG1"), name: Some("TP53") });
        let gencode = "ID=ENSG1.5;gene_id=ENSG1.5;gene_name=DDX11L2";
        assert_eq!(named(gencode), Named { id: Some("ENSG1.5"), name: Some("DDX11L2") });
        assert_eq!(named("ID=gene-A;Name=A;gene=A"), Named { id: Some("gene-A"), name: Some("A") });
    }

    #[test]
    fn damaged_attributes_end() {
        for text in ["", ";;;", "gene_id", "gene_id \"", "gene_id \"\"; gene_name ", "=", "a=;b"] {
            assert_eq!(named(text), Named::default(), "{text}");
        }
        assert_eq!(named("gene_id \"open").id, Some("open"));
    }
}
