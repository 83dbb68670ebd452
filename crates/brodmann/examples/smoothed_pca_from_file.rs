//! Smoothed PCA from a file of counts, then a mixture of the embedding that it wrote.
//!
//! `cargo run --release -p brodmann --example smoothed_pca_from_file`

use brodmann::pipeline::from_embedding::ClusterRequest;
use brodmann::pipeline::simulated::write_simulation;
use brodmann::pipeline::smoothed_pca::SmoothedPcaRequest;
use brodmann::pipeline::{Destination, Said, run_files};
use brodmann::simulate::{SimModality, SimulationOptions, simulate};
use brodmann_kernels::{Seed, Silent};
use serde_json::json;

/// Runs the example; also called by a test.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Any .h5ad or .h5mu with counts and coordinates serves; here a small tissue is simulated.
    let folder = tempfile::tempdir()?;
    let input = folder.path().join("tissue.h5ad");
    let modalities = vec![SimModality::Rna];
    let tissue =
        simulate(&SimulationOptions { side: 16, n_genes: 300, modalities, ..Default::default() }, &Silent)?;
    write_simulation(tissue, &input)?;

    let base = SmoothedPcaRequest::default();
    let request = SmoothedPcaRequest { domains: base.domains.clone().with_n_clusters(5), ..base };
    let output = folder.path().join("domains.h5ad");
    let destination = Destination::File(output.clone());
    let record = run_files(&request, &input.into(), &destination, Seed(42), &Silent)?;
    println!("{}", record.lines().join("\n"));

    // Any embedding in a file can be clustered again, here into the same file.
    let said = Said::new(json!({
        "use_rep": record.use_rep, "cluster": "gmm", "gmm_model": "VVI", "n_clusters": 4, "key_added": "again",
    }));
    let again = run_files(
        &ClusterRequest::from_said(&said)?,
        &output.into(),
        &Destination::InPlace,
        Seed(42),
        &Silent,
    )?;
    println!("{}", again.lines().join("\n"));
    Ok(())
}
