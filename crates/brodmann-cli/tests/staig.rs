//! `brodmann staig` end to end on small tissues with few epochs: what it writes, slices in one file and in several,
//! image features, restarts, models and checkpoints, the baseline, and what it refuses.

mod common;

use std::fs;

use brodmann_data::{AnnData, Column, Value};
use common::Folder;
use ndarray::Array2;
use serde_json::Value as Json;

const IN: &str = "tissue.h5ad";
const OUT: &str = "out.h5ad";
/// A network that trains in a moment.
const SMALL: [&str; 6] = ["--epochs", "12", "--width", "8", "--n-init", "2"];

fn args<'a>(inputs: &[&'a str], out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["staig"], inputs, &["--out", out], &SMALL[..], more].concat()
}

fn run(folder: &Folder, out: &str, more: &[&str]) -> Json {
    run_on(folder, &[IN], out, more)
}

fn run_on(folder: &Folder, inputs: &[&str], out: &str, more: &[&str]) -> Json {
    let all = [&args(inputs, out, more)[..], &["--json", "--quiet"]].concat();
    folder.run(&all).succeeded().json()
}

fn refuses(folder: &Folder, more: &[&str], names: &[&str]) {
    folder.refuses(&args(&[IN], OUT, more), names);
}

fn tissue() -> Folder {
    Folder::with_tissue(IN, 12)
}

/// Two slices of one tissue in one file, `library_id` naming them.
fn slices() -> Folder {
    let folder = Folder::new();
    folder.simulate(IN, 10, &["--slices", "2", "--batch-effect", "0.5"]);
    folder
}

/// The same two slices, a file each; the second has its genes in another order and one gene fewer.
fn files() -> Folder {
    let folder = slices();
    let both = folder.adata(IN);
    let library = both.obs_categorical("library_id").expect("slices");
    for (slice, name) in ["a.h5ad", "b.h5ad"].iter().enumerate() {
        let rows: Vec<usize> = (0..both.n_obs()).filter(|&i| library.codes[i] as usize == slice).collect();
        let mut own = both.select_obs(&rows);
        own.obs.columns.shift_remove("library_id");
        if slice == 1 {
            let columns: Vec<usize> = (1..own.n_vars()).rev().collect();
            own = own.select_vars(&columns);
        }
        folder.write(name, &own);
    }
    folder
}

fn obsm(adata: &AnnData, key: &str) -> Array2<f64> {
    adata.obsm.get(key).and_then(Value::to_matrix_f64).unwrap_or_else(|| panic!("obsm[{key:?}]"))
}

fn loss_curve(adata: &AnnData, key: &str) -> Vec<f64> {
    let loss = adata.uns[key].get("loss").and_then(|l| l.get("loss")).and_then(Value::as_array);
    loss.and_then(brodmann_data::Array::to_f64).expect("numbers").iter().copied().collect()
}

/// A `.npy` of 64-bit floats in C order.
fn npy(rows: &Array2<f64>) -> Vec<u8> {
    let mut header = format!(
        "{{'descr': '<f8', 'fortran_order': False, 'shape': ({}, {}), }}",
        rows.nrows(),
        rows.ncols()
    );
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(rows.iter().flat_map(|v| v.to_le_bytes()));
    bytes
}

/// Image features that follow the place.
fn image_of(adata: &AnnData, width: usize) -> Array2<f64> {
    let places = adata.obsm_f64("spatial").expect("places");
    Array2::from_shape_fn((places.nrows(), width), |(i, j)| {
        (places[[i, j % 2]] * (j + 1) as f64 * 0.05).sin()
    })
}

#[test]
fn everything_from_counts_in_one_call() {
    let folder = tissue();
    let report = run(&folder, OUT, &["-k", "5", "--refine", "6", "--umap"]);
    assert_eq!(
        (&report["n_obs"], &report["n_slices"], &report["n_epochs"]),
        (&144.into(), &1.into(), &12.into())
    );
    for key in ["read", "preprocess", "graph", "train", "cluster", "write"] {
        assert!(report["seconds"][key].is_number(), "{key}");
    }
    for key in ["ari", "nmi", "ami", "homogeneity", "completeness"] {
        assert!(report["metrics"][key].is_number() && report["metrics_unrefined"][key].is_number(), "{key}");
    }
    for key in ["quality", "bic", "n_clusters", "forecast_bytes", "peak_rss_bytes", "loss", "n_edges"] {
        assert!(report[key].is_number(), "{key} in {report}");
    }
    assert_eq!(report["negatives"], "exact");
    assert_eq!(report["edge_rule"], "expression");
    assert_eq!(report["features"]["values"], "counts", "a small panel");
    assert_eq!(report["cluster_method"], "gmm");

    let adata = folder.adata(OUT);
    assert_eq!(obsm(&adata, "X_staig").dim(), (144, 8));
    assert_eq!(obsm(&adata, "X_staig_umap").dim(), (144, 2));
    let sizes: Vec<u64> =
        report["sizes"].as_array().expect("a list").iter().filter_map(Json::as_u64).collect();
    assert!(sizes.windows(2).all(|w| w[0] >= w[1]), "{sizes:?}");
    let labels = adata.obs_categorical("staig").expect("labels");
    assert_eq!(labels.codes.iter().filter(|c| **c == 0).count() as u64, sizes[0], "0 is the largest");
    assert!(adata.obs.columns.contains_key("staig_unrefined"));
    let seen = adata.var.columns["staig_features"].to_f64().expect("flags");
    assert_eq!(seen.iter().sum::<f64>(), report["features"]["n_features"].as_f64().expect("a number"));
    let record = &adata.uns["staig"];
    for key in [
        "learning_rate",
        "tau",
        "layers",
        "width",
        "edge_rule",
        "random_state",
        "preset",
        "cluster",
        "refine",
    ] {
        assert!(record.get("params").and_then(|p| p.get(key)).is_some(), "{key}");
    }
    assert_eq!(record.get("version").and_then(Value::as_str), Some(env!("CARGO_PKG_VERSION")));
    let curve = loss_curve(&adata, "staig");
    assert!(curve.len() == 12 && curve.iter().all(|v| v.is_finite()) && curve[11] < curve[0], "{curve:?}");
    folder.run(&["plot", OUT, "--loss", "staig", "--out", "loss.png", "--quiet"]).succeeded();
}

#[test]
fn what_is_done_to_the_values_is_said() {
    let folder = tissue();
    let log = folder.run(&args(&[IN], OUT, &["-k", "3"])).succeeded().stderr;
    assert!(log.contains("values taken as counts as the panel is small"), "{log}");
    assert!(log.contains("without normalising"), "{log}");
    let log = folder.run(&args(&[IN], OUT, &["-k", "3", "--values", "log"])).succeeded().stderr;
    assert!(log.contains("values taken as log as asked"), "{log}");
    assert!(log.contains("log1p") && log.contains("scaled without centring"), "{log}");
}

#[test]
fn the_number_of_domains_is_found_and_the_trials_are_kept() {
    let folder = tissue();
    let report = run(&folder, OUT, &["--max-clusters", "6"]);
    assert_eq!(report["n_clusters_by"], "stability");
    assert_eq!(report["tried"].as_array().expect("a table").len(), 5);
    let adata = folder.adata(OUT);
    let tried = adata.uns["staig"].get("tried").expect("a table");
    let numbers = tried
        .get("n_clusters")
        .and_then(Value::as_array)
        .and_then(brodmann_data::Array::to_f64)
        .expect("numbers");
    assert_eq!(numbers.iter().copied().collect::<Vec<_>>(), [2.0, 3.0, 4.0, 5.0, 6.0]);
    for (cluster, more) in [("leiden", &["--resolution", "0.5"][..]), ("kmeans", &["-k", "4"])] {
        let report = run(&folder, OUT, &[&["--cluster", cluster], more].concat());
        assert_eq!(report["cluster_method"], cluster);
        assert!(report["n_clusters_by"].is_null());
    }
}

#[test]
fn the_thread_count_changes_nothing() {
    let folder = slices();
    for threads in ["1", "2", "3"] {
        let out = format!("{threads}.h5ad");
        let more =
            ["--library-key", "library_id", "-k", "4", "--restarts", "2", "--threads", threads, "--umap"];
        run(&folder, &out, &more);
    }
    let first = folder.adata("1.h5ad");
    for threads in ["2", "3"] {
        let other = folder.adata(&format!("{threads}.h5ad"));
        assert_eq!(other.obsm, first.obsm);
        assert_eq!(other.obs, first.obs);
        assert_eq!(loss_curve(&other, "staig"), loss_curve(&first, "staig"));
    }
}

#[test]
fn slices_of_one_file_are_integrated() {
    let folder = slices();
    let report = run(&folder, OUT, &["--library-key", "library_id", "-k", "4"]);
    assert_eq!(report["n_slices"], 2);
    assert_eq!(report["features"]["scale"], "per_slice");
    for key in ["ilisi", "batch_kl", "ilisi_before", "batch_kl_before"] {
        assert!(report["integration"][key].is_number(), "{key} in {report}");
    }
    let of_slices = report["slices"].as_array().expect("a list");
    assert_eq!(of_slices.len(), 2);
    assert!(of_slices.iter().all(|s| s["n_obs"] == 100 && s["metrics"]["ari"].is_number()), "{report}");
    assert!(folder.adata(OUT).uns["staig"].get("integration").is_some());
}

#[test]
fn several_files_are_one_tissue_or_keep_to_themselves() {
    let folder = files();
    let inputs = ["a.h5ad", "b.h5ad"];
    let joined = run_on(&folder, &inputs, "joined.h5ad", &["-k", "4"]);
    assert_eq!((&joined["n_obs"], &joined["n_slices"]), (&200.into(), &2.into()));
    assert_eq!(joined["features"]["n_vars"], 199, "genes in common");
    let whole = folder.adata("joined.h5ad");
    whole.validate().expect("whole");
    assert_eq!(whole.obs_categorical("library_id").expect("slices").categories, ["a", "b"]);
    assert_eq!(whole.n_vars(), 199);
    assert!(whole.matrix(None).expect("counts").nnz() > 0);

    fs::create_dir(folder.path("each")).expect("a folder");
    let each = run_on(&folder, &inputs, "each", &["-k", "4"]);
    assert_eq!(each["metrics"], joined["metrics"]);
    let parts = [folder.adata("each/a.h5ad"), folder.adata("each/b.h5ad")];
    let embedding = obsm(&whole, "X_staig");
    for (p, part) in parts.iter().enumerate() {
        part.validate().expect("whole");
        assert_eq!(part.n_obs(), 100);
        let rows: Vec<usize> = (100 * p..100 * (p + 1)).collect();
        assert_eq!(obsm(part, "X_staig"), embedding.select(ndarray::Axis(0), &rows));
        assert!(part.uns.contains_key("staig"));
    }
    assert_eq!(parts[1].n_vars(), 199);
    assert_eq!(parts[0].n_vars(), 200, "files keep what is theirs");

    // One file with both slices, genes in common, is the same tissue.
    folder.change("joined.h5ad", |adata| adata.uns.clear());
    let again = run_on(&folder, &["joined.h5ad"], OUT, &["-k", "4", "--library-key", "library_id"]);
    assert_eq!(again["loss"], joined["loss"]);
    assert_eq!(obsm(&folder.adata(OUT), "X_staig"), embedding);
}

#[test]
fn files_of_other_genes_are_refused_by_name() {
    let folder = files();
    folder.refuses(&args(&["a.h5ad", "b.h5ad"], "out.h5mu", &[]), &["out.h5mu", ".h5ad"]);
    folder.change("b.h5ad", |adata| adata.var.index.iter_mut().for_each(|n| *n = format!("ENSG{n}")));
    folder.refuses(
        &args(&["a.h5ad", "b.h5ad"], OUT, &[]),
        &["0 genes in common", "a.h5ad has 200", "name genes alike"],
    );
    folder.refuses(&args(&["a.h5ad", "a.h5ad"], "none/x.h5ad", &[]), &["none"]);
    folder.refuses(&args(&["a.h5ad", "missing.h5ad"], OUT, &[]), &["missing.h5ad does not exist"]);
}

#[test]
fn restarts_agree_on_a_consensus_with_a_stability() {
    let folder = tissue();
    let report = run(&folder, OUT, &["-k", "4", "--restarts", "3"]);
    let restarts = &report["restarts"];
    assert_eq!(restarts["n"], 3);
    let agreement = restarts["run_agreement"].as_array().expect("a list");
    let kept = restarts["kept"].as_u64().expect("a number") as usize;
    let of = |k: usize| agreement[k].as_f64().expect("a number");
    assert!((0..3).all(|k| of(k) <= of(kept)), "the kept network agrees best: {restarts}");
    let adata = folder.adata(OUT);
    let stability = adata.obs.columns["staig_stability"].to_f64().expect("numbers");
    assert!(stability.iter().all(|s| (1.0 / 3.0..=1.0).contains(s)));
    // One network is the first of several.
    let one = run(&folder, "one.h5ad", &["-k", "4"]);
    let losses = adata.uns["staig"].get("restarts").and_then(|r| r.get("loss")).and_then(Value::as_array);
    let losses = losses.and_then(brodmann_data::Array::to_f64).expect("numbers");
    assert_eq!(losses.iter().next().copied(), one["loss"].as_f64());
    assert!(!folder.adata("one.h5ad").obs.columns.contains_key("staig_stability"));
}

#[test]
fn image_features_come_from_the_file_or_beside_it() {
    let folder = tissue();
    let image = image_of(&folder.adata(IN), 5);
    folder.change(IN, |adata| {
        adata.obsm.insert("X_image".to_owned(), image.clone().into());
    });
    fs::write(folder.path("image.npy"), npy(&image)).expect("written");
    let by_key = run(&folder, "key.h5ad", &["-k", "4", "--image-key", "X_image", "--image-classes", "6"]);
    let by_file = run(&folder, "file.h5ad", &["-k", "4", "--image-key", "image.npy", "--image-classes", "6"]);
    assert_eq!(by_key["edge_rule"], "image");
    assert_eq!(by_key["loss"], by_file["loss"]);
    assert_eq!(obsm(&folder.adata("key.h5ad"), "X_staig"), obsm(&folder.adata("file.h5ad"), "X_staig"));
    let without = run(&folder, OUT, &["-k", "4"]);
    assert_ne!(without["loss"], by_key["loss"]);
    let preset = run(&folder, OUT, &["-k", "4", "--preset", "visium-image", "--image-key", "X_image"]);
    assert_eq!(preset["refine"], 15);
    fs::write(folder.path("wide.npy"), npy(&image_of(&folder.adata(IN), 100))).expect("written");
    let log = folder.run(&args(&[IN], OUT, &["-k", "4", "--image-key", "wide.npy"])).succeeded().stderr;
    assert!(log.contains("reduced to 64 principal components"), "{log}");

    fs::write(folder.path("short.npy"), npy(&image.select(ndarray::Axis(0), &[0, 1, 2]))).expect("written");
    fs::write(folder.path("text.npy"), b"no numbers").expect("written");
    refuses(&folder, &["--image-key", "short.npy"], &["short.npy", "3 x 5", "144 rows"]);
    refuses(&folder, &["--image-key", "text.npy"], &["text.npy", "does not begin as a .npy"]);
    refuses(&folder, &["--image-key", "none.npy"], &["none.npy does not exist"]);
    refuses(&folder, &["--image-key", "X_photo"], &["X_photo", "X_image", "--image-key"]);
    refuses(&folder, &["--image-key", "X_image", "--image-classes", "144"], &["--image-classes", "144"]);
    refuses(&folder, &["--image-key", "image.npy,image.npy"], &["2 files for 1 inputs"]);
    refuses(&folder, &["--preset", "visium-image"], &["--preset is visium_image", "--image-key"]);
    refuses(&folder, &["--edge-rule", "image"], &["--edge-rule is image", "--image-key"]);
}

#[test]
fn options_of_the_network_reach_it() {
    let folder = tissue();
    let base = run(&folder, OUT, &["-k", "4"]);
    for more in [
        &["--tau", "3"][..],
        &["--layers", "2"],
        &["--lr", "0.01"],
        &["--weight-decay", "0.1"],
        &["--n-neighbors", "8"],
        &["--feature-mask", "0.3,0.4"],
        &["--feature-mask", "0.5"],
        &["--edge-rule", "fixed=0.4"],
        &["--resamples", "3"],
        &["--negatives", "moments"],
        &["--values", "log"],
        &["--n-top-genes", "50"],
        &["--seed", "7"],
    ] {
        let report = run(&folder, OUT, &[&["-k", "4"], more].concat());
        assert_ne!(report["loss"], base["loss"], "{more:?}");
    }
    let moments = run(&folder, OUT, &["-k", "4", "--negatives", "moments"]);
    assert_eq!(moments["negatives"], "moments");
    assert!(moments["moments_bound"].as_f64().is_some_and(|b| b > 0.0));
    let averaged = run(&folder, "averaged.h5ad", &["-k", "4", "--average-views"]);
    assert_eq!(averaged["loss"], base["loss"], "the output alone differs");
    run(&folder, OUT, &["-k", "4"]);
    assert_ne!(obsm(&folder.adata("averaged.h5ad"), "X_staig"), obsm(&folder.adata(OUT), "X_staig"));
}

#[test]
fn a_saved_network_sees_its_own_slice_as_in_training_and_others_by_name() {
    for more in [&[][..], &["--values", "log"], &["--average-views"]] {
        let folder = tissue();
        let all = [&["-k", "4", "--save-model", "m.safetensors"], more].concat();
        run(&folder, OUT, &all);
        assert!(folder.path("m.safetensors.json").exists());
        let trained = obsm(&folder.adata(OUT), "X_staig");
        let load = [
            "staig",
            IN,
            "--out",
            "again.h5ad",
            "--load-model",
            "m.safetensors",
            "-k",
            "4",
            "--json",
            "--quiet",
        ];
        let report = folder.run(&load).succeeded().json();
        assert_eq!((&report["n_epochs"], &report["loss"]), (&0.into(), &Json::Null));
        assert_eq!(obsm(&folder.adata("again.h5ad"), "X_staig"), trained, "{more:?}");
        // Its own domains, unless others are asked for.
        let own = [&load[..6], &["--quiet"]].concat();
        folder.run(&own).succeeded();
        assert_eq!(folder.labels("again.h5ad", "staig"), folder.labels(OUT, "staig"), "{more:?}");
        // Another order of genes, and one more, are the same genes.
        folder.change(IN, |adata| {
            let columns: Vec<usize> = (0..adata.n_vars()).rev().collect();
            *adata = adata.select_vars(&columns);
        });
        folder.run(&load).succeeded();
        assert_eq!(obsm(&folder.adata("again.h5ad"), "X_staig"), trained, "{more:?}");
        folder.change(IN, |adata| *adata = adata.select_vars(&[0, 1, 2]));
        folder.refuses(&load[..8], &["are missing", "--load-model"]);
    }
}

#[test]
fn models_that_are_none_are_refused() {
    let folder = tissue();
    run(&folder, OUT, &["-k", "4", "--save-model", "m.safetensors"]);
    let load = |name: &'static str| ["staig", IN, "--out", OUT, "--load-model", name];
    let whole = fs::read(folder.path("m.safetensors")).expect("a model");
    fs::write(folder.path("cut.safetensors"), &whole[..whole.len() - 9]).expect("written");
    fs::write(folder.path("text.safetensors"), b"a model").expect("written");
    folder.refuses(&load("cut.safetensors"), &["damaged", "a model of STAIG"]);
    folder.refuses(&load("text.safetensors"), &["damaged"]);
    folder.refuses(&load("none.safetensors"), &["does not exist"]);
    let two = [&load("m.safetensors")[..], &["--tau", "3"]].concat();
    let outcome = folder.run(&two);
    assert_eq!(outcome.code, Some(2), "a loaded model has a temperature: {}", outcome.stderr);
}

#[test]
fn training_goes_on_from_a_checkpoint_to_the_same_bits() {
    let folder = tissue();
    let every = ["-k", "4", "--restarts", "2", "--checkpoint", "saved", "--checkpoint-every", "5"];
    run(&folder, "whole.h5ad", &every);
    // As an interruption in the second network leaves it: the first done, the second after epoch 7.
    let short = [&args(&[IN], "short.h5ad", &every)[..], &["--json", "--quiet"]].concat();
    let short: Vec<&str> = short.iter().map(|a| if *a == "12" { "7" } else { a }).collect();
    fs::remove_dir_all(folder.path("saved")).expect("removed");
    folder.run(&short).succeeded();
    let resumed = [&every[..], &["--resume"]].concat();
    let log = folder.run(&args(&[IN], OUT, &resumed)).succeeded().stderr;
    assert_eq!(log.matches("going on after epoch 7").count(), 2, "{log}");
    let (whole, again) = (folder.adata("whole.h5ad"), folder.adata(OUT));
    assert_eq!(again.obsm, whole.obsm);
    assert_eq!(again.obs, whole.obs);
    assert_eq!(loss_curve(&again, "staig"), loss_curve(&whole, "staig"));
    // Finished networks are read back, not trained again.
    let log = folder.run(&args(&[IN], OUT, &resumed)).succeeded().stderr;
    assert_eq!(log.matches("going on after epoch 12").count(), 2, "{log}");
    assert_eq!(folder.adata(OUT).obsm, whole.obsm);

    refuses(
        &folder,
        &[&resumed[..], &["--tau", "3"]].concat(),
        &["another run", "request.options.tau 10.0 there, 3.0 here"],
    );
    refuses(&folder, &["--checkpoint", "empty", "--resume"], &["does not exist", "--resume"]);
}

#[test]
fn the_baseline_takes_the_same_road_without_a_network() {
    let folder = tissue();
    let report = run(&folder, OUT, &["--method", "smoothed-pca", "-k", "5", "--n-pcs", "6"]);
    assert_eq!((&report["method"], &report["key_added"]), (&"smoothed_pca".into(), &"smoothed_pca".into()));
    assert_eq!((&report["loss"], &report["n_epochs"]), (&Json::Null, &0.into()));
    assert_eq!(report["features"]["values"], "log");
    let adata = folder.adata(OUT);
    assert_eq!(obsm(&adata, "X_smoothed_pca").dim(), (144, 6));
    let params = adata.uns["smoothed_pca"].get("params").expect("parameters");
    assert!(params.get("n_components").is_some() && params.get("tau").is_none());
    refuses(&folder, &["--method", "smoothed-pca", "--save-model", "m"], &["save_model", "smoothed_pca"]);
}

#[test]
fn bad_options_are_refused_by_name() {
    let folder = tissue();
    for (more, names) in [
        (&["--tau", "0"][..], &["--tau is 0"][..]),
        (&["--tau", "nan"], &["--tau is \"nan\"", "finite"]),
        (&["--epochs", "0"], &["--epochs is 0"]),
        (&["--lr", "-1"], &["--lr is -1"]),
        (&["--layers", "3"], &["--layers is 3", "1 or 2"]),
        (&["--width", "0"], &["--width is 0"]),
        (&["--n-neighbors", "144"], &["--n-neighbors is 144 for 144 spots"]),
        (&["--n-neighbors", "0"], &["--n-neighbors is 0"]),
        (&["--feature-mask", "1,0"], &["--feature-mask is 1"]),
        (&["--feature-mask", "0.1,0.2,0.3"], &["--feature-mask is [0.1,0.2,0.3]"]),
        (&["--edge-rule", "fixed=2"], &["--edge-rule is 2"]),
        (&["--edge-rule", "luck"], &["--edge-rule is \"luck\""]),
        (&["--resamples", "11"], &["--resamples is 11"]),
        (&["--image-classes", "5"], &["--image-classes is 5", "--image-key"]),
        (&["--restarts", "0"], &["--restarts is 0"]),
        (&["--refine", "144"], &["--refine is 144 for 144 spots"]),
        (&["-k", "144"], &["--n-clusters is 144"]),
        (&["-k", "auto", "--cluster", "kmeans"], &["--n-clusters is auto", "gmm"]),
        (&["--cluster", "kmeans"], &["--n-clusters is not given"]),
        (&["--cluster", "leiden", "--resolution", "0"], &["--resolution is 0"]),
        (&["--spatial-key", "X_space"], &["X_space", "spatial"]),
        (&["--library-key", "slice"], &["slice"]),
        (&["--layer", "raw"], &["raw"]),
        (&["--key-added", "ground_truth"], &["--key-added"]),
        (&["--checkpoint", "c", "--checkpoint-every", "0"], &["--checkpoint-every is 0"]),
        (&["--save-model", "none/m.safetensors"], &["none/m.safetensors"]),
    ] {
        let mut all = args(&[IN], OUT, &[]);
        // The last of two equal flags must be the only one.
        for flag in more.iter().filter(|f| SMALL.contains(f)) {
            if let Some(at) = all.iter().position(|a| a == flag) {
                all.drain(at..at + 2);
            }
        }
        all.extend(more);
        folder.refuses(&all, names);
    }
}

#[test]
fn bad_data_are_refused_by_place() {
    let folder = Folder::with_changed(8, |adata| {
        adata.obs.columns.insert("slice".to_owned(), Column::String(vec![None; 64]));
        let places = adata.obsm_f64("spatial").expect("places");
        let mut broken = places.clone();
        broken[[3, 1]] = f64::NAN;
        adata.obsm.insert("broken".to_owned(), broken.into());
        adata.obsm.insert("X_image".to_owned(), Array2::from_elem((64, 2), f64::NAN).into());
    });
    refuses(&folder, &["--spatial-key", "broken"], &["3"]);
    refuses(&folder, &["--library-key", "slice"], &["slice", "missing values"]);
    refuses(&folder, &["--image-key", "X_image"], &["X_image", "NaN"]);
    let normalised = Folder::with_changed(8, |adata| {
        let x = adata.matrix(None).expect("X").to_csr_f32().into_owned();
        adata.x = Some(brodmann_data::Matrix::CsrF32(x.view().map(|v| (v + 0.5).ln_1p())));
    });
    refuses(&normalised, &["--values", "log"], &["already-normalised", "--normalized"]);
    let log = normalised.run(&args(&[IN], OUT, &["-k", "3", "--normalized"])).succeeded().stderr;
    assert!(log.contains("values taken as logged as asked"), "{log}");
}

#[test]
fn tissues_in_which_nothing_varies_or_hardly_anything_is_there_still_end_well() {
    let folder = Folder::with_changed(8, |adata| {
        let x = adata.matrix(None).expect("X").to_csr_f32().into_owned();
        adata.x = Some(brodmann_data::Matrix::CsrF32(x.view().map(|_| 0.0)));
    });
    // Refused or done, but never a panic.
    let outcome = folder.run(&args(&[IN], OUT, &["-k", "2"]));
    assert!(matches!(outcome.code, Some(0 | 2)), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    let two = Folder::with_changed(8, |adata| *adata = adata.select_obs(&[0, 1]));
    refuses(&two, &[], &["2 observation(s)"]);
    let few = Folder::with_changed(8, |adata| *adata = adata.select_obs(&[0, 1, 2, 3, 4, 5, 6, 7]));
    run(&few, OUT, &["-k", "2", "--n-neighbors", "3"]);
}
