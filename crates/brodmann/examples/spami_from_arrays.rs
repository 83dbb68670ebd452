//! SpaMI on arrays: two modalities and one spatial graph give one embedding, and attention per spot.
//!
//! `cargo run --release -p brodmann --example spami_from_arrays`

use brodmann::cluster::{KMeansOptions, kmeans};
use brodmann::graph::spatial_nearest;
use brodmann::metrics::adjusted_rand_index;
use brodmann::models::spami::{SpamiError, SpamiGraph, SpamiOptions, train};
use brodmann::preprocess::{Modality, PreprocessOptions, preprocess};
use brodmann::simulate::{SimModality, SimulationOptions, simulate};
use brodmann_kernels::{Seed, Silent};

/// Runs the example; also called by a test.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seed = Seed(42);
    let modalities = vec![SimModality::Rna, SimModality::Adt];
    let tissue = simulate(
        &SimulationOptions { side: 16, n_genes: 300, n_proteins: 40, modalities, ..Default::default() },
        &Silent,
    )?;
    let mut features = Vec::new();
    for (modality, kind) in tissue.modalities.iter().zip([Modality::Rna, Modality::Adt]) {
        let options = PreprocessOptions { n_pcs: 15, ..PreprocessOptions::for_modality(kind) };
        let mut x = preprocess(modality.counts.view(), None, &options, seed, &Silent)?.embedding;
        // One scale for all, or the larger features take the attention.
        let root_mean_square = (x.iter().map(|v| v * v).sum::<f64>() / x.len() as f64).sqrt();
        x /= root_mean_square;
        features.push(x.mapv(|v| v as f32));
    }

    let nearest = spatial_nearest(tissue.coordinates.view(), 3)?;
    let rows: Vec<Vec<u32>> = nearest.indices.rows().into_iter().map(|row| row.to_vec()).collect();
    let graph = SpamiGraph::new(&rows)?;
    // The default of 1000 epochs takes minutes on a large tissue; this is a taste.
    let options = SpamiOptions { epochs: 60, hidden: 64, latent: 16, ..Default::default() };
    let views: Vec<_> = features.iter().map(|x| x.view()).collect();
    let fit = train::<SpamiError>(&views, &graph, None, &options, seed, None, &mut |_| Ok(()), &Silent)?;

    let output = fit.model.apply(&views, &graph, &Silent)?;
    let embedding = output.embedding.mapv(f64::from);
    let options = KMeansOptions { n_clusters: 5, ..Default::default() };
    let domains = kmeans(embedding.view(), &options, seed, &Silent)?.labels;
    println!("ARI {:.2}", adjusted_rand_index(&tissue.ground_truth, &domains)?);
    Ok(())
}
