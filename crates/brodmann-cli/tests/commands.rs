//! Every command on a simulated tissue: what it prints, what it writes, and that the same seed gives the same.

mod common;

use std::collections::BTreeSet;
use std::fs;

use brodmann_data::{Matrix, Value};
use common::Folder;
use ndarray::Array2;
use serde_json::Value as Json;

/// The labels a run wrote, as bytes that are equal only if all are.
fn bytes(folder: &Folder, name: &str, key: &str) -> Vec<u8> {
    folder
        .labels(name, key)
        .into_iter()
        .flat_map(|(spot, label)| format!("{spot}={label};").into_bytes())
        .collect()
}

fn is_number(report: &Json, keys: &[&str]) {
    for key in keys {
        let value = key.split('.').fold(report, |value, part| &value[part]);
        assert!(value.is_number(), "{key} is {value} in {report}");
    }
}

const CLUSTERING: &[&str] = &[
    "n_obs",
    "n_clusters",
    "quality",
    "seconds.read",
    "seconds.preprocess",
    "seconds.graph",
    "seconds.train",
    "seconds.cluster",
    "seconds.write",
    "peak_rss_bytes",
    "metrics.ari",
    "metrics.nmi",
    "metrics.ami",
];

#[test]
fn the_counts_are_kept_log_normalised_on_request() {
    let folder = Folder::with_tissue("tissue.h5ad", 10);
    for method in ["spatialleiden", "smoothed-pca"] {
        let run = ["--out", "out.h5ad", "-k", "3", "--force", "--keep-log-normalized", "--quiet"];
        folder.run(&[&[method, "tissue.h5ad"], &run[..]].concat()).succeeded();
        let adata = folder.adata("out.h5ad");
        assert_eq!(
            adata.x.as_ref().map(Matrix::to_dense_f32),
            folder.adata("tissue.h5ad").x.as_ref().map(Matrix::to_dense_f32)
        );
        let logs = adata.layers["log_normalized"].to_dense_f32();
        let counts = adata.x.as_ref().expect("counts").to_dense_f32();
        for (logs, counts) in logs.rows().into_iter().zip(counts.rows()) {
            let total = counts.sum();
            for (log, count) in logs.iter().zip(counts) {
                assert!((log - (count * 1e4 / total).ln_1p()).abs() < 1e-5, "{log} {count}");
            }
        }
    }
    let both = ["--normalized", "--keep-log-normalized"];
    folder.refuses(&[&["spatialleiden", "tissue.h5ad", "--out", "more.h5ad"], &both[..]].concat(), &both);
}

#[test]
fn from_simulation_to_picture_step_by_step() {
    let folder = Folder::new();
    let json = |args: &[&str]| folder.run(&[args, &["--json", "--quiet"]].concat()).succeeded().json();

    let report = json(&["simulate", "--out", "tissue.h5mu", "--side", "12", "--n-genes", "200"]);
    assert_eq!((&report["n_obs"], &report["slices"]), (&144.into(), &1.into()));
    assert_eq!(report["modalities"].as_array().map(Vec::len), Some(3));

    let report = json(&["info", "tissue.h5mu"]);
    assert_eq!((&report["container"], &report["n_obs"]), (&"MuData".into(), &144.into()));
    assert_eq!(report["modalities"][0]["kind"], "rna");

    let report = json(&["preprocess", "tissue.h5mu", "--out", "features.h5mu"]);
    assert_eq!(report["modalities"].as_array().map(Vec::len), Some(3));
    let mdata = folder.mdata("features.h5mu");
    assert!(mdata.modalities["rna"].obsm.contains_key("X_pca"));
    assert!(mdata.modalities["rna"].layers.contains_key("log_normalized"));
    assert!(mdata.modalities["atac"].obsm.contains_key("X_lsi"));

    let report = json(&["neighbors", "features.h5mu", "--out", "graphs.h5mu"]);
    assert_eq!(report["graphs"].as_array().map(Vec::len), Some(4));
    let mdata = folder.mdata("graphs.h5mu");
    assert!(mdata.obsp.contains_key("spatial_connectivities"));
    assert!(mdata.modalities["adt"].obsp.contains_key("connectivities"));

    let report = json(&["leiden", "graphs.h5mu", "--out", "leiden.h5mu"]);
    is_number(&report, CLUSTERING);
    assert_eq!(report["layers"].as_array().map(Vec::len), Some(3));

    let report = json(&["spatialleiden", "leiden.h5mu", "--out", "domains.h5mu", "--n-clusters", "5"]);
    is_number(&report, CLUSTERING);
    assert_eq!(report["n_obs"], 144);
    assert_eq!((&report["n_clusters"], &report["n_clusters_reached"]), (&5.into(), &true.into()));
    assert_eq!(report["layers"].as_array().map(Vec::len), Some(4));
    // What the steps before wrote is still there.
    assert_eq!(folder.labels("domains.h5mu", "leiden"), folder.labels("leiden.h5mu", "leiden"));
    let labels: BTreeSet<String> = folder.labels("domains.h5mu", "spatialleiden").into_values().collect();
    assert_eq!(labels.len(), 5);

    for method in ["kmeans", "leiden", "gmm"] {
        let out = format!("{method}-of-pca.h5mu");
        let args = ["cluster", "domains.h5mu", "--out", &out, "--method", method, "-k", "4"];
        let report = json(&[&args[..], &["--key-added", "of_pca"]].concat());
        is_number(&report, CLUSTERING);
        assert_eq!(report["n_obs"], 144);
        assert_eq!(folder.labels(&out, "of_pca").len(), 144);
    }

    let report = json(&["evaluate", "domains.h5mu", "--pred", "spatialleiden"]);
    is_number(&report, &["n_obs", "n_clusters", "metrics.ari", "metrics.silhouette", "metrics.morans_i"]);
    assert_eq!(report["truth"], "ground_truth");

    for out in ["map.png", "map.svg"] {
        let report =
            json(&["plot", "domains.h5mu", "--color", "spatialleiden", "ground_truth", "--out", out]);
        assert_eq!(report["out"], out);
        assert!(fs::metadata(folder.path(out)).expect("a picture").len() > 1000);
    }
    assert!(fs::read(folder.path("map.png")).expect("read").starts_with(b"\x89PNG"));
    assert!(fs::read_to_string(folder.path("map.svg")).expect("text").contains("<svg"));
    let pdf =
        ["plot", "domains.h5mu", "--color", "spatialleiden", "--outline", "domains", "--out", "map.pdf"];
    json(&pdf);
    assert!(fs::read(folder.path("map.pdf")).expect("read").starts_with(b"%PDF-1.4"));
    // The embedding is a plot of its own, by its short name, with axes.
    let basis = ["plot", "features.h5mu", "--basis", "pca", "--components", "1,3", "--color", "ground_truth"];
    json(&[&basis[..], &["--out", "pca.svg"]].concat());
    let svg = fs::read_to_string(folder.path("pca.svg")).expect("text");
    assert!(svg.contains(">PC 1<") && svg.contains(">PC 3<") && svg.contains(">Ground truth<"));
    folder.refuses(
        &[&basis[..3], &["umap", "--color", "ground_truth", "--out", "x.png"]].concat(),
        &["umap", "X_pca"],
    );
    // A feature is a colour too.
    let gene = folder.mdata("tissue.h5mu").modalities["rna"].var.index[0].clone();
    let limits = ["--vmin", "p0", "--vmax", "p50", "--cmap", "magma", "--title", "A title"];
    json(&[&["plot", "features.h5mu", "--color", &gene, "--out", "gene.svg"], &limits[..]].concat());
    let svg = fs::read_to_string(folder.path("gene.svg")).expect("text");
    for words in ["log-normalised", "up to the 50th percentile", "A title"] {
        assert!(svg.contains(words), "{words}");
    }

    let report = json(&["convert", "domains.h5mu", "--out", "copy.h5mu"]);
    assert_eq!(report["n_obs"], 144);
    assert_eq!(folder.labels("copy.h5mu", "spatialleiden"), folder.labels("domains.h5mu", "spatialleiden"));
}

#[test]
fn a_mixture_of_a_known_or_chosen_number_of_components_refined_in_space() {
    let folder = Folder::with_tissue("tissue.h5ad", 14);
    folder.run(&["preprocess", "tissue.h5ad", "--out", "features.h5ad", "--n-pcs", "8"]).succeeded();
    let cluster = |more: &[&str]| {
        let base = ["cluster", "features.h5ad", "--out", "out.h5ad", "--method", "gmm", "--json"];
        folder.run(&[&base[..], more].concat()).succeeded().json()
    };
    let plain = cluster(&["-k", "5"]);
    is_number(&plain, CLUSTERING);
    is_number(&plain, &["mixture.bic"]);
    assert_eq!((&plain["method"], &plain["mixture"]["model"]), (&"gmm".into(), &"EEE".into()));
    assert_eq!((&plain["n_clusters"], &plain["n_clusters_reached"]), (&5.into(), &true.into()));
    assert_eq!(plain["mixture"]["start_logliks"].as_array().map(Vec::len), Some(5));
    assert!(folder.adata("out.h5ad").uns.contains_key("gmm"));
    let labels = folder.labels("out.h5ad", "gmm");

    let refined = cluster(&["-k", "5", "--refine", "8"]);
    // Domains are named by their size, so one that lost many spots has another name, and a comparison of names would
    // count more than what was refined.
    let n_refined = refined["n_refined"].as_u64().expect("a number");
    assert!((1..labels.len() as u64).contains(&n_refined), "{n_refined}");
    assert_ne!(folder.labels("out.h5ad", "gmm"), labels);

    let other = cluster(&["-k", "4", "--gmm-model", "VVI", "--n-init", "2"]);
    assert_eq!(other["mixture"]["model"], "VVI");
    assert_eq!(other["mixture"]["start_logliks"].as_array().map(Vec::len), Some(2));

    let chosen = cluster(&["-k", "auto", "--max-clusters", "6", "--select-by", "bic", "--gmm-model", "EEI"]);
    let tried = chosen["mixture"]["tried"].as_array().expect("a table");
    assert_eq!(tried.len(), 5);
    let best =
        tried.iter().max_by(|a, b| a["bic"].as_f64().partial_cmp(&b["bic"].as_f64()).expect("numbers"));
    assert_eq!(best.expect("not empty")["n_clusters"], chosen["n_clusters"]);
}

#[test]
fn one_modality_from_counts_to_domains_in_one_call() {
    let folder = Folder::with_tissue("tissue.h5ad", 12);
    let report = folder.run(&["spatialleiden", "tissue.h5ad", "--out", "domains.h5ad", "--json"]).succeeded();
    is_number(&report.json(), CLUSTERING);
    let adata = folder.adata("domains.h5ad");
    for key in ["connectivities", "distances", "spatial_connectivities", "spatial_distances"] {
        assert!(adata.obsp.contains_key(key), "{key}");
    }
    assert!(adata.obsm.contains_key("X_pca") && adata.uns.contains_key("spatialleiden"));
    // The input's own elements are as they were.
    let before = folder.adata("tissue.h5ad");
    assert_eq!(adata.x, before.x);
    assert_eq!(adata.obsm["spatial"], before.obsm["spatial"]);
}

#[test]
fn without_a_truth_there_are_no_metrics() {
    let folder = Folder::with_changed(8, |a| {
        a.obs.columns.clear();
    });
    let report =
        folder.run(&["spatialleiden", "tissue.h5ad", "--out", "a.h5ad", "--json"]).succeeded().json();
    assert!(report["metrics"].is_null());
}

#[test]
fn the_thread_count_changes_nothing() {
    let folder = Folder::with_tissue("tissue.h5mu", 16);
    for (command, key) in [("spatialleiden", "spatialleiden"), ("leiden", "leiden")] {
        for threads in ["1", "2", "5"] {
            let out = format!("{threads}.h5mu");
            let args = [command, "tissue.h5mu", "--out", &out, "-k", "5", "--threads", threads, "--quiet"];
            folder.run(&args).succeeded();
            assert_eq!(
                bytes(&folder, &out, key),
                bytes(&folder, "1.h5mu", key),
                "{command}, {threads} threads"
            );
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_and_another_seed_another_tissue() {
    let folder = Folder::new();
    for (name, seed) in [("a.h5mu", "7"), ("b.h5mu", "7"), ("c.h5mu", "8")] {
        folder.simulate(name, 9, &["--seed", seed]);
    }
    let counts = |name: &str| folder.mdata(name).modalities["rna"].x.clone();
    assert_eq!(
        fs::read(folder.path("a.h5mu")).expect("read"),
        fs::read(folder.path("b.h5mu")).expect("read")
    );
    assert_ne!(counts("a.h5mu"), counts("c.h5mu"));
    for out in ["one.h5mu", "two.h5mu"] {
        folder.run(&["spatialleiden", "a.h5mu", "--out", out, "--seed", "3"]).succeeded();
    }
    assert_eq!(bytes(&folder, "one.h5mu", "spatialleiden"), bytes(&folder, "two.h5mu", "spatialleiden"));
}

#[test]
fn graphs_in_the_file_are_used_unless_an_option_asks_for_others() {
    let folder = Folder::with_tissue("tissue.h5ad", 10);
    let neighbors =
        ["neighbors", "tissue.h5ad", "--out", "graphs.h5ad", "--n-neighbors", "9", "--n-spatial", "4"];
    folder.run(&neighbors).succeeded();
    let run = |more: &[&str]| {
        folder
            .run(&[&["spatialleiden", "graphs.h5ad", "--out", "out.h5ad"], more].concat())
            .succeeded()
            .stderr
    };
    let (latent, spatial) = ("latent graph taken from obsp", "spatial graph taken from obsp");
    let log = run(&[]);
    assert!(log.contains(latent) && log.contains(spatial), "{log}");
    assert_eq!(folder.adata("out.h5ad").obsp, folder.adata("graphs.h5ad").obsp);
    let log = run(&["--n-neighbors", "12"]);
    assert!(!log.contains(latent) && log.contains(spatial), "{log}");
    let log = run(&["--spatial", "grid", "--n-spatial", "4"]);
    assert!(log.contains(latent) && !log.contains(spatial), "{log}");
    let log = run(&["--n-pcs", "7"]);
    assert!(!log.contains(latent) && log.contains(spatial), "{log}");
}

#[test]
fn a_hexagonal_lattice_is_the_spatial_graph_and_elsewhere_the_ten_nearest_are() {
    // Every other row of a square lattice moved by half a pitch, and rows closer: a hexagonal one.
    let hexagonal =
        |i: usize| [(i % 12) as f64 + (i / 12 % 2) as f64 / 2.0, (i / 12) as f64 * 0.75_f64.sqrt()];
    let square = |i: usize| [(i % 12) as f64, (i / 12) as f64];
    // Kind, neighbours and weights as recorded, and the graph itself.
    let built = |place: &dyn Fn(usize) -> [f64; 2], more: &[&str]| {
        let folder = Folder::with_changed(12, |adata| {
            let places = Array2::from_shape_fn((144, 2), |(i, axis)| place(i)[axis]);
            adata.obsm.insert("spatial".to_owned(), places.into());
        });
        folder.run(&[&["neighbors", "tissue.h5ad", "--out", "out.h5ad"], more].concat()).succeeded();
        let adata = folder.adata("out.h5ad");
        let Some(Value::Dict(record)) = adata.uns.get("spatial_neighbors") else { panic!("no record") };
        let Some(Value::Dict(params)) = record.get("params") else { panic!("no parameters") };
        let said = ["kind", "n_neighbors", "weights"].map(|key| format!("{:?}", params.get(key)));
        (said, adata.obsp["spatial_connectivities"].clone())
    };
    let by_default = built(&hexagonal, &[]);
    assert!(by_default.0[0].contains("grid") && by_default.0[1].contains('6'), "{:?}", by_default.0);
    assert_eq!(by_default, built(&hexagonal, &["--spatial", "grid", "--n-spatial", "6"]));
    assert_eq!(by_default, built(&hexagonal, &["--n-spatial", "6"]));
    assert_eq!(built(&hexagonal, &["--n-spatial", "10"]), built(&hexagonal, &["--spatial", "knn"]));
    let elsewhere = built(&square, &[]);
    assert!(elsewhere.0[0].contains("knn") && elsewhere.0[1].contains("10"), "{:?}", elsewhere.0);
    assert_eq!(elsewhere, built(&square, &["--spatial", "knn", "--n-spatial", "10"]));
    assert!(built(&hexagonal, &["--radius", "1.1"]).0[0].contains("radius"));
}

#[test]
fn results_can_go_into_the_input() {
    for name in ["tissue.h5ad", "tissue.h5mu"] {
        let folder = Folder::with_tissue(name, 9);
        let out = name.replace("tissue", "out");
        folder.run(&["spatialleiden", name, "--out", &out]).succeeded();
        for command in ["preprocess", "neighbors", "leiden", "spatialleiden"] {
            folder.run(&[command, name, "--in-place"]).succeeded();
        }
        // Once more: elements are replaced.
        folder.run(&["spatialleiden", name, "--in-place"]).succeeded();
        assert_eq!(folder.labels(name, "spatialleiden"), folder.labels(&out, "spatialleiden"));
        let names: Vec<_> = folder.files().into_keys().collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }
}

#[test]
fn a_result_under_another_name() {
    let folder = Folder::with_tissue("tissue.h5ad", 8);
    folder.run(&["leiden", "tissue.h5ad", "--out", "a.h5ad", "--key-added", "mine"]).succeeded();
    let adata = folder.adata("a.h5ad");
    assert!(adata.obs.columns.contains_key("mine") && adata.uns.contains_key("mine"));
    assert!(!adata.obs.columns.contains_key("leiden"));
}

#[test]
fn quiet_is_quiet_and_the_log_is_a_file() {
    let folder = Folder::with_tissue("tissue.h5ad", 8);
    let run = |more: &[&str]| {
        folder.run(&[&["spatialleiden", "tissue.h5ad", "--out", "a.h5ad"], more].concat()).succeeded()
    };
    assert!(!run(&[]).stderr.is_empty());
    let quiet = run(&["--quiet", "--log", "run.log"]);
    assert_eq!(quiet.stderr, "");
    assert!(quiet.stdout.contains("domains"));
    let log = || fs::read_to_string(folder.path("run.log")).expect("a log");
    let first = log();
    assert!(first.contains("reading") && first.contains("principal components") && first.contains("writing"));
    run(&["--quiet", "--log", "run.log"]);
    assert!(log().starts_with(&first) && log().len() > first.len(), "a log is added to");
}

#[test]
fn slices_of_one_tissue() {
    let folder = Folder::new();
    folder.simulate("cohort.h5mu", 9, &["--slices", "3", "--batch-effect", "0.5"]);
    let key = ["--library-key", "library_id"];
    let run =
        [&["spatialleiden", "cohort.h5mu", "--out", "domains.h5mu", "--json", "-k", "5"], &key[..]].concat();
    let report = folder.run(&run).succeeded().json();
    assert_eq!(report["n_obs"], 243);
    // No spatial edge crosses slices.
    let mdata = folder.mdata("domains.h5mu");
    let slices = mdata.obs.columns["library_id"].to_categorical().codes;
    let graph = mdata.obsp_csr("spatial_connectivities").expect("the graph").into_owned();
    for i in 0..graph.n_rows() {
        assert!(graph.view().row(i).0.iter().all(|&j| slices[i] == slices[j as usize]));
    }
    let plot = ["plot", "domains.h5mu", "--color", "spatialleiden", "--out", "slices.png"];
    folder.run(&[&plot[..], &key].concat()).succeeded();
    let evaluate =
        ["evaluate", "domains.h5mu", "--pred", "spatialleiden", "--batch-key", "library_id", "--json"];
    is_number(&folder.run(&evaluate).succeeded().json(), &["metrics.ari", "metrics.ilisi_median"]);
}

#[test]
fn ways_to_weigh_and_to_read_layers() {
    let folder = Folder::with_tissue("tissue.h5mu", 9);
    let run = |more: &[&str]| {
        let args = ["spatialleiden", "tissue.h5mu", "--out", "a.h5mu", "--json", "--quiet"];
        folder.run(&[&args[..], more].concat()).succeeded().json()["layers"].clone()
    };
    let layers = run(&["--layer-weight", "rna=1.5,spatial=2.5", "--resolution", "0.8,spatial=0.5"]);
    let of =
        |key: &str| layers.as_array().expect("layers").iter().map(|l| l[key].as_f64()).collect::<Vec<_>>();
    assert_eq!(of("weight"), [Some(1.5), Some(1.0), Some(1.0), Some(2.5)]);
    assert_eq!(of("resolution"), [Some(0.8), Some(0.8), Some(0.8), Some(0.5)]);
    let layers = run(&["--layer-ratio", "1.8", "--directed", "spatial=true", "--n-iterations", "2"]);
    assert_eq!((&layers[3]["weight"], &layers[3]["directed"]), (&1.8.into(), &true.into()));
    for quality in ["rb", "modularity", "cpm", "rber"] {
        run(&["--quality", quality, "--resolution", "0.1", "--unweighted", "--directed"]);
    }
    for spatial in [&["knn"][..], &["radius", "--radius", "200"], &["delaunay"], &["grid"]] {
        run(&[&["--spatial"], spatial].concat());
    }
}

#[test]
fn a_table_becomes_a_tissue() {
    let folder = Folder::new();
    let row = |i: usize| {
        let (x, y) = (i % 6, i / 6);
        let (a, c) = if x < 3 { (9 + y, 0) } else { (1, 8) };
        format!("s{i},{x},{y},{a},{},{c}\n", 1 + x)
    };
    let table: Vec<String> = (0..36).map(row).collect();
    let table = "spot,x,y,a,b,c\n".to_owned() + &table.concat();
    fs::write(folder.path("counts.csv"), table).expect("written");
    let report = folder.run(&["convert", "counts.csv", "--out", "a.h5ad", "--json"]).succeeded().json();
    assert_eq!((&report["n_obs"], &report["modalities"][0][1]), (&36.into(), &3.into()));
    folder.run(&["spatialleiden", "a.h5ad", "--out", "b.h5ad", "--modality", "rna"]).succeeded();
    // Straight from the table, too.
    folder.run(&["spatialleiden", "counts.csv", "--out", "c.h5ad", "--modality", "rna"]).succeeded();
    assert_eq!(folder.labels("b.h5ad", "spatialleiden"), folder.labels("c.h5ad", "spatialleiden"));
}

#[test]
fn the_demo_writes_all_it_names() {
    let folder = Folder::new();
    let report =
        folder.run(&["demo", "--out", "demo", "--side", "12", "--json", "--quiet"]).succeeded().json();
    is_number(&report, CLUSTERING);
    assert_eq!(report["runs"].as_array().map(Vec::len), Some(3));
    let found: Vec<String> = fs::read_dir(folder.path("demo"))
        .expect("the folder")
        .map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    let expected = [
        "tissue.h5mu",
        "domains.h5mu",
        "domains.png",
        "domains.svg",
        "histology.png",
        "entropy.png",
        "attention.png",
        "loss.png",
        "slices.h5ad",
        "slices-domains.h5ad",
        "slices.png",
        "slices-umap.png",
    ];
    assert_eq!(found.iter().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(expected));
    let mdata = folder.mdata("demo/domains.h5mu");
    for key in
        ["leiden_rna", "leiden_adt", "leiden_atac", "spatialleiden", "domains", "spami", "ground_truth"]
    {
        assert!(mdata.obs.columns.contains_key(key), "{key}");
    }
    let slices = folder.adata("demo/slices-domains.h5ad");
    assert!(slices.obs.columns.contains_key("staig") && slices.obsm.contains_key("X_staig_umap"));
    assert_eq!(report["staig"]["n_slices"], 2);
}

#[test]
fn shells_can_complete() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let outcome = folder.run(&["completions", shell]).succeeded();
        assert!(outcome.stdout.contains("spatialleiden"), "{shell}");
        assert_eq!(outcome.stderr, "");
    }
}

#[test]
fn help_and_version() {
    let folder = Folder::new();
    assert!(folder.run(&["--version"]).succeeded().stdout.contains(env!("CARGO_PKG_VERSION")));
    let help = folder.run(&["--help"]).succeeded().stdout;
    for command in
        ["demo", "simulate", "convert", "info", "preprocess", "neighbors", "leiden", "cluster", "plot"]
    {
        assert!(help.contains(command), "{command}");
        assert!(folder.run(&[command, "--help"]).succeeded().stdout.contains("--threads"));
    }
    assert_eq!(folder.run(&[]).code, Some(2));
}

#[test]
fn a_reader_that_stops_reading_is_no_error() {
    let folder = Folder::with_tissue("tissue.h5ad", 8);
    let mut command = folder.command(&["info", "tissue.h5ad"]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().expect("starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("ends").code(), Some(0));
}
