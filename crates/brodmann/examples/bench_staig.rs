//! Times STAIG on a grid of spots.
//!
//! `cargo run --release -p brodmann --example bench_staig -- N [--epochs E] [--threads T] [--genes G] [--density 0.05]
//! [--layers 1] [--tau 10] [--negatives auto|exact|moments]` prints one JSON line: seconds per epoch on the clock and of
//! the processors, peak memory beside its forecast, and the bound reached by the polynomial.

use std::time::Instant;

use brodmann::models::staig::{
    EdgeDrop, Negatives, StaigError, StaigOptions, StaigTissue, memory_bytes, train,
};
use brodmann_kernels::{CsrMatrix, Seed, Silent};
use rayon::prelude::*;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str, otherwise: &str| {
        let place = arguments.iter().position(|a| a == name);
        place.and_then(|p| arguments.get(p + 1)).cloned().unwrap_or_else(|| otherwise.to_owned())
    };
    let n_obs: usize = arguments.first().ok_or("how many spots?")?.parse()?;
    let epochs: usize = option("--epochs", "5").parse()?;
    let threads: usize = option("--threads", "2").parse()?;
    let (genes, density): (usize, f64) =
        (option("--genes", "3000").parse()?, option("--density", "0.05").parse()?);
    let negatives = match option("--negatives", "auto").as_str() {
        "exact" => Negatives::Exact,
        "moments" => Negatives::Moments,
        _ => Negatives::Auto,
    };
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;

    let features = expression(n_obs, genes, density);
    let graph = grid(n_obs);
    let drop = EdgeDrop::default();
    let options = StaigOptions {
        epochs,
        negatives,
        layers: option("--layers", "1").parse()?,
        tau: option("--tau", "10").parse()?,
        ..StaigOptions::default()
    };
    let forecast = memory_bytes(n_obs, genes, graph.nnz(), &options) as usize
        + features.nnz() * 8
        + graph.nnz() * 12
        + n_obs * 16;
    let tissue = StaigTissue {
        features: features.view(),
        graph: graph.view(),
        slices: None,
        classes: None,
        edge_drop: &drop,
    };
    // The first epoch touches the memory for the first time: it is left out of the mean.
    let (mut wall, mut cpu) = (Vec::with_capacity(epochs), Vec::with_capacity(epochs));
    let (mut clock, mut processor) = (Instant::now(), cpu_seconds());
    let fit = train::<StaigError>(
        &tissue,
        &options,
        Seed(1),
        None,
        &mut |_| {
            wall.push(clock.elapsed().as_secs_f64());
            cpu.push(cpu_seconds() - processor);
            (clock, processor) = (Instant::now(), cpu_seconds());
            Ok(())
        },
        &Silent,
    )?;
    let mean = |v: &[f64]| v[1.min(v.len() - 1)..].iter().sum::<f64>() / (v.len() - 1).max(1) as f64;
    let last = fit.epochs[epochs - 1];
    println!(
        "{{\"tool\":\"brodmann\",\"n\":{n_obs},\"genes\":{genes},\"nnz\":{},\"negatives\":\"{:?}\",\"tau\":{},\
         \"threads\":{threads},\"epochs\":{epochs},\"wall\":{:.5},\"cpu\":{:.5},\"peak_mib\":{},\"forecast_mib\":{},\
         \"loss\":{:.6},\"bound\":{:.3e}}}",
        features.nnz(),
        fit.negatives,
        options.tau,
        mean(&wall),
        mean(&cpu),
        peak_mib(),
        forecast >> 20,
        last.loss,
        last.bound
    );
    Ok(())
}

fn uniform(seed: u64, counter: usize) -> f64 {
    (Seed(seed).word(counter as u64) >> 11) as f64 / (1u64 << 53) as f64
}

/// Ten domains in stripes, each with its own tenth of the genes raised.
fn expression(n_obs: usize, genes: usize, density: f64) -> CsrMatrix<f32> {
    let per_row = ((genes as f64 * density) as usize).max(1);
    let rows: Vec<Vec<(u32, f32)>> = (0..n_obs)
        .into_par_iter()
        .map(|i| {
            let domain = i * 10 / n_obs;
            let gap = genes / per_row;
            (0..per_row)
                .map(|k| {
                    let draw = i * per_row + k;
                    let gene = k * gap + (uniform(1, draw) * gap as f64) as usize;
                    let raised = if gene % 10 == domain { 2.0 } else { 0.5 };
                    (gene as u32, (raised + uniform(2, draw)) as f32)
                })
                .collect()
        })
        .collect();
    CsrMatrix::from_rows(genes, &rows)
}

/// A square lattice, each spot the neighbour of those beside it.
fn grid(n_obs: usize) -> CsrMatrix<f64> {
    let side = (n_obs as f64).sqrt().ceil() as usize;
    let rows: Vec<Vec<(u32, f64)>> = (0..n_obs)
        .map(|i| {
            let mut row = Vec::with_capacity(4);
            row.extend(i.checked_sub(side));
            row.extend((i % side > 0).then(|| i - 1));
            row.extend((i % side + 1 < side).then_some(i + 1));
            row.push(i + side);
            row.into_iter().filter(|&j| j < n_obs).map(|j| (j as u32, 1.0)).collect()
        })
        .collect();
    CsrMatrix::from_rows(n_obs, &rows)
}

/// Seconds of the processors used by this process; 0 where the system does not say.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |k: usize| fields.get(k).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn peak_mib() -> usize {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|kib| kib.parse::<usize>().ok()).unwrap_or(0) / 1024
}
