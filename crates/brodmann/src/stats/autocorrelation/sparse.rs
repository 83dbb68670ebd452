//! Sums of sparse variables over a graph, row by row: no transpose, and zeros are never visited.

use std::ops::Range;

use brodmann_kernels::{CsrView, Monitor, ParallelLoop, Seed};
use rand::RngExt;
use rayon::prelude::*;

use super::super::StatsError;
use super::{Measured, Statistic, Weights};

/// Rows summed together, at least; the bits depend on the data alone.
const CHUNK_ROWS: usize = 1024;
/// Chunks, at most.
const MAX_CHUNKS: usize = 256;
/// Values per kind of sum over all chunks, at most: 8 MiB, however many variables there are.
const CHUNK_CELLS: usize = 1 << 20;
/// Rearrangements drawn together: what is held of each is one number per variable and chunk.
const BATCH: usize = 8;
/// Stored values beyond which they outgrow the caches, and the order in which rows are visited matters.
const MANY_VALUES: usize = 1 << 22;
/// Relative difference below which a rearrangement counts as equal.
const SLACK: f64 = 1e-10;

/// What a row leaves to its variables, summed over a chunk of rows.
struct Sums {
    /// `Σᵢ xᵢ Σⱼ wᵢⱼ xⱼ`.
    pairs: Vec<f64>,
    /// `Σᵢ xᵢ dᵢ` (Moran) or `Σᵢ xᵢ² dᵢ` (Geary), with `dᵢ = Σⱼ wᵢⱼ + Σⱼ wⱼᵢ`.
    degrees: Vec<f64>,
}

/// The distribution of each variable.
struct Moments {
    mean: Vec<f64>,
    /// `Σ (x − mean)²` and `Σ (x − mean)⁴`, zeros included.
    second: Vec<f64>,
    fourth: Vec<f64>,
    constant: Vec<bool>,
}

/// Statistic, kurtosis and permutation counts of every variable.
///
/// Variables are not centred, which would fill their zeros. With `m` the mean and `d` as in [`Sums`],
///
/// ```text
/// Σ wᵢⱼ (xᵢ − m)(xⱼ − m) = Σ wᵢⱼ xᵢ xⱼ − m Σ xᵢ dᵢ + m² Σ wᵢⱼ        Σ wᵢⱼ (xᵢ − xⱼ)² = Σ xᵢ² dᵢ − 2 Σ wᵢⱼ xᵢ xⱼ
/// ```
///
/// which loses `m²/variance` roundings: [`super::autocorrelation`] measures the variables for which that is many again.
///
/// The hot loop, for a chunk of rows:
///
/// ```text
/// for each row i
///     y = 0                                   one number per variable, in cache
///     for each edge (i, j, w)
///         for each stored (g, x) of row j
///             y[g] += w x
///     for each stored (g, x) of row i
///         pairs[g] += x y[g]
/// ```
pub(super) fn measure(
    statistic: Statistic,
    x: CsrView<'_, f32>,
    weights: &Weights,
    n_permutations: usize,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<(Vec<Measured>, Vec<bool>), StatsError> {
    let (n_obs, n_vars) = (x.n_rows(), x.n_cols());
    let moments = moments(x, monitor)?;
    let combine = |sums: &Sums, v: usize| match statistic {
        Statistic::Moran => {
            let m = moments.mean[v];
            sums.pairs[v] - m * sums.degrees[v] + m * m * weights.s0
        }
        // Not below 0, which it can only be by rounding.
        Statistic::Geary => (sums.degrees[v] - 2.0 * sums.pairs[v]).max(0.0),
    };
    let visits = if x.nnz() > MANY_VALUES { Some(breadth_first(weights.matrix.view())) } else { None };
    let sums = graph_sums(statistic, x, weights, &Walk { visits, order: None }, monitor)?;
    let observed: Vec<f64> =
        (0..n_vars).map(|v| if moments.mean[v].is_nan() { f64::NAN } else { combine(&sums, v) }).collect();

    let (mut at_least, mut at_most) = (vec![0u32; n_vars], vec![0u32; n_vars]);
    for first in (0..n_permutations).step_by(BATCH) {
        let draws: Vec<Sums> = (first..n_permutations.min(first + BATCH))
            .into_par_iter()
            .map(|p| {
                monitor.check()?;
                let mut rng = seed.stream(super::PERMUTATION, p as u64);
                let mut order: Vec<u32> = (0..n_obs as u32).collect();
                for i in (1..n_obs).rev() {
                    order.swap(i, rng.random_range(0..=i));
                }
                graph_sums(statistic, x, weights, &Walk { visits: None, order: Some(order) }, monitor)
            })
            .try_collect_vec::<_, StatsError>()?;
        for draw in &draws {
            for v in 0..n_vars {
                let value = combine(draw, v);
                let slack = SLACK * (observed[v].abs() + moments.second[v]);
                at_least[v] += u32::from(value >= observed[v] - slack);
                at_most[v] += u32::from(value <= observed[v] + slack);
            }
        }
    }

    let n = n_obs as f64;
    let scale = weights.scale(statistic, n);
    let measured = (0..n_vars)
        .map(|v| {
            let second = moments.second[v];
            let (value, kurtosis) = if moments.constant[v] {
                (f64::NAN, f64::NAN)
            } else {
                (scale * observed[v] / second, n * moments.fourth[v] / (second * second))
            };
            Measured { statistic: value, kurtosis, at_least: at_least[v], at_most: at_most[v] }
        })
        .collect();
    // Rounding enters `m²/variance` times over: past 1e4 the twelfth digit goes.
    let blurred = (0..n_vars)
        .map(|v| !moments.constant[v] && moments.mean[v] * moments.mean[v] * n > 1e4 * moments.second[v])
        .collect();
    Ok((measured, blurred))
}

/// Rows of each chunk, from the size of the data alone.
fn chunks(n_obs: usize, n_vars: usize) -> Vec<Range<usize>> {
    let most = (CHUNK_CELLS / n_vars.max(1)).clamp(1, MAX_CHUNKS);
    let rows = n_obs.div_ceil(most).max(CHUNK_ROWS);
    (0..n_obs).step_by(rows).map(|first| first..n_obs.min(first + rows)).collect()
}

/// Adds up arrays in the order they come in.
fn add(parts: impl IntoIterator<Item = Vec<f64>>, n_vars: usize) -> Vec<f64> {
    let mut total = vec![0.0; n_vars];
    for part in parts {
        for (t, p) in total.iter_mut().zip(part) {
            *t += p;
        }
    }
    total
}

fn moments(x: CsrView<'_, f32>, monitor: &dyn Monitor) -> Result<Moments, StatsError> {
    let (n_obs, n_vars) = (x.n_rows(), x.n_cols());
    let n = n_obs as f64;
    let chunks = chunks(n_obs, n_vars);
    struct Part {
        sum: Vec<f64>,
        stored: Vec<u32>,
        low: Vec<f32>,
        high: Vec<f32>,
    }
    let parts: Vec<Part> = chunks
        .par_iter()
        .map(|rows| {
            monitor.check()?;
            let mut part = Part {
                sum: vec![0.0; n_vars],
                stored: vec![0; n_vars],
                low: vec![f32::INFINITY; n_vars],
                high: vec![f32::NEG_INFINITY; n_vars],
            };
            for i in rows.clone() {
                let (columns, values) = x.row(i);
                for (&g, &v) in columns.iter().zip(values) {
                    let g = g as usize;
                    part.sum[g] += f64::from(v);
                    part.stored[g] += 1;
                    part.low[g] = part.low[g].min(v);
                    part.high[g] = part.high[g].max(v);
                }
            }
            Ok(part)
        })
        .try_collect_vec::<_, StatsError>()?;
    let mut stored = vec![0usize; n_vars];
    let (mut low, mut high) = (vec![f32::INFINITY; n_vars], vec![f32::NEG_INFINITY; n_vars]);
    for part in &parts {
        for g in 0..n_vars {
            stored[g] += part.stored[g] as usize;
            low[g] = low[g].min(part.low[g]);
            high[g] = high[g].max(part.high[g]);
        }
    }
    let mean: Vec<f64> = add(parts.into_iter().map(|p| p.sum), n_vars).iter().map(|s| s / n).collect();
    // A comparison of values, since the mean of equal numbers may differ from them.
    let constant = (0..n_vars)
        .map(|g| {
            let zero = if stored[g] < n_obs { 0.0 } else { low[g] };
            low[g].min(zero) >= high[g].max(zero)
        })
        .collect();

    let parts: Vec<(Vec<f64>, Vec<f64>)> = chunks
        .par_iter()
        .map(|rows| {
            monitor.check()?;
            let (mut second, mut fourth) = (vec![0.0; n_vars], vec![0.0; n_vars]);
            for i in rows.clone() {
                let (columns, values) = x.row(i);
                for (&g, &v) in columns.iter().zip(values) {
                    let g = g as usize;
                    let square = (f64::from(v) - mean[g]) * (f64::from(v) - mean[g]);
                    second[g] += square;
                    fourth[g] += square * square;
                }
            }
            Ok((second, fourth))
        })
        .try_collect_vec::<_, StatsError>()?;
    let (second, fourth): (Vec<Vec<f64>>, Vec<Vec<f64>>) = parts.into_iter().unzip();
    let (mut second, mut fourth) = (add(second, n_vars), add(fourth, n_vars));
    for g in 0..n_vars {
        let (zeros, square) = ((n_obs - stored[g]) as f64, mean[g] * mean[g]);
        second[g] += zeros * square;
        fourth[g] += zeros * square * square;
    }
    Ok(Moments { mean, second, fourth, constant })
}

/// How rows are gone through.
struct Walk {
    /// Places in the order of visits; `None`: as they are numbered.
    visits: Option<Vec<u32>>,
    /// The row that stands in each place; `None`: its own.
    order: Option<Vec<u32>>,
}

/// Places in an order in which neighbours follow each other closely: rows that a place reads are then still in cache
/// from the places before, even where files hold spots in no order.
fn breadth_first(w: CsrView<'_, f64>) -> Vec<u32> {
    let n = w.n_rows();
    let mut visits: Vec<u32> = Vec::with_capacity(n);
    let mut seen = vec![false; n];
    let mut next = 0;
    for start in 0..n {
        if !std::mem::replace(&mut seen[start], true) {
            visits.push(start as u32);
        }
        while let Some(&i) = visits.get(next) {
            next += 1;
            for &j in w.row(i as usize).0 {
                if !std::mem::replace(&mut seen[j as usize], true) {
                    visits.push(j);
                }
            }
        }
    }
    visits
}

/// The sums over the graph.
fn graph_sums(
    statistic: Statistic,
    x: CsrView<'_, f32>,
    weights: &Weights,
    walk: &Walk,
    monitor: &dyn Monitor,
) -> Result<Sums, StatsError> {
    let (n_obs, n_vars) = (x.n_rows(), x.n_cols());
    let w = weights.matrix.view();
    let placed = |i: usize| x.row(walk.order.as_ref().map_or(i, |order| order[i] as usize));
    let parts: Vec<Sums> = chunks(n_obs, n_vars)
        .into_par_iter()
        .map(|rows| {
            monitor.check()?;
            let n_rows = rows.len();
            let (mut pairs, mut degrees) = (vec![0.0; n_vars], vec![0.0; n_vars]);
            let mut y = vec![0.0; n_vars];
            for visit in rows {
                let i = walk.visits.as_ref().map_or(visit, |visits| visits[visit] as usize);
                let (columns, values) = placed(i);
                if columns.is_empty() {
                    continue;
                }
                let (neighbors, edges) = w.row(i);
                for (&j, &weight) in neighbors.iter().zip(edges) {
                    let (columns, values) = placed(j as usize);
                    for (&g, &v) in columns.iter().zip(values) {
                        y[g as usize] += weight * f64::from(v);
                    }
                }
                let degree = weights.degrees[i];
                for (&g, &v) in columns.iter().zip(values) {
                    let (g, v) = (g as usize, f64::from(v));
                    pairs[g] += v * y[g];
                    degrees[g] += match statistic {
                        Statistic::Moran => v * degree,
                        Statistic::Geary => v * v * degree,
                    };
                }
                y.fill(0.0);
            }
            if walk.order.is_none() {
                monitor.advance(n_rows as u64);
            }
            Ok(Sums { pairs, degrees })
        })
        .try_collect_vec::<_, StatsError>()?;
    let (pairs, degrees): (Vec<Vec<f64>>, Vec<Vec<f64>>) =
        parts.into_iter().map(|part| (part.pairs, part.degrees)).unzip();
    Ok(Sums { pairs: add(pairs, n_vars), degrees: add(degrees, n_vars) })
}

#[cfg(test)]
mod tests {
    use brodmann_kernels::{CsrMatrix, Silent};
    use ndarray::Array2;

    use super::*;

    fn random(rows: usize, columns: usize, salt: u64) -> Array2<f64> {
        Array2::from_shape_fn((rows, columns), |(i, j)| {
            let word = Seed(salt).word((i * columns + j) as u64);
            if word.is_multiple_of(5) { (word % 97) as f64 } else { 0.0 }
        })
    }

    #[test]
    fn every_place_is_visited_once_and_neighbours_soon() {
        // Two pieces and a place without edges.
        let mut dense = random(40, 40, 1);
        dense.row_mut(7).fill(0.0);
        dense.column_mut(7).fill(0.0);
        let visits = breadth_first(CsrMatrix::from_dense(dense.view()).view());
        let mut sorted = visits.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..40).collect::<Vec<u32>>());
        let path = CsrMatrix::from_rows(5, &[vec![(3, 1.0)], vec![], vec![(1, 1.0)], vec![(2, 1.0)], vec![]]);
        assert_eq!(breadth_first(path.view()), [0, 3, 2, 1, 4]);
        assert!(breadth_first(CsrMatrix::from_rows(0, &[]).view()).is_empty());
    }

    #[test]
    fn the_order_of_visits_changes_no_sum() {
        let w = CsrMatrix::from_dense(random(40, 40, 2).view());
        let weights = Weights::new(w.view(), 40, true).expect("valid");
        let x = CsrMatrix::from_dense(random(40, 6, 3).mapv(|v| v as f32).view());
        let run = |visits| {
            let walk = Walk { visits, order: None };
            graph_sums(Statistic::Moran, x.view(), &weights, &walk, &Silent).expect("not interrupted")
        };
        let (one, two) = (run(None), run(Some(breadth_first(w.view()))));
        for (a, b) in one.pairs.iter().chain(&one.degrees).zip(two.pairs.iter().chain(&two.degrees)) {
            assert!((a - b).abs() <= 1e-12 * a.abs(), "{a} {b}");
        }
    }
}
