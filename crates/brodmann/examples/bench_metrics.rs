//! Times the scores, Moran's I and k-means on made data: `cargo run --release -p brodmann --example bench_metrics`.
//!
//! `RAYON_NUM_THREADS=1` for one thread. An argument sets the number of observations (default 20000). The data are
//! ten overlapping groups in 30 dimensions; only their size matters for the time, except for k-means. `--dump DIR`
//! writes them as `.npy`, `--json` prints one object of steps: for `benches/metrics/compare.py`, scikit-learn beside.

use std::cell::RefCell;
use std::path::Path;
use std::time::Instant;

use brodmann::cluster::{KMeansOptions, kmeans};
use brodmann::metrics::{
    LisiOptions, SilhouetteOptions, adjusted_mutual_information, adjusted_rand_index, calinski_harabasz,
    davies_bouldin, lisi_of_embedding, silhouette,
};
use brodmann::stats::{AutocorrelationOptions, Variables, gearys_c, morans_i};
use brodmann_kernels::{CsrMatrix, Seed, Silent};
use ndarray::{Array1, Array2};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let json = words.iter().any(|w| w == "--json");
    let steps: RefCell<Vec<String>> = RefCell::default();
    let time = |name: &str, f: &mut dyn FnMut() -> f64| {
        let (seconds, value) = fastest(f);
        if json {
            let step = format!("\"{name}\":{{\"seconds\":{seconds:.6},\"value\":{value:.9}}}");
            steps.borrow_mut().push(step);
        } else {
            println!("{name:<28} {seconds:>9.4} s   value {value:.6}");
        }
    };
    let n: usize = words.first().and_then(|a| a.parse().ok()).unwrap_or(20_000);
    let d = 30;
    let word = |salt: u64, i: u64| Seed(salt).word(i) as f64 / u64::MAX as f64;
    let labels: Vec<u32> = (0..n as u64).map(|i| (Seed(1).word(i) % 10) as u32).collect();
    let noisy: Vec<u32> =
        labels.iter().zip(0..).map(|(&l, i)| if word(2, i) < 0.3 { (i % 12) as u32 } else { l }).collect();
    let x = Array2::from_shape_fn((n, d), |(i, j)| {
        // A sum of uniforms is close enough to normal.
        let noise: f64 = (0..6).map(|s| word(10 + s, (i * d + j) as u64) - 0.5).sum();
        2.0 * word(3, u64::from(labels[i]) * 1000 + j as u64) + noise
    });
    if !json {
        println!("{n} x {d}, {} threads", rayon::current_num_threads());
    }
    if let Some(folder) = words.iter().position(|w| w == "--dump").and_then(|at| words.get(at + 1)) {
        let folder = Path::new(folder);
        std::fs::create_dir_all(folder)?;
        ndarray_npy::write_npy(folder.join("x.npy"), &x)?;
        ndarray_npy::write_npy(folder.join("labels.npy"), &Array1::from(labels))?;
        ndarray_npy::write_npy(folder.join("noisy.npy"), &Array1::from(noisy))?;
        return Ok(());
    }

    time("ARI", &mut || adjusted_rand_index(&labels, &noisy).expect("valid"));
    time("AMI", &mut || adjusted_mutual_information(&labels, &noisy).expect("valid"));
    time("silhouette", &mut || {
        silhouette(x.view(), &labels, &SilhouetteOptions::default(), Seed(0), &Silent).expect("valid").mean
    });
    time("Davies-Bouldin", &mut || davies_bouldin(x.view(), &labels).expect("valid"));
    time("Calinski-Harabasz", &mut || calinski_harabasz(x.view(), &labels).expect("valid"));
    time("LISI, neighbours included", &mut || {
        lisi_of_embedding(x.view(), &noisy, &LisiOptions::default(), &Silent).expect("valid").median
    });
    time("k-means, k = 10, 10 starts", &mut || {
        let options = KMeansOptions { n_clusters: 10, ..KMeansOptions::default() };
        kmeans(x.view(), &options, Seed(0), &Silent).expect("valid").inertia
    });

    // A square grid of spots with 500 sparse genes.
    let side = (n as f64).sqrt() as usize;
    let spots = side * side;
    let rows: Vec<Vec<(u32, f64)>> = (0..spots)
        .map(|i| {
            let (r, c) = (i / side, i % side);
            let mut row = Vec::with_capacity(4);
            if r > 0 {
                row.push(((i - side) as u32, 1.0));
            }
            if c > 0 {
                row.push(((i - 1) as u32, 1.0));
            }
            if c + 1 < side {
                row.push(((i + 1) as u32, 1.0));
            }
            if r + 1 < side {
                row.push(((i + side) as u32, 1.0));
            }
            row
        })
        .collect();
    let graph = CsrMatrix::from_rows(spots, &rows);
    let genes: Vec<Vec<(u32, f32)>> = (0..spots as u64)
        .map(|i| {
            (0..500_u64)
                .filter(|g| word(4, i * 500 + g) < 0.1)
                .map(|g| (g as u32, word(5, i * 500 + g) as f32))
                .collect()
        })
        .collect();
    let genes = CsrMatrix::from_rows(500, &genes);
    let options = AutocorrelationOptions::default();
    let values = Variables::Sparse(genes.view());
    time("Moran's I, 500 genes", &mut || {
        morans_i(values, graph.view(), &options, Seed(0), &Silent).expect("valid").statistic[0]
    });
    time("Geary's C, 500 genes", &mut || {
        gearys_c(values, graph.view(), &options, Seed(0), &Silent).expect("valid").statistic[0]
    });
    if json {
        println!(
            "{{\"steps\":{{{}}},\"threads\":{}}}",
            steps.borrow().join(","),
            rayon::current_num_threads()
        );
    }
    Ok(())
}

/// The fastest of three, with the value so that nothing is optimised away.
fn fastest(f: &mut dyn FnMut() -> f64) -> (f64, f64) {
    let (mut best, mut value) = (f64::INFINITY, 0.0);
    for _ in 0..3 {
        let start = Instant::now();
        value = f();
        best = best.min(start.elapsed().as_secs_f64());
    }
    (best, value)
}
