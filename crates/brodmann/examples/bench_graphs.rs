//! Times of the graph builders, one JSON object per line.
//!
//! ```text
//! cargo run --release -p brodmann --example bench_graphs -- spatial 1000000
//! cargo run --release -p brodmann --example bench_graphs -- latent clustered 100000 [exact|approximate|both]
//! cargo run --release -p brodmann --example bench_graphs -- mutual clustered 1000000
//! cargo run --release -p brodmann --example bench_graphs -- file points.npy spatial|latent [exact|approximate|both]
//! ```
//! Latent data: 30 dimensions, k = 15. Mutual: the pairs of two tables of that many rows, the second drawn anew from the
//! same clusters and moved, k = 20, as a reference and a tissue of SpaMI are compared. `RAYON_NUM_THREADS` sets the threads.

use std::error::Error;
use std::time::Instant;

use brodmann::graph::{
    Neighbors, SpatialGraph, SpatialGraphOptions, SpatialKind, approximate_knn, exact_knn,
    fuzzy_connectivities, mutual_nearest, spatial_neighbors,
};
use brodmann_kernels::{Seed, Silent};
use ndarray::{Array2, Axis};

const K: usize = 15;
const D: usize = 30;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["spatial", n] => spatial(&scattered(n.parse()?)),
        ["latent", kind, n] => latent(kind, &embedding(kind, n.parse()?)?, "both"),
        ["latent", kind, n, how] => latent(kind, &embedding(kind, n.parse()?)?, how),
        ["mutual", kind, n] => mutual(kind, n.parse()?),
        ["file", path, "spatial"] => spatial(&ndarray_npy::read_npy(path)?),
        ["file", path, "latent"] => latent(path, &ndarray_npy::read_npy(path)?, "both"),
        ["file", path, "latent", how] => latent(path, &ndarray_npy::read_npy(path)?, how),
        _ => {
            Err("expected spatial N, latent clustered|uniform N [HOW], mutual clustered|uniform N or file PATH.npy spatial|latent [HOW]"
                .into())
        }
    }
}

fn uniform(i: usize) -> f64 {
    (Seed(7).word(i as u64) >> 11) as f64 / (1u64 << 53) as f64
}

fn normal(i: usize) -> f64 {
    let radius = (-2.0 * uniform(2 * i).max(1e-300).ln()).sqrt();
    radius * (std::f64::consts::TAU * uniform(2 * i + 1)).cos()
}

fn scattered(n: usize) -> Array2<f64> {
    Array2::from_shape_fn((n, 2), |(i, axis)| 1000.0 * uniform(2 * i + axis))
}

/// `clustered`: 20 Gaussian clusters with spectra falling as those of principal components do. `uniform`:
/// one isotropic Gaussian, the worst case of every index.
fn embedding(kind: &str, n: usize) -> Result<Array2<f64>, Box<dyn Error>> {
    let centre = |c: usize, a: usize| 3.0 * normal(1_000_000_007 + c * D + a);
    match kind {
        "clustered" => Ok(Array2::from_shape_fn((n, D), |(i, a)| {
            let spread = 3.0 / (1.0 + a as f64).sqrt();
            spread * (centre(i % 20, a) + normal(i * D + a))
        })),
        "uniform" => Ok(Array2::from_shape_fn((n, D), |(i, a)| normal(i * D + a))),
        other => Err(format!("{other} is no kind of data; use clustered or uniform").into()),
    }
}

fn spatial(points: &Array2<f64>) -> Result<(), Box<dyn Error>> {
    let n = points.nrows();
    let start = Instant::now();
    let options = SpatialGraphOptions { kind: SpatialKind::Knn, ..Default::default() };
    let graph = spatial_neighbors(points.view(), None, &options)?;
    report("Knn, symmetrised", n, start, &graph);
    let spacing = {
        let rows = points.rows().into_iter();
        let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
        for row in rows {
            for axis in 0..2 {
                low[axis] = low[axis].min(row[axis]);
                high[axis] = high[axis].max(row[axis]);
            }
        }
        ((high[0] - low[0]) * (high[1] - low[1]) / n as f64).sqrt()
    };
    for kind in [SpatialKind::Knn, SpatialKind::Radius, SpatialKind::Delaunay, SpatialKind::Grid] {
        let options = SpatialGraphOptions {
            kind,
            // About six neighbours: π r² = 6 spacings².
            radius: Some(spacing * (6.0 / std::f64::consts::PI).sqrt()),
            symmetrise: false,
            ..Default::default()
        };
        let start = Instant::now();
        let graph: SpatialGraph = spatial_neighbors(points.view(), None, &options)?;
        report(&format!("{kind:?}"), n, start, &graph);
    }
    Ok(())
}

fn mutual(kind: &str, n: usize) -> Result<(), Box<dyn Error>> {
    let both = embedding(kind, 2 * n)?;
    let (a, b) = both.view().split_at(Axis(0), n);
    let b = &b + 0.3;
    let start = Instant::now();
    let pairs = mutual_nearest(a, b.view(), 20, 0.95, Seed(1), &Silent)?;
    println!(
        "{{\"graph\":\"mutual\",\"data\":\"{kind}\",\"n\":{n},\"threads\":{},\"seconds\":{:.3},\"edges\":{}}}",
        rayon::current_num_threads(),
        start.elapsed().as_secs_f64(),
        pairs.nnz()
    );
    Ok(())
}

fn report(name: &str, n: usize, start: Instant, graph: &SpatialGraph) {
    println!(
        "{{\"graph\":\"{name}\",\"n\":{n},\"threads\":{},\"seconds\":{:.3},\"edges\":{}}}",
        rayon::current_num_threads(),
        start.elapsed().as_secs_f64(),
        graph.distances.nnz()
    );
}

fn latent(kind: &str, points: &Array2<f64>, how: &str) -> Result<(), Box<dyn Error>> {
    let timed = |name: &str,
                 found: &dyn Fn() -> Result<Neighbors, Box<dyn Error>>|
     -> Result<(), Box<dyn Error>> {
        let start = Instant::now();
        let neighbors = found()?;
        let seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let weights = fuzzy_connectivities(&neighbors);
        println!(
            "{{\"graph\":\"{name}\",\"data\":\"{kind}\",\"n\":{},\"threads\":{},\"seconds\":{seconds:.3},\"recall\":{},\"fuzzy_seconds\":{:.3},\"edges\":{}}}",
            points.nrows(),
            rayon::current_num_threads(),
            neighbors.recall.map_or("null".to_owned(), |r| format!("{r:.4}")),
            start.elapsed().as_secs_f64(),
            weights.nnz()
        );
        Ok(())
    };
    if how != "approximate" {
        timed("exact", &|| Ok(exact_knn(points.view(), K - 1, &Silent)?))?;
    }
    if how != "exact" {
        timed("approximate", &|| Ok(approximate_knn(points.view(), K - 1, 0.95, Seed(1), &Silent)?))?;
    }
    Ok(())
}
