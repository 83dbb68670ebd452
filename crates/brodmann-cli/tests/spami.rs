//! `brodmann spami` end to end on a small tissue with few epochs: what it writes, models and checkpoints, ablations,
//! and what it refuses.

mod common;

use std::collections::BTreeSet;
use std::fs;

use brodmann_data::{Value, WriteOptions};
use common::Folder;
use ndarray::{Array2, Axis};
use serde_json::Value as Json;

const IN: &str = "tissue.h5mu";
const OUT: &str = "out.h5mu";
/// A network that trains in a moment.
const SMALL: [&str; 6] = ["--epochs", "20", "--hidden", "32", "--latent", "8"];

fn tissue() -> Folder {
    Folder::with_tissue(IN, 12)
}

fn args<'a>(input: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["spami", input, "--out", out], &SMALL[..], more].concat()
}

fn run(folder: &Folder, out: &str, more: &[&str]) -> Json {
    let all = [&args(IN, out, more)[..], &["--json", "--quiet"]].concat();
    folder.run(&all).succeeded().json()
}

fn refuses(folder: &Folder, more: &[&str], names: &[&str]) {
    folder.refuses(&args(IN, OUT, more), names);
}

fn obsm(folder: &Folder, name: &str, key: &str) -> Array2<f64> {
    let obsm = if name.ends_with("h5mu") { folder.mdata(name).obsm } else { folder.adata(name).obsm };
    obsm.get(key).and_then(Value::to_matrix_f64).unwrap_or_else(|| panic!("obsm[{key:?}] of {name}"))
}

fn uns(folder: &Folder, name: &str, key: &str) -> Value {
    let uns = if name.ends_with("h5mu") { folder.mdata(name).uns } else { folder.adata(name).uns };
    uns.get(key).cloned().unwrap_or_else(|| panic!("uns[{key:?}] of {name}"))
}

fn losses(folder: &Folder, name: &str) -> Vec<(String, Vec<f64>)> {
    let record = uns(folder, name, "spami");
    let curves = record.get("loss").and_then(Value::as_dict).expect("curves");
    let numbers = |v: &Value| {
        v.as_array().and_then(brodmann_data::Array::to_f64).expect("numbers").iter().copied().collect()
    };
    curves.iter().map(|(k, v)| (k.clone(), numbers(v))).collect()
}

#[test]
fn everything_from_counts_in_one_call() {
    let folder = tissue();
    let report = run(&folder, OUT, &["-k", "5", "--modality-embeddings", "--umap"]);
    assert_eq!(report["n_obs"], 144);
    assert_eq!(report["n_epochs"], 20);
    for key in ["read", "preprocess", "graph", "train", "cluster", "write"] {
        assert!(report["seconds"][key].is_number(), "{key}");
    }
    for key in ["ari", "nmi", "ami", "homogeneity", "completeness"] {
        assert!(report["metrics"][key].is_number(), "{key}");
    }
    for key in ["quality", "n_clusters", "forecast_bytes", "peak_rss_bytes"] {
        assert!(report[key].is_number(), "{key} in {report}");
    }
    let losses_of_report = &report["losses"];
    assert!(losses_of_report["loss"].is_number() && losses_of_report["cosine"].is_number());
    assert!(losses_of_report["contrast"]["adt"].is_number());
    let modalities = report["modalities"].as_array().expect("a list");
    let of = |key: &str| modalities.iter().map(|m| m[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("name"), ["rna", "adt", "atac"]);
    assert_eq!(of("features"), ["pca", "clr", "lsi"]);
    let attention: f64 = of("mean_attention").iter().filter_map(Json::as_f64).sum();
    assert!((attention - 1.0).abs() < 1e-4);

    let mdata = folder.mdata(OUT);
    assert_eq!(obsm(&folder, OUT, "X_spami").dim(), (144, 8));
    for name in ["rna", "adt", "atac"] {
        assert_eq!(obsm(&folder, OUT, &format!("X_spami_{name}")).dim(), (144, 8));
        let adata = &mdata.modalities[name];
        let layer = adata.matrix(Some("spami_denoised")).expect("a layer").to_dense_f32().into_owned();
        assert_eq!(layer.dim(), (144, adata.n_vars()));
        assert!(layer.iter().all(|v| v.is_finite() && *v >= 0.0) && layer.iter().any(|v| *v > 0.0));
        let seen = adata.var.columns["spami_denoised"].to_f64().expect("flags");
        for (j, seen) in seen.iter().enumerate() {
            assert!(*seen == 1.0 || layer.column(j).iter().all(|v| *v == 0.0), "{name} {j}");
        }
    }
    assert_eq!(obsm(&folder, OUT, "X_spami_umap").dim(), (144, 2));
    let Value::Frame(table) = &mdata.obsm["spami_attention"] else { panic!("a table") };
    assert_eq!(table.columns.keys().collect::<Vec<_>>(), ["rna", "adt", "atac"]);
    assert_eq!(table.index, mdata.obs.index);
    let sums = obsm(&folder, OUT, "spami_attention").sum_axis(Axis(1));
    assert!(sums.iter().all(|s| (s - 1.0).abs() < 1e-4));

    let curves = losses(&folder, OUT);
    assert_eq!(curves.len(), 1 + 3 + 3 + 1);
    assert!(curves.iter().all(|(_, v)| v.len() == 20 && v.iter().all(|v| v.is_finite())));
    let record = uns(&folder, OUT, "spami");
    let params = record.get("params").expect("parameters");
    for key in
        ["learning_rate", "epochs", "n_neighbors", "hidden", "latent", "random_state", "preset", "cluster"]
    {
        assert!(params.get(key).is_some(), "{key}");
    }
    assert_eq!(record.get("version").and_then(Value::as_str), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(folder.labels(OUT, "spami").len(), 144);
}

#[test]
fn the_kind_of_a_modality_is_said_and_can_be_corrected() {
    let folder = tissue();
    let log = folder.run(&args(IN, OUT, &["--modality-kind", "adt=rna"])).succeeded().stderr;
    assert!(log.contains("rna: 200 features TAKEN AS gene expression (rna)"), "{log}");
    assert!(log.contains("say so with --modality-kind"), "{log}");
    assert!(log.contains("adt: 40 features, gene expression (rna) as asked"), "{log}");
}

#[test]
fn a_tissue_is_recovered_better_together_than_by_chance() {
    let folder = Folder::with_tissue(IN, 16);
    let all = ["spami", IN, "--out", OUT, "-k", "5", "--epochs", "150", "--json", "--quiet"];
    let report = folder.run(&all).succeeded().json();
    assert_eq!(report["n_clusters"], 5);
    assert!(report["metrics"]["ari"].as_f64().expect("a number") > 0.25, "{report}");
    let curve = &losses(&folder, OUT)[0].1;
    assert!(curve[149] < curve[0], "the loss falls");
}

#[test]
fn the_thread_count_changes_nothing() {
    let folder = tissue();
    for threads in ["1", "2", "3"] {
        run(&folder, &format!("{threads}.h5mu"), &["--threads", threads]);
    }
    let first = folder.mdata("1.h5mu");
    for threads in ["2", "3"] {
        let other = folder.mdata(&format!("{threads}.h5mu"));
        assert_eq!(other.obsm, first.obsm);
        assert_eq!(other.obs, first.obs);
        for (name, adata) in &first.modalities {
            assert_eq!(other.modalities[name].layers, adata.layers, "{name}");
        }
        assert_eq!(losses(&folder, &format!("{threads}.h5mu")), losses(&folder, "1.h5mu"));
    }
}

#[test]
fn ablations_and_weights() {
    let folder = tissue();
    run(&folder, "full.h5mu", &[]);
    let full = obsm(&folder, "full.h5mu", "X_spami");
    for more in [
        &["--no-contrast"][..],
        &["--no-cosine"],
        &["--balance", "false"],
        &["--fusion", "mean"],
        &["--contrast-weight", "rna=1,adt=5"],
        &["--reconstruction-weight", "1,adt=3"],
        &["--cosine-weight", "0.5"],
        &["--weight-decay", "0.01"],
        &["--dropout", "0"],
        &["--lr", "0.01"],
        &["--n-neighbors", "6"],
        &["--seed", "1"],
    ] {
        run(&folder, OUT, more);
        assert_ne!(obsm(&folder, OUT, "X_spami"), full, "{more:?}");
    }
    let report = run(&folder, OUT, &["--fusion", "concat"]);
    assert_eq!(obsm(&folder, OUT, "X_spami").ncols(), 24);
    assert!(!folder.mdata(OUT).obsm.contains_key("spami_attention"));
    assert!(report["modalities"][0]["mean_attention"].is_null());
    let names: Vec<String> = {
        run(&folder, OUT, &["--no-contrast", "--no-cosine"]);
        losses(&folder, OUT).into_iter().map(|(k, _)| k).collect()
    };
    assert_eq!(names, ["loss", "reconstruction_adt", "reconstruction_atac", "reconstruction_rna"]);
    let report =
        run(&folder, OUT, &["--early-stopping", "2", "--lr", "1e-12", "--dropout", "0", "--no-contrast"]);
    assert!(report["stopped_early"] == true && report["n_epochs"].as_u64() < Some(20), "{report}");
    for preset in ["misar", "atac_rna_brain"] {
        run(&folder, OUT, &["--preset", preset, "--modalities", "rna,atac"]);
    }
    run(&folder, OUT, &["--preset", "stereo_cite", "--modalities", "rna,adt"]);
}

#[test]
fn one_modality_and_some_of_several() {
    let folder = Folder::with_tissue("tissue.h5ad", 12);
    let all = [&args("tissue.h5ad", "out.h5ad", &["-k", "3"])[..], &["--json", "--quiet"]].concat();
    let report = folder.run(&all).succeeded().json();
    assert_eq!(report["modalities"].as_array().map(Vec::len), Some(1));
    assert_eq!(obsm(&folder, "out.h5ad", "X_spami").dim(), (144, 8));
    assert!(obsm(&folder, "out.h5ad", "spami_attention").iter().all(|a| *a == 1.0));
    assert!(folder.adata("out.h5ad").layers.contains_key("spami_denoised"));
    assert!(!losses(&folder, "out.h5ad").iter().any(|(k, _)| k == "cosine"));

    let folder = tissue();
    let report = run(&folder, OUT, &["--modalities", "adt,rna"]);
    assert_eq!(report["modalities"][0]["name"], "adt");
    assert_eq!(report["modalities"].as_array().map(Vec::len), Some(2));
    assert!(!folder.mdata(OUT).modalities["atac"].layers.contains_key("spami_denoised"));
    run(&folder, OUT, &["--modalities", "atac"]);
}

#[test]
fn slices_share_no_edge() {
    let folder = Folder::new();
    folder.simulate(IN, 9, &["--slices", "2", "--batch-effect", "0.5"]);
    let report = run(&folder, OUT, &["--library-key", "library_id", "-k", "5"]);
    assert_eq!(report["n_obs"], 162);
    run(&folder, "without.h5mu", &[]);
    assert_ne!(obsm(&folder, OUT, "X_spami"), obsm(&folder, "without.h5mu", "X_spami"));
    refuses(&folder, &["--library-key", "nothing"], &["nothing", "library_id"]);
}

#[test]
fn embeddings_of_the_file_are_used_when_named() {
    let folder = tissue();
    folder.run(&["preprocess", IN, "--out", "features.h5mu", "--quiet"]).succeeded();
    let more = ["--use-rep", "rna=X_pca,adt=X_pca", "--modalities", "rna,adt"];
    let all = [&args("features.h5mu", OUT, &more)[..], &["--json", "--quiet"]].concat();
    let report = folder.run(&all).succeeded().json();
    assert_eq!(report["modalities"][0]["features"], "X_pca");
    assert!(report["modalities"][0]["denoised"] == false);
    assert!(!folder.mdata(OUT).modalities["rna"].layers.contains_key("spami_denoised"));
    // Not named, they are not used.
    let all = [&args("features.h5mu", OUT, &[])[..], &["--json", "--quiet"]].concat();
    assert_eq!(folder.run(&all).succeeded().json()["modalities"][0]["features"], "pca");
    let wrong = args("features.h5mu", "other.h5mu", &["--use-rep", "rna=X_none"]);
    folder.refuses(&wrong, &["X_none", "--use-rep"]);
    folder.refuses(
        &args("features.h5mu", "other.h5mu", &["--use-rep", "X_pca"]),
        &["--use-rep", "without a modality"],
    );
}

#[test]
fn outputs_can_be_chosen_and_renamed() {
    let folder = tissue();
    let report =
        run(&folder, OUT, &["--denoise", "never", "--key-added", "mine", "--cluster", "kmeans", "-k", "4"]);
    assert_eq!((&report["cluster_method"], &report["n_clusters"]), (&"kmeans".into(), &4.into()));
    let mdata = folder.mdata(OUT);
    assert!(mdata.obsm.contains_key("X_mine") && mdata.obsm.contains_key("mine_attention"));
    assert!(mdata.uns.contains_key("mine") && mdata.obs.columns.contains_key("mine"));
    assert!(mdata.modalities["rna"].layers.is_empty());
    let report = run(&folder, OUT, &["--resolution", "0.3", "--n-top-genes", "50", "--n-pcs", "10"]);
    assert_eq!(report["modalities"][0]["n_selected"], 50);
    assert_eq!(report["modalities"][0]["n_features"], 10);
    let layer = &folder.mdata(OUT).modalities["rna"].layers["spami_denoised"];
    assert!(layer.is_sparse());
    // Into the input itself, twice.
    for _ in 0..2 {
        folder.run(&[&["spami", IN, "--in-place", "--quiet"], &SMALL[..]].concat()).succeeded();
    }
    assert!(folder.mdata(IN).obsm.contains_key("X_spami"));
}

// Models.

#[test]
fn a_saved_model_gives_the_same_again_and_sees_another_slice() {
    let folder = tissue();
    run(&folder, "trained.h5mu", &["--save-model", "m.safetensors"]);
    let card: Json =
        serde_json::from_slice(&fs::read(folder.path("m.safetensors.json")).expect("a card")).expect("JSON");
    for key in ["version", "seed", "options", "modalities", "data_hash"] {
        assert!(!card[key].is_null(), "{key}");
    }
    assert_eq!(card["modalities"][0]["names"].as_array().map(|n| n.len() > 100), Some(true));
    let load = |input: &str, out: &str| {
        let all = ["spami", input, "--out", out, "--load-model", "m.safetensors", "--json", "--quiet"];
        folder.run(&all).succeeded().json()
    };
    let report = load(IN, "loaded.h5mu");
    assert!(report["losses"].is_null() && report["n_epochs"] == 0);
    let (a, b) = (folder.mdata("trained.h5mu"), folder.mdata("loaded.h5mu"));
    assert_eq!(a.obsm, b.obsm);
    assert_eq!(a.obs, b.obs);
    for (name, adata) in &a.modalities {
        assert_eq!(adata.layers, b.modalities[name].layers, "{name}");
    }
    // Another tissue, its features in another order.
    folder.simulate("other.h5mu", 9, &["--seed", "5"]);
    let mut other = folder.mdata("other.h5mu");
    let rna = other.modalities.get_mut("rna").expect("rna");
    let order: Vec<usize> = (0..rna.n_vars()).rev().collect();
    rna.x = rna.x.take().map(|x| x.select_columns(&order));
    rna.var = rna.var.select_rows(&order);
    brodmann_data::write_h5mu(&other, folder.path("turned.h5mu"), &WriteOptions::default()).expect("written");
    load("other.h5mu", "a.h5mu");
    load("turned.h5mu", "b.h5mu");
    assert_eq!(obsm(&folder, "a.h5mu", "X_spami").dim(), (81, 8));
    assert_eq!(obsm(&folder, "a.h5mu", "X_spami"), obsm(&folder, "b.h5mu", "X_spami"));
    let denoised = |name: &str| {
        folder.mdata(name).modalities["rna"].layers["spami_denoised"].to_dense_f32().into_owned()
    };
    let turned = denoised("b.h5mu").select(Axis(1), &order);
    assert_eq!(denoised("a.h5mu"), turned);
}

#[test]
fn a_saved_model_keeps_its_domains_until_others_are_asked_for() {
    let folder = tissue();
    for how in [&["-k", "4"][..], &["--cluster", "gmm", "-k", "4", "--refine", "4"], &["--resolution", "0.5"]]
    {
        let trained = run(&folder, "trained.h5mu", &[how, &["--save-model", "m.safetensors"]].concat());
        let n = trained["n_clusters"].as_u64().expect("a number");
        let load = |input: &str, out: &str, more: &[&str]| {
            let all = ["spami", input, "--out", out, "--load-model", "m.safetensors", "--json"];
            folder.run(&[&all[..], more].concat()).succeeded()
        };
        let outcome = load(IN, "loaded.h5mu", &[]);
        assert!(outcome.stderr.contains("those of the model"), "{}", outcome.stderr);
        assert_eq!(outcome.json()["n_clusters"].as_u64(), Some(n), "{how:?}");
        assert_eq!(folder.labels("loaded.h5mu", "spami"), folder.labels("trained.h5mu", "spami"), "{how:?}");
        // Another slice has none but these, under the same names.
        folder.simulate("other.h5mu", 9, &["--seed", "5"]);
        load("other.h5mu", OUT, &[]);
        let known: BTreeSet<String> = (0..n).map(|d| d.to_string()).collect();
        assert!(folder.labels(OUT, "spami").values().all(|label| known.contains(label)));
        let outcome = load(IN, OUT, &["-k", "3"]);
        assert!(!outcome.stderr.contains("those of the model"), "{}", outcome.stderr);
        assert_eq!(outcome.json()["n_clusters"], 3);
    }
}

#[test]
fn models_that_do_not_fit_or_are_none_are_refused() {
    let folder = tissue();
    run(&folder, "trained.h5mu", &["--save-model", "m.safetensors"]);
    let load = |input: &'static str, model: &'static str, names: &[&str]| {
        folder.refuses(&["spami", input, "--out", OUT, "--load-model", model], names);
    };
    let whole = fs::read(folder.path("m.safetensors")).expect("a model");
    for (name, bytes) in [
        ("empty", vec![]),
        ("text", b"not a model at all".to_vec()),
        ("short", whole[..whole.len() / 2].to_vec()),
        ("header", whole[..100].to_vec()),
        ("ones", vec![0xff; 4096]),
    ] {
        fs::write(folder.path("bad.safetensors"), bytes).expect("written");
        folder.refuses(
            &["spami", IN, "--out", OUT, "--load-model", "bad.safetensors"],
            &["bad.safetensors", "a model of SpaMI"],
        );
        let _ = name;
    }
    // Every number of the header changed in turn: an error or a model, never a panic.
    let header = u64::from_le_bytes(whole[..8].try_into().expect("8 bytes")) as usize;
    for at in (8..8 + header).step_by(header / 40) {
        let mut bytes = whole.clone();
        bytes[at] = bytes[at].wrapping_add(1);
        fs::write(folder.path("bad.safetensors"), bytes).expect("written");
        let all = ["spami", IN, "--out", "x.h5mu", "--load-model", "bad.safetensors", "--quiet"];
        let outcome = folder.run(&all);
        assert!(matches!(outcome.code, Some(0 | 2)), "byte {at}: {:?} {}", outcome.code, outcome.stderr);
        assert!(!outcome.stderr.contains("panicked"), "byte {at}: {}", outcome.stderr);
    }
    fs::write(folder.path("data.safetensors"), fs::read(folder.path(IN)).expect("read")).expect("written");
    load(IN, "data.safetensors", &["damaged"]);
    load(IN, "none.safetensors", &["none.safetensors", "does not exist"]);

    let mut few = folder.mdata(IN);
    let rna = few.modalities.get_mut("rna").expect("rna");
    let order: Vec<usize> = (0..rna.n_vars() - 30).collect();
    rna.x = rna.x.take().map(|x| x.select_columns(&order));
    rna.var = rna.var.select_rows(&order);
    brodmann_data::write_h5mu(&few, folder.path("few.h5mu"), &WriteOptions::default()).expect("written");
    load("few.h5mu", "m.safetensors", &["rna", "missing", "features the model was trained on"]);
    let mut two = folder.mdata(IN);
    two.modalities.shift_remove("adt");
    let two = brodmann_data::MuData::new(two.modalities).expect("two modalities");
    brodmann_data::write_h5mu(&two, folder.path("two.h5mu"), &WriteOptions::default()).expect("written");
    load("two.h5mu", "m.safetensors", &["adt", "rna, adt, atac"]);

    let conflict = folder.run(&["spami", IN, "--out", OUT, "--load-model", "m.safetensors", "--epochs", "5"]);
    assert_eq!(conflict.code, Some(2));
    assert!(conflict.stderr.contains("--load-model") && conflict.stderr.contains("--epochs"));
    refuses(&folder, &["--save-model", "nowhere/m.safetensors"], &["nowhere"]);
}

// Checkpoints.

#[test]
fn a_resumed_run_is_the_run_that_was_not_interrupted() {
    let folder = tissue();
    run(&folder, "whole.h5mu", &[]);
    let part = ["spami", IN, "--out", "part.h5mu", "--hidden", "32", "--latent", "8", "--quiet"];
    let at = ["--checkpoint", "state", "--checkpoint-every", "5"];
    folder.run(&[&part[..], &at, &["--epochs", "12"]].concat()).succeeded();
    assert!(folder.path("state/spami.checkpoint.safetensors").exists());
    for threads in ["1", "2"] {
        let resumed = ["--epochs", "20", "--resume", "--threads", threads];
        let keep = fs::read(folder.path("state/spami.checkpoint.safetensors")).expect("a checkpoint");
        folder.run(&[&part[..], &at, &resumed].concat()).succeeded();
        fs::write(folder.path("state/spami.checkpoint.safetensors"), keep).expect("put back");
        let (a, b) = (folder.mdata("whole.h5mu"), folder.mdata("part.h5mu"));
        assert_eq!(a.obsm, b.obsm);
        assert_eq!(a.obs, b.obs);
        assert_eq!(losses(&folder, "whole.h5mu"), losses(&folder, "part.h5mu"));
    }
}

#[test]
fn checkpoints_of_other_runs_are_refused() {
    let folder = tissue();
    let at = ["--checkpoint", "state", "--checkpoint-every", "5"];
    let resume = ["--checkpoint", "state", "--resume"];
    refuses_resume(&folder, &[], &["state", "does not exist", "--resume"]);
    run(&folder, OUT, &at);
    fs::remove_file(folder.path(OUT)).expect("removed");
    refuses(&folder, &at, &["saved after epoch 20, is there already", "--resume", "--restart"]);
    for (more, named) in [
        (&["--lr", "0.5"][..], "learning_rate"),
        (&["--seed", "7"], "seed"),
        (&["--n-pcs", "9"], "features"),
        (&["--modalities", "rna,adt"], "modalities"),
        (&["--dropout", "0.3"], "dropout"),
        (&["--balance", "false"], "balance"),
        (&["--contrast-weight", "rna=2"], "contrast_weights"),
    ] {
        refuses(&folder, &[&resume, more].concat(), &["another run", named]);
    }
    // Features of the same width, made another way.
    for (more, named) in [
        (&["--n-top-genes", "60"][..], "n_top_genes"),
        (&["--hvg", "seurat"], "flavor"),
        (&["--target-sum", "100"], "target_sum"),
        (&["--min-cells", "9"], "min_cells"),
    ] {
        refuses(&folder, &[&resume, more].concat(), &["another run", named]);
    }
    let mut changed = folder.mdata(IN);
    let coordinates = obsm(&folder, IN, "spatial") * 2.0;
    changed.obsm.insert("spatial".to_owned(), coordinates.into());
    brodmann_data::write_h5mu(&changed, folder.path("moved.h5mu"), &WriteOptions::default())
        .expect("written");
    folder.refuses(&args("moved.h5mu", OUT, &resume), &["another run", "data_hash"]);
    let fewer = ["spami", IN, "--out", OUT, "--epochs", "3", "--hidden", "32", "--latent", "8"];
    folder.refuses(&[&fewer[..], &resume].concat(), &["--epochs", "20"]);
    fs::write(folder.path("state/spami.checkpoint.safetensors"), b"damaged").expect("written");
    refuses(&folder, &resume, &["checkpoint", "damaged"]);
    let alone = folder.run(&args(IN, OUT, &["--resume"]));
    assert_eq!(alone.code, Some(2));
    assert!(alone.stderr.contains("--checkpoint"));
    refuses(&folder, &at, &["spami.checkpoint.safetensors is there already"]);
    run(&folder, OUT, &[&at[..], &["--restart"]].concat());
    fs::remove_file(folder.path(OUT)).expect("removed");
    refuses(&folder, &at, &["saved after epoch 20"]);
}

/// The folder of checkpoints is made before the refusal, so only the data must be unchanged.
fn refuses_resume(folder: &Folder, more: &[&str], names: &[&str]) {
    let all = [&args(IN, OUT, &["--checkpoint", "state", "--resume", "--quiet"])[..], more].concat();
    folder.run(&all).is_refusal(names);
    assert!(!folder.path(OUT).exists());
}

// What may be wrong.

#[test]
fn options_out_of_range() {
    let folder = tissue();
    for (more, names) in [
        (&["--epochs", "0"][..], &["--epochs", "0"][..]),
        (&["--lr", "0"], &["--lr"]),
        (&["--lr", "-1"], &["--lr", "-1"]),
        (&["--lr", "nan"], &["--lr"]),
        (&["--hidden", "0"], &["--hidden"]),
        (&["--latent", "0"], &["--latent"]),
        (&["--dropout", "1"], &["--dropout"]),
        (&["--dropout", "-0.1"], &["--dropout"]),
        (&["--n-neighbors", "0"], &["--n-neighbors"]),
        (&["--n-neighbors", "144"], &["--n-neighbors", "144"]),
        (&["--contrast-weight", "rna=-1"], &["--contrast-weight", "-1"]),
        (&["--reconstruction-weight", "-2"], &["--reconstruction-weight", "-2"]),
        (&["--reconstruction-weight", "much"], &["--reconstruction-weight", "much"]),
        (&["--cosine-weight", "-1"], &["--cosine-weight"]),
        (&["--weight-decay", "inf"], &["--weight-decay"]),
        (&["--early-stopping", "0"], &["--early-stopping"]),
        (&["--contrast-weight", "protein=1"], &["--contrast-weight", "protein", "rna, adt, atac"]),
        (&["--modality-kind", "protein=adt"], &["--modality-kind", "protein", "rna"]),
        (&["--modality-kind", "rna=lipids"], &["lipids", "adt"]),
        (&["--modality-kind", "rna"], &["--modality-kind", "without a modality"]),
        (&["--modalities", "rna,lipids"], &["--modalities", "lipids", "rna"]),
        (&["--modalities", "rna,rna"], &["rna twice"]),
        (&["--use-rep", "lipids=X_pca"], &["--use-rep", "lipids"]),
        (&["--preset", "misar"], &["adt", "weight"]),
        (&["--cluster", "kmeans"], &["--n-clusters"]),
        (&["-k", "0"], &["--n-clusters is 0"]),
        (&["-k", "144"], &["144"]),
        (&["--resolution", "-1"], &["--resolution"]),
        (&["--key-added", "ground_truth"], &["ground_truth"]),
        (&["--key-added", "a/b"], &["a/b"]),
        (&["--truth", "nothing"], &["nothing"]),
        (&["--checkpoint", "state", "--checkpoint-every", "0"], &["--checkpoint-every"]),
        (&["--n-pcs", "0"], &["--n-pcs is 0"]),
        (&["--layer", "nothing"], &["nothing"]),
        (&["--spatial-key", "nothing"], &["nothing"]),
    ] {
        // A later value of an option would be a second one: those of the small network are left out where given.
        let rest: Vec<&str> =
            SMALL.chunks(2).filter(|pair| !more.contains(&pair[0])).flatten().copied().collect();
        folder.refuses(&[&["spami", IN, "--out", OUT], &rest[..], more].concat(), names);
    }
    folder.refuses(&args(IN, "out.h5ad", &[]), &["out.h5ad", "h5mu"]);
}

#[test]
fn a_network_that_does_not_fit_into_memory_is_refused_with_one_that_does() {
    let folder = tissue();
    let all = ["spami", IN, "--out", OUT, "--hidden", "65536", "--latent", "65536"];
    folder.refuses(&all, &["of memory", "--hidden"]);
}

#[test]
fn a_loss_that_is_no_number_stops_with_its_term_and_a_suggestion() {
    let folder = tissue();
    let all = ["spami", IN, "--out", OUT, "--epochs", "400", "--lr", "1", "--reconstruction-weight", "1e300"];
    folder.refuses(&all, &["epoch", "--lr"]);
}

#[test]
fn counts_that_are_none() {
    for (value, name) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (-3.0, "-3")] {
        let folder = Folder::with_changed(8, |a| {
            let mut x = a.matrix(None).expect("X").to_dense_f32().into_owned();
            x[[5, 7]] = value;
            a.x = Some(x.into());
        });
        folder.refuses(&args("tissue.h5ad", "out.h5ad", &[]), &["rna", "row 5", "column 7", name]);
    }
    let folder = Folder::with_changed(8, |a| {
        let x = a.matrix(None).expect("X").to_dense_f32().mapv(|v| (v * 0.37).ln_1p());
        a.x = Some(x.into());
    });
    folder.refuses(&args("tissue.h5ad", "out.h5ad", &[]), &["--normalized"]);
    folder.run(&args("tissue.h5ad", "out.h5ad", &["--normalized", "--quiet"])).succeeded();
}

#[test]
fn tissues_at_the_edge() {
    // Empty spots and constant features, and a single row of spots.
    let folder = Folder::with_changed(8, |a| {
        let mut x = a.matrix(None).expect("X").to_dense_f32().into_owned();
        x.row_mut(3).fill(0.0);
        x.column_mut(2).fill(7.0);
        a.x = Some(x.into());
    });
    folder.run(&args("tissue.h5ad", "out.h5ad", &["--quiet"])).succeeded();
    let folder = Folder::with_changed(8, |a| {
        let n = a.n_obs();
        a.obsm.insert(
            "spatial".to_owned(),
            Array2::from_shape_fn((n, 2), |(i, j)| if j == 0 { i as f64 } else { 0.0 }).into(),
        );
    });
    folder.run(&args("tissue.h5ad", "out.h5ad", &["--quiet"])).succeeded();
    // Domains of what is the same everywhere would be invented.
    let folder = Folder::with_changed(8, |a| {
        a.x = Some(Array2::<f32>::ones((a.n_obs(), a.n_vars())).into());
    });
    folder.refuses(&args("tissue.h5ad", "out.h5ad", &[]), &["the same values for all 64 spots"]);
    let folder = Folder::with_changed(8, |a| {
        a.obsm.clear();
    });
    folder.refuses(&args("tissue.h5ad", "out.h5ad", &[]), &["obsm[\"spatial\"] is missing"]);
}

// Pictures.

#[test]
fn attention_losses_and_denoised_features_are_drawn() {
    let folder = tissue();
    run(&folder, OUT, &["--n-top-genes", "50"]);
    let draw = |more: &[&str], out: &str| {
        folder.run(&[&["plot", OUT, "--out", out, "--quiet"], more].concat()).succeeded();
        fs::read_to_string(folder.path(out)).expect("an SVG")
    };
    let svg = draw(&["--color", "spami_attention"], "attention.svg");
    for name in ["SpaMI attention: rna", "SpaMI attention: adt", "SpaMI attention: atac"] {
        assert!(svg.contains(name), "{name}");
    }
    let svg = draw(&["--color", "obsm:spami_attention:adt", "obsm:X_spami:0"], "one.svg");
    assert!(svg.contains("SpaMI attention: adt") && !svg.contains("SpaMI attention: rna"));
    let mut wide = folder.mdata(OUT);
    wide.obsm.insert("wide".to_owned(), Array2::<f64>::ones((144, 20)).into());
    brodmann_data::write_h5mu(&wide, folder.path(OUT), &WriteOptions::default()).expect("written");
    let svg = draw(&["--loss", "spami"], "loss.svg");
    for name in ["loss", "contrast", "reconstruction", "cosine", "atac", "epoch"] {
        assert!(svg.contains(name), "{name}");
    }
    let mdata = folder.mdata(OUT);
    let var = &mdata.modalities["rna"].var;
    let seen = var.columns["spami_denoised"].to_f64().expect("flags");
    let gene = |flag: f64| var.index[seen.iter().position(|s| *s == flag).expect("such a gene")].clone();
    let protein = mdata.modalities["adt"].var.index[0].clone();
    let svg = draw(&["--color", &gene(1.0), &protein, "--denoised"], "genes.svg");
    for name in ["measured", "denoised", "log-normalised", "CLR"] {
        assert!(svg.contains(name), "{name}");
    }
    draw(&["--color", &gene(1.0), "--layer", "spami_denoised"], "layer.svg");
    let refuses = |more: &[&str], names: &[&str]| {
        folder.refuses(&[&["plot", OUT, "--out", "x.svg"], more].concat(), names);
    };
    refuses(&["--color", &gene(0.0), "--denoised"], &["no denoised value", "--n-top-genes 0"]);
    refuses(&["--color", "wide"], &["wide", "20 columns", "obsm:KEY:0"]);
    refuses(&["--color", "obsm:nothing"], &["obsm:nothing", "obsm:X_spami"]);
    refuses(&["--color", "obsm:spami_attention:lipids"], &["obsm:spami_attention:rna"]);
    refuses(&["--color", &protein, "--denoised", "other"], &["other_denoised"]);
    refuses(&["--loss", "nothing"], &["nothing", "brodmann spami"]);
}

/// A labelled slice and one to be labelled, of one tissue; the first without its proteins.
fn atlas_and_target() -> Folder {
    let folder = Folder::new();
    let simulate = |out: &str, seed: &str, modalities: &str| {
        let words = ["simulate", "--out", out, "--side", "14", "--modalities", modalities, "--seed", seed];
        folder.run(&[&words[..], &["--genes", "200", "--n-proteins", "40", "--quiet"]].concat()).succeeded();
    };
    // The layout and the programmes of the genes are those of the seed, so both sides are of one.
    simulate(IN, "3", "rna,adt");
    simulate("atlas.h5ad", "3", "rna");
    folder
}

const PRIOR: [&str; 4] = ["--prior", "atlas.h5ad", "--prior-key", "ground_truth"];

/// A run with the options given and no others.
fn plain(folder: &Folder, out: &str, more: &[&[&str]]) -> Json {
    let all = [&["spami", IN, "--out", out, "-k", "4", "--json", "--quiet"][..], &more.concat()].concat();
    folder.run(&all).succeeded().json()
}

const NARROW: [&str; 4] = ["--hidden", "32", "--latent", "8"];

fn confidence(folder: &Folder, name: &str) -> Vec<f64> {
    let column = folder.mdata(name).obs.columns["spami_prior_confidence"].to_f64();
    column.expect("numbers")
}

#[test]
fn a_labelled_slice_guides_training_and_its_labels_come_back() {
    let folder = atlas_and_target();
    let report = plain(&folder, OUT, &[&PRIOR, &NARROW, &["--epochs", "60"]]);
    let prior = &report["prior"];
    assert_eq!(prior["trusted"], true, "{report}");
    assert_eq!(
        (&prior["n_reference"], &prior["n_labels"], &prior["n_shared"]),
        (&196.into(), &5.into(), &200.into())
    );
    // How many are right is asked where both sides see all domains (tests/python/test_spami.py): of several modalities
    // each is blind to some.
    assert_eq!(folder.labels(OUT, "spami_prior").len(), 196);
    assert!(confidence(&folder, OUT).iter().all(|c| (0.0..=1.0).contains(c)));
    let curves = losses(&folder, OUT);
    for name in ["aligned", "labelled", "agreement"] {
        let (_, curve) = curves.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(curve.len(), 60);
    }
    let record = uns(&folder, OUT, "spami");
    assert!(record.get("prior").and_then(|p| p.get("correspondence")).is_some());
    assert!(record.get("params").and_then(|p| p.get("prior")).and_then(|p| p.get("prior_key")).is_some());
    // Other threads, the same bits.
    plain(&folder, "two.h5mu", &[&PRIOR, &NARROW, &["--epochs", "60", "--threads", "2"]]);
    assert_eq!(obsm(&folder, OUT, "X_spami"), obsm(&folder, "two.h5mu", "X_spami"));
    assert_eq!(confidence(&folder, OUT), confidence(&folder, "two.h5mu"));
}

#[test]
fn a_wrong_reference_is_warned_of_and_changes_no_bit() {
    let folder = atlas_and_target();
    let mut atlas = folder.adata("atlas.h5ad");
    let n = atlas.n_obs();
    // Every label somewhere else.
    let order: Vec<usize> = (0..n).map(|i| (i * 89 + 17) % n).collect();
    let turned = atlas.obs.columns["ground_truth"].select_rows(&order);
    atlas.obs.columns.insert("ground_truth".to_owned(), turned);
    folder.write("wrong.h5ad", &atlas);
    let alone = run(&folder, "alone.h5mu", &["-k", "4"]);
    assert!(alone["prior"].is_null());
    let wrong = ["--prior", "wrong.h5ad", "--prior-key", "ground_truth", "-k", "4"];
    let log = folder.run(&args(IN, OUT, &wrong)).succeeded().stderr;
    assert!(log.contains("not trusted") && log.contains("--prior-key"), "{log}");
    assert_eq!(obsm(&folder, OUT, "X_spami"), obsm(&folder, "alone.h5mu", "X_spami"));
    assert_eq!(folder.labels(OUT, "spami"), folder.labels("alone.h5mu", "spami"));
    assert!(folder.labels(OUT, "spami_prior").values().all(|l| l == "none of these"));
    // Another organ: the same names, and none of them what it was.
    let mut atlas = folder.adata("atlas.h5ad");
    let names = atlas.var.index.clone();
    atlas.var.index = (0..names.len()).map(|j| names[(j * 77 + 31) % names.len()].clone()).collect();
    folder.write("organ.h5ad", &atlas);
    let organ = ["--prior", "organ.h5ad", "--prior-key", "ground_truth", "-k", "4"];
    let log = folder.run(&args(IN, "organ.h5mu", &organ)).succeeded().stderr;
    assert!(log.contains("genes in a wrong order"), "{log}");
    assert_eq!(obsm(&folder, "organ.h5mu", "X_spami"), obsm(&folder, "alone.h5mu", "X_spami"));
}

#[test]
fn a_guided_model_labels_another_file_and_a_guided_training_goes_on() {
    let folder = atlas_and_target();
    let guided = [&PRIOR[..], &NARROW, &["--prior-every", "6"]].concat();
    plain(&folder, "whole.h5mu", &[&guided, &["--epochs", "20", "--save-model", "m.safetensors"]]);
    plain(&folder, OUT, &[&["--load-model", "m.safetensors"]]);
    // The model knows nothing of anchors, without which a spot of the training got no label.
    let (there, here) = (confidence(&folder, "whole.h5mu"), confidence(&folder, OUT));
    assert!(there.iter().zip(&here).all(|(a, b)| a == b || *a == 0.0));
    assert!(there.iter().filter(|c| **c > 0.0).count() > 150);
    plain(&folder, OUT, &[&["--load-model", "m.safetensors", "--prior-confidence", "1"]]);
    assert!(folder.labels(OUT, "spami_prior").values().filter(|l| *l == "none of these").count() > 100);
    let model = "m.safetensors";
    let both = [&["spami", IN, "--out", OUT, "--load-model", model][..], &PRIOR].concat();
    folder.refuses(&both, &["--prior-key", model]);

    plain(&folder, "part.h5mu", &[&guided, &["--checkpoint", "here", "--epochs", "9"]]);
    plain(&folder, "resumed.h5mu", &[&guided, &["--checkpoint", "here", "--resume", "--epochs", "20"]]);
    assert_eq!(obsm(&folder, "resumed.h5mu", "X_spami"), obsm(&folder, "whole.h5mu", "X_spami"));
    assert_eq!(confidence(&folder, "resumed.h5mu"), confidence(&folder, "whole.h5mu"));
    // Another reference, or none: another training.
    let alone = ["spami", IN, "--out", OUT, "--checkpoint", "here", "--resume", "--epochs", "20"];
    folder.refuses(&[&alone[..], &NARROW].concat(), &["another run", "prior"]);
}

#[test]
fn a_reference_that_cannot_be_compared_is_refused_with_what_to_do() {
    let folder = atlas_and_target();
    refuses(&folder, &PRIOR[..2], &["--prior", "--prior-key"]);
    refuses(&folder, &PRIOR[2..], &["--prior-key", "--prior"]);
    refuses(&folder, &["--prior", "atlas.h5ad", "--prior-key", "region"], &["region", "ground_truth"]);
    refuses(&folder, &["--prior", "absent.h5ad", "--prior-key", "region"], &["absent.h5ad"]);
    refuses(&folder, &[&PRIOR[..], &["--prior-modality", "atac"]].concat(), &["--prior-modality", "adt"]);
    refuses(&folder, &[&PRIOR[..], &["--prior-weight", "-1"]].concat(), &["--prior-weight", "-1"]);
    let mut atlas = folder.adata("atlas.h5ad");
    atlas.var.index.iter_mut().skip(12).for_each(|name| name.push_str("-other"));
    folder.write("few.h5ad", &atlas);
    let few = ["--prior", "few.h5ad", "--prior-key", "ground_truth"];
    refuses(&folder, &few, &["shares 12 of the 200", "at least 20", "name features alike"]);
}
