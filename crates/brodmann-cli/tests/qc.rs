//! `brodmann qc`: the columns it writes, what it counts, tables and pictures, and what it refuses.

mod common;

use std::fs;

use brodmann_data::{AnnData, Column, Matrix};
use brodmann_kernels::CsrMatrix;
use common::Folder;

/// Names two genes as mitochondrial, empties spot 40 and gives spot 60 little but mitochondrial counts.
fn damaged(adata: &mut AnnData) {
    for j in 0..2 {
        adata.var.index[j] = format!("MT-{j}");
    }
    let counts = adata.matrix(None).expect("counts").to_csr_f32().into_owned();
    let rows: Vec<Vec<(u32, f32)>> = (0..counts.n_rows())
        .map(|i| match i {
            40 => Vec::new(),
            60 => vec![(0, 900.0), (1, 50.0), (5, 3.0)],
            _ => {
                let (columns, values) = counts.view().row(i);
                columns.iter().copied().zip(values.iter().copied()).collect()
            }
        })
        .collect();
    adata.x = Some(Matrix::CsrF32(CsrMatrix::from_rows(counts.n_cols(), &rows)));
}

fn numbers(adata: &AnnData, key: &str) -> Vec<f64> {
    adata.obs.columns.get(key).and_then(Column::to_f64).unwrap_or_else(|| panic!("obs[{key:?}]"))
}

#[test]
fn columns_record_table_and_picture_of_a_damaged_tissue() {
    let folder = Folder::with_changed(14, damaged);
    let args = [
        "qc",
        "tissue.h5ad",
        "--out",
        "qc.h5ad",
        "--table",
        "qc.csv",
        "--plot",
        "qc.png",
        "--genes",
        "--json",
    ];
    let thresholds = ["--min-counts", "10", "--min-genes", "5", "--max-mt", "50", "--quiet"];
    let report = folder.run(&[&args[..], &thresholds].concat()).succeeded().json();
    assert_eq!((&report["n_obs"], &report["n_slices"]), (&196.into(), &1.into()));
    let rna = &report["modalities"][0];
    assert_eq!((&rna["n_mt_genes"], &rna["mt_genes_by"]), (&2.into(), &"var_names".into()));
    assert_eq!((&rna["n_empty"], &rna["n_below_min_counts"]), (&1.into(), &1.into()));
    assert_eq!((&rna["n_below_min_genes"], &rna["n_above_max_mt"]), (&2.into(), &1.into()));
    assert_eq!(rna["n_beyond_thresholds"], 2);
    assert!(rna["total_counts"]["median"].as_f64().is_some_and(|m| m > 10.0));

    let adata = folder.adata("qc.h5ad");
    let counts = adata.matrix(None).expect("counts").to_csr_f32().into_owned();
    let (total, n_genes) = (numbers(&adata, "total_counts"), numbers(&adata, "n_genes_by_counts"));
    for i in 0..196 {
        let values = counts.view().row(i).1;
        assert_eq!(total[i], values.iter().map(|v| f64::from(*v)).sum::<f64>());
        assert_eq!(n_genes[i], values.len() as f64);
    }
    let pct = numbers(&adata, "pct_counts_mt");
    assert!(pct[40].is_nan() && (pct[60] - 100.0 * 950.0 / 953.0).abs() < 1e-12);
    assert!(numbers(&adata, "local_z_total_counts")[40] < -3.0);
    assert!(numbers(&adata, "local_z_n_genes_by_counts")[60] < -3.0);
    assert!(numbers(&adata, "local_z_pct_counts_mt")[60] > 3.0);
    let Some(Column::Bool(outlier)) = adata.obs.columns.get("local_outlier") else { panic!("truth values") };
    assert!(outlier[40] && outlier[60]);
    let n_outliers = outlier.iter().filter(|o| **o).count();
    assert_eq!(rna["local_outliers"]["n"], n_outliers);
    assert!(n_outliers < 20, "{n_outliers}");
    assert!(adata.var.columns.contains_key("n_cells_by_counts"));
    let params = adata.uns["qc"].get("params").expect("params");
    assert_eq!(params.get("min_counts").and_then(brodmann_data::Value::as_f64), Some(10.0));

    let table = fs::read_to_string(folder.path("qc.csv")).expect("a table");
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 197);
    assert!(
        lines[0].starts_with("spot,") && lines[0].ends_with(",local_outlier,beyond_thresholds"),
        "{}",
        lines[0]
    );
    let empty: Vec<&str> = lines[41].split(',').collect();
    assert_eq!((empty[0], *empty.last().expect("fields")), (adata.obs.index[40].as_str(), "True"));
    assert!(empty.contains(&""), "no percentage of no counts: {empty:?}");
    assert!(fs::read(folder.path("qc.png")).expect("a picture").starts_with(b"\x89PNG"));
}

#[test]
fn one_thread_and_many_write_the_same_columns_and_a_picture_alone_will_do() {
    let folder = Folder::with_changed(12, damaged);
    let run = |threads: &str, table: &str| {
        folder.run(&["qc", "tissue.h5ad", "--table", table, "--threads", threads, "--quiet"]).succeeded();
        fs::read(folder.path(table)).expect("a table")
    };
    assert_eq!(run("1", "one.csv"), run("4", "four.csv"));
    let outcome =
        folder.run(&["qc", "tissue.h5ad", "--plot", "qc.svg", "--min-counts", "10", "--quiet"]).succeeded();
    assert!(outcome.stdout.contains("below --min-counts"), "{}", outcome.stdout);
    let svg = fs::read_to_string(folder.path("qc.svg")).expect("a picture");
    for text in ["Counts", "Mitochondrial counts, %", "What stands out", "--min-counts 10", "local outlier"] {
        assert!(svg.contains(text), "{text}");
    }
    folder.run(&["qc", "tissue.h5ad", "--in-place", "--quiet"]).succeeded();
    assert!(folder.adata("tissue.h5ad").obs.columns.contains_key("local_outlier"));
}

#[test]
fn spots_off_the_tissue_and_slices_are_kept_apart() {
    let folder = Folder::with_changed(12, |adata| {
        damaged(adata);
        let there = (0..144).map(|i| i64::from(i % 12 > 1)).collect();
        adata.obs.columns.insert("in_tissue".to_owned(), Column::Int(there));
        let half = (0..144).map(|i| Some(if i < 72 { "upper" } else { "lower" }.to_owned())).collect();
        adata.obs.columns.insert("slice".to_owned(), Column::String(half));
        adata.var.columns.insert(
            "gene_name".to_owned(),
            Column::String(
                (0..adata.var.index.len())
                    .map(|j| Some(if j < 2 { format!("mt-{j}") } else { format!("g{j}") }))
                    .collect(),
            ),
        );
        for (j, name) in adata.var.index.iter_mut().enumerate() {
            *name = format!("ENSG{j:011}");
        }
    });
    let args = [
        "qc",
        "tissue.h5ad",
        "--out",
        "qc.h5ad",
        "--plot",
        "qc.png",
        "--library-key",
        "slice",
        "--json",
        "--quiet",
    ];
    let report = folder.run(&args).succeeded().json();
    assert_eq!((&report["n_off_tissue"], &report["n_slices"]), (&24.into(), &2.into()));
    assert_eq!(report["modalities"][0]["mt_genes_by"], "var[\"gene_name\"]");
    let z = numbers(&folder.adata("qc.h5ad"), "local_z_total_counts");
    assert!((0..144).all(|i| z[i].is_nan() == (i % 12 < 2)), "{z:?}");
}

#[test]
fn each_modality_has_its_own_columns() {
    let folder = Folder::new();
    folder.simulate("tissue.h5mu", 12, &["--modalities", "rna,adt"]);
    let args = [
        "qc",
        "tissue.h5mu",
        "--out",
        "qc.h5mu",
        "--table",
        "qc.csv",
        "--plot",
        "qc.svg",
        "--json",
        "--quiet",
    ];
    let report = folder.run(&[&args[..], &["--min-counts", "5"]].concat()).succeeded().json();
    assert_eq!(report["modalities"].as_array().map(Vec::len), Some(2));
    assert!(report["modalities"][0]["n_below_min_counts"].is_number());
    assert!(report["modalities"][1]["n_below_min_counts"].is_null(), "thresholds are those of genes");
    let mdata = folder.mdata("qc.h5mu");
    for modality in ["rna", "adt"] {
        assert!(mdata.modalities[modality].obs.columns.contains_key("local_outlier"), "{modality}");
    }
    assert!(mdata.uns.contains_key("qc"));
    let header = fs::read_to_string(folder.path("qc.csv")).expect("a table");
    assert!(header.starts_with("spot,rna:total_counts,"), "{header:.80}");
    let one =
        folder.run(&["qc", "tissue.h5mu", "--table", "adt.csv", "--modality", "adt", "--json", "--quiet"]);
    assert_eq!(one.succeeded().json()["modalities"][0]["name"], "adt");
}

#[test]
fn what_is_wrong_is_said_before_anything_is_written() {
    let folder = Folder::with_changed(8, damaged);
    folder.refuses(&["qc", "tissue.h5ad"], &["--out", "--in-place", "--table", "--plot"]);
    folder.refuses(&["qc", "tissue.h5ad", "--plot", "qc.jpg"], &["qc.jpg", ".png, .svg or .pdf"]);
    folder.refuses(&["qc", "tissue.h5ad", "--table", "tissue.h5ad"], &["tissue.h5ad"]);
    folder.refuses(&["qc", "tissue.h5ad", "--table", "t.csv", "--max-mt", "120"], &["--max-mt", "120"]);
    folder.refuses(&["qc", "tissue.h5ad", "--table", "t.csv", "--min-counts", "-1"], &["--min-counts", "-1"]);
    folder.refuses(&["qc", "tissue.h5ad", "--table", "t.csv", "--n-neighbors", "2"], &["--n-neighbors", "2"]);
    folder.refuses(&["qc", "tissue.h5ad", "--table", "t.csv", "--threshold", "0"], &["--threshold", "0"]);
    folder.refuses(&["qc", "tissue.h5ad", "--table", "t.csv", "--layer", "raw"], &["layers", "raw"]);
    folder.refuses(&["qc", "tissue.h5ad", "--table", "t.csv", "--spatial-key", "xy"], &["obsm", "xy"]);
    folder.refuses(&["qc", "tissue.h5ad", "--table", "t.csv", "--library-key", "s"], &["obs", "\"s\""]);
    folder.change("tissue.h5ad", |adata| {
        let counts = adata.matrix(None).expect("counts").to_csr_f32().into_owned();
        adata.x = Some(Matrix::CsrF32(counts.view().map(|v| v - 3.0)));
    });
    folder.refuses(&["qc", "tissue.h5ad", "--table", "t.csv"], &["expected a count of 0 or more"]);
}

#[test]
fn without_coordinates_there_are_counts_but_no_local_outliers() {
    let folder = Folder::with_changed(8, |adata| {
        adata.obsm.clear();
    });
    let report =
        folder.run(&["qc", "tissue.h5ad", "--out", "qc.h5ad", "--json", "--quiet"]).succeeded().json();
    assert!(report["modalities"][0]["local_outliers"].is_null());
    let adata = folder.adata("qc.h5ad");
    assert!(
        adata.obs.columns.contains_key("total_counts") && !adata.obs.columns.contains_key("local_outlier")
    );
    folder.refuses(&["qc", "tissue.h5ad", "--plot", "qc.png"], &["obsm", "spatial"]);
}
