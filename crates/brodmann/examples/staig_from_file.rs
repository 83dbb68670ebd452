//! STAIG from a file of counts; several files, one per slice, work the same way.
//!
//! `cargo run --release -p brodmann --example staig_from_file`

use brodmann::pipeline::simulated::write_simulation;
use brodmann::pipeline::staig::{Staig, StaigRequest};
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

    // Options by name, as the command line and Python give them: what is not said has the preset's value, and the
    // default of 400 epochs is for real work. `StaigRequest { options: …, ..Default::default() }` does the same.
    let said = Said::new(json!({ "epochs": 40, "n_clusters": 5 }));
    let method = Staig::new(StaigRequest::from_said(&said)?)?;
    let output = Destination::File(folder.path().join("domains.h5ad"));
    let record = run_files(&method, &input.into(), &output, Seed(42), &Silent)?;
    println!("{}", record.lines().join("\n"));
    Ok(())
}
