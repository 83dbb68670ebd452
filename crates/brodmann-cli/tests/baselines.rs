//! The baselines as commands of their own, and what every method has from the driver: several files, a vote of the
//! neighbours, a plane, defaults in help texts that are those of the library.

mod common;

use brodmann::models::staig::{StaigOptions, StaigPreset};
use common::Folder;
use serde_json::Value as Json;

const IN: &str = "tissue.h5ad";
const OUT: &str = "out.h5ad";

fn run(folder: &Folder, args: &[&str]) -> Json {
    folder.run(&[args, &["--out", OUT, "--json", "--quiet"]].concat()).succeeded().json()
}

/// Two slices of one tissue, a file each, every gene in both.
fn files() -> Folder {
    let folder = Folder::new();
    folder.simulate(IN, 10, &["--slices", "2"]);
    let both = folder.adata(IN);
    let library = both.obs_categorical("library_id").expect("slices");
    for (slice, name) in ["a.h5ad", "b.h5ad"].iter().enumerate() {
        let rows: Vec<usize> = (0..both.n_obs()).filter(|&i| library.codes[i] as usize == slice).collect();
        let mut own = both.select_obs(&rows);
        own.obs.columns.shift_remove("library_id");
        folder.write(name, &own);
    }
    folder
}

#[test]
fn a_mixture_of_components_is_a_method_like_any_other() {
    let folder = Folder::with_tissue(IN, 12);
    let report = run(&folder, &["mixture", IN, "-k", "4", "--refine", "6", "--umap", "--n-pcs", "8"]);
    assert_eq!((report["n_obs"].as_u64(), report["n_clusters"].as_u64()), (Some(144), Some(4)));
    assert_eq!(report["method"], "mixture");
    assert_eq!(report["components"]["rna"], 8);
    assert!(report["metrics"]["ari"].is_number() && report["metrics_unrefined"]["ari"].is_number());
    let adata = folder.adata(OUT);
    for key in ["X_mixture", "X_mixture_umap", "X_pca"] {
        assert!(adata.obsm.contains_key(key), "{key}");
    }
    let columns = adata.obs.columns;
    assert!(columns.contains_key("mixture") && columns.contains_key("mixture_unrefined"));
    let record = &adata.uns["mixture"];
    assert!(record.get("params").and_then(|p| p.get("cluster")).is_some() && record.get("bic").is_some());
}

#[test]
fn banksy_weighs_the_surroundings() {
    let folder = Folder::with_tissue(IN, 12);
    let report = run(&folder, &["banksy", IN, "-k", "4", "--n-init", "2", "--refine", "6", "--umap"]);
    assert_eq!((report["method"].as_str(), report["n_clusters"].as_u64()), (Some("banksy"), Some(4)));
    let adata = folder.adata(OUT);
    assert!(adata.obsm.contains_key("X_banksy") && adata.obsm.contains_key("X_banksy_umap"));
    assert!(adata.obs.columns.contains_key("banksy_unrefined"));
    assert!(adata.uns["banksy"].get("variance_ratio").is_some());
    // Single spots of this tissue are mostly noise: what is known of the domains is in the surroundings.
    let ari = |lambda: &str| {
        let report = run(&folder, &["banksy", IN, "-k", "4", "--n-init", "2", "--lambda", lambda]);
        report["metrics"]["ari"].as_f64().expect("a truth")
    };
    let (alone, around) = (ari("0"), ari("1"));
    assert!(alone < 0.1 && around > 0.3, "{alone} {around}");
    let log =
        folder.run(&["banksy", IN, "--out", OUT, "-k", "4", "--n-neighbors-agf", "200"]).succeeded().stderr;
    assert!(log.contains("144 spots are too few for 200 neighbours"), "{log}");
    folder
        .refuses(&["banksy", IN, "--out", "no.h5ad", "--lambda", "1.5"], &["--lambda", "1.5", "from 0 to 1"]);
    folder
        .refuses(&["banksy", IN, "--out", "no.h5ad", "--n-neighbors", "0"], &["--n-neighbors", "at least 1"]);
}

/// What the members agree on, and what is written of it.
#[test]
fn domains_are_what_the_members_agree_on() {
    let folder = Folder::with_tissue(IN, 14);
    let quick = ["--n-init", "2", "--restarts", "2"];
    let report =
        run(&folder, &[&["domains", IN, "-k", "4", "--refine", "6", "--member-labels"][..], &quick].concat());
    assert_eq!((report["method"].as_str(), report["n_clusters"].as_u64()), (Some("domains"), Some(4)));
    let members = report["members"].as_array().expect("members");
    let names: Vec<&str> = members.iter().filter_map(|m| m["name"].as_str()).collect();
    assert_eq!(names, ["smoothed", "banksy.2", "hops", "spatialleiden"]);
    let weights: f64 = members.iter().filter_map(|m| m["weight"].as_f64()).sum();
    assert!((weights - 1.0).abs() < 1e-9, "{weights}");
    assert!(report["metrics"]["ari"].as_f64().expect("a truth") > 0.2, "{report}");
    assert!(report["metrics_unrefined"]["ari"].is_number());
    let adata = folder.adata(OUT);
    for column in ["domains", "domains_unrefined", "domains_entropy", "domains_hops", "domains_spatialleiden"]
    {
        assert!(adata.obs.columns.contains_key(column), "{column}");
    }
    assert!(adata.obsm.contains_key("domains_probability"));
    let agreement = adata.uns["domains"].get("agreement").expect("the agreement of the members");
    assert!(format!("{agreement:?}").contains("shape=[4, 4]"), "{agreement:?}");
    let plain = run(&folder, &[&["domains", IN, "-k", "4"][..], &quick].concat());
    assert!(plain["mean_entropy"].as_f64().is_some_and(|e| (0.0..1.0).contains(&e)), "{plain}");

    let one = run(&folder, &[&["domains", IN, "-k", "4", "--members", "hops"][..], &quick].concat());
    assert_eq!(one["members"][0]["weight"], 1.0);
    let no = ["domains", IN, "--out", "no.h5ad", "-k", "4"];
    folder.refuses(&[&no[..], &["--members", "hops,hops"]].concat(), &["--members", "each once"]);
    folder.refuses(&[&no[..], &["--restarts", "0"]].concat(), &["--restarts", "at least 1"]);
    folder.refuses(&[&no[..], &["--n-pcs", "9"]].concat(), &["--n-pcs", "each member has its own number"]);
}

#[test]
fn domains_find_their_number_and_say_on_what_it_rests() {
    let folder = Folder::with_tissue(IN, 14);
    let args = ["domains", IN, "--out", OUT, "--n-init", "2", "--restarts", "1", "--max-clusters", "5"];
    let outcome = folder.run(&[&args[..], &["-k", "auto", "--json"]].concat()).succeeded();
    let report = outcome.json();
    let curve = report["agreement_by_number"].as_array().expect("a curve");
    assert_eq!(curve.iter().filter_map(|t| t["n_clusters"].as_u64()).collect::<Vec<_>>(), [2, 3, 4, 5]);
    assert!(report["n_clusters"].as_u64().is_some_and(|k| (2..=5).contains(&k)), "{report}");
    let said = "the number on which the members agree best";
    assert!(outcome.stderr.contains(said) && outcome.stderr.contains("--n-clusters"), "{}", outcome.stderr);
}

#[test]
fn domains_are_found_in_all_modalities_at_once() {
    let folder = Folder::new();
    folder.run(&["simulate", "--out", "tissue.h5mu", "--side", "20"]).succeeded();
    let ari = |input: &str, out: &str| {
        let args = ["domains", input, "--out", out, "-k", "5", "--n-init", "2", "--restarts", "2", "--json"];
        let report = folder.run(&args).succeeded().json();
        (report["metrics"]["ari"].as_f64().expect("a truth"), report)
    };
    let (joint, report) = ari("tissue.h5mu", "joint.h5mu");
    let features = report["features"].as_object().expect("by modality");
    assert_eq!(features.keys().collect::<Vec<_>>(), ["adt", "atac", "rna"]);
    // Each modality shows only some of the domains.
    assert!(joint > 0.5, "{joint}");
    let mdata = folder.mdata("joint.h5mu");
    assert!(mdata.modalities["atac"].var.columns.contains_key("domains_features"));
}

#[test]
fn smoothed_pca_is_what_staig_called_its_method() {
    let folder = Folder::with_tissue(IN, 12);
    run(&folder, &["smoothed-pca", IN, "-k", "4", "--n-init", "2"]);
    let labels = folder.labels(OUT, "smoothed_pca");
    run(&folder, &["staig", IN, "-k", "4", "--n-init", "2", "--method", "smoothed-pca"]);
    assert_eq!(folder.labels(OUT, "smoothed_pca"), labels);
    // Options of the network are said to have no effect, and models are refused.
    let log = folder
        .run(&[
            "staig",
            IN,
            "--out",
            OUT,
            "-k",
            "4",
            "--n-init",
            "2",
            "--method",
            "smoothed_pca",
            "--tau",
            "3",
        ])
        .succeeded()
        .stderr;
    assert!(log.contains("tau") && log.contains("no effect"), "{log}");
    let model = ["staig", IN, "--out", "other.h5ad", "--method", "smoothed_pca", "--save-model", "m"];
    folder.refuses(&model, &["save_model", "smoothed_pca"]);
}

#[test]
fn every_method_takes_several_files() {
    let folder = files();
    for method in ["domains", "spatialleiden", "mixture", "banksy", "smoothed-pca", "leiden"] {
        let report = run(&folder, &[method, "a.h5ad", "b.h5ad", "-k", "4"]);
        assert_eq!((report["n_obs"].as_u64(), report["n_slices"].as_u64()), (Some(200), Some(2)), "{method}");
        let slices = report["slices"].as_array().expect("slices");
        assert_eq!(slices.len(), 2, "{method}");
        assert!(slices.iter().all(|s| s["metrics"]["ari"].is_number()), "{method}");
    }
    // A graph over all spots has no part in one file: it is left out, and that is said.
    let split = ["spatialleiden", "a.h5ad", "b.h5ad", "-k", "4", "--out", "parts"];
    let outcome = folder.run(&split).succeeded();
    assert!(outcome.stderr.contains("obsp[\"connectivities\"]"), "{}", outcome.stderr);
    let part = folder.adata("parts/a.h5ad");
    assert!(part.obs.columns.contains_key("spatialleiden"));
    assert!(part.obsp.contains_key("spatial_connectivities") && !part.obsp.contains_key("connectivities"));
}

#[test]
fn harmony_takes_the_slices_out_of_an_embedding() {
    let folder = Folder::new();
    folder.simulate(IN, 14, &["--slices", "2", "--batch-effect", "0.5"]);
    let of = |more: &[&str]| {
        let args = ["smoothed-pca", IN, "-k", "4", "--n-init", "2", "--library-key", "library_id"];
        run(&folder, &[&args[..], more].concat())
    };
    of(&["--integrate", "harmony"]);
    let adata = folder.adata(OUT);
    assert!(adata.obsm.contains_key("X_smoothed_pca") && adata.obsm.contains_key("X_smoothed_pca_harmony"));
    let record = &adata.uns["smoothed_pca"];
    let said = record.get("params").and_then(|p| p.get("integrate"));
    assert!(said.is_some_and(|v| format!("{v:?}").contains("harmony")), "{record:?}");
    of(&[]);
    assert!(!folder.adata(OUT).obsm.contains_key("X_smoothed_pca_harmony"));
    let alone = ["smoothed-pca", IN, "--out", "no.h5ad", "-k", "4", "--integrate", "harmony"];
    folder.refuses(&alone, &["--integrate", "single slice", "--library-key"]);
}

#[test]
fn help_texts_name_the_defaults_of_the_library() {
    let folder = Folder::new();
    let help = folder.run(&["staig", "--help"]).succeeded().stdout;
    let words: Vec<&str> = help.split_whitespace().collect();
    let text = words.join(" ");
    let default = StaigOptions::default();
    let starmap = StaigOptions::preset(StaigPreset::Starmap);
    assert!(text.contains(&format!("Passes over the tissue [default: {};", default.epochs)), "{text}");
    assert!(text.contains(&format!("starmap {}", starmap.tau)), "{text}");
    assert!(text.contains("Learning rate of Adam [default: 0.0005]"), "{text}");
    // What a command shares with others and refuses, it does not offer.
    let shows = |command: &str| folder.run(&[command, "--help"]).succeeded().stdout.contains("--n-pcs");
    assert!(shows("banksy") && !shows("domains"));
}
