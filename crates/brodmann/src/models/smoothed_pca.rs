//! Principal components of expression averaged over spatial neighbours: the simple baseline every network must beat.

use brodmann_kernels::{CsrMatrix, CsrView, Monitor, ParallelLoop, Seed, Slices};
use ndarray::Array2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::preprocess::pca::check_size;
use crate::preprocess::svd::GRAM_LIMIT;
use crate::preprocess::svd::made_rows::{self, LARGE, MadeRows, Visit, each_block, fits_single};
use crate::preprocess::{PcaOptions, PreprocessError, check_finite, pca_by_slice, slices_of};

/// Rows averaged in one task; fixed.
const CHUNK: usize = 256;

/// Options of [`smoothed_pca()`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmoothedPcaOptions {
    /// Components wanted.
    pub n_components: usize,
    /// Times the average is taken; each reaches one neighbour further.
    pub rounds: usize,
}

impl Default for SmoothedPcaOptions {
    fn default() -> Self {
        Self { n_components: 30, rounds: 1 }
    }
}

/// Principal components of `S X`, with `S` the mean over a spot and its neighbours.
///
/// # Inputs
/// `features`: `(n_obs, n_features)`, finite. `graph`: `(n_obs, n_obs)`, stored entries are neighbours. `slices`: what is
/// averaged is centred within each, so that what shifts a slice as a whole has no part in the components.
/// # Returns
/// `(n_obs, min(n_components, n_obs − 1, n_features))`.
/// # Errors
/// `Option`, `NonFinite`, `Empty`, `ShapeMismatch`, `Interrupted`.
/// # Cost
/// O(rounds · edges · entries per row) and a PCA; memory for the averaged matrix (8 bytes per entry), which has up to
/// `1 + neighbours` times the entries per round. Where there are more than 67 million numbers (in at most 5000 columns, no
/// more than spots), the last round is not written out but made three times, and its product is summed in single precision.
/// # Source
/// Common practice; the mean with spatial neighbours is one untrained graph convolution.
///
/// # Example
///
/// ```
/// use brodmann::models::{SmoothedPcaOptions, smoothed_pca};
/// use brodmann_kernels::{CsrMatrix, Seed, Silent};
/// use ndarray::array;
///
/// // Spots 0 and 1 are neighbours, and so are 2 and 3: each pair meets in its mean, 1 or 7.
/// let features = CsrMatrix::from_dense(array![[0.0f32], [2.0], [6.0], [8.0]].view());
/// let pairs = array![[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]];
/// let graph = CsrMatrix::from_dense(pairs.view());
/// let options = SmoothedPcaOptions { n_components: 1, rounds: 1 };
/// let scores = smoothed_pca(features.view(), graph.view(), None, &options, Seed(0), &Silent)?;
/// for (found, expected) in scores.iter().zip([-3.0, -3.0, 3.0, 3.0]) {
///     assert!((found - expected).abs() < 1e-5);
/// }
/// # Ok::<(), brodmann::preprocess::PreprocessError>(())
/// ```
pub fn smoothed_pca(
    features: CsrView<'_, f32>,
    graph: CsrView<'_, f64>,
    slices: Option<&Slices>,
    options: &SmoothedPcaOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Array2<f64>, PreprocessError> {
    smoothed_pca_from(features, graph, slices, (options, LARGE), seed, monitor)
}

/// [`smoothed_pca()`], with the numbers above which averages are made when they are needed.
fn smoothed_pca_from(
    features: CsrView<'_, f32>,
    graph: CsrView<'_, f64>,
    slices: Option<&Slices>,
    (options, large): (&SmoothedPcaOptions, usize),
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Array2<f64>, PreprocessError> {
    if graph.n_rows() != features.n_rows() {
        return Err(PreprocessError::ShapeMismatch {
            what: "the spatial graph",
            found: graph.n_rows(),
            expected: features.n_rows(),
            per: "spot",
        });
    }
    let of = PcaOptions { n_components: options.n_components };
    let slices = slices_of(features.n_rows(), slices)?;
    let (n_obs, n_features) = (features.n_rows(), features.n_cols());
    let is_large = exceeds(large, n_obs, n_features);
    let made = options.rounds > 0 && is_large && fits_single(features.data());
    let written = if made { options.rounds - 1 } else { options.rounds };
    let mut smooth: Option<CsrMatrix<f32>> = None;
    for _ in 0..written {
        monitor.check()?;
        let x = smooth.as_ref().map_or(features, CsrMatrix::view);
        smooth = Some(neighbor_mean(x, graph));
    }
    let x = smooth.as_ref().map_or(features, CsrMatrix::view);
    if !made {
        return Ok(pca_by_slice(x, &slices, None, &of, seed, monitor)?.scores);
    }
    check_size(x, of)?;
    check_finite(x)?;
    made_rows::scores(&Averaged::new(x, graph, &slices, monitor)?, of.n_components, seed, monitor)
}

/// Whether the averaged features of a tissue are made when they are needed, and never written out.
pub(crate) fn is_made_when_needed(n_obs: usize, n_features: usize) -> bool {
    exceeds(LARGE, n_obs, n_features)
}

/// Whether a tissue has more numbers, in few enough columns that their product is formed.
fn exceeds(large: usize, n_obs: usize, n_features: usize) -> bool {
    n_obs * n_features > large && n_features <= GRAM_LIMIT.min(n_obs)
}

/// Every row the mean of itself and its neighbours' rows, less the mean of these over its slice.
struct Averaged<'a> {
    x: CsrView<'a, f32>,
    graph: CsrView<'a, f64>,
    slices: &'a Slices,
    /// Of each slice.
    means: Vec<Vec<f64>>,
}

impl<'a> Averaged<'a> {
    fn new(
        x: CsrView<'a, f32>,
        graph: CsrView<'a, f64>,
        slices: &'a Slices,
        monitor: &dyn Monitor,
    ) -> Result<Self, PreprocessError> {
        let mut averaged = Self { x, graph, slices, means: vec![vec![0.0; x.n_cols()]; slices.count()] };
        let mut sums = averaged.means.clone();
        averaged.each(monitor, &mut |first, block| {
            for (i, row) in block.rows().into_iter().enumerate() {
                sums[slices.of(first + i)].iter_mut().zip(row).for_each(|(sum, v)| *sum += v);
            }
            Ok(())
        })?;
        for (sums, size) in sums.iter_mut().zip(slices.sizes()) {
            for sum in sums {
                *sum /= (*size).max(1) as f64;
            }
        }
        averaged.means = sums;
        Ok(averaged)
    }
}

impl MadeRows for Averaged<'_> {
    fn dim(&self) -> (usize, usize) {
        (self.x.n_rows(), self.x.n_cols())
    }

    fn each(&self, monitor: &dyn Monitor, visit: &mut Visit<'_>) -> Result<(), PreprocessError> {
        each_block(self.dim(), monitor, visit, &|i, row| {
            row.fill(0.0);
            let mut n = 0usize;
            for j in itself_and_neighbors(self.graph, i) {
                n += 1;
                let (columns, values) = self.x.row(j);
                columns.iter().zip(values).for_each(|(&c, &v)| row[c as usize] += f64::from(v));
            }
            let share = 1.0 / n as f64;
            row.iter_mut().zip(&self.means[self.slices.of(i)]).for_each(|(v, mean)| *v = *v * share - mean);
        })
    }
}

/// Every row the mean of itself and its neighbours' rows.
///
/// Twice over the rows: first entries are counted, then written to their place, so that the result is there once.
fn neighbor_mean(x: CsrView<'_, f32>, graph: CsrView<'_, f64>) -> CsrMatrix<f32> {
    let n = x.n_rows();
    let counts: Vec<usize> = (0..n)
        .into_par_iter()
        .with_min_len(CHUNK)
        .map_init(
            || vec![usize::MAX; x.n_cols()],
            |seen, i| {
                let mut count = 0;
                for j in itself_and_neighbors(graph, i) {
                    for &c in x.row(j).0 {
                        count += usize::from(std::mem::replace(&mut seen[c as usize], i) != i);
                    }
                }
                count
            },
        )
        .collect_vec();
    let mut indptr = Vec::with_capacity(n + 1);
    indptr.push(0);
    let mut total = 0;
    indptr.extend(counts.iter().map(|count| {
        total += count;
        total
    }));
    let (mut indices, mut data) = (vec![0u32; total], vec![0f32; total]);
    let mut parts = Vec::with_capacity(n.div_ceil(CHUNK));
    let (mut columns, mut values) = (indices.as_mut_slice(), data.as_mut_slice());
    for start in (0..n).step_by(CHUNK) {
        let rows = start..n.min(start + CHUNK);
        let (own_columns, more_columns) = columns.split_at_mut(indptr[rows.end] - indptr[rows.start]);
        let (own_values, more_values) = values.split_at_mut(own_columns.len());
        parts.push((rows, own_columns, own_values));
        (columns, values) = (more_columns, more_values);
    }
    parts.into_par_iter().each(|(rows, columns, values)| {
        let mut sums = vec![0f64; x.n_cols()];
        let mut seen = vec![false; x.n_cols()];
        let mut touched: Vec<u32> = Vec::new();
        let mut at = 0;
        for i in rows {
            let mut n = 0usize;
            for j in itself_and_neighbors(graph, i) {
                n += 1;
                let (columns, values) = x.row(j);
                for (&c, &v) in columns.iter().zip(values) {
                    if !std::mem::replace(&mut seen[c as usize], true) {
                        touched.push(c);
                    }
                    sums[c as usize] += f64::from(v);
                }
            }
            touched.sort_unstable();
            for c in touched.drain(..) {
                (columns[at], values[at]) = (c, (sums[c as usize] / n as f64) as f32);
                (sums[c as usize], seen[c as usize]) = (0.0, false);
                at += 1;
            }
        }
    });
    CsrMatrix::try_new(n, x.n_cols(), indptr, indices, data).expect("rows are sorted and counted")
}

fn itself_and_neighbors(graph: CsrView<'_, f64>, i: usize) -> impl Iterator<Item = usize> {
    std::iter::once(i).chain(graph.row(i).0.iter().map(|&j| j as usize).filter(move |&j| j != i))
}

#[cfg(test)]
mod tests {
    use brodmann_kernels::Silent;
    use ndarray::array;

    use crate::preprocess::pca;

    use super::*;

    #[test]
    fn every_spot_is_averaged_with_its_neighbours() {
        let x = CsrMatrix::from_dense(array![[3.0f32, 0.0], [0.0, 6.0], [-3.0, 0.0], [9.0, 9.0]].view());
        let graph = CsrMatrix::from_dense(
            array![[0.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
                .view(),
        );
        let mean = neighbor_mean(x.view(), graph.view()).view().to_dense();
        assert_eq!(mean, array![[0.0, 2.0], [1.5, 3.0], [0.0, 0.0], [9.0, 9.0]]);
    }

    #[test]
    fn no_round_is_plain_pca_and_threads_do_not_matter() {
        let dense = Array2::from_shape_fn((600, 7), |(i, j)| ((i * 31 + j * 17) % 13) as f32);
        let x = CsrMatrix::from_dense(dense.view());
        let rows: Vec<Vec<(u32, f64)>> = (0..600).map(|i| vec![((i + 1) % 600, 1.0)]).collect();
        let graph = CsrMatrix::from_rows(600, &rows);
        let of = |rounds| {
            let options = SmoothedPcaOptions { n_components: 3, rounds };
            smoothed_pca(x.view(), graph.view(), None, &options, Seed(1), &Silent).expect("valid")
        };
        let plain =
            pca(x.view(), None, &PcaOptions { n_components: 3 }, Seed(1), &Silent).expect("valid").scores;
        assert_eq!(of(0), plain);
        let many = of(2);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
        assert_eq!(pool.install(|| of(2)), many);
        assert!(
            smoothed_pca(
                x.view(),
                CsrMatrix::from_rows(1, &[vec![]]).view(),
                None,
                &SmoothedPcaOptions::default(),
                Seed(1),
                &Silent
            )
            .is_err()
        );
    }

    #[test]
    fn averages_made_when_needed_have_the_components_of_those_written_out() {
        // More than one block of rows and one panel of columns; three slices, their spots in turn.
        let (n, f) = (2500, 300);
        // Ten axes, each of half the variance of the one before, and what shifts a slice.
        let word = |at: usize| (Seed(2).word(at as u64) >> 40) as f32 / (1 << 24) as f32 - 0.5;
        let dense = Array2::from_shape_fn((n, f), |(i, j)| {
            let axes = (0..10).map(|t| 0.7f32.powi(t as i32) * word(i * 10 + t) * word((n + j) * 10 + t));
            axes.sum::<f32>() + (i % 3 * 5) as f32
        });
        let x = CsrMatrix::from_dense(dense.view());
        let rows: Vec<Vec<(u32, f64)>> = (0..n).map(|i| vec![((i + 3) as u32 % n as u32, 1.0)]).collect();
        let graph = CsrMatrix::from_rows(n, &rows);
        let slices = Slices::from_codes(&(0..n as u32).map(|i| i % 3).collect::<Vec<_>>(), &[]);
        let options = SmoothedPcaOptions { n_components: 8, rounds: 1 };
        let written =
            smoothed_pca(x.view(), graph.view(), Some(&slices), &options, Seed(1), &Silent).expect("valid");
        let from = |x: &CsrMatrix<f32>, n_components: usize| {
            let options = SmoothedPcaOptions { n_components, rounds: 1 };
            smoothed_pca_from(x.view(), graph.view(), Some(&slices), (&options, 0), Seed(1), &Silent)
        };
        let made = from(&x, 8).expect("valid");
        assert_ne!(made, written);
        assert_eq!(made.dim(), written.dim());
        let largest = written.iter().fold(0.0f64, |a, v| a.max(v.abs()));
        let worst = made.iter().zip(&written).fold(0.0f64, |w, (a, b)| w.max((a - b).abs()));
        assert!(worst < 1e-5 * largest, "{worst} {largest}");
        assert!(matches!(from(&x, 0), Err(PreprocessError::Option(_))));
        let mut broken = dense.clone();
        broken[[7, 3]] = f32::NAN;
        let broken = from(&CsrMatrix::from_dense(broken.view()), 8);
        assert!(matches!(broken, Err(PreprocessError::NonFinite { .. })));
    }

    #[test]
    fn what_shifts_a_slice_as_a_whole_has_no_part() {
        let dense = Array2::from_shape_fn((200, 6), |(i, j)| ((i * 31 + j * 17) % 13) as f32);
        let shifted = Array2::from_shape_fn((200, 6), |(i, j)| dense[[i, j]] + 40.0 * (i / 100) as f32);
        let rows: Vec<Vec<(u32, f64)>> =
            (0..200).map(|i| vec![((i / 100) * 100 + (i + 1) % 100, 1.0)]).collect();
        let graph = CsrMatrix::from_rows(200, &rows);
        let slices = Slices::from_codes(&(0..200).map(|i| i / 100).collect::<Vec<u32>>(), &[]);
        let of = |x: &Array2<f32>, slices: Option<&Slices>| {
            let options = SmoothedPcaOptions { n_components: 3, rounds: 1 };
            let x = CsrMatrix::from_dense(x.view());
            smoothed_pca(x.view(), graph.view(), slices, &options, Seed(1), &Silent).expect("valid")
        };
        let (plain, apart) = (of(&dense, Some(&slices)), of(&shifted, Some(&slices)));
        assert!(plain.iter().zip(&apart).all(|(a, b)| (a - b).abs() < 1e-3));
        let pooled = of(&shifted, None);
        assert!((pooled[[0, 0]] - pooled[[150, 0]]).abs() > 50.0);
    }

    #[test]
    fn options_read_back_from_json_and_unknown_ones_are_refused() {
        let options = SmoothedPcaOptions { n_components: 12, rounds: 3 };
        let written = serde_json::json!(options);
        assert_eq!(written, serde_json::json!({ "n_components": 12, "rounds": 3 }));
        assert_eq!(serde_json::from_value::<SmoothedPcaOptions>(written).expect("as written"), options);
        let read = |text| serde_json::from_str::<SmoothedPcaOptions>(text);
        assert_eq!(read("{}").expect("defaults"), SmoothedPcaOptions::default());
        assert!(read(r#"{ "tau": 1.0 }"#).is_err());
    }
}
