//! Leiden on arrays: counts → components → neighbours → clusters.
//!
//! `cargo run --release -p brodmann --example leiden_from_arrays`

use brodmann::cluster::{LeidenOptions, leiden};
use brodmann::graph::{NeighborsOptions, neighbors};
use brodmann::metrics::adjusted_rand_index;
use brodmann::preprocess::{PreprocessOptions, preprocess};
use brodmann::simulate::{SimModality, SimulationOptions, simulate};
use brodmann_kernels::{Seed, Silent};

/// Runs the example; also called by a test.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seed = Seed(42);
    let tissue = simulate(
        &SimulationOptions {
            side: 16,
            n_genes: 300,
            modalities: vec![SimModality::Rna],
            ..Default::default()
        },
        &Silent,
    )?;
    let counts = tissue.modalities[0].counts.view();

    let components = preprocess(counts, None, &PreprocessOptions::default(), seed, &Silent)?.embedding;
    let graph = neighbors(components.view(), &NeighborsOptions::default(), seed, &Silent)?;
    // Resolution 1; `search_resolution` finds the one that gives a wanted number of clusters.
    let found = leiden(&graph.connectivities, 1.0, &LeidenOptions::default(), seed)?;

    let ari = adjusted_rand_index(&tissue.ground_truth, &found.membership)?;
    println!("{} clusters, ARI {ari:.2}", found.n_clusters);
    Ok(())
}
