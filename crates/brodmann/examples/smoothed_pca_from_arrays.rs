//! Smoothed PCA on arrays: the mean with the spatial neighbours, components, a Gaussian mixture, a vote of neighbours.
//!
//! `cargo run --release -p brodmann --example smoothed_pca_from_arrays`

use brodmann::cluster::{GmmOptions, gmm, refine_labels};
use brodmann::graph::spatial_knn;
use brodmann::metrics::adjusted_rand_index;
use brodmann::models::{SmoothedPcaOptions, smoothed_pca};
use brodmann::preprocess::{NormalizeTotalOptions, log1p, normalize_total};
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
    let mut features = tissue.modalities[0].counts.clone();
    normalize_total(&mut features, &NormalizeTotalOptions::default())?;
    log1p(&mut features);

    let graph = spatial_knn(tissue.coordinates.view(), None, 8, true)?.connectivities;
    let options = SmoothedPcaOptions { n_components: 10, ..Default::default() };
    let embedding = smoothed_pca(features.view(), graph.view(), None, &options, seed, &Silent)?;

    let options = GmmOptions { n_components: 5, ..Default::default() };
    let mixture = gmm(embedding.view(), &options, seed, &Silent)?;
    let refined = refine_labels(&mixture.labels, tissue.coordinates.view(), None, 6)?;

    let ari = |labels: &[u32]| adjusted_rand_index(&tissue.ground_truth, labels);
    println!("ARI {:.2}, refined {:.2}", ari(&mixture.labels)?, ari(&refined)?);
    Ok(())
}
