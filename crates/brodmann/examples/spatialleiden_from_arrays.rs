//! SpatialLeiden on arrays: a latent and a spatial graph as two layers, with a wanted number of domains.
//!
//! `cargo run --release -p brodmann --example spatialleiden_from_arrays`

use brodmann::cluster::{Layer, SearchOptions, search_resolution_latent_spatial};
use brodmann::graph::{
    NeighborsOptions, SpatialGraphOptions, distance2connectivity, neighbors, spatial_neighbors,
};
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
    let latent = neighbors(components.view(), &NeighborsOptions::default(), seed, &Silent)?;
    // Ten nearest spots by distance; the default recognises the lattice and takes the spots beside it.
    let options = SpatialGraphOptions {
        kind: brodmann::graph::SpatialKind::Knn,
        n_neighbors: Some(10),
        ..Default::default()
    };
    let spatial = spatial_neighbors(tissue.coordinates.view(), None, &options)?;
    let spatial = distance2connectivity(spatial.distances.view(), "spatial_distances")?;

    let layers = [Layer::new(&latent.connectivities), Layer { weight: 1.8, ..Layer::new(&spatial) }];
    let found =
        search_resolution_latent_spatial(&layers, 1, 5, &SearchOptions::default(), seed, &Silent)?.spatial;

    let ari = adjusted_rand_index(&tissue.ground_truth, &found.partition.membership)?;
    println!("{} domains (5 wanted), ARI {ari:.2}", found.n_clusters_found);
    Ok(())
}
