//! SpaMI from a file with two modalities: one embedding, attention, denoised expression and domains.
//!
//! `cargo run --release -p brodmann --example spami_from_file`

use brodmann::models::spami::SpamiOptions;
use brodmann::pipeline::clustering::DomainOptions;
use brodmann::pipeline::simulated::write_simulation;
use brodmann::pipeline::spami::{Spami, SpamiRequest};
use brodmann::pipeline::{Destination, run_files};
use brodmann::simulate::{SimModality, SimulationOptions, simulate};
use brodmann_kernels::{Seed, Silent};

/// Runs the example; also called by a test.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Any .h5ad or .h5mu with counts and coordinates serves; here a small tissue is simulated.
    let folder = tempfile::tempdir()?;
    let input = folder.path().join("tissue.h5mu");
    let modalities = vec![SimModality::Rna, SimModality::Adt];
    let tissue = simulate(
        &SimulationOptions { side: 16, n_genes: 300, n_proteins: 40, modalities, ..Default::default() },
        &Silent,
    )?;
    write_simulation(tissue, &input)?;

    let request = SpamiRequest {
        // The default of 1000 epochs is for real work.
        options: SpamiOptions { epochs: 40, hidden: 64, ..SpamiOptions::default() },
        domains: DomainOptions::default().with_n_clusters(5),
        ..SpamiRequest::default()
    };
    let output = Destination::File(folder.path().join("integrated.h5mu"));
    let record = run_files(&Spami::new(request)?, &input.into(), &output, Seed(42), &Silent)?;
    println!("{}", record.lines().join("\n"));
    Ok(())
}
