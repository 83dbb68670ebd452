//! Which rows of a table are alike: average linkage, and the order of the leaves.

use brodmann_kernels::ParallelLoop;
use brodmann_kernels::matmul::matmul_into_serial;
use kodama::{Method, linkage};
use ndarray::{Array2, ArrayView2, Axis, Slice};
use rayon::prelude::*;

/// Most rows that are compared: their distances take 200 MB.
pub const MAX_LEAVES: usize = 10_000;
/// Rows compared with all others in one product; fixed.
const BLOCK: usize = 64;

/// How different two rows are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distance {
    /// One minus Pearson's correlation: the shape of a row, whatever its level. A constant row has distance 1 to all.
    #[default]
    Correlation,
    /// The Euclidean distance.
    Euclidean,
}

/// Two nodes made one; leaves are `0..n`, the k-th merge is node `n + k`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Merge {
    /// The side that stands first.
    pub left: usize,
    /// The other.
    pub right: usize,
    /// The distance of the two.
    pub height: f64,
}

/// A dendrogram.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// Leaves from one end to the other.
    pub order: Vec<usize>,
    /// By rising height.
    pub merges: Vec<Merge>,
}

/// The tree of the rows by average linkage (UPGMA); `None` for fewer than two rows or more than [`MAX_LEAVES`].
///
/// Of the two sides of a merge, the one whose rows came earlier on average stays first: the order changes no more than
/// the tree asks for. What is not finite counts as the mean of its row.
///
/// # Cost
/// O(n² m) time for n rows of m numbers; 2 n² bytes, and a copy of the table.
/// # Source
/// Sokal & Michener 1958; nearest-neighbour chains: Müllner 2011, arXiv:1109.2378.
pub fn tree(values: ArrayView2<'_, f64>, distance: Distance) -> Option<Tree> {
    let n = values.nrows();
    if !(2..=MAX_LEAVES).contains(&n) {
        return None;
    }
    let rows = comparable(values, distance);
    let squares: Vec<f64> = rows.rows().into_iter().map(|row| row.iter().map(|v| v * v).sum()).collect();
    // The upper triangle, row by row.
    let mut distances = vec![0f32; n * (n - 1) / 2];
    let mut triangle: Vec<&mut [f32]> = Vec::with_capacity(n);
    let mut rest = distances.as_mut_slice();
    for i in 0..n {
        let (own, others) = rest.split_at_mut(n - 1 - i);
        triangle.push(own);
        rest = others;
    }
    triangle.par_chunks_mut(BLOCK).enumerate().each(|(block, out)| {
        let from = block * BLOCK;
        let own = rows.slice_axis(Axis(0), Slice::from(from..from + out.len()));
        let others = rows.slice_axis(Axis(0), Slice::from(from..));
        let mut products = Array2::zeros((out.len(), n - from));
        matmul_into_serial(products.view_mut(), own, others.t());
        for (i, out) in out.iter_mut().enumerate() {
            for (k, value) in out.iter_mut().enumerate() {
                let j = i + 1 + k;
                let product = products[[i, j]];
                *value = match distance {
                    // Rows have length 1, or 0.
                    Distance::Correlation => (1.0 - product).max(0.0),
                    Distance::Euclidean => {
                        (squares[from + i] + squares[from + j] - 2.0 * product).max(0.0).sqrt()
                    }
                } as f32;
            }
        }
    });
    let found = linkage(&mut distances, n, Method::Average);
    // Leaves of each node, and the sum of their places as they came.
    let (mut size, mut places) = (vec![1usize; n], (0..n).collect::<Vec<usize>>());
    let mut earliest = places.clone();
    let mut merges = Vec::with_capacity(n - 1);
    for step in found.steps() {
        let (mut left, mut right) = (step.cluster1, step.cluster2);
        // Mean places, compared without division; the earliest row where they agree.
        let (ahead, behind) = (places[left] * size[right], places[right] * size[left]);
        if (behind, earliest[right]) < (ahead, earliest[left]) {
            std::mem::swap(&mut left, &mut right);
        }
        size.push(size[left] + size[right]);
        places.push(places[left] + places[right]);
        earliest.push(earliest[left].min(earliest[right]));
        merges.push(Merge { left, right, height: f64::from(step.dissimilarity) });
    }
    // From the root down, each node handing its first place on.
    let mut first = vec![0usize; 2 * n - 1];
    let mut order = vec![0; n];
    for (k, merge) in merges.iter().enumerate().rev() {
        first[merge.left] = first[n + k];
        first[merge.right] = first[n + k] + size[merge.left];
    }
    for leaf in 0..n {
        order[first[leaf]] = leaf;
    }
    Some(Tree { order, merges })
}

/// Rows as what their products are taken of: scaled to at most 1; for correlations centred and of length 1.
fn comparable(values: ArrayView2<'_, f64>, distance: Distance) -> Array2<f64> {
    let largest = values.iter().copied().filter(|v| v.is_finite()).fold(0.0f64, |m, v| m.max(v.abs()));
    let scale = if largest > 0.0 { largest } else { 1.0 };
    let mut rows = values.mapv(|v| v / scale);
    for mut row in rows.rows_mut() {
        let count = row.iter().filter(|v| v.is_finite()).count().max(1) as f64;
        let mean = row.iter().filter(|v| v.is_finite()).sum::<f64>() / count;
        if distance == Distance::Euclidean {
            row.mapv_inplace(|v| if v.is_finite() { v } else { mean });
            continue;
        }
        row.mapv_inplace(|v| if v.is_finite() { v - mean } else { 0.0 });
        let most = row.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        // What is left of a constant row is rounding.
        if most <= 1e-12 * mean.abs() {
            row.fill(0.0);
        } else if most > 0.0 {
            row.mapv_inplace(|v| v / most);
            let length = row.iter().map(|v| v * v).sum::<f64>().sqrt();
            row.mapv_inplace(|v| v / length);
        }
    }
    if distance == Distance::Euclidean
        && let Some(means) = rows.mean_axis(Axis(0))
    {
        // Distances stay, and products of rows far from 0 would have no digits left for them.
        rows -= &means;
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn average_linkage_of_points_on_a_line_is_as_by_hand() {
        // 0 and 1 meet at 1; 10 and 12 at 2; their averages at (10 + 12 + 9 + 11) / 4.
        let tree = tree(array![[10.0], [0.0], [12.0], [1.0]].view(), Distance::Euclidean).expect("four rows");
        let heights: Vec<f64> = tree.merges.iter().map(|m| (m.height * 12.0 * 1e4).round() / 1e4).collect();
        assert_eq!(heights, [1.0, 2.0, 10.5]);
        assert_eq!(tree.order, [0, 2, 1, 3], "the pair that holds the first row comes first");
    }

    #[test]
    fn correlation_looks_at_shapes_alone() {
        let rows = array![[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [100.0, 200.0, 300.0], [9.0, 6.0, 3.0], [5.0; 3]];
        let tree = tree(rows.view(), Distance::Correlation).expect("five rows");
        assert!(tree.merges[0].height < 1e-6 && tree.merges[1].height < 1e-6);
        let place = |leaf: usize| tree.order.iter().position(|l| *l == leaf).expect("each row once");
        assert_eq!((place(0).abs_diff(place(2)), place(1).abs_diff(place(3))), (1, 1));
    }

    #[test]
    fn every_row_is_a_leaf_once_whatever_the_numbers() {
        let wild = [f64::NAN, f64::INFINITY, 0.0, -1e300, 1e300, 1e-300];
        for n in 2..40 {
            let values = Array2::from_shape_fn((n, 3), |(i, j)| wild[(i * 7 + j * 5 + i * j) % 6]);
            for distance in [Distance::Correlation, Distance::Euclidean] {
                let tree = tree(values.view(), distance).expect("two rows or more");
                let mut leaves = tree.order.clone();
                leaves.sort_unstable();
                assert_eq!(leaves, (0..n).collect::<Vec<_>>());
                assert!(tree.merges.iter().all(|m| m.height.is_finite()));
            }
        }
        assert_eq!(tree(Array2::zeros((1, 3)).view(), Distance::Euclidean), None);
        assert_eq!(tree(Array2::zeros((0, 0)).view(), Distance::Euclidean), None);
        assert!(tree(Array2::zeros((5, 0)).view(), Distance::Correlation).is_some());
    }

    #[test]
    fn one_thread_and_several_give_the_same_tree() {
        let values = Array2::from_shape_fn((150, 11), |(i, j)| ((i * 31 + j * 17) % 23) as f64);
        let on = |n: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("pool");
            pool.install(|| tree(values.view(), Distance::Correlation))
        };
        assert_eq!(on(1), on(4));
    }
}
