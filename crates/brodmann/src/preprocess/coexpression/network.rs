//! The network of genes: adjacency and topological overlap.

use brodmann_kernels::ParallelLoop;
use brodmann_kernels::matmul::matmul_into_serial;
use ndarray::{Array1, Array2, ArrayView2, Axis, Slice};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Rows of a product taken together; fixed.
const ROWS: usize = 64;

/// What a negative correlation counts as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// As much as a positive one: `|cor|^β`.
    #[default]
    Unsigned,
    /// As no link: `((1 + cor) / 2)^β`.
    Signed,
}

impl Network {
    /// The power for more than 40 samples where no network is scale-free, as the authors of WGCNA advise.
    pub(super) const fn usual_power(self) -> f64 {
        match self {
            Self::Unsigned => 6.0,
            Self::Signed => 12.0,
        }
    }

    /// How similar two genes are, before the power.
    #[inline]
    pub(super) fn similarity(self, correlation: f64) -> f64 {
        match self {
            Self::Unsigned => correlation.abs(),
            Self::Signed => f64::midpoint(1.0, correlation),
        }
    }
}

/// `value` to a power; whole powers by multiplication.
#[inline]
pub(super) fn raised(value: f64, power: f64) -> f64 {
    if power.fract() == 0.0 { value.powi(power as i32) } else { value.powf(power) }
}

/// Correlations become adjacencies, in place; 1 on the diagonal.
///
/// # Inputs
/// `correlations`: `(n, n)`, symmetric, from −1 to 1. `power`: at least 1.
/// # Cost
/// O(n²) time.
pub fn adjacency(correlations: &mut Array2<f64>, network: Network, power: f64) {
    let rows: Vec<_> = correlations.rows_mut().into_iter().collect();
    rows.into_par_iter().enumerate().each(|(i, mut row)| {
        row.mapv_inplace(|r| raised(network.similarity(r), power));
        row[i] = 1.0;
    });
}

/// Topological overlap: how much of their neighbourhoods two genes share.
///
/// `TOM_ij = |Σ_u a_iu a_uj + a_ij| / (min(k_i, k_j) + 1 − |a_ij|)`, `a_ii = 0`, `k_i = Σ_u |a_iu|`. With negative entries
/// (`sign(cor) |cor|^β`) it is the signed overlap, in which neighbours of opposite signs cancel.
///
/// # Inputs
/// `adjacency`: `(n, n)`, symmetric, entries from −1 to 1; the diagonal is not read.
/// # Returns
/// `(n, n)`, 1 on the diagonal.
/// # Cost
/// O(n³) time; three matrices.
/// # Source
/// Zhang & Horvath 2005, eq. 4; Yip & Horvath 2007, BMC Bioinformatics 8:22.
///
/// # Example
///
/// ```
/// use brodmann::preprocess::coexpression::network::topological_overlap;
/// use ndarray::array;
///
/// // Genes 0 and 1 share their one other neighbour: (½ · ½ + ½) / (1 + 1 − ½).
/// let a = array![[1.0, 0.5, 0.5], [0.5, 1.0, 0.5], [0.5, 0.5, 1.0]];
/// assert!((topological_overlap(a.view())[[0, 1]] - 0.5).abs() < 1e-12);
/// ```
pub fn topological_overlap(adjacency: ArrayView2<'_, f64>) -> Array2<f64> {
    let n = adjacency.nrows();
    let mut overlap = Array2::eye(n);
    for_each_stripe(adjacency, &mut |first, stripe: &Array2<f64>| {
        for (i, row) in stripe.rows().into_iter().enumerate() {
            for (j, &value) in row.iter().enumerate().skip(i + 1) {
                overlap[[first + i, first + j]] = value;
                overlap[[first + j, first + i]] = value;
            }
        }
    });
    overlap
}

/// One minus the topological overlap: the upper triangle, row by row, without the diagonal.
///
/// # Cost
/// O(n³) time; one matrix beside the adjacency, and 4 bytes per pair.
pub(crate) fn dissimilarity(adjacency: ArrayView2<'_, f64>) -> Vec<f32> {
    let n = adjacency.nrows();
    let mut distances = Vec::with_capacity(n * n.saturating_sub(1) / 2);
    for_each_stripe(adjacency, &mut |_, stripe: &Array2<f64>| {
        for (i, row) in stripe.rows().into_iter().enumerate() {
            distances.extend(row.iter().skip(i + 1).map(|&v| (1.0 - v).max(0.0) as f32));
        }
    });
    distances
}

/// The overlaps of [`ROWS`] genes with those from the first of them on, in order; what lies left of the diagonal, and
/// on it, means nothing.
fn for_each_stripe(adjacency: ArrayView2<'_, f64>, visit: &mut dyn FnMut(usize, &Array2<f64>)) {
    let n = adjacency.nrows();
    let mut links = adjacency.to_owned();
    links.diag_mut().fill(0.0);
    let degree: Array1<f64> = links.rows().into_iter().map(|row| row.iter().map(|a| a.abs()).sum()).collect();
    let starts: Vec<usize> = (0..n).step_by(ROWS).collect();
    for some in starts.chunks(ABREAST) {
        let stripes: Vec<Array2<f64>> = some
            .par_iter()
            .map(|&first| {
                let rows = links.slice_axis(Axis(0), Slice::from(first..n.min(first + ROWS)));
                let columns = links.slice_axis(Axis(1), Slice::from(first..));
                let mut shared = Array2::zeros((rows.nrows(), n - first));
                matmul_into_serial(shared.view_mut(), rows, columns);
                for ((i, j), value) in shared.indexed_iter_mut() {
                    let (link, least) =
                        (links[[first + i, first + j]], degree[first + i].min(degree[first + j]));
                    *value = (*value + link).abs() / (least + 1.0 - link.abs());
                }
                shared
            })
            .collect_vec();
        some.iter().zip(&stripes).for_each(|(&first, stripe)| visit(first, stripe));
    }
}

/// Stripes in the making.
const ABREAST: usize = 16;
