//! Layouts of the wild, and files that are something else.

use brodmann_kernels::Diagnosis;
use brodmann_kernels::proofread::flaw;

use super::*;

fn parsed(text: &str) -> (GeneSets, GmtFindings) {
    parse_gmt(text.as_bytes()).expect("valid GMT")
}

fn genes(sets: &GeneSets, i: usize) -> Vec<&str> {
    sets.genes(i).collect()
}

fn refused(bytes: &[u8]) -> GeneSetError {
    let error = parse_gmt(bytes).expect_err("not GMT");
    assert_eq!(flaw(&error), None);
    assert!(error.advice().is_some());
    error
}

#[test]
fn msigdb_enrichr_and_go_are_read() {
    let msigdb = "HALLMARK_HYPOXIA\thttps://www.gsea-msigdb.org/gsea/msigdb/human/geneset/HALLMARK_HYPOXIA\tADM\tADORA2B\tAK4\n";
    let (sets, findings) = parsed(msigdb);
    assert_eq!(sets.names(), ["HALLMARK_HYPOXIA"]);
    assert!(sets.descriptions()[0].starts_with("https://"));
    assert_eq!(genes(&sets, 0), ["ADM", "ADORA2B", "AK4"]);
    assert_eq!(findings, GmtFindings::default());

    let (sets, findings) = parsed("mitochondrion inheritance (GO:0000001)\t\tGem1,1.0\tMIRO1,0.53\tAK4\t\n");
    assert_eq!(sets.names(), ["mitochondrion inheritance (GO:0000001)"]);
    assert_eq!(sets.descriptions(), [""]);
    assert_eq!(genes(&sets, 0), ["Gem1", "MIRO1", "AK4"]);
    assert_eq!(findings.n_weights, 2);

    let (sets, _) =
        parsed("GO:0000002\tmitochondrial genome maintenance\tAKT3\tMEF2A\nA%GOBP%GO:1\ta\t10000\t4205\n");
    assert_eq!(sets.descriptions()[0], "mitochondrial genome maintenance");
    assert_eq!(genes(&sets, 1), ["10000", "4205"]);
}

#[test]
fn line_ends_marks_and_blanks_are_passed_over() {
    let text = "\u{feff}# made by hand\r\n\r\n  A \t d \t X \t\tY\t\t\r\n\"B\"\t\"\"\t\"Y\"\r\n\t\t\r\n#\tcomment\r\n";
    let (sets, findings) = parsed(text);
    assert_eq!(sets.names(), ["A", "B"]);
    assert_eq!(sets.descriptions(), ["d", ""]);
    assert_eq!((genes(&sets, 0), genes(&sets, 1)), (vec!["X", "Y"], vec!["Y"]));
    assert_eq!(sets.lines(), [3, 4]);
    assert_eq!(findings.n_comments, 2);
    let (old_mac, _) = parsed("A\t\tX\rB\t\tY");
    assert_eq!(old_mac.names(), ["A", "B"]);
}

#[test]
fn what_is_repeated_or_empty_is_counted() {
    let text = "A\t\tX\tY\tX\nA\t\tY\tX\nA\t\tZ\nA\t\tZ\nA (2)\t\tQ\nE\t\t\nF\tno genes\n";
    let (sets, findings) = parsed(text);
    assert_eq!(sets.names(), ["A", "A (2)", "A (2) (2)"]);
    assert_eq!((genes(&sets, 0), genes(&sets, 1), genes(&sets, 2)), (vec!["X", "Y"], vec!["Z"], vec!["Q"]));
    assert_eq!((findings.n_repeated_genes, findings.n_repeated_sets, findings.n_empty), (1, 2, 2));
    assert_eq!(findings.empty, ["E", "F"]);
    assert_eq!(findings.renamed.len(), 2);
    for sentence in findings.sentences() {
        assert_eq!(brodmann_kernels::proofread::blemish(&sentence), None);
    }
}

#[test]
fn very_long_lines_are_read() {
    let mut text = "BIG\t".to_owned();
    for i in 0..300_000 {
        text += "\tGENE";
        text += &i.to_string();
    }
    let (sets, _) = parsed(&text);
    assert_eq!((sets.len(), sets.genes(0).len()), (1, 300_000));
}

#[test]
fn a_file_without_descriptions_is_noticed() {
    let (_, findings) = parsed("A\tX\tY\tZ\nB\tY\tX\tQ\nC\tQ\tR\n");
    assert_eq!(findings.n_genes_as_description, 3);
    let (_, findings) = parsed("A\tna\tY\tZ\nB\tna\tX\tQ\n");
    assert_eq!(findings.n_genes_as_description, 0);
}

#[test]
fn text_that_is_not_utf8_is_read_as_latin1() {
    let (sets, findings) = parse_gmt(b"Sj\xF6gren\t\tX\n").expect("Latin-1");
    assert_eq!((sets.names()[0].as_str(), findings.n_latin1), ("Sjögren", 1));
}

#[test]
fn other_formats_are_recognised() {
    let files: [(&[u8], Foreign); 15] = [
        (b"set,gene\nA,X\n", Foreign::Csv),
        (b"set;gene\nA;X\n", Foreign::Semicolons),
        (b"A na X Y Z\n", Foreign::Spaces),
        (b"X\nY\nZ\n", Foreign::List),
        (b"set\tgene\nA\tX\nA\tY\n", Foreign::Pairs),
        (b"gene\ts1\ts2\ts3\nX\t0.5\t0.25\t1.5\nY\t1.5\t2.5\t3.5\n", Foreign::Numbers),
        (b"#1.2\n2\t2\nName\tDescription\ts1\ts2\n", Foreign::Gct),
        (b"{\"A\": {\"geneSymbols\": [\"X\"]}}\n", Foreign::Json),
        (b"<!DOCTYPE html>\n<html>\n", Foreign::Markup),
        (b"\x1F\x8B\x08\x00\x00", Foreign::Compressed),
        (b"PK\x03\x04abc", Foreign::Compressed),
        (b"\xFF\xFEA\x00\t\x00", Foreign::Utf16),
        (b"\x89HDF\r\n\x1A\n\x00\x00", Foreign::Binary),
        (b"SYMBOL\n", Foreign::List),
        (b"[1]\n", Foreign::Json),
    ];
    for (bytes, expected) in files {
        let error = refused(bytes);
        assert!(matches!(error, GeneSetError::NotGmt { looks, .. } if looks == expected), "{error}");
    }
    assert_eq!(
        refused(b"\nset,gene\nA,X\n").to_string(),
        "line 2 of the gene sets is `set,gene`, which looks like fields separated by commas (CSV); expected a name, a \
         description and genes, separated by tabs (GMT)"
    );
}

#[test]
fn lines_that_are_broken_are_named() {
    assert!(matches!(refused(b""), GeneSetError::Empty));
    assert!(matches!(refused(b"# only\n\n"), GeneSetError::Empty));
    assert!(matches!(refused(b"A\t\tX\n\nY,Z\nB\t\tY\n"), GeneSetError::NoTab { line: 3, .. }));
    assert!(matches!(refused(b"title\nA\t\tX\n"), GeneSetError::NoTab { line: 1, .. }));
    assert!(matches!(refused(b"A\t\tX\n\t\tY\n"), GeneSetError::NoName { line: 2 }));
    assert!(matches!(refused(b"A\t\n"), GeneSetError::NoGenes { n_sets: 1, line: 1 }));
    let long = refused("x".repeat(500).as_bytes()).to_string();
    assert!(long.len() < 250, "{long}");
}

#[test]
fn lists_are_treated_as_lines() {
    let (sets, findings) = GeneSets::from_lists([("A", vec!["X", "X", " Y "]), ("B", vec![])]).expect("sets");
    assert_eq!(genes(&sets, 0), ["X", "Y"]);
    assert_eq!((findings.n_repeated_genes, findings.n_empty), (1, 1));
    let none: [(&str, [&str; 0]); 0] = [];
    assert_eq!(GeneSets::from_lists(none), Err(GeneSetError::Empty));
    assert_eq!(GeneSets::from_lists([(" ", ["X"])]), Err(GeneSetError::NoName { line: 1 }));
}

#[test]
fn no_bytes_bring_it_down() {
    let seed = Seed(3);
    let alphabet = b"AB\t\t\t\n\n\r,;#\"0.\xC3\xF6 {";
    for file in 0..2000_u64 {
        let bytes: Vec<u8> =
            (0..40).map(|i| alphabet[(seed.word(file * 64 + i) % alphabet.len() as u64) as usize]).collect();
        if let Ok((sets, _)) = parse_gmt(&bytes) {
            assert!((0..sets.len()).all(|i| sets.genes(i).len() > 0));
            let names: std::collections::HashSet<_> = sets.names().iter().collect();
            assert_eq!(names.len(), sets.len());
        }
    }
}
