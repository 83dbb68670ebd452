//! Sums in a fixed order: the chunks depend on the data alone, never on the thread count.

use crate::parallel_loop::ParallelLoop;
use rayon::prelude::*;

/// Elements per chunk.
const CHUNK: usize = 1 << 14;

/// `Σ f(i)` for `i` in `0..n`, in parallel, the same bits on any thread count.
pub fn sum_by(n: usize, f: impl Fn(usize) -> f64 + Sync) -> f64 {
    let parts: Vec<f64> = (0..n.div_ceil(CHUNK))
        .into_par_iter()
        .map(|c| (c * CHUNK..n.min((c + 1) * CHUNK)).map(&f).sum())
        .collect_vec();
    parts.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_does_not_depend_on_the_thread_count() {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
            pool.install(|| sum_by(100_000, |i| (i as f64).sqrt()))
        };
        assert_eq!(run(1).to_bits(), run(4).to_bits());
    }
}
