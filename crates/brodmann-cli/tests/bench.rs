//! `brodmann bench` and the streamed simulation it stands on: what they print and write, never how long they take.

mod common;

use common::Folder;
use serde_json::Value as Json;

const ROW: [&str; 7] = ["bench", "case", "n", "ours", "peer", "ratio", "memory_ratio"];

#[test]
fn end_to_end_by_default_with_stages_memory_and_quality() {
    let folder = Folder::new();
    let report =
        folder.run(&["bench", "--sizes", "1000", "--repeats", "1", "--genes", "200", "--json", "--quiet"]);
    let report = report.succeeded().json();
    assert_eq!((&report["schema"], &report["name"]), (&1.into(), &"end-to-end".into()));
    for key in ["title", "reading", "date", "command", "machine", "versions", "threads", "notes"] {
        assert!(!report[key].is_null(), "{key} is missing from {report}");
    }
    let rows = report["rows"].as_array().expect("rows");
    let cases: Vec<&str> = rows.iter().filter_map(|r| r["case"].as_str()).collect();
    assert_eq!(cases, ["all", "· read", "· preprocess", "· graph", "· cluster", "· write"]);
    for row in rows {
        for key in ROW {
            assert!(row.get(key).is_some(), "{key} is missing from {row}");
        }
        // Sizes are rounded to squares.
        assert_eq!(row["n"], 1024);
        assert!(row["ours"]["seconds"]["median"].as_f64().is_some_and(|s| s >= 0.0), "{row}");
        assert_eq!(row["ours"]["seconds"]["n"], 1);
    }
    let whole = &rows[0]["ours"];
    assert!(whole["quality"]["ARI"]["median"].as_f64().is_some_and(|ari| ari > 0.1), "{whole}");
    if cfg!(unix) {
        assert!(whole["peak_mib"]["median"].as_f64().is_some_and(|mib| mib > 1.0), "{whole}");
    }
    assert!(folder.files().is_empty());
}

#[test]
fn every_part_is_measured_and_written() {
    let folder = Folder::new();
    let words = ["bench", "all", "--sizes", "225", "--repeats", "2", "--genes", "120", "--out", "results"];
    let table = folder.run(&[words.as_slice(), &["--quiet"]].concat()).succeeded().stdout;
    let list = folder.run(&["bench", "--list", "--json"]).succeeded().json();
    let names: Vec<&str> = list
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|n| n["name"].as_str())
        .filter(|n| *n != "all")
        .collect();
    assert_eq!(names.len(), 10);
    for name in names {
        assert!(table.contains(name), "{name} is missing from\n{table}");
        let text = std::fs::read(folder.path(&format!("results/{name}.json"))).expect("written");
        let report: Json = serde_json::from_slice(&text).expect("JSON");
        let rows = report["rows"].as_array().expect("rows");
        assert!(!rows.is_empty(), "{name}");
        assert!(rows.iter().all(|r| r["ours"]["seconds"]["n"] == 2), "{report}");
    }
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let folder = Folder::new();
    folder.refuses(&["bench", "--sizes", "10"], &["--sizes is 10", "100"]);
    folder.refuses(&["bench", "--repeats", "0"], &["--repeats is 0"]);
    folder.refuses(&["bench", "--genes", "0"], &["--genes is 0"]);
}

#[test]
fn a_simulation_has_the_density_asked_for() {
    let folder = Folder::new();
    let words =
        ["simulate", "--out", "t.h5ad", "--side", "40", "--genes", "300", "--density", "0.05", "--json"];
    let report = folder.run(&[words.as_slice(), &["--quiet"]].concat()).succeeded().json();
    let density = report["density"].as_f64().expect("a density");
    assert!((0.04..0.06).contains(&density), "{density}");
    assert_eq!(report["nnz"].as_f64(), Some((density * 1600.0 * 300.0).round()));
    folder.refuses(&["simulate", "--out", "u.h5ad", "--density", "0"], &["--density is 0"]);
    folder.refuses(
        &["simulate", "--out", "u.h5ad", "--density", "0.999"],
        &["--density is 0.999", "cannot reach"],
    );
    folder.refuses(&["simulate", "--out", "u.h5ad", "--spot-pitch", "0"], &["--spot-pitch is 0"]);
}
