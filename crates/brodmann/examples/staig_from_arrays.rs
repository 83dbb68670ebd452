//! STAIG on arrays: sparse features and a spatial graph give an embedding, a mixture gives domains.
//!
//! `cargo run --release -p brodmann --example staig_from_arrays`

use brodmann::cluster::{GmmOptions, gmm};
use brodmann::graph::spatial_knn;
use brodmann::metrics::adjusted_rand_index;
use brodmann::models::staig::{
    EdgeDrop, StaigError, StaigOptions, StaigTissue, expression_drop_probabilities, train,
};
use brodmann::preprocess::{
    NormalizeTotalOptions, PcaOptions, ScaleOptions, log1p, normalize_total, pca, scale,
};
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
    // Without centring, so that the matrix stays sparse.
    let scaling = scale(features.view(), &ScaleOptions { zero_center: false, ..Default::default() })?;
    scaling.apply(&mut features)?;

    let graph = spatial_knn(tissue.coordinates.view(), None, 5, true)?.connectivities;
    // The less alike two neighbours are, the likelier a view lacks the edge between them.
    let components = pca(features.view(), None, &PcaOptions { n_components: 64 }, seed, &Silent)?.scores;
    let edge_drop = EdgeDrop::PerEdge(expression_drop_probabilities(graph.view(), components.view())?);

    let spots = StaigTissue {
        features: features.view(),
        graph: graph.view(),
        slices: None,
        classes: None,
        edge_drop: &edge_drop,
    };
    let options = StaigOptions { epochs: 60, learning_rate: 2e-3, ..Default::default() };
    let fit = train::<StaigError>(&spots, &options, seed, None, &mut |_| Ok(()), &Silent)?;

    let embedding = fit.embedding.mapv(f64::from);
    let options = GmmOptions { n_components: 5, ..Default::default() };
    let domains = gmm(embedding.view(), &options, seed, &Silent)?.labels;
    println!("ARI {:.2}", adjusted_rand_index(&tissue.ground_truth, &domains)?);
    Ok(())
}
