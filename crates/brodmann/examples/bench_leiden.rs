//! Times multiplex Leiden on planted graphs, and writes those graphs for the peers.
//!
//! `cargo run --release -p brodmann --example bench_leiden -- generate N DIR` writes the graph;
//! `… -- run DIR [--layers 1|2] [--iterations K|-1] [--seed S] [--threads T]` prints one JSON line.
//! `benches/leiden/compare.py` drives both.

use std::fs;
use std::path::Path;
use std::time::Instant;

use brodmann::cluster::{Layer, LeidenOptions, leiden_multiplex};
use brodmann_kernels::{CsrMatrix, Seed};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument =
        |i: usize| arguments.get(i).map(String::as_str).ok_or("see the usage at the top of the file");
    match argument(0)? {
        "generate" => generate(argument(1)?.parse()?, Path::new(argument(2)?)),
        "run" => run(Path::new(argument(1)?), &arguments[2..]),
        other => Err(format!("unknown command {other}").into()),
    }
}

/// A tissue of `n` spots on a hexagonal grid in random order, about 20 blob-like domains; each spot draws 15
/// latent neighbours, three in four from its own domain and near it in a latent line, the rest from anywhere.
fn generate(n: usize, directory: &Path) -> Result<(), Failure> {
    let seed = Seed(7).derive("bench", n as u64);
    let side = (n as f64).sqrt().ceil() as usize;
    let n_domains = 20;
    let centres: Vec<(f64, f64)> = (0..n_domains as u64)
        .map(|d| (unit(seed.word(2 * d)) * side as f64, unit(seed.word(2 * d + 1)) * side as f64))
        .collect();
    let domain = |v: usize| -> u32 {
        let (x, y) = ((v % side) as f64, (v / side) as f64);
        let distance = |c: &(f64, f64)| (c.0 - x).powi(2) + (c.1 - y).powi(2);
        let nearest = centres.iter().enumerate().min_by(|a, b| distance(a.1).total_cmp(&distance(b.1)));
        nearest.map_or(0, |(d, _)| d as u32)
    };
    let truth: Vec<u32> = (0..n).map(domain).collect();
    // Members of each domain in an order that has nothing to do with space: the latent neighbourhoods.
    let mut shuffled: Vec<usize> = (0..n).collect();
    let words = seed.derive("latent order", 0);
    for i in (1..n).rev() {
        shuffled.swap(i, (words.word(i as u64) % (i as u64 + 1)) as usize);
    }
    let mut members = vec![Vec::new(); n_domains];
    let mut rank = vec![0usize; n];
    for &v in &shuffled {
        let list = &mut members[truth[v] as usize];
        rank[v] = list.len();
        list.push(v);
    }
    let mut latent = Vec::with_capacity(2 * 15 * n);
    let words = seed.derive("latent edges", 0);
    for v in 0..n {
        for k in 0..15u64 {
            let word = words.word(v as u64 * 15 + k);
            let own = &members[truth[v] as usize];
            let other = if word.is_multiple_of(4) {
                (word >> 16) as usize % n
            } else {
                // Within ±100 ranks: the local clustering of a kNN graph.
                own[(rank[v] + own.len() + (word >> 16) as usize % 200 - 100.min(own.len())) % own.len()]
            };
            if other != v {
                let weight = 0.05 + 0.95 * (1.0 - unit(words.word(1 << 40 | (v as u64 * 15 + k)))).powi(2);
                latent.push((v as u32, other as u32, weight as f32));
            }
        }
    }
    let mut spatial = Vec::with_capacity(6 * n);
    for v in 0..n {
        let (x, y) = (v % side, v / side);
        let shift = y % 2;
        let mut link = |other_x: Option<usize>, other_y: usize| {
            if let Some(ox) = other_x.filter(|ox| *ox < side) {
                let other = other_y * side + ox;
                if other < n {
                    spatial.push((v as u32, other as u32, 1.0f32));
                }
            }
        };
        link(Some(x + 1), y);
        link((x + shift).checked_sub(1), y + 1);
        link(Some(x + shift), y + 1);
    }
    // Spots come in no particular order.
    let mut label: Vec<u32> = (0..n as u32).collect();
    let words = seed.derive("labels", 0);
    for i in (1..n).rev() {
        label.swap(i, (words.word(i as u64) % (i as u64 + 1)) as usize);
    }
    fs::create_dir_all(directory)?;
    write_symmetric(directory, "latent", n, &latent, &label)?;
    write_symmetric(directory, "spatial", n, &spatial, &label)?;
    let mut relabelled = vec![0u32; n];
    (0..n).for_each(|v| relabelled[label[v] as usize] = truth[v]);
    write_array(&directory.join("truth.u32"), &relabelled, u32::to_le_bytes)
}

/// A number in `[0, 1)`.
fn unit(word: u64) -> f64 {
    (word >> 11) as f64 / (1u64 << 53) as f64
}

/// Both directions of every edge (fuzzy union of weights, `a + b − ab`), as three raw little-endian arrays.
fn write_symmetric(
    directory: &Path,
    name: &str,
    n: usize,
    edges: &[(u32, u32, f32)],
    label: &[u32],
) -> Result<(), Failure> {
    let mut rows: Vec<Vec<(u32, f32)>> = vec![Vec::new(); n];
    for &(i, j, w) in edges {
        let (i, j) = (label[i as usize], label[j as usize]);
        rows[i as usize].push((j, w));
        rows[j as usize].push((i, w));
    }
    let (mut indptr, mut indices, mut data) = (vec![0u64], Vec::new(), Vec::new());
    for row in &mut rows {
        row.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let start = indices.len();
        for &(j, w) in &*row {
            match data.last_mut() {
                Some(last) if indices.len() > start && indices.last() == Some(&j) => *last += w - *last * w,
                _ => {
                    indices.push(j);
                    data.push(w);
                }
            }
        }
        indptr.push(indices.len() as u64);
        *row = Vec::new();
    }
    write_array(&directory.join(format!("{name}.indptr.u64")), &indptr, u64::to_le_bytes)?;
    write_array(&directory.join(format!("{name}.indices.u32")), &indices, u32::to_le_bytes)?;
    write_array(&directory.join(format!("{name}.data.f32")), &data, f32::to_le_bytes)
}

fn write_array<T: Copy, const B: usize>(
    path: &Path,
    values: &[T],
    bytes: fn(T) -> [u8; B],
) -> Result<(), Failure> {
    let raw: Vec<u8> = values.iter().flat_map(|v| bytes(*v)).collect();
    Ok(fs::write(path, raw)?)
}

fn read_array<T, const B: usize>(path: &Path, value: fn([u8; B]) -> T) -> Result<Vec<T>, Failure> {
    let raw = fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(raw.as_chunks::<B>().0.iter().map(|b| value(*b)).collect())
}

fn read_graph(directory: &Path, name: &str) -> Result<CsrMatrix<f32>, Failure> {
    let indptr: Vec<usize> =
        read_array(&directory.join(format!("{name}.indptr.u64")), |b| u64::from_le_bytes(b) as usize)?;
    let indices = read_array(&directory.join(format!("{name}.indices.u32")), u32::from_le_bytes)?;
    let data = read_array(&directory.join(format!("{name}.data.f32")), f32::from_le_bytes)?;
    let n = indptr.len() - 1;
    Ok(CsrMatrix::try_new(n, n, indptr, indices, data)?)
}

fn run(directory: &Path, options: &[String]) -> Result<(), Failure> {
    let option = |name: &str, default: i64| -> Result<i64, Failure> {
        match options.iter().position(|o| o == name) {
            Some(at) => Ok(options.get(at + 1).ok_or("a value is missing")?.parse()?),
            None => Ok(default),
        }
    };
    let (n_layers, iterations) = (option("--layers", 2)?, option("--iterations", -1)?);
    let (seed, threads) = (option("--seed", 0)? as u64, option("--threads", 1)? as usize);
    let latent = read_graph(directory, "latent")?;
    let spatial = if n_layers > 1 { Some(read_graph(directory, "spatial")?) } else { None };
    let mut layers = vec![Layer::new(&latent)];
    layers.extend(spatial.as_ref().map(Layer::new));
    let options = LeidenOptions { n_iterations: u32::try_from(iterations).ok(), ..LeidenOptions::default() };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let n_entries = layers.iter().map(|layer| layer.graph.nnz()).sum::<usize>();
    let held = memory("VmRSS");
    // From here on the peak counts anew; where the system cannot, the difference below says more than it should.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let (wall, cpu) = (Instant::now(), cpu_seconds());
    let found = pool.install(|| leiden_multiplex(&layers, &options, Seed(seed)))?;
    let (wall_seconds, after) = (wall.elapsed().as_secs_f64(), cpu_seconds());
    println!(
        "{{\"tool\": \"brodmann\", \"n\": {}, \"layers\": {n_layers}, \"iterations\": {iterations}, \"seed\": {seed}, \
         \"threads\": {threads}, \"wall\": {:.4}, \"cpu\": {:.4}, \"cpu_busiest_thread\": {:.4}, \"quality\": {:.6}, \"n_clusters\": {}, \
         \"passes\": {}, \"peak_mib\": {}, \"bytes_per_entry\": {:.2}}}",
        latent.n_rows(),
        wall_seconds,
        after.0 - cpu.0,
        after.1,
        found.quality,
        found.n_clusters,
        found.n_iterations,
        memory("VmHWM") / 1024,
        (memory("VmHWM").saturating_sub(held) * 1024) as f64 / n_entries as f64
    );
    Ok(())
}

/// CPU seconds of this process, all threads and the busiest, where `/proc` tells; else NaN.
fn cpu_seconds() -> (f64, f64) {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return (f64::NAN, f64::NAN) };
    let seconds: Vec<f64> = tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next().and_then(|t| t.parse::<f64>().ok()))
        .map(|nanoseconds| nanoseconds / 1e9)
        .collect();
    (seconds.iter().sum(), seconds.iter().copied().fold(0.0, f64::max))
}

/// A field of this process's status, in KiB; 0 where the system does not tell.
fn memory(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with(field));
    line.and_then(|l| l.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}
