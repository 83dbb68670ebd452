//! Times SpaMI on a grid of spots, and shows where an epoch goes.
//!
//! `cargo run --release -p brodmann --example bench_spami -- N [--epochs E] [--threads T] [--widths 50,50] [--profile]`
//! prints one JSON line: seconds per epoch on the clock and of the processors, peak memory beside its forecast, and
//! with `--profile` the share of each step of the schedule beside the machine's own peaks. `benches/spami/compare.py`
//! drives it beside PyTorch.

use std::time::Instant;

use brodmann::models::spami::{SpamiError, SpamiGraph, SpamiOptions, memory_bytes, profile, train};
use brodmann_kernels::matmul::matmul_into_serial;
use brodmann_kernels::{Seed, Silent};
use ndarray::Array2;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str, otherwise: &str| {
        let place = arguments.iter().position(|a| a == name);
        place.and_then(|p| arguments.get(p + 1)).cloned().unwrap_or_else(|| otherwise.to_owned())
    };
    let n_obs: usize = arguments.first().ok_or("how many spots?")?.parse()?;
    let epochs: usize = option("--epochs", "20").parse()?;
    let threads: usize = option("--threads", "2").parse()?;
    let widths: Result<Vec<usize>, _> = option("--widths", "50,50").split(',').map(str::parse).collect();
    let widths = widths?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;

    let modalities: Vec<Array2<f32>> =
        widths.iter().enumerate().map(|(m, &w)| features(n_obs, w, m as u64)).collect();
    let views: Vec<_> = modalities.iter().map(|x| x.view()).collect();
    let graph = grid(n_obs)?;
    let options = SpamiOptions { epochs, ..SpamiOptions::default() };
    if arguments.iter().any(|a| a == "--profile") {
        let steps = profile(&views, &graph, &options, Seed(1))?;
        let total: f64 = steps.iter().map(|s| s.seconds).sum();
        let rows: Vec<String> = steps
            .iter()
            .map(|s| {
                format!(
                    "{{\"op\":\"{}\",\"pass\":\"{}\",\"seconds\":{:.6},\"share\":{:.4}}}",
                    s.op,
                    s.pass,
                    s.seconds,
                    s.seconds / total
                )
            })
            .collect();
        println!(
            "{{\"n\":{n_obs},\"threads\":{threads},\"seconds_per_epoch\":{total:.6},\"gemm_gflops_per_thread\":{:.1},\
             \"copy_gb_per_s\":{:.1},\"steps\":[{}]}}",
            gemm_peak(),
            copy_peak(),
            rows.join(",")
        );
        return Ok(());
    }
    // The first epoch touches the memory for the first time: timed apart.
    let (mut wall, mut cpu) = (Vec::with_capacity(epochs), Vec::with_capacity(epochs));
    let (mut clock, mut processor) = (Instant::now(), cpu_seconds());
    let fit = train::<SpamiError>(
        &views,
        &graph,
        None,
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
    let losses = (fit.epochs[0].loss, fit.epochs[epochs - 1].loss);
    println!(
        "{{\"tool\":\"brodmann\",\"n\":{n_obs},\"threads\":{threads},\"epochs\":{epochs},\"wall\":{:.5},\"cpu\":{:.5},\
         \"least_wall\":{:.5},\"least_cpu\":{:.5},\"first_wall\":{:.5},\"peak_mib\":{},\"forecast_mib\":{},\"first_loss\":{:.6},\"last_loss\":{:.6}}}",
        median(&wall[1.min(epochs - 1)..]),
        median(&cpu[1.min(epochs - 1)..]),
        least(&wall),
        least(&cpu),
        wall[0],
        peak_kib() / 1024,
        memory_bytes(n_obs, &widths, &options) >> 20,
        losses.0,
        losses.1,
    );
    Ok(())
}

fn unit(word: u64) -> f32 {
    (word >> 40) as f32 / (1u64 << 24) as f32
}

/// Blobs on the grid plus noise, of about unit variance.
fn features(n_obs: usize, width: usize, modality: u64) -> Array2<f32> {
    let side = (n_obs as f64).sqrt().ceil() as usize;
    let seed = Seed(5).derive("bench", modality);
    Array2::from_shape_fn((n_obs, width), |(i, j)| {
        let (x, y) = ((i % side) as f32 / side as f32, (i / side) as f32 / side as f32);
        let wave = ((x * (1 + j % 3) as f32 + y * (1 + j % 4) as f32) * 6.0 + j as f32).sin();
        let noise: f32 = (0..3).map(|k| unit(seed.word(((i * width + j) * 3 + k) as u64)) - 0.5).sum();
        wave + noise
    })
}

/// Three of four neighbours on a square grid, as k = 3 finds them.
fn grid(n_obs: usize) -> Result<SpamiGraph, SpamiError> {
    let side = (n_obs as f64).sqrt().ceil() as usize;
    let rows: Vec<Vec<u32>> = (0..n_obs)
        .map(|i| {
            let (x, y) = (i % side, i / side);
            let mut near = Vec::with_capacity(4);
            if y > 0 {
                near.push(i - side);
            }
            if x > 0 {
                near.push(i - 1);
            }
            if x + 1 < side && i + 1 < n_obs {
                near.push(i + 1);
            }
            if i + side < n_obs {
                near.push(i + side);
            }
            near.truncate(3);
            near.into_iter().map(|j| j as u32).collect()
        })
        .collect();
    SpamiGraph::new(&rows)
}

/// Seconds of processor time so far, all threads, as the scheduler counts them (nanoseconds).
fn cpu_seconds() -> f64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return f64::NAN };
    let of = |task: std::fs::DirEntry| -> Option<f64> {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse().ok()
    };
    tasks.flatten().filter_map(of).sum::<f64>() / 1e9
}

fn peak_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// GFLOP/s of one thread on a product that fits into its cache.
fn gemm_peak() -> f64 {
    let (m, k, n) = (256, 256, 256);
    let (a, b) = (Array2::<f32>::ones((m, k)), Array2::<f32>::ones((k, n)));
    let mut c = Array2::<f32>::zeros((m, n));
    let best = (0..50)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..20 {
                matmul_into_serial(c.view_mut(), a.view(), b.view());
            }
            start.elapsed().as_secs_f64() / 20.0
        })
        .fold(f64::INFINITY, f64::min);
    2.0 * (m * k * n) as f64 / best / 1e9
}

/// GB/s read and written by a copy of 256 MiB on one thread.
fn copy_peak() -> f64 {
    let source = vec![1u8; 256 << 20];
    let mut target = vec![0u8; 256 << 20];
    let best = (0..5)
        .map(|_| {
            let start = Instant::now();
            target.copy_from_slice(std::hint::black_box(&source));
            std::hint::black_box(&target);
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min);
    2.0 * source.len() as f64 / best / 1e9
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}
