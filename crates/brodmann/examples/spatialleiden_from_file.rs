//! SpatialLeiden from a file of counts: features, graphs and domains are written beside the input.
//!
//! `cargo run --release -p brodmann --example spatialleiden_from_file`

use brodmann::pipeline::leiden::{LeidenRequest, PartitionOptions};
use brodmann::pipeline::simulated::write_simulation;
use brodmann::pipeline::{Destination, run_files};
use brodmann::simulate::{SimModality, SimulationOptions, simulate};
use brodmann_kernels::{Seed, Silent};

/// Runs the example; also called by a test.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Any .h5ad or .h5mu with counts and coordinates serves; here a small tissue is simulated.
    let folder = tempfile::tempdir()?;
    let input = folder.path().join("tissue.h5ad");
    let modalities = vec![SimModality::Rna];
    let tissue =
        simulate(&SimulationOptions { side: 16, n_genes: 300, modalities, ..Default::default() }, &Silent)?;
    write_simulation(tissue, &input)?;

    let request = LeidenRequest {
        // `false` is Leiden, without the spatial layer.
        spatial: true,
        partition: PartitionOptions { n_clusters: Some(5), ..PartitionOptions::default() },
        ..LeidenRequest::default()
    };
    let output = Destination::File(folder.path().join("domains.h5ad"));
    let record = run_files(&request, &input.into(), &output, Seed(42), &Silent)?;
    println!("{}", record.lines().join("\n"));
    Ok(())
}
