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
    for method in ["spatialleiden", "mixture", "banksy", "smoothed-pca", "leiden"] {
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
}
