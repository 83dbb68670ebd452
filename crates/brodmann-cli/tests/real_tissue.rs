//! The main job on real tissue: skipped, and said so, where `../shared` is not beside the checkout.

mod common;
#[path = "../../../tests/shared.rs"]
mod shared;

use common::Folder;
use shared::shared;

/// Agreement over seeds 0–2 and the labels of the last run.
fn run(file: &str, k: &str, options: &[&str]) -> Option<Vec<f64>> {
    let input = shared(&format!("data/{file}"))?;
    let input = input.to_str().expect("a path of plain text");
    let ending = if file.ends_with("h5mu") { "h5mu" } else { "h5ad" };
    let out = format!("out.{ending}");
    let mut scores = Vec::new();
    for seed in ["0", "1", "2"] {
        let folder = Folder::new();
        let args = ["spatialleiden", input, "--out", &out, "-k", k, "--seed", seed, "--json", "--quiet"];
        let report = folder.run(&[&args[..], options].concat()).succeeded().json();
        assert_eq!(report["n_clusters"].to_string(), k);
        scores.push(report["metrics"]["ari"].as_f64().expect("a truth is known"));
    }
    scores.sort_by(f64::total_cmp);
    Some(scores)
}

#[test]
fn layers_of_the_visual_cortex_as_well_as_the_reference_tool() {
    // The reference gives .741 [.738–.746]; plain Leiden on the same data .20.
    let Some(ari) = run("starmap_v1_1k/starmap_v1_1k.h5ad", "7", &["--layer-ratio", "1.8"]) else { return };
    assert!(ari[0] > 0.70, "{ari:?}");
}

#[test]
fn domains_that_no_modality_shows_alone() {
    // The best single modality with k-means gives .53.
    let file = "sim_spatialglue_triplet/sim_spatialglue_triplet.h5mu";
    let Some(ari) = run(file, "5", &[]) else { return };
    assert!(ari[0] > 0.95, "{ari:?}");
}

#[test]
fn threads_change_nothing_on_real_tissue() {
    let Some(input) = shared("data/osmfish_cortex/osmfish_cortex.h5ad") else { return };
    let input = input.to_str().expect("a path of plain text");
    let labels = |threads: &str| {
        let folder = Folder::new();
        folder.run(&["spatialleiden", input, "--out", "out.h5ad", "--threads", threads]).succeeded();
        folder.labels("out.h5ad", "spatialleiden")
    };
    assert_eq!(labels("1"), labels("2"));
}
