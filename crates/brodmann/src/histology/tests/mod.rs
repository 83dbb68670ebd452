//! Tests of the histology module: oracles, cases worked by hand, edges.

mod filters;
mod oracle;
mod placement;
mod texture;

use ndarray::Array3;

use super::*;

/// A picture without symmetry.
fn picture(height: usize, width: usize) -> Array3<u8> {
    let seed = brodmann_kernels::Seed(7);
    Array3::from_shape_fn((height, width, 3), |(i, j, k)| {
        let smooth = 90.0 * ((i as f64 / 9.0).sin() + (j as f64 / 13.0 + k as f64).cos());
        let noise = (seed.word(((i * width + j) * 3 + k) as u64) >> 58) as f64;
        (128.0 + smooth * 0.6 + noise - 32.0).clamp(0.0, 255.0) as u8
    })
}

fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool").install(work)
}
