//! The hot loops by themselves, at the shapes they are used in: `cargo bench -p brodmann-kernels` (a minute), or one of them by name:
//! `cargo bench -p brodmann-kernels -- exp`. `bash benches/run kernels` writes the results into the common schema.
//!
//! `KERNELS_ONCE=NAME` runs one kernel a hundred times without criterion, for instruction counts:
//! `KERNELS_ONCE=exp/f32 perf stat -e instructions:u …`.

use std::hint::black_box;
use std::time::Duration;

use brodmann_kernels::arch::panel::{Lanes, gather, scatter};
use brodmann_kernels::exp::exp_in_place;
use brodmann_kernels::matmul::{matmul_into, matmul_into_serial, matmul_tn};
use brodmann_kernels::similarity::{Pairs, exp_gradient, exp_row_sums};
use brodmann_kernels::spmm::{csr_dense, csr_t_dense};
use brodmann_kernels::{CsrMatrix, Seed, Silent};
use criterion::Criterion;
use ndarray::{Array1, Array2};

fn unit(i: usize) -> f64 {
    (Seed(3).word(i as u64) >> 11) as f64 / (1u64 << 53) as f64 - 0.5
}

fn dense64(rows: usize, columns: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, columns), |(i, j)| unit(i * columns + j))
}

fn dense32(rows: usize, columns: usize) -> Array2<f32> {
    dense64(rows, columns).mapv(|v| v as f32)
}

/// A block of eight vectors.
fn lanes(rows: usize) -> Vec<Lanes> {
    (0..rows).map(|i| Lanes(std::array::from_fn(|l| unit(8 * i + l)))).collect()
}

/// One entry in twenty.
fn sparse(rows: usize, columns: usize) -> CsrMatrix<f32> {
    let rows: Vec<Vec<(u32, f32)>> = (0..rows)
        .map(|i| {
            let entry = |k: usize| {
                let draw = Seed(5).word((i * columns + k) as u64);
                ((k * 20 + draw as usize % 20) as u32, (draw >> 60) as f32 + 1.0)
            };
            (0..columns / 20).map(entry).collect()
        })
        .collect();
    CsrMatrix::from_rows(columns, &rows)
}

/// A kernel under its name, ready to run.
type Kernel = (&'static str, Box<dyn FnMut()>);

/// Every kernel.
fn kernels() -> Vec<Kernel> {
    let mut all: Vec<Kernel> = Vec::new();

    // PCA of 10,000 spots × 2000 genes: the products of one Krylov step.
    let (x, right, left) = (sparse(10_000, 2000), dense64(2000, 40), dense64(10_000, 40));
    let y = x.clone();
    all.push((
        "spmm/csr_dense 10000x2000 x40",
        Box::new(move || {
            black_box(csr_dense(x.view(), right.view()));
        }),
    ));
    all.push((
        "spmm/csr_t_dense 10000x2000 x40",
        Box::new(move || {
            black_box(csr_t_dense(y.view(), left.view()));
        }),
    ));

    // A basis of 240 vectors, on 1000 genes, times a block of eight, and back.
    let (basis, block) = (dense64(240, 1000), lanes(1000));
    let (again, factors) = (basis.clone(), lanes(240));
    let (mut sums, mut image) = (lanes(240), lanes(1000));
    all.push((
        "panel/gather 240x1000",
        Box::new(move || {
            let rows: Vec<&[f64]> = basis.rows().into_iter().filter_map(|row| row.to_slice()).collect();
            gather(&rows, &block, &mut sums);
            black_box(&sums);
        }),
    ));
    all.push((
        "panel/scatter 240x1000",
        Box::new(move || {
            let rows: Vec<&[f64]> = again.rows().into_iter().filter_map(|row| row.to_slice()).collect();
            scatter(&rows, &factors, &mut image);
            black_box(&image);
        }),
    ));

    // A layer of the networks, forward; and a Gram matrix of components.
    let (a, b) = (dense32(4096, 256), dense32(256, 64));
    let mut out = Array2::<f32>::zeros((4096, 64));
    all.push(("gemm/f32 4096x256x64", Box::new(move || matmul_into(out.view_mut(), a.view(), b.view()))));
    let tall = dense64(10_000, 40);
    all.push((
        "gemm/f64 tn 40x10000x40",
        Box::new(move || {
            black_box(matmul_tn(tall.view(), tall.view()));
        }),
    ));

    // The tile of exact nearest neighbours: 128 queries, 1024 targets, 30 dimensions and the norm.
    let (queries, targets) = (dense32(128, 31), dense32(1024, 31));
    let mut distances = Array2::<f32>::zeros((128, 1024));
    all.push((
        "knn/distance tile 128x31x1024",
        Box::new(move || matmul_into_serial(distances.view_mut(), queries.view(), targets.t())),
    ));

    let (wide, narrow) = (dense64(1, 1 << 16), dense32(1, 1 << 16));
    let (mut w, mut v) = (vec![0.0f64; 1 << 16], vec![0.0f32; 1 << 16]);
    all.push((
        "exp/f32 65536",
        Box::new(move || {
            v.copy_from_slice(narrow.as_slice().unwrap_or_default());
            exp_in_place(&mut v);
            black_box(&v);
        }),
    ));
    all.push((
        "exp/f64 65536",
        Box::new(move || {
            w.copy_from_slice(wide.as_slice().unwrap_or_default());
            exp_in_place(&mut w);
            black_box(&w);
        }),
    ));

    // STAIG's exact negatives: all pairs of 2048 unit rows of 64.
    let mut rows = dense32(2048, 64);
    for mut row in rows.rows_mut() {
        let norm = row.dot(&row).sqrt();
        row.mapv_inplace(|v| v / norm);
    }
    let excluded: Vec<[u32; 4]> = (0..2048).map(|i| [i, i + 1, 0, 0]).collect();
    let (rows2, excluded2) = (rows.clone(), excluded.clone());
    // One group of all rows.
    let groups: Vec<std::ops::Range<usize>> = std::iter::once(0..2048).collect();
    let groups2 = groups.clone();
    all.push((
        "pairs/exp_row_sums 2048x64",
        Box::new(move || {
            let pairs = Pairs { groups: &groups, excluded: &excluded };
            let _ = black_box(exp_row_sums(rows.view(), pairs, 0.1, &Silent));
        }),
    ));
    let weights = Array1::from_elem(2048, 0.5f32).to_vec();
    let mut gradient = Array2::<f32>::zeros((2048, 64));
    all.push((
        "pairs/exp_gradient 2048x64",
        Box::new(move || {
            let pairs = Pairs { groups: &groups2, excluded: &excluded2 };
            let _ = exp_gradient(rows2.view(), pairs, 0.1, &weights, gradient.view_mut(), &Silent);
            black_box(&gradient);
        }),
    ));
    all
}

fn main() {
    if let Ok(name) = std::env::var("KERNELS_ONCE") {
        for (_, kernel) in kernels().iter_mut().filter(|k| k.0 == name) {
            (0..100).for_each(|_| kernel());
        }
        return;
    }
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for (name, mut kernel) in kernels() {
        criterion.bench_function(name, |b| b.iter(&mut kernel));
    }
    criterion.final_summary();
}
