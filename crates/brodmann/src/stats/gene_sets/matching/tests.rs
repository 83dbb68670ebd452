//! Names that meet, and names that do not.

use brodmann_kernels::Diagnosis;
use brodmann_kernels::proofread::flaw;

use super::*;

fn sets(lists: &[(&str, &[&str])]) -> GeneSets {
    GeneSets::from_lists(lists.iter().map(|(n, g)| (*n, g.iter().copied()))).expect("sets").0
}

#[test]
fn exact_names_come_before_any_other() {
    let sets = sets(&[("a", &["Gad1", "MBP", "x"]), ("b", &["y"])]);
    let matched =
        match_genes(&sets, &["MBP", "GAD1", "Gad1", "mbp"], &MatchOptions::default()).expect("match");
    assert_eq!(matched.genes(0), [0, 2]);
    assert!(matched.genes(1).is_empty());
    assert_eq!(matched.n_given(), [3, 1]);
    let matching = matched.matching().expect("by name");
    assert_eq!((matching.how, matching.n_matched, matching.n_set_genes), (NameMatch::Exact, 2, 4));
    assert_eq!(matching.sentence(), "2 of 4 genes of the sets are measured");
}

#[test]
fn case_is_ignored_where_almost_nothing_matches_exactly() {
    // Symbols of one letter and a number are written alike in both species: a coincidence among twenty.
    let human: Vec<String> = (0..20).map(|i| format!("GENE{i}")).chain(["C3".to_owned()]).collect();
    let mouse: Vec<String> = (0..20).map(|i| format!("Gene{i}")).chain(["C3".to_owned()]).collect();
    let sets = GeneSets::from_lists([("a", &human)]).expect("sets").0;
    let matched = match_genes(&sets, &mouse, &MatchOptions::default()).expect("match");
    assert_eq!(matched.genes(0), (0..21).collect::<Vec<u32>>());
    let matching = matched.matching().expect("by name");
    assert_eq!(matching.how, NameMatch::IgnoringCase);
    assert_eq!(
        matching.sentence(),
        "21 of 21 genes of the sets are measured; names were matched without regard to case"
    );
    // Five of 21 are no coincidence.
    let mixed: Vec<String> = human.iter().take(5).chain(&mouse[5..]).cloned().collect();
    let matched = match_genes(&sets, &mixed, &MatchOptions::default()).expect("match");
    assert_eq!(matched.matching().expect("by name").how, NameMatch::Exact);
    assert_eq!(matched.genes(0).len(), 6);
}

#[test]
fn names_that_fit_several_genes_stand_for_none() {
    let sets = sets(&[("a", &["ABC", "DEF", "def"])]);
    let matched = match_genes(&sets, &["Abc", "aBc", "Def", "Def"], &MatchOptions::default()).expect("match");
    assert_eq!(matched.genes(0), [2]);
    let matching = matched.matching().expect("by name");
    assert_eq!((matching.n_ambiguous, matching.n_repeated_names, matching.n_matched), (1, 1, 2));
}

#[test]
fn identifiers_of_another_kind_are_an_error_with_examples() {
    let sets = sets(&[("a", &["TP53", "MYC", "EGFR", "GFAP"])]);
    let fail = |measured: &[&str]| {
        let error = match_genes(&sets, measured, &MatchOptions::default()).expect_err("no match");
        assert_eq!(flaw(&error), None);
        (error.to_string(), error.advice().expect("advice"))
    };
    let (message, advice) = fail(&["ENSG00000141510", "ENSG00000136997"]);
    assert_eq!(
        message,
        "0 of the 4 genes in the sets are among the 2 measured ones; expected at least 1. The sets have `TP53`, \
         `MYC`, `EGFR` (gene symbols), the data `ENSG00000141510`, `ENSG00000136997` (Ensembl identifiers)"
    );
    assert_eq!(
        advice,
        "take the sets with Ensembl identifiers instead of gene symbols, or name the measured genes by their gene symbols"
    );
    assert!(fail(&["7157", "4609"]).1.contains("Entrez identifiers"));
    assert!(fail(&["Cog3", "Wars2"]).1.contains("same species"));
    assert!(fail(&["αβγ"]).1.contains("as the data do"));
    assert!(fail(&[]).0.contains("the data no names"));
    let versioned = GeneSets::from_lists([("a", ["ENSMUSG00000024617.4"])]).expect("sets").0;
    let error =
        match_genes(&versioned, &["ENSMUSG00000024617"], &MatchOptions::default()).expect_err("no match");
    assert!(error.advice().expect("advice").contains("remove the versions"));
}

#[test]
fn the_floor_counts_what_could_match() {
    let genes: Vec<String> = (0..100).map(|i| format!("G{i}")).collect();
    let sets = GeneSets::from_lists([("a", &genes)]).expect("sets").0;
    let measured: Vec<String> = (96..196).map(|i| format!("G{i}")).collect();
    let error = match_genes(&sets, &measured, &MatchOptions::default()).expect_err("4 of 100");
    assert!(matches!(error, GeneSetError::FewMatched { n_matched: 4, expected: 5, .. }));
    assert!(match_genes(&sets, &measured, &MatchOptions { min_matched: 0.04 }).is_ok());
    // A panel of 20 genes can hold 20 at most.
    assert!(match_genes(&sets, &measured[..20], &MatchOptions::default()).is_ok());
    let error = match_genes(&sets, &measured, &MatchOptions { min_matched: f64::NAN }).expect_err("no share");
    assert_eq!(flaw(&error), None);
}

#[test]
fn kinds_are_told_by_their_form() {
    let kinds = [
        ("ENSG00000141510", IdKind::Ensembl),
        ("ENSMUSG00000024617", IdKind::Ensembl),
        ("ENSMUSG00000024617.4", IdKind::VersionedEnsembl),
        ("7157", IdKind::Entrez),
        ("TP53", IdKind::Symbol),
        ("HLA-A", IdKind::Symbol),
        ("AC000403.1", IdKind::Symbol),
        ("ENSA", IdKind::Symbol),
        ("", IdKind::Other),
        ("1007_s_at", IdKind::Other),
    ];
    for (name, kind) in kinds {
        assert_eq!(IdKind::of(name), kind, "{name}");
    }
}
