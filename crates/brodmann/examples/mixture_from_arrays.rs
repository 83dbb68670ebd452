//! A Gaussian mixture of an embedding, with the number of clusters chosen by stability.
//!
//! `cargo run --release -p brodmann --example mixture_from_arrays`

use brodmann::cluster::{Clusterer, CovarianceModel, GmmOptions, SelectOptions, gmm, select_n_clusters};
use brodmann_kernels::{Seed, Silent};
use ndarray::Array2;

/// Runs the example; also called by a test.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seed = Seed(42);
    // Three groups in the plane, stretched alike.
    let noise = |at: usize| (seed.word(at as u64) >> 11) as f64 / (1u64 << 53) as f64 - 0.5;
    let x = Array2::from_shape_fn((240, 2), |(i, axis)| {
        let centre = if axis == 0 { 6.0 * (i % 3) as f64 } else { 4.0 * (i % 3 % 2) as f64 };
        let shared = noise(3 * i) + noise(3 * i + 1);
        centre + shared + if axis == 0 { noise(3 * i + 2) } else { 0.0 }
    });

    let options = GmmOptions { model: CovarianceModel::Eee, ..Default::default() };
    let select = SelectOptions { max_clusters: 5, clusterer: Clusterer::Gmm(options), ..Default::default() };
    let chosen = select_n_clusters(x.view(), &select, seed, &Silent)?;
    for tried in &chosen.table {
        println!("{} clusters: stability {:.2}, BIC {:?}", tried.n_clusters, tried.stability, tried.bic);
    }

    let options = GmmOptions { n_components: chosen.n_clusters, ..options };
    let mixture = gmm(x.view(), &options, seed, &Silent)?;
    println!("{} components of weights {:.2?}", mixture.n_clusters(), mixture.weights);
    Ok(())
}
