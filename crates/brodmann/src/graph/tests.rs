//! Tests of the graph module: hand-worked cases, oracles, brute force, edges.

mod latent;
mod prune;
mod spatial;
mod transform;

use brodmann_kernels::{CsrMatrix, CsrView};
use ndarray::Array2;
use ndarray_npy::ReadableElement;

/// One array of an oracle file.
fn oracle<T: ReadableElement>(file: &str, name: &str) -> Array2<T> {
    crate::oracles::open(file).by_name(name).expect("array in the oracle")
}

fn with_threads<T: Send>(threads: usize, run: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool").install(run)
}

fn lattice(side: usize) -> Array2<f64> {
    Array2::from_shape_fn((side * side, 2), |(i, axis)| if axis == 0 { i / side } else { i % side } as f64)
}

/// Rows of unit spacing, every other one shifted by a half.
fn hexagons(rows: usize, columns: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows * columns, 2), |(i, axis)| {
        let (row, column) = (i / columns, i % columns);
        if axis == 0 { column as f64 + 0.5 * (row % 2) as f64 } else { row as f64 * 0.75f64.sqrt() }
    })
}

fn edges(graph: CsrView<'_, f64>) -> Vec<(usize, u32, f64)> {
    (0..graph.n_rows())
        .flat_map(|i| {
            let (columns, values) = graph.row(i);
            columns.iter().zip(values).map(move |(&j, &v)| (i, j, v)).collect::<Vec<_>>()
        })
        .collect()
}

fn csr(n: usize, entries: &[(usize, u32, f64)]) -> CsrMatrix<f64> {
    let mut rows = vec![Vec::new(); n];
    for &(i, j, v) in entries {
        rows[i].push((j, v));
    }
    CsrMatrix::from_rows(n, &rows)
}

/// Pseudo-random values in [0, 1), the same everywhere.
fn noise(seed: u64, i: usize) -> f64 {
    (brodmann_kernels::Seed(seed).word(i as u64) >> 11) as f64 / (1u64 << 53) as f64
}
