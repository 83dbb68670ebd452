//! Times each preprocessing step on synthetic counts, or on those of a file.
//!
//! `cargo run --release -p brodmann --example bench_preprocess -- [n_obs] [n_vars] [density] [--dump DIR]`
//! (defaults 100000 2000 0.05), or `-- FILE.h5ad`. `RAYON_NUM_THREADS` sets the threads. `--dump` writes the matrix
//! as `.npy`; `--json` prints one object of steps, for `benches/preprocess/compare.py`, which times scanpy beside it.

use std::cell::RefCell;
use std::path::Path;
use std::time::Instant;

use brodmann::preprocess::{
    FilterGenesOptions, HvgOptions, LsiOptions, Modality, NormalizeTotalOptions, PcaOptions,
    PreprocessOptions, ScaleOptions, detect_content, filter_genes, highly_variable_genes, log1p,
    normalize_total, pca, preprocess, scale, tfidf_lsi,
};
use brodmann_data::{Matrix, ReadOptions, read_h5ad};
use brodmann_kernels::{CsrMatrix, Seed, Silent};
use ndarray::Array1;
use rayon::prelude::*;

/// Counts with 12 domains, gene means over two decades and Poisson-like noise.
fn counts(n: usize, f: usize, density: f64) -> CsrMatrix<f32> {
    let seed = Seed(7);
    let unit = |word: u64| (word >> 11) as f64 / (1u64 << 53) as f64;
    // Means fall as 1/rank^0.7, scaled so that P(x > 0) averages about `density`.
    let weight: Vec<f64> = (0..f).map(|j| ((seed.word(j as u64) % f as u64 + 1) as f64).powf(-0.7)).collect();
    let scale = density * f as f64 / weight.iter().sum::<f64>() * 1.25;
    let rows: Vec<Vec<(u32, f32)>> = (0..n)
        .into_par_iter()
        .map(|i| {
            let domain = i * 12 / n;
            let depth = 0.5 + unit(seed.derive("depth", i as u64).word(0));
            let row_seed = seed.derive("row", i as u64);
            (0..f)
                .filter_map(|j| {
                    let marker = if (j * 7 + domain * 31).is_multiple_of(24) { 6.0 } else { 1.0 };
                    let mean = weight[j] * scale * depth * marker;
                    let mut left = (-mean).exp();
                    let (mut u, mut x) = (unit(row_seed.word(j as u64)) - left, 0u32);
                    while u > 0.0 && x < 200 {
                        x += 1;
                        left *= mean / f64::from(x);
                        u -= left;
                    }
                    (x > 0).then_some((j as u32, x as f32))
                })
                .collect()
        })
        .collect();
    CsrMatrix::from_rows(f, &rows)
}

/// Steps and their seconds; with `say`, each is printed as it ends.
struct Clock {
    say: bool,
    steps: RefCell<Vec<(String, f64)>>,
}

impl Clock {
    fn timed<T>(&self, what: &str, f: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let out = f();
        let seconds = start.elapsed().as_secs_f64();
        if self.say {
            println!("{what:<34} {seconds:8.3} s   peak {:6} MB", peak_mb());
        }
        self.steps.borrow_mut().push((what.to_owned(), seconds));
        out
    }
}

/// Peak resident memory of this process, where the system tells (Linux).
fn peak_mb() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|s| {
            let line = s.lines().find(|l| l.starts_with("VmHWM"))?.to_owned();
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .map_or(0, |kb| kb / 1024)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: f64| args.get(at).and_then(|a| a.parse().ok()).unwrap_or(default);
    let (n, f, density) = (number(0, 1e5) as usize, number(1, 2000.0) as usize, number(2, 0.05));
    let json = args.iter().any(|a| a == "--json");
    let clock = Clock { say: !json, steps: RefCell::default() };
    let file = args.first().filter(|a| Path::new(a).extension().is_some_and(|e| e == "h5ad"));
    let x = match file {
        Some(path) => {
            let options = ReadOptions { x: true, x_as_f32: true, ..ReadOptions::names_only() };
            match read_h5ad(path, &options)?.x {
                Some(Matrix::CsrF32(x)) => x,
                _ => return Err(format!("{path} holds no sparse X").into()),
            }
        }
        None => counts(n, f, density),
    };
    let (n, f) = (x.n_rows(), x.n_cols());
    if !json {
        println!(
            "{n} spots x {f} genes, {} stored ({:.1} %), {} threads, peak {} MB",
            x.nnz(),
            100.0 * x.nnz() as f64 / (n * f) as f64,
            rayon::current_num_threads(),
            peak_mb()
        );
    }
    if let Some(dir) = args.iter().position(|a| a == "--dump").and_then(|at| args.get(at + 1)) {
        let dir = Path::new(dir);
        std::fs::create_dir_all(dir)?;
        let indptr: Array1<i64> = x.indptr().iter().map(|&v| v as i64).collect();
        let indices: Array1<i32> = x.indices().iter().map(|&v| v as i32).collect();
        ndarray_npy::write_npy(dir.join("indptr.npy"), &indptr)?;
        ndarray_npy::write_npy(dir.join("indices.npy"), &indices)?;
        ndarray_npy::write_npy(dir.join("data.npy"), &Array1::from(x.data().to_vec()))?;
        ndarray_npy::write_npy(dir.join("shape.npy"), &Array1::from(vec![n as i64, f as i64]))?;
    }
    let start = Instant::now();
    clock.timed("detect_content", || detect_content(x.view()));
    clock.timed("filter_genes", || filter_genes(x.view(), &FilterGenesOptions::default()))?;
    clock.timed("highly_variable_genes seurat_v3", || {
        highly_variable_genes(x.view(), None, &HvgOptions::default(), &Silent)
    })?;
    let mut log = x.clone();
    clock.timed("normalize_total", || normalize_total(&mut log, &NormalizeTotalOptions::default()))?;
    clock.timed("log1p", || log1p(&mut log));
    let scaling =
        clock.timed("scale (measured, not written)", || scale(log.view(), &ScaleOptions::default()))?;
    let options = PcaOptions { n_components: 30 };
    let found = clock.timed("pca 30", || pca(log.view(), Some(&scaling), &options, Seed(0), &Silent))?;
    if json {
        let steps: Vec<String> = clock
            .steps
            .borrow()
            .iter()
            .map(|(what, s)| format!("\"{what}\":{{\"seconds\":{s:.5}}}"))
            .collect();
        let variance: f64 = found.variance.iter().sum();
        println!(
            "{{\"steps\":{{{}}},\"seconds\":{:.5},\"variance\":{variance:.6},\"peak_mib\":{},\"threads\":{}}}",
            steps.join(","),
            start.elapsed().as_secs_f64(),
            peak_mb(),
            rayon::current_num_threads()
        );
        return Ok(());
    }
    println!("  {:?}, converged {}, variances {:.4?}", found.method, found.converged, &found.variance[..3]);
    println!("steps together {:.3} s", start.elapsed().as_secs_f64());
    drop((log, scaling, found));

    let whole =
        PreprocessOptions { n_top_genes: Some(f / 2), ..PreprocessOptions::for_modality(Modality::Rna) };
    let done = clock
        .timed("preprocess (half the genes)", || preprocess(x.view(), None, &whole, Seed(0), &Silent))?;
    for note in &done.notes {
        println!("  {note}");
    }
    drop(done);
    let lsi =
        clock.timed("tfidf_lsi 50", || tfidf_lsi(x.view(), &LsiOptions::default(), Seed(0), &Silent))?;
    println!("  converged {}", lsi.converged);
    Ok(())
}
