//! Counts read block by block: what is forecast, and that the way they are stored does not matter.

mod common;

use brodmann_data::Matrix;
use common::Folder;

#[test]
fn memory_is_forecast_within_thirty_percent() {
    let folder = Folder::new();
    folder.simulate("tissue.h5ad", 200, &["--n-genes", "500"]);
    let args = ["spatialleiden", "tissue.h5ad", "--out", "domains.h5ad", "--json"];
    let run = folder.run(&args).succeeded();
    let report = run.json();
    assert_eq!(report["n_obs"], 40_000);
    let bytes = |key: &str| report[key].as_f64().expect("a number");
    let ratio = bytes("forecast_bytes") / bytes("peak_rss_bytes");
    assert!((0.7..=1.3).contains(&ratio), "{ratio} of {}", bytes("peak_rss_bytes"));
    assert!(bytes("forecast_seconds") > 0.0);
    assert!(run.stderr.contains("forecast: ") && run.stderr.contains("are free"), "{}", run.stderr);
}

#[test]
fn domains_are_the_same_from_sparse_and_dense_counts() {
    let folder = Folder::with_tissue("sparse.h5ad", 20);
    let adata = folder.adata("sparse.h5ad");
    let mut dense = adata.clone();
    dense.x = dense.x.map(|x| Matrix::DenseF32(x.to_dense_f32().into_owned()));
    folder.write("dense.h5ad", &dense);
    let run = |input: &str, output: &str| {
        folder.run(&["spatialleiden", input, "--out", output, "--n-top-genes", "50"]).succeeded();
        (folder.adata(output).obsm["X_pca"].clone(), folder.labels(output, "spatialleiden"))
    };
    assert_eq!(run("sparse.h5ad", "a.h5ad"), run("dense.h5ad", "b.h5ad"));
}
